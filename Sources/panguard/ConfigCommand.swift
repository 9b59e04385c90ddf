// `panguard config ...`: check a configuration file, and print the commented reference.
import AgentRuntime
import ArgumentParser
import Glibc
import Primitives

struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Check the configuration, or print a commented one.", subcommands: [Check.self, Reference.self])

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Read a configuration file and report every problem with file:line.", discussion: "Exit 1 if there is an error.")
    @Argument(help: "The file; default \(Configuration.defaultPath).", completion: .file()) var file: String = Configuration.defaultPath
    @Option(name: .customLong("config"), help: .hidden) var config: String?

    func run() throws {
      let path = config ?? file
      let (configuration, diagnostics) = Configuration.load(path: path)
      report(diagnostics, atLeast: .note)
      guard let configuration, !diagnostics.contains(where: { $0.severity == .error }) else { throw CommandFailure.findings }
      print("\(path): no errors")
      print("configuration hash \(configuration.hash)")
    }
  }

  struct Reference: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print every key with its default and what it does.")
    func run() throws { print(Configuration.reference, terminator: "") }
  }
}
