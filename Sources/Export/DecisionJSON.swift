// The canonical form of a decision: one line of JSON, flat dotted ECS names where ECS has one, always the same keys in the same order.
// It is what the store keeps, what `--format jsonl` prints and what replay compares byte for byte, so it must stay true that
// decode(append(d)) == d, that append(decode(x)) == x for every x that append wrote, and that a record of a newer version with
// keys we do not know can still be read.
import Baseline
import Detection
import Events
import Primitives
import RuleLanguage
import Scoring

/// Why a text is not a decision.
public struct DecisionJSONError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The key at fault; empty where the document as a whole is.
  public var key: String
  public var message: String
  public init(key: String, message: String) {
    self.key = key
    self.message = message
  }
  public var description: String { key.isEmpty ? "not a decision: \(message)" : "not a decision: \(key): \(message)" }
}

public enum DecisionJSON {
  /// One line without its newline.
  public static func line(_ decision: Decision) -> [UInt8] {
    var json = JSONWriter(reserving: 4096)
    append(decision, to: &json)
    return json.out
  }

  /// Appends `d` as one JSON object. Keys of subject parts that are absent are absent; all others are always there.
  public static func append(_ d: Decision, to json: inout JSONWriter) {
    json.beginObject()
    json.key("@timestamp")
    json.value(stamp: d.time)
    json.key("event.kind")
    json.value("alert")
    json.key("panguard.decision.id")
    json.value(d.id)
    json.key("panguard.decision.revision")
    json.value(d.revision)
    json.key("rule.id")
    json.value(d.ruleID)
    json.key("rule.name")
    json.value(d.ruleTitle)
    json.key("event.severity")
    json.value(d.severity.eventSeverity)
    json.key("rule.severity")
    json.value(d.severity.rawValue)
    json.key("rule.category")
    json.value(d.category)
    json.key("threat.technique.id")
    json.beginArray()
    for technique in d.techniques { json.value(technique) }
    json.endArray()
    if let source = d.subject.source {
      json.key(sourceKey(source))
      json.value(source)
    }
    if let user = d.subject.user {
      json.key("user.name")
      json.value(user)
    }
    if let session = d.subject.session {
      json.key("session.id")
      json.value(session)
    }
    if let host = d.subject.host {
      json.key("host.name")
      json.value(host)
    }
    json.key("confidence")
    json.value(thousandths: d.confidence.thousandths)
    json.key("panguard.trust")
    json.value(Bytes(d.trust.name))
    json.key("action")
    json.value(d.action.rawValue)
    json.key("action_reason")
    json.value(d.actionReason)
    json.key("matches")
    json.value(d.matchCount)
    json.key("observed")
    json.value(d.observed)
    json.key("threshold")
    json.value(d.threshold)
    json.key("first_seen")
    json.value(stamp: d.firstTime)
    json.key("last_seen")
    json.value(stamp: d.lastTime)
    json.key("summary")
    json.value(d.summary)
    json.key("signals")
    json.beginArray()
    for term in d.terms { append(term, to: &json) }
    json.endArray()
    json.key("evidence")
    json.beginArray()
    for record in d.evidence { append(record, to: &json) }
    json.endArray()
    json.key("evidence_total")
    json.value(d.evidenceTotal)
    appendRest(d, to: &json)
    json.verbatim(",\"hashes\":{\"engine\":")
    json.value(d.provenance.engineVersion)
    json.verbatim(",\"rules\":")
    json.value(d.provenance.ruleSetHash)
    json.verbatim(",\"configuration\":")
    json.value(d.provenance.configurationHash)
    json.verbatim(",\"baseline\":")
    json.value(d.provenance.baselineHash)
    if !d.provenance.confidenceHash.isEmpty {
      json.verbatim(",\"confidence\":")
      json.value(d.provenance.confidenceHash)
    }
    json.endObject()
    json.endObject()
  }

  /// Keys that most decisions do not have.
  private static func appendRest(_ d: Decision, to json: inout JSONWriter) {
    func list(_ values: [String]) {
      json.beginArray()
      for value in values { json.value(value) }
      json.endArray()
    }
    if !d.profiles.isEmpty {
      json.key("panguard.profiles")
      list(d.profiles)
    }
    if !d.upstream.isEmpty {
      json.key("evidence.upstream_chain")
      list(d.upstream)
    }
    if !d.message.isEmpty {
      json.key("message")
      json.value(d.message)
    }
    if !d.agent.isEmpty {
      json.key("agent.id")
      json.value(d.agent)
    }
    if !d.baseline.isEmpty {
      json.key("baseline")
      json.beginArray()
      for known in d.baseline { append(known, to: &json) }
      json.endArray()
    }
    if !d.selectors.isEmpty {
      json.key("matched_selectors")
      list(d.selectors)
    }
    if !d.platform.isEmpty {
      json.key("agent.platform")
      json.value(d.platform)
    }
    if !d.platformVersion.isEmpty {
      json.key("agent.platform_version")
      json.value(d.platformVersion)
    }
    if !d.matchedField.isEmpty {
      json.key("panguard.matched.field")
      json.value(d.matchedField)
      json.key("panguard.matched.bytes")
      json.value(d.matchedBytes)
    }
  }

  private static func append(_ known: BaselineKnowledge, to json: inout JSONWriter) {
    json.beginObject()
    json.key("field")
    json.value(known.field)
    if !known.subject.isEmpty {
      json.key("subject")
      json.value(known.subject)
    }
    if !known.object.isEmpty {
      json.key("object")
      json.value(known.object)
    }
    switch known.said {
    case .novelty(let name):
      json.key("novelty")
      json.value(name)
    case .amount(let expected, let observed, let deviation):
      json.key("expected")
      json.value(expected)
      json.key("observed")
      json.value(observed)
      json.key("deviation_thousandths")
      json.value(deviation)
    case .value(let value):
      json.key("value")
      json.value(value)
    }
    json.key("learned_days")
    json.value(known.days)
    json.endObject()
  }

  // Terms and lines are most of a record: their keys go out with the punctuation around them.

  private static func append(_ term: ConfidenceTerm, to json: inout JSONWriter) {
    json.beginObject()
    json.verbatim("\"name\":")
    json.value(term.signal.name)
    json.verbatim(",\"family\":")
    json.value(term.signal.family)
    json.verbatim(",\"weight_millinats\":")
    json.value(Int64(term.signal.weight.value))
    json.verbatim(",\"contribution_millinats\":")
    json.value(Int64(term.contribution.value))
    json.verbatim(term.signal.isAttested ? ",\"attested\":true,\"detail\":" : ",\"attested\":false,\"detail\":")
    json.value(term.signal.detail)
    json.endObject()
  }

  private static func append(_ record: EvidenceRecord, to json: inout JSONWriter) {
    json.beginObject()
    json.verbatim("\"source\":")
    json.value(record.source)
    json.verbatim(atMost: 192) { text in  // keys and punctuation 48, offset 20, length 10, time 32, fingerprint 34
      text.put(",\"offset\":")
      text.put(decimal: record.offset)
      text.put(",\"length\":")
      text.put(decimal: UInt64(record.length))
      text.put(",\"time\":")
      if JSONWriter.isStamped(record.time) {
        text.put(record.time)
      } else {
        if record.time.nanoseconds < 0 { text.put("-") }
        text.put(decimal: record.time.nanoseconds.magnitude)
      }
      text.put(",\"fingerprint\":")
      text.put(record.fingerprint)
      text.put("}")
    }
  }

  /// ECS keeps plain addresses apart from text that only stands for one; networks are our own key.
  public static func sourceKey(_ source: String) -> StaticString {
    if IPAddress(source) != nil { return "source.ip" }
    return CIDR(source) != nil ? "source.network" : "source.address"
  }

  // MARK: Reading

  /// The decision that `text` (one JSON object) is. Total: any bytes give a decision or an error, in linear time.
  /// Throws DecisionJSONError where a key is missing, twice there or out of range, JSONError where the text is not JSON.
  public static func decode(_ text: Bytes) throws -> Decision {
    let root = try JSONObject(document: text)
    guard try root.text("event.kind") == "alert" else { throw DecisionJSONError(key: "event.kind", message: "is not \"alert\"") }
    let severity: Severity = try root.named("rule.severity")
    guard try root.integer("event.severity") == severity.eventSeverity else {
      throw DecisionJSONError(key: "event.severity", message: "contradicts rule.severity")
    }
    let hashes = try root.object("hashes")
    var decision = Decision(
      id: try root.text("panguard.decision.id"),
      revision: try root.integer("panguard.decision.revision"),
      time: try root.time("@timestamp"),
      subject: Subject(
        source: try source(of: root), user: try root.optionalText("user.name"), session: try root.optionalText("session.id"),
        host: try root.optionalText("host.name")),
      ruleID: try root.text("rule.id"),
      ruleTitle: try root.text("rule.name"),
      severity: severity,
      category: try root.text("rule.category"),
      techniques: try root.array("threat.technique.id").map { try $0.text(of: "threat.technique.id") },
      confidence: try root.confidence("confidence"),
      terms: try root.objects("signals").map(term),
      trust: try trust(of: root),
      action: try root.named("action"),
      actionReason: try root.text("action_reason"),
      matchCount: try root.integer("matches"),
      observed: try root.measure("observed"),
      threshold: try root.measure("threshold"),
      firstTime: try root.time("first_seen"),
      lastTime: try root.time("last_seen"),
      summary: try root.text("summary"),
      evidence: try root.objects("evidence").map(evidence),
      evidenceTotal: try root.integer("evidence_total"),
      provenance: Provenance(
        engineVersion: try hashes.text("engine"), ruleSetHash: try hashes.text("rules"),
        configurationHash: try hashes.text("configuration"), baselineHash: try hashes.text("baseline"),
        confidenceHash: try hashes.optionalText("confidence") ?? ""))
    decision.profiles = try root.texts("panguard.profiles")
    decision.upstream = try root.texts("evidence.upstream_chain")
    decision.message = try root.optionalText("message") ?? ""
    decision.agent = try root.optionalText("agent.id") ?? ""
    decision.baseline = try root.has("baseline") ? root.objects("baseline").map(knowledge) : []
    decision.selectors = try root.texts("matched_selectors")
    decision.platform = try root.optionalText("agent.platform") ?? ""
    decision.platformVersion = try root.optionalText("agent.platform_version") ?? ""
    if let field = try root.optionalText("panguard.matched.field") {
      decision.matchedField = field
      decision.matchedBytes = try root.integer("panguard.matched.bytes")
    }
    return decision
  }

  /// The same for bytes in an array.
  public static func decode(_ text: [UInt8]) throws -> Decision { try text.withUnsafeBytes { try decode($0) } }

  private static func knowledge(_ object: JSONObject) throws -> BaselineKnowledge {
    let said: BaselineKnowledge.Said
    if let name = try object.optionalText("novelty") {
      said = .novelty(name)
    } else if object.has("value") {
      said = .value(try object.integer("value"))
    } else {
      said = .amount(
        expected: try object.integer("expected"), observed: try object.integer("observed"), deviation: try object.integer("deviation_thousandths"))
    }
    return BaselineKnowledge(
      field: try object.text("field"), subject: try object.optionalText("subject") ?? "", object: try object.optionalText("object") ?? "",
      said: said, days: try object.integer("learned_days"))
  }
  private static func source(of root: JSONObject) throws -> String? {
    var found: String?
    for key in ["source.ip", "source.network", "source.address"] {
      guard let value = try root.optionalText(key) else { continue }
      guard found == nil else { throw DecisionJSONError(key: key, message: "a second source") }
      guard "\(sourceKey(value))" == key else { throw DecisionJSONError(key: key, message: "is not of that form") }
      found = value
    }
    return found
  }
  private static func trust(of root: JSONObject) throws -> Trust {
    let name = try root.text("panguard.trust")
    for trust in Trust.allCases where "\(trust.name)" == name { return trust }
    throw DecisionJSONError(key: "panguard.trust", message: "unknown value")
  }
  private static func term(_ object: JSONObject) throws -> ConfidenceTerm {
    let signal = Signal(
      name: try object.text("name"), family: try object.text("family"), weight: MilliNats(try object.integer("weight_millinats")),
      isAttested: try object.flag("attested"), detail: try object.text("detail"))
    return ConfidenceTerm(signal: signal, contribution: MilliNats(try object.integer("contribution_millinats")))
  }
  private static func evidence(_ object: JSONObject) throws -> EvidenceRecord {
    guard let fingerprint = Fingerprint(try object.text("fingerprint")) else {
      throw DecisionJSONError(key: "fingerprint", message: "is not 32 hexadecimal digits")
    }
    return EvidenceRecord(
      source: try object.text("source"), offset: try object.integer("offset"), length: try object.integer("length"),
      time: try object.time("time"), fingerprint: fingerprint)
  }
}

extension Severity {
  /// ECS `event.severity`: 1 (informational) to 5 (critical).
  public var eventSeverity: Int { rank + 1 }
}

extension JSONWriter {
  /// 1970-01-01T00:00:00Z until before 2200-01-01T00:00:00Z (84,006 days).
  static func isStamped(_ time: EventTime) -> Bool { time.nanoseconds >= 0 && time.nanoseconds < 84_006 * 86_400 * 1_000_000_000 }
  /// RFC 3339, or, outside the years 1970 to 2199 that its readers take, integer nanoseconds since 1970.
  mutating func value(stamp time: EventTime) {
    if JSONWriter.isStamped(time) { value(time) } else { value(time.nanoseconds) }
  }
}
