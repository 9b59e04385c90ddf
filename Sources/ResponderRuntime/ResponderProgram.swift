// The responder's main program: options, what is opened while there are privileges, the order of it, and its loop. `panguard-responder` only
// calls this. One thread; every wait has an end.
import CLinux
import Confinement
import FrameProtocol
import FrameService
import Glibc
import HostActions
import Primitives
import Supervision
import TypedYAML

public enum ResponderProgram {
  private static let usage = """
    Usage: panguard-responder [OPTIONS]
    Acts on this host for the Panguard engine: runs executables, kills processes, moves files away, locks accounts, keeps packets of decisions,
    each only where its configuration enables it. Normally started by systemd or `panguard run`.

      --config PATH      configuration (default \(ResponderConfiguration.defaultPath); without it nothing is done)
      --socket PATH      listen here instead of where the configuration says
      --fd N             serve the connected AF_UNIX socket with this number; without --socket nothing else, and end with it
      --print-config     print a configuration with every key, its default and its reason
      --check-config     read the configuration, say what is wrong with it
    With socket activation (LISTEN_FDS) the socket that systemd made is served.

    """

  private struct Options {
    var configPath = ResponderConfiguration.defaultPath
    var socketPath: String?
    var descriptor: Int32?
    var action = Action.serve
    enum Action { case serve, printConfig, checkConfig, help }

    /// nil and what is wrong.
    static func parse(_ arguments: [String]) -> (Options?, String) {
      var options = Options()
      var rest = arguments[...]
      while let name = rest.popFirst() {
        switch name {
        case "--config":
          guard let path = rest.popFirst() else { return (nil, "--config needs a path") }
          options.configPath = path
        case "--socket":
          guard let path = rest.popFirst(), path.utf8.count < 108 else { return (nil, "--socket needs a path of at most 107 bytes") }
          options.socketPath = path
        case "--fd":
          guard let number = rest.popFirst().flatMap({ Int32($0) }), number > 2 else { return (nil, "--fd needs a number above 2") }
          options.descriptor = number
        case "--print-config": options.action = .printConfig
        case "--check-config": options.action = .checkConfig
        case "--help", "-h": options.action = .help
        default: return (nil, "unknown option '\(name)'")
        }
      }
      return (options, "")
    }
  }

  /// The exit status: 0 done, 1 a configuration with errors, 2 usage, 3 environment.
  public static func main(_ arguments: [String]) -> Int32 {
    let (parsed, problem) = Options.parse(arguments)
    guard let options = parsed else {
      write("panguard-responder: \(problem)\n\(usage)", to: 2)
      return 2
    }
    switch options.action {
    case .help: return write(usage, to: 1)
    case .printConfig: return write(ResponderConfiguration.reference, to: 1)
    case .checkConfig: return configuration(options.configPath) == nil ? 1 : 0
    case .serve: return serve(options)
    }
  }

  private static func serve(_ options: Options) -> Int32 {
    InheritedDescriptors.closeOthers(keeping: [options.descriptor].compactMap { $0 })
    guard let configuration = configuration(options.configPath) else { return 3 }
    signal(SIGPIPE, SIG_IGN)
    guard let signals = TerminationSignals.descriptor() else { return fail("signalfd: \(errorText(errno))") }
    // Who leaves its session and loses its parent becomes ours, and is ended.
    _ = pg_prctl(36, 1, 0)  // PR_SET_CHILD_SUBREAPER
    let engine = getpwnam(configuration.engineUser)?.pointee.pw_uid
    let notifier = Account.named(configuration.executablesUser).flatMap { $0.user == 0 ? nil : $0 }
    let account = geteuid() == 0 ? Account.named(ResponderConfinement.userName, groups: ["shadow"]) : nil
    var listener: Int32?
    if options.descriptor == nil || options.socketPath != nil {
      do throws(ServiceSocketError) {
        listener = try ServiceSocket.open(
          options.socketPath ?? configuration.socketPath, group: engine == nil ? nil : configuration.engineUser, of: "responder")
      } catch { return fail(error.description) }
    }
    if let problem = makeDirectories(configuration, account) { return fail(problem) }
    do throws(ConfinementError) {
      let report = try ResponderConfinement.declare(configuration, account: account).apply()
      for line in report.missing where !line.hasPrefix("user:") && !line.hasPrefix("files: all below") {
        write("panguard-responder: could not give up \(line)\n", to: 2)
      }
    } catch { return fail("\(error)") }
    let ledger: ActionLedger
    do throws(LedgerError) { ledger = try ActionLedger(directory: configuration.stateDirectory) } catch { return fail("\(error)") }
    if ledger.unreadable > 0 { write("panguard-responder: \(ledger.unreadable) remembered actions could not be read\n", to: 2) }
    let server = ResponderServer(
      configuration, ledger: ledger, notifier: notifier, listener: listener, connected: options.descriptor, engine: engine, signals: signals)
    ServiceNotification.send("READY=1")
    server.run()
    ServiceNotification.send("STOPPING=1")
    return 0
  }

  /// 0700 and ours, made where they are not there. What is wrong; nil: nothing.
  private static func makeDirectories(_ configuration: ResponderConfiguration, _ account: Account?) -> String? {
    for path in [configuration.stateDirectory, configuration.quarantineDirectory, configuration.evidenceDirectory] {
      if mkdir(path, 0o700) != 0, errno != EEXIST { return "\(path): \(errorText(errno))" }
      let directory = pg_openat2(AT_FDCWD, path, PG_O_DIRECTORY | O_RDONLY, 0)
      guard directory >= 0 else { return "\(path): \(errorText(errno))" }
      defer { close(directory) }
      let owner = account?.user ?? geteuid()
      var facts = stat()
      guard fstat(directory, &facts) == 0 else { return "\(path): \(errorText(errno))" }
      if facts.st_uid != owner, facts.st_uid != 0 { return "\(path) belongs to user \(facts.st_uid)" }
      if let account, facts.st_uid != owner, fchown(directory, account.user, account.group) != 0 { return "\(path): \(errorText(errno))" }
      if facts.st_mode & 0o077 != 0 { return "\(path): others may enter it; chmod 0700 it" }
    }
    return nil
  }

  private static func configuration(_ path: String) -> ResponderConfiguration? {
    let (configuration, diagnostics) = ResponderConfiguration.load(path: path)
    for diagnostic in diagnostics { write("\(diagnostic)\n", to: 2) }
    return configuration
  }

  @discardableResult
  private static func write(_ text: String, to descriptor: Int32) -> Int32 {
    let bytes = Array(text.utf8)
    return Glibc.write(descriptor, bytes, bytes.count) == bytes.count ? 0 : 3
  }
  private static func fail(_ text: String) -> Int32 {
    write("panguard-responder: \(text)\n", to: 2)
    return 3
  }
}

/// Requests, children and signals, in one loop.
final class ResponderServer {
  private let core: ResponderCore
  private let signals: Int32
  private var connections: FrameConnections<HostActionRequest, HostActionAnswer>!
  private var audit = AuditLines(name: "panguard-responder")
  private var lastTick: UInt64 = 0

  /// `listener`, `connected`: sockets, owned from here on. `signals`: a signalfd.
  init(
    _ configuration: ResponderConfiguration, ledger: ActionLedger, notifier: Account?, listener: Int32?, connected: Int32?, engine: uid_t?,
    signals: Int32
  ) {
    self.signals = signals
    let write = Box<(String) -> Void> { _ in }
    core = ResponderCore(configuration, ledger: ledger, notifier: notifier) { write.value($0) }
    write.value = { [unowned self] in audit.add($0) }
    connections = FrameConnections(
      listener: listener, engine: engine, answer: { [core] request, peer in core.answer(request, from: "\(peer)") },
      report: { [unowned self] in note($0) })
    if let connected { connections.adopt(connected) }
    let kinds = HostAction.Kind.allCases.filter(configuration.enabled.contains).map(\.word)
    audit.add("ready; enabled: \(kinds.isEmpty ? "nothing" : kinds.joined(separator: ", ")); \(ledger.count) actions remembered")
  }
  private final class Box<Value> {
    var value: Value
    init(_ value: Value) { self.value = value }
  }

  private func note(_ event: PeerEvent) {
    switch event {
    case .refused: core.count(\.peersRefused)
    case .tooMany: core.count(\.connectionsRefused)
    case .malformed: core.count(\.malformedFrames)
    case .tooSlow: core.count(\.peersTooSlow)
    }
    audit.add(event.text)
  }

  /// Until a signal ends it, or, without a listener, until the engine's connection ends. What runs then is ended with us.
  func run() {
    while connections.isServing {
      let children = core.runner.waited
      var entries = [pollfd(fd: signals, events: Int16(POLLIN), revents: 0)] + children
      let first = entries.count
      entries += connections.waited
      guard poll(&entries, nfds_t(entries.count), 500) >= 0 || errno == EINTR else { return }
      if entries[0].revents != 0 { return }
      core.turn()
      connections.serve(entries[first...])
      core.set(\.auditLinesDropped, audit.dropped)
      let now = monotonicNow()
      guard now &- lastTick >= 1_000_000_000 else { continue }
      lastTick = now
      connections.tick()
      ServiceNotification.send("WATCHDOG=1")
    }
  }
}
