// `panguard capture`: packets of an interface into files, or what they say on the screen. The work is done by panguard-capture, which gives up
// its privileges first: this command starts it, and takes what it tells as the engine does.
import AgentRuntime
import ArgumentParser
import CaptureChannel
import Events
import Export
import Glibc
import Primitives
import Supervision

struct CaptureCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "capture", abstract: "Write packets to files, or show the flows and messages that they make.",
    discussion: """
      With --write it writes a pcap file (nanoseconds, mode 0600), or a ring of them in which the oldest is written over. Without it, it
      shows each protocol message, and each flow that ended: as a table, or with --format jsonl as one JSON object a line.

      Needs CAP_NET_RAW, which is given up before the first packet is read. The filter is locked: not even the capturing process can change it.
      """)
  @Option(name: .long, help: "Interface; `any`: all that are up, also those that come up later.") var interface: String
  @Option(name: .long, help: "Write frames to this pcap file.", completion: .file()) var write: String?
  @Option(name: .long, help: "What to capture, as in pcap-filter(7).") var filter: String?
  @Option(name: .long, help: "With --write: write to FILE.0 to FILE.N-1 in turn. Default: 1, which ends when the file is full.")
  var ringFiles: Int?
  @Option(name: .long, help: "With --write: bytes of each file. Default: 67108864.") var ringBytes: Int64?
  @Option(name: .long, help: "Without --write: table or jsonl.") var format: MessageFormat?
  @Option(name: .long, help: "With --write: end after this many frames.") var count: UInt64?

  private var arguments: [String] {
    var arguments = ["--interface", interface]
    for (name, value) in [
      ("--write", write), ("--filter", filter), ("--ring-files", ringFiles.map(String.init)), ("--ring-bytes", ringBytes.map(String.init)),
      ("--count", count.map(String.init)),
    ] { if let value { arguments += [name, value] } }
    return arguments
  }

  func validate() throws {
    if write == nil, ringFiles != nil || ringBytes != nil || count != nil {
      throw ValidationError("--ring-files, --ring-bytes and --count go with --write")
    }
    if write != nil, format != nil { throw ValidationError("--format goes without --write, which writes pcap") }
    // A path that begins like an option would be one to the other program too.
    for value in [interface, write, filter].compactMap({ $0 }) where value.hasPrefix("--") || value.isEmpty {
      throw ValidationError("'\(value)' looks like an option")
    }
  }

  func run() throws {
    let directories = ChildProgram.directories(besides: executablePath())
    let program = ChildProgram(name: "capture", executable: "panguard-capture")
    guard let path = program.path(in: directories) else {
      throw CommandFailure.environment("panguard-capture is not in \(directories.joined(separator: ", nor in ")); install or build it")
    }
    guard write == nil else {
      var list = ([path] + arguments).map { strdup($0) } + [nil]
      execv(path, &list)
      throw CommandFailure.environment("\(path): \(String(cString: strerror(errno)))")
    }
    let status = try show(path)
    if status != 0 { throw CommandFailure(status: ExitStatus(rawValue: status) ?? .environment, message: "") }
  }

  /// Prints what the capture tells, until it ends. Its exit code.
  private func show(_ path: String) throws -> Int32 {
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      throw CommandFailure.environment("socketpair: \(String(cString: strerror(errno)))")
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[1], Channel.capture)
    var list = ([path, "--fd", "\(Channel.capture)"] + arguments).map { strdup($0) } + [nil]
    defer { list.forEach { free($0) } }
    var pid: pid_t = 0
    let started = posix_spawn(&pid, path, &actions, nil, &list, environ)
    close(ends[1])
    guard started == 0 else { throw CommandFailure.environment("\(path): \(String(cString: strerror(started)))") }
    // Ctrl-C is for the capture, which then tells the flows that are open; who reads our output may go, and then it ends too.
    for number in [SIGINT, SIGTERM] { signal(number, SIG_IGN) }
    signal(SIGPIPE, SIG_IGN)
    let problem = print(ends[0])
    close(ends[0])
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    if let problem { throw CommandFailure.environment("panguard-capture: \(problem)") }
    return status & 0x7f == 0 ? status >> 8 & 0xff : 3
  }

  private func print(_ descriptor: Int32) -> CaptureProtocolError? {
    var decoder = CaptureDecoder()
    var event = Event()
    var bytes: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 64 * 1024)
    var output = Output()
    var json = JSONWriter()
    var table = MessageTable(showsInterface: interface == "any")
    while case let count = read(descriptor, &room, room.count), count > 0 || (count < 0 && errno == EINTR) {
      bytes.append(contentsOf: room[..<max(0, count)])
      var done = 0
      decoding: while true {
        let (decoded, consumed) = bytes.withUnsafeBytes { decoder.next($0.from(done), into: &event) }
        done += consumed
        switch decoded {
        case .event:
          switch format ?? .table {
          case .jsonl:
            json.reset()
            json.beginObject()
            event.writeFields(to: &json)
            json.endObject()
            output.line(json.out)
          case .table: table.write(event, to: &output)
          }
        case .notice(let text): printError(TerminalText.escaped(text))
        case .malformed(let error): return error
        case .incomplete: break decoding
        case .counters, .learned: break
        }
      }
      bytes.removeFirst(done)
      output.flush()
    }
    return nil
  }
}
