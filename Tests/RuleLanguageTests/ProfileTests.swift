// Profiles: the standard's set operation as tables, inheritance and its errors, and every refusal with its place.
import PanguardTestKit
import Primitives
import Testing

@testable import RuleLanguage

private let corpus: [Rule] = [
  ("ATR-2026-00001", "prompt-injection", "critical", "stable", "stable", "skill"),
  ("ATR-2026-00002", "prompt-injection", "high", "test", "experimental", "mcp"),
  ("ATR-2026-00003", "tool-poisoning", "medium", "draft", "draft", "runtime"),
  ("ATR-2026-00525", "skill-compromise", "high", "stable", "deprecated", "skill"),
  ("ATR-DE-2026-00001", "context-exfiltration", "low", "", "stable", "both"),
].map { id, category, severity, maturity, status, target in
  var rule = Rule(
    id: id, title: id, summary: "", author: "", date: "", status: status, maturity: maturity, severity: Severity(rawValue: severity) ?? .low,
    confidence: Confidence(thousandths: 500), agentSource: "llm_io", category: category, subcategory: "", techniques: [], references: [],
    falsePositives: [], responseActions: [], family: "", isExculpatory: false, detection: .skipped(method: "", reason: ""), tests: [],
    location: SourceLocation(file: "r"), fingerprint: Fingerprint(high: 0, low: 0))
  rule.tags = [RuleTag(name: "category", values: [category]), RuleTag(name: "scan_target", values: [target])]
  return rule
}

private func document(_ id: String, _ inclusions: String, _ exclusions: String = "[]", version: String = "1.0.0") -> String {
  """
  profile:
    {schema_version: "1.0", id: \(id), title: T, version: \(version), description: d, author: a, date: "2026-01-05", license: MIT, status: draft,
    conformance_bound: {spec_version_min: "1.0", spec_version_max: null, minimum_rule_coverage: 1.00, minimum_engine_passing: 0.95}}
  inclusions: \(inclusions)
  exclusions: \(exclusions)

  """
}

/// SplitMix64 of the rules in the corpus, or the messages of the errors.
private func resolve(_ text: String, _ id: String = "p") -> [String] {
  let library = ProfileReader.load(text, file: "p.yaml")
  let errors = library.diagnostics.filter { $0.severity == .error }
  guard errors.isEmpty, let profile = library.find(id) else { return errors.map(\.description) }
  let (resolved, diagnostics) = library.resolve(profile, among: corpus)
  return resolved.map { $0.ruleIDs.map { id in "\(corpus.firstIndex { $0.id == id } ?? -1)" } }
    ?? diagnostics.filter { $0.severity == .error }.map(\.description)
}

@Suite struct ProfileTests {
  @Test(arguments: [
    ("[{rule_id: ATR-2026-00001}]", "[]", "0"), ("[{rule_id: ATR-2026-00001}, {rule_id: ATR-2026-00003}]", "[]", "0 2"),
    ("[{rule_id_pattern: \"ATR-2026-000*\"}]", "[]", "0 1 2"), ("[{rule_id_pattern: \"ATR-*-2026-*\"}]", "[]", "4"),
    ("[{rule_id_pattern: \"ATR-2026-0000[13]\"}]", "[]", "0 2"), ("[{rule_id_pattern: \"ATR-2026-0000[!1-2]\"}]", "[]", "2"),
    ("[{category: prompt-injection}]", "[]", "0 1"), ("[{tag_match: {severity: [critical, high]}}]", "[]", "0 1 3"),
    ("[{tag_match: {severity: [critical, high], maturity: [stable, test]}}]", "[]", "0 1 3"),
    ("[{tag_match: {severity: high, maturity: [test]}}]", "[]", "1"), ("[{tag_match: {scan_target: [skill]}}]", "[]", "0 3"),
    ("[{tag_match: {maturity: [experimental]}}]", "[]", "4"), ("[{tag_match: {status: [stable]}}]", "[]", "0 4"),
    ("[{tag_match: {category: [tool-poisoning], severity: [low]}}]", "[]", ""), ("[{rule_status: stable}]", "[]", "0 4"),
    ("[{rule_id_pattern: \"*\"}]", "[{rule_id: ATR-2026-00525}]", "0 1 2 4"),
    ("[{rule_id_pattern: \"*\"}]", "[{rule_status: deprecated}]", "0 1 2 4"),
    ("[{rule_id_pattern: \"*\"}]", "[{rule_id_pattern: \"ATR-2026-*\"}]", "4"),
    ("[{rule_id_pattern: \"*\"}]", "[{tag_match: {maturity: [draft]}}]", "0 1 3 4"),
    ("[{rule_id_pattern: \"*\"}]", "[{category: prompt-injection}]", "2 3 4"),
    ("[{rule_id: ATR-2026-00001}]", "[{rule_id: ATR-2026-00001}]", ""),
    // The standard's algorithm raises; what is excluded again is not missed.
    (
      "[{rule_id: ATR-2026-00001}, {rule_id: ATR-2026-99999}]", "[]",
      "p.yaml:2:3: error: p@1.0.0 needs 100.0 % of its rules, and 1 of the 2 are not loaded; load the rules, or lower conformance_bound.minimum_rule_coverage"
    ), ("[{rule_id: ATR-2026-00001}, {rule_id: ATR-2026-99999}]", "[{rule_id: ATR-2026-99999}]", "0"),
    // An entry with two keys is two entries, as in the standard's algorithm.
    ("[{rule_id: ATR-2026-00003, category: prompt-injection}]", "[]", "0 1 2"),
  ])
  func resolution(_ inclusions: String, _ exclusions: String, _ expected: String) {
    #expect(resolve(document("p", inclusions, exclusions)).joined(separator: " ") == expected)
  }

  @Test func inheritance() {
    let base = document("base", "[{category: prompt-injection}]", "[{rule_id: ATR-2026-00002}]") + "---\n"
    let newer =
      document("base", "[{rule_id: ATR-2026-00003}]", version: "1.10.0") + "---\n" + document("base", "[{rule_id: ATR-2026-00001}]", version: "1.9.0")
      + "---\n"
    #expect(resolve(base + document("p", "[{profile: base@1.0.0}, {rule_id: ATR-2026-00003}]")) == ["0", "2"])
    // What a base excludes may come in again; what the heir excludes does not.
    #expect(resolve(base + document("p", "[{profile: base@1.0.0}, {rule_id: ATR-2026-00002}]", "[{rule_id: ATR-2026-00001}]")) == ["1"])
    #expect(resolve(base + newer + document("p", "[{profile: base}]")) == ["2"])
    #expect(
      resolve(base + document("p", "[{profile: base@2.0.0}]")) == ["p.yaml:10:24: error: profile base@2.0.0 is not known; did you mean base@1.0.0?"])
  }

  @Test func circlesAndDepth() {
    let circle = document("a", "[{profile: b@1.0.0}]") + "---\n" + document("b", "[{profile: a@1.0.0}]")
    #expect(resolve(circle, "a") == ["p.yaml:2:3: error: profile a includes itself: a > b > a"])
    #expect(resolve(document("a", "[{profile: a@1.0.0}]"), "a") == ["p.yaml:2:3: error: profile a includes itself: a > a"])
    func tower(_ height: Int) -> String {
      (0..<height).map { document("p\($0)", $0 + 1 < height ? "[{profile: p\($0 + 1)}]" : "[{rule_id: ATR-2026-00001}]") + "---\n" }.joined()
    }
    #expect(resolve(tower(10), "p0") == ["0"])
    #expect(resolve(tower(Limits.profileDepth), "p0") == ["0"])
    #expect(resolve(tower(Limits.profileDepth + 1), "p0").first?.hasSuffix("profiles include each other deeper than 16") == true)
    // A diamond is no circle, and a wide one costs no more than its entries.
    let wide = (0..<200).map { _ in "{profile: q}" }.joined(separator: ", ")
    let diamond =
      document("q", "[{rule_id: ATR-2026-00001}]") + "---\n" + document("l", "[\(wide)]") + "---\n" + document("p", "[\(wide), {profile: l}]")
    #expect(resolve(diamond) == ["0"])
  }

  static let refused: [(line: Int, replacement: String, message: String)] = [
    (0, "profil:", "unknown key 'profil'; did you mean 'profile'?"), (3, "inclusions: []", "'inclusions' is empty: no rule would be in"),
    (3, "inclusions: [{rule: x}]", "unknown key 'rule' in 'inclusions[1]'; known: rule_id"),
    (3, "inclusions: [{}]", "'inclusions[1]' selects nothing; write one of rule_id, rule_id_pattern, category, tag_match, rule_status, profile"),
    (3, "inclusions: [{tag_match: {severity: []}}]", "'inclusions[1].tag_match' must name values"),
    (3, "inclusions: [{tag_match: {severty: [high]}}]", "unknown key 'severty' in 'inclusions[1].tag_match'; did you mean 'severity'?"),
    (3, "inclusions: [{profile: \"@1\"}]", "'@1' is not a profile; write id@version"),
    (3, "inclusions: x", "'inclusions' must be a list, not a text"),
    (4, "exclusions: [{profile: a@1}]", "unknown key 'profile' in 'exclusions[1]'; known: rule_id"),
    (4, "exclusions: [{rule_status: old}]", "'exclusions[1].rule_status' is 'old', but must be one of draft, experimental, stable, deprecated"),
  ]
  @Test(arguments: refused) func refusals(_ line: Int, _ replacement: String, _ message: String) {
    var lines = document("p", "[{category: c}]").split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    lines[line] = replacement
    let library = ProfileReader.load(lines.joined(separator: "\n"), file: "p.yaml")
    #expect(library.profiles.isEmpty)
    #expect(
      library.diagnostics.contains { $0.severity == .error && $0.description.contains(message) && $0.location.line == line + 1 },
      "\(library.diagnostics)")
  }

  @Test func whatAProfileSays() {
    let profile = ProfileReader.load(document("p", "[{category: c}]"), file: "p.yaml").find("p@1.0.0")
    #expect(profile?.bound.specVersionMinimum == "1.0" && profile?.bound.specVersionMaximum == nil)
    #expect(profile?.bound.minimumRuleCoverage == 1000 && profile?.bound.minimumEnginePassing == 950)
    #expect(profile?.name == "p@1.0.0" && profile?.status == "draft")
  }

  // MARK: Bounds and slips

  @Test(arguments: [
    ("1.00", 1, false), ("0.75", 1, true), ("0.76", 1, false), ("0.60", 2, true), ("0.61", 2, false), ("0", 2, true),
  ]) func coverage(_ minimum: String, _ missing: Int, _ isResolved: Bool) {
    let ids = (0..<missing).map { ", {rule_id: ATR-2026-9999\($0)}" }.joined()
    let text = document("p", "[{rule_id_pattern: ATR-2026-000*}\(ids)]")
      .replacing("minimum_rule_coverage: 1.00", with: "minimum_rule_coverage: \(minimum)")
    #expect((resolve(text) == ["0", "1", "2"]) == isResolved, "\(resolve(text))")
  }

  /// Core 1.0 and methods 1.1 are what this engine follows.
  @Test(arguments: [
    ("1.0", "null", true), ("1.1", "1.1", true), ("1.0.0", "2.0", true), ("0.9", "1.0", true), ("2.0", "null", false), ("1.2", "null", false),
    ("0.1", "0.9", false),
  ]) func versions(_ minimum: String, _ maximum: String, _ isResolved: Bool) {
    let text = document("p", "[{rule_id: ATR-2026-00001}]").replacing("spec_version_min: \"1.0\"", with: "spec_version_min: \"\(minimum)\"")
      .replacing("spec_version_max: null", with: "spec_version_max: \(maximum == "null" ? "null" : "\"\(maximum)\"")")
    let answer = resolve(text)
    #expect((answer == ["0"]) == isResolved, "\(answer)")
    #expect(isResolved || answer.first?.contains("this engine follows 1.0 to 1.1") == true)
  }
  @Test(arguments: ["next", "1", "1.x", "99999.0", "1.0.0.0"]) func versionsThatAreNone(_ version: String) {
    let text = document("p", "[{category: c}]").replacing("spec_version_min: \"1.0\"", with: "spec_version_min: \"\(version)\"")
    #expect(resolve(text).first?.contains("does not have the form 1.0") == true)
  }
  @Test func aMaximumBelowTheMinimum() {
    let text = document("p", "[{category: c}]").replacing("spec_version_max: null", with: "spec_version_max: \"0.9\"")
    #expect(resolve(text).first?.contains("is below the minimum") == true)
  }

  /// A slip in an exclusion selects more than was meant: every entry that matches nothing is named.
  @Test(arguments: [
    ("[{rule_id_pattern: \"*\"}]", "[{rule_id: ATR-2026-0000l}]", ["rule ATR-2026-0000l is not loaded: the exclusion selects nothing"]),
    ("[{rule_id_pattern: \"*\"}]", "[{rule_id_pattern: ATR-2062-*}]", ["no loaded rule has an id like 'ATR-2062-*': the exclusion selects nothing"]),
    (
      "[{rule_id_pattern: \"*\"}]", "[{category: prompt-injektion}]",
      ["no loaded rule is of the category 'prompt-injektion': the exclusion selects nothing"]
    ),
    (
      "[{rule_id_pattern: \"*\"}, {category: tool-poisening}]", "[]",
      ["no loaded rule is of the category 'tool-poisening': the inclusion selects nothing"]
    ),
    ("[{rule_id_pattern: \"*\"}, {rule_id_pattern: X*}]", "[]", ["no loaded rule has an id like 'X*': the inclusion selects nothing"]),
    ("[{rule_id_pattern: \"*\"}]", "[{tag_match: {maturity: [draft, drft]}}]", ["no loaded rule has 'drft' as maturity"]),
    ("[{rule_id_pattern: \"*\"}, {tag_match: {severity: [informational]}}]", "[]", []),
    // Words that rules can have, and none has: ordinary.
    ("[{rule_id_pattern: \"*\"}]", "[{rule_status: draft}, {tag_match: {severity: [informational]}}]", []),
  ]) func slips(_ inclusions: String, _ exclusions: String, _ warnings: [String]) throws {
    let library = ProfileReader.load(document("p", inclusions, exclusions), file: "p.yaml")
    let (resolved, diagnostics) = library.resolve(try #require(library.find("p")), among: corpus)
    #expect(resolved != nil)
    #expect(diagnostics.filter { $0.severity == .warning }.map(\.message) == warnings)
  }

  @Test func twoOfOneNameAreAnError() {
    let library = ProfileReader.load(document("p", "[{category: c}]") + "---\n" + document("p", "[{category: d}]"), file: "p.yaml")
    #expect(library.profiles.count == 1)
    #expect(library.diagnostics.map(\.message) == ["profile p@1.0.0 is taken: it is first defined at p.yaml:2:3"])
  }

  /// A directory of rules may hold profiles: they are no rules, and not refused as such.
  @Test func aProfileAmongRulesIsNoRule() {
    let set = RuleLoader.load(document: document("p", "[{category: c}]"), file: "p.yaml")
    #expect(set.rules.isEmpty && set.refusedCount == 0 && set.diagnostics.isEmpty)
  }

  @Test(arguments: [
    ("[", "[", true), ("[a", "[a", true), ("[]]", "]", true), ("[!]]", "a", true), ("*[0-9]*", "a5b", true), ("*[0-9]*", "ab", false),
    ("?", "", false),
  ])
  func patterns(_ pattern: String, _ text: String, _ expected: Bool) { #expect(fileNameMatch(pattern, text) == expected) }
  @Test func patternsStayCheap() {
    #expect(!fileNameMatch(String(repeating: "*a", count: 60) + "b", String(repeating: "a", count: 4000)))
  }
}
