// Sigma's texts: `*` is any text, `?` any character, a backslash takes either (or itself) literally (Sigma rules specification,
// "Special Characters"; as pySigma reads it). And what else turns a value into a pattern: CIDR networks, Base64 offsets.
import Primitives

struct Wildcards {
  enum Part: Equatable {
    case text(String), star, one
  }
  private(set) var parts: [Part] = []

  init(_ value: String) {
    var text = ""
    var isEscaped = false
    func put(_ out: inout [Part], _ part: Part) {
      if !text.isEmpty { out.append(.text(text)) }
      text = ""
      if !(part == .star && out.last == .star) { out.append(part) }
    }
    for character in value.unicodeScalars {
      if isEscaped {
        if !"*?\\".unicodeScalars.contains(character) { text.unicodeScalars.append("\\") }
        text.unicodeScalars.append(character)
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else if character == "*" {
        put(&parts, .star)
      } else if character == "?" {
        put(&parts, .one)
      } else {
        text.unicodeScalars.append(character)
      }
    }
    if isEscaped { text += "\\" }
    if !text.isEmpty { parts.append(.text(text)) }
  }
  /// Nothing in it is special.
  init(literal: String) { parts = literal.isEmpty ? [] : [.text(literal)] }

  mutating func openStart() { if parts.first != .star { parts.insert(.star, at: 0) } }
  mutating func openEnd() { if parts.last != .star { parts.append(.star) } }

  var isPlain: Bool { !parts.contains(.star) && !parts.contains(.one) }
  /// The text without its wildcards: each `?` as an x.
  var sample: String {
    parts.map { part in
      switch part {
      case .text(let text): text
      case .star: ""
      case .one: "x"
      }
    }.joined()
  }

  /// The simplest ATR test that means the same. Dashes are matched in all their forms where `anyDash` is set (Sigma's windash).
  func test(anyDash: Bool) -> (kind: FieldTest.Kind, value: String) {
    let inner = parts.filter { $0 != .star }
    if !anyDash, inner.count <= 1, !inner.contains(.one) {
      let text: String = if case .text(let text)? = inner.first { text } else { "" }
      switch (parts.first == .star, parts.last == .star) {
      case (false, false): return (.exact, text)
      case (true, true) where !text.isEmpty: return (.contains, text)
      case (false, true) where !text.isEmpty: return (.startsWith, text)
      case (true, true), (false, true): return (.regex, "^")
      case (true, false): break
      }
    }
    let pattern = (parts.first == .star ? "" : "^") + inside(character: "[\\s\\S]", anyDash: anyDash)
    return (.regex, parts.last == .star ? pattern : pattern + Wildcards.end)
  }
  /// A pattern of what stands between a star at the beginning and one at the end.
  private func inside(character: String, anyDash: Bool) -> String {
    var pattern = ""
    for (i, part) in parts.enumerated() {
      switch part {
      case .text(let text): pattern += anyDash ? Wildcards.escapedAnyDash(text) : Wildcards.escaped(text)
      case .one: pattern += character
      case .star: if i > 0, i < parts.count - 1 { pattern += character + "*" }
      }
    }
    return pattern
  }
  /// A pattern for the whole of which the text is a part.
  func pattern(within part: SigmaLogSource.Undecoded, anyDash: Bool) -> String {
    part.before + (parts.first == .star ? part.character + "*" : "") + inside(character: part.character, anyDash: anyDash)
      + (parts.last == .star ? "" : part.end)
  }
  /// Whether it looks for bytes as URLs encode them: `%2e`, or with a wildcard, class, group or escape for a digit, as in `%2?` and `%[0-9a-f]`.
  static func looksForPercentEncoding(_ text: String) -> Bool {
    zip(text.utf8, text.utf8.dropFirst()).contains { sign, next in sign == 0x25 && "0123456789abcdefABCDEF[(?\\*".utf8.contains(next) }
  }

  /// End of the text in every dialect: `$` also stands before a last newline, `\z` and `\Z` differ.
  static let end = "(?![\\s\\S])"

  static func escaped(_ text: String) -> String {
    var out = ""
    for character in text.unicodeScalars {
      if "\\^$.|?*+()[]{}".unicodeScalars.contains(character) { out += "\\" }
      out.unicodeScalars.append(character)
    }
    return out
  }
  /// windash: `-`, `/` and three long dashes stand for each other where they begin a word.
  private static func escapedAnyDash(_ text: String) -> String {
    var out = ""
    var previous: Unicode.Scalar?
    for character in text.unicodeScalars {
      let startsWord = previous.map { !($0.properties.isAlphabetic || $0.properties.numericType != nil || $0 == "_") } ?? true
      if startsWord, "-/\u{2013}\u{2014}\u{2015}".unicodeScalars.contains(character) {
        out += "[-/\u{2013}\u{2014}\u{2015}]"
      } else {
        out += escaped(String(character))
      }
      previous = character
    }
    return out
  }

  // MARK: Networks

  /// Whether it is an address and a number of bits that it has, whatever can be said of it.
  static func isNetwork(_ text: String) -> Bool {
    let halves = text.split(separator: "/", omittingEmptySubsequences: false)
    guard halves.count == 2, let bits = Int(halves[1]), IPAddress(String(halves[0])) != nil else { return false }
    return (0...(halves[0].contains(":") ? 128 : 32)).contains(bits)
  }
  /// A pattern for the canonical text (RFC 5952 for IPv6) of the addresses in a network; nil where there is no simple one.
  static func pattern(cidr text: String) -> String? {
    let halves = text.split(separator: "/", omittingEmptySubsequences: false)
    guard halves.count == 2, let bits = Int(halves[1]), let address = IPAddress(String(halves[0])) else { return nil }
    return String(halves[0]).contains(":") ? pattern(v6: "\(address)", bits: bits) : pattern(v4: "\(address)", bits: bits)
  }
  private static func pattern(v4 text: String, bits: Int) -> String? {
    let octets = text.split(separator: ".").compactMap { Int($0) }
    guard octets.count == 4, (0...32).contains(bits) else { return nil }
    if bits == 0 { return "^[0-9]{1,3}(?:\\.[0-9]{1,3}){3}" + end }
    let whole = bits / 8
    var pattern = "^" + octets.prefix(whole).map(String.init).joined(separator: "\\.")
    if whole == 4 { return pattern + end }
    if whole > 0 { pattern += "\\." }
    let rest = bits % 8
    if rest > 0 {
      let size = 1 << (8 - rest)
      let first = octets[whole] & ~(size - 1)
      pattern += "(?:" + (first..<(first + size)).map(String.init).joined(separator: "|") + ")" + (whole == 3 ? end : "\\.")
    }
    return pattern
  }
  /// Networks that end at a group's border after groups that are not zero, or inside the first group.
  private static func pattern(v6 text: String, bits: Int) -> String? {
    guard (1...128).contains(bits) else { return nil }
    if bits == 128 { return "^" + escaped(text) + end }
    guard let first = text.split(separator: ":", omittingEmptySubsequences: false).first.flatMap({ Int($0, radix: 16) }), first > 0 else {
      return nil
    }
    if bits < 16 {
      let size = 1 << (16 - bits)
      let low = first & ~(size - 1)
      guard low >= 0x1000, size <= 4096 else { return nil }
      // Whole nibbles are a class; the rest is spelled out.
      let nibbles = bits / 4
      let spare = bits % 4
      let digits = Array(String(low, radix: 16))
      var pattern = "^" + String(digits[..<nibbles])
      if spare > 0 {
        let start = Int(String(digits[nibbles]), radix: 16)!
        pattern += "[" + (start..<(start + (1 << (4 - spare)))).map { String($0, radix: 16) }.joined() + "]"
      }
      return pattern + "[0-9a-f]{\(4 - nibbles - (spare > 0 ? 1 : 0))}:"
    }
    guard bits % 16 == 0 else { return nil }
    let groups = text.split(separator: ":", omittingEmptySubsequences: false).prefix(bits / 16)
    guard groups.count == bits / 16, groups.allSatisfy({ !$0.isEmpty && $0 != "0" }) else { return nil }
    return "^" + groups.joined(separator: ":") + ":"
  }

  // MARK: Base64

  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  static func base64(_ bytes: [UInt8]) -> String {
    var out: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = Array(bytes[start..<min(start + 3, bytes.count)])
      let word = group.enumerated().reduce(0) { $0 | Int($1.element) << (16 - 8 * $1.offset) }
      for i in 0..<4 { out.append(i <= group.count ? alphabet[word >> (18 - 6 * i) & 63] : 0x3d) }
    }
    return String(decoding: out, as: UTF8.self)
  }
  /// What of the Base64 text stays the same whatever stands before and after `bytes`, for the three places where they can begin.
  static func base64Offsets(_ bytes: [UInt8]) -> [String] {
    (0..<3).map { offset in
      let text = Array(base64([UInt8](repeating: 0x20, count: offset) + bytes).utf8.prefix { $0 != 0x3d })
      let first = [0, 2, 3][offset]
      // Digits that also hold bits of the byte behind the text are not fixed.
      let last = (offset + bytes.count) % 3 == 0 ? text.count : text.count - 1
      return String(decoding: text[min(first, last)..<last], as: UTF8.self)
    }
  }
}
