// What the uplink writes down as it happens: one line on standard error each, which the journal keeps. Bounded by the minute, so that a
// hostile engine cannot fill a disk; what is left out is counted. Lines hold names, keys, numbers and reasons, never a body or a secret.
import Glibc
import Primitives

struct UplinkAudit {
  private let write: (String) -> Void
  private var minute: UInt64 = 0
  private var lines = 0
  private var left: UInt64 = 0
  private(set) var dropped: UInt64 = 0

  init(write: @escaping (String) -> Void = UplinkAudit.standardError) { self.write = write }

  /// `now`: nanoseconds of a clock that only goes forward.
  mutating func add(_ text: String, now: UInt64) {
    if now / 60_000_000_000 != minute {
      minute = now / 60_000_000_000
      lines = 0
      if left > 0 { write("\(left) lines were left out in an earlier minute") }
      left = 0
    }
    guard lines < Limits.uplinkAuditLinesPerMinute else {
      left += 1
      dropped += 1
      return
    }
    lines += 1
    write(text)
  }

  private static func standardError(_ text: String) {
    let line = Array("panguard-uplink: \(text)\n".utf8)
    _ = Glibc.write(2, line, line.count)
  }
}
