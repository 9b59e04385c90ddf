// Community ID v1: one name for a flow in every tool (https://github.com/corelight/community-id-spec).
// Both directions of a flow have the same name. It is computed only when a flow is written out.
import COpenSSL
import Primitives

public enum CommunityID {
  /// Appends "1:" and the base64 of a SHA-1 digest, 30 bytes in all. The two ends may be given in either order; ports in the form of
  /// `ports(icmpType:...)` for ICMP, and only where the protocol has ports (TCP, UDP, SCTP, ICMP).
  public static func append(
    _ source: AddressBits, _ destination: AddressBits, isIPv6: Bool, ipProtocol: UInt8, sourcePort: UInt16, destinationPort: UInt16,
    seed: UInt16 = 0, to out: inout [UInt8]
  ) {
    let isICMP = ipProtocol == IPProtocol.icmp || ipProtocol == IPProtocol.icmpv6
    let hasPorts = isICMP || ipProtocol == IPProtocol.tcp || ipProtocol == IPProtocol.udp || ipProtocol == IPProtocol.sctp
    // A kind of ICMP message that has no answer keeps the order it came in.
    let isOneWay = isICMP && answer(toType: sourcePort, isIPv6: isIPv6) == nil
    let isOrdered = source == destination ? sourcePort < destinationPort : source < destination
    let keeps = isOneWay || isOrdered || (source == destination && sourcePort == destinationPort)
    let (a, b) = keeps ? (source, destination) : (destination, source)
    let (aPort, bPort) = keeps ? (sourcePort, destinationPort) : (destinationPort, sourcePort)
    withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { text in
      var count = 0
      func put<Value: FixedWidthInteger>(_ value: Value) {
        text.storeBytes(of: value.bigEndian, toByteOffset: count, as: Value.self)
        count += MemoryLayout<Value>.size
      }
      func put(_ address: AddressBits) {
        if isIPv6 {
          put(address.high)
          put(address.low)
        } else {
          put(UInt32(truncatingIfNeeded: address.low))
        }
      }
      put(seed)
      put(a)
      put(b)
      put(ipProtocol)
      put(UInt8(0))
      if hasPorts {
        put(aPort)
        put(bPort)
      }
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digest in
        _ = SHA1(text.baseAddress?.assumingMemoryBound(to: UInt8.self), count, digest.baseAddress)
        out.append("1:" as StaticString)
        appendBase64(UnsafeBufferPointer(digest), to: &out)
      }
    }
  }

  /// What stands for ports: a message's type, and the type of its answer, or its code where it has none.
  static func ports(icmpType: UInt8, code: UInt8, isIPv6: Bool) -> (source: UInt16, destination: UInt16) {
    (UInt16(icmpType), answer(toType: UInt16(icmpType), isIPv6: isIPv6) ?? UInt16(code))
  }

  private static func answer(toType type: UInt16, isIPv6: Bool) -> UInt16? {
    if isIPv6 {
      switch type {
      case 128: 129
      case 129: 128
      case 133: 134
      case 134: 133
      case 135: 136
      case 136: 135
      case 130: 131
      case 131: 130
      case 139: 140
      case 140: 139
      case 144: 145
      case 145: 144
      default: nil
      }
    } else {
      switch type {
      case 8: 0
      case 0: 8
      case 13: 14
      case 14: 13
      case 15: 16
      case 16: 15
      case 9: 10
      case 10: 9
      case 17: 18
      case 18: 17
      default: nil
      }
    }
  }

  private static func appendBase64(_ bytes: UnsafeBufferPointer<UInt8>, to out: inout [UInt8]) {
    let digits: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    var at = 0
    while at < bytes.count {
      let group = (0..<3).reduce(UInt32(0)) { $0 << 8 | (at + $1 < bytes.count ? UInt32(bytes[at + $1]) : 0) }
      for i in 0..<4 {
        out.append(at + i > bytes.count ? 0x3d : digits.utf8Start[Int(group >> UInt32(18 - 6 * i) & 63)])
      }
      at += 3
    }
  }
}
