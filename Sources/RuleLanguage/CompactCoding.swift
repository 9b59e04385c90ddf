// Checked rules as bytes, so that a start need not read YAML again: Swift's own Codable over a form without names. Members stand one
// after the other in the order of their declaration; only the cases of enumerations are named.
// What must stay true: what is read back equals what was written, by the same build of the program (the cache's key sees to that);
// bytes that are not of this form are an error, never a trap, whatever they are.
import Primitives

public struct CompactCodingError: Error, Sendable { public var message: String }

public enum CompactCoding {
  public static func encode<T: Encodable>(_ value: T) throws -> [UInt8] {
    let encoder = CompactEncoder()
    try value.encode(to: encoder)
    return encoder.out
  }
  public static func decode<T: Decodable>(_ type: T.Type, from bytes: Bytes) throws -> T {
    let decoder = CompactDecoder(bytes)
    let value = try T(from: decoder)
    guard decoder.at == bytes.count else { throw CompactCodingError(message: "bytes are left over") }
    return value
  }
}

// MARK: Writing

private final class CompactEncoder: Encoder {
  var out: [UInt8] = []
  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }
  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> { KeyedEncodingContainer(Keyed<Key>(encoder: self)) }
  func unkeyedContainer() -> any UnkeyedEncodingContainer { Unkeyed(encoder: self) }
  func singleValueContainer() -> any SingleValueEncodingContainer { Single(encoder: self) }

  /// Zigzag and seven bits a byte: most numbers are small.
  func put(_ value: Int64) {
    var rest = UInt64(bitPattern: value << 1 ^ value >> 63)
    while rest >= 0x80 {
      out.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    out.append(UInt8(rest))
  }
  func put(_ text: String) {
    var copy = text
    copy.withUTF8 {
      put(Int64($0.count))
      out.append(contentsOf: $0)
    }
  }
  func put<T: Encodable>(any value: T) throws {
    switch value {
    case let text as String: put(text)
    case let flag as Bool: out.append(flag ? 1 : 0)
    case let number as any FixedWidthInteger: put(Int64(truncatingIfNeeded: number))
    default: try value.encode(to: self)
    }
  }

  struct Keyed<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let encoder: CompactEncoder
    var codingPath: [any CodingKey] { [] }
    mutating func encodeNil(forKey key: Key) throws { throw CompactCodingError(message: "nil without a type") }
    mutating func encode(_ value: Bool, forKey key: Key) throws { encoder.out.append(value ? 1 : 0) }
    mutating func encode(_ value: String, forKey key: Key) throws { encoder.put(value) }
    mutating func encode(_ value: Int, forKey key: Key) throws { encoder.put(Int64(value)) }
    mutating func encode(_ value: Int64, forKey key: Key) throws { encoder.put(value) }
    mutating func encode<T: Encodable>(_ value: T, forKey key: Key) throws { try encoder.put(any: value) }
    mutating func encodeIfPresent(_ value: Bool?, forKey key: Key) throws { try optional(value) }
    mutating func encodeIfPresent(_ value: String?, forKey key: Key) throws { try optional(value) }
    mutating func encodeIfPresent(_ value: Int?, forKey key: Key) throws { try optional(value) }
    mutating func encodeIfPresent(_ value: Int32?, forKey key: Key) throws { try optional(value) }
    mutating func encodeIfPresent(_ value: Int64?, forKey key: Key) throws { try optional(value) }
    mutating func encodeIfPresent(_ value: UInt8?, forKey key: Key) throws { try optional(value) }
    mutating func encodeIfPresent(_ value: UInt16?, forKey key: Key) throws { try optional(value) }
    mutating func encodeIfPresent(_ value: UInt32?, forKey key: Key) throws { try optional(value) }
    mutating func encodeIfPresent(_ value: UInt64?, forKey key: Key) throws { try optional(value) }
    mutating func encodeIfPresent<T: Encodable>(_ value: T?, forKey key: Key) throws { try optional(value) }
    private func optional<T: Encodable>(_ value: T?) throws {
      encoder.out.append(value == nil ? 0 : 1)
      if let value { try encoder.put(any: value) }
    }
    /// A case of an enumeration.
    mutating func nestedContainer<Nested: CodingKey>(keyedBy keyType: Nested.Type, forKey key: Key) -> KeyedEncodingContainer<Nested> {
      encoder.put(key.stringValue)
      return KeyedEncodingContainer(CompactEncoder.Keyed<Nested>(encoder: encoder))
    }
    mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { Unkeyed(encoder: encoder) }
    mutating func superEncoder() -> any Encoder { encoder }
    mutating func superEncoder(forKey key: Key) -> any Encoder { encoder }
  }

  /// Four bytes say how many elements follow.
  struct Unkeyed: UnkeyedEncodingContainer {
    let encoder: CompactEncoder
    let countAt: Int
    var count = 0
    var codingPath: [any CodingKey] { [] }
    init(encoder: CompactEncoder) {
      self.encoder = encoder
      countAt = encoder.out.count
      encoder.out.append(contentsOf: [0, 0, 0, 0])
    }
    private mutating func note() {
      count += 1
      for i in 0..<4 { encoder.out[countAt + i] = UInt8(truncatingIfNeeded: count >> (8 * i)) }
    }
    mutating func encodeNil() throws { throw CompactCodingError(message: "nil without a type") }
    mutating func encode<T: Encodable>(_ value: T) throws {
      note()
      try encoder.put(any: value)
    }
    mutating func nestedContainer<Nested: CodingKey>(keyedBy keyType: Nested.Type) -> KeyedEncodingContainer<Nested> {
      note()
      return KeyedEncodingContainer(CompactEncoder.Keyed<Nested>(encoder: encoder))
    }
    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
      note()
      return Unkeyed(encoder: encoder)
    }
    mutating func superEncoder() -> any Encoder { encoder }
  }

  struct Single: SingleValueEncodingContainer {
    let encoder: CompactEncoder
    var codingPath: [any CodingKey] { [] }
    mutating func encodeNil() throws { throw CompactCodingError(message: "nil without a type") }
    mutating func encode<T: Encodable>(_ value: T) throws { try encoder.put(any: value) }
  }
}

// MARK: Reading

private final class CompactDecoder: Decoder {
  /// Deeper than any rule: rules nest expressions at most `Limits.expressionDepth` deep, with a few levels around each.
  private static let depthLimit = 8 * Limits.expressionDepth
  let bytes: Bytes
  var at = 0
  var depth = 0
  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }
  init(_ bytes: Bytes) { self.bytes = bytes }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    KeyedDecodingContainer(Keyed<Key>(decoder: self))
  }
  func unkeyedContainer() throws -> any UnkeyedDecodingContainer { try Unkeyed(decoder: self) }
  func singleValueContainer() throws -> any SingleValueDecodingContainer { Single(decoder: self) }

  func byte() throws -> UInt8 {
    guard at < bytes.count else { throw CompactCodingError(message: "cut short") }
    defer { at += 1 }
    return bytes[at]
  }
  func number() throws -> Int64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let next = try byte()
      guard shift < 63 || next <= 1 else { throw CompactCodingError(message: "a number is too long") }
      value |= UInt64(next & 0x7f) << shift
      if next < 0x80 { return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
      shift += 7
    }
  }
  func text() throws -> String {
    let length = try number()
    guard length >= 0, length <= Int64(bytes.count - at) else { throw CompactCodingError(message: "a text is cut short") }
    defer { at += Int(length) }
    return String(decoding: bytes.slice(at, at + Int(length)), as: UTF8.self)
  }
  func flag() throws -> Bool {
    let value = try byte()
    guard value <= 1 else { throw CompactCodingError(message: "not a truth value") }
    return value == 1
  }
  func integer<T: FixedWidthInteger>(_ type: T.Type) throws -> T { T(truncatingIfNeeded: try number()) }
  func any<T: Decodable>(_ type: T.Type) throws -> T {
    if type == String.self { return try text() as! T }
    if type == Int.self { return Int(truncatingIfNeeded: try number()) as! T }
    if type == Bool.self { return try flag() as! T }
    if let integers = type as? any FixedWidthInteger.Type { return try integer(integers) as! T }
    depth += 1
    defer { depth -= 1 }
    guard depth < CompactDecoder.depthLimit else { throw CompactCodingError(message: "nested too deep") }
    return try T(from: self)
  }

  struct Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let decoder: CompactDecoder
    var codingPath: [any CodingKey] { [] }
    /// An enumeration asks which of its cases is there.
    var allKeys: [Key] { (try? decoder.text()).flatMap(Key.init(stringValue:)).map { [$0] } ?? [] }
    func contains(_ key: Key) -> Bool { true }
    func decodeNil(forKey key: Key) throws -> Bool { false }
    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try decoder.flag() }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { try decoder.text() }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { Int(try decoder.number()) }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try decoder.number() }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try decoder.any(type) }
    func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { try optional(type) }
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { try optional(type) }
    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { try optional(type) }
    func decodeIfPresent(_ type: Int32.Type, forKey key: Key) throws -> Int32? { try optional(type) }
    func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? { try optional(type) }
    func decodeIfPresent(_ type: UInt8.Type, forKey key: Key) throws -> UInt8? { try optional(type) }
    func decodeIfPresent(_ type: UInt16.Type, forKey key: Key) throws -> UInt16? { try optional(type) }
    func decodeIfPresent(_ type: UInt32.Type, forKey key: Key) throws -> UInt32? { try optional(type) }
    func decodeIfPresent(_ type: UInt64.Type, forKey key: Key) throws -> UInt64? { try optional(type) }
    func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? { try optional(type) }
    private func optional<T: Decodable>(_ type: T.Type) throws -> T? { try decoder.flag() ? try decoder.any(type) : nil }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) throws -> KeyedDecodingContainer<Nested> {
      KeyedDecodingContainer(CompactDecoder.Keyed<Nested>(decoder: decoder))
    }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { try Unkeyed(decoder: decoder) }
    func superDecoder() throws -> any Decoder { decoder }
    func superDecoder(forKey key: Key) throws -> any Decoder { decoder }
  }

  struct Unkeyed: UnkeyedDecodingContainer {
    let decoder: CompactDecoder
    let count: Int?
    var currentIndex = 0
    var codingPath: [any CodingKey] { [] }
    var isAtEnd: Bool { currentIndex >= count ?? 0 }
    init(decoder: CompactDecoder) throws {
      self.decoder = decoder
      var value = 0
      for i in 0..<4 { value |= Int(try decoder.byte()) << (8 * i) }
      // Each element is at least one byte.
      guard value <= decoder.bytes.count - decoder.at else { throw CompactCodingError(message: "a list is cut short") }
      count = value
    }
    mutating func decodeNil() throws -> Bool { false }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
      guard !isAtEnd else { throw CompactCodingError(message: "a list is too short") }
      currentIndex += 1
      return try decoder.any(type)
    }
    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested> {
      currentIndex += 1
      return KeyedDecodingContainer(CompactDecoder.Keyed<Nested>(decoder: decoder))
    }
    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
      currentIndex += 1
      return try Unkeyed(decoder: decoder)
    }
    mutating func superDecoder() throws -> any Decoder { decoder }
  }

  struct Single: SingleValueDecodingContainer {
    let decoder: CompactDecoder
    var codingPath: [any CodingKey] { [] }
    func decodeNil() -> Bool { false }
    func decode<T: Decodable>(_ type: T.Type) throws -> T { try decoder.any(type) }
  }
}
