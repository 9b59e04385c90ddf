// What every match of a pattern must contain: one of a few literals, bytes of certain sets, runs of one set; and how long it is.
// What must stay true: never a false negative. Whatever is not understood completely counts as "any text".
import Primitives

/// How far something may reach: so many bytes, and so many runs of white space, each as long as the text has them.
public struct Reach: Hashable, Sendable {
  public var bytes: Int
  public var blanks: Int
  public static let zero = Reach(bytes: 0)
  private static let most = 1 << 30
  public init(bytes: Int, blanks: Int = 0) {
    self.bytes = bytes
    self.blanks = blanks
  }
  /// Bytes that white space consists of, and all beyond ASCII: what `blanks` are runs of.
  public static let blankBytes = ByteAnalysis.bytes(CharacterClass(shorthands: [.space], ignoresCase: true)).all

  /// nil: any number.
  static func sum(_ a: Reach?, _ b: Reach?) -> Reach? {
    guard let a, let b else { return nil }
    return Reach(bytes: a.bytes + b.bytes, blanks: a.blanks + b.blanks).bounded
  }
  static func max(_ a: Reach?, _ b: Reach?) -> Reach? {
    guard let a, let b else { return nil }
    return Reach(bytes: Swift.max(a.bytes, b.bytes), blanks: Swift.max(a.blanks, b.blanks))
  }
  func times(_ count: Int) -> Reach? {
    let (bytes, overflows) = self.bytes.multipliedReportingOverflow(by: count)
    let (blanks, overflowsToo) = self.blanks.multipliedReportingOverflow(by: count)
    return overflows || overflowsToo ? nil : Reach(bytes: bytes, blanks: blanks).bounded
  }
  private var bounded: Reach? { bytes <= Reach.most && blanks <= Int(Int16.max) ? self : nil }
}

/// Lengths in bytes of UTF-8; `high` nil: unbounded.
struct LengthBounds: Equatable {
  var low: Int
  var high: Reach?
  static let zero = LengthBounds(low: 0, high: .zero)
  private static let most = 1 << 30
  init(low: Int, high: Reach?) {
    self.low = low
    self.high = high
  }
  init(low: Int, bytes: Int) { self.init(low: low, high: Reach(bytes: bytes)) }
  static func + (a: LengthBounds, b: LengthBounds) -> LengthBounds {
    LengthBounds(low: min(most, a.low + b.low), high: Reach.sum(a.high, b.high))
  }
  func times(_ low: Int, _ high: Int?) -> LengthBounds {
    let least = min(LengthBounds.most, self.low.multipliedReportingOverflow(by: low).overflow ? LengthBounds.most : self.low * low)
    if high == 0 || self.high == .zero { return LengthBounds(low: least, high: .zero) }
    return LengthBounds(low: least, high: high.flatMap { self.high?.times($0) })
  }
  func union(_ other: LengthBounds) -> LengthBounds { LengthBounds(low: min(low, other.low), high: Reach.max(high, other.high)) }
}

struct RequirementAnalysis {
  /// Texts that one part spells, and literals of a set that must be met beside another.
  static let mostLiterals = 32
  /// Of texts that one part spells with white space in them: what many patterns share is worth more than what is longer.
  static let mostPhrases = 8
  /// Literals of the set whose places say where a match can be. Looking for more costs a scan next to nothing.
  static let mostAlternatives = 192
  static let longestLiteral = 24
  /// Sets that must all be met.
  static let mostSets = 6
  /// Ways to match that are told apart.
  static let mostClauses = 32

  /// A set of literals, each with how many bytes may stand before it in its part of the pattern.
  struct Candidate {
    var literals: [Requirement.Literal]
    var cost: UInt64
    init?(_ literals: [Requirement.Literal]) {
      guard !literals.isEmpty, literals.count <= RequirementAnalysis.mostAlternatives else { return nil }
      var cost: UInt64 = 0
      for literal in literals {
        guard RequirementAnalysis.isUsable(literal.bytes) else { return nil }
        cost += max(Rarity.cost(literal.bytes), Candidate.leastCost)
      }
      self.literals = literals
      self.cost = cost
    }
    /// What one more literal costs, however rare it is: it is looked for in each text.
    static let leastCost: UInt64 = 1 << 10
    /// None of its literals could be rarer to any use.
    var isRarest: Bool { cost <= Candidate.leastCost * UInt64(literals.count) }
    func moved(by before: Reach?) -> Candidate {
      var copy = self
      for index in literals.indices { copy.literals[index].longestBefore = Reach.sum(literals[index].longestBefore, before) }
      return copy
    }
    static func better(_ a: Candidate?, _ b: Candidate?) -> Candidate? {
      guard let a else { return b }
      guard let b else { return a }
      if a.cost != b.cost { return a.cost < b.cost ? a : b }
      func rank(_ c: Candidate) -> (Int, Int, Int) {
        (
          c.literals.count, -(c.literals.map(\.bytes.count).min() ?? 0),
          c.literals.reduce(0) { max($0, $1.longestBefore.map { $0.bytes + 4 * $0.blanks } ?? Int.max) }
        )
      }
      return rank(b) < rank(a) ? b : a
    }
  }

  /// Two bytes or more, be it the beginning of a character beyond ASCII.
  static func isUsable(_ literal: [UInt8]) -> Bool { literal.count >= 2 }

  /// A way to match: it meets all of these sets, the cheapest first, and has a byte of each of these.
  struct Clause {
    var sets: [Candidate] = []
    var bytes: [ByteAnalysis.WeighedSet] = []
    mutating func add(_ set: Candidate?) { RequirementAnalysis.add(set, to: &sets) }
    mutating func add(_ one: ByteAnalysis.WeighedSet) { RequirementAnalysis.add(one, to: &bytes) }
    func moved(by before: Reach?) -> Clause { Clause(sets: sets.map { $0.moved(by: before) }, bytes: bytes) }
    func and(_ other: Clause) -> Clause {
      var result = self
      for set in other.sets { result.add(set) }
      for one in other.bytes { result.add(one) }
      return result
    }
  }
  /// Bytes that are asked for beside literals: so many sets, each of which so many of 1000 bytes of text are in.
  static let mostBytes = 4
  static let heaviestBytes = 100
  static func add(_ one: ByteAnalysis.WeighedSet, to list: inout [ByteAnalysis.WeighedSet]) {
    guard one.weight <= heaviestBytes, one.set.count > 0, !list.contains(where: { $0.set == one.set }) else { return }
    list.insert(one, at: list.firstIndex { $0.weight > one.weight } ?? list.count)
    if list.count > mostBytes { list.removeLast() }
  }
  private static func bytes(_ set: CharacterClass) -> [ByteAnalysis.WeighedSet] {
    var result: [ByteAnalysis.WeighedSet] = []
    add(ByteAnalysis.WeighedSet(ByteAnalysis.bytes(set).leading), to: &result)
    return result
  }
  /// What one of several parts must have.
  private static func either(_ parts: [[ByteAnalysis.WeighedSet]]) -> [ByteAnalysis.WeighedSet] {
    var all = ByteSet()
    for part in parts {
      guard let first = part.first else { return [] }
      all = all.union(first.set)
    }
    var result: [ByteAnalysis.WeighedSet] = []
    add(ByteAnalysis.WeighedSet(all), to: &result)
    return result
  }

  struct Facts {
    /// All texts, in the scan form, that the part can match, if they are few.
    var exact: [[UInt8]]?
    /// Not from `exact`, which its user makes into one when it knows what stands beside it.
    var best: Candidate?
    /// Every match meets all of these, `best` among them; the cheapest first.
    var sets: [Candidate] = []
    /// Every match has a byte of each of these, as the text has it; the rarest first.
    var bytes: [ByteAnalysis.WeighedSet] = []
    /// Every match goes one of these ways; none: there is but one, and `sets` and `bytes` say it.
    var clauses: [Clause] = []
    var bounds: LengthBounds
    static let empty = Facts(exact: [[]], best: nil, bounds: .zero)
    init(
      exact: [[UInt8]]?, best: Candidate?, sets: [Candidate] = [], bytes: [ByteAnalysis.WeighedSet] = [], clauses: [Clause] = [],
      bounds: LengthBounds
    ) {
      self.exact = exact
      self.best = best
      self.sets = sets.isEmpty ? best.map { [$0] } ?? [] : sets
      self.bytes = bytes
      self.clauses = clauses
      self.bounds = bounds
    }
    /// With `exact` as a set of each; never none.
    var requiredClauses: [Clause] {
      guard !clauses.isEmpty else { return [Clause(sets: requiredSets, bytes: bytes)] }
      let one = exact.flatMap { Candidate($0.map { Requirement.Literal(bytes: $0, longestBefore: .zero) }) }
      guard let one else { return clauses }
      return clauses.map { clause in
        var all = clause
        all.add(one)
        return all
      }
    }
    /// With `exact` as one of them.
    var requiredSets: [Candidate] {
      var all = sets
      if let exact { RequirementAnalysis.add(Candidate(exact.map { Requirement.Literal(bytes: $0, longestBefore: .zero) }), to: &all) }
      return all
    }
    /// With `exact` as a candidate.
    var required: Candidate? {
      Candidate.better(best, exact.flatMap { Candidate($0.map { Requirement.Literal(bytes: $0, longestBefore: .zero) }) })
    }
  }

  /// Keeps the cheapest `mostSets`, in their order.
  static func add(_ candidate: Candidate?, to sets: inout [Candidate]) {
    guard let candidate else { return }
    if let at = sets.firstIndex(where: { $0.cost == candidate.cost && $0.literals.map(\.bytes) == candidate.literals.map(\.bytes) }) {
      sets[at] = Candidate.better(sets[at], candidate) ?? candidate
      return
    }
    let at = sets.firstIndex { candidate.cost < $0.cost } ?? sets.count
    guard at < mostSets else { return }
    sets.insert(candidate, at: at)
    if sets.count > mostSets { sets.removeLast() }
  }

  static func facts(_ node: Node) -> Facts {
    PatternWork.step()
    switch node {
    case .empty, .anchor: return .empty
    case .literal(let point, let ignores):
      if point < 0x80 { return (ignores ? foldedLetters : letters)[Int(point)] }
      return facts(CharacterClass(ranges: [point...point], ignoresCase: ignores))
    case .characterClass(let set): return facts(set)
    case .sequence(let items): return sequence(items)
    case .alternation(let branches): return alternation(branches)
    case .capture(let inner, _), .atomic(let inner): return facts(inner)
    case .lookAround(let inner, let isAhead, let isNegative):
      guard isAhead, !isNegative else { return .empty }
      let seen = facts(inner)
      return Facts(
        exact: [[]], best: seen.required, sets: seen.requiredSets, bytes: seen.bytes, clauses: seen.clauses.isEmpty ? [] : seen.requiredClauses,
        bounds: .zero)
    case .repeat(let inner, let low, let high, _): return high == 0 ? .empty : repetition(facts(inner), low, high, isBlank: isBlank(inner))
    case .backReference: return Facts(exact: nil, best: nil, bounds: LengthBounds(low: 0, high: nil))
    case .conditional(_, let yes, let no): return alternation([yes, no])
    }
  }

  // MARK: Characters

  private static func facts(_ set: CharacterClass) -> Facts {
    let exact = spellings(set)
    let best = exact == nil ? beginnings(set).flatMap { Candidate($0.map { Requirement.Literal(bytes: $0, longestBefore: .zero) }) } : nil
    return Facts(exact: exact, best: best, bytes: bytes(set), bounds: bounds(set))
  }
  private static let letters = (0..<0x80).map { facts(CharacterClass(ranges: [$0...$0])) }
  private static let foldedLetters = (0..<0x80).map { facts(CharacterClass(ranges: [$0...$0], ignoresCase: true)) }

  /// The members' bytes in the scan form; nil: too many.
  private static func spellings(_ set: CharacterClass) -> [[UInt8]]? {
    guard !set.isNegated, set.shorthands.allSatisfy({ $0 == .space }), let members = CodePointSet(set.ranges).members(limit: 16) else { return nil }
    var result: [[UInt8]] = set.shorthands.isEmpty ? [] : [blank]
    for point in members {
      if ScanForm.isBlank(point) {
        if !result.contains(blank) { result.append(blank) }
        continue
      }
      // Those of ASCII are folded in the text too, and so are the characters whose other case they are.
      for one in set.ignoresCase && point >= 0x80 ? CaseTable.equals(of: point) : [point] {
        let bytes = utf8(CaseTable.folded(one))
        if !result.contains(bytes) { result.append(bytes) }
      }
    }
    return result.isEmpty || result.count > 10 ? nil : result
  }
  /// Of characters beyond ASCII, the first bytes of which each member has one: as many bytes as leave few enough. nil: the scan form
  /// may have others, or even two bytes are too many.
  private static func beginnings(_ set: CharacterClass) -> [[UInt8]]? {
    guard !set.isNegated, !set.needsUnicodeTables, let ranges = set.resolved?.ranges, !ranges.isEmpty, ranges.count <= mostLiterals else {
      return nil
    }
    for range in ranges {
      let isPlain =
        range.lowerBound >= 0x80 && !CaseTable.beyondASCII.contains(where: range.contains)
        && !CodePointSet.space.ranges.contains { $0.overlaps(range) } && !(set.ignoresCase && CaseTable.mayHaveOthers(range))
      if !isPlain { return nil }
    }
    return [4, 3, 2].lazy.compactMap { beginnings(ranges, $0) }.first
  }
  /// So many bytes of each; nil: too many.
  private static func beginnings(_ ranges: [ClosedRange<UInt32>], _ count: Int) -> [[UInt8]]? {
    var result: [[UInt8]] = []
    let widths: [ClosedRange<UInt32>] = [0x80...0x7ff, 0x800...0xffff, 0x1_0000...CodePointSet.last]
    for range in ranges {
      for (width, all) in zip(2..., widths) where all.overlaps(range) {
        let part = range.clamped(to: all)
        // What the bytes that are left out may say.
        let shift = UInt32(max(0, width - count) * 6)
        guard part.upperBound >> shift - part.lowerBound >> shift < UInt32(mostBeginnings) else { return nil }
        for point in part.lowerBound >> shift...part.upperBound >> shift {
          // A surrogate's are those of no character.
          let bytes = Array(utf8(max(point << shift, part.lowerBound)).prefix(count))
          if !bytes.isEmpty, !result.contains(bytes) { result.append(bytes) }
        }
      }
    }
    return result.count <= mostBeginnings ? result : nil
  }
  static let mostBeginnings = 16
  /// White space, however much: in the scan form it is one space.
  private static let blank = [ScanForm.blank]
  private static func utf8(_ point: UInt32) -> [UInt8] { Unicode.Scalar(point).map { Array(String(Character($0)).utf8) } ?? [] }

  private static func bounds(_ set: CharacterClass) -> LengthBounds {
    guard !set.needsUnicodeTables else { return LengthBounds(low: 1, bytes: 4) }
    if set.isNegated, !set.reachesBeyondASCII, let ascii = set.asciiMembers, !ascii.inverted.isEmpty { return LengthBounds(low: 1, bytes: 4) }
    guard var members = set.resolved else { return LengthBounds(low: 1, bytes: 4) }
    if set.isNegated { members = members.inverted }
    guard let first = members.ranges.first?.lowerBound, var last = members.ranges.last?.upperBound else { return LengthBounds(low: 1, bytes: 1) }
    if set.ignoresCase {
      if last < 0x80 {
        for point in CaseTable.beyondASCII where CaseTable.others(of: point).contains(where: members.contains) { last = max(last, point) }
      } else {
        return LengthBounds(
          low: 1, bytes: width(last) == 4 ? 4 : CaseTable.hasOthers(last) || members.ranges.count > 1 || first != last ? 3 : width(last))
      }
    }
    return LengthBounds(low: width(first), bytes: width(last))
  }
  /// Bytes of its shortest member, at least 1.
  static func leastWidth(_ set: CharacterClass) -> Int {
    if let ascii = set.asciiMembers, !(set.isNegated ? ascii.inverted : ascii).isEmpty { return 1 }
    return bounds(set).low
  }
  private static func width(_ point: UInt32) -> Int { point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4 }

  // MARK: Structure

  private static func distinct(_ texts: [[UInt8]], most: Int = mostLiterals) -> [[UInt8]]? {
    var result: [[UInt8]] = []
    for text in texts where !result.contains(text) {
      guard text.count <= longestLiteral, result.count < most else { return nil }
      result.append(text)
    }
    return result
  }
  private static func product(_ a: [[UInt8]], _ b: [[UInt8]]) -> [[UInt8]]? {
    guard a.count * b.count <= mostLiterals * 2 else { return nil }
    if a.count == 1, b.count == 1 { return a[0].count + b[0].count <= longestLiteral ? [joined(a[0], b[0])] : nil }
    return distinct(a.flatMap { head in b.map { joined(head, $0) } }, most: a.allSatisfy { $0.count == 2 } ? mostLiterals * 2 : mostLiterals)
  }
  /// More literals only where they are rarer than fewer. Two bytes are in too many texts.
  private static func isWorthJoining(_ run: [[UInt8]], _ exact: [[UInt8]]) -> Bool {
    if exact.count == 1 || run.allSatisfy({ $0.count == 2 }) { return true }
    if run.count * exact.count > mostPhrases, (run + exact).contains(where: { $0.contains(ScanForm.blank) }) { return false }
    return Candidate(run.map { Requirement.Literal(bytes: $0, longestBefore: .zero) }).map { !$0.isRarest } ?? true
  }
  /// Runs of white space that meet are one.
  private static func joined(_ head: [UInt8], _ tail: [UInt8]) -> [UInt8] {
    head.last == ScanForm.blank && tail.first == ScanForm.blank ? head + tail.dropFirst() : head + tail
  }

  private static func sequence(_ items: [Node]) -> Facts {
    var bounds = LengthBounds.zero
    var run: [[UInt8]] = [[]]  // what the items since `runStart` spell
    var runBefore: Reach? = .zero
    var isExact = true
    // How far may stand before the white space that ends here; nil: none does.
    var blankBefore: Reach??
    var best: Candidate?
    var sets: [Candidate] = []
    // What all ways have in common, and the ways of each part that has several.
    var common = Clause()
    var ways: [(clauses: [Clause], all: Clause)] = []
    var bytes: [ByteAnalysis.WeighedSet] = []
    func flush() {
      if run.contains(where: { $0.isEmpty }) { return }
      let candidate = Candidate(withoutCovered(run.map { Requirement.Literal(bytes: $0, longestBefore: runBefore) }))
      best = Candidate.better(best, candidate)
      add(candidate, to: &sets)
      common.add(candidate)
    }
    for item in items {
      for facts in unrolled(item) {
        best = Candidate.better(best, facts.best?.moved(by: bounds.high))
        let all = Clause(sets: facts.sets, bytes: facts.bytes).moved(by: bounds.high)
        for set in all.sets { add(set, to: &sets) }
        for one in all.bytes { add(one, to: &bytes) }
        if facts.clauses.isEmpty { common = common.and(all) } else { ways.append((facts.clauses.map { $0.moved(by: bounds.high) }, all)) }
        if let exact = facts.exact, let joined = isWorthJoining(run, exact) ? product(run, exact) : nil {
          run = joined
        } else {
          flush()
          isExact = false
          if let exact = facts.exact, let before = blankBefore, let joined = product([blank], exact) {
            // The white space belongs to what it ends and to what it begins.
            run = joined
            runBefore = before
          } else {
            run = facts.exact ?? [[]]
            runBefore = facts.exact == nil ? Reach.sum(bounds.high, facts.bounds.high) : bounds.high
          }
        }
        blankBefore = facts.exact == [blank] ? .some(bounds.high) : nil
        bounds = bounds + facts.bounds
      }
    }
    if !isExact { flush() }
    return Facts(exact: isExact ? run : nil, best: best, sets: sets, bytes: bytes, clauses: clauses(ways, common), bounds: bounds)
  }

  /// A choice of one clause from each part, with what all have in common. Where these are too many, the parts with the rarest literals
  /// are told apart, and of the others what all their clauses have in common.
  private static func clauses(_ ways: [(clauses: [Clause], all: Clause)], _ common: Clause) -> [Clause] {
    func cost(_ clauses: [Clause]) -> UInt64 { clauses.reduce(0) { $0 &+ ($1.sets.first?.cost ?? 1 << 44) } }
    guard !ways.isEmpty else { return [] }
    var result: [Clause] = []
    var common = common
    for (clauses, all) in ways.count > 1 ? ways.sorted(by: { cost($0.clauses) < cost($1.clauses) }) : ways {
      if result.isEmpty {
        result = clauses
      } else if result.count * clauses.count <= mostClauses {
        result = result.flatMap { a in clauses.map { a.and($0) } }
      } else {
        common = common.and(all)
      }
    }
    return result.map { $0.and(common) }
  }

  /// `x+` as x, any number, x: what it begins and what it ends with both join their neighbours.
  private static func unrolled(_ item: Node) -> [Facts] {
    guard case .repeat(let inner, let low, let high, _) = item else { return [facts(item)] }
    let one = facts(inner)
    let isBlank = isBlank(inner)
    guard low >= 1, low != high, let exact = one.exact, exact != [blank] else { return [repetition(one, low, high, isBlank: isBlank)] }
    let middle = Facts(exact: nil, best: nil, bounds: times(one.bounds, 0, high.map { $0 - low }, isBlank: isBlank))
    if low > 1 { return [repetition(one, low - 1, low - 1, isBlank: isBlank), middle, one] }
    // One copy is both first and last: as the first it counts without length, so that nothing is counted twice.
    return [Facts(exact: one.exact, best: one.best, sets: one.sets, bytes: one.bytes, bounds: .zero), middle, one]
  }

  private static func alternation(_ branches: [Node]) -> Facts {
    let all = branches.map { facts($0) }
    var result = Facts(exact: [], best: nil, bounds: all[0].bounds)
    for one in all.dropFirst() { result.bounds = result.bounds.union(one.bounds) }
    result.exact = all.contains { $0.exact == nil } ? nil : distinct(all.flatMap { $0.exact ?? [] })
    result.bytes = either(all.map(\.bytes))
    if result.exact == nil || all.contains(where: { $0.best != nil }) {
      result.best = either(all.map(\.required))
      add(result.best, to: &result.sets)
      // Each branch meets all of its sets, so any choice of one set from each branch makes a set for the whole.
      let sets = all.map(\.requiredSets)
      if sets.allSatisfy({ !$0.isEmpty }) {
        for rank in 0..<(sets.map(\.count).max() ?? 0) { add(either(sets.map { $0[min(rank, $0.count - 1)] }), to: &result.sets) }
      }
      result.clauses = bounded(all.flatMap(\.requiredClauses))
    }
    return result
  }
  /// The same in fewer clauses: those of one set make one, and if there are still too many, neighbours do. Empty: one is enough.
  private static func bounded(_ clauses: [Clause]) -> [Clause] {
    func isSingle(_ clause: Clause) -> Bool { clause.sets.count == 1 && clause.bytes.isEmpty }
    let single = clauses.filter(isSingle)
    var result = clauses
    if single.count > 1, let one = either(single.map { $0.sets[0] }) { result = clauses.filter { !isSingle($0) } + [Clause(sets: [one])] }
    if result.count > mostClauses {
      let size = (result.count + mostClauses - 1) / mostClauses
      result = stride(from: 0, to: result.count, by: size).map { merged(Array(result[$0..<min(result.count, $0 + size)])) }
    }
    return result.count < 2 || result.contains { $0.sets.isEmpty && $0.bytes.isEmpty } ? [] : result
  }
  /// Any choice of one set from each clause makes a set for all of them.
  private static func merged(_ clauses: [Clause]) -> Clause {
    var result = Clause(bytes: either(clauses.map(\.bytes)))
    guard clauses.allSatisfy({ !$0.sets.isEmpty }) else { return result }
    for rank in 0..<(clauses.map(\.sets.count).max() ?? 0) { result.add(either(clauses.map { $0.sets[min(rank, $0.sets.count - 1)] })) }
    return result
  }
  /// All literals of the sets, each with its farthest reach; nil: too many.
  static func union(_ sets: [[Requirement.Literal]]) -> [Requirement.Literal]? {
    var literals: [Requirement.Literal] = []
    var places: [[UInt8]: Int] = [:]
    for literal in sets.joined() {
      if let at = places[literal.bytes] {
        literals[at].longestBefore = Reach.max(literals[at].longestBefore, literal.longestBefore)
      } else {
        places[literal.bytes] = literals.count
        literals.append(literal)
      }
    }
    return literals.count <= mostAlternatives ? literals : nil
  }
  /// What one of them must meet.
  private static func either(_ candidates: [Candidate?]) -> Candidate? {
    var literals: [Requirement.Literal] = []
    var places: [[UInt8]: Int] = [:]
    for candidate in candidates {
      guard let candidate, literals.count <= mostAlternatives else { return nil }
      for literal in candidate.literals {
        if let at = places[literal.bytes] {
          literals[at].longestBefore = Reach.max(literals[at].longestBefore, literal.longestBefore)
        } else {
          places[literal.bytes] = literals.count
          literals.append(literal)
        }
      }
    }
    return Candidate(withoutCovered(literals))
  }

  /// A literal that contains another one need not be looked for, if the other's place bounds the match as well.
  static func withoutCovered(_ literals: [Requirement.Literal]) -> [Requirement.Literal] {
    guard literals.count > 1, literals.count <= mostLiterals * 2 else { return literals }
    var kept = literals
    var index = 0
    while index < kept.count {
      let long = kept[index]
      let cover = kept.indices.first { other in
        other != index && kept[other].bytes.count < long.bytes.count && offset(of: kept[other].bytes, in: long.bytes) != nil
      }
      if let cover, let shift = offset(of: kept[cover].bytes, in: long.bytes) {
        // Each space before it may be a longer run.
        let between = Reach(bytes: shift, blanks: long.bytes.prefix(shift).count { $0 == ScanForm.blank })
        kept[cover].longestBefore = Reach.max(kept[cover].longestBefore, Reach.sum(long.longestBefore, between))
        kept.remove(at: index)  // what was looked at before is covered by nothing that stands here still
      } else {
        index += 1
      }
    }
    return kept
  }
  private static func offset(of needle: [UInt8], in text: [UInt8]) -> Int? {
    guard needle.count <= text.count else { return nil }
    for start in 0...text.count - needle.count where text[start] == needle[0] {
      var at = 1
      while at < needle.count, text[start + at] == needle[at] { at += 1 }
      if at == needle.count { return start }
    }
    return nil
  }

  /// One character of white space.
  private static func isBlank(_ node: Node) -> Bool {
    guard node.isSingleCharacter, let bytes = ByteAnalysis.facts(node).all else { return false }
    return bytes.union(Reach.blankBytes) == Reach.blankBytes
  }
  /// However many white characters stand in a row, they are one run of the text.
  private static func times(_ one: LengthBounds, _ low: Int, _ high: Int?, isBlank: Bool) -> LengthBounds {
    var result = one.times(low, high)
    if isBlank, result.high == nil { result.high = Reach(bytes: 0, blanks: 1) }
    return result
  }

  private static func repetition(_ one: Facts, _ low: Int, _ high: Int?, isBlank: Bool) -> Facts {
    if high == 0 { return .empty }
    var result = Facts(
      exact: nil, best: low > 0 ? one.required : nil, sets: low > 0 ? one.requiredSets : [], bytes: low > 0 ? one.bytes : [],
      clauses: low > 0 && !one.clauses.isEmpty ? one.requiredClauses : [], bounds: times(one.bounds, low, high, isBlank: isBlank))
    guard let exact = one.exact else { return result }
    if exact == [blank] {
      result.exact = low == 0 ? [[], blank] : [blank]
    } else if low == 0, high == 1 {
      result.exact = distinct(exact + [[]])
    } else if low == high, low <= longestLiteral {
      var power: [[UInt8]]? = [[]]
      for _ in 0..<low { power = power.flatMap { product($0, exact) } }
      result.exact = power
    } else if let high, high <= 4 {
      var sum: [[UInt8]]? = []
      var power: [[UInt8]]? = [[]]
      for count in 0...high {
        if count >= low { sum = sum.flatMap { a in power.flatMap { distinct(a + $0) } } }
        power = power.flatMap { product($0, exact) }
      }
      result.exact = sum
    }
    if low == high, result.exact == nil, low > 1 {
      // The longest literal of so many copies is more than one copy of it.
      var count = low
      while count > 1 {
        count /= 2
        var power: [[UInt8]]? = [[]]
        for _ in 0..<count { power = power.flatMap { product($0, exact) } }
        if let power, let better = Candidate(power.map { Requirement.Literal(bytes: $0, longestBefore: .zero) }) {
          result.best = Candidate.better(result.best, better)
          add(better, to: &result.sets)
          break
        }
      }
    }
    return result
  }
}
