// `panguard playbooks` as its users meet it: recorded decisions in, what would be done out, the same bytes at every hash seed.
import Glibc
import Testing

@Suite struct PlaybookTests {
  private static let shipped = Product.root + "/rules/playbooks"

  /// The decisions of the shipped sample, replayed once.
  private static let day: TemporaryDirectory = {
    let directory = TemporaryDirectory.untilExit()
    directory.write("policy: {claimed_may_block: true}\n", to: "config.yaml")
    let result = panguard(
      "replay", "--config", directory["config.yaml"], "--rules", Product.rules, "--output", directory["day.jsonl"],
      Product.root + "/examples/auth.log",
      Product.root + "/examples/access.log")
    if result.status != 0 { Issue.record("\(result)") }
    return directory
  }()

  @Test func shippedOnesAreCleanAndTested() {
    let lint = panguard("playbooks", "lint", Self.shipped, "--rules", Product.rules)
    #expect(lint.status == 0 && lint.output.isEmpty && lint.errors.contains(" playbooks checked, 0 errors, 0 warnings"), "\(lint)")
    let test = panguard("playbooks", "test", Self.shipped)
    #expect(test.status == 0 && test.text.contains(", 0 failed, "), "\(test)")
    let list = panguard("playbooks", "list", Self.shipped)
    #expect(list.status == 0 && list.text.contains("brute-force"), "\(list)")
  }

  @Test func exitCodes() {
    let d = TemporaryDirectory()
    d.write("playbook: p\ntitle: T\nwhen: {severity: low}\nsteps: [blok_ip]\n", to: "bad.yaml")
    d.write(
      "playbook: p\ntitle: T\nwhen: {severity: low}\nsteps: [log_only]\ntests: [{name: n, decision: {user: u}, expect: [would log_only]}]\n",
      to: "failing.yaml")
    d.write("playbook: p\ntitle: T\nwhen: {severity: low}\nsteps: [log_only]\n", to: "untested.yaml")
    let bad = panguard("playbooks", "lint", d["bad.yaml"], "--rules", Product.rules)
    #expect(bad.status == 1 && bad.text.contains("bad.yaml:4:9: error: 'steps[1]': unknown action 'blok_ip'; did you mean 'block_ip'?"), "\(bad)")
    let failing = panguard("playbooks", "test", d["failing.yaml"])
    #expect(failing.status == 1 && failing.text.contains("expected 'would log_only', came 'execute log_only'"), "\(failing)")
    #expect(panguard("playbooks", "test", d["untested.yaml"]).status == 1)
    #expect(panguard("playbooks", "test", d["nothing.yaml"]).status == 1)
    #expect(panguard("playbooks", "simulate", "--playbooks", Self.shipped, d["nothing.jsonl"]).status == 3)
    #expect(panguard("playbooks", "explain", "--playbooks", Self.shipped, "--log", Self.day["day.jsonl"], "dffffffff").status == 2)
    d.write("{}\n", to: "no-decisions.jsonl")
    let wrong = panguard("playbooks", "simulate", "--playbooks", Self.shipped, d["no-decisions.jsonl"])
    #expect(wrong.status == 3 && wrong.errors.contains("no-decisions.jsonl:1: not a decision"), "\(wrong)")
  }

  @Test func theConfigurationSaysWhichAndWhen() {
    let d = TemporaryDirectory()
    d.write("playbook: own\ntitle: T\nwhen: {severity: low}\nsteps: [block_ip]\nescalation: [5m, 2h]\n", to: "own.yaml")
    d.write("response: {playbooks: [\(d["own.yaml"])], reconsider_after: [10m, 1h]}\n", to: "config.yaml")
    let list = panguard("playbooks", "list", "--config", d["config.yaml"])
    #expect(list.status == 0 && list.lines.count == 2 && list.text.contains("own"), "\(list)")
    let lint = panguard("playbooks", "lint", "--config", d["config.yaml"], "--rules", Product.rules)
    let early = "own.yaml:4:9: warning: playbook own: block 1 ends after 5m, and who is back is looked at again only after 10m"
    #expect(lint.text.contains(early), "\(lint)")
    d.write("response: {playbooks: [\(d["own.yaml"])], reconsider_after: [5m, 3h]}\n", to: "config.yaml")
    let second = panguard("playbooks", "lint", "--config", d["config.yaml"])
    #expect(second.text.contains("block 2 ends after 2h, and who is back is looked at again only after 3h"), "\(second)")
    d.write("response: {playbooks: [\(d["own.yaml"])], reconsider_after: [5m]}\n", to: "config.yaml")
    #expect(!panguard("playbooks", "lint", "--config", d["config.yaml"]).text.contains("looked at again"))
  }

  @Test func theSampleAsItWouldHaveGone() {
    let vouched = panguard("playbooks", "simulate", "--claimed-may-act", "--playbooks", Self.shipped, Self.day["day.jsonl"])
    #expect(vouched.status == 0)
    let first = "0.954 claimed 192.0.2.23: brute-force\n  would do: capture_evidence 16 lines\n  would do: block_ip 192.0.2.23/32 for 10m\n"
    #expect(vouched.text.contains(first), "\(vouched)")
    #expect(vouched.text.contains("block_ip 2001:db8:bad:1::/64 for 10m"))
    // A text file proves nothing about who wrote it: nobody is blocked, and the reason is said.
    let forged = panguard("playbooks", "simulate", "--no-claimed-may-act", "--all", "--playbooks", Self.shipped, Self.day["day.jsonl"])
    #expect(!forged.text.contains("would do: block_ip") && !forged.text.contains("would ask"))
    #expect(forged.text.contains("does not: block_ip 192.0.2.23/32 for 10m: the evidence is claimed, not attested"))
  }

  @Test func theSameBytesEveryTime() {
    let arguments = ["playbooks", "simulate", "--claimed-may-act", "--all", "--format", "jsonl", "--playbooks", Self.shipped, Self.day["day.jsonl"]]
    let first = panguard(arguments)
    #expect(first.status == 0 && first.lines.count > 50)
    for _ in 0..<3 { #expect(panguard(arguments).output == first.output) }
    #expect(panguard(arguments, environment: ["SWIFT_DETERMINISTIC_HASHING": "1", "TZ": "Asia/Kathmandu"]).output == first.output)
  }

  @Test func twoSets() {
    let d = TemporaryDirectory()
    d.write("playbook: only\ntitle: T\nwhen: {technique: T1110}\nsteps: [block_ip]\nescalation: [24h]\n", to: "other.yaml")
    let simulate = ["playbooks", "simulate", "--claimed-may-act", "--playbooks", Self.shipped, Self.day["day.jsonl"], "--against"]
    let same = panguard(simulate + [Self.shipped])
    #expect(same.status == 0 && same.output.isEmpty && same.errors.contains("0 of "), "\(same)")
    let other = panguard(simulate + [d["other.yaml"]])
    #expect(other.status == 1)
    let removed = "192.0.2.23: brute-force -> only\n- would capture_evidence 16 lines\n- would block_ip 192.0.2.23/32 for 10m\n"
    #expect(other.text.contains(removed), "\(other)")
    #expect(other.text.contains("+ would block_ip 192.0.2.23/32 for 1d"))
  }

  @Test func whichOneAndWhyNotTheOthers() throws {
    let log = Self.day["day.jsonl"]
    let decisions = try Finished(status: 0, output: Self.day.contents("day.jsonl"), errors: "").decisions
    let id = try #require(decisions.first { $0.ruleID == "ATR-2026-90001" }?.id)
    let page = panguard("playbooks", "explain", "--claimed-may-act", "--playbooks", Self.shipped, "--log", log, String(id.prefix(9)))
    #expect(page.status == 0)
    for text in [
      "Playbook brute-force:", "  2. would do: block_ip 192.0.2.23/32 for 10m\n     taken back by: unblock_ip 192.0.2.23/32",
      "brute-force             matched",
      "anything-else           would match, but brute-force is asked first",
      "web-scan                category credential-access is not reconnaissance",
    ] { #expect(page.text.contains(text), "\(text)\n\(page)") }
    let json = panguard("playbooks", "explain", "--format", "json", "--playbooks", Self.shipped, "--log", log, id)
    #expect(json.text.hasPrefix(#"{"plan":{"@timestamp":"#), "\(json)")
    #expect(json.text.contains(#""considered":[{"playbook":"intrusion-suspected""#), "\(json)")
  }
}
