// One decision as one line for a person who watches them come: when, how bad, how sure, what would be done, who, what.
// Invariant: the line holds no newline and no control character but our own colour sequences, whatever the decision holds.
import Detection
import Events
import Primitives
import RuleLanguage

public enum DecisionText {
  /// "2026-01-05T00:00:19Z HIGH     0.953 block_ip d3f9a1c2 192.0.2.7 SSH brute force: 12 failed attempts in 10m (12 matches)".
  /// `width`: columns of the terminal, beyond which the line is cut with "…"; 0 or less: not cut. `color`: SGR colours.
  /// The id is the shortest form that `panguard explain` usually takes.
  public static func line(_ d: Decision, color: Bool, width: Int) -> String {
    let style = Style(isOn: color)
    var cells: [(text: String, tone: Style.Tone?)] = [
      (seconds(d.time), .dim),
      (TerminalText.padded(d.severity.label, to: severityColumns), Style.tone(d.severity)),
      (d.confidence.description, .bold),
      (TerminalText.padded(d.action.rawValue, to: actionColumns), Style.tone(d.action)),
      (TerminalText.escaped(shortID(d.id)), .dim),
      (TerminalText.cut(TerminalText.escaped(subject(d.subject)), to: subjectColumns), .bold),
      (TerminalText.escaped(d.ruleTitle) + ":", nil),
      (TerminalText.escaped(d.summary), nil),
    ]
    if d.matchCount > 1 { cells.append(("(\(d.matchCount) matches)", .dim)) }
    var out: [String] = []
    var left = width > 0 ? width : Int.max
    for cell in cells where left > 0 {
      let text = TerminalText.cut(cell.text, to: left)
      out.append(style.paint(text, cell.tone))
      // A cell that was cut is the last one: what follows it would not be in its place.
      left = text == cell.text ? left - TerminalText.columns(text) - 1 : 0
    }
    return out.joined(separator: " ")
  }

  /// Wide enough for each of them.
  static let severityColumns = Severity.allCases.map(\.label.count).max() ?? 0
  static let actionColumns = ProposedAction.allCases.map(\.rawValue.count).max() ?? 0

  /// Enough for an IPv6 network and a user; what is longer is an attacker's, and must not push the rest away.
  static let subjectColumns = 64

  /// RFC 3339 in UTC without its fraction.
  static func seconds(_ time: EventTime) -> String {
    let fraction = ((time.nanoseconds % 1_000_000_000) + 1_000_000_000) % 1_000_000_000
    return (time - Nanoseconds(fraction)).description
  }
  static func shortID(_ id: String) -> String { String(id.prefix(8)) }

  /// Every part that is there: "192.0.2.7 as root", "root on web1", "session 42".
  static func subject(_ subject: Subject) -> String {
    var out = subject.source ?? subject.user ?? ""
    if subject.source != nil, let user = subject.user { out += " as \(user)" }
    if let session = subject.session { out += (out.isEmpty ? "" : ", ") + "session \(session)" }
    if let host = subject.host { out += (out.isEmpty ? "host " : " on ") + host }
    return out.isEmpty ? "-" : out
  }
}

extension Severity {
  /// For people, in at most eight capitals.
  var label: String { self == .informational ? "INFO" : rawValue.uppercased() }
}
