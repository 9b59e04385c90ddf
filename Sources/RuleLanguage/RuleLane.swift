// Which loaded rules are evaluated. A rule's status decides first: drafts and deprecated rules are loaded and listed, and stay silent (ATR
// conformance suite, SUITE.md). Among the others the lane decides by maturity how much trust a rule needs.
import Primitives

/// How far a match will be acted on, and so how mature a rule must be.
public enum RuleLane: String, Sendable, CaseIterable {
  /// Acts by itself: stable rules only.
  case enforce
  /// Somebody looks at each match: stable rules and those under test.
  case alert
  /// Looks for everything: all maturities.
  case hunt

  /// A rule that does not say how mature it is passes only where everything does.
  public func admits(maturity: String) -> Bool {
    switch self {
    case .enforce: maturity == "stable" || maturity == "production"
    case .alert: maturity == "stable" || maturity == "production" || maturity == "test"
    case .hunt: true
    }
  }
}

extension Rule {
  /// Whether the document's status lets the rule be evaluated at all.
  public var hasActiveStatus: Bool { status != "draft" && status != "deprecated" }
}

extension RuleSet {
  /// Sets `isActive` of every rule. `includesInactive`: drafts and deprecated rules count as active, for those who write them.
  public mutating func activate(lane: RuleLane, includesInactive: Bool = false) {
    for i in rules.indices {
      let rule = rules[i]
      rules[i].isActive = (rule.hasActiveStatus || includesInactive) && lane.admits(maturity: rule.maturity)
    }
  }

  /// Why a rule is not evaluated; nil if it is.
  public static func inactivity(of rule: Rule) -> String? {
    guard !rule.isActive else { return nil }
    return rule.hasActiveStatus ? "maturity \(rule.maturity.isEmpty ? "not stated" : rule.maturity) is not in this lane" : "status \(rule.status)"
  }
}
