// The matcher: one event in, the rules that match out. Pattern rules, windows, correlations, in this order.
// How it is fast: (1) the kind of the event names the rules that can match at all; (2) each field those rules have patterns on is
// scanned once by the prefilter; (3) only rules that were hit, or that need no hit, are evaluated.
// What must stay true: none of this changes a result. The same events give the same matches in every process; nothing here reads a
// clock; memory is bounded; and a limit that keeps a rule from being decided is recorded, never passed over.
import Events
import Glibc
import Primitives
import RuleLanguage

public struct RuleEngine: ~Copyable {
  /// Rules that cannot run, each with a reason. They are disabled; the others run.
  public let diagnostics: [Diagnostic]

  let compiled: CompiledRules
  private var groups: GroupTable
  private let memory = RegexMemory()
  let rules: UnsafeMutablePointer<RuleCode>
  private let conditions: UnsafeMutablePointer<ConditionCode>
  private let tests: UnsafeMutablePointer<TestCode>
  private let nodes: UnsafeMutablePointer<ProgramNode>
  private let windows: UnsafeMutablePointer<WindowRule>
  private let groupSlots: UnsafeMutablePointer<Int32>
  private let hits: UnsafeMutablePointer<PrefilterHits>
  private let work: UnsafeMutablePointer<UInt64>
  private let words: Int
  /// By field slot: the event (by number) that the slot was scanned for.
  private let scannedFor: UnsafeMutablePointer<UInt64>
  private let ruleCount: Int
  private let quiet: QuietTexts
  /// By bit of a kind: the condition that it stands for.
  private let bitConditions: UnsafeMutablePointer<Int32>
  private let bitFields: UnsafeMutablePointer<KindBits>
  private let bitFieldCount: Int
  private var guardValues: [GuardValues] = []
  private var kinds = KindTable()
  var newestTime = Int64.min
  private var scratch: [UInt8] = []
  private let formatted: UnsafeMutableRawPointer
  private static let formattedCapacity = 64
  var base = RuleEngineCounters()
  private var records: [LimitRecord] = []
  /// Lines of the current event, as they came and in the order of evidence, once somebody needed them.
  var eventLines: [EvidenceReference] = []
  var orderedLines: [EvidenceReference] = []
  private var holdsEvidence = false
  /// By field slot: the fingerprint of its text, and the event that it is of.
  private let fingerprints: UnsafeMutablePointer<(event: UInt64, value: Fingerprint)>
  /// Working memory of keys.
  var joined: [UInt8] = []
  /// Correlations that recorded matches of rules that are not loaded go into, by id; only looked up.
  var recordedSubscriptions: [String: [(correlator: Int, places: [Int])]] = [:]

  /// `cachedDatabase`: what `serializedDatabase` gave for the same patterns on the same kind of machine; anything else is ignored.
  public init(_ ruleSet: RuleSet, cachedDatabase: [UInt8]? = nil) {
    self.init(ruleSet, cachedDatabase: cachedDatabase, useJIT: true)
  }

  init(_ ruleSet: RuleSet, cachedDatabase: [UInt8]?, useJIT: Bool) {
    let compiled = CompiledRules(ruleSet, cached: cachedDatabase, useJIT: useJIT)
    self.compiled = compiled
    diagnostics = compiled.diagnostics
    groups = GroupTable(compiled.windows)
    func flat<T>(_ array: [T]) -> UnsafeMutablePointer<T> {
      let copy = UnsafeMutablePointer<T>.allocate(capacity: max(1, array.count))
      copy.initialize(from: array, count: array.count)
      return copy
    }
    rules = flat(compiled.rules)
    conditions = flat(compiled.conditions)
    tests = flat(compiled.tests)
    nodes = flat(compiled.nodes)
    windows = flat(compiled.windows)
    groupSlots = flat(compiled.groupSlots)
    bitConditions = flat(compiled.kindBits.flatMap(\.conditions))
    bitFields = flat(RuleEngine.kindBits(compiled))
    bitFieldCount = compiled.kindBits.count
    ruleCount = compiled.rules.count
    words = max(1, (ruleCount + 63) / 64)
    work = .allocate(capacity: words)
    work.initialize(repeating: 0, count: words)
    hits = .allocate(capacity: 1)
    hits.initialize(to: PrefilterHits(capacity: compiled.tests.count))
    quiet = QuietTexts(slotCount: compiled.slotCount) { compiled.prefilter.hasDatabase($0) }
    scannedFor = .allocate(capacity: compiled.slotCount)
    scannedFor.initialize(repeating: 0, count: compiled.slotCount)
    fingerprints = .allocate(capacity: compiled.slotCount)
    fingerprints.initialize(repeating: (0, Fingerprint(high: 0, low: 0)), count: compiled.slotCount)
    formatted = .allocate(byteCount: RuleEngine.formattedCapacity, alignment: 8)
    base.limitHits = Array(repeating: 0, count: ruleCount)
    base.unfilteredPatterns = compiled.unfilteredPatterns
    base.interpretedPatterns = compiled.interpretedPatterns

    for field in CompiledRules.guardFields {
      var values = GuardValues(field: field)
      for (i, condition) in compiled.conditions.enumerated() where compiled.isKnown[i] && condition.slot == Int32(field.rawValue) {
        for test in condition.first..<condition.first + condition.count { values.ask(compiled.tests[Int(test)].bytes) }
      }
      if values.isAsked { guardValues.append(values) }
    }
  }

  deinit {
    rules.deallocate()
    conditions.deallocate()
    tests.deallocate()
    nodes.deallocate()
    windows.deallocate()
    groupSlots.deallocate()
    work.deallocate()
    hits.pointee.deallocate()
    hits.deallocate()
    scannedFor.deallocate()
    fingerprints.deallocate()
    quiet.deallocate()
    for i in 0..<bitFieldCount { bitFields[i].table.deallocate() }
    bitFields.deallocate()
    bitConditions.deallocate()
    formatted.deallocate()
    kinds.deallocate()
  }

  /// For a cache on disk, with `databaseKey` as its name; nil if the scanner cannot write its databases.
  public func serializedDatabase() -> [UInt8]? { compiled.prefilter.serialized() }
  /// Of the patterns, the scanner's version and the processor's features.
  public var databaseKey: Fingerprint { compiled.prefilter.key }
  /// Whether the cache that was given could be used.
  public var usedCachedDatabase: Bool { compiled.prefilter.wasCached }

  public var counters: RuleEngineCounters {
    var result = base
    result.evictions = Array(repeating: 0, count: ruleCount)
    for (i, window) in compiled.windows.enumerated() { result.evictions[Int(window.rule)] += groups.evictions[i] }
    for correlator in compiled.correlators {
      result.evictions[correlator.rule] += correlator.evictions
      result.chains += correlator.chainCount
    }
    result.evictionRecordsDropped = compiled.evictionLog.dropped
    result.groups = groups.groupCount
    result.windowBytes = groups.usedBytes
    return result
  }

  /// Limits that were hit since the last call, oldest first; at most `Limits.limitRecords`.
  public mutating func takeLimitRecords() -> [LimitRecord] {
    defer { records.removeAll(keepingCapacity: true) }
    return records
  }

  /// Forgets every window and chain, as if no event had been seen; what was compiled and counted stays.
  public mutating func resetState() {
    groups = GroupTable(compiled.windows)
    for correlator in compiled.correlators { correlator.reset() }
    records.removeAll()
    newestTime = .min
  }

  // MARK: One event

  /// Matches of this event, in the order of the rules; correlations last. `matches` is emptied first.
  /// `time`: the window's now, usually the event's time. It may go back: see WindowCells for what is forgotten then.
  /// `feedsWindows` false: pattern rules only; windows and correlations stay as they are.
  /// `isUnconfirmed`: the time may turn out to be wrong; nothing is forgotten because of it.
  /// `withDetails` false: matches of pattern rules come without conditions and evidence; `addDetails` has them.
  public mutating func evaluate(
    _ event: borrowing Event, at time: EventTime, feedsWindows: Bool = true, isUnconfirmed: Bool = false, withDetails: Bool = true,
    into matches: inout [RuleMatch]
  ) {
    if !matches.isEmpty { matches.removeAll(keepingCapacity: true) }
    base.events &+= 1
    let now = time.nanoseconds
    if now < newestTime { base.lateEvents &+= 1 } else if !isUnconfirmed { newestTime = now }
    groups.isUnconfirmed = isUnconfirmed
    let present = event.presence
    if hits.pointee.count > 0 { hits.pointee.clear() }
    if !eventLines.isEmpty { forgetLines() }

    var temporary: EventKind?
    let kind = kind(of: event, temporary: &temporary)
    for i in 0..<kind.scanCount {
      let scan = kind.scans[i]
      if scan.presence.0 & ~present.0 == 0, scan.presence.1 & ~present.1 == 0 { scanField(scan.slot, event) }
    }
    work.update(from: kind.direct, count: words)
    for i in 0..<Int(hits.pointee.count) {
      let rule = Int(tests[Int(hits.pointee.list[i])].rule)
      work[rule >> 6] |= kind.woken[rule >> 6] & 1 << UInt64(rule & 63)
    }
    for word in 0..<words {
      var bits = work[word]
      while bits != 0 {
        let rule = word << 6 | bits.trailingZeroBitCount
        bits &= bits &- 1
        let code = rules + rule
        if code.pointee.presence.0 & ~present.0 != 0 || code.pointee.presence.1 & ~present.1 != 0 { continue }
        if code.pointee.kind == .behavioral, !feedsWindows { continue }
        base.candidates &+= 1
        guard holds(rule, event) else { continue }
        if code.pointee.kind == .pattern {
          matches.append(patternMatch(rule, event, time))
          if withDetails { addDetails(to: &matches[matches.count - 1], event) }
        } else {
          feedWindow(rule, event, time, into: &matches)
        }
      }
    }
    if holdsEvidence {
      groups.endEvidence()
      holdsEvidence = false
    }
    temporary?.deallocate()
    if !matches.isEmpty {
      if feedsWindows, !compiled.correlators.isEmpty { correlate(event, time, &matches) }
      base.matches &+= UInt64(matches.count)
    }
  }

  // MARK: Kinds

  @inline(__always)
  private mutating func kind(of event: borrowing Event, temporary: inout EventKind?) -> EventKind {
    var key: UInt64 = 0
    var isIndexed = true
    for i in guardValues.indices {
      var number = GuardValues.absent
      if let value = event.text(guardValues[i].field) {
        number = event.isLiteral(value) ? guardValues[i].number(literal: value) : guardValues[i].number(value)
      }
      if number == GuardValues.unindexed { isIndexed = false }
      key = key << 8 | UInt64(number)
    }
    key = key << UInt64(KindBits.maximum) | kindBits(of: event)
    if isIndexed, let known = kinds.find(key) { return known }
    let made = makeKind(event)
    if !isIndexed || !kinds.insert(key, made) {
      base.unindexedEvents &+= 1
      temporary = made
    }
    return made
  }

  /// The conditions that are bits of a kind. A field that is absent meets none of them.
  @inline(__always)
  private mutating func kindBits(of event: borrowing Event) -> UInt64 {
    var bits: UInt64 = 0
    for f in 0..<bitFieldCount {
      let field = bitFields + f
      guard event.has(field.pointee.field) else { continue }
      if let value = event.integer(field.pointee.field), value >= 0, value < KindBits.tabledValues {
        bits |= UInt64(field.pointee.table[Int(value)])
        continue
      }
      for i in field.pointee.first..<field.pointee.first + field.pointee.count {
        if plainTest(conditions[Int(bitConditions[i])], event) == .yes { bits |= 1 << UInt64(i) }
      }
    }
    return bits
  }
  private static func kindBits(_ compiled: CompiledRules) -> [KindBits] {
    var first = 0
    return compiled.kindBits.map { field, list in
      let table = UnsafeMutablePointer<UInt16>.allocate(capacity: Int(KindBits.tabledValues))
      for value in 0..<KindBits.tabledValues {
        var bits: UInt16 = 0
        let text = Array("\(value)".utf8)
        for (i, index) in list.enumerated() {
          let condition = compiled.conditions[Int(index)]
          let holds =
            condition.kind == .compare
            ? condition.comparison.holds(value, condition.operand)
            : (condition.first..<condition.first + condition.count).contains { compiled.tests[Int($0)].bytes.elementsEqual(text) }
          if holds { bits |= 1 << UInt16(first + i) }
        }
        (table + Int(value)).initialize(to: bits)
      }
      defer { first += list.count }
      return KindBits(field: field, first: first, count: list.count, table: table)
    }
  }

  /// What an event's kind says about a rule: whether it can match, and whether only with a hit of the prefilter.
  private mutating func possibilities(of expression: Expression, _ base: Int, _ event: borrowing Event) -> (canMatch: Bool, needsHit: Bool) {
    var decided: [Int: Bool] = [:]
    for i in Program.conditions(expression) where compiled.isKnown[base + i] { decided[i] = test(base + i, event) == .yes }
    let conditions = conditions
    // Without a hit of the prefilter, a filtered condition's test is false; what is not known is open.
    func canMatch(withHits: Bool) -> Bool {
      Program.possibilities(expression) { i in
        if let truth = decided[i] { return (truth, !truth) }
        let code = conditions[base + i]
        return withHits || !code.isFiltered ? (true, true) : (code.isNegated, !code.isNegated)
      }.canBeTrue
    }
    return (canMatch(withHits: true), !canMatch(withHits: false))
  }

  private mutating func makeKind(_ event: borrowing Event) -> EventKind {
    let direct = UnsafeMutablePointer<UInt64>.allocate(capacity: words)
    direct.initialize(repeating: 0, count: words)
    let woken = UnsafeMutablePointer<UInt64>.allocate(capacity: words)
    woken.initialize(repeating: 0, count: words)
    var scans: [KindScan] = []
    for rule in 0..<ruleCount {
      let code = rules[rule]
      guard code.kind == .pattern || code.kind == .behavioral else { continue }
      guard let expression = compiled.expressions[rule] else { continue }
      let (canMatch, needsHit) = possibilities(of: expression, Int(code.firstCondition), event)
      guard canMatch else { continue }
      guard needsHit else {
        direct[rule >> 6] |= 1 << UInt64(rule & 63)
        continue
      }
      woken[rule >> 6] |= 1 << UInt64(rule & 63)
      for i in code.firstCondition..<code.firstCondition + code.conditionCount where conditions[Int(i)].isFiltered {
        let slot = conditions[Int(i)].slot
        if let at = scans.firstIndex(where: { $0.slot == slot }) {
          scans[at].presence.0 &= code.presence.0
          scans[at].presence.1 &= code.presence.1
        } else {
          scans.append(KindScan(slot: slot, presence: code.presence))
        }
      }
    }
    let list = UnsafeMutablePointer<KindScan>.allocate(capacity: max(1, scans.count))
    list.initialize(from: scans, count: scans.count)
    return EventKind(direct: direct, woken: woken, scans: list, scanCount: scans.count)
  }

  // MARK: Fields

  /// The field's value as text; valid until the next call.
  @inline(__always)
  private mutating func text(_ slot: Int32, _ event: borrowing Event) -> Bytes? {
    guard slot < Int32(CompiledRules.knownSlots), let field = Field(rawValue: UInt8(truncatingIfNeeded: slot)) else {
      return event.extra(Bytes(compiled.extraNames[Int(slot) - CompiledRules.knownSlots].bytes))
    }
    if let text = event.text(field) { return text }
    return event.has(field) ? format(field, event) : nil
  }
  private mutating func format(_ field: Field, _ event: borrowing Event) -> Bytes? {
    scratch.removeAll(keepingCapacity: true)
    guard event.appendText(of: field, to: &scratch), scratch.count <= RuleEngine.formattedCapacity else { return nil }
    formatted.copyMemory(from: scratch, byteCount: scratch.count)
    return Bytes(start: formatted, count: scratch.count)
  }

  private func isPresent(_ slot: Int32, _ event: borrowing Event) -> Bool {
    guard slot < Int32(CompiledRules.knownSlots), let field = Field(rawValue: UInt8(truncatingIfNeeded: slot)) else {
      return event.extra(Bytes(compiled.extraNames[Int(slot) - CompiledRules.knownSlots].bytes)) != nil
    }
    return event.has(field)
  }

  /// A number: an integer field, or a text that is one decimal number.
  private func number(_ slot: Int32, _ event: borrowing Event) -> Int64? {
    let value: Bytes?
    if slot < Int32(CompiledRules.knownSlots), let field = Field(rawValue: UInt8(truncatingIfNeeded: slot)) {
      if let integer = event.integer(field) { return integer }
      value = event.text(field)
    } else {
      value = event.extra(Bytes(compiled.extraNames[Int(slot) - CompiledRules.knownSlots].bytes))
    }
    guard let value else { return nil }
    if value.starts(with: "-") { return value.from(1).decimal.map { -$0 } }
    return value.decimal
  }

  @inline(__always)
  private mutating func scanField(_ slot: Int32, _ event: borrowing Event) {
    guard scannedFor[Int(slot)] != base.events else { return }
    scannedFor[Int(slot)] = base.events
    guard let value = text(slot, event) else { return }
    let place = quiet.place(Int(slot), value)
    if let place, quiet.holds(value, at: place) { return }
    let before = hits.pointee.count
    base.prefilterScans &+= 1
    if !compiled.prefilter.scan(Int(slot), value, hits) { return scanFailed(slot) }
    if let place, hits.pointee.count == before { quiet.keep(value, at: place) }
  }
  private mutating func scanFailed(_ slot: Int32) {
    base.prefilterFailures &+= 1
    for condition in compiled.conditions where condition.slot == slot {
      for test in condition.first..<condition.first + condition.count where tests[Int(test)].isFiltered { hits.pointee.insert(UInt32(test)) }
    }
  }

  // MARK: Conditions

  @inline(__always)
  private mutating func holds(_ rule: Int, _ event: borrowing Event) -> Bool {
    var at = rules[rule].guardedEntry
    while at >= 0 {
      let node = nodes[Int(at)]
      switch test(Int(node.condition), event) {
      case .yes: at = node.whenTrue
      case .no: at = node.whenFalse
      case .unknown: return holdsDespiteLimit(rule, event)
      }
    }
    return at == Program.accept
  }

  /// A limit was hit: the rule is decided by its other conditions where they suffice, and recorded where they do not.
  private mutating func holdsDespiteLimit(_ rule: Int, _ event: borrowing Event) -> Bool {
    base.limitHits[rule] += 1
    let first = Int(rules[rule].firstCondition)
    var truths: [Truth] = []
    for i in 0..<Int(rules[rule].conditionCount) { truths.append(test(first + i, event)) }
    guard let expression = compiled.expressions[rule] else { return false }
    let result = Program.evaluate(expression) { truths[$0] }
    if result == .unknown {
      if records.count < Limits.limitRecords {
        records.append(LimitRecord(rule: rule, time: event.time, event: event.reference))
      } else {
        base.limitRecordsDropped += 1
      }
    }
    return result == .yes
  }

  private mutating func test(_ index: Int, _ event: borrowing Event) -> Truth {
    let condition = conditions[index]
    let truth = plainTest(condition, event)
    return condition.isNegated ? truth.negated : truth
  }

  @inline(__always)
  private mutating func plainTest(_ condition: ConditionCode, _ event: borrowing Event) -> Truth {
    switch condition.kind {
    case .exists:
      return isPresent(condition.slot, event) == (condition.operand == 1) ? .yes : .no
    case .compare:
      guard let value = number(condition.slot, event) else { return .no }
      return condition.comparison.holds(value, condition.operand) ? .yes : .no
    case .exact, .startsWith:
      guard let value = text(condition.slot, event) else { return .no }
      for i in condition.first..<condition.first + condition.count {
        let needle = tests[Int(i)].bytes
        if condition.kind == .exact ? value.count != needle.count : value.count < needle.count { continue }
        let part = value.upTo(needle.count)
        if condition.isCaseSensitive ? part.equals(needle) : equalsFolded(part, needle) { return .yes }
      }
      return .no
    case .contains, .regex:
      guard isPresent(condition.slot, event) else { return .no }
      return patternTest(condition, event)
    }
  }

  private mutating func patternTest(_ condition: ConditionCode, _ event: borrowing Event) -> Truth {
    if condition.isFiltered { scanField(condition.slot, event) }
    var result = Truth.no
    for i in condition.first..<condition.first + condition.count {
      let test = tests[Int(i)]
      if test.isFiltered {
        scanField(condition.slot, event)
        if !hits.pointee.contains(UInt32(i)) { continue }
      }
      guard let value = text(condition.slot, event) else { return .no }
      let truth: Truth
      if let regex = test.regex {
        base.confirmations &+= 1
        truth = regex.matches(value, memory)
      } else {
        truth = position(of: test.bytes, in: value, caseSensitive: condition.isCaseSensitive, &scratch) != nil ? .yes : .no
      }
      if truth == .yes { return .yes }
      if truth == .unknown { result = .unknown }
    }
    return result
  }

  // MARK: Pattern matches

  private func patternMatch(_ rule: Int, _ event: borrowing Event, _ time: EventTime) -> RuleMatch {
    RuleMatch(
      rule: rule, conditions: [], group: [], observed: 1, threshold: 1, firstTime: time, lastTime: time, evidence: [],
      evidenceTotal: UInt64(event.evidence.count + 1), trust: event.trust, profiles: compiled.profiles[rule])
  }

  /// Puts conditions and evidence into a match of a pattern rule that came without. `event` is the one evaluated last.
  public mutating func addDetails(to match: inout RuleMatch, _ event: borrowing Event) {
    guard rules[match.rule].kind == .pattern, match.evidence.isEmpty else { return }
    let first = Int(rules[match.rule].firstCondition)
    for i in 0..<Int(rules[match.rule].conditionCount) where test(first + i, event) == .yes { match.conditions.append(i) }
    readLines(event)
    match.evidence = orderedLines
  }

  /// Makes `eventLines` and `orderedLines` those of `event`: the lines joined to it, and its own last.
  mutating func readLines(_ event: borrowing Event) {
    guard eventLines.isEmpty else { return }
    eventLines.append(contentsOf: event.evidence)
    eventLines.append(event.reference)
    orderedLines = eventLines.count == 1 ? eventLines : EvidenceList.ordered(eventLines)
  }
  mutating func forgetLines() {
    eventLines.removeAll(keepingCapacity: true)
    orderedLines = []
  }

  // MARK: Windows

  private mutating func feedWindow(_ rule: Int, _ event: borrowing Event, _ time: EventTime, into matches: inout [RuleMatch]) {
    let index = Int(rules[rule].window)
    let window = windows[index]
    guard let key = groupKey(window, event, asNetwork: false) else { return }
    let weight = max(1, event.repeatCount)
    let value: Int64
    switch window.aggregation {
    case .count, .rate: value = weight
    case .sum:
      // What adds nothing is not an event of a sum: a window holds what counts.
      guard let number = number(window.metricSlot, event), number > 0 else { return }
      value = number
    case .max:
      guard let number = number(window.metricSlot, event) else { return }
      value = number
    case .distinct_count:
      guard let mark = fingerprint(window.metricSlot, event) else { return }
      value = Int64(bitPattern: mark.low)
    }
    let hasFired = feed(index, key, event, time, value, weight, isSilent: false, into: &matches)
    if window.groupsByNetwork, let network = groupKey(window, event, asNetwork: true) {
      // The address says it already: the network's match counts as reported.
      _ = feed(index, network, event, time, value, weight, isSilent: hasFired, into: &matches)
    }
  }

  private mutating func feed(
    _ index: Int, _ key: GroupKey, _ event: borrowing Event, _ time: EventTime, _ value: Int64, _ weight: Int64, isSilent: Bool,
    into matches: inout [RuleMatch]
  ) -> Bool {
    let outcome = groups.feed(
      index, key, at: time.nanoseconds, value: value, events: UInt32(clamping: weight), lines: UInt32(clamping: event.evidence.count + 1),
      trust: event.trust)
    if !holdsEvidence {
      readLines(event)
      groups.beginEvidence(eventLines, at: time.nanoseconds)
      holdsEvidence = true
    }
    groups.addEvidence(outcome.group, now: outcome.now)
    groups.enforceBudget(keeping: outcome.group, now: time.nanoseconds)
    guard outcome.isMatch, !isSilent else { return outcome.isMatch }
    let summary = groups.summary(outcome.group, now: outcome.now)
    let window = windows[index]
    matches.append(
      RuleMatch(
        rule: Int(window.rule), conditions: [], group: groupValues(window, event, asNetwork: key.isNetwork), observed: outcome.observed,
        threshold: window.threshold, firstTime: EventTime(nanoseconds: min(summary.first, time.nanoseconds)),
        lastTime: EventTime(nanoseconds: outcome.now), evidence: summary.evidence, evidenceTotal: summary.lines, trust: outcome.trust,
        profiles: compiled.profiles[Int(window.rule)]))
    return true
  }

  /// nil: the event lacks a field, or has no IPv6 source (`asNetwork`).
  private mutating func groupKey(_ window: WindowRule, _ event: borrowing Event, asNetwork: Bool) -> GroupKey? {
    let first = Int(window.firstGroupSlot)
    let count = Int(window.groupSlotCount)
    if count == 1 {
      let slot = groupSlots[first]
      if asNetwork {
        guard let address = event.address(.sourceIP), !address.isV4 else { return nil }
        return GroupKey(high: address.high, low: 0, isNetwork: true)
      }
      if slot < Int32(CompiledRules.knownSlots), let field = Field(rawValue: UInt8(truncatingIfNeeded: slot)),
        let address = event.address(field)
      {
        return GroupKey(high: address.high, low: address.isV4 ? address.low | 0xffff << 32 : address.low)
      }
      return fingerprint(slot, event).map { GroupKey(high: $0.high, low: $0.low) }
    }
    if count == 0 { return asNetwork ? nil : GroupKey(high: 0, low: 0) }
    if asNetwork { guard let address = event.address(.sourceIP), !address.isV4 else { return nil } }
    joined.removeAll(keepingCapacity: true)
    for at in first..<first + count {
      let slot = groupSlots[at]
      if asNetwork, slot == Int32(Field.sourceIP.rawValue), let address = event.address(.sourceIP) {
        joined.append(littleEndian: address.high)
        continue
      }
      guard let value = text(slot, event) else { return nil }
      joined.append(littleEndian: UInt64(value.count))
      joined.append(value)
    }
    let mark = joined.withUnsafeBytes { Fingerprint(of: $0) }
    return GroupKey(high: mark.high, low: mark.low, isNetwork: asNetwork)
  }

  /// Of the field's value as text; worked out once for each event.
  @inline(__always)
  private mutating func fingerprint(_ slot: Int32, _ event: borrowing Event) -> Fingerprint? {
    let known = fingerprints + Int(slot)
    if known.pointee.event == base.events { return known.pointee.value }
    guard let text = text(slot, event) else { return nil }
    let mark = Fingerprint(of: text)
    known.pointee = (base.events, mark)
    return mark
  }

  private mutating func groupValues(_ window: WindowRule, _ event: borrowing Event, asNetwork: Bool) -> [(field: FieldReference, value: String)] {
    var result: [(field: FieldReference, value: String)] = []
    for at in window.firstGroupSlot..<window.firstGroupSlot + window.groupSlotCount {
      let slot = compiled.groupSlots[Int(at)]
      let field = reference(slot)
      if asNetwork, slot == Int32(Field.sourceIP.rawValue), let address = event.address(.sourceIP) {
        result.append((field, CIDR(address, prefixLength: 64).description))
      } else {
        result.append((field, text(slot, event)?.string ?? ""))
      }
    }
    return result
  }

  private func reference(_ slot: Int32) -> FieldReference {
    if slot < Int32(CompiledRules.knownSlots), let field = Field(rawValue: UInt8(truncatingIfNeeded: slot)) { return .known(field) }
    return .extra(String(decoding: compiled.extraNames[Int(slot) - CompiledRules.knownSlots].name, as: UTF8.self))
  }
}

// MARK: Comparing bytes

/// `needle` is lower-case and as long as `text`.
@inline(__always)
func equalsFolded(_ text: Bytes, _ needle: Bytes) -> Bool {
  for i in 0..<needle.count where asciiLower(text[i]) != needle[i] { return false }
  return true
}

/// First place of `needle` in `text`, in linear time. `needle` is lower-case if case does not matter. `scratch` is working memory.
func position(of needle: Bytes, in text: Bytes, caseSensitive: Bool, _ scratch: inout [UInt8]) -> Int? {
  if needle.count == 0 { return 0 }
  if caseSensitive { return text.index(of: needle) }
  guard text.count >= needle.count else { return nil }
  scratch.removeAll(keepingCapacity: true)
  scratch.append(contentsOf: text)
  return scratch.withUnsafeMutableBytes { folded in
    for i in folded.indices { folded[i] = asciiLower(folded[i]) }
    return Bytes(folded).index(of: needle)
  }
}
