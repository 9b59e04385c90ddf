// One input of the pipeline: everything that changes what it remembers, in the order in which it came. A journal is a list of them, and a
// pipeline that is given the same list decides the same.
// Lines are kept as raw bytes, with the state of their parser told by what came before: a decision's evidence needs the raw bytes anyway, so
// parsed fields beside them would only be more to keep and to get wrong. Events that never were lines (the network's) are kept whole.
import Events
import LogParsers
import Primitives

/// How a source is read, as `Pipeline.addLane` is told.
public struct LaneRecord: Equatable, Sendable {
  public var name: String
  /// Of the lane's `LogFormat`.
  public var format: LogFormat
  public var inputTime: EventTime
  public var utcOffsetSeconds: Int64
  public var trust: Trust
  public init(name: String, format: LogFormat, inputTime: EventTime, utcOffsetSeconds: Int64, trust: Trust) {
    self.name = name
    self.format = format
    self.inputTime = inputTime
    self.utcOffsetSeconds = utcOffsetSeconds
    self.trust = trust
  }
}

/// An incident that was open when the pipeline began.
public struct IncidentRecord: Equatable, Sendable {
  public var id: String
  public var revision: Int64
  public var matchCount: UInt64
  public var firstTime: EventTime
  public var lastTime: EventTime
  /// `ProposedAction` by its name.
  public var action: String
  public var ruleID: String
  /// Source, user, session, host; "" where there is none.
  public var subject: [String]
  public init(
    id: String, revision: Int64, matchCount: UInt64, firstTime: EventTime, lastTime: EventTime, action: String, ruleID: String, subject: [String]
  ) {
    self.id = id
    self.revision = revision
    self.matchCount = matchCount
    self.firstTime = firstTime
    self.lastTime = lastTime
    self.action = action
    self.ruleID = ruleID
    self.subject = subject
  }
}

/// Lanes are named by their number, in the order of their records. Bytes are borrowed: they are good until the next record is read.
/// `isWarmUp`: it was read only to remember, and decided nothing.
public enum InputRecord {
  case lane(LaneRecord)
  /// A snapshot of the baseline, taken up before the first line.
  case baseline(Bytes)
  /// What the network detectors knew, taken up before the first event.
  case networkMemory(Bytes)
  case incident(IncidentRecord)
  /// The lane's file was seen to be modified then.
  case inputTime(lane: Int, EventTime)
  case line(lane: Int, offset: UInt64, Bytes, isWarmUp: Bool)
  case entry(lane: Int, ordinal: UInt64, JournalEntry, isWarmUp: Bool)
  /// The event given to the decoder was filled.
  case event(lane: Int)
  /// The lane was silent, and event time was taken to run until then.
  case expire(lane: Int, EventTime, isWarmUp: Bool)
  /// An operator changed the baseline: the line of the control request.
  case change(String)
  /// What came before is decided and stored: up to this sequence number of the decision log.
  case mark(sequence: Int64)
  /// The recording ended in order.
  case end
}

/// The bytes of a record, or of a segment, are not what this version writes.
public struct InputJournalError: Error, Equatable, Sendable, CustomStringConvertible {
  public var path: String
  public var reason: String
  public var description: String { path.isEmpty ? reason : "\(path): \(reason)" }
  public init(path: String = "", reason: String) {
    self.path = path
    self.reason = reason
  }
}

/// What stands in front of each record.
enum RecordKind: UInt8 {
  case lane = 1
  case baseline, networkMemory, incident, inputTime, line, warmLine, entry, warmEntry, event, expire, warmExpire, change, mark, end
}

/// How far the lines of a lane have come: the next one usually follows.
struct LaneProgress {
  var nextOffset: UInt64 = 0
  var lastMicroseconds: Int64 = 0
}

/// The optional texts of a journal entry, in the order of their bits.
enum EntryFields {
  nonisolated(unsafe) static let all: [WritableKeyPath<JournalEntry, Bytes?>] = [
    \.message, \.syslogIdentifier, \.comm, \.exe, \.pid, \.uid, \.unit, \.hostname, \.priority, \.facility, \.cmdline, \.transport,
  ]
  static let timeBit: UInt64 = 1 << 12
}
