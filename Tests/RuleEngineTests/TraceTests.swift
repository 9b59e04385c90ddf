// Trace rules: what a trace is read as, and which assertions it violates.
import Events
import Primitives
import RuleLanguage
import Testing

@testable import RuleEngine

private func engine(_ detection: String) -> RuleEngine {
  let text = """
    schema_version: "1.0"
    id: ATR-2026-90001
    title: t
    severity: high
    agent_source: {type: agent_trace}
    detection:
    \(detection.split(separator: "\n", omittingEmptySubsequences: false).map { "  " + $0 }.joined(separator: "\n"))
    """
  let set = RuleLoader.load(document: text, file: "r.yaml")
  #expect(set.diagnostics.filter { $0.severity == .error }.map(\.description) == [])
  return RuleEngine(set)
}
private func fires(_ engine: inout RuleEngine, _ spans: String) -> Bool { fired(&engine, "{\"spans\":[\(spans)]}") }
private func fired(_ engine: inout RuleEngine, _ trace: String, field: String = "trace") -> Bool {
  var event = Event()
  fill(&event, [(field, trace)])
  return !engine.ids(event).isEmpty
}
/// The same with spans of any length: as a member of an agent's event.
private func firesOnEvent(_ engine: inout RuleEngine, _ spans: String) throws -> Bool {
  var event = Event()
  event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
  try Array("{\"spans\":[\(spans)]}".utf8).withUnsafeBytes { try event.setFields(fromAgentJSON: $0) }
  return !engine.ids(event).isEmpty
}

@Suite struct TraceTests {
  static let tool = #"{"id":"t","kind":"TOOL","attributes":{"tool.name":"send"}}"#
  static let web = #"{"id":"r","kind":"RETRIEVER","attributes":{"source":"web"}}"#

  @Test func forbid() {
    var plain = engine("method: trace\ntrace: {ingest_format: openinference, forbid: [{shape: {span.kind: TOOL, attributes: {tool.name: send}}}]}")
    #expect(fires(&plain, Self.tool))
    #expect(!fires(&plain, Self.web))
    #expect(!fires(&plain, ""))
    // The standard's example has the predecessor inside the shape, its corpus beside it: both are read.
    for text in [
      "{shape: {span.kind: TOOL}, preceded_by: {span.kind: RETRIEVER}, within_trace: true}",
      "{shape: {span.kind: TOOL, preceded_by: {span.kind: RETRIEVER}}}",
    ] {
      var preceded = engine("method: trace\ntrace: {ingest_format: openinference, forbid: [\(text)]}")
      #expect(fires(&preceded, Self.web + "," + Self.tool))
      #expect(!fires(&preceded, Self.tool + "," + Self.web))
      #expect(!fires(&preceded, Self.tool))
      #expect(!fires(&preceded, Self.tool + "," + Self.tool), "a span does not precede itself")
    }
  }

  @Test func require() {
    var rule = engine(
      """
      method: trace
      trace:
        ingest_format: openinference
        require:
          - target_shape: {span.kind: TOOL}
            must_be_preceded_by:
              one_of_shapes: [{span.kind: HUMAN}, {span.kind: AGENT, attributes: {approved: true}}]
              within_trace: true
      """)
    let human = #"{"kind":"HUMAN"}"#
    #expect(fires(&rule, Self.tool))
    #expect(fires(&rule, Self.tool + "," + human))
    #expect(!fires(&rule, human + "," + Self.tool))
    #expect(!fires(&rule, #"{"kind":"AGENT","attributes":{"approved":true}},"# + Self.tool))
    #expect(fires(&rule, #"{"kind":"AGENT","attributes":{"approved":"true"}},"# + Self.tool), "a text is no flag")
    #expect(!fires(&rule, human))
  }

  @Test(arguments: [
    ("trace", #"{"attributes":{"k":1}},{"attributes":{"k":2}}"#, true),
    ("trace", #"{"attributes":{"k":1}},{"attributes":{"k":1.0}}"#, false),
    ("trace", #"{"attributes":{"k":1}},{"attributes":{}},{"attributes":{"k":1}}"#, false),
    ("trace", #"{"attributes":{}},{"attributes":{"k":1}}"#, false),
    ("trace", #"{"attributes":{"k":1}},{"attributes":{"k":"1"}}"#, true),
    ("trace", #"{"attributes":{"k":{"a":[1]}}},{"attributes":{"k":{"a":[1]}}}"#, false),
    ("session", #"{"attributes":{"k":1,"session.id":"a"}},{"attributes":{"k":2,"session.id":"b"}}"#, false),
    // Canonically equivalent texts are two texts.
    ("trace", "{\"attributes\":{\"k\":\"\u{e9}\"}},{\"attributes\":{\"k\":\"e\u{301}\"}}", true),
    ("trace", "{\"attributes\":{\"k\":{\"\u{e9}\":1}}},{\"attributes\":{\"k\":{\"e\u{301}\":1}}}", true),
    (
      "session", "{\"attributes\":{\"k\":1,\"session.id\":\"\u{e9}\"}},{\"attributes\":{\"k\":2,\"session.id\":\"e\u{301}\"}}", false
    ),
    ("trace", #"{"attributes":{"k":["a","b"]}},{"attributes":{"k":["a:1\"b"]}}"#, true),
    ("trace", #"{"attributes":{"k":[[],1]}},{"attributes":{"k":[[1]]}}"#, true),
    ("trace", #"{"attributes":{"k":null}},{"attributes":{"k":"null"}}"#, true),
    ("session", #"{"attributes":{"k":1,"session":{"id":"a"}}},{"attributes":{"k":2,"session.id":"a"}}"#, true),
    ("conversation", #"{"attributes":{"k":1,"gen_ai.conversation.id":"a"}},{"attributes":{"k":2,"conversation.id":"a"}}"#, true),
    ("conversation", #"{"attributes":{"k":1}},{"attributes":{"k":2}}"#, false),
    ("agent.delegation_chain", #"{"attributes":{"k":1,"agent.delegation_chain":"c"}},{"attributes":{"k":2,"agent.delegation_chain":"c"}}"#, true),
    (
      "agent.delegation_chain", #"{"attributes":{"k":1,"agent.delegation_chain":["x"]}},{"attributes":{"k":2,"agent.delegation_chain":["y","x"]}}"#,
      true
    ),
    (
      "agent.delegation_chain", #"{"attributes":{"k":1,"agent.delegation_chain":["x"]}},{"attributes":{"k":2,"agent.delegation_chain":["y"]}}"#, false
    ),
    (
      "agent.delegation_chain",
      #"{"attributes":{"k":1,"agent.delegation_chain":[{"agent_id":"x","at":1}]}},{"attributes":{"k":2,"agent.delegation_chain":[{"agent_id":"x","at":2}]}}"#,
      true
    ),
    (
      "agent.delegation_chain",
      #"{"attributes":{"k":1,"agent.delegation_chain":[{"agent_id":"x"}]}},{"attributes":{"k":2,"agent.delegation_chain":{"agent_id":"y"}}}"#, false
    ),
  ])
  func invariant(_ across: String, _ spans: String, _ expected: Bool) {
    var rule = engine("method: trace\ntrace: {ingest_format: openinference, invariant: [{attribute: k, across: \(across)}]}")
    #expect(fires(&rule, spans) == expected)
  }

  @Test(arguments: [
    ("a: x", #"{"a":"x"}"#, true), ("a: x", #"{"a":"xy"}"#, false), ("a: x", "{}", false),
    ("a: true", #"{"a":true}"#, true), ("a: 'true'", #"{"a":true}"#, false), ("a: 1.50", #"{"a":15e-1}"#, true), ("a: '1'", #"{"a":1}"#, false),
    ("a: null", #"{"a":null}"#, true), ("a: null", "{}", false),
    ("a: {in: [x, 2]}", #"{"a":2}"#, true), ("a: {in: [x, 2]}", #"{"a":"2"}"#, false), ("a: {not_in: [x]}", "{}", true),
    ("a: {not_in: [x]}", #"{"a":"x"}"#, false), ("a: {equals: x}", #"{"a":"x"}"#, true), ("a: {not_equals: x}", "{}", true),
    ("a: {exists: true, not_equals: x}", "{}", false), ("a: {exists: true, not_equals: x}", #"{"a":"y"}"#, true),
    ("a: {exists: false}", "{}", true), ("a: {exists: false}", #"{"a":null}"#, false),
    ("a: {regex: '^4\\d+$'}", #"{"a":42}"#, true), ("a: {regex: X}", #"{"a":"x"}"#, false),
    ("a: {regex: '\"b\":\\[1,true\\]'}", #"{"a":{"b":[1,true]}}"#, true),
    ("a: {regex: x}", "{}", false),
    ("a: '${span.attributes.b}'", #"{"a":1,"b":1.0}"#, true), ("a: {not_equals: '${span.attributes.b.c}'}", #"{"a":"x","b":{"c":"y"}}"#, true),
    ("a: {not_equals: '${span.attributes.b.c}'}", #"{"a":"x","b.c":"x"}"#, false), ("a: {not_equals: '${span.attributes.b}'}", #"{"a":"x"}"#, true),
    ("a.b.c: x", #"{"a.b":{"c":"x"}}"#, true), ("a.b.c: x", #"{"a":{"b.c":"x"}}"#, true), ("a.b.c: x", #"{"a":{"b":{"c":"x"}}}"#, true),
    ("a.b.c: x", #"{"a.b":1,"a":{"b":{"c":"x"}}}"#, false), ("a.0.b: x", #"{"a":[{"b":"x"}]}"#, true), ("a.00.b: x", #"{"a":[{"b":"x"}]}"#, false),
    ("a: x", #"{"a":"y","a":"x"}"#, true),
    // Placeholders among other text, and in patterns, where they are literal.
    ("a: 'p-${span.attributes.b}'", #"{"a":"p-1","b":1}"#, true),
    ("a: {equals: '${span.attributes.b}/${span.attributes.c}'}", #"{"a":"x/y","b":"x","c":"y"}"#, true),
    ("a: 'p-${span.attributes.b}'", #"{"a":"p-"}"#, false), ("a: {not_equals: 'p-${span.attributes.b}'}", #"{"a":"p-2","b":1}"#, true),
    ("a: {regex: '^https://${span.attributes.host}/'}", #"{"a":"https://a.example/x","host":"a.example"}"#, true),
    ("a: {regex: '^https://${span.attributes.host}/'}", #"{"a":"https://aXexample/x","host":"a.example"}"#, false),
    ("a: {regex: '^https://${span.attributes.host}/'}", #"{"a":"https://undefined/x"}"#, false),
    ("a: {regex: '^(${span.attributes.b}){2}$'}", #"{"a":"a+a+","b":"a+"}"#, true),
    ("a: {regex: '\\$\\{HOME}'}", #"{"a":"${HOME}"}"#, true),
    ("a: '\u{e9}'", "{\"a\":\"\u{e9}\"}", true), ("a: '\u{e9}'", "{\"a\":\"e\u{301}\"}", false),
    ("a: {regex: '^\u{e9}$', not_equals: x}", "{\"a\":\"\u{e9}\"}", true), ("a: {regex: '^\u{e9}$'}", "{\"a\":\"e\u{301}\"}", false),
    ("a: 'p-${span.attributes.b}'", "{\"a\":\"p-\u{e9}\",\"b\":\"e\u{301}\"}", false),
    ("e\u{301}: x", "{\"\u{e9}\":\"x\"}", false),
    // What is absent is in nothing.
    ("a: {in: ['${span.attributes.b}']}", "{}", false), ("a: {in: ['${span.attributes.b}']}", #"{"a":1,"b":1}"#, true),
    ("a: {not_in: ['${span.attributes.b}']}", "{}", true), ("a: {in: ['${span.attributes.b}']}", #"{"a":null,"b":null}"#, true),
  ])
  func predicates(_ test: String, _ attributes: String, _ expected: Bool) {
    var rule = engine("method: trace\ntrace:\n  ingest_format: openinference\n  forbid:\n    - shape:\n        attributes:\n          \(test)")
    #expect(fires(&rule, "{\"attributes\":\(attributes)}") == expected)
  }

  /// The standard has conversations for the other ingest format only.
  @Test(arguments: [("openinference", 1), ("otel_gen_ai", 0)]) func conversations(_ format: String, _ warnings: Int) {
    let text =
      "schema_version: '1.0'\nid: ATR-2026-90001\ntitle: t\nseverity: high\nagent_source: {type: agent_trace}\ndetection:\n  method: trace\n"
      + "  trace: {ingest_format: \(format), invariant: [{attribute: k, across: conversation}]}\n"
    let found = RuleLoader.load(document: text, file: "r.yaml").diagnostics.filter { $0.message.contains("conversation") }
    #expect(found.map(\.severity) == Array(repeating: .warning, count: warnings))
  }

  @Test func placeholdersThatAreNone() {
    for value in [
      "'${trace.spans[0].attributes.a}'", "'${span.attributes.}'", "'${span.attributes.a'", "'${span.id}'",
      "{regex: '^${trace.spans[0].attributes.a}'}",
      "{regex: '[${span.attributes.a}]'}", "{in: ['x-${HOME}']}",
    ] {
      let text =
        "schema_version: '1.0'\nid: ATR-2026-90001\ntitle: t\nseverity: high\nagent_source: {type: agent_trace}\ndetection:\n  method: trace\n"
        + "  trace: {ingest_format: openinference, forbid: [{shape: {attributes: {a: \(value)}}}]}\n"
      let errors = RuleLoader.load(document: text, file: "r.yaml").diagnostics.filter { $0.severity == .error }
      #expect(errors.count == 1, "\(value): \(errors)")
    }
  }

  /// A trace decides what a pattern with placeholders costs, so there is a limit; and one trace's limit is not the next one's.
  @Test func resolvedPatternsAreBounded() {
    var rule = engine("method: trace\ntrace: {ingest_format: openinference, forbid: [{shape: {attributes: {a: {regex: '^${span.attributes.b}$'}}}}]}")
    let spans = (0..<Limits.traceResolvedPatterns + 10).map { "{\"attributes\":{\"a\":\"x\",\"b\":\"y\($0)\"}}" }.joined(separator: ",")
    #expect(!fires(&rule, spans))
    #expect(rule.takeGracefulErrors().count == 1)
    #expect(fires(&rule, #"{"attributes":{"a":"z","b":"z"}}"#))
    let long = String(repeating: "y", count: Limits.traceResolvedBytes)
    #expect(!fires(&rule, "{\"attributes\":{\"a\":\"x\",\"b\":\"\(long)\"}}"))
    #expect(rule.takeGracefulErrors().count == 1)
  }

  @Test func composition() {
    let body =
      "trace:\n  ingest_format: openinference\n  forbid: [{name: mail, shape: {span.kind: TOOL}}]\n  invariant: [{attribute: k, across: trace}]"
    let drift = #"{"attributes":{"k":1}},{"attributes":{"k":2}}"#
    let table: [(condition: String?, tool: Bool, drift: Bool, both: Bool)] = [
      (nil, true, true, true), ("any", true, true, true), ("all", false, false, true), ("mail and not invariant_1", true, false, false),
      ("forbid and invariant", false, false, true), ("invariant", false, true, true), ("any of *", true, true, true),
    ]
    for row in table {
      var rule = engine("method: trace\n" + (row.condition.map { "condition: \($0)\n" } ?? "") + body)
      #expect(fires(&rule, Self.tool) == row.tool, "\(row)")
      #expect(fires(&rule, drift) == row.drift, "\(row)")
      #expect(fires(&rule, drift + "," + Self.tool) == row.both, "\(row)")
    }
  }

  // MARK: Ingest

  @Test func shapesOfDocuments() {
    var rule = engine(
      "method: trace\ntrace: {ingest_format: openinference, forbid: [{shape: {span.kind: TOOL, attributes: {n.m: 7}}, preceded_by: {span.kind: AGENT}}]}"
    )
    let agent = #"{"kind":"AGENT"}"#
    let tool = #"{"span.kind":"TOOL","attributes":{"n.m":7}}"#
    #expect(fired(&rule, "{\"spans\":[\(agent),\(tool)]}"))
    #expect(fired(&rule, "{\"trace\":{\"spans\":[\(agent),\(tool)]}}"))
    #expect(fired(&rule, "[\(agent),\(tool)]"))
    #expect(fired(&rule, "[\(agent),\(tool)]", field: "trace.spans"))
    #expect(!fired(&rule, " {\"spans\":[\(agent),\(tool)]}", field: "content"))  // a trace is a member of the event, never a text
    #expect(!fired(&rule, "please read {\"spans\":[]}", field: "content"))
    let otlp = """
      {"resourceSpans":[{"resource":{},"scopeSpans":[{"spans":[
        {"traceId":"x","spanId":"2","startTimeUnixNano":"20","kind":3,"attributes":[
          {"key":"openinference.span.kind","value":{"stringValue":"TOOL"}},{"key":"n.m","value":{"intValue":"7"}}]},
        {"traceId":"x","spanId":"1","startTimeUnixNano":"10","kind":"SPAN_KIND_INTERNAL","attributes":[
          {"key":"gen_ai.operation.name","value":{"stringValue":"invoke_agent"}}]}]}]}]}
      """
    #expect(fired(&rule, otlp), "the later span is written first")
    #expect(!fired(&rule, otlp.replacing("\"traceId\":\"x\",\"spanId\":\"1\"", with: "\"traceId\":\"y\",\"spanId\":\"1\"")), "another trace")
  }

  @Test(arguments: [
    (#""start_time":"2026-01-01T00:00:02Z""#, #""start_time":"2026-01-01T00:00:01Z""#, true),
    (#""start_time":"2026-01-01T00:00:01Z""#, #""start_time":"2026-01-01T00:00:01Z""#, false),
    (#""start_time_unix_nano":2"#, #""x":1"#, false),
  ])
  func order(_ first: String, _ second: String, _ expected: Bool) {
    var rule = engine("method: trace\ntrace: {ingest_format: openinference, forbid: [{shape: {span.kind: TOOL}, preceded_by: {span.kind: AGENT}}]}")
    #expect(fires(&rule, #"{"kind":"TOOL",\#(first)},{"kind":"AGENT",\#(second)}"#) == expected)
  }

  // MARK: Errors and evidence

  @Test(arguments: [
    ("{", "not JSON"), ("", "not JSON"), ("1", "not a JSON object"), (#"{"spans":1}"#, "not a list"), (#"{}"#, "no \"spans\""),
    (#"{"spans":[1]}"#, "not an object"), (#"{"spans":[{"attributes":7}]}"#, "attributes"), (#"{"spans":[{"attributes":[{}]}]}"#, "no key"),
    ("{\"spans\":[" + String(repeating: "[", count: 100), "nesting"),
  ])
  func malformedTracesAreReported(_ text: String, _ reason: String) {
    var rule = engine("method: trace\ntrace: {ingest_format: openinference, forbid: [{shape: {span.kind: TOOL}}]}")
    #expect(!fired(&rule, text))
    let errors = rule.takeGracefulErrors()
    #expect(errors.count == 1)
    #expect(errors.first?.message.contains(reason) == true, "\(errors)")
    #expect(rule.counters.gracefulErrors == 1)
  }

  /// Where an event's `trace` or `spans` is no trace, each trace rule says so; an event without one has none.
  @Test(
    arguments: [
      (#"{"spans":{"a":1}}"#, "not a list"), (#"{"trace":{"foo":[1]}}"#, "no \"spans\""), (#"{"trace":{}}"#, "no \"spans\""),
      (#"{"trace":{"spans":{}}}"#, "not a list"), (#"{"trace":{"spans":null}}"#, "not a list"), (#"{"spans":{}}"#, "not a list"),
      (#"{"resourceSpans":{}}"#, "not a list"), (#"{"content":"x","trace":{"foo":1}}"#, "no \"spans\""),
      (#"{"content":"x","fields":{"trace":{"foo":1}}}"#, "no \"spans\""), (#"{"trace":{"id":"4bf9","spans":1}}"#, "not a list"),
      (#"{"content":"x","trace":{"spans":[]}}"#, nil), (#"{"trace":{"id":"4bf9"},"message":"m"}"#, nil), (#"{"trace":null}"#, nil),
      (#"{"content":"x"}"#, nil),
    ] as [(String, String?)])
  func malformedMembersAreReported(_ json: String, _ reason: String?) throws {
    var rule = engine("method: trace\ntrace: {ingest_format: openinference, forbid: [{shape: {span.kind: TOOL}}]}")
    var event = Event()
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    try Array(json.utf8).withUnsafeBytes { try event.setFields(fromAgentJSON: $0) }
    #expect(rule.ids(event) == [])
    let errors = rule.takeGracefulErrors().map(\.message)
    #expect(errors.count == (reason == nil ? 0 : 1))
    if let reason { #expect(errors.first?.contains(reason) == true, "\(errors)") }
  }

  /// Where an event has spans in several places, none hides the others.
  @Test(
    arguments: [
      (#"{"trace":{"id":"abc"},"spans":[TOOL]}"#, nil), (#"{"trace":{"spans":[]},"spans":[TOOL]}"#, nil),
      (#"{"trace":{"spans":[TOOL]},"spans":[]}"#, nil), (#"{"trace":{"resourceSpans":[],"spans":[TOOL]}}"#, nil),
      (#"{"spans":[],"resourceSpans":[{"scopeSpans":[{"spans":[TOOL]}]}]}"#, nil), (#"{"trace":"abc","spans":[TOOL]}"#, nil),
      (#"{"trace":{"spans":[]},"spans":{}}"#, "not a list"), (#"{"trace":"abc","spans":[]}"#, "not JSON"),
    ] as [(String, String?)])
  func noFieldHidesAnother(_ json: String, _ reason: String?) throws {
    var rule = engine("method: trace\ntrace: {ingest_format: openinference, forbid: [{shape: {span.kind: TOOL}}]}")
    var event = Event()
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    try Array(json.replacing("TOOL", with: Self.tool).utf8).withUnsafeBytes { try event.setFields(fromAgentJSON: $0) }
    let matches = rule.matches(event)
    #expect(matches.count == (reason == nil ? 1 : 0))
    if let match = matches.first { #expect(match.observed == 1, "a span counts once") }
    #expect(rule.takeGracefulErrors().map(\.message).allSatisfy { reason.map($0.contains) ?? false })
    #expect(rule.counters.gracefulErrors == (reason == nil ? 0 : 1))
  }

  @Test func aTraceInAnEvent() throws {
    var rule = engine("method: trace\ntrace: {ingest_format: openinference, forbid: [{shape: {span.kind: TOOL}}]}")
    let spans = Self.tool + String(repeating: "," + Self.web, count: 3000)
    for json in [
      "{\"trace\":{\"spans\":[\(spans)]}}", "{\"spans\":[\(spans)]}", "{\"trace\":[\(spans)]}", "{\"fields\":{\"trace\":{\"spans\":[\(spans)]}}}",
    ] {
      var event = Event()
      event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
      try Array(json.utf8).withUnsafeBytes { try event.setFields(fromAgentJSON: $0) }
      #expect(rule.ids(event).count == 1)
      event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
      if json.hasPrefix("{\"trace\":{") {
        try Array(json.utf8).withUnsafeBytes { try event.setFields(fromJSON: $0) }
        #expect(rule.ids(event).count == 1)
      }
    }
  }

  @Test func tooManySpans() throws {
    let spans = Array(repeating: "{}", count: Limits.traceSpans + 1).joined(separator: ",")
    let message = "{\"spans\":[\(spans)]}".withBytes { bytes in
      do throws(TraceError) { return "\(try TraceDocument.read(bytes).count)" } catch { return error.message }
    }
    #expect(message.contains("10001 spans"))
  }

  @Test func findingsNameSpansAndNothingElse() throws {
    var rule = engine(
      "method: trace\ntrace: {ingest_format: openinference, forbid: [{shape: {span.kind: TOOL}, preceded_by: {span.kind: AGENT}}]}")
    var event = Event()
    let tools = (0..<40).map { "{\"id\":\"t\($0)\\u001b[31m\",\"kind\":\"TOOL\",\"attributes\":{\"tool.args\":\"secret\"}}" }.joined(separator: ",")
    fill(&event, [("trace", "{\"spans\":[{\"kind\":\"AGENT\"},\(tools)]}")])
    let match = try #require(rule.matches(event).first)
    guard case .spans(let findings, let total) = match.details else { return #expect(Bool(false)) }
    #expect(total == 40)
    #expect(findings.count == Limits.traceFindings)
    #expect(findings[0] == TraceFinding(primitive: 0, span: "t0??31m", other: "#1"))
    #expect(match.observed == 40)
  }

  /// What one span's text costs is bounded, the rule says so, and spans behind it are looked at all the same.
  @Test(.timeLimit(.minutes(1)), arguments: [#"\bign (?:\w+ )*now[xy]"#, #"${span.attributes.b}\bign (?:\w+ )*now[xy]"#])
  func longWalksAreBounded(_ pattern: String) throws {
    var rule = engine("method: trace\ntrace: {ingest_format: openinference, forbid: [{shape: {attributes: {q.v: {regex: '\(pattern)'}}}}]}")
    let text = String(repeating: String(repeating: "ign ", count: 8000) + ". ", count: 10) + " now"
    let span = "{\"attributes\":{\"q.v\":\"\(text)\",\"b\":\"\"}}"
    #expect(try !firesOnEvent(&rule, span))
    #expect(rule.takeGracefulErrors().map(\.message) == ["a limit was hit while a pattern was matched"])
    #expect(try firesOnEvent(&rule, span + #",{"attributes":{"q.v":"so ign all and nowx","b":""}}"#))
    #expect(try firesOnEvent(&rule, #"{"attributes":{"q.v":"ign nowy","b":""}}"#))
  }

  /// The value is read once for each span, however many domains it belongs to.
  @Test(.timeLimit(.minutes(1))) func longChainsOfLongValues() throws {
    var rule = engine("method: trace\ntrace: {ingest_format: openinference, invariant: [{attribute: k, across: agent.delegation_chain}]}")
    let list = "[" + (0..<20_000).map { "\($0)" }.joined(separator: ",") + "]"
    let span = "{\"attributes\":{\"agent.delegation_chain\":\(list),\"k\":\(list)}}"
    #expect(try !firesOnEvent(&rule, span + "," + span))
    #expect(rule.takeGracefulErrors().isEmpty)
    #expect(try firesOnEvent(&rule, span + "," + span + #",{"attributes":{"agent.delegation_chain":["7"],"k":1}}"#))
  }

  @Test func aRuleThatIsRefusedIsNotEnabled() {
    let shape = TraceDetection.Shape(kind: nil, attributes: [TraceDetection.AttributeTest(path: "a", predicates: [.regex("(")])])
    let primitive = TraceDetection.Primitive(name: "p", assertion: .forbid(shape, precededBy: []), description: "", location: here)
    let engine = RuleEngine(
      ruleSet(
        rule("R", .trace(TraceDetection(ingestFormat: .openinference, primitives: [primitive], expression: .condition(0)))),
        regexRule("S", "x")))
    let (count, areEnabled) = (engine.diagnostics.count, [engine.isEnabled(rule: 0), engine.isEnabled(rule: 1)])
    #expect(count == 1)
    #expect(areEnabled == [false, true])
  }

  @Test func hostileTraces() {
    var rule = engine(
      "method: trace\ntrace: {ingest_format: openinference, forbid: [{shape: {attributes: {a.b.c: {regex: '(a+)+$'}}}}], invariant: [{attribute: a, across: agent.delegation_chain}]}"
    )
    for text in [
      "{\"spans\":[" + String(repeating: "{\"attributes\":{\"a.b.c\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\"}},", count: 20) + "{}]}",
      "{\"spans\":[{\"attributes\":{\"agent.delegation_chain\":[" + String(repeating: "1,", count: 20_000) + "1]}}]}",
      "{\"spans\":[{\"attributes\":{" + (0..<3000).map { "\"a.b\($0)\":1" }.joined(separator: ",") + "}}]}",
    ] { _ = fired(&rule, text) }
    // Every cut of a document is an error or a trace, never a trap.
    let whole = Array("{\"spans\":[\(Self.web),\(Self.tool)],\"x\":[1e9,\"\\ud800\"]}".utf8)
    for end in whole.indices {
      var event = Event()
      event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
      Array("trace".utf8).withUnsafeBytes { name in whole[..<end].withUnsafeBytes { event.setExtra(name, $0) } }
      _ = rule.ids(event)
    }
  }
}

@Suite struct MethodExplanationTests {
  @Test func primitives() {
    let engine = engine(
      "method: trace\ntrace: {ingest_format: openinference, forbid: [{shape: {span.kind: TOOL}, preceded_by: {span.kind: AGENT}}], invariant: [{attribute: k, across: trace}]}"
    )
    var event = Event()
    fill(&event, [("trace", #"{"spans":[{"id":"a","kind":"AGENT"},{"id":"t","kind":"TOOL"}]}"#)])
    #expect(
      engine.explainMethod(rule: 0, event: event) == [
        MethodReport(name: "forbid_1", isHeld: true, text: "violated by span t (after a)"),
        MethodReport(name: "invariant_1", isHeld: false, text: "not violated"),
      ])
    fill(&event, [("trace", "x")])
    #expect(engine.explainMethod(rule: 0, event: event).map(\.isHeld) == [nil])
    fill(&event, [("message", "x")])
    #expect(engine.explainMethod(rule: 0, event: event) == [])
  }
}
