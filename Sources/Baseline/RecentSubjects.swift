// Where the profiles of the subjects lie that events were about lately. Nearly all lines of a log are about a handful of services and one
// host: comparing their names costs less than hashing them.
// What must stay true: it changes no result. What it says is checked by whoever uses it (`BoundedTable.updateExisting(_:at:_:)`), and it is in
// no snapshot. Memory: 8 names of `Limits.baselineLabelBytes` for each rate.
import Glibc
import Primitives

struct RecentSubjects: ~Copyable {
  private struct Place {
    var key = Fingerprint(high: 0, low: 0)
    /// -1: it has no profile, or not yet.
    var slot: Int32 = -1
    /// Bytes of its name; -1: no subject was kept here.
    var count: Int32 = -1
  }
  private static let perRow = 8
  private static let count = RateClass.allCases.count * perRow
  private let places: UnsafeMutablePointer<Place>
  private let names: UnsafeMutableRawPointer

  init() {
    places = .allocate(capacity: RecentSubjects.count)
    places.initialize(repeating: Place(), count: RecentSubjects.count)
    names = .allocate(byteCount: RecentSubjects.count * Limits.baselineLabelBytes, alignment: 16)
  }
  deinit {
    places.deallocate()
    names.deallocate()
  }

  /// Where the subject is looked for. `name` is not empty.
  @inline(__always)
  func index(_ row: RateClass, _ name: Bytes) -> Int {
    Int(row.rawValue) * RecentSubjects.perRow + (Int(name[0]) &* 3 &+ name.count) & (RecentSubjects.perRow - 1)
  }
  /// What was kept of "name" or, with a host, of "name host".
  @inline(__always)
  func find(at index: Int, _ name: Bytes, _ host: Bytes?) -> (key: Fingerprint, slot: Int32)? {
    let count = name.count + (host.map { $0.count + 1 } ?? 0)
    let kept = names + index * Limits.baselineLabelBytes
    guard Int(places[index].count) == count, Bytes(start: kept, count: name.count).equals(name) else { return nil }
    if let host {
      guard kept.load(fromByteOffset: name.count, as: UInt8.self) == 0x20 else { return nil }
      guard Bytes(start: kept + name.count + 1, count: host.count).equals(host) else { return nil }
    }
    return (places[index].key, places[index].slot)
  }
  /// A name that is longer than a label is not kept.
  mutating func keep(_ name: [UInt8], _ key: Fingerprint, slot: Int32, at index: Int) {
    guard name.count <= Limits.baselineLabelBytes else { return }
    name.withUnsafeBytes { if let base = $0.baseAddress { memcpy(names + index * Limits.baselineLabelBytes, base, $0.count) } }
    places[index] = Place(key: key, slot: slot, count: Int32(name.count))
  }
}
