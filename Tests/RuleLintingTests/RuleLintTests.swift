// Each finding has a rule that shows it and a near miss that does not. Rules are written as documents, so that places are real.
import Primitives
import RuleLanguage
import Testing

@testable import RuleLinting

/// A complete agent rule around `detection`; every other check is content with it.
private func document(_ detection: String, id: String = "ATR-2026-00001", tests: String? = nil, extra: String = "") -> String {
  let cases =
    tests ?? """
      test_cases:
        true_positives: [{input: one}, {input: two}, {input: three}, {input: four}, {input: five}]
        true_negatives: [{input: six}, {input: seven}, {input: eight}, {input: nine}, {input: ten}]
      evasion_tests: [{input: o n e, expected: not_triggered, bypass_technique: spaces}]
      """
  return """
    title: T
    id: \(id)
    status: stable
    description: D
    author: A
    date: 2026/01/01
    severity: high
    confidence: 80
    references: {mitre_attack: [T1110]}
    tags: {category: prompt-injection}
    agent_source: {type: llm_io}
    response: {actions: [alert]}
    detection:
      false_positives: [some]
    \(detection.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n"))
    \(cases)\(extra)

    """
}

private func pattern(_ text: String) -> String {
  "conditions:\n  a: {field: content, patterns: ['\(text.replacing("'", with: "''"))']}\ncondition: a"
}

private func report(_ texts: String..., options: LintOptions? = nil) -> LintReport {
  let text = texts.joined(separator: "---\n")
  let set = RuleLoader.load(document: text, file: "r.yaml")
  var used = options ?? LintOptions(looksForEvasions: false)
  used.readFile = { $0 == "r.yaml" ? Array(text.utf8) : nil }
  return RuleLint.report(set, used)
}
private func ids(_ report: LintReport) -> [String] { report.findings.map(\.kind.id) }

@Suite struct RuleLintTests {
  @Test func nothingToSay() { #expect(report(document(pattern("hello world"))).findings.map(\.description) == []) }

  // MARK: Patterns

  @Test(arguments: [
    "a^b", "$a", "(?m)a$b", "[^\\s\\S]", "x(?!)", "\\Aa\\Ab", "(?:a|b)^c", "end$\\n.", "(?:ab){20}^", "(?=[^\\w\\W])a",
    "a(?m:^)b",
  ]) func neverMatches(_ text: String) { #expect(ids(report(document(pattern(text)))).contains("never-matches"), "\(text)") }

  @Test(arguments: [
    "^abcd", "abcd$", "(?m)abcd$\\n^efgh", "[\\s\\S]abcd", "x(?!y)abcd", "(?:a|^)bcde", "abcd$\\n", "(?m)(?:abcd\\n^){20}", "\\n(?m:^)bcde",
    "a*^bcde",
    "(?:^|\\s)curl",
  ]) func mayMatch(_ text: String) { #expect(!ids(report(document(pattern(text)))).contains("never-matches"), "\(text)") }

  @Test func oneAlternativeNeverMatches() {
    let found = report(document(pattern("hello|x^y|world"))).findings
    #expect(found.map(\.kind) == [.neverMatches])
    #expect(found.first?.message == "alternative 2 of the pattern can never match")
    // At the pattern, not at the condition.
    #expect(found.first?.location.line == 16)
    #expect(found.first?.location.column == "    a: {field: content, patterns: ['".utf8.count + 1)
  }

  @Test(arguments: [("a*", true), ("(foo|)", true), ("(?:x?y?)*", true), ("a*bcde", false), ("^$", false), ("(?=x)", false), ("foot", false)])
  func matchesEmptyText(_ text: String, _ isFound: Bool) {
    #expect(ids(report(document(pattern(text)))).contains("matches-empty-text") == isFound, "\(text)")
  }

  @Test(arguments: [
    ("DAN", true), ("\\bos\\b", true), ("a.b", true), ("DAN mode", false), ("\\u200b", false), ("\\$\\(", false), ("rm -rf", false),
    ("[a-z]{4}", false),
  ]) func shortLiterals(_ text: String, _ isFound: Bool) {
    #expect(ids(report(document(pattern(text)))).contains("short-literal") == isFound, "\(text)")
  }
  @Test func aShortLiteralBesideAnotherConditionIsFine() {
    let both = "conditions:\n  a: {field: content, patterns: [DAN]}\n  b: {field: content, patterns: [jailbreak]}\ncondition: a and b"
    #expect(ids(report(document(both))) == [])
    let needle = "conditions:\n  a: {field: content, match_type: contains, patterns: [ls, something]}\ncondition: a"
    #expect(ids(report(document(needle))) == ["short-literal"])
    let tool = "conditions:\n  a: {field: tool_name, match_type: contains, patterns: [ls]}\ncondition: a"
    #expect(ids(report(document(tool))) == [])
  }

  @Test(arguments: [
    "(a+)+b", "(?:\\w+\\s?)+!", "(?:a|a)*bc", "(\\d|\\w)+#", "(?:x*)*y", "([a-z]+)*;", "(?:a|b|ab)*cde",
  ]) func catastrophicPatterns(_ text: String) {
    let found = report(document(pattern(text))).findings
    #expect(found.contains { $0.kind == .catastrophicPattern && $0.message.contains("steps") }, "\(text): \(found.map(\.description))")
  }
  @Test(arguments: ["\\s*\\s*foo", "\\w+\\d*;x", ".*foo.*bar"]) func ambiguousRepetitions(_ text: String) {
    #expect(!ids(report(document(pattern(text)))).contains("catastrophic-pattern"), "\(text)")
  }
  @Test func neighboursThatShare() { #expect(ids(report(document(pattern("x\\s*\\s*\\s*foo")))) == ["ambiguous-repetition"]) }
  @Test(arguments: [
    "(?:ab+)+c", "(?:a+b)+c", "\\s+foo\\s+bar", "(?:foo|bar)+baz", "[a-z]+\\d+;;;;", "(?>a+)b+c", "(?:\\w+,)+ end", "\\w{1,20}\\s{1,5}foo",
  ]) func harmlessRepetitions(_ text: String) {
    let found = ids(report(document(pattern(text))))
    #expect(!found.contains("catastrophic-pattern") && !found.contains("ambiguous-repetition"), "\(text)")
  }

  @Test(arguments: [
    ("\\Afoot", [0]), ("foot\\Z", [4]), ("(?P<n>foot)", [0]), ("(?<n>foot)", [0]), ("(?<!a)foot", []), ("(?<=a)foot", []), ("foo(?i)bar", [3]),
    ("(?i)foot", []), ("(?s)foot", [0]), ("(?i:foo)t", [0]), ("a\\\\Afoot", []), ("[[:alpha:]]foot", [1]), ("\\p{L}foot", [0]), ("a++foot", [2]),
    ("a+foot", []), ("(?>foot)", [0]), ("[(?>]foot", []), ("a{2}+foot", [4]), ("\\u{200b}foot", [0]),
  ]) func dialects(_ text: String, _ offsets: [Int]) { #expect(Dialect.differences(text).map(\.offset) == offsets, "\(text)") }

  // MARK: Conditions

  @Test(arguments: [
    ("a: {field: tool_name, match_type: exact, patterns: [one]}", "b: {field: tool_name, match_type: exact, patterns: [two]}", true),
    ("a: {field: tool_name, match_type: exact, patterns: [one]}", "b: {field: tool_name, match_type: exact, patterns: [two, ONE]}", false),
    ("a: {field: tool_name, match_type: exact, patterns: [shell]}", "b: {field: tool_name, match_type: starts_with, patterns: [py]}", true),
    ("a: {field: tool_name, match_type: exact, patterns: [shell]}", "b: {field: tool_name, match_type: contains, patterns: [HEL]}", false),
    ("a: {field: tool_name, match_type: exact, patterns: [shell]}", "b: {field: tool_name, patterns: ['^py', 'ruby']}", true),
    ("a: {field: tool_name, match_type: exact, patterns: [shell]}", "b: {field: tool_name, patterns: ['^py', 'sh']}", false),
    ("a: {field: tool_name, match_type: starts_with, patterns: [abc]}", "b: {field: tool_name, match_type: starts_with, patterns: [abd]}", true),
    ("a: {field: tool_name, match_type: starts_with, patterns: [abc]}", "b: {field: tool_name, match_type: starts_with, patterns: [ab]}", false),
    ("a: {field: source.port, operator: gt, value: 10}", "b: {field: source.port, operator: lt, value: 11}", true),
    ("a: {field: source.port, operator: gt, value: 10}", "b: {field: source.port, operator: lte, value: 11}", false),
    ("a: {field: tool_name, match_type: exact, patterns: [one]}", "b: {field: content, match_type: exact, patterns: [two]}", false),
  ]) func contradictions(_ a: String, _ b: String, _ isFound: Bool) {
    let text = "conditions:\n  \(a)\n  \(b)\ncondition: "
    #expect(ids(report(document(text + "a and b"))).contains("never-matches") == isFound)
    #expect(!ids(report(document(text + "a or b"))).contains("never-matches"))
  }
  @Test func aConditionAndItsNegation() {
    let text = "conditions:\n  a: {field: content, patterns: [hello]}\n  b: {field: content, patterns: [hello]}\ncondition: a and not b"
    #expect(ids(report(document(text))).contains("never-matches"))
  }
  @Test func valuesThatNoEventHas() {
    let wrong = "conditions:\n  a: {field: event.outcome, match_type: exact, patterns: [success, failed]}\ncondition: a"
    let found = report(document(wrong)).findings
    #expect(found.map(\.kind) == [.unknownValue])
    #expect(found.first?.message == "no event has 'failed' in event.outcome")
    #expect(ids(report(document(wrong.replacing("failed", with: "failure")))) == [])
    let port = "conditions:\n  a: {field: source.port, operator: gt, value: 65535}\ncondition: a"
    #expect(ids(report(document(port))) == ["never-matches"])
    #expect(ids(report(document(port.replacing("65535", with: "65534")))) == [])
  }
  @Test(arguments: [
    ("contains", "[password, passwords]", 1), ("contains", "[password, secret]", 0), ("starts_with", "[/etc, /etc/ssh]", 1),
    ("exact", "[one, ONE]", 1), ("exact", "[one, ones]", 0), ("regex", "[abcd, abcd]", 1), ("regex", "[abcd, ABCD]", 0),
  ]) func redundantTexts(_ type: String, _ list: String, _ count: Int) {
    let text = "conditions:\n  a: {field: content, match_type: \(type), patterns: \(list)}\ncondition: a"
    #expect(report(document(text)).findings.count { $0.kind == .redundantLiteral } == count)
  }

  // MARK: Rules beside each other

  @Test func shadowedRules() {
    let narrow = document("conditions:\n  a: {field: content, patterns: [hello, there]}\ncondition: a")
    let wide = document("conditions:\n  a: {field: content, patterns: [hello, there, world]}\ncondition: a", id: "ATR-2026-00002")
    let found = report(narrow, wide).findings.filter { $0.kind == .shadowedRule }
    #expect(found.map(\.ruleID) == ["ATR-2026-00001"])
    #expect(found.first?.message == "fires only where this fires too: ATR-2026-00002")
    // Another field is another rule.
    #expect(!ids(report(narrow, wide.replacing("field: content", with: "field: tool_args"))).contains("shadowed-rule"))
    // A rule about logs is not asked about packets.
    func about(_ source: String, _ rule: String) -> String { rule.replacing("agent_source: {type: llm_io}", with: "agent_source: {type: \(source)}") }
    func shadowed(_ rules: String...) -> [String] {
      report(rules[0], rules[1]).findings.filter { $0.kind == .shadowedRule }.map(\.ruleID)
    }
    #expect(shadowed(about("host_network", narrow), about("host_log", wide)) == [])
    #expect(shadowed(about("host_log", narrow), about("host_network", wide)) == ["ATR-2026-00001"])
    // A further condition makes a rule narrower: it is the shadowed one.
    let narrower = document(
      "conditions:\n  a: {field: content, patterns: [hello, there]}\n  b: {field: tool_name, patterns: [shell]}\ncondition: a and b",
      id: "ATR-2026-00003")
    #expect(report(narrow, narrower).findings.filter { $0.kind == .shadowedRule }.map(\.ruleID) == ["ATR-2026-00003"])
  }
  @Test func theSamePatternTwice() {
    let one = document("conditions:\n  a: {field: content, patterns: [hello world, first]}\ncondition: a")
    let two = document("conditions:\n  a: {field: content, patterns: [hello world, second]}\ncondition: a", id: "ATR-2026-00002")
    #expect(report(one, two).findings.filter { $0.kind == .duplicatePattern }.map(\.ruleID) == ["ATR-2026-00002"])
    #expect(ids(report(one, two.replacing("hello world", with: "hello word"))) == [])
  }
  @Test func idsThatReadAlike() {
    let found = report(document(pattern("hello")), document(pattern("world"), id: "ATR-2026-001")).findings
    #expect(found.contains { $0.kind == .idConflict })
    #expect(!report(document(pattern("hello")), document(pattern("world"), id: "ATR-2026-00100")).findings.contains { $0.kind == .idConflict })
  }

  // MARK: Tests, harmless documents, disguises

  @Test func tests() {
    let few = "test_cases:\n  true_positives: [{input: one}]\n  true_negatives: [{input: two}, {input: three}]"
    let found = report(document(pattern("hello"), tests: few)).findings
    #expect(found.filter { $0.kind == .missingTests }.map(\.message) == ["has 0 of at least 1 evasion_tests", "has 1 of at least 2 true_positives"])
    #expect(found.filter { $0.kind == .standardTestCount }.map(\.message) == ["has 2 true_negatives; the standard asks for 5 of each"])
    // The version's own count comes from loading too, and is said once.
    let versioned = report("schema_version: '1.0'\n" + document(pattern("hello"), tests: few)).findings
    #expect(versioned.filter { $0.message.contains("2 true_negatives") }.map(\.kind) == [.standardTestCount], "\(versioned)")
    #expect(!versioned.contains { $0.kind == .questionableRule && $0.message.hasPrefix("has ") }, "\(versioned)")
    let twice = """
      test_cases: {true_positives: [{input: one}, {input: one}], true_negatives: [{input: one}, {input: x}]}
      evasion_tests: [{input: x, expected: not_triggered}]
      """
    let messages = report(document(pattern("hello"), tests: twice)).findings.filter { $0.kind == .duplicateTest }.map(\.message)
    #expect(messages.map { $0.split(separator: " at ")[0] } == ["this case repeats the case", "this case expects the opposite of the same input"])
  }

  private let benign = [
    BenignDocument(id: "a", eventType: "llm_input", text: "Please say hello to Anna"),
    BenignDocument(id: "b", eventType: "tool_response", text: "nothing here"), BenignDocument(id: "c", eventType: "document", text: "Hello again"),
  ]
  @Test func overBroadPatterns() {
    let options = LintOptions(benign: benign, looksForEvasions: false)
    let broad = report(document(pattern("hello")), options: options)
    #expect(
      broad.findings.map(\.description) == [
        "r.yaml:16:37: warning: ATR-2026-00001: fires on 2 harmless documents (a, c): finds 'hello' [over-broad-pattern]"
      ])
    #expect(broad.benignFlagged == 2 && broad.benignDocuments == 3)
    let narrow = report(document(pattern("hello, ignore all")), options: options)
    #expect(narrow.findings == [] && narrow.benignFlagged == 0)
    // Nobody is alarmed by a record.
    #expect(report(document(pattern("hello")).replacing("severity: high", with: "severity: informational"), options: options).findings == [])
  }

  @Test func evasions() {
    let cases = """
      test_cases:
        true_positives: [{input: ignore the rules}, {input: now Ignore the Rules!}, {input: ignore the rules a}, {input: ignore the rules b}, {input: c ignore the rules}]
        true_negatives: [{input: six}, {input: seven}, {input: eight}, {input: nine}, {input: ten}]
      evasion_tests: [{input: ignore  the rules}]
      """
    func hidden(_ text: String) -> [String] {
      report(document(pattern(text), tests: cases), options: LintOptions()).findings.filter { $0.kind == .evasion }.map(\.message)
    }
    let plain = hidden("ignore the rules").joined(separator: "\n")
    #expect(plain.contains("Cyrillic look-alikes (5)") && plain.contains("doubled spaces (5)") && plain.contains("tabs for spaces (5)"))
    #expect(!plain.contains("upper case"))
    let careful = hidden("ignore\\s+the\\s+rules").joined(separator: "\n")
    #expect(careful.contains("Cyrillic") && !careful.contains("spaces ("))
  }
  @Test func disguisesKeepNames() {
    #expect(RuleTrial.disguised(#"{"tool_name":"shell","tool_args":"ls -l"}"#, .upperCase) == #"{"tool_name":"shell","tool_args":"LS -L"}"#)
    #expect(RuleTrial.disguised(#"{"tool_name":"shell","n":1}"#, .upperCase) == nil)
    #expect(Disguise.fullWidth.applied(to: "aZ 1") == "\u{ff41}\u{ff3a} 1")
    #expect(Disguise.zeroWidth.applied(to: "ab c") == "a\u{200b}b c")
  }

  @Test func rulesThatFireTogether() {
    func cases(_ word: String) -> String {
      let list = (1...5).map { "{input: \(word) \($0)}" }.joined(separator: ", ")
      let others = "{input: 1}, {input: 2}, {input: 3}, {input: 4}, {input: 5}"
      return "test_cases: {true_positives: [\(list)], true_negatives: [\(others)]}\nevasion_tests: [{input: \(word)}]"
    }
    let one = document(pattern("hello wor"), tests: cases("hello world"))
    let two = document(pattern("lo worl"), id: "ATR-2026-00002", tests: cases("lo worl"))
    #expect(report(one, two).findings.filter { $0.kind == .coFiring }.map(\.ruleID) == ["ATR-2026-00001"])
  }

  // MARK: Silence

  @Test func ignoredFindings() {
    let silent = document(pattern("DAN"), extra: "\npanguard: {lint: {ignore: [short-literal]}}")
    let found = report(silent)
    #expect(found.findings.map(\.description) == [] && found.ignoredCount == 1)
    let wrong = document(pattern("DAN"), extra: "\npanguard: {lint: {ignore: [short-litral]}}")
    #expect(Set(ids(report(wrong))) == ["short-literal", "unknown-finding"])
    #expect(report(document(pattern("DAN")), options: LintOptions(looksForEvasions: false, ignored: [.shortLiteral])).findings == [])
  }

  @Test func whatLoadingSaysIsAFinding() {
    let found = report(document(pattern("hello")).replacing("severity: high", with: "severity: hihg")).findings
    #expect(found.contains { $0.kind == .invalidRule && $0.severity == .error })
  }

  @Test func metadata() {
    let text = document("conditions:\n  used: {field: content, patterns: [hello]}\n  unused: {field: content, patterns: [other]}\ncondition: used")
      .replacing("confidence: 80\n", with: "").replacing("references: {mitre_attack: [T1110]}\n", with: "references: {cwe: [CWE-1]}\n")
      .replacing("  false_positives: [some]\n", with: "")
    #expect(
      Set(ids(report(text))) == ["missing-reference", "missing-false-positives", "missing-confidence", "unused-condition"])
    let correlation = """
      correlation: {id: ATR-COR-2026-90001, title: T, severity: high, confidence: 90, false_positives: [f], references: {mitre_atlas: [AML.T0001]}}
      source_rules: [{alias: a, rule_id_pattern: ATR-2025-*}]
      correlation_logic: {type: count_threshold, count: 3, window: 5m}
      test_cases: {true_positives: [x, y], true_negatives: [x, y], evasion_tests: [x]}

      """
    #expect(ids(report(correlation)).contains("unmatched-source"))
  }

  /// Why a rule is skipped is one finding, of the rule, at the place that is the reason.
  @Test func aSkippedRuleIsSaidOnce() throws {
    let runs = document("conditions:\n  used: {field: content, patterns: [hello]}\ncondition: used")
    let metric = document("conditions:\n  - {metric: calls, operator: gt, threshold: 5}\ncondition: any", id: "ATR-2026-00002")
    let method = document("method: telepathy", id: "ATR-2026-00003")
    let judged = document("method: semantic\nsemantic: {judge_prompt: p, threshold: 0.5}", id: "ATR-2026-00004")
    let found = report(runs, metric, method, judged).findings.filter { $0.kind == .skippedRule || $0.kind == .questionableRule }
    #expect(found.filter { $0.message.contains("skipped") }.map(\.ruleID) == ["ATR-2026-00002", "ATR-2026-00003", "ATR-2026-00004"], "\(found)")
    #expect(found.filter { $0.kind == .questionableRule && $0.message.contains("skipped") }.isEmpty, "\(found)")
    let lines = (runs + "---\n" + metric).split(separator: "\n", omittingEmptySubsequences: false)
    let place = try #require(lines.firstIndex { $0.contains("metric: calls") }) + 1
    #expect(found.first { $0.ruleID == "ATR-2026-00002" }?.location.line == place, "\(found)")
  }

  /// A correlation waits for ever for rules that do not run; each of them is fine alone.
  @Test(arguments: [("status: draft", true), ("status: deprecated", true), ("status: stable", false)])
  func silentSources(_ status: String, _ isSilent: Bool) {
    let text = document("conditions:\n  used: {field: content, patterns: [hello]}\ncondition: used")
    let correlation = """
      correlation: {id: ATR-COR-2026-90001, title: T, status: stable, severity: high, confidence: 90, false_positives: [f]}
      source_rules: [{alias: a, rule_id: ATR-2026-00001}]
      correlation_logic: {type: count_threshold, count: 3, window: 5m}

      """
    let found = report(text.replacing("status: stable", with: status), correlation)
    #expect(ids(found).contains("unmatched-source") == isSilent, "\(found.findings)")
  }

  @Test(arguments: [
    ("{a.event_id} {a.rule_id} {a.timestamp} {rule_id} {session.id} {x}", 0), ("{b.event_id}", 1), ("{c.event_id}", 1), ("{a.title}", 1),
    ("{agent.id} {", 0),
  ])
  func messageTemplates(_ template: String, _ warnings: Int) {
    let correlation = """
      correlation: {id: ATR-COR-2026-90001, title: T, severity: high, confidence: 90, false_positives: [f]}
      source_rules: [{alias: a, rule_id_pattern: ATR-2025-*}, {alias: b, rule_id_pattern: ATR-2024-*}]
      correlation_logic: {type: count_threshold, alias: a, count: 3, window: 5m}
      response: {message_template: '\(template)'}

      """
    #expect(report(correlation).findings.count { $0.message.contains("stays as it is") } == warnings)
  }

  // MARK: Hostile rules

  @Test(arguments: [
    String(repeating: "(", count: 50) + "a" + String(repeating: "+)+", count: 16) + String(repeating: ")", count: 34),
    String(repeating: "a*", count: 4000), String(repeating: "(?:a|", count: 55) + "b" + String(repeating: ")*", count: 55),
    "(?:" + (0..<800).map { "w\($0)+" }.joined(separator: "|") + ")*x", String(repeating: "[^a]*", count: 2000) + "z",
  ]) func hostilePatternsAreBounded(_ text: String) {
    let set = RuleLoader.load(document: document(pattern(text)), file: "r.yaml")
    var places = PatternPlaces { _ in nil }
    // Not the engine: what it makes of such patterns is its own tests' matter.
    for rule in set.rules { #expect(PatternChecks.findings(rule, confirmsAttacks: true, &places).count < 100) }
  }

  @Test func theSameReportTwice() {
    let text = document(pattern("(a+)+b|DAN|x^y"))
    #expect(report(text).findings == report(text).findings)
  }
}
