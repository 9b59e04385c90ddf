// The enforcer's loop: connections, frames, the kernel's news, and one tick a second. One thread; every wait has an end.
// What must stay true: no peer can hold up another for longer than one request takes; a connection that sends anything but frames of the
// table is closed and written down; protection is read anew before anything is blocked.
import CLinux
import Enforcement
import FrameProtocol
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
    var wanted = Frame.headerBytes
    var output: [UInt8] = []
    var sent = 0
    /// When the peer last owed us something: the rest of a frame, or the taking of an answer.
    var waitsSince: UInt64?
    /// When it last said something.
    var lastHeard: UInt64
    /// Passed by our parent: without it there would be no reason to run.
    var isOurParents = false
  }
  /// Why the loop ended: the exit status.
  enum End: Int32 {
    case asked = 0
    /// To be started again (EX_TEMPFAIL of sysexits.h): only a new process can do what is needed now.
    case startAgain = 75
  }

  private var core: EnforcerCore
  private var firewall: Firewall?
  private let host: HostFacts?
  private let lock: NamespaceLock
  private let surroundings: Surroundings
  private var unavailable: String?
  /// Why the table is not as it should be; nil: it is, as far as we know.
  private var trouble: String?
  /// An engine that was told so looks again only when it connects anew.
  private var hasToldTrouble = false
  private var mustCloseAll = false
  private var isReleaseDue = false
  private var end: End?
  private let configuration: EnforcerConfiguration
  private let engineUID: uid_t?
  private let listener: Int32?
  /// Whether our parent passed a connection.
  private let isPassed: Bool
  private var connections: [Connection] = []
  private var audit: AuditLog
  private var lastTick: UInt64 = 0
  private var lastTableCheck: UInt64 = 0
  private var saidUnknown: String?
  private var saidRemarks: [String] = []
  private let signals: Int32

  /// What the process found before it was confined.
  struct Surroundings {
    var host: Result<HostFacts, FirewallUnavailable>
    /// What no other boot of this machine is called.
    var boot = ""
    /// Whether a new process could read more than this one.
    var isMoreReadable: () -> Bool = { false }
  }

  /// `listener`: a listening socket, `connected`: a socket whose peer is the engine; both are owned from here on. `signals`: a signalfd.
  init(
    _ configuration: EnforcerConfiguration, _ surroundings: Surroundings, lock: NamespaceLock, listener: Int32?, connected: Int32?,
    signals: Int32, engineUID: uid_t?, audit: AuditLog = AuditLog()
  ) {
    let now = monotonicNow()
    core = EnforcerCore(policy: configuration.policy, allowlist: configuration.allowlist, now: now)
    self.configuration = configuration
    self.surroundings = surroundings
    self.lock = lock
    self.listener = listener
    isPassed = connected != nil
    self.signals = signals
    self.engineUID = engineUID
    self.audit = audit
    switch surroundings.host {
    case .success(let host):
      self.host = host
      takeCharge(now: now)
    case .failure(let failure):
      host = nil
      // Without facts nothing may be blocked.
      cannotBlock(failure.reason, now: now)
    }
    lastTableCheck = now
    if let connected {
      accept(connected, now: now)
      if !connections.isEmpty { connections[0].isOurParents = true }
    }
  }

  private func cannotBlock(_ reason: String, now: UInt64) {
    guard unavailable != reason else { return }
    unavailable = reason
    audit.add(.unavailable(reason), now: now)
  }

  /// Becomes the enforcer of this network namespace, if there is no other.
  private func takeCharge(now: UInt64) {
    switch lock.take() {
    case .held: break
    case .busy(let user):
      let whose = user.map { " (of user \($0))" } ?? ""
      return cannotBlock("another enforcer\(whose) serves this network namespace; two would undo each other's blocks", now: now)
    case .occupied(let user):
      if unavailable == nil { audit.add(.failed("user \(user), who is no enforcer, holds the name of the lock; it is passed over"), now: now) }
    case .failed(let code):
      if unavailable == nil { audit.add(.failed("the lock of this network namespace: \(String(cString: strerror(code)))"), now: now) }
    }
    do throws(FirewallUnavailable) {
      firewall = try Firewall(boot: surroundings.boot)
      unavailable = nil
      adopt(now: now)
    } catch {
      // Who cannot change the firewall must not keep another from it.
      lock.release()
      cannotBlock(error.reason, now: now)
    }
  }

  /// Takes over what an earlier run left in the kernel; what may not be blocked is let go before the first request.
  private func adopt(now: UInt64) {
    guard let firewall else { return }
    do throws(NetlinkError) {
      let kernel = try firewall.elements()
      if firewall.isOfThisBoot { core.continueBoot() }
      let strangers = core.adopt(kernel: kernel, now: now)
      if !strangers.isEmpty { try firewall.apply(KernelChange(removals: strangers)) }
      for network in strangers { audit.add(.notice(EnforcerNotice(.strangerRemoved, network), silence: nil), now: now) }
    } catch {
      audit.add(.failed("\(error)"), now: now)
      // What is in the kernel is not known: everything is looked at again.
      firewall.lookAgain()
    }
    refreshProtection(now: now)
    release(core.conflicting, now: now)
    audit.add(.started(adopted: core.table.count), now: now)
  }

  // MARK: The loop

  /// Until a signal ends it, or the connection that our parent passed.
  func run() -> End {
    while end == nil, !isPassed || connections.contains(where: \.isOurParents) {
      var entries = [pollfd(fd: signals, events: Int16(POLLIN), revents: 0), pollfd(fd: host?.descriptor ?? -1, events: Int16(POLLIN), revents: 0)]
      entries.append(pollfd(fd: listener ?? -1, events: Int16(POLLIN), revents: 0))
      let first = entries.count
      for connection in connections {
        entries.append(pollfd(fd: connection.descriptor, events: Int16(connection.output.isEmpty ? POLLIN : POLLOUT), revents: 0))
      }
      guard poll(&entries, nfds_t(entries.count), 1000) >= 0 || errno == EINTR else { return .startAgain }
      let now = monotonicNow()
      if entries[0].revents != 0 { return .asked }
      if entries[1].revents != 0 { refreshProtection(now: now) }
      for (i, entry) in entries[first...].enumerated().reversed() where entry.revents != 0 { serve(i, now: now) }
      if entries[2].revents != 0 { acceptOne(now: now) }
      tick(now: now)
      if mustCloseAll {
        if isPassed { end = .startAgain }
        while !connections.isEmpty { close(0) }
        mustCloseAll = false
      }
    }
    return end ?? .asked
  }

  private func tick(now: UInt64) {
    guard now &- lastTick >= 1_000_000_000 else { return }
    lastTick = now
    if firewall == nil, host != nil { tryAgain(now: now) }
    refreshProtection(now: now)
    if isReleaseDue { release(core.conflicting, now: now) }
    if core.heartbeatIsOverdue(now: now) {
      audit.add(.notice(EnforcerNotice(.heartbeatLost), silence: configuration.policy.heartbeatTimeout), now: now)
    }
    for i in connections.indices.reversed() {
      guard let since = connections[i].waitsSince, now > since, now - since > UInt64(Limits.framePeerPatience.count) else { continue }
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

  /// The other enforcer may have ended, the kernel's module may have been loaded. Who was told that nothing can be blocked asks again when it
  /// has to connect anew.
  private func tryAgain(now: UInt64) {
    takeCharge(now: now)
    if firewall != nil { mustCloseAll = true }
  }

  // MARK: Protection

  /// Reads what must be protected, and lets go of whoever is blocked and protected.
  private func refreshProtection(now: UInt64) {
    guard let host else { return }
    let facts = host.current(now: now) { core.table.covers($0) }
    if facts.unknown != saidUnknown {
      saidUnknown = facts.unknown
      if let reason = facts.unknown { audit.add(.protectionUnknown(reason), now: now) }
    }
    if host.remarks != saidRemarks {
      saidRemarks = host.remarks
      for remark in saidRemarks { audit.add(.failed(remark), now: now) }
    }
    if let reason = facts.unknown, end == nil, surroundings.isMoreReadable() {
      audit.add(.failed("starting again: a new process can read what this one cannot (\(reason))"), now: now)
      end = .startAgain
    }
    release(core.protect(facts), now: now)
  }

  /// What cannot be released now is at the next tick.
  private func release(_ notices: [EnforcerNotice], now: UInt64) {
    isReleaseDue = false
    guard let firewall, !notices.isEmpty else { return }
    do throws(NetlinkError) {
      try apply(KernelChange(removals: notices.map(\.network)), now: now)
      core.removed(notices)
      for notice in notices { audit.add(.notice(notice, silence: nil), now: now) }
    } catch {
      isReleaseDue = true
      firewall.lookAgain()
      audit.add(.failed("unblocking failed: \(error)"), now: now)
    }
  }

  /// Somebody else may have changed our table: by `nft flush ruleset`, by hand. Costs one question where nobody changed anything.
  private func checkTable(now: UInt64) {
    do throws(NetlinkError) {
      guard let firewall, try firewall.wasChangedByOthers() else { return }
    } catch {
      return noteTrouble("checking the table failed: \(error)", now: now)
    }
    repairTable(now: now)
  }

  /// Our table is made whole and holds what is blocked; false: the kernel refuses, and it is tried again at the next tick.
  @discardableResult
  private func repairTable(now: UInt64) -> Bool {
    guard let firewall else { return false }
    do throws(NetlinkError) {
      let wasBroken = try firewall.repair(isNeeded: core.table.count > 0)
      let (change, notices) = core.compare(kernel: try firewall.elements(), now: now)
      try firewall.apply(change)
      if wasBroken {
        core.tableRestored()
        audit.add(.notice(EnforcerNotice(.tableRestored), silence: nil), now: now)
      }
      core.compared(notices)
      for notice in notices { audit.add(.notice(notice, silence: nil), now: now) }
    } catch {
      firewall.lookAgain()
      noteTrouble("the table inet \(NFTables.table) cannot be put right: \(error)", now: now)
      return false
    }
    trouble = nil
    if hasToldTrouble {
      hasToldTrouble = false
      mustCloseAll = true
    }
    return true
  }
  private func noteTrouble(_ reason: String, now: UInt64) {
    if trouble != reason { audit.add(.failed(reason), now: now) }
    trouble = reason
  }

  /// One change in the kernel. Where the table was removed or changed since we looked, it is put right first.
  private func apply(_ change: KernelChange, now: UInt64) throws(NetlinkError) {
    guard let firewall else { return }
    do throws(NetlinkError) { try firewall.apply(change) } catch {
      guard [ENOENT, EEXIST, EBUSY, EOPNOTSUPP, EINVAL].contains(error.code), repairTable(now: now) else { throw error }
      try firewall.apply(change)
    }
  }

  // MARK: Requests

  private func answer(_ request: EnforcerRequest, uid: uid_t, pid: pid_t, now: UInt64) -> EnforcerAnswer {
    if request.kind == .status { return .status(status()) }
    if let unavailable {
      switch request.kind {
      case .heartbeat: break
      default: return .unavailable(unavailable)
      }
    }
    switch request.kind {
    case .block, .reconcile: refreshProtection(now: now)
    default: break
    }
    let plan = core.plan(request, now: now)
    var failure: Int32?
    do throws(NetlinkError) { try apply(plan.change, now: now) } catch {
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

  private func status() -> EnforcerStatus {
    core.set(\.auditLinesDropped, audit.dropped)
    if let dropped = try? firewall?.dropped() {
      core.set(\.droppedPackets, dropped.packets)
      core.set(\.droppedBytes, dropped.bytes)
    }
    var status = core.currentStatus
    status.unavailable = unavailable ?? trouble ?? ""
    if unavailable == nil, trouble != nil { hasToldTrouble = true }
    var remarks = host?.remarks ?? []
    if let unknown = host?.facts.unknown { remarks.insert("nothing is blocked while it is not known what to protect: \(unknown)", at: 0) }
    status.remarks = remarks.joined(separator: "; ")
    return status
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
    let isRoot = uid == 0
    let places = Limits.frameConnections - (isRoot ? 0 : Limits.enforcerConnectionsOfRoot)
    guard connections.count(where: { isRoot || $0.uid != 0 }) < places || makeRoom(isRoot: isRoot, now: now) else {
      core.count(\.connectionsRefused)
      audit.add(.tooManyConnections, now: now)
      Glibc.close(descriptor)
      return
    }
    connections.append(Connection(descriptor: descriptor, uid: uid, pid: pid, lastHeard: now))
  }

  /// Closes the connection that has been silent longest, if for long enough; the engine says something each second.
  private func makeRoom(isRoot: Bool, now: UInt64) -> Bool {
    let silent = connections.indices.filter { i in
      let connection = connections[i]
      return (isRoot || connection.uid != 0) && !connection.isOurParents && connection.output.isEmpty
        && now &- connection.lastHeard >= UInt64(Limits.framePeerPatience.count)
    }
    guard let oldest = silent.min(by: { connections[$0].lastHeard < connections[$1].lastHeard }) else { return false }
    audit.add(.silent(uid: connections[oldest].uid, pid: connections[oldest].pid), now: now)
    close(oldest)
    return true
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
    connections[i].lastHeard = now
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
      connections[i].wanted = Frame.headerBytes
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
