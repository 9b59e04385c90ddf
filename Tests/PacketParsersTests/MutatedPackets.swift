// Packets of every kind with some bytes changed, for tests and for long runs by hand: whatever comes out, the analyzer must go on.
import PacketParsers
import Primitives

@testable import PanguardTestKit

struct MutatedPackets: ~Copyable {
  private var chance: SplitMix64
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
  private var analyzer: PacketAnalyzer
  private let sink = CountingSink()
  private var time: Int64 = 0
  private var number: UInt64 = 0

  final class CountingSink: PacketSink {
    var messages = 0
    var flows = 0
    func message(_ message: borrowing ApplicationMessage, flow: Flow, time: EventTime) { messages += 1 }
    func flow(_ record: FlowRecord) { flows += 1 }
  }

  /// `seeds`: frames to begin with, of at most 4096 bytes, and their link layers.
  init(seed: UInt64) {
    chance = SplitMix64(seed: seed)
    analyzer = PacketAnalyzer(seed: (seed, 1), flowCapacity: 256, halfOpenCapacity: 64, contentCapacity: 32)
  }
  deinit { buffer.deallocate() }

  static let seeds: [(link: LinkType, frame: Octets)] = {
    typealias B = PacketBuilder
    let request = Octets("GET /index HTTP/1.1\r\nHost: example.com\r\nUser-Agent: x\r\n\r\n".utf8)
    let question = hex("1234 0100 0001 0000 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001")
    let answer = hex("1234 8180 0001 0001 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001 c00c 0001 0001 0000003c 0004 c0000207")
    let hello = hex("16 0301 0031 01 00002d 0303") + Octets(repeating: 7, count: 32) + hex("00 0002 1301 01 00 0002 0000")
    let quic = hex("c0 00000001 08 8394c8f03e515708 00 00 449e") + Octets(repeating: 0x5a, count: 200)
    func v4(_ packet: Octets) -> (LinkType, Octets) { (.ethernet, B.ethernet(0x0800, packet)) }
    func tcp(_ data: Octets, _ port: Int) -> Octets { B.ipv4(6, B.tcp(1000, port, [.ack, .psh], sequence: 101, data)) }
    let banner = Octets("SSH-2.0-OpenSSH_9.2p1\r\n".utf8)
    return [
      v4(B.ipv4(6, B.tcp(1000, 80, .syn, sequence: 100, options: hex("020405b4")))), v4(B.ipv4(6, B.tcp(1000, 80, [.fin, .ack], sequence: 159))),
      v4(tcp(request, 80)), v4(tcp(hello, 443)), v4(tcp(banner, 22)), v4(tcp(Octets("USER a\r\nPASS b\r\n".utf8), 21)),
      v4(B.ipv4(17, B.udp(1000, 53, question))), v4(B.ipv4(17, B.udp(53, 1000, answer), from: B.there, to: B.here)),
      v4(B.ipv4(17, B.udp(1000, 443, quic))), v4(B.ipv4(1, B.icmp(8, 0, question))),
      v4(B.ipv4(17, Octets(B.udp(1000, 53, question)[..<16]), identification: 9, more: true)),
      v4(B.ipv4(17, Octets(B.udp(1000, 53, question)[16...]), identification: 9, offset: 16)),
      v4(B.ipv4(47, B.gre(0x6558, flags: 0xb000, hex("00000000 00000001 00000002") + B.ethernet(0x0800, tcp(request, 80))))),
      v4(B.ipv4(17, B.udp(999, 4789, B.vxlan(B.ethernet(0x8100, B.vlan(7, 0x0800, tcp(request, 80))))))),
      v4(B.ipv4(17, B.udp(999, 6081, B.geneve(0x0800, hex("00000001 00000000"), tcp(request, 80))))),
      v4(B.ipv4(4, tcp(request, 80))), (.ethernet, B.ethernet(0x0806, B.arp(1))),
      (.ethernet, B.ethernet(0x86dd, B.ipv6(0, hex("3c00 0104 0000 0000") + hex("1100 0104 0000 0000") + B.udp(1000, 53, question)))),
      (.ethernet, B.ethernet(0x86dd, B.ipv6(44, B.fragment6(17, Octets(B.udp(1000, 53, question)[..<16]), offset: 0, more: true)))),
      (.ethernet, B.ethernet(0x8864, hex("1100 0001 0063 0021") + tcp(request, 80))),
      (.ethernet, B.ethernet(0x8847, hex("00020140") + tcp(request, 80))),
      (.cooked, hex("0000 0001 0006 020000000001 0000 0800") + tcp(request, 80)),
      (.cooked2, hex("0800 0000 00000002 0001 00 06 020000000001 0000") + tcp(request, 80)), (.raw, tcp(request, 80)),
      (.null, hex("02000000") + tcp(request, 80)),
      (.ppp, hex("ff03 0021") + tcp(request, 80)), (.cHDLC, hex("0f00 0800") + tcp(request, 80)),
    ]
  }()

  /// One packet: a seed with up to eight bytes changed, cut or not.
  mutating func step() {
    let seed = MutatedPackets.seeds[chance.below(MutatedPackets.seeds.count)]
    seed.frame.withUnsafeBytes { buffer.copyMemory(from: $0) }
    var count = seed.frame.count
    for _ in 0..<chance.below(9) {
      let interesting: [UInt8] = [0, 1, 4, 0x7f, 0x80, 0xff]
      buffer[chance.below(count)] = chance.below(3) == 0 ? interesting[chance.below(6)] : UInt8(truncatingIfNeeded: chance.next())
    }
    if chance.below(8) == 0 { count = chance.below(count + 1) }
    time += Int64(chance.below(50_000_000))
    if chance.below(10_000) == 0 { time -= Int64(chance.below(4_000_000)) * 1_000_000 }
    number += 1
    analyzer.process(
      Bytes(rebasing: buffer[..<count]), linkType: seed.link, time: EventTime(nanoseconds: time), number: number, wireBytes: count, sink: sink)
  }

  /// Flows that began, flows that were told, and messages, with everything ended.
  mutating func finish() -> (begun: UInt64, told: Int, messages: Int) {
    analyzer.finish(sink: sink)
    return (analyzer.flowCounters.begun, sink.flows, sink.messages)
  }
}
