// Scans, by sequential hypothesis testing: who asks for services that are not there.
//
// Threshold random walk (Jung, Paxson, Berger, Balakrishnan: Fast Portscan Detection Using Sequential Hypothesis Testing, IEEE S&P 2004). Each
// first contact of a source with a (host, port) moves its walk: up by ln((1 - theta1) / (1 - theta0)) where it failed, down by
// ln(theta0 / theta1) where it was answered, with theta0 = 0.8 (an honest source is answered), theta1 = 0.2 (a scanner is). It is a scanner from
// ln(P_D / P_F) on, with P_D = 0.99 and P_F = 0.01: four failures in a row. There is no window of time: a probe an hour is a probe.
// At the other threshold the paper forgets the source; here the walk stays there, so that one with much honest traffic behind it needs seven
// failures in a row, and what it failed before is forgotten. Contacts that it repeats say nothing: whoever retries a dead server is no scanner.
//
// Lanes are apart, so that what says little in one does not count in another: TCP connections, datagrams (silence says little there: more
// failures are asked for), echo requests, ARP, and packets that open nothing (FIN, NULL, XMAS, Maimon, ACK), which no honest stack sends. What
// goes to the owner's own hosts has a walk of its own, because a busy host's answers from the Internet would hide its failures inside.
//
// Many sources: at least 20 that failed twice or more, on at least 30 ports of one host, within 10 minutes.
//
// Memory: `Limits.scanNewcomers` sources of one contact, `Limits.scanSources` of several with their newest `Limits.scanContacts` each, and
// `Limits.scanTargets` hosts. A flood of addresses that come once pushes out only such.
import Events
import Primitives

struct ScanDetector: ~Copyable {
  /// Milli-nats (1000 x natural logarithm): 1000 ln(0.8 / 0.2), 1000 ln(0.99 / 0.01).
  static let step: Int32 = 1386
  static let threshold: Int32 = 4595

  enum Lane: UInt8 { case tcp, udp, echo, arp, oddFlags, acknowledgments }

  struct SourceKey: TableKey {
    /// IPv6: its /64, because one host has all of it.
    var network: IPAddress
    var lane: Lane
    /// To the owner's hosts.
    var isInward: Bool
  }
  /// A place that was asked for.
  struct Contact: Equatable {
    var host: IPAddress
    var port: UInt16
    var hasFailed: Bool
    func isSamePlace(_ other: Contact) -> Bool { port == other.port && host == other.host }
  }
  /// One contact, and what was there around it.
  struct Attempt {
    var lane: Lane
    var contact: Contact
    /// Of flags: which.
    var kind: StaticString?
    var trust: Trust
    var firstTime: EventTime
  }
  struct Newcomer {
    var contact: Contact
    var time: EventTime
    var trust: Trust
  }
  struct Target {
    var sources = PairedBitmap(words: 4)
    var ports = PairedBitmap(words: 16)
    var firstTime: EventTime
    var reportedSources = 0
    var reportedAt = EventTime.distantPast
  }
  static let minimumSources = 20
  static let minimumPorts = 30
  /// A source's first failures only: the ports of one that scans alone are not those of many.
  static let failuresOfOneAmongMany = 2...8

  private var newcomers = BoundedTable<SourceKey, Newcomer>(capacity: Limits.scanNewcomers)
  private var walks = BoundedTable<SourceKey, ScanWalk>(capacity: Limits.scanSources)
  private var targets = BoundedTable<IPAddress, Target>(capacity: Limits.scanTargets)

  var drops: [(cause: String, count: UInt64)] {
    [
      ("network sources of one contact evicted", newcomers.evictions), ("network sources evicted from the scan detector", walks.evictions),
      ("hosts evicted from the scan detector", targets.evictions),
    ]
  }

  static func network(of address: IPAddress) -> IPAddress { address.isV4 ? address : address.masked(64) }

  mutating func observe(
    _ flow: FlowFacts, at time: EventTime, _ configuration: NetworkDetectionConfiguration, into findings: inout [NetworkFinding]
  ) {
    guard let attempt = ScanDetector.attempt(flow) else { return }
    observe(attempt, of: flow.source, at: time, configuration, into: &findings)
  }

  mutating func observe(
    _ attempt: Attempt, of source: IPAddress, at time: EventTime, _ configuration: NetworkDetectionConfiguration,
    into findings: inout [NetworkFinding]
  ) {
    let contact = attempt.contact
    let key = SourceKey(network: ScanDetector.network(of: source), lane: attempt.lane, isInward: configuration.isOwn(contact.host))
    let isOwn = configuration.isOwn(source)
    var failures: Int64 = 0
    func take(_ walk: inout ScanWalk) {
      guard walk.take(attempt, at: time), contact.hasFailed else { return }
      failures = walk.failures
      if let finding = walk.report(attempt, source, isOwn: isOwn, isInward: key.isInward, at: time) { findings.append(finding) }
    }
    if walks.updateExisting(key, take) == nil {
      guard let first = newcomers.peek(key), time - first.time <= Limits.scanMemory, !first.contact.isSamePlace(contact) else {
        if !newcomers.contains(key) || !(newcomers.peek(key)?.contact.isSamePlace(contact) ?? false) {
          newcomers.update(key, make: { Newcomer(contact: contact, time: attempt.firstTime, trust: attempt.trust) }) {
            $0 = Newcomer(contact: contact, time: attempt.firstTime, trust: attempt.trust)
          }
        }
        return
      }
      _ = newcomers.removeValue(for: key)
      walks.update(key, make: { ScanWalk(first, attempt.lane) }, take)
    }
    if attempt.lane == .tcp, ScanDetector.failuresOfOneAmongMany ~= Int(clamping: failures), key.isInward || !isOwn {
      note(source, contact, attempt, at: time, into: &findings)
    }
  }

  // MARK: What an attempt is

  static func attempt(_ flow: FlowFacts) -> Attempt? {
    guard flow.outcome != .unknown || flow.oddFlags != nil, !flow.destination.isMulticast, !flow.destination.isUnspecified else { return nil }
    func made(_ lane: Lane, port: UInt16, hasFailed: Bool, kind: StaticString? = nil) -> Attempt {
      Attempt(
        lane: lane, contact: Contact(host: flow.destination, port: port, hasFailed: hasFailed), kind: kind, trust: flow.trust,
        firstTime: flow.firstTime)
    }
    switch flow.transport {
    case .tcp:
      if let flags = flow.oddFlags { return flagged(flags, flow, made) }
      return made(.tcp, port: flow.destinationPort, hasFailed: flow.outcome == .failed)
    case .udp:
      // An answer that came too late for its flow is no question; traceroute is told by what answers it.
      let isLateAnswer = flow.sourcePort < 1024 && flow.destinationPort >= 1024
      if flow.outcome == .failed, isLateAnswer || 33434...33690 ~= flow.destinationPort { return nil }
      return made(.udp, port: flow.destinationPort, hasFailed: flow.outcome == .failed)
    case .icmp:
      guard flow.sourcePort == 8 && flow.destination.isV4 || flow.sourcePort == 128 && !flow.destination.isV4 else { return nil }
      return made(.echo, port: 0, hasFailed: flow.outcome == .failed)
    case .other: return nil
    }
  }

  private static func flagged(
    _ flags: FlowFacts.OddFlags, _ flow: FlowFacts, _ made: (Lane, UInt16, Bool, StaticString?) -> Attempt
  ) -> Attempt? {
    if let kind = flags.kind { return made(.oddFlags, flow.destinationPort, true, kind) }
    // A lone ACK is also what is left of a connection that the other side forgot: those go between a service and a port chosen for it.
    guard flow.sourcePackets <= 2, flow.destinationPackets <= 2, flow.destinationPort < 32768, flow.sourcePort >= 1024 else { return nil }
    return made(.acknowledgments, flow.destinationPort, true, flags.isMaimon ? "maimon" : "ack")
  }

  // MARK: Many sources

  private mutating func note(
    _ source: IPAddress, _ contact: Contact, _ attempt: Attempt, at time: EventTime, into findings: inout [NetworkFinding]
  ) {
    let half = Limits.distributedScanWindow.count / 2
    targets.update(contact.host, make: { Target(firstTime: attempt.firstTime) }) { target in
      if target.sources.isStale(at: time, half) { target.firstTime = attempt.firstTime }
      target.sources.insert(PairedBitmap.hash(source), at: time, half)
      target.ports.insert(PairedBitmap.hash(UInt64(contact.port)), at: time, half)
      let (sources, ports) = (target.sources.count, target.ports.count)
      guard sources >= ScanDetector.minimumSources, ports >= ScanDetector.minimumPorts else { return }
      guard sources >= 2 * target.reportedSources || time - target.reportedAt > Limits.scanReminder else { return }
      target.reportedSources = sources
      target.reportedAt = time
      var finding = NetworkFinding("distributed-scan", trust: .claimed, firstTime: target.firstTime, lastTime: time)
      finding.destination = contact.host
      finding.transport = "tcp"
      finding.numbers = [("distinct_sources", Int64(sources)), ("distinct_ports", Int64(ports))]
      findings.append(finding)
    }
  }
}
