// Decisions as a table: `panguard decisions list`. Columns are as wide as their content, up to a limit; the last takes what is left.
import Detection
import Events
import Primitives
import RuleLanguage

public enum DecisionTable {
  private struct Column: Sendable {
    var title: String
    /// Widest it may be.
    var limit: Int
    var isNumber = false
    /// Not 0: left out where the terminal is narrow, the lowest first.
    var dropRank = 0
    var tone: @Sendable (Decision) -> Style.Tone? = { _ in nil }
    /// Not yet escaped.
    var text: @Sendable (Decision) -> String
  }

  private static let allColumns: [Column] = [
    Column(title: "TIME", limit: 20, text: { DecisionText.seconds($0.time) }),
    Column(title: "ID", limit: 8, tone: { _ in .dim }, text: { DecisionText.shortID($0.id) }),
    Column(title: "SEVERITY", limit: 8, tone: { Style.tone($0.severity) }, text: { $0.severity.label }),
    Column(title: "CONF", limit: 5, tone: { _ in .bold }, text: { $0.confidence.description }),
    Column(title: "ACTION", limit: 8, dropRank: 3, tone: { Style.tone($0.action) }, text: { $0.action.rawValue }),
    Column(title: "MATCHES", limit: 20, isNumber: true, dropRank: 1, text: { "\($0.matchCount)" }),
    Column(title: "SUBJECT", limit: 43, tone: { _ in .bold }, text: { DecisionText.subject($0.subject) }),
    Column(title: "RULE", limit: 24, dropRank: 2, text: { $0.ruleID }),
    Column(title: "WHAT", limit: .max, text: { "\($0.ruleTitle): \($0.summary)" }),
  ]

  /// Columns that the last one needs to say anything.
  private static let leastForText = 32
  private static let gap = 2

  /// A header and one line for each decision, each ended by a newline; empty for no decisions.
  /// `width`: columns of the terminal; 0 or less: lines are as long as they need to be. `marks`: what people said, by decision; where nobody
  /// said anything of these there is no column for it.
  public static func render(_ decisions: [Decision], marks: [String: String] = [:], width: Int, color: Bool) -> String {
    guard !decisions.isEmpty else { return "" }
    let style = Style(isOn: color)
    func cell(_ column: Column, _ d: Decision) -> String {
      TerminalText.cut(TerminalText.escaped(column.text(d)), to: column.limit == .max ? 0 : column.limit)
    }
    func natural(_ column: Column) -> Int {
      max(column.title.utf8.count, decisions.reduce(0) { max($0, TerminalText.columns(cell(column, $1))) })
    }
    var columns = allColumns
    if decisions.contains(where: { marks[$0.id] != nil }) {
      columns.insert(Column(title: "MARK", limit: 14, dropRank: 4, text: { marks[$0.id] ?? "-" }), at: columns.count - 1)
    }
    var chosen = columns.map { (column: $0, width: natural($0)) }
    while width > 0, chosen.dropLast().reduce(leastForText, { $0 + $1.width + gap }) > width {
      let optional = chosen.indices.filter { chosen[$0].column.dropRank > 0 }
      guard let least = optional.min(by: { chosen[$0].column.dropRank < chosen[$1].column.dropRank }) else { break }
      chosen.remove(at: least)
    }
    columns = chosen.map(\.column)
    let widths = chosen.map(\.width)
    let cells = decisions.map { d in columns.map { cell($0, d) } }
    func row(_ texts: [String], tone: (Int) -> Style.Tone?) -> String {
      var out = ""
      var left = width > 0 ? width : Int.max
      for i in columns.indices where left > 0 {
        let isLast = i == columns.count - 1
        let fitted = TerminalText.cut(texts[i], to: left == .max ? 0 : left)
        let filled = isLast ? fitted : TerminalText.padded(fitted, to: min(widths[i], left), onTheLeft: columns[i].isNumber)
        out += style.paint(filled, tone(i))
        if left == .max {
          out += isLast ? "" : String(repeating: " ", count: gap)
        } else {
          left -= TerminalText.columns(filled)
          let space = isLast ? 0 : min(gap, left)
          out += String(repeating: " ", count: space)
          left -= space
        }
      }
      return out + "\n"
    }
    var out = row(columns.map(\.title)) { _ in .bold }
    for (d, texts) in zip(decisions, cells) { out += row(texts) { columns[$0].tone(d) } }
    return out
  }
}
