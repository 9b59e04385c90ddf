// A directory of the test's own, and a responder that runs as a process over a socket pair. Needs root for most: what a responder does to
// others it may do only then; where it is not permitted the tests say so and do nothing.
import CLinux
import Glibc
import HostActions
import Primitives
import Testing

@testable import ResponderRuntime

func skip(_ reason: String) { print("skipped: \(reason)") }

final class Directory {
  let path: String
  init(below parent: String = "/tmp") {
    var template = Array("\(parent)/panguard-responder-test-XXXXXX".utf8CString)
    mkdtemp(&template)
    path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }
  deinit { _ = Program.run(["/bin/rm", "-rf", path]) }
  subscript(_ name: String) -> String { "\(path)/\(name)" }
  func write(_ text: String, _ name: String, mode: mode_t = 0o644) {
    let file = open(self[name], O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    let bytes = Array(text.utf8)
    _ = Glibc.write(file, bytes, bytes.count)
    fchmod(file, mode)
    close(file)
  }
  func text(_ name: String) -> String? { contents(self[name]) }
}
func contents(_ path: String) -> String? {
  let file = open(path, O_RDONLY)
  guard file >= 0 else { return nil }
  defer { close(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65536)
  while case let count = read(file, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
  return String(decoding: bytes, as: UTF8.self)
}
func eventually(seconds: Int = 90, _ condition: () -> Bool) -> Bool {
  for _ in 0..<seconds * 50 {
    if condition() { return true }
    usleep(20_000)
  }
  return condition()
}
func now() -> Int64 { ProcessKilling.now(CLOCK_REALTIME) }

/// A started program.
final class Program {
  let pid: pid_t
  private var status: Int32?
  init(_ arguments: [String], output: String = "/dev/null", passing descriptor: Int32? = nil) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    if let descriptor { posix_spawn_file_actions_adddup2(&actions, descriptor, 11) }
    var attributes = posix_spawnattr_t()
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var list = arguments.map { strdup($0) } + [nil]
    defer { for argument in list { free(argument) } }
    let environment: [String] = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
    var variables = environment.map { strdup($0) } + [nil]
    defer { for variable in variables { free(variable) } }
    var started: pid_t = 0
    if posix_spawn(&started, arguments[0], &actions, &attributes, &list, &variables) != 0 { status = -1 }
    pid = started
  }
  deinit {
    if status == nil {
      kill(pid, SIGKILL)
      wait()
    }
  }
  /// The exit code; 128 and the signal's number if one ended it.
  @discardableResult
  func wait() -> Int32 {
    if let status { return status }
    var raw: Int32 = 0
    while waitpid(pid, &raw, 0) < 0, errno == EINTR {}
    status = raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + raw & 0x7f
    return status!
  }
  var hasEnded: Bool {
    if status != nil { return true }
    var info = siginfo_t()
    return waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_signo == SIGCHLD
  }
  static func run(_ arguments: [String]) -> (code: Int32, text: String) {
    var template = Array("/tmp/panguard-run-XXXXXX".utf8CString)
    close(mkstemp(&template))
    let path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    defer { unlink(path) }
    let code = Program(arguments, output: path).wait()
    return (code, contents(path) ?? "")
  }
}

/// panguard-responder with a configuration of the test's.
final class Workshop {
  static let program: String = {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let n = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count) }
    let own = String(decoding: buffer.prefix(max(0, n)), as: UTF8.self)
    let beside = own.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/panguard-responder"
    if access(beside, X_OK) == 0 { return beside }
    return "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/.build/debug/panguard-responder"
  }()
  let directory: Directory
  private(set) var responder: Program!
  private(set) var client: ResponderClient!
  private let prefix: [String]
  var audit: String { directory.text("audit") ?? "" }

  /// nil, with the reason printed, where it cannot be.
  static func make(_ configuration: String, prefix: [String] = [], in directory: Directory = Directory()) -> Workshop? {
    guard geteuid() == 0 else {
      skip("acting on other users' processes and files needs root")
      return nil
    }
    return Workshop(configuration, prefix, directory)
  }
  private init(_ configuration: String, _ prefix: [String], _ directory: Directory) {
    self.directory = directory
    self.prefix = prefix
    chmod(directory.path, 0o755)
    mkdir(directory["state"], 0o700)
    mkdir(directory["actions.d"], 0o755)
    // A user of the machine's that is nobody: the tests make none.
    directory.write(
      configuration + "executables_user: nobody\nexecutables_directory: \(directory["actions.d"])\nstate_directory: \(directory["state"])\n",
      "responder.yaml")
    start()
  }
  func start() {
    var ends: [Int32] = [-1, -1]
    socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends)
    responder = Program(
      prefix + [Workshop.program, "--config", directory["responder.yaml"], "--fd", "11"], output: directory["audit"], passing: ends[1])
    close(ends[1])
    client = ResponderClient(descriptor: ends[0], timeout: .seconds(20))
  }
  func restart() {
    kill(responder.pid, SIGKILL)
    responder.wait()
    start()
  }

  /// Asks, and waits for the end.
  func perform(_ key: String, _ action: HostAction, seconds: Int = 90) -> HostActionOutcome {
    do {
      var outcome = try client.perform(key, action)
      for _ in 0..<seconds * 20 where outcome.state == .pending {
        usleep(50_000)
        outcome = try client.outcomes([key])[0]
      }
      return outcome
    } catch {
      return HostActionOutcome(.unknown, "no answer", "\(error); \(audit)")
    }
  }
  func undo(_ key: String) -> HostActionOutcome {
    do {
      var outcome = try client.undo(key)
      for _ in 0..<400 where outcome.state == .pending {
        usleep(50_000)
        outcome = try client.outcomes([key])[0]
      }
      return outcome
    } catch {
      return HostActionOutcome(.unknown, "no answer", "\(error); \(audit)")
    }
  }
}
