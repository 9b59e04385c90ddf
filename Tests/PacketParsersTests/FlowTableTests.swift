import PacketParsers
import Primitives
import Testing

@testable import PanguardTestKit

private typealias B = PacketBuilder

/// What an analyzer tells, as text.
final class Told: PacketSink {
  var flows: [String] = []
  var records: [FlowRecord] = []
  var messages: [String] = []
  func message(_ message: borrowing ApplicationMessage, flow: Flow, time: EventTime) { messages.append("\(message.protocol.name) \(message.frame)") }
  func flow(_ record: FlowRecord) {
    records.append(record)
    let flow = record.flow
    let ends = (flow.originator.address(isIPv6: flow.isIPv6), flow.responder.address(isIPv6: flow.isIPv6))
    flows.append(
      "\(ends.0):\(flow.originatorPort) > \(ends.1):\(flow.responderPort) \(flow.connectionState.map { "\($0.name)" } ?? "-")"
        + " \(flow.toResponder.packets)/\(flow.toOriginator.packets) \(record.end.name)")
  }
}

/// Packets of a test go in by hand; frames are numbered as they come.
struct Trial: ~Copyable {
  var analyzer: PacketAnalyzer
  let told = Told()
  var frame: UInt64 = 0
  init(seed: UInt64 = 1, flows: Int = 64, halfOpen: Int = 64, contents: Int = 16, reportsActive: Bool = false) {
    analyzer = PacketAnalyzer(
      seed: (seed, ~seed), flowCapacity: flows, halfOpenCapacity: halfOpen, contentCapacity: contents, reportsActiveFlows: reportsActive)
  }
  mutating func add(_ frame: Octets, milliseconds: Int64 = 0) {
    self.frame += 1
    let number = self.frame
    frame.withUnsafeBytes {
      analyzer.process(
        $0, linkType: .ethernet, time: EventTime(nanoseconds: milliseconds * 1_000_000), number: number, wireBytes: frame.count, sink: told)
    }
  }
  /// TCP from one of the two usual ends.
  mutating func tcp(
    _ fromOriginator: Bool, _ flags: TCPFlags, port: Int = 40_000, _ payload: String = "", sequence: UInt32 = 1, acknowledgment: UInt32 = 0,
    from: UInt32 = B.here, milliseconds: Int64 = 0
  ) {
    let bytes = Octets(payload.utf8)
    let segment =
      fromOriginator
      ? B.tcp(port, 80, flags, sequence: sequence, acknowledgment: acknowledgment, bytes)
      : B.tcp(80, port, flags, sequence: sequence, acknowledgment: acknowledgment, bytes)
    add(
      B.ethernet(0x0800, fromOriginator ? B.ipv4(6, segment, from: from, to: B.there) : B.ipv4(6, segment, from: B.there, to: from)),
      milliseconds: milliseconds)
  }
  mutating func udp(_ from: UInt32, _ to: UInt32, _ fromPort: Int, _ toPort: Int, milliseconds: Int64 = 0) {
    add(B.ethernet(0x0800, B.ipv4(17, B.udp(fromPort, toPort, [1]), from: from, to: to)), milliseconds: milliseconds)
  }
  mutating func handshake(port: Int = 40_000, from: UInt32 = B.here, milliseconds: Int64 = 0) {
    tcp(true, .syn, port: port, sequence: 100, from: from, milliseconds: milliseconds)
    tcp(false, [.syn, .ack], port: port, sequence: 900, acknowledgment: 101, from: from, milliseconds: milliseconds)
    tcp(true, .ack, port: port, sequence: 101, acknowledgment: 901, from: from, milliseconds: milliseconds)
  }
  mutating func finish() -> [String] {
    analyzer.finish(sink: told)
    return told.flows
  }
}

@Suite("Flows")
struct FlowTableTests {
  struct Row: Sendable, CustomTestStringConvertible {
    let name: String
    /// o: originator, r: responder; S SYN, A ACK, F FIN, R RST, D data.
    let script: String
    let flows: [String]
    var testDescription: String { name }
  }
  private static func one(_ state: String, _ counts: String, _ end: String = "capture_ended") -> [String] {
    ["10.0.0.1:40000 > 192.0.2.1:80 \(state) \(counts) \(end)"]
  }
  static let rows: [Row] = [
    Row(name: "asked, no answer", script: "oS oS oS", flows: one("S0", "3/0")),
    Row(name: "refused", script: "oS rRA", flows: one("REJ", "1/1", "closed")),
    Row(name: "refused, asked again", script: "oS rRA oS rRA", flows: one("REJ", "1/1", "closed") + one("REJ", "1/1", "closed")),
    Row(name: "answered, never confirmed", script: "oS rSA rSA", flows: one("S1", "1/2")),
    Row(name: "scanned half-open", script: "oS rSA oR", flows: one("RSTO", "2/1", "closed")),
    Row(name: "established", script: "oS rSA oA oAD rA", flows: one("S1", "3/2")),
    Row(name: "closed by both", script: "oS rSA oA oAD rA oFA rFA oA", flows: one("SF", "5/3", "closed")),
    Row(name: "closed by the originator", script: "oS rSA oA oFA rA", flows: one("S2", "3/2")),
    Row(name: "closed by the responder", script: "oS rSA oA rFA", flows: one("S3", "2/2")),
    Row(name: "aborted by the originator", script: "oS rSA oA oR", flows: one("RSTO", "3/1", "closed")),
    Row(name: "aborted by the responder, answered with RST", script: "oS rSA oA rR oR", flows: one("RSTR", "3/2", "closed")),
    Row(name: "asked and withdrawn", script: "oS oR", flows: one("RSTOS0", "2/0", "closed")),
    Row(name: "SYN then FIN", script: "oS oF", flows: one("SH", "2/0")),
    Row(name: "only the answer was seen", script: "rSA rRA", flows: one("RSTRH", "0/2", "closed")),
    Row(name: "FIN scan", script: "oF rRA", flows: one("OTH", "1/1", "closed")),
    Row(name: "NULL scan", script: "o", flows: one("OTH", "1/0")),
    Row(name: "in the middle", script: "oAD rA", flows: one("OTH", "1/1")),
    Row(name: "the port is used again", script: "oS rSA oA oFA rFA oA oS rSA oA", flows: one("SF", "4/2", "closed") + one("S1", "2/1")),
    Row(name: "late packets of a closed one", script: "oS rSA oA oFA rFA oA rFA oA", flows: one("SF", "5/3", "closed")),
  ]

  @Test(arguments: rows) func states(_ row: Row) {
    var trial = Trial()
    for word in row.script.split(separator: " ") {
      var flags: TCPFlags = []
      for (letter, flag) in [("S", TCPFlags.syn), ("A", .ack), ("F", .fin), ("R", .rst)] where word.contains(letter) { flags.insert(flag) }
      trial.tcp(word.hasPrefix("o"), flags, word.contains("D") ? "data" : "")
    }
    #expect(trial.finish() == row.flows)
  }

  /// 4,000 spoofed connections, answered and not, and 500 datagrams that nobody answers: the established connection stays what it is.
  @Test(arguments: [false, true]) func aFloodDoesNotTouchConnections(_ isAnswered: Bool) throws {
    var trial = Trial(flows: 64, halfOpen: 64)
    trial.handshake(milliseconds: 0)
    for i in 0..<4000 {
      let from = 0xcb00_7100 &+ UInt32(i)
      trial.tcp(true, .syn, port: 1024 + i % 60_000, from: from, milliseconds: Int64(i / 5))
      if isAnswered { trial.tcp(false, [.syn, .ack], port: 1024 + i % 60_000, from: from, milliseconds: Int64(i / 5)) }
    }
    for i in 0..<500 { trial.udp(0xcb00_7100 &+ UInt32(i), B.there, 5000, 53, milliseconds: 1000 + Int64(i / 5)) }
    trial.tcp(true, [.ack, .psh], "still here", sequence: 101, acknowledgment: 901, milliseconds: 2000)
    let counters = trial.analyzer.flowCounters
    #expect(counters.evictedHalfOpen == 4000 - 64)
    #expect(counters.evicted == 500 - 63)
    #expect(counters.mostFlows == 64 && counters.mostHalfOpen == 64)
    let flows = trial.finish()
    #expect(flows.count == 4000 + 500 + 1)
    #expect(flows.filter { $0 == "10.0.0.1:40000 > 192.0.2.1:80 S1 3/1 capture_ended" }.count == 1)
    #expect(flows.filter { $0.hasSuffix("evicted") }.count == 4000 - 64 + 500 - 63)
  }

  /// On a quiet link time goes on without packets: it ends what is over, and nothing else, and never goes back.
  @Test func timeWithoutPackets() {
    var trial = Trial()
    func advance(_ seconds: Int64) { trial.analyzer.advance(to: EventTime(nanoseconds: seconds * 1_000_000_000), sink: trial.told) }
    advance(1000)
    trial.handshake(port: 50_000)
    trial.tcp(true, .syn, port: 40_000)
    advance(19)
    #expect(trial.told.flows.isEmpty)
    advance(22)
    #expect(trial.told.flows == ["10.0.0.1:40000 > 192.0.2.1:80 S0 1/0 idle"])
    advance(-1)
    trial.tcp(true, .syn, port: 40_001, milliseconds: 62_500)
    advance(81)
    #expect(trial.told.flows.count == 1)
    advance(3700)
    #expect(trial.told.flows.dropFirst() == ["10.0.0.1:50000 > 192.0.2.1:80 S1 2/1 idle", "10.0.0.1:40001 > 192.0.2.1:80 S0 1/0 idle"])
    #expect(trial.finish().count == 3)
  }

  /// With nothing but established connections, the one that was silent longest goes.
  @Test func connectionsGoLast() {
    var trial = Trial(flows: 4)
    for i in 0..<4 { trial.handshake(port: 40_000 + i, milliseconds: Int64(i) * 2000) }
    trial.tcp(true, .ack, port: 40_000, "x", sequence: 101, milliseconds: 9000)
    trial.handshake(port: 50_000, milliseconds: 10_000)
    #expect(trial.told.flows == ["10.0.0.1:40001 > 192.0.2.1:80 S1 2/1 evicted"])
  }

  @Test func silenceEndsFlows() {
    var trial = Trial()
    trial.handshake()
    trial.udp(B.here, B.there, 5000, 53)
    trial.udp(B.there, B.here, 53, 5000)
    trial.udp(B.here, B.there, 6000, 53)
    trial.tcp(true, .syn, port: 1)
    let marks: [(Int64, Int)] = [(19_000, 0), (22_500, 1), (59_000, 1), (62_500, 2), (179_000, 2), (182_500, 3), (3_599_000, 3), (3_603_000, 4)]
    for (milliseconds, ended) in marks {
      trial.add(B.ethernet(0x0800, B.ipv4(89, [])), milliseconds: milliseconds)
      trial.told.flows.removeAll { $0.contains(":0 >") }
      #expect(trial.told.flows.count == ended, "after \(milliseconds) ms: \(trial.told.flows)")
    }
  }

  /// A packet after the silence belongs to a new flow, to the nanosecond, although ended flows are looked for once in a second only.
  @Test func theSameEndsAfterSilenceAreAnotherFlow() {
    var trial = Trial()
    trial.udp(B.here, B.there, 5000, 53, milliseconds: 0)
    trial.udp(B.here, B.there, 5000, 53, milliseconds: 60_000)
    trial.udp(B.here, B.there, 5000, 53, milliseconds: 120_001)
    #expect(trial.finish() == ["10.0.0.1:5000 > 192.0.2.1:53 - 2/0 idle", "10.0.0.1:5000 > 192.0.2.1:53 - 1/0 capture_ended"])
  }

  @Test func longFlowsAreReportedAsTheyGo() {
    var trial = Trial(reportsActive: true)
    trial.handshake()
    for minute in 1...65 { trial.tcp(true, .ack, "x", sequence: UInt32(100 + minute), milliseconds: Int64(minute) * 60_000) }
    #expect(
      trial.finish() == [
        "10.0.0.1:40000 > 192.0.2.1:80 S1 32/1 active", "10.0.0.1:40000 > 192.0.2.1:80 S1 62/1 active",
        "10.0.0.1:40000 > 192.0.2.1:80 S1 67/1 capture_ended",
      ])
  }

  @Test func countsBothWays() throws {
    var trial = Trial()
    trial.handshake()
    trial.tcp(true, [.ack, .psh], "12345", sequence: 101)
    trial.tcp(false, .ack, "1234567", sequence: 901)
    _ = trial.finish()
    let flow = try #require(trial.told.records.first).flow
    #expect(flow.toResponder.packets == 3 && flow.toResponder.bytes == 3 * 40 + 5 && flow.toResponder.payloadBytes == 5)
    #expect(flow.toOriginator.packets == 2 && flow.toOriginator.bytes == 2 * 40 + 7 && flow.toOriginator.payloadBytes == 7)
    #expect(flow.firstFrame == 1 && flow.lastFrame == 5 && flow.isConfirmed)
  }

  @Test func requestAndReplyAreOneFlow() {
    var trial = Trial()
    trial.add(B.ethernet(0x0800, B.ipv4(1, B.icmp(8))))
    trial.add(B.ethernet(0x0800, B.ipv4(1, B.icmp(0), from: B.there, to: B.here)))
    trial.add(B.ethernet(0x0800, B.ipv4(1, B.icmp(3, 1), from: B.there, to: B.here)))
    #expect(trial.finish() == ["10.0.0.1:8 > 192.0.2.1:0 - 1/1 capture_ended", "192.0.2.1:3 > 10.0.0.1:1 - 1/0 capture_ended"])
  }

  /// Clocks that go back a little are one queue behind another; by more they were set. Neither loses a flow nor a packet.
  @Test func timeMayGoBack() {
    var trial = Trial()
    trial.udp(B.here, B.there, 5000, 53, milliseconds: 10_000_000)
    trial.udp(B.here, B.there, 5000, 53, milliseconds: 9_999_000)
    trial.udp(B.here, B.there, 5000, 53, milliseconds: 1000)
    #expect(trial.finish() == ["10.0.0.1:5000 > 192.0.2.1:53 - 3/0 capture_ended"])
  }

  /// Random packets of few ends: what is told does not depend on the key of the hash, and every packet is in exactly one flow.
  @Test func theHashDecidesNothing() {
    func run(_ seed: UInt64) -> [String] {
      var trial = Trial(seed: seed, flows: 24, halfOpen: 16)
      var chance = SplitMix64(seed: 7)
      let flags: [TCPFlags] = [.syn, [.syn, .ack], .ack, [.ack, .psh], [.fin, .ack], .rst, [], [.rst, .ack]]
      var time: Int64 = 0
      for _ in 0..<4000 {
        time += Int64(chance.below(40))
        let from = 0x0a00_0000 + UInt32(chance.below(12))
        if chance.below(4) == 0 {
          trial.udp(from, B.there, 1000 + chance.below(6), 53, milliseconds: time)
        } else {
          let flag = flags[chance.below(flags.count)]
          trial.tcp(
            chance.below(2) == 0, flag, port: 1000 + chance.below(6), flag.contains(.psh) ? "data" : "", sequence: UInt32(chance.below(50)),
            from: from, milliseconds: time)
        }
      }
      let counters = trial.analyzer.flowCounters
      let flows = trial.finish()
      #expect(UInt64(flows.count) == counters.begun)
      #expect(trial.told.records.reduce(0) { $0 + $1.flow.toResponder.packets + $1.flow.toOriginator.packets } == 4000)
      #expect(counters.evicted > 0 && counters.evictedHalfOpen > 0)
      return flows
    }
    #expect(run(1) == run(0xfeed_beef))
  }
}
