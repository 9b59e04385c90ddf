// Decisions as a STIX 2.1 bundle (OASIS, stix-v2.1-os): an indicator for each rule, a sighting for each decision, and the fields of an ATR
// match (SPEC.md, 7) in the property extension `x-atr-rule`. What must stay true: as with ATR events, no text of an event, no address and
// no name is in it, and the same decisions give the same bytes.
import Detection
import Events
import Primitives
import RuleLanguage

public enum STIXBundle {
  static let extensionID = "extension-definition--5f0a2f8e-4b0c-4f6e-9d53-5b1f3a0c7e21"
  static let identityID = "identity--0d3c1b9a-7f0e-4a41-8d8f-6f2b9c5e4a10"

  /// `rules`: where a decision's rule is among them, field and operator of each selector stand beside its name.
  public static func bytes(_ decisions: [Decision], version: String, rules: [Rule] = []) -> [UInt8] {
    let rules = Dictionary(rules.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })  // only looked up
    var objects: [CanonicalJSON] = []
    let first = stamp(decisions.map(\.firstTime).min() ?? .zero)
    func object(_ type: String, _ id: String, _ created: String, _ members: [(String, CanonicalJSON)]) -> CanonicalJSON {
      let head: [(String, CanonicalJSON)] = [
        ("type", .string(type)), ("spec_version", .string("2.1")), ("id", .string(id)), ("created", .string(created)), ("modified", .string(created)),
      ]
      return .object((head + members).map { CanonicalJSON.Member($0.0, $0.1) })
    }
    objects.append(object("identity", identityID, first, [("name", .string("Panguard")), ("identity_class", .string("system"))]))
    objects.append(
      object(
        "extension-definition", extensionID, first,
        [
          ("name", .string("x-atr-rule")), ("description", .string("Match output of an ATR engine")), ("created_by_ref", .string(identityID)),
          ("schema", .string("https://agentthreatrule.org/atr/spec")), ("version", .string("1.0.0")),
          ("extension_types", .array([.string("property-extension")])),
        ]))
    var indicators: [String: String] = [:]  // only looked up
    for decision in decisions {
      let created = stamp(decision.time)
      if indicators[decision.ruleID] == nil {
        let hash = Array("indicator \(decision.ruleID)".utf8).withUnsafeBytes { Fingerprint(of: $0) }
        let id = "indicator--" + UUIDv7.text(time: decision.firstTime, hash: hash)
        indicators[decision.ruleID] = id
        objects.append(
          object(
            "indicator", id, created,
            [
              ("created_by_ref", .string(identityID)), ("name", .string(decision.ruleTitle)), ("pattern", .string(decision.ruleID)),
              ("pattern_type", .string("atr")), ("valid_from", .string(stamp(decision.firstTime))),
            ]))
      }
      objects.append(
        object(
          "sighting", "sighting--" + ATREvent.identifier(of: decision), created,
          [
            ("created_by_ref", .string(identityID)), ("first_seen", .string(stamp(decision.firstTime))),
            ("last_seen", .string(stamp(decision.lastTime))),
            ("count", .integer(Int64(clamping: min(decision.matchCount, 999_999_999)))),
            ("sighting_of_ref", .string(indicators[decision.ruleID] ?? "")),
            ("extensions", .object([CanonicalJSON.Member(extensionID, match(decision, rules[decision.ruleID]))])),
          ]))
    }
    let hash = objects.reduce(into: [UInt8]()) { $0 += $1.bytes }.withUnsafeBytes { Fingerprint(of: $0) }
    let bundle: [(String, CanonicalJSON)] = [
      ("type", .string("bundle")), ("id", .string("bundle--" + UUIDv7.text(time: decisions.last?.time ?? .zero, hash: hash))),
      ("objects", .array(objects)),
    ]
    return CanonicalJSON.object(bundle.map { CanonicalJSON.Member($0.0, $0.1) }).bytes
  }

  /// The fields that SPEC.md section 7 demands.
  private static func match(_ decision: Decision, _ rule: Rule?) -> CanonicalJSON {
    let input = decision.evidence.last.map { "\($0.fingerprint)" } ?? decision.id
    var members: [(String, CanonicalJSON)] = [
      ("extension_type", .string("property-extension")), ("rule_id", .string(decision.ruleID)),
      ("corpus_version", .string(decision.provenance.ruleSetHash)), ("input_identifier", .string(input)),
      ("matched_at", .string(stamp(decision.time))),
      ("severity", .string(decision.severity.rawValue)), ("category", .string(decision.category)),
      ("matched_selectors", .array(decision.selectors.map { .string($0) })),
      ("upstream_chain", .array(decision.upstream.map { .string($0) })),
    ]
    if let rule {
      let conditions = MatchedCondition.of(decision, rule)
      if !conditions.isEmpty {
        let list = conditions.map { condition -> CanonicalJSON in
          let texts = [("selector", condition.selector), ("field", condition.field), ("operator", condition.operation)]
          return .object(texts.map { CanonicalJSON.Member($0.0, .string($0.1)) })
        }
        members.append(("matched_conditions", .array(list)))
      }
    }
    return .object(members.map { CanonicalJSON.Member($0.0, $0.1) })
  }

  /// STIX wants RFC 3339 in UTC; milliseconds are enough and what its readers take.
  private static func stamp(_ time: EventTime) -> String {
    let clamped = min(max(time.nanoseconds, 0), 7_258_118_399_000_000_000)
    return "\(EventTime(nanoseconds: clamped / 1_000_000 * 1_000_000))"
  }
}
