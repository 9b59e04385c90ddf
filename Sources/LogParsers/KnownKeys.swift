// What other programs call the things that ECS names: the spellings of nginx variables, Caddy, Traefik and common logfmt writers.
// Used only where nothing better is known about a line (generic messages) or where its keys are the format (JSON logs).
// Headers that a client sends (X-Forwarded-For, X-Real-IP) are never its address.
import Events
import Primitives

/// What a key stands for.
enum KnownKey: Int, CaseIterable, Sendable {
  case source, sourcePort, destination, destinationPort, user, request, target, query, method, status, bytes, referrer, agent, host, version
  case time, message, level, pid, transport

  static let table: [(name: StaticString, key: KnownKey)] = [
    // Of several addresses the earlier row wins: client_ip is what a server made of a proxy that it trusts.
    ("source.ip", .source), ("client_ip", .source), ("request.client_ip", .source), ("remote_addr", .source), ("remote_ip", .source),
    ("request.remote_ip", .source),
    ("remote-addr", .source), ("clienthost", .source), ("clientip", .source), ("src_ip", .source), ("source_ip", .source), ("srcip", .source),
    ("src", .source), ("rhost", .source), ("source.address", .source), ("client.ip", .source), ("remoteaddr", .source), ("remoteip", .source),
    ("client", .source),
    ("ip", .source),
    ("remote_port", .sourcePort), ("request.remote_port", .sourcePort), ("clientport", .sourcePort), ("src_port", .sourcePort),
    ("source_port", .sourcePort), ("spt", .sourcePort), ("sport", .sourcePort),
    ("dst", .destination), ("dst_ip", .destination), ("dest_ip", .destination), ("destination_ip", .destination), ("dstip", .destination),
    ("dpt", .destinationPort), ("dport", .destinationPort), ("dst_port", .destinationPort), ("dest_port", .destinationPort),
    ("destination_port", .destinationPort),
    ("user", .user), ("username", .user), ("user_name", .user), ("remote_user", .user), ("clientusername", .user), ("login", .user),
    ("request", .request), ("request_line", .request),
    ("request_uri", .target), ("request.uri", .target), ("uri", .target), ("requestpath", .target), ("url", .target), ("path", .target),
    ("request_path", .target),
    ("args", .query), ("query_string", .query), ("query", .query),
    ("request_method", .method), ("request.method", .method), ("method", .method), ("requestmethod", .method), ("verb", .method),
    ("status", .status), ("status_code", .status), ("response_status", .status), ("downstreamstatus", .status), ("response_code", .status),
    ("body_bytes_sent", .bytes), ("bytes_sent", .bytes), ("size", .bytes), ("downstreamcontentsize", .bytes), ("bytes", .bytes),
    ("http_referer", .referrer), ("http_referrer", .referrer), ("referer", .referrer), ("referrer", .referrer),
    ("request.headers.referer", .referrer), ("request_referer", .referrer),
    ("http_user_agent", .agent), ("user_agent", .agent), ("useragent", .agent), ("agent", .agent), ("request.headers.user-agent", .agent),
    ("request_user-agent", .agent),
    ("http_host", .host), ("request.host", .host), ("requesthost", .host), ("host", .host), ("vhost", .host), ("server_name", .host),
    ("hostname", .host),
    ("server_protocol", .version), ("request.proto", .version), ("requestprotocol", .version), ("http_version", .version),
    ("@timestamp", .time), ("time_iso8601", .time), ("time_local", .time), ("timestamp", .time), ("time", .time), ("ts", .time), ("msec", .time),
    ("startutc", .time), ("datetime", .time), ("date", .time),
    ("message", .message), ("msg", .message), ("log", .message),
    ("level", .level), ("severity", .level), ("loglevel", .level), ("lvl", .level),
    ("pid", .pid),
    ("proto", .transport), ("protocol", .transport),
  ]

  /// The row of `name`, whatever its case.
  static func row(of name: Bytes) -> Int? {
    for i in 0..<table.count where matches(name, table[i].name) { return i }
    return nil
  }
  private static func matches(_ name: Bytes, _ lower: StaticString) -> Bool {
    guard name.count == lower.utf8CodeUnitCount else { return false }
    for i in 0..<name.count {
      let byte = name[i]
      guard (byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) == lower.utf8Start[i] else { return false }
    }
    return true
  }
}

/// The values met for each known key, in the event's memory.
struct KnownValues {
  private var values = InlineArray<20, Bytes>(repeating: .none)
  private var rows = InlineArray<20, Int>(repeating: .max)
  /// Two values for what can have only one: the same key twice, or (in `strict` use) two keys for an address.
  private(set) var hasTwoSources = false

  subscript(_ key: KnownKey) -> Bytes { values[key.rawValue] }
  func has(_ key: KnownKey) -> Bool { values[key.rawValue].count > 0 }

  /// Takes `value`, which must lie in the event's memory, as the one of table row `row`.
  mutating func note(row: Int, _ value: Bytes, strict: Bool) {
    let key = KnownKey.table[row].key.rawValue
    guard value.count > 0, !value.equals("-") else { return }
    if values[key].count > 0 {
      if key == KnownKey.source.rawValue, !values[key].equals(value), strict || rows[key] == row { hasTwoSources = true }
      guard row < rows[key] else { return }
    }
    values[key] = value
    rows[key] = row
  }

  /// Sets what is not about the web: addresses, user, level. `host` and `time` are the caller's.
  func setCommon(into event: inout Event) {
    if hasTwoSources {
      event.set(.isAmbiguous, 1)
    } else if has(.source), !event.has(.sourceIP) {
      setSource(into: &event)
    }
    if has(.destination), !event.has(.destinationIP) { event.set(.destinationIP, parsing: self[.destination]) }
    if let port = self[.destinationPort].decimal, port <= 65_535, !event.has(.destinationPort) { event.set(.destinationPort, port) }
    if !event.has(.networkTransport) {
      for name in ["tcp", "udp", "icmp"] as [StaticString] where self[.transport].equals(name) { event.set(.networkTransport, name) }
    }
    if has(.user), !event.has(.userName) { event.set(.userName, self[.user]) }
    if has(.level), !event.has(.logLevel) { event.set(.logLevel, self[.level]) }
  }
  private func setSource(into event: inout Event) {
    let text = self[.source]
    guard !event.set(.sourceIP, parsing: text) else {
      if let port = self[.sourcePort].decimal, port <= 65_535 { event.set(.sourcePort, port) }
      return
    }
    // "192.0.2.1:5678", "[2001:db8::1]:5678"
    if let colon = text.lastIndex(of: 0x3a), let port = text.from(colon + 1).decimal, port <= 65_535 {
      var host = text.upTo(colon)
      if host.starts(with: "["), host.ends(with: "]") { host = host.slice(1, host.count - 1) }
      if event.set(.sourceIP, parsing: host) {
        event.set(.sourcePort, port)
        return
      }
    }
    event.set(.sourceAddress, text)
  }

  /// A request was made: a status with a request line or URL, or a method with a URL.
  var isWeb: Bool { (has(.status) && self[.status].decimal != nil && (has(.request) || has(.target))) || (has(.method) && has(.target)) }

  /// Sets the fields of an access log. `logEscapes`: the values hold nginx's escapes.
  func setWeb(logEscapes: Bool, into event: inout Event) {
    event.set(.eventCategory, "web")
    event.set(.networkProtocol, "http")
    var isWellFormed = true
    if has(.request) {
      isWellFormed = WebRequest.setLine(self[.request], logEscapes: logEscapes, into: &event)
    } else {
      if has(.method) { event.set(.httpRequestMethod, self[.method]) }
      if has(.version) { event.set(.httpVersion, self[.version].starts(with: "HTTP/") ? self[.version].from(5) : self[.version]) }
      event.set(.urlOriginal, self[.target])
      WebTarget.set(self[.target], logEscapes: logEscapes, into: &event)
      if has(.query), !event.has(.urlQuery) {
        WebTarget.setDecoded(.urlQuery, self[.query], plusIsSpace: true, logEscapes: logEscapes, into: &event)
      }
    }
    if isWellFormed {
      event.set(.eventAction, "http-request")
    } else {
      event.set(.eventAction, "http-malformed-request")
      event.set(.eventReason, "no-request-line")
    }
    if let status = self[.status].decimal, status <= 999 {
      event.set(.httpResponseStatusCode, status)
      event.set(.eventOutcome, status < 400 ? "success" as StaticString : "failure")
    }
    if let bytes = self[.bytes].decimal { event.set(.httpResponseBodyBytes, bytes) }
    WebRequest.setHeader(.httpRequestReferrer, self[.referrer], logEscapes: logEscapes, into: &event)
    WebRequest.setHeader(.userAgentOriginal, self[.agent], logEscapes: logEscapes, into: &event)
    if has(.host), !event.has(.urlDomain) { WebTarget.setDomain(self[.host], into: &event) }
  }

  /// Keeps what has no field here as extra fields, under the table's spelling, so that a rule can still ask for it.
  func setRest(into event: inout Event, except used: Set<KnownKey>) {
    for key in KnownKey.allCases where has(key) && !used.contains(key) {
      let isSet =
        switch key {
        case .source: event.has(.sourceIP) || event.has(.sourceAddress)
        case .sourcePort: event.has(.sourcePort)
        case .destination: event.has(.destinationIP)
        case .destinationPort: event.has(.destinationPort)
        case .user, .level: true
        case .transport: event.has(.networkTransport)
        default: isWeb && KnownValues.webKeys.contains(key)
        }
      let name = Bytes(KnownKey.table[rows[key.rawValue]].name)
      if !isSet, !(key == .source && hasTwoSources), Field(name: name) == nil { event.setExtra(name, self[key]) }
    }
  }
  private static let webKeys: Set<KnownKey> = [.request, .target, .query, .method, .status, .bytes, .referrer, .agent, .host, .version]

  /// RFC 3339, the access log's stamp, or seconds or milliseconds since 1970 with an optional fraction.
  var eventTime: EventTime? {
    let text = self[.time]
    if let time = EventTime(rfc3339: text) { return time }
    if let time = WebTime.accessStamp(text) { return time }
    var cursor = ByteCursor(text)
    guard let whole = cursor.takeDecimal(maxDigits: 13) else { return nil }
    var fraction: Int64 = 0
    if cursor.skip(byte: 0x2e) {
      let start = cursor.position
      guard let digits = cursor.takeDecimal(maxDigits: 9) else { return nil }
      fraction = digits
      for _ in 0..<(9 - (cursor.position - start)) { fraction *= 10 }
      while let byte = cursor.peek, byte &- 0x30 <= 9 { cursor.position += 1 }
    }
    guard cursor.isAtEnd, whole > 0 else { return nil }
    // 7,258,118,400 is the year 2200: a greater number counts milliseconds.
    if whole >= 7_258_118_400 { return whole < 7_258_118_400_000 ? EventTime(nanoseconds: whole * 1_000_000) : nil }
    return EventTime(nanoseconds: whole * 1_000_000_000 + fraction)
  }
}
