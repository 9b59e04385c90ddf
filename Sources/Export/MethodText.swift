// What rules of the methods signature and trace look for, in words. Text from a rule file is escaped like any other.
import Events
import Primitives
import RuleLanguage

enum MethodText {
  /// Indicators that are written out; the others are counted.
  private static let indicatorsShown = 8

  static func lines(_ signature: SignatureDetection) -> [String] {
    var out = [signature.matchLogic == .all ? "an event with all of these" : "an event with any of these"]
    for indicator in signature.indicators.prefix(indicatorsShown) {
      var line = "\(indicator.type.rawValue) \(indicator.value) in \(indicator.target)"
      if let provenance = indicator.provenance {
        let parts = [provenance.firstObserved, provenance.source, provenance.attribution].filter { !$0.isEmpty }
        if !parts.isEmpty { line += " (\(parts.joined(separator: ", ")))" }
      }
      out.append(TerminalText.escaped(line))
    }
    let rest = signature.indicators.count - indicatorsShown
    return rest > 0 ? out + ["and \(rest) more"] : out
  }

  static func lines(_ trace: TraceDetection) -> [String] {
    trace.primitives.map { primitive in
      let text =
        switch primitive.assertion {
        case .forbid(let shape, let before) where before.isEmpty: "no span may be \(words(shape))"
        case .forbid(let shape, let before): "no span may be \(words(shape)) behind \(before.map(words).joined(separator: " or "))"
        case .require(let shape, let before): "a span that is \(words(shape)) needs, before it, \(before.map(words).joined(separator: " or "))"
        case .invariant(let attribute, let across): "\(attribute) must be the same across a \(across.rawValue)"
        }
      return TerminalText.escaped("\(primitive.name): \(text)")
    }
  }

  private static func words(_ shape: TraceDetection.Shape) -> String {
    let tests = shape.attributes.flatMap { test in test.predicates.map { "\(test.path) \(words($0))" } }
    return ([shape.kind.map { "of kind \($0)" }].compactMap { $0 } + tests).joined(separator: " and ")
  }
  private static func words(_ predicate: TraceDetection.Predicate) -> String {
    switch predicate {
    case .equals(let operand): "is \(words(operand))"
    case .notEquals(let operand): "is not \(words(operand))"
    case .isIn(let operands): "is one of \(operands.map(words).joined(separator: ", "))"
    case .isNotIn(let operands): "is none of \(operands.map(words).joined(separator: ", "))"
    case .regex(let pattern): "matches /\(pattern)/"
    case .regexTemplate(let parts): "matches /\(parts.source)/"
    case .exists(let flag): flag ? "is present" : "is absent"
    }
  }
  private static func words(_ operand: TraceDetection.Operand) -> String {
    switch operand {
    case .literal(.null): "null"
    case .literal(.bool(let flag)): "\(flag)"
    case .literal(.number(let number)): number
    case .literal(.text(let text)): "\"\(text)\""
    case .attribute(let path): "its own \(path)"
    case .template(let parts): "\"\(parts.source)\""
    }
  }
}
