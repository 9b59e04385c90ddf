// What the enforcer writes down as it happens: one line on standard error each, which the journal keeps. Bounded by the minute, so that a
// hostile engine cannot fill a disk; what is left out is counted.
import Enforcement
import FrameProtocol
import Glibc
import Primitives

/// Everything that is worth a line. The texts are made of numbers, addresses and our own words only.
enum AuditEvent: Sendable {
  case started(adopted: Int)
  case unavailable(String)
  case peerRefused(uid: uid_t, pid: pid_t)
  case tooManyConnections
  case malformed(FrameError, uid: uid_t, pid: pid_t)
  case tooSlow(uid: uid_t, pid: pid_t)
  case silent(uid: uid_t, pid: pid_t)
  case refused(CIDR, BlockRefusal, uid: uid_t, pid: pid_t)
  case unblockedAll(UInt64, uid: uid_t, pid: pid_t)
  case notice(EnforcerNotice, silence: Nanoseconds?)
  case protectionUnknown(String)
  case failed(String)

  var text: String {
    switch self {
    case .started(let adopted): "ready; \(adopted) blocks taken over from the kernel"
    case .unavailable(let reason): "nothing will be blocked: \(reason)"
    case .peerRefused(let uid, let pid): "connection of uid \(uid), pid \(pid) refused: not the engine, not root"
    case .tooManyConnections: "connection refused: \(Limits.frameConnections) are open"
    case .malformed(let error, let uid, let pid): "connection of uid \(uid), pid \(pid) closed: \(error)"
    case .tooSlow(let uid, let pid): "connection of uid \(uid), pid \(pid) closed: too slow"
    case .silent(let uid, let pid): "connection of uid \(uid), pid \(pid) closed: silent while others wait"
    case .refused(let network, let refusal, let uid, let pid): "block of \(network) refused for uid \(uid), pid \(pid): \(refusal)"
    case .unblockedAll(let count, let uid, let pid): "all \(count) blocks removed for uid \(uid), pid \(pid)"
    case .notice(let notice, let silence):
      switch notice.kind {
      case .unblockedAsProtected: "unblocked \(notice.network): it is now \(notice.protected.map(\.description) ?? "protected")"
      case .strangerRemoved: "removed \(notice.network): nobody asked for this block"
      case .reasserted: "blocked \(notice.network) again: it was missing or had another end in the kernel"
      case .heartbeatLost: "no sign of life from the engine for \(silence ?? Nanoseconds(0)); blocks end by themselves"
      case .tableRestored: "the table inet \(NFTables.table) was missing or changed, and was made anew"
      }
    case .protectionUnknown(let reason): "nothing will be blocked until it is known what to protect: \(reason)"
    case .failed(let what): what
    }
  }
}

struct AuditLog {
  private let write: (String) -> Void
  private var minute: UInt64 = 0
  private var lines = 0
  private var left: UInt64 = 0
  private(set) var dropped: UInt64 = 0

  init(write: @escaping (String) -> Void = AuditLog.standardError) { self.write = write }

  mutating func add(_ event: AuditEvent, now: UInt64) {
    if now / 60_000_000_000 != minute {
      minute = now / 60_000_000_000
      lines = 0
      if left > 0 { write("\(left) lines were left out in an earlier minute") }
      left = 0
    }
    guard lines < Limits.auditLinesPerMinute else {
      left += 1
      dropped += 1
      return
    }
    lines += 1
    write(event.text)
  }

  private static func standardError(_ text: String) {
    let line = Array("panguard-enforcer: \(text)\n".utf8)
    _ = Glibc.write(2, line, line.count)
  }
}
