// What the baseline knew when it judged an event: stands in the decisions that rest on it, so that "unusual" can be checked.
// What must stay true: plain values of the moment before the event was learned; the same events give the same.
import Events
import Primitives

public struct BaselineKnowledge: Hashable, Sendable {
  public enum Said: Hashable, Sendable {
    /// Of a pair: "new", "known" and so on (Novelty).
    case novelty(String)
    /// Of an amount: what is usual (in this hour; in a day, for a drift), what there was, and how far that is away in thousandths of spreads
    /// (of a drift: of what is usual).
    case amount(expected: Int64, observed: Int64, deviation: Int64)
    /// What the field holds, where it has no expectation of its own.
    case value(Int64)
  }
  /// "baseline.login_network".
  public var field: String
  /// Whom it is about, at most `Limits.baselineLabelBytes`: "alice", "sshd web01". Empty: the event says.
  public var subject: String
  /// Of a pair, its second half: "203.0.113.0/24". Empty: it is no pair.
  public var object: String
  public var said: Said
  /// Days on which it had been learned.
  public var days: Int64

  public init(field: String, subject: String, object: String = "", said: Said, days: Int64) {
    self.field = field
    self.subject = subject
    self.object = object
    self.said = said
    self.days = days
  }
}

extension BaselineKnowledge: CustomStringConvertible {
  /// "baseline.events of sshd web01: 0, usually 12 (3.400 spreads below), after 21 days". Names as the event has them: views escape them.
  public var description: String {
    let names = [subject, object].filter { !$0.isEmpty }.joined(separator: ", ")
    let learned = "after \(days) \(days == 1 ? "day" : "days")"
    let what =
      switch said {
      case .novelty(let name): name
      case .value(let value): "\(value)"
      case .amount(let expected, let observed, let deviation):
        "\(observed), usually \(expected) (\(BaselineKnowledge.decimal(deviation.magnitude)) spreads \(deviation < 0 ? "below" : "above"))"
      }
    return "\(field)\(names.isEmpty ? "" : " of \(names)"): \(what), \(learned)"
  }
  private static func decimal(_ thousandths: UInt64) -> String {
    let rest = String(thousandths % 1000)
    return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - rest.count) + rest
  }
}

extension BaselineFinding {
  public var knowledge: BaselineKnowledge {
    BaselineKnowledge(
      field: "\(rate.field.name)", subject: Baseline.text(subject), said: .amount(expected: expected, observed: observed, deviation: deviation),
      days: days)
  }
}

extension Baseline {
  /// For people: at most `Limits.baselineLabelBytes`.
  static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes.prefix(Limits.baselineLabelBytes), as: UTF8.self) }

  /// What was known of the fields among `fields` that `judge` wrote into the event, in their order. The event is not learned yet.
  public mutating func knowledge(of event: borrowing Event, _ fields: FieldSet) -> [BaselineKnowledge] {
    var result: [BaselineKnowledge] = []
    for field in Baseline.fields where fields.contains(field) && event.has(field) {
      if let row = PairClass.allCases.first(where: { $0.field == field }) {
        var (subject, object): ([UInt8], [UInt8]) = ([], [])
        _ = row.write(event, subject: &subject, object: &object)
        result.append(
          BaselineKnowledge(
            field: "\(field.name)", subject: Baseline.text(subject), object: Baseline.text(object),
            said: .novelty(event.text(field)?.string ?? ""), days: state(of: row).learning.days))
      } else if let row = RateClass.allCases.first(where: { $0.field == field }) {
        if let known = rate(row, event) { result.append(known) }
      } else if let value = event.integer(field) {
        result.append(BaselineKnowledge(field: "\(field.name)", subject: "", said: .value(value), days: measureDays))
      }
    }
    return result
  }
}
