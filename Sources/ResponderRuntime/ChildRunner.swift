// Programs that are run for an action: started with nothing but what they are given, watched, ended in time, their output cut. One thread;
// nothing here waits. What must stay true: a child never outlives its time, nor us; what it leaves behind in its session is killed; a child
// that leaves its session is killed as soon as its parent is gone.
import CLinux
import Confinement
import Glibc
import Primitives

struct ChildEnd: Equatable {
  /// The exit code; 128 and the signal's number if one ended it.
  var code: Int32
  var timedOut: Bool
  /// Its first bytes, standard output and error together.
  var output: [UInt8]

  /// "exit 3: disk full"
  var text: String {
    let words = String(decoding: output, as: UTF8.self).split { $0 == "\n" || $0 == "\r" }.joined(separator: "; ")
    let how = timedOut ? "killed: it took too long" : code >= 128 ? "ended by signal \(code - 128)" : "exit \(code)"
    return words.isEmpty ? how : "\(how): \(words)"
  }
}

struct ChildProgramRequest {
  /// An open file; closed when the child has it.
  var program: Int32
  var arguments: [String]
  var input: [UInt8] = []
  /// nil: it stays who we are.
  var account: Account?
  var capabilities: [Capability] = []
  var timeout: Nanoseconds
  /// Whether the number of processes of its user is bounded: not for root's.
  var boundsProcesses = true
  /// Of each file that it writes.
  var fileBytes = Limits.executableFileBytes
}

final class ChildRunner {
  private struct Child {
    let pid: pid_t
    /// Readable when it has ended.
    let end: Int32
    var output: Int32
    let deadline: UInt64
    var bytes: [UInt8] = []
    var timedOut = false
    let finished: (ChildEnd) -> Void
  }
  private var children: [Child] = []
  private(set) var timedOut: UInt64 = 0
  private(set) var droppedBytes: UInt64 = 0
  private static let environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/nonexistent"]

  var count: Int { children.count }
  /// Nanoseconds of the monotonic clock at which one must be ended.
  var deadline: UInt64? { children.map(\.deadline).min() }

  deinit { for child in children { kill(-child.pid, SIGKILL) } }

  /// errno where it could not be started; else `finished` is called once.
  func start(_ request: ChildProgramRequest, now: UInt64, finished: @escaping (ChildEnd) -> Void) -> Int32? {
    defer { close(request.program) }
    let input = pg_memory_file("input")
    guard input >= 0 else { return errno }
    defer { close(input) }
    guard write(input, request.input, request.input.count) == request.input.count, lseek(input, 0, SEEK_SET) == 0 else { return ENOSPC }
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return errno }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
    let pid = spawn(request, input: input, output: ends[1])
    let code = errno
    close(ends[1])
    guard pid > 0 else {
      close(ends[0])
      return code
    }
    // Our own child's number cannot be given out again before we have waited for it.
    let end = pg_pidfd_open(pid)
    let span = UInt64(clamping: request.timeout.count)
    children.append(Child(pid: pid, end: end, output: ends[0], deadline: now &+ span, finished: finished))
    return nil
  }

  private func spawn(_ request: ChildProgramRequest, input: Int32, output: Int32) -> pid_t {
    var arguments: [UnsafeMutablePointer<CChar>?] = request.arguments.map { strdup($0) } + [nil]
    var environment: [UnsafeMutablePointer<CChar>?] = ChildRunner.environment.map { strdup($0) } + [nil]
    defer { (arguments + environment).forEach { free($0) } }
    var mask: UInt64 = 0
    for capability in request.capabilities { mask |= 1 << UInt64(capability.rawValue) }
    return arguments.withUnsafeMutableBufferPointer { arguments in
      environment.withUnsafeMutableBufferPointer { environment in
        var spawn = pg_spawn()
        spawn.program = request.program
        spawn.arguments = UnsafePointer(arguments.baseAddress)
        spawn.environment = UnsafePointer(environment.baseAddress)
        (spawn.input, spawn.output) = (input, output)
        if let account = request.account {
          (spawn.user, spawn.group, spawn.changes_identity) = (account.user, account.group, 1)
        }
        spawn.capabilities = mask
        spawn.processor_seconds = UInt64(clamping: request.timeout.wholeSeconds + 1)
        spawn.file_bytes = request.fileBytes
        spawn.memory_bytes = Limits.executableMemoryBytes
        spawn.processes = request.boundsProcesses ? Limits.executableProcesses : 0
        spawn.open_files = Limits.executableOpenFiles
        return pg_spawn_bare(&spawn)
      }
    }
  }

  // MARK: The loop

  var waited: [pollfd] {
    children.flatMap { [pollfd(fd: $0.end, events: Int16(POLLIN), revents: 0), pollfd(fd: $0.output, events: Int16(POLLIN), revents: 0)] }
  }

  /// Reads, ends and reports; to be called after each wait.
  func turn(now: UInt64) {
    for i in children.indices.reversed() {
      drain(i)
      if now >= children[i].deadline, !children[i].timedOut {
        children[i].timedOut = true
        timedOut += 1
        kill(-children[i].pid, SIGKILL)
        kill(children[i].pid, SIGKILL)
      }
      reap(i)
    }
    killStrays()
  }

  private func drain(_ i: Int) {
    var buffer = [UInt8](repeating: 0, count: 16 * 1024)
    // Not for ever: one that writes without end is heard again in the next turn.
    for _ in 0..<16 where children[i].output >= 0 {
      let n = read(children[i].output, &buffer, buffer.count)
      if n < 0 { return }
      if n == 0 {
        close(children[i].output)
        children[i].output = -1
        return
      }
      let room = max(0, Limits.executableOutputBytes - children[i].bytes.count)
      children[i].bytes += buffer[..<min(n, room)]
      droppedBytes += UInt64(max(0, n - room))
    }
  }

  private func reap(_ i: Int) {
    var status: Int32 = 0
    var info = siginfo_t()
    // It is left as a zombie until its session is cleared: its number is still its own then.
    guard waitid(P_PID, id_t(children[i].pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0, info.si_signo == SIGCHLD else { return }
    kill(-children[i].pid, SIGKILL)
    guard waitpid(children[i].pid, &status, WNOHANG) == children[i].pid else { return }
    drain(i)
    let child = children.remove(at: i)
    close(child.end)
    if child.output >= 0 { close(child.output) }
    let code = status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
    child.finished(ChildEnd(code: code, timedOut: child.timedOut, output: child.bytes))
  }

  /// What left its session and lost its parent has become our child (PR_SET_CHILD_SUBREAPER).
  private func killStrays() {
    var info = siginfo_t()
    let known = Set(children.map(\.pid))
    for pid in ChildRunner.ownChildren() where !known.contains(pid) {
      kill(pid, SIGKILL)
      _ = waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG)
    }
  }
  private static func ownChildren() -> [pid_t] {
    let file = open("/proc/self/task/\(getpid())/children", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 4096)
    let n = read(file, &buffer, buffer.count)
    return String(decoding: buffer[..<max(0, n)], as: UTF8.self).split(separator: " ").compactMap { pid_t($0) }
  }
}

/// The programs that may be run at all.
enum Executables {
  /// An open file (O_PATH) of this name in the directory, or why there is none. Only what root alone can have put there is taken.
  static func open(_ name: String, in directory: String) -> Result<Int32, Refused> {
    let isPlain = name.utf8.allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2d || $0 == 0x2e || $0 == 0x5f
    }
    guard isPlain, let first = name.utf8.first, first != 0x2e, first != 0x2d else {
      return .failure(Refused("name", "'\(name)' is no name of an executable"))
    }
    let place = pg_openat2(AT_FDCWD, directory, PG_O_PATH | PG_O_DIRECTORY, 0)
    guard place >= 0 else { return .failure(Refused("no_such_executable", "\(directory): \(String(cString: strerror(errno)))")) }
    defer { close(place) }
    if let problem = problem(place, isDirectory: true) { return .failure(Refused("unsafe", "\(directory) \(problem)")) }
    let path = "\(directory)/\(name)"
    let file = pg_openat2(place, name, PG_O_PATH | PG_O_NOFOLLOW, 1)
    guard file >= 0 else { return .failure(Refused("no_such_executable", "\(path): \(String(cString: strerror(errno)))")) }
    if let problem = problem(file, isDirectory: false) {
      close(file)
      return .failure(Refused("unsafe", "\(path) \(problem)"))
    }
    return .success(file)
  }
  struct Refused: Error {
    var refusal: KillRefusal
    init(_ code: String, _ detail: String) { refusal = KillRefusal(code, detail) }
  }

  private static func problem(_ descriptor: Int32, isDirectory: Bool) -> String? {
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { return "cannot be looked at" }
    guard facts.st_mode & S_IFMT == (isDirectory ? S_IFDIR : S_IFREG) else { return isDirectory ? "is no directory" : "is not a regular file" }
    guard facts.st_uid == 0 else { return "belongs to user \(facts.st_uid), not to root" }
    guard facts.st_mode & (S_IWGRP | S_IWOTH) == 0 else { return "can be written by others than root" }
    guard isDirectory || facts.st_mode & S_IXOTH != 0 else { return "cannot be executed by others than root (chmod 0755)" }
    return nil
  }
}
