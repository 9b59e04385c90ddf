import Primitives
import Testing

@Suite struct JSONTests {
  private func members(_ text: String) throws -> [String] {
    var copy = text
    var out: [String] = []
    try copy.withUTF8 { try JSONMembers.forEach(of: Bytes($0)) { out.append("\($0.string)=\($1.string)") } }
    return out
  }

  @Test func slicesMembers() throws {
    #expect(try members(#" {"id" : 7, "event":{"a":[1,{"b":2}]} ,"x":"\"","y":[] , "n":null} "#) == ["id=7", #"event={"a":[1,{"b":2}]}"#, #"x="\"""#, "y=[]", "n=null"])
    #expect(try members("{}") == [])
  }
  @Test(arguments: ["", "7", "[1]", "\"a\"", "{", #"{"a":1"#, "{} x"])
  func refuses(_ text: String) { #expect(throws: JSONError.self) { _ = try members(text) } }

  @Test func writesHostileTextSafely() {
    func quoted(_ bytes: [UInt8]) -> String {
      var out: [UInt8] = []
      bytes.withUnsafeBytes { JSONWriter.appendQuoted($0, to: &out) }
      return String(decoding: out, as: UTF8.self)
    }
    #expect(quoted(Array("a\"b\\c\n\u{1}é".utf8)) == #""a\"b\\c\n\u0001é""#)
    #expect(quoted([0x61, 0xff, 0x62, 0xe2, 0x82]) == "\"a\u{fffd}b\u{fffd}\"")
    #expect(quoted([0xed, 0xa0, 0x80]) == "\"\u{fffd}\u{fffd}\u{fffd}\"")
    #expect(quoted([0x7f]) == #""\u007f""#)
  }

  /// Any bytes at all, written and read again: valid UTF-8 comes back unchanged, and nothing traps.
  @Test func roundTrips() throws {
    var state: UInt64 = 99
    for _ in 0..<3000 {
      var bytes: [UInt8] = []
      for _ in 0..<(state >> 40 % 40) {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        bytes.append(UInt8(truncatingIfNeeded: state >> 33))
      }
      state = state &* 6_364_136_223_846_793_005 &+ 1
      var json = JSONWriter()
      bytes.withUnsafeBytes { json.value($0) }
      var back: [UInt8] = []
      try json.out.withUnsafeBytes {
        var reader = JSONReader($0)
        _ = try reader.next { if case .string(let text) = $0 { back = Array(text) } }
        #expect(try reader.next { _ in true } == nil)
      }
      #expect(String(decoding: back, as: UTF8.self).utf8.count == back.count)
      if String(validating: bytes, as: UTF8.self) != nil { #expect(back == bytes) }
      bytes.withUnsafeBytes { raw in
        var reader = JSONReader(raw)
        while (try? reader.next { _ in true }) ?? nil != nil {}
      }
    }
  }
}
