// The recording of one agent: a segment that begins with it, and when it is time for the next one. A segment begins at a cold start, so an
// agent whose segment has grown too long or too old makes way for another one with the same rules and configuration, as a reload does.
import Events
import Glibc
import InputJournal
import Primitives

/// Whether an operator wants the input recorded; outlives the agents of a process.
public final class RecordingSwitch {
  /// nil: the configuration decides.
  var isOn: Bool?
  /// Segments that were removed to make room, since the process began.
  var removedSegments: UInt64 = 0
  public init() {}
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
  /// Bytes of what the agent began with: the lines that it warmed up with, the baseline.
  private var beginning: UInt64 = 0

  init(
    state: String, configuration: Configuration, ruleSetHash: String, sequence: Int64, recording: RecordingSwitch, now: EventTime
  ) throws(InputJournalError) {
    files = InputJournalFiles(state: state)
    self.configuration = configuration
    self.recording = recording
    share = UInt64(configuration.recordBytes) / InputRecorder.parts
    segment = try files.begin(
      engineVersion: Version.text, ruleSetHash: ruleSetHash, configurationHash: configuration.hash, sequence: sequence, at: now)
    removeOld(now)
  }
  /// To be called before the first line that could decide anything.
  func begin() {
    segment.flush()
    beginning = segment.bytesWritten
    // The next one begins at the share. Where that must wait, because the store fails, this one may become twice as long.
    segment.maximumBytes = beginning + 2 * share
  }

  private func removeOld(_ now: EventTime) {
    recording.removedSegments += files.removeOld(
      but: segment.header.number, maximumBytes: (InputRecorder.parts - 2) * share, keep: configuration.recordKeep, now: now)
  }

  /// To be asked once a second. `isDue`: the agent should make way for one that begins the next segment.
  func tick(_ now: EventTime) -> (isDue: Bool, problem: String?) {
    let clock = MonotonicTime.now()
    if clock - checkedAt >= Nanoseconds.hours(1).count {
      checkedAt = clock
      removeOld(now)
    }
    segment.flush()
    let isDue =
      segment.problem == nil
      && (segment.bytesWritten > beginning + share
        || clock - began > configuration.recordKeep.count / Int64(InputRecorder.parts))
    return (isDue, takeProblem())
  }

  private var toldProblem = false
  /// Why the recording ended, once.
  func takeProblem() -> String? {
    guard let problem = segment.problem, !toldProblem else { return nil }
    toldProblem = true
    return "the recording of the input ended: \(problem)"
  }

  var status: RecordStatus {
    var status = RecordStatus()
    status.isOn = segment.problem == nil
    status.segment = segment.header.number
    status.records = segment.records
    status.bytes = segment.bytesWritten
    status.lostRecords = segment.lostRecords
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
