// How far a failed test got: the prefix that was found, what had to follow, and where; and that no pattern makes it costly or wrong.
import Primitives
import RuleEngine
import RuleLanguage
import Testing

@Suite struct NearMissTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var pattern: String
    var text: String
    /// prefix, rest, matched text; nil: nothing was found.
    var wanted: [String]?
    var testDescription: String { "\(pattern) in \(text)" }
    init(_ pattern: String, _ text: String, _ wanted: [String]?) {
      self.pattern = pattern
      self.text = text
      self.wanted = wanted
    }
  }
  private func found(_ test: Condition.Test, _ text: String) -> [String]? {
    let bytes = Array(text.utf8)
    return bytes.withUnsafeBytes { NearMiss.longest(of: test, in: $0) }.map {
      [$0.prefix, $0.rest, String(decoding: bytes[$0.span], as: UTF8.self)]
    }
  }

  private static let cases = [
    Case("curl", "cut the cur", ["cur", "l", "cur"]),
    Case("ignore\\s+all\\s+previous", "please IGNORE  all prior", ["ignore\\s+all\\s+pr", "evious", "IGNORE  all pr"]),
    Case("a(?:bc|de)f", "xade", ["a(?:bc|de)", "f", "ade"]),
    Case("a(?:bc|de)f", "xad", ["a(?:d)", "ef", "ad"]),
    Case("(?:curl|wget) .*\\| *sh", "wget x", ["(?:curl|wget) .*", "\\| *sh", "wget x"]),
    Case("(?i)abc|(?i:def)", "de", ["(?i)(?i:de)", "f", "de"]),
    Case(#"(?P<q>['"])x(?P=q)"#, #"'x""#, [#"(?P<q>['"])x"#, "(?P=q)", "'x"]),
    Case(#"[]a-c]{2,}\x41\d"#, "b]A", [#"[]a-c]{2,}\x41"#, #"\d"#, "b]A"]),
    Case("(?<=a)bc", "abd", ["(?<=a)b", "c", "b"]),
    Case("\\bx", "y", nil), Case("abc", "", nil), Case("(", "(", nil), Case("a**b", "a", ["a*", "*b", "a"]),
    Case("é+z", "caféé", ["é+", "z", "éé"]), Case("(?>ab|a)c", "ab", ["(?>ab|a)", "c", "ab"]), Case("\\", "x", nil), Case("[", "x", nil),
  ]
  @Test(arguments: cases) func patterns(_ c: Case) { #expect(found(.regex([c.pattern], caseSensitive: false), c.text) == c.wanted) }

  @Test func theFarthestAlternativeIsNamed() {
    #expect(found(.regex(["abcdef", "xyz"], caseSensitive: false), "abx xy abcd")?.first == "abcd")
    #expect(found(.contains(["needle", "need to know"], caseSensitive: false), "I NEED to k")?[0] == "need to k")
    #expect(found(.contains(["aab"], caseSensitive: true), "aaa") == ["aa", "b", "aa"])
    #expect(found(.exact(["ssh-login"], caseSensitive: true), "ssh-other") == ["ssh-", "login", "ssh-"])
    #expect(found(.startsWith(["/api"], caseSensitive: false), "/APX") == ["/ap", "i", "/AP"])
    #expect(found(.exact(["x"], caseSensitive: true), "") == nil)
    #expect(found(.compare(.gte, 5), "3") == nil)
    #expect(found(.exists(true), "3") == nil)
  }

  /// Deep, long and broken patterns: bounded work, no trap.
  @Test func hostilePatterns() {
    let text = String(repeating: "a", count: 5000)
    let patterns = [
      String(repeating: "(", count: 5000), String(repeating: "(?:a", count: 500) + String(repeating: ")", count: 500),
      String(repeating: "a?", count: 400) + String(repeating: "a", count: 400) + "b", "(a+)+b", String(repeating: "a|", count: 3000) + "b",
      "\\x{", "\\p{", "(?P<", "(?", "(?i", "[^", "[\\", "a{", "a{1,", String(repeating: "[", count: 999), "\\k<", "(?<n", "\u{1f600}{2}b",
    ]
    for pattern in patterns { _ = found(.regex([pattern], caseSensitive: false), text) }
    _ = found(.regex(Array(repeating: "ab", count: 1000), caseSensitive: false), text)
  }
}
