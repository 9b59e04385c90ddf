// The engine's side: what the capture sends is as hostile as the packets it read. Pure; fills an event that the caller owns.
import Events
import Primitives

/// What the bytes of a connection begin with.
public enum CaptureDecoded: Equatable, Sendable {
  /// The event given was filled; `interface` is its place in `interfaces`.
  case event(interface: Int, frame: UInt64)
  case counters([CaptureCounter])
  /// Text for people, at most `Limits.captureNoticeBytes`; valid UTF-8.
  case notice(String)
  /// Names were learned; nothing for the caller to do.
  case learned
  /// At least this many bytes in all are needed.
  case incomplete(Int)
  case malformed(CaptureProtocolError)
}

public struct CaptureCounter: Equatable, Sendable {
  public var name: String
  public var value: UInt64
  public init(_ name: String, _ value: UInt64) {
    self.name = name
    self.value = value
  }
}

/// The state of one connection.
public struct CaptureDecoder: Sendable {
  /// What the numbers of fields mean; nil: a field that this version does not have.
  private var fields: [Field?]?
  /// In the order of their numbers.
  public private(set) var interfaces: [String] = []
  /// Fields of another version, left out of events.
  public private(set) var unknownFields: UInt64 = 0

  public init() {}

  /// The message that `bytes` begin with, and how many bytes it has (0 where there is none). An event's origin has the offset `frame` and
  /// the source 0: the caller knows the source.
  public mutating func next(_ bytes: Bytes, into event: inout Event) -> (CaptureDecoded, consumed: Int) {
    guard bytes.count >= CaptureProtocol.headerBytes else { return (.incomplete(CaptureProtocol.headerBytes), 0) }
    let length = UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self))
    guard bytes[4] == CaptureProtocol.version else { return (.malformed(.version(bytes[4])), 0) }
    guard let kind = CaptureProtocol.Kind(rawValue: bytes[5]) else { return (.malformed(.kind(bytes[5])), 0) }
    guard bytes[6] == 0, bytes[7] == 0 else { return (.malformed(.reserved), 0) }
    guard length >= CaptureProtocol.headerBytes, length <= CaptureProtocol.limit(kind) else { return (.malformed(.length(length)), 0) }
    let count = Int(length)
    guard bytes.count >= count else { return (.incomplete(count), 0) }
    var body = MessageReader(bytes.upTo(count), at: CaptureProtocol.headerBytes)
    do throws(CaptureProtocolError) {
      let decoded: CaptureDecoded
      switch kind {
      case .fields: decoded = try takeFields(&body)
      case .interface: decoded = try takeInterface(&body)
      case .event: decoded = try takeEvent(&body, bytes.upTo(count), &event)
      case .counters: decoded = try takeCounters(&body)
      case .notice: decoded = .notice(try body.sentence())
      }
      guard body.isAtEnd else { throw body.failure }
      return (decoded, count)
    } catch {
      return (.malformed(error), 0)
    }
  }

  private mutating func takeFields(_ body: inout MessageReader) throws(CaptureProtocolError) -> CaptureDecoded {
    guard fields == nil else { throw .order }
    let count = Int(try body.integer(UInt16.self))
    guard count <= Limits.captureFieldNames else { throw body.failure }
    var names: [Field?] = []
    names.reserveCapacity(count)
    var taken: Set<Field> = []
    for _ in 0..<count {
      let field = Field(name: try body.name())
      // Two numbers for one field would make an event that has it twice.
      if let field, !taken.insert(field).inserted { throw body.failure }
      names.append(field)
    }
    fields = names
    return .learned
  }

  private mutating func takeInterface(_ body: inout MessageReader) throws(CaptureProtocolError) -> CaptureDecoded {
    guard Int(try body.integer(UInt16.self)) == interfaces.count, interfaces.count < Limits.captureInterfaces else { throw body.failure }
    interfaces.append(try body.name().string)
    return .learned
  }

  private mutating func takeCounters(_ body: inout MessageReader) throws(CaptureProtocolError) -> CaptureDecoded {
    let count = Int(try body.integer(UInt16.self))
    guard count <= Limits.captureCounters else { throw body.failure }
    var counters: [CaptureCounter] = []
    for _ in 0..<count {
      let name = try body.name().string
      counters.append(CaptureCounter(name, try body.integer(UInt64.self)))
    }
    return .counters(counters)
  }

  private mutating func takeEvent(
    _ body: inout MessageReader, _ message: Bytes, _ event: inout Event
  ) throws(CaptureProtocolError) -> CaptureDecoded {
    guard let fields else { throw .order }
    let time = EventTime(nanoseconds: try body.integer(Int64.self))
    let interface = Int(try body.integer(UInt16.self))
    let frame = try body.integer(UInt64.self)
    let trust = Trust(rawValue: try body.integer(UInt8.self))
    let cut = try body.integer(UInt8.self)
    let count = Int(try body.integer(UInt8.self))
    guard interface < interfaces.count, let trust, cut <= 1 else { throw body.failure }
    // The message is the raw record: texts then lie in the event's own memory, and are not copied again.
    let raw = event.begin(raw: message, origin: EventOrigin(source: 0, offset: frame, length: UInt32(message.count)))
    if raw.count == message.count { body = MessageReader(raw, at: body.at) }
    event.time = time
    event.trust = trust
    if cut == 1 { event.noteTruncation() }
    var last = -1
    for _ in 0..<count {
      let number = try body.integer(UInt16.self)
      if number == CaptureProtocol.extraField {
        last = Int(number)
        let name = try body.name()
        event.setExtra(name, try body.text())
        continue
      }
      guard Int(number) > last, Int(number) < fields.count else { throw body.failure }
      last = Int(number)
      try takeField(fields[Int(number)], &body, &event)
    }
    return .event(interface: interface, frame: frame)
  }

  private mutating func takeField(
    _ field: Field?, _ body: inout MessageReader, _ event: inout Event
  ) throws(CaptureProtocolError) {
    guard let type = CaptureProtocol.Value(rawValue: try body.integer(UInt8.self)) else { throw body.failure }
    let kind: Field.Kind = type == .text ? .text : type == .integer ? .integer : .address
    if let field, field.kind != kind { throw body.failure }
    if field == nil { unknownFields &+= 1 }
    switch type {
    case .text:
      let text = try body.text()
      if let field { event.set(field, text) }
    case .integer:
      let value = try body.integer(Int64.self)
      if let field { event.set(field, value) }
    case .v4:
      let value = try body.integer(UInt32.self)
      if let field { event.set(field, IPAddress(v4: value)) }
    case .v6:
      let high = try body.integer(UInt64.self)
      let address = IPAddress(v6High: high, low: try body.integer(UInt64.self))
      // A mapped address would be another family here than it is there.
      guard !address.isV4 else { throw body.failure }
      if let field { event.set(field, address) }
    }
  }
}

/// The parts of one body, from left to right; throws where they end.
private struct MessageReader {
  let bytes: Bytes
  private(set) var at: Int
  init(_ bytes: Bytes, at: Int) {
    self.bytes = bytes
    self.at = at
  }
  var isAtEnd: Bool { at == bytes.count }
  var failure: CaptureProtocolError { .body(offset: at) }

  mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(CaptureProtocolError) -> Value {
    let size = MemoryLayout<Value>.size
    guard bytes.count - at >= size else { throw failure }
    defer { at += size }
    return Value(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: Value.self))
  }
  private mutating func take(_ count: Int) throws(CaptureProtocolError) -> Bytes {
    guard count >= 0, count <= bytes.count - at else { throw failure }
    defer { at += count }
    return bytes.slice(at, at + count)
  }
  mutating func name() throws(CaptureProtocolError) -> Bytes {
    let count = Int(try integer(UInt8.self))
    let name = try take(count)
    guard count > 0, name.allSatisfy({ (0x21..<0x7f).contains($0) }) else { throw failure }
    return name
  }
  mutating func text() throws(CaptureProtocolError) -> Bytes { try take(Int(try integer(UInt32.self))) }
  mutating func sentence() throws(CaptureProtocolError) -> String {
    let count = Int(try integer(UInt16.self))
    guard count <= Limits.captureNoticeBytes, let text = String(validating: try take(count), as: UTF8.self) else { throw failure }
    return text
  }
}
