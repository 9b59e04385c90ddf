// What the analyzer found, as events: one for each protocol message and for each flow that ended. The originator is the event's source.
// What trust means here (DESIGN 6): whoever sent a packet can have written any address into it. An event is `attested` where the address has
// been confirmed by an answer: of a TCP connection that both ends opened and over which the responder sent data, because it sends none before
// its peer has acknowledged a number that only that address was told. Everything else is `claimed`: datagrams, half-open connections, the
// first bytes of a connection, what came inside a tunnel.
import Events
import PacketParsers
import Primitives

/// Who takes an event; `frame`: the number of the frame that completed it.
protocol EventTaker: AnyObject {
  func take(_ event: borrowing Event, interface: UInt16, frame: UInt64)
}

final class NetworkEvents: PacketSink {
  /// Of the channel.
  let interface: UInt16
  /// What the interface is called, where one is known for all frames.
  var interfaceName: String
  private unowned let taker: EventTaker
  private var event = Event()
  private var text: [UInt8] = []
  /// Of the frame that is being analyzed, for flows whose protocol does not say.
  private(set) var messages: UInt64 = 0
  private(set) var flows: UInt64 = 0

  init(interface: UInt16, name: String, taker: EventTaker) {
    self.interface = interface
    interfaceName = name
    self.taker = taker
  }

  func message(_ message: borrowing ApplicationMessage, flow: Flow, time: EventTime) {
    messages &+= 1
    let clientIsOriginator = (message.direction == .toResponder) == message.isFromClient
    begin(flow, time, isReversed: !clientIsOriginator)
    interfaceName.withBytes { event.set(.networkInboundInterface, $0) }
    message.appendFields(to: &event)
    set("frame.number", Int64(clamping: message.frame))
    taker.take(event, interface: interface, frame: message.frame)
  }

  func flow(_ record: FlowRecord) {
    flows &+= 1
    let flow = record.flow
    begin(flow, flow.lastTime, isReversed: false)
    event.set(.eventDataset, "network.flow" as StaticString)
    event.set(.eventAction, record.end == .active ? "network-flow-active" as StaticString : "network-flow")
    event.set(.eventReason, record.end.name)
    event.set(.eventDuration, max(0, flow.lastTime.nanoseconds &- flow.firstTime.nanoseconds))
    if let name = flow.protocolName?.name { event.set(.networkProtocol, name) }
    let (out, back) = (flow.toResponder, flow.toOriginator)
    event.set(.networkBytes, Int64(clamping: out.bytes &+ back.bytes))
    set("network.packets", Int64(clamping: out.packets &+ back.packets))
    set("source.bytes", Int64(clamping: out.bytes))
    set("source.packets", Int64(clamping: out.packets))
    set("destination.bytes", Int64(clamping: back.bytes))
    set("destination.packets", Int64(clamping: back.packets))
    if flow.vlan != 0 { set("network.vlan.id", Int64(flow.vlan)) }
    if let state = flow.connectionState { set("panguard.flow.state", Bytes(state.name)) }
    set("frame.number", Int64(clamping: flow.lastFrame))
    taker.take(event, interface: interface, frame: flow.lastFrame)
  }

  /// What the capture lost, where that is worth an event.
  func loss(_ lost: InterfaceCounters, at time: EventTime, frame: UInt64) {
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: frame, length: 0))
    event.time = time
    event.trust = .attested
    event.set(.eventCategory, "network" as StaticString)
    event.set(.eventDataset, "network.capture" as StaticString)
    event.set(.eventProvider, "panguard-capture" as StaticString)
    event.set(.eventAction, "capture-loss" as StaticString)
    interfaceName.withBytes { event.set(.networkInboundInterface, $0) }
    set("panguard.capture.packets", Int64(clamping: lost.packets))
    set("panguard.capture.kernel_drops", Int64(clamping: lost.kernelDrops))
    set("panguard.capture.ring_freezes", Int64(clamping: lost.ringFreezes))
    taker.take(event, interface: interface, frame: frame)
  }

  private func begin(_ flow: Flow, _ time: EventTime, isReversed: Bool) {
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: flow.lastFrame, length: 0))
    event.time = time
    event.trust = NetworkEvents.trust(flow)
    event.set(.eventCategory, "network" as StaticString)
    event.set(.eventProvider, "panguard-capture" as StaticString)
    let (originator, responder) = (flow.originator.address(isIPv6: flow.isIPv6), flow.responder.address(isIPv6: flow.isIPv6))
    event.set(.sourceIP, isReversed ? responder : originator)
    event.set(.destinationIP, isReversed ? originator : responder)
    set("network.type", Bytes(flow.isIPv6 ? "ipv6" as StaticString : "ipv4"))
    text.removeAll(keepingCapacity: true)
    flow.appendCommunityID(to: &text)
    text.withUnsafeBytes { set("network.community_id", $0) }
    if let transport = NetworkEvents.transports.first(where: { $0.number == flow.ipProtocol }) {
      event.set(.networkTransport, transport.name)
    } else {
      text.removeAll(keepingCapacity: true)
      text.append(decimal: Int64(flow.ipProtocol))
      text.withUnsafeBytes { event.set(.networkTransport, $0) }
    }
    guard flow.hasPorts else { return }
    event.set(.sourcePort, Int64(isReversed ? flow.responderPort : flow.originatorPort))
    event.set(.destinationPort, Int64(isReversed ? flow.originatorPort : flow.responderPort))
  }

  private static let transports: [(number: UInt8, name: StaticString)] = [
    (IPProtocol.tcp, "tcp"), (IPProtocol.udp, "udp"), (IPProtocol.icmp, "icmp"), (IPProtocol.icmpv6, "ipv6-icmp"), (IPProtocol.sctp, "sctp"),
    (IPProtocol.gre, "gre"),
  ]

  static func trust(_ flow: Flow) -> Trust {
    let isOpened = flow.toResponder.flags.contains(.syn) && flow.toOriginator.flags.contains(.syn)
    return flow.ipProtocol == IPProtocol.tcp && flow.tunnel == .none && isOpened && flow.toOriginator.payloadBytes > 0 ? .attested : .claimed
  }

  /// Names that this version's table of fields may not have are fields outside it.
  private func set(_ name: StaticString, _ value: Int64) {
    text.removeAll(keepingCapacity: true)
    text.append(decimal: value)
    text.withUnsafeBytes { set(name, $0) }
  }
  private func set(_ name: StaticString, _ value: Bytes) {
    if let field = Field(name: Bytes(name)), event.set(field, parsing: value) { return }
    event.setExtra(Bytes(name), value)
  }
}

extension String {
  fileprivate func withBytes(_ body: (Bytes) -> Void) {
    var copy = self
    copy.withUTF8 { body(Bytes($0)) }
  }
}
