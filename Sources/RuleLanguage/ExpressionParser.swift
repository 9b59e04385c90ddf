// `detection.condition`: any | all | or | and, or a boolean expression over condition names: and, or, not (in any case),
// parentheses, "N of them", "all of them", "any of them", and the same over names with a trailing "*" (SPEC.md 6.2).
// Binding: not, then and, then or. Nesting is bounded, so no text can exhaust the stack.
import Primitives
import TypedYAML

struct ExpressionError: Error {
  var message: String
  /// Byte in the text.
  var offset: Int
}

struct ExpressionParser {
  private enum Token: Equatable {
    case word(String), open, close, end
  }
  static let depthLimit = 32
  private let tokens: [(token: Token, offset: Int)]
  private let names: [String]
  private let meanings: [Expression]
  private var at = 0
  private var depth = 0

  /// `names` in the order of the rule's conditions. `meanings`: what each name stands for, where that is more than one condition.
  static func parse(_ text: String, names: [String], meanings: [Expression]? = nil) throws(ExpressionError) -> Expression {
    let every = meanings ?? names.indices.map { Expression.condition($0) }
    let whole = text.utf8.drop { $0 == 0x20 }
    switch String(decoding: whole, as: UTF8.self).lowercased().split(separator: " ").joined(separator: " ") {
    case "any", "or", "any of *", "1 of *": return every.count == 1 ? every[0] : .any(every)
    case "all", "and", "all of *": return every.count == 1 ? every[0] : .all(every)
    default: break
    }
    var parser = ExpressionParser(tokens: try tokenize(text), names: names, meanings: every)
    let result = try parser.disjunction()
    guard parser.current == .end else { throw parser.failure("expected 'and' or 'or'") }
    return result
  }

  private init(tokens: [(token: Token, offset: Int)], names: [String], meanings: [Expression]) {
    self.tokens = tokens
    self.names = names
    self.meanings = meanings
  }
  private var current: Token { tokens[min(at, tokens.count - 1)].token }
  private func failure(_ message: String) -> ExpressionError {
    ExpressionError(message: message, offset: tokens[min(at, tokens.count - 1)].offset)
  }

  private static func tokenize(_ text: String) throws(ExpressionError) -> [(token: Token, offset: Int)] {
    let bytes = Array(text.utf8)
    var tokens: [(token: Token, offset: Int)] = []
    var at = 0
    while at < bytes.count {
      let byte = bytes[at]
      switch byte {
      case 0x20, 0x09, 0x0a, 0x0d: at += 1
      case 0x28, 0x29:
        tokens.append((byte == 0x28 ? .open : .close, at))
        at += 1
      default:
        let start = at
        while at < bytes.count, isWordByte(bytes[at]) { at += 1 }
        guard at > start else { throw ExpressionError(message: "unexpected character", offset: start) }
        tokens.append((.word(String(decoding: bytes[start..<at], as: UTF8.self)), start))
      }
    }
    tokens.append((.end, bytes.count))
    return tokens
  }
  private static func isWordByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x5f, 0x2d, 0x2e, 0x2a, 0x80...: true
    default: false
    }
  }
  private func isKeyword(_ keyword: String) -> Bool {
    if case .word(let word) = current { word.lowercased() == keyword } else { false }
  }
  private mutating func skip(_ keyword: String) -> Bool {
    guard isKeyword(keyword) else { return false }
    at += 1
    return true
  }

  private mutating func disjunction() throws(ExpressionError) -> Expression {
    var parts = [try conjunction()]
    while skip("or") { parts.append(try conjunction()) }
    return parts.count == 1 ? parts[0] : .any(parts)
  }
  private mutating func conjunction() throws(ExpressionError) -> Expression {
    var parts = [try negation()]
    while skip("and") { parts.append(try negation()) }
    return parts.count == 1 ? parts[0] : .all(parts)
  }
  private mutating func negation() throws(ExpressionError) -> Expression {
    var isNegated = false
    while skip("not") { isNegated.toggle() }
    let inner = try primary()
    return isNegated ? .not(inner) : inner
  }
  private mutating func primary() throws(ExpressionError) -> Expression {
    switch current {
    case .open:
      guard depth < Self.depthLimit else { throw failure("parentheses nest deeper than \(Self.depthLimit)") }
      depth += 1
      at += 1
      let inner = try disjunction()
      guard current == .close else { throw failure("expected ')'") }
      at += 1
      depth -= 1
      return inner
    case .word(let word):
      let lower = word.lowercased()
      if at + 1 < tokens.count, case .word(let next) = tokens[at + 1].token, next.lowercased() == "of" { return try quantified(lower) }
      guard !["and", "or", "of", "them"].contains(lower) else { throw failure("expected a condition name, not '\(shown(word))'") }
      guard let index = names.firstIndex(of: word) else { throw failure("no condition is named '\(shown(word))'") }
      at += 1
      return meanings[index]
    case .close: throw failure("expected a condition name, not ')'")
    case .end: throw failure("expected a condition name at the end")
    }
  }
  private mutating func quantified(_ quantity: String) throws(ExpressionError) -> Expression {
    let number = quantity == "any" ? 1 : fixedPoint(quantity, digits: 0)
    guard quantity == "all" || number.map({ $0 >= 1 }) == true else { throw failure("'of' takes a number, any or all before it") }
    let start = at
    at += 2
    guard case .word(let selector) = current else { throw failure("expected 'them' or a name ending in '*'") }
    let chosen: [Int]
    if selector.lowercased() == "them" || selector == "*" {
      chosen = Array(names.indices)
    } else if selector.hasSuffix("*") {
      chosen = names.indices.filter { names[$0].hasPrefix(selector.dropLast()) }
    } else {
      throw failure("expected 'them' or a name ending in '*'")
    }
    guard !chosen.isEmpty else { throw failure("no condition is named like '\(shown(selector))'") }
    at += 1
    let parts = chosen.map { meanings[$0] }
    let needed = quantity == "all" ? parts.count : Int(clamping: number ?? 1)
    guard needed <= parts.count else {
      throw ExpressionError(message: "'\(needed) of' is more than the \(parts.count) that it chooses from", offset: tokens[start].offset)
    }
    guard let result = Expression.atLeast(needed, of: parts[...], termLimit: Limits.expressionTerms) else {
      throw ExpressionError(
        message: "'\(needed) of' \(parts.count) would need more than \(Limits.expressionTerms) terms", offset: tokens[start].offset)
    }
    return result
  }
}

extension Expression {
  /// At least `needed` of `parts`, written out: the first and one less of the rest, or as many of the rest. nil if that would take more than
  /// `termLimit` terms. Nests at most as deep as `parts` are many.
  static func atLeast(_ needed: Int, of parts: ArraySlice<Expression>, termLimit: Int) -> Expression? {
    if parts.count == 1, let only = parts.first { return only }
    if needed <= 1 { return .any(Array(parts)) }
    if needed >= parts.count { return .all(Array(parts)) }
    var left = termLimit
    return choose(needed, parts, &left, depth: 0)
  }
  private static func choose(_ needed: Int, _ parts: ArraySlice<Expression>, _ left: inout Int, depth: Int) -> Expression? {
    guard left >= 0, depth <= ExpressionParser.depthLimit else { return nil }
    left -= 1
    if needed == 1 || needed == parts.count {
      left -= parts.count
      return left < 0 ? nil : parts.count == 1 ? parts.first : needed == 1 ? .any(Array(parts)) : .all(Array(parts))
    }
    guard let first = parts.first, let with = choose(needed - 1, parts.dropFirst(), &left, depth: depth + 1),
      let without = choose(needed, parts.dropFirst(), &left, depth: depth + 1)
    else { return nil }
    return .any([.all([first, with]), without])
  }
}

extension Expression {
  /// Indices of all conditions in it.
  public var conditionIndices: Set<Int> {
    switch self {
    case .condition(let index): [index]
    case .not(let inner): inner.conditionIndices
    case .all(let parts), .any(let parts): parts.reduce(into: []) { $0.formUnion($1.conditionIndices) }
    }
  }
}
