// `detection.selectors` (SPEC.md 6.2, 6.3): named selectors, each a mapping from field path to operator and operand. A selector holds where
// all of its operators hold on all of its fields. An operator that the standard does not list is an error: taken as "no match" it would be an
// authoring mistake that nobody sees. All of them mind case but `contains_i`: `regex` is ECMAScript's, which does unless it says otherwise.
import Events
import Primitives
import TypedYAML

struct SelectorReader {
  let problems: Problems
  let conditions: ConditionReader

  struct Selectors {
    var conditions: [Condition] = []
    var names: [String] = []
    /// What each name stands for.
    var meanings: [Expression] = []
    /// Those that are more than one condition.
    var selectors: [NamedSelector] = []
  }

  /// Everything that is wrong has been reported.
  func read(_ section: Section) -> Selectors {
    var selectors = Selectors()
    if section.entries.isEmpty { problems.error(section.location, "'\(section.path)' is empty: the rule could never match") }
    for entry in section.entries {
      guard ConditionReader.isName(entry.key) else {
        problems.error(entry.keyLocation, "'\(shown(entry.key))' cannot name a selector", hint: ConditionReader.nameHint)
        continue
      }
      guard let selector = Section(entry.value, path: section.qualified(entry.key), problems: problems) else { continue }
      let first = selectors.conditions.count
      for field in selector.entries { read(field, of: selector, named: entry.key, into: &selectors.conditions) }
      let mine = selectors.conditions.indices[first...]
      if selector.entries.isEmpty { problems.error(selector.location, "'\(selector.path)' has no field: nothing could match") }
      if mine.count == 1 { selectors.conditions[first].name = entry.key }
      if mine.count > 1 { selectors.selectors.append(NamedSelector(name: entry.key, conditions: Array(mine))) }
      selectors.names.append(entry.key)
      selectors.meanings.append(mine.count == 1 ? .condition(first) : .all(mine.map { .condition($0) }))
    }
    return selectors
  }

  /// `field: {operator: operand, ...}`, or spelled out: `field: {operator: contains, value: operand}`.
  private func read(_ entry: Node.Entry, of selector: Section, named name: String, into list: inout [Condition]) {
    guard let field = conditions.field(entry.key, at: entry.keyLocation) else { return }
    guard let tests = Section(entry.value, path: selector.qualified(entry.key), problems: problems) else { return }
    if tests.has("operator") {
      tests.refuseUnknownKeys(["operator", "operand", "value", "description"])
      guard let word = tests.text("operator", isRequired: true) else { return }
      add(word, tests.location(of: "operator"), tests, tests.has("operand") ? "operand" : "value", field, "\(name) \(entry.key) \(word)", into: &list)
      return
    }
    if tests.entries.isEmpty { problems.error(tests.location, "'\(tests.path)' has no operator") }
    for test in tests.entries { add(test.key, test.keyLocation, tests, test.key, field, "\(name) \(entry.key) \(test.key)", into: &list) }
  }

  private func add(
    _ word: String, _ place: SourceLocation, _ section: Section, _ key: String, _ field: FieldReference, _ name: String,
    into list: inout [Condition]
  ) {
    guard Vocabulary.selectorOperators.contains(word) else {
      problems.error(
        place, "unknown operator '\(shown(word))' in '\(section.path)'", hint: problems.suggestion(for: word, in: Vocabulary.selectorOperators))
      return
    }
    guard let test = conditions.test(word, section, key, mindsCase: word != "contains_i", field) else { return }
    var condition = Condition(name: name, field: field, test: test, location: place)
    condition.operation = word
    list.append(condition)
  }
}

/// Tests that are written as regular expressions, in the spelling that Python, ECMAScript and PCRE2 read alike.
enum TestPattern {
  /// The end of the text, and not the place before its last newline.
  private static let end = #"$(?!\n)"#

  static func ending(with text: String) -> String { literal(text) + end }

  /// Texts with at least `low` and at most `high` characters.
  static func length(_ low: Int64, _ high: Int64?) -> String {
    // Exact counts only: a text that is too long must not be tried at every length below it.
    "^" + (high.map { "(?!\(repeated($0 + 1)))" } ?? "") + (low == 0 ? "" : repeated(low))
  }
  /// Repetitions above this are not allowed in PCRE2.
  private static let repetitions: Int64 = 60_000
  private static func repeated(_ count: Int64) -> String {
    (count / repetitions > 0 ? #"(?:[\s\S]{\#(repetitions)}){\#(count / repetitions)}"# : "") + #"[\s\S]{\#(count % repetitions)}"#
  }

  static func literal(_ text: String) -> String {
    var out: [UInt8] = []
    for byte in text.utf8 {
      if "\\.^$|?*+()[]{}".utf8.contains(byte) { out.append(0x5c) }
      out.append(byte)
    }
    return String(decoding: out, as: UTF8.self)
  }
}
