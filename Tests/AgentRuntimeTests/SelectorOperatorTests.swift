// The operators of SPEC.md 6.3 and of the list form, evaluated by the real engine on text, its edges included.
import AgentRuntime
import Primitives
import RuleLanguage
import Testing

@Suite struct SelectorOperatorTests {
  private func fires(_ detection: String, _ content: String?) throws -> Bool {
    let rule = """
      title: A rule
      id: ATR-2026-00001
      severity: low
      agent_source: {type: llm_io}
      detection:
      \(detection.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n"))
      """
    let set = RuleLoader.load(document: rule, file: "r.yaml")
    #expect(set.refusedCount == 0, "\(set.diagnostics)")
    var evaluator = RuleEvaluator(set)
    var json = JSONWriter()
    json.beginObject()
    json.key("event")
    json.beginObject()
    if let content {
      json.key("content")
      json.value(content)
    } else {
      json.key("tool_name")
      json.value("x")
    }
    json.endObject()
    json.endObject()
    let line = try json.out.withUnsafeBytes { try evaluator.evaluate(line: $0) }
    return String(decoding: line, as: UTF8.self).contains("ATR-2026-00001")
  }

  static let operators: [(test: String, fires: [String], silent: [String])] = [
    ("contains: Key", ["a Key b", "Key"], ["key", "KEY", "ke y", ""]),
    ("contains_i: Key", ["a Key b", "KEY", "monkey"], ["ke y", ""]),
    ("regex: 'k.y$'", ["a\nkay", "key"], ["keys", "KAY"]), ("regex: '(?i)k.y$'", ["a\nKAY", "key"], ["keys"]),
    ("equals: Key", ["Key"], ["key", "Key ", "aKey", ""]),
    ("startswith: Key", ["Key", "Keys"], ["key", " Key", "Ke"]),
    ("endswith: Key", ["Key", "a Key"], ["key", "Key ", "Key\n", "Ke"]),
    (#"endswith: 'a.b\c'"#, [#"x a.b\c"#], [#"aXb\c"#, #"a.b\c."#]),
    ("length_gt: 3", ["abcd", "a\nb\nc"], ["abc", "", "a\n\n"]),
    ("length_lt: 3", ["ab", "a", "\n\n"], ["abc", "ab\n"]),
    ("in: [Key, Door]", ["Key", "Door"], ["key", "KeyDoor", ""]),
    ("{operator: in, value: [Key]}", ["Key"], ["Door"]),
  ]
  @Test(arguments: operators) func selector(_ test: String, _ fires: [String], _ silent: [String]) throws {
    let written = test.hasPrefix("{") ? test : "{\(test)}"
    for text in fires { #expect(try self.fires("selectors: {s: {content: \(written)}}\ncondition: s", text), "\(test) on '\(text)'") }
    for text in silent { #expect(try !self.fires("selectors: {s: {content: \(written)}}\ncondition: s", text), "\(test) on '\(text)'") }
    // A field that is not there holds nothing, whatever is asked of it.
    #expect(try !self.fires("selectors: {s: {content: \(written)}}\ncondition: s", nil))
    #expect(try self.fires("selectors: {s: {content: \(written)}}\ncondition: not s", nil))
  }
  /// SPEC.md 7: `matched_selectors` are the author's names. A selector of several tests is named where all of them hold.
  @Test(arguments: [
    ("b or c", #"{"content":"evil","tool_args":"rm x"}"#, #"["b"]"#), ("b or c", #"{"content":"evil key","tool_args":"rm x"}"#, #"["b","c"]"#),
    ("b or c", #"{"content":"evil key","tool_args":"ls"}"#, #"["c"]"#), ("c and not b", #"{"content":"key"}"#, #"["c"]"#),
    ("d", #"{"content":"long evil text","tool_args":"rm"}"#, #"["b","d"]"#),
  ]) func namesOfWhatMatched(_ condition: String, _ event: String, _ names: String) throws {
    let rule = """
      title: A rule
      id: ATR-2026-00001
      severity: low
      agent_source: {type: tool_call}
      detection:
        selectors:
          b: {content: {contains: evil}, tool_args: {contains: rm}}
          c: {content: {contains: key}}
          d: {content: {contains: long, length_gt: 3}}
        condition: \(condition)
      """
    let set = RuleLoader.load(document: rule, file: "r.yaml")
    #expect(set.refusedCount == 0, "\(set.diagnostics)")
    var evaluator = RuleEvaluator(set)
    let line = try Array(#"{"event":{"fields":\#(event)}}"#.utf8).withUnsafeBytes { try evaluator.evaluate(line: $0) }
    #expect(String(decoding: line, as: UTF8.self).contains(#""matched":\#(names)"#), "\(String(decoding: line, as: UTF8.self))")
    // The names come back from the cache of checked rules.
    let coded = try CompactCoding.encode(set)
    #expect(try coded.withUnsafeBytes { try CompactCoding.decode(RuleSet.self, from: $0) }.rules.map(\.selectors) == set.rules.map(\.selectors))
  }
  @Test func longTexts() throws {
    let selector = "selectors: {s: {content: {length_gt: 65000, length_lt: 65003}}}\ncondition: s"
    for (count, fires) in [(65_000, false), (65_001, true), (65_002, true), (65_003, false)] {
      #expect(try self.fires(selector, String(repeating: "x", count: count)) == fires, "\(count)")
    }
  }
  @Test(arguments: [
    ("equals", "Key", ["Key"], ["key"]), ("exact", "Key", ["Key"], ["key"]), ("matches", "k.y", ["a KEY"], ["ky"]),
    ("contains", "key", ["a KEY"], ["ky"]),
    ("contains_i", "key", ["a KEY"], ["ky"]), ("starts_with", "key", ["KEYS"], ["a key"]), ("startswith", "key", ["KEYS"], ["a key"]),
    ("endswith", "key", ["a KEY"], ["keys"]), ("in", "[a, b]", ["a", "b"], ["c", "A"]), ("length_gt", "2", ["abc"], ["ab"]),
  ]) func listForm(_ word: String, _ value: String, _ fires: [String], _ silent: [String]) throws {
    let detection = "conditions: [{field: content, operator: \(word), value: \(value)}]\ncondition: any"
    for text in fires { #expect(try self.fires(detection, text), "\(word) on '\(text)'") }
    for text in silent { #expect(try !self.fires(detection, text), "\(word) on '\(text)'") }
  }
  @Test(arguments: ["draft", "deprecated"]) func draftsAreSilentUnlessAsked(_ status: String) throws {
    let rule =
      "title: T\nid: ATR-2026-00001\nseverity: low\nstatus: \(status)\nagent_source: {type: llm_io}\n"
      + "detection: {conditions: [{field: content, operator: contains, value: x}], condition: any}\n"
    var set = RuleLoader.load(document: rule, file: "r.yaml")
    for includesInactive in [false, true] {
      set.activate(lane: .hunt, includesInactive: includesInactive)
      var evaluator = RuleEvaluator(set)
      let line = try Array(#"{"event":{"content":"x"}}"#.utf8).withUnsafeBytes { try evaluator.evaluate(line: $0) }
      #expect(String(decoding: line, as: UTF8.self).contains("ATR-2026-00001") == includesInactive)
    }
  }
}
