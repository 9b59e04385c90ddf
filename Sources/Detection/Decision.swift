// What Panguard concluded, about whom, from what, and what it would do: the unit of every list, log and page.
// Pure data. Two runs over the same input make equal decisions, so nothing here comes from a clock, a counter of the process or a hash seed.
import Baseline
import Events
import Primitives
import RuleLanguage
import Scoring

/// Whom a decision is about. At least one part is there.
public struct Subject: Hashable, Sendable {
  /// An address ("192.0.2.7") or, for IPv6, also a network ("2001:db8:1:2::/64").
  public var source: String?
  public var user: String?
  public var session: String?
  public var host: String?
  public init(source: String? = nil, user: String? = nil, session: String? = nil, host: String? = nil) {
    self.source = source
    self.user = user
    self.session = session
    self.host = host
  }
  /// The most telling part: the source, else the user, else the session, else the host.
  public var label: String { source ?? user ?? session ?? host ?? "-" }
}

/// What would be done about it. The first issue's engine proposes only; see docs/confidence.md for the thresholds.
public enum ProposedAction: String, Sendable, CaseIterable, Comparable {
  case logOnly = "log_only"
  case notify
  case blockIP = "block_ip"
  private var rank: Int { self == .logOnly ? 0 : self == .notify ? 1 : 2 }
  public static func < (a: ProposedAction, b: ProposedAction) -> Bool { a.rank < b.rank }
}

/// One raw line, enough to fetch it again and to see that it is the same.
public struct EvidenceRecord: Hashable, Sendable {
  /// Name of the source as configured: a path, "journal", "-".
  public var source: String
  public var offset: UInt64
  public var length: UInt32
  public var time: EventTime
  public var fingerprint: Fingerprint
  public init(source: String, offset: UInt64, length: UInt32, time: EventTime, fingerprint: Fingerprint) {
    self.source = source
    self.offset = offset
    self.length = length
    self.time = time
    self.fingerprint = fingerprint
  }
}

/// With what a decision was made.
public struct Provenance: Hashable, Sendable {
  public var engineVersion: String
  /// Lower-case hexadecimal.
  public var ruleSetHash: String
  public var configurationHash: String
  /// Names what the baseline had learned before the event; "none" where it is switched off.
  public var baselineHash: String
  /// Names the confidence file (weights, caps, table); empty in records that are older than it.
  public var confidenceHash: String
  public init(engineVersion: String, ruleSetHash: String, configurationHash: String, baselineHash: String, confidenceHash: String = "") {
    self.engineVersion = engineVersion
    self.ruleSetHash = ruleSetHash
    self.configurationHash = configurationHash
    self.baselineHash = baselineHash
    self.confidenceHash = confidenceHash
  }
}

/// The state of one incident (one rule about one subject) when it opened or changed enough to say so again.
public struct Decision: Hashable, Sendable {
  /// Names the incident: the same in every record of it ("d" and 16 hexadecimal digits).
  public var id: String
  /// 1 for the record that opened the incident, then counting up.
  public var revision: Int
  /// Event time of the event that caused this record.
  public var time: EventTime
  public var subject: Subject
  public var ruleID: String
  public var ruleTitle: String
  public var severity: Severity
  public var category: String
  public var techniques: [String]
  public var confidence: Confidence
  /// They add up to the confidence's log-odds; the first is the prior.
  public var terms: [ConfidenceTerm]
  /// The lowest trust among the events behind this record.
  public var trust: Trust
  public var action: ProposedAction
  /// Why this action and not the next stronger or weaker one, as a sentence.
  public var actionReason: String
  /// Times the rule has matched in this incident.
  public var matchCount: UInt64
  /// The value that crossed its threshold in the last match (1 and 1 for pattern rules).
  public var observed: Measure
  public var threshold: Measure
  /// The first and the last event of the incident.
  public var firstTime: EventTime
  public var lastTime: EventTime
  /// What matched, for people: "5 failed attempts in 10m (threshold 5)", "url.path matches /\.env/".
  public var summary: String
  /// Oldest first, at most `Limits.evidencePerDecision`.
  public var evidence: [EvidenceRecord]
  /// Lines behind the last match, kept or not.
  public var evidenceTotal: UInt64
  public var provenance: Provenance
  /// "id@version" of the active profiles that the rule ran under; empty where none is active.
  public var profiles: [String] = []
  /// correlation: identifiers of the matches that it joins, in the order of its logic (`evidence.upstream_chain`).
  public var upstream: [String] = []
  /// `response.message_template`, filled in; empty where the rule has none.
  public var message = ""
  /// `agent.id` of the event; empty where it has none.
  public var agent = ""
  /// What the baseline knew, where the rule rests on it; empty for other rules.
  public var baseline: [BaselineKnowledge] = []
  /// What of the rule held in the last match, by name (see RuleMatch.selectors).
  public var selectors: [String] = []
  /// `agent.platform` and `agent.platform_version` of the event; empty where it has none.
  public var platform = ""
  public var platformVersion = ""
  /// Of a rule about agents: the field of the first condition that held, and bytes of what matched in it (of the whole value where the
  /// condition has no such place). Empty and 0 for other rules.
  public var matchedField = ""
  public var matchedBytes = 0

  public init(
    id: String, revision: Int, time: EventTime, subject: Subject, ruleID: String, ruleTitle: String, severity: Severity, category: String,
    techniques: [String], confidence: Confidence, terms: [ConfidenceTerm], trust: Trust, action: ProposedAction, actionReason: String,
    matchCount: UInt64, observed: Measure, threshold: Measure, firstTime: EventTime, lastTime: EventTime, summary: String,
    evidence: [EvidenceRecord], evidenceTotal: UInt64, provenance: Provenance
  ) {
    self.id = id
    self.revision = revision
    self.time = time
    self.subject = subject
    self.ruleID = ruleID
    self.ruleTitle = ruleTitle
    self.severity = severity
    self.category = category
    self.techniques = techniques
    self.confidence = confidence
    self.terms = terms
    self.trust = trust
    self.action = action
    self.actionReason = actionReason
    self.matchCount = matchCount
    self.observed = observed
    self.threshold = threshold
    self.firstTime = firstTime
    self.lastTime = lastTime
    self.summary = summary
    self.evidence = evidence
    self.evidenceTotal = evidenceTotal
    self.provenance = provenance
  }
}
