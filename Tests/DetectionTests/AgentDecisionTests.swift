// Decisions about agents: what they say of the field that matched and of the platform, which hosts' decisions do not have.
import Detection
import Events
import Primitives
import RuleLanguage
import Testing

@Suite struct AgentDecisionTests {
  private static func rule(_ source: String, _ detection: String) -> String {
    """
    {title: T, id: ATR-2026-99001, severity: high, confidence: 80, tags: {category: prompt-injection}, agent_source: {type: \(source)},
    detection: \(detection)}
    """
  }
  private static func decision(_ rule: String, _ event: String) throws -> Decision {
    let set = RuleLoader.load(document: rule, file: "r.yaml")
    #expect(set.refusedCount == 0, "\(set.diagnostics)")
    var detector = Detector(ruleSet: set, ruleSetHash: "r", configuration: DetectorConfiguration(), engineVersion: "test")
    _ = detector.addSource("log")
    var input = Event()
    input.begin(raw: Bytes("a whole line of a log"), origin: EventOrigin(source: 0, offset: 0, length: 21))
    input.time = EventTime(seconds: 1000)
    try Array(event.utf8).withUnsafeBytes { try input.setFields(fromAgentJSON: $0) }
    return try #require(detector.process(input).first)
  }

  private static let conditions =
    "{conditions: [{field: user_input, operator: contains, value: one}, {field: tool_args, operator: contains, value: second}], condition: any}"

  @Test(arguments: [
    (#"{"user_input":"nothing","tool_args":"a second thing"}"#, "tool_args", 6),
    (#"{"user_input":"one","tool_args":"a second thing"}"#, "user_input", 3),
  ]) func theConditionThatHeld(_ event: String, _ field: String, _ bytes: Int) throws {
    let decision = try Self.decision(Self.rule("llm_io", Self.conditions), event)
    #expect(decision.matchedField == field && decision.matchedBytes == bytes)
    #expect(decision.platform.isEmpty)
  }
  /// How much of the field was found, by each kind of condition.
  @Test(arguments: [
    ("operator: regex, value: 'ab+c'", "xx ABBBC yy", 5), ("operator: regex, value: 'ab+c'", #"xx a\u200bbbc"#, 4),
    ("operator: regex, value: 'é+x'", "xx ééx", 5), ("operator: regex, value: 'ab+c', language: en", "this is the abbc of the day", 4),
    ("operator: contains, value: é", "xé", 2), ("operator: startswith, value: ab", "abc", 2), ("operator: endswith, value: bc", "abc", 2),
    ("operator: in, value: [other, abc]", "abc", 3), ("operator: contains, value: [zz, abc]", "xabc", 3),
    ("operator: regex, value: [zz, 'ab.', x]", "x abc", 3),
  ]) func theLengthOfTheMatch(_ test: String, _ value: String, _ bytes: Int) throws {
    let decision = try Self.decision(
      Self.rule("llm_io", "{conditions: [{field: user_input, \(test)}], condition: any}"), #"{"user_input":"\#(value)"}"#)
    #expect(decision.matchedField == "user_input" && decision.matchedBytes == bytes, "\(decision.matchedBytes)")
  }
  @Test func anIndicatorsTarget() throws {
    let detection = "{method: signature, signature: {indicators: [{type: package_name, value: bad-one, target_field: pkg}]}}"
    let decision = try Self.decision(Self.rule("mcp_tool", detection), #"{"pkg":"bad-one"}"#)
    #expect(decision.matchedField == "pkg" && decision.matchedBytes == 7)
  }
  @Test func thePlatformOfTheEvent() throws {
    let decision = try Self.decision(
      Self.rule("llm_io", Self.conditions), #"{"user_input":"one","agent":{"id":"x","platform":"claude_code","platform_version":"1.8"}}"#)
    #expect(decision.agent == "x" && decision.platform == "claude_code" && decision.platformVersion == "1.8")
  }
  @Test func aHostsDecisionHasNone() throws {
    let detection = "{conditions: [{field: event.action, operator: exact, value: first}], condition: any}"
    let decision = try Self.decision(Self.rule("host_log", detection), #"{"event.action":"first","agent.platform":"p"}"#)
    #expect(decision.matchedField.isEmpty && decision.matchedBytes == 0 && decision.platform.isEmpty)
  }
}
