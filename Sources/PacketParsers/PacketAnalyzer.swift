// Frames in, protocol messages and flows out: decoder, fragments, flows, streams and application layers as one value.
// Pure: time comes from the frames. The same frames give the same messages and flows in the same order, whatever the key of the hash.
import Primitives

/// Who is told what was found. Everything borrowed is valid inside the call only.
public protocol PacketSink: AnyObject {
  /// A frame was decoded (or was not: `packet.error`). Called for each frame, before what follows from it.
  func decoded(_ packet: Packet, frame: UInt64, time: EventTime)
  /// A message of an application protocol. `time` is that of the frame that completed it.
  func message(_ message: borrowing ApplicationMessage, flow: Flow, time: EventTime)
  /// A flow is over, or was reported as going on.
  func flow(_ record: FlowRecord)
  /// A host was under pressure for `Limits.pressureInterval`.
  func pressure(_ record: PressureRecord)
  /// ARP said something that is new.
  func arp(_ news: ARPNews, frame: UInt64)
}
extension PacketSink {
  public func pressure(_ record: PressureRecord) {}
  public func arp(_ news: ARPNews, frame: UInt64) {}
  public func decoded(_ packet: Packet, frame: UInt64, time: EventTime) {}
}

public struct PacketAnalyzer: ~Copyable {
  /// Frames by layer, in the order of `PacketLayers.names`, and by error, in the order of `PacketError`.
  public struct Counters: Sendable {
    public var frames: UInt64 = 0
    public var bytes: UInt64 = 0
    public var layers = [UInt64](repeating: 0, count: PacketLayers.names.count)
    public var errors = [UInt64](repeating: 0, count: PacketError.allCases.count)
    /// Frames that are no IP packet, and have no error.
    public var notIP: UInt64 = 0
    /// Frames of which the capture kept only the beginning.
    public var cut: UInt64 = 0
    public var messages: UInt64 = 0
  }
  public var counters: Counters {
    var counters = base
    for (combination, count) in layerCombinations.enumerated() where count > 0 {
      for (i, entry) in PacketLayers.names.enumerated() where PacketLayers(rawValue: UInt16(combination)).contains(entry.layer) {
        counters.layers[i] &+= count
      }
    }
    return counters
  }
  private var base = Counters()
  /// Frames by the set of their layers: one addition for each frame.
  private var layerCombinations = [UInt64](repeating: 0, count: 1 << PacketLayers.names.count)
  public var flowCounters: FlowTable.Counters { flows.counters }
  public var streamCounters: StreamTable.Counters { streams.counters }
  public var fragmentCounters: FragmentTable.Counters { fragments.counters }

  /// What the application layers met.
  public var applicationCounters: ApplicationCounters { context.counters }

  private let context = ApplicationContext()
  private var packet = Packet()
  private var fragments = FragmentTable()
  private var flows: FlowTable
  private var streams: StreamTable
  private var pressure = PressureTable()
  private var arp = ARPTable()
  /// Hosts under pressure, addresses and questions of ARP that were forgotten for want of room.
  public var linkEvictions: UInt64 { pressure.evicted &+ arp.evicted }
  private var now = Int64.min
  private var lastFrame: UInt64 = 0

  /// - Parameter seed: the key of the flow table's hash; random where the packets come from others.
  public init(
    seed: (UInt64, UInt64), flowCapacity: Int = Limits.flows, halfOpenCapacity: Int = Limits.halfOpenFlows,
    contentCapacity: Int = Limits.inspectedFlows, reportsActiveFlows: Bool = false
  ) {
    flows = FlowTable(seed: seed, flowCapacity: flowCapacity, halfOpenCapacity: halfOpenCapacity, reportsActive: reportsActiveFlows)
    streams = StreamTable(capacity: contentCapacity)
  }

  /// `number`: of the frame in its capture; `wireBytes`: what it had on the wire.
  public mutating func process(_ frame: Bytes, linkType: LinkType, time: EventTime, number: UInt64, wireBytes: Int, sink: some PacketSink) {
    PacketDecoder.decode(frame, linkType: linkType, into: &packet)
    base.frames &+= 1
    base.bytes &+= UInt64(frame.count)
    if wireBytes > frame.count { base.cut &+= 1 }
    layerCombinations[Int(packet.layers.rawValue)] &+= 1
    if packet.error != .none { base.errors[Int(packet.error.rawValue)] &+= 1 }
    lastFrame = number
    sink.decoded(packet, frame: number, time: time)
    guard packet.isIP else {
      if packet.error == .none { base.notIP &+= 1 }
      if packet.isARP { observeARP(EventTime(nanoseconds: clock(time.nanoseconds)), number, sink) }
      return
    }
    let time = EventTime(nanoseconds: clock(time.nanoseconds))
    pressure.advance(to: time.nanoseconds)
    if !pressure.records.isEmpty { reportPressure(sink) }
    if packet.fragment == nil {
      follow(time, number, sink)
    } else {
      reassemble(time, number, sink)
    }
    if !flows.ended.isEmpty { report(sink) }
  }

  /// No frame came until `time`, of the frames' clock: what was silent for too long by then is told. On a quiet link nothing else would end it.
  public mutating func advance(to time: EventTime, sink: some PacketSink) {
    guard base.frames > 0, time.nanoseconds > now else { return }
    now = time.nanoseconds
    pressure.advance(to: now)
    if !pressure.records.isEmpty { reportPressure(sink) }
    flows.advance(to: now)
    if !flows.ended.isEmpty { report(sink) }
  }

  /// No frame will come any more: every flow is over.
  public mutating func finish(sink: some PacketSink) {
    fragments.finish()
    pressure.finish()
    reportPressure(sink)
    flows.finish()
    report(sink)
  }

  /// Packet time that does not go back by less than `Limits.lateness`: frames of several queues are captured slightly out of order. By more,
  /// the clock was set.
  @inline(__always)
  private mutating func clock(_ time: Int64) -> Int64 {
    if time > now || now &- time > Limits.lateness.count { now = time }
    return now
  }

  private mutating func reassemble(_ time: EventTime, _ number: UInt64, _ sink: some PacketSink) {
    // The table is set aside while it lends out the datagram.
    var table = FragmentTable()
    swap(&table, &fragments)
    table.add(packet, at: time) { datagram in
      let layers = packet.layers
      PacketDecoder.decode(reassembled: datagram, into: &packet)
      // The frame that completed it shows what is in it.
      layerCombinations[Int(packet.layers.subtracting(layers).rawValue)] &+= 1
      if packet.error != .none { base.errors[Int(packet.error.rawValue)] &+= 1 }
      follow(time, number, sink)
    }
    swap(&table, &fragments)
  }

  // MARK: Flows and their content

  @inline(__always)
  private mutating func follow(_ time: EventTime, _ number: UInt64, _ sink: some PacketSink) {
    let before = (flows.counters.begun, flows.counters.confirmed)
    let match = flows.observe(packet, at: time, frame: number)
    guard match.flow >= 0, packet.hasTransport else { return noteHalfOpen(match.direction, isNew: flows.counters.begun != before.0) }
    let flow = flows.flows + Int(match.flow)
    if flows.counters.confirmed != before.1 {
      pressure.relieved(match.direction == .toResponder ? packet.destination : packet.source, isIPv6: packet.isIPv6)
    } else if packet.ipProtocol == IPProtocol.udp, flow.pointee.toOriginator.packets == 0 {
      pressure.unanswered(packet)
    }
    if flow.pointee.content == FlowContentState.done { return }
    if packet.ipProtocol == IPProtocol.tcp {
      if packet.payload.isEmpty, flow.pointee.content < 0 { return }
      if !flows.ended.isEmpty { report(sink) }
      guard let slot = content(of: match.flow, .tcp, time) else { return }
      segment(slot, match.direction, number, time, sink)
    } else if packet.ipProtocol == IPProtocol.udp, !packet.payload.isEmpty {
      if !flows.ended.isEmpty { report(sink) }
      guard let slot = content(of: match.flow, .udp, time) else { return }
      let isToResponder = match.direction == .toResponder
      let wants = isToResponder ? streams.contents[Int(slot)].toResponder.wants : streams.contents[Int(slot)].toOriginator.wants
      guard wants else { return }
      deliver(packet.payload, slot, match.direction, number, time, sink)
      closeIfEnough(slot)
    }
  }

  /// A packet of a connection that nobody has confirmed yet.
  private mutating func noteHalfOpen(_ direction: FlowDirection, isNew: Bool) {
    guard packet.hasTransport else { return }
    if isNew, packet.tcpFlags.intersection([.syn, .ack]) == .syn {
      pressure.opened(packet)
    } else if direction == .toOriginator, packet.tcpFlags.contains(.rst) {
      pressure.relieved(packet.source, isIPv6: packet.isIPv6)
    }
  }

  private mutating func observeARP(_ time: EventTime, _ number: UInt64, _ sink: some PacketSink) {
    arp.observe(packet.arp, at: time)
    guard !arp.news.isEmpty else { return }
    for news in arp.news { sink.arp(news, frame: number) }
    arp.news.removeAll(keepingCapacity: true)
  }

  private mutating func reportPressure(_ sink: some PacketSink) {
    for record in pressure.records { sink.pressure(record) }
    pressure.records.removeAll(keepingCapacity: true)
  }

  /// What looks at the content of a flow; made where there is none.
  @inline(__always)
  private mutating func content(of flow: Int32, _ transport: TransportProtocol, _ time: EventTime) -> Int32? {
    let pointer = flows.flows + Int(flow)
    if pointer.pointee.content >= 0 {
      streams.touch(pointer.pointee.content, time.nanoseconds)
      return pointer.pointee.content
    }
    if streams.isFull {
      streams.counters.evicted &+= 1
      giveUp(streams.oldest)
    }
    let layer = ApplicationLayer(
      transport: transport, originatorPort: pointer.pointee.originatorPort, responderPort: pointer.pointee.responderPort, context: context)
    let slot = streams.add(layer, flow: flow, now: time.nanoseconds)
    pointer.pointee.content = slot
    return slot
  }

  /// Ends looking at a content without telling its parser: what is incomplete stays unsaid.
  private mutating func giveUp(_ slot: Int32) {
    let flow = flows.flows + Int(streams.contents[Int(slot)].flow)
    flow.pointee.protocolName = streams.contents[Int(slot)].layer.protocolName
    flow.pointee.content = FlowContentState.done
    streams.remove(slot)
  }

  @inline(__always)
  private mutating func closeIfEnough(_ slot: Int32) {
    if !streams.contents[Int(slot)].toResponder.wants, !streams.contents[Int(slot)].toOriginator.wants { giveUp(slot) }
  }

  /// One TCP segment: in order it goes straight to the parser.
  private mutating func segment(_ slot: Int32, _ direction: FlowDirection, _ number: UInt64, _ time: EventTime, _ sink: some PacketSink) {
    let content = streams.contents + Int(slot)
    let flow = flows.flows + Int(content.pointee.flow)
    let traffic = direction == .toResponder ? flow.pointee.toResponder : flow.pointee.toOriginator
    var stream = direction == .toResponder ? content.pointee.toResponder : content.pointee.toOriginator
    let start = packet.tcpFlags.contains(.syn) ? packet.sequence &+ 1 : packet.sequence
    if !stream.isStarted {
      stream.isStarted = true
      stream.next = traffic.flags.contains(.syn) ? traffic.initialSequence &+ 1 : start
      // Its start was not seen: a message may begin with any segment.
      if !flow.pointee.toResponder.flags.union(flow.pointee.toOriginator.flags).contains(.syn), content.pointee.layer.gap(1, direction) == .enough {
        stop(&stream)
      }
    }
    if packet.tcpFlags.contains(.fin), !stream.isEnding {
      stream.isEnding = true
      stream.endSequence = start &+ UInt32(truncatingIfNeeded: packet.payloadBytes)
    }
    if stream.wants, packet.payloadBytes > 0 { take(packet.payload, packet.payloadBytes, at: start, &stream, slot, direction, number, time, sink) }
    if stream.isEnding, !stream.isFinished, stream.next == stream.endSequence { finish(&stream, slot, direction, number, time, sink) }
    if direction == .toResponder { content.pointee.toResponder = stream } else { content.pointee.toOriginator = stream }
    if packet.tcpFlags.contains(.ack) { acknowledged(slot, direction.opposite, number, time, sink) }
    closeIfEnough(slot)
  }

  /// `count` bytes of the stream begin at `start`, of which `bytes` were captured.
  private mutating func take(
    _ bytes: Bytes, _ count: Int, at start: UInt32, _ stream: inout StreamDirection, _ slot: Int32, _ direction: FlowDirection,
    _ number: UInt64, _ time: EventTime, _ sink: some PacketSink
  ) {
    let ahead = Int(Int32(bitPattern: start &- stream.next))
    if ahead > 0 {
      if !streams.store(bytes, at: start, in: &stream) { loseMissing(&stream, slot, direction, number, time, sink) }
      return
    }
    if -ahead >= count {
      streams.counters.repeated &+= 1
      return
    }
    if ahead < 0 { streams.counters.repeated &+= 1 }
    let fresh = bytes.from(-ahead)
    stream.next = start &+ UInt32(truncatingIfNeeded: count)
    if !fresh.isEmpty { hand(fresh, &stream, slot, direction, number, time, sink) }
    if bytes.count < count, stream.wants { lose(count - max(bytes.count, -ahead), &stream, slot, direction) }
    drain(&stream, slot, direction, number, time, sink)
  }

  /// Hands on what waits, as far as it continues the stream.
  private mutating func drain(
    _ stream: inout StreamDirection, _ slot: Int32, _ direction: FlowDirection, _ number: UInt64, _ time: EventTime, _ sink: some PacketSink
  ) {
    while stream.wants, stream.pending >= 0, let bytes = streams.takeNext(&stream) {
      stream.next &+= UInt32(bytes.count)
      hand(bytes, &stream, slot, direction, number, time, sink)
    }
    if stream.isEnding, !stream.isFinished, stream.next == stream.endSequence { finish(&stream, slot, direction, number, time, sink) }
  }

  private mutating func loseMissing(
    _ stream: inout StreamDirection, _ slot: Int32, _ direction: FlowDirection, _ number: UInt64, _ time: EventTime, _ sink: some PacketSink
  ) {
    guard let start = streams.pendingStart(stream) else { return }
    let missing = start &- stream.next
    stream.next = start
    lose(Int(missing), &stream, slot, direction)
    drain(&stream, slot, direction, number, time, sink)
  }

  /// The other side confirms what it got: bytes before that which are missing here were lost by the capture.
  private mutating func acknowledged(_ slot: Int32, _ direction: FlowDirection, _ number: UInt64, _ time: EventTime, _ sink: some PacketSink) {
    let content = streams.contents + Int(slot)
    var stream = direction == .toResponder ? content.pointee.toResponder : content.pointee.toOriginator
    guard stream.pending >= 0, stream.wants else { return }
    while stream.wants, let start = streams.pendingStart(stream), Int32(bitPattern: packet.acknowledgment &- start) > 0 {
      loseMissing(&stream, slot, direction, number, time, sink)
    }
    if direction == .toResponder { content.pointee.toResponder = stream } else { content.pointee.toOriginator = stream }
  }

  private mutating func lose(_ count: Int, _ stream: inout StreamDirection, _ slot: Int32, _ direction: FlowDirection) {
    streams.counters.gaps &+= 1
    streams.counters.lostBytes &+= UInt64(count)
    if streams.contents[Int(slot)].layer.gap(count, direction) == .enough { stop(&stream) }
  }

  private mutating func stop(_ stream: inout StreamDirection) {
    stream.wants = false
    streams.dropPending(&stream)
  }

  private mutating func finish(
    _ stream: inout StreamDirection, _ slot: Int32, _ direction: FlowDirection, _ number: UInt64, _ time: EventTime, _ sink: some PacketSink
  ) {
    guard !stream.isFinished else { return }
    stream.isFinished = true
    let content = streams.contents + Int(slot)
    let flow = flows.flows + Int(content.pointee.flow)
    var count: UInt64 = 0
    content.pointee.layer.finish(direction, frame: number) { message in
      count &+= 1
      sink.message(message, flow: flow.pointee, time: time)
    }
    base.messages &+= count
    stop(&stream)
  }

  private mutating func hand(
    _ bytes: Bytes, _ stream: inout StreamDirection, _ slot: Int32, _ direction: FlowDirection, _ number: UInt64, _ time: EventTime,
    _ sink: some PacketSink
  ) {
    if consume(bytes, slot, direction, number, time, sink) == .enough { stop(&stream) }
  }

  @inline(__always)
  private mutating func deliver(
    _ bytes: Bytes, _ slot: Int32, _ direction: FlowDirection, _ number: UInt64, _ time: EventTime, _ sink: some PacketSink
  ) {
    guard consume(bytes, slot, direction, number, time, sink) == .enough else { return }
    if direction == .toResponder {
      streams.contents[Int(slot)].toResponder.wants = false
    } else {
      streams.contents[Int(slot)].toOriginator.wants = false
    }
  }

  @inline(__always)
  private mutating func consume(
    _ bytes: Bytes, _ slot: Int32, _ direction: FlowDirection, _ number: UInt64, _ time: EventTime, _ sink: some PacketSink
  ) -> StreamDemand {
    let content = streams.contents + Int(slot)
    let flow = flows.flows + Int(content.pointee.flow)
    var count: UInt64 = 0
    let demand = content.pointee.layer.consume(bytes, direction, frame: number) { message in
      count &+= 1
      sink.message(message, flow: flow.pointee, time: time)
    }
    base.messages &+= count
    return demand
  }

  // MARK: Flows that ended

  /// Hands on what ended, each behind the last messages of its content.
  private mutating func report(_ sink: some PacketSink) {
    var ended: [FlowRecord] = []
    swap(&ended, &flows.ended)
    for i in ended.indices {
      let slot = ended[i].flow.content
      if slot >= 0, ended[i].end != .active { close(slot, &ended[i].flow, sink) }
      sink.flow(ended[i])
    }
    ended.removeAll(keepingCapacity: true)
    swap(&ended, &flows.ended)
  }

  /// The flow is over, and its place may already be another's: its content is told with the record that was kept.
  private mutating func close(_ slot: Int32, _ flow: inout Flow, _ sink: some PacketSink) {
    let content = streams.contents + Int(slot)
    let (number, time) = (flow.lastFrame, flow.lastTime)
    let ended = flow
    var count: UInt64 = 0
    for direction in FlowDirection.allCases {
      var stream = direction == .toResponder ? content.pointee.toResponder : content.pointee.toOriginator
      func tell(_ message: borrowing ApplicationMessage) {
        count &+= 1
        sink.message(message, flow: ended, time: time)
      }
      while stream.wants, let start = streams.pendingStart(stream) {
        lose(Int(start &- stream.next), &stream, slot, direction)
        stream.next = start
        while stream.wants, let bytes = streams.takeNext(&stream) {
          stream.next &+= UInt32(bytes.count)
          if content.pointee.layer.consume(bytes, direction, frame: number, emit: tell) == .enough { stop(&stream) }
        }
      }
      if !stream.isFinished { content.pointee.layer.finish(direction, frame: number, emit: tell) }
      if direction == .toResponder { content.pointee.toResponder = stream } else { content.pointee.toOriginator = stream }
    }
    base.messages &+= count
    flow.protocolName = content.pointee.layer.protocolName
    streams.remove(slot)
  }
}

/// `Flow.content` where there is none.
enum FlowContentState {
  static let none: Int32 = -1
  static let done: Int32 = -2
}
