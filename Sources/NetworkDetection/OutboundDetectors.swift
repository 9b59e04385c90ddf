// What leaves the owner's network: hands each flow from inside to outside to the detectors of beacons, volume, tunnels and new services.
import Events
import Primitives

struct OutboundDetectors: ~Copyable {
  private var learning = Learning()
  private var own = OwnAddress()
  private var names = ServerNames()
  private var beacon = Beacon()
  private var volume = OutboundVolume()
  private var tunnel = ICMPTunnel()
  private var service = NewService()

  /// Whoever is met within this time was there before us: heartbeats and polls come every ten minutes or more often.
  static let learningTime = Nanoseconds.minutes(10)

  /// A hello or a request, which names its server.
  mutating func observeName(_ event: borrowing Event) { names.observe(event) }

  mutating func observe(
    _ flow: FlowFacts, _ event: borrowing Event, at time: EventTime, _ configuration: NetworkDetectionConfiguration,
    into findings: inout [NetworkFinding]
  ) {
    learning.note(flow.firstTime)
    own.note(flow)
    guard isOutbound(flow, configuration) else { return }
    if flow.transport == .icmp {
      tunnel.observe(flow, payload: event.integer(.icmpPayloadBytes) ?? 0, at: time, into: &findings)
      return
    }
    let isLearning = learning.isWithin(OutboundDetectors.learningTime, at: flow.firstTime)
    let name = names.name(of: flow)
    let isNamelessHTTP = name.isEmpty && (event.text(.networkProtocol)?.equals("http") ?? false)
    let watched = learning.since.map { time - $0 } ?? Nanoseconds(0)
    service.observe(flow, name, at: time, isLearning: isLearning, into: &findings)
    beacon.observe(flow, name, isNamelessHTTP: isNamelessHTTP, at: time, isLearning: isLearning, watched: watched, into: &findings)
    volume.observe(
      flow, name, at: time, isLearning: learning.isWithin(OutboundVolume.learning, at: flow.firstTime), budget: configuration.dailyOutboundBytes,
      into: &findings)
  }

  func forEachMemory(_ body: (NetworkMemoryEntry) -> Void) { service.forEachUsed { body(.used(place: $0)) } }
  mutating func takeUsed(_ place: Int) { service.takeUsed(place) }

  private func isOutbound(_ flow: FlowFacts, _ configuration: NetworkDetectionConfiguration) -> Bool {
    guard !flow.destination.isMulticast, !configuration.isOwn(flow.destination) else { return false }
    return configuration.isOwn(flow.source) || own.isElected(flow.source)
  }

  var drops: [(cause: String, count: UInt64)] {
    [
      ("names of servers forgotten", names.evictions), ("peers evicted from the beacon detector", beacon.evictions),
      ("peers evicted from the upload detector", volume.evictions), ("peers evicted from the echo tunnel detector", tunnel.evictions),
      ("new services beyond the day's limit, not told", service.suppressed),
    ]
  }
}
