// What holds for every protocol: the same bytes say the same however they are split and whichever direction is seen first; changed bytes do
// no harm; nothing is held afterwards; the work grows with the bytes.
import Events
import Glibc
import Primitives
import Testing

@testable import PacketParsers
@testable import PanguardTestKit

enum Conversations {
  /// One of each protocol, and of each way that messages are framed.
  static let all: [Conversation] =
    [
      Conversation("tls", turns: [(.toResponder, TLSTests.example.records(size: 90)), (.toOriginator, TLSTests.certificateFlight)]),
      Conversation(
        "postgres",
        turns: [(.toResponder, hex("0000000804d2162f") + TLSTests.example.records()), (.toOriginator, Array("S".utf8) + TLSTests.certificateFlight)]),
      Conversation(
        "dns over tcp",
        turns: [
          (.toResponder, vector16(DNSBuilder().bytes) + vector16(DNSBuilder(id: 7).bytes)),
          (.toOriginator, vector16(DNSBuilder(flags: 0x8180, answers: DNSTests.data.map { DNSBuilder.record($0.0, $0.1) }).bytes)),
        ]),
      Conversation(
        "http",
        lines: [
          "> POST /a?b=%41 HTTP/1.1\r\nHost: x.example\r\nAuthorization: Basic YWRtaW46aHVudGVyMg==\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\n\r\n",
          "< HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nchunk\r\n3;e\r\nyes\r\n0\r\nT: 1\r\n\r\nHTTP/1.1 404 N\r\nContent-Length: 2\r\n\r\nno",
        ]),
      Conversation("http to the end", lines: ["> GET / HTTP/1.0\n\n", "< HTTP/1.0 200 OK\nContent-Type: text/plain\n\nuntil it ends"]),
      Conversation(
        "mcp",
        lines: [
          "> POST /mcp HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 88\r\n\r\n"
            + #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"sh","arguments":{"x":1}}}"#.prefix(88),
          "< HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "3f\r\n" + #"data: {"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}"# + "\r\n3\r\n}\n\n\r\n0\r\n\r\n",
        ]),
      Conversation(
        "proxy",
        turns: [
          (.toResponder, Array("CONNECT a:443 HTTP/1.1\r\n\r\n".utf8) + TLSTests.example.records()),
          (.toOriginator, Array("HTTP/1.1 200 OK\r\n\r\n".utf8) + TLSTests.certificateFlight),
        ]),
      Conversation(
        "json", lines: ["> {\"id\":1,\"method\":\"m\",\"params\":[]}\n{\"id\":2,\"method\":\"n\"}\n", "< {\"id\":1,\"result\":{\"x\":2}}\n"]),
      Conversation(
        "ssh",
        turns: [
          (.toOriginator, Array("SSH-2.0-server\r\n".utf8) + SSHBuilder.keyExchange()),
          (.toResponder, Array("SSH-2.0-client\r\n".utf8) + SSHBuilder.keyExchange()),
        ]),
      Conversation(
        "telnet",
        turns: [
          (.toOriginator, hex("fffd18") + Array("login: ".utf8)), (.toResponder, hex("fffb18 fffa18 01fff0") + Array("a\r\n".utf8)),
          (.toOriginator, Array("Password: ".utf8)), (.toResponder, Array("s3cret\r".utf8)), (.toOriginator, Array("\r\nLast login: now\r\n".utf8)),
        ]),
    ] + CredentialTests.cases.map { Conversation($0.name, lines: $0.turns) }

  static let datagrams: [Conversation] = [
    Conversation(
      "dns", .udp,
      turns: [
        (.toResponder, DNSBuilder().bytes),
        (.toOriginator, DNSBuilder(flags: 0x8583, answers: DNSTests.data.map { DNSBuilder.record($0.0, $0.1) }).bytes),
      ]),
    Conversation("quic", .udp, turns: [(.toResponder, InitialBuilder().seal(QUICTests.frame + QUICTests.padding))]),
    Conversation(
      "quic 2", .udp,
      turns: [0, 1].map { i in
        let cut = i == 0 ? 0..<90 : 90..<QUICTests.hello.count
        let frame = InitialBuilder.cryptoFrame(Array(QUICTests.hello[cut]), at: cut.lowerBound)
        return (.toResponder, InitialBuilder(version: 0x6b33_43cf, number: UInt32(i)).seal(frame + [UInt8](repeating: 0, count: 900)))
      }),
  ]
}

@Suite struct RobustnessTests {
  /// Messages without an order between the directions.
  private func sorted(_ heard: [[String: String]]) -> [String] {
    heard.map { message in message.keys.sorted().map { "\($0)=\(message[$0]!)" }.joined(separator: " ") }.sorted()
  }

  @Test(arguments: Conversations.all.indices) func everySplitSaysTheSame(_ i: Int) {
    let conversation = Conversations.all[i]
    let whole = conversation.messages()
    #expect(!whole.isEmpty, "\(conversation.name)")
    for size in 1...80 { #expect(conversation.messages(split: size) == whole, "\(conversation.name) in pieces of \(size)") }
  }
  /// What two directions say about each other (who answered whom) needs them in their order; these do not.
  @Test(arguments: Conversations.all.filter { ["tls", "postgres", "dns over tcp", "http", "ssh"].contains($0.name) }.indices)
  func everyCutAndEitherDirectionFirst(_ i: Int) {
    let conversation = Conversations.all.filter { ["tls", "postgres", "dns over tcp", "http", "ssh"].contains($0.name) }[i]
    let whole = sorted(conversation.messages())
    let longest = FlowDirection.allCases.map { way in conversation.turns.filter { $0.direction == way }.map(\.bytes.count).reduce(0, +) }.max() ?? 0
    for first in FlowDirection.allCases {
      // A client's request for TLS tells what the server's letter is; the letter alone says nothing.
      if conversation.name == "postgres", first == .toOriginator { continue }
      for cut in 0...longest { #expect(sorted(conversation.messages(cut: cut, first)) == whole, "\(conversation.name) cut at \(cut)") }
    }
  }

  @Test func changedBytesDoNoHarm() {
    var random = Randomness(state: 7)
    let conversations = Conversations.all + Conversations.datagrams
    for round in 0..<6000 {
      var conversation = conversations[round % conversations.count]
      for _ in 0..<Int.random(in: 1...4, using: &random) { RobustnessTests.change(&conversation, &random) }
      var listener = Listener(conversation.transport, ports: Bool.random(using: &random) ? (40_000, 53) : conversation.ports)
      for turn in conversation.turns {
        if Int.random(in: 0..<10, using: &random) == 0 { _ = listener.layer.gap(Int.random(in: 1...5000, using: &random), turn.direction) }
        let size = Int.random(in: 1...max(1, turn.bytes.count), using: &random)
        for at in stride(from: 0, to: turn.bytes.count, by: conversation.transport == .udp ? max(1, turn.bytes.count) : size) {
          listener.hear(
            Array(turn.bytes[at..<min(turn.bytes.count, at + (conversation.transport == .udp ? turn.bytes.count : size))]), turn.direction)
        }
      }
      for direction in FlowDirection.allCases { listener.finish(direction) }
      listener.layer = ApplicationLayer(transport: .tcp, context: listener.context)
      #expect(listener.context.heldBytes == 0, "round \(round)")
    }
  }
  private static func change(_ conversation: inout Conversation, _ random: inout Randomness) {
    let turn = Int.random(in: 0..<conversation.turns.count, using: &random)
    guard !conversation.turns[turn].bytes.isEmpty else { return }
    let at = Int.random(in: 0..<conversation.turns[turn].bytes.count, using: &random)
    switch Int.random(in: 0..<5, using: &random) {
    case 0: conversation.turns[turn].bytes[at] = UInt8.random(in: 0...255, using: &random)
    case 1: conversation.turns[turn].bytes[at] ^= 1 << UInt8.random(in: 0...7, using: &random)
    case 2: conversation.turns[turn].bytes.removeSubrange(at..<min(conversation.turns[turn].bytes.count, at + Int.random(in: 1...20, using: &random)))
    case 3: conversation.turns[turn].bytes.insert(contentsOf: [UInt8](repeating: .random(in: 0...255, using: &random), count: 9), at: at)
    default: conversation.turns[turn].direction = conversation.turns[turn].direction.opposite
    }
  }

  @Test func heldBytesHaveOneBudget() {
    let context = ApplicationContext()
    var layers: [ApplicationLayer] = []
    let head =
      Array("POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n".utf8) + [UInt8](repeating: 0x20, count: 40_000)
    for i in 0..<1000 {
      var layer = ApplicationLayer(transport: .tcp, context: context)
      _ = head.withUnsafeBytes { layer.consume($0, .toResponder, frame: UInt64(i)) { _ in } }
      layers.append(layer)
    }
    #expect(context.heldBytes <= Limits.applicationHeldBytes)
    #expect(context.counters.heldBytesExceeded > 0)
    layers.removeAll()
    #expect(context.heldBytes == 0)
  }

  /// Nanoseconds for a direction that is fed so many bytes, one at a time.
  private func cost(_ bytes: [UInt8], _ transport: TransportProtocol = .tcp) -> UInt64 {
    var best = UInt64.max
    for _ in 0..<3 {
      let context = ApplicationContext()
      var layer = ApplicationLayer(transport: transport, context: context)
      var start = timespec()
      clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start)
      bytes.withUnsafeBytes { all in for i in 0..<all.count { _ = layer.consume(all.slice(i, i + 1), .toResponder, frame: 1) { _ in } } }
      var end = timespec()
      clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end)
      best = min(best, UInt64((end.tv_sec - start.tv_sec) * 1_000_000_000 + end.tv_nsec - start.tv_nsec))
    }
    return best
  }
  /// Byte by byte, four times the bytes may not cost much more than four times as much.
  @Test func workGrowsWithTheBytes() {
    let texts: [(String, (Int) -> [UInt8])] = [
      ("a head of one line", { Array("GET /".utf8) + [UInt8](repeating: 0x61, count: $0) }),
      ("a head of short lines", { Array("GET / HTTP/1.1\r\n".utf8) + (0..<$0 / 4).flatMap { _ in Array("a:\r\n".utf8) } }),
      (
        "chunks of one byte",
        { Array("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".utf8) + (0..<$0 / 6).flatMap { _ in Array("1\r\nx\r\n".utf8) } }
      ),
      ("records of one byte", { n in [1, 0] + u16(n) }),
      ("a line of JSON", { Array("{\"id\":1,\"method\":\"a\",\"x\":\"".utf8) + [UInt8](repeating: 0x61, count: $0) }),
      ("commands", { Array("USER x\r\n".utf8) + (0..<$0 / 6).flatMap { _ in Array("NOOP\r\n".utf8) } }),
      ("a hello", { n in [22, 3, 1] + u16(16_384) + [1] + u24(60_000) + [UInt8](repeating: 3, count: n) }),
      ("dns", { n in u16(65_000) + DNSBuilder().bytes + [UInt8](repeating: 0, count: n) }),
    ]
    for (name, make) in texts {
      let small = cost(make(8000))
      let large = cost(make(32_000))
      #expect(large < 12 * max(small, 200_000), "\(name): \(small) ns, \(large) ns")
    }
  }

  @Test func unknownStreamsAreGivenUp() {
    for bytes in [hex("000102030405060708090a0b0c0d0e0f"), Array("hello there\r\n".utf8), [UInt8](repeating: 0x80, count: 3000)] {
      var listener = Listener()
      for _ in 0..<3 { listener.hear(bytes, .toResponder) }
      #expect(listener.demand == .enough)
      for _ in 0..<3 { listener.hear(bytes, .toOriginator) }
      #expect(listener.demand == .enough && listener.context.counters.unknownFlows == 1 && listener.layer.protocolName == nil)
    }
  }
  @Test func aFlowWhoseStartWasNotSeenIsRecognisedLater() {
    var listener = Listener()
    _ = listener.layer.gap(1, .toResponder)
    for _ in 0..<5 { listener.hear(Array("in the middle of a body".utf8), .toResponder) }
    listener.hear(Array("GET /later HTTP/1.1\r\n\r\n".utf8), .toResponder)
    #expect(lines(listener.messages, "url.original") == ["/later"])
  }
  @Test func protocolsHaveDistinctNames() {
    #expect(Set(ApplicationProtocol.allCases.map { "\($0.name)" }).count == ApplicationProtocol.allCases.count)
  }
}
