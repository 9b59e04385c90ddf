// Correlation rules: matches of other rules that belong together, joined by key values, within a window of event time.
// A match that lies behind its chain counts as if it came with the newest of it, as in a window (see WindowCells).
// What must stay true: state is bounded by rule and key, a chain that completed is forgotten, and a match serves one place of a chain.
import Events
import Primitives
import RuleLanguage

/// A match as a correlation remembers it.
struct Contribution {
  var time: Int64
  var firstTime: Int64
  var evidence: [EvidenceReference]
  var evidenceTotal: UInt64
  var trust: Trust
}

struct CompletedChain {
  var contributions: [Contribution]
  var needed: Int64
}

/// One correlation rule with the chains that have begun.
final class Correlator {
  /// Lines that one contribution brings to the evidence of a chain: its first and its last ones.
  static let evidencePerContribution = 8

  let rule: Int
  let detection: CorrelationDetection
  /// Aliases that the logic names, in its order; a sequence may name one twice.
  private let places: [String]
  private let count: Int
  /// The fields whose values matches must share: the join keys, then the field of a value overlap.
  let joinFields: [FieldReference]
  private var chains = BoundedTable<GroupKey, Chain>(capacity: Limits.correlationChains)
  private var held = 0
  private(set) var evictions: UInt64 = 0
  var chainCount: Int { chains.count }

  private struct Chain {
    /// sequence: by place, the chain that ends there and began last. Otherwise one contribution for each place, or the last n.
    var partial: [[Contribution]]
    var count: Int { partial.reduce(0) { $0 + $1.count } }
  }

  init(rule: Int, detection: CorrelationDetection) {
    self.rule = rule
    self.detection = detection
    if case .valueOverlap(_, let field) = detection.logic { joinFields = detection.joinKeys + [field] } else { joinFields = detection.joinKeys }
    switch detection.logic {
    case .temporalSequence(let aliases), .temporalUnordered(let aliases), .valueOverlap(let aliases, _):
      places = aliases
      count = aliases.count
    case .countThreshold(let alias, let n):
      places = [alias]
      count = max(1, n)
    }
  }

  /// Forgets every chain that has begun.
  func reset() {
    chains = BoundedTable<GroupKey, Chain>(capacity: Limits.correlationChains)
    held = 0
  }

  /// The places that matches of the rule with this id can take.
  func places(forRule id: String) -> [Int] {
    places.indices.filter { i in
      detection.sourceRules.contains { $0.alias == places[i] && glob($0.ruleIDPattern, matches: id) }
    }
  }

  /// Takes one match in. Returns the chain that it completed.
  func add(_ contribution: Contribution, places taken: [Int], key: GroupKey) -> CompletedChain? {
    let now = now(of: chains.peek(key), at: contribution.time)
    var contribution = contribution
    contribution.time = now
    let cutoff = saturatingSubtract(now, detection.window.count)
    func isCurrent(_ c: Contribution) -> Bool { c.time > cutoff && c.time <= now }
    let width = places.count
    let (complete, isEmpty) = chains.update(
      key,
      make: { Chain(partial: Array(repeating: [], count: width)) },
      onEvict: { _, gone in
        held -= gone.count
        if gone.partial.joined().contains(where: isCurrent) { evictions += 1 }
      },
      { chain -> ([Contribution]?, Bool) in
        let before = chain.count
        let complete = self.advance(&chain, contribution, taken, isCurrent)
        self.held += chain.count - before
        return (complete, chain.count == 0)
      })
    if complete != nil || isEmpty {
      if let gone = chains.removeValue(for: key) { held -= gone.count }
    }
    while held > Limits.correlationEntries, let oldest = chains.oldestEntry, oldest.key != key {
      if oldest.value.partial.joined().contains(where: isCurrent) { evictions += 1 }
      held -= oldest.value.count
      _ = chains.removeValue(for: oldest.key)
    }
    return complete.map { CompletedChain(contributions: $0, needed: Int64(needed)) }
  }

  /// The newest match of the chain decides what is current, while this one lies behind by no more than windows allow; a chain of
  /// matches that are newer than that is forgotten.
  private func now(of chain: Chain?, at time: Int64) -> Int64 {
    let latest = saturatingAdd(time, max(detection.window.count, Limits.lateness.count))
    var now = time
    for place in chain?.partial ?? [] { for c in place where c.time > now && c.time <= latest { now = c.time } }
    return now
  }

  private func advance(
    _ chain: inout Chain, _ contribution: Contribution, _ taken: [Int], _ isCurrent: (Contribution) -> Bool
  ) -> [Contribution]? {
    switch detection.logic {
    case .temporalSequence:
      for place in taken.reversed() {  // from the end, so that no match stands in a chain twice
        guard place > 0 else {
          chain.partial[0] = [contribution]
          continue
        }
        let before = chain.partial[place - 1]
        if before.count == place, before.allSatisfy(isCurrent) { chain.partial[place] = before + [contribution] }
      }
      return chain.partial.last.flatMap { $0.count == places.count ? $0 : nil }
    case .temporalUnordered, .valueOverlap:
      var filled = 0
      for place in places.indices {
        guard let held = chain.partial[place].first else { continue }  // one at most
        if isCurrent(held) { filled += 1 } else { chain.partial[place] = [] }
      }
      // An empty place first, else the one that was filled longest ago.
      if let place = taken.first(where: { chain.partial[$0].isEmpty })
        ?? taken.min(by: { (chain.partial[$0].first?.time ?? .min) < (chain.partial[$1].first?.time ?? .min) })
      {
        if chain.partial[place].isEmpty {
          chain.partial[place].append(contribution)
          filled += 1
        } else {
          chain.partial[place][0] = contribution
        }
      }
      return filled >= needed ? chain.partial.flatMap { $0 } : nil
    case .countThreshold:
      chain.partial[0].removeAll { !isCurrent($0) }
      chain.partial[0].append(contribution)
      return chain.partial[0].count >= count ? chain.partial[0] : nil
    }
  }

  private var needed: Int { if case .valueOverlap = detection.logic { 2 } else { count } }

  /// The memory of one contribution: few lines of a long list.
  static func contribution(of match: RuleMatch, evidence: [EvidenceReference]) -> Contribution {
    var evidence = evidence
    if evidence.count > evidencePerContribution {
      evidence.removeSubrange(evidencePerContribution / 2..<evidence.count - evidencePerContribution / 2)
    }
    return Contribution(
      time: match.lastTime.nanoseconds, firstTime: match.firstTime.nanoseconds, evidence: evidence, evidenceTotal: match.evidenceTotal,
      trust: match.trust)
  }
}

/// `*` is any text, `?` any one byte; linear in practice, never exponential (one point of return).
func glob(_ pattern: String, matches text: String) -> Bool {
  let p = Array(pattern.utf8)
  let t = Array(text.utf8)
  var i = 0
  var j = 0
  var star = -1
  var mark = 0
  while j < t.count {
    if i < p.count, p[i] == 0x2a {
      star = i
      mark = j
      i += 1
    } else if i < p.count, p[i] == t[j] || p[i] == 0x3f {
      i += 1
      j += 1
    } else if star >= 0 {
      mark += 1
      j = mark
      i = star + 1
    } else {
      return false
    }
  }
  while i < p.count, p[i] == 0x2a { i += 1 }
  return i == p.count
}
