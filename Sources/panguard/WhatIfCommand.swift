// `panguard whatif`: other rules or playbooks over what was recorded. The command that one runs before every change of them.
import AgentRuntime
import ArgumentParser
import CaptureReplay
import Detection
import Events
import Export
import Glibc
import InputJournal
import LogParsers
import Playbooks
import Primitives
import RuleImport

struct WhatIfCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "whatif", abstract: "What other rules or playbooks would have decided about what was recorded.",
    discussion: """
      Runs the agent's journal (`panguard record`), or the logs and captures that are named, through the rules as they are and through those
      of --rules, and prints which incidents appear, vanish or change, and which sources with a successful log-in or an authenticated 2xx request
      a block would have hit. Nothing is carried out. Exit code 1 where anything differs, else 3 where not all that was recorded could be read.

      panguard whatif --rules new-rules --last 7d
      """)
  @OptionGroup var selection: RuleSelection
  @Option(name: .long, help: "The rules to compare with. Default: those of the configuration.", completion: .file()) var against: [String] = []
  @Option(name: .long, help: "The new playbooks. Default: those of the configuration.", completion: .file()) var playbooks: [String] = []
  @Option(name: .long, help: "The configuration file; default \(Configuration.defaultPath) if it exists.", completion: .file()) var config: String?
  @Option(name: .long, help: "The agent's state directory; default as configured.", completion: .directory) var state: String?
  @Option(name: .long, help: "How much of the journal, back from its newest event, by whole segments.") var last = "7d"
  @Option(name: .long, help: "table or json.") var format: OutputFormat = .table
  @Option(name: .long, help: "The logs' format: \(LogFormat.allCases.map(\.rawValue).joined(separator: ", ")).") var logFormat: LogFormat = .auto
  @Option(name: .long, help: "Stands for the files' modification time (RFC 3339).") var inputTime: String?
  @Flag(name: .long, help: "No progress bar.") var quiet = false
  @Option(name: .long, parsing: .upToNextOption, help: "Capture files, up to the next option.", completion: .file()) var pcap: [String] = []
  @Argument(help: "Log files instead of the journal; - is standard input.", completion: .file()) var files: [String] = []

  func validate() throws {
    if selection.rules.isEmpty, playbooks.isEmpty { throw ValidationError("name the new rules with --rules, or the new playbooks with --playbooks") }
    if files.contains("-") { throw ValidationError("standard input can be read once only, and whatif reads its input twice") }
  }

  func run() throws {
    let settings = try PipelineSource.settings(config)
    let new = try selection.load(selection.rules.isEmpty ? settings.ruleDirectories : [], settings: settings)
    let old = RuleStore.load(paths: against.isEmpty ? settings.ruleDirectories : against, options: selection.options(settings))
    report(old.set.diagnostics, atLeast: .error)
    guard !old.set.rules.isEmpty else { throw CommandFailure.environment("no rule to compare with could be loaded; name them with --against") }
    let planner = PlannerConfiguration(mode: .observe, claimedMayAct: settings.claimedEvidenceMayBlock, thresholds: settings.detector)
    var before = RuleOutcome(try PlaybooksCommand.load([], settings), configuration: planner)
    var after = RuleOutcome(try PlaybooksCommand.load(playbooks, settings), configuration: planner)
    let legitimate = LegitimateSources()
    var progress = Progress("trying", quiet: quiet)
    let (input, missing) = try self.input(settings)
    let damage = try input.run(
      PipelineSource(settings, old), { progress.update($0, of: 2 * $1) }, sees: { legitimate.see($0) }, take: { before.take($0) })
    let again = try input.run(PipelineSource(settings, new), { progress.update($1 + $0, of: 2 * $1) }, sees: { _ in }, take: { after.take($0) })
    progress.finish()
    guard damage == again else {
      throw CommandFailure.environment(TerminalText.escaped("what is recorded changed while it was read: \((again + damage)[0]); try again"))
    }
    let problems = missing + damage
    for problem in problems { printError("panguard: not all could be read: " + TerminalText.escaped(problem)) }
    let comparison = RuleComparison(
      old: before, new: after, legitimate: legitimate, allowlist: settings.allowlist, threshold: settings.detector.actThreshold)
    var output = Output()
    if format == .table {
      WhatIfView.lines(comparison, color: Terminal.usesColor(.auto)).forEach { output.line($0) }
    } else {
      output.line(WhatIfView.json(comparison, problems))
    }
    output.flush()
    printError(WhatIfView.summary(comparison))
    if !comparison.rows.isEmpty { throw CommandFailure.findings }
    if !problems.isEmpty { throw CommandFailure(status: .environment, message: "") }
  }

  /// And what is missing of it.
  private func input(_ settings: Configuration) throws -> (Input, [String]) {
    if !files.isEmpty || !pcap.isEmpty {
      let time = try inputTime.map { try ReplayCommand.inputTime($0) }
      return (.files(files, pcap: pcap, logFormat, time, EventTime(seconds: Int64(Glibc.time(nil)))), [])
    }
    guard let span = Nanoseconds(duration: last), span > .seconds(0) else {
      throw CommandFailure.usage("--last wants a duration such as 24h or 7d, not '\(TerminalText.escaped(last))'")
    }
    let recorded = try RecordedInput(state: state ?? AgentPaths.stateDirectory(configured: settings.stateDirectory))
    guard let newest = recorded.segments.compactMap({ $0.span?.newest }).max() else {
      for problem in recorded.problems { printError("panguard: " + TerminalText.escaped(problem)) }
      throw CommandFailure.environment("nothing is recorded yet; name log files, or wait")
    }
    return (.journal(recorded.segments(in: newest - span..<EventTime.distantFuture).map { recorded.segments[$0] }), recorded.problems)
  }

  /// What both sides read.
  private enum Input {
    case journal([RecordedInput.Segment])
    case files([String], pcap: [String], LogFormat, EventTime?, EventTime)

    /// What of the journal could not be read: of a damaged segment only what is before the damage counts.
    func run(
      _ source: PipelineSource, _ progress: (UInt64, UInt64) -> Void, sees: @escaping (borrowing Event) -> Void, take: (Decision) -> Void
    ) throws -> [String] {
      switch self {
      case .journal(let segments):
        let total = segments.reduce(UInt64(0)) { $0 + $1.bytes }
        var done: UInt64 = 0
        var problems: [String] = []
        for segment in segments {
          do throws(InputJournalError) {
            try WhatIfCommand.run(segment, source.pipeline(), sees, take) { progress(done + $0, total) }
          } catch { problems.append("\(error)") }
          done += segment.bytes
        }
        return problems
      case .files(let files, let pcap, let format, let fixedTime, let now):
        let pipeline = source.pipeline()
        pipeline.sees = sees
        let replay = Replay(pipeline: pipeline)
        do {
          for file in files {
            try replay.add(path: file, format: format, inputTime: fixedTime, standardInputTime: now, configuration: source.settings)
          }
          for file in pcap { replay.add(try CaptureReplay(path: file, standardInputTime: now, share: pcap.count)) }
        } catch { throw CommandFailure.environment("\(error)") }
        _ = replay.run(progress: progress, take)
        if let problem = replay.damagedInputs.first { throw CommandFailure.environment("\(problem)") }
        return []
      }
    }
  }
  private static func run(
    _ segment: RecordedInput.Segment, _ pipeline: Pipeline, _ sees: @escaping (borrowing Event) -> Void, _ take: (Decision) -> Void,
    _ progress: (UInt64) -> Void
  ) throws(InputJournalError) {
    pipeline.sees = sees
    let replay = try InputReplay(path: segment.path, pipeline: pipeline)
    while try replay.step({ if case .decision(let decision) = $0 { take(decision) } }) { progress(replay.position) }
  }
}

enum WhatIfView {
  static func summary(_ c: RuleComparison) -> String {
    func n(_ count: Int) -> String { grouped(UInt64(count)) }
    let text =
      "\(n(c.count(.appears))) incidents appear, \(n(c.count(.vanishes))) vanish, \(n(c.count(.changes))) change, \(n(c.unchanged)) stay; "
      + "blocked: \(n(c.oldBlocks)) networks before, \(n(c.newBlocks)) after; \(n(c.hits.count)) of them with a log-in that succeeded"
    guard c.forgottenSources > 0 else { return text }
    return text + "; \(grouped(c.forgottenSources)) sources with a log-in were forgotten, and are not among them"
  }

  static func lines(_ c: RuleComparison, color: Bool) -> [String] {
    func warn(_ text: String) -> String { color ? "\u{1b}[33m\(text)\u{1b}[0m" : text }
    var out: [String] = []
    if !c.rows.isEmpty { out.append("CHANGE    TIME                  CONF   ACTION    RULE                     SUBJECT") }
    for row in c.rows {
      guard let incident = row.incident else { continue }
      let d = incident.latest
      let second = EventTime(seconds: (d.firstTime - .zero).wholeSeconds)
      out.append(
        TerminalText.escaped(
          row.change.rawValue.padding(to: 10) + "\(second)".padding(to: 22) + "\(d.confidence)".padding(to: 7)
            + incident.action.rawValue.padding(to: 10) + d.ruleID.padding(to: 25) + d.subject.label))
      out += row.details.map { "          " + TerminalText.escaped($0) }
    }
    if !c.hits.isEmpty {
      out += out.isEmpty ? [] : [""]
      out.append(warn("a block would have hit who had logged in:"))
      for hit in c.hits {
        out.append("  " + TerminalText.escaped("\(hit.network) by \(hit.ruleID)\(hit.isOld ? " (as before)" : ""): \(hit.what) at \(hit.time)"))
      }
    }
    if !c.allowlisted.isEmpty {
      out += out.isEmpty ? [] : [""]
      out.append("only the allowlist keeps from a block:")
      for d in c.allowlisted.map(\.latest) {
        out.append("  " + TerminalText.escaped("\(d.subject.label) by \(d.ruleID), confidence \(d.confidence)"))
      }
    }
    return out
  }

  static func json(_ c: RuleComparison, _ problems: [String]) -> [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    for (name, value) in [
      ("appear", c.count(.appears)), ("vanish", c.count(.vanishes)), ("change", c.count(.changes)), ("stay", c.unchanged),
      ("blocks_before", c.oldBlocks), ("blocks_after", c.newBlocks),
    ] {
      json.key(text: name)
      json.value(value)
    }
    json.key("incidents")
    json.beginArray()
    for row in c.rows {
      json.beginObject()
      json.key("change")
      json.value(row.change.rawValue)
      json.key("details")
      json.beginArray()
      for detail in row.details { json.value(detail) }
      json.endArray()
      for (name, incident) in [("old", row.old), ("new", row.new)] {
        json.key(text: name)
        if let incident { json.raw(DecisionJSON.line(incident.latest)) } else { json.null() }
      }
      json.endObject()
    }
    json.endArray()
    json.key("legitimate_sources_hit")
    json.beginArray()
    for hit in c.hits {
      json.beginObject()
      for (name, value) in [("network", "\(hit.network)"), ("rule.id", hit.ruleID), ("what", hit.what)] {
        json.key(text: name)
        json.value(value)
      }
      json.key("@timestamp")
      json.value(hit.time)
      json.key("before_too")
      json.value(hit.isOld)
      json.endObject()
    }
    json.endArray()
    json.key("kept_by_allowlist")
    json.beginArray()
    for incident in c.allowlisted { json.raw(DecisionJSON.line(incident.latest)) }
    json.endArray()
    json.key("legitimate_sources_forgotten")
    json.value(c.forgottenSources)
    json.key("problems")
    json.beginArray()
    for problem in problems { json.value(problem) }
    json.endArray()
    json.endObject()
    return json.out
  }
}
