// The rule format from 0.1 to 1.1: forms of ids, keys that are not known, selectors, quantifiers, scan targets, lanes, what is kept of a rule.
import Events
import Primitives
import RuleLanguage
import Testing

/// An agent rule that is right; `extra` stands at the top level.
private func agentRule(_ detection: String = "conditions: [{field: user_input, operator: contains, value: x}]\ncondition: any", extra: String = "")
  -> String
{
  hostRule(id: "ATR-2026-00001", detection: detection, extra: extra).replacing("host_log", with: "llm_io").replacing(
    "credential-access", with: "prompt-injection")
}
private func notes(_ text: String) -> [String] { RuleLoader.load(document: text, file: "r.yaml").diagnostics.map { "\($0.severity): \($0.message)" } }

@Suite struct FormatTests {
  private func load(_ text: String) -> RuleSet { RuleLoader.load(document: text, file: "r.yaml") }

  // MARK: Ids

  @Test(arguments: [
    ("ATR-2026-00001", true), ("ATR-2026-001", true), ("ATR-2026-DRAFT-9f3a", true), ("ATR-2026-DRAFT-9F3A", true), ("ATR-TW-2026-00001", true),
    ("ATR-2026-0001", false), ("ATR-2026-DRAFT-xyz", false), ("ATR-2026-DRAFT-", false), ("ATR-26-00001", false), ("ATR-tw-2026-00001", false),
    ("ATR-2026-000001", false), ("ATR-2026-DRAFTS-9f", false),
  ]) func ids(_ id: String, _ isKnownForm: Bool) {
    let set = load(agentRule().replacing("ATR-2026-00001", with: id))
    #expect(set.rules.map(\.id) == [id])
    #expect(set.diagnostics.contains { $0.message.contains("does not have the form") } == !isKnownForm)
  }

  // MARK: Keys and words that this version does not know

  @Test func unknownKeysAreKept() {
    let set = load(agentRule(extra: "my_own_key: {a: [1]}\nx-mine: 1\nfields_i_like: 2"))
    #expect(set.rules.first?.unknownKeys == ["my_own_key", "x-mine", "fields_i_like"])
    #expect(
      set.diagnostics.map { "\($0.severity): \($0.message)" } == [
        "note: unknown key 'my_own_key' is ignored", "note: unknown key 'fields_i_like' is ignored",
      ])
  }
  @Test func aSlipOfAKnownKeyIsAWarning() {
    let set = load(agentRule(extra: "severty: low"))
    #expect(set.diagnostics.map(\.description) == ["r.yaml:14:1: warning: unknown key 'severty'; did you mean 'severity'?"])
  }
  @Test(arguments: [
    ("category: prompt-injection", "category: quantum-confusion", "tags.category"), ("type: llm_io", "type: brain_waves", "agent_source.type"),
    ("status: experimental", "status: certified", "status"),
  ]) func unknownWordsLoad(_ line: String, _ replacement: String, _ key: String) {
    let set = load(agentRule().replacing(line, with: replacement))
    #expect(set.rules.count == 1)
    #expect(set.refusedCount == 0)
    #expect(set.diagnostics.map(\.severity) == [.warning])
    #expect(set.diagnostics.first?.message.contains("'\(key)'") == true)
  }
  /// Forms of conditions that only the JSON schema has: the rule is listed and skipped, with the place, whatever else stands in it.
  @Test(arguments: [
    ("- {field: a, operator: contains, value: x}\n  - {metric: calls, operator: gt, threshold: 10, window: 5m, odd: 1}", "[2]", "a metric condition"),
    ("one: {field: a, patterns: [x]}\n  burst: {metric: calls, operator: gt, threshold: 10}", ".burst", "a metric condition"),
    ("one: {field: a, patterns: [x]}\n  seq: {ordered: true, within: 5m, steps: [{field: a}]}", ".seq", "a sequence of steps"),
  ]) func draftConditionsAreSkippedWithTheirPlace(_ conditions: String, _ name: String, _ what: String) {
    let text = agentRule("conditions:\n  \(conditions)\ncondition: one and missing")
    let set = load(text)
    guard case .skipped("pattern", let reason)? = set.rules.first?.detection else {
      Issue.record("not skipped: \(set.diagnostics)")
      return
    }
    #expect(set.refusedCount == 0)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let line = (lines.firstIndex { $0.contains("metric:") || $0.contains("steps:") } ?? 0) + 1
    #expect(reason.hasPrefix("'detection.conditions\(name)' at line \(line) is \(what); "), "\(reason)")
    let warning = "warning: 'detection.conditions\(name)' is \(what), so the rule is skipped; write "
    #expect(set.diagnostics.contains { "\($0)".hasPrefix("r.yaml:\(line):") && "\($0)".contains(warning) }, "\(set.diagnostics)")
  }

  @Test func anUnknownMethodIsSkippedWithAReason() {
    let set = load(agentRule("method: telepathy\ntelepathy: {depth: 3}\ncondition: any"))
    guard case .skipped("telepathy", let reason)? = set.rules.first?.detection else {
      Issue.record("not skipped")
      return
    }
    #expect(reason == "this engine does not know the method")
  }
  @Test func theLegacyTierNamesTheMethodWhereNothingElseDoes() {
    let behavioral = "behavioral: {metric: calls, aggregation: count, window: 5m, operator: gt, threshold: 3}"
    for (detection, tier, isBehavioral) in [
      (behavioral, "behavioral", true),
      ("conditions: [{field: user_input, operator: contains, value: x}]\ncondition: any\n" + behavioral, "behavioral", false),
      ("conditions: [{field: user_input, operator: contains, value: x}]\ncondition: any", "semantic", false),
    ] {
      let rule = load(agentRule(detection, extra: "detection_tier: \(tier)")).rules.first
      #expect(rule?.detectionTier == tier)
      if case .behavioral? = rule?.detection { #expect(isBehavioral) } else { #expect(!isBehavioral) }
    }
  }

  // MARK: What the rule's own version asks for

  @Test func lengthsAndCasesOfVersionOne() {
    #expect(notes(agentRule(extra: "schema_version: '0.1'\ndetection_tier: pattern\nmaturity: test")) == [])
    #expect(
      notes(agentRule(extra: "schema_version: '0.1'")) == [
        "note: 'detection_tier' is missing, which schema 0.1 requires", "note: 'maturity' is missing: the rule runs in lane hunt only",
      ])
    #expect(
      notes(agentRule(extra: "schema_version: '1.0'\nmaturity: test")) == [
        "note: has 0 true_negatives, but schema 1.0 asks for 5", "note: has 0 true_positives, but schema 1.0 asks for 5",
        "note: 'description' has 13 characters, but schema 1.0 asks for 50 to 4000",
      ])
    #expect(notes(agentRule(extra: "schema_version: one\nmaturity: test")) == ["warning: schema_version 'one' does not have the form 1.0"])
    #expect(load(agentRule(extra: "schema_version: '9.7'")).rules.first?.schemaVersion == "9.7")
  }
  @Test func whatIsKept() throws {
    let rule = try #require(
      load(
        agentRule(
          extra: """
            rule_version: 4
            replaced_by: ATR-2026-00009
            compliance:
              eu_ai_act: [{article: "15", context: c}, {article: "15"}]
              nist_ai_rmf: [{subcategory: MS.2.7}]
              owasp_llm: [LLM01]
              nothing: 3
            """
        ).replacing(
          "[T1110.001 - Password Guessing]",
          with: "[T1110.001], owasp_llm: ['LLM01:2025'], safe_mcp: [SAFE-T1101], cve: [CVE-2026-1], "
            + "external_references: {sigma: [u]}")
      ).rules.first)
    #expect(rule.version == 4)
    #expect(rule.replacedBy == "ATR-2026-00009")
    #expect(rule.techniques == ["T1110.001"])
    #expect(rule.references == ["owasp_llm:LLM01:2025", "safe_mcp:SAFE-T1101", "cve:CVE-2026-1", "external_references.sigma:u"])
    #expect(rule.compliance == ["eu_ai_act:15", "nist_ai_rmf:MS.2.7", "owasp_llm:LLM01", "nothing:3"])
  }

  // MARK: Status, lanes, scan targets

  @Test(arguments: [
    ("draft", "stable", []), ("deprecated", "stable", []), ("stable", "stable", [RuleLane.enforce, .alert, .hunt]),
    ("experimental", "production", [.enforce, .alert, .hunt]), ("stable", "test", [.alert, .hunt]), ("stable", "experimental", [.hunt]),
    ("stable", "", [.hunt]),
    ("", "", [.hunt]),
  ]) func lanes(_ status: String, _ maturity: String, _ lanes: [RuleLane]) {
    var text = agentRule(extra: maturity.isEmpty ? "" : "maturity: \(maturity)")
    text = text.replacing("status: experimental\n", with: status.isEmpty ? "" : "status: \(status)\n")
    var set = load(text)
    #expect(set.rules.first?.isActive == lanes.contains(.hunt))
    for lane in RuleLane.allCases {
      set.activate(lane: lane)
      #expect(set.rules.first?.isActive == lanes.contains(lane))
      #expect(set.rules.first.map { (RuleSet.inactivity(of: $0) == nil) == $0.isActive } == true)
      set.activate(lane: lane, includesInactive: true)
      #expect(set.rules.first?.isActive == lane.admits(maturity: maturity))
    }
  }
  @Test(arguments: [
    ("skill", [ScanPath.skill]), ("skill_md", [.skill]), ("mcp", [.mcp, .runtime]), ("runtime", [.mcp, .runtime]), ("llm_io", [.mcp, .runtime]),
    ("user_input", [.mcp, .runtime]), ("tool_output", [.mcp, .runtime]), ("both", [.skill, .mcp, .runtime]), ("", [.skill, .mcp, .runtime]),
    ("hologram", [.skill, .mcp, .runtime]),
  ]) func scanTargets(_ word: String, _ paths: [ScanPath]) throws {
    let tag = word.isEmpty ? "" : ", scan_target: \(word)"
    let rule = try #require(load(agentRule().replacing("category: prompt-injection", with: "category: prompt-injection\(tag)")).rules.first)
    #expect(rule.scanTarget == word)
    #expect(ScanPath.allCases.filter(rule.isMeant) == paths)
  }

  // MARK: Selectors

  private func pattern(_ detection: String) -> (conditions: [Condition], expression: Expression)? {
    guard case .pattern(let conditions, let expression)? = load(agentRule(detection)).rules.first?.detection else { return nil }
    return (conditions, expression)
  }
  @Test func selectorsBecomeConditions() throws {
    let read = try #require(
      pattern(
        "selectors:\n  one: {user_input: {contains: x}}\n  two: {content: {regex: 'a+', length_gt: 2}, tool_name: {in: [p, q]}}\ncondition: one or not two"
      ))
    #expect(read.conditions.map(\.name) == ["one", "two content regex", "two content length_gt", "two tool_name in"])
    #expect(read.expression == .any([.condition(0), .not(.all([.condition(1), .condition(2), .condition(3)]))]))
    guard case .contains(["x"], caseSensitive: true) = read.conditions[0].test, case .regex(["a+"], caseSensitive: true) = read.conditions[1].test,
      case .exact(["p", "q"], caseSensitive: true) = read.conditions[3].test
    else {
      Issue.record("other tests: \(read.conditions)")
      return
    }
  }
  @Test(arguments: [
    (
      "selectors: {a: {content: {contians: x}}}\ncondition: a",
      "16:29: error: unknown operator 'contians' in 'detection.selectors.a.content'; did you mean 'contains'?"
    ),
    ("selectors: {a: {content: {operator: fuzzy, value: x}}}\ncondition: a", "error: unknown operator 'fuzzy'"),
    ("selectors: {a: {content: {}}}\ncondition: a", "error: 'detection.selectors.a.content' has no operator"),
    ("selectors: {a: {}}\ncondition: a", "error: 'detection.selectors.a' has no field"),
    ("selectors: {}\ncondition: any", "error: 'detection.selectors' is empty"),
    ("selectors: {a: {content: x}}\ncondition: a", "error: 'detection.selectors.a.content' must be a mapping of keys, not a text"),
    ("selectors: {a: {content: {length_gt: many}}}\ncondition: a", "must be an integer, not 'many'"),
    ("selectors: {a: {content: {length_lt: 0}}}\ncondition: a", "is 0, but must be between 1 and"),
    ("selectors: {a: {content: {in: []}}}\ncondition: a", "is an empty list: nothing could match"),
    ("selectors: {a: {content: {contains: x}}}\ncondition: b", "no condition is named 'b'; conditions: a"),
    (
      "selectors: {a: {content: {contains: x}}}\nconditions: [{field: content, operator: contains, value: x}]\ncondition: a",
      "a rule has either 'conditions' or 'selectors'"
    ),
    ("selectors: [a]\ncondition: a", "error: 'detection.selectors' must be a mapping of keys, not a list"),
  ]) func selectorsThatAreWrong(_ detection: String, _ message: String) {
    let set = load(agentRule(detection))
    #expect(set.rules.isEmpty)
    #expect(set.refusedCount == 1)
    #expect(set.diagnostics.contains { $0.description.contains(message.replacing("16:29: ", with: "")) }, "\(set.diagnostics)")
  }
  @Test(arguments: ["ml_classifier", "ast", "bytecode"]) func operatorsThatNeedMoreThanAnEngine(_ word: String) {
    guard case .skipped? = load(agentRule("conditions: [{field: content, operator: \(word), value: x}]\ncondition: any")).rules.first?.detection
    else {
      Issue.record("not skipped")
      return
    }
  }
  @Test func decimalsAreNotRounded() {
    guard
      case .skipped(_, let reason)? = load(agentRule("conditions: [{field: score, operator: gt, value: 0.8}]\ncondition: any")).rules.first?.detection
    else {
      Issue.record("not skipped")
      return
    }
    #expect(reason.contains("0.8"))
  }

  // MARK: Quantifiers

  private func holds(_ expression: Expression, _ bits: Int) -> Bool {
    switch expression {
    case .condition(let i): bits >> i & 1 == 1
    case .not(let inner): !holds(inner, bits)
    case .all(let parts): parts.allSatisfy { holds($0, bits) }
    case .any(let parts): parts.contains { holds($0, bits) }
    }
  }
  private func selectors(_ count: Int) -> String {
    "selectors: {" + (0..<count).map { "s\($0): {content: {contains: x\($0)}}" }.joined(separator: ", ") + "}\n"
  }
  @Test(arguments: 1...6) func atLeastN(_ count: Int) throws {
    for needed in 1...count {
      for words in ["\(needed) of s*", "\(needed) of them", "\(needed) OF THEM", "(\(needed) of *)"] {
        let read = try #require(pattern(selectors(count) + "condition: \(words)"))
        for bits in 0..<(1 << count) { #expect(holds(read.expression, bits) == (bits.nonzeroBitCount >= needed), "\(words) at \(bits)") }
      }
    }
  }
  @Test(arguments: [
    ("all of s*", [0b111]), ("ALL OF them", [0b111]), ("any of *", Array(1...7)), ("any of s*", Array(1...7)), ("1 of s*", Array(1...7)),
    ("or", Array(1...7)),
    ("and", [0b111]), ("not 1 of s*", [0]), ("2 of s* and not s0", [0b110]), ("S0 or s1", []), ("s0 AND (s1 OR NOT s2)", [0b001, 0b011, 0b111]),
  ]) func combinators(_ text: String, _ expected: [Int]) {
    let read = pattern(selectors(3) + "condition: \(text)")
    #expect((0..<8).filter { bits in read.map { holds($0.expression, bits) } ?? false } == expected)
  }
  @Test func quantifiersThatAreWrong() {
    for (text, message) in [
      ("4 of s*", "'4 of' is more than the 3 that it chooses from"), ("0 of s*", "'of' takes a number, any or all before it"),
      ("-1 of s*", "'of' takes a number, any or all before it"), ("some of s*", "'of' takes a number, any or all before it"),
      ("99999999999999999999 of s*", "'of' takes a number, any or all before it"), ("1 of t*", "no condition is named like 't*'"),
    ] {
      #expect(load(agentRule(selectors(3) + "condition: \(text)")).diagnostics.map(\.message) == ["detection.condition: \(message)"])
    }
    let many = load(agentRule(selectors(60) + "condition: 30 of s*"))
    #expect(many.rules.isEmpty)
    #expect(many.diagnostics.first?.message.contains("would need more than \(Limits.expressionTerms) terms") == true)
    #expect(load(agentRule(selectors(60) + "condition: 59 of s*")).diagnostics.filter { $0.severity == .error }.count <= 1)
  }

  // MARK: Cases

  private func inputs(_ cases: String, detection: String = "conditions: [{field: content, operator: contains, value: x}]\ncondition: any") -> [String]
  {
    let set = load(agentRule(detection).replacing("test_cases: {}", with: "test_cases: {true_positives: [\(cases)]}"))
    return (set.rules.first?.tests ?? []).map { if case .event(let json) = $0.input { json } else { "?" } }
  }
  @Test(arguments: [
    ("x", #"{"user_input":"x","tool_args":"x","content":"x","agent_message":"x"}"#),
    ("{input: x}", #"{"user_input":"x","tool_args":"x","content":"x","agent_message":"x"}"#),
    ("{user_input: x}", #"{"user_input":"x","tool_args":"x","content":"x","agent_message":"x"}"#),
    ("{input: x, tool_description: d}", #"{"tool_description":"d","user_input":"x","tool_args":"x","content":"x","agent_message":"x"}"#),
    ("{tool_args: x, tool_name: n}", #"{"tool_args":"x","tool_name":"n","content":"x"}"#),
    ("{tool_call: {name: n, args: x}}", #"{"tool_name":"n","tool_args":"x","content":"x"}"#),
    ("{input: {tool_name: n, response: r}}", #"{"tool_name":"n","tool_response":"r","content":"r"}"#),
    ("{agent_output: x, expected: trigger}", #"{"agent_output":"x","content":"x"}"#),
    ("{content: x, language: en, matched_condition: m}", #"{"content":"x"}"#),
    ("{input: x, detection_field: tool_response}", #"{"tool_response":"x","user_input":"x","tool_args":"x","content":"x","agent_message":"x"}"#),
    ("{input: ''}", #"{"user_input":"","tool_args":"","content":"","agent_message":""}"#),
  ]) func fieldsOfACase(_ text: String, _ json: String) {
    #expect(inputs(text) == [json])
  }
  @Test func aCaseThatFillsNothingTheRuleReadsIsPutThere() {
    let detection = "conditions: [{field: tool_description, operator: contains, value: x}]\ncondition: any"
    #expect(
      inputs("{input: x}", detection: detection)
        == [#"{"user_input":"x","tool_args":"x","content":"x","agent_message":"x","tool_description":"x"}"#])
    #expect(inputs("{tool_args: x}", detection: detection) == [#"{"tool_args":"x","content":"x"}"#])
  }
  @Test func everyCaseHasItsPlace() {
    let text = agentRule(extra: "evasion_tests: [{input: e, expected: not_triggered}]").replacing(
      "test_cases: {}", with: "test_cases: {true_positives: [a, {input: b}], true_negatives: [c], evasion_tests: [d]}")
    #expect(
      load(text).rules.first?.tests.map(\.path) == [
        "test_cases.true_positives[1]", "test_cases.true_positives[2]", "test_cases.true_negatives[1]", "test_cases.evasion_tests[1]",
        "evasion_tests[1]",
      ])
  }
}
