// The engine's program: the only one that parses what others write. What it does stands in EngineCommand; service managers start this,
// and `panguard run` does.
import AgentRuntime
import ArgumentParser
import EngineCommand
import Glibc

@main
struct Panguardd: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "panguardd", abstract: "The engine of Panguard: reads logs, decides by rules, stores decisions.",
    discussion: """
      Before it reads the first line it gives up everything that it does not need: user, capabilities, files outside its list, network
      sockets, most system calls. SIGHUP reads configuration and rules again; what is broken is refused, and the old ones stay.
      `panguard run` starts it in the foreground; `panguard status` asks it how it is.

      Exit codes: 0 done, 1 findings of --check or --check-confinement, 2 wrong usage, 3 environment (permission, missing file).
      """,
    version: Version.text)
  @OptionGroup var engine: EngineOptions
  @Flag(name: .long, help: "Give up what the engine gives up, try what it must not be able to do, print the answers, and end.")
  var checkConfinement = false
  @Flag(name: .long, help: "Read configuration and rules, say what is wrong with them, and end.") var check = false
  @Flag(name: .long, help: .hidden) var supervised = false

  func run() throws {
    if check { return try SettingsCheck.run(engine) }
    if checkConfinement { return try ConfinementCheck.run(engine) }
    try EngineProcess.run(engine, isSupervised: supervised)
  }

  static func main() { runProgram(Panguardd.self) }
}
