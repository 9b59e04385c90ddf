import Events
import Primitives
import Testing

private func fields(_ event: borrowing Event) -> String {
  var json = JSONWriter()
  json.beginObject()
  event.writeFields(to: &json)
  json.endObject()
  return String(decoding: json.out, as: UTF8.self)
}

@Suite struct EventTests {
  @Test func everyFieldHasItsOwnName() {
    #expect(Set(Field.allNames).count == Field.allCases.count)
    for field in Field.allCases { #expect(Field(name: "\(field.name)") == field) }
  }

  @Test func readsNestedAndFlatJSONAlike() throws {
    let nested =
      #"{"@timestamp":"2026-01-05T00:00:19Z","source":{"ip":"192.0.2.1","port":22},"x":{"y":[1,{"z":2}]},"event.action":"a\u00e9","n":null,"source.mac":true}"#
    var event = Event()
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    var copy = nested
    try copy.withUTF8 { try event.setFields(fromJSON: Bytes($0)) }
    #expect(
      fields(event)
        == #"{"@timestamp":"2026-01-05T00:00:19Z","event.action":"aé","source.ip":"192.0.2.1","source.port":22,"source.mac":"true","x.y":"[1,{\"z\":2}]"}"#
    )
    var other = Event()
    other.assign(event)
    event.reset()
    #expect(fields(other).contains(#""x.y":"[1,{\"z\":2}]""#))
  }

  @Test func keepsValuesThatDoNotFitTheirType() throws {
    var text = #"{"source.ip":"not an address","source.port":"22"}"#
    var event = Event()
    try text.withUTF8 { try event.setFields(fromJSON: Bytes($0)) }
    #expect(event.address(.sourceIP) == nil)
    #expect(event.extra(Bytes("source.ip"))?.string == "not an address")
    #expect(event.integer(.sourcePort) == 22)
  }

  @Test(arguments: ["", "[]", "{", #"{"a"}"#, #"{"a":1,}"#, #"{"a":01}"#, "{\"a\":\"\u{1}\"}", #"{"a":1} x"#, #"{"a":"\q"}"#, #"{"a":"x"#])
  func refusesWhatIsNotOneObject(_ text: String) {
    var event = Event()
    var copy = text
    #expect(throws: JSONError.self) { try copy.withUTF8 { try event.setFields(fromJSON: Bytes($0)) } }
  }

  @Test func deepNestingIsAnError() {
    var text = String(repeating: #"{"a":"#, count: 100_000)
    var event = Event()
    #expect(throws: JSONError.self) { try text.withUTF8 { try event.setFields(fromJSON: Bytes($0)) } }
  }
}
