// Indicator by indicator, primitive by primitive: what rules of the methods signature and trace saw in an event.
import Events
import Primitives
import RuleLanguage

/// One indicator or primitive of a rule against one event.
public struct MethodReport: Sendable, Equatable {
  /// "sha256 in skill.content", or the primitive's name.
  public var name: String
  /// The indicator matches; the primitive is violated. nil: it could not be decided, and `text` says why.
  public var isHeld: Bool?
  /// For people: which spans, or what was wrong. Ids and names only.
  public var text: String
}

extension RuleEngine {
  /// Empty for rules of other methods, for disabled ones, and for a trace rule on an event without a trace.
  public func explainMethod(rule: Int, event: borrowing Event) -> [MethodReport] {
    guard compiled.ruleSet.rules.indices.contains(rule), compiled.rules[rule].kind == .method else { return [] }
    switch compiled.ruleSet.rules[rule].detection {
    case .signature(let detection): return reports(detection, event)
    case .trace(let detection): return reports(detection, event)
    case .pattern, .behavioral, .correlation, .skipped: return []
    }
  }

  private func reports(_ detection: SignatureDetection, _ event: borrowing Event) -> [MethodReport] {
    var out: [MethodReport] = []
    for indicator in detection.indicators {
      var alone = SignatureMatcher()
      alone.add(SignatureDetection(indicators: [indicator], matchLogic: .any), rule: 0)
      let isPresent = FieldText.with(indicator.target, event) { _ in true } ?? false
      let isHeld = !alone.matches(event).isEmpty
      let text = isHeld ? "matches" : isPresent ? "is another" : "the event does not have this field"
      out.append(MethodReport(name: "\(indicator.type.rawValue) in \(indicator.target)", isHeld: isHeld, text: text))
    }
    return out
  }

  private func reports(_ detection: TraceDetection, _ event: borrowing Event) -> [MethodReport] {
    guard let read = TraceSource.traces(event) else { return [] }
    let failure = read.error.map { MethodReport(name: "trace", isHeld: nil, text: $0.message) }
    if let failure, read.traces.isEmpty { return [failure] }
    let memory = RegexMemory()
    let reports = detection.primitives.map { primitive in
      var alone = detection
      alone.primitives = [primitive]
      alone.expression = .condition(0)
      guard let evaluator = try? TraceEvaluator(alone) else {
        return MethodReport(name: primitive.name, isHeld: nil, text: "a pattern does not compile")
      }
      let result = evaluator.evaluate(read.traces, memory)
      switch result.truth {
      case .yes:
        let spans = result.findings.map { finding in finding.other.map { "\(finding.span) (after \($0))" } ?? finding.span }
        let more = result.total > spans.count ? " and \(result.total - spans.count) more" : ""
        return MethodReport(name: primitive.name, isHeld: true, text: "violated by span " + spans.joined(separator: ", ") + more)
      case .no: return MethodReport(name: primitive.name, isHeld: false, text: "not violated")
      case .unknown: return MethodReport(name: primitive.name, isHeld: nil, text: "a limit was hit while a pattern was matched")
      }
    }
    return failure.map { [$0] + reports } ?? reports
  }
}
