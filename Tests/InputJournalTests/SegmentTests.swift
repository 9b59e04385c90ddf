// The journal's files: what was written is read, whatever ended the writing; and no bytes at all harm the reader.
import Events
import Glibc
import LogParsers
import Primitives
import Testing

@testable import InputJournal

@Suite struct SegmentTests {
  private static let header = SegmentHeader(
    number: 7, engineVersion: "1.2.3", ruleSetHash: "abc", configurationHash: "cd", sequence: 42,
    recordedAt: EventTime(rfc3339: "2026-01-05T00:00:00Z" as String)!, fields: Field.allNames)
  private static let lane = RecordTrial.lane
  private static let incident = RecordTrial.incident

  /// A record in words, so that two can be compared.
  private static func words(_ record: InputRecord, _ event: borrowing Event) -> String {
    switch record {
    case .baseline(let bytes): return "baseline \(bytes.string)"
    case .networkMemory(let bytes): return "network \(bytes.string)"
    case .line(let lane, let offset, let line, let isWarmUp): return "line \(lane) \(offset) \(line.string) \(isWarmUp)"
    case .entry(let lane, let ordinal, let entry, let isWarmUp):
      let texts = EntryFields.all.map { entry[keyPath: $0]?.string ?? "-" }
      return "entry \(lane) \(ordinal) \(texts) \(entry.realtimeMicroseconds ?? -1) \(isWarmUp)"
    case .event(let lane):
      var json = JSONWriter()
      event.writeFields(to: &json)
      return "event \(lane) \(event.time) \(event.origin) \(event.trust) \(event.isTruncated) \(event.raw.string) \(json.out)"
    default: return "\(record)"
    }
  }
  private static func write(_ d: Folder, blocks: Int = 3) throws -> (path: String, lengths: [UInt64]) {
    let writer = try SegmentWriter(directory: d.path, header: header)
    writer.append { $0.lane(lane) }
    writer.append { $0.baseline(Bytes("snapshot")) }
    writer.append { $0.networkMemory(Bytes("memory")) }
    writer.append { $0.incident(incident) }
    writer.flush()
    var lengths = [writer.bytesWritten]
    var offset: UInt64 = 100
    for block in 0..<blocks {
      for n in 0..<50 {
        let line = Array("Jan  5 00:00:01 web01 sshd[\(n)]: Failed password for root from 192.0.2.7 port 4 ssh2 \(block)".utf8)
        writer.append(at: EventTime(seconds: Int64(1000 * block + n))) { encoder in
          line.withUnsafeBytes { encoder.line(lane: 0, offset: offset, $0, isWarmUp: false) }
        }
        offset += UInt64(line.count) + 1
      }
      writer.append { $0.inputTime(lane: 0, EventTime(seconds: 5)) }
      writer.append { $0.mark(sequence: Int64(block)) }
      writer.flush()
      lengths.append(writer.bytesWritten)
    }
    #expect(writer.problem == nil && writer.records == UInt64(4 + 52 * blocks))
    return (writer.path, lengths)
  }
  private static func read(_ path: String) throws -> (words: [String], cut: UInt64) {
    let reader = try SegmentReader(path: path)
    var event = Event()
    var out: [String] = []
    while let record = try reader.next(into: &event) { out.append(words(record, event)) }
    return (out, reader.cutBytes)
  }

  @Test func whatIsWrittenIsRead() throws {
    let d = Folder()
    let writer = try SegmentWriter(directory: d.path, header: Self.header)
    let entry = RecordTrial.entry
    var event = Event()
    RecordTrial.makeEvent(&event)
    let lines: [[UInt8]] = [[], Array("a\u{0}\u{ff}".utf8), [UInt8](repeating: 0x61, count: Limits.lineBytes)]
    writer.append { $0.lane(Self.lane) }
    writer.append { $0.lane(Self.lane) }
    writer.append { $0.incident(Self.incident) }
    for line in lines { line.withUnsafeBytes { line in writer.append { $0.line(lane: 1, offset: .max, line, isWarmUp: true) } } }
    writer.append { $0.entry(lane: 1, ordinal: 3, entry, isWarmUp: false) }
    writer.append { $0.entry(lane: 1, ordinal: 2, JournalEntry(), isWarmUp: true) }
    writer.append { encoder in encoder.event(lane: 0, event) }
    writer.append { $0.expire(lane: 1, .distantPast, isWarmUp: true) }
    writer.append { $0.change("baseline freeze") }
    writer.append { $0.mark(sequence: -1) }
    writer.finish()
    let reader = try SegmentReader(path: writer.path)
    #expect(reader.header == Self.header)
    let read = try Self.read(writer.path)
    var expected = [
      "\(InputRecord.lane(Self.lane))", "\(InputRecord.lane(Self.lane))", "\(InputRecord.incident(Self.incident))",
    ]
    expected += lines.map { "line 1 \(UInt64.max) \(String(decoding: $0, as: UTF8.self)) true" }
    expected += [
      Self.words(.entry(lane: 1, ordinal: 3, entry, isWarmUp: false), event),
      Self.words(.entry(lane: 1, ordinal: 2, JournalEntry(), isWarmUp: true), event),
    ]
    event.origin.source = 0
    expected += [
      Self.words(.event(lane: 0), event), "\(InputRecord.expire(lane: 1, .distantPast, isWarmUp: true))", "\(InputRecord.change("baseline freeze"))",
      "\(InputRecord.mark(sequence: -1))", "\(InputRecord.end)",
    ]
    #expect(read.words == expected)
    #expect(read.cut == 0)
    var mode = stat()
    #expect(stat(writer.path, &mode) == 0 && mode.st_mode & 0o777 == 0o600)
    #expect(throws: InputJournalError.self) { try SegmentWriter(directory: d.path, header: Self.header) }
  }

  @Test func theSpanIsThatOfWhatCouldDecide() throws {
    let d = Folder()
    let span = try SegmentReader.span(path: try Self.write(d).path)
    #expect(span?.oldest == EventTime(seconds: 0) && span?.newest == EventTime(seconds: 2049))
  }

  /// Cut at every byte: the whole blocks before it are read, the rest is counted.
  @Test func aTornTailIsCut() throws {
    let d = Folder()
    let (path, lengths) = try Self.write(d, blocks: 2)
    let bytes = Folder.contents(path)
    let all = try Self.read(path).words
    let counts = [4, 56, 108]
    for length in stride(from: Int(lengths[0]), through: bytes.count, by: 1) {
      d.write(Array(bytes[..<length]), to: "torn")
      let whole = lengths.lastIndex { $0 <= UInt64(length) } ?? 0
      let read = try Self.read(d.path + "/torn")
      #expect(read.words == Array(all[..<counts[whole]]) && read.cut == UInt64(length) - lengths[whole], "\(length)")
    }
    // What a loss of power leaves: a tail of zeros.
    d.write(bytes + [UInt8](repeating: 0, count: 4096), to: "zeros")
    #expect(try Self.read(d.path + "/zeros").words == all)
  }

  /// Every byte changed: an error or fewer records, and nothing worse; and no segment that hides from a range of times.
  @Test func damagedBytesAreNeverTaken() throws {
    let d = Folder()
    let (path, lengths) = try Self.write(d, blocks: 1)
    let bytes = Folder.contents(path)
    let all = try Self.read(path).words
    let span = try #require(try SegmentReader.span(path: path))
    let headerBytes = Self.header.bytes.count
    let starts = [headerBytes, Int(lengths[0])]
    for at in bytes.indices {
      var damaged = bytes
      damaged[at] ^= 0x10
      d.write(damaged, to: "damaged")
      if at < headerBytes || starts.contains(where: { $0..<$0 + BlockHeader.bytes ~= at }) {
        #expect(throws: InputJournalError.self, "byte \(at)") { try SegmentReader.span(path: d.path + "/damaged") }
        #expect(throws: InputJournalError.self, "byte \(at)") { try Self.read(d.path + "/damaged") }
        continue
      }
      let same = try SegmentReader.span(path: d.path + "/damaged")
      #expect(same?.oldest == span.oldest && same?.newest == span.newest, "byte \(at)")
      guard let read = try? Self.read(d.path + "/damaged") else { continue }
      #expect(read.words.count < all.count && read.cut > 0, "byte \(at)")
    }
  }

  @Test func anotherFormatIsRefused() throws {
    let d = Folder()
    var json = Self.header.bytes.dropFirst(12).dropLast(4)
    json.replace("\"format\":2".utf8, with: "\"format\":1".utf8)
    var bytes = Array("PGINPUT1".utf8)
    bytes.append(littleEndian: UInt32(json.count))
    bytes += json
    bytes.append(littleEndian: Array(json).withUnsafeBytes { checksum($0) })
    d.write(bytes, to: "damaged")
    let error = #expect(throws: InputJournalError.self) { try SegmentReader(path: d.path + "/damaged") }
    #expect(error?.reason == "is a segment of format 1, which this version does not read")
  }

  /// Blocks that are well packed and hold anything.
  @Test func hostileRecordsAreErrors() {
    var random = SystemRandomNumberGenerator()
    var event = Event()
    var (records, errors) = (0, 0)
    for round in 0..<3000 {
      var encoder = RecordEncoder()
      encoder.lane(Self.lane)
      RecordTrial.makeEvent(&event)
      encoder.event(lane: 0, event)
      encoder.line(lane: 0, offset: 5, Bytes("line"), isWarmUp: false)
      encoder.incident(Self.incident)
      var bytes = encoder.bytes
      if round % 2 == 0 { bytes = (0..<Int.random(in: 0..<60)).map { _ in UInt8.random(in: 0...(round % 4 == 0 ? 255 : 16), using: &random) } }
      for _ in 0..<Int.random(in: 0..<4) where !bytes.isEmpty { bytes[Int.random(in: bytes.indices)] = .random(in: 0...255) }
      for fields in [Field.allNames, [], ["nonsense"]] {
        var decoder = RecordDecoder(fields: fields)
        bytes.withUnsafeBytes { bytes in
          var at = 0
          do throws(InputJournalError) {
            while at < bytes.count {
              _ = try decoder.next(bytes, at: &at, into: &event)
              records += 1
            }
          } catch { errors += 1 }
        }
      }
    }
    #expect(records > 1000 && errors > 1000)
  }

  /// What there is no room for is not written in part, and nobody else notices.
  @Test func aFullSegmentEndsTheRecording() throws {
    let d = Folder()
    let writer = try SegmentWriter(directory: d.path, header: Self.header)
    writer.append { $0.lane(Self.lane) }
    writer.flush()
    writer.maximumBytes = writer.bytesWritten + 100
    #expect(writer.problem == nil && !writer.isFull)
    for n in 0..<1000 { writer.append { $0.inputTime(lane: 0, EventTime(seconds: Int64(n))) } }
    writer.flush()
    #expect(writer.problem?.reason.contains("is full") == true && writer.isFull)
    writer.append { $0.mark(sequence: 1) }
    writer.finish()
    #expect(writer.lostRecords == 1002)
    let read = try Self.read(writer.path)
    #expect(read.words == ["\(InputRecord.lane(Self.lane))"] && read.cut == 0)
  }

  @Test func filesHaveOneName() {
    #expect(SegmentHeader.fileName(12) == "input-0000000012")
    #expect(SegmentHeader.number(ofFile: SegmentHeader.fileName(.max)) == .max)
    for name in ["input-12", "input-", "input-00000000012", "x", "input-000000001x", "input--000000001"] {
      #expect(SegmentHeader.number(ofFile: name) == nil)
    }
  }
}

/// A directory that is removed with its content.
final class Folder {
  let path: String
  init() {
    var template = Array("/tmp/panguard-input-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { fatalError("mkdtemp") }
    path = String(cString: made)
  }
  deinit {
    for name in ["damaged", "torn", "zeros", SegmentHeader.fileName(7)] { unlink(path + "/" + name) }
    rmdir(path)
  }
  func write(_ bytes: [UInt8], to name: String) {
    let file = open(path + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    _ = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
    close(file)
  }
  static func contents(_ path: String) -> [UInt8] {
    let file = open(path, O_RDONLY)
    defer { close(file) }
    var out = [UInt8](repeating: 0, count: 1 << 20)
    let n = read(file, &out, out.count)
    return Array(out[..<max(0, n)])
  }
}
