// ATR events and STIX bundles against golden files; the canonical form against RFC 8785's own examples.
import Detection
import Events
import Primitives
import RuleLanguage
import Testing

@testable import Export

@Suite struct CanonicalJSONTests {
  private func canonical(_ text: String) throws -> String {
    String(decoding: try Array(text.utf8).withUnsafeBytes { try CanonicalJSON(parsing: $0) }.bytes, as: UTF8.self)
  }
  /// RFC 8785, 3.2.2 to 3.2.4, with the numbers that have an exact form here.
  @Test func theStandardsExamples() throws {
    #expect(
      try canonical(
        #"{"numbers":[4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#
      )
        == #"{"literals":[null,true,false],"numbers":[4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#)
    #expect(
      try canonical(#"{"\u20ac":"Euro","\r":"CR","\ufb33":"Dalet","1":"One","\ud83d\ude00":"Smiley","\u0080":"Control","\u00f6":"o"}"#)
        == "{\"\\r\":\"CR\",\"1\":\"One\",\"\u{80}\":\"Control\",\"ö\":\"o\",\"€\":\"Euro\",\"😀\":\"Smiley\",\"\u{fb33}\":\"Dalet\"}")
  }
  @Test(
    arguments: [
      ("0", "0"), ("-0", "0"), ("-0.0", "0"), ("1.0", "1"), ("1E3", "1000"), ("-1.50", "-1.5"), ("0.95", "0.95"), ("0.000001", "0.000001"),
      ("1e-7", "1e-7"),
      ("123456789012345", "123456789012345"), ("9007199254740992", "9007199254740992"), ("1e21", "1e+21"), ("1e20", "100000000000000000000"),
      ("1.5e300", nil), ("1.25e22", "1.25e+22"), ("9007199254740993", nil), ("0.12345678901234567", nil), ("1e400", nil), ("1e99999999", nil),
      ("100e-2", "1"),
    ] as [(String, String?)])
  func numbers(_ text: String, _ expected: String?) { #expect(CanonicalJSON.number(text) == expected) }
  @Test func whatIsRefused() {
    for text in ["{\"a\":1,\"a\":2}", "", "{", "[1,]", "{\"a\":0.1234567890123456789}"] { #expect(throws: (any Error).self) { try canonical(text) } }
  }
  @Test(arguments: [(950, "0.95"), (1000, "1"), (0, "0"), (7, "0.007"), (-1500, "-1.5")]) func thousandths(_ value: Int, _ expected: String) {
    #expect(String(decoding: CanonicalJSON.thousandths(value).bytes, as: UTF8.self) == expected)
  }
  @Test func canonicalFormIsAFixedPoint() throws {
    for text in [#"{"b":[{"d":"\u0008\u007f","c":1.10}],"a":{}}"#, "[]", "\"x\"", "12"] {
      let once = try canonical(text)
      #expect(try canonical(once) == once)
    }
  }
}

@Suite struct ATREventTests {
  private static let options = ATREvent.Options(version: "9.9.9")

  /// The standard's required fields, all of them in every event.
  static let required = [
    "@timestamp", "atr.event_id", "atr.spec_version", "atr.engine_id", "atr.rule_id", "atr.rule_version", "atr.rule_status", "atr.rule_maturity",
    "atr.rule_review_status", "atr.severity", "atr.category", "atr.subcategory", "atr.confidence", "atr.matched_field", "atr.matched_value_redacted",
    "agent.id", "agent.platform", "agent.platform_version", "session.id", "service.name", "service.version", "atr.response_action",
    "atr.response_taken",
    "atr.response_threshold_met", "evidence.observation_id", "evidence.upstream_chain",
  ]

  private static func rule(_ source: String, _ field: String?) -> Rule {
    let conditions =
      field.map { [Condition(name: "1", field: FieldReference(name: $0), test: .exists(true), location: SourceLocation(file: "r"))] } ?? []
    var rule = Sample.rule(.pattern(conditions: conditions, expression: .all([])))
    rule.agentSource = source
    rule.version = 3
    rule.responseThreshold = "high"
    return rule
  }

  @Test func golden() throws {
    var events: [String] = []
    for decision in Sample.all {
      var decision = decision
      if events.isEmpty {
        decision.matchedField = "tool_response"
        decision.matchedBytes = 14
      } else if events.count == 1 {
        decision.upstream = ["0190c0de-0000-7000-8000-000000000001", "0190c0de-0000-7000-8000-000000000002"]
        decision.agent = "helper"
        decision.profiles = ["panguard-host@1.0.0"]
      }
      let event = ATREvent(decision, rule: events.isEmpty ? Self.rule("llm_io", "user_input") : nil, options: Self.options)
      events.append(String(decoding: event.line(signature: nil), as: UTF8.self))
      guard case .object(let members) = try event.line(signature: nil).withUnsafeBytes({ try CanonicalJSON(parsing: $0) }) else { continue }
      for name in Self.required { #expect(members.contains { $0.name == name }, "\(name)") }
    }
    GoldenFile.check(events.joined(separator: "\n") + "\n", "atr-events.jsonl")
    GoldenFile.check(String(decoding: STIXBundle.bytes(Sample.all, version: "9.9.9"), as: UTF8.self) + "\n", "stix-bundle.json")
  }

  /// Names, fields and operators of what held; never what was found.
  @Test func selectorsOfASighting() {
    var decision = Sample.bruteForce
    decision.selectors = ["order", "2"]
    func condition(_ name: String, _ field: String, _ test: Condition.Test) -> Condition {
      Condition(name: name, field: FieldReference(name: field), test: test, location: Sample.location)
    }
    let rule = Sample.rule(
      .pattern(
        conditions: [
          condition("order", "user_input", .regex(["ignore (all|the) secret"], caseSensitive: false)), condition("other", "x", .exists(true)),
          condition("2", "tool_args", .contains(["secret"], caseSensitive: false)),
        ], expression: .all([])))
    let names = #""matched_selectors":["order","2"]"#
    let text = String(decoding: STIXBundle.bytes([decision], version: "9.9.9", rules: [rule]), as: UTF8.self)
    #expect(text.contains(names) && !text.contains("secret"), "\(text)")
    #expect(
      text.contains(
        #""matched_conditions":[{"field":"user_input","operator":"regex","selector":"order"},"#
          + #"{"field":"tool_args","operator":"contains_i","selector":"2"}]"#), "\(text)")
    let alone = String(decoding: STIXBundle.bytes([decision], version: "9.9.9"), as: UTF8.self)
    #expect(alone.contains(names) && !alone.contains("matched_conditions"))
  }

  /// Selectors as the author wrote them: of several tests, and with operators that a test says in another way.
  @Test func conditionsOfSelectors() throws {
    let document = """
      {title: T, id: ATR-2026-99001, severity: high, tags: {category: prompt-injection}, agent_source: {type: llm_io}, detection: {condition: any,
      selectors: {b: {content: {contains: secret, length_gt: 2}, tool_name: {in: [secret]}}, c: {content: {endswith: secret}},
      d: {content: {contains_i: secret}}}}}
      """
    let set = RuleLoader.load(document: document, file: "r.yaml")
    let rule = try #require(set.rules.first, "\(set.diagnostics)")
    var decision = try #require(Sample.all.first)
    decision.selectors = ["b", "c", "d", "gone"]
    #expect(
      MatchedCondition.of(decision, rule).map { "\($0.selector) \($0.field) \($0.operation)" } == [
        "b content contains", "b content length_gt", "b tool_name in", "c content endswith", "d content contains_i",
      ])
  }
  /// In the list form an operator that SPEC.md 6.3 has too keeps its name.
  @Test func conditionsOfALists() throws {
    let document = """
      {title: T, id: ATR-2026-99001, severity: high, tags: {category: prompt-injection}, agent_source: {type: llm_io}, detection: {condition: any,
      conditions: [{field: content, operator: endswith, value: x}, {field: content, operator: starts_with, value: x}]}}
      """
    let rule = try #require(RuleLoader.load(document: document, file: "r.yaml").rules.first)
    var decision = try #require(Sample.all.first)
    decision.selectors = ["1", "2"]
    #expect(MatchedCondition.of(decision, rule).map(\.operation) == ["endswith", "startswith"])
  }

  @Test(
    arguments: [
      ("llm_io", "user_input", "user_input"), ("llm_io", "agent_output", "agent_output"), ("tool_call", "tool_args", "tool_call"),
      ("mcp_exchange", "content", "mcp_exchange"), ("mcp_tool", "content", "mcp_exchange"), ("skill_file", "content", "skill_content"),
      ("memory_access", "", "memory_write"), ("multi_agent_comm", "", "multi_agent_message"), ("skill_lifecycle", "", "skill_content"),
      ("skill_file", "skill.content", "skill_content"), ("host_log", "url.path", "host_log"), ("host_network", "", "host_network"),
      ("future_source", "content", "user_input"), ("", "", "host_log"),
    ])
  func matchedField(_ source: String, _ field: String, _ expected: String) {
    #expect(ATREvent.matchedField(Self.rule(source, "user_input"), field) == expected)
  }

  private static func line(_ decision: Decision, _ rule: Rule?) -> String {
    String(decoding: ATREvent(decision, rule: rule, options: options).line(signature: nil), as: UTF8.self)
  }

  /// What held, and not what the rule looks at first; the length is the fragment's.
  @Test func theFragmentThatMatched() throws {
    var decision = try #require(Sample.all.first)
    decision.matchedField = "tool_response"
    decision.matchedBytes = 7
    let line = Self.line(decision, Self.rule("llm_io", "user_input"))
    #expect(line.contains(#""atr.matched_field":"tool_response""#) && line.contains(#""atr.matched_value_redacted":"[REDACTED:tool_response:7]""#))
    decision.matchedField = ""
    #expect(Self.line(decision, nil).contains("[REDACTED:host_log:\(decision.evidence.last?.length ?? 0)]"))
  }

  @Test(arguments: [
    ("prompt-injection", "prompt-injection"), ("privilege-escalation", "privilege-escalation"), ("credential-access", "unknown"),
    ("uncategorized", "unknown"), ("tool_poisoning", "unknown"),
  ]) func categoriesAreTheRegistrys(_ category: String, _ expected: String) throws {
    var decision = try #require(Sample.all.first)
    decision.category = category
    let line = Self.line(decision, nil)
    #expect(line.contains("\"atr.category\":\"\(expected)\""))
    #expect(line.contains("\"panguard.category\":\"\(category)\"") == (expected == "unknown"))
  }

  @Test(arguments: [
    ("production", "stable"), ("stable", "stable"), ("test", "test"), ("experimental", "draft"), ("", "draft"), ("deprecated", "draft"),
  ])
  func maturities(_ maturity: String, _ expected: String) throws {
    var rule = Self.rule("llm_io", nil)
    rule.maturity = maturity
    #expect(Self.line(try #require(Sample.all.first), rule).contains("\"atr.rule_maturity\":\"\(expected)\""))
  }
  @Test(arguments: [("tsc_approved", "tsc_approved"), ("", "unreviewed")]) func reviewStatus(_ status: String, _ expected: String) throws {
    var rule = Self.rule("llm_io", nil)
    rule.reviewStatus = status
    #expect(Self.line(try #require(Sample.all.first), rule).contains("\"atr.rule_review_status\":\"\(expected)\""))
  }

  /// Identifiers come from outside; addresses and secrets must not go out in them.
  @Test(
    arguments: [
      ("agt-customer-12345-claude-prod-01", true), ("sess-2026-05-25-bk9a8x", true), ("01927e2d-7b32-7c41-9e84-3b8f2a1e9c54", true), ("42", true),
      ("helper", true), ("claude_code", true), ("1.8.4", true), ("6C1F0C6F9A2A4E0DB37F4D0F3C2B1A99", true), ("alice@example.com", false),
      ("192.0.2.7", false), ("2001:db8::1", false), ("0041-79-555-01-23", false), ("sk-FAKE-1234", false), ("ghp_abc", false),
      ("AKIAFAKEFAKEFAKEFAKE", false),
      ("eyJhbGciOi.e30.x", false), ("Qx7Lm2Zr9Kt4Wv8Bn3Yp", false), ("two words", false), ("/home/alice", false), ("a\u{0}b", false), ("", false),
      ("日本", false), (String(repeating: "a", count: 65), false), (String(repeating: "a", count: 64), true),
      // Addresses with something around them, and keys in other letters.
      ("1.2.3.4:80", false), ("ip:10.1.2.3", false), ("192.168.1.77-a", false), ("ip-10-1-2-3", false), ("x.10.1.2.3.", false),
      ("host:2001:db8::1:", false), ("zone::1", false), ("2001:db8:1:2:3:4:5:6:80", false), ("mac:aa:bb:cc:dd:ee:ff", false), ("SK-ABC", false),
      ("Ghp_abc", false), ("key:sk-abc", false), ("da39a3ee5e6b4b0d3255bfef95601890afd80709", false),
      ("k-abcdefghij1abcdefghij1abcdefghij1abc", false),
      ("agent::helper", true), ("team:42:helper", true), ("1.8.4-rc.2", true), ("run-2026-05-25-10", true), ("risk-assessment", true),
    ]) func identifiers(_ text: String, _ isPlain: Bool)
  {
    let shown = PlainIdentifier.of(text)
    #expect((shown == text) == isPlain, "\(text) became \(shown)")
    #expect(isPlain || shown.hasPrefix("hash:") && shown.utf8.count == 21 && shown == PlainIdentifier.of(text))
  }
  @Test func noIdentifierLeaksAnAddress() throws {
    var decision = try #require(Sample.all.first)
    decision.agent = "alice@example.com"
    decision.subject.session = "sk-FAKE-9876543210"
    decision.platform = "claude_code"
    decision.platformVersion = "bob@example.com"
    for redacts in [true, false] {
      var options = Self.options
      options.redacts = redacts
      let line = String(decoding: ATREvent(decision, rule: Self.rule("llm_io", nil), options: options).line(signature: nil), as: UTF8.self)
      #expect(!line.contains("example.com") && !line.contains("sk-FAKE"))
      #expect(line.contains(#""agent.platform":"claude_code""#))
    }
  }

  @Test func responsesAreTheStandardsSeven() {
    #expect(
      ATREvent.responses(["block_ip", "notify", "alert", "kill_agent", "redact_match", "quarantine_session"]) == [
        "alert", "terminate_session", "redact", "quarantine",
      ])
  }

  @Test func forensicModeSaysSo() throws {
    var options = Self.options
    options.redacts = false
    let decision = try #require(Sample.all.first)
    let open = String(decoding: ATREvent(decision, rule: nil, options: options).line(signature: nil), as: UTF8.self)
    #expect(open.contains("\"panguard.forensic_mode\":true"))
    #expect(!String(decoding: ATREvent(decision, rule: nil, options: Self.options).line(signature: nil), as: UTF8.self).contains("forensic"))
  }

  @Test func newKeysOfADecisionComeBack() throws {
    var decision = try #require(Sample.all.first)
    decision.profiles = ["a@1", "b@2"]
    decision.upstream = ["x"]
    decision.message = "m"
    decision.agent = "helper"
    decision.platform = "claude_code"
    decision.platformVersion = "1.8.4"
    decision.matchedField = "tool_args"
    decision.matchedBytes = 12
    #expect(try DecisionJSON.decode(DecisionJSON.line(decision)) == decision)
  }
}
