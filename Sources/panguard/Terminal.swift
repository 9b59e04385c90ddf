// What the commands share about talking to people: results, progress. Exit codes, errors and colours they share with the other programs.
// Results go to standard output, everything else to standard error; the two are never mixed.
import AgentRuntime
import CLinux
// In every file of this module: what the programs share is the vocabulary of each command.
@_exported import EngineCommand
import Glibc
import LogSources
import Primitives

/// Buffered standard output. A reader that went away (`| head`) ends the command quietly.
struct Output {
  private var buffer: [UInt8] = []
  private let descriptor: Int32
  init(descriptor: Int32 = STDOUT_FILENO) {
    self.descriptor = descriptor
    buffer.reserveCapacity(1 << 16)
  }
  /// A file that only its owner may read, written anew.
  init(creating path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw CommandFailure.environment("\(path): \(String(cString: strerror(errno)))") }
    self.init(descriptor: descriptor)
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

/// A progress bar on standard error, only where that is a terminal. Redrawn at most ten times a second.
struct Progress {
  private let label: String
  private let isShown: Bool
  private var lastDrawn: Int64 = 0
  private var lastShare = -1
  init(_ label: String, quiet: Bool = false) {
    self.label = label
    isShown = !quiet && isatty(STDERR_FILENO) == 1
  }
  /// Draws when another thousandth of the work is done, not more than ten times a second: may be called with each record.
  mutating func update(_ done: UInt64, of total: UInt64, note: @autoclosure () -> String = "") {
    guard isShown else { return }
    let share = total > 0 ? min(1000, Int(done * 1000 / total)) : 0
    guard share != lastShare else { return }
    let now = MonotonicTime.now()
    guard now - lastDrawn > 100_000_000 || done == total else { return }
    (lastDrawn, lastShare) = (now, share)
    let width = 30
    let filled = share * width / 1000
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
    fputs("\r\u{1b}[K\(label) \(bar) \(share / 10) % \(note())", pg_stderr())
    fflush(pg_stderr())
  }
  func finish() { if isShown { fputs("\r\u{1b}[K", pg_stderr()) } }
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
