import Events
import Primitives
import RegularExpressions
import RuleLanguage
import Testing

@testable import RuleEngine

@Suite struct SearchTests {
  /// A place is looked for as a match is: near the literals, under the same limits, and the first one where that is not too dear.
  @Test(
    .timeLimit(.minutes(1)),
    arguments: [
      (#"\bign (?:[a-z]{1,9} ){0,200}now[xy]"#, String(repeating: "ign ", count: 400_000) + "nowx", 4 * 399_799..<1_600_004),
      ("now[xy]", String(repeating: ".", count: 2000) + "nowx" + String(repeating: ".", count: 2000) + "nowy", 2000..<2004),
      ("now[xy]", "nowx", 0..<4), ("é[xy]", "ééx", 2..<5), ("éx", "e\u{301}x", nil),
    ] as [(String, String, Range<Int>?)])
  func placesAreFound(_ pattern: String, _ text: String, _ expected: Range<Int>?) throws {
    let engine = RuleEngine(ruleSet(regexRule("R", pattern)))
    let texts = EventTexts(engine.compiled.table)
    try Array(text.utf8).withUnsafeBytes {
      let number = texts.number($0)
      let tested = try #require(engine.compiled.tests.first).pattern
      #expect(texts.test(tested, number) == .yes)
      let work = texts.counters.allowedWork
      #expect(texts.span(tested, number) == expected)
      #expect(texts.matchLength(tested, number) == expected?.count ?? 3)
      #expect(texts.counters.allowedWork <= 3 * work)
    }
  }

  /// A match may begin as far before a literal as the longest run of white space between them, whatever the white space is and wherever
  /// in the text's words of eight bytes it lies; and single blanks elsewhere make no run.
  @Test func runsOfBlanksAreMeasuredWhereverTheyLie() {
    let blanks = ["  ", "\t ", "\r\n", "\u{1c}\u{1f}", "\u{b}\u{c}", String(repeating: " ", count: 7), String(repeating: " \n", count: 20)]
    var engine = RuleEngine(ruleSet(regexRule("R", #"q\s+zebra"#), regexRule("S", #"q\s?zebra"#)))
    var event = Event()
    for before in 0..<20 {
      for after in [0, 1, 7, 30] {
        for blank in blanks + [" ", "", "\u{1}\u{2}"] {
          let text = String("a b c d e f g h i k l m".prefix(before)) + "q" + blank + "zebra" + String(repeating: "x", count: after)
          fill(&event, message: Array(text.utf8))
          let expected = blank.isEmpty || blank == "\u{1}\u{2}" ? [] : ["R"]
          #expect(engine.ids(event) == expected + (blank.utf8.count < 2 ? ["S"] : []), "\(before) \(after) \(Array(blank.utf8))")
        }
      }
    }
  }

  /// Literals that lead nowhere, each of them dear to find that out of, do not hide the match that stands before or behind them.
  @Test(arguments: [
    (#"zq7(?=.*\d{9})"#, "zq7"), (#"zq7.*?\d{9}"#, "zq7"), (#"zq7[\s\S]{0,2000}\d{9}"#, "zq7"),
    (#"[\U0001F300-\U0001FAFF](?=.*\d{9})"#, "\u{1f310}"), (#"[\U0001F300-\U0001FAFF][\s\S]{0,500}?\d{9}"#, "\u{1f310}"), (#"(?i)ж(?=.*\d{9})"#, "ж"),
    (#"p[ ._]w[ ._]n(?=.*\d{9})"#, "p_w n"),
  ]) func decoysHideNoMatch(_ pattern: String, _ literal: String) {
    var engine = RuleEngine(ruleSet(regexRule("R", pattern)))
    var event = Event()
    let digits = "111111111"
    let far = String(repeating: "x y", count: 22)
    for count in [60, 200] {
      let decoys = String(repeating: far + literal, count: count)
      let cluster = far + String(repeating: literal, count: count * 4) + far
      for (n, text) in [literal + digits + decoys, decoys + far + literal + digits, literal + digits + cluster, cluster + digits].enumerated() {
        fill(&event, message: Array(text.utf8))
        // Behind hundreds of places that are dear each, side by side, the limit may come first, and then says so.
        let ids = engine.ids(event)
        let isLimited = !engine.takeLimitRecords().isEmpty
        #expect(ids == ["R"] || isLimited && count == 200 && n == 3, "\(count) \(n)")
        #expect(!(ids == ["R"] && isLimited))
      }
    }
  }

  /// A pattern is a candidate where the text has a literal of each of its sets, and nowhere else: those that a clause says itself, and
  /// those that lie behind it.
  @Test func eachSetOfAClauseIsAskedFor() {
    let words = ["quartz", "jumble", "vortex", "zephyr", "kiosk", "waltz"]
    // Two words of bits hold no set of so many.
    let wide = (0..<90).map { "fjord\($0)x" }
    let patterns = [
      words.joined(separator: ".*"), words.map { "(?:\($0)|not\($0))" }.joined(separator: #"\s+"#),
      "(?:\(wide.joined(separator: "|"))).*" + words.prefix(5).joined(separator: ".*"),
    ]
    var engine = RuleEngine(ruleSet(patterns.enumerated().map { regexRule("R\($0)", $1) }))
    var event = Event()
    func candidates(_ text: String) -> (ids: [String], candidates: UInt64) {
      let before = engine.counters.patternCandidates
      fill(&event, message: Array(text.utf8))
      return (engine.ids(event), engine.counters.patternCandidates - before)
    }
    let whole = words.joined(separator: " ")
    #expect(candidates(whole) == (["R0", "R1"], 2))
    for name in [wide[0], wide[45], wide[89]] { #expect(candidates("\(name) \(whole)") == (["R0", "R1", "R2"], 3)) }
    for left in words.indices {
      let rest = words.indices.filter { $0 != left }.map { words[$0] }.joined(separator: " ")
      #expect(candidates("\(wide[7]) \(rest)") == (left == 5 ? (["R2"], 1) : ([], 0)), "without \(words[left])")
    }
    #expect(candidates("fjord" + whole).ids == ["R0", "R1"])
  }

  /// However the search is narrowed down (places of literals, windows, the guarded form), the answer is that of the whole pattern on the
  /// whole text.
  @Test func narrowedSearchesSayWhatWholeOnesSay() {
    let patterns = [
      "needle", "x.{0,20}needle", "[a-c]{2,9}needle\\b", "\\s+needle", "needle$", "^needle", "(?<=a)needle", "(?<!a)needle", "(?=aneedle)a",
      "needle(?!x)",
      "(needle|thread)\\s*[0-9]{2}", "(?:a|needle){2}", "\\bneedle\\b.*thread", "needle[\\s\\S]{0,300}thread", "(a)needle\\1", "[^a]needle",
      "thread+s?",
    ]
    var random = Random(41)
    let pieces = ["a", "b", "c", " ", "x", "needle", "Needle", "thread", "12", "\n", "é", "\u{17f}", "😀"]
    let used = patterns.compactMap { text in PlainPattern(text, caseSensitive: false).map { (text, $0) } }
    defer { for entry in used { entry.1.free() } }
    #expect(used.count == patterns.count)
    var engine = RuleEngine(ruleSet(used.enumerated().map { regexRule("R\($0)", $1.0) }))
    let memory = RegexMemory()
    var event = Event()
    var found = 0
    for n in 0..<150 {
      // Long ones keep places; most of a text is far from any literal.
      let filler = n % 3 == 0 ? 0 : 1000
      let isPlain = n % 2 == 0
      var text: [UInt8] = []
      for _ in 0..<1 + random.below(12) {
        text += Array(repeating: UInt8(ascii: "z"), count: filler == 0 ? 0 : random.below(filler))
        text += Array(random.pick(isPlain ? Array(pieces.prefix(10)) : pieces).utf8)
      }
      fill(&event, message: text)
      let expected = used.indices.filter { i in text.withUnsafeBytes { used[i].1.matches($0, memory) } }.map { "R\($0)" }
      found += expected.count
      #expect(engine.ids(event) == expected.sorted { Int($0.dropFirst())! < Int($1.dropFirst())! }, "\(String(decoding: text, as: UTF8.self))")
    }
    #expect(found > 150)
    #expect(engine.counters.limitHits.allSatisfy { $0 == 0 })
  }

  /// A text that several fields show is scanned once, and a pattern that several rules have runs once on it.
  @Test func oneTextIsScannedOnce() {
    var engine = RuleEngine(
      ruleSet(
        regexRule("A", "nee+dle", field: "content"), regexRule("B", "nee+dle", field: "user_input"), regexRule("C", "nee+dle", field: "tool_args"),
        regexRule("D", "nee+dle", field: "agent_output")))
    var event = Event()
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    event.setContent(Bytes("a needle"), type: .llmInput)
    #expect(engine.ids(event) == ["A", "B"])
    #expect(engine.counters.prefilterScans == 1 && engine.counters.confirmations == 1)
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    event.setContent(Bytes("a needle"), type: .llmOutput)
    #expect(engine.ids(event) == ["A", "D"])
    event.set(.toolArgs, Bytes("no thread"))
    #expect(engine.ids(event) == ["A", "D"])
    #expect(engine.counters.prefilterScans == 4)
    // The same words elsewhere in memory, as an event has them whose fields were read one by one.
    fill(&event, [("tool_args", "a needle"), ("user_input", "a needle"), ("agent_output", "a Needle")])
    #expect(engine.ids(event) == ["B", "C", "D"])
    #expect(engine.counters.prefilterScans == 6)
  }

  /// Patterns without a literal do not run where a byte that they need is missing.
  @Test func missingBytesSaveARun() {
    var engine = RuleEngine(ruleSet(regexRule("R", "[0-9a-f]{32}"), regexRule("S", "[$%]\\w[&@]")))
    var event = Event()
    fill(&event, [("message", "nothing here but words and a few abcdef")])
    #expect(engine.ids(event) == [])
    #expect(engine.counters.confirmations == 0)
    fill(&event, [("message", "x 0123456789abcdef0123456789abcdef and $a@")])
    #expect(engine.ids(event) == ["R", "S"])
  }

  @Test func aTextForOneScanTargetMeetsOnlyItsRules() {
    var skill = regexRule("S", "needle")
    skill.scanTarget = "skill"
    var runtime = regexRule("T", "needle")
    runtime.scanTarget = "runtime"
    var engine = RuleEngine(ruleSet(regexRule("A", "needle"), skill, runtime))
    var event = Event()
    let cases: [(String?, [String])] = [
      (nil, ["A", "S", "T"]), ("skill", ["A", "S"]), ("runtime", ["A", "T"]), ("mcp", ["A", "T"]), ("new", ["A", "S", "T"]),
    ]
    for (target, expected) in cases {
      fill(&event, [("message", "needle")] + (target.map { [("scan_target", $0)] } ?? []))
      #expect(engine.ids(event) == expected)
    }
  }
}

/// Hostile texts: what confirmations may cost is bounded by the text's length, whatever is in it. Counted in steps that limits allow.
@Suite struct HostileTextTests {
  static let patterns = [
    "(a+)+$", "(?:a|a)+$b", "ignore.*previous.*instructions", "ignore[\\s\\S]*all[\\s\\S]*rules!", "(\\w+\\s*)+:", "\\s+\\S+\\s+x$", "\\$\\{[^}]*\\}",
    "([^\"]*\"){4}x",
    "(?=(a+)+$)aaa", "(.*a){8}b", "<[^>]*>[^<]*</[^>]*>", "(ignore\\s+)+now", "ignore\\s*,?\\s*all", "\\{\\s*[^}]*\\s*\\}", "([a-z ]+)=\\1;",
  ]
  static let texts: [(name: String, unit: String)] = [
    ("one letter", "a"), ("blanks", " "), ("brackets", "([{<"), ("literals", "ignore previous "), ("opened", "${"), ("quotes", "\""),
    ("words", "aaaa bbbb "),
    ("tags", "<a><b>"), ("lines", String(repeating: "a", count: 300) + "\n"), ("accents", "é"), ("marks", "e\u{301}"),
  ]

  @Test(arguments: texts.indices)
  func stepsAreLinear(_ index: Int) {
    var engine = RuleEngine(ruleSet(Self.patterns.enumerated().map { regexRule("R\($0)", $1) }))
    var event = Event()
    for size in [50_000, 400_000] {
      let unit = Array(Self.texts[index].unit.utf8)
      let text = Array((0..<size / unit.count + 1).map { _ in unit }.joined())
      event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
      text.withUnsafeBytes { event.setContent($0, type: .llmInput) }
      text.withUnsafeBytes { event.set(.message, $0) }
      let before = engine.counters
      _ = engine.ids(event)
      let after = engine.counters
      // Each pattern, on the raw and the normalised text: the fast form's share, then the guarded form's.
      let each =
        Limits.regexFastWork + Limits.regexGuardedWork + (Limits.regexFastWorkPerByte + Limits.regexGuardedWorkPerByte) * (text.count + 3)
      #expect(after.allowedWork - before.allowedWork <= UInt64(2 * Self.patterns.count * each))
      #expect(after.confirmations - before.confirmations <= UInt64(2 * Self.patterns.count))
      // What was not decided is said.
      let hits = after.limitHits.reduce(0, +) - before.limitHits.reduce(0, +)
      #expect(engine.takeLimitRecords().count == Int(hits))
    }
  }
}
