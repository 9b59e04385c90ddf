// cron, crond and crontab: "(WHO) WHAT (detail)". WHO and WHAT come before anything a user writes; the detail runs to the last ")".
import Events
import Primitives

extension ServiceParser {
  /// Actions cron-command, cron-edit (event.reason: begin-edit, end-edit, replace, delete), cron-list, cron-denied, cron-reload,
  /// cron-error. For the crontab program user.name is who ran it and user.target.name whose table it is.
  public static let cron = ServiceParser(name: "cron", programs: ["cron", "crond", "crontab", "anacron"], parse: Cron.parse)
}

enum Cron {
  private enum Detail: Sendable { case command, owner, reason }
  private struct Row: Sendable {
    let what: StaticString
    let category: StaticString
    let action: StaticString
    let outcome: StaticString
    let detail: Detail
    let reason: StaticString?
    init(
      _ what: StaticString, _ category: StaticString, _ action: StaticString, _ outcome: StaticString, _ detail: Detail, _ reason: StaticString? = nil
    ) {
      self.what = what
      self.category = category
      self.action = action
      self.outcome = outcome
      self.detail = detail
      self.reason = reason
    }
  }
  private static let rows: [Row] = [
    Row("CMD", "process", "cron-command", "success", .command),
    Row("BEGIN EDIT", "configuration", "cron-edit", "unknown", .owner, "begin-edit"),
    Row("END EDIT", "configuration", "cron-edit", "unknown", .owner, "end-edit"),
    Row("REPLACE", "configuration", "cron-edit", "success", .owner, "replace"),
    Row("DELETE", "configuration", "cron-edit", "success", .owner, "delete"),
    Row("LIST", "configuration", "cron-list", "success", .owner),
    Row("AUTH", "configuration", "cron-denied", "failure", .reason),
    Row("RELOAD", "configuration", "cron-reload", "success", .reason),
    Row("ERROR", "process", "cron-error", "failure", .reason),
    Row("error", "process", "cron-error", "failure", .reason),
    Row("FAILED", "process", "cron-error", "failure", .reason),
    Row("PAM ERROR", "process", "cron-error", "failure", .reason),
    Row("DEATH", "process", "cron-error", "failure", .reason),
    Row("ORPHAN", "configuration", "cron-error", "failure", .reason, "orphan"),
    Row("WRONG FILE OWNER", "configuration", "cron-error", "failure", .reason, "wrong-file-owner"),
    Row("INSECURE MODE (group/other writable)", "configuration", "cron-error", "failure", .reason, "insecure-mode"),
    Row("BAD FILE MODE", "configuration", "cron-error", "failure", .reason, "bad-file-mode"),
    Row("WRONG INODE INFO", "configuration", "cron-error", "failure", .reason, "wrong-inode"),
  ]

  @Sendable
  static func parse(_ message: Bytes, _ event: inout Event) -> Bool {
    guard message.starts(with: "("), let close = message.index(of: ") "), close > 1 else { return false }
    let who = message.slice(1, close)
    let rest = message.from(close + 2)
    for row in rows where rest.starts(with: row.what) {
      let after = rest.from(row.what.utf8CodeUnitCount)
      guard after.starts(with: " (") else { continue }
      let end = after.ends(with: ")") ? after.count - 1 : after.count
      let detail = after.slice(2, end).trimmed
      event.set(.eventProvider, "cron")
      event.set(.eventCategory, row.category)
      event.set(.eventAction, row.action)
      event.set(.eventOutcome, row.outcome)
      if let reason = row.reason { event.set(.eventReason, reason) }
      if !who.starts(with: "*"), !who.equals("CRON") { event.set(.userName, who) }
      guard detail.count > 0 else { return true }
      switch row.detail {
      case .command: event.set(.processCommandLine, detail)
      case .owner: event.set(.userTargetName, detail)
      case .reason: if row.reason == nil { event.set(.eventReason, detail) }
      }
      return true
    }
    return false
  }
}
