// What PCRE2 answers when it is told what the package makes of a pattern. The spans are those of Python 3.11's `re` with IGNORECASE,
// or of its package `regex` (V0) where `re` refuses; made by running both.
import RegularExpressions
import Testing

@Suite struct MatchingTests {
  struct Case: Sendable {
    var pattern: String
    var text: String
    /// Bytes.
    var span: Range<Int>?
  }

  private static let cases: [(String, String, Range<Int>?)] = [
    (#"a\d+"#, "xA12 a\u{663}", 1..<4),
    (#"\bfoo\b"#, "\u{e9}foo foo", 6..<9),
    (#"\w+$"#, "ab \u{e9}\u{a}", 3..<5),
    (#"x$"#, "x\u{a}\u{a}", nil),
    (#"^b"#, "a\u{a}b", nil),
    (#"(?m)^b$"#, "a\u{a}b\u{a}c", 2..<3),
    (#"(?m)^"#, "a\u{a}", 0..<0),
    (#"a.b"#, "a\u{a}b a\u{d}b", 4..<7),
    (#"(?s)a.b"#, "a\u{a}b", 0..<3),
    (#"\s+"#, "a\u{1c}\u{1f}\u{85}\u{a0}\u{2028}b", 1..<10),
    (#"\S+"#, " \u{1f}ab\u{200b} ", 2..<7),
    ("stra\u{df}e", "STRA\u{1e9e}E", 0..<8),
    (#"kiss"#, "\u{212a}I\u{17f}\u{17f}", 0..<8),
    (#"[a-k]+"#, "\u{212a}", 0..<3),
    (#"\W"#, "iKs_!", 4..<5),
    (#"[\W_]"#, "iKs!", 3..<4),
    (#"[^\W]+"#, "!iKs\u{130}", 1..<6),
    (#"(?a)\W"#, "iKs!", 3..<4),
    (#"(?a)[\W\d]"#, "ikS1", 3..<4),
    (#"\D"#, "1i", 1..<2),
    (#"[^\S]"#, "iks ", 3..<4),
    (#"[^k]"#, "\u{212a}", nil),
    (#"i"#, "\u{130}", 0..<2),
    ("\u{131}", "I", 0..<1),
    (#"(?-i:K)k"#, "kK KK", 3..<5),
    (#"(?i:a)B"#, "ab AB", 0..<2),
    (#"(a)(b)\2"#, "abb", 0..<3),
    (#"(?P<q>[\'"]).*?(?P=q)"#, "say \"hi\" 'x'", 4..<8),
    (#"(?P<n>a)(b)(?(n)c|d)"#, "abc", 0..<3),
    (#"(?>a+)b"#, "aaab", 0..<4),
    (#"a++b"#, "aaab", 0..<4),
    (#"a{2,3}?"#, "aaaa", 0..<2),
    (#"x{,2}y"#, "xxxy", 1..<4),
    (#"[]a]+"#, "]a", 0..<2),
    (#"[^]a]+"#, "]ab", 2..<3),
    (#"[[:alpha:]]+"#, "a:]", 1..<3),
    (#"[a\-z]+"#, "a-z", 0..<3),
    (#"[\w-]+"#, "a-b", 0..<3),
    (#"[\]\[]+"#, "[]", 0..<2),
    (#"a{"#, "a{", 0..<2),
    (#"\x41\u0042\U00000043"#, "abc", 0..<3),
    (#"(?=.*b)a"#, "a b", 0..<1),
    (#"(?!.*c)a"#, "a b a c", nil),
    (#"\Aab\Z"#, "ab", 0..<2),
    (#"\Aab\Z"#, "ab\u{a}", nil),
    (#"\B"#, "", nil),
    (#"\Bb"#, "ab", 1..<2),
    (#"a|"#, "ba", 0..<0),
    (#"(?x) a b # c\n c"#, "abc", 0..<2),
    (#"(?#c)a"#, "a", 0..<1),
    (#"(?a)\w+"#, "\u{e9}1", 2..<3),
    (#"(?a:\bx)"#, "\u{e9}x", 2..<3),
    (#"(?a)k"#, "\u{212a}k", 3..<4),
    (#"[\u4e00-\u9fff]{2}"#, "x\u{4e2d}\u{6587}", 1..<7),
    ("\u{e9}", "\u{c9}", 0..<2),
    (#"\141\0"#, "a\u{0}", 0..<2),
    (#"(?:a|b)*?c"#, "abac", 0..<4),
    (#"(a*)*b"#, "aab", 0..<3),
    (#"\.\*\+\?\(\)\[\]\{\}\|\^\$"#, ".*+?()[]{}|^$", 0..<13),
    (#"[\s\S]{3}"#, "a\u{a}\u{e9}", 0..<4),
    ("\u{fb05}", "\u{fb06}", 0..<3),
    ("\u{b5}", "\u{3bc}", 0..<2),
    ("\u{e5}", "\u{c5}", 0..<2),
    (#"(?<=a|bc)d"#, "bcd", 2..<3),
    (#"(?<!a|bc)d"#, "bcd xd", 5..<6),
    (#"(?<=a+)b"#, "xaab", 3..<4),
    (#"(?<!\b(?:they|users?)\s)say"#, "they say users say I say", 21..<24),
    (#"(?<=\bmcp\b[\s\S]{0,40})env"#, "mcp                                        env", 43..<46),
    (#"(?<=\bmcp\b[\s\S]{0,40})env"#, "mcp                                         env", nil),
    (#"(?<=x(?:ab?c|d{1,3})?)y"#, "xaby xacy xddy xabcy y xy", 8..<9),
    (#"(?<=^(?:a|bc){2,3})d"#, "abcad abcd", 4..<5),
    (#"(?<=a\s+)b"#, "a  b", 3..<4),
    (#"(?<!(?:no|not\s?)(?:really)?)ok"#, "notreallyok not ok nook ok", 24..<26),
    (#"(?<!(?:no|not\s?)k(?:really)?)ok"#, "notkok notkreallyok xok", 21..<23),
    (#"(?<=(?:ab|c){0,3}x)y"#, "abcxy", 4..<5),
    (
      #"(?<=key.*)secret(?:[a-z]{3}[0-9]{2}x){100}"#, "key secret" + String(repeating: "abc12x", count: 100), 4..<610
    ),
    (#"[^\p{L}\p{N}\s]{3}evil"#, "a!!!evil", 1..<8),
    (#"[\s\p{P}]evil"#, "x evil", 1..<6),
    (#"[\p{L}\u4e00-\u9fff]+!!"#, "1ab!!", 1..<5),
    (#"[\p{L}\u4e00-\u9fff]+!!"#, "1ab\u{4e2d}!!", 1..<8),
    (#"[\p{Nd}\u212a]+"#, "ak1", 1..<3),
    (#"[\W\p{L}]+"#, "_-a1", 1..<3),
    (#"[^\S\p{L}]+"#, "a \u{a0}1", 1..<4),
    (#"[^\D\p{L}]"#, "a-1", 2..<3),
    (#"(?:^)?foobar"#, "xfoobar", 1..<7),
    (#"(?:\b)?foobaz"#, "xfoobaz", 1..<7),
    (#"(?:\b){2,}a"#, "ba a", 3..<4),
    (#"(?:^)*a"#, "ba", 1..<2),
    (#"(?:$){2}"#, "ab", 2..<2),
    (#"ab{,}cdef"#, "abbbcdef", 0..<8),
    (#"a{,}?b"#, "aab", 0..<3),
    (#"(?:a|ab){1}+c"#, "abc", nil),
    (#"(?:a|ab){1}+c"#, "ac", 0..<2),
  ]
  /// What Python refuses: as ECMAScript has it.
  private static let ecmaScript: [(String, String, Range<Int>?)] = [
    (#"\u{1F600}"#, "a\u{1f600}", 1..<5),
    (#"[\u{1F600}-\u{1F64F}]+"#, "\u{1f600}\u{1f601}", 0..<8),
    (#"\uD83D\uDE00"#, "\u{1f600}", 0..<4),
    (#"\uDB40[\uDC00-\uDC7F]"#, "\u{e0041}", 0..<4),
    (#"\uD83D"#, "\u{1f600}", nil),
    (#"(?:a)\1"#, "a\u{1}", 0..<2),
    (#"(?:a\1)(b)"#, "ab", 0..<2),
    (#"\k<n>(?<n>a)"#, "a", 0..<1),
    (#"[\w-.]+"#, "a-.b", 0..<4),
    ("[^]", "\n", 0..<1),
    ("[]", "a", nil),
    (#"(?#()(a)\2"#, "a\u{2}", 0..<2),
    ("(?x)(a) # (b)\n\\2", "a\u{2}", 0..<2),
    (#"(?:[]|(a))\1"#, "aa", 0..<2),
    (#"\cJ"#, "\n", 0..<1),
  ]

  @Test(arguments: [false, true]) func spansAreThoseOfTheReference(usesJIT: Bool) throws {
    for (pattern, text, span) in MatchingTests.cases + MatchingTests.ecmaScript {
      let expression = try RegularExpression(pattern, isCaseSensitive: false)
      let bytes = Array(text.utf8)
      for kind in bytes.allSatisfy({ $0 < 0x80 }) ? [RegularExpression.TextKind.ascii, .unicode] : [.unicode] {
        guard let translated = expression.pcre2(for: kind) else {
          #expect(span == nil, "\(pattern)")
          continue
        }
        var message = ""
        guard let matcher = PatternMatcher(translated, kind, message: &message) else {
          Issue.record("\(pattern): \(translated): \(message)")
          continue
        }
        let found = matcher.firstMatch(in: bytes, usesJIT: usesJIT)
        #expect(found.isKnown && found.span == span, "\(pattern) on \(text) as \(translated)")
        #expect(PatternMatcher.problem(pattern, isCaseSensitive: false, texts: [bytes]) == nil)
      }
    }
  }

  @Test func caseCountsWhereTheRuleSaysSo() throws {
    for (pattern, text, span) in [("Ab", "ab Ab", 3..<5), ("(?i)Ab", "ab", 0..<2), ("[A-Z]+", "abC", 2..<3)] {
      let expression = try RegularExpression(pattern, isCaseSensitive: true)
      for kind in [RegularExpression.TextKind.ascii, .unicode] {
        var message = ""
        let matcher = try #require(PatternMatcher(expression.pcre2(for: kind) ?? "", kind, message: &message))
        #expect(matcher.firstMatch(in: Array(text.utf8), usesJIT: true).span == span)
      }
    }
  }

  /// Repeats that could share a run are said in another way; the first match is where PCRE2 finds it for the pattern as it is.
  @Test func sharedRunsKeepTheFirstMatch() throws {
    var state: UInt64 = 88_172_645_463_325_252
    func pick<T>(_ list: [T]) -> T {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return list[Int(state % UInt64(list.count))]
    }
    let items = ["x*", "x*", "x*", "x+", "x*?", "y?", "x?", "(?:xy)?", "(?:y|xx)?", "(?:y?x)?", "y??", "y*", "[xy]*", "z", "(x)?", "(?:a|x*)?"]
    var rewritten = 0
    for _ in 0..<4000 {
      let pattern = (0..<3 + Int(state % 6)).map { _ in pick(items) }.joined()
      let translated = try #require(try RegularExpression(pattern, isCaseSensitive: true).pcre2(for: .ascii))
      var message = ""
      let plain = try #require(PatternMatcher(pattern, .ascii, message: &message))
      let ours = try #require(PatternMatcher(translated, .ascii, message: &message))
      if translated.contains("x*)?") { rewritten += 1 }
      for _ in 0..<6 {
        let text = (0..<Int(state % 12)).map { _ in pick([0x78, 0x78, 0x79, 0x7a] as [UInt8]) }
        #expect(plain.firstMatch(in: text, usesJIT: false).span == ours.firstMatch(in: text, usesJIT: false).span, "\(pattern) as \(translated)")
      }
    }
    #expect(rewritten > 500)
  }

  /// Deterministic: patterns of the tables, cut, joined and stirred. Nothing traps; what reads compiles; the analysis holds.
  @Test func stirredPatterns() throws {
    var state: UInt64 = 0x9e37_79b9_7f4a_7c15
    func next(_ bound: Int) -> Int {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return Int(state % UInt64(max(1, bound)))
    }
    let seeds = (MatchingTests.cases + MatchingTests.ecmaScript).map { (Array($0.0.utf8), Array($0.1.utf8)) }
    let pieces = [
      "(", ")", "(?:", "(?<=", "(?<!", "(?=", "|", "*", "+?", "{2,5}", "[^", "]", #"\1"#, "(?i)", #"\u"#, "-", "^", "$", ".", #"\b"#, "k", "é",
      "д", "ß", "[à-ü]", "[\u{200b}-\u{200f}]", "[\u{1f300}-\u{1f5ff}]+", "[. _]", "[. _]{1,3}w", #"\x00"#,
    ]
    var problems: [String] = []
    for _ in 0..<1500 {
      let seed = seeds[next(seeds.count)]
      var pattern = seed.0
      for _ in 0...next(4) {
        let at = next(pattern.count + 1)
        switch next(4) {
        case 0: pattern.insert(contentsOf: Array(pieces[next(pieces.count)].utf8), at: at)
        case 1: if at < pattern.count { pattern.remove(at: at) }
        case 2: pattern = Array(pattern[..<at]) + seeds[next(seeds.count)].0
        default: if at < pattern.count { pattern[at] = UInt8(next(128)) }
        }
      }
      let source = String(decoding: pattern, as: UTF8.self)
      let texts =
        [seed.1, seed.1 + [0x0a] + seeds[next(seeds.count)].1, Array("aab k\u{17f}i\u{130} \u{e9}".utf8), Array(source.utf8)]
        + ["\u{c9}\u{fc}\u{dc} \u{414}\u{1c81}\u{434} \u{1e9e}\u{df} \u{1f320}\u{200c}", "_w. W\0 ._w"].map { Array($0.utf8) }
      if let problem = PatternMatcher.problem(source, isCaseSensitive: next(2) == 0, texts: texts) { problems.append("\(source): \(problem)") }
    }
    #expect(problems.isEmpty, "\(problems.prefix(5))")
  }
}
