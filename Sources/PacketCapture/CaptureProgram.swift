// The capture's main program: options, what is opened while there are privileges, and the order of it. `panguard-capture` only calls this.
import CLinux
import Confinement
import Glibc
import PacketParsers
import Primitives

public enum CaptureProgram {
  private static let usage = """
    Usage: panguard-capture [OPTIONS]
    Listens to the network for the Panguard engine: packets in, typed events out. Normally started by systemd or `panguard run`.

      --config PATH        configuration (default \(CaptureConfiguration.defaultPath); may be absent there)
      --socket PATH        listen here instead of where the configuration says
      --fd N               send events to the connected AF_UNIX socket with this number, and end with it
      --interface NAME     instead of the configuration's interfaces; may be given several times; any: all that are up
      --filter TEXT        instead of the configuration's filter; pcap-filter(7)
      --snap-length BYTES  instead of the configuration's
      --ring-size BYTES    instead of the configuration's
      --write FILE         write the frames of one interface to FILE (pcap, mode 0600) instead of serving events
      --ring-files N       write to FILE.0 to FILE.N-1 in turn, the oldest is written over (default 1: it ends when FILE is full)
      --ring-bytes BYTES   bytes of each of these files (default 67108864)
      --count N            with --write: end after N frames
      --print-config       print a configuration with every key, its default and its reason
      --check-config       read the configuration, say what is wrong with it
      --cut FILE           make FILE (pcapng, mode 0600) of the packets of a decision, out of what was recorded: `panguard evidence` calls it
      --check-confinement  open the capture, give up what it gives up, try what must be refused, print the answers
    With socket activation (LISTEN_FDS) the socket that systemd made is served.

    """

  struct Options: Equatable {
    var configPath = CaptureConfiguration.defaultPath
    var socketPath: String?
    var descriptor: Int32?
    var interfaces: [String] = []
    var filter: String?
    var snapLength: Int32?
    var ringBytes: Int32?
    var writePath: String?
    var fileCount = 1
    var fileBytes: Int64 = 64 << 20
    var frameCount: UInt64?
    var action = Action.serve
    enum Action { case serve, printConfig, checkConfig, checkConfinement, help }

    /// nil and what is wrong.
    static func parse(_ arguments: [String]) -> (Options?, String) {
      var options = Options()
      var rest = arguments[...]
      while let name = rest.popFirst() {
        func number<Value: FixedWidthInteger>(_ range: ClosedRange<Value>) -> Value? {
          rest.popFirst().flatMap { Value($0) }.flatMap { range.contains($0) ? $0 : nil }
        }
        func text(_ bytes: Int) -> String? { rest.popFirst().flatMap { $0.isEmpty || $0.utf8.count > bytes ? nil : $0 } }
        let isRead: Bool
        switch name {
        case "--config":
          let path = text(4096)
          options.configPath = path ?? ""
          isRead = path != nil
        case "--socket":
          options.socketPath = text(107)
          isRead = options.socketPath != nil
        case "--fd":
          options.descriptor = number(3...CaptureConfinement.firstPacketDescriptor - 1)
          isRead = options.descriptor != nil
        case "--interface":
          let name = text(15)
          options.interfaces += [name].compactMap { $0 }
          isRead = name != nil
        case "--filter":
          options.filter = text(Limits.captureFilterBytes)
          isRead = options.filter != nil
        case "--snap-length":
          options.snapLength = number(64...Int32(Limits.frameBytes))
          isRead = options.snapLength != nil
        case "--ring-size":
          options.ringBytes = number(1 << 20...1 << 30)
          isRead = options.ringBytes != nil
        case "--write":
          options.writePath = text(4096)
          isRead = options.writePath != nil
        case "--ring-files":
          let count = number(1...Limits.captureFiles)
          options.fileCount = count ?? 1
          isRead = count != nil
        case "--ring-bytes":
          let count = number(Limits.captureFileBytes)
          options.fileBytes = count ?? 0
          isRead = count != nil
        case "--count":
          options.frameCount = number(1 ... .max)
          isRead = options.frameCount != nil
        case "--print-config", "--check-config", "--check-confinement", "--help", "-h":
          options.action =
            switch name {
            case "--print-config": .printConfig
            case "--check-config": .checkConfig
            case "--check-confinement": .checkConfinement
            default: .help
            }
          isRead = true
        default: return (nil, "unknown option '\(name)'")
        }
        guard isRead else { return (nil, "\(name): its value is missing, or not one that it can have") }
      }
      return (options, "")
    }
  }

  /// The exit status: 0 done, 1 findings, 2 usage, 3 environment.
  public static func main(_ arguments: [String]) -> Int32 {
    if arguments.first == "--cut" { return cut(arguments.dropFirst()) }
    let (parsed, problem) = Options.parse(arguments)
    guard let options = parsed else {
      say("panguard-capture: \(problem)\n\(usage)")
      return 2
    }
    switch options.action {
    case .help: return show(usage)
    case .printConfig: return show(CaptureConfiguration.reference)
    case .checkConfig: return configuration(options) == nil ? 1 : 0
    case .checkConfinement, .serve: break
    }
    guard let configuration = configuration(options) else { return 3 }
    signal(SIGPIPE, SIG_IGN)
    do throws(CaptureFailure) {
      if options.action == .checkConfinement { return try checkConfinement(configuration) }
      return options.writePath != nil ? try write(options, configuration) : try serve(options, configuration)
    } catch {
      return fail("\(error)")
    }
  }

  private static func cut(_ arguments: ArraySlice<String>) -> Int32 {
    let (parsed, problem) = CutOptions.parse(arguments)
    guard let options = parsed else {
      say("panguard-capture: \(problem)\n")
      return 2
    }
    do throws(CaptureFailure) { return try CutProgram.run(options) } catch { return fail("\(error)") }
  }

  /// What the file says, with what the options say instead.
  private static func configuration(_ options: Options) -> CaptureConfiguration? {
    let (read, diagnostics) = CaptureConfiguration.load(path: options.configPath)
    for diagnostic in diagnostics { say("\(diagnostic)\n") }
    guard var configuration = read else { return nil }
    if !options.interfaces.isEmpty { configuration.interfaces = options.interfaces }
    if let problem = CaptureConfiguration.problem(configuration.interfaces) {
      say("panguard-capture: \(problem)\n")
      return nil
    }
    if let filter = options.filter { configuration.options.filter = filter }
    if let length = options.snapLength { configuration.options.snapLength = length }
    if let bytes = options.ringBytes { configuration.options.ringBytes = bytes }
    return configuration
  }

  private static func serve(_ options: Options, _ configuration: CaptureConfiguration) throws(CaptureFailure) -> Int32 {
    InheritedDescriptors.closeOthers(keeping: [options.descriptor].compactMap { $0 })
    let signals = try blockedSignals()
    let engineUID = getpwnam(configuration.engineUser)?.pointee.pw_uid
    let listener =
      options.descriptor == nil || options.socketPath != nil
      ? try CaptureListener.open(options.socketPath ?? configuration.socketPath, group: configuration.engineUser) : nil
    let notification = CaptureListener.notificationSocket()
    let account = CaptureConfinement.account()
    let (recorded, unrecorded) = openRecording(configuration, account)
    let opened = try open(configuration)
    let links = try CaptureConfinement.aboveBound { () throws(CaptureFailure) in try LinkWatch() }
    let listening = try CaptureConfinement.aboveBound { () throws(CaptureFailure) in KernelListenCounters() }
    // Everything that needs a privilege is open; no frame has been read.
    try confine(account)
    let recording = recorded.map { Recording($0.files, limit: configuration.recordingSettings.fileBytes) }
    let names = opened.captures.map(\.name).joined(separator: ", ")
    say("panguard-capture: listening on \(names); ready\n")
    let server = CaptureServer(
      opened.captures, absent: opened.absent, links: links, recording: recording, unrecorded: unrecorded, listener: listener,
      connected: options.descriptor,
      signals: signals, engineUID: engineUID, notification: notification, listening: listening
    ) { say("panguard-capture: \($0)\n") }
    let status = server.run()
    if let failure = server.failure { say("panguard-capture: \(failure)\n") }
    return status
  }

  /// What is recorded into, or why nothing is though it should be: that must not end what else looks at the network. Nil both: not asked for.
  private static func openRecording(_ configuration: CaptureConfiguration, _ account: Account?) -> (RecordingFiles.Opened?, String?) {
    guard let settings = configuration.recording else { return (nil, nil) }
    do throws(CaptureFailure) { return (try RecordingFiles.open(settings, account: account), nil) } catch {
      let text = "\(error); nothing is recorded until the capture is started again"
      say("panguard-capture: warning: \(text)\n")
      return (nil, text)
    }
  }

  /// Those that can be opened; throws where none can.
  private static func open(_ configuration: CaptureConfiguration) throws(CaptureFailure) -> (captures: [InterfaceCapture], absent: [String]) {
    var captures: [InterfaceCapture] = []
    var absent: [String] = []
    for name in configuration.interfaces {
      do throws(CaptureFailure) {
        captures.append(try CaptureConfinement.aboveBound { () throws(CaptureFailure) in try InterfaceCapture(name, configuration.options) })
        if let warning = captures.last?.warning, !warning.isEmpty { say("panguard-capture: warning: \(name): \(warning)\n") }
      } catch {
        // A wrong filter is wrong everywhere; an interface may come later.
        if configuration.interfaces.count == 1 || if_nametoindex(name) != 0 { throw error }
        say("panguard-capture: warning: \(error)\n")
        absent.append(name)
      }
    }
    guard !captures.isEmpty else { throw CaptureFailure("none of the interfaces is there: \(absent.joined(separator: ", "))") }
    for capture in captures where capture.descriptor < CaptureConfinement.firstPacketDescriptor {
      throw CaptureFailure("\(capture.name): its descriptor is \(capture.descriptor), which could be written to (a bug)")
    }
    return (captures, absent)
  }

  private static func write(_ options: Options, _ configuration: CaptureConfiguration) throws(CaptureFailure) -> Int32 {
    guard configuration.interfaces.count == 1, let path = options.writePath else {
      throw CaptureFailure("--write takes the frames of one interface (or any): name it with --interface")
    }
    let signals = try blockedSignals()
    // Made by who started it, and the process stays that user: files belong to whom they are for.
    let paths = CaptureFiles.paths(path, count: options.fileCount)
    let descriptors = try CaptureFiles.open(paths)
    guard let capture = try open(configuration).captures.first else { return 3 }
    try confine(geteuid() == 0 ? Account(name: "root", user: 0, group: 0) : nil)
    let files = CaptureFiles(
      descriptors, limit: options.fileBytes, linkType: capture.linkType, snapLength: UInt32(bitPattern: configuration.options.snapLength))
    say("panguard-capture: writing \(capture.name) to \(paths.joined(separator: ", ")); ready, Ctrl-C ends it\n")
    let (status, text) = FileCapture(capture, files, signals: signals, limit: options.frameCount).run()
    say("panguard-capture: \(text)\n")
    return status
  }

  private static func checkConfinement(_ configuration: CaptureConfiguration) throws(CaptureFailure) -> Int32 {
    let capture = try open(configuration).captures[0]
    let loopback = Int32(bitPattern: if_nametoindex("lo"))
    let report: ConfinementReport
    do throws(ConfinementError) {
      report = try CaptureConfinement.declare(CaptureConfinement.account()).apply()
    } catch {
      throw CaptureFailure("\(error)")
    }
    var text = report.achieved.map { "achieved: \($0)\n" }.joined() + report.missing.map { "missing: \($0)\n" }.joined()
    var isLetThrough = false
    for trial in CaptureConfinement.trials(packet: capture.descriptor, interface: loopback) {
      let answer = trial.attempt()
      isLetThrough = isLetThrough || answer == 0
      text += answer == 0 ? "ALLOWED: \(trial.what)\n" : "refused: \(trial.what): \(String(cString: strerror(answer)))\n"
    }
    // And still it can do its work.
    _ = try capture.read(limit: 1) { _ in }
    text += "reading: works\n"
    return isLetThrough ? max(1, show(text)) : show(text)
  }

  /// Gives everything else up; what this host did not let go is said.
  private static func confine(_ account: Account?) throws(CaptureFailure) {
    do throws(ConfinementError) {
      let report = try CaptureConfinement.declare(account).apply()
      for line in report.missing where !line.hasPrefix("user:") { say("panguard-capture: could not give up \(line)\n") }
    } catch {
      throw CaptureFailure("\(error)")
    }
  }

  /// SIGTERM and SIGINT as a descriptor.
  private static func blockedSignals() throws(CaptureFailure) -> Int32 {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&set, signal) }
    sigprocmask(SIG_BLOCK, &set, nil)
    // SIGHUP is for the engine, which reads its rules again: nothing here changes.
    sigdelset(&set, SIGHUP)
    let descriptor = signalfd(-1, &set, Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK))
    guard descriptor >= 0 else { throw CaptureFailure("signalfd: \(String(cString: strerror(errno)))") }
    return descriptor
  }

  static func say(_ text: String) {
    let bytes = Array(text.utf8)
    _ = Glibc.write(2, bytes, bytes.count)
  }
  static func show(_ text: String) -> Int32 {
    let bytes = Array(text.utf8)
    return Glibc.write(1, bytes, bytes.count) == bytes.count ? 0 : 3
  }
  static func fail(_ text: String) -> Int32 {
    say("panguard-capture: \(text)\n")
    return 3
  }
}
