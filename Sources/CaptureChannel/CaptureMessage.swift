// The wire form between the process that captures and whoever asked for its events. One way: the capture tells, and is never told.
//
// A message, big-endian:  length u32 (of the whole message) | version u8 | kind u8 | zero u16 | body
//   1 fields     count u16 | names: what the numbers of fields in events mean; first, and only once
//   2 interface  number u16 | name: what the numbers of interfaces mean; numbers go up from 0, one at a time
//   3 event      time i64 (ns) | interface u16 | frame u64 | trust u8 (0 claimed, 1 attested) | cut u8 (0, 1) | count u8 | fields
//      field     number u16, rising | type u8 | value:  0 text u32 + bytes | 1 integer i64 | 2 IPv4 u32 | 3 IPv6 16 bytes
//      0xffff    a field outside the table: name | text u32 + bytes; behind all others
//   4 counters   count u16 | (name | value u64): since the capture began; at least each `Limits.captureHeartbeat`
//   5 notice     text u16 + bytes: a sentence for the operator
//   name         length u8 (1...255) | ASCII, printable
// Names instead of the numbers of one version's table: the two programs may be of different versions for the moment of an upgrade.
// What must stay true: any bytes are a message, the beginning of one or an error; linear; the reader holds at most one message.
import Primitives

public enum CaptureProtocol {
  public static let version: UInt8 = 1
  public static let headerBytes = 8
  static let extraField: UInt16 = 0xffff

  public enum Kind: UInt8, Sendable, CaseIterable { case fields = 1, interface, event, counters, notice }
  enum Value: UInt8 { case text, integer, v4, v6 }

  /// The most bytes that a message of this kind may have.
  static func limit(_ kind: Kind) -> Int {
    switch kind {
    case .fields: headerBytes + 2 + 256 * Limits.captureFieldNames
    case .interface: headerBytes + 2 + 256
    case .event: Limits.captureMessageBytes
    case .counters: headerBytes + 2 + Limits.captureCounters * (256 + 8)
    case .notice: headerBytes + 2 + Limits.captureNoticeBytes
    }
  }
}

/// Why bytes are no message. There is no way to find the next one: the connection is given up.
public enum CaptureProtocolError: Error, Hashable, Sendable, CustomStringConvertible {
  case version(UInt8)
  case kind(UInt8)
  case reserved
  case length(UInt32)
  /// The body is not what its kind says; `offset` is where in the message.
  case body(offset: Int)
  /// Events before the names of their fields, or the names twice.
  case order

  public var description: String {
    switch self {
    case .version(let value): "the capture speaks version \(value), not \(CaptureProtocol.version)"
    case .kind(let value): "unknown kind \(value)"
    case .reserved: "reserved bytes are not zero"
    case .length(let value): "a message of \(value) bytes is not possible for its kind"
    case .body(let offset): "malformed at byte \(offset)"
    case .order: "messages in an order that is not possible"
    }
  }
}
