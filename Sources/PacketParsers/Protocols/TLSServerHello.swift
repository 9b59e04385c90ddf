// What a TLS server says in the clear: its hello (RFC 8446 4.1.3, RFC 5246 7.4.1.3) and, up to TLS 1.2, its certificate.
// JA3S: salesforce/ja3 (version, cipher suite, extensions in their order).
import Events
import Primitives

/// Borrowed.
public struct TLSServerHello {
  /// The hello's own version.
  public var version: UInt16 = 0
  /// What was agreed on: the version of supported_versions, else `version`.
  public var selectedVersion: UInt16 = 0
  public var cipherSuite: UInt16 = 0
  /// ALPN's one name; empty where there is none (in TLS 1.3 it is sealed).
  public var nextProtocol = Bytes.none
  /// It asks for another hello (RFC 8446 4.1.4).
  public var isRetryRequest = false
  public var ja3s = HexText()

  func appendFields(to event: inout Event) {
    event.set(.eventAction, "tls-server-hello" as StaticString)
    TLSNames.withVersion(selectedVersion) { event.set(.tlsVersion, $0) }
    TLSNames.withCipherSuite(cipherSuite) { event.set(.tlsCipher, $0) }
    if nextProtocol.count > 0 { event.set(.tlsNextProtocol, nextProtocol) }
    if isRetryRequest { event.set(.eventReason, "hello-retry-request" as StaticString) }
    ja3s.withBytes { event.set(.tlsServerJA3S, $0) }
  }
}

extension TLSServerHello {
  /// SHA-256 of "HelloRetryRequest" stands where the random bytes would.
  private static let retryRandom: [UInt8] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
    0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
  ]

  /// `body`: the message without its header of four bytes.
  static func read(_ body: Bytes, _ context: ApplicationContext) -> ParseResult<TLSServerHello> {
    var hello = TLSServerHello()
    var reader = ByteReader(body)
    guard let version = reader.u16(), version >> 8 == 3 || version >> 8 == 0x7f else { return .failure(ParseFailure(0, .value)) }
    guard let random = reader.take(32) else { return .failure(ParseFailure(reader.at, .length)) }
    // Drafts of TLS 1.3 up to 21 had no session identifier here.
    if version >> 8 == 3 { guard reader.vector8() != nil else { return .failure(ParseFailure(reader.at, .length)) } }
    guard let suite = reader.u16() else { return .failure(ParseFailure(reader.at, .length)) }
    if version >> 8 == 3 { _ = reader.u8() }
    hello.version = version
    hello.selectedVersion = version
    hello.cipherSuite = suite
    hello.isRetryRequest = random.elementsEqual(retryRandom)
    var extensions = Bytes.none
    if reader.left > 0 {
      let at = reader.at
      guard let list = reader.vector16() else { return .failure(ParseFailure(at, .length)) }
      extensions = list
      hello.readExtensions(list)
    }
    hello.ja3s = ja3s(hello, extensions, context)
    return .value(hello)
  }
  private mutating func readExtensions(_ list: Bytes) {
    var reader = ByteReader(list)
    while let type = reader.u16(), let data = reader.vector16() {
      if type == TLSExtension.supportedVersions, data.count == 2 { selectedVersion = data.u16(at: 0) }
      if type == TLSExtension.applicationProtocols {
        var names = ByteReader(data.from(2))
        nextProtocol = names.vector8() ?? .none
      }
    }
  }
  private static func ja3s(_ hello: TLSServerHello, _ extensions: Bytes, _ context: ApplicationContext) -> HexText {
    context.scratch.removeAll(keepingCapacity: true)
    context.scratch.append(decimal: UInt64(hello.version), minimumDigits: 1)
    context.scratch.append(0x2c)
    context.scratch.append(decimal: UInt64(hello.cipherSuite), minimumDigits: 1)
    context.scratch.append(0x2c)
    JA3.append(extensions: extensions, to: &context.scratch)
    return context.scratch.withUnsafeBytes { context.digests.md5($0) }
  }
}

enum TLSNames {
  static func withVersion<Result>(_ version: UInt16, _ body: (Bytes) -> Result) -> Result {
    switch version {
    case 0x0304: body(Bytes("1.3"))
    case 0x0303: body(Bytes("1.2"))
    case 0x0302: body(Bytes("1.1"))
    case 0x0301: body(Bytes("1.0"))
    case 0x0300: body(Bytes("SSL 3.0"))
    case 0x0002: body(Bytes("SSL 2.0"))
    default: withHex(version, body)
    }
  }
  /// IANA's name of the suites that are in use; others as a number.
  static func withCipherSuite<Result>(_ suite: UInt16, _ body: (Bytes) -> Result) -> Result {
    for (number, name) in suites where number == suite { return body(Bytes(name)) }
    return withHex(suite, body)
  }
  private static func withHex<Result>(_ value: UInt16, _ body: (Bytes) -> Result) -> Result {
    var text = HexText()
    text.append(0x30)
    text.append(0x78)
    for shift in stride(from: UInt16(12), through: 0, by: -4) { text.append(HexText.digit(UInt8(value >> shift & 15))) }
    return text.withBytes(body)
  }
  private static let suites: [(UInt16, StaticString)] = [
    (0x1301, "TLS_AES_128_GCM_SHA256"), (0x1302, "TLS_AES_256_GCM_SHA384"), (0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
    (0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), (0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"), (0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    (0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"), (0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"), (0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    (0xc009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"), (0xc00a, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    (0xc027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"), (0xc028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
    (0x009e, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"), (0x009f, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256"), (0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384"), (0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"),
    (0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"), (0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"), (0x0005, "TLS_RSA_WITH_RC4_128_SHA"),
    (0x0004, "TLS_RSA_WITH_RC4_128_MD5"), (0xc011, "TLS_ECDHE_RSA_WITH_RC4_128_SHA"), (0x0033, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"),
    (0x0039, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"),
    // What protects nothing, or nearly nothing.
    (0x0001, "TLS_RSA_WITH_NULL_MD5"), (0x0002, "TLS_RSA_WITH_NULL_SHA"), (0x003b, "TLS_RSA_WITH_NULL_SHA256"),
    (0xc006, "TLS_ECDHE_ECDSA_WITH_NULL_SHA"), (0xc010, "TLS_ECDHE_RSA_WITH_NULL_SHA"), (0x0003, "TLS_RSA_EXPORT_WITH_RC4_40_MD5"),
    (0x0006, "TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5"), (0x0008, "TLS_RSA_EXPORT_WITH_DES40_CBC_SHA"), (0xc007, "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA"),
    (0x0009, "TLS_RSA_WITH_DES_CBC_SHA"), (0x0018, "TLS_DH_anon_WITH_RC4_128_MD5"), (0x001b, "TLS_DH_anon_WITH_3DES_EDE_CBC_SHA"),
    (0x0034, "TLS_DH_anon_WITH_AES_128_CBC_SHA"), (0x003a, "TLS_DH_anon_WITH_AES_256_CBC_SHA"), (0xc018, "TLS_ECDH_anon_WITH_AES_128_CBC_SHA"),
    (0xc019, "TLS_ECDH_anon_WITH_AES_256_CBC_SHA"),
  ]
}
