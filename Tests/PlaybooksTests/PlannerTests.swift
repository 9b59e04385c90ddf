// The planner as a table: decisions in, actions out.
import Detection
import Events
import Playbooks
import Primitives
import RuleLanguage
import Testing

@Suite struct PlannerTests {
  // MARK: Thresholds and trust

  @Test(arguments: [
    (999, "execute block_ip 192.0.2.7/32 for 10m"), (900, "execute block_ip 192.0.2.7/32 for 10m"), (899, "ask block_ip 192.0.2.7/32 for 10m"),
    (700, "ask block_ip 192.0.2.7/32 for 10m"), (699, "refuse block_ip (not_proposed)"), (1, "refuse block_ip (not_proposed)"),
  ]) func thresholds(_ confidence: Int, _ line: String) {
    let planner = armed(blocking)
    #expect(planner.lines(decision(confidence: confidence)) == [line])
  }

  /// A record says more than its confidence bears: a damaged or forged one.
  @Test func aProposalBelowTheThresholdIsNotBelieved() {
    let planner = armed(blocking)
    #expect(planner.lines(decision(confidence: 300) { $0.action = .blockIP }) == ["refuse block_ip (below_threshold)"])
    #expect(planner.lines(decision(confidence: 800) { $0.action = .blockIP }) == ["ask block_ip 192.0.2.7/32 for 10m"])
  }
  @Test func whatTheDecisionDoesNotProposeIsNotDone() {
    let planner = armed(blocking)
    let plan = planner.plan(decision(confidence: 990) { $0.action = .notify })
    #expect(plan.actions.map(\.line) == ["refuse block_ip (not_proposed)"])
    #expect(plan.actions[0].sentence == "does not: block_ip 192.0.2.7/32 for 10m: the test says so")
    #expect(planner.lines(decision(confidence: 990) { $0.action = .logOnly }) == ["refuse block_ip (not_proposed)"])
  }
  @Test func claimedTextNeverBlocks() {
    let planner = armed(blocking)
    let plan = planner.plan(decision(trust: .claimed))
    #expect(plan.actions.map(\.line) == ["refuse block_ip (claimed)"])
    #expect(plan.actions[0].sentence.hasSuffix("the evidence is claimed, not attested, and the policy lets only attested evidence block"))
    #expect(planner.lines(decision(confidence: 800, trust: .claimed)) == ["refuse block_ip (claimed)"])
    #expect(planner.pendingApprovals.isEmpty)
    let vouched = Harness(set(blocking), PlannerConfiguration(mode: .armed, claimedMayAct: true))
    #expect(vouched.lines(decision(trust: .claimed)) == ["execute block_ip 192.0.2.7/32 for 10m"])
  }
  /// The record's own events are attested, but what lifts it over the threshold is not.
  @Test func claimedSignalsDoNotLift() {
    var record = decision(confidence: 950)
    record.terms[1].signal.isAttested = false
    let planner = armed(blocking)
    #expect(planner.lines(record) == ["refuse block_ip (claimed)"])
  }

  /// Nor kills, moves or locks it; nor is anybody asked.
  @Test(arguments: [Trust.claimed, .attested], ["kill_process", "quarantine_file", "disable_account"])
  func claimedTextNeverActsOnTheHost(_ trust: Trust, _ step: String) {
    let planner = armed("playbook: p\ntitle: T\nwhen: {severity: informational}\napproval: automatic\nsteps: [\(step)]\n")
    let targets = ResponseTargets(process: ProcessReference(pid: 4711, seenAt: EventTime(seconds: 1)), file: "/tmp/x")
    let line = planner.plan(decision(trust: trust) { $0.subject.user = "alice" }, targets: targets).actions.map(\.line)
    let whom = ["kill_process": "4711 with TERM", "quarantine_file": "/tmp/x", "disable_account": "alice"]
    #expect(line == [trust == .claimed ? "refuse \(step) (claimed)" : "execute \(step) \(whom[step]!)"])
    let unsure = decision(confidence: 800, trust: .claimed, after: .hours(1)) { $0.subject.user = "alice" }
    #expect(planner.plan(unsure, targets: targets).actions[0].line == "refuse \(step) (claimed)")
    #expect(planner.pendingApprovals.isEmpty)
  }

  // MARK: Targets

  @Test(arguments: [
    ("192.0.2.7", "192.0.2.7/32"), ("192.0.2.7/24", "192.0.2.0/24"), ("2001:db8::1", "2001:db8::/64"),
    ("2001:db8:0:1:ffff::/80", "2001:db8:0:1::/64"),
    ("2001:db8::/48", "2001:db8::/48"), ("::ffff:192.0.2.7", "192.0.2.7/32"), ("127.0.0.1", "127.0.0.1/32"), ("0.0.0.0/0", "0.0.0.0/0"),
  ]) func whatIsBlocked(_ source: String, _ network: String) throws {
    let planner = armed(blocking)
    let plan = planner.plan(decision(source))
    let action = try #require(plan.actions.first)
    #expect(action.line == "execute block_ip \(network) for 10m")
    #expect(action.rollback?.text == "unblock_ip \(network)")
  }
  @Test func everyKindOfStep() {
    let text = """
      playbook: all
      title: T
      when: {severity: low}
      approval: automatic
      steps:
        - block_ip: {for: 2h}
        - unblock_ip
        - notify: {syslog: alert}
        - notify: {webhook: w}
        - notify: {executable: e, args: ['--id={decision}', '{address}', '{rule} {severity} {confidence} {playbook}', '{', '{}']}
        - capture_evidence: {lines: 3}
        - capture_evidence: {packets: {seconds: 30, bytes: 1MiB}}
        - kill_process: {signal: KILL}
        - quarantine_file
        - disable_account
        - log_only
      """
    let planner = armed(text)
    let record = decision("192.0.2.7") {
      $0.subject.user = "eve"
      $0.severity = .high
    }
    let plan = planner.plan(record, targets: ResponseTargets(process: ProcessReference(pid: 4711, startTicks: 9), file: "/tmp/x"))
    #expect(
      plan.actions.map(\.line) == [
        "execute block_ip 192.0.2.7/32 for 2h", "execute unblock_ip 192.0.2.7/32", "execute notify syslog alert", "execute notify webhook w",
        "execute notify executable e --id=\(record.id) 192.0.2.7/32 ATR-2026-99999 high 0.950 all { {}", "execute capture_evidence 3 lines",
        "execute capture_evidence packets of 192.0.2.7/32, 30s before and after, up to 1048576 bytes", "execute kill_process 4711 with KILL",
        "execute quarantine_file /tmp/x", "execute disable_account eve", "execute log_only",
      ])
    #expect(
      plan.actions.map { $0.rollback?.text } == [
        "unblock_ip 192.0.2.7/32", nil, nil, nil, nil, nil, "discard_packets of 192.0.2.7/32", nil, "restore_file /tmp/x", "enable_account eve", nil,
      ])
    #expect(Set(plan.actions.map(\.idempotencyKey)).count == plan.actions.count)
    #expect(plan.actions.allSatisfy { $0.idempotencyKey.utf8.count == 32 })
    let other = planner.plan(decision(nil) { $0.subject.host = "h" })
    #expect(
      other.actions.map(\.line) == [
        "refuse block_ip (not_proposed)", "refuse unblock_ip (no_target)", "execute notify syslog alert", "execute notify webhook w",
        "execute notify executable e --id=\(other.decisionID) none ATR-2026-99999 medium 0.950 all { {}", "execute capture_evidence 3 lines",
        "refuse capture_evidence (no_target)", "refuse kill_process (no_target)", "refuse quarantine_file (no_target)",
        "refuse disable_account (no_target)", "execute log_only",
      ])
  }
  @Test func whatCannotBeTakenBackAsks() {
    let planner = armed("playbook: p\ntitle: T\nwhen: {severity: low}\nsteps: [kill_process, quarantine_file, disable_account]")
    let record = decision { $0.subject.user = "eve" }
    let plan = planner.plan(record, targets: ResponseTargets(process: ProcessReference(pid: 4711, startTicks: 9), file: "/tmp/x"))
    #expect(plan.actions.map(\.line) == ["ask kill_process 4711 with TERM", "ask quarantine_file /tmp/x", "ask disable_account eve"])
  }

  // MARK: Which playbook

  @Test func theFirstByPriorityAnswersAndTheOthersSayWhyNot() {
    let text = """
      {playbook: rule, title: T, priority: 900, when: {rule: 'ATR-2026-1*'}, steps: [log_only]}
      ---
      {playbook: off, title: T, priority: 800, enabled: false, when: {severity: low}, steps: [log_only]}
      ---
      {playbook: category, title: T, priority: 700, when: {category: [impact, discovery], severity: high, subject: user}, steps: [log_only]}
      ---
      {playbook: technique, title: T, priority: 600, when: {technique: T1110}, steps: [log_only]}
      ---
      {playbook: trust, title: T, priority: 500, when: {trust: attested, confidence: 0.96}, steps: [log_only]}
      ---
      {playbook: last, title: T, priority: 0, when: {technique: [T1110.001]}, steps: [log_only]}
      """
    let planner = armed(text)
    let record = decision(trust: .claimed) { $0.techniques = ["T1110.001"] }
    #expect(planner.plan(record).playbook == "technique")
    #expect(
      planner.explain(record).map { "\($0.playbook): \($0.sentence)" } == [
        "rule: rule ATR-2026-99999 is not ATR-2026-1*", "off: is switched off",
        "category: category uncategorized is not impact or discovery; severity medium is below high; the subject is an address, not a user",
        "technique: matched", "trust: confidence 0.950 is below 0.960; the evidence is claimed, not attested",
        "last: would match, but technique is asked first",
      ])
    let other = planner.plan(decision { $0.techniques = ["T1111"] })
    #expect(other.playbook == nil && other.actions.isEmpty)
    #expect(planner.counters.unmatched == 1)
  }

  // MARK: Repetition

  @Test func escalationAndItsEnd() {
    let planner = armed(blocking + "\nescalation: {block_for: [10m, 1h, 24h], window: 2d}\ncooldown: 1m")
    var lines: [String] = []
    for hours in [0, 1, 3, 30, 100] as [Int64] { lines += planner.lines(decision(after: .hours(hours))) }
    #expect(lines.map { String($0.dropFirst("execute block_ip 192.0.2.7/32 for ".count)) } == ["10m", "1h", "1d", "1d", "10m"])
    let again = planner.plan(decision(after: .hours(101)))
    #expect(again.actions[0].sentence == "does: block_ip 192.0.2.7/32 for 1h (block 2 of this subject within 2d)")
  }
  @Test func anIPv6HostCannotHopAboutInItsNetwork() {
    let planner = armed(blocking)
    #expect(planner.lines(decision("2001:db8::1")) == ["execute block_ip 2001:db8::/64 for 10m"])
    #expect(planner.lines(decision("2001:db8::2", after: .minutes(1))) == ["refuse block_ip (already_blocked)"])
    #expect(planner.lines(decision("2001:db8::3", after: .minutes(11))) == ["execute block_ip 2001:db8::/64 for 1h"])
  }
  @Test func coolDownIsForEachStepAndSubject() {
    let planner = armed("playbook: p\ntitle: T\nwhen: {severity: low}\nsteps: [{notify: syslog}]\ncooldown: 5m")
    #expect(planner.lines(decision()) == ["execute notify syslog warning"])
    #expect(planner.lines(decision(after: .minutes(4))) == ["refuse notify (cool_down)"])
    #expect(planner.lines(decision("192.0.2.8", after: .minutes(4))) == ["execute notify syslog warning"])
    #expect(planner.lines(decision(after: .minutes(5))) == ["execute notify syslog warning"])
  }
  /// A stamp far in the future must not silence what is true now.
  @Test func aForgedStampSilencesNothing() {
    let planner = armed(blocking + "\nrate: {per_minute: 1, trips: 1, open_for: 1h}")
    #expect(planner.lines(decision("192.0.2.1", after: .days(20_000))) == ["execute block_ip 192.0.2.1/32 for 10m"])
    #expect(planner.lines(decision("192.0.2.2", after: .days(20_000))) == ["refuse block_ip (circuit_open)"])
    #expect(planner.lines(decision("192.0.2.1")) == ["execute block_ip 192.0.2.1/32 for 10m"])
  }

  // MARK: Rate

  @Test func capAndCircuitBreaker() {
    let planner = armed(blocking + "\nrate: {per_minute: 2, trips: 2, open_for: 10m}")
    func lines(_ minute: Int64, _ count: Int) -> [String] {
      (0..<count).map { i in
        planner.lines(decision("198.51.\(minute).\(i)", after: .minutes(minute)))[0].split(separator: " ").suffix(1).joined()
      }
    }
    #expect(lines(0, 3) == ["10m", "10m", "(rate_cap)"])
    #expect(lines(1, 3) == ["10m", "10m", "(circuit_open)"])
    #expect(planner.openBreakers(at: decision(after: .minutes(2)).time) == ["b"])
    #expect(lines(2, 1) == ["(circuit_open)"])
    #expect(lines(10, 1) == ["(circuit_open)"])
    #expect(lines(11, 3) == ["10m", "10m", "(rate_cap)"])
    #expect(lines(13, 3) == ["10m", "10m", "(rate_cap)"])  // not in a row
    #expect(lines(14, 3) == ["10m", "10m", "(circuit_open)"])
    planner.closeBreaker(of: "b")
    #expect(lines(15, 1) == ["10m"])
    #expect(planner.counters.refusedByRate == 7)
  }
  @Test func tellingHasItsOwnRoom() {
    let planner = armed("playbook: p\ntitle: T\nwhen: {severity: low}\nsteps: [block_ip, {notify: syslog}]\nrate: {per_minute: 1, trips: 9}")
    #expect(planner.lines(decision("192.0.2.1")) == ["execute block_ip 192.0.2.1/32 for 10m", "execute notify syslog warning"])
    #expect(planner.lines(decision("192.0.2.2")) == ["refuse block_ip (rate_cap)", "refuse notify (rate_cap)"])
  }

  // MARK: Modes

  @Test func observingHandsNothingOut() {
    let planner = armed(blocking, mode: .observe)
    #expect(planner.lines(decision()) == ["would block_ip 192.0.2.7/32 for 10m"])
    #expect(planner.lines(decision(after: .minutes(1))) == ["refuse block_ip (already_blocked)"])
    #expect(planner.lines(decision("192.0.2.8", confidence: 800)) == ["would ask block_ip 192.0.2.8/32 for 10m"])
    #expect(planner.unanswered.isEmpty && planner.pendingApprovals.isEmpty)
    // Armed, the first real block is a first one, and is not kept from happening by what was only observed.
    #expect(planner.set(mode: .armed).isEmpty)
    #expect(planner.lines(decision(after: .minutes(2))) == ["execute block_ip 192.0.2.7/32 for 10m"])
    // Disarmed and armed again, what was real is remembered.
    _ = planner.set(mode: .observe)
    #expect(planner.lines(decision(after: .minutes(3))) == ["would block_ip 192.0.2.7/32 for 10m"])
    _ = planner.set(mode: .armed)
    #expect(planner.lines(decision(after: .minutes(4))) == ["refuse block_ip (already_blocked)"])
  }

  // MARK: Outcomes

  @Test func whatTheEnforcerRefusesDoesNotCount() throws {
    let planner = armed(blocking + "\ncooldown: 1m")
    let action = try #require(planner.plan(decision()).actions.first)
    #expect(planner.unanswered.map(\.idempotencyKey) == [action.idempotencyKey])
    #expect(planner.note(.refused, of: action.idempotencyKey))
    #expect(!planner.note(.refused, of: action.idempotencyKey))
    #expect(planner.unanswered.isEmpty)
    #expect(planner.lines(decision(after: .seconds(30))) == ["refuse block_ip (cool_down)"])
    #expect(planner.lines(decision(after: .minutes(2))) == ["execute block_ip 192.0.2.7/32 for 10m"])
    #expect(planner.counters.refusedElsewhere == 1)
  }
  @Test func whatTheOperatorUnblocksMayBeBlockedAgainLater() {
    let planner = armed(blocking)
    _ = planner.plan(decision("2001:db8::1"))
    planner.noteUnblocked(CIDR("2001:db8::/64")!)
    #expect(planner.lines(decision("2001:db8::1", after: .minutes(4))) == ["refuse block_ip (cool_down)"])
    #expect(planner.lines(decision("2001:db8::1", after: .minutes(6))) == ["execute block_ip 2001:db8::/64 for 1h"])
    planner.noteAllUnblocked()
    #expect(planner.lines(decision("2001:db8::1", after: .minutes(12))) == ["execute block_ip 2001:db8::/64 for 1d"])
  }
  @Test func theKeyNamesDecisionAndStep() {
    let a = armed(blocking)
    let b = armed(blocking)
    let (first, second) = (a.plan(decision()), b.plan(decision()))
    #expect(first == second)
    #expect(first.actions[0].idempotencyKey == "cd82b055700f8e594f9fb88592252b2c")  // the same on every machine: others store it
    #expect(b.plan(decision(revision: 2)).actions[0].idempotencyKey != first.actions[0].idempotencyKey)
  }
}
