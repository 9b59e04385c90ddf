// URLs in one form (RFC 3986, section 6), so that two spellings of one place compare equal byte by byte.
// Lower-case scheme and host, no default or empty port, percent-encoding in upper case and only where it is needed, no dot segments,
// and, as ATR asks (spec/atr-method-v1.1.md, 5.3.1), no fragment and no trailing slash. Total and linear: any bytes may come in.

public enum CanonicalURL {
  private static let defaultPorts: [(scheme: StaticString, port: StaticString)] = [
    ("http", "80"), ("https", "443"), ("ws", "80"), ("wss", "443"), ("ftp", "21"), ("ssh", "22"), ("git", "9418"),
  ]

  /// The canonical form; nil if the text does not begin with a scheme and "://" and a host.
  public static func of(_ text: some Collection<UInt8>) -> [UInt8]? {
    let bytes = Array(text)
    guard let schemeEnd = bytes.firstIndex(of: 0x3a), schemeEnd > 0, isScheme(bytes[..<schemeEnd]) else { return nil }
    guard schemeEnd + 2 < bytes.count, bytes[schemeEnd + 1] == 0x2f, bytes[schemeEnd + 2] == 0x2f else { return nil }
    var out = bytes[..<schemeEnd].map(lower)
    let scheme = out
    let end = bytes.firstIndex(of: 0x23) ?? bytes.count  // "#"
    let rest = bytes[min(schemeEnd + 3, end)..<end]
    let authorityEnd = rest.firstIndex { $0 == 0x2f || $0 == 0x3f } ?? end
    guard let authority = authority(rest[..<authorityEnd], scheme: scheme) else { return nil }
    out += [0x3a, 0x2f, 0x2f] + authority
    let queryStart = rest[authorityEnd...].firstIndex(of: 0x3f) ?? end
    var path = removingDotSegments(normalized(rest[authorityEnd..<queryStart]))
    while path.last == 0x2f { path.removeLast() }
    out += path
    if queryStart < end { out += normalized(rest[queryStart...]) }
    return out
  }

  private static func isScheme(_ bytes: ArraySlice<UInt8>) -> Bool {
    bytes.enumerated().allSatisfy { i, byte in
      (0x61...0x7a).contains(byte | 0x20) || i > 0 && ((0x30...0x39).contains(byte) || byte == 0x2b || byte == 0x2d || byte == 0x2e)
    }
  }
  private static func lower(_ byte: UInt8) -> UInt8 { (0x41...0x5a).contains(byte) ? byte | 0x20 : byte }

  /// [userinfo "@"] host [":" port]; nil without a host.
  private static func authority(_ bytes: ArraySlice<UInt8>, scheme: [UInt8]) -> [UInt8]? {
    var out: [UInt8] = []
    var host = bytes
    if let at = bytes.lastIndex(of: 0x40) {
      out = normalized(bytes[...at])
      host = bytes[(at + 1)...]
    }
    var port = host[host.endIndex...]
    // A colon inside "[...]" belongs to the address.
    if let colon = host.lastIndex(of: 0x3a), !(host[colon...].contains(0x5d)) {
      port = host[(colon + 1)...]
      host = host[..<colon]
    }
    guard !host.isEmpty else { return nil }
    out += lowerOutsideEscapes(normalized(host))
    let isDefault = defaultPorts.contains { equals(scheme[...], $0.scheme) && equals(port, $0.port) }
    if !port.isEmpty, !isDefault { out += [0x3a] + port }
    return out
  }
  private static func equals(_ bytes: ArraySlice<UInt8>, _ text: StaticString) -> Bool {
    bytes.elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }
  private static func lowerOutsideEscapes(_ bytes: [UInt8]) -> [UInt8] {
    var out = bytes
    var at = 0
    while at < out.count {
      if out[at] == 0x25, at + 2 < out.count {
        at += 3
      } else {
        out[at] = lower(out[at])
        at += 1
      }
    }
    return out
  }

  /// Escapes in upper case; escapes of unreserved characters decoded. What is no escape stays as it is.
  private static func normalized(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    var at = bytes.startIndex
    while at < bytes.endIndex {
      guard bytes[at] == 0x25, at + 2 < bytes.endIndex, let high = hex(bytes[at + 1]), let low = hex(bytes[at + 2]) else {
        out.append(bytes[at])
        at += 1
        continue
      }
      let byte = high << 4 | low
      if isUnreserved(byte) { out.append(byte) } else { out += [0x25, upperHex(high), upperHex(low)] }
      at += 3
    }
    return out
  }
  private static func isUnreserved(_ byte: UInt8) -> Bool {
    (0x61...0x7a).contains(byte | 0x20) && byte < 0x80 || (0x30...0x39).contains(byte) || [0x2d, 0x2e, 0x5f, 0x7e].contains(byte)
  }
  private static func hex(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x37
    case 0x61...0x66: byte - 0x57
    default: nil
    }
  }
  private static func upperHex(_ digit: UInt8) -> UInt8 { digit < 10 ? 0x30 + digit : 0x37 + digit }

  /// RFC 3986, section 5.2.4, over segments. `path` is empty or begins with "/".
  private static func removingDotSegments(_ path: [UInt8]) -> [UInt8] {
    guard path.first == 0x2f else { return path }
    var segments: [ArraySlice<UInt8>] = []
    for segment in path.dropFirst().split(separator: 0x2f, omittingEmptySubsequences: false) {
      if segment.elementsEqual([0x2e]) { continue }
      if segment.elementsEqual([0x2e, 0x2e]) {
        if !segments.isEmpty { segments.removeLast() }
        continue
      }
      segments.append(segment)
    }
    return segments.reduce(into: []) { $0 += [0x2f] + $1 }
  }
}
