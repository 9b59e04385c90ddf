// What frames of a capture begin with.

/// A link layer by its registered number (https://www.tcpdump.org/linktypes.html). Others than these are counted as unknown, and not decoded.
public struct LinkType: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// BSD loopback: four bytes of address family in the byte order of the capturing host.
  public static let null = LinkType(rawValue: 0)
  /// The same in network byte order (OpenBSD).
  public static let loop = LinkType(rawValue: 108)
  public static let ethernet = LinkType(rawValue: 1)
  /// PPP, with or without its HDLC framing (RFC 1662).
  public static let ppp = LinkType(rawValue: 9)
  public static let pppHDLC = LinkType(rawValue: 50)
  /// Cisco HDLC.
  public static let cHDLC = LinkType(rawValue: 104)
  /// IPv4 or IPv6, told apart by the version. 12 and 14 are what some systems write for it.
  public static let raw = LinkType(rawValue: 101)
  public static let rawBSD = LinkType(rawValue: 12)
  public static let rawOpenBSD = LinkType(rawValue: 14)
  public static let ipv4 = LinkType(rawValue: 228)
  public static let ipv6 = LinkType(rawValue: 229)
  /// Linux "cooked": what the interface `any` gives, version 1 and 2.
  public static let cooked = LinkType(rawValue: 113)
  public static let cooked2 = LinkType(rawValue: 276)
}

/// EtherType values (IEEE registration authority).
enum EtherType {
  static let ipv4: UInt16 = 0x0800
  static let arp: UInt16 = 0x0806
  static let transparentEthernet: UInt16 = 0x6558
  static let vlan: UInt16 = 0x8100
  static let ipv6: UInt16 = 0x86dd
  static let mpls: UInt16 = 0x8847
  static let mplsMulticast: UInt16 = 0x8848
  static let pppoeSession: UInt16 = 0x8864
  static let providerVLAN: UInt16 = 0x88a8
  static let erspan2: UInt16 = 0x88be
  static let erspan3: UInt16 = 0x22eb
  static let oldProviderVLAN: UInt16 = 0x9100
  static let ppp: UInt16 = 0x880b
}

/// IP protocol numbers (IANA).
public enum IPProtocol {
  public static let hopByHop: UInt8 = 0
  public static let icmp: UInt8 = 1
  public static let ipv4: UInt8 = 4
  public static let tcp: UInt8 = 6
  public static let udp: UInt8 = 17
  public static let ipv6: UInt8 = 41
  public static let routing: UInt8 = 43
  public static let fragment: UInt8 = 44
  public static let gre: UInt8 = 47
  public static let authentication: UInt8 = 51
  public static let icmpv6: UInt8 = 58
  public static let none: UInt8 = 59
  public static let destinationOptions: UInt8 = 60
  public static let sctp: UInt8 = 132
  public static let mobility: UInt8 = 135
}
