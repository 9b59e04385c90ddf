// What the programs share about talking to people: exit codes, errors that say what to do next, colours.
// Results go to standard output, everything else to standard error; the two are never mixed.
import CLinux
import Glibc

/// DESIGN 13: the exit code is a contract.
public enum ExitStatus: Int32, Sendable {
  case done = 0
  /// Findings, failed tests.
  case findings = 1
  case usage = 2
  /// Permission, missing file, daemon not running.
  case environment = 3
}

/// Ends a command with a message on standard error and an exit code.
public struct CommandFailure: Error, CustomStringConvertible {
  public var status: ExitStatus
  public var message: String
  public var description: String { message }
  public init(status: ExitStatus, message: String) {
    self.status = status
    self.message = message
  }
  public static func environment(_ message: String) -> CommandFailure { CommandFailure(status: .environment, message: message) }
  public static func usage(_ message: String) -> CommandFailure { CommandFailure(status: .usage, message: message) }
  /// The result is already printed; only the code remains.
  public static let findings = CommandFailure(status: .findings, message: "")
}

public func printError(_ message: String) { fputs(message + "\n", pg_stderr()) }

public enum ColorChoice: String, CaseIterable, Sendable { case auto, always, never }

public enum Terminal {
  /// Whether to colour what goes to `descriptor`: NO_COLOR (no-color.org) and TERM=dumb turn it off unless it was asked for.
  public static func usesColor(_ choice: ColorChoice, descriptor: Int32 = STDOUT_FILENO) -> Bool {
    switch choice {
    case .always: return true
    case .never: return false
    case .auto:
      if let value = getenv("NO_COLOR"), value.pointee != 0 { return false }
      if let term = getenv("TERM"), String(cString: term) == "dumb" { return false }
      return isatty(descriptor) == 1
    }
  }
  public static var width: Int {
    let columns = Int(pg_terminal_columns(STDOUT_FILENO))
    return columns > 0 ? columns : 120
  }
}

/// "1,234,567"
public func grouped(_ value: UInt64) -> String {
  var out = ""
  let digits = String(value)
  for (i, digit) in digits.enumerated() {
    if i > 0, (digits.count - i) % 3 == 0 { out.append(",") }
    out.append(digit)
  }
  return out
}
