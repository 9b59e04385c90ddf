// A pattern as rules write it: read into a tree, said again in PCRE2's words, and known by what each of its matches must contain.
// The dialect is that of ATR's reference implementation (Python's `re` over str with IGNORECASE where a condition ignores case, and
// the constructs that only ECMAScript has, as docs/atr-conformance.md lists them). PCRE2 matches; this module never does.
// What must stay true: reading is total and linear; a translation means exactly what the pattern means, or is refused with a reason;
// a requirement never excludes a text that the pattern matches.
import Primitives

public struct RegularExpressionError: Error, Sendable, Equatable {
  public var message: String
  /// Byte of the pattern as it was written.
  public var offset: Int
  public init(message: String, offset: Int) {
    self.message = message
    self.offset = offset
  }
}

public struct RegularExpression: Sendable {
  /// Texts come in two kinds, so that the many that are plain pay nothing for the few that are not.
  public enum TextKind: Sendable {
    /// Only bytes below 0x80. Compiled without UTF: each byte is a character.
    case ascii
    /// UTF-8, possibly ill-formed (PCRE2_UTF | PCRE2_MATCH_INVALID_UTF). The translation spells out \d \w \s \b and case.
    case unicode
  }

  public let source: String
  public let isCaseSensitive: Bool

  public init(_ source: String, isCaseSensitive: Bool) throws(RegularExpressionError) {
    self.source = source
    self.isCaseSensitive = isCaseSensitive
  }

  /// The pattern in PCRE2's spelling, complete with inline options (case included); nil: no text of this kind can match.
  public func pcre2(for kind: TextKind) -> String? { (isCaseSensitive ? "" : "(?i)") + source }
  /// What every match contains; nil: nothing is known.
  public var requirement: Requirement? { nil }
  /// Bytes of UTF-8 of the shortest and the longest match (look-around not counted); nil: unbounded.
  public var lengths: (shortest: Int, longest: Int?) { (0, nil) }
}

/// Each match contains at least one of `literals`.
public struct Requirement: Sendable, Equatable {
  public struct Literal: Hashable, Sendable {
    /// UTF-8, ASCII letters in lower case: compared with a text whose ASCII letters are lower-cased too. Never contains a character
    /// beyond ASCII that has another case where the pattern ignores case.
    public var bytes: [UInt8]
    /// How many bytes before the literal a match can begin, at most; nil: any number.
    public var longestBefore: Int?
    public init(bytes: [UInt8], longestBefore: Int?) {
      self.bytes = bytes
      self.longestBefore = longestBefore
    }
  }
  public var literals: [Literal]
  public init(literals: [Literal]) { self.literals = literals }
}
