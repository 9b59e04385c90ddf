// `${span.attributes.<path>}` in a value of a predicate (spec/atr-method-v1.1.md, 8.3): another attribute of the same span; in a filter
// (7.3), another field of the same event. It may stand alone, among other text, and in a regular expression, where it stands for the text
// of the attribute and for nothing that its characters would mean in a pattern.
// What must stay true: what looks like a placeholder and is none is an error. Read as plain text it would be a comparison that never holds,
// and its negation one that always does.
import Primitives
import TypedYAML

/// A text with placeholders, in order.
public enum TemplatePart: Codable, Hashable, Sendable {
  case text(String)
  /// The path of an attribute, or the name of a field.
  case attribute(String)
}

/// One value of an equality in a filter that is more than a text.
public enum FilterOperand: Codable, Hashable, Sendable {
  case text(String)
  /// In the form of `canonicalNumber`: 1 and 1.0 are equal.
  case number(String)
  case template([TemplatePart])
}

struct PlaceholderError: Error {
  var message: String
  var hint = "the standard knows ${span.attributes.<path>} only"
}

public enum Placeholder {
  static let opening = "${span.attributes."
  /// Where a filter's value is meant as a placeholder, right or wrong. Other uses of `${` are plain text there.
  public static func isMeant(_ text: String) -> Bool { text.contains("${span") || text.contains("${trace") }

  /// Of a plain value. Every `${` must be a placeholder.
  static func parts(of text: String) throws(PlaceholderError) -> [TemplatePart] {
    try parts(of: Array(text.utf8)) { bytes, at in bytes[at...].starts(with: "${".utf8) }
  }

  /// Of a regular expression; nil: it has none. `$` and `{` mean something there, so only what begins as a placeholder does is meant as one.
  static func parts(ofPattern pattern: String) throws(PlaceholderError) -> [TemplatePart]? {
    guard isMeant(pattern) else { return nil }
    let bytes = Array(pattern.utf8)
    var isPlaceholder = [Bool](repeating: false, count: bytes.count)
    var inClass = false
    var i = 0
    while i < bytes.count {
      switch bytes[i] {
      case 0x5c: i += 1  // an escape and what it escapes
      case 0x5b: inClass = true
      case 0x5d: inClass = false
      case 0x24 where bytes[i...].starts(with: "${span".utf8) || bytes[i...].starts(with: "${trace".utf8):
        if inClass { throw PlaceholderError(message: "a placeholder cannot stand in a class of characters", hint: "") }
        isPlaceholder[i] = true
      default: break
      }
      i += 1
    }
    let parts = try parts(of: bytes) { _, at in isPlaceholder[at] }
    return parts.contains { if case .attribute = $0 { true } else { false } } ? parts : nil
  }

  private static func parts(of bytes: [UInt8], isPlaceholder: ([UInt8], Int) -> Bool) throws(PlaceholderError) -> [TemplatePart] {
    var parts: [TemplatePart] = []
    var textStart = 0
    func endText(_ end: Int) { if end > textStart { parts.append(.text(String(decoding: bytes[textStart..<end], as: UTF8.self))) } }
    var i = 0
    while i < bytes.count {
      guard isPlaceholder(bytes, i) else {
        i += 1
        continue
      }
      endText(i)
      let start = i + opening.utf8.count
      guard bytes[i...].starts(with: opening.utf8), let end = bytes[start...].firstIndex(of: 0x7d) else {
        throw PlaceholderError(message: "'\(shown(String(decoding: bytes[i...], as: UTF8.self)))' is not a placeholder of the standard")
      }
      let path = String(decoding: bytes[start..<end], as: UTF8.self)
      guard isPath(path), !path.contains("${") else { throw PlaceholderError(message: "'\(shown(path))' is not a path of an attribute") }
      parts.append(.attribute(path))
      i = end + 1
      textStart = i
    }
    endText(bytes.count)
    return parts
  }

  /// At most 16 names with dots between them.
  static func isPath(_ text: String) -> Bool {
    let parts = text.utf8.split(separator: 0x2e, omittingEmptySubsequences: false)
    return text.utf8.count <= 256 && parts.count <= 16 && parts.allSatisfy { !$0.isEmpty }
  }
}

extension [TemplatePart] {
  /// The template as text, each attribute by what `value` gives; nil where it gives nothing for one, or the text grows beyond `limit` bytes.
  public func resolved(limit: Int, _ value: (String) -> String?) -> String? {
    var out = ""
    for part in self {
      switch part {
      case .text(let text): out += text
      case .attribute(let path):
        guard let text = value(path) else { return nil }
        out += text
      }
      if out.utf8.count > limit { return nil }
    }
    return out
  }

  /// The template as it is written.
  public var source: String {
    map { part in
      switch part {
      case .text(let text): text
      case .attribute(let path): Placeholder.opening + path + "}"
      }
    }.joined()
  }

  /// `text` as part of a pattern: one item that matches it and nothing else.
  public static func literal(_ text: String) -> String { "(?:" + TestPattern.literal(text) + ")" }
}
