// The built `panguard` as a child process: directories of its own, output in files, signals, time-outs.
// Nothing of the system is touched: state, cache, logs and sockets lie below one temporary directory for each test.
import AgentRuntime
import CLinux
import Detection
import Export
import Glibc
import Primitives
import Storage
import Synchronization

enum Product {
  /// The directory of the package, with rules and examples.
  static let root: String = {
    var parts = #filePath.split(separator: "/")
    parts.removeLast(3)
    return "/" + parts.joined(separator: "/")
  }()
  /// Beside the test bundle that runs this.
  static let panguard: String = {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let n = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count) }
    let own = String(decoding: buffer.prefix(max(0, n)), as: UTF8.self)
    let beside = own.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/panguard"
    return access(beside, X_OK) == 0 ? beside : root + "/.build/debug/panguard"
  }()
  static let panguardd = panguard + "d"
  static let rules = root + "/rules/host"
  /// Data that lies beside the repository and is not part of it; nil where it is absent.
  static let shared: String? = {
    if let path = getenv("PANGUARD_SHARED") { return String(cString: path) }
    let beside = root.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/shared"
    return access(beside, R_OK) == 0 ? beside : nil
  }()
  /// One cache of compiled rules for the whole run.
  private static let cache = TemporaryDirectory.untilExit()
  static var environment: [String: String] { ["CACHE_DIRECTORY": cache.path] }
  static var isRoot: Bool { geteuid() == 0 }
}

func skip(_ reason: String) { print("skipped: \(reason)") }

/// Removed with its content.
final class TemporaryDirectory: Sendable {
  let path: String
  init() {
    var template = Array("/tmp/panguard-e2e-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { fatalError("mkdtemp: \(String(cString: strerror(errno)))") }
    path = String(cString: made)
  }
  deinit { remove() }
  private func remove() { Child(["/bin/rm", "-rf", path]).wait() }

  /// For what all tests share: removed when the process ends in order.
  static func untilExit() -> TemporaryDirectory {
    let made = TemporaryDirectory()
    shared.withLock { $0.append(made) }
    return made
  }
  private static let shared: Mutex<[TemporaryDirectory]> = {
    atexit { TemporaryDirectory.shared.withLock { $0.forEach { $0.remove() } } }
    return Mutex([])
  }()

  subscript(name: String) -> String { "\(path)/\(name)" }

  @discardableResult
  func write(_ text: String, to name: String) -> String {
    unlink(self[name])
    append(text, to: name)
    return self[name]
  }
  func append(_ text: String, to name: String) { append(Array(text.utf8), to: name) }
  func append(_ bytes: [UInt8], to name: String) {
    let file = pg_open(self[name], O_WRONLY | O_CREAT | O_APPEND, 0o644)
    if file < 0 { fatalError("\(name): \(String(cString: strerror(errno)))") }
    var done = 0
    while done < bytes.count {
      let n = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + done, bytes.count - done) }
      if n < 0 { fatalError("write: \(String(cString: strerror(errno)))") }
      done += n
    }
    close(file)
  }
  func contents(_ name: String) -> [UInt8] { fileContents(self[name]) }
  func rename(_ from: String, _ to: String) { _ = Glibc.rename(self[from], self[to]) }
  func exists(_ name: String) -> Bool { access(self[name], F_OK) == 0 }
}

func fileContents(_ path: String) -> [UInt8] {
  let file = pg_open(path, O_RDONLY, 0)
  guard file >= 0 else { return [] }
  defer { close(file) }
  var out: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 65536)
  while case let n = read(file, &chunk, chunk.count), n > 0 { out.append(contentsOf: chunk[..<n]) }
  return out
}

/// A started program. Killed, if it still runs, when nobody holds it any more.
final class Child {
  private(set) var pid: pid_t = 0
  private var status: Int32?

  /// `output`, `errors`: files that are written anew; nil: nowhere. `environment`: added to a small fixed one.
  init(_ arguments: [String], input: String? = nil, output: String? = nil, errors: String? = nil, environment: [String: String] = [:]) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, input ?? "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, output ?? "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    posix_spawn_file_actions_addopen(&actions, 2, errors ?? "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    // The test's threads may block or ignore signals, and a child inherits that.
    var attributes = posix_spawnattr_t()
    var (none, all) = (sigset_t(), sigset_t())
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    var variables = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", "HOME": "/nonexistent"]
    for name in ["PATH", "PYENV_ROOT", "LD_LIBRARY_PATH"] { if let value = getenv(name) { variables[name] = String(cString: value) } }
    variables.merge(environment) { _, new in new }
    var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    var envp: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0)=\($1)") } + [nil]
    defer {
      argv.forEach { free($0) }
      envp.forEach { free($0) }
    }
    if posix_spawn(&pid, arguments[0], &actions, &attributes, &argv, &envp) != 0 { status = -1 }
  }
  deinit {
    guard status == nil else { return }
    kill(pid, SIGKILL)
    wait()
  }

  func signal(_ number: Int32) { if status == nil { kill(pid, number) } }

  /// The exit code; 128 and the signal's number if one ended it.
  @discardableResult
  func wait() -> Int32 {
    if let status { return status }
    var raw: Int32 = 0
    while waitpid(pid, &raw, 0) < 0, errno == EINTR {}
    return ended(raw)
  }
  /// The same, or nil if it still runs after `seconds`.
  func wait(seconds: Int) -> Int32? {
    _ = eventually(seconds: seconds) { !isRunning }
    return status
  }
  var isRunning: Bool {
    guard status == nil else { return false }
    var raw: Int32 = 0
    guard waitpid(pid, &raw, WNOHANG) == pid else { return true }
    _ = ended(raw)
    return false
  }
  private func ended(_ raw: Int32) -> Int32 {
    let code = raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + raw & 0x7f
    status = code
    return code
  }
}

/// Waits until `condition` holds, looking fifty times a second. False if it does not in time: waiting long costs nothing when it does.
func eventually(seconds: Int = 120, _ condition: () throws -> Bool) rethrows -> Bool {
  let deadline = MonotonicTime.now() + Int64(seconds) * 1_000_000_000
  while true {
    if try condition() { return true }
    if MonotonicTime.now() > deadline { return false }
    usleep(20_000)
  }
}

struct Finished: CustomStringConvertible {
  var status: Int32
  var output: [UInt8]
  var errors: String
  var description: String { "exit \(status)\n\(text)\n\(errors)" }
  var text: String { String(decoding: output, as: UTF8.self) }
  var lines: [String] { text.split(separator: "\n").map(String.init) }
  /// The output as decisions, one a line.
  var decisions: [Decision] {
    get throws { try output.split(separator: 0x0a).map { try Array($0).withUnsafeBytes { try DecisionJSON.decode($0) } } }
  }
}

/// Runs a program to its end. `input`: the path of what it reads as standard input.
@discardableResult
func run(_ arguments: [String], input: String? = nil, environment: [String: String] = [:]) -> Finished {
  let directory = TemporaryDirectory()
  let child = Child(arguments, input: input, output: directory["out"], errors: directory["err"], environment: environment)
  // Whatever does not end within a quarter of an hour, on a machine with other work, does not end.
  let status = child.wait(seconds: 900) ?? -1
  return Finished(status: status, output: directory.contents("out"), errors: String(decoding: directory.contents("err"), as: UTF8.self))
}
func panguard(_ arguments: String..., input: String? = nil, environment: [String: String] = [:]) -> Finished {
  panguard(arguments, input: input, environment: environment)
}
func panguard(_ arguments: [String], input: String? = nil, environment: [String: String] = [:]) -> Finished {
  run([Product.panguard] + arguments, input: input, environment: Product.environment.merging(environment) { _, own in own })
}
/// Runs a line of bash. `$P` is panguard.
func bash(_ command: String, _ directory: TemporaryDirectory, environment: [String: String] = [:]) -> Finished {
  run(
    ["/bin/bash", "-c", command],
    environment: Product.environment.merging(["P": Product.panguard, "D": directory.path, "R": Product.rules, "ROOT": Product.root]) { $1 }
      .merging(environment) { $1 })
}

/// `panguard run` over the logs below one directory. It may be ended and started again; its state stays.
final class RunningAgent {
  let directory: TemporaryDirectory
  let state: String
  private(set) var child: Child
  private let arguments: [String]
  var errors: String { String(decoding: directory.contents("agent.err"), as: UTF8.self) }
  var output: [String] { String(decoding: directory.contents("agent.out"), as: UTF8.self).split(separator: "\n").map(String.init) }

  /// `sources`: paths below the directory, read from their beginning. `more`: further configuration.
  /// Text of these files may lead to a block, unless `more` has a policy of its own: most tests are not about trust. `trust`: what the
  /// configuration says of the sources; `prefix`: what `panguard` is started by; `list`: further sources as the configuration writes them.
  init(
    _ directory: TemporaryDirectory, sources: [String] = ["auth.log"], more: String = "", arguments: [String] = [], state: String? = nil,
    trust: String = "claimed", prefix: [String] = [], list: [String] = []
  ) {
    self.directory = directory
    self.state = state ?? directory["state"]
    let list =
      sources.map { "  - path: \(directory[$0])\n    from_start: true\n    trust: \(trust)\n" }.joined() + list.map { "  - \($0)\n" }.joined()
    let more = more.contains("policy:") ? more : "policy: {claimed_may_block: true}\n" + more
    directory.write("sources:\(list.isEmpty ? " []" : "")\n\(list)\(more)\n", to: "config.yaml")
    // A user `panguard` that this machine may have could not enter the directories of the tests.
    let user = Product.isRoot && !arguments.contains("--user") ? ["--user", "root"] : []
    let rules = arguments.contains("--rules") ? [] : ["--rules", Product.rules]
    self.arguments = prefix + [Product.panguard, "run", "--config", directory["config.yaml"], "--state", self.state] + rules + user + arguments
    child = RunningAgent.start(self.arguments, directory)
  }
  private static func start(_ arguments: [String], _ directory: TemporaryDirectory) -> Child {
    Child(arguments, output: directory["agent.out"], errors: directory["agent.err"], environment: Product.environment)
  }
  /// `program`: other files than before, as after an upgrade.
  func start(program: String = Product.panguard) {
    child = RunningAgent.start(arguments.map { $0 == Product.panguard ? program : $0 }, directory)
  }

  func status() -> AgentStatus? {
    guard let answer = try? ControlClient.ask(AgentPaths.socketPath(in: state), .status) else { return nil }
    return try? answer.withUnsafeBytes { try AgentStatus(json: $0) }
  }
  /// The engine behind it, as long as it answers, and then the last one that did.
  var engine: pid_t {
    if let status = status() { lastEngine = pid_t(status.pid) }
    return lastEngine
  }
  private var lastEngine: pid_t = 0
  func signalEngine(_ number: Int32) { if case let pid = engine, pid > 0 { kill(pid, number) } }
  /// One of the others. A new engine hears of them from the supervisor, a moment after its start. nil: there is none.
  func process(_ name: String) -> pid_t? {
    var found: Int64 = 0
    _ = eventually {
      found = status()?.processes.first { $0.name == name }?.pid ?? 0
      return found > 0
    }
    return found > 0 ? pid_t(found) : nil
  }
  /// For an engine that cannot answer.
  func resumeEngine() { if lastEngine > 0 { kill(lastEngine, SIGCONT) } }

  /// True once it answers.
  func isUp() -> Bool { eventually { status() != nil || !child.isRunning } && child.isRunning }

  /// Ends it in order. Its exit code; nil if it does not end.
  @discardableResult
  func stop(_ signal: Int32 = SIGTERM) -> Int32? {
    child.signal(signal)
    return child.wait(seconds: 120)
  }
  func killAtOnce() {
    child.signal(SIGKILL)
    child.wait()
  }

  func store() throws -> DecisionStore { try DecisionStore(directory: state, readOnly: true) }
  /// Lines that the store says were acknowledged, over all sources.
  func acknowledgedLines() -> Int64 { (try? store().checkpoints().reduce(0) { $0 + $1.lines }) ?? 0 }
  func acknowledges(_ lines: Int, seconds: Int = 90) -> Bool { eventually(seconds: seconds) { acknowledgedLines() == lines } }
  /// The latest record of every incident.
  func decisions() throws -> [Decision] { try store().decisions(limit: 100_000).decisions }
  func drop(_ cause: String) -> UInt64 { status()?.drops.first { $0.cause == cause }?.count ?? 0 }
}
