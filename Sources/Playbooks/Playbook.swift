// What the owner wants done about which decisions, checked and typed: a value that the planner can run without asking anything else.
// What must stay true: no playbook blocks without a time limit; nothing here names a shell, and every number is inside its range.
import Events
import Primitives
import RuleLanguage

/// One document of a playbook file.
public struct Playbook: Hashable, Sendable {
  public var id: String
  public var title: String
  public var summary: String
  /// 0...1000. The highest is asked first; of equals the one whose id sorts first.
  public var priority: Int
  public var isEnabled: Bool
  public var trigger: Trigger
  /// At least one.
  public var steps: [Step]
  public var escalation: Escalation
  /// How long a step is not repeated for the same subject.
  public var coolDown: Nanoseconds
  public var rate: RateCap
  public var approval: Approval
  public var tests: [PlaybookTest]
  public var location: SourceLocation
  /// Of the document's bytes.
  public var fingerprint: Fingerprint
}

/// Which decisions a playbook is for. Every part that is set must hold; within a list one of its entries.
public struct Trigger: Hashable, Sendable {
  /// Rule ids, or globs of `*` and `?`.
  public var rules: [String] = []
  public var categories: [String] = []
  /// ATT&CK ids. One without a dot means its sub-techniques too.
  public var techniques: [String] = []
  public var minimumSeverity: Severity?
  public var minimumConfidence: Confidence?
  public var minimumTrust: Trust?
  public var subjects: [SubjectKind] = []
  public init() {}
}

/// The most telling part of a decision's subject.
public enum SubjectKind: String, Hashable, Sendable, CaseIterable { case address, user, session, host }

/// The table of what a step can be. Unknown means refused.
public enum StepKind: String, Hashable, Sendable, CaseIterable, Codable {
  case blockIP = "block_ip"
  case unblockIP = "unblock_ip"
  case notify
  case captureEvidence = "capture_evidence"
  case killProcess = "kill_process"
  case quarantineFile = "quarantine_file"
  case disableAccount = "disable_account"
  case logOnly = "log_only"

  /// Changes the host or what it can reach: needs the confidence to act, evidence that may act, and a place in the rate.
  public var isDisruptive: Bool {
    switch self {
    case .blockIP, .unblockIP, .killProcess, .quarantineFile, .disableAccount: true
    case .notify, .captureEvidence, .logOnly: false
    }
  }
  /// Cannot be taken back, or hits a person of this host rather than a stranger: asks unless the playbook says `approval: automatic`.
  public var asksByDefault: Bool { self == .killProcess || self == .quarantineFile || self == .disableAccount }
}

public enum KillSignal: String, Hashable, Sendable, CaseIterable, Codable { case term = "TERM", kill = "KILL" }

/// RFC 5424 severities that a notification may have.
public enum NotificationLevel: String, Hashable, Sendable, CaseIterable, Codable { case alert, critical, error, warning, notice, info }

/// Whom to tell.
public enum Notification: Hashable, Sendable, Codable {
  /// The local syslog daemon.
  case syslog(NotificationLevel)
  /// A webhook of the configuration, by its name.
  case webhook(String)
  /// A program in the configured directory, by its name there; its arguments stand in `argv` as they are, no shell reads them.
  /// Arguments may hold placeholders (see NotificationPlaceholder).
  case executable(String, arguments: [String])
}

/// What a step does, before it is known to whom.
public enum StepAction: Hashable, Sendable {
  /// nil: as long as the playbook's escalation says.
  case blockIP(ttl: Nanoseconds?)
  case unblockIP
  case notify(Notification)
  /// At most so many of the lines that the decision names.
  case captureLines(limit: Int)
  case capturePackets(seconds: Int, bytes: Int)
  case killProcess(KillSignal)
  case quarantineFile
  case disableAccount
  case logOnly

  public var kind: StepKind {
    switch self {
    case .blockIP: .blockIP
    case .unblockIP: .unblockIP
    case .notify: .notify
    case .captureLines, .capturePackets: .captureEvidence
    case .killProcess: .killProcess
    case .quarantineFile: .quarantineFile
    case .disableAccount: .disableAccount
    case .logOnly: .logOnly
    }
  }
}

public struct Step: Hashable, Sendable {
  /// 1-based place in its playbook.
  public var number: Int
  public var action: StepAction
  /// Whether a person must agree, as the step, its playbook or the kind of action says.
  public var asks: Bool
  public var location: SourceLocation
}

/// How long a subject is blocked the first, second, ... time.
public struct Escalation: Hashable, Sendable {
  /// Never empty, never falling; beyond the last one the last one stays.
  public var blockFor: [Nanoseconds]
  /// Two blocks of a subject that are farther apart than this are both first ones.
  public var window: Nanoseconds
  public static let standard = Escalation(blockFor: [.minutes(10), .hours(1), .hours(24), .days(7)], window: .days(30))
}

/// How much a playbook may do. What goes beyond is refused and counted.
public struct RateCap: Hashable, Sendable {
  /// Actions in one minute of event time; actions that change something and others are counted apart.
  public var perMinute: Int
  /// Minutes in a row in which something was refused, after which the circuit breaker opens.
  public var trips: Int
  /// How long it stays open. Nothing of the playbook is done meanwhile.
  public var openFor: Nanoseconds
  public static let standard = RateCap(perMinute: 60, trips: 5, openFor: .minutes(10))
}

public struct Approval: Hashable, Sendable {
  public enum Mode: String, Hashable, Sendable, CaseIterable { case automatic, required }
  /// nil: as the kind of each step says.
  public var mode: Mode?
  /// A question that nobody has answered by then is answered with no.
  public var expiresAfter: Nanoseconds
  public static let standard = Approval(mode: nil, expiresAfter: .minutes(30))
}
