// Issue 4, section 5, with nothing generated: attackers run ssh against a real OpenSSH server, a real rsyslogd writes what it says, and the
// agent (supervisor, engine, enforcer) answers until the kernel drops their packets.
// How slow the machine is does not matter: every step is waited for.
import AgentRuntime
import Detection
import Glibc
import Primitives
import Testing

@Suite(.serialized) struct WholeWayTests {
  enum Log: String, CaseIterable {
    /// rsyslog's own, in which each line says by the kernel's word who sent it.
    case trusted
    /// Plain text that the configuration vouches for.
    case vouched
  }

  private static func playbook(_ escalation: String, approval: Bool) -> String {
    """
    playbook: guessing
    title: Block who guesses
    when: {technique: T1110, subject: address}
    steps: [{capture_evidence: lines}, block_ip]
    escalation: [\(escalation)]
    cooldown: 1s
    \(approval ? "approval: {mode: required, expires: 1h}" : "")

    """
  }
  private func agent(
    _ d: TemporaryDirectory, _ network: Network, _ log: Log = .trusted, escalation: String = "10m", approval: Bool = false
  ) -> RunningAgent {
    d.write(Self.playbook(escalation, approval: approval), to: "guessing.yaml")
    d.write("shortest_block: 1s\nallowlist: [10.88.0.4]\n", to: "enforcer.yaml")
    let source = log == .trusted ? "path: \(d[RealServer.trusted]), format: rsyslog" : "path: \(d[RealServer.text]), trust: attested"
    let agent = RunningAgent(
      d, sources: [], more: "policy: {claimed_may_block: false}\nresponse: {playbooks: [\(d["guessing.yaml"])]}\n",
      arguments: ["--enforcer-config", d["enforcer.yaml"]], prefix: network.inside, list: ["{\(source), from_start: true}"])
    #expect(eventually(seconds: 120) { agent.status()?.response.isEnforcerReady == true }, "\(agent.errors)")
    return agent
  }
  private func ask(_ agent: RunningAgent, _ arguments: String...) -> Finished { panguard(arguments + ["--state", agent.state]) }
  private func arm(_ agent: RunningAgent) { #expect(ask(agent, "arm").status == 0) }
  private func refusals(_ agent: RunningAgent, _ reason: String) -> UInt64 {
    agent.status()?.response.refusals.first { $0.reason == reason }?.count ?? 0
  }
  private func proposes(_ agent: RunningAgent, _ source: String) throws -> [Decision] {
    try agent.decisions().filter { $0.subject.source == source && $0.action == .blockIP }
  }
  private func told(_ agent: RunningAgent) -> [String] {
    ((try? agent.decisions()) ?? []).map { "\($0.ruleID) \($0.subject.label) \($0.trust) \($0.action) \($0.actionReason)" }
  }
  private func isBlocked(_ network: Network, _ address: String, seconds: Int = 90) -> Bool {
    eventually(seconds: seconds) { network.isBlocked(address) }
  }
  /// Block actions in the store, by their words.
  private func actions(_ agent: RunningAgent) throws -> [String] {
    try agent.store().responses().filter { $0.action.hasPrefix("block_ip") && $0.state == .done }.map(\.action).sorted()
  }

  /// Cases 0 and 1.
  @Test(arguments: Log.allCases) func whoGuessesIsBlocked(log: Log) throws {
    guard let network = Network.make() else { return }
    let d = TemporaryDirectory()
    guard let server = RealServer(network, logs: d) else { return }
    let agent = agent(d, network, log, escalation: log == .trusted ? "20s, 1h" : "1h")
    arm(agent)
    let attacker = server.guess(from: "10.88.0.2")
    let attacker6 = log == .trusted ? server.guess(from: "2001:db8:bad:1::5", user: "oracle") : nil
    #expect(isBlocked(network, "10.88.0.2"), "\(agent.errors)")
    let seen = network.remaining("10.88.0.2")
    // All who were asked say the same.
    let decision = try #require(proposes(agent, "10.88.0.2").first { try !agent.store().responses(decisionID: $0.id).isEmpty })
    #expect(decision.trust == .attested)
    let length = log == .trusted ? "20s" : "1h"
    let step = try agent.store().responses(decisionID: decision.id).first { $0.action.hasPrefix("block_ip") }
    #expect(step?.action == "block_ip 10.88.0.2/32 for \(length)" && step?.state == .done, "\(String(describing: step))")
    if let seen { #expect(seen <= (log == .trusted ? 20 : 3600) && seen > (log == .trusted ? 0 : 3500), "\(seen)") }
    let audit = String(decoding: d.contents("state/audit.jsonl"), as: UTF8.self)
    #expect(audit.contains("\"done\"") && audit.contains("\(decision.id) block_ip 10.88.0.2/32 for \(length)"), "\(audit)")

    if log == .vouched {
      let blocks = ask(agent, "blocks")
      #expect(blocks.lines.count == 1 && blocks.text.contains("10.88.0.2/32") && blocks.text.contains(decision.id), "\(blocks)")
      #expect(!network.passes("10.88.0.2") && network.passes("10.88.0.3"))
      // His connection was open: it gets nothing any more, so he cannot even go on guessing.
      #expect(attacker.isRunning)
      #expect(server.logsIn(from: "10.88.0.3"))
      #expect(ask(agent, "unblock", "10.88.0.2").status == 0 && network.passes("10.88.0.2"))
      #expect(agent.stop() == 0)
      return
    }
    // IPv6: the whole /64, and no other.
    #expect(isBlocked(network, "2001:db8:bad:1::"), "\(agent.errors)")
    #expect(!network.passes("2001:db8:bad:1::6") && network.passes("2001:db8:bad:2::5"))
    #expect(server.logsIn(from: "10.88.0.3") && server.logsIn(from: "2001:db8:bad:2::5"))
    // The end is the kernel's: neither engine nor enforcer is there any more.
    #expect(agent.stop() == 0)
    #expect(eventually { network.table != nil && !network.isBlocked("10.88.0.2") && !network.isBlocked("2001:db8:bad:1::") })
    #expect(network.passes("10.88.0.2") && server.logsIn(from: "10.88.0.2"))
    _ = (attacker, attacker6)
  }

  /// Case 2: each address stays below what one address may do; together they are one attack, and the account's name is what it is about.
  @Test func aSprayFromTwentyAddresses() throws {
    guard let network = Network.make() else { return }
    let d = TemporaryDirectory()
    guard let server = RealServer(network, logs: d) else { return }
    let agent = agent(d, network)
    arm(agent)
    let addresses = (1...20).map { "10.99.0.\($0)" }
    for group in [addresses[..<10], addresses[10...]] {
      let clients = group.map { server.guess(from: $0, times: 2) }
      for client in clients { #expect(client.wait(seconds: 90) != nil) }
    }
    let found = try eventually(seconds: 120) {
      try agent.decisions().contains { $0.ruleID == "ATR-2026-90009" && $0.subject.user == "root" }
    }
    #expect(found, "\(told(agent)) \(agent.errors)")
    for address in addresses { #expect(try proposes(agent, address).isEmpty) }
    #expect(network.table == nil && server.logsIn(from: "10.99.0.7"))
    #expect(agent.stop() == 0)
  }

  /// Case 3: who is logged in, the gateway and the allowlist fail logins; then the session ends.
  @Test func administratorsAreNeverLockedOut() throws {
    guard let network = Network.make() else { return }
    let d = TemporaryDirectory()
    guard let server = RealServer(network, logs: d) else { return }
    let agent = agent(d, network)
    arm(agent)
    let session = try #require(server.session(from: "10.88.0.5", writes: d["session"]))
    let protected = ["10.88.0.5", "10.88.0.4", Network.gateway]
    let clients = protected.map { server.guess(from: $0, times: 8) }
    for client in clients { #expect(client.wait(seconds: 120) != nil) }
    for address in protected {
      #expect(try eventually(seconds: 120) { try !proposes(agent, address).isEmpty }, "\(address): \(agent.errors)")
    }
    #expect(eventually { refusals(agent, "protected") >= 3 }, "\(agent.errors)")
    #expect(try actions(agent).isEmpty)
    for (address, reason) in [
      ("10.88.0.5", "session"), ("10.88.0.4", "on the allowlist"), (Network.gateway, "a default gateway"), (Network.own6, "an address of this host"),
      ("0.0.0.0/0", "wider than /24"), ("::/0", "wider than"), ("10.88.0.0/24", "an address of this host"),
    ] {
      let result = ask(agent, "block", address, "10m")
      #expect(result.status == 1 && result.errors.contains(reason), "\(address): \(result)")
    }
    for address in protected { #expect(!network.isBlocked(address)) }
    // The session was never interrupted.
    let before = d.contents("session").count
    #expect(eventually { d.contents("session").count > before } && session.isRunning)
    session.signal(SIGKILL)
    session.wait()
    #expect(eventually { ask(agent, "block", "10.88.0.5", "10m").status == 0 } && !network.passes("10.88.0.5"))
    #expect(agent.stop() == 0)
  }

  /// Case 4: an ordinary user's `logger` through the same rsyslogd. Its words reach the same file, and sshd's own still count.
  @Test func forgedTextBlocksNobody() throws {
    guard let network = Network.make() else { return }
    let d = TemporaryDirectory()
    guard let server = RealServer(network, logs: d) else { return }
    let agent = agent(d, network)
    arm(agent)
    server.forge("Failed password for root from 10.88.0.3 port 1 ssh2", times: 12)
    let claimed = try eventually(seconds: 120) {
      try agent.decisions().contains {
        $0.subject.source == "10.88.0.3" && $0.trust == .claimed && $0.action == .notify && $0.actionReason.contains("claimed, not attested")
      }
    }
    #expect(claimed, "\(told(agent))")
    #expect(eventually { refusals(agent, "claimed") >= 1 }, "\(agent.errors)")
    let attacker = server.guess(from: "10.88.0.2")
    #expect(isBlocked(network, "10.88.0.2"), "\(agent.errors)")
    #expect(!network.isBlocked("10.88.0.3") && server.logsIn(from: "10.88.0.3"))
    #expect(try !actions(agent).isEmpty && actions(agent).allSatisfy { $0.hasPrefix("block_ip 10.88.0.2/32") })
    _ = attacker
    #expect(agent.stop() == 0)
  }

  /// Case 5: each process is killed while somebody attacks. Nothing is forgotten or doubled, and no block ends later or sooner.
  @Test func eachProcessIsKilledDuringAnAttack() throws {
    guard let network = Network.make() else { return }
    let d = TemporaryDirectory()
    guard let server = RealServer(network, logs: d) else { return }
    let agent = agent(d, network)
    arm(agent)
    let attackers = ["10.88.0.2", "10.88.0.3", "10.88.0.6"]
    var clients: [Child] = []
    var untils: [String: EventTime] = [:]
    for (i, address) in attackers.enumerated() {
      let lines = String(decoding: d.contents(RealServer.text), as: UTF8.self)
      if i == 1 {
        // Before he connects: a new enforcer takes connections that are open already for the operator's, and protects them (docs/enforcer.md).
        let enforcer = try #require(agent.process("enforcer"))
        func starts() -> Int { agent.errors.split(separator: "\n").count { $0.contains("blocks taken over from the kernel") } }
        let before = starts()
        kill(enforcer, SIGKILL)
        let isBack = eventually {
          starts() > before && agent.process("enforcer") != enforcer && agent.status()?.response.isEnforcerReady == true
        }
        #expect(isBack, "\(agent.errors)")
      }
      clients.append(server.guess(from: address))
      // As soon as he has begun.
      #expect(
        eventually(seconds: 120) { d.contents(RealServer.text).count > lines.utf8.count && network.isBlocked(address) || mentions(d, address) })
      switch i {
      case 0: agent.signalEngine(SIGKILL)
      case 1: break
      default:
        agent.killAtOnce()
        agent.start()
      }
      #expect(isBlocked(network, address), "\(address): \(agent.errors)")
      #expect(try eventually { try agent.store().blocks().contains { $0.network == "\(address)/32" && $0.isConfirmed } })
      for block in try agent.store().blocks() {
        if let known = untils[block.network] { #expect(block.until == known) }
        untils[block.network] = block.until
      }
    }
    #expect(eventually { agent.status()?.response.isEnforcerReady == true && agent.status()?.mode == "armed" }, "\(agent.errors)")
    #expect(try actions(agent) == attackers.map { "block_ip \($0)/32 for 10m" })
    #expect(ask(agent, "blocks", "--format", "json").text.contains("\"total\":3"))
    // The kernel's times are the store's.
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    for address in attackers {
      let stored = try #require(untils["\(address)/32"])
      let left = (stored - EventTime(seconds: Int64(now.tv_sec))).count / 1_000_000_000
      let kernel = try #require(network.remaining(address))
      #expect(abs(left - Int64(kernel)) <= 8, "\(address): \(left) s in the store, \(kernel) s in the kernel")
      #expect(!network.passes(address))
    }
    let incidents = try Dictionary(grouping: agent.decisions()) { "\($0.ruleID) \($0.subject.label)" }
    #expect(incidents.allSatisfy { $0.value.count == 1 }, "\(incidents.filter { $0.value.count > 1 }.keys.sorted())")
    #expect(agent.stop() == 0)
  }
  private func mentions(_ d: TemporaryDirectory, _ address: String) -> Bool {
    String(decoding: d.contents(RealServer.text), as: UTF8.self).contains("Failed password for root from \(address) ")
  }

  /// Case 6: the log rotates between two guesses, by logrotate, and rules and configuration are read again at the same time.
  @Test func theLogRotatesDuringTheAttack() throws {
    guard let network = Network.make() else { return }
    guard access("/usr/sbin/logrotate", X_OK) == 0 else { return skip("needs logrotate (scripts/setup --tests)") }
    let d = TemporaryDirectory()
    chmod(d.path, 0o755)
    guard let server = RealServer(network, logs: d) else { return }
    let agent = agent(d, network)
    arm(agent)
    d.write(
      """
      \(d[RealServer.trusted]) {
        rotate 9
        create
        postrotate
          kill -HUP $(cat /run/rsyslogd.pid)
        endscript
      }

      """, to: "logrotate.conf")
    chmod(d["logrotate.conf"], 0o644)
    // Two guesses, below every threshold, then a rotation and a reload, until he is blocked.
    var rotations = 0
    while !network.isBlocked("10.88.0.2"), rotations < 8 {
      let client = server.guess(from: "10.88.0.2", times: 2)
      if rotations > 0 { usleep(100_000) } else { _ = client.wait(seconds: 60) }
      agent.child.signal(SIGHUP)
      let rotated = server.execute(["/usr/sbin/logrotate", "-f", "-s", d["rotated"], d["logrotate.conf"]])
      #expect(rotated.status == 0, "\(rotated)")
      rotations += 1
      _ = eventually(seconds: 120) { !client.isRunning || network.isBlocked("10.88.0.2") }
    }
    #expect(isBlocked(network, "10.88.0.2", seconds: 30), "\(rotations) rotations: \(agent.errors)")
    #expect(rotations > 1)
    #expect(!network.passes("10.88.0.2") && server.logsIn(from: "10.88.0.3"))
    // Each line was read once.
    func lines() -> Int {
      (0...9).reduce(0) { $0 + d.contents(RealServer.trusted + ($1 == 0 ? "" : ".\($1)")).count { $0 == 0x0a } }
    }
    #expect(eventually { agent.acknowledgedLines() == Int64(lines()) }, "\(agent.acknowledgedLines()) of \(lines()): \(agent.errors)")
    #expect(agent.errors.contains("reloaded"), "\(agent.errors)")
    #expect(try actions(agent).count == 1)
    #expect(agent.stop() == 0)
  }

  /// A playbook that asks: one attacker is approved, the other is denied.
  @Test func theOperatorIsAsked() throws {
    guard let network = Network.make() else { return }
    let d = TemporaryDirectory()
    guard let server = RealServer(network, logs: d) else { return }
    let agent = agent(d, network, approval: true)
    arm(agent)
    let clients = ["10.88.0.2", "10.88.0.3"].map { server.guess(from: $0, times: 8) }
    #expect(eventually(seconds: 120) { agent.status()?.response.pendingApprovals == 2 }, "\(agent.errors)")
    #expect(network.table == nil)
    func question(_ address: String) -> String? {
      let line = ask(agent, "approve").lines.first { $0.contains(address) }
      return line?.split(separator: " ").map(String.init).first { $0.hasPrefix("a") && $0.count == 17 }
    }
    let denied = ask(agent, "deny", try #require(question("10.88.0.3")))
    #expect(denied.status == 0 && denied.text.contains("denied"), "\(denied)")
    let approved = ask(agent, "approve", try #require(question("10.88.0.2")))
    #expect(approved.status == 0 && approved.text.contains("approved and done"), "\(approved)")
    #expect(network.isBlocked("10.88.0.2") && !network.passes("10.88.0.2"))
    for client in clients.dropFirst() { #expect(client.wait(seconds: 120) != nil) }
    #expect(!network.isBlocked("10.88.0.3") && server.logsIn(from: "10.88.0.3"))
    #expect(try actions(agent) == ["block_ip 10.88.0.2/32 for 10m"])
    #expect(agent.stop() == 0)
  }
}
