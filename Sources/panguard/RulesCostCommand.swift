// `panguard rules cost`: the dearest rules, with reasons and what to do.
import AgentRuntime
import ArgumentParser
import Export
import Glibc
import Primitives
import RuleLanguage
import RuleLinting
import TypedYAML

extension RulesCommand {
  struct Cost: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "The most expensive rules, why they are, and what to do.",
      discussion: """
        Runs every pattern on a set of texts: the shipped harmless documents and the first true positive of each rule, or the lines of \
        --events. Nanoseconds depend on the machine; everything else does not.
        """)
    @OptionGroup var selection: RuleSelection
    @Argument(help: RuleSelection.pathsHelp, completion: .file()) var paths: [String] = []
    @Option(name: .long, help: "A file of texts, one for each line; - is standard input.", completion: .file()) var events: String?
    @Option(name: .long, help: "How many rules to show.") var top = 20
    @Option(name: .long, help: "table, json or jsonl (one rule for each line).") var format: OutputFormat = .table

    func run() throws {
      let loaded = try selection.load(paths)
      let texts = try self.texts(loaded.set)
      guard !texts.isEmpty else { throw CommandFailure.environment("there is no text to measure on; name a file with --events") }
      let report = RuleCosting.report(
        loaded.set, texts: texts, clock: Cost.processorTime, readFile: { try? readDocumentFile($0).get() })
      var output = Output()
      let shown = report.costs.prefix(max(0, top))
      if format == .table {
        for line in Cost.table(shown, report, width: Terminal.width) { output.line(line) }
      } else {
        for cost in shown { output.line(Cost.json(cost, report)) }
      }
      output.flush()
      printError(
        "\(report.costs.count) rules with patterns, \(report.texts) texts of \(grouped(UInt64(report.textBytes))) bytes, "
          + "\(grouped(UInt64(report.confirmations))) confirmations in \(Cost.duration(report.nanoseconds))")
    }

    /// "412 µs", "7.3 ms", "194 ms"
    private static func duration(_ nanoseconds: Int64) -> String {
      if nanoseconds < 1_000_000 { return "\(nanoseconds / 1000) µs" }
      let tenths = nanoseconds / 100_000
      return tenths < 1000 ? "\(tenths / 10).\(tenths % 10) ms" : "\(tenths / 10) ms"
    }

    /// Nanoseconds of this thread on a processor: a busy machine does not make a rule look dear.
    private static func processorTime() -> Int64 {
      var now = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now)
      return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
    }

    private func texts(_ set: RuleSet) throws -> [String] {
      if let events {
        var texts: [String] = []
        try forEachLine(of: events) { line in if texts.count < Limits.costTexts { texts.append(line.string) } }
        return texts
      }
      var texts = try BenignFile.read(nil).map(\.text)
      for rule in set.rules {
        guard let test = rule.tests.first(where: { $0.group == .truePositive }) else { continue }
        switch test.input {
        case .lines(let text), .event(let text): texts.append(text)
        case .stream: break
        }
      }
      return texts
    }

    private static func table(_ costs: ArraySlice<RuleCost>, _ report: RuleCostReport, width: Int) -> [String] {
      var rows = [["RULE", "SHARE", "RUNS", "MATCHES", "ns/RUN", "PATTERNS"]]
      for cost in costs {
        let share = report.share(cost)
        rows.append([
          cost.ruleID, "\(share / 10).\(share % 10)%", "\(cost.confirmations)", "\(cost.matches)",
          "\(cost.nanoseconds / Int64(max(1, cost.confirmations)))", "\(cost.patterns)",
        ])
      }
      var lines: [String] = []
      for (number, row) in RuleTestView.aligned(rows).enumerated() {
        lines.append(row)
        guard number > 0 else { continue }
        let cost = costs[costs.startIndex + number - 1]
        // A path is not broken: it is there to be opened.
        lines.append("    worst pattern at \(TerminalText.escaped(cost.worstPattern.description))")
        for reason in cost.reasons {
          let parts = TerminalText.wrapped("\(reason.explanation): \(reason.suggestion)", to: max(40, width) - 6)
          lines += parts.enumerated().map { ($0 == 0 ? "    " : "      ") + $1 }
        }
      }
      return lines
    }

    private static func json(_ cost: RuleCost, _ report: RuleCostReport) -> [UInt8] {
      var json = JSONWriter()
      json.beginObject()
      json.key("rule")
      json.value(cost.ruleID)
      json.key("share")
      json.value(thousandths: report.share(cost))
      for (key, value) in [
        ("patterns", cost.patterns), ("confirmations", cost.confirmations), ("matches", cost.matches), ("limit_hits", cost.limitHits),
        ("nanoseconds", Int(clamping: cost.nanoseconds)),
      ] {
        json.key(text: key)
        json.value(value)
      }
      json.key("worst_pattern")
      json.value(cost.worstPattern.description)
      json.key("reasons")
      json.beginArray()
      for reason in cost.reasons {
        json.beginObject()
        json.key("id")
        json.value(reason.rawValue)
        json.key("explanation")
        json.value(reason.explanation)
        json.key("suggestion")
        json.value(reason.suggestion)
        json.endObject()
      }
      json.endArray()
      json.endObject()
      return json.out
    }
  }
}
