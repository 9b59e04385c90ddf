// Who makes most of something: the 64 networks with the largest sums, and bounds on all others, by Space-Saving (Metwally, Agrawal, El Abbadi 2005,
// "Efficient computation of frequent and top-k elements in data streams"): one that is not among them takes the place of the smallest, and
// its sum as its error.
// Each day all sums shrink by a fourteenth, so that what counts is the last fortnight.
// Error: no sum is too small, and none is too large by more than total / 64 (and what rounding adds: 1 a day); whoever has more than that is
// among them. Memory: 2 KiB.
// What must stay true: integers only; ties go to the place that comes first.
import Primitives

struct HeavyHitters: Equatable {
  struct Entry: Equatable {
    var key: IPAddress
    /// Not below what the network has, and above it by `error` at most.
    var count: Int64
    var error: Int64
  }
  static let capacity = 64
  static let largest: Int64 = 1 << 55
  private(set) var entries: [Entry] = []
  private(set) var total: Int64 = 0
  private(set) var days: Int64 = 0
  private(set) var evictions: UInt64 = 0

  mutating func add(_ amount: Int64, to key: IPAddress) {
    guard amount > 0, total <= HeavyHitters.largest - min(amount, HeavyHitters.largest) else { return }
    total += amount
    if let at = entries.firstIndex(where: { $0.key == key }) {
      entries[at].count += amount
    } else if entries.count < HeavyHitters.capacity {
      entries.append(Entry(key: key, count: amount, error: 0))
    } else {
      var least = 0
      for i in entries.indices where entries[i].count < entries[least].count { least = i }
      let error = entries[least].count
      entries[least] = Entry(key: key, count: error + amount, error: error)
      evictions &+= 1
    }
  }

  /// The most that the key may have of everything, in thousandths, rounded up; nil while nothing was counted.
  func shareThousandths(of key: IPAddress) -> Int64? {
    guard total > 0 else { return nil }
    let count = entries.first { $0.key == key }?.count ?? (entries.count < HeavyHitters.capacity ? 0 : entries.map(\.count).min() ?? 0)
    return Int64((Int128(count) * 1000 + Int128(total) - 1) / Int128(total))
  }

  /// Ends a day.
  mutating func closeDay() {
    days = min(days + 1, 1 << 20)
    var rest: Int64 = 0
    for i in entries.indices {
      entries[i].count -= entries[i].count / Limits.baselineFastDays
      entries[i].error -= entries[i].error / Limits.baselineFastDays
      rest += entries[i].count
    }
    // Each amount went to one of the entries: their sum is the total.
    total = rest
  }

  /// The largest first; of equal ones the one that came first.
  var ranking: [Entry] { entries.enumerated().sorted { ($1.element.count, $0.offset) < ($0.element.count, $1.offset) }.map(\.element) }

  mutating func remove(_ key: IPAddress) -> Bool {
    guard let at = entries.firstIndex(where: { $0.key == key }) else { return false }
    total -= entries[at].count
    entries.remove(at: at)
    return true
  }

  // MARK: Snapshot

  func write(to out: inout SnapshotWriter) {
    out.put(days)
    out.put(UInt64(entries.count))
    for entry in entries {
      out.put(entry.key)
      out.put(entry.count)
      out.put(entry.error)
    }
  }
  init() {}
  init(from reader: inout SnapshotReader) throws(BaselineSnapshotError) {
    days = try reader.signed(in: 0...(1 << 20))
    for _ in 0..<(try reader.count(atMost: HeavyHitters.capacity)) {
      let key = try reader.address()
      let count = try reader.signed(in: 1...HeavyHitters.largest)
      let entry = Entry(key: key, count: count, error: try reader.signed(in: 0...count))
      guard !entries.contains(where: { $0.key == key }) else { throw reader.fail("a network comes twice") }
      entries.append(entry)
      total += count
    }
    guard total <= HeavyHitters.largest else { throw reader.fail("a sum is out of its range") }
  }
}
