// ATR's own rules of the methods trace, behavioral and semantic, through their own cases. The corpus is not in this repository; the
// cases that must fail are listed with the reason.
import AgentRuntime
import Glibc
import Primitives
import RuleLanguage
import Testing

@Suite struct MethodCorpusTests {
  private var corpus: String? {
    var status = stat()
    if let value = getenv("PANGUARD_SHARED") {
      let path = String(cString: value)
      return stat(path + "/corpora/atr", &status) == 0 ? path + "/corpora/atr" : nil
    }
    var directory = #filePath.split(separator: "/").dropLast()
    while !directory.isEmpty {
      directory.removeLast()
      let candidate = "/" + (directory + ["shared", "corpora", "atr"]).joined(separator: "/")
      if stat(candidate, &status) == 0 { return candidate }
    }
    return nil
  }

  /// Cases that contradict their own rule: what they ask for is in no part of its detection.
  private static let contradictory = [
    // The invariant on agent.goal knows of no attribute that excuses a change.
    "ATR-2026-00552: Goal refinement",
    // The rule's filter does not look at policy_exemption.
    "ATR-2026-00553: Tagged scheduled batch job",
  ]

  @Test(arguments: ["rules-642", "rules-450"]) func traceAndBehavioralRules(_ name: String) throws {
    guard let corpus else {
      print("skipped: no shared data (set PANGUARD_SHARED)")
      return
    }
    let set = RuleLoader.load(paths: ["\(corpus)/\(name)"])
    let ids = (548...553).map { "ATR-2026-00\($0)" }
    var tester = RuleTester(RuleSet(rules: set.rules.filter { ids.contains($0.id) }, diagnostics: [], refusedCount: 0))
    let report = tester.run()
    #expect(report.testedRules == ids.count)
    #expect(report.skippedRules.isEmpty)
    #expect(report.casesRun >= 60)
    let unexpected = report.failures.filter { failure in
      !Self.contradictory.contains { "\(failure.ruleID): \(failure.description)".hasPrefix($0) }
    }
    #expect(unexpected.map { "\($0.ruleID): \($0.description): \($0.reason)" } == [])
    #expect(report.failures.count == Self.contradictory.count)
  }

  @Test func semanticRulesFallBack() {
    guard let corpus else {
      print("skipped: no shared data (set PANGUARD_SHARED)")
      return
    }
    let set = RuleLoader.load(paths: ["\(corpus)/rules-642"])
    let fallbacks = set.rules.filter { $0.fallbackOf == "semantic" }
    #expect(fallbacks.count == 19)
    var tester = RuleTester(RuleSet(rules: fallbacks, diagnostics: [], refusedCount: 0))
    let report = tester.run()
    print("semantic rules by their patterns: \(report.passed) of \(report.casesRun) cases pass")
    #expect(report.casesRun > 100)
  }
}
