// Bytes as records. The bytes may be anything: what is not a record is an error that says where, and nothing traps or is allocated for a
// length that is not there.
import Events
import LogParsers
import Primitives

public struct RecordDecoder {
  private var lanes: [LaneProgress] = []
  /// What the numbers of fields mean; nil: a field that this version does not have.
  private let fields: [Field?]

  /// `fields`: the names of the recording version's fields, in the order of their numbers.
  public init(fields: [String]) { self.fields = fields.map { name in Array(name.utf8).withUnsafeBytes { Field(name: $0) } } }

  /// The record at `position`, which is moved behind it. `event` is filled where the record is one.
  public mutating func next(_ bytes: Bytes, at position: inout Int, into event: inout Event) throws(InputJournalError) -> InputRecord {
    var body = RecordReader(bytes, at: position)
    guard let kind = RecordKind(rawValue: try body.byte()) else { throw body.failure("no kind of record") }
    let record = try self.record(kind, &body, &event)
    position = body.position
    return record
  }

  private mutating func record(
    _ kind: RecordKind, _ body: inout RecordReader, _ event: inout Event
  ) throws(InputJournalError) -> InputRecord {
    switch kind {
    case .lane: return .lane(try takeLane(&body))
    case .baseline: return .baseline(try body.text())
    case .networkMemory: return .networkMemory(try body.text())
    case .incident: return .incident(try takeIncident(&body))
    case .inputTime: return .inputTime(lane: try takeNumber(&body), try body.time())
    case .line, .warmLine:
      let lane = try takeNumber(&body)
      let offset = lanes[lane].nextOffset &+ UInt64(bitPattern: try body.signed())
      let line = try body.text()
      lanes[lane].nextOffset = offset &+ UInt64(line.count) &+ 1
      return .line(lane: lane, offset: offset, line, isWarmUp: kind == .warmLine)
    case .entry, .warmEntry: return try takeEntry(&body, isWarmUp: kind == .warmEntry)
    case .event: return try takeEvent(&body, &event)
    case .expire, .warmExpire: return .expire(lane: try takeNumber(&body), try body.time(), isWarmUp: kind == .warmExpire)
    case .change: return .change(try body.text().string)
    case .mark: return .mark(sequence: try body.signed())
    case .end: return .end
    }
  }

  private mutating func takeLane(_ body: inout RecordReader) throws(InputJournalError) -> LaneRecord {
    let name = try body.text().string
    guard lanes.count < Limits.inputJournalLanes, let format = LogFormat(rawValue: try body.text().string) else {
      throw body.failure("a source that cannot be read")
    }
    let (time, offset) = (try body.time(), try body.signed())
    guard let trust = Trust(rawValue: try body.byte()), offset.magnitude <= 86_400 else { throw body.failure("a source that cannot be read") }
    lanes.append(LaneProgress())
    return LaneRecord(name: name, format: format, inputTime: time, utcOffsetSeconds: offset, trust: trust)
  }
  /// Of a lane that there is.
  private func takeNumber(_ body: inout RecordReader) throws(InputJournalError) -> Int {
    let lane = try body.number()
    guard lane < UInt64(lanes.count) else { throw body.failure("a source that was not named before") }
    return Int(lane)
  }
  private func takeIncident(_ body: inout RecordReader) throws(InputJournalError) -> IncidentRecord {
    let id = try body.text().string
    let (revision, matches) = (try body.signed(), try body.number())
    let (first, last) = (try body.time(), try body.time())
    let (action, rule) = (try body.text().string, try body.text().string)
    var subject: [String] = []
    for _ in 0..<4 { subject.append(try body.text().string) }
    return IncidentRecord(
      id: id, revision: revision, matchCount: matches, firstTime: first, lastTime: last, action: action, ruleID: rule, subject: subject)
  }
  private mutating func takeEntry(_ body: inout RecordReader, isWarmUp: Bool) throws(InputJournalError) -> InputRecord {
    let lane = try takeNumber(&body)
    let ordinal = lanes[lane].nextOffset &+ UInt64(bitPattern: try body.signed())
    lanes[lane].nextOffset = ordinal
    let mask = try body.number()
    guard mask < EntryFields.timeBit << 1 else { throw body.failure("an entry that cannot be read") }
    var entry = JournalEntry()
    for (bit, path) in EntryFields.all.enumerated() where mask & 1 << UInt64(bit) != 0 { entry[keyPath: path] = try body.text() }
    if mask & EntryFields.timeBit != 0 {
      lanes[lane].lastMicroseconds = lanes[lane].lastMicroseconds &+ (try body.signed())
      entry.realtimeMicroseconds = lanes[lane].lastMicroseconds
    }
    return .entry(lane: lane, ordinal: ordinal, entry, isWarmUp: isWarmUp)
  }

  private func takeEvent(_ body: inout RecordReader, _ event: inout Event) throws(InputJournalError) -> InputRecord {
    let lane = try takeNumber(&body)
    let time = try body.time()
    guard let basis = TimeBasis(rawValue: try body.byte()), let trust = Trust(rawValue: try body.byte()) else {
      throw body.failure("an event that cannot be read")
    }
    let isTruncated = try body.byte() != 0
    let offset = try body.number()
    let length = UInt32(truncatingIfNeeded: try body.number())
    let repeatCount = try body.signed()
    let given = try body.text()
    guard given.count <= Limits.lineBytes else { throw body.failure("an event that is too long") }
    let raw = event.begin(raw: given, origin: EventOrigin(source: 0, offset: offset, length: length))
    event.time = time
    event.timeBasis = basis
    event.trust = trust
    event.repeatCount = max(1, repeatCount)
    while case let key = try body.number(), key != EventValue.endOfEvent { try takeField(key, &body, raw, &event) }
    if isTruncated { event.noteTruncation() }
    return .event(lane: lane)
  }
  private func takeField(_ key: UInt64, _ body: inout RecordReader, _ raw: Bytes, _ event: inout Event) throws(InputJournalError) {
    guard let kind = EventValue(rawValue: key & 3), kind == .extra ? key >> 2 == 0 : key >> 2 < UInt64(fields.count) else {
      throw body.failure("a field that cannot be read")
    }
    let field = kind == .extra ? nil : fields[Int(key >> 2)]
    switch kind {
    case .extra:
      let name = try body.text()
      event.setExtra(name, try takePlace(&body, raw))
    case .text:
      let value = try takePlace(&body, raw)
      if let field, field.kind == .text { event.set(field, value) }
    case .integer:
      let value = try body.signed()
      if let field, field.kind == .integer { event.set(field, value) }
    case .address:
      let isV4 = try body.byte() == 4
      let first = try body.number()
      let value = isV4 ? IPAddress(v4: UInt32(truncatingIfNeeded: first)) : IPAddress(v6High: first, low: try body.number())
      if let field, field.kind == .address { event.set(field, value) }
    }
  }
  private func takePlace(_ body: inout RecordReader, _ raw: Bytes) throws(InputJournalError) -> Bytes {
    let place = try body.number()
    guard place > 0 else { return try body.text() }
    let count = try body.number()
    guard place - 1 <= UInt64(raw.count), count <= UInt64(raw.count) - (place - 1) else { throw body.failure("a text outside its event") }
    return raw.slice(Int(place - 1), Int(place - 1 + count))
  }
}

/// The parts of one record, from left to right; throws where they end.
private struct RecordReader {
  private let bytes: Bytes
  private(set) var position: Int
  init(_ bytes: Bytes, at position: Int) {
    self.bytes = bytes
    self.position = position
  }
  func failure(_ what: String) -> InputJournalError { InputJournalError(reason: "\(what) at byte \(position) of a block") }

  mutating func byte() throws(InputJournalError) -> UInt8 {
    guard position < bytes.count else { throw failure("a record without its end") }
    defer { position += 1 }
    return bytes[position]
  }
  mutating func number() throws(InputJournalError) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      let byte = try byte()
      guard shift < 63 || byte <= 1 else { break }
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
    }
    throw failure("a number that is too long")
  }
  mutating func signed() throws(InputJournalError) -> Int64 {
    let value = try number()
    return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
  }
  mutating func time() throws(InputJournalError) -> EventTime { EventTime(nanoseconds: try signed()) }
  mutating func text() throws(InputJournalError) -> Bytes {
    let count = try number()
    guard count <= UInt64(bytes.count - position) else { throw failure("a text without its end") }
    defer { position += Int(count) }
    return bytes.slice(position, position + Int(count))
  }
}
