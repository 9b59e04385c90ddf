// A rule set turned into flat tables: conditions, tests, jump code, guards and windows, addressed by number.
// What must stay true: a rule that cannot be compiled is disabled with a diagnostic, and all others run.
import Events
import Primitives
import RuleLanguage

/// One condition. Plain data.
struct ConditionCode {
  enum Kind: UInt8 { case regex, contains, exact, startsWith, compare, exists, operands }
  var kind: Kind
  var isNegated: Bool
  var isCaseSensitive: Bool
  var comparison: Comparison
  /// Known fields by their raw value, then the extra ones.
  var slot: Int32
  /// compare: the bound. exists: 1 or 0. operands: which of them.
  var operand: Int64
  /// Range of the tests.
  var first: Int32
  var count: Int32
  /// The scan says of every test whether it is worth a look.
  var isFiltered: Bool
  /// See ConditionLanguage; 0: none.
  var language: UInt8 = 0
}

/// One pattern, needle or value of a condition. Plain data; the table owns the memory.
struct TestCode {
  var rule: Int32
  var condition: Int32
  /// The field it reads.
  var slot: Int32
  /// Its number in the pattern table; -1: an exact value.
  var pattern: Int32
  /// Only the scan of its field's text makes it worth a look.
  var isFiltered: Bool
  /// A literal must have been found for it.
  var needsLiteral: Bool
  /// Of all but regular expressions. Lower-case where the condition ignores case.
  var needle: UnsafeMutableRawPointer?
  var needleCount: Int
  var bytes: Bytes { Bytes(start: needle, count: needleCount) }
}

struct RuleCode {
  enum Kind: UInt8 { case disabled, pattern, behavioral, correlation, method }
  var kind = Kind.disabled
  /// Fields the event must have.
  var presence = FieldSet()
  var entry: Int32 = Program.reject
  /// The code without the guards.
  var guardedEntry: Int32 = Program.reject
  var firstCondition: Int32 = 0
  var conditionCount: Int32 = 0
  /// behavioral: index of its window rule.
  var window: Int32 = -1
  /// Any one of its conditions suffices, and none is negated: only those with a candidate, and those that need none, are worth a test. The latter are
  /// a range of `openConditions`.
  var isAny = false
  var firstOpen: Int32 = 0
  var openCount: Int32 = 0
}

final class CompiledRules {
  static let guardFields: [Field] = [.eventAction, .eventCategory, .eventOutcome, .eventDataset, .eventProvider]
  static let knownSlots = Field.allCases.count

  let ruleSet: RuleSet
  private(set) var diagnostics: [Diagnostic] = []
  private(set) var rules: [RuleCode] = []
  private(set) var conditions: [ConditionCode] = []
  private(set) var tests: [TestCode] = []
  private(set) var nodes: [ProgramNode] = []
  /// By condition: the kind of an event decides it.
  private(set) var isKnown: [Bool] = []
  /// By `ConditionCode.operand`.
  private(set) var operands: [[FilterOperand]] = []
  /// Those among them that are bits of the kind, without repetitions, by field.
  private(set) var kindBits: [(field: Field, conditions: [Int32])] = []
  private(set) var openConditions: [Int32] = []
  private(set) var expressions: [Expression?] = []
  private(set) var windows: [WindowRule] = []
  private(set) var baselines: [BaselineRule] = []
  private(set) var groupSlots: [Int32] = []
  private(set) var extraNames: [(name: [UInt8], bytes: UnsafeMutableRawBufferPointer)] = []
  private(set) var correlators: [Correlator] = []
  let evictionLog: EvictionLog
  /// By rule: the active profiles that it is in, by bit; all bits where there are none.
  let profiles: [UInt64]
  /// By rule: which correlations its matches feed, and the places they can take there.
  private(set) var subscriptions: [[(correlator: Int, places: [Int])]] = []
  private(set) var unfilteredPatterns = 0
  let table: PatternTable
  var slotCount: Int { CompiledRules.knownSlots + extraNames.count }

  init(_ ruleSet: RuleSet, cached: [UInt8]?, useJIT: Bool) {
    self.ruleSet = ruleSet
    table = PatternTable(useJIT: useJIT)
    var builder = Builder(ruleSet: ruleSet, table: table)
    builder.collectPatterns()
    builder.failures = table.analyse(cached: cached)
    builder.compileAll()
    table.link(builder.tests.map(\.pattern))
    builder.finish()
    diagnostics = builder.diagnostics
    rules = builder.rules
    conditions = builder.conditions
    tests = builder.tests
    nodes = builder.nodes
    isKnown = builder.isKnown
    kindBits = builder.kindBits
    openConditions = builder.openConditions
    expressions = builder.expressions
    windows = builder.windows
    baselines = builder.baselines
    operands = builder.operands
    groupSlots = builder.groupSlots
    correlators = builder.correlators
    evictionLog = builder.evictionLog
    profiles = builder.profiles
    subscriptions = builder.subscriptions
    unfilteredPatterns = builder.unfilteredPatterns
    extraNames = builder.extraNames.map { name in
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, name.count), alignment: 1)
      copy.copyBytes(from: name)
      return (name, UnsafeMutableRawBufferPointer(rebasing: copy[..<name.count]))
    }
  }
  deinit {
    for test in tests { test.needle?.deallocate() }
    for extra in extraNames { extra.bytes.baseAddress?.deallocate() }
  }

  /// Whether a condition can serve as a guard: an exact comparison of a field that few values are known of.
  static func isGuard(_ condition: Condition) -> Bool {
    guard condition.language == nil, condition.operands == nil, case .exact = condition.test, case .known(let field) = condition.field else {
      return false
    }
    return guardFields.contains(field)
  }

  static func conditions(of detection: Detection) -> [Condition] {
    switch detection {
    case .pattern(let conditions, _): conditions
    case .behavioral(let detection): detection.filter
    case .correlation, .signature, .trace, .skipped: []
    }
  }
}

/// Fills the tables.
private struct Builder {
  let ruleSet: RuleSet
  let table: PatternTable
  /// By pattern: why it is not one.
  var failures: [Int32: RegexError] = [:]
  var diagnostics: [Diagnostic] = []
  var rules: [RuleCode] = []
  var conditions: [ConditionCode] = []
  var tests: [TestCode] = []
  var nodes: [ProgramNode] = []
  var isKnown: [Bool] = []
  var kindBits: [(field: Field, conditions: [Int32])] = []
  var openConditions: [Int32] = []
  var expressions: [Expression?] = []
  var windows: [WindowRule] = []
  var baselines: [BaselineRule] = []
  var groupSlots: [Int32] = []
  var extraNames: [[UInt8]] = []
  var operands: [[FilterOperand]] = []
  var correlators: [Correlator] = []
  let evictionLog = EvictionLog()
  var profiles: [UInt64] = []
  var subscriptions: [[(correlator: Int, places: [Int])]] = []
  var unfilteredPatterns = 0

  init(ruleSet: RuleSet, table: PatternTable) {
    self.ruleSet = ruleSet
    self.table = table
  }

  /// Gives each pattern its number: all are analysed together, before any rule is compiled.
  mutating func collectPatterns() {
    table.reserve(ruleSet.rules.count * 4)
    for rule in ruleSet.rules {
      for condition in CompiledRules.conditions(of: rule.detection) {
        for source in Builder.sources(of: condition.test) { _ = table.number(source) }
      }
    }
  }
  private static func sources(of test: Condition.Test) -> [PatternSource] {
    switch test {
    case .regex(let texts, let sensitive): texts.map { PatternSource(kind: .regex, isCaseSensitive: sensitive, text: Array($0.utf8)) }
    case .contains(let texts, let sensitive): texts.map { PatternSource(kind: .contains, isCaseSensitive: sensitive, text: Array($0.utf8)) }
    case .startsWith(let texts, let sensitive): texts.map { PatternSource(kind: .startsWith, isCaseSensitive: sensitive, text: Array($0.utf8)) }
    case .exact, .compare, .exists: []
    }
  }

  private mutating func error(_ rule: Rule, _ location: SourceLocation, _ message: String, hint: String = "") {
    diagnostics.append(Diagnostic(.error, location, "\(rule.id): \(message); the rule is disabled", hint: hint))
  }

  mutating func compileAll() {
    for (index, rule) in ruleSet.rules.enumerated() {
      var code = RuleCode()
      code.firstCondition = Int32(conditions.count)
      var expression: Expression?
      switch rule.detection {
      case _ where !rule.isActive:
        break
      case .pattern(let list, let logic):
        if compile(list, logic, rule: rule, index: index) {
          code.kind = .pattern
          expression = logic
        }
      case .behavioral(let detection):
        if checkBehavior(detection, rule), compile(detection.filter, detection.filterExpression, rule: rule, index: index) {
          code.kind = .behavioral
          expression = detection.filterExpression
          code.window = Int32(windows.count)
          windows.append(window(detection, rule: index))
        }
      case .correlation(let detection):
        if checkCorrelation(detection, rule) { code.kind = .correlation }
      case .signature, .trace: code.kind = .method
      case .skipped:
        break
      }
      code.conditionCount = Int32(conditions.count) - code.firstCondition
      rules.append(code)
      expressions.append(expression)
    }
    connectCorrelations()
  }

  /// What depends on all of it.
  mutating func finish() {
    for i in conditions.indices {
      let condition = conditions[i]
      let mine = tests[Int(condition.first)..<Int(condition.first + condition.count)]
      condition.kind == .regex || condition.kind == .contains
        ? unfilteredPatterns += mine.count { !$0.needsLiteral } : ()
      conditions[i].isFiltered = !mine.isEmpty && mine.allSatisfy(\.isFiltered)
    }
    isKnown = Array(repeating: false, count: conditions.count)
    for index in rules.indices {
      guard let expression = expressions[index] else { continue }
      let source = CompiledRules.conditions(of: ruleSet.rules[index].detection)
      let base = Int(rules[index].firstCondition)
      let codes = conditions
      let allTests = tests
      func needsLiterals(_ code: ConditionCode) -> Bool { allTests[Int(code.first)..<Int(code.first + code.count)].allSatisfy(\.needsLiteral) }
      let cost: (Int) -> Int = { i in
        switch codes[base + i].kind {
        case .compare, .exists: 1
        case .exact: 2
        case .operands: 6
        case .startsWith: 3
        case .contains: needsLiterals(codes[base + i]) ? 8 : 40
        case .regex: needsLiterals(codes[base + i]) ? 10 : 400
        }
      }
      rules[index].entry = Program.compile(expression, base: base, cost: cost, into: &nodes)
      for i in source.indices { isKnown[base + i] = CompiledRules.isGuard(source[i]) || isKindBit(base + i) }
      let known = isKnown
      let split = Program.split(expression) { known[base + $0] }
      rules[index].guardedEntry = Program.compile(split.rest, base: base, cost: cost, into: &nodes)
      let used = Program.conditions(expression)
      if Program.isAny(expression), source.allSatisfy({ !$0.isNegated }), Set(used).count == source.count {
        rules[index].isAny = true
        rules[index].firstOpen = Int32(openConditions.count)
        for i in used where !conditions[base + i].isFiltered { openConditions.append(Int32(base + i)) }
        rules[index].openCount = Int32(openConditions.count) - rules[index].firstOpen
      }
      for i in Program.mandatory(expression) where !source[i].isNegated {
        if case .exists(false) = source[i].test { continue }
        require(source[i].field, rule: index)
      }
      if case .behavioral(let detection) = ruleSet.rules[index].detection {
        for field in detection.groupBy { require(field, rule: index) }
        if needsMetric(detection.aggregation), let field = detection.metricField { require(field, rule: index) }
      }
    }
  }

  /// Whether the condition can be a bit of an event's kind, and there is room for it.
  private mutating func isKindBit(_ index: Int) -> Bool {
    let code = conditions[index]
    guard code.language == 0, code.slot < Int32(CompiledRules.knownSlots), let field = Field(rawValue: UInt8(truncatingIfNeeded: code.slot)) else {
      return false
    }
    guard code.kind == .compare || code.kind == .exact && (field.kind == .integer || field == .httpRequestMethod) else { return false }
    let at = kindBits.firstIndex { $0.field == field }
    if let at, kindBits[at].conditions.contains(where: { saysTheSame(conditions[Int($0)], code) }) { return true }
    guard kindBits.reduce(0, { $0 + $1.conditions.count }) < KindBits.maximum else { return false }
    if let at { kindBits[at].conditions.append(Int32(index)) } else { kindBits.append((field, [Int32(index)])) }
    return true
  }
  /// But for a negation.
  private func saysTheSame(_ a: ConditionCode, _ b: ConditionCode) -> Bool {
    guard a.slot == b.slot, a.kind == b.kind, a.comparison == b.comparison, a.operand == b.operand, a.isCaseSensitive == b.isCaseSensitive,
      a.count == b.count
    else { return false }
    return (0..<a.count).allSatisfy { tests[Int(a.first + $0)].bytes.equals(tests[Int(b.first + $0)].bytes) }
  }

  private mutating func require(_ field: FieldReference, rule: Int) {
    guard case .known(let field) = field else { return }
    rules[rule].presence.insert(field)
  }

  private func needsMetric(_ aggregation: BehavioralDetection.Aggregation) -> Bool {
    [.sum, .avg, .max, .distinct_count].contains(aggregation)
  }

  mutating func slot(_ field: FieldReference) -> Int32 {
    switch field {
    case .known(let field): return Int32(field.rawValue)
    case .extra(let name):
      let bytes = Array(name.utf8)
      if let at = extraNames.firstIndex(of: bytes) { return Int32(CompiledRules.knownSlots + at) }
      extraNames.append(bytes)
      return Int32(CompiledRules.knownSlots + extraNames.count - 1)
    }
  }

  // MARK: Conditions

  /// False: nothing was added but diagnostics.
  private mutating func compile(_ list: [Condition], _ expression: Expression, rule: Rule, index: Int) -> Bool {
    if Program.depth(expression) > Limits.expressionDepth {
      error(rule, rule.location, "the condition is nested more than \(Limits.expressionDepth) deep")
      return false
    }
    if Program.conditions(expression).contains(where: { !list.indices.contains($0) }) {
      error(rule, rule.location, "the condition names something that does not exist")
      return false
    }
    var isGood = true
    let mark = (conditions.count, tests.count)
    for condition in list where !compile(condition, rule: rule, index: index) { isGood = false }
    guard isGood else {
      conditions.removeSubrange(mark.0...)
      for test in tests[mark.1...] { test.needle?.deallocate() }
      tests.removeSubrange(mark.1...)
      return false
    }
    return true
  }

  private mutating func compile(_ condition: Condition, rule: Rule, index: Int) -> Bool {
    var code = ConditionCode(
      kind: .exists, isNegated: condition.isNegated, isCaseSensitive: true, comparison: .eq, slot: slot(condition.field), operand: 0,
      first: Int32(tests.count), count: 0, isFiltered: false, language: ConditionLanguage.number(condition.language))
    var isGood = true
    switch condition.test {
    case .exists(let wanted): code.operand = wanted ? 1 : 0
    case .compare(let comparison, let bound):
      code.kind = .compare
      code.comparison = comparison
      code.operand = bound
    case .exact(let values, let caseSensitive):
      code.kind = .exact
      code.isCaseSensitive = caseSensitive
      if let list = condition.operands {
        code.kind = .operands
        code.operand = Int64(operands.count)
        operands.append(list)
        break
      }
      for value in values { addValue(value, caseSensitive, rule: index, code.slot) }
    case .startsWith(_, let caseSensitive):
      code.kind = .startsWith
      code.isCaseSensitive = caseSensitive
    case .contains(_, let caseSensitive):
      code.kind = .contains
      code.isCaseSensitive = caseSensitive
    case .regex(_, let caseSensitive):
      code.kind = .regex
      code.isCaseSensitive = caseSensitive
    }
    for source in Builder.sources(of: condition.test) where !addPattern(source, condition, rule, index, code) { isGood = false }
    code.count = Int32(tests.count) - code.first
    conditions.append(code)
    return isGood
  }

  private func quoted(_ pattern: String) -> String {
    var shown = ""
    for scalar in pattern.unicodeScalars.prefix(120) { shown.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7f ? "?" : scalar) }
    return "'\(shown)\(pattern.unicodeScalars.count > 120 ? "..." : "")'"
  }

  private mutating func addValue(_ value: String, _ caseSensitive: Bool, rule: Int, _ slot: Int32) {
    let bytes = caseSensitive ? Array(value.utf8) : value.utf8.map(asciiLower)
    let copy = UnsafeMutableRawPointer.allocate(byteCount: max(1, bytes.count), alignment: 1)
    copy.copyMemory(from: bytes, byteCount: bytes.count)
    tests.append(
      TestCode(
        rule: Int32(rule), condition: Int32(conditions.count), slot: slot, pattern: -1, isFiltered: false, needsLiteral: false, needle: copy,
        needleCount: bytes.count))
  }

  private mutating func addPattern(_ source: PatternSource, _ condition: Condition, _ rule: Rule, _ index: Int, _ code: ConditionCode) -> Bool {
    let pattern = table.number(source)
    if let failure = failures[pattern] {
      error(
        rule, condition.location,
        "condition \(condition.name): not a regular expression: \(failure.message) at byte \(failure.offset) of "
          + quoted(String(decoding: source.text, as: UTF8.self)))
      return false
    }
    tests.append(
      TestCode(
        rule: Int32(index), condition: Int32(conditions.count), slot: code.slot, pattern: pattern,
        // A condition with a language is tested on a form of the text too that no literal was sought in.
        isFiltered: code.language == 0, needsLiteral: table.isFiltered(pattern), needle: nil, needleCount: 0))
    return true
  }

  // MARK: Behavioral

  private mutating func checkBehavior(_ detection: BehavioralDetection, _ rule: Rule) -> Bool {
    if detection.window.count <= 0 {
      error(rule, rule.location, "the window is not positive")
      return false
    }
    if needsMetric(detection.aggregation), detection.metricField == nil {
      error(rule, rule.location, "\(detection.aggregation.rawValue) needs a field")
      return false
    }
    if detection.baseline == nil, detection.aggregation == .distinct_count, detection.threshold >= Int64(Limits.entriesPerGroup) {
      error(rule, rule.location, "distinct_count goes up to \(Limits.entriesPerGroup - 1)")
      return false
    }
    return true
  }

  private mutating func window(_ detection: BehavioralDetection, rule: Int) -> WindowRule {
    // How many of the newest entries decide "at least threshold", each being worth at least one.
    var needed = detection.threshold
    if detection.aggregation == .rate {
      needed = Int64(clamping: (Int128(detection.threshold) * Int128(detection.window.count) + 999_999_999_999) / 1_000_000_000_000)
    }
    if detection.comparison != .gte, detection.comparison != .lt { needed = saturatingAdd(needed, 1) }
    // Fractions and deviations say nothing of a number of entries: 64 are exact, the rest is kept in 64 parts of the window.
    let isOpen = detection.baseline != nil || detection.aggregation == .avg || detection.aggregation == .sum && detection.digits > 0
    if isOpen { needed = detection.aggregation == .distinct_count ? Int64(Limits.entriesPerGroup) : 64 }
    var exact = Int(max(1, min(needed, Int64(Limits.entriesPerGroup))))
    let merge: WindowShape.Merge
    switch detection.aggregation {
    case .max:
      merge = .max
      exact = 64
    case .distinct_count:
      merge = .distinct
      exact = WindowShape.distinctValues(needed: exact)
    case .count, .sum, .avg, .rate:
      merge = .sum
      exact = Int(max(Int64(exact), min(detection.minEvents, Int64(Limits.entriesPerGroup))))
    }
    // The host's own baseline has done its part before the rules see the event: its field holds deviations, to be compared as they are.
    let readsHost = detection.baseline?.source == .hour_of_week
    let baseline = readsHost ? -1 : detection.baseline.map { addBaseline($0, detection) } ?? -1
    let first = Int32(groupSlots.count)
    for field in detection.groupBy { groupSlots.append(slot(field)) }
    return WindowRule(
      rule: Int32(rule), aggregation: detection.aggregation, comparison: detection.comparison, threshold: detection.threshold,
      minEvents: max(1, detection.minEvents), cooldown: detection.cooldown.map { max(0, $0.count) } ?? -1,
      shape: WindowShape(
        merge: merge, window: detection.window.count, exact: exact, parts: isOpen || needed > Int64(Limits.entriesPerGroup) ? 64 : 16),
      countsEventsApart: detection.minEvents > 1 && (merge == .max || merge == .distinct), firstGroupSlot: first,
      groupSlotCount: Int32(detection.groupBy.count),
      metricSlot: needsMetric(detection.aggregation) ? detection.metricField.map { slot($0) } ?? -1 : -1,
      groupsByNetwork: detection.groupsIPv6ByNetwork && detection.groupBy.contains(.known(.sourceIP)),
      digits: readsHost ? 0 : Int32(detection.digits), baseline: baseline, isApart: WindowRule.isApart(detection))
  }

  private mutating func addBaseline(_ baseline: BehavioralDetection.Baseline, _ detection: BehavioralDetection) -> Int32 {
    let source: BaselineRule.Source =
      switch baseline.source {
      case .rolling_mean: .rollingMean
      case .historical_percentile: .percentile
      case .fixed, .hour_of_week: .fixed
      }
    let slots = (baseline.lookback?.count ?? 0) / max(1, detection.window.count)
    baselines.append(
      BaselineRule(
        source: source, unit: baseline.unit == .stddev ? .standardDeviations : .fraction, threshold: detection.threshold,
        window: max(1_000_000, detection.window.count), slots: max(1, min(slots, Limits.baselineSlots)), percentile: baseline.percentile,
        value: baseline.value,
        countsSilence: detection.aggregation != .avg && detection.aggregation != .max))
    return Int32(baselines.count - 1)
  }

  // MARK: Correlation

  private mutating func checkCorrelation(_ detection: CorrelationDetection, _ rule: Rule) -> Bool {
    let aliases: [String]
    var fewest = 1
    switch detection.logic {
    case .temporalSequence(let list), .temporalUnordered(let list): aliases = list
    case .valueOverlap(let list, _):
      aliases = list
      fewest = 2
    case .countThreshold(let alias, let count):
      aliases = [alias]
      if count < 1 || count > Limits.entriesPerGroup {
        error(rule, rule.location, "the count must be 1 to \(Limits.entriesPerGroup)")
        return false
      }
    case .chainPropagation(let list, _, let count):
      aliases = list
      if count < 1 || count > Limits.correlationGraphMatches {
        error(rule, rule.location, "the count must be 1 to \(Limits.correlationGraphMatches)")
        return false
      }
    }
    if aliases.count < fewest || aliases.count > 64 {
      error(rule, rule.location, "the logic names \(aliases.count) source rules; \(fewest) to 64 are possible")
      return false
    }
    if let unknown = aliases.first(where: { alias in !detection.sourceRules.contains { $0.alias == alias } }) {
      error(rule, rule.location, "no source rule has the alias \(unknown)")
      return false
    }
    if detection.window.time.count <= 0 {
      error(rule, rule.location, "the window is not positive")
      return false
    }
    return true
  }

  private mutating func connectCorrelations() {
    subscriptions = Array(repeating: [], count: ruleSet.rules.count)
    profiles = ruleSet.profileBits
    for (index, rule) in ruleSet.rules.enumerated() {
      guard rules[index].kind == .correlation, case .correlation(let detection) = rule.detection else { continue }
      // One for each profile, so that what feeds it under one profile does not under another.
      for bits in ruleSet.profiles.isEmpty ? [UInt64.max] : ruleSet.profiles.indices.map({ 1 << UInt64($0) & profiles[index] }) where bits != 0 {
        correlators.append(Correlator(rule: index, detection: detection, profiles: bits, log: evictionLog))
      }
    }
    // feeds[a]: correlations (by number) that matches of correlation a go into.
    var feeds: [[Int]] = Array(repeating: [], count: correlators.count)
    let numbers = Dictionary(grouping: correlators.indices) { correlators[$0].rule }
    for (number, correlator) in correlators.enumerated() {
      for index in ruleSet.rules.indices
      where rules[index].kind != .disabled && index != correlator.rule && profiles[index] & correlator.profiles != 0 {
        guard let places = correlator.subscription(forRule: ruleSet.rules[index].id) else { continue }
        subscriptions[index].append((number, places))
        for from in numbers[index] ?? [] where correlators[from].profiles & correlator.profiles != 0 { feeds[from].append(number) }
      }
    }
    // Repeatedly take away those that nothing waiting feeds, or that feed nothing waiting; what stays is in a cycle (or between two).
    var waiting = Set(correlators.indices)
    var hasChanged = true
    while hasChanged {
      hasChanged = false
      for number in correlators.indices where waiting.contains(number) {
        let isFed = correlators.indices.contains { waiting.contains($0) && feeds[$0].contains(number) }
        if !isFed || !feeds[number].contains(where: waiting.contains) {
          waiting.remove(number)
          hasChanged = true
        }
      }
    }
    for number in correlators.indices where waiting.contains(number) {
      let rule = ruleSet.rules[correlators[number].rule]
      guard rules[correlators[number].rule].kind != .disabled else { continue }
      error(
        rule, rule.location, "it waits for correlations that wait for it",
        hint: "break the cycle, or name source rules exactly instead of by a pattern")
      rules[correlators[number].rule].kind = .disabled
    }
    if !waiting.isEmpty {
      for i in subscriptions.indices { subscriptions[i].removeAll { waiting.contains($0.correlator) } }
    }
  }
}
