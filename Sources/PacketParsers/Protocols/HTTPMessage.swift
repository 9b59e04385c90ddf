// The head of an HTTP/1 message (RFC 9112) and what is kept of its body.
// What must stay true: a head is read as a lenient server would read it (bare line feeds, any order of fields, the first of a name counts); the
// password of Basic authentication, or of a form, is never kept.
import Events
import Primitives

/// Borrowed.
public struct HTTPRequest {
  public var head = HTTPHead()
  /// The first `Limits.httpBodyBytes` of the content, chunked coding undone (`Limits.httpStructuredBodyBytes` of JSON).
  public var body = Bytes.none
  /// Whose secret is in the message: of Basic authentication (RFC 7617), or of a form. nil: none was found.
  public var user: Bytes?
  /// "basic" or "form"
  public var method: StaticString = "basic"

  func appendFields(to event: inout Event) {
    event.set(.eventCategory, "web" as StaticString)
    event.set(.eventAction, "http-request" as StaticString)
    event.set(.httpRequestMethod, head.method)
    event.set(.urlOriginal, head.target)
    event.set(.httpVersion, head.version)
    WebTarget.set(head.target, logEscapes: false, into: &event)
    head.withHostName { if $0.count > 0 { event.set(.urlDomain, $0) } }
    if head.userAgent.count > 0 { event.set(.userAgentOriginal, head.userAgent) }
    if head.referrer.count > 0 { event.set(.httpRequestReferrer, head.referrer) }
    if head.contentType.count > 0 { event.set(.httpRequestMimeType, head.mimeType) }
    if let length = head.contentLength { event.set(.httpRequestBodyBytes, Int64(length)) }
    if head.isForm {
      // What the server reads, as in `url.query`: rules need not know how it was written.
      PercentDecoding.decode(body, plusIsSpace: true) { if $0.count > 0 { event.set(.httpRequestBodyContent, $0) } }
    } else if body.count > 0 {
      event.set(.httpRequestBodyContent, body)
    }
    if let user {
      if user.count > 0 { event.set(.userName, user) }
      event.set(.authenticationMethod, method)
      event.set(.isCleartextCredential, 1)
    }
  }
}

/// Borrowed.
public struct HTTPResponse {
  public var head = HTTPHead()
  public var body = Bytes.none

  func appendFields(to event: inout Event) {
    event.set(.eventCategory, "web" as StaticString)
    event.set(.eventAction, "http-response" as StaticString)
    event.set(.httpResponseStatusCode, Int64(head.status))
    event.set(.eventOutcome, head.status < 400 ? "success" as StaticString : "failure")
    event.set(.httpVersion, head.version)
    if head.contentType.count > 0 { event.set(.httpResponseMimeType, head.mimeType) }
    if let length = head.contentLength { event.set(.httpResponseBodyBytes, Int64(length)) }
    if body.count > 0 { event.set(.httpResponseBodyContent, body) }
    if let program { event.set(.httpResponseProgram, program) }
  }

  /// What kind of program the body begins as, by its first bytes; nil: none.
  private var program: StaticString? {
    if body.starts(with: "\u{7f}ELF") { return "elf" }
    if body.starts(with: "#!/") { return "script" }
    // A text may begin with these letters; the header of a program of Windows has zeros in its first line.
    if body.starts(with: "MZ"), body.upTo(min(64, body.count)).contains(0) { return "pe" }
    return nil
  }
}

/// A start line and the fields that are asked for. Borrowed.
public struct HTTPHead {
  public var isResponse = false
  public var method = Bytes.none
  /// As it was written.
  public var target = Bytes.none
  /// "1.1"
  public var version = Bytes.none
  public var status = 0
  public var host = Bytes.none
  public var userAgent = Bytes.none
  public var referrer = Bytes.none
  public var contentType = Bytes.none
  public var authorization = Bytes.none
  public var sessionID = Bytes.none
  public var contentLength: Int?
  public var isChunked = false
  public var isUpgrade = false

  /// Without parameters.
  public var mimeType: Bytes { contentType.upTo(contentType.index(of: 0x3b) ?? contentType.count).trimmed }
  var isForm: Bool { mimeType.equalsIgnoringCase("application/x-www-form-urlencoded") }
  /// JSON-RPC may be in it.
  var isStructured: Bool { mimeType.equalsIgnoringCase("application/json") || mimeType.equalsIgnoringCase("application/json-rpc") }
  var isEventStream: Bool { isResponse && mimeType.equalsIgnoringCase("text/event-stream") }
  var bodyLimit: Int { isStructured ? Limits.httpStructuredBodyBytes : Limits.httpBodyBytes }

  /// The host in lower case, without port.
  func withHostName(_ body: (Bytes) -> Void) {
    var name = host
    if name.starts(with: "["), let close = name.index(of: 0x5d) {
      name = name.slice(1, close)
    } else if let colon = name.index(of: 0x3a) {
      name = name.upTo(colon)
    }
    name.withLowercase(body)
  }

  /// `bytes`: up to and with the empty line. nil: no HTTP/1 head.
  static func read(_ bytes: Bytes) -> HTTPHead? {
    var head = HTTPHead()
    var at = 0
    guard head.readStart(line(bytes, &at)) else { return nil }
    while at < bytes.count {
      let text = line(bytes, &at)
      if text.count == 0 { break }
      guard let colon = text.index(of: 0x3a) else { continue }
      head.readField(text.upTo(colon), text.from(colon + 1).trimmed)
    }
    return head
  }
  /// The line at `at` without its end.
  private static func line(_ bytes: Bytes, _ at: inout Int) -> Bytes {
    let end = bytes.index(of: 0x0a, from: at) ?? bytes.count
    defer { at = end + 1 }
    let last = end > at && bytes[end - 1] == 0x0d ? end - 1 : end
    return bytes.slice(at, last)
  }

  /// What a start line can be before it is complete: false, it is none; nil, more bytes would tell.
  static func mayStart(_ bytes: Bytes) -> Bool? {
    let response = Bytes("HTTP/1.")
    let shown = min(bytes.count, response.count)
    if bytes.upTo(shown).equals(response.upTo(shown)) { return bytes.count >= response.count ? true : nil }
    var length = 0
    while length < bytes.count, isTokenLetter(bytes[length]) { length += 1 }
    guard length <= 24 else { return false }
    if length == bytes.count { return nil }
    guard length > 2, bytes[length] == 0x20 else { return false }
    if isKnownMethod(bytes.upTo(length)) { return bytes.count > length + 1 ? bytes[length + 1] > 0x20 : nil }
    // Other words are methods where the line says so.
    guard let end = bytes.index(of: 0x0a) else { return bytes.count < 1024 ? nil : false }
    return bytes.upTo(end).index(of: " HTTP/1.") != nil
  }
  private static func isTokenLetter(_ byte: UInt8) -> Bool {
    (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || byte == 0x2d || byte == 0x5f
  }
  private static let methods: [StaticString] = [
    "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK",
    "UNLOCK", "REPORT", "SEARCH", "SUBSCRIBE", "NOTIFY", "M-SEARCH", "PRI",
  ]
  private static func isKnownMethod(_ word: Bytes) -> Bool { methods.contains { word.equals($0) } }

  private mutating func readStart(_ line: Bytes) -> Bool {
    if line.starts(with: "HTTP/1.") {
      guard line.count >= 12, line[8] == 0x20, let code = line.slice(9, 12).decimal, code >= 100 else { return false }
      isResponse = true
      version = line.slice(5, 8)
      status = Int(code)
      return true
    }
    guard let space = line.index(of: 0x20), space > 0, space <= 24 else { return false }
    for byte in line.upTo(space) where !HTTPHead.isTokenLetter(byte) { return false }
    method = line.upTo(space)
    var rest = line.from(space + 1).trimmed
    if let last = rest.lastIndex(of: 0x20), rest.from(last + 1).starts(with: "HTTP/") {
      version = rest.from(last + 6)
      rest = rest.upTo(last).trimmed
    } else {
      version = Bytes("0.9")
      rest = rest.upTo(rest.index(of: 0x20) ?? rest.count)
    }
    target = rest
    return target.count > 0
  }

  private mutating func readField(_ name: Bytes, _ value: Bytes) {
    guard let first = name.first else { return }
    // By the first letter, then by the name: most fields of a message are none of these.
    switch first | 0x20 {
    case 0x68 where host.count == 0 && name.equalsIgnoringCase("host"): host = value
    case 0x75:
      if userAgent.count == 0, name.equalsIgnoringCase("user-agent") { userAgent = value }
      if name.equalsIgnoringCase("upgrade") { isUpgrade = true }
    case 0x72 where referrer.count == 0 && name.equalsIgnoringCase("referer"): referrer = value
    case 0x61 where authorization.count == 0 && name.equalsIgnoringCase("authorization"): authorization = value
    case 0x6d where sessionID.count == 0 && name.equalsIgnoringCase("mcp-session-id"): sessionID = value
    case 0x63:
      if contentType.count == 0, name.equalsIgnoringCase("content-type") { contentType = value }
      if contentLength == nil, name.equalsIgnoringCase("content-length"), let number = value.decimal, number < 1 << 48 {
        contentLength = Int(number)
      }
    case 0x74 where name.equalsIgnoringCase("transfer-encoding"):
      value.withLowercase { isChunked = isChunked || $0.contains("chunked") }
    default: break
    }
  }
}

extension UnsafeRawBufferPointer {
  /// `literal` is in lower case.
  func equalsIgnoringCase(_ literal: StaticString) -> Bool {
    guard count == literal.utf8CodeUnitCount else { return false }
    for i in 0..<count {
      let byte = self[i]
      guard (byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) == literal.utf8Start[i] else { return false }
    }
    return true
  }
  func startsIgnoringCase(_ literal: StaticString) -> Bool { upTo(literal.utf8CodeUnitCount).equalsIgnoringCase(literal) }
  func withLowercase<Result>(_ body: (Bytes) -> Result) -> Result {
    guard contains(where: { $0 >= 0x41 && $0 <= 0x5a }) else { return body(self) }
    return withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { copy in
      for i in 0..<count { copy[i] = self[i] >= 0x41 && self[i] <= 0x5a ? self[i] | 0x20 : self[i] }
      return body(Bytes(copy))
    }
  }
}

/// RFC 4648 4, as far as names need it: nil where it is none, or longer than 1 KiB.
enum Base64 {
  static func decode(_ text: Bytes) -> [UInt8]? {
    guard text.count <= 1024 else { return nil }
    var out: [UInt8] = []
    var bits: UInt32 = 0
    var count = 0
    for byte in text {
      if byte == 0x3d { break }
      let value: UInt8
      switch byte {
      case 0x41...0x5a: value = byte - 0x41
      case 0x61...0x7a: value = byte - 0x47
      case 0x30...0x39: value = byte + 4
      case 0x2b, 0x2d: value = 62
      case 0x2f, 0x5f: value = 63
      default: return nil
      }
      bits = bits << 6 | UInt32(value)
      count += 6
      if count >= 8 {
        count -= 8
        out.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
      }
    }
    return out
  }
}
