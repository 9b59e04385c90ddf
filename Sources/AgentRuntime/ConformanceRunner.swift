// `panguard rules conformance`: every fixture of a suite directory through the real engine, judged as conformance/v1.0/SUITE.md says.
// What must stay true: nothing is passed silently. A fixture that the standard does not decide (it carries no input, its rule is a draft, it
// contradicts itself) is counted apart, with the reason; in the report it passes or fails by the letter of the suite. A fixture whose rule
// does not run here (it is not loaded, a profile or lane took it away, the engine skips it) has failed, whatever it expects: its input met
// no rule.
import Events
import Glibc
import Primitives
import RuleEngine
import RuleLanguage
import TypedYAML

public struct ConformanceResult: Sendable {
  public enum Observation: String, Sendable {
    case match
    case noMatch = "no_match"
    case gracefulError = "graceful_error"
    /// The engine died or hung: in one process with the harness this is only ever a runtime beyond the fixture's.
    case engineError = "engine_error"
    case harnessError = "harness_error"
  }
  public var category: ConformanceFixture.Category
  public var name: String
  public var ruleID: String
  public var expected: String
  public var observed: Observation
  /// By the letter of the suite.
  public var passed: Bool
  public var milliseconds: Int
  /// Why it failed; empty where it passed.
  public var failureReason = ""
  /// Why the standard does not decide this fixture; nil where it does.
  public var undecided: String?
  /// Rules that matched, by id.
  public var matches: [String] = []
  /// Why the fixture's rule does not run here; nil where it runs, where the standard keeps it from running, and where any rule is meant.
  public var ruleNotRun: String?
  /// What `graceful_error` was about.
  public var errors: [ConformanceError] = []
}

public struct ConformanceReport: Sendable {
  public enum Level: String, Sendable, CaseIterable { case L1, L2, L3 }
  public static let suiteVersion = "v1.0.0"
  public static let specVersion = "1.0.0"

  public var results: [ConformanceResult]
  /// Where the rules came from, as the operator named it.
  public var rules: String
  public var ruleCount: Int
  public var activeRuleCount: Int
  public var refusedRules: Int
  public var level: Level
  public var generatedAt: EventTime
  /// Fixtures of rules that do not run here are undecided instead of failed. No level can be claimed then.
  public var allowsMissing = false
  /// The active profiles, which have bounds of their own.
  public var profiles: [ResolvedProfile] = []

  public var hasHarnessErrors: Bool { results.contains { $0.observed == .harnessError } }
  /// Failures among the fixtures that the standard decides.
  public var failures: [ConformanceResult] { results.filter { !$0.passed && $0.undecided == nil } }
  public var undecided: [ConformanceResult] { results.filter { $0.undecided != nil } }
}

public struct ConformanceRunner: ~Copyable {
  private let rules: LoadedRules
  private var engine: RuleEngine
  private var event = Event()
  private var matches: [RuleMatch] = []
  private var indexOfID: [String: Int] = [:]
  private let allowsMissing: Bool

  /// `allowsMissing`: fixtures of rules that do not run here are undecided instead of failed, for a run over a part of the corpus.
  public init(_ rules: LoadedRules, allowsMissing: Bool = false) {
    self.rules = rules
    self.allowsMissing = allowsMissing
    engine = RuleEngine(rules.set)
    for (i, rule) in rules.set.rules.enumerated() { indexOfID[rule.id] = i }
  }

  /// `directory`: the suite's `fixtures`, or what holds it. Throws ConformanceFixture.Unreadable where there is no suite; a fixture that cannot
  /// be read is a result.
  public mutating func run(
    _ directory: String, level: ConformanceReport.Level, generatedAt: EventTime, progress: (_ done: Int, _ of: Int) -> Void = { _, _ in }
  ) throws -> ConformanceReport {
    let root = isDirectory("\(directory)/fixtures") ? "\(directory)/fixtures" : directory
    var places: [(category: ConformanceFixture.Category, name: String)] = []
    for category in ConformanceFixture.Category.allCases {
      for name in ConformanceRunner.names(in: "\(root)/\(category.rawValue)") { places.append((category, name)) }
    }
    guard !places.isEmpty else {
      throw ConformanceFixture.Unreadable(description: "\(directory): no fixture in tp, tn or edge below it")
    }
    var results: [ConformanceResult] = []
    for (i, place) in places.enumerated() {
      results.append(run("\(root)/\(place.category.rawValue)/\(place.name)", place.name, place.category))
      progress(i + 1, places.count)
    }
    var report = ConformanceReport(
      results: results, rules: rules.paths.joined(separator: ", "), ruleCount: rules.set.rules.count,
      activeRuleCount: rules.set.rules.count { $0.isActive }, refusedRules: rules.set.refusedCount, level: level, generatedAt: generatedAt)
    report.allowsMissing = allowsMissing
    report.profiles = rules.set.profiles
    return report
  }

  private static func names(in directory: String) -> [String] {
    (directoryNames(directory) ?? []).filter { !$0.hasPrefix(".") && isDirectory("\(directory)/\($0)") }
  }

  // MARK: One fixture

  private mutating func run(_ path: String, _ name: String, _ category: ConformanceFixture.Category) -> ConformanceResult {
    let fixture: ConformanceFixture
    do {
      fixture = try ConformanceFixture.read(path, name: name, category: category)
    } catch {
      return ConformanceResult(
        category: category, name: name, ruleID: "", expected: "", observed: .harnessError, passed: false, milliseconds: 0,
        failureReason: "the fixture cannot be read: \(error)")
    }
    guard ConformanceFixture.scanTargets.contains(fixture.scanTarget) else {
      return ConformanceResult(
        category: category, name: name, ruleID: fixture.ruleID, expected: fixture.expected, observed: .harnessError, passed: false, milliseconds: 0,
        failureReason: "scan_target '\(fixture.scanTarget)' is none of \(ConformanceFixture.scanTargets.joined(separator: ", "))")
    }
    let start = ConformanceRunner.milliseconds()
    let seen = evaluate(fixture)
    return judge(fixture, seen, milliseconds: ConformanceRunner.milliseconds() - start)
  }

  private struct Seen {
    /// By rule: how often it matched, and the names of the conditions that did.
    var counts: [Int: Int] = [:]
    var selectors: [Int: [String]] = [:]
    var errors: [Int: [ConformanceError]] = [:]
    var wasCut = false
  }

  private mutating func evaluate(_ fixture: ConformanceFixture) -> Seen {
    engine.resetState()
    var seen = Seen()
    let set = rules.set
    fixture.forEachEvent(&event) { event, path in
      if event.isTruncated { seen.wasCut = true }
      engine.evaluate(event, at: event.time, into: &matches)
      for match in matches where set.rules[match.rule].isMeant(for: path) {
        seen.counts[match.rule, default: 0] += 1
        seen.selectors[match.rule, default: []] += set.rules[match.rule].selectorNames(of: match.conditions)
      }
      for error in engine.takeGracefulErrors() where set.rules[error.rule].isMeant(for: path) {
        seen.errors[error.rule, default: []].append(ConformanceError(error.message))
      }
    }
    return seen
  }

  private func judge(_ fixture: ConformanceFixture, _ seen: Seen, milliseconds: Int) -> ConformanceResult {
    let rule = indexOfID[fixture.ruleID]
    let count = fixture.ruleID.isEmpty ? seen.counts.count : rule.flatMap { seen.counts[$0] } ?? 0
    var result = ConformanceResult(
      category: fixture.category, name: fixture.name, ruleID: fixture.ruleID, expected: fixture.expected, observed: count > 0 ? .match : .noMatch,
      passed: false, milliseconds: milliseconds, matches: seen.counts.keys.map { rules.set.rules[$0].id }.sorted())
    if count == 0 {
      result.errors = fixture.ruleID.isEmpty ? seen.errors.keys.sorted().flatMap { seen.errors[$0] ?? [] } : rule.flatMap { seen.errors[$0] } ?? []
      if seen.wasCut { result.errors.append(.cut) }
      if !result.errors.isEmpty { result.observed = .gracefulError }
    }
    if let limit = fixture.maximumMilliseconds, milliseconds > limit {
      result.observed = .engineError
      result.failureReason = "it took \(milliseconds) ms, more than \(limit)"
    }
    result.passed = ConformanceRunner.allows(fixture.expected, result.observed)
    if !result.passed, result.failureReason.isEmpty {
      result.failureReason = "expected \(fixture.expected), observed \(result.observed.rawValue)"
      if result.observed == .gracefulError, let first = result.errors.first { result.failureReason += " (\(first.message))" }
      if result.observed == .match, fixture.ruleID.isEmpty { result.failureReason += " of \(result.matches.prefix(8).joined(separator: ", "))" }
    }
    if fixture.category == .truePositive, result.passed { checkMatch(fixture, count, rule.flatMap { seen.selectors[$0] } ?? [], &result) }
    if result.passed, result.observed == .gracefulError, let reason = fixture.refusal(of: result.errors) {
      result.failureReason = reason
      result.passed = false
    }
    result.ruleNotRun = fixture.ruleID.isEmpty ? nil : notRun(fixture.ruleID, rule)
    if let reason = result.ruleNotRun {
      result.passed = false
      result.failureReason = reason
    }
    result.undecided = undecided(fixture, rule, result)
    return result
  }

  /// Why a rule that fixtures name does not run here. What the standard itself leaves out (drafts, rules that need a judge) is for `undecided`.
  private func notRun(_ id: String, _ index: Int?) -> String? {
    guard let index else {
      return "rule \(id) is not loaded" + (rules.set.profiles.isEmpty ? "" : ", or not in \(rules.set.profiles.map(\.name).joined(separator: ", "))")
    }
    let rule = rules.set.rules[index]
    guard rule.hasActiveStatus || rule.isActive else { return nil }
    if let reason = RuleSet.inactivity(of: rule) { return "rule \(id) does not run: \(reason)" }
    if case .skipped(let method, let reason) = rule.detection {
      return method == "semantic" ? nil : "rule \(id) is skipped (\(method)): \(reason)"
    }
    return engine.isEnabled(rule: index) ? nil : "rule \(id) is refused by the engine; see `panguard rules lint`"
  }

  private static func allows(_ expected: String, _ observed: ConformanceResult.Observation) -> Bool {
    switch expected {
    case "graceful_error_or_no_match": observed == .gracefulError || observed == .noMatch
    default: expected == observed.rawValue
    }
  }

  private func checkMatch(_ fixture: ConformanceFixture, _ count: Int, _ selectors: [String], _ result: inout ConformanceResult) {
    let missing = fixture.requiredSelectors.filter { !selectors.contains($0) }
    if count < fixture.minimumMatches {
      result.failureReason = "\(count) matches, fewer than \(fixture.minimumMatches)"
    } else if !missing.isEmpty {
      result.failureReason = "selectors \(missing.joined(separator: ", ")) are not among those that matched"
    }
    result.passed = result.failureReason.isEmpty
  }

  /// Why the standard does not decide a fixture. Sources: the suite's README, "Known gaps", and SUITE.md, "Adding a fixture".
  private func undecided(_ fixture: ConformanceFixture, _ rule: Int?, _ result: ConformanceResult) -> String? {
    if case .none = fixture.input, fixture.category != .edge {
      return "it carries no input, so nothing is tested (suite README, known gaps, 1)"
    }
    if !fixture.ruleID.isEmpty {
      if let reason = result.ruleNotRun { return allowsMissing ? "\(reason), which --allow-missing lets pass" : nil }
      guard let rule else { return nil }
      if let reason = RuleSet.inactivity(of: rules.set.rules[rule]) {
        return "\(reason): such rules are not evaluated (SUITE.md, adding a fixture, 1; README, known gaps, 2)"
      }
      if case .skipped("semantic", _) = rules.set.rules[rule].detection {
        return "method semantic needs a judge, and an engine without one skips it (atr-method-v1.1, 6)"
      }
    }
    guard !result.passed else { return nil }
    return KnownGaps.reason(fixture)
  }

  private static func milliseconds() -> Int {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec * 1000 + now.tv_nsec / 1_000_000
  }
}
