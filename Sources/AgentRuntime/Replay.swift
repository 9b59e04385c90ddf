// Recorded logs through the same pipeline as the daemon's, in event time. Several inputs are merged in the total order
// (event time, input, offset), where an input's own lines never change places.
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

public struct ReplayStatistics: Sendable {
  public var lines: UInt64 = 0
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
  public var linesPerSecond: UInt64 { elapsed > 0 ? UInt64(Double(lines) * 1e9 / Double(elapsed)) : 0 }
}

public final class Replay {
  private let pipeline: Pipeline
  private var inputs: [(input: ReplayInput, lane: Lane)] = []
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
    inputs.append((input, lane))
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
    let total = inputs.reduce(UInt64(0)) { $0 + ($1.input.containerSize ?? 0) }
    if inputs.count == 1 {
      runSingle(inputs[0].input, inputs[0].lane, total, progress, evicted, emit)
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
    var waiting = inputs.map { advance($0.input, $0.lane) }
    var sinceProgress = 0
    while true {
      // Few inputs: a plain search is simplest. `newest` never falls within a lane, so its lines keep their order.
      var next: Int?
      for i in inputs.indices where waiting[i] {
        if let best = next, inputs[i].lane.newest >= inputs[best].lane.newest { continue }
        next = i
      }
      guard let i = next else { return }
      pipeline.conclude(inputs[i].lane, emit)
      for eviction in pipeline.takeEvictions() { evicted(eviction) }
      waiting[i] = advance(inputs[i].input, inputs[i].lane)
      sinceProgress += 1
      if sinceProgress == 16_384 {
        sinceProgress = 0
        progress(inputs.reduce(UInt64(0)) { $0 + $1.input.containerBytesRead }, total)
      }
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
    for (_, lane) in inputs {
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
    s.drops.append(("lines cut at \(Limits.lineBytes) bytes", inputs.reduce(0) { $0 + $1.input.cutLines }))
    s.drops.append(("events with a field cut at its limit", inputs.reduce(0) { $0 + $1.lane.parser.counters.truncated }))
    s.drops.append(("stamps that could not be read", inputs.reduce(0) { $0 + $1.lane.parser.counters.badTime }))
    s.drops.append(("inputs that ended early", UInt64(problems.count)))
    return s
  }
}
