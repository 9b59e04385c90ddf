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
import RuleImport
import RuleLanguage

struct RulesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rules", abstract: "List, check, test and explain rules.",
    subcommands: [
      List.self, Show.self, New.self, Lint.self, Test.self, Eval.self, Explain.self, Bench.self, Cost.self, Coverage.self, ProfileCommand.self,
      Import.self, Diff.self, Tune.self, Convert.self, RulesConformance.self, PrintSchema.self,
    ])
}

enum EvalFormat: String, ExpressibleByArgument, CaseIterable { case jsonl, match }
enum OutputFormat: String, ExpressibleByArgument, CaseIterable { case table, json, jsonl }

extension RulesCommand {
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "One line for each rule.")
    @OptionGroup var selection: RuleSelection
    @Argument(help: RuleSelection.pathsHelp, completion: .file()) var paths: [String] = []
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
        let inactive = loaded.set.rules.count { !$0.isActive }
        printError(
          "\(loaded.set.rules.count) rules" + (inactive > 0 ? ", \(inactive) of them inactive (draft, deprecated, or not in this lane)" : "")
            + (skipped > 0 ? ", \(skipped) of them skipped (`panguard rules show ID` says why)" : ""))
      }
      output.flush()
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Everything about one rule.")
    @OptionGroup var selection: RuleSelection
    @Argument(help: "The rule's id.", completion: RuleCompletion.rules) var id: String

    func run() throws {
      let loaded = try selection.load()
      let rule = try find(id, in: loaded.set)
      var output = Output()
      output.line(RuleView.page(rule, color: Terminal.usesColor(.auto)))
      output.flush()
    }
  }

  struct Test: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Run the cases that rules carry.",
      discussion: "Every case goes through the real parsers and the real engine. Exit 1 if one fails, or if none was run. Drafts are tested too.")
    @OptionGroup var selection: RuleSelection
    @Argument(help: RuleSelection.pathsHelp, completion: .file()) var paths: [String] = []
    @Option(name: .long, help: "Only rules whose id contains this.") var filter: String?
    @Option(name: .long, help: "Answers of a reference engine to print beside ours (Tests/Differential/pyatr_cases.py).", completion: .file())
    var reference: String?
    @Flag(name: .long, help: "Stay, and test again what a saved file changes. Ctrl-C ends.") var watch = false

    func run() throws {
      let options = selection.options(takesRecordedMatches: true)
      if watch { return RulesWatch(paths: selection.rules + paths, filter: filter, options: options).run() }
      let answers = try reference.map { path in
        do { return try RuleTestReference.load(path) } catch { throw CommandFailure.environment("\(error)") }
      }
      let loaded = RuleStore.load(paths: selection.rules + paths, options: options)
      report(loaded.set.diagnostics, atLeast: .error)
      var tester = RuleTester(loaded.set)
      var progress = Progress("testing rules")
      let filter = filter
      let result = tester.run(where: { rule in filter.map { rule.id.contains($0) } ?? true }) { progress.update(UInt64($0), of: UInt64($1)) }
      progress.finish()
      var output = Output()
      for line in RuleTestView.lines(result, reference: answers) { output.line(line) }
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
        #"""
        Reads {"id":..,"event":{..}} lines and prints {"id":..,"matches":[{"rule_id":..,"severity":..,"matched":[..]}]}, one for each; with \
        --format match a line for each match, with the fields of SPEC.md section 7. A line with atr.rule_id is a recorded match: it feeds \
        correlations.
        """#)
    @OptionGroup var selection: RuleSelection
    @Option(name: .long, help: "jsonl (one line for each event) or match (one for each match).") var format: EvalFormat = .jsonl
    @Argument(help: "A file of events; - is standard input.", completion: .file()) var input: String = "-"

    func run() throws {
      let loaded = try selection.load(takesRecordedMatches: true)
      var evaluator = RuleEvaluator(loaded, cacheDirectory: RuleStore.defaultCacheDirectory())
      for rule in evaluator.skipped { printError("\(rule.id) is skipped (method \(rule.method)): \(rule.reason)") }
      for sentence in UnfedCorrelation.sentences(loaded.set) { printError(sentence) }
      var output = Output()
      var number: UInt64 = 0
      var bad = 0
      try forEachLine(of: input, lineLimit: Limits.agentLineBytes) { line in
        number += 1
        guard !line.trimmed.isEmpty else { return }
        do {
          switch format {
          case .jsonl: output.line(try evaluator.evaluate(line: line, number: number))
          case .match:
            let now = EventTime(seconds: Int64(time(nil)))
            for match in try evaluator.matches(line: line, number: number, corpusVersion: loaded.corpusVersion, readTime: now) { output.line(match) }
          }
        } catch {
          bad += 1
          printError("\(input):\(number): error: \(error); each line must be {\"id\":..,\"event\":{..}}")
          // One line for each event, also for one that cannot be read.
          if format == .jsonl { output.line(RuleEvaluator.refusal(of: line, number: number)) }
        }
      }
      output.flush()
      if bad > 0 { throw CommandFailure.findings }
    }
  }
}

/// The rule with this id; a near miss is named.
func find(_ id: String, in set: RuleSet) throws -> Rule {
  if let rule = set.rules.first(where: { $0.id == id }) ?? set.rules.first(where: { $0.id.lowercased() == id.lowercased() }) { return rule }
  let near = nearest(id, in: set.rules.map(\.id))
  throw CommandFailure.usage("there is no rule '\(id)'\(near.map { "; did you mean '\($0)'?" } ?? "; `panguard rules list` shows them all")")
}
