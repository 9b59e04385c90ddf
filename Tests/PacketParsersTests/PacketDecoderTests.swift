import PacketParsers
import Primitives
import Testing

@testable import PanguardTestKit

private typealias B = PacketBuilder

/// IPv4 10.0.0.1 > 192.0.2.1, UDP 53000 > 53, payload "hello", as it goes over the wire.
private let datagram = "45000021 00010000 40110000 0a000001 c0000201 cf080035 000d0000 68656c6c6f"
private let datagramSummary = "10.0.0.1:53000 > 192.0.2.1:53 udp"
/// The same over IPv6.
private let datagram6 =
  "60000000 000d1140 20010db8000000000000000000000001 20010db8000000000000000000000002 cf080035 000d0000 68656c6c6f"
private let datagram6Summary = "2001:db8::1:53000 > 2001:db8::2:53 udp"
private let macs = "020000000002 020000000001"

@Suite("Link layers")
struct LinkLayerTests {
  struct Row: Sendable, CustomTestStringConvertible {
    let name: String
    let link: UInt32
    let bytes: String
    let summary: String
    let layers: String
    var testDescription: String { name }
  }
  static let rows: [Row] = [
    Row(name: "Ethernet", link: 1, bytes: macs + "0800" + datagram, summary: datagramSummary, layers: "ipv4 udp"),
    Row(
      name: "Ethernet, padding behind the datagram", link: 1, bytes: macs + "0800" + datagram + "000000000000", summary: datagramSummary,
      layers: "ipv4 udp"),
    Row(name: "802.1Q", link: 1, bytes: macs + "8100 2064 0800" + datagram, summary: datagramSummary, layers: "ipv4 udp vlan"),
    Row(name: "QinQ", link: 1, bytes: macs + "88a8 0064 8100 00c8 86dd" + datagram6, summary: datagram6Summary, layers: "ipv6 udp vlan"),
    Row(
      name: "nine tags", link: 1, bytes: macs + String(repeating: "8100 0001", count: 9) + "0800" + datagram, summary: "error too_many_tags",
      layers: "vlan"),
    Row(name: "PPPoE session", link: 1, bytes: macs + "8864 1100 0001 0023 0021" + datagram, summary: datagramSummary, layers: "ipv4 udp pppoe"),
    Row(name: "PPPoE, IPv6", link: 1, bytes: macs + "8864 1100 0001 0037 0057" + datagram6, summary: datagram6Summary, layers: "ipv6 udp pppoe"),
    Row(name: "MPLS, two labels", link: 1, bytes: macs + "8847 00010040 00020140" + datagram, summary: datagramSummary, layers: "ipv4 udp mpls"),
    Row(
      name: "Ethernet over MPLS", link: 1, bytes: macs + "8847 00020140 00000000" + macs + "0800" + datagram, summary: datagramSummary,
      layers: "ipv4 udp mpls"),
    Row(name: "802.2 SNAP", link: 1, bytes: macs + "0029 aaaa03 000000 0800" + datagram, summary: datagramSummary, layers: "ipv4 udp"),
    Row(name: "802.2, spanning tree", link: 1, bytes: macs + "0026 424203 0000000000", summary: "not IP", layers: ""),
    Row(
      name: "ARP", link: 1, bytes: macs + "0806 0001080006040001 020000000001 0a000001 000000000000 c0000201", summary: "arp 1 10.0.0.1 192.0.2.1",
      layers: "arp"),
    Row(name: "ARP, cut", link: 1, bytes: macs + "0806 0001080006040001 0200", summary: "error truncated_arp", layers: "arp"),
    Row(name: "cooked", link: 113, bytes: "0000 0001 0006 020000000001 0000 0800" + datagram, summary: datagramSummary, layers: "ipv4 udp"),
    Row(
      name: "cooked, 802.1Q", link: 113, bytes: "0000 0001 0006 020000000001 0000 8100 0064 0800" + datagram, summary: datagramSummary,
      layers: "ipv4 udp vlan"),
    Row(
      name: "cooked 2", link: 276, bytes: "86dd 0000 00000002 0001 00 06 020000000001 0000" + datagram6, summary: datagram6Summary, layers: "ipv6 udp"
    ),
    Row(name: "raw", link: 101, bytes: datagram, summary: datagramSummary, layers: "ipv4 udp"),
    Row(name: "raw, IPv6", link: 101, bytes: datagram6, summary: datagram6Summary, layers: "ipv6 udp"),
    Row(name: "raw, of one version", link: 228, bytes: datagram, summary: datagramSummary, layers: "ipv4 udp"),
    Row(name: "BSD loopback, little endian", link: 0, bytes: "02000000" + datagram, summary: datagramSummary, layers: "ipv4 udp"),
    Row(name: "BSD loopback, big endian, IPv6", link: 0, bytes: "0000001e" + datagram6, summary: datagram6Summary, layers: "ipv6 udp"),
    Row(name: "OpenBSD loopback", link: 108, bytes: "00000002" + datagram, summary: datagramSummary, layers: "ipv4 udp"),
    Row(name: "PPP", link: 9, bytes: "ff03 0021" + datagram, summary: datagramSummary, layers: "ipv4 udp"),
    Row(name: "PPP, compressed", link: 9, bytes: "21" + datagram, summary: datagramSummary, layers: "ipv4 udp"),
    Row(name: "Cisco HDLC", link: 104, bytes: "0f00 0800" + datagram, summary: datagramSummary, layers: "ipv4 udp"),
    Row(name: "Cisco HDLC under PPP's number", link: 9, bytes: "0f00 0800" + datagram, summary: datagramSummary, layers: "ipv4 udp"),
    Row(name: "a link layer that is not decoded", link: 105, bytes: datagram, summary: "error unknown_link_type", layers: ""),
    Row(name: "half an Ethernet header", link: 1, bytes: "020000000002 02", summary: "error truncated_link", layers: ""),
    Row(name: "nothing", link: 1, bytes: "", summary: "error truncated_link", layers: ""),
  ]

  @Test(arguments: rows) func decodes(_ row: Row) {
    let (packet, payload) = decode(hex(row.bytes), LinkType(rawValue: row.link))
    #expect(packet.summary == row.summary)
    #expect(packet.layerNames == row.layers)
    if row.summary.hasSuffix("udp") { #expect(payload == Octets("hello".utf8)) }
  }

  @Test func addressesOfTheLink() {
    let (packet, _) = decode(hex(macs + "8100 2064 0800" + datagram))
    #expect(packet.sourceMAC == 0x0200_0000_0001 && packet.destinationMAC == 0x0200_0000_0002 && packet.vlan == 100)
  }
}

@Suite("IP and transport headers")
struct PacketDecoderTests {
  struct Row: Sendable, CustomTestStringConvertible {
    let name: String
    let frame: Octets
    let summary: String
    var layers: String?
    var payload: String?
    var testDescription: String { name }
  }
  private static let hello = Octets("hello".utf8)
  private static func v4(_ packet: Octets) -> Octets { B.ethernet(0x0800, packet) }
  private static func v6(_ packet: Octets) -> Octets { B.ethernet(0x86dd, packet) }

  static let rows: [Row] = [
    Row(
      name: "options before TCP", frame: v4(B.ipv4(6, B.tcp(1, 80, .syn, options: hex("020405b4")), options: hex("94040000"))),
      summary: "10.0.0.1:1 > 192.0.2.1:80 tcp", payload: ""),
    Row(
      name: "TCP with data", frame: v4(B.ipv4(6, B.tcp(1, 80, [.ack, .psh], options: hex("01010101"), hello))),
      summary: "10.0.0.1:1 > 192.0.2.1:80 tcp", payload: "hello"),
    Row(
      name: "length 0 (segmentation offload)", frame: v4(B.ipv4(6, B.tcp(1, 80, .ack, hello), length: 0)), summary: "10.0.0.1:1 > 192.0.2.1:80 tcp",
      payload: "hello"),
    Row(
      name: "TCP header longer than the packet", frame: v4(B.ipv4(6, B.tcp(1, 80, .ack).dropLast(8) + hex("f010 0000 0000 0000"))),
      summary: "error invalid_transport", layers: "ipv4 tcp"),
    Row(name: "TCP cut by the capture", frame: Octets(v4(B.ipv4(6, B.tcp(1, 80, .ack))).dropLast(4)), summary: "error truncated_transport"),
    Row(
      name: "UDP shorter than its header says", frame: v4(B.ipv4(17, B.udp(1, 53, hello, length: 200))), summary: "10.0.0.1:1 > 192.0.2.1:53 udp",
      payload: "hello"),
    Row(
      name: "UDP longer than its header says", frame: v4(B.ipv4(17, B.udp(1, 53, hello, length: 10))), summary: "10.0.0.1:1 > 192.0.2.1:53 udp",
      payload: "he"),
    Row(name: "UDP of impossible length", frame: v4(B.ipv4(17, B.udp(1, 53, hello, length: 7))), summary: "error invalid_transport"),
    Row(name: "echo", frame: v4(B.ipv4(1, B.icmp(8, 0, hello))), summary: "10.0.0.1:8 > 192.0.2.1:0 icmp", layers: "ipv4 icmp", payload: "hello"),
    Row(name: "unreachable", frame: v4(B.ipv4(1, B.icmp(3, 1))), summary: "10.0.0.1:3 > 192.0.2.1:1 icmp"),
    Row(
      name: "neighbour solicitation", frame: v6(B.ipv6(58, B.icmp(135))), summary: "2001:db8::1:135 > 2001:db8::2:136 icmpv6", layers: "ipv6 icmpv6"),
    Row(name: "SCTP", frame: v4(B.ipv4(132, be16(7) + be16(9) + be32(1) + be32(0))), summary: "10.0.0.1:7 > 192.0.2.1:9 sctp", layers: "ipv4 sctp"),
    Row(name: "another protocol", frame: v4(B.ipv4(89, hello)), summary: "10.0.0.1 > 192.0.2.1 protocol 89", layers: "ipv4"),
    Row(name: "version 5", frame: v4([0x55] + B.ipv4(17, B.udp(1, 2, [])).dropFirst()), summary: "error invalid_ipv4"),
    Row(name: "header of 16 bytes", frame: v4([0x44] + B.ipv4(17, B.udp(1, 2, [])).dropFirst()), summary: "error invalid_ipv4"),
    Row(name: "shorter than its header", frame: v4(B.ipv4(17, B.udp(1, 2, []), length: 19)), summary: "error invalid_ipv4"),
    Row(
      name: "first piece", frame: v4(B.ipv4(17, B.udp(1, 53, [1, 2, 3, 4, 5, 6, 7, 8]), identification: 77, more: true)),
      summary: "10.0.0.1 > 192.0.2.1 protocol 17 piece 77 at 0", layers: "ipv4 ipv4_fragments"),
    Row(
      name: "last piece", frame: v4(B.ipv4(17, hello, identification: 77, offset: 16)),
      summary: "10.0.0.1 > 192.0.2.1 protocol 17 piece 77 at 16 last"),
    Row(
      name: "IPv6 extension headers", frame: v6(B.ipv6(0, hex("3c00 0104 0000 0000") + hex("1100 0104 0000 0000") + B.udp(1, 53, hello))),
      summary: "2001:db8::1:1 > 2001:db8::2:53 udp", payload: "hello"),
    Row(
      name: "IPv6 authentication header", frame: v6(B.ipv6(51, hex("1104 0000 00000001 00000001 000000000000000000000000") + B.udp(1, 53, hello))),
      summary: "2001:db8::1:1 > 2001:db8::2:53 udp", payload: "hello"),
    Row(
      name: "IPv6 piece", frame: v6(B.ipv6(44, B.fragment6(17, [1, 2, 3, 4, 5, 6, 7, 8], offset: 8, more: true))),
      summary: "2001:db8::1 > 2001:db8::2 protocol 17 piece 7 at 8", layers: "ipv6 ipv6_fragments"),
    Row(
      name: "IPv6 atomic fragment", frame: v6(B.ipv6(44, B.fragment6(17, B.udp(1, 53, hello), offset: 0, more: false))),
      summary: "2001:db8::1:1 > 2001:db8::2:53 udp", payload: "hello"),
    Row(name: "no next header", frame: v6(B.ipv6(59, [])), summary: "2001:db8::1 > 2001:db8::2 protocol 59"),
    Row(
      name: "17 extension headers", frame: v6(B.ipv6(0, (0..<17).flatMap { _ in hex("0000 0104 0000 0000") })), summary: "error too_many_extensions"),
    Row(name: "extension header beyond the end", frame: v6(B.ipv6(0, hex("11ff 0104 0000 0000"))), summary: "error truncated_ipv6"),
    Row(
      name: "IPv4 in IPv4", frame: v4(B.ipv4(4, B.ipv4(17, B.udp(1, 53, hello), from: 0x0a01_0101))),
      summary: "10.1.1.1:1 > 192.0.2.1:53 udp in ipInIP", layers: "ipv4 tunnels", payload: "hello"),
    Row(
      name: "IPv6 in IPv4", frame: v4(B.ipv4(41, B.ipv6(17, B.udp(1, 53, hello)))), summary: "2001:db8::1:1 > 2001:db8::2:53 udp in ipInIP",
      payload: "hello"),
    Row(
      name: "GRE", frame: v4(B.ipv4(47, B.gre(0x86dd, B.ipv6(17, B.udp(1, 53, hello))))), summary: "2001:db8::1:1 > 2001:db8::2:53 udp in gre",
      payload: "hello"),
    Row(
      name: "GRE with checksum, key and sequence",
      frame: v4(B.ipv4(47, B.gre(0x6558, flags: 0xb000, hex("00000000 00000001 00000002") + v4(B.ipv4(17, B.udp(1, 53, hello)))))),
      summary: "10.0.0.1:1 > 192.0.2.1:53 udp in gre", payload: "hello"),
    Row(
      name: "ERSPAN II", frame: v4(B.ipv4(47, B.gre(0x88be, flags: 0x1000, hex("00000001 1000000000000000") + v4(B.ipv4(17, B.udp(1, 53, hello)))))),
      summary: "10.0.0.1:1 > 192.0.2.1:53 udp in gre", payload: "hello"),
    Row(name: "GRE of version 3", frame: v4(B.ipv4(47, B.gre(0x0800, flags: 3, hello))), summary: "error invalid_tunnel"),
    Row(
      name: "VXLAN", frame: v4(B.ipv4(17, B.udp(999, 4789, B.vxlan(v4(B.ipv4(17, B.udp(1, 53, hello))))))),
      summary: "10.0.0.1:1 > 192.0.2.1:53 udp in vxlan", layers: "ipv4 udp tunnels", payload: "hello"),
    Row(
      name: "VXLAN-GPE, IPv4 inside", frame: v4(B.ipv4(17, B.udp(999, 4790, hex("0c00 0001 00007b00") + B.ipv4(17, B.udp(1, 53, hello))))),
      summary: "10.0.0.1:1 > 192.0.2.1:53 udp in vxlan", payload: "hello"),
    Row(
      name: "Geneve with options",
      frame: v4(B.ipv4(17, B.udp(999, 6081, B.geneve(0x0800, hex("00000001 00000000"), B.ipv4(17, B.udp(1, 53, hello)))))),
      summary: "10.0.0.1:1 > 192.0.2.1:53 udp in geneve", payload: "hello"),
    Row(
      name: "not VXLAN at VXLAN's port", frame: v4(B.ipv4(17, B.udp(999, 4789, Octets("no tunnel at all".utf8)))),
      summary: "10.0.0.1:999 > 192.0.2.1:4789 udp", payload: "no tunnel at all"),
    Row(
      name: "four tunnels", frame: v4(B.ipv4(4, B.ipv4(4, B.ipv4(4, B.ipv4(4, B.ipv4(17, B.udp(1, 53, hello))))))), summary: "error too_many_tunnels"),
  ]

  @Test(arguments: rows) func decodes(_ row: Row) {
    let (packet, payload) = decode(row.frame)
    #expect(packet.summary == row.summary)
    if let layers = row.layers { #expect(packet.layerNames == layers) }
    if let expected = row.payload { #expect(String(decoding: payload, as: UTF8.self) == expected) }
  }

  /// Each prefix of each frame: something is said, nothing beyond the end is read, and the payload is never longer than the frame.
  @Test func everyPrefixIsSafe() {
    for row in PacketDecoderTests.rows {
      for count in 0...row.frame.count {
        let (packet, payload) = decode(Octets(row.frame.prefix(count)))
        #expect(payload.count <= count && packet.payloadBytes >= payload.count, "\(row.name), \(count) bytes")
      }
    }
  }

  @Test func whatTheCaptureCutIsKnown() {
    let frame = PacketDecoderTests.v4(B.ipv4(17, B.udp(1, 53, Octets(repeating: 7, count: 1000))))
    let (packet, payload) = decode(Octets(frame.prefix(100)))
    #expect(packet.payloadBytes == 1000 && payload.count == 100 - 14 - 20 - 8 && packet.error == .none)
  }
}

@Suite("Community ID")
struct CommunityIDTests {
  struct Row: Sendable {
    let a: String, aPort: UInt16, b: String, bPort: UInt16, ipProtocol: UInt8, id: String
  }
  /// Published examples of the specification (its "baseline" results).
  static let rows: [Row] = [
    Row(a: "128.232.110.120", aPort: 34855, b: "66.35.250.204", bPort: 80, ipProtocol: 6, id: "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    Row(a: "192.168.1.52", aPort: 54585, b: "8.8.8.8", bPort: 53, ipProtocol: 17, id: "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
    Row(a: "192.168.0.89", aPort: 8, b: "192.168.0.1", bPort: 0, ipProtocol: 1, id: "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
    Row(a: "fe80::200:86ff:fe05:80da", aPort: 135, b: "fe80::260:97ff:fe07:69ea", bPort: 136, ipProtocol: 58, id: "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
  ]

  @Test(arguments: rows) func isTheSpecifications(_ row: Row) throws {
    let a = try #require(IPAddress(row.a))
    let b = try #require(IPAddress(row.b))
    func id(_ a: IPAddress, _ aPort: UInt16, _ b: IPAddress, _ bPort: UInt16) -> String {
      var out: Octets = []
      CommunityID.append(
        AddressBits(high: a.high, low: a.low), AddressBits(high: b.high, low: b.low), isIPv6: !a.isV4, ipProtocol: row.ipProtocol,
        sourcePort: aPort, destinationPort: bPort, to: &out)
      return String(decoding: out, as: UTF8.self)
    }
    #expect(id(a, row.aPort, b, row.bPort) == row.id)
    if row.ipProtocol != 1 { #expect(id(b, row.bPort, a, row.aPort) == row.id) }
  }
}
