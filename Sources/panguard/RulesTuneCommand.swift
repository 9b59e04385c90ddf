// `panguard rules tune`: from what was marked to a difference that a person can read, apply or drop.
import AgentRuntime
import ArgumentParser
import Detection
import EngineCommand
import Export
import Glibc
import Primitives
import RuleImport
import Scoring
import Storage
import TypedYAML

extension RulesCommand {
  struct Tune: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Propose changes from marked decisions, as a difference to review.",
      discussion: """
        Looks at the newest decisions and at what `panguard decisions mark` said of them. A rule that erred about few subjects gets exclusions
        for them, one that erred here and there another confidence. It says what that would have done to the decisions it looked at, and
        prints the change of the confidence file as a unified difference. Nothing is changed: `panguard rules tune | patch -p0` does it.
        Exit code 1: there is nothing to propose.
        """)
    @OptionGroup var selection: StateSelection
    @OptionGroup var rules: RuleSelection
    @Option(name: .long, help: "Look at so many decisions, the newest.") var last = 10_000
    @Option(name: [.short, .long], help: "Write the difference into this file instead of printing it.", completion: .file()) var output: String?

    private static let defaultFile = "/etc/panguard/confidence.yaml"
    /// Changed decisions that are listed; the rest is counted.
    private static let listed = 20

    func run() throws {
      guard (1...Limits.queryRows).contains(last) else { throw CommandFailure.usage("--last wants a number from 1 to \(Limits.queryRows)") }
      let settings = try selection.configuration()
      let store = try openStore(selection)
      let decisions: [Decision]
      let marks: [String: DecisionMark]
      do {
        let answer = try store.decisions(limit: last)
        reportUnreadable(answer)
        (decisions, marks) = (answer.decisions, try store.latestMarks())
      } catch { throw CommandFailure.environment("\(error)") }
      let loaded = RuleStore.load(paths: rules.rules.isEmpty ? settings.ruleDirectories : rules.rules)
      var stated: [String: Confidence] = [:]  // only looked up
      for rule in loaded.set.rules { stated[rule.id] = rule.confidence }
      let proposals = TuningProposal.propose(decisions, marks: marks, model: settings.confidence, stated: stated)
      let model = TuningProposal.apply(proposals, to: settings.confidence)
      var report = [
        "\(decisions.count) decisions, \(decisions.filter { marks[$0.id] != nil }.count) of them marked; \(proposals.count) proposals"
      ]
      report += proposals.map(Self.text)
      report += effect(of: model, settings, decisions, marks)
      var page = Output()
      for line in report { page.line("# " + TerminalText.escaped(line)) }
      if !proposals.isEmpty {
        let difference = try difference(settings, model)
        if let output { try BaselineFile.write(Array(difference.utf8), output) } else { page.line(String(difference.dropLast())) }
      }
      page.flush()
      if proposals.isEmpty { throw CommandFailure(status: .findings, message: "nothing to propose: no rule has marks that speak against it") }
      if settings.confidencePath == nil {
        printError("panguard: the agent reads the file once the configuration names it: confidence: {file: \(Self.defaultFile)}")
      }
    }

    private static func text(_ proposal: TuningProposal) -> String {
      let marks = "\(proposal.falsePositives) false positives, \(proposal.confirmed) confirmed"
      switch proposal.change {
      case .confidence(let from, let to): return "\(proposal.ruleID): \(marks): confidence \(from) to \(to)"
      case .exclude(let exclusions): return "\(proposal.ruleID): \(marks): not about \(exclusions.map(\.subject).joined(separator: ", "))"
      }
    }

    /// What the change would have made of the recorded decisions.
    private func effect(of model: ConfidenceModel, _ settings: Configuration, _ decisions: [Decision], _ marks: [String: DecisionMark]) -> [String] {
      let changed = decisions.compactMap { TunedDecision($0, from: settings.confidence, to: model, thresholds: settings.detector) }
      var lines = ["of the decisions looked at, \(changed.count) would have been different:"]
      for from in ProposedAction.allCases.reversed() {
        for to in ProposedAction.allCases.reversed() {
          let count = changed.filter { $0.decision.action == from && $0.action == to }.count
          if count > 0 { lines.append("  \(from.rawValue) -> \(to.rawValue): \(count)") }
        }
      }
      // First of all what speaks against the proposal.
      let attackers = TuningProposal.attackers(decisions, marks: marks)
      func isLost(_ tuned: TunedDecision) -> Bool { tuned.action < tuned.decision.action && attackers.contains(tuned.decision.subject.label) }
      let lost = changed.filter(isLost)
      if !lost.isEmpty { lines.append("  WARNING: \(lost.count) of them would do less about whom a mark confirmed as an attacker:") }
      for tuned in (lost + changed.filter { !isLost($0) }).prefix(Self.listed) {
        let d = tuned.decision
        let mark = marks[d.id].map { ", marked \($0.verdict.rawValue)" } ?? ""
        lines.append(
          "  \(d.id) \(d.ruleID) \(d.subject.label): \(d.confidence) \(d.action.rawValue) -> \(tuned.confidence) \(tuned.action.rawValue)\(mark)")
      }
      if changed.count > Self.listed { lines.append("  and \(changed.count - Self.listed) more") }
      return lines
    }

    private func difference(_ settings: Configuration, _ model: ConfidenceModel) throws -> String {
      var text: String?
      if let path = settings.confidencePath {
        switch readDocumentFile(path) {
        case .failure(let failure): throw CommandFailure.environment(failure.diagnostic.description)
        case .success(let bytes): text = String(decoding: bytes, as: UTF8.self)
        }
      }
      return ConfidenceFileDifference.unified(
        text: text, path: settings.confidencePath ?? Self.defaultFile, from: settings.confidence, to: model)
    }
  }
}
