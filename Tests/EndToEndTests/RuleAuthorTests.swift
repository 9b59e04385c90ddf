// The way of a rule's author through the commands: write a rule, see its tests fail, fill them in, see why it matches, see what it covers.
import Glibc
import Primitives
import Testing

@Suite struct RuleAuthorTests {
  private static let line = "Jan  5 10:00:00 web01 sshd[4101]: Failed password for root from 192.0.2.10 port 40022 ssh2"

  @Test func fromNothingToARuleThatPasses() {
    let d = TemporaryDirectory()
    let made = panguard(
      "rules", "new", "--rules", Product.rules, "--title", "Login as root", "--field", "user.name", "--operator", "exact", "--pattern", "root",
      "--category", "credential-access", "--technique", "T1110.001", "--severity", "high", "--author", "me", "-o", d.path)
    let file = d["login-as-root.yaml"]
    #expect(made.status == 0 && made.lines == [file] && made.errors.contains("rules test --watch"), "\(made)")
    let written = String(decoding: d.contents("login-as-root.yaml"), as: UTF8.self)
    #expect(written.contains("id: 'ATR-20") && written.contains("-99001'\n") && written.contains("mitre_attack: ['T1110.001']"))

    let lint = panguard("rules", "lint", file)
    #expect(lint.status == 0 && lint.errors.contains("0 errors"), "\(lint)")
    let failing = panguard("rules", "test", file)
    #expect(failing.status == 1 && failing.text.contains("0 passed, 5 failed") && failing.text.contains("is a placeholder"), "\(failing)")

    // Nothing is overwritten, and the next rule gets the next id.
    let again = panguard("rules", "new", "--title", "Login as root", "--field", "a", "--pattern", "b", "-o", d.path)
    #expect(again.status == 3 && again.errors.contains("not overwritten") && d.contents("login-as-root.yaml") == Array(written.utf8), "\(again)")
    let next = panguard("rules", "new", "--title", "Second", "--field", "message", "--pattern", "b", "-o", d.path)
    #expect(next.status == 0 && String(decoding: d.contents("second.yaml"), as: UTF8.self).contains("-99002'"), "\(next)")

    var filled = written
    let other = "Jan  5 10:00:00 web01 sshd[4101]: Failed password for alice from 192.0.2.10 port 40022 ssh2"
    for input in [Self.line, Self.line, other, other, Self.line] {
      guard let start = filled.firstIndex(of: "<"), let end = filled[start...].firstIndex(of: ">") else {
        Issue.record("a placeholder is missing")
        return
      }
      filled.replaceSubrange(start...end, with: input)
    }
    d.write(filled, to: "login-as-root.yaml")
    let passing = panguard("rules", "test", file)
    #expect(passing.status == 0 && passing.text.contains("5 passed, 0 failed"), "\(passing)")
  }

  @Test func newSaysWhatIsWrong() {
    let d = TemporaryDirectory()
    func new(_ arguments: String...) -> Finished { panguard(["rules", "new", "--rules", Product.rules, "-o", d.path] + arguments) }
    let missing = new()
    #expect(missing.status == 2 && missing.output.isEmpty)
    for flag in ["--title", "--field", "--pattern"] { #expect(missing.errors.contains("\(flag) is missing"), "\(missing)") }
    let field = new("--title", "t", "--field", "user.nam", "--pattern", "x")
    #expect(field.status == 2 && field.errors.contains("did you mean 'user.name'?"), "\(field)")
    let taken = new("--title", "t", "--field", "user.name", "--pattern", "x", "--id", "ATR-2026-90001")
    #expect(taken.status == 2 && taken.errors.contains("is taken"), "\(taken)")
    let nowhere = panguard("rules", "new", "--title", "t", "--field", "message", "--pattern", "x", "-o", d["nonexistent"])
    #expect(nowhere.status == 3 && nowhere.errors.contains("is not a directory"), "\(nowhere)")
    #expect(new("--method", "nonsense").status == 2)
    #expect(bash("ls -A $D", d).output.isEmpty)
  }

  /// On a terminal it asks.
  @Test func newAsksOnATerminal() {
    guard access("/usr/bin/script", X_OK) == 0 else { return skip("no script(1) to make a terminal") }
    let d = TemporaryDirectory()
    d.write("pattern\nhost_log\nAsked rule\nexecution\nlow\nmessage\ncontains\nxyz\n\n", to: "answers")
    let result = bash("cd $D && script -qec \"$P rules new --rules $R\" /dev/null < answers", d)
    #expect(result.status == 0 && result.text.contains("Title (what is detected, in one line)"), "\(result)")
    let written = String(decoding: d.contents("asked-rule.yaml"), as: UTF8.self)
    #expect(written.contains("severity: low") && written.contains("operator: contains") && written.contains("value: 'xyz'"), "\(written)")
  }

  @Test func explainNamesThePlace() {
    func explain(_ arguments: String..., input: String? = nil) -> Finished {
      panguard(["rules", "explain", "--rules", Product.rules] + arguments, input: input)
    }
    let partly = explain("ATR-2026-90120", "--field", "process.command_line", "--input", "curl -s http://203.0.113.5/x.sh")
    #expect(partly.status == 0 && partly.text.contains("does not match"), "\(partly)")
    #expect(partly.text.contains(#"got to   \b(?:curl|wget)\b[^|]{0,240}"#) && partly.text.contains(#"then not \| {0,4}"#), "\(partly)")
    #expect(partly.lines.allSatisfy { $0.unicodeScalars.count <= 120 } && !partly.text.contains("\u{1b}"))

    let counted = explain("ATR-2026-90001", "--input", Self.line)
    #expect(counted.status == 0 && counted.text.contains("192.0.2.10: 1 counted, at most 1 at line 1; wanted ≥ 5"), "\(counted)")

    let d = TemporaryDirectory()
    let guesses = (1...5).map { "Jan  5 10:00:0\($0) web01 sshd[410\($0)]: Failed password for root from 192.0.2.10 port 40 ssh2\n" }.joined()
    d.write(guesses + "Jan  5 10:01:10 web01 sshd[4190]: Accepted password for root from 192.0.2.10 port 50 ssh2\n", to: "log")
    let correlation = explain("ATR-COR-2026-90001", "--input", "-", input: d["log"])
    #expect(correlation.status == 0 && correlation.text.contains("matches on line 6"), "\(correlation)")
    #expect(correlation.text.contains("line 5  ATR-2026-90001  source.ip=192.0.2.10"), "\(correlation)")
    #expect(explain("ATR-COR-2026-90001", "--event", d["log"]).output == correlation.output)

    let json = explain("ATR-2026-90008", "--format", "json", "--input", Self.line)
    #expect(json.lines.count == 1 && json.text.contains(#""longest_prefix":{"of":"ssh-invalid-user","prefix":"ssh-""#), "\(json)")

    #expect(explain("ATR-2026-90008").status == 2)
    #expect(explain("ATR-2026-90008", "--input", "x", "--event", "y").status == 2)
    #expect(explain("ATR-2026-9000x", "--input", "x").errors.contains("did you mean"))
    #expect(explain("ATR-2026-90008", "--event", "/nonexistent").status == 3)
    #expect(explain("ATR-2026-90008", "--input", "").status == 3)
  }

  @Test func coverageInAllForms() {
    let d = TemporaryDirectory()
    let table = panguard("rules", "coverage", "--rules", Product.rules, "--navigator", d["layer.json"])
    #expect(table.status == 0 && table.text.contains("MITRE ATT&CK: ") && table.text.contains("T1110.001 Brute Force: Password Guessing"), "\(table)")
    #expect(table.errors.contains("layer.json") && String(decoding: d.contents("layer.json"), as: UTF8.self).contains(#""layer":"4.5""#))
    #expect(panguard("rules", "coverage", Product.rules, "--format", "json").text.contains(#"{"key":"mitre_attack""#))
    #expect(panguard("rules", "coverage", Product.rules, "--format", "markdown").text.contains("\n| id | name | tactics | rules |"))
    #expect(panguard("rules", "coverage", "/nonexistent").status == 3)
    #expect(panguard("rules", "coverage", Product.rules, "--navigator", "/nonexistent/x").status == 3)
  }

  @Test(arguments: ["rule", "correlation", "profile", "configuration"]) func schemas(_ kind: String) {
    let result = panguard("rules", "schema", kind)
    #expect(result.status == 0 && result.output == fileContents("\(Product.root)/docs/schema/\(kind).schema.json"))
    #expect(panguard("rules", "schema", "nonsense").status == 2)
  }

  @Test func watchTestsAgainWhatChanged() {
    let d = TemporaryDirectory()
    func rule(_ id: Int, _ pattern: String) -> String {
      """
      {id: ATR-2026-9900\(id), title: t, severity: low, agent_source: {type: host_log},
       detection: {conditions: [{field: message, operator: contains, value: \(pattern)}], condition: any},
       test_cases: {true_positives: ["Jan  5 10:00:00 web01 app[1]: attack"]}}

      """
    }
    d.write("", to: "out")
    _ = bash("mkdir $D/rules", d)
    d.write(rule(1, "attack"), to: "rules/a.yaml")
    d.write(rule(2, "attack"), to: "rules/b.yaml")
    let child = Child([Product.panguard, "rules", "test", "--watch", d["rules"]], output: d["out"], environment: Product.environment)
    func shows(_ text: String) -> Bool { eventually { String(decoding: d.contents("out"), as: UTF8.self).contains(text) } }
    #expect(shows("2 of 2 cases passed, 2 rules; waiting"))
    d.write(rule(2, "other"), to: "rules/b.yaml")
    #expect(shows("changed: b.yaml") && shows("FAIL ATR-2026-99002") && shows("0 of 1 cases passed, 1 rules"))
    d.write(rule(2, "["), to: "rules/b.yaml")
    #expect(shows("b.yaml:2:") && shows("nothing was run, 1 refused"))
    d.write(rule(2, "attack"), to: "rules/new.tmp")  // an editor that renames
    d.rename("rules/new.tmp", "rules/b.yaml")
    #expect(shows("1 of 1 cases passed, 1 rules; waiting"))
    child.signal(SIGINT)
    #expect(child.wait(seconds: 120) == 0)
  }

  /// TAB offers ids and fields.
  @Test func completion() {
    let d = TemporaryDirectory()
    for shell in ["bash", "zsh", "fish"] {
      let script = panguard("--generate-completion-script", shell)
      #expect(script.status == 0 && script.text.contains("coverage") && script.text.contains("process.command_line"), "\(shell)")
      d.write(script.text, to: shell)
    }
    let offered = bash(
      """
      PATH=${P%/*}:$PATH; cd $ROOT; source $D/bash
      offer() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMPREPLY=()
        _panguard panguard "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; echo "${COMPREPLY[@]}"; }
      offer panguard rules show --rules $R ATR-2026-9012
      offer panguard rules explain X --field url.
      """, d)
    #expect(offered.lines == ["ATR-2026-90120 ATR-2026-90121", "url.original url.path url.query url.domain"], "\(offered)")
  }
}
