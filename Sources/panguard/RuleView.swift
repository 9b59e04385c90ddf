// How rules look to people and to programs. Pure functions.
import Events
import Export
import Primitives
import RuleEngine
import RuleLanguage

enum RuleView {
  static func method(_ rule: Rule) -> String {
    switch rule.detection {
    case .pattern: "pattern"
    case .behavioral: "behavioral"
    case .correlation: "correlation"
    case .skipped(let method, _): "\(method) (skipped)"
    }
  }

  static func json(_ rule: Rule) -> [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    json.key("id")
    json.value(rule.id)
    json.key("title")
    json.value(rule.title)
    json.key("severity")
    json.value(rule.severity.rawValue)
    json.key("confidence")
    json.value(thousandths: rule.confidence.thousandths)
    json.key("method")
    json.value(method(rule))
    json.key("category")
    json.value(rule.category)
    json.key("family")
    json.value(rule.family)
    json.key("techniques")
    json.beginArray()
    for technique in rule.techniques { json.value(technique) }
    json.endArray()
    json.key("tests")
    json.value(rule.tests.count)
    json.key("file")
    json.value("\(rule.location)")
    json.endObject()
    return json.out
  }

  static func table(_ rules: [Rule], width: Int) -> String {
    var rows = [["ID", "SEVERITY", "CONF", "METHOD", "TECHNIQUE", "TESTS", "TITLE"]]
    for rule in rules {
      rows.append([
        rule.id, rule.severity.rawValue, rule.confidence.description, method(rule), rule.techniques.first ?? "-", "\(rule.tests.count)",
        TerminalText.escaped(rule.title),
      ])
    }
    var widths = [Int](repeating: 0, count: rows[0].count)
    for row in rows { for (i, cell) in row.enumerated() { widths[i] = max(widths[i], TerminalText.columns(cell)) } }
    return rows.map { row in
      let line = row.enumerated().map { i, cell in
        i == row.count - 1 ? cell : cell + String(repeating: " ", count: max(0, widths[i] - TerminalText.columns(cell)))
      }.joined(separator: "  ")
      return TerminalText.cut(line, to: width)
    }.joined(separator: "\n")
  }

  static func page(_ rule: Rule, color: Bool) -> String {
    func heading(_ text: String) -> String { color ? "\u{1b}[1m\(text)\u{1b}[0m" : text }
    var out = [heading("\(rule.id)  \(TerminalText.escaped(rule.title))"), ""]
    out.append("severity \(rule.severity.rawValue), confidence \(rule.confidence), method \(method(rule)), status \(rule.status), family \(rule.family)")
    if !rule.techniques.isEmpty { out.append("ATT&CK \(rule.techniques.joined(separator: ", "))") }
    if !rule.references.isEmpty { out.append("references \(rule.references.map(TerminalText.escaped).joined(separator: ", "))") }
    out.append("file \(rule.location)")
    out += ["", TerminalText.escaped(rule.summary)]
    out += ["", heading("Detection")] + detection(rule).map { "  \($0)" }
    if !rule.falsePositives.isEmpty { out += ["", heading("Known false positives")] + rule.falsePositives.map { "  - \(TerminalText.escaped($0))" } }
    let groups = TestCase.Group.allCases.map { group in "\(rule.tests.filter { $0.group == group }.count) \(group.rawValue)" }
    out += ["", heading("Tests"), "  " + groups.joined(separator: ", ")]
    return out.joined(separator: "\n")
  }

  static func detection(_ rule: Rule) -> [String] {
    switch rule.detection {
    case .pattern(let conditions, let expression):
      return conditions.map { describe($0) } + ["when \(describe(expression, conditions))"]
    case .behavioral(let b):
      let group = b.groupBy.isEmpty ? "over all events" : "for each \(b.groupBy.map(\.description).joined(separator: ", "))"
      var out = ["\(b.aggregation.rawValue) of \(b.metric) \(b.comparison.symbol) \(b.threshold) within \(b.window), \(group)"]
      if b.minEvents > 1 { out.append("at least \(b.minEvents) events") }
      if let cooldown = b.cooldown { out.append("then silent for \(cooldown)") }
      return out + b.filter.map { "only where \(describe($0))" }
    case .correlation(let c):
      var out = c.sourceRules.map { "\($0.alias): \($0.ruleIDPattern)" }
      switch c.logic {
      case .temporalSequence(let aliases): out.append("in this order: \(aliases.joined(separator: ", then "))")
      case .temporalUnordered(let aliases): out.append("in any order: \(aliases.joined(separator: ", "))")
      case .countThreshold(let alias, let count): out.append("\(alias) at least \(count) times")
      case .valueOverlap(let aliases, let field): out.append("\(aliases.joined(separator: ", ")) share the value of \(field)")
      }
      if !c.joinKeys.isEmpty { out.append("with equal \(c.joinKeys.map(\.description).joined(separator: ", "))") }
      return out + ["within \(c.window)"]
    case .skipped(let method, let reason): return ["not run: method \(method): \(reason)"]
    }
  }

  static func describe(_ condition: Condition) -> String {
    func list(_ values: [String], _ caseSensitive: Bool) -> String {
      values.map { "\"\(TerminalText.escaped($0))\"" }.joined(separator: " or ") + (caseSensitive ? "" : " (any case)")
    }
    let test =
      switch condition.test {
      case .regex(let patterns, let caseSensitive): "matches \(patterns.map { "/\(TerminalText.escaped($0))/" }.joined(separator: " or "))\(caseSensitive ? "" : "i")"
      case .contains(let values, let caseSensitive): "contains \(list(values, caseSensitive))"
      case .exact(let values, let caseSensitive): "is \(list(values, caseSensitive))"
      case .startsWith(let values, let caseSensitive): "starts with \(list(values, caseSensitive))"
      case .compare(let comparison, let value): "\(comparison.symbol) \(value)"
      case .exists(let present): present ? "is present" : "is absent"
      }
    return "\(condition.name): \(condition.field) \(condition.isNegated ? "not " : "")\(test)"
  }

  static func describe(_ expression: Expression, _ conditions: [Condition]) -> String {
    switch expression {
    case .condition(let index): conditions.indices.contains(index) ? conditions[index].name : "?"
    case .not(let inner): "not \(describe(inner, conditions))"
    case .all(let parts): "(" + parts.map { describe($0, conditions) }.joined(separator: " and ") + ")"
    case .any(let parts): "(" + parts.map { describe($0, conditions) }.joined(separator: " or ") + ")"
    }
  }

  /// The event of a `{"id":..,"event":{..}}` line, or the line itself.
  static func eventBody(_ line: Bytes) -> Bytes {
    var body: Bytes?
    try? JSONMembers.forEach(of: line) { key, value in if key.equals("event"), value.starts(with: "{") { body = value } }
    return body ?? line
  }
}
