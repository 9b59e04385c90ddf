// Runs the cases that rules carry: real parsers, real engine, fresh state for each case. The number of cases that ran is part of
// the result, because "no case failed" says nothing when none was run.
import Events
import Glibc
import LogParsers
import Primitives
import RuleEngine
import RuleLanguage
import TypedYAML

public struct RuleTestReport: Sendable {
  public enum Outcome: Sendable, Equatable {
    case passed
    /// An evasion that the rule documents as getting through, and does.
    case documentedEvasion
    /// An evasion that the rule documents as getting through, and that fires all the same: no failure, the engine sees more than the author.
    case caughtEvasion
    case failed(String)
    /// Not run, for this reason. Never a pass.
    case skipped(String)
  }
  public struct Result: Sendable {
    /// Index into the rules that were tested.
    public var rule: Int
    public var ruleID: String
    public var category: String
    public var group: TestCase.Group
    /// Where the case stands in its document: "test_cases.true_positives[3]".
    public var path: String
    public var expectsMatch: Bool
    public var description: String
    public var location: SourceLocation
    public var outcome: Outcome
    /// Whether the rule fired; nil where the case did not run.
    public var fired: Bool?
  }
  public struct Failure: Sendable {
    public var ruleID: String
    public var group: TestCase.Group
    public var description: String
    public var location: SourceLocation
    public var reason: String
  }
  /// Every case of every rule that was looked at, in the order of the rules.
  public var results: [Result] = []
  /// Rules that have at least one case, and those that have none.
  public var testedRules = 0
  public var untestedRules: [String] = []
  /// Rules whose method this engine does not run, with their cases: listed, not passed.
  public var skippedRules: [(id: String, reason: String, cases: Int)] = []
  public init() {}

  /// Without evasions that the rule says get through: there is nothing to pass. Passed, failed and both kinds of evasions are all that ran.
  public var passed: Int { results.count { $0.outcome == .passed } }
  public var documentedEvasions: Int { results.count { $0.outcome == .documentedEvasion } }
  public var caughtEvasions: Int { results.count { $0.outcome == .caughtEvasion } }
  public var failures: [Failure] {
    results.compactMap { result in
      guard case .failed(let reason) = result.outcome else { return nil }
      return Failure(ruleID: result.ruleID, group: result.group, description: result.description, location: result.location, reason: reason)
    }
  }
  /// All but the skipped ones: a case that cannot be run is a failure.
  public var casesRun: Int { results.count { if case .skipped = $0.outcome { false } else { true } } }
}

public struct RuleTester: ~Copyable {
  private let ruleSet: RuleSet
  private var engine: RuleEngine
  private var event = Event()
  private var derived = Event()
  private var matches: [RuleMatch] = []
  /// Of the current case: matches of the correlation's source rules, recorded or made.
  private var sourceMatches = 0

  /// Drafts and deprecated rules are tested like all others: the cases are for those who write them.
  public init(_ ruleSet: RuleSet, cachedDatabase: [UInt8]? = nil) {
    var all = ruleSet
    all.activate(lane: .hunt, includesInactive: true)
    self.ruleSet = all
    engine = RuleEngine(all, cachedDatabase: cachedDatabase)
  }

  /// Runs every case of every rule whose id passes `filter`. `progress` is told after each rule.
  public mutating func run(where filter: (Rule) -> Bool = { _ in true }, progress: (_ done: Int, _ of: Int) -> Void = { _, _ in }) -> RuleTestReport {
    var report = RuleTestReport()
    let refused = Set(engine.diagnostics.filter { $0.severity == .error }.map(\.location.file))
    for (index, rule) in ruleSet.rules.enumerated() where filter(rule) {
      defer { progress(index + 1, ruleSet.rules.count) }
      var reason: String?
      if case .skipped(let method, let why) = rule.detection {
        reason = "\(method): \(why)"
        report.skippedRules.append((rule.id, reason!, rule.tests.count))
      } else if rule.tests.isEmpty {
        report.untestedRules.append(rule.id)
      } else {
        report.testedRules += 1
      }
      for test in rule.tests {
        var result = RuleTestReport.Result(
          rule: index, ruleID: rule.id, category: rule.category, group: test.group, path: test.path, expectsMatch: test.expectsMatch,
          description: test.description, location: test.location, outcome: .skipped(reason ?? ""))
        if reason == nil { judge(outcome(of: test, rule: index), test, isRefused: refused.contains(rule.location.file), into: &result) }
        report.results.append(result)
      }
    }
    return report
  }

  private func judge(_ outcome: Outcome, _ test: TestCase, isRefused: Bool, into result: inout RuleTestReport.Result) {
    switch outcome {
    case .cannotRun(let why): result.outcome = .failed(why)
    case .otherCondition(let names):
      result.fired = true
      result.outcome = .failed("the rule fired, but not by condition '\(test.matchedCondition ?? "")': it was \(names)")
    case .fired(let fired):
      result.fired = fired
      switch (fired, test.expectsMatch) {
      case (true, true), (false, false): result.outcome = test.group == .evasion && !fired ? .documentedEvasion : .passed
      case (true, false): result.outcome = test.group == .evasion ? .caughtEvasion : .failed("the rule fired, but must not")
      case (false, true):
        result.outcome = .failed(isRefused ? "the rule was refused by the engine; see `panguard rules lint`" : "the rule did not fire")
      }
    }
  }

  private enum Outcome {
    case fired(Bool)
    /// It fired, but not by the condition that the case names.
    case otherCondition(String)
    case cannotRun(String)
  }

  /// The condition that a case names, if it names one of the rule's: by name, or by its description word for word. Authors also write prose there.
  /// A selector of several tests is all of them.
  private func namedConditions(_ test: TestCase, rule: Int) -> [Int]? {
    guard let wanted = test.matchedCondition, test.expectsMatch, case .pattern(let conditions, _) = ruleSet.rules[rule].detection else { return nil }
    if let selector = ruleSet.rules[rule].selectors.first(where: { $0.name == wanted }) { return selector.conditions }
    return conditions.firstIndex { $0.name == wanted || !$0.description.isEmpty && $0.description == wanted }.map { [$0] }
  }

  /// A rule that could not be evaluated on its case has neither fired nor been silent: SPEC.md 6 tells the two apart, and so do cases.
  private mutating func outcome(of test: TestCase, rule: Int) -> Outcome {
    sourceMatches = 0
    let droppedBefore = engine.errorsDropped
    let outcome = run(test, rule: rule)
    let error = engine.takeGracefulErrors().first { $0.rule == rule }
    let hitLimit = engine.takeLimitRecords().contains { $0.rule == rule }
    guard case .fired(false) = outcome else { return outcome }
    if let error { return .cannotRun("the rule could not be evaluated: \(error.message)") }
    if hitLimit { return .cannotRun("the rule could not be decided: \(RuleEvaluator.limitMessage)") }
    if engine.errorsDropped > droppedBefore { return .cannotRun("more rules could not be evaluated than are told, and this may be one of them") }
    if case .stream = test.input, case .correlation = ruleSet.rules[rule].detection, sourceMatches == 0 {
      return .cannotRun("no line of the stream is, or causes, a match of a source rule: the case would prove nothing")
    }
    return outcome
  }
  /// Counts what a correlation could have joined.
  private mutating func note(_ matches: [RuleMatch], for rule: Int) {
    guard case .correlation(let correlation) = ruleSet.rules[rule].detection else { return }
    for match in matches where match.rule != rule {
      if correlation.sourceRules.contains(where: { $0.matches(ruleSet.rules[match.rule].id) }) { sourceMatches += 1 }
    }
  }

  private mutating func run(_ test: TestCase, rule: Int) -> Outcome {
    engine.resetState()
    if test.isPlaceholder { return .cannotRun(TestPlaceholder.reason) }
    var lines: [[UInt8]]
    switch test.input {
    case .event(let json):
      guard case .behavioral(let behavior) = ruleSet.rules[rule].detection else { return runEvent(json, test, rule: rule) }
      switch AggregateCase.read(json, behavior) {
      case .other: return runEvent(json, test, rule: rule)
      case .aggregate(let aggregate): return run(aggregate, rule: rule)
      case .unsupported(let why): return .cannotRun(why)
      }
    case .lines(let text): lines = RuleTester.split(Array(text.utf8))
    case .stream(let given):
      let path = StreamFile.path(given, of: ruleSet.rules[rule])
      switch readDocumentFile(path, limit: 64 * Limits.documentBytes) {
      case .success(let bytes): lines = RuleTester.split(bytes)
      case .failure(let error): return .cannotRun("\(path): \(error.diagnostic.message)")
      }
    }
    if let matches = MatchStream.ordered(lines) { return runMatches(matches, test, rule: rule) }
    if lines.isEmpty { lines = [[]] }
    guard let format = LogFormat(rawValue: test.format) else { return .cannotRun("unknown log format '\(test.format)'") }
    // A year-less stamp is read as 2026, so that a case means the same whenever it is run.
    let inputTime = EventTime(year: 2026, month: 12, day: 31, hour: 23, minute: 59, second: 59) ?? .zero
    var parser = LogParser(format: format, inputTime: inputTime)
    var tracker = SessionTracker()
    var fired = false
    var offset: UInt64 = 0
    for round in 1...max(1, test.count) {
      let shift = Nanoseconds(test.every.count.multipliedReportingOverflow(by: Int64(round - 1)).partialValue)
      for line in lines {
        let text = RuleTester.expand(line, round: round)
        let origin = EventOrigin(source: 0, offset: offset, length: UInt32(clamping: text.count))
        offset += UInt64(text.count) + 1
        _ = text.withUnsafeBytes { parser.parse($0, origin: origin, into: &event) }
        event.time = event.time + shift
        while tracker.nextExpired(asOf: event.time, into: &derived) {
          engine.evaluate(derived, at: derived.time, into: &matches)
          if matches.contains(where: { $0.rule == rule }) { fired = true }
          note(matches, for: rule)
        }
        tracker.observe(&event)
        engine.evaluate(event, at: event.time, into: &matches)
        note(matches, for: rule)
        if matches.contains(where: { $0.rule == rule }) { fired = true }
      }
    }
    return .fired(fired)
  }

  private mutating func run(_ aggregate: AggregateCase, rule: Int) -> Outcome {
    var fired = false
    let first = aggregate.isInCooldown ? -aggregate.count : 0
    for i in first..<aggregate.count {
      event.begin(raw: .none, origin: EventOrigin(source: 0, offset: UInt64(i - first), length: 0))
      event.time = EventTime.zero + Nanoseconds(aggregate.step.count * Int64(i - first))
      aggregate.fill(&event)
      engine.evaluate(event, at: event.time, into: &matches)
      if i >= 0, matches.contains(where: { $0.rule == rule }) { fired = true }
    }
    return .fired(fired)
  }

  private mutating func runEvent(_ json: String, _ test: TestCase, rule: Int) -> Outcome {
    var fired = false
    for round in 1...max(1, test.count) {
      event.begin(raw: .none, origin: EventOrigin(source: 0, offset: UInt64(round), length: 0))
      event.time = .zero
      do {
        try RuleTester.expand(Array(json.utf8), round: round).withUnsafeBytes { try event.setFields(fromJSON: $0) }
      } catch {
        return .cannotRun("the case's event is not a JSON object: \(error)")
      }
      if case .behavioral(let detection) = ruleSet.rules[rule].detection, let decided = MetricSnapshot.decide(detection, event) {
        return .fired(decided)
      }
      event.time = event.time + Nanoseconds(test.every.count.multipliedReportingOverflow(by: Int64(round - 1)).partialValue)
      engine.evaluate(event, at: event.time, into: &matches)
      guard let match = matches.first(where: { $0.rule == rule }) else { continue }
      fired = true
      if let named = namedConditions(test, rule: rule), !hold(named, rule: rule) {
        return .otherCondition(ruleSet.rules[rule].selectorNames(of: match.conditions).map { "'\($0)'" }.joined(separator: ", "))
      }
    }
    return .fired(fired)
  }
  /// Whether the conditions themselves hold for the current event: a match need not name every condition that does.
  private func hold(_ conditions: [Int], rule: Int) -> Bool {
    let held = engine.explain(rule: rule, event: event).filter { $0.isHeld == true }.map(\.index)
    return conditions.allSatisfy(held.contains)
  }

  /// Recorded matches of other rules, in the order of their time.
  private mutating func runMatches(_ lines: [[UInt8]], _ test: TestCase, rule: Int) -> Outcome {
    var fired = false
    var number: UInt64 = 0
    for round in 1...max(1, test.count) {
      for line in lines {
        number += 1
        let text = RuleTester.expand(line, round: round)
        event.begin(raw: .none, origin: EventOrigin(source: 0, offset: number, length: 0))
        event.time = .zero
        do {
          try text.withUnsafeBytes { try event.setFields(fromJSON: $0) }
        } catch {
          return .cannotRun("match \(number) of the stream is not a JSON object: \(error)")
        }
        event.time = event.time + Nanoseconds(test.every.count.multipliedReportingOverflow(by: Int64(round - 1)).partialValue)
        guard let id = MatchStream.ruleID(of: event) else { continue }
        if case .correlation(let correlation) = ruleSet.rules[rule].detection, correlation.sourceRules.contains(where: { $0.matches(id) }) {
          sourceMatches += 1
        }
        engine.evaluate(matchOf: id, event, at: event.time, into: &matches)
        note(matches, for: rule)
        if matches.contains(where: { $0.rule == rule }) { fired = true }
      }
    }
    return .fired(fired)
  }

  private static func split(_ text: [UInt8]) -> [[UInt8]] {
    var lines = text.split(separator: 0x0a, omittingEmptySubsequences: false).map(Array.init)
    if lines.last?.isEmpty == true { lines.removeLast() }
    return lines
  }
  /// `{n}` is the 1-based repetition.
  private static func expand(_ line: [UInt8], round: Int) -> [UInt8] {
    let mark: [UInt8] = [0x7b, 0x6e, 0x7d]
    guard line.count >= 3, line.contains(0x7b) else { return line }
    var out: [UInt8] = []
    var i = 0
    while i < line.count {
      if i + 3 <= line.count, line[i] == mark[0], line[i + 1] == mark[1], line[i + 2] == mark[2] {
        out.append(decimal: Int64(round))
        i += 3
      } else {
        out.append(line[i])
        i += 1
      }
    }
    return out
  }
}
