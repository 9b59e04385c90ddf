// Condition by condition: what did a rule see in this event? The same comparisons as the engine's, without prefilter and guards.
import Events
import Primitives
import RuleLanguage

extension RuleEngine {
  /// Reports on all conditions of a pattern rule or all filters of a behavioural one; empty for other rules and for disabled ones.
  public func explain(rule: Int, event: borrowing Event) -> [ConditionReport] {
    guard compiled.ruleSet.rules.indices.contains(rule), compiled.rules[rule].kind == .pattern || compiled.rules[rule].kind == .behavioral
    else { return [] }
    let source = CompiledRules.conditions(of: compiled.ruleSet.rules[rule].detection)
    var reports: [ConditionReport] = []
    for (i, condition) in source.enumerated() {
      let code = compiled.conditions[Int(compiled.rules[rule].firstCondition) + i]
      var bytes: [UInt8] = []
      var isPresent = false
      switch condition.field {
      case .known(let field): isPresent = event.appendText(of: field, to: &bytes)
      case .extra(let name):
        if let value = Array(name.utf8).withUnsafeBytes({ event.extra($0) }) {
          bytes = Array(value)
          isPresent = true
        }
      }
      var report = ConditionReport(
        index: i, name: condition.name, field: condition.field, value: isPresent ? String(decoding: bytes, as: UTF8.self) : nil, isHeld: false,
        span: nil, matched: nil)
      var truth = Truth.no
      bytes.withUnsafeBytes { value in
        if let operands = condition.operands {
          if isPresent, RuleEngine.holds(operands, value, event) { truth = .yes }
          return
        }
        switch condition.test {
        case .exists(let wanted): truth = isPresent == wanted ? .yes : .no
        case .compare(let comparison, let bound):
          let isAddress: Bool
          if case .known(let field) = condition.field { isAddress = event.address(field) != nil } else { isAddress = false }
          if isPresent, !isAddress, let order = DecimalText.order(of: value, to: bound), comparison.holds(order, 0) { truth = .yes }
        case .exact, .startsWith, .contains, .regex: if isPresent { truth = test(condition, code, value, &report) }
        }
      }
      if isPresent, condition.language != nil {
        let found = bytes.withUnsafeBytes { LanguageDetection.language(of: $0) }
        report.textLanguage = found.rawValue
        report.isOtherLanguage = ConditionLanguage.number(found) != code.language
        if report.isOtherLanguage { truth = .no }
      }
      if condition.isNegated { truth = truth.negated }
      if truth != .yes || condition.isNegated { report.forget() }
      report.isHeld = truth == .unknown ? nil : truth == .yes
      reports.append(report)
    }
    return reports
  }

  /// A test of texts, form by form: the first form in which it holds is reported.
  private func test(_ condition: Condition, _ code: ConditionCode, _ value: Bytes, _ report: inout ConditionReport) -> Truth {
    var result = Truth.no
    for (form, text) in RuleEngine.forms(of: value, condition) {
      let truth = text.withUnsafeBytes { text in
        for (n, wanted) in RuleEngine.wanted(condition.test).enumerated() {
          let test = compiled.tests[Int(code.first) + n]
          let (truth, span) = code.kind == .regex ? search(test.pattern, text) : find(test, code, text)
          guard truth != .no else { continue }
          if truth == .unknown {
            result = .unknown
            continue
          }
          report.span = span
          report.matched = wanted
          return Truth.yes
        }
        return .no
      }
      guard truth == .yes else { continue }
      report.form = form
      if form != .given { report.formText = String(decoding: text, as: UTF8.self) }
      return .yes
    }
    // The engine's word, where no form alone said so: its place is not known.
    return result == .no && code.kind == .regex && answer(code, value) == .yes ? .yes : result
  }
  private func answer(_ code: ConditionCode, _ value: Bytes) -> Truth {
    let texts = EventTexts(compiled.table)
    let number = texts.number(value)
    return (code.first..<code.first + code.count).reduce(.no) { $0.or(texts.test(compiled.tests[Int($1)].pattern, number)) }
  }
  private static func wanted(_ test: Condition.Test) -> [String] {
    switch test {
    case .regex(let texts, _), .contains(let texts, _), .exact(let texts, _), .startsWith(let texts, _): texts
    case .compare, .exists: []
    }
  }
  /// The forms in which the engine tests a text, each only where it is another.
  private static func forms(of value: Bytes, _ condition: Condition) -> [(form: TextForm, text: [UInt8])] {
    guard !TextForms.isASCII(value) else { return [(.given, Array(value))] }
    let given = TextForms.repaired(value) ?? Array(value)
    var forms: [(form: TextForm, text: [UInt8])] = [(.given, given)]
    if let normalised = given.withUnsafeBytes({ TextForms.normalised($0) }) { forms.append((.normalised, normalised)) }
    let number = ConditionLanguage.number(condition.language)
    if number != 0, number != ConditionLanguage.english, let form = CompatibilityForm.of(value) { forms.append((.compatibility, form)) }
    return forms
  }

  /// A pattern on one form of a text and not on others: `EventTexts` would answer for the normalised form as well.
  private func search(_ pattern: Int32, _ text: Bytes) -> (Truth, Range<Int>?) {
    let texts = EventTexts(compiled.table)
    let number = texts.number(text)
    let truth = texts.test(pattern, number)
    guard truth == .yes else { return (truth, nil) }
    let span = texts.span(pattern, number)
    return span == nil && texts.forms(number).normalised != nil ? (.no, nil) : (.yes, span)
  }
  private func find(_ test: TestCode, _ code: ConditionCode, _ text: Bytes) -> (Truth, Range<Int>?) {
    let needle = test.pattern < 0 ? test.bytes : compiled.table.needle(test.pattern)
    if code.kind == .exact {
      guard text.count == needle.count, code.isCaseSensitive ? text.equals(needle) : equalsFolded(text, needle) else { return (.no, nil) }
      return (.yes, 0..<text.count)
    }
    if needle.count == 0 { return (.yes, 0..<0) }
    // Other letters than ASCII's are folded too, and then a place is the text's own only where nothing became longer or shorter.
    let folded = code.isCaseSensitive ? Array(text) : TextForms.lowered(text)
    let place = folded.withUnsafeBytes { code.kind == .contains ? $0.index(of: needle) : $0.upTo(needle.count).equals(needle) ? 0 : nil }
    guard let place else { return (.no, nil) }
    return (.yes, folded.count == text.count ? place..<place + needle.count : nil)
  }

  /// Whether the rule runs: it has no diagnostic, and its method is one that this engine has.
  public func isEnabled(rule: Int) -> Bool {
    compiled.rules.indices.contains(rule) && compiled.rules[rule].kind != .disabled && !methods.refused.contains(rule)
  }
}
