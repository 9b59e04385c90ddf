// The JSON Schemas: those in docs/schema are current, they take what the reader takes (all shipped rules, the community's rules where they
// are at hand, the reference configuration), and refuse what an author should see.
import AgentRuntime
import Glibc
import Primitives
import RuleLanguage
import Testing
import TypedYAML

@Suite struct EditorSchemaTests {
  private static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
  private static let documents = [
    ("rule", EditorSchema.rule), ("correlation", EditorSchema.correlation), ("profile", EditorSchema.profile),
    ("configuration", Configuration.schema),
  ]

  @Test func theShippedSchemasAreCurrent() throws {
    for (name, schema) in Self.documents {
      let path = "\(Self.root)/docs/schema/\(name).schema.json"
      guard case .success(let bytes) = readDocumentFile(path) else {
        Issue.record("\(path) is not there: `make schema` writes it")
        continue
      }
      #expect(String(decoding: bytes, as: UTF8.self) == schema.document, "\(path) is old: `make schema` writes it")
    }
  }

  private func files(_ path: String) -> [(file: String, bytes: [UInt8])] {
    RuleLoader.ruleFiles(below: [path]).files.compactMap { file in
      if case .success(let bytes) = readDocumentFile(file) { return (file, bytes) }
      return nil
    }
  }

  @Test func shippedRulesAreValid() throws {
    let validator = try Validator(EditorSchema.rule)
    let correlation = try Validator(EditorSchema.correlation)
    let profile = try Validator(EditorSchema.profile)
    var checked = 0
    for (file, bytes) in files("\(Self.root)/rules") {
      for root in bytes.withUnsafeBytes({ YAMLParser.parse($0, file: file).documents.map(\.root) }) {
        if root["profile"] != nil { #expect(profile.problems(root).isEmpty, "\(profile.problems(root))") }
        guard root["id"] != nil || root["correlation"] != nil else { continue }
        #expect(validator.problems(root).isEmpty, "\(validator.problems(root))")
        if root["correlation"] != nil { #expect(correlation.problems(root).isEmpty) }
        checked += 1
      }
    }
    #expect(checked > 100)
  }

  /// Rules of others have oddities: nearly all are valid, and what is not is something that the reader warns of too.
  @Test func communityRules() throws {
    let shared =
      getenv("PANGUARD_SHARED").map { String(cString: $0) } ?? Self.root.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/shared"
    let folder = "\(shared)/corpora/atr/rules-642"
    guard access(folder, R_OK) == 0 else {
      print("skipped: no \(folder)")
      return
    }
    let validator = try Validator(EditorSchema.rule)
    var (valid, silent): (Int, [String]) = (0, [])
    for (file, bytes) in files(folder) {
      let documents = bytes.withUnsafeBytes { YAMLParser.parse($0, file: file).documents }
      let problems = documents.flatMap { validator.problems($0.root) }
      if problems.isEmpty {
        valid += 1
      } else if bytes.withUnsafeBytes({ RuleLoader.load(document: $0, file: file) }).diagnostics.isEmpty {
        silent += problems
      }
    }
    print("community rules: \(valid) valid, \(silent.count) problems that the reader does not have")
    #expect(valid >= 500)
    #expect(silent.isEmpty, "\(silent.prefix(5))")
  }

  @Test(arguments: RuleTemplate.Method.allCases) func newRulesAreValid(_ method: RuleTemplate.Method) throws {
    var t = RuleTemplate()
    (t.method, t.id, t.title, t.category, t.author, t.date) = (method, "ATR-2026-99001", "t", "execution", "me", "2026/01/05")
    (t.field, t.pattern, t.sourceRules) = ("message", "x", ["ATR-2026-90001", "ATR-2026-90002"])
    #expect(try problems(t.yaml, Validator(EditorSchema.rule)).isEmpty)
  }

  private func problems(_ text: String, _ validator: Validator) -> [String] {
    var copy = text
    return copy.withUTF8 { YAMLParser.parse(Bytes($0), file: "t.yaml").documents.flatMap { validator.problems($0.root) } }
  }

  @Test func configurations() throws {
    let validator = try Validator(Configuration.schema)
    #expect(problems(Configuration.reference, validator).isEmpty)
    #expect(problems("sources: [{path: /var/log/auth.log, format: auto}, {journal: true}]\nallowlist: 192.0.2.1\n", validator).isEmpty)
    for wrong in [
      "incident_windo: 5m", "output: {text: loud}", "sources: [{pth: /x}]", "state_directory: relative", "policy: {claimed_may_block: maybe}",
      "warm_up_bytes: [1]", "rules: {directories: [x]}",
    ] { #expect(problems(wrong, validator).count >= 1, "\(wrong)") }
  }

  private static let head = "id: ATR-2026-99001\ntitle: t\nseverity: low\nagent_source: {type: host_log}\n"
  @Test(arguments: [
    "severity: loud\ntitle: t\nid: a\ndetection: {}", "title: t\nid: a\ndetection: {}", head + "detction: {}",
    head + "detection: {conditions: [{field: message, operator: rgx, value: x}]}", head + "detection: {conditions: [{operator: regex, value: x}]}",
    head + "detection: {method: behavioral, behavioral: {metric: n, aggregation: cout, window: 5m, operator: gte, threshold: 5}}",
    head + "detection: {method: behavioral, behavioral: {metric: n, aggregation: count, window: soon, operator: gte, threshold: 5}}",
    head + "detection: {}\npanguard: {famly: x}", head + "detection: {}\ntest_cases: {true_positve: []}",
    head + "detection: {}\ntest_cases: {true_positives: [{input: x, expected: maybe}]}",
    "correlation: {id: a, title: t}\nsource_rules: []\ncorrelation_logic: {type: temporal_sequence}",
    "correlation: {id: a, title: t}\nsource_rules: [{alias: a, rule_id: b}]\ncorrelation_logic: {type: temporal}",
  ]) func whatAnAuthorShouldSee(_ text: String) throws { #expect(try !problems(text, Validator(EditorSchema.rule)).isEmpty) }

  @Test func profiles() throws {
    let validator = try Validator(EditorSchema.profile)
    let good = """
      profile: {schema_version: "1.0", id: mine, title: Mine, version: "1.0.0", status: draft, conformance_bound: {spec_version_max: null}}
      inclusions:
        - rule_id: ATR-2026-00001
        - rule_id_pattern: "ATR-2026-005*"
        - tag_match: {severity: [critical, high], category: [prompt-injection]}
        - profile: atr-baseline-runtime@1.0.0
      exclusions: [{rule_status: draft}]
      """
    #expect(problems(good, validator).isEmpty, "\(problems(good, validator))")
    #expect(!problems("profile: {id: a, version: 1}\ninclusions: [{rule: x}]", validator).isEmpty)
    #expect(!problems("inclusions: []", validator).isEmpty)
  }
}

/// As much of draft 2020-12 as the schemas use; another keyword is an error, so that none is skipped silently. Both schema and instance are
/// YAML trees (JSON is YAML).
private struct Validator {
  struct Unknown: Error { var keyword: String }
  private let root: Node
  private static let known: Set<String> = [
    "$schema", "$defs", "$ref", "title", "description", "type", "enum", "required", "properties", "patternProperties", "additionalProperties",
    "propertyNames", "items", "minItems", "minLength", "maxLength", "minimum", "maximum", "pattern", "anyOf", "if", "then", "else",
  ]

  init(_ schema: SchemaValue) throws {
    var text = schema.document
    root = try #require(text.withUTF8 { YAMLParser.parse(Bytes($0), file: "schema.json").documents.first?.root })
    try Self.check(root)
  }
  private static func check(_ schema: Node) throws {
    for entry in schema.entries ?? [] {
      guard known.contains(entry.key) else { throw Unknown(keyword: entry.key) }
      switch entry.key {
      case "$defs", "properties", "patternProperties": for inner in entry.value.entries ?? [] { try check(inner.value) }
      case "anyOf": for inner in entry.value.list ?? [] { try check(inner) }
      case "items", "additionalProperties", "propertyNames", "if", "then", "else": try check(entry.value)
      default: break
      }
    }
  }

  func problems(_ instance: Node) -> [String] { problems(instance, root, "") }

  private func problems(_ value: Node, _ schema: Node, _ path: String) -> [String] {
    if let text = schema.text { return text == "true" ? [] : ["\(value.location): \(path) is not allowed"] }
    var out: [String] = []
    func fail(_ what: String) { out.append("\(value.location): \(path) \(what)") }
    if let name = schema["$ref"]?.text, let target = definition(name) { out += problems(value, target, path) }
    if let type = schema["type"] {
      let wanted = type.list?.compactMap(\.text) ?? [type.text ?? ""]
      let is_ = types(of: value)
      if !wanted.contains(where: is_.contains) { fail("is \(is_), not \(wanted)") }
    }
    if let words = schema["enum"]?.list, !words.contains(where: { $0.text == value.text }) { fail("is not one of the words") }
    if let text = value.text {
      if let pattern = schema["pattern"]?.text, let regex = try? Regex(pattern), text.firstMatch(of: regex) == nil {
        fail("does not match \(pattern)")
      }
      if let least = integer(schema, "minLength"), text.unicodeScalars.count < least { fail("is too short") }
      if let most = integer(schema, "maxLength"), text.unicodeScalars.count > most { fail("is too long") }
      if let number = Double(text), types(of: value).contains("number") {
        if let least = integer(schema, "minimum"), number < Double(least) { fail("is too small") }
        if let most = integer(schema, "maximum"), number > Double(most) { fail("is too large") }
      }
    }
    if let items = value.list {
      if let least = integer(schema, "minItems"), items.count < least { fail("has too few items") }
      if let each = schema["items"] { for (i, item) in items.enumerated() { out += problems(item, each, "\(path)[\(i + 1)]") } }
    }
    if let entries = value.entries { out += members(entries, value, schema, path) }
    if let choices = schema["anyOf"]?.list {
      let tried = choices.map { problems(value, $0, path) }
      if !tried.contains(where: \.isEmpty) { fail("fits none: \(tried.map { $0.first ?? "" })") }
    }
    if let test = schema["if"], let branch = schema[problems(value, test, path).isEmpty ? "then" : "else"] { out += problems(value, branch, path) }
    return out
  }

  private func members(_ entries: [Node.Entry], _ value: Node, _ schema: Node, _ path: String) -> [String] {
    var out: [String] = []
    for key in schema["required"]?.list ?? [] where value[key.text ?? ""] == nil { out.append("\(value.location): \(path) lacks \(key.text ?? "")") }
    for entry in entries {
      let here = "\(path).\(entry.key)"
      if let names = schema["propertyNames"] {
        out += problems(Node(.scalar(.init(text: entry.key, isPlain: false, isVerbatim: true)), entry.keyLocation), names, here)
      }
      let patterns = (schema["patternProperties"]?.entries ?? []).filter { pattern in
        (try? Regex(pattern.key)).map { entry.key.firstMatch(of: $0) != nil } ?? false
      }
      for pattern in patterns { out += problems(entry.value, pattern.value, here) }
      if let own = schema["properties"]?[entry.key] {
        out += problems(entry.value, own, here)
      } else if patterns.isEmpty, let others = schema["additionalProperties"] {
        out += problems(entry.value, others, here)
      }
    }
    return out
  }
  private func definition(_ reference: String) -> Node? { root["$defs"]?[String(reference.dropFirst("#/$defs/".count))] }
  private func integer(_ schema: Node, _ key: String) -> Int? { schema[key]?.text.flatMap { Int($0) } }

  /// The types that a YAML 1.2 reader (core schema) gives to a value.
  private func types(of value: Node) -> [String] {
    switch value.content {
    case .mapping: return ["object"]
    case .list: return ["array"]
    case .scalar(let scalar):
      if scalar.isNull { return ["null"] }
      guard scalar.isPlain else { return ["string"] }
      if scalar.text == "true" || scalar.text == "false" { return ["boolean"] }
      if Int(scalar.text) != nil { return ["integer", "number"] }
      return Double(scalar.text) != nil ? ["number"] : ["string"]
    }
  }
}
