// `panguard keys new` and `panguard verify-events`: the key that signs ATR events, and whether events are what it signed.
import AgentRuntime
import ArgumentParser
import Primitives

struct KeysCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "keys", abstract: "Keys that sign ATR events.", subcommands: [New.self])

  struct New: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make an Ed25519 key.", discussion: "Writes FILE (mode 0600) and FILE.pub, both PEM, never over a file that exists.")
    @Argument(help: "The file to write.", completion: .file()) var file: String

    func run() throws {
      do {
        let key = try SigningKey.make()
        try key.write(to: file)
        print("\(key.verifyingKey.id)  \(file), \(file).pub")
      } catch {
        throw CommandFailure.environment("\(error)")
      }
    }
  }
}

struct VerifyEventsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify-events", abstract: "Check the signatures of ATR events.",
    discussion: "Exit 1 if a line is not an event that the key signed, or if there is none.")
  @Option(name: .long, help: "The public key (PEM).", completion: .file()) var key: String
  @Argument(help: "A file of events; - is standard input.", completion: .file()) var file: String

  func run() throws {
    let verifying: VerifyingKey
    do { verifying = try VerifyingKey(file: key) } catch { throw CommandFailure.environment("\(error)") }
    var number = 0
    var valid = 0
    var invalid = 0
    try forEachLine(of: file) { line in
      number += 1
      guard !line.trimmed.isEmpty else { return }
      let result = ATREventVerification(line, key: verifying)
      if result == .valid { valid += 1 } else { invalid += 1 }
      if result != .valid { printError("\(file):\(number): error: \(result)") }
    }
    print("\(valid) events valid, \(invalid) not")
    if invalid > 0 || valid == 0 { throw CommandFailure.findings }
  }
}
