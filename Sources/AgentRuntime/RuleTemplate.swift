// `panguard rules new`: what a new rule is made from, and its YAML. The document is complete (every key that a reader or another engine
// wants is there), loads without errors, and carries tests that fail until they are filled in.
// What must stay true: text from a flag can end up only inside one quoted scalar, so no input can add a key or a document.
import Events
import Primitives
import RuleLanguage
import TypedYAML

public struct RuleTemplate: Sendable {
  public enum Method: String, CaseIterable, Sendable { case pattern, behavioral, correlation }

  public var method = Method.pattern
  public var id = ""
  public var title = ""
  /// `agent_source.type`: one of `RuleWords.sources`.
  public var source = "host_log"
  public var category = ""
  public var severity = Severity.medium
  public var author = ""
  /// "2026/01/05"
  public var date = ""
  /// ATT&CK and ATLAS techniques ("T1110.001", "AML.T0051"); may be empty, and then `rules lint` asks for one.
  public var techniques: [String] = []
  /// pattern, behavioral: the test of one field. behavioral: which events count; an empty pattern counts all.
  public var field = ""
  public var operation = "regex"
  public var pattern = ""
  /// behavioral
  public var aggregation = BehavioralDetection.Aggregation.count
  public var window = "10m"
  public var threshold: Int64 = 5
  public var groupBy: [String] = ["source.ip"]
  /// correlation: ids of at least two rules, in the order in which they must match.
  public var sourceRules: [String] = []
  public init() {}

  public var isHostRule: Bool { RuleWords.hostSources.contains(source) }
  /// For behavioral: the metric is a field for these, else only a name.
  private var metric: String { [.sum, .max, .distinct_count].contains(aggregation) ? field : "events" }

  // MARK: Names

  /// "Password guessing, one address" -> "password-guessing-one-address.yaml". ASCII letters and digits only; never empty.
  public var fileName: String {
    var name = ""
    for scalar in title.unicodeScalars {
      if scalar.isASCII, scalar.properties.isAlphabetic || (0x30...0x39).contains(scalar.value) {
        name.unicodeScalars.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
      } else if !name.isEmpty, !name.hasSuffix("-") {
        name += "-"
      }
      if name.utf8.count >= 60 { break }
    }
    while name.hasSuffix("-") { name.removeLast() }
    return (name.isEmpty ? id.lowercased() : name) + ".yaml"
  }

  /// The lowest number from 99001 that no rule of `taken` has: the end of the range of the host profile, which the shipped rules leave
  /// free. ATR's own numbers are given by its authority; a rule that is meant for it is written with `--id ATR-YYYY-DRAFT-<hex>`.
  public static func nextID(method: Method, year: Int, taken: [String]) -> String? {
    let prefix = (method == .correlation ? "ATR-COR-" : "ATR-") + "\(year)-"
    let used = Set(taken.lazy.filter { $0.hasPrefix(prefix) }.compactMap { Int($0.dropFirst(prefix.count)) })
    return (99_001...99_999).first { !used.contains($0) }.map { "\(prefix)\($0)" }
  }

  // MARK: What is wrong with it

  /// One line for each thing that the flags still lack or that no rule can have; empty if the rule can be written.
  /// What the words of the rule language can be is checked by reading the document back.
  public func problems() -> [String] {
    var problems: [String] = []
    func want(_ isThere: Bool, _ what: String) { if !isThere { problems.append(what) } }
    want(!title.isEmpty, "--title is missing")
    switch method {
    case .pattern:
      want(!field.isEmpty, "--field is missing")
      want(!pattern.isEmpty, "--pattern is missing")
    case .behavioral:
      if !pattern.isEmpty { want(!field.isEmpty, "--pattern needs the --field that it is for") }
      if pattern.isEmpty, metric != "events" || aggregation == .distinct_count {
        want(!field.isEmpty, "--aggregation \(aggregation.rawValue) needs the --field that it is about")
      }
    case .correlation: want(sourceRules.count >= 2, "--source-rule is wanted at least twice: the rules that must match, in their order")
    }
    for (name, text) in [("title", title), ("field", field), ("pattern", pattern), ("author", author), ("category", category)]
    where text.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) }) {
      problems.append("--\(name) holds a line break or another control character; write it as an escape (\\n, \\x00) in the file")
    }
    return problems
  }

  // MARK: The document

  public var yaml: String {
    var lines = method == .correlation ? correlationHead : ruleHead
    lines += ["", "panguard:", "  family: \(q(category))  # evidence of one family counts once, the strongest whole; see docs/confidence.md", ""]
    lines += ["tags:", "  category: \(q(category))", "  subcategory: \(q(""))"]
    lines += isHostRule ? [] : ["  scan_target: runtime"]
    lines += ["", "agent_source:", "  type: \(source)", ""]
    lines += detection
    lines += ["", "response:", "  actions: [\(isHostRule ? "notify" : "alert")]", ""]
    lines += tests
    return lines.joined(separator: "\n") + "\n"
  }

  private var references: [String] {
    let example = isHostRule ? "mitre_attack: []  # for instance [T1110.001]" : "mitre_atlas: []  # for instance [AML.T0051]"
    let atlas = techniques.filter { $0.hasPrefix("AML.") }
    let attack = techniques.filter { !$0.hasPrefix("AML.") }
    func line(_ key: String, _ ids: [String]) -> [String] { ids.isEmpty ? [] : ["  \(key): [\(ids.map(q).joined(separator: ", "))]"] }
    return ["references:"] + (techniques.isEmpty ? ["  \(example)"] : line("mitre_attack", attack) + line("mitre_atlas", atlas))
  }
  private let summary = "What happens, why it matters, and why the threshold is what it is. Describe the attack, not the pattern."

  private var ruleHead: [String] {
    [
      "schema_version: \"1.0\"", "id: \(q(id))", "title: \(q(title))", "rule_version: 1", "status: experimental", "description: >-", "  \(summary)",
      "author: \(q(author))", "date: \(q(date))", "severity: \(severity.rawValue)", "maturity: experimental",
      "confidence: 50  # how sure a match of this rule alone makes you, 0 to 100", "",
    ] + references
  }
  private var correlationHead: [String] {
    let own = [
      "schema_version: \"1.0\"", "id: \(q(id))", "title: \(q(title))", "description: >-", "  \(summary)", "status: experimental",
      "severity: \(severity.rawValue)", "author: \(q(author))", "date: \(q(date))",
    ]
    return ["correlation:"] + (own + references).map { "  \($0)" } + ["", "confidence: 50  # how sure a match makes you, 0 to 100"]
  }

  private var detection: [String] {
    let falsePositives = ["  false_positives:", "    - What looks the same and is harmless."]
    switch method {
    case .pattern:
      return [
        "detection:", "  method: pattern", "  conditions:", "    - field: \(q(field))", "      operator: \(operation)", "      value: \(value)",
        "      description: What this condition recognises", "  condition: any",
      ] + falsePositives
    case .behavioral:
      var lines = [
        "detection:", "  method: behavioral", "  conditions: []", "  condition: any", "  behavioral:", "    metric: \(q(metric))",
        "    aggregation: \(aggregation.rawValue)", "    window: \(q(window))", "    operator: gte", "    threshold: \(threshold)",
      ]
      if !groupBy.isEmpty { lines.append("    group_by: [\(groupBy.map(q).joined(separator: ", "))]") }
      if !pattern.isEmpty { lines.append("    filter:\n      \(q(field)): {\(predicate): \(value)}") }
      return lines + falsePositives
    case .correlation:
      let sources = sourceRules.enumerated().flatMap { ["  - alias: step\($0 + 1)", "    rule_id: \(q($1))"] }
      let sequence = sourceRules.indices.map { "    - alias: step\($0 + 1)" }
      let keys = groupBy.isEmpty ? [] : ["  join_keys: [\(groupBy.map(q).joined(separator: ", "))]"]
      return ["source_rules:"] + sources + ["", "correlation_logic:", "  type: temporal_sequence", "  sequence:"] + sequence + keys
        + ["  window:", "    type: wall_time", "    max_wall_time: \(q(window))", "", "detection:"] + falsePositives
    }
  }
  private var isNumeric: Bool { Comparison(rawValue: operation) != nil }
  private var value: String { isNumeric ? pattern : q(pattern) }
  /// Filters say `eq` for `exact`.
  private var predicate: String { operation == "exact" ? "eq" : operation }

  private var tests: [String] {
    let (attack, other, nearMiss, everyday, evasion) =
      isHostRule
      ? (
        "log lines of the attack", "log lines of the attack in another form", "harmless log lines that almost match",
        "everyday log lines of the same kind", "log lines of an attacker who knows this rule"
      )
      : (
        "a text of the attack", "a text of the attack in another form", "a harmless text that almost matches", "an everyday text of the same kind",
        "a text of an attacker who knows this rule"
      )
    func group(_ indent: String, _ expected: String, _ cases: [(input: String, description: String)]) -> [String] {
      cases.flatMap {
        [
          "\(indent)- input: |", "\(indent)    \(TestPlaceholder.input($0.input))", "\(indent)  expected: \(expected)",
          "\(indent)  description: \(q($0.description))",
        ]
      }
    }
    let repeats = method == .pattern ? [] : ["# A case may say `repeat: 5` and `every: 10s`; {n} in its input is then the number of the repetition."]
    return repeats + ["test_cases:", "  true_positives:"]
      + group("    ", "triggered", [(attack, "The plain case"), (other, "Another form")])
      + ["  true_negatives:"]
      + group(
        "    ", "not_triggered",
        [(nearMiss, "A near miss"), (everyday, "Everyday use")])
      + ["", "evasion_tests:"]
      + group(
        "  ", "triggered", [("\(evasion); if it gets through, expected: not_triggered", "Rewritten to get around")]
      )
      .flatMap { $0.hasSuffix("expected: triggered") ? [$0, "    bypass_technique: 'name it'"] : [$0] }
  }

  /// A single-quoted YAML scalar.
  private func q(_ text: String) -> String {
    "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
  }

  // MARK: Reading it back

  /// What there is against the rule as far as it is known, what is still open being filled in with something harmless. For questions: an
  /// answer that adds something here would be refused at the end.
  func objections() -> [String] {
    var t = self
    func fill(_ text: inout String, _ word: String) { if text.isEmpty { text = word } }
    fill(&t.id, method == .correlation ? "ATR-COR-2026-99001" : "ATR-2026-99001")
    fill(&t.title, "title")
    fill(&t.author, "author")
    fill(&t.date, "2026/01/05")
    fill(&t.category, RuleWords.categories(of: source).first ?? "")
    fill(&t.field, isHostRule ? "message" : "content")
    fill(&t.pattern, t.isNumeric ? "1" : "x")
    if t.sourceRules.count < 2 { t.sourceRules = ["ATR-2026-90001", "ATR-2026-90002"] }
    return t.problems() + t.check(against: []).map { $0.message + ($0.hint.isEmpty ? "" : "; \($0.hint)") }
  }

  /// What the loader has against the document, also what it would only warn of; empty if the rule can be written. A correlation may name
  /// any of `others`.
  public func check(against others: [Rule]) -> [Diagnostic] {
    var text = yaml
    let read = text.withUTF8 { RuleLoader.load(document: Bytes($0), file: fileName) }
    // A draft's id has another form on purpose.
    var found = read.diagnostics.filter { $0.severity != .note && !$0.message.contains("does not have the form") }
    for source in sourceRules where method == .correlation {
      let isThere = others.contains { $0.id == source }
      found.removeAll { isThere && $0.message.contains("needs rule \(source)") }
    }
    return found
  }
}
