// A metric that somebody else has aggregated already: the form in which ATR's corpus writes test cases of behavioral rules,
// {"window_end":.., "window":"PT1M", "group":{..}, "metric_value":150, "event_count":150, "in_cooldown":true}.
// Only threshold, min_events and cooldown can be decided on it; a filter cannot, for it looks at events.
import Events
import Primitives
import RuleLanguage

public enum MetricSnapshot {
  /// Whether the rule would match; nil where the event's `content` is no such object, or the rule compares with a history.
  public static func decide(_ detection: BehavioralDetection, _ event: borrowing Event) -> Bool? {
    guard let text = event.text(.content), text.trimmed.starts(with: "{"), text.contains("\"metric_value\"") else { return nil }
    var value: Int64?
    var events: Int64 = 1
    var isCooling = false
    do {
      try JSONMembers.forEach(of: text) { key, member in
        if key.equals("metric_value") { value = FixedPoint.read(member, digits: detection.digits) }
        if key.equals("event_count") { events = FixedPoint.read(member, digits: 0) ?? 0 }
        if key.equals("in_cooldown") { isCooling = member.equals("true") }
      }
    } catch {
      return nil
    }
    guard let value else { return nil }
    let holds: Bool
    if let baseline = detection.baseline {
      guard baseline.source == .fixed else { return nil }
      let rule = BaselineRule(
        source: .fixed, unit: .fraction, threshold: detection.threshold, window: 1, slots: 1, percentile: 0, value: baseline.value,
        countsSilence: false)
      holds = BaselineTable([rule]).holds(0, GroupKey(high: 0, low: 0), value: value)
    } else {
      holds = detection.comparison.holds(value, detection.threshold)
    }
    return holds && events >= detection.minEvents && !(isCooling && detection.cooldown != nil)
  }
}
