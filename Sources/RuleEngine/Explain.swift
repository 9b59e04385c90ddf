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
        switch condition.test {
        case .exists(let wanted): truth = isPresent == wanted ? .yes : .no
        case .compare(let comparison, let bound):
          let isAddress: Bool
          if case .known(let field) = condition.field { isAddress = event.address(field) != nil } else { isAddress = false }
          let number = value.starts(with: "-") ? value.from(1).decimal.map { -$0 } : value.decimal
          if isPresent, !isAddress, let number, comparison.holds(number, bound) { truth = .yes }
        case .exact(let needles, let sensitive), .startsWith(let needles, let sensitive), .contains(let needles, let sensitive):
          guard isPresent else { return }
          for (n, needle) in needles.enumerated() {
            let test = compiled.tests[Int(code.first) + n]
            let wanted = test.pattern < 0 ? test.bytes : compiled.table.codes[Int(test.pattern)].needleBytes
            var scratch: [UInt8] = []
            var place: Int?
            if code.kind == .contains {
              place = position(of: wanted, in: value, caseSensitive: sensitive, &scratch)
            } else if code.kind == .exact ? value.count == wanted.count : value.count >= wanted.count {
              let part = value.upTo(wanted.count)
              if sensitive ? part.equals(wanted) : equalsFolded(part, wanted) { place = 0 }
            }
            if let place {
              truth = .yes
              report.span = place..<place + wanted.count
              report.matched = needle
              return
            }
          }
        case .regex(let patterns, _):
          guard isPresent else { return }
          let texts = EventTexts(compiled.table)
          let text = texts.number(value)
          for (n, pattern) in patterns.enumerated() {
            switch texts.test(compiled.tests[Int(code.first) + n].pattern, text) {
            case .yes:
              truth = .yes
              report.span = texts.span(compiled.tests[Int(code.first) + n].pattern, text)
              report.matched = pattern
              return
            case .unknown: truth = .unknown
            case .no: break
            }
          }
        }
      }
      if isPresent, condition.language != nil {
        let found = bytes.withUnsafeBytes { LanguageDetection.language(of: $0) }
        report.textLanguage = found.rawValue
        report.isOtherLanguage = ConditionLanguage.number(found) != code.language
      }
      if report.isOtherLanguage {
        truth = .no
        report.span = nil
        report.matched = nil
      }
      if condition.isNegated {
        truth = truth.negated
        report.span = nil
        report.matched = nil
      }
      report.isHeld = truth == .unknown ? nil : truth == .yes
      reports.append(report)
    }
    return reports
  }

  /// Whether the rule runs: it has no diagnostic, and its method is one that this engine has.
  public func isEnabled(rule: Int) -> Bool { compiled.rules.indices.contains(rule) && compiled.rules[rule].kind != .disabled }
}
