// How far one step of a backtracking matcher may look. PCRE2's match limit counts the repeats that it enters, not the characters that
// each then walks over; whoever bounds the time of a match by steps must know how long such a walk can be.
// What must stay true: no repeat of one character takes more characters than `longest`, or more bytes than a run of one of `sets`.
import Primitives

/// What bounds the bytes that one step of a match may look at.
public struct ScanFacts: Sendable, Equatable {
  /// The bytes of repeats without a longest length, each set once, at most `ScanAnalysis.mostSets` (beyond it they are united).
  public var sets: [ByteSet] = []
  /// Characters of the longest repeat that has a longest length.
  public var longest = 1
  /// The largest least number of one repeat: what it walks over before it may fail.
  public var longestFixed = 1
  /// A back-reference compares as much as its group took.
  public var hasBackReferences = false
  public init() {}
}

enum ScanAnalysis {
  static let mostSets = 4

  static func facts(_ root: Node) -> ScanFacts {
    var facts = ScanFacts()
    add(root, to: &facts)
    return facts
  }

  private static func add(_ node: Node, to facts: inout ScanFacts) {
    PatternWork.step()
    switch node {
    case .empty, .anchor, .literal, .characterClass: break
    case .backReference: facts.hasBackReferences = true
    case .sequence(let items), .alternation(let items): for item in items { add(item, to: &facts) }
    case .capture(let inner, _), .atomic(let inner), .lookAround(let inner, _, _): add(inner, to: &facts)
    case .conditional(_, let yes, let no):
      add(yes, to: &facts)
      add(no, to: &facts)
    case .repeat(let inner, let low, let high, _):
      guard inner.isSingleCharacter else { return add(inner, to: &facts) }
      facts.longestFixed = max(facts.longestFixed, low)
      if let high {
        facts.longest = max(facts.longest, low, high)
      } else if let set = ByteAnalysis.facts(inner).all {
        add(set, to: &facts)
      }
    }
  }

  private static func add(_ set: ByteSet, to facts: inout ScanFacts) {
    guard !facts.sets.contains(set) else { return }
    if facts.sets.count < mostSets { return facts.sets.append(set) }
    facts.sets[mostSets - 1] = facts.sets[mostSets - 1].union(set)
  }
}
