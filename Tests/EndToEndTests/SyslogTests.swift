// `output.syslog` of a running agent, with a socket that the test listens on.
import CLinux
import Glibc
import Primitives
import Testing

private final class DatagramSocket {
  let descriptor: Int32
  init(path: String) {
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
    if bound != 0 { fatalError("bind: \(String(cString: strerror(errno)))") }
    var wait = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
  }
  deinit { close(descriptor) }
  /// nil if nothing comes for ten seconds.
  func receive() -> String? {
    var buffer = [UInt8](repeating: 0, count: 65536)
    let n = recv(descriptor, &buffer, buffer.count, 0)
    return n > 0 ? String(decoding: buffer[..<n], as: UTF8.self) : nil
  }
}

@Suite struct SyslogTests {
  /// More decisions at once than the socket's queue takes: the rest is sent as soon as the receiver reads, though nothing new is decided.
  @Test func everyDecisionArrivesAlsoIfTheReceiverIsSlow() throws {
    let d = TemporaryDirectory()
    let receiver = DatagramSocket(path: d["log"])
    d.append(Workload.attacks(0..<30).flatMap { $0 }.joined(), to: "auth.log")
    let agent = RunningAgent(d, more: "output:\n  syslog: \(d["log"])\n")
    #expect(agent.acknowledges(30 * 44))
    let count = try agent.store().follow(after: 0, limit: 10_000).decisions.count
    #expect(count > 30)
    var messages: [String] = []
    while messages.count < count, let message = receiver.receive() { messages.append(message) }
    #expect(messages.count == count)
    #expect(messages.allSatisfy { $0.hasPrefix("<") && $0.contains(" panguard ") && $0.contains("[panguard@") && $0.contains("rule=\"ATR-") })
    for n in 0..<30 { #expect(messages.contains { $0.contains("subject=\"\(Workload.address(n))\"") }) }
    #expect(agent.drop("decisions not sent to syslog") == 0)
    #expect(agent.stop() == 0)
  }

  @Test func aSyslogThatIsNotThereIsCounted() {
    let d = TemporaryDirectory()
    d.append(Workload.attacks(0..<1)[0].joined(), to: "auth.log")
    let agent = RunningAgent(d, more: "output:\n  syslog: \(d["log"])\n")
    #expect(agent.acknowledges(44))
    #expect(agent.drop("decisions not sent to syslog") > 0)
    #expect(agent.stop() == 0)
  }
}
