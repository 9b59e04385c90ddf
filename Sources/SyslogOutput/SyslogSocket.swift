// Writes finished syslog messages to the local syslog socket (/dev/log): an AF_UNIX datagram for each message.
// Invariants: a call never blocks and never raises a signal; messages arrive in order; one that could not be delivered is counted by
// cause (the decision itself is in the store); after the syslog daemon restarts, the next message finds its new socket.
// A datagram socket's queue is short (net.unix.max_dgram_qlen, often 10), so a burst waits in a bounded backlog until `flush`.
import Glibc
import Primitives

/// One connection, for one thread at a time.
public final class SyslogSocket {
  /// Why a message was dropped.
  public enum DropCause: Int, CaseIterable, Sendable {
    /// No socket, nobody listens, or no permission.
    case unreachable
    /// The receiver's queue and our backlog are full.
    case busy
    /// Larger than the socket takes.
    case tooLarge
    /// Anything else; see `lastError`.
    case other
    public var name: StaticString {
      switch self {
      case .unreachable: "unreachable"
      case .busy: "busy"
      case .tooLarge: "too-large"
      case .other: "other"
      }
    }
  }

  public let path: String
  /// Messages that the kernel took.
  public private(set) var sentCount: UInt64 = 0
  private var drops = [UInt64](repeating: 0, count: DropCause.allCases.count)
  /// Times that a connection was made.
  public private(set) var connectCount: UInt64 = 0
  /// errno of the last failure; 0 if there was none.
  public private(set) var lastError: Int32 = 0
  private var descriptor: Int32 = -1

  /// Connects with the first message, not here. `path`: at most 107 bytes (unix(7)); every message to a longer one is dropped.
  public init(path: String = "/dev/log") { self.path = path }
  deinit { disconnect() }

  public func dropCount(_ cause: DropCause) -> UInt64 { drops[cause.rawValue] }
  public var dropCount: UInt64 { drops.reduce(0, &+) }
  /// "Connection refused"; empty if nothing failed.
  public var lastErrorText: String { lastError == 0 ? "" : String(cString: strerror(lastError)) }

  /// Messages that wait for the receiver.
  public var backlogCount: Int { backlog.count - backlogStart }
  private var backlog: [[UInt8]] = []
  private var backlogStart = 0

  private enum Outcome {
    case sent, busy
    case failed(DropCause)
  }

  /// True if the kernel took the message or it waits in the backlog; on false it was dropped and counted.
  @discardableResult
  public func send(_ message: [UInt8]) -> Bool {
    flush()
    if backlogCount == 0 {
      switch attempt(message) {
      case .sent: return true
      case .failed(let cause): return drop(cause)
      case .busy: break
      }
    }
    guard backlogCount < Limits.syslogBacklog else { return drop(.busy) }
    if backlogStart >= Limits.syslogBacklog {  // so that a backlog that never runs empty does not grow
      backlog.removeFirst(backlogStart)
      backlogStart = 0
    }
    backlog.append(message)
    return true
  }

  /// Sends what waits, as far as the receiver takes it now. To be called when there is time; `send` calls it first.
  public func flush() {
    while backlogCount > 0 {
      switch attempt(backlog[backlogStart]) {
      case .sent: break
      case .failed(let cause): _ = drop(cause)
      case .busy: return
      }
      backlog[backlogStart] = []
      backlogStart += 1
    }
    backlog.removeAll(keepingCapacity: false)
    backlogStart = 0
  }

  private func attempt(_ message: [UInt8]) -> Outcome {
    // The second try is for a daemon that was restarted: the old connection fails, a new one may not.
    for _ in 0..<2 {
      let wasConnected = descriptor >= 0
      guard wasConnected || connect() else { return .failed(.unreachable) }
      let n = message.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)) }
      if n == message.count {
        sentCount &+= 1
        return .sent
      }
      lastError = errno
      switch lastError {
      case EAGAIN, ENOBUFS, ENOMEM: return .busy
      case EMSGSIZE: return .failed(.tooLarge)
      case EINTR: continue
      default:
        disconnect()
        if !wasConnected { return .failed(lastError == ECONNREFUSED ? .unreachable : .other) }
      }
    }
    return .failed(.unreachable)
  }

  private func drop(_ cause: DropCause) -> Bool {
    drops[cause.rawValue] &+= 1
    return false
  }

  private func connect() -> Bool {
    let capacity = MemoryLayout.size(ofValue: sockaddr_un().sun_path)
    guard !path.isEmpty, path.utf8.count < capacity, !path.utf8.contains(0) else {
      lastError = path.utf8.count < capacity ? EINVAL : ENAMETOOLONG
      return false
    }
    let fd = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard fd >= 0 else {
      lastError = errno
      return false
    }
    let status = withSocketAddress(path) { Glibc.connect(fd, $0, $1) }
    guard status == 0 else {
      lastError = errno
      close(fd)
      return false
    }
    descriptor = fd
    connectCount &+= 1
    return true
  }

  private func disconnect() {
    if descriptor >= 0 { close(descriptor) }
    descriptor = -1
  }
}
