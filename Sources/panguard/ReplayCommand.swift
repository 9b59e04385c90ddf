// `panguard replay`: recorded logs and captures through the same detector, in event time.
import AgentRuntime
import ArgumentParser
import CLinux
import CaptureReplay
import Detection
import Export
import Glibc
import LogParsers
import LogSources
import Primitives

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Run recorded logs and captures through the detector.",
    discussion: """
      Reads plain, gzip and xz files, or standard input (-), in event time, and prints what the agent would have decided. The same
      inputs, rules and configuration give the same bytes, on any machine. Several files are merged by event time.

      With --pcap it reads captures too (pcap and pcapng, plain or packed), as the live capture reads packets. What a flow or a message tells
      has the time at which it was known: a flow counts when it ends.

      With --journal it reads no files but what the agent recorded of its own input (`panguard record`), from the beginning of each segment
      that has events in the range. With --verify the decisions are compared with the agent's log: exit 0 where all are the same bytes, 1 where
      one differs (the first is named), 3 where the journal or the log cannot be read.

      Try it on the sample: panguard replay examples/auth.log examples/access.log
      """)
  @OptionGroup var selection: RuleSelection
  @Option(name: .long, help: "The configuration file.", completion: .file()) var config: String?
  @Option(name: .long, help: "Write the decision log (JSON lines) to this file.", completion: .file()) var output: String?
  @Option(name: .long, help: "What to print: text, jsonl, atr (ATR events) or stix (one bundle). Default: text; nothing with --output.") var format:
    ReplayFormat?
  @Option(name: .long, help: "The logs' format: \(LogFormat.allCases.map(\.rawValue).joined(separator: ", ")).") var logFormat: LogFormat = .auto
  @Option(
    name: .long, help: "Stands for the files' modification time (RFC 3339), which decides the year of stamps that have none.") var inputTime: String?
  @Option(
    name: .long, help: "The key that signs ATR events (`panguard keys new`). Default: output.atr_events.key of the configuration.",
    completion: .file())
  var key: String?
  @Option(
    name: .long, help: "Begin with what this file says is usual (`panguard baseline learn`, `export`). Default: nothing is known.",
    completion: .file()) var baseline: String?
  @Option(name: .long, help: "Replay the agent's journal: FROM..TO in event time (RFC 3339, or spans back from now), either of which may be missing.")
  var journal: String?
  @Flag(name: .long, help: "With --journal: compare with the decision log instead of printing.") var verify = false
  @Option(name: .long, help: "With --journal: the agent's state directory; default as configured.", completion: .directory) var state: String?
  @Flag(name: .long, help: "Print lines, events, decisions, elapsed time, lines/s, peak memory and drops to standard error.") var stats = false
  @Flag(name: .long, help: "No progress bar.") var quiet = false
  @Option(name: .long, parsing: .upToNextOption, help: "Capture files, up to the next option.", completion: .file()) var pcap: [String] = []
  @Argument(help: "Log files; - is standard input.", completion: .file()) var files: [String] = []

  enum ReplayFormat: String, ExpressibleByArgument, CaseIterable { case text, jsonl, atr, stix, none }

  func validate() throws {
    if journal != nil {
      guard files.isEmpty, pcap.isEmpty, baseline == nil, !stats else {
        throw ValidationError("--journal excludes files, --pcap, --baseline and --stats")
      }
      return
    }
    if verify || state != nil { throw ValidationError("--verify and --state need --journal") }
    if files.isEmpty, pcap.isEmpty { throw ValidationError("name a log file, or a capture with --pcap") }
  }

  func run() throws {
    if let journal { return try replayJournal(journal) }
    let settings = try ReplayCommand.settings(config)
    let fixedTime = try inputTime.map { try ReplayCommand.inputTime($0) }
    let (pipeline, loaded) = try ReplayCommand.pipeline(selection, settings, baseline: baseline)
    let replay = Replay(pipeline: pipeline)
    let now = EventTime(seconds: Int64(time(nil)))
    do {
      for file in files {
        try replay.add(path: file, format: logFormat, inputTime: fixedTime, standardInputTime: now, configuration: settings)
      }
      for file in pcap { replay.add(try CaptureReplay(path: file, standardInputTime: now, share: pcap.count)) }
    } catch {
      throw CommandFailure.environment("\(error)")
    }

    var log = try output.map { try Output(creating: $0) }
    let shown = format ?? (output == nil ? .text : .none)
    var screen = Output()
    let events = shown == .atr ? try eventWriter(settings, loaded) : nil
    var bundle: [Decision] = []
    var unsigned: String?
    var evictions: [CorrelationEviction] = []
    let color = Terminal.usesColor(.auto)
    let width = isatty(STDOUT_FILENO) == 1 ? Terminal.width : 0
    var progress = Progress("replaying", quiet: quiet || shown != .none)
    let statistics = replay.run(progress: { progress.update($0, of: $1) }, evicted: { evictions.append($0) }) { decision in
      if !evictions.isEmpty { ReplayCommand.write(&evictions, &log, &screen, isShown: shown == .jsonl) }
      if log != nil || shown == .jsonl {
        let line = DecisionJSON.line(decision)
        log?.line(line)
        if shown == .jsonl { screen.line(line) }
      }
      if let events { do { screen.line(try events.line(decision)) } catch { unsigned = "\(error)" } }
      if shown == .stix { bundle.append(decision) }
      if shown == .text { screen.line(DecisionText.line(decision, color: color, width: width)) }
    }
    progress.finish()
    ReplayCommand.write(&evictions, &log, &screen, isShown: shown == .jsonl)
    if shown == .stix { screen.line(STIXBundle.bytes(bundle, version: Version.text, rules: loaded.set.rules)) }
    if let unsigned { throw CommandFailure.environment(unsigned) }
    log?.flush()
    screen.flush()
    for rule in replay.takeUndecided() { printError("warning: " + TerminalText.escaped("\(rule)")) }
    for problem in replay.damagedInputs { printError("panguard: \(problem)") }
    if stats { printError(ReplayCommand.render(statistics)) }
    if shown == .text, statistics.decisions == 0 {
      let lines = files.isEmpty ? [] : ["\(grouped(statistics.lines)) lines (\(grouped(statistics.unparsed)) unparsed)"]
      let frames = pcap.isEmpty ? [] : ["\(grouped(statistics.frames)) frames"]
      printError("\((lines + frames).joined(separator: ", ")), no decision: no rule matched")
    }
    if !replay.damagedInputs.isEmpty { throw CommandFailure(status: .environment, message: "") }
  }

  static func settings(_ config: String?) throws -> Configuration {
    guard let config else { return Configuration() }
    let (loaded, diagnostics) = Configuration.load(path: config)
    report(diagnostics, atLeast: .warning)
    guard let loaded, !diagnostics.contains(where: { $0.severity == .error }) else {
      throw CommandFailure.usage("\(config) has errors; `panguard config check \(config)` lists them")
    }
    return loaded
  }
  static func inputTime(_ text: String) throws -> EventTime {
    if let time = EventTime(rfc3339: text) { return time }
    throw CommandFailure.usage("--input-time wants an RFC 3339 time such as 2026-01-31T00:00:00Z, not '\(text)'")
  }
  /// A detector with the rules and the settings, and what `baseline` knows.
  static func pipeline(_ selection: RuleSelection, _ settings: Configuration, baseline: String?) throws -> (Pipeline, LoadedRules) {
    let loaded = try selection.load(selection.rules.isEmpty ? settings.ruleDirectories : [], settings: settings)
    let made = pipeline(loaded, settings)
    if let baseline { made.detector.resume(try BaselineFile.read(baseline)) }
    return (made, loaded)
  }
  static func pipeline(_ loaded: LoadedRules, _ settings: Configuration) -> Pipeline {
    let cacheDirectory = RuleStore.defaultCacheDirectory()
    let cached = RuleStore.cachedDatabase(for: loaded, in: cacheDirectory)
    let detector = Detector(
      ruleSet: loaded.set, ruleSetHash: loaded.hash, configuration: settings.detector, engineVersion: Version.text, cachedDatabase: cached)
    report(detector.engine.diagnostics, atLeast: .warning)
    if !detector.engine.usedCachedDatabase, let database = detector.engine.serializedDatabase() {
      RuleStore.cache(database, for: loaded, in: cacheDirectory)
    }
    return Pipeline(detector: detector)
  }

  /// What correlations had to forget goes into the log among the decisions: before the first one that came after it.
  private static func write(_ evictions: inout [CorrelationEviction], _ log: inout Output?, _ screen: inout Output, isShown: Bool) {
    for eviction in evictions {
      let line = EvictionJSON.line(eviction)
      log?.line(line)
      if isShown { screen.line(line) }
    }
    evictions.removeAll()
  }

  private func eventWriter(_ settings: Configuration, _ loaded: LoadedRules) throws -> ATREventWriter {
    do {
      let key = try (key ?? settings.atrEvents?.keyPath).map { try SigningKey(file: $0) }
      return ATREventWriter(rules: loaded.set, key: key, redacts: settings.atrEvents?.redacts ?? true)
    } catch {
      throw CommandFailure.environment("\(error)")
    }
  }

  static func render(_ s: ReplayStatistics) -> String {
    func row(_ name: String, _ value: String) -> String { name.padding(to: 12) + value }
    var out = [
      row("lines", grouped(s.lines)), row("frames", grouped(s.frames)), row("events", grouped(s.events)),
      row("parsed", "\(grouped(s.parsed)) recognised, \(grouped(s.headerOnly)) header only, \(grouped(s.unparsed)) unparsed"),
      row("attempts", grouped(s.attempts)), row("matches", grouped(s.matches)), row("decisions", grouped(s.decisions)),
      row("elapsed", "\(s.elapsed / 1_000_000) ms"), row("lines/s", grouped(s.linesPerSecond)),
      row("frames/s", grouped(s.framesPerSecond)),
      row("peak RSS", "\(s.peakResidentBytes / 1024) KiB"),
    ]
    for input in s.inputs { out.append(row("input", "\(input.path), input time \(input.inputTime)")) }
    let lost = s.drops.filter { $0.count > 0 }
    let causes = lost.map { "\($0.cause) \(grouped($0.count))" }.joined(separator: ", ")
    out.append(row("drops", lost.isEmpty ? "none (\(s.drops.count) causes watched)" : causes))
    return out.joined(separator: "\n")
  }
}

extension String {
  func padding(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}
