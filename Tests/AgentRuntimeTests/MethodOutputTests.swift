// What `rules eval` says of matches of rules that are no patterns, and of rules that could not be evaluated.
import AgentRuntime
import Primitives
import RuleLanguage
import Testing

@Suite struct MethodOutputTests {
  private static func rule(_ id: String, _ detection: String) -> String {
    """
    schema_version: "1.0"
    id: \(id)
    title: t
    severity: high
    agent_source: {type: agent_trace}
    detection: \(detection)
    """
  }
  private static let text = [
    rule(
      "ATR-2026-90001",
      "{method: signature, signature: {indicators: [{type: package_name, value: bad, target_field: pkg, provenance: {first_observed: '2026-01-01', source: s}}]}}"
    ),
    rule(
      "ATR-2026-90002",
      "{method: trace, trace: {ingest_format: openinference, forbid: [{name: no-tools, shape: {span.kind: TOOL}, preceded_by: {span.kind: AGENT}}]}}"
    ),
    rule(
      "ATR-2026-90003",
      "{method: semantic, semantic: {threshold: 0.5, fallback_method: pattern}, conditions: [{field: content, operator: contains, value: secret}], condition: any}"
    ),
    rule(
      "ATR-2026-90004",
      "{method: behavioral, behavioral: {metric: spend, aggregation: sum, window: PT1M, operator: deviation_from_baseline, threshold: 1, baseline: {source: fixed, value: 0.5, deviation_unit: fraction}}}"
    ),
    rule(
      "ATR-2026-90005",
      "{method: behavioral, behavioral: {metric: cost, aggregation: sum, window: PT1M, operator: gte, threshold: 1.5}}"
    ),
    rule(
      "ATR-2026-90006",
      "{method: behavioral, behavioral: {metric: calls, aggregation: rate, window: 5s, operator: gte, threshold: 0.2, filter: {kind: call}}}"
    ),
    rule(
      "ATR-2026-90007",
      "{method: signature, signature: {match_logic: all, indicators: [{type: package_name, value: x, target_field: p}, {type: skill_id, value: y, target_field: q}]}}"
    ),
  ].joined(separator: "\n---\n")

  @Test(arguments: [
    // In the metric's own unit, not in the engine's.
    (#"{"cost":1.75}"#, #"[{"rule_id":"ATR-2026-90005","severity":"high","matched":[],"observed":1.75,"threshold":1.5}]"#),
    (#"{"kind":"call"}"#, #"[{"rule_id":"ATR-2026-90006","severity":"high","matched":[],"observed":0.2,"threshold":0.2}]"#),
    (
      #"{"p":"x","q":"y"}"#,
      #"[{"rule_id":"ATR-2026-90007","severity":"high","matched":[],"indicators":[{"type":"package_name","value":"x","target_field":"p"},{"type":"skill_id","value":"y","target_field":"q"}],"observed":2,"threshold":2}]"#
    ),
    (
      #"{"pkg":"bad"}"#,
      #"[{"rule_id":"ATR-2026-90001","severity":"high","matched":[],"indicators":[{"type":"package_name","value":"bad","target_field":"pkg","provenance":{"first_observed":"2026-01-01","source":"s","attribution":""}}]}]"#
    ),
    (
      #"{"trace":{"spans":[{"id":"a","kind":"AGENT"},{"id":"t","kind":"TOOL","attributes":{"tool.args":"private"}}]}}"#,
      #"[{"rule_id":"ATR-2026-90002","severity":"high","matched":[],"violations":[{"primitive":"no-tools","span":"t","other_span":"a"}],"violation_count":1}]"#
    ),
    (#"{"content":"a secret"}"#, #"[{"rule_id":"ATR-2026-90003","severity":"high","matched":["1"],"method":"semantic","via":"fallback"}]"#),
    (
      #"{"spend":1.25}"#,
      #"[{"rule_id":"ATR-2026-90004","severity":"high","matched":[],"baseline":{"value":0.5,"deviation":1.5,"samples":0},"observed":1.25,"threshold":1}]"#
    ),
    (
      #"{"trace":"{"}"#,
      #"[],"errors":[{"rule_id":"ATR-2026-90002","outcome":"graceful_error","message":"the trace is not JSON: unterminated JSON object at byte 1"}]"#
    ),
  ])
  func lines(_ event: String, _ matches: String) throws {
    let set = RuleLoader.load(document: Self.text, file: "r.yaml")
    #expect(set.diagnostics.filter { $0.severity == .error }.map(\.description) == [])
    var evaluator = RuleEvaluator(set)
    let line = Array("{\"id\":7,\"event\":\(event)}".utf8)
    let out = try line.withUnsafeBytes { try evaluator.evaluate(line: $0) }
    #expect(String(decoding: out, as: UTF8.self) == "{\"id\":7,\"matches\":\(matches)}")
  }

  /// What is not run is in the metadata of each evaluation (method 9), and so are correlations that nothing can feed.
  @Test func skippedRulesAreNamed() throws {
    let text = [
      Self.rule("ATR-2026-90011", "{method: quantum}"),
      Self.rule("ATR-2026-90012", "{method: semantic, semantic: {threshold: 0.5, fallback_method: none}}"),
      Self.rule("ATR-2026-90013", "{conditions: {m: {metric: calls, operator: gt, threshold: 3}}, condition: any}"),
      Self.rule("ATR-2026-90014", "{conditions: [{field: content, operator: contains, value: x}], condition: any}"),
      """
      correlation: {id: ATR-COR-2026-90015, title: T, severity: high, status: experimental}
      agent_source: {type: multi_agent_comm}
      source_rules: [{alias: a, rule_id: ATR-2026-90011}, {alias: b, rule_id: ATR-2026-90014}]
      correlation_logic: {type: temporal_unordered, window: 1h}
      """,
    ].joined(separator: "\n---\n")
    let set = RuleLoader.load(document: text, file: "r.yaml")
    #expect(set.diagnostics.filter { $0.severity == .error }.map(\.description) == [])
    var evaluator = RuleEvaluator(set)
    let out = try Array(#"{"id":1,"event":{"content":"y"}}"#.utf8).withUnsafeBytes { try evaluator.evaluate(line: $0) }
    #expect(
      String(decoding: out, as: UTF8.self)
        == #"{"id":1,"matches":[],"skipped":[{"rule_id":"ATR-2026-90011","method":"quantum"},{"rule_id":"ATR-2026-90012","method":"semantic"},{"rule_id":"ATR-2026-90013","method":"pattern"}]}"#
    )
    #expect(evaluator.skipped.allSatisfy { !$0.reason.isEmpty })
    #expect(
      UnfedCorrelation.sentences(set) == ["ATR-COR-2026-90015 waits for 'a' (ATR-2026-90011), which does not run: method quantum is skipped"])
  }
  /// A skill document is what signatures call `skill.content`.
  @Test(arguments: [
    (#"{"content":"bad","scan_target":"skill"}"#, true), (#"{"content":"bad"}"#, false), (#"{"content":"bad","scan_target":"mcp"}"#, false),
    (#"{"content":"bad","scan_target":"skill","fields":{"skill.content":"good"}}"#, false),
    (#"{"content":"bad","scan_target":"skill","fields":{"skill.content":null}}"#, false),
    (#"{"content":"good","scan_target":"skill","skill":{"content":"bad"}}"#, true),
  ]) func skillContent(_ event: String, _ isMatch: Bool) throws {
    let digest = SHA256Hash.hex(of: Array("bad".utf8))
    let text = Self.rule(
      "ATR-2026-90021", "{method: signature, signature: {indicators: [{type: sha256, value: \"\(digest)\", target_field: skill.content}]}}")
    var evaluator = RuleEvaluator(RuleLoader.load(document: text, file: "r.yaml"))
    let out = try Array("{\"event\":\(event)}".utf8).withUnsafeBytes { try evaluator.evaluate(line: $0) }
    #expect(String(decoding: out, as: UTF8.self).contains("ATR-2026-90021") == isMatch)
  }

  /// A rule that a limit left open is named, however many there are: silence would read as "no match".
  @Test func aHitLimitNamesTheRule() throws {
    let count = Limits.limitRecords + 10
    let documents = (0..<count).map { number in
      Self.rule(
        "ATR-2026-\(90_000 + number)",
        "{conditions: [{field: content, operator: regex, value: '(a+(?:\(number))?)+(\(number)a+)+$'}], condition: any}")
    }
    let set = RuleLoader.load(document: documents.joined(separator: "\n---\n"), file: "r.yaml")
    #expect(set.diagnostics.filter { $0.severity == .error }.map(\.description) == [])
    var evaluator = RuleEvaluator(set)
    let unit = String(repeating: "a", count: 40)
    let text = (0..<count).map { "\(unit)\($0)\(unit)" }.joined(separator: "b") + "b"
    let line = Array("{\"id\":1,\"event\":{\"content\":\"\(text)\"}}".utf8)
    let out = String(decoding: try line.withUnsafeBytes { try evaluator.evaluate(line: $0) }, as: UTF8.self)
    let error = #"{"rule_id":"ATR-2026-90000","outcome":"graceful_error","message":"a limit was hit while a pattern was matched"}"#
    #expect(out.contains(#""errors":["# + error))
    #expect(out.contains(#""rule_id":"ATR-2026-90200""#))
    #expect(out.contains(#""errors_dropped":10"#), "\(out.suffix(200))")
  }
}
