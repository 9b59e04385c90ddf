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
}

/// The rules of a set by id, to ask what is behind the sources of many correlations. A question looks at the rules whose ids begin as the
/// pattern does up to its first wildcard, and stops where the answer is known.
public struct SourceRuleIndex {
  /// Sorted by the bytes of the ids.
  private let rules: [(id: String, silence: String?)]
  private let hasSilentRules: Bool

  public init(_ set: RuleSet) {
    rules = set.rules.map { ($0.id, RuleSet.silence(of: $0)) }.sorted { $0.id.utf8.lexicographicallyPrecedes($1.id.utf8) }
    hasSilentRules = rules.contains { $0.silence != nil }
  }

  /// Aliases of `rule` whose rules are loaded, and all silent. Empty for other rules.
  public func unfedSources(of rule: Rule) -> [UnfedSource] {
    guard hasSilentRules, case .correlation(let correlation) = rule.detection else { return [] }
    return correlation.sourceRules.compactMap { source in
      var first: (id: String, reason: String)?
      var count = 0
      for other in rules[candidates(source)] where other.id != rule.id && source.matches(other.id) {
        guard let reason = other.silence else { return nil }
        if first == nil { first = (other.id, reason) }
        count += 1
      }
      guard let first else { return nil }
      let more = count > 1 ? " (\(first.id)), and so are \(count - 1) more" : ""
      return UnfedSource(alias: source.alias, pattern: source.ruleIDPattern, reason: first.reason + more)
    }
  }

  /// Whether a rule besides `id` is meant by `source`.
  public func isMatched(_ source: CorrelationDetection.SourceRule, besides id: String) -> Bool {
    rules[candidates(source)].contains { $0.id != id && source.matches($0.id) }
  }

  private func candidates(_ source: CorrelationDetection.SourceRule) -> Range<Int> {
    let prefix = Array(source.ruleIDPattern.utf8.prefix { $0 != 0x2a && $0 != 0x3f })
    let low = first { !$0.utf8.lexicographicallyPrecedes(prefix) }
    return low..<max(low, first { !$0.utf8.lexicographicallyPrecedes(prefix) && !$0.utf8.starts(with: prefix) })
  }
  /// The first rule whose id is `late`; ids that are not come before all that are.
  private func first(_ late: (String) -> Bool) -> Int {
    var low = 0
    var high = rules.count
    while low < high {
      let middle = (low + high) / 2
      if late(rules[middle].id) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
