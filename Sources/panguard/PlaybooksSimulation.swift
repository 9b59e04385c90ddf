// `panguard playbooks simulate` and `explain`: recorded decisions in, what would have been done out. Nothing is carried out.
import AgentRuntime
import ArgumentParser
import Detection
import Export
import Glibc
import Playbooks
import Primitives
import Storage

/// Recorded decisions, and how they are judged.
struct RecordedDecisions: ParsableArguments {
  @OptionGroup var selection: StateSelection
  @Option(name: .long, help: PlaybooksCommand.pathsHelp, completion: .file()) var playbooks: [String] = []
  @Flag(
    inversion: .prefixedNo, exclusivity: .chooseLast,
    help: "Evidence that any local user could have forged may act. Default: policy.claimed_may_block of the configuration.")
  var claimedMayAct: Bool?

  func plannerConfiguration() throws -> PlannerConfiguration {
    let settings = try selection.configuration()
    return PlannerConfiguration(
      mode: .observe, claimedMayAct: claimedMayAct ?? settings.claimedEvidenceMayBlock, thresholds: settings.detector)
  }

  func playbookSet() throws -> PlaybookSet { try PlaybooksCommand.load(playbooks, try selection.configuration()) }

  /// Calls `body` with each decision of a log that `panguard replay --output` wrote, or of the agent's store, in the order of their records.
  func forEach(log: String?, _ body: (Decision) throws -> Void) throws {
    guard let log else {
      let store = try openStore(selection)
      var last: Int64 = 0
      while true {
        let answer: (decisions: [Decision], last: Int64)
        do {
          let part = try store.follow(after: last, matching: DecisionQuery(allRevisions: true))
          for note in part.unreadable { printError("panguard: warning: a stored record cannot be read: \(TerminalText.escaped(note))") }
          answer = (part.decisions, part.lastSequence)
        } catch { throw CommandFailure.environment("\(error)") }
        for decision in answer.decisions { try body(decision) }
        guard answer.last > last else { return }
        last = answer.last
      }
    }
    var number = 0
    try forEachLine(of: log, lineLimit: Limits.documentBytes) { line in
      number += 1
      // What a correlation had to forget stands among the decisions.
      guard !line.isEmpty, !line.contains("\"event.action\":\"correlation_state_evicted\"") else { return }
      let decision: Decision
      do { decision = try DecisionJSON.decode(line) } catch { throw CommandFailure.environment("\(log):\(number): \(error)") }
      try body(decision)
    }
  }
}

extension PlaybooksCommand {
  struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "What playbooks would have done about recorded decisions.",
      discussion: """
        Reads a decision log that `panguard replay --output` wrote, or the agent's store, and prints every action an armed agent would have
        taken. With --against, only where another set of playbooks would have done something else; exit 1 if it would.
        """)
    @OptionGroup var recorded: RecordedDecisions
    @Option(name: .long, help: "Another set of playbooks: a file or directory. Lines that only it has begin with +.", completion: .file())
    var against: String?
    @Flag(name: .long, help: "Also what would have been refused, and why.") var all = false
    @Option(name: .long, help: "table (text) or jsonl.") var format: OutputFormat = .table
    @Argument(help: "A decision log (JSON lines); - is standard input. Default: the agent's store.", completion: .file()) var log: String?

    func run() throws {
      let configuration = try recorded.plannerConfiguration()
      var simulation = PlaybookSimulation(try recorded.playbookSet(), configuration: configuration)
      if let against {
        var other = PlaybookSimulation(try PlaybooksCommand.load([against], Configuration()), configuration: configuration)
        return try compare(&simulation, &other)
      }
      var output = Output()
      var tally = Tally()
      try recorded.forEach(log: log) { decision in
        let plan = simulation.plan(decision)
        tally.add(plan)
        let shown = plan.actions.filter { if case .refused = $0.disposition { all } else { true } }
        if format == .table {
          guard !shown.isEmpty else { return }
          output.line(Simulate.head(decision, plan.playbook))
          for action in shown { output.line("  " + TerminalText.escaped(action.sentence)) }
        } else {
          var plan = plan
          plan.actions = shown
          if !shown.isEmpty || all { output.line(PlanJSON.line(plan)) }
        }
      }
      output.flush()
      printError(tally.line)
    }

    private func compare(_ old: inout PlaybookSimulation, _ new: inout PlaybookSimulation) throws {
      var output = Output()
      var decisions = 0
      var differing = 0
      try recorded.forEach(log: log) { decision in
        decisions += 1
        let (before, after) = (old.plan(decision), new.plan(decision))
        guard let difference = PlanDifference(from: before, to: after) else { return }
        differing += 1
        guard format == .table else {
          output.line(Simulate.json(decision, before, after, difference))
          return
        }
        let names = "\(before.playbook ?? "none") -> \(after.playbook ?? "none")"
        output.line(Simulate.head(decision, before.playbook == after.playbook ? before.playbook : names))
        for line in difference.removed { output.line("- " + TerminalText.escaped(line)) }
        for line in difference.added { output.line("+ " + TerminalText.escaped(line)) }
      }
      output.flush()
      printError("\(differing) of \(decisions) decisions would be answered differently")
      if differing > 0 { throw CommandFailure.findings }
    }

    private static func head(_ decision: Decision, _ playbook: String?) -> String {
      let judged = "\(decision.ruleID) \(decision.confidence) \(decision.trust.name)"
      return TerminalText.escaped("\(decision.time) \(decision.id) \(judged) \(decision.subject.label): \(playbook ?? "no playbook")")
    }

    private static func json(_ decision: Decision, _ old: Plan, _ new: Plan, _ difference: PlanDifference) -> [UInt8] {
      var json = JSONWriter()
      json.beginObject()
      json.key("@timestamp")
      json.value(decision.time)
      json.key("panguard.decision.id")
      json.value(decision.id)
      json.key("panguard.decision.revision")
      json.value(decision.revision)
      json.key("playbook")
      if let name = old.playbook { json.value(name) } else { json.null() }
      json.key("against")
      if let name = new.playbook { json.value(name) } else { json.null() }
      json.key("removed")
      json.beginArray()
      for line in difference.removed { json.value(line) }
      json.endArray()
      json.key("added")
      json.beginArray()
      for line in difference.added { json.value(line) }
      json.endArray()
      json.endObject()
      return json.out
    }

    private struct Tally {
      var decisions = 0
      var matched = 0
      var done = 0
      var asked = 0
      var refused: [String: Int] = [:]  // printed in the order of the codes
      mutating func add(_ plan: Plan) {
        decisions += 1
        if plan.playbook != nil { matched += 1 }
        for action in plan.actions {
          switch action.disposition {
          case .wouldDo, .execute: done += 1
          case .wouldAsk, .awaitsApproval: asked += 1
          case .refused(let refusal): refused[refusal.code, default: 0] += 1
          }
        }
      }
      var line: String {
        let reasons = refused.keys.sorted().map { "\($0) \(grouped(UInt64(refused[$0] ?? 0)))" }.joined(separator: ", ")
        return "\(grouped(UInt64(decisions))) decisions, \(grouped(UInt64(matched))) with a playbook: "
          + "\(grouped(UInt64(done))) actions would be taken, \(grouped(UInt64(asked))) asked for, refused: \(reasons.isEmpty ? "none" : reasons)"
      }
    }
  }

  struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Which playbook is for a decision, and why the others are not.",
      discussion: "What it would do is shown as for a subject that is seen for the first time.")
    @OptionGroup var recorded: RecordedDecisions
    @Option(name: .long, help: "A decision log (JSON lines) to look in instead of the store; - is standard input.", completion: .file())
    var log: String?
    @Option(name: .long, help: "table (a page for people) or json.") var format: OutputFormat = .table
    @Argument(help: "The decision's id, or the beginning of it.") var id: String

    func run() throws {
      let decision = try log.map { try find(in: $0) } ?? findDecision(id, in: openStore(recorded.selection))
      let configuration = try recorded.plannerConfiguration()
      var simulation = PlaybookSimulation(try recorded.playbookSet(), configuration: configuration)
      let considered = simulation.explain(decision)
      let plan = simulation.plan(decision)
      var output = Output()
      guard format == .table else {
        var json = JSONWriter()
        json.beginObject()
        json.key("plan")
        json.raw(PlanJSON.line(plan))
        json.key("considered")
        json.beginArray()
        for consideration in considered { PlanJSON.append(consideration, to: &json) }
        json.endArray()
        json.endObject()
        output.line(json.out)
        output.flush()
        return
      }
      let rule = "\(decision.ruleID) \(decision.ruleTitle), \(decision.severity.rawValue)"
      output.line(TerminalText.escaped("\(decision.id) revision \(decision.revision), \(decision.time): \(rule)"))
      output.line(TerminalText.escaped("about \(decision.subject.label), confidence \(decision.confidence), evidence \(decision.trust.name)"))
      output.line("")
      output.line(plan.playbook.map { "Playbook \($0):" } ?? "No playbook is for it: it is recorded, and nothing follows.")
      for action in plan.actions {
        output.line("  \(action.step). " + TerminalText.escaped(action.sentence))
        if let rollback = action.rollback { output.line("     taken back by: " + TerminalText.escaped(rollback.text)) }
      }
      output.line("")
      output.line("In the order in which they are asked:")
      for one in considered { output.line("  " + one.playbook.padding(to: 24) + TerminalText.escaped(one.sentence)) }
      output.flush()
    }

    /// The latest record in a log whose id begins with ours.
    private func find(in log: String) throws -> Decision {
      var found: Decision?
      try recorded.forEach(log: log) { if $0.id.hasPrefix(id) { found = $0 } }
      guard let found else { throw CommandFailure.usage("there is no decision '\(TerminalText.escaped(id))' in \(TerminalText.escaped(log))") }
      return found
    }
  }
}
