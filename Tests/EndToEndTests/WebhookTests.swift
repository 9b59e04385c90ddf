// The whole way of a webhook: a line in a log, a decision, a playbook, the uplink, a request at the other end with a signature that holds.
// Only loopback is spoken to; the receiver is the one of UplinkTests.
import AgentRuntime
import Detection
import Glibc
import Primitives
import Testing

@Suite(.serialized) struct WebhookTests {
  private static let secret = "0123456789abcdef0123456789abcdef"
  private static let playbook = """
    playbook: tell
    title: Tell the people on call
    when: {technique: T1110, subject: address}
    steps: [{notify: {webhook: ops}}]
    cooldown: 1s

    """

  /// nil, with the reason printed, where there is no python.
  private func receiver(_ d: TemporaryDirectory, port: String = "0", prefix: [String] = []) -> (child: Child, port: String)? {
    d.write(Self.secret, to: "secret")
    chmod(d["secret"], 0o600)
    d.write("", to: "port")
    let child = Child(
      prefix + ["/usr/bin/env", "python3", Product.root + "/Tests/UplinkTests/Receiver/receiver.py", d["received"], d["secret"], "port=\(port)"],
      output: d["port"], errors: d["receiver.err"])
    guard eventually(seconds: 120, { !d.contents("port").isEmpty || !child.isRunning }), child.isRunning else {
      skip("needs python3 (scripts/setup --tests)")
      return nil
    }
    return (child, String(decoding: d.contents("port").prefix { $0 != 0x0a }, as: UTF8.self))
  }
  private func received(_ d: TemporaryDirectory) -> [String] {
    String(decoding: d.contents("received"), as: UTF8.self).split(separator: "\n").map(String.init)
  }

  private func agent(_ d: TemporaryDirectory, port: String?, webhook: String = "ops", prefix: [String] = [], trust: String = "attested")
    -> RunningAgent
  {
    d.write(Self.playbook.replacing("ops", with: webhook), to: "tell.yaml")
    d.append("", to: "auth.log")
    var arguments: [String] = []
    if let port {
      d.write(
        "webhooks: {ops: {url: 'http://127.0.0.1:\(port)/', secret_file: \(d["secret"]), allow_http_to_loopback: true}}\n", to: "uplink.yaml")
      arguments = ["--uplink-config", d["uplink.yaml"]]
    }
    return RunningAgent(
      d, more: "response: {playbooks: [\(d["tell.yaml"])]}\npolicy: {claimed_may_block: false}\n", arguments: arguments, trust: trust, prefix: prefix)
  }
  private func attack(_ address: String, _ d: TemporaryDirectory, pid: Int) {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let start = EventTime(seconds: Int64(now.tv_sec)) - .seconds(8)
    d.append((0..<8).flatMap { Workload.failedLogin(start + .milliseconds(Int64($0) * 500), pid: pid + $0, from: address) }.joined(), to: "auth.log")
  }
  private func ask(_ agent: RunningAgent, _ arguments: String...) -> Finished { panguard(arguments + ["--state", agent.state]) }
  private func refusals(_ agent: RunningAgent, _ reason: String) -> UInt64 {
    agent.status()?.response.refusals.first { $0.reason == reason }?.count ?? 0
  }
  private func decided(_ agent: RunningAgent, _ address: String) -> Bool {
    eventually { (try? agent.decisions().contains { $0.subject.source == address }) == true }
  }

  @Test func aDecisionReachesTheWebhook() throws {
    let d = TemporaryDirectory()
    guard let receiver = receiver(d) else { return }
    // Text that anybody could have written is told of, too: telling changes nothing.
    let agent = agent(d, port: receiver.port, trust: "claimed")
    #expect(agent.isUp() && eventually { agent.status()?.response.uplink.contains("webhooks ops") == true }, "\(agent.errors)")

    // Observing says what it would do.
    attack("192.0.2.2", d, pid: 1000)
    #expect(decided(agent, "192.0.2.2"), "\(agent.errors)")
    usleep(2_000_000)
    #expect(received(d).isEmpty)

    #expect(ask(agent, "arm").status == 0)
    attack("192.0.2.3", d, pid: 2000)
    #expect(eventually { received(d).contains { $0.contains("192.0.2.3") } }, "\(agent.errors)")
    let request = try #require(received(d).first { $0.contains("192.0.2.3") })
    for part in [
      #""genuine": true"#, #"\"panguard.webhook\":\"1\""#, #"\"source.ip\":\"192.0.2.3\""#, #"\"rule.id\":\"ATR-"#, #"\"confidence\":0."#,
      #"\"panguard.trust\":\"claimed\""#, #"\"action\":\""#, #"\"panguard.playbook\":\"tell\""#,
    ] { #expect(request.contains(part), "\(part): \(request)") }
    // No line of a log leaves the host.
    #expect(!request.contains("Failed password") && !request.contains(#"\"evidence"#))
    let isSettled = eventually {
      (try? agent.store().responses().contains {
        $0.action == "notify webhook ops" && $0.state == .done && request.contains("\"key\": \"\($0.key)\"")
      }) == true
    }
    #expect(isSettled, "\(agent.errors)")
    let status = ask(agent, "status")
    #expect(status.text.contains("uplink: ready; webhooks ops") && status.text.contains("webhooks delivered: "), "\(status)")
    let row = try #require(agent.status()?.processes.first { $0.name == "uplink" })
    let facts = String(decoding: fileContents("/proc/\(row.pid)/status"), as: UTF8.self)
    for line in ["CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
      #expect(facts.contains(line), "\(facts)")
    }
    let doctor = panguard("doctor", "--config", d["config.yaml"], "--state", agent.state, "--rules", Product.rules)
    // Not its exit code: another agent that is tried out on this host may have the firewall.
    #expect(doctor.text.contains("uplink: ready; webhooks ops"), "\(doctor)")
    #expect(agent.stop() == 0)
  }

  /// The server, the uplink and the engine are killed in turn: everything arrives, under one key each.
  @Test func nothingIsForgottenWhenProcessesDie() throws {
    let d = TemporaryDirectory()
    guard let first = receiver(d) else { return }
    let agent = agent(d, port: first.port)
    #expect(agent.isUp() && eventually { agent.status()?.response.uplink.contains("webhooks ops") == true }, "\(agent.errors)")
    #expect(ask(agent, "arm").status == 0)
    first.child.signal(SIGKILL)
    _ = first.child.wait(seconds: 120)
    attack("192.0.2.2", d, pid: 1000)
    #expect(eventually { agent.status()?.response.uplink.contains(" wait") == true }, "\(agent.status()?.response.uplink ?? "")")
    #expect(ask(agent, "status").text.contains("uplink: ready; webhooks ops: "))
    // The uplink's queue is its memory: what is lost with it is asked for again.
    let uplink = try #require(agent.status()?.processes.first { $0.name == "uplink" }?.pid)
    kill(pid_t(uplink), SIGKILL)
    attack("192.0.2.3", d, pid: 2000)
    #expect(decided(agent, "192.0.2.3"))
    agent.signalEngine(SIGKILL)
    guard let second = receiver(d, port: first.port) else { return }
    #expect(
      eventually(seconds: 120) { ["192.0.2.2", "192.0.2.3"].allSatisfy { address in received(d).contains { $0.contains(address) } } },
      "\(agent.errors)")
    #expect(
      eventually(seconds: 120) {
        guard let all = try? agent.store().responses().filter({ $0.action == "notify webhook ops" }) else { return false }
        return all.count >= 2 && all.allSatisfy { $0.state == .done }
      }, "\(agent.errors)")
    #expect(received(d).allSatisfy { $0.contains("\"genuine\": true") })
    // Told twice is told under the same key.
    for address in ["192.0.2.2", "192.0.2.3"] {
      let keys = try agent.store().responses().map(\.key)
      #expect(received(d).filter { $0.contains(address) }.allSatisfy { request in keys.contains { request.contains($0) } })
    }
    #expect(agent.stop() == 0)
    _ = second
  }

  @Test func aNameThatNobodyKnowsIsRefused() throws {
    let d = TemporaryDirectory()
    guard let receiver = receiver(d) else { return }
    let agent = agent(d, port: receiver.port, webhook: "elsewhere")
    #expect(agent.isUp() && eventually { agent.status()?.response.uplink.contains("ready") == true }, "\(agent.errors)")
    #expect(ask(agent, "arm").status == 0)
    attack("192.0.2.2", d, pid: 1000)
    #expect(eventually { refusals(agent, "unknown-webhook") >= 1 }, "\(agent.errors)")
    #expect(received(d).isEmpty && agent.errors.contains("the uplink's configuration has no webhook of this name"), "\(agent.errors)")
    #expect(agent.stop() == 0)
  }

  /// The shipped default, in a network namespace whose only way out counts: not one packet, although playbooks want to tell somebody.
  @Test func withoutAConfigurationNotOnePacketLeaves() throws {
    let d = TemporaryDirectory()
    guard Product.isRoot, run(["/usr/bin/env", "ip", "-V"]).status == 0 else { return skip("network namespaces need root and ip(8)") }
    guard access("/etc/panguard/uplink.yaml", F_OK) != 0 else { return skip("/etc/panguard/uplink.yaml exists here") }
    let space = "pguplink\(getpid())"
    guard run(["/usr/bin/env", "ip", "netns", "add", space]).status == 0 else { return skip("network namespaces are not allowed here") }
    defer { run(["/usr/bin/env", "ip", "netns", "delete", space]) }
    let made = run([
      "/bin/bash", "-ec",
      """
      ip -n \(space) link add out type veth peer name far
      for n in out far; do ip -n \(space) link set $n addrgenmode none; done
      ip -n \(space) link set far up
      ip -n \(space) link set lo up
      ip -n \(space) link set out up
      ip -n \(space) address add 10.87.0.1/24 dev out
      ip -n \(space) route add default dev out
      """,
    ])
    guard made.status == 0 else { return skip("no interface to count on: \(made)") }
    func packets() -> String {
      run(["/usr/bin/env", "ip", "netns", "exec", space, "cat", "/sys/class/net/out/statistics/tx_packets"]).text.split(separator: "\n").joined()
    }
    let before = packets()
    let agent = agent(d, port: nil, prefix: ["/usr/bin/env", "ip", "netns", "exec", space])
    #expect(agent.isUp(), "\(agent.errors)")
    #expect(agent.errors.contains("no uplink: there is no /etc/panguard/uplink.yaml; nothing is sent to other hosts"), "\(agent.errors)")
    #expect(ask(agent, "arm").status == 0)
    attack("192.0.2.2", d, pid: 1000)
    #expect(eventually { refusals(agent, "no_uplink") >= 1 }, "\(agent.errors)")
    #expect(agent.status()?.processes.contains { $0.name == "uplink" } == false)
    #expect(ask(agent, "status").text.contains("uplink: none is set up"))
    #expect(agent.stop() == 0)
    #expect(packets() == before, "packets left: \(before), then \(packets())")
    // That it would have counted.
    run([
      "/usr/bin/env", "ip", "netns", "exec", space, "python3", "-c",
      "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))",
    ])
    #expect(packets() != before)
  }
}
