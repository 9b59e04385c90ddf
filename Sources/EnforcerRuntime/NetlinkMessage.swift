// Netlink messages as bytes: written with their lengths filled in afterwards, read with every length checked. Pure.
// Layout: netlink(7). Headers are in host order, nf_tables values in network order; everything is padded to four bytes.
import CNetlink
import Primitives

/// Messages one after the other.
struct NetlinkWriter {
  private(set) var bytes: [UInt8] = []
  private var message = 0

  /// Begins a message: what was written before is whole.
  mutating func begin(type: UInt16, flags: UInt16, sequence: UInt32) {
    finish()
    message = bytes.count
    host(UInt32(0))
    host(type)
    host(flags)
    host(sequence)
    host(UInt32(0))  // the kernel
  }
  mutating func finish() {
    guard bytes.count > message else { return }
    put(UInt32(bytes.count - message), at: message)
  }
  mutating func host<Value: FixedWidthInteger>(_ value: Value) { withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) } }
  mutating func big<Value: FixedWidthInteger>(_ value: Value) { host(value.bigEndian) }
  mutating func raw(_ value: [UInt8]) { bytes.append(contentsOf: value) }

  mutating func attribute(_ type: UInt32, isNested: Bool = false, _ body: (inout NetlinkWriter) -> Void) {
    let start = bytes.count
    host(UInt16(0))
    host(UInt16(truncatingIfNeeded: type) | (isNested ? UInt16(NLA_F_NESTED) : 0))
    body(&self)
    put(UInt16(bytes.count - start), at: start)
    while bytes.count % 4 != 0 { bytes.append(0) }
  }
  mutating func nested(_ type: UInt32, _ body: (inout NetlinkWriter) -> Void) { attribute(type, isNested: true, body) }
  mutating func text(_ type: UInt32, _ text: String) { attribute(type) { $0.raw(Array(text.utf8) + [0]) } }
  mutating func big32(_ type: UInt32, _ value: UInt32) { attribute(type) { $0.big(value) } }
  mutating func big64(_ type: UInt32, _ value: UInt64) { attribute(type) { $0.big(value) } }

  private mutating func put<Value: FixedWidthInteger>(_ value: Value, at place: Int) {
    withUnsafeBytes(of: value) { for (i, byte) in $0.enumerated() { bytes[place + i] = byte } }
  }
}

/// One message of a datagram.
struct NetlinkMessage {
  let type: UInt16
  let flags: UInt16
  let sequence: UInt32
  /// Without the netlink header.
  let body: Bytes

  static let headerBytes = 16

  /// The errno of an NLMSG_ERROR (0: an acknowledgement).
  var errorCode: Int32? {
    guard type == UInt16(NLMSG_ERROR), body.count >= 4 else { return nil }
    return 0 &- body.loadUnaligned(as: Int32.self)
  }
  var isDone: Bool { type == UInt16(NLMSG_DONE) }

  /// Attributes after a header of `offset` bytes.
  func attributes(after offset: Int) -> NetlinkAttributes { NetlinkAttributes(body.from((offset + 3) / 4 * 4)) }
}

/// The messages of one datagram; stops where a length cannot be.
struct NetlinkMessages: Sequence, IteratorProtocol {
  private var rest: Bytes
  init(_ bytes: Bytes) { rest = bytes }

  mutating func next() -> NetlinkMessage? {
    guard rest.count >= NetlinkMessage.headerBytes else { return nil }
    let length = Int(rest.loadUnaligned(as: UInt32.self))
    guard length >= NetlinkMessage.headerBytes, length <= rest.count else { return nil }
    defer { rest = rest.from((length + 3) / 4 * 4) }
    return NetlinkMessage(
      type: rest.loadUnaligned(fromByteOffset: 4, as: UInt16.self), flags: rest.loadUnaligned(fromByteOffset: 6, as: UInt16.self),
      sequence: rest.loadUnaligned(fromByteOffset: 8, as: UInt32.self), body: rest.slice(NetlinkMessage.headerBytes, length))
  }
}

/// Attributes one after the other; stops where a length cannot be.
struct NetlinkAttributes: Sequence, IteratorProtocol {
  private var rest: Bytes
  init(_ bytes: Bytes) { rest = bytes }

  mutating func next() -> (type: UInt32, value: Bytes)? {
    guard rest.count >= 4 else { return nil }
    let length = Int(rest.loadUnaligned(as: UInt16.self))
    guard length >= 4, length <= rest.count else { return nil }
    defer { rest = rest.from((length + 3) / 4 * 4) }
    let type = rest.loadUnaligned(fromByteOffset: 2, as: UInt16.self) & 0x3fff  // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
    return (UInt32(type), rest.slice(4, length))
  }
  func first(_ type: UInt32) -> Bytes? {
    for attribute in self where attribute.type == type { return attribute.value }
    return nil
  }
}

extension UnsafeRawBufferPointer {
  /// The whole as a number in network order; nil where it has another size.
  func bigEndian<Value: FixedWidthInteger>(_ type: Value.Type) -> Value? {
    count == MemoryLayout<Value>.size ? Value(bigEndian: loadUnaligned(as: type)) : nil
  }
  /// Four or sixteen bytes in network order.
  var address: IPAddress? {
    if let v4 = bigEndian(UInt32.self) { return IPAddress(v4: v4) }
    guard count == 16, let high = upTo(8).bigEndian(UInt64.self), let low = from(8).bigEndian(UInt64.self) else { return nil }
    return IPAddress(v6High: high, low: low)
  }
}
