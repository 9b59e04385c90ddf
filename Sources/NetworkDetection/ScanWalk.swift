// The random walk of one source in one lane (ScanDetector).
import Events
import Primitives

struct ScanWalk {
  /// Milli-nats, between the two thresholds' doubles: successes must be able to undo what failures did.
  private(set) var score: Int32 = 0
  /// First contacts that failed, since the walk last stood at the lower threshold.
  private(set) var failures: Int64 = 0
  private(set) var successes: Int64 = 0
  private var firstFailure = EventTime.distantPast
  private(set) var lastTime: EventTime
  /// A ring of the newest contacts, failed or not.
  private var contacts: [ScanDetector.Contact] = []
  private var next = 0
  private var isAttested = true
  private let step: Int32
  private var nextReport: Int64 = 0
  private var reportedAt = EventTime.distantPast

  init(_ first: ScanDetector.Newcomer, _ lane: ScanDetector.Lane) {
    lastTime = first.time
    // Of packets that no honest stack sends each says twice as much.
    step = lane == .oddFlags ? 2 * ScanDetector.step : ScanDetector.step
    contacts.reserveCapacity(8)
    walk(first.contact, first.trust, first.time)
  }

  /// False: it was here before.
  mutating func take(_ attempt: ScanDetector.Attempt, at time: EventTime) -> Bool {
    if time - lastTime > Limits.scanMemory { forget() }
    lastTime = max(lastTime, time)
    for contact in contacts where contact.isSamePlace(attempt.contact) { return false }
    walk(attempt.contact, attempt.trust, attempt.firstTime)
    return true
  }

  private mutating func forget() {
    score = 0
    contacts.removeAll(keepingCapacity: true)
    next = 0
    forgetFailures()
  }
  private mutating func forgetFailures() {
    failures = 0
    successes = 0
    isAttested = true
    nextReport = 0
  }

  private mutating func walk(_ contact: ScanDetector.Contact, _ trust: Trust, _ time: EventTime) {
    if contacts.count < Limits.scanContacts {
      contacts.append(contact)
    } else {
      contacts[next] = contact
      next = (next + 1) % contacts.count
    }
    if contact.hasFailed {
      score = min(score + step, 2 * ScanDetector.threshold)
      if failures == 0 { firstFailure = time }
      failures += 1
      if trust == .claimed { isAttested = false }
    } else {
      score = max(score - ScanDetector.step, -ScanDetector.threshold)
      successes += 1
      if score == -ScanDetector.threshold { forgetFailures() }
    }
  }

  // MARK: What is told

  /// Failures before anything is told. Silence says less of a datagram than of a connection; the owner's own hosts have many reasons to ask in
  /// vain (ncsa/bro-simple-scan asks ten times as much of them), but few to ask one other host for eight ports (`ownVerticalMinimum`).
  private static func minimum(_ lane: ScanDetector.Lane, isOwn: Bool) -> Int64 {
    switch lane {
    case .tcp: isOwn ? 12 : 4
    case .udp: isOwn ? 24 : 10
    case .echo: 16
    case .arp: 24
    case .oddFlags: 3
    case .acknowledgments: 12
    }
  }

  private static let ownVerticalMinimum: Int64 = 8

  /// The finding, where it is one and is news: failures have grown fourfold, or a day has passed.
  mutating func report(
    _ attempt: ScanDetector.Attempt, _ source: IPAddress, isOwn: Bool, isInward: Bool, at time: EventTime
  ) -> NetworkFinding? {
    let minimum = ScanWalk.minimum(attempt.lane, isOwn: isOwn)
    let earliest = isOwn && attempt.lane == .tcp ? ScanWalk.ownVerticalMinimum : minimum
    guard score >= ScanDetector.threshold, failures >= earliest else { return nil }
    guard failures >= nextReport || time - reportedAt > Limits.scanReminder else { return nil }
    let shape = ScanShape(contacts)
    guard failures >= minimum || shape.hosts == 1 else { return nil }
    // A program that shares files asks for many ports of many hosts, and half of them are gone.
    if isOwn, !isInward, shape.kind == .block { return nil }
    nextReport = failures < minimum ? minimum : failures * 4
    reportedAt = time
    let isSweep = shape.kind == .horizontal || attempt.lane == .echo || attempt.lane == .arp
    var finding = NetworkFinding(
      isSweep ? "host-sweep" : "port-scan", reason: attempt.kind ?? shape.kind.name, trust: isAttested ? .attested : .claimed,
      firstTime: firstFailure, lastTime: time)
    finding.source = source
    if shape.hosts == 1 { finding.destination = attempt.contact.host }
    if isSweep, shape.ports == 1, attempt.contact.port != 0 { finding.destinationPort = Int64(attempt.contact.port) }
    finding.direction = isOwn ? isInward ? "internal" : "outbound" : isInward ? "inbound" : "external"
    finding.transport = ScanWalk.transport(attempt)
    let span = max(0, (time - firstFailure).count) / 1_000_000_000
    finding.numbers = [
      ("score", Int64(score)), ("failures", failures), ("answered", successes), ("recent_hosts", Int64(shape.hosts)),
      ("recent_ports", Int64(shape.ports)), ("mean_gap_seconds", failures > 1 ? span / (failures - 1) : 0),
    ]
    if attempt.contact.port != 0 { finding.texts = [("example_ports", shape.examplePorts)] }
    return finding
  }

  private static func transport(_ attempt: ScanDetector.Attempt) -> StaticString? {
    switch attempt.lane {
    case .tcp, .oddFlags, .acknowledgments: "tcp"
    case .udp: "udp"
    case .echo: attempt.contact.host.isV4 ? "icmp" : "ipv6-icmp"
    case .arp: nil
    }
  }
}

/// What a scan looks like, by the newest contacts that failed: at most `Limits.scanContacts`, so that quadratic is little.
struct ScanShape {
  enum Kind {
    /// Ports of one or two hosts; one or two ports of many hosts; both.
    case vertical, horizontal, block
    var name: StaticString {
      switch self {
      case .vertical: "vertical"
      case .horizontal: "horizontal"
      case .block: "block"
      }
    }
  }
  private(set) var hosts = 0
  private(set) var ports = 0
  private(set) var kind = Kind.block
  /// The smallest ones, as a list.
  private(set) var examplePorts: [UInt8] = []

  init(_ contacts: [ScanDetector.Contact]) {
    var seenPorts: [UInt16] = []
    var seenHosts: [IPAddress] = []
    for contact in contacts where contact.hasFailed {
      if !seenPorts.contains(contact.port) { seenPorts.append(contact.port) }
      if !seenHosts.contains(contact.host) { seenHosts.append(contact.host) }
    }
    hosts = seenHosts.count
    ports = seenPorts.count
    kind = hosts <= 2 && ports >= hosts ? .vertical : ports <= 2 || ports * 4 <= hosts ? .horizontal : .block
    for port in seenPorts.sorted().prefix(8) {
      if !examplePorts.isEmpty { examplePorts.append(0x2c) }
      examplePorts.append(decimal: Int64(port))
    }
  }
}
