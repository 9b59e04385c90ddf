// Sources of a correlation that can never feed it: the rules that they name are loaded, and none of them is evaluated.
import Primitives

/// One alias of a correlation.
public struct UnfedSource: Sendable, Equatable {
  public var alias: String
  public var pattern: String
  /// Why the rules behind it do not run: "status draft", or of several rules that of the first.
  public var reason: String
}

extension RuleSet {
  /// Why a rule that is loaded is never evaluated; nil if it is.
  public static func silence(of rule: Rule) -> String? {
    if let reason = inactivity(of: rule) { return reason }
    if case .skipped(let method, _) = rule.detection { return "method \(method) is skipped" }
    return nil
  }

  /// Aliases of `rule` whose rules are loaded, and all silent. Empty for other rules. Cost: sources times rules.
  public static func unfedSources(of rule: Rule, in set: RuleSet) -> [UnfedSource] {
    guard case .correlation(let correlation) = rule.detection else { return [] }
    return correlation.sourceRules.compactMap { source in
      let behind = set.rules.filter { $0.id != rule.id && source.matches($0.id) }
      let reasons = behind.compactMap(silence)
      guard let first = reasons.first, reasons.count == behind.count else { return nil }
      let more = behind.count > 1 ? " (\(behind[0].id)), and so are \(behind.count - 1) more" : ""
      return UnfedSource(alias: source.alias, pattern: source.ruleIDPattern, reason: first + more)
    }
  }
}
