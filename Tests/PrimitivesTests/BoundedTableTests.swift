import Primitives
import Testing

@Suite struct BoundedTableTests {
  @Test func evictsTheLongestSilentAndCounts() {
    var table = BoundedTable<Int, Int>(capacity: 3)
    for key in [1, 2, 3, 1, 4] { table.update(key, make: { 0 }) { $0 += 1 } }
    #expect(table.evictions == 1)
    #expect(table.peek(2) == nil)
    #expect(table.peek(1) == 2)
    var order: [Int] = []
    table.forEachOldestFirst { key, _ in order.append(key) }
    #expect(order == [3, 1, 4])
    #expect(table.removeValue(for: 3) == 1)
    #expect(table.oldestEntry?.key == 1)
  }

  /// Against a plain reference: a list in order of use.
  @Test func agreesWithAPlainList() {
    var table = BoundedTable<Int, Int>(capacity: 16)
    var list: [(Int, Int)] = []
    var state: UInt64 = 42
    for _ in 0..<20_000 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let key = Int(state >> 33 % 40)
      if state >> 20 & 7 == 0 {
        #expect(table.removeValue(for: key) == list.first { $0.0 == key }?.1)
        list.removeAll { $0.0 == key }
      } else {
        let before = list.first { $0.0 == key }?.1 ?? 0
        list.removeAll { $0.0 == key }
        if list.count == 16 { list.removeFirst() }
        list.append((key, before + 1))
        #expect(
          table.update(key, make: { 0 }) {
            $0 += 1; return $0
          } == before + 1)
      }
      #expect(table.count == list.count)
    }
    var order: [Int] = []
    table.forEachOldestFirst { key, _ in order.append(key) }
    #expect(order == list.map(\.0))
  }

  /// The same while it grows, with keys that differ in a few bits only, and with places that are kept.
  @Test func findsWhatItHolds() {
    var table = BoundedTable<Fingerprint, UInt64>(capacity: 3000)
    var places: [UInt64: Int32] = [:]
    func key(_ n: UInt64) -> Fingerprint { n % 2 == 0 ? Fingerprint(high: n << 40, low: 0) : Fingerprint(high: 0, low: n) }
    for n in 0..<5000 as Range<UInt64> {
      table.update(key(n), make: { n }) { _ in }
      places[n] = table.place(of: key(n))
      if n % 7 == 0 { #expect(table.removeValue(for: key(n)) == n) }
    }
    #expect(table.count == 3000)
    var held = 0
    for n in 0..<5000 as Range<UInt64> {
      let isHeld = table.peek(key(n)) == n
      #expect(table.contains(key(n)) == isHeld)
      #expect(places[n].map { table.holds(key(n), at: $0) } == isHeld)
      held += isHeld ? 1 : 0
    }
    #expect(held == table.count)
    table.removeAll()
    #expect(table.count == 0 && !table.contains(key(4999)) && !table.holds(key(4999), at: places[4999] ?? 0))
    table.update(key(1), make: { 1 }) { _ in }
    #expect(table.peek(key(1)) == 1 && table.oldestEntry?.key == key(1))
  }
}
