// What the kernel says of its listening sockets: two lines of one table.
import Glibc
import Primitives
import Testing

@testable import PacketCapture

private func parsed(_ text: String) -> KernelListenCounters.Counts? {
  Array(text.utf8).withUnsafeBytes { KernelListenCounters.parse($0) }
}

@Suite struct KernelListenCountersTests {
  @Test func namesAndValues() {
    let text = """
      TcpExt: SyncookiesSent SyncookiesRecv ListenOverflows ListenDrops TCPWqueueTooBig
      TcpExt: 12 3 45 46 0
      IpExt: InNoRoutes InTruncatedPkts
      IpExt: 7 8

      """
    #expect(parsed(text) == .init(syncookiesSent: 12, listenOverflows: 45, listenDrops: 46))
  }

  @Test(arguments: [
    "", "\n", "TcpExt:", "TcpExt: SyncookiesSent\n", "TcpExt: SyncookiesSent ListenDrops\nTcpExt: 1\n",
    "IpExt: SyncookiesSent\nIpExt: 1\n", "\0\0\n\n",
  ])
  func whatIsNoSuchTable(text: String) {
    #expect(parsed(text) == nil)
  }

  @Test func numbersThatAreNone() {
    #expect(parsed("TcpExt: SyncookiesSent ListenDrops\nTcpExt: -1 99999999999999999999\n") == .init())
  }

  /// Opened once, read at its beginning ever after.
  @Test func whatWasAdded() throws {
    let path = "\(getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp")/panguard-netstat-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    defer { unlink(path) }
    func write(_ cookies: Int) throws {
      let file = try #require(fopen(path, "w"))
      fputs("TcpExt: SyncookiesSent ListenOverflows\nTcpExt: \(cookies) 5\n", file)
      fclose(file)
    }
    try write(10)
    var counters = try #require(KernelListenCounters(path: path))
    #expect(counters.changes() == nil)
    #expect(counters.changes() == .init())
    try write(17)
    #expect(counters.changes() == .init(syncookiesSent: 7))
    // A namespace that was made anew.
    try write(3)
    #expect(counters.changes() == .init())
  }

  @Test func thisKernelHasIt() throws {
    var counters = try #require(KernelListenCounters())
    #expect(counters.changes() == nil)
    #expect(counters.changes() != nil)
    let missing = KernelListenCounters(path: "/nonexistent") == nil
    #expect(missing)
  }
}
