// The address of a webhook, checked by the parser that will use it.
import CCurl
import Glibc
import Primitives

public struct WebhookURL: Sendable, Equatable {
  public private(set) var text = ""
  public private(set) var isPlain = false
  public private(set) var port: UInt16 = 0
  var mayBePlain = false
  static let longest = 2048

  /// Takes it, or says what is wrong with it ("must ..."). What is wrong holds no part of the address: it may have a secret in it.
  mutating func take(_ address: String) -> String? {
    guard address.utf8.count <= WebhookURL.longest, address.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
      return "must be an address of at most \(WebhookURL.longest) bytes without spaces, in ASCII"
    }
    guard address.hasPrefix("https://") || address.hasPrefix("http://") else { return "must begin with https://" }
    guard let parser = curl_url() else { return "cannot be read: there is no memory" }
    defer { curl_url_cleanup(parser) }
    guard curl_url_set(parser, CURLUPART_URL, address, UInt32(CURLU_DISALLOW_USER)) == CURLUE_OK else {
      return "must be an address without a user name or password"
    }
    func part(_ part: CURLUPart, _ flags: Int32 = 0) -> String {
      var found: UnsafeMutablePointer<CChar>?
      guard curl_url_get(parser, part, &found, UInt32(flags)) == CURLUE_OK, let found else { return "" }
      defer { curl_free(found) }
      return String(cString: found)
    }
    guard let number = UInt16(part(CURLUPART_PORT, CURLU_DEFAULT_PORT)), number > 0, !part(CURLUPART_HOST).isEmpty else {
      return "must name a host, and a port above 0 if any"
    }
    if part(CURLUPART_SCHEME) != "https" {
      guard mayBePlain, WebhookURL.isLoopback(part(CURLUPART_HOST)) else {
        return "must begin with https:// (http:// is for tests: to 127.0.0.0/8 or [::1], with allow_http_to_loopback)"
      }
      isPlain = true
    }
    (text, port) = (address, number)
    return nil
  }

  /// An address, never a name: what a name means is for others to say.
  private static func isLoopback(_ host: String) -> Bool {
    let bare = host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
    guard let address = IPAddress(bare) else { return false }
    return CIDR("127.0.0.0/8")?.contains(address) == true || CIDR("::1/128")?.contains(address) == true
  }
}
