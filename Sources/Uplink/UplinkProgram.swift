// The uplink's main program: options, what is read while there are privileges, and the order of it. `panguard-uplink` only calls this.
// What must stay true: everything that can be given up is given up before the first byte of a peer is read.
import CLinux
import Confinement
import Glibc
import Primitives
import Supervision

public enum UplinkProgram {
  private static let usage = """
    Usage: panguard-uplink [OPTIONS]
    Sends decisions to the webhooks of its configuration for the Panguard engine, and opens no other connection. Normally started by systemd or `panguard run`.

      --config PATH        configuration (default \(UplinkConfiguration.defaultPath)); without it there is nothing to do
      --socket PATH        listen here instead of where the configuration says
      --fd N               serve the connected AF_UNIX socket with this number; without --socket nothing else, and end with it
      --print-config       print a configuration with every key, its default and its reason
      --check-config       read the configuration, say what is wrong with it
      --check-confinement  give up what it gives up, then try what it must not be able to do; PATHs behind it must be out of reach too
    With socket activation (LISTEN_FDS) the socket that systemd made is served.

    """

  struct Options {
    var configPath = UplinkConfiguration.defaultPath
    var socketPath: String?
    var descriptor: Int32?
    var action = Action.serve
    var forbidden: [String] = []
    enum Action { case serve, printConfig, checkConfig, checkConfinement, help }

    /// nil and what is wrong.
    static func parse(_ arguments: [String]) -> (Options?, String) {
      var options = Options()
      var rest = arguments[...]
      while let name = rest.popFirst() {
        func value() -> String? { rest.popFirst() }
        switch name {
        case "--config":
          guard let path = value() else { return (nil, "--config needs a path") }
          options.configPath = path
        case "--socket":
          guard let path = value(), path.utf8.count < 108 else { return (nil, "--socket needs a path of at most 107 bytes") }
          options.socketPath = path
        case "--fd":
          guard let number = value().flatMap({ Int32($0) }), number > 2 else { return (nil, "--fd needs a number above 2") }
          options.descriptor = number
        case "--print-config": options.action = .printConfig
        case "--check-config": options.action = .checkConfig
        case "--check-confinement":
          options.action = .checkConfinement
          options.forbidden = Array(rest)
          rest = []
        case "--help", "-h": options.action = .help
        default: return (nil, "unknown option '\(name)'")
        }
      }
      return (options, "")
    }
  }

  /// The exit status: 0 done, 1 findings, 2 usage, 3 environment, 75 (EX_TEMPFAIL) to be started anew.
  public static func main(_ arguments: [String]) -> Int32 {
    let (parsed, problem) = Options.parse(arguments)
    guard let options = parsed else {
      say("panguard-uplink: \(problem)\n\(usage)")
      return 2
    }
    switch options.action {
    case .help: return show(usage)
    case .printConfig: return show(UplinkConfiguration.reference)
    case .checkConfig: return configuration(options.configPath) == nil ? 1 : 0
    case .checkConfinement, .serve: break
    }
    if options.configPath == UplinkConfiguration.defaultPath, access(options.configPath, F_OK) != 0, errno == ENOENT {
      say(
        "panguard-uplink: there is no \(options.configPath): no webhook is set up, so there is nothing to do (--print-config shows what could stand there)\n"
      )
      return 0
    }
    guard let configuration = configuration(options.configPath) else { return 3 }
    do throws(ConfinementError) {
      if options.action == .checkConfinement { return try UplinkConfinementCheck.run(configuration.webhooks, forbidden: options.forbidden) }
      return try serve(options, configuration)
    } catch {
      return fail("\(error)")
    }
  }

  private static func serve(_ options: Options, _ configuration: UplinkConfiguration) throws(ConfinementError) -> Int32 {
    InheritedDescriptors.closeOthers(keeping: [options.descriptor].compactMap { $0 })
    signal(SIGPIPE, SIG_IGN)
    guard let signals = TerminationSignals.descriptor() else { return fail("signalfd: \(String(cString: strerror(errno)))") }
    let engineUID = getpwnam(configuration.engineUser)?.pointee.pw_uid
    var listener: Int32?
    if options.descriptor == nil || options.socketPath != nil {
      do throws(ServiceSocketError) {
        listener = try ServiceSocket.open(
          options.socketPath ?? configuration.socketPath, group: engineUID == nil ? nil : configuration.engineUser, of: "uplink")
      } catch {
        return fail("\(error)")
      }
    }
    guard let transfers = WebhookTransfers(configuration.webhooks) else { return fail("libcurl cannot be used") }
    let surroundings = Surroundings(UplinkConfinement.singleFiles(configuration.webhooks))

    let report = try UplinkConfinement.declare(configuration.webhooks).apply()
    for line in report.missing { say("panguard-uplink: could not give up \(line)\n") }

    let server = UplinkServer(
      configuration, transfers: transfers, surroundings: surroundings, listener: listener, connected: options.descriptor, signals: signals,
      engineUID: engineUID)
    ServiceNotification.send("READY=1")
    let end = server.run()
    ServiceNotification.send("STOPPING=1")
    return end == .surroundingsChanged ? EX_TEMPFAIL : 0
  }

  private static func configuration(_ path: String) -> UplinkConfiguration? {
    let (configuration, diagnostics) = UplinkConfiguration.load(path: path)
    for diagnostic in diagnostics { say("\(diagnostic)\n") }
    return configuration
  }

  static func say(_ text: String) {
    let bytes = Array(text.utf8)
    _ = write(2, bytes, bytes.count)
  }
  static func show(_ text: String) -> Int32 {
    let bytes = Array(text.utf8)
    return write(1, bytes, bytes.count) == bytes.count ? 0 : 3
  }
  static func fail(_ text: String) -> Int32 {
    say("panguard-uplink: \(text)\n")
    return 3
  }
}
