// The enforcer's main program: options, what is opened while there are privileges, and the order of it. `panguard-enforcer` only calls this.
import CLinux
import CNetlink
import Confinement
import Enforcement
import FrameProtocol
import Glibc
import Primitives
import Supervision

public enum EnforcerProgram {
  private static let usage = """
    Usage: panguard-enforcer [OPTIONS]
    Blocks addresses in the kernel (nftables, table inet panguard) for the Panguard engine. Normally started by systemd or `panguard run`.

      --config PATH      configuration (default \(EnforcerConfiguration.defaultPath); may be absent there)
      --socket PATH      listen here instead of where the configuration says
      --fd N             serve the connected AF_UNIX socket with this number, and end with it; without --socket nothing else
      --print-config     print a configuration with every key, its default and its reason
      --check-config     read the configuration, say what is wrong with it
      --remove-table     delete the table with all blocks (uninstalling); an enforcer that runs is told to let them go
      --bench COUNT      measure COUNT blocks in a network namespace of its own (needs root)
    With socket activation (LISTEN_FDS) the socket that systemd made is served.

    """

  struct Options {
    var configPath = EnforcerConfiguration.defaultPath
    var socketPath: String?
    var descriptor: Int32?
    var bench: Int?
    var action = Action.serve
    enum Action { case serve, printConfig, checkConfig, removeTable, bench, help }

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
        case "--bench":
          guard let count = value().flatMap({ Int($0) }), (1...Limits.enforcedBlocks).contains(count) else {
            return (nil, "--bench needs a number from 1 to \(Limits.enforcedBlocks)")
          }
          options.bench = count
          options.action = .bench
        case "--print-config": options.action = .printConfig
        case "--check-config": options.action = .checkConfig
        case "--remove-table": options.action = .removeTable
        case "--help", "-h": options.action = .help
        default: return (nil, "unknown option '\(name)'")
        }
      }
      return (options, "")
    }
  }

  /// The exit status: 0 done, 2 usage, 3 environment.
  public static func main(_ arguments: [String]) -> Int32 {
    let (parsed, problem) = Options.parse(arguments)
    guard let options = parsed else {
      say("panguard-enforcer: \(problem)\n\(usage)")
      return 2
    }
    switch options.action {
    case .help: return show(usage)
    case .printConfig: return show(EnforcerConfiguration.reference)
    case .removeTable: return removeTable(options)
    case .bench: return EnforcerBench.run(count: options.bench ?? 0)
    case .checkConfig: return configuration(options.configPath) == nil ? 1 : 0
    case .serve: return serve(options)
    }
  }

  private static func serve(_ options: Options) -> Int32 {
    InheritedDescriptors.closeOthers(keeping: [options.descriptor].compactMap { $0 })
    guard let configuration = configuration(options.configPath) else { return 3 }
    signal(SIGPIPE, SIG_IGN)
    guard let signals = TerminationSignals.descriptor() else { return fail("signalfd: \(String(cString: strerror(errno)))") }
    let engineUID = getpwnam(configuration.engineUser)?.pointee.pw_uid
    var listener: Int32?
    if options.descriptor == nil || options.socketPath != nil {
      do throws(ServiceSocketError) {
        listener = try ServiceSocket.open(
          options.socketPath ?? configuration.socketPath, group: engineUID == nil ? nil : configuration.engineUser, of: "enforcer")
      } catch {
        return fail("\(error)")
      }
    }
    let lock = NamespaceLock()
    let readPaths = EnforcerConfinement.readPaths()
    var surroundings = EnforcerServer.Surroundings(host: host(configuration), boot: bootName())
    surroundings.isMoreReadable = { !Set(EnforcerConfinement.readPaths()).isSubset(of: readPaths) }

    // Everything that needs a privilege is open.
    do throws(ConfinementError) { try EnforcerConfinement.apply(reading: readPaths) } catch { return fail("\(error)") }

    let server = EnforcerServer(
      configuration, surroundings, lock: lock, listener: listener, connected: options.descriptor, signals: signals, engineUID: engineUID)
    ServiceNotification.send("READY=1")
    let end = server.run()
    ServiceNotification.send("STOPPING=1")
    // The blocks stay: they are the kernel's, and end by themselves.
    return end.rawValue
  }

  private static func host(_ configuration: EnforcerConfiguration) -> Result<HostFacts, FirewallUnavailable> {
    do throws(NetlinkError) {
      return .success(
        try HostFacts(ports: configuration.administrationPorts, rule: configuration.sessionRule, grace: configuration.sessionGrace))
    } catch {
      return .failure(FirewallUnavailable(reason: "what must be protected cannot be read: \(error)"))
    }
  }

  /// The beginning of the random name that the kernel gives itself at each boot; empty where it does not say.
  private static func bootName() -> String {
    let file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return "" }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 64)
    let count = read(file, &buffer, buffer.count)
    return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).filter { $0.isHexDigit }.prefix(16).lowercased()
  }

  /// An enforcer that runs is told first, for it would put back what it holds.
  private static func removeTable(_ options: Options) -> Int32 {
    let lock = NamespaceLock()
    if case .busy = lock.take() {
      let path = options.socketPath ?? EnforcerConfiguration.load(path: options.configPath).configuration?.socketPath ?? EnforcerClient.defaultPath
      do throws(FrameClientError) {
        let client = try EnforcerClient(path: path)
        guard case .done(let count) = try client.unblockAll() else { return fail("the enforcer behind \(path) does not serve this host's table") }
        say("panguard-enforcer: an enforcer is running: it has let \(count) blocks go, and makes the table again with the next one\n")
      } catch {
        return fail("an enforcer is running and would put the table back, and it cannot be asked (\(error)); stop it first")
      }
    }
    do throws(NetlinkError) {
      let socket = try NetlinkSocket(protocol: NETLINK_NETFILTER)
      let (bytes, acknowledged) = NFTables.deleteTable(sequence: socket.nextSequence())
      try socket.transact("deleting table inet \(NFTables.table)", bytes, acknowledged: acknowledged)
    } catch {
      if error.code != ENOENT { return fail("\(error)") }
    }
    return 0
  }

  private static func configuration(_ path: String) -> EnforcerConfiguration? {
    let (configuration, diagnostics) = EnforcerConfiguration.load(path: path)
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
    say("panguard-enforcer: \(text)\n")
    return 3
  }
}
