// One line for each match, with the fields that SPEC.md section 7 demands; and where streams of correlations are found.
import AgentRuntime
import Export
import Foundation
import Primitives
import RuleLanguage
import Testing

@Suite struct MatchOutputTests {
  private static let rules = """
    id: ATR-2026-99001
    title: A test
    severity: high
    agent_source: {type: llm_io}
    tags: {category: prompt-injection, scan_target: mcp}
    detection:
      conditions:
        order: {field: content, patterns: ['ignore all']}
        other: {field: content, patterns: ['never']}
        place: {field: content, match_type: contains, patterns: ['http://']}
      condition: order or place
    ---
    id: ATR-2026-99002
    title: Counted
    severity: low
    agent_source: {type: llm_io}
    detection: {method: behavioral, behavioral: {metric: spend, aggregation: count, window: 1h, operator: gte, threshold: 1,
      filter: {spend: {exists: true}}}}
    """

  @Test func everyFieldOfTheStandardIsThere() throws {
    let set = RuleLoader.load(document: Self.rules, file: "r.yaml")
    #expect(set.rules.count == 2, "\(set.diagnostics)")
    var evaluator = RuleEvaluator(set)
    let now = try #require(EventTime(rfc3339: "2026-01-05T00:00:00Z"))
    func lines(_ text: String) throws -> [String] {
      try Array(text.utf8).withUnsafeBytes { try evaluator.matches(line: $0, corpusVersion: "2.2.2", readTime: now) }
        .map { String(decoding: $0, as: UTF8.self) }
    }
    #expect(
      try lines(#"{"id":"a","event":{"content":"ignore all of http://x"}}"#) == [
        #"{"rule_id":"ATR-2026-99001","corpus_version":"2.2.2","input_identifier":"a","matched_at":"2026-01-05T00:00:00Z","severity":"high","#
          + #""category":"prompt-injection","matched_selectors":["order","place"]}"#
      ])
    #expect(try lines(#"{"event":{"content":"nothing"}}"#) == [])
    // The event's own time, and any id as a text.
    let timed = try lines(#"{"id":7,"event":{"@timestamp":"2026-02-01T10:00:00Z","spend":3,"content":""}}"#)
    #expect(timed.count == 1 && timed[0].contains(#""input_identifier":"7","matched_at":"2026-02-01T10:00:00Z""#), "\(timed)")
    #expect(timed[0].contains(#""category":"uncategorized","matched_selectors":["spend"]"#), "\(timed)")
    #expect(throws: (any Error).self) { try lines("[1]") }
    for name in ["rule_id", "corpus_version", "input_identifier", "matched_at", "severity", "category", "matched_selectors"] {
      #expect(timed[0].contains("\"\(name)\":"))
    }
  }

  /// What is copied from the line is made UTF-8, and an event that did not fit says so.
  @Test func hostileEvents() throws {
    var evaluator = RuleEvaluator(RuleLoader.load(document: Self.rules, file: "r.yaml"))
    func lines(_ bytes: [UInt8]) throws -> [String] {
      try bytes.withUnsafeBytes { try evaluator.matches(line: $0, corpusVersion: "1", readTime: .zero) }.map { out in
        #expect(String(validating: out, as: UTF8.self) != nil)
        return String(decoding: out, as: UTF8.self)
      }
    }
    let raw = try lines(Array(#"{"id":"a"#.utf8) + [0xff, 0xfe] + Array(#"","event":{"content":"ignore all"}}"#.utf8))
    #expect(raw.count == 1 && raw[0].contains("\"input_identifier\":\"a\u{fffd}\u{fffd}\""), "\(raw)")
    let fields = (0..<2000).map { #""x\#($0)":"y""# }.joined(separator: ",")
    let long = try lines(Array(#"{"id":"b","event":{"content":"ignore all",\#(fields)}}"#.utf8))
    #expect(long.count == 2 && long[1] == #"{"input_identifier":"b","truncated":true}"#, "\(long)")
  }

  /// The standard's place for streams: tests/correlation-streams/<rule-id>/ of the tree, whatever folder of it holds the rule.
  @Test(arguments: ["s.jsonl", "tests/correlation-streams/ATR-COR-2026-99001/s.jsonl"]) func streamsInTheStandardsPlace(_ name: String) throws {
    let root = NSTemporaryDirectory() + "panguard-streams-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    let folder = "\(root)/tests/correlation-streams/ATR-COR-2026-99001"
    for directory in ["\(root)/rules/correlation", folder] {
      try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }
    let stream = (1...2).map { #"{"@timestamp":"2026-01-05T00:00:0\#($0)Z","atr.rule_id":"ATR-2026-99010","agent.id":"a"}"# + "\n" }.joined()
    try stream.write(toFile: "\(folder)/s.jsonl", atomically: true, encoding: .utf8)
    let rule = """
      correlation: {schema_version: "1.0", id: ATR-COR-2026-99001, title: Twice, severity: high}
      source_rules: [{alias: one, rule_id: ATR-2026-99010}]
      correlation_logic:
        type: count_threshold
        count: 2
        join_keys: [agent.id]
        window: {type: wall_time, max_wall_time: 1h}
      test_cases: {true_positive_streams: [\(name)]}
      """
    try rule.write(toFile: "\(root)/rules/correlation/r.yaml", atomically: true, encoding: .utf8)
    let set = RuleLoader.load(paths: ["\(root)/rules"], takesRecordedMatches: true)
    #expect(set.rules.count == 1, "\(set.diagnostics)")
    var tester = RuleTester(set)
    let result = tester.run()
    #expect(result.passed == 1, "\(result.failures)")
    let streams = set.rules.flatMap(RuleFileWatch.streams)
    #expect(streams == ["\(folder)/s.jsonl"])
    // A stream beside the rule goes first.
    let beside = "\(root)/rules/correlation/\(name)"
    try FileManager.default.createDirectory(atPath: (beside as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try "".write(toFile: beside, atomically: true, encoding: .utf8)
    #expect(set.rules.flatMap(RuleFileWatch.streams) == [beside])
  }

  @Test func aBundleIsWatchedAsAFile() throws {
    let set = RuleLoader.load(paths: [], documents: [RuleFile(name: "b.json!r.yaml", bytes: Array(Self.rules.utf8))])
    #expect(RuleFileWatch.affected(by: ["b.json"], in: set) == ["ATR-2026-99001", "ATR-2026-99002"])
    #expect(RuleFileWatch.affected(by: ["b"], in: set).isEmpty)
  }
}
