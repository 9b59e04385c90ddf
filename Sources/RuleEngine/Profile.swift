// What each test of each rule cost since profiling began: for `rules cost` and benchmarks. Nothing here takes part in a decision.
import RuleLanguage

/// One pattern of one condition of one rule. Rules that share a pattern show the same figures: it runs once for all of them.
public struct TestCost: Sendable {
  /// Index into the rule set's rules, and into the rule's conditions or filters.
  public var rule: Int
  public var condition: Int
  /// As the rule has it.
  public var pattern: String
  /// A literal must be found before it is run.
  public var isFiltered: Bool
  public var cost: PatternCost
}

extension RuleEngine {
  /// From now on each confirmation is timed; what was counted before is forgotten.
  public func beginProfile() { texts.costs = PatternCosts(count: compiled.table.count) }

  /// By rule and condition, in their order; empty before `beginProfile`.
  public var profile: [TestCost] {
    guard let costs = texts.costs else { return [] }
    var result: [TestCost] = []
    for (rule, code) in compiled.rules.enumerated() {
      for condition in 0..<Int(code.conditionCount) {
        let tests = compiled.conditions[Int(code.firstCondition) + condition]
        for test in compiled.tests[Int(tests.first)..<Int(tests.first + tests.count)] where test.pattern >= 0 {
          let source = compiled.table.sources[Int(test.pattern)]
          result.append(
            TestCost(
              rule: rule, condition: condition, pattern: String(decoding: source.text, as: UTF8.self), isFiltered: test.needsLiteral,
              cost: costs.byPattern[Int(test.pattern)]))
        }
      }
    }
    return result
  }
}
