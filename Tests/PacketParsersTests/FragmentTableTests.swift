import PacketParsers
import Primitives
import Testing

@testable import PanguardTestKit

private typealias B = PacketBuilder

/// Feeds pieces of IPv4 datagrams; answers what became whole.
private struct Pieces: ~Copyable {
  var table = FragmentTable()
  var whole: [String] = []
  mutating func add(_ text: String, at offset: Int, more: Bool, identification: Int = 1, seconds: Int64 = 0) {
    let frame = B.ethernet(0x0800, B.ipv4(17, Octets(text.utf8), identification: identification, offset: offset, more: more))
    var packet = Packet()
    var made: [String] = []
    frame.withUnsafeBytes {
      PacketDecoder.decode($0, linkType: .ethernet, into: &packet)
      table.add(packet, at: EventTime(seconds: seconds)) { made.append($0.string) }
    }
    whole += made
  }
}

@Suite("Datagrams in pieces")
struct FragmentTableTests {
  static let pieces: [(text: String, offset: Int, more: Bool)] = [
    ("aaaaaaaa", 0, true), ("bbbbbbbbbbbbbbbb", 8, true), ("cccccccc", 24, true), ("dddd", 32, false),
  ]

  /// All 24 orders give the same datagram, once.
  @Test func anyOrder() {
    func permutations(_ items: [Int]) -> [[Int]] {
      items.count < 2
        ? [items]
        : items.indices.flatMap { i in
          var rest = items
          let first = rest.remove(at: i)
          return permutations(rest).map { [first] + $0 }
        }
    }
    for order in permutations([0, 1, 2, 3]) {
      var test = Pieces()
      for i in order { test.add(Self.pieces[i].text, at: Self.pieces[i].offset, more: Self.pieces[i].more) }
      #expect(test.whole == ["aaaaaaaabbbbbbbbbbbbbbbbccccccccdddd"], "order \(order)")
      #expect(test.table.counters.completed == 1 && test.table.bytes == 0 && test.table.count == 0)
    }
  }

  @Test func aPieceThatComesTwiceIsTakenOnce() {
    var test = Pieces()
    test.add("aaaaaaaa", at: 0, more: true)
    test.add("aaaaaaaa", at: 0, more: true)
    test.add("bb", at: 8, more: false)
    #expect(test.whole == ["aaaaaaaabb"])
  }

  /// Whatever an overlap says, the whole datagram is given up, and its remaining pieces do not make one.
  @Test(arguments: [(0, "xxxxxxxxxxxxxxxx"), (8, "XXXXXXXX"), (0, "aaaaaaaX")]) func overlapsAreGivenUp(_ offset: Int, _ text: String) {
    var test = Pieces()
    test.add("aaaaaaaa", at: 0, more: true)
    test.add("bbbbbbbb", at: 8, more: true)
    test.add(text, at: offset, more: true)
    test.add("cccc", at: 16, more: false)
    #expect(test.whole.isEmpty)
    #expect(test.table.counters.overlapping == 1)
  }

  @Test func whatCannotBeIsGivenUp() {
    var test = Pieces()
    test.add("odd", at: 0, more: true)  // only a last piece may have a length that 8 does not divide
    test.add(String(repeating: "x", count: 1000), at: 65_528, more: false)  // beyond 65,535 bytes
    test.add("aaaaaaaa", at: 16, more: true, identification: 2)
    test.add("bbbb", at: 8, more: false, identification: 2)  // ends before what is there
    #expect(test.whole.isEmpty && test.table.counters.invalid == 3)
  }

  @Test func lateIsNever() {
    var test = Pieces()
    test.add("aaaaaaaa", at: 0, more: true, seconds: 0)
    test.add("bb", at: 8, more: false, seconds: 31)
    #expect(test.whole.isEmpty && test.table.counters.expired == 1)
  }

  @Test func aFloodOfPiecesIsBounded() {
    var test = Pieces()
    for i in 0..<600 {
      test.add(String(repeating: "x", count: 1400), at: 64_000, more: true, identification: i)
      #expect(test.table.count <= Limits.fragmentedDatagrams && test.table.bytes <= Limits.fragmentBytes)
    }
    #expect(test.table.counters.evicted > 500)
    test.add("aaaaaaaa", at: 0, more: true, identification: 60_000)
    test.add("bb", at: 8, more: false, identification: 60_000)
    #expect(test.whole == ["aaaaaaaabb"])
  }
}
