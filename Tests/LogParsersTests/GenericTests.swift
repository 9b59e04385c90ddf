import Events
import Primitives
import Testing

@testable import LogParsers

@Suite struct JSONLineTests {
  static let cases: [Case] = [
    Case(
      #"{"time_local":"05/Jan/2026:10:20:30 +0000","remote_addr":"203.0.113.7","remote_user":"","request":"GET /a?b=%41 HTTP/1.1","status":"404","body_bytes_sent":"162","http_referer":"-","http_user_agent":"x\"y","http_x_forwarded_for":"192.0.2.1"}"#,
      [
        "event.category": "web", "event.provider": "generic", "event.dataset": "web.access", "event.action": "http-request",
        "event.outcome": "failure",
        "network.protocol": "http", "source.ip": "203.0.113.7", "http.request.method": "GET", "http.version": "1.1", "url.original": "/a?b=%41",
        "url.path": "/a", "url.query": "b=A", "http.response.status_code": "404", "http.response.body.bytes": "162", "user_agent.original": "x\"y",
        "http_x_forwarded_for": "192.0.2.1",
      ]),
    // nginx without escape=json
    Case(
      #"{"time_iso8601":"2026-01-05T10:20:30+00:00","remote_addr":"203.0.113.7","request":"\x16\x03","status":400}"#,
      [
        "event.category": "web", "event.provider": "generic", "event.dataset": "web.access", "event.action": "http-malformed-request",
        "event.outcome": "failure",
        "event.reason": "no-request-line", "network.protocol": "http", "source.ip": "203.0.113.7", "url.original": "\u{16}\u{3}",
        "http.response.status_code": "400",
      ]),
    // Caddy
    Case(
      #"{"level":"info","ts":1767608430.5,"msg":"handled request","request":{"remote_ip":"192.0.2.1","remote_port":"44790","client_ip":"203.0.113.7","proto":"HTTP/1.1","method":"GET","host":"h.example:80","uri":"/x","headers":{"User-Agent":["curl/7"],"Accept":["*/*"]}},"status":200,"size":5}"#,
      [
        "event.category": "web", "event.provider": "generic", "event.dataset": "web.access", "event.action": "http-request",
        "event.outcome": "success",
        "network.protocol": "http", "source.ip": "203.0.113.7", "source.port": "44790", "log.level": "info", "http.request.method": "GET",
        "http.version": "1.1",
        "url.original": "/x", "url.path": "/x", "url.domain": "h.example", "http.response.status_code": "200", "http.response.body.bytes": "5",
        "user_agent.original": "curl/7", "msg": "handled request", "request.headers.Accept": "[\"*/*\"]",
      ]),
    // ECS, nested and flat; what is ours to say is not taken.
    Case(
      #"{"@timestamp":"2026-01-05T10:20:30Z","event":{"action":"ssh-login","outcome":"failure"},"source.ip":"203.0.113.7","user":{"name":"bob"},"panguard.attempt.count":1000,"panguard":{"x":1},"n":null,"l":[1,2]}"#,
      [
        "event.provider": "generic", "event.dataset": "json", "event.action": "ssh-login", "event.outcome": "failure", "source.ip": "203.0.113.7",
        "user.name": "bob", "l": "[1,2]",
      ]),
    Case(
      #"{"timestamp":"2026-01-05T10:20:30Z","message":"hello","host":"web1","client_ip":"client.example"}"#,
      [
        "event.provider": "generic", "event.dataset": "json", "message": "hello", "host.name": "web1", "source.address": "client.example",
      ]),
    // The same key with two addresses: nobody can tell.
    Case(
      #"{"time":"2026-01-05T10:20:30Z","remote_addr":"203.0.113.7","remote_addr":"192.0.2.1"}"#,
      [
        "event.provider": "generic", "event.dataset": "json", "panguard.ambiguous": "1",
      ]),
    Case("{}", nil), Case("[]", nil), Case("{", nil), Case(#"{"a":1"#, nil), Case(#"{"a":1} x"#, nil), Case("x", nil), Case("", nil),
    Case(#"{"a":"\q"}"#, nil),
  ]
  @Test(arguments: cases) func reads(_ row: Case) { #expect(parsed(row.line, JSONLine.parse)?.fields == row.fields) }

  @Test(arguments: ["client", "remoteIP", "clientIp", "remote_addr"]) func knowsTheClient(_ key: String) {
    #expect(parsed(#"{"\#(key)":"192.0.2.1","method":"POST","uri":"/login","status":401}"#, JSONLine.parse)?.fields["source.ip"] == "192.0.2.1")
  }

  @Test(arguments: [
    (#"{"time_local":"05/Jan/2026:10:20:30 +0100","a":1}"#, "2026-01-05T09:20:30Z"), (#"{"ts":1767608430.25}"#, "2026-01-05T10:20:30.250Z"),
    (#"{"msec":"1767608430.123"}"#, "2026-01-05T10:20:30.123Z"), (#"{"time":1767608430123}"#, "2026-01-05T10:20:30.123Z"),
    (#"{"@timestamp":"2026-01-05T10:20:30.5Z"}"#, "2026-01-05T10:20:30.500Z"),
  ]) func readsTheTime(_ line: String, _ expected: String) {
    let result = parsed(line, JSONLine.parse)
    #expect(result?.time.description == expected)
    #expect(result?.basis == .stamped)
  }
  @Test(arguments: [#"{"a":1}"#, #"{"ts":99999999999999999999}"#, #"{"time":"yesterday"}"#, #"{"ts":-1}"#]) func inheritsTheTime(_ line: String) {
    #expect(parsed(line, JSONLine.parse)?.basis == .inherited)
  }
}

@Suite struct GenericMessageTests {
  static let cases: [Case] = [
    Case(
      #"level=warn msg="login \"failed\"" user=bob src=203.0.113.7 sport=4444 dst=192.0.2.1 dport=22 attempt=3"#,
      [
        "event.provider": "generic", "log.level": "warn", "user.name": "bob", "source.ip": "203.0.113.7", "source.port": "4444",
        "destination.ip": "192.0.2.1", "destination.port": "22", "attempt": "3", "msg": "login \"failed\"",
      ]),
    Case(
      #"{"user":"bob","remote_addr":"203.0.113.7","event.action":"ssh-login","n":7}"#,
      [
        "event.provider": "generic", "user.name": "bob", "source.ip": "203.0.113.7", "n": "7",
      ]),
    Case(
      "user.name=bob source.ip=203.0.113.7 event.action=ssh-login panguard.attempt.count=100 host.name=x process.pid=1",
      [
        "event.provider": "generic", "user.name": "bob", "source.ip": "203.0.113.7",
      ]),
    // Running text: a name may hold pairs, so the pairs are only what they are called.
    Case("login failed for bob src=192.0.2.1 from 203.0.113.7", ["event.provider": "generic", "src": "192.0.2.1"]),
    Case("access denied user=eve source.ip=192.0.2.1 done", ["event.provider": "generic", "user": "eve"]),
    // Nothing but pairs, but two addresses.
    Case("user=x rhost=192.0.2.1 rhost=203.0.113.7", ["event.provider": "generic", "user.name": "x", "panguard.ambiguous": "1"]),
    Case("user=x src=192.0.2.1 rhost=203.0.113.7", ["event.provider": "generic", "user.name": "x", "panguard.ambiguous": "1"]),
    Case("user=x src=203.0.113.7 rhost=203.0.113.7", ["event.provider": "generic", "user.name": "x", "source.ip": "203.0.113.7"]),
    Case(
      #"method=POST path=/login status=401 remote_ip=203.0.113.7"#,
      [
        "event.provider": "generic", "network.protocol": "http", "http.request.method": "POST", "url.original": "/login", "url.path": "/login",
        "http.response.status_code": "401", "event.outcome": "failure", "source.ip": "203.0.113.7",
      ]),
    // Known keys without a field here keep their names.
    Case(
      "path=/etc/passwd op=open proto=tcp dst=web1",
      ["event.provider": "generic", "path": "/etc/passwd", "op": "open", "network.transport": "tcp", "dst": "web1"]),
    Case("a='b c' d=\"e", ["event.provider": "generic", "a": "b c", "d": "e"]),
    Case("nothing here", nil), Case("GET /x?a=b HTTP/1.1", nil), Case("1+1=2", nil), Case("", nil), Case("=", nil), Case("{broken", nil),
    Case("===", nil),
  ]
  @Test(arguments: cases) func reads(_ row: Case) { #expect(parsed(row.line, GenericMessage.parse)?.fields == row.fields) }

  @Test func isBounded() {
    let many = (0..<1000).map { "key\($0)=v" }.joined(separator: " ")
    let result = parsed(many, GenericMessage.parse)?.fields
    #expect(result?.count == Limits.extraFields + 1)
    let text = Array(many.utf8)
    let (count, isWhole) = text.withUnsafeBytes { KeyValue.forEachPair($0) { _, _ in } }
    #expect(count == Limits.keyValuePairs && !isWhole)
  }
}
