// What the analyzer found, as events: one for each protocol message and for each flow that ended. The originator is the event's source.
// What trust means here (DESIGN 6): whoever sent a packet can have written any address into it. An event is `attested` where the address has
// been confirmed by an answer: of a TCP connection that both ends opened and over which the responder sent data, because it sends none before
// its peer has acknowledged a number that only that address was told. Everything else is `claimed`: datagrams, half-open connections, the
// first bytes of a connection, what came inside a tunnel. Who sits on the same link can forge both sides: he can take the address over as well.
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
  /// The newest frame: what is told of an interval is told with it.
  private var frame: UInt64 = 0
  private(set) var messages: UInt64 = 0
  private(set) var flows: UInt64 = 0

  init(interface: UInt16, name: String, taker: EventTaker) {
    self.interface = interface
    interfaceName = name
    self.taker = taker
  }

  func message(_ message: borrowing ApplicationMessage, flow: Flow, time: EventTime) {
    messages &+= 1
    begin(message.frame, NetworkEvents.trust(flow))
    event.time = time
    flow.appendEnds(to: &event, clientDirection: message.clientDirection, scratch: &text)
    interfaceName.withBytes { event.set(.networkInboundInterface, $0) }
    message.appendFields(to: &event)
    taker.take(event, interface: interface, frame: message.frame)
  }

  func flow(_ record: FlowRecord) {
    flows &+= 1
    begin(record.flow.lastFrame, NetworkEvents.trust(record.flow))
    record.appendFields(to: &event, scratch: &text)
    taker.take(event, interface: interface, frame: record.flow.lastFrame)
  }

  func pressure(_ record: PressureRecord) {
    begin(frame, .claimed)
    record.appendFields(to: &event, scratch: &text)
    take()
  }

  func arp(_ news: ARPNews, frame: UInt64) {
    begin(frame, .claimed)
    news.appendFields(to: &event, scratch: &text)
    take()
  }

  func decoded(_ packet: Packet, frame: UInt64, time: EventTime) { self.frame = frame }

  private func take() {
    if !interfaceName.isEmpty { interfaceName.withBytes { event.set(.networkInboundInterface, $0) } }
    taker.take(event, interface: interface, frame: frame)
  }

  /// What the capture lost, where that is worth an event.
  func loss(_ lost: InterfaceCounters, at time: EventTime, frame: UInt64) {
    begin(frame, .attested)
    event.time = time
    event.set(.eventCategory, "network" as StaticString)
    event.set(.eventDataset, "network.capture" as StaticString)
    event.set(.eventAction, "capture-loss" as StaticString)
    interfaceName.withBytes { event.set(.networkInboundInterface, $0) }
    set("panguard.capture.packets", Int64(clamping: lost.packets))
    set("panguard.capture.kernel_drops", Int64(clamping: lost.kernelDrops))
    set("panguard.capture.ring_freezes", Int64(clamping: lost.ringFreezes))
    taker.take(event, interface: interface, frame: frame)
  }

  private func begin(_ frame: UInt64, _ trust: Trust) {
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: frame, length: 0))
    event.trust = trust
    event.set(.eventProvider, "panguard-capture" as StaticString)
  }

  static func trust(_ flow: Flow) -> Trust {
    let isOpened = flow.toResponder.flags.contains(.syn) && flow.toOriginator.flags.contains(.syn)
    return flow.ipProtocol == IPProtocol.tcp && flow.tunnel == .none && isOpened && flow.toOriginator.payloadBytes > 0 ? .attested : .claimed
  }

  private func set(_ name: StaticString, _ value: Int64) {
    text.removeAll(keepingCapacity: true)
    text.append(decimal: value)
    text.withUnsafeBytes { event.setExtra(Bytes(name), $0) }
  }
}

extension String {
  fileprivate func withBytes(_ body: (Bytes) -> Void) {
    var copy = self
    copy.withUTF8 { body(Bytes($0)) }
  }
}
