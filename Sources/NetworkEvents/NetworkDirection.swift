// Which way a conversation goes, as ECS's `network.direction` has it: by addresses alone, because a capture does not say which networks are the
// host's own. Inside are the blocks that no router of the Internet forwards (RFC 6890: private, shared, link-local, loopback, multicast); all
// others are public. A host that has a public address itself sees `external` where others see `inbound` or `outbound`: a rule about public peers
// names both.
import Primitives

public enum NetworkDirection {
  /// inbound: from a public address to one inside; outbound: the other way; internal and external: both ends are of one kind.
  public static func name(from source: IPAddress, to destination: IPAddress) -> StaticString {
    switch (isInside(source), isInside(destination)) {
    case (false, true): "inbound"
    case (true, false): "outbound"
    case (true, true): "internal"
    case (false, false): "external"
    }
  }

  static func isInside(_ address: IPAddress) -> Bool {
    guard address.isV4 else {
      let head = address.high >> 48
      return head & 0xfe00 == 0xfc00 || head & 0xffc0 == 0xfe80 || head & 0xff00 == 0xff00 || (address.high == 0 && address.low <= 1)
    }
    let value = UInt32(truncatingIfNeeded: address.low)
    switch value >> 24 {
    case 0, 10, 127: return true
    case 100: return value & 0xffc0_0000 == 0x6440_0000
    case 169: return value & 0xffff_0000 == 0xa9fe_0000
    case 172: return value & 0xfff0_0000 == 0xac10_0000
    case 192: return value & 0xffff_0000 == 0xc0a8_0000
    case let first: return first >= 224
    }
  }
}
