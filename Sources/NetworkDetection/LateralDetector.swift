// Movement inside: one of the owner's hosts reaches the administration ports of many others that it never reached before.
// What it may do every day is learned, not named: a (source, host, port) that was reached once is known from then on, so that a machine that
// administers others is told about once, when its first round is seen, and not again. Only connections that were answered count: what failed is
// a scan. At least 8 hosts that are new to the source within an hour.
// Memory: `Limits.knownReaches` triples, `Limits.reachSources` sources with two bitmaps of 1024 bits.
import Events
import Primitives

struct LateralDetector: ~Copyable {
  static let minimumHosts = 8
  /// SSH, Telnet, RPC, NetBIOS, SMB, Docker, RDP, VNC, WinRM, kubelet.
  static let administration: [UInt16] = [22, 23, 135, 139, 445, 2375, 2376, 3389, 5900, 5985, 5986, 10250]

  struct Reach: TableKey {
    var source: IPAddress
    var destination: IPAddress
    var port: UInt16
  }
  struct Spread {
    var hosts = PairedBitmap(words: 16)
    var firstTime: EventTime
    var isAttested = true
    var reported = 0
  }
  private var known = BoundedTable<Reach, EventTime>(capacity: Limits.knownReaches)
  private var spreads = BoundedTable<IPAddress, Spread>(capacity: Limits.reachSources)

  var drops: [(cause: String, count: UInt64)] {
    [("reached services evicted", known.evictions), ("sources evicted from the lateral movement detector", spreads.evictions)]
  }

  mutating func observe(
    _ flow: FlowFacts, at time: EventTime, _ configuration: NetworkDetectionConfiguration, into findings: inout [NetworkFinding]
  ) {
    guard flow.transport == .tcp, flow.outcome == .answered, LateralDetector.administration.contains(flow.destinationPort),
      flow.source != flow.destination, configuration.isOwn(flow.source), configuration.isOwn(flow.destination)
    else { return }
    let reach = Reach(source: flow.source, destination: flow.destination, port: flow.destinationPort)
    if known.updateExisting(reach, { $0 = time }) != nil { return }
    known.update(reach, make: { time }) { $0 = time }
    let half = Limits.reachWindow.count / 2
    spreads.update(flow.source, make: { Spread(firstTime: flow.firstTime) }) { spread in
      if spread.hosts.isStale(at: time, half) { spread = Spread(firstTime: flow.firstTime) }
      spread.hosts.insert(PairedBitmap.hash(flow.destination), at: time, half)
      if flow.trust == .claimed { spread.isAttested = false }
      let hosts = spread.hosts.count
      guard hosts >= LateralDetector.minimumHosts, hosts >= 2 * spread.reported else { return }
      spread.reported = hosts
      var finding = NetworkFinding(
        "lateral-movement", trust: spread.isAttested ? .attested : .claimed, firstTime: spread.firstTime, lastTime: time)
      finding.source = flow.source
      finding.destinationPort = Int64(flow.destinationPort)
      finding.transport = "tcp"
      finding.numbers = [("distinct_hosts", Int64(hosts))]
      findings.append(finding)
    }
  }
}
