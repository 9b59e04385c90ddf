// Two network namespaces joined by a cable: a host that captures in one, somebody who talks to it in the other. Everything is made here and
// removed again; nothing outside is touched. Needs root; where namespaces are not allowed the tests say so and do nothing.
import CLinux
import CPcap
import CaptureChannel
import Events
import Glibc
import Primitives

func skip(_ reason: String) { print("skipped: \(reason)") }

struct LaboratoryError: Error, CustomStringConvertible { var description: String }

/// A program as a child, its output in a file.
final class Command {
  let process: pid_t
  private let outputPath: String
  private var status: Int32?

  /// `descriptor` becomes number 13 of the child.
  init(_ arguments: [String], passing descriptor: Int32? = nil) throws {
    var template = Array("/tmp/panguard-capture-XXXXXX".utf8CString)
    let output = mkstemp(&template)
    outputPath = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    posix_spawn_file_actions_adddup2(&actions, output, 2)
    if let descriptor { posix_spawn_file_actions_adddup2(&actions, descriptor, 13) }
    defer { posix_spawn_file_actions_destroy(&actions) }
    var attributes = posix_spawnattr_t()
    var (none, all) = (sigset_t(), sigset_t())
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    var list = arguments.map { strdup($0) } + [nil]
    defer { for argument in list { free(argument) } }
    var variables = [strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nil]
    for name in ["LD_LIBRARY_PATH"] { if let value = getenv(name) { variables.insert(strdup("\(name)=\(String(cString: value))"), at: 0) } }
    defer { for variable in variables { free(variable) } }
    var started: pid_t = 0
    let code = posix_spawnp(&started, arguments[0], &actions, &attributes, &list, &variables)
    close(output)
    process = started
    guard code == 0 else { throw LaboratoryError(description: "\(arguments[0]): \(String(cString: strerror(code)))") }
  }
  deinit {
    if status == nil {
      kill(process, SIGKILL)
      wait()
    }
    unlink(outputPath)
  }

  func signal(_ number: Int32) { kill(process, number) }
  @discardableResult
  func wait() -> Int32 {
    if let status { return status }
    var value: Int32 = 0
    while waitpid(process, &value, 0) < 0, errno == EINTR {}
    status = value & 0x7f == 0 ? value >> 8 & 0xff : -(value & 0x7f)
    return status!
  }
  /// nil: it still runs after `seconds`.
  func wait(seconds: Int) -> Int32? {
    for _ in 0..<seconds * 50 {
      var value: Int32 = 0
      if status != nil { return status }
      if waitpid(process, &value, WNOHANG) == process {
        status = value & 0x7f == 0 ? value >> 8 & 0xff : -(value & 0x7f)
        return status
      }
      usleep(20_000)
    }
    return nil
  }
  var output: String { String(decoding: contents(outputPath), as: UTF8.self) }
  /// Waits for a text in the output; false after `seconds`.
  func waitFor(_ text: String, seconds: Int = 90) -> Bool {
    for _ in 0..<seconds * 50 {
      if output.contains(text) { return true }
      usleep(20_000)
    }
    return false
  }

  /// Runs to its end; its output.
  @discardableResult
  static func run(_ arguments: [String], mayFail: Bool = false) throws -> String {
    let command = try Command(arguments)
    let status = command.wait()
    guard mayFail || status == 0 else { throw LaboratoryError(description: "\(arguments.joined(separator: " ")): \(status): \(command.output)") }
    return command.output
  }
}

func contents(_ path: String) -> [UInt8] {
  let file = pg_open(path, O_RDONLY, 0)
  guard file >= 0 else { return [] }
  defer { close(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65536)
  while case let count = read(file, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
  return bytes
}

func eventually(seconds: Int = 90, _ condition: () -> Bool) -> Bool {
  for _ in 0..<seconds * 50 {
    if condition() { return true }
    usleep(20_000)
  }
  return false
}

/// The frames of a pcap file of this host's byte order.
func frames(_ bytes: [UInt8]) -> [[UInt8]] {
  var found: [[UInt8]] = []
  var at = 24
  while bytes.count - at >= 16 {
    let count = bytes.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: at + 8, as: UInt32.self)) }
    guard bytes.count - at - 16 >= count else { break }
    found.append(Array(bytes[(at + 16)..<(at + 16 + count)]))
    at += 16 + count
  }
  return found
}

extension Array where Element == UInt8 {
  func contains(_ text: String) -> Bool {
    let needle = Array(text.utf8)
    return withUnsafeBytes { all in needle.withUnsafeBytes { all.index(of: $0) != nil } }
  }
}

final class CaptureLaboratory {
  static let program: String = {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let n = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count) }
    let own = String(decoding: buffer.prefix(max(0, n)), as: UTF8.self)
    let beside = own.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/panguard-capture"
    if access(beside, X_OK) == 0 { return beside }
    let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    return root + "/.build/debug/panguard-capture"
  }()

  let host: String
  let outside: String
  let directory: String
  let own = "10.79.0.1"
  let peer = "10.79.0.2"

  private nonisolated(unsafe) static var number = 0

  /// nil, with the reason printed, where it cannot be made.
  static func make() throws -> CaptureLaboratory? {
    guard geteuid() == 0 else {
      skip("network namespaces and packet sockets need root")
      return nil
    }
    guard (try? Command.run(["ip", "-V"])) != nil, (try? Command.run(["python3", "-V"])) != nil else {
      skip("needs ip and python3 (scripts/setup --tests)")
      return nil
    }
    number += 1
    let name = "pgcap\(getpid())x\(number)"
    guard (try? Command.run(["ip", "netns", "add", name + "h"])) != nil else {
      skip("network namespaces are not allowed here")
      return nil
    }
    return try CaptureLaboratory(name)
  }

  private init(_ name: String) throws {
    host = name + "h"
    outside = name + "o"
    directory = "/tmp/\(name)"
    mkdir(directory, 0o700)
    try Command.run(["ip", "netns", "add", outside])
    try Command.run(["ip", "-n", host, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", outside])
    for (space, address) in [(host, own), (outside, peer)] {
      // Without it each end says by itself what neighbours it looks for.
      try Command.run(["ip", "netns", "exec", space, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/cable/disable_ipv6"])
      try Command.run(["ip", "-n", space, "link", "set", "lo", "up"])
      try Command.run(["ip", "-n", space, "address", "add", address + "/24", "dev", "cable"])
      try Command.run(["ip", "-n", space, "link", "set", "cable", "up"])
    }
    let script = pg_open(directory + "/talk.py", O_WRONLY | O_CREAT, 0o600)
    let bytes = Array(CaptureLaboratory.talk.utf8)
    _ = write(script, bytes, bytes.count)
    close(script)
  }
  deinit {
    for space in [host, outside] { _ = try? Command.run(["ip", "netns", "delete", space], mayFail: true) }
    _ = try? Command.run(["rm", "-rf", directory], mayFail: true)
  }

  func ip(_ arguments: String) throws { try Command.run(["ip", "-n", host] + arguments.split(separator: " ").map(String.init)) }

  /// Starts the capture on the host, ready.
  func capture(_ arguments: [String], passing descriptor: Int32? = nil) throws -> Command {
    let command = try Command(["ip", "netns", "exec", host, CaptureLaboratory.program] + arguments, passing: descriptor)
    guard command.waitFor("ready") else {
      throw LaboratoryError(description: "no capture: \(command.output)")
    }
    return command
  }
  /// `udp ADDRESS PORT COUNT MILLISECONDS TEXT`, `serve PORT`, `tcp ADDRESS PORT BYTES`: to its end, in a namespace.
  @discardableResult
  func talk(_ space: String, _ arguments: [String]) throws -> String {
    try Command.run(["ip", "netns", "exec", space, "python3", directory + "/talk.py"] + arguments)
  }
  func server(_ space: String, port: Int) throws -> Command {
    let command = try Command(["ip", "netns", "exec", space, "python3", directory + "/talk.py", "serve", "\(port)"])
    guard command.waitFor("listening") else { throw LaboratoryError(description: command.output) }
    return command
  }

  private static let talk = """
    import socket, sys, time
    what = sys.argv[1]
    if what == "udp":
        address, port, count, pause, text = sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), sys.argv[6]
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        begin = time.monotonic()
        for i in range(count):
            s.sendto(f"{text}{i:06}".encode(), (address, port))
            wait = begin + (i + 1) * pause / 1000 - time.monotonic()
            if wait > 0:
                time.sleep(wait)
    elif what == "serve":
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("0.0.0.0", int(sys.argv[2])))
        s.listen(8)
        print("listening", flush=True)
        while True:
            c, _ = s.accept()
            while c.recv(65536):
                pass
            c.sendall(b"thanks for all of it")
            c.close()
    elif what == "tcp":
        c = socket.create_connection((sys.argv[2], int(sys.argv[3])))
        c.sendall(b"whole" * (int(sys.argv[4]) // 5))
        c.shutdown(socket.SHUT_WR)
        while c.recv(65536):
            pass

    """
}

/// The engine's side of a connection, for tests: everything that came, decoded.
final class Reader {
  let end: Int32
  private var bytes: [UInt8] = []
  private var decoder = CaptureDecoder()
  private var event = Event()
  private(set) var counters: [String: UInt64] = [:]
  private(set) var notices: [String] = []
  private(set) var events: [[String: String]] = []
  private(set) var problem: CaptureProtocolError?
  private(set) var isAtEnd = false

  /// A pair: ours, and the one to pass on.
  static func pair() -> (reader: Reader, given: Int32) {
    var ends: [Int32] = [-1, -1]
    socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends)
    return (Reader(ends[0]), ends[1])
  }
  init(_ end: Int32) {
    self.end = end
    _ = fcntl(end, F_SETFL, O_NONBLOCK)
  }
  deinit { close(end) }

  func take() {
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = recv(end, &buffer, buffer.count, 0)
      if count == 0 || (count < 0 && errno != EAGAIN) { isAtEnd = true }
      guard count > 0 else { break }
      bytes += buffer[..<count]
    }
    while problem == nil {
      let (decoded, consumed) = bytes.withUnsafeBytes { decoder.next($0, into: &event) }
      bytes.removeFirst(consumed)
      switch decoded {
      case .counters(let list): for counter in list { counters[counter.name] = counter.value }
      case .notice(let text): notices.append(text)
      case .event(let interface, let frame):
        var fields = ["interface": decoder.interfaces[interface], "frame": "\(frame)", "trust": "\(event.trust.name)"]
        for field in Field.allCases {
          var text: [UInt8] = []
          if event.appendText(of: field, to: &text) { fields["\(field.name)"] = String(decoding: text, as: UTF8.self) }
        }
        event.forEachExtra { fields[$0.string] = $1.string }
        events.append(fields)
      case .malformed(let error): problem = error
      case .learned: break
      case .incomplete: return
      }
    }
  }
  /// Takes what comes until it holds.
  func until(seconds: Int = 90, _ condition: () -> Bool) -> Bool {
    eventually(seconds: seconds) {
      take()
      return condition()
    }
  }
}
