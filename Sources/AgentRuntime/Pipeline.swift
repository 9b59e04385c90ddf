// Raw line in, decisions out: parser, session tracker and detector in the order that everything uses. The daemon, replay and
// the rule tests differ only in where lines come from and where decisions go.
// What must stay true: whatever changes what the pipeline remembers comes through its methods, and each of them records it where a recording
// is on; so that the same records, given to another pipeline, lead to the same decisions.
import Baseline
import Detection
import Events
import InputJournal
import LogParsers
import Playbooks
import Primitives

/// One source's way into the pipeline: its parser's state and its reusable event.
public final class Lane {
  public let name: String
  public let source: UInt32
  var parser: LogParser
  var event = Event()
  /// Lines (or journal entries) taken so far.
  public internal(set) var lines: UInt64 = 0
  public internal(set) var outcomes = ParseOutcomeCounts()
  /// Time of the newest event, for the order of merged inputs.
  var newest = EventTime.distantPast

  /// When the source was last written, as its parser was told.
  fileprivate var inputTime: EventTime

  /// Raised by a configuration that vouches for who may write the source.
  let trust: Trust

  init(name: String, source: UInt32, trust: Trust, inputTime: EventTime, parser: consuming LogParser) {
    self.name = name
    self.inputTime = inputTime
    self.source = source
    self.trust = trust
    self.parser = parser
  }
}

public struct ParseOutcomeCounts: Sendable {
  public var parsed: UInt64 = 0
  public var headerOnly: UInt64 = 0
  public var unparsed: UInt64 = 0
  mutating func add(_ outcome: ParseOutcome) {
    switch outcome {
    case .parsed: parsed &+= 1
    case .headerOnly: headerOnly &+= 1
    case .unparsed: unparsed &+= 1
    }
  }
}

public final class Pipeline {
  public var detector: Detector
  public var tracker = SessionTracker()
  private var derived = Event()
  /// What the event named that led to the decision which is being emitted.
  public private(set) var targets = ResponseTargets()

  /// Called with each event that could decide something, after it was judged; nil: nobody looks.
  public var sees: ((borrowing Event) -> Void)?
  /// Where what it is given is written down; nil: nowhere.
  var recorder: SegmentWriter?

  public init(detector: consuming Detector) { self.detector = detector }

  /// `inputTime`: when the source was last written, for stamps without a year.
  public func addLane(_ name: String, format: LogFormat, inputTime: EventTime, utcOffsetSeconds: Int64 = 0, trust: Trust = .claimed) -> Lane {
    recorder?.append {
      $0.lane(LaneRecord(name: name, format: format, inputTime: inputTime, utcOffsetSeconds: utcOffsetSeconds, trust: trust))
    }
    return Lane(
      name: name, source: detector.addSource(name), trust: trust, inputTime: inputTime,
      parser: LogParser(format: format, inputTime: inputTime, program: nil, utcOffsetSeconds: utcOffsetSeconds))
  }
  /// The lane's source was seen to be modified at `time`.
  func noteInputTime(_ time: EventTime, _ lane: Lane) {
    guard time > lane.inputTime else { return }
    lane.inputTime = time
    recorder?.append { $0.inputTime(lane: Int(lane.source), time) }
    lane.parser.noteInputTime(time)
  }

  /// Takes up what an earlier run had learned. Throws BaselineSnapshotError.
  public func resume(baseline snapshot: [UInt8]) throws {
    detector.resume(try Baseline(snapshot: snapshot))
    snapshot.withUnsafeBytes { snapshot in recorder?.append { $0.baseline(snapshot) } }
  }
  /// Takes up what an earlier run knew of the network. Throws NetworkMemoryError.
  public func resume(networkMemory memory: [UInt8]) throws {
    try detector.resume(networkMemory: memory)
    memory.withUnsafeBytes { memory in recorder?.append { $0.networkMemory(memory) } }
  }
  /// Takes up an incident that an earlier run had open.
  func resume(_ incident: Incident, ruleID: String, subject: Subject) {
    recorder?.append { $0.incident(IncidentRecord(incident, ruleID: ruleID, subject: subject)) }
    detector.resume(incident, ruleID: ruleID, subject: subject)
  }
  /// What an operator wants of the baseline.
  func perform(_ request: BaselineRequest) -> ControlOutcome {
    recorder?.append { $0.change(request.line) }
    return request.perform(on: &detector.baseline)
  }

  /// Reads one line into the lane's event.
  @inline(__always)
  func parse(_ line: Bytes, offset: UInt64, _ lane: Lane) {
    lane.lines &+= 1
    let origin = EventOrigin(source: lane.source, offset: offset, length: UInt32(clamping: line.count))
    lane.outcomes.add(lane.parser.parse(line, origin: origin, into: &lane.event))
    if lane.trust == .attested { lane.event.trust = .attested }
    if lane.event.time > lane.newest { lane.newest = lane.event.time }
  }
  func parse(journal entry: JournalEntry, ordinal: UInt64, _ lane: Lane) {
    lane.lines &+= 1
    let origin = EventOrigin(source: lane.source, offset: ordinal, length: UInt32(clamping: entry.message?.count ?? 0))
    lane.outcomes.add(lane.parser.parse(journal: entry, origin: origin, into: &lane.event))
    if lane.event.time > lane.newest { lane.newest = lane.event.time }
  }

  /// Takes the lane's parsed event through the rest. Attempts whose outcome was never logged come first: they are older.
  @inline(__always)
  func conclude(_ lane: Lane, isWarmUp: Bool = false, _ emit: (Decision) -> Void) {
    takeExpired(lane, asOf: lane.event.time, isWarmUp: isWarmUp, emit)
    tracker.observe(&lane.event)
    let decisions = detector.process(judging: &lane.event, isWarmUp: isWarmUp)
    if !decisions.isEmpty {
      targets = ResponseTargets(of: lane.event)
      for decision in decisions { emit(decision) }
      targets = ResponseTargets()
    }
    if let sees, !isWarmUp { sees(lane.event) }
  }

  @inline(__always)
  public func process(_ line: Bytes, offset: UInt64, _ lane: Lane, isWarmUp: Bool = false, _ emit: (Decision) -> Void) {
    parse(line, offset: offset, lane)
    recorder?.append(at: isWarmUp ? nil : lane.event.time) {
      $0.line(lane: Int(lane.source), offset: offset, line, isWarmUp: isWarmUp)
    }
    conclude(lane, isWarmUp: isWarmUp, emit)
  }
  public func process(journal entry: JournalEntry, ordinal: UInt64, _ lane: Lane, isWarmUp: Bool = false, _ emit: (Decision) -> Void) {
    parse(journal: entry, ordinal: ordinal, lane)
    recorder?.append(at: isWarmUp ? nil : lane.event.time) {
      $0.entry(lane: Int(lane.source), ordinal: ordinal, entry, isWarmUp: isWarmUp)
    }
    conclude(lane, isWarmUp: isWarmUp, emit)
  }

  /// Attempts whose session has been silent long enough by `now`, the lane's time; for idle times, when no event of it moves time on.
  /// Returns how many.
  @discardableResult
  public func expire(_ lane: Lane, asOf now: EventTime, isWarmUp: Bool = false, _ emit: (Decision) -> Void) -> Int {
    let count = takeExpired(lane, asOf: now, isWarmUp: isWarmUp, emit)
    // Where nothing had expired, nothing has changed.
    if count > 0 { recorder?.append(at: isWarmUp ? nil : derived.time) { $0.expire(lane: Int(lane.source), now, isWarmUp: isWarmUp) } }
    return count
  }
  @discardableResult @inline(__always)
  private func takeExpired(_ lane: Lane, asOf now: EventTime, isWarmUp: Bool, _ emit: (Decision) -> Void) -> Int {
    var count = 0
    while tracker.nextExpired(asOf: now, source: lane.source, into: &derived) {
      count += 1
      for decision in detector.process(judging: &derived, isWarmUp: isWarmUp) { emit(decision) }
    }
    return count
  }

  /// Correlations that had to forget something since the last call.
  public func takeEvictions() -> [CorrelationEviction] { detector.engine.hasEvictionRecords ? detector.takeEvictions() : [] }

  /// What the pipeline lost or left out, by cause.
  public var drops: [(cause: String, count: UInt64)] {
    [
      ("sessions evicted from the login table", tracker.evictions),
      ("login attempts lost with an evicted session", tracker.lostAttempts),
      ("groups evicted from rule windows", detector.engine.counters.evictions.reduce(0, +)),
      ("evictions from correlations without a record of their own", detector.engine.counters.evictionRecordsDropped),
      ("join values beyond the limit", detector.engine.counters.droppedJoinValues),
      ("incidents and subjects evicted", detector.evictions),
      ("signals forgotten", detector.counters.forgottenSignals),
      ("entries evicted from the baseline", detector.baseline.evictions),
      ("subjects that had no room in the baseline's day", detector.baseline.refusedProfiles),
      ("findings of the baseline that had no room in their hour", detector.baseline.untoldFindings),
      ("events on which a rule could not be evaluated", detector.engine.counters.gracefulErrors),
      ("regular expressions stopped at their limit", detector.engine.counters.limitHits.reduce(0, +)),
      ("events counted late (clock went back a little)", detector.lateEvents),
      ("events with a stamp that cannot be placed", detector.unplacedEvents),
    ] + detector.networkDrops
  }
}

extension IncidentRecord {
  init(_ incident: Incident, ruleID: String, subject: Subject) {
    self.init(
      id: incident.id, revision: Int64(incident.revision), matchCount: incident.matchCount, firstTime: incident.firstTime,
      lastTime: incident.lastTime, action: incident.action.rawValue, ruleID: ruleID,
      subject: [subject.source, subject.user, subject.session, subject.host].map { $0 ?? "" })
  }
}
