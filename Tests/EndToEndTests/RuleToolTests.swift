// What the commands for rules say and with which exit code, where it is more than one module's word.
import Primitives
import Testing

@Suite struct RuleToolTests {
  private static let agentRule = """
    {id: ATR-2026-99001, title: t, severity: low, status: experimental,
     description: "First line.\\nSecond \\u0007 line.\\n",
     detection: {conditions: [{field: user_input, operator: contains, value: attack}], condition: any,
       false_positives: ["One\\ntwo", three]},
     test_cases: {true_positives: [attack, quiet], true_negatives: [quiet]},
     evasion_tests: [{input: quiet, expected: not_triggered}, {input: attack, expected: not_triggered}]}

    """

  /// Every form in which an event comes gets the verdict that `rules eval` gives it.
  @Test func explainTakesWhatEvalTakes() {
    let d = TemporaryDirectory()
    let rules = d.write(Self.agentRule, to: "r.yaml")
    func explain(_ arguments: String...) -> Finished { panguard(["rules", "explain", "ATR-2026-99001", "--rules", rules] + arguments) }
    let events = """
      {"id":1,"event":{"content":"quiet","event_type":"llm_input"}}

      {"id":"two","event":{"content":"an attack","event_type":"llm_input"}}
      {"id":3,"event":{"content":"an attack","event_type":"llm_output"}}

      """
    d.write(events, to: "e.jsonl")
    let evaluated = panguard("rules", "eval", "--rules", rules, d["e.jsonl"])
    #expect(evaluated.status == 0 && evaluated.lines.map { $0.contains("ATR-2026-99001") } == [false, true, false], "\(evaluated)")
    let explained = explain("--event", d["e.jsonl"])
    #expect(explained.status == 0 && explained.text.contains("\nmatches on line 3\n"), "\(explained)")
    #expect(explain("--event", d.write(#"{"content":"an attack","event_type":"llm_input"}"#, to: "bare")).text.contains("\nmatches\n"))
    #expect(explain("--event", d.write("{\n  \"content\": \"an attack\"\n}\n", to: "pretty")).text.contains("\nmatches\n"))
    // The rule does not say what it is for; its field does.
    let text = explain("--input", "an attack")
    #expect(text.status == 0 && text.text.contains("\nmatches\n"), "\(text)")
    let broken = explain("--event", d.write("{\"content\":\"x\"}\n{\"content\":\n", to: "broken"))
    #expect(broken.status == 3 && broken.errors.contains("broken:2: the line is not an event"), "\(broken)")
    let log = explain("--event", d.write("Jan  5 10:00:00 h app[1]: attack\n", to: "log"))
    #expect(log.status == 3 && log.errors.contains("log:1: the line is not an event"), "\(log)")
  }

  /// A line that is no event is answered with its id where that can be read; a missing id is the number of the line.
  @Test func evalAnswersEveryLine() {
    let d = TemporaryDirectory()
    let rules = d.write(Self.agentRule, to: "r.yaml")
    let lines = [
      #"{"event":{"content":"x"}}"#, "", #"{"id":"b"}"#, #"{"id":{"n":1},"event":3}"#, "nonsense", #"{"event":{"content":"x"}}"#,
      #"{"id":7,"event":{"#,
    ]
    let result = panguard("rules", "eval", "--rules", rules, d.write(lines.joined(separator: "\n") + "\n", to: "e"))
    #expect(
      result.lines == [
        #"{"id":1,"matches":[]}"#, #"{"id":"b","error":"not an event","line":3,"matches":[]}"#,
        #"{"id":{"n":1},"error":"not an event","line":4,"matches":[]}"#, #"{"id":null,"error":"not an event","line":5,"matches":[]}"#,
        #"{"id":6,"matches":[]}"#, #"{"id":7,"error":"not an event","line":7,"matches":[]}"#,
      ], "\(result)")
    #expect(result.status == 1 && result.errors.contains("e:4: error:"), "\(result)")
  }

  /// Nothing done is no success, and what was left out is said.
  @Test func nothingToDo() {
    let d = TemporaryDirectory()
    _ = bash("mkdir $D/empty", d)
    d.write("", to: "empty.yaml")
    for arguments in [
      ["lint", d["empty"]], ["convert", "--from", "sigma", d["empty"]], ["convert", "--from", "sigma", d["empty.yaml"]],
      ["convert", "--to", "yara", d["empty"]], ["convert", "--to", "sigma", "--out", d["out"], d["empty"]],
    ] {
      let result = panguard(["rules"] + arguments)
      #expect(result.status == 3 && result.output.isEmpty && result.errors.contains("no rule to "), "\(arguments) \(result)")
    }
    #expect(!d.exists("out"))
  }

  /// Where the harmless documents are not installed, lint and cost say that they tried none.
  @Test func missingHarmlessDocumentsAreNamed() {
    let d = TemporaryDirectory()
    d.write(Self.agentRule, to: "r.yaml")
    // The shipped rules are sought beside the program.
    let result = bash(
      """
      cd $D && (ln $P pg 2>/dev/null || cp $P pg) || exit
      ./pg rules lint r.yaml; ./pg rules cost --rules r.yaml; ./pg rules lint --benign none r.yaml
      """, d)
    let said = result.errors.split(separator: "\n").filter { $0.hasPrefix("harmless documents not found: ") }
    #expect(said.count == 2, "\(result)")
  }

  @Test func showBreaksLinesWhereTheTextDoes() {
    let d = TemporaryDirectory()
    let result = panguard("rules", "show", "ATR-2026-99001", "--rules", d.write(Self.agentRule, to: "r.yaml"))
    #expect(result.text.contains("\nFirst line.\nSecond \\x07 line.\n\n") && !result.text.contains("\\x0a"), "\(result)")
    #expect(result.text.contains("\n  - One\n    two\n  - three\n"), "\(result)")
  }

  /// The table and the total agree, and the rest of what ran is named.
  @Test func testCountsEvasionsApart() {
    let d = TemporaryDirectory()
    let rule = Self.agentRule.replacing("title: t,", with: "title: t, agent_source: {type: llm_io},")
    let result = panguard("rules", "test", d.write(rule, to: "r.yaml"))
    #expect(result.text.contains("5 cases run: 2 passed, 1 failed, 2 evasions (1 get through as documented, 1 caught)"), "\(result)")
    #expect(result.text.contains("FAIL ATR-2026-99001 test_cases.true_positives[2]"), "\(result)")
  }

  @Test func costFitsItsPage() {
    let result = panguard("rules", "cost", "--rules", Product.rules, "--top", "5")
    #expect(result.status == 0 && result.lines.allSatisfy { $0.unicodeScalars.count <= 120 || $0.contains("worst pattern at ") }, "\(result)")
    #expect(result.text.contains("    worst pattern at \(Product.rules)/") && !result.errors.contains(" in 0 ms"), "\(result)")
  }

  @Test func coverageNamesWhatTheRulesReferTo() {
    let result = panguard("rules", "coverage", "--rules", Product.rules, "--format", "json")
    let nameless = result.text.split(separator: #"{"id":"T"#).dropFirst().filter { !$0.drop { $0 != "\"" }.hasPrefix(#"","name":""#) }
    #expect(result.status == 0 && nameless.isEmpty && result.text.contains("Employee Names"), "\(nameless)")
  }
}
