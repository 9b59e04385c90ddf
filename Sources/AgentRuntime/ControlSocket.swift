// The engine's local socket: one request, one JSON answer, one connection. Only root and the engine's own user are answered
// (SO_PEERCRED). Everything is non-blocking and bounded: a peer that is slow or hostile costs one closed connection.
import CLinux
import Glibc
import Primitives

public struct ControlSocketError: Error, CustomStringConvertible, Sendable {
  public var description: String
  /// Somebody listens, but does not answer.
  public var isTimeout = false
  /// Somebody answers where we wanted to.
  public var isTaken = false
}

public final class ControlSocket {
  public let path: String
  let descriptor: Int32
  private(set) var refusedRequests: UInt64 = 0
  /// Whose peer did not wait for the answer; none of them was carried out.
  private(set) var abandonedRequests: UInt64 = 0

  /// Binds `path` with mode 0600. A socket file without a listener (a crash) is replaced; a live one is an error.
  public init(path: String) throws {
    self.path = path
    isOurs = true
    guard path.utf8.count < 108 else { throw ControlSocketError(description: "\(path): too long for a socket path (107 bytes)") }
    if let live = try? ControlSocket.connect(path) {
      close(live)
      throw ControlSocketError(description: "another agent is running: \(path) answers; stop it first", isTaken: true)
    }
    unlink(path)
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { throw ControlSocketError(description: "\(path): \(String(cString: strerror(errno)))") }
    let mask = umask(0o177)
    let bound = withSocketAddress(path) { bind(descriptor, $0, $1) }
    umask(mask)
    guard bound == 0, listen(descriptor, 8) == 0 else {
      let reason = String(cString: strerror(errno))
      close(descriptor)
      throw ControlSocketError(description: "\(path): \(reason)")
    }
  }

  /// A socket that listens already (the service manager's): it stays where it is.
  public init(listening descriptor: Int32, path: String) {
    self.path = path
    self.descriptor = descriptor
    isOurs = false
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
  }
  private let isOurs: Bool

  /// Gives the socket file to the user who will answer.
  public func give(to user: uid_t, group: gid_t) { if isOurs { lchown(path, user, group) } }

  private var isOpen = true
  deinit { closeAndRemove() }

  public func closeAndRemove() {
    guard isOpen else { return }
    isOpen = false
    close(descriptor)
    if isOurs { unlink(path) }
  }

  /// Answers the connections that wait, at most eight at a time.
  func serve(_ answer: (ControlRequest, ControlPeer) -> [UInt8]) {
    for _ in 0..<8 {
      let connection = accept(descriptor, nil, nil)
      guard connection >= 0 else { return }
      defer { close(connection) }
      var (pid, uid, gid): (pid_t, uid_t, gid_t) = (0, 0, 0)
      guard pg_peer_credentials(connection, &pid, &uid, &gid) == 0, uid == 0 || uid == geteuid() else {
        refusedRequests += 1
        continue
      }
      // The request is one short line that our own command sends at once: 100 ms are ample (it tries again), and the engine waits for nobody.
      var timeout = timeval(tv_sec: 0, tv_usec: 100_000)
      setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
      setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
      var buffer = [UInt8](repeating: 0, count: Limits.controlRequestBytes + 1)
      let n = recv(connection, &buffer, buffer.count, 0)
      guard n > 0, let request = ControlRequest(String(decoding: buffer[..<n], as: UTF8.self).filter { $0 != "\n" }) else {
        refusedRequests += 1
        continue
      }
      // Who has given up waiting was told that nothing was done.
      guard !(request.changes && recv(connection, &buffer, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) == 0) else {
        abandonedRequests += 1
        continue
      }
      let bytes = answer(request, ControlPeer(uid: uid, pid: pid))
      var sent = 0
      while sent < bytes.count {
        let m = bytes.withUnsafeBytes { send(connection, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL)) }
        guard m > 0 else { break }
        sent += m
      }
    }
  }

  // MARK: The client's side

  private static func connect(_ path: String, patienceSeconds: Int = 5) throws -> Int32 {
    let connection = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard connection >= 0 else { throw ControlSocketError(description: String(cString: strerror(errno))) }
    var timeout = timeval(tv_sec: patienceSeconds, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(connection, SOL_SOCKET, option, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }
    guard withSocketAddress(path, { Glibc.connect(connection, $0, $1) }) == 0 else {
      let number = errno
      close(connection)
      throw failure(number)
    }
    return connection
  }

  private static func failure(_ number: Int32) -> ControlSocketError {
    if number == EAGAIN || number == EWOULDBLOCK { return ControlSocketError(description: "did not answer in time", isTimeout: true) }
    return ControlSocketError(description: String(cString: strerror(number)))
  }

  /// Sends one request and returns the answer. Throws with the reason where nobody answers.
  public static func ask(_ path: String, _ request: ControlRequest) throws -> [UInt8] {
    var connection = try connect(path, patienceSeconds: request.patienceSeconds)
    defer { close(connection) }
    let text = Array("\(request.line)\n".utf8)
    var tries = 1
    while send(connection, text, text.count, Int32(MSG_NOSIGNAL)) != text.count {
      // A busy host: we were too slow, and the agent did not wait. It has not seen the request.
      guard errno == EPIPE || errno == ECONNRESET, tries < 5 else { throw failure(errno) }
      tries += 1
      close(connection)
      connection = -1
      connection = try connect(path, patienceSeconds: request.patienceSeconds)
    }
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while answer.count < 1 << 22 {
      let n = recv(connection, &buffer, buffer.count, 0)
      if n < 0, errno == EINTR { continue }
      guard n >= 0 else { throw failure(errno) }
      if n == 0 { break }
      answer.append(contentsOf: buffer[..<n])
    }
    guard !answer.isEmpty else { throw ControlSocketError(description: "the agent refused to answer; ask as root or as its own user") }
    return answer
  }
}

public enum ControlClient {
  public static func ask(_ path: String, _ request: ControlRequest) throws -> [UInt8] { try ControlSocket.ask(path, request) }
}
