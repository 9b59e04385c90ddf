// What has been seen before, for one class of pairs (a user and a network, a host and a domain): which pairs, and which first halves of one.
// Novelty is only told once the class is learned: after days AND active hours AND observations AND coverage. Coverage is the Good-Turing
// estimate of how much of what will come has been seen: 1 - n1/N, n1 the pairs seen exactly once among N observations (Good 1953, "The
// population frequencies of species and the estimation of population parameters", Biometrika 40). What was learned stays learned: else
// whoever makes many new things could switch the class off.
// Learning is capped: at most `newPerDay` pairs each day enter the set once it is learned. The rest, and what was not clean, waits in the
// pending list, which people see; what waits for a cap enters when it comes again on another day that has room.
// What was not clean and came in within `baselineRecentDays` before is taken back.
// Parameters: `Limits.baseline...`. Memory: at most 80 bytes an entry, `capacity` entries; beyond it the entry that was silent longest is
// forgotten and counted, and would be new again. Error: two pairs are confused with probability 2^-128 (SipHash-2-4-128; the key is fixed,
// so that snapshots mean the same on every machine). Exact otherwise.
import Primitives

/// What a first-seen set says of a pair.
public enum Novelty: UInt8, Sendable, CaseIterable {
  /// The class is not learned yet: nothing is unusual.
  case learning
  case known
  /// Known since today or yesterday: what is new and often is told apart from what was always there.
  case recent
  /// The first half of the pair is known, the pair is not.
  case new
  /// Not even the first half is known.
  case newSubject
  public var name: StaticString {
    switch self {
    case .learning: "learning"
    case .known: "known"
    case .recent: "recent"
    case .new: "new"
    case .newSubject: "new-subject"
    }
  }
}

/// A pair that was seen and not learned.
public struct PendingPair: Hashable, Sendable {
  public enum Cause: UInt8, Sendable, CaseIterable {
    /// The day's room for new pairs was used up.
    case cap
    /// A rule spoke of its event, or its subject had an open incident.
    case flagged
    public var name: StaticString { self == .cap ? "cap" : "flagged" }
  }
  public var cause: Cause
  /// "alice 192.0.2.0/24", cut at `Limits.baselineLabelBytes`.
  public var label: [UInt8]
  public var firstDay: Int64
  public var lastDay: Int64
  public var count: Int64
  var subject: Fingerprint
  var pair: Fingerprint
}

/// How far a class has come.
public struct LearningState: Hashable, Sendable {
  public var isLearned = false
  /// Days and hours in which something was observed.
  public var days: Int64 = 0
  public var hours: Int64 = 0
  public var observations: Int64 = 0
  /// Pairs seen exactly once.
  public var singletons: Int64 = 0
  var lastDay = Int64.min
  var lastHour = Int64.min
  /// In thousandths; 0 while nothing was observed.
  public var coverageThousandths: Int64 { observations > 0 ? max(0, observations - singletons) * 1000 / observations : 0 }

  mutating func observe(hour: Int64) {
    let day = floorDivide(hour, 24)
    if hour > lastHour {
      hours += 1
      lastHour = hour
    }
    if day > lastDay {
      days += 1
      lastDay = day
    }
    observations = min(observations + 1, 1 << 40)
  }
  mutating func conclude() {
    guard !isLearned else { return }
    isLearned =
      days >= Limits.baselineDays && hours >= Limits.baselineHours && observations >= Limits.baselineObservations
      && coverageThousandths >= Limits.baselineCoverageThousandths
  }
}

struct FirstSeenSet: ~Copyable {
  private struct Entry {
    var firstDay: Int32
    var lastDay: Int32
    /// Saturates at 2: seen once, or more often.
    var count: UInt8
    /// A pair, not the first half of one.
    var isPair: Bool
  }
  private var entries: BoundedTable<Fingerprint, Entry>
  private let capacity: Int
  private(set) var pending: [PendingPair] = []
  private(set) var droppedPending: UInt64 = 0
  private(set) var state = LearningState()
  private var newDay = Int64.min
  private var newToday: Int64 = 0
  var count: Int { entries.count }
  var evictions: UInt64 { entries.evictions }

  init(capacity: Int) {
    self.capacity = capacity
    entries = BoundedTable(capacity: capacity)
  }

  func judge(subject: Fingerprint, pair: Fingerprint, day: Int64) -> Novelty {
    guard state.isLearned else { return .learning }
    guard isKnown(subject, day) else { return .newSubject }
    guard isKnown(pair, day), let first = days(of: pair)?.first else { return .new }
    return day - first < Limits.baselineRecentDays ? .recent : .known
  }
  private func isKnown(_ key: Fingerprint, _ day: Int64) -> Bool {
    guard let entry = entries.peek(key) else { return false }
    return day - Int64(entry.lastDay) <= Limits.baselineMemoryDays
  }

  /// Takes up one observation. `label` is asked for only where the pair has to wait. Returns whether a pair entered the set.
  mutating func learn(subject: Fingerprint, pair: Fingerprint, hour: Int64, isClean: Bool, label: () -> [UInt8]) -> Bool {
    let day = floorDivide(hour, 24)
    let known = isKnown(subject, day) && isKnown(pair, day)
    guard isClean else {
      // What is known already is neither confirmed nor kept alive by it; what came in only lately, before any rule spoke of it, is taken back:
      // a contact that is flagged at its twelfth time was clean at its first.
      if known, let entry = entries.peek(pair), day - Int64(entry.firstDay) < Limits.baselineRecentDays {
        _ = forget(pair)
        wait(subject, pair, day, .flagged, label)
      } else if !known {
        wait(subject, pair, day, .flagged, label)
      }
      return false
    }
    if known {
      state.observe(hour: hour)
      refresh(subject, pair, day)
      state.conclude()
      return false
    }
    if let at = pending.firstIndex(where: { $0.pair == pair }) {
      // Who was flagged once does not become normal by coming back; that takes an operator.
      guard pending[at].cause == .cap, pending[at].lastDay < day, hasRoom(day) else {
        note(at, day)
        return false
      }
      pending.remove(at: at)
    } else if !hasRoom(day) {
      wait(subject, pair, day, .cap, label)
      return false
    }
    state.observe(hour: hour)
    admit(subject, pair, day)
    newToday += 1
    state.conclude()
    return true
  }

  /// While it is learning, most of a class is new: the cap is what fits in an eighth of the set.
  private mutating func hasRoom(_ day: Int64) -> Bool {
    if day > newDay {
      newDay = day
      newToday = 0
    }
    return newToday < (state.isLearned ? Limits.baselineNewPerDay : Int64(capacity / 8))
  }
  private mutating func admit(_ subject: Fingerprint, _ pair: Fingerprint, _ day: Int64) {
    insert(subject, day, isPair: false)
    insert(pair, day, isPair: true)
  }
  private mutating func insert(_ key: Fingerprint, _ day: Int64, isPair: Bool) {
    let day = Int32(clamping: day)
    var lost: Int64 = 0
    var gained: Int64 = 0
    entries.update(
      key,
      make: {
        gained = isPair ? 1 : 0
        return Entry(firstDay: day, lastDay: day, count: 0, isPair: isPair)
      },
      onEvict: { _, old in lost = old.isPair && old.count == 1 ? 1 : 0 },
      {
        // Known long ago, and forgotten since: it begins anew.
        if isPair, $0.count == 1, gained == 0 { lost += 1 }
        if isPair { (gained, $0.firstDay) = (1, day) }
        $0.count = 1
        $0.lastDay = max($0.lastDay, day)
      })
    state.singletons = max(0, state.singletons + gained - lost)
  }
  private mutating func refresh(_ subject: Fingerprint, _ pair: Fingerprint, _ day: Int64) {
    let day = Int32(clamping: day)
    _ = entries.updateExisting(subject) { $0.lastDay = max($0.lastDay, day) }
    let wasSingle = entries.updateExisting(pair) { entry in
      entry.lastDay = max(entry.lastDay, day)
      defer { entry.count = 2 }
      return entry.count == 1
    }
    if wasSingle == true { state.singletons = max(0, state.singletons - 1) }
  }

  private mutating func wait(_ subject: Fingerprint, _ pair: Fingerprint, _ day: Int64, _ cause: PendingPair.Cause, _ label: () -> [UInt8]) {
    if let at = pending.firstIndex(where: { $0.pair == pair }) {
      if cause == .flagged { pending[at].cause = .flagged }
      return note(at, day)
    }
    guard pending.count < Limits.baselinePending else {
      droppedPending &+= 1
      return
    }
    pending.append(
      PendingPair(
        cause: cause, label: Array(label().prefix(Limits.baselineLabelBytes)), firstDay: day, lastDay: day, count: 1, subject: subject, pair: pair))
  }
  private mutating func note(_ at: Int, _ day: Int64) {
    pending[at].lastDay = max(pending[at].lastDay, day)
    pending[at].count = min(pending[at].count + 1, 1 << 40)
  }

  // MARK: Operators

  /// Makes a pair normal, whatever waits or was flagged.
  mutating func promote(subject: Fingerprint, pair: Fingerprint, day: Int64) {
    pending.removeAll { $0.pair == pair }
    admit(subject, pair, day)
  }
  /// False where it was not known.
  mutating func forget(_ key: Fingerprint) -> Bool {
    pending.removeAll { $0.pair == key || $0.subject == key }
    guard let entry = entries.removeValue(for: key) else { return false }
    if entry.isPair, entry.count == 1 { state.singletons = max(0, state.singletons - 1) }
    return true
  }
  /// The days when it was first and last seen, since 1970; nil where it is not known.
  func days(of key: Fingerprint) -> (first: Int64, last: Int64)? {
    entries.peek(key).map { (Int64($0.firstDay), Int64($0.lastDay)) }
  }

  func forEachPair(_ body: (Fingerprint) -> Void) { entries.forEachOldestFirst { key, entry in if entry.isPair { body(key) } } }

  // MARK: Snapshot

  func write(to out: inout SnapshotWriter) {
    out.put(state.isLearned)
    for value in [state.days, state.hours, state.observations, state.singletons, state.lastDay, state.lastHour, newDay, newToday] { out.put(value) }
    out.put(droppedPending)
    out.put(UInt64(entries.count))
    var table = SnapshotWriter()
    entries.forEachOldestFirst { key, entry in
      table.put(key)
      table.put(Int64(entry.firstDay))
      table.put(Int64(entry.lastDay))
      table.put(UInt64(entry.count) << 1 | (entry.isPair ? 1 : 0))
    }
    out.put(table.bytes)
    out.put(UInt64(pending.count))
    for pair in pending {
      out.put(UInt64(pair.cause.rawValue))
      out.put(pair.label)
      for value in [pair.firstDay, pair.lastDay, pair.count] { out.put(value) }
      out.put(pair.subject)
      out.put(pair.pair)
    }
  }

  init(capacity: Int, from reader: inout SnapshotReader) throws(BaselineSnapshotError) {
    self.init(capacity: capacity)
    let amount: ClosedRange<Int64> = 0...(1 << 40)
    state.isLearned = try reader.flag()
    state.days = try reader.signed(in: amount)
    state.hours = try reader.signed(in: amount)
    state.observations = try reader.signed(in: amount)
    state.singletons = try reader.signed(in: amount)
    state.lastDay = try reader.signed()
    state.lastHour = try reader.signed()
    newDay = try reader.signed()
    newToday = try reader.signed(in: amount)
    droppedPending = try reader.tally()
    let count = try reader.count(atMost: capacity)
    var table = SnapshotReader(try reader.text(atMost: capacity * 32), from: 0)
    let days = Int64(Int32.min)...Int64(Int32.max)
    entries.reserve(count)
    for number in 0..<count {
      let key = try table.fingerprint()
      let (first, last, rest) = (try table.signed(in: days), try table.signed(in: days), try table.unsigned())
      guard rest <= 5 else { throw table.fail("an entry is no entry") }
      let entry = Entry(firstDay: Int32(first), lastDay: Int32(last), count: UInt8(rest >> 1), isPair: rest & 1 == 1)
      entries.update(key, make: { entry }) { _ in }
      guard entries.count == number + 1 else { throw table.fail("an entry comes twice") }
    }
    guard table.isAtEnd else { throw table.fail("a table goes on behind its end") }
    for _ in 0..<(try reader.count(atMost: Limits.baselinePending)) {
      guard let cause = PendingPair.Cause(rawValue: UInt8(clamping: try reader.unsigned())) else { throw reader.fail("a cause is not known") }
      let label = try reader.text(atMost: Limits.baselineLabelBytes)
      pending.append(
        PendingPair(
          cause: cause, label: label, firstDay: try reader.signed(in: days), lastDay: try reader.signed(in: days),
          count: try reader.signed(in: amount),
          subject: try reader.fingerprint(), pair: try reader.fingerprint()))
    }
  }
}

/// Towards minus infinity. `divisor` is positive.
@inline(__always)
func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
  let quotient = value / divisor
  return value % divisor < 0 ? quotient - 1 : quotient
}
