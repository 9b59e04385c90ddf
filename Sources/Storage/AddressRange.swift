// An address or network as the range of what it covers, in bytes whose order is the order of addresses: SQLite compares blobs so.
// Invariant: 17 bytes, the family (4 or 6) and the address in 128 bits; ranges of different families never overlap.
import Primitives

struct AddressRange {
  var low: [UInt8]
  var high: [UInt8]

  init(_ network: CIDR) {
    low = AddressRange.bytes(network.base)
    high = low
    let hostBits = (network.base.isV4 ? 32 : 128) - network.prefixLength
    for bit in 0..<hostBits { high[16 - bit / 8] |= 1 << UInt8(bit % 8) }
  }

  private static func bytes(_ address: IPAddress) -> [UInt8] {
    var out: [UInt8] = [address.isV4 ? 4 : 6]
    for half in [address.high, address.low] {
      for shift in stride(from: UInt64(56), through: 0, by: -8) { out.append(UInt8(truncatingIfNeeded: half >> shift)) }
    }
    return out
  }

  /// First addresses of all networks that contain `network`, itself included.
  static func containers(of network: CIDR) -> [[UInt8]] {
    var out: [[UInt8]] = []
    for length in 0...network.prefixLength {
      let base = bytes(CIDR(network.base, prefixLength: length).base)
      if base != out.last { out.append(base) }
    }
    return out
  }
}
