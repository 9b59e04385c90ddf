// The JSON lines file of decisions (`output.jsonl`), for programs that follow a file.
import Glibc

/// The JSON lines file that decisions are appended to (output.jsonl). A write that fails is counted; the store has the decision.
final class DecisionLogFile {
  private let path: String
  /// The configuration's name of it.
  private let key: String
  private var descriptor: Int32 = -1
  private(set) var failures: UInt64 = 0

  init(path: String, key: String = "output.jsonl") throws {
    self.path = path
    self.key = key
    try reopen()
  }
  deinit { if descriptor >= 0 { close(descriptor) } }

  /// For log rotation (SIGHUP).
  func reopen() throws {
    let opened = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o600)
    guard opened >= 0 else { throw AgentError("\(key): \(path): \(String(cString: strerror(errno)))") }
    if descriptor >= 0 { close(descriptor) }
    descriptor = opened
  }
  func append(_ line: [UInt8]) {
    var bytes: [UInt8] = isTorn ? [0x0a] : []
    bytes += line
    bytes.append(0x0a)
    let written = write(descriptor, bytes, bytes.count)
    if written != bytes.count {
      failures += 1
      isTorn = isTorn ? written != 1 : written > 0
    } else {
      isTorn = false
    }
  }
  /// The last line was written in part (a full disk): the next begins a line of its own.
  private var isTorn = false
}
