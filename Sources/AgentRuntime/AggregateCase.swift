// A case of a behavioral rule that states what a window held ({"window_end", "window", "group", "metric_value", "event_count"}) instead of the
// events in it. The engine counts events, so the case is played as that many of them: spread over the rule's window, with the group's fields and
// with what the rule's filter asks for, since the case speaks of events behind the filter.
import Events
import Primitives
import RuleLanguage

struct AggregateCase {
  /// Fields of each event.
  var fields: [(name: String, text: String)]
  var count: Int
  var step: Nanoseconds
  /// The case begins with the rule already in its cooldown (`in_cooldown: true`): the events are played before it once.
  var isInCooldown = false

  enum Reading {
    /// The case is no aggregate: it is an event like others.
    case other
    case aggregate(AggregateCase)
    case unsupported(String)
  }

  /// `event`: the case's event as JSON, whose input holds the aggregate's JSON.
  static func read(_ event: String, _ rule: BehavioralDetection) -> Reading {
    guard let input = member("user_input", of: event) ?? member("content", of: event), let metric = member("metric_value", of: input) else {
      return .other
    }
    guard rule.aggregation == .count, let value = fixed(metric), (0...Int64(Limits.testRepetitions)).contains(value) else {
      return .unsupported("the case states a \(rule.aggregation.rawValue) of \(metric), and only a count can be played as events")
    }
    var fields: [(name: String, text: String)] = []
    if let group = member("group", of: input) { fields = members(of: group) }
    if let attributes = member("attributes", of: input) { fields += members(of: attributes).map { ("attributes.\($0.name)", $0.text) } }
    for condition in rule.filter {
      guard !condition.isNegated, case .exact(let values, _) = condition.test, let first = values.first else {
        return .unsupported("the case states an aggregate, and the filter on '\(condition.field)' has no value to make its events with")
      }
      fields.append((condition.field.description, first))
    }
    let step = Nanoseconds(rule.window.count / (value + 1))
    return .aggregate(AggregateCase(fields: fields, count: Int(value), step: step, isInCooldown: member("in_cooldown", of: input) == "true"))
  }

  func fill(_ event: inout Event) {
    for var (name, text) in fields {
      name.withUTF8 { name in
        text.withUTF8 { text in
          if let field = Field(name: Bytes(name)), event.set(field, parsing: Bytes(text)) { return }
          event.setExtra(Bytes(name), Bytes(text))
        }
      }
    }
  }

  private static func fixed(_ text: String) -> Int64? {
    var copy = text
    return copy.withUTF8 { Bytes($0).decimal }
  }
  /// The members of a JSON object as texts; nothing where the text is none.
  private static func members(of json: String) -> [(name: String, text: String)] {
    var found: [(name: String, text: String)] = []
    var copy = json
    try? copy.withUTF8 { bytes in
      try JSONMembers.forEach(of: Bytes(bytes)) { key, value in
        var reader = JSONReader(value)
        let text: String? =
          try reader.next { token in if case .string(let text) = token { String(decoding: text, as: UTF8.self) } else { nil } } ?? nil
        found.append((String(decoding: key, as: UTF8.self), text ?? String(decoding: value, as: UTF8.self)))
      }
    }
    return found
  }
  private static func member(_ name: String, of json: String) -> String? { members(of: json).first { $0.name == name }?.text }
}
