// The side that asks: one connection to the responder, one request at a time. What must stay true: no call lasts longer than its time-out;
// after any error the connection is closed and stays so; connecting again is the caller's decision.
import Enforcement
import Glibc
import Primitives

public struct ResponderClientError: Error, Hashable, Sendable, CustomStringConvertible {
  public var description: String
  /// There is no socket to connect to.
  public var isAbsence = false
  init(_ description: String) { self.description = description }
  init(_ error: EnforcerClientError) {
    if case .cannotConnect(_, ENOENT) = error { isAbsence = true }
    description =
      switch error {
      case .timedOut: "the responder did not answer in time"
      case .closed: "the responder closed the connection"
      case .io(let code): "the connection to the responder failed: \(String(cString: strerror(code)))"
      default: "\(error)"
      }
  }
}

public final class ResponderClient {
  private var descriptor: Int32
  private var lastID: UInt32 = 0
  /// For each call.
  private let timeout: Nanoseconds

  /// Takes over a connected AF_UNIX stream socket.
  public init(descriptor: Int32, timeout: Nanoseconds = Limits.enforcerPeerPatience) {
    self.descriptor = descriptor
    self.timeout = timeout
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
  }
  public convenience init(path: String, timeout: Nanoseconds = Limits.enforcerPeerPatience) throws(ResponderClientError) {
    do throws(EnforcerClientError) {
      self.init(descriptor: try UnixSocket.connect(path), timeout: timeout)
    } catch {
      throw ResponderClientError(error)
    }
  }
  deinit { close() }

  public var isOpen: Bool { descriptor >= 0 }
  public func close() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  public func perform(_ key: String, _ action: HostAction) throws(ResponderClientError) -> HostActionOutcome {
    try ask(.perform(key: key, action)) { if case .outcome(let outcome) = $0 { outcome } else { nil } }
  }
  public func undo(_ key: String) throws(ResponderClientError) -> HostActionOutcome {
    try ask(.undo(key: key)) { if case .outcome(let outcome) = $0 { outcome } else { nil } }
  }
  /// One for each key, at most `Limits.askedHostActions`.
  public func outcomes(_ keys: [String]) throws(ResponderClientError) -> [HostActionOutcome] {
    try ask(.outcomes(keys)) { if case .outcomes(let list) = $0, list.count == keys.count { list } else { nil } }
  }
  public func list() throws(ResponderClientError) -> [HostActionRecord] {
    try ask(.list) { if case .records(let records) = $0 { records } else { nil } }
  }
  public func status() throws(ResponderClientError) -> ResponderStatus {
    try ask(.status) { if case .status(let status) = $0 { status } else { nil } }
  }

  private func ask<Value>(_ request: HostActionRequest, _ take: (HostActionAnswer) -> Value?) throws(ResponderClientError) -> Value {
    guard descriptor >= 0 else { throw ResponderClientError(.closed) }
    lastID &+= 1
    do throws(EnforcerClientError) {
      let deadline = monotonicNow() &+ UInt64(clamping: timeout.count)
      try UnixSocket.send(request.encoded(id: lastID), to: descriptor, until: deadline)
      let (answer, id) = try receive(until: deadline)
      guard id == lastID, let value = take(answer) else { throw .unexpectedAnswer }
      return value
    } catch {
      close()
      throw error == .unexpectedAnswer ? ResponderClientError("the responder answered something else") : ResponderClientError(error)
    }
  }

  private func receive(until deadline: UInt64) throws(EnforcerClientError) -> (HostActionAnswer, id: UInt32) {
    var bytes: [UInt8] = []
    var wanted = EnforcerProtocol.headerBytes
    while true {
      bytes.append(contentsOf: try UnixSocket.receive(wanted - bytes.count, from: descriptor, until: deadline))
      switch bytes.withUnsafeBytes({ HostActionAnswer.decode($0) }) {
      case .value(let answer, let id, _): return (answer, id)
      case .incomplete(let count): wanted = max(count, bytes.count + 1)
      case .malformed(let error): throw .malformed(error)
      }
    }
  }
}
