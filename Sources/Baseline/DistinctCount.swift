// How many different things there were, whatever their number: exactly while they are few, then by HyperLogLog (Flajolet, Fusy, Gandouet,
// Meunier 2007; with 64-bit hashes, so without their correction for large ranges, as in Heule, Nunkesser, Hall 2013).
// Parameters: 48 hashes, then 1,024 registers (p = 10). Memory: at most 384 bytes, then 1,024. Error: none up to 48; beyond, a standard error
// of 1.04 / sqrt(1024) = 3.3 %. Up to 2.5 times the registers the empty ones are counted instead (linear counting: Whang, Vander-Zanden,
// Taylor 1990), which errs no more there.
// What must stay true: integers only, logarithms in fixed point. The same set gives the same value and the same bytes in whatever order and
// however often its members come. The key is fixed, so that snapshots mean the same on every machine; who knows it can make names that fill
// few registers and so hide that there are many, or, with much more work, many registers: a count is evidence, not a wall.
import Primitives

struct DistinctCount {
  private static let precision: UInt64 = 10
  private static let registerCount = 1 << Int(precision)
  static let largestExact = 48

  /// Sorted; nil once there are registers.
  private var hashes: [UInt64]? = []
  private var registers: [UInt8] = []
  /// What the registers say; nil since one changed.
  private var estimate: Int64?

  mutating func insert(_ name: Bytes) { insert(hash: Fingerprint(of: name, key: (0x6469_7374, 0x696e_6374)).low) }

  mutating func insert(hash: UInt64) {
    guard let exact = hashes else { return note(hash) }
    var (low, high) = (0, exact.count)
    while low < high {
      let middle = (low + high) / 2
      if exact[middle] < hash { low = middle + 1 } else { high = middle }
    }
    if low < exact.count, exact[low] == hash { return }
    if exact.count < DistinctCount.largestExact {
      hashes?.insert(hash, at: low)
      return
    }
    registers = [UInt8](repeating: 0, count: DistinctCount.registerCount)
    hashes = nil
    for known in exact { note(known) }
    note(hash)
  }
  private mutating func note(_ hash: UInt64) {
    let register = Int(hash >> (64 - DistinctCount.precision))
    // The place of the first one among the other 54 bits.
    let rest = hash << DistinctCount.precision
    let rank = UInt8(min(64 - Int(DistinctCount.precision), rest.leadingZeroBitCount) + 1)
    guard registers[register] < rank else { return }
    registers[register] = rank
    estimate = nil
  }

  mutating func count() -> Int64 {
    if let hashes { return Int64(hashes.count) }
    if let estimate { return estimate }
    let value = DistinctCount.estimate(registers)
    estimate = value
    return value
  }
  private static func estimate(_ registers: [UInt8]) -> Int64 {
    // In units of 2^-50; what a rank above 50 adds is nothing.
    var sum: UInt64 = 0
    var empty: UInt64 = 0
    for rank in registers {
      if rank == 0 { empty += 1 }
      if rank <= 50 { sum += 1 << UInt64(50 - rank) }
    }
    let size = UInt64(DistinctCount.registerCount)
    // alpha m^2, alpha = 0.7213 / (1 + 1.079 / m).
    let scaled = (UInt128(755_541) << 50) / UInt128(max(1, sum))
    let raw = Int64(clamping: scaled)
    guard raw <= Int64(size) * 5 / 2, empty > 0 else { return raw }
    // m ln(m / V) = m ln 2 (log2 m - log2 V); ln 2 = 45,426 / 65,536.
    let logarithm = UInt64(DistinctCount.precision) << 16 - binaryLogarithm(empty)
    return Int64((size * logarithm * 45_426 + (1 << 31)) >> 32)
  }

  // MARK: Snapshot

  func write(to out: inout SnapshotWriter) {
    out.put(hashes == nil)
    if let hashes {
      out.put(UInt64(hashes.count))
      // Sorted, so their distances are what differs.
      var before: UInt64 = 0
      for hash in hashes {
        out.put(hash &- before)
        before = hash
      }
    } else {
      out.put(registers)
    }
  }
  init() {}
  init(from reader: inout SnapshotReader) throws(BaselineSnapshotError) {
    if try reader.flag() {
      registers = try reader.text(atMost: DistinctCount.registerCount)
      hashes = nil
      guard registers.count == DistinctCount.registerCount, registers.allSatisfy({ $0 <= 55 }) else {
        throw reader.fail("a distinct count is none")
      }
      return
    }
    var exact: [UInt64] = []
    for i in 0..<(try reader.count(atMost: DistinctCount.largestExact)) {
      let distance = try reader.unsigned()
      let (hash, overflow) = (exact.last ?? 0).addingReportingOverflow(distance)
      guard !overflow, i == 0 || distance > 0 else { throw reader.fail("a distinct count is not in its order") }
      exact.append(hash)
    }
    hashes = exact
  }
}

/// log2 of `value`, in 1/65,536, rounded down; 0 for 0. By squaring the mantissa: each square doubles the logarithm, and what it gains above
/// 2 is its next digit.
func binaryLogarithm(_ value: UInt64) -> UInt64 {
  guard value > 1 else { return 0 }
  let whole = UInt64(63 - value.leadingZeroBitCount)
  var mantissa = (value << UInt64(value.leadingZeroBitCount)) >> 1  // 1.0 is 2^62
  var result = whole << 16
  for digit in (0..<16 as Range<UInt64>).reversed() {
    let square = mantissa.multipliedFullWidth(by: mantissa)
    mantissa = square.high << 2 | square.low >> 62
    if mantissa >= 1 << 63 {
      mantissa >>= 1
      result |= 1 << digit
    }
  }
  return result
}
