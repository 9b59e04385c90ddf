// The wire form of requests and answers. Pure, total, linear: any bytes are a value, the beginning of one, or an error, and what was read
// is written back to the same bytes.
//
// A frame, big-endian:  length u32 (of the whole frame) | version u8 | kind u8 | zero u16 | id u32 | body
//   deliver   name | name (the key) | count u32 | that many bytes
//   name      count u8 | that many bytes of UplinkName
//   refused   reason u8
//   outcomes  count u32 | that many of: name | attempts u32 | text
//   status    one u64 for each counter | count u32 | that many of: name | waiting u32 | text
//   text      count u16 | UTF-8
// The length stands first, so that the reader knows what is missing, and the header is checked before the body is waited for.
import Primitives

public enum UplinkFrame {
  public static let version: UInt8 = 1
  public static let headerBytes = 12
  /// The most bytes of one answer, header included: a full list of outcomes.
  public static let answerBytes = headerBytes + 4 + Limits.collectedOutcomes * (1 + UplinkName.longest + 4 + 2 + Limits.uplinkTextBytes)

  /// The most bytes that a body of this request may have; what is longer is refused by its header.
  static func bodyLimit(_ kind: UplinkRequest.Kind) -> Int {
    switch kind {
    case .deliver: 2 * (1 + UplinkName.longest) + 4 + Limits.webhookBodyBytes
    case .collect, .status: 0
    }
  }
}

/// Why bytes are no frame. The connection they came from cannot be trusted any more: there is no way to find the next frame.
public enum UplinkFrameError: Error, Hashable, Sendable, CustomStringConvertible {
  case version(UInt8)
  case kind(UInt8)
  case reserved
  case length(UInt32)
  /// The body is not what its kind says; `offset` is where in the frame.
  case body(offset: Int)

  public var description: String {
    switch self {
    case .version(let value): "protocol version \(value) is not \(UplinkFrame.version)"
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
  case malformed(UplinkFrameError)
}

extension UplinkRequest {
  /// The request that `bytes` begin with.
  public static func decode(_ bytes: Bytes) -> DecodedFrame<UplinkRequest> {
    decodeFrame(bytes, kind: UplinkRequest.Kind.init(rawValue:), limit: UplinkFrame.bodyLimit) {
      (kind, body) throws(UplinkFrameError) -> UplinkRequest in
      switch kind {
      case .deliver: try .deliver(webhook: body.name(), key: body.name(), body: body.bytes(atMost: Limits.webhookBodyBytes))
      case .collect: .collect
      case .status: .status
      }
    }
  }

  /// A delivery with names that are none, or with a longer body, gives a frame that no uplink takes.
  public func encoded(id: UInt32) -> [UInt8] {
    var out = FrameWriter(kind: kind.rawValue, id: id)
    if case .deliver(let webhook, let key, let body) = self {
      out.name(webhook)
      out.name(key)
      out.integer(UInt32(truncatingIfNeeded: body.count))
      out.append(body)
    }
    return out.finished()
  }
}

extension UplinkAnswer {
  /// The answer that `bytes` begin with.
  public static func decode(_ bytes: Bytes) -> DecodedFrame<UplinkAnswer> {
    decodeFrame(bytes, kind: UplinkAnswer.Kind.init(rawValue:), limit: { _ in UplinkFrame.answerBytes - UplinkFrame.headerBytes }) {
      (kind, body) throws(UplinkFrameError) -> UplinkAnswer in
      switch kind {
      case .accepted: .accepted
      case .refused: try .refused(body.refusal())
      case .outcomes:
        try .outcomes(
          body.list(atMost: Limits.collectedOutcomes) { body throws(UplinkFrameError) in
            try DeliveryOutcome(key: body.name(), attempts: body.integer(UInt32.self), failure: body.text())
          })
      case .status: try .status(body.status())
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
        $0.name($1.key)
        $0.integer($1.attempts)
        $0.text($1.failure)
      }
    case .status(let status):
      for counter in UplinkStatus.counters { out.integer(status[keyPath: counter.path]) }
      out.list(status.webhooks.prefix(Limits.webhooks)) {
        $0.name($1.name)
        $0.integer($1.waiting)
        $0.text($1.problem)
      }
    }
    return out.finished()
  }
}

private func decodeFrame<Kind, Value>(
  _ bytes: Bytes, kind kindOf: (UInt8) -> Kind?, limit: (Kind) -> Int, _ read: (Kind, inout FrameReader) throws(UplinkFrameError) -> Value
) -> DecodedFrame<Value> {
  let header = UplinkFrame.headerBytes
  // What is wrong already is said before more is waited for.
  if bytes.count > 4, bytes[4] != UplinkFrame.version { return .malformed(.version(bytes[4])) }
  guard bytes.count >= header else { return .incomplete(header) }
  guard let kind = kindOf(bytes[5]) else { return .malformed(.kind(bytes[5])) }
  guard bytes[6] == 0, bytes[7] == 0 else { return .malformed(.reserved) }
  let length = bytes.loadUnaligned(as: UInt32.self).bigEndian
  guard length >= UInt32(header), length <= UInt32(header + limit(kind)) else { return .malformed(.length(length)) }
  guard bytes.count >= Int(length) else { return .incomplete(Int(length)) }
  let id = bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self).bigEndian
  var reader = FrameReader(bytes.upTo(Int(length)), at: header)
  do throws(UplinkFrameError) {
    let value = try read(kind, &reader)
    guard reader.isAtEnd else { return .malformed(.body(offset: reader.at)) }
    return .value(value, id: id, consumed: Int(length))
  } catch {
    return .malformed(error)
  }
}

/// Throws where the bytes end or are not in the one form that a value has.
private struct FrameReader {
  private let frame: Bytes
  private(set) var at: Int
  init(_ frame: Bytes, at: Int) {
    self.frame = frame
    self.at = at
  }
  var isAtEnd: Bool { at == frame.count }
  private var failure: UplinkFrameError { .body(offset: at) }

  mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(UplinkFrameError) -> Value {
    let size = MemoryLayout<Value>.size
    guard frame.count - at >= size else { throw failure }
    defer { at += size }
    return Value(bigEndian: frame.loadUnaligned(fromByteOffset: at, as: Value.self))
  }
  private mutating func take(_ count: Int) throws(UplinkFrameError) -> Bytes {
    guard count <= frame.count - at else { throw failure }
    defer { at += count }
    return frame.slice(at, at + count)
  }
  mutating func name() throws(UplinkFrameError) -> String {
    let start = failure
    let bytes = try take(Int(try integer(UInt8.self)))
    guard UplinkName.isValid(bytes) else { throw start }
    return String(decoding: bytes, as: UTF8.self)
  }
  mutating func bytes(atMost limit: Int) throws(UplinkFrameError) -> [UInt8] {
    let count = Int(try integer(UInt32.self))
    guard count <= limit else { throw failure }
    return Array(try take(count))
  }
  mutating func text() throws(UplinkFrameError) -> String {
    let count = Int(try integer(UInt16.self))
    guard count <= Limits.uplinkTextBytes, let text = String(validating: try take(count), as: UTF8.self) else { throw failure }
    return text
  }
  mutating func refusal() throws(UplinkFrameError) -> DeliveryRefusal {
    let start = failure
    guard let refusal = DeliveryRefusal(rawValue: try integer(UInt8.self)) else { throw start }
    return refusal
  }
  /// The entries must fill the frame: a count cannot ask for more memory than the sender paid for.
  mutating func list<Element>(
    atMost limit: Int, _ read: (inout FrameReader) throws(UplinkFrameError) -> Element
  ) throws(UplinkFrameError) -> [Element] {
    let count = Int(try integer(UInt32.self))
    guard count <= limit, count <= frame.count - at else { throw failure }
    var out: [Element] = []
    out.reserveCapacity(count)
    for _ in 0..<count { out.append(try read(&self)) }
    return out
  }
  mutating func status() throws(UplinkFrameError) -> UplinkStatus {
    var out = UplinkStatus()
    for counter in UplinkStatus.counters { out[keyPath: counter.path] = try integer(UInt64.self) }
    out.webhooks = try list(atMost: Limits.webhooks) { body throws(UplinkFrameError) in
      try WebhookStatus(name: body.name(), waiting: body.integer(UInt32.self), problem: body.text())
    }
    return out
  }
}

private struct FrameWriter {
  private var bytes: [UInt8]
  init(kind: UInt8, id: UInt32) {
    bytes = [0, 0, 0, 0, UplinkFrame.version, kind, 0, 0]
    integer(id)
  }
  func finished() -> [UInt8] {
    var out = bytes
    withUnsafeBytes(of: UInt32(truncatingIfNeeded: out.count).bigEndian) { length in for i in 0..<4 { out[i] = length[i] } }
    return out
  }

  mutating func append(_ more: [UInt8]) { bytes.append(contentsOf: more) }
  mutating func integer<Value: FixedWidthInteger>(_ value: Value) { withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) } }
  mutating func name(_ name: String) {
    integer(UInt8(truncatingIfNeeded: name.utf8.count))
    bytes.append(contentsOf: name.utf8)
  }
  mutating func text(_ text: String) {
    var cut = text
    while cut.utf8.count > Limits.uplinkTextBytes { cut.unicodeScalars.removeLast() }
    integer(UInt16(truncatingIfNeeded: cut.utf8.count))
    bytes.append(contentsOf: cut.utf8)
  }
  mutating func list<List: Collection>(_ entries: List, _ write: (inout FrameWriter, List.Element) -> Void) {
    integer(UInt32(truncatingIfNeeded: entries.count))
    for entry in entries { write(&self, entry) }
  }
}
