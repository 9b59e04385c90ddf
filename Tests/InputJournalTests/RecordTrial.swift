// Any bytes as the records of a block, and as a segment's header. Fuzzing (Tests/Fuzz) and the bounded mutation tests share it.
// What must hold: nothing traps; what was read is written to bytes that are read to the same, and written to the same bytes again; a
// record borrows nothing from outside its block.
import Events
import LogParsers
import Primitives

@testable import InputJournal

enum RecordTrial {
  /// What is wrong with the answer about these bytes; nil: nothing. And how many records they are.
  static func run(_ block: Bytes) -> (problem: String?, records: Int) {
    if let header = try? SegmentHeader(json: Array(block)) { _ = header.bytes }
    guard block.count <= Limits.inputJournalBlockBytes else { return (nil, 0) }
    let (once, count, _) = copy(block)
    let (twice, again, error) = once.withUnsafeBytes { copy($0) }
    if let error { return ("what was written is not read: \(error)", count) }
    if count != again { return ("\(count) records became \(again)", count) }
    return (once == twice ? nil : "what was read of what was written is written differently", count)
  }

  /// Only copied.
  private nonisolated(unsafe) static let fresh = RecordDecoder(fields: Field.allNames)

  /// The records up to the first error, written anew.
  private static func copy(_ block: Bytes) -> (bytes: [UInt8], count: Int, error: InputJournalError?) {
    var decoder = fresh
    var encoder = RecordEncoder()
    var event = Event()
    var (at, count) = (0, 0)
    while at < block.count {
      let before = at
      do throws(InputJournalError) {
        let record = try decoder.next(block, at: &at, into: &event)
        append(record, event, to: &encoder)
      } catch { return (encoder.bytes, count, error) }
      precondition(at > before && at <= block.count)
      count += 1
    }
    return (encoder.bytes, count, nil)
  }
  private static func append(_ record: InputRecord, _ event: borrowing Event, to encoder: inout RecordEncoder) {
    switch record {
    case .lane(let lane): encoder.lane(lane)
    case .baseline(let bytes): encoder.baseline(bytes)
    case .networkMemory(let bytes): encoder.networkMemory(bytes)
    case .incident(let incident): encoder.incident(incident)
    case .inputTime(let lane, let time): encoder.inputTime(lane: lane, time)
    case .line(let lane, let offset, let line, let isWarmUp): encoder.line(lane: lane, offset: offset, line, isWarmUp: isWarmUp)
    case .entry(let lane, let ordinal, let entry, let isWarmUp): encoder.entry(lane: lane, ordinal: ordinal, entry, isWarmUp: isWarmUp)
    case .event(let lane): encoder.event(lane: lane, event)
    case .expire(let lane, let time, let isWarmUp): encoder.expire(lane: lane, time, isWarmUp: isWarmUp)
    case .change(let request): encoder.change(request)
    case .mark(let sequence): encoder.mark(sequence: sequence)
    case .end: encoder.end()
    }
  }

  // MARK: Samples

  static let lane = LaneRecord(
    name: "/var/log/auth.log", format: .auto, inputTime: EventTime(seconds: 1_767_571_200), utcOffsetSeconds: -3600, trust: .attested)
  static let incident = IncidentRecord(
    id: "d0123", revision: 3, matchCount: 1 << 40, firstTime: .zero, lastTime: .distantFuture, action: "block_ip", ruleID: "ATR-2026-90001",
    subject: ["192.0.2.7", "", "s", ""])
  static var entry: JournalEntry {
    var entry = JournalEntry()
    (entry.message, entry.uid, entry.realtimeMicroseconds) = (Bytes("m"), Bytes(""), 1_767_571_200_000_001)
    return entry
  }
  static func makeEvent(_ event: inout Event) {
    event.begin(raw: Bytes("GET /admin from 192.0.2.7"), origin: EventOrigin(source: 3, offset: 17, length: 25))
    event.time = EventTime(seconds: 1_767_571_333)
    event.trust = .attested
    event.set(.urlPath, event.raw.slice(4, 10))
    event.set(.sourceIP, IPAddress(v4: 0xc000_0207))
    event.set(.destinationIP, IPAddress(v6High: 0x2001_0db8 << 32, low: 9))
    event.set(.sourcePort, -5)
    event.set(.eventProvider, "panguard-capture" as StaticString)
    event.setExtra(Bytes("x.y"), Bytes("elsewhere"))
    event.noteTruncation()
  }
  /// Each kind of record: where mutations begin.
  static func seed() -> [UInt8] {
    var encoder = RecordEncoder()
    encoder.lane(lane)
    encoder.lane(LaneRecord(name: "network:eth0", format: .plain, inputTime: .zero, utcOffsetSeconds: 0, trust: .claimed))
    encoder.baseline(Bytes("snapshot"))
    encoder.networkMemory(Bytes("memory"))
    encoder.incident(incident)
    encoder.inputTime(lane: 0, .distantPast)
    for isWarmUp in [true, false] {
      encoder.line(lane: 0, offset: isWarmUp ? .max : 100, Bytes("Failed password for root from 192.0.2.7 port 4 ssh2"), isWarmUp: isWarmUp)
      encoder.entry(lane: 0, ordinal: 7, entry, isWarmUp: isWarmUp)
      encoder.expire(lane: 1, EventTime(seconds: 1_767_571_200), isWarmUp: isWarmUp)
    }
    var event = Event()
    makeEvent(&event)
    encoder.event(lane: 1, event)
    encoder.change("baseline freeze")
    encoder.mark(sequence: -1)
    encoder.end()
    return encoder.bytes
  }
}
