// The side that asks: one connection to one of our programs, one request at a time.
// What must stay true: no call lasts longer than its time-out; after any error the connection is closed and stays so; connecting again is
// the caller's decision.
import CLinux
import Glibc
import Primitives

public struct FrameClientError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Problem: Hashable, Sendable {
    case cannotConnect(path: String, errno: Int32)
    case pathTooLong(String)
    /// The request is none that the program takes: why.
    case notSendable(String)
    case timedOut
    /// The program closed the connection: it ended, or refused us.
    case closed
    case io(errno: Int32)
    case malformed(FrameError)
    /// An answer to something else.
    case unexpectedAnswer
  }
  /// "enforcer"
  public let program: String
  public let problem: Problem
  public init(_ program: String, _ problem: Problem) { (self.program, self.problem) = (program, problem) }

  /// There is no socket to connect to: nobody has set the program up, or it does not run.
  public var isAbsence: Bool { if case .cannotConnect(_, ENOENT) = problem { true } else { false } }

  public var description: String {
    switch problem {
    case .cannotConnect(let path, let code): "\(path): \(String(cString: strerror(code)))"
    case .pathTooLong(let path): "\(path): too long for a socket path (107 bytes)"
    case .notSendable(let reason): "this cannot be sent to the \(program): \(reason)"
    case .timedOut: "the \(program) did not answer in time"
    case .closed: "the \(program) closed the connection"
    case .io(let code): "the connection to the \(program) failed: \(String(cString: strerror(code)))"
    case .malformed(let error): "the \(program)'s answer is malformed: \(error)"
    case .unexpectedAnswer: "the \(program) answered something else"
    }
  }
}

/// What the client of each protocol is made of.
open class FrameClient<Request: FrameRequest, Answer: FrameAnswer> {
  private var descriptor: Int32
  private var lastID: UInt32 = 0
  /// For each call.
  public var timeout: Nanoseconds

  /// The program's name in errors.
  open class var program: String { "program" }

  /// Takes over a connected AF_UNIX stream socket.
  public required init(descriptor: Int32, timeout: Nanoseconds = Limits.frameCall) {
    self.descriptor = descriptor
    self.timeout = timeout
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
  }

  public required convenience init(path: String, timeout: Nanoseconds = Limits.frameCall) throws(FrameClientError) {
    func failure(_ problem: FrameClientError.Problem) -> FrameClientError { FrameClientError(Self.program, problem) }
    guard path.utf8.count < 108 else { throw failure(.pathTooLong(path)) }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { throw failure(.cannotConnect(path: path, errno: errno)) }
    guard withSocketAddress(path, { connect(descriptor, $0, $1) }) == 0 else {
      let code = errno
      Glibc.close(descriptor)
      throw failure(.cannotConnect(path: path, errno: code))
    }
    self.init(descriptor: descriptor, timeout: timeout)
  }
  deinit { close() }

  public final var isOpen: Bool { descriptor >= 0 }
  public final func close() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  /// Sends one request; `take` reads the answer, nil: it is not one to this request.
  public final func ask<Value>(_ request: Request, _ take: (Answer) -> Value?) throws(FrameClientError) -> Value {
    guard descriptor >= 0 else { throw failure(.closed) }
    lastID &+= 1
    do throws(FrameClientError) {
      let deadline = monotonicNow() &+ UInt64(clamping: timeout.count)
      try send(request.encoded(id: lastID), until: deadline)
      let (answer, id) = try receive(until: deadline)
      guard id == lastID, let value = take(answer) else { throw failure(.unexpectedAnswer) }
      return value
    } catch {
      close()
      throw error
    }
  }
  public final func failure(_ problem: FrameClientError.Problem) -> FrameClientError { FrameClientError(Self.program, problem) }

  private func send(_ bytes: [UInt8], until deadline: UInt64) throws(FrameClientError) {
    var sent = 0
    while sent < bytes.count {
      let n = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL)) }
      if n > 0 { sent += n } else { try wait(POLLOUT, errno, until: deadline) }
    }
  }

  private func receive(until deadline: UInt64) throws(FrameClientError) -> (Answer, id: UInt32) {
    var bytes: [UInt8] = []
    var wanted = Frame.headerBytes
    while true {
      // Never more than the frame that is being read: what follows belongs to the next call.
      let have = bytes.count
      bytes.append(contentsOf: repeatElement(0, count: min(wanted - have, 256 * 1024)))
      let n = bytes.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress! + have, $0.count - have, 0) }
      let code = errno
      bytes.removeLast(bytes.count - have - max(0, n))
      if n == 0 { throw failure(.closed) }
      if n < 0 {
        try wait(POLLIN, code, until: deadline)
        continue
      }
      switch bytes.withUnsafeBytes({ Answer.decode($0) }) {
      case .value(let answer, let id, _): return (answer, id)
      case .incomplete(let count): wanted = max(count, bytes.count + 1)
      case .malformed(let error): throw failure(.malformed(error))
      }
    }
  }

  private func wait(_ events: Int32, _ code: Int32, until deadline: UInt64) throws(FrameClientError) {
    if code == EINTR { return }
    if code == EPIPE || code == ECONNRESET { throw failure(.closed) }
    guard code == EAGAIN || code == EWOULDBLOCK else { throw failure(.io(errno: code)) }
    let now = monotonicNow()
    guard now < deadline else { throw failure(.timedOut) }
    var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    _ = poll(&entry, 1, Int32(clamping: (deadline - now) / 1_000_000 + 1))
  }
}

/// Nanoseconds of CLOCK_MONOTONIC: of this boot, not counting sleep, as the kernel's timeouts.
public func monotonicNow() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}
