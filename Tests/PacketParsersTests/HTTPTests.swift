// HTTP/1 conversations, and MCP in them.
import Events
import Primitives
import Testing

@testable import PacketParsers
@testable import PanguardTestKit

@Suite struct HTTPTests {
  private func requests(_ heard: [[String: String]]) -> [String] {
    lines(heard.filter { $0["event.action"] == "http-request" }, "http.request.method", "url.original", "url.domain", "user_agent.original")
  }
  private func responses(_ heard: [[String: String]]) -> [String] {
    lines(heard.filter { $0["event.action"] == "http-response" }, "http.response.status_code", "http.response.body.content")
  }

  @Test func fieldsOfARequest() {
    let heard = Conversation(
      "request",
      lines: [
        "> GET /a%2e%2e/b?q=1%27+or HTTP/1.1\r\nhOsT: Www.Example.ORG:8080\r\nUser-Agent: curl/8\r\nReferer: http://x/\r\nHost: second\r\n\r\n"
      ]
    ).messages()
    #expect(
      lines(
        heard, "way", "client", "event.category", "event.action", "http.request.method", "url.original", "url.path", "url.query", "url.domain",
        "user_agent.original", "http.request.referrer", "http.version")
        == ["> yes web http-request GET /a%2e%2e/b?q=1%27+or /a../b q=1' or www.example.org curl/8 http://x/ 1.1"])
  }
  @Test func targetWithoutAVersionEndsAtItsSpace() {
    #expect(requests(Conversation("old", lines: ["> GET /Hello Arkime\r\n\r\n"]).messages()) == ["GET /Hello - -"])
  }
  @Test func pipelinedWithBodies() {
    let heard = Conversation(
      "pipeline",
      lines: [
        "> POST /1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\n\r\nHEAD /3 HTTP/1.1\nHost: [2001:db8::1]:80\n\nGET /4 HTTP/1.0\r\n\r\n",
        "< HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        "< HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nHTTP/1.0 404 no\r\nContent-Type: text/html; charset=x\r\n\r\nto the end",
      ]
    ).messages()
    #expect(requests(heard) == ["POST /1 - -", "GET /2 - -", "HEAD /3 2001:db8::1 -", "GET /4 - -"])
    #expect(heard[0]["http.request.body.content"] == "abc")
    #expect(responses(heard) == ["100 -", "200 ok", "304 -", "200 -", "404 to the end"])
    #expect(heard.last?["http.response.mime_type"] == "text/html")
  }
  @Test func chunked() {
    let heard = Conversation(
      "chunks",
      lines: [
        "> GET / HTTP/1.1\r\n\r\n",
        "< HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n4;x=y\r\nWiki\r\n6\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nTrailer: 1\r\n\r\n",
        "< HTTP/1.1 204 No Content\r\n\r\n",
      ]
    ).messages()
    #expect(responses(heard) == ["200 Wikipedia in \r\n\r\nchunks.", "204 -"])
  }
  @Test func bodiesBeyondTheLimitArePassedOver() {
    let big = String(repeating: "x", count: 3 * Limits.httpBodyBytes)
    let chunk = "\(String(big.utf8.count, radix: 16))\r\n\(big)\r\n"
    let heard = Conversation(
      "big",
      lines: [
        "< HTTP/1.1 200 OK\r\nContent-Length: \(big.utf8.count)\r\n\r\n\(big)HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(chunk)\(chunk)0\r\n\r\n",
        "< HTTP/1.1 202 OK\r\n\r\n",
      ]
    ).messages(split: 1000)
    #expect(heard.map { $0["http.response.status_code"] } == ["200", "201", "202"])
    #expect(heard.prefix(2).allSatisfy { $0["http.response.body.content"]?.utf8.count == Limits.httpBodyBytes })
  }
  @Test func gapInsideABody() {
    var listener = Listener()
    listener.hear(Array("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegin".utf8), .toOriginator)
    #expect(listener.layer.gap(995, .toOriginator) == .more)
    listener.hear(Array("HTTP/1.1 404 no\r\nContent-Length: 0\r\n\r\n".utf8), .toOriginator)
    #expect(responses(listener.messages) == ["200 begin", "404 -"])
    // Behind a gap of unknown extent messages are looked for where segments begin.
    #expect(listener.layer.gap(50, .toOriginator) == .more)
    listener.hear(Array("something else\r\n".utf8), .toOriginator)
    listener.hear(Array("HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n".utf8), .toOriginator)
    #expect(responses(listener.messages).last == "500 -")
  }
  @Test func basicAuthenticationWithoutItsPassword() {
    let heard = Conversation("basic", lines: ["> GET / HTTP/1.1\r\nAuthorization: Basic YWRtaW46aHVudGVyMg==\r\n\r\n"]).messages()
    #expect(lines(heard, "user.name", "panguard.auth.method", "panguard.auth.cleartext") == ["admin basic 1"])
    #expect(!"\(heard)".contains("hunter2") && !"\(heard)".contains("aHVudGVyMg"))
  }
  @Test(arguments: [
    ("log=admin&pwd=hunter2&go=1", "admin", "log=admin&pwd=***&go=1"), ("email=a%40b.c&Password=x%2By", "a@b.c", "email=a%40b.c&Password=***"),
    ("user=x&password=%27+or+1%3D1--", "x", "user=x&password=%27+or+1%3D1--"), ("pass=", nil, "pass="), ("a=b&c", nil, "a=b&c"),
    ("password=p", "-", "password=***"),
  ]) func passwordsOfFormsAreNotKept(_ form: String, _ user: String?, _ kept: String) {
    let heard = Conversation(
      "form",
      lines: [
        "> POST /login HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded; charset=UTF-8\r\nContent-Length: \(form.utf8.count)\r\n\r\n\(form)"
      ]
    ).messages()
    #expect(
      lines(heard, "user.name", "panguard.auth.method", "panguard.auth.cleartext", "http.request.body.content") == [
        user.map { "\($0) form 1 \(kept)" } ?? "- - - \(kept)"
      ])
  }
  @Test func tlsBehindConnect() {
    let heard = Conversation(
      "proxy",
      turns: [
        (.toResponder, Array("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n".utf8)),
        (.toOriginator, Array("HTTP/1.1 200 Connection established\r\n\r\n".utf8)), (.toResponder, TLSTests.example.records()),
        (.toOriginator, TLSTests.certificateFlight),
      ]
    ).messages()
    #expect(
      lines(heard, "network.protocol", "event.action", "url.domain", "tls.client.server_name") == [
        "http http-request example.org -", "http http-response - -", "tls tls-client-hello - example.org", "tls tls-server-hello - -",
        "tls tls-certificate - -",
      ])
  }
  @Test(arguments: [
    "GET\r\n\r\n", "GETX / FTP/1.1\r\n\r\n", "HTTP/2 200\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "hello world\r\n", "GET \r\n\r\n",
  ]) func whatIsNoRequest(_ text: String) {
    #expect(Conversation("none", turns: [(.toResponder, Array(text.utf8))]).messages().isEmpty)
  }
  @Test func endlessHeadIsGivenUp() {
    var listener = Listener()
    listener.hear(Array("GET / HTTP/1.1\r\n".utf8), .toResponder)
    for _ in 0..<2000 where listener.demand == .more { listener.hear(Array("X: \(String(repeating: "y", count: 60))\r\n".utf8), .toResponder) }
    #expect(listener.demand == .enough && listener.messages.isEmpty)
    #expect(listener.context.heldBytes == 0 && listener.context.counters.errors[Int(ParseReason.tooLong.rawValue)] == 1)
  }

  // MARK: MCP

  private func post(_ body: String, session: String? = nil) -> String {
    "> POST /mcp HTTP/1.1\r\nHost: tools:8931\r\nContent-Type: application/json\r\n\(session.map { "Mcp-Session-Id: \($0)\r\n" } ?? "")"
      + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }
  @Test func toolsAndTheirAnswers() {
    let list = #"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read_file","description":"Reads \"a\" file"},{"name":"run"}]}}"#
    let event = #"data: {"jsonrpc":"2.0","id":"x","result":{"content":[{"type":"text","text":"root:x"},{"type":"text","text":"end"}]}}"#
    let heard = Conversation(
      "mcp",
      lines: [
        post(#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, session: "s1"),
        "< HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(list.utf8.count)\r\n\r\n\(list)",
        post(#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"arguments":{"path":"/etc/shadow"},"name":"read_file"}}"#),
        "< HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
          + "10\r\nevent: message\r\n\r\n\(String(event.utf8.count + 2, radix: 16))\r\n\(event)\n\n\r\n0\r\n\r\n",
        post(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#),
        "< HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 70\r\n\r\n"
          + #"{"jsonrpc":"2.0","id":9,"error":{"code":-32601,"message":"not found"}}"#,
      ]
    ).messages()
    let rpc = heard.filter { $0["event.action"]?.hasPrefix("http") == false }
    #expect(
      lines(rpc, "way", "event.action", "rpc.method", "rpc.jsonrpc.request_id", "tool_name", "tool_args", "tool_response", "session.id") == [
        "> rpc-call tools/list 1 - - - s1",
        "< tool-listed tools/list 1 read_file - Reads \"a\" file s1",
        "< tool-listed tools/list 1 run - - s1",
        "> tool-call tools/call \"x\" read_file {\"path\":\"/etc/shadow\"} - s1",
        "< rpc-answer tools/call \"x\" read_file - root:x\nend s1",
        "> rpc-call notifications/cancelled - - - - s1",
        "< rpc-answer - 9 - - {\"code\":-32601,\"message\":\"not found\"} s1",
      ])
    #expect(rpc[1]["tool_description"] == "Reads \"a\" file")
    #expect(rpc[3]["event_type"] == "tool_call" && rpc[4]["event_type"] == "tool_response")
    #expect(rpc[6]["rpc.jsonrpc.error_code"] == "-32601" && rpc[6]["event.outcome"] == "failure")
  }
  @Test func linesOfJSONWithoutHTTP() {
    let heard = Conversation(
      "miner",
      lines: [
        "> {\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"xmrig/6.21.0\"]}\n",
        "< {\"id\":1,\"result\":[[\"mining.notify\"]],\"error\":null}\n",
        "< {\"method\":\"mining.notify\",\"params\":[1]}\n",
      ]
    ).messages()
    #expect(
      lines(heard, "way", "network.protocol", "event.action", "rpc.method", "content") == [
        "> json-rpc rpc-call mining.subscribe [\"xmrig/6.21.0\"]", "< json-rpc rpc-answer mining.subscribe [[\"mining.notify\"]]",
        "< json-rpc rpc-call mining.notify [1]",
      ])
  }
}
