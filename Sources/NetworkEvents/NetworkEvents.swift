// What the analyzer found, as events: one for each protocol message and for each flow that ended. The originator is the event's source.
// What trust means here (DESIGN 6): whoever sent a packet can have written any address into it. An event is `attested` where the address has
// been confirmed by an answer: of a TCP connection that both ends opened and over which the responder sent data, because it sends none before
// its peer has acknowledged a number that only that address was told. Everything else is `claimed`: datagrams, half-open connections, the
// first bytes of a connection, what came inside a tunnel. Who sits on the same link can forge both sides: he can take the address over as well.
import Events
import PacketParsers
import Primitives

/// Who takes an event; `frame`: the number of the frame that completed it.
public protocol EventTaker: AnyObject {
  func take(_ event: borrowing Event, interface: UInt16, frame: UInt64)
}

/// The sink of an analyzer: one for each interface, or file.
public final class NetworkEvents: PacketSink {
  /// Of the channel.
  public let interface: UInt16
  /// What the interface is called, where one is known for all frames.
  public var interfaceName: String
  private unowned let taker: EventTaker
  private var event = Event()
  private var text: [UInt8] = []
  /// The newest frame: what is told of an interval is told with it.
  private var frame: UInt64 = 0
  public private(set) var messages: UInt64 = 0
  public private(set) var flows: UInt64 = 0

  public init(interface: UInt16, name: String, taker: EventTaker) {
    self.interface = interface
    interfaceName = name
    self.taker = taker
  }

  public func message(_ message: borrowing ApplicationMessage, flow: Flow, time: EventTime) {
    messages &+= 1
    begin(message.frame, NetworkEvents.trust(flow))
    event.time = time
    flow.appendEnds(to: &event, clientDirection: message.clientDirection, scratch: &text)
    setInterface()
    message.appendFields(to: &event)
    setDirection()
    if case .tlsCertificate(let certificate) = message.content, certificate.notAfter.count > 0 {
      // Both are RFC 3339 in UTC, of one length up to the seconds.
      let now = Array("\(time)".utf8.prefix(19))
      if certificate.notAfter.withBytes({ $0.upTo(19).lexicographicallyPrecedes(now) }) { event.set(.tlsServerExpired, 1) }
    }
    taker.take(event, interface: interface, frame: message.frame)
  }

  public func flow(_ record: FlowRecord) {
    flows &+= 1
    begin(record.flow.lastFrame, NetworkEvents.trust(record.flow))
    record.appendFields(to: &event, scratch: &text)
    setDirection()
    taker.take(event, interface: interface, frame: record.flow.lastFrame)
  }

  public func pressure(_ record: PressureRecord) {
    begin(frame, .claimed)
    record.appendFields(to: &event, scratch: &text)
    take()
  }

  public func arp(_ news: ARPNews, frame: UInt64) {
    begin(frame, .claimed)
    news.appendFields(to: &event, scratch: &text)
    take()
  }

  public func decoded(_ packet: Packet, frame: UInt64, time: EventTime) { self.frame = frame }

  private func take() {
    setInterface()
    taker.take(event, interface: interface, frame: frame)
  }

  /// What the kernel did about its listening sockets within `Limits.pressureInterval`: its own word.
  public func kernel(syncookiesSent: UInt64, listenOverflows: UInt64, listenDrops: UInt64, at time: EventTime, frame: UInt64) {
    begin(frame, .attested)
    event.time = time
    event.set(.eventCategory, "network" as StaticString)
    event.set(.eventDataset, "network_traffic.kernel" as StaticString)
    event.set(.eventAction, "kernel-listen-pressure" as StaticString)
    event.set(.eventDuration, Limits.pressureInterval.count)
    event.set(.networkTransport, "tcp" as StaticString)
    set("panguard.kernel.syncookies_sent", Int64(clamping: syncookiesSent))
    set("panguard.kernel.listen_overflows", Int64(clamping: listenOverflows))
    set("panguard.kernel.listen_drops", Int64(clamping: listenDrops))
    taker.take(event, interface: interface, frame: frame)
  }

  /// What the capture lost, where that is worth an event.
  public func loss(packets: UInt64, kernelDrops: UInt64, ringFreezes: UInt64, at time: EventTime, frame: UInt64) {
    begin(frame, .attested)
    event.time = time
    event.set(.eventCategory, "network" as StaticString)
    event.set(.eventDataset, "network.capture" as StaticString)
    event.set(.eventAction, "capture-loss" as StaticString)
    setInterface()
    set("panguard.capture.packets", Int64(clamping: packets))
    set("panguard.capture.kernel_drops", Int64(clamping: kernelDrops))
    set("panguard.capture.ring_freezes", Int64(clamping: ringFreezes))
    taker.take(event, interface: interface, frame: frame)
  }

  /// What reads packets for the events: one of `share` analyzers of a process, which share the limits.
  public static func analyzer(share: Int = 1) -> PacketAnalyzer {
    func part(_ limit: Int) -> Int { max(64, limit / max(1, share)) }
    return PacketAnalyzer(
      seed: (.random(in: 0 ... .max), .random(in: 0 ... .max)), flowCapacity: part(Limits.flows), halfOpenCapacity: part(Limits.halfOpenFlows),
      contentCapacity: part(Limits.inspectedFlows), reportsActiveFlows: true)
  }

  private func setInterface() {
    if !interfaceName.isEmpty { interfaceName.withBytes { event.set(.networkInboundInterface, $0) } }
  }
  private func setDirection() {
    guard let source = event.address(.sourceIP), let destination = event.address(.destinationIP) else { return }
    event.set(.networkDirection, NetworkDirection.name(from: source, to: destination))
  }

  private func begin(_ frame: UInt64, _ trust: Trust) {
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: frame, length: 0))
    event.trust = trust
    event.set(.eventProvider, "panguard-capture" as StaticString)
  }

  /// What can be said of who sent what this flow carries; see above.
  public static func trust(_ flow: Flow) -> Trust {
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
