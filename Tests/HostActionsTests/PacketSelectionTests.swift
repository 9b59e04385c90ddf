// What may be asked for, as arguments of the program that cuts: what is written is read back, anything else is nothing.
import HostActions
import Primitives
import Testing

@Suite struct PacketSelectionTests {
  static let whole = PacketSelection(
    decision: "d0123456789abcdef", networks: [CIDR("192.0.2.7")!, CIDR("2001:db8:1:2::/64")!], moments: [1, 1_700_000_000_123_456_789],
    since: 0, until: .max, packets: 1, bytes: 4096)!

  private func options(_ arguments: [String]) -> [(name: String, value: String)] {
    stride(from: 0, to: arguments.count, by: 2).map { (arguments[$0], arguments[$0 + 1]) }
  }

  @Test func argumentsComeBackAsTheyWere() {
    #expect(PacketSelection(options: options(Self.whole.arguments)) == Self.whole)
    #expect(Self.whole.text.hasPrefix("packets of 192.0.2.7/32, 2001:db8:1:2::/64 from 1970-01-01T00:00:00Z"), "\(Self.whole.text)")
  }

  /// (instead of what, what)
  static let wrong: [(String, String)] = [
    ("--decision", "d0123456789abcde"), ("--decision", "../../etc/passwd0"), ("--decision", "d0123456789abcd\n"), ("--decision", "d0123456789ABCDEF"),
    ("--decision", ""), ("--decision", "x0123456789abcdef"), ("--since", "-1"), ("--since", "1e9"), ("--until", "99999999999999999999"),
    ("--packets", "0"), ("--packets", "10000001"), ("--bytes", "4095"), ("--bytes", "17179869185"), ("--network", "192.0.2.0/33"),
    ("--network", "example.org"), ("--moment", "-5"), ("--moment", "now"),
  ]
  @Test(arguments: wrong) func anythingElseIsNothing(_ name: String, _ value: String) {
    var list = options(Self.whole.arguments)
    list[list.firstIndex { $0.name == name }!].value = value
    #expect(PacketSelection(options: list) == nil)
  }
  @Test func eachStandsThereOnceAndTheListsAreBounded() {
    let list = options(Self.whole.arguments)
    #expect(PacketSelection(options: list + [("--since", "0")]) == nil)
    #expect(PacketSelection(options: Array(list.dropFirst())) == nil)
    #expect(PacketSelection(options: list.filter { $0.name != "--network" && $0.name != "--moment" }) == nil)
    let many = (0...Limits.cutMoments).map { ("--moment", "\($0)") }
    #expect(PacketSelection(options: list.filter { $0.name != "--moment" } + many) == nil)
    #expect(PacketSelection(options: list.filter { $0.name != "--moment" } + many.dropLast()) != nil)
    #expect(
      PacketSelection(decision: "d0123456789abcdef", networks: [CIDR("::/0")!], moments: [], since: 2, until: 1, packets: 1, bytes: 4096) == nil)
  }
}
