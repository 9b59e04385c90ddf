// In what two records of one decision differ: the part that says most about the cause first. Pure.
import Detection
import Export
import Primitives
import Scoring
import Storage

/// The first part in which two records differ.
public struct DecisionDifference: Equatable, Sendable, CustomStringConvertible {
  /// "confidence", "term ATR-2026-90001", ...
  public var part: String
  public var logged: String
  public var replayed: String
  public var description: String { "\(part): \(logged) in the log, \(replayed) when it is replayed" }

  private struct Part: Sendable {
    var name: String
    var text: @Sendable (Decision) -> String
    init(_ name: String, _ text: @escaping @Sendable (Decision) -> String) { (self.name, self.text) = (name, text) }
  }
  private static let subject: [Part] = [
    Part("rule") { $0.ruleID }, Part("subject") { $0.subject.label }, Part("event time") { "\($0.time)" }, Part("severity") { $0.severity.rawValue },
  ]
  private static let rest: [Part] = [
    Part("confidence") { "\($0.confidence)" }, Part("trust") { "\($0.trust.name)" }, Part("action") { $0.action.rawValue },
    Part("reason") { $0.actionReason }, Part("observed value") { "\($0.observed)" }, Part("threshold") { "\($0.threshold)" },
    Part("matches") { "\($0.matchCount)" }, Part("first event") { "\($0.firstTime)" }, Part("last event") { "\($0.lastTime)" },
    Part("summary") { $0.summary }, Part("evidence") { $0.evidence.map { "\($0.source) at byte \($0.offset)" }.joined(separator: ", ") },
    Part("lines behind it") { "\($0.evidenceTotal)" }, Part("baseline") { $0.provenance.baselineHash },
    Part("rule set") { $0.provenance.ruleSetHash }, Part("configuration") { $0.provenance.configurationHash },
    Part("engine") { $0.provenance.engineVersion },
  ]

  /// nil: the records are the same bytes.
  public init?(logged: [UInt8], replayed: [UInt8]) {
    guard logged != replayed else { return nil }
    guard let a = try? DecisionJSON.decode(logged), let b = try? DecisionJSON.decode(replayed) else {
      self.init(part: "record", logged: "\(logged.count) bytes", replayed: "\(replayed.count) bytes")
      return
    }
    self =
      DecisionDifference.first(DecisionDifference.subject, a, b) ?? DecisionDifference.term(a, b)
      ?? DecisionDifference.first(DecisionDifference.rest, a, b)
      ?? DecisionDifference(part: "record", logged: "\(logged.count) bytes", replayed: "\(replayed.count) other bytes")
  }
  /// nil: the record is what the decision gives, byte for byte, and is filed under what it says.
  public init?(logged record: DecisionRecord, replayed decision: Decision) {
    if let difference = DecisionDifference(logged: record.bytes, replayed: DecisionJSON.line(decision)) {
      self = difference
    } else if let column = record.firstColumn(unlike: decision) {
      self.init(part: "column \(column.name)", logged: column.stored, replayed: column.right)
    } else {
      return nil
    }
  }
  init(part: String, logged: String, replayed: String) {
    self.part = part
    self.logged = logged
    self.replayed = replayed
  }

  private static func first(_ parts: [Part], _ a: Decision, _ b: Decision) -> DecisionDifference? {
    for part in parts where part.text(a) != part.text(b) {
      return DecisionDifference(part: part.name, logged: part.text(a), replayed: part.text(b))
    }
    return nil
  }
  /// What makes up the confidence: the first term that only one has, or that weighs differently.
  private static func term(_ a: Decision, _ b: Decision) -> DecisionDifference? {
    for index in 0..<max(a.terms.count, b.terms.count) {
      let (old, new) = (index < a.terms.count ? a.terms[index] : nil, index < b.terms.count ? b.terms[index] : nil)
      guard old != new else { continue }
      let name = old?.signal.name ?? new?.signal.name ?? ""
      return DecisionDifference(part: "term \(name)", logged: text(old), replayed: text(new))
    }
    return nil
  }
  private static func text(_ term: ConfidenceTerm?) -> String {
    guard let term else { return "none" }
    let (signal, trust) = (term.signal, term.signal.isAttested ? "attested" : "claimed")
    return "\(signal.name) (\(signal.family), \(trust)) with \(term.contribution.value) of \(signal.weight.value) milli-nats"
  }
}
