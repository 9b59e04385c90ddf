// What a detector found, as an event of its own that rules speak of: `event.dataset` network.detection, `event.action` what it is, the numbers
// that explain it as `panguard.detection.*`. A rule decides severity, confidence, technique and response.
import Events
import Primitives

public struct NetworkFinding: Sendable {
  /// `event.action`: port-scan, host-sweep, syn-flood, beacon, ...
  public var action: StaticString
  /// `event.reason`: which kind of it; nil: there is one.
  public var reason: StaticString?
  /// Attested only if every event that it needed was (`NetworkEvents.trust`: whoever sends a packet writes its source address).
  public var trust: Trust
  public var source: IPAddress?
  public var destination: IPAddress?
  public var sourcePort: Int64?
  public var destinationPort: Int64?
  public var transport: StaticString?
  /// `network.direction`, where it is not that of the two addresses: of a sweep, which has no one destination.
  public var direction: StaticString?
  /// It is about whom the source talks to (`panguard.detection.subject`): an address outside is the subject, not the machine inside.
  public var isAboutDestination = false
  /// The name of the destination (`destination.domain`), and the registered domain that it is about; empty: none.
  public var name: [UInt8] = []
  public var domain: [UInt8] = []
  /// Event time of what it began with, and of the newest part.
  public var firstTime: EventTime
  public var lastTime: EventTime
  /// Names behind `panguard.detection.`, in the order in which they are told. Text values are short, and of our own making or cut.
  public var numbers: [(name: StaticString, value: Int64)] = []
  public var texts: [(name: StaticString, value: [UInt8])] = []

  public init(_ action: StaticString, reason: StaticString? = nil, trust: Trust, firstTime: EventTime, lastTime: EventTime) {
    self.action = action
    self.reason = reason
    self.trust = trust
    self.firstTime = firstTime
    self.lastTime = lastTime
  }

  /// About whom a machine inside talks to, by one of its flows.
  init(
    _ action: StaticString, reason: StaticString? = nil, trust: Trust, firstTime: EventTime, lastTime: EventTime, about flow: FlowFacts,
    _ name: ServerName = ServerName()
  ) {
    self.init(action, reason: reason, trust: trust, firstTime: firstTime, lastTime: lastTime)
    isAboutDestination = true
    direction = "outbound"
    source = flow.source
    destination = flow.destination
    self.name = name.bytes
  }

  /// Sets the fields of `event`, which was begun by the caller.
  public func appendFields(to event: inout Event) {
    event.trust = trust
    event.set(.eventCategory, "network" as StaticString)
    event.set(.eventProvider, "panguard" as StaticString)
    event.set(.eventDataset, "network.detection" as StaticString)
    event.set(.eventAction, action)
    if let reason { event.set(.eventReason, reason) }
    if let source { event.set(.sourceIP, source) }
    if let destination { event.set(.destinationIP, destination) }
    if let sourcePort { event.set(.sourcePort, sourcePort) }
    if let destinationPort { event.set(.destinationPort, destinationPort) }
    if let transport { event.set(.networkTransport, transport) }
    if let direction { event.set(.networkDirection, direction) }
    if isAboutDestination { event.setExtra(Bytes("panguard.detection.subject"), Bytes("destination")) }
    if !name.isEmpty { name.withUnsafeBytes { event.set(.destinationDomain, $0) } }
    if !domain.isEmpty { domain.withUnsafeBytes { event.set(.dnsQuestionRegisteredDomain, $0) } }
    event.set(.eventDuration, max(0, (lastTime - firstTime).count))
    var name: [UInt8] = []
    // Without a source it is about the host that it happens to: each has incidents of its own.
    if source == nil, let destination {
      destination.append(to: &name)
      name.withUnsafeBytes { event.set(.hostName, $0) }
    }
    func setExtra(_ key: StaticString, _ value: Bytes) {
      name.removeAll(keepingCapacity: true)
      name.append("panguard.detection.")
      name.append(Bytes(key))
      name.withUnsafeBytes { event.setExtra($0, value) }
    }
    var text: [UInt8] = []
    for number in numbers {
      text.removeAll(keepingCapacity: true)
      text.append(decimal: number.value)
      text.withUnsafeBytes { setExtra(number.name, $0) }
    }
    for entry in texts { entry.value.withUnsafeBytes { setExtra(entry.name, $0) } }
  }
}
