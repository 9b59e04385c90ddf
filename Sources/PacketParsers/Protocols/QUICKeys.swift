// The keys of QUIC's Initial packets, which anybody who sees the first packet can derive (RFC 9001 5.2, RFC 9369 3.3), and opening packets
// with them. OpenSSL does the cryptography.
// What must stay true: a packet that does not authenticate gives nothing.
import COpenSSL
import Primitives

enum QUICVersion: UInt32 {
  case v1 = 0x0000_0001
  case v2 = 0x6b33_43cf

  /// The drafts that were deployed take the labels of version 1 with salts of their own (draft-ietf-quic-tls-23 and -29, 5.2), and so do
  /// Facebook's experimental versions.
  static func salt(_ version: UInt32) -> [UInt8]? {
    switch version {
    case v1.rawValue:
      [0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a]
    case v2.rawValue:
      [0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9]
    case 0xff00_001d...0xff00_0020, 0xface_b00e:
      [0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99]
    case 0xff00_0017...0xff00_001c, 0xface_b002:
      [0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7, 0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5, 0x02]
    default: nil
    }
  }
}

/// What opens the Initial packets of one side.
final class QUICKeys {
  static let tagBytes = 16
  static let sampleBytes = 16
  let key: [UInt8]
  let initialisationVector: [UInt8]
  let headerKey: [UInt8]
  private let state: OpaquePointer?

  /// nil: a version without published salts.
  init?(version: UInt32, destinationID: Bytes, isClient: Bool) {
    guard let salt = QUICVersion.salt(version) else { return nil }
    let isV2 = version == QUICVersion.v2.rawValue
    let initial = QUICKeys.hmac(salt, destinationID)
    let secret = QUICKeys.expand(initial, isClient ? "client in" : "server in", 32)
    key = QUICKeys.expand(secret, isV2 ? "quicv2 key" : "quic key", 16)
    initialisationVector = QUICKeys.expand(secret, isV2 ? "quicv2 iv" : "quic iv", 12)
    headerKey = QUICKeys.expand(secret, isV2 ? "quicv2 hp" : "quic hp", 16)
    state = EVP_CIPHER_CTX_new()
  }
  deinit { EVP_CIPHER_CTX_free(state) }

  /// AES-ECB of the sample (RFC 9001 5.4.3): the first five bytes mask the header.
  func mask(_ sample: Bytes) -> [UInt8]? {
    var out = [UInt8](repeating: 0, count: 32)
    var count: Int32 = 0
    guard sample.count == QUICKeys.sampleBytes, EVP_EncryptInit_ex(state, EVP_aes_128_ecb(), nil, headerKey, nil) == 1,
      EVP_EncryptUpdate(state, &out, &count, sample.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(sample.count)) == 1, count == 16
    else { return nil }
    return out
  }

  /// AES-128-GCM (RFC 9001 5.3). `sealed` includes the tag. False: it does not authenticate.
  func open(_ sealed: Bytes, header: [UInt8], packetNumber: UInt64, into plain: inout [UInt8]) -> Bool {
    guard sealed.count > QUICKeys.tagBytes else { return false }
    var nonce = initialisationVector
    for i in 0..<8 { nonce[4 + i] ^= UInt8(truncatingIfNeeded: packetNumber >> UInt64(56 - 8 * i)) }
    let length = sealed.count - QUICKeys.tagBytes
    plain.removeAll(keepingCapacity: true)
    plain.append(contentsOf: repeatElement(0, count: length))
    var count: Int32 = 0
    var tag = [UInt8](sealed.from(length))
    let bytes = sealed.baseAddress?.assumingMemoryBound(to: UInt8.self)
    guard EVP_DecryptInit_ex(state, EVP_aes_128_gcm(), nil, key, nonce) == 1,
      EVP_DecryptUpdate(state, nil, &count, header, Int32(header.count)) == 1,
      EVP_DecryptUpdate(state, &plain, &count, bytes, Int32(length)) == 1,
      EVP_CIPHER_CTX_ctrl(state, EVP_CTRL_AEAD_SET_TAG, Int32(QUICKeys.tagBytes), &tag) == 1
    else { return false }
    var last: Int32 = 0
    var end: [UInt8] = Array(repeating: 0, count: 16)
    return EVP_DecryptFinal_ex(state, &end, &last) == 1
  }

  // MARK: HKDF (RFC 5869) with TLS 1.3's labels (RFC 8446 7.1)

  static func hmac(_ key: [UInt8], _ data: Bytes) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: 32)
    var count: UInt32 = 0
    // A null pointer would mean to go on with the last key's data.
    var none: UInt8 = 0
    withUnsafePointer(to: &none) { none in
      _ = HMAC(EVP_sha256(), key, Int32(key.count), data.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? none, data.count, &out, &count)
    }
    return out
  }
  static func expand(_ secret: [UInt8], _ label: StaticString, _ length: Int) -> [UInt8] {
    var info: [UInt8] = [UInt8(length >> 8), UInt8(length & 255), UInt8(6 + label.utf8CodeUnitCount)]
    info.append("tls13 " as StaticString)
    info.append(label)
    info.append(0)
    info.append(1)  // the first and only block
    return Array(info.withUnsafeBytes { hmac(secret, $0) }.prefix(length))
  }
}
