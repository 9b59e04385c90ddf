// What a rule means once it is read: every shape of ATR and of the host profile, as tables.
import Events
import PanguardTestKit
import Primitives
import RuleLanguage
import Testing

func load(_ text: String) -> RuleSet { RuleLoader.load(document: text, file: "rules/r.yaml") }

/// One condition as a line.
func outline(_ condition: Condition) -> String {
  let test =
    switch condition.test {
    case .regex(let texts, let isSensitive): "regex\(isSensitive ? " Aa" : "") \(texts)"
    case .contains(let texts, let isSensitive): "contains\(isSensitive ? " Aa" : "") \(texts)"
    case .exact(let texts, let isSensitive): "exact\(isSensitive ? " Aa" : "") \(texts)"
    case .startsWith(let texts, let isSensitive): "starts\(isSensitive ? " Aa" : "") \(texts)"
    case .compare(let comparison, let value): "\(comparison.symbol) \(value)"
    case .exists(let flag): "exists \(flag)"
    }
  return "\(condition.name): \(condition.field)\(condition.isNegated ? " not" : "") \(test)"
}
func outline(_ expression: Expression) -> String {
  switch expression {
  case .condition(let index): "\(index)"
  case .not(let inner): "!\(outline(inner))"
  case .all(let parts): "(" + parts.map(outline).joined(separator: "&") + ")"
  case .any(let parts): "(" + parts.map(outline).joined(separator: "|") + ")"
  }
}

@Suite struct RuleReaderTests {
  @Test func theHead() throws {
    let set = load(
      """
      schema_version: "1.0"
      id: ATR-2026-90001
      rule_version: 3
      title: 'A title: with a colon'
      description: >
        What it
        sees.
      author: Panguard
      date: '2026/01/05'
      modified: 2026/02/01
      status: stable
      maturity: test
      severity: critical
      confidence: 87.5
      _llm_authored: {by: nobody}
      metadata_provenance: {mitre_attack: human}
      references:
        mitre_attack: ["T1110.001 - Brute Force: Password Guessing", T1078, T1078]
        mitre_atlas: ['AML.T0051 - Prompt Injection']
        owasp_llm: ['LLM01:2025 - Prompt Injection']
        research: https://example.org/a - b
        external_references: {sigma: [uuid-1]}
      tags: {category: credential-access, subcategory: password-guessing, confidence: low}
      agent_source: {type: host_log, framework: [any], provider: [any]}
      panguard: {family: brute-force, exculpatory: true}
      detection:
        method: pattern
        conditions: [{field: message, operator: contains, value: x}]
        condition: any
        false_positives: [A user who forgot a password., Another.]
      response: {actions: [alert, block_ip], auto_response_threshold: high, message_template: m}
      test_cases: {true_positives: [x]}
      """)
    #expect(set.diagnostics.map(\.description) == [])
    let rule = try #require(set.rules.first)
    #expect(rule.id == "ATR-2026-90001")
    #expect(rule.title == "A title: with a colon")
    #expect(rule.summary == "What it sees.\n")
    #expect([rule.author, rule.date, rule.status, rule.maturity] == ["Panguard", "2026/01/05", "stable", "test"])
    #expect(rule.severity == .critical)
    #expect(rule.confidence == Confidence(thousandths: 875))
    #expect(rule.techniques == ["T1110.001", "T1078"])
    #expect(
      rule.references == ["mitre_atlas:AML.T0051", "owasp_llm:LLM01:2025", "research:https://example.org/a", "external_references.sigma:uuid-1"])
    #expect(
      [rule.agentSource, rule.category, rule.subcategory, rule.family] == ["host_log", "credential-access", "password-guessing", "brute-force"])
    #expect(rule.isExculpatory)
    #expect(rule.falsePositives == ["A user who forgot a password.", "Another."])
    #expect(rule.responseActions == ["alert", "block_ip"])
    #expect(rule.location == SourceLocation(file: "rules/r.yaml", line: 1, column: 1))
  }

  @Test(arguments: [
    ("confidence: 80", 800), ("tags: {category: x, confidence: high}", 900), ("tags: {category: x, confidence: medium}", 700),
    ("tags: {category: x, confidence: low}", 400), ("tags: {category: x, confidence: medium-high}", 800), ("", 500), ("confidence: 100", 999),
  ])
  func confidences(_ line: String, _ thousandths: Int) {
    let rule = load(
      "id: ATR-2026-90001\ntitle: t\nseverity: low\n\(line)\ndetection: {conditions: [{field: a, operator: exact, value: b}], condition: any}\n"
    ).rules.first
    #expect(rule?.confidence == Confidence(thousandths: thousandths))
    #expect(rule?.statesConfidence == !line.isEmpty)
  }

  static let conditions: [(yaml: String, outlines: [String])] = [
    // The list form: insensitive but for exact, unless the author says.
    ("[{field: message, operator: regex, value: 'a+b'}]", ["1: message regex [\"a+b\"]"]),
    ("[{field: message, operator: contains, value: Ab}]", ["1: message contains [\"Ab\"]"]),
    ("[{field: message, operator: starts_with, value: Ab}]", ["1: message starts [\"Ab\"]"]),
    ("[{field: message, operator: exact, value: Ab}]", ["1: message exact Aa [\"Ab\"]"]),
    ("[{field: message, operator: exact, value: Ab, case_sensitive: false}]", ["1: message exact [\"Ab\"]"]),
    ("[{field: message, operator: regex, value: Ab, case_sensitive: true}]", ["1: message regex Aa [\"Ab\"]"]),
    ("[{field: message, operator: contains, value: [a, b]}]", ["1: message contains [\"a\", \"b\"]"]),
    (
      "[{field: message, operator: exact, value: 22}, {field: message, operator: exact, value: yes}]",
      [
        "1: message exact Aa [\"22\"]", "2: message exact Aa [\"yes\"]",
      ]
    ),
    (
      "[{field: source.port, operator: gt, value: 1}, {field: source.port, operator: gte, value: '2'}, {field: x, operator: lt, value: -3},"
        + " {field: x, operator: lte, value: 4}, {field: x, operator: eq, value: 5}]",
      [
        "1: source.port > 1", "2: source.port ≥ 2", "3: x < -3", "4: x ≤ 4", "5: x = 5",
      ]
    ),
    (
      "[{field: source.ip, operator: exact, value: '::ffff:192.0.2.1'}, {field: source.port, operator: exact, value: 022}]",
      [
        "1: source.ip exact Aa [\"192.0.2.1\"]", "2: source.port exact Aa [\"22\"]",
      ]
    ),
    // The named map: regex and insensitive unless the author says.
    (
      "{p: {field: message, patterns: [a, b]}, q: {field: message, patterns: [C], match_type: exact, case_sensitive: true}}",
      [
        "p: message regex [\"a\", \"b\"]", "q: message exact Aa [\"C\"]",
      ]
    ),
    (
      "{p: {field: message, patterns: one, match_type: contains}, q: {field: message, operator: starts_with, value: d}}",
      [
        "p: message contains [\"one\"]", "q: message starts [\"d\"]",
      ]
    ),
    // ECMAScript's spelling of code points.
    (
      #"[{field: message, operator: regex, value: "[\\u200B-\\u{200D}]\\uD83D\\uDE00\\\\u0041"}]"#,
      [
        #"1: message regex ["[\\u200B-\\u{200D}]\\uD83D\\uDE00\\\\u0041"]"#
      ]
    ),
    (#"[{field: message, operator: regex, value: "(?:\\uDB40[\\uDC00-\\uDC7F]){3,}"}]"#, [#"1: message regex ["(?:\\uDB40[\\uDC00-\\uDC7F]){3,}"]"#]),
  ]
  @Test(arguments: conditions) func bothShapesOfConditions(_ yaml: String, _ outlines: [String]) {
    let set = load(hostRule(detection: "conditions: \(yaml)\ncondition: any"))
    #expect(set.diagnostics.map(\.description) == [])
    guard case .pattern(let conditions, _)? = set.rules.first?.detection else {
      Issue.record("no pattern rule")
      return
    }
    #expect(conditions.map(outline) == outlines)
  }

  static let expressions: [(text: String, outline: String)] = [
    ("any", "(0|1|2)"), ("or", "(0|1|2)"), ("ALL", "(0&1&2)"), ("and", "(0&1&2)"), ("1 of them", "(0|1|2)"), ("any of them", "(0|1|2)"),
    ("all of them", "(0&1&2)"), ("any of *", "(0|1|2)"), ("all of a*", "(0&1)"), ("1 of a* and b", "((0|1)&2)"), ("a1", "0"),
    ("a1 and a2", "(0&1)"), ("a1 AND a2 and b", "(0&1&2)"), ("a1 or a2 and b", "(0|(1&2))"), ("(a1 or a2) and b", "((0|1)&2)"),
    ("not a1", "!0"), ("not not a1", "0"), ("a1 and not (a2 or b)", "(0&!(1|2))"), ("not a1 or Not a2", "(!0|!1)"), ("((a1))", "0"),
    ("a1\n and\ta2", "(0&1)"),
  ]
  @Test(arguments: expressions) func conditionExpressions(_ text: String, _ expected: String) {
    let yaml = "conditions:\n  a1: {field: message, patterns: [x]}\n  a2: {field: message, patterns: [y]}\n  b: {field: message, patterns: [z]}\n"
    let quoted = text.replacing("\n", with: "\\n").replacing("\t", with: "\\t")
    guard case .pattern(_, let expression)? = load(hostRule(detection: yaml + "condition: \"\(quoted)\"")).rules.first?.detection else {
      Issue.record("no pattern rule")
      return
    }
    #expect(outline(expression) == expected)
  }

  /// The expression against a truth table: all three-name expressions of a random generator agree with a direct evaluation.
  @Test func expressionsAgreeWithATruthTable() {
    var random = SplitMix64(seed: 7)
    func build(_ depth: Int) -> (text: String, value: (Int) -> Bool) {
      switch depth == 0 ? 0 : random.below(4) {
      case 0:
        let i = random.below(3)
        return (["a", "b", "c"][i], { $0 >> i & 1 == 1 })
      case 1:
        let inner = build(depth - 1)
        return ("not (\(inner.text))", { !inner.value($0) })
      case 2:
        let (l, r) = (build(depth - 1), build(depth - 1))
        return ("(\(l.text)) and (\(r.text))", { l.value($0) && r.value($0) })
      default:
        let (l, r) = (build(depth - 1), build(depth - 1))
        return ("\(l.text) or \(r.text)", { l.value($0) || r.value($0) })
      }
    }
    func evaluate(_ expression: Expression, _ bits: Int) -> Bool {
      switch expression {
      case .condition(let i): bits >> i & 1 == 1
      case .not(let inner): !evaluate(inner, bits)
      case .all(let parts): parts.allSatisfy { evaluate($0, bits) }
      case .any(let parts): parts.contains { evaluate($0, bits) }
      }
    }
    for _ in 0..<200 {
      let (text, value) = build(4)
      let yaml = "conditions: {a: {field: message, patterns: [x]}, b: {field: message, patterns: [x]}, c: {field: message, patterns: [x]}}\n"
      guard case .pattern(_, let expression)? = load(hostRule(detection: yaml + "condition: \(text)")).rules.first?.detection else {
        Issue.record("not read: \(text)")
        return
      }
      for bits in 0..<8 { #expect(evaluate(expression, bits) == value(bits), "\(text) at \(bits)") }
    }
  }
  @Test func deepExpressionsAreRefused() {
    let yaml = "conditions: {a: {field: message, patterns: [x]}}\n"
    for text in [String(repeating: "(", count: 100_000), String(repeating: "(", count: 33) + "a" + String(repeating: ")", count: 33)] {
      let set = load(hostRule(detection: yaml + "condition: \(text)"))
      #expect(set.rules.isEmpty)
      #expect(set.diagnostics.map(\.message) == ["detection.condition: parentheses nest deeper than 32"])
    }
    #expect(load(hostRule(detection: yaml + "condition: \(String(repeating: "not ", count: 100_000))a")).rules.count == 1)
  }

  @Test func behavioral() throws {
    let set = load(
      hostRule(
        detection: """
          method: behavioral
          behavioral:
            metric: panguard.attempt.count
            aggregation: sum
            window: PT10M
            operator: gte
            threshold: 5
            group_by: [source.ip, host.name]
            min_events: 2
            cooldown: 1h
            filter:
              event.category: authentication
              event.outcome: [failure, unknown]
              user.name: {not_in: [root, admin], exists: true}
              source.port: {gt: 1023, lte: 65535, ne: 4000}
              process.name: {regex: '^ssh', contains: [s, d], starts_with: ss, eq: sshd}
              source.ip: {not_equals: '2001:DB8::1'}
          """))
    #expect(set.diagnostics.map(\.description) == [])
    guard case .behavioral(let rule)? = set.rules.first?.detection else {
      Issue.record("no behavioral rule")
      return
    }
    #expect(rule.metric == "panguard.attempt.count")
    #expect(rule.metricField == .known(.attemptCount))
    #expect(rule.aggregation == .sum)
    #expect(rule.window == .minutes(10))
    #expect(rule.comparison == .gte)
    #expect(rule.threshold == 5)
    #expect(rule.groupBy == [.known(.sourceIP), .known(.hostName)])
    #expect(rule.groupsIPv6ByNetwork)
    #expect(rule.minEvents == 2)
    #expect(rule.cooldown == .hours(1))
    #expect(
      rule.filter.map(outline) == [
        "event.category: event.category exact Aa [\"authentication\"]", "event.outcome: event.outcome exact Aa [\"failure\", \"unknown\"]",
        "user.name not_in: user.name not exact Aa [\"root\", \"admin\"]", "user.name exists: user.name exists true",
        "source.port gt: source.port > 1023", "source.port lte: source.port ≤ 65535", "source.port ne: source.port not exact Aa [\"4000\"]",
        "process.name regex: process.name regex [\"^ssh\"]", "process.name contains: process.name contains [\"s\", \"d\"]",
        "process.name starts_with: process.name starts [\"ss\"]", "process.name eq: process.name exact Aa [\"sshd\"]",
        "source.ip not_equals: source.ip not exact Aa [\"2001:db8::1\"]",
      ])
    #expect(outline(rule.filterExpression) == "(0&1&2&3&4&5&6&7&8&9&10&11)")
  }

  static let behaviorals: [(yaml: String, outline: String)] = [
    ("metric: e, aggregation: count, window: 5m, operator: gt, threshold: 100000", "count e nil > 100000 5m [] false"),
    ("metric: e, aggregation: rate, window: 30s, operator: gte, threshold: 2.5", "rate e nil ≥ 2500 30s [] false"),
    (
      "metric: user.name, aggregation: distinct_count, window: 1h, operator: gte, threshold: 1024, group_by: source.ip",
      "distinct_count user.name user.name ≥ 1024 1h [source.ip] true"
    ),
    (
      "metric: network.bytes, aggregation: max, window: 7d, operator: lt, threshold: 0, group_by: [user.name]",
      "max network.bytes network.bytes < 0 7d [user.name] false"
    ),
    (
      "metric: event.duration, aggregation: avg, window: 1h, operator: gte, threshold: 1.5", "avg event.duration event.duration ≥ 1500000 1h [] false"
    ),
    (
      "metric: token_spend_usd, aggregation: sum, window: 1h, operator: gt, threshold: 0.25",
      "sum token_spend_usd token_spend_usd > 250000 1h [] false"
    ),
    ("metric: e, aggregation: count, window: PT1M, operator: gte, threshold: 2.5", "count e nil > 2 1m [] false"),
    ("metric: e, aggregation: count, window: PT1M, operator: lt, threshold: 2.5", "count e nil ≤ 2 1m [] false"),
    ("metric: e, aggregation: count, window: PT1M, operator: eq, threshold: 3", "count e nil = 3 1m [] false"),
    (
      "metric: e, aggregation: count, window: 1h, operator: deviation_from_baseline, threshold: 3.5, baseline: {source: rolling_mean, lookback: P7D, deviation_unit: stddev}",
      "count e nil ≥ 3500 1h [] false rolling_mean 7d 0 0 stddev"
    ),
    (
      "metric: e, aggregation: rate, window: 1m, operator: deviation_from_baseline, threshold: 2, baseline: {source: historical_percentile, lookback: P1D, percentile: 99.5, deviation_unit: fraction}",
      "rate e nil ≥ 2000 1m [] false historical_percentile 1d 99500 0 fraction"
    ),
    (
      "metric: x, aggregation: avg, window: 1m, operator: deviation_from_baseline, threshold: -0.5, baseline: {source: fixed, value: 12.5, deviation_unit: fraction}",
      "avg x x ≥ -500 1m [] false fixed nil 0 12500000 fraction"
    ),
  ]
  @Test(arguments: behaviorals) func behavioralTable(_ yaml: String, _ expected: String) {
    let set = load(hostRule(detection: "method: behavioral\nbehavioral: {\(yaml)}"))
    #expect(set.diagnostics.map(\.description) == [])
    #expect(set.rules.first.map { describe($0.detection) } == expected)
  }
  private func describe(_ detection: Detection) -> String {
    switch detection {
    case .pattern(_, let expression): return "pattern \(outline(expression))"
    case .behavioral(let b):
      let field = b.metricField.map(\.description) ?? "nil"
      let baseline = b.baseline.map { " \($0.source) \($0.lookback.map { "\($0)" } ?? "nil") \($0.percentile) \($0.value) \($0.unit)" } ?? ""
      return
        "\(b.aggregation) \(b.metric) \(field) \(b.comparison.symbol) \(b.threshold) \(b.window) \(b.groupBy) \(b.groupsIPv6ByNetwork)\(baseline)"
    case .correlation(let c):
      return "\(c.sourceRules.map { "\($0.alias)=\($0.ruleIDPattern)" }) \(c.logic) by \(c.joinKeys) in \(c.window)"
    case .signature, .trace: return "see MethodReaderTests"
    case .skipped(let method, let reason): return "skipped \(method): \(reason)"
    }
  }
  @Test(arguments: [
    ("threshold: 3", "'detection.behavioral.baseline' is missing"),
    ("threshold: 3, baseline: {source: rolling_mean, lookback: 1d}", "deviation_unit' is missing"),
    ("threshold: 3, baseline: {source: median, lookback: 1d, deviation_unit: stddev}", "source"),
    ("threshold: 3, baseline: {source: rolling_mean, deviation_unit: stddev}", "lookback' is missing"),
    ("threshold: 3, baseline: {source: rolling_mean, lookback: 4h, deviation_unit: stddev}", "too few"),
    ("threshold: 3, baseline: {source: rolling_mean, lookback: 99999d, deviation_unit: stddev}", "more than 65536"),
    ("threshold: 3, baseline: {source: historical_percentile, lookback: 1d, deviation_unit: stddev}", "percentile' is missing"),
    ("threshold: 3, baseline: {source: historical_percentile, lookback: 1d, percentile: 100, deviation_unit: stddev}", "between 0.001 and 99.999"),
    ("threshold: 3, baseline: {source: fixed, deviation_unit: fraction}", "value' is missing"),
    ("threshold: 3, baseline: {source: fixed, value: 1, deviation_unit: stddev}", "no standard deviation"),
    ("threshold: 1e9, baseline: {source: fixed, value: 1, deviation_unit: fraction}", "must be a number"),
    ("threshold: 3, baseline: {source: fixed, value: 1, deviation_unit: fraction, x: 1}", "unknown key 'x'"),
  ])
  func badBaselines(_ text: String, _ message: String) {
    let set = load(
      hostRule(detection: "method: behavioral\nbehavioral: {metric: e, aggregation: count, window: 1h, operator: deviation_from_baseline, \(text)}"))
    #expect(set.rules.isEmpty)
    #expect(set.diagnostics.contains { $0.severity == .error && $0.message.contains(message) }, "\(set.diagnostics)")
  }
  @Test func ipv6NetworksCanBeTurnedOff() {
    let behavioral = "method: behavioral\nbehavioral: {metric: e, aggregation: count, window: 5m, operator: gt, threshold: 1, group_by: [source.ip]}"
    for (extra, expected) in [("", true), ("panguard: {ipv6_network: false}", false), ("panguard: {ipv6_network: true}", true)] {
      guard case .behavioral(let rule)? = load(hostRule(detection: behavioral, extra: extra)).rules.first?.detection else {
        Issue.record("no rule")
        continue
      }
      #expect(rule.groupsIPv6ByNetwork == expected)
    }
  }

  static let skipped: [(detection: String, method: String)] = [
    ("method: semantic\nsemantic: {threshold: 0.8}", "semantic"),
    ("conditions: {m: {metric: calls, operator: gt, threshold: 3, window: 5m}}\ncondition: m", "pattern"),
    ("conditions: {s: {steps: [{patterns: [a]}], within: 5m}}\ncondition: s", "pattern"),
  ]
  @Test(arguments: skipped) func skippedWithAReason(_ detection: String, _ method: String) {
    let set = load(hostRule(detection: detection))
    #expect(set.refusedCount == 0)
    guard case .skipped(let found, let reason)? = set.rules.first?.detection else {
      Issue.record("not skipped")
      return
    }
    #expect(found == method)
    #expect(reason.utf8.count > 20)
  }
  /// Agent rules are written for ECMAScript; what PCRE2 cannot take of it is a reason to skip, and is noted with its place.
  @Test(arguments: ["(?:x|(?<=a\\s+b))c", "(?<!a\\s*)b", "(?:(?!(?:authorization|bearer))[a-z]+(?:.{0,60000}){2}){0,60000}"])
  func foreignPatterns(_ pattern: String) {
    let text = hostRule(detection: "conditions: [{field: user_input, operator: regex, value: '\(pattern)'}]\ncondition: any")
      .replacing("host_log", with: "llm_io").replacing("credential-access", with: "prompt-injection")
    let set = load(text)
    #expect(set.diagnostics.map(\.severity) == [.warning])
    guard case .skipped("pattern", let reason)? = set.rules.first?.detection else {
      Issue.record("not skipped")
      return
    }
    #expect(reason.hasPrefix("PCRE2 cannot take the pattern at line 15: "))
  }

  static let correlations: [(logic: String, outline: String)] = [
    (
      "{type: temporal_sequence, sequence: [{alias: a}, {alias: b}, {alias: a}], join_keys: [source.ip], window: {type: wall_time, duration: 10m}}",
      "temporalSequence([\"a\", \"b\", \"a\"]) by [source.ip] in 10m"
    ),
    ("{type: temporal_unordered, window: 1h}", "temporalUnordered([\"a\", \"b\"]) by [] in 1h"),
    ("{type: temporal_unordered, aliases: [b, a], window: {max_wall_time: PT1H}}", "temporalUnordered([\"b\", \"a\"]) by [] in 1h"),
    ("{type: count_threshold, alias: b, threshold: 4, window: {type: wall_time, value: 5m}}", "countThreshold(alias: \"b\", count: 4) by [] in 5m"),
    ("{type: value_overlap, overlap_field: user.name, window: 5m}", "valueOverlap([\"a\", \"b\"], field: user.name) by [] in 5m"),
    ("{type: value_overlap, field: custom.field, window: 5m}", "valueOverlap([\"a\", \"b\"], field: custom.field) by [] in 5m"),
    ("{type: chain_propagation}", "chainPropagation([\"a\", \"b\"], isOrdered: false, count: 2) by [] in any time"),
    (
      "{type: chain_propagation, sequence: [b, a], window: {type: chain_depth, max_hops: 4, max_wall_time: 1h}}",
      "chainPropagation([\"b\", \"a\"], isOrdered: true, count: 2) by [] in 4 hops and 1h"
    ),
    (
      "{type: chain_propagation, aliases: [a], count: 3, window: 1h}",
      "chainPropagation([\"a\"], isOrdered: false, count: 3) by [] in 1h"
    ),
    (
      "{type: temporal_unordered, join_keys: [agent.id, session.id], window: {type: session_chain, max_session_count: 5, max_wall_time: 7d}}",
      "temporalUnordered([\"a\", \"b\"]) by [agent.id, session.id] in 5 sessions and 7d"
    ),
    (
      "{type: temporal_unordered, join_keys: ['$.agent.delegation_chain[*][\"agent_id\"]'], window: {type: chain_depth, max_depth: 2}}",
      "temporalUnordered([\"a\", \"b\"]) by [agent.delegation_chain[*].agent_id] in 2 hops"
    ),
    (
      "{type: temporal_unordered, join_keys: [evidence.upstream_chain], window: {type: unbounded}}",
      "temporalUnordered([\"a\", \"b\"]) by [evidence.upstream_chain[*]] in any time"
    ),
  ]
  @Test(arguments: correlations) func correlationDocuments(_ logic: String, _ expected: String) {
    let set = load(
      """
      correlation:
        {schema_version: "1.0", id: ATR-COR-2026-90001, title: T, description: d, author: a, date: 2026-01-05, status: draft, severity: medium, license: MIT}
      source_rules: [{alias: a, rule_id_pattern: ATR-2026-9*}, {alias: b, rule_id_pattern: ATR-*}]
      correlation_logic: \(logic)
      response: {severity_uplift: critical, actions: [alert, quarantine]}
      tags: {category: credential-access}
      references: {mitre_attack: [T1110]}
      panguard: {family: brute-force}
      test_cases: {}
      """)
    #expect(set.diagnostics.map(\.description) == [])
    #expect(set.rules.first?.severity == .critical)
    #expect(set.rules.first?.family == "brute-force")
    let found = set.rules.first.map { describe($0.detection) } ?? "none"
    #expect(found == expected || found == "[\"a=ATR-2026-9*\", \"b=ATR-*\"] \(expected)")
  }

  // MARK: Tests in rules

  static let hostTests: [(yaml: String, outline: String)] = [
    ("true_positives: [a line]", "true_positives lines(\"a line\") x1 1s auto true"),
    ("true_negatives: [{input: x, expected: not_triggered}]", "true_negatives lines(\"x\") x1 1s auto false"),
    ("evasion_tests: [{input: x, expected: not_triggered, bypass_technique: t}]", "evasion_tests lines(\"x\") x1 1s auto false t"),
    ("true_positives: [{input: 'user{n}', repeat: 10, every: 30s, format: syslog}]", "true_positives lines(\"user{n}\") x10 30s syslog true"),
    (
      "true_positives: [{event: {event.action: ssh-login, source: {ip: 192.0.2.1, port: 22}, a: '22', b: true, c: ~, d: [1, x], e: 1.5}}]",
      "true_positives event(\"{\"event.action\":\"ssh-login\",\"source\":{\"ip\":\"192.0.2.1\",\"port\":22},\"a\":\"22\",\"b\":true,\"c\":null,"
        + "\"d\":[1,\"x\"],\"e\":1.5}\") x1 1s auto true"
    ),
    ("true_positives: [{input: {user.name: root}}]", "true_positives event(\"{\"user.name\":\"root\"}\") x1 1s auto true"),
    ("true_positives: [{stream: streams/a.log, description: d}]", "true_positives stream(\"rules/streams/a.log\") x1 1s auto true d"),
    ("true_positive_streams: [a.log]", "true_positives stream(\"rules/a.log\") x1 1s auto true a.log"),
    ("true_negative_streams: [{file: b.log, description: d}]", "true_negatives stream(\"rules/b.log\") x1 1s auto false d"),
  ]
  @Test(arguments: hostTests) func testsOfHostRules(_ yaml: String, _ expected: String) {
    let text = hostRule(detection: DiagnosticsTests.condition).replacing("test_cases: {}", with: "test_cases: {\(yaml)}")
    let set = load(text)
    #expect(set.diagnostics.map(\.description) == [])
    #expect(set.rules.first?.tests.map(describe) == [expected])
  }
  private func describe(_ test: TestCase) -> String {
    let input =
      switch test.input {
      case .lines(let text): "lines(\"\(text)\")"
      case .event(let json): "event(\"\(json)\")"
      case .stream(let path): "stream(\"\(path)\")"
      }
    let parts = [test.group.rawValue, input, "x\(test.count)", test.every.description, test.format, "\(test.expectsMatch)", test.description]
    return parts.filter { !$0.isEmpty }.joined(separator: " ")
  }

  static let agentTests: [(yaml: String, json: String)] = [
    ("input: ignore all", #"{"user_input":"ignore all","tool_args":"ignore all","content":"ignore all","agent_message":"ignore all"}"#),
    ("tool_args: '{\"a\": 1}', tool_name: shell", #"{"tool_args":"{\"a\": 1}","tool_name":"shell","content":"{\"a\": 1}"}"#),
    ("tool_call: {name: shell, args: ls}", #"{"tool_name":"shell","tool_args":"ls","content":"ls"}"#),
    ("input: {tool_name: x, response: y}", #"{"tool_name":"x","tool_response":"y","content":"y"}"#),
    ("input: a, tool_description: b", #"{"tool_description":"b","user_input":"a","tool_args":"a","content":"a","agent_message":"a"}"#),
    ("event: {agent.id: a1, content: c}", #"{"agent.id":"a1","content":"c"}"#),
  ]
  @Test(arguments: agentTests) func testsOfAgentRules(_ yaml: String, _ json: String) {
    let text = hostRule(detection: DiagnosticsTests.condition).replacing("host_log", with: "llm_io").replacing(
      "credential-access", with: "prompt-injection"
    )
    .replacing("test_cases: {}", with: "test_cases: {true_positives: [{\(yaml), expected: triggered}]}")
    let set = load(text)
    #expect(set.diagnostics.map(\.description) == [])
    guard case .event(let found)? = set.rules.first?.tests.first?.input else {
      Issue.record("no event")
      return
    }
    #expect(found == json)
  }

  @Test func topLevelAndNestedTestsAreBothRead() {
    let text = hostRule(
      detection: DiagnosticsTests.condition + "\ntest_cases: {true_positives: [b], evasion_tests: [c]}", extra: "evasion_tests: [{input: d}]"
    ).replacing("test_cases: {}", with: "test_cases: {true_positives: [a]}")
    #expect(
      load(text).rules.first?.tests.map(describe) == [
        "true_positives lines(\"a\") x1 1s auto true", "true_positives lines(\"b\") x1 1s auto true", "evasion_tests lines(\"c\") x1 1s auto true",
        "evasion_tests lines(\"d\") x1 1s auto true",
      ])
  }
}
