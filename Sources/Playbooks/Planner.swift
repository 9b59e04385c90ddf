// From a decision to typed actions: a struct that takes what happened and says what follows. No clock, file, socket, randomness or hash
// order in it; whoever owns it carries the actions out and tells it how they went.
//
// What must stay true:
// - Nothing disruptive is handed out (`execute`) unless the mode is armed, the confidence reaches the threshold to act, the evidence may act
//   (TrustPolicy), and the playbook does not want a person to agree; a block also needs the decision's own proposal to block.
// - A block always has a time limit, of at most `Limits.playbookBlockSeconds`.
// - The same state and the same calls give the same answers, in every process; `restore(snapshot())` changes nothing.
// What is protected is not known here: the enforcer refuses, and `note(.refused)` brings that back.
import Detection
import Events
import Primitives
import RuleLanguage
import Scoring

public struct PlannerConfiguration: Sendable {
  public var mode: ResponseMode
  /// From here on a playbook may act by itself; the detector's own.
  public var actThreshold: Confidence
  /// From here on it may notify, and ask; the detector's own.
  public var notifyThreshold: Confidence
  /// Whether the configuration vouches for evidence that any local user could have forged.
  public var claimedMayAct: Bool
  /// How signals add up; the detector's own.
  public var confidence: ConfidenceModel
  public init(mode: ResponseMode = .observe, claimedMayAct: Bool = false, thresholds: DetectorConfiguration = DetectorConfiguration()) {
    self.mode = mode
    actThreshold = thresholds.actThreshold
    notifyThreshold = thresholds.notifyThreshold
    self.claimedMayAct = claimedMayAct
    confidence = thresholds.confidence
  }
}

/// How an action that was handed out went.
public enum ActionOutcome: Hashable, Sendable {
  case done
  /// By whoever was to do it, for a reason of its own: the enforcer's protected set.
  case refused
  case failed
}

public struct PlannerCounters: Hashable, Sendable, Codable {
  public var decisions: UInt64 = 0
  /// Decisions that no playbook is for.
  public var unmatched: UInt64 = 0
  public var executed: UInt64 = 0
  public var wouldHaveExecuted: UInt64 = 0
  public var asked: UInt64 = 0
  public var approved: UInt64 = 0
  public var denied: UInt64 = 0
  public var expired: UInt64 = 0
  /// Refusals by their code: those that guard, those that avoid repetition, those by a limit.
  public var refusedByPolicy: UInt64 = 0
  public var refusedAsRepetition: UInt64 = 0
  public var refusedByRate: UInt64 = 0
  public var refusedAsFull: UInt64 = 0
  /// What was handed out and others refused or failed to do.
  public var refusedElsewhere: UInt64 = 0
  public var failedElsewhere: UInt64 = 0
  /// Forgotten for want of room, see Limits.
  public var forgottenOffenders: UInt64 = 0
  public var forgottenCoolDowns: UInt64 = 0
  public var forgottenActions: UInt64 = 0
}

public enum ApprovalAnswer: Hashable, Sendable {
  /// To be carried out now.
  case approved(PlannedAction)
  case denied(PendingApproval)
  case expired(PendingApproval)
  case unknown
  /// So many questions begin with this id.
  case ambiguous(Int)
}

public struct Planner: ~Copyable {
  public private(set) var playbooks: PlaybookSet
  public private(set) var configuration: PlannerConfiguration
  var counted = PlannerCounters()
  /// Each mode has a memory of its own: what was only observed must neither lengthen nor prevent the first real block.
  var observed = PlannerMemory()
  var armed = PlannerMemory()
  /// In the order in which they were asked.
  public internal(set) var pendingApprovals: [PendingApproval] = []
  var handedOut = BoundedTable<String, UnansweredAction>(capacity: Limits.unansweredActions)

  /// `playbooks` must be without errors: what is missing from a set may be what was to ask first.
  public init(_ playbooks: PlaybookSet, configuration: PlannerConfiguration = PlannerConfiguration()) {
    self.playbooks = playbooks
    self.configuration = configuration
  }

  public var counters: PlannerCounters {
    var all = counted
    all.forgottenOffenders += observed.offenders.evictions + armed.offenders.evictions
    all.forgottenCoolDowns += observed.coolDowns.evictions + armed.coolDowns.evictions
    all.forgottenActions += handedOut.evictions
    return all
  }

  /// Actions that were handed out and never answered, the oldest first: after a crash they are carried out again, under the same key.
  public var unanswered: [UnansweredAction] {
    var all: [UnansweredAction] = []
    handedOut.forEachOldestFirst { all.append($1) }
    return all
  }

  // MARK: Decisions

  /// What follows from `decision`; remembers it. `targets`: what the decision does not name itself.
  public mutating func plan(_ decision: Decision, targets: ResponseTargets = ResponseTargets()) -> Plan {
    counted.decisions += 1
    var plan = Plan(
      decisionID: decision.id, decisionRevision: decision.revision, time: decision.time, mode: configuration.mode, playbook: nil, actions: [])
    guard let playbook = playbooks.playbooks.first(where: { $0.isEnabled && $0.trigger.unmet(by: decision).isEmpty }) else {
      counted.unmatched += 1
      return plan
    }
    plan.playbook = playbook.id
    for step in playbook.steps {
      let planned = self.planned(step, playbook, decision, targets)
      count(planned.disposition)
      plan.actions.append(planned)
    }
    return plan
  }

  /// What each playbook says to a decision, in the order in which they are asked.
  public func explain(_ decision: Decision) -> [Consideration] {
    var match: String?
    return playbooks.playbooks.map { playbook in
      let verdict: Consideration.Verdict
      let unmet = playbook.trigger.unmet(by: decision)
      if !playbook.isEnabled {
        verdict = .switchedOff
      } else if !unmet.isEmpty {
        verdict = .unmet(unmet)
      } else if let match {
        verdict = .outranked(by: match)
      } else {
        match = playbook.id
        verdict = .matched
      }
      return Consideration(playbook: playbook.id, priority: playbook.priority, verdict: verdict)
    }
  }

  private mutating func planned(_ step: Step, _ playbook: Playbook, _ decision: Decision, _ targets: ResponseTargets) -> PlannedAction {
    let kind = step.action.kind
    var planned = PlannedAction(
      step: step.number, kind: kind, action: nil, disposition: .wouldDo,
      idempotencyKey: Fingerprint(ofText: "\(decision.id)\0\(decision.revision)\0\(playbook.id)\0\(step.number)").description)
    func refused(_ refusal: Refusal) -> PlannedAction {
      planned.disposition = .refused(refusal)
      return planned
    }
    let offender = Planner.offender(decision.subject)
    let repetition = Fingerprint(ofText: "\(playbook.id)\0\(step.number)\0\(offender)")
    let target = self.target(step, playbook, decision, targets, offender)
    planned.action = target.action
    planned.detail = target.detail

    if let objection = objection(kind, decision) { return refused(objection) }
    guard let action = target.action else { return refused(.noTarget(target.missing)) }
    let asks = kind.isDisruptive && (step.asks || kind != .unblockIP && decision.confidence < configuration.actThreshold)
    if kind == .logOnly {
      planned.disposition = configuration.mode == .armed ? .execute : .wouldDo
      return planned
    }
    if let refusal = self.repetition(kind, asks: asks, offender, repetition, at: decision.time) { return refused(refusal) }
    if asks {
      planned.disposition = ask(planned, action, playbook, step, decision, offender, repetition)
      return planned
    }
    let isDisruptive = kind.isDisruptive
    if let refusal = withMemory({ $0.refusal(of: playbook, isDisruptive: isDisruptive, at: decision.time) }) { return refused(refusal) }
    carryOut(action, playbook, offender, repetition, at: decision.time)
    planned.disposition = configuration.mode == .armed ? .execute : .wouldDo
    if configuration.mode == .armed { handOut(planned, action, playbook.id, decision.id, at: decision.time, offender) }
    return planned
  }

  // MARK: Whether

  /// Why the decision does not carry a step of this kind; nil where it does.
  private func objection(_ kind: StepKind, _ decision: Decision) -> Refusal? {
    if kind == .logOnly { return nil }
    guard decision.action > .logOnly else { return .notProposed(decision.actionReason) }
    guard decision.confidence >= configuration.notifyThreshold else {
      return .belowThreshold(decision.confidence, threshold: configuration.notifyThreshold)
    }
    guard kind.isDisruptive else { return nil }
    if !configuration.claimedMayAct {
      // The first term is the prior, which the score adds again.
      let threshold = min(decision.confidence, configuration.actThreshold)
      let signals = decision.terms.dropFirst().map(\.signal)
      if let reason = TrustPolicy.objection(trust: decision.trust, signals: signals, threshold: threshold, model: configuration.confidence) {
        return .claimed(reason)
      }
    }
    if kind == .blockIP, decision.confidence >= configuration.actThreshold, decision.action != .blockIP {
      return .notProposed(decision.actionReason)
    }
    return nil
  }

  /// Why a step is not done again; nil where it may be. What was only asked for does not keep it from being done.
  private mutating func repetition(
    _ kind: StepKind, asks: Bool, _ offender: Fingerprint, _ repetition: Fingerprint, at time: EventTime
  ) -> Refusal? {
    let (entry, done) = withMemory { ($0.offenders.peek(offender), $0.coolDowns.peek(repetition)) }
    if kind == .blockIP, let entry, entry.isBlocked(at: time) { return .alreadyBlocked(until: entry.until) }
    if asks, let index = pendingApprovals.firstIndex(where: { $0.repetition == repetition }) {
      let pending = pendingApprovals[index]
      if time < pending.expiresAt, pending.askedAt - time <= Limits.lateness { return .alreadyAsked(pending.id) }
      pendingApprovals.remove(at: index)
      counted.expired += 1
    }
    guard let done, done.isActive(at: time) else { return nil }
    switch done.cause {
    case .done: return .coolDown(until: done.until)
    case .asked: return asks ? .coolDown(until: done.until) : nil
    case .denied: return .denied(until: done.until)
    }
  }

  // MARK: To whom

  private mutating func target(
    _ step: Step, _ playbook: Playbook, _ decision: Decision, _ targets: ResponseTargets, _ offender: Fingerprint
  ) -> (action: ResponseAction?, missing: String, detail: String) {
    let network = decision.subject.network
    switch step.action {
    case .blockIP(let fixed):
      guard let network else { return (nil, "address", "") }
      let window = playbook.escalation.window
      let before = withMemory { $0.offenders.peek(offender)?.blocks(within: window, of: decision.time) } ?? 0
      let detail = before > 0 ? "block \(before + 1) of this subject within \(window)" : ""
      return (.blockIP(network, ttl: fixed ?? Planner.length(playbook.escalation, before)), "", detail)
    case .unblockIP: return (network.map { .unblockIP($0) }, "address", "")
    case .notify(.executable(let name, let arguments)):
      let filled = arguments.map { NotificationPlaceholder.fill($0, decision, playbook: playbook.id) }
      return (.notify(.executable(name, arguments: filled)), "", "")
    case .notify(let notification): return (.notify(notification), "", "")
    case .captureLines(let limit): return (.captureLines(limit: limit), "", "")
    case .capturePackets(let seconds, let bytes):
      return (network.map { .capturePackets($0, seconds: seconds, bytes: bytes) }, "address", "")
    case .killProcess(let signal): return (targets.process.map { .killProcess($0, signal) }, "process", "")
    case .quarantineFile: return (targets.file.flatMap { $0.hasPrefix("/") ? .quarantineFile($0) : nil }, "file", "")
    case .disableAccount: return (decision.subject.user.map { .disableAccount($0) }, "user", "")
    case .logOnly: return (.logOnly, "", "")
    }
  }
  /// The `before`th length, or the last one. Never without one.
  static func length(_ escalation: Escalation, _ before: Int) -> Nanoseconds {
    let lengths = escalation.blockFor.isEmpty ? Escalation.standard.blockFor : escalation.blockFor
    let length = lengths[min(max(0, before), lengths.count - 1)]
    return min(max(length, .seconds(Limits.playbookBlockSeconds.lowerBound)), .seconds(Limits.playbookBlockSeconds.upperBound))
  }

  /// All addresses of one IPv6 /64 are one subject.
  static func offender(_ subject: Subject) -> Fingerprint {
    Fingerprint(ofText: subject.network.map { "network\0\($0)" } ?? "\(subject.kind.rawValue)\0\(subject.label)")
  }

  // MARK: Doing

  mutating func withMemory<Result>(_ body: (inout PlannerMemory) -> Result) -> Result {
    configuration.mode == .armed ? body(&armed) : body(&observed)
  }

  mutating func carryOut(
    _ action: ResponseAction, _ playbook: Playbook, _ offender: Fingerprint, _ repetition: Fingerprint, at time: EventTime
  ) {
    pendingApprovals.removeAll { $0.repetition == repetition }
    withMemory {
      if case .blockIP(_, let ttl) = action { $0.noteBlock(offender, at: time, for: ttl, window: playbook.escalation.window) }
      if case .unblockIP = action { $0.noteUnblock(offender) }
      $0.note(.done, repetition, at: time, for: playbook.coolDown)
    }
  }
  mutating func handOut(
    _ planned: PlannedAction, _ action: ResponseAction, _ playbook: String, _ decision: String, at time: EventTime, _ offender: Fingerprint
  ) {
    let entry = UnansweredAction(
      idempotencyKey: planned.idempotencyKey, decisionID: decision, playbook: playbook, step: planned.step, action: action, plannedAt: time,
      offender: offender)
    handedOut.update(planned.idempotencyKey, make: { entry }) { $0 = entry }
  }

  private mutating func ask(
    _ planned: PlannedAction, _ action: ResponseAction, _ playbook: Playbook, _ step: Step, _ decision: Decision, _ offender: Fingerprint,
    _ repetition: Fingerprint
  ) -> Disposition {
    guard configuration.mode == .armed else {
      withMemory { $0.note(.asked, repetition, at: decision.time, for: playbook.coolDown) }
      return .wouldAsk
    }
    guard pendingApprovals.count < Limits.pendingApprovals else { return .refused(.approvalsFull) }
    withMemory { $0.note(.asked, repetition, at: decision.time, for: playbook.coolDown) }
    let reason =
      step.asks
      ? "the playbook wants a person to agree"
      : "confidence \(decision.confidence) is below \(configuration.actThreshold), the threshold to act"
    let pending = PendingApproval(
      id: "a" + planned.idempotencyKey.prefix(16), decisionID: decision.id, decisionRevision: decision.revision, ruleID: decision.ruleID,
      playbook: playbook.id, step: step.number, kind: planned.kind, action: action, idempotencyKey: planned.idempotencyKey, reason: reason,
      askedAt: decision.time, expiresAt: decision.time + playbook.approval.expiresAfter, offender: offender, repetition: repetition)
    pendingApprovals.append(pending)
    return .awaitsApproval(id: pending.id, expires: pending.expiresAt)
  }

  private mutating func count(_ disposition: Disposition) {
    switch disposition {
    case .execute: counted.executed += 1
    case .wouldDo: counted.wouldHaveExecuted += 1
    case .wouldAsk, .awaitsApproval: counted.asked += 1
    case .refused(.notProposed), .refused(.belowThreshold), .refused(.claimed), .refused(.noTarget): counted.refusedByPolicy += 1
    case .refused(.alreadyBlocked), .refused(.coolDown), .refused(.alreadyAsked), .refused(.denied): counted.refusedAsRepetition += 1
    case .refused(.rateCap), .refused(.circuitOpen): counted.refusedByRate += 1
    case .refused(.approvalsFull): counted.refusedAsFull += 1
    }
  }

  // MARK: What others tell

  /// How the action with this key went. False where no such action waits for an answer (`log_only` never does). A block that was not made does not count against
  /// its subject; the step is not tried again before its cool-down all the same.
  public mutating func note(_ outcome: ActionOutcome, of idempotencyKey: String) -> Bool {
    guard let entry = handedOut.removeValue(for: idempotencyKey) else { return false }
    switch outcome {
    case .done: return true
    case .refused: counted.refusedElsewhere += 1
    case .failed: counted.failedElsewhere += 1
    }
    if case .blockIP = entry.action {
      _ = armed.offenders.modify(entry.offender) {
        $0.blocks = max(0, $0.blocks - 1)
        $0.until = $0.since
      }
    }
    return true
  }

  /// A block was taken back, by the operator or by the enforcer: the subject may be blocked again, after the cool-down of the step.
  public mutating func noteUnblocked(_ network: CIDR) {
    armed.noteUnblock(Planner.offender(Subject(source: network.description)))
  }
  /// Every block was taken back.
  public mutating func noteAllUnblocked() {
    var keys: [Fingerprint] = []
    armed.offenders.forEachOldestFirst { key, _ in keys.append(key) }
    for key in keys { armed.noteUnblock(key) }
  }

  /// Another set of playbooks (without errors), with the memory of the old one. Questions of playbooks that are gone stay: the operator may be answering them.
  public mutating func replace(playbooks new: PlaybookSet) {
    playbooks = new
    observed.keepMeters(of: new.playbooks)
    armed.keepMeters(of: new.playbooks)
  }

  /// Other thresholds, another word on claimed evidence. The mode stays: see `set(mode:)`.
  public mutating func replace(configuration new: PlannerConfiguration) {
    let mode = configuration.mode
    configuration = new
    configuration.mode = mode
  }

  /// Arms or disarms. Arming forgets what was only observed; disarming withdraws the questions, which are returned.
  public mutating func set(mode: ResponseMode) -> [PendingApproval] {
    guard mode != configuration.mode else { return [] }
    configuration.mode = mode
    observed = PlannerMemory()
    guard mode == .observe else { return [] }
    let withdrawn = pendingApprovals
    pendingApprovals = []
    return withdrawn
  }

  /// The playbooks whose circuit breaker is open.
  public func openBreakers(at time: EventTime) -> [String] {
    playbooks.playbooks.map(\.id).filter { configuration.mode == .armed ? armed.isOpen($0, at: time) : observed.isOpen($0, at: time) }
  }
  public mutating func closeBreaker(of playbook: String) {
    observed.closeBreaker(of: playbook)
    armed.closeBreaker(of: playbook)
  }
}
