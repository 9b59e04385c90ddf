// All services whose messages are known, and the look-up from a program's name to the parser of its messages.
// Adding a service: its file, its line in `all`, its tests.
import Events
import Primitives

extension ServiceParser {
  /// Every known service. The order has no meaning: a program belongs to one service.
  public static let all: [ServiceParser] = [
    .sshd, .pam, .sudo, .su, .login, .cron, .systemd, .logind, .shadow, .kernel, .nginx, .apache,
  ]

  /// Forms of whole lines without a syslog header, in the order in which they are tried. The number is the offset from UTC, in
  /// seconds, of stamps that name none.
  static let headerless: [(format: LogFormat, parse: @Sendable (Bytes, Int64, inout Event) -> Bool)] = [
    (.json, { JSONLine.parse($0, into: &$2) }),
    (.access, { WebAccess.parse($0, into: &$2) }),
    (.error, { WebError.parse($0, offsetSeconds: $1, into: &$2) }),
  ]

  /// Messages of programs that no service knows: key=value and JSON.
  static let fallback: (@Sendable (Bytes, inout Event) -> Bool)? = { GenericMessage.parse($0, into: &$1) }
}

/// Program name -> index into `ServiceParser.all`. Names are compared in lower case; the last path component counts.
/// The table is open-addressed and made once; a look-up is a hash of at most 16 bytes and one comparison.
struct ProgramTable: @unchecked Sendable {
  private struct Entry {
    var key: (UInt64, UInt64) = (0, 0)
    var service: Int32 = -1
  }
  private let entries: UnsafePointer<Entry>
  private let mask: Int
  static let shared = ProgramTable(ServiceParser.all)

  init(_ services: [ServiceParser]) {
    var size = 64
    let count = services.reduce(0) { $0 + $1.programs.count }
    while size < count * 4 { size *= 2 }
    let entries = UnsafeMutablePointer<Entry>.allocate(capacity: size)
    entries.initialize(repeating: Entry(), count: size)
    mask = size - 1
    for (i, service) in services.enumerated() {
      for program in service.programs {
        guard let key = ProgramTable.key(Bytes(program)) else { continue }
        var at = ProgramTable.hash(key) & mask
        while entries[at].service >= 0 { at = (at + 1) & mask }
        entries[at] = Entry(key: key, service: Int32(i))
      }
    }
    self.entries = UnsafePointer(entries)
  }

  /// nil for a program that no service knows.
  @inline(__always)
  func service(of program: Bytes) -> Int? {
    guard let key = ProgramTable.key(program) else { return nil }
    var at = ProgramTable.hash(key) & mask
    while entries[at].service >= 0 {
      if entries[at].key == key { return Int(entries[at].service) }
      at = (at + 1) & mask
    }
    return nil
  }

  private static func hash(_ key: (UInt64, UInt64)) -> Int {
    Int(truncatingIfNeeded: ((key.0 ^ key.1 &* 0x9e37_79b9_7f4a_7c15) &* 0xff51_afd7_ed55_8ccd) >> 40)
  }
  /// At most 16 bytes as two words, in lower case; longer names are no known program.
  @inline(__always)
  private static func key(_ name: Bytes) -> (UInt64, UInt64)? {
    let count = name.count
    guard count > 0, count <= 16 else { return nil }
    var key: (UInt64, UInt64) = (0, 0)
    for i in 0..<count {
      var byte = name[i]
      if byte &- 0x41 < 26 { byte |= 0x20 }
      if i < 8 { key.0 |= UInt64(byte) << UInt64(8 * i) } else { key.1 |= UInt64(byte) << UInt64(8 * (i - 8)) }
    }
    return key
  }
}
