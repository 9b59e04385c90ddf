// A directory of real files for one test, what services and log rotation do to them, and a reader that collects lines.
import CLinux
import CZlib
import Glibc
import LogSources
import Primitives

final class TemporaryDirectory {
  let path: String
  init() {
    var template = Array("/tmp/panguard-sources-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { fatalError("mkdtemp: \(String(cString: strerror(errno)))") }
    path = String(cString: made)
  }
  deinit { _ = run(["/bin/rm", "-rf", path]) }
  subscript(name: String) -> String { "\(path)/\(name)" }

  func append(_ text: String, to name: String) { append(Array(text.utf8), to: name) }
  func append(_ bytes: [UInt8], to name: String) {
    let file = pg_open(self[name], O_WRONLY | O_CREAT | O_APPEND, 0o644)
    if file < 0 { fatalError("\(name): \(String(cString: strerror(errno)))") }
    writeAll(bytes, to: file)
    close(file)
  }
  func appendLines(_ range: Range<Int>, to name: String, prefix: String = "line") {
    append(range.map { "\(prefix) \($0) of this log\n" }.joined(), to: name)
  }
  func rename(_ from: String, _ to: String) { _ = Glibc.rename(self[from], self[to]) }
  func remove(_ name: String) { unlink(self[name]) }
  func truncate(_ name: String) { _ = Glibc.truncate(self[name], 0) }
  func copy(_ from: String, _ to: String) {
    let bytes = contents(from)
    remove(to)
    append(bytes, to: to)
  }
  func contents(_ name: String) -> [UInt8] {
    let file = pg_open(self[name], O_RDONLY, 0)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var out: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while case let n = read(file, &chunk, chunk.count), n > 0 { out.append(contentsOf: chunk[..<n]) }
    return out
  }
  /// What `gzip name` does: packs into `name.gz` and removes `name`.
  func gzip(_ name: String) {
    writeGzip(contents(name), to: "\(name).gz")
    remove(name)
  }
  func writeGzip(_ bytes: [UInt8], to name: String, mode: String = "wb") {
    guard let file = gzopen(self[name], mode) else { fatalError("gzopen") }
    if !bytes.isEmpty { gzwrite(file, bytes, UInt32(bytes.count)) }
    gzclose(file)
  }
}

func writeAll(_ bytes: [UInt8], to descriptor: Int32) {
  var done = 0
  while done < bytes.count {
    let n = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + done, bytes.count - done) }
    if n < 0 { fatalError("write: \(String(cString: strerror(errno)))") }
    done += n
  }
}

func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

/// Runs a program and waits for it. Its exit status, or -1 if it could not be started.
@discardableResult
func run(_ arguments: [String], input: String? = nil, output: String? = nil) -> Int32 {
  wait(for: start(arguments, input: input, output: output))
}

/// Starts a program. Its process id, or -1.
func start(_ arguments: [String], input: String? = nil, output: String? = nil) -> pid_t {
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_addopen(&actions, 0, input ?? "/dev/null", O_RDONLY, 0)
  posix_spawn_file_actions_addopen(&actions, 1, output ?? "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
  var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
  defer { argv.forEach { free($0) } }
  var child: pid_t = 0
  guard posix_spawn(&child, arguments[0], &actions, nil, &argv, environ) == 0 else { return -1 }
  return child
}

@discardableResult
func wait(for child: pid_t) -> Int32 {
  guard child > 0 else { return -1 }
  var status: Int32 = 0
  while waitpid(child, &status, 0) < 0, errno == EINTR {}
  return status & 0x7f == 0 ? status >> 8 & 0xff : -1
}

/// A tail with what it delivered, and restarts from its last kept checkpoint.
final class Follower {
  let path: String
  let grace: Nanoseconds
  private(set) var tail: FileTail
  private(set) var lines: [String] = []
  private(set) var offsets: [UInt64] = []
  private(set) var notices: [FileNotice] = []
  private var kept: (checkpoint: FileCheckpoint, lines: Int)?

  init(_ path: String, start: FileTail.Start = .beginning, grace: Nanoseconds = Nanoseconds(0)) {
    self.path = path
    self.grace = grace
    tail = FileTail(path: path, start: start, rotationGrace: grace)
  }
  /// Reads until there is nothing more.
  @discardableResult
  func readAll(maxBytes: Int = 131_072) -> Int {
    var count = 0
    for _ in 0..<100_000 {
      let progress = readOnce(maxBytes: maxBytes)
      count += progress.lines
      if progress.reachedEnd { return count }
    }
    fatalError("reading does not come to an end")
  }
  func readOnce(maxBytes: Int) -> ReadProgress {
    let progress = tail.read(maxBytes: maxBytes) { line, offset, _ in
      lines.append(line.string)
      offsets.append(offset)
    }
    notices += progress.notices
    return progress
  }
  /// As the agent does once the decisions of the lines are durable.
  func keep() {
    guard let checkpoint = tail.checkpoint else { return }
    guard let decoded = FileCheckpoint(json: checkpoint.json), decoded == checkpoint else { fatalError("checkpoint does not survive") }
    kept = (decoded, lines.count)
  }
  /// kill -9 and a new start: lines behind the kept checkpoint were not acknowledged, and come again.
  func restart() {
    if let kept { lines.removeLast(lines.count - kept.lines) } else { lines = [] }
    offsets = []
    tail = FileTail(path: path, start: .beginning, checkpoint: kept?.checkpoint, rotationGrace: grace)
  }
  func stop() {
    keep()
    restart()
  }
}

func numbered(_ range: Range<Int>, prefix: String = "line") -> [String] { range.map { "\(prefix) \($0) of this log" } }
