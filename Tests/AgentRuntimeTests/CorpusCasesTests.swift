// Every case of the public corpora through `rules test`'s own code. The cases that fail are named one by one: each contradicts its own rule
// (docs/atr-conformance-format.md says how), and the reference engine fails it too.
import AgentRuntime
import RuleLanguage
import Testing

@Suite struct CorpusCasesTests {
  @Test(arguments: [("rules-642", 7432)]) func everyCaseIsAccountedFor(_ name: String, _ count: Int) {
    guard let shared = sharedDirectory() else {
      print("skipped: no shared data (set PANGUARD_SHARED)")
      return
    }
    let set = RuleLoader.load(paths: ["\(shared)/corpora/atr/\(name)"])
    #expect(set.refusedCount == 0)
    var tester = RuleTester(set)
    let report = tester.run()
    #expect(report.results.count == count)
    #expect(report.untestedRules == [])
    var unexplained: [String] = []
    for result in report.results {
      switch result.outcome {
      case .passed, .documentedEvasion, .caughtEvasion: continue
      case .skipped(let reason): if reason.isEmpty { unexplained.append("\(result.ruleID) \(result.path): no reason") }
      case .failed(let reason):
        // Evasions that the author expects to be caught are no promise of the format; true positives and negatives are.
        if result.group != .evasion, !Self.contradictions.contains("\(result.ruleID) \(result.path)") {
          unexplained.append("\(result.ruleID) \(result.path): \(reason)")
        }
      }
    }
    #expect(unexplained == [])
    #expect(report.casesRun * 100 >= report.results.count * 95)
  }

  /// No condition of the rule matches the case's text in a field that the case fills (true positives), or one does (true negatives).
  static let contradictions: Set<String> = [
    "ATR-2026-00162 test_cases.true_negatives[1]",
    "ATR-2026-00441 test_cases.true_positives[5]",
    "ATR-2026-00490 test_cases.true_positives[4]",
    "ATR-2026-00491 test_cases.true_positives[4]",
    "ATR-2026-00492 test_cases.true_positives[1]",
    "ATR-2026-00492 test_cases.true_positives[4]",
    "ATR-2026-00494 test_cases.true_positives[5]",
    "ATR-2026-00495 test_cases.true_positives[1]",
    "ATR-2026-00495 test_cases.true_positives[7]",
    "ATR-2026-00499 test_cases.true_positives[1]",
    "ATR-2026-00499 test_cases.true_positives[2]",
    "ATR-2026-00502 test_cases.true_positives[3]",
    "ATR-2026-00505 test_cases.true_positives[3]",
    "ATR-2026-00505 test_cases.true_positives[8]",
    "ATR-2026-00506 test_cases.true_positives[6]",
    "ATR-2026-00508 test_cases.true_positives[3]",
    "ATR-2026-00508 test_cases.true_positives[5]",
    "ATR-2026-00552 test_cases.true_negatives[3]",
    "ATR-2026-00553 test_cases.true_negatives[4]",
    "ATR-2026-01600 test_cases.true_positives[3]",
    "ATR-2026-01607 test_cases.true_positives[4]",
    "ATR-2026-01608 test_cases.true_positives[2]",
    "ATR-2026-01614 test_cases.true_positives[3]",  // what the patterns of a semantic rule leave to its judge
    "ATR-2026-01614 test_cases.true_positives[4]",
    "ATR-2026-01616 test_cases.true_positives[1]",
  ]
}
