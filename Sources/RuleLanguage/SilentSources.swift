// Correlations that can never fire, because what they wait for does not run: drafts, deprecated rules, rules outside the lane, methods that
// this engine does not have. Nothing is wrong with any of the rules alone, so nobody else would say it.
import Primitives

extension RuleSet {
  /// Sources of a correlation whose rules are all loaded, and all silent; with the reason of the first. Empty for other rules.
  /// `isRunning`: whether a rule is evaluated.
  public func silentSources(of rule: Rule, isRunning: (Rule) -> Bool) -> [(source: CorrelationDetection.SourceRule, reason: String)] {
    guard case .correlation(let correlation) = rule.detection else { return [] }
    return correlation.sourceRules.compactMap { source in
      var reason: String?
      for candidate in rules where candidate.id != rule.id && source.matches(candidate.id) {
        if case .skipped(let method, _) = candidate.detection {
          reason = reason ?? "\(candidate.id) is skipped (\(method))"
        } else if !isRunning(candidate) {
          let why = candidate.hasActiveStatus ? RuleSet.inactivity(of: candidate) ?? "it is not evaluated" : "status \(candidate.status)"
          reason = reason ?? "\(candidate.id) is not evaluated: \(why)"
        } else {
          return nil
        }
      }
      return reason.map { (source, $0) }
    }
  }

  /// Warnings about the correlations that are active and cannot fire.
  public var silentCorrelations: [Diagnostic] {
    rules.filter(\.isActive).flatMap { rule in
      silentSources(of: rule, isRunning: \.isActive).map { source, reason in
        Diagnostic(.warning, rule.location, "\(rule.id): source '\(source.alias)' can match nothing but recorded matches: \(reason)")
      }
    }
  }
}
