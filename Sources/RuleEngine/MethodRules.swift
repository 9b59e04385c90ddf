// Rules of the methods signature and trace beside the matcher of patterns and windows: which there are, and one event through them.
// What must stay true: a trace is read at most once for an event, and only where a rule wants it; a rule that cannot be evaluated on
// an event says so (SPEC 6, graceful_error), and that is never the same as "no match".
import Events
import Primitives
import RuleLanguage

/// A rule that could not be evaluated on an event.
public struct GracefulError: Sendable {
  /// Index into the rule set's `rules`.
  public var rule: Int
  public var time: EventTime
  public var event: EvidenceReference
  /// What was wrong with the event; no text of it.
  public var message: String
}

final class MethodRules {
  private(set) var diagnostics: [Diagnostic] = []
  private(set) var signatures = SignatureMatcher()
  /// In the order of the rules.
  private(set) var traces: [(rule: Int, evaluator: TraceEvaluator)] = []
  /// Rules that `diagnostics` says are disabled, ascending.
  private(set) var refused: [Int] = []
  private let memory = RegexMemory()
  private(set) var errors: [GracefulError] = []
  private(set) var droppedErrors: UInt64 = 0
  private(set) var errorCount: UInt64 = 0
  var isEmpty: Bool { signatures.isEmpty && traces.isEmpty }

  /// `isEnabled`: whether the rule of that index runs.
  init(_ ruleSet: RuleSet, isEnabled: (Int) -> Bool) {
    for (index, rule) in ruleSet.rules.enumerated() where isEnabled(index) {
      switch rule.detection {
      case .signature(let detection): signatures.add(detection, rule: index)
      case .trace(let detection):
        do throws(RegexError) {
          traces.append((index, try TraceEvaluator(detection)))
        } catch {
          refused.append(index)
          diagnostics.append(Diagnostic(.error, rule.location, "\(rule.id): not a regular expression: \(error.message); the rule is disabled"))
        }
      case .pattern, .behavioral, .correlation, .skipped: break
      }
    }
  }

  func takeErrors() -> [GracefulError] {
    defer { errors.removeAll(keepingCapacity: true) }
    return errors
  }
  func reset() { errors.removeAll() }

  /// Matches of this event, by rule, ascending.
  func evaluate(_ event: borrowing Event, at time: EventTime, into matches: inout [RuleMatch]) {
    if !signatures.isEmpty {
      for match in signatures.matches(event) {
        matches.append(
          made(
            match.rule, event, time, .indicators(match.indicators), observed: match.indicators.count, threshold: signatures.needed(by: match.rule)))
      }
    }
    if !traces.isEmpty { evaluateTraces(event, time, into: &matches) }
  }

  private func made(_ rule: Int, _ event: borrowing Event, _ time: EventTime, _ details: MatchDetails, observed: Int, threshold: Int = 1)
    -> RuleMatch
  {
    var match = RuleMatch(
      rule: rule, conditions: [], group: [], observed: Int64(observed), threshold: Int64(threshold), firstTime: time, lastTime: time,
      evidence: EvidenceList.ordered(event.evidence + [event.reference]), evidenceTotal: UInt64(event.evidence.count + 1), trust: event.trust)
    match.details = details
    return match
  }

  private func evaluateTraces(_ event: borrowing Event, _ time: EventTime, into matches: inout [RuleMatch]) {
    guard let read = TraceSource.traces(event) else { return }
    for trace in traces {
      let result = trace.evaluator.evaluate(read.traces, memory)
      if result.truth == .yes {
        matches.append(made(trace.rule, event, time, .spans(result.findings, total: result.total), observed: result.total))
      } else if let error = read.error {
        report(trace.rule, event, time, error.message)
      } else if result.truth == .unknown {
        report(trace.rule, event, time, "a limit was hit while a pattern was matched")
      }
    }
  }

  private func report(_ rule: Int, _ event: borrowing Event, _ time: EventTime, _ message: String) {
    errorCount += 1
    guard errors.count < Limits.gracefulErrors else {
      droppedErrors += 1
      return
    }
    errors.append(GracefulError(rule: rule, time: time, event: event.reference, message: message))
  }
}

/// Where an event carries a trace.
enum TraceSource {
  /// Fields that hold the JSON text of a trace, or of its list of spans (an event's JSON is flat: {"trace":{"spans":[..]}} is
  /// `trace.spans`).
  private static let fields: [FieldReference] = [
    "trace", "trace.spans", "spans", "trace.resourceSpans", "resourceSpans",
  ].map { FieldReference(name: $0) }

  /// None of them is a field of the table: an event without others carries no trace.
  private static let areExtra = fields.allSatisfy { if case .extra = $0 { true } else { false } }

  /// nil: the event carries none. What an agent reads or says is never one, whatever it looks like. Each field that is there counts, so that
  /// none hides another; `error` is the first that says why one could not be read.
  static func traces(_ event: borrowing Event) -> (traces: [[TraceSpan]], error: TraceError?)? {
    if event.extraCount == 0, areExtra { return nil }
    var found: (traces: [[TraceSpan]], error: TraceError?)?
    var hasTrace = false
    for field in fields {
      // The members of an object are fields of their own as well.
      if hasTrace, field.description.hasPrefix("trace.") { continue }
      guard var text = FieldText.with(field, event, { Array($0) }) else { continue }
      if field.description == "trace" {
        hasTrace = true
        if isForeign(text) { continue }
      } else {
        text = Array((field.description.hasSuffix("resourceSpans") ? "{\"resourceSpans\":" : "{\"spans\":").utf8) + text + [0x7d]
      }
      if found == nil { found = ([], nil) }
      do throws(TraceError) {
        found?.traces += try read(text)
      } catch {
        if found?.error == nil { found?.error = error }
      }
    }
    return found
  }
  /// {"trace":{"id":..}} is an id of the Elastic Common Schema, not a trace without spans.
  private static func isForeign(_ text: [UInt8]) -> Bool {
    var (members, ids) = (0, 0)
    try? text.withUnsafeBytes { bytes in
      guard bytes.count < 1024 else { return }
      try JSONMembers.forEach(of: bytes) { name, _ in
        members += 1
        if name.equals("id") { ids += 1 }
      }
    }
    return members == 1 && ids == 1
  }
  private static func read(_ text: [UInt8]) throws(TraceError) -> [[TraceSpan]] {
    let result: Result<[[TraceSpan]], TraceError> = text.withUnsafeBytes { bytes in
      do throws(TraceError) { return .success(try TraceDocument.read(bytes)) } catch { return .failure(error) }
    }
    return try result.get()
  }
}

extension RuleEngine {
  /// Runs the rules of the methods signature and trace, and puts their matches where the order of the rules wants them.
  mutating func evaluateMethods(_ event: borrowing Event, at time: EventTime, into matches: inout [RuleMatch]) {
    guard !methods.isEmpty else { return }
    let before = matches.count
    methods.evaluate(event, at: time, into: &matches)
    if matches.count > before { matches.sort { $0.rule < $1.rule } }
  }

  /// Rules that could not be evaluated on an event since the last call, oldest first; at most `Limits.gracefulErrors`.
  public mutating func takeGracefulErrors() -> [GracefulError] { methods.takeErrors() }
}
