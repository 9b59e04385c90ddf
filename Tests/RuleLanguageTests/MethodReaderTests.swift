// Documents of the methods signature, trace and semantic: what they are read as, and what is refused where.
import PanguardTestKit
import Primitives
import RuleLanguage
import Testing

private func load(detection: String) -> RuleSet {
  load(
    """
    schema_version: "1.0"
    id: ATR-2026-90001
    title: t
    severity: high
    agent_source: {type: agent_trace}
    detection:
    \(detection.split(separator: "\n", omittingEmptySubsequences: false).map { "  " + $0 }.joined(separator: "\n"))
    """)
}
private func errors(_ set: RuleSet) -> [String] { set.diagnostics.filter { $0.severity == .error }.map { "\($0.location.line): \($0.message)" } }

@Suite struct MethodReaderTests {
  // MARK: Signature

  @Test func signatures() throws {
    let digest = String(repeating: "Ab", count: 32)
    let set = load(
      detection: """
        method: signature
        signature:
          match_logic: all
          indicators:
            - {type: sha256, value: '0x\(digest)', target_field: skill.content, provenance: {first_observed: '2026-05-27', source: s, attribution: a}}
            - {type: registry_url, value: 'HTTPS://Reg.example/x/', target_field: mcp.tool.source_url}
        """)
    #expect(errors(set) == [])
    guard case .signature(let signature)? = set.rules.first?.detection else { return #expect(Bool(false)) }
    #expect(signature.matchLogic == .all)
    #expect(signature.indicators.map(\.value) == [digest.lowercased(), "https://reg.example/x"])
    #expect(signature.indicators[0].provenance == .init(firstObserved: "2026-05-27", source: "s", attribution: "a"))
  }

  @Test(arguments: [
    ("signature: {indicators: []}", "is empty"), ("signature: {}", "'detection.signature.indicators' is missing"),
    ("x: 1", "'detection.signature' is missing"),
    ("signature: {indicators: [{type: md5, value: x, target_field: f}]}", "'detection.signature.indicators[1].type' is 'md5'"),
    ("signature: {indicators: [{type: sha256, value: abc, target_field: f}]}", "is not a sha256 digest"),
    ("signature: {indicators: [{type: skill_id, value: '', target_field: f}]}", "is empty"),
    ("signature: {indicators: [{type: skill_id, value: x}]}", "target_field' is missing"),
    ("signature: {match_logic: some, indicators: [{type: skill_id, value: x, target_field: f}]}", "match_logic"),
    ("signature: {indicators: [7]}", "must be a mapping"),
  ])
  func badSignatures(_ text: String, _ message: String) {
    let set = load(detection: "method: signature\n" + text)
    #expect(set.rules.isEmpty)
    #expect(errors(set).contains { $0.contains(message) }, "\(errors(set))")
  }

  // MARK: Trace

  @Test(arguments: [
    ("{ingest_format: zipkin, forbid: [{shape: {span.kind: A}}]}", "must be one of openinference, otel_gen_ai"),
    ("{ingest_format: openinference}", "no forbid, require or invariant"),
    ("{ingest_format: openinference, forbid: [{shape: {}}]}", "every span would match"),
    ("{ingest_format: openinference, forbid: [{}]}", "shape' is missing"),
    ("{ingest_format: openinference, forbid: [{shape: {any_of: [{span.kind: A}]}}]}", "unknown key 'any_of'"),
    ("{ingest_format: openinference, forbid: [{shape: {span.kind: A}, preceded_by: {one_of: [{span.kind: A}]}}]}", "unknown key 'one_of'"),
    ("{ingest_format: openinference, forbid: [{shape: {span.kind: A}, preceded_by: {one_of_shapes: []}}]}", "is empty"),
    ("{ingest_format: openinference, forbid: [{one_of: 1}]}", "unknown key 'one_of'"),
    ("{ingest_format: openinference, forbid: [{shape: {attributes: {a: {like: x}}}}]}", "unknown key 'like'"),
    ("{ingest_format: openinference, forbid: [{shape: {attributes: {a: {}}}}]}", "has no predicate"),
    ("{ingest_format: openinference, forbid: [{shape: {attributes: {a: [x]}}}]}", "is a list"),
    ("{ingest_format: openinference, forbid: [{shape: {attributes: {a: {in: []}}}}]}", "empty list"),
    ("{ingest_format: openinference, forbid: [{shape: {attributes: {a: {regex: '('}}}}]}", "bad regular expression"),
    ("{ingest_format: openinference, forbid: [{shape: {attributes: {a: '${trace.spans[0].attributes.x}'}}}]}", "not a placeholder"),
    ("{ingest_format: openinference, forbid: [{shape: {attributes: {a: 'x ${span.b}'}}}]}", "not a placeholder"),
    ("{ingest_format: openinference, forbid: [{shape: {attributes: {a: '${span.attributes.}'}}}]}", "not a path"),
    ("{ingest_format: openinference, forbid: [{shape: {attributes: {a..b: x}}}]}", "not a path"),
    ("{ingest_format: openinference, require: [{target_shape: {span.kind: A}}]}", "must_be_preceded_by' is missing"),
    (
      "{ingest_format: openinference, require: [{target_shape: {span.kind: A}, must_be_preceded_by: {span.kind: B, within_trace: false}}]}",
      "can only be true"
    ),
    ("{ingest_format: openinference, invariant: [{attribute: k, across: host}]}", "across"),
    ("{ingest_format: openinference, invariant: [{attribute: k, across: trace, name: x}, {attribute: j, across: trace, name: x}]}", "two primitives"),
    ("7", "must be a mapping"),
  ])
  func badTraces(_ text: String, _ message: String) {
    let set = load(detection: "method: trace\ntrace: \(text)")
    #expect(set.rules.isEmpty)
    #expect(errors(set).contains { $0.contains(message) }, "\(errors(set))")
  }

  @Test func anUnknownPrimitiveInTheCondition() {
    let set = load(
      detection: "method: trace\ncondition: forbid_1 and nothing\ntrace: {ingest_format: openinference, forbid: [{shape: {span.kind: A}}]}")
    #expect(errors(set).count == 1)
  }

  @Test func aMissingFormatIsOpenInference() {
    let set = load(detection: "method: trace\ntrace: {forbid: [{shape: {span.kind: A}}]}")
    #expect(errors(set) == [])
    guard case .trace(let trace)? = set.rules.first?.detection else { return #expect(Bool(false)) }
    #expect(trace.ingestFormat == .openinference)
    #expect(trace.primitives.map(\.name) == ["forbid_1"])
  }

  // MARK: Semantic

  private static let judge = "judge_model_class: local, prompt_template: 'Is it? {{input}}', output_schema: {category: string, confidence: number}"
  @Test func semanticRules() throws {
    let conditions = "conditions: [{field: content, operator: contains, value: x}]\ncondition: any\n"
    let fallback = load(detection: "method: semantic\n\(conditions)semantic: {\(Self.judge), threshold: 0.7, fallback_method: pattern}")
    #expect(errors(fallback) == [])
    guard case .pattern? = fallback.rules.first?.detection else { return #expect(Bool(false)) }
    #expect(fallback.rules.first?.fallbackOf == "semantic")
    for rest in ["", ", fallback_method: none"] {
      let skipped = load(detection: "method: semantic\n\(conditions)semantic: {\(Self.judge), threshold: 0.7\(rest)}")
      guard case .skipped("semantic", let reason)? = skipped.rules.first?.detection else { return #expect(Bool(false)) }
      #expect(reason.contains("judge"))
    }
    let empty = load(detection: "method: semantic\nsemantic: {\(Self.judge), threshold: 1, fallback_method: pattern}")
    guard case .skipped("semantic", _)? = empty.rules.first?.detection else { return #expect(Bool(false)) }
  }

  /// A rule of the corpus has one, and runs by its patterns all the same.
  @Test func aTemplateWithoutInput() {
    let set = load(detection: "method: semantic\nsemantic: {prompt_template: nothing}")
    #expect(errors(set) == [])
    #expect(set.diagnostics.contains { $0.severity == .warning && $0.message.contains("no {{input}}") })
  }

  @Test(arguments: [
    ("threshold: 1.5", "between 0 and 1"), ("threshold: -1", "between 0 and 1"), ("threshold: much", "must be a number"),
    ("fallback_method: guess", "fallback_method"), ("output_schema: 7", "must be a mapping"),
    ("consensus: {n: 0}", "consensus.n"), ("cache_ttl: x", "must be an integer"),
  ])
  func badSemantics(_ text: String, _ message: String) {
    let set = load(detection: "method: semantic\nsemantic: {\(text)}")
    #expect(set.rules.isEmpty)
    #expect(errors(set).contains { $0.contains(message) }, "\(errors(set))")
  }

  // MARK: SplitMix64

  @Test(arguments: [
    ("0", "0"), ("-0.00", "0"), ("1", "1"), ("1.0", "1"), ("100", "1e2"), ("1e2", "1e2"), ("0.0150", "15e-3"), ("-15E-3", "-15e-3"),
    ("1e99999999999", "1e999999999"),
  ])
  func numbers(_ text: String, _ canonical: String) { #expect(canonicalNumber(text.utf8) == canonical) }
  @Test(arguments: ["", "-", "1.", ".5", "1e", "1e+", "x", "1x", "0x1", "+1", "1 "])
  func otherTexts(_ text: String) { #expect(canonicalNumber(text.utf8) == nil) }
}
