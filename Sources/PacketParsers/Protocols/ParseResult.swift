// What a parser answers: a value, what is wrong and where, or how much more it needs.
// What must stay true: total; a reader never looks beyond its bytes.
import Primitives

/// Why bytes are not what they began as. The counters are by these words.
public enum ParseReason: UInt8, Sendable, CaseIterable {
  /// A length or a count says more than there is, or more than there may be.
  case length
  /// A value that the format does not have at its place.
  case value
  /// A compressed name that points forward, to itself, or beyond 255 bytes.
  case name
  /// Longer than the limit of what is held for one message.
  case tooLong
  /// Sealed bytes that do not open.
  case seal
  public var name: StaticString {
    switch self {
    case .length: "length"
    case .value: "value"
    case .name: "name"
    case .tooLong: "too_long"
    case .seal: "seal"
    }
  }
}

public struct ParseFailure: Error, Equatable, Sendable {
  /// Byte offset in what the parser was given.
  public var offset: Int
  public var reason: ParseReason
  public init(_ offset: Int, _ reason: ParseReason) {
    self.offset = offset
    self.reason = reason
  }
}

public enum ParseResult<Value> {
  case value(Value)
  case failure(ParseFailure)
  /// At least so many bytes, counted from the start of what the parser was given.
  case incomplete(needed: Int)
}

/// Big-endian numbers and counted bytes, from left to right. A method that answers nil has not moved.
struct ByteReader {
  let bytes: Bytes
  private(set) var at = 0
  init(_ bytes: Bytes) { self.bytes = bytes }
  init(_ bytes: Bytes, at: Int) {
    self.bytes = bytes
    self.at = max(0, min(at, bytes.count))
  }
  var left: Int { bytes.count - at }
  var rest: Bytes { bytes.from(at) }
  @inline(__always)
  mutating func u8() -> UInt8? {
    guard at < bytes.count else { return nil }
    defer { at += 1 }
    return bytes[at]
  }
  @inline(__always)
  mutating func u16() -> UInt16? {
    guard bytes.count - at >= 2 else { return nil }
    defer { at += 2 }
    return UInt16(bytes[at]) << 8 | UInt16(bytes[at + 1])
  }
  @inline(__always)
  mutating func u24() -> Int? {
    guard bytes.count - at >= 3 else { return nil }
    defer { at += 3 }
    return Int(bytes[at]) << 16 | Int(bytes[at + 1]) << 8 | Int(bytes[at + 2])
  }
  @inline(__always)
  mutating func u32() -> UInt32? {
    guard bytes.count - at >= 4 else { return nil }
    defer { at += 4 }
    return UInt32(bytes[at]) << 24 | UInt32(bytes[at + 1]) << 16 | UInt32(bytes[at + 2]) << 8 | UInt32(bytes[at + 3])
  }
  @inline(__always)
  mutating func take(_ count: Int) -> Bytes? {
    guard count >= 0, bytes.count - at >= count else { return nil }
    defer { at += count }
    return bytes.slice(at, at + count)
  }
  /// Bytes behind their own count of one, two or three bytes.
  mutating func vector8() -> Bytes? {
    guard at < bytes.count, bytes.count - at - 1 >= Int(bytes[at]) else { return nil }
    let count = Int(bytes[at])
    at += 1
    return take(count)
  }
  mutating func vector16() -> Bytes? {
    let start = at
    guard let count = u16(), let value = take(Int(count)) else {
      at = start
      return nil
    }
    return value
  }
  mutating func vector24() -> Bytes? {
    let start = at
    guard let count = u24(), let value = take(count) else {
      at = start
      return nil
    }
    return value
  }
}

extension UnsafeRawBufferPointer {
  /// The number at `offset`, which the caller knows to be there.
  @inline(__always)
  func u16(at offset: Int) -> UInt16 { UInt16(self[offset]) << 8 | UInt16(self[offset + 1]) }
  @inline(__always)
  func u32(at offset: Int) -> UInt32 { UInt32(u16(at: offset)) << 16 | UInt32(u16(at: offset + 2)) }
}
