// What `panguard status` shows about responses: mode, enforcer, blocks, questions, refusals by reason.
import Primitives

public struct ResponseStatus: Sendable, Equatable {
  /// "ready", or why nothing can be blocked.
  public var enforcer = ""
  public var isEnforcerReady = false
  /// "ready" and the webhooks, or why nothing is sent.
  public var uplink = ""
  /// There is one, and it does not answer or a webhook does not.
  public var isUplinkTroubled = false
  /// "ready" and what is enabled, or why nothing is done on the host.
  public var responder = ""
  /// There is one, and it does not answer.
  public var isResponderTroubled = false
  public var playbooks: UInt64 = 0
  /// Blocks that the enforcer holds, and those that wait for it.
  public var activeBlocks: UInt64 = 0
  public var waitingBlocks: UInt64 = 0
  public var pendingApprovals: UInt64 = 0
  /// Seconds until an arming that nobody has confirmed is rolled back; 0: none waits.
  public var confirmationSeconds: UInt64 = 0
  /// Name and value, in the order in which they are shown.
  public var counters: [(name: String, value: UInt64)] = []
  /// What was not done and why, by reason; only reasons that occurred.
  public var refusals: [(reason: String, count: UInt64)] = []
  public init() {}

  public static func == (a: ResponseStatus, b: ResponseStatus) -> Bool { a.bytes == b.bytes }
  private var bytes: [UInt8] {
    var json = JSONWriter()
    append(to: &json)
    return json.out
  }

  func append(to json: inout JSONWriter) {
    json.beginObject()
    json.key("enforcer")
    json.value(enforcer)
    json.key("enforcer_ready")
    json.value(isEnforcerReady)
    json.key("uplink")
    json.value(uplink)
    json.key("uplink_troubled")
    json.value(isUplinkTroubled)
    json.key("responder")
    json.value(responder)
    json.key("responder_troubled")
    json.value(isResponderTroubled)
    for (key, value) in [
      ("playbooks", playbooks), ("active_blocks", activeBlocks), ("waiting_blocks", waitingBlocks), ("pending_approvals", pendingApprovals),
      ("confirmation_seconds", confirmationSeconds),
    ] {
      json.key(text: key)
      json.value(value)
    }
    for (key, pairs) in [("counters", counters.map { ($0.name, $0.value) }), ("refusals", refusals.map { ($0.reason, $0.count) })] {
      json.key(text: key)
      json.beginObject()
      for (name, value) in pairs {
        json.key(text: name)
        json.value(value)
      }
      json.endObject()
    }
    json.endObject()
  }

  init(json bytes: Bytes) throws {
    func number(_ value: Bytes) -> UInt64 { UInt64(clamping: value.decimal ?? 0) }
    try JSONMembers.forEach(of: bytes) { key, value in
      switch key.string {
      case "enforcer": enforcer = AgentStatus.text(value)
      case "enforcer_ready": isEnforcerReady = value.string == "true"
      case "uplink": uplink = AgentStatus.text(value)
      case "responder": responder = AgentStatus.text(value)
      case "responder_troubled": isResponderTroubled = value.string == "true"
      case "uplink_troubled": isUplinkTroubled = value.string == "true"
      case "playbooks": playbooks = number(value)
      case "active_blocks": activeBlocks = number(value)
      case "waiting_blocks": waitingBlocks = number(value)
      case "pending_approvals": pendingApprovals = number(value)
      case "confirmation_seconds": confirmationSeconds = number(value)
      case "counters": try JSONMembers.forEach(of: value) { counters.append(($0.string, number($1))) }
      case "refusals": try JSONMembers.forEach(of: value) { refusals.append(($0.string, number($1))) }
      default: break
      }
    }
  }
}
