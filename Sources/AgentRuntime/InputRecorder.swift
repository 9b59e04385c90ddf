// The recording of one agent: a segment that begins with it, and when it is time for the next one. A segment begins at a cold start, so an
// agent whose segment has grown too long or too old makes way for another one with the same rules and configuration, as a reload does.
// What must stay true: nobody who can make this host log much ends the recording; what ends it (a full disk) ends it until there is room again.
import Events
import Glibc
import InputJournal
import Primitives

/// Whether an operator wants the input recorded; outlives the agents of a process.
public final class RecordingSwitch {
  /// nil: the configuration decides.
  var isOn: Bool?
  /// Segments that were removed to make room, and records that earlier agents could not write, since the process began.
  var removedSegments: UInt64 = 0
  var lostRecords: UInt64 = 0
  /// When what is wanted could not be recorded, or was last tried again; nil: it is recorded, or not wanted.
  private var failedAt: Int64?
  /// Why not; told already.
  private(set) var problem: String?
  public init() {}

  var isWaiting: Bool { failedAt != nil }
  /// Nothing is recorded because of `cause`. True: it was not told yet.
  func fail(_ cause: String) -> Bool {
    failedAt = failedAt ?? MonotonicTime.now()
    defer { problem = cause }
    return problem != cause
  }
  /// It is recorded, or not wanted any more.
  func endWaiting() { (failedAt, problem) = (nil, nil) }
  /// After a failure: a segment could begin and has room for its share, and it was not tried just now.
  func mayTryAgain(_ configuration: Configuration, state: String) -> Bool {
    let clock = MonotonicTime.now()
    guard let failedAt, clock - failedAt >= Limits.inputJournalRetry.count else { return false }
    self.failedAt = clock
    return InputJournalFiles(state: state).obstacle(room: InputRecorder.share(configuration)) == nil
  }
}

final class InputRecorder {
  let segment: SegmentWriter
  private let files: InputJournalFiles
  private let configuration: Configuration
  private let recording: RecordingSwitch
  private let began = MonotonicTime.now()
  private var checkedAt = MonotonicTime.now()

  /// One segment may fill this part of the journal, and last this part of the time for which it is kept.
  private static let parts: UInt64 = 4
  private let share: UInt64
  static func share(_ configuration: Configuration) -> UInt64 { UInt64(configuration.recordBytes) / parts }
  /// Bytes of what the agent began with: the lines that it warmed up with, the baseline.
  private var beginning: UInt64 = 0

  init(
    state: String, configuration: Configuration, ruleSetHash: String, sequence: Int64, recording: RecordingSwitch, now: EventTime
  ) throws(InputJournalError) {
    files = InputJournalFiles(state: state)
    self.configuration = configuration
    self.recording = recording
    share = InputRecorder.share(configuration)
    segment = try files.begin(
      engineVersion: Version.text, ruleSetHash: ruleSetHash, configurationHash: configuration.hash, sequence: sequence, at: now)
    recording.endWaiting()
    removeOld(now)
  }
  /// To be called before the first line that could decide anything.
  func begin(_ now: EventTime) {
    segment.flush()
    beginning = segment.bytesWritten
    // The next one begins at the share. What is read at once may go beyond it, but not beyond twice as much.
    segment.maximumBytes = beginning + 2 * share
    removeOld(now)
  }

  /// The others have what this one leaves when it is full.
  private func removeOld(_ now: EventTime) {
    let own = beginning + 2 * share
    let total = InputRecorder.parts * share
    recording.removedSegments += files.removeOld(
      but: segment.header.number, maximumBytes: total - min(own, total), keep: configuration.recordKeep, now: now)
  }

  /// It holds its share: whoever reads much at once stops, and makes way for an agent that begins the next one.
  var isFull: Bool { segment.isFull || (segment.problem == nil && segment.bytesWritten > beginning + share) }
  /// To be called when the agent makes way, or ends.
  func finish() {
    segment.finish()
    recording.lostRecords += segment.lostRecords
  }

  /// To be asked once a second. `isDue`: the agent should make way for one that begins the next segment.
  func tick(_ now: EventTime) -> (isDue: Bool, problem: String?) {
    let clock = MonotonicTime.now()
    if clock - checkedAt >= Nanoseconds.hours(1).count {
      checkedAt = clock
      removeOld(now)
    }
    segment.flush()
    let isOld = segment.problem == nil && clock - began > configuration.recordKeep.count / Int64(InputRecorder.parts)
    let problem = takeProblem()
    return (isFull || isOld || recording.mayTryAgain(configuration, state: files.directory), problem)
  }

  /// Why the recording ended, once.
  private func takeProblem() -> String? {
    guard let problem = segment.problem, recording.fail("\(problem)") else { return nil }
    return "the recording of the input ended: \(problem)"
  }

  var status: RecordStatus {
    var status = RecordStatus()
    status.isOn = segment.problem == nil
    status.segment = segment.header.number
    status.records = segment.records
    status.bytes = segment.bytesWritten
    status.lostRecords = recording.lostRecords + segment.lostRecords
    status.since = "\(segment.header.recordedAt)"
    status.problem = segment.problem.map { "\($0)" } ?? ""
    return status
  }
}

/// The journal as `panguard status` shows it.
public struct RecordStatus: Equatable, Sendable {
  public var isOn = false
  /// The segment that is being written, its records and bytes; 0 where there is none.
  public var segment: UInt64 = 0
  public var records: UInt64 = 0
  public var bytes: UInt64 = 0
  /// Records that were not written because of `problem`.
  public var lostRecords: UInt64 = 0
  /// RFC 3339.
  public var since = ""
  public var problem = ""
  /// Of the whole journal.
  public var segments: UInt64 = 0
  public var journalBytes: UInt64 = 0
  /// Segments removed to make room, since the engine began.
  public var removedSegments: UInt64 = 0
  public init() {}

  nonisolated(unsafe) private static let numbers: [(name: String, path: WritableKeyPath<RecordStatus, UInt64>)] = [
    ("segment", \.segment), ("records", \.records), ("bytes", \.bytes), ("lost_records", \.lostRecords), ("segments", \.segments),
    ("journal_bytes", \.journalBytes), ("removed_segments", \.removedSegments),
  ]

  public var json: [UInt8] {
    var json = JSONWriter()
    append(to: &json)
    return json.out
  }
  func append(to json: inout JSONWriter) {
    json.beginObject()
    json.key("on")
    json.value(isOn)
    for (name, path) in RecordStatus.numbers {
      json.key(text: name)
      json.value(self[keyPath: path])
    }
    json.key("since")
    json.value(since)
    json.key("problem")
    json.value(problem)
    json.endObject()
  }
  init(json bytes: Bytes) throws {
    try JSONMembers.forEach(of: bytes) { key, value in
      switch key.string {
      case "on": isOn = value.string == "true"
      case "since": since = AgentStatus.text(value)
      case "problem": problem = AgentStatus.text(value)
      case let name:
        guard let row = RecordStatus.numbers.first(where: { $0.name == name }) else { return }
        self[keyPath: row.path] = UInt64(clamping: value.decimal ?? 0)
      }
    }
  }
}
