// The wire form of requests and answers (frames: `FrameProtocol`). Pure, total, linear.
//   deliver   name | name (the key) | count u32 | that many bytes
//   name      text, see UplinkName
//   refused   reason u8
//   outcomes  count u32 | that many of: name | attempts u32 | text
//   status    one u64 for each counter | count u32 | that many of: name | waiting u32 | text
//   text      count u16 | UTF-8
import FrameProtocol
import Primitives

public enum UplinkFrame {
  /// The most bytes of one answer, header included: a full list of outcomes.
  public static let answerBytes = Frame.headerBytes + 4 + Limits.collectedOutcomes * (2 + UplinkName.longest + 4 + 2 + Limits.uplinkTextBytes)

  /// The most bytes that a body of this request may have; what is longer is refused by its header.
  static func bodyLimit(_ kind: UplinkRequest.Kind) -> Int {
    switch kind {
    case .deliver: 2 * (2 + UplinkName.longest) + 4 + Limits.webhookBodyBytes
    case .collect, .status: 0
    }
  }
}

extension UplinkRequest: FrameRequest {
  /// The request that `bytes` begin with.
  public static func decode(_ bytes: Bytes) -> DecodedFrame<UplinkRequest> {
    decodeFrame(bytes, kind: UplinkRequest.Kind.init(rawValue:), limit: UplinkFrame.bodyLimit) {
      (kind, body) throws(FrameError) -> UplinkRequest in
      switch kind {
      case .deliver: try .deliver(webhook: body.name(), key: body.name(), body: body.data(atMost: Limits.webhookBodyBytes))
      case .collect: .collect
      case .status: .status
      }
    }
  }

  /// A delivery with names that are none, or with a longer body, gives a frame that no uplink takes.
  public func encoded(id: UInt32) -> [UInt8] {
    var out = FrameWriter(kind: kind.rawValue, id: id)
    if case .deliver(let webhook, let key, let body) = self {
      out.text(webhook)
      out.text(key)
      out.data(body)
    }
    return out.finished()
  }
}

extension UplinkAnswer: FrameAnswer {
  /// The answer that `bytes` begin with.
  public static func decode(_ bytes: Bytes) -> DecodedFrame<UplinkAnswer> {
    decodeFrame(bytes, kind: UplinkAnswer.Kind.init(rawValue:), limit: { _ in UplinkFrame.answerBytes - Frame.headerBytes }) {
      (kind, body) throws(FrameError) -> UplinkAnswer in
      switch kind {
      case .accepted: .accepted
      case .refused: try .refused(body.refusal())
      case .outcomes:
        try .outcomes(
          body.list(atMost: Limits.collectedOutcomes) { body throws(FrameError) in
            try DeliveryOutcome(key: body.name(), attempts: body.integer(UInt32.self), failure: body.text(atMost: Limits.uplinkTextBytes))
          })
      case .status: try .status(body.uplinkStatus())
      }
    }
  }

  /// At most `Limits.collectedOutcomes` outcomes, and `Limits.webhooks` webhooks; what is beyond is left out.
  public func encoded(id: UInt32) -> [UInt8] {
    var out = FrameWriter(kind: kind.rawValue, id: id)
    switch self {
    case .accepted: break
    case .refused(let refusal): out.integer(refusal.rawValue)
    case .outcomes(let outcomes):
      out.list(outcomes.prefix(Limits.collectedOutcomes)) {
        $0.text($1.key)
        $0.integer($1.attempts)
        $0.text($1.failure, atMost: Limits.uplinkTextBytes)
      }
    case .status(let status):
      for counter in UplinkStatus.counters { out.integer(status[keyPath: counter.path]) }
      out.list(status.webhooks.prefix(Limits.webhooks)) {
        $0.text($1.name)
        $0.integer($1.waiting)
        $0.text($1.problem, atMost: Limits.uplinkTextBytes)
      }
    }
    return out.finished()
  }
}

extension FrameReader {
  fileprivate mutating func name() throws(FrameError) -> String {
    let failure = failure
    let name = try text(atMost: UplinkName.longest)
    guard UplinkName.isValid(name.utf8) else { throw failure }
    return name
  }
  fileprivate mutating func refusal() throws(FrameError) -> DeliveryRefusal {
    let failure = failure
    guard let refusal = DeliveryRefusal(rawValue: try integer(UInt8.self)) else { throw failure }
    return refusal
  }
  fileprivate mutating func uplinkStatus() throws(FrameError) -> UplinkStatus {
    var out = UplinkStatus()
    for counter in UplinkStatus.counters { out[keyPath: counter.path] = try u64() }
    out.webhooks = try list(atMost: Limits.webhooks) { body throws(FrameError) in
      try WebhookStatus(name: body.name(), waiting: body.integer(UInt32.self), problem: body.text(atMost: Limits.uplinkTextBytes))
    }
    return out
  }
}
