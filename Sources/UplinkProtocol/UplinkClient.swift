// The side that asks: one connection to the uplink, one request at a time.
// What must stay true: no call lasts longer than its time-out; after any error the connection is closed and stays so; connecting again is
// the caller's decision.
import Glibc
import Primitives

public enum UplinkClientError: Error, Hashable, Sendable, CustomStringConvertible {
  case cannotConnect(path: String, errno: Int32)
  /// A name that is none, or a body that is too long.
  case notSendable
  case timedOut
  /// The uplink closed the connection: it ended, or refused us.
  case closed
  case io(errno: Int32)
  case malformed(UplinkFrameError)
  /// An answer to something else.
  case unexpectedAnswer

  public var description: String {
    switch self {
    case .cannotConnect(let path, let code): "\(path): \(String(cString: strerror(code)))"
    case .notSendable: "this cannot be sent to the uplink"
    case .timedOut: "the uplink did not answer in time"
    case .closed: "the uplink closed the connection"
    case .io(let code): "the connection to the uplink failed: \(String(cString: strerror(code)))"
    case .malformed(let error): "the uplink's answer is malformed: \(error)"
    case .unexpectedAnswer: "the uplink answered something else"
    }
  }
}

public final class UplinkClient {
  private var descriptor: Int32
  private var lastID: UInt32 = 0
  /// For each call.
  public var timeout: Nanoseconds

  /// Takes over a connected AF_UNIX stream socket.
  public init(descriptor: Int32, timeout: Nanoseconds = Limits.uplinkCall) {
    self.descriptor = descriptor
    self.timeout = timeout
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
  }

  public convenience init(path: String, timeout: Nanoseconds = Limits.uplinkCall) throws(UplinkClientError) {
    guard path.utf8.count < 108 else { throw .cannotConnect(path: path, errno: ENAMETOOLONG) }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { throw .cannotConnect(path: path, errno: errno) }
    guard withSocketAddress(path, { connect(descriptor, $0, $1) }) == 0 else {
      let code = errno
      Glibc.close(descriptor)
      throw .cannotConnect(path: path, errno: code)
    }
    self.init(descriptor: descriptor, timeout: timeout)
  }
  deinit { close() }

  public var isOpen: Bool { descriptor >= 0 }
  public func close() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  // MARK: Requests

  /// nil: it is accepted; else why not.
  public func deliver(webhook: String, key: String, body: [UInt8]) throws(UplinkClientError) -> DeliveryRefusal? {
    guard UplinkName.isValid(webhook.utf8), UplinkName.isValid(key.utf8), body.count <= Limits.webhookBodyBytes else { throw .notSendable }
    switch try ask(.deliver(webhook: webhook, key: key, body: body)) {
    case .accepted: return nil
    case .refused(let refusal): return refusal
    default: throw unexpected()
    }
  }
  /// What came of deliveries, the oldest first; there may be more where it is full (`Limits.collectedOutcomes`).
  public func collect() throws(UplinkClientError) -> [DeliveryOutcome] {
    guard case .outcomes(let outcomes) = try ask(.collect) else { throw unexpected() }
    return outcomes
  }
  public func status() throws(UplinkClientError) -> UplinkStatus {
    guard case .status(let status) = try ask(.status) else { throw unexpected() }
    return status
  }

  private func unexpected() -> UplinkClientError {
    close()
    return .unexpectedAnswer
  }

  private func ask(_ request: UplinkRequest) throws(UplinkClientError) -> UplinkAnswer {
    guard descriptor >= 0 else { throw .closed }
    lastID &+= 1
    do throws(UplinkClientError) {
      let deadline = monotonicNow() &+ UInt64(clamping: timeout.count)
      try send(request.encoded(id: lastID), until: deadline)
      let (answer, id) = try receive(until: deadline)
      guard id == lastID else { throw .unexpectedAnswer }
      return answer
    } catch {
      close()
      throw error
    }
  }

  // MARK: Bytes

  private func send(_ bytes: [UInt8], until deadline: UInt64) throws(UplinkClientError) {
    var sent = 0
    while sent < bytes.count {
      let n = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL)) }
      if n > 0 { sent += n } else { try wait(POLLOUT, errno, until: deadline) }
    }
  }

  private func receive(until deadline: UInt64) throws(UplinkClientError) -> (UplinkAnswer, id: UInt32) {
    var bytes: [UInt8] = []
    var wanted = UplinkFrame.headerBytes
    var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    while true {
      // Never more than the frame that is being read: what follows belongs to the next call.
      let n = recv(descriptor, &buffer, min(buffer.count, wanted - bytes.count), 0)
      if n == 0 { throw .closed }
      if n < 0 {
        try wait(POLLIN, errno, until: deadline)
        continue
      }
      bytes.append(contentsOf: buffer[..<n])
      switch bytes.withUnsafeBytes({ UplinkAnswer.decode($0) }) {
      case .value(let answer, let id, _): return (answer, id)
      case .incomplete(let count): wanted = max(count, bytes.count + 1)
      case .malformed(let error): throw .malformed(error)
      }
    }
  }

  private func wait(_ events: Int32, _ code: Int32, until deadline: UInt64) throws(UplinkClientError) {
    if code == EINTR { return }
    if code == EPIPE || code == ECONNRESET { throw .closed }
    guard code == EAGAIN || code == EWOULDBLOCK else { throw .io(errno: code) }
    let now = monotonicNow()
    guard now < deadline else { throw .timedOut }
    var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    _ = poll(&entry, 1, Int32(clamping: (deadline - now) / 1_000_000 + 1))
  }

  /// Nanoseconds of this boot, not counting sleep.
  private func monotonicNow() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }
}
