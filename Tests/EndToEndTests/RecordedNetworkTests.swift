// What came from the network is recorded and decided again, byte for byte: over the capture's channel, with a test that speaks for the
// capture; with a capture on a cable in CaptureTests.
import AgentRuntime
import CaptureChannel
import Events
import Export
import Glibc
import Primitives
import Storage
import Testing

/// A capture as the engine sees it: a socket on which whoever connects is told events.
private final class SpokenCapture {
  private let listening: Int32
  private var connection: Int32 = -1
  private(set) var told = 0
  private var event = Event()

  init(_ path: String) {
    listening = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    #expect(withSocketAddress(path) { bind(listening, $0, $1) } == 0 && listen(listening, 4) == 0)
  }
  deinit { for one in [listening, connection] where one >= 0 { close(one) } }

  /// Waits for the engine, and begins as a capture begins.
  func begin() {
    if connection >= 0 { close(connection) }
    connection = accept(listening, nil, nil)
    var bytes: [UInt8] = []
    CaptureEncoder.fields(to: &bytes)
    CaptureEncoder.interface(0, "eth0", to: &bytes)
    send(bytes)
  }
  private func send(_ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let n = rest.withUnsafeBytes { Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      #expect(n > 0, "the engine does not listen: \(String(cString: strerror(errno)))")
      guard n > 0 else { return }
      rest = rest.dropFirst(n)
    }
  }
  private func tell(_ action: StaticString, _ source: String, _ destination: String, at time: EventTime, _ more: (inout Event) -> Void) {
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    event.time = time
    event.set(.eventAction, action)
    event.set(.sourceIP, IPAddress(source)!)
    event.set(.destinationIP, IPAddress(destination)!)
    more(&event)
    told += 1
    var bytes: [UInt8] = []
    #expect(CaptureEncoder.event(event, interface: 0, frame: UInt64(told), to: &bytes))
    send(bytes)
  }

  func question(_ name: [UInt8], from source: String, at time: EventTime) {
    tell("dns-query", source, "10.89.0.1", at: time) { event in
      event.set(.eventDataset, "network_traffic.dns")
      name.withUnsafeBytes { event.set(.dnsQuestionName, $0) }
      event.setExtra(Bytes("x.note"), Bytes("beside the table"))
      event.noteTruncation()
    }
  }
  /// Each port of 10.89.0.1 in `ports` once, without an answer.
  func scan(_ ports: Range<Int64>, from source: String, at time: EventTime) {
    for port in ports {
      tell("network_flow", source, "10.89.0.1", at: time + .milliseconds(port * 20)) { event in
        event.set(.eventDataset, "network_traffic.flow")
        event.set(.networkTransport, "tcp")
        event.set(.sourcePort, 40_000)
        event.set(.destinationPort, port)
        event.set(.flowState, "S0")
        event.set(.flowEnd, "closed")
        event.set(.eventDuration, 0)
        event.set(.sourceBytes, .max)
        event.set(.sourcePackets, 1)
        event.set(.destinationPackets, 0)
      }
    }
  }
}

@Suite struct RecordedNetworkTests {
  @Test func whatTheCaptureToldIsDecidedAgain() throws {
    let d = TemporaryDirectory()
    run(["/bin/mkdir", "-p", d["rules"]])
    d.write(CaptureTests.rule, to: "rules/name.yaml")
    d.append("", to: "auth.log")
    d.write(
      """
      sources:
        - path: \(d["auth.log"])
          from_start: true
      network: {enabled: true, capture: \(d["capture.sock"])}
      record: {enabled: true}

      """, to: "config.yaml")
    let capture = SpokenCapture(d["capture.sock"])
    let rules = ["--rules", d["rules"], "--rules", Product.rules, "--rules", Product.root + "/rules/network"]
    let place = ["--config", d["config.yaml"], "--state", d["state"]]
    let user = Product.isRoot ? ["--user", "root"] : []
    func status() -> AgentStatus? {
      guard let answer = try? ControlClient.ask(AgentPaths.socketPath(in: d["state"]), .status) else { return nil }
      return try? answer.withUnsafeBytes { try AgentStatus(json: $0) }
    }
    var errors: String { String(decoding: d.contents("err"), as: UTF8.self) }
    /// What one run of the engine reads: lines of the log, and what the capture says before, between and after; it is started again in between.
    func live(_ round: Int64) {
      let engine = Child([Product.panguardd] + place + rules + user, errors: d["err"], environment: Product.environment)
      capture.begin()
      let before = capture.told
      let start = Workload.start + .hours(round)
      capture.question(Array("beacon.example".utf8), from: "10.89.0.\(10 + round)", at: start)
      d.append(Workload.attacks(Int(round)..<Int(round) + 1)[0].joined(), to: "auth.log")
      capture.scan(1..<80, from: "203.0.113.\(9 + round)", at: start + .seconds(5))
      // The capture ends, and another one goes on.
      capture.begin()
      capture.question(Array("a\"\\\u{1}\u{7f}".utf8) + [0xff, 0xfe], from: "2001:db8::\(1 + round)", at: start + .minutes(1))
      capture.question(Array("beacon.example".utf8), from: "10.89.0.\(10 + round)", at: start + .minutes(2))
      let (told, lines) = (UInt64(capture.told - before), UInt64(44))
      func count(_ kind: String) -> UInt64 { status()?.sources.filter { $0.kind == kind }.reduce(0) { $0 + $1.lines } ?? 0 }
      #expect(eventually { count("network") == told && count("file") >= lines }, "\(String(describing: status()?.sources))\n\(errors)")
      engine.signal(SIGTERM)
      #expect(engine.wait(seconds: 120) == 0, "\(errors)")
    }
    for round in 0..<3 as Range<Int64> { live(round) }

    let store = try DecisionStore(directory: d["state"], readOnly: true)
    defer { store.close() }
    let log = try store.records(after: 0, limit: 100_000).map(\.bytes)
    let decisions = try store.decisions(limit: 1000).decisions
    #expect(decisions.count { $0.ruleID == "ATR-2026-99901" } == 3 && decisions.contains { $0.ruleID == "ATR-2026-90001" })
    #expect(decisions.contains { $0.subject.source == "203.0.113.10" }, "\(decisions.map { "\($0.ruleID) \($0.subject.label)" })")
    #expect(decisions.contains { $0.evidence.contains { $0.source == "network:eth0" } })
    let verified = panguard(["replay", "--journal", "..", "--verify"] + place + rules)
    #expect(verified.status == 0 && verified.text.hasPrefix("verified: \(log.count) decisions") && verified.lines.count == 1, "\(verified)")
    let printed = panguard(["replay", "--journal", "..", "--format", "jsonl"] + place + rules)
    #expect(printed.status == 0 && printed.output == log.flatMap { $0 + [0x0a] }, "\(printed.errors)")
    let found = try #require(decisions.first { $0.ruleID == "ATR-2026-99901" })
    let again = panguard(["explain", found.id, "--reproduce"] + place + rules)
    #expect(again.status == 0 && again.text.contains("byte for byte"), "\(again)")
  }
}
