// A segment is one file: eight bytes that say what it is, a header in JSON, blocks. It begins at a cold start, that is, before the first
// input of a new pipeline, so that whoever begins there needs nothing from before: what the pipeline was given (lanes, baseline, open
// incidents, the lines it warmed up with) are the segment's first records.
//
//     "PGINPUT1"  length of the header (4)  header  CRC-32 of the header (4)
//     block: length (4)  length unpacked (4)  CRC-32 unpacked (4)  oldest, newest event time (8 each)  CRC-32 of these 28 bytes (4)
//            raw deflate, flushed
//
// Numbers are little-endian. The blocks are one deflate stream that is flushed at the end of each: a block that is there whole can be read
// whatever became of the next one. A record never lies in two blocks.
import CZlib
import Primitives

public struct SegmentHeader: Equatable, Sendable {
  /// Counts the segments of one journal, from 1.
  public var number: UInt64
  public var engineVersion: String
  /// As of `Provenance`.
  public var ruleSetHash: String
  public var configurationHash: String
  /// The last sequence number of the decision log when the segment began.
  public var sequence: Int64
  /// When it began, by the host's clock.
  public var recordedAt: EventTime
  /// The names of the recording version's fields, in the order of their numbers.
  public var fields: [String]
  public init(
    number: UInt64, engineVersion: String, ruleSetHash: String, configurationHash: String, sequence: Int64, recordedAt: EventTime, fields: [String]
  ) {
    self.number = number
    self.engineVersion = engineVersion
    self.ruleSetHash = ruleSetHash
    self.configurationHash = configurationHash
    self.sequence = sequence
    self.recordedAt = recordedAt
    self.fields = fields
  }

  static let magic: StaticString = "PGINPUT1"
  /// 2: the head of a block has a checksum of its own. Segments of another format are refused: which times they speak of cannot be known.
  static let format: Int64 = 2

  /// The file of segment `number` in a journal's directory, and back.
  public static func fileName(_ number: UInt64) -> String {
    let digits = String(number)
    return "input-" + String(repeating: "0", count: max(0, 10 - digits.count)) + digits
  }
  public static func number(ofFile name: String) -> UInt64? {
    guard name.hasPrefix("input-"), let number = UInt64(name.dropFirst(6)), fileName(number) == name else { return nil }
    return number
  }

  /// With the magic number, length and checksum.
  var bytes: [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    func text(_ key: StaticString, _ value: String) {
      json.key(key)
      json.value(value)
    }
    json.key("format")
    json.value(SegmentHeader.format)
    json.key("segment")
    json.value(number)
    text("start", "cold")
    text("engine_version", engineVersion)
    text("rule_set_hash", ruleSetHash)
    text("configuration_hash", configurationHash)
    json.key("sequence")
    json.value(sequence)
    json.key("recorded_at")
    json.value(recordedAt)
    json.key("fields")
    json.beginArray()
    for field in fields { json.value(field) }
    json.endArray()
    json.endObject()
    var out: [UInt8] = []
    out.append(SegmentHeader.magic)
    out.append(littleEndian: UInt32(json.out.count))
    out += json.out
    out.append(littleEndian: json.out.withUnsafeBytes { checksum($0) })
    return out
  }

  /// From the header's JSON. Versions, hashes and names of fields need no escapes.
  init(json bytes: [UInt8]) throws(InputJournalError) {
    self.init(
      number: 0, engineVersion: "", ruleSetHash: "", configurationHash: "", sequence: 0, recordedAt: .distantPast, fields: [])
    var format: Int64 = 0
    var start = ""
    do {
      try bytes.withUnsafeBytes { bytes in try JSONMembers.forEach(of: bytes) { try take($0.string, $1, &format, &start) } }
    } catch { throw InputJournalError(reason: "its header cannot be read: \(error)") }
    guard format == SegmentHeader.format, start == "cold" else {
      throw InputJournalError(reason: "is a segment of format \(format), which this version does not read")
    }
  }
  private mutating func take(_ key: String, _ value: Bytes, _ format: inout Int64, _ start: inout String) throws {
    let text = value.count >= 2 && value[0] == 0x22 ? value.slice(1, value.count - 1) : value
    switch key {
    case "format": format = text.decimal ?? 0
    case "start": start = text.string
    case "segment": number = UInt64(clamping: text.decimal ?? 0)
    case "engine_version": engineVersion = text.string
    case "rule_set_hash": ruleSetHash = text.string
    case "configuration_hash": configurationHash = text.string
    case "sequence": sequence = text.decimal ?? 0
    case "recorded_at": recordedAt = EventTime(rfc3339: text) ?? .distantPast
    case "fields":
      fields = try JSONMembers.elements(of: value).prefix(Limits.captureFieldNames).map { $0.slice(1, max(1, $0.count - 1)).string }
    default: break
    }
  }
}

/// What stands in front of each block.
struct BlockHeader {
  static let bytes = 32
  var count: UInt32
  var plainCount: UInt32
  var checksum: UInt32
  /// Of the events in it that could decide something; `distantFuture` and `distantPast` where there is none.
  var oldest: EventTime
  var newest: EventTime

  func append(to out: inout [UInt8]) {
    let start = out.count
    out.append(littleEndian: count)
    out.append(littleEndian: plainCount)
    out.append(littleEndian: checksum)
    out.append(littleEndian: oldest.nanoseconds)
    out.append(littleEndian: newest.nanoseconds)
    out.append(littleEndian: out.withUnsafeBytes { InputJournal.checksum($0.slice(start, $0.count)) })
  }
  /// Whether `bytes` hold one.
  enum Reading {
    case whole(BlockHeader)
    /// Its end was never written: zeros are what some file systems leave after a loss of power.
    case unwritten
    case damaged
  }
  static func read(_ bytes: Bytes) -> Reading {
    guard bytes.count == BlockHeader.bytes else { return .unwritten }
    let (own, actual): (UInt32, UInt32) = (bytes.littleEndian(at: 28), InputJournal.checksum(bytes.upTo(28)))
    guard own == actual else { return own == 0 ? .unwritten : .damaged }
    let head = BlockHeader(
      count: bytes.littleEndian(at: 0), plainCount: bytes.littleEndian(at: 4), checksum: bytes.littleEndian(at: 8),
      oldest: EventTime(nanoseconds: bytes.littleEndian(at: 12)), newest: EventTime(nanoseconds: bytes.littleEndian(at: 20)))
    let isPossible = head.count > 0 && head.plainCount > 0 && max(head.count, head.plainCount) <= UInt32(Limits.inputJournalBlockBytes)
    return isPossible ? .whole(head) : .damaged
  }
  init(count: UInt32, plainCount: UInt32, checksum: UInt32, oldest: EventTime, newest: EventTime) {
    self.count = count
    self.plainCount = plainCount
    self.checksum = checksum
    self.oldest = oldest
    self.newest = newest
  }
}

func checksum(_ bytes: Bytes) -> UInt32 {
  UInt32(truncatingIfNeeded: crc32(0, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), uInt(bytes.count)))
}

extension [UInt8] {
  mutating func append<Value: FixedWidthInteger>(littleEndian value: Value) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}
extension Bytes {
  func littleEndian<Value: FixedWidthInteger & BitwiseCopyable>(at offset: Int) -> Value {
    Value(littleEndian: loadUnaligned(fromByteOffset: offset, as: Value.self))
  }
}
