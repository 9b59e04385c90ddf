// What the network's events tell together: scans, floods, guessing, and whatever else no rule can say over single events. Each detector is one
// struct in one file, with its source, its parameters and its bound of memory at its head; here events are only handed to them by kind.
// What must stay true: pure. Time comes from events, memory is bounded by `Limits`, all numbers are integers, and what is found depends on
// nothing but the events and the configuration: no random key, no order of a dictionary.
import Events
import Primitives

/// What the owner says about his network.
public struct NetworkDetectionConfiguration: Sendable, Equatable {
  /// Networks that are his own besides the private ones (RFC 1918, RFC 4193, RFC 6598): at most `Limits.ownNetworks`.
  public var ownNetworks: [CIDR] = []
  /// Domains whose names may have addresses inside and outside (lower case, no dots at the ends): at most `Limits.ownDomains`.
  public var ownDomains: [String] = []
  /// Bytes that one client may send outside in a day of UTC before it is told; 0: as many as it likes.
  public var dailyOutboundBytes: Int64 = 0
  public init() {}

  /// The address belongs to the owner: a private one, or one of `ownNetworks`.
  public func isOwn(_ address: IPAddress) -> Bool {
    if address.isPrivate { return true }
    for network in ownNetworks where network.contains(address) { return true }
    return false
  }
  /// The name is one of `ownDomains`, or lies under one.
  public func isOwnDomain(_ name: Bytes) -> Bool {
    for domain in ownDomains {
      var domain = domain
      let isUnder = domain.withUTF8 { domain in
        let domain = Bytes(domain)
        let before = name.count - domain.count
        return before >= 0 && name.from(before).equals(domain) && (before == 0 || name[before - 1] == 0x2e)
      }
      if isUnder { return true }
    }
    return false
  }
}

public struct NetworkDetectionCounters: Sendable, Equatable {
  /// Events that a detector looked at.
  public var events: UInt64 = 0
  public var findings: UInt64 = 0
}

public struct NetworkDetectors: ~Copyable {
  public private(set) var counters = NetworkDetectionCounters()
  /// What the last event led to, the oldest first; emptied by the next one.
  public private(set) var findings: [NetworkFinding] = []
  private let configuration: NetworkDetectionConfiguration
  private var scans = ScanDetector()
  private var floods = FloodDetector()
  private var lateral = LateralDetector()
  private var listeners = ListenerDetector()
  private var arp = ARPDetector()
  private var outbound = OutboundDetectors()
  private var names = DNSDetectors()

  private static let prefix: StaticString = "network_traffic."

  public init(_ configuration: NetworkDetectionConfiguration) { self.configuration = configuration }

  /// Whether detectors look at such an event: one look at a bit for what logs tell.
  @inline(__always)
  public static func concerns(_ event: borrowing Event) -> Bool {
    guard let dataset = event.text(.eventDataset), dataset.starts(with: prefix) else { return false }
    // A line of a log may say of itself that it is a flow; it cannot say that the capture told it.
    return event.text(.eventProvider)?.equals("panguard-capture") ?? false
  }

  /// Takes one event at its time on the detector's clock, which never goes back by more than a believed jump. Afterwards `findings` holds
  /// what follows from it.
  public mutating func observe(_ event: borrowing Event, at time: EventTime) {
    if !findings.isEmpty { findings.removeAll(keepingCapacity: true) }
    counters.events &+= 1
    let dataset = event.text(.eventDataset)?.from(NetworkDetectors.prefix.utf8CodeUnitCount) ?? .none
    if dataset.equals("flow") {
      if let flow = FlowFacts(event) { observe(flow, event, at: time) }
    } else if dataset.equals("pressure") {
      floods.observe(pressure: event, at: time, configuration, into: &findings)
    } else if dataset.equals("kernel") {
      floods.observe(kernel: event, at: time, into: &findings)
    } else if dataset.equals("arp") {
      observe(arp: event, at: time)
    } else if dataset.equals("dns") {
      if let message = DNSFacts(event) { names.observe(message, at: time, configuration, into: &findings) }
    } else if event.has(.tlsClientServerName) || event.has(.urlDomain) {
      outbound.observeName(event)
    }
    counters.findings &+= UInt64(findings.count)
  }

  private mutating func observe(_ flow: FlowFacts, _ event: borrowing Event, at time: EventTime) {
    scans.observe(flow, at: time, configuration, into: &findings)
    lateral.observe(flow, at: time, configuration, into: &findings)
    listeners.observe(flow, at: time, configuration, into: &findings)
    outbound.observe(flow, event, at: time, configuration, into: &findings)
  }

  private mutating func observe(arp event: borrowing Event, at time: EventTime) {
    guard let action = event.text(.eventAction) else { return }
    if action.equals("arp-request") {
      guard let (source, attempt) = ARPDetector.attempt(event) else { return }
      scans.observe(attempt, of: source, at: time, configuration, into: &findings)
    } else {
      arp.observe(claim: event, at: time, into: &findings)
    }
  }

  func forEachMemory(_ body: (NetworkMemoryEntry) -> Void) {
    listeners.forEachMemory(body)
    outbound.forEachMemory(body)
  }
  mutating func take(_ entry: NetworkMemoryEntry) {
    switch entry {
    case .host, .listener: listeners.take(entry)
    case .used(let place): outbound.takeUsed(place)
    }
  }

  /// What tables had no room for, by cause.
  public var drops: [(cause: String, count: UInt64)] {
    scans.drops + floods.drops + lateral.drops + listeners.drops + arp.drops + outbound.drops + names.drops
  }
}
