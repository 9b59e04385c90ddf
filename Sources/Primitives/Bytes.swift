// Scanning raw bytes. Everything here is total and linear: any input gives a value or nil, never a trap.
// A `Bytes` is borrowed memory: it is valid only as long as its owner (an `Event`, a read buffer) says so.
import CLinux
import Glibc

/// Borrowed, immutable bytes. Always rebased: index 0 is the first byte.
public typealias Bytes = UnsafeRawBufferPointer

extension UnsafeRawBufferPointer {
  /// The bytes of a literal. The memory is static: it is never freed.
  @inlinable
  public init(_ literal: StaticString) {
    self.init(start: literal.utf8Start, count: literal.utf8CodeUnitCount)
  }

  @inlinable
  public static var none: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

  /// The bytes in `[from, to)`, clamped to what there is.
  @inlinable @inline(__always)
  public func slice(_ from: Int, _ to: Int) -> Bytes {
    let low = Swift.max(0, Swift.min(from, count))
    let high = Swift.max(low, Swift.min(to, count))
    guard high > low, let base = baseAddress else { return .none }
    return Bytes(start: base + low, count: high - low)
  }
  @inlinable @inline(__always)
  public func from(_ index: Int) -> Bytes { slice(index, count) }
  @inlinable @inline(__always)
  public func upTo(_ index: Int) -> Bytes { slice(0, index) }

  @inlinable @inline(__always)
  public func starts(with literal: StaticString) -> Bool {
    let n = literal.utf8CodeUnitCount
    guard count >= n else { return false }
    return n == 0 || memcmp(baseAddress!, literal.utf8Start, n) == 0
  }
  @inlinable @inline(__always)
  public func ends(with literal: StaticString) -> Bool {
    let n = literal.utf8CodeUnitCount
    guard count >= n else { return false }
    return n == 0 || memcmp(baseAddress! + (count - n), literal.utf8Start, n) == 0
  }
  @inlinable @inline(__always)
  public func equals(_ literal: StaticString) -> Bool {
    count == literal.utf8CodeUnitCount && starts(with: literal)
  }
  @inlinable @inline(__always)
  public func equals(_ other: Bytes) -> Bool {
    count == other.count && (count == 0 || memcmp(baseAddress!, other.baseAddress!, count) == 0)
  }

  /// Index of the first `byte` at or after `from`.
  @inlinable @inline(__always)
  public func index(of byte: UInt8, from: Int = 0) -> Int? {
    guard from >= 0, from < count, let base = baseAddress else { return nil }
    guard let hit = memchr(base + from, Int32(byte), count - from) else { return nil }
    return UnsafeRawPointer(hit) - base
  }
  /// Index of the last `byte` before `end`.
  @inline(__always)
  public func lastIndex(of byte: UInt8, before end: Int = .max) -> Int? {
    let n = Swift.min(end, count)
    guard n > 0, let base = baseAddress else { return nil }
    guard let hit = pg_memrchr(base, Int32(byte), n) else { return nil }
    return UnsafeRawPointer(hit) - base
  }
  /// Index of the first occurrence of `needle` at or after `from`.
  @inline(__always)
  public func index(of needle: StaticString, from: Int = 0) -> Int? { index(of: Bytes(needle), from: from) }
  public func index(of needle: Bytes, from: Int = 0) -> Int? {
    guard from >= 0, needle.count > 0, count - from >= needle.count, let base = baseAddress else { return nil }
    guard let hit = pg_memmem(base + from, count - from, needle.baseAddress!, needle.count) else { return nil }
    return UnsafeRawPointer(hit) - base
  }
  /// Index of the last occurrence of `needle`.
  public func lastIndex(of needle: StaticString) -> Int? {
    let n = needle.utf8CodeUnitCount
    guard n > 0, count >= n, let base = baseAddress else { return nil }
    let last = needle.utf8Start[n - 1]
    var end = count
    while let hit = lastIndex(of: last, before: end), hit >= n - 1 {
      if memcmp(base + (hit - n + 1), needle.utf8Start, n) == 0 { return hit - n + 1 }
      end = hit
    }
    return nil
  }

  public func contains(_ needle: StaticString) -> Bool { index(of: needle) != nil }

  @inlinable
  public var trimmed: Bytes {
    var low = 0
    var high = count
    while low < high, self[low] == 0x20 || self[low] == 0x09 { low += 1 }
    while high > low, self[high - 1] == 0x20 || self[high - 1] == 0x09 || self[high - 1] == 0x0d { high -= 1 }
    return slice(low, high)
  }

  /// The whole slice as an unsigned decimal: digits only, 1 to 19 of them.
  @inlinable
  public var decimal: Int64? {
    guard count > 0, count <= 19 else { return nil }
    var value: UInt64 = 0
    for byte in self {
      let digit = byte &- 0x30
      guard digit <= 9 else { return nil }
      value = value &* 10 &+ UInt64(digit)
    }
    return value <= UInt64(Int64.max) ? Int64(value) : nil
  }

  /// For people and for tests only: invalid UTF-8 becomes U+FFFD.
  public var string: String { String(decoding: self, as: UTF8.self) }
}

/// Total cursor over borrowed bytes, for formats read from left to right.
@frozen
public struct ByteCursor {
  public let bytes: Bytes
  public var position: Int
  @inlinable
  public init(_ bytes: Bytes, at position: Int = 0) {
    self.bytes = bytes
    self.position = position
  }
  @inlinable @inline(__always) public var isAtEnd: Bool { position >= bytes.count }
  @inlinable @inline(__always) public var rest: Bytes { bytes.from(position) }
  @inlinable @inline(__always) public var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  @inlinable @inline(__always)
  public mutating func skip(_ literal: StaticString) -> Bool {
    guard rest.starts(with: literal) else { return false }
    position += literal.utf8CodeUnitCount
    return true
  }
  @inlinable @inline(__always)
  public mutating func skip(byte: UInt8) -> Bool {
    guard peek == byte else { return false }
    position += 1
    return true
  }
  @inlinable @inline(__always)
  public mutating func skipSpaces() { while peek == 0x20 || peek == 0x09 { position += 1 } }

  /// Bytes up to `byte`, which is consumed but not returned; nil (and no move) if it does not occur.
  @inlinable @inline(__always)
  public mutating func take(until byte: UInt8) -> Bytes? {
    guard let end = bytes.index(of: byte, from: position) else { return nil }
    defer { position = end + 1 }
    return bytes.slice(position, end)
  }
  public mutating func take(until literal: StaticString) -> Bytes? {
    guard let end = bytes.index(of: literal, from: position) else { return nil }
    defer { position = end + literal.utf8CodeUnitCount }
    return bytes.slice(position, end)
  }
  /// An unsigned decimal of at most `maxDigits` digits.
  @inlinable @inline(__always)
  public mutating func takeDecimal(maxDigits: Int = 18) -> Int64? {
    var value: Int64 = 0
    var end = position
    while end < bytes.count, end - position < maxDigits, maxDigits <= 18 {
      let digit = bytes[end] &- 0x30
      guard digit <= 9 else { break }
      value = value &* 10 &+ Int64(digit)
      end += 1
    }
    guard end > position else { return nil }
    position = end
    return value
  }
}

extension Array where Element == UInt8 {
  @inline(__always)
  public mutating func append(_ literal: StaticString) {
    append(contentsOf: UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
  }
  /// Appends what `write` puts into memory on the stack; it returns how many bytes that were, at most `capacity`.
  @inlinable @inline(__always)
  public mutating func append(atMost capacity: Int, _ write: (UnsafeMutablePointer<UInt8>) -> Int) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: capacity) { text in
      guard let base = text.baseAddress else { return }
      append(contentsOf: UnsafeBufferPointer(start: base, count: Swift.min(capacity, write(base))))
    }
  }
  @inline(__always)
  public mutating func append(_ bytes: Bytes) { append(contentsOf: bytes) }
  @inline(__always)
  public mutating func append(_ string: String) { append(contentsOf: string.utf8) }
  public mutating func append(decimal value: Int64) {
    if value < 0 { append(0x2d) }
    append(decimal: value.magnitude, minimumDigits: 1)
  }
  /// `value` in decimal, left-padded with zeros.
  public mutating func append(decimal value: UInt64, minimumDigits: Int) {
    var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)  // 24 bytes of scratch
    Swift.withUnsafeMutableBytes(of: &digits) { scratch in
      var at = 24
      var rest = value
      repeat {
        at -= 1
        scratch[at] = UInt8(truncatingIfNeeded: 0x30 + rest % 10)
        rest /= 10
      } while rest > 0
      while 24 - at < minimumDigits, at > 0 {
        at -= 1
        scratch[at] = 0x30
      }
      append(contentsOf: UnsafeRawBufferPointer(rebasing: scratch[at..<24]))
    }
  }
}
