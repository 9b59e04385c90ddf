// What the kernel says of its own listening sockets: cookies that it sent instead of remembering a SYN, and queues that were full
// (/proc/net/netstat, TcpExt; Documentation/networking/snmp_counter). Behind cookies nothing else tells a flood from traffic.
// What must stay true: the file is opened before the capture gives up every file, read at its beginning ever after, and not followed where it
// does not say what it should. It tells of the network namespace of whoever opened it.
import CLinux
import Glibc
import Primitives

struct KernelListenCounters {
  struct Counts: Equatable {
    var syncookiesSent: UInt64 = 0
    var listenOverflows: UInt64 = 0
    var listenDrops: UInt64 = 0
  }
  private let descriptor: Int32
  private var last: Counts?

  /// nil: there is no such file.
  init?(path: String = "/proc/net/netstat") {
    descriptor = pg_open(path, O_RDONLY, 0)
    if descriptor < 0 { return nil }
  }

  /// What was added since the last call; nil the first time, and where the file cannot be read.
  mutating func changes() -> Counts? {
    var buffer = [UInt8](repeating: 0, count: 16 * 1024)
    var count = 0
    while count < buffer.count {
      let read = buffer.withUnsafeMutableBytes { pread($0.count > count ? descriptor : -1, $0.baseAddress! + count, $0.count - count, off_t(count)) }
      if read <= 0 { break }
      count += read
    }
    guard let now = buffer.withUnsafeBytes({ KernelListenCounters.parse(Bytes(rebasing: $0[..<count])) }) else { return nil }
    defer { last = now }
    guard let last else { return nil }
    func grown(_ a: UInt64, _ b: UInt64) -> UInt64 { a > b ? a - b : 0 }
    return Counts(
      syncookiesSent: grown(now.syncookiesSent, last.syncookiesSent), listenOverflows: grown(now.listenOverflows, last.listenOverflows),
      listenDrops: grown(now.listenDrops, last.listenDrops))
  }

  /// Two lines that begin with "TcpExt:": names, then values in the same order.
  static func parse(_ text: Bytes) -> Counts? {
    var names: [Bytes]?
    var at = 0
    while at < text.count {
      let end = text.index(of: 0x0a, from: at) ?? text.count
      let line = text.slice(at, end)
      at = end + 1
      guard line.starts(with: "TcpExt:") else { continue }
      let words = line.from(7).split(separator: 0x20).map { Bytes(rebasing: $0) }
      guard let names else {
        names = words
        continue
      }
      guard names.count == words.count else { return nil }
      var counts = Counts()
      for (name, value) in zip(names, words) {
        guard let number = value.decimal.map({ UInt64($0) }) else { continue }
        if name.equals("SyncookiesSent") { counts.syncookiesSent = number }
        if name.equals("ListenOverflows") { counts.listenOverflows = number }
        if name.equals("ListenDrops") { counts.listenDrops = number }
      }
      return counts
    }
    return nil
  }
}
