// `panguard run`: the agent in the foreground, against this host.
import AgentRuntime
import ArgumentParser
import CLinux
import Export
import Glibc
import Primitives

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Watch this host in the foreground and show decisions live.",
    discussion: """
      Finds the logs that exist (files and the journal), says which it reads and which it cannot and why, and prints decisions until
      Ctrl-C. It observes: decisions say what would be done. Run it as root, or as a user in the groups adm and systemd-journal.
      """)
  @OptionGroup var selection: StateSelection
  @OptionGroup var rules: RuleSelection
  @Flag(name: .long, help: "Read logs that were never seen from their beginning instead of from their end.") var fromStart = false
  @Option(name: .long, help: "Print each decision to standard output as text or jsonl. Default: as output.text of the configuration says.")
  var format: LiveFormat?
  enum LiveFormat: String, ExpressibleByArgument, CaseIterable { case text, jsonl }

  func run() throws {
    Agent.holdSignals()
    let settings = try selection.configuration()
    let loaded = try rules.load(rules.rules.isEmpty ? settings.ruleDirectories : [], settings: settings)
    var options = AgentOptions(stateDirectory: selection.state ?? AgentPaths.stateDirectory(configured: settings.stateDirectory))
    options.fromStart = fromStart
    options.cacheDirectory = RuleStore.defaultCacheDirectory()
    let color = Terminal.usesColor(.auto)
    let format = format ?? RunCommand.configuredFormat(settings)
    let screen = LiveOutput(STDOUT_FILENO)
    let messages = LiveOutput(STDERR_FILENO)
    messages.line("panguard \(Version.text), mode observe: it decides and explains, it does not act")
    messages.line("\(loaded.set.rules.count) rules from \(loaded.paths.joined(separator: ", ")); state in \(options.stateDirectory)")
    if let line = SkippedRule.sentence(loaded.set) { messages.line("warning: " + TerminalText.escaped(line)) }
    let agent: Agent
    do {
      agent = try Agent(configuration: settings, rules: loaded, options: options) { report in
        switch report {
        case .note(let text): messages.line(TerminalText.escaped(text))
        case .warning(let text): messages.line("warning: " + TerminalText.escaped(text))
        case .decision(let decision):
          guard let format, !screen.isClosed else { return }
          switch format {
          case .jsonl: screen.line(DecisionJSON.line(decision))
          case .text: screen.line(DecisionText.line(decision, color: color, width: isatty(STDOUT_FILENO) == 1 ? Terminal.width : 0))
          }
          if screen.isClosed { messages.line("nobody reads standard output any more; decisions are still stored") }
        }
      }
    } catch {
      throw CommandFailure.environment("\(error)")
    }
    agent.unshownDecisions = { screen.droppedLines }
    if agent.hasNoSources {
      throw CommandFailure.environment(
        """
        \(settings.sources == nil ? RunCommand.nothingFound : "the configuration names no source").
        Name logs in the configuration (`panguard config reference`), or see Panguard work on the bundled sample:
          \(CommandLine.arguments[0]) replay \(RunCommand.sample)
        """)
    }
    agent.run()
    screen.finish()
    let counters = agent.status().counters
    func counter(_ name: String) -> String { grouped(counters.first { $0.name == name }?.value ?? 0) }
    messages.line("\(counter("events")) events, \(counter("decisions")) decisions; `panguard decisions list` shows them")
  }

  private static let nothingFound =
    "there is no log to read on this host: no journal, and none of the usual files in /var/log that this user may read"

  /// nil: decisions are only stored.
  private static func configuredFormat(_ settings: Configuration) -> LiveFormat? {
    switch settings.textOutput {
    case .auto, .always: .text
    case .never: nil
    }
  }

  /// The sample that comes with the source tree or the package.
  static var sample: String {
    let places = ["examples/auth.log", "/usr/share/doc/panguard/examples/auth.log"]
    return places.first { access($0, R_OK) == 0 } ?? places[0]
  }
}
