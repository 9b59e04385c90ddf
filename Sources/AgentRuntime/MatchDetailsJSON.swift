// What a match of `panguard rules eval` says beyond its rule and conditions: the method that was stood in for, indicators with their
// provenance, spans, baselines; and the rules that could not be evaluated. Ids and names only: traces and contents hold people's data.
import Primitives
import RuleEngine
import RuleLanguage

extension RuleEvaluator {
  static func write(_ details: MatchDetails, of rule: Rule, to json: inout JSONWriter) {
    if let method = rule.fallbackOf {
      json.key("method")
      json.value(method)
      json.key("via")
      json.value("fallback")
    }
    switch details {
    case .none: break
    case .indicators(let places): if case .signature(let signature) = rule.detection { write(places.map { signature.indicators[$0] }, to: &json) }
    case .spans(let findings, let total): if case .trace(let trace) = rule.detection { write(findings, total, trace, to: &json) }
    case .baseline(let reading): if case .behavioral(let behavior) = rule.detection { write(reading, behavior.digits, to: &json) }
    }
  }

  private static func write(_ indicators: [SignatureDetection.Indicator], to json: inout JSONWriter) {
    json.key("indicators")
    json.beginArray()
    for indicator in indicators {
      json.beginObject()
      json.key("type")
      json.value(indicator.type.rawValue)
      json.key("value")
      json.value(indicator.value)
      json.key("target_field")
      json.value(indicator.target.description)
      if let provenance = indicator.provenance {
        json.key("provenance")
        json.beginObject()
        json.key("first_observed")
        json.value(provenance.firstObserved)
        json.key("source")
        json.value(provenance.source)
        json.key("attribution")
        json.value(provenance.attribution)
        json.endObject()
      }
      json.endObject()
    }
    json.endArray()
  }

  private static func write(_ findings: [TraceFinding], _ total: Int, _ trace: TraceDetection, to json: inout JSONWriter) {
    json.key("violations")
    json.beginArray()
    for finding in findings {
      json.beginObject()
      json.key("primitive")
      json.value(trace.primitives[finding.primitive].name)
      json.key("span")
      json.value(finding.span)
      if let other = finding.other {
        json.key("other_span")
        json.value(other)
      }
      json.endObject()
    }
    json.endArray()
    json.key("violation_count")
    json.value(total)
  }

  private static func write(_ reading: BaselineReading, _ digits: Int, to json: inout JSONWriter) {
    func number(_ value: Int64, _ digits: Int) -> [UInt8] {
      var text: [UInt8] = []
      text.append(fixedPoint: value, digits: digits)
      return text
    }
    json.key("baseline")
    json.beginObject()
    json.key("value")
    json.raw(number(reading.baseline, digits))
    json.key("deviation")
    let isInfinite = reading.deviationThousandths == .max || reading.deviationThousandths == .min
    if isInfinite { json.value("infinite") } else { json.raw(number(reading.deviationThousandths, 3)) }
    json.key("samples")
    json.value(reading.samples)
    json.endObject()
  }

  /// `"errors"`: rules that could not be evaluated on this event (graceful_error), if there are any.
  mutating func writeErrors(to json: inout JSONWriter) {
    let errors = takeGracefulErrors()
    undecidedRules = errors.map(\.ruleID)
    guard !errors.isEmpty else { return }
    json.key("errors")
    json.beginArray()
    for error in errors {
      json.beginObject()
      json.key("rule_id")
      json.value(error.ruleID)
      json.key("outcome")
      json.value("graceful_error")
      json.key("message")
      json.value(error.message)
      json.endObject()
    }
    json.endArray()
    let dropped = takeDroppedErrors()
    if dropped > 0 {
      json.key("errors_dropped")
      json.value(dropped)
    }
  }
}
