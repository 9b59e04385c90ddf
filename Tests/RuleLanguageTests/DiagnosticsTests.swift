// Rules that are wrong, and what is said about them: text and place. And that one wrong rule leaves the others.
import Primitives
import RuleLanguage
import Testing

/// A host rule that is right; tests replace parts of it.
func hostRule(id: String = "ATR-2026-90001", detection: String, extra: String = "") -> String {
  """
  id: \(id)
  title: A rule
  description: What it sees.
  author: Panguard
  date: 2026/01/05
  status: experimental
  severity: high
  confidence: 80
  references: {mitre_attack: [T1110.001 - Password Guessing]}
  tags: {category: credential-access}
  agent_source: {type: host_log}
  response: {actions: [alert]}
  test_cases: {}
  \(extra.isEmpty ? "" : extra + "\n")detection:
  \(detection.split(separator: "\n", omittingEmptySubsequences: false).map { "  " + $0 }.joined(separator: "\n"))

  """
}
/// Line of the first line of `detection` in `hostRule`.
let detectionLine = 15

func messages(_ text: String) -> [String] { RuleLoader.load(document: text, file: "r.yaml").diagnostics.map(\.description) }

@Suite struct DiagnosticsTests {
  static let wrong: [(detection: String, messages: [String])] = [
    ("conditions: []\ncondition: any", ["15:15: error: 'detection.conditions' is empty: the rule could never match"]),
    ("condition: any", ["15:3: error: 'detection.conditions' is missing"]),
    ("conditions: yes\ncondition: any", ["15:15: error: 'detection.conditions' must be a list or a mapping of conditions, not a text"]),
    (
      "conditions:\n  - {field: message, operator: regexp, value: x}\ncondition: any",
      [
        "16:34: error: 'detection.conditions[1].operator' is 'regexp', but must be one of regex, contains, exact, starts_with, gt, lt, gte, lte, eq; did you mean 'regex'?"
      ]
    ),
    (
      "conditions:\n  - {operator: regex, value: x}\n  - {field: message, value: x}\n  - {field: message, operator: regex}\ncondition: any",
      [
        "16:7: error: 'detection.conditions[1].field' is missing", "17:7: error: 'detection.conditions[2].operator' is missing",
        "18:7: error: 'detection.conditions[3].value' is missing",
      ]
    ),
    (
      "conditions:\n  - field: message\n    operator: regex\n    value: 'a(b'\ncondition: any",
      [
        "18:16: error: bad regular expression: missing ), unterminated subpattern"
      ]
    ),
    (
      "conditions:\n  - field: message\n    operator: regex\n    value: a[b\ncondition: any",
      [
        "18:15: error: bad regular expression: unterminated character set"
      ]
    ),
    (
      "conditions:\n  - field: message\n    operator: regex\n    value: \"\\\\d+\\\\u{41}(\"\ncondition: any",
      [
        "18:14: error: bad regular expression at byte 9 of the pattern: missing ), unterminated subpattern"
      ]
    ),
    (
      "conditions:\n  - field: message\n    operator: regex\n    value: '(a)\\2'\ncondition: any",
      [
        "18:18: error: bad regular expression: reference to a group that does not exist"
      ]
    ),
    (
      "conditions:\n  - {field: message, operator: contains, value: ''}\ncondition: any",
      [
        "16:51: error: 'detection.conditions[1].value' is empty: it would match every event"
      ]
    ),
    (
      "conditions:\n  - {field: source.port, operator: gt, value: many}\ncondition: any",
      [
        "16:49: error: 'detection.conditions[1].value' must be an integer, not 'many'"
      ]
    ),
    (
      "conditions:\n  - {field: source.ip, operator: exact, value: 10.0.0.256}\ncondition: any",
      [
        "16:50: error: '10.0.0.256' is not an IP address, but 'source.ip' is"
      ]
    ),
    (
      "conditions:\n  - {field: sourc.ip, operator: exact, value: 10.0.0.25}\ncondition: any",
      [
        "16:15: warning: field 'sourc.ip' is not in the field table; did you mean 'source.ip'?"
      ]
    ),
    ("conditions:\n  - {field: 'a b', operator: exact, value: x}\ncondition: any", ["16:15: error: 'a b' is not a field name"]),
    (
      "conditions:\n  - {field: message, operator: exact, valeu: x, value: y}\ncondition: any",
      [
        "16:41: warning: unknown key 'valeu' in 'detection.conditions[1]'; did you mean 'value'?"
      ]
    ),
    (
      "conditions:\n  a: {field: message, match_type: glob, patterns: [x]}\ncondition: a",
      [
        "16:37: error: 'detection.conditions.a.match_type' is 'glob', but must be one of regex, contains, exact, starts_with"
      ]
    ),
    (
      "conditions:\n  a: {field: message, patterns: []}\ncondition: a",
      [
        "16:35: error: 'detection.conditions.a.patterns' is an empty list: nothing could match"
      ]
    ),
    (
      "conditions:\n  a: {field: message, patterns: [x]}\ncondition: a and b",
      [
        "17:20: error: detection.condition: no condition is named 'b'; conditions: a"
      ]
    ),
    ("conditions:\n  a: {field: message, patterns: [x]}\ncondition: (a", ["17:16: error: detection.condition: expected ')'; conditions: a"]),
    (
      "conditions:\n  a: {field: message, patterns: [x]}\ncondition: a a",
      [
        "17:16: error: detection.condition: expected 'and' or 'or'; conditions: a"
      ]
    ),
    (
      "conditions:\n  a: {field: message, patterns: [x]}\ncondition: \"a & a\"",
      [
        "17:17: error: detection.condition: unexpected character; conditions: a"
      ]
    ),
    (
      "conditions:\n  a: {field: message, patterns: [x]}\ncondition: not",
      [
        "17:17: error: detection.condition: expected a condition name at the end; conditions: a"
      ]
    ),
    (
      "conditions:\n  a: {field: message, patterns: [x]}\ncondition: 2 of them",
      [
        "17:14: error: detection.condition: '2 of' is more than the 1 that it chooses from; conditions: a"
      ]
    ),
    (
      "conditions:\n  a: {field: message, patterns: [x]}\ncondition: 1 of b*",
      [
        "17:19: error: detection.condition: no condition is named like 'b*'; conditions: a"
      ]
    ),
    ("conditions:\n  a: {field: message, patterns: [x]}", ["15:3: warning: 'detection.condition' is missing and read as 'any'"]),
    (
      "method: regexp\nconditions: []",
      [
        "15:11: warning: method 'regexp' is not known, so the rule is skipped; known: pattern, signature, semantic, behavioral, trace"
      ]
    ),
    ("method: behavioral", ["15:3: error: 'detection.behavioral' is missing"]),
    (
      "method: behavioral\nbehavioral: {}",
      [
        "16:15: error: 'detection.behavioral.aggregation' is missing", "16:15: error: 'detection.behavioral.metric' is missing",
        "16:15: error: 'detection.behavioral.operator' is missing", "16:15: error: 'detection.behavioral.threshold' is missing",
        "16:15: error: 'detection.behavioral.window' is missing",
      ]
    ),
    (
      "method: behavioral\nbehavioral: {metric: m, aggregation: count, window: 5 min, operator: gte, threshold: few}",
      [
        "16:55: error: 'detection.behavioral.window' must be a duration, not '5 min'; write a whole number and a unit "
          + "(500ms, 30s, 10m, 1h, 7d, 2w), or ISO 8601 like PT5M",
        "16:88: error: 'detection.behavioral.threshold' must be an integer, not 'few'",
      ]
    ),
    (
      "method: behavioral\nbehavioral: {metric: user.name, aggregation: sum, window: 5m, operator: gte, threshold: 3}",
      [
        "16:24: error: 'user.name' is not an integer field, so it has no sum"
      ]
    ),
    (
      "method: behavioral\nbehavioral: {metric: user.name, aggregation: distinct_count, window: 5m, operator: gt, threshold: 1024}",
      [
        "16:101: error: a group keeps at most 1024 distinct values, too few to tell 1024; lower the threshold"
      ]
    ),
    (
      "method: behavioral\nbehavioral: {metric: m, aggregation: count, window: 5m, operator: gte, threshold: 3, filter: {event.action: {is: x}}}",
      [
        "16:112: error: unknown key 'is' in 'detection.behavioral.filter.event.action'; did you mean 'in'?"
      ]
    ),
    (
      "method: behavioral\nbehavioral: {metric: m, aggregation: count, window: 5m, operator: gte, threshold: 3, group_by: source.ip, groupby: x}",
      [
        "16:109: error: unknown key 'groupby' in 'detection.behavioral'; did you mean 'group_by'?"
      ]
    ),
    (
      "method: behavioral\nbehavioral: {metric: m, aggregation: count, window: 5m, operator: gte, threshold: 3}\nconditions: [{field: message}]",
      [
        "17:15: warning: 'detection.conditions' is not used by method: behavioral; write behavioral.filter"
      ]
    ),
  ]
  @Test(arguments: wrong) func detections(_ detection: String, _ expected: [String]) {
    #expect(messages(hostRule(detection: detection)) == expected.map { "r.yaml:" + $0 })
  }

  static let condition = "conditions: [{field: message, operator: contains, value: x}]\ncondition: any"
  static let head: [(line: String, replacement: String, messages: [String])] = [
    ("id: ATR-2026-90001", "x-id: 1", ["1:1: error: 'id' is missing"]),
    ("id: ATR-2026-90001", "id: my rule", ["1:5: error: id 'my rule' must be 1 to 64 letters, digits, '-', '_', '.' or ':'"]),
    ("id: ATR-2026-90001", "id: local-1", ["1:5: warning: id 'local-1' does not have the form ATR-YYYY-NNNNN"]),
    ("title: A rule", "titel: A rule", ["1:1: error: 'title' is missing", "2:1: warning: unknown key 'titel'; did you mean 'title'?"]),
    (
      "severity: high", "severity: hgh",
      [
        "7:11: error: 'severity' is 'hgh', but must be one of informational, low, medium, high, critical; did you mean 'high'?"
      ]
    ),
    ("title: A rule", "title: \"A \\e[31mrule\"", ["2:8: error: 'title' must be one line of 1 to 512 bytes without control characters"]),
    ("severity: high", "severity: High", []),
    ("confidence: 80", "confidence: 101", ["8:13: error: 'confidence' is 101, but must be between 0 and 100"]),
    ("confidence: 80", "confidence: 0.9", ["8:13: warning: confidence 0.9 is read as percent; write a number from 0 to 100"]),
    ("author: Panguard", "x-a: 1", ["1:1: warning: 'author' is missing"]),
    ("date: 2026/01/05", "date: yesterday", ["5:7: warning: date 'yesterday' does not have the form YYYY/MM/DD"]),
    (
      "status: experimental", "status: testing",
      [
        "6:9: warning: 'status' is 'testing', but must be one of draft, experimental, stable, deprecated"
      ]
    ),
    (
      "tags: {category: credential-access}", "tags: {category: credentials-access}",
      [
        "10:18: warning: 'tags.category' is 'credentials-access', but must be one of the known ones; did you mean 'credential-access'?"
      ]
    ),
    (
      "agent_source: {type: host_log}", "agent_source: {type: hostlog}",
      [
        "11:22: error: 'agent_source.type' is 'hostlog', but must be one of llm_io, tool_call, mcp_exchange, agent_behavior, multi_agent_comm, "
          + "context_window, memory_access, skill_lifecycle, skill_permission, skill_chain, agent_trace, mcp_tool, skill_file, host_log, host_network, "
          + "host_process; did you mean 'host_log'?"
      ]
    ),
    ("response: {actions: [alert]}", "response: {actions: [alrt]}", ["12:22: warning: unknown action 'alrt'; did you mean 'alert'?"]),
    (
      "references: {mitre_attack: [T1110.001 - Password Guessing]}", "references: {mitre_attack: [T11]}",
      [
        "9:29: warning: 'T11' is not an ATT&CK technique id; write it like T1110 or T1110.001"
      ]
    ),
    (
      "test_cases: {}", "panguard: {famly: x, exculpatory: maybe}",
      [
        "1:1: warning: 'test_cases' is missing", "13:12: error: unknown key 'famly' in 'panguard'; did you mean 'family'?",
        "13:35: error: 'panguard.exculpatory' must be true or false, not 'maybe'",
      ]
    ),
    (
      "test_cases: {}", "test_cases: {true_positives: [{input: x, repaet: 2}, {input: x, every: soon}, {}, {input: x, event: {}}, {stream: ../x}]}",
      [
        "13:42: error: unknown key 'repaet' in 'test_cases.true_positives[1]'; did you mean 'repeat'?",
        "13:72: error: 'test_cases.true_positives[2].every' must be a duration, not 'soon'; write a whole number and a unit "
          + "(500ms, 30s, 10m, 1h, 7d, 2w), or ISO 8601 like PT5M",
        "13:79: error: 'test_cases.true_positives[3]' has no input; write input, event or stream",
        "13:83: error: 'test_cases.true_positives[4]' has both 'input' and 'event'",
        "13:115: error: stream '../x' is not a file beside the rule; write a relative path without '..'",
      ]
    ),
    (
      "test_cases: {}", "test_cases: {true_negatives: [{input: x, expected: triggered}]}",
      [
        "13:52: warning: 'test_cases.true_negatives[1].expected' contradicts 'true_negatives'"
      ]
    ),
    (
      "test_cases: {}", "test_cases: {true_positives: [{input: x, repeat: 1000000}]}",
      [
        "13:50: error: 'test_cases.true_positives[1].repeat' is 1000000, but must be between 1 and 100000"
      ]
    ),
  ]
  @Test(arguments: head) func headers(_ line: String, _ replacement: String, _ expected: [String]) {
    let lines = hostRule(detection: Self.condition).split(separator: "\n", omittingEmptySubsequences: false).map {
      $0 == line ? replacement : String($0)
    }
    #expect(messages(lines.joined(separator: "\n")) == expected.map { "r.yaml:" + $0 })
  }

  static let correlations: [(text: String, messages: [String])] = [
    ("type: count_threshold\ncount: 3\nwindow: {type: wall_time, duration: 5m}", []),
    ("type: count_threshold\nthreshold: 3\nwindow: 5m", []),
    ("type: count_threshold\nwindow: 5m", ["9:3: error: 'correlation_logic.count' is missing"]),
    ("type: count_threshold\ncount: 1025\nwindow: 5m", ["10:10: error: 'correlation_logic.count' is 1025, but must be between 1 and 1024"]),
    ("type: count_threshold\ncount: 2\nalias: b\nwindow: 5m", ["11:10: error: no source rule has the alias 'b'; did you mean 'a'?"]),
    (
      "type: temporal_sequence\nsequence: [{alias: a}, {alias: zz}]\nwindow: 5m",
      [
        "10:34: error: no source rule has the alias 'zz'; known: a"
      ]
    ),
    ("type: temporal_sequence\nsequence: [a]\nwindow: 5m", ["10:13: error: 'sequence' must have 2 to 16 steps, not 1"]),
    ("type: temporal_unordered\nwindow: 5m", ["9:3: error: temporal_unordered needs at least 2 different rules"]),
    (
      "type: value_overlap\naliases: [a, a]\nwindow: 5m",
      [
        "9:3: error: 'correlation_logic.field' is missing", "10:12: error: value_overlap needs at least 2 different rules",
      ]
    ),
    ("type: count_threshold\ncount: 2", ["9:3: error: 'correlation_logic.window' is missing"]),
    (
      "type: count_threshold\ncount: 2\nwindow: {type: wall_tme, duration: 5m}",
      [
        "11:18: error: 'correlation_logic.window.type' is 'wall_tme', but must be one of wall_time, session_chain, chain_depth, unbounded; "
          + "did you mean 'wall_time'?"
      ]
    ),
    ("type: count_threshold\ncount: 2\nwindow: {type: chain_depth}", ["11:11: error: 'correlation_logic.window.max_depth' is missing"]),
    (
      "type: count_threshold\ncount: 2\nwindow: {type: session_chain, max_session_count: 65}",
      ["11:52: error: 'correlation_logic.window.max_session_count' is 65, but must be between 1 and 64"]
    ),
    (
      "type: count_threshold\ncount: 2\nwindow: {type: unbounded, duration: 5m}",
      ["11:39: error: a window that is unbounded has no 'duration'"]
    ),
    (
      "type: count_threshold\ncount: 2\nwindow: 5m\njoin_keys: ['a[x]']",
      ["12:15: error: 'a[x]' is not a join key; write a field name or a path such as agent.delegation_chain[*].agent_id"]
    ),
    (
      "type: count_threshold\ncount: 2\nwindow: {type: session_chain, max_session_count: 2}\njoin_keys: [session.id]",
      [
        "12:14: warning: a session_chain needs a key that stays the same over sessions and is joined by agent.id; add agent.id or memory.store_id to join_keys"
      ]
    ),
    (
      "type: sequence\nwindow: 5m",
      [
        "9:9: error: 'correlation_logic.type' is 'sequence', but must be one of temporal_sequence, temporal_unordered, count_threshold, "
          + "value_overlap, chain_propagation"
      ]
    ),
  ]
  static func correlation(_ logic: String, source: String = "{alias: a, rule_id_pattern: ATR-2026-9*}") -> String {
    """
    correlation: {id: ATR-COR-2026-90001, title: T, description: d, author: a, date: 2026/01/05, status: draft, severity: high}
    references: {mitre_attack: [T1110]}
    tags: {category: credential-access, confidence: high}
    response: {actions: [alert]}
    test_cases: {}
    source_rules:
      - \(source)
    correlation_logic:
    \(logic.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n"))

    """
  }
  @Test(arguments: correlations) func correlationDocuments(_ logic: String, _ expected: [String]) {
    #expect(messages(Self.correlation(logic)) == expected.map { "r.yaml:" + $0 })
  }
  @Test(arguments: [
    ("{alias: a}", "7:5: error: 'source_rules[1]' needs either rule_id or rule_id_pattern"),
    ("{rule_id: ATR-COR-2026-90001}", "7:5: error: 'source_rules[1].alias' is missing"),
    ("{alias: a, rule_id: ATR-2026-9*}", "7:25: error: 'ATR-2026-9*' is a pattern; write it as rule_id_pattern"),
    ("{alias: a, rule_id: ATR-COR-2026-90001}", "7:25: error: a correlation cannot be its own source rule"),
    ("{alias: a, rule_id: ATR-2026-99999}", "7:25: error: ATR-COR-2026-90001 needs rule ATR-2026-99999, which is not loaded"),
  ]) func sourceRules(_ source: String, _ message: String) {
    #expect(messages(Self.correlation("type: count_threshold\ncount: 3\nwindow: 5m", source: source)).contains("r.yaml:" + message))
  }

  @Test func aRefusedSourceRefusesTheCorrelation() {
    let bad = hostRule(id: "ATR-2026-90002", detection: "conditions: []\ncondition: any")
    let set = RuleLoader.load(
      document: bad + "---\n" + Self.correlation("type: count_threshold\ncount: 3\nwindow: 5m", source: "{alias: a, rule_id: ATR-2026-90002}"),
      file: "r.yaml")
    #expect(set.rules.isEmpty)
    #expect(set.refusedCount == 2)
    #expect(set.diagnostics.count == 2)
  }

  @Test func duplicateIDsNameBothPlaces() {
    let text = hostRule(detection: Self.condition) + "---\n" + hostRule(detection: Self.condition)
    let set = RuleLoader.load(document: text, file: "r.yaml")
    #expect(set.rules.count == 1)
    #expect(set.refusedCount == 1)
    #expect(set.diagnostics.map(\.description) == ["r.yaml:18:1: error: rule id ATR-2026-90001 is taken: it is first defined at r.yaml:1:1"])
  }

  @Test func aBadDocumentLeavesTheGoodOnes() {
    let good = (1...4).map { hostRule(id: "ATR-2026-9000\($0)", detection: Self.condition) }
    let text = [good[0], "a: [\n", good[1], "just text\n", good[2], "id: 1\n", good[3]].joined(separator: "---\n")
    let set = RuleLoader.load(document: text, file: "r.yaml")
    #expect(set.rules.map(\.id) == ["ATR-2026-90001", "ATR-2026-90002", "ATR-2026-90003", "ATR-2026-90004"])
    #expect(set.refusedCount == 3)
    #expect(
      set.diagnostics.filter { $0.severity == .error }.map { "\($0.location.line): \($0.message)" } == [
        "19: while parsing a flow node at line 19: did not find expected node content",
        "37: the document must be a mapping of keys, not a text", "56: 'detection' is missing", "56: 'severity' is missing", "56: 'title' is missing",
      ])
  }
}
