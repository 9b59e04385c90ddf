// A rule file: it is loaded, linted, and each of its rules is described.
// What must hold: nothing that is refused is silent, nothing that has an error is loaded, and every expression names conditions that exist.
import Primitives
import RuleLanguage

func fuzzRuleLoader(_ input: Bytes) -> CInt {
  var set = RuleLoader.load(document: input, file: "fuzz.yaml")
  precondition((set.refusedCount > 0) == set.diagnostics.contains { $0.severity == .error })
  _ = RuleLint.lint(set)
  for lane in RuleLane.allCases { set.activate(lane: lane) }
  for rule in set.rules {
    for path in ScanPath.allCases { _ = rule.isMeant(for: path) }
    guard case .pattern(let conditions, let expression) = rule.detection else { continue }
    precondition(expression.conditionIndices.allSatisfy(conditions.indices.contains))
  }
  return 0
}
