// What is not wrong but should not be shipped: a rule without tests, references, known false positives; parts that do nothing.
import Primitives
import TypedYAML

public enum RuleLint {
  /// Findings beyond those of loading, in the order of the rules.
  public static func lint(_ set: RuleSet) -> [Diagnostic] {
    set.rules.flatMap { rule in checks.flatMap { $0(rule, set) } }
  }

  private typealias Check = @Sendable (Rule, RuleSet) -> [Diagnostic]
  private static let checks: [Check] = [tests, references, falsePositives, confidence, unusedConditions, sources]

  private static func warning(_ rule: Rule, _ message: String, hint: String = "") -> Diagnostic {
    Diagnostic(.warning, rule.location, "\(rule.id): \(message)", hint: hint)
  }

  @Sendable private static func tests(_ rule: Rule, _: RuleSet) -> [Diagnostic] {
    let wanted: [(group: TestCase.Group, count: Int)] = [(.truePositive, 2), (.trueNegative, 2), (.evasion, 1)]
    return wanted.compactMap { group, count in
      let found = rule.tests.filter { $0.group == group }.count
      return found < count ? warning(rule, "has \(found) of at least \(count) \(group.rawValue)") : nil
    }
  }

  @Sendable private static func references(_ rule: Rule, _: RuleSet) -> [Diagnostic] {
    let hasReference = !rule.techniques.isEmpty || rule.references.contains { $0.hasPrefix("mitre_atlas:") }
    return hasReference ? [] : [warning(rule, "has no ATT&CK or ATLAS reference", hint: "add references.mitre_attack")]
  }

  @Sendable private static func falsePositives(_ rule: Rule, _: RuleSet) -> [Diagnostic] {
    rule.falsePositives.isEmpty ? [warning(rule, "names no false positives", hint: "add detection.false_positives")] : []
  }

  @Sendable private static func confidence(_ rule: Rule, _: RuleSet) -> [Diagnostic] {
    rule.statesConfidence ? [] : [warning(rule, "states no confidence and counts as \(rule.confidence)", hint: "add confidence: 0 to 100")]
  }

  @Sendable private static func unusedConditions(_ rule: Rule, _: RuleSet) -> [Diagnostic] {
    guard case .pattern(let conditions, let expression) = rule.detection else { return [] }
    let used = expression.conditionIndices
    return conditions.indices.filter { !used.contains($0) }.map {
      Diagnostic(.warning, conditions[$0].location, "\(rule.id): condition '\(shown(conditions[$0].name))' is not used by detection.condition")
    }
  }

  @Sendable private static func sources(_ rule: Rule, _ set: RuleSet) -> [Diagnostic] {
    guard case .correlation(let correlation) = rule.detection else { return [] }
    return correlation.sourceRules.filter { source in !set.rules.contains { $0.id != rule.id && source.matches($0.id) } }.map {
      warning(rule, "source '\(shown($0.alias))' (\(shown($0.ruleIDPattern))) matches no rule")
    }
  }
}

extension CorrelationDetection.SourceRule {
  /// Whether `id` is meant: equality, or the glob (`*` any text, `?` one byte). Linear in practice, quadratic at worst, on short texts.
  public func matches(_ id: String) -> Bool {
    let pattern = Array(ruleIDPattern.utf8)
    let text = Array(id.utf8)
    var p = 0
    var t = 0
    var star: (p: Int, t: Int)?
    while t < text.count {
      if p < pattern.count, pattern[p] == 0x2a {
        star = (p, t)
        p += 1
      } else if p < pattern.count, pattern[p] == text[t] || pattern[p] == 0x3f {
        p += 1
        t += 1
      } else if let back = star {
        p = back.p + 1
        t = back.t + 1
        star = (back.p, back.t + 1)
      } else {
        return false
      }
    }
    return pattern[p...].allSatisfy { $0 == 0x2a }
  }
}
