// kill_process on real processes: who is meant gets the signal, who is not, does not. The refusals as a table.
import CLinux
import Glibc
import HostActions
import Primitives
import Testing

@testable import ResponderRuntime

@Suite struct KillPolicyTests {
  private func facts(_ change: (inout ProcessFacts) -> Void) -> ProcessFacts {
    var facts = ProcessFacts(pid: 4711, name: "miner", parent: 4000, startTicks: 100, flags: 0x400000, uid: 1001, effectiveUID: 1001)
    facts.controlGroup = "/user.slice/user-1001.slice/session-3.scope"
    change(&facts)
    return facts
  }
  private var policy: KillPolicy {
    var policy = KillPolicy(spared: ["postgresql.service", "backup"], own: 99)
    policy.sessionLeaders = { [5000] }
    policy.parentOf = { pid in
      var parent = ProcessFacts(pid: pid)
      parent.name = pid == 700 ? "sshd-session" : "bash"
      parent.uid = pid == 700 ? 0 : 1001
      if pid == 2 { parent.flags |= 0x0020_0000 }
      return parent
    }
    policy.nameOf = { $0 == 1002 ? "backup" : "u\($0)" }
    return policy
  }

  /// There process 2 is whatever was started second.
  @Test func inAContainerProcess2IsNotTheKernels() {
    var policy = policy
    policy.parentOf = { ProcessFacts(pid: $0) }
    #expect(policy.refusal(facts { $0.parent = 2 }) == nil && policy.refusal(facts { $0.pid = 2 }) == nil)
  }

  static let table: [(what: String, code: String?, change: @Sendable (inout ProcessFacts) -> Void)] = [
    ("an ordinary process", nil, { _ in }),
    ("root's own ordinary process", nil, { ($0.uid, $0.effectiveUID) = (0, 0) }),
    ("process 1", "protected", { ($0.pid, $0.uid) = (1, 0) }),
    ("a thread of the kernel", "protected", { $0.flags |= 0x0020_0000 }),
    ("a child of kthreadd", "protected", { ($0.parent, $0.uid) = (2, 0) }),
    ("the responder", "protected", { $0.pid = 99 }),
    ("its child", "protected", { $0.parent = 99 }),
    ("the engine by its name", "protected", { ($0.name, $0.uid) = ("panguardd", 990) }),
    ("the engine by its unit", "protected", { $0.controlGroup = "/system.slice/panguardd.service" }),
    ("somebody who calls himself panguardd", nil, { $0.name = "panguardd" }),
    ("a unit of his own called panguard", nil, { $0.controlGroup = "/user.slice/user-1001.slice/user@1001.service/app.slice/panguard.service" }),
    ("sshd", "protected", { ($0.name, $0.uid) = ("sshd", 0) }),
    ("sshd by its unit", "protected", { $0.controlGroup = "/system.slice/ssh.service" }),
    ("sshd of a user's session", "protected", { ($0.name, $0.parent) = ("sshd-session", 700) }),
    ("somebody who calls himself sshd", nil, { $0.name = "sshd" }),
    ("systemd-journald", "protected", { ($0.name, $0.uid) = ("systemd-journal", 0) }),
    ("a service of systemd", "protected", { $0.controlGroup = "/system.slice/systemd-logind.service" }),
    ("dbus", "protected", { ($0.name, $0.uid, $0.effectiveUID) = ("dbus-daemon", 104, 104) }),
    ("login", "protected", { ($0.name, $0.uid) = ("login", 0) }),
    ("the leader of a login session", "protected", { $0.pid = 5000 }),
    ("a spared unit", "spared", { $0.controlGroup = "/system.slice/postgresql.service" }),
    ("a spared user", "spared", { $0.uid = 1002 }),
  ]
  @Test(arguments: table.indices) func whoIsNeverKilled(_ i: Int) {
    let row = KillPolicyTests.table[i]
    #expect(policy.refusal(facts(row.change))?.code == row.code, "\(row.what)")
  }

  @Test(arguments: [
    ("12 (a) b) (c)) S 7 12 12 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2", UInt64(98765), Int32(7), "a) b) (c)"),
    ("12 () S 7 12 12 0 -1 64 1 2 3 4 5 6 7 8 20 0 1 0 5 1 2", 5, 7, ""),
  ])
  func theNameMayHoldAnything(_ entry: (String, UInt64, Int32, String)) {
    var facts = ProcessFacts(pid: 12)
    let isProcess = facts.take(stat: entry.0)
    #expect(isProcess && facts.startTicks == entry.1 && facts.parent == entry.2 && facts.name == entry.3)
  }
  @Test(arguments: ["", "12", "12 (a S 7", "12 (a) S", "12 (a) Z 7 12 12 0 -1 64 1 2 3 4 5 6 7 8 20 0 1 0 5 1 2"])
  func whatIsNoProcessIsNone(_ text: String) {
    var facts = ProcessFacts(pid: 12)
    let isProcess = facts.take(stat: text)
    #expect(!isProcess)
  }
  @Test func sessionsAreRead() {
    #expect(LoginSessions.parse("# x\nUID=1000\nSTATE=active\nLEADER=77\nCLASS=user\n") == LoginSessions.Session(leader: 77, uid: 1000))
    #expect(LoginSessions.parse("UID=1000\nSTATE=closing\nLEADER=77\n") == nil && LoginSessions.parse("LEADER=1\n") == nil)
  }
}

@Suite struct KillingTests {
  private static let enabled = "kill_processes: true\nactions_per_minute: 1000\n"
  private func started(_ pid: pid_t) -> UInt64 { ProcessFacts.read(pid)?.startTicks ?? 0 }

  @Test func whoIsMeantIsKilledOnce() throws {
    guard let w = Workshop.make(KillingTests.enabled) else { return }
    let victim = Program(["/bin/sleep", "1000"])
    let other = Program(["/bin/sleep", "1001"])
    let outcome = w.perform("k1", .kill(ProcessTarget(pid: victim.pid, seenAt: now(), signal: .terminate)))
    #expect(outcome.state == .done && outcome.detail.contains("sleep 1000"), "\(outcome)")
    #expect(victim.wait() == 128 + SIGTERM && !other.hasEnded)
    #expect(w.audit.contains("command line '/bin/sleep 1000'") && w.audit.contains("user \(geteuid())"), "\(w.audit)")
    // The same key again: the answer, not the deed; also from another life of the responder.
    let again = ProcessTarget(pid: other.pid, seenAt: now(), signal: .kill)
    #expect(w.perform("k1", .kill(again)) == outcome)
    w.restart()
    #expect(w.perform("k1", .kill(again)) == outcome && !other.hasEnded)
    let byTicks = w.perform("k2", .kill(ProcessTarget(pid: other.pid, startTicks: started(other.pid), signal: .kill)))
    #expect(byTicks.state == .done && other.wait() == 128 + SIGKILL, "\(byTicks)")
    let status = try w.client.status()
    #expect(status.done == 1 && status.repeated == 1 && status.remembered == 2 && status.isEnabled(.kill) && !status.isEnabled(.run))
  }

  @Test func aNumberThatBelongsToAnotherNowIsRefused() {
    guard let w = Workshop.make(KillingTests.enabled) else { return }
    let before = now() - 1_000_000_000
    let victim = Program(["/bin/sleep", "1002"])
    let cases: [(ProcessTarget, HostActionOutcome.State, String)] = [
      (ProcessTarget(pid: victim.pid, seenAt: before, signal: .kill), .refused, "recycled"),
      (ProcessTarget(pid: victim.pid, startTicks: started(victim.pid) - 1, signal: .kill), .refused, "recycled"),
      (ProcessTarget(pid: victim.pid, startTicks: started(victim.pid), seenAt: before, signal: .kill), .refused, "recycled"),
      (ProcessTarget(pid: victim.pid, signal: .kill), .refused, "unidentified"),
      (ProcessTarget(pid: victim.pid, seenAt: now() + 3_600_000_000_000, signal: .kill), .refused, "unidentified"),
      (ProcessTarget(pid: .max, seenAt: now(), signal: .kill), .failed, "gone"),
      (ProcessTarget(pid: 1, seenAt: now(), signal: .kill), .refused, "protected"),
      (ProcessTarget(pid: w.responder.pid, seenAt: now(), signal: .kill), .refused, "protected"),
    ]
    for (i, (target, state, code)) in cases.enumerated() {
      let outcome = w.perform("k\(i)", .kill(target))
      #expect(outcome.state == state && outcome.code == code, "\(target): \(outcome)")
    }
    #expect(!victim.hasEnded && !w.responder.hasEnded)
  }

  /// A process that has ended and is still to be waited for is nobody.
  @Test func aZombieIsGone() {
    guard let w = Workshop.make(KillingTests.enabled) else { return }
    let zombie = Program(["/bin/true"])
    #expect(eventually { zombie.hasEnded })
    #expect(w.perform("z", .kill(ProcessTarget(pid: zombie.pid, seenAt: now(), signal: .kill))).code == "gone")
  }

  @Test func whatIsNotEnabledIsNotDone() throws {
    guard let w = Workshop.make("") else { return }
    let victim = Program(["/bin/sleep", "1003"])
    let actions: [HostAction] = [
      .kill(ProcessTarget(pid: victim.pid, seenAt: now(), signal: .kill)), .run(ExecutableRun(name: "x", arguments: [], input: [])),
      .quarantine(FileTarget(path: w.directory["x"])), .disable(account: "nobody"),
    ]
    for (i, action) in actions.enumerated() {
      let outcome = w.perform("n\(i)", action)
      #expect(outcome.code == "not_enabled" && outcome.detail.contains(action.kind.configurationKey), "\(outcome)")
    }
    #expect(!victim.hasEnded)
    #expect(try w.client.status().refused == 4 && w.client.status().remembered == 0)
    #expect(w.undo("n0").state == .unknown)
  }

  @Test func theRateIsBounded() {
    guard let w = Workshop.make("kill_processes: true\nactions_per_minute: 2\n") else { return }
    let outcomes = (0..<5).map { w.perform("r\($0)", .kill(ProcessTarget(pid: .max, seenAt: now(), signal: .kill))).code }
    // A minute may begin in between.
    #expect(outcomes.count { $0 == "rate" } >= 1, "\(outcomes)")
  }

  @Test func itCannotBeTakenBack() {
    guard let w = Workshop.make(KillingTests.enabled) else { return }
    let victim = Program(["/bin/sleep", "1004"])
    #expect(w.perform("u", .kill(ProcessTarget(pid: victim.pid, seenAt: now(), signal: .kill))).state == .done)
    #expect(w.undo("u").code == "cannot_undo" && w.perform("u", .disable(account: "x")).state == .done)
  }
}
