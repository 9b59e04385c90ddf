// `panguard replay --journal` and `panguard explain --reproduce`: what the agent was given, given again; its decisions compared with its log.
import AgentRuntime
import ArgumentParser
import Detection
import Export
import Glibc
import InputJournal
import Primitives
import Storage

/// The segments of an agent's journal, oldest first.
struct RecordedInput {
  struct Segment {
    var path: String
    var bytes: UInt64
    var header: SegmentHeader
    /// Event times of what it holds; nil: nothing that could decide anything.
    var span: (oldest: EventTime, newest: EventTime)?
  }
  var segments: [Segment] = []
  /// Files that are no segments, are damaged at their beginning or stand in another's place, and segments that are missing between others.
  var problems: [String] = []

  /// Fails where there is no journal.
  init(state: String) throws {
    let files = InputJournalFiles(state: state)
    var expected: UInt64?
    for file in files.segments {
      // The oldest are removed to make room; between others none is.
      if let expected, file.number > expected { problems.append(RecordedInput.missing(expected..<file.number, in: state)) }
      expected = file.number + 1
      do throws(InputJournalError) {
        let reader = try SegmentReader(path: file.path)
        guard reader.header.number == file.number else {
          throw InputJournalError(path: file.path, reason: "is segment \(reader.header.number) by its header: it was copied or renamed")
        }
        segments.append(Segment(path: file.path, bytes: file.bytes, header: reader.header, span: try SegmentReader.span(path: file.path)))
      } catch { problems.append("\(error)") }
    }
    guard segments.isEmpty else { return }
    guard access(files.directory, F_OK) != 0 || access(files.directory, R_OK | X_OK) == 0 else {
      throw CommandFailure.environment("\(files.directory): \(String(cString: strerror(errno)))")
    }
    let reason = problems.first.map { ": " + TerminalText.escaped($0) } ?? ""
    throw CommandFailure.environment(
      "\(TerminalText.escaped(state)) has no journal\(reason); `panguard record on` begins one, or name another directory with --state")
  }

  private static func missing(_ numbers: Range<UInt64>, in state: String) -> String {
    let last = numbers.upperBound - 1
    return "\(state): segment \(numbers.lowerBound)\(last > numbers.lowerBound ? " to \(last)" : "") of the journal is missing"
  }

  /// Those with events in `range`.
  func segments(in range: Range<EventTime>) -> [Int] {
    segments.indices.filter { index in segments[index].span.map { $0.oldest < range.upperBound && $0.newest >= range.lowerBound } ?? false }
  }
  /// The one during which the log got its record `sequence`.
  func segment(of sequence: Int64) -> Int? { segments.lastIndex { $0.header.sequence < sequence } }
  func next(behind index: Int) -> SegmentHeader? { index + 1 < segments.count ? segments[index + 1].header : nil }
}

/// Detectors for segments: each begins cold, all with the same rules and settings.
struct PipelineSource {
  let settings: Configuration
  let loaded: LoadedRules

  init(_ settings: Configuration, _ loaded: LoadedRules) { (self.settings, self.loaded) = (settings, loaded) }
  /// `config`: nil is the host's own, where there is one.
  init(config: String?, _ selection: RuleSelection) throws {
    settings = try PipelineSource.settings(config)
    loaded = try selection.load(selection.rules.isEmpty ? settings.ruleDirectories : [], settings: settings)
  }
  static func settings(_ config: String?) throws -> Configuration {
    try ReplayCommand.settings(config ?? (access(Configuration.defaultPath, F_OK) == 0 ? Configuration.defaultPath : nil))
  }
  func pipeline() -> Pipeline { ReplayCommand.pipeline(loaded, settings) }
  var provenance: Provenance {
    Provenance(engineVersion: Version.text, ruleSetHash: loaded.hash, configurationHash: settings.hash, baselineHash: "")
  }
}

extension ReplayCommand {
  /// "FROM..TO", either of which may be missing.
  static func range(_ text: String) throws -> Range<EventTime> {
    guard let dots = text.firstRange(of: "..") else {
      throw CommandFailure.usage("--journal wants FROM..TO, for example 2026-01-31T00:00:00Z..2026-02-01T00:00:00Z, 24h.. or .. (everything)")
    }
    let (from, to) = (String(text[..<dots.lowerBound]), String(text[dots.upperBound...]))
    let low = try from.isEmpty ? .distantPast : DecisionFilter.time(from, "--journal")
    let high = try to.isEmpty ? .distantFuture : DecisionFilter.time(to, "--journal")
    guard low < high else { throw CommandFailure.usage("--journal wants FROM..TO with FROM before TO") }
    return low..<high
  }

  func replayJournal(_ text: String) throws {
    let range = try ReplayCommand.range(text)
    let source = try PipelineSource(config: config, selection)
    let state = self.state ?? AgentPaths.stateDirectory(configured: source.settings.stateDirectory)
    // Asked before the journal is: what a running agent has stored by now is in it, and what it stores from now on is not looked for.
    let newest = verify ? try ReplayCommand.newestRecord(state) : 0
    let input = try RecordedInput(state: state)
    let chosen = input.segments(in: range)
    guard !chosen.isEmpty else {
      for problem in input.problems { printError("panguard: " + TerminalText.escaped(problem)) }
      throw CommandFailure.environment("the journal has nothing between \(range.lowerBound) and \(range.upperBound)")
    }
    if verify { return try verifyJournal(input, chosen, range, source, state, upTo: newest) }
    for problem in input.problems { printError("panguard: " + TerminalText.escaped(problem)) }

    var log = try output.map { try Output(creating: $0) }
    let shown = format ?? (output == nil ? .text : .none)
    guard shown != .atr, shown != .stix else { throw CommandFailure.usage("--journal prints text or jsonl") }
    var screen = Output()
    let color = Terminal.usesColor(.auto)
    let width = isatty(STDOUT_FILENO) == 1 ? Terminal.width : 0
    var progress = Progress("replaying", quiet: quiet || shown != .none)
    var failure: String?
    let total = chosen.reduce(UInt64(0)) { $0 + input.segments[$1].bytes }
    var done: UInt64 = 0
    for index in chosen {
      do throws(InputJournalError) {
        let replay = try InputReplay(path: input.segments[index].path, pipeline: source.pipeline())
        while try replay.step({ outcome in
          guard case .decision(let decision) = outcome, range.contains(decision.time) else { return }
          let line = DecisionJSON.line(decision)
          log?.line(line)
          if shown == .jsonl { screen.line(line) }
          if shown == .text { screen.line(DecisionText.line(decision, color: color, width: width)) }
        }) {
          progress.update(done + replay.position, of: total)
        }
      } catch { failure = "\(error)" }
      done += input.segments[index].bytes
    }
    progress.finish()
    log?.flush()
    screen.flush()
    if let failure { throw CommandFailure.environment(TerminalText.escaped(failure)) }
    if !input.problems.isEmpty { throw CommandFailure(status: .environment, message: "") }
  }

  private static func newestRecord(_ state: String) throws -> Int64 {
    do {
      let store = try DecisionStore(directory: state, readOnly: true)
      defer { store.close() }
      return try store.lastSequence()
    } catch { throw CommandFailure.environment(TerminalText.escaped("\(error)")) }
  }
  private func verifyJournal(
    _ input: RecordedInput, _ chosen: [Int], _ range: Range<EventTime>, _ source: PipelineSource, _ state: String, upTo newest: Int64
  ) throws {
    var progress = Progress("verifying", quiet: quiet)
    let total = chosen.reduce(UInt64(0)) { $0 + input.segments[$1].bytes }
    var done: UInt64 = 0
    var verification: JournalVerification
    do {
      let store = try DecisionStore(directory: state, readOnly: true)
      defer { store.close() }
      verification = JournalVerification(
        store: store, upTo: newest, range: range, provenance: source.provenance, problems: input.problems)
      for index in chosen {
        let replay = try InputReplay(path: input.segments[index].path, pipeline: source.pipeline())
        try verification.verify(replay, next: input.next(behind: index)) { at, _ in progress.update(done + at, of: total) }
        done += input.segments[index].bytes
      }
      try verification.finish()
    } catch let error as CommandFailure { throw error } catch {
      throw CommandFailure.environment(TerminalText.escaped("\(error)"))
    }
    progress.finish()
    var screen = Output()
    if format == .jsonl { screen.line(VerificationView.json(verification)) } else { VerificationView.lines(verification).forEach { screen.line($0) } }
    screen.flush()
    if verification.differing > 0 || !verification.otherProvenance.isEmpty { throw CommandFailure.findings }
    if !verification.problems.isEmpty { throw CommandFailure(status: .environment, message: "") }
  }
}

enum VerificationView {
  static func lines(_ v: JournalVerification) -> [String] {
    let scope = "\(grouped(UInt64(v.segments))) segments, \(grouped(v.records)) records of input"
    var out: [String] = []
    if v.isVerified {
      out.append("verified: \(grouped(v.identical)) decisions are byte for byte those of the log (\(scope))")
    } else if v.differing == 0, v.otherProvenance.isEmpty {
      out.append("not wholly verified: \(grouped(v.identical)) decisions are byte for byte those of the log, others could not be made (\(scope))")
    } else {
      out.append("not verified: \(grouped(v.differing)) decisions differ, \(grouped(v.identical)) are the same (\(scope))")
    }
    out += v.otherProvenance.map { TerminalText.escaped($0) }
    if let first = v.findings.first {
      out.append("the first that differs:")
      out += "\(first)".split(separator: "\n").map { "  " + TerminalText.escaped(String($0)) }
    }
    out += v.problems.map { "not all could be read: " + TerminalText.escaped($0) }
    func note(_ count: UInt64, _ text: String) { if count > 0 { out.append("\(grouped(count)) \(text)") } }
    note(v.neverStored, "decisions at the end of a recording were never stored: the engine was killed, and decided them again")
    note(v.cutBytes, "bytes at the end of a recording were written in part, and were cut")
    let isWhole = v.problems.isEmpty && v.cutBytes == 0
    note(v.notRecorded, "decisions of the log were made while nothing was recorded" + (isWhole ? "" : ", or from what is missing"))
    return out
  }

  static func json(_ v: JournalVerification) -> [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    json.key("verified")
    json.value(v.isVerified)
    for (name, value) in [
      ("identical", v.identical), ("differing", v.differing), ("never_stored", v.neverStored), ("not_recorded", v.notRecorded),
      ("segments", UInt64(v.segments)), ("records", v.records), ("cut_bytes", v.cutBytes),
    ] {
      json.key(text: name)
      json.value(value)
    }
    for (name, list) in [("other_provenance", v.otherProvenance), ("problems", v.problems)] {
      json.key(text: name)
      json.beginArray()
      for line in list { json.value(line) }
      json.endArray()
    }
    json.key("differences")
    json.beginArray()
    for finding in v.findings { append(finding, to: &json) }
    json.endArray()
    json.endObject()
    return json.out
  }

  private static func append(_ finding: JournalVerification.Finding, to json: inout JSONWriter) {
    json.beginObject()
    func text(_ key: StaticString, _ value: String) {
      json.key(key)
      json.value(value)
    }
    switch finding.kind {
    case .differs(let difference):
      text("kind", "differs")
      text("part", difference.part)
      text("logged", difference.logged)
      text("replayed", difference.replayed)
    case .notLogged: text("kind", "not_logged")
    case .notReplayed: text("kind", "not_replayed")
    case .order: text("kind", "order")
    }
    text("panguard.decision.id", finding.id)
    json.key("panguard.decision.revision")
    json.value(finding.revision)
    text("rule.id", finding.ruleID)
    text("subject", finding.subject)
    json.key("@timestamp")
    json.value(finding.time)
    text("input.source", finding.place.source)
    json.key("input.offset")
    json.value(finding.place.offset)
    text("input.text", finding.place.text)
    json.endObject()
  }
}

extension ExplainCommand {
  /// Makes one stored decision again. Exit 1 where it is another one now.
  func makeAgain(_ decision: Decision) throws {
    let source = try PipelineSource(config: selection.config, rules)
    let input = try RecordedInput(state: try selection.directory())
    let found: DecisionRecord?
    let store = try openStore(selection)
    do { found = try store.record(id: decision.id, revision: decision.revision) } catch { throw CommandFailure.environment("\(error)") }
    guard let record = found, let index = input.segment(of: record.sequence) else {
      throw CommandFailure.environment("the journal does not reach back to \(decision.time); what was decided before it began cannot be made again")
    }
    let segment = input.segments[index]
    var progress = Progress("reproducing")
    var made: (decision: Decision, place: InputPlace)?
    // How far the log is known to have come with what the segment holds.
    var stored = segment.header.sequence
    do throws(InputJournalError) {
      let replay = try InputReplay(path: segment.path, pipeline: source.pipeline())
      while made == nil,
        try replay.step({ outcome in
          switch outcome {
          case .stored(let sequence): stored = sequence
          case .decision(let other):
            if other.id == decision.id, other.revision == decision.revision { made = (other, replay.place) }
          }
        })
      {
        progress.update(replay.position, of: replay.fileBytes)
      }
    } catch { throw CommandFailure.environment(TerminalText.escaped("\(error)")) }
    progress.finish()
    var output = Output()
    defer { output.flush() }
    let provenance = source.provenance
    let isSameSource =
      segment.header.ruleSetHash == provenance.ruleSetHash && segment.header.configurationHash == provenance.configurationHash
      && segment.header.engineVersion == provenance.engineVersion
    if !isSameSource {
      printError("panguard: the rules, the configuration or the engine are not those of the recording (segment \(segment.header.number))")
    }
    guard let made else {
      if record.sequence > stored {
        throw CommandFailure.environment(
          "\(decision.id) revision \(decision.revision) was decided behind the end of segment \(segment.header.number), while nothing was recorded")
      }
      output.line("not reproduced: \(decision.id) revision \(decision.revision) is not decided when segment \(segment.header.number) is replayed")
      output.flush()
      throw CommandFailure.findings
    }
    output.line("input: " + TerminalText.escaped("\(made.place)"))
    guard let difference = DecisionDifference(logged: record, replayed: made.decision) else {
      output.line("reproduced: \(decision.id) revision \(decision.revision), byte for byte as in the log")
      return
    }
    output.line("not reproduced: " + TerminalText.escaped("\(difference)"))
    output.flush()
    throw CommandFailure.findings
  }
}
