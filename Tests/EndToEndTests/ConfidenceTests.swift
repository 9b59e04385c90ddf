// The confidence as an operator meets it: explained, corrected by a file, marked, tuned, calibrated; with the real programs.
import AgentRuntime
import Detection
import Export
import Glibc
import Primitives
import Scoring
import Storage
import Testing

@Suite struct ConfidenceTests {
  private func attack(_ address: String) -> String {
    (0..<8).map { "2026-01-05T00:00:0\($0)Z web01 sshd[\(812 + $0)]: Failed password for root from \(address) port 4022 ssh2\n" }.joined()
  }
  private func decisions(_ log: [UInt8]) throws -> [Decision] {
    try log.split(separator: 0x0a).map { try DecisionJSON.decode(Array($0)) }
  }

  @Test func theFileInUseIsNamedAndDecides() throws {
    let d = TemporaryDirectory()
    d.write(attack("192.0.2.7"), to: "auth.log")
    func replay(_ config: String) throws -> Decision {
      d.write(config, to: "panguard.yaml")
      let run = panguard("replay", "--rules", Product.rules, "--config", d["panguard.yaml"], "--output", d["log"], d["auth.log"])
      #expect(run.status == 0, "\(run)")
      return try #require(try decisions(d.contents("log")).first { $0.ruleID == "ATR-2026-90001" })
    }
    let shipped = try replay("")
    #expect(shipped.provenance.confidenceHash.utf8.count == 64)
    d.write("format: 1\nrules: {ATR-2026-90001: 0.200}\nseverity: {high: 0.100, critical: 0.100}\n", to: "confidence.yaml")
    let configured = "confidence: {file: \(d["confidence.yaml"])}\n"
    let corrected = try replay(configured)
    #expect(corrected.provenance.confidenceHash != shipped.provenance.confidenceHash)
    #expect(corrected.confidence < shipped.confidence && corrected.terms.contains { $0.signal.family == "severity" })
    let page = panguard("explain", "--config", d["panguard.yaml"], "--log", d["log"], corrected.id)
    #expect(page.status == 0 && page.text.contains("severity +0.100") && page.text.contains("reputation +0.000"), "\(page.text)")
    // With another file in use the page says that the sums were mapped by one that is not here.
    let elsewhere = panguard("explain", "--log", d["log"], corrected.id)
    #expect(elsewhere.text.contains("was made with another confidence file"), "\(elsewhere.text)")
    d.write("format: 1\nrulez: {}\n", to: "confidence.yaml")
    let refused = panguard("config", "check", d["panguard.yaml"])
    #expect(refused.status != 0 && (refused.text + refused.errors).contains("confidence.yaml:2:1: error: unknown key 'rulez'"), "\(refused)")
  }

  @Test func marksAreKeptAndTuningIsADifferenceToReview() throws {
    let d = TemporaryDirectory()
    d.write("", to: "auth.log")
    let agent = RunningAgent(d, more: "warm_up_bytes: 0\n")
    #expect(agent.isUp(), "\(agent.errors)")
    d.append(attack("192.0.2.7") + attack("198.51.100.7"), to: "auth.log")
    #expect(agent.acknowledges(16))
    #expect(try eventually { try agent.decisions().filter { $0.ruleID == "ATR-2026-90001" }.count >= 2 })
    let stored = try agent.decisions()
    let wrong = try #require(stored.first { $0.ruleID == "ATR-2026-90001" && $0.subject.source == "192.0.2.7" })
    let right = try #require(stored.first { $0.ruleID == "ATR-2026-90001" && $0.subject.source == "198.51.100.7" })
    func mark(_ arguments: String...) -> Finished { panguard(["decisions", "mark", "--state", agent.state] + arguments) }
    let said = mark(wrong.id, "false-positive", "--reason", "our scanner")
    #expect(said.status == 0 && said.text.contains("\(wrong.id) is marked false-positive"), "\(said)")
    #expect(mark("d0000000000000000", "confirmed", "--reason", "x").status == 1)
    #expect(mark(wrong.id, "wrong", "--reason", "x").status == 2)
    #expect(mark(wrong.id, "confirmed", "--reason", "").status == 2)
    #expect(agent.stop() == 0)
    // Without an agent the command writes itself.
    #expect(mark(right.id, "confirmed", "--reason", "not ours").status == 0)
    #expect(try agent.decisions() == stored, "a mark changed a decision")
    let audit = String(decoding: fileContents(agent.state + "/audit.jsonl"), as: UTF8.self)
    #expect(audit.contains("mark \(wrong.id) false-positive (our scanner): done") && audit.contains("mark \(right.id) confirmed (not ours): done"))
    let list = panguard("decisions", "list", "--state", agent.state)
    #expect(list.text.contains("MARK") && list.text.contains("false-positive"), "\(list.text)")
    let page = panguard("explain", "--state", agent.state, wrong.id)
    #expect(page.text.contains("What people said of it") && page.text.contains("false-positive: our scanner"), "\(page.text)")

    let tuned = panguard("rules", "tune", "--state", agent.state, "--rules", Product.rules)
    #expect(tuned.status == 0, "\(tuned)")
    #expect(tuned.text.contains("# ATR-2026-90001: 1 false positives, 1 confirmed: not about 192.0.2.7"), "\(tuned.text)")
    #expect(tuned.text.contains("--- /dev/null\n+++ /etc/panguard/confidence.yaml\n@@ -0,0 +1,5 @@\n+format: 1\n+exclusions:\n"), "\(tuned.text)")
    // Applied, and named in the configuration: the same lines block nobody any more.
    d.write(
      tuned.lines.filter { $0.hasPrefix("+") && !$0.hasPrefix("+++") }.map { $0.dropFirst() + "\n" }.joined(), to: "confidence.yaml")
    d.write("policy: {claimed_may_block: true}\nconfidence: {file: \(d["confidence.yaml"])}\n", to: "tuned.yaml")
    let replay = panguard("replay", "--rules", Product.rules, "--config", d["tuned.yaml"], "--output", d["log"], d["auth.log"])
    #expect(replay.status == 0, "\(replay)")
    let after = try decisions(d.contents("log")).filter { $0.ruleID == "ATR-2026-90001" }
    #expect(after.contains { $0.subject.source == "192.0.2.7" && $0.action == .logOnly && $0.actionReason.contains("our scanner") })
    #expect(after.contains { $0.subject.source == "198.51.100.7" && $0.action == .blockIP })
    // Once the file is in use there is nothing more to propose.
    #expect(panguard("rules", "tune", "--config", d["tuned.yaml"], "--state", agent.state, "--rules", Product.rules).status == 1)
  }

  @Test func calibrationJudgesAndFits() throws {
    let d = TemporaryDirectory()
    let addresses = (1...30).map { "192.0.2.\($0)" }
    d.write(addresses.map(attack).joined(), to: "auth.log")
    #expect(panguard("replay", "--rules", Product.rules, "--output", d["log"], d["auth.log"]).status == 0)
    // Every third one was a mistake.
    d.write(
      addresses.enumerated().map { "{\"label\":\"\($0 % 3 == 0 ? "benign" : "attack")\",\"subject\":\"\($1)\"}\n" }.joined(), to: "labels.jsonl")
    func calibrate(_ more: String...) -> Finished { panguard(["calibrate", "--labels", d["labels.jsonl"], "--log", d["log"]] + more) }
    let judged = calibrate("--svg", d["r.svg"], "-o", d["fitted.yaml"], "--prior-weight", "5")
    #expect(!judged.text.contains("no decision matches"), "\(judged)")
    #expect(judged.status == 0 && judged.text.contains("labelled decisions") && judged.text.contains("Brier score 0."), "\(judged)")
    #expect(String(decoding: d.contents("r.svg"), as: UTF8.self).hasPrefix("<svg xmlns=\"http://www.w3.org/2000/svg\""))
    let (fitted, problems) = Configuration.readConfidence(path: d["fitted.yaml"])
    #expect(problems.isEmpty && fitted != nil && fitted != .shipped)
    let again = calibrate("--confidence", d["fitted.yaml"])
    #expect(again.status == 0 && again.text != judged.text)
    // The same labels and log give the same bytes.
    #expect(calibrate("-o", d["again.yaml"], "--prior-weight", "5").status == 0 && d.contents("again.yaml") == d.contents("fitted.yaml"))
    d.write("{\"label\":\"perhaps\",\"subject\":\"192.0.2.1\"}\n", to: "labels.jsonl")
    let refused = calibrate()
    #expect(refused.status == 2 && refused.errors.contains("labels.jsonl:1: \"label\" must be"), "\(refused)")
    d.write("{\"label\":\"attack\",\"subject\":\"203.0.113.1\"}\n", to: "labels.jsonl")
    let none = calibrate()
    #expect(none.status == 1 && none.errors.contains("1 labels that no decision matches (the first: \(d["labels.jsonl"]):1)"), "\(none)")
    // A label that says nothing because of a mistake in it is not passed over.
    let (known, unknown) = ("{\"label\":\"attack\",\"subject\":\"192.0.2.1\"}\n", "{\"label\":\"benign\",\"decision\":\"d01\"}\n")
    d.write(known + unknown + "{\"label\":\"attack\",\"subject\":\"203.0.113.1\"}\n", to: "labels.jsonl")
    let some = calibrate()
    #expect(some.status == 0 && some.text.contains(", 2 labels that no decision matches (the first: \(d["labels.jsonl"]):2)"), "\(some)")
    // Two that contradict each other, and an address that is written in another way.
    let said = "{\"label\":\"attack\",\"subject\":\"192.0.2.1\"}\n"
    d.write(said + said + "{\"label\":\"benign\",\"subject\":\"192.0.2.1\"}\n", to: "labels.jsonl")
    let contradicted = calibrate()
    #expect(contradicted.status == 2 && contradicted.errors.contains("labels.jsonl:3: says otherwise than line 1"), "\(contradicted)")
    d.write("{\"label\":\"attack\",\"subject\":\"::FFFF:192.0.2.1\"}\n", to: "labels.jsonl")
    #expect(calibrate().status == 0)
    #expect(panguard("calibrate").status == 2)
  }
}
