import Events
import Primitives
import RegularExpressions
import RuleLanguage
import Testing

@testable import RuleEngine

/// A pattern on a text, without anything that makes it fast: the whole text, raw and normalised, by PCRE2's interpreter.
struct PlainPattern {
  private let ascii: Regex?
  private let unicode: Regex?

  /// nil: it is not a pattern.
  init?(_ text: String, caseSensitive: Bool) {
    guard let expression = try? RegularExpression(text, isCaseSensitive: caseSensitive) else { return nil }
    func compile(_ kind: RegularExpression.TextKind) throws -> Regex? {
      try expression.pcre2(for: kind).map { try Regex(Array($0.utf8), kind: kind, useJIT: false) }
    }
    do {
      ascii = try compile(.ascii)
      unicode = try compile(.unicode)
    } catch {
      return nil
    }
  }
  func free() {
    ascii?.free()
    unicode?.free()
  }
  func matches(_ text: Bytes, _ memory: RegexMemory) -> Bool {
    // However many steps it takes.
    func one(_ text: Bytes) -> Bool { (TextForms.isASCII(text) ? ascii : unicode)?.matches(text, steps: 100_000_000, memory) == .yes }
    if TextForms.isASCII(text) { return one(text) }
    let repaired = TextForms.repaired(text) ?? Array(text)
    return repaired.withUnsafeBytes { raw in one(raw) || TextForms.normalised(raw)?.withUnsafeBytes(one) == true }
  }
}

@Suite struct PrefilterTests {
  /// The whole engine against PCRE2 alone.
  @Test func neverHidesAMatch() throws {
    let fixed = [
      "union\\s+select", "\\s", "[\\s]x", "\\h\\v", "\\bab\\b", "a\\Bb", "^a", "b$", "^$", "a.b", "a\\Nb", "(?s)a.b", "(?m)^b", "(?m)a$", "\\Ab",
      "b\\z", "b\\Z",
      "[^a]b", "[^\\n]b", "a|b|\\x00", "\\x00", "\\xff", "[\\x80-\\xff]", "(a|b)*c", "(?<=a)b", "(?<!a)b", "a(?=b)", "a(?!b)", "(a)\\1", "a++b",
      "(?>a*)b",
      "[[:space:]]b", "[[:alpha:]]{3}", "\\w+\\d", "\\W\\D", "a{2,3}b", "(?i)AB", "(?i:A)B", "(?-i)aB", "ab?c?", "é", "[éa]b", "\\p{L}a", "k", "K+s",
      "\\R",
      "a\\Rb", "\\Xa", "(?x) a b # c", "\\Qa.b\\E", "a{,2}b", "(?|a|b)c", "(?(?=a)ab|b)", "(a(?R)?b)", "\\ca", "\\e|\\f|\\a", "[\\b]a", "[a-]b",
      "[]a]b",
      "[^]a]b", "(*UTF)é", "(*ANYCRLF)a.b", "(?#abc)bbb", "aaa|(?#x)b", "\\x{61}b", "\\x{e9}", "\\x{3b1}", "a\\Kbc", "abc\\K", "(?:)", "(?=abc)",
      "a\\s+b", "a\\s*b\\s*c", "\\s\\sb", "a[\\s_]b", "a[\\s_]{1,3}b\\sc", "a\\nb", "a b", "a  b", "\\ta", "a\\u00a0b", "k\\s?s", "a(?:\\s+b)?\\s+c",
      "\\s{2,}a$",
      "(?:a|b)\\s+(?:b|c)\\s+", "[^\\n]{0,3}\\s+c", "a\\u3000+", "(?:a\\s)+b", "(?=a\\s)a", "a(?!\\s)", "\\x1c?a\\x0bb",
      "x*", "éa+|bca", "[é-ü]b|cab", "(?:é|abc)+", "é|ab.{0,3}ca", "[^\\x00-\\x7f]a|bcab",
      "(?=[\\s\\S]*ab)(?=[\\s\\S]*c)", "(?=[\\s\\S]*?(?<!a)b)", "(?s)(?=.*ab)(?=.*k)", "(?=[\\d\\D]*(a|b))(?=[\\w\\W]*\\1c)", "(?=[^]*\\bab)",
      "(?=[\\s\\S]*a)b", "(?=[\\s\\S]*?(a|b))(?=[\\s\\S]*?\\1\\1)", "(?=[\\s\\S]*a)", "(?=.*a)(?=.*b)", "(?=[\\s\\S]*a$)(?=[\\s\\S]*^b)",
    ]
    var random = Random(11)
    let atoms = [
      "a", "b", "c", "k", "S", "ab", "bca", ".", "\\s", "\\s+", "\\s*", " ", "[\\s_]", "\\t", "\\w", "\\d", "[ab]", "[^a]", "[a-c]", "[kK]", "(ab|c)",
      "(?:a|bc|)", "(a)", "\\n", "^", "$",
      "\\b", "(?=a)",
      "(?!b)", "\\x61", "\\x0a", "(?i)", "(?i:b)", "(?:abc|bcd)", "\\.",
    ]
    let quantifiers = ["", "", "", "?", "*", "+", "{2}", "{0,2}", "{1,}", "+?", "{0}", "?+"]
    var patterns = fixed
    for _ in 0..<700 {
      patterns.append(
        (0..<1 + random.below(5)).map { _ in random.pick(atoms) + random.pick(quantifiers) }.joined(separator: random.below(6) == 0 ? "|" : ""))
    }
    var used: [(text: String, sensitive: Bool, regex: PlainPattern)] = []
    for text in patterns {
      let sensitive = random.below(2) == 0
      if let regex = PlainPattern(text, caseSensitive: sensitive) { used.append((text, sensitive, regex)) }
    }
    defer { for entry in used { entry.regex.free() } }
    #expect(used.count > 550)
    var engine = RuleEngine(ruleSet(used.enumerated().map { i, entry in regexRule("R\(i)", entry.text, caseSensitive: entry.sensitive) }))
    #expect(engine.diagnostics.isEmpty)
    var restored = RuleEngine(engine.compiled.ruleSet, cachedDatabase: engine.serializedDatabase())
    #expect({ restored.usedCachedDatabase }())
    let memory = RegexMemory()
    let alphabet: [[UInt8]] = [
      [0x61], [0x62], [0x63], [0x41], [0x42], [0x6b], [0x73], [0x53], [0x4b], [0x0a], [0x0d], [0x0b], [0x20], [0x09], [0], [0xff], [0xc3, 0xa9],
      [0xc3, 0x89],
      [0x31], [0x5f], [0x2e], [0x85], [0xe2, 0x84, 0xaa], [0xc5, 0xbf], [0xce, 0xb1], Array("abc".utf8), Array("bca".utf8),
      Array("union select".utf8), [0x20, 0x20], [0x1c], [0xc2, 0xa0], [0xc2, 0x85], [0xe2, 0x80, 0x83], [0xe3, 0x80, 0x80], Array("a \t\n b".utf8),
    ]
    var event = Event()
    var found = 0
    for n in 0..<500 {
      let text = (0..<random.below(n % 10 == 0 ? 60 : 9)).flatMap { _ in random.pick(alphabet) }
      fill(&event, message: text)
      let expected = used.indices.filter { i in text.withUnsafeBytes { used[i].regex.matches($0, memory) } }
      var matches: [RuleMatch] = []
      engine.evaluate(event, at: .zero, into: &matches)
      let actual = matches.map(\.rule)
      restored.evaluate(event, at: .zero, into: &matches)
      #expect(matches.map(\.rule) == actual)
      found += expected.count
      if actual != expected {
        let different = Set(actual).symmetricDifference(expected).sorted().map { "\(used[$0].text) (\(used[$0].sensitive))" }
        Issue.record("on \(text): \(different)")
      }
    }
    #expect(found > 10_000)
    #expect(engine.counters.limitHits.allSatisfy { $0 == 0 })
  }

  /// Ways to match whose sets share words with those of other patterns, some with many, some with few: wherever a way is filed, and
  /// whichever of its checks comes first, no match is lost.
  @Test func aWayIsFoundWhereverItIsFiled() throws {
    var random = Random(12)
    let words = [
      "ignore", "all", "previous", "rules", "you", "now", "curl", "nc", "sh", "rm", "--", "$(", "or", "1=1", "system", "prompt", "reveal", "act as",
      "é", "да",
    ]
    let quoted = words.map { $0.replacing("$(", with: "\\$\\(") }
    let joints = ["\\s+", "\\s+", "\\s", "\\s{1,3}", "[\\s_-]{1,2}", "\\n", "\\s*", ".{0,9}", "[^\\n]*", " ", "['\"=]", "\\b", "(?:the\\s+)?"]
    let gaps = [" ", "  ", "", "\n", "\r\n", "\t", " \n\n ", "\u{a0}", "_", "'", "7", " the "]
    func alternatives() -> String {
      // More than two words' worth of bits now and then.
      let count = random.below(9) == 0 ? 12 : 1 + random.below(4)
      return "(?:" + (0..<count).map { _ in random.pick(quoted) + (random.below(5) == 0 ? String(random.below(300)) : "") }.joined(separator: "|")
        + ")"
    }
    func way() -> String { (0..<1 + random.below(4)).map { _ in alternatives() }.joined(separator: random.pick(joints)) }
    var used: [(text: String, regex: PlainPattern)] = []
    while used.count < 600 {
      let text = (0..<1 + random.below(4)).map { _ in way() }.joined(separator: "|")
      if let regex = PlainPattern(text, caseSensitive: false) { used.append((text, regex)) }
    }
    defer { for entry in used { entry.regex.free() } }
    var engine = RuleEngine(ruleSet(used.enumerated().map { i, entry in regexRule("R\(i)", entry.text) }))
    var restored = RuleEngine(engine.compiled.ruleSet, cachedDatabase: engine.serializedDatabase())
    #expect({ restored.usedCachedDatabase }())
    let memory = RegexMemory()
    var event = Event()
    var found = 0
    var saved = 0
    for n in 0..<300 {
      let text = (0..<random.below(n % 20 == 0 ? 300 : 12)).map { _ in
        let word = random.pick(words)
        return (random.below(4) == 0 ? word.uppercased() : word)
          + random.pick(gaps)
      }.joined()
      let bytes = Array(text.utf8)
      fill(&event, message: bytes)
      let expected = used.indices.filter { i in bytes.withUnsafeBytes { used[i].regex.matches($0, memory) } }
      var matches: [RuleMatch] = []
      engine.evaluate(event, at: .zero, into: &matches)
      #expect(matches.map(\.rule) == expected, "\(text)")
      restored.evaluate(event, at: .zero, into: &matches)
      #expect(matches.map(\.rule) == expected, "\(text)")
      found += expected.count
      saved += used.count - expected.count
    }
    #expect(found > 5000)
    // And the filter filters.
    #expect(engine.counters.confirmations < UInt64(found + saved / 4))
  }

  @Test func aPatternThatMayMatchNothingIsAlwaysACandidate() {
    var engine = RuleEngine(ruleSet(regexRule("E", ""), regexRule("N", "^$"), regexRule("A", "abc")))
    #expect(engine.counters.unfilteredPatterns == 2)
    var event = Event()
    fill(&event, [("message", "")])
    #expect(engine.ids(event) == ["E", "N"])
    fill(&event, [("message", "xabcx")])
    #expect(engine.ids(event) == ["E", "A"])
    fill(&event, [])
    #expect(engine.ids(event) == [])
  }

  /// Patterns that blow up when they are compiled: the rule is refused, or it runs without the prefilter; nothing hangs.
  @Test(arguments: [
    "([a-z]{1,1000}[0-9]{1,1000}){1,10}", "(([ab]{1,50}[cd]{1,50}){1,50}){1,50}", "[a-z]{30000}[0-9]", "(.{1,500}[xy]){1,60}", "(a?){64}[0-9]{64}",
    "((((a|b)*c)*d)*[e-g])*[0-9][0-9]", String(repeating: "(", count: 5000) + String(repeating: ")", count: 5000),
    String(repeating: "[ab]|", count: 5000) + "[0-9][0-9]", "(\\w+\\s+){50}[0-9]{2,9}",
  ])
  func compilingStaysBounded(_ text: String) {
    let clock = ContinuousClock()
    let began = clock.now
    var engine = RuleEngine(ruleSet(regexRule("BAD", text), regexRule("GOOD", "good")))
    print("\(text.prefix(40)): \(clock.now - began), unfiltered \(engine.counters.unfilteredPatterns), refused \(engine.diagnostics.count)")
    var event = Event()
    fill(&event, [("message", "good 12")])
    #expect(engine.ids(event).contains("GOOD"))
  }

  @Test func aHitInTheLastByteOfALongTextIsFound() {
    var engine = RuleEngine(ruleSet(regexRule("R", "needle$"), pattern("C", any: condition("message", .contains(["NEEDLE"], caseSensitive: false)))))
    var event = Event()
    fill(&event, message: Array(repeating: UInt8(ascii: "a"), count: Limits.lineBytes - 6) + Array("needle".utf8))
    #expect(engine.ids(event) == ["R", "C"])
  }

  @Test func theCacheGivesTheSameAndIsCheckedFirst() throws {
    let rules = ruleSet(regexRule("A", "abc"), regexRule("B", "[0-9]{4}x"), regexRule("C", "x", field: "user.name"))
    let first = RuleEngine(rules)
    let serialized = first.serializedDatabase()
    let bytes = try #require(serialized)
    let key = first.databaseKey
    var second = RuleEngine(rules, cachedDatabase: bytes)
    let used = second.usedCachedDatabase
    #expect(used && second.databaseKey == key)
    var event = Event()
    fill(&event, [("message", "0000x abc"), ("user.name", "x")])
    #expect(second.ids(event) == ["A", "B", "C"])

    var random = Random(3)
    for n in 0..<60 {
      var broken = bytes
      if n == 0 {
        broken = []
      } else if n < 20 {
        broken.removeLast(1 + random.below(broken.count))
      } else {
        broken[random.below(broken.count)] ^= 1 << UInt8(random.below(8))
      }
      var engine = RuleEngine(rules, cachedDatabase: broken)
      let isUsed = engine.usedCachedDatabase
      #expect(!isUsed)
      #expect(engine.ids(event) == ["A", "B", "C"])
    }
    // The same patterns, but not the same rules ask for them.
    var fewer = rules
    fewer.rules[1].isActive = false
    var third = RuleEngine(fewer, cachedDatabase: bytes)
    let thirdUsed = third.usedCachedDatabase
    let thirdBytes = third.serializedDatabase()
    #expect(!thirdUsed && third.databaseKey == key && thirdBytes != nil && thirdBytes != bytes)
    #expect(third.ids(event) == ["A", "C"])
    let other = RuleEngine(ruleSet(regexRule("A", "abd")), cachedDatabase: bytes)
    let otherUsed = other.usedCachedDatabase
    #expect(!otherUsed && other.databaseKey != key)
  }
}

/// The scanner sees its literal and wakes the rule; the confirmation cannot end in time on "aaa...!".
private let catastrophic = "(?=(a+)+$)aaa"

@Suite struct LimitTests {
  @Test(arguments: ["(a+)+$", "(a|aa)+$", "(a*)*b$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*)*x", "(?:a|a)+$b", catastrophic])
  func aCatastrophicPatternIsBoundedAndSaid(_ text: String) {
    for useJIT in [true, false] {
      var engine = RuleEngine(ruleSet(regexRule("BAD", text, caseSensitive: true), regexRule("GOOD", "aaa!")), cachedDatabase: nil, useJIT: useJIT)
      var event = Event()
      fill(&event, message: Array(repeating: UInt8(ascii: "a"), count: Limits.lineBytes - 1) + [UInt8(ascii: "!")])
      let ids = engine.ids(event)
      #expect(ids.contains("GOOD"))
      if !ids.contains("BAD"), engine.counters.confirmations > 1 || engine.counters.limitHits[0] > 0 {
        let hits = engine.counters.limitHits[0]
        let records = engine.takeLimitRecords()
        // Either it was decided inside the limits, or it is on record.
        #expect(hits == UInt64(records.count))
        if hits > 0 { #expect(records.first?.rule == 0) }
      }
    }
  }

  @Test func anUndecidedRuleIsRecordedAndItsNegationDoesNotMatch() {
    let bad = condition("message", .regex([catastrophic], caseSensitive: true))
    var event = Event()
    fill(&event, message: Array(repeating: UInt8(ascii: "a"), count: 5000) + [UInt8(ascii: "!")])
    var engine = RuleEngine(
      ruleSet(
        rule("NOT", .pattern(conditions: [bad], expression: .not(.condition(0)))),
        rule("OR", .pattern(conditions: [bad, condition("message", .exists(true))], expression: .any([.not(.condition(0)), .condition(1)]))),
        rule("AND", .pattern(conditions: [bad, condition("user.name", .exists(true))], expression: .all([.condition(0), .condition(1)])))))
    #expect(engine.ids(event) == ["OR"])
    #expect(engine.counters.limitHits[0] == 1)
    #expect(engine.takeLimitRecords().map(\.rule) == [0])
    #expect(engine.takeLimitRecords().isEmpty)
    #expect(engine.explain(rule: 0, event: event).first?.isHeld == nil)
  }

  @Test func limitRecordsAreBounded() {
    var engine = RuleEngine(ruleSet(regexRule("BAD", catastrophic, caseSensitive: true)))
    var event = Event()
    fill(&event, message: Array(repeating: UInt8(ascii: "a"), count: 300) + [UInt8(ascii: "!")])
    for _ in 0..<Limits.limitRecords + 10 { _ = engine.ids(event) }
    #expect(engine.counters.limitHits[0] == UInt64(Limits.limitRecords + 10))
    #expect(engine.counters.limitRecordsDropped == 10)
    #expect(engine.takeLimitRecords().count == Limits.limitRecords)
  }

  /// PCRE2's own limit counts the repeats that a match enters, not the characters that each walks over.
  @Test(arguments: [
    ("two paragraphs\\s*,?\\s*one", "two paragraphs", " "), ("(?s)a.*b.*c!", "ab", "b"), ("x[^}]*[^>]*[^)]*y", "x", "z"),
    ("(a+)=\\1;", "", "a"), ("\\s+$", "", " x"), ("(?:\\w+\\s?)*:", "", "aa "),
  ])
  func aWalkIsChargedByItsBytes(_ pattern: String, _ head: String, _ filler: String) throws {
    let expression = try RegularExpression(pattern, isCaseSensitive: true)
    let text = Array((head + String(repeating: filler, count: 1 << 20)).utf8)
    let memory = RegexMemory()
    for useJIT in [true, false] {
      let regex = try Regex(
        Array(try #require(expression.chargedPCRE2(for: .ascii)).utf8), kind: .ascii, form: .guarded, scan: expression.matchFacts().scan,
        useJIT: useJIT)
      defer { regex.free() }
      var charge = 1 << 24
      #expect(text.withUnsafeBytes { regex.matches($0, charge: &charge, memory) } != .yes)
      // The last walk is the only one that may go beyond the limit, and it ends with the text.
      #expect(charge > -2 * text.count - 100)
    }
  }

  @Test func jitAndInterpreterAgree() throws {
    var random = Random(5)
    let pieces = ["a", "b", "(a|b)+", "[^b]", ".", "\\s*", "(?:ab)?", "c{2,4}", "\\b", "(?<=a)", "\\1?", "é"]
    let memory = RegexMemory()
    for _ in 0..<400 {
      let pattern = Array("(a)?".utf8) + (0..<1 + random.below(6)).flatMap { _ in Array(random.pick(pieces).utf8) }
      for kind in [RegularExpression.TextKind.ascii, .unicode] {
        guard let fast = try? Regex(pattern, kind: kind), let slow = try? Regex(pattern, kind: kind, useJIT: false),
          let guarded = try? Regex(pattern, kind: kind, form: .guarded)
        else { continue }
        var charge = Int.max
        for _ in 0..<20 {
          let alphabet: [[UInt8]] = [[0x61], [0x62], [0x63], [0x20], [0x0a], [0]] + (kind == .ascii ? [] : [[0xc3, 0xa9], [0xef, 0xbf, 0xbd]])
          let text = (0..<random.below(40)).flatMap { _ in random.pick(alphabet) }
          let (a, b, c) = text.withUnsafeBytes {
            (fast.matches($0, memory), slow.matches($0, memory), guarded.matches($0, charge: &charge, memory))
          }
          #expect(a == b && a == c, "\(String(decoding: pattern, as: UTF8.self)) on \(text)")
        }
        fast.free()
        slow.free()
        guarded.free()
      }
    }
  }
}
