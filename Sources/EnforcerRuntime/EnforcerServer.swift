// The enforcer's loop: connections, frames, the kernel's news, and one tick a second. One thread; every wait has an end.
// What must stay true: no peer can hold up another for longer than one request takes; a connection that sends anything but frames of the
// table is closed and written down; protection is read anew before anything is blocked.
import CLinux
import Enforcement
import Glibc
import Primitives
import Supervision

final class EnforcerServer {
  private struct Connection {
    let descriptor: Int32
    let uid: uid_t
    let pid: pid_t
    var input: [UInt8] = []
    /// Bytes that the next frame needs at least.
    var wanted = EnforcerProtocol.headerBytes
    var output: [UInt8] = []
    var sent = 0
    /// When the peer last owed us something: the rest of a frame, or the taking of an answer.
    var waitsSince: UInt64?
  }

  private var core: EnforcerCore
  private let firewall: Firewall?
  private let host: HostFacts?
  private let unavailable: String?
  private let configuration: EnforcerConfiguration
  private let engineUID: uid_t?
  private let listener: Int32?
  private var connections: [Connection] = []
  private var audit: AuditLog
  private var lastTick: UInt64 = 0
  private var lastTableCheck: UInt64 = 0
  private var saidUnknown: String?
  private let signals: Int32

  /// `listener`: a listening socket, `connected`: a socket whose peer is the engine; both are owned from here on. `signals`: a signalfd.
  init(
    _ configuration: EnforcerConfiguration, firewall: Result<Firewall, FirewallUnavailable>, host: HostFacts?, listener: Int32?, connected: Int32?,
    signals: Int32, engineUID: uid_t?, audit: AuditLog = AuditLog()
  ) {
    let now = monotonicNow()
    core = EnforcerCore(policy: configuration.policy, allowlist: configuration.allowlist, now: now)
    self.configuration = configuration
    self.listener = listener
    self.signals = signals
    self.engineUID = engineUID
    self.host = host
    self.audit = audit
    switch firewall {
    case .success(let value):
      self.firewall = value
      unavailable = nil
    case .failure(let failure):
      self.firewall = nil
      unavailable = failure.reason
      self.audit.add(.unavailable(failure.reason), now: now)
    }
    adopt(now: now)
    lastTableCheck = now
    if let connected { accept(connected, now: now) }
  }

  /// Takes over what an earlier run left in the kernel; what may not be blocked is let go before the first request.
  private func adopt(now: UInt64) {
    guard let firewall else { return }
    do throws(NetlinkError) {
      let strangers = core.adopt(kernel: try firewall.elements(), now: now)
      if !strangers.isEmpty { try firewall.apply(KernelChange(removals: strangers)) }
      for network in strangers { audit.add(.notice(EnforcerNotice(.strangerRemoved, network), silence: nil), now: now) }
    } catch {
      audit.add(.failed("\(error)"), now: now)
    }
    refreshProtection(now: now)
    release(core.conflicting, now: now)
    audit.add(.started(adopted: core.table.count), now: now)
  }

  // MARK: The loop

  /// Until a signal ends it, or, without a listener, until the engine's connection ends.
  func run() {
    while listener != nil || !connections.isEmpty {
      var entries = [pollfd(fd: signals, events: Int16(POLLIN), revents: 0), pollfd(fd: host?.descriptor ?? -1, events: Int16(POLLIN), revents: 0)]
      entries.append(pollfd(fd: listener ?? -1, events: Int16(POLLIN), revents: 0))
      let first = entries.count
      for connection in connections {
        entries.append(pollfd(fd: connection.descriptor, events: Int16(connection.output.isEmpty ? POLLIN : POLLOUT), revents: 0))
      }
      guard poll(&entries, nfds_t(entries.count), 1000) >= 0 || errno == EINTR else { return }
      let now = monotonicNow()
      if entries[0].revents != 0 { return }
      if entries[1].revents != 0 { refreshProtection(now: now) }
      for (i, entry) in entries[first...].enumerated().reversed() where entry.revents != 0 { serve(i, now: now) }
      if entries[2].revents != 0 { acceptOne(now: now) }
      tick(now: now)
    }
  }

  private func tick(now: UInt64) {
    guard now &- lastTick >= 1_000_000_000 else { return }
    lastTick = now
    refreshProtection(now: now)
    if core.heartbeatIsOverdue(now: now) {
      audit.add(.notice(EnforcerNotice(.heartbeatLost), silence: configuration.policy.heartbeatTimeout), now: now)
    }
    for i in connections.indices.reversed() {
      guard let since = connections[i].waitsSince, now > since, now - since > UInt64(Limits.enforcerPeerPatience.count) else { continue }
      core.count(\.peersTooSlow)
      audit.add(.tooSlow(uid: connections[i].uid, pid: connections[i].pid), now: now)
      close(i)
    }
    if now &- lastTableCheck >= UInt64(Limits.tableCheckInterval.count) {
      lastTableCheck = now
      checkTable(now: now)
    }
    ServiceNotification.send("WATCHDOG=1")
  }

  // MARK: Protection

  /// Reads what must be protected, and lets go of whoever is blocked and protected.
  private func refreshProtection(now: UInt64) {
    guard let host else { return }
    let facts = host.current(now: now) { core.table.contains(Block.network(of: $0)) }
    if facts.unknown != saidUnknown {
      saidUnknown = facts.unknown
      if let reason = facts.unknown { audit.add(.protectionUnknown(reason), now: now) }
    }
    release(core.protect(facts), now: now)
  }

  private func release(_ notices: [EnforcerNotice], now: UInt64) {
    guard let firewall, !notices.isEmpty else { return }
    do throws(NetlinkError) {
      try firewall.apply(KernelChange(removals: notices.map(\.network)))
      core.removed(notices)
      for notice in notices { audit.add(.notice(notice, silence: nil), now: now) }
    } catch {
      audit.add(.failed("unblocking failed: \(error)"), now: now)
    }
  }

  /// Somebody else may have changed our table: by `nft flush ruleset`, by hand. Costs one question where nobody changed anything.
  private func checkTable(now: UInt64) {
    guard let firewall else { return }
    do throws(NetlinkError) {
      guard try firewall.wasChangedByOthers() else { return }
      let wasMissing = try firewall.repair()
      let (change, notices) = core.compare(kernel: try firewall.elements(), now: now)
      try firewall.apply(change)
      if wasMissing {
        core.tableRestored()
        audit.add(.notice(EnforcerNotice(.tableRestored), silence: nil), now: now)
      }
      core.compared(notices)
      for notice in notices { audit.add(.notice(notice, silence: nil), now: now) }
    } catch {
      audit.add(.failed("checking the table failed: \(error)"), now: now)
    }
  }

  // MARK: Requests

  private func answer(_ request: EnforcerRequest, uid: uid_t, pid: pid_t, now: UInt64) -> EnforcerAnswer {
    if let unavailable {
      switch request.kind {
      case .status:
        var status = core.currentStatus
        status.unavailable = unavailable
        return .status(status)
      case .heartbeat: break
      default: return .unavailable(unavailable)
      }
    }
    switch request.kind {
    case .block, .reconcile: refreshProtection(now: now)
    case .status: readCounters()
    default: break
    }
    let plan = core.plan(request, now: now)
    var failure: Int32?
    do throws(NetlinkError) { try firewall?.apply(plan.change) } catch {
      failure = error.code
      audit.add(.failed("\(error)"), now: now)
    }
    let answer = core.finish(plan, failure: failure)
    record(request, answer, uid: uid, pid: pid, now: now)
    return answer
  }

  private func record(_ request: EnforcerRequest, _ answer: EnforcerAnswer, uid: uid_t, pid: pid_t, now: UInt64) {
    func refusals(_ blocks: [Block], _ outcomes: [BlockOutcome]) {
      for (block, outcome) in zip(blocks, outcomes) {
        if case .refused(let refusal) = outcome { audit.add(.refused(block.network, refusal, uid: uid, pid: pid), now: now) }
      }
    }
    switch (request, answer) {
    case (.block(let blocks), .outcomes(let outcomes)): refusals(blocks, outcomes)
    case (.reconcile(let blocks), .reconciled(let report)):
      refusals(blocks, report.outcomes)
      for network in report.strangers { audit.add(.notice(EnforcerNotice(.strangerRemoved, network), silence: nil), now: now) }
    case (.unblockAll, .unblockedAll(let count)): audit.add(.unblockedAll(count, uid: uid, pid: pid), now: now)
    default: break
    }
  }

  private func readCounters() {
    core.set(\.auditLinesDropped, audit.dropped)
    guard let dropped = try? firewall?.dropped() else { return }
    core.set(\.droppedPackets, dropped.packets)
    core.set(\.droppedBytes, dropped.bytes)
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
      core.count(\.peersRefused)
      audit.add(.peerRefused(uid: uid, pid: pid), now: now)
      Glibc.close(descriptor)
      return
    }
    guard connections.count < Limits.enforcerConnections else {
      core.count(\.connectionsRefused)
      audit.add(.tooManyConnections, now: now)
      Glibc.close(descriptor)
      return
    }
    connections.append(Connection(descriptor: descriptor, uid: uid, pid: pid))
  }

  private func close(_ i: Int) { Glibc.close(connections.remove(at: i).descriptor) }

  private func serve(_ i: Int, now: UInt64) {
    if !connections[i].output.isEmpty { return write(i) }
    var buffer = [UInt8](repeating: 0, count: 256 * 1024)
    // Never more than the frame that is being read: what follows stays in the socket, and the sender waits.
    let room = min(buffer.count, connections[i].wanted - connections[i].input.count)
    let count = recv(connections[i].descriptor, &buffer, room, 0)
    if count < 0, errno == EAGAIN || errno == EINTR { return }
    guard count > 0 else { return close(i) }
    connections[i].input.append(contentsOf: buffer[..<count])
    switch connections[i].input.withUnsafeBytes({ EnforcerRequest.decode($0) }) {
    case .incomplete(let wanted):
      connections[i].wanted = wanted
      if connections[i].waitsSince == nil { connections[i].waitsSince = now }
    case .malformed(let error):
      core.count(\.malformedFrames)
      audit.add(.malformed(error, uid: connections[i].uid, pid: connections[i].pid), now: now)
      close(i)
    case .value(let request, let id, _):
      connections[i].input = []
      connections[i].wanted = EnforcerProtocol.headerBytes
      connections[i].output = answer(request, uid: connections[i].uid, pid: connections[i].pid, now: now).encoded(id: id)
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
