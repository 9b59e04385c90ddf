// Ed25519 (RFC 8032) by libcrypto, for signed ATR events. Keys are PEM files as every tool reads them: PKCS #8 for the private key, which
// must be a regular file of ours with mode 0600, SubjectPublicKeyInfo for the public one (RFC 8410).
// What must stay true: a key file that others can read is refused; nothing but exactly these two forms is taken for a key; key bytes are
// in no message.
import COpenSSL
import Glibc
import Primitives
import TypedYAML

public struct SigningError: Error, Hashable, Sendable, CustomStringConvertible {
  public var description: String
  init(_ description: String) { self.description = description }
}

public struct VerifyingKey: Sendable, Equatable {
  /// 32 bytes.
  public let bytes: [UInt8]
  private static let prefix: [UInt8] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00]

  /// nil unless there are 32.
  public init?(bytes: [UInt8]) {
    guard bytes.count == 32 else { return nil }
    self.bytes = bytes
  }
  public init(file path: String) throws {
    guard case .success(let text) = readDocumentFile(path) else { throw SigningError("\(path): cannot be read") }
    guard let der = PEM.decode(text, label: "PUBLIC KEY"), der.count == 44, der.starts(with: VerifyingKey.prefix) else {
      throw SigningError("\(path): is not an Ed25519 public key in PEM form; `panguard keys new` writes one beside the key as FILE.pub")
    }
    bytes = Array(der.suffix(32))
  }
  public var pem: String { PEM.encode(VerifyingKey.prefix + bytes, label: "PUBLIC KEY") }
  /// "kid:" and the first 32 digits of the SHA-256 of the key.
  public var id: String { "kid:" + SHA256Hash.hex(of: bytes).prefix(32) }

  public func isValid(_ signature: [UInt8], of message: [UInt8]) -> Bool {
    guard signature.count == 64, let key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, bytes, bytes.count) else { return false }
    defer { EVP_PKEY_free(key) }
    guard let context = EVP_MD_CTX_new() else { return false }
    defer { EVP_MD_CTX_free(context) }
    return EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1
      && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
  }
}

public struct SigningKey: Sendable {
  /// 32 bytes (RFC 8032's private key).
  private let seed: [UInt8]
  public let verifyingKey: VerifyingKey
  private static let prefix: [UInt8] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20]

  public init(seed: [UInt8]) throws {
    guard seed.count == 32, let key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, seed, seed.count) else {
      throw SigningError("an Ed25519 key has 32 bytes")
    }
    defer { EVP_PKEY_free(key) }
    var bytes = [UInt8](repeating: 0, count: 32)
    var count = bytes.count
    guard EVP_PKEY_get_raw_public_key(key, &bytes, &count) == 1, let verifying = VerifyingKey(bytes: Array(bytes[..<count])) else {
      throw SigningError("the public key could not be made")
    }
    self.seed = seed
    verifyingKey = verifying
  }

  /// A new key from the kernel's random numbers.
  public static func make() throws -> SigningKey {
    var random = SystemRandomNumberGenerator()  // getrandom(2) on Linux
    return try SigningKey(seed: (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) })
  }

  public init(file path: String) throws {
    var info = stat()
    guard lstat(path, &info) == 0 else { throw SigningError("\(path): \(errorText(errno)); `panguard keys new \(path)` makes a key") }
    guard info.st_mode & S_IFMT == S_IFREG, info.st_uid == geteuid() || info.st_uid == 0, info.st_mode & 0o077 == 0 else {
      throw SigningError("\(path): a key must be a regular file of ours that nobody else can read (chmod 600)")
    }
    guard case .success(let text) = readDocumentFile(path) else { throw SigningError("\(path): cannot be read") }
    guard let der = PEM.decode(text, label: "PRIVATE KEY"), der.count == 48, der.starts(with: SigningKey.prefix) else {
      throw SigningError("\(path): is not an Ed25519 private key in PEM form (PKCS #8)")
    }
    try self.init(seed: Array(der.suffix(32)))
  }
  public var pem: String { PEM.encode(SigningKey.prefix + seed, label: "PRIVATE KEY") }

  /// Writes the key, mode 0600, and the public key beside it as FILE.pub. Never over an existing file.
  public func write(to path: String) throws {
    for (file, text, mode) in [(path, pem, mode_t(0o600)), (path + ".pub", verifyingKey.pem, mode_t(0o644))] {
      let descriptor = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
      guard descriptor >= 0 else { throw SigningError("\(file): \(errorText(errno))") }
      defer { close(descriptor) }
      let bytes = Array(text.utf8)
      guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else {
        throw SigningError("\(file): \(errorText(errno))")
      }
    }
  }

  /// 64 bytes; the same for the same message.
  public func sign(_ message: [UInt8]) throws -> [UInt8] {
    guard let key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, seed, seed.count) else { throw SigningError("the key cannot be used") }
    defer { EVP_PKEY_free(key) }
    guard let context = EVP_MD_CTX_new() else { throw SigningError("no memory") }
    defer { EVP_MD_CTX_free(context) }
    var signature = [UInt8](repeating: 0, count: 64)
    var count = signature.count
    guard EVP_DigestSignInit(context, nil, nil, nil, key) == 1, EVP_DigestSign(context, &signature, &count, message, message.count) == 1, count == 64
    else { throw SigningError("the signature could not be made") }
    return signature
  }
}

enum PEM {
  static func encode(_ der: [UInt8], label: String) -> String { "-----BEGIN \(label)-----\n\(Base64.encode(der))\n-----END \(label)-----\n" }
  /// The one block of a file; nil if there is anything else but white space around it.
  static func decode(_ text: [UInt8], label: String) -> [UInt8]? {
    let lines = text.split { $0 == 0x0a || $0 == 0x0d }.map { String(decoding: $0, as: UTF8.self) }.filter { !$0.allSatisfy(\.isWhitespace) }
    guard lines.count >= 3, lines.first == "-----BEGIN \(label)-----", lines.last == "-----END \(label)-----" else { return nil }
    return Base64.decode(lines.dropFirst().dropLast().joined())
  }
}

/// RFC 4648, section 4, with padding; nothing but the canonical form is read.
public enum Base64 {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  public static func encode(_ bytes: [UInt8]) -> String {
    var out: [UInt8] = []
    out.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let part = bytes[start..<min(start + 3, bytes.count)]
      let word = part.enumerated().reduce(UInt32(0)) { $0 | UInt32($1.element) << UInt32(16 - 8 * $1.offset) }
      for i in 0..<4 { out.append(i <= part.count ? alphabet[Int(word >> UInt32(18 - 6 * i) & 63)] : 0x3d) }
    }
    return String(decoding: out, as: UTF8.self)
  }

  public static func decode(_ text: String) -> [UInt8]? {
    let bytes = Array(text.utf8)
    guard bytes.count % 4 == 0 else { return nil }
    let padding = bytes.suffix(2).count { $0 == 0x3d }
    var out: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 4) {
      var word: UInt32 = 0
      for i in start..<start + 4 {
        let isPadding = i >= bytes.count - padding
        guard let value = isPadding ? (bytes[i] == 0x3d ? 0 : nil) : alphabet.firstIndex(of: bytes[i]) else { return nil }
        word = word << 6 | UInt32(value)
      }
      out += [UInt8(word >> 16 & 255), UInt8(word >> 8 & 255), UInt8(word & 255)]
    }
    out.removeLast(padding)
    return encode(out) == text ? out : nil
  }
}
