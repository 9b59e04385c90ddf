// A regular expression of ATR (Python's and ECMAScript's dialect) -> YARA's (YARA documentation, "Regular expressions"), or why not.
// YARA matches bytes, has no look-around, no back-references and no captures, and wants quantifiers all greedy or all lazy: for
// "does it occur", greedy and capturing make no difference, so both are dropped. One pass, linear.
import Primitives

struct YARAPattern {
  /// Between slashes, with its modifiers behind.
  private(set) var text: String
  /// The case of letters beyond ASCII, \w and \d beyond ASCII: YARA sees bytes.
  private(set) var isNarrower = false
  /// A `.` or a negated class stands where the number of characters matters: beyond ASCII, each is several bytes.
  private(set) var countsBytes = false

  init(_ pattern: String, ignoresCase: Bool) throws(ConversionError) {
    var reading = Reading(pattern: Array(pattern.unicodeScalars), ignoresCase: ignoresCase)
    try reading.run()
    if reading.isMultiline, reading.hasAnchor { throw ConversionError(message: "flag m: YARA's ^ and $ are the file's") }
    guard reading.splits <= 96 else { throw ConversionError(message: "too many alternatives and repetitions for YARA") }
    guard !reading.out.isEmpty, !reading.out.allSatisfy({ "^$()".contains($0) }) else { throw ConversionError(message: "it matches everything") }
    text = "/\(reading.out)/" + (reading.ignoresCase ? "i" : "") + (reading.dotTakesNewline ? "s" : "")
    isNarrower = reading.isNarrower
    countsBytes = reading.countsBytes
  }

  private struct Reading {
    let pattern: [Unicode.Scalar]
    var ignoresCase: Bool
    var at = 0
    var out = ""
    var dotTakesNewline = false
    var isMultiline = false
    var hasAnchor = false
    var isNarrower = false
    var countsBytes = false
    var splits = 0
    var depth = 0
    private var hasAtom = false
    private var wasQuantified = false

    init(pattern: [Unicode.Scalar], ignoresCase: Bool) {
      self.pattern = pattern
      self.ignoresCase = ignoresCase
    }

    private func peek(_ offset: Int = 0) -> Unicode.Scalar? { at + offset < pattern.count ? pattern[at + offset] : nil }
    private func failure(_ message: String) -> ConversionError { ConversionError(message: "\(message) at character \(at + 1)") }
    private func starts(_ text: String) -> Bool {
      let wanted = Array(text.unicodeScalars)
      return at + wanted.count <= pattern.count && pattern[at..<(at + wanted.count)].elementsEqual(wanted)
    }

    mutating func run() throws(ConversionError) {
      while let character = peek() {
        switch character {
        case "(": try open()
        case ")":
          depth -= 1
          at += 1
          guard hasAtom else { throw failure("an empty group or alternative") }
          out += ")"
          wasQuantified = false
        case "[": try readClass()
        case "\\": try escape()
        case "*", "+", "?": try quantifier(String(character))
        case "{": try braces()
        case "|":
          guard hasAtom else { throw failure("an empty alternative") }
          splits += 1
          out += "|"
          hasAtom = false
          at += 1
        case "^", "$":
          hasAnchor = true
          out.unicodeScalars.append(character)
          hasAtom = true
          wasQuantified = false
          at += 1
        case ".":
          out += "."
          hasAtom = true
          wasQuantified = false
          at += 1
          noteWide()
        default:
          put(literal: character)
          at += 1
        }
      }
      guard hasAtom || out.isEmpty else { throw failure("an empty alternative") }
    }

    /// Behind what takes any byte where the pattern means any character. Any number of them is the same.
    private mutating func noteWide() { if peek() != "*", peek() != "+" { countsBytes = true } }

    private mutating func put(literal character: Unicode.Scalar) {
      hasAtom = true
      wasQuantified = false
      switch character.value {
      case 0x0a: out += "\\n"
      case 0x2f: out += "\\/"
      case 0x5d, 0x7d, 0x7b: out += "\\" + String(character)
      case 0x20..<0x7f: out.unicodeScalars.append(character)
      case ..<0x80: out += YARAPattern.hex(UInt8(character.value))
      default:
        if ignoresCase, character.properties.lowercaseMapping != character.properties.uppercaseMapping { isNarrower = true }
        out += "(" + String(character).utf8.map(YARAPattern.hex).joined() + ")"
      }
    }

    private mutating func open() throws(ConversionError) {
      for look in ["(?=", "(?!", "(?<=", "(?<!"] where starts(look) { throw failure("YARA has no look-around") }
      for other in ["(?>", "(?(", "(?|", "(?#", "(?R", "(?P=", "(?P>", "(*"] where starts(other) { throw failure("YARA has no \(other)") }
      if starts("(?:") {
        at += 3
      } else if starts("(?P<") || starts("(?<") {
        while let character = peek(), character != ">" { _ = character; at += 1 }
        at += 1
      } else if starts("(?") {
        if try flags() { return }
      } else {
        at += 1
      }
      depth += 1
      guard depth <= Limits.expressionDepth else { throw failure("groups nest too deep") }
      out += "("
      hasAtom = false
      wasQuantified = false
    }

    /// `(?i)` at the beginning, `(?i:` where case is ignored anyway. True: it was no group.
    private mutating func flags() throws(ConversionError) -> Bool {
      let isFirst = out.isEmpty
      var end = at + 2
      while end < pattern.count, pattern[end].properties.isAlphabetic { end += 1 }
      let letters = pattern[(at + 2)..<end]
      guard end < pattern.count, letters.allSatisfy({ "imsu".unicodeScalars.contains($0) }), pattern[end] == ")" || pattern[end] == ":" else {
        throw failure("flags that YARA has not")
      }
      let isGroup = pattern[end] == ":"
      guard isGroup ? letters.allSatisfy({ $0 == "i" && ignoresCase }) : isFirst || letters.allSatisfy({ $0 == "i" && ignoresCase }) else {
        throw failure("flags in the middle, which YARA has not")
      }
      for letter in letters {
        if letter == "i" { ignoresCase = true }
        if letter == "s" { dotTakesNewline = true }
        if letter == "m" { isMultiline = true }
      }
      at = end + 1
      return !isGroup
    }

    private mutating func quantifier(_ text: String, length: Int = 1) throws(ConversionError) {
      guard hasAtom, !wasQuantified else { throw failure("a repetition of nothing, or of a repetition") }
      splits += 1
      out += text
      at += length
      wasQuantified = true
      if peek() == "?" { at += 1 }
      if peek() == "+" { throw failure("YARA has no possessive repetition") }
    }

    private mutating func braces() throws(ConversionError) {
      var end = at + 1
      while end < pattern.count, pattern[end].properties.numericType == .decimal || pattern[end] == "," { end += 1 }
      let inner = String(String.UnicodeScalarView(pattern[(at + 1)..<min(end, pattern.count)]))
      let parts = inner.split(separator: ",", omittingEmptySubsequences: false)
      guard end < pattern.count, pattern[end] == "}", inner.contains(where: { $0 != "," }), parts.count <= 2,
        parts.allSatisfy({ $0.isEmpty || Int($0) != nil })
      else {
        put(literal: "{")
        at += 1
        return
      }
      let low = Int(parts[0]) ?? 0
      let high = parts.count == 1 ? low : Int(parts[1])
      guard low <= 32_000, high ?? 0 <= 32_000 else { throw failure("a repetition of more than 32,000 times") }
      let text = parts.count == 1 ? "{\(low)}" : "{\(low),\(high.map(String.init) ?? "")}"
      try quantifier(text, length: end + 1 - at)
    }

    /// One character that an escape names; nil where it is a class or an anchor.
    private mutating func escapedCharacter() throws(ConversionError) -> Unicode.Scalar? {
      guard let next = peek(1) else { throw failure("a backslash at the end") }
      func hexadecimal(_ start: Int, _ count: Int) -> Unicode.Scalar? {
        guard start + count <= pattern.count else { return nil }
        return UInt32(String(String.UnicodeScalarView(pattern[start..<(start + count)])), radix: 16).flatMap(Unicode.Scalar.init)
      }
      let named: [Unicode.Scalar: Unicode.Scalar] = ["n": "\n", "r": "\r", "t": "\t", "f": "\u{0c}", "v": "\u{0b}", "a": "\u{07}", "0": "\0"]
      if next == "0", let digit = peek(2), digit.properties.numericType == .decimal { throw failure("an octal escape") }
      if let character = named[next] {
        at += 2
        return character
      }
      switch next {
      case "x", "u", "U":
        if peek(2) == "{" {
          guard let end = pattern[(at + 3)...].firstIndex(of: "}"), let value = hexadecimal(at + 3, end - at - 3) else {
            throw failure("a bad escape")
          }
          at = end + 1
          return value
        }
        let count = next == "x" ? 2 : next == "u" ? 4 : 8
        guard let value = hexadecimal(at + 2, count) else { throw failure("a code that is no character") }
        at += 2 + count
        return value
      case "d", "D", "w", "W", "s", "S", "b", "B", "A", "Z", "z": return nil
      default:
        guard !(next.properties.isAlphabetic || next.properties.numericType != nil) else {
          throw failure(next.properties.numericType != nil ? "YARA has no back-references" : "escape '\\\(next)' has no counterpart in YARA")
        }
        at += 2
        return next
      }
    }

    private mutating func escape() throws(ConversionError) {
      if let character = try escapedCharacter() {
        let isPlain =
          character.value < 0x20 || character.value >= 0x7f || character.properties.isAlphabetic
          || character.properties.numericType != nil || character == " " || character == "/"
        if isPlain {
          put(literal: character)
        } else {
          hasAtom = true
          wasQuantified = false
          out += "\\" + String(character)
        }
        return
      }
      guard let next = peek(1) else { return }
      hasAtom = true
      wasQuantified = false
      switch next {
      case "A":
        hasAnchor = true
        out += "^"
      case "Z", "z":
        hasAnchor = true
        out += "$"
      default:
        if "dDwWsS".unicodeScalars.contains(next) { isNarrower = true }
        out += "\\" + String(next)
      }
      at += 2
      if "DWS".unicodeScalars.contains(next) { noteWide() }
    }

    /// ASCII members stay a class; single characters beyond ASCII become alternatives beside it.
    private mutating func readClass() throws(ConversionError) {
      at += 1
      let isNegated = peek() == "^"
      if isNegated { at += 1 }
      var ascii = ""
      var others: [String] = []
      var isFirst = true
      // [\s\S] and its like: any byte.
      var isWide = isNegated
      var previous: Unicode.Scalar?
      while let character = peek(), character != "]" || isFirst {
        isFirst = false
        if character == "-", previous != nil, let next = peek(1), next != "]" {
          at += 1
          guard let high = try member(), let low = previous else { throw failure("a range to a class") }
          guard low.value < 0x80, high.value < 0x80 else { throw failure("a range beyond ASCII, which YARA's bytes cannot say") }
          ascii += "-" + YARAPattern.classMember(high)
          previous = nil
          continue
        }
        if character == "\\", let next = peek(1), "dDwWsS".unicodeScalars.contains(next) {
          if "dDwWsS".unicodeScalars.contains(next) { isNarrower = true }
          isWide = isWide || "DWS".unicodeScalars.contains(next)
          ascii += "\\" + String(next)
          previous = nil
          at += 2
          continue
        }
        guard let single = try member() else { throw failure("a class inside a class") }
        if single.value < 0x80 {
          ascii += YARAPattern.classMember(single)
          previous = single
        } else if peek() == "-", let next = peek(1), next != "]" {
          throw failure("a range beyond ASCII, which YARA's bytes cannot say")
        } else {
          others.append(String(single).utf8.map(YARAPattern.hex).joined())
          previous = nil
        }
      }
      guard peek() == "]" else { throw failure("a class without end") }
      at += 1
      guard !(isNegated && !others.isEmpty) else { throw failure("a negated class with characters beyond ASCII") }
      hasAtom = true
      wasQuantified = false
      // One byte here, one character there: a sequence of bytes is that character again only where it may repeat.
      if isWide { noteWide() }
      let plain = ascii.isEmpty ? [] : ["[\(isNegated ? "^" : "")\(ascii)]"]
      splits += others.count
      out += others.isEmpty ? plain.joined() : "(" + (plain + others).joined(separator: "|") + ")"
    }
    private mutating func member() throws(ConversionError) -> Unicode.Scalar? {
      guard let character = peek() else { throw failure("a class without end") }
      guard character == "\\" else {
        at += 1
        return character
      }
      if peek(1) == "b" {
        at += 2
        return "\u{08}"
      }
      return try escapedCharacter()
    }
  }

  private static func hex(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16, uppercase: true)
    return "\\x" + (digits.count == 1 ? "0" : "") + digits
  }
  private static func classMember(_ character: Unicode.Scalar) -> String {
    let isPlain = character.properties.isAlphabetic || character.properties.numericType != nil || " _".unicodeScalars.contains(character)
    if isPlain { return String(character) }
    return (0x21..<0x7f).contains(character.value) ? "\\" + String(character) : hex(UInt8(truncatingIfNeeded: character.value))
  }
}
