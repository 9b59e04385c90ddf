// The wire form of requests and answers (frames: `FrameProtocol`). Pure, total, linear.
//   network  family u8 (4, 6) | prefix u8 | address 16 bytes (IPv4 in the first four, the rest zero); bits behind the prefix are zero
//   block    network | seconds u32
//   outcome  code u8 | refusal or protected kind u8 | errno u16 | network (all zero where there is none)
//   list     count u32 | that many entries
//   text     count u16 | UTF-8
import FrameProtocol
import Primitives

enum EnforcerFrame {
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

extension EnforcerRequest: FrameRequest {
  /// The request that `bytes` begin with.
  public static func decode(_ bytes: Bytes) -> DecodedFrame<EnforcerRequest> {
    decodeFrame(bytes, kind: EnforcerRequest.Kind.init(rawValue:), limit: EnforcerFrame.bodyLimit) {
      (kind, body) throws(FrameError) -> EnforcerRequest in
      switch kind {
      case .block: try .block(body.list(atMost: Limits.enforcedBlocks, FrameReader.block))
      case .unblock: try .unblock(body.list(atMost: Limits.enforcedBlocks, FrameReader.network))
      case .unblockAll: .unblockAll
      case .list: .list
      case .reconcile: try .reconcile(body.list(atMost: Limits.enforcedBlocks, FrameReader.block))
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

extension EnforcerAnswer: FrameAnswer {
  /// The answer that `bytes` begin with.
  public static func decode(_ bytes: Bytes) -> DecodedFrame<EnforcerAnswer> {
    decodeFrame(
      bytes, kind: EnforcerAnswer.Kind.init(rawValue:), limit: { _ in Limits.enforcerFrameBytes - Frame.headerBytes }
    ) { (kind, body) throws(FrameError) -> EnforcerAnswer in
      switch kind {
      case .outcomes: try .outcomes(body.list(atMost: Limits.enforcedBlocks, FrameReader.outcome))
      case .unblockedAll: try .unblockedAll(body.u64())
      case .blocks: try .blocks(body.list(atMost: Limits.enforcedBlocks, FrameReader.active))
      case .reconciled:
        try .reconciled(
          ReconcileReport(
            outcomes: body.list(atMost: Limits.enforcedBlocks, FrameReader.outcome),
            strangers: body.list(atMost: Limits.enforcedBlocks, FrameReader.network)))
      case .alive: try .alive(body.list(atMost: Limits.enforcedBlocks, FrameReader.notice))
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
      let room = (Limits.enforcerFrameBytes - out.bytes.count - 4) / EnforcerFrame.networkBytes
      out.list(report.strangers.prefix(max(0, room))) { $0.network($1) }
    case .alive(let notices): out.list(notices) { $0.notice($1) }
    case .status(let status): out.status(status)
    case .unavailable(let reason): out.text(reason)
    }
    return out.finished()
  }
}
