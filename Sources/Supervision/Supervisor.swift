// `panguard run` without a service manager: starts the programs of the agent, each in a session of its own, keeps them running, and ends
// them in order. It reads nothing from outside; of what its children say it understands one word.
// Invariants: one thread; a child never outlives the supervisor (each asks the kernel to be killed with it); a child that ends without
// being asked to is started again, with back-off, and the engine is told how it ended.
import CLinux
import Glibc
import Primitives

public final class Supervisor {
  private final class Child {
    let program: ChildProgram
    let path: String
    var pid: pid_t = 0
    var startedAt: Int64 = 0
    var delay = RestartDelay()
    /// When it is to be started; nil: it runs, or is not to.
    var startAt: Int64? = 0
    /// Our end of its supervisor channel; -1: none.
    var channel: Int32 = -1
    /// It has said once that it does its work.
    var wasReady = false
    var isStopping = false
    /// The exit code of its last end.
    var code: Int32 = 0
    init(_ program: ChildProgram, _ path: String) {
      self.program = program
      self.path = path
    }
  }

  private let report: (String) -> Void
  private var children: [Child] = []
  private var missing: [ChildProgram] = []
  /// The engine's ends of channels that it has not got yet.
  private var undelivered: [(number: Int32, descriptor: Int32)] = []
  private var signals: Int32 = -1
  private var stopDeadline: Int64?
  /// How long a child may take to end in order before it is killed.
  private static let patienceNanoseconds: Int64 = 15_000_000_000

  /// Throws where a required program is not installed, naming where it was looked for.
  public init(_ table: [ChildProgram], directories: [String], report: @escaping (String) -> Void) throws(SupervisionError) {
    self.report = report
    for program in table {
      if program.absence == nil, let path = program.path(in: directories) {
        children.append(Child(program, path))
      } else if program.isRequired {
        throw SupervisionError("\(program.executable) is not in \(directories.joined(separator: ", nor in ")); install or build it")
      } else {
        missing.append(program)
      }
    }
  }
  deinit {
    for child in children {
      if child.pid > 0 { kill(child.pid, SIGKILL) }
      if child.channel >= 0 { close(child.channel) }
    }
    for end in undelivered { close(end.descriptor) }
    if signals >= 0 { close(signals) }
  }

  /// Runs until SIGINT or SIGTERM, or until the first start of the required child fails by itself. Its exit code.
  public func run() throws(SupervisionError) -> Int32 {
    try open()
    for program in missing { report("no \(program.name): \(program.absence ?? "\(program.executable) is not installed"); \(program.purpose)") }
    while true {
      startDue()
      wait()
      if stopDeadline != nil, children.allSatisfy({ $0.pid == 0 }) { return children.first?.code ?? 0 }
    }
  }

  private func open() throws(SupervisionError) {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGCHLD] { sigaddset(&set, signal) }
    sigprocmask(SIG_BLOCK, &set, nil)
    signals = signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
    guard signals >= 0 else { throw SupervisionError("signalfd: \(String(cString: strerror(errno)))") }
  }

  private static func pair(_ type: __socket_type) throws(SupervisionError) -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      throw SupervisionError("socketpair: \(String(cString: strerror(errno)))")
    }
    // Above the numbers that are given out, so that no end is overwritten while the child's are put in place.
    let raised = ends.map { fcntl($0, F_DUPFD_CLOEXEC, 64) }
    ends.forEach { _ = close($0) }
    guard raised.allSatisfy({ $0 >= 0 }) else { throw SupervisionError("no descriptor is left") }
    return (raised[0], raised[1])
  }

  /// Nanoseconds since some fixed point.
  private static func now() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
  }

  // MARK: Starting

  private func startDue() {
    let now = Supervisor.now()
    for child in children where stopDeadline == nil {
      guard let startAt = child.startAt, startAt <= now else { continue }
      do throws(SupervisionError) {
        try start(child)
        tellEngine(.started(name: child.program.name, pid: Int64(child.pid)))
      } catch {
        report("warning: \(child.program.name) cannot be started: \(error)")
        child.startAt = now + child.delay.next(ranNanoseconds: 0)
      }
    }
  }

  private func start(_ child: Child) throws(SupervisionError) {
    let (own, given) = try Supervisor.pair(SOCK_SEQPACKET)
    defer { close(given) }
    var descriptors: [(Int32, Int32)] = [(given, Channel.supervisor)]
    if let number = child.program.channel {
      let (engines, childs) = try Supervisor.pair(SOCK_STREAM)
      descriptors.append((childs, number))
      undelivered.removeAll { end in
        if end.number == number { close(end.descriptor) }
        return end.number == number
      }
      undelivered.append((number, engines))
    }
    defer { for (end, number) in descriptors where number != Channel.supervisor { close(end) } }
    if child.channel >= 0 { close(child.channel) }
    child.channel = own
    child.pid = try Supervisor.spawn(child.path, child.program.arguments, descriptors)
    child.startedAt = Supervisor.now()
    child.startAt = nil
    // What an engine that was started again must know about the others.
    guard child.program.name == children.first?.program.name else { return }
    for program in missing { SupervisionMessage.missing(name: program.name).send(on: own) }
    // Ends first: another child may have ended, and run again, before the engine did.
    for end in unnotedEnds { end.send(on: own) }
    for other in children where other.pid > 0 && other !== child {
      SupervisionMessage.started(name: other.program.name, pid: Int64(other.pid)).send(on: own)
    }
  }

  /// `descriptors`: which of ours becomes which of the child's. Everything else of ours is closed on execution.
  private static func spawn(_ path: String, _ arguments: [String], _ descriptors: [(Int32, Int32)]) throws(SupervisionError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    var terminals: [Int32] = []
    defer { terminals.forEach { _ = close($0) } }
    for output in [STDOUT_FILENO, STDERR_FILENO] {
      guard let terminal = terminalForWriting(output) else { continue }
      terminals.append(terminal)
      posix_spawn_file_actions_adddup2(&actions, terminal, output)
    }
    for (from, to) in descriptors { posix_spawn_file_actions_adddup2(&actions, from, to) }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // The signals that end it stay held, so that one that comes while it starts ends it in order.
    var held = sigset_t()
    sigemptyset(&held)
    for signal in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&held, signal) }
    posix_spawnattr_setsigmask(&attributes, &held)
    // A session of its own: Ctrl-C at the terminal is for the supervisor, which then ends the children in order.
    let newSession: Int32 = 0x80  // POSIX_SPAWN_SETSID
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | newSession))
    var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
    defer { argv.forEach { free($0) } }
    var pid: pid_t = 0
    let status = posix_spawn(&pid, path, &actions, &attributes, &argv, environ)
    guard status == 0 else { throw SupervisionError("\(path): \(String(cString: strerror(status)))") }
    return pid
  }

  /// The terminal behind `descriptor`, opened again for writing only; nil: there is none, or it has no name here.
  private static func terminalForWriting(_ descriptor: Int32) -> Int32? {
    var name = [CChar](repeating: 0, count: 256)
    guard isatty(descriptor) == 1, ttyname_r(descriptor, &name, name.count) == 0 else { return nil }
    let opened = pg_open(name, O_WRONLY | O_NOCTTY, 0)
    // Above the numbers that are given out.
    guard opened >= 0 else { return nil }
    let raised = fcntl(opened, F_DUPFD_CLOEXEC, 64)
    close(opened)
    return raised >= 0 ? raised : nil
  }

  // MARK: The loop

  private func wait() {
    var waited = [pollfd(fd: signals, events: Int16(POLLIN), revents: 0)]
    waited += children.map { pollfd(fd: $0.pid > 0 ? $0.channel : -1, events: Int16(POLLIN), revents: 0) }
    let now = Supervisor.now()
    let due = ([stopDeadline] + children.map { stopDeadline == nil ? $0.startAt : nil }).compactMap { $0 }.min()
    let timeout = due.map { Int32(clamping: max(0, ($0 - now + 999_999) / 1_000_000)) } ?? -1
    _ = poll(&waited, nfds_t(waited.count), timeout)
    for (child, polled) in zip(children, waited.dropFirst()) where polled.revents != 0 { listen(child) }
    if waited[0].revents != 0 { takeSignals() }
    if let deadline = stopDeadline, Supervisor.now() >= deadline { killAll() }
  }

  private func listen(_ child: Child) {
    switch SupervisionMessage.receive(on: child.channel) {
    case .message(.ready): child.wasReady = true
    case .message(.noted) where child === children.first: if !unnotedEnds.isEmpty { unnotedEnds.removeFirst() }
    case .channel(_, let descriptor):
      close(descriptor)
      report("warning: \(child.program.name) passed something that it has no reason to pass")
    case .message, .foreign: report("warning: \(child.program.name) said something that it has no reason to say")
    case .nothing: break
    case .end:
      close(child.channel)
      child.channel = -1
    }
  }

  private func takeSignals() {
    var info = signalfd_siginfo()
    while read(signals, &info, MemoryLayout<signalfd_siginfo>.size) == MemoryLayout<signalfd_siginfo>.size {
      switch Int32(info.ssi_signo) {
      case SIGCHLD: takeEnded()
      case SIGHUP: for child in children where child.pid > 0 { kill(child.pid, SIGHUP) }
      default: stop()
      }
    }
  }

  /// The first child, the engine, is asked first: it may still need the others. A second request kills.
  private func stop() {
    if stopDeadline != nil { return killAll() }
    stopDeadline = Supervisor.now() + Supervisor.patienceNanoseconds
    askNext()
  }
  private func askNext() {
    guard let next = children.first(where: { $0.pid > 0 }), !next.isStopping else { return }
    next.isStopping = true
    kill(next.pid, SIGTERM)
  }
  private func killAll() {
    for child in children where child.pid > 0 {
      report("warning: \(child.program.name) does not end; it is killed")
      kill(child.pid, SIGKILL)
    }
    stopDeadline = .max
  }

  private func takeEnded() {
    for child in children where child.pid > 0 {
      var status: Int32 = 0
      guard waitpid(child.pid, &status, WNOHANG) == child.pid else { continue }
      let ran = Supervisor.now() - child.startedAt
      // What it still had to say, for instance that it was ready.
      if child.channel >= 0 { listen(child) }
      child.pid = 0
      let signal = status & 0x7f
      child.code = signal == 0 ? status >> 8 & 0xff : 3
      if stopDeadline != nil {
        askNext()
        continue
      }
      // A first start that fails by itself (a wrong option, a directory that may not be written) says why, and would fail again.
      if child.program.isRequired, !child.wasReady, signal == 0, child.code != 0 {
        stop()
        continue
      }
      let how = signal == 0 ? "exit \(child.code)" : Supervisor.text(ofSignal: signal)
      let delay = child.delay.next(ranNanoseconds: ran)
      child.startAt = Supervisor.now() + delay
      let isAskedFor = signal == 0 && child.code == ChildProgram.startAgain
      report("\(isAskedFor ? "" : "warning: ")\(child.program.name) (process ended: \(how)) is started again in \(delay / 1_000_000) ms")
      let end = SupervisionMessage.ended(name: child.program.name, how: how)
      if unnotedEnds.count == Limits.supervisionMessages { unnotedEnds.removeFirst() }
      unnotedEnds.append(end)
      tellEngine(end)
    }
  }
  /// Ends that no engine has written down yet, its own among them: one that is started next is told of them again. At most
  /// `Limits.supervisionMessages`; the oldest is forgotten.
  private var unnotedEnds: [SupervisionMessage] = []

  static func text(ofSignal signal: Int32) -> String {
    let names: [(Int32, String)] = [
      (SIGKILL, "killed"), (SIGSYS, "it tried a system call that it may not make"), (SIGSEGV, "it crashed"), (SIGILL, "it crashed"),
      (SIGABRT, "it gave up"), (SIGBUS, "it crashed"), (SIGTRAP, "it crashed"),
    ]
    return "signal \(signal)" + (names.first { $0.0 == signal }.map { ", \($0.1)" } ?? "")
  }

  private func tellEngine(_ message: SupervisionMessage) {
    guard let engine = children.first, engine.pid > 0, engine.channel >= 0 else { return }
    // What was sent is the engine's alone: when it ends, the other side is told by that.
    while let end = undelivered.popLast() {
      SupervisionMessage.channel(number: end.number).send(on: engine.channel, passing: end.descriptor)
      close(end.descriptor)
    }
    message.send(on: engine.channel)
  }
}

public struct SupervisionError: Error, CustomStringConvertible, Sendable {
  public var description: String
  init(_ description: String) { self.description = description }
}
