// What lint wants to know about a pattern's tree: which characters a part can begin with, how short a match can be, an example of one,
// and whether there is one at all.
// What must stay true: "never" is proven, never guessed; where a pattern is too large to follow, the answer is the harmless one.
import RegularExpressions

/// Characters, exact for ASCII; beyond it only whether there may be some.
struct Alphabet: Equatable {
  var low: UInt64 = 0
  var high: UInt64 = 0
  /// Characters beyond ASCII: there may be some; there are certainly none.
  var mayBeBeyond = false

  static let all = Alphabet(low: .max, high: .max, mayBeBeyond: true)
  var isEmpty: Bool { low == 0 && high == 0 && !mayBeBeyond }
  func contains(_ point: UInt32) -> Bool {
    point < 64 ? low >> UInt64(point) & 1 == 1 : point < 128 ? high >> UInt64(point - 64) & 1 == 1 : mayBeBeyond
  }
  mutating func insert(_ point: UInt32) {
    if point < 64 { low |= 1 << UInt64(point) } else if point < 128 { high |= 1 << UInt64(point - 64) } else { mayBeBeyond = true }
  }
  func union(_ other: Alphabet) -> Alphabet {
    Alphabet(low: low | other.low, high: high | other.high, mayBeBeyond: mayBeBeyond || other.mayBeBeyond)
  }
  /// Only ASCII: what lies beyond is not known well enough to say that it is shared.
  func sharedASCII(_ other: Alphabet) -> Alphabet { Alphabet(low: low & other.low, high: high & other.high) }

  /// A character to write examples with: letters first, then digits, blanks and the rest of ASCII.
  var example: UInt32? {
    for range: ClosedRange<UInt32> in [0x61...0x7a, 0x41...0x5a, 0x30...0x39, 0x20...0x7e, 0x00...0x7f] {
      for point in range where contains(point) { return point }
    }
    return mayBeBeyond ? 0xe9 : nil
  }

  static func literal(_ point: UInt32, ignoresCase: Bool) -> Alphabet {
    var set = Alphabet()
    set.insert(point)
    if ignoresCase, point < 128, (point | 0x20) &- 0x61 < 26 {
      set.insert(point ^ 0x20)
      if [0x69, 0x6b, 0x73].contains(point | 0x20) { set.mayBeBeyond = true }
    }
    return set
  }

  init(low: UInt64 = 0, high: UInt64 = 0, mayBeBeyond: Bool = false) {
    self.low = low
    self.high = high
    self.mayBeBeyond = mayBeBeyond
  }

  init(_ characters: CharacterClass) {
    var coversBeyond = false
    for range in characters.ranges {
      var point = range.lowerBound
      while point < 128, point <= range.upperBound {
        self = union(.literal(point, ignoresCase: characters.ignoresCase))
        point += 1
      }
      if range.upperBound >= 128 { mayBeBeyond = true }
      if range.lowerBound <= 128, range.upperBound >= 0x10ffff { coversBeyond = true }
    }
    for shorthand in characters.shorthands { self = union(Alphabet.of(shorthand, isASCII: characters.isASCII)) }
    let shorthands = characters.shorthands
    let opposites: [(CharacterClass.Shorthand, CharacterClass.Shorthand)] = [(.digit, .notDigit), (.space, .notSpace), (.word, .notWord)]
    if opposites.contains(where: { shorthands.contains($0.0) && shorthands.contains($0.1) }) { coversBeyond = true }
    guard characters.isNegated else { return }
    self = Alphabet(low: ~low, high: ~high, mayBeBeyond: !coversBeyond)
  }

  private static let digit = Alphabet(low: 0x03ff_0000_0000_0000)
  /// U+0009 to U+000D, U+001C to U+0020.
  private static let space = Alphabet(low: 0x0000_0001_f000_3e00)
  private static let word = Alphabet(low: 0x03ff_0000_0000_0000, high: 0x07ff_fffe_87ff_fffe)

  private static func of(_ shorthand: CharacterClass.Shorthand, isASCII: Bool) -> Alphabet {
    func open(_ set: Alphabet) -> Alphabet { Alphabet(low: set.low, high: set.high, mayBeBeyond: !isASCII) }
    func rest(_ set: Alphabet) -> Alphabet { Alphabet(low: ~set.low, high: ~set.high, mayBeBeyond: true) }
    switch shorthand {
    case .digit: return open(digit)
    case .notDigit: return rest(digit)
    case .space: return open(space)
    case .notSpace: return rest(space)
    case .word: return open(word)
    case .notWord: return rest(word)
    case .property: return .all
    }
  }
}

extension Node {
  /// Code points of the shortest match, look-around not counted. Never more than `limit`.
  func shortest(limit: Int = 1 << 20) -> Int {
    switch self {
    case .empty, .anchor, .lookAround, .backReference: 0
    case .literal, .characterClass: 1
    case .sequence(let parts): parts.reduce(0) { min(limit, $0 + $1.shortest(limit: limit)) }
    case .alternation(let branches): branches.map { $0.shortest(limit: limit) }.min() ?? 0
    case .capture(let inner, _), .atomic(let inner): inner.shortest(limit: limit)
    case .repeat(let inner, let low, _, _): min(limit, min(low, limit) * inner.shortest(limit: limit))
    case .conditional(_, let a, let b): min(a.shortest(limit: limit), b.shortest(limit: limit))
    }
  }

  /// It matches the empty text everywhere: nothing is consumed and nothing is asked.
  var matchesEverywhere: Bool {
    switch self {
    case .empty: true
    case .literal, .characterClass, .anchor, .lookAround, .backReference, .conditional: false
    case .sequence(let parts): parts.allSatisfy(\.matchesEverywhere)
    case .alternation(let branches): branches.contains(where: \.matchesEverywhere)
    case .capture(let inner, _), .atomic(let inner): inner.matchesEverywhere
    case .repeat(let inner, let low, _, _): low == 0 || inner.matchesEverywhere
    }
  }

  /// The only characters that a match consists of where it is one character long; nil: it never is.
  var single: Alphabet? {
    switch self {
    case .literal(let point, let ignoresCase): .literal(point, ignoresCase: ignoresCase)
    case .characterClass(let characters): Alphabet(characters)
    case .capture(let inner, _), .atomic(let inner): inner.single
    case .repeat(let inner, let low, let high, _): low <= 1 && high != 0 ? inner.single : nil
    case .alternation(let branches):
      branches.compactMap(\.single).reduce(nil as Alphabet?) { $0?.union($1) ?? $1 }
    case .sequence(let parts):
      Node.single(of: parts)
    case .empty, .anchor, .lookAround, .backReference, .conditional: nil
    }
  }

  /// One part is the character, the others are empty.
  private static func single(of parts: [Node]) -> Alphabet? {
    let lengths = parts.map { $0.shortest(limit: 2) }
    let total = lengths.reduce(0, +)
    guard total <= 1 else { return nil }
    return zip(parts, lengths).filter { $0.1 == total }.compactMap { $0.0.single }.reduce(nil as Alphabet?) { $0?.union($1) ?? $1 }
  }

  /// A short text that matches, look-around not considered; at most about `limit` code points.
  func example(limit: Int = 256) -> [UInt32] {
    guard limit > 0 else { return [] }
    switch self {
    case .empty, .anchor, .lookAround, .backReference: return []
    case .literal(let point, _): return [point]
    case .characterClass(let characters): return Alphabet(characters).example.map { [$0] } ?? []
    case .sequence(let parts):
      var out: [UInt32] = []
      for part in parts { out += part.example(limit: limit - out.count) }
      return out
    case .alternation(let branches):
      return branches.min { $0.shortest() < $1.shortest() }?.example(limit: limit) ?? []
    case .capture(let inner, _), .atomic(let inner): return inner.example(limit: limit)
    case .repeat(let inner, let low, _, _):
      let one = inner.example(limit: limit)
      var out: [UInt32] = []
      for _ in 0..<min(low, limit) where out.count + one.count <= limit { out += one }
      return out
    case .conditional(_, _, let other): return other.example(limit: limit)
    }
  }
}

// MARK: Is there a match at all?

/// Where a match may be: what lies behind (nothing, a line feed, something else) and what may still come (anything; a line feed or the
/// end; a last line feed or the end; nothing). A set of the twelve pairs.
struct Positions: OptionSet {
  var rawValue: UInt16
  static let everywhere = Positions([.any(0), .any(1), .any(2)])
  fileprivate static func any(_ behind: Int) -> Positions { pair(behind, 0) }
  fileprivate static func pair(_ behind: Int, _ ahead: Int) -> Positions { Positions(rawValue: 1 << UInt16(behind * 4 + ahead)) }

  private func mapped(_ body: (_ behind: Int, _ ahead: Int) -> Positions) -> Positions {
    var result: Positions = []
    for behind in 0..<3 { for ahead in 0..<4 where contains(.pair(behind, ahead)) { result.formUnion(body(behind, ahead)) } }
    return result
  }

  func consuming(_ set: Alphabet) -> Positions {
    let takesLineFeed = set.contains(0x0a)
    var other = set
    if takesLineFeed { other.low &= ~(1 << 0x0a) }
    return mapped { _, ahead in
      switch ahead {
      case 0: (takesLineFeed ? Positions.pair(1, 0) : []).union(other.isEmpty ? [] : .pair(2, 0))
      case 1: takesLineFeed ? .pair(1, 0) : []
      case 2: takesLineFeed ? .pair(1, 3) : []
      default: []
      }
    }
  }

  func at(_ anchor: Node.Anchor) -> Positions {
    mapped { behind, ahead in
      switch anchor {
      case .textStart: behind == 0 ? Positions.pair(behind, ahead) : []
      case .lineStart: behind < 2 ? .pair(behind, ahead) : []
      case .textEnd: .pair(behind, 3)
      case .lineEnd: .pair(behind, Swift.max(ahead, 1))
      case .textEndOrFinalLineFeed: .pair(behind, Swift.max(ahead, 2))
      case .wordBoundary, .notWordBoundary: .pair(behind, ahead)
      }
    }
  }
}

struct Reachability {
  /// Parts looked at; beyond it everything counts as possible.
  private var budget = 20_000

  /// Proven: no text whatever matches.
  static func neverMatches(_ node: Node) -> Bool {
    var walk = Reachability()
    return walk.step(node, .everywhere).isEmpty
  }

  /// The positions behind `node`, from those before it; a superset of the truth.
  private mutating func step(_ node: Node, _ before: Positions) -> Positions {
    guard !before.isEmpty else { return [] }
    budget -= 1
    // Everything, with every end: what cannot be followed must not be called impossible.
    guard budget > 0 else { return Positions(rawValue: 0xfff) }
    switch node {
    case .empty: return before
    case .literal(let point, let ignoresCase): return before.consuming(.literal(point, ignoresCase: ignoresCase))
    case .characterClass(let characters): return before.consuming(Alphabet(characters))
    case .sequence(let parts):
      var positions = before
      for part in parts { positions = step(part, positions) }
      return positions
    case .alternation(let branches):
      var positions: Positions = []
      for branch in branches { positions.formUnion(step(branch, before)) }
      return positions
    case .capture(let inner, _), .atomic(let inner): return step(inner, before)
    case .lookAround(let inner, let isAhead, let isNegative):
      if isNegative { return inner.matchesEverywhere ? [] : before }
      return isAhead && step(inner, before).isEmpty ? [] : before
    case .anchor(let anchor): return before.at(anchor)
    case .backReference: return before.union(before.consuming(.all))
    case .conditional(_, let a, let b): return step(a, before).union(step(b, before))
    case .repeat(let inner, let low, let high, _): return repeated(inner, low, high, before)
    }
  }

  private mutating func repeated(_ inner: Node, _ low: Int, _ high: Int?, _ before: Positions) -> Positions {
    var positions = before
    for _ in 0..<min(low, 12) { positions = step(inner, positions) }
    // More rounds are not followed one by one: wherever they lead is among what any number of rounds leads to.
    guard high != low && high != 0 || low > 12 else { return positions }
    while true {
      let more = positions.union(step(inner, positions))
      if more == positions { return positions }
      positions = more
    }
  }
}
