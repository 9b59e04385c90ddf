import Events
import PacketParsers
import Primitives
import Testing

@testable import PanguardTestKit

private typealias B = PacketBuilder

/// URLs of HTTP requests that were seen, with the frames that completed them.
private final class Requests: PacketSink {
  var urls: [String] = []
  private var event = Event()
  func message(_ message: borrowing ApplicationMessage, flow: Flow, time: EventTime) {
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    message.appendFields(to: &event)
    guard event.has(.httpRequestMethod), !event.has(.httpResponseStatusCode) else { return }
    urls.append(event.text(.urlOriginal)?.string ?? "?")
  }
  func flow(_ record: FlowRecord) {}
}

/// One connection whose client sends what the test says, in the segments it says.
private struct Connection: ~Copyable {
  var analyzer = PacketAnalyzer(seed: (1, 2), flowCapacity: 16, halfOpenCapacity: 16, contentCapacity: 4)
  let requests = Requests()
  let initial: UInt32
  var frame: UInt64 = 0
  /// `initial`: the client's first sequence number.
  init(initial: UInt32 = 1000, handshake: Bool = true) {
    self.initial = initial
    guard handshake else { return }
    send(.syn, sequence: initial)
    answer([.syn, .ack], acknowledging: 1)
    send(.ack, sequence: initial &+ 1)
  }
  mutating func send(_ flags: TCPFlags, sequence: UInt32, _ data: Octets = []) {
    add(B.ipv4(6, B.tcp(40_000, 80, flags, sequence: sequence, acknowledgment: 501, data)))
  }
  /// Bytes of the stream from `offset` on.
  mutating func data(_ text: String, at offset: Int, _ flags: TCPFlags = [.ack, .psh]) {
    send(flags, sequence: initial &+ 1 &+ UInt32(offset), Octets(text.utf8))
  }
  /// The server acknowledges what lies before `offset`; 1 is the SYN alone.
  mutating func answer(_ flags: TCPFlags = .ack, acknowledging offset: Int) {
    add(
      B.ipv4(
        6, B.tcp(80, 40_000, flags, sequence: flags.contains(.syn) ? 500 : 501, acknowledgment: initial &+ UInt32(offset)), from: B.there, to: B.here)
    )
  }
  mutating func add(_ packet: Octets) {
    frame += 1
    let (number, sink) = (frame, requests)
    B.ethernet(0x0800, packet).withUnsafeBytes {
      analyzer.process($0, linkType: .ethernet, time: EventTime(seconds: 1), number: number, wireBytes: $0.count, sink: sink)
    }
  }
  mutating func finish() -> [String] {
    analyzer.finish(sink: requests)
    return requests.urls
  }
}

@Suite("TCP streams")
struct StreamTests {
  static let request = "GET /a/path/that/spans/segments HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\n\r\n"
  static let url = "/a/path/that/spans/segments"

  @Test(arguments: [1, 2, 7, 40, 1000]) func segmentsOfAnySize(_ size: Int) {
    var connection = Connection(initial: .max - 20)  // sequence numbers begin again on the way
    let bytes = Array(Self.request.utf8)
    for at in stride(from: 0, to: bytes.count, by: size) {
      connection.data(String(decoding: bytes[at..<min(at + size, bytes.count)], as: UTF8.self), at: at)
    }
    #expect(connection.finish() == [Self.url])
  }

  /// In random order, with repetitions, cut anew each time: one request, once.
  @Test func anyOrderAndRepetition() {
    let bytes = Array(Self.request.utf8)
    var chance = SplitMix64(seed: 11)
    for _ in 0..<300 {
      var connection = Connection(initial: UInt32(truncatingIfNeeded: chance.next()))
      var segments: [(Int, Int)] = []
      for _ in 0..<2 {
        var at = 0
        while at < bytes.count {
          let end = min(bytes.count, at + 1 + chance.below(20))
          segments.append((at, end))
          at = end
        }
      }
      for i in segments.indices.reversed() { segments.swapAt(i, chance.below(i + 1)) }
      for (start, end) in segments { connection.data(String(decoding: bytes[start..<end], as: UTF8.self), at: start) }
      #expect(connection.finish() == [Self.url])
      #expect(connection.analyzer.streamCounters.gaps == 0)
    }
  }

  /// What came first stays, whether it was handed on already or waits.
  @Test func overlapsChangeNothing() {
    var connection = Connection()
    connection.data("GET /first", at: 0)
    connection.data("GET /OTHER", at: 0)
    connection.data(" HTTP/1.1\r\nHost: a\r\n\r\n", at: 15)
    connection.data("XXXXXXXXXXXXX", at: 12)  // the part before 15 is new, the rest is not
    connection.data("/b", at: 10)
    #expect(connection.finish() == ["/first/bXXX"])
  }

  /// A receiver that acknowledges bytes has them: the capture lost them, and what waits behind them is read on.
  @Test func whatTheCaptureLostIsPassedOver() {
    var connection = Connection()
    connection.data("GET /one HTTP/1.1\r\nHost: a\r\n\r\n", at: 0)
    let lost = 100
    let next = 31 + lost
    connection.data("GET /two HTTP/1.1\r\nHost: a\r\n\r\n", at: next)
    #expect(connection.analyzer.streamCounters.gaps == 0)
    connection.answer(acknowledging: 1 + next + 31)
    #expect(connection.analyzer.streamCounters.gaps == 1)
    _ = connection.finish()
    #expect(connection.requests.urls.first == "/one")
  }

  /// Segments far ahead of a byte that never comes are bounded, and the stream goes on behind it.
  @Test func aHoleThatStaysIsGivenUp() {
    var connection = Connection()
    let block = String(repeating: "x", count: 1400)
    for i in 0..<200 { connection.data(block, at: 1 + 1400 * i) }
    let counters = connection.analyzer.streamCounters
    #expect(counters.gaps >= 1 && counters.mostBlocks <= UInt64(Limits.segmentBlocksPerDirection))
  }

  @Test func aStartThatWasNotSeenIsNoHindrance() {
    var connection = Connection(handshake: false)
    connection.data("GET /middle HTTP/1.1\r\nHost: a\r\n\r\n", at: 5000)
    #expect(connection.finish() == ["/middle"])
  }

  @Test func dataInTheSYNCounts() {
    var connection = Connection(handshake: false)
    connection.send(.syn, sequence: 1000, Octets("GET /fast HTTP/1.1\r\nHo".utf8))
    connection.send(.ack, sequence: 1001 + 22, Octets("st: a\r\n\r\n".utf8))
    #expect(connection.finish() == ["/fast"])
  }

  /// More flows with content than there is room: the one that was silent longest is no longer looked at, and is counted.
  @Test func contentsAreBounded() {
    var trial = Trial(contents: 4)
    for i in 0..<10 {
      trial.handshake(port: 40_000 + i, milliseconds: Int64(i) * 1500)
      trial.tcp(true, [.ack, .psh], port: 40_000 + i, "GET /", sequence: 101, milliseconds: Int64(i) * 1500)
    }
    #expect(trial.analyzer.streamCounters.evicted == 6 && trial.analyzer.streamCounters.mostContents == 4)
    trial.tcp(true, [.ack, .psh], port: 40_009, "x HTTP/1.1\r\nHost: a\r\n\r\n", sequence: 106, milliseconds: 20_000)
    trial.tcp(true, [.ack, .psh], port: 40_000, "x HTTP/1.1\r\nHost: a\r\n\r\n", sequence: 106, milliseconds: 20_000)
    _ = trial.finish()
    #expect(trial.told.messages.map { $0.prefix(4) } == ["http"])
  }

  @Test func datagramsInPiecesReachTheirParser() {
    var trial = Trial()
    let question = hex("1234 0100 0001 0000 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001")
    let datagram = B.udp(40_000, 53, question)
    trial.add(B.ethernet(0x0800, B.ipv4(17, Octets(datagram[16...]), offset: 16)))
    trial.add(B.ethernet(0x0800, B.ipv4(17, Octets(datagram[..<16]), more: true)))
    #expect(trial.told.messages == ["dns 2"])
    let layers = trial.analyzer.counters.layers
    #expect(layers[0] == 2 && layers[3] == 1 && layers[8] == 2)  // two IPv4 fragments, one of which completed a UDP datagram
    #expect(trial.finish() == ["10.0.0.1:40000 > 192.0.2.1:53 - 1/0 capture_ended"])
  }
}
