// What lets the receiver know that a request is ours and new: HMAC-SHA256 (RFC 2104) over the timestamp, a full stop and the body.
import COpenSSL
import Primitives

public enum WebhookSignature {
  /// "sha256=" and 64 hexadecimal digits. `unixTime` as it stands in X-Panguard-Timestamp.
  public static func header(of body: [UInt8], at unixTime: Int64, secret: [UInt8]) -> String {
    let message = Array("\(unixTime).".utf8) + body
    var digest = [UInt8](repeating: 0, count: 32)
    var length: UInt32 = 0
    // Only fails where there is no memory.
    guard HMAC(EVP_sha256(), secret, Int32(secret.count), message, message.count, &digest, &length) != nil, length == 32 else {
      fatalError("HMAC-SHA256 failed")
    }
    var hex: [UInt8] = []
    for byte in digest { for digit in [byte >> 4, byte & 15] { hex.append(digit < 10 ? 0x30 + digit : 0x57 + digit) } }
    return "sha256=" + String(decoding: hex, as: UTF8.self)
  }
}
