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
  public struct Failure: Sendable {
    public var ruleID: String
    public var group: TestCase.Group
    public var description: String
    public var location: SourceLocation
    public var reason: String
  }
  /// Rules that have at least one case, and those that have none.
  public var testedRules = 0
  public var untestedRules: [String] = []
  /// Rules whose method this engine does not run, with their cases: listed, not passed.
  public var skippedRules: [(id: String, reason: String, cases: Int)] = []
  public var passed = 0
  public var failures: [Failure] = []
  /// Cases that the rule documents itself as evasions that get through (expected: not_triggered).
  public var documentedEvasions = 0
  public var casesRun: Int { passed + failures.count }
  public init() {}
}

public struct RuleTester: ~Copyable {
  private let ruleSet: RuleSet
  private var engine: RuleEngine
  private var event = Event()
  private var derived = Event()
  private var matches: [RuleMatch] = []

  public init(_ ruleSet: RuleSet, cachedDatabase: [UInt8]? = nil) {
    self.ruleSet = ruleSet
    engine = RuleEngine(ruleSet, cachedDatabase: cachedDatabase)
  }

  /// Runs every case of every rule whose id passes `filter`. `progress` is told after each rule.
  public mutating func run(where filter: (Rule) -> Bool = { _ in true }, progress: (_ done: Int, _ of: Int) -> Void = { _, _ in }) -> RuleTestReport {
    var report = RuleTestReport()
    let disabled = Set(engine.diagnostics.filter { $0.severity == .error }.map(\.location.file))
    for (index, rule) in ruleSet.rules.enumerated() where filter(rule) {
      defer { progress(index + 1, ruleSet.rules.count) }
      if case .skipped(let method, let reason) = rule.detection {
        report.skippedRules.append((rule.id, "\(method): \(reason)", rule.tests.count))
        continue
      }
      guard !rule.tests.isEmpty else {
        report.untestedRules.append(rule.id)
        continue
      }
      report.testedRules += 1
      for test in rule.tests {
        let outcome = run(test, rule: index)
        if case .fired(let fired) = outcome, fired == test.expectsMatch {
          report.passed += 1
          if test.group == .evasion, !test.expectsMatch { report.documentedEvasions += 1 }
          continue
        }
        let reason: String
        switch outcome {
        case .fired(true): reason = "the rule fired, but must not"
        case .fired(false):
          reason = disabled.contains(rule.location.file) ? "the rule was refused by the engine; see `panguard rules lint`" : "the rule did not fire"
        case .cannotRun(let why): reason = why
        }
        report.failures.append(.init(ruleID: rule.id, group: test.group, description: test.description, location: test.location, reason: reason))
      }
    }
    return report
  }

  private enum Outcome {
    case fired(Bool)
    case cannotRun(String)
  }

  private mutating func run(_ test: TestCase, rule: Int) -> Outcome {
    engine.resetState()
    var lines: [[UInt8]]
    switch test.input {
    case .event(let json): return runEvent(json, test, rule: rule)
    case .lines(let text): lines = RuleTester.split(Array(text.utf8))
    case .stream(let path):  // beside the rule already: the loader has resolved it
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
        }
        tracker.observe(&event)
        engine.evaluate(event, at: event.time, into: &matches)
        if matches.contains(where: { $0.rule == rule }) { fired = true }
      }
    }
    return .fired(fired)
  }

  private mutating func runEvent(_ json: String, _ test: TestCase, rule: Int) -> Outcome {
    var fired = false
    var text = json
    for round in 1...max(1, test.count) {
      event.begin(raw: .none, origin: EventOrigin(source: 0, offset: UInt64(round), length: 0))
      event.time = .zero
      do {
        try text.withUTF8 { try event.setFields(fromJSON: Bytes($0)) }
      } catch {
        return .cannotRun("the case's event is not a JSON object: \(error)")
      }
      event.time = event.time + Nanoseconds(test.every.count.multipliedReportingOverflow(by: Int64(round - 1)).partialValue)
      engine.evaluate(event, at: event.time, into: &matches)
      if matches.contains(where: { $0.rule == rule }) { fired = true }
    }
    return .fired(fired)
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
        engine.evaluate(matchOf: id, event, at: event.time, into: &matches)
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
