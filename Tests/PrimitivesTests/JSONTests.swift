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
    #expect(
      try members(#" {"id" : 7, "event":{"a":[1,{"b":2}]} ,"x":"\"","y":[] , "n":null} "#) == [
        "id=7", #"event={"a":[1,{"b":2}]}"#, #"x="\"""#, "y=[]", "n=null",
      ])
    #expect(try members("{}") == [])
  }
  @Test func aMarkMayStandBeforeWhiteSpace() throws {
    #expect(try members("\u{feff} \n{\"a\":1}") == members("{\"a\":1}"))
    #expect(throws: JSONError.self) { _ = try members("\u{feff} ") }
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

  /// Each byte at each place of texts of several lengths, against one that looks at one byte at a time.
  @Test func quotesEachByteAtEachPlace() {
    func expected(_ byte: UInt8) -> [UInt8] {
      switch byte {
      case 0x22: Array(#"\""#.utf8)
      case 0x5c: Array(#"\\"#.utf8)
      case 0x0a: Array(#"\n"#.utf8)
      case 0x0d: Array(#"\r"#.utf8)
      case 0x09: Array(#"\t"#.utf8)
      case 0x20..<0x7f: [byte]
      case 0x80...: Array("\u{fffd}".utf8)
      default: Array((byte < 16 ? "\\u000" : "\\u00").utf8) + Array(String(byte, radix: 16).utf8)
      }
    }
    for length in [1, 7, 8, 9, 17] {
      for at in 0..<length {
        for byte in UInt8.min ... .max {
          var text = [UInt8](repeating: 0x7e, count: length)
          text[at] = byte
          var out: [UInt8] = []
          text.withUnsafeBytes { JSONWriter.appendQuoted($0, to: &out) }
          #expect(out == [0x22] + text[..<at] + expected(byte) + text[(at + 1)...] + [0x22])
        }
      }
    }
  }

  /// Values put together on the stack are the writer's own.
  @Test func smallValuesAgree() {
    let times = [EventTime.zero, EventTime(nanoseconds: 1_767_571_239_000_000_000), EventTime(nanoseconds: 1_767_571_239_120_000_001)]
    let numbers: [UInt64] = [0, 9, 10, 99, 100, 9_999_999_999_999_999_999, 10_000_000_000_000_000_000, .max]
    for (i, number) in numbers.enumerated() {
      let time = times[i % times.count]
      let mark = Fingerprint(high: number &* 0x9e37_79b9_7f4a_7c15, low: 0x0123_4567_89ab_cdef)
      var a = JSONWriter()
      a.beginArray()
      a.value(number)
      a.value(time)
      a.value("\(mark)")
      a.endArray()
      var b = JSONWriter()
      b.verbatim(atMost: 100) { text in
        text.put("[")
        text.put(decimal: number)
        text.put(",")
        text.put(time)
        text.put(",")
        text.put(mark)
        text.put("]")
      }
      #expect(a.out == b.out)
      let halves = [mark.high, mark.low].map { String($0, radix: 16) }
      #expect("\(mark)" == halves.map { String(repeating: "0", count: 16 - $0.count) + $0 }.joined())
    }
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
