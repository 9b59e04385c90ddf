// A flow's event as plain values, read once for all detectors.
import Events
import Primitives

struct FlowFacts {
  enum Transport { case tcp, udp, icmp, other }
  /// What became of an attempt to reach a service.
  enum Outcome {
    /// The other side answered: it opened the connection, or sent a datagram back.
    case answered
    /// Refused, or silence for as long as the flow was watched.
    case failed
    /// The flow was forgotten before anything could be said, or begins in the middle.
    case unknown
  }
  /// What a TCP flow's originator sent instead of a SYN.
  struct OddFlags {
    /// A packet that no honest stack sends: without SYN, ACK and RST.
    var kind: StaticString?
    var isMaimon = false

    /// `letters`: the flags of `panguard.flow.source_flags`. nil: they are those of a connection whose beginning was not seen, or of a reset.
    init?(_ letters: Bytes) {
      if letters.equals("none") {
        kind = "null"
      } else if letters.equals("F") {
        kind = "fin"
      } else if letters.equals("FPU") {
        kind = "xmas"
      } else if letters.equals("FA") {
        isMaimon = true
      } else if !letters.equals("A") {
        guard letters.index(of: 0x41) == nil, letters.index(of: 0x52) == nil, letters.index(of: 0x53) == nil else { return nil }
        kind = "odd"
      }
    }
  }
  var source: IPAddress
  var destination: IPAddress
  /// 0 where the transport has none; for ICMP the source's is the message's type.
  var sourcePort: UInt16
  var destinationPort: UInt16
  var transport: Transport
  var outcome: Outcome
  var sourcePackets: Int64
  var destinationPackets: Int64
  var sourceBytes: Int64
  var destinationBytes: Int64
  var firstTime: EventTime
  var lastTime: EventTime
  var trust: Trust
  var oddFlags: OddFlags?
  /// Its counters so far: it goes on.
  var isOngoing: Bool

  /// nil where the event is no flow's, or lacks what every flow has.
  init?(_ event: borrowing Event) {
    guard let source = event.address(.sourceIP), let destination = event.address(.destinationIP) else { return nil }
    self.source = source
    self.destination = destination
    sourcePort = UInt16(clamping: event.integer(.sourcePort) ?? 0)
    destinationPort = UInt16(clamping: event.integer(.destinationPort) ?? 0)
    sourcePackets = max(0, event.integer(.sourcePackets) ?? 0)
    destinationPackets = max(0, event.integer(.destinationPackets) ?? 0)
    sourceBytes = max(0, event.integer(.sourceBytes) ?? 0)
    destinationBytes = max(0, event.integer(.destinationBytes) ?? 0)
    lastTime = event.time
    firstTime = event.time - Nanoseconds(max(0, event.integer(.eventDuration) ?? 0))
    trust = event.trust
    let end = event.text(.flowEnd)
    isOngoing = end?.equals("active") ?? false
    let name = event.text(.networkTransport) ?? .none
    if name.equals("tcp") {
      transport = .tcp
      outcome = FlowFacts.outcome(ofState: event.text(.flowState) ?? .none)
      if let letters = event.extra(Bytes("panguard.flow.source_flags")) { oddFlags = OddFlags(letters) }
    } else {
      transport = name.equals("udp") ? .udp : name.equals("icmp") || name.equals("ipv6-icmp") ? .icmp : .other
      if transport == .icmp { sourcePort = UInt16(clamping: event.integer(.icmpType) ?? 0) }
      outcome = destinationPackets > 0 ? .answered : sourcePackets > 0 ? .failed : .unknown
    }
    if outcome == .failed, end?.equals("evicted") ?? false { outcome = .unknown }
  }

  /// By Zeek's names (`ConnectionState`): what the originator's SYN met.
  private static func outcome(ofState state: Bytes) -> Outcome {
    if state.equals("SF") || state.equals("S1") || state.equals("S2") || state.equals("S3") || state.equals("RSTO") || state.equals("RSTR") {
      return .answered
    }
    return state.equals("S0") || state.equals("REJ") || state.equals("RSTOS0") || state.equals("SH") ? .failed : .unknown
  }
}

extension IPAddress {
  /// Of nobody's in the Internet: RFC 1918, RFC 6598 (shared), RFC 4193 (fc00::/7), loopback and link-local.
  public var isPrivate: Bool {
    guard isV4 else { return high >> 57 == 0x7e || isLinkLocal || isLoopback }
    let value = UInt32(truncatingIfNeeded: low)
    return value >> 24 == 10 || value >> 20 == 0xac1 || value >> 16 == 0xc0a8 || value >> 22 == 0x64 << 2 | 1 || isLinkLocal || isLoopback
  }
  /// To many at once: 224.0.0.0/4, ff00::/8, 255.255.255.255, and what ends in .255 (a directed broadcast, as far as one can tell).
  public var isMulticast: Bool { isV4 ? low >> 28 == 0xe || low & 0xff == 0xff : high >> 56 == 0xff }
}
