// The processes of this agent as the engine knows them: itself, its supervisor, and what the supervisor says of the others.
import AgentRuntime
import Confinement
import Glibc
import HostActions
import Supervision

final class ProcessTable {
  private(set) var rows: [ProcessStatus]
  private let audit: AuditFile
  /// Messages that were none.
  private(set) var foreignMessages: UInt64 = 0

  private let enforcer: EnforcerLink
  private let uplink: UplinkLink
  private let responder: ResponderLink
  private let capture: CaptureLink?

  init(
    report: ConfinementReport, isSupervised: Bool, audit: AuditFile, enforcer: EnforcerLink, uplink: UplinkLink, responder: ResponderLink,
    capture: CaptureLink?
  ) {
    var engine = ProcessStatus(name: "engine", pid: Int64(getpid()))
    (engine.confined, engine.notConfined) = (report.achieved, report.missing)
    rows = [engine]
    if isSupervised { rows.append(ProcessStatus(name: "supervisor", pid: Int64(getppid()))) }
    self.audit = audit
    self.enforcer = enforcer
    self.uplink = uplink
    self.responder = responder
    self.capture = capture
  }

  /// Reads what waits on the supervisor's channel. False: the supervisor is gone.
  func read(_ limit: Int) -> Bool {
    for _ in 0..<limit {
      switch SupervisionMessage.receive(on: Channel.supervisor) {
      case .message(let message): take(message)
      case .channel(Channel.enforcer, let descriptor): enforcer.adopt(descriptor)
      case .channel(Channel.uplink, let descriptor): uplink.adopt(descriptor)
      case .channel(Channel.responder, let descriptor): responder.adopt(descriptor)
      case .channel(Channel.capture, let descriptor) where capture != nil: capture?.adopt(descriptor)
      // Nothing of this version speaks to the others yet.
      case .channel(_, let descriptor): close(descriptor)
      case .foreign: foreignMessages += 1
      case .nothing: return true
      case .end: return false
      }
    }
    return true
  }

  private func take(_ message: SupervisionMessage) {
    switch message {
    case .started(let name, let pid):
      let row = row(name)
      rows[row].pid = pid
      audit.append(actor: "supervisor", event: "process_started", process: name, detail: "process \(pid)")
    case .ended(let name, let how):
      let row = row(name)
      if name != "engine" { rows[row].pid = 0 }
      rows[row].restarts += 1
      rows[row].lastEnd = how
      audit.append(actor: "supervisor", event: "process_ended", process: name, detail: how)
      SupervisionMessage.noted.send(on: Channel.supervisor)
    // A host that sends nothing anywhere lacks nothing.
    case .missing("uplink"): uplink.noteMissing()
    case .missing("responder"): responder.noteMissing()
    case .missing(let name):
      let row = row(name)
      rows[row].notConfined = ["not installed"]
      if name == "enforcer" { enforcer.noteMissing() }
      if name == "capture" { capture?.noteMissing() }
    case .ready, .noted, .channel: foreignMessages += 1
    }
  }

  private func row(_ name: String) -> Int {
    if let known = rows.firstIndex(where: { $0.name == name }) { return known }
    rows.append(ProcessStatus(name: name, pid: 0))
    return rows.count - 1
  }
}
