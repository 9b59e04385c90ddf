// Promise P3, at its core: no network that is, contains or lies in a protected one is ever blocked.
import Enforcement
import FrameProtocol
import PanguardTestKit
import Primitives
import Testing

@testable import EnforcerRuntime

func network(_ text: String) -> CIDR { CIDR(text)! }
func address(_ text: String) -> IPAddress { IPAddress(text)! }

@Suite("The protected set")
struct ProtectedSetTests {
  static var facts: ProtectedSet.Facts {
    var facts = ProtectedSet.Facts()
    facts.ownAddresses = [address("198.51.100.10"), address("2001:db8:1:1::10"), address("127.0.0.1")]
    facts.gateways = [address("198.51.100.1"), address("fe80::1")]
    facts.resolvers = [address("192.0.2.53")]
    facts.sessionPeers = [address("203.0.113.77"), address("2001:db8:77::5")]
    return facts
  }
  static let set = ProtectedSet(allowlist: [network("10.0.0.0/8"), network("192.0.2.128/25"), network("2001:db8:aaaa::/48")], facts: facts)

  static let cases: [(String, ProtectedKind?)] = [
    ("127.0.0.1/32", .loopback), ("127.255.255.255/32", .loopback), ("::1/128", .loopback), ("::/64", .unspecified), ("0.0.0.0/32", .unspecified),
    ("0.1.2.3/32", .unspecified), ("169.254.169.254/32", .linkLocal), ("fe80::/64", .linkLocal), ("febf:1::/64", .linkLocal), ("fec0::/64", nil),
    ("224.0.0.251/32", .multicast), ("255.255.255.255/32", .multicast), ("240.0.0.0/24", .multicast), ("223.255.255.0/24", nil),
    ("ff02::/64", .multicast), ("64:ff9b::/64", .translation), ("64:ff9b:1:7::/64", .translation), ("64:ff9b:2::/64", nil),
    ("198.51.100.10/32", .ownAddress), ("198.51.100.8/30", .ownAddress), ("198.51.100.0/24", .gateway), ("198.51.100.1/32", .gateway),
    ("198.51.100.128/25", nil), ("198.51.100.11/32", nil), ("2001:db8:1:1::/64", .ownAddress), ("2001:db8:1::/48", .ownAddress),
    ("2001:db8:1:2::/64", nil), ("192.0.2.53/32", .resolver), ("192.0.2.0/24", .resolver), ("192.0.2.54/32", nil), ("192.0.2.200/32", .allowlist),
    ("192.0.2.128/25", .allowlist), ("10.1.2.3/32", .allowlist), ("11.0.0.0/24", nil), ("203.0.113.77/32", .adminSession),
    ("203.0.113.64/27", .adminSession), ("203.0.113.0/26", nil), ("2001:db8:77::/64", .adminSession), ("2001:db8:77:1::/64", nil),
    ("2001:db8:aaaa:ffff::/64", .allowlist), ("2001:db8:aaaa::/47", .allowlist), ("8.8.8.8/32", nil), ("2606:4700::/64", nil),
    ("0.0.0.0/0", .unspecified), ("::/0", .unspecified), ("128.0.0.0/1", .linkLocal), ("2000::/3", .ownAddress),
  ]
  @Test("what hits it is refused with its reason, what does not is not", arguments: cases)
  func conflict(_ text: String, _ expected: ProtectedKind?) {
    #expect(ProtectedSetTests.set.conflict(with: network(text))?.kind == expected, "\(text)")
  }

  /// The same question answered one by one, over networks that lie close to each other.
  @Test("the index finds what a walk through everything finds", arguments: [UInt64(1), 2, 3])
  func model(_ seed: UInt64) {
    var random = SplitMix64(seed: seed)
    func randomNetwork() -> CIDR {
      if random.below(2) == 0 {
        return CIDR(IPAddress(v4: 0xc633_0000 | UInt32(random.below(2048))), prefixLength: 16 + random.below(17))
      }
      return CIDR(
        IPAddress(v6High: 0x2001_0db8_0000_0000 | UInt64(random.below(64)) << UInt64(random.below(20)), low: UInt64(random.below(4))),
        prefixLength: 32 + random.below(97))
    }
    for _ in 0..<300 {
      let allowlist = (0..<random.below(12)).map { _ in randomNetwork() }
      let set = ProtectedSet(allowlist: allowlist)
      let everything = ProtectedSet.fixed.map(\.1) + allowlist
      for _ in 0..<20 {
        let question = randomNetwork()
        let expected = everything.contains { $0.contains(question.base) && $0.prefixLength <= question.prefixLength || question.contains($0.base) }
        let found = set.conflict(with: question)
        #expect((found != nil) == expected, "\(question) against \(allowlist)")
        if let found { #expect(found.network.contains(question.base) || question.contains(found.network.base)) }
      }
    }
  }

  @Test("a question costs a logarithm: 65,536 of them against full lists are done at once")
  func cost() {
    var facts = ProtectedSet.Facts()
    facts.sessionPeers = (0..<Limits.protectedAddresses).map { IPAddress(v4: 0x0b00_0000 + UInt32($0) * 2) }
    let set = ProtectedSet(
      allowlist: (0..<Limits.allowlistEntries).map { CIDR(IPAddress(v4: 0x0c00_0000 + UInt32($0) << 8), prefixLength: 25 + $0 % 8) }, facts: facts)
    let began = monotonicNow()
    var hits = 0
    for i in 0..<65_536 where set.conflict(with: CIDR(IPAddress(v4: 0x0b00_0000 + UInt32(i)), prefixLength: 32)) != nil { hits += 1 }
    #expect(hits == Limits.protectedAddresses)
    #expect(monotonicNow() - began < 120_000_000_000)
  }
}
