// What leaves the host: its keys, what is not among them, and that no name is long enough to keep it from being sent.
import Detection
import Export
import Primitives
import Testing
import TypedYAML

@testable import AgentRuntime

@Suite struct WebhookBodyTests {
  /// The decisions of the golden files.
  private func decisions() throws -> [Decision] {
    let path = "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/ExportTests/Golden/decisions.jsonl"
    guard case .success(let bytes) = readDocumentFile(path) else {
      Issue.record("\(path) cannot be read")
      return []
    }
    return try bytes.split(separator: 0x0a).map { try DecisionJSON.decode(Array($0)) }
  }
  private func members(_ body: [UInt8]) throws -> [String: String] {
    var found: [String: String] = [:]
    try body.withUnsafeBytes { try JSONMembers.forEach(of: $0) { found[$0.string] = $1.string } }
    return found
  }

  @Test func itSaysWhatWasDecidedAndNothingMore() throws {
    let all = try decisions()
    #expect(!all.isEmpty)
    for decision in all {
      let body = WebhookBody.json(decision, playbook: "tell")
      let found = try members(body)
      for key in [
        "panguard.webhook", "@timestamp", "panguard.decision.id", "rule.id", "confidence", "panguard.trust", "action", "matches", "summary",
      ] { #expect(found[key]?.isEmpty == false, "\(key)") }
      #expect(found["panguard.playbook"] == "\"tell\"" || found["panguard.playbook"] == "tell")
      for key in ["evidence", "signals", "hashes"] { #expect(found[key] == nil, "\(key)") }
      #expect(body.count <= Limits.webhookBodyBytes)
    }
  }

  @Test(arguments: ["\"", "\u{1}", "ä", "\u{1f4a9}", "\\"]) func longTextsAreCut(_ character: String) throws {
    guard var decision = try decisions().first else { return }
    let long = String(repeating: character, count: 70_000)
    (decision.subject.user, decision.subject.session, decision.subject.host) = (long, long, long)
    (decision.summary, decision.actionReason, decision.ruleTitle) = (long, long, long)
    decision.subject.source = long
    let body = WebhookBody.json(decision, playbook: "tell")
    #expect(body.count <= Limits.webhookBodyBytes && body.count > 6000)
    #expect(String(validating: body, as: UTF8.self) != nil)
    #expect(try members(body)["user.name"]?.isEmpty == false)
  }
}
