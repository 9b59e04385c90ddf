// The ATR event format v1.0 (spec/atr-event-v1.0.md): one record of a decision, as a line of canonical JSON (RFC 8785), signed if there is
// a key. Where a decision is about a host and not about an agent, docs/atr-conformance-correlation.md says what stands in which field.
// What must stay true: the same decision gives the same bytes (identifiers come from event time and a hash, see MatchIdentifier); by
// default no text of the event is in the record, only what kind of text matched and how long it was; no address, user or host name ever.
import Detection
import Events
import Primitives
import RuleLanguage

public struct ATREvent: Sendable {
  public struct Options: Sendable {
    /// `<vendor>/<product>/<version>`
    public var engineID: String
    public var serviceName = "panguard"
    public var serviceVersion: String
    /// False is the standard's forensic mode: the decision's summary, with text of the event, stands in the record, and the record says so.
    public var redacts = true
    /// nil: not signed (the standard's dev_mode).
    public var keyID: String?
    public init(version: String) {
      engineID = "panguard/panguard/\(version)"
      serviceVersion = version
    }
  }
  private var members: [CanonicalJSON.Member]

  /// `rule`: the decision's rule if it is loaded; what only the rule knows is then the standard's default.
  public init(_ decision: Decision, rule: Rule?, options: Options) {
    let id = ATREvent.identifier(of: decision)
    members = []
    func add(_ name: String, _ value: CanonicalJSON) { members.append(CanonicalJSON.Member(name, value)) }
    func list(_ values: [String]) -> CanonicalJSON { .array(values.map { .string($0) }) }
    add("@timestamp", .string("\(decision.time)"))
    add("atr.event_id", .string(id))
    add("atr.spec_version", .string("1.0"))
    add("atr.engine_id", .string(options.engineID))
    add("atr.rule_id", .string(decision.ruleID))
    add("atr.rule_version", .integer(Int64(rule?.version ?? 1)))
    add("atr.rule_status", .string(ATREvent.word(rule?.status, of: ["draft", "experimental", "stable", "deprecated"], else: "draft")))
    add("atr.rule_maturity", .string(ATREvent.maturities[rule?.maturity ?? ""] ?? "draft"))
    add("atr.rule_review_status", .string(rule.flatMap { $0.reviewStatus.isEmpty ? nil : $0.reviewStatus } ?? "unreviewed"))
    add("atr.severity", .string(decision.severity.rawValue))
    let isRegistered = ATREvent.categories.contains(decision.category)
    add("atr.category", .string(isRegistered ? decision.category : "unknown"))
    add("atr.subcategory", rule.flatMap { $0.subcategory.isEmpty ? nil : .string($0.subcategory) } ?? .null)
    add("atr.confidence", .integer(1))  // rules are deterministic; the incident's own confidence has its own name
    let field = ATREvent.matchedField(rule, decision.matchedField)
    add("atr.matched_field", .string(field))
    // Of a host's rule the field is the line. What a rule about agents found without a condition (an aggregate, a chain) is no fragment.
    let isAboutAgents =
      rule.map { !$0.agentSource.isEmpty && !$0.agentSource.hasPrefix("host_") } ?? !decision.matchedField.isEmpty
    let length = isAboutAgents ? decision.matchedBytes : Int(decision.evidence.last?.length ?? 0)
    add("atr.matched_value_redacted", .string(options.redacts ? "[REDACTED:\(field):\(length)]" : decision.summary))
    add("atr.response_action", list(ATREvent.responses(rule?.responseActions ?? [])))
    add("atr.response_taken", list(decision.action == .logOnly ? [] : ["alert"]))
    add("atr.response_threshold_met", .bool(Severity(rawValue: rule?.responseThreshold ?? "").map { decision.severity >= $0 } ?? false))
    let agent = isAboutAgents ? "unknown" : "panguard"
    add("agent.id", .string(decision.agent.isEmpty ? agent : PlainIdentifier.of(decision.agent)))
    let platform = isAboutAgents || !decision.agent.isEmpty ? "unknown" : "host"
    add("agent.platform", .string(decision.platform.isEmpty ? platform : PlainIdentifier.of(decision.platform)))
    add("agent.platform_version", decision.platformVersion.isEmpty ? .null : .string(PlainIdentifier.of(decision.platformVersion)))
    add("session.id", .string(decision.subject.session.map { PlainIdentifier.of($0) } ?? decision.id))
    add("service.name", .string(options.serviceName))
    add("service.version", .string(options.serviceVersion))
    add("evidence.observation_id", .string(id))
    add("evidence.upstream_chain", decision.upstream.isEmpty ? .null : list(decision.upstream))
    if let keyID = options.keyID { add("evidence.signature_key_id", .string(keyID)) }
    add("panguard.decision.id", .string(decision.id))
    add("panguard.decision.revision", .integer(Int64(decision.revision)))
    add("panguard.confidence", .thousandths(decision.confidence.thousandths))
    add("panguard.action", .string(decision.action.rawValue))
    if !isRegistered { add("panguard.category", .string(decision.category)) }
    add("panguard.rules", .string(decision.provenance.ruleSetHash))
    if !decision.profiles.isEmpty { add("panguard.profiles", list(decision.profiles)) }
    if !options.redacts { add("panguard.forensic_mode", .bool(true)) }
  }

  /// What is signed: the canonical form without `evidence.signature`.
  public var signedBytes: [UInt8] { CanonicalJSON.object(members).bytes }
  /// The line without its newline. `signature`: base64, over `signedBytes`.
  public func line(signature: String?) -> [UInt8] {
    CanonicalJSON.object(members + (signature.map { [CanonicalJSON.Member("evidence.signature", .string($0))] } ?? [])).bytes
  }

  /// The identifier by which correlations name the match that caused this record.
  public static func identifier(of decision: Decision) -> String {
    guard let last = decision.evidence.last else {
      let hash = Array("\(decision.id) \(decision.revision)".utf8).withUnsafeBytes { Fingerprint(of: $0) }
      return UUIDv7.text(time: decision.time, hash: hash)
    }
    return MatchIdentifier.text(
      ruleID: decision.ruleID, time: last.time, offset: last.offset, length: last.length, fingerprint: last.fingerprint)
  }

  // MARK: Words

  private static func word(_ text: String?, of allowed: [String], else fallback: String) -> String {
    text.flatMap { allowed.contains($0) ? $0 : nil } ?? fallback
  }

  /// SPEC.md 8; every other category is `unknown` to a reader of the standard.
  private static let categories = [
    "prompt-injection", "agent-manipulation", "skill-compromise", "context-exfiltration", "tool-poisoning", "privilege-escalation", "model-abuse",
    "excessive-autonomy", "model-security", "data-poisoning",
  ]
  /// The event format has three words for a maturity, rules have six.
  private static let maturities = ["test": "test", "stable": "stable", "production": "stable"]

  /// The standard's names by those of fields, then by the kind of source.
  private static let fieldNames: [(field: String, name: String)] = [
    ("user_input", "user_input"), ("agent_output", "agent_output"), ("tool_name", "tool_call"), ("tool_args", "tool_call"),
    ("tool_call", "tool_call"), ("tool_response", "tool_response"), ("agent_message", "multi_agent_message"), ("skill_content", "skill_content"),
    ("skill.content", "skill_content"),
  ]
  private static let sourceNames: [(source: String, name: String)] = [
    ("llm_io", "user_input"), ("context_window", "user_input"), ("agent_behavior", "agent_output"), ("agent_trace", "tool_call"),
    ("tool_call", "tool_call"), ("mcp_exchange", "mcp_exchange"), ("mcp_tool", "mcp_exchange"), ("multi_agent_comm", "multi_agent_message"),
    ("memory_access", "memory_write"), ("skill_lifecycle", "skill_content"), ("skill_permission", "skill_content"), ("skill_chain", "skill_content"),
    ("skill_file", "skill_content"), ("host_log", "host_log"), ("host_network", "host_network"), ("host_process", "host_process"), ("", "host_log"),
  ]
  /// What matched, in the standard's words: `field` is that of the condition that held, or empty. A host's own events have no word there and
  /// say what they are. A source that nobody knows is taken for what an event without a type is: what a user wrote.
  static func matchedField(_ rule: Rule?, _ field: String) -> String {
    guard let rule else { return field.isEmpty ? "host_log" : fieldNames.first { $0.field == field }?.name ?? "user_input" }
    return fieldNames.first { $0.field == field }?.name ?? sourceNames.first { $0.source == rule.agentSource }?.name ?? "user_input"
  }

  /// The standard's seven, by the words that rules use. What has no equal there (block_ip) is left out.
  private static let responseNames: [String: String] = [
    "block_input": "block_input", "block_request": "block_input", "block_tool": "block_input", "block_output": "block_output", "redact": "redact",
    "redact_match": "redact", "alert": "alert", "log_alert": "alert", "notify": "alert", "notify_operator": "alert", "escalate": "alert",
    "snapshot": "snapshot", "capture_evidence": "snapshot", "quarantine": "quarantine", "quarantine_session": "quarantine",
    "quarantine_artifact": "quarantine", "quarantine_file": "quarantine", "kill_agent": "terminate_session", "terminate_session": "terminate_session",
  ]
  static func responses(_ actions: [String]) -> [String] {
    actions.compactMap { responseNames[$0] }.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }
}

extension ATREvent {
  /// A record that was read back: what its signature is over, and who signed it.
  public struct Signed: Sendable {
    public var signedBytes: [UInt8]
    /// base64; nil: not signed.
    public var signature: String?
    public var keyID: String?
    public var eventID: String
  }

  /// Throws where the line is not one JSON object, or has no canonical form.
  public static func read(_ line: Bytes) throws -> Signed {
    guard case .object(let members) = try CanonicalJSON(parsing: line) else { throw JSONError(offset: 0, message: "not a JSON object") }
    func text(_ name: String) -> String? {
      if case .string(let text)? = members.first(where: { $0.name == name })?.value { text } else { nil }
    }
    return Signed(
      signedBytes: CanonicalJSON.object(members.filter { $0.name != "evidence.signature" }).bytes, signature: text("evidence.signature"),
      keyID: text("evidence.signature_key_id"), eventID: text("atr.event_id") ?? "")
  }
}
