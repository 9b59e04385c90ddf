// Whether a pattern is one that this engine runs: it reads (RegularExpressions), and PCRE2 compiles what it is translated to.
// A rule keeps its patterns as the author wrote them.
import CPCRE2
import RegularExpressions

public enum RegexSyntax {
  /// As RegularExpression.TextKind asks. Text that is not UTF-8 is matched too: such a byte matches no character.
  public static func compileOptions(for kind: RegularExpression.TextKind) -> UInt32 {
    let common = PCRE2_NEVER_BACKSLASH_C | UInt32(PCRE2_USE_OFFSET_LIMIT)
    return kind == .ascii ? common : common | UInt32(PCRE2_UTF) | UInt32(PCRE2_MATCH_INVALID_UTF)
  }

  public struct Problem: Sendable {
    public var message: String
    /// Byte of the pattern.
    public var offset: Int
    /// The pattern is right, but PCRE2 cannot be told it: a look-behind without a longest length, any size.
    public var isForeign: Bool
  }

  /// What is wrong with a pattern; nil: nothing. `isStrict`: also what only ECMAScript takes, and most likely is a mistake.
  public static func problem(in pattern: String, caseSensitive: Bool, isStrict: Bool = false) -> Problem? {
    let expression: RegularExpression
    do throws(RegularExpressionError) {
      expression = try RegularExpression(pattern, isCaseSensitive: caseSensitive)
    } catch {
      return Problem(message: error.message, offset: error.offset, isForeign: error.isUnsupported)
    }
    if isStrict, let remark = expression.remarks.first { return Problem(message: remark.message, offset: remark.offset, isForeign: false) }
    for kind in [RegularExpression.TextKind.ascii, .unicode] {
      guard let translated = expression.pcre2(for: kind), let message = refusal(of: translated, compileOptions(for: kind)) else { continue }
      return Problem(message: message, offset: 0, isForeign: true)
    }
    return nil
  }

  /// PCRE2's words; nil if it compiles.
  private static func refusal(of pattern: String, _ options: UInt32) -> String? {
    var code: Int32 = 0
    var offset = 0
    var copy = pattern
    let compiled = copy.withUTF8 { pcre2_compile_8($0.baseAddress, $0.count, options, &code, &offset, nil) }
    if let compiled {
      pcre2_code_free_8(compiled)
      return nil
    }
    var buffer = [UInt8](repeating: 0, count: 256)
    let length = pcre2_get_error_message_8(code, &buffer, buffer.count)
    return String(decoding: buffer.prefix(max(0, Int(length))), as: UTF8.self)
  }
}
