// `panguard rules import`, `diff` and `convert` as people run them: exit codes, what is written, and that what is written is sound.
import Glibc
import Testing

@Suite struct RuleExchangeTests {
  private static func rule(_ id: String, _ value: String) -> String {
    #"{"id":"\#(id)","title":"A rule","severity":"high","detection":{"conditions":[{"field":"content","operator":"contains","value":"\#(value)"}],"#
      + #""condition":"any"}}"#
  }

  @Test func aSetIsImportedOnceAndReplacedWhenAsked() {
    let d = TemporaryDirectory()
    let bundle = d.write("{\"version\":\"2\",\"license\":\"MIT\",\"rules\":[\(Self.rule("ATR-2026-00001", "evil"))]}", to: "bundle.json")
    let dry = panguard("rules", "import", bundle, "--into", d["rules"], "--dry-run")
    #expect(dry.status == 0, "\(dry)")
    #expect(dry.text.contains("nothing (dry run)"))
    #expect(!d.exists("rules"))
    let first = panguard("rules", "import", bundle, "--into", d["rules"], "--format", "json")
    #expect(first.status == 0, "\(first)")
    #expect(first.text.contains(#""name":"bundle-2","kind":"json""#))
    #expect(first.text.contains(#""license":"MIT""#))
    let again = panguard("rules", "import", bundle, "--into", d["rules"])
    #expect(again.status == 3, "\(again)")
    #expect(again.errors.contains("--replace"))
    #expect(panguard("rules", "import", bundle, "--into", d["rules"], "--replace").status == 0)
    // Under another name its rules would be there twice.
    let twice = panguard("rules", "import", bundle, "--into", d["rules"], "--name", "twice")
    #expect(twice.status == 3, "\(twice)")
    #expect(twice.text.contains("refused ATR-2026-00001: rule id ATR-2026-00001 is taken by a rule that is already "))
    #expect(twice.text.contains("ATR-2026-00001.yaml:1:1: refused ATR-2026-00001: the rule that has the id"), "\(twice)")
    #expect(!d.exists("rules/twice"))
    #expect(panguard("rules", "list", d["rules"], "--format", "jsonl").text.contains("ATR-2026-00001"))
    // From standard input, under a name of its own.
    let piped = panguard(["rules", "import", "-", "--into", d["others"], "--name", "piped"], input: bundle)
    #expect(piped.status == 0, "\(piped)")
    #expect(d.exists("others/piped/provenance.json"))
    #expect(panguard("rules", "import", bundle, "--into", d["rules"], "--name", "../out").status == 2)
  }

  /// Every command takes what `rules eval` takes.
  @Test func bundlesServeEveryCommand() {
    let d = TemporaryDirectory()
    let bundle = d.write("{\"version\":\"2\",\"rules\":[\(Self.rule("ATR-2026-00001", "evil"))]}", to: "bundle.json")
    #expect(panguard("rules", "list", bundle).text.contains("ATR-2026-00001"))
    #expect(panguard("rules", "show", "--rules", bundle, "ATR-2026-00001").status == 0)
    #expect(panguard("rules", "lint", bundle).errors.contains("1 rules checked, 0 refused, 0 errors"))
    #expect(panguard("rules", "cost", bundle).status == 0)
    #expect(panguard("rules", "coverage", bundle).status == 0)
    #expect(panguard("rules", "explain", "--rules", bundle, "ATR-2026-00001", "--field", "content", "--input", "evil").text.contains("\nmatches"))
    #expect(panguard("rules", "profile", "panguard-full", "--rules", bundle, "--format", "json").text.contains("ATR-2026-00001"))
    let taken = panguard(
      "rules", "new", "--rules", bundle, "--title", "t", "--field", "message", "--pattern", "x", "--id", "ATR-2026-00001", "-o", d.path)
    #expect(taken.status == 2 && taken.errors.contains("is taken"), "\(taken)")
    let events = d.write("{\"id\":\"e1\",\"event\":{\"content\":\"evil\"}}\n", to: "events")
    #expect(panguard("rules", "eval", "--rules", bundle, events).text.contains(#"{"id":"e1","matches":[{"rule_id":"ATR-2026-00001""#))
    let match = panguard("rules", "eval", "--rules", bundle, "--format", "match", events)
    #expect(match.text.hasPrefix(#"{"rule_id":"ATR-2026-00001","corpus_version":"2","input_identifier":"e1","matched_at":"20"#), "\(match)")
    #expect(match.text.contains(#""severity":"high","category":"uncategorized","matched_selectors":["1"]}"#), "\(match)")
    #expect(panguard("rules", "eval", "--rules", bundle, "--format", "table", events).status == 2)
  }

  @Test func refusalsAreNamedAndCount() {
    let d = TemporaryDirectory()
    let bad = Self.rule("ATR-2026-00002", "x").split(separator: "contains").joined(separator: "contaims")
    let bundle = d.write("[\(Self.rule("ATR-2026-00001", "evil")),\n\(bad)]", to: "bundle.json")
    let result = panguard("rules", "import", bundle, "--into", d["rules"])
    #expect(result.status == 1, "\(result)")
    #expect(result.text.contains("bundle.json:2:1: refused ATR-2026-00002: "))
    #expect(result.text.contains("1 imported, 0 imported but not run by this engine, 1 refused"))
    #expect(panguard("rules", "import", d.write("[]", to: "none.json"), "--into", d["rules"]).status == 3)
    #expect(panguard("rules", "import", "/nonexistent", "--into", d["rules"]).status == 3)
  }

  @Test func aChangedFileOfASetIsNotUsed() {
    let d = TemporaryDirectory()
    let bundle = d.write("[\(Self.rule("ATR-2026-00001", "evil")),\(Self.rule("ATR-2026-00002", "bad"))]", to: "bundle.json")
    #expect(panguard("rules", "import", bundle, "--into", d["rules"], "--name", "set").status == 0)
    d.append("# a harmless comment\n", to: "rules/set/ATR-2026-00001.yaml")
    let result = panguard("rules", "lint", d["rules"])
    #expect(result.status == 1, "\(result)")
    #expect(result.text.contains("ATR-2026-00001.yaml: error: the file has changed since it was imported"))
    let list = panguard("rules", "list", d["rules"], "--format", "jsonl")
    #expect(!list.text.contains("ATR-2026-00001"))
    #expect(list.text.contains("ATR-2026-00002"))
  }

  @Test func differencesShowInMatches() {
    let d = TemporaryDirectory()
    let old = d.write("[\(Self.rule("ATR-2026-00001", "evil"))]", to: "old.json")
    let new = d.write("[\(Self.rule("ATR-2026-00001", "worse")),\(Self.rule("ATR-2026-00002", "evil"))]", to: "new.json")
    let events = d.write("{\"id\":\"e1\",\"event\":{\"content\":\"evil\"}}\n{\"id\":\"e2\",\"event\":{\"content\":\"worse\"}}\n", to: "events")
    let result = panguard("rules", "diff", old, new, "--events", events)
    #expect(result.status == 1, "\(result)")
    #expect(result.text.contains("detection.conditions[1].value: evil -> worse"))
    #expect(result.text.contains("1 added, 0 removed, 1 changed, 0 unchanged"))
    #expect(result.text.contains("ATR-2026-00001  +1 (e2)  -1 (e1)  0 as before"))
    #expect(panguard("rules", "diff", old, old, "--events", events).status == 0)
    // Standard input cannot be read twice.
    for arguments in [["-", "-"], ["-", new, "--events", "-"]] {
      let result = panguard(["rules", "diff"] + arguments, input: old)
      #expect(result.status == 2, "\(result)")
    }
    #expect(panguard(["rules", "diff", "-", old], input: old).status == 0)
    let json = panguard("rules", "diff", old, new, "--format", "json")
    #expect(json.text.contains(#""removed_patterns":["evil"],"added_patterns":["worse"]"#), "\(json)")
  }

  @Test func sigmaBecomesRulesThatLint() {
    let d = TemporaryDirectory()
    let sigma = d.write(
      """
      title: Failed login
      id: 00000000-0000-0000-0000-000000000001
      date: 2026-01-05
      logsource: {product: linux, service: sshd}
      detection:
        sel: {event.outcome: failure, user|contains: [root, adm]}
        condition: sel
      tags: [attack.t1110.001]
      falsepositives: [A user who mistypes]
      ---
      title: Not here
      logsource: {product: windows}
      detection: {sel: {a: b}, condition: sel}
      """, to: "rules.yml")
    let result = panguard("rules", "convert", "--from", "sigma", sigma, "--out", d["out"])
    #expect(result.status == 1, "\(result)")
    #expect(result.errors.contains("rules.yml:12:"))
    #expect(result.errors.contains("1 written, 1 left out"))
    let lint = panguard("rules", "lint", d["out"])
    #expect(lint.status == 0, "\(lint)")
    #expect(lint.errors.contains("1 rules checked, 0 refused, 0 errors"))
    #expect(panguard("rules", "test", d["out"]).status == 0)
    #expect(panguard("rules", "convert", "--from", "sigma", sigma, "--out", d["out"]).status == 3)
    #expect(panguard("rules", "convert", "--from", "sigma", "--to", "yara", sigma).status == 2)
  }

  /// Nothing is written where a file is in the way, and not half of it.
  @Test func filesInTheWayAreFoundFirst() {
    let d = TemporaryDirectory()
    let rules = d.write("[\(Self.rule("ATR-2026-00001", "evil")),\(Self.rule("ATR-2026-00002", "worse"))]", to: "rules.json")
    mkdir(d["out"], 0o755)
    d.append("mine", to: "out/atr_2026_00002.yml")
    let result = panguard("rules", "convert", "--to", "sigma", rules, "--out", d["out"])
    #expect(result.status == 3, "\(result)")
    #expect(result.errors.contains("atr_2026_00002.yml exists"))
    #expect(!d.exists("out/atr_2026_00001.yml"))
    #expect(panguard("rules", "convert", "--to", "sigma", rules, "--out", d["out"], "--replace").status == 0)
    #expect(d.exists("out/atr_2026_00001.yml"))
  }

  /// A rule of a bundle is named by its place there, not by a line of what was made of it.
  @Test func conversionsNameThePlaceInTheBundle() {
    let d = TemporaryDirectory()
    let bad = Self.rule("ATR-2026-00001", "x").split(separator: "contains").joined(separator: "contaims")
    let result = panguard("rules", "convert", "--to", "yara", d.write("[\n\(bad)]", to: "bundle.json"))
    #expect(result.status == 1, "\(result)")
    #expect(result.errors.contains("bundle.json:2:1: error: "))
    // Once, and not by a line of our own.
    #expect(result.errors.split(separator: "\n").count { $0.contains("error: ") } == 1, "\(result.errors)")
  }

  @Test func ourRulesBecomeSigmaAndYARA() {
    for (target, sign) in [("sigma", "logsource:"), ("yara", "condition:")] {
      let result = panguard("rules", "convert", "--to", target, Product.rules)
      #expect(result.status == 1)
      #expect(result.text.contains(sign))
      #expect(result.errors.contains("error: "))
    }
  }

  /// The whole bundle of the reference engine, where PANGUARD_PYATR_WHEEL names its wheel: nothing is refused, neither from the wheel nor
  /// from the JSON in it, and both give the same set.
  @Test func theReferenceBundleIsTakenWhole() {
    guard let wheel = getenv("PANGUARD_PYATR_WHEEL").map({ String(cString: $0) }) else { return skip("PANGUARD_PYATR_WHEEL is not set") }
    let d = TemporaryDirectory()
    let whole = panguard("rules", "import", wheel, "--into", d["rules"], "--name", "wheel")
    #expect(whole.status == 0, "\(whole)")
    #expect(whole.text.contains(" 0 refused"))
    let unpacked = bash("unzip -q -o '\(wheel)' 'pyatr/_bundled_rules.json' -d '\(d.path)'", d)
    guard unpacked.status == 0 else { return skip("there is no unzip") }
    #expect(panguard("rules", "import", d["pyatr/_bundled_rules.json"], "--into", d["others"], "--name", "json").status == 0)
    let sets = bash("grep -h set_sha256 '\(d.path)'/rules/*/provenance.json '\(d.path)'/others/*/provenance.json | sort -u | wc -l", d)
    #expect(sets.text.contains("1"))
  }
}
