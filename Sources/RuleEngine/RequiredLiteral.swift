// Which text must every match of a regular expression contain? One literal out of a small set is enough to make a rule a candidate,
// and literals are the cheapest thing a multi-pattern scanner can look for.
// What must stay true: never a false negative. Whatever this reader does not understand completely makes it answer nil.
import Primitives

/// A set of literals, lower-case, of which each match contains at least one when compared without regard to ASCII case.
struct RequiredLiterals {
  static let minimumLength = 3
  static let maximumLength = 24
  static let maximumCount = 24

  /// nil: no such set is known. `isUTF`: the pattern runs in UTF mode, where some ASCII letters also match beyond ASCII.
  static func of(pattern: [UInt8], isUTF: Bool) -> [[UInt8]]? {
    var reader = PatternReader(pattern: pattern, isUTF: isUTF)
    guard let node = reader.readAll(), let best = node.best else { return nil }
    return isUsable(best) ? best : nil
  }

  fileprivate static func isUsable(_ set: [[UInt8]]) -> Bool {
    !set.isEmpty && set.count <= maximumCount && set.allSatisfy { $0.count >= minimumLength }
  }
  /// Longer shortest member first, then fewer members.
  fileprivate static func better(_ a: [[UInt8]]?, _ b: [[UInt8]]?) -> [[UInt8]]? {
    guard let a, !a.isEmpty else { return b }
    guard let b, !b.isEmpty else { return a }
    func rank(_ set: [[UInt8]]) -> (Int, Int) { (min(8, set.map(\.count).min() ?? 0), -set.count) }
    return rank(b) > rank(a) ? b : a
  }
}

/// What is known about a part of a pattern.
private struct Node {
  /// All texts the part can match, if they are few; a superset is fine.
  var exact: [[UInt8]]?
  /// Of these, each match of the part contains one.
  var required: [[UInt8]]?

  static let unknown = Node(exact: nil, required: nil)
  static let empty = Node(exact: [[]], required: nil)
  var best: [[UInt8]]? { RequiredLiterals.better(exact.flatMap { $0.contains { $0.isEmpty } ? nil : $0 }, required) }
}

private struct PatternReader {
  let pattern: [UInt8]
  let isUTF: Bool
  var at = 0
  var depth = 0

  init(pattern: [UInt8], isUTF: Bool) {
    self.pattern = pattern
    self.isUTF = isUTF
  }

  mutating func readAll() -> Node? {
    guard let node = alternation(), at == pattern.count else { return nil }
    return node
  }

  private var peek: UInt8? { at < pattern.count ? pattern[at] : nil }
  private func peek(_ ahead: Int) -> UInt8? { at + ahead < pattern.count ? pattern[at + ahead] : nil }

  private mutating func alternation() -> Node? {
    depth += 1
    defer { depth -= 1 }
    guard depth <= 50, var result = sequence() else { return nil }
    while peek == 0x7c {
      at += 1
      guard let other = sequence() else { return nil }
      result = either(result, other)
    }
    return result
  }

  private func either(_ a: Node, _ b: Node) -> Node {
    var node = Node.unknown
    if let x = a.exact, let y = b.exact { node.exact = bounded(x + y) }
    if let x = a.best, let y = b.best, RequiredLiterals.isUsable(x), RequiredLiterals.isUsable(y) { node.required = bounded(x + y) }
    return node
  }

  /// Without duplicates; nil if there are too many or they are too long.
  private func bounded(_ set: [[UInt8]]) -> [[UInt8]]? {
    var result: [[UInt8]] = []
    for literal in set where !result.contains(literal) {
      guard literal.count <= RequiredLiterals.maximumLength, result.count < RequiredLiterals.maximumCount else { return nil }
      result.append(literal)
    }
    return result
  }

  private mutating func sequence() -> Node? {
    var running: [[UInt8]] = [[]]  // what the elements since the last inexact one can spell
    var isExact = true
    var required: [[UInt8]]?
    func flush(_ set: [[UInt8]], _ required: [[UInt8]]?) -> [[UInt8]]? {
      RequiredLiterals.better(required, set.contains { $0.isEmpty } ? nil : set)
    }
    while let next = peek, next != 0x7c, next != 0x29 {
      guard let element = quantified() else { return nil }
      if let exact = element.exact {
        var product: [[UInt8]] = []
        if running.count * exact.count <= RequiredLiterals.maximumCount {
          for a in running { for b in exact { product.append(a + b) } }
        }
        if !product.isEmpty, let next = bounded(product) {
          running = next
        } else {
          required = flush(running, required)
          running = exact
          isExact = false
        }
      } else {
        required = RequiredLiterals.better(flush(running, required), element.required)
        running = [[]]
        isExact = false
      }
    }
    if isExact { return Node(exact: running, required: nil) }
    return Node(exact: nil, required: flush(running, required))
  }

  /// One element with the quantifier behind it.
  private mutating func quantified() -> Node? {
    guard var node = element() else { return nil }
    while let quantifier = readQuantifier() {
      guard let (low, high) = quantifier else { return nil }
      switch (low, high) {
      case (1, 1): break
      case (0, 0): node = .empty
      case (0, 1): node = Node(exact: node.exact.flatMap { bounded($0 + [[]]) }, required: nil)
      case (0, _): node = .unknown
      case (let n, let m) where n == m && n <= 4:
        var exact: [[UInt8]]? = node.exact
        if let base = node.exact {
          for _ in 1..<n {
            exact = exact.flatMap { sofar in
              sofar.count * base.count <= RequiredLiterals.maximumCount ? bounded(sofar.flatMap { a in base.map { a + $0 } }) : nil
            }
          }
        }
        node = Node(exact: exact, required: exact == nil ? node.best : node.required)
      default: node = Node(exact: nil, required: node.best)
      }
    }
    return node
  }

  /// nil: no quantifier here. .some(nil): something that this reader does not follow.
  private mutating func readQuantifier() -> (Int, Int?)?? {
    guard let byte = peek else { return nil }
    var range: (Int, Int?)
    switch byte {
    case 0x2a: range = (0, nil)
    case 0x2b: range = (1, nil)
    case 0x3f: range = (0, 1)
    case 0x7b:
      guard let first = peek(1), first == 0x2c || first == 0x20 || (0x30...0x39).contains(first) else { return nil }  // a literal brace
      var end = at + 1
      func number() -> Int? {
        var value = 0
        let start = end
        while end < pattern.count, (0x30...0x39).contains(pattern[end]), end - start < 6 {
          value = value * 10 + Int(pattern[end] - 0x30)
          end += 1
        }
        return end > start ? value : nil
      }
      guard let low = number() else { return .some(nil) }
      range = (low, low)
      if end < pattern.count, pattern[end] == 0x2c {
        end += 1
        range.1 = number()
      }
      guard end < pattern.count, pattern[end] == 0x7d else { return .some(nil) }
      at = end
    default: return nil
    }
    at += 1
    if peek == 0x3f || peek == 0x2b { at += 1 }  // lazy, possessive
    return .some(range)
  }

  private func literal(_ byte: UInt8) -> Node {
    let folded = asciiLower(byte)
    // In UTF mode K and S have partners beyond ASCII (Kelvin sign, long s), I in some locales; bytes of long characters fold too.
    if isUTF, byte >= 0x80 || folded == 0x6b || folded == 0x73 || folded == 0x69 { return .unknown }
    return Node(exact: [[folded]], required: nil)
  }

  private mutating func element() -> Node? {
    guard let byte = peek else { return nil }
    at += 1
    switch byte {
    case 0x28: return group()
    case 0x5b: return characterClass()
    case 0x5c: return escape()
    case 0x2e: return .unknown
    case 0x5e, 0x24: return .empty
    case 0x2a, 0x2b, 0x3f: return nil
    default: return literal(byte)
    }
  }

  private mutating func group() -> Node? {
    var isAssertion = false
    if peek == 0x2a { return nil }  // a verb
    if peek == 0x3f {
      at += 1
      guard let kind = peek else { return nil }
      at += 1
      switch kind {
      case 0x3a, 0x7c, 0x3e: break  // (?: (?| (?>
      case 0x3d, 0x21: isAssertion = true  // (?= (?!
      case 0x3c:
        if peek == 0x3d || peek == 0x21 {
          at += 1
          isAssertion = true
        } else if !skipName(until: 0x3e) {
          return nil
        }
      case 0x50: guard peek == 0x3c, skipName(until: 0x3e) else { return nil }
      case 0x27: guard skipName(until: 0x27) else { return nil }
      case 0x69, 0x73, 0x6d, 0x2d:  // (?i) (?s-m: ...; case is ignored anyway
        while let flag = peek, [0x69, 0x73, 0x6d, 0x2d].contains(flag) { at += 1 }
        if peek == 0x29 {
          at += 1
          return .empty
        }
        guard peek == 0x3a else { return nil }
        at += 1
      default: return nil
      }
    }
    guard let inner = alternation(), peek == 0x29 else { return nil }
    at += 1
    return isAssertion ? .empty : inner
  }

  private mutating func skipName(until end: UInt8) -> Bool {
    while let byte = peek {
      at += 1
      if byte == end { return true }
      if byte == 0x29 { return false }
    }
    return false
  }

  /// A byte that an escape stands for; nil if it is a class, an assertion or anything else.
  private mutating func escapedByte(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x6e: return 0x0a
    case 0x72: return 0x0d
    case 0x74: return 0x09
    case 0x66: return 0x0c
    case 0x61: return 0x07
    case 0x65: return 0x1b
    case 0x78:
      guard let a = peek.flatMap(hexDigit), let b = peek(1).flatMap(hexDigit) else { return nil }
      at += 2
      return a << 4 | b
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: return nil
    case 0x80...: return nil
    default: return byte
    }
  }

  private mutating func escape() -> Node? {
    guard let byte = peek else { return nil }
    at += 1
    if let value = escapedByte(byte) { return literal(value) }
    switch byte {
    case 0x64, 0x44, 0x77, 0x57, 0x73, 0x53, 0x68, 0x48, 0x76, 0x56, 0x52, 0x4e: return .unknown  // d w s h v R N
    case 0x62, 0x42, 0x41, 0x7a, 0x5a, 0x47: return .empty  // b B A z Z G
    case 0x31...0x39:  // back reference: any text, maybe none
      while let digit = peek, (0x30...0x39).contains(digit) { at += 1 }
      return .unknown
    default: return nil
    }
  }

  private mutating func characterClass() -> Node? {
    var isNegated = false
    if peek == 0x5e {
      isNegated = true
      at += 1
    }
    var members: [UInt8] = []
    var isOpen = isNegated  // more members than are worth listing
    var isFirst = true
    while let byte = peek, byte != 0x5d || isFirst {
      isFirst = false
      at += 1
      var low = byte
      if byte == 0x5b, let next = peek, next == 0x3a || next == 0x2e || next == 0x3d { return nil }  // POSIX names
      if byte == 0x5c {
        guard let escaped = peek else { return nil }
        at += 1
        if let value = escapedByte(escaped) {
          low = value
        } else if [0x64, 0x44, 0x77, 0x57, 0x73, 0x53, 0x68, 0x48, 0x76, 0x56].contains(escaped) {
          isOpen = true
          continue
        } else if escaped == 0x62 {
          low = 0x08
        } else {
          return nil
        }
      }
      var high = low
      if peek == 0x2d, let end = peek(1), end != 0x5d {
        at += 2
        high = end
        if end == 0x5b { return nil }
        if end == 0x5c {
          guard let escaped = peek else { return nil }
          at += 1
          guard let value = escapedByte(escaped) else { return nil }
          high = value
        }
      }
      guard low <= high else { return nil }
      if low >= 0x80 || high >= 0x80 || high - low >= 8 { isOpen = true } else { for member in low...high { members.append(member) } }
    }
    guard peek == 0x5d else { return nil }
    at += 1
    if isOpen { return .unknown }
    var exact: [[UInt8]] = []
    for member in members {
      guard let one = literal(member).exact else { return .unknown }
      for text in one where !exact.contains(text) { exact.append(text) }
    }
    return exact.isEmpty || exact.count > 6 ? .unknown : Node(exact: exact, required: nil)
  }
}

@inline(__always)
func asciiLower(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }
