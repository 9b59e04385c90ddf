// How actions are carried out: blocks through the enforcer, many in one transaction; notices to the local syslog; lines kept in the store.
// Invariant: the engine waits for nobody longer than `Limits.frameCall`. A block that the enforcer cannot take now waits for it, with the
// end that it was given; what this build cannot do fails with that reason.
import Detection
import Enforcement
import Export
import FrameProtocol
import Glibc
import LogSources
import Playbooks
import Primitives
import Storage

extension Responder {
  private static let evidenceNanoseconds: Int64 = 250_000_000

  /// Carries out what was stored. What comes of it is stored too, at once or with the next transaction.
  func carryOut() {
    guard !work.isEmpty else { return }
    let due = work
    work.removeAll(keepingCapacity: true)
    var networks: [CIDR] = []
    let start = MonotonicTime.now()
    for item in due {
      guard open[item.key] != nil else { continue }
      switch item.action {
      case .blockIP(let network, _): if blocks[network]?.key == item.key { networks.append(network) }
      case .unblockIP(let network):
        forget(network)
        lift([network])
        settle(item.key, .done, "", "")
      case .notify(.syslog(let level)): notify(item, level)
      case .notify(.webhook(let name)): deliver(item, to: name)
      case .notify(.executable), .killProcess, .quarantineFile, .disableAccount, .capturePackets: askHost(item)
      case .captureLines(let limit): keepLines(item, limit, mayTakeTime: MonotonicTime.now() - start < Responder.evidenceNanoseconds)
      default: settle(item.key, .failed, "not_available", "not available in this build")
      }
    }
    block(networks)
    handOverWebhooks()
    handOverHostActions()
    flush()
  }

  private func notify(_ item: Work, _ level: NotificationLevel) {
    let message = RFC5424.message(
      item.decision, hostname: HostName.current, procid: "\(getpid())", severity: level.syslogSeverity, kind: "response")
    guard syslog.send(message) else {
      return settle(item.key, .failed, "syslog", "\(syslog.path): \(syslog.lastErrorText)")
    }
    count(.notices)
    settle(item.key, .done, "", "")
  }

  private func keepLines(_ item: Work, _ limit: Int, mayTakeTime: Bool) {
    // A frame is no line: its packets are kept by another step.
    let evidence = item.decision.evidence.suffix(limit).filter { !SourceName.holdsFrames($0.source) }
    guard mayTakeTime else {
      return settle(item.key, .failed, "busy", "there was no time to copy \(evidence.count) lines; they are in their logs")
    }
    var kept: UInt64 = 0
    for record in evidence {
      guard let line = Responder.line(record) else { continue }
      lines.append(
        KeptLine(decisionID: item.decision.id, revision: item.decision.revision, source: record.source, offset: record.offset, line: line))
      kept += 1
    }
    count(.lines, kept)
    settle(item.key, kept > 0 || evidence.isEmpty ? .done : .failed, "no_lines", "\(kept) of \(evidence.count) lines kept")
  }
  private static func line(_ record: EvidenceRecord) -> String? {
    guard record.source != "-" else { return nil }
    if record.source == SourceName.journal { return JournalLineFetcher.fetch(record) }
    return LineFetcher.fetch(path: record.source, offset: record.offset, length: Int(record.length), expected: record.fingerprint)
      .map { String(decoding: $0.bytes, as: UTF8.self) }
  }

  // MARK: The enforcer

  /// What the kernel is told: no longer than an arming that nobody has confirmed, so that it ends even if we do. Nothing is blocked for less
  /// than the enforcer's shortest time; what was to end sooner is unblocked by us.
  func request(_ network: CIDR, _ block: StoredBlock) -> Block {
    let end = window.map { min($0.deadline, block.until) } ?? block.until
    return Block(network, seconds: UInt32(clamping: max(10, ((end - clock.now).count + 999_999_999) / 1_000_000_000)))
  }

  /// Asks for blocks that are in `blocks`.
  func block(_ networks: [CIDR]) {
    guard !networks.isEmpty, isReady() else { return }
    // What is needed is asked for with everything else.
    guard reconciled == link.generation else { return reconcile() }
    let list = networks.compactMap { network in blocks[network].map { request(network, $0) } }
    switch link.ask({ client throws(FrameClientError) in try client.block(list) }) {
    case nil: break
    case .unavailable(let reason): nothingCanBeBlocked(reason)
    case .done(let outcomes): for (block, outcome) in zip(list, outcomes) { take(outcome, block.network) }
    }
  }

  /// True where the enforcer can be asked; else what waits stays, or fails where it never will be.
  private func isReady() -> Bool {
    guard link.connect(now: MonotonicTime.now()) else {
      sayOnce("the enforcer does not answer (\(link.problem)): blocks wait for it")
      return false
    }
    if !unavailable.isEmpty, reconciled == link.generation {
      nothingCanBeBlocked(unavailable)
      return false
    }
    return true
  }
  private func sayOnce(_ problem: String) {
    guard problem != saidProblem else { return }
    saidProblem = problem
    // Who only observes lacks nothing.
    report(mode == .armed ? .warning(problem) : .note(problem))
    audit("agent", "enforcer", problem)
  }
  private func nothingCanBeBlocked(_ reason: String) {
    unavailable = reason
    for (network, block) in sortedBlocks(where: { !$0.isConfirmed }) {
      forget(network)
      settle(block.key, .failed, "unavailable", reason)
    }
  }

  private func take(_ outcome: BlockOutcome, _ network: CIDR) {
    guard var block = blocks[network] else { return }
    switch outcome {
    case .blocked, .refreshed:
      if !block.isConfirmed {
        block.isConfirmed = true
        set(block, network)
        count(.blocked)
      }
      settle(block.key, .done, "", "")
    case .refused(let refusal) where !refusal.isFinal:
      // It waits: the reason may be gone in a moment, and who is blocked must not be let in for it.
      if block.isConfirmed {
        block.isConfirmed = false
        set(block, network)
      }
      sayOnce("\(Responder.waiting)\(refusal)")
    case .refused(let refusal):
      forget(network)
      count(.refused)
      if open[block.key] != nil {
        settle(block.key, .refused, refusal.name, "\(refusal)")
      } else {
        planner.noteUnblocked(network)
        isPlannerChanged = true
        refusals[refusal.name, default: 0] += 1
        audit("enforcer", "refused", "\(network): \(refusal)")
      }
    case .unblocked, .absent: break
    }
  }

  private static let waiting = "blocks wait for the enforcer: "
  private static let patience: Int64 = 5_000_000_000

  /// Asks again for what the enforcer could not take.
  private func askAgain() {
    guard link.isOpen, unavailable.isEmpty, reconciled == link.generation, MonotonicTime.now() >= askAgainAt else { return }
    let networks = sortedBlocks(where: { !$0.isConfirmed }).map(\.network)
    guard !networks.isEmpty else {
      if saidProblem.hasPrefix(Responder.waiting) { saidProblem = "" }
      return
    }
    askAgainAt = MonotonicTime.now() + Responder.patience
    block(networks)
  }

  /// Brings the store and the kernel together, once for each connection. An engine that has nothing to say, and observes, has no table made.
  func reconcile() {
    guard link.isOpen else { return }
    guard let status = link.ask({ client throws(FrameClientError) in try client.status() }) else { return }
    unavailable = status.unavailable
    take(remarks: status.remarks)
    if !unavailable.isEmpty {
      reconciled = link.generation
      sayOnce("nothing can be blocked: \(unavailable)")
      return nothingCanBeBlocked(unavailable)
    }
    if blocks.isEmpty, !mustReconcile, mode == .observe, isKernelEmpty {
      reconciled = link.generation
      saidProblem = ""
      return
    }
    let list = sortedBlocks.map { request($0.network, $0.block) }
    switch link.ask({ client throws(FrameClientError) in try client.reconcile(list) }) {
    case nil: return
    case .unavailable(let reason): nothingCanBeBlocked(reason)
    case .done(let answer):
      for (block, outcome) in zip(list, answer.outcomes) { take(outcome, block.network) }
      for network in answer.strangers { audit("enforcer", "removed", "\(network): it was blocked in the kernel, and not in the store") }
      if mustReconcile {
        mustReconcile = false
        isModeChanged = true
      }
    }
    reconciled = link.generation
    if !saidProblem.hasPrefix(Responder.waiting) { saidProblem = "" }
  }

  /// False also where nobody says so.
  private var isKernelEmpty: Bool {
    if case .done(let active)? = link.ask({ client throws(FrameClientError) in try client.list() }) { return active.isEmpty }
    return false
  }

  /// Lets networks go that are no longer in `blocks`; false: the enforcer will do so when it answers.
  @discardableResult
  func lift(_ networks: [CIDR]) -> Bool {
    guard link.isOpen, unavailable.isEmpty, reconciled == link.generation,
      case .done? = link.ask({ client throws(FrameClientError) in try client.unblock(networks) })
    else {
      needReconciliation()
      return false
    }
    return true
  }
  /// The same for all of them.
  @discardableResult
  func liftAll() -> Bool {
    forgetAll()
    planner.noteAllUnblocked()
    isPlannerChanged = true
    for (key, record) in open.sorted(by: { $0.key < $1.key }) where record.action.hasPrefix("block_ip") {
      settle(key, .refused, "unblocked", "all blocks were lifted")
    }
    if link.connect(now: MonotonicTime.now()), unavailable.isEmpty,
      case .done? = link.ask({ client throws(FrameClientError) in try client.unblockAll() })
    {
      return true
    }
    needReconciliation()
    return false
  }
  func needReconciliation() {
    reconciled = 0
    mustReconcile = true
    isModeChanged = true
  }

  // MARK: Time

  /// Once a second or so. `storeWorks`: what happens can be stored.
  func tick(storeWorks: Bool) {
    guard storeWorks else { return }
    followClock()
    let now = clock.now
    if let window, window.deadline <= now { rollBack("nobody confirmed the arming in time") }
    let ended = sortedBlocks(where: { $0.until <= now })
    for (network, block) in ended {
      forget(network)
      if block.isConfirmed { count(.ended) }
      settle(block.key, .failed, "too_late", "no enforcer took it before its end")
    }
    // The kernel has let them go, or is about to.
    if !ended.isEmpty, link.isOpen, reconciled == link.generation { lift(ended.map(\.network)) }
    for expired in planner.expireApprovals(at: clock.hostTime()) {
      isPlannerChanged = true
      audit("agent", "expired", "\(expired.id): nobody answered: \(expired.action.text) (\(expired.decisionID))")
    }
    carryOutLeftOver()
    tickWebhooks()
    tickHostActions()
    syslog.flush()
    if link.connect(now: MonotonicTime.now()) {
      if reconciled != link.generation { reconcile() }
      beat()
      askAgain()
    } else if mode == .armed || !blocks.isEmpty {
      sayOnce("the enforcer does not answer (\(link.problem)): blocks wait for it")
    }
    flush()
  }

  /// What the enforcer lets the operator know though it works: ports of sshd that it cannot read, say. Said when it changes.
  private func take(remarks: String) {
    remarksAt = MonotonicTime.now()
    guard remarks != self.remarks else { return }
    self.remarks = remarks
    if !remarks.isEmpty { tell(.note("the enforcer says: \(remarks)")) }
  }

  private func beat() {
    if MonotonicTime.now() - remarksAt >= 2 * Responder.patience,
      let status = link.ask({ client throws(FrameClientError) in try client.status() })
    {
      take(remarks: status.remarks)
    }
    guard case .done(let notices)? = link.ask({ client throws(FrameClientError) in try client.heartbeat() }) else { return }
    for notice in notices {
      switch notice.kind {
      case .unblockedAsProtected:
        let reason = "\(notice.network) is now \(notice.protected.map { "\($0)" } ?? "protected")"
        if let block = blocks[notice.network] {
          forget(notice.network)
          settle(block.key, .refused, "protected", reason)
        }
        planner.noteUnblocked(notice.network)
        isPlannerChanged = true
        audit("enforcer", "unblocked", reason)
        tell(.warning("unblocked by the enforcer: \(reason)"))
      case .strangerRemoved: audit("enforcer", "removed", "\(notice.network): nobody asked for this block")
      case .reasserted: audit("enforcer", "reasserted", "\(notice.network): it was missing or had another end in the kernel")
      case .heartbeatLost: audit("enforcer", "heartbeat_lost", "the engine had been silent")
      case .tableRestored:
        audit("enforcer", "table_restored", "the table was missing or changed, and was made anew")
        tell(.warning("somebody removed or changed the enforcer's table; it was made anew"))
      }
    }
  }

  /// What an earlier run gave out and nobody answered. Blocks among it are in `blocks`, and come with the next reconciliation.
  private func carryOutLeftOver() {
    guard !leftOver.isEmpty else { return }
    let actions = leftOver
    leftOver.removeAll()
    for action in actions where open[action.idempotencyKey] != nil {
      if case .blockIP(let network, _) = action.action {
        guard blocks[network]?.key != action.idempotencyKey else { continue }
        settle(action.idempotencyKey, .failed, "too_late", "it was not made before the agent ended")
      } else if let decision = try? store.decision(idPrefix: action.decisionID) {
        work.append(Work(key: action.idempotencyKey, action: action.action, decision: decision))
      } else {
        settle(action.idempotencyKey, .failed, "too_late", "its decision is no longer stored")
      }
    }
    carryOut()
  }

  /// What was to be changed and has not been begun is not done.
  func withdrawWork(_ reason: String) {
    let withdrawn = work.filter { $0.action.changesSomething }
    work.removeAll { $0.action.changesSomething }
    for item in withdrawn { settle(item.key, .refused, "withdrawn", reason) }
    withdrawHostActions()
    for (network, block) in sortedBlocks(where: { !$0.isConfirmed && !$0.key.isEmpty }) {
      forget(network)
      settle(block.key, .refused, "withdrawn", reason)
      planner.noteUnblocked(network)
    }
  }

  /// Takes every block back and observes again.
  func rollBack(_ reason: String) {
    window = nil
    let count = blocks.count
    _ = planner.set(mode: .observe)
    isModeChanged = true
    isPlannerChanged = true
    withdrawWork("the arming was rolled back")
    let isLifted = liftAll()
    let text = "\(reason): \(count) blocks lifted\(isLifted ? "" : " (as soon as the enforcer answers)"), mode observe"
    audit("agent", "rolled_back", text, isOperator: true)
    report(.warning(text))
  }

  // MARK: Status

  /// The enforcer has said in this run that it holds it; what an earlier run stored may be gone from the kernel.
  func isHeld(_ block: StoredBlock) -> Bool { block.isConfirmed && reconciled != 0 }

  func status() -> ResponseStatus {
    var status = ResponseStatus()
    status.isEnforcerReady = link.isOpen && unavailable.isEmpty
    status.enforcer = !link.isOpen ? link.problem : unavailable.isEmpty ? (remarks.isEmpty ? "ready" : "ready; \(remarks)") : unavailable
    status.playbooks = UInt64(planner.playbooks.playbooks.count)
    status.activeBlocks = UInt64(blocks.values.filter(isHeld).count)
    status.waitingBlocks = UInt64(blocks.count) - status.activeBlocks
    status.pendingApprovals = UInt64(planner.pendingApprovals.count)
    if let window { status.confirmationSeconds = UInt64(clamping: max(1, (window.deadline - clock.now).count / 1_000_000_000)) }
    let planned = planner.counters
    status.counters =
      [
        ("actions carried out or begun", planned.executed), ("actions that an armed agent would have taken", planned.wouldHaveExecuted),
        ("questions asked", planned.asked),
      ] + counters + uplinkCounters + hostCounters
    status.uplink = uplinkSentence()
    status.isUplinkTroubled = isUplinkTroubled
    status.responder = hostSentence
    status.isResponderTroubled = isHostTroubled
    status.refusals = refusals.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map { ($0.key, $0.value) }
    return status
  }
}

extension BlockRefusal {
  /// Asked again, the answer would be the same.
  var isFinal: Bool {
    switch self {
    case .protected, .prefixTooWide, .prefixTooNarrow, .tooShort, .tooLong: true
    case .rateExceeded, .tableFull, .protectionUnknown, .kernel: false
    }
  }
}

extension NotificationLevel {
  /// RFC 5424 table 2.
  var syslogSeverity: Int {
    switch self {
    case .alert: 1
    case .critical: 2
    case .error: 3
    case .warning: 4
    case .notice: 5
    case .info: 6
    }
  }
}
