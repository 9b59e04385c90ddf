// Texts that make a pattern backtrack. The tree names the places where repetitions can share characters; the text that follows from each is
// then tried on PCRE2's interpreter, and only what it really costs is reported.
// What must stay true: no finding without a measurement; the number of trials of a pattern is bounded.
import Primitives
import RegularExpressions

/// A text `prefix + pump * n + breaker + rest` for one place of a pattern.
struct AttackText: Equatable {
  var prefix: [UInt32]
  var pump: [UInt32]
  /// What the pattern wants behind the place, so that a scan for its last character does not end the match early.
  var rest: [UInt32]

  func text(pumps: Int, breaker: UInt32) -> [UInt8] {
    var out: [UInt8] = []
    func add(_ points: [UInt32]) {
      for point in points { out.append(contentsOf: UTF8.encode(Unicode.Scalar(point) ?? "?")!) }
    }
    add(prefix)
    for _ in 0..<pumps { add(pump) }
    add([breaker])
    add(rest)
    return out
  }

  /// How many pumps were needed to exceed `Limits.lintAttackSteps`, and what half and all of `pumps` cost below it.
  struct Measurement {
    var pumps: Int
    var bytes: Int
    /// A short text suffices: the cost is exponential, or a high power.
    var isCatastrophic: Bool
  }

  /// Pumps of a text that nobody would call long, and of one as long as a page.
  private static let few = 48
  private static let many = 2048
  /// U+0001 is in few classes; a line feed is the one character that `.` excludes.
  private static let breakers: [UInt32] = [1, 0x0a]

  /// nil: no text of this form costs much.
  func measure(_ pattern: TriedPattern) -> Measurement? {
    for breaker in AttackText.breakers {
      guard pattern.exceeds(text(pumps: AttackText.many, breaker: breaker), Limits.lintAttackSteps) else { continue }
      let short = text(pumps: AttackText.few, breaker: breaker)
      if pattern.exceeds(short, Limits.lintAttackSteps) { return Measurement(pumps: AttackText.few, bytes: short.count, isCatastrophic: true) }
      var low = AttackText.few
      var high = AttackText.many
      while high - low > 16 {
        let middle = (low + high) / 2
        if pattern.exceeds(text(pumps: middle, breaker: breaker), Limits.lintAttackSteps) { high = middle } else { low = middle }
      }
      return Measurement(pumps: high, bytes: text(pumps: high, breaker: breaker).count, isCatastrophic: false)
    }
    return nil
  }
}

/// Walks a tree and collects attack texts, the nested repetitions first.
struct AttackSearch {
  private(set) var attacks: [AttackText] = []
  private var budget = 5_000
  /// A repetition that may run this often counts as one without an end.
  private static let large = 128

  static func attacks(on node: Node) -> [AttackText] {
    var search = AttackSearch()
    search.visit(node, prefix: [], rest: [])
    return search.attacks
  }

  private mutating func add(_ prefix: [UInt32], _ pump: [UInt32], _ rest: [UInt32]) {
    let attack = AttackText(prefix: prefix, pump: pump, rest: rest)
    if !pump.isEmpty, attacks.count < Limits.lintAttacks, !attacks.contains(attack) { attacks.append(attack) }
  }

  private static func isLarge(_ high: Int?) -> Bool { high.map { $0 >= large } ?? true }

  private mutating func visit(_ node: Node, prefix: [UInt32], rest: [UInt32]) {
    budget -= 1
    guard budget > 0, attacks.count < Limits.lintAttacks else { return }
    switch node {
    case .empty, .literal, .characterClass, .anchor, .backReference: return
    case .capture(let inner, _): visit(inner, prefix: prefix, rest: rest)
    // What an atomic group has taken it keeps, but inside it may still backtrack.
    case .atomic(let inner): visit(inner, prefix: prefix, rest: rest)
    case .lookAround(let inner, _, _): visit(inner, prefix: prefix, rest: [])
    case .alternation(let branches): for branch in branches { visit(branch, prefix: prefix, rest: rest) }
    case .conditional(_, let a, let b):
      visit(a, prefix: prefix, rest: rest)
      visit(b, prefix: prefix, rest: rest)
    case .sequence(let parts): sequence(parts, prefix: prefix, rest: rest)
    case .repeat(let inner, _, let high, let greed):
      if AttackSearch.isLarge(high), greed != .possessive { repetition(inner, prefix: prefix, rest: rest) }
      visit(inner, prefix: prefix, rest: rest)
    }
  }

  // MARK: Neighbours

  /// The characters of a repetition without end over single characters.
  private func run(_ node: Node) -> Alphabet? {
    switch node {
    case .capture(let inner, _): run(inner)
    case .repeat(let inner, _, let high, let greed): AttackSearch.isLarge(high) && greed != .possessive ? inner.single : nil
    default: nil
    }
  }

  private mutating func sequence(_ parts: [Node], prefix: [UInt32], rest: [UInt32]) {
    let isOpen = parts.map { hasLargeRepetition($0, depth: 0) }
    guard parts.count <= 512, isOpen.contains(true) else { return }
    let examples = parts.map { $0.example(limit: 64) }
    func joined(_ range: Range<Int>) -> [UInt32] { Array(examples[range].joined().prefix(256)) }
    for i in parts.indices where isOpen[i] {
      visit(parts[i], prefix: prefix + joined(0..<i), rest: joined(i + 1..<parts.count) + rest)
      guard var shared = run(parts[i]) else { continue }
      // Everything between two repetitions must be able to vanish or to be one of the shared characters.
      for j in parts.indices[(i + 1)...].prefix(8) {
        if let other = run(parts[j]) {
          let both = shared.sharedASCII(other)
          if let point = both.example { add(prefix + joined(0..<i), [point], joined(j + 1..<parts.count) + rest) }
          break
        }
        if parts[j].shortest(limit: 1) == 0 { continue }
        guard let single = parts[j].single else { break }
        shared = shared.sharedASCII(single)
        if shared.isEmpty { break }
      }
    }
  }

  // MARK: Repetitions of repetitions

  private mutating func repetition(_ body: Node, prefix: [UInt32], rest: [UInt32]) {
    if let point = ambiguousCharacter(body)?.example { add(prefix, [point], rest) }
    if let branches = branches(body) {
      // One branch may be what two others spell together, as in (a|b|ab)*.
      for branch in branches.prefix(64).filter({ $0.shortest(limit: 2) > 1 }).prefix(3) { add(prefix, branch.example(limit: 32), rest) }
      for (i, a) in branches.enumerated().prefix(64) {
        for b in branches[(i + 1)...].prefix(64) {
          if let point = a.single?.sharedASCII(b.single ?? Alphabet()).example { add(prefix, [point], rest) }
          let example = a.example(limit: 32)
          if example.count > 1, example == b.example(limit: 32) { add(prefix, example, rest) }
        }
      }
    }
    // A body that is ambiguous only as a whole, as (\w+\s?)+ on words without blanks.
    let whole = body.example(limit: 64)
    if !whole.isEmpty, hasRepetition(body, depth: 0) { add(prefix, whole, rest) }
  }

  private func branches(_ node: Node) -> [Node]? {
    switch node {
    case .capture(let inner, _), .atomic(let inner): branches(inner)
    case .alternation(let branches): branches
    default: nil
    }
  }

  /// Characters that both an inner repetition and all else that the body insists on can take.
  private func ambiguousCharacter(_ body: Node) -> Alphabet? {
    switch body {
    case .capture(let inner, _): return ambiguousCharacter(inner)
    case .repeat: return run(body)
    case .alternation(let branches): return branches.lazy.compactMap { ambiguousCharacter($0) }.first
    case .sequence(let parts):
      for (i, part) in parts.enumerated().prefix(64) {
        guard var shared = run(part) else { continue }
        for (j, other) in parts.enumerated() where j != i && other.shortest(limit: 1) > 0 {
          shared = shared.sharedASCII(other.single ?? run(other) ?? Alphabet())
        }
        if !shared.isEmpty { return shared }
      }
      return nil
    default: return nil
    }
  }

  private func hasLargeRepetition(_ node: Node, depth: Int) -> Bool {
    guard depth < 64 else { return false }
    switch node {
    case .repeat(let inner, _, let high, _): return AttackSearch.isLarge(high) || hasLargeRepetition(inner, depth: depth + 1)
    case .capture(let inner, _), .atomic(let inner), .lookAround(let inner, _, _): return hasLargeRepetition(inner, depth: depth + 1)
    case .sequence(let parts), .alternation(let parts): return parts.contains { hasLargeRepetition($0, depth: depth + 1) }
    case .conditional(_, let a, let b): return hasLargeRepetition(a, depth: depth + 1) || hasLargeRepetition(b, depth: depth + 1)
    default: return false
    }
  }

  private func hasRepetition(_ node: Node, depth: Int) -> Bool {
    guard depth < 32 else { return false }
    switch node {
    case .repeat(_, let low, let high, _): return high != low
    case .capture(let inner, _): return hasRepetition(inner, depth: depth + 1)
    case .sequence(let parts): return parts.prefix(64).contains { hasRepetition($0, depth: depth + 1) }
    case .alternation(let branches): return branches.prefix(64).contains { hasRepetition($0, depth: depth + 1) }
    default: return false
    }
  }
}
