// Where the profiles of the subjects lie that events were about lately. Nearly all lines of a log are about a handful of services and one
// host: comparing their names costs less than hashing them.
// What must stay true: it changes no result. What it says is checked by whoever uses it (`BoundedTable.updateExisting(_:at:_:)`), and it is in
// no snapshot. Memory: 8 names for each rate.
import Glibc
import Primitives

struct RecentSubjects {
  struct Place {
    fileprivate(set) var key = Fingerprint(high: 0, low: 0)
    /// -1: it has no profile, or not yet.
    var slot: Int32 = -1
    fileprivate var name: [UInt8] = []

    /// Whether it is of "name" or, with a host, of "name host".
    @inline(__always)
    fileprivate func isOf(_ name: Bytes, _ host: Bytes?) -> Bool {
      let count = name.count + (host.map { $0.count + 1 } ?? 0)
      guard count == self.name.count, let base = name.baseAddress else { return false }
      return self.name.withUnsafeBytes { kept in
        guard memcmp(kept.baseAddress!, base, name.count) == 0 else { return false }
        guard let host else { return true }
        guard kept[name.count] == 0x20 else { return false }
        guard let base = host.baseAddress, !host.isEmpty else { return true }
        return memcmp(kept.baseAddress! + name.count + 1, base, host.count) == 0
      }
    }
  }
  private static let perRow = 8
  private var places = [Place](repeating: Place(), count: RateClass.allCases.count * RecentSubjects.perRow)

  /// Where the subject is looked for. `name` is not empty.
  @inline(__always)
  func index(_ row: RateClass, _ name: Bytes) -> Int {
    Int(row.rawValue) * RecentSubjects.perRow + (Int(name[0]) &* 3 &+ name.count) & (RecentSubjects.perRow - 1)
  }
  @inline(__always)
  func find(at index: Int, _ name: Bytes, _ host: Bytes?) -> (key: Fingerprint, slot: Int32)? {
    places[index].isOf(name, host) ? (places[index].key, places[index].slot) : nil
  }
  mutating func keep(_ name: [UInt8], _ key: Fingerprint, slot: Int32, at index: Int) {
    places[index] = Place(key: key, slot: slot, name: name)
  }
}
