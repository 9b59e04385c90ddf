// For patterns without a literal: sets of bytes of which each match contains one, and runs of bytes of one set.
import Primitives

/// A set of the 256 bytes.
public struct ByteSet: Hashable, Sendable {
  public var words: (UInt64, UInt64, UInt64, UInt64) { (a, b, c, d) }
  private var a: UInt64 = 0
  private var b: UInt64 = 0
  private var c: UInt64 = 0
  private var d: UInt64 = 0
  public init() {}
  public func contains(_ byte: UInt8) -> Bool {
    let bit = UInt64(1) << UInt64(byte & 63)
    return switch byte >> 6 {
    case 0: a & bit != 0
    case 1: b & bit != 0
    case 2: c & bit != 0
    default: d & bit != 0
    }
  }
  public mutating func insert(_ byte: UInt8) {
    let bit = UInt64(1) << UInt64(byte & 63)
    switch byte >> 6 {
    case 0: a |= bit
    case 1: b |= bit
    case 2: c |= bit
    default: d |= bit
    }
  }
  public func union(_ other: ByteSet) -> ByteSet {
    var result = self
    result.a |= other.a
    result.b |= other.b
    result.c |= other.c
    result.d |= other.d
    return result
  }
  public var count: Int { a.nonzeroBitCount + b.nonzeroBitCount + c.nonzeroBitCount + d.nonzeroBitCount }
}

struct ByteAnalysis {
  /// Beyond it the rarest are kept.
  static let mostSets = 8

  struct Facts {
    var sets: [ByteSet] = []
    var runs: [RegularExpression.RequiredRun] = []
  }

  static func facts(_ node: Node) -> Facts {
    switch node {
    case .empty, .anchor, .backReference: return Facts()
    case .literal(let point, let ignores):
      let bytes = bytes(CharacterClass(ranges: [point...point], ignoresCase: ignores))
      return Facts(sets: [bytes.leading], runs: [])
    case .characterClass(let set): return Facts(sets: [bytes(set).leading], runs: [])
    case .sequence(let items):
      var result = Facts()
      for item in items {
        let one = facts(item)
        result.sets += one.sets
        result.runs += one.runs
        if result.sets.count > 64 { result.sets = rarest(result.sets) }
        if result.runs.count > 64 { result.runs = longest(result.runs) }
      }
      return Facts(sets: rarest(result.sets), runs: longest(result.runs))
    case .alternation(let branches): return alternation(branches)
    case .conditional(_, let yes, let no): return alternation([yes, no])
    case .capture(let inner, _), .atomic(let inner): return facts(inner)
    case .lookAround(let inner, let isAhead, let isNegative): return isAhead && !isNegative ? facts(inner) : Facts()
    case .repeat(let inner, let low, _, _):
      guard low > 0 else { return Facts() }
      var result = facts(inner)
      if low > 1, let all = runBytes(inner) {
        let shortest = RequirementAnalysis.facts(inner).bounds.low
        result.runs = longest(result.runs + [RegularExpression.RequiredRun(set: all, count: min(1 << 20, low * shortest))])
      }
      return result
    }
  }

  /// The set that holds all bytes of each match of a part that is nothing but characters; nil: it is something else.
  private static func runBytes(_ node: Node) -> ByteSet? {
    switch node {
    case .literal(let point, let ignores): bytes(CharacterClass(ranges: [point...point], ignoresCase: ignores)).all
    case .characterClass(let set): bytes(set).all
    case .capture(let inner, _), .atomic(let inner): runBytes(inner)
    case .repeat(let inner, _, _, _): runBytes(inner)
    case .sequence(let items), .alternation(let items): union(items)
    default: nil
    }
  }
  private static func union(_ items: [Node]) -> ByteSet? {
    var result = ByteSet()
    for item in items {
      guard let one = runBytes(item) else { return nil }
      result = result.union(one)
    }
    return result
  }

  private static func alternation(_ branches: [Node]) -> Facts {
    let all = branches.map(facts)
    var result = Facts()
    if all.allSatisfy({ !$0.sets.isEmpty }) {
      result.sets = [all.reduce(ByteSet()) { $0.union($1.sets[0]) }]
    }
    if all.allSatisfy({ !$0.runs.isEmpty }) {
      result.runs = [
        RegularExpression.RequiredRun(set: all.reduce(ByteSet()) { $0.union($1.runs[0].set) }, count: all.map { $0.runs[0].count }.min() ?? 0)
      ]
    }
    return result
  }

  private static func weight(_ set: ByteSet) -> Int {
    (0...UInt8.max).reduce(0) { set.contains($1) ? $0 + Rarity.perMille($1) : $0 }
  }
  private static func rarest(_ sets: [ByteSet]) -> [ByteSet] {
    var seen: [(set: ByteSet, weight: Int)] = []
    for set in sets where !seen.contains(where: { $0.set == set }) { seen.append((set, weight(set))) }
    return seen.enumerated().sorted { ($0.element.weight, $0.offset) < ($1.element.weight, $1.offset) }.prefix(mostSets).map(\.element.set)
  }
  /// Those that exclude most text first.
  private static func longest(_ runs: [RegularExpression.RequiredRun]) -> [RegularExpression.RequiredRun] {
    func value(_ run: RegularExpression.RequiredRun) -> Int { min(run.count, 1000) * max(1, 1000 - min(999, weight(run.set))) }
    return runs.enumerated().sorted { (-value($0.element), $0.offset) < (-value($1.element), $1.offset) }.prefix(4).map(\.element)
  }

  /// The bytes that its members begin with, and all their bytes. Beyond ASCII any byte that may be.
  static func bytes(_ set: CharacterClass) -> (leading: ByteSet, all: ByteSet) {
    var leading = ByteSet()
    var all = ByteSet()
    func insert(_ range: ClosedRange<UInt8>, leads: Bool) {
      for byte in range {
        all.insert(byte)
        if leads { leading.insert(byte) }
      }
    }
    guard var members = set.resolved else {
      insert(0...0xff, leads: true)
      return (leading, all)
    }
    if set.ignoresCase { members = ASCIITree.closedInASCII(members) }
    var hasLong = set.needsUnicodeTables || set.isNegated || members.ranges.last.map { $0.upperBound >= 0x80 } ?? false
    if set.ignoresCase, [0x69, 0x6b, 0x73].contains(where: { members.contains($0) }) { hasLong = true }
    if set.isNegated { members = members.inverted }
    for range in members.limited(to: 0x7f).ranges { insert(UInt8(range.lowerBound)...UInt8(range.upperBound), leads: true) }
    if hasLong {
      insert(0x80...0xbf, leads: false)
      if !set.needsUnicodeTables, !set.isNegated, !set.ignoresCase {
        for range in members.ranges where range.upperBound >= 0x80 {
          insert(lead(max(0x80, range.lowerBound))...lead(range.upperBound), leads: true)
        }
      } else if set.ignoresCase, !set.needsUnicodeTables, !set.isNegated, members.ranges.allSatisfy({ $0.upperBound < 0x80 }) {
        insert(0xc4...0xc5, leads: true)  // U+0130, U+0131, U+017F
        insert(0xe2...0xe2, leads: true)  // U+212A
      } else {
        insert(0xc0...0xff, leads: true)
      }
    }
    return (leading, all)
  }
  private static func lead(_ point: UInt32) -> UInt8 {
    point < 0x800 ? UInt8(0xc0 | point >> 6) : point < 0x10000 ? UInt8(0xe0 | point >> 12) : UInt8(0xf0 | point >> 18)
  }
}
