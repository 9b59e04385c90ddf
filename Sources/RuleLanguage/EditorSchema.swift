// JSON Schema (draft 2020-12) of rules, correlations and profiles, for editors: made from the reader's own tables, so that what an editor
// offers is what the reader takes. It is a little narrower than the reader where that helps a person who types (the reader takes `Low` for
// `low`), and never refuses a document that the reader takes without a warning, but for keys that begin with `_` or `x-` below the top.
// docs/schema/ holds the output; a test says when it is old.
import Events
import Primitives

/// A JSON value with its keys in order.
public indirect enum SchemaValue: Sendable {
  case object([(String, SchemaValue)])
  case array([SchemaValue])
  case text(String)
  case integer(Int64)
  case flag(Bool)

  static func texts(_ texts: [String]) -> SchemaValue { .array(texts.map { .text($0) }) }

  /// Indented by two spaces, with a newline at the end.
  public var document: String {
    var out: [UInt8] = []
    write(indent: 0, to: &out)
    return String(decoding: out, as: UTF8.self) + "\n"
  }
  private func write(indent: Int, to out: inout [UInt8]) {
    func quoted(_ text: String) {
      var copy = text
      copy.withUTF8 { JSONWriter.appendQuoted(Bytes($0), to: &out) }
    }
    func items<Items: Collection>(_ items: Items, _ open: String, _ close: String, _ each: (Items.Element) -> Void) {
      out += Array(open.utf8)
      for (i, item) in items.enumerated() {
        out += Array((i == 0 ? "\n" : ",\n").utf8) + [UInt8](repeating: 0x20, count: indent + 2)
        each(item)
      }
      if !items.isEmpty { out += [0x0a] + [UInt8](repeating: 0x20, count: indent) }
      out += Array(close.utf8)
    }
    switch self {
    case .text(let text): quoted(text)
    case .integer(let value): out += Array("\(value)".utf8)
    case .flag(let value): out += Array("\(value)".utf8)
    case .array(let values): items(values, "[", "]") { $0.write(indent: indent + 2, to: &out) }
    case .object(let members):
      items(members, "{", "}") { member in
        quoted(member.0)
        out += [0x3a, 0x20]
        member.1.write(indent: indent + 2, to: &out)
      }
    }
  }
}

/// The vocabulary of JSON Schema, as far as it is used. Public for the schema of the configuration, which is made elsewhere.
public enum Schema {
  public static func object(
    _ properties: [(String, SchemaValue)], required: [String] = [], others: SchemaValue = .flag(false), ownKeys: Bool = false,
    description: String = ""
  ) -> SchemaValue {
    var members: [(String, SchemaValue)] = [("type", .text("object"))]
    if !description.isEmpty { members.append(("description", .text(description))) }
    if !required.isEmpty { members.append(("required", .texts(required))) }
    members.append(("properties", .object(properties)))
    if ownKeys { members.append(("patternProperties", .object([("^(_|x-)", .flag(true))]))) }
    members.append(("additionalProperties", others))
    return .object(members)
  }
  public static func ref(_ name: String) -> SchemaValue { .object([("$ref", .text("#/$defs/\(name)"))]) }
  public static func anyOf(_ schemas: SchemaValue...) -> SchemaValue { .object([("anyOf", .array(schemas))]) }
  public static func list(_ items: SchemaValue, least: Int64 = 0) -> SchemaValue {
    .object([("type", .text("array"))] + (least > 0 ? [("minItems", .integer(least))] : []) + [("items", items)])
  }
  public static func oneOf(_ words: [String], _ description: String = "") -> SchemaValue {
    .object([("enum", .texts(words))] + note(description))
  }
  /// Offered, but not demanded.
  public static func suggested(_ words: [String], else other: SchemaValue) -> SchemaValue { anyOf(.object([("enum", .texts(words))]), other) }
  public static func text(_ description: String = "") -> SchemaValue { .object([("type", .text("string"))] + note(description)) }
  public static func pattern(_ pattern: String, _ description: String = "") -> SchemaValue {
    .object([("type", .text("string")), ("pattern", .text(pattern))] + note(description))
  }
  /// A number or a date is a text too, as it stands.
  public static func scalar(_ description: String = "") -> SchemaValue {
    .object([("type", .texts(["string", "number", "boolean"]))] + note(description))
  }
  public static func integer(_ range: ClosedRange<Int64>, _ description: String = "") -> SchemaValue {
    .object([("type", .text("integer")), ("minimum", .integer(range.lowerBound)), ("maximum", .integer(range.upperBound))] + note(description))
  }
  public static func number(_ description: String = "") -> SchemaValue { .object([("type", .text("number"))] + note(description)) }
  public static func flag(_ description: String = "") -> SchemaValue { .object([("type", .text("boolean"))] + note(description)) }
  public static let duration = pattern(
    "^([0-9]+ *[a-z]*|P[0-9A-Z]+)$", "A whole number and a unit (500ms, 30s, 10m, 1h, 7d, 2w), or ISO 8601 like PT5M.")
  public static let anything = SchemaValue.flag(true)
  private static func note(_ description: String) -> [(String, SchemaValue)] { description.isEmpty ? [] : [("description", .text(description))] }

  public static func document(_ title: String, _ body: [(String, SchemaValue)], _ definitions: [(String, SchemaValue)] = []) -> SchemaValue {
    .object(
      [("$schema", .text("https://json-schema.org/draft/2020-12/schema")), ("title", .text(title))] + body
        + (definitions.isEmpty ? [] : [("$defs", .object(definitions))]))
  }
}

public enum EditorSchema {
  /// A rule or a correlation: what a file of a rule directory may be.
  public static var rule: SchemaValue {
    let marks = ["correlation", "correlation_logic", "source_rules"].map { SchemaValue.object([("required", .texts([$0]))]) }
    return Schema.document(
      "ATR rule or correlation, with Panguard's host profile",
      [("type", .text("object")), ("if", .object([("anyOf", .array(marks))])), ("then", Schema.ref("correlation")), ("else", Schema.ref("rule"))],
      shared + [("rule", ruleBody), ("correlation", correlationBody)])
  }
  public static var correlation: SchemaValue {
    Schema.document(
      "ATR correlation, with Panguard's host profile", [("$ref", .text("#/$defs/correlation"))], shared + [("correlation", correlationBody)])
  }
  /// spec/atr-profile-v1.0.md
  public static var profile: SchemaValue { Schema.document("ATR profile 1.0", [("$ref", .text("#/$defs/profile"))], [("profile", profileBody)]) }

  // MARK: What both kinds have

  private static let shared: [(String, SchemaValue)] = [
    (
      "field",
      Schema.suggested(
        Field.allNames, else: Schema.pattern("^[^\\s]{1,128}$", "The name of a field; one that is not in the table is taken as it is."))
    ),
    ("fields", Schema.anyOf(Schema.ref("field"), Schema.list(Schema.ref("field")))),
    ("texts", Schema.anyOf(Schema.scalar(), Schema.list(Schema.scalar()))),
    ("duration", Schema.duration),
    ("condition", condition), ("predicates", predicates), ("tests", tests), ("testGroups", testGroups), ("tags", tags), ("references", references),
    ("response", response), ("agentSource", agentSource), ("panguard", panguard), ("confidence", confidence),
  ]

  /// Keys of the reader's table; those without a schema of their own take anything.
  private static func keys(_ known: [String], _ schemas: [(String, SchemaValue)]) -> [(String, SchemaValue)] {
    known.map { key in (key, schemas.first { $0.0 == key }?.1 ?? Schema.anything) }
  }
  private static let id = Schema.pattern("^[A-Za-z0-9._:-]{1,64}$", "ATR-YYYY-NNNNN; for a correlation ATR-COR-YYYY-NNNNN.")
  private static let title = SchemaValue.object([
    ("type", .text("string")), ("minLength", .integer(1)), ("maxLength", .integer(512)), ("description", .text("What is detected, in one line.")),
  ])
  private static var described: [(String, SchemaValue)] {
    [
      ("schema_version", Schema.scalar()), ("id", id), ("title", title), ("description", Schema.text()), ("author", Schema.text()),
      ("date", Schema.pattern("^[0-9]{4}[/-][0-9]{2}[/-][0-9]{2}$", "YYYY/MM/DD")), ("status", Schema.oneOf(Vocabulary.statuses)),
      ("maturity", Schema.oneOf(Vocabulary.maturities)), ("severity", Schema.oneOf(Severity.allCases.map(\.rawValue))),
      ("references", Schema.ref("references")), ("tags", Schema.ref("tags")), ("confidence", Schema.ref("confidence")),
      ("response", Schema.ref("response")), ("agent_source", Schema.ref("agentSource")), ("test_cases", Schema.ref("testGroups")),
      ("evasion_tests", Schema.ref("tests")), ("panguard", Schema.ref("panguard")), ("false_positives", Schema.ref("texts")),
    ]
  }
  private static let confidence = Schema.anyOf(
    .object([
      ("type", .text("number")), ("minimum", .integer(0)), ("maximum", .integer(100)),
      ("description", .text("How sure a match of this rule alone makes us, in percent.")),
    ]), .object([("enum", .texts(["low", "medium", "medium-high", "high"]))]))
  private static let tags = Schema.object(
    keys(
      Vocabulary.tagKeys,
      [
        ("category", Schema.suggested(RuleWords.hostCategories + RuleWords.agentCategories, else: Schema.text())), ("subcategory", Schema.text()),
        ("confidence", Schema.ref("confidence")),
      ]), ownKeys: true)
  private static let references = Schema.object(
    [("mitre_attack", Schema.anyOf(Schema.pattern("^(T|TA|AML)", "T1110.001"), Schema.list(Schema.text("T1110.001, or \"T1110.001 - its name\""))))],
    others: Schema.anything, description: "Frameworks and their ids: mitre_attack, mitre_atlas, owasp_llm, owasp_agentic, safe_mcp, cve, ...")
  private static let response = Schema.object(
    keys(
      Vocabulary.responseKeys,
      [("actions", Schema.list(Schema.suggested(Vocabulary.hostActions + Vocabulary.actions, else: Schema.text())))]), ownKeys: true)
  private static let agentSource = Schema.object(
    [("type", Schema.oneOf(RuleWords.sources, "What the rule watches.")), ("framework", Schema.anything), ("provider", Schema.anything)],
    required: ["type"], ownKeys: true)
  private static let panguard = Schema.object([
    ("family", Schema.text("Evidence of one family counts once, the strongest whole. Default: the category.")),
    ("exculpatory", Schema.flag("A match speaks for innocence.")),
    ("ipv6_network", Schema.flag("Count IPv6 by /64 as well. Default: true.")),
    ("lint", Schema.object([("ignore", Schema.list(Schema.text("A kind of finding that `panguard rules lint` must not report here.")))])),
  ])

  // MARK: Detection

  private static let condition = Schema.object(
    [
      ("field", Schema.ref("field")), ("operator", Schema.oneOf(Vocabulary.operators)), ("value", Schema.ref("texts")),
      ("patterns", Schema.ref("texts")), ("match_type", Schema.oneOf(Vocabulary.matchTypes)), ("case_sensitive", Schema.flag()),
      ("description", Schema.text()), ("language", Schema.anything),
    ], required: ["field"], ownKeys: true)
  /// ATR's metric and sequence conditions are read, and say why their rule is skipped.
  private static let otherCondition = SchemaValue.object([
    ("type", .text("object")),
    ("anyOf", .array([.object([("required", .texts(["steps"]))]), .object([("required", .texts(["metric"]))])])),
  ])
  private static let conditions = Schema.anyOf(
    Schema.list(Schema.anyOf(Schema.ref("condition"), otherCondition)),
    Schema.object([], others: Schema.anyOf(Schema.ref("condition"), otherCondition)))
  private static let predicates = Schema.object(
    Vocabulary.predicates.map { word in
      let numeric = Comparison(rawValue: word) != nil && word != "eq"
      return (word, word == "exists" ? Schema.flag() : numeric ? Schema.scalar() : Schema.ref("texts"))
    })
  private static let behavioral = Schema.object(
    keys(
      Vocabulary.behavioralKeys,
      [
        ("metric", Schema.text("The field of sum, max and distinct_count; for count and rate only a name.")),
        ("aggregation", Schema.oneOf(aggregations)), ("window", Schema.ref("duration")),
        ("operator", Schema.oneOf(Comparison.allCases.map(\.rawValue) + ["deviation_from_baseline"])), ("threshold", Schema.number()),
        ("group_by", Schema.ref("fields")),
        ("filter", .object([("type", .text("object")), ("propertyNames", Schema.ref("field")), ("additionalProperties", filterValue)])),
        ("min_events", Schema.integer(1...1_000_000_000)), ("cooldown", Schema.ref("duration")),
      ]), required: ["metric", "aggregation", "window", "operator", "threshold"])
  private static let filterValue = Schema.anyOf(Schema.scalar(), Schema.list(Schema.scalar(), least: 1), Schema.ref("predicates"))
  private static var aggregations: [String] {
    BehavioralDetection.Aggregation.allCases.map(\.rawValue).reduce(into: ["avg"]) { if !$0.contains($1) { $0.append($1) } }.sorted()
  }
  private static let detection = Schema.object(
    keys(
      Vocabulary.detectionKeys,
      [
        ("method", Schema.oneOf(["pattern", "signature", "semantic", "behavioral", "trace"])), ("conditions", conditions),
        ("condition", Schema.scalar("any, all, or an expression over the names: a and not (b or c), 1 of them, all of name*.")),
        ("false_positives", Schema.ref("texts")), ("behavioral", behavioral), ("test_cases", Schema.ref("testGroups")),
      ]), ownKeys: true)

  // MARK: Tests

  private static let testItem = Schema.object(
    keys(
      Vocabulary.testKeys,
      [
        ("repeat", Schema.integer(1...Int64(Limits.testRepetitions), "The whole input so many times; {n} in it is the number of the repetition.")),
        ("every", Schema.ref("duration")), ("format", Schema.oneOf(Vocabulary.testFormats)),
        ("expected", Schema.oneOf(["triggered", "not_triggered", "trigger", "no_trigger"])),
        ("stream", Schema.text("A file of raw log lines beside the rule.")),
      ]), others: Schema.anything)
  private static let tests = Schema.list(Schema.anyOf(Schema.scalar(), testItem))
  private static let testGroups = Schema.object(Vocabulary.testGroups.map { ($0, Schema.ref("tests")) }, ownKeys: true)

  // MARK: Documents

  private static let ruleBody = Schema.object(
    keys(Vocabulary.ruleKeys, described + [("detection", detection), ("rule_version", Schema.scalar())]),
    required: ["id", "title", "severity", "detection"], ownKeys: true)

  private static var correlationBody: SchemaValue {
    let inner = Schema.object(keys(Vocabulary.correlationKeys, described), required: ["id", "title"], ownKeys: true)
    let source = Schema.object(
      [("alias", Schema.scalar()), ("rule_id", id), ("rule_id_pattern", Schema.text("An id with * and ?.")), ("description", Schema.text())],
      required: ["alias"])
    let step = Schema.anyOf(Schema.scalar(), Schema.object([("alias", Schema.scalar()), ("description", Schema.text())], required: ["alias"]))
    let window = Schema.anyOf(
      Schema.ref("duration"),
      Schema.object(
        [
          ("type", Schema.oneOf(CorrelationReader.WindowType.allCases.map(\.rawValue))), ("duration", Schema.ref("duration")),
          ("max_wall_time", Schema.ref("duration")),
        ], others: Schema.anything))
    let logic = Schema.object(
      [
        ("type", Schema.oneOf(CorrelationReader.LogicType.allCases.map(\.rawValue))), ("sequence", Schema.list(step)), ("aliases", Schema.list(step)),
        ("alias", Schema.scalar()), ("count", Schema.integer(1...Int64(Limits.entriesPerGroup))), ("field", Schema.ref("field")),
        ("join_keys", Schema.ref("fields")), ("window", window),
      ], required: ["type"], others: Schema.anything)
    var known = Vocabulary.correlationDocumentKeys
    known += Vocabulary.correlationKeys.filter { !known.contains($0) }  // documents that describe themselves at the top are read too
    return Schema.object(
      keys(
        known,
        described + [
          ("correlation", inner), ("source_rules", Schema.list(source, least: 1)), ("correlation_logic", logic),
          ("detection", Schema.object([("false_positives", Schema.ref("texts"))], others: Schema.anything)),
        ]), required: ["source_rules", "correlation_logic"], ownKeys: true)
  }

  private static let profileBody: SchemaValue = {
    func words(_ known: [String]) -> SchemaValue {
      let word = known.isEmpty ? Schema.text() : Schema.suggested(known, else: Schema.text())
      return Schema.anyOf(word, Schema.list(word))
    }
    let filter = Schema.object(
      [
        ("severity", words(Severity.allCases.map(\.rawValue))), ("maturity", words(Vocabulary.maturities)), ("status", words(Vocabulary.statuses)),
        ("category", words(Vocabulary.agentCategories + Vocabulary.hostCategories)),
      ], others: words([]))
    let selectors: [(String, SchemaValue)] = [
      ("rule_id", id), ("rule_id_pattern", Schema.text("An id with * and ?.")), ("category", Schema.text()), ("tag_match", filter),
      ("rule_status", Schema.oneOf(Vocabulary.statuses)), ("description", Schema.text()), ("reason", Schema.text()),
    ]
    let inclusion = Schema.object(selectors + [("profile", Schema.text("Another profile, id@version."))])
    let exclusion = Schema.object(selectors)
    let bound = Schema.object(
      [
        ("spec_version_min", Schema.scalar()), ("spec_version_max", Schema.anything), ("minimum_rule_coverage", Schema.number()),
        ("minimum_engine_passing", Schema.number()),
      ], others: Schema.anything)
    let head = Schema.object(
      [
        ("schema_version", Schema.scalar()), ("id", Schema.text()), ("title", Schema.text()), ("version", Schema.scalar("Semantic version.")),
        ("description", Schema.text()), ("author", Schema.text()), ("date", Schema.text()), ("license", Schema.text()),
        ("status", Schema.oneOf(["draft", "stable", "deprecated"])), ("conformance_bound", bound),
      ], required: ["id", "version"], others: Schema.anything)
    return Schema.object(
      [
        ("profile", head), ("inclusions", Schema.list(inclusion)), ("exclusions", Schema.list(exclusion)),
        ("resolved_rules_summary", Schema.anything),
      ], required: ["profile", "inclusions"])
  }()
}
