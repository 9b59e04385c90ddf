// Reading, translating and analysing, by tables.
import Primitives
import Testing

@testable import RegularExpressions

@Suite struct RegularExpressionTests {
  @Test func keepsItsSource() throws {
    #expect(try RegularExpression("a+", isCaseSensitive: false).source == "a+")
  }

  static let space = #"\x{9}-\x{d}\x{1c}- \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"#

  @Test func translations() throws {
    let table: [(String, ascii: String?, unicode: String)] = [
      ("abc", "(?is)abc", "(*UCP)(?is)abc"),
      ("a.c", #"(?is)a[^\n]c"#, #"(*UCP)(?is)a[^\n]c"#),
      ("12", "(?s)12", "(*UCP)(?s)12"),
      (#"\d"#, "(?s)[0-9]", #"(*UCP)(?is)\d"#),
      (#"(?a)\d"#, "(?s)[0-9]", "(*UCP)(?s)[0-9]"),
      (#"\s"#, #"(?s)[\x{9}-\x{d}\x{1c}- ]"#, "(*UCP)(?is)[\(RegularExpressionTests.space)]"),
      ("i", "(?is)i", #"(*UCP)(?is)[i\x{130}\x{131}]"#),
      ("(?-i:i)", "(?s)i", "(*UCP)(?s)i"),
      ("(?s).", "(?s).", "(*UCP)(?s)."),
      ("^a$", #"(?is)\Aa\Z"#, #"(*UCP)(?is)\Aa\Z"#),
      ("(?m)^a$", #"(?is)(?:\A|(?<=\n))a(?m:$)"#, #"(*UCP)(?is)(?:\A|(?<=\n))a(?m:$)"#),
      ("(a)(b)", "(?is)(?:a)(?:b)", "(*UCP)(?is)(?:a)(?:b)"),
      (#"(a)(b)\2"#, #"(?is)(?:a)(b)\g{1}"#, #"(*UCP)(?is)(?:a)(b)\g{1}"#),
      (#"(?P<x>a)\k<x>"#, #"(?is)(a)\g{1}"#, #"(*UCP)(?is)(a)\g{1}"#),
      ("\u{4ed8}\u{6b3e}", nil, #"(*UCP)(?s)\x{4ed8}\x{6b3e}"#),
      ("\u{4ed8}|pay", "(?is)pay", #"(*UCP)(?is)\x{4ed8}|pay"#),
      ("\u{212a}", "(?is)k", #"(*UCP)(?is)\x{212a}"#),
      (#"\uDB40[\uDC00-\uDC7F]"#, nil, #"(*UCP)(?is)[\x{e0000}-\x{e007f}]"#),
      ("(?<!the|a)b", "(?is)(?<!the|a)b", "(*UCP)(?is)(?<!the|a)b"),
      ("(?<=a+)b", "(?is)(?<=a{1})b", "(*UCP)(?is)(?<=a{1})b"),
      (#"(?<=a\s+)b"#, #"(?is)(?:a[\x{9}-\x{d}\x{1c}- ]+)\Kb"#, "(*UCP)(?is)(?:a[\(RegularExpressionTests.space)]+)\\Kb"),
      ("x*,?x*y?x*z", "(?is)x*(?:,x*)?(?:yx*)?z", "(*UCP)(?is)x*(?:,x*)?(?:yx*)?z"),
      (#"x*(,?)x*z\1"#, #"(?is)x*(,?)x*z\g{1}"#, #"(*UCP)(?is)x*(,?)x*z\g{1}"#),
      (#"(?:a)\1"#, #"(?is)(?:a)\x{1}"#, #"(*UCP)(?is)(?:a)\x{1}"#),
    ]
    for (pattern, ascii, unicode) in table {
      let expression = try RegularExpression(pattern, isCaseSensitive: false)
      if pattern != "(?:a)\\1" { #expect(expression.pcre2(for: .ascii) == ascii, "\(pattern)") }
      if pattern != "(?:a)\\1" { #expect(expression.pcre2(for: .unicode) == unicode, "\(pattern)") }
    }
  }

  @Test func refusalsSayWhere() {
    let table: [(String, Int, String)] = [
      ("a**", 2, "multiple repeat"), ("(a", 0, "missing ), unterminated subpattern"), ("a)", 1, "unbalanced parenthesis"),
      ("*a", 0, "nothing to repeat"), ("a|+", 2, "nothing to repeat"), ("^*", 1, "nothing to repeat"), (#"a\b{2}"#, 3, "nothing to repeat"),
      ("(?#(<n>)(?<m>a)(?(n)b)", 15, "the condition names a group that does not exist"), ("é[a", 2, "unterminated character set"),
      ("[b-a]", 1, "bad character range"), (#"a\q"#, 1, #"bad escape \q"#), (#"\u12"#, 0, "incomplete escape"),
      ("a{3,2}", 6, "the lower repeat count is above the upper"),
      ("a{70000}", 1, "a repeat count is above 65535"), ("(?<n", 4, "unterminated group name"), ("(?P<1>a)", 4, "missing group name"),
      (#"\k<m>(?<n>a)"#, 0, "unknown group name"),
      ("(?Q)", 0, "unknown extension or flag"), ("(?", 2, "unexpected end of pattern"), ("a\\", 1, "bad escape at the end of the pattern"),
      ("(*ACCEPT)", 1, "nothing to repeat"),
      (#"\u{110000}"#, 0, "the code point is above U+10FFFF"),
    ]
    for (pattern, offset, message) in table {
      do throws(RegularExpressionError) {
        _ = try RegularExpression(pattern, isCaseSensitive: false)
        Issue.record("\(pattern) was taken")
      } catch {
        #expect(error.message == message && !error.isUnsupported, "\(pattern): \(error)")
        if message != "the lower repeat count is above the upper", message != "missing group name", message != "unterminated group name" {
          #expect(error.offset == offset, "\(pattern): \(error)")
        }
      }
    }
  }

  @Test func whatCannotBeSaidIsUnsupported() {
    for pattern in [#"(?:x|(?<=a\s+b))c"#, #"(?<=(a|bc)\1)d"#, #"(?<!no\s*)y"#] {
      do throws(RegularExpressionError) {
        _ = try RegularExpression(pattern, isCaseSensitive: false)
        if pattern != #"(?<=(a|bc)\1)d"# { Issue.record("\(pattern) was taken") }
      } catch {
        #expect(error.isUnsupported, "\(pattern): \(error)")
      }
    }
  }

  /// What needs other characters is no way to match a text of ASCII, and each character is one byte there.
  @Test func requirementsInASCII() throws {
    func facts(_ pattern: String) throws -> (any: [String]?, ascii: [String]?, longest: Int?)? {
      let facts = try RegularExpression(pattern, isCaseSensitive: false).matchFacts()
      func words(_ requirement: Requirement?) -> [String]? {
        requirement?.literals.map { String(decoding: $0.bytes, as: UTF8.self) + "@\($0.longestBefore?.bytes ?? -1)" }
      }
      return facts.inASCII.map { (words(facts.requirement), words($0.requirement), $0.longest) }
    }
    let mixed = try #require(try facts("д{2}|concedido"))
    #expect(mixed.any == ["ДД@0", "Дд@0", "Дᲁ@0", "дД@0", "дд@0", "дᲁ@0", "ᲁД@0", "ᲁд@0", "ᲁᲁ@0", "concedido@0"])
    #expect(mixed.ascii == ["concedido@0"])
    let reach = try #require(try facts(#"[^\n]{0,96}xyzzy"#))
    #expect(reach.any == ["xyzzy@384"])
    #expect(reach.ascii == ["xyzzy@96"])
    #expect(reach.longest == 101)
    #expect(try facts("[а-я]{2,}") == nil)
    // The Kelvin sign is a k in another case.
    #expect(try facts("\u{212a}9") != nil)
  }

  /// What only looks ahead over any number of any characters is seen from the start of the text, or from nowhere.
  @Test func whatLooksAheadOverAnythingBeginsAtTheStart() throws {
    let table: [(String, Bool)] = [
      (#"(?=[\s\S]*ab)"#, true), (#"(?=[\s\S]*ab)(?=[\w\W]*?(?<!a)c)"#, true), (#"(?s)(?=.*ab)"#, true), (#"((?=[\d\D]*ab))"#, true),
      (#"(?=[\s\S]*+ab)"#, true), (#"(?=.*ab)"#, false), (#"(?=[\s\S]*ab)c"#, false), (#"(?=[\s\S]+ab)"#, false), (#"(?=[\s\S]{0,9}ab)"#, false),
      (#"(?=[\s\S]*ab)(?![\s\S]*c)"#, false), (#"(?=[\s\S]*?(a|b))(?=[\s\S]*?\1\1)"#, false), (#"(?=[\s\S]*(a)?(?(1)b|c))"#, false),
      (#"(?=[\s\S]*ab)|c"#, false), (#"(?<=[\s\S]{3})"#, false), (#"(?=[\s\d]*ab)"#, false), (#"(?=ab[\s\S]*)"#, false),
    ]
    for (pattern, isStart) in table {
      let facts = try RegularExpression(pattern, isCaseSensitive: false).matchFacts()
      #expect((facts.start != nil) == isStart, "\(pattern)")
    }
  }

  @Test func requirements() throws {
    func all(_ pattern: String, _ sensitive: Bool = false) throws -> [String]? {
      try RegularExpression(pattern, isCaseSensitive: sensitive).matchFacts().requirement.map { requirement in
        requirement.literals.map {
          String(decoding: $0.bytes, as: UTF8.self) + "@" + ($0.longestBefore.map { "\($0.bytes)" + String(repeating: " ", count: $0.blanks) } ?? "*")
        }
      }
    }
    let table: [(String, [String]?)] = [
      ("ab+c", ["bc@*"]),
      ("Jailbreak", ["jailbreak@0"]),
      (#"ignore\s+previous-words"#, ["ignore previous-words@0"]),
      (#"ignore\s+previous-instructions"#, ["ignore previous-instruct@0"]),
      (#"\s+x\s*y"#, [" xy@0", " x y@0"]),
      (#"ignore\s+(?:all\s*)?exfiltrate"#, ["ignore allexfiltrate@0", "ignore all exfiltrate@0", "ignore exfiltrate@0"]),
      (#"ignore\s+(?:all\s+)*exfiltrate"#, ["exfiltrate@*"]),
      (#"run[\s,]+exfiltrate"#, [" exfiltrate@*", ",exfiltrate@*"]),
      (#"the\s{1,3}exfiltrate"#, ["the exfiltrate@0"]),
      (#"[^\n]{3}\s{1,3}exfiltrate"#, [" exfiltrate@12"]),
      ("(?:curl|wget) -x", ["curl -x@0", "wget -x@0"]),
      ("x?yz", ["yz@1"]),
      ("gr[ae]yhat", ["grayhat@0", "greyhat@0"]),
      ("(?=.*secretkey)[a-z]", ["secretkey@*"]),
      ("(?!.*secretkey)ab", ["ab@0"]),
      ("(?<=secretkey)ab", ["ab@0"]),
      (".*", nil),
      (#"\d+"#, nil),
      ("é+caf", ["Écaf@0 ", "écaf@0 "]),
      ("\u{4ed8}\u{6b3e}", ["\u{4ed8}\u{6b3e}@0"]),
      ("a|", nil),
      ("(?:foo){3}", ["foofoofoo@0"]),
    ]
    for (pattern, expected) in table {
      let found = try all(pattern)
      #expect(found == expected, "\(pattern): \(found ?? [])")
    }
    #expect(try all("é", true) == ["é@0"])
    #expect(try all("é", false) == ["É@0", "é@0"])
  }

  /// A character beyond ASCII is two bytes and more: a literal, in each of its cases; and many of them begin with the same bytes.
  @Test func requirementsBeyondASCII() throws {
    func literals(_ pattern: String, _ sensitive: Bool = false) throws -> [[UInt8]]? {
      try RegularExpression(pattern, isCaseSensitive: sensitive).matchFacts().requirement?.literals.map(\.bytes)
    }
    func bytes(_ texts: String...) -> [[UInt8]] { texts.map { Array($0.utf8) } }
    // Regional indicators: one block of 64.
    #expect(try literals("[\u{1f1e6}-\u{1f1ff}]{4,}") == [[0xf0, 0x9f, 0x87]])
    // More than one: so many bytes as leave few.
    #expect(
      try literals("[\u{1f300}-\u{1faff}\u{2600}-\u{27bf}]+") == [
        [0xe2, 0x98], [0xe2, 0x99], [0xe2, 0x9a], [0xe2, 0x9b], [0xe2, 0x9c], [0xe2, 0x9d], [0xe2, 0x9e], [0xf0, 0x9f],
      ])
    #expect(try literals(#"[\u200B\u200D\uFEFF]{5,}"#) == bytes("\u{200b}", "\u{200d}", "\u{feff}"))
    #expect(try literals("[\u{e000}-\u{e03f}]x") == [[0xee, 0x80]])
    #expect(try literals(#"[\uD7F0-\uE001]"#, true) == nil, "with all surrogates between")
    // In the scan form these are others: white space, and letters of ASCII in another case.
    #expect(try literals(#"[\u2000-\u200B]{3}"#) == nil)
    #expect(try literals(#"[\u0100-\u0180]{3}"#, true) == nil)
    // Too many, or in two cases.
    #expect(try literals(#"[\u0400-\u0FFF]{3}"#, true) == nil)
    #expect(try literals(#"[\u0430-\u044F]{3}"#) == nil)
    #expect(try literals(#"[\u0430-\u044F]{3}"#, true) == nil)
    #expect(try literals(#"[\u4E00-\u4E7F]{3}"#) == [[0xe4, 0xb8], [0xe4, 0xb9]])
    // Three letters say enough.
    let access = try #require(try literals("доступ"))
    #expect(access.count <= 32 && access.allSatisfy { $0.count >= 4 } && access.contains(Array("туп".utf8)), "\(access.count)")
    #expect(try literals("doğru") == bytes("doĞru", "doğru"))
    #expect(try literals("[çğ]xyz") == bytes("Çxyz", "çxyz", "Ğxyz", "ğxyz"))
  }

  /// Every character that PCRE2 or Python take for another one but for case is known to be one.
  @Test func noCaseIsMissing() throws {
    // Where there are cases.
    let blocks: [ClosedRange<UInt32>] = [
      0x41...0x2fff, 0xa640...0xabff, 0xfb00...0xffff, 0x1_0400...0x1_0fff, 0x1_18a0...0x1_18ff, 0x1_6e40...0x1_6eff, 0x1_e900...0x1_e943,
    ]
    let all = blocks.joined().compactMap { Unicode.Scalar($0) }
    let text = Array(String(String.UnicodeScalarView(all)).utf8)
    for scalar in all where CaseTable.hasOthers(scalar.value) {
      let expected = CaseTable.equals(of: scalar.value)
      var message = ""
      let matcher = try #require(PatternMatcher("(?i)\\x{\(String(scalar.value, radix: 16))}", .unicode, message: &message))
      for found in matcher.allMatches(in: text) {
        let other = try #require(String(decoding: text[found], as: UTF8.self).unicodeScalars.first)
        if !expected.contains(other.value) { Issue.record("\(other.value) is another case of \(scalar.value)") }
      }
      for other in CaseTable.pythonOnly(scalar.value) where !expected.contains(other) { Issue.record("\(other) of \(scalar.value)") }
    }
  }

  /// Single letters between separators are literals of three bytes, and texts of one byte stand beside longer ones.
  @Test func shortPartsAreLiteralsToo() throws {
    let spaced = try #require(try RegularExpression(#"P[\s._-]{1,3}W[\s._-]{1,3}N"#, isCaseSensitive: false).matchFacts().requirement)
    #expect(spaced.literals.map(\.bytes).contains(Array("-w_".utf8)) && spaced.literals.count == 16)
    let zero = try RegularExpression(#"(?:\x00|%00|\\0|\\u0000)"#, isCaseSensitive: false).matchFacts()
    #expect(zero.requirement == nil && zero.ways.count == 2)
    #expect(zero.ways.contains { $0.others.isEmpty && $0.bytes.map(\.count) == [1] && $0.bytes[0].contains(0) })
    #expect(zero.ways.contains { $0.bytes.isEmpty && $0.others == [["%00", #"\0"#, #"\u0000"#].map { Array($0.utf8) }] })
    // A letter may stand in the other case, and a space for other white space.
    #expect(try RegularExpression("a|%00", isCaseSensitive: false).matchFacts().ways == [])
    #expect(try RegularExpression(#"\s|%00"#, isCaseSensitive: false).matchFacts().ways == [])
  }

  @Test func lengthsSetsAndRuns() throws {
    let base64 = try RegularExpression("[A-Za-z0-9+/]{40,}", isCaseSensitive: true).matchFacts()
    #expect(base64.shortest == 40 && base64.longest == nil)
    #expect(base64.runs.map(\.count) == [40])
    #expect(base64.runs.first?.set.count == 64)
    let digits = try RegularExpression(#"[0-9]{3}-[0-9]{4}"#, isCaseSensitive: false).matchFacts()
    #expect(digits.shortest == 8 && digits.longest == 8)
    #expect(digits.byteSets.contains { $0.count == 1 && $0.contains(0x2d) })
    let any = try RegularExpression("(?s).{2}", isCaseSensitive: false).matchFacts()
    #expect(any.shortest == 2 && any.longest == 8)
  }

  /// A text that a reference repeats is as long as what its group took, in characters: other cases of them may take fewer bytes. A forward
  /// reference may be empty, a group that has not matched is no match, and what a group only sees is not what it takes.
  @Test func referencesAreAsLongAsTheirGroups() throws {
    let texts = [
      "", "a", "aa", "ab", "aba", "abab", "abcabc", "kK", "\u{212a}k", "k\u{212a}", "\u{17f}s", "s\u{17f}", "\u{e9}\u{c9}", "aaa", "ba", "b",
      "xx xx xx", "foo foofoo foo", "aXXa",
    ].map { Array($0.utf8) }
    let table: [(pattern: String, least: Int)] = [
      (#"(ab)\1"#, 4), (#"(a|bcd)\1"#, 2), ("(\u{212a})\\1", 2), ("(\u{17f})\\1", 2), (#"(a)?\1"#, 1), (#"(a)|b\1"#, 1), (#"(?=(\w+))\1"#, 1),
      (#"(\w{3}){2}\1"#, 9), (#"((ab)c\2)\1"#, 10), (#"(a*)\1b"#, 1), (#"(?:(a)|b)\1"#, 2), (#"\b(\w{2,9})(?:\s+\1){2}\b"#, 8), (#"\1(a)"#, 1),
      (#"(a\1)"#, 1), (#"(?<=(aa))\1"#, 2), (#"(?!(aa))a\1"#, 3), (#"(a){0}\1"#, 1), (#"(?:(aa)|\1b)+"#, 2), (#"(é)\1"#, 2),
    ]
    for (pattern, least) in table {
      for isCaseSensitive in [true, false] {
        let shortest = try RegularExpression(pattern, isCaseSensitive: isCaseSensitive).matchFacts().shortest
        #expect(shortest == least || pattern.contains("\u{212a}") || pattern.contains("\u{17f}"), "\(pattern): \(shortest)")
        #expect(PatternMatcher.problem(pattern, isCaseSensitive: isCaseSensitive, texts: texts) == nil, "\(pattern)")
      }
    }
  }

  /// They take long only if something is worse than linear.
  @Test func hostilePatterns() {
    let patterns = [
      String(repeating: "(", count: 100_000), String(repeating: "(", count: 1 << 20),
      String(repeating: "(?:", count: 60) + "a" + String(repeating: "){1,2}", count: 60),
      String(repeating: "(?<=", count: 50) + "a?" + String(repeating: ")", count: 50), String(repeating: "[", count: 60_000),
      String(repeating: "[]", count: 30_000),
      String(repeating: "a|", count: 30_000), String(repeating: "a?", count: 30_000),
      String(repeating: "(?=", count: 59) + String(repeating: ")", count: 59),
      "(?:(?:(?:(?:a{1,65535}){1,65535}){1,65535}){1,65535})", "(?<=a{0,65535})b", "(?<=(?:a|bc){0,2000})b", "(?<=(?:(?:a?b?){0,100}){0,100}c)d",
      "(?<!" + String(repeating: "(?:a|bb)", count: 500) + ")c", "(?<=(?:){0,65535}a?c)b", String(repeating: #"\p{L}"#, count: 10_000),
      "[" + String(repeating: #"\p{Lu}\p{Ll}"#, count: 4000) + "]",
      String(repeating: "(?<n>a)", count: 8000), "(a)" + String(repeating: #"\1"#, count: 20_000),
      "[" + (0..<9000).map { #"\u{\#(String($0 * 7, radix: 16))}"# }.prefix(7000).joined() + "]",
      String(repeating: "(?i)", count: 16_000), String(repeating: "(?:abc|def)", count: 5000),
      "(?:" + (0..<8000).map { "w\($0)" }.joined(separator: "|") + ")",
      String(repeating: "x{", count: 30_000), String(repeating: "(?#", count: 20_000), String(repeating: #"\"#, count: 60_000),
      String(repeating: #"\uD800"#, count: 10_000),
      String(repeating: "(?:", count: 59) + "(?:abcdefgh|k)" + String(repeating: "x?){2,3}", count: 59),
    ]
    for pattern in patterns {
      guard let expression = try? RegularExpression(pattern, isCaseSensitive: false) else { continue }
      _ = expression.matchFacts()
      #expect((expression.pcre2(for: .unicode)?.utf8.count ?? 0) <= Limits.translationBytes)
    }
  }

  #if DEBUG
    /// Twice the pattern takes no more than twice the steps, for each shape that a pattern can grow in.
    @Test func stepsGrowNoFasterThanThePattern() throws {
      let shapes: [(String, (Int) -> String)] = [
        ("empty branches", { String(repeating: "a|", count: $0) }),
        ("branches", { count in "(?:" + (0..<count).map { "w\(1000 + $0)" }.joined(separator: "|") + ")" }),
        ("options", { String(repeating: "a?", count: $0) }),
        ("letters", { String(repeating: "kx", count: $0) }),
        ("groups", { String(repeating: "(a)", count: $0) }),
        ("references", { "(a)" + String(repeating: #"\1"#, count: $0) }),
        ("conditions", { "(a)" + String(repeating: "(?(1)b|c)", count: $0) }),
        ("classes", { String(repeating: #"[^a]\W\S"#, count: $0 / 10) }),
        ("members", { count in "[" + (0..<count).map { #"\u{\#(String(0x10000 + $0 * 7, radix: 16))}"# }.joined() + "]" }),
        ("repeats", { String(repeating: "(?:ab+c?){2,9}", count: $0) }),
        ("look-behinds", { String(repeating: "(?<=ab)c", count: $0) }),
        ("look-aheads", { String(repeating: "(?=a+b)", count: $0) }),
        ("deep", { String(repeating: String(repeating: "(?:", count: 55) + "ab" + String(repeating: "){1,2}", count: 55), count: $0 / 50) }),
        ("deep and wide", { String(repeating: "(?:a|", count: 55) + String(repeating: "b", count: $0) + String(repeating: ")", count: 55) }),
      ]
      for (name, shape) in shapes {
        func steps(_ count: Int) throws -> Int {
          let pattern = shape(count)
          return try PatternWork.steps { () throws(RegularExpressionError) in
            _ = try RegularExpression(pattern, isCaseSensitive: false).matchFacts()
          }
        }
        let (once, twice) = (try steps(1000), try steps(2000))
        #expect(once >= 100 && twice <= 2 * once + 1000, "\(name): \(once) steps, of twice the size \(twice)")
      }
    }
  #endif
}
