// `panguard decisions ...` and `panguard explain`: read the store, also while the agent writes it.
import AgentRuntime
import ArgumentParser
import CLinux
import Detection
import Export
import Glibc
import LogSources
import Primitives
import RuleImport
import RuleLanguage
import Storage

struct DecisionsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "decisions", abstract: "List, show, follow and mark decisions.",
    subcommands: [List.self, Show.self, Follow.self, Mark.self], defaultSubcommand: List.self)
}

/// Which decisions a command shows.
struct DecisionFilter: ParsableArguments {
  @Option(name: .long, help: "Not before this event time: RFC 3339, or a span back from now such as 24h.") var since: String?
  @Option(name: .long, help: "Before this event time: RFC 3339, or a span back from now.") var until: String?
  @Option(name: .long, help: "About this address or network (CIDR).") var address: String?
  @Option(name: .long, help: "About this user.") var user: String?
  @Option(name: .long, help: "From this rule; * and ? are wildcards.") var rule: String?
  @Option(name: .long, help: "At least this severity: \(Severity.allCases.map(\.rawValue).joined(separator: ", ")).") var severity: String?
  @Option(name: .long, help: "At least this confidence, 0.000 to 1.000.") var confidence: String?
  @Option(name: .long, help: "With this action: \(ProposedAction.allCases.map(\.rawValue).joined(separator: ", ")).") var action: String?

  func query(allRevisions: Bool) throws -> DecisionQuery {
    var query = DecisionQuery(allRevisions: allRevisions)
    query.since = try since.map { try DecisionFilter.time($0, "--since") }
    query.until = try until.map { try DecisionFilter.time($0, "--until") }
    if let address {
      guard let network = CIDR(address) else {
        throw CommandFailure.usage("--address wants an address or a network such as 192.0.2.0/24, not '\(address)'")
      }
      query.address = network
    }
    query.user = user
    query.rule = rule
    if let severity {
      guard let value = Severity(rawValue: severity) else {
        throw CommandFailure.usage("--severity wants one of \(Severity.allCases.map(\.rawValue).joined(separator: ", ")), not '\(severity)'")
      }
      query.minimumSeverity = value
    }
    if let confidence {
      guard let value = DecisionFilter.thousandths(confidence) else {
        throw CommandFailure.usage("--confidence wants a number from 0 to 1 with at most three decimals, not '\(confidence)'")
      }
      query.minimumConfidence = Confidence(thousandths: value)
    }
    if let action {
      guard let value = ProposedAction(rawValue: action) else {
        throw CommandFailure.usage("--action wants one of \(ProposedAction.allCases.map(\.rawValue).joined(separator: ", ")), not '\(action)'")
      }
      query.action = value
    }
    return query
  }

  static func time(_ text: String, _ option: String) throws -> EventTime {
    if let time = EventTime(rfc3339: text) { return time }
    if let span = Nanoseconds(duration: text) { return EventTime(seconds: Int64(Glibc.time(nil))) - span }
    throw CommandFailure.usage("\(option) wants a time such as 2026-01-31T00:00:00Z or a span such as 24h, not '\(text)'")
  }
  /// "0.9", "1", "0.953".
  static func thousandths(_ text: String) -> Int? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count <= 2, let whole = Int(parts[0]), whole == 0 || whole == 1 else { return nil }
    guard parts.count == 2 else { return whole * 1000 }
    guard (1...3).contains(parts[1].count), let fraction = Int(parts[1]), fraction >= 0 else { return nil }
    let value = whole * 1000 + fraction * [0, 100, 10, 1][parts[1].count]
    return value <= 1000 ? value : nil
  }
}

enum DecisionFormat: String, ExpressibleByArgument, CaseIterable { case table, json, jsonl, atr, stix }

/// Opens the store for reading, or says how to get one.
func openStore(_ selection: StateSelection) throws -> DecisionStore {
  let directory = try selection.directory()
  guard access(directory, F_OK) == 0 else {
    throw CommandFailure.environment("there is no store in \(directory) yet; start the agent with `panguard run`, or name its directory with --state")
  }
  do { return try DecisionStore(directory: directory, readOnly: true) } catch { throw CommandFailure.environment("\(error)") }
}

/// Reports records that could not be read; they are never just left out.
func reportUnreadable(_ answer: StoredDecisions) {
  for note in answer.unreadable { printError("panguard: warning: a stored record cannot be read: \(TerminalText.escaped(note))") }
}

extension DecisionsCommand {
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Decisions, newest first.")
    @OptionGroup var selection: StateSelection
    @OptionGroup var filter: DecisionFilter
    @Flag(name: .long, help: "Every record of each incident, not only the latest.") var all = false
    @Option(name: .long, help: "At most this many.") var limit: Int = 100
    @Option(name: .long, help: "table, json, jsonl, atr (ATR events) or stix (one bundle).") var format: DecisionFormat = .table
    @OptionGroup var rules: RuleSelection
    @Option(name: .long, help: "The key that signs ATR events. Default: output.atr_events.key of the configuration.", completion: .file())
    var key: String?

    func run() throws {
      guard limit > 0 else { throw CommandFailure.usage("--limit wants a number above 0") }
      let query = try filter.query(allRevisions: all)
      let store = try openStore(selection)
      let answer: StoredDecisions
      do { answer = try store.decisions(matching: query, limit: limit) } catch { throw CommandFailure.environment("\(error)") }
      reportUnreadable(answer)
      var output = Output()
      switch format {
      case .table:
        if answer.decisions.isEmpty {
          printError("no decision matches")
        } else {
          let width = isatty(STDOUT_FILENO) == 1 ? Terminal.width : 0
          var verdicts: [String: String] = [:]
          do { for (id, mark) in try store.latestMarks() { verdicts[id] = mark.verdict.rawValue } } catch {
            throw CommandFailure.environment("\(error)")
          }
          output.line(DecisionTable.render(answer.decisions, marks: verdicts, width: width, color: Terminal.usesColor(.auto)))
        }
      case .jsonl: for decision in answer.decisions { output.line(DecisionJSON.line(decision)) }
      case .json:
        var json = JSONWriter()
        json.beginArray()
        for decision in answer.decisions { json.raw(DecisionJSON.line(decision)) }
        json.endArray()
        output.line(json.out)
      case .stix:
        let settings = try selection.configuration()
        let loaded = RuleStore.load(paths: rules.rules.isEmpty ? settings.ruleDirectories : rules.rules)
        output.line(STIXBundle.bytes(answer.decisions, version: Version.text, rules: loaded.set.rules))
      case .atr:
        let settings = try selection.configuration()
        let loaded = RuleStore.load(paths: rules.rules.isEmpty ? settings.ruleDirectories : rules.rules)
        do {
          let signing = try (key ?? settings.atrEvents?.keyPath).map { try SigningKey(file: $0) }
          let writer = ATREventWriter(rules: loaded.set, key: signing, redacts: settings.atrEvents?.redacts ?? true)
          for decision in answer.decisions { output.line(try writer.line(decision)) }
        } catch {
          throw CommandFailure.environment("\(error)")
        }
      }
      output.flush()
      if answer.isCut { printError("only the newest \(limit) are shown; --limit shows more") }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Every record of one incident, as JSON lines.")
    @OptionGroup var selection: StateSelection
    @Argument(help: "The decision's id, or the beginning of it.") var id: String

    func run() throws {
      let store = try openStore(selection)
      let decision = try findDecision(id, in: store)
      let answer: StoredDecisions
      do { answer = try store.revisions(id: decision.id) } catch { throw CommandFailure.environment("\(error)") }
      reportUnreadable(answer)
      var output = Output()
      for record in answer.decisions { output.line(DecisionJSON.line(record)) }
      output.flush()
    }
  }

  struct Follow: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print decisions as they are stored, until Ctrl-C.")
    @OptionGroup var selection: StateSelection
    @OptionGroup var filter: DecisionFilter
    @Option(name: .long, help: "text or jsonl.") var format: FollowFormat = .text
    @Flag(name: .long, help: "Begin with everything that is stored already.") var fromStart = false
    enum FollowFormat: String, ExpressibleByArgument, CaseIterable { case text, jsonl }

    func run() throws {
      let query = try filter.query(allRevisions: true)
      let store = try openStore(selection)
      let color = Terminal.usesColor(.auto)
      // It reads only, so there is nothing to put in order: a signal is the usual end, not a failure.
      for number in [SIGINT, SIGTERM] { signal(number) { _ in _exit(ExitStatus.done.rawValue) } }
      do {
        var last = fromStart ? 0 : try store.lastSequence()
        while true {
          let answer = try store.follow(after: last, matching: query)
          last = answer.lastSequence
          reportUnreadable(answer)
          var output = Output()
          for decision in answer.decisions {
            if format == .jsonl {
              output.line(DecisionJSON.line(decision))
            } else {
              output.line(DecisionText.line(decision, color: color, width: isatty(STDOUT_FILENO) == 1 ? Terminal.width : 0))
            }
          }
          output.flush()
          if answer.decisions.isEmpty, !Output.waits(milliseconds: 250) { return }
        }
      } catch {
        throw CommandFailure.environment("\(error)")
      }
    }
  }
}

/// The decision whose id is or begins with `id`.
func findDecision(_ id: String, in store: DecisionStore) throws -> Decision {
  do {
    if let decision = try store.decision(idPrefix: id) { return decision }
  } catch {
    throw CommandFailure(status: error.code == .ambiguousID ? .usage : .environment, message: "\(error)")
  }
  throw CommandFailure.usage("there is no decision '\(TerminalText.escaped(id))'; `panguard decisions list` shows them")
}

struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain", abstract: "Why a decision was made: evidence, rule, confidence, action.",
    discussion: """
      Reads the agent's store, or with --log a decision log that `panguard replay --output` wrote. With --reproduce the decision is made again
      from the agent's journal (`panguard record`) and compared with the log: exit 0 where it is the same bytes, 1 where it is not.
      """)
  @OptionGroup var selection: StateSelection
  @OptionGroup var rules: RuleSelection
  @Option(name: .long, help: "A decision log (JSON lines) to look in instead of the store; - is standard input.", completion: .file())
  var log: String?
  @Option(name: .long, help: "table (a page for people) or json.") var format: OutputFormat = .table
  @Flag(name: .long, help: "Make the decision again from the journal, and compare it with the log.") var reproduce = false
  @Argument(help: "The decision's id, or the beginning of it.") var id: String

  func validate() throws { if reproduce, log != nil { throw ValidationError("--reproduce needs the agent's store, not --log") } }

  func run() throws {
    let decision = try log.map { try ExplainCommand.decision(id, inLog: $0) } ?? findDecision(id, in: openStore(selection))
    if reproduce { return try makeAgain(decision) }
    if format != .table {
      var output = Output()
      output.line(DecisionJSON.line(decision))
      output.flush()
      return
    }
    let settings = try selection.configuration()
    let loaded = RuleStore.load(paths: rules.rules.isEmpty ? settings.ruleDirectories : rules.rules)
    let rule = loaded.set.rules.first { $0.id == decision.ruleID }
    let lines = decision.evidence.map { ($0, ExplainCommand.fetch($0)) }
    var output = Output()
    output.line(
      DecisionPage.render(
        decision, rule: rule, lines: lines, model: settings.detector.confidence, color: Terminal.usesColor(.auto)))
    if log == nil { try (done(about: decision) + said(of: decision)).forEach { output.line($0) } }
    output.flush()
  }

  /// What playbooks gave out about the incident, the oldest first.
  private func done(about decision: Decision) throws -> [String] {
    let records: [ResponseRecord]
    do { records = try openStore(selection).responses(decisionID: decision.id, limit: 100) } catch { throw CommandFailure.environment("\(error)") }
    guard !records.isEmpty else { return [] }
    return ["", "What was done"]
      + records.reversed().map { record in
        let detail = record.detail.isEmpty ? "" : ": \(record.detail)"
        return TerminalText.escaped("  \(record.time) \(record.playbook): \(record.action): \(record.state.rawValue)\(detail)")
      }
  }

  /// What people said of it, the oldest first; the last counts.
  private func said(of decision: Decision) throws -> [String] {
    let marks: [DecisionMark]
    do { marks = try openStore(selection).marks(decisionID: decision.id) } catch { throw CommandFailure.environment("\(error)") }
    guard !marks.isEmpty else { return [] }
    return ["", "What people said of it"]
      + marks.map { TerminalText.escaped("  \($0.time) \($0.actor): \($0.verdict.rawValue): \($0.reason)") }
  }

  /// The latest record in a log whose id begins with `id`.
  static func decision(_ id: String, inLog path: String) throws -> Decision {
    var found: Decision?
    var number = 0
    try forEachLine(of: path) { line in
      number += 1
      guard !line.isEmpty else { return }
      do {
        let decision = try DecisionJSON.decode(line)
        if decision.id.hasPrefix(id) { found = decision }
      } catch {
        throw CommandFailure.environment("\(path):\(number): \(error)")
      }
    }
    guard let found else { throw CommandFailure.usage("there is no decision '\(TerminalText.escaped(id))' in \(path)") }
    return found
  }

  /// The raw line, if a version of its log still holds it.
  static func fetch(_ record: EvidenceRecord) -> String? {
    guard record.source != "-" else { return nil }
    if record.source == SourceName.journal { return JournalLineFetcher.fetch(record) }
    return LineFetcher.fetch(path: record.source, offset: record.offset, length: Int(record.length), expected: record.fingerprint)
      .map { String(decoding: $0.bytes, as: UTF8.self) }
  }
}
