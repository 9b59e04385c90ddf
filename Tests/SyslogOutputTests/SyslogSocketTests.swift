import Glibc
import Primitives
import SyslogOutput
import Testing

@Suite struct SyslogSocketTests {
  let directory: TemporaryDirectory
  let path: String
  init() throws {
    directory = try TemporaryDirectory()
    path = directory.path + "/log"
  }

  @Test func deliversOneDatagramForEachMessage() {
    let receiver = listen(at: path)
    let socket = SyslogSocket(path: path)
    #expect(socket.send(Array("<13>1 one".utf8)) && socket.send(Array("two\nthree".utf8)))
    #expect(receive(receiver) == Array("<13>1 one".utf8))
    #expect(receive(receiver) == Array("two\nthree".utf8))
    #expect(receive(receiver) == nil)
    #expect(socket.sentCount == 2 && socket.dropCount == 0 && socket.connectCount == 1 && socket.lastError == 0)
    close(receiver)
  }

  @Test func countsWhatNobodyTakes() {
    let socket = SyslogSocket(path: path)
    #expect(!socket.send([0x61]))
    #expect(socket.dropCount(.unreachable) == 1)
    #expect(socket.lastErrorText == "No such file or directory")
    // The daemon comes up later.
    let receiver = listen(at: path)
    #expect(socket.send([0x62]))
    #expect(receive(receiver) == [0x62])
    #expect(socket.sentCount == 1 && socket.dropCount == 1)
    close(receiver)
    #expect(!socket.send([0x63]))
    #expect(socket.dropCount(.unreachable) == 2)
  }

  @Test func findsTheSocketOfARestartedDaemon() {
    var receiver = listen(at: path)
    let socket = SyslogSocket(path: path)
    #expect(socket.send([1]))
    close(receiver)
    receiver = listen(at: path)
    #expect(socket.send([2]))
    #expect(receive(receiver) == [2])
    #expect(socket.connectCount == 2 && socket.dropCount == 0)
    close(receiver)
  }

  /// A burst beyond the receiver's queue waits, in order, up to the limit; beyond it messages are dropped, and no call waits.
  @Test func neverWaitsForASlowDaemon() {
    let receiver = listen(at: path)
    let socket = SyslogSocket(path: path)
    func message(_ n: Int) -> [UInt8] { Array("\(n) ".utf8) + [UInt8](repeating: 0x61, count: 4096) }
    let taken = (0..<10_000).filter { socket.send(message($0)) }
    #expect(taken == Array(0..<taken.count))
    #expect(socket.backlogCount == Limits.syslogBacklog)
    #expect(socket.sentCount == UInt64(taken.count - Limits.syslogBacklog))
    #expect(socket.dropCount(.busy) == UInt64(10_000 - taken.count) && socket.dropCount == socket.dropCount(.busy))
    var received: [[UInt8]] = []
    while socket.backlogCount > 0 {
      while let message = receive(receiver) { received.append(message) }
      socket.flush()
    }
    while let message = receive(receiver) { received.append(message) }
    let isComplete = received == taken.map(message)
    #expect(isComplete)
    #expect(socket.send([0x62]))
    #expect(receive(receiver) == [0x62])
    close(receiver)
  }

  @Test func whatWaitsIsDroppedAndCountedWhenTheDaemonGoes() {
    let receiver = listen(at: path)
    let socket = SyslogSocket(path: path)
    while socket.backlogCount < 5 { socket.send([0x61]) }
    close(receiver)
    unlink(path)
    socket.flush()
    #expect(socket.backlogCount == 0 && socket.dropCount(.unreachable) == 5)
  }

  @Test func refusesWhatIsTooLarge() {
    let receiver = listen(at: path)
    let socket = SyslogSocket(path: path)
    #expect(!socket.send([UInt8](repeating: 0x61, count: 16 << 20)))
    #expect(socket.dropCount(.tooLarge) == 1)
    #expect(socket.send([0x62]))
    close(receiver)
  }

  @Test(arguments: ["", "/tmp/" + String(repeating: "x", count: 103), "/tmp/a\u{0}b", "/tmp", "/dev/null"])
  func aPathThatCannotBeASocketDropsAndSaysSo(_ path: String) {
    let socket = SyslogSocket(path: path)
    #expect(!socket.send([1]))
    #expect(socket.dropCount == 1 && socket.lastError != 0)
  }
}
