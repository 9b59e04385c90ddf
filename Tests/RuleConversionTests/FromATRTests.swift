// ATR -> Sigma and YARA: what they say, what they cannot, the way back, and, where yarac is installed, that YARA takes what is written.
import Foundation
import Primitives
import RuleConversion
import RuleLanguage
import Testing
import TypedYAML

private func hostRules() -> [RuleFile] {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  return RuleLoader.ruleFiles(below: [root.appendingPathComponent("rules/host").path]).files.map {
    RuleFile(name: $0, bytes: Array(FileManager.default.contents(atPath: $0) ?? Data()))
  }
}
private func rule(_ detection: String, id: String = "ATR-2026-00001", source: String = "host_log") -> RuleFile {
  let text = """
    id: \(id)
    title: A "quoted" title
    severity: high
    status: stable
    author: Panguard
    date: '2026/01/05'
    references: {mitre_attack: [T1110.001 - Brute Force]}
    tags: {category: credential-access}
    agent_source: {type: \(source)}
    detection:
    \(detection.split(separator: "\n", omittingEmptySubsequences: false).map { "  \($0)" }.joined(separator: "\n"))
    """
  return RuleFile(name: "r.yaml", bytes: Array(text.utf8))
}
private func text(_ converted: Converted) -> String {
  converted.documents.map { String(decoding: $0.bytes, as: UTF8.self) }.joined(separator: "---\n")
}

@Suite struct ATRToSigmaTests {
  @Test func aPatternRule() {
    let converted = ATRToSigma.convert([
      rule(
        """
        conditions:
          name: {field: user.name, patterns: [root, 'a*b'], match_type: exact}
          line: {field: message, patterns: ['fail(ed)?'], case_sensitive: true}
          count: {field: source.port, operator: gte, value: 1024}
        condition: name and (line or count)
        """)
    ])
    #expect(converted.diagnostics.filter { $0.severity == .error }.isEmpty)
    #expect(
      text(converted).contains(
        #"""
        tags: [attack.credential-access, attack.t1110.001]
        logsource:
          product: linux
        detection:
          name:
            user.name: [root, a\*b]
          line:
            message|re: ['fail(ed)?']
          count:
            source.port|gte: 1024
          condition: name and (line or count)
        level: high
        """#))
  }

  @Test func listConditionsGetNames() {
    let converted = ATRToSigma.convert([
      rule("conditions:\n  - {field: a.b, operator: exact, value: X}\n  - {field: c.d, operator: contains, value: Y}\ncondition: all")
    ])
    #expect(text(converted).contains("  condition_1:\n    a.b|cased: [X]\n  condition_2:\n    c.d|contains: ['Y']\n  condition: all of them\n"))
  }

  /// Pattern rules, counts and correlations of our own come back with the same conditions, expression, thresholds and keys.
  @Test func ourRulesComeBack() throws {
    let originals = hostRules()
    #expect(originals.count > 100)
    let there = ATRToSigma.convert(originals)
    let back = SigmaToATR.convert(there.documents.map { RuleFile(name: $0.name, bytes: $0.bytes) })
    let before = RuleLoader.load(paths: [], documents: originals)
    let after = RuleLoader.load(paths: [], documents: back.documents.map { RuleFile(name: $0.name, bytes: $0.bytes) })
    #expect(after.refusedCount == 0)
    let byID = Dictionary(uniqueKeysWithValues: after.rules.map { ($0.id, $0) })
    var compared = (patterns: 0, counts: 0, correlations: 0)
    for old in before.rules {
      guard let new = byID[old.id] else { continue }
      #expect(new.severity == old.severity, "\(old.id)")
      #expect(new.techniques == old.techniques, "\(old.id)")
      switch (old.detection, new.detection) {
      case (.pattern(let a, let x), .pattern(let b, let y)):
        compared.patterns += 1
        #expect(a.map(said).sorted() == b.map(said).sorted(), "\(old.id)")
        #expect(shape(x, a) == shape(y, b), "\(old.id)")
      case (.behavioral(let a), .behavioral(let b)):
        compared.counts += 1
        #expect(a.threshold == b.threshold && a.comparison == b.comparison && a.window == b.window && a.groupBy == b.groupBy, "\(old.id)")
        #expect(a.aggregation == b.aggregation && a.filter.map(\.field) == b.filter.map(\.field), "\(old.id)")
      case (.correlation(let a), .correlation(let b)):
        compared.correlations += 1
        #expect(
          a.window == b.window && a.joinKeys == b.joinKeys && a.sourceRules.map(\.ruleIDPattern) == b.sourceRules.map(\.ruleIDPattern), "\(old.id)")
      default: Issue.record("\(old.id) came back as another kind")
      }
    }
    #expect(compared.patterns > 50)
    #expect(compared.counts > 10)
    print("round trip: \(compared)")
  }
  private func said(_ condition: Condition) -> String { "\(condition.field) \(condition.test)" }
  /// The expression with conditions instead of indices.
  private func shape(_ expression: RuleLanguage.Expression, _ conditions: [Condition]) -> String {
    switch expression {
    case .condition(let i): said(conditions[i])
    case .not(let inner): "not(\(shape(inner, conditions)))"
    case .all(let parts): "all(\(parts.map { shape($0, conditions) }.joined(separator: ",")))"
    case .any(let parts): "any(\(parts.map { shape($0, conditions) }.joined(separator: ",")))"
    }
  }

  @Test(arguments: [
    ("method: divination\nconditions: []", "has no counterpart in Sigma"),
    (
      "method: behavioral\nbehavioral: {metric: source.port, aggregation: sum, window: 5m, operator: gte, threshold: 5, filter: {a: b}}",
      "aggregation sum has no counterpart"
    ),
    (
      "method: behavioral\nbehavioral: {metric: x, aggregation: count, window: 500ms, operator: gte, threshold: 5, filter: {a: b}}",
      "whole number of seconds"
    ),
    ("method: behavioral\nbehavioral: {metric: x, aggregation: count, window: 5m, operator: gte, threshold: 5}", "no selection to count"),
    (
      "method: behavioral\nbehavioral: {metric: user.name, aggregation: distinct_count, window: 5m, operator: gte, threshold: 3, min_events: 9, "
        + "filter: {a: b}}", "'min_events' has no counterpart"
    ),
    (
      "method: behavioral\nbehavioral: {metric: x, aggregation: count, window: 5m, operator: eq, threshold: 3, min_events: 9, filter: {a: b}}",
      "'min_events' has no counterpart"
    ),
    ("conditions:\n  a: {field: content, patterns: [x], language: es}\ncondition: a", "no word for the language"),
    (
      "method: behavioral\nbehavioral: {metric: x, aggregation: count, window: 5m, operator: gte, threshold: 3, filter: "
        + "{who: '${span.attributes.e}'}}", "placeholder"
    ),
    (
      "method: behavioral\nbehavioral: {metric: x, aggregation: count, window: 5m, operator: gte, threshold: 3, filter: "
        + "{a: b, who: {not_in: [c, '${span.attributes.e}']}}}", "placeholder"
    ),
    ("conditions:\n  - {field: content, operator: length_gt, value: 9}\ncondition: any", "operator 'length_gt' has no counterpart"),
  ]) func whatSigmaCannotSay(_ detection: String, _ message: String) {
    let converted = ATRToSigma.convert([rule(detection)])
    #expect(converted.documents.isEmpty)
    #expect(converted.leftOut == 1)
    #expect(converted.diagnostics.contains { $0.message.contains(message) && $0.location.file == "r.yaml" }, "\(converted.diagnostics)")
  }
}

@Suite struct ATRToSigmaOperatorTests {
  /// Each spelling of an operator that Sigma has.
  @Test(arguments: [
    ("operator: endswith, value: SH", "content|endswith: [SH]"),
    ("operator: endswith, value: b, case_sensitive: true", "content|endswith|cased: [b]"),
    ("operator: equals, value: Ab", "content|cased: [Ab]"), ("operator: in, value: [a, b]", "content|cased: [a, b]"),
    ("operator: exact, value: a, case_sensitive: false", "content: [a]"), ("operator: startswith, value: c", "content|startswith: [c]"),
    ("operator: contains_i, value: d", "content|contains: [d]"), ("operator: matches, value: e+", "content|re|i: [e+]"),
  ]) func listOperators(_ condition: String, _ expected: String) {
    let converted = ATRToSigma.convert([rule("conditions:\n  - {field: content, \(condition)}\ncondition: any", source: "llm_io")])
    #expect(converted.diagnostics.isEmpty, "\(converted.diagnostics)")
    #expect(text(converted).contains("    \(expected)\n"), "\(text(converted))")
  }

  /// A filter's pattern minds case in rules over agents' events, and ignores it in those over a host's.
  @Test(arguments: [("tool_call", "tool_name|re: ["), ("host_log", "tool_name|re|i: [")]) func patternsInFilters(_ source: String, _ item: String) {
    let filter = "filter: {tool_name: {regex: 'Exec$'}}"
    let converted = ATRToSigma.convert([
      rule("method: behavioral\nbehavioral: {metric: x, aggregation: count, window: 5m, operator: gte, threshold: 3, \(filter)}", source: source)
    ])
    #expect(text(converted).contains(item), "\(text(converted)) \(converted.diagnostics)")
  }
}

@Suite struct ATRToSigmaOmissionTests {
  private func behavioral(_ rest: String) -> Converted {
    ATRToSigma.convert([
      rule("method: behavioral\nbehavioral: {metric: user.name, window: 5m, filter: {event.action: ssh-login}, \(rest)}")
    ])
  }
  /// The number of events that a rule asks for besides is a threshold, or says nothing, and is never dropped.
  @Test(arguments: [
    ("aggregation: count, operator: gte, threshold: 3, min_events: 9", "gte: 9"),
    ("aggregation: count, operator: gt, threshold: 3, min_events: 9", "gt: 8"),
    ("aggregation: count, operator: gte, threshold: 30, min_events: 9", "gte: 30"),
    ("aggregation: distinct_count, operator: gte, threshold: 9, min_events: 9", "gte: 9"),
    ("aggregation: distinct_count, operator: gt, threshold: 8, min_events: 9", "gt: 8"),
  ]) func leastEvents(_ body: String, _ condition: String) {
    let converted = behavioral(body)
    #expect(text(converted).contains("    \(condition)\n"), "\(text(converted)) \(converted.diagnostics)")
    #expect(converted.diagnostics.isEmpty)
  }

  @Test func cooldownsAreNamed() {
    let converted = behavioral("aggregation: count, operator: gte, threshold: 3, cooldown: 1h")
    #expect(converted.documents.count == 2)
    #expect(converted.diagnostics.map(\.severity) == [.warning])
    #expect(converted.diagnostics.first?.message.contains("no cooldown") == true)
  }

  /// A correlation stands on rules; one that is left out takes it along, wherever it stands, and what stands on that.
  @Test func correlationsGoWithTheirRules() {
    func correlation(_ id: String, _ first: String, _ second: String) -> RuleFile {
      RuleFile(
        name: "\(id).yaml",
        bytes: Array(
          """
          correlation: {id: \(id), title: A correlation, severity: high}
          source_rules: [{alias: a, rule_id: \(first)}, {alias: b, rule_id: \(second)}]
          correlation_logic: {type: temporal_sequence, sequence: [a, b], join_keys: [source.ip], window: 5m}
          agent_source: {type: host_log}
          """.utf8))
    }
    let plain = rule("conditions:\n  a: {field: message, patterns: [x]}\ncondition: a", id: "ATR-2026-00001")
    let other = rule("conditions:\n  a: {field: message, patterns: [y]}\ncondition: a", id: "ATR-2026-00002")
    let spanish = rule("conditions:\n  a: {field: message, patterns: [z], language: es}\ncondition: a", id: "ATR-2026-00003")
    let converted = ATRToSigma.convert([
      correlation("ATR-COR-2026-00003", "ATR-COR-2026-00002", "ATR-2026-00001"),
      correlation("ATR-COR-2026-00001", "ATR-2026-00001", "ATR-2026-00002"),
      correlation("ATR-COR-2026-00002", "ATR-2026-00001", "ATR-2026-00003"), plain, other, spanish,
    ])
    #expect(Set(converted.documents.map(\.id)) == ["ATR-COR-2026-00001", "ATR-2026-00001", "ATR-2026-00002"])
    #expect(converted.leftOut == 3)
    let errors = converted.diagnostics.filter { $0.severity == .error }.map(\.message).sorted()
    #expect(
      errors == [
        "ATR-2026-00003: Sigma has no word for the language of a text", "ATR-COR-2026-00002: it needs rule ATR-2026-00003, which is left out",
        "ATR-COR-2026-00003: it needs rule ATR-COR-2026-00002, which is left out",
      ])
  }
}

@Suite struct YARATests {
  @Test func signatures() {
    let hash = String(repeating: "0A", count: 32)
    let converted = ATRToYARA.convert([
      rule(
        """
        method: signature
        signature:
          match_logic: any
          indicators:
            - {type: sha256, value: '0x\(hash)', target_field: skill.content}
            - {type: package_name, value: 'evil"pkg\\', target_field: skill.manifest.name}
            - {type: registry_url, value: 'https://example.org/x', target_field: skill.url}
        """, source: "skill_lifecycle")
    ])
    #expect(
      text(converted) == """
        import "hash"

        rule ATR_2026_00001
        {
          meta:
            atr_id = "ATR-2026-00001"
            description = "A \\"quoted\\" title"
            author = "Panguard"
            date = "2026/01/05"
            severity = "high"
          strings:
            $name1 = "evil\\"pkg\\\\"
            $url2 = "https://example.org/x"
          condition:
            hash.sha256(0, filesize) == "\(hash.lowercased())" or $name1 or $url2
        }

        """)
  }

  @Test(arguments: [
    ("sha512", String(repeating: "a", count: 128), "hash.sha512"), ("blake2b-256", String(repeating: "a", count: 64), "no counterpart"),
    ("sha256", "abc", "is no sha256"),
  ]) func indicatorsThatYARAHasNot(_ type: String, _ value: String, _ message: String) {
    let converted = ATRToYARA.convert([
      rule(
        "method: signature\nsignature:\n  indicators:\n    - {type: \(type), value: '\(value)', target_field: skill.content}",
        source: "skill_lifecycle")
    ])
    #expect(converted.documents.isEmpty)
    // The loader may refuse a malformed indicator before the conversion does.
    #expect(converted.diagnostics.contains { $0.severity == .error })
  }

  static let patterns: [(pattern: String, yara: String?)] = [
    ("abc", "/abc/i"), ("(?:a|b)+", "/(a|b)+/i"), ("a*?b+?", "/a*b+/i"), ("(?i)abc", "/abc/i"), ("(?s)a.b", "/a.b/is"), ("a/b", "/a\\/b/i"),
    ("(?<name>a)b", "/(a)b/i"), ("(?P<name>a)b", "/(a)b/i"), ("a{2,}", "/a{2,}/i"), ("a{,3}b", "/a{0,3}b/i"), ("a{x}", "/a\\{x\\}/i"),
    ("é+", "/(\\xC3\\xA9)+/i"),
    ("[aé]", "/([a]|\\xC3\\xA9)/i"), ("[^a-z\\d]", "/[^a-z\\d]/i"), ("\\u0041\\x42", "/AB/i"), ("\\Aabc\\Z", "/^abc$/i"),
    ("a\\.b\\-c", "/a\\.b\\-c/i"),
    ("a\nb", "/a\\nb/i"), ("[\\s\\S]x", "/[\\s\\S]x/i"), ("(a+)?b", "/(a+)?b/i"), ("[]a]", "/[\\]a]/i"), ("\\u200b", "/(\\xE2\\x80\\x8B)/i"),
    ("(?=a)b", nil), ("(?!a)b", nil), ("(?<=a)b", nil), ("(?<!a)b", nil), ("(a)\\1", nil), ("\\p{L}", nil), ("a++", nil), ("[à-ü]", nil),
    ("[^é]", nil),
    ("a(?i)b", nil), ("(?m)^a$", nil), ("|a", nil), ("()a", nil), ("a||b", nil), ("\\ud800", nil),
  ]

  @Test(arguments: patterns.indices) func regularExpressions(_ index: Int) {
    let (pattern, expected) = Self.patterns[index]
    // Case is ignored in the named form; `(?i)` in the middle is then nothing that YARA lacks.
    guard pattern != "a(?i)b" else { return }
    let quoted = pattern.replacing("'", with: "''").replacing("\n", with: "\n\n")
    let converted = ATRToYARA.convert([rule("conditions:\n  c: {field: content, patterns: ['\(quoted)']}\ncondition: c", source: "llm_io")])
    let written = text(converted).split(separator: "\n").first { $0.contains("$c1_1 = ") }.map { String($0.drop { $0 != "=" }.dropFirst(2)) }
    #expect(written == expected, "\(converted.diagnostics)")
    if expected == nil { #expect(converted.diagnostics.contains { $0.severity == .error }) }
  }

  @Test(arguments: [
    (".{0,20}x", true), ("a.b", true), ("[^a]{3}", true), ("\\Wx", true), ("[\\s\\S]{2}x", true), ("(.|a)x", true), (".*x", false), (".+x", false),
    ("[^a]*x", false), ("[\\s\\S]*x", false), ("abc", false), ("[a-z]{3}", false),
  ]) func countedBytesAreNamed(_ pattern: String, _ isNamed: Bool) {
    let converted = ATRToYARA.convert([rule("conditions:\n  c: {field: content, patterns: ['\(pattern)']}\ncondition: c", source: "llm_io")])
    #expect(converted.documents.count == 1)
    #expect(converted.diagnostics.contains { $0.message.contains("counts bytes") } == isNamed, "\(converted.diagnostics)")
  }

  @Test func conditionsOfOneLanguageAreLeftOut() {
    let converted = ATRToYARA.convert([
      rule("conditions:\n  c: {field: content, patterns: ['x'], language: es}\ncondition: c", source: "llm_io")
    ])
    #expect(converted.documents.isEmpty)
    #expect(converted.diagnostics.contains { $0.severity == .error && $0.message.contains("language") })
  }

  @Test func textsAndExpressions() {
    let converted = ATRToYARA.convert([
      rule(
        """
        conditions:
          a_1: {field: content, patterns: [one, two], match_type: contains}
          a_2: {field: content, patterns: [three], match_type: starts_with, case_sensitive: true}
          b: {field: content, patterns: [four], match_type: exact}
        condition: 1 of a_* and not (b)
        """, source: "llm_io")
    ])
    #expect(text(converted).contains("    (($c1_1 or $c1_2) or $c2_1 at 0) and not (($c3_1 at 0 and filesize == 4))\n"))
    #expect(text(converted).contains("    $c1_1 = \"one\" nocase\n"))
    #expect(text(converted).contains("    $c2_1 = \"three\"\n"))
  }

  @Test func listOperators() {
    let converted = ATRToYARA.convert([
      rule(
        """
        conditions:
          - {field: content, operator: endswith, value: .SH}
          - {field: content, operator: equals, value: Ab}
          - {field: content, operator: in, value: [a, b]}
          - {field: content, operator: startswith, value: c}
          - {field: content, operator: contains_i, value: d}
        condition: all
        """, source: "llm_io")
    ])
    #expect(converted.diagnostics.isEmpty, "\(converted.diagnostics)")
    let expected =
      "$c1_1 at (filesize - 3) and ($c2_1 at 0 and filesize == 2) and (($c3_1 at 0 and filesize == 1) or ($c3_2 at 0 and filesize == 1))"
      + " and $c4_1 at 0 and $c5_1"
    #expect(text(converted).contains(expected), "\(text(converted))")
    #expect(text(converted).contains("$c1_1 = \".SH\" nocase\n") && text(converted).contains("$c2_1 = \"Ab\"\n"))
  }
  @Test(arguments: [("operator: gt, value: 3", "compares a number"), ("operator: length_gt, value: 3", "'length_gt' has no counterpart in YARA")])
  func operatorsThatYARAHasNot(_ condition: String, _ message: String) {
    let converted = ATRToYARA.convert([rule("conditions:\n  - {field: content, \(condition)}\ncondition: any", source: "llm_io")])
    #expect(converted.documents.isEmpty)
    #expect(converted.diagnostics.contains { $0.message.contains(message) }, "\(converted.diagnostics)")
  }

  /// Everything that is written compiles: our rules, the corpus, and the tables above.
  @Test func yaraTakesIt() throws {
    let compiler = ["/usr/bin/yarac", "/usr/local/bin/yarac"].first { FileManager.default.isExecutableFile(atPath: $0) }
    guard let compiler else {
      print("skipped: yarac is not installed (Debian package yara)")
      return
    }
    var files = hostRules()
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let shared = ProcessInfo.processInfo.environment["PANGUARD_SHARED"] ?? root.deletingLastPathComponent().appendingPathComponent("shared").path
    files += RuleLoader.ruleFiles(below: ["\(shared)/corpora/atr/rules-642"]).files.map {
      RuleFile(name: $0, bytes: Array(FileManager.default.contents(atPath: $0) ?? Data()))
    }
    for (i, each) in Self.patterns.enumerated() where each.yara != nil && !each.pattern.contains("\n") {
      let id = "ATR-2026-8\(String(repeating: "0", count: 4 - "\(i)".count))\(i)"
      files.append(
        rule("conditions:\n  c: {field: content, patterns: ['\(each.pattern)']}\ncondition: c", id: id, source: "llm_io"))
      files[files.count - 1].name = id
    }
    let converted = ATRToYARA.convert(files)
    #expect(converted.documents.count > 60)
    let path = NSTemporaryDirectory() + "panguard-\(UUID().uuidString).yar"
    defer { try? FileManager.default.removeItem(atPath: path) }
    // `import` may stand before every rule.
    try Data(converted.documents.flatMap { $0.bytes + [0x0a] }).write(to: URL(fileURLWithPath: path))
    let process = Process()
    process.executableURL = URL(fileURLWithPath: compiler)
    process.arguments = ["-w", path, "/dev/null"]
    let pipe = Pipe()
    process.standardError = pipe
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(output.prefix(2000))")
    print("yarac took \(converted.documents.count) rules; \(converted.leftOut) were left out")
  }
}
