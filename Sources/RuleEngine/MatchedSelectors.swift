// What of a rule held, by name: `matched_selectors` of a match (SPEC.md, 7), for every method.
// What must stay true: the names come from the rule only, so no text of an event is among them.
import Primitives
import RuleLanguage

extension RuleMatch {
  /// pattern: the conditions, by their keys or their places in the list. signature: type and field of the indicators. trace: the primitives.
  /// behavioral: the metric. correlation: the aliases. Each once, in the rule's order, at most `Limits.selectorsPerMatch`.
  public func selectors(of rule: Rule) -> [String] {
    var names: [String] = []
    func add(_ name: String) {
      if names.count < Limits.selectorsPerMatch, !names.contains(name) { names.append(name) }
    }
    switch rule.detection {
    case .pattern(let conditions, _):
      for name in rule.selectorNames(of: self.conditions.filter(conditions.indices.contains)) { add(name) }
    case .behavioral(let detection): add(detection.metric)
    case .correlation: for part in chain { add(part.alias) }
    case .signature(let detection):
      guard case .indicators(let places) = details else { break }
      for i in places where detection.indicators.indices.contains(i) {
        add("\(detection.indicators[i].type.rawValue) in \(detection.indicators[i].target)")
      }
    case .trace(let detection):
      guard case .spans(let findings, _) = details else { break }
      for finding in findings where detection.primitives.indices.contains(finding.primitive) { add(detection.primitives[finding.primitive].name) }
    case .skipped: break
    }
    return names
  }
}
