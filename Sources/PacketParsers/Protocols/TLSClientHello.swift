// The first message of a TLS client (RFC 8446 4.1.2, RFC 5246 7.4.1.2), over TCP or inside QUIC, and the fingerprints that are made of it.
// JA3: salesforce/ja3. JA4: FoxIO-LLC/ja4, technical_details/JA4.md; only JA4 itself, none of the methods under another licence.
// What must stay true: GREASE (RFC 8701) counts nowhere; linear but for sorting numbers.
import Events
import Primitives

/// Borrowed.
public struct TLSClientHello {
  /// The hello's own version; TLS 1.3 says 0x0303 here.
  public var version: UInt16 = 0
  /// The highest version of supported_versions, else `version`.
  public var offeredVersion: UInt16 = 0
  /// The list of cipher suites as it was sent, two bytes each.
  public var cipherSuites = Bytes.none
  /// The extensions as they were sent.
  public var extensions = Bytes.none
  /// nil: no server_name extension; empty: it names no host.
  public var serverName: Bytes?
  /// ALPN's list of names, each behind its length.
  public var protocols = Bytes.none
  /// Extension 0xfe0d (RFC 9849): `serverName` may be the outer name.
  public var hasEncryptedHello = false
  public var isQUIC = false
  public var ja3 = HexText()
  public var ja4 = HexText()

  func appendFields(to event: inout Event) {
    event.set(.eventAction, "tls-client-hello" as StaticString)
    TLSNames.withVersion(offeredVersion) { event.set(.tlsClientVersion, $0) }
    if let serverName, serverName.count > 0 { event.set(.tlsClientServerName, serverName) }
    ja3.withBytes { event.set(.tlsClientJA3, $0) }
    ja4.withBytes { event.set(.tlsClientJA4, $0) }
    if hasEncryptedHello { event.set(.tlsClientHelloEncrypted, 1) }
    guard protocols.count > 0 else { return }
    var list: [UInt8] = [0x5b]
    var reader = ByteReader(protocols)
    while let name = reader.vector8() {
      if list.count > 1 { list.append(0x2c) }
      JSONWriter.appendQuoted(name, to: &list)
    }
    list.append(0x5d)
    list.withUnsafeBytes { event.set(.tlsClientSupportedProtocols, $0) }
  }
}

enum TLSExtension {
  static let serverName: UInt16 = 0
  static let supportedGroups: UInt16 = 10
  static let pointFormats: UInt16 = 11
  static let signatureAlgorithms: UInt16 = 13
  static let applicationProtocols: UInt16 = 16
  static let supportedVersions: UInt16 = 43
  static let encryptedClientHello: UInt16 = 0xfe0d

  /// RFC 8701: 0x0a0a, 0x1a1a, ... 0xfafa.
  @inline(__always)
  static func isGREASE(_ value: UInt16) -> Bool { value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff }
}

extension TLSClientHello {
  /// `body`: the message without its header of four bytes.
  static func read(_ body: Bytes, isQUIC: Bool, _ context: ApplicationContext) -> ParseResult<TLSClientHello> {
    var hello = TLSClientHello()
    var details = TLSHelloDetails()
    hello.isQUIC = isQUIC
    var reader = ByteReader(body)
    guard let version = reader.u16(), version >> 8 == 3 || version >> 8 == 0xfe || version == 2 else { return .failure(ParseFailure(0, .value)) }
    guard reader.take(32) != nil, reader.vector8() != nil else { return .failure(ParseFailure(reader.at, .length)) }
    let suitesAt = reader.at
    guard let suites = reader.vector16(), suites.count & 1 == 0, reader.vector8() != nil else { return .failure(ParseFailure(suitesAt, .length)) }
    hello.version = version
    hello.offeredVersion = version
    hello.cipherSuites = suites
    if reader.left > 0 {
      let at = reader.at
      guard let extensions = reader.vector16() else { return .failure(ParseFailure(at, .length)) }
      hello.extensions = extensions
      if let offset = hello.readExtensions(&details) { return .failure(ParseFailure(at + 2 + offset, .length)) }
    }
    hello.fingerprint(details, context)
    return .value(hello)
  }

  /// Returns the offset of what is no extension.
  private mutating func readExtensions(_ details: inout TLSHelloDetails) -> Int? {
    var reader = ByteReader(extensions)
    while reader.left > 0 {
      let at = reader.at
      guard let type = reader.u16(), let data = reader.vector16() else { return at }
      switch type {
      case TLSExtension.serverName: if serverName == nil { serverName = TLSClientHello.hostName(data) }
      case TLSExtension.supportedGroups: details.groups = data.from(2)
      case TLSExtension.pointFormats: details.pointFormats = data.from(1)
      case TLSExtension.signatureAlgorithms: details.signatureAlgorithms = data.from(2)
      case TLSExtension.applicationProtocols: protocols = data.from(2)
      case TLSExtension.supportedVersions: readVersions(data.from(1))
      case TLSExtension.encryptedClientHello: hasEncryptedHello = true
      default: break
      }
    }
    return nil
  }
  private mutating func readVersions(_ list: Bytes) {
    var highest: UInt16 = 0
    for i in 0..<list.count / 2 {
      let version = list.u16(at: 2 * i)
      if !TLSExtension.isGREASE(version) { highest = max(highest, version) }
    }
    if highest > 0 { offeredVersion = highest }
  }
  /// The first host_name of the list (RFC 6066 3); empty where there is none.
  private static func hostName(_ data: Bytes) -> Bytes {
    var reader = ByteReader(data.from(2))
    while let type = reader.u8(), let name = reader.vector16() {
      if type == 0 { return name }
    }
    return .none
  }
}

/// Lists that only the fingerprints need, without their counts.
private struct TLSHelloDetails {
  var groups = Bytes.none
  var pointFormats = Bytes.none
  var signatureAlgorithms = Bytes.none
}

// MARK: Fingerprints

extension TLSClientHello {
  private mutating func fingerprint(_ details: TLSHelloDetails, _ context: ApplicationContext) {
    ja3 = TLSClientHello.ja3(self, details, context)
    ja4 = TLSClientHello.ja4(self, details, context)
  }

  private static func ja3(_ hello: TLSClientHello, _ details: TLSHelloDetails, _ context: ApplicationContext) -> HexText {
    context.scratch.removeAll(keepingCapacity: true)
    context.scratch.append(decimal: UInt64(hello.version), minimumDigits: 1)
    context.scratch.append(0x2c)
    JA3.append(hello.cipherSuites, to: &context.scratch)
    context.scratch.append(0x2c)
    JA3.append(extensions: hello.extensions, to: &context.scratch)
    context.scratch.append(0x2c)
    JA3.append(details.groups, to: &context.scratch)
    context.scratch.append(0x2c)
    for (i, format) in details.pointFormats.enumerated() {
      if i > 0 { context.scratch.append(0x2d) }
      context.scratch.append(decimal: UInt64(format), minimumDigits: 1)
    }
    return context.scratch.withUnsafeBytes { context.digests.md5($0) }
  }

  private static func ja4(_ hello: TLSClientHello, _ details: TLSHelloDetails, _ context: ApplicationContext) -> HexText {
    var extensionCount = 0
    var reader = ByteReader(hello.extensions)
    while let type = reader.u16(), reader.vector16() != nil { if !TLSExtension.isGREASE(type) { extensionCount += 1 } }
    var text = HexText()
    text.append(hello.isQUIC ? 0x71 : 0x74)
    for byte in Bytes(JA4.version(hello.offeredVersion)) { text.append(byte) }
    text.append(hello.serverName != nil ? 0x64 : 0x69)
    JA4.append(count: JA4.count(hello.cipherSuites), to: &text)
    JA4.append(count: extensionCount, to: &text)
    JA4.append(protocols: hello.protocols, to: &text)
    text.append(0x5f)
    JA4.append(hashOf: &context.scratch, context.digests, to: &text) { JA4.sorted(hello.cipherSuites, to: &$0) }
    text.append(0x5f)
    JA4.append(hashOf: &context.scratch, context.digests, to: &text) { out in
      JA4.sorted(extensions: hello.extensions, count: extensionCount, to: &out)
      // No extension, no fingerprint of them, whatever was read out of one.
      if !out.isEmpty { JA4.append(signatureAlgorithms: details.signatureAlgorithms, to: &out) }
    }
    return text
  }
}

/// Decimal numbers between hyphens.
enum JA3 {
  /// Two bytes each.
  static func append(_ list: Bytes, to out: inout [UInt8]) {
    var isFirst = true
    for i in 0..<list.count / 2 { append(list.u16(at: 2 * i), &isFirst, to: &out) }
  }
  /// The types of a list of extensions.
  static func append(extensions: Bytes, to out: inout [UInt8]) {
    var isFirst = true
    var reader = ByteReader(extensions)
    while let type = reader.u16(), reader.vector16() != nil { append(type, &isFirst, to: &out) }
  }
  private static func append(_ value: UInt16, _ isFirst: inout Bool, to out: inout [UInt8]) {
    guard !TLSExtension.isGREASE(value) else { return }
    if !isFirst { out.append(0x2d) }
    isFirst = false
    out.append(decimal: UInt64(value), minimumDigits: 1)
  }
}

enum JA4 {
  static func version(_ version: UInt16) -> StaticString {
    switch version {
    case 0x0304: "13"
    case 0x0303: "12"
    case 0x0302: "11"
    case 0x0301: "10"
    case 0x0300: "s3"
    case 0x0002: "s2"
    case 0xfeff: "d1"
    case 0xfefd: "d2"
    case 0xfefc: "d3"
    default: "00"
    }
  }
  static func count(_ list: Bytes) -> Int {
    var count = 0
    for i in 0..<list.count / 2 where !TLSExtension.isGREASE(list.u16(at: 2 * i)) { count += 1 }
    return count
  }
  static func append(count: Int, to text: inout HexText) {
    let shown = UInt8(min(count, 99))
    text.append(0x30 + shown / 10)
    text.append(0x30 + shown % 10)
  }
  /// First and last character of the first name, or of its hexadecimal form where one of its ends is no letter or digit.
  static func append(protocols: Bytes, to text: inout HexText) {
    var reader = ByteReader(protocols)
    guard let name = reader.vector8(), let first = name.first, let last = name.last else {
      text.append(0x30)
      text.append(0x30)
      return
    }
    if isAlphanumeric(first), isAlphanumeric(last) {
      text.append(first)
      text.append(last)
    } else {
      text.append(HexText.digit(first >> 4))
      text.append(HexText.digit(last & 15))
    }
  }
  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
  }

  /// Twelve digits of what `fill` writes; zeros where it writes nothing.
  static func append(hashOf scratch: inout [UInt8], _ digests: Digests, to text: inout HexText, _ fill: (inout [UInt8]) -> Void) {
    scratch.removeAll(keepingCapacity: true)
    fill(&scratch)
    if scratch.isEmpty {
      for _ in 0..<12 { text.append(0x30) }
    } else {
      text.append(scratch.withUnsafeBytes { digests.sha256Prefix($0) })
    }
  }
  static func sorted(_ list: Bytes, to out: inout [UInt8]) {
    withUnsafeTemporaryAllocation(of: UInt16.self, capacity: list.count / 2 + 1) { numbers in
      var count = 0
      for i in 0..<list.count / 2 where !TLSExtension.isGREASE(list.u16(at: 2 * i)) {
        numbers[count] = list.u16(at: 2 * i)
        count += 1
      }
      append(sorting: UnsafeMutableBufferPointer(rebasing: numbers[..<count]), to: &out)
    }
  }
  /// Without server_name and ALPN, which the first part tells already. `count`: of those that are not GREASE.
  static func sorted(extensions: Bytes, count: Int, to out: inout [UInt8]) {
    withUnsafeTemporaryAllocation(of: UInt16.self, capacity: count + 1) { numbers in
      var kept = 0
      var reader = ByteReader(extensions)
      while let type = reader.u16(), reader.vector16() != nil {
        guard !TLSExtension.isGREASE(type), type != TLSExtension.serverName, type != TLSExtension.applicationProtocols else { continue }
        numbers[kept] = type
        kept += 1
      }
      append(sorting: UnsafeMutableBufferPointer(rebasing: numbers[..<kept]), to: &out)
    }
  }
  private static func append(sorting list: UnsafeMutableBufferPointer<UInt16>, to out: inout [UInt8]) {
    var numbers = list
    if numbers.count <= 64 { insertionSort(numbers) } else { numbers.sort() }
    for (i, number) in numbers.enumerated() { append(number, isFirst: i == 0, to: &out) }
  }
  /// Without the memory that the library's sort takes; hellos have about twenty.
  private static func insertionSort(_ numbers: UnsafeMutableBufferPointer<UInt16>) {
    for i in 0..<numbers.count {
      let value = numbers[i]
      var at = i
      while at > 0, numbers[at - 1] > value {
        numbers[at] = numbers[at - 1]
        at -= 1
      }
      numbers[at] = value
    }
  }
  /// In the order they came, behind an underscore; nothing without any.
  static func append(signatureAlgorithms list: Bytes, to out: inout [UInt8]) {
    var isFirst = true
    for i in 0..<list.count / 2 {
      let value = list.u16(at: 2 * i)
      guard !TLSExtension.isGREASE(value) else { continue }
      if isFirst { out.append(0x5f) }
      append(value, isFirst: isFirst, to: &out)
      isFirst = false
    }
  }
  private static func append(_ number: UInt16, isFirst: Bool, to out: inout [UInt8]) {
    if !isFirst { out.append(0x2c) }
    out.append(HexText.digit(UInt8(number >> 12)))
    out.append(HexText.digit(UInt8(number >> 8 & 15)))
    out.append(HexText.digit(UInt8(number >> 4 & 15)))
    out.append(HexText.digit(UInt8(number & 15)))
  }
}
