// IPv4 and IPv6 addresses and networks: parsing (RFC 4291 2.2, RFC 5952), canonical text, prefixes.
// An IPv4-mapped IPv6 address (::ffff:a.b.c.d) is the IPv4 address: both name the same peer.

/// One IP address, 128 bits. IPv4 lives in the low 32 bits with `isV4` set.
@frozen
public struct IPAddress: Hashable, Sendable, Comparable, CustomStringConvertible {
  public let high: UInt64
  public let low: UInt64
  public let isV4: Bool

  @inlinable
  public init(v4: UInt32) {
    high = 0
    low = UInt64(v4)
    isV4 = true
  }
  /// `high`, `low`: the two halves in host order. A mapped address becomes IPv4.
  @inlinable
  public init(v6High high: UInt64, low: UInt64) {
    if high == 0, low >> 32 == 0xffff {
      self.init(v4: UInt32(truncatingIfNeeded: low))
    } else {
      self.init(unmappedHigh: high, low: low)
    }
  }

  public init?(_ text: String) {
    var copy = text
    guard let value = copy.withUTF8({ IPAddress(Bytes($0)) }) else { return nil }
    self = value
  }

  /// The whole of `text` as an address. No zone, no brackets, no prefix length; IPv4 is strictly dotted decimal
  /// without leading zeros (inet_aton's octal and short forms are refused: they are read differently by others).
  public init?(_ text: Bytes) {
    guard text.count >= 2, text.count <= 45 else { return nil }
    if text.index(of: 0x3a) == nil {
      guard let v4 = IPAddress.parseV4(text) else { return nil }
      self.init(v4: v4)
    } else {
      guard let value = IPAddress.parseV6(text) else { return nil }
      self.init(v6High: value.0, low: value.1)
    }
  }

  private static func parseV4(_ text: Bytes) -> UInt32? {
    guard text.count >= 7, text.count <= 15 else { return nil }
    var result: UInt32 = 0
    var part: UInt32 = 0
    var digits = 0
    var dots = 0
    for byte in text {
      if byte == 0x2e {
        guard digits > 0, dots < 3 else { return nil }
        result = result << 8 | part
        part = 0
        digits = 0
        dots += 1
      } else {
        let digit = UInt32(byte &- 0x30)
        guard byte >= 0x30, digit <= 9, digits < 3, !(digits > 0 && part == 0) else { return nil }
        part = part * 10 + digit
        guard part <= 255 else { return nil }
        digits += 1
      }
    }
    guard dots == 3, digits > 0 else { return nil }
    return result << 8 | part
  }

  private static func parseV6(_ text: Bytes) -> (UInt64, UInt64)? {
    var groups: (UInt64, UInt64) = (0, 0)  // filled from the left, 16 bits each
    var count = 0
    var gap: Int? = nil
    func push(_ value: UInt32) {
      if count < 4 { groups.0 |= UInt64(value) << UInt64(48 - 16 * count) } else { groups.1 |= UInt64(value) << UInt64(48 - 16 * (count - 4)) }
      count += 1
    }
    var at = 0
    if text.starts(with: "::") {
      gap = 0
      at = 2
    } else if text[0] == 0x3a {
      return nil
    }
    while at < text.count {
      guard count < 8 else { return nil }
      var value: UInt32 = 0
      let start = at
      while at < text.count, at - start < 5, let digit = hexDigit(text[at]) {
        value = value << 4 | UInt32(digit)
        at += 1
      }
      if at < text.count, text[at] == 0x2e {  // embedded IPv4 closes the address
        guard count <= 6, let v4 = parseV4(text.from(start)) else { return nil }
        push(v4 >> 16)
        push(v4 & 0xffff)
        at = text.count
        break
      }
      guard at > start, at - start <= 4 else { return nil }
      push(value)
      if at == text.count { break }
      guard text[at] == 0x3a else { return nil }
      at += 1
      if at < text.count, text[at] == 0x3a {
        guard gap == nil else { return nil }
        gap = count
        at += 1
      } else if at == text.count {
        return nil
      }
    }
    guard let gap else { return count == 8 ? groups : nil }
    guard count < 8 else { return nil }
    // Move the groups after the gap to the right end.
    let missing = 8 - count
    var result: (UInt64, UInt64) = (0, 0)
    for i in 0..<count {
      let value = (i < 4 ? groups.0 >> UInt64(48 - 16 * i) : groups.1 >> UInt64(48 - 16 * (i - 4))) & 0xffff
      let to = i < gap ? i : i + missing
      if to < 4 { result.0 |= value << UInt64(48 - 16 * to) } else { result.1 |= value << UInt64(48 - 16 * (to - 4)) }
    }
    return result
  }

  /// The address with all but the first `length` bits cleared; `length` counts in the address's own family (0...32 or 0...128).
  public func masked(_ length: Int) -> IPAddress {
    if isV4 {
      let n = Swift.max(0, Swift.min(32, length))
      let mask: UInt32 = n == 0 ? 0 : ~0 << UInt32(32 - n)
      return IPAddress(v4: UInt32(truncatingIfNeeded: low) & mask)
    }
    let n = Swift.max(0, Swift.min(128, length))
    let highMask: UInt64 = n == 0 ? 0 : n >= 64 ? ~0 : ~0 << UInt64(64 - n)
    let lowMask: UInt64 = n <= 64 ? 0 : n == 128 ? ~0 : ~0 << UInt64(128 - n)
    return IPAddress(unmappedHigh: high & highMask, low: low & lowMask)
  }
  @usableFromInline
  init(unmappedHigh high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
    isV4 = false
  }

  public var isLoopback: Bool { isV4 ? low >> 24 == 127 : high == 0 && low == 1 }
  /// 169.254.0.0/16 (RFC 3927), fe80::/10 (RFC 4291).
  public var isLinkLocal: Bool { isV4 ? low >> 16 == 0xa9fe : high >> 54 == 0x3fa }
  public var isUnspecified: Bool { high == 0 && low == 0 }

  public static func < (a: IPAddress, b: IPAddress) -> Bool {
    if a.isV4 != b.isV4 { return a.isV4 }
    return a.high != b.high ? a.high < b.high : a.low < b.low
  }

  public var description: String {
    var out: [UInt8] = []
    append(to: &out)
    return String(decoding: out, as: UTF8.self)
  }

  /// Canonical text: dotted decimal, or RFC 5952.
  public func append(to out: inout [UInt8]) {
    if isV4 { return out.append(atMost: 15, writeV4) }
    func group(_ i: Int) -> UInt64 { (i < 4 ? high >> UInt64(48 - 16 * i) : low >> UInt64(48 - 16 * (i - 4))) & 0xffff }
    var best = (start: -1, count: 1)  // the longest run of at least two zero groups, the first of equals
    var i = 0
    while i < 8 {
      var j = i
      while j < 8, group(j) == 0 { j += 1 }
      if j - i > best.count { best = (i, j - i) }
      i = j > i ? j : i + 1
    }
    i = 0
    while i < 8 {
      if i == best.start {
        out.append(0x3a)
        out.append(0x3a)
        i += best.count
        continue
      }
      if i > 0, i != best.start + best.count || best.start < 0 { out.append(0x3a) }
      let value = group(i)
      var started = false
      for shift in [12, 8, 4, 0] as [UInt64] {
        let digit = UInt8(value >> shift & 0xf)
        if digit != 0 || started || shift == 0 {
          out.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
          started = true
        }
      }
      i += 1
    }
  }
}

extension IPAddress {
  /// Dotted decimal, at most 15 bytes. Returns their number.
  @inline(__always)
  private func writeV4(_ text: UnsafeMutablePointer<UInt8>) -> Int {
    var at = 0
    var shift: UInt64 = 32
    while shift > 0 {
      shift -= 8
      let octet = UInt8(truncatingIfNeeded: low >> shift)
      if octet >= 100 {
        text[at] = 0x30 + octet / 100
        at += 1
      }
      if octet >= 10 {
        text[at] = 0x30 + octet / 10 % 10
        at += 1
      }
      text[at] = 0x30 + octet % 10
      at += 1
      if shift > 0 {
        text[at] = 0x2e
        at += 1
      }
    }
    return at
  }
}

@inline(__always)
func lowercaseHexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }

/// Value of one hexadecimal digit.
@inline(__always)
public func hexDigit(_ byte: UInt8) -> UInt8? {
  switch byte {
  case 0x30...0x39: byte - 0x30
  case 0x41...0x46: byte - 0x37
  case 0x61...0x66: byte - 0x57
  default: nil
  }
}

/// A network in CIDR notation; host bits are cleared.
public struct CIDR: Hashable, Sendable, CustomStringConvertible {
  public let base: IPAddress
  /// In the base's own family: 0...32 or 0...128.
  public let prefixLength: Int

  public init(_ address: IPAddress, prefixLength: Int) {
    self.prefixLength = Swift.max(0, Swift.min(address.isV4 ? 32 : 128, prefixLength))
    base = address.masked(self.prefixLength)
  }
  /// What one host may have all of: IPv4 as it is, IPv6 not narrower than a /64 (RFC 4291 2.5.4).
  public var ofWholeHosts: CIDR { base.isV4 || prefixLength <= 64 ? self : CIDR(base, prefixLength: 64) }

  /// "a.b.c.d/n", "x::/n", or a single address. A prefix length out of range is refused.
  public init?(_ text: String) {
    if !text.utf8.contains(0x2f) {
      guard let address = IPAddress(text) else { return nil }
      self.init(address, prefixLength: address.isV4 ? 32 : 128)
      return
    }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let address = IPAddress(String(parts[0])) else { return nil }
    let width = address.isV4 ? 32 : 128
    guard parts.count == 2 else {
      self.init(address, prefixLength: width)
      return
    }
    guard let n = Int(parts[1]), (0...width).contains(n), parts[1].allSatisfy(\.isNumber) else { return nil }
    self.init(address, prefixLength: n)
  }
  public func contains(_ address: IPAddress) -> Bool {
    address.isV4 == base.isV4 && address.masked(prefixLength) == base
  }
  public var description: String { "\(base)/\(prefixLength)" }
}
