// Lines that other projects keep as tests of their parsers, read by ours and compared value by value. The corpus is not part of the
// repository: without it these tests say so and pass.
import Events
import Foundation
import Primitives
import Testing

@testable import LogParsers

private struct HubCase: Decodable {
  struct Node: Decodable {
    var parser: String
    var line_index: Int
    var success: Bool
    var parsed: [String: String]?
  }
  var test: String
  var log_lines: [String]
  var nodes: [Node]
}

private func corpus() -> URL? {
  var candidates: [URL] = []
  if let shared = ProcessInfo.processInfo.environment["PANGUARD_SHARED"] { candidates.append(URL(fileURLWithPath: shared)) }
  var at = URL(fileURLWithPath: #filePath)
  while at.path != "/" {
    at.deleteLastPathComponent()
    candidates.append(at.appendingPathComponent("shared"))
  }
  return candidates.map { $0.appendingPathComponent("corpora/crowdsec-hub/parsers.jsonl") }.first { FileManager.default.fileExists(atPath: $0.path) }
}

@Suite struct HubCorpusTests {
  /// Their names for our fields.
  private static let names: [String: [(theirs: String, ours: String)]] = [
    "nginx-logs": [
      ("remote_addr", "source.ip"), ("verb", "http.request.method"), ("status", "http.response.status_code"),
      ("body_bytes_sent", "http.response.body.bytes"),
      ("http_user_agent", "user_agent.original"), ("http_referer", "http.request.referrer"), ("http_version", "http.version"),
      ("request", "url.original"),
      ("remote_user", "user.name"),
    ],
    "apache2-logs": [
      ("clientip", "source.ip"), ("verb", "http.request.method"), ("response", "http.response.status_code"), ("bytes", "http.response.body.bytes"),
      ("http_user_agent", "user_agent.original"), ("referrer", "http.request.referrer"), ("httpversion", "http.version"), ("request", "url.original"),
      ("auth", "user.name"), ("target_fqdn", "url.domain"),
    ],
    "iptables-logs": [
      ("src_ip", "source.ip"), ("dst_ip", "destination.ip"), ("src_port", "source.port"), ("dst_port", "destination.port"),
      ("length", "network.bytes"),
      ("int_eth", "observer.ingress.interface.name"), ("proto", "network.transport"),
    ],
  ]

  @Test func agreesOnEveryValue() throws {
    guard let url = corpus() else {
      print("HubCorpusTests: no corpus (set PANGUARD_SHARED to a directory with corpora/crowdsec-hub); skipped")
      return
    }
    var compared = 0
    var lines = 0
    let text = try String(contentsOf: url, encoding: .utf8)
    for row in text.split(separator: "\n") {
      guard let hub = try? JSONDecoder().decode(HubCase.self, from: Data(row.utf8)) else { continue }
      for node in hub.nodes where node.success {
        guard let kind = HubCorpusTests.names.keys.first(where: { node.parser.hasSuffix("/\($0)") }), let theirs = node.parsed,
          hub.log_lines.indices.contains(node.line_index)
        else { continue }
        let line = hub.log_lines[node.line_index]
        // A format of one product that writes the stamp first.
        if line.first == "[", line.dropFirst(3).first == "/" { continue }
        let service: ServiceParser = kind == "iptables-logs" ? .kernel : kind == "nginx-logs" ? .nginx : .apache
        var message = line
        if kind == "iptables-logs", let start = line.range(of: "kernel: ") { message = String(line[start.upperBound...]) }
        if let start = message.range(of: " nginx - - - ") { message = String(message[start.upperBound...]) }
        guard let ours = fields(message, service) else {
          Issue.record("\(hub.test): not read: \(message)")
          continue
        }
        lines += 1
        for name in HubCorpusTests.names[kind] ?? [] {
          guard let value = theirs[name.theirs], value != "", value != "-",
            ours["event.action"] != "http-malformed-request" || name.ours != "url.original"
          else { continue }
          // Theirs is the last LEN of the line, which is UDP's; ours is the packet's.
          if name.theirs == "length", theirs["proto"] == "UDP" { continue }
          // "POST https://host/": theirs loses the scheme.
          if name.theirs == "request", value.hasPrefix("//") { continue }
          let expected = name.ours == "network.transport" ? value.lowercased() : value
          compared += 1
          if ours[name.ours] != expected {
            Issue.record("\(hub.test): \(name.ours) is \(ours[name.ours] ?? "absent"), theirs \(expected): \(message)")
          }
        }
      }
    }
    print("HubCorpusTests: \(compared) values of \(lines) lines compared")
    #expect(compared > 100)
  }
}
