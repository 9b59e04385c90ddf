// The selectors of a decision with the field and the operator that each tests, in the words of SPEC.md section 6.3. What the rule compares
// with, and what it found, stay out: the one is in the rule, the other is people's.
import Detection
import RuleLanguage

public struct MatchedCondition: Hashable, Sendable {
  public var selector: String
  public var field: String
  public var operation: String

  /// Empty where the rule has no conditions, or no longer those of the decision.
  public static func of(_ decision: Decision, _ rule: Rule) -> [MatchedCondition] {
    guard case .pattern(let conditions, _) = rule.detection else { return [] }
    return decision.selectors.flatMap { name in
      rule.conditions(named: name).filter(conditions.indices.contains).map { index in
        let condition = conditions[index]
        return MatchedCondition(
          selector: name, field: condition.field.description,
          operation: (condition.isNegated ? "not " : "") + (condition.operation ?? word(condition.test)))
      }
    }
  }
  private static func word(_ test: Condition.Test) -> String {
    switch test {
    case .regex: "regex"
    case .contains(_, let caseSensitive): caseSensitive ? "contains" : "contains_i"
    case .exact(let texts, _): texts.count == 1 ? "equals" : "in"
    case .startsWith: "startswith"
    case .compare(let comparison, _): comparison.rawValue
    case .exists: "exists"
    }
  }
}
