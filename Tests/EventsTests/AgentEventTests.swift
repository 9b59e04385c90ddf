import Primitives
import Testing

@testable import Events

@Suite struct AgentEventTests {
  static func read(_ json: String, _ body: (borrowing Event) -> Void) throws {
    var event = Event()
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    try Array(json.utf8).withUnsafeBytes { try event.setFields(fromAgentJSON: $0) }
    body(event)
  }
  static func text(_ event: borrowing Event, _ name: String) -> String? {
    if let field = Field(name: name) { return event.text(field)?.string }
    return Array(name.utf8).withUnsafeBytes { event.extra($0)?.string }
  }

  static func text(of json: String, _ name: String) throws -> String? {
    var result: String?
    try read(json) { event in result = text(event, name) }
    return result
  }

  static let contentNames = ["content", "user_input", "agent_output", "tool_args", "tool_name", "tool_response", "agent_message"]
  /// Which names show `content`, by type.
  static let shown: [(type: String, names: Set<String>)] = [
    ("llm_input", ["content", "user_input"]), ("llm_output", ["content", "agent_output"]), ("tool_call", ["content", "tool_args", "tool_name"]),
    ("tool_response", ["content", "tool_response"]), ("multi_agent_message", ["content", "agent_message"]), ("mcp_exchange", ["content"]),
    ("", ["content"]),
  ]

  /// Every type and every field: from content, from an explicit field, from metadata, from none.
  @Test func fieldsResolve() throws {
    for (type, names) in Self.shown {
      for name in Self.contentNames + ["tool_description", "tool_input", "something_else"] {
        let plain = names.contains(name) ? "C" : nil
        let isContentName = Self.contentNames.contains(name)
        func check(_ json: String, _ expected: String?) throws {
          let actual = try Self.text(of: json, name)
          #expect(actual == expected, "\(name) of \(json)")
        }
        try check(#"{"content":"C","event_type":"\#(type)"}"#, plain)
        try check(#"{"event_type":"\#(type)","fields":{"\#(name)":"F"},"content":"C"}"#, "F")
        try check(#"{"content":"C","event_type":"\#(type)","fields":{"\#(name)":""}}"#, "")
        try check(#"{"content":"C","event_type":"\#(type)","fields":{"\#(name)":null},"metadata":{"\#(name)":"M"}}"#, nil)
        try check(#"{"metadata":{"\#(name)":"M"},"content":"C","event_type":"\#(type)"}"#, plain ?? (isContentName ? nil : "M"))
        try check(#"{"metadata":{"\#(name)":"M"},"fields":{"\#(name)":"F"},"content":"","event_type":"\#(type)"}"#, "F")
        try check(#"{"content":"","event_type":"\#(type)"}"#, nil)
        try check(#"{"content":"C","event_type":"\#(type)","fields":{"\#(name)":"1","\#(name)":"2"}}"#, "2")
      }
    }
  }

  @Test(
    arguments: [
      (#"{"content":"C"}"#, "user_input", "C"), (#"{"fields":{"tool_args":"A"}}"#, "tool_args", "A"), (#"{"fields":{"n":5}}"#, "n", "5"),
      (#"{"fields":{"n":1.50}}"#, "n", "1.50"), (#"{"fields":{"n":true}}"#, "n", "True"), (#"{"fields":{"n":[1, "a"]}}"#, "n", #"[1, "a"]"#),
      (#"{"content":"C","session.id":"s","event_type":"llm_input"}"#, "session.id", "s"),
      (#"{"content":"C","scan_target":"skill"}"#, "scan_target", "skill"),
      (#"{"user_input":"flat"}"#, "user_input", "flat"), (#"{"user_input":"flat"}"#, "content", nil),
      (#"{"content":"a\ud800b"}"#, "content", "a\u{fffd}b"),
      (#"{"content":"\udc00\ud83d\ude00"}"#, "content", "\u{fffd}😀"), (#"{"fields":{"source.ip":"not an address"}}"#, "source.ip", nil),
    ] as [(String, String, String?)])
  func values(_ json: String, _ name: String, _ expected: String?) throws {
    let actual = try Self.text(of: json, name)
    #expect(actual == expected)
  }

  /// Names that the standard's tools write: `type` for `event_type`, `scanContext` for `scan_target`.
  @Test(
    arguments: [
      (#"{"content":"C","type":"tool_call"}"#, "tool_args", "C"), (#"{"type":"tool_call","content":"C"}"#, "event_type", "tool_call"),
      (#"{"content":"C","type":"tool_call","event_type":"llm_output"}"#, "tool_args", nil),
      (#"{"content":"C","type":"tool_call","event_type":"llm_output"}"#, "agent_output", "C"),
      (#"{"content":"C","type":"tool_call"}"#, "type", "tool_call"), (#"{"content":"C","type":7}"#, "user_input", "C"),
      (#"{"content":"C","type":"mcp_exchange"}"#, "user_input", nil),
      (#"{"type":"llm_input","user_input":"U"}"#, "event_type", "llm_input"), (#"{"type":"alarm","message":"m"}"#, "event_type", nil),
      (#"{"type":"alarm","message":"m"}"#, "type", "alarm"),
      (#"{"content":"C","scanContext":"mcp"}"#, "scan_target", "mcp"), (#"{"scanContext":"skill","user_input":"C"}"#, "scan_target", "skill"),
      (#"{"content":"C","scanContext":"mcp","scan_target":"skill"}"#, "scan_target", "skill"),
    ] as [(String, String, String?)])
  func aliases(_ json: String, _ name: String, _ expected: String?) throws {
    let actual = try Self.text(of: json, name)
    #expect(actual == expected)
  }

  @Test(arguments: [
    (#"{"content":"C","@timestamp":"2026-01-01T00:00:01Z"}"#, 1), (#"{"content":"C","timestamp":"2026-01-01T00:00:02Z"}"#, 2),
    (#"{"user_input":"C","timestamp":"2026-01-01T00:00:02Z"}"#, 2), (#"{"fields":{"@timestamp":"2026-01-01T00:00:03Z"}}"#, 3),
    (#"{"content":"C","metadata":{"timestamp":"2026-01-01T00:00:04Z"}}"#, 4),
    (#"{"content":"C","timestamp":"2026-01-01T00:00:02Z","@timestamp":"2026-01-01T00:00:01Z"}"#, 1),
    (#"{"content":"C","@timestamp":"2026-01-01T00:00:01Z","fields":{"timestamp":"2026-01-01T00:00:03Z"}}"#, 1),
    (#"{"content":"C","timestamp":"noon"}"#, 0), (#"{"content":"C","timestamp":1767225600}"#, 0),
  ])
  func times(_ json: String, _ second: Int) throws {
    var time = EventTime.zero
    try Self.read(json) { time = $0.time }
    let expected = try second == 0 ? EventTime.zero : #require(Array("2026-01-01T00:00:0\(second)Z".utf8).withUnsafeBytes { EventTime(rfc3339: $0) })
    #expect(time == expected)
  }

  /// Objects inside `fields` and `metadata` have members with dots, as objects of the event have.
  @Test(
    arguments: [
      (#"{"content":"x","skill":{"content":"T"}}"#, "skill.content", "T"),
      (#"{"content":"x","fields":{"skill":{"content":"T"}}}"#, "skill.content", "T"),
      (#"{"content":"x","metadata":{"skill":{"content":"T"}}}"#, "skill.content", "T"),
      (#"{"fields":{"skill":{"content":"T"}}}"#, "skill", #"{"content":"T"}"#),
      (#"{"fields":{"a":{"b":{"c":7,"d":[1, 2]},"e":true},"f":"g"}}"#, "a.b.c", "7"),
      (#"{"fields":{"a":{"b":{"c":7,"d":[1, 2]}}}}"#, "a.b.d", "[1, 2]"),
      (#"{"fields":{"a":{"b":{"c":7},"e":true}}}"#, "a.e", "True"), (#"{"fields":{"a":{"b":{}},"f":"g"}}"#, "f", "g"),
      (#"{"fields":{"user":{"name":"u"}}}"#, "user.name", "u"), (#"{"fields":{"a":{"b":null}},"metadata":{"a":{"b":"M"}}}"#, "a.b", nil),
      (#"{"fields":{"a":{"b":"F"}},"metadata":{"a":{"b":"M","c":"M"}}}"#, "a.b", "F"),
      (#"{"fields":{"a":{"b":"F"}},"metadata":{"a":{"c":"M"}}}"#, "a.c", "M"),
      (#"{"fields":{"a.b":null},"metadata":{"a":{"b":"M"}}}"#, "a.b", nil),
      (#"{"skill":{"content":"E"},"fields":{"skill":{"content":"F"}}}"#, "skill.content", "F"),
    ] as [(String, String, String?)])
  func nestedFields(_ json: String, _ name: String, _ expected: String?) throws {
    let actual = try Self.text(of: json, name)
    #expect(actual == expected)
  }

  /// A name that no rule can ask for is not made, however many members stand behind it; and members of objects never take the room of others.
  @Test func hostileObjectsInFields() throws {
    let long = String(repeating: "n", count: 100_000)
    let members = (0..<3000).map { "\"m\($0)\":1" }.joined(separator: ",")
    let json = "{\"content\":\"C\",\"fields\":{\"\(long)\":{\(members)},\"o\":{\(members)},\"last\":\"L\"}}"
    #expect(try Self.text(of: json, "last") == "L")
    #expect(try Self.text(of: json, "o.m1") == "1")
    let deep = String(repeating: "{\"a\":", count: 25) + "1" + String(repeating: "}", count: 25)
    #expect(try Self.text(of: "{\"fields\":{\"x\":\(deep)}}", "x" + String(repeating: ".a", count: 25)) == "1")
  }

  @Test(arguments: ["", "{", "[]", "7", #"{"content":"a"#, #"{"content":}"#, #"{"fields":{"a":}}"#, #"{"content":"a"}}"#, "{\"content\":\"\u{1}\"}"])
  func whatIsNotAnEventIsAnError(_ json: String) { #expect(throws: JSONError.self) { try Self.read(json) { _ in } } }

  /// One text under three names lies in memory once, whatever its size.
  @Test func aLargeTextIsHeldOnceAndGivenBack() throws {
    var event = Event()
    let size = 64 * 1024 * 1024
    let large = [UInt8](repeating: 0x61, count: size)
    for round in 0..<3 {
      event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
      large.withUnsafeBytes { event.setContent($0, type: .toolCall) }
      let start = event.text(.content)?.baseAddress
      let (held, isCut) = (event.text(.content)?.count, event.isTruncated)
      #expect(held == size && !isCut, "round \(round)")
      let others = [event.text(.toolArgs)?.baseAddress, event.text(.toolName)?.baseAddress]
      #expect(others == [start, start])
      let isLiteral = event.isLiteral(event.text(.content)!)
      #expect(!isLiteral)
      let blocks = event.overflow.count
      #expect(blocks == 1)
    }
    event.reset()
    let blocks = event.overflow.count
    #expect(blocks == 0)
    // A log line's event is still cut where it was.
    large.withUnsafeBytes { event.set(.message, $0) }
    let (isCut, length) = (event.isTruncated, event.text(.message)?.count ?? 0)
    #expect(isCut && length <= Limits.lineBytes + Limits.derivedBytes)
  }

  @Test func aCopyOfALargeEventIsItsOwn() {
    var event = Event()
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    let large = [UInt8](repeating: 0x62, count: 300_000)
    large.withUnsafeBytes { event.setContent($0, type: .llmInput) }
    var copy = Event()
    copy.assign(event)
    event.reset()
    let (count, last, isCut) = (copy.text(.userInput)?.count, copy.text(.userInput)?.last, copy.isTruncated)
    #expect(count == 300_000 && last == 0x62 && !isCut)
  }

  @Test func manyFieldsAreBoundedAndDoNotHideKnownOnes() throws {
    let junk = (0..<5000).map { "\"junk\($0)\":\"x\"" }.joined(separator: ",")
    let json = "{\"content\":\"C\",\"fields\":{\(junk),\"tool_description\":\"D\"}}"
    var counted = (0, false)
    try Self.read(json) { event in counted = (event.extraCount, event.isTruncated) }
    #expect(counted == (Limits.agentExtraFields, true))
    #expect(try Self.text(of: json, "tool_description") == "D")
    #expect(try Self.text(of: json, "user_input") == "C")
  }

  /// A million small values lie in few blocks: each further one must not look at all before it.
  @Test func manySmallValuesLieInFewBlocks() throws {
    var event = Event()
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    let members = (0..<200_000).map { "\"f\":\"value \($0)\"" }.joined(separator: ",")
    let text = Array("{\"content\":\"x\",\"fields\":{\(members)}}".utf8)
    try text.withUnsafeBytes { try event.setFields(fromAgentJSON: $0) }
    #expect(event.extra(Bytes("f"))?.string == "value 199999")
    #expect(event.overflowBlocks < 32)
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    #expect(event.overflowBlocks == 0)
  }
}
