// What matched, in one line for people: "sum of panguard.attempt.count is 5 in 10m (>= 5) for 192.0.2.7", `url.path "/.env": probe`.
// The fixed words are put together once for each rule. Text from the event is quoted and cut; views escape it again.
import Events
import Primitives
import RuleEngine
import RuleLanguage

/// The fixed words of one rule's summaries.
enum MatchSummary {
  struct ConditionText {
    /// A comparison only guards what the texts say: it is shown only where nothing else is.
    var isComparison: Bool
    /// nil: the value is not shown.
    var field: Field?
    /// `url.path "`, before the value.
    var lead: [UInt8]
    var what: [UInt8]
  }
  /// By condition of the rule.
  case pattern([ConditionText])
  /// Observed value and threshold stand between the parts, the group behind them.
  case behavioral(before: [UInt8], middle: [UInt8], digits: Int, thresholdDigits: Int)
  /// Behind the observed number.
  case correlation([UInt8])
  case fixed(String)

  /// Conditions of a pattern rule that are shown, and bytes of a value.
  private static let shownConditions = 3
  private static let shownBytes = 120

  init(_ rule: Rule) {
    switch rule.detection {
    case .behavioral(let detection):
      self = .behavioral(
        before: Array("\(detection.aggregation.rawValue) of \(detection.metric) is ".utf8),
        middle: Array(" in \(detection.window) (\(MatchSummary.measure(detection)) ".utf8), digits: detection.digits,
        thresholdDigits: detection.baseline == nil ? detection.digits : 3)
    case .correlation(let detection):
      let names = detection.sourceRules.map(\.alias).joined(separator: ", ")
      self = .correlation(Array(" matches of \(names) belong together within \(detection.window)".utf8))
    case .pattern(let conditions, _):
      self = .pattern(
        conditions.map { condition in
          var isComparison = false
          if case .compare = condition.test { isComparison = true }
          let what = condition.description.isEmpty ? "condition \(condition.name)" : condition.description
          guard case .known(let field) = condition.field else {
            return ConditionText(isComparison: isComparison, field: nil, lead: [], what: Array("\(condition.field): \(what)".utf8))
          }
          return ConditionText(isComparison: isComparison, field: field, lead: Array("\(field.name) \"".utf8), what: Array(what.utf8))
        })
    case .signature, .trace, .skipped: self = .fixed(rule.title)
    }
  }

  private static func measure(_ detection: BehavioralDetection) -> String {
    guard let baseline = detection.baseline else { return detection.comparison.symbol }
    return "deviation from its baseline in \(baseline.unit == .stddev ? "standard deviations" : "fractions of it"), \(detection.comparison.symbol)"
  }

  /// `clip` cuts text of the event to what a record may hold.
  func text(_ match: RuleMatch, _ event: borrowing Event, clip: (String) -> String) -> String {
    var out: [UInt8] = []
    out.reserveCapacity(256)
    switch self {
    case .fixed(let title): return title
    case .correlation(let words):
      out.append(decimal: match.observed)
      out.append(contentsOf: words)
    case .behavioral(let before, let middle, let digits, let thresholdDigits):
      out.append(contentsOf: before)
      out.append(fixedPoint: match.observed, digits: digits)
      out.append(contentsOf: middle)
      out.append(fixedPoint: match.threshold, digits: thresholdDigits)
      out.append(0x29)
      let over = match.group.count == 1 ? match.group[0].value : match.group.map(\.value).joined(separator: ", ")
      if !over.isEmpty {
        out.append(" for " as StaticString)
        out.append(clip(over))
      }
    case .pattern(let conditions):
      // One value is shown once, whatever else was found in it.
      var shown: [Field?] = []
      for comparisons in [false, true] where shown.isEmpty {
        for index in match.conditions where conditions[index].isComparison == comparisons && shown.count < MatchSummary.shownConditions {
          if let field = conditions[index].field, shown.contains(field) { continue }
          if !shown.isEmpty { out.append("; " as StaticString) }
          shown.append(conditions[index].field)
          MatchSummary.append(conditions[index], event, to: &out)
        }
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  private static func append(_ condition: ConditionText, _ event: borrowing Event, to out: inout [UInt8]) {
    if let field = condition.field, event.has(field) {
      out.append(contentsOf: condition.lead)
      let start = out.count
      _ = event.appendText(of: field, to: &out)
      let isCut = out.count - start > shownBytes
      if isCut {
        out.removeSubrange((start + shownBytes)...)
        out.append("…" as StaticString)
      }
      out.append("\": " as StaticString)
    }
    out.append(contentsOf: condition.what)
  }
}
