// Error logs of nginx and of Apache 2.2 and 2.4.
//
//     2021/09/30 09:23:53 [error] 88#88: *17 MESSAGE, client: ADDRESS, server: S, request: "R", host: "H", referrer: "F"
//     [Thu Oct 13 12:24:49.880562 2022] [auth_basic:error] [pid 10:tid 14] (2)No such file: [client ADDRESS:PORT] AH01618: MESSAGE, referer: F
//
// Apache writes the client before everything a client may have written: it is read from the left. nginx writes it behind the message
// and escapes nothing, so user name, file name, request and referrer may each hold ", client: 192.0.2.1, server: ". A place where the
// client can stand is taken only if the message before it is complete: messages without a client's text in them end where the table says,
// which makes the first place the only one; messages that quote a client's text must end as that message does. If places with
// different addresses remain, the event is ambiguous and no address is set.
//
// A file name with a line feed in it splits nginx's line in two, of which the second is the client's to write: that line cannot be told
// from a real one. It is one reason why text files stay `claimed`.
//
// Both formats have no zone: `offsetSeconds` is the local one's distance from UTC, east positive.
import Events
import Primitives

public enum WebError {
  /// Actions http-auth-failure, http-rate-limited, http-access-denied, http-error, and http-server-notice for lines that concern no
  /// client. `message` is the text without its frame. False, with nothing set, if it is not a line of an error log.
  public static func parse(_ line: Bytes, into event: inout Event) -> Bool { parse(line, offsetSeconds: 0, into: &event) }

  public static func parse(_ line: Bytes, offsetSeconds: Int64, into event: inout Event) -> Bool {
    guard let first = line.first else { return false }
    if first == 0x5b { return ApacheError.parse(line, offsetSeconds, &event) }
    return NginxError.parse(line, offsetSeconds, &event)
  }

  /// What a message says, by how it begins.
  struct Row: Sendable {
    let text: StaticString
    let action: StaticString
    let reason: StaticString?
    init(_ text: StaticString, _ action: StaticString, _ reason: StaticString? = nil) {
      self.text = text
      self.action = action
      self.reason = reason
    }
  }
  static func finish(_ server: WebServer, _ time: EventTime, level: Bytes, into event: inout Event) {
    event.time = time
    event.timeBasis = .yearInferred  // the zone was
    event.set(.eventCategory, "web")
    event.set(.eventProvider, server.provider)
    event.set(.eventDataset, server.errorDataset)
    event.set(.logLevel, level)
  }
  static func isLevel(_ text: Bytes) -> Bool {
    guard text.count >= 3, text.count <= 8 else { return false }
    for byte in text where !((byte >= 0x61 && byte <= 0x7a) || (byte >= 0x31 && byte <= 0x38)) { return false }
    return true
  }
  static func setAction(_ row: Row?, hasClient: Bool, level: Bytes, into event: inout Event) {
    guard hasClient || row != nil else {
      event.set(.eventAction, "http-server-notice")
      return
    }
    event.set(.eventAction, row?.action ?? "http-error")
    if let reason = row?.reason { event.set(.eventReason, reason) }
    event.set(.eventOutcome, "failure")
  }
}

// MARK: nginx

private enum NginxError {
  /// How a message begins and, where it quotes what the client wrote, how it ends.
  private struct Frame: Sendable {
    let row: WebError.Row
    let end: StaticString
    /// `" was not found in "` must stand before the end, which then closes the file's name.
    let namesFile: Bool
    init(_ text: StaticString, _ action: StaticString, _ reason: StaticString? = nil, end: StaticString = "", namesFile: Bool = false) {
      row = WebError.Row(text, action, reason)
      self.end = end
      self.namesFile = namesFile
    }
  }
  private static let trusted: [Frame] = [
    Frame("limiting requests, ", "http-rate-limited", "requests"),
    Frame("delaying request, ", "http-rate-limited", "delayed"),
    Frame("limiting connections by zone ", "http-rate-limited", "connections"),
    Frame("access forbidden by rule", "http-access-denied", "rule"),
    Frame("no user/password was provided for basic authentication", "http-error", "no-credentials"),
    Frame("client intended to send too large body: ", "http-error", "body-too-large"),
    Frame("client intended to send too large chunked body: ", "http-error", "body-too-large"),
    Frame("client sent invalid method while reading client request line", "http-error", "invalid-method"),
    Frame("client sent invalid request while reading client request line", "http-error", "invalid-request"),
    Frame("client sent too long URI while reading client request line", "http-error", "uri-too-long"),
    Frame("client sent plain HTTP request to HTTPS port while reading client request headers", "http-error", "plain-on-tls-port"),
    Frame("upstream timed out (", "http-error", "upstream-timeout"),
    Frame("connect() failed (", "http-error", "upstream-unavailable"),
    Frame("no live upstreams while connecting to upstream", "http-error", "upstream-unavailable"),
    Frame("upstream prematurely closed connection", "http-error", "upstream-closed"),
    Frame("SSL_do_handshake() failed", "http-error", "tls-handshake"),
    Frame("access forbidden by ", "http-access-denied", "rule"),
  ]
  private static let quoting: [Frame] = [
    Frame("user \"", "http-auth-failure", "password-mismatch", end: "\": password mismatch"),
    Frame("user \"", "http-auth-failure", "user-not-found", end: "\"", namesFile: true),
    Frame("directory index of \"", "http-access-denied", "directory-index", end: "\" is forbidden"),
    Frame("open() \"", "http-error", "open", end: ")"),
    Frame("rewrite or internal redirection cycle while internally redirecting to \"", "http-error", "redirect-cycle", end: "\""),
    Frame("\"", "http-error", "not-found", end: ")"),
  ]

  static func parse(_ line: Bytes, _ offsetSeconds: Int64, _ event: inout Event) -> Bool {
    guard line.count > 22, line[4] == 0x2f, line[7] == 0x2f, line[10] == 0x20, line[13] == 0x3a, line[16] == 0x3a, line[19] == 0x20, line[20] == 0x5b,
      let century = WebTime.two(line, 0), let year = WebTime.two(line, 2), let month = WebTime.two(line, 5), let day = WebTime.two(line, 8),
      let hour = WebTime.two(line, 11), let minute = WebTime.two(line, 14), let second = WebTime.two(line, 17),
      let time = EventTime(
        year: century * 100 + year, month: month, day: day, hour: hour, minute: minute, second: second, offsetSeconds: offsetSeconds)
    else { return false }
    var cursor = ByteCursor(line, at: 21)
    guard let level = cursor.take(until: 0x5d), WebError.isLevel(level), cursor.skip(byte: 0x20), let pid = cursor.takeDecimal(),
      cursor.skip(byte: 0x23),
      cursor.takeDecimal() != nil, cursor.skip(byte: 0x3a)
    else { return false }
    cursor.skipSpaces()
    if cursor.skip(byte: 0x2a) {
      guard cursor.takeDecimal() != nil else { return false }
      cursor.skipSpaces()
    }
    let text = cursor.rest
    WebError.finish(.nginx, time, level: level, into: &event)
    event.set(.processPid, pid)

    let places = clientPlaces(text)
    switch places {
    case .none:
      event.set(.message, text)
      let frame = frame(of: text)
      WebError.setAction(frame?.row, hasClient: false, level: level, into: &event)
    case .one(let place, let certain):
      let message = text.upTo(place)
      event.set(.message, message)
      let frame = frame(of: message)
      WebError.setAction(frame?.row, hasClient: true, level: level, into: &event)
      if certain { setUser(message, into: &event) } else { event.set(.isAmbiguous, 1) }
      setContext(text.from(place), withAddress: certain, into: &event)
    }
    return true
  }

  private enum Places {
    case none
    case one(Int, certain: Bool)
  }

  /// Where ", client: " begins. With several places that may be it: the last, and not certain unless all name the same address.
  private static func clientPlaces(_ text: Bytes) -> Places {
    var chosen: Int?
    var address: Bytes = .none
    var certain = true
    // `user "x" was not found in "/etc/htpasswd"`: searched for once, so that many places cost no more than one.
    let notFound = text.index(of: "\" was not found in \"") ?? text.count
    var from = 0
    while let hit = text.index(of: ", client: ", from: from) {
      from = hit + 10
      let rest = text.from(hit + 10)
      let end = rest.index(of: 0x2c) ?? rest.count
      let candidate = rest.upTo(end).trimmed
      guard IPAddress(candidate) != nil || candidate.equals("unix:"), end == rest.count || rest.from(end).starts(with: ", server: ") else { continue }
      let message = text.upTo(hit)
      switch ending(message, hasNotFound: notFound < hit) {
      case .cannotEndHere: continue
      case .mayEndHere:
        if chosen != nil, !candidate.equals(address) { certain = false }
        chosen = hit
        address = candidate
      case .endsHere:
        // Nothing before it is the client's, so nothing behind it can be the place.
        return .one(hit, certain: true)
      }
    }
    guard let chosen else { return .none }
    return .one(chosen, certain: certain)
  }

  private enum Ending { case cannotEndHere, mayEndHere, endsHere }
  private static func ending(_ message: Bytes, hasNotFound: Bool) -> Ending {
    for frame in trusted where message.starts(with: frame.row.text) { return .endsHere }
    guard message.index(of: 0x22) != nil else { return .endsHere }  // clients' texts are always quoted
    var isKnown = false
    for frame in quoting where message.starts(with: frame.row.text) {
      isKnown = true
      if message.ends(with: frame.end), !frame.namesFile || hasNotFound { return .mayEndHere }
    }
    return isKnown ? .cannotEndHere : .mayEndHere
  }
  private static func frame(of message: Bytes) -> Frame? {
    for frame in trusted where message.starts(with: frame.row.text) { return frame }
    for frame in quoting where message.starts(with: frame.row.text) && message.ends(with: frame.end) { return frame }
    return nil
  }

  private static func setUser(_ message: Bytes, into event: inout Event) {
    guard message.starts(with: "user \""),
      let end = message.lastIndex(of: "\": password mismatch") ?? message.lastIndex(of: "\" was not found in \""), end > 6
    else { return }
    event.set(.userName, message.slice(6, end))
  }

  /// ", client: A, server: S, request: "R", upstream: "U", host: "H", referrer: "F"".
  private static func setContext(_ context: Bytes, withAddress: Bool, into event: inout Event) {
    var cursor = ByteCursor(context)
    guard cursor.skip(", client: ") else { return }
    let rest = cursor.rest
    let end = rest.index(of: 0x2c) ?? rest.count
    if withAddress { event.set(.sourceIP, parsing: rest.upTo(end).trimmed) }
    guard let request = rest.index(of: ", request: \"", from: end) else { return }
    let line = rest.from(request + 12)
    let close = endOfQuoted(line)
    event.set(.networkProtocol, "http")
    _ = WebRequest.setLine(line.upTo(close), logEscapes: false, into: &event)
    let behind = line.from(close)
    if let host = behind.index(of: "\", host: \"") {
      let value = behind.from(host + 10)
      let hostEnd = value.index(of: 0x22) ?? value.count
      if !event.has(.urlDomain) { WebTarget.setDomain(value.upTo(hostEnd), into: &event) }
    }
    if let referrer = behind.index(of: "\", referrer: \"") {
      let value = behind.from(referrer + 14)
      let last = value.ends(with: "\"") ? value.count - 1 : value.count
      WebRequest.setHeader(.httpRequestReferrer, value.upTo(last), logEscapes: false, into: &event)
    }
  }
  private static let keysBehindRequest: [StaticString] = ["\", subrequest: \"", "\", upstream: \"", "\", host: \"", "\", referrer: \""]
  /// The first quote that ends the text or is followed by the next key.
  private static func endOfQuoted(_ text: Bytes) -> Int {
    var from = 0
    while let quote = text.index(of: 0x22, from: from) {
      if quote == text.count - 1 { return quote }
      let rest = text.from(quote)
      for key in keysBehindRequest where rest.starts(with: key) { return quote }
      from = quote + 1
    }
    return text.count
  }
}

// MARK: Apache

private enum ApacheError {
  private static let rows: [WebError.Row] = [
    WebError.Row("client denied by server configuration: ", "http-access-denied", "denied-by-configuration"),
    WebError.Row("client used wrong authentication scheme", "http-auth-failure", "wrong-scheme"),
    WebError.Row("Directory index forbidden by ", "http-access-denied", "directory-index"),
    WebError.Row("Cannot serve directory ", "http-access-denied", "directory-index"),
    WebError.Row("ModSecurity: Access denied", "http-access-denied", "modsecurity"),
    WebError.Row("File does not exist: ", "http-error", "file-not-found"),
    WebError.Row("script not found or unable to stat: ", "http-error", "file-not-found"),
    WebError.Row("script '", "http-error", "file-not-found"),
    WebError.Row("Invalid URI in request ", "http-error", "invalid-uri"),
    WebError.Row("invalid URI path (", "http-error", "invalid-uri"),
    WebError.Row("Invalid method in request ", "http-error", "invalid-method"),
    WebError.Row("request failed: ", "http-error", "request-failed"),
  ]
  /// The account is what the client typed; the text around it may be in it.
  private static func failure(_ pieces: [TemplatePiece], _ reason: StaticString) -> MessageTemplate {
    MessageTemplate(pieces, "web", "http-auth-failure", "failure", reason: reason)
  }
  private static let failures: [MessageTemplate] = [
    failure(["user ", .hole(.userName), ": authentication failure for \"", .hole(.urlOriginal), "\": Password Mismatch"], "password-mismatch"),
    failure(["user ", .hole(.userName), ": authentication failure for \"", .hole(.urlOriginal), "\"", .ignored], "password-mismatch"),
    failure(["user `", .hole(.userName), "' in realm `", .ignored, "' not found: ", .hole(.urlOriginal)], "user-not-found"),
    failure(["user `", .hole(.userName), "' in realm `", .ignored, "': password mismatch: ", .hole(.urlOriginal)], "password-mismatch"),
    failure(["user ", .hole(.userName), " not found: ", .hole(.urlOriginal)], "user-not-found"),
    failure(["user ", .hole(.userName), ": user not found", .ignored], "user-not-found"),
  ]
  private static let days: [StaticString] = ["Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "]

  static func parse(_ line: Bytes, _ offsetSeconds: Int64, _ event: inout Event) -> Bool {
    var cursor = ByteCursor(line, at: 1)
    guard let stamp = cursor.take(until: 0x5d), let time = time(stamp, offsetSeconds), cursor.skip(" ["), let tag = cursor.take(until: 0x5d) else {
      return false
    }
    // "error" (2.2) or "module:error" (2.4, which also writes the client's port).
    let colon = tag.index(of: 0x3a)
    let level = colon.map { tag.from($0 + 1) } ?? tag
    guard WebError.isLevel(level) else { return false }
    cursor.skipSpaces()
    var pid: Int64?
    if cursor.skip("[pid ") {
      guard let text = cursor.take(until: 0x5d) else { return false }
      pid = text.upTo(text.index(of: 0x3a) ?? text.count).decimal
      cursor.skipSpaces()
    }
    WebError.finish(.apache, time, level: level, into: &event)
    if let pid { event.set(.processPid, pid) }

    var text = cursor.rest
    let client = takeClient(&text)
    if let client { setClient(client, hasPort: colon != nil, into: &event) }
    // "AH01618: "
    if text.starts(with: "AH"), let end = text.index(of: ": "), end == 7, text.slice(2, end).decimal != nil { text = text.from(end + 2) }
    event.set(.message, text)
    setMessage(text, hasClient: client != nil, level: level, into: &event)
    return true
  }

  /// "[client A:P] " at the front, or behind "file.c(123): " and "(2)No such file: ", which the server wrote. mod_security writes a
  /// second one behind it, which is the same.
  private static func takeClient(_ text: inout Bytes) -> Bytes? {
    var at = 0
    if let open = text.index(of: ".c("), text.upTo(open).index(of: 0x20) == nil, let end = endOfNumber(text, open + 3),
      text.from(end).starts(with: ": ")
    {
      at = end + 2
    }
    if text.from(at).starts(with: "("), let end = endOfNumber(text, at + 1), let colon = text.index(of: ": ", from: end) { at = colon + 2 }
    guard text.from(at).starts(with: "[client "), let close = text.index(of: 0x5d, from: at) else { return nil }
    let client = text.slice(at + 8, close)
    text = text.from(close + 1).trimmed
    if text.starts(with: "[client "), let again = text.index(of: 0x5d) { text = text.from(again + 1).trimmed }
    return client
  }
  /// Behind "123)" at `start`; nil if that is not there.
  private static func endOfNumber(_ text: Bytes, _ start: Int) -> Int? {
    guard let close = text.index(of: 0x29, from: start), text.slice(start, close).decimal != nil else { return nil }
    return close + 1
  }
  private static func setClient(_ client: Bytes, hasPort: Bool, into event: inout Event) {
    if hasPort, let colon = client.lastIndex(of: 0x3a), let port = client.from(colon + 1).decimal, port <= 65_535 {
      var host = client.upTo(colon)
      if host.starts(with: "["), host.ends(with: "]") { host = host.slice(1, host.count - 1) }
      if event.set(.sourceIP, parsing: host) {
        event.set(.sourcePort, port)
        return
      }
    }
    if !event.set(.sourceIP, parsing: client), client.count > 0 { event.set(.sourceAddress, client) }
  }

  private static func setMessage(_ full: Bytes, hasClient: Bool, level: Bytes, into event: inout Event) {
    var text = full
    if let referer = text.index(of: ", referer: ") {
      // The first place: whatever stands behind it is at most more of the client's.
      WebRequest.setHeader(.httpRequestReferrer, text.from(referer + 11), logEscapes: true, into: &event)
      text = text.upTo(referer)
    }
    for template in failures {
      guard let match = template.match(text) else { continue }
      template.apply(match, to: &event, message: text)
      if let target = event.text(.urlOriginal) { WebTarget.set(target, logEscapes: true, into: &event) }
      return
    }
    for row in rows where text.starts(with: row.text) {
      WebError.setAction(row, hasClient: hasClient, level: level, into: &event)
      return
    }
    WebError.setAction(nil, hasClient: hasClient, level: level, into: &event)
  }

  /// "Thu Oct 13 12:24:49.880562 2022", the fraction optional.
  private static func time(_ stamp: Bytes, _ offsetSeconds: Int64) -> EventTime? {
    var known = false
    for day in days where stamp.starts(with: day) { known = true }
    guard known, stamp.count >= 24, let month = WebTime.month(stamp, 4) else { return nil }
    var cursor = ByteCursor(stamp, at: 7)
    cursor.skipSpaces()
    guard let day = cursor.takeDecimal(maxDigits: 2), cursor.skip(byte: 0x20), let hour = cursor.takeDecimal(maxDigits: 2), cursor.skip(byte: 0x3a),
      let minute = cursor.takeDecimal(maxDigits: 2), cursor.skip(byte: 0x3a), let second = cursor.takeDecimal(maxDigits: 2)
    else { return nil }
    var nanosecond: Int64 = 0
    if cursor.skip(byte: 0x2e) {
      let start = cursor.position
      guard var fraction = cursor.takeDecimal(maxDigits: 9) else { return nil }
      for _ in 0..<(9 - (cursor.position - start)) { fraction *= 10 }
      nanosecond = fraction
    }
    guard cursor.skip(byte: 0x20), let year = cursor.takeDecimal(maxDigits: 4), cursor.isAtEnd else { return nil }
    return EventTime(
      year: year, month: month, day: day, hour: hour, minute: minute, second: second, nanosecond: nanosecond, offsetSeconds: offsetSeconds)
  }
}
