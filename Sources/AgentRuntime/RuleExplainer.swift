// `panguard rules explain`: one rule and one text, seen the way the agent sees them. Every condition with the place that it matched or
// how far it got; for a behavioral rule what was counted for whom, and why a line was not; for a correlation which of its rules matched.
// Whether the rule matches is always the engine's word; this only says why.
import Events
import LogParsers
import Primitives
import RuleEngine
import RuleLanguage

/// One condition (or filter) against one event.
public struct ExplainedCondition: Sendable {
  public var condition: Condition
  public var report: ConditionReport
  /// For a condition that failed on a text: how far it got. nil: not a byte, or not that kind of test.
  public var nearMiss: NearMiss?
}

public struct ExplainedEvent: Sendable {
  /// 1-based line of the input; the event that closes a session has the number of the last line before it.
  public var line: Int
  public var text: String
  public var time: EventTime
  /// The rule matched on this event.
  public var isMatch: Bool
  public var conditions: [ExplainedCondition]
  /// signature, trace: indicator by indicator, primitive by primitive. Empty where the event has no trace.
  public var methods: [MethodReport] = []
  /// behavioral: it was counted, for this group; else why not.
  public var counted: Counted?
}

public enum Counted: Sendable, Equatable {
  /// Values of `group_by`, and what the event adds (its value for distinct_count).
  case yes(group: [String], value: String)
  case no(String)
}

/// behavioral: one group over all events.
public struct ExplainedGroup: Sendable {
  public var values: [String]
  public var counted: Int
  /// The aggregate at its highest, and the line at which it was.
  public var highest: Measure
  public var line: Int
}

/// correlation: one source rule.
public struct ExplainedSource: Sendable {
  public var alias: String
  public var pattern: String
  /// Matches of rules that it names: line, rule, and the values of the join keys in that event ("?" where it has none).
  public var matches: [(line: Int, rule: String, keys: [String])]
}

public struct RuleExplanation: Sendable {
  public var rule: Rule
  public var isMatch = false
  public var events: [ExplainedEvent] = []
  public var groups: [ExplainedGroup] = []
  public var sources: [ExplainedSource] = []
  /// Events beyond `Limits.explainedEvents`, which were not read.
  public var unread = 0
  /// What the engine has against running the rule; nil if it runs.
  public var refusal: String?
}

public struct RuleExplainer: ~Copyable {
  public enum Input: Sendable {
    /// Raw log lines.
    case lines([UInt8])
    /// One event in which each of these fields is the text.
    case text([UInt8], fields: [FieldReference])
    /// JSON lines, each an event as `rules eval` takes it, wrapped or not; or one such object over several lines.
    case events([UInt8])
  }
  public enum Failure: Error, Equatable {
    /// `line`: 1-based.
    case notAnEvent(line: Int, reason: String)
    case nothing
  }

  private let rule: Rule
  private let ruleIndex: Int
  private let rules: [Rule]
  private var engine: RuleEngine
  private var matches: [RuleMatch] = []
  private var result: RuleExplanation
  /// The line that is looked at, and how many were.
  private var line = 0
  private var read = 0
  private var tally = Tally()

  /// `rule` must be one of `set`. Other rules are run only where it needs them.
  public init(_ rule: Rule, in set: RuleSet) {
    var needed = [rule]
    if case .correlation = rule.detection { needed = set.rules }
    rules = needed
    self.rule = rule
    ruleIndex = needed.firstIndex { $0.id == rule.id } ?? 0
    engine = RuleEngine(RuleSet(rules: needed, diagnostics: [], refusedCount: 0))
    result = RuleExplanation(rule: rule)
    if case .skipped(let method, let reason) = rule.detection { result.refusal = "\(method): \(reason)" }
    if !engine.isEnabled(rule: ruleIndex), result.refusal == nil {
      result.refusal = engine.diagnostics.first { $0.location.file == rule.location.file }?.message ?? "the engine does not run it"
    }
  }

  /// The fields that one text stands for where none is named: those that the rule looks at.
  public static func fields(of rule: Rule) -> [FieldReference] {
    var fields: [FieldReference] = []
    for condition in conditions(of: rule) where !fields.contains(condition.field) { fields.append(condition.field) }
    if case .signature(let signature) = rule.detection {
      for indicator in signature.indicators where !fields.contains(indicator.target) { fields.append(indicator.target) }
    }
    if case .trace = rule.detection { fields.append(FieldReference(name: "trace")) }
    return fields.isEmpty ? [.known(.content)] : fields
  }
  /// Whether a text for this rule is log lines. A rule that does not say what it is for is for hosts if it looks at nothing but their
  /// fields; such a correlation, if a rule of its sources is.
  public static func isForHosts(_ rule: Rule, in set: RuleSet) -> Bool {
    guard rule.agentSource.isEmpty else { return RuleWords.hostSources.contains(rule.agentSource) }
    switch rule.detection {
    case .correlation(let correlation):
      let sources = set.rules.filter { other in
        if case .correlation = other.detection { return false }
        return correlation.sourceRules.contains { $0.matches(other.id) }
      }
      return sources.contains { isForHosts($0, in: set) }
    case .behavioral(let behavior):
      let fields = behavior.filter.map(\.field) + behavior.groupBy + (behavior.metricField.map { [$0] } ?? [])
      return fields.allSatisfy(isHostField)
    default:
      let conditions = conditions(of: rule)
      return !conditions.isEmpty && conditions.allSatisfy { isHostField($0.field) }
    }
  }
  private static func isHostField(_ field: FieldReference) -> Bool {
    guard case .known(let known) = field else { return false }
    return !known.isOfAgents
  }

  /// Whether the first line with text in it, or the whole text, is a JSON object.
  public static func beginsWithEvent(_ text: [UInt8]) -> Bool {
    guard let start = text.firstIndex(where: { $0 > 0x20 }), text[start] == 0x7b else { return false }
    let line = text[start...].prefix { $0 != 0x0a }
    return line.withUnsafeBytes { (try? EventLine($0)) != nil } || text[start...].withUnsafeBytes { (try? EventLine($0)) != nil }
  }
  static func conditions(of rule: Rule) -> [Condition] {
    if case .pattern(let conditions, _) = rule.detection { return conditions }
    if case .behavioral(let behavior) = rule.detection { return behavior.filter }
    return []
  }

  /// - Parameters:
  ///   - format: of raw lines.
  ///   - inputTime: where a stamp has no year.
  public mutating func explain(_ input: Input, format: LogFormat = .auto, inputTime: EventTime) throws(Failure) -> RuleExplanation {
    var event = Event()
    switch input {
    case .events(let bytes): try explain(events: bytes, &event)
    case .text(let text, let fields):
      event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
      event.time = inputTime
      event.allowLargeTexts()
      text.withUnsafeBytes { for field in fields { event.set(field, $0) } }
      (line, read) = (1, 1)
      look(at: event, String(decoding: text, as: UTF8.self))
    case .lines(let bytes): explain(lines: bytes, format, inputTime, &event)
    }
    guard read > 0 else { throw .nothing }
    result.groups = tally.groups
    return result
  }

  private mutating func explain(events bytes: [UInt8], _ event: inout Event) throws(Failure) {
    let isOne = bytes.contains(0x0a) && bytes.withUnsafeBytes { (try? EventLine($0)) != nil }
    for (index, text) in (isOne ? [bytes[...]] : bytes.split(separator: 0x0a, omittingEmptySubsequences: false)).enumerated() {
      guard text.contains(where: { $0 > 0x20 }) else { continue }
      guard read < Limits.explainedEvents else {
        result.unread += 1
        continue
      }
      line = index + 1
      read += 1
      do {
        try text.withUnsafeBytes { try event.begin(line: $0, number: UInt64(line)) }
      } catch {
        throw .notAnEvent(line: line, reason: "\(error)")
      }
      look(at: event, String(decoding: text, as: UTF8.self), recorded: MatchStream.ruleID(of: event))
    }
  }

  private mutating func explain(lines bytes: [UInt8], _ format: LogFormat, _ inputTime: EventTime, _ event: inout Event) {
    var parser = LogParser(format: format, inputTime: inputTime)
    var tracker = SessionTracker()
    var closed = Event()
    var offset: UInt64 = 0
    for (index, text) in bytes.split(separator: 0x0a, omittingEmptySubsequences: false).enumerated() {
      defer { offset += UInt64(text.count) + 1 }
      guard !text.isEmpty else { continue }
      guard read < Limits.explainedEvents else {
        result.unread += 1
        continue
      }
      let origin = EventOrigin(source: 0, offset: offset, length: UInt32(clamping: text.count))
      _ = text.withUnsafeBytes { parser.parse($0, origin: origin, into: &event) }
      while tracker.nextExpired(asOf: event.time, into: &closed) { look(at: closed, "(end of a login attempt)") }
      tracker.observe(&event)
      line = index + 1
      read += 1
      look(at: event, String(decoding: text, as: UTF8.self))
    }
  }

  /// `recorded`: the rule that the event says has matched. It feeds correlations, as in `rules eval`.
  private mutating func look(at event: borrowing Event, _ text: String, recorded: String? = nil) {
    if let recorded {
      engine.evaluate(matchOf: recorded, event, at: event.time, into: &matches)
    } else {
      engine.evaluate(event, at: event.time, into: &matches)
    }
    let isMatch = matches.contains { $0.rule == ruleIndex }
    if isMatch { result.isMatch = true }
    var seen = ExplainedEvent(line: line, text: text, time: event.time, isMatch: isMatch, conditions: [])
    let conditions = RuleExplainer.conditions(of: rule)
    for report in engine.explain(rule: ruleIndex, event: event) where conditions.indices.contains(report.index) {
      let condition = conditions[report.index]
      var miss: NearMiss?
      if report.isHeld == false, !condition.isNegated, !report.isOtherLanguage, let value = report.value {
        miss = Array(value.utf8).withUnsafeBytes { NearMiss.longest(of: condition.test, in: $0) }
      }
      seen.conditions.append(ExplainedCondition(condition: condition, report: report, nearMiss: miss))
    }
    seen.methods = engine.explainMethod(rule: ruleIndex, event: event)
    if case .behavioral(let behavior) = rule.detection { seen.counted = tally.count(event, behavior, seen.conditions, line: line) }
    if case .correlation(let correlation) = rule.detection { note(matches, recorded, of: correlation, event) }
    result.events.append(seen)
  }

  private mutating func note(_ matches: [RuleMatch], _ recorded: String?, of correlation: CorrelationDetection, _ event: borrowing Event) {
    if result.sources.isEmpty {
      result.sources = correlation.sourceRules.map { ExplainedSource(alias: $0.alias, pattern: $0.ruleIDPattern, matches: []) }
    }
    let own = matches.filter { $0.rule != ruleIndex }.map { (id: rules[$0.rule].id, group: $0.group) }
    for (id, group) in own + (recorded.map { [(id: $0, group: [])] } ?? []) {
      for (i, source) in correlation.sourceRules.enumerated() where source.matches(id) {
        var keys: [String] = []
        for name in correlation.joinKeys.map(\.description) {
          keys.append(event.textValue(of: FieldReference(name: name)) ?? group.first { $0.field.description == name }?.value ?? "?")
        }
        result.sources[i].matches.append((line, id, keys))
      }
    }
  }
}

/// What a behavioral rule counts, worked out beside the engine in the plainest way, for at most `Limits.explainedEvents` events.
private struct Tally {
  private struct Entry {
    var time: EventTime
    var value: Int64
    var text: String
  }
  private struct Group {
    var shown: ExplainedGroup
    /// In units of the rule.
    var highest = Int64.min
    var entries: [Entry] = []
  }
  private var all: [Group] = []
  var groups: [ExplainedGroup] { all.map(\.shown) }

  mutating func count(_ event: borrowing Event, _ b: BehavioralDetection, _ conditions: [ExplainedCondition], line: Int) -> Counted {
    if let failed = conditions.first(where: { $0.report.isHeld != true }) {
      return .no("\(failed.condition.field) \(failed.report.value == nil ? "is not there" : "is not what the filter wants")")
    }
    var key: [String] = []
    for field in b.groupBy {
      guard let value = event.textValue(of: field) else { return .no("it has no \(field)") }
      key.append(value)
    }
    var entry = Entry(time: event.time, value: event.repeatCount, text: "")
    if let metric = b.metricField {
      guard let text = event.textValue(of: metric) else { return .no("it has no \(metric)") }
      entry.text = text
      if b.aggregation != .distinct_count {
        var copy = text
        guard let number = copy.withUTF8({ FixedPoint.read(Bytes($0), digits: b.digits) }) else { return .no("\(metric) is not a number") }
        if b.aggregation == .sum, number <= 0, b.digits == 0 { return .no("\(metric) is 0: it adds nothing") }
        entry.value = number
      }
    }
    add(entry, to: key, b, line: line)
    // A host of the IPv6 network counts for its /64 as well.
    if b.groupsIPv6ByNetwork, let at = b.groupBy.firstIndex(of: .known(.sourceIP)), let address = event.address(.sourceIP), !address.isV4 {
      var network = key
      network[at] = CIDR(address.masked(64), prefixLength: 64).description
      add(entry, to: network, b, line: line)
    }
    return .yes(
      group: key, value: b.aggregation == .distinct_count ? entry.text : "\(Measure(entry.value, digits: b.metricField == nil ? 0 : b.digits))")
  }

  private mutating func add(_ entry: Entry, to key: [String], _ b: BehavioralDetection, line: Int) {
    let index = all.firstIndex { $0.shown.values == key } ?? all.count
    if index == all.count { all.append(Group(shown: ExplainedGroup(values: key, counted: 0, highest: 0, line: line))) }
    all[index].entries.removeAll { $0.time <= entry.time - b.window }
    all[index].entries.append(entry)
    all[index].shown.counted += 1
    let now = aggregate(all[index].entries, b)
    if now > all[index].highest {
      all[index].highest = now
      all[index].shown.highest = b.observed(now)
      all[index].shown.line = line
    }
  }

  private func aggregate(_ entries: [Entry], _ b: BehavioralDetection) -> Int64 {
    // As in the engine, a sum that does not fit is the largest.
    func sum() -> Int64 { Int64(clamping: entries.reduce(Int128(0)) { $0 + Int128($1.value) }) }
    switch b.aggregation.rawValue {
    case "rate": return Int64(clamping: Int128(sum()) * 1_000_000_000_000 / Int128(max(1, b.window.count)))
    case "max": return entries.map(\.value).max() ?? 0
    case "distinct_count": return Int64(Set(entries.map(\.text)).count)
    case "avg": return sum() / Int64(max(1, entries.count))
    default: return sum()
    }
  }
}

extension Event {
  fileprivate func textValue(of field: FieldReference) -> String? {
    switch field {
    case .known(let known):
      var bytes: [UInt8] = []
      return appendText(of: known, to: &bytes) ? String(decoding: bytes, as: UTF8.self) : nil
    case .extra(let name):
      return Array(name.utf8).withUnsafeBytes { extra($0).map { String(decoding: $0, as: UTF8.self) } }
    }
  }
  fileprivate mutating func set(_ field: FieldReference, _ text: Bytes) {
    let kept = keep(text)
    switch field {
    case .known(let known): if known.kind == .text { set(known, kept) } else { _ = set(known, parsing: kept) }
    case .extra(let name): Array(name.utf8).withUnsafeBytes { setExtra($0, kept) }
    }
  }
}
