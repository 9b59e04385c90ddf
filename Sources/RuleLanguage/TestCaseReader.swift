// Embedded tests -> TestCase. A host rule's `input` is raw log lines; an agent rule's tests name fields of one event, and its
// `input` stands for the fields that ATR's own test harness fills from it (`inputFields`).
// Every case is read or reported: none is passed over. docs/atr-conformance-format.md says which key becomes which field, and why.
import Primitives
import TypedYAML

struct TestCaseReader {
  let problems: Problems
  let agentSource: String
  /// Directory of the rule file, with a trailing "/"; empty for the working directory.
  let directory: String
  /// `detection.method: trace`: an `input` is then the trace.
  var readsTraces = false
  /// Fields that the rule's conditions read. A case that fills none of them would prove nothing: its text is then put there.
  var conditionFields: [String] = []
  private var isHostRule: Bool { agentSource.isEmpty || Vocabulary.hostSources.contains(agentSource) }

  /// Fields that one `input` text of an agent rule fills, for its kind of source. `agent_message` has no table entry of its own.
  private var inputFields: [String] {
    if agentSource == "agent_trace" { return ["trace"] }
    return agentSource == "mcp_exchange"
      ? ["user_input", "tool_args", "tool_response", "content", "agent_message"] : ["user_input", "tool_args", "content", "agent_message"]
  }

  func read(_ document: Section, _ detection: Section?) -> [TestCase] {
    var tests: [TestCase] = []
    for holder in [document, detection].compactMap({ $0 }) {
      if let section = holder.section("test_cases") {
        section.refuseUnknownKeys(Vocabulary.testGroups, as: .warning)
        for group in TestCase.Group.allCases { read(section, group.rawValue, group, into: &tests) }
        readStreams(section, "true_positive_streams", .truePositive, into: &tests)
        readStreams(section, "true_negative_streams", .trueNegative, into: &tests)
      }
    }
    read(document, TestCase.Group.evasion.rawValue, .evasion, into: &tests)
    return tests
  }

  private func read(_ section: Section, _ key: String, _ group: TestCase.Group, into tests: inout [TestCase]) {
    guard let items = section.list(key) else { return }
    for (i, item) in items.enumerated() {
      if let text = item.text {
        let input = isHostRule ? TestCase.Input.lines(text) : event([("input", item)])
        var test = TestCase(group: group, input: input, expectsMatch: group != .trueNegative, description: "", location: item.location)
        test.path = "\(section.qualified(key))[\(i + 1)]"
        tests.append(test)
        continue
      }
      guard let section = Section(item, path: "\(section.qualified(key))[\(i + 1)]", problems: problems) else { continue }
      if let test = read(section, group) { tests.append(test) }
    }
  }

  private func readStreams(_ section: Section, _ key: String, _ group: TestCase.Group, into tests: inout [TestCase]) {
    guard let items = section.list(key) else { return }
    for (i, item) in items.enumerated() {
      if let name = item.text {
        guard let path = streamPath(name, item.location) else { continue }
        var test = TestCase(group: group, input: .stream(path), expectsMatch: group == .truePositive, description: name, location: item.location)
        test.path = "\(section.qualified(key))[\(i + 1)]"
        tests.append(test)
        continue
      }
      guard let stream = Section(item, path: "\(section.qualified(key))[\(i + 1)]", problems: problems) else { continue }
      if let test = read(stream, group) { tests.append(test) }
    }
  }

  private func read(_ section: Section, _ group: TestCase.Group) -> TestCase? {
    let fields = section.entries.filter { !Vocabulary.testKeys.contains($0.key) }
    if isHostRule {
      section.refuseUnknownKeys(Vocabulary.testKeys)
    }
    let expected = expectation(section, group)
    let count = section.integer("repeat", in: 1...Int64(Limits.testRepetitions)) ?? 1
    let every = section.duration("every") ?? .seconds(1)
    let format = section.word("format", of: Vocabulary.testFormats) ?? "auto"
    let given = ["input", "event", "stream", "file"].filter(section.has)
    guard given.count <= 1 else {
      problems.error(section.location, "'\(section.path)' has both '\(given[0])' and '\(given[1])'")
      return nil
    }
    let input: TestCase.Input?
    switch given.first {
    case "stream", "file":
      let key = given[0]
      input = section.text(key, isRequired: true).flatMap { streamPath($0, section.location(of: key)) }.map { .stream($0) }
    case "event":
      input = section.section("event", isRequired: true).map { event($0.entries.map { ($0.key, $0.value) }) }
    case "input":
      if isHostRule, let mapping = section.node("input")?.entries {
        input = event(mapping.map { ($0.key, $0.value) })
      } else if isHostRule {
        input = section.text("input", isRequired: true).map { .lines($0) }
      } else {
        // An empty or absent text is a test too: nothing must be found in nothing.
        var pairs = section.entries.filter { $0.key == "input" }.map { ($0.key, $0.value) } + fields.map { ($0.key, $0.value) }
        // The field that the author says is looked at has the text too, if nothing else stands there.
        if let name = section.node("detection_field")?.text, let node = section.node("input"), node.text != nil { pairs.append((name, node)) }
        input = event(pairs)
      }
    default:
      if isHostRule || fields.isEmpty {
        problems.error(section.location, "'\(section.path)' has no input", hint: "write input, event or stream")
        return nil
      }
      input = event(fields.map { ($0.key, $0.value) })
    }
    guard let input else { return nil }
    let description = ["description", "reason", "bypass_technique", "notes"].lazy.compactMap { section.node($0)?.text }.first ?? ""
    var test = TestCase(
      group: group, input: input, count: Int(count), every: every, format: format, expectsMatch: expected, description: description,
      location: section.location)
    test.path = section.path
    test.matchedCondition = section.node("matched_condition")?.text
    return test
  }

  private func expectation(_ section: Section, _ group: TestCase.Group) -> Bool {
    let byGroup = group != .trueNegative
    let word = section.word("expected", of: ["triggered", "not_triggered", "trigger", "no_trigger", "match", "no_match"])
    let expected = word.map { $0 == "triggered" || $0 == "trigger" || $0 == "match" } ?? byGroup
    if expected != byGroup, group != .evasion {
      problems.warning(section.location(of: "expected"), "'\(section.qualified("expected"))' contradicts '\(group.rawValue)'")
    }
    return expected
  }

  /// Streams lie beside their rule: a rule from elsewhere must not name other files of the host.
  private func streamPath(_ name: String, _ location: SourceLocation) -> String? {
    let parts = name.utf8.split(separator: 0x2f, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    guard !name.isEmpty, !name.utf8.contains(0), !parts.contains(".."), !parts.contains("") else {
      problems.error(location, "stream '\(shown(name))' is not a file beside the rule", hint: "write a relative path without '..'")
      return nil
    }
    return directory + name
  }

  /// One JSON object. For an agent rule `input` and `tool_call` are spread over the fields that they stand for.
  private func event(_ pairs: [(String, Node)]) -> TestCase.Input {
    var values: [(name: String, node: Node)] = []
    func set(_ name: String, _ node: Node) {
      if !values.contains(where: { $0.name == name }) { values.append((name, node)) }
    }
    let isSpread = !isHostRule
    for (name, node) in pairs where !(isSpread && (name == "input" || name == "tool_call")) { set(name, node) }
    if isSpread {
      // `user_input` alone is an input under another name.
      let isAlias = !pairs.contains { $0.0 == "input" || $0.0 == "tool_args" }
      for (name, node) in pairs where isAlias && name == "user_input" && node.text != nil { for field in inputFields { set(field, node) } }
      for (name, node) in pairs where name == "tool_call" {
        if let value = node["name"] { set("tool_name", value) }
        if let value = node["args"] { set("tool_args", value) }
      }
      for (name, node) in pairs where name == "input" {
        // The input is the trace, unless it is an event that carries one.
        if readsTraces, node["trace"] == nil { set("trace", node) }
        if let entries = node.entries {
          for entry in entries { set(entry.key == "response" ? "tool_response" : entry.key, entry.value) }
        } else {
          for field in inputFields { set(field, node) }
        }
      }
      if !conditionFields.isEmpty, !conditionFields.contains(where: { field in values.contains { $0.name == field } }),
        let input = pairs.first(where: { $0.0 == "input" && $0.1.text != nil })
      {
        for field in conditionFields where Vocabulary.agentFields.contains(field) { set(field, input.1) }
      }
      // A single other text is the content.
      if let text = values.first(where: { ["user_input", "tool_args", "tool_description", "tool_response", "agent_output"].contains($0.name) }) {
        set("content", text.node)
      }
    }
    var json = JSONWriter()
    json.beginObject()
    for (name, node) in values {
      json.key(text: name)
      node.write(to: &json)
    }
    json.endObject()
    return .event(String(decoding: json.out, as: UTF8.self))
  }
}
