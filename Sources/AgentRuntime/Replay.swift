// Recorded logs and captures through the same pipeline as the daemon's, in event time. Several inputs are merged in the total order
// (event time, input, offset), where inputs are ordered by their names and an input's own lines never change places. What a frame of a capture
// tells has the frame's place.
// The result depends on the bytes of the inputs, their names, their input times, the rules and the configuration: on nothing else.
import Detection
import Events
import LogParsers
import LogSources
import Primitives

public struct ReplayInputDescription: Sendable {
  public var path: String
  /// Stands for the file's modification time, which decides the year of stamps that have none.
  public var inputTime: EventTime
}

/// Where events come from that are no lines of a log, for the merge: one frame of a capture at a time.
public protocol ReplayCapture: AnyObject {
  var path: String { get }
  /// As of `ReplayInput`.
  var modificationTime: EventTime { get }
  var containerSize: UInt64? { get }
  var containerBytesRead: UInt64 { get }
  var frames: UInt64 { get }
  /// What was lost or left out, by cause.
  var drops: [(cause: String, count: UInt64)] { get }
  /// Why it ended before its end.
  var failure: SourceError? { get }
  /// Reads what comes next; nil at the end. Its time in the packets' clock.
  func advance() -> EventTime?
  /// Tells the events of what was read last, each in the same memory.
  func tell(_ take: (inout Event) -> Void)
}

public struct ReplayStatistics: Sendable {
  public var lines: UInt64 = 0
  public var frames: UInt64 = 0
  public var parsed: UInt64 = 0
  public var headerOnly: UInt64 = 0
  public var unparsed: UInt64 = 0
  public var events: UInt64 = 0
  public var attempts: UInt64 = 0
  public var matches: UInt64 = 0
  public var decisions: UInt64 = 0
  /// Nanoseconds of wall clock.
  public var elapsed: Int64 = 0
  public var peakResidentBytes: UInt64 = 0
  /// What was lost or left out, by cause; zeros included.
  public var drops: [(cause: String, count: UInt64)] = []
  public var inputs: [ReplayInputDescription] = []
  public var framesPerSecond: UInt64 { elapsed > 0 ? UInt64(Double(frames) * 1e9 / Double(elapsed)) : 0 }
  public var linesPerSecond: UInt64 { elapsed > 0 ? UInt64(Double(lines) * 1e9 / Double(elapsed)) : 0 }
}

public final class Replay {
  private let pipeline: Pipeline
  private enum Source {
    case log(ReplayInput)
    case capture(ReplayCapture)
    var containerSize: UInt64? {
      switch self {
      case .log(let input): input.containerSize
      case .capture(let input): input.containerSize
      }
    }
    var containerBytesRead: UInt64 {
      switch self {
      case .log(let input): input.containerBytesRead
      case .capture(let input): input.containerBytesRead
      }
    }
  }
  private var inputs: [(source: Source, lane: Lane)] = []
  private var problems: [SourceError] = []

  public init(pipeline: Pipeline) { self.pipeline = pipeline }

  /// Opens an input ("-" is standard input). `inputTime` overrides its modification time.
  public func add(
    path: String, format: LogFormat, inputTime: EventTime?, standardInputTime: EventTime, utcOffsetSeconds: Int64, trust: Trust = .claimed
  )
    throws(SourceError)
  {
    let input = try ReplayInput(path: path, standardInputTime: standardInputTime)
    let lane = pipeline.addLane(
      path, format: format, inputTime: inputTime ?? input.modificationTime, utcOffsetSeconds: utcOffsetSeconds, trust: trust)
    descriptions.append(ReplayInputDescription(path: path, inputTime: inputTime ?? input.modificationTime))
    inputs.append((.log(input), lane))
  }
  /// Adds a capture. Its events have the trust that the capture gives them.
  public func add(_ capture: ReplayCapture) {
    let lane = pipeline.addLane(capture.path, format: .plain, inputTime: capture.modificationTime)
    descriptions.append(ReplayInputDescription(path: capture.path, inputTime: capture.modificationTime))
    inputs.append((.capture(capture), lane))
  }
  /// The same, with the format and trust that `configuration` has for the path; a `format` other than auto goes first.
  public func add(path: String, format: LogFormat, inputTime: EventTime?, standardInputTime: EventTime, configuration: Configuration)
    throws(SourceError)
  {
    let source = configuration.source(of: path)
    try add(
      path: path, format: format == .auto ? source?.logFormat ?? .auto : format, inputTime: inputTime, standardInputTime: standardInputTime,
      utcOffsetSeconds: configuration.logUTCOffsetSeconds, trust: source?.eventTrust ?? .claimed)
  }
  /// Rules that gave up on an event: at most `Limits.limitRecords`; all are counted in the statistics.
  public func takeUndecided() -> [UndecidedRule] { pipeline.detector.takeUndecided() }
  private var descriptions: [ReplayInputDescription] = []

  /// Inputs that ended early, with the reason. What they held before that was processed.
  public var damagedInputs: [SourceError] { problems }

  /// Runs all inputs to their end. `progress`: bytes read of the containers, and their size (0 where it is not known). `evicted`: what
  /// correlations had to forget, after the decisions of the line that caused it.
  public func run(
    progress: (UInt64, UInt64) -> Void = { _, _ in }, evicted: (CorrelationEviction) -> Void = { _ in }, _ emit: (Decision) -> Void
  ) -> ReplayStatistics {
    let start = MonotonicTime.now()
    let total = inputs.reduce(UInt64(0)) { $0 + ($1.source.containerSize ?? 0) }
    if inputs.count == 1, case .log(let input) = inputs[0].source {
      runSingle(input, inputs[0].lane, total, progress, evicted, emit)
    } else {
      runMerged(total, progress, evicted, emit)
    }
    for (_, lane) in inputs where lane.newest > .distantPast { pipeline.expire(lane, asOf: lane.newest, emit) }
    for eviction in pipeline.takeEvictions() { evicted(eviction) }
    return statistics(since: start)
  }

  private func runSingle(
    _ input: ReplayInput, _ lane: Lane, _ total: UInt64, _ progress: (UInt64, UInt64) -> Void,
    _ evicted: (CorrelationEviction) -> Void, _ emit: (Decision) -> Void
  ) {
    while !input.isAtEnd {
      do throws(SourceError) {
        _ = try input.read(maxLines: 16_384) { line, offset in
          pipeline.process(line, offset: offset, lane, emit)
          for eviction in pipeline.takeEvictions() { evicted(eviction) }
          return true
        }
      } catch {
        problems.append(error)
        return
      }
      progress(input.containerBytesRead, total)
    }
  }

  private func runMerged(
    _ total: UInt64, _ progress: (UInt64, UInt64) -> Void, _ evicted: (CorrelationEviction) -> Void, _ emit: (Decision) -> Void
  ) {
    // Of equal times the input with the lesser name comes first, in whatever order they were added.
    inputs = inputs.enumerated().sorted {
      let (a, b) = (Array($0.element.lane.name.utf8), Array($1.element.lane.name.utf8))
      return a == b ? $0.offset < $1.offset : a.lexicographicallyPrecedes(b)
    }.map(\.element)
    var waiting = inputs.map { advance($0.source, $0.lane) }
    var sinceProgress = 0
    while true {
      // Few inputs: a plain search is simplest. `newest` never falls within a lane, so its lines keep their order.
      var next: Int?
      for i in inputs.indices where waiting[i] {
        if let best = next, inputs[i].lane.newest >= inputs[best].lane.newest { continue }
        next = i
      }
      guard let i = next else { return }
      conclude(inputs[i].source, inputs[i].lane, evicted, emit)
      waiting[i] = advance(inputs[i].source, inputs[i].lane)
      sinceProgress += 1
      if sinceProgress == 16_384 {
        sinceProgress = 0
        progress(inputs.reduce(UInt64(0)) { $0 + $1.source.containerBytesRead }, total)
      }
    }
  }

  private func conclude(_ source: Source, _ lane: Lane, _ evicted: (CorrelationEviction) -> Void, _ emit: (Decision) -> Void) {
    switch source {
    case .log:
      pipeline.conclude(lane, emit)
      for eviction in pipeline.takeEvictions() { evicted(eviction) }
    case .capture(let capture):
      capture.tell { event in
        swap(&event, &lane.event)
        pipeline.process(captured: lane, emit)
        swap(&event, &lane.event)
        for eviction in pipeline.takeEvictions() { evicted(eviction) }
      }
    }
  }

  private func advance(_ source: Source, _ lane: Lane) -> Bool {
    switch source {
    case .log(let input): return advance(input, lane)
    case .capture(let capture):
      if let time = capture.advance() {
        if time > lane.newest { lane.newest = time }
        return true
      }
      if let failure = capture.failure { problems.append(failure) }
      return false
    }
  }

  /// Reads the lane's next line into its event. False at the end of the input.
  private func advance(_ input: ReplayInput, _ lane: Lane) -> Bool {
    var got = false
    do throws(SourceError) {
      while !got, !input.isAtEnd {
        _ = try input.read(maxLines: 1) { line, offset in
          pipeline.parse(line, offset: offset, lane)
          got = true
          return false
        }
      }
    } catch {
      problems.append(error)
    }
    return got
  }

  private func statistics(since start: Int64) -> ReplayStatistics {
    var s = ReplayStatistics()
    for (source, lane) in inputs {
      if case .capture(let capture) = source {
        s.frames += capture.frames
        continue
      }
      s.lines += lane.lines
      s.parsed += lane.outcomes.parsed
      s.headerOnly += lane.outcomes.headerOnly
      s.unparsed += lane.outcomes.unparsed
    }
    let counters = pipeline.detector.counters
    s.events = counters.events
    s.attempts = counters.attempts
    s.matches = counters.matches
    s.decisions = counters.decisions
    s.elapsed = MonotonicTime.now() - start
    s.peakResidentBytes = SelfMetrics.peakResidentBytes()
    s.inputs = descriptions
    s.drops = pipeline.drops
    let logs = inputs.compactMap { if case .log(let input) = $0.source { input } else { nil } }
    s.drops.append(("lines cut at \(Limits.lineBytes) bytes", logs.reduce(0) { $0 + $1.cutLines }))
    s.drops.append(("events with a field cut at its limit", inputs.reduce(0) { $0 + $1.lane.parser.counters.truncated }))
    s.drops.append(("stamps that could not be read", inputs.reduce(0) { $0 + $1.lane.parser.counters.badTime }))
    for case (.capture(let capture), _) in inputs { s.drops += capture.drops.map { ("\($0.cause) (\(capture.path))", $0.count) } }
    s.drops.append(("inputs that ended early", UInt64(problems.count)))
    return s
  }
}
