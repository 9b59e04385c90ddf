// Recorded matches (ATR events, spec/atr-event-v1.0.md) as input: JSON lines with `atr.rule_id`, which feed correlations as matches of
// that rule. Only tests and `rules eval` take them: a log line must not be able to claim that a rule has matched.
import Events
import Primitives

enum MatchStream {
  /// The rule that a line says has matched; nil where it is not a recorded match.
  static func ruleID(of line: Bytes) -> String? {
    guard line.trimmed.starts(with: "{") else { return nil }
    var event = Event()
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    guard (try? event.setFields(fromJSON: line)) != nil else { return nil }
    return ruleID(of: event)
  }
  static func ruleID(of event: borrowing Event) -> String? {
    guard let id = event.extra(Bytes("atr.rule_id")), id.count > 0, id.count <= 64 else { return nil }
    return id.string
  }

  /// The lines in the order of their time if all of them are recorded matches; lines of one time stay as they are. Else nil.
  static func ordered(_ lines: [[UInt8]]) -> [[UInt8]]? {
    let filled = lines.filter { line in line.contains { $0 > 0x20 } }
    guard !filled.isEmpty, filled.allSatisfy({ $0.withUnsafeBytes { ruleID(of: $0) } != nil }) else { return nil }
    let timed = filled.enumerated().map { index, line in
      var event = Event()
      event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
      event.time = .zero
      _ = try? line.withUnsafeBytes { try event.setFields(fromJSON: $0) }
      return (time: event.time, index: index, line: line)
    }
    return timed.sorted { ($0.time.nanoseconds, $0.index) < ($1.time.nanoseconds, $1.index) }.map(\.line)
  }
}
