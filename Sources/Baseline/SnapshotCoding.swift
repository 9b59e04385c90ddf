// How a baseline becomes bytes and comes back: unsigned LEB128 numbers (DWARF 5, 7.6), signed ones folded (Protocol Buffers' ZigZag), texts
// and fingerprints, in a fixed order. One state has one encoding.
// What must stay true: reading is total. Whatever the bytes are, it ends in a value or an error, in time linear in their number, and with
// no more memory than the limits of what is read allow.
import Primitives

/// Why bytes are no snapshot.
public struct BaselineSnapshotError: Error, Hashable, Sendable, CustomStringConvertible {
  public var description: String
}

struct SnapshotWriter {
  private(set) var bytes: [UInt8] = []

  mutating func put(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
  mutating func put(_ value: Int64) { put(UInt64(bitPattern: value << 1 ^ value >> 63)) }
  mutating func put(_ value: Int) { put(Int64(value)) }
  mutating func put(_ value: Bool) { put(UInt64(value ? 1 : 0)) }
  mutating func put(_ value: [UInt8]) {
    put(UInt64(value.count))
    bytes.append(contentsOf: value)
  }
  mutating func put(_ value: IPAddress) { put(Fingerprint(high: value.high, low: value.isV4 ? value.low | 0xffff << 32 : value.low)) }
  mutating func put(_ value: Fingerprint) {
    withUnsafeBytes(of: (value.high.bigEndian, value.low.bigEndian)) { bytes.append(contentsOf: $0) }
  }
}

struct SnapshotReader {
  private let bytes: [UInt8]
  private var at: Int
  private let end: Int
  /// Of the bytes in `[start, end)`, which are some.
  init(_ bytes: [UInt8], from start: Int, to end: Int = .max) {
    self.bytes = bytes
    self.end = min(end, bytes.count)
    at = max(0, min(start, self.end))
  }
  var isAtEnd: Bool { at == end }
  func fail(_ what: String) -> BaselineSnapshotError { BaselineSnapshotError(description: "\(what) at byte \(at) of the baseline's snapshot") }

  @inline(__always)
  mutating func unsigned() throws(BaselineSnapshotError) -> UInt64 {
    // Most are small.
    if at < end, bytes[at] < 0x80 {
      defer { at += 1 }
      return UInt64(bytes[at])
    }
    return try unsignedOfMany()
  }
  private mutating func unsignedOfMany() throws(BaselineSnapshotError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      guard at < end else { throw fail("a number is cut off") }
      let byte = bytes[at]
      // One number has one spelling: no tenth byte above 1, no last byte of zero.
      guard shift < 63 || byte <= 1, shift == 0 || byte != 0 else { throw fail("a number is not in its shortest form") }
      at += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
  }
  mutating func signed() throws(BaselineSnapshotError) -> Int64 {
    let folded = try unsigned()
    return Int64(bitPattern: folded >> 1) ^ -Int64(bitPattern: folded & 1)
  }
  /// A number in `range`.
  mutating func signed(in range: ClosedRange<Int64>) throws(BaselineSnapshotError) -> Int64 {
    let value = try signed()
    guard range.contains(value) else { throw fail("a number is out of its range") }
    return value
  }
  /// How often something happened: so few times that sums of them stay numbers.
  mutating func tally() throws(BaselineSnapshotError) -> UInt64 {
    let value = try unsigned()
    guard value <= 1 << 60 else { throw fail("a count is out of its range") }
    return value
  }
  mutating func flag() throws(BaselineSnapshotError) -> Bool {
    let value = try unsigned()
    guard value <= 1 else { throw fail("a flag is neither 0 nor 1") }
    return value == 1
  }
  mutating func count(atMost limit: Int) throws(BaselineSnapshotError) -> Int {
    let value = try unsigned()
    guard value <= UInt64(limit) else { throw fail("a table has more entries than its limit of \(limit)") }
    return Int(value)
  }
  mutating func text(atMost limit: Int) throws(BaselineSnapshotError) -> [UInt8] {
    let part = try part(atMost: limit)
    return Array(bytes[part.at..<part.end])
  }
  /// A text that is read as a snapshot is.
  mutating func part(atMost limit: Int) throws(BaselineSnapshotError) -> SnapshotReader {
    let count = try count(atMost: limit)
    guard count <= end - at else { throw fail("a text is cut off") }
    defer { at += count }
    return SnapshotReader(bytes, from: at, to: at + count)
  }
  mutating func address() throws(BaselineSnapshotError) -> IPAddress {
    let halves = try fingerprint()
    return IPAddress(v6High: halves.high, low: halves.low)
  }
  mutating func fingerprint() throws(BaselineSnapshotError) -> Fingerprint {
    guard end - at >= 16 else { throw fail("a fingerprint is cut off") }
    let (high, low) = bytes.withUnsafeBytes {
      ($0.loadUnaligned(fromByteOffset: at, as: UInt64.self), $0.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self))
    }
    at += 16
    return Fingerprint(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low))
  }
}
