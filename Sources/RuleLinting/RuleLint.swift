// What is not wrong but should not be shipped, and what is wrong though it loads. One call over a whole rule set: checks that look at
// one rule, checks that compare rules, and checks that run the real engine once over the harmless documents and the rules' own cases.
// What must stay true: the same rules, files and documents give the same findings in the same order; the cost is linear in the rules
// and texts but for comparisons of rules that share a field; nothing here decides anything at run time.
import Primitives
import RuleEngine
import RuleLanguage

public struct LintOptions {
  /// Harmless documents; empty: over-broad rules are not looked for.
  public var benign: [BenignDocument]
  /// Whether to disguise the true positives and see what gets through.
  public var looksForEvasions: Bool
  /// Whether to run PCRE2 on attack texts.
  public var confirmsAttacks: Bool
  public var ignored: [FindingKind]
  /// A rule file's bytes, to point into it; nil: only the places that the loader kept.
  public var readFile: (String) -> [UInt8]?

  public init(
    benign: [BenignDocument] = [], looksForEvasions: Bool = true, confirmsAttacks: Bool = true, ignored: [FindingKind] = [],
    readFile: @escaping (String) -> [UInt8]? = { _ in nil }
  ) {
    self.benign = benign
    self.looksForEvasions = looksForEvasions
    self.confirmsAttacks = confirmsAttacks
    self.ignored = ignored
    self.readFile = readFile
  }
}

public struct LintReport: Sendable {
  /// In the order of their places.
  public var findings: [LintFinding] = []
  /// Findings that a rule or the caller asked not to see.
  public var ignoredCount = 0
  /// Harmless documents, and those on which a rule fired that raises an alarm.
  public var benignDocuments = 0
  public var benignFlagged = 0
  public init() {}

  public func count(_ severity: Diagnostic.Severity) -> Int { findings.count { $0.severity == severity } }
  /// Of a thousand harmless documents, those that were flagged; rounded up, so that 0 means none.
  public var flaggedPerThousand: Int { benignDocuments == 0 ? 0 : (benignFlagged * 1000 + benignDocuments - 1) / benignDocuments }
}

public enum RuleLint {
  /// The findings about a set as it was loaded, those of loading included.
  public static func report(_ set: RuleSet, _ options: LintOptions) -> LintReport {
    var report = LintReport()
    var findings = set.diagnostics.map(fromLoading)
    var places = PatternPlaces(read: options.readFile)
    for rule in set.rules {
      findings += metadata(rule, set)
      findings += ConditionChecks.findings(rule, &places)
      findings += PatternChecks.findings(rule, confirmsAttacks: options.confirmsAttacks, &places)
    }
    removeRepeatedCounts(&findings)
    placeSkips(&findings, set)
    findings += sources(set) + idConflicts(set)
    findings += OverlapChecks.findings(set, &places)
    var trial = RuleTrial(set)
    findings += trial.engineDiagnostics.map { LintFinding(.refusedByEngine, "", $0.location, $0.message, hint: $0.hint, severity: $0.severity) }
    if !options.benign.isEmpty {
      let outcome = trial.benign(options.benign)
      findings += outcome.findings(set, &places)
      report.benignDocuments = options.benign.count
      report.benignFlagged = outcome.flagged
    }
    findings += trial.ownCases(looksForEvasions: options.looksForEvasions)
    let kept = findings.filter { !isIgnored($0, set, options.ignored) }
    report.ignoredCount = findings.count - kept.count
    report.findings = kept.sorted(by: LintFinding.order)
    return report
  }

  /// The checks that need no engine, no file and no text: what a rule says about itself.
  public static func metadata(_ set: RuleSet) -> [LintFinding] {
    (set.rules.flatMap { metadata($0, set) } + sources(set) + idConflicts(set)).sorted(by: LintFinding.order)
  }

  private static func isIgnored(_ finding: LintFinding, _ set: RuleSet, _ ignored: [FindingKind]) -> Bool {
    if ignored.contains(finding.kind) { return true }
    guard let rule = set.rule(finding.ruleID) else { return false }
    return rule.ignoredFindings.contains(finding.kind.id)
  }

  private static func fromLoading(_ diagnostic: Diagnostic) -> LintFinding {
    var kind: FindingKind = diagnostic.severity == .error ? .invalidRule : .questionableRule
    if diagnostic.severity == .note, CaseCountNote.isOne(diagnostic.message) { kind = .standardTestCount }
    return LintFinding(kind, "", diagnostic.location, diagnostic.message, hint: diagnostic.hint, severity: diagnostic.severity)
  }

  /// Loading counts a rule's cases as well; what is known of the rule itself, which can silence it, is what is said.
  private static func removeRepeatedCounts(_ findings: inout [LintFinding]) {
    let counted = Set(findings.filter { $0.kind == .standardTestCount && !$0.ruleID.isEmpty }.map(\.location))  // only looked up
    findings.removeAll { $0.kind == .standardTestCount && $0.ruleID.isEmpty && counted.contains($0.location) }
  }

  /// The last rule that begins at or before `place`; they are in order.
  private static func last(_ rules: [Rule], upTo place: SourceLocation) -> Rule? {
    var low = 0
    var high = rules.count
    while low < high {
      let middle = (low + high) / 2
      if place < rules[middle].location { high = middle } else { low = middle + 1 }
    }
    return low > 0 ? rules[low - 1] : nil
  }

  /// Loading says at the place for which a rule is skipped what is otherwise said of the rule as a whole: it is one finding, of the rule,
  /// at that place.
  private static func placeSkips(_ findings: inout [LintFinding], _ set: RuleSet) {
    let starts = Dictionary(grouping: set.rules, by: \.location.file).mapValues { $0.sorted { $0.location < $1.location } }  // only looked up
    var placed: Set<String> = []  // only asked for members
    for i in findings.indices where findings[i].kind == .questionableRule && SkipWarning.isOne(findings[i].message) {
      let place = findings[i].location
      guard let rule = last(starts[place.file] ?? [], upTo: place), case .skipped = rule.detection else { continue }
      findings[i].kind = .skippedRule
      findings[i].ruleID = rule.id
      placed.insert(rule.id)
    }
    // What else is of that kind is said of the whole rule.
    findings.removeAll { $0.kind == .skippedRule && placed.contains($0.ruleID) && !SkipWarning.isOne($0.message) }
  }
}

extension RuleSet {
  /// The rules are sorted by id.
  func rule(_ id: String) -> Rule? {
    var low = 0
    var high = rules.count
    while low < high {
      let middle = (low + high) / 2
      if rules[middle].id.utf8.lexicographicallyPrecedes(id.utf8) { low = middle + 1 } else { high = middle }
    }
    return low < rules.count && rules[low].id == id ? rules[low] : nil
  }
}

extension Rule {
  /// Conditions or filters, and how they combine; nothing for methods without any.
  var tested: (conditions: [Condition], expression: Expression)? {
    switch detection {
    case .pattern(let conditions, let expression): (conditions, expression)
    case .behavioral(let behavior): (behavior.filter, behavior.filterExpression)
    default: nil
    }
  }
  var isHostRule: Bool { agentSource.isEmpty || agentSource.hasPrefix("host_") }
}

// MARK: What a rule says about itself

extension RuleLint {
  private typealias Check = @Sendable (Rule, RuleSet) -> [LintFinding]
  private static let checks: [Check] = [
    tests, duplicateTests, references, falsePositives, confidence, unusedConditions, skipped, ignoredFindings,
  ]
  static func metadata(_ rule: Rule, _ set: RuleSet) -> [LintFinding] { checks.flatMap { $0(rule, set) } }

  /// DESIGN 7: what a rule needs before it is shipped. The standard's own count (SPEC 1.0, maturity `stable`) is a note.
  private static let wantedCases: [(group: TestCase.Group, count: Int)] = [(.truePositive, 2), (.trueNegative, 2), (.evasion, 1)]
  private static let standardCases = 5

  @Sendable private static func tests(_ rule: Rule, _: RuleSet) -> [LintFinding] {
    func found(_ group: TestCase.Group) -> Int { rule.tests.count { $0.group == group } }
    var findings = wantedCases.compactMap { group, count in
      found(group) < count
        ? LintFinding(.missingTests, rule.id, rule.location, "has \(found(group)) of at least \(count) \(group.rawValue)") : nil
    }
    let few = [TestCase.Group.truePositive, .trueNegative].filter { found($0) >= 2 && found($0) < standardCases }
    if !few.isEmpty, !rule.isHostRule {
      let counts = few.map { "\(found($0)) \($0.rawValue)" }.joined(separator: " and ")
      findings.append(LintFinding(.standardTestCount, rule.id, rule.location, "has \(counts); the standard asks for \(standardCases) of each"))
    }
    return findings
  }

  /// An evasion may repeat a near miss: both say that the rule does not fire there, each for its own reason.
  @Sendable private static func duplicateTests(_ rule: Rule, _: RuleSet) -> [LintFinding] {
    var first: [String: TestCase] = [:]  // only looked up
    var findings: [LintFinding] = []
    for test in rule.tests {
      let input =
        switch test.input {
        case .lines(let text): "lines \(text)"
        case .event(let json): "event \(json)"
        case .stream(let path): "stream \(path)"
        }
      let key = "\(test.count) \(test.every.count) \(test.format) \(input)"
      guard let earlier = first[key] else {
        first[key] = test
        continue
      }
      let isContradiction = earlier.expectsMatch != test.expectsMatch
      guard isContradiction || earlier.group == test.group else { continue }
      let words = isContradiction ? "expects the opposite of the same input" : "repeats the case"
      findings.append(
        LintFinding(
          .duplicateTest, rule.id, test.location, "this case \(words) at line \(earlier.location.line)",
          related: [.init(earlier.location, "the first of the two")]))
    }
    return findings
  }

  @Sendable private static func references(_ rule: Rule, _: RuleSet) -> [LintFinding] {
    let hasReference = !rule.techniques.isEmpty || rule.references.contains { $0.hasPrefix("mitre_atlas:") }
    return hasReference
      ? [] : [LintFinding(.missingReference, rule.id, rule.location, "has no ATT&CK or ATLAS reference", hint: "add references.mitre_attack")]
  }

  @Sendable private static func falsePositives(_ rule: Rule, _: RuleSet) -> [LintFinding] {
    rule.falsePositives.isEmpty
      ? [LintFinding(.missingFalsePositives, rule.id, rule.location, "names no false positives", hint: "add detection.false_positives")] : []
  }

  @Sendable private static func confidence(_ rule: Rule, _: RuleSet) -> [LintFinding] {
    rule.statesConfidence
      ? []
      : [
        LintFinding(
          .missingConfidence, rule.id, rule.location, "states no confidence and counts as \(rule.confidence)", hint: "add confidence: 0 to 100")
      ]
  }

  @Sendable private static func unusedConditions(_ rule: Rule, _: RuleSet) -> [LintFinding] {
    guard case .pattern(let conditions, let expression) = rule.detection else { return [] }
    let used = expression.conditionIndices
    return conditions.indices.filter { !used.contains($0) }.map {
      LintFinding(.unusedCondition, rule.id, conditions[$0].location, "condition '\(conditions[$0].name)' is not used by detection.condition")
    }
  }

  static func sources(_ set: RuleSet) -> [LintFinding] {
    let index = SourceRuleIndex(set)
    return set.rules.flatMap { rule -> [LintFinding] in
      guard case .correlation(let correlation) = rule.detection else { return [] }
      let unmatched = correlation.sourceRules.filter { !index.isMatched($0, besides: rule.id) }.map {
        LintFinding(.unmatchedSource, rule.id, rule.location, "source '\($0.alias)' (\($0.ruleIDPattern)) matches no rule")
      }
      return unmatched
        + (rule.isActive ? index.unfedSources(of: rule) : []).map {
          LintFinding(
            .unmatchedSource, rule.id, rule.location,
            "source '\($0.alias)' (\($0.pattern)) is not run, so the correlation can never match: \($0.reason)")
        }
    }
  }

  @Sendable private static func skipped(_ rule: Rule, _: RuleSet) -> [LintFinding] {
    guard case .skipped(let method, let reason) = rule.detection else { return [] }
    return [LintFinding(.skippedRule, rule.id, rule.location, "is skipped (method \(method)): \(reason)")]
  }

  @Sendable private static func ignoredFindings(_ rule: Rule, _: RuleSet) -> [LintFinding] {
    rule.ignoredFindings.filter { FindingKind(rawValue: $0) == nil }.map { id in
      let near = nearest(id, in: FindingKind.allCases.map(\.id)).map { "did you mean '\($0)'?" } ?? ""
      return LintFinding(.unknownFinding, rule.id, rule.location, "ignores '\(id)', which is no finding", hint: near)
    }
  }

  /// `ATR-2026-001` and `ATR-2026-00001` are one rule to a reader. Equal ids are an error of loading already.
  static func idConflicts(_ set: RuleSet) -> [LintFinding] {
    var first: [String: Rule] = [:]  // only looked up
    var findings: [LintFinding] = []
    for rule in set.rules {
      let plain = rule.id.lowercased().split(separator: "-").map { part in
        let digits = part.drop { $0 == "0" }
        return part.allSatisfy(\.isNumber) ? (digits.isEmpty ? "0" : String(digits)) : String(part)
      }.joined(separator: "-")
      guard let other = first[plain] else {
        first[plain] = rule
        continue
      }
      findings.append(
        LintFinding(
          .idConflict, rule.id, rule.location, "the id reads like \(other.id)", related: [.init(other.location, "\(other.id) is defined here")]))
    }
    return findings
  }
}
