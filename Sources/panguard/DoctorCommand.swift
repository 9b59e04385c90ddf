// `panguard doctor`: what would keep the agent from doing its work here, and what to do about each.
import AgentRuntime
import ArgumentParser
import Export
import Glibc
import Primitives
import RuleEngine
import RuleImport
import Storage

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Check this host, the configuration and the rules; say what to do.",
    discussion: "Exit 1 if something is wrong that keeps the agent from working.")
  @OptionGroup var selection: StateSelection
  @OptionGroup var rules: RuleSelection

  enum Verdict: String { case ok, warning, problem }
  struct Check {
    var verdict: Verdict
    var name: String
    var text: String
    init(_ verdict: Verdict, _ name: String, _ text: String) {
      self.verdict = verdict
      self.name = name
      self.text = text
    }
  }

  /// Each source that the agent would read, or why it would not.
  static func checkSources(_ settings: Configuration) -> [Check] {
    var checks: [Check] = []
    func add(_ name: String, _ problem: String?) {
      guard let problem else { return checks.append(Check(.ok, name, "readable")) }
      let isCovered = problem.contains("has the same messages")
      checks.append(Check(isCovered ? .ok : .warning, name, "not read: \(problem)"))
    }
    for source in settings.sources ?? [] {
      switch source.input {
      case .journal: add("journal", SourceDiscovery.journalProblem())
      case .files(let pattern):
        let paths = SourceDiscovery.expand(pattern)
        if paths.isEmpty { add(pattern, "no file matches; it is read as soon as one appears") }
        for path in paths { add(path, SourceDiscovery.problem(reading: path)) }
      }
    }
    if settings.sources == nil {
      for source in SourceDiscovery.discover(journalProblem: SourceDiscovery.journalProblem()) { add(source.name, source.reasonNotRead) }
    }
    if !checks.contains(where: { $0.text == "readable" }) {
      let advice =
        settings.sources == nil ? "run as root or as a user in the groups adm and systemd-journal" : "see `sources` in the configuration"
      checks.append(Check(.problem, "sources", "no log can be read now; \(advice)"))
    }
    return checks
  }

  /// Mode, enforcer, blocks. An agent that observes needs no enforcer.
  static func checkResponse(_ status: AgentStatus) -> Check {
    let response = status.response
    let text = "mode \(status.mode), enforcer: \(response.enforcer), \(response.activeBlocks) blocks, \(response.pendingApprovals) questions wait"
    if response.isEnforcerReady { return Check(.ok, "response", text) }
    return status.mode == "armed" ? Check(.problem, "response", text + "; nobody else is blocked") : Check(.ok, "response", text)
  }

  /// That none is set up is no problem: nothing was to be sent.
  static func checkUplink(_ status: AgentStatus) -> Check {
    Check(status.response.isUplinkTroubled ? .warning : .ok, "uplink", status.response.uplink)
  }

  func run() throws {
    var checks: [Check] = []
    var settings = Configuration()
    let path = selection.config ?? Configuration.defaultPath
    if access(path, F_OK) == 0 {
      let (loaded, diagnostics) = Configuration.load(path: path)
      if let loaded { settings = loaded }
      let errors = diagnostics.filter { $0.severity == .error }
      checks.append(
        errors.isEmpty
          ? Check(.ok, "configuration", path) : Check(.problem, "configuration", errors.map { "\($0)" }.joined(separator: "\n")))
      for warning in diagnostics where warning.severity == .warning { checks.append(Check(.warning, "configuration", "\(warning)")) }
    } else {
      checks.append(
        selection.config == nil
          ? Check(.ok, "configuration", "none at \(path): defaults")
          : Check(.problem, "configuration", "\(path): \(String(cString: strerror(errno)))"))
    }

    let loaded = RuleStore.load(
      paths: rules.rules.isEmpty ? settings.ruleDirectories : rules.rules, options: rules.options(settings))
    let engine = RuleEngine(loaded.set)
    let broken = (loaded.set.diagnostics + engine.diagnostics).filter { $0.severity == .error }
    if !broken.isEmpty {
      checks.append(Check(.problem, "rules", broken.map { "\($0)" }.joined(separator: "\n")))
    } else {
      checks.append(Check(.ok, "rules", "\(loaded.set.rules.count) from \(loaded.paths.joined(separator: ", "))"))
    }

    let playbooks = PlaybookStore.configured(settings)
    let wrong = playbooks.diagnostics.filter { $0.severity == .error }
    checks.append(
      wrong.isEmpty
        ? Check(.ok, "playbooks", "\(playbooks.playbooks.count)") : Check(.problem, "playbooks", wrong.map { "\($0)" }.joined(separator: "\n")))

    checks += DoctorCommand.checkSources(settings)

    let directory = selection.state ?? AgentPaths.stateDirectory(configured: settings.stateDirectory)
    if access(directory, F_OK) != 0 {
      checks.append(Check(.ok, "state", "\(directory) will be made at the first start"))
    } else {
      do {
        let store = try DecisionStore(directory: directory, readOnly: true)
        let statistics = try store.statistics()
        checks.append(Check(.ok, "state", "\(store.path): \(grouped(UInt64(clamping: statistics.incidents))) incidents"))
      } catch {
        checks.append(Check(.problem, "state", "\(error)"))
      }
    }
    do {
      let answer = try ControlClient.ask(AgentPaths.socketPath(in: directory), .status)
      let status = try answer.withUnsafeBytes { try AgentStatus(json: $0) }
      let processes = ServiceProcesses.all(with: status)
      checks.append(Check(.ok, "agent", "running"))
      checks.append(DoctorCommand.checkResponse(status))
      checks.append(DoctorCommand.checkUplink(status))
      // That none is set up is no problem either: nothing was to be done.
      checks.append(Check(status.response.isResponderTroubled ? .warning : .ok, "responder", status.response.responder))
      checks += ProcessView.problems(processes).map { Check(.problem, "confinement", $0 + "; start panguard again") }
      let lines = ["what confines each"] + ProcessView.table(processes) + ProcessView.details(processes)
      checks.append(Check(processes.contains { !$0.notConfined.isEmpty } ? .warning : .ok, "processes", lines.joined(separator: "\n")))
    } catch {
      checks.append(Check(.warning, "agent", "not running; `panguard run` starts it"))
    }
    if let socket = settings.syslogPath, access(socket, W_OK) != 0 {
      let reason = String(cString: strerror(errno))
      checks.append(Check(.problem, "syslog", "\(socket): \(reason); start the syslog service or set output.syslog to false"))
    }

    let color = Terminal.usesColor(.auto)
    var output = Output()
    for check in checks {
      let mark =
        switch check.verdict {
        case .ok: color ? "\u{1b}[32mok\u{1b}[0m      " : "ok      "
        case .warning: color ? "\u{1b}[33mwarning\u{1b}[0m " : "warning "
        case .problem: color ? "\u{1b}[31mproblem\u{1b}[0m " : "problem "
        }
      for (i, line) in check.text.split(separator: "\n").enumerated() {
        output.line((i == 0 ? mark : "        ") + (i == 0 ? check.name + ": " : "  ") + TerminalText.escaped(String(line)))
      }
    }
    output.flush()
    if checks.contains(where: { $0.verdict == .problem }) { throw CommandFailure.findings }
  }
}
