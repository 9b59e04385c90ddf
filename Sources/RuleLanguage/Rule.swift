// A checked rule: what remains of one ATR document once every problem in it has been reported. Pure data, no matching.
// Shapes and names follow the ATR standard (Agent-Threat-Rule/agent-threat-rules: SPEC.md, spec/atr-schema.yaml,
// spec/atr-correlation-v1.0.md); what is ours stands in docs/atr-host-profile.md.
// Invariants: `Expression` indexes only conditions that exist; durations are positive; names in `Correlation` resolve.
import Events
import Primitives

public enum Severity: String, Codable, Sendable, CaseIterable, Comparable {
  case informational, low, medium, high, critical
  public static func < (a: Severity, b: Severity) -> Bool { a.rank < b.rank }
  public var rank: Int {
    switch self {
    case .informational: 0
    case .low: 1
    case .medium: 2
    case .high: 3
    case .critical: 4
    }
  }
}

/// What a condition, filter, group or join key reads.
public enum FieldReference: Codable, Hashable, Sendable, CustomStringConvertible {
  case known(Field)
  /// A field outside the table, by its exact name.
  case extra(String)
  /// The seam for field aliases and `content` fall-backs of the full standard: all names pass here.
  public init(name: String) { self = Field(name: name).map(FieldReference.known) ?? .extra(name) }
  public var description: String {
    switch self {
    case .known(let field): "\(field.name)"
    case .extra(let name): name
    }
  }
}

/// One test of one field of one event.
public struct Condition: Codable, Sendable {
  public enum Test: Codable, Sendable {
    /// Any of the patterns matches (unanchored). PCRE2 syntax.
    case regex([String], caseSensitive: Bool)
    case contains([String], caseSensitive: Bool)
    case exact([String], caseSensitive: Bool)
    case startsWith([String], caseSensitive: Bool)
    case compare(Comparison, Int64)
    /// The field is present (true) or absent (false).
    case exists(Bool)
  }
  /// The key of a named condition; in a list its 1-based position.
  public var name: String
  public var field: FieldReference
  public var test: Test
  /// The negation of `test`; an absent field is then a match. Only filters write it (`not_in`, `ne`).
  public var isNegated: Bool
  public var description: String
  /// BCP 47: the condition is tested only on texts that LanguageDetection finds to be of this language. nil: on all.
  public var language: String?
  /// Filters: what the field must equal one of, where texts alone do not say it. `test` is then `exact`, and has what is written. nil: `test`
  /// says all.
  public var operands: [FilterOperand]?
  /// The author's operator, where it is one of SPEC.md 6.3: `test` may say it in another way. nil: it is not.
  public var operation: String?
  public var location: SourceLocation
  public init(name: String, field: FieldReference, test: Test, isNegated: Bool = false, description: String = "", location: SourceLocation) {
    self.name = name
    self.field = field
    self.test = test
    self.isNegated = isNegated
    self.description = description
    self.location = location
  }
}

public enum Comparison: String, Codable, Sendable, CaseIterable {
  case gt, lt, gte, lte, eq
  public func holds(_ a: Int64, _ b: Int64) -> Bool {
    switch self {
    case .gt: a > b
    case .lt: a < b
    case .gte: a >= b
    case .lte: a <= b
    case .eq: a == b
    }
  }
  public var symbol: String {
    switch self {
    case .gt: ">"
    case .lt: "<"
    case .gte: "≥"
    case .lte: "≤"
    case .eq: "="
    }
  }
}

/// How conditions combine. Indices are into the rule's `conditions`.
public indirect enum Expression: Codable, Hashable, Sendable {
  case condition(Int)
  case not(Expression)
  case all([Expression])
  case any([Expression])
}

/// `detection.method: behavioral`: an aggregate over a sliding window of event time, for each group.
public struct BehavioralDetection: Codable, Sendable {
  public enum Aggregation: String, Codable, Sendable, CaseIterable { case count, sum, avg, max, distinct_count, rate }
  /// What `operator: deviation_from_baseline` compares with.
  public struct Baseline: Codable, Sendable {
    public enum Source: String, Codable, Sendable, CaseIterable {
      case rolling_mean, historical_percentile, fixed
      /// The host profile's: the metric is a field that the host's own baseline fills (`baseline.logins`), and it is the deviation itself, in
      /// thousandths. The comparison is then `gte`, for negative thresholds `lte`.
      case hour_of_week
    }
    public enum Unit: String, Codable, Sendable, CaseIterable { case stddev, fraction }
    public var source: Source
    /// How far back the history goes; nil for a fixed baseline.
    public var lookback: Nanoseconds?
    /// historical_percentile: thousandths of a percent, above 0 and below 100,000.
    public var percentile: Int64
    /// fixed: in units of 10^-digits.
    public var value: Int64
    public var unit: Unit
    public init(source: Source, lookback: Nanoseconds? = nil, percentile: Int64 = 0, value: Int64 = 0, unit: Unit) {
      self.source = source
      self.lookback = lookback
      self.percentile = percentile
      self.value = value
      self.unit = unit
    }
  }
  /// The field that is aggregated (sum, avg, max, distinct_count); for count and rate only a name.
  public var metric: String
  public var metricField: FieldReference?
  public var aggregation: Aggregation
  /// A window holds events with time in (now - window, now].
  public var window: Nanoseconds
  public var comparison: Comparison
  /// In units of 10^-digits of the metric; with a baseline, thousandths of a deviation (negative: below it).
  public var threshold: Int64
  /// Decimals of the metric that are told apart: 3 for rate (events per second), 6 for fields whose values may be fractions, else 0.
  public var digits = 0
  /// With it, `comparison` means nothing (but for `hour_of_week`): see BaselineTable for what deviates.
  public var baseline: Baseline?
  /// Empty: one group for all events. An event that lacks one of the fields is not counted.
  public var groupBy: [FieldReference]
  /// IPv6 values of `source.ip` in `groupBy` are counted by /64 as well as singly.
  public var groupsIPv6ByNetwork: Bool
  /// Which events count: all of these, over the event before aggregation.
  public var filter: [Condition]
  public var filterExpression: Expression
  public var minEvents: Int64
  /// After a match the same group is silent for this long. nil: it matches again only after falling below the threshold.
  public var cooldown: Nanoseconds?
  public init(
    metric: String, metricField: FieldReference?, aggregation: Aggregation, window: Nanoseconds, comparison: Comparison, threshold: Int64,
    groupBy: [FieldReference], groupsIPv6ByNetwork: Bool, filter: [Condition], filterExpression: Expression, minEvents: Int64, cooldown: Nanoseconds?
  ) {
    self.metric = metric
    self.metricField = metricField
    self.aggregation = aggregation
    self.window = window
    self.comparison = comparison
    self.threshold = threshold
    digits = aggregation == .rate ? 3 : 0
    self.groupBy = groupBy
    self.groupsIPv6ByNetwork = groupsIPv6ByNetwork
    self.filter = filter
    self.filterExpression = filterExpression
    self.minEvents = minEvents
    self.cooldown = cooldown
  }
}

/// A correlation document (ATR-COR-...): matches of other rules that belong together.
public struct CorrelationDetection: Codable, Sendable {
  public struct SourceRule: Codable, Sendable {
    public var alias: String
    /// An exact id, or a glob (`rule_id_pattern`).
    public var ruleIDPattern: String
    public init(alias: String, ruleIDPattern: String) {
      self.alias = alias
      self.ruleIDPattern = ruleIDPattern
    }
  }
  public enum Logic: Codable, Sendable {
    /// Aliases in the order in which they must occur.
    case temporalSequence([String])
    case temporalUnordered([String])
    case countThreshold(alias: String, count: Int)
    /// At least two different aliases share the value of `field`.
    case valueOverlap([String], field: JoinKey)
    /// Each match names one before it in `evidence.upstream_chain`. Ordered: the aliases in this order along the references; else each
    /// of them somewhere along. `count`: how many linked matches it takes where there is one alias.
    case chainPropagation([String], isOrdered: Bool, count: Int)
  }
  public enum Window: Codable, Hashable, Sendable, CustomStringConvertible {
    case wallTime(Nanoseconds)
    /// Matches of at most `sessions` consecutive sessions of what the other join keys say; nil: however long that takes.
    case sessionChain(sessions: Int, wallTime: Nanoseconds?)
    /// Matches that `evidence.upstream_chain` links in at most `hops` steps from the first to the last.
    case chainDepth(hops: Int, wallTime: Nanoseconds?)
    /// No bound but memory.
    case unbounded
    /// Time that a chain may take; the longest there is where the window has no bound.
    public var time: Nanoseconds {
      switch self {
      case .wallTime(let time), .sessionChain(_, let time?), .chainDepth(_, let time?): time
      case .sessionChain, .chainDepth, .unbounded: Nanoseconds(.max)
      }
    }
    public var description: String {
      switch self {
      case .wallTime(let time): "\(time)"
      case .sessionChain(let count, let time): "\(count) sessions" + (time.map { " and \($0)" } ?? "")
      case .chainDepth(let count, let time): "\(count) hops" + (time.map { " and \($0)" } ?? "")
      case .unbounded: "any time"
      }
    }
  }
  public var sourceRules: [SourceRule]
  public var logic: Logic
  /// Equal in all events of one match. Empty: no joining.
  public var joinKeys: [JoinKey]
  public var window: Window
  /// `response.message_template`; `{alias.event_id}` and the like are filled in when the correlation matches.
  public var messageTemplate = ""
  public init(sourceRules: [SourceRule], logic: Logic, joinKeys: [JoinKey], window: Window) {
    self.sourceRules = sourceRules
    self.logic = logic
    self.joinKeys = joinKeys
    self.window = window
  }
  public init(sourceRules: [SourceRule], logic: Logic, joinKeys: [FieldReference], window: Nanoseconds) {
    self.init(sourceRules: sourceRules, logic: logic, joinKeys: joinKeys.map { JoinKey($0) }, window: .wallTime(window))
  }
}

public enum Detection: Codable, Sendable {
  case pattern(conditions: [Condition], expression: Expression)
  case behavioral(BehavioralDetection)
  case correlation(CorrelationDetection)
  case signature(SignatureDetection)
  case trace(TraceDetection)
  /// A method this engine does not run. Loaded, listed, never silent.
  case skipped(method: String, reason: String)
}

/// One embedded case: what goes in, and whether the rule must fire.
public struct TestCase: Codable, Sendable {
  public enum Group: String, Codable, Sendable, CaseIterable {
    case truePositive = "true_positives"
    case trueNegative = "true_negatives"
    case evasion = "evasion_tests"
  }
  public enum Input: Codable, Sendable {
    /// Raw log lines, parsed the way the daemon parses them. `{n}` becomes the 1-based repetition.
    case lines(String)
    /// Fields of one event, as a JSON object.
    case event(String)
    /// A file of raw log lines beside the rule.
    case stream(String)
  }
  public var group: Group
  /// Where the case stands in its document: "test_cases.true_positives[3]".
  public var path = ""
  public var input: Input
  /// The condition that must be among those that matched: its name, or its description word for word. nil: not stated, or only prose.
  public var matchedCondition: String?
  /// The whole input is played `count` times, event time moved on by `every` each time.
  public var count: Int
  public var every: Nanoseconds
  /// "auto", or a log format name.
  public var format: String
  public var expectsMatch: Bool
  public var description: String
  public var location: SourceLocation
  public init(
    group: Group, input: Input, count: Int = 1, every: Nanoseconds = .seconds(1), format: String = "auto", expectsMatch: Bool, description: String,
    location: SourceLocation
  ) {
    self.group = group
    self.input = input
    self.count = count
    self.every = every
    self.format = format
    self.expectsMatch = expectsMatch
    self.description = description
    self.location = location
  }
}

/// One key under `tags`.
public struct RuleTag: Codable, Hashable, Sendable {
  public var name: String
  public var values: [String]
  public init(name: String, values: [String]) {
    self.name = name
    self.values = values
  }
}

public struct Rule: Codable, Sendable {
  public var id: String
  public var title: String
  public var summary: String
  public var author: String
  public var date: String
  public var status: String
  public var maturity: String
  public var severity: Severity
  /// How sure a match of this rule alone makes us. ATR's top-level `confidence` (0...100, times ten), else tags.confidence (high 900, medium 700, low 400).
  public var confidence: Confidence
  /// False where the document says nothing, and `confidence` is the default.
  public var statesConfidence = true
  /// Whether the engine evaluates the rule: status and lane decide (see RuleLane.swift).
  public var isActive = true
  /// `tags.scan_target` as it is written, or empty. `isMeant(for:)` says what it means.
  public var scanTarget = ""
  /// "0.1", "1.0", "1.1", or empty.
  public var schemaVersion = ""
  /// Version of the rule itself. At least 1.
  public var version = 1
  /// The legacy `detection_tier`, or empty.
  public var detectionTier = ""
  /// The rule that a deprecated one gave way to, or empty.
  public var replacedBy = ""
  /// Regulatory mappings (`compliance`), as "framework:id", in the rule's order. References to frameworks are in `references`.
  public var compliance: [String] = []
  /// Top-level keys that the standard does not know, in the rule's order. They mean nothing here and stay in the document.
  public var unknownKeys: [String] = []
  /// Findings of `rules lint` that the author has looked at and does not want to see again. Host profile `panguard.lint.ignore`.
  public var ignoredFindings: [String] = []
  /// `agent_source.type`; the host profile adds host_log, host_network, host_process.
  public var agentSource: String
  public var category: String
  public var subcategory: String
  /// Every text under `tags`, in the rule's order: a text alone is a list of one. For profiles.
  public var tags: [RuleTag] = []
  public func tag(_ name: String) -> [String] { tags.first { $0.name == name }?.values ?? [] }
  /// `lifecycle.review_status`: unreviewed, community_reviewed, tsc_approved. Empty: not stated.
  public var reviewStatus = ""
  /// `response.auto_response_threshold`; empty where there is none.
  public var responseThreshold = ""
  /// ATT&CK technique ids ("T1110.001"), in the rule's order.
  public var techniques: [String]
  /// Every other reference, as "framework:id".
  public var references: [String]
  public var falsePositives: [String]
  public var responseActions: [String]
  /// Signal family of the confidence model. Host profile `panguard.family`; defaults to the category.
  public var family: String
  /// Evidence for innocence: its confidence counts against. Host profile `panguard.exculpatory: true`.
  public var isExculpatory: Bool
  public var detection: Detection
  /// `detection.selectors` with more than one test, whose conditions have names of their own; in the rule's order.
  public var selectors: [NamedSelector] = []
  /// The method that the rule declares, where another one stands in for it: "semantic" of a rule that is run by its patterns
  /// (`fallback_method: pattern`). Matches say so. nil: the rule is run as it is declared.
  public var fallbackOf: String?
  public var tests: [TestCase]
  public var location: SourceLocation
  /// Fingerprint of the document's bytes.
  public var fingerprint: Fingerprint

  public init(
    id: String, title: String, summary: String, author: String, date: String, status: String, maturity: String, severity: Severity,
    confidence: Confidence, agentSource: String, category: String, subcategory: String, techniques: [String], references: [String],
    falsePositives: [String], responseActions: [String], family: String, isExculpatory: Bool, detection: Detection, tests: [TestCase],
    location: SourceLocation, fingerprint: Fingerprint
  ) {
    self.id = id
    self.title = title
    self.summary = summary
    self.author = author
    self.date = date
    self.status = status
    self.maturity = maturity
    self.severity = severity
    self.confidence = confidence
    self.agentSource = agentSource
    self.category = category
    self.subcategory = subcategory
    self.techniques = techniques
    self.references = references
    self.falsePositives = falsePositives
    self.responseActions = responseActions
    self.family = family
    self.isExculpatory = isExculpatory
    self.detection = detection
    self.tests = tests
    self.location = location
    self.fingerprint = fingerprint
  }
}

/// All rules of one run, sorted by id, ids unique; and what was wrong with the rest.
public struct RuleSet: Codable, Sendable {
  public var rules: [Rule]
  public var diagnostics: [Diagnostic]
  /// Documents that were refused because of an error.
  public var refusedCount: Int
  /// The profiles that are active, at most `Limits.activeProfiles`; the rules are then those of all of them. Empty: every rule runs.
  public var profiles: [ResolvedProfile] = []
  public init(rules: [Rule], diagnostics: [Diagnostic], refusedCount: Int) {
    self.rules = rules
    self.diagnostics = diagnostics
    self.refusedCount = refusedCount
  }
}
