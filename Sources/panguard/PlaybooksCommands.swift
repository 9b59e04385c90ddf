// `panguard playbooks ...`: check playbooks, run their tests, and ask what they would do about recorded decisions. Nothing is carried out.
import AgentRuntime
import ArgumentParser
import Detection
import Export
import Playbooks
import Primitives
import RuleImport
import RuleLanguage
import Storage

struct PlaybooksCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "playbooks", abstract: "Check, test and try playbooks: what is done about decisions.",
    subcommands: [List.self, Lint.self, Test.self, Simulate.self, Explain.self])

  static let pathsHelp: ArgumentHelp =
    "Playbooks: files or directories. Default: response.playbooks of the configuration, else the host's own, else the shipped ones."

  /// Reads what is named, else what `settings` names, with what is wrong with it.
  static func read(_ paths: [String], _ settings: Configuration) -> PlaybookSet {
    PlaybookStore.load(paths: paths.isEmpty ? settings.playbookDirectories : paths)
  }
  /// Loads a set that can run. Its errors go to standard error and end the command.
  static func load(_ paths: [String], _ settings: Configuration) throws -> PlaybookSet {
    let set = read(paths, settings)
    report(set.diagnostics, atLeast: .warning)
    if set.hasErrors { throw CommandFailure.findings }
    return set
  }
}

extension PlaybooksCommand {
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Playbooks in the order in which they are asked.")
    @OptionGroup var selection: ConfigurationSelection
    @Argument(help: PlaybooksCommand.pathsHelp, completion: .file()) var paths: [String] = []
    @Option(name: .long, help: "table or jsonl.") var format: OutputFormat = .table

    func run() throws {
      let set = try PlaybooksCommand.load(paths, try selection.configuration())
      var output = Output()
      for playbook in set.playbooks {
        let steps = playbook.steps.map { $0.action.kind.rawValue + ($0.asks ? " (asks)" : "") }
        guard format == .table else {
          var json = JSONWriter()
          json.beginObject()
          json.key("playbook")
          json.value(playbook.id)
          json.key("title")
          json.value(playbook.title)
          json.key("priority")
          json.value(playbook.priority)
          json.key("enabled")
          json.value(playbook.isEnabled)
          json.key("steps")
          json.beginArray()
          for step in steps { json.value(step) }
          json.endArray()
          json.key("tests")
          json.value(playbook.tests.count)
          json.endObject()
          output.line(json.out)
          continue
        }
        let priority = "\(playbook.priority)"
        let state = playbook.isEnabled ? "" : " (switched off)"
        output.line(
          String(repeating: " ", count: max(0, 4 - priority.count)) + priority + "  " + playbook.id.padding(to: 24)
            + TerminalText.escaped(playbook.title) + state)
        output.line("      " + steps.joined(separator: ", "))
      }
      output.flush()
    }
  }

  struct Lint: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Find what is wrong with playbooks.",
      discussion: """
        Errors refuse a playbook; warnings are triggers that no rule can pull, playbooks that are never asked, and blocks that end before somebody
        who is back is looked at again. Exit 1 on errors.
        """)
    @OptionGroup var selection: ConfigurationSelection
    @Argument(help: PlaybooksCommand.pathsHelp, completion: .file()) var paths: [String] = []
    @Option(name: .long, help: RuleSelection.help, completion: .file()) var rules: [String] = []
    @Option(name: .long, help: "table or jsonl.") var format: OutputFormat = .table

    func run() throws {
      let settings = try selection.configuration()
      let set = PlaybooksCommand.read(paths, settings)
      let loaded = RuleStore.load(paths: rules)
      var findings = set.diagnostics + PlaybookStore.unfedTriggers(set, rules: loaded.set.rules)
      findings += PlaybookStore.unguardedTimes(set, reconsiderAfter: settings.reconsiderAfter)
      findings += set.playbooks.filter(\.tests.isEmpty).map {
        Diagnostic(.warning, $0.location, "playbook \($0.id) carries no test", hint: "add 'tests:'; docs/playbooks.md shows how")
      }
      findings.sort { $0.location != $1.location ? $0.location < $1.location : $0.message < $1.message }
      var output = Output()
      for finding in findings {
        guard format == .table else {
          output.line(finding.lintJSON)
          continue
        }
        output.line("\(finding)")
      }
      output.flush()
      let errors = findings.count { $0.severity == .error }
      printError("\(set.playbooks.count) playbooks checked, \(errors) errors, \(findings.count - errors) warnings")
      if errors > 0 { throw CommandFailure.findings }
    }
  }

  struct Test: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Run the tests that playbooks carry.",
      discussion: "Each goes through the real planner with the whole set. Exit 1 if one fails, or if none was run.")
    @OptionGroup var selection: ConfigurationSelection
    @Argument(help: PlaybooksCommand.pathsHelp, completion: .file()) var paths: [String] = []
    @Option(name: .long, help: "table or json.") var format: OutputFormat = .table

    func run() throws {
      let set = try PlaybooksCommand.load(paths, try selection.configuration())
      let result = PlaybookTester.run(set)
      var output = Output()
      if format == .table {
        for failure in result.failures { output.line("FAILED \(TerminalText.escaped("\(failure)"))") }
        for id in result.untested { printError("warning: playbook \(id) carries no test") }
        output.line(
          "\(result.testsRun) tests, \(result.decisionsPlanned) decisions, \(result.failures.count) failed, \(set.playbooks.count) playbooks")
      } else {
        output.line(result.json)
      }
      output.flush()
      if !result.failures.isEmpty || result.testsRun == 0 { throw CommandFailure.findings }
    }
  }
}

extension PlaybookTestReport {
  fileprivate var json: [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    json.key("tests")
    json.value(testsRun)
    json.key("decisions")
    json.value(decisionsPlanned)
    json.key("failures")
    json.beginArray()
    for failure in failures {
      json.beginObject()
      json.key("location")
      json.value("\(failure.location)")
      json.key("playbook")
      json.value(failure.playbook)
      json.key("test")
      json.value(failure.test)
      json.key("reason")
      json.value(failure.reason)
      json.endObject()
    }
    json.endArray()
    json.key("untested")
    json.beginArray()
    for id in untested { json.value(id) }
    json.endArray()
    json.endObject()
    return json.out
  }
}

extension Diagnostic {
  /// One line of JSON.
  fileprivate var lintJSON: [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    json.key("severity")
    json.value(severity.rawValue)
    location.append(to: &json)
    json.key("message")
    json.value(message)
    json.key("hint")
    json.value(hint)
    json.endObject()
    return json.out
  }
}
