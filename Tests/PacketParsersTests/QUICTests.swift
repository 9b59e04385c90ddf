// QUIC's Initial packets against RFC 9001 appendix A and RFC 9369 appendix A, and in every order that datagrams come in.
import COpenSSL
import Events
import Primitives
import Testing

@testable import PacketParsers
@testable import PanguardTestKit

/// Seals Initial packets as a client does, for what the parser is to open.
struct InitialBuilder {
  var version: UInt32 = 1
  var destinationID = hex("8394c8f03e515708")
  /// The identifier the keys come from, where it is not the packet's own.
  var keyID: [UInt8]?
  var token: [UInt8] = []
  var number: UInt32 = 2

  /// RFC 9001 A.2: four bytes of packet number.
  func seal(_ payload: [UInt8]) -> [UInt8] {
    let keys = (keyID ?? destinationID).withUnsafeBytes { QUICKeys(version: version, destinationID: $0, isClient: true) }!
    let first: UInt8 = version == QUICVersion.v2.rawValue ? 0xd3 : 0xc3
    let length = payload.count + 4 + 16
    var packet: [UInt8] = [first] + word(version) + vector8(destinationID) + [0] + u16(0x4000 | token.count) + token + u16(0x4000 | length)
    // The RFCs' packets have a token length of one byte.
    if token.isEmpty { packet = [first] + word(version) + vector8(destinationID) + [0, 0] + u16(0x4000 | length) }
    let numberAt = packet.count
    packet += word(number)
    packet += encrypt(payload, keys, header: packet)
    let mask = packet.withUnsafeBytes { keys.mask($0.slice(numberAt + 4, numberAt + 20)) }!
    packet[0] ^= mask[0] & 0x0f
    for i in 0..<4 { packet[numberAt + i] ^= mask[1 + i] }
    return packet
  }
  private func word(_ value: UInt32) -> [UInt8] { u16(Int(value >> 16)) + u16(Int(value & 0xffff)) }
  private func encrypt(_ plain: [UInt8], _ keys: QUICKeys, header: [UInt8]) -> [UInt8] {
    var nonce = keys.initialisationVector
    for i in 0..<4 { nonce[8 + i] ^= UInt8(truncatingIfNeeded: number >> UInt32(24 - 8 * i)) }
    let state = EVP_CIPHER_CTX_new()
    defer { EVP_CIPHER_CTX_free(state) }
    var out = [UInt8](repeating: 0, count: plain.count + 16)
    var tag = [UInt8](repeating: 0, count: 16)
    var count: Int32 = 0
    EVP_EncryptInit_ex(state, EVP_aes_128_gcm(), nil, keys.key, nonce)
    EVP_EncryptUpdate(state, nil, &count, header, Int32(header.count))
    EVP_EncryptUpdate(state, &out, &count, plain, Int32(plain.count))
    var last: Int32 = 0
    EVP_EncryptFinal_ex(state, &tag, &last)
    EVP_CIPHER_CTX_ctrl(state, EVP_CTRL_AEAD_GET_TAG, 16, &tag)
    return Array(out.prefix(plain.count)) + tag
  }
  static func cryptoFrame(_ data: [UInt8], at offset: Int) -> [UInt8] { [6] + u16(0x4000 | offset) + u16(0x4000 | data.count) + data }
}

@Suite struct QUICTests {
  /// RFC 9001 A.2: the CRYPTO frame with the hello of example.com.
  static let frame = hex(
    """
    060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868 04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578
    616d706c652e636f6dff01000100000a00080006001d00170018001000070005 04616c706e000500050100000000003300260024001d00209370b2c9caa47fba
    baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400 0d0010000e0403050306030203080408050806002d00020101001c0002400100
    3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000 75300901100f088394c8f03e51570806048000ffff
    """)
  static var hello: [UInt8] { Array(frame.dropFirst(4)) }
  static let padding = [UInt8](repeating: 0, count: 917)

  @Test func keysOfTheRFCs() throws {
    let id = hex("8394c8f03e515708")
    func keys(_ version: UInt32, _ isClient: Bool) throws -> QUICKeys {
      try #require(id.withUnsafeBytes { QUICKeys(version: version, destinationID: $0, isClient: isClient) })
    }
    let client = try keys(1, true)
    #expect(client.key == hex("1f369613dd76d5467730efcbe3b1a22d"))
    #expect(client.initialisationVector == hex("fa044b2f42a3fd3b46fb255c"))
    #expect(client.headerKey == hex("9f50449e04a0e810283a1e9933adedd2"))
    let server = try keys(1, false)
    #expect(server.key == hex("cf3a5331653c364c88f0f379b6067e37"))
    #expect(server.initialisationVector == hex("0ac1493ca1905853b0bba03e"))
    #expect(server.headerKey == hex("c206b8d9b9f0f37644430b490eeaa314"))
    let second = try keys(QUICVersion.v2.rawValue, true)
    #expect(second.key == hex("8b1a0bc121284290a29e0971b5cd045d"))
    #expect(second.initialisationVector == hex("91f73e2351d8fa91660e909f"))
    #expect(second.headerKey == hex("45b95e15235d6f45a6b19cbcb0294ba9"))
  }
  @Test func packetsOfTheRFCs() {
    let first = InitialBuilder().seal(QUICTests.frame + QUICTests.padding)
    #expect(first.count == 1200)
    #expect(Array(first.prefix(38)) == hex("c000000001088394c8f03e5157080000449e7b9aec34 d1b1c98dd7689fb8ec11d242b123dc9b"))
    #expect(
      Array(first.suffix(48)) == hex("7e78bfe706ca4cf5e9c5453e9f7cfd2b8b4c8d169a44e55c88d4a9a7f9474241 e221af44860018ab0856972e194cd934"))
    let second = InitialBuilder(version: QUICVersion.v2.rawValue).seal(QUICTests.frame + QUICTests.padding)
    #expect(Array(second.prefix(38)) == hex("d76b3343cf088394c8f03e5157080000449ea0c95e82 ffe67b6abcdb4298b485dd04de806071"))
    #expect(
      Array(second.suffix(48)) == hex("9a37ddec600545473cfb5a05e08d0b209973b2172b4d21fb69745a262ccde96b a18b2faa745b6fe189cf772a9f84cbfc"))
    for packet in [first, second] {
      let heard = Conversation("initial", .udp, turns: [(.toResponder, packet)]).messages()
      #expect(lines(heard, "event.action", "network.protocol", "tls.client.server_name") == ["tls-client-hello quic example.com"])
      #expect(heard.first?["tls.client.ja4"]?.hasPrefix("q13d0211an_") == true)
    }
  }
  @Test func serverPacketOfTheRFCOpensWithTheServersKeys() throws {
    // RFC 9001 A.3
    let bytes = hex(
      """
      cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a 5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3
      dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84 022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc4
      2158407dd074ee
      """)
    let keys = try #require(hex("8394c8f03e515708").withUnsafeBytes { QUICKeys(version: 1, destinationID: $0, isClient: false) })
    var plain: [UInt8] = []
    let isOpen = try bytes.withUnsafeBytes { try #require(QUICPacket($0)).open($0, keys, into: &plain) }
    #expect(isOpen)
    #expect(Array(plain.prefix(12)) == hex("02000000000600405a020000"))
  }

  private func names(_ datagrams: [[UInt8]]) -> [String] {
    lines(Conversation("quic", .udp, turns: datagrams.map { (.toResponder, $0) }).messages(), "tls.client.server_name")
  }
  private func pieces(_ cuts: [Int]) -> [[UInt8]] {
    let hello = QUICTests.hello
    let ends = cuts + [hello.count]
    return zip([0] + cuts, ends).map { InitialBuilder.cryptoFrame(Array(hello[$0..<$1]), at: $0) }
  }
  private func padded(_ frames: [UInt8]) -> [UInt8] { frames + [UInt8](repeating: 0, count: max(0, 1100 - frames.count)) }

  @Test func helloInPiecesOfAnyOrder() {
    let parts = pieces([60, 61, 130])
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 1, 0, 3, 3, 2]] {
      // In one packet, and each in a datagram of its own.
      #expect(names([InitialBuilder().seal(padded(order.flatMap { parts[$0] }))]) == ["example.com"])
      let datagrams = order.enumerated().map { InitialBuilder(number: UInt32($0.offset)).seal(padded(parts[$0.element])) }
      #expect(names(datagrams) == ["example.com"])
    }
  }
  @Test func coalescedAndPaddedAndAcknowledged() {
    let parts = pieces([100])
    let first = InitialBuilder(number: 0).seal([1] + parts[0] + [UInt8](repeating: 0, count: 100))
    let second = InitialBuilder(number: 1).seal([2, 0, 0, 1, 0, 0, 0] + parts[1])
    #expect(names([first + second + [UInt8](repeating: 0, count: 80)]) == ["example.com"])
  }
  @Test func behindARetryTheKeysAreNew() {
    let parts = pieces([100])
    let lost = InitialBuilder(number: 0).seal(padded(parts[0]))
    let token = [UInt8](repeating: 3, count: 30)
    let first = InitialBuilder(destinationID: hex("0102030405060708"), token: token, number: 1).seal(padded(parts[0]))
    let second = InitialBuilder(destinationID: hex("0102030405060708"), token: token, number: 2).seal(padded(parts[1]))
    #expect(names([lost, first, second]) == ["example.com"])
  }
  @Test func theServersIdentifierDoesNotChangeTheKeys() {
    let parts = pieces([100])
    let second = InitialBuilder(destinationID: hex("f067a5502a4262b5"), keyID: hex("8394c8f03e515708"), number: 3).seal(padded(parts[1]))
    #expect(names([InitialBuilder().seal(padded(parts[0])), second]) == ["example.com"])
  }
  @Test func whatDoesNotAuthenticateSaysNothing() {
    let packet = InitialBuilder().seal(QUICTests.frame + QUICTests.padding)
    for at in [0, 5, 6, 12, 20, 40, 600, 1199] {
      var changed = packet
      changed[at] ^= 0x10
      #expect(names([changed]) == [], "byte \(at)")
    }
  }
  @Test func unboundedPiecesAreNotHeld() {
    var listener = Listener(.udp)
    for i in 0..<100 {
      listener.hear(InitialBuilder(number: UInt32(i)).seal(padded(InitialBuilder.cryptoFrame([1], at: 2 * i + 10))), .toResponder)
    }
    #expect(listener.demand == .enough)
    #expect(listener.context.heldBytes <= Limits.applicationMessageBytes)
  }
}
