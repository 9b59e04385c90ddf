// Conditions in ATR's two shapes (a list of {field, operator, value}; a map of names to {field, patterns, match_type}) and the
// predicates of `behavioral.filter`. Case: as in the reference engine, everything is case-insensitive but the list form's `exact`;
// `case_sensitive` overrides it in both shapes. Filters: equality minds it, and `regex` does in rules that are not over host events.
import Events
import Primitives
import TypedYAML

final class ConditionReader {
  private let problems: Problems
  /// Rules over host events use a closed vocabulary of fields, so a near miss is worth a warning; and they are written for this
  /// engine, so a pattern that PCRE2 does not take is an error there. In other rules it is a reason to skip the rule.
  private let isHostRule: Bool
  /// Why the rule must be skipped, if a pattern of it cannot run here.
  private(set) var foreignReason: String?

  init(problems: Problems, isHostRule: Bool) {
    self.problems = problems
    self.isHostRule = isHostRule
  }

  enum Conditions {
    case read([Condition])
    /// Something that this engine does not run; the rule is listed and skipped.
    case unsupported(String)
  }

  func read(_ node: Node, path: String) -> Conditions {
    switch node.content {
    case .list(let items):
      if items.isEmpty { problems.error(node.location, "'\(path)' is empty: the rule could never match") }
      var conditions: [Condition] = []
      for (i, item) in items.enumerated() {
        guard let section = Section(item, path: "\(path)[\(i + 1)]", problems: problems) else { continue }
        if let reason = unsupported(section) { return .unsupported(reason) }
        section.refuseUnknownKeys(["field", "operator", "value", "description", "language", "case_sensitive"], as: .warning)
        if let condition = listItem(section, name: "\(i + 1)") { conditions.append(condition) }
      }
      return foreignReason.map { .unsupported($0) } ?? .read(conditions)
    case .mapping(let entries):
      if entries.isEmpty { problems.error(node.location, "'\(path)' is empty: the rule could never match") }
      var conditions: [Condition] = []
      for entry in entries {
        guard Self.isName(entry.key) else {
          problems.error(entry.keyLocation, "'\(shown(entry.key))' cannot name a condition", hint: Self.nameHint)
          continue
        }
        guard let section = Section(entry.value, path: "\(path).\(entry.key)", problems: problems) else { continue }
        if let reason = unsupported(section) { return .unsupported(reason) }
        let isListForm = section.has("operator") && !section.has("patterns")
        let known = ["field", "patterns", "match_type", "case_sensitive", "description", "language", "operator", "value"]
        section.refuseUnknownKeys(known, as: .warning)
        if let condition = isListForm ? listItem(section, name: entry.key) : namedItem(section, name: entry.key) {
          conditions.append(condition)
        }
      }
      return foreignReason.map { .unsupported($0) } ?? .read(conditions)
    case .scalar:
      problems.error(node.location, "'\(path)' must be a list or a mapping of conditions, not \(node.kindName)")
      return .read([])
    }
  }

  static let nameHint = "use at most 128 letters, digits, '_', '-' and '.'"
  static func isName(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 128 && !text.utf8.contains { $0 <= 0x20 || $0 == 0x7f }
  }

  private func unsupported(_ section: Section) -> String? {
    if let word = section.node("operator")?.text {
      if Vocabulary.foreignOperators.contains(word) { return "'\(section.path)' needs '\(word)', which this engine does not run" }
      if Comparison(rawValue: word) != nil, !isHostRule, let value = section.node("value")?.text, fixedPoint(value, digits: 0) == nil,
        fixedPoint(value, digits: 9) != nil
      {
        return "'\(section.path)' compares with \(shown(value)), and fields of this engine hold whole numbers"
      }
    }
    for (key, form) in Self.draftForms where section.has(key) {
      problems.warning(section.location, "'\(section.path)' is \(form.name), \(SkipWarning.ending)", hint: form.hint)
      return "'\(section.path)' at line \(section.location.line) is \(form.name); \(form.hint)"
    }
    return nil
  }
  /// Forms of conditions that the JSON schema of the rule format has and its text does not evaluate, by the key that tells them.
  private static let draftForms: [(key: String, form: (name: String, hint: String))] = [
    ("steps", ("a sequence of steps", "write a correlation document")), ("metric", ("a metric condition", "write detection.method: behavioral")),
  ]

  func field(_ section: Section) -> FieldReference? {
    guard let name = section.text("field", isRequired: true) else { return nil }
    return field(name, at: section.location(of: "field"))
  }
  func field(_ name: String, at location: SourceLocation) -> FieldReference? {
    guard !name.isEmpty, name.utf8.count <= 128, !name.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f }) else {
      problems.error(location, "'\(shown(name))' is not a field name")
      return nil
    }
    let reference = FieldReference(name: name)
    if isHostRule, case .extra = reference, !problems.isFull, let near = nearest(name, in: Field.allNames) {
      problems.warning(location, "field '\(shown(name))' is not in the field table", hint: "did you mean '\(near)'?")
    }
    return reference
  }

  private func listItem(_ section: Section, name: String) -> Condition? {
    let field = field(section)
    let isAlias = section.node("operator")?.text.map { Vocabulary.listAliases[$0] != nil } ?? false
    let word = isAlias ? section.text("operator") : section.word("operator", of: Vocabulary.operators, isRequired: true)
    let caseSensitive = section.flag("case_sensitive")
    guard let field, let word else { return nil }
    let test: Condition.Test?
    if let comparison = Comparison(rawValue: word) {
      test = section.integer("value", in: .min...(.max), isRequired: true).map { .compare(comparison, $0) }
    } else {
      let mindsCase = caseSensitive ?? ListOperator(word).mindsCase
      test = self.test(word, section, "value", mindsCase: mindsCase, field)
    }
    guard let test else { return nil }
    var condition = condition(name, field, test, section)
    if isAlias, Vocabulary.selectorOperators.contains(word) { condition.operation = word }
    return condition
  }
  private func condition(_ name: String, _ field: FieldReference, _ test: Condition.Test, _ section: Section) -> Condition {
    var condition = Condition(name: name, field: field, test: test, description: section.text("description") ?? "", location: section.location)
    // A language that is not in the standard's table is kept: its condition never holds.
    condition.language = section.word("language", of: Vocabulary.languages, as: .warning)
    return condition
  }

  /// A test by any of the standard's operator names; nil (reported) if it cannot be.
  func test(_ word: String, _ section: Section, _ key: String, mindsCase: Bool, _ field: FieldReference) -> Condition.Test? {
    switch word {
    case "length_gt", "length_lt":
      let isLower = word == "length_lt"
      guard let bound = section.integer(key, in: isLower ? 1...Self.lengthLimit : 0...Self.lengthLimit, isRequired: true) else { return nil }
      return .regex([isLower ? TestPattern.length(0, bound - 1) : TestPattern.length(bound + 1, nil)], caseSensitive: true)
    case "endswith":
      guard case .contains(let texts, _)? = text("contains", section, key, mindsCase, field) else { return nil }
      return .regex(texts.map(TestPattern.ending), caseSensitive: mindsCase)
    default: return text(Vocabulary.listAliases[word] ?? word, section, key, mindsCase, field)
    }
  }
  /// Characters: what still fits into one compiled pattern.
  private static let lengthLimit: Int64 = 1 << 20

  private func namedItem(_ section: Section, name: String) -> Condition? {
    let field = field(section)
    let caseSensitive = section.flag("case_sensitive") ?? false
    let word = section.has("match_type") ? section.word("match_type", of: Vocabulary.matchTypes) : "regex"
    guard let field, let word, let test = text(word, section, "patterns", caseSensitive, field) else { return nil }
    return condition(name, field, test, section)
  }

  /// A test of the texts at `key`; nil (reported) if one of them cannot be.
  private func text(_ word: String, _ section: Section, _ key: String, _ caseSensitive: Bool, _ field: FieldReference) -> Condition.Test? {
    let name = section.qualified(key)
    let nodes = section.textNodes(key, isRequired: true)
    if let list = section.node(key)?.list {
      if list.isEmpty { problems.error(section.location(of: key), "'\(name)' is an empty list: nothing could match") }
      guard nodes.count == list.count else { return nil }
    }
    guard let first = nodes.first else { return nil }
    var texts: [String] = []
    for node in nodes {
      guard let text = node.text else { continue }
      if text.isEmpty, word != "exact" {
        problems.error(node.location, "'\(name)' is empty: it would match every event")
        continue
      }
      if word == "regex" {
        guard let pattern = pattern(text, node, caseSensitive) else { continue }
        texts.append(pattern)
      } else if word == "exact" {
        guard let canonical = canonical(text, field, node.location) else { continue }
        texts.append(canonical)
      } else {
        texts.append(text)
      }
    }
    guard texts.count == nodes.count else { return nil }
    switch word {
    case "regex": return .regex(texts, caseSensitive: caseSensitive)
    case "contains": return .contains(texts, caseSensitive: caseSensitive)
    case "exact": return .exact(texts, caseSensitive: caseSensitive)
    case "starts_with": return .startsWith(texts, caseSensitive: caseSensitive)
    default:
      problems.error(first.location, "'\(name)' cannot be used with '\(word)'")
      return nil
    }
  }

  /// The pattern as it is written, if the engine can run it; else the place in the pattern is reported.
  private func pattern(_ text: String, _ node: Node, _ caseSensitive: Bool) -> String? {
    guard let problem = RegexSyntax.problem(in: text, caseSensitive: caseSensitive, isStrict: isHostRule) else { return text }
    if problem.isForeign, !isHostRule {
      if foreignReason == nil { foreignReason = "PCRE2 cannot take the pattern at line \(node.location.line): \(problem.message)" }
      problems.warning(node.location, "PCRE2 cannot take this pattern, \(SkipWarning.ending): \(problem.message)")
      return text
    }
    var location = node.location
    let offset = min(problem.offset, text.utf8.count)
    var place = " at byte \(offset) of the pattern"
    if case .scalar(let scalar) = node.content, scalar.isVerbatim {
      location.column += scalar.quoteWidth + offset
      place = ""
    }
    problems.error(location, "bad regular expression\(place): \(problem.message)")
    return nil
  }

  // MARK: Filters

  /// `filter: {field: value | list | {predicate: operand, ...}}`: all of them must hold.
  func filter(_ section: Section) -> [Condition] {
    var conditions: [Condition] = []
    for entry in section.entries {
      guard let field = field(entry.key, at: entry.keyLocation) else { continue }
      let name = section.qualified(entry.key)
      switch entry.value.content {
      case .scalar, .list:
        if let test = equality(entry.value, name, field) {
          var condition = Condition(name: entry.key, field: field, test: test, location: entry.keyLocation)
          condition.operands = operands(entry.value, test, field)
          conditions.append(condition)
        }
      case .mapping:
        guard let predicates = Section(entry.value, path: name, problems: problems) else { continue }
        predicates.refuseUnknownKeys(Vocabulary.predicates)
        if predicates.entries.isEmpty { problems.error(predicates.location, "'\(name)' has no predicate") }
        for predicate in predicates.entries where Vocabulary.predicates.contains(predicate.key) {
          guard let (test, isNegated) = self.predicate(predicate, predicates, field) else { continue }
          var condition = Condition(
            name: "\(entry.key) \(predicate.key)", field: field, test: test, isNegated: isNegated, location: predicate.keyLocation)
          condition.operands = operands(predicate.value, test, field)
          conditions.append(condition)
        }
      }
    }
    return conditions
  }

  /// Equal to the text, or to one of the texts. Values are compared as they are, in their case.
  private func equality(_ node: Node, _ name: String, _ field: FieldReference) -> Condition.Test? {
    let nodes = node.list ?? [node]
    if nodes.isEmpty {
      problems.error(node.location, "'\(name)' is an empty list: nothing could match")
      return nil
    }
    var texts: [String] = []
    for item in nodes {
      guard let text = item.text else {
        problems.error(item.location, "'\(name)' must be a text or a list of texts, not \(item.kindName)")
        return nil
      }
      guard !Placeholder.isMeant(text) else {
        do throws(PlaceholderError) { _ = try Placeholder.parts(of: text) } catch {
          problems.error(item.location, error.message, hint: error.hint)
          return nil
        }
        texts.append(text)
        continue
      }
      guard let canonical = canonical(text, field, item.location) else { return nil }
      texts.append(canonical)
    }
    return .exact(texts, caseSensitive: true)
  }

  /// nil: all are plain texts. Fields of the table have their values in one form only, so only others are compared as numbers.
  private func operands(_ node: Node, _ test: Condition.Test, _ field: FieldReference) -> [FilterOperand]? {
    guard case .exact(let texts, _) = test else { return nil }
    var isPlain = true
    let operands = zip(node.list ?? [node], texts).map { item, text -> FilterOperand in
      guard case .scalar(let scalar) = item.content else { return .text(text) }
      if Placeholder.isMeant(scalar.text), let parts = try? Placeholder.parts(of: scalar.text) {
        isPlain = false
        return .template(parts)
      }
      if case .extra = field, scalar.isPlain, let number = canonicalNumber(scalar.text.utf8) {
        isPlain = false
        return .number(number)
      }
      return .text(text)
    }
    return isPlain ? nil : operands
  }

  /// A value in the form in which events show it, so that `::FFFF:1.2.3.4` or `022` are not silently never equal.
  private func canonical(_ text: String, _ field: FieldReference, _ location: SourceLocation) -> String? {
    guard case .known(let known) = field else { return text }
    switch known.kind {
    case .text: return text
    case .integer:
      guard let value = fixedPoint(text, digits: 0) else {
        problems.error(location, "'\(shown(text))' is not an integer, but '\(field)' is")
        return nil
      }
      return "\(value)"
    case .address:
      guard let value = IPAddress(text) else {
        problems.error(location, "'\(shown(text))' is not an IP address, but '\(field)' is")
        return nil
      }
      return "\(value)"
    }
  }

  private func predicate(_ entry: Node.Entry, _ section: Section, _ field: FieldReference) -> (Condition.Test, isNegated: Bool)? {
    let name = section.qualified(entry.key)
    switch entry.key {
    case "in", "eq", "equals": return equality(entry.value, name, field).map { ($0, false) }
    case "not_in", "ne", "not_equals": return equality(entry.value, name, field).map { ($0, true) }
    case "gt", "gte", "lt", "lte":
      guard let comparison = Comparison(rawValue: entry.key), let value = section.integer(entry.key, in: .min...(.max), isRequired: true) else {
        return nil
      }
      return (.compare(comparison, value), false)
    case "exists": return section.flag(entry.key, isRequired: true).map { (.exists($0), false) }
    default:
      for node in entry.value.list ?? [entry.value] where node.text.map(Placeholder.isMeant) == true {
        problems.error(
          node.location, "'\(name)' cannot have a placeholder", hint: "in filters it can stand in equals, not_equals, in and not_in")
        return nil
      }
      // The standard's `regex` is ECMAScript's, which minds case. Our own profile ignores it, as in all its patterns.
      return text(entry.key, section, entry.key, entry.key == "regex" && !isHostRule, field).map { ($0, false) }
    }
  }
}
