// The planner's answer to one decision: which playbook is for it, why each other is not, and what follows, step by step.
import Primitives

public enum ResponseMode: String, Hashable, Sendable, CaseIterable, Codable {
  /// Says what it would do. The shipped default.
  case observe
  case armed
}

/// Why a step is not done. Each is counted by its code.
public enum Refusal: Hashable, Sendable, CustomStringConvertible {
  /// The decision itself says why: an allowlist entry, an informational rule, a subject without an address.
  case notProposed(String)
  case belowThreshold(Confidence, threshold: Confidence)
  /// The evidence could have been forged, and nobody vouches for it.
  case claimed(String)
  case noTarget(String)
  case alreadyBlocked(until: EventTime)
  case coolDown(until: EventTime)
  /// By the id of the question.
  case alreadyAsked(String)
  case denied(until: EventTime)
  case approvalsFull
  case rateCap(perMinute: Int)
  case circuitOpen(until: EventTime)

  /// One word, for tests, counters and machines.
  public var code: String {
    switch self {
    case .notProposed: "not_proposed"
    case .belowThreshold: "below_threshold"
    case .claimed: "claimed"
    case .noTarget: "no_target"
    case .alreadyBlocked: "already_blocked"
    case .coolDown: "cool_down"
    case .alreadyAsked: "already_asked"
    case .denied: "denied"
    case .approvalsFull: "approvals_full"
    case .rateCap: "rate_cap"
    case .circuitOpen: "circuit_open"
    }
  }
  public var description: String {
    switch self {
    case .notProposed(let reason): reason
    case .belowThreshold(let confidence, let threshold): "confidence \(confidence) is below \(threshold), the threshold to notify"
    case .claimed(let reason): reason
    case .noTarget(let what): "the decision names no \(what)"
    case .alreadyBlocked(let until): "is blocked already, until \(until)"
    case .coolDown(let until): "was done for this subject a short while ago; not again before \(until)"
    case .alreadyAsked(let id): "waits for approval already, as \(id)"
    case .denied(let until): "the operator denied it for this subject; not asked again before \(until)"
    case .approvalsFull: "\(Limits.pendingApprovals) questions wait for approval already"
    case .rateCap(let perMinute): "the playbook has done \(perMinute) in this minute, which is its cap"
    case .circuitOpen(let until): "the playbook's circuit breaker is open until \(until): it was over its cap for too many minutes in a row"
    }
  }
}

public enum Disposition: Hashable, Sendable {
  /// observe: armed, it would have been done.
  case wouldDo
  /// observe: armed, the operator would have been asked.
  case wouldAsk
  case execute
  case awaitsApproval(id: String, expires: EventTime)
  case refused(Refusal)

  public var code: String {
    switch self {
    case .wouldDo: "would_do"
    case .wouldAsk: "would_ask"
    case .execute: "execute"
    case .awaitsApproval: "awaits_approval"
    case .refused: "refused"
    }
  }
}

public struct PlannedAction: Hashable, Sendable {
  /// 1-based place in the playbook.
  public var step: Int
  public var kind: StepKind
  /// nil where the decision names nobody to do it to.
  public var action: ResponseAction?
  public var disposition: Disposition
  /// 32 hexadecimal digits of the decision's id and revision, the playbook and the step: whoever carries it out does so once for each key.
  public var idempotencyKey: String
  /// What else is to be known, as a sentence: "block 2 of this subject within 30d"; empty where nothing.
  public var detail: String = ""

  /// What takes it back once it was done; nil where nothing can, or nothing need.
  public var rollback: ResponseAction? { action?.rollback }

  /// "execute block_ip 192.0.2.7/32 for 10m", "refuse block_ip (claimed)": what tests and simulations compare.
  public var line: String {
    let text = action?.text ?? kind.rawValue
    return switch disposition {
    case .wouldDo: "would \(text)"
    case .wouldAsk: "would ask \(text)"
    case .execute: "execute \(text)"
    case .awaitsApproval: "ask \(text)"
    case .refused(let refusal): "refuse \(kind.rawValue) (\(refusal.code))"
    }
  }
  /// The dry-run text, for people.
  public var sentence: String {
    let text = action?.text ?? kind.rawValue
    let told =
      switch disposition {
      case .wouldDo: "would do: \(text)"
      case .wouldAsk: "would ask the operator: \(text)"
      case .execute: "does: \(text)"
      case .awaitsApproval(let id, let expires): "asks the operator (\(id), until \(expires)): \(text)"
      case .refused(let refusal): "does not: \(text): \(refusal)"
      }
    return detail.isEmpty ? told : "\(told) (\(detail))"
  }
}

/// What one playbook says to a decision.
public struct Consideration: Hashable, Sendable {
  public enum Verdict: Hashable, Sendable {
    case matched
    /// What of its trigger does not hold.
    case unmet([String])
    /// It would match, but this one was asked first.
    case outranked(by: String)
    case switchedOff
  }
  public var playbook: String
  public var priority: Int
  public var verdict: Verdict

  /// "matched", or why not.
  public var sentence: String {
    switch verdict {
    case .matched: "matched"
    case .unmet(let reasons): reasons.joined(separator: "; ")
    case .outranked(let other): "would match, but \(other) is asked first"
    case .switchedOff: "is switched off"
    }
  }
}

public struct Plan: Hashable, Sendable {
  public var decisionID: String
  public var decisionRevision: Int
  public var time: EventTime
  public var mode: ResponseMode
  /// nil: no playbook is for it, and nothing follows but its record.
  public var playbook: String?
  /// In the order of its steps.
  public var actions: [PlannedAction]
}

/// A question to the operator.
public struct PendingApproval: Hashable, Sendable, Codable {
  /// "a" and 16 hexadecimal digits.
  public var id: String
  public var decisionID: String
  public var decisionRevision: Int
  public var ruleID: String
  public var playbook: String
  public var step: Int
  public var kind: StepKind
  public var action: ResponseAction
  public var idempotencyKey: String
  /// Why a person is asked.
  public var reason: String
  public var askedAt: EventTime
  public var expiresAt: EventTime
  /// Whom the planner's memory has this under.
  var offender: Fingerprint
  var repetition: Fingerprint
}

/// An action that was given out and whose outcome nobody has told yet.
public struct UnansweredAction: Hashable, Sendable, Codable {
  public var idempotencyKey: String
  public var decisionID: String
  public var playbook: String
  public var step: Int
  public var action: ResponseAction
  public var plannedAt: EventTime
  var offender: Fingerprint
}
