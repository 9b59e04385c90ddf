// `panguard rules ...`: look at rules, check them, test them, and ask them about events.
import AgentRuntime
import ArgumentParser
import CLinux
import Events
import Glibc
import LogParsers
import LogSources
import Primitives
import RuleEngine
import RuleLanguage

struct RulesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rules", abstract: "List, check, test and explain rules.",
    subcommands: [List.self, Show.self, Lint.self, Test.self, Eval.self, Explain.self, ProfileCommand.self])
}

/// Which rules a command works on.
struct RuleSelection: ParsableArguments {
  @Option(name: .long, help: "A rule file or a directory of rules; may be given several times. Default: the shipped rules.", completion: .file())
  var rules: [String] = []
  @Option(name: .long, help: "Only the rules of this profile (an id, id@version or a file); may be given several times.", completion: .file())
  var profile: [String] = []

  /// Loads them; diagnostics of errors go to standard error. Fails where nothing could be loaded. `profiles`: where no --profile is given.
  func load(
    _ extra: [String] = [], disabled: [String] = [], profiles: [String] = [], reportsWarnings: Bool = false, takesRecordedMatches: Bool = false
  ) throws -> LoadedRules {
    let loaded = RuleStore.load(
      paths: rules + extra, disabled: disabled, profiles: profile.isEmpty ? profiles : profile, takesRecordedMatches: takesRecordedMatches)
    report(loaded.set.diagnostics, atLeast: reportsWarnings ? .warning : .error)
    guard !loaded.set.rules.isEmpty else {
      if !loaded.set.profiles.isEmpty {
        throw CommandFailure.environment("no rule of those loaded is in \(loaded.set.profiles.map(\.name).joined(separator: ", "))")
      }
      throw CommandFailure.environment("no rule could be loaded\(loaded.paths.isEmpty ? "" : " from \(loaded.paths.joined(separator: ", "))")")
    }
    return loaded
  }
}

/// Prints diagnostics to standard error in the form that editors understand.
func report(_ diagnostics: [Diagnostic], atLeast severity: Diagnostic.Severity) {
  for diagnostic in diagnostics where diagnostic.severity >= severity { printError("\(diagnostic)") }
}

enum OutputFormat: String, ExpressibleByArgument, CaseIterable { case table, json, jsonl }

extension RulesCommand {
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "One line for each rule.")
    @OptionGroup var selection: RuleSelection
    @Argument(help: "Rule files or directories.", completion: .file()) var paths: [String] = []
    @Option(name: .long, help: "table or jsonl.") var format: OutputFormat = .table

    func run() throws {
      let loaded = try selection.load(paths)
      var output = Output()
      if format != .table {
        for rule in loaded.set.rules { output.line(RuleView.json(rule)) }
      } else {
        output.line(RuleView.table(loaded.set.rules, width: Terminal.width))
        output.flush()
        let skipped = loaded.set.rules.filter { if case .skipped = $0.detection { true } else { false } }.count
        printError("\(loaded.set.rules.count) rules" + (skipped > 0 ? ", \(skipped) of them skipped (`panguard rules show ID` says why)" : ""))
      }
      output.flush()
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Everything about one rule.")
    @OptionGroup var selection: RuleSelection
    @Argument(help: "The rule's id.") var id: String

    func run() throws {
      let loaded = try selection.load()
      let rule = try find(id, in: loaded.set)
      var output = Output()
      output.line(RuleView.page(rule, color: Terminal.usesColor(.auto)))
      output.flush()
    }
  }

  struct Lint: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check rules without running them.",
      discussion: "Prints every finding as file:line:column. Exit 1 if there is an error, or, with --strict, a warning.")
    @OptionGroup var selection: RuleSelection
    @Argument(help: "Rule files or directories.", completion: .file()) var paths: [String] = []
    @Flag(name: .long, help: "Warnings fail too.") var strict = false

    func run() throws {
      let loaded = RuleStore.load(paths: selection.rules + paths)
      let engine = RuleEngine(loaded.set)
      let diagnostics = (loaded.set.diagnostics + RuleLint.lint(loaded.set) + engine.diagnostics).sorted { $0.location < $1.location }
      var output = Output()
      for diagnostic in diagnostics { output.line("\(diagnostic)") }
      output.flush()
      let errors = diagnostics.filter { $0.severity == .error }.count
      let warnings = diagnostics.filter { $0.severity == .warning }.count
      printError("\(loaded.set.rules.count) rules checked, \(loaded.set.refusedCount) refused, \(errors) errors, \(warnings) warnings")
      if errors > 0 || (strict && warnings > 0) { throw CommandFailure.findings }
    }
  }

  struct Test: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Run the cases that rules carry.",
      discussion: "Every case goes through the real parsers and the real engine. Exit 1 if one fails, or if none was run.")
    @OptionGroup var selection: RuleSelection
    @Argument(help: "Rule files or directories.", completion: .file()) var paths: [String] = []
    @Option(name: .long, help: "Only rules whose id contains this.") var filter: String?

    func run() throws {
      let loaded = RuleStore.load(paths: selection.rules + paths, profiles: selection.profile, takesRecordedMatches: true)
      report(loaded.set.diagnostics, atLeast: .error)
      var tester = RuleTester(loaded.set)
      var progress = Progress("testing rules")
      let filter = filter
      let result = tester.run(where: { rule in filter.map { rule.id.contains($0) } ?? true }) { progress.update(UInt64($0), of: UInt64($1)) }
      progress.finish()
      var output = Output()
      for failure in result.failures {
        let description = failure.description.isEmpty ? "" : " (\(failure.description))"
        output.line("\(failure.location): FAIL \(failure.ruleID) \(failure.group.rawValue): \(failure.reason)\(description)")
      }
      for skipped in result.skippedRules { output.line("skipped \(skipped.id): \(skipped.reason) (\(skipped.cases) cases not run)") }
      for id in result.untestedRules { output.line("no cases: \(id)") }
      output.line(
        "\(result.testedRules) rules, \(result.casesRun) cases run, \(result.passed) passed, \(result.failures.count) failed, "
          + "\(result.documentedEvasions) documented evasions")
      output.flush()
      if loaded.set.refusedCount > 0 { printError("panguard: \(loaded.set.refusedCount) rule files were refused; `panguard rules lint` says why") }
      if result.casesRun == 0 { throw CommandFailure(status: .findings, message: "no case was run: that is a failure, not a pass") }
      if !result.failures.isEmpty || loaded.set.refusedCount > 0 { throw CommandFailure.findings }
    }
  }

  struct Eval: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Which rules match which events.",
      discussion:
        #"Reads {"id":..,"event":{..}} lines and prints {"id":..,"matches":[{"rule_id":..,"severity":..,"matched":[..]}]}, one for each. A line with atr.rule_id is a recorded match: it feeds correlations."#
    )
    @OptionGroup var selection: RuleSelection
    @Option(name: .long, help: "jsonl.") var format: OutputFormat = .jsonl
    @Argument(help: "A file of events; - is standard input.", completion: .file()) var input: String = "-"

    func run() throws {
      let loaded = try selection.load(takesRecordedMatches: true)
      var evaluator = RuleEvaluator(loaded.set)
      var output = Output()
      var number = 0
      var bad = 0
      try forEachLine(of: input) { line in
        number += 1
        guard !line.trimmed.isEmpty else { return }
        do {
          output.line(try evaluator.evaluate(line: line))
        } catch {
          bad += 1
          printError("\(input):\(number): error: \(error); each line must be {\"id\":..,\"event\":{..}}")
          // One line for each event, also for one that cannot be read.
          output.line(#"{"id":null,"error":"not an event","line":\#(number),"matches":[]}"#)
        }
      }
      output.flush()
      if bad > 0 { throw CommandFailure.findings }
    }
  }

  struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show, condition by condition, what of a rule matched where in an event.")
    @OptionGroup var selection: RuleSelection
    @Argument(help: "The rule's id.") var id: String
    @Option(name: .long, help: "A file with one event: a JSON object of fields, or a raw log line. - is standard input.", completion: .file())
    var event: String

    func run() throws {
      let loaded = try selection.load()
      let rule = try find(id, in: loaded.set)
      guard let index = loaded.set.rules.firstIndex(where: { $0.id == rule.id }) else { return }
      let engine = RuleEngine(loaded.set)
      var subject = Event()
      var read = false
      var failure: String?
      let input = event
      try forEachLine(of: input) { line in
        guard !read, !line.trimmed.isEmpty else { return }
        read = true
        if line.trimmed.starts(with: "{"), (try? subject.setFields(fromJSON: RuleView.eventBody(line))) != nil { return }
        if line.trimmed.starts(with: "{\"id\"") {
          failure = "\(input): the line is not an event"
          return
        }
        var parser = LogParser(format: .auto, inputTime: EventTime(seconds: Int64(time(nil))))
        _ = parser.parse(line, origin: EventOrigin(source: 0, offset: 0, length: UInt32(clamping: line.count)), into: &subject)
      }
      if let failure { throw CommandFailure.environment(failure) }
      guard read else { throw CommandFailure.environment("\(input) holds no event; give a JSON object of fields or a raw log line") }
      var output = Output()
      output.line(RuleView.explanation(rule, engine.explain(rule: index, event: subject), color: Terminal.usesColor(.auto)))
      output.flush()
    }
  }
}

/// The rule with this id; a near miss is named.
func find(_ id: String, in set: RuleSet) throws -> Rule {
  if let rule = set.rules.first(where: { $0.id == id }) ?? set.rules.first(where: { $0.id.lowercased() == id.lowercased() }) { return rule }
  let near = nearest(id, in: set.rules.map(\.id))
  throw CommandFailure.usage("there is no rule '\(id)'\(near.map { "; did you mean '\($0)'?" } ?? "; `panguard rules list` shows them all")")
}
