// `panguard rules eval --format match`: one line for each match, with every field that SPEC.md section 7 demands.
// What must stay true: ids and names of rules only, never text of the event, but for the identifier that the caller gave it.
import Events
import Primitives
import RuleEngine
import RuleLanguage

extension RuleEvaluator {
  /// One line `{"id":..,"event":{..}}` in; a line for each match out, and a last one where a rule could not be decided (`errors`), state was lost
  /// (`events`), or the event did not fit (`truncated`). No line
  /// where there is nothing to say. Throws JSONError where the line is not of that form.
  /// - Parameters:
  ///   - corpusVersion: see `LoadedRules.corpusVersion`.
  ///   - readTime: `matched_at` of matches while no event has said its time.
  public mutating func matches(line: Bytes, number: UInt64? = nil, corpusVersion: String, readTime: EventTime) throws -> [[UInt8]] {
    let id = try evaluateEvent(line, number)
    let input = RuleEvaluator.identifier(id, line: lineNumber)
    var lines: [[UInt8]] = []
    for match in matches {
      let rule = ruleSet.rules[match.rule]
      var json = JSONWriter()
      json.beginObject()
      json.key("rule_id")
      json.value(rule.id)
      json.key("corpus_version")
      json.value(corpusVersion)
      json.key("input_identifier")
      json.raw(input)
      json.key("matched_at")
      json.value(event.time == .zero ? readTime : event.time)
      json.key("severity")
      json.value(rule.severity.rawValue)
      json.key("category")
      json.value(rule.category)
      json.key("matched_selectors")
      json.beginArray()
      for name in match.selectors(of: rule) { json.value(name) }
      json.endArray()
      appendDetails(match, to: &json)
      json.endObject()
      lines.append(json.out)
    }
    var rest = JSONWriter()
    rest.beginObject()
    rest.key("input_identifier")
    rest.raw(input)
    let empty = rest.out.count
    writeErrors(to: &rest)
    appendEvictions(to: &rest)
    appendTruncation(to: &rest)
    if rest.out.count > empty {
      rest.endObject()
      lines.append(rest.out)
    }
    return lines
  }

  /// The caller's id as a JSON string; the line's number where there is none.
  private static func identifier(_ id: Bytes?, line: UInt64) -> [UInt8] {
    var json = JSONWriter()
    if let id, id.starts(with: "\"") { write(id: id, to: &json) } else { json.value(id?.string ?? "\(line)") }
    return json.out
  }
}
