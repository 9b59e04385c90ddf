// The descriptors that `panguard run` gives its children, at fixed numbers, and what is said on the first of them.
//   0      /dev/null
//   1, 2   what `panguard run` has; a terminal is opened again for writing only, so that no child can read what is typed
//   10     the supervisor: AF_UNIX SOCK_SEQPACKET, a message arrives whole or not at all
//   11     to the engine, in the enforcer: AF_UNIX SOCK_STREAM
//   12     to the engine, in the uplink
//   13     to the engine, in the capture
//   14     to the engine, in the responder
// The engine gets its ends of 11 to 14 as messages on 10, with the descriptor beside them (SCM_RIGHTS): a new pair each time that the other
// program starts, so that neither side ever goes on in the middle of what one that died had begun to say. A program whose channel ends
// because the engine did ends too, and is started again. A row of the table says by which arguments a program is told of its numbers.
import CLinux
import Glibc
import Primitives

public enum Channel {
  public static let supervisor: Int32 = 10
  public static let enforcer: Int32 = 11
  public static let uplink: Int32 = 12
  public static let capture: Int32 = 13
  public static let responder: Int32 = 14

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
  /// To the engine, with a descriptor: its end of the channel `number`. One that it had before is over.
  case channel(number: Int32)
  /// From a child: it does its work now.
  case ready
  /// From the engine: the oldest end that it was told of and had not answered is written down.
  case noted

  public var bytes: [UInt8] {
    let text =
      switch self {
      case .started(let name, let pid): "started \(name) \(pid)"
      case .ended(let name, let how): "ended \(name) \(how)"
      case .missing(let name): "missing \(name)"
      case .channel(let number): "channel \(number)"
      case .ready: "ready"
      case .noted: "noted"
      }
    return Array(text.utf8.prefix(Limits.supervisionMessageBytes))
  }

  /// nil: none of these.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count <= Limits.supervisionMessageBytes, bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) else { return nil }
    let words = String(decoding: bytes, as: UTF8.self).split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
      .map(String.init)
    switch (words.first, words.count) {
    case ("ready", 1): self = .ready
    case ("noted", 1): self = .noted
    case ("channel", 2):
      guard let number = Int32(words[1]), number > Channel.supervisor, number <= Channel.responder else { return nil }
      self = .channel(number: number)
    case ("missing", 2): self = .missing(name: words[1])
    case ("ended", 3): self = .ended(name: words[1], how: words[2])
    case ("started", 3):
      guard let pid = Int64(words[2]), pid > 0 else { return nil }
      self = .started(name: words[1], pid: pid)
    default: return nil
    }
  }

  /// Sends it if that can be done now, with `passed` beside it if that is a descriptor. A receiver that does not read loses messages.
  @discardableResult
  public func send(on descriptor: Int32, passing passed: Int32 = -1) -> Bool {
    let bytes = bytes
    return pg_send_descriptor(descriptor, bytes, bytes.count, passed) == bytes.count
  }

  public enum Received: Sendable, Equatable {
    case message(SupervisionMessage)
    /// Our end of a channel; whoever receives it closes it.
    case channel(number: Int32, descriptor: Int32)
    /// Something that is none of these.
    case foreign
    case nothing
    /// The other side is gone.
    case end
  }
  /// A descriptor that comes where none belongs is closed.
  public static func receive(on descriptor: Int32) -> Received {
    var buffer = [UInt8](repeating: 0, count: Limits.supervisionMessageBytes + 1)
    var passed: Int32 = -1
    let n = pg_receive_descriptor(descriptor, &buffer, buffer.count, &passed)
    if n < 0 { return errno == EAGAIN || errno == EINTR ? .nothing : .end }
    let message = SupervisionMessage(Array(buffer[..<n]))
    if case .channel(let number)? = message, passed >= 0 { return .channel(number: number, descriptor: passed) }
    if passed >= 0 { close(passed) }
    if n == 0 { return .end }
    guard let message else { return .foreign }
    if case .channel = message { return .foreign }
    return .message(message)
  }
}
