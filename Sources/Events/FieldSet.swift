// A set of fields, in a few words: many fields are asked for at once.
// What must stay true: as many bits as a field's raw value can need.

@frozen public struct FieldSet: Equatable, Sendable {
  @usableFromInline var a: UInt64 = 0
  @usableFromInline var b: UInt64 = 0
  @usableFromInline var c: UInt64 = 0
  /// Fields that a set can hold.
  @inlinable public static var capacity: Int { 192 }
  @inlinable public init() {}

  @inlinable @inline(__always)
  public func contains(_ field: Field) -> Bool {
    let bit = UInt64(field.rawValue)
    let word = bit < 64 ? a : bit < 128 ? b : c
    return word >> (bit & 63) & 1 == 1
  }
  @inlinable @inline(__always)
  public mutating func insert(_ field: Field) {
    let bit = UInt64(field.rawValue)
    let mark: UInt64 = 1 << (bit & 63)
    if bit < 64 { a |= mark } else if bit < 128 { b |= mark } else { c |= mark }
  }
  @inlinable @inline(__always)
  public mutating func remove(_ field: Field) {
    let bit = UInt64(field.rawValue)
    let mark: UInt64 = 1 << (bit & 63)
    if bit < 64 { a &= ~mark } else if bit < 128 { b &= ~mark } else { c &= ~mark }
  }
  /// A number that most sets differ in, the lowest bits first.
  @inlinable @inline(__always)
  public var mixed: Int { Int(truncatingIfNeeded: ((a &* 0x9e37_79b9_7f4a_7c15 ^ b) &* 0xbf58_476d_1ce4_e5b9 ^ c) &* 0x94d0_49bb_1331_11eb >> 40) }
  @inlinable @inline(__always)
  public func isSubset(of other: FieldSet) -> Bool { (a & ~other.a) | (b & ~other.b) | (c & ~other.c) == 0 }
  @inlinable @inline(__always)
  public mutating func formIntersection(_ other: FieldSet) {
    a &= other.a
    b &= other.b
    c &= other.c
  }
}
