// The windows of all behavioural rules: one hash table over (rule, group), one list per rule in order of last use, one byte budget.
// What must stay true: memory never exceeds the budget whatever arrives; which group goes depends on the order of events only
// (the hash seed is random, so that nobody can aim at one chain, and can reach no result); and claimed events change nothing about
// what attested events reach alone. For that a key has up to two groups: one of its attested events, and, once a claimed one came, a
// mixed one of all events, which begins as a copy of the first. Attested events feed both, claimed ones the mixed group only.
import Events
import Primitives
import RuleLanguage

/// A group's identity: an address as it is, anything else as a fingerprint.
struct GroupKey: TableKey {
  var high: UInt64
  var low: UInt64
  /// The /64 of an IPv6 address, not the address that ends in zeros.
  var isNetwork = false
  /// The group of all events, claimed ones among them, not that of the attested ones.
  var isMixed = false

  var mixed: GroupKey {
    var key = self
    key.isMixed = true
    return key
  }
  /// Also that of what is usual: one history serves both groups.
  var attested: GroupKey {
    var key = self
    key.isMixed = false
    return key
  }
}

/// A behavioural rule, reduced to numbers.
struct WindowRule {
  var rule: Int32
  var aggregation: BehavioralDetection.Aggregation
  var comparison: Comparison
  var threshold: Int64
  var minEvents: Int64
  /// Nanoseconds; negative: none.
  var cooldown: Int64
  var shape: WindowShape
  /// A second window that only counts events, for `min_events` where the first one cannot tell.
  var countsEventsApart: Bool
  /// Field slots of the group, and of the metric (negative: none).
  var firstGroupSlot: Int32
  var groupSlotCount: Int32
  var metricSlot: Int32
  /// `source.ip` is grouped by /64 as well.
  var groupsByNetwork: Bool
  /// Decimals of the metric.
  var digits: Int32 = 0
  /// Number of the baseline that decides instead of `comparison` and `threshold`; negative: none.
  var baseline: Int32 = -1
  /// Attested events have a group of their own. Not where a history of all events would be no measure for some of them (`isApart`).
  var isApart = true

  /// A history is of all events. Attested ones alone are judged by it where further events can only add to what is observed, and more is
  /// what deviates: there it is the stricter measure. In a mean, or where less deviates, they would seem to deviate because others lack.
  static func isApart(_ detection: BehavioralDetection) -> Bool {
    guard let baseline = detection.baseline, baseline.source != .fixed else { return true }
    switch detection.aggregation {
    case .avg: return false
    case .sum: return detection.threshold >= 0 && detection.digits == 0  // without decimals nothing negative is added
    case .count, .max, .distinct_count, .rate: return detection.threshold >= 0
    }
  }

  func holds(_ value: Int64, events: Int64) -> Bool { events >= minEvents && comparison.holds(value, threshold) }
}

struct WindowOutcome {
  var group: Int32
  var isMatch: Bool
  var observed: Int64
  /// The group's now: the event's time, or that of the newest entry where the event lies behind it.
  var now: Int64
  /// The lowest in the group's window, or claimed.
  var trust: Trust
  /// The other group that the event went into (negative: none), and its now.
  var other: Int32 = -1
  var otherNow: Int64 = 0
}

final class GroupTable {
  struct Group {
    var key = GroupKey(high: 0, low: 0)
    var isHolding = false
    var window: Int32 = -1  // index of the WindowRule
    var older: Int32 = -1
    var newer: Int32 = -1
    var chain: Int32 = -1
    /// The other group of its key: of a mixed one the attested one, and the other way round; negative: none.
    var other: Int32 = -1
    var touched: UInt64 = 0
    /// Time of the last match; .min: none.
    var matchedAt: Int64 = .min
    /// What was observed at the last match.
    var matchedValue: Int64 = 0
    /// Time of the newest entry that is only claimed (mixed groups, and where there is only one); .min: none. A window that holds it is claimed as a whole.
    var claimedAt: Int64 = .min
    var cells = WindowCells()
    var evidence = EvidenceList()
    var events: UnsafeMutablePointer<WindowCells>?
  }
  private struct Line {
    var oldest: Int32 = -1
    var newest: Int32 = -1
    var count = 0
  }

  /// Bytes that groups, entries and evidence may take together.
  static let byteBudget = Limits.windowEntries * 24
  private static let groupBytes = MemoryLayout<Group>.stride + 8
  private static let maximumGroups = byteBudget / 160

  private let rules: UnsafeMutablePointer<WindowRule>
  private let groups: UnsafeMutablePointer<Group>
  private let buckets: UnsafeMutablePointer<Int32>
  private let bucketMask: Int
  private let lines: UnsafeMutablePointer<Line>
  private let ruleCount: Int
  /// The time of the event that is being fed may be wrong: nothing is forgotten because of it.
  var isUnconfirmed = false
  private var freeList: Int32 = -1
  private var fresh: Int32 = 0
  private var sequence: UInt64 = 0
  private let seed: (UInt64, UInt64)

  private var groupAndEntryBytes = 0
  private let pool: EvidencePool
  /// Lines of the event that is being fed, while it is.
  private let held: UnsafeMutablePointer<UInt32>
  private var heldCount = 0
  private var heldTime: Int64 = 0
  private static let maximumHeld = Limits.evidencePerDecision + 1
  /// Of everything that counts against the budget.
  var usedBytes: Int { groupAndEntryBytes + pool.usedBytes }
  private(set) var groupCount = 0
  private var windowEvictions: [UInt64]
  private let baselines: BaselineTable
  /// By window, with those of its baseline.
  var evictions: [UInt64] {
    var result = windowEvictions
    for i in 0..<ruleCount where rules[i].baseline >= 0 { result[i] += baselines.evictions[Int(rules[i].baseline)] }
    return result
  }

  init(_ rules: [WindowRule], baselines: [BaselineRule] = []) {
    self.baselines = BaselineTable(baselines)
    ruleCount = rules.count
    self.rules = .allocate(capacity: max(1, rules.count))
    self.rules.initialize(from: rules, count: rules.count)
    lines = .allocate(capacity: max(1, rules.count))
    lines.initialize(repeating: Line(), count: rules.count)
    held = .allocate(capacity: GroupTable.maximumHeld)
    windowEvictions = Array(repeating: 0, count: rules.count)
    // Without behavioural rules there is nothing to hold. The memory is touched only as groups arrive.
    let capacity = rules.isEmpty ? 1 : GroupTable.maximumGroups
    groups = .allocate(capacity: capacity)
    var bucketCount = 1
    while bucketCount < capacity * 2 { bucketCount *= 2 }
    bucketMask = bucketCount - 1
    buckets = .allocate(capacity: bucketMask + 1)
    buckets.initialize(repeating: -1, count: bucketMask + 1)
    pool = EvidencePool(capacity: rules.isEmpty ? 0 : GroupTable.byteBudget / EvidencePool.entryBytes)
    seed = (.random(in: .min ... .max), .random(in: .min ... .max))
  }
  deinit {
    for i in 0..<Int(fresh) where groups[i].window >= 0 { release(i) }
    groups.deallocate()
    buckets.deallocate()
    rules.deallocate()
    lines.deallocate()
    held.deallocate()
  }

  // MARK: One event

  /// Adds one event to the windows of its key and says whether the rule matches now: by its attested events alone, else by all of them.
  func feed(_ windowIndex: Int, _ key: GroupKey, at time: Int64, value: Int64, events: UInt32, lines lineCount: UInt32, trust: Trust) -> WindowOutcome
  {
    let rule = rules[windowIndex]
    let cell = WindowCell(time: time, value: value, events: events, lines: lineCount)
    guard rule.isApart else {
      let index = find(windowIndex, key) ?? insert(windowIndex, key, now: time)
      touch(index)
      return advance(index, rule, cell, trust, feedsBaseline: true).outcome
    }
    if trust == .claimed {
      let index = find(windowIndex, key.mixed) ?? insertMixed(windowIndex, key, now: time)
      touch(index)
      return advance(index, rule, cell, trust, feedsBaseline: true).outcome
    }
    var attested = find(windowIndex, key)
    var mixed = attested.map { groups[Int($0)].other } ?? find(windowIndex, key.mixed) ?? -1
    if mixed >= 0, isSettled(mixed, rule, at: time) {
      if attested == nil { attested = makeAttested(mixed) } else { remove(mixed) }
      mixed = -1
    }
    guard mixed >= 0 else {
      let index = attested ?? insert(windowIndex, key, now: time)
      touch(index)
      return advance(index, rule, cell, trust, feedsBaseline: true).outcome
    }
    touch(mixed)
    let all = advance(mixed, rule, cell, trust, feedsBaseline: true)
    let index = attested ?? insert(windowIndex, key, now: time)  // the mixed group is the newest of all: it stays
    touch(index)
    link(index, mixed)
    return tell(advance(index, rule, cell, trust, feedsBaseline: false), else: all)
  }

  /// One event is one match at most. What the attested events say alone need not be said of all of them again, nor what all of them say
  /// while no claimed one is left in the window.
  private func tell(_ attested: Step, else all: Step) -> WindowOutcome {
    if attested.outcome.isMatch, all.isHolding {
      let mixed = groups + Int(all.outcome.group)
      mixed.pointee.matchedAt = all.outcome.now
      mixed.pointee.matchedValue = all.outcome.observed
    }
    let isAttested = attested.outcome.isMatch || !all.outcome.isMatch || all.outcome.trust == .attested
    let (told, other) = isAttested ? (attested.outcome, all.outcome) : (all.outcome, attested.outcome)
    var outcome = told
    outcome.other = other.group
    outcome.otherNow = other.now
    return outcome
  }

  /// The claimed events have left the mixed group's window, and no match keeps it quiet but one that both groups know: it says what
  /// the attested group says.
  private func isSettled(_ index: Int32, _ rule: WindowRule, at time: Int64) -> Bool {
    let group = groups + Int(index)
    if isUnconfirmed || group.pointee.claimedAt > saturatingSubtract(time, rule.shape.window) { return false }
    let matchedAt = group.pointee.matchedAt
    guard rule.cooldown > 0, matchedAt != .min, saturatingSubtract(time, matchedAt) < rule.cooldown else { return true }
    return group.pointee.other >= 0 && groups[Int(group.pointee.other)].matchedAt == matchedAt
  }
  /// Of a settled group: what is left in its window is attested. What it said was said of claimed events.
  private func makeAttested(_ index: Int32) -> Int32 {
    let group = groups + Int(index)
    group.pointee.key = group.pointee.key.attested  // in the same chain
    group.pointee.claimedAt = .min
    group.pointee.matchedAt = .min
    group.pointee.matchedValue = 0
    group.pointee.isHolding = false
    return index
  }
  /// The group of all events, at the first claimed one: so far they are the attested ones.
  private func insertMixed(_ window: Int, _ key: GroupKey, now: Int64) -> Int32 {
    if let attested = find(window, key) { touch(attested) }  // it must not make room for its own copy
    let index = insert(window, key.mixed, now: now)
    guard let attested = find(window, key) else { return index }  // if its window was empty, it may have
    let (from, to) = (groups + Int(attested), groups + Int(index))
    to.pointee.isHolding = from.pointee.isHolding
    to.pointee.matchedAt = from.pointee.matchedAt
    to.pointee.matchedValue = from.pointee.matchedValue
    to.pointee.cells = from.pointee.cells.copy()
    to.pointee.evidence = from.pointee.evidence.copy(pool)
    if let events = from.pointee.events {
      to.pointee.events = .allocate(capacity: 1)
      to.pointee.events?.initialize(to: events.pointee.copy())
    }
    groupAndEntryBytes += bytes(of: to)
    link(attested, index)
    return index
  }
  private func link(_ attested: Int32, _ mixed: Int32) {
    groups[Int(attested)].other = mixed
    groups[Int(mixed)].other = attested
  }

  private struct Step {
    var outcome: WindowOutcome
    var isHolding: Bool
  }
  /// Adds one entry to one group. `entry.time`: the event's.
  private func advance(_ index: Int32, _ rule: WindowRule, _ entry: WindowCell, _ trust: Trust, feedsBaseline: Bool) -> Step {
    let group = groups + Int(index)
    let before = bytes(of: group)
    let now = self.now(of: group, rule, at: entry.time)
    let cutoff = saturatingSubtract(now, rule.shape.window)
    var entry = entry
    entry.time = now
    if trust == .claimed || group.pointee.claimedAt > now { group.pointee.claimedAt = now }
    if isUnconfirmed, let oldest = group.pointee.cells.oldestTime, oldest <= cutoff { return advanceUnconfirmed(index, rule, now: now, entry) }
    if rule.baseline >= 0, feedsBaseline { baselines.advance(Int(rule.baseline), group.pointee.key.attested, now: now) }
    group.pointee.cells.expire(cutoff: cutoff)
    if group.pointee.cells.count == 0 { group.pointee.evidence.free(pool) }
    group.pointee.events?.pointee.expire(cutoff: cutoff)
    if group.pointee.isHolding, !holds(rule, group) { group.pointee.isHolding = false }

    add(entry, to: group, rule)
    groupAndEntryBytes += bytes(of: group) - before
    let observed = aggregate(rule, group)
    let isHolding = holds(rule, group)
    var isMatch = false
    if isHolding {
      if rule.cooldown >= 0 {
        isMatch =
          group.pointee.matchedAt == .min || group.pointee.matchedAt > now
          || saturatingSubtract(now, group.pointee.matchedAt) >= rule.cooldown
      } else if !group.pointee.isHolding {
        isMatch = true
      } else if rule.baseline < 0, rule.comparison == .gte || rule.comparison == .gt, group.pointee.matchedValue > 0 {
        isMatch = observed / 2 >= group.pointee.matchedValue
      }
    }
    if isMatch {
      group.pointee.matchedAt = now
      group.pointee.matchedValue = observed
    }
    group.pointee.isHolding = isHolding
    if rule.baseline >= 0, feedsBaseline { baselines.note(Int(rule.baseline), group.pointee.key.attested, now: now, value: observed) }
    return step(index, isMatch, isHolding, observed, now, cutoff)
  }
  @inline(__always)
  private func step(_ index: Int32, _ isMatch: Bool, _ isHolding: Bool, _ observed: Int64, _ now: Int64, _ cutoff: Int64) -> Step {
    let trust: Trust = groups[Int(index)].claimedAt > cutoff ? .claimed : .attested
    return Step(outcome: WindowOutcome(group: index, isMatch: isMatch, observed: observed, now: now, trust: trust), isHolding: isHolding)
  }

  @inline(__always)
  private func add(_ cell: WindowCell, to group: UnsafeMutablePointer<Group>, _ rule: WindowRule) {
    group.pointee.cells.add(cell, rule.shape)
    guard rule.countsEventsApart else { return }
    if group.pointee.events == nil {
      group.pointee.events = .allocate(capacity: 1)
      group.pointee.events?.initialize(to: WindowCells())
    }
    let exact = Int(max(1, min(rule.minEvents, Int64(Limits.entriesPerGroup))))
    group.pointee.events?.pointee.add(
      WindowCell(time: cell.time, value: Int64(cell.events), events: 0, lines: 0),
      WindowShape(merge: .sum, window: rule.shape.window, exact: exact, parts: 16))
  }

  /// The time of this entry may be wrong, so what it would push out of the window stays until the clock has moved: the entry is judged
  /// with what shares a window with it, and kept beside the rest. If the clock stays where it was, the next event drops it. Only the
  /// `max` of entries that are smaller is lost, and a full set of distinct values loses its oldest one.
  private func advanceUnconfirmed(_ index: Int32, _ rule: WindowRule, now: Int64, _ cell: WindowCell) -> Step {
    let group = groups + Int(index)
    let before = bytes(of: group)
    add(cell, to: group, rule)
    groupAndEntryBytes += bytes(of: group) - before
    let cutoff = saturatingSubtract(now, rule.shape.window)
    var (total, maximum, values, events): (Int64, Int64, Int64, Int64) = (0, .min, 0, 0)
    for i in 0..<group.pointee.cells.count where group.pointee.cells[i].time > cutoff {
      let cell = group.pointee.cells[i]
      total = saturatingAdd(total, cell.value)
      maximum = max(maximum, cell.value)
      values += 1
      events = saturatingAdd(events, Int64(cell.events))
    }
    let observed = aggregate(rule, total: total, maximum: maximum, values: values, events: events)
    let isMatch = holds(rule, group, observed: observed, total: total, events: events)
    if isMatch {
      group.pointee.matchedAt = now
      group.pointee.matchedValue = observed
    }
    return step(index, isMatch, isMatch, observed, now, cutoff)
  }

  /// Nearly always the event's own time. Entries that are too new for it to be merely behind are dropped.
  @inline(__always)
  private func now(of group: UnsafeMutablePointer<Group>, _ rule: WindowRule, at time: Int64) -> Int64 {
    guard let newest = group.pointee.cells.newestTime, newest > time else { return time }
    let latest = saturatingAdd(time, rule.shape.tolerance)
    if newest > latest {
      group.pointee.cells.dropNewer(than: latest)
      group.pointee.events?.pointee.dropNewer(than: latest)
    }
    return max(time, group.pointee.cells.newestTime ?? time)
  }

  /// Begins the evidence of one event: its own line last. `endEvidence` must follow.
  func beginEvidence(_ lines: [EvidenceReference], at time: Int64) {
    heldTime = time
    for line in lines.suffix(GroupTable.maximumHeld - heldCount) {
      guard let index = pool.hold(StoredReference(line, windowTime: time)) else { continue }
      held[heldCount] = index
      heldCount += 1
    }
  }
  func endEvidence() {
    for i in 0..<heldCount { pool.release(held[i]) }
    heldCount = 0
  }
  /// To each group that the event went into.
  func addEvidence(_ outcome: WindowOutcome) {
    addEvidence(outcome.group, now: outcome.now)
    if outcome.other >= 0 { addEvidence(outcome.other, now: outcome.otherNow) }
  }
  /// `now`: the group's.
  private func addEvidence(_ index: Int32, now: Int64) {
    let group = groups + Int(index)
    let cutoff = saturatingSubtract(now, rules[Int(group.pointee.window)].shape.window)
    let before = group.pointee.evidence.bytes
    for i in 0..<heldCount {
      if now == heldTime {
        group.pointee.evidence.add(held[i], cutoff: cutoff, now: now, pool)
      } else {  // the lines leave this window with an entry that is newer than they are
        var line = pool[held[i]]
        line.windowTime = now
        guard let index = pool.hold(line) else { continue }
        group.pointee.evidence.add(index, cutoff: cutoff, now: now, pool)
        pool.release(index)
      }
    }
    groupAndEntryBytes += group.pointee.evidence.bytes - before
  }

  /// Makes room, if the budget is spent, at the cost of the groups that were silent longest; never `keeping`.
  func enforceBudget(keeping index: Int32, now: Int64) {
    while usedBytes > GroupTable.byteBudget, let victim = oldestOfAll, victim != index { evict(victim, now: now) }
  }

  /// The window behind a match: evidence, number of lines, time of the oldest entry.
  func summary(_ index: Int32, now: Int64) -> (evidence: [EvidenceReference], lines: UInt64, first: Int64) {
    let group = groups + Int(index)
    let cutoff = saturatingSubtract(now, rules[Int(group.pointee.window)].shape.window)
    group.pointee.evidence.expire(cutoff: cutoff, now: now, pool)
    let evidence = group.pointee.evidence.references(pool)
    return (evidence, max(UInt64(evidence.count), group.pointee.cells.totals.lines), group.pointee.cells.oldestTime ?? now)
  }

  // MARK: Aggregates

  private func aggregate(_ rule: WindowRule, _ group: UnsafeMutablePointer<Group>) -> Int64 {
    let cells = group.pointee.cells
    return aggregate(
      rule, total: cells.total, maximum: cells.maximum ?? 0, values: Int64(cells.count), events: Int64(clamping: cells.totals.events))
  }
  @inline(__always)
  private func aggregate(
    _ rule: WindowRule, total: Int64, maximum: @autoclosure () -> Int64, values: Int64, events: @autoclosure () -> Int64
  ) -> Int64 {
    switch rule.aggregation {
    case .count, .sum: return total
    case .max: return maximum()
    case .distinct_count: return values
    case .avg: return total / max(1, events())
    case .rate: return Int64(clamping: Int128(total) * 1_000_000_000_000 / Int128(rule.shape.window))
    }
  }
  private func holds(_ rule: WindowRule, _ group: UnsafeMutablePointer<Group>) -> Bool {
    guard group.pointee.cells.count > 0 else { return false }
    let events: Int64
    if rule.minEvents <= 1, rule.aggregation != .avg {
      events = 1
    } else if rule.countsEventsApart {
      events = group.pointee.events?.pointee.total ?? 0
    } else if rule.aggregation == .sum || rule.aggregation == .avg {
      events = Int64(clamping: group.pointee.cells.totals.events)
    } else {
      events = group.pointee.cells.total
    }
    return holds(rule, group, observed: aggregate(rule, group), total: group.pointee.cells.total, events: events)
  }
  @inline(__always)
  private func holds(_ rule: WindowRule, _ group: UnsafeMutablePointer<Group>, observed: Int64, total: Int64, events: Int64) -> Bool {
    if rule.baseline >= 0 { return events >= rule.minEvents && baselines.holds(Int(rule.baseline), group.pointee.key.attested, value: observed) }
    guard rule.aggregation == .avg else { return rule.holds(observed, events: events) }
    // The mean itself is a fraction: total against threshold times events.
    let difference = Int128(total) - Int128(rule.threshold) * Int128(events)
    return events >= rule.minEvents && rule.comparison.holds(Int64(difference.signum()), 0)
  }
  /// What a match of a rule with a baseline was measured by, before the next event of its group.
  func reading(_ index: Int32, observed: Int64) -> BaselineReading? {
    let group = groups[Int(index)]
    let rule = rules[Int(group.window)]
    return rule.baseline >= 0 ? baselines.reading(Int(rule.baseline), group.key.attested, value: observed) : nil
  }

  // MARK: Table

  /// Windows of one key lie side by side, in one line of the cache: an event usually feeds many of them. Both groups of a key are in
  /// one chain.
  private func hash(_ window: Int, _ key: GroupKey) -> Int {
    let tagged = key.low ^ (key.isNetwork ? 0x6a09_e667_f3bc_c909 : 0)
    let product = (key.high ^ seed.0).multipliedFullWidth(by: tagged ^ seed.1)
    let mixed = (product.high ^ product.low ^ tagged) &* 0xbf58_476d_1ce4_e5b9
    return (Int(truncatingIfNeeded: mixed >> 32) << 4 | window & 15) & bucketMask
  }

  private func find(_ window: Int, _ key: GroupKey) -> Int32? {
    var at = buckets[hash(window, key)]
    while at >= 0 {
      let group = groups + Int(at)
      if group.pointee.key == key, group.pointee.window == Int32(window) { return at }
      at = group.pointee.chain
    }
    return nil
  }

  private func insert(_ window: Int, _ key: GroupKey, now: Int64) -> Int32 {
    // Groups whose window has run empty are no loss: two go for each that comes.
    for _ in 0..<2 where !isUnconfirmed { if let oldest = oldest(of: window), !isAlive(oldest, now: now) { remove(oldest) } }
    if lines[window].count >= Limits.groupsPerRule, let oldest = oldest(of: window) { evict(oldest, now: now) }
    if freeList < 0, Int(fresh) >= GroupTable.maximumGroups, let oldest = oldestOfAll { evict(oldest, now: now) }
    let index: Int32
    if freeList >= 0 {
      index = freeList
      freeList = groups[Int(index)].chain
    } else {
      index = fresh
      fresh += 1
    }
    let group = groups + Int(index)
    let bucket = hash(window, key)
    group.initialize(to: Group(key: key, window: Int32(window), older: lines[window].newest, chain: buckets[bucket]))
    buckets[bucket] = index
    if lines[window].newest >= 0 { groups[Int(lines[window].newest)].newer = index } else { lines[window].oldest = index }
    lines[window].newest = index
    lines[window].count += 1
    groupCount += 1
    groupAndEntryBytes += GroupTable.groupBytes
    return index
  }

  private func touch(_ index: Int32) {
    let group = groups + Int(index)
    sequence += 1
    group.pointee.touched = sequence
    let window = Int(group.pointee.window)
    guard lines[window].newest != index else { return }
    unlink(index)
    group.pointee.older = lines[window].newest
    group.pointee.newer = -1
    if lines[window].newest >= 0 { groups[Int(lines[window].newest)].newer = index } else { lines[window].oldest = index }
    lines[window].newest = index
  }
  private func unlink(_ index: Int32) {
    let group = groups + Int(index)
    let (window, older, newer) = (Int(group.pointee.window), group.pointee.older, group.pointee.newer)
    if older >= 0 { groups[Int(older)].newer = newer } else { lines[window].oldest = newer }
    if newer >= 0 { groups[Int(newer)].older = older } else { lines[window].newest = older }
  }

  private func oldest(of window: Int) -> Int32? { lines[window].oldest >= 0 ? lines[window].oldest : nil }
  private var oldestOfAll: Int32? {
    var best: Int32 = -1
    for i in 0..<ruleCount where lines[i].oldest >= 0 {
      if best < 0 || groups[Int(lines[i].oldest)].touched < groups[Int(best)].touched { best = lines[i].oldest }
    }
    return best >= 0 ? best : nil
  }

  /// Something would be forgotten with it: entries in the window, or a match that still keeps it quiet.
  private func isAlive(_ index: Int32, now: Int64) -> Bool {
    let group = groups + Int(index)
    let rule = rules[Int(group.pointee.window)]
    if let newest = group.pointee.cells.newestTime, newest > saturatingSubtract(now, rule.shape.window) { return true }
    return rule.cooldown > 0 && group.pointee.matchedAt != .min && saturatingSubtract(now, group.pointee.matchedAt) < rule.cooldown
  }
  private func evict(_ index: Int32, now: Int64) {
    if isAlive(index, now: now) { windowEvictions[Int(groups[Int(index)].window)] += 1 }
    remove(index)
  }
  private func remove(_ index: Int32) {
    let group = groups + Int(index)
    let bucket = hash(Int(group.pointee.window), group.pointee.key)
    if buckets[bucket] == index {
      buckets[bucket] = group.pointee.chain
    } else {
      var at = buckets[bucket]
      while at >= 0, groups[Int(at)].chain != index { at = groups[Int(at)].chain }
      if at >= 0 { groups[Int(at)].chain = group.pointee.chain }
    }
    unlink(index)
    if group.pointee.other >= 0 { groups[Int(group.pointee.other)].other = -1 }
    lines[Int(group.pointee.window)].count -= 1
    groupAndEntryBytes -= bytes(of: group) + GroupTable.groupBytes
    release(Int(index))
    groupCount -= 1
    group.pointee.window = -1
    group.pointee.chain = freeList
    freeList = index
  }
  private func release(_ i: Int) {
    groups[i].cells.free()
    groups[i].evidence.free(pool)
    if let events = groups[i].events {
      events.pointee.free()
      events.deallocate()
      groups[i].events = nil
    }
  }
  private func bytes(of group: UnsafeMutablePointer<Group>) -> Int {
    var sum = group.pointee.cells.bytes + group.pointee.evidence.bytes
    if let events = group.pointee.events { sum += events.pointee.bytes + 48 }
    return sum
  }
}
