// The report of a conformance run in the suite's own form (conformance/v1.0/runner/report-schema.json), with `undecided`, `claim` and
// `capabilities` (which spec/atr-method-v1.1.md, section 9, wants with every claim) beside what the schema asks for. The numbers are by the letter of the suite: a fixture that the standard does not decide passes or fails there too.
import Primitives

extension ConformanceReport {
  /// One JSON object.
  public func json(engine: String) -> [UInt8] {
    var json = JSONWriter(reserving: 64 * 1024)
    func text(_ key: StaticString, _ value: String) {
      json.key(key)
      json.value(value)
    }
    func number(_ key: StaticString, _ value: Int) {
      json.key(key)
      json.value(value)
    }
    json.beginObject()
    text("suite_version", Self.suiteVersion)
    text("spec_version", Self.specVersion)
    text("engine", engine)
    text("rules", rules)
    text("level", level.rawValue)
    json.key("generated_at")
    json.value(generatedAt)
    json.key("totals")
    json.beginObject()
    number("total", results.count)
    number("passed", results.count { $0.passed })
    number("failed", results.count { !$0.passed && $0.observed != .harnessError })
    number("harness_errors", results.count { $0.observed == .harnessError })
    number("undecided", undecided.count)
    number("not_run", notRun)
    json.endObject()
    json.key("capabilities")
    json.beginArray()
    for capability in Capabilities.all { json.value(capability) }
    json.endArray()
    json.key("claim")
    write(claim, to: &json)
    if !profiles.isEmpty {
      json.key("profile_claims")
      json.beginArray()
      for claim in profileClaims { write(claim, to: &json) }
      json.endArray()
    }
    json.key("results")
    json.beginArray()
    for result in results { write(result, to: &json) }
    json.endArray()
    json.endObject()
    return json.out
  }

  private func write(_ claim: ConformanceClaim, to json: inout JSONWriter) {
    json.beginObject()
    json.key("met")
    if let isMet = claim.isMet { json.value(isMet) } else { json.null() }
    json.key("text")
    json.value(claim.text)
    json.endObject()
  }

  private func write(_ result: ConformanceResult, to json: inout JSONWriter) {
    func text(_ key: StaticString, _ value: String) {
      json.key(key)
      json.value(value)
    }
    json.beginObject()
    text("fixture", result.name)
    text("category", result.category.rawValue)
    if !result.ruleID.isEmpty { text("rule_id", result.ruleID) }
    text("expected", result.expected)
    text("observed", result.observed.rawValue)
    json.key("passed")
    json.value(result.passed)
    json.key("runtime_ms")
    json.value(max(0, result.milliseconds))
    if !result.failureReason.isEmpty { text("failure_reason", result.failureReason) }
    if let reason = result.undecided { text("undecided", reason) }
    if result.ruleNotRun != nil {
      json.key("rule_not_run")
      json.value(true)
    }
    json.endObject()
  }
}
