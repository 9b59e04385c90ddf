// What /proc says of a process, and whether it may be killed. Nothing here rests on what a process calls itself alone: names count for
// processes of system users, units and users come from the kernel.
import Glibc
import HostActions
import Primitives

struct ProcessFacts: Equatable, Sendable {
  var pid: Int32
  var name = ""
  var parent: Int32 = 0
  /// Clock ticks since boot.
  var startTicks: UInt64 = 0
  var flags: UInt64 = 0
  /// Real and effective user.
  var uid: uid_t = 0
  var effectiveUID: uid_t = 0
  /// The last parts of its control groups' paths and all before them: "/system.slice/ssh.service".
  var controlGroup = ""
  var commandLine = ""
  /// Empty where it cannot be read.
  var executable = ""

  /// PF_KTHREAD of the kernel's include/linux/sched.h.
  var isKernelThread: Bool { flags & 0x0020_0000 != 0 }
  var units: [Substring] { controlGroup.split(separator: "/") }

  /// nil: there is no such process (any more).
  static func read(_ pid: Int32, root: String = "/proc") -> ProcessFacts? {
    let directory = "\(root)/\(pid)"
    let stat = contents("\(directory)/stat")
    var facts = ProcessFacts(pid: pid)
    guard facts.take(stat: stat) else { return nil }
    for line in contents("\(directory)/status").split(separator: "\n") where line.hasPrefix("Uid:") {
      let ids = line.dropFirst(4).split { $0 == "\t" || $0 == " " }.compactMap { uid_t($0) }
      guard ids.count >= 2 else { return nil }
      (facts.uid, facts.effectiveUID) = (ids[0], ids[1])
    }
    // "0::/system.slice/ssh.service"; with older hierarchies the one that systemd names is as good.
    let groups = contents("\(directory)/cgroup").split(separator: "\n")
    if let line = groups.first(where: { $0.hasPrefix("0::") }) ?? groups.first(where: { $0.contains(":name=systemd:") }) {
      facts.controlGroup = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).last.map(String.init) ?? ""
    }
    facts.commandLine = contents("\(directory)/cmdline").split(separator: "\0").joined(separator: " ")
    var target = [CChar](repeating: 0, count: 4096)
    let n = readlink("\(directory)/exe", &target, target.count)
    if n > 0 { facts.executable = String(decoding: target[..<n].map { UInt8(bitPattern: $0) }, as: UTF8.self) }
    return facts
  }

  /// proc_pid_stat(5). The name stands in parentheses and may hold any character, parentheses among them: its end is the last one.
  mutating func take(stat: String) -> Bool {
    guard let open = stat.firstIndex(of: "("), let close = stat.lastIndex(of: ")"), open < close else { return false }
    name = String(stat[stat.index(after: open)..<close])
    let fields = stat[stat.index(after: close)...].split(separator: " ")
    // The first of them is field 3.
    guard fields.count > 19, let parent = Int32(fields[1]), let flags = UInt64(fields[6]), let ticks = UInt64(fields[19]) else { return false }
    (self.parent, self.flags, startTicks) = (parent, flags, ticks)
    // A zombie is dead: its number only waits to be given out again.
    return fields[0] != "Z" && fields[0] != "X"
  }

  private static func contents(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 8192)
    let n = Glibc.read(descriptor, &buffer, buffer.count)
    return String(decoding: buffer.prefix(max(0, n)), as: UTF8.self)
  }
}

struct KillRefusal: Equatable {
  var code: String
  var detail: String
  init(_ code: String, _ detail: String) { (self.code, self.detail) = (code, detail) }
}

/// Who is never killed. One row for each reason, asked in their order.
struct KillPolicy {
  /// Units and users of the configuration.
  var spared: [String] = []
  var own: Int32 = getpid()
  /// Process ids of logind's session leaders.
  var sessionLeaders: () -> Set<Int32> = { [] }  // only looked up
  var parentOf: (Int32) -> ProcessFacts? = { ProcessFacts.read($0) }
  var nameOf: (uid_t) -> String? = { getpwuid($0).map { String(cString: $0.pointee.pw_name) } }
  /// Below it are the system's own users.
  var firstOrdinaryUser: uid_t = 1000

  /// Programs that keep the host running or let its owner in, as processes of system users call themselves (15 bytes at most).
  private static let systemPrograms = [
    "sshd", "sshd-session", "sshd-auth", "dropbear", "dbus-daemon", "dbus-broker", "dbus-broker-lau", "login", "agetty", "getty", "init", "polkitd",
    "NetworkManager", "dhclient", "udevd",
  ]
  private static let units = ["init.scope", "ssh.service", "sshd.service", "dbus.service", "dbus-broker.service", "NetworkManager.service"]

  func refusal(_ facts: ProcessFacts) -> KillRefusal? {
    func protected(_ why: String) -> KillRefusal { KillRefusal("protected", "process \(facts.pid) (\(facts.name)) is \(why)") }
    let isOfSystem = facts.uid < firstOrdinaryUser || facts.effectiveUID < firstOrdinaryUser
    if facts.pid == 1 { return protected("the first process") }
    if facts.isKernelThread { return protected("a thread of the kernel") }
    // In a container 2 is anybody's number.
    if facts.parent == 2, parentOf(2)?.isKernelThread == true { return protected("a helper of the kernel") }
    if facts.pid == own || facts.parent == own { return protected("the responder's own") }
    if isOfSystem, facts.name.hasPrefix("panguard") { return protected("Panguard's") }
    for unit in facts.units {
      if unit.hasPrefix("panguard") && facts.units.first == "system.slice" { return protected("Panguard's") }
      if facts.units.first == "system.slice" || unit == "init.scope" && facts.units.count == 1 {
        if KillPolicy.units.contains(String(unit)) || unit.hasPrefix("systemd-") { return protected("of \(unit)") }
      }
      if spared.contains(String(unit)) { return KillRefusal("spared", "never_kill has \(unit)") }
    }
    if isOfSystem {
      if facts.name == "systemd" || facts.name.hasPrefix("systemd-") || facts.name == "(sd-pam)" { return protected("of systemd") }
      if KillPolicy.systemPrograms.contains(facts.name) { return protected("what lets people in, or keeps the host running") }
    } else if facts.name.hasPrefix("sshd"), let parent = parentOf(facts.parent), parent.uid == 0, parent.name.hasPrefix("sshd") {
      // A user's process may call itself sshd; it cannot make root's sshd its parent.
      return protected("a login session's sshd")
    }
    if sessionLeaders().contains(facts.pid) { return protected("the leader of a login session") }
    if let user = nameOf(facts.uid), spared.contains(user) { return KillRefusal("spared", "never_kill has the user \(user)") }
    return nil
  }
}

/// logind's sessions: their leaders, and who is logged in.
enum LoginSessions {
  struct Session: Equatable {
    var leader: Int32
    var uid: uid_t
  }
  static func all(directory: String = "/run/systemd/sessions") -> [Session] {
    guard let handle = opendir(directory) else { return [] }
    defer { closedir(handle) }
    var sessions: [Session] = []
    while let entry = readdir(handle), sessions.count < Limits.protectedAddresses {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
      if name.hasPrefix(".") || name.hasSuffix(".ref") { continue }
      if let session = read("\(directory)/\(name)") { sessions.append(session) }
    }
    return sessions
  }
  static func read(_ path: String) -> Session? {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 8192)
    let n = Glibc.read(file, &buffer, buffer.count)
    return parse(String(decoding: buffer.prefix(max(0, n)), as: UTF8.self))
  }
  /// nil: it is closing, or none of a user's.
  static func parse(_ text: String) -> Session? {
    var values: [Substring: Substring] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: "=", maxSplits: 1)
      if parts.count == 2 { values[parts[0]] = parts[1] }
    }
    guard let uid = values["UID"].flatMap({ uid_t($0) }), values["STATE"] != "closing", values["CLASS"]?.hasPrefix("manager") != true else {
      return nil
    }
    return Session(leader: values["LEADER"].flatMap { Int32($0) } ?? 0, uid: uid)
  }
  /// utmp(5), for hosts without logind. May be of anybody who may write it.
  static func utmpUsers() -> Set<String> {
    var names: Set<String> = []  // only looked up
    setutxent()
    defer { endutxent() }
    while let entry = getutxent(), names.count < Limits.protectedAddresses {
      guard entry.pointee.ut_type == Int16(USER_PROCESS) else { continue }
      let name = withUnsafeBytes(of: &entry.pointee.ut_user) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      // One whose process is gone was left over.
      if kill(entry.pointee.ut_pid, 0) == 0 || errno != ESRCH { names.insert(name) }
    }
    return names
  }
}
