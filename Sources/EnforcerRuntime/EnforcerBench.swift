// `panguard-enforcer --bench COUNT`: what COUNT blocks cost on this machine, in a network namespace of its own, through the real
// protocol and the real kernel. The same program is the enforcer (child) and the one that asks (parent).
import CLinux
import Enforcement
import FrameProtocol
import Glibc
import Primitives

enum EnforcerBench {
  static func run(count: Int) -> Int32 {
    guard pg_new_network_namespace() == 0 else {
      return EnforcerProgram.fail("a network namespace of its own is not allowed here: \(String(cString: strerror(errno))); run it as root")
    }
    do {
      let blocks = (0..<count).map { i in Block(network(i), seconds: 3600) }
      var first = try Child()
      let added = try measured { try first.client.block(blocks).value?.filter { $0 == .blocked }.count }
      guard added.value == count else { return EnforcerProgram.fail("only \(added.value ?? 0) of \(count) were blocked") }
      report("add \(count) in one transaction", added.nanoseconds)
      report("  of it CPU of the enforcer", first.cpuNanoseconds)
      report("refresh all of them", try measured { try first.client.block(blocks) }.nanoseconds)
      report("list all of them", try measured { try first.client.list() }.nanoseconds)
      var singles: [UInt64] = []
      for i in 0..<200 { singles.append(try measured { try first.client.block([Block(network(i), seconds: 1800)]) }.nanoseconds) }
      singles.sort()
      report("one more block, median of 200", singles[100])
      report("one more block, 99th percentile", singles[198])
      EnforcerProgram.say("resident memory with \(count) blocks: \(first.residentKiB) KiB\n")
      first.kill()
      let restart = try measured { try Child() }
      var second = restart.value
      report("kill -9, start again, \(count) blocks taken over, ready", restart.nanoseconds)
      report("reconcile with the store, nothing to do", try measured { try second.client.reconcile(blocks) }.nanoseconds)
      report("unblock all", try measured { try second.client.unblockAll() }.nanoseconds)
      second.kill()
      // As after a reboot.
      _ = EnforcerProgram.main(["--remove-table"])
      var third = try Child()
      report("restore all from the store into an empty kernel", try measured { try third.client.reconcile(blocks) }.nanoseconds)
      third.kill()
      return 0
    } catch {
      return EnforcerProgram.fail("\(error)")
    }
  }

  /// Three of four IPv4, every fourth a /64.
  private static func network(_ i: Int) -> CIDR {
    i % 4 == 3
      ? CIDR(IPAddress(v6High: 0x2001_0db8_0000_0000 | UInt64(i), low: 0), prefixLength: 64)
      : CIDR(IPAddress(v4: 0x0b00_0000 + UInt32(i)), prefixLength: 32)
  }

  private static func measured<Value>(_ body: () throws -> Value) rethrows -> (value: Value, nanoseconds: UInt64) {
    let began = monotonicNow()
    let value = try body()
    return (value, monotonicNow() - began)
  }
  private static func report(_ what: String, _ nanoseconds: UInt64) {
    let microseconds = nanoseconds / 1000
    let rest = String(microseconds % 1000)
    EnforcerProgram.say("\(what): \(microseconds / 1000).\(String(repeating: "0", count: 3 - rest.utf8.count))\(rest) ms\n")
  }

  /// An enforcer in a process of its own, and a connection to it.
  private struct Child {
    let process: pid_t
    let client: EnforcerClient

    init() throws {
      var ends: [Int32] = [-1, -1]
      guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
        throw FrameClientError("enforcer", .io(errno: errno))
      }
      var actions = posix_spawn_file_actions_t()
      posix_spawn_file_actions_init(&actions)
      posix_spawn_file_actions_adddup2(&actions, ends[1], 3)
      defer { posix_spawn_file_actions_destroy(&actions) }
      var configuration = Array("/tmp/panguard-bench-XXXXXX".utf8CString)
      let file = mkstemp(&configuration)
      let text = Array("blocks_per_minute: 100000\n".utf8)
      _ = write(file, text, text.count)
      close(file)
      let path = configuration.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
      defer { unlink(path) }
      let arguments = ["panguard-enforcer", "--config", path, "--fd", "3"]
      var list = arguments.map { strdup($0) } + [nil]
      defer { for argument in list { free(argument) } }
      var process: pid_t = 0
      let code = posix_spawn(&process, "/proc/self/exe", &actions, nil, &list, environ)
      close(ends[1])
      guard code == 0 else {
        close(ends[0])
        throw FrameClientError("enforcer", .io(errno: code))
      }
      self.process = process
      client = EnforcerClient(descriptor: ends[0], timeout: .seconds(60))
      _ = try client.heartbeat()
    }
    mutating func kill() {
      Glibc.kill(process, SIGKILL)
      waitpid(process, nil, 0)
    }
    /// From /proc/PID/stat: user and system time.
    var cpuNanoseconds: UInt64 {
      let fields = text("stat").split(separator: ")").last?.split(separator: " ") ?? []
      guard fields.count > 12, let user = UInt64(fields[11]), let system = UInt64(fields[12]) else { return 0 }
      return (user + system) * 1_000_000_000 / UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
    }
    var residentKiB: UInt64 {
      text("status").split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        .flatMap { UInt64($0.dropFirst(6).filter(\.isNumber)) } ?? 0
    }
    private func text(_ name: String) -> String {
      let file = open("/proc/\(process)/\(name)", O_RDONLY)
      guard file >= 0 else { return "" }
      defer { close(file) }
      var buffer = [UInt8](repeating: 0, count: 8192)
      let count = read(file, &buffer, buffer.count)
      return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }
  }
}
