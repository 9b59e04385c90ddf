// Reads the union of Python's `re`/`regex` and ECMAScript's syntax; where they differ, Python's meaning counts, and where only one
// of them accepts a construct, that one's. One pass over the code points, recursion bounded by `Limits.patternNesting`.
// What must stay true: total and linear for any input; every refusal has the byte where it arose.
import Primitives

struct PatternTree {
  var root: Node
  var captures: Int
  var remarks: [RegularExpressionError]
}

struct PatternParser {
  private struct Flags {
    var ignoresCase: Bool
    var dotMatchesAll = false
    var isMultiline = false
    var isVerbose = false
    var isASCII = false
  }
  private let points: [UInt32]
  private let offsets: [Int]  // byte of each code point, and the end
  private var at = 0
  private var depth = 0
  private var flags: Flags
  private var opened = 0
  private var remarks: [RegularExpressionError] = []
  private var closed: [Bool] = [true]
  /// References may stand before what they refer to: a first reading only finds out which groups there are.
  private var isSurvey = true
  /// How many groups capture, and the named ones. Looked up, never iterated.
  private var total = 0
  private var allNames: [[UInt32]: Int] = [:]
  /// The last `]`.
  private var lastBracket: Int

  static func read(_ source: String, ignoresCase: Bool) throws(RegularExpressionError) -> PatternTree {
    guard source.utf8.count <= Limits.patternBytes else {
      throw RegularExpressionError(message: "the pattern is longer than \(Limits.patternBytes) bytes", offset: Limits.patternBytes)
    }
    var parser = PatternParser(source, ignoresCase: ignoresCase)
    var survey = parser
    _ = try survey.whole()
    (parser.isSurvey, parser.total, parser.allNames) = (false, survey.opened, survey.allNames)
    let root = try parser.whole()
    return PatternTree(root: root, captures: parser.opened, remarks: parser.remarks)
  }
  private mutating func whole() throws(RegularExpressionError) -> Node {
    readLeadingFlags()
    let root = try alternation()
    guard at == points.count else { throw error("unbalanced parenthesis") }
    return root
  }

  private init(_ source: String, ignoresCase: Bool) {
    var points: [UInt32] = []
    var offsets: [Int] = []
    var offset = 0
    for scalar in source.unicodeScalars {
      points.append(scalar.value)
      offsets.append(offset)
      offset += UTF8.width(scalar)
    }
    offsets.append(offset)
    self.points = points
    self.offsets = offsets
    flags = Flags(ignoresCase: ignoresCase)
    lastBracket = points.lastIndex(of: 0x5d) ?? -1
  }

  // MARK: Small steps

  private var peek: UInt32? { at < points.count ? points[at] : nil }
  private func peek(_ ahead: Int) -> UInt32? { at + ahead < points.count ? points[at + ahead] : nil }
  private func error(_ message: String, at place: Int? = nil) -> RegularExpressionError {
    RegularExpressionError(message: message, offset: offsets[min(place ?? at, points.count)])
  }
  private mutating func take(_ point: UInt32) -> Bool {
    guard peek == point else { return false }
    at += 1
    return true
  }
  private static func value(_ point: UInt32?) -> UInt32? {
    switch point {
    case .some(let p) where p >= 0x30 && p <= 0x39: p - 0x30
    case .some(let p) where p >= 0x41 && p <= 0x46: p - 0x37
    case .some(let p) where p >= 0x61 && p <= 0x66: p - 0x57
    default: nil
    }
  }
  private static func isLetter(_ point: UInt32) -> Bool { (point | 0x20) &- 0x61 < 26 }

  // MARK: Structure

  private mutating func alternation() throws(RegularExpressionError) -> Node {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Limits.patternNesting else { throw error("groups are nested more than \(Limits.patternNesting) deep") }
    let outer = flags
    defer { flags = outer }
    var branches = [try sequence()]
    while take(0x7c) { branches.append(try sequence()) }
    return branches.count == 1 ? branches[0] : .alternation(branches)
  }

  private mutating func sequence() throws(RegularExpressionError) -> Node {
    var items: [Node] = []
    while let point = peek, point != 0x7c, point != 0x29 {
      if flags.isVerbose, skipVerbose() { continue }
      let start = at
      let item = try element()
      let quantified = try quantify(item, from: start)
      if quantified != .empty { items.append(quantified) }
    }
    return items.isEmpty ? .empty : items.count == 1 ? items[0] : .sequence(items)
  }

  private mutating func skipVerbose() -> Bool {
    guard let point = peek else { return false }
    if point == 0x20 || (0x09...0x0d).contains(point) {
      at += 1
      return true
    }
    guard point == 0x23 else { return false }
    while peek != nil, peek != 0x0a { at += 1 }
    return true
  }

  private mutating func quantify(_ item: Node, from start: Int) throws(RegularExpressionError) -> Node {
    while flags.isVerbose, skipVerbose() {}
    let place = at
    guard let (low, high) = try quantifier() else { return item }
    var greed = Node.Greed.greedy
    if take(0x3f) { greed = .lazy } else if take(0x2b) { greed = .possessive }
    if item.isWithoutWidth, points[start] != 0x28 { throw error("nothing to repeat", at: place) }
    let again = at
    if try quantifier() != nil { throw error("multiple repeat", at: again) }
    switch item {
    case .lookAround, .anchor:
      // Asked more than once it says the same.
      if high != 0 { return low == 0 ? .repeat(item, low: 0, high: 1, greed) : item }
    default: break
    }
    if low == 1, high == 1 { return greed == .possessive ? .atomic(item) : item }
    return .repeat(item, low: low, high: high, greed)
  }

  /// nil: no quantifier stands here.
  private mutating func quantifier() throws(RegularExpressionError) -> (Int, Int?)? {
    switch peek {
    case 0x2a:
      at += 1
      return (0, nil)
    case 0x2b:
      at += 1
      return (1, nil)
    case 0x3f:
      at += 1
      return (0, 1)
    case 0x7b: break
    default: return nil
    }
    var end = at + 1
    func number() -> Int? {
      let start = end
      var value = 0
      while end < points.count, points[end] &- 0x30 < 10 {
        value = min(1_000_000, value * 10 + Int(points[end] - 0x30))
        end += 1
      }
      return end > start ? value : nil
    }
    let low = number()
    var high = low
    var isRange = false
    if end < points.count, points[end] == 0x2c {
      isRange = true
      end += 1
      high = number()
    }
    guard end < points.count, points[end] == 0x7d, low != nil || isRange else { return nil }  // a brace for itself
    let least = low ?? 0
    guard max(least, high ?? 0) <= Limits.patternRepeats else { throw error("a repeat count is above \(Limits.patternRepeats)") }
    if let high, high < least { throw error("the lower repeat count is above the upper") }
    at = end + 1
    return (least, high)
  }

  private mutating func element() throws(RegularExpressionError) -> Node {
    PatternWork.step()
    let point = points[at]
    switch point {
    case 0x28: return try group()
    case 0x5b: return try characterClass()
    case 0x5c: return try escape()
    case 0x2e:
      at += 1
      return .characterClass(flags.dotMatchesAll ? CharacterClass(isNegated: true) : CharacterClass(ranges: [0x0a...0x0a], isNegated: true))
    case 0x5e:
      at += 1
      return .anchor(flags.isMultiline ? .lineStart : .textStart)
    case 0x24:
      at += 1
      return .anchor(flags.isMultiline ? .lineEnd : .textEndOrFinalLineFeed)
    case 0x2a, 0x2b, 0x3f: throw error("nothing to repeat")
    case 0x7b:
      if try quantifier() != nil { throw error("nothing to repeat") }
      at += 1
      return literal(point)
    default:
      at += 1
      return literal(point)
    }
  }

  private func literal(_ point: UInt32) -> Node {
    if (0xd800...0xdfff).contains(point) { return .characterClass(CharacterClass()) }  // a lone surrogate: in no text
    // Python's flag `a`: only letters of ASCII have a case, and their partners beyond it are none.
    guard flags.ignoresCase, flags.isASCII else { return .literal(point, ignoresCase: flags.ignoresCase) }
    guard CaseTable.isASCIILetter(point) else { return .literal(point, ignoresCase: false) }
    return .characterClass(CharacterClass(ranges: [point...point, point ^ 0x20...point ^ 0x20]))
  }

  // MARK: Groups

  private mutating func group() throws(RegularExpressionError) -> Node {
    let start = at
    at += 1
    if peek == 0x2a { throw error("nothing to repeat") }
    guard take(0x3f) else { return try capture(from: start) }
    guard let kind = peek else { throw error("unexpected end of pattern") }
    at += 1
    switch kind {
    case 0x3a: return try inner(from: start)
    case 0x3e: return .atomic(try inner(from: start))
    case 0x3d: return .lookAround(try inner(from: start), isAhead: true, isNegative: false)
    case 0x21: return .lookAround(try inner(from: start), isAhead: true, isNegative: true)
    case 0x23:
      while peek != nil, peek != 0x29 { at += 1 }
      guard take(0x29) else { throw error("missing ), unterminated comment", at: start) }
      return .empty
    case 0x3c:
      if take(0x3d) { return .lookAround(try inner(from: start), isAhead: false, isNegative: false) }
      if take(0x21) { return .lookAround(try inner(from: start), isAhead: false, isNegative: true) }
      return try capture(from: start, name: try name(until: 0x3e))
    case 0x50:
      if take(0x3c) { return try capture(from: start, name: try name(until: 0x3e)) }
      if take(0x3d) { return try reference(toName: try name(until: 0x29), from: start) }
      throw error("unknown extension ?P", at: start)
    case 0x28: return try conditional(from: start)
    default:
      at -= 1
      return try flagGroup(from: start)
    }
  }

  private mutating func inner(from start: Int) throws(RegularExpressionError) -> Node {
    let node = try alternation()
    guard take(0x29) else { throw error("missing ), unterminated subpattern", at: start) }
    return node
  }

  private mutating func capture(from start: Int, name: [UInt32]? = nil) throws(RegularExpressionError) -> Node {
    opened += 1
    let number = opened
    if isSurvey, let name, allNames[name] == nil { allNames[name] = number }
    closed.append(false)
    let node = try inner(from: start)
    closed[number] = true
    return .capture(node, number: number)
  }

  private mutating func name(until end: UInt32) throws(RegularExpressionError) -> [UInt32] {
    let start = at
    var name: [UInt32] = []
    while let point = peek, point != end {
      guard point >= 0x80 || point == 0x5f || PatternParser.isLetter(point) || point &- 0x30 < 10, name.count < Limits.patternNameLength else {
        throw error("bad character in group name")
      }
      name.append(point)
      at += 1
    }
    guard !name.isEmpty, name[0] &- 0x30 >= 10 else { throw error("missing group name", at: start) }
    guard take(end) else { throw error("unterminated group name", at: start) }
    return name
  }

  private mutating func conditional(from start: Int) throws(RegularExpressionError) -> Node {
    var number = 0
    if let digit = peek, digit &- 0x30 < 10 {
      while let digit = peek, digit &- 0x30 < 10 {
        number = min(1_000_000, number * 10 + Int(digit - 0x30))
        at += 1
      }
      guard take(0x29) else { throw error("bad character in group name") }
    } else {
      let name = try name(until: 0x29)
      number = allNames[name] ?? 0
    }
    guard isSurvey || number > 0 && number <= total else { throw error("the condition names a group that does not exist", at: start) }
    let node = try inner(from: start)
    guard case .alternation(let branches) = node else { return .conditional(number, node, .empty) }
    guard branches.count == 2 else { throw error("a conditional group has more than two branches", at: start) }
    return .conditional(number, branches[0], branches[1])
  }

  // MARK: Flags

  /// `(?im)` at the start counts for all of the pattern.
  private mutating func readLeadingFlags() {
    while peek == 0x28, peek(1) == 0x3f, let first = peek(2), PatternParser.isLetter(first) || first == 0x2d {
      let mark = at
      let start = at
      at += 2
      guard let read = try? flagLetters(from: start), take(0x29) else {
        at = mark
        return
      }
      flags = read
    }
  }

  /// `(?i:...)` and `(?-i:...)`; `(?i)` inside a pattern counts for all of it in the reference's fall-back, which is why only the
  /// start is a place for it where the meaning is the same everywhere: elsewhere it counts to the end of its group, as in Perl.
  private mutating func flagGroup(from start: Int) throws(RegularExpressionError) -> Node {
    let read = try flagLetters(from: start)
    if take(0x29) {
      flags = read
      return .empty
    }
    guard take(0x3a) else { throw error("unknown extension", at: start) }
    let outer = flags
    flags = read
    defer { flags = outer }
    return try inner(from: start)
  }

  private mutating func flagLetters(from start: Int) throws(RegularExpressionError) -> Flags {
    var read = flags
    var value = true
    while let letter = peek, letter != 0x29, letter != 0x3a {
      switch letter {
      case 0x69: read.ignoresCase = value
      case 0x73: read.dotMatchesAll = value
      case 0x6d: read.isMultiline = value
      case 0x78: read.isVerbose = value
      case 0x61: read.isASCII = value
      case 0x75: read.isASCII = false
      case 0x2d where value: value = false
      default: throw error("unknown extension or flag", at: start)
      }
      at += 1
    }
    return read
  }

  // MARK: Escapes

  private mutating func escape() throws(RegularExpressionError) -> Node {
    let start = at
    guard let letter = peek(1) else { throw error("bad escape at the end of the pattern") }
    if let shorthand = try shorthand() {
      return .characterClass(CharacterClass(shorthands: [shorthand], ignoresCase: flags.ignoresCase && !flags.isASCII, isASCII: flags.isASCII))
    }
    at += 2
    switch letter {
    case 0x62: return .anchor(.wordBoundary(isASCII: flags.isASCII))
    case 0x42: return .anchor(.notWordBoundary(isASCII: flags.isASCII))
    case 0x41: return .anchor(.textStart)
    case 0x5a, 0x7a: return .anchor(.textEnd)
    case 0x6b:
      guard take(0x3c) else {
        if allNames.isEmpty { return literal(letter) }
        throw error("missing group name", at: start)
      }
      if allNames.isEmpty {  // ECMAScript: without named groups \k is a k
        at -= 1
        return literal(letter)
      }
      return try reference(toName: try name(until: 0x3e), from: start)
    case 0x31...0x39:
      at -= 1
      return try numberedReference(from: start)
    case 0x75:
      at = start
      return try unicodeEscape()
    default:
      at = start
      return literal(try codePoint())
    }
  }

  private mutating func reference(toName name: [UInt32], from start: Int) throws(RegularExpressionError) -> Node {
    guard let number = allNames[name] ?? (isSurvey ? 0 : nil) else { throw error("unknown group name", at: start) }
    return reference(to: number)
  }
  private func reference(to number: Int) -> Node {
    .backReference(number, ignoresCase: flags.ignoresCase, isForward: number >= closed.count || !closed[number])
  }

  /// Python: three octal digits, or one or two digits of a group. A group that does not exist: ECMAScript's octal escape.
  private mutating func numberedReference(from start: Int) throws(RegularExpressionError) -> Node {
    func isOctal(_ point: UInt32?) -> Bool { point.map { $0 &- 0x30 < 8 } ?? false }
    if let first = peek, isOctal(first), let second = peek(1), isOctal(second), let third = peek(2), isOctal(third) {
      let value = (first - 0x30) << 6 | (second - 0x30) << 3 | third - 0x30
      if value <= 0xff {
        at += 3
        return literal(value)
      }
    }
    var number = Int(points[at] - 0x30)
    var length = 1
    if let second = peek(1), second &- 0x30 < 10 {
      number = number * 10 + Int(second - 0x30)
      length = 2
    }
    if number > total, length == 2, Int(points[at] - 0x30) <= total {
      number = Int(points[at] - 0x30)
      length = 1
    }
    if number <= total {
      at += length
      return reference(to: number)
    }
    if remarks.count < 8 { remarks.append(error("reference to a group that does not exist", at: start)) }
    guard isOctal(peek) else {
      at += 1
      return literal(points[at - 1])
    }
    var value: UInt32 = 0
    var digits = 0
    while digits < 3, let point = peek, isOctal(point), value << 3 | (point - 0x30) <= 0xff {
      value = value << 3 | (point - 0x30)
      at += 1
      digits += 1
    }
    return literal(value)
  }

  /// \d \D \s \S \w \W \p{..} \P{..}; nil: something else stands here.
  private mutating func shorthand() throws(RegularExpressionError) -> CharacterClass.Shorthand? {
    switch peek(1) {
    case 0x64: at += 2; return .digit
    case 0x44: at += 2; return .notDigit
    case 0x73: at += 2; return .space
    case 0x53: at += 2; return .notSpace
    case 0x77: at += 2; return .word
    case 0x57: at += 2; return .notWord
    case 0x70, 0x50: return try property()
    default: return nil
    }
  }

  private mutating func property() throws(RegularExpressionError) -> CharacterClass.Shorthand {
    let start = at
    var isNegated = points[at + 1] == 0x50
    at += 2
    var text = ""
    if take(0x7b) {
      if take(0x5e) { isNegated.toggle() }
      while let point = peek, point != 0x7d {
        guard point < 0x80, PatternParser.isLetter(point) || point &- 0x30 < 10 || [0x5f, 0x3d, 0x20, 0x2d, 0x26, 0x3a].contains(point),
          text.utf8.count < Limits.patternNameLength
        else { throw error("unknown property", at: start) }
        text.unicodeScalars.append(Unicode.Scalar(UInt8(point)))
        at += 1
      }
      guard take(0x7d), !text.isEmpty else { throw error("unterminated property", at: start) }
    } else if let point = peek, PatternParser.isLetter(point) {
      text.unicodeScalars.append(Unicode.Scalar(UInt8(point)))
      at += 1
    } else {
      throw error("bad escape \\p", at: start)
    }
    return .property(PropertyName.pcre2(text), isNegated: isNegated)
  }

  /// `\uXXXX`, `\u{X..}`; also two that are a pair of surrogates, and a high one before a class of low ones.
  private mutating func unicodeEscape() throws(RegularExpressionError) -> Node {
    let high = try codePoint()
    guard (0xd800...0xdbff).contains(high) else { return literal(high) }
    if let low = lowSurrogate(at: at) {
      at = low.end
      return literal(0x10000 + (high - 0xd800) << 10 + (low.value - 0xdc00))
    }
    if peek == 0x5b, let (ranges, end) = lowSurrogateClass(at: at + 1) {
      at = end
      let base = 0x10000 + (high - 0xd800) << 10
      return .characterClass(
        CharacterClass(ranges: ranges.map { base + $0.lowerBound - 0xdc00...base + $0.upperBound - 0xdc00 }, ignoresCase: flags.ignoresCase))
    }
    return literal(high)
  }
  private func lowSurrogate(at place: Int) -> (value: UInt32, end: Int)? {
    guard place + 5 < points.count, points[place] == 0x5c, points[place + 1] == 0x75 else { return nil }
    var value: UInt32 = 0
    for point in points[place + 2...place + 5] {
      guard let digit = PatternParser.value(point) else { return nil }
      value = value << 4 | digit
    }
    return (0xdc00...0xdfff).contains(value) ? (value, place + 6) : nil
  }
  private func lowSurrogateClass(at place: Int) -> ([ClosedRange<UInt32>], Int)? {
    var ranges: [ClosedRange<UInt32>] = []
    var at = place
    while let low = lowSurrogate(at: at) {
      at = low.end
      var last = low.value
      if at < points.count, points[at] == 0x2d, let end = lowSurrogate(at: at + 1), end.value >= low.value {
        last = end.value
        at = end.end
      }
      ranges.append(low.value...last)
    }
    guard !ranges.isEmpty, at < points.count, points[at] == 0x5d else { return nil }
    return (ranges, at + 1)
  }

  private static let controls: [UInt32: UInt32] = [0x6e: 0x0a, 0x72: 0x0d, 0x74: 0x09, 0x66: 0x0c, 0x76: 0x0b, 0x61: 0x07]

  /// The code point that the escape here stands for. Shorthands, references and anchors have been taken before.
  private mutating func codePoint() throws(RegularExpressionError) -> UInt32 {
    let start = at
    guard let letter = peek(1) else { throw error("bad escape at the end of the pattern") }
    at += 2
    if let control = PatternParser.controls[letter] { return control }
    switch letter {
    case 0x78: return try hexadecimal(digits: 2, from: start)
    case 0x75: return try hexadecimal(digits: 4, from: start)
    case 0x55: return try hexadecimal(digits: 8, from: start)
    case 0x63:
      guard let control = peek, PatternParser.isLetter(control) else { throw error("bad escape \\c", at: start) }
      at += 1
      return control & 0x1f
    case 0x30...0x37:
      var value = letter - 0x30
      var count = 1
      while count < 3, let digit = peek, digit &- 0x30 < 8, value << 3 | (digit - 0x30) <= 0xff {
        value = value << 3 | (digit - 0x30)
        at += 1
        count += 1
      }
      return value
    case let letter where PatternParser.isLetter(letter):
      throw error("bad escape \\\(Character(Unicode.Scalar(UInt8(letter))))", at: start)
    default: return letter
    }
  }

  private mutating func hexadecimal(digits: Int, from start: Int) throws(RegularExpressionError) -> UInt32 {
    var value: UInt32 = 0
    if digits != 8, peek == 0x7b {
      var end = at + 1
      while end < points.count, let digit = PatternParser.value(points[end]), value <= CodePointSet.last {
        value = value << 4 | digit
        end += 1
      }
      guard end > at + 1, end < points.count, points[end] == 0x7d else { throw error("incomplete escape", at: start) }
      at = end + 1
    } else {
      for _ in 0..<digits {
        guard let digit = PatternParser.value(peek) else { throw error("incomplete escape", at: start) }
        value = value << 4 | digit
        at += 1
      }
    }
    guard value <= CodePointSet.last else { throw error("the code point is above U+10FFFF", at: start) }
    return value
  }

  // MARK: Classes

  private enum Member {
    case point(UInt32)
    case shorthand(CharacterClass.Shorthand)
  }

  private mutating func characterClass() throws(RegularExpressionError) -> Node {
    let start = at
    at += 1
    var result = CharacterClass(ignoresCase: flags.ignoresCase, isASCII: flags.isASCII)
    result.isNegated = take(0x5e)
    var isFirst = true
    // Python takes a first ] as a member; where none follows to close the class it is ECMAScript's empty class.
    if peek == 0x5d, lastBracket <= at {
      at += 1
      return .characterClass(result)
    }
    while peek != nil, peek != 0x5d || isFirst {
      isFirst = false
      let place = at
      let low = try member()
      guard peek == 0x2d, let next = peek(1), next != 0x5d else {
        add(low, to: &result)
        continue
      }
      at += 1
      let high = try member()
      switch (low, high) {
      case (.point(let a), .point(let b)):
        guard a <= b else { throw error("bad character range", at: place) }
        result.ranges.append(a...b)
      default:  // ECMAScript: beside a shorthand the hyphen stands for itself
        add(low, to: &result)
        add(.point(0x2d), to: &result)
        add(high, to: &result)
      }
    }
    guard take(0x5d) else { throw error("unterminated character set", at: start) }
    if result.ignoresCase, result.isASCII {
      let members = CodePointSet(result.ranges)
      for letter in UInt32(0x41)...0x7a where CaseTable.isASCIILetter(letter) && members.contains(letter ^ 0x20) {
        result.ranges.append(letter...letter)
      }
      result.ignoresCase = false
    }
    guard result.shorthands.count <= 64 else { throw error("a character set of more than 64 properties", at: start) }
    return .characterClass(result)
  }

  private func add(_ member: Member, to set: inout CharacterClass) {
    switch member {
    case .point(let point): set.ranges.append(point...point)
    case .shorthand(let shorthand):
      if set.shorthands.count <= 64, !set.shorthands.contains(shorthand) { set.shorthands.append(shorthand) }
    }
  }

  private mutating func member() throws(RegularExpressionError) -> Member {
    PatternWork.step()
    guard peek == 0x5c else {
      at += 1
      return .point(points[at - 1])
    }
    if let shorthand = try shorthand() { return .shorthand(shorthand) }
    switch peek(1) {
    case 0x62:
      at += 2
      return .point(0x08)
    case 0x38, 0x39:
      at += 2
      return .point(points[at - 1])
    case 0x75:
      let high = try codePoint()
      if (0xd800...0xdbff).contains(high), let low = lowSurrogate(at: at) {
        at = low.end
        return .point(0x10000 + (high - 0xd800) << 10 + (low.value - 0xdc00))
      }
      return .point(high)
    default: return .point(try codePoint())
    }
  }
}

/// Long names of general categories, as ECMAScript and Python's `regex` allow them, in PCRE2's spelling.
enum PropertyName {
  private static let categories: [String: String] = [
    "letter": "L", "casedletter": "L&", "lc": "L&", "uppercaseletter": "Lu", "lowercaseletter": "Ll", "titlecaseletter": "Lt",
    "modifierletter": "Lm", "otherletter": "Lo", "mark": "M", "combiningmark": "M", "nonspacingmark": "Mn", "spacingmark": "Mc",
    "enclosingmark": "Me", "number": "N", "decimalnumber": "Nd", "digit": "Nd", "letternumber": "Nl", "othernumber": "No",
    "punctuation": "P", "punct": "P", "connectorpunctuation": "Pc", "dashpunctuation": "Pd", "openpunctuation": "Ps",
    "closepunctuation": "Pe", "initialpunctuation": "Pi", "finalpunctuation": "Pf", "otherpunctuation": "Po", "symbol": "S",
    "mathsymbol": "Sm", "currencysymbol": "Sc", "modifiersymbol": "Sk", "othersymbol": "So", "separator": "Z", "spaceseparator": "Zs",
    "lineseparator": "Zl", "paragraphseparator": "Zp", "other": "C", "control": "Cc", "cntrl": "Cc", "format": "Cf", "surrogate": "Cs",
    "privateuse": "Co", "unassigned": "Cn",
  ]
  static func pcre2(_ name: String) -> String {
    var key = ""
    var value: String?
    for scalar in name.unicodeScalars {
      if scalar == "=" || scalar == ":" {
        guard value == nil else { break }
        value = ""
      } else if value != nil {
        value!.unicodeScalars.append(scalar)
      } else {
        key.unicodeScalars.append(scalar)
      }
    }
    func folded(_ text: String) -> String {
      String(String.UnicodeScalarView(text.unicodeScalars.filter { $0 != "_" && $0 != " " && $0 != "-" })).lowercased()
    }
    guard let value else { return categories[folded(key)] ?? name }
    switch folded(key) {
    case "gc", "generalcategory": return categories[folded(value)] ?? value
    case "sc", "script": return "sc:" + value
    case "scx", "scriptextensions": return "scx:" + value
    default: return name
    }
  }
}
