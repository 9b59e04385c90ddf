// The data of resource records as text, close to the presentation form of each type's RFC; what has no reader is hexadecimal, cut at
// `Limits.dnsOpaqueBytes`.
// What must stay true: nothing is read outside the record, except names, whose pointers go anywhere before them.
import Primitives

enum DNSRecordData {
  /// Appends the text of `length` bytes at `at`, which lie in the message, to `scratch.data`.
  static func append(_ reader: DNSReader, _ type: UInt16, _ at: Int, _ length: Int, to scratch: DNSScratch) {
    let data = reader.message.slice(at, at + length)
    switch type {
    case 1 where length == 4: IPAddress(v4: data.u32(at: 0)).append(to: &scratch.data)
    case 28 where length == 16: address(data, 0).append(to: &scratch.data)
    case 2, 5, 12, 39: name(reader, at, length, scratch)
    case 15 where length >= 3, 18 where length >= 3, 36 where length >= 3:
      number(UInt64(data.u16(at: 0)), scratch)
      name(reader, at + 2, length - 2, scratch)
    case 33 where length >= 7:
      for i in 0..<3 { number(UInt64(data.u16(at: 2 * i)), scratch) }
      name(reader, at + 6, length - 6, scratch)
    case 6: startOfAuthority(reader, at, length, scratch)
    case 16, 99: strings(data, scratch)
    case 257 where length >= 2: authorisation(data, scratch)
    case 64 where length >= 3, 65 where length >= 3: serviceBinding(reader, at, length, scratch)
    default: opaque(data, scratch)
    }
  }

  static func address(_ data: Bytes, _ at: Int) -> IPAddress {
    IPAddress(
      v6High: UInt64(data.u32(at: at)) << 32 | UInt64(data.u32(at: at + 4)), low: UInt64(data.u32(at: at + 8)) << 32 | UInt64(data.u32(at: at + 12)))
  }
  private static func number(_ value: UInt64, _ scratch: DNSScratch) {
    scratch.data.append(decimal: value, minimumDigits: 1)
    scratch.data.append(0x20)
  }
  /// A name that must end inside the record. Returns the offset behind it.
  @discardableResult
  private static func name(_ reader: DNSReader, _ at: Int, _ length: Int, _ scratch: DNSScratch) -> Int? {
    scratch.name.removeAll(keepingCapacity: true)
    guard let end = reader.name(at: at, scratch), end <= at + length else {
      opaque(reader.message.slice(at, at + length), scratch)
      return nil
    }
    if scratch.name.isEmpty { scratch.data.append(0x2e) } else { scratch.data.append(contentsOf: scratch.name) }
    return end
  }
  private static func startOfAuthority(_ reader: DNSReader, _ at: Int, _ length: Int, _ scratch: DNSScratch) {
    guard let second = name(reader, at, length, scratch) else { return }
    scratch.data.append(0x20)
    guard let end = name(reader, second, at + length - second, scratch), end + 20 <= at + length else { return }
    for i in 0..<5 {
      scratch.data.append(0x20)
      scratch.data.append(decimal: UInt64(reader.message.u32(at: end + 4 * i)), minimumDigits: 1)
    }
  }
  /// The strings of one TXT record are one text (RFC 7208 3.3).
  private static func strings(_ data: Bytes, _ scratch: DNSScratch) {
    var reader = ByteReader(data)
    while let text = reader.vector8() { scratch.data.append(text) }
  }
  private static func authorisation(_ data: Bytes, _ scratch: DNSScratch) {
    var reader = ByteReader(data)
    guard let flags = reader.u8(), let tag = reader.vector8() else { return opaque(data, scratch) }
    number(UInt64(flags), scratch)
    scratch.data.append(tag)
    scratch.data.append(0x20)
    scratch.data.append(reader.rest)
  }

  // MARK: SVCB and HTTPS (RFC 9460)

  private static func serviceBinding(_ reader: DNSReader, _ at: Int, _ length: Int, _ scratch: DNSScratch) {
    number(UInt64(reader.message.u16(at: at)), scratch)
    guard let end = name(reader, at + 2, length - 2, scratch) else { return }
    var parameters = ByteReader(reader.message.slice(end, at + length))
    while let key = parameters.u16(), let value = parameters.vector16() {
      scratch.data.append(0x20)
      append(key: key, scratch)
      scratch.data.append(0x3d)
      append(value: value, key, scratch)
    }
  }
  private static let keys: [StaticString] = ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath"]
  private static func append(key: UInt16, _ scratch: DNSScratch) {
    if Int(key) < keys.count { return scratch.data.append(keys[Int(key)]) }
    scratch.data.append("key" as StaticString)
    scratch.data.append(decimal: UInt64(key), minimumDigits: 1)
  }
  private static func append(value: Bytes, _ key: UInt16, _ scratch: DNSScratch) {
    switch key {
    case 1:
      var reader = ByteReader(value)
      var isFirst = true
      while let name = reader.vector8() {
        if !isFirst { scratch.data.append(0x2c) }
        isFirst = false
        scratch.data.append(name)
      }
    case 3 where value.count == 2: scratch.data.append(decimal: UInt64(value.u16(at: 0)), minimumDigits: 1)
    case 4, 6:
      let size = key == 4 ? 4 : 16
      for i in 0..<min(value.count / size, Limits.dnsAnswers) {
        if i > 0 { scratch.data.append(0x2c) }
        (key == 4 ? IPAddress(v4: value.u32(at: 4 * i)) : address(value, 16 * i)).append(to: &scratch.data)
      }
    default: opaque(value, scratch)
    }
  }

  private static func opaque(_ data: Bytes, _ scratch: DNSScratch) {
    for byte in data.upTo(Limits.dnsOpaqueBytes) {
      scratch.data.append(HexText.digit(byte >> 4))
      scratch.data.append(HexText.digit(byte & 15))
    }
  }
}
