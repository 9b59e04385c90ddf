// The peers of a program that answers frames on an AF_UNIX stream socket: who may connect, whole requests out of bytes, answers back.
// One thread; nothing here waits. What must stay true: a peer is known by the kernel's word (SO_PEERCRED); one that sends anything but frames
// of the table, or stops in the middle of one, is closed and reported; no peer makes another wait.
import CLinux
import FrameProtocol
import Glibc
import Primitives

public struct FramePeer: Sendable, CustomStringConvertible {
  public var uid: uid_t
  public var pid: pid_t
  public var description: String { "uid \(uid), pid \(pid)" }
}

public enum PeerEvent: Sendable {
  case refused(FramePeer)
  case tooMany
  case malformed(FramePeer, FrameError)
  case tooSlow(FramePeer)

  /// For people.
  public var text: String {
    switch self {
    case .refused(let peer): "connection of \(peer) refused: not the engine, not root"
    case .tooMany: "connection refused: \(Limits.frameConnections) are open"
    case .malformed(let peer, let error): "connection of \(peer) closed: \(error)"
    case .tooSlow(let peer): "connection of \(peer) closed: too slow"
    }
  }
}

public final class FrameConnections<Request: FrameRequest, Answer: FrameAnswer> {
  private struct Connection {
    let descriptor: Int32
    let peer: FramePeer
    var input: [UInt8] = []
    /// Bytes that the next frame needs at least.
    var wanted = Frame.headerBytes
    var output: [UInt8] = []
    var sent = 0
    /// When the peer last owed us something: the rest of a frame, or the taking of an answer.
    var waitsSince: UInt64?
  }
  private var connections: [Connection] = []
  private let listener: Int32?
  private let engine: uid_t?
  private let answer: (Request, FramePeer) -> Answer
  private let report: (PeerEvent) -> Void

  /// `listener`: a listening socket, owned from here on; nil: only what is adopted. `engine`: who is answered besides root and ourselves.
  /// `answer` carries a request out.
  public init(
    listener: Int32?, engine: uid_t?, answer: @escaping (Request, FramePeer) -> Answer, report: @escaping (PeerEvent) -> Void
  ) {
    (self.listener, self.engine, self.answer, self.report) = (listener, engine, answer, report)
  }

  /// Whether a request can still come.
  public var isServing: Bool { listener != nil || !connections.isEmpty }

  /// What to wait for; `serve` takes the same list back.
  public var waited: [pollfd] {
    [pollfd(fd: listener ?? -1, events: Int16(POLLIN), revents: 0)]
      + connections.map { pollfd(fd: $0.descriptor, events: Int16($0.output.isEmpty ? POLLIN : POLLOUT), revents: 0) }
  }
  public func serve(_ polled: some Collection<pollfd>) {
    let now = monotonicNow()
    for (i, entry) in polled.dropFirst().enumerated().reversed() where entry.revents != 0 { serve(i, now) }
    guard let listener, polled.first?.revents != 0 else { return }
    let descriptor = Glibc.accept(listener, nil, nil)
    if descriptor >= 0 { adopt(descriptor) }
  }
  /// Closes those that have owed us something for too long.
  public func tick() {
    let now = monotonicNow()
    for i in connections.indices.reversed() {
      guard let since = connections[i].waitsSince, now > since, now - since > UInt64(Limits.framePeerPatience.count) else { continue }
      report(.tooSlow(connections[i].peer))
      close(i)
    }
  }

  /// A connected socket, ours from here on. Root, the engine's user, and our own are answered.
  public func adopt(_ descriptor: Int32) {
    var (pid, uid, gid): (pid_t, uid_t, gid_t) = (0, .max, 0)
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    let isKnown = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) == 0 && pg_peer_credentials(descriptor, &pid, &uid, &gid) == 0
    guard isKnown, uid == 0 || uid == geteuid() || uid == engine else {
      report(.refused(FramePeer(uid: uid, pid: pid)))
      Glibc.close(descriptor)
      return
    }
    guard connections.count < Limits.frameConnections else {
      report(.tooMany)
      Glibc.close(descriptor)
      return
    }
    connections.append(Connection(descriptor: descriptor, peer: FramePeer(uid: uid, pid: pid)))
  }

  private func close(_ i: Int) { Glibc.close(connections.remove(at: i).descriptor) }

  private func serve(_ i: Int, _ now: UInt64) {
    if !connections[i].output.isEmpty { return write(i) }
    // Never more than the frame that is being read: what follows stays in the socket, and the sender waits.
    var buffer = [UInt8](repeating: 0, count: min(256 * 1024, connections[i].wanted - connections[i].input.count))
    let count = recv(connections[i].descriptor, &buffer, buffer.count, 0)
    if count < 0, errno == EAGAIN || errno == EINTR { return }
    guard count > 0 else { return close(i) }
    connections[i].input.append(contentsOf: buffer[..<count])
    switch connections[i].input.withUnsafeBytes({ Request.decode($0) }) {
    case .incomplete(let wanted):
      connections[i].wanted = wanted
      if connections[i].waitsSince == nil { connections[i].waitsSince = now }
    case .malformed(let error):
      report(.malformed(connections[i].peer, error))
      close(i)
    case .value(let request, let id, _):
      connections[i].input = []
      connections[i].wanted = Frame.headerBytes
      connections[i].output = answer(request, connections[i].peer).encoded(id: id)
      connections[i].sent = 0
      // The peer's time begins when its answer is there, however long that took us.
      connections[i].waitsSince = monotonicNow()
      write(i)
    }
  }

  private func write(_ i: Int) {
    let connection = connections[i]
    let count = connection.output.withUnsafeBytes {
      send(connection.descriptor, $0.baseAddress! + connection.sent, $0.count - connection.sent, Int32(MSG_NOSIGNAL))
    }
    if count < 0, errno == EAGAIN || errno == EINTR { return }
    guard count > 0 else { return close(i) }
    connections[i].sent += count
    if connections[i].sent == connection.output.count {
      connections[i].output = []
      connections[i].waitsSince = nil
    }
  }
}
