// Coverage of a small rule set in all its forms (golden files), and the layer against the rules of its format.
import Export
import Primitives
import RuleLanguage
import Testing

@Suite struct RuleCoverageTests {
  private static func document(_ number: Int, _ severity: String, _ references: String, status: String = "experimental") -> String {
    """
    ---
    id: ATR-2026-9900\(number)
    title: t
    status: \(status)
    severity: \(severity)
    agent_source: {type: llm_io}
    references: {\(references)}
    detection: {conditions: [{field: content, operator: contains, value: x}], condition: any}

    """
  }
  static let coverage: RuleCoverage = {
    let documents = [
      document(1, "high", "mitre_attack: [T1110.001, T1078], owasp_llm: ['LLM01:2025 - Prompt Injection', 'LLM01']"),
      document(
        2, "critical", "mitre_attack: ['T1110.001 - Brute Force', AML.T0051], mitre_atlas: ['AML.T0051 - LLM Prompt Injection']", status: "stable"),
      document(3, "low", "owasp_agentic: ['ASI03:2026 - x', 'ASI99', nonsense], safe_mcp: ['SAFE-T1102 - Prompt Manipulation']"),
      document(4, "informational", "mitre_attack: [T9999], cve: [CVE-2026-1]"),
      document(5, "medium", "cve: [CVE-2026-2]"),
    ]
    return RuleCoverage(RuleLoader.load(document: documents.joined(), file: "c.yaml").rules)
  }()

  @Test func counts() {
    let c = Self.coverage
    #expect(c.ruleCount == 5 && c.bySeverity == [1, 1, 1, 1, 1] && c.unmapped == ["ATR-2026-99005"])
    #expect(c.byStatus.map(\.name) == ["experimental", "stable"] && c.byStatus.map(\.count) == [4, 1])
    func items(_ key: String) -> [String] { c.frameworks.first { $0.key == key }?.items.map { "\($0.id) \($0.rules.count)" } ?? [] }
    #expect(items("mitre_attack") == ["T1078 1", "T1110.001 2", "T9999 1"])
    #expect(items("mitre_atlas") == ["AML.T0051 1"])
    #expect(items("owasp_llm") == ["LLM01 1"])
    #expect(items("owasp_agentic") == ["ASI03 1", "ASI99 1"])
    #expect(items("safe_mcp") == ["SAFE-T1102 1"])
    #expect(c.frameworks.first { $0.key == "owasp_llm" }?.uncovered?.count == 9)
    #expect(c.frameworks.first { $0.key == "owasp_agentic" }?.uncovered?.contains("ASI01") == true)
  }

  @Test func forms() {
    GoldenFile.check(RuleCoverageText.page(Self.coverage, width: 80, color: false) + "\n", "coverage.txt")
    GoldenFile.check(RuleCoverageText.page(Self.coverage, width: 80, color: true) + "\n", "coverage-color.txt")
    GoldenFile.check(RuleCoverageText.markdown(Self.coverage) + "\n", "coverage.md")
    GoldenFile.check(String(decoding: RuleCoverageText.json(Self.coverage), as: UTF8.self) + "\n", "coverage.json")
    GoldenFile.check(String(decoding: NavigatorLayer.encode(Self.coverage, name: "Test"), as: UTF8.self) + "\n", "navigator.json")
    let page = RuleCoverageText.page(Self.coverage, width: 80, color: false)
    #expect(page.split(separator: "\n").allSatisfy { $0.unicodeScalars.count <= 80 })
  }

  @Test func anEmptySet() {
    let empty = RuleCoverage([])
    #expect(RuleCoverageText.page(empty, width: 80, color: false).contains("0 rules"))
    #expect(RuleCoverageText.markdown(empty).contains("no rule refers to it"))
    let layer = String(decoding: NavigatorLayer.encode(empty, name: "x"), as: UTF8.self)
    #expect(layer.contains(#""techniques":[]"#) && layer.contains(#""minValue":0,"maxValue":1"#))
  }

  /// layerformat.md 4.5: what is required, of which type, and which values.
  @Test func theLayerFollowsItsFormat() throws {
    var members: [String: String] = [:]
    let bytes = NavigatorLayer.encode(Self.coverage, name: "Test")
    try bytes.withUnsafeBytes { document in
      try JSONMembers.forEach(of: document) { key, value in members[key.string] = value.string }
    }
    #expect(members["name"] == #""Test""# && members["domain"] == #""enterprise-attack""# && members["sorting"] == "3")
    #expect(members["versions"] == #"{"attack":"15","navigator":"5.0.0","layer":"4.5"}"#)
    #expect(members["gradient"]?.contains(##""colors":["#"##) == true && members["hideDisabled"] == "false")
    var ids: [String] = []
    try Array((members["techniques"] ?? "").utf8).withUnsafeBytes { list in
      for technique in try JSONMembers.elements(of: list) {
        try JSONMembers.forEach(of: technique) { key, value in
          switch key.string {
          case "techniqueID": ids.append(value.string)
          case "score": #expect(Int(value.string).map { $0 > 0 } == true)
          case "enabled": #expect(value.string == "true")
          case "comment": #expect(value.string.hasPrefix("\"ATR-"))
          default: Issue.record("\(key.string) is not a property that we mean to write")
          }
        }
      }
    }
    #expect(ids == [#""T1078""#, #""T1110.001""#, #""T9999""#])
  }
}
