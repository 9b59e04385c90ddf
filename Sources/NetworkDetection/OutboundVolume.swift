// What leaves in volume: more than this network's flows ever send, to somebody who was not there before, who sends little back.
// Sources: producer-consumer ratio (out - in) / (out + in) > 0.5 (Gerth and Bullard 2014); a flow's bytes as a robust z value of their
// logarithm, (x - median) / (1.4826 MAD) > 5, from a histogram in quarter octaves (measured on generated traffic); an
// optional budget for each client and day.
//   large-upload   1 MiB in flows with z > 5
//   steady-upload  1 MiB, nine tenths of all bytes, in at least 12 flows over at least 4 hours: a thief with patience
// Nothing is judged before 4 hours and 100 flows have shown what is usual; whoever received until then is known, and not told.
// Memory: the histogram, and `Limits.uploadPeers` peers of about 200 bytes; the one that was silent longest goes, and is counted.
import Events
import Primitives

struct OutboundVolume: ~Copyable {
  private struct Peer {
    var firstTime: EventTime
    var name: ServerName
    var isKnown: Bool
    var trust: Trust = .attested
    var flows: Int64 = 0
    var bytesOut: Int64 = 0
    var bytesIn: Int64 = 0
    /// Of flows with z > 5.
    var bytesOfLarge: Int64 = 0
    var greatestZ: Int64 = 0
    var reported: (large: Int64, steady: Int64) = (0, 0)
  }
  private struct Client {
    var day: Int64
    var bytes: Int64 = 0
    var isTold = false
  }
  private var peers = BoundedTable<PeerKey, Peer>(capacity: Limits.uploadPeers)
  private var clients = BoundedTable<IPAddress, Client>(capacity: Limits.dnsClients)
  /// Flows by bytes sent, in quarter octaves.
  private var flows = [Int64](repeating: 0, count: 256)
  private var total: Int64 = 0
  /// Median and deviation in quarter octaves, and of how many flows they are.
  private var usual: (median: Int, deviation: Int, total: Int64) = (0, 2, 0)
  var evictions: UInt64 { peers.evictions &+ clients.evictions }

  static let learning = Nanoseconds.hours(4)
  static let leastFlows: Int64 = 100
  static let window = Nanoseconds.hours(24)
  static let leastBytes: Int64 = 1024 * 1024
  static let steady = (flows: Int64(12), span: Nanoseconds.hours(4))

  mutating func observe(
    _ flow: FlowFacts, _ name: ServerName, at time: EventTime, isLearning: Bool, budget: Int64, into findings: inout [NetworkFinding]
  ) {
    guard flow.outcome == .answered, !flow.isOngoing, flow.transport == .tcp || flow.transport == .udp else { return }
    count(flow, budget: budget, into: &findings)
    let z = zValue(flow.sourceBytes)
    let isJudged = !isLearning && total >= OutboundVolume.leastFlows
    note(flow.sourceBytes)
    peers.update(PeerKey(flow, name), make: { Peer(firstTime: flow.firstTime, name: name, isKnown: isLearning) }) { peer in
      if time - peer.firstTime > OutboundVolume.window { peer = Peer(firstTime: flow.firstTime, name: name, isKnown: peer.isKnown) }
      peer.flows += 1
      peer.bytesOut = peer.bytesOut.addingClamped(flow.sourceBytes)
      peer.bytesIn = peer.bytesIn.addingClamped(flow.destinationBytes)
      peer.trust = min(peer.trust, flow.trust)
      if z > 5000, OutboundVolume.ratio(flow.sourceBytes, flow.destinationBytes) > 500 {
        peer.bytesOfLarge = peer.bytesOfLarge.addingClamped(flow.sourceBytes)
        peer.greatestZ = max(peer.greatestZ, z)
      }
      if isJudged, !peer.isKnown { OutboundVolume.judge(&peer, flow, at: time, into: &findings) }
    }
  }

  /// Thousandths of (out - in) / (out + in).
  private static func ratio(_ out: Int64, _ back: Int64) -> Int64 {
    let (out, back) = (min(out, 1 << 50), min(back, 1 << 50))
    return out + back == 0 ? 0 : (out - back) * 1000 / (out + back)
  }

  private mutating func note(_ bytes: Int64) {
    flows[OutboundVolume.bucket(bytes)] += 1
    total += 1
  }
  private static func bucket(_ bytes: Int64) -> Int { Int(min(255, IntegerLogarithm.milliLog2(bytes) / 250)) }

  /// Thousandths. The deviation is at least half an octave: where all flows are alike, the first other one is no theft yet.
  private mutating func zValue(_ bytes: Int64) -> Int64 {
    if total > usual.total + usual.total / 16 { measure() }
    return Int64(OutboundVolume.bucket(bytes) - usual.median) * 1_000_000 / (1483 * Int64(usual.deviation))
  }
  private mutating func measure() {
    let median = OutboundVolume.median(total) { flows[$0] }
    let deviation = OutboundVolume.median(total) { d in
      d == 0 ? flows[median] : (median >= d ? flows[median - d] : 0) + (median + d < 256 ? flows[median + d] : 0)
    }
    usual = (median, max(2, deviation), total)
  }
  private static func median(_ total: Int64, _ count: (Int) -> Int64) -> Int {
    var seen: Int64 = 0
    for i in 0..<256 {
      seen += count(i)
      if seen * 2 >= total { return i }
    }
    return 255
  }

  private static func judge(_ peer: inout Peer, _ flow: FlowFacts, at time: EventTime, into findings: inout [NetworkFinding]) {
    let ratio = ratio(peer.bytesOut, peer.bytesIn)
    if ratio > 500, peer.bytesOfLarge >= leastBytes, peer.bytesOfLarge / 8 >= peer.reported.large {
      peer.reported.large = peer.bytesOfLarge
      findings.append(finding("large-upload", peer, ratio, flow, at: time))
    }
    if ratio > 800, peer.bytesOut >= leastBytes, peer.flows >= steady.flows, time - peer.firstTime >= steady.span,
      peer.bytesOut / 8 >= peer.reported.steady
    {
      peer.reported.steady = peer.bytesOut
      findings.append(finding("steady-upload", peer, ratio, flow, at: time))
    }
  }

  private static func finding(_ reason: StaticString, _ peer: Peer, _ ratio: Int64, _ flow: FlowFacts, at time: EventTime) -> NetworkFinding {
    var finding = NetworkFinding(
      "exfiltration", reason: reason, trust: peer.trust, firstTime: peer.firstTime, lastTime: time, about: flow, peer.name)
    finding.destinationPort = Int64(flow.destinationPort)
    finding.numbers = [
      ("bytes_out", peer.bytesOut), ("bytes_in", peer.bytesIn), ("ratio", ratio), ("flows", peer.flows), ("bytes_of_large_flows", peer.bytesOfLarge),
      ("z", peer.greatestZ),
    ]
    return finding
  }

  /// The budget of the client and day of UTC; 0: there is none.
  private mutating func count(_ flow: FlowFacts, budget: Int64, into findings: inout [NetworkFinding]) {
    guard budget > 0 else { return }
    let day = flow.lastTime.nanoseconds / Nanoseconds.days(1).count
    clients.update(flow.source, make: { Client(day: day) }) { client in
      if day != client.day { client = Client(day: day) }
      client.bytes = client.bytes.addingClamped(flow.sourceBytes)
      guard client.bytes > budget, !client.isTold else { return }
      client.isTold = true
      var finding = NetworkFinding(
        "outbound-budget", trust: flow.trust, firstTime: EventTime(nanoseconds: day * Nanoseconds.days(1).count), lastTime: flow.lastTime)
      finding.source = flow.source
      finding.numbers = [("bytes_out", client.bytes), ("budget", budget)]
      findings.append(finding)
    }
  }
}

extension Int64 {
  fileprivate func addingClamped(_ other: Int64) -> Int64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
