// sudo 1.8 and 1.9: "USER : [what went wrong ; ] KEY=value ; KEY=value ; ... ; COMMAND=rest of the line".
// Source: sudo's lib/eventlog (order of the keys: HOST, TTY, CHROOT, PWD, USER, GROUP, TSID, ENV, COMMAND).
// The caller's name is before the first " : ", which no account name can contain. PWD, ENV and COMMAND are written by the caller:
// a directory may be called "x ; USER=root ; COMMAND=id". Where " ; USER=" or the start of the command can be read in two ways,
// the event is ambiguous: only the caller is certain, and the command line is the longer reading, so that nothing hides in it.
import Events
import Primitives

extension ServiceParser {
  /// Actions: sudo-command (success), sudo-failure (failure; `event.reason` says which), sudo-warning (sudo went on or refused for
  /// a reason of its own configuration). user.name is the caller, user.effective.name the account it asked for.
  public static let sudo = ServiceParser(name: "sudo", programs: ["sudo"], parse: Sudo.parse)
}

enum Sudo {
  /// What sudo writes between the caller and the fields. A trailing `*` row is a prefix; the others are whole segments.
  private struct Refusal: Sendable {
    let text: StaticString
    let isPrefix: Bool
    let action: StaticString
    let reason: StaticString
    init(_ text: StaticString, prefix: Bool = false, _ reason: StaticString, action: StaticString = "sudo-failure") {
      self.text = text
      isPrefix = prefix
      self.action = action
      self.reason = reason
    }
  }
  private static let refusals: [Refusal] = [
    Refusal("user NOT in sudoers", "not-in-sudoers"),
    Refusal("command not allowed", "command-not-allowed"),
    Refusal("command rejected", prefix: true, "command-not-allowed"),
    Refusal("user NOT authorized on host", "not-authorized-on-host"),
    Refusal("a password is required", "password-required"),
    Refusal("no tty present and no askpass program specified", "no-terminal"),
    Refusal("a terminal is required to read the password", prefix: true, "no-terminal"),
    Refusal("a terminal is required to authenticate", prefix: true, "no-terminal"),
    Refusal("sorry, you must have a tty to run sudo", "no-terminal"),
    Refusal("incorrect password", prefix: true, "incorrect-password"),
    Refusal("user NOT allowed to change root directory to ", prefix: true, "chroot-not-allowed"),
    Refusal("user not allowed to change root directory to ", prefix: true, "chroot-not-allowed"),
    Refusal("user not allowed to change directory to ", prefix: true, "directory-not-allowed"),
    Refusal("user not allowed to set a command timeout", "timeout-not-allowed"),
    Refusal("user not allowed to preserve the environment", "environment-not-allowed"),
    Refusal("sorry, you are not allowed to set the following environment variables", prefix: true, "environment-not-allowed"),
    Refusal("sorry, you are not allowed to preserve the environment", "environment-not-allowed"),
    Refusal("account validation failure, is your account locked?", "account-locked"),
    Refusal("Account or password is expired", prefix: true, "account-expired"),
    Refusal("Account expired", prefix: true, "account-expired"),
    Refusal("Password expired", prefix: true, "password-expired"),
    Refusal("unknown user", prefix: true, "unknown-user"),
    Refusal("unknown group", prefix: true, "unknown-group"),
    Refusal("unknown uid", prefix: true, "unknown-user"),
    Refusal("unable to resolve host ", prefix: true, "unable-to-resolve-host", action: "sudo-warning"),
    Refusal("problem with defaults entries", prefix: true, "bad-configuration", action: "sudo-warning"),
    Refusal("parse error in ", prefix: true, "bad-configuration", action: "sudo-warning"),
    Refusal("syntax error in ", prefix: true, "bad-configuration", action: "sudo-warning"),
    Refusal("no valid sudoers sources found", prefix: true, "bad-configuration", action: "sudo-warning"),
    Refusal("unable to open ", prefix: true, "unable-to-open", action: "sudo-warning"),
    Refusal("unable to send audit message", prefix: true, "audit-failure", action: "sudo-warning"),
    Refusal("timestamp ", prefix: true, "timestamp", action: "sudo-warning"),
  ]
  private static let keys: [StaticString] = ["HOST=", "TTY=", "CHROOT=", "PWD=", "USER=", "GROUP=", "TSID=", "ENV=", "COMMAND="]

  @Sendable
  static func parse(_ message: Bytes, _ event: inout Event) -> Bool {
    let text = message.trimmed
    guard let colon = text.index(of: " : "), colon > 0 else { return false }
    let caller = text.upTo(colon)
    var rest = text.from(colon + 3)

    if rest.starts(with: "(command continued) ") {
      event.set(.eventProvider, "sudo")
      event.set(.eventCategory, "process")
      event.set(.eventAction, "sudo-command-continued")
      event.set(.userName, caller)
      event.set(.processCommandLine, rest.from(20))
      return true
    }

    var action: StaticString = "sudo-command"
    var reason: Bytes = .none
    var attempts: Bytes = .none
    if !startsWithKey(rest) {
      // What went wrong comes first. It may quote what the caller typed, so it ends where the first field begins.
      let end = firstField(rest)
      let segment = rest.upTo(end ?? rest.count)
      if let found = classify(segment, attempts: &attempts) {
        action = found.action
        reason = Bytes(found.reason)
      } else {
        guard end != nil else { return false }
        action = "sudo-warning"
        reason = segment
      }
      rest = end.map { rest.from($0 + 3) } ?? .none
    }

    event.set(.eventProvider, "sudo")
    event.set(.eventAction, action)
    let failed = Bytes(action).equals("sudo-failure")
    event.set(.eventCategory, failed ? "authentication" as StaticString : "process")
    event.set(.eventOutcome, failed ? "failure" as StaticString : Bytes(action).equals("sudo-command") ? "success" : "unknown")
    if reason.count > 0 { event.set(.eventReason, reason) }
    if attempts.count > 0 { event.setExtra(Bytes("panguard.sudo.attempts"), attempts) }
    event.set(.userName, caller)
    if !setFields(rest, into: &event) { event.set(.isAmbiguous, 1) }
    return true
  }

  private static func startsWithKey(_ text: Bytes) -> Bool {
    for key in keys where text.starts(with: key) { return true }
    return false
  }
  /// Offset of the first " ; " that is followed by a key.
  private static func firstField(_ text: Bytes) -> Int? {
    var at = 0
    while let hit = text.index(of: " ; ", from: at) {
      if startsWithKey(text.from(hit + 3)) { return hit }
      at = hit + 3
    }
    return nil
  }
  private static func classify(_ segment: Bytes, attempts: inout Bytes) -> Refusal? {
    var text = segment
    if let space = text.index(of: 0x20), text.upTo(space).decimal != nil, text.from(space + 1).starts(with: "incorrect password") {
      attempts = text.upTo(space)
      text = text.from(space + 1)
    }
    for refusal in refusals where refusal.isPrefix ? text.starts(with: refusal.text) : text.equals(refusal.text) { return refusal }
    return nil
  }

  /// Sets the fields; false where they can be read in two ways.
  private static func setFields(_ text: Bytes, into event: inout Event) -> Bool {
    var isCertain = true
    // The command is the last field, and everything behind it belongs to it.
    var head = text
    let command: Bytes?
    if text.starts(with: "COMMAND=") {
      command = text.from(8)
      head = .none
    } else if let start = text.index(of: " ; COMMAND=") {
      command = text.from(start + 11)
      head = text.upTo(start)
    } else {
      command = nil
    }
    if let command, command.count > 0 {
      event.set(.processCommandLine, command)
      if command[0] == 0x2f { event.set(.processExecutable, command.upTo(command.index(of: 0x20) ?? command.count)) }
      // PWD or ENV may hold a forged command, and the command may hold forged fields: the same bytes, two readings.
      if command.contains(" ; USER=") || command.contains(" ; COMMAND=") {
        isCertain = false
        event.remove(.processExecutable)
      }
    }

    var before: Bytes = head
    if head.starts(with: "USER=") || head.contains(" ; USER=") {
      let start = head.starts(with: "USER=") ? 0 : (head.index(of: " ; USER=") ?? 0) + 3
      before = head.upTo(max(0, start - 3))
      let after = head.from(start + 5)
      if after.contains(" ; USER=") {
        isCertain = false
        before = .none
      } else if isCertain {
        setRunAs(after, into: &event)
      }
    }

    // TTY comes before anything the caller writes.
    var fields = before
    if fields.starts(with: "HOST=") {
      let end = fields.index(of: " ; ") ?? fields.count
      fields = fields.from(end + 3)
    }
    if fields.starts(with: "TTY=") {
      let end = fields.index(of: " ; ") ?? fields.count
      event.set(.processTty, fields.slice(4, end))
      fields = fields.from(end + 3)
    }
    guard isCertain else { return false }
    if fields.starts(with: "CHROOT="), let directory = fields.index(of: " ; PWD=") { fields = fields.from(directory + 3) }
    if fields.starts(with: "PWD="), fields.count > 4 { event.set(.processWorkingDirectory, fields.from(4)) }
    return true
  }

  /// "root ; GROUP=g ; TSID=000001 ; ENV=...": the part behind USER=, up to the command.
  private static func setRunAs(_ text: Bytes, into event: inout Event) {
    let end = text.index(of: " ; ") ?? text.count
    if end > 0 { event.set(.userEffectiveName, text.upTo(end)) }
    let rest = text.from(end + 3)
    if rest.starts(with: "GROUP=") { event.set(.groupName, rest.slice(6, rest.index(of: " ; ") ?? rest.count)) }
  }
}
