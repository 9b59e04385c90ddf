// The operator's answers to what playbooks ask.
import Detection
import Primitives

extension Planner {
  /// The operator agrees. `id`: the question's, or the beginning of it; `time`: when he said so. A block is as long as it would be now.
  /// It counts for nobody's rate: a person has looked at it.
  public mutating func approve(_ id: String, at time: EventTime) -> ApprovalAnswer {
    switch take(id, at: time) {
    case .failure(let answer): return answer.answer
    case .success(let pending):
      counted.approved += 1
      var planned = PlannedAction(
        step: pending.step, kind: pending.kind, action: pending.action, disposition: .execute, idempotencyKey: pending.idempotencyKey,
        detail: "approved as \(pending.id)")
      var action = pending.action
      let playbook = playbooks.playbook(pending.playbook)
      if let playbook {
        if case .blockIP(let network, _) = action, let step = playbook.steps.first(where: { $0.number == pending.step }),
          case .blockIP(nil) = step.action
        {
          let before = armed.offenders.peek(pending.offender)?.blocks(within: playbook.escalation.window, of: time) ?? 0
          action = .blockIP(network, ttl: Planner.length(playbook.escalation, before))
        }
        carryOut(action, playbook, pending.offender, pending.repetition, at: time)
      } else if case .blockIP(_, let ttl) = action {
        armed.noteBlock(pending.offender, at: time, for: ttl, window: Escalation.standard.window)
      }
      planned.action = action
      handOut(planned, action, pending.playbook, pending.decisionID, at: time, pending.offender)
      counted.executed += 1
      return .approved(planned)
    }
  }

  /// The operator refuses. The step is not asked again for the same subject during `Limits.denialMemory`, nor done.
  public mutating func deny(_ id: String, at time: EventTime) -> ApprovalAnswer {
    switch take(id, at: time) {
    case .failure(let answer): return answer.answer
    case .success(let pending):
      counted.denied += 1
      armed.note(.denied, pending.repetition, at: time, for: Limits.denialMemory)
      return .denied(pending)
    }
  }

  /// Questions that nobody has answered by `time`, which are withdrawn.
  public mutating func expireApprovals(at time: EventTime) -> [PendingApproval] {
    let expired = pendingApprovals.filter { $0.expiresAt <= time }
    guard !expired.isEmpty else { return [] }
    pendingApprovals.removeAll { $0.expiresAt <= time }
    counted.expired += UInt64(expired.count)
    return expired
  }

  private struct NotTaken: Error { var answer: ApprovalAnswer }
  private mutating func take(_ id: String, at time: EventTime) -> Result<PendingApproval, NotTaken> {
    let found = id.isEmpty || configuration.mode != .armed ? [] : pendingApprovals.indices.filter { pendingApprovals[$0].id.hasPrefix(id) }
    guard let index = found.first else { return .failure(NotTaken(answer: .unknown)) }
    let exact = found.first { pendingApprovals[$0].id == id }
    guard found.count == 1 || exact != nil else { return .failure(NotTaken(answer: .ambiguous(found.count))) }
    let pending = pendingApprovals.remove(at: exact ?? index)
    guard time < pending.expiresAt else {
      counted.expired += 1
      return .failure(NotTaken(answer: .expired(pending)))
    }
    return .success(pending)
  }
}
