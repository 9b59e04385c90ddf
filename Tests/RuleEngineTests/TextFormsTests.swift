import Events
import Primitives
import RuleLanguage
import Testing

@testable import RuleEngine

@Suite struct TextFormsTests {
  static func normal(_ text: String) -> String {
    Array(text.utf8).withUnsafeBytes { text in String(decoding: TextForms.normalised(text) ?? Array(text), as: UTF8.self) }
  }

  /// NFC first, then without what hides. (Scalars compared: Swift's own equality is canonical.)
  @Test(arguments: [
    ("plain", "plain"), ("é", "é"), ("e\u{301}", "é"), ("e\u{301}\u{301}", "é\u{301}"), ("i\u{200b}gnore", "ignore"),
    ("\u{feff}a\u{2060}b\u{202e}c\u{2069}d\u{180e}", "abcd"), ("e\u{200b}\u{301}", "e\u{301}"), ("\u{1100}\u{1161}\u{11a8}", "각"), ("가\u{11a8}", "각"),
    ("日本語e\u{301}日", "日本語é日"), ("か\u{3099}", "が"), ("\u{212b}", "Å"), ("\u{1e9b}\u{323}", "\u{1e9b}\u{323}"), ("\u{344}", "\u{308}\u{301}"),
    ("a\u{327}\u{301}\u{300}z", "a\u{327}\u{301}\u{300}z".precomposed), ("😀\u{200d}😀", "😀😀"), ("\u{301}", "\u{301}"), ("\u{200b}", ""),
    ("ẛ̣x", "\u{1e9b}\u{323}x"), ("A\u{30a}ngstro\u{308}m\u{200e}", "Ångström"), ("\u{3a9}\u{2126}", "ΩΩ"),
  ])
  func normalForm(_ text: String, _ expected: String) {
    #expect(Array(Self.normal(text).unicodeScalars) == Array(expected.unicodeScalars))
  }

  /// A text that is its own normal form is not copied, and doing it twice changes nothing.
  @Test func normalFormIsStable() {
    var random = Random(31)
    let pieces = [
      "a", "e", " ", "\u{301}", "\u{327}", "\u{200b}", "é", "日", "\u{1100}", "\u{1161}", "\u{11a8}", "가", "ा", "क", "\u{93c}", "ไ", "\u{e48}", "😀",
      "Ω",
      "\u{2126}", "\u{fb01}", "\u{f71}", "\u{f72}",
    ]
    for _ in 0..<3000 {
      let text = (0..<random.below(12)).map { _ in random.pick(pieces) }.joined()
      let once = Self.normal(text)
      let hidden = once.unicodeScalars.contains { TextForms.isHidden($0.value) }
      #expect(!hidden)
      // Taking a hidden character away can bring two together that would compose: that is how the reference does it too.
      if !text.contains("\u{200b}") {
        #expect(Array(Self.normal(once).unicodeScalars) == Array(once.unicodeScalars), "\(Array(text.unicodeScalars))")
      }
    }
  }

  @Test(
    arguments: [
      ([0x61, 0xff, 0x62], "a\u{fffd}b"), ([0xc3], "\u{fffd}"), ([0xe2, 0x84, 0x41], "\u{fffd}A"), ([0xed, 0xa0, 0x80], "\u{fffd}\u{fffd}\u{fffd}"),
      ([0xf0, 0x9f, 0x98], "\u{fffd}"), ([0xc0, 0xaf], "\u{fffd}\u{fffd}"),
    ] as [([UInt8], String)])
  func illFormedTextIsRepaired(_ bytes: [UInt8], _ expected: String) {
    let repaired = bytes.withUnsafeBytes { TextForms.repaired($0) }
    #expect(repaired.map { String(decoding: $0, as: UTF8.self) } == expected)
    let isLeftAlone = Array(expected.utf8).withUnsafeBytes { TextForms.repaired($0) == nil }
    #expect(isLeftAlone)
  }

  /// Hundreds of thousands of marks: bounded work, not a sort of all of them.
  @Test func stackedMarksStayLinear() {
    let text = "a" + String(repeating: "\u{301}\u{327}", count: 200_000)
    #expect(Self.normal(text).unicodeScalars.count > 300_000)
  }

  struct Case: CustomTestStringConvertible {
    var test: RuleLanguage.Condition.Test
    var value: String
    var holds: Bool
    var testDescription: String { "\(test) on \(Array(value.unicodeScalars))" }
  }
  /// A field is tested normalised and raw; either may match.
  static let cases: [Case] = [
    Case(test: .regex(["ignore previous"], caseSensitive: false), value: "ig\u{200b}nore previous", holds: true),
    Case(test: .regex(["\\u200b"], caseSensitive: false), value: "ig\u{200b}nore", holds: true),
    Case(test: .regex(["caf\u{e9}"], caseSensitive: false), value: "cafe\u{301}", holds: true),
    Case(test: .regex(["e\u{301}"], caseSensitive: false), value: "cafe\u{301}", holds: true),
    Case(test: .regex(["e\u{301}"], caseSensitive: false), value: "caf\u{e9}", holds: false),
    Case(test: .regex(["kelvin"], caseSensitive: false), value: "\u{212a}elvin", holds: true),
    Case(test: .regex(["kelvin"], caseSensitive: true), value: "\u{212a}elvin", holds: false),  // its normal form is K, not k
    Case(test: .regex(["secret"], caseSensitive: false), value: "\u{17f}ecret", holds: true),
    Case(test: .contains(["Cafe\u{301}"], caseSensitive: false), value: "un CAFE\u{301}", holds: true),
    Case(test: .contains(["caf\u{e9}"], caseSensitive: false), value: "un CAFE\u{301}", holds: true),
    Case(test: .contains(["secret"], caseSensitive: false), value: "s\u{200d}ecret", holds: true),
    Case(test: .contains(["secret"], caseSensitive: false), value: "\u{17f}ecret", holds: false),
    Case(test: .startsWith(["secret"], caseSensitive: false), value: "\u{feff}Secret", holds: true),
    Case(test: .exact(["secret"], caseSensitive: true), value: "\u{feff}secret", holds: true),
    Case(test: .exact(["\u{feff}secret"], caseSensitive: true), value: "\u{feff}secret", holds: true),
    Case(test: .exact(["secret"], caseSensitive: true), value: "\u{feff}Secret", holds: false),
  ]

  @Test(arguments: cases)
  func eitherFormMayMatch(_ c: Case) {
    var event = Event()
    fill(&event, [("message", c.value)])
    var plain = RuleEngine(ruleSet(pattern("R", any: condition("message", c.test))))
    #expect(plain.ids(event) == (c.holds ? ["R"] : []))
    var negated = RuleEngine(ruleSet(pattern("R", any: condition("message", c.test, not: true))))
    #expect(negated.ids(event) == (c.holds ? [] : ["R"]))
  }
}

extension String {
  /// What the table expects where composing is partial: U+0327 stays below, the first of the others composes with the letter.
  fileprivate var precomposed: String { "\u{e1}\u{327}\u{300}z" }
}
