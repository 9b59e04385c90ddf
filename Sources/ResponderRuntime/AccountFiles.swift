// passwd(5), shadow(5), group(5) and login.defs(5) as far as it matters whether somebody may be locked. Pure.
import Glibc
import HostActions
import Primitives
import TypedYAML

struct AccountFiles: Equatable {
  struct User: Equatable {
    var name: String
    var uid: uid_t
    var group: gid_t
    var shell: String
  }
  struct Secret: Equatable {
    var password: String
    /// Days since 1970 as they stand in the file; "": never.
    var expires: String
    var isLocked: Bool { password.hasPrefix("!") }
  }
  var users: [User] = []
  var secrets: [String: Secret] = [:]
  /// The members of each group by its second-hand list, and its number.
  var groups: [(name: String, number: gid_t, members: [String])] = []
  var ordinaryUsers: ClosedRange<uid_t> = 1000...60_000

  static func == (a: AccountFiles, b: AccountFiles) -> Bool { a.users == b.users && a.secrets == b.secrets }

  init() {}
  init(passwd: String, shadow: String, group: String, definitions: String) {
    for line in passwd.split(separator: "\n") {
      let fields = line.split(separator: ":", omittingEmptySubsequences: false)
      guard fields.count == 7, let uid = uid_t(fields[2]), let group = gid_t(fields[3]) else { continue }
      users.append(User(name: String(fields[0]), uid: uid, group: group, shell: String(fields[6])))
    }
    for line in shadow.split(separator: "\n") {
      let fields = line.split(separator: ":", omittingEmptySubsequences: false)
      if fields.count >= 8 { secrets[String(fields[0])] = Secret(password: String(fields[1]), expires: String(fields[7])) }
    }
    for line in group.split(separator: "\n") {
      let fields = line.split(separator: ":", omittingEmptySubsequences: false)
      guard fields.count == 4, let number = gid_t(fields[2]) else { continue }
      groups.append((String(fields[0]), number, fields[3].split(separator: ",").map(String.init)))
    }
    var bounds = (low: uid_t(1000), high: uid_t(60_000))
    for line in definitions.split(separator: "\n") {
      let words = line.split { $0 == " " || $0 == "\t" }
      guard words.count == 2, let value = uid_t(words[1]) else { continue }
      if words[0] == "UID_MIN" { bounds.low = value }
      if words[0] == "UID_MAX" { bounds.high = value }
    }
    // Below 1000 are system accounts, whatever the file says.
    bounds.low = max(1000, bounds.low)
    ordinaryUsers = bounds.low...max(bounds.low, bounds.high)
  }

  /// The files of this host; nil where one cannot be read, with its path.
  static func read() -> (files: AccountFiles?, problem: String) {
    var texts: [String] = []
    for path in ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/login.defs"] {
      switch readDocumentFile(path, limit: Limits.accountFileBytes) {
      case .success(let bytes): texts.append(String(decoding: bytes, as: UTF8.self))
      case .failure(let failure):
        guard path == "/etc/login.defs", access(path, F_OK) != 0 else { return (nil, "\(failure.diagnostic)") }
        texts.append("")
      }
    }
    return (AccountFiles(passwd: texts[0], shadow: texts[1], group: texts[2], definitions: texts[3]), "")
  }

  func user(_ name: String) -> User? { users.first { $0.name == name } }

  private static let administrators = ["sudo", "wheel", "admin"]
  func isAdministrator(_ user: User) -> Bool {
    groups.contains { AccountFiles.administrators.contains($0.name) && ($0.number == user.group || $0.members.contains(user.name)) }
  }
  /// Whether somebody can log in as this user: a shell, and an account that has not expired. A locked password says little: keys still work.
  func hasLogin(_ user: User, today: Int) -> Bool {
    guard !user.shell.hasSuffix("/nologin"), !user.shell.hasSuffix("/false") else { return false }
    guard let expires = secrets[user.name].flatMap({ Int($0.expires) }) else { return true }
    return expires > today
  }

  /// Why this user is not locked; nil: he may be. `today`: days since 1970.
  func refusal(_ name: String, spared: [String], loggedIn: (User) -> Bool, today: Int) -> KillRefusal? {
    guard let user = user(name) else { return KillRefusal("no_such_user", "there is no local user '\(name)'") }
    if name == "root" || user.uid == 0 { return KillRefusal("protected", "'\(name)' is root") }
    guard ordinaryUsers.contains(user.uid) else { return KillRefusal("protected", "'\(name)' (user \(user.uid)) is a system account") }
    if users.contains(where: { $0.uid == user.uid && $0.name != name }) {
      return KillRefusal("protected", "'\(name)' shares its number with another account")
    }
    if secrets[name] == nil { return KillRefusal("no_such_user", "'\(name)' has no entry in /etc/shadow") }
    if spared.contains(name) { return KillRefusal("spared", "never_disable has '\(name)'") }
    if isAdministrator(user), !users.contains(where: { $0.name != name && isAdministrator($0) && hasLogin($0, today: today) }) {
      return KillRefusal("last_administrator", "'\(name)' is the last who may administrate this host and can log in")
    }
    if loggedIn(user) { return KillRefusal("logged_in", "'\(name)' is logged in, and spare_logged_in is set") }
    return nil
  }

  /// What locking takes: arguments of usermod(8), and what taking it back needs. nil: it is locked and has expired already.
  func locking(_ name: String, today: Int) -> (arguments: [String], undo: [String])? {
    guard let secret = secrets[name] else { return nil }
    let hasExpired = Int(secret.expires).map { $0 <= today } ?? false
    // Without a password there is nothing to lock; and usermod would not unlock it again.
    let locks = !secret.isLocked && !secret.password.isEmpty
    guard locks || !hasExpired else { return nil }
    let arguments = (locks ? ["--lock"] : []) + (hasExpired ? [] : ["--expiredate", "1"])
    return (arguments, ["account", name, locks ? "locked" : "", hasExpired ? "" : "expired", secret.expires])
  }
  /// What takes it back: only what we did and nobody has changed since. Empty: nothing is left to be taken back.
  func unlocking(_ undo: [String]) -> [String] {
    guard undo.count == 5, undo[0] == "account", let secret = secrets[undo[1]] else { return [] }
    var arguments: [String] = []
    if undo[2] == "locked", secret.isLocked { arguments.append("--unlock") }
    if undo[3] == "expired", secret.expires == "1" { arguments += ["--expiredate", undo[4]] }
    return arguments
  }
}
