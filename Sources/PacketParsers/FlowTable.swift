// All flows that are going on. Pure: time comes from the packets, the key of the hash from the caller.
// What must stay true:
// - at most `Limits.flows` flows and `Limits.halfOpenFlows` TCP connections that nobody confirmed; memory is taken once, and touched as it fills;
// - a SYN flood fills the second table only, and pushes out only what is in it; packets that nobody answers push out only flows that nobody
//   answered; an established connection goes last, the one that was silent longest first;
// - which flow ends, and when, depends on the packets and their times only, never on the hash;
// - every flow that was begun is reported as ended once.
import Glibc
import Primitives

public struct FlowTable: ~Copyable {
  public struct Counters: Sendable, Equatable {
    public var begun: UInt64 = 0
    /// Of them, those that became more than a handshake.
    public var confirmed: UInt64 = 0
    /// Pushed out because a table was full.
    public var evicted: UInt64 = 0
    public var evictedHalfOpen: UInt64 = 0
    /// The most that there were at a time.
    public var mostFlows: UInt64 = 0
    public var mostHalfOpen: UInt64 = 0
  }
  public private(set) var counters = Counters()
  public private(set) var count = 0
  public private(set) var halfOpenCount = 0
  /// Flows that ended (or were reported as going on) since they were last taken out, in order. The caller empties it.
  var ended: [FlowRecord] = []

  /// Of one kind of flow, from the one that was silent longest: how long its silence may last, and whether its flows are given up first
  /// when the table is full (lower is earlier).
  enum List: UInt8, CaseIterable {
    case closed, unanswered, datagrams, connections
    var silence: Int64 {
      switch self {
      case .closed: Limits.closedSilence.count
      case .unanswered: Limits.unansweredSilence.count
      case .datagrams: Limits.datagramSilence.count
      case .connections: Limits.connectionSilence.count
      }
    }
  }
  /// How stale a flow's place in its list may be: moving it for every packet would cost more than the packet.
  private static let placeGranularity: Int64 = 1_000_000_000

  private let seed: (UInt64, UInt64)
  let flows: UnsafeMutablePointer<Flow>
  private var flowsUsed = 0
  private var freeFlow: Int32 = -1
  /// The flow of each list that was silent longest, and the one that spoke last; -1 where it is empty.
  private let heads: UnsafeMutablePointer<Int32>
  private let tails: UnsafeMutablePointer<Int32>
  private let half: UnsafeMutablePointer<HalfOpenFlow>
  private var halfUsed = 0
  private var freeHalf: Int32 = -1
  private var oldestHalf: Int32 = -1
  private var newestHalf: Int32 = -1
  /// Open addressing with linear probing; an entry is 32 bits of the hash and a reference plus one, 0 where nothing is.
  private let index: UnsafeMutablePointer<UInt64>
  private let mask: Int
  private static let halfOpenBit: UInt32 = 1 << 31
  private var nextCheck = Int64.min
  private let flowCapacity: Int
  private let halfCapacity: Int
  private let reportsActive: Bool

  /// - Parameter seed: secret where the packets come from others.
  /// - Parameter reportsActive: report flows that go on each `Limits.flowReportInterval`.
  public init(
    seed: (UInt64, UInt64), flowCapacity: Int = Limits.flows, halfOpenCapacity: Int = Limits.halfOpenFlows, reportsActive: Bool = false
  ) {
    precondition(flowCapacity > 0 && halfOpenCapacity > 0 && flowCapacity < 1 << 30 && halfOpenCapacity < 1 << 30)
    self.seed = seed
    self.flowCapacity = flowCapacity
    self.halfCapacity = halfOpenCapacity
    self.reportsActive = reportsActive
    flows = .allocate(capacity: flowCapacity)
    half = .allocate(capacity: halfOpenCapacity)
    heads = .allocate(capacity: List.allCases.count)
    heads.initialize(repeating: -1, count: List.allCases.count)
    tails = .allocate(capacity: List.allCases.count)
    tails.initialize(repeating: -1, count: List.allCases.count)
    var size = 16
    while size < 2 * (flowCapacity + halfOpenCapacity) { size *= 2 }
    mask = size - 1
    // calloc: pages that nothing was put into take no memory.
    index = calloc(size, MemoryLayout<UInt64>.stride)!.bindMemory(to: UInt64.self, capacity: size)
  }
  deinit {
    flows.deallocate()
    half.deallocate()
    heads.deallocate()
    tails.deallocate()
    free(index)
  }

  // MARK: A packet

  struct Match {
    /// Index into `flows`; -1 where it belongs to no confirmed flow.
    var flow: Int32
    var direction: FlowDirection
  }

  /// Counts a packet that has a transport, or at least an IP header, in its flow; begins one where there is none.
  @inline(__always)
  mutating func observe(_ packet: Packet, at time: EventTime, frame: UInt64) -> Match {
    let now = time.nanoseconds
    if now >= nextCheck { expire(now) }
    let (key, isReversed) = FlowKey.of(packet)
    let tag = UInt32(truncatingIfNeeded: key.hash(seed))
    let reference = find(key, tag)
    if reference == 0 { return begin(packet, key, isReversed, tag, time, frame) }
    if reference & FlowTable.halfOpenBit != 0 {
      return continueHalfOpen(Int32(reference & ~FlowTable.halfOpenBit) - 1, packet, key, isReversed, tag, time, frame)
    }
    let slot = Int32(reference) - 1
    let flow = flows + Int(slot)
    let direction: FlowDirection = flow.pointee.isReversed == isReversed ? .toResponder : .toOriginator
    if isOver(flow, packet, now) {
      end(slot, List(rawValue: flow.pointee.list) == .closed ? .closed : .idle)
      return begin(packet, key, isReversed, tag, time, frame)
    }
    count(packet, in: slot, direction, time, frame)
    return Match(flow: slot, direction: direction)
  }

  mutating func advance(to now: Int64) { if now >= nextCheck { expire(now) } }

  /// The packet does not belong to the flow that has its key: that one was silent too long, or is closed and this opens a new one.
  @inline(__always)
  private func isOver(_ flow: UnsafeMutablePointer<Flow>, _ packet: Packet, _ now: Int64) -> Bool {
    let silence = now &- flow.pointee.lastTime.nanoseconds
    if silence <= Limits.closedSilence.count, flow.pointee.list != List.closed.rawValue { return false }
    let list = List(rawValue: flow.pointee.list) ?? .closed
    if silence > list.silence { return true }
    return list == .closed && packet.ipProtocol == IPProtocol.tcp && packet.tcpFlags.intersection([.syn, .ack, .rst]) == .syn
  }

  @inline(__always)
  private mutating func count(_ packet: Packet, in slot: Int32, _ direction: FlowDirection, _ time: EventTime, _ frame: UInt64) {
    let flow = flows + Int(slot)
    let isTCP = packet.ipProtocol == IPProtocol.tcp && packet.hasTransport
    if isTCP, packet.tcpFlags.contains(.rst), !flow.pointee.isReset { flow.pointee.resetByResponder = direction == .toOriginator }
    if direction == .toResponder {
      FlowTable.add(packet, isTCP, to: &flow.pointee.toResponder)
    } else {
      FlowTable.add(packet, isTCP, to: &flow.pointee.toOriginator)
    }
    if !isTCP { flow.pointee.mostPayloadBytes = max(flow.pointee.mostPayloadBytes, Int32(truncatingIfNeeded: packet.payloadBytes)) }
    if time > flow.pointee.lastTime { flow.pointee.lastTime = time }
    flow.pointee.lastFrame = frame
    var list = flow.pointee.list
    if isTCP, !packet.tcpFlags.isDisjoint(with: [.rst, .fin]) {
      let bothFinished = flow.pointee.toResponder.flags.contains(.fin) && flow.pointee.toOriginator.flags.contains(.fin)
      if bothFinished || packet.tcpFlags.contains(.rst) { list = List.closed.rawValue }
    }
    if list == List.unanswered.rawValue, flow.pointee.isAnswered {
      list = packet.ipProtocol == IPProtocol.tcp ? List.connections.rawValue : List.datagrams.rawValue
    }
    if list != flow.pointee.list || time.nanoseconds &- flow.pointee.queued >= FlowTable.placeGranularity {
      unlink(slot)
      flow.pointee.list = list
      link(slot, time.nanoseconds)
      if reportsActive, time.nanoseconds &- flow.pointee.reported >= Limits.flowReportInterval.count {
        flow.pointee.reported = time.nanoseconds
        ended.append(FlowRecord(flow: flow.pointee, end: .active))
      }
    }
  }

  @inline(__always)
  private static func add(_ packet: Packet, _ isTCP: Bool, to traffic: inout FlowTraffic) {
    traffic.packets &+= 1
    traffic.bytes &+= UInt64(packet.ipBytes)
    traffic.payloadBytes &+= UInt64(packet.payloadBytes)
    if isTCP {
      if packet.tcpFlags.contains(.syn), !traffic.flags.contains(.syn) { traffic.initialSequence = packet.sequence }
      traffic.flags.formUnion(packet.tcpFlags)
    }
  }

  // MARK: Beginning

  private mutating func begin(
    _ packet: Packet, _ key: FlowKey, _ isReversed: Bool, _ tag: UInt32, _ time: EventTime, _ frame: UInt64
  ) -> Match {
    counters.begun &+= 1
    // The sender of a first SYN/ACK answers a SYN that was not seen.
    let isAnswer = packet.ipProtocol == IPProtocol.tcp && packet.tcpFlags.isSuperset(of: [.syn, .ack])
    let direction: FlowDirection = isAnswer ? .toOriginator : .toResponder
    if HalfOpenFlow.holds(packet) {
      var made = HalfOpenFlow(
        key: key, isReversed: isReversed != isAnswer, tunnel: packet.tunnel, vlan: packet.vlan, tag: tag, firstTime: time, lastTime: time,
        firstFrame: frame, lastFrame: frame)
      made.add(packet, direction)
      addHalfOpen(made)
      return Match(flow: -1, direction: direction)
    }
    var flow = Flow(key: key, isReversed: isReversed != isAnswer, firstTime: time, lastTime: time, firstFrame: frame, lastFrame: frame)
    flow.tunnel = packet.tunnel
    flow.vlan = packet.vlan
    flow.tag = tag
    flow.icmpCode = packet.icmpCode
    flow.reported = time.nanoseconds
    flow.list = List.unanswered.rawValue
    flow.isConfirmed = true
    let slot = add(flow)
    count(packet, in: slot, direction, time, frame)
    return Match(flow: slot, direction: direction)
  }

  private mutating func continueHalfOpen(
    _ at: Int32, _ packet: Packet, _ key: FlowKey, _ isReversed: Bool, _ tag: UInt32, _ time: EventTime, _ frame: UInt64
  ) -> Match {
    let entry = half + Int(at)
    let direction: FlowDirection = entry.pointee.isReversed == isReversed ? .toResponder : .toOriginator
    let isSilent = time.nanoseconds &- entry.pointee.firstTime.nanoseconds > Limits.halfOpenLifetime.count
    // A new SYN behind a RST tries again.
    let isNew = entry.pointee.isReset && packet.tcpFlags.intersection([.syn, .ack]) == .syn
    if isSilent || isNew {
      endHalfOpen(at, isNew ? .closed : .idle)
      return begin(packet, key, isReversed, tag, time, frame)
    }
    if HalfOpenFlow.holds(packet) {
      entry.pointee.add(packet, direction)
      if time > entry.pointee.lastTime { entry.pointee.lastTime = time }
      entry.pointee.lastFrame = frame
      return Match(flow: -1, direction: direction)
    }
    let confirmed = entry.pointee
    remove(half: at)
    var flow = confirmed.flow
    flow.isConfirmed = true
    flow.list = confirmed.isReset ? List.closed.rawValue : List.unanswered.rawValue
    flow.reported = time.nanoseconds
    counters.confirmed &+= 1
    let slot = add(flow)
    count(packet, in: slot, direction, time, frame)
    return Match(flow: slot, direction: direction)
  }

  private mutating func add(_ flow: consuming Flow) -> Int32 {
    if count >= flowCapacity, let list = List.allCases.first(where: { heads[Int($0.rawValue)] >= 0 }) {
      counters.evicted &+= 1
      end(heads[Int(list.rawValue)], .evicted)
    }
    let slot: Int32
    if freeFlow >= 0 {
      slot = freeFlow
      freeFlow = flows[Int(slot)].newer
    } else {
      slot = Int32(flowsUsed)
      flowsUsed += 1
    }
    let (tag, time) = (flow.tag, flow.lastTime.nanoseconds)
    (flows + Int(slot)).initialize(to: flow)
    link(slot, time)
    insert(UInt32(slot) + 1, tag)
    count += 1
    counters.mostFlows = max(counters.mostFlows, UInt64(count))
    return slot
  }

  private mutating func addHalfOpen(_ entry: HalfOpenFlow) {
    if halfOpenCount >= halfCapacity, oldestHalf >= 0 {
      counters.evictedHalfOpen &+= 1
      endHalfOpen(oldestHalf, .evicted)
    }
    let slot: Int32
    if freeHalf >= 0 {
      slot = freeHalf
      freeHalf = half[Int(slot)].newer
    } else {
      slot = Int32(halfUsed)
      halfUsed += 1
    }
    (half + Int(slot)).initialize(to: entry)
    half[Int(slot)].older = newestHalf
    half[Int(slot)].newer = -1
    if newestHalf >= 0 { half[Int(newestHalf)].newer = slot } else { oldestHalf = slot }
    newestHalf = slot
    insert(UInt32(slot) + 1 | FlowTable.halfOpenBit, entry.tag)
    halfOpenCount += 1
    counters.mostHalfOpen = max(counters.mostHalfOpen, UInt64(halfOpenCount))
  }

  // MARK: Ending

  /// Ends what was silent too long. Called once in a second of packet time: a flow is told to be over up to a second late, unless a packet
  /// with its key comes, and never with another content.
  private mutating func expire(_ now: Int64) {
    nextCheck = now &+ FlowTable.placeGranularity
    for list in List.allCases {
      while true {
        let slot = heads[Int(list.rawValue)]
        guard slot >= 0 else { break }
        let flow = flows + Int(slot)
        // Those behind it are at most `placeGranularity` older.
        guard now &- flow.pointee.lastTime.nanoseconds > list.silence else { break }
        end(slot, list == .closed ? .closed : .idle)
      }
    }
    // In the order of their beginning: one that keeps asking ends like the others, and its next SYN begins another.
    while oldestHalf >= 0 {
      let entry = half + Int(oldestHalf)
      guard now &- entry.pointee.firstTime.nanoseconds > Limits.halfOpenLifetime.count else { break }
      endHalfOpen(oldestHalf, entry.pointee.isReset ? .closed : .idle)
    }
  }

  /// Everything is over.
  mutating func finish() {
    // In the order in which they began.
    var open: [(frame: UInt64, reference: Int32, isHalf: Bool)] = []
    for list in List.allCases {
      var at = heads[Int(list.rawValue)]
      while at >= 0 {
        open.append((flows[Int(at)].firstFrame, at, false))
        at = flows[Int(at)].newer
      }
    }
    var at = oldestHalf
    while at >= 0 {
      open.append((half[Int(at)].firstFrame, at, true))
      at = half[Int(at)].newer
    }
    open.sort { $0.frame < $1.frame }
    for entry in open {
      if entry.isHalf {
        endHalfOpen(entry.reference, half[Int(entry.reference)].isReset ? .closed : .captureEnded)
      } else {
        end(entry.reference, flows[Int(entry.reference)].list == List.closed.rawValue ? .closed : .captureEnded)
      }
    }
  }

  private mutating func end(_ slot: Int32, _ why: FlowEnd) {
    let flow = flows + Int(slot)
    unlink(slot)
    remove(UInt32(slot) + 1, flow.pointee.tag)
    ended.append(FlowRecord(flow: flow.pointee, end: why))
    flow.pointee.newer = freeFlow
    freeFlow = slot
    count -= 1
  }

  private mutating func endHalfOpen(_ slot: Int32, _ why: FlowEnd) {
    ended.append(FlowRecord(flow: half[Int(slot)].flow, end: why))
    remove(half: slot)
  }

  private mutating func remove(half slot: Int32) {
    let entry = half + Int(slot)
    remove(UInt32(slot) + 1 | FlowTable.halfOpenBit, entry.pointee.tag)
    let (older, newer) = (entry.pointee.older, entry.pointee.newer)
    if older >= 0 { half[Int(older)].newer = newer } else { oldestHalf = newer }
    if newer >= 0 { half[Int(newer)].older = older } else { newestHalf = older }
    entry.pointee.newer = freeHalf
    freeHalf = slot
    halfOpenCount -= 1
  }

  // MARK: Lists

  private mutating func link(_ slot: Int32, _ now: Int64) {
    let flow = flows + Int(slot)
    let list = Int(flow.pointee.list)
    flow.pointee.queued = now
    flow.pointee.older = tails[list]
    flow.pointee.newer = -1
    if tails[list] >= 0 { flows[Int(tails[list])].newer = slot } else { heads[list] = slot }
    tails[list] = slot
  }

  private mutating func unlink(_ slot: Int32) {
    let flow = flows + Int(slot)
    let list = Int(flow.pointee.list)
    let (older, newer) = (flow.pointee.older, flow.pointee.newer)
    if older >= 0 { flows[Int(older)].newer = newer } else { heads[list] = newer }
    if newer >= 0 { flows[Int(newer)].older = older } else { tails[list] = older }
  }

  // MARK: Index

  /// The reference plus one, with `halfOpenBit`; 0 where there is none.
  @inline(__always)
  private func find(_ key: FlowKey, _ tag: UInt32) -> UInt32 {
    var at = Int(tag) & mask
    while true {
      let entry = index[at]
      if entry == 0 { return 0 }
      if UInt32(truncatingIfNeeded: entry >> 32) == tag {
        let reference = UInt32(truncatingIfNeeded: entry)
        let slot = Int(reference & ~FlowTable.halfOpenBit) - 1
        if reference & FlowTable.halfOpenBit != 0 ? half[slot].key == key : flows[slot].key == key { return reference }
      }
      at = (at &+ 1) & mask
    }
  }

  private mutating func insert(_ reference: UInt32, _ tag: UInt32) {
    var at = Int(tag) & mask
    while index[at] != 0 { at = (at + 1) & mask }
    index[at] = UInt64(tag) << 32 | UInt64(reference)
  }

  private mutating func remove(_ reference: UInt32, _ tag: UInt32) {
    let entry = UInt64(tag) << 32 | UInt64(reference)
    var hole = Int(tag) & mask
    while index[hole] != entry { hole = (hole + 1) & mask }
    // Entries behind it move up, so that a search never meets a hole before what it looks for.
    var at = (hole + 1) & mask
    while index[at] != 0 {
      let home = Int(index[at] >> 32) & mask
      if (at - home) & mask >= (at - hole) & mask {
        index[hole] = index[at]
        hole = at
      }
      at = (at + 1) & mask
    }
    index[hole] = 0
  }
}

/// A TCP connection of which only SYN, SYN/ACK, RST and the odd packets of scans were seen: a third of what a flow takes.
struct HalfOpenFlow {
  var key: FlowKey
  var isReversed: Bool
  var tunnel: Tunnel
  var vlan: UInt16
  var resetByResponder = false
  var flags: (TCPFlags, TCPFlags) = ([], [])
  var tag: UInt32
  var older: Int32 = -1
  var newer: Int32 = -1
  var packets: (UInt32, UInt32) = (0, 0)
  var bytes: (UInt32, UInt32) = (0, 0)
  var initialSequence: (UInt32, UInt32) = (0, 0)
  var firstTime: EventTime
  var lastTime: EventTime
  var firstFrame: UInt64
  var lastFrame: UInt64

  var isReset: Bool { flags.0.contains(.rst) || flags.1.contains(.rst) }

  /// Nothing but the opening or the refusal of a connection: no data, no plain ACK.
  @inline(__always)
  static func holds(_ packet: Packet) -> Bool {
    guard packet.ipProtocol == IPProtocol.tcp, packet.hasTransport, packet.payloadBytes == 0 else { return false }
    return !packet.tcpFlags.isDisjoint(with: [.syn, .rst]) || !packet.tcpFlags.contains(.ack)
  }

  mutating func add(_ packet: Packet, _ direction: FlowDirection) {
    if packet.tcpFlags.contains(.rst), !isReset { resetByResponder = direction == .toOriginator }
    let isSYN = packet.tcpFlags.contains(.syn)
    if direction == .toResponder {
      if isSYN, !flags.0.contains(.syn) { initialSequence.0 = packet.sequence }
      flags.0.formUnion(packet.tcpFlags)
      packets.0 &+= 1
      bytes.0 &+= UInt32(truncatingIfNeeded: packet.ipBytes)
    } else {
      if isSYN, !flags.1.contains(.syn) { initialSequence.1 = packet.sequence }
      flags.1.formUnion(packet.tcpFlags)
      packets.1 &+= 1
      bytes.1 &+= UInt32(truncatingIfNeeded: packet.ipBytes)
    }
  }

  var flow: Flow {
    var flow = Flow(
      key: key, isReversed: isReversed, firstTime: firstTime, lastTime: lastTime, firstFrame: firstFrame, lastFrame: lastFrame)
    flow.tunnel = tunnel
    flow.vlan = vlan
    flow.tag = tag
    flow.resetByResponder = resetByResponder
    flow.toResponder = FlowTraffic(
      packets: UInt64(packets.0), bytes: UInt64(bytes.0), flags: flags.0, initialSequence: initialSequence.0)
    flow.toOriginator = FlowTraffic(
      packets: UInt64(packets.1), bytes: UInt64(bytes.1), flags: flags.1, initialSequence: initialSequence.1)
    return flow
  }
}
