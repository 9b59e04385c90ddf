// An explanation as one JSON object, for programs: everything, nothing cut. Places are bytes of the field's value, or of
// `form_value` where there is one.
import Primitives
import RuleEngine
import RuleLanguage

public enum RuleExplanationJSON {
  public static func encode(_ e: RuleExplanation) -> [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    json.key("rule_id")
    json.value(e.rule.id)
    json.key("title")
    json.value(e.rule.title)
    json.key("matches")
    json.value(e.isMatch)
    if let refusal = e.refusal {
      json.key("not_run")
      json.value(refusal)
    }
    json.key("events")
    json.beginArray()
    for event in e.events { write(event, of: e.rule, &json) }
    json.endArray()
    if case .behavioral(let b) = e.rule.detection {
      json.key("groups")
      json.beginArray()
      for group in e.groups { write(group, b, &json) }
      json.endArray()
    }
    if case .correlation = e.rule.detection {
      json.key("sources")
      json.beginArray()
      for source in e.sources { write(source, &json) }
      json.endArray()
    }
    json.key("unread_lines")
    json.value(e.unread)
    json.endObject()
    return json.out
  }

  private static func write(_ event: ExplainedEvent, of rule: Rule, _ json: inout JSONWriter) {
    json.beginObject()
    json.key("line")
    json.value(event.line)
    json.key("matches")
    json.value(event.isMatch)
    switch event.counted {
    case .yes(let group, let value)?:
      json.key("counted")
      json.beginObject()
      texts("group", group, &json)
      json.key("value")
      json.value(value)
      json.endObject()
    case .no(let reason)?:
      json.key("not_counted")
      json.value(reason)
    case nil: break
    }
    json.key("conditions")
    json.beginArray()
    for condition in event.conditions { write(condition, &json) }
    json.endArray()
    if !event.methods.isEmpty {
      json.key("methods")
      json.beginArray()
      for method in event.methods { write(method, &json) }
      json.endArray()
    }
    if !rule.selectors.isEmpty {
      texts("selectors", rule.selectorNames(of: event.conditions.filter { $0.report.isHeld == true }.map(\.report.index)), &json)
    }
    json.endObject()
  }

  private static func write(_ method: MethodReport, _ json: inout JSONWriter) {
    json.beginObject()
    json.key("name")
    json.value(method.name)
    json.key("holds")
    if let holds = method.isHeld { json.value(holds) } else { json.null() }
    json.key("text")
    json.value(method.text)
    json.endObject()
  }
  private static func write(_ c: ExplainedCondition, _ json: inout JSONWriter) {
    json.beginObject()
    json.key("name")
    json.value(c.report.name)
    json.key("field")
    json.value("\(c.report.field)")
    json.key("value")
    if let value = c.report.value { json.value(value) } else { json.null() }
    json.key("holds")
    if let holds = c.report.isHeld { json.value(holds) } else { json.null() }
    if let wanted = c.condition.language, let found = c.report.textLanguage {
      json.key("language")
      json.beginObject()
      json.key("wanted")
      json.value(wanted)
      json.key("text")
      json.value(found)
      json.endObject()
    }
    if let matched = c.report.matched {
      json.key("matched")
      json.value(matched)
    }
    if let text = c.report.formText {
      json.key("form")
      json.value(c.report.form.rawValue)
      json.key("form_value")
      json.value(text)
    }
    if let span = c.report.span { write("span", span, &json) }
    if let miss = c.nearMiss {
      json.key("longest_prefix")
      json.beginObject()
      json.key("of")
      json.value(miss.alternative)
      json.key("prefix")
      json.value(miss.prefix)
      json.key("reached")
      json.value(miss.reached)
      json.key("rest")
      json.value(miss.rest)
      write("span", miss.span, &json)
      json.endObject()
    }
    json.endObject()
  }
  private static func write(_ key: StaticString, _ span: Range<Int>, _ json: inout JSONWriter) {
    json.key(key)
    json.beginArray()
    json.value(span.lowerBound)
    json.value(span.upperBound)
    json.endArray()
  }
  private static func texts(_ key: StaticString, _ texts: [String], _ json: inout JSONWriter) {
    json.key(key)
    json.beginArray()
    for text in texts { json.value(text) }
    json.endArray()
  }

  private static func write(_ group: ExplainedGroup, _ b: BehavioralDetection, _ json: inout JSONWriter) {
    json.beginObject()
    texts("group", group.values, &json)
    json.key("counted")
    json.value(group.counted)
    json.key("highest")
    json.value(group.highest)
    json.key("threshold")
    json.value(b.bound)
    json.key("line")
    json.value(group.line)
    json.endObject()
  }
  private static func write(_ source: ExplainedSource, _ json: inout JSONWriter) {
    json.beginObject()
    json.key("alias")
    json.value(source.alias)
    json.key("rule_id_pattern")
    json.value(source.pattern)
    json.key("matches")
    json.beginArray()
    for match in source.matches {
      json.beginObject()
      json.key("line")
      json.value(match.line)
      json.key("rule_id")
      json.value(match.rule)
      texts("join", match.keys, &json)
      json.endObject()
    }
    json.endArray()
    json.endObject()
  }
}
