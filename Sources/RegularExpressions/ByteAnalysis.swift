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
  mutating func insert(_ set: ASCIISet) { (a, b) = (a | set.words.0, b | set.words.1) }
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
  static let mostRuns = 4
  static let longestRun = 1 << 20

  struct WeighedSet {
    var set: ByteSet
    /// Of 1000 bytes of text, about how many are in the set.
    var weight: Int
    init(_ set: ByteSet) {
      self.set = set
      weight = ByteAnalysis.weight(set)
    }
  }
  struct WeighedRun {
    var run: RegularExpression.RequiredRun
    var value: Int
    init(_ set: WeighedSet, count: Int) {
      run = RegularExpression.RequiredRun(set: set.set, count: count)
      value = min(count, 1000) * max(1, 1000 - min(999, set.weight))
    }
  }

  /// What is known of a part, from what is known of its parts: each node is looked at once.
  struct Facts {
    /// The rarest first, each once.
    var sets: [WeighedSet] = []
    /// The most telling first.
    var runs: [WeighedRun] = []
    /// All bytes of each match, of a part that is nothing but characters; nil: it is something else.
    var all: ByteSet?
    /// Bytes of the shortest match, at most `longestRun`.
    var shortest = 0

    mutating func add(_ one: WeighedSet) {
      guard sets.count < mostSets || one.weight < sets[mostSets - 1].weight, !sets.contains(where: { $0.set == one.set }) else { return }
      if sets.count == mostSets { sets.removeLast() }
      sets.insert(one, at: sets.firstIndex { $0.weight > one.weight } ?? sets.count)
    }
    mutating func add(_ one: WeighedRun) {
      guard runs.count < mostRuns || one.value > runs[mostRuns - 1].value else { return }
      if runs.count == mostRuns { runs.removeLast() }
      runs.insert(one, at: runs.firstIndex { $0.value < one.value } ?? runs.count)
    }
  }

  static func facts(_ node: Node) -> Facts {
    PatternWork.step()
    switch node {
    case .empty, .anchor, .backReference: return Facts()
    case .literal(let point, let ignores):
      return point < 0x80 ? (ignores ? foldedLetters : letters)[Int(point)] : facts(CharacterClass(ranges: [point...point], ignoresCase: ignores))
    case .characterClass(let set): return facts(set)
    case .sequence(let items):
      var result = Facts(all: ByteSet())
      for item in items {
        let one = facts(item)
        for set in one.sets { result.add(set) }
        for run in one.runs { result.add(run) }
        result.all = result.all.flatMap { all in one.all.map { all.union($0) } }
        result.shortest = min(longestRun, result.shortest + one.shortest)
      }
      return result
    case .alternation(let branches): return alternation(branches)
    case .conditional(_, let yes, let no):
      var result = alternation([yes, no])
      result.all = nil
      return result
    case .capture(let inner, _), .atomic(let inner): return facts(inner)
    case .lookAround(let inner, let isAhead, let isNegative):
      guard isAhead, !isNegative else { return Facts() }
      var result = facts(inner)
      result.all = nil
      result.shortest = 0
      return result
    case .repeat(let inner, let low, _, _):
      var result = facts(inner)
      guard low > 0 else { return Facts(all: result.all) }
      result.shortest = min(longestRun, result.shortest * low)
      if low > 1, let all = result.all { result.add(WeighedRun(WeighedSet(all), count: result.shortest)) }
      return result
    }
  }

  private static func facts(_ set: CharacterClass) -> Facts {
    let (leading, all) = bytes(set)
    return Facts(sets: [WeighedSet(leading)], all: all, shortest: RequirementAnalysis.leastWidth(set))
  }
  private static let letters = (0..<0x80).map { facts(CharacterClass(ranges: [$0...$0])) }
  private static let foldedLetters = (0..<0x80).map { facts(CharacterClass(ranges: [$0...$0], ignoresCase: true)) }

  private static func alternation(_ branches: [Node]) -> Facts {
    var result = facts(branches[0])
    var set = result.sets.first?.set
    var run = result.runs.first?.run
    for branch in branches.dropFirst() {
      let one = facts(branch)
      set = set.flatMap { a in one.sets.first.map { a.union($0.set) } }
      run = run.flatMap { a in
        one.runs.first.map { RegularExpression.RequiredRun(set: a.set.union($0.run.set), count: min(a.count, $0.run.count)) }
      }
      result.all = result.all.flatMap { all in one.all.map { all.union($0) } }
      result.shortest = min(result.shortest, one.shortest)
    }
    result.sets = set.map { [WeighedSet($0)] } ?? []
    result.runs = run.map { [WeighedRun(WeighedSet($0.set), count: $0.count)] } ?? []
    return result
  }

  private static let perMille = (0...UInt8.max).map(Rarity.perMille)
  private static func weight(_ set: ByteSet) -> Int {
    let (a, b, c, d) = set.words
    return weight(a, 0) + weight(b, 64) + weight(c, 128) + weight(d, 192)
  }
  private static func weight(_ word: UInt64, _ first: Int) -> Int {
    var rest = word
    var sum = 0
    while rest != 0 {
      sum += perMille[first + rest.trailingZeroBitCount]
      rest &= rest - 1
    }
    return sum
  }

  /// The bytes that its members begin with, and all their bytes. Beyond ASCII any byte that may be.
  static func bytes(_ set: CharacterClass) -> (leading: ByteSet, all: ByteSet) {
    guard var ascii = set.asciiMembers else { return (any, any) }
    let isWide = set.isNegated || set.needsUnicodeTables || set.reachesBeyondASCII
    let hasWideCases = set.ignoresCase && (ascii.contains(0x69) || ascii.contains(0x6b) || ascii.contains(0x73))
    if set.isNegated { ascii = ascii.inverted }
    var leading = ByteSet()
    leading.insert(ascii)
    guard isWide || hasWideCases else { return (leading, leading) }
    var all = leading
    for byte in UInt8(0x80)...0xbf { all.insert(byte) }
    var leads: [ClosedRange<UInt8>] = [0xc0...0xff]
    if !isWide {
      leads = [0xc4...0xc5, 0xe2...0xe2]  // U+0130, U+0131, U+017F; U+212A
    } else if !set.isNegated, !set.needsUnicodeTables, !set.ignoresCase {
      leads = (set.resolved?.ranges ?? []).filter { $0.upperBound >= 0x80 }.map { lead(max(0x80, $0.lowerBound))...lead($0.upperBound) }
    }
    for range in leads {
      for byte in range {
        leading.insert(byte)
        all.insert(byte)
      }
    }
    return (leading, all)
  }
  private static let any: ByteSet = {
    var all = ByteSet()
    for byte in UInt8.min...UInt8.max { all.insert(byte) }
    return all
  }()
  private static func lead(_ point: UInt32) -> UInt8 {
    point < 0x800 ? UInt8(0xc0 | point >> 6) : point < 0x10000 ? UInt8(0xe0 | point >> 12) : UInt8(0xf0 | point >> 18)
  }
}
