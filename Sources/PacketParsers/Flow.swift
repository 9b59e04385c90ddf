// One flow: what two ends said to each other over one pair of ports. Plain values; nothing in them is on the heap.
import Primitives

/// What went one way.
@frozen public struct FlowTraffic: Equatable, Sendable {
  public var packets: UInt64 = 0
  /// By the IP headers.
  public var bytes: UInt64 = 0
  /// What the transport carried.
  public var payloadBytes: UInt64 = 0
  /// All TCP flags that were seen.
  public var flags: TCPFlags = []
  /// The sequence number of the first SYN; valid if `flags` has `.syn`.
  public var initialSequence: UInt32 = 0
}

/// How a TCP connection stands, in the names that Zeek gave them (base/protocols/conn): S0 asked, no answer; REJ refused; S1 established;
/// SF closed by both; S2, S3 closed by the originator, the responder only; RSTO, RSTR aborted by either; RSTOS0 asked and aborted without an
/// answer; RSTRH the responder answered and aborted, its peer was not seen; SH, SHR the same with FIN; OTH no beginning seen.
public enum ConnectionState: UInt8, Sendable, CaseIterable {
  case s0, s1, sf, rej, s2, s3, rsto, rstr, rstos0, rstrh, sh, shr, oth
  public var name: StaticString {
    switch self {
    case .s0: "S0"
    case .s1: "S1"
    case .sf: "SF"
    case .rej: "REJ"
    case .s2: "S2"
    case .s3: "S3"
    case .rsto: "RSTO"
    case .rstr: "RSTR"
    case .rstos0: "RSTOS0"
    case .rstrh: "RSTRH"
    case .sh: "SH"
    case .shr: "SHR"
    case .oth: "OTH"
    }
  }
}

/// Why a flow was reported.
public enum FlowEnd: UInt8, Sendable {
  /// FIN or RST, and nothing came behind it.
  case closed
  /// Silence.
  case idle
  /// It goes on; the counters are those from its beginning.
  case active
  /// Its table was full.
  case evicted
  /// The capture ended.
  case captureEnded
  public var name: StaticString {
    switch self {
    case .closed: "closed"
    case .idle: "idle"
    case .active: "active"
    case .evicted: "evicted"
    case .captureEnded: "capture_ended"
    }
  }
}

/// Both ends and both directions. The originator is the sender of the first packet, or of the SYN that a first SYN/ACK answers.
public struct Flow: Sendable {
  var key: FlowKey
  /// The originator is the key's higher end.
  var isReversed: Bool
  public internal(set) var protocolName: ApplicationProtocol?
  public internal(set) var tunnel: Tunnel = .none
  /// The outermost VLAN of its first packet; 0 without one. Not part of what tells flows apart.
  public internal(set) var vlan: UInt16 = 0
  var list: UInt8 = 0
  /// Who sent the first RST.
  var resetByResponder = false
  /// The originator confirmed the handshake, or sent or got data: more than SYN, SYN/ACK and RST went.
  public internal(set) var isConfirmed = false
  /// Of ICMP: the first message's code, and the most bytes that one message carried.
  public internal(set) var icmpCode: UInt8 = 0
  public internal(set) var mostPayloadBytes: Int32 = 0
  /// Index of what looks at its content; -1 none yet, -2 none any more.
  var content: Int32 = -1
  var older: Int32 = -1
  var newer: Int32 = -1
  var tag: UInt32 = 0
  public internal(set) var firstTime: EventTime
  public internal(set) var lastTime: EventTime
  /// When it was put at the end of its list.
  var queued: Int64 = 0
  var reported: Int64 = 0
  /// Numbers of its first and its last frame.
  public internal(set) var firstFrame: UInt64
  public internal(set) var lastFrame: UInt64
  public internal(set) var toResponder = FlowTraffic()
  public internal(set) var toOriginator = FlowTraffic()

  public var isIPv6: Bool { key.isIPv6 }
  public var ipProtocol: UInt8 { key.ipProtocol }
  public var originator: AddressBits { isReversed ? key.high : key.low }
  public var responder: AddressBits { isReversed ? key.low : key.high }
  /// For ICMP the message's type and what stands for its answer (`CommunityID`).
  public var originatorPort: UInt16 { isReversed ? key.highPort : key.lowPort }
  public var responderPort: UInt16 { isReversed ? key.lowPort : key.highPort }
  public var isAnswered: Bool { toResponder.packets > 0 && toOriginator.packets > 0 }
  var isReset: Bool { toResponder.flags.contains(.rst) || toOriginator.flags.contains(.rst) }
  public var hasPorts: Bool { ipProtocol == IPProtocol.tcp || ipProtocol == IPProtocol.udp }

  public func appendCommunityID(seed: UInt16 = 0, to out: inout [UInt8]) {
    CommunityID.append(
      originator, responder, isIPv6: isIPv6, ipProtocol: ipProtocol, sourcePort: originatorPort, destinationPort: responderPort, seed: seed, to: &out)
  }

  /// nil for what is not TCP.
  public var connectionState: ConnectionState? {
    guard ipProtocol == IPProtocol.tcp else { return nil }
    let (asked, answered) = (toResponder.flags.contains(.syn), toOriginator.flags.contains(.syn))
    let (finO, finR) = (toResponder.flags.contains(.fin), toOriginator.flags.contains(.fin))
    let reset = isReset
    switch (asked, answered) {
    case (true, true):
      if finO && finR { return .sf }
      if reset { return resetByResponder ? .rstr : .rsto }
      return finO ? .s2 : finR ? .s3 : .s1
    case (true, false):
      if reset { return resetByResponder ? .rej : .rstos0 }
      return finO ? .sh : .s0
    case (false, true): return reset && resetByResponder ? .rstrh : finR ? .shr : .oth
    case (false, false): return .oth
    }
  }
}

/// A flow that is over, or its counters so far.
public struct FlowRecord: Sendable {
  public var flow: Flow
  public var end: FlowEnd
}

/// What tells flows apart: both addresses and ports, the smaller end first, and the protocol.
public struct FlowKey: Equatable, Sendable {
  var low: AddressBits
  var high: AddressBits
  var lowPort: UInt16
  var highPort: UInt16
  var ipProtocol: UInt8
  var isIPv6: Bool

  /// `isReversed`: the packet's sender is the higher end.
  @inline(__always)
  public static func of(_ packet: Packet) -> (key: FlowKey, isReversed: Bool) {
    let isOrdered =
      packet.source == packet.destination ? packet.sourcePort <= packet.destinationPort : packet.source < packet.destination
    let key =
      isOrdered
      ? FlowKey(
        low: packet.source, high: packet.destination, lowPort: packet.sourcePort, highPort: packet.destinationPort,
        ipProtocol: packet.ipProtocol, isIPv6: packet.isIPv6)
      : FlowKey(
        low: packet.destination, high: packet.source, lowPort: packet.destinationPort, highPort: packet.sourcePort,
        ipProtocol: packet.ipProtocol, isIPv6: packet.isIPv6)
    return (key, !isOrdered)
  }

  /// SipHash-1-3 (Aumasson, Bernstein 2012) over its five words: without the key nobody can choose flows that collide.
  @inline(__always)
  func hash(_ seed: (UInt64, UInt64)) -> UInt64 {
    var v0 = seed.0 ^ 0x736f_6d65_7073_6575
    var v1 = seed.1 ^ 0x646f_7261_6e64_6f6d
    var v2 = seed.0 ^ 0x6c79_6765_6e65_7261
    var v3 = seed.1 ^ 0x7465_6462_7974_6573
    @inline(__always) func rotate(_ x: UInt64, _ n: UInt64) -> UInt64 { x << n | x >> (64 &- n) }
    @inline(__always) func round() {
      v0 = v0 &+ v1
      v1 = rotate(v1, 13) ^ v0
      v0 = rotate(v0, 32)
      v2 = v2 &+ v3
      v3 = rotate(v3, 16) ^ v2
      v0 = v0 &+ v3
      v3 = rotate(v3, 21) ^ v0
      v2 = v2 &+ v1
      v1 = rotate(v1, 17) ^ v2
      v2 = rotate(v2, 32)
    }
    @inline(__always) func word(_ m: UInt64) {
      v3 ^= m
      round()
      v0 ^= m
    }
    if isIPv6 {
      word(low.high)
      word(low.low)
      word(high.high)
      word(high.low)
    } else {
      word(low.low << 32 | high.low)
    }
    word(UInt64(lowPort) << 48 | UInt64(highPort) << 32 | UInt64(ipProtocol) << 8 | (isIPv6 ? 1 : 0))
    v2 ^= 0xff
    round()
    round()
    round()
    return v0 ^ v1 ^ v2 ^ v3
  }
}
