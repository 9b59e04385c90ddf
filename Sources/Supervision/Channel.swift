// The descriptors that `panguard run` gives its children, at fixed numbers, and what is said on the first of them. All are AF_UNIX
// SOCK_SEQPACKET pairs: a message arrives whole or not at all, also when the other side dies while it writes.
//   0      /dev/null
//   1, 2   what `panguard run` has; a terminal is opened again for writing only, so that no child can read what is typed
//   10     the supervisor
//   11     engine and enforcer
//   12     engine and uplink
//   13     engine and capture
// A child is told that it has them by `--supervised`. The supervisor keeps both ends of 11 to 13: a child that is started again finds
// the same channel, with the requests that wait in it.
import CLinux
import Glibc
import Primitives

public enum Channel {
  public static let supervisor: Int32 = 10
  public static let enforcer: Int32 = 11
  public static let uplink: Int32 = 12
  public static let capture: Int32 = 13

  /// Whether `number` is an open AF_UNIX socket.
  public static func isOpen(_ number: Int32) -> Bool {
    var facts = stat()
    return fstat(number, &facts) == 0 && facts.st_mode & S_IFMT == S_IFSOCK
  }
}

/// What is said on the supervisor's channel: one line of words in each message, at most `Limits.supervisionMessageBytes`.
public enum SupervisionMessage: Sendable, Equatable {
  /// To the engine: a child runs.
  case started(name: String, pid: Int64)
  /// To the engine: a child ended, and how ("signal 9"); it is started again unless all are ending.
  case ended(name: String, how: String)
  /// To the engine: the program of an optional child is not installed.
  case missing(name: String)
  /// From a child: it does its work now.
  case ready

  public var bytes: [UInt8] {
    let text =
      switch self {
      case .started(let name, let pid): "started \(name) \(pid)"
      case .ended(let name, let how): "ended \(name) \(how)"
      case .missing(let name): "missing \(name)"
      case .ready: "ready"
      }
    return Array(text.utf8.prefix(Limits.supervisionMessageBytes))
  }

  /// nil: none of these.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count <= Limits.supervisionMessageBytes, bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) else { return nil }
    let words = String(decoding: bytes, as: UTF8.self).split(separator: " ", maxSplits: 2).map(String.init)
    switch (words.first, words.count) {
    case ("ready", 1): self = .ready
    case ("missing", 2): self = .missing(name: words[1])
    case ("ended", 3): self = .ended(name: words[1], how: words[2])
    case ("started", 3):
      guard let pid = Int64(words[2]), pid > 0 else { return nil }
      self = .started(name: words[1], pid: pid)
    default: return nil
    }
  }

  /// Sends it if that can be done now. A receiver that does not read loses messages: they are for people.
  @discardableResult
  public func send(on descriptor: Int32) -> Bool {
    let bytes = bytes
    return Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)) == bytes.count
  }

  public enum Received: Sendable, Equatable {
    case message(SupervisionMessage)
    /// Something that is none of these.
    case foreign
    case nothing
    /// The other side is gone.
    case end
  }
  public static func receive(on descriptor: Int32) -> Received {
    var buffer = [UInt8](repeating: 0, count: Limits.supervisionMessageBytes + 1)
    let n = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
    if n < 0 { return errno == EAGAIN || errno == EINTR ? .nothing : .end }
    if n == 0 { return .end }
    return SupervisionMessage(Array(buffer[..<n])).map { .message($0) } ?? .foreign
  }
}
