// `panguard run`: the agent in the foreground, against this host. It starts the same programs as the services, as its children.
import AgentRuntime
import ArgumentParser
import Glibc
import Supervision

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Watch this host in the foreground and show decisions live.",
    discussion: """
      Finds the logs that exist (files and the journal), says which it reads and which it cannot and why, and prints decisions until
      Ctrl-C. It observes: decisions say what would be done; `panguard arm` lets playbooks act. Run it as root, or as a user in the groups
      adm and systemd-journal.

      The engine is a process of its own (panguardd), which gives up all that it does not need before it reads the first line. One that
      ends by itself is started again. The enforcer (panguard-enforcer), which blocks addresses, is another; the uplink (panguard-uplink),
      which calls webhooks, and the responder (panguard-responder), which acts on this host, are started only where they have a
      configuration; panguard-capture, which listens to the network, with `network.enabled`. SIGHUP reads configuration and rules again.
      """)
  @OptionGroup var engine: EngineOptions
  @Option(name: .long, help: "The enforcer's configuration; default /etc/panguard/enforcer.yaml if it exists.", completion: .file())
  var enforcerConfig: String?
  @Option(name: .long, help: "The uplink's configuration; default /etc/panguard/uplink.yaml. Without one nothing is sent.", completion: .file())
  var uplinkConfig: String?

  @Option(
    name: .long, help: "The responder's configuration; default /etc/panguard/responder.yaml. Without one nothing is done on the host.",
    completion: .file())
  var responderConfig: String?

  @Option(name: .long, help: "The capture's configuration; default /etc/panguard/capture.yaml if it exists.", completion: .file())
  var captureConfig: String?

  /// The programs, the engine first: it is told of the others, and it is the first to be ended.
  /// `enforcerSocket`: where the enforcer is asked when the engine hangs; nil: nowhere.
  private func table(_ engineArguments: [String], readsNetwork: Bool, enforcerSocket: String?) -> [ChildProgram] {
    let uplinkPath = uplinkConfig ?? "/etc/panguard/uplink.yaml"
    let responderPath = responderConfig ?? "/etc/panguard/responder.yaml"
    let capture = ChildProgram(
      name: "capture", executable: "panguard-capture",
      arguments: ["--fd", "\(Channel.capture)"] + (captureConfig.map { ["--config", $0] } ?? []), channel: Channel.capture,
      purpose: "the network is not read")
    return [
      ChildProgram(name: "engine", executable: "panguardd", arguments: ["--supervised"] + engineArguments, isRequired: true),
      ChildProgram(
        name: "enforcer", executable: "panguard-enforcer",
        arguments: ["--fd", "\(Channel.enforcer)"] + (enforcerSocket.map { ["--socket", $0] } ?? [])
          + (enforcerConfig.map { ["--config", $0] } ?? []), channel: Channel.enforcer, purpose: "nothing can be blocked"),
      ChildProgram(
        name: "uplink", executable: "panguard-uplink", arguments: ["--fd", "\(Channel.uplink)", "--config", uplinkPath], channel: Channel.uplink,
        purpose: "nothing is sent to other hosts",
        absence: uplinkConfig == nil ? RunCommand.problem(reading: uplinkPath) : nil),
      ChildProgram(
        name: "responder", executable: "panguard-responder", arguments: ["--fd", "\(Channel.responder)", "--config", responderPath],
        channel: Channel.responder, purpose: "no process, file or account of this host is touched",
        absence: responderConfig == nil ? RunCommand.problem(reading: responderPath) : nil),
    ] + (readsNetwork ? [capture] : [])
  }

  private static func problem(reading path: String) -> String? {
    guard access(path, R_OK) != 0 else { return nil }
    return errno == ENOENT ? "there is no \(path)" : "\(path) cannot be read (\(String(cString: strerror(errno))))"
  }

  /// What stands behind `run` is the engine's, as it was written (both read it by the same definition), but for the options of the others.
  private static func engineArguments(_ all: [String]) -> [String] {
    var arguments = Array(all.dropFirst().drop { $0 != "run" }.dropFirst())
    for name in ["--enforcer-config", "--uplink-config", "--responder-config", "--capture-config"] {
      while let index = arguments.firstIndex(where: { $0 == name || $0.hasPrefix(name + "=") }) {
        if arguments[index] == name, index + 1 < arguments.count { arguments.remove(at: index + 1) }
        arguments.remove(at: index)
      }
    }
    return arguments
  }

  func run() throws {
    let code: Int32
    do {
      let directories = ChildProgram.directories(besides: executablePath())
      // What is wrong with the configuration the engine says.
      let path = engine.selection.config ?? Configuration.defaultPath
      let settings = access(path, F_OK) == 0 ? Configuration.load(path: path).configuration : nil
      let state = engine.selection.state ?? AgentPaths.stateDirectory(configured: settings?.stateDirectory)
      let socket = ForegroundSocket.prepare(state: state)
      defer { if let socket { ForegroundSocket.remove(socket) } }
      let table = self.table(RunCommand.engineArguments(CommandLine.arguments), readsNetwork: settings?.readsNetwork == true, enforcerSocket: socket)
      code = try Supervisor(table, directories: directories) { printError($0) }.run()
    } catch {
      throw CommandFailure.environment("\(error)")
    }
    if code != 0 { throw CommandFailure(status: ExitStatus(rawValue: code) ?? .environment, message: "") }
  }
}
