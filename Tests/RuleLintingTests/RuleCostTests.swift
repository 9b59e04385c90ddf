// What `rules cost` says about patterns of a known kind. The clock is counted, not read.
import Primitives
import RuleLanguage
import Testing

@testable import RuleLinting

@Suite struct RuleCostTests {
  private func cost(_ pattern: String, _ texts: [String]) -> RuleCost? {
    let text = """
      title: T
      id: ATR-2026-00001
      severity: high
      agent_source: {type: llm_io}
      detection:
        conditions:
          a: {field: content, patterns: ['\(pattern)']}
        condition: a

      """
    var now: Int64 = 0
    let clock = { () -> Int64 in
      now += 10
      return now
    }
    return RuleCosting.report(RuleLoader.load(document: text, file: "r"), texts: texts, clock: clock).costs.first
  }
  private let texts = ["the quick brown fox", "jumps over", "the lazy dog", "a zebrafish", "and so on", "nothing"]

  @Test func patternsRunOnlyWhereTheirTextIs() {
    let found = cost("zebrafish\\s*$", texts)
    #expect(found?.confirmations == 1 && found?.matches == 1 && found?.patterns == 1 && found?.nanoseconds == 10)
    #expect(found?.reasons == [])
    let absent = cost("giraffe park", texts)
    #expect(absent?.confirmations == 0 && absent?.nanoseconds == 0)
  }

  /// The first round pays for cold memory, and any of them for what else the machine does: the quickest counts.
  @Test func theQuickestRoundCounts() {
    let text = """
      {title: T, id: ATR-2026-00001, severity: high, agent_source: {type: llm_io},
       detection: {conditions: {a: {field: content, patterns: [zebrafish]}}, condition: a}}
      """
    func measured(_ took: [Int64]) -> RuleCost? {
      var (calls, now) = (0, Int64(0))
      let clock = { () -> Int64 in
        if calls % 2 == 1 { now += calls / 2 < took.count ? took[calls / 2] : 900 }
        calls += 1
        return now
      }
      return RuleCosting.report(RuleLoader.load(document: text, file: "r"), texts: texts, clock: clock).costs.first
    }
    let usual = measured([5000, 300, 20, 4000])
    #expect(usual?.nanoseconds == 20 && usual?.confirmations == 1 && usual?.matches == 1)
    // A long round is its own average.
    #expect(measured([60_000_000, 20])?.nanoseconds == 60_000_000)
  }

  @Test func patternsWithoutTextRunEverywhere() {
    let found = cost("[a-z]{3}\\s[a-z]+", texts)
    #expect(found?.confirmations == texts.count)
    #expect(found?.reasons.contains(.noRequiredText) == true)
  }

  @Test func theDearestComesFirst() {
    func rule(_ id: Int, _ pattern: String) -> String {
      """
      title: T
      id: ATR-2026-0000\(id)
      severity: high
      agent_source: {type: llm_io}
      detection: {conditions: {a: {field: content, patterns: ['\(pattern)']}}, condition: a}

      """
    }
    var now: Int64 = 0
    let set = RuleLoader.load(document: rule(1, "giraffe park") + "---\n" + rule(2, "zebrafish"), file: "r")
    let report = RuleCosting.report(
      set, texts: texts,
      clock: {
        now += 10
        return now
      })
    #expect(report.costs.map(\.ruleID) == ["ATR-2026-00002", "ATR-2026-00001"])
    #expect(report.share(report.costs[0]) == 1000)
    #expect(report.texts == texts.count && report.confirmations == 1)
  }
}
