// systemd's messages about service units, and logind's about sessions and the power state.
// Unit names and descriptions are the unit file's; any user may start units of his own in `systemd --user`, so their text proves nothing.
import Events
import Primitives

extension ServiceParser {
  /// Actions service-starting, service-started, service-stopping, service-stopped, service-failed, service-restarted, service-exited.
  /// systemd.unit is set where the message names the unit; older versions give its description only, which is then event.reason.
  /// A failing service writes several lines: "Failed with result" and "Failed to start" are service-failed, told apart by
  /// event.reason ("failed-to-start"); the exit of its process is service-exited.
  public static let systemd = ServiceParser(name: "systemd", programs: ["systemd"], parse: Systemd.parse)

  /// Actions session-created, session-removed, session-logged-out, system-shutdown, system-suspend.
  public static let logind = ServiceParser(name: "logind", programs: ["systemd-logind", "elogind"], parse: Logind.parse)
}

enum Systemd {
  private struct Job: Sendable {
    let text: StaticString
    let action: StaticString
    let outcome: StaticString?
    let reason: StaticString?
    init(_ text: StaticString, _ action: StaticString, _ outcome: StaticString? = nil, _ reason: StaticString? = nil) {
      self.text = text
      self.action = action
      self.outcome = outcome
      self.reason = reason
    }
  }
  /// "Started foo.service - Foo." and, before systemd 249, "Started Foo."
  private static let jobs: [Job] = [
    Job("Starting ", "service-starting"),
    Job("Started ", "service-started", "success"),
    Job("Finished ", "service-started", "success", "finished"),
    Job("Stopping ", "service-stopping"),
    Job("Stopped ", "service-stopped", "success"),
    Job("Reloaded ", "service-restarted", "success", "reloaded"),
    Job("Failed to start ", "service-failed", "failure", "failed-to-start"),
    Job("Failed to reload ", "service-failed", "failure", "failed-to-reload"),
    Job("Dependency failed for ", "service-failed", "failure", "dependency-failed"),
  ]
  /// "foo.service: ..."
  private static let states: [Job] = [
    Job("Main process exited, ", "service-exited"),
    Job("Control process exited, ", "service-exited"),
    Job("Failed with result '", "service-failed", "failure"),
    Job("Start request repeated too quickly", "service-failed", "failure", "start-limit-hit"),
    Job("A process of this unit has been killed by the OOM killer", "service-failed", "failure", "oom-kill"),
    Job("Watchdog timeout", "service-failed", "failure", "watchdog"),
    Job("Scheduled restart job", "service-restarted", "success", "automatic-restart"),
    Job("Service hold-off time over, scheduling restart", "service-restarted", "success", "automatic-restart"),
    Job("Service RestartSec=", "service-restarted", "success", "automatic-restart"),
    Job("Deactivated successfully", "service-stopped", "success", "deactivated"),
    Job("Succeeded", "service-stopped", "success", "deactivated"),
  ]
  private static let otherUnits: [StaticString] = [
    ".socket", ".timer", ".target", ".mount", ".automount", ".slice", ".scope", ".path", ".device", ".swap",
  ]

  @Sendable
  static func parse(_ message: Bytes, _ event: inout Event) -> Bool {
    if let colon = message.index(of: ": "), let unit = unitName(message.upTo(colon)) {
      guard unit.ends(with: ".service") else { return false }
      return state(of: unit, message.from(colon + 2), into: &event)
    }
    for job in jobs where message.starts(with: job.text) {
      var what = message.from(job.text.utf8CodeUnitCount)
      if what.ends(with: "...") { what = what.upTo(what.count - 3) }
      if what.ends(with: ".") { what = what.upTo(what.count - 1) }
      let first = what.upTo(what.index(of: 0x20) ?? what.count)
      let rest = what.from(first.count)
      let unit = rest.count == 0 || rest.starts(with: " - ") ? unitName(first) : nil
      guard unit?.ends(with: ".service") ?? isServiceDescription(what) else { return false }
      event.set(.eventAction, job.action)
      if let outcome = job.outcome { event.set(.eventOutcome, outcome) }
      if let reason = job.reason { event.set(.eventReason, reason) }
      if let unit {
        event.set(.systemdUnit, unit)
      } else if job.reason == nil {
        event.set(.eventReason, what)
      }
      finish(into: &event)
      return true
    }
    return false
  }

  private static func state(of unit: Bytes, _ text: Bytes, into event: inout Event) -> Bool {
    for state in states where text.starts(with: state.text) {
      event.set(.eventAction, state.action)
      event.set(.systemdUnit, unit)
      if let outcome = state.outcome { event.set(.eventOutcome, outcome) }
      if let reason = state.reason {
        event.set(.eventReason, reason)
      } else if state.text.utf8CodeUnitCount == 20, text.starts(with: "Failed with result '") {
        event.set(.eventReason, text.slice(20, text.index(of: 0x27, from: 20) ?? text.count))
      } else {
        let how = text.from(state.text.utf8CodeUnitCount)
        event.set(.eventReason, how)
        event.set(.eventOutcome, how.contains("status=0/") ? "success" as StaticString : "failure")
      }
      finish(into: &event)
      return true
    }
    return false
  }

  private static func finish(into event: inout Event) {
    event.set(.eventProvider, "systemd")
    event.set(.eventCategory, "host")
  }
  /// `text` if it can be the name of a unit: no spaces, and one of the suffixes.
  private static func unitName(_ text: Bytes) -> Bytes? {
    guard text.count > 2, text.count <= 255, text.index(of: 0x20) == nil else { return nil }
    if text.ends(with: ".service") { return text }
    for suffix in otherUnits where text.ends(with: suffix) { return text }
    return nil
  }
  /// Descriptions do not tell what kind of unit they describe; login sessions, targets and slices have fixed ones.
  private static func isServiceDescription(_ text: Bytes) -> Bool {
    text.count > 0 && !text.starts(with: "Session ") && !text.starts(with: "User Manager ") && !text.starts(with: "target ")
      && !text.starts(with: "User Slice ")
  }
}

enum Logind {
  private static func row(_ pieces: [TemplatePiece], _ category: StaticString, _ action: StaticString, _ reason: StaticString? = nil)
    -> MessageTemplate
  {
    MessageTemplate(pieces, category, action, reason: reason)
  }
  private static let templates: [MessageTemplate] = [
    row(
      ["New session '", .hole(.systemdSessionID), "' of user '", .hole(.userName), "' with class '", .ignored, "' and type '", .ignored, "'."],
      "session", "session-created"),
    row(["New session ", .hole(.systemdSessionID), " of user ", .hole(.userName), "."], "session", "session-created"),
    row(["Removed session ", .hole(.systemdSessionID), "."], "session", "session-removed"),
    row(["Session ", .hole(.systemdSessionID), " logged out. Waiting for processes to exit."], "session", "session-logged-out"),
    row(["System is powering down", .ignored], "host", "system-shutdown", "power-off"),
    row(["System is rebooting", .ignored], "host", "system-shutdown", "reboot"),
    row(["System is halting", .ignored], "host", "system-shutdown", "halt"),
    row(["The system will power off ", .ignored], "host", "system-shutdown", "power-off"),
    row(["The system will reboot ", .ignored], "host", "system-shutdown", "reboot"),
    row(["The system will suspend ", .ignored], "host", "system-suspend"),
    row(["Suspending", .ignored], "host", "system-suspend"),
    row(["Hibernating", .ignored], "host", "system-suspend", "hibernate"),
  ]

  @Sendable
  static func parse(_ message: Bytes, _ event: inout Event) -> Bool { templates.parse(message, provider: "logind", into: &event) }
}
