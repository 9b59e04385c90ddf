// The matcher: one event in, the rules that match out. Pattern rules, windows, correlations, in this order.
// How it is fast: (1) the kind of the event names the rules that can match at all; (2) each text that those rules have patterns on is
// scanned once for the literals of all patterns; (3) only rules that were hit, or that need no hit, are evaluated, and each pattern
// runs at most once on a text.
// What must stay true: none of this changes a result. The same events give the same matches in every process; nothing here reads a
// clock; memory is bounded; and a limit that keeps a rule from being decided is recorded, never passed over.
import CLinux
import Events
import Glibc
import Primitives
import RuleLanguage

public struct RuleEngine: ~Copyable {
  /// Rules that cannot run, each with a reason. They are disabled; the others run.
  public let diagnostics: [Diagnostic]

  let compiled: CompiledRules
  let methods: MethodRules
  private var groups: GroupTable
  let texts: EventTexts
  let rules: UnsafeMutablePointer<RuleCode>
  private let conditions: UnsafeMutablePointer<ConditionCode>
  private let tests: UnsafeMutablePointer<TestCode>
  private let nodes: UnsafeMutablePointer<ProgramNode>
  private let windows: UnsafeMutablePointer<WindowRule>
  private let groupSlots: UnsafeMutablePointer<Int32>
  private let work: UnsafeMutablePointer<UInt64>
  private let words: Int
  /// By field slot: the event (by number) that its text was looked up for, and the text's number; -1: the field is absent.
  private let slotTexts: UnsafeMutablePointer<(event: UInt64, text: Int32)>
  /// By field slot: the event (by number) whose candidates are all known from `wake`; by condition: the event in which it has one.
  private let slotWoken: UnsafeMutablePointer<UInt64>
  private let hot: UnsafeMutablePointer<UInt64>
  /// By rule, its last condition that was marked, and the event it was in; by condition, the one marked before it, or -1.
  private let ruleHot: UnsafeMutablePointer<(event: UInt64, condition: Int32)>
  private let hotBefore: UnsafeMutablePointer<Int32>
  private let openConditions: UnsafeMutablePointer<Int32>
  private let ruleCount: Int
  /// By bit of a kind: the condition that it stands for.
  private let bitConditions: UnsafeMutablePointer<Int32>
  /// What a candidate may wake: by `PatternCode.firstTest`, a range for each pattern.
  private struct Waking {
    var slot: Int32
    var rule: Int32
    var condition: Int32
  }
  private let wakings: UnsafeMutablePointer<Waking>
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
  /// By field slot, for conditions with a language: the event it is of, the text's language, and its NFKC form.
  private var languages: [Int32: (event: UInt64, language: UInt8, form: Int32)] = [:]
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
    methods = MethodRules(ruleSet) { compiled.rules[$0].kind == .method }
    diagnostics = compiled.diagnostics + methods.diagnostics
    groups = GroupTable(compiled.windows, baselines: compiled.baselines)
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
    texts = EventTexts(compiled.table)
    wakings = flat(
      (0..<compiled.table.testTotal).map { i in
        let test = compiled.tests[Int(compiled.table.tests[i])]
        return Waking(slot: test.slot, rule: test.rule, condition: test.condition)
      })
    slotTexts = .allocate(capacity: compiled.slotCount)
    slotTexts.initialize(repeating: (0, -1), count: compiled.slotCount)
    slotWoken = .allocate(capacity: compiled.slotCount)
    slotWoken.initialize(repeating: 0, count: compiled.slotCount)
    hot = .allocate(capacity: max(1, compiled.conditions.count))
    hot.initialize(repeating: 0, count: max(1, compiled.conditions.count))
    ruleHot = .allocate(capacity: max(1, compiled.rules.count))
    ruleHot.initialize(repeating: (0, -1), count: max(1, compiled.rules.count))
    hotBefore = .allocate(capacity: max(1, compiled.conditions.count))
    hotBefore.initialize(repeating: -1, count: max(1, compiled.conditions.count))
    openConditions = flat(compiled.openConditions)
    fingerprints = .allocate(capacity: compiled.slotCount)
    fingerprints.initialize(repeating: (0, Fingerprint(high: 0, low: 0)), count: compiled.slotCount)
    formatted = .allocate(byteCount: RuleEngine.formattedCapacity, alignment: 8)
    base.limitHits = Array(repeating: 0, count: ruleCount)
    base.unfilteredPatterns = compiled.unfilteredPatterns

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
    slotTexts.deallocate()
    slotWoken.deallocate()
    hot.deallocate()
    ruleHot.deallocate()
    hotBefore.deallocate()
    openConditions.deallocate()
    fingerprints.deallocate()
    for i in 0..<bitFieldCount { bitFields[i].table.deallocate() }
    bitFields.deallocate()
    bitConditions.deallocate()
    wakings.deallocate()
    formatted.deallocate()
    kinds.deallocate()
  }

  /// What is known about the patterns, for a cache on disk; nil if a pattern was refused.
  public func serializedDatabase() -> [UInt8]? { compiled.table.serialized() }
  /// Of the patterns.
  public var databaseKey: Fingerprint { compiled.table.key }
  /// Whether the cache that was given could be used.
  public var usedCachedDatabase: Bool { compiled.table.wasCached }

  public var counters: RuleEngineCounters {
    var result = base
    result.evictions = Array(repeating: 0, count: ruleCount)
    for (i, window) in compiled.windows.enumerated() { result.evictions[Int(window.rule)] += groups.evictions[i] }
    for correlator in compiled.correlators {
      result.evictions[correlator.rule] += correlator.evictions
      result.chains += correlator.chainCount
    }
    result.prefilterScans = texts.counters.scans
    result.scannedBytes = texts.counters.scannedBytes
    result.patternCandidates = texts.counters.candidates
    result.confirmations = texts.counters.confirmations
    result.guardedConfirmations = texts.counters.guarded
    result.allowedWork = texts.counters.allowedWork
    result.interpretedPatterns = compiled.table.interpretedForms
    result.compiledPatterns = compiled.table.compiledForms
    result.refusedPatterns = compiled.table.refusedForms
    result.gracefulErrors = methods.errorCount
    result.gracefulErrorsDropped = methods.droppedErrors
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

  /// Limits and errors that were not kept, because too many waited to be taken.
  public var errorsDropped: UInt64 { base.limitRecordsDropped + methods.droppedErrors }

  /// Forgets every window and chain, as if no event had been seen; what was compiled and counted stays.
  public mutating func resetState() {
    groups = GroupTable(compiled.windows, baselines: compiled.baselines)
    for correlator in compiled.correlators { correlator.reset() }
    records.removeAll()
    methods.reset()
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
    texts.clear()
    if !eventLines.isEmpty { forgetLines() }

    var temporary: EventKind?
    let kind = kind(of: event, temporary: &temporary)
    for i in 0..<kind.scanCount {
      let scan = kind.scans[i]
      if scan.presence.isSubset(of: present) {
        _ = textNumber(scan.slot, event)
        slotWoken[Int(scan.slot)] = base.events
      }
    }
    work.update(from: fitting(kind, present), count: words)
    wake(kind)
    if event.has(.scanTarget) { leaveOut(event) }
    for word in 0..<words {
      var bits = work[word]
      while bits != 0 {
        let rule = word << 6 | bits.trailingZeroBitCount
        bits &= bits &- 1
        let code = rules + rule
        if !code.pointee.presence.isSubset(of: present) { continue }
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
    evaluateMethods(event, at: time, into: &matches)
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

  /// Sets the bits of rules that have a candidate on a text of the field they read, and marks the conditions that have it.
  @inline(__always)
  private func wake(_ kind: EventKind) {
    let codes = compiled.table.codes
    for text in 0..<texts.count {
      let owner = texts.owner(text)
      let count = texts.candidateCount(text)
      for n in 0..<count { pg_prefetch(wakings + Int(codes[Int(texts.candidate(text, n))].firstTest)) }
      for n in 0..<count {
        let code = codes + Int(texts.candidate(text, n))
        for i in Int(code.pointee.firstTest)..<Int(code.pointee.firstTest + code.pointee.testCount) {
          let waking = wakings[i]
          let slot = slotTexts[Int(waking.slot)]
          guard slot.text == owner, slot.event == base.events else { continue }
          let rule = Int(waking.rule)
          let condition = Int(waking.condition)
          if hot[condition] != base.events {
            hot[condition] = base.events
            hotBefore[condition] = ruleHot[rule].event == base.events ? ruleHot[rule].condition : -1
            ruleHot[rule] = (base.events, Int32(condition))
          }
          work[rule >> 6] |= kind.woken[rule >> 6] & 1 << UInt64(rule & 63)
        }
      }
    }
  }

  /// Takes away the rules that are not meant for what the event says it is (`scan_target`); a word that is unknown takes nothing away.
  private func leaveOut(_ event: borrowing Event) {
    guard let word = event.text(.scanTarget), let path = ScanPath(rawValue: word.string) else { return }
    for word in 0..<words where work[word] != 0 {
      var bits = work[word]
      while bits != 0 {
        let bit = bits.trailingZeroBitCount
        bits &= bits &- 1
        if !compiled.ruleSet.rules[word << 6 | bit].isMeant(for: path) { work[word] &= ~(1 << UInt64(bit)) }
      }
    }
  }

  // MARK: Kinds

  /// Of the kind's direct rules those that an event with these fields can meet.
  private mutating func fitting(_ kind: EventKind, _ present: FieldSet) -> UnsafeMutablePointer<UInt64> {
    let way = present.mixed & (EventKind.ways - 1)
    let rules = kind.fitting + way * words
    if kind.seen[way] != present {
      kind.seen[way] = present
      select(rules, of: kind.direct, present)
    }
    return rules
  }
  private func select(_ result: UnsafeMutablePointer<UInt64>, of direct: UnsafeMutablePointer<UInt64>, _ present: FieldSet) {
    for word in 0..<words {
      var bits = direct[word]
      result[word] = bits
      while bits != 0 {
        let bit = bits.trailingZeroBitCount
        bits &= bits &- 1
        if !rules[word << 6 | bit].presence.isSubset(of: present) { result[word] &= ~(1 << UInt64(bit)) }
      }
    }
  }

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
    if RuleEngine.isOfPackets(event) { key |= 1 << 63 }
    if isIndexed, let known = kinds.find(key) { return known }
    let made = makeKind(event)
    if !isIndexed || !kinds.insert(key, made) {
      base.unindexedEvents &+= 1
      temporary = made
    }
    return made
  }

  /// What packets told is no line of a log: the same request, told by both, must not count twice in a rule about logs.
  @inline(__always)
  private static func isOfPackets(_ event: borrowing Event) -> Bool { event.text(.eventDataset)?.starts(with: "network") == true }

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
    let isOfPackets = RuleEngine.isOfPackets(event)
    for rule in 0..<ruleCount {
      let code = rules[rule]
      guard code.kind == .pattern || code.kind == .behavioral else { continue }
      if isOfPackets, compiled.ruleSet.rules[rule].agentSource == "host_log" { continue }
      guard let expression = compiled.expressions[rule] else { continue }
      let (canMatch, needsHit) = possibilities(of: expression, Int(code.firstCondition), event)
      guard canMatch else { continue }
      if needsHit { woken[rule >> 6] |= 1 << UInt64(rule & 63) } else { direct[rule >> 6] |= 1 << UInt64(rule & 63) }
      // `holds` relies on it that such a rule's fields were scanned.
      guard needsHit || code.isAny else { continue }
      for i in code.firstCondition..<code.firstCondition + code.conditionCount where conditions[Int(i)].isFiltered {
        let slot = conditions[Int(i)].slot
        if let at = scans.firstIndex(where: { $0.slot == slot }) {
          scans[at].presence.formIntersection(code.presence)
        } else {
          scans.append(KindScan(slot: slot, presence: code.presence))
        }
      }
    }
    let list = UnsafeMutablePointer<KindScan>.allocate(capacity: max(1, scans.count))
    list.initialize(from: scans, count: scans.count)
    let seen = UnsafeMutablePointer<FieldSet>.allocate(capacity: EventKind.ways)
    seen.initialize(repeating: FieldSet(), count: EventKind.ways)
    let fitting = UnsafeMutablePointer<UInt64>.allocate(capacity: EventKind.ways * words)
    for way in 0..<EventKind.ways { select(fitting + way * words, of: direct, FieldSet()) }
    return EventKind(direct: direct, woken: woken, seen: seen, fitting: fitting, scans: list, scanCount: scans.count)
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

  // These change nothing. A method that may not would be given a copy of the whole engine by methods that may.

  private mutating func isPresent(_ slot: Int32, _ event: borrowing Event) -> Bool {
    guard slot < Int32(CompiledRules.knownSlots), let field = Field(rawValue: UInt8(truncatingIfNeeded: slot)) else {
      return event.extra(Bytes(compiled.extraNames[Int(slot) - CompiledRules.knownSlots].bytes)) != nil
    }
    return event.has(field)
  }

  /// How the field's number stands to the condition's: negative below it, 0 equal, positive above; nil where the field is no number.
  private mutating func order(_ condition: ConditionCode, _ event: borrowing Event) -> Int64? {
    let value: Bytes?
    if condition.slot < Int32(CompiledRules.knownSlots), let field = Field(rawValue: UInt8(truncatingIfNeeded: condition.slot)) {
      if let integer = event.integer(field) { return integer == condition.operand ? 0 : integer < condition.operand ? -1 : 1 }
      value = event.text(field)
    } else {
      value = event.extra(Bytes(compiled.extraNames[Int(condition.slot) - CompiledRules.knownSlots].bytes))
    }
    return value.flatMap { DecimalText.order(of: $0, to: condition.operand) }
  }

  /// A number: an integer field, or a text that is one decimal number.
  private mutating func number(_ slot: Int32, _ event: borrowing Event) -> Int64? {
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

  /// A metric's value in units of 10^-digits.
  private mutating func metric(_ window: WindowRule, _ event: borrowing Event) -> Int64? {
    guard window.digits > 0 else { return number(window.metricSlot, event) }
    return FieldText.with(reference(window.metricSlot), event) { FixedPoint.read($0, digits: Int(window.digits)) } ?? nil
  }

  /// The number of the field's text among the texts of this event; -1: the event lacks the field.
  @inline(__always)
  private mutating func textNumber(_ slot: Int32, _ event: borrowing Event) -> Int32 {
    let known = slotTexts + Int(slot)
    if known.pointee.event == base.events { return known.pointee.text }
    let number = findText(slot, event)
    known.pointee = (base.events, number)
    return number
  }
  @inline(__always)
  private mutating func findText(_ slot: Int32, _ event: borrowing Event) -> Int32 {
    guard slot < Int32(CompiledRules.knownSlots), let field = Field(rawValue: UInt8(truncatingIfNeeded: slot)) else {
      guard let value = event.extra(Bytes(compiled.extraNames[Int(slot) - CompiledRules.knownSlots].bytes)) else { return -1 }
      return texts.number(value)
    }
    if let text = event.text(field) { return texts.number(text) }
    guard event.has(field), let text = format(field, event) else { return -1 }
    return texts.number(copying: text)
  }

  // MARK: Conditions

  @inline(__always)
  private mutating func holds(_ rule: Int, _ event: borrowing Event) -> Bool {
    if rules[rule].isAny { return holdsAny(rule, event) }
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

  /// A rule of alternatives: of its filtered conditions only those that `wake` has marked can hold.
  @inline(__always)
  private mutating func holdsAny(_ rule: Int, _ event: borrowing Event) -> Bool {
    var marked = ruleHot[rule].event == base.events ? ruleHot[rule].condition : -1
    while marked >= 0 {
      switch test(Int(marked), event) {
      case .yes: return true
      case .no: marked = hotBefore[Int(marked)]
      case .unknown: return holdsDespiteLimit(rule, event)
      }
    }
    for i in rules[rule].firstOpen..<rules[rule].firstOpen + rules[rule].openCount {
      switch test(Int(openConditions[Int(i)]), event) {
      case .yes: return true
      case .no: break
      case .unknown: return holdsDespiteLimit(rule, event)
      }
    }
    return false
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

  @inline(__always)
  private mutating func test(_ index: Int, _ event: borrowing Event) -> Truth {
    let condition = conditions + index
    // The field was scanned, and none of the condition's literals is in it.
    if condition.pointee.isFiltered, hot[index] != base.events, slotWoken[Int(condition.pointee.slot)] == base.events {
      return condition.pointee.isNegated ? .yes : .no
    }
    return testInFull(condition.pointee, event)
  }
  private mutating func testInFull(_ condition: ConditionCode, _ event: borrowing Event) -> Truth {
    let truth = condition.language == 0 ? plainTest(condition, event) : languageTest(condition, event)
    return condition.isNegated ? truth.negated : truth
  }

  @inline(__always)
  private mutating func plainTest(_ condition: ConditionCode, _ event: borrowing Event) -> Truth {
    switch condition.kind {
    case .exists:
      return isPresent(condition.slot, event) == (condition.operand == 1) ? .yes : .no
    case .compare:
      guard let order = order(condition, event) else { return .no }
      return condition.comparison.holds(order, 0) ? .yes : .no
    case .exact:
      guard let value = text(condition.slot, event) else { return .no }
      if isExact(condition, value) { return .yes }
      guard !TextForms.isASCII(value) else { return .no }
      let number = textNumber(condition.slot, event)
      guard number >= 0, let normalised = texts.forms(number).normalised else { return .no }
      return isExact(condition, normalised) ? .yes : .no
    case .operands:
      guard let value = text(condition.slot, event) else { return .no }
      return RuleEngine.holds(compiled.operands[Int(condition.operand)], value, event) ? .yes : .no
    case .contains, .regex, .startsWith:
      return patternTest(condition, event)
    }
  }

  @inline(__always)
  private mutating func isExact(_ condition: ConditionCode, _ value: Bytes) -> Bool {
    for i in condition.first..<condition.first + condition.count {
      let needle = tests[Int(i)].bytes
      if value.count == needle.count, condition.isCaseSensitive ? value.equals(needle) : equalsFolded(value, needle) { return true }
    }
    return false
  }

  private mutating func languageTest(_ condition: ConditionCode, _ event: borrowing Event) -> Truth {
    guard let value = text(condition.slot, event) else { return .no }
    if languages[condition.slot]?.event != base.events {
      let form = CompatibilityForm.of(value).map { form in form.withUnsafeBytes { texts.number(copying: $0) } } ?? -1
      languages[condition.slot] = (base.events, ConditionLanguage.number(LanguageDetection.language(of: value)), form)
    }
    guard let known = languages[condition.slot], known.language == condition.language else { return .no }
    let truth = plainTest(condition, event)
    guard truth != .yes, condition.language != ConditionLanguage.english, known.form >= 0 else { return truth }
    let other: Truth =
      condition.kind == .exact ? (isExact(condition, texts.bytes(known.form)) ? .yes : .no) : patternTest(condition, onText: known.form)
    return other == .no ? truth : other
  }

  @inline(__always)
  private mutating func patternTest(_ condition: ConditionCode, _ event: borrowing Event) -> Truth {
    patternTest(condition, onText: textNumber(condition.slot, event))
  }
  @inline(__always)
  private mutating func patternTest(_ condition: ConditionCode, onText text: Int32) -> Truth {
    guard text >= 0 else { return .no }
    var result = Truth.no
    for i in condition.first..<condition.first + condition.count {
      let truth = texts.test(tests[Int(i)].pattern, text)
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
    match.conditions.reserveCapacity(4)
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
    orderedLines = []
    eventLines.removeAll(keepingCapacity: true)
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
      guard let number = metric(window, event), number > 0 || window.digits > 0 else { return }
      value = number
    case .avg:
      guard let number = metric(window, event) else { return }
      let (product, overflow) = number.multipliedReportingOverflow(by: weight)
      value = overflow ? (number > 0 ? .max : .min) : product
    case .max:
      guard let number = metric(window, event) else { return }
      value = number
    case .distinct_count:
      guard let mark = fingerprint(window.metricSlot, event) else { return }
      value = Int64(bitPattern: mark.low)
    }
    let told = feed(index, key, event, time, value, weight, told: nil, into: &matches)
    if window.groupsByNetwork, let network = groupKey(window, event, asNetwork: true) {
      // The address says it already: the network's match counts as reported, unless it is attested and the address's is not.
      _ = feed(index, network, event, time, value, weight, told: told, into: &matches)
    }
  }

  /// `told`: the trust of a match that says the same already. Returns that of this one; nil: no match.
  private mutating func feed(
    _ index: Int, _ key: GroupKey, _ event: borrowing Event, _ time: EventTime, _ value: Int64, _ weight: Int64, told: Trust?,
    into matches: inout [RuleMatch]
  ) -> Trust? {
    let outcome = groups.feed(
      index, key, at: time.nanoseconds, value: value, events: UInt32(clamping: weight), lines: UInt32(clamping: event.evidence.count + 1),
      trust: event.trust)
    if !holdsEvidence {
      readLines(event)
      groups.beginEvidence(eventLines, at: time.nanoseconds)
      holdsEvidence = true
    }
    groups.addEvidence(outcome)
    groups.enforceBudget(keeping: outcome.group, now: time.nanoseconds)
    guard outcome.isMatch else { return nil }
    if let told, told >= outcome.trust { return outcome.trust }
    let summary = groups.summary(outcome.group, now: outcome.now)
    let window = windows[index]
    var match = RuleMatch(
      rule: Int(window.rule), conditions: [], group: groupValues(window, event, asNetwork: key.isNetwork), observed: outcome.observed,
      threshold: window.threshold, firstTime: EventTime(nanoseconds: min(summary.first, time.nanoseconds)),
      lastTime: EventTime(nanoseconds: outcome.now), evidence: summary.evidence, evidenceTotal: summary.lines, trust: outcome.trust,
      profiles: compiled.profiles[Int(window.rule)])
    if let reading = groups.reading(outcome.group, observed: outcome.observed) { match.details = .baseline(reading) }
    matches.append(match)
    return outcome.trust
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

@inline(__always)
func asciiLower(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

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
