// Digests of a field's bytes, by libcrypto where it has them. The one place of this module that knows it; computing, no I/O.
import COpenSSL
import Primitives
import RuleLanguage

enum Digests {
  /// In lower-case hexadecimal digits; nil for types that are no digest.
  static func hexadecimal(_ type: SignatureDetection.IndicatorType, of bytes: Bytes) -> [UInt8]? {
    let digest: [UInt8]
    let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    switch type {
    case .sha256:
      digest = [UInt8](unsafeUninitializedCapacity: Int(SHA256_DIGEST_LENGTH)) { out, count in
        SHA256(start, bytes.count, out.baseAddress)
        count = Int(SHA256_DIGEST_LENGTH)
      }
    case .sha512:
      digest = [UInt8](unsafeUninitializedCapacity: Int(SHA512_DIGEST_LENGTH)) { out, count in
        SHA512(start, bytes.count, out.baseAddress)
        count = Int(SHA512_DIGEST_LENGTH)
      }
    case .blake2b256: digest = BLAKE2b.digest32(bytes)
    case .packageName, .registryURL, .skillID: return nil
    }
    var out: [UInt8] = []
    out.reserveCapacity(digest.count * 2)
    for byte in digest { for digit in [byte >> 4, byte & 15] { out.append(digit < 10 ? 0x30 + digit : 0x57 + digit) } }
    return out
  }
}
