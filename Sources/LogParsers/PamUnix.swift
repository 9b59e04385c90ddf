// Messages of PAM modules, whatever service they speak for: pam_unix, and the plain ones of pam_sss, pam_faillock, pam_tally(2),
// pam_succeed_if, pam_access, pam_listfile, pam_ldap. A module's message begins "module(service:type): "; libpam's own with "PAM ".
//
// In "authentication failure; logname= uid= euid= tty= ruser= rhost= user=" the service sets ruser and user, and some put the
// client's own words there (FTP and mail servers the login name as ruser). The first " rhost=" behind ruser is the right one where
// the service sets no ruser (sshd); elsewhere a second one makes the line ambiguous.
import Events
import Primitives

extension ServiceParser {
  /// Asked about any message that begins like a PAM module's; `unix_chkpwd` is pam_unix's helper.
  public static let pam = ServiceParser(name: "pam", programs: ["unix_chkpwd"], parse: PamUnix.parse)
}

enum PamUnix {
  /// Whether a message may be a PAM module's.
  @inline(__always)
  static func begins(_ message: Bytes) -> Bool { message.starts(with: "pam_") || message.starts(with: "PAM ") }

  /// A message about one user: "<prefix><user><suffix>".
  struct Row {
    var prefix: StaticString
    var suffix: StaticString
    var action: StaticString
    var isFailure: Bool
    var reason: StaticString
    init(_ prefix: StaticString, _ suffix: StaticString, _ action: StaticString, isFailure: Bool, _ reason: StaticString) {
      self.prefix = prefix
      self.suffix = suffix
      self.action = action
      self.isFailure = isFailure
      self.reason = reason
    }
  }
  private static let rows: [Row] = [
    Row("check pass; user unknown", "", "pam-check-failed", isFailure: true, "user-unknown"),
    Row("check pass; user (", ") unknown", "pam-check-failed", isFailure: true, "user-unknown"),
    Row("bad username [", "]", "pam-check-failed", isFailure: true, "bad-username"),
    Row("auth could not identify password for [", "]", "pam-check-failed", isFailure: true, "no-password"),
    Row("password check failed for user (", ")", "pam-check-failed", isFailure: true, "incorrect-password"),
    Row("conversation failed", "", "pam-check-failed", isFailure: true, "conversation-failed"),
    Row("password changed for ", "", "pam-password-changed", isFailure: false, ""),
    Row("account ", " has expired (account expired)", "pam-account-failure", isFailure: true, "account-expired"),
    Row("account ", " has expired (failed to change password)", "pam-account-failure", isFailure: true, "password-expired"),
    Row("account ", " has password changed in future", "pam-account-failure", isFailure: false, "password-changed-in-future"),
    Row("expired password for user ", " (root enforced)", "pam-account-failure", isFailure: true, "password-expired"),
    Row("expired password for user ", " (password aged)", "pam-account-failure", isFailure: true, "password-expired"),
    Row("could not identify user (from getpwnam(", "))", "pam-account-failure", isFailure: true, "user-unknown"),
    Row("Consecutive login failures for user ", " account temporarily locked", "pam-account-failure", isFailure: true, "account-locked"),
    Row("requirement \"", "\"", "pam-check-failed", isFailure: true, "requirement-not-met"),
    Row("Refused user ", "", "pam-account-failure", isFailure: true, "refused"),
    Row("access denied for user `", "'", "pam-account-failure", isFailure: true, "access-denied"),
  ]

  @Sendable
  static func parse(_ message: Bytes, _ event: inout Event) -> Bool {
    if message.starts(with: "PAM ") { return parseLibrary(message.from(4), &event) }
    guard message.starts(with: "pam_"), let open = message.upTo(48).index(of: 0x28), let close = message.index(of: 0x29, from: open),
      message.from(close).starts(with: "): "), let colon = message.slice(open, close).lastIndex(of: 0x3a)
    else {
      // Old forms without service: "password check failed for user (root)" of unix_chkpwd, "pam_unix: ...".
      return parseBody(message, service: .none, &event)
    }
    let service = message.slice(open + 1, open + colon)
    return parseBody(message.from(close + 3), service: service, module: message.upTo(open), &event)
  }

  /// The message behind "module(service:type): ". Also used for the old program form "sshd(pam_unix)[12]: <body>".
  static func parseBody(_ body: Bytes, service: Bytes, module: Bytes = .none, _ event: inout Event) -> Bool {
    if body.starts(with: "authentication failure; ") {
      guard parseFailure(body, service: service, &event) else { return false }
      finish("pam-auth-failure", service, "failure", &event)
      return true
    }
    if body.starts(with: "session opened for user ") { return parseSession(body.from(24), service, isOpened: true, &event) }
    if body.starts(with: "session closed for user ") { return parseSession(body.from(24), service, isOpened: false, &event) }
    if body.count > 0, body[0] &- 0x30 <= 9, body.index(of: " more authentication failure") != nil {
      return parseMore(body, service: service, &event)
    }
    if module.starts(with: "pam_tally"), body.starts(with: "user ") { return parseTally(body, service, &event) }
    for row in rows where body.starts(with: row.prefix) {
      let rest = body.from(row.prefix.utf8CodeUnitCount)
      if row.suffix.utf8CodeUnitCount > 0 {
        guard let end = rest.lastIndex(of: row.suffix) else { continue }
        if row.prefix.utf8Start[0] == 0x72 {  // requirement "uid >= 1000" not met by user "root"
          guard let user = rest.index(of: " not met by user \""), user + 18 <= end else { continue }
          event.set(.userName, rest.slice(user + 18, end))
        } else {
          let user = rest.upTo(row.suffix.utf8CodeUnitCount == 1 ? rest.index(of: row.suffix) ?? end : end)
          event.set(.userName, user)
          if row.suffix.utf8CodeUnitCount == 1, row.suffix.utf8Start[0] == 0x27 { denied(rest, &event) }
        }
      } else if rest.count > 0 {
        if body.starts(with: "Refused user ") {
          event.set(.userName, rest.upTo(rest.lastIndex(of: " for service ") ?? rest.count))
        } else if row.action.utf8CodeUnitCount == 20 {  // pam-password-changed
          event.set(.userName, rest)
        }
      }
      if row.reason.utf8CodeUnitCount > 0 { event.set(.eventReason, row.reason) }
      finish(row.action, service, row.isFailure ? "failure" : "success", &event)
      return true
    }
    return false
  }

  private static func finish(_ action: StaticString, _ service: Bytes, _ outcome: StaticString, _ event: inout Event) {
    event.set(.eventAction, action)
    event.set(.eventProvider, "pam")
    event.set(.eventDataset, "pam")
    let isSession = action.utf8CodeUnitCount == 18  // pam-session-opened, pam-session-closed
    event.set(.eventCategory, isSession ? "session" : "authentication")
    event.set(.eventOutcome, outcome)
    if service.count > 0 { event.set(.pamService, service) }
  }

  /// "access denied for user `u' from `host'": both quoted by pam_access.
  private static func denied(_ rest: Bytes, _ event: inout Event) {
    guard let from = rest.lastIndex(of: "' from `"), rest.ends(with: "'") else { return }
    event.set(.userName, rest.upTo(from))
    if rest.index(of: "' from `") != from {
      event.markAmbiguous()
      return
    }
    PeerText.make(rest, from + 8, rest.count - 1, port: -1, end: rest.count)?.put(into: &event)
  }

  /// The fields of "...; logname=a uid=0 euid=0 tty=ssh ruser=b rhost=c  user=d".
  private static func parseFailure(_ body: Bytes, service: Bytes, _ event: inout Event) -> Bool {
    // The first four are the service's own; from ruser on, the client's words may follow.
    guard let ruser = body.index(of: " ruser="), let rhost = body.index(of: " rhost=", from: ruser) else { return false }
    if let tty = body.upTo(ruser).lastIndex(of: " tty="), ruser > tty + 5 { event.set(.processTty, body.slice(tty + 5, ruser)) }
    let setsNoRuser = service.equals("sshd")
    if rhost != ruser + 7, setsNoRuser {
      event.markAmbiguous()
      return true
    }
    let hostStart = rhost + 7
    let hostEnd = body.index(of: 0x20, from: hostStart) ?? body.count
    let again = body.index(of: " rhost=", from: hostStart)
    if again != nil, !setsNoRuser || body.index(of: " ruser=", from: ruser + 1).map({ $0 < hostStart }) == true {
      event.markAmbiguous()
      return true
    }
    if hostEnd > hostStart {
      PeerText.make(body, hostStart, hostEnd, port: -1, end: hostEnd)?.put(into: &event)
    }
    // "rhost=c  user=d": the user is the rest of the line.
    var at = hostEnd
    while at < body.count, body[at] == 0x20 { at += 1 }
    let tail = body.from(at)
    if tail.starts(with: "user=") {
      event.set(.userName, tail.from(5))
    } else if rhost > ruser + 7 {
      event.set(.userName, body.slice(ruser + 7, rhost))
    }
    return true
  }

  /// "root(uid=0) by alice(uid=1000)", "root by (uid=0)", "root(uid=0) by (uid=0)", "root".
  private static func parseSession(_ text: Bytes, _ service: Bytes, isOpened: Bool, _ event: inout Event) -> Bool {
    var who = text
    if isOpened, let by = text.lastIndex(of: " by ") {
      who = text.upTo(by)
      let opener = text.from(by + 4)
      let name = opener.upTo(opener.lastIndex(of: "(uid=") ?? opener.count)
      if name.count > 0 { event.setExtra(Bytes("panguard.pam.opened_by"), name) }
    }
    if who.ends(with: ")"), let uid = who.lastIndex(of: "(uid=") {
      event.set(.userID, who.slice(uid + 5, who.count - 1))
      who = who.upTo(uid)
    }
    event.set(.userName, who)
    finish(isOpened ? "pam-session-opened" : "pam-session-closed", service, "success", &event)
    return true
  }

  /// libpam's own: "PAM 5 more authentication failures; ...", "PAM service(sshd) ignoring max retries; 6 > 3".
  private static func parseLibrary(_ body: Bytes, _ event: inout Event) -> Bool {
    if body.starts(with: "service("), let close = body.index(of: 0x29), body.from(close).starts(with: ") ignoring max retries") {
      event.set(.eventReason, "ignoring-max-retries")
      finish("pam-more-failures", body.slice(8, close), "failure", &event)
      return true
    }
    guard body.count > 0, body[0] &- 0x30 <= 9, body.index(of: " more authentication failure") != nil else { return false }
    // No service is named here; tty=ssh is sshd's, and the header's program says the rest.
    var service = event.text(.processName) ?? .none
    if body.index(of: " tty=ssh ") != nil { service = Bytes("sshd") }
    return parseMore(body, service: service, &event)
  }

  private static func parseMore(_ body: Bytes, service: Bytes, _ event: inout Event) -> Bool {
    guard parseFailure(body, service: service, &event) else { return false }
    event.set(.eventReason, body.upTo(body.index(of: 0x3b) ?? body.count))
    finish("pam-more-failures", service, "failure", &event)
    return true
  }

  /// "user zoe (1001) tally 6, deny 5".
  private static func parseTally(_ body: Bytes, _ service: Bytes, _ event: inout Event) -> Bool {
    guard let tally = body.lastIndex(of: ") tally "), let open = body.lastIndex(of: 0x28, before: tally), open > 6 else { return false }
    event.set(.userName, body.slice(5, open - 1))
    event.set(.userID, body.slice(open + 1, tally))
    event.set(.eventReason, "account-locked")
    finish("pam-account-failure", service, "failure", &event)
    return true
  }
}
