// Headers of one frame, from its link layer to its transport, through tunnels.
// What must stay true: total and linear in the number of headers, which is limited; reads nothing beyond the bytes given; allocates nothing.
// Checksums are not looked at: on the sending host offloads leave nearly all of them wrong.
// Each step below knows that the bytes it reads are there, because it has compared `end` first.
import Primitives

@inline(__always)
private func u16(_ p: UnsafeRawPointer, _ at: Int) -> UInt16 { UInt16(bigEndian: (p + at).loadUnaligned(as: UInt16.self)) }
@inline(__always)
private func u32(_ p: UnsafeRawPointer, _ at: Int) -> UInt32 { UInt32(bigEndian: (p + at).loadUnaligned(as: UInt32.self)) }
@inline(__always)
private func u64(_ p: UnsafeRawPointer, _ at: Int) -> UInt64 { UInt64(bigEndian: (p + at).loadUnaligned(as: UInt64.self)) }
@inline(__always)
private func u8(_ p: UnsafeRawPointer, _ at: Int) -> UInt8 { (p + at).load(as: UInt8.self) }
@inline(__always)
private func u48(_ p: UnsafeRawPointer, _ at: Int) -> UInt64 { UInt64(u16(p, at)) << 32 | UInt64(u32(p, at + 2)) }

public enum PacketDecoder {
  /// Fills `packet` with what the headers of `frame` say. `packet.error` says why it stopped early; a frame of a protocol that is not decoded here
  /// is no error.
  public static func decode(_ frame: Bytes, linkType: LinkType, into packet: inout Packet) {
    packet = Packet()
    guard let p = frame.baseAddress, frame.count > 0 else {
      packet.error = .truncatedLink
      return
    }
    var decoding = Decoding(p: p)
    if linkType == .ethernet {
      decoding.ethernet(0, frame.count, &packet)
    } else {
      decoding.link(linkType, frame.count, &packet)
    }
  }

  /// Goes on behind the IP header with a datagram that was put together: `packet` holds the headers of one of its pieces.
  /// A datagram whose headers ask for putting together again is invalid.
  public static func decode(reassembled datagram: Bytes, into packet: inout Packet) {
    packet.fragment = nil
    packet.payload = .none
    packet.payloadBytes = 0
    packet.ipBytes = datagram.count
    guard let p = datagram.baseAddress, datagram.count > 0 else { return }
    var decoding = Decoding(p: p)
    decoding.upper(0, end: datagram.count, wireEnd: datagram.count, &packet)
    if packet.fragment != nil {
      packet.fragment = nil
      packet.error = packet.isIPv6 ? .invalidIPv6 : .invalidIPv4
    }
  }
}

/// One walk through the headers of a frame. `at`: where the header in question begins; `end`: what was captured, or what the header before
/// says, whichever is less.
private struct Decoding {
  let p: UnsafeRawPointer
  var tags = 0
  var tunnels = 0

  // MARK: Link layers

  mutating func link(_ type: LinkType, _ end: Int, _ packet: inout Packet) {
    switch type {
    case .raw, .rawBSD, .rawOpenBSD, .ipv4, .ipv6: ipByVersion(0, end, &packet)
    case .null, .loop:
      guard end >= 5 else { return packet.error = .truncatedLink }
      ipByVersion(4, end, &packet)
    case .cooked:
      guard end >= 16 else { return packet.error = .truncatedLink }
      if u16(p, 4) == 6 { packet.sourceMAC = u48(p, 6) }
      network(u16(p, 14), 16, end, &packet)
    case .cooked2:
      guard end >= 20 else { return packet.error = .truncatedLink }
      if u8(p, 11) == 6 { packet.sourceMAC = u48(p, 12) }
      network(u16(p, 0), 20, end, &packet)
    case .ppp, .pppHDLC: ppp(0, end, &packet)
    case .cHDLC: ciscoHDLC(end, &packet)
    default: packet.error = .unknownLinkType
    }
  }

  private mutating func ciscoHDLC(_ end: Int, _ packet: inout Packet) {
    guard end >= 4 else { return packet.error = .truncatedLink }
    network(u16(p, 2), 4, end, &packet)
  }

  @inline(__always)
  mutating func ethernet(_ at: Int, _ end: Int, _ packet: inout Packet) {
    guard end - at >= 14 else { return packet.error = .truncatedLink }
    packet.destinationMAC = u48(p, at)
    packet.sourceMAC = u48(p, at + 6)
    network(u16(p, at + 12), at + 14, end, &packet)
  }

  @inline(__always)
  mutating func network(_ type: UInt16, _ at: Int, _ end: Int, _ packet: inout Packet) {
    if type == EtherType.ipv4 {
      ipv4(at, end, &packet)
    } else if type == EtherType.ipv6 {
      ipv6(at, end, &packet)
    } else {
      otherNetwork(type, at, end, &packet)
    }
  }

  private mutating func otherNetwork(_ type: UInt16, _ at: Int, _ end: Int, _ packet: inout Packet) {
    switch type {
    case EtherType.vlan, EtherType.providerVLAN, EtherType.oldProviderVLAN:
      packet.layers.insert(.vlan)
      guard end - at >= 4 else { return packet.error = .truncatedLink }
      guard admitTag(&packet) else { return }
      if packet.vlan == 0 { packet.vlan = u16(p, at) & 0x0fff }
      network(u16(p, at + 2), at + 4, end, &packet)
    case EtherType.arp: arp(at, end, &packet)
    case EtherType.pppoeSession:
      packet.layers.insert(.pppoe)
      guard end - at >= 8 else { return packet.error = .truncatedLink }
      guard admitTag(&packet) else { return }
      if u8(p, at + 1) == 0 { ppp(at + 6, min(end, at + 6 + Int(u16(p, at + 4))), &packet) }
    case EtherType.mpls, EtherType.mplsMulticast: mpls(at, end, &packet)
    case EtherType.ppp: ppp(at, end, &packet)
    case 0...1500:
      // A length instead of a type: IEEE 802.2, of which only SNAP carries what is decoded here.
      guard end - at >= 8, u32(p, at) == 0xaaaa_0300, u16(p, at + 4) == 0 else { return }
      guard admitTag(&packet) else { return }
      network(u16(p, at + 6), at + 8, end, &packet)
    default: break
    }
  }

  private mutating func admitTag(_ packet: inout Packet) -> Bool {
    tags += 1
    if tags > Limits.linkTags { packet.error = .tooManyTags }
    return tags <= Limits.linkTags
  }

  private mutating func ppp(_ start: Int, _ end: Int, _ packet: inout Packet) {
    var at = start
    if end - at >= 2, u16(p, at) == 0xff03 { at += 2 }
    guard end - at >= 2 else { return packet.error = .truncatedLink }
    let type: UInt16
    if u8(p, at) & 1 == 1 {
      (type, at) = (UInt16(u8(p, at)), at + 1)
    } else {
      (type, at) = (u16(p, at), at + 2)
    }
    switch type {
    case 0x0021: ipv4(at, end, &packet)
    case 0x0057: ipv6(at, end, &packet)
    case 0x0281, 0x0283: mpls(at, end, &packet)
    // Cisco's framing under PPP's link type: address 0x0f or 0x8f, control 0, then an EtherType.
    case 0x000f, 0x008f: if start == 0, at == 1 { ciscoHDLC(end, &packet) }
    default: break
    }
  }

  private mutating func mpls(_ start: Int, _ end: Int, _ packet: inout Packet) {
    packet.layers.insert(.mpls)
    var at = start
    while true {
      guard end - at >= 4 else { return packet.error = .truncatedLink }
      guard admitTag(&packet) else { return }
      let isBottom = u8(p, at + 2) & 1 == 1
      at += 4
      if isBottom { break }
    }
    guard end > at else { return packet.error = .truncatedLink }
    switch u8(p, at) >> 4 {
    case 4: ipv4(at, end, &packet)
    case 6: ipv6(at, end, &packet)
    // RFC 4385: the control word of a pseudowire, and the Ethernet frame behind it.
    case 0: if end - at >= 18 { ethernet(at + 4, end, &packet) }
    default: break
    }
  }

  private mutating func ipByVersion(_ at: Int, _ end: Int, _ packet: inout Packet) {
    switch u8(p, at) >> 4 {
    case 4: ipv4(at, end, &packet)
    case 6: ipv6(at, end, &packet)
    default: packet.error = .truncatedLink
    }
  }

  private mutating func arp(_ at: Int, _ end: Int, _ packet: inout Packet) {
    packet.layers.insert(.arp)
    guard end - at >= 8 else { return packet.error = .truncatedARP }
    // Ethernet and IPv4; other address families exist only on paper.
    guard u32(p, at) == 0x0001_0800, u16(p, at + 4) == 0x0604 else { return }
    guard end - at >= 28 else { return packet.error = .truncatedARP }
    packet.isARP = true
    packet.arp = ARPPacket(
      operation: u16(p, at + 6), senderMAC: u48(p, at + 8), targetMAC: u48(p, at + 18), senderAddress: u32(p, at + 14),
      targetAddress: u32(p, at + 24))
  }

  // MARK: IP

  @inline(__always)
  mutating func ipv4(_ at: Int, _ end: Int, _ packet: inout Packet) {
    packet.layers.insert(.ipv4)
    guard end - at >= 20 else { return packet.error = .truncatedIPv4 }
    let first = u8(p, at)
    let headerBytes = Int(first & 15) * 4
    guard first >> 4 == 4, headerBytes >= 20 else { return packet.error = .invalidIPv4 }
    var total = Int(u16(p, at + 2))
    if total == 0 { total = end - at }  // segmentation offload: the length did not fit
    guard total >= headerBytes else { return packet.error = .invalidIPv4 }
    packet.isIP = true
    packet.isIPv6 = false
    packet.source = AddressBits(high: 0, low: UInt64(u32(p, at + 12)))
    packet.destination = AddressBits(high: 0, low: UInt64(u32(p, at + 16)))
    packet.ipProtocol = u8(p, at + 9)
    packet.hopLimit = u8(p, at + 8)
    packet.ipBytes = total
    let capturedEnd = min(end, at + total)
    guard capturedEnd >= at + headerBytes else { return packet.error = .truncatedIPv4 }
    let place = u16(p, at + 6)
    if place & 0x3fff != 0 {
      packet.layers.insert(.ipv4Fragment)
      let offset = Int(place & 0x1fff) * 8
      packet.fragment = FragmentPlace(identification: UInt32(u16(p, at + 4)), offset: offset, isLast: place & 0x2000 == 0)
      packet.payload = Bytes(start: p + at + headerBytes, count: capturedEnd - at - headerBytes)
      packet.payloadBytes = total - headerBytes
      return
    }
    upper(at + headerBytes, end: capturedEnd, wireEnd: at + total, &packet)
  }

  @inline(__always)
  mutating func ipv6(_ at: Int, _ end: Int, _ packet: inout Packet) {
    packet.layers.insert(.ipv6)
    guard end - at >= 40 else { return packet.error = .truncatedIPv6 }
    guard u8(p, at) >> 4 == 6 else { return packet.error = .invalidIPv6 }
    var total = 40 + Int(u16(p, at + 4))
    if total == 40, u8(p, at + 6) != IPProtocol.none { total = end - at }  // a jumbogram, or segmentation offload
    packet.isIP = true
    packet.isIPv6 = true
    packet.source = AddressBits(high: u64(p, at + 8), low: u64(p, at + 16))
    packet.destination = AddressBits(high: u64(p, at + 24), low: u64(p, at + 32))
    packet.ipProtocol = u8(p, at + 6)
    packet.hopLimit = u8(p, at + 7)
    packet.ipBytes = total
    upper(at + 40, end: min(end, at + total), wireEnd: at + total, &packet)
  }

  /// From behind the IP header on: `packet.ipProtocol` says what is there. `wireEnd`: where the packet ended on the wire.
  @inline(__always)
  mutating func upper(_ at: Int, end: Int, wireEnd: Int, _ packet: inout Packet) {
    switch packet.ipProtocol {
    case IPProtocol.tcp: tcp(at, end, wireEnd, &packet)
    case IPProtocol.udp: udp(at, end, wireEnd, &packet)
    default: otherUpper(at, end, wireEnd, &packet)
    }
  }

  private mutating func otherUpper(_ at: Int, _ end: Int, _ wireEnd: Int, _ packet: inout Packet) {
    switch packet.ipProtocol {
    case IPProtocol.icmp where !packet.isIPv6, IPProtocol.icmpv6 where packet.isIPv6: icmp(at, end, wireEnd, &packet)
    case IPProtocol.ipv4, IPProtocol.ipv6: ipInIP(at, end, &packet)
    case IPProtocol.gre: gre(at, end, &packet)
    case IPProtocol.sctp: sctp(at, end, wireEnd, &packet)
    case IPProtocol.hopByHop, IPProtocol.routing, IPProtocol.fragment, IPProtocol.destinationOptions, IPProtocol.mobility, IPProtocol.authentication:
      if packet.isIPv6 {
        extensions(at, end, wireEnd, &packet)
      } else if packet.ipProtocol == IPProtocol.authentication {
        authentication(at, end, wireEnd, &packet)
      }
    default: break
    }
  }

  /// RFC 4302 over IPv4: what it authenticates is not encrypted.
  private mutating func authentication(_ at: Int, _ end: Int, _ wireEnd: Int, _ packet: inout Packet) {
    guard end - at >= 12 else { return packet.error = .truncatedIPv4 }
    let next = at + (Int(u8(p, at + 1)) + 2) * 4
    guard next <= end, u8(p, at) != IPProtocol.authentication else { return packet.error = .truncatedIPv4 }
    packet.ipProtocol = u8(p, at)
    upper(next, end: end, wireEnd: wireEnd, &packet)
  }

  /// RFC 8200 4: each says what follows it and how long it is.
  private mutating func extensions(_ start: Int, _ end: Int, _ wireEnd: Int, _ packet: inout Packet) {
    var at = start
    for _ in 0..<Limits.extensionHeaders {
      let bytes: Int
      switch packet.ipProtocol {
      case IPProtocol.hopByHop, IPProtocol.routing, IPProtocol.destinationOptions, IPProtocol.mobility, IPProtocol.authentication,
        IPProtocol.fragment:
        guard end - at >= 8 else { return packet.error = .truncatedIPv6 }
        let length = Int(u8(p, at + 1))
        bytes =
          packet.ipProtocol == IPProtocol.fragment ? 8 : packet.ipProtocol == IPProtocol.authentication ? (length + 2) * 4 : (length + 1) * 8
      default: return upper(at, end: end, wireEnd: wireEnd, &packet)
      }
      guard end - at >= bytes else { return packet.error = .truncatedIPv6 }
      let isFragment = packet.ipProtocol == IPProtocol.fragment
      packet.ipProtocol = u8(p, at)
      if isFragment {
        let place = u16(p, at + 2)
        // RFC 6946: a datagram that is its own only piece is whole.
        if place & 0xfff9 != 0 {
          packet.layers.insert(.ipv6Fragment)
          packet.fragment = FragmentPlace(identification: u32(p, at + 4), offset: Int(place & 0xfff8), isLast: place & 1 == 0)
          packet.payload = Bytes(start: p + at + 8, count: end - at - 8)
          packet.payloadBytes = wireEnd - at - 8
          return
        }
      }
      at += bytes
    }
    packet.error = .tooManyExtensions
  }

  // MARK: Transport

  @inline(__always)
  private mutating func tcp(_ at: Int, _ end: Int, _ wireEnd: Int, _ packet: inout Packet) {
    packet.layers.insert(.tcp)
    guard end - at >= 20 else { return packet.error = wireEnd - at >= 20 ? .truncatedTransport : .invalidTransport }
    let headerBytes = Int(u8(p, at + 12) >> 4) * 4
    guard headerBytes >= 20, at + headerBytes <= wireEnd else { return packet.error = .invalidTransport }
    packet.hasTransport = true
    packet.sourcePort = u16(p, at)
    packet.destinationPort = u16(p, at + 2)
    packet.sequence = u32(p, at + 4)
    packet.acknowledgment = u32(p, at + 8)
    packet.tcpFlags = TCPFlags(rawValue: u8(p, at + 13))
    packet.window = u16(p, at + 14)
    setPayload(at + headerBytes, end, wireEnd, &packet)
  }

  @inline(__always)
  private mutating func udp(_ at: Int, _ end: Int, _ wireEnd: Int, _ packet: inout Packet) {
    packet.layers.insert(.udp)
    guard end - at >= 8 else { return packet.error = wireEnd - at >= 8 ? .truncatedTransport : .invalidTransport }
    let length = Int(u16(p, at + 4))
    guard length == 0 || length >= 8 else { return packet.error = .invalidTransport }
    packet.hasTransport = true
    packet.sourcePort = u16(p, at)
    packet.destinationPort = u16(p, at + 2)
    let wireEnd = length == 0 ? wireEnd : min(wireEnd, at + length)
    setPayload(at + 8, min(end, wireEnd), wireEnd, &packet)
    if Decoding.isTunnelPort(packet.destinationPort) { datagramTunnel(at + 8, min(end, wireEnd), &packet) }
  }

  @inline(__always)
  private func setPayload(_ at: Int, _ end: Int, _ wireEnd: Int, _ packet: inout Packet) {
    packet.payload = end > at ? Bytes(start: p + at, count: end - at) : .none
    packet.payloadBytes = max(0, wireEnd - at)
  }

  private mutating func icmp(_ at: Int, _ end: Int, _ wireEnd: Int, _ packet: inout Packet) {
    packet.layers.insert(packet.isIPv6 ? .icmpv6 : .icmp)
    guard end - at >= 4 else { return packet.error = wireEnd - at >= 4 ? .truncatedTransport : .invalidTransport }
    packet.hasTransport = true
    packet.icmpType = u8(p, at)
    packet.icmpCode = u8(p, at + 1)
    (packet.sourcePort, packet.destinationPort) = CommunityID.ports(
      icmpType: packet.icmpType, code: packet.icmpCode, isIPv6: packet.isIPv6)
    setPayload(at + 8, end, wireEnd, &packet)
  }

  /// RFC 9260 3.1: only whose packet it is.
  private mutating func sctp(_ at: Int, _ end: Int, _ wireEnd: Int, _ packet: inout Packet) {
    packet.layers.insert(.sctp)
    guard end - at >= 12 else { return packet.error = wireEnd - at >= 12 ? .truncatedTransport : .invalidTransport }
    packet.hasTransport = true
    packet.sourcePort = u16(p, at)
    packet.destinationPort = u16(p, at + 2)
    setPayload(at + 12, end, wireEnd, &packet)
  }

  // MARK: Tunnels

  private mutating func admitTunnel(_ kind: Tunnel, _ packet: inout Packet) -> Bool {
    tunnels += 1
    guard tunnels <= Limits.tunnels else {
      packet.error = .tooManyTunnels
      return false
    }
    packet.tunnel = kind
    return true
  }

  /// Runs `body` on a packet without IP and transport; the frame's own layers stay what they were.
  @inline(__always)
  private mutating func inside(_ packet: inout Packet, _ body: (inout Decoding, inout Packet) -> Void) {
    let layers = packet.layers
    let tunnel = packet.tunnel
    let vlan = packet.vlan
    packet = Packet()
    packet.tunnel = tunnel
    body(&self, &packet)
    packet.layers = layers.union(.tunnel)
    if packet.vlan == 0 { packet.vlan = vlan }
  }

  private mutating func ipInIP(_ at: Int, _ end: Int, _ packet: inout Packet) {
    guard end > at else { return packet.error = .truncatedTunnel }
    guard admitTunnel(.ipInIP, &packet) else { return }
    let isIPv6 = packet.ipProtocol == IPProtocol.ipv6
    inside(&packet) { decoding, packet in if isIPv6 { decoding.ipv6(at, end, &packet) } else { decoding.ipv4(at, end, &packet) } }
  }

  /// RFC 2784, 2890; version 1 is PPTP's (RFC 2637).
  private mutating func gre(_ start: Int, _ end: Int, _ packet: inout Packet) {
    guard end - start >= 4 else { return packet.error = .truncatedTunnel }
    let flags = u16(p, start)
    let type = u16(p, start + 2)
    let version = flags & 7
    guard version <= 1, flags & 0x4000 == 0 else { return packet.error = .invalidTunnel }
    var at = start + 4
    if flags & 0x8000 != 0 { at += 4 }
    if flags & 0x2000 != 0 { at += 4 }
    if flags & 0x1000 != 0 { at += 4 }
    if version == 1, flags & 0x0080 != 0 { at += 4 }
    if type == EtherType.erspan2, flags & 0x1000 != 0 { at += 8 }
    if type == EtherType.erspan3 {
      guard end - at >= 12 else { return packet.error = .truncatedTunnel }
      at += u8(p, at + 11) & 1 == 1 ? 20 : 12
    }
    guard at <= end else { return packet.error = .truncatedTunnel }
    guard at < end else { return }  // PPTP acknowledges so
    guard admitTunnel(.gre, &packet) else { return }
    inside(&packet) { decoding, packet in decoding.carried(type, at, end, &packet) }
  }

  private mutating func carried(_ type: UInt16, _ at: Int, _ end: Int, _ packet: inout Packet) {
    switch type {
    case EtherType.transparentEthernet, EtherType.erspan2, EtherType.erspan3: ethernet(at, end, &packet)
    default: network(type, at, end, &packet)
    }
  }

  /// VXLAN (RFC 7348; Linux's older default port too), its generic extension (draft-ietf-nvo3-vxlan-gpe) and Geneve (RFC 8926).
  @inline(__always)
  private static func isTunnelPort(_ port: UInt16) -> Bool { port == 4789 || port == 4790 || port == 8472 || port == 6081 }
  /// What the extension calls the protocol inside.
  private static func extendedType(_ next: UInt8) -> UInt16? {
    switch next {
    case 1: EtherType.ipv4
    case 2: EtherType.ipv6
    case 3: EtherType.transparentEthernet
    default: nil
    }
  }

  /// What goes to a tunnel's port and does not hold a frame that can be decoded stays a datagram.
  private mutating func datagramTunnel(_ start: Int, _ end: Int, _ packet: inout Packet) {
    guard end - start >= 8, tunnels < Limits.tunnels else { return }
    let at: Int
    let type: UInt16
    let kind: Tunnel
    let first = u8(p, start)
    if packet.destinationPort == 6081 {
      guard first >> 6 == 0 else { return }
      (at, type, kind) = (start + 8 + Int(first & 0x3f) * 4, u16(p, start + 2), .geneve)
    } else if packet.destinationPort == 4790, first & 0x0c == 0x0c {
      guard let extended = Decoding.extendedType(u8(p, start + 3)) else { return }
      (at, type, kind) = (start + 8, extended, .vxlan)
    } else {
      guard first & 0x08 != 0, u8(p, start + 7) == 0 else { return }
      (at, type, kind) = (start + 8, EtherType.transparentEthernet, .vxlan)
    }
    guard at < end else { return }
    let outer = packet
    let outerTags = tags
    tunnels += 1
    packet.tunnel = kind
    inside(&packet) { decoding, packet in decoding.carried(type, at, end, &packet) }
    guard packet.error == .none, packet.isIP || packet.isARP else {
      packet = outer
      tags = outerTags
      return
    }
  }
}
