// Lines that another project parses, with the values that it found: header, sshd and PAM must agree.
import Events
import Foundation
import Primitives
import Testing

@testable import LogParsers

@Suite("Another project's parser tests: headers and logins")
struct HubLoginTests {
  struct Entry: Decodable {
    struct Node: Decodable {
      var stage: String
      var parser: String
      var line_index: Int?
      var success: Bool
      var parsed: [String: String]?
      var meta: [String: String]?
    }
    var test: String
    var log_type: String
    var log_lines: [String]
    var nodes: [Node]
  }

  @Test("headers, sshd and PAM")
  func agree() throws {
    guard let shared = sharedDirectory(), let text = try? String(contentsOfFile: shared + "/corpora/crowdsec-hub/parsers.jsonl", encoding: .utf8)
    else {
      print("skipped: no shared corpora/crowdsec-hub/parsers.jsonl here (PANGUARD_SHARED)")
      return
    }
    var compared = 0
    for line in text.split(separator: "\n") {
      guard let entry = try? JSONDecoder().decode(Entry.self, from: Data(line.utf8)), entry.log_type == "syslog" else { continue }
      let events = parse(lines: entry.log_lines)
      for node in entry.nodes where node.success {
        guard let index = node.line_index, events.indices.contains(index) else { continue }
        let event = events[index]
        let line = entry.log_lines[index]
        if node.parser.hasSuffix("/syslog-logs"), let parsed = node.parsed, parsed["program"] != nil {
          // The kernel speaks of other processes, and its parser names those.
          if parsed["program"] != "kernel" { #expect(event["process.name"] == parsed["program"], "\(line)") }
          if let pid = parsed["pid"], !pid.isEmpty { #expect(event["process.pid"] == pid, "\(line)") }
          if let host = node.meta?["machine"], !host.isEmpty { #expect(event["host.name"] == host, "\(line)") }
          compared += 1
        }
        if node.parser.hasSuffix("/sshd-logs") || node.parser.hasSuffix("/pam-logs"), let meta = node.meta {
          #expect(event["#outcome"] == "parsed", "\(line)")
          if let ip = meta["source_ip"] { #expect(event["source.ip"] == ip, "\(line)") }
          if let user = meta["target_user"] ?? meta["username"] { #expect(event["user.name"] == user, "\(line)") }
          compared += 1
        }
      }
    }
    print("compared \(compared) lines")
    #expect(compared > 0)
  }
}
