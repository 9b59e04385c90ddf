// Coverage as a page for a terminal, as Markdown, and as JSON. Pure; golden files hold the forms.
import Primitives
import RuleLanguage

public enum RuleCoverageText {
  private static let severityHeads = Severity.allCases.reversed().map { $0.rawValue }
  private static let shortHeads = ["CRIT", "HIGH", "MED", "LOW", "INFO"]

  // MARK: Terminal

  public static func page(_ coverage: RuleCoverage, width: Int, color: Bool) -> String {
    let style = Style(isOn: color)
    var out = [summary(coverage)]
    for framework in coverage.frameworks {
      out += ["", style.paint(headline(framework), .bold)]
      if !framework.items.isEmpty { out += table(framework, width: max(60, width), style) }
      if let uncovered = framework.uncovered, !uncovered.isEmpty {
        out += TerminalText.wrapped("no rule: " + uncovered.joined(separator: ", "), to: max(60, width) - 2).map { "  \($0)" }
      }
    }
    if !coverage.unmapped.isEmpty {
      out += ["", style.paint("Rules without a reference to any of these: \(coverage.unmapped.count)", .bold)]
      out += TerminalText.wrapped(coverage.unmapped.joined(separator: " "), to: max(60, width) - 2).map { "  \(TerminalText.escaped($0))" }
    }
    return out.joined(separator: "\n")
  }

  private static func summary(_ c: RuleCoverage) -> String {
    let severities = zip(severityHeads, c.bySeverity.reversed()).filter { $1 > 0 }.map { "\($1) \($0)" }.joined(separator: ", ")
    let statuses = c.byStatus.map { "\($0.count) \($0.name)" }.joined(separator: ", ")
    return "\(c.ruleCount) rules\n  severity  \(severities)\n  status    \(statuses)"
  }
  private static func headline(_ f: RuleCoverage.Framework) -> String {
    if f.items.isEmpty { return "\(f.title): no rule refers to it" }
    let what: String
    if let uncovered = f.uncovered {
      let covered = f.listed - uncovered.count
      what = "\(covered) of \(f.listed)" + (f.items.count > covered ? " and \(f.items.count - covered) other ids" : "")
    } else if f.key == "mitre_attack" {
      let tactics = Set(f.items.flatMap(\.tactics)).count
      what = "\(f.items.count) techniques, \(tactics) of \(Tactic.allCases.count) tactics"
    } else {
      what = "\(f.items.count) ids"
    }
    return "\(f.title): \(what), by \(f.ruleCount) rules"
  }

  /// ATT&CK has one block for each tactic; a technique stands in each of its tactics.
  private static func table(_ f: RuleCoverage.Framework, width: Int, _ style: Style) -> [String] {
    let idWidth = max(9, f.items.map { $0.id.utf8.count }.max() ?? 0)
    let counts = ["RULES"] + shortHeads
    let countWidth = counts.map { max(5, $0.utf8.count) + 1 }.reduce(0, +)
    let nameWidth = max(0, min(44, width - 4 - idWidth - 1 - countWidth))
    func row(_ id: String, _ name: String, _ numbers: [String]) -> String {
      let cells = numbers.map { TerminalText.padded($0, to: 6, onTheLeft: true) }.joined()
      return "    " + TerminalText.padded(id, to: idWidth) + " " + TerminalText.padded(TerminalText.cut(name, to: nameWidth), to: nameWidth) + cells
    }
    func row(_ item: RuleCoverage.Item) -> String {
      row(item.id, item.name, ["\(item.rules.count)"] + item.bySeverity.reversed().map { $0 == 0 ? "·" : "\($0)" })
    }
    var out = [style.paint(row("ID", f.items.contains { !$0.name.isEmpty } ? "NAME" : "", counts), .dim)]
    guard f.key == "mitre_attack" else { return out + f.items.map(row) }
    for tactic in Tactic.allCases {
      let items = f.items.filter { $0.tactics.contains(tactic.rawValue) }
      out.append("  \(tactic.shortName)" + (items.isEmpty ? ": no rule" : ""))
      out += items.map(row)
    }
    let others = f.items.filter(\.tactics.isEmpty)
    if !others.isEmpty { out += ["  tactic not in our table"] + others.map(row) }
    return out
  }

  // MARK: Markdown

  public static func markdown(_ coverage: RuleCoverage) -> String {
    var out = ["# Coverage of \(coverage.ruleCount) rules", "", "| severity | rules |", "|---|---:|"]
    out += zip(severityHeads, coverage.bySeverity.reversed()).map { "| \($0) | \($1) |" }
    out += ["", "| status | rules |", "|---|---:|"] + coverage.byStatus.map { "| \($0.name) | \($0.count) |" }
    for f in coverage.frameworks {
      out += ["", "## \(headline(f))", ""]
      if !f.items.isEmpty {
        let isATTACK = f.key == "mitre_attack"
        out.append("| id |\(isATTACK ? " name | tactics |" : "") rules | \(severityHeads.joined(separator: " | ")) |")
        out.append("|---|\(isATTACK ? "---|---|" : "")---:|" + String(repeating: "---:|", count: severityHeads.count))
        out += f.items.map { item in
          let tactics = item.tactics.map { Tactic.allCases[$0].shortName }.joined(separator: ", ")
          return "| \(item.id) |\(isATTACK ? " \(item.name) | \(tactics) |" : "") \(item.rules.count) | "
            + item.bySeverity.reversed().map { "\($0)" }.joined(separator: " | ") + " |"
        }
      }
      if let uncovered = f.uncovered, !uncovered.isEmpty { out += ["", "No rule: \(uncovered.joined(separator: ", "))."] }
    }
    if !coverage.unmapped.isEmpty { out += ["", "## Rules without a reference to any of these", ""] + coverage.unmapped.map { "- \($0)" } }
    return out.joined(separator: "\n")
  }

  // MARK: JSON

  public static func json(_ coverage: RuleCoverage) -> [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    json.key("rules")
    json.value(coverage.ruleCount)
    json.key("severity")
    severities(coverage.bySeverity, &json)
    json.key("status")
    json.beginObject()
    for status in coverage.byStatus {
      json.key(text: status.name)
      json.value(status.count)
    }
    json.endObject()
    json.key("frameworks")
    json.beginArray()
    for framework in coverage.frameworks { write(framework, &json) }
    json.endArray()
    texts("unmapped", coverage.unmapped, &json)
    json.endObject()
    return json.out
  }
  private static func write(_ f: RuleCoverage.Framework, _ json: inout JSONWriter) {
    json.beginObject()
    json.key("key")
    json.value(f.key)
    json.key("title")
    json.value(f.title)
    json.key("rules")
    json.value(f.ruleCount)
    json.key("items")
    json.beginArray()
    for item in f.items {
      json.beginObject()
      json.key("id")
      json.value(item.id)
      if !item.name.isEmpty {
        json.key("name")
        json.value(item.name)
      }
      if f.key == "mitre_attack" { texts("tactics", item.tactics.map { Tactic.allCases[$0].shortName }, &json) }
      texts("rules", item.rules, &json)
      json.key("severity")
      severities(item.bySeverity, &json)
      json.endObject()
    }
    json.endArray()
    if let uncovered = f.uncovered { texts("uncovered", uncovered, &json) }
    json.endObject()
  }
  private static func severities(_ counts: [Int], _ json: inout JSONWriter) {
    json.beginObject()
    for (severity, count) in zip(severityHeads, counts.reversed()) {
      json.key(text: severity)
      json.value(count)
    }
    json.endObject()
  }
  private static func texts(_ key: StaticString, _ texts: [String], _ json: inout JSONWriter) {
    json.key(key)
    json.beginArray()
    for text in texts { json.value(text) }
    json.endArray()
  }
}
