// Rebinding: a name of somebody in the Internet that first has a public address and then one inside, or both at once, so that a browser takes
// what is inside for the same origin (Jackson et al., CCS 2007, "Protecting browsers from DNS rebinding attacks").
// A name that only ever has private addresses is no such thing (a rule of its own says so, less surely). 0.0.0.0 and :: are how filters answer,
// not an address inside. Names under the owner's own domains may have both (split horizon).
// Memory: `Limits.dnsPublicNames` names that had a public address, 40 bytes each, forgotten after an hour; the oldest goes, and is counted.
import Events
import Primitives

struct DNSRebinding: ~Copyable {
  private var publicNames = BoundedTable<UInt64, EventTime>(capacity: Limits.dnsPublicNames)
  private var told = BoundedTable<UInt64, EventTime>(capacity: Limits.detectionCoolDowns)
  var evictions: UInt64 { publicNames.evictions }

  /// A browser pins an address for minutes; who waits longer than this for the second answer has lost his visitor.
  static let memory = Nanoseconds.hours(1)
  static let coolDown = Nanoseconds.hours(6)

  mutating func observe(
    _ message: DNSFacts, at time: EventTime, _ configuration: NetworkDetectionConfiguration, into findings: inout [NetworkFinding]
  ) {
    guard message.isAnswer, message.addresses.count > 0, message.domain != nil, !configuration.isOwnDomain(message.name) else { return }
    var inside: IPAddress?
    var outside: IPAddress?
    message.forEachAddress { address in
      if address.isUnspecified || address.isMulticast { return }
      if configuration.isOwn(address) { inside = inside ?? address } else { outside = outside ?? address }
    }
    let name = Fingerprint(of: message.name).low
    var wasPublic: EventTime?
    if let inside {
      wasPublic = publicNames.peek(name).flatMap { time - $0 <= DNSRebinding.memory ? $0 : nil }
      if outside != nil || wasPublic != nil, time - (told.peek(name) ?? .distantPast) >= DNSRebinding.coolDown {
        told.update(name, make: { time }, { $0 = time })
        findings.append(DNSRebinding.finding(message, inside, since: outside == nil ? wasPublic ?? time : time, isMixed: outside != nil, at: time))
      }
    }
    if outside != nil { publicNames.update(name, make: { time }, { $0 = time }) }
  }

  private static func finding(_ message: DNSFacts, _ inside: IPAddress, since: EventTime, isMixed: Bool, at time: EventTime) -> NetworkFinding {
    var finding = NetworkFinding(
      "dns-rebinding", reason: isMixed ? "both-at-once" : "changed", trust: message.trust, firstTime: since, lastTime: time)
    finding.source = message.client
    finding.destination = message.server
    finding.domain = message.domain.map { Array($0) } ?? []
    var text: [UInt8] = []
    inside.append(to: &text)
    finding.texts = [("example", Array(message.name.upTo(min(message.name.count, Limits.detectionTextBytes)))), ("inside", text)]
    finding.numbers = [("loopback", inside.isLoopback ? 1 : 0)]
    return finding
  }
}
