// Equality in filters beyond plain texts: numbers, and other fields of the same event (`${span.attributes.<path>}`).
// What must stay true: a field that is absent equals nothing, also not another one that is absent.
import Events
import Primitives
import RuleLanguage

extension FilterOperand {
  func holds(_ value: Bytes, _ event: borrowing Event) -> Bool {
    switch self {
    case .text(let text): return value.elementsEqual(text.utf8)
    case .number(let number): return value.elementsEqual(number.utf8) || canonicalNumber(value) == number
    case .template(let parts):
      var texts: [String] = []
      for part in parts {
        guard case .attribute(let name) = part else { continue }
        guard let text = FieldText.with(FieldReference(name: name), event, { $0.string }) else { return false }
        texts.append(text)
      }
      var next = 0
      let resolved = parts.resolved(limit: value.count) { _ in
        defer { next += 1 }
        return texts[next]
      }
      if let resolved, value.elementsEqual(resolved.utf8) { return true }
      // Two fields that are numbers: 1 equals 1.0, as in a trace.
      guard parts.count == 1, let other = texts.first, let number = canonicalNumber(other.utf8) else { return false }
      return canonicalNumber(value) == number
    }
  }
}

extension RuleEngine {
  static func holds(_ operands: [FilterOperand], _ value: Bytes, _ event: borrowing Event) -> Bool {
    for operand in operands where operand.holds(value, event) { return true }
    return false
  }
}
