// What the engine says: matches, condition reports, limits that were hit, counters.
import Events
import Primitives
import RuleLanguage

/// One rule that matched on one event.
public struct RuleMatch: Sendable {
  /// Index into the rule set's `rules`.
  public var rule: Int
  /// Conditions that held, ascending (pattern rules).
  public var conditions: [Int]
  /// The values of `group_by` or of the join keys, in the rule's order. For a match on the /64 of an IPv6 address, `source.ip` is
  /// the network ("2001:db8::/64").
  public var group: [(field: FieldReference, value: String)]
  /// behavioral: the aggregate and its bound. correlation: matches and how many were needed. pattern: 1 and 1.
  public var observed: Int64
  public var threshold: Int64
  /// Oldest and newest event time behind the match.
  public var firstTime: EventTime
  public var lastTime: EventTime
  /// Oldest first, at most `Limits.evidencePerDecision`: first and last half kept. Lines joined to an event are among them.
  public var evidence: [EvidenceReference]
  /// How many lines there were in all.
  public var evidenceTotal: UInt64
  /// The lowest among the events behind the match. What the attested events of a window reach alone is an attested match of them, whatever
  /// claimed ones came between. In windows it may still be claimed when the last claimed event has just left.
  public var trust: Trust
  /// What rules of other methods than pattern say about the match.
  public var details = MatchDetails.none
  /// correlation: the matches that it joins, in the order of its logic.
  public var chain: [ChainPart] = []
  /// Of the rule set's active profiles those that it matched under, by bit; all bits where there are no profiles.
  public var profiles: UInt64 = .max

  public init(
    rule: Int, conditions: [Int], group: [(field: FieldReference, value: String)], observed: Int64, threshold: Int64, firstTime: EventTime,
    lastTime: EventTime, evidence: [EvidenceReference], evidenceTotal: UInt64, trust: Trust, profiles: UInt64 = .max
  ) {
    self.rule = rule
    self.conditions = conditions
    self.group = group
    self.observed = observed
    self.threshold = threshold
    self.firstTime = firstTime
    self.lastTime = lastTime
    self.evidence = evidence
    self.evidenceTotal = evidenceTotal
    self.trust = trust
    self.profiles = profiles
  }
}

/// What made a rule match, where it was not a condition.
public enum MatchDetails: Sendable {
  case none
  /// signature: indices into the rule's indicators, ascending. Their provenance stands in the rule.
  case indicators([Int])
  /// trace: what was violated, at most `Limits.traceFindings`, and how many violations there were in all.
  case spans([TraceFinding], total: Int)
  /// behavioral with a baseline: what was observed was measured by this.
  case baseline(BaselineReading)
  public var isNone: Bool { if case .none = self { true } else { false } }
}

/// One match inside a correlation.
public struct ChainPart: Hashable, Sendable {
  public var alias: String
  public var ruleID: String
  /// As the event names itself (`atr.event_id`, `event.id`), else derived from rule, time and place (see MatchIdentifier).
  public var eventID: String
  public var time: EventTime
}

/// `correlation_state_evicted`: a correlation had to forget matches that could still have become part of a detection.
public struct EvictionRecord: Hashable, Sendable {
  /// Index into the rule set's `rules`.
  public var rule: Int
  /// Of the event that needed the room.
  public var time: EventTime
  /// Matches that were forgotten.
  public var matchCount: Int
}

/// One condition (or filter) of one rule against one event.
public struct ConditionReport: Sendable {
  /// Index into the rule's conditions or filters.
  public var index: Int
  public var name: String
  public var field: FieldReference
  /// The field's value as text; nil if the event lacks it.
  public var value: String?
  /// nil: a limit was hit before the answer was known.
  public var isHeld: Bool?
  /// Bytes of the value that matched; nil where there is no such place (comparisons, negations, no match).
  public var span: Range<Int>?
  /// The pattern, needle or value of the condition that matched first.
  public var matched: String?
  /// The form of the text in which it matched, and that form where it is not the value; `span` is then a place in it.
  public var form = TextForm.given
  public var formText: String?
  /// For a condition with a language: the language that the value is in, "und" where none is known.
  public var textLanguage: String?
  public var isOtherLanguage = false

  mutating func forget() {
    span = nil
    matched = nil
    form = .given
    formText = nil
  }
}

/// What a condition is tested on, in this order.
public enum TextForm: String, Sendable {
  /// As the event has it; what is not UTF-8 is replaced.
  case given
  /// NFC without invisible characters.
  case normalised
  /// NFKC; only for conditions of another language than English.
  case compatibility
}

/// A confirmation that hit a limit: the rule could not be decided on this event.
public struct LimitRecord: Sendable {
  public var rule: Int
  public var time: EventTime
  public var event: EvidenceReference
}

/// Since the engine was made; all but the last group only grow.
public struct RuleEngineCounters: Sendable {
  public var events: UInt64 = 0
  /// Texts scanned for literals (a text is scanned once, whatever fields show it), and their bytes.
  public var prefilterScans: UInt64 = 0
  public var scannedBytes: UInt64 = 0
  /// Patterns of which a literal was found, over all texts.
  public var patternCandidates: UInt64 = 0
  /// Rules evaluated.
  public var candidates: UInt64 = 0
  /// Patterns run by PCRE2.
  public var confirmations: UInt64 = 0
  /// Of them, those that ran in the guarded form; and the steps that limits allowed all of them together, which bounds their cost.
  public var guardedConfirmations: UInt64 = 0
  public var allowedWork: UInt64 = 0
  public var matches: UInt64 = 0
  /// Events whose time lay before the newest one seen.
  public var lateEvents: UInt64 = 0
  /// Events that were checked against every rule, because the table of event kinds was full.
  public var unindexedEvents: UInt64 = 0
  /// By rule.
  public var limitHits: [UInt64] = []
  /// Groups or chains that were pushed out while they still held something, by rule.
  public var evictions: [UInt64] = []
  /// Rules that could not be evaluated on an event, and those among them whose record found no room.
  public var gracefulErrors: UInt64 = 0
  public var gracefulErrorsDropped: UInt64 = 0
  /// Combinations of join values beyond `Limits.joinCombinations`, which joined nothing.
  public var droppedJoinValues: UInt64 = 0
  /// Eviction records that found no room.
  public var evictionRecordsDropped: UInt64 = 0
  /// Limit records that found no room.
  public var limitRecordsDropped: UInt64 = 0

  /// Patterns without a literal: they are run on each event that has the field (and passes the rule's guards), unless a byte that
  /// they need is missing.
  public var unfilteredPatterns: Int = 0
  /// Forms of patterns compiled so far; of them, those that the JIT compiler refused: the interpreter runs them. And forms that PCRE2
  /// refused: their rules are undecided, and recorded.
  public var compiledPatterns: Int = 0
  public var interpretedPatterns: Int = 0
  public var refusedPatterns: Int = 0
  /// Now: groups, their memory, chains of correlations that have begun.
  public var groups: Int = 0
  public var windowBytes: Int = 0
  public var chains: Int = 0
}
