// Records as bytes: a kind, then numbers of variable length (LEB128, signed ones in zigzag) and texts behind their length.
import Events
import LogParsers
import Primitives

public struct RecordEncoder {
  /// What was encoded since the last `removeAll`.
  public private(set) var bytes: [UInt8] = []
  private var lanes: [LaneProgress] = []

  public init() {}

  public mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  private mutating func begin(_ kind: RecordKind) { bytes.append(kind.rawValue) }
  private mutating func number(_ value: UInt64) {
    var value = value
    while value >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    bytes.append(UInt8(value))
  }
  private mutating func signed(_ value: Int64) { number(UInt64(bitPattern: value << 1 ^ value >> 63)) }
  private mutating func text(_ value: Bytes) {
    number(UInt64(value.count))
    bytes.append(value)
  }
  private mutating func text(_ value: String) {
    number(UInt64(value.utf8.count))
    bytes.append(value)
  }

  public mutating func lane(_ lane: LaneRecord) {
    begin(.lane)
    text(lane.name)
    text(lane.format.rawValue)
    signed(lane.inputTime.nanoseconds)
    signed(lane.utcOffsetSeconds)
    bytes.append(lane.trust.rawValue)
    lanes.append(LaneProgress())
  }
  public mutating func baseline(_ snapshot: Bytes) {
    begin(.baseline)
    text(snapshot)
  }
  public mutating func networkMemory(_ memory: Bytes) {
    begin(.networkMemory)
    text(memory)
  }
  public mutating func incident(_ incident: IncidentRecord) {
    begin(.incident)
    text(incident.id)
    signed(incident.revision)
    number(incident.matchCount)
    signed(incident.firstTime.nanoseconds)
    signed(incident.lastTime.nanoseconds)
    text(incident.action)
    text(incident.ruleID)
    for part in 0..<4 { text(part < incident.subject.count ? incident.subject[part] : "") }
  }
  public mutating func inputTime(lane: Int, _ time: EventTime) {
    begin(.inputTime)
    number(UInt64(lane))
    signed(time.nanoseconds)
  }
  public mutating func line(lane: Int, offset: UInt64, _ line: Bytes, isWarmUp: Bool) {
    begin(isWarmUp ? .warmLine : .line)
    number(UInt64(lane))
    signed(Int64(bitPattern: offset &- lanes[lane].nextOffset))
    text(line)
    lanes[lane].nextOffset = offset &+ UInt64(line.count) &+ 1
  }
  public mutating func entry(lane: Int, ordinal: UInt64, _ entry: JournalEntry, isWarmUp: Bool) {
    begin(isWarmUp ? .warmEntry : .entry)
    number(UInt64(lane))
    signed(Int64(bitPattern: ordinal &- lanes[lane].nextOffset))
    lanes[lane].nextOffset = ordinal
    var mask: UInt64 = entry.realtimeMicroseconds == nil ? 0 : EntryFields.timeBit
    for (bit, path) in EntryFields.all.enumerated() where entry[keyPath: path] != nil { mask |= 1 << UInt64(bit) }
    number(mask)
    for path in EntryFields.all { if let value = entry[keyPath: path] { text(value) } }
    guard let time = entry.realtimeMicroseconds else { return }
    signed(time &- lanes[lane].lastMicroseconds)
    lanes[lane].lastMicroseconds = time
  }
  /// An event as the detector is about to see it. Texts that lie in the raw record are named by their place there.
  public mutating func event(lane: Int, _ event: borrowing Event) {
    begin(.event)
    number(UInt64(lane))
    signed(event.time.nanoseconds)
    bytes.append(event.timeBasis.rawValue)
    bytes.append(event.trust.rawValue)
    bytes.append(event.isTruncated ? 1 : 0)
    number(event.origin.offset)
    number(UInt64(event.origin.length))
    signed(event.repeatCount)
    text(event.raw)
    for field in Field.allCases where event.has(field) {
      if let value = event.text(field) {
        number(UInt64(field.rawValue) << 2 | EventValue.text.rawValue)
        place(value, event.raw)
      } else if let value = event.integer(field) {
        number(UInt64(field.rawValue) << 2 | EventValue.integer.rawValue)
        signed(value)
      } else if let value = event.address(field) {
        number(UInt64(field.rawValue) << 2 | EventValue.address.rawValue)
        bytes.append(value.isV4 ? 4 : 6)
        for half in value.isV4 ? [value.low & 0xffff_ffff] : [value.high, value.low] { number(half) }
      }
    }
    event.forEachExtra { name, value in
      number(EventValue.extra.rawValue)
      text(name)
      place(value, event.raw)
    }
    number(EventValue.endOfEvent)
  }
  /// 0 and the bytes, or one more than the place in `raw` and the length.
  private mutating func place(_ value: Bytes, _ raw: Bytes) {
    if let base = value.baseAddress, let start = raw.baseAddress, value.count > 0, base >= start, base + value.count <= start + raw.count {
      number(UInt64(base - start) + 1)
      number(UInt64(value.count))
    } else {
      number(0)
      text(value)
    }
  }
  public mutating func expire(lane: Int, _ time: EventTime, isWarmUp: Bool) {
    begin(isWarmUp ? .warmExpire : .expire)
    number(UInt64(lane))
    signed(time.nanoseconds)
  }
  public mutating func change(_ request: String) {
    begin(.change)
    text(request)
  }
  public mutating func mark(sequence: Int64) {
    begin(.mark)
    signed(sequence)
  }
  public mutating func end() { begin(.end) }
}

/// What a value of an event is, in the two low bits of its key; the rest of the key is the field's number. Fields outside the table have
/// the key `extra`, and number 0 with the kind `extra` and a number above it ends the event.
enum EventValue: UInt64 {
  case text = 0
  case integer, address, extra
  static let endOfEvent: UInt64 = 1 << 2 | EventValue.extra.rawValue
}
