// SHA-256 (FIPS 180-4) by libcrypto, for the hashes that a decision names.
import COpenSSL

public enum SHA256Hash {
  /// Lower-case hexadecimal digest of the parts, each preceded by its length, so that no two lists of parts collide.
  public static func hex(of parts: [[UInt8]]) -> String {
    var message: [UInt8] = []
    for part in parts {
      message.append(contentsOf: withUnsafeBytes(of: UInt64(part.count).bigEndian) { Array($0) })
      message.append(contentsOf: part)
    }
    return hex(of: message)
  }

  /// Lower-case hexadecimal digest of `message`, 64 digits.
  public static func hex(of message: [UInt8]) -> String {
    var digest = [UInt8](repeating: 0, count: 32)
    SHA256(message, message.count, &digest)
    return digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}
