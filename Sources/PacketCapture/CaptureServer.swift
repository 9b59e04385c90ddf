// The capture's loop: frames, their analysis, the connection of whoever takes the events, the kernel's news about interfaces, and one tick a
// second. One thread; every wait has an end; no interface keeps another waiting for more than a slice.
// What must stay true: nothing that is counted here is lost silently; a reader that is slow slows nothing but itself.
import CLinux
import CaptureChannel
import Glibc
import NetworkEvents
import PacketParsers
import Primitives

/// Nanoseconds since some fixed point.
func monotonicTime() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
}

/// Nanoseconds since 1970, as the kernel stamps frames.
private func realTime() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
}

final class CaptureServer {
  /// One interface with everything that its frames go through.
  private final class Lane {
    let capture: InterfaceCapture
    let events: NetworkEvents
    /// Its number in the recording.
    let recorded: UInt32
    var analyzer: PacketAnalyzer
    /// Frames read.
    var frames: UInt64 = 0
    var lastTime = EventTime.zero
    /// When loss was looked at last, and what there was then.
    var lossMark = InterfaceCounters()
    init(_ capture: InterfaceCapture, _ events: NetworkEvents, recorded: UInt32, share: Int) {
      self.capture = capture
      self.events = events
      self.recorded = recorded
      analyzer = NetworkEvents.analyzer(share: share)
    }
  }

  private var lanes: [Lane]
  /// Configured, and not there when it began.
  private let absent: Set<String>
  private let links: LinkWatch
  private let output = EventOutput()
  private let recording: Recording?
  private var saidRecordingProblem = ""
  /// Why nothing is recorded though it should be; nil: it is, or was not asked for.
  private let unrecorded: String?
  private var framesUnrecorded: UInt64 = 0
  private let listener: Int32?
  private let signals: Int32
  private let allowedUsers: Set<uid_t>
  private let notification: Int32?
  private var lastTick: Int64 = 0
  private var lastLossCheck = monotonicTime()
  private var listening: KernelListenCounters?
  private var lastListenCheck = monotonicTime()
  private var peersRefused: UInt64 = 0
  private var interfacesLost: UInt64 = 0
  private var say: (String) -> Void
  /// Why it ended, where not by being told.
  private(set) var failure: String?

  /// `unrecorded`: why there is no recording where there should be one: whoever takes the events is told, and frames are counted as not recorded.
  /// `connected`: a socket whose peer takes the events; without a `listener` the capture ends with it. All descriptors are owned from here on.
  init(
    _ captures: [InterfaceCapture], absent: [String], links: LinkWatch, recording: Recording? = nil, unrecorded: String? = nil, listener: Int32?,
    connected: Int32?, signals: Int32, engineUID: uid_t?, notification: Int32?, listening: KernelListenCounters?, say: @escaping (String) -> Void
  ) {
    self.absent = Set(absent)
    self.links = links
    (self.recording, self.unrecorded) = (recording, unrecorded)
    self.listener = listener
    self.signals = signals
    self.notification = notification
    self.listening = listening
    self.say = say
    allowedUsers = Set([0, geteuid()] + [engineUID].compactMap { $0 })
    lanes = []
    for capture in captures {
      let events = NetworkEvents(interface: output.addInterface(capture.name), name: capture.name, taker: output)
      let recorded = recording?.addInterface(capture.name, linkType: capture.linkType, snapLength: UInt32(Limits.frameBytes))
      lanes.append(Lane(capture, events, recorded: recorded ?? 0, share: captures.count))
    }
    if let connected { open(connected) }
  }

  /// Until a signal ends it, the reader is gone and none can come, or there is no interface left. The exit status.
  func run() -> Int32 {
    notify("READY=1")
    defer { notify("STOPPING=1") }
    while true {
      var entries = [
        pollfd(fd: signals, events: Int16(POLLIN), revents: 0), pollfd(fd: links.descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: listener ?? -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: output.descriptor, events: Int16(output.hasMore ? POLLOUT : 0), revents: 0),
      ]
      let first = entries.count
      entries += lanes.map { pollfd(fd: $0.capture.descriptor, events: Int16(POLLIN), revents: 0) }
      guard poll(&entries, nfds_t(entries.count), 1000) >= 0 || errno == EINTR else { return fail("poll: \(String(cString: strerror(errno)))") }
      if entries[0].revents != 0 { return finish() }
      if entries[1].revents != 0, let back = followLinks() { return fail("\(back) is there now: it is opened by a new start") }
      if entries[2].revents != 0 { acceptOne() }
      for i in lanes.indices.reversed() where entries[first + i].revents != 0 { read(i) }
      if lanes.isEmpty { return fail("no interface is left") }
      tick()
      // A reader that closed or that sent something: it has nothing to say.
      if entries[3].revents & Int16(POLLHUP | POLLERR) != 0 { output.closeConnection() }
      _ = output.flush()
      if !output.isOpen, listener == nil { return 0 }
    }
  }

  private func fail(_ reason: String) -> Int32 {
    failure = reason
    output.send(notice: reason)
    _ = output.flush()
    return 3
  }

  /// The flows that are open are told, as far as the reader takes it.
  private func finish() -> Int32 {
    for lane in lanes {
      lane.capture.refreshCounters()
      lane.analyzer.finish(sink: lane.events)
      let c = lane.capture.counters
      say(
        "\(lane.capture.name): \(c.packets) packets, \(c.kernelDrops) dropped by the kernel, \(lane.events.flows) flows, \(lane.events.messages) messages"
      )
    }
    recording?.flush()
    output.send(counters())
    _ = output.flush()
    return 0
  }

  // MARK: Frames

  private func read(_ i: Int) {
    let lane = lanes[i]
    let isAll = lane.capture.name == InterfaceCapture.all
    do throws(CaptureFailure) {
      _ = try lane.capture.read(limit: Limits.captureSliceFrames) { frame in
        lane.frames &+= 1
        lane.lastTime = frame.time
        if let recording { recording.append(frame, interface: lane.recorded) } else if unrecorded != nil { framesUnrecorded &+= 1 }
        // Linux cooked v2: protocol u16, reserved u16, interface u32.
        if isAll, frame.bytes.count >= 8 { name(lane, UInt32(bigEndian: frame.bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))) }
        lane.analyzer.process(
          frame.bytes, linkType: lane.capture.linkType, time: frame.time, number: lane.frames, wireBytes: frame.wireBytes, sink: lane.events)
      }
    } catch {
      interfacesLost &+= 1
      lane.capture.refreshCounters()
      lane.analyzer.finish(sink: lane.events)
      lane.capture.close()
      lanes.remove(at: i)
      lost.insert(lane.capture.name)
      report("\(error)")
    }
  }
  private func name(_ lane: Lane, _ index: UInt32) {
    guard index != lastIndex else { return }
    lastIndex = index
    lane.events.interfaceName = links.name(index)
  }
  private var lastIndex: UInt32 = 0

  /// The name of a configured interface that came up and is not open; nil: none.
  private func followLinks() -> String? {
    let changes = links.changes()
    if !changes.isEmpty { lastIndex = 0 }
    return changes.first { change in
      change.isUp && (absent.contains(change.name) || lost.contains(change.name)) && !lanes.contains { $0.capture.name == change.name }
    }?.name
  }
  /// Interfaces that went away.
  private var lost: Set<String> = []

  private func report(_ text: String) {
    say(text)
    output.send(notice: text)
  }

  // MARK: The tick

  private func tick() {
    let now = monotonicTime()
    guard now - lastTick >= Limits.captureHeartbeat.count else { return }
    lastTick = now
    // A little behind the clock: what waits in a ring is older than now.
    let silentSince = EventTime(nanoseconds: realTime() &- 2 * Limits.captureHeartbeat.count)
    for lane in lanes {
      lane.capture.refreshCounters()
      lane.analyzer.advance(to: silentSince, sink: lane.events)
    }
    if now - lastLossCheck >= Limits.captureLossInterval.count {
      lastLossCheck = now
      reportLoss()
    }
    if now - lastListenCheck >= Limits.pressureInterval.count {
      lastListenCheck = now
      reportListening()
    }
    if let recording {
      recording.flush()
      let problem = recording.problem ?? ""
      if problem != saidRecordingProblem, !problem.isEmpty { report("the recording cannot be written: \(problem); frames are missing in it") }
      saidRecordingProblem = problem
    }
    output.send(counters())
    notify("WATCHDOG=1")
  }

  private func reportListening() {
    guard let changes = listening?.changes(), changes.syncookiesSent > 0 || changes.listenOverflows > 0, let lane = lanes.first else { return }
    lane.events.kernel(
      syncookiesSent: changes.syncookiesSent, listenOverflows: changes.listenOverflows, listenDrops: changes.listenDrops, at: lane.lastTime,
      frame: lane.frames)
  }

  private func reportLoss() {
    for lane in lanes {
      let counters = lane.capture.counters
      var lost = InterfaceCounters()
      lost.packets = counters.packets &- lane.lossMark.packets
      lost.kernelDrops = counters.kernelDrops &- lane.lossMark.kernelDrops
      lost.ringFreezes = counters.ringFreezes &- lane.lossMark.ringFreezes
      lane.lossMark = counters
      guard lost.kernelDrops > 0, lost.kernelDrops &* 100 >= lost.packets &* Limits.captureLossPercent else { continue }
      lane.events.loss(
        packets: lost.packets, kernelDrops: lost.kernelDrops, ringFreezes: lost.ringFreezes, at: lane.lastTime, frame: lane.frames)
      report("\(lane.capture.name): the kernel dropped \(lost.kernelDrops) of \(lost.packets) packets in the last minute")
    }
  }

  /// Everything that was counted, for the reader: what was lost by cause, and how much there was.
  func counters() -> [(name: String, value: UInt64)] {
    var list: [(name: String, value: UInt64)] = []
    for lane in lanes {
      let c = lane.capture.counters
      list += [
        ("packets:\(lane.capture.name)", c.packets), ("kernel_drops:\(lane.capture.name)", c.kernelDrops),
        ("ring_freezes:\(lane.capture.name)", c.ringFreezes), ("frames:\(lane.capture.name)", c.read),
        ("flows:\(lane.capture.name)", lane.events.flows), ("messages:\(lane.capture.name)", lane.events.messages),
      ]
    }
    list += [
      ("events_sent", output.counters.sent), ("events_dropped_engine_slow", output.counters.dropped),
      ("events_dropped_no_engine", output.counters.unwanted), ("events_dropped_too_long", output.counters.tooLong),
      ("peers_refused", peersRefused), ("interfaces_lost", interfacesLost), ("interface_news_lost", links.lost),
    ]
    if recording != nil || unrecorded != nil {
      list += [("frames_recorded", recording?.frames ?? 0), ("frames_not_recorded", recording?.framesLost ?? framesUnrecorded)]
    }
    func add(_ name: String, _ value: (Lane) -> UInt64) { list.append((name, lanes.reduce(0) { $0 &+ value($1) })) }
    // Each is added up anew when it is asked for.
    let analyzed = lanes.map { $0.analyzer.counters }
    list.append(("frames_cut", analyzed.reduce(0) { $0 &+ $1.cut }))
    for error in PacketError.allCases where error != .none {
      list.append(("decode_errors.\(error.name)", analyzed.reduce(0) { $0 &+ $1.errors[Int(error.rawValue)] }))
    }
    add("flows_evicted") { $0.analyzer.flowCounters.evicted }
    add("half_open_evicted") { $0.analyzer.flowCounters.evictedHalfOpen }
    add("link_evictions") { $0.analyzer.linkEvictions }
    add("contents_evicted") { $0.analyzer.streamCounters.evicted }
    add("stream_gaps") { $0.analyzer.streamCounters.gaps }
    return list
  }

  // MARK: The reader

  /// One at a time: who comes later is the engine that runs now.
  private func acceptOne() {
    guard let listener else { return }
    let descriptor = accept(listener, nil, nil)
    guard descriptor >= 0 else { return }
    var (pid, uid, gid): (pid_t, uid_t, gid_t) = (0, 0, 0)
    guard descriptor < CaptureConfinement.firstPacketDescriptor, pg_peer_credentials(descriptor, &pid, &uid, &gid) == 0, allowedUsers.contains(uid)
    else {
      peersRefused &+= 1
      close(descriptor)
      return
    }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    open(descriptor)
  }
  private func open(_ connected: Int32) {
    output.open(connected)
    if let unrecorded { output.send(notice: unrecorded) }
  }

  private func notify(_ text: String) {
    guard let notification else { return }
    let bytes = Array(text.utf8)
    _ = write(notification, bytes, bytes.count)
  }
}
