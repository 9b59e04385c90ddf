// `behavioral.filter`: the predicates of spec/atr-method-v1.1.md, 8.3, on the fields of one event.
import Events
import Primitives
import RuleLanguage
import Testing

@testable import RuleEngine

private func document(_ filter: String, type: String = "llm_io") -> String {
  """
  schema_version: "1.0"
  id: ATR-2026-90002
  title: t
  severity: high
  agent_source: {type: \(type)}
  detection:
    method: behavioral
    behavioral: {metric: events, aggregation: count, window: PT1M, operator: gte, threshold: 1, filter: {\(filter)}}
  """
}
/// Whether an event of these fields is counted.
private func counts(_ filter: String, _ fields: [(String, String)], type: String = "llm_io") throws -> Bool {
  let set = RuleLoader.load(document: document(filter, type: type), file: "r.yaml")
  #expect(set.diagnostics.filter { $0.severity == .error }.map(\.description) == [])
  var engine = RuleEngine(set)
  var event = Event()
  fill(&event, fields)
  let isCounted = !engine.ids(event).isEmpty
  let isHeld = engine.explain(rule: 0, event: event).allSatisfy { $0.isHeld == true }
  #expect(isHeld == isCounted, "explain says another thing")
  return isCounted
}

@Suite struct FilterTests {
  @Test(
    arguments: [
      // Placeholders: another field of the same event.
      ("d: '${span.attributes.e}'", [("d", "x"), ("e", "x")], true), ("d: '${span.attributes.e}'", [("d", "x"), ("e", "y")], false),
      ("d: '${span.attributes.e}'", [("d", "x")], false), ("d: '${span.attributes.e}'", [("e", "x")], false),
      ("d: '${span.attributes.e}'", [], false),
      ("d: '${span.attributes.e}'", [("d", "${span.attributes.e}"), ("e", "y")], false),
      ("d: {not_equals: '${span.attributes.e}'}", [("d", "x"), ("e", "x")], false),
      ("d: {not_equals: '${span.attributes.e}'}", [("d", "x"), ("e", "y")], true),
      ("d: {in: [a, 'p-${span.attributes.user.name}']}", [("d", "p-root"), ("user.name", "root")], true),
      ("d: {in: [a, 'p-${span.attributes.user.name}']}", [("d", "p-"), ("user.name", "root")], false),
      ("d: {in: [a, 'p-${span.attributes.user.name}']}", [("d", "a")], true),
      ("d: {not_in: ['${span.attributes.e}']}", [("d", "x"), ("e", "x")], false),
      ("tool_name: '${span.attributes.allowed}'", [("tool_name", "send"), ("allowed", "send")], true),
      ("source.port: '${span.attributes.destination.port}'", [("source.port", "22"), ("destination.port", "22")], true),
      ("d: '${span.attributes.e}'", [("d", "1"), ("e", "1.0")], true), ("d: '${HOME}'", [("d", "${HOME}")], true),
      // Numbers are numbers, texts are texts.
      ("c: {equals: 1.0}", [("c", "1")], true), ("c: {equals: 1}", [("c", "1.0")], true), ("c: 1.50", [("c", "15e-1")], true),
      ("c: '1.0'", [("c", "1")], false), ("c: {equals: 1.0}", [("c", "1.0")], true), ("c: {in: [x, 2]}", [("c", "2.0")], true),
      ("c: {not_equals: 1.0}", [("c", "1")], false), ("c: {not_equals: 1.0}", [("c", "one")], true),
      // ECMAScript: case counts.
      ("c: {regex: 'Ab'}", [("c", "xAbx")], true), ("c: {regex: 'Ab'}", [("c", "xabx")], false), ("c: {regex: '(?i)Ab'}", [("c", "xabx")], true),
      ("c: {contains: 'Ab'}", [("c", "xabx")], true),
    ] as [(String, [(String, String)], Bool)])
  func filters(_ filter: String, _ fields: [(String, String)], _ expected: Bool) throws {
    let isCounted = try counts(filter, fields)
    #expect(isCounted == expected, "\(filter) on \(fields)")
  }

  /// Rules over host events are of our own profile, in which patterns ignore case.
  @Test func patternsOfHostRulesIgnoreCase() throws {
    let isCounted = try counts("url.path: {regex: 'Ab'}", [("url.path", "/ab")], type: "host_log")
    #expect(isCounted)
  }

  /// A placeholder that cannot be one, or cannot stand where it does, is never plain text: that would hold for nothing, or for everything.
  @Test(arguments: [
    "d: '${trace.spans[0].attributes.a}'", "d: {not_equals: '${span.id}'}", "d: {in: ['${span.attributes.}']}", "d: '${span.attributes.a'",
    "d: {regex: '^${span.attributes.a}'}", "d: {contains: '${span.attributes.a}'}", "d: {gt: '${span.attributes.a}'}",
  ])
  func wrongPlaceholders(_ filter: String) {
    let errors = RuleLoader.load(document: document(filter), file: "r.yaml").diagnostics.filter { $0.severity == .error }
    #expect(errors.count == 1, "\(errors)")
  }
}
