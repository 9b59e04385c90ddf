// Access logs of nginx, Apache and everything that writes their formats: common, combined, with the virtual host in front, with
// more fields behind.
//
//     [vhost[:port] ]address ident user [05/Jan/2026:00:00:00 +0000] "request" status bytes["referrer" "user agent"[ ...]]
//
// The client writes user, request, referrer and user agent. Servers escape quotes inside them (nginx \x22, Apache \"), so the first
// unescaped quote opens the request, and the stamp is what stands immediately before it: a stamp inside the user name is not taken. The
// address comes before anything the client writes. Where an unescaped quote inside the request shows that the log does not escape,
// the request is malformed, and status and headers, which then have two readings, are left out; the address has only one.
//
// A second word that is an address makes the first one the virtual host. (Under RFC 1413 the second word is the client's answer to an
// ident query; no server asks unless told to, and scanners that send an address as their Host header are everyday.)
import Events
import Primitives

public enum WebAccess {
  /// Reads one line, headers and all: sets the time and every field. `line` lies in the event's own memory.
  /// Actions http-request and http-malformed-request (the request is not "METHOD target HTTP/x"; event.reason "empty", "no-request-line"
  /// or "unescaped-quote"). Outcome by status: failure from 400 on. False, with nothing set, if it is not an access line.
  public static func parse(_ line: Bytes, into event: inout Event) -> Bool { parse(line, server: .unknown, into: &event) }

  public static func parse(_ line: Bytes, server: WebServer, into event: inout Event) -> Bool {
    guard let (open, stampStart, time) = requestStart(line) else { return false }
    guard setClient(line.upTo(stampStart), into: &event) else { return false }
    event.time = time
    event.timeBasis = .stamped
    event.set(.eventCategory, "web")
    event.set(.eventProvider, server.provider)
    event.set(.eventDataset, server.accessDataset)
    event.set(.networkProtocol, "http")

    var requestEnd = closingQuote(line, open + 1)
    var malformed: StaticString? = nil
    var status: Int64? = nil
    var bytes: Bytes = .none
    var referrer: Bytes = .none
    var agent: Bytes = .none
    if let end = requestEnd {
      let after = line.from(end + 1)
      if let read = statusAndBytes(after) {
        status = read.status
        bytes = read.bytes
        var rest = read.rest
        if quoted(&rest, &referrer), quoted(&rest, &agent) {}
        // A second status: somebody closed the request's quote himself, and which status is real nobody can tell.
        if rest.count > 0, hasStatus(rest) { malformed = "unescaped-quote" }
      } else if !after.starts(with: " \"") {
        malformed = "unescaped-quote"
      }
      // Else a format of the administrator's own: another quoted field stands behind the request.
    }
    if malformed != nil {
      requestEnd = lastRequestEnd(line, from: open + 1) ?? requestEnd
      status = nil
      bytes = .none
      referrer = .none
      agent = .none
    }

    let request = line.slice(open + 1, requestEnd ?? line.count)
    let isWellFormed = WebRequest.setLine(request, logEscapes: true, into: &event)
    // A line that was cut inside the request has its method and path, but no end.
    let isCut = requestEnd == nil && event.has(.httpRequestMethod)
    if !isWellFormed, !isCut, malformed == nil {
      malformed = request.count == 0 || request.equals("-") ? "empty" : "no-request-line"
    }
    if let malformed {
      event.set(.eventAction, "http-malformed-request")
      event.set(.eventReason, malformed)
    } else {
      event.set(.eventAction, "http-request")
    }
    if let status {
      event.set(.httpResponseStatusCode, status)
      event.set(.eventOutcome, status < 400 ? "success" as StaticString : "failure")
      if let count = bytes.decimal { event.set(.httpResponseBodyBytes, count) }
    }
    if referrer.count > 0 { WebRequest.setHeader(.httpRequestReferrer, referrer, logEscapes: true, into: &event) }
    if agent.count > 0 { WebRequest.setHeader(.userAgentOriginal, agent, logEscapes: true, into: &event) }
    return true
  }

  // MARK: Before the request

  /// The quote that opens the request, where the stamp's bracket opens, and the stamp.
  @inline(__always)
  private static func requestStart(_ line: Bytes) -> (quote: Int, bracket: Int, time: EventTime)? {
    var from = 0
    while let quote = line.index(of: 0x22, from: from) {
      if quote >= 4, line[quote - 1] == 0x20, line[quote - 2] == 0x5d {
        if quote >= 30, line[quote - 29] == 0x5b, let time = WebTime.accessStamp(line.slice(quote - 28, quote - 2)) {
          return (quote, quote - 29, time)
        }
        // $time_iso8601: at most 35 bytes with nanoseconds and a zone. Looking no further back keeps this linear.
        let nearest = max(0, quote - 40)
        if let bracket = line.slice(nearest, quote - 2).lastIndex(of: 0x5b),
          let time = EventTime(rfc3339: line.slice(nearest + bracket + 1, quote - 2))
        {
          return (quote, nearest + bracket, time)
        }
      }
      from = quote + 1
    }
    return nil
  }

  /// "[vhost ]address ident user ": false if there is no address.
  private static func setClient(_ head: Bytes, into event: inout Event) -> Bool {
    guard head.count > 0, let firstEnd = head.index(of: 0x20), firstEnd > 0 else { return false }
    var address = head.upTo(firstEnd)
    var rest = head.from(firstEnd + 1)
    var isAddress = event.set(.sourceIP, parsing: address)
    let secondEnd = rest.index(of: 0x20) ?? rest.count
    let second = rest.upTo(secondEnd)
    if second.count > 1 {
      if isVirtualHost(address, second) {
        if !(address.count == 1 && address[0] == 0x5f), !address.equals("-") { setVirtualHost(address, into: &event) }
        event.remove(.sourceIP)
        address = second
        isAddress = event.set(.sourceIP, parsing: address)
        rest = rest.from(secondEnd + 1)
      } else if address.ends(with: ",") {
        // "client, proxy, proxy": a logged X-Forwarded-For. Only the last was seen by a server of ours.
        while address.ends(with: ","), rest.count > 0 {
          let end = rest.index(of: 0x20) ?? rest.count
          address = rest.upTo(end)
          rest = rest.from(end + 1)
        }
        isAddress = event.set(.sourceIP, parsing: address)
      }
    }
    if !isAddress { setAddressWithPort(address, into: &event) }
    // ident, then the user, which may have spaces in it.
    if let identEnd = rest.index(of: 0x20) {
      var user = rest.from(identEnd + 1)
      if user.count > 0, user[user.count - 1] == 0x20 { user = user.upTo(user.count - 1) }
      if user.count > 0, !(user.count == 1 && user[0] == 0x2d), !user.equals("\"\"") {
        WebRequest.setHeader(.userName, user, logEscapes: true, into: &event)
      }
    }
    return true
  }

  private static func isVirtualHost(_ first: Bytes, _ second: Bytes) -> Bool {
    if first.ends(with: ",") { return false }
    if second.equals("unix:") { return true }
    if IPAddress(second) != nil { return true }
    // "name:443 client.example": a port never stands behind a client's address or name.
    guard let colon = first.lastIndex(of: 0x3a), colon > 0, first.from(colon + 1).decimal != nil, IPAddress(first) == nil else { return false }
    return IPAddress(first.upTo(colon)) == nil
  }
  private static func setVirtualHost(_ text: Bytes, into event: inout Event) {
    WebTarget.setDomain(text, into: &event)
    if IPAddress(text) != nil {
      event.set(.urlDomain, text)
    } else if let colon = text.lastIndex(of: 0x3a), let port = text.from(colon + 1).decimal, port <= 65_535 {
      event.set(.destinationPort, port)
    }
  }
  /// A host name, or "192.0.2.1:5678".
  private static func setAddressWithPort(_ text: Bytes, into event: inout Event) {
    if let colon = text.lastIndex(of: 0x3a), let port = text.from(colon + 1).decimal, port <= 65_535 {
      var host = text.upTo(colon)
      if host.starts(with: "["), host.ends(with: "]") { host = host.slice(1, host.count - 1) }
      if event.set(.sourceIP, parsing: host) {
        event.set(.sourcePort, port)
        return
      }
    }
    if text.count > 0, !text.equals("-") { event.set(.sourceAddress, text) }
  }

  // MARK: From the request on

  /// The next quote that no backslash escapes.
  @inline(__always)
  private static func closingQuote(_ line: Bytes, _ start: Int) -> Int? {
    var from = start
    while let quote = line.index(of: 0x22, from: from) {
      var backslashes = 0
      while quote - 1 - backslashes >= start, line[quote - 1 - backslashes] == 0x5c { backslashes += 1 }
      if backslashes & 1 == 0 { return quote }
      from = quote + 1
    }
    return nil
  }

  /// " 200 512 ...": the status (three digits, or "-"), the bytes (digits or "-"), and what follows.
  @inline(__always)
  private static func statusAndBytes(_ text: Bytes) -> (status: Int64?, bytes: Bytes, rest: Bytes)? {
    guard text.count >= 2, text[0] == 0x20 else { return nil }
    var status: Int64? = nil
    var at: Int
    if text.count >= 4, let first = WebTime.two(text, 1), text[3] &- 0x30 <= 9 {
      status = first * 10 + Int64(text[3] &- 0x30)
      at = 4
    } else if text[1] == 0x2d {
      at = 2
    } else {
      return nil
    }
    guard at < text.count else { return (status, .none, .none) }
    guard text[at] == 0x20 else { return nil }
    at += 1
    let start = at
    while at < text.count, text[at] &- 0x30 <= 9 { at += 1 }
    if at == start, at < text.count, text[at] == 0x2d { at += 1 }
    guard at > start, at == text.count || text[at] == 0x20 || text[at] == 0x0d else { return nil }
    return (status, text.slice(start, at), text.from(at))
  }

  /// Takes ` "value"` from the front of `text`. A line that was cut has no closing quote: the value then runs to its end.
  @inline(__always)
  private static func quoted(_ text: inout Bytes, _ value: inout Bytes) -> Bool {
    guard text.count >= 2, text[0] == 0x20, text[1] == 0x22 else { return false }
    let end = closingQuote(text, 2) ?? text.count
    value = text.slice(2, end)
    text = text.from(end + 1)
    return true
  }

  /// Whether ` 404 162` followed by the end or by a quoted field stands at the front of `text` or behind one of its quotes.
  private static func hasStatus(_ text: Bytes) -> Bool {
    func isStatus(_ text: Bytes) -> Bool {
      guard let read = statusAndBytes(text), read.status != nil, read.bytes.count > 0 else { return false }
      return read.rest.count == 0 || read.rest.starts(with: " \"")
    }
    if isStatus(text) { return true }
    var from = 0
    while let quote = closingQuote(text, from) {
      if isStatus(text.from(quote + 1)) { return true }
      from = quote + 1
    }
    return false
  }
  /// The last quote that a status follows: the longest reading of the request.
  private static func lastRequestEnd(_ line: Bytes, from start: Int) -> Int? {
    var end: Int?
    var from = start
    while let quote = line.index(of: "\" ", from: from) {
      if let read = statusAndBytes(line.from(quote + 1)), read.status != nil { end = quote }
      from = quote + 1
    }
    return end
  }
}

extension ServiceParser {
  /// nginx's access and error lines where they come through syslog. The header's time stays: an error line's own stamp has no zone.
  public static let nginx = ServiceParser(name: "nginx", programs: ["nginx"]) { message, event in
    keepingTime(&event) { WebError.parse(message, into: &$0) || WebAccess.parse(message, server: .nginx, into: &$0) }
  }
  /// Apache's access and error lines where they come through syslog. The header's time stays.
  public static let apache = ServiceParser(name: "apache", programs: ["apache2", "httpd", "apache"]) { message, event in
    keepingTime(&event) { WebError.parse(message, into: &$0) || WebAccess.parse(message, server: .apache, into: &$0) }
  }
  private static func keepingTime(_ event: inout Event, _ parse: (inout Event) -> Bool) -> Bool {
    let time = event.time
    let basis = event.timeBasis
    defer {
      event.time = time
      event.timeBasis = basis
    }
    return parse(&event)
  }
}
