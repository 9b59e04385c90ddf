// The frames in which Panguard's programs ask each other: one header for all protocols, kinds and bodies of each one's own. Pure, total,
// linear: any bytes are a value, the beginning of one, or an error, and what was read is written back to the same bytes.
//
// Big-endian:  length u32 (of the whole frame) | version u8 | kind u8 | zero u16 | id u32 | body
// A stream socket carries it: a full table of blocks is one frame (1.5 MiB) and one transaction of the kernel; a SOCK_SEQPACKET message could
// not be longer than the socket's send buffer (208 KiB by default). The length stands first, so that the reader knows what is missing, and the
// header is checked before the body is waited for.
import Primitives

public enum Frame {
  public static let version: UInt8 = 1
  public static let headerBytes = 12
}

/// Why bytes are no frame. The connection they came from cannot be trusted any more: there is no way to find the next frame.
public enum FrameError: Error, Hashable, Sendable, CustomStringConvertible {
  case version(UInt8)
  case kind(UInt8)
  case reserved
  case length(UInt32)
  /// The body is not what its kind says; `offset` is where in the frame.
  case body(offset: Int)

  public var description: String {
    switch self {
    case .version(let value): "protocol version \(value) is not \(Frame.version)"
    case .kind(let value): "unknown kind \(value)"
    case .reserved: "reserved bytes are not zero"
    case .length(let value): "a frame of \(value) bytes is not possible for this kind"
    case .body(let offset): "malformed at byte \(offset)"
    }
  }
}

/// What the bytes of a connection begin with.
public enum DecodedFrame<Value: Sendable & Equatable>: Sendable, Equatable {
  case value(Value, id: UInt32, consumed: Int)
  /// At least this many bytes in all are needed.
  case incomplete(Int)
  case malformed(FrameError)
}

public protocol FrameRequest: Sendable, Equatable {
  func encoded(id: UInt32) -> [UInt8]
  static func decode(_ bytes: Bytes) -> DecodedFrame<Self>
}
public protocol FrameAnswer: Sendable, Equatable {
  func encoded(id: UInt32) -> [UInt8]
  static func decode(_ bytes: Bytes) -> DecodedFrame<Self>
}

/// `kind`: which kind a byte is; `limit`: the most bytes that a body of it may have; what is longer is refused by its header.
package func decodeFrame<Kind, Value>(
  _ bytes: Bytes, kind kindOf: (UInt8) -> Kind?, limit: (Kind) -> Int, _ read: (Kind, inout FrameReader) throws(FrameError) -> Value
) -> DecodedFrame<Value> {
  let header = Frame.headerBytes
  // What is wrong already is said before more is waited for.
  if bytes.count > 4, bytes[4] != Frame.version { return .malformed(.version(bytes[4])) }
  guard bytes.count >= header else { return .incomplete(header) }
  guard let kind = kindOf(bytes[5]) else { return .malformed(.kind(bytes[5])) }
  guard bytes[6] == 0, bytes[7] == 0 else { return .malformed(.reserved) }
  let length = bytes.loadUnaligned(as: UInt32.self).bigEndian
  guard length >= UInt32(header), length <= UInt32(header + limit(kind)) else { return .malformed(.length(length)) }
  guard bytes.count >= Int(length) else { return .incomplete(Int(length)) }
  let id = bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self).bigEndian
  var reader = FrameReader(bytes.upTo(Int(length)), at: header)
  do throws(FrameError) {
    let value = try read(kind, &reader)
    guard reader.isAtEnd else { return .malformed(.body(offset: reader.at)) }
    return .value(value, id: id, consumed: Int(length))
  } catch {
    return .malformed(error)
  }
}
