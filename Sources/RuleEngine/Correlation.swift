// Correlation rules: matches of other rules that belong together, joined by key values, within a window of event time, of sessions or
// of references (spec/atr-correlation-v1.0.md).
// A match that lies behind its chain counts as if it came with the newest of it, as in a window (see WindowCells).
// What must stay true: state is bounded by rule and key, a chain that completed is forgotten, a match serves one place of a chain, and
// what had to be forgotten while it could still have become part of a detection is reported. Claimed matches change nothing about what
// attested ones complete alone: as in a window (see GroupTable), a key has a chain of attested matches and, once a claimed one came, a
// mixed one of all.
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
  var ruleID: String
  /// As the event names itself; nil: the identifier is derived from rule and evidence when it is needed.
  var givenID: String?
  /// Names that others may refer to it by, and those that it refers to. Only where references count.
  var names: [Fingerprint] = []
  var upstream: [Fingerprint] = []
  /// Place of its session among those of its chain.
  var session: Int32 = 0

  var eventID: String { givenID ?? evidence.last.map { MatchIdentifier.text(ruleID: ruleID, $0) } ?? "" }
}

struct CompletedChain {
  var parts: [(alias: String, contribution: Contribution)]
  var needed: Int64
  var contributions: [Contribution] { parts.map(\.contribution) }
}

/// What correlations had to forget, until somebody asks.
final class EvictionLog {
  private var records: [EvictionRecord] = []
  private(set) var dropped: UInt64 = 0
  var isEmpty: Bool { records.isEmpty }

  func note(_ record: EvictionRecord) {
    if records.count < Limits.limitRecords { records.append(record) } else { dropped &+= 1 }
  }
  func take() -> [EvictionRecord] {
    defer { records.removeAll(keepingCapacity: true) }
    return records
  }
}

/// One correlation rule, under one profile, with the chains that have begun.
final class Correlator {
  /// Lines that one contribution brings to the evidence of a chain: its first and its last ones.
  static let evidencePerContribution = 8

  let rule: Int
  let detection: CorrelationDetection
  /// The profile that it runs under, as a bit; all bits where there are no profiles.
  let profiles: UInt64
  /// Aliases that the logic names, in its order; a sequence may name one twice.
  private let places: [String]
  private let count: Int
  /// What matches must share: the join keys, then the field of a value overlap. A session chain is not joined by its session.
  let joinFields: [JoinKey]
  let joinsByPath: Bool
  /// References from match to match decide.
  let isLinked: Bool
  let followsSessions: Bool
  private let hops: Int
  private let time: Int64
  private let log: EvictionLog
  private var chains = BoundedTable<GroupKey, Chain>(capacity: Limits.correlationChains)
  private var held = 0
  private(set) var evictions: UInt64 = 0
  var chainCount: Int { chains.count }

  private struct Chain {
    /// sequence: by place, the chain that ends there and began last. Otherwise one contribution for each place, or the last n.
    var partial: [[Contribution]]
    var graph = MatchGraph()
    var sessions = SessionOrder()
    /// When a mixed chain completed last, beside an attested one that keeps its matches; .min: never.
    var toldAt: Int64 = .min
    var count: Int { partial.reduce(graph.nodes.count) { $0 + $1.count } }
    var all: [Contribution] { partial.flatMap { $0 } + graph.nodes.map(\.contribution) }
  }

  init(rule: Int, detection: CorrelationDetection, profiles: UInt64 = .max, log: EvictionLog = EvictionLog()) {
    self.rule = rule
    self.detection = detection
    self.profiles = profiles
    self.log = log
    time = detection.window.time.count
    var fields = detection.joinKeys
    if case .sessionChain = detection.window {
      followsSessions = true
      fields.removeAll { $0 == .session }
    } else {
      followsSessions = false
    }
    if case .valueOverlap(_, let field) = detection.logic { fields.append(field) }
    joinFields = fields
    joinsByPath = fields.contains { !$0.steps.isEmpty }
    var isLinked = false
    var hops = Limits.correlationGraphMatches
    if case .chainDepth(let depth, _) = detection.window { (isLinked, hops) = (true, depth) }
    switch detection.logic {
    case .temporalSequence(let aliases), .temporalUnordered(let aliases), .valueOverlap(let aliases, _):
      places = aliases
      count = aliases.count
    case .countThreshold(let alias, let n):
      places = [alias]
      count = max(1, n)
    case .chainPropagation(let aliases, _, let n):
      isLinked = true
      places = aliases
      count = max(1, n)
    }
    self.isLinked = isLinked
    self.hops = hops
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

  /// The same for a rule that the correlation listens to; nil for others. Where references count, a source rule without a place of its own
  /// is listened to as well: a chain may lead over its matches.
  func subscription(forRule id: String) -> [Int]? {
    let places = places(forRule: id)
    if places.isEmpty, !isLinked || !detection.sourceRules.contains(where: { glob($0.ruleIDPattern, matches: id) }) { return nil }
    return places
  }

  /// Takes one match in. Returns the chain that it completed: of attested matches alone, else of all. `session`: of the event, where
  /// sessions count.
  func add(_ contribution: Contribution, places taken: [Int], key: GroupKey, session: Fingerprint? = nil) -> CompletedChain? {
    guard contribution.trust == .attested else {
      if !chains.contains(key.mixed), let attested = chains.updateExisting(key, { $0 }) {
        begin(key.mixed, as: attested, at: contribution.time)
      }
      return add(contribution, taken, key.mixed, session)
    }
    var all: CompletedChain?
    if let mixed = chains.peek(key.mixed) {
      let window = window(of: mixed, at: now(of: mixed, at: contribution.time))
      if mixed.toldAt > window.cutoff || mixed.all.contains(where: { $0.trust == .claimed && window.holds($0) }) {
        all = add(contribution, taken, key.mixed, session)
      } else {
        forget(key.mixed)  // it says what the attested one says
      }
    }
    guard let attested = add(contribution, taken, key, session) else { return all }
    forget(key.mixed)  // what is told serves no second chain
    return attested
  }

  private func begin(_ key: GroupKey, as chain: Chain, at time: Int64) {
    chains.update(key, make: { chain }, onEvict: { _, gone in noteEviction(of: gone, asOf: time, at: time) }) { held += $0.count }
  }
  private func forget(_ key: GroupKey) {
    if let gone = chains.removeValue(for: key) { held -= gone.count }
  }

  private func add(_ contribution: Contribution, _ taken: [Int], _ key: GroupKey, _ session: Fingerprint?) -> CompletedChain? {
    let arrival = contribution.time
    let now = now(of: chains.peek(key), at: contribution.time)
    var contribution = contribution
    contribution.time = now
    let width = places.count
    let (complete, isEmpty) = chains.update(
      key,
      make: { Chain(partial: Array(repeating: [], count: width)) },
      onEvict: { _, gone in noteEviction(of: gone, asOf: now, at: arrival) },
      { chain -> (CompletedChain?, Bool) in
        let before = chain.count
        if let session { contribution.session = chain.sessions.place(of: session, keeping: sessionLimit) }
        let complete = isLinked ? self.advanceGraph(&chain, contribution, taken) : self.advance(&chain, contribution, taken)
        self.held += chain.count - before
        return (complete, chain.count == 0)
      })
    if complete != nil, key.isMixed, chains.contains(key.attested) {
      // It stays, so that it does not begin again with the attested matches that it has told.
      _ = chains.modify(key) { chain in
        chain.toldAt = now
        guard !isLinked else { return }
        held -= chain.count
        for place in chain.partial.indices { chain.partial[place] = [] }
      }
    } else if (complete != nil && !isLinked) || isEmpty {
      forget(key)
    }
    while held > Limits.correlationEntries, let oldest = chains.oldestEntry, oldest.key != key {
      noteEviction(of: oldest.value, asOf: now, at: arrival)
      _ = chains.removeValue(for: oldest.key)
    }
    return complete
  }

  private func noteEviction(of chain: Chain, asOf now: Int64, at time: Int64) {
    held -= chain.count
    let window = window(of: chain, at: now)
    let lost = chain.all.count { window.holds($0) }
    guard lost > 0 else { return }
    evictions += 1
    log.note(EvictionRecord(rule: rule, time: EventTime(nanoseconds: time), matchCount: lost))
  }

  // MARK: What is current

  private struct Window {
    var cutoff: Int64
    var now: Int64
    /// The first session that still counts.
    var session: Int32
    func holds(_ c: Contribution) -> Bool { c.time > cutoff && c.time <= now && c.session >= session }
  }
  private var sessionLimit: Int { if case .sessionChain(let sessions, _) = detection.window { sessions } else { 0 } }
  private func window(of chain: Chain, at now: Int64) -> Window {
    Window(
      cutoff: time == .max ? .min : saturatingSubtract(now, time), now: now,
      session: followsSessions ? chain.sessions.newest - Int32(sessionLimit) + 1 : .min)
  }

  /// The newest match of the chain decides what is current, while this one lies behind by no more than windows allow; a chain of
  /// matches that are newer than that is forgotten.
  private func now(of chain: Chain?, at time: Int64) -> Int64 {
    guard let chain else { return time }
    let latest = saturatingAdd(time, max(self.time, Limits.lateness.count))
    var now = time
    for place in chain.partial { for c in place where c.time > now && c.time <= latest { now = c.time } }
    for node in chain.graph.nodes where node.contribution.time > now && node.contribution.time <= latest { now = node.contribution.time }
    return now
  }

  // MARK: Joined by keys and time

  private func advance(_ chain: inout Chain, _ contribution: Contribution, _ taken: [Int]) -> CompletedChain? {
    let window = window(of: chain, at: contribution.time)
    guard window.holds(contribution) else { return nil }  // of a session that is over
    switch detection.logic {
    case .temporalSequence:
      for place in taken.reversed() {  // from the end, so that no match stands in a chain twice
        guard place > 0 else {
          chain.partial[0] = [contribution]
          continue
        }
        let before = chain.partial[place - 1]
        if before.count == place, before.allSatisfy(window.holds) { chain.partial[place] = before + [contribution] }
      }
      guard let last = chain.partial.last, last.count == places.count else { return nil }
      return CompletedChain(parts: Array(zip(places, last)), needed: Int64(needed))
    case .temporalUnordered, .valueOverlap, .chainPropagation:
      var filled = 0
      for place in places.indices {
        guard let held = chain.partial[place].first else { continue }  // one at most
        if window.holds(held) { filled += 1 } else { chain.partial[place] = [] }
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
      guard filled >= needed else { return nil }
      return CompletedChain(parts: places.indices.flatMap { i in chain.partial[i].map { (places[i], $0) } }, needed: Int64(needed))
    case .countThreshold:
      chain.partial[0].removeAll { !window.holds($0) }
      chain.partial[0].append(contribution)
      guard chain.partial[0].count >= count else { return nil }
      return CompletedChain(parts: chain.partial[0].map { (places[0], $0) }, needed: Int64(needed))
    }
  }

  private var needed: Int { if case .valueOverlap = detection.logic { 2 } else { count } }

  // MARK: Linked by references

  private func advanceGraph(_ chain: inout Chain, _ contribution: Contribution, _ taken: [Int]) -> CompletedChain? {
    let window = window(of: chain, at: contribution.time)
    guard window.holds(contribution) else { return nil }
    chain.graph.nodes.removeAll { !window.holds($0.contribution) }
    if chain.graph.nodes.count >= Limits.correlationGraphMatches {
      chain.graph.nodes.removeFirst()
      evictions += 1
      log.note(EvictionRecord(rule: rule, time: EventTime(nanoseconds: contribution.time), matchCount: 1))
    }
    chain.graph.nodes.append(MatchGraph.Node(contribution: contribution, places: taken))
    guard !taken.isEmpty, !contribution.upstream.isEmpty || needed == 1, let found = linked(chain.graph) else { return nil }
    let parts = found.map { (places[$0.place], chain.graph.nodes[$0.node].contribution) }
    let used = Set(found.map(\.node))  // only asked for members
    chain.graph.nodes = chain.graph.nodes.indices.filter { !used.contains($0) }.map { chain.graph.nodes[$0] }
    return CompletedChain(parts: parts, needed: Int64(needed))
  }

  /// What the newest match completes, by place.
  private func linked(_ graph: MatchGraph) -> [(place: Int, node: Int)]? {
    switch detection.logic {
    case .temporalSequence, .chainPropagation(_, isOrdered: true, _):
      return graph.sequence(places.count, hops: hops)?.enumerated().map { (place: $0, node: $1) }
    case .temporalUnordered, .valueOverlap: return graph.places(places.count, needed: needed, hops: hops)
    case .countThreshold: return graph.first(count, hops: hops)?.map { (place: 0, node: $0) }
    case .chainPropagation(let aliases, _, _):
      if aliases.count > 1 { return graph.places(places.count, needed: needed, hops: hops) }
      return graph.path(count, hops: hops)?.map { (place: 0, node: $0) }
    }
  }

  /// The memory of one contribution: few lines of a long list.
  static func contribution(of match: RuleMatch, ruleID: String, evidence: [EvidenceReference]) -> Contribution {
    var evidence = evidence
    if evidence.count > evidencePerContribution {
      evidence.removeSubrange(evidencePerContribution / 2..<evidence.count - evidencePerContribution / 2)
    }
    return Contribution(
      time: match.lastTime.nanoseconds, firstTime: match.firstTime.nanoseconds, evidence: evidence, evidenceTotal: match.evidenceTotal,
      trust: match.trust, ruleID: ruleID)
  }
}

/// Numbers the sessions of one chain in the order in which they first showed. A session that was forgotten and shows again is a new one.
struct SessionOrder {
  private var known: [Fingerprint] = []
  private var first: Int32 = 0
  var newest: Int32 { first + Int32(known.count) - 1 }

  mutating func place(of session: Fingerprint, keeping limit: Int) -> Int32 {
    if let index = known.lastIndex(of: session) { return first + Int32(index) }
    if known.count >= max(1, limit) {
      known.removeFirst()
      first &+= 1
    }
    known.append(session)
    return newest
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
