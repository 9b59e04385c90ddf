// What the commands share about talking to people: exit codes, errors that say what to do next, colours, progress.
// Results go to standard output, everything else to standard error; the two are never mixed.
import AgentRuntime
import CLinux
import Glibc
import LogSources
import Primitives

/// DESIGN 13: the exit code is a contract.
enum ExitStatus: Int32 {
  case done = 0
  /// Findings, failed tests.
  case findings = 1
  case usage = 2
  /// Permission, missing file, daemon not running.
  case environment = 3
}

/// Ends a command with a message on standard error and an exit code.
struct CommandFailure: Error, CustomStringConvertible {
  var status: ExitStatus
  var message: String
  var description: String { message }
  static func environment(_ message: String) -> CommandFailure { CommandFailure(status: .environment, message: message) }
  static func usage(_ message: String) -> CommandFailure { CommandFailure(status: .usage, message: message) }
  /// The result is already printed; only the code remains.
  static let findings = CommandFailure(status: .findings, message: "")
}

/// Buffered standard output. A reader that went away (`| head`) ends the command quietly.
struct Output {
  private var buffer: [UInt8] = []
  private let descriptor: Int32
  init(descriptor: Int32 = STDOUT_FILENO) {
    self.descriptor = descriptor
    buffer.reserveCapacity(1 << 16)
  }
  /// Waits; false as soon as nobody reads standard output any more (a closed pipe), which a command that only waits would not see.
  static func waits(milliseconds: Int32) -> Bool {
    var output = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
    return poll(&output, 1, milliseconds) <= 0 || output.revents & Int16(POLLERR | POLLHUP | POLLNVAL) == 0
  }
  mutating func write(_ bytes: [UInt8]) {
    buffer.append(contentsOf: bytes)
    if buffer.count >= 1 << 16 { flush() }
  }
  mutating func line(_ bytes: [UInt8]) {
    buffer.append(contentsOf: bytes)
    buffer.append(0x0a)
    if buffer.count >= 1 << 16 { flush() }
  }
  mutating func line(_ text: String = "") {
    buffer.append(contentsOf: text.utf8)
    buffer.append(0x0a)
    if buffer.count >= 1 << 16 { flush() }
  }
  mutating func flush() {
    var written = 0
    buffer.withUnsafeBytes { bytes in
      while written < bytes.count {
        let n = Glibc.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
        if n < 0, errno == EINTR { continue }
        if n < 0, errno == EAGAIN {
          var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          _ = poll(&waiting, 1, -1)
          continue
        }
        if n <= 0 {
          if errno == EPIPE { exit(ExitStatus.done.rawValue) }
          printError("panguard: cannot write the output: \(String(cString: strerror(errno)))")
          exit(ExitStatus.environment.rawValue)
        }
        written += n
      }
    }
    buffer.removeAll(keepingCapacity: true)
  }
}

func printError(_ message: String) { fputs(message + "\n", pg_stderr()) }

enum ColorChoice: String, CaseIterable, Sendable { case auto, always, never }

enum Terminal {
  /// Whether to colour what goes to `descriptor`: NO_COLOR (no-color.org) and TERM=dumb turn it off unless it was asked for.
  static func usesColor(_ choice: ColorChoice, descriptor: Int32 = STDOUT_FILENO) -> Bool {
    switch choice {
    case .always: return true
    case .never: return false
    case .auto:
      if let value = getenv("NO_COLOR"), value.pointee != 0 { return false }
      if let term = getenv("TERM"), String(cString: term) == "dumb" { return false }
      return isatty(descriptor) == 1
    }
  }
  static var width: Int {
    let columns = Int(pg_terminal_columns(STDOUT_FILENO))
    return columns > 0 ? columns : 120
  }
}

/// A progress bar on standard error, only where that is a terminal. Redrawn at most ten times a second.
struct Progress {
  private let label: String
  private let isShown: Bool
  private var lastDrawn: Int64 = 0
  init(_ label: String, quiet: Bool = false) {
    self.label = label
    isShown = !quiet && isatty(STDERR_FILENO) == 1
  }
  mutating func update(_ done: UInt64, of total: UInt64, note: @autoclosure () -> String = "") {
    guard isShown else { return }
    let now = MonotonicTime.now()
    guard now - lastDrawn > 100_000_000 || done == total else { return }
    lastDrawn = now
    let width = 30
    let share = total > 0 ? min(1000, Int(done * 1000 / total)) : 0
    let filled = share * width / 1000
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
    fputs("\r\u{1b}[K\(label) \(bar) \(share / 10) % \(note())", pg_stderr())
    fflush(pg_stderr())
  }
  func finish() { if isShown { fputs("\r\u{1b}[K", pg_stderr()) } }
}

/// "1,234,567"
func grouped(_ value: UInt64) -> String {
  var out = ""
  let digits = String(value)
  for (i, digit) in digits.enumerated() {
    if i > 0, (digits.count - i) % 3 == 0 { out.append(",") }
    out.append(digit)
  }
  return out
}

/// Calls `body` with each line of a file (plain, gzip or xz; "-" is standard input) and the input's time.
func forEachLine(of path: String, lineLimit: Int = Limits.lineBytes, _ body: (Bytes, EventTime) throws -> Void) throws {
  do {
    let input = try ReplayInput(path: path, standardInputTime: EventTime(seconds: Int64(time(nil))), lineLimit: lineLimit)
    var failure: (any Error)?
    while !input.isAtEnd, failure == nil {
      _ = try input.read { line, _ in
        do { try body(line, input.modificationTime) } catch { failure = error }
        return failure == nil
      }
    }
    if let failure { throw failure }
  } catch let error as SourceError {
    throw CommandFailure.environment("\(error)")
  }
}
func forEachLine(of path: String, lineLimit: Int = Limits.lineBytes, _ body: (Bytes) throws -> Void) throws {
  try forEachLine(of: path, lineLimit: lineLimit) { line, _ in try body(line) }
}
