import Detection
import Export
import PanguardTestKit
import Primitives
import RuleLanguage
import Scoring
import Testing

private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
private func decode(_ json: String) throws -> Decision { try DecisionJSON.decode(Array(json.utf8)) }

@Suite struct DecisionJSONTests {
  @Test func golden() {
    GoldenFile.check(Sample.all.map { text(DecisionJSON.line($0)) + "\n" }.joined(), "decisions.jsonl")
  }

  @Test(arguments: Sample.all)
  func readsWhatItWrote(_ decision: Decision) throws {
    let line = DecisionJSON.line(decision)
    #expect(!line.contains(0x0a))
    let back = try DecisionJSON.decode(line)
    #expect(back == decision)
    #expect(DecisionJSON.line(back) == line)
  }

  @Test func readsWhatItWroteWhateverItIs() throws {
    var random = SplitMix64(seed: 1)
    for _ in 0..<3000 {
      let decision = random.decision()
      let line = DecisionJSON.line(decision)
      let back = try DecisionJSON.decode(line)
      #expect(back == decision)
      #expect(DecisionJSON.line(back) == line)
    }
  }

  /// Damage gives an error or a decision that is itself written and read without loss; never a trap.
  @Test func survivesDamage() throws {
    var random = SplitMix64(seed: 2)
    var refused = 0
    for _ in 0..<20_000 {
      let damaged = random.damage(DecisionJSON.line(random.pick(Sample.all)))
      guard let decision = try? DecisionJSON.decode(damaged) else {
        refused += 1
        continue
      }
      #expect(try DecisionJSON.decode(DecisionJSON.line(decision)) == decision)
    }
    #expect(refused > 10_000)
  }

  @Test func anyKeyMayBeMissingButNotUnnoticed() throws {
    let line = text(DecisionJSON.line(Sample.network))
    let optional: Set<String> = ["source.network", "user.name", "session.id"]
    for key in [
      "@timestamp", "event.kind", "panguard.decision.id", "panguard.decision.revision", "rule.id", "rule.name", "event.severity", "rule.severity",
      "rule.category", "threat.technique.id", "source.network", "user.name", "session.id", "confidence", "panguard.trust", "action", "action_reason",
      "matches", "observed", "threshold", "first_seen", "last_seen", "summary", "signals", "evidence", "evidence_total", "hashes", "engine",
      "rules", "configuration", "baseline", "name", "family", "weight_millinats", "contribution_millinats", "attested", "detail", "source",
      "offset", "length", "time", "fingerprint",
    ] {
      let parts = line.split(separator: "\"\(key)\":", maxSplits: 1, omittingEmptySubsequences: false)
      try #require(parts.count == 2, "\(key) is not in the record")
      let renamed = parts.joined(separator: "\"other.\(key)\":")
      if optional.contains(key) {
        #expect(throws: Never.self) { try decode(renamed) }
      } else {
        #expect(throws: DecisionJSONError.self) { try decode(renamed) }
      }
    }
  }

  @Test func aNewerRecordsKeysAreSkipped() throws {
    let line = text(DecisionJSON.line(Sample.network))
    #expect(try decode("{\"new\":{\"a\":[1,{\"b\":null}]}," + line.dropFirst()) == Sample.network)
  }

  @Test(arguments: [
    (#""confidence":0."#, #""confidence":1."#), (#""confidence":0."#, #""confidence":0.0"#), (#""confidence":0."#, #""confidence":-0."#),
    (#""rule.severity":"critical""#, #""rule.severity":"worst""#), (#""rule.severity":"critical""#, #""rule.severity":"low""#),
    (#""event.kind":"alert""#, #""event.kind":"event""#), (#""action":"block_ip""#, #""action":"block""#),
    (#""panguard.trust":"attested""#, #""panguard.trust":true"#), (#""matches":1"#, #""matches":-1"#), (#""matches":1"#, #""matches":1.0"#),
    (#""matches":1"#, #""matches":18446744073709551616"#), (#""length":22"#, #""length":4294967296"#), (#""attested":true"#, #""attested":1"#),
    (#""source.network":"#, #""source.ip":"#), (#""source.network":"#, #""source.ip":"192.0.2.1","source.network":"#),
    (#""user.name":"alice""#, #""user.name":"alice","user.name":"bob""#), (#""signals":["#, #""signals":[1,"#), (#""matches":1"#, #""matches":null"#),
    (#""first_seen":"2026"#, #""first_seen":"1026"#), (#"["T1190""#, #"[1"#),
  ])
  func refuses(_ from: String, _ to: String) throws {
    let line = text(DecisionJSON.line(Sample.network))
    let parts = line.split(separator: from, maxSplits: 1, omittingEmptySubsequences: false)
    try #require(parts.count == 2)
    #expect(throws: DecisionJSONError.self) { try decode(parts.joined(separator: to)) }
  }

  @Test(arguments: ["", "{", "[]", "1", "null", "{}", #"{"a":1}}"#, "\u{0}", String(repeating: "[", count: 100_000)])
  func refusesWhatIsNotADecision(_ json: String) {
    #expect(throws: (any Error).self) { try decode(json) }
  }
}
