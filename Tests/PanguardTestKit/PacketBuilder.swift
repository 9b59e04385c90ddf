// Makes frames for tests, header by header. Checksums stay zero: nothing looks at them.
import PacketParsers
import Primitives

typealias Octets = [UInt8]

/// Hexadecimal with any white space, into bytes.
func hex(_ text: String) -> [UInt8] {
  var out: [UInt8] = []
  var half: UInt8?
  for digit in text.compactMap(\.hexDigitValue) {
    if let high = half {
      out.append(high << 4 | UInt8(digit))
      half = nil
    } else {
      half = UInt8(digit)
    }
  }
  return out
}

func be16(_ value: Int) -> Octets { [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)] }
func be32(_ value: UInt32) -> Octets { be16(Int(value >> 16)) + be16(Int(value & 0xffff)) }

enum PacketBuilder {
  static let here: UInt32 = 0x0a00_0001  // 10.0.0.1
  static let there: UInt32 = 0xc000_0201  // 192.0.2.1
  static let here6 = hex("2001 0db8 0000 0000 0000 0000 0000 0001")
  static let there6 = hex("2001 0db8 0000 0000 0000 0000 0000 0002")

  private static let macs = hex("02 00 00 00 00 02 02 00 00 00 00 01")
  static func ethernet(_ type: Int = 0x0800, _ payload: Octets) -> Octets { macs + be16(type) + payload }
  static func vlan(_ id: Int, _ type: Int = 0x0800, _ payload: Octets) -> Octets { be16(id) + be16(type) + payload }

  static func ipv4(
    _ ipProtocol: UInt8, _ payload: Octets, from: UInt32 = here, to: UInt32 = there, options: Octets = [], identification: Int = 1,
    offset: Int = 0, more: Bool = false, length: Int? = nil
  ) -> Octets {
    let headerBytes = 20 + options.count
    return [UInt8(0x40 | headerBytes / 4), 0] + be16(length ?? headerBytes + payload.count) + be16(identification)
      + be16((more ? 0x2000 : 0) | offset / 8) + [64, ipProtocol, 0, 0] + be32(from) + be32(to) + options + payload
  }
  static func ipv6(_ next: UInt8, _ payload: Octets, from: Octets = here6, to: Octets = there6, length: Int? = nil) -> Octets {
    hex("60 00 00 00") + be16(length ?? payload.count) + [next, 64] + from + to + payload
  }
  static func fragment6(_ next: UInt8, _ payload: Octets, identification: UInt32 = 7, offset: Int, more: Bool) -> Octets {
    [next, 0] + be16(offset | (more ? 1 : 0)) + be32(identification) + payload
  }
  static func udp(_ from: Int, _ to: Int, _ payload: Octets, length: Int? = nil) -> Octets {
    be16(from) + be16(to) + be16(length ?? 8 + payload.count) + [0, 0] + payload
  }
  static func tcp(
    _ from: Int, _ to: Int, _ flags: TCPFlags, sequence: UInt32 = 1, acknowledgment: UInt32 = 0, options: Octets = [], _ payload: Octets = []
  ) -> Octets {
    be16(from) + be16(to) + be32(sequence) + be32(acknowledgment) + [UInt8((20 + options.count) / 4) << 4, flags.rawValue] + be16(64_000)
      + [0, 0, 0, 0] + options + payload
  }
  static func icmp(_ type: UInt8, _ code: UInt8 = 0, _ payload: Octets = []) -> Octets { [type, code, 0, 0, 0, 1, 0, 1] + payload }
  static func arp(_ operation: Int) -> Octets {
    hex("0001 0800 06 04") + be16(operation) + hex("02 00 00 00 00 01") + be32(here) + hex("00 00 00 00 00 00") + be32(there)
  }
  static func vxlan(_ frame: Octets) -> Octets { hex("08 00 00 00 00 00 7b 00") + frame }
  static func geneve(_ type: Int, _ options: Octets, _ payload: Octets) -> Octets {
    [UInt8(options.count / 4), 0] + be16(type) + hex("00 00 01 00") + options + payload
  }
  static func gre(_ type: Int, flags: Int = 0, _ rest: Octets) -> Octets { be16(flags) + be16(type) + rest }
}
