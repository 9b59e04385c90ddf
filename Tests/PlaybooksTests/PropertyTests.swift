// What holds for whatever decisions come, in whatever order: over many sequences that are the same in every run.
import Detection
import Events
import PanguardTestKit
import Playbooks
import Primitives
import RuleLanguage
import Testing

@Suite struct PropertyTests {
  private static let playbooks = """
    {playbook: ask, title: T, priority: 3, when: {category: a}, approval: required, steps: [block_ip, {notify: syslog}, disable_account]}
    ---
    {playbook: fast, title: T, priority: 2, when: {category: b}, rate: {per_minute: 3, trips: 2, open_for: 2m}, cooldown: 10s, escalation: [10s, 20s, 1m],
    steps: [block_ip, unblock_ip, {capture_evidence: {packets: {seconds: 1, bytes: 4096}}}]}
    ---
    {playbook: all, title: T, priority: 1, when: {severity: low}, approval: automatic, steps: [block_ip: {for: 1h}, kill_process, quarantine_file, log_only]}
    """

  private static func random(_ numbers: inout SplitMix64, at seconds: Int64) -> (Decision, ResponseTargets) {
    let sources = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "198.51.100.0/24", nil]
    var facts = DecisionFacts()
    facts.subject = Subject(source: sources[numbers.below(6)], user: ["eve", nil][numbers.below(2)], host: "h")
    facts.category = ["a", "b", "c"][numbers.below(3)]
    facts.severity = Severity.allCases[numbers.below(5)]
    facts.confidence = Confidence(thousandths: [100, 650, 700, 800, 899, 900, 950, 999][numbers.below(8)])
    facts.trust = numbers.below(3) == 0 ? .claimed : .attested
    facts.action = [nil, nil, nil, .blockIP, .notify, .logOnly][numbers.below(6)]
    facts.after = .seconds(seconds + (numbers.below(40) == 0 ? Int64(numbers.below(400_000_000)) : 0))
    let targets = ResponseTargets(process: numbers.below(2) == 0 ? ProcessReference(pid: 99, startTicks: 1) : nil, file: "/tmp/x")
    return (facts.decision(revision: numbers.below(3) + 1), targets)
  }

  @Test(arguments: 0..<12 as Range<UInt64>) func nothingUnsafeIsHandedOut(_ seed: UInt64) throws {
    var numbers = SplitMix64(seed: seed)
    let mode: ResponseMode = seed % 4 == 3 ? .observe : .armed
    let planner = armed(Self.playbooks, mode: mode)
    var perMinute: [String: Int] = [:]
    for i in 0..<600 {
      let (record, targets) = Self.random(&numbers, at: Int64(i) * 7)
      let plan = planner.plan(record, targets: targets)
      for action in plan.actions {
        if case .blockIP(let network, let ttl)? = action.action {
          #expect(Limits.playbookBlockSeconds.contains(ttl.wholeSeconds))
          #expect(network.base.isV4 || network.prefixLength <= 64)
        }
        guard action.disposition == .execute else { continue }
        #expect(mode == .armed)
        guard action.kind.isDisruptive else { continue }
        #expect(record.trust == .attested)
        #expect(record.action != .logOnly)
        #expect(plan.playbook != "ask")
        if action.kind != .unblockIP { #expect(record.confidence >= Confidence(thousandths: 900)) }
        if action.kind == .blockIP { #expect(record.action == .blockIP && record.subject.network != nil) }
        if plan.playbook == "fast" {
          let minute = "\(record.time.nanoseconds / 60_000_000_000)"
          perMinute[minute, default: 0] += 1
          #expect(perMinute[minute, default: 0] <= 3 * 2)  // a clock that jumped far begins a minute anew
        }
      }
      if numbers.below(5) == 0, let pending = planner.pendingApprovals.first {
        _ = numbers.below(2) == 0 ? planner.approve(pending.id, at: record.time) : planner.deny(pending.id, at: record.time)
      }
      for action in plan.actions where numbers.below(2) == 0 {
        _ = planner.note([.done, .refused, .failed][numbers.below(3)], of: action.idempotencyKey)
      }
    }
    #expect(planner.pendingApprovals.count <= Limits.pendingApprovals)
  }

  /// At any moment: a planner that is restored goes on as the one that was never stopped, and the same state is the same bytes.
  @Test(arguments: 0..<6 as Range<UInt64>) func aRestartForgetsNothing(_ seed: UInt64) throws {
    var numbers = SplitMix64(seed: 100 + seed)
    var planner = armed(Self.playbooks)
    for i in 0..<200 {
      let (record, targets) = Self.random(&numbers, at: Int64(i) * 5)
      _ = planner.plan(record, targets: targets)
      if numbers.below(4) == 0, let pending = planner.pendingApprovals.first { _ = planner.approve(pending.id, at: record.time) }
      guard numbers.below(8) == 0 else { continue }
      let bytes = planner.snapshot()
      #expect(bytes == planner.snapshot())
      let other = Harness(set(Self.playbooks), PlannerConfiguration(mode: .armed))
      try other.restore(bytes)
      #expect(other.snapshot() == bytes)
      #expect(other.pendingApprovals == planner.pendingApprovals && other.unanswered == planner.unanswered)
      #expect(other.counters == planner.counters)
      var ahead = numbers
      let copy = Harness(set(Self.playbooks), PlannerConfiguration(mode: .armed))
      try copy.restore(bytes)
      for j in 0..<20 {
        let (record, targets) = Self.random(&ahead, at: Int64(i + j) * 5)
        #expect(copy.plan(record, targets: targets) == other.plan(record, targets: targets))
      }
      planner = copy
    }
  }

  @Test func damagedStateIsRefusedAndChangesNothing() throws {
    var numbers = SplitMix64(seed: 9)
    let planner = armed(Self.playbooks)
    for i in 0..<40 { _ = planner.plan(Self.random(&numbers, at: Int64(i)).0) }
    let bytes = planner.snapshot()
    let other = Harness(set(Self.playbooks), PlannerConfiguration(mode: .armed))
    let empty = other.snapshot()
    for i in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 400)) {
      var damaged = bytes
      damaged[i] ^= 0x41
      #expect(throws: PlannerStateError.self) { try other.restore(damaged) }
      #expect(throws: PlannerStateError.self) { try other.restore(Array(bytes.prefix(i))) }
      #expect(other.snapshot() == empty)
    }
    #expect(throws: PlannerStateError.self) { try other.restore(bytes + [0]) }
    #expect(throws: PlannerStateError.self) { try other.restore([UInt8]()) }
    #expect(throws: PlannerStateError.self) { try other.restore(Array("panguard planner state 2\n".utf8)) }
    try other.restore(bytes)
    #expect(other.snapshot() == bytes)
  }

  /// The body is hostile although its name is right.
  @Test func hostileStateIsRefused() {
    var numbers = SplitMix64(seed: 10)
    let planner = armed(Self.playbooks)
    for i in 0..<40 { _ = planner.plan(Self.random(&numbers, at: Int64(i)).0) }
    let whole = planner.snapshot()
    let head = Array("panguard planner state 1\n".utf8)
    let body = Array(whole[(head.count + 33)...])
    var taken = 0
    for _ in 0..<800 {
      var hostile = body
      for _ in 0...numbers.below(4) {
        switch numbers.below(3) {
        case 0: hostile[numbers.below(hostile.count)] = UInt8(numbers.below(256))
        case 1: hostile.removeLast(min(hostile.count - 1, numbers.below(50)))
        default: hostile.insert(UInt8(numbers.below(256)), at: numbers.below(hostile.count))
        }
      }
      let name = hostile.withUnsafeBytes { Fingerprint(of: $0).description }
      let other = Harness(set(Self.playbooks))
      if (try? other.restore(head + Array(name.utf8) + [0x0a] + hostile)) != nil { taken += 1 }
      let plan = other.plan(decision { $0.category = "b" })
      for action in plan.actions {
        guard case .blockIP(_, let ttl)? = action.action else { continue }
        #expect(Limits.playbookBlockSeconds.contains(ttl.wholeSeconds))
      }
    }
    #expect(taken < 800)
  }

  @Test func manySubjectsStayInTheirBound() {
    let planner = armed(blocking + "\nrate: {per_minute: 10000}\ncooldown: 1s")
    for i in 0..<(Limits.repeatOffenders + 100) {
      let (a, b, c) = (i >> 16 & 0xff, i >> 8 & 0xff, i & 0xff)
      _ = planner.plan(decision("10.\(a).\(b).\(c)", after: .seconds(Int64(i / 100))))
    }
    #expect(planner.counters.forgottenOffenders == 100)
    #expect(planner.counters.forgottenCoolDowns == 100)
    #expect(planner.counters.forgottenActions == UInt64(Limits.repeatOffenders + 100 - Limits.unansweredActions))
    let bytes = planner.snapshot()
    #expect(bytes.count < 8 * 1024 * 1024)
    print("planner state, full tables: \(bytes.count) bytes")
  }
}
