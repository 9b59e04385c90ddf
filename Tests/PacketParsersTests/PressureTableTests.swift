// What the analyzer tells of pressure and of ARP while it lasts, from real frames.
import Events
import Primitives
import Testing

@testable import PacketParsers
@testable import PanguardTestKit

private let second: Int64 = 1_000_000_000

private final class Collector: PacketSink {
  var pressure: [PressureRecord] = []
  var arp: [ARPNews] = []
  var flows: [FlowRecord] = []
  func message(_ message: borrowing ApplicationMessage, flow: Flow, time: EventTime) {}
  func flow(_ record: FlowRecord) { flows.append(record) }
  func pressure(_ record: PressureRecord) { pressure.append(record) }
  func arp(_ news: ARPNews, frame: UInt64) { arp.append(news) }
}

private struct Wire: ~Copyable {
  var analyzer = PacketAnalyzer(seed: (1, 2), flowCapacity: 4096, halfOpenCapacity: 4096, contentCapacity: 64)
  let sink = Collector()
  /// Nanoseconds since some day that an interval begins with.
  var now: Int64 = 0
  private var number: UInt64 = 0
  private static let start = Int64(1_767_225_600) * 1_000_000_000

  mutating func send(_ frame: Octets) {
    number += 1
    frame.withUnsafeBytes {
      analyzer.process(
        $0, linkType: .ethernet, time: EventTime(nanoseconds: Wire.start + now), number: number, wireBytes: frame.count, sink: sink)
    }
  }
  mutating func tcp(_ from: UInt32, _ sourcePort: Int, _ to: UInt32, _ port: Int, _ flags: TCPFlags) {
    send(PacketBuilder.ethernet(0x0800, PacketBuilder.ipv4(6, PacketBuilder.tcp(sourcePort, port, flags), from: from, to: to)))
  }
  mutating func udp(_ from: UInt32, _ sourcePort: Int, _ to: UInt32, _ port: Int, bytes: Int = 20) {
    let payload = Octets(repeating: 0x41, count: bytes)
    send(PacketBuilder.ethernet(0x0800, PacketBuilder.ipv4(17, PacketBuilder.udp(sourcePort, port, payload), from: from, to: to)))
  }
  mutating func arp(_ operation: Int, _ mac: UInt8, _ sender: UInt32, _ target: UInt32) {
    send(
      PacketBuilder.ethernet(
        0x0806, hex("0001 0800 06 04") + be16(operation) + [2, 0, 0, 0, 0, mac] + be32(sender) + hex("00 00 00 00 00 00") + be32(target)))
  }
  mutating func finish() { analyzer.finish(sink: sink) }
}

private let server: UInt32 = 0x0a00_0005
private func peer(_ index: Int) -> UInt32 { 0xc612_0000 + UInt32(index) }

@Suite struct PressureTableTests {
  @Test(arguments: [false, true])
  func spoofedConnections(isAnswered: Bool) {
    var wire = Wire()
    for i in 0..<500 {
      wire.now = Int64(i) * 5_000_000
      wire.tcp(peer(i), 4000 + i, server, 443, .syn)
      if isAnswered { wire.tcp(server, 443, peer(i), 4000 + i, [.syn, .ack]) }
    }
    wire.now = 5 * second
    wire.tcp(peer(9999), 5, server, 80, .syn)
    #expect(wire.sink.pressure.count == 1)
    let record = wire.sink.pressure[0]
    #expect(record.unanswered == 500)
    #expect(record.isTCP && record.port == 443 && record.usual == 0)
    #expect(record.sources > 150)
    #expect(record.destination == AddressBits(high: 0, low: UInt64(server)))
    // Before any of the flows is told.
    #expect(wire.sink.flows.isEmpty)
  }

  @Test func whoConfirmsOrIsRefusedPressesNobody() {
    var wire = Wire()
    for i in 0..<2000 {
      wire.now = Int64(i) * 10_000_000
      wire.tcp(peer(i), 4000, server, 443, .syn)
      if i % 2 == 0 {
        wire.tcp(server, 443, peer(i), 4000, [.syn, .ack])
        wire.tcp(peer(i), 4000, server, 443, .ack)
      } else {
        wire.tcp(server, 443, peer(i), 4000, [.rst, .ack])
      }
    }
    wire.finish()
    #expect(wire.sink.pressure.isEmpty)
  }

  @Test func repeatedQuestionsCountOnce() {
    var wire = Wire()
    for i in 0..<2000 {
      wire.now = Int64(i) * 10_000_000
      wire.tcp(peer(i % 20), 4000, server, 443, .syn)
    }
    wire.finish()
    #expect(wire.sink.pressure.isEmpty)
  }

  @Test func whatIsUsualIsSaid() {
    var wire = Wire()
    for step in 0..<40 {
      for i in 0..<200 {
        wire.now = Int64(step) * 5 * second + Int64(i) * 20_000_000
        wire.tcp(peer(i), 1000 + step, server, 443, .syn)
        wire.tcp(server, 443, peer(i), 1000 + step, [.syn, .ack])
        if step < 39 { wire.tcp(peer(i), 1000 + step, server, 443, .ack) }
      }
    }
    wire.finish()
    #expect(wire.sink.pressure.count == 1)
    #expect((150...200).contains(wire.sink.pressure[0].usual))
  }

  @Test func aScanHasNoOnePort() {
    var wire = Wire()
    for i in 0..<1000 {
      wire.now = Int64(i) * 1_000_000
      wire.tcp(peer(1), 4000, server, 1 + i, .syn)
    }
    wire.finish()
    #expect(wire.sink.pressure.map(\.port) == [nil])
    #expect(wire.sink.pressure.map(\.sources) == [1])
  }

  @Test func datagramsThatNobodyAskedFor() {
    var wire = Wire()
    for i in 0..<1000 {
      wire.now = Int64(i) * 1_000_000
      wire.udp(peer(i % 30), 123, server, 40_000 + i % 30, bytes: 440)
    }
    wire.finish()
    #expect(wire.sink.pressure.count == 1)
    let record = wire.sink.pressure[0]
    #expect(!record.isTCP && record.unanswered == 1000 && record.reflected == 1000)
    #expect(record.bytes == 1000 * 468)
    #expect((20...30).contains(record.sources))
  }

  @Test func answersAreNoPressure() {
    var wire = Wire()
    for i in 0..<2000 {
      wire.now = Int64(i) * 1_000_000
      wire.udp(server, 40_000, peer(1), 53)
      wire.udp(peer(1), 53, server, 40_000, bytes: 440)
    }
    wire.finish()
    #expect(wire.sink.pressure.isEmpty)
  }

  @Test func manyHostsStayWithinTheLimit() {
    var wire = Wire()
    for i in 0..<3000 { wire.tcp(server, 4000, peer(i), 445, .syn) }
    #expect(wire.analyzer.linkEvictions == UInt64(3000 - Limits.pressureTargets))
    wire.finish()
    #expect(wire.sink.pressure.isEmpty)
  }

  @Test func asAnEvent() {
    var wire = Wire()
    for i in 0..<40 { wire.tcp(peer(i), 4000, server, 443, .syn) }
    wire.finish()
    var event = Event()
    var scratch: [UInt8] = []
    wire.sink.pressure[0].appendFields(to: &event, scratch: &scratch)
    let (host, port) = (event.address(.destinationIP), event.integer(.destinationPort))
    let count = event.extra(Bytes("panguard.pressure.unanswered"))?.decimal
    #expect(host == IPAddress("10.0.0.5") && port == 443 && count == 40)
  }
}

@Suite struct ARPTableTests {
  private static func asked(_ target: UInt32, _ isAnswered: Bool) -> ARPNews.Kind { .asked(target: target, isAnswered: isAnswered) }

  @Test func questionsAreToldOnceWithWhatBecameOfThem() {
    var wire = Wire()
    for round in 0..<20 {
      wire.now = Int64(round) * second
      wire.arp(1, 5, server, 1)
      wire.arp(2, 1, 1, server)
      wire.arp(1, 5, server, 2)
    }
    #expect(wire.sink.arp.map(\.kind) == [ARPTableTests.asked(1, true), ARPTableTests.asked(2, false)])
    #expect(wire.sink.arp.allSatisfy { $0.address == server && $0.mac == 0x0200_0000_0005 })
  }

  @Test func anAddressThatChangesHands() {
    var wire = Wire()
    wire.arp(1, 5, server, 1)
    wire.arp(2, 1, 1, server)
    wire.now = 60 * second
    for _ in 0..<3 {
      wire.now += 2 * second
      wire.arp(2, 0x66, 1, server)
    }
    #expect(
      wire.sink.arp.dropFirst().map(\.kind) == [.changed(previous: 0x0200_0000_0001, isUnsolicited: true), .insisted, .insisted])
  }

  @Test func anAnnouncementOfTheSameHolderIsNoNews() {
    var wire = Wire()
    for i in 0..<100 {
      wire.now = Int64(i) * second
      wire.arp(2, 1, 1, 1)
      wire.arp(1, 1, 1, 1)
      wire.arp(1, 7, 0, 9)
    }
    #expect(wire.sink.arp.isEmpty)
  }

  @Test func manyQuestionsStayWithinTheLimit() {
    var wire = Wire()
    for i in 0..<20_000 {
      wire.now = Int64(i) * 1_000_000
      wire.arp(1, 5, server, UInt32(1 + i))
    }
    #expect(wire.sink.arp.count <= 20_000)
    #expect(wire.analyzer.linkEvictions > 0)
  }

  @Test func asAnEvent() {
    var wire = Wire()
    wire.arp(2, 1, 0x0a00_0001, server)
    wire.arp(2, 0xbd, 0x0a00_0001, server)
    var event = Event()
    var scratch: [UInt8] = []
    wire.sink.arp[0].appendFields(to: &event, scratch: &scratch)
    let texts = [event.text(.sourceMac)?.string, event.extra(Bytes("panguard.arp.previous_mac"))?.string, event.text(.eventAction)?.string]
    #expect(texts == ["02-00-00-00-00-BD", "02-00-00-00-00-01", "arp-binding-changed"])
  }
}

@Suite struct FlagLetterTests {
  @Test(arguments: [([.fin], "F"), ([], "none"), ([.fin, .psh, .urg], "FPU"), ([.fin, .ack], "FA")] as [(TCPFlags, String)])
  func ofPacketsThatOpenNothing(flags: TCPFlags, letters: String) {
    var wire = Wire()
    wire.tcp(peer(1), 4000, server, 80, flags)
    wire.finish()
    var event = Event()
    var scratch: [UInt8] = []
    wire.sink.flows[0].appendFields(to: &event, scratch: &scratch)
    let text = event.extra(Bytes("panguard.flow.source_flags"))?.string
    #expect(text == letters)
  }
}
