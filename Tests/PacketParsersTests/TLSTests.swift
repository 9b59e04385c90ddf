// Hellos across records and segments, and their fingerprints against published values.
import Events
import Primitives
import Testing

@testable import PacketParsers
@testable import PanguardTestKit

@Suite struct TLSTests {
  // MARK: JA4, by the examples in technical_details/JA4.md

  static let ciphers = [
    0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
  ]
  static let extensions = [0x1b, 0, 0x33, 0x10, 0x4469, 0x17, 0x2d, 0x0d, 5, 0x23, 0x12, 0x2b, 0xff01, 0x0b, 0x0a, 0x15]
  static let signatures = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]
  static var example: HelloBuilder { HelloBuilder(ciphers: ciphers, extensions: extensions, signatureAlgorithms: signatures) }

  @Test func ja4OfTheExample() { #expect(TLSTests.example.read()?.ja4 == "t13d1516h2_8daaf6152771_e5627efa2ab1") }
  @Test func ja4OfTheExampleInQUIC() { #expect(TLSTests.example.read(isQUIC: true)?.ja4 == "q13d1516h2_8daaf6152771_e5627efa2ab1") }

  @Test func greaseCountsNowhere() {
    var hello = TLSTests.example
    hello.ciphers.insert(0x3a3a, at: 0)
    hello.extensions = [0xdada] + hello.extensions + [0x0a0a]
    hello.versions = [0xfafa, 0x0304, 0x0303]
    hello.groups = [0x1a1a, 29, 23]
    hello.signatureAlgorithms.insert(0x2a2a, at: 3)
    #expect(hello.read()?.ja4 == "t13d1516h2_8daaf6152771_e5627efa2ab1")
  }
  @Test func withoutSignatureAlgorithmsThereIsNoUnderscore() {
    var hello = TLSTests.example
    hello.signatureAlgorithms = []
    #expect(hello.read()?.ja4 == "t13d1516h2_8daaf6152771_6d807ffa2a79")
  }
  @Test func withoutExtensionsThereAreZeros() {
    var hello = TLSTests.example
    hello.hasExtensions = false
    #expect(hello.read()?.ja4 == "t12i150000_8daaf6152771_000000000000")
    hello = TLSTests.example
    hello.extensions = [0, 16]
    #expect(hello.read()?.ja4 == "t12d1502h2_8daaf6152771_000000000000")
    hello.ciphers = [0x0a0a]
    #expect(hello.read()?.ja4 == "t12d0002h2_000000000000_000000000000")
  }
  @Test(arguments: [
    (0x0304, "13"), (0x0303, "12"), (0x0302, "11"), (0x0301, "10"), (0x0300, "s3"), (0x7f1c, "00"), (0x0305, "00"), (0x7e02, "00"),
  ]) func versions(_ version: Int, _ shown: String) {
    var hello = TLSTests.example
    hello.versions = [0x0300, version, 0x8a8a]
    #expect(String(hello.read()?.ja4.dropFirst().prefix(2) ?? "") == shown)
    hello.extensions.removeAll { $0 == 43 }
    guard version >> 8 == 3 else { return }
    hello.version = version
    #expect(String(hello.read()?.ja4.dropFirst().prefix(2) ?? "") == shown)
  }
  @Test(arguments: [
    ("6832", "h2"), ("687474702f312e31", "h1"), ("68", "hh"), ("", "00"), ("ab", "ab"), ("abcd", "ad"), ("30ab", "3b"), ("3031abcd", "3d"),
    ("30abcd31", "01"),
  ]) func firstProtocol(_ name: String, _ shown: String) {
    var hello = TLSTests.example
    hello.protocols = [hex(name), Array("h2".utf8)]
    #expect(String(hello.read()?.ja4.dropFirst(8).prefix(2) ?? "") == shown)
  }
  @Test func countsStopAt99() {
    var hello = TLSTests.example
    hello.ciphers = Array(0x4000..<0x4100)
    #expect(hello.read()?.ja4.hasPrefix("t13d9916") == true)
  }

  // MARK: JA3, by salesforce/ja3's README; JA3S, MD5 of "769,47,65281-0-11-35-5-16"

  @Test func ja3OfTheExamples() {
    let first = HelloBuilder(
      version: 769, ciphers: [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4], extensions: [0, 10, 11], groups: [23, 24, 25])
    #expect(first.read()?.ja3 == "ada70206e40642a3e4461f35503241d5")
    let second = HelloBuilder(version: 769, ciphers: [4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99], hasExtensions: false)
    #expect(second.read()?.ja3 == "de350869b8c85de67a350c8d186f11e6")
  }
  @Test func ja3s() {
    let hello = serverHello(version: 769, cipher: 47, extensions: [(65281, [0]), (0, []), (11, [1, 0]), (35, []), (5, []), (16, [])])
    let heard = Conversation("server", turns: [(.toOriginator, tlsRecords(hello))]).messages()
    #expect(heard.first?["tls.server.ja3s"] == "836ce314215654b5b1f85f97c73e506f")
  }

  // MARK: Conversations

  @Test func helloOnAnyPortAcrossSmallRecords() {
    for size in [1, 2, 5, 100, 16_384] {
      let heard = Conversation("hello", ports: (50_000, 9), turns: [(.toResponder, TLSTests.example.records(size: size))]).messages(split: 33)
      #expect(
        lines(heard, "event.action", "tls.client.server_name", "tls.client.ja4", "panguard.tls.client_protocols", "panguard.tls.client_version")
          == ["tls-client-hello example.org t13d1516h2_8daaf6152771_e5627efa2ab1 [\"h2\",\"http/1.1\"] 1.3"], "records of \(size)")
    }
  }
  @Test func encryptedHelloIsNoted() {
    var hello = TLSTests.example
    hello.extensions.append(0xfe0d)
    #expect(Conversation("ech", turns: [(.toResponder, hello.records())]).messages().first?["panguard.tls.ech"] == "1")
  }
  @Test func nothingMoreIsWantedBehindTheHellos() {
    var listener = Listener()
    listener.hear(TLSTests.example.records(), .toResponder)
    #expect(listener.demand == .enough)
    listener.hear(tlsRecords(serverHello(cipher: 0x1301, extensions: [(43, [3, 4]), (51, [0, 29])])), .toOriginator)
    #expect(listener.demand == .enough)
    #expect(lines(listener.messages, "event.action", "tls.version", "tls.cipher").last == "tls-server-hello 1.3 TLS_AES_128_GCM_SHA256")
  }
  @Test func helloBehindARetryRequest() {
    let retry = serverHello(
      cipher: 0x1302, extensions: [(43, [3, 4])],
      random: hex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"))
    let second = serverHello(cipher: 0x1302, extensions: [(51, []), (43, [3, 4])])
    let heard = Conversation("retry", turns: [(.toOriginator, tlsRecords(retry) + tlsRecords([1], type: 20) + tlsRecords(second))]).messages()
    #expect(lines(heard, "event.action", "event.reason") == ["tls-server-hello hello-retry-request", "tls-server-hello -"])
  }
  @Test func certificateOfTLS12() {
    let heard = Conversation("certificate", turns: [(.toOriginator, TLSTests.certificateFlight)]).messages()
    #expect(
      lines(
        heard, "event.action", "tls.version", "tls.server.subject", "tls.server.issuer", "tls.server.not_before", "tls.server.not_after",
        "panguard.tls.self_signed")
        == [
          "tls-server-hello 1.2 - - - - -",
          "tls-certificate - CN=old.example, O=Test C=DE, CN=Test CA 2020-01-02T03:04:05Z 2051-06-07T08:09:10Z 0",
        ])
  }
  /// A protocol of its own asks for TLS first, on both sides (RDP: X.224 in TPKT).
  @Test func behindAPreamble() {
    let heard = Conversation(
      "rdp",
      turns: [
        (.toResponder, hex("0300000b06e00000000000")), (.toOriginator, hex("0300000b06d00000123400")), (.toResponder, TLSTests.example.records()),
        (.toOriginator, TLSTests.certificateFlight),
      ]
    ).messages()
    #expect(lines(heard, "event.action") == ["tls-client-hello", "tls-server-hello", "tls-certificate"])
  }
  @Test func aSealedConnectionWhoseStartWasNotSeen() {
    var listener = Listener()
    _ = listener.layer.gap(0, .toResponder)
    listener.hear([23, 3, 3] + vector16([UInt8](repeating: 1, count: 50)), .toResponder)
    #expect(listener.layer.protocolName == .tls && listener.demand == .enough && listener.messages.isEmpty)
  }
  @Test func postgresAsksForTLS() {
    let heard = Conversation(
      "postgres", ports: (50_000, 5432),
      turns: [(.toResponder, hex("0000000804d2162f")), (.toOriginator, Array("S".utf8)), (.toResponder, TLSTests.example.records())]
    ).messages()
    #expect(lines(heard, "event.action") == ["tls-client-hello"])
  }

  static let certificateFlight = CertificateFlight().bytes
}

extension HelloBuilder {
  func read(isQUIC: Bool = false) -> (ja3: String, ja4: String)? {
    let context = ApplicationContext()
    return body.withUnsafeBytes {
      guard case .value(let hello) = TLSClientHello.read($0, isQUIC: isQUIC, context) else { return nil }
      return (hello.ja3.string, hello.ja4.string)
    }
  }
}
