// Raw line in, decisions out: parser, session tracker and detector in the order that everything uses. The daemon, replay and
// the rule tests differ only in where lines come from and where decisions go.
import Detection
import Events
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

  /// Raised by a configuration that vouches for who may write the source.
  let trust: Trust

  init(name: String, source: UInt32, trust: Trust, parser: consuming LogParser) {
    self.name = name
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

  public init(detector: consuming Detector) { self.detector = detector }

  /// `inputTime`: when the source was last written, for stamps without a year.
  public func addLane(_ name: String, format: LogFormat, inputTime: EventTime, utcOffsetSeconds: Int64 = 0, trust: Trust = .claimed) -> Lane {
    Lane(
      name: name, source: detector.addSource(name), trust: trust,
      parser: LogParser(format: format, inputTime: inputTime, program: nil, utcOffsetSeconds: utcOffsetSeconds))
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
    expire(lane, asOf: lane.event.time, isWarmUp: isWarmUp, emit)
    tracker.observe(&lane.event)
    let decisions = detector.process(judging: &lane.event, isWarmUp: isWarmUp)
    if !decisions.isEmpty {
      targets = ResponseTargets(of: lane.event)
      for decision in decisions { emit(decision) }
      targets = ResponseTargets()
    }
  }

  @inline(__always)
  public func process(_ line: Bytes, offset: UInt64, _ lane: Lane, isWarmUp: Bool = false, _ emit: (Decision) -> Void) {
    parse(line, offset: offset, lane)
    conclude(lane, isWarmUp: isWarmUp, emit)
  }
  public func process(journal entry: JournalEntry, ordinal: UInt64, _ lane: Lane, isWarmUp: Bool = false, _ emit: (Decision) -> Void) {
    parse(journal: entry, ordinal: ordinal, lane)
    conclude(lane, isWarmUp: isWarmUp, emit)
  }

  /// Attempts whose session has been silent long enough by `now`, the lane's time; for idle times, when no event of it moves time on.
  /// Returns how many.
  @discardableResult @inline(__always)
  public func expire(_ lane: Lane, asOf now: EventTime, isWarmUp: Bool = false, _ emit: (Decision) -> Void) -> Int {
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
