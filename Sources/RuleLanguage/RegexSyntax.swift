// ATR writes its patterns for ECMAScript; this engine runs PCRE2. The two agree but for the spelling of code points: \u200B and
// \u{200B} become \x{200B}; a pair of surrogates becomes its code point, also where the second is a class (\uDB40[\uDC00-\uDC7F]).
// Everything else reaches PCRE2 as the author wrote it; what PCRE2 10.42 cannot take is `Problem.isForeign`.
// What compiles here compiles in the engine: both use `compileOptions`.
import CPCRE2

public enum RegexSyntax {
  /// Text that is not UTF-8 is matched too: such a byte matches no character.
  public static func compileOptions(caseSensitive: Bool) -> UInt32 {
    UInt32(PCRE2_UTF) | UInt32(PCRE2_MATCH_INVALID_UTF) | UInt32(PCRE2_NEVER_BACKSLASH_C) | (caseSensitive ? 0 : UInt32(PCRE2_CASELESS))
  }

  /// A pattern in PCRE2's spelling, and where its parts stood in the original.
  public struct Translated: Sendable {
    public var pattern: String
    /// (byte in `pattern`, byte in the original) behind each replacement.
    var moves: [(to: Int, from: Int)] = []
    /// The byte of the original for a byte of `pattern`.
    public func original(_ offset: Int) -> Int {
      guard let last = moves.last(where: { $0.to <= offset }) else { return offset }
      return last.from + (offset - last.to)
    }
  }

  public static func translate(_ source: String) -> Translated {
    let bytes = Array(source.utf8)
    guard bytes.contains(0x5c), source.contains("\\u") else { return Translated(pattern: source) }
    var out: [UInt8] = []
    var moves: [(to: Int, from: Int)] = []
    var at = 0
    func digits(_ start: Int, _ count: ClosedRange<Int>) -> (value: UInt32, end: Int)? {
      var value: UInt32 = 0
      var end = start
      while end < bytes.count, end - start < count.upperBound, let digit = hex(bytes[end]) {
        value = value << 4 | UInt32(digit)
        end += 1
      }
      return end - start >= count.lowerBound ? (value, end) : nil
    }
    func codePoint(_ start: Int) -> (value: UInt32, end: Int)? {  // behind "\u"
      if start < bytes.count, bytes[start] == 0x7b {
        guard let inner = digits(start + 1, 1...6), inner.end < bytes.count, bytes[inner.end] == 0x7d else { return nil }
        return (inner.value, inner.end + 1)
      }
      return digits(start, 4...4)
    }
    /// Appends the class of code points that a high surrogate and a class of low ones mean; its end, or nil if it is not that.
    func lowSurrogateClass(_ high: (value: UInt32, end: Int)) -> Int? {
      guard high.end < bytes.count, bytes[high.end] == 0x5b else { return nil }
      var text = "["
      var at = high.end + 1
      while at < bytes.count, bytes[at] != 0x5d {
        if bytes[at] == 0x2d {
          text += "-"
          at += 1
        } else if at + 1 < bytes.count, bytes[at] == 0x5c, bytes[at + 1] == 0x75, let low = codePoint(at + 2), (0xdc00...0xdfff).contains(low.value) {
          text += "\\x{\(String(0x10000 + (high.value - 0xd800) << 10 + (low.value - 0xdc00), radix: 16, uppercase: true))}"
          at = low.end
        } else {
          return nil
        }
      }
      guard at < bytes.count, text.utf8.count > 1 else { return nil }
      out.append(contentsOf: Array((text + "]").utf8))
      return at + 1
    }
    while at < bytes.count {
      guard bytes[at] == 0x5c, at + 1 < bytes.count else {
        out.append(bytes[at])
        at += 1
        continue
      }
      guard bytes[at + 1] == 0x75, var point = codePoint(at + 2) else {
        out.append(contentsOf: bytes[at...at + 1])
        at += 2
        continue
      }
      if (0xd800...0xdbff).contains(point.value), point.end + 1 < bytes.count, bytes[point.end] == 0x5c, bytes[point.end + 1] == 0x75,
        let low = codePoint(point.end + 2), (0xdc00...0xdfff).contains(low.value)
      {
        point = (0x10000 + (point.value - 0xd800) << 10 + (low.value - 0xdc00), low.end)
      } else if (0xd800...0xdbff).contains(point.value), let end = lowSurrogateClass(point) {
        at = end
        moves.append((out.count, at))
        continue
      }
      out.append(contentsOf: Array("\\x{\(String(point.value, radix: 16, uppercase: true))}".utf8))
      at = point.end
      moves.append((out.count, at))
    }
    return Translated(pattern: String(decoding: out, as: UTF8.self), moves: moves)
  }
  private static func hex(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x37
    case 0x61...0x66: byte - 0x57
    default: nil
    }
  }

  public struct Problem: Sendable {
    /// PCRE2's words.
    public var message: String
    /// Byte of the pattern.
    public var offset: Int
    /// ECMAScript allows it: a reference to a group that is not there, a lookbehind of any length, lone surrogates, any size.
    public var isForeign: Bool
  }

  /// What PCRE2 has against a pattern; nil if it compiles.
  public static func problem(in pattern: String, caseSensitive: Bool) -> Problem? {
    var code: Int32 = 0
    var offset = 0
    var copy = pattern
    let compiled = copy.withUTF8 {
      pcre2_compile_8($0.baseAddress, $0.count, compileOptions(caseSensitive: caseSensitive), &code, &offset, nil)
    }
    if let compiled {
      pcre2_code_free_8(compiled)
      return nil
    }
    var buffer = [UInt8](repeating: 0, count: 256)
    let length = pcre2_get_error_message_8(code, &buffer, buffer.count)
    let foreign = [
      PCRE2_ERROR_BAD_SUBPATTERN_REFERENCE, PCRE2_ERROR_PATTERN_TOO_LARGE, PCRE2_ERROR_LOOKBEHIND_NOT_FIXED_LENGTH,
      PCRE2_ERROR_UNICODE_DISALLOWED_CODE_POINT,
    ]
    return Problem(
      message: String(decoding: buffer.prefix(max(0, Int(length))), as: UTF8.self), offset: offset, isForeign: foreign.contains(code))
  }
}
