// Rules that are loaded and not run because their method, or a part of it, is none of this engine's. spec/atr-method-v1.1.md, section 9:
// such a rule is skipped and not rejected, and skipping is reported with each evaluation, so that operators can see what is not covered.
import Primitives
import RuleLanguage

public struct SkippedRule: Sendable, Equatable {
  public var id: String
  /// As the rule names it.
  public var method: String
  public var reason: String

  /// In the order of the rules. Rules that are switched off anyway (status, lane) are not among them.
  public static func all(in set: RuleSet) -> [SkippedRule] {
    set.rules.compactMap { rule in
      guard rule.isActive, case .skipped(let method, let reason) = rule.detection else { return nil }
      return SkippedRule(id: rule.id, method: method, reason: reason)
    }
  }

  /// One sentence for whoever starts the set: how many, and why the first of them. nil: every rule runs.
  public static func sentence(_ set: RuleSet) -> String? {
    let rules = all(in: set)
    guard !rules.isEmpty else { return nil }
    let reasons = rules.prefix(shown).map { "\($0.id) (\($0.method): \($0.reason))" }.joined(separator: ", ")
    let rest = rules.count > shown ? ", and \(rules.count - shown) more; `panguard rules lint` names them" : ""
    return "\(rules.count) rule\(rules.count == 1 ? " is" : "s are") not run: \(reasons)\(rest)"
  }
  private static let shown = 3

  /// `"skipped":[{"rule_id":..,"method":..},..]`. The reasons are said once, by whoever starts the evaluation: they are long.
  static func encode(_ rules: [SkippedRule]) -> [UInt8] {
    var json = JSONWriter()
    json.key("skipped")
    json.beginArray()
    for rule in rules {
      json.beginObject()
      json.key("rule_id")
      json.value(rule.id)
      json.key("method")
      json.value(rule.method)
      json.endObject()
    }
    json.endArray()
    return json.out
  }
}

/// Correlations that cannot match, because none of the rules behind one of their sources runs.
public enum UnfedCorrelation {
  /// Sentences, in the order of the rules: "ATR-COR-... waits for 'alias' (ATR-...), which does not run: status draft". Sources that match no
  /// loaded rule are left out: recorded matches may stand for them.
  public static func sentences(_ set: RuleSet) -> [String] {
    let index = SourceRuleIndex(set)
    return set.rules.filter(\.isActive).flatMap { rule in
      index.unfedSources(of: rule).map { "\(rule.id) waits for '\($0.alias)' (\($0.pattern)), which does not run: \($0.reason)" }
    }
  }
}
