// The uplink's loop: connections, frames, transfers. One thread (name lookups have one of libcurl's); every wait has an end.
// What must stay true: no peer can hold up another, nor the network a peer; a connection that sends anything but frames of the table is
// closed and written down; without a delivery no connection is made.
import CCurl
import CLinux
import Glibc
import Primitives
import Supervision
import UplinkProtocol

final class UplinkServer {
  private struct Connection {
    let descriptor: Int32
    let uid: uid_t
    let pid: pid_t
    var input: [UInt8] = []
    /// Bytes that the next frame needs at least.
    var wanted = UplinkFrame.headerBytes
    var output: [UInt8] = []
    var sent = 0
    /// When the peer last owed us something: the rest of a frame, or the taking of an answer.
    var waitsSince: UInt64?
  }

  private var queue: DeliveryQueue
  private let transfers: WebhookTransfers
  private let names: [String]
  private let engineUID: uid_t?
  private let listener: Int32?
  private let signals: Int32
  private let surroundings: Surroundings
  private var connections: [Connection] = []
  private var audit: UplinkAudit
  private var lastTick: UInt64 = 0

  /// `listener`: a listening socket, `connected`: a socket whose peer is the engine; both are owned from here on. `signals`: a signalfd.
  init(
    _ configuration: UplinkConfiguration, transfers: WebhookTransfers, surroundings: Surroundings, listener: Int32?, connected: Int32?,
    signals: Int32, engineUID: uid_t?, audit: UplinkAudit = UplinkAudit()
  ) {
    names = configuration.webhooks.map(\.name)
    queue = DeliveryQueue(names)
    (self.transfers, self.surroundings, self.listener, self.signals) = (transfers, surroundings, listener, signals)
    (self.engineUID, self.audit) = (engineUID, audit)
    let now = monotonicNow()
    let what = names.isEmpty ? "the configuration names no webhook, so nothing will be sent" : "webhooks: \(names.joined(separator: ", "))"
    self.audit.add("ready; \(what)", now: now)
    if let connected { accept(connected, now: now) }
  }

  enum End { case asked, surroundingsChanged }

  /// Until a signal ends it, or, without a listener, until the engine's connection ends; or until it must be started anew.
  func run() -> End {
    while listener != nil || !connections.isEmpty {
      func entry(_ descriptor: Int32, _ events: Int32) -> curl_waitfd { curl_waitfd(fd: descriptor, events: Int16(events), revents: 0) }
      var entries = [entry(signals, CURL_WAIT_POLLIN)]
      if let listener { entries.append(entry(listener, CURL_WAIT_POLLIN)) }
      let first = entries.count
      entries += connections.map { entry($0.descriptor, $0.output.isEmpty ? CURL_WAIT_POLLIN : CURL_WAIT_POLLOUT) }
      transfers.wait(&entries, milliseconds: 1000)
      let now = monotonicNow()
      if entries[0].revents != 0 { return .asked }
      for (i, entry) in entries[first...].enumerated().reversed() where entry.revents != 0 { serve(i, now: now) }
      if listener != nil, entries[1].revents != 0 { acceptOne(now: now) }
      for (webhook, result) in transfers.finished() { finish(webhook, result, now: now) }
      begin(now: now)
      if now &- lastTick >= 1_000_000_000 {
        lastTick = now
        if tick(now: now) { return .surroundingsChanged }
      }
    }
    return .asked
  }

  // MARK: Deliveries

  private func begin(now: UInt64) {
    for (webhook, delivery) in queue.due(now: now) {
      if !transfers.begin(webhook, key: delivery.key, body: delivery.body, unixTime: Int64(time(nil))) {
        finish(webhook, .failed("libcurl cannot send it", .badAnswer), now: now)
      }
    }
  }

  private func finish(_ webhook: Int, _ result: AttemptResult, now: UInt64) {
    let outcome = queue.finish(webhook: webhook, result, now: now)
    let name = names[webhook]
    switch (result, outcome) {
    case (.failed(let reason, _), nil): audit.add("\(name): \(reason); it is tried again", now: now)
    case (_, let outcome?) where !outcome.isDelivered: audit.add("\(name): \(outcome.key) was given up: \(outcome.failure)", now: now)
    default: break
    }
  }

  /// True: what it needs was put out of its reach, and it has to be started anew to reach it.
  private func tick(now: UInt64) -> Bool {
    for i in connections.indices.reversed() {
      guard let since = connections[i].waitsSince, now > since, now - since > UInt64(Limits.uplinkPeerPatience.count) else { continue }
      audit.add("connection of uid \(connections[i].uid), pid \(connections[i].pid) closed: too slow", now: now)
      queue.count(\.connectionsClosed)
      close(i)
    }
    ServiceNotification.send("WATCHDOG=1")
    guard let path = surroundings.replaced() else { return false }
    audit.add("\(path) was replaced, and the new one is out of reach: it ends, to be started anew", now: now)
    return true
  }

  // MARK: Requests

  private func answer(_ request: UplinkRequest, now: UInt64) -> UplinkAnswer {
    switch request {
    case .deliver(let webhook, let key, let body):
      guard let refusal = queue.take(webhook: webhook, key: key, body: body, now: now) else { return .accepted }
      audit.add("\(key) for \(webhook) refused: \(refusal)", now: now)
      return .refused(refusal)
    case .collect: return .outcomes(queue.collect())
    case .status:
      queue.set(\.auditLinesDropped, audit.dropped)
      return .status(queue.status)
    }
  }

  // MARK: Connections

  private func acceptOne(now: UInt64) {
    guard let listener else { return }
    let descriptor = Glibc.accept(listener, nil, nil)
    if descriptor >= 0 { accept(descriptor, now: now) }
  }

  /// Root, the engine's user, and our own user are answered.
  private func accept(_ descriptor: Int32, now: UInt64) {
    var (pid, uid, gid): (pid_t, uid_t, gid_t) = (0, 0, 0)
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    guard fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) == 0,
      pg_peer_credentials(descriptor, &pid, &uid, &gid) == 0, uid == 0 || uid == geteuid() || uid == engineUID
    else {
      queue.count(\.peersRefused)
      audit.add("connection of uid \(uid), pid \(pid) refused: not the engine, not root", now: now)
      Glibc.close(descriptor)
      return
    }
    guard connections.count < Limits.uplinkConnections else {
      queue.count(\.connectionsClosed)
      audit.add("connection refused: \(Limits.uplinkConnections) are open", now: now)
      Glibc.close(descriptor)
      return
    }
    connections.append(Connection(descriptor: descriptor, uid: uid, pid: pid))
  }

  private func close(_ i: Int) { Glibc.close(connections.remove(at: i).descriptor) }

  private func serve(_ i: Int, now: UInt64) {
    if !connections[i].output.isEmpty { return write(i) }
    var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    // Never more than the frame that is being read: what follows stays in the socket, and the sender waits.
    let room = min(buffer.count, connections[i].wanted - connections[i].input.count)
    let count = recv(connections[i].descriptor, &buffer, room, 0)
    if count < 0, errno == EAGAIN || errno == EINTR { return }
    guard count > 0 else { return close(i) }
    connections[i].input.append(contentsOf: buffer[..<count])
    switch connections[i].input.withUnsafeBytes({ UplinkRequest.decode($0) }) {
    case .incomplete(let wanted):
      connections[i].wanted = wanted
      if connections[i].waitsSince == nil { connections[i].waitsSince = now }
    case .malformed(let error):
      queue.count(\.malformedFrames)
      audit.add("connection of uid \(connections[i].uid), pid \(connections[i].pid) closed: \(error)", now: now)
      close(i)
    case .value(let request, let id, _):
      connections[i].input = []
      connections[i].wanted = UplinkFrame.headerBytes
      connections[i].output = answer(request, now: now).encoded(id: id)
      connections[i].sent = 0
      connections[i].waitsSince = now
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

/// Nanoseconds of CLOCK_MONOTONIC.
func monotonicNow() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}
