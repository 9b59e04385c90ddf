import Detection
import Export
import PanguardTestKit
import Primitives
import Testing

/// A reader of RFC 5424 written from the RFC's grammar (section 6), for checking ours against. nil where the message breaks it.
struct ReferenceMessage {
  var priority = 0
  var fields: [String] = []
  var elementID = ""
  var parameters: [(name: String, value: String)] = []
  var text = ""

  init?(_ bytes: [UInt8]) {
    var at = 0
    func take(_ byte: Character) -> Bool {
      guard at < bytes.count, bytes[at] == byte.asciiValue else { return false }
      at += 1
      return true
    }
    func word(until stop: (UInt8) -> Bool) -> String {
      let start = at
      while at < bytes.count, !stop(bytes[at]) { at += 1 }
      return String(decoding: bytes[start..<at], as: UTF8.self)
    }
    guard take("<"), let number = Int(word { $0 == 0x3e }), (0...191).contains(number), take(">"), take("1"), take(" ") else { return nil }
    priority = number
    for _ in 0..<5 {
      let field = word { $0 == 0x20 }
      guard !field.isEmpty, field.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }), take(" ") else { return nil }
      fields.append(field)
    }
    guard take("[") else { return nil }
    elementID = word { $0 == 0x20 || $0 == 0x5d }
    while take(" ") {
      let name = word { $0 == 0x3d }
      guard !name.isEmpty, name.utf8.count <= 32, take("="), take("\"") else { return nil }
      var value: [UInt8] = []
      while at < bytes.count, bytes[at] != 0x22 {
        guard bytes[at] != 0x5d else { return nil }
        if bytes[at] == 0x5c, at + 1 < bytes.count, [0x22, 0x5c, 0x5d].contains(bytes[at + 1]) { at += 1 }
        value.append(bytes[at])
        at += 1
      }
      guard take("\"") else { return nil }
      parameters.append((name, String(decoding: value, as: UTF8.self)))
    }
    guard take("]"), take(" ") else { return nil }
    text = String(decoding: bytes[at...], as: UTF8.self)
  }
  func value(_ name: String) -> String? { parameters.first { $0.name == name }?.value }
}

@Suite struct RFC5424Tests {
  @Test func golden() {
    let messages = Sample.all.map { String(decoding: RFC5424.message($0, hostname: "web1.example", procid: "4711"), as: UTF8.self) }
    GoldenFile.check(messages.joined(separator: "\n") + "\n", "rfc5424.txt")
  }

  @Test func holdsWhatItSays() throws {
    let message = try #require(ReferenceMessage(RFC5424.message(Sample.network, hostname: "web1", procid: "7")))
    #expect(message.priority == 10 * 8 + 2)
    #expect(message.fields == ["2026-01-05T07:30:00.123456Z", "web1", "panguard", "7", "decision"])
    #expect(message.elementID == "panguard@32473")
    #expect(message.value("subject") == "2001:db8:1:2::/64")
    #expect(message.value("user") == "alice")
    #expect(message.value("technique") == "T1190,T9999")
    #expect(message.value("confidence") == Sample.network.confidence.description)
    #expect(message.text == "SQL injection: url.query matches /union\\s+select/")
  }

  @Test(arguments: [("", "-"), (" \n", "-"), ("a b\u{0}c é", "abc"), (String(repeating: "h", count: 300), String(repeating: "h", count: 255))])
  func cleansItsHeader(_ hostname: String, _ shown: String) throws {
    let message = try #require(ReferenceMessage(RFC5424.message(Sample.network, hostname: hostname, procid: "")))
    #expect(message.fields[1] == shown)
    #expect(message.fields[3] == "-")
  }

  /// Whatever the values: one line, valid UTF-8, at most 8 KiB, and the values come out as they went in (escaped for terminals).
  @Test func noValueCanEndItsElement() throws {
    var random = SplitMix64(seed: 4)
    for _ in 0..<3000 {
      let decision = random.decision()
      let bytes = RFC5424.message(decision, hostname: random.text(), procid: random.text())
      #expect(bytes.count <= RFC5424.messageBytes)
      #expect(!bytes.contains { $0 < 0x20 || $0 == 0x7f })
      #expect(String(validating: bytes, as: UTF8.self) != nil)
      let message = try #require(ReferenceMessage(bytes))
      #expect(message.value("rule") == TerminalText.escaped(decision.ruleID))
      #expect(message.value("user") == decision.subject.user.map(TerminalText.escaped))
      #expect(message.value("cut") == nil)
    }
  }

  @Test(arguments: ["u", "\"", "]", "\\", "é", "漢", "😀", "\n"])
  func isBoundedWhateverIsLong(_ piece: String) throws {
    let long = String(repeating: piece, count: 4096)
    var decision = Sample.bruteForce
    decision.id = long
    decision.subject = Subject(source: long, user: long, session: long, host: long)
    decision.ruleID = long
    decision.ruleTitle = long
    decision.techniques = [long, long]
    decision.summary = long
    let bytes = RFC5424.message(decision, hostname: long, procid: long)
    #expect(bytes.count <= RFC5424.messageBytes)
    #expect(String(validating: bytes, as: UTF8.self) != nil)
    let message = try #require(ReferenceMessage(bytes))
    #expect(message.value("cut") == "true")
    #expect(message.value("user")?.hasSuffix("…") == true)
    #expect(message.text.hasSuffix("…"))
    #expect(message.text.utf8.count > 1000)
  }
}
