// Questions to the operator: asked once, answered once, forgotten by no restart.
import Playbooks
import Primitives
import Testing

@Suite struct ApprovalTests {
  private static let asking = blocking + "\napproval: {mode: required, expires: 30m}\ncooldown: 1m"
  private static func time(_ minutes: Int64) -> EventTime { decision(after: .minutes(minutes)).time }

  @Test func approvedOnce() throws {
    let planner = armed(Self.asking)
    #expect(planner.lines(decision()) == ["ask block_ip 192.0.2.7/32 for 10m"])
    let pending = try #require(planner.pendingApprovals.first)
    #expect(pending.id.utf8.count == 17 && pending.reason == "the playbook wants a person to agree")
    #expect(planner.lines(decision(after: .minutes(2))) == ["refuse block_ip (already_asked)"])
    #expect(planner.approve("nothing", at: Self.time(3)) == .unknown)
    #expect(planner.approve("", at: Self.time(3)) == .unknown)
    guard case .approved(let action) = planner.approve(String(pending.id.prefix(6)), at: Self.time(3)) else { return #expect(Bool(false)) }
    #expect(action.line == "execute block_ip 192.0.2.7/32 for 10m" && action.idempotencyKey == pending.idempotencyKey)
    #expect(planner.approve(pending.id, at: Self.time(3)) == .unknown)
    #expect(planner.unanswered.map(\.idempotencyKey) == [pending.idempotencyKey])
    #expect(planner.lines(decision(after: .minutes(5))) == ["refuse block_ip (already_blocked)"])
    #expect(planner.lines(decision(after: .minutes(14))) == ["ask block_ip 192.0.2.7/32 for 1h"])
  }
  @Test func deniedForAnHour() throws {
    let planner = armed(Self.asking)
    _ = planner.plan(decision())
    let pending = try #require(planner.pendingApprovals.first)
    #expect(planner.deny(pending.id, at: Self.time(1)) == .denied(pending))
    #expect(planner.lines(decision(after: .minutes(60))) == ["refuse block_ip (denied)"])
    #expect(planner.lines(decision(after: .minutes(61))) == ["ask block_ip 192.0.2.7/32 for 10m"])
  }
  @Test func expiresToNo() throws {
    let planner = armed(Self.asking)
    _ = planner.plan(decision())
    let pending = try #require(planner.pendingApprovals.first)
    #expect(planner.expireApprovals(at: Self.time(29)).isEmpty)
    #expect(planner.approve(pending.id, at: Self.time(30)) == .expired(pending))
    _ = planner.plan(decision(after: .minutes(40)))
    #expect(planner.expireApprovals(at: Self.time(70)).count == 1)
    #expect(planner.pendingApprovals.isEmpty && planner.counters.expired == 2)
    // Nobody swept: a decision after its end asks anew.
    _ = planner.plan(decision(after: .minutes(80)))
    #expect(planner.lines(decision(after: .minutes(111))) == ["ask block_ip 192.0.2.7/32 for 10m"])
    #expect(planner.pendingApprovals.count == 1)
  }
  /// What was asked at 0.8 is done at 0.95, and the question is withdrawn.
  @Test func moreEvidenceNeedsNoAnswer() {
    let planner = armed(blocking)
    #expect(planner.lines(decision(confidence: 800)) == ["ask block_ip 192.0.2.7/32 for 10m"])
    #expect(planner.lines(decision(confidence: 950, after: .seconds(1))) == ["execute block_ip 192.0.2.7/32 for 10m"])
    #expect(planner.pendingApprovals.isEmpty)
  }
  @Test func aFloodPushesNothingOut() {
    let planner = armed(Self.asking + "\nrate: {per_minute: 10000}")
    for i in 0..<Limits.pendingApprovals { _ = planner.plan(decision("10.0.\(i / 256).\(i % 256)")) }
    #expect(planner.pendingApprovals.count == Limits.pendingApprovals)
    #expect(planner.lines(decision("10.9.9.9")) == ["refuse block_ip (approvals_full)"])
    #expect(planner.counters.refusedAsFull == 1)
    #expect(planner.pendingApprovals[0].action.text == "block_ip 10.0.0.0/32 for 10m")
    guard case .ambiguous = planner.approve("a", at: Self.time(1)) else { return #expect(Bool(false)) }
  }
  @Test func disarmingWithdraws() throws {
    let planner = armed(Self.asking)
    _ = planner.plan(decision())
    // A restart that only observes does not take them up either: nobody may say yes to it.
    let observing = armed(Self.asking, mode: .observe)
    try observing.restore(planner.snapshot())
    #expect(observing.pendingApprovals.isEmpty && observing.mode == .observe)
    #expect(planner.set(mode: .observe).count == 1)
    #expect(planner.pendingApprovals.isEmpty)
  }
  @Test func aPlaybookThatIsGone() throws {
    let planner = armed(Self.asking)
    _ = planner.plan(decision())
    let pending = try #require(planner.pendingApprovals.first)
    planner.replace(playbooks: set("playbook: other\ntitle: T\nwhen: {severity: low}\nsteps: [log_only]"))
    guard case .approved(let action) = planner.approve(pending.id, at: Self.time(1)) else { return #expect(Bool(false)) }
    #expect(action.line == "execute block_ip 192.0.2.7/32 for 10m")
  }
}
