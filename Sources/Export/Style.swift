// Colours on a terminal: SGR sequences, only where the caller asked for them, always closed on the same line.
import Detection
import RuleLanguage

struct Style {
  var isOn: Bool

  enum Tone: String {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case yellow = "33"
    case cyan = "36"
    case loud = "1;31"
  }
  func paint(_ text: String, _ tone: Tone?) -> String {
    guard isOn, let tone else { return text }
    return "\u{1b}[\(tone.rawValue)m\(text)\u{1b}[0m"
  }

  static func tone(_ severity: Severity) -> Tone {
    switch severity {
    case .critical: .loud
    case .high: .red
    case .medium: .yellow
    case .low: .cyan
    case .informational: .dim
    }
  }
  static func tone(_ action: ProposedAction) -> Tone? {
    switch action {
    case .blockIP: .loud
    case .notify: .yellow
    case .logOnly: nil
    }
  }
}
