// `panguard rules explain`: why a rule matches a text, or how far it got.
import AgentRuntime
import ArgumentParser
import Events
import Glibc
import LogParsers
import Primitives
import RuleLanguage

extension RulesCommand {
  struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show, condition by condition, what of a rule matched where in a text, or how far it got.",
      discussion: """
        A rule for hosts reads --input as log lines, through the real parsers; a rule for agents as the text of the fields that it looks at. \
        With --field the text is that field alone, whatever the rule. --event takes what rules eval takes, with or without {"id":..,"event":..} \
        around it. Exit 0, whether the rule matches or not.

        panguard rules explain ATR-2026-90201 --field url.path --input '/a/..%2fetc/passwd'
        """)
    @OptionGroup var selection: RuleSelection
    @Argument(help: "The rule's id.", completion: RuleCompletion.rules) var id: String
    @Option(name: .long, help: "The text to look at; - reads standard input.") var input: String?
    @Option(name: .long, help: "The field that the text is.", completion: RuleCompletion.fields) var field: [String] = []
    @Option(
      name: .long, help: "A file of events (JSON, one in each line, as for rules eval) or of raw log lines; - is standard input.",
      completion: .file())
    var event: String?
    @Option(name: .long, help: "table or json.") var format: OutputFormat = .table

    func run() throws {
      guard (input == nil) != (event == nil) else {
        throw CommandFailure.usage(input == nil ? "give a text with --input, or a file with --event" : "--input and --event cannot be given together")
      }
      var loaded = try selection.load(takesRecordedMatches: event != nil)
      loaded.set.activate(lane: .hunt, includesInactive: true)  // whoever asks about a draft wants to know
      let rule = try find(id, in: loaded.set)
      var explainer = RuleExplainer(rule, in: loaded.set)
      let explanation: RuleExplanation
      do {
        explanation = try explainer.explain(try subject(rule, loaded.set), inputTime: EventTime(seconds: Int64(time(nil))))
      } catch RuleExplainer.Failure.notAnEvent(let line, let reason) {
        throw CommandFailure.environment("\(event ?? "--input"):\(line): the line is not an event: \(reason)")
      } catch RuleExplainer.Failure.nothing {
        throw CommandFailure.environment("\(event ?? "--input") holds no event; give a JSON object of fields or a raw log line")
      }
      var output = Output()
      if format == .table {
        output.line(RuleExplanationText.page(explanation, width: Terminal.width, color: Terminal.usesColor(.auto)))
      } else {
        output.line(RuleExplanationJSON.encode(explanation))
      }
      output.flush()
    }

    private func subject(_ rule: Rule, _ set: RuleSet) throws -> RuleExplainer.Input {
      let text: [UInt8]
      if let event { text = try contents(event) } else { text = input == "-" ? try contents("-") : Array((input ?? "").utf8) }
      if !field.isEmpty { return .text(text, fields: field.map(FieldReference.init(name:))) }
      let isHost = RuleExplainer.isForHosts(rule, in: set)
      if event == nil, !isHost { return .text(text, fields: RuleExplainer.fields(of: rule)) }
      // For a rule about agents a line that is no event must not pass for a log line, which it would never match.
      return !isHost || RuleExplainer.beginsWithEvent(text) ? .events(text) : .lines(text)
    }
    private func contents(_ path: String) throws -> [UInt8] {
      var text: [UInt8] = []
      var isFirst = true
      try forEachLine(of: path, lineLimit: Limits.agentLineBytes) { line in
        if !isFirst { text.append(0x0a) }
        isFirst = false
        text.append(contentsOf: line)
      }
      return text
    }
  }
}
