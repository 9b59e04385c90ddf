// The network as a source, end to end: a packet on a cable, the capture, the engine, a decision; and what survives the end of either. In
// network namespaces that the test makes and removes.
import AgentRuntime
import Glibc
import Primitives
import Storage
import Testing

/// A host and somebody who talks to it, joined by a cable.
final class Cable {
  static let own = "10.89.0.1"
  static let peer = "10.89.0.2"
  /// Another one, at the same end of the cable.
  static let other = "10.89.0.3"
  let host: String
  let outside: String
  private static let ip = (["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"] as [String]).first { access($0, X_OK) == 0 }
  private nonisolated(unsafe) static var number = 0

  /// nil, with the reason printed, where it cannot be made.
  static func make() -> Cable? {
    guard Product.isRoot, let ip, run(["/usr/bin/env", "python3", "-V"]).status == 0 else {
      skip("network namespaces need root, ip(8) and python3 (scripts/setup --tests)")
      return nil
    }
    number += 1
    let name = "pgcab\(getpid())x\(number)"
    guard run([ip, "netns", "add", name + "h"]).status == 0 else {
      skip("network namespaces are not allowed here")
      return nil
    }
    return Cable(name)
  }
  private init(_ name: String) {
    (host, outside) = (name + "h", name + "o")
    let made = run([
      "/bin/bash", "-ec",
      """
      ip netns add \(outside)
      ip -n \(host) link add cable type veth peer name cable netns \(outside)
      for n in \(host) \(outside); do ip -n $n link set lo up; ip -n $n link set cable up; done
      ip -n \(host) address add \(Cable.own)/24 dev cable
      ip -n \(outside) address add \(Cable.peer)/24 dev cable
      ip -n \(outside) address add \(Cable.other)/24 dev cable
      """,
    ])
    if made.status != 0 { Issue.record("\(made)") }
  }
  deinit { for space in [host, outside] { run([Cable.ip ?? "", "netns", "delete", space]) } }

  var inside: [String] { [Cable.ip ?? "", "netns", "exec", host] }

  /// Asks the host for the address of a name, over UDP, from outside. Nobody answers.
  func ask(_ name: String, times: Int = 1, from address: String = Cable.peer) {
    let result = run([
      Cable.ip ?? "", "netns", "exec", outside, "python3", "-c",
      """
      import socket, struct
      name = b"".join(bytes([len(p)]) + p for p in b"\(name)".split(b".")) + b"\\0"
      s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
      s.bind(("\(address)", 0))
      for i in range(\(times)):
          s.sendto(struct.pack(">HHHHHH", i, 0x100, 1, 0, 0, 0) + name + struct.pack(">HH", 1, 1), ("\(Cable.own)", 53))
      """,
    ])
    #expect(result.status == 0, "\(result)")
  }
}

@Suite(.serialized) struct CaptureTests {
  static let rule = """
    schema_version: '1.0'
    id: ATR-2026-99901
    title: 'A name that nobody should ask for'
    rule_version: 1
    status: stable
    description: 'A name of the test.'
    author: Panguard
    date: '2026/11/21'
    severity: high
    maturity: stable
    confidence: 90
    references:
      mitre_attack: [T1071.004]
    tags:
      category: command-and-control
      confidence: high
    agent_source:
      type: host_network
    detection:
      method: pattern
      conditions:
        name:
          field: dns.question.name
          operator: exact
          value: 'beacon.example'
          description: 'the name'
      condition: 'name'
    response:
      actions: [log_alert]

    """

  private func agent(_ d: TemporaryDirectory, _ cable: Cable, more: String = "") -> RunningAgent {
    run(["/bin/mkdir", "-p", d["rules"]])
    d.write(CaptureTests.rule, to: "rules/name.yaml")
    d.write("interfaces: [cable]\n", to: "capture.yaml")
    return RunningAgent(
      d, sources: [], more: "network: {enabled: true}\n" + more, arguments: ["--capture-config", d["capture.yaml"], "--rules", d["rules"]],
      prefix: cable.inside)
  }
  private func row(_ agent: RunningAgent, _ name: String) -> SourceStatus? { agent.status()?.sources.first { $0.name == name } }
  private func capture(_ agent: RunningAgent) -> ProcessStatus? { agent.status()?.processes.first { $0.name == "capture" } }

  @Test func aQuestionOnTheWireBecomesADecision() throws {
    guard let cable = Cable.make() else { return }
    let d = TemporaryDirectory()
    let agent = agent(d, cable)
    #expect(eventually { row(agent, "network")?.state == "reading" || row(agent, "network:cable") != nil }, "\(agent.errors)")
    #expect(eventually { agent.status()?.counters.contains { $0.name == "capture frames:cable" } == true }, "\(agent.errors)")
    cable.ask("beacon.example")
    #expect(eventually { (try? agent.decisions().contains { $0.ruleID == "ATR-2026-99901" }) == true }, "\(agent.errors)")
    let decision = try agent.decisions().first { $0.ruleID == "ATR-2026-99901" }
    #expect(decision?.subject.source == Cable.peer, "\(String(describing: decision?.subject))")
    #expect(row(agent, "network:cable").map { $0.kind == "network" && $0.lines > 0 && $0.state == "reading" } == true)
    let shown = panguard("status", "--state", agent.state)
    #expect(shown.text.contains("network:cable") && shown.text.contains("capture packets:cable"), "\(shown)")
    #expect(agent.status()?.drops.contains { $0.cause == "capture kernel_drops:cable" && $0.count == 0 } == true)

    // Without a privilege, by what the kernel says; and doctor shows it.
    let process = pid_t(capture(agent)?.pid ?? 0)
    let facts = String(decoding: fileContents("/proc/\(process)/status"), as: UTF8.self)
    #expect(facts.contains("CapEff:\t0000000000000000") && facts.contains("CapBnd:\t0000000000000000") && facts.contains("Seccomp:\t2"), "\(facts)")
    let doctor = panguard("doctor", "--state", agent.state, "--config", d["config.yaml"], "--rules", d["rules"])
    #expect(doctor.text.contains("capture"), "\(doctor)")

    // Killed, it is started again, and what comes then is seen.
    kill(process, SIGKILL)
    #expect(eventually { capture(agent).map { $0.restarts == 1 && $0.pid > 0 && pid_t($0.pid) != process } ?? false }, "\(agent.errors)")
    let before = row(agent, "network:cable")?.lines ?? 0
    #expect(
      eventually {
        cable.ask("later.example")
        return row(agent, "network:cable")?.lines ?? 0 > before
      }, "\(agent.errors)")

    // An engine that is killed has a capture again.
    let engine = agent.engine
    agent.signalEngine(SIGKILL)
    #expect(eventually { agent.status().map { pid_t($0.pid) != engine } ?? false }, "\(agent.errors)")
    #expect(
      eventually {
        cable.ask("again.example")
        return row(agent, "network:cable")?.lines ?? 0 > 0
      }, "\(agent.errors)")
    #expect(agent.stop() == 0, "\(agent.errors)")
    #expect(kill(process, 0) != 0)
  }

  /// What the network detectors learned is stored at the end, and taken up at the next start; where it is damaged that is said.
  @Test(arguments: [("panguard network memory 1\nused 4242\n", true), ("used 4242\n", false)])
  func whatWasLearnedOfTheNetworkSurvives(stored: String, isWhole: Bool) throws {
    guard let cable = Cable.make() else { return }
    let d = TemporaryDirectory()
    func run(_ agent: RunningAgent) {
      #expect(
        eventually {
          cable.ask("beacon.example")
          return row(agent, "network:cable")?.lines ?? 0 > 0
        }, "\(agent.errors)")
      #expect(agent.stop() == 0, "\(agent.errors)")
    }
    func memory(_ agent: RunningAgent) throws -> String {
      String(decoding: try agent.store().responseState(Agent.networkMemoryKey) ?? [], as: UTF8.self)
    }
    let first = agent(d, cable)
    run(first)
    #expect(try memory(first) == "panguard network memory 1\n")
    let store = try DecisionStore(directory: first.state)
    var batch = CommitBatch(decisions: [])
    batch.response.state.append((Agent.networkMemoryKey, Array(stored.utf8)))
    _ = try store.commit(batch)
    store.close()
    let second = agent(d, cable)
    run(second)
    #expect(second.errors.contains("what was learned about the network could not be taken up") != isWhole, "\(second.errors)")
    #expect(try memory(second) == (isWhole ? stored : "panguard network memory 1\n"))
  }

  /// From frames on a cable to the log, and from the journal to the same log: also what came behind a capture that was killed, and an engine.
  @Test func whatWasCapturedIsDecidedAgain() throws {
    guard let cable = Cable.make() else { return }
    let d = TemporaryDirectory()
    let agent = agent(d, cable, more: "record: {enabled: true}\n")
    func expectDecision(about address: String) {
      #expect(
        eventually {
          cable.ask("beacon.example", from: address)
          return (try? agent.decisions().contains { $0.ruleID == "ATR-2026-99901" && $0.subject.source == address }) == true
        }, "\(agent.errors)")
    }
    expectDecision(about: Cable.peer)
    kill(pid_t(capture(agent)?.pid ?? 0), SIGKILL)
    expectDecision(about: Cable.other)
    #expect(agent.stop() == 0, "\(agent.errors)")
    agent.start()
    #expect(
      eventually {
        cable.ask("beacon.example")
        return row(agent, "network:cable")?.lines ?? 0 > 0
      }, "\(agent.errors)")
    #expect(agent.stop() == 0, "\(agent.errors)")
    let store = try agent.store()
    defer { store.close() }
    let log = try store.records(after: 0, limit: 100_000).map(\.bytes)
    func replay(_ more: String...) -> Finished {
      panguard(["replay", "--journal", "..", "--state", agent.state, "--config", d["config.yaml"], "--rules", d["rules"]] + more)
    }
    let verified = replay("--verify")
    #expect(verified.status == 0 && verified.text.hasPrefix("verified: \(log.count) decisions") && verified.lines.count == 1, "\(verified)")
    let printed = replay("--format", "jsonl")
    #expect(log.count >= 2 && printed.status == 0 && printed.output == log.flatMap { $0 + [0x0a] }, "\(printed)")
  }

  /// Not asked for, not started.
  @Test func withoutTheKeyNothingIsCaptured() {
    let d = TemporaryDirectory()
    d.append("", to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.isUp(), "\(agent.errors)")
    #expect(agent.status()?.processes.contains { $0.name == "capture" } == false)
    #expect(agent.status()?.sources.contains { $0.kind == "network" } == false)
    #expect(agent.stop() == 0)
  }

  /// A capture that cannot begin is said, and tried again; the logs are read meanwhile.
  @Test func aMissingInterfaceStopsNothingElse() {
    guard let cable = Cable.make() else { return }
    let d = TemporaryDirectory()
    d.write("interfaces: [nowhere]\n", to: "capture.yaml")
    d.append(Workload.attacks(0..<1)[0].joined(), to: "auth.log")
    let agent = RunningAgent(
      d, more: "network: {enabled: true}\n", arguments: ["--capture-config", d["capture.yaml"]], prefix: cable.inside)
    #expect(agent.acknowledges(44), "\(agent.errors)")
    #expect(
      eventually { agent.errors.contains("nowhere") && agent.errors.contains("capture (process ended: exit 3) is started again") }, "\(agent.errors)")
    #expect(agent.stop() == 0)
  }

  @Test(arguments: [("jsonl", "\"dns.question.name\":\"shown.example\""), ("table", "query A shown.example")])
  func flowsAreShownOnTheScreen(format: String, wanted: String) {
    guard let cable = Cable.make() else { return }
    let d = TemporaryDirectory()
    let child = Child(
      cable.inside + [Product.panguard, "capture", "--interface", "cable", "--filter", "udp", "--format", format], output: d["out"],
      errors: d["err"])
    #expect(eventually { String(decoding: d.contents("err"), as: UTF8.self).contains("ready") })
    cable.ask("shown.example", times: 2)
    #expect(
      eventually { String(decoding: d.contents("out"), as: UTF8.self).contains(wanted) }, "\(String(decoding: d.contents("err"), as: UTF8.self))")
    #expect(String(decoding: d.contents("out"), as: UTF8.self).hasPrefix(format == "table" ? "FRAME    TIME (UTC)" : "{"))
    child.signal(SIGKILL)
    child.wait()
    let both = panguard("capture", "--interface", "lo", "--write", d["x"], "--format", "table")
    #expect(both.status == 2 && both.errors.contains("--format goes without --write"), "\(both)")
    let wrong = panguard("capture", "--interface", "lo", "--count", "3")
    #expect(wrong.status == 2 && wrong.errors.contains("--write"), "\(wrong)")
  }
}
