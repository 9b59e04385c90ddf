// Tunnels through echo: many echoes with large payloads, whose sizes differ, because what is carried differs. ping sends one size.
// Sources: at least 10 echoes with a payload of 256 bytes or more (nDPI); a size that varies, or answers unlike their questions,
// is what tells a tunnel from `ping -s` (an answer repeats its question, RFC 792).
// Memory: `Limits.detectionCoolDowns` pairs that were told of, 64 bytes each.
import Events
import Primitives

struct ICMPTunnel: ~Copyable {
  private var told = BoundedTable<PeerKey, EventTime>(capacity: Limits.detectionCoolDowns)
  var evictions: UInt64 { told.evictions }
  static let leastEchoes: Int64 = 10
  static let leastPayload: Int64 = 256
  static let coolDown = Nanoseconds.hours(6)

  /// - Parameter payload: the flow's largest payload, in bytes.
  mutating func observe(_ flow: FlowFacts, payload: Int64, at time: EventTime, into findings: inout [NetworkFinding]) {
    guard flow.transport == .icmp, flow.sourcePort == 8 || flow.sourcePort == 128, payload >= ICMPTunnel.leastPayload,
      flow.sourcePackets >= ICMPTunnel.leastEchoes, flow.destinationPackets > 0
    else { return }
    let headers: Int64 = flow.source.isV4 ? 28 : 48
    let mean = max(0, flow.sourceBytes / flow.sourcePackets - headers)
    let meanBack = max(0, flow.destinationBytes / flow.destinationPackets - headers)
    let isVaried = payload - mean > payload / 16
    let isUnlike = abs(mean - meanBack) > max(16, mean / 16)
    let key = PeerKey(flow, ServerName())
    guard time - (told.peek(key) ?? .distantPast) >= ICMPTunnel.coolDown else { return }
    told.update(key, make: { time }, { $0 = time })
    var finding = NetworkFinding(
      "icmp-tunnel", reason: isVaried || isUnlike ? "varied" : "uniform", trust: flow.trust, firstTime: flow.firstTime, lastTime: flow.lastTime,
      about: flow)
    finding.transport = flow.source.isV4 ? "icmp" : "ipv6-icmp"
    finding.numbers = [
      ("echoes", flow.sourcePackets), ("answers", flow.destinationPackets), ("payload_most", payload), ("payload_mean", mean),
      ("answer_mean", meanBack),
    ]
    findings.append(finding)
  }
}
