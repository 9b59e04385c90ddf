// Two network namespaces joined by a cable: a host with an enforcer in one, attackers in the other. Everything is made here and removed
// again; nothing outside is touched. Needs root; where namespaces are not allowed the tests say so and do nothing.
import Enforcement
import Glibc
import Primitives

@testable import EnforcerRuntime

func skip(_ reason: String) { print("skipped: \(reason)") }

struct LaboratoryError: Error, CustomStringConvertible { var description: String }

/// A program as a child: its output in a file, its input from us where wanted.
final class Command {
  let process: pid_t
  private let outputPath: String
  private let input: Int32
  private var status: Int32?

  init(_ arguments: [String], environment: [String] = [], passing descriptor: Int32? = nil) throws {
    var template = Array("/tmp/panguard-lab-XXXXXX".utf8CString)
    let output = mkstemp(&template)
    outputPath = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    var pipeEnds: [Int32] = [-1, -1]
    pipe(&pipeEnds)
    _ = fcntl(pipeEnds[1], F_SETFD, FD_CLOEXEC)
    input = pipeEnds[1]
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, pipeEnds[0], 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    posix_spawn_file_actions_adddup2(&actions, output, 2)
    if let descriptor { posix_spawn_file_actions_adddup2(&actions, descriptor, 3) }
    defer { posix_spawn_file_actions_destroy(&actions) }
    var list = arguments.map { strdup($0) } + [nil]
    defer { for argument in list { free(argument) } }
    var variables = (["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] + environment).map { strdup($0) } + [nil]
    defer { for variable in variables { free(variable) } }
    var started: pid_t = 0
    let code = posix_spawnp(&started, arguments[0], &actions, nil, &list, &variables)
    close(output)
    close(pipeEnds[0])
    process = started
    guard code == 0 else { throw LaboratoryError(description: "\(arguments[0]): \(String(cString: strerror(code)))") }
  }
  deinit {
    if status == nil {
      kill(process, SIGKILL)
      wait()
    }
    close(input)
    unlink(outputPath)
  }

  func say(_ line: String) {
    let bytes = Array("\(line)\n".utf8)
    _ = write(input, bytes, bytes.count)
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
  var output: String {
    let file = open(outputPath, O_RDONLY)
    guard file >= 0 else { return "" }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while case let count = read(file, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
    return String(decoding: bytes, as: UTF8.self)
  }
  /// Waits for one of the texts in the output; false after `seconds`.
  func waitFor(_ texts: String..., seconds: Int = 90) -> Bool {
    for _ in 0..<seconds * 50 {
      let output = output
      if texts.contains(where: { output.contains($0) }) { return true }
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

final class Laboratory {
  static let program: String = {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let n = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count) }
    let own = String(decoding: buffer.prefix(max(0, n)), as: UTF8.self)
    let beside = own.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/panguard-enforcer"
    if access(beside, X_OK) == 0 { return beside }
    let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    return root + "/.build/debug/panguard-enforcer"
  }()
  static let attackers = ["10.77.0.2", "10.77.0.3", "10.77.0.4"]

  let host: String
  let outside: String
  let directory: String
  var socket: String { directory + "/enforcer.sock" }
  /// The host's address, and its gateway (not an attacker).
  let own = "10.77.0.1"
  let gateway = "10.77.0.254"

  private nonisolated(unsafe) static var number = 0

  /// nil, with the reason printed, where it cannot be made.
  static func make(_ configuration: String = "") throws -> Laboratory? {
    guard geteuid() == 0 else {
      skip("network namespaces need root")
      return nil
    }
    guard (try? Command.run(["ip", "-V"])) != nil, (try? Command.run(["nft", "--version"])) != nil, (try? Command.run(["python3", "-V"])) != nil
    else {
      skip("needs ip, nft and python3 (scripts/setup --tests)")
      return nil
    }
    number += 1
    let name = "pglab\(getpid())x\(number)"
    guard (try? Command.run(["ip", "netns", "add", name + "h"])) != nil else {
      skip("network namespaces are not allowed here")
      return nil
    }
    return try Laboratory(name, configuration)
  }

  private init(_ name: String, _ configuration: String) throws {
    host = name + "h"
    outside = name + "o"
    directory = "/tmp/\(name)"
    mkdir(directory, 0o700)
    try Command.run(["ip", "netns", "add", outside])
    try Command.run(["ip", "-n", host, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", outside])
    for (space, addresses) in [
      (host, [own + "/24", "2001:db8:77:1::1/64"]), (outside, Laboratory.attackers.map { $0 + "/24" } + ["10.77.0.254/24"]),
    ] {
      try Command.run(["ip", "-n", space, "link", "set", "lo", "up"])
      try Command.run(["ip", "-n", space, "link", "set", "cable", "up"])
      for address in addresses { try Command.run(["ip", "-n", space, "address", "add", address, "dev", "cable", "nodad"]) }
    }
    // Attackers with two networks of IPv6 behind the cable.
    for address in ["2001:db8:77:1::2/64", "2001:db8:aaaa:1::5/64", "2001:db8:aaaa:1::6/64", "2001:db8:aaaa:2::5/64"] {
      try Command.run(["ip", "-n", outside, "address", "add", address, "dev", "cable", "nodad"])
    }
    try Command.run(["ip", "-n", host, "route", "add", "default", "via", gateway])
    try Command.run(["ip", "-n", host, "route", "add", "2001:db8:aaaa::/48", "via", "2001:db8:77:1::2"])
    write(directory + "/enforcer.yaml", "blocks_per_minute: 100000\nshortest_block: 1s\n" + configuration)
    write(directory + "/echo.py", Laboratory.echo)
    write(directory + "/call.py", Laboratory.call)
  }
  deinit {
    for space in [host, outside] { _ = try? Command.run(["ip", "netns", "delete", space], mayFail: true) }
    _ = try? Command.run(["rm", "-rf", directory], mayFail: true)
  }

  func write(_ path: String, _ text: String) {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    let bytes = Array(text.utf8)
    _ = Glibc.write(file, bytes, bytes.count)
    close(file)
  }
  func nft(_ text: String, mayFail: Bool = false) throws -> String { try Command.run(["ip", "netns", "exec", host, "nft", text], mayFail: mayFail) }
  func ip(_ arguments: String) throws { try Command.run(["ip", "-n", host] + arguments.split(separator: " ").map(String.init)) }

  /// An enforcer on the host, ready.
  /// `setting`: what the shell does first in a mount namespace of its own, for example `mount --bind`; `at`: another socket.
  func enforcer(passing descriptor: Int32? = nil, setting: String = "", at path: String? = nil) throws -> Command {
    let shell = setting.isEmpty ? [] : ["sh", "-e", "-c", "\(setting)\nexec \"$@\"", "sh"]
    let command = try Command(
      ["ip", "netns", "exec", host] + shell + [Laboratory.program, "--config", directory + "/enforcer.yaml"]
        + (descriptor == nil ? ["--socket", path ?? socket] : ["--fd", "3"]), passing: descriptor)
    guard command.waitFor("ready;", "nothing will be blocked") else {
      throw LaboratoryError(description: "no enforcer: \(command.output)")
    }
    return command
  }
  func client() throws -> EnforcerClient { try EnforcerClient(path: socket, timeout: .seconds(90)) }

  /// A server on the host that sends back what it gets, TCP on `port`, both families.
  func server(port: Int = 7000) throws -> Command {
    let command = try Command(["ip", "netns", "exec", host, "python3", directory + "/echo.py", "\(port)"])
    guard command.waitFor("listening") else { throw LaboratoryError(description: command.output) }
    return command
  }
  /// Whether a new connection from an outside address gets an answer.
  func passes(_ address: String, port: Int = 7000) throws -> Bool {
    let to = address.contains(":") ? "2001:db8:77:1::1" : own
    return try Command.run(["ip", "netns", "exec", outside, "python3", directory + "/call.py", address, to, "\(port)", "1"]).contains("answered 1")
  }
  /// A connection that stays: it asks once for each line that it is told.
  func connection(_ address: String, port: Int = 7000) throws -> Command {
    let to = address.contains(":") ? "2001:db8:77:1::1" : own
    let command = try Command(["ip", "netns", "exec", outside, "python3", directory + "/call.py", address, to, "\(port)", "0"])
    guard command.waitFor("answered 1") else { throw LaboratoryError(description: command.output) }
    return command
  }

  private static let echo = """
    import socket, sys, threading
    server = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
    print("listening", flush=True)
    def serve(c):
        if len(sys.argv) > 2: c.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x10)
        while True:
            data = c.recv(100)
            if not data: return
            if data[:4] == b"mark":
                c.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x10)
            c.sendall(data)
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
    """
  private static let call = """
    import socket, sys
    source, to, port, once = sys.argv[1:5]
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    s = socket.socket(family)
    s.settimeout(1.5)
    n = 0
    try:
        s.bind((source, 0))
        s.connect((to, int(port)))
        s.sendall(b"first")
        n += 1
        print("answered" if s.recv(100) else "closed", n, flush=True)
    except OSError as e:
        print("failed", e, flush=True)
        sys.exit(0)
    if once == "1": sys.exit(0)
    for line in sys.stdin:
        n += 1
        try:
            s.sendall(line.encode())
            print("answered" if s.recv(100) else "closed", n, flush=True)
        except OSError:
            print("silence", n, flush=True)
    """
}
