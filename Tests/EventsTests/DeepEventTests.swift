// Events that nest too deep, or hold too many fields: what they say besides is read all the same.
import Primitives
import Testing

@testable import Events

@Suite struct DeepEventTests {
  private static let deep = String(repeating: "[", count: 100_000) + "\"}]\\\"evil\"" + String(repeating: "]", count: 100_000)

  @Test(arguments: [
    #"{"content":"foo","fields":{"x":DEEP}}"#, #"{"fields":{"x":DEEP},"content":"foo"}"#, #"{"content":"foo","x":DEEP}"#,
    #"{"content":"foo","metadata":{"x":DEEP}}"#, #"{"x":DEEP,"content":"foo","y":[DEEP,{"z":DEEP}]}"#,
  ]) func knownFieldsAreReadBesideADeepValue(_ json: String) throws {
    let json = json.replacing("DEEP", with: Self.deep)
    #expect(try AgentEventTests.text(of: json, "content") == "foo")
    #expect(try AgentEventTests.text(of: json, "user_input") == "foo")
    // It is a text like any other list: what is in it can be found.
    #expect(try AgentEventTests.text(of: json, "x") == Self.deep)
  }

  /// Objects of `fields` and `metadata` give dotted fields; what is too deep in them hides nothing either.
  @Test(arguments: ["fields", "metadata"]) func deepMembersOfObjectsAreTexts(_ place: String) throws {
    let depth = Limits.jsonDepth + 3
    let objects = String(repeating: #"{"a":"#, count: depth) + "1" + String(repeating: "}", count: depth)
    let json = #"{"content":"foo","PLACE":{"x":OBJECTS,"y":{"list":DEEP,"z":"end"}}}"#.replacing("PLACE", with: place)
      .replacing("OBJECTS", with: objects).replacing("DEEP", with: Self.deep)
    #expect(try AgentEventTests.text(of: json, "content") == "foo")
    #expect(try AgentEventTests.text(of: json, "x") == objects)
    #expect(try AgentEventTests.text(of: json, "x" + String(repeating: ".a", count: Limits.jsonDepth)) == #"{"a":{"a":{"a":1}}}"#)
    #expect(try AgentEventTests.text(of: json, "y.list") == Self.deep)
    #expect(try AgentEventTests.text(of: json, "y.z") == "end")
  }

  /// Every member would pay for it: quadratic in the text.
  @Test func membersBelowAVeryLongNameAreDropped() throws {
    let name = String(repeating: "k", count: Limits.fieldNameBytes + 1)
    try AgentEventTests.read(#"{"content":"foo","\#(name)":{"a":1},"\#(name.dropFirst())":{"b":"2"},"\#(name)x":"3"}"#) { event in
      #expect(event.isTruncated && AgentEventTests.text(event, "content") == "foo")
      #expect(AgentEventTests.text(event, "\(name).a") == nil)
      #expect(AgentEventTests.text(event, "\(name.dropFirst()).b") == "2" && AgentEventTests.text(event, "\(name)x") == "3")
    }
  }

  @Test func deepObjectsOfAFlatEventAreTexts() throws {
    let depth = Limits.jsonDepth + 3
    let json = #"{"message":"foo","x":"# + String(repeating: #"{"a":"#, count: depth) + "1" + String(repeating: "}", count: depth) + #","y":"z"}"#
    var event = Event()
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    try Array(json.utf8).withUnsafeBytes { try event.setFields(fromJSON: $0) }
    #expect(AgentEventTests.text(event, "message") == "foo")
    #expect(AgentEventTests.text(event, "y") == "z")
    let name = "x" + String(repeating: ".a", count: Limits.jsonDepth - 1)
    #expect(AgentEventTests.text(event, name) == #"{"a":{"a":{"a":{"a":1}}}}"#)
  }

  @Test(arguments: ["[", "{", "[[\"", "[\"a]", "[[}", "[[[]]"]) func whatDoesNotEndIsNoEvent(_ tail: String) {
    let json = #"{"content":"foo","x":"# + String(repeating: "[", count: Limits.jsonDepth + 1) + tail
    #expect(throws: JSONError.self) { _ = try AgentEventTests.text(of: json, "content") }
  }

  /// The first of a name wins, and a removed one is gone, also among so many that they are looked up by a mark.
  @Test func manyFieldsAreToldApart() throws {
    let pairs = (0..<2000).map { #""k\#($0 % 1500)":"v\#($0)""# }.joined(separator: ",")
    for json in ["{\(pairs)}", #"{"fields":{\#(pairs)}}"#] {
      let isExplicit = json.contains("fields")
      #expect(try AgentEventTests.text(of: json, "k7") == (isExplicit ? "v1507" : "v7"), "\(isExplicit)")
      #expect(try AgentEventTests.text(of: json, "k1023") == "v1023")
      #expect(try AgentEventTests.text(of: json, "k1400") == nil)
      #expect(try AgentEventTests.text(of: json, "nothing") == nil)
      try AgentEventTests.read(json) { event in #expect(event.isTruncated && event.extraCount == Limits.agentExtraFields) }
    }
    try AgentEventTests.read("{\(pairs.prefix(9000).split(separator: ",").prefix(600).joined(separator: ","))}") { event in
      var copy = Event()
      copy.assign(event)
      #expect(!copy.isTruncated && copy.extraCount == 600)
      #expect(AgentEventTests.text(copy, "k599") == "v599")
      #expect(AgentEventTests.text(copy, "k600") == nil)
    }
  }

  @Test func marksOfEncodings() throws {
    #expect(try AgentEventTests.text(of: "\u{feff}{\"content\":\"foo\"}", "content") == "foo")
    for wide in [[0xff, 0xfe, 0x7b, 0, 0x7d, 0], [0xfe, 0xff, 0, 0x7b], [0x7b, 0, 0x7d, 0], [0, 0x7b, 0, 0x7d]] as [[UInt8]] {
      let error = #expect(throws: JSONError.self) { try wide.withUnsafeBytes { try JSONMembers.forEach(of: $0) { _, _ in } } }
      #expect(error?.message.contains("UTF-16") == true)
    }
  }
}
