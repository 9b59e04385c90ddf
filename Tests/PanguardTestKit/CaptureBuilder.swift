// Whole captures for tests: conversations with their handshakes, acknowledgements and ends, as a pcap file.
// Real bytes go in, so that what a test says about a rule holds for the decoder, the flows and the parsers as well.
import PacketParsers
import Primitives

/// Who speaks in a conversation.
enum Side { case client, server }

struct CaptureBuilder {
  /// Nanoseconds since 1970 of the next frame.
  var clock: Int64
  private(set) var frames: [(time: Int64, bytes: Octets)] = []
  private var nextPort = 40_000

  /// 2026-01-05T10:00:00Z
  init(clock: Int64 = 1_767_607_200_000_000_000) { self.clock = clock }

  mutating func wait(seconds: Int64) { clock += seconds * 1_000_000_000 }

  /// A port of the client's that has not been used.
  private mutating func freshPort() -> Int {
    nextPort = nextPort == 60_000 ? 40_001 : nextPort + 1
    return nextPort
  }

  private mutating func add(_ ipProtocol: UInt8, _ from: String, _ to: String, _ payload: Octets) {
    clock += 1_000_000
    guard let source = IPAddress(from), let destination = IPAddress(to) else { fatalError("\(from), \(to): addresses of a test") }
    if source.isV4 {
      let packet = PacketBuilder.ipv4(
        ipProtocol, payload, from: UInt32(truncatingIfNeeded: source.low), to: UInt32(truncatingIfNeeded: destination.low))
      frames.append((clock, PacketBuilder.ethernet(0x0800, packet)))
    } else {
      let packet = PacketBuilder.ipv6(ipProtocol, payload, from: CaptureBuilder.octets(source), to: CaptureBuilder.octets(destination))
      frames.append((clock, PacketBuilder.ethernet(0x86dd, packet)))
    }
  }
  private static func octets(_ address: IPAddress) -> Octets {
    [address.high, address.low].flatMap { half in (0..<8).map { UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * $0)) } }
  }

  /// A whole connection: opened, each turn acknowledged, closed by both. `seconds`: how long it stays open before it is closed.
  mutating func tcp(from: String, to: String, port: Int, seconds: Int64 = 0, _ turns: [(Side, Octets)]) {
    let client = freshPort()
    var sequence: [UInt32] = [1000, 5000]
    func segment(_ side: Side, _ flags: TCPFlags, _ data: Octets = []) -> (String, String, Octets) {
      let mine = side == .client ? 0 : 1
      let acknowledged = flags.contains(.ack) ? sequence[1 - mine] : 0
      return (
        side == .client ? from : to, side == .client ? to : from,
        PacketBuilder.tcp(
          side == .client ? client : port, side == .client ? port : client, flags, sequence: sequence[mine], acknowledgment: acknowledged, data)
      )
    }
    func advance(_ side: Side, _ count: Int) { sequence[side == .client ? 0 : 1] &+= UInt32(count) }
    func send(_ side: Side, _ flags: TCPFlags, _ data: Octets = []) {
      let (source, destination, bytes) = segment(side, flags, data)
      add(IPProtocol.tcp, source, destination, bytes)
      advance(side, data.count + (flags.contains(.syn) || flags.contains(.fin) ? 1 : 0))
    }
    send(.client, .syn)
    send(.server, [.syn, .ack])
    send(.client, .ack)
    for (side, data) in turns {
      var rest = data[...]
      repeat {
        send(side, [.psh, .ack], Octets(rest.prefix(1400)))
        rest = rest.dropFirst(1400)
      } while !rest.isEmpty
      send(side == .client ? .server : .client, .ack)
    }
    wait(seconds: seconds)
    send(.client, [.fin, .ack])
    send(.server, [.fin, .ack])
    send(.client, .ack)
  }
  /// The same with texts: `>` begins what the client says, `<` what the server says.
  mutating func tcp(from: String, to: String, port: Int, seconds: Int64 = 0, _ lines: String...) {
    tcp(from: from, to: to, port: port, seconds: seconds, lines.map { ($0.hasPrefix(">") ? .client : .server, Octets($0.dropFirst(2).utf8)) })
  }
  /// A connection that the server refuses.
  mutating func refused(from: String, to: String, port: Int) {
    let client = freshPort()
    add(IPProtocol.tcp, from, to, PacketBuilder.tcp(client, port, .syn, sequence: 7))
    add(IPProtocol.tcp, to, from, PacketBuilder.tcp(port, client, [.rst, .ack], sequence: 0, acknowledgment: 8))
  }
  mutating func udp(from: String, to: String, port: Int, _ query: Octets, answer: Octets? = nil) {
    let client = freshPort()
    add(IPProtocol.udp, from, to, PacketBuilder.udp(client, port, query))
    if let answer { add(IPProtocol.udp, to, from, PacketBuilder.udp(port, client, answer)) }
  }
  /// Echoes with answers.
  mutating func ping(from: String, to: String, count: Int, payload: Int) {
    for _ in 0..<count {
      add(IPProtocol.icmp, from, to, PacketBuilder.icmp(8, 0, Octets(repeating: 0x61, count: payload)))
      add(IPProtocol.icmp, to, from, PacketBuilder.icmp(0, 0, Octets(repeating: 0x61, count: payload)))
    }
  }
  /// A frame of its own, behind an Ethernet header.
  mutating func frame(_ type: Int, _ payload: Octets) {
    clock += 1_000_000
    frames.append((clock, PacketBuilder.ethernet(type, payload)))
  }

  // MARK: What is said

  mutating func http(
    from: String, to: String, port: Int = 80, _ method: String = "GET", _ target: String, agent: String = "Mozilla/5.0 (X11) Firefox/125.0",
    host: String? = nil, fields: [String] = [], body: String = "", status: Int = 200, answer: String = "ok", type: String = "text/html"
  ) {
    let head = ["\(method) \(target) HTTP/1.1", "Host: \(host ?? to)", "User-Agent: \(agent)"] + fields
    let length = body.isEmpty ? [] : ["Content-Length: \(body.utf8.count)"]
    tcp(
      from: from, to: to, port: port, "> " + (head + length).joined(separator: "\r\n") + "\r\n\r\n" + body,
      "< HTTP/1.1 \(status) X\r\nContent-Type: \(type)\r\nContent-Length: \(answer.utf8.count)\r\n\r\n" + answer)
  }
  mutating func dns(from: String, to: String, _ name: String, type: Int = 1, of group: Int = 1, flags: Int = 0x0100) {
    let labels: Octets = name.split(separator: ".").flatMap { label -> Octets in [UInt8(label.utf8.count)] + Octets(label.utf8) } + [0]
    let question = labels + be16(type) + be16(group)
    let counts = be16(1) + be16(0) + be16(0) + be16(0)
    udp(from: from, to: to, port: 53, be16(7) + be16(flags) + counts + question, answer: be16(7) + be16(flags | 0x8000) + counts + question)
  }
  mutating func tls(from: String, to: String, port: Int = 443, hello: HelloBuilder = HelloBuilder(), flight: Octets = []) {
    tcp(from: from, to: to, port: port, [(.client, hello.records()), (.server, flight)])
  }
  mutating func ssh(
    from: String, to: String, client: String = "SSH-2.0-OpenSSH_9.6", server: String = "SSH-2.0-OpenSSH_9.2", lists: [String] = SSHBuilder.lists,
    seconds: Int64 = 2
  ) {
    tcp(
      from: from, to: to, port: 22, seconds: seconds,
      [
        (.server, Octets("\(server)\r\n".utf8)), (.client, Octets("\(client)\r\n".utf8)), (.client, SSHBuilder.keyExchange(lists)),
        (.server, SSHBuilder.keyExchange(lists)),
      ])
  }
  /// A call of JSON-RPC over HTTP, and its answer.
  mutating func rpc(from: String, to: String, port: Int = 8931, _ call: String, answer: String) {
    http(
      from: from, to: to, port: port, "POST", "/mcp", agent: "mcp-client/1.4", fields: ["Content-Type: application/json"], body: call, answer: answer,
      type: "application/json")
  }

  // MARK: The file

  /// pcap with nanoseconds, big-endian.
  var pcap: Octets {
    var out = be32(0xa1b2_3c4d) + be16(2) + be16(4) + be32(0) + be32(0) + be32(262_144) + be32(1)
    for frame in frames {
      out += be32(UInt32(frame.time / 1_000_000_000)) + be32(UInt32(frame.time % 1_000_000_000))
      out += be32(UInt32(frame.bytes.count)) + be32(UInt32(frame.bytes.count)) + frame.bytes
    }
    return out
  }
}
