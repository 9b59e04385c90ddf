// What the headers of one frame say. A plain value that the decoder fills anew for each frame; nothing in it is on the heap.
import Primitives

/// Layers of a frame that were recognised. Layers inside a tunnel are not counted here: these are what the frame itself consists of.
public struct PacketLayers: OptionSet, Sendable {
  public let rawValue: UInt16
  @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }
  public static let ipv4 = PacketLayers(rawValue: 1)
  public static let ipv6 = PacketLayers(rawValue: 1 << 1)
  public static let tcp = PacketLayers(rawValue: 1 << 2)
  public static let udp = PacketLayers(rawValue: 1 << 3)
  public static let arp = PacketLayers(rawValue: 1 << 4)
  public static let vlan = PacketLayers(rawValue: 1 << 5)
  public static let icmp = PacketLayers(rawValue: 1 << 6)
  public static let icmpv6 = PacketLayers(rawValue: 1 << 7)
  public static let ipv4Fragment = PacketLayers(rawValue: 1 << 8)
  public static let ipv6Fragment = PacketLayers(rawValue: 1 << 9)
  public static let tunnel = PacketLayers(rawValue: 1 << 10)
  public static let pppoe = PacketLayers(rawValue: 1 << 11)
  public static let mpls = PacketLayers(rawValue: 1 << 12)
  public static let sctp = PacketLayers(rawValue: 1 << 13)

  /// In the order of their bits, with the names of `capture.layers`.
  public static let names: [(layer: PacketLayers, name: StaticString)] = [
    (.ipv4, "ipv4"), (.ipv6, "ipv6"), (.tcp, "tcp"), (.udp, "udp"), (.arp, "arp"), (.vlan, "vlan"), (.icmp, "icmp"), (.icmpv6, "icmpv6"),
    (.ipv4Fragment, "ipv4_fragments"), (.ipv6Fragment, "ipv6_fragments"), (.tunnel, "tunnels"), (.pppoe, "pppoe"), (.mpls, "mpls"), (.sctp, "sctp"),
  ]
}

/// Why a frame could not be decoded further. What lies before the place is valid.
public enum PacketError: UInt8, Sendable, CaseIterable {
  case none
  /// The frame, or what was captured of it, ends inside a header.
  case truncatedLink, truncatedIPv4, truncatedIPv6, truncatedTransport, truncatedARP, truncatedTunnel
  /// A version, a header length or a total length that contradicts its header.
  case invalidIPv4, invalidIPv6, invalidTransport, invalidTunnel
  /// More tags, extension headers or tunnels than their limits.
  case tooManyTags, tooManyExtensions, tooManyTunnels
  case unknownLinkType

  public var name: StaticString {
    switch self {
    case .none: "none"
    case .truncatedLink: "truncated_link"
    case .truncatedIPv4: "truncated_ipv4"
    case .truncatedIPv6: "truncated_ipv6"
    case .truncatedTransport: "truncated_transport"
    case .truncatedARP: "truncated_arp"
    case .truncatedTunnel: "truncated_tunnel"
    case .invalidIPv4: "invalid_ipv4"
    case .invalidIPv6: "invalid_ipv6"
    case .invalidTransport: "invalid_transport"
    case .invalidTunnel: "invalid_tunnel"
    case .tooManyTags: "too_many_tags"
    case .tooManyExtensions: "too_many_extensions"
    case .tooManyTunnels: "too_many_tunnels"
    case .unknownLinkType: "unknown_link_type"
    }
  }
}

/// How the innermost packet came.
public enum Tunnel: UInt8, Sendable { case none, ipInIP, gre, vxlan, geneve }

/// An address as it stands in the packet: IPv4 in the low 32 bits. The family stands beside it (`Packet.isIPv6`).
@frozen public struct AddressBits: Equatable, Sendable {
  public var high: UInt64
  public var low: UInt64
  @inlinable public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }
  @inlinable public static func < (a: AddressBits, b: AddressBits) -> Bool { a.high != b.high ? a.high < b.high : a.low < b.low }
  public func address(isIPv6: Bool) -> IPAddress {
    isIPv6 ? IPAddress(v6High: high, low: low) : IPAddress(v4: UInt32(truncatingIfNeeded: low))
  }
}

/// TCP's flags (RFC 9293 3.1).
public struct TCPFlags: OptionSet, Sendable {
  public let rawValue: UInt8
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
  public static let fin = TCPFlags(rawValue: 1)
  public static let syn = TCPFlags(rawValue: 2)
  public static let rst = TCPFlags(rawValue: 4)
  public static let psh = TCPFlags(rawValue: 8)
  public static let ack = TCPFlags(rawValue: 16)
  public static let urg = TCPFlags(rawValue: 32)
}

/// Where a piece belongs in its datagram.
public struct FragmentPlace: Equatable, Sendable {
  public var identification: UInt32
  /// In bytes.
  public var offset: Int
  public var isLast: Bool
}

/// ARP for IPv4 over Ethernet (RFC 826).
public struct ARPPacket: Equatable, Sendable {
  /// 1 asks, 2 answers.
  public var operation: UInt16 = 0
  /// 48 bits each.
  public var senderMAC: UInt64 = 0
  public var targetMAC: UInt64 = 0
  public var senderAddress: UInt32 = 0
  public var targetAddress: UInt32 = 0
}

/// The headers of one frame; of a tunnel, those of the innermost packet. Payloads are borrowed from the frame.
public struct Packet {
  public init() {}
  public var layers: PacketLayers = []
  public var error = PacketError.none
  public var tunnel = Tunnel.none
  /// Ethernet's (and cooked captures' sender's) addresses, 48 bits each; 0 where there is none.
  public var sourceMAC: UInt64 = 0
  public var destinationMAC: UInt64 = 0
  /// The outermost VLAN's number, 0 where there is none.
  public var vlan: UInt16 = 0
  /// Valid where `isARP`.
  public var arp = ARPPacket()
  public var isARP = false

  /// There is an IP header, and what follows is valid.
  public var isIP = false
  public var isIPv6 = false
  public var source = AddressBits(high: 0, low: 0)
  public var destination = AddressBits(high: 0, low: 0)
  /// The upper protocol's number, behind all extension headers.
  public var ipProtocol: UInt8 = 0
  public var hopLimit: UInt8 = 0
  /// Bytes of the IP packet by its own header, or of what came where the header does not say (offloads write 0).
  public var ipBytes = 0
  /// Not nil: this is a piece, and `payload` is what it carries. Transport headers are then not decoded.
  public var fragment: FragmentPlace?

  /// TCP, UDP, ICMP or ICMPv6 was decoded, and what follows is valid.
  public var hasTransport = false
  public var sourcePort: UInt16 = 0
  public var destinationPort: UInt16 = 0
  public var tcpFlags: TCPFlags = []
  public var sequence: UInt32 = 0
  public var acknowledgment: UInt32 = 0
  public var window: UInt16 = 0
  public var icmpType: UInt8 = 0
  public var icmpCode: UInt8 = 0
  /// What the transport carries, as far as it was captured.
  public var payload = Bytes.none
  /// The same as the IP header says, in bytes; at least `payload.count`.
  public var payloadBytes = 0
}
