// The wire form of requests and answers. Pure, total, linear: any bytes are a value, the beginning of one, or an error, and what was read
// is written back to the same bytes.
//
// A frame, big-endian:  length u32 (of the whole frame) | version u8 | kind u8 | zero u16 | id u32 | body
//   network  family u8 (4, 6) | prefix u8 | address 16 bytes (IPv4 in the first four, the rest zero); bits behind the prefix are zero
//   block    network | seconds u32
//   outcome  code u8 | refusal or protected kind u8 | errno u16 | network (all zero where there is none)
//   list     count u32 | that many entries
//   text     count u16 | UTF-8
// A stream socket carries it: a full table is one frame (1.5 MiB) and one transaction of the kernel; a SOCK_SEQPACKET message could not be
// longer than the socket's send buffer (208 KiB by default). The length stands first, so that the reader knows what is missing, and the
// header is checked before the body is waited for.
import Primitives

public enum EnforcerProtocol {
  public static let version: UInt8 = 1
  public static let headerBytes = 12
  static let networkBytes = 18
  static let blockBytes = networkBytes + 4
  static let outcomeBytes = networkBytes + 4
  static let activeBytes = networkBytes + 8
  static let noticeBytes = networkBytes + 2

  /// The most bytes that a body of this request may have; what is longer is refused by its header.
  static func bodyLimit(_ kind: EnforcerRequest.Kind) -> Int {
    switch kind {
    case .block, .reconcile: 4 + Limits.enforcedBlocks * blockBytes
    case .unblock: 4 + Limits.enforcedBlocks * networkBytes
    case .unblockAll, .list, .heartbeat, .status: 0
    }
  }
}

/// Why bytes are no frame. The connection they came from cannot be trusted any more: there is no way to find the next frame.
public enum ProtocolError: Error, Hashable, Sendable, CustomStringConvertible {
  case version(UInt8)
  case kind(UInt8)
  case reserved
  case length(UInt32)
  /// The body is not what its kind says; `offset` is where in the frame.
  case body(offset: Int)

  public var description: String {
    switch self {
    case .version(let value): "protocol version \(value) is not \(EnforcerProtocol.version)"
    case .kind(let value): "unknown kind \(value)"
    case .reserved: "reserved bytes are not zero"
    case .length(let value): "a frame of \(value) bytes is not possible for this kind"
    case .body(let offset): "malformed at byte \(offset)"
    }
  }
}

/// What the bytes of a connection begin with.
public enum Decoded<Value: Sendable & Equatable>: Sendable, Equatable {
  case value(Value, id: UInt32, consumed: Int)
  /// At least this many bytes in all are needed.
  case incomplete(Int)
  case malformed(ProtocolError)
}

extension EnforcerRequest {
  /// The request that `bytes` begin with.
  public static func decode(_ bytes: Bytes) -> Decoded<EnforcerRequest> {
    decodeFrame(bytes, kind: EnforcerRequest.Kind.init(rawValue:), limit: EnforcerProtocol.bodyLimit) {
      (kind, body) throws(ProtocolError) -> EnforcerRequest in
      switch kind {
      case .block: try .block(body.list(FrameReader.block))
      case .unblock: try .unblock(body.list(FrameReader.network))
      case .unblockAll: .unblockAll
      case .list: .list
      case .reconcile: try .reconcile(body.list(FrameReader.block))
      case .heartbeat: .heartbeat
      case .status: .status
      }
    }
  }

  /// Longer lists than `Limits.enforcedBlocks` give a frame that no enforcer takes.
  public func encoded(id: UInt32) -> [UInt8] {
    var out = FrameWriter(kind: kind.rawValue, id: id)
    switch self {
    case .block(let blocks), .reconcile(let blocks): out.list(blocks) { $0.block($1) }
    case .unblock(let networks): out.list(networks) { $0.network($1) }
    case .unblockAll, .list, .heartbeat, .status: break
    }
    return out.finished()
  }
}

extension EnforcerAnswer {
  /// The answer that `bytes` begin with.
  public static func decode(_ bytes: Bytes) -> Decoded<EnforcerAnswer> {
    decodeFrame(
      bytes, kind: EnforcerAnswer.Kind.init(rawValue:), limit: { _ in Limits.enforcerFrameBytes - EnforcerProtocol.headerBytes }
    ) { (kind, body) throws(ProtocolError) -> EnforcerAnswer in
      switch kind {
      case .outcomes: try .outcomes(body.list(FrameReader.outcome))
      case .unblockedAll: try .unblockedAll(body.u64())
      case .blocks: try .blocks(body.list(FrameReader.active))
      case .reconciled: try .reconciled(ReconcileReport(outcomes: body.list(FrameReader.outcome), strangers: body.list(FrameReader.network)))
      case .alive: try .alive(body.list(FrameReader.notice))
      case .status: try .status(body.status())
      case .unavailable: try .unavailable(body.text())
      }
    }
  }

  public func encoded(id: UInt32) -> [UInt8] {
    var out = FrameWriter(kind: kind.rawValue, id: id)
    switch self {
    case .outcomes(let outcomes): out.list(outcomes) { $0.outcome($1) }
    case .unblockedAll(let count): out.integer(count)
    case .blocks(let blocks): out.list(blocks) { $0.active($1) }
    case .reconciled(let report):
      out.list(report.outcomes) { $0.outcome($1) }
      // Both lists of a full table would not fit one frame; the outcomes answer the request, the strangers are in the audit lines too.
      let room = (Limits.enforcerFrameBytes - out.bytes.count - 4) / EnforcerProtocol.networkBytes
      out.list(report.strangers.prefix(max(0, room))) { $0.network($1) }
    case .alive(let notices): out.list(notices) { $0.notice($1) }
    case .status(let status): out.status(status)
    case .unavailable(let reason): out.text(reason)
    }
    return out.finished()
  }
}

/// One frame of any of our protocols: their headers are the same, their kinds and bodies are not.
package func decodeFrame<Kind, Value>(
  _ bytes: Bytes, kind kindOf: (UInt8) -> Kind?, limit: (Kind) -> Int, _ read: (Kind, inout FrameReader) throws(ProtocolError) -> Value
) -> Decoded<Value> {
  let header = EnforcerProtocol.headerBytes
  // What is wrong already is said before more is waited for.
  if bytes.count > 4, bytes[4] != EnforcerProtocol.version { return .malformed(.version(bytes[4])) }
  guard bytes.count >= header else { return .incomplete(header) }
  guard let kind = kindOf(bytes[5]) else { return .malformed(.kind(bytes[5])) }
  guard bytes[6] == 0, bytes[7] == 0 else { return .malformed(.reserved) }
  let length = bytes.loadUnaligned(as: UInt32.self).bigEndian
  guard length >= UInt32(header), length <= UInt32(header + limit(kind)) else { return .malformed(.length(length)) }
  guard bytes.count >= Int(length) else { return .incomplete(Int(length)) }
  let id = bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self).bigEndian
  var reader = FrameReader(bytes.upTo(Int(length)), at: header)
  do throws(ProtocolError) {
    let value = try read(kind, &reader)
    guard reader.isAtEnd else { return .malformed(.body(offset: reader.at)) }
    return .value(value, id: id, consumed: Int(length))
  } catch {
    return .malformed(error)
  }
}
