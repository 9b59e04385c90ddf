// SipHash-2-4 with 128 bits of output (Aumasson, Bernstein 2012; the reference C code's 128-bit variant), fixed key.
// A fingerprint that is the same on every machine: it names raw lines in evidence and long texts in group keys.
// It is not a cryptographic hash; what must resist an adversary who may choose both inputs uses SHA-256.

public struct Fingerprint: Codable, Hashable, Sendable, Comparable, CustomStringConvertible {
  public var high: UInt64
  public var low: UInt64
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }
  public static func < (a: Fingerprint, b: Fingerprint) -> Bool { (a.high, a.low) < (b.high, b.low) }

  public init(of bytes: Bytes, key: (UInt64, UInt64) = (0, 0)) {
    var v0 = key.0 ^ 0x736f_6d65_7073_6575
    var v1 = key.1 ^ 0x646f_7261_6e64_6f6d ^ 0xee
    var v2 = key.0 ^ 0x6c79_6765_6e65_7261
    var v3 = key.1 ^ 0x7465_6462_7974_6573
    @inline(__always) func rotate(_ x: UInt64, _ n: UInt64) -> UInt64 { x << n | x >> (64 - n) }
    @inline(__always) func round() {
      v0 = v0 &+ v1
      v1 = rotate(v1, 13) ^ v0
      v0 = rotate(v0, 32)
      v2 = v2 &+ v3
      v3 = rotate(v3, 16) ^ v2
      v0 = v0 &+ v3
      v3 = rotate(v3, 21) ^ v0
      v2 = v2 &+ v1
      v1 = rotate(v1, 17) ^ v2
      v2 = rotate(v2, 32)
    }
    let whole = bytes.count & ~7
    var at = 0
    while at < whole {
      let m = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
      v3 ^= m
      round()
      round()
      v0 ^= m
      at += 8
    }
    var last = UInt64(truncatingIfNeeded: bytes.count) << 56
    var shift: UInt64 = 0
    while at < bytes.count {
      last |= UInt64(bytes[at]) << shift
      shift += 8
      at += 1
    }
    v3 ^= last
    round()
    round()
    v0 ^= last
    v2 ^= 0xee
    for _ in 0..<4 { round() }
    low = v0 ^ v1 ^ v2 ^ v3
    v1 ^= 0xdd
    for _ in 0..<4 { round() }
    high = v0 ^ v1 ^ v2 ^ v3
  }

  /// 32 lower-case hexadecimal digits.
  public var description: String {
    var out: [UInt8] = []
    append(to: &out)
    return String(decoding: out, as: UTF8.self)
  }
  public func append(to out: inout [UInt8]) {
    out.append(atMost: Fingerprint.textBytes, write)
  }
  static let textBytes = 32
  /// The same into memory for `textBytes`. Returns their number.
  @inline(__always)
  func write(_ text: UnsafeMutablePointer<UInt8>) -> Int {
    let target = UnsafeMutableRawPointer(text)
    target.storeBytes(of: hexadecimalDigits(high >> 32).bigEndian, as: UInt64.self)
    target.storeBytes(of: hexadecimalDigits(high & 0xffff_ffff).bigEndian, toByteOffset: 8, as: UInt64.self)
    target.storeBytes(of: hexadecimalDigits(low >> 32).bigEndian, toByteOffset: 16, as: UInt64.self)
    target.storeBytes(of: hexadecimalDigits(low & 0xffff_ffff).bigEndian, toByteOffset: 24, as: UInt64.self)
    return Fingerprint.textBytes
  }
  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard bytes.count == 32 else { return nil }
    var halves: (UInt64, UInt64) = (0, 0)
    for (i, byte) in bytes.enumerated() {
      guard let digit = hexDigit(byte) else { return nil }
      if i < 16 { halves.0 = halves.0 << 4 | UInt64(digit) } else { halves.1 = halves.1 << 4 | UInt64(digit) }
    }
    high = halves.0
    low = halves.1
  }
}

/// The eight hexadecimal digits of `value` (32 bits) as ASCII, the first in the highest byte.
@inline(__always)
private func hexadecimalDigits(_ value: UInt64) -> UInt64 {
  var x = (value << 16 | value) & 0x0000_ffff_0000_ffff
  x = (x << 8 | x) & 0x00ff_00ff_00ff_00ff
  x = (x << 4 | x) & 0x0f0f_0f0f_0f0f_0f0f
  let isLetter = (x &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
  return x &+ 0x3030_3030_3030_3030 &+ isLetter &* 0x27
}
