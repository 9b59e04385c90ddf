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
  /// The lowest among the events behind the match. In windows it may still be claimed when the last claimed event has just left.
  public var trust: Trust
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
  /// Fields scanned by the prefilter.
  public var prefilterScans: UInt64 = 0
  /// Rules evaluated.
  public var candidates: UInt64 = 0
  /// Patterns run by PCRE2.
  public var confirmations: UInt64 = 0
  public var matches: UInt64 = 0
  /// Events whose time lay before the newest one seen.
  public var lateEvents: UInt64 = 0
  /// Scans that failed; every pattern of the field was a candidate then.
  public var prefilterFailures: UInt64 = 0
  /// Events that were checked against every rule, because the table of event kinds was full.
  public var unindexedEvents: UInt64 = 0
  /// By rule.
  public var limitHits: [UInt64] = []
  /// Groups or chains that were pushed out while they still held something, by rule.
  public var evictions: [UInt64] = []
  /// Combinations of join values beyond `Limits.joinCombinations`, which joined nothing.
  public var droppedJoinValues: UInt64 = 0
  /// Eviction records that found no room.
  public var evictionRecordsDropped: UInt64 = 0
  /// Limit records that found no room.
  public var limitRecordsDropped: UInt64 = 0

  /// Patterns that no prefilter covers: they are run on each event that has the field (and passes the rule's guards).
  public var unfilteredPatterns: Int = 0
  /// Patterns that the JIT compiler refused: the interpreter runs them.
  public var interpretedPatterns: Int = 0
  /// Now: groups, their memory, chains of correlations that have begun.
  public var groups: Int = 0
  public var windowBytes: Int = 0
  public var chains: Int = 0
}
