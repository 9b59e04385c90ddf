// What is done about decisions: the planner says what, this keeps it and carries it out. Files: this one (what is known, planned and
// stored), ResponseExecution (what is carried out, and the enforcer), ResponseControl (what operators ask for).
// Invariants: an action is stored before it is carried out, together with the decision it answers; carried out once for each key, also
// after a crash; nothing but a block, its end and what the operator asked reaches the firewall; what is not done is counted by its reason.
import Detection
import Enforcement
import Export
import Playbooks
import Primitives
import Storage
import SyslogOutput

/// An arming that nobody has confirmed yet.
struct ConfirmationWindow: Equatable {
  /// By the responder's clock.
  var start: EventTime
  var deadline: EventTime
  /// Of whoever armed (see SessionIdentity).
  var session: String
  /// When it was armed, in milliseconds since this host was started: sessions that are older prove nothing.
  var startedMilliseconds: Int64
}

final class Responder {
  let store: DecisionStore
  let link: EnforcerLink
  let webhooks: WebhookDeliveries
  let host: HostActionRequests
  let configuration: Configuration
  let report: (AgentReport) -> Void
  /// Actor, event, detail.
  private let auditHook: (String, String, String) -> Void
  let syslog: SyslogSocket
  var planner: Planner
  var window: ConfirmationWindow?
  var clock: ResponseClock
  /// Something was lifted that the enforcer does not know of yet.
  var mustReconcile = false
  /// By network; at most `Limits.enforcedBlocks`. Walked only in the order of `sortedBlocks`.
  var blocks: [CIDR: StoredBlock] = [:]
  /// Given out and not answered, by key.
  var open: [String: ResponseRecord] = [:]
  /// Stored, or about to be; not yet carried out.
  var work: [Work] = []
  /// Left by an earlier run, to be carried out again.
  var leftOver: [UnansweredAction] = []

  struct Work {
    var key: String
    var action: ResponseAction
    var decision: Decision
  }

  // What the store does not know yet.
  private var records: [ResponseRecord] = []
  private var changedBlocks: [CIDR: StoredBlock?] = [:]
  private var removesAllBlocks = false
  var lines: [KeptLine] = []
  var isPlannerChanged = false
  var isModeChanged = false
  /// What the batch that is being stored holds of these.
  private var isSnapshotInBatch = false
  private var snapshotAt: Int64 = 0
  private var snapshotCost: Int64 = 0

  /// The link's generation that was reconciled.
  var reconciled: UInt64 = 0
  /// Why the enforcer can do nothing here; empty: it can.
  var unavailable = ""
  var saidProblem = ""
  /// What the enforcer says beside being ready, and when it was asked; MonotonicTime.
  var remarks = ""
  var remarksAt: Int64 = 0
  /// When what the enforcer could not take is asked for again; MonotonicTime.
  var askAgainAt: Int64 = 0
  var refusals: [String: UInt64] = [:]
  var counters: [(name: String, value: UInt64)] = [
    ("blocks made", 0), ("blocks refused by the enforcer", 0), ("blocks ended", 0), ("syslog notices sent", 0), ("evidence lines kept", 0),
    ("actions that failed", 0), ("webhooks delivered", 0), ("actions on the host", 0),
  ]
  enum Counter: Int { case blocked, refused, ended, notices, lines, failed, webhooks, host }
  func count(_ counter: Counter, _ amount: UInt64 = 1) { counters[counter.rawValue].value += amount }
  private var minute: Int64 = 0
  private var audited = 0
  private var reported = 0
  private(set) var auditsLeftOut: UInt64 = 0

  var mode: ResponseMode { planner.configuration.mode }

  init(
    store: DecisionStore, playbooks: PlaybookSet, configuration: Configuration, link: EnforcerLink, uplink: UplinkLink, host: ResponderLink,
    clock: ResponseClock = ResponseClock(), audit: @escaping (String, String, String) -> Void, report: @escaping (AgentReport) -> Void
  ) throws(StorageError) {
    self.store = store
    self.link = link
    webhooks = WebhookDeliveries(uplink)
    self.host = HostActionRequests(host)
    self.configuration = configuration
    self.clock = clock
    self.report = report
    auditHook = audit
    syslog = SyslogSocket(path: configuration.syslogPath ?? "/dev/log")
    let kept = Responder.kept(try store.responseState("mode"))
    window = kept.window.map { Responder.resumed($0, now: clock.now) }
    mustReconcile = kept.mustReconcile
    planner = Planner(
      playbooks,
      configuration: PlannerConfiguration(
        mode: kept.mode, claimedMayAct: configuration.claimedEvidenceMayBlock, thresholds: configuration.detector))
    if let bytes = try store.responseState("planner") {
      do { try planner.restore(bytes) } catch { report(.warning("the memory of responses could not be taken up: \(error)")) }
    }
    for block in try store.blocks() {
      guard let network = CIDR(block.network) else { continue }
      blocks[network] = Responder.resumed(block, now: clock.now)
    }
    for action in planner.unanswered {
      open[action.idempotencyKey] = ResponseRecord(
        key: action.idempotencyKey, decisionID: action.decisionID, revision: 0, playbook: action.playbook, step: action.step,
        action: action.action.text, time: action.plannedAt)
      leftOver.append(action)
    }
    // Blocks that were stored after the planner's memory was.
    for block in blocks.values where !block.isConfirmed && !block.key.isEmpty && open[block.key] == nil {
      open[block.key] = ResponseRecord(
        key: block.key, decisionID: block.origin, revision: 0, playbook: "", step: 0, action: "block_ip \(block.network)", time: block.since)
    }
  }

  /// How it stands, for the start.
  var sentence: String {
    switch mode {
    case .observe: return "mode observe: it decides and explains, it does not act (`panguard arm` lets it)"
    case .armed:
      let waits = window.map { "; not confirmed: rolled back at \($0.deadline) unless `panguard arm --confirm` comes from another session" } ?? ""
      return "mode armed: playbooks act\(waits)"
    }
  }

  // MARK: Planning

  /// To be called once for each decision, before it is stored.
  func plan(_ decisions: ArraySlice<Decision>, targets: (Decision) -> ResponseTargets) {
    for decision in decisions {
      let plan = planner.plan(decision, targets: targets(decision))
      guard let playbook = plan.playbook else { continue }
      isPlannerChanged = true
      for planned in plan.actions { take(planned, decision, playbook) }
    }
  }

  private func take(_ planned: PlannedAction, _ decision: Decision, _ playbook: String) {
    func note(_ event: String) { audit("playbook \(playbook)", event, "\(decision.id) \(planned.sentence)") }
    switch planned.disposition {
    case .execute:
      guard let action = planned.action, planned.kind != .logOnly else { return }
      note("planned")
      give(planned.idempotencyKey, action, decision, playbook: playbook, step: planned.step)
    case .awaitsApproval(let id, _):
      note("asked")
      let text = planned.action?.text ?? planned.kind.rawValue
      tell(.note("waits for approval as \(id): \(text) (\(decision.id)); `panguard approve \(id)` or `deny`"))
    case .wouldDo, .wouldAsk: if planned.kind.isDisruptive { note("observed") }
    case .refused(let refusal):
      refusals[refusal.code, default: 0] += 1
      // That a step was done a moment ago is no news.
      switch refusal {
      case .alreadyBlocked, .coolDown, .alreadyAsked: break
      default: if planned.kind.isDisruptive { note("refused") }
      }
    }
  }

  /// Takes an action in: it is carried out after the next time that all this is stored. `isAgreed`: a person who saw its age agreed to it.
  func give(_ key: String, _ action: ResponseAction, _ decision: Decision, playbook: String, step: Int, isAgreed: Bool = false) {
    let record = ResponseRecord(
      key: key, decisionID: decision.id, revision: decision.revision, playbook: playbook, step: step, action: action.text, time: decision.time)
    open[key] = record
    if !isAgreed, action.changesSomething, let reason = tooOld(decision, action) { return settle(key, .refused, "too_old", reason) }
    if case .blockIP(let network, let ttl) = action {
      guard blocks[network] != nil || blocks.count < Limits.enforcedBlocks else {
        return settle(key, .refused, "table-full", "\(Limits.enforcedBlocks) networks are blocked already")
      }
      let now = clock.now
      // Nobody is let in sooner by being blocked again: not who was blocked by hand, nor for longer by another playbook.
      if let before = blocks[network], before.until >= now + ttl {
        return settle(key, .done, "", "it is blocked for longer already")
      }
      if let before = blocks[network], !before.key.isEmpty, before.key != key, open[before.key] != nil {
        settle(before.key, .done, "", before.isConfirmed ? "taken over by a later block" : "a later block took over before it was made")
      }
      set(StoredBlock(network: network.description, since: now, until: now + ttl, key: key, origin: decision.id), network)
    }
    records.append(record)
    work.append(Work(key: key, action: action, decision: decision))
  }
  /// A log of long ago is read: what it tells is over, and what would have followed too.
  private func tooOld(_ decision: Decision, _ action: ResponseAction) -> String? {
    let age = clock.hostTime() - decision.time
    if age > .days(1) { return "the evidence is older than a day" }
    // A minute is what a busy host may take to get there.
    if case .blockIP(_, let ttl) = action, age > max(ttl, .minutes(1)) { return "the evidence is older than the block would have been long" }
    return nil
  }

  /// How an action went. `code` counts it where it was not done.
  func settle(_ key: String, _ outcome: ActionOutcome, _ code: String, _ detail: String) {
    guard var record = open.removeValue(forKey: key) else { return }
    _ = planner.note(outcome, of: key)
    isPlannerChanged = true
    record.state = outcome == .done ? .done : outcome == .refused ? .refused : .failed
    record.detail = detail
    records.append(record)
    audit("agent", record.state.rawValue, "\(record.decisionID) \(record.action)\(detail.isEmpty ? "" : ": \(detail)")")
    guard outcome != .done else { return }
    refusals[code, default: 0] += 1
    if outcome == .failed { count(.failed) }
    tell(.warning("\(record.action) was \(outcome == .refused ? "refused" : "not done"): \(detail) (\(record.decisionID))"))
  }

  // MARK: Blocks

  func set(_ block: StoredBlock, _ network: CIDR) {
    blocks[network] = block
    changedBlocks[network] = .some(block)
  }
  func forget(_ network: CIDR) {
    blocks[network] = nil
    changedBlocks[network] = .some(nil)
  }
  func forgetAll() {
    blocks.removeAll()
    changedBlocks.removeAll()
    removesAllBlocks = true
  }
  /// The host's clock was set, or it slept: what is kept stays as far from its end as it was, as in the kernel.
  func followClock() {
    guard let step = clock.step() else { return }
    for (network, var block) in blocks {
      block.since = block.since + step
      block.until = block.until + step
      set(block, network)
    }
    if var waiting = window {
      waiting.start = waiting.start + step
      waiting.deadline = waiting.deadline + step
      window = waiting
      isModeChanged = true
    }
    audit("agent", "clock", "this host's clock moved by \(step): \(blocks.count) blocks keep what is left of them")
  }
  /// As it goes on after a restart: never for longer than it was to last, whatever the clock did meanwhile.
  private static func resumed(_ block: StoredBlock, now: EventTime) -> StoredBlock {
    guard now < block.since else { return block }
    var block = block
    (block.since, block.until) = (now, now + (block.until - block.since))
    return block
  }
  private static func resumed(_ window: ConfirmationWindow, now: EventTime) -> ConfirmationWindow {
    guard now < window.start else { return window }
    var window = window
    (window.start, window.deadline) = (now, now + (window.deadline - window.start))
    return window
  }

  /// By network.
  var sortedBlocks: [(network: CIDR, block: StoredBlock)] { sortedBlocks { _ in true } }
  /// Only those that are asked for are put in order: there may be many, and this is asked every second.
  func sortedBlocks(where isWanted: (StoredBlock) -> Bool) -> [(network: CIDR, block: StoredBlock)] {
    blocks.filter { isWanted($0.value) }.sorted { $0.value.network.utf8.lexicographicallyPrecedes($1.value.network.utf8) }
      .map { ($0.key, $0.value) }
  }

  // MARK: Storing

  var hasChanges: Bool {
    !records.isEmpty || !changedBlocks.isEmpty || removesAllBlocks || !lines.isEmpty || isModeChanged || isSnapshotDue
  }
  /// The planner's memory is written with what it decided, unless it has grown so large that writing would be all that is done; then less often.
  private var isSnapshotDue: Bool { isPlannerChanged && MonotonicTime.now() - snapshotAt >= 20 * snapshotCost }

  /// What is to be stored now. Asked again, where storing failed, it has the same and more.
  func batch() -> ResponseBatch {
    var batch = ResponseBatch()
    batch.records = records
    batch.removesAllBlocks = removesAllBlocks
    for (network, block) in changedBlocks.sorted(by: { $0.key.description.utf8.lexicographicallyPrecedes($1.key.description.utf8) }) {
      if let block { batch.blocks.append(block) } else { batch.removedBlocks.append(network.description) }
    }
    batch.lines = lines
    if isModeChanged { batch.state.append(("mode", Array(keptMode.utf8))) }
    isSnapshotInBatch = isSnapshotDue
    if isSnapshotInBatch {
      let start = MonotonicTime.now()
      batch.state.append(("planner", planner.snapshot()))
      snapshotCost = MonotonicTime.now() - start
    }
    return batch
  }
  /// The batch is on the disk. `isNewStore`: the old one was damaged, and the new one lacks what is not in the batch.
  func stored(isNewStore: Bool) {
    records.removeAll(keepingCapacity: true)
    changedBlocks.removeAll(keepingCapacity: true)
    removesAllBlocks = false
    lines.removeAll(keepingCapacity: true)
    isModeChanged = false
    if isSnapshotInBatch {
      isPlannerChanged = false
      snapshotAt = MonotonicTime.now()
    }
    guard isNewStore else { return }
    (isModeChanged, isPlannerChanged, snapshotCost) = (true, true, 0)
    for (network, block) in blocks { changedBlocks[network] = .some(block) }
    records = open.values.sorted { $0.key < $1.key }
  }
  /// The end of this agent: the planner's memory is written, however large.
  func finish() {
    snapshotCost = 0
    flush()
    syslog.flush()
  }
  /// Stores what is left, by itself. False: it stays, and is tried again.
  @discardableResult
  func flush() -> Bool {
    guard hasChanges else { return true }
    var batch = CommitBatch()
    batch.response = self.batch()
    do throws(StorageError) {
      let result = try store.commit(batch)
      stored(isNewStore: result.recovery != nil)
      return true
    } catch {
      if saidStoreProblem != "\(error)" { report(.warning("responses are not stored: \(error)")) }
      saidStoreProblem = "\(error)"
      return false
    }
  }
  private var saidStoreProblem = ""

  /// "observe", "armed", or "armed START DEADLINE SESSION MILLISECONDS" (ConfirmationWindow); before it "reconcile " where the enforcer still holds what was lifted.
  private var keptMode: String {
    let trial = window.map { " \($0.start.nanoseconds) \($0.deadline.nanoseconds) \($0.session) \($0.startedMilliseconds)" }
    return (mustReconcile ? "reconcile " : "") + mode.rawValue + (trial ?? "")
  }
  private static func kept(_ bytes: [UInt8]?) -> (mode: ResponseMode, window: ConfirmationWindow?, mustReconcile: Bool) {
    var words = String(decoding: bytes ?? [], as: UTF8.self).split(separator: " ").map(String.init)
    let mustReconcile = words.first == "reconcile"
    if mustReconcile { words.removeFirst() }
    guard let mode = words.first.flatMap({ ResponseMode(rawValue: $0) }) else { return (.observe, nil, mustReconcile) }
    guard words.count == 5, let start = Int64(words[1]), let deadline = Int64(words[2]), let milliseconds = Int64(words[4]) else {
      return (words.count == 1 ? mode : .observe, nil, mustReconcile)
    }
    let window = ConfirmationWindow(
      start: EventTime(nanoseconds: start), deadline: EventTime(nanoseconds: deadline), session: words[3], startedMilliseconds: milliseconds)
    return (mode, window, mustReconcile)
  }

  // MARK: Telling

  func audit(_ actor: String, _ event: String, _ detail: String, isOperator: Bool = false) {
    beginMinute()
    guard isOperator || audited < Limits.responseReportsPerMinute else {
      auditsLeftOut += 1
      return
    }
    if !isOperator { audited += 1 }
    auditHook(actor, event, detail)
  }
  /// A message for people; of very many in a minute the rest is left to the audit.
  func tell(_ message: AgentReport) {
    beginMinute()
    guard reported < Limits.responseReportsPerMinute else { return }
    reported += 1
    report(message)
  }
  private func beginMinute() {
    let now = MonotonicTime.now() / 60_000_000_000
    guard now != minute else { return }
    (minute, audited, reported) = (now, 0, 0)
  }
}
