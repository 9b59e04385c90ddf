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
      Ctrl-C. It observes: decisions say what would be done. Run it as root, or as a user in the groups adm and systemd-journal.

      The engine is a process of its own (panguardd), which gives up all that it does not need before it reads the first line. One that
      ends by itself is started again. SIGHUP reads configuration and rules again.
      """)
  @OptionGroup var engine: EngineOptions

  /// The programs, the engine first: it is told of the others, and it is the first to be ended.
  static func table(_ engineArguments: [String]) -> [ChildProgram] {
    [
      ChildProgram(name: "engine", executable: "panguardd", arguments: ["--supervised"] + engineArguments, isRequired: true)
    ]
  }

  func run() throws {
    // What stands behind `run` is the engine's, as it was written: both read it by the same definition.
    let arguments = Array(CommandLine.arguments.dropFirst().drop { $0 != "run" }.dropFirst())
    let code: Int32
    do {
      let directories = ChildProgram.directories(besides: executablePath())
      code = try Supervisor(RunCommand.table(arguments), directories: directories) { printError($0) }.run()
    } catch {
      throw CommandFailure.environment("\(error)")
    }
    if code != 0 { throw CommandFailure(status: ExitStatus(rawValue: code) ?? .environment, message: "") }
  }
}
