// `detection.trace` (spec/atr-method-v1.1.md, section 8) -> TraceDetection. What the standard does not define (any_of, one_of, other
// placeholders, unknown predicates) is malformed, and malformed is an error here: an assertion that is misread says nothing.
import Primitives
import TypedYAML

struct TraceReader {
  private typealias Shape = TraceDetection.Shape
  let problems: Problems
  private static let predicates = ["in", "not_in", "equals", "not_equals", "regex", "exists"]
  private static let shapeKeys = ["span.kind", "attributes", "description"]

  /// nil where there were errors. `condition`: the text of `detection.condition`, nil for the default.
  func read(_ section: Section, condition: (text: String, location: SourceLocation)?) -> TraceDetection? {
    let errorsBefore = problems.errorCount
    section.refuseUnknownKeys(["ingest_format", "forbid", "require", "invariant", "description"])
    if !section.has("ingest_format") {
      problems.warning(section.location, "'\(section.qualified("ingest_format"))' is missing and read as openinference")
    }
    let format = section.has("ingest_format") ? section.choice("ingest_format", TraceDetection.IngestFormat.self) : .openinference
    let primitives = read(section, "forbid", forbid) + read(section, "require", require) + read(section, "invariant", invariant)
    guard problems.errorCount == errorsBefore else { return nil }
    if primitives.isEmpty { problems.error(section.location, "'\(section.path)' has no forbid, require or invariant: the rule could never match") }
    checkNames(primitives)
    for primitive in primitives where format == .openinference {
      guard case .invariant(_, .conversation) = primitive.assertion else { continue }
      problems.warning(
        primitive.location, "'across: conversation' is for ingest_format otel_gen_ai", hint: "OpenInference has 'session'")
    }
    guard problems.errorCount == errorsBefore, let format, let expression = expression(condition, primitives) else { return nil }
    return TraceDetection(ingestFormat: format, primitives: primitives, expression: expression)
  }

  // MARK: Primitives

  private func read(_ section: Section, _ key: String, _ body: (Section) -> TraceDetection.Assertion?) -> [TraceDetection.Primitive] {
    guard let items = section.list(key) else { return [] }
    return items.enumerated().compactMap { i, node in
      guard let item = Section(node, path: "\(section.qualified(key))[\(i + 1)]", problems: problems) else { return nil }
      let name = item.text("name") ?? "\(key)_\(i + 1)"
      guard let assertion = body(item) else { return nil }
      return TraceDetection.Primitive(name: name, assertion: assertion, description: item.text("description") ?? "", location: item.location)
    }
  }

  private func forbid(_ section: Section) -> TraceDetection.Assertion? {
    section.refuseUnknownKeys(["shape", "preceded_by", "within_trace", "description", "name"])
    checkWithin(section)
    guard let inner = section.section("shape", isRequired: true) else { return nil }
    // The standard's example has `preceded_by` inside the shape, its corpus beside it.
    inner.refuseUnknownKeys(Self.shapeKeys + ["preceded_by", "within_trace"])
    checkWithin(inner)
    let places = [section, inner].filter { $0.has("preceded_by") }
    if places.count > 1 { problems.error(inner.location(of: "preceded_by"), "'\(section.path)' has 'preceded_by' twice") }
    let shape = shape(inner)
    let before = places.first.map { predecessors($0, "preceded_by") }
    guard let shape, before == nil || before?.isEmpty == false else { return nil }
    return .forbid(shape, precededBy: before ?? [])
  }

  private func require(_ section: Section) -> TraceDetection.Assertion? {
    section.refuseUnknownKeys(["target_shape", "must_be_preceded_by", "within_trace", "description", "name"])
    checkWithin(section)
    guard let inner = section.section("target_shape", isRequired: true) else { return nil }
    inner.refuseUnknownKeys(Self.shapeKeys)
    let shape = shape(inner)
    let before = predecessors(section, "must_be_preceded_by")
    guard let shape, !before.isEmpty else { return nil }
    return .require(shape, precededBy: before)
  }

  private func invariant(_ section: Section) -> TraceDetection.Assertion? {
    section.refuseUnknownKeys(["attribute", "across", "description", "name"])
    let text = section.text("attribute", isRequired: true)
    let across = section.choice("across", TraceDetection.Domain.self, isRequired: true)
    guard let attribute = text, let across else { return nil }
    return path(attribute, section.location(of: "attribute")).map { .invariant(attribute: $0, across: across) }
  }

  /// One shape, or `one_of_shapes`. Empty: reported.
  private func predecessors(_ section: Section, _ key: String) -> [TraceDetection.Shape] {
    guard let inner = section.section(key, isRequired: true) else { return [] }
    checkWithin(inner)
    guard inner.has("one_of_shapes") else {
      inner.refuseUnknownKeys(Self.shapeKeys + ["within_trace"])
      return shape(inner).map { [$0] } ?? []
    }
    inner.refuseUnknownKeys(["one_of_shapes", "within_trace", "description"])
    guard let items = inner.list("one_of_shapes", isRequired: true) else { return [] }
    if items.isEmpty {
      problems.error(inner.location(of: "one_of_shapes"), "'\(inner.qualified("one_of_shapes"))' is empty: nothing could match")
    }
    let shapes = items.enumerated().compactMap { i, node -> Shape? in
      guard let item = Section(node, path: "\(inner.qualified("one_of_shapes"))[\(i + 1)]", problems: problems) else { return nil }
      item.refuseUnknownKeys(Self.shapeKeys)
      return shape(item)
    }
    return shapes.count == items.count ? shapes : []
  }

  private func checkWithin(_ section: Section) {
    if section.flag("within_trace") == false {
      problems.error(
        section.location(of: "within_trace"),
        "'\(section.qualified("within_trace"))' can only be true: a predecessor is a span of the same trace")
    }
  }

  // MARK: Shapes

  private func shape(_ section: Section) -> TraceDetection.Shape? {
    let errorsBefore = problems.errorCount
    let kind = section.text("span.kind")
    var tests: [TraceDetection.AttributeTest] = []
    if let attributes = section.section("attributes") {
      for entry in attributes.entries {
        guard let path = path(entry.key, entry.keyLocation) else { continue }
        let predicates = predicates(entry.value, attributes.qualified(entry.key))
        tests.append(TraceDetection.AttributeTest(path: path, predicates: predicates))
      }
    }
    if kind == nil, tests.isEmpty, problems.errorCount == errorsBefore {
      problems.error(section.location, "'\(section.path)' has neither span.kind nor attributes: every span would match")
    }
    return problems.errorCount == errorsBefore ? TraceDetection.Shape(kind: kind, attributes: tests) : nil
  }

  private func predicates(_ node: Node, _ name: String) -> [TraceDetection.Predicate] {
    switch node.content {
    case .scalar: return operand(node).map { [.equals($0)] } ?? []
    case .list:
      problems.error(node.location, "'\(name)' is a list", hint: "write {in: [...]}")
      return []
    case .mapping:
      guard let section = Section(node, path: name, problems: problems) else { return [] }
      section.refuseUnknownKeys(Self.predicates)
      if section.entries.isEmpty { problems.error(section.location, "'\(name)' has no predicate") }
      return section.entries.compactMap { predicate($0, section) }
    }
  }

  private func predicate(_ entry: Node.Entry, _ section: Section) -> TraceDetection.Predicate? {
    switch entry.key {
    case "equals": return operand(entry.value).map { .equals($0) }
    case "not_equals": return operand(entry.value).map { .notEquals($0) }
    case "in": return operands(entry, section).map { .isIn($0) }
    case "not_in": return operands(entry, section).map { .isNotIn($0) }
    case "exists": return section.flag("exists", isRequired: true).map { .exists($0) }
    case "regex":
      guard let text = section.text("regex", isRequired: true) else { return nil }
      return regex(text, entry.value.location)
    default: return nil
    }
  }

  private func operands(_ entry: Node.Entry, _ section: Section) -> [TraceDetection.Operand]? {
    guard let items = section.list(entry.key, isRequired: true) else { return nil }
    if items.isEmpty { problems.error(entry.value.location, "'\(section.qualified(entry.key))' is an empty list") }
    let operands = items.compactMap(operand)
    return operands.count == items.count ? operands : nil
  }

  /// Plain true, false, null and numbers are what they look like; quoted ones are texts.
  private func operand(_ node: Node) -> TraceDetection.Operand? {
    guard case .scalar(let scalar) = node.content else {
      problems.error(node.location, "a value of a predicate must be a text, a number, true or false, not \(node.kindName)")
      return nil
    }
    if scalar.isNull { return .literal(.null) }
    let text = scalar.text
    if text.contains("${") { return template(text, node.location) }
    if scalar.isPlain {
      if ["true", "True", "TRUE"].contains(text) { return .literal(.bool(true)) }
      if ["false", "False", "FALSE"].contains(text) { return .literal(.bool(false)) }
      if let number = canonicalNumber(text.utf8) { return .literal(.number(number)) }
    }
    return .literal(.text(text))
  }

  private func regex(_ text: String, _ location: SourceLocation) -> TraceDetection.Predicate? {
    do throws(PlaceholderError) {
      let parts = try Placeholder.parts(ofPattern: text)
      // Any text will do: whatever stands there is one item of the pattern.
      let sample = parts?.resolved(limit: .max) { _ in [TemplatePart].literal("x") } ?? text
      if let problem = RegexSyntax.problem(in: sample, caseSensitive: true) {
        problems.error(location, "bad regular expression: \(problem.message)")
        return nil
      }
      return parts.map { .regexTemplate($0) } ?? .regex(text)
    } catch {
      problems.error(location, error.message, hint: error.hint)
      return nil
    }
  }

  private func template(_ text: String, _ location: SourceLocation) -> TraceDetection.Operand? {
    do throws(PlaceholderError) {
      let parts = try Placeholder.parts(of: text)
      if parts.count == 1, case .attribute(let path) = parts[0] { return .attribute(path) }
      return .template(parts)
    } catch {
      problems.error(location, error.message, hint: error.hint)
      return nil
    }
  }

  private func path(_ text: String, _ location: SourceLocation) -> String? {
    guard Placeholder.isPath(text) else {
      problems.error(location, "'\(shown(text))' is not a path of an attribute", hint: "write at most 16 names with dots between them")
      return nil
    }
    return text
  }

  // MARK: Composition

  private func checkNames(_ primitives: [TraceDetection.Primitive]) {
    var seen: Set<String> = []
    for primitive in primitives where !seen.insert(primitive.name).inserted {
      problems.error(primitive.location, "two primitives have the name '\(shown(primitive.name))'")
    }
  }

  /// Over the primitives' names; `forbid`, `require` and `invariant` stand for any of their kind.
  private func expression(_ condition: (text: String, location: SourceLocation)?, _ primitives: [TraceDetection.Primitive]) -> Expression? {
    let names = primitives.map(\.name)
    var kinds: [String] = []
    for kind in primitives.map(\.assertion.kindName) where !kinds.contains(kind) && !names.contains(kind) { kinds.append(kind) }
    guard let condition else { return .any(names.indices.map { .condition($0) }) }
    // Words that speak of every primitive must not count the kinds as more of them.
    if let whole = try? ExpressionParser.parse(condition.text, names: names) { return whole }
    do {
      let read = try ExpressionParser.parse(condition.text, names: names + kinds)
      return expanded(read) { i in
        guard i >= names.count else { return .condition(i) }
        return .any(names.indices.filter { primitives[$0].assertion.kindName == kinds[i - names.count] }.map { .condition($0) })
      }
    } catch {
      problems.error(
        condition.location, "detection.condition: \(error.message) at byte \(error.offset)",
        hint: "primitives: \(names.prefix(12).map(shown).joined(separator: ", "))")
      return nil
    }
  }
  private func expanded(_ expression: Expression, _ leaf: (Int) -> Expression) -> Expression {
    switch expression {
    case .condition(let i): leaf(i)
    case .not(let inner): .not(expanded(inner, leaf))
    case .all(let parts): .all(parts.map { expanded($0, leaf) })
    case .any(let parts): .any(parts.map { expanded($0, leaf) })
    }
  }
}
