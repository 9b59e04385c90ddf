// What operators ask of the running agent: arm and disarm, answer questions, block and unblock by hand. Each is written down with who asked,
// also where it was refused.
import Detection
import Enforcement
import FrameProtocol
import Playbooks
import Primitives
import Storage

extension Responder {
  /// Blocks and questions in one answer; the rest is counted.
  private static let listedRows = 10_000

  func answer(_ request: ControlRequest, _ peer: ControlPeer, storeProblem: String?) -> [UInt8] {
    switch request {
    case .status: return []
    case .blocks: return blockList
    case .pending: return pendingList
    case .actions: return hostActionList
    default: break
    }
    let outcome: ControlOutcome
    if let storeProblem {
      outcome = .refused("the decision store does not work, so nothing can be changed: \(storeProblem)")
    } else {
      outcome = perform(request, peer)
    }
    audit("\(peer)", request.word, "\(request.text): \(outcome.told)", isOperator: true)
    flush()
    return outcome.json
  }

  private func perform(_ request: ControlRequest, _ peer: ControlPeer) -> ControlOutcome {
    switch request {
    case .arm(let seconds, let session): arm(seconds, session)
    case .confirm(let session, let began): confirm(session, began)
    case .disarm: disarm()
    case .approve(let id): approve(id)
    case .deny(let id): deny(id)
    case .block(let network, let seconds): block(network, seconds, peer)
    case .unblock(let network): unblock(network)
    case .unblockAll: unblockAll()
    case .undo(let key): undo(key)
    case .mark(let wish): mark(wish, peer)
    case .status, .blocks, .pending, .actions, .reload, .baseline, .record: .refused("not asked here")
    }
  }

  // MARK: Mode

  private func arm(_ seconds: Int64?, _ session: String) -> ControlOutcome {
    guard mode == .observe else {
      return window == nil
        ? .refused("it is armed already") : .refused("it is armed and waits for `panguard arm --confirm`; `panguard disarm` takes it back")
    }
    _ = planner.set(mode: .armed)
    window = seconds.map {
      ConfirmationWindow(
        start: clock.now, deadline: clock.now + .seconds($0), session: session, startedMilliseconds: SessionIdentity.millisecondsSinceBoot)
    }
    (isModeChanged, isPlannerChanged) = (true, true)
    guard flush() else {
      _ = planner.set(mode: .observe)
      window = nil
      return .refused("the mode could not be stored")
    }
    report(.note(sentence))
    // On trial, what is blocked already ends with it too.
    if link.connect(now: MonotonicTime.now()), reconciled != link.generation || window != nil && !blocks.isEmpty { reconcile() }
    var message = "armed: playbooks act from now on"
    if let seconds {
      message +=
        "; unless `panguard arm --confirm` comes from another login session within \(Nanoseconds.seconds(seconds)), all blocks are lifted "
        + "and it observes again"
    }
    if !link.isOpen || !unavailable.isEmpty { message += "; but nothing can be blocked now: \(link.isOpen ? unavailable : link.problem)" }
    return .done(message)
  }

  private func confirm(_ session: String, _ began: Int64) -> ControlOutcome {
    guard let waiting = window else { return .refused(mode == .armed ? "it is armed, and nothing waits for confirmation" : "it is not armed") }
    guard waiting.session != session else {
      return .refused("this is the session that armed it: log in anew, to see that you still can, and confirm from there")
    }
    guard began > waiting.startedMilliseconds else {
      return .refused("this session is older than the arming, and proves nothing: log in anew, and confirm from there")
    }
    window = nil
    isModeChanged = true
    // Blocks were given to the kernel until the end of the window at most; now they get their own end.
    if link.isOpen, !blocks.isEmpty { reconcile() }
    report(.note(sentence))
    return .done("confirmed: it stays armed")
  }

  private func disarm() -> ControlOutcome {
    guard mode == .armed else { return .refused("it observes already") }
    let withdrawn = planner.set(mode: .observe)
    let trial = window
    window = nil
    (isModeChanged, isPlannerChanged) = (true, true)
    withdrawWork("the agent was disarmed")
    // What a trial made ends with it; the others get their own ends back.
    let made = trial.map { trial in sortedBlocks(where: { !$0.key.isEmpty && $0.since >= trial.start }).map(\.network) } ?? []
    for network in made {
      forget(network)
      planner.noteUnblocked(network)
    }
    guard flush() else { return .refused("it observes now, but that could not be stored: a restart would find it armed") }
    if trial != nil, link.isOpen {
      if !made.isEmpty { lift(made) }
      if !blocks.isEmpty { reconcile() }
    }
    report(.note(sentence))
    var message = "disarmed: it decides and explains, it does not act"
    if !made.isEmpty { message += "; \(made.count) blocks of the trial lifted" }
    if !withdrawn.isEmpty { message += "; \(withdrawn.count) questions withdrawn" }
    if !blocks.isEmpty { message += "; \(blocks.count) blocks stay until they end (`panguard unblock all` lifts them)" }
    return .done(message)
  }

  // MARK: Questions

  private func approve(_ id: String) -> ControlOutcome {
    let answer = planner.approve(id, at: clock.hostTime())
    isPlannerChanged = true
    guard case .approved(let planned) = answer, let action = planned.action else { return refused(answer, id) }
    guard let unanswered = planner.unanswered.first(where: { $0.idempotencyKey == planned.idempotencyKey }),
      let decision = try? store.decision(idPrefix: unanswered.decisionID)
    else {
      _ = planner.note(.failed, of: planned.idempotencyKey)
      return .refused("its decision is no longer stored")
    }
    give(planned.idempotencyKey, action, decision, playbook: unanswered.playbook, step: planned.step, isAgreed: true)
    guard flush() else { return .done("approved: \(action.text); it is done as soon as that can be stored") }
    carryOut()
    if open[planned.idempotencyKey] != nil {
      return .done("approved: \(action.text); it waits for the \(action.isOfHost ? "responder" : "enforcer")")
    }
    let record = try? store.responses(decisionID: decision.id).first { $0.key == planned.idempotencyKey }
    guard let record, record.state != .done else { return .done("approved and done: \(action.text)") }
    return .refused("approved, but \(record.state == .refused ? "refused" : "not done"): \(action.text): \(record.detail)")
  }
  private func deny(_ id: String) -> ControlOutcome {
    let answer = planner.deny(id, at: clock.hostTime())
    isPlannerChanged = true
    guard case .denied(let pending) = answer else { return refused(answer, id) }
    return .done("denied: \(pending.action.text); not asked again for an hour")
  }
  private func refused(_ answer: ApprovalAnswer, _ id: String) -> ControlOutcome {
    switch answer {
    case .expired(let pending): .refused("\(pending.id) has expired: nobody answered before \(pending.expiresAt)")
    case .ambiguous(let count): .refused("\(count) questions begin with '\(id)': give more digits")
    default: .refused("no question '\(id)' waits; `panguard approve` lists them")
    }
  }

  // MARK: By hand

  private func block(_ wanted: CIDR, _ seconds: Int64, _ peer: ControlPeer) -> ControlOutcome {
    let network = wanted.ofWholeHosts
    guard link.connect(now: MonotonicTime.now()) else { return .refused("the enforcer does not answer: \(link.problem)") }
    if reconciled != link.generation { reconcile() }
    guard unavailable.isEmpty else { return .refused("nothing can be blocked: \(unavailable)") }
    let now = clock.now
    let before = blocks[network]
    var kept = StoredBlock(network: network.description, since: now, until: now + .seconds(seconds), key: "", origin: "\(peer)")
    // Stored before it is made, like every block: a crash in between leaves none in the kernel that nobody knows of.
    set(kept, network)
    func takeBack() { if let before { set(before, network) } else { forget(network) } }
    guard flush() else {
      takeBack()
      return .refused("\(network) is not blocked: that could not be stored")
    }
    let request = [request(network, kept)]
    switch link.ask({ client throws(FrameClientError) in try client.block(request) }) {
    case nil:
      takeBack()
      needReconciliation()
      return .refused("the enforcer does not answer: \(link.problem)")
    case .unavailable(let reason):
      takeBack()
      return .refused("nothing can be blocked: \(reason)")
    case .done(let outcomes):
      switch outcomes.first {
      case .blocked, .refreshed:
        if let before, open[before.key] != nil { settle(before.key, .done, "", "the operator blocked it") }
        kept.isConfirmed = true
        set(kept, network)
        let ends = window == nil ? "" : ", and until the trial is confirmed no longer than that"
        return .done("\(network) is blocked for \(Nanoseconds.seconds(seconds))\(ends)")
      case .refused(let refusal):
        takeBack()
        refusals[refusal.name, default: 0] += 1
        return .refused("\(network) is not blocked: \(refusal)")
      default:
        takeBack()
        return .refused("\(network) is not blocked")
      }
    }
  }

  private func unblock(_ wanted: CIDR) -> ControlOutcome {
    let network = wanted.ofWholeHosts
    guard let block = blocks[network] else {
      // What the kernel may hold that nobody here knows of.
      if link.connect(now: MonotonicTime.now()), unavailable.isEmpty,
        case .done(let outcomes)? = link.ask({ client throws(FrameClientError) in try client.unblock([network]) }), outcomes.first == .unblocked
      {
        return .done("\(network) is unblocked (it was blocked in the kernel only)")
      }
      return .refused("\(network) is not blocked; `panguard blocks` lists what is")
    }
    forget(network)
    settle(block.key, .refused, "unblocked", "the operator unblocked it")
    planner.noteUnblocked(network)
    isPlannerChanged = true
    return lift([network]) ? .done("\(network) is unblocked") : .done("\(network) is unblocked as soon as the enforcer answers (\(link.problem))")
  }
  private func unblockAll() -> ControlOutcome {
    let count = blocks.count
    if liftAll() { return .done("\(count) networks unblocked") }
    return .done("\(count) networks are unblocked as soon as the enforcer answers (\(link.problem))")
  }

  // MARK: Lists

  private var blockList: [UInt8] {
    let now = clock.now
    var json = JSONWriter()
    json.beginObject()
    json.key("total")
    json.value(blocks.count)
    json.key("blocks")
    json.beginArray()
    for (_, block) in sortedBlocks.prefix(Responder.listedRows) {
      json.beginObject()
      json.key("network")
      json.value(block.network)
      json.key("since")
      json.value(block.since)
      json.key("until")
      json.value(block.until)
      json.key("remaining_seconds")
      json.value(max(0, (block.until - now).count / 1_000_000_000))
      json.key("origin")
      json.value(block.origin)
      json.key("state")
      json.value(isHeld(block) ? "blocked" : "waiting")
      json.endObject()
    }
    json.endArray()
    json.endObject()
    return json.out
  }
  private var pendingList: [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    json.key("pending")
    json.beginArray()
    for pending in planner.pendingApprovals { PlanJSON.append(pending, to: &json) }
    json.endArray()
    json.endObject()
    return json.out
  }
}

extension ControlRequest {
  /// For people: without hexadecimal.
  fileprivate var text: String { if case .mark(let wish) = self { wish.text } else { line } }
  fileprivate var word: String { line.split(separator: " ").first.map(String.init) ?? "" }
}
