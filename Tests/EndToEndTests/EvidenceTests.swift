// Packets as evidence, end to end: the capture records on a cable, somebody attacks, a rule decides, a playbook's step has the responder cut the
// attacker's packets out of the recording, and the command line does the same. What is in the files is compared with what a filter of the kernel's
// saw meanwhile. In network namespaces that the test makes and removes.
import AgentRuntime
import Glibc
import Primitives
import Storage
import Testing

@Suite(.serialized) struct EvidenceTests {
  private static let playbook = """
    playbook: keep-packets
    title: Keep the packets
    when: {rule: ATR-2026-99901}
    steps:
      - capture_evidence: {packets: {seconds: 3, bytes: 1MiB}}
      - capture_evidence: lines

    """

  private struct Scene {
    let d: TemporaryDirectory
    let cable: Cable
    let agent: RunningAgent
    func ask(_ arguments: String...) -> Finished { panguard(arguments + ["--state", agent.state]) }
    func response(_ id: String) throws -> ResponseRecord? {
      try agent.store().responses(decisionID: id).first { $0.action.hasPrefix("capture_evidence packets") }
    }
  }
  private func scene(_ responder: String = "capture_packets: true\n") -> Scene? {
    guard let cable = Cable.make() else { return nil }
    let d = TemporaryDirectory()
    chmod(d.path, 0o755)
    for name in ["rules", "responder"] { mkdir(d[name], 0o700) }
    d.write(CaptureTests.rule, to: "rules/name.yaml")
    d.write(Self.playbook, to: "keep.yaml")
    d.write(
      "interfaces: [cable]\nrecording: true\nrecording_directory: \(d["ring"])\nrecording_files: 2\nrecording_file_size: 1MiB\n", to: "capture.yaml")
    d.write(responder + "state_directory: \(d["responder"])\nrecording_directory: \(d["ring"])\n", to: "responder.yaml")
    let agent = RunningAgent(
      d, sources: [], more: "network: {enabled: true}\nresponse: {playbooks: [\(d["keep.yaml"])]}\n",
      arguments: [
        "--capture-config", d["capture.yaml"], "--rules", d["rules"], "--responder-config", d["responder.yaml"],
      ], prefix: cable.inside)
    let scene = Scene(d: d, cable: cable, agent: agent)
    #expect(eventually { agent.status()?.counters.contains { $0.name == "capture frames:cable" } == true }, "\(agent.errors)")
    #expect(eventually { agent.status()?.response.responder.hasPrefix("ready") == true }, "\(agent.errors)")
    return scene
  }

  /// The frames of a pcap file with nanoseconds, in this host's byte order, and their stamps.
  private func frames(_ bytes: [UInt8]) -> [(time: Int64, bytes: [UInt8])] {
    var found: [(time: Int64, bytes: [UInt8])] = []
    var at = 24
    func u32(_ offset: Int) -> Int { bytes.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: at + offset, as: UInt32.self)) } }
    while bytes.count - at >= 16, bytes.count - at - 16 >= u32(8) {
      let end = at + 16 + u32(8)
      found.append((Int64(u32(0)) * 1_000_000_000 + Int64(u32(4)), Array(bytes[(at + 16)..<end])))
      at = end
    }
    return found
  }
  /// The frames of a pcapng file as we write them.
  private func blocks(_ bytes: [UInt8]) -> [[UInt8]] {
    var found: [[UInt8]] = []
    var at = 0
    func u32(_ offset: Int) -> Int { bytes.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: at + offset, as: UInt32.self)) } }
    while bytes.count - at >= 12, u32(4) >= 12, bytes.count - at >= u32(4) {
      if u32(0) == 6 { found.append(Array(bytes[(at + 28)..<(at + 28 + u32(20))])) }
      at += u32(4)
    }
    return found
  }

  @Test func theAttackersPacketsAreKeptAndNoOthers() throws {
    guard let s = scene() else { return }
    #expect(s.ask("arm").status == 0)
    // What a filter of the kernel's sees of the attacker.
    let reference = Child(
      s.cable.inside + [Product.panguard, "capture", "--interface", "cable", "--filter", "host \(Cable.peer)", "--write", s.d["reference"]],
      errors: s.d["reference.err"])
    #expect(eventually { String(decoding: s.d.contents("reference.err"), as: UTF8.self).contains("ready") })
    s.cable.ask("good.example", times: 20, from: Cable.other)
    s.cable.ask("before.example", times: 7)
    s.cable.ask("beacon.example", times: 3)
    s.cable.ask("good.example", times: 20, from: Cable.other)
    s.cable.ask("after.example", times: 5)
    #expect(eventually { (try? s.agent.decisions().contains { $0.ruleID == "ATR-2026-99901" }) == true }, "\(s.agent.errors)")
    let decision = try #require(s.agent.decisions().first { $0.ruleID == "ATR-2026-99901" })
    #expect(decision.subject.source == Cable.peer)
    #expect(eventually { (try? s.response(decision.id)?.state) == .done }, "\(String(describing: try? s.response(decision.id))) \(s.agent.errors)")
    let record = try #require(try s.response(decision.id))
    let path = s.d["responder/evidence/\(record.key).pcapng"]
    #expect(record.detail.hasPrefix("\(path): ") && record.action.contains("packets of \(Cable.peer)/32, 3s before and after"), "\(record)")
    // By hand, the same; and the first lines say so.
    let cut = s.ask(
      "evidence", decision.id, "--pcap", "--before", "10m", "--after", "10m", "--capture-config", s.d["capture.yaml"], "--output", s.d["hand.pcapng"])
    reference.signal(SIGINT)
    reference.wait()
    let seen = frames(s.d.contents("reference"))
    let hand = blocks(s.d.contents("hand.pcapng"))
    #expect(hand.count >= 15 && hand == seen.prefix(hand.count).map(\.bytes), "\(hand.count) of \(seen.count) frames")
    #expect(cut.status == 0 && cut.text.contains("\(hand.count) packets, ") && cut.text.contains(s.d["hand.pcapng"]), "\(cut)")
    #expect(cut.text.contains("frames that the decision names were found"), "\(cut)")
    // The step's window, however slow this machine is.
    let since = decision.time.nanoseconds - 3_000_000_000
    let inTime = seen.filter { since <= $0.time && $0.time <= since + 6_000_000_000 }.map(\.bytes)
    let kept = blocks(fileContents(path))
    #expect(kept.count >= 3 && kept == inTime, "\(kept.count) of \(inTime.count) frames; \(record.detail)")
    var facts = stat()
    #expect(stat(path, &facts) == 0 && facts.st_mode & 0o7777 == 0o600)

    let again = s.ask(
      "evidence", decision.id, "--pcap", "--before", "10m", "--after", "10m", "--capture-config", s.d["capture.yaml"], "--output", s.d["hand.pcapng"])
    #expect(again.status == 2 && again.errors.contains("is there already"), "\(again)")
    // Out of any capture: what the kernel's filter saw is all of it.
    let other = s.ask(
      "evidence", decision.id, "--pcap", "--before", "10m", "--after", "10m", "--from", s.d["reference"], "--output", s.d["from.pcapng"], "--format",
      "json")
    #expect(other.status == 0 && other.text.contains("\"packets\":\(seen.count)"), "\(other)")
    let inspected = panguard("inspect", s.d["hand.pcapng"], "--dns", "--format", "jsonl")
    #expect(inspected.text.contains("beacon.example") && !inspected.text.contains("good.example"), "\(inspected)")
    let lines = s.ask("evidence", decision.id)
    #expect(lines.status == 0 && lines.text.contains("network:cable") && lines.text.contains("--pcap"), "\(lines)")

    // It can be taken back.
    #expect(s.ask("actions").text.contains(String(record.key.prefix(8))))
    #expect(s.ask("undo", record.key).status == 0 && access(path, F_OK) != 0)
    let counters = s.agent.status()?.counters ?? []
    #expect(counters.contains { $0.name == "capture frames_recorded" && $0.value > 50 }, "\(counters)")

    // The engine has the recording neither open nor in reach.
    let engine = s.agent.engine
    let opened = run(["/bin/ls", "-l", "/proc/\(engine)/fd"])
    #expect(!opened.text.contains("/ring/"), "\(opened)")
    // The capture goes on where it was after a crash of it.
    let before = s.d.contents("ring/recording.00.pcapng").count
    kill(try #require(s.agent.process("capture")), SIGKILL)
    #expect(
      eventually {
        s.cable.ask("again.example")
        return s.d.contents("ring/recording.00.pcapng").count > before
      }, "\(s.agent.errors)")
    #expect(s.agent.stop() == 0)
  }

  @Test func whatIsNotThereIsSaid() throws {
    guard let s = scene("kill_processes: true\n") else { return }
    #expect(s.ask("arm").status == 0)
    s.cable.ask("beacon.example")
    #expect(eventually { (try? s.agent.decisions().isEmpty) == false }, "\(s.agent.errors)")
    let decision = try #require(s.agent.decisions().first)
    #expect(eventually { (try? s.response(decision.id)?.state) == .refused }, "\(s.agent.errors)")
    #expect(try s.response(decision.id)?.detail.contains("capture_packets: true") == true)
    #expect(s.agent.stop() == 0)

    let off = s.ask("evidence", decision.id, "--pcap", "--recording", s.d["nowhere"], "--output", s.d["x"])
    #expect(off.status == 3 && off.errors.contains("nowhere") && access(s.d["x"], F_OK) != 0, "\(off)")
    let hostile = s.ask("evidence", "d\u{1b}[31m../../etc", "--pcap")
    #expect(hostile.status == 2 && !hostile.errors.contains("\u{1b}"), "\(hostile)")
    // Long ago, as the recording is concerned.
    s.d.write("", to: "empty")
    let nothing = s.ask("evidence", decision.id, "--pcap", "--from", s.d["empty"], "--output", s.d["x"])
    #expect(nothing.status == 1 && nothing.text.contains("no packet of it was found") && access(s.d["x"], F_OK) != 0, "\(nothing)")
    // No span before and after: the time of the evidence alone.
    let exact = s.ask("evidence", decision.id, "--pcap", "--before", "0s", "--after", "0", "--from", s.d["empty"], "--output", s.d["x"])
    #expect(exact.status == 1 && exact.text.contains("no packet of it was found"), "\(exact)")
    #expect(s.ask("evidence", decision.id, "--output", s.d["x"]).status == 2)
    #expect(s.ask("evidence", decision.id, "--pcap", "--before", "soon").status == 2)
  }
}
