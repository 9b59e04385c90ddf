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
        With --field the text is that field alone, whatever the rule. Exit 0, whether the rule matches or not.

        panguard rules explain ATR-2026-90201 --field url.path --input '/a/..%2fetc/passwd'
        """)
    @OptionGroup var selection: RuleSelection
    @Argument(help: "The rule's id.", completion: RuleCompletion.rules) var id: String
    @Option(name: .long, help: "The text to look at; - reads standard input.") var input: String?
    @Option(name: .long, help: "The field that the text is.", completion: RuleCompletion.fields) var field: [String] = []
    @Option(name: .long, help: "A file with one event (a JSON object of fields) or raw log lines; - is standard input.", completion: .file())
    var event: String?
    @Option(name: .long, help: "table or json.") var format: OutputFormat = .table

    func run() throws {
      guard (input == nil) != (event == nil) else {
        throw CommandFailure.usage(input == nil ? "give a text with --input, or a file with --event" : "--input and --event cannot be given together")
      }
      var loaded = try selection.load()
      loaded.set.activate(lane: .hunt, includesInactive: true)  // whoever asks about a draft wants to know
      let rule = try find(id, in: loaded.set)
      var explainer = RuleExplainer(rule, in: loaded.set)
      let explanation: RuleExplanation
      do {
        explanation = try explainer.explain(try subject(rule), inputTime: EventTime(seconds: Int64(time(nil))))
      } catch RuleExplainer.Failure.notAnEvent {
        throw CommandFailure.environment("\(event ?? "--input"): the line is not an event")
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

    private func subject(_ rule: Rule) throws -> RuleExplainer.Input {
      let isFile = event != nil
      let text: [UInt8]
      if let event { text = try contents(event) } else { text = input == "-" ? try contents("-") : Array((input ?? "").utf8) }
      if !field.isEmpty { return .text(text, fields: field.map(FieldReference.init(name:))) }
      let first = text.withUnsafeBytes { Bytes(rebasing: $0.prefix { $0 != 0x0a }).trimmed.starts(with: "{") }
      if isFile || isHost(rule), first, let event = event(text) { return .event(event) }
      return isFile || isHost(rule) ? .lines(text) : .text(text, fields: RuleExplainer.fields(of: rule))
    }
    private func isHost(_ rule: Rule) -> Bool { rule.agentSource.isEmpty || RuleWords.hostSources.contains(rule.agentSource) }

    /// The object of fields, also inside `{"id":..,"event":{..}}`; nil where a parser of logs must look at the line.
    private func event(_ text: [UInt8]) -> [UInt8]? {
      let line = Array(text.prefix { $0 != 0x0a })
      return line.withUnsafeBytes { bytes in
        var probe = Event()
        let body = RuleView.eventBody(bytes.trimmed)
        guard (try? probe.setFields(fromJSON: body)) != nil || bytes.trimmed.starts(with: "{\"id\"") else { return nil }
        return Array(body)
      }
    }
    private func contents(_ path: String) throws -> [UInt8] {
      var text: [UInt8] = []
      try forEachLine(of: path) { line in
        if !text.isEmpty { text.append(0x0a) }
        text.append(contentsOf: line)
      }
      return text
    }
  }
}
