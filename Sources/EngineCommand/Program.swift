// How each program of ours begins and ends: arguments, errors on standard error, exit codes of DESIGN 13.
import ArgumentParser
import Glibc

/// Parses the arguments, runs the command, and ends the process with its exit code where it fails.
public func runProgram<Command: ParsableCommand>(_ program: Command.Type) {
  signal(SIGPIPE, SIG_IGN)
  do {
    var command = try program.parseAsRoot()
    try command.run()
  } catch let failure as CommandFailure {
    if !failure.message.isEmpty { printError("panguard: \(failure.message)") }
    Glibc.exit(failure.status.rawValue)
  } catch {
    let code = program.exitCode(for: error)
    let text = program.fullMessage(for: error)
    if code == .success {
      print(text)
      Glibc.exit(ExitStatus.done.rawValue)
    }
    if !text.isEmpty { printError(text) }
    Glibc.exit(code == .validationFailure ? ExitStatus.usage.rawValue : ExitStatus.environment.rawValue)
  }
}
