// Rules over what the network detectors find, tried on packets: for each a capture that it must answer, and one that it must not. What no packet
// tells (the kernel's counters) is tried beside the detectors.
import Detection
import PacketParsers
import Primitives
import Testing

@testable import PanguardTestKit

private let me = "10.0.0.5"
private let server: UInt32 = 0x0a00_0005
private let outside = "203.0.113.9"
private let stranger: UInt32 = 0xcb00_7109
private func peer(_ index: Int) -> UInt32 { 0xc612_0000 + UInt32(index) }

extension CaptureBuilder {
  fileprivate mutating func segment(_ from: UInt32, _ to: UInt32, _ port: Int, _ flags: TCPFlags, sourcePort: Int = 41_234) {
    frame(0x0800, PacketBuilder.ipv4(IPProtocol.tcp, PacketBuilder.tcp(sourcePort, port, flags), from: from, to: to))
  }
  fileprivate mutating func datagram(_ from: UInt32, _ sourcePort: Int, _ to: UInt32, _ port: Int, bytes: Int = 8) {
    let payload = Octets(repeating: 0x41, count: bytes)
    frame(0x0800, PacketBuilder.ipv4(IPProtocol.udp, PacketBuilder.udp(sourcePort, port, payload), from: from, to: to))
  }
  fileprivate mutating func message(_ from: UInt32, _ to: UInt32, type: UInt8) {
    frame(0x0800, PacketBuilder.ipv4(IPProtocol.icmp, PacketBuilder.icmp(type), from: from, to: to))
  }
  fileprivate mutating func resolution(_ operation: Int, _ mac: UInt8, _ sender: UInt32, _ target: UInt32) {
    frame(
      0x0806, hex("0001 0800 06 04") + be16(operation) + [2, 0, 0, 0, 0, mac] + be32(sender) + hex("00 00 00 00 00 00") + be32(target))
  }
  fileprivate mutating func repeated(_ count: Int, every seconds: Int64 = 0, _ body: (inout CaptureBuilder, Int) -> Void) {
    for i in 0..<count {
      body(&self, i)
      wait(seconds: seconds)
    }
  }
  fileprivate mutating func scan(_ count: Int, every seconds: Int64 = 0) {
    repeated(count, every: seconds) { $0.refused(from: outside, to: me, port: 100 + $1) }
  }
  /// One client that retries, one that asks for services that are there.
  fileprivate mutating func everyday() {
    repeated(60) {
      $0.refused(from: outside, to: me, port: 5432)
      $0.http(from: outside, to: me, "GET", "/page\($1)")
    }
  }
  /// Long enough ago that what came before is over.
  fileprivate mutating func later() {
    wait(seconds: 120)
    http(from: outside, to: me, "GET", "/")
  }
  fileprivate mutating func guesses() { repeated(24, every: 3) { c, _ in c.ssh(from: outside, to: me) } }
  fileprivate mutating func session() {
    tcp(
      from: outside, to: me, port: 22, seconds: 40,
      [
        (.server, Octets("SSH-2.0-OpenSSH_9.2\r\n".utf8)), (.client, Octets("SSH-2.0-OpenSSH_9.6\r\n".utf8)),
        (.client, SSHBuilder.keyExchange(SSHBuilder.lists)), (.server, SSHBuilder.keyExchange(SSHBuilder.lists)),
        (.client, Octets(repeating: 0xaa, count: 4000)), (.server, Octets(repeating: 0xbb, count: 9000)),
      ])
  }
}

private typealias Case = NetworkRuleCase

private let cases: [Case] = [
  Case("scan-suspected", fires: { $0.scan(4) }, silent: { $0.everyday() }),
  Case("port-scan", fires: { $0.scan(16) }, silent: { $0.scan(12) }),
  Case("port-scan-slow-packets", fires: { $0.scan(16, every: 500) }, silent: { $0.scan(20) }),
  Case(
    "flag-scan", fires: { $0.repeated(6) { $0.segment(stranger, server, 100 + $1, [.fin, .psh, .urg]) } },
    silent: { $0.repeated(6) { $0.segment(stranger, server, 100 + $1, [.rst]) } }),
  Case(
    "ack-scan", fires: { $0.repeated(14) { $0.segment(stranger, server, 100 + $1, [.ack]) } },
    silent: { $0.repeated(40) { $0.segment(stranger, server, 40_000 + $1, [.ack], sourcePort: 443) } }),
  Case(
    "udp-scan", fires: { $0.repeated(45) { $0.datagram(stranger, 52_000, server, 100 + $1) } },
    silent: { $0.repeated(90) { $0.datagram(stranger, 53, server, 40_000 + $1) } }),
  Case(
    "host-sweep", fires: { $0.repeated(20) { $0.segment(stranger, 0x0a00_0100 + UInt32($1), 445, .syn) } },
    silent: { $0.repeated(20) { $0.tcp(from: outside, to: "10.0.1.\($1)", port: 445, "> a", "< b") } }),
  Case(
    "inside-host-sweeps", fires: { $0.repeated(14) { $0.segment(server, 0x0a00_0100 + UInt32($1), 445, .syn) } },
    silent: { $0.repeated(200) { $0.segment(server, peer($1 * 7), 1024 + $1 * 31, .syn) } }),
  Case(
    "ping-sweep", fires: { $0.repeated(18) { $0.message(server, 0x0a00_0100 + UInt32($1), type: 8) } },
    silent: { $0.repeated(18) { $0.ping(from: me, to: "10.0.1.\($1)", count: 1, payload: 56) } }),
  Case(
    "arp-sweep", fires: { $0.repeated(30, every: 1) { $0.resolution(1, 9, 0x0a00_0009, 0x0a00_0100 + UInt32($1)) } },
    silent: {
      $0.repeated(30, every: 1) {
        $0.resolution(1, 9, 0x0a00_0009, 0x0a00_0100 + UInt32($1))
        $0.resolution(2, UInt8(100 + $1), 0x0a00_0100 + UInt32($1), 0x0a00_0009)
      }
    }),
  Case(
    "distributed-scan", fires: { $0.repeated(160) { $0.segment(peer($1 % 40), server, 1000 + $1 * 7, .syn) } },
    silent: { $0.repeated(160) { $0.segment(peer($1), server, 1000 + $1 * 7, .syn) } }),
  Case(
    "traceroute", fires: { $0.repeated(4) { $0.message(peer($1), server, type: 11) } },
    silent: { $0.repeated(4) { c, _ in c.message(peer(1), server, type: 11) } }),
  Case(
    "syn-flood-packets",
    fires: {
      $0.repeated(1500) { $0.segment(peer($1), server, 443, .syn) }
      $0.later()
    },
    silent: {
      $0.repeated(1500) {
        $0.segment(peer($1), server, 443, .syn)
        $0.segment(server, peer($1), 41_234, [.rst, .ack], sourcePort: 443)
      }
      $0.later()
    }),
  Case(
    "syn-flood-few-sources", fires: { $0.repeated(1500) { $0.segment(stranger, server, 443, .syn, sourcePort: 2000 + $1) } },
    silent: { $0.repeated(1500) { $0.segment(stranger, server, 1 + $1, .syn) } }),
  Case(
    "udp-flood", fires: { $0.repeated(3600) { $0.datagram(peer($1 % 200), 7000, server, 9) } },
    silent: { $0.repeated(3600) { c, _ in c.datagram(peer(1), 7000, server, 9) } }),
  Case(
    "amplification", fires: { $0.repeated(1500) { $0.datagram(peer($1 % 20), 11_211, server, 9, bytes: 1200) } },
    silent: { $0.repeated(1500) { $0.udp(from: me, to: "198.18.0.\($1 % 20)", port: 53, [1], answer: Octets(repeating: 0x41, count: 1200)) } }),
  Case(
    "arp-spoofing",
    fires: {
      $0.resolution(1, 1, 0x0a00_0001, server)
      $0.repeated(4, every: 2) { c, _ in c.resolution(2, 0x66, 0x0a00_0001, server) }
    },
    silent: {
      $0.resolution(1, 1, 0x0a00_0001, server)
      $0.repeated(40, every: 2) { c, _ in c.resolution(2, 1, 0x0a00_0001, server) }
    }),
  Case(
    "lateral-movement", fires: { $0.repeated(14) { $0.tcp(from: me, to: "10.0.1.\($1)", port: 3389, "> a", "< b") } },
    silent: { $0.repeated(14) { $0.tcp(from: me, to: "10.0.1.\($1)", port: 443, "> a", "< b") } }),
  Case(
    "new-listener",
    fires: {
      $0.tcp(from: outside, to: me, port: 80, "> a", "< b")
      $0.repeated(25, every: 3600) { c, _ in c.tcp(from: outside, to: me, port: 80, "> a", "< b") }
      $0.tcp(from: outside, to: me, port: 4444, "> a", "< b")
    },
    silent: {
      $0.tcp(from: outside, to: me, port: 80, "> a", "< b")
      $0.tcp(from: outside, to: me, port: 4444, "> a", "< b")
    }),
  Case("ssh-session-established", fires: { $0.session() }, silent: { $0.guesses() }),
  Case(
    "ssh-session-after-guessing",
    fires: {
      $0.guesses()
      $0.later()
      $0.session()
      $0.later()
    }, silent: { $0.session() }),
  Case(
    "scan-then-ssh-sessions",
    fires: {
      $0.scan(20)
      $0.later()
      $0.guesses()
    }, silent: { $0.guesses() }),
]

@Suite struct ScanRuleTests {
  @Test(arguments: cases) func rule(_ test: NetworkRuleCase) throws { try test.check() }

  @Test func noRuleLacksACapture() {
    let kernel: Set = ["syn-cookies-sent", "listen-queue-overflow"]
    let log: Set = ["scan-in-log-and-packets"]
    let tried = Set(cases.map(\.rule)).union(kernel).union(log)
    let wanted = idOfFile.filter { $0.value.hasPrefix("ATR-2026-906") || $0.value.hasPrefix("ATR-COR-2026-9006") }.map(\.key)
    #expect(wanted.count >= 24)
    #expect(Set(wanted).subtracting(tried).sorted() == [])
  }

  @Test func theSameBytesAtEveryStep() throws {
    var capture = CaptureBuilder()
    for test in cases { test.fires(&capture) }
    let bytes = capture.pcap
    let whole = try decisions(bytes)
    #expect(Set(whole.map(\.ruleID)).count >= 15)
    #expect(try decisions(bytes, step: 999) == whole)
  }

  /// Anybody can write the addresses of such packets: what they show is claimed, which blocks nobody under the shipped policy.
  @Test func aScanIsClaimed() throws {
    var capture = CaptureBuilder()
    capture.scan(300)
    let found = try decisions(capture.pcap)
    #expect(!found.isEmpty)
    #expect(found.allSatisfy { $0.trust == .claimed })
  }

  /// The firewall's log and the packets: one decision names both witnesses.
  @Test func theSameScanInLogAndPackets() throws {
    var capture = CaptureBuilder()
    capture.scan(20)
    let log = (0..<12).map {
      "Jan  5 10:00:\($0 < 10 ? "0" : "")\($0) web01 kernel: [ 8123.000412] [UFW BLOCK] IN=eth0 OUT= SRC=\(outside) DST=\(me) LEN=60 TTL=51 "
        + "ID=4242 PROTO=TCP SPT=40112 DPT=\(1000 + $0) SYN URGP=0\n"
    }.joined()
    let together = try decisions(capture.pcap, logs: [("kern.log", log)])
    let fused = try #require(together.first { $0.ruleID == "ATR-COR-2026-90063" })
    #expect(Set(fused.evidence.map { $0.source.hasSuffix("kern.log") ? "log" : $0.source }) == ["log", "test.pcap"])
    #expect(fused.subject.source == outside)
  }
}
