// The engine as a process: it finds out what it needs, gives everything else up, and only then reads the first byte from outside. Then it
// runs one agent after the other: a reload that is good replaces the agent, one that is not leaves it alone.
// Invariants: one thread until `Confinement.apply` has returned; rules and logs are read behind it, the operator's configuration before.
import AgentRuntime
import CLinux
import Confinement
import Export
import Glibc
import HostActions
import Playbooks
import Primitives
import RuleLanguage
import Storage
import Supervision

public final class EngineProcess {
  private let options: EngineOptions
  private let isSupervised: Bool
  private let state: String
  private let cache: String?
  private let account: Account?
  private let confinement: Confinement
  private let control: ControlSocket
  private let processes: ProcessTable
  private let enforcer: EnforcerLink
  private let uplink: UplinkLink
  private let responder: ResponderLink
  private let capture: CaptureLink?
  private let audit: AuditFile
  private var input: AgentInput
  private let messages = LiveOutput(STDERR_FILENO)
  private let screen = LiveOutput(STDOUT_FILENO)
  private let watchdog = ServiceManager.watchdogInterval
  private var lastWatchdog: Int64 = 0
  private var isSupervisorGone = false
  private let recording = RecordingSwitch()
  private weak var agent: Agent?

  /// Runs the engine until it is told to end.
  public static func run(_ options: EngineOptions, isSupervised: Bool) throws {
    InheritedDescriptors.closeOthers(keeping: isSupervised ? [Channel.supervisor] : [])
    Agent.holdSignals()
    let engine = try EngineProcess(options, isSupervised: isSupervised)
    defer { engine.control.closeAndRemove() }
    try engine.serve()
  }

  private init(_ options: EngineOptions, isSupervised: Bool) throws {
    self.options = options
    self.isSupervised = isSupervised && Channel.isOpen(Channel.supervisor)
    if self.isSupervised { _ = fcntl(Channel.supervisor, F_SETFD, FD_CLOEXEC) }
    let settings = try options.selection.configuration()
    state = EngineConfinement.absolute(options.selection.state ?? AgentPaths.stateDirectory(configured: settings.stateDirectory))
    cache = RuleStore.defaultCacheDirectory().map(EngineConfinement.absolute)
    let (account, note) = try EngineConfinement.account(requested: options.user)
    self.account = account
    // Everything with a privilege: directories of ours, and the socket that operators talk to.
    do {
      try Ownership.prepare(state, for: account, isState: true)
      if let cache { try? Ownership.prepare(cache, for: account, isState: false) }
      control = try EngineProcess.openControl(state)
    } catch {
      throw CommandFailure.environment("\(error)")
    }
    if let account { control.give(to: account.user, group: account.group) }
    // SQLite's temporary files stay where the engine may write.
    setenv("SQLITE_TMPDIR", state, 1)
    let enforcerPath = EngineProcess.enforcerPath(settings, isSupervised: self.isSupervised)
    enforcer = EnforcerLink(path: enforcerPath)
    uplink = UplinkLink(path: self.isSupervised ? nil : UplinkLink.defaultPath)
    responder = ResponderLink(path: self.isSupervised ? nil : ResponderClient.defaultPath)
    let capturePath = EngineProcess.capturePath(settings, isSupervised: self.isSupervised)
    capture = settings.readsNetwork ? CaptureLink(path: capturePath) : nil
    confinement = EngineConfinement.declare(
      options, settings, state: state, cache: cache, account: account, connectsToEnforcer: enforcerPath != nil || capturePath != nil)
    let report: ConfinementReport
    do {
      report = try confinement.apply()
    } catch {
      control.closeAndRemove()
      throw CommandFailure.environment("\(error)")
    }
    // With the supervisor the engine ends, however that ends.
    if self.isSupervised { _ = pg_prctl(1, UInt(SIGKILL), 0) }
    audit = AuditFile(directory: state)
    processes = ProcessTable(
      report: report, isSupervised: self.isSupervised, audit: audit, enforcer: enforcer, uplink: uplink, responder: responder,
      capture: capture)
    let loaded: LoadedRules
    let playbooks: PlaybookSet
    do {
      playbooks = try EngineProcess.playbooks(settings)
      loaded = try options.rules.load(options.rules.rules.isEmpty ? settings.ruleDirectories : [], settings: settings, cache: cache)
    } catch {
      control.closeAndRemove()
      throw error
    }
    input = AgentInput(configuration: settings, rules: loaded, playbooks: playbooks)
    messages.line("panguard \(Version.text)")
    messages.line("\(loaded.set.rules.count) rules from \(loaded.paths.joined(separator: ", ")); state in \(state)")
    messages.line("the engine gave up: \(report.achieved.joined(separator: "; "))")
    if let note { messages.line(note) }
    for line in report.missing where note == nil || !line.hasPrefix("user:") {
      messages.line("the engine could not give up " + TerminalText.escaped(line))
    }
    if let line = SkippedRule.sentence(loaded.set) { messages.line("warning: " + TerminalText.escaped(line)) }
  }

  /// Where the enforcer is asked; nil: only over what the supervisor hands over.
  private static func enforcerPath(_ settings: Configuration, isSupervised: Bool) -> String? {
    settings.enforcerPath ?? (isSupervised ? nil : Configuration.defaultEnforcerPath)
  }

  /// Where events of the network come from; nil: only what the supervisor hands over, or none are wanted.
  private static func capturePath(_ settings: Configuration, isSupervised: Bool) -> String? {
    settings.readsNetwork ? settings.capturePath ?? (isSupervised ? nil : Configuration.defaultCapturePath) : nil
  }

  /// Fails where any of them has an error: what is missing may be what was to ask first. A host without playbooks only decides.
  private static func playbooks(_ settings: Configuration) throws -> PlaybookSet {
    let set = PlaybookStore.configured(settings)
    let errors = set.diagnostics.filter { $0.severity == .error }
    guard errors.isEmpty else {
      report(errors, atLeast: .error)
      throw CommandFailure.environment("the playbooks have errors; `panguard playbooks lint` lists them")
    }
    return set
  }

  /// One engine at a time. One that was killed a moment ago may still be ending.
  private static func openControl(_ state: String) throws -> ControlSocket {
    let path = AgentPaths.socketPath(in: state)
    if let descriptor = ServiceManager.controlSocket() { return ControlSocket(listening: descriptor, path: path) }
    for _ in 0..<20 {
      do {
        try DecisionStore.refuseSecondWriter(in: state)
        return try ControlSocket(path: path)
      } catch let error as StorageError where error.code == .locked {
        usleep(50_000)
      } catch let error as ControlSocketError where error.isTaken {
        usleep(50_000)
      }
    }
    try DecisionStore.refuseSecondWriter(in: state)
    return try ControlSocket(path: path)
  }

  // MARK: Running

  private func serve() throws {
    // What ran before the present input: it comes back where the present one cannot even be begun.
    var previous: AgentInput?
    while true {
      do {
        let agent = try makeAgent(input)
        self.agent = agent
        if agent.hasNoSources { throw noSources() }
        agent.unshownDecisions = { [screen] in screen.droppedLines }
        switch agent.run() {
        case .stopped: return finish(agent)
        case .replaced(let next): (previous, input) = (input, next)
        }
      } catch {
        let failure = error as? CommandFailure ?? .environment("\(error)")
        guard let last = previous else { throw failure }
        messages.line("warning: not reloaded: \(TerminalText.escaped(failure.message)); the rules and the configuration before it are taken again")
        (previous, input) = (nil, last)
      }
    }
  }

  private func makeAgent(_ input: AgentInput) throws -> Agent {
    var options = AgentOptions(stateDirectory: state)
    options.fromStart = self.options.fromStart
    options.cacheDirectory = cache
    let format = self.options.liveFormat(input.configuration)
    let color = Terminal.usesColor(.auto)
    return try Agent(
      configuration: input.configuration, rules: input.rules, playbooks: input.playbooks, options: options, control: control, hooks: hooks()
    ) {
      [messages, screen] report in
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
  }

  private func hooks() -> AgentHooks {
    var hooks = AgentHooks()
    hooks.moment = { [unowned self] in take($0) }
    hooks.reload = { [unowned self] in reload() }
    hooks.enforcer = enforcer
    hooks.uplink = uplink
    hooks.responder = responder
    hooks.capture = capture
    hooks.recording = recording
    hooks.audit = { [audit] in audit.append(actor: $0, event: $1, process: "engine", detail: $2) }
    hooks.processes = { [processes] in processes.rows }
    if isSupervised {
      hooks.supervisor = (
        Channel.supervisor,
        { [unowned self] in
          guard !isSupervisorGone, !processes.read(Limits.supervisionMessages) else { return }
          isSupervisorGone = true
          agent?.stop()
        }
      )
    }
    return hooks
  }

  private func take(_ moment: AgentHooks.Moment) {
    switch moment {
    case .ready:
      ServiceManager.ready()
      if isSupervised { SupervisionMessage.ready.send(on: Channel.supervisor) }
    case .alive:
      guard let watchdog, MonotonicTime.now() - lastWatchdog >= watchdog else { return }
      lastWatchdog = MonotonicTime.now()
      ServiceManager.alive()
    case .reloading: ServiceManager.reloading()
    case .stopping: ServiceManager.stopping()
    }
  }

  private func finish(_ agent: Agent) {
    screen.finish()
    let counters = agent.status().counters
    func counter(_ name: String) -> String { grouped(counters.first { $0.name == name }?.value ?? 0) }
    messages.line("\(counter("events")) events, \(counter("decisions")) decisions; `panguard decisions list` shows them")
  }

  // MARK: Reloading

  /// Reads configuration and rules again. Both must be without an error, fit into what the engine gave up at its start, and differ from
  /// what runs; else there is no input.
  private func reload() -> (input: AgentInput?, outcome: ControlOutcome) {
    func refuse(_ reasons: [String]) -> (AgentInput?, ControlOutcome) {
      for reason in reasons { messages.line(TerminalText.escaped(reason)) }
      let sentence = "not reloaded; the rules and the configuration stay as they were"
      messages.line("warning: " + sentence)
      return (nil, .refused((reasons.prefix(Limits.reloadReasons) + [sentence]).joined(separator: "\n")))
    }
    let path = options.selection.config ?? Configuration.defaultPath
    var settings = Configuration()
    if options.selection.config != nil || access(path, F_OK) == 0 {
      let (read, diagnostics) = Configuration.load(path: path)
      guard let read, !diagnostics.contains(where: { $0.severity == .error }) else { return refuse(diagnostics.map { "\($0)" }) }
      settings = read
    }
    let wanted = EngineConfinement.declare(
      options, settings, state: state, cache: cache, account: account, connectsToEnforcer: confinement.sockets == .unixClient)
    let beyond = EngineConfinement.beyond(wanted, confinement)
    guard beyond.isEmpty else {
      return refuse(beyond.map { "the running engine has given up access to \($0); restart it to use this configuration" })
    }
    let configured = AgentPaths.stateDirectory(configured: settings.stateDirectory)
    if options.selection.state == nil, EngineConfinement.absolute(configured) != state {
      return refuse(["state_directory changed to \(configured); restart the engine to use it"])
    }
    let rules = options.rules.read(settings, cache: cache)
    let errors = rules.set.diagnostics.filter { $0.severity == .error }
    guard errors.isEmpty else { return refuse(errors.map { "\($0)" }) }
    guard !rules.set.rules.isEmpty else { return refuse(["no rule could be loaded"]) }
    let playbooks = PlaybookStore.configured(settings)
    let wrong = playbooks.diagnostics.filter { $0.severity == .error }
    guard wrong.isEmpty else { return refuse(wrong.map { "\($0)" }) }
    if settings.enforcerPath != input.configuration.enforcerPath {
      return refuse(["response.enforcer changed; restart the engine to use it"])
    }
    if settings.readsNetwork != input.configuration.readsNetwork || settings.capturePath != input.configuration.capturePath {
      return refuse(["network.enabled or network.capture changed; restart the engine to use it"])
    }
    if settings.hash == input.configuration.hash, rules.hash == input.rules.hash, playbooks.fingerprint == input.playbooks.fingerprint {
      messages.line("reloaded: nothing has changed")
      return (nil, .done("reloaded: nothing has changed"))
    }
    let sentence = "reloaded: \(rules.set.rules.count) rules, set \(rules.hash.prefix(16)), configuration \(settings.hash.prefix(16))"
    messages.line(sentence)
    return (AgentInput(configuration: settings, rules: rules, playbooks: playbooks), .done(sentence))
  }

  // MARK: Words

  private func noSources() -> CommandFailure {
    .environment(
      """
      \(input.configuration.sources == nil ? EngineProcess.nothingFound : "the configuration names no source").
      Name logs in the configuration (`panguard config reference`), or see Panguard work on the bundled sample:
        panguard replay \(EngineProcess.sample)
      """)
  }
  private static let nothingFound =
    "there is no log to read on this host: no journal, and none of the usual files in /var/log that this user may read"
  /// The sample that comes with the source tree or the package.
  private static var sample: String {
    let places = ["examples/auth.log", "/usr/share/doc/panguard/examples/auth.log"]
    return places.first { access($0, R_OK) == 0 } ?? places[0]
  }
}
