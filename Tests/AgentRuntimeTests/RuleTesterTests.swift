// The cases that rules carry: a fixture stream beside the rule is found from wherever the rules are loaded, and counts as run.
import AgentRuntime
import Glibc
import RuleLanguage
import Testing

@Suite struct RuleTesterTests {
  private static let rule = """
    title: A refused login
    id: ATR-2026-99001
    severity: low
    agent_source: {type: host_log}
    detection:
      conditions:
        - {field: event.action, operator: exact, value: ssh-login}
      condition: any
    test_cases:
      true_positives:
        - {stream: attack.log, expected: triggered}
        - {stream: missing.log, expected: triggered}
    """

  private func write(_ text: String, _ path: String) {
    let file = fopen(path, "w")
    fputs(text, file)
    fclose(file)
  }

  @Test func streamsLieBesideTheirRule() throws {
    var template = Array("/tmp/panguard-tester-XXXXXX".utf8CString)
    let made = try #require(mkdtemp(&template))
    let directory = String(cString: made)
    defer { for name in ["rule.yaml", "attack.log"] { unlink("\(directory)/\(name)") }; rmdir(directory) }
    write(Self.rule, "\(directory)/rule.yaml")
    write("2026-01-05T00:00:01Z web01 sshd[7]: Failed password for root from 192.0.2.7 port 4022 ssh2\n", "\(directory)/attack.log")

    var tester = RuleTester(RuleLoader.load(paths: [directory]))
    let report = tester.run()
    #expect(report.passed == 1)
    #expect(report.casesRun == 2)
    #expect(report.failures.count == 1)
    #expect(report.failures.first?.reason.contains("\(directory)/missing.log") == true)
  }

  // MARK: Outcomes

  private static func report(
    _ cases: String, detection: String = "conditions: [{field: content, operator: contains, value: x, description: an x}]", status: String = "draft"
  )
    -> RuleTestReport
  {
    let text = """
      title: A rule
      id: ATR-2026-00001
      severity: low
      status: \(status)
      tags: {category: model-abuse}
      agent_source: {type: llm_io}
      detection: {\(detection), condition: any}
      test_cases: {\(cases)}
      """
    var tester = RuleTester(RuleLoader.load(document: text, file: "r.yaml"))
    return tester.run()
  }
  static let outcomes: [(cases: String, outcome: RuleTestReport.Outcome)] = [
    ("true_positives: [x]", .passed), ("true_positives: [y]", .failed("the rule did not fire")), ("true_negatives: [y]", .passed),
    ("true_negatives: [x]", .failed("the rule fired, but must not")), ("evasion_tests: [x]", .passed),
    ("evasion_tests: [{input: y, expected: not_triggered}]", .documentedEvasion),
    ("evasion_tests: [{input: x, expected: not_triggered}]", .caughtEvasion), ("evasion_tests: [y]", .failed("the rule did not fire")),
    ("true_positives: [{input: x, matched_condition: an x}]", .passed), ("true_positives: [{input: x, matched_condition: '1'}]", .passed),
    ("true_positives: [{input: x, matched_condition: some words about it}]", .passed),
  ]
  @Test(arguments: outcomes) func outcome(_ cases: String, _ expected: RuleTestReport.Outcome) {
    let report = Self.report(cases)
    #expect(report.results.map(\.outcome) == [expected])
    #expect(report.results.first?.category == "model-abuse")
    #expect(report.casesRun == 1)
  }
  /// What passed, what failed and both kinds of evasions are all that ran.
  @Test func evasionsAreNotPassed() {
    let report = Self.report("true_positives: [x, y], evasion_tests: [x, {input: y, expected: not_triggered}, {input: x, expected: not_triggered}]")
    #expect(report.passed == 2 && report.failures.count == 1 && report.documentedEvasions == 1 && report.caughtEvasions == 1)
    #expect(report.passed + report.failures.count + report.documentedEvasions + report.caughtEvasions == report.casesRun)
  }
  /// What was given up was not decided, so it proves no silence.
  @Test(arguments: ["true_negatives", "true_positives"]) func aLimitIsNoAnswer(_ group: String) {
    let text = String(repeating: "a", count: 5000)
    let report = Self.report(
      "\(group): [\(text)]",
      detection: "conditions: [{field: content, operator: regex, value: '^(([a-z])+.)+[A-Z]([a-z])+\\1$', case_sensitive: true}]")
    #expect(report.failures.map(\.reason) == ["the rule could not be decided: a limit was hit while a pattern was matched"])
  }
  @Test func theConditionThatACaseNamesMustBeTheOneThatHolds() {
    let detection =
      "conditions: [{field: content, operator: contains, value: x, description: an x}, {field: content, operator: contains, value: y, description: a y}]"
    let report = Self.report(
      "true_positives: [{input: x y, matched_condition: a y}, {input: x, matched_condition: a y}, {input: y, matched_condition: '2'}]",
      detection: detection)
    #expect(report.results.map { $0.outcome == .passed } == [true, false, true])
    #expect(report.failures.first?.reason == "the rule fired, but not by condition 'a y': it was '1'")
  }
  @Test func whatIsSkippedIsCountedAndNotRun() {
    let report = Self.report("true_positives: [x, x], true_negatives: [y]", detection: "method: telepathy")
    #expect(report.results.count == 3)
    #expect(report.casesRun == 0)
    #expect(report.passed == 0)
    #expect(report.skippedRules.map(\.cases) == [3])
    #expect(report.results.allSatisfy { $0.outcome == .skipped("telepathy: this engine does not know the method") })
  }
  @Test(arguments: [
    (#"{"metric_value":4,"group":{"session.id":"s"}}"#, RuleTestReport.Outcome.passed),
    (#"{"metric_value":3,"group":{"session.id":"s"}}"#, .failed("the rule did not fire")),
    (#"{"metric_value":4,"group":{"other":"s"}}"#, .failed("the rule did not fire")),
    (#"{"metric_value":4,"in_cooldown":true,"group":{"session.id":"s"}}"#, .failed("the rule did not fire")),
    (#"{"metric_value":0.5,"group":{}}"#, .failed("the case states a count of 0.5, and only a count can be played as events")),
    (#"{"metric_value":99999999,"group":{}}"#, .failed("the case states a count of 99999999, and only a count can be played as events")),
  ]) func aCaseMayStateWhatAWindowHeld(_ json: String, _ outcome: RuleTestReport.Outcome) {
    let behavior =
      "method: behavioral, behavioral: {metric: calls, aggregation: count, window: 1m, operator: gt, threshold: 3, group_by: [session.id], cooldown: 5m, filter: {span.kind: {in: [TOOL]}}}"
    #expect(Self.report("true_positives: [{input: '\(json)'}]", detection: behavior).results.map(\.outcome) == [outcome])
  }
  @Test(arguments: [
    // A rule that could not be evaluated has not been silent.
    (
      #"true_negatives: [{trace: "{broken"}]"#,
      RuleTestReport.Outcome.failed("the rule could not be evaluated: the trace is not JSON")
    ), (#"true_negatives: [{input: "{broken"}]"#, .failed("the rule could not be evaluated: the trace is not JSON")),
    ("true_positives: [{input: {trace: {spans: [{span.kind: TOOL}]}}}]", .passed),
    ("true_positives: [{input: {spans: [{span.kind: TOOL}]}}]", .passed), ("true_positives: [{trace: {spans: [{span.kind: TOOL}]}}]", .passed),
    ("true_negatives: [{input: {trace: {spans: [{span.kind: AGENT}]}}}]", .passed),
  ]) func traces(_ cases: String, _ expected: RuleTestReport.Outcome) {
    let text = """
      {title: A rule, id: ATR-2026-00001, severity: low, tags: {category: model-abuse}, agent_source: {type: agent_trace},
      detection: {method: trace, trace: {ingest_format: openinference, forbid: [{shape: {span.kind: TOOL}}]}}, test_cases: {\(cases)}}
      """
    var tester = RuleTester(RuleLoader.load(document: text, file: "r.yaml"))
    let outcomes = tester.run().results.map(\.outcome)
    if case .failed(let reason) = expected, case .failed(let found)? = outcomes.first {
      #expect(found.hasPrefix(reason), "\(found)")
    } else {
      #expect(outcomes == [expected])
    }
  }

  /// A stream from which no source rule could match says nothing about the correlation, whatever is expected of it.
  @Test(arguments: [
    ("", false), ("\n\n \n", false), ("garbage\nmore\n", false), ("{\"atr.rule_id\":\"ATR-2026-77777\"}\n", false),
    ("{\"atr.rule_id\":\"ATR-2026-99102\"}\n", true), ("{\"user_input\":\"x\"}\n", false),
  ]) func streamsMustFeedTheCorrelation(_ stream: String, _ passes: Bool) throws {
    var template = Array("/tmp/panguard-tester-XXXXXX".utf8CString)
    let made = try #require(mkdtemp(&template))
    let directory = String(cString: made)
    defer { for name in ["rule.yaml", "negative.jsonl"] { unlink("\(directory)/\(name)") }; rmdir(directory) }
    write(
      """
      correlation: {id: ATR-COR-2026-99101, title: T, severity: high, status: experimental}
      agent_source: {type: multi_agent_comm}
      source_rules: [{alias: a, rule_id: ATR-2026-99102}]
      correlation_logic: {type: count_threshold, count: 3, join_keys: [agent.id], window: 1h}
      test_cases: {true_negative_streams: [negative.jsonl]}
      """, "\(directory)/rule.yaml")
    write(stream, "\(directory)/negative.jsonl")
    let set = RuleLoader.load(paths: [directory], takesRecordedMatches: true)
    #expect(set.refusedCount == 0, "\(set.diagnostics)")
    var tester = RuleTester(set)
    let outcome = tester.run().results.map(\.outcome)
    #expect(
      outcome == [passes ? .passed : .failed("no line of the stream is, or causes, a match of a source rule: the case would prove nothing")])
  }

  @Test func answersOfAReference() throws {
    let report = Self.report("true_positives: [x, y], true_negatives: [z]")
    let text = """
      {"rule_id":"ATR-2026-00001","case":"test_cases.true_positives[1]","expected":true,"fired":true}
      {"rule_id":"ATR-2026-00001","case":"test_cases.true_positives[2]","expected":true,"fired":false}

      {"rule_id":"ATR-2026-00001","case":"test_cases.true_negatives[1]","fired":null,"reason":"not run"}
      """
    let reference = try Array(text.utf8).withUnsafeBytes { try RuleTestReference($0, name: "r") }
    #expect(report.results.map(reference.fired) == [true, false, nil])
    #expect(report.results.map(reference.passes) == [true, false, false])
    for bad in ["{", "[1]", #"{"rule_id":"a"}"#, #"{"case":"a"}"#, "x"] {
      #expect(throws: RuleTestReference.Unreadable.self) { try Array(bad.utf8).withUnsafeBytes { _ = try RuleTestReference($0, name: "r") } }
    }
  }
}
