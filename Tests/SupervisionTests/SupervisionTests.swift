// The supervisor's words, table and patience. Real processes are in EndToEndTests.
import Glibc
import Primitives
import Testing

@testable import Supervision

@Suite struct SupervisionTests {
  @Test func messagesAreReadBack() {
    let messages: [SupervisionMessage] = [
      .ready, .channel(number: 11), .missing(name: "enforcer"), .started(name: "engine", pid: 4_194_304),
      .ended(name: "engine", how: "signal 9, killed"),
    ]
    for message in messages { #expect(SupervisionMessage(message.bytes) == message) }
  }

  @Test func whatIsNoMessageIsNone() {
    let texts = [
      "", " ", "ready ", "ready now", "READY", "started", "started engine", "started engine -1", "started engine 0", "started engine x",
      "started engine 99999999999999999999", "ended engine", "missing", "missing a b", "ready\n", "\u{1b}[2J", "stop engine now", "channel 10",
      "channel 15", "channel x",
      String(repeating: "a", count: 129), "missing " + String(repeating: "a", count: 121),
    ]
    for text in texts { #expect(SupervisionMessage(Array(text.utf8)) == nil, "\(text.debugDescription)") }
    #expect(SupervisionMessage([0xff, 0xfe]) == nil)
    #expect(SupervisionMessage([0]) == nil)
    var random = SystemRandomNumberGenerator()
    for _ in 0..<200 {
      let bytes = (0..<Int.random(in: 0...200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      if let message = SupervisionMessage(bytes) { #expect(message.bytes == bytes) }
    }
  }

  @Test func aMessageIsBounded() {
    let long = SupervisionMessage.ended(name: "engine", how: String(repeating: "x", count: 1000))
    #expect(long.bytes.count == Limits.supervisionMessageBytes)
    var ends: [Int32] = [-1, -1]
    #expect(socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
    #expect(SupervisionMessage.receive(on: ends[0]) == .nothing)
    #expect(long.send(on: ends[1]))
    #expect(send(ends[1], [UInt8](repeating: 0x61, count: 4000), 4000, 0) == 4000)
    #expect(SupervisionMessage.ready.send(on: ends[1]))
    guard case .message(.ended) = SupervisionMessage.receive(on: ends[0]) else {
      Issue.record("the long one is lost")
      return
    }
    #expect(SupervisionMessage.receive(on: ends[0]) == .foreign)
    #expect(SupervisionMessage.receive(on: ends[0]) == .message(.ready))
    close(ends[1])
    #expect(SupervisionMessage.receive(on: ends[0]) == .end)
    close(ends[0])
  }

  @Test func aDescriptorComesWithItsMessageOnly() {
    var (ends, passed): ([Int32], [Int32]) = ([-1, -1], [-1, -1])
    #expect(socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 && pipe(&passed) == 0)
    #expect(SupervisionMessage.channel(number: 11).send(on: ends[1], passing: passed[1]))
    guard case .channel(11, let descriptor) = SupervisionMessage.receive(on: ends[0]) else {
      Issue.record("no descriptor came")
      return
    }
    #expect(write(descriptor, "x", 1) == 1)
    close(descriptor)
    // Without one, and one with another message: neither is taken, nothing stays open.
    #expect(SupervisionMessage.channel(number: 11).send(on: ends[1]))
    #expect(SupervisionMessage.receive(on: ends[0]) == .foreign)
    #expect(SupervisionMessage.ready.send(on: ends[1], passing: passed[1]))
    #expect(SupervisionMessage.receive(on: ends[0]) == .message(.ready))
    close(passed[1])
    var buffer = [UInt8](repeating: 0, count: 8)
    #expect(read(passed[0], &buffer, 8) == 1)
    #expect(read(passed[0], &buffer, 8) == 0)
    for end in ends + [passed[0]] { close(end) }
  }

  /// A tenth of a second, then twice as long each time, half a minute at most; who ran for a minute begins anew.
  @Test func patienceGrowsAndIsGivenBack() {
    var delay = RestartDelay()
    let milliseconds = (0..<12).map { _ in delay.next(ranNanoseconds: 0) / 1_000_000 }
    #expect(milliseconds == [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000])
    for _ in 0..<100 { #expect(delay.next(ranNanoseconds: 59_999_999_999) == 30_000_000_000) }
    #expect(delay.next(ranNanoseconds: 60_000_000_000) == 100_000_000)
    #expect(delay.next(ranNanoseconds: 0) == 200_000_000)
  }

  @Test func aProgramIsLookedForBesideThisOne() throws {
    #expect(ChildProgram.directories(besides: "/opt/x/panguard") == ["/opt/x", "/usr/lib/panguard"])
    #expect(ChildProgram.directories(besides: nil) == ["/usr/lib/panguard"])
    let shell = ChildProgram(name: "engine", executable: "sh", isRequired: true)
    #expect(shell.path(in: ["/nonexistent", "/bin"]) == "/bin/sh")
    let absent = ChildProgram(name: "engine", executable: "panguard-absent", isRequired: true)
    #expect(throws: SupervisionError.self) { _ = try Supervisor([absent], directories: ["/bin"]) { _ in } }
    let optional = ChildProgram(name: "enforcer", executable: "panguard-absent")
    #expect(throws: Never.self) { _ = try Supervisor([shell, optional], directories: ["/bin"]) { _ in } }
  }
}
