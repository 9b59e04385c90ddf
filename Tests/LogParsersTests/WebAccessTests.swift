import Events
import Primitives
import Testing

@testable import LogParsers

private func access(_ action: String, _ more: [String: String]) -> [String: String] {
  [
    "event.category": "web", "event.provider": "generic", "event.dataset": "web.access", "network.protocol": "http", "event.action": action,
  ].merging(more) { $1 }
}
private let stamp = "[05/Jan/2026:10:20:30 +0000]"
private func web(_ line: String) -> [String: String]? { parsed(line, WebAccess.parse(_:into:))?.fields }

@Suite struct WebAccessTests {
  static let cases: [Case] = [
    // combined, common, the virtual host in front, more fields behind
    Case(
      #"203.0.113.7 - - \#(stamp) "GET /a/b.html?x=1 HTTP/1.1" 200 512 "https://www.example.com/" "curl/8.0""#,
      access(
        "http-request",
        [
          "source.ip": "203.0.113.7", "http.request.method": "GET", "http.version": "1.1", "url.original": "/a/b.html?x=1", "url.path": "/a/b.html",
          "url.query": "x=1", "http.response.status_code": "200", "http.response.body.bytes": "512", "event.outcome": "success",
          "http.request.referrer": "https://www.example.com/", "user_agent.original": "curl/8.0",
        ])),
    Case(
      #"203.0.113.7 - alice \#(stamp) "GET / HTTP/2.0" 404 -"#,
      access(
        "http-request",
        [
          "source.ip": "203.0.113.7", "user.name": "alice", "http.request.method": "GET", "http.version": "2.0", "url.original": "/", "url.path": "/",
          "http.response.status_code": "404", "event.outcome": "failure",
        ])),
    Case(
      #"www.example.com:443 203.0.113.7 - - \#(stamp) "GET / HTTP/1.1" 301 5 "-" "-""#,
      access(
        "http-request",
        [
          "url.domain": "www.example.com", "destination.port": "443", "source.ip": "203.0.113.7", "http.request.method": "GET", "http.version": "1.1",
          "url.original": "/", "url.path": "/", "http.response.status_code": "301", "http.response.body.bytes": "5", "event.outcome": "success",
        ])),
    Case(
      #"www.example.com 2001:db8::7 - - \#(stamp) "GET / HTTP/1.1" 200 5 "" "" "198.51.100.1" rt=0.005"#,
      access(
        "http-request",
        [
          "url.domain": "www.example.com", "source.ip": "2001:db8::7", "http.request.method": "GET", "http.version": "1.1", "url.original": "/",
          "url.path": "/", "http.response.status_code": "200", "http.response.body.bytes": "5", "event.outcome": "success",
        ])),
    // A scanner that sends an address as its Host header is not that address.
    Case(
      #"192.0.2.1 203.0.113.7 - - \#(stamp) "GET / HTTP/1.1" 200 5"#,
      access(
        "http-request",
        [
          "url.domain": "192.0.2.1", "source.ip": "203.0.113.7", "http.request.method": "GET", "http.version": "1.1", "url.original": "/",
          "url.path": "/",
          "http.response.status_code": "200", "http.response.body.bytes": "5", "event.outcome": "success",
        ])),
    Case(
      #"192.0.2.1 unix: - - \#(stamp) "GET / HTTP/1.1" 200 5"#,
      access(
        "http-request",
        [
          "url.domain": "192.0.2.1", "source.address": "unix:", "http.request.method": "GET", "http.version": "1.1", "url.original": "/",
          "url.path": "/",
          "http.response.status_code": "200", "http.response.body.bytes": "5", "event.outcome": "success",
        ])),
    // A logged X-Forwarded-For: the last address is the one a server of ours saw.
    Case(
      #"192.0.2.1, 198.51.100.9, 203.0.113.7 - - \#(stamp) "GET / HTTP/1.1" 200 5"#,
      access(
        "http-request",
        [
          "source.ip": "203.0.113.7", "http.request.method": "GET", "http.version": "1.1", "url.original": "/", "url.path": "/",
          "http.response.status_code": "200", "http.response.body.bytes": "5", "event.outcome": "success",
        ])),
    Case(
      #"client.example - - \#(stamp) "HEAD / HTTP/1.0" 200 0"#,
      access(
        "http-request",
        [
          "source.address": "client.example", "http.request.method": "HEAD", "http.version": "1.0", "url.original": "/", "url.path": "/",
          "http.response.status_code": "200", "http.response.body.bytes": "0", "event.outcome": "success",
        ])),
    Case(
      #"203.0.113.7:5060 - - \#(stamp) "GET / HTTP/1.1" 200 0"#,
      access(
        "http-request",
        [
          "source.ip": "203.0.113.7", "source.port": "5060", "http.request.method": "GET", "http.version": "1.1", "url.original": "/",
          "url.path": "/",
          "http.response.status_code": "200", "http.response.body.bytes": "0", "event.outcome": "success",
        ])),
    // users
    Case(
      #"203.0.113.7 - alice smith \#(stamp) "GET / HTTP/1.1" 401 0"#,
      access(
        "http-request",
        [
          "source.ip": "203.0.113.7", "user.name": "alice smith", "http.request.method": "GET", "http.version": "1.1", "url.original": "/",
          "url.path": "/",
          "http.response.status_code": "401", "http.response.body.bytes": "0", "event.outcome": "failure",
        ])),
    Case(
      #"203.0.113.7 - "" \#(stamp) "GET / HTTP/1.1" 401 0"#,
      access(
        "http-request",
        [
          "source.ip": "203.0.113.7", "http.request.method": "GET", "http.version": "1.1", "url.original": "/", "url.path": "/",
          "http.response.status_code": "401", "http.response.body.bytes": "0", "event.outcome": "failure",
        ])),
    // forms of targets
    Case(
      #"203.0.113.7 - - \#(stamp) "CONNECT mail.example:25 HTTP/1.1" 405 0"#,
      access(
        "http-request",
        [
          "source.ip": "203.0.113.7", "http.request.method": "CONNECT", "http.version": "1.1", "url.original": "mail.example:25",
          "url.domain": "mail.example",
          "http.response.status_code": "405", "http.response.body.bytes": "0", "event.outcome": "failure",
        ])),
    Case(
      #"203.0.113.7 - - \#(stamp) "GET http://u@proxy.example:81/x?y HTTP/1.1" 400 0"#,
      access(
        "http-request",
        [
          "source.ip": "203.0.113.7", "http.request.method": "GET", "http.version": "1.1", "url.original": "http://u@proxy.example:81/x?y",
          "url.domain": "proxy.example", "url.path": "/x", "url.query": "y", "http.response.status_code": "400", "http.response.body.bytes": "0",
          "event.outcome": "failure",
        ])),
    Case(
      #"203.0.113.7 - - \#(stamp) "OPTIONS * HTTP/1.1" 200 0"#,
      access(
        "http-request",
        [
          "source.ip": "203.0.113.7", "http.request.method": "OPTIONS", "http.version": "1.1", "url.original": "*", "url.path": "*",
          "http.response.status_code": "200", "http.response.body.bytes": "0", "event.outcome": "success",
        ])),
    // decoding: twice encoded, plus in the query, the log's own escapes
    Case(
      #"203.0.113.7 - - \#(stamp) "GET /%252e%252e/%2e%2e/etc/passwd?q=a+b%2Bc%20d HTTP/1.1" 404 0 "-" "x\x22y\\z \"q\"""#,
      access(
        "http-request",
        [
          "source.ip": "203.0.113.7", "http.request.method": "GET", "http.version": "1.1",
          "url.original": "/%252e%252e/%2e%2e/etc/passwd?q=a+b%2Bc%20d",
          "url.path": "/../../etc/passwd", "url.query": "q=a b+c d", "http.response.status_code": "404", "http.response.body.bytes": "0",
          "event.outcome": "failure", "user_agent.original": "x\"y\\z \"q\"",
        ])),
    // malformed requests
    Case(
      #"203.0.113.7 - - \#(stamp) "\x16\x03\x01\x02" 400 226 "-" "-""#,
      access(
        "http-malformed-request",
        [
          "source.ip": "203.0.113.7", "event.reason": "no-request-line", "url.original": "\\x16\\x03\\x01\\x02", "http.response.status_code": "400",
          "http.response.body.bytes": "226", "event.outcome": "failure",
        ])),
    Case(
      #"203.0.113.7 - - \#(stamp) "" 400 0 "-" "-""#,
      access(
        "http-malformed-request",
        [
          "source.ip": "203.0.113.7", "event.reason": "empty", "http.response.status_code": "400", "http.response.body.bytes": "0",
          "event.outcome": "failure",
        ])),
    Case(
      #"203.0.113.7 - - \#(stamp) "-" 408 - "-" "-""#,
      access(
        "http-malformed-request",
        [
          "source.ip": "203.0.113.7", "event.reason": "empty", "http.response.status_code": "408", "event.outcome": "failure",
        ])),
    Case(
      #"203.0.113.7 - - \#(stamp) "GET /../../etc/passwd" 400 0"#,
      access(
        "http-malformed-request",
        [
          "source.ip": "203.0.113.7", "event.reason": "no-request-line", "http.request.method": "GET", "url.original": "GET /../../etc/passwd",
          "url.path": "/../../etc/passwd", "http.response.status_code": "400", "http.response.body.bytes": "0", "event.outcome": "failure",
        ])),
    Case(
      #"203.0.113.7 - - \#(stamp) "GET /a b c HTTP/1.1" 400 0"#,
      access(
        "http-request",
        [
          "source.ip": "203.0.113.7", "http.request.method": "GET", "http.version": "1.1", "url.original": "/a b c", "url.path": "/a b c",
          "http.response.status_code": "400", "http.response.body.bytes": "0", "event.outcome": "failure",
        ])),
    // What the client writes cannot move what it does not: escaped quotes, as nginx and as Apache write them.
    Case(
      #"203.0.113.7 - x\x22 [06/Jan/2026:00:00:00 +0000] \x22GET /fake HTTP/1.1\x22 200 1 \#(stamp) "GET / HTTP/1.1" 404 0 "-" "a""#,
      access(
        "http-request",
        [
          "source.ip": "203.0.113.7", "user.name": #"x" [06/Jan/2026:00:00:00 +0000] "GET /fake HTTP/1.1" 200 1"#, "http.request.method": "GET",
          "http.version": "1.1", "url.original": "/", "url.path": "/", "http.response.status_code": "404", "http.response.body.bytes": "0",
          "event.outcome": "failure", "user_agent.original": "a",
        ])),
    Case(
      #"203.0.113.7 - - \#(stamp) "GET /\" 200 0 \"-\" \"x HTTP/1.1" 404 7 "r\" 200 1 \"" "a\\""#,
      access(
        "http-request",
        [
          "source.ip": "203.0.113.7", "http.request.method": "GET", "http.version": "1.1", "url.original": #"/\" 200 0 \"-\" \"x"#,
          "url.path": #"/" 200 0 "-" "x"#, "http.response.status_code": "404", "http.response.body.bytes": "7", "event.outcome": "failure",
          "http.request.referrer": #"r" 200 1 ""#, "user_agent.original": #"a\"#,
        ])),
    // A log that does not escape: which status is real has two readings, the address one.
    Case(
      #"203.0.113.7 - - \#(stamp) "GET /x" 200 5 "-" "y HTTP/1.1" 404 162 "-" "real""#,
      access(
        "http-malformed-request",
        [
          "source.ip": "203.0.113.7", "event.reason": "unescaped-quote", "http.request.method": "GET", "http.version": "1.1",
          "url.original": #"/x" 200 5 "-" "y"#, "url.path": #"/x" 200 5 "-" "y"#,
        ])),
    Case(
      #"203.0.113.7 - - \#(stamp) "GET /a"b HTTP/1.1" 404 162"#,
      access(
        "http-malformed-request",
        [
          "source.ip": "203.0.113.7", "event.reason": "unescaped-quote", "http.request.method": "GET", "http.version": "1.1",
          "url.original": #"/a"b"#, "url.path": #"/a"b"#,
        ])),
    // A format of somebody's own behind the request; a line that was cut.
    Case(
      #"203.0.113.7 - - \#(stamp) "GET / HTTP/1.1" "www.example.com" 200"#,
      access(
        "http-request",
        [
          "source.ip": "203.0.113.7", "http.request.method": "GET", "http.version": "1.1", "url.original": "/", "url.path": "/",
        ])),
    Case(
      #"203.0.113.7 - - \#(stamp) "GET /very/long"#,
      access(
        "http-request",
        [
          "source.ip": "203.0.113.7", "http.request.method": "GET", "url.original": "GET /very/long", "url.path": "/very/long",
        ])),
    // not access lines
    Case("", nil), Case("\"", nil), Case("203.0.113.7 - - [] \"GET / HTTP/1.1\" 200 5", nil), Case("no quote at all", nil),
    Case(#"203.0.113.7 - - [05/Jan/2026:25:20:30 +0000] "GET / HTTP/1.1" 200 5"#, nil), Case(#"\#(stamp) "GET / HTTP/1.1" 200 5"#, nil),
    Case(#"[31/Feb/2026:10:20:30 +0000] "GET / HTTP/1.1" 200 5"#, nil),
  ]
  @Test(arguments: cases) func reads(_ row: Case) { #expect(web(row.line) == row.fields) }

  @Test(arguments: [
    ("05/Jan/2026:00:00:00 +0000", "2026-01-05T00:00:00Z"), ("29/Feb/2024:23:59:60 -0700", "2024-03-01T07:00:00Z"),
    ("01/Jan/2026:00:00:00 +0545", "2025-12-31T18:15:00Z"), ("01/Dec/1999:12:00:00 -0330", "1999-12-01T15:30:00Z"),
    ("05/Jan/2026:00:00:00 +1400", "2026-01-04T10:00:00Z"), ("2026-01-05T01:02:03+01:00", "2026-01-05T00:02:03Z"),
  ]) func readsTheStamp(_ stamp: String, _ expected: String) {
    let result = parsed("203.0.113.7 - - [\(stamp)] \"GET / HTTP/1.1\" 200 5", WebAccess.parse(_:into:))
    #expect(result?.time.description == expected)
    #expect(result?.basis == .stamped)
  }
  @Test(arguments: [
    "05/Jan/2026:00:00:00 0000", "05/jan/2026:00:00:00 +0000", "30/Feb/2026:00:00:00 +0000", "05/Jan/2026:00:00:00 +0060",
    "5/Jan/2026:00:00:00 +0000",
  ])
  func refusesTheStamp(_ stamp: String) { #expect(web("203.0.113.7 - - [\(stamp)] \"GET / HTTP/1.1\" 200 5") == nil) }

  /// Through syslog the header's time is better than a stamp without a zone.
  @Test func keepsTheHeadersTime() {
    for line in ["203.0.113.7 - - \(stamp) \"GET / HTTP/1.1\" 200 5", "2021/09/30 09:23:53 [error] 88#88: *17 x, client: 203.0.113.7, server: _"] {
      #expect(parsed(line, ServiceParser.nginx.parse)?.time == EventTime(nanoseconds: -1))
    }
  }

  @Test func namesTheServer() {
    let line = "203.0.113.7 - - \(stamp) \"GET / HTTP/1.1\" 200 5"
    #expect(fields(line, .nginx)?["event.dataset"] == "nginx.access")
    #expect(fields(line, .apache)?["event.dataset"] == "apache.access")
    #expect(fields(line, .apache)?["event.provider"] == "apache")
  }
}

@Suite struct PercentDecodingTests {
  @Test(arguments: [
    ("/plain", "/plain"), ("/%41%62", "/Ab"), ("/%2e%2E/", "/../"), ("/%252e", "/."), ("/%25252e", "/."), ("/%2525252e", "/%2e"),
    // What is not an escape stays.
    ("/%", "/%"), ("/%4", "/%4"), ("/%zz", "/%zz"), ("/%4g%41", "/%4gA"), ("%%41", "%A"), ("/100%25", "/100%"),
    // UTF-8 is decoded, what is not UTF-8 stays as it was written: overlong, surrogate, cut, Latin-1.
    ("/%c3%a9", "/é"), ("/%c0%ae%c0%ae/", "/%c0%ae%c0%ae/"), ("/%e0%80%ae", "/%e0%80%ae"), ("/%ed%a0%80", "/%ed%a0%80"), ("/%e9", "/%e9"),
    ("/%f0%9f%98%80", "/😀"), ("/%c3", "/%c3"), ("/%c3%", "/%c3%"), ("/%ff%41", "/%ffA"), ("/%u002e", "/%u002e"),
    ("+", "+"), ("/%00x", "/\0x"),
  ]) func decodesPaths(_ text: String, _ expected: String) {
    var copy = text
    let result = copy.withUTF8 { PercentDecoding.decode(Bytes($0)) { $0.string } }
    #expect(result == expected)
  }
  @Test(arguments: [
    ("a+b", "a b"), ("a%2Bb", "a+b"), ("a%252Bb", "a+b"), ("\\x22%5C", "\"\\"), ("\\x25\\x34\\x31", "A"), ("\\xc3\\xa9", "é"), ("\\xff", "\\xff"),
    ("\\\"\\\\n\\n", "\"\\n\n"), ("\\q", "\\q"), ("\\", "\\"), ("\\x4", "\\x4"),
    // The log's escapes are undone once: what they spell is the client's text.
    ("\\x5Cx41", "\\x41"), ("%5Cx41", "\\x41"),
  ]) func decodesLoggedQueries(_ text: String, _ expected: String) {
    var copy = text
    let result = copy.withUTF8 { PercentDecoding.decode(Bytes($0), plusIsSpace: true, logEscapes: true) { $0.string } }
    #expect(result == expected)
  }
}

@Suite struct WebErrorTests {
  private static func nginx(_ action: String, _ more: [String: String]) -> [String: String] {
    [
      "event.category": "web", "event.provider": "nginx", "event.dataset": "nginx.error", "log.level": "error", "process.pid": "88",
      "event.action": action, "event.outcome": "failure",
    ].merging(more) { $1 }
  }
  private static let head = "2021/09/30 09:23:53 [error] 88#88: *17 "
  private static let request = [
    "network.protocol": "http", "http.request.method": "GET", "http.version": "1.1", "url.original": "/a", "url.path": "/a", "url.domain": "h",
  ]
  private static let tail = ", client: 203.0.113.7, server: _, request: \"GET /a HTTP/1.1\", host: \"h\""
  private static func full(_ action: String, _ message: String, _ more: [String: String]) -> [String: String] {
    nginx(action, request.merging(["message": message, "source.ip": "203.0.113.7"]) { $1 }.merging(more) { $1 })
  }
  private static func case_(_ action: String, _ message: String, _ more: [String: String]) -> Case {
    Case(head + message + tail, full(action, message, more))
  }

  static let nginxCases: [Case] = [
    case_("http-auth-failure", "user \"foo\" was not found in \"/etc/nginx/htpasswd\"", ["user.name": "foo", "event.reason": "user-not-found"]),
    case_("http-auth-failure", "user \"foo\": password mismatch", ["user.name": "foo", "event.reason": "password-mismatch"]),
    case_("http-rate-limited", "limiting requests, excess: 5.428 by zone \"z\"", ["event.reason": "requests"]),
    case_("http-access-denied", "access forbidden by rule", ["event.reason": "rule"]),
    case_("http-access-denied", "directory index of \"/var/www/\" is forbidden", ["event.reason": "directory-index"]),
    case_("http-error", "open() \"/var/www/a\" failed (2: No such file or directory)", ["event.reason": "open"]),
    case_("http-error", "connect() failed (111: Connection refused) while connecting to upstream", ["event.reason": "upstream-unavailable"]),
    case_("http-error", "something else", [:]),
    Case(
      head + "SSL_do_handshake() failed (SSL: error:0A) while SSL handshaking, client: 2001:db8::1, server: 0.0.0.0:443",
      nginx(
        "http-error",
        [
          "message": "SSL_do_handshake() failed (SSL: error:0A) while SSL handshaking", "source.ip": "2001:db8::1", "event.reason": "tls-handshake",
        ])),
    Case(
      "2021/09/30 09:23:53 [notice] 88#88: signal process started",
      [
        "event.category": "web", "event.provider": "nginx", "event.dataset": "nginx.error", "log.level": "notice", "process.pid": "88",
        "event.action": "http-server-notice", "message": "signal process started",
      ]),
    // Forged client in the user's name, without and with the words that end the message.
    Case(
      head + "user \"x, client: 192.0.2.1, server: _, request: \"\": password mismatch" + tail,
      full(
        "http-auth-failure", "user \"x, client: 192.0.2.1, server: _, request: \"\": password mismatch",
        ["user.name": "x, client: 192.0.2.1, server: _, request: \"", "event.reason": "password-mismatch"])),
    Case(
      head + "user \"x\": password mismatch, client: 192.0.2.1, server: _, request: \"\": password mismatch" + tail,
      full(
        "http-auth-failure", "user \"x\": password mismatch, client: 192.0.2.1, server: _, request: \"\": password mismatch",
        [
          "event.reason": "password-mismatch", "panguard.ambiguous": "1",
        ]
      ).filter { $0.key != "source.ip" }),
    // In the referrer, behind a message in which the client has no part.
    Case(
      head + "access forbidden by rule" + tail + ", referrer: \"x, client: 192.0.2.1, server: _\"",
      full(
        "http-access-denied", "access forbidden by rule", ["event.reason": "rule", "http.request.referrer": "x, client: 192.0.2.1, server: _"])),
    // In the referrer, behind a quoted name: it does not end as the message must.
    Case(
      head + "user \"bob\": password mismatch" + tail + ", referrer: \"x, client: 192.0.2.1, server: _\"",
      full(
        "http-auth-failure", "user \"bob\": password mismatch",
        ["user.name": "bob", "event.reason": "password-mismatch", "http.request.referrer": "x, client: 192.0.2.1, server: _"])),
    Case("2021/09/30 09:23:53 [error]", nil), Case("2021/13/30 09:23:53 [error] 88#88: *17 x", nil), Case("2021/09/30 09:23:53 [error] x", nil),
    Case("", nil),
  ]
  @Test(arguments: nginxCases) func readsNginx(_ row: Case) { #expect(parsed(row.line, WebError.parse(_:into:))?.fields == row.fields) }

  private static func apache(_ action: String, _ level: String, _ more: [String: String]) -> [String: String] {
    ["event.category": "web", "event.provider": "apache", "event.dataset": "apache.error", "log.level": level, "event.action": action].merging(more) {
      $1
    }
  }
  static let apacheCases: [Case] = [
    Case(
      "[Thu Oct 13 12:24:49.880562 2022] [auth_basic:error] [pid 10:tid 1401] [client 203.0.113.7:50229] AH01618: user sss not found: /private",
      apache(
        "http-auth-failure", "error",
        [
          "event.outcome": "failure", "process.pid": "10", "source.ip": "203.0.113.7", "source.port": "50229", "user.name": "sss",
          "event.reason": "user-not-found", "url.original": "/private", "url.path": "/private", "message": "user sss not found: /private",
        ])),
    Case(
      "[Thu Oct 13 12:24:49.880562 2022] [auth_basic:error] [pid 10] [client 2001:db8::1:50229] AH01617: user bob: authentication failure for \"/p%41?x\": Password Mismatch, referer: http://h/",
      apache(
        "http-auth-failure", "error",
        [
          "event.outcome": "failure", "process.pid": "10", "source.ip": "2001:db8::1", "source.port": "50229", "user.name": "bob",
          "event.reason": "password-mismatch", "url.original": "/p%41?x", "url.path": "/pA", "url.query": "x", "http.request.referrer": "http://h/",
          "message": "user bob: authentication failure for \"/p%41?x\": Password Mismatch, referer: http://h/",
        ])),
    Case(
      "[Wed Oct 11 14:32:52 2000] [error] [client 203.0.113.7] client denied by server configuration: /export/test",
      apache(
        "http-access-denied", "error",
        [
          "event.outcome": "failure", "source.ip": "203.0.113.7", "event.reason": "denied-by-configuration",
          "message": "client denied by server configuration: /export/test",
        ])),
    Case(
      "[Wed Apr 16 16:09:40.056610 2025] [ssl:info] [pid 120974:tid 120974] (70014)End of file found: [client 192.0.2.4:17036] AH02006: SSL handshake stopped: connection was closed",
      apache(
        "http-error", "info",
        [
          "event.outcome": "failure", "process.pid": "120974", "source.ip": "192.0.2.4", "source.port": "17036",
          "message": "SSL handshake stopped: connection was closed",
        ])),
    Case(
      "[Wed Apr 16 16:09:40 2025] [mpm_event:notice] [pid 1:tid 1] AH00489: Apache/2.4 configured -- resuming normal operations",
      apache(
        "http-server-notice", "notice", ["process.pid": "1", "message": "Apache/2.4 configured -- resuming normal operations"])),
    Case(
      "[Wed Apr 16 16:09:40 2025] [x:error] [pid 1] core.c(123): (2)No such file: [client 203.0.113.7:5] [client 203.0.113.7] ModSecurity: Access denied with code 403",
      apache(
        "http-access-denied", "error",
        [
          "event.outcome": "failure", "process.pid": "1", "source.ip": "203.0.113.7", "source.port": "5", "event.reason": "modsecurity",
          "message": "ModSecurity: Access denied with code 403",
        ])),
    // What a script wrote is not the server's word.
    Case(
      "[Wed Apr 16 16:09:40 2025] [cgi:error] [pid 1] (13)Permission denied: AH01241: script says: [client 192.0.2.1:1]",
      apache(
        "http-server-notice", "error", ["process.pid": "1", "message": "(13)Permission denied: AH01241: script says: [client 192.0.2.1:1]"])),
    // The client's text comes after the client.
    Case(
      "[Thu Oct 13 12:24:49 2022] [auth_basic:error] [pid 10] [client 203.0.113.7:1] AH01618: user x [client 192.0.2.1:1] not found: /",
      apache(
        "http-auth-failure", "error",
        [
          "event.outcome": "failure", "process.pid": "10", "source.ip": "203.0.113.7", "source.port": "1", "user.name": "x [client 192.0.2.1:1]",
          "event.reason": "user-not-found", "url.original": "/", "url.path": "/", "message": "user x [client 192.0.2.1:1] not found: /",
        ])),
    Case(
      "[Thu Oct 13 12:24:49 2022] [cgi:error] [pid 10] AH01215: script says [client 192.0.2.1:1]",
      apache(
        "http-server-notice", "error", ["process.pid": "10", "message": "script says [client 192.0.2.1:1]"])),
    Case(
      "[Thu Oct 13 12:24:49 2022] [auth_basic:error] [pid 10] [client 203.0.113.7:1] AH01618: user a not found: b not found: /",
      apache(
        "http-auth-failure", "error",
        [
          "event.outcome": "failure", "process.pid": "10", "source.ip": "203.0.113.7", "source.port": "1", "event.reason": "user-not-found",
          "message": "user a not found: b not found: /",
        ])),
    Case("[Thu Oct 13 12:24:49 2022] x", nil), Case("[", nil), Case("[Xyz Oct 13 12:24:49 2022] [error] x", nil),
  ]
  @Test(arguments: apacheCases) func readsApache(_ row: Case) { #expect(parsed(row.line, WebError.parse(_:into:))?.fields == row.fields) }

  @Test func takesTheZoneFromTheCaller() {
    let line = "2021/09/30 09:23:53 [error] 88#88: *17 x, client: 203.0.113.7, server: _"
    let result = parsed(line) { WebError.parse($0, offsetSeconds: 7200, into: &$1) }
    #expect(result?.time.description == "2021-09-30T07:23:53Z")
    #expect(result?.basis == .yearInferred)
    #expect(parsed("[Thu Oct 13 12:24:49.880562 2022] [core:error] x", WebError.parse(_:into:))?.time.description == "2022-10-13T12:24:49.880562Z")
  }
}
