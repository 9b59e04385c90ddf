// `response.message_template` of a correlation, filled in: `{alias.event_id}`, `{alias.rule_id}`, `{alias.timestamp}`, `{rule_id}`, and
// `{field}` for a join key. What must stay true: one line, bounded; a placeholder that means nothing stays as it is written.
import Events
import Primitives
import RuleEngine
import RuleLanguage

public struct ChainMessage: Sendable {
  /// Characters of one message.
  static let limit = 4096
  let template: String
  let ruleID: String

  public init(_ rule: Rule) {
    ruleID = rule.id
    if case .correlation(let detection) = rule.detection { template = detection.messageTemplate } else { template = "" }
  }

  /// Empty where the rule has no template.
  public func text(_ match: RuleMatch) -> String {
    guard !template.isEmpty else { return "" }
    var out = ""
    var rest = template[...]
    while let open = rest.firstIndex(of: "{") {
      out += rest[..<open]
      guard let close = rest[open...].firstIndex(of: "}") else { break }
      out += value(String(rest[rest.index(after: open)..<close]), match) ?? String(rest[open...close])
      rest = rest[rest.index(after: close)...]
      if out.utf8.count > ChainMessage.limit { break }
    }
    out += rest
    let words = out.split(whereSeparator: { $0.unicodeScalars.allSatisfy { $0.value <= 0x20 } })
    return String(words.joined(separator: " ").prefix(ChainMessage.limit))
  }

  private func value(_ placeholder: String, _ match: RuleMatch) -> String? {
    if placeholder == "rule_id" { return ruleID }
    // An alias that has several matches names its last.
    if let dot = placeholder.lastIndex(of: "."), let part = match.chain.last(where: { $0.alias == placeholder[..<dot] }) {
      switch placeholder[placeholder.index(after: dot)...] {
      case "event_id": return part.eventID
      case "rule_id": return part.ruleID
      case "timestamp": return "\(part.time)"
      default: return nil
      }
    }
    return match.group.first { $0.field.description == placeholder }?.value
  }
}
