// How rules look to people and to programs. Pure functions.
import Events
import Export
import Primitives
import RuleEngine
import RuleLanguage

enum RuleView {
  static func method(_ rule: Rule) -> String {
    switch rule.detection {
    case _ where !rule.isActive: "inactive"
    case .pattern: rule.fallbackOf.map { "\($0) (by its patterns)" } ?? "pattern"
    case .signature: "signature"
    case .trace: "trace"
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
    json.key("status")
    json.value(rule.status)
    json.key("maturity")
    json.value(rule.maturity)
    json.key("active")
    json.value(rule.isActive)
    json.key("scan_target")
    json.value(rule.scanTarget)
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
    out.append(
      "severity \(rule.severity.rawValue), confidence \(rule.confidence), method \(method(rule)), status \(TerminalText.escaped(rule.status)), family \(TerminalText.escaped(rule.family))"
    )
    if let reason = RuleSet.inactivity(of: rule) { out.append("inactive: \(TerminalText.escaped(reason)); it is listed and not evaluated") }
    if !rule.techniques.isEmpty { out.append("ATT&CK \(rule.techniques.joined(separator: ", "))") }
    if !rule.references.isEmpty { out.append("references \(rule.references.map(TerminalText.escaped).joined(separator: ", "))") }
    out.append("file \(rule.location)")
    out += [""] + lines(rule.summary)
    out += ["", heading("Detection")] + RuleText.detection(rule.detection).map { "  \($0)" }
    if !rule.falsePositives.isEmpty { out += ["", heading("Known false positives")] + rule.falsePositives.flatMap { item($0) } }
    let groups = TestCase.Group.allCases.map { group in "\(rule.tests.filter { $0.group == group }.count) \(group.rawValue)" }
    out += ["", heading("Tests"), "  " + groups.joined(separator: ", ")]
    return out.joined(separator: "\n")
  }

  /// Line breaks of a rule's text are line breaks; the rest is escaped.
  private static func lines(_ text: String) -> [String] {
    var lines = text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "\n" || $0 == "\r\n" }).map { TerminalText.escaped(String($0)) }
    while lines.last?.isEmpty == true { lines.removeLast() }
    return lines
  }
  private static func item(_ text: String) -> [String] {
    lines(text).enumerated().map { "\($0 == 0 ? "  - " : "    ")\($1)" }
  }
}
