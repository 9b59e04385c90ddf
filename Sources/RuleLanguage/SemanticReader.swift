// `detection.semantic` (spec/atr-method-v1.1.md, section 6): this engine has no judge, so what is read here is checked, and decides
// whether the rule's own patterns stand in (`fallback_method: pattern`) or the rule is skipped with a reason.
// What the standard requires but no engine without a judge uses is a warning where it is missing, an error where it is wrong.
import Primitives
import TypedYAML

struct SemanticReader {
  enum Fallback: String, CaseIterable { case pattern, none }
  let problems: Problems
  private static let keys = [
    "judge_model_class", "prompt_template", "output_schema", "threshold", "cache_ttl", "judge_prompt_hash", "fallback_method", "consensus",
    "description",
  ]

  /// What the rule wants where there is no judge. nil where there were errors.
  func read(_ section: Section) -> Fallback? {
    let errorsBefore = problems.errorCount
    section.refuseUnknownKeys(Self.keys, as: .warning)
    for key in ["judge_model_class", "prompt_template", "output_schema", "threshold"] where section.node(key) == nil {
      problems.warning(section.location, "'\(section.qualified(key))' is missing")
    }
    _ = section.text("judge_model_class")
    if let template = section.text("prompt_template"), !template.contains("{{input}}") {
      problems.warning(
        section.location(of: "prompt_template"), "'\(section.qualified("prompt_template"))' has no {{input}}: a judge would see nothing")
    }
    if let schema = section.section("output_schema") { check(schema) }
    // Decimals beyond the sixth cannot decide anything a judge's confidence says.
    _ = section.decimal("threshold", digits: 6, in: 0...1_000_000)
    _ = section.integer("cache_ttl", in: 0...(.max))
    _ = section.text("judge_prompt_hash")
    if let consensus = section.section("consensus") {
      _ = consensus.integer("n", in: 1...1000, isRequired: true)
      _ = consensus.decimal("agreement", digits: 6, in: 0...1_000_000, isRequired: true)
    }
    let fallback = section.has("fallback_method") ? section.choice("fallback_method", Fallback.self) : Fallback.none
    return problems.errorCount == errorsBefore ? fallback : nil
  }

  /// A JSON Schema fragment (`properties`), or, as the corpus writes it, names with their types.
  private func check(_ schema: Section) {
    let members = schema.section("properties") ?? schema
    for key in ["category", "confidence"] where !members.has(key) {
      problems.warning(schema.location, "'\(schema.path)' does not name '\(key)'")
    }
  }
}
