// Small builders for rules and events, and a fixed random sequence.
import Events
import Primitives
import RuleLanguage
import Testing

@testable import RuleEngine

let here = SourceLocation(file: "test.yaml", line: 1, column: 1)

func rule(_ id: String, _ detection: Detection) -> Rule {
  Rule(
    id: id, title: id, summary: "", author: "", date: "", status: "", maturity: "", severity: .medium, confidence: Confidence(thousandths: 700),
    agentSource: "host_log", category: "test", subcategory: "", techniques: [], references: [], falsePositives: [], responseActions: [],
    family: "test", isExculpatory: false, detection: detection, tests: [], location: here, fingerprint: Fingerprint(high: 0, low: 0))
}

func ruleSet(_ rules: Rule...) -> RuleSet { RuleSet(rules: rules, diagnostics: [], refusedCount: 0) }
func ruleSet(_ rules: [Rule]) -> RuleSet { RuleSet(rules: rules, diagnostics: [], refusedCount: 0) }

func condition(_ field: String, _ test: Condition.Test, not: Bool = false) -> Condition {
  Condition(name: field, field: FieldReference(name: field), test: test, isNegated: not, location: here)
}
func isExactly(_ field: String, _ value: String) -> Condition { condition(field, .exact([value], caseSensitive: true)) }

func pattern(_ id: String, any conditions: Condition...) -> Rule {
  rule(id, .pattern(conditions: conditions, expression: .any(conditions.indices.map(Expression.condition))))
}
func pattern(_ id: String, all conditions: Condition...) -> Rule {
  rule(id, .pattern(conditions: conditions, expression: .all(conditions.indices.map(Expression.condition))))
}
func regexRule(_ id: String, _ pattern: String, field: String = "message", caseSensitive: Bool = false) -> Rule {
  RuleEngineTests.pattern(id, any: condition(field, .regex([pattern], caseSensitive: caseSensitive)))
}

func behavior(
  _ id: String, _ aggregation: BehavioralDetection.Aggregation, of metric: String? = nil, _ comparison: Comparison = .gte, _ threshold: Int64,
  window: Nanoseconds, by groupBy: [String] = ["source.ip"], networks: Bool = false, filter: [Condition] = [], minEvents: Int64 = 0,
  cooldown: Nanoseconds? = nil
) -> Rule {
  rule(
    id,
    .behavioral(
      BehavioralDetection(
        metric: metric ?? "events", metricField: metric.map { FieldReference(name: $0) }, aggregation: aggregation, window: window,
        comparison: comparison, threshold: threshold, groupBy: groupBy.map { FieldReference(name: $0) }, groupsIPv6ByNetwork: networks,
        filter: filter, filterExpression: .all(filter.indices.map(Expression.condition)), minEvents: minEvents, cooldown: cooldown)))
}

/// Sets `event` to these fields; times are in seconds, offsets count up with them.
func fill(_ event: inout Event, _ fields: [(String, String)], at seconds: Int64 = 0, offset: UInt64 = 0) {
  event.begin(raw: Bytes("raw"), origin: EventOrigin(source: 0, offset: offset, length: 3))
  event.time = EventTime(seconds: seconds)
  for (name, value) in fields {
    Array(value.utf8).withUnsafeBytes { value in
      if let field = Field(name: name), event.set(field, parsing: value) { return }
      Array(name.utf8).withUnsafeBytes { event.setExtra($0, value) }
    }
  }
}

/// The same for one field of raw bytes.
func fill(_ event: inout Event, message: [UInt8]) {
  event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
  message.withUnsafeBytes { event.set(.message, $0) }
}

struct Random {
  var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state = state &+ 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
  mutating func below(_ n: Int) -> Int { Int(next() % UInt64(n)) }
  mutating func pick<T>(_ list: [T]) -> T { list[below(list.count)] }
}

extension RuleEngine {
  /// Ids of the rules that match.
  mutating func ids(_ event: borrowing Event, at time: EventTime? = nil, feedsWindows: Bool = true) -> [String] {
    var matches: [RuleMatch] = []
    evaluate(event, at: time ?? event.time, feedsWindows: feedsWindows, into: &matches)
    return matches.map { compiled.ruleSet.rules[$0.rule].id }
  }
  mutating func matches(_ event: borrowing Event, at time: EventTime? = nil) -> [RuleMatch] {
    var matches: [RuleMatch] = []
    evaluate(event, at: time ?? event.time, into: &matches)
    return matches
  }
}
