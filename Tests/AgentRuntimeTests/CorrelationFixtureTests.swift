// The fixture streams of correlations: each rule alone (its source rules are not loaded), fed by the recorded matches beside it.
import AgentRuntime
import Primitives
import RuleLanguage
import Testing

@Suite struct CorrelationFixtureTests {
  static let directory = String(#filePath.prefix(upTo: #filePath.lastIndex(of: "/") ?? #filePath.startIndex)) + "/Fixtures/correlation"

  @Test func everyStreamGivesWhatItSays() {
    let set = RuleLoader.load(paths: [Self.directory], takesRecordedMatches: true)
    #expect(set.rules.count == 5 && set.refusedCount == 0)
    var tester = RuleTester(set)
    let report = tester.run()
    #expect(report.failures.map { "\($0.location): \($0.reason)" } == [])
    #expect(report.passed == 10 && report.skippedRules.isEmpty)
  }

  /// Where rules run by themselves, a correlation that nothing feeds is a mistake.
  @Test func withoutRecordedMatchesTheyAreRefused() { #expect(RuleLoader.load(paths: [Self.directory]).refusedCount == 5) }

  @Test func evalTakesRecordedMatches() throws {
    var evaluator = RuleEvaluator(RuleLoader.load(paths: ["\(Self.directory)/propagation-depth.yaml"], takesRecordedMatches: true))
    func line(_ text: String) throws -> String {
      String(decoding: try Array(text.utf8).withUnsafeBytes { try evaluator.evaluate(line: $0) }, as: UTF8.self)
    }
    #expect(try line(#"{"@timestamp":"2026-03-02T08:00:00Z","atr.event_id":"a","atr.rule_id":"ATR-2026-98101"}"#) == #"{"id":1,"matches":[]}"#)
    #expect(
      try line(#"{"id":"x","event":{"atr.event_id":"b","atr.rule_id":"ATR-2026-98102","evidence.upstream_chain":["a"]}}"#)
        == #"{"id":"x","matches":[]}"#)
    let last = try line(#"{"atr.event_id":"c","atr.rule_id":"ATR-2026-98103","evidence":{"upstream_chain":["b"]}}"#)
    #expect(last.contains(#""message":"Authority handed on until somebody abuses it""#))
    #expect(last.contains(#""rule_id":"ATR-COR-2026-98005""#) && last.contains(#""evidence.upstream_chain":["a","b","c"]"#))
  }
}
