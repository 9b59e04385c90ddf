// SARIF 2.1.0: a golden file, and what the standard demands of any log: versions, unique rule ids, results that point into the table,
// regions that begin at 1, URIs that are URIs.
import Primitives
import Testing

@testable import Export

@Suite struct SARIFTests {
  private let sample = SARIFReport(
    toolName: "panguard", toolVersion: "1.2.3",
    rules: [
      .init(id: "over-broad-pattern", summary: "The rule fires on harmless documents.", help: "Ask for more context.", level: .warning),
      .init(id: "evasion", summary: "A disguise gets through.", help: "Allow for it.", level: .note),
    ],
    results: [
      .init(
        ruleID: "over-broad-pattern", level: .warning, message: "ATR-2026-00001: fires on \"hello\"\n",
        location: SourceLocation(file: "rules/a b.yaml", line: 16, column: 37), subject: "ATR-2026-00001\nhello",
        related: [(SourceLocation(file: "rules/c.yaml", line: 1, column: 1), "the first of the two")]),
      .init(
        ruleID: "evasion", level: .note, message: "ATR-2026-00002: é", location: SourceLocation(file: "/etc/r:1.yaml", line: 3), subject: "x"),
      .init(ruleID: "evasion", level: .error, message: "ATR-2026-00002: again", location: SourceLocation(file: "-"), subject: "x"),
    ])

  @Test func golden() { GoldenFile.check(String(decoding: sample.json(), as: UTF8.self) + "\n", "lint.sarif") }

  @Test func structure() throws {
    let log = try sample.json().withUnsafeBytes { try JSONObject(document: $0) }
    #expect(try log.text("version") == "2.1.0")
    let runs = try log.objects("runs")
    #expect(runs.count == 1)
    let driver = try runs[0].object("tool").object("driver")
    let rules = try driver.objects("rules").map { try $0.text("id") }
    #expect(Set(rules).count == rules.count)
    for result in try runs[0].objects("results") {
      let index: Int = try result.integer("ruleIndex")
      #expect(try rules[index] == result.text("ruleId"))
      #expect(["note", "warning", "error"].contains(try result.text("level")))
      #expect(try !result.object("message").text("text").isEmpty)
      #expect(try result.object("partialFingerprints").text("findingSubject/v1").utf8.count == 32)
      for location in try result.objects("locations") {
        let physical = try location.object("physicalLocation")
        let uri = try physical.object("artifactLocation").text("uri")
        #expect(uri.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f })
        guard let region = try? physical.object("region") else { continue }
        let line: Int = try region.integer("startLine")
        #expect(line >= 1)
      }
    }
  }

  @Test func fingerprintsSurviveMovedLines() throws {
    func fingerprints(_ report: SARIFReport) throws -> [String] {
      let log = try report.json().withUnsafeBytes { try JSONObject(document: $0) }
      return try log.objects("runs")[0].objects("results").map { try $0.object("partialFingerprints").text("findingSubject/v1") }
    }
    var moved = sample
    for i in moved.results.indices { moved.results[i].location.line += 7 }
    #expect(try fingerprints(moved) == fingerprints(sample))
    // Equal findings in one file are told apart by their order.
    var same = sample
    same.results = [sample.results[1], sample.results[1]]
    #expect(Set(try fingerprints(same)).count == 2)
  }

  @Test(arguments: [
    ("rules/a.yaml", "rules/a.yaml"), ("a b%.yaml", "a%20b%25.yaml"), ("/etc/x", "file:///etc/x"), ("c:d", "c%3Ad"), ("é", "%C3%A9"),
  ]) func uris(_ path: String, _ uri: String) { #expect(SARIFReport.uri(path) == uri) }
}
