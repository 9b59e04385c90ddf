// Issue 4, 5.8: no moment without protection. A blocked address sends packets all the time, while the agent is reloaded, restarted, killed and
// started from other files (as an upgrade does it), with two thousand other blocks; the host counts those that arrive.
import AgentRuntime
import Glibc
import Primitives
import Storage
import Testing

@Suite(.serialized) struct ContinuityTests {
  private static let attacker = "10.88.0.2"
  private static let count = 2_000

  /// A host with `count` blocks in its store, as an agent leaves it.
  private func store(_ d: TemporaryDirectory, seconds: Int64) throws {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let since = EventTime(seconds: Int64(now.tv_sec))
    let networks = ["\(Self.attacker)/32"] + (1..<Self.count).map { "11.0.\($0 / 250).\($0 % 250 + 1)/32" }
    mkdir(d["state"], 0o700)
    let store = try DecisionStore(directory: d["state"])
    var batch = CommitBatch()
    batch.response.blocks = networks.map {
      StoredBlock(network: $0, since: since, until: since + .seconds(seconds), key: "", origin: "a test", isConfirmed: true)
    }
    _ = try store.commit(batch)
    store.close()
  }
  private func holdsAll(_ agent: RunningAgent) -> Bool {
    eventually(seconds: 120) { agent.status().map { $0.response.isEnforcerReady && $0.response.activeBlocks == UInt64(Self.count) } == true }
  }

  @Test func noMomentIsWithoutProtection() throws {
    guard let network = Network.make() else { return }
    let d = TemporaryDirectory()
    try store(d, seconds: 3600)
    d.append("", to: "auth.log")
    d.write("shortest_block: 1s\nblocks_per_minute: 10\n", to: "enforcer.yaml")
    // Who counts runs until it is told to end; so does who sends, a thousand packets a second.
    let counter = Child(
      network.inside + [
        "python3", "-c",
        """
        import socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("\(Network.own)", 7)); n = {}
        while True:
          who = s.recvfrom(64)[1][0]; n[who] = n.get(who, 0) + 1
          open("\(d["arrived"])", "w").write(" ".join("%s=%d" % i for i in sorted(n.items())))
        """,
      ])
    func sender(_ address: String, _ file: String) -> Child {
      Child(
        network.at(address) + [
          "python3", "-c",
          """
          import socket, time
          s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("\(address)", 0)); n = 0
          while True:
            s.sendto(b"x", ("\(Network.own)", 7)); n += 1; time.sleep(0.001)
            if n % 100 == 0: open("\(d[file])", "w").write(str(n))
          """,
        ])
    }
    func number(_ file: String) -> Int { Int(String(decoding: d.contents(file), as: UTF8.self)) ?? 0 }
    func arrived() -> String { String(decoding: d.contents("arrived"), as: UTF8.self) }

    let agent = RunningAgent(d, arguments: ["--enforcer-config", d["enforcer.yaml"]], trust: "attested", prefix: network.inside)
    #expect(holdsAll(agent), "\(agent.errors)")
    // The control: another address's packets do arrive.
    let control = sender("10.88.0.3", "control")
    #expect(eventually { arrived().contains("10.88.0.3=") })
    control.signal(SIGKILL)
    let prober = sender(Self.attacker, "sent")
    #expect(eventually { number("sent") > 0 })

    func during(_ what: String, _ change: () throws -> Void) rethrows {
      let before = number("sent")
      try change()
      #expect(holdsAll(agent), "\(what): \(agent.errors)")
      #expect(eventually { number("sent") > before + 100 })
      #expect(!arrived().contains(Self.attacker), "\(what): \(arrived()) of \(number("sent"))")
    }
    during("reload") { agent.child.signal(SIGHUP) }
    during("kill -9 of the engine") { agent.signalEngine(SIGKILL) }
    try during("kill -9 of the enforcer") {
      kill(try #require(agent.process("enforcer")), SIGKILL)
    }
    during("restart") {
      #expect(agent.stop() == 0)
      agent.start()
    }
    during("kill -9 of all") {
      agent.killAtOnce()
      agent.start()
    }
    // An upgrade: what runs ends, and other files take its place.
    during("upgrade") {
      #expect(agent.stop() == 0)
      let directory = Product.panguard.split(separator: "/").dropLast().map { "/" + $0 }.joined()
      for name in ["panguard", "panguardd", "panguard-enforcer"] { #expect(run(["/bin/cp", "\(directory)/\(name)", d["new-\(name)"]]).status == 0) }
      mkdir(d["new"], 0o755)
      for name in ["panguard", "panguardd", "panguard-enforcer"] { d.rename("new-\(name)", "new/\(name)") }
      agent.start(program: d["new/panguard"])
    }
    // Ends that drift are set again: one by half an hour, one that is gone.
    let set = try #require(network.table?.split(separator: "\n").first { $0.contains("set blocked4_32") }).split(separator: " ")[1]
    let drift = "delete element inet panguard \(set) { 11.0.1.7, 11.0.1.8 }; add element inet panguard \(set) { 11.0.1.7 timeout 30m }"
    #expect(run(network.inside + ["nft", drift]).status == 0)
    #expect(eventually { (network.remaining("11.0.1.7") ?? 0) > 2000 && (network.remaining("11.0.1.8") ?? 0) > 2000 }, "\(agent.errors)")
    #expect(eventually { String(decoding: d.contents("state/audit.jsonl"), as: UTF8.self).contains("\"reasserted\"") })
    #expect(!arrived().contains(Self.attacker) && network.remaining(Self.attacker).map { $0 > 2000 } == true)
    #expect(agent.stop() == 0)
    _ = (counter, prober)
  }
}
