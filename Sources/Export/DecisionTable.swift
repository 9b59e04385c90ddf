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
    var tone: @Sendable (Decision) -> Style.Tone? = { _ in nil }
    /// Not yet escaped.
    var text: @Sendable (Decision) -> String
  }

  private static let columns: [Column] = [
    Column(title: "TIME", limit: 20, text: { DecisionText.seconds($0.time) }),
    Column(title: "ID", limit: 8, tone: { _ in .dim }, text: { DecisionText.shortID($0.id) }),
    Column(title: "SEVERITY", limit: 8, tone: { Style.tone($0.severity) }, text: { $0.severity.label }),
    Column(title: "CONF", limit: 5, tone: { _ in .bold }, text: { $0.confidence.description }),
    Column(title: "ACTION", limit: 8, tone: { Style.tone($0.action) }, text: { $0.action.rawValue }),
    Column(title: "MATCHES", limit: 20, isNumber: true, text: { "\($0.matchCount)" }),
    Column(title: "SUBJECT", limit: 43, tone: { _ in .bold }, text: { DecisionText.subject($0.subject) }),
    Column(title: "RULE", limit: 24, text: { $0.ruleID }),
    Column(title: "WHAT", limit: .max, text: { "\($0.ruleTitle): \($0.summary)" }),
  ]

  /// A header and one line for each decision, each ended by a newline; empty for no decisions.
  /// `width`: columns of the terminal; 0 or less: lines are as long as they need to be.
  public static func render(_ decisions: [Decision], width: Int, color: Bool) -> String {
    guard !decisions.isEmpty else { return "" }
    let style = Style(isOn: color)
    let cells = decisions.map { d in columns.map { TerminalText.cut(TerminalText.escaped($0.text(d)), to: $0.limit == .max ? 0 : $0.limit) } }
    let widths = columns.indices.map { i in
      max(columns[i].title.utf8.count, cells.reduce(0) { max($0, TerminalText.columns($1[i])) })
    }
    func row(_ texts: [String], tone: (Int) -> Style.Tone?) -> String {
      var out = ""
      var left = width > 0 ? width : Int.max
      for i in columns.indices where left > 0 {
        let isLast = i == columns.count - 1
        let fitted = TerminalText.cut(texts[i], to: left == .max ? 0 : left)
        let filled = isLast ? fitted : TerminalText.padded(fitted, to: min(widths[i], left), onTheLeft: columns[i].isNumber)
        out += style.paint(filled, tone(i))
        if left == .max {
          out += isLast ? "" : "  "
        } else {
          left -= TerminalText.columns(filled)
          let gap = isLast ? 0 : min(2, left)
          out += String(repeating: " ", count: gap)
          left -= gap
        }
      }
      return out + "\n"
    }
    var out = row(columns.map(\.title)) { _ in .bold }
    for (d, texts) in zip(decisions, cells) { out += row(texts) { columns[$0].tone(d) } }
    return out
  }
}
