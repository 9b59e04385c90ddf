// The side that asks: one connection to the enforcer, one request at a time. Used by the engine and by the operator's command.
// What must stay true: no call lasts longer than its time-out; after any error the connection is closed and stays so; connecting again is
// the caller's decision.
import CLinux
import Glibc
import Primitives

public enum EnforcerClientError: Error, Hashable, Sendable, CustomStringConvertible {
  case cannotConnect(path: String, errno: Int32)
  case pathTooLong(String)
  /// Too many entries for one request (`Limits.enforcedBlocks`).
  case tooManyEntries(Int)
  case timedOut
  /// The enforcer closed the connection: it ended, or refused us.
  case closed
  case io(errno: Int32)
  case malformed(ProtocolError)
  /// An answer to something else.
  case unexpectedAnswer

  public var description: String {
    switch self {
    case .cannotConnect(let path, let code): "\(path): \(String(cString: strerror(code)))"
    case .pathTooLong(let path): "\(path): too long for a socket path (107 bytes)"
    case .tooManyEntries(let count): "\(count) entries are more than the \(Limits.enforcedBlocks) of one request"
    case .timedOut: "the enforcer did not answer in time"
    case .closed: "the enforcer closed the connection"
    case .io(let code): "the connection to the enforcer failed: \(String(cString: strerror(code)))"
    case .malformed(let error): "the enforcer's answer is malformed: \(error)"
    case .unexpectedAnswer: "the enforcer answered something else"
    }
  }
}

public final class EnforcerClient {
  /// Where the enforcer listens by default (its configuration's `socket`).
  public static let defaultPath = "/run/panguard/enforcer.sock"
  private var descriptor: Int32
  private var lastID: UInt32 = 0
  /// For each call.
  public var timeout: Nanoseconds

  /// Takes over a connected AF_UNIX stream socket.
  public init(descriptor: Int32, timeout: Nanoseconds = Limits.enforcerPeerPatience) {
    self.descriptor = descriptor
    self.timeout = timeout
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
  }

  public convenience init(path: String, timeout: Nanoseconds = Limits.enforcerPeerPatience) throws(EnforcerClientError) {
    self.init(descriptor: try UnixSocket.connect(path), timeout: timeout)
  }
  deinit { close() }

  public var isOpen: Bool { descriptor >= 0 }
  public func close() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  // MARK: Requests

  /// One outcome for each block, in their order.
  public func block(_ blocks: [Block]) throws(EnforcerClientError) -> Reply<[BlockOutcome]> {
    try outcomes(.block(blocks), count: blocks.count)
  }
  public func unblock(_ networks: [CIDR]) throws(EnforcerClientError) -> Reply<[BlockOutcome]> {
    try outcomes(.unblock(networks), count: networks.count)
  }
  public func unblockAll() throws(EnforcerClientError) -> Reply<UInt64> {
    try ask(.unblockAll) { if case .unblockedAll(let count) = $0 { count } else { nil } }
  }
  public func list() throws(EnforcerClientError) -> Reply<[ActiveBlock]> {
    try ask(.list) { if case .blocks(let blocks) = $0 { blocks } else { nil } }
  }
  public func reconcile(_ blocks: [Block]) throws(EnforcerClientError) -> Reply<ReconcileReport> {
    guard blocks.count <= Limits.enforcedBlocks else { throw .tooManyEntries(blocks.count) }
    return try ask(.reconcile(blocks)) {
      if case .reconciled(let report) = $0, report.outcomes.count == blocks.count { report } else { nil }
    }
  }
  public func heartbeat() throws(EnforcerClientError) -> Reply<[EnforcerNotice]> {
    try ask(.heartbeat) { if case .alive(let notices) = $0 { notices } else { nil } }
  }
  public func status() throws(EnforcerClientError) -> EnforcerStatus {
    switch try ask(.status, { if case .status(let status) = $0 { status } else { nil } }) {
    case .done(let status): return status
    case .unavailable(let reason):
      var status = EnforcerStatus()
      status.unavailable = reason
      return status
    }
  }

  /// What was asked for, or why the enforcer can do nothing here.
  public enum Reply<Value: Sendable>: Sendable {
    case done(Value)
    case unavailable(String)
    public var value: Value? { if case .done(let value) = self { value } else { nil } }
  }

  private func outcomes(_ request: EnforcerRequest, count: Int) throws(EnforcerClientError) -> Reply<[BlockOutcome]> {
    guard count <= Limits.enforcedBlocks else { throw .tooManyEntries(count) }
    return try ask(request) { if case .outcomes(let list) = $0, list.count == count { list } else { nil } }
  }

  private func ask<Value>(_ request: EnforcerRequest, _ take: (EnforcerAnswer) -> Value?) throws(EnforcerClientError) -> Reply<Value> {
    guard descriptor >= 0 else { throw .closed }
    lastID &+= 1
    do throws(EnforcerClientError) {
      let deadline = monotonicNow() &+ UInt64(clamping: timeout.count)
      try UnixSocket.send(request.encoded(id: lastID), to: descriptor, until: deadline)
      let (answer, id) = try receive(until: deadline)
      guard id == lastID else { throw .unexpectedAnswer }
      if case .unavailable(let reason) = answer { return .unavailable(reason) }
      guard let value = take(answer) else { throw .unexpectedAnswer }
      return .done(value)
    } catch {
      close()
      throw error
    }
  }

  private func receive(until deadline: UInt64) throws(EnforcerClientError) -> (EnforcerAnswer, id: UInt32) {
    var bytes: [UInt8] = []
    var wanted = EnforcerProtocol.headerBytes
    while true {
      let part = try UnixSocket.receive(wanted - bytes.count, from: descriptor, until: deadline)
      bytes.append(contentsOf: part)
      switch bytes.withUnsafeBytes({ EnforcerAnswer.decode($0) }) {
      case .value(let answer, let id, _): return (answer, id)
      case .incomplete(let count): wanted = max(count, bytes.count + 1)
      case .malformed(let error): throw .malformed(error)
      }
    }
  }
}

/// Nanoseconds of CLOCK_MONOTONIC: of this boot, not counting sleep, as the kernel's timeouts.
public func monotonicNow() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}

/// Connecting, and moving bytes before a deadline of `monotonicNow`.
package enum UnixSocket {
  package static func connect(_ path: String) throws(EnforcerClientError) -> Int32 {
    guard path.utf8.count < 108 else { throw .pathTooLong(path) }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { throw .cannotConnect(path: path, errno: errno) }
    guard withSocketAddress(path, { Glibc.connect(descriptor, $0, $1) }) == 0 else {
      let code = errno
      Glibc.close(descriptor)
      throw .cannotConnect(path: path, errno: code)
    }
    return descriptor
  }

  package static func send(_ bytes: [UInt8], to descriptor: Int32, until deadline: UInt64) throws(EnforcerClientError) {
    var sent = 0
    while sent < bytes.count {
      let n = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL)) }
      if n > 0 {
        sent += n
      } else {
        try wait(descriptor, POLLOUT, errno, until: deadline)
      }
    }
  }

  /// At least one byte, at most `count`.
  package static func receive(_ count: Int, from descriptor: Int32, until deadline: UInt64) throws(EnforcerClientError) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: count)
    while true {
      let n = recv(descriptor, &buffer, count, 0)
      if n > 0 {
        buffer.removeLast(count - n)
        return buffer
      }
      if n == 0 { throw .closed }
      try wait(descriptor, POLLIN, errno, until: deadline)
    }
  }

  private static func wait(_ descriptor: Int32, _ events: Int32, _ code: Int32, until deadline: UInt64) throws(EnforcerClientError) {
    if code == EINTR { return }
    if code == EPIPE || code == ECONNRESET { throw .closed }
    guard code == EAGAIN || code == EWOULDBLOCK else { throw .io(errno: code) }
    let now = monotonicNow()
    guard now < deadline else { throw .timedOut }
    var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    _ = poll(&entry, 1, Int32(clamping: (deadline - now) / 1_000_000 + 1))
  }
}
