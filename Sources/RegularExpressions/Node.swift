// The tree of a pattern. Flags are resolved into the nodes when it is read, so that a node means the same wherever it stands.

/// A part of a pattern.
public indirect enum Node: Sendable, Equatable {
  case empty
  /// One code point.
  case literal(UInt32, ignoresCase: Bool)
  case characterClass(CharacterClass)
  case sequence([Node])
  /// At least two branches; the first that leads to a match wins.
  case alternation([Node])
  /// `number` counts opening parentheses, from 1.
  case capture(Node, number: Int)
  case atomic(Node)
  case lookAround(Node, isAhead: Bool, isNegative: Bool)
  /// `high` nil: unbounded.
  case `repeat`(Node, low: Int, high: Int?, Greed)
  case anchor(Anchor)
  /// `isForward`: the group opens or closes behind the reference (ECMAScript only: empty as long as the group has not matched).
  case backReference(Int, ignoresCase: Bool, isForward: Bool)
  /// Whether group `number` has matched decides which.
  case conditional(Int, Node, Node)

  public enum Greed: Sendable, Equatable {
    case greedy, lazy, possessive
  }
  public enum Anchor: Sendable, Equatable {
    case textStart, textEnd
    /// Behind a line feed, or at the start.
    case lineStart
    /// Before a line feed, or at the end.
    case lineEnd
    /// At the end, or before a line feed that ends the text.
    case textEndOrFinalLineFeed
    case wordBoundary(isASCII: Bool)
    case notWordBoundary(isASCII: Bool)
  }
}

/// A set of code points by ranges and shorthands.
public struct CharacterClass: Sendable, Equatable {
  public enum Shorthand: Sendable, Equatable {
    case digit, notDigit, space, notSpace, word, notWord
    /// A Unicode property in PCRE2's spelling.
    case property(String, isNegated: Bool)
    var isProperty: Bool { if case .property = self { true } else { false } }
  }
  public var ranges: [ClosedRange<UInt32>] = []
  public var shorthands: [Shorthand] = []
  public var isNegated = false
  public var ignoresCase = false
  /// Shorthands mean ASCII only, as under Python's flag `a`.
  public var isASCII = false

  public init(
    ranges: [ClosedRange<UInt32>] = [], shorthands: [Shorthand] = [], isNegated: Bool = false, ignoresCase: Bool = false, isASCII: Bool = false
  ) {
    self.ranges = ranges
    self.shorthands = shorthands
    self.isNegated = isNegated
    self.ignoresCase = ignoresCase
    self.isASCII = isASCII
  }
  /// Every character is a member, by the way it is written; false: perhaps not.
  var isAnything: Bool {
    if isNegated { return ranges.isEmpty && shorthands.isEmpty }
    let pairs: [(Shorthand, Shorthand)] = [(.space, .notSpace), (.digit, .notDigit), (.word, .notWord)]
    return pairs.contains { shorthands.contains($0.0) && shorthands.contains($0.1) }
  }
}
