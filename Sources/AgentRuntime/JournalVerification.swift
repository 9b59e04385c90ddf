// A journal replayed against the decision log: what was decided then must be decided again, byte for byte. What must stay true: nothing is
// passed over in silence; what could not be compared is counted, with its reason.
import Detection
import Export
import InputJournal
import Primitives
import Storage

public struct JournalVerification {
  /// One decision that is not the same.
  public struct Finding: Sendable, CustomStringConvertible {
    public enum Kind: Sendable {
      case differs(DecisionDifference)
      /// It was made again, but the log does not have it.
      case notLogged
      /// The log has it, but it was not made again.
      case notReplayed
      /// The log has it elsewhere in the order.
      case order
    }
    public var kind: Kind
    public var id: String
    public var revision: Int
    public var ruleID: String
    public var subject: String
    public var time: EventTime
    /// The input behind it; of a decision that was not made again, the last line of its evidence.
    public var place: InputPlace

    public var description: String {
      let what =
        switch kind {
        case .differs(let difference): "\(difference)"
        case .notLogged: "it is decided when the input is replayed, but the log does not have it"
        case .notReplayed: "the log has it, but it is not decided when the input is replayed"
        case .order: "the log has it at another place in the order"
        }
      return "\(time) \(id) revision \(revision), \(ruleID) about \(subject)\n  input: \(place)\n  \(what)"
    }
  }

  /// Records that were made again as they stand in the log.
  public private(set) var identical: UInt64 = 0
  public private(set) var differing: UInt64 = 0
  /// The first of them, in the order of the journal; at most `Limits.verificationFindings`.
  public private(set) var findings: [Finding] = []
  /// Decided behind the last point that is known to be stored, and not in the log: the engine was killed.
  public private(set) var neverStored: UInt64 = 0
  /// Records of the log in the range that were made while nothing was recorded.
  public private(set) var notRecorded: UInt64 = 0
  /// With what segments were decided, where it is not what they are replayed with; each once, with where it begins.
  public var otherProvenance: [String] {
    others.map { "\($0.what) (segment \($0.first.number), begun \($0.first.recordedAt)\($0.more > 0 ? ", and \($0.more) more" : ""))" }
  }
  private var others: [(what: String, first: SegmentHeader, more: Int)] = []
  /// Segments that could not be read, or not to their end, and why.
  public private(set) var problems: [String]
  public private(set) var segments = 0
  public private(set) var records: UInt64 = 0
  public private(set) var cutBytes: UInt64 = 0
  public var isVerified: Bool { differing == 0 && others.isEmpty && problems.isEmpty }

  private let store: DecisionStore
  private let newest: Int64
  private let range: Range<EventTime>
  private let provenance: Provenance
  /// Of the log, that were compared.
  private var covered: [ClosedRange<Int64>] = []

  /// `upTo`: the last sequence number of the log before the journal was looked at; what came later the journal may not have yet. `range`:
  /// event times of the decisions that are compared. `provenance`: of the pipelines that replay. `problems`: what is known already.
  public init(store: DecisionStore, upTo newest: Int64, range: Range<EventTime>, provenance: Provenance, problems: [String] = []) {
    self.store = store
    self.newest = newest
    self.range = range
    self.provenance = provenance
    self.problems = problems
  }

  /// The decision as its record would be, had it been made with what the segment names: other hashes are told once, not with each decision.
  private func recorded(_ decision: Decision, _ header: SegmentHeader) -> Decision {
    var decision = decision
    decision.provenance.engineVersion = header.engineVersion
    decision.provenance.ruleSetHash = header.ruleSetHash
    decision.provenance.configurationHash = header.configurationHash
    return decision
  }
  private mutating func note(_ header: SegmentHeader) {
    let pairs = [
      ("engine", header.engineVersion, provenance.engineVersion), ("rules", header.ruleSetHash, provenance.ruleSetHash),
      ("configuration", header.configurationHash, provenance.configurationHash),
    ]
    for (name, recorded, ours) in pairs where recorded != ours {
      let what = "\(name): recorded with \(recorded), replayed with \(ours)"
      if let known = others.firstIndex(where: { $0.what == what }) { others[known].more += 1 } else { others.append((what, header, 0)) }
    }
  }

  private struct Made {
    var decision: Decision
    var place: InputPlace
  }
  private struct Key: Hashable {
    var id: String
    var revision: Int
  }
  /// One segment on its way.
  private struct Pass {
    var header: SegmentHeader
    var made: [Made] = []
    /// Of decisions that are known to be stored.
    var seen: Set<Key> = []  // only asked for members
    /// Where the log has the last of them.
    var sequence: Int64
    /// The last point that is known to be stored.
    var lastStored: Int64
    init(_ header: SegmentHeader) {
      self.header = header
      (sequence, lastStored) = (header.sequence, header.sequence)
    }
  }

  /// Replays one segment. `next`: the header of the segment behind it. Throws where the log cannot be read.
  public mutating func verify(
    _ replay: InputReplay, next: SegmentHeader?, progress: (UInt64, UInt64) -> Void = { _, _ in }
  ) throws(StorageError) {
    note(replay.header)
    segments += 1
    var pass = Pass(replay.header)
    var hasMore = true
    while hasMore {
      var stored: Int64?
      do throws(InputJournalError) {
        hasMore = try replay.step { outcome in
          switch outcome {
          case .decision(let decision): pass.made.append(Made(decision: decision, place: replay.place))
          case .stored(let sequence): stored = sequence
          }
        }
      } catch {
        problems.append("\(error)")
        hasMore = false
      }
      if let stored { try check(&pass, upTo: stored) }
      progress(replay.position, replay.fileBytes)
    }
    try checkRest(&pass, upTo: next?.sequence ?? .max)
    try findMissing(pass)
    if pass.lastStored > pass.header.sequence { covered.append(pass.header.sequence + 1...pass.lastStored) }
    records += replay.records
    cutBytes += replay.cutBytes
  }

  /// What was decided up to a point that is known to be stored.
  private mutating func check(_ pass: inout Pass, upTo stored: Int64) throws(StorageError) {
    for made in pass.made {
      pass.seen.insert(Key(id: made.decision.id, revision: made.decision.revision))
      guard range.contains(made.decision.time) else { continue }
      guard let record = try store.record(id: made.decision.id, revision: made.decision.revision) else {
        find(.notLogged, made)
        continue
      }
      let isNew = record.sequence > pass.header.sequence
      if let difference = DecisionDifference(logged: record, replayed: recorded(made.decision, pass.header)) {
        find(.differs(difference), made)
      } else if isNew, record.sequence <= pass.sequence {
        find(.order, made)
      } else {
        identical += 1
      }
      if isNew { pass.sequence = record.sequence }
    }
    pass.made.removeAll(keepingCapacity: true)
    pass.lastStored = max(pass.lastStored, stored)
  }

  /// What was decided behind that point: whether it was stored before the engine ended, only the log knows.
  private mutating func checkRest(_ pass: inout Pass, upTo last: Int64) throws(StorageError) {
    var isStored = true
    for made in pass.made where range.contains(made.decision.time) {
      let record = try store.record(id: made.decision.id, revision: made.decision.revision)
      guard isStored, let record, record.sequence > pass.lastStored, record.sequence <= last else {
        // Stored with what came before it, or not at all.
        isStored = false
        neverStored += 1
        continue
      }
      pass.lastStored = record.sequence
      pass.seen.insert(Key(id: record.id, revision: record.revision))
      if let difference = DecisionDifference(logged: record, replayed: recorded(made.decision, pass.header)) {
        find(.differs(difference), made)
      } else {
        identical += 1
      }
    }
  }

  /// What the log has of the segment's time and the replay did not make.
  private mutating func findMissing(_ pass: Pass) throws(StorageError) {
    var after = pass.header.sequence
    while after < pass.lastStored {
      let rows = try store.records(after: after)
      for row in rows where row.sequence <= pass.lastStored && range.contains(row.time) {
        if pass.seen.contains(Key(id: row.id, revision: row.revision)) { continue }
        let decision = try? DecisionJSON.decode(row.bytes)
        let last = decision?.evidence.last
        note(
          Finding(
            kind: .notReplayed, id: row.id, revision: row.revision, ruleID: decision?.ruleID ?? "?", subject: decision?.subject.label ?? "?",
            time: row.time, place: InputPlace(source: last?.source ?? "", offset: last?.offset ?? 0, text: decision?.summary ?? "")))
      }
      guard let last = rows.last else { return }
      after = last.sequence
    }
  }

  /// To be called when all segments are through: what the log has besides.
  public mutating func finish() throws(StorageError) {
    var after: Int64 = 0
    while case let rows = try store.records(after: after), let last = rows.last {
      for row in rows where row.sequence <= newest && range.contains(row.time) && !covered.contains(where: { $0.contains(row.sequence) }) {
        notRecorded += 1
      }
      after = last.sequence
    }
  }

  private mutating func find(_ kind: Finding.Kind, _ made: Made) {
    note(
      Finding(
        kind: kind, id: made.decision.id, revision: made.decision.revision, ruleID: made.decision.ruleID, subject: made.decision.subject.label,
        time: made.decision.time, place: made.place))
  }
  private mutating func note(_ finding: Finding) {
    differing += 1
    if findings.count < Limits.verificationFindings { findings.append(finding) }
  }
}
