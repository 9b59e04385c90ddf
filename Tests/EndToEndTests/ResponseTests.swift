// The whole way: a line in a log, a decision, a playbook, the enforcer, the kernel, a packet that no longer arrives. In network namespaces
// that each test makes and removes; the host's own firewall is never touched.
import AgentRuntime
import Detection
import Glibc
import Primitives
import Testing

@Suite(.serialized) struct ResponseTests {
  private static let playbook = """
    playbook: guessing
    title: Block who guesses
    when: {technique: T1110, subject: address}
    steps: [{capture_evidence: lines}, block_ip]
    escalation: [ESCALATION]
    cooldown: 1s

    """

  /// Eight failed logins from `address`, now.
  private func attack(_ address: String, _ d: TemporaryDirectory, pid: Int) {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let start = EventTime(seconds: Int64(now.tv_sec)) - .seconds(8)
    d.append((0..<8).flatMap { Workload.failedLogin(start + .milliseconds(Int64($0) * 500), pid: pid + $0, from: address) }.joined(), to: "auth.log")
  }

  private func agent(
    _ d: TemporaryDirectory, _ network: Network, escalation: String, trust: String = "attested", policy: String = "false"
  ) -> RunningAgent {
    d.write(Self.playbook.replacing("ESCALATION", with: escalation), to: "guessing.yaml")
    d.write("shortest_block: 1s\nallowlist: [10.88.0.4]\n", to: "enforcer.yaml")
    d.append("", to: "auth.log")
    return RunningAgent(
      d, more: "policy: {claimed_may_block: \(policy)}\nresponse: {playbooks: [\(d["guessing.yaml"])], reconsider_after: [10s]}\n",
      arguments: ["--enforcer-config", d["enforcer.yaml"]], trust: trust, prefix: network.inside)
  }
  private func ask(_ agent: RunningAgent, _ arguments: String...) -> Finished { panguard(arguments + ["--state", agent.state]) }
  private func refusals(_ agent: RunningAgent, _ reason: String) -> UInt64 {
    agent.status()?.response.refusals.first { $0.reason == reason }?.count ?? 0
  }
  private func isReady(_ agent: RunningAgent) -> Bool { eventually(seconds: 120) { agent.status()?.response.isEnforcerReady == true } }

  /// Issue 4, 5.1 and 5.3, and what the observing default promises.
  @Test func whoGuessesIsBlockedAndLetInAgain() throws {
    guard let network = Network.make() else { return }
    let d = TemporaryDirectory()
    let agent = agent(d, network, escalation: "10s, 30s")
    #expect(agent.isUp() && isReady(agent), "\(agent.errors)")

    attack("10.88.0.2", d, pid: 1000)
    #expect(eventually { (try? agent.decisions().contains { $0.subject.source == "10.88.0.2" && $0.action == .blockIP }) == true }, "\(agent.errors)")
    #expect(agent.status()?.mode == "observe" && network.table == nil)

    let armed = ask(agent, "arm")
    #expect(armed.status == 0 && armed.text.contains("playbooks act from now on"), "\(armed)")
    #expect(ask(agent, "arm").status == 1)
    attack("10.88.0.3", d, pid: 2000)
    #expect(eventually { network.isBlocked("10.88.0.3") }, "\(agent.errors)")
    #expect(!network.passes("10.88.0.3") && network.passes("10.88.0.2"))
    let blocks = ask(agent, "blocks")
    #expect(blocks.status == 0 && blocks.text.contains("10.88.0.3/32") && blocks.lines.count == 1, "\(blocks)")
    let about = try agent.decisions().filter { $0.subject.source == "10.88.0.3" && $0.action == .blockIP }
    #expect(try about.contains { try agent.store().keptLines(decisionID: $0.id).contains { $0.line.contains("10.88.0.3") } })
    let answered = try #require(try about.first { try !agent.store().responses(decisionID: $0.id).isEmpty })
    let page = ask(agent, "explain", answered.id)
    #expect(page.status == 0 && page.text.contains("What was done"), "\(page)")

    // Protected: the gateway and the allowlist, by a playbook and by hand; too wide, and this host, by hand.
    attack(Network.gateway, d, pid: 3000)
    attack("10.88.0.4", d, pid: 4000)
    #expect(eventually { refusals(agent, "protected") >= 2 }, "\(agent.errors)")
    for (wanted, reason) in [
      (Network.own, "an address of this host"), (Network.gateway, "a default gateway"), ("0.0.0.0/0", "wider than /24"), ("::/0", "wider than"),
      ("10.88.0.4", "on the allowlist"),
    ] {
      let result = ask(agent, "block", wanted, "10m")
      #expect(result.status == 1 && result.errors.contains(reason), "\(wanted): \(result)")
    }
    #expect(network.passes("10.88.0.4") && network.passes(Network.gateway))

    // Its end, and what follows for who is back.
    #expect(eventually(seconds: 120) { !network.isBlocked("10.88.0.3") })
    #expect(network.passes("10.88.0.3"))
    // What is said of it lies up to eight seconds back: all of it must be behind the block's end and `reconsider_after`.
    usleep(10_000_000)
    attack("10.88.0.3", d, pid: 5000)
    #expect(eventually { network.isBlocked("10.88.0.3") }, "\(agent.errors)")
    #expect(network.table?.contains("timeout 30s") == true, "\(network.table ?? "")")

    // Of all capabilities the enforcer has the one that this takes.
    let enforcer = try #require(agent.status()?.processes.first { $0.name == "enforcer" }?.pid)
    let facts = String(decoding: fileContents("/proc/\(enforcer)/status"), as: UTF8.self)
    for line in ["CapEff:\t0000000000001000", "CapPrm:\t0000000000001000", "CapBnd:\t0000000000001000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
      #expect(facts.contains(line), "\(line): \(facts)")
    }
    let byHand = ask(agent, "block", "10.88.0.5", "1m")
    #expect(byHand.status == 0 && !network.passes("10.88.0.5"), "\(byHand)")
    #expect(ask(agent, "unblock", "10.88.0.5").status == 0 && network.passes("10.88.0.5"))
    #expect(ask(agent, "unblock", "all").status == 0 && network.passes("10.88.0.3"))
    #expect(ask(agent, "disarm").status == 0 && agent.status()?.mode == "observe")
    let audit = String(decoding: d.contents("state/audit.jsonl"), as: UTF8.self)
    for event in ["arm", "planned", "done", "refused", "block", "unblock", "disarm"] { #expect(audit.contains("\"\(event)\""), "\(event)") }
    #expect(audit.contains("uid 0, pid "))
    let status = ask(agent, "status")
    #expect(status.text.contains("enforcer: ready") && status.text.contains("protected"), "\(status)")
    #expect(agent.stop() == 0)
  }

  /// 5.4: text that any user could have written blocks nobody.
  @Test func forgedTextBlocksNobody() throws {
    guard let network = Network.make() else { return }
    let d = TemporaryDirectory()
    let agent = agent(d, network, escalation: "1m", trust: "claimed")
    #expect(agent.isUp() && isReady(agent), "\(agent.errors)")
    #expect(ask(agent, "arm").status == 0)
    attack("10.88.0.2", d, pid: 1000)
    #expect(eventually { refusals(agent, "claimed") >= 1 }, "\(agent.errors)")
    #expect(network.table == nil && network.passes("10.88.0.2"))
    #expect(try agent.decisions().contains { $0.subject.source == "10.88.0.2" && $0.action == .notify && $0.actionReason.contains("claimed") })
    #expect(agent.stop() == 0)
  }

  /// 5.5: each process is killed while attacks come.
  @Test func killedProcessesForgetAndDoubleNothing() throws {
    guard let network = Network.make() else { return }
    let d = TemporaryDirectory()
    let agent = agent(d, network, escalation: "2m")
    #expect(agent.isUp() && isReady(agent), "\(agent.errors)")
    #expect(ask(agent, "arm").status == 0)
    attack("10.88.0.2", d, pid: 1000)
    #expect(eventually { network.isBlocked("10.88.0.2") }, "\(agent.errors)")
    kill(try #require(agent.process("enforcer")), SIGKILL)
    attack("10.88.0.3", d, pid: 2000)
    #expect(eventually { network.isBlocked("10.88.0.3") }, "\(agent.errors)")
    agent.signalEngine(SIGKILL)
    attack("10.88.0.5", d, pid: 3000)
    #expect(eventually { network.isBlocked("10.88.0.5") }, "\(agent.errors)")
    #expect(isReady(agent) && agent.status()?.mode == "armed")
    for address in ["10.88.0.2", "10.88.0.3", "10.88.0.5"] { #expect(!network.passes(address)) }
    let blocks = ask(agent, "blocks", "--format", "json")
    #expect(blocks.text.contains("\"total\":3"), "\(blocks)")
    let done = try agent.store().responses().filter { $0.action.hasPrefix("block_ip") }
    #expect(done.count == 3 && done.allSatisfy { $0.state == .done }, "\(done)")
    #expect(agent.stop() == 0)
    // The blocks are the kernel's: nobody of ours is left.
    #expect(!network.passes("10.88.0.2"))
  }

  /// 5.9: a wrong arming is rolled back unless somebody who could still log in says otherwise.
  @Test func anUnconfirmedArmingIsRolledBack() throws {
    guard let network = Network.make() else { return }
    let d = TemporaryDirectory()
    let agent = agent(d, network, escalation: "10m")
    #expect(agent.isUp() && isReady(agent), "\(agent.errors)")
    #expect(ask(agent, "arm", "--confirm-within", "12s").status == 0)
    attack("10.88.0.2", d, pid: 1000)
    #expect(eventually { network.isBlocked("10.88.0.2") }, "\(agent.errors)")
    // Not even the kernel was told of more than the time of the trial.
    #expect(network.table?.contains("10.88.0.2 timeout 1") == true, "\(network.table ?? "")")
    let same = ask(agent, "arm", "--confirm")
    #expect(same.status == 1 && same.errors.contains("log in anew"), "\(same)")
    #expect(eventually(seconds: 120) { agent.status()?.mode == "observe" })
    #expect(!network.isBlocked("10.88.0.2") && network.passes("10.88.0.2"))

    #expect(ask(agent, "arm", "--confirm-within", "30s").status == 0)
    attack("10.88.0.3", d, pid: 2000)
    #expect(eventually { network.isBlocked("10.88.0.3") }, "\(agent.errors)")
    let other = run(["/usr/bin/setsid", "--wait", Product.panguard, "arm", "--confirm", "--state", agent.state], environment: Product.environment)
    #expect(other.status == 0 && other.text.contains("confirmed"), "\(other)")
    #expect(agent.status()?.response.confirmationSeconds == 0)
    #expect(network.table?.contains("10.88.0.3 timeout 10m") == true || network.table?.contains("timeout 9m") == true, "\(network.table ?? "")")

    // Nor does it need a session that can be seen: who comes into a container from outside has none there.
    #expect(ask(agent, "disarm").status == 0 && ask(agent, "arm", "--confirm-within", "30s").status == 0)
    let visitor = run(
      ["/usr/bin/unshare", "--pid", "--fork", "--mount-proc", Product.panguard, "arm", "--confirm", "--state", agent.state],
      environment: Product.environment)
    #expect(visitor.status == 0 && visitor.text.contains("confirmed"), "\(visitor)")
    #expect(agent.stop() == 0)
  }
}
