// How long a match was, for records that say so without saying what it was (spec/atr-event-v1.0.md, `atr.matched_value_redacted`).
// What must stay true: only the condition that held first is asked, and of texts that its evaluation has scanned: a record must not cost
// what finding the match did.
import Events
import Primitives
import RuleLanguage

extension RuleEngine {
  /// The field of the first condition behind a pattern rule's match, and how many bytes of it were found: those of the pattern's first match or
  /// of the text sought, else (equality, comparisons, a match in NFKC form only) all that the field has. nil: a match without conditions.
  /// `event` is the one evaluated last.
  public func place(of match: RuleMatch, _ event: borrowing Event) -> (field: FieldReference, count: Int)? {
    guard let first = match.conditions.first, case .pattern(let conditions, _) = compiled.ruleSet.rules[match.rule].detection else { return nil }
    let field = conditions[first].field
    let text: Int32
    switch field {
    case .extra(let name):
      guard let value = Array(name.utf8).withUnsafeBytes({ event.extra($0) }) else { return (field, 0) }
      text = texts.number(value)
    case .known(let known):
      var copy: [UInt8] = []
      if let value = event.text(known) {
        text = texts.number(value)
      } else if event.appendText(of: known, to: &copy) {
        text = copy.withUnsafeBytes { texts.number(copying: $0) }
      } else {
        return (field, 0)
      }
    }
    let condition = compiled.conditions[Int(compiled.rules[match.rule].firstCondition) + first]
    return (field, foundCount(condition, text) ?? texts.bytes(text).count)
  }

  /// nil: no part of the text is what was found.
  private func foundCount(_ condition: ConditionCode, _ text: Int32) -> Int? {
    guard [.contains, .startsWith, .regex].contains(condition.kind) else { return nil }
    let patterns = (condition.first..<condition.first + condition.count).map { compiled.tests[Int($0)].pattern }
      .filter { texts.test($0, text) == .yes }
    guard condition.kind == .regex else { return patterns.first.map { compiled.table.needle($0).count } }
    for pattern in patterns {
      if let length = texts.matchLength(pattern, text) { return length }
    }
    return nil
  }
}
