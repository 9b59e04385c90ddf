// The conformance runner: every outcome on a small suite of our own, the report against the schema's requirements, and, where the shared data is
// here, the official fixtures against both rule sets.
import Foundation
import Primitives
import RuleLanguage
import Testing

@testable import AgentRuntime

/// Where the shared data lies: `PANGUARD_SHARED`, or a folder `shared` beside the repository or above it. nil: not here.
func sharedDirectory() -> String? {
  if let given = ProcessInfo.processInfo.environment["PANGUARD_SHARED"] { return isDirectory(given) ? given : nil }
  var directory = #filePath.split(separator: "/").map(String.init)
  while !directory.isEmpty {
    directory.removeLast()
    let candidate = "/" + (directory + ["shared"]).joined(separator: "/")
    if isDirectory(candidate + "/corpora") { return candidate }
  }
  return nil
}

@Suite struct ConformanceTests {
  /// A suite in a directory of its own, removed at the end.
  private final class Suite {
    let path: String
    init() throws {
      path = NSTemporaryDirectory() + "panguard-conformance-\(UUID().uuidString)"
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
    func add(_ name: String, _ input: String, _ expect: String) throws {
      try FileManager.default.createDirectory(atPath: "\(path)/fixtures/\(name)", withIntermediateDirectories: true)
      try input.write(toFile: "\(path)/fixtures/\(name)/input.yaml", atomically: true, encoding: .utf8)
      try expect.write(toFile: "\(path)/fixtures/\(name)/expect.json", atomically: true, encoding: .utf8)
    }
  }

  private static func rule(_ id: String, _ field: String, _ text: String, target: String, status: String = "stable") -> String {
    """
    title: A rule
    id: \(id)
    severity: low
    status: \(status)
    maturity: stable
    tags: {category: model-abuse, scan_target: \(target)}
    agent_source: {type: llm_io}
    detection:
      conditions: {named: {field: \(field), match_type: contains, patterns: [\(text)]}}
      condition: named
    """
  }
  private static let rules = [
    rule("ATR-2026-00001", "content", "attack", target: "both"), rule("ATR-2026-00002", "content", "document", target: "skill"),
    rule("ATR-2026-00003", "tool_args", "danger", target: "mcp"), rule("ATR-2026-00004", "content", "drafted", target: "both", status: "draft"),
    rule("ATR-2026-00005", "content", "\"\\uFEFF\"", target: "both"), selectors, trace, signature,
  ].joined(separator: "\n---\n")

  /// A selector of two fields, which is two conditions.
  private static let selectors = """
    {title: Two fields, id: ATR-2026-00006, severity: low, status: stable, maturity: stable, agent_source: {type: tool_call},
    detection: {selectors: {both: {content: {contains: evil}, tool_args: {contains: removed}}, other: {content: {contains: never}}}, condition: both}}
    """
  private static let trace = """
    {title: A trace, id: ATR-2026-00007, severity: low, status: stable, agent_source: {type: agent_trace},
    detection: {method: trace, trace: {ingest_format: openinference, forbid: [{shape: {span.kind: TOOL}}]}}}
    """
  /// Of the document "known skill".
  private static let signature = """
    {title: A skill, id: ATR-2026-00008, severity: low, status: stable, agent_source: {type: skill_file}, tags: {category: skill-compromise,
    scan_target: skill}, detection: {method: signature, signature: {indicators: [{type: sha256, target_field: skill.content,
    value: "\(SHA256Hash.hex(of: Array("known skill".utf8)))"}]}}}
    """

  private static func run(
    _ suite: Suite, level: ConformanceReport.Level = .L2, lane: RuleLane = .hunt, allowsMissing: Bool = false, profiles: [ResolvedProfile] = []
  ) throws -> ConformanceReport {
    var set = RuleLoader.load(document: rules, file: "r.yaml")
    #expect(set.refusedCount == 0, "\(set.diagnostics)")
    set.activate(lane: lane)
    if !profiles.isEmpty { set = set.restricted(to: profiles) }
    var runner = ConformanceRunner(LoadedRules(set: set, hash: "", paths: ["rules"], disabled: []), allowsMissing: allowsMissing)
    return try runner.run(suite.path, level: level, generatedAt: EventTime(seconds: 1_780_000_000))
  }

  static let match = #"{"outcome":"match","rule_id":"ATR-2026-00001","min_match_count":1}"#
  static let match2 = #"{"outcome":"match","rule_id":"ATR-2026-00002"}"#
  static let match3 = #"{"outcome":"match","rule_id":"ATR-2026-00003"}"#
  static let fixtures: [(name: String, input: String, expect: String, observed: String, passed: Bool, undecided: Bool)] = [
    ("tp/a", "scan_target: mcp\ninput: an attack", match, "match", true, false),
    ("tp/a", "scan_target: skill\ninput: an attack", match, "match", true, false),
    ("tp/a", "scan_target: both\ninput: an attack", match, "match", true, false),
    ("tp/a", "scan_target: mcp\ninput: nothing", match, "no_match", false, false),
    ("tp/a", "scan_target: mcp", match, "no_match", false, true),
    ("tp/a", "scan_target: mcp\ninput: {tool_name: n, tool_args: an attack}", match, "match", true, false),
    (
      "tp/a", "scan_target: mcp\ninput: an attack",
      #"{"outcome":"match","rule_id":"ATR-2026-00001","min_match_count":1,"matched_selectors_must_include":["named"]}"#, "match", true, false
    ),
    (
      "tp/a", "scan_target: mcp\ninput: an attack",
      #"{"outcome":"match","rule_id":"ATR-2026-00001","matched_selectors_must_include":["named","other"]}"#, "match", false, false
    ),
    ("tp/a", "scan_target: skill\ninput: an attack", #"{"outcome":"match","rule_id":"ATR-2026-00001","min_match_count":2}"#, "match", false, false),
    ("tp/b", "scan_target: skill\ninput: a document", #"{"outcome":"match","rule_id":"ATR-2026-00002"}"#, "match", true, false),
    // SPEC.md 5.3: a rule for skills is not evaluated on events, and the reverse.
    ("tp/b", "scan_target: mcp\ninput: a document", #"{"outcome":"match","rule_id":"ATR-2026-00002"}"#, "no_match", false, false),
    ("tn/b", "scan_target: runtime\ninput: a document", #"{"outcome":"no_match","rule_id":"ATR-2026-00002"}"#, "no_match", true, false),
    ("tp/c", "scan_target: mcp\ninput: danger", #"{"outcome":"match","rule_id":"ATR-2026-00003"}"#, "match", true, false),
    ("tp/c", "scan_target: mcp\ninput: {tool_args: {deep: [danger]}}", #"{"outcome":"match","rule_id":"ATR-2026-00003"}"#, "match", true, false),
    ("tn/c", "scan_target: skill\ninput: danger", #"{"outcome":"no_match","rule_id":"ATR-2026-00003"}"#, "no_match", true, false),
    ("tn/c", "scan_target: mcp\ninput: danger", #"{"outcome":"no_match","rule_id":"ATR-2026-00003"}"#, "match", false, false),
    ("tp/d", "scan_target: mcp\ninput: drafted", #"{"outcome":"match","rule_id":"ATR-2026-00004"}"#, "no_match", false, true),
    ("tn/d", "scan_target: mcp\ninput: drafted", #"{"outcome":"no_match","rule_id":"ATR-2026-00004"}"#, "no_match", true, true),
    ("tp/e", "scan_target: mcp\ninput: x", #"{"outcome":"match","rule_id":"ATR-2026-09999"}"#, "no_match", false, false),
    // Without its rule a fixture shows nothing, also one that expects nothing.
    ("tn/e", "scan_target: mcp\ninput: x", #"{"outcome":"no_match","rule_id":"ATR-2026-09999"}"#, "no_match", false, false),
    ("tp/e", "scan_target: mcp", #"{"outcome":"match","rule_id":"ATR-2026-09999"}"#, "no_match", false, true),
    // A selector of several fields is named once, where all of it holds.
    (
      "tp/f", "scan_target: mcp\ninput: {content: evil, tool_args: removed}",
      #"{"outcome":"match","rule_id":"ATR-2026-00006","matched_selectors_must_include":["both"]}"#, "match", true, false
    ),
    (
      "tp/f", "scan_target: mcp\ninput: {content: evil, tool_args: removed}",
      #"{"outcome":"match","rule_id":"ATR-2026-00006","matched_selectors_must_include":["both content contains"]}"#, "match", false, false
    ),
    // What is no text is compact JSON.
    ("tp/c", #"{scan_target: mcp, input: {tool_args: {a: [danger, 1.5, true, null, "2"]}}}"#, match3, "match", true, false),
    ("tp/d2", #"{scan_target: skill, input: {x: {document: ["of", 12, yes]}}}"#, match2, "match", true, false),
    // A document is `skill.content`, byte by byte.
    ("tp/s", "scan_target: skill\ninput: known skill", #"{"outcome":"match","rule_id":"ATR-2026-00008"}"#, "match", true, false),
    ("tn/s", "scan_target: skill\ninput: another skill", #"{"outcome":"no_match","rule_id":"ATR-2026-00008"}"#, "no_match", true, false),
    ("tn/s", "scan_target: mcp\ninput: known skill", #"{"outcome":"no_match","rule_id":"ATR-2026-00008"}"#, "no_match", true, false),
    // A trace that cannot be read is an error and no "no match".
    ("edge/t", "scan_target: runtime\ninput: {trace: '{broken'}", #"{"outcome":"graceful_error"}"#, "graceful_error", true, false),
    ("edge/t", "scan_target: runtime\ninput: {trace: '{broken'}", #"{"outcome":"graceful_error_or_no_match"}"#, "graceful_error", true, false),
    ("edge/t", "scan_target: runtime\ninput: {trace: '{broken'}", #"{"outcome":"no_match"}"#, "graceful_error", false, false),
    (
      "tn/t", "scan_target: runtime\ninput: {trace: '{broken'}", #"{"outcome":"no_match","rule_id":"ATR-2026-00007"}"#, "graceful_error", false, false
    ),
    // The error is another rule's.
    ("tn/t", "scan_target: runtime\ninput: {trace: '{broken'}", #"{"outcome":"no_match","rule_id":"ATR-2026-00003"}"#, "no_match", true, false),
    (
      "edge/t", "scan_target: runtime\ninput: {trace: '{broken'}", #"{"outcome":"graceful_error","error_kind_allowed":["yaml_error","json_error"]}"#,
      "graceful_error", true, false
    ),
    (
      "edge/t", "scan_target: runtime\ninput: {trace: '{broken'}", #"{"outcome":"graceful_error","error_kind_allowed":["depth_limit"]}"#,
      "graceful_error", false, false
    ),
    (
      "edge/t", "scan_target: runtime\ninput: {trace: '{broken'}",
      #"{"outcome":"graceful_error","error_kind_must_include":["json_error","regex_timeout"]}"#, "graceful_error", false, false
    ),
    ("edge/a", "scan_target: skill\ninput: ''", #"{"outcome":"graceful_error_or_no_match"}"#, "no_match", true, false),
    ("edge/a", "scan_target: skill\ninput: an attack", #"{"outcome":"graceful_error_or_no_match"}"#, "match", false, false),
    (
      "edge/a", "scan_target: skill\ninput: \"\\0\\0 \\x01 attac\\0k\"", #"{"outcome":"graceful_error_or_no_match","max_runtime_ms":60000}"#,
      "no_match", true, false
    ),
    ("edge/a", "scan_target: skill\ninput: \"\\0 attack\"", #"{"outcome":"match"}"#, "match", true, false),
    // The mark at the head of a document is its encoding; in an event it is text.
    ("edge/a", "scan_target: skill\ninput: \"\\uFEFFtext\"", #"{"outcome":"no_match"}"#, "no_match", true, false),
    ("edge/a", "scan_target: mcp\ninput: \"\\uFEFFtext\"", #"{"outcome":"match"}"#, "match", true, false),
    ("edge/a", "scan_target: hologram\ninput: x", #"{"outcome":"no_match"}"#, "harness_error", false, false),
    ("edge/a", "scan_target: [", #"{"outcome":"no_match"}"#, "harness_error", false, false),
    ("edge/a", "scan_target: mcp\ninput: x", "{", "harness_error", false, false),
    ("edge/a", "scan_target: mcp\ninput: x", #"{"outcome":"fine"}"#, "harness_error", false, false),
  ]
  @Test(arguments: fixtures.indices) func outcome(_ index: Int) throws {
    let fixture = Self.fixtures[index]
    let suite = try Suite()
    try suite.add(fixture.name, fixture.input, fixture.expect)
    let report = try Self.run(suite)
    let result = try #require(report.results.first)
    #expect(result.observed.rawValue == fixture.observed, "\(fixture)")
    #expect(result.passed == fixture.passed, "\(fixture): \(result.failureReason)")
    #expect((result.undecided != nil) == fixture.undecided)
    #expect(result.passed == result.failureReason.isEmpty)
    #expect(report.hasHarnessErrors == (fixture.observed == "harness_error"))
    #expect(report.failures.count == (fixture.passed || fixture.undecided ? 0 : 1))
  }

  /// What runner/report-schema.json requires, in our words.
  nonisolated(unsafe) private static let schema: [String: Any] = [
    "type": "object", "required": ["suite_version", "spec_version", "engine", "rules", "level", "generated_at", "totals", "results"],
    "properties": [
      "suite_version": ["type": "string", "const": "v1.0.0"], "spec_version": ["type": "string", "const": "1.0.0"], "engine": ["type": "string"],
      "rules": ["type": "string"], "level": ["type": "string", "enum": ["L1", "L2", "L3"]], "generated_at": ["type": "string"],
      "totals": [
        "type": "object", "required": ["total", "passed", "failed"],
        "properties": [
          "total": ["type": "integer", "minimum": 0], "passed": ["type": "integer", "minimum": 0], "failed": ["type": "integer", "minimum": 0],
          "harness_errors": ["type": "integer", "minimum": 0],
        ],
      ],
      "results": [
        "type": "array",
        "items": [
          "type": "object", "required": ["fixture", "category", "expected", "observed", "passed", "runtime_ms"],
          "properties": [
            "fixture": ["type": "string"], "category": ["type": "string", "enum": ["tp", "tn", "edge"]], "rule_id": ["type": "string"],
            "expected": ["type": "string"],
            "observed": ["type": "string", "enum": ["match", "no_match", "graceful_error", "engine_error", "harness_error"]],
            "passed": ["type": "boolean"], "runtime_ms": ["type": "integer", "minimum": 0], "failure_reason": ["type": "string"],
          ],
        ],
      ],
    ],
  ]
  @Test(arguments: ConformanceReport.Level.allCases) func theReportIsValid(_ level: ConformanceReport.Level) throws {
    let suite = try Suite()
    for (i, fixture) in Self.fixtures.enumerated() { try suite.add(fixture.name + "\(i)", fixture.input, fixture.expect) }
    let report = try Self.run(suite, level: level)
    #expect(report.results.count == Self.fixtures.count)
    let value = try JSONSerialization.jsonObject(with: Data(report.json(engine: "panguard 0")))
    #expect(JSONSchema.problems(value, Self.schema) == [])
    let object = try #require(value as? [String: Any])
    let totals = try #require(object["totals"] as? [String: Int])
    #expect(totals["total"] == totals["passed"]! + totals["failed"]! + totals["harness_errors"]!)
    #expect(object["generated_at"] as? String == "2026-05-28T20:26:40Z")
    // The validator itself says no.
    for broken in [#"{}"#, #"[]"#, #"{"suite_version":"v1.0.0","totals":{"total":-1}}"#] {
      #expect(!JSONSchema.problems(try JSONSerialization.jsonObject(with: Data(broken.utf8)), Self.schema).isEmpty)
    }
  }
  @Test func noSuiteIsNoResult() throws {
    let suite = try Suite()
    #expect(throws: ConformanceFixture.Unreadable.self) { try Self.run(suite) }
  }
  @Test func aKnownGapIsBoundToItsBytes() throws {
    let suite = try Suite()
    try suite.add("tp/ATR-2026-00451", "scan_target: skill\ninput: x", #"{"outcome":"match","rule_id":"ATR-2026-00001"}"#)
    #expect(try Self.run(suite).failures.count == 1)
  }

  /// The suite's runner writes what is no text into a field as compact JSON.
  @Test func inputsAreWrittenAsTheSuiteDoes() throws {
    let suite = try Suite()
    try suite.add(
      "edge/a", #"{scan_target: mcp, input: {a: {b: [x, 1.5, -3, true, null, "2", 007, 1e3]}, response: r, n: 12, q: "12", t: "a \" b"}}"#,
      #"{"outcome":"no_match"}"#)
    guard case .fields(let fields) = try ConformanceFixture.read("\(suite.path)/fixtures/edge/a", name: "a", category: .edge).input else {
      Issue.record("not a mapping")
      return
    }
    #expect(
      fields.map { "\($0.name)=\($0.text)" } == [
        #"a={"b":["x",1.5,-3,true,null,"2","007",1e3]}"#, "response=r", "n=12", "q=12", "t=a \" b", "tool_response=r",
      ])
  }

  // MARK: Claims

  private static func suite(of ids: [String]) throws -> Suite {
    let suite = try Suite()
    for id in ids {
      try suite.add("tp/\(id)", "scan_target: mcp\ninput: an attack", #"{"outcome":"match","rule_id":"\#(id)"}"#)
      try suite.add("tn/\(id)", "scan_target: mcp\ninput: nothing", #"{"outcome":"no_match","rule_id":"\#(id)"}"#)
    }
    return suite
  }

  /// SPEC.md 12: all fixtures of the suite, and so not those of one rule that happens to be loaded.
  @Test func aFixtureWithoutItsRuleRefutesTheLevel() throws {
    let suite = try Self.suite(of: ["ATR-2026-00001", "ATR-2026-09998", "ATR-2026-09999"])
    let report = try Self.run(suite)
    #expect(report.failures.count == 4 && report.notRun == 4)
    #expect(report.failures.first?.failureReason == "rule ATR-2026-09998 is not loaded")
    #expect(report.claim == ConformanceClaim(isMet: false, text: "level L2 is not met: 4 fixtures name rules that are not loaded or do not run"))
    let allowed = try Self.run(suite, allowsMissing: true)
    #expect(allowed.failures.isEmpty && allowed.undecided.count == 4)
    #expect(
      allowed.claim
        == ConformanceClaim(
          isMet: nil,
          text: "no level is claimed: 4 fixtures name rules that are not loaded or do not run (2 of 2 decided fixtures passed, 4 of 6 are undecided)")
    )
    let full = try Self.run(try Self.suite(of: ["ATR-2026-00001"]))
    #expect(
      full.claim
        == ConformanceClaim(
          isMet: true, text: "level L2 is met on what the standard decides: 2 of 2 decided fixtures passed, 0 of 2 are undecided"))
  }
  @Test func whatALaneOrAProfileTookAwayIsMissing() throws {
    let suite = try Self.suite(of: ["ATR-2026-00001", "ATR-2026-00007"])
    let report = try Self.run(suite, lane: .enforce)
    let reason = "rule ATR-2026-00007 does not run: maturity not stated is not in this lane"
    #expect(report.failures.map(\.failureReason) == [reason, reason])
    #expect(report.claim.isMet == false)
    let profile = ResolvedProfile(name: "p@1.0.0", ruleIDs: ["ATR-2026-00001"])
    let restricted = try Self.run(suite, profiles: [profile])
    #expect(restricted.failures.map(\.failureReason) == Array(repeating: "rule ATR-2026-00007 is not loaded, or not in p@1.0.0", count: 2))
    #expect(restricted.claim.isMet == false && restricted.profileClaims.map(\.isMet) == [true])
  }
  @Test func aProfileHasItsOwnBound() throws {
    let suite = try Self.suite(of: ["ATR-2026-00001", "ATR-2026-00003"])  // the second is not about the text that it gets
    var profile = ResolvedProfile(name: "p@1.0.0", ruleIDs: ["ATR-2026-00001", "ATR-2026-00003"])
    #expect(
      try Self.run(suite, profiles: [profile]).profileClaims
        == [
          ConformanceClaim(isMet: false, text: "profile p@1.0.0 is not met: 3 of 4 decided fixtures about its rules passed, and 100.0 % must")
        ])
    profile.minimumEnginePassing = 750
    #expect(try Self.run(suite, profiles: [profile]).profileClaims.map(\.isMet) == [true])
  }
  @Test func theReportSaysWhatTheEngineCan() throws {
    let report = try Self.run(try Self.suite(of: ["ATR-2026-00001"]))
    let value = try JSONSerialization.jsonObject(with: Data(report.json(engine: "panguard 0")))
    let object = try #require(value as? [String: Any])
    #expect(object["capabilities"] as? [String] == Capabilities.all)
    #expect((object["claim"] as? [String: Any])?["met"] as? Bool == true)
  }

  @Test(arguments: ["rules-450", "rules-642"]) func theOfficialFixtures(_ name: String) throws {
    guard let shared = sharedDirectory() else {
      print("skipped: no shared data (set PANGUARD_SHARED)")
      return
    }
    let loaded = RuleStore.load(yaml: ["\(shared)/corpora/atr/\(name)"])
    var runner = ConformanceRunner(loaded)
    let report = try runner.run("\(shared)/corpora/atr/conformance-v1.0", level: .L2, generatedAt: .zero)
    #expect(report.results.count == 226)
    #expect(report.refusedRules == 0)
    #expect(report.failures.map { "\($0.category)/\($0.name): \($0.failureReason)" } == [])
    #expect(report.results.count - report.undecided.count == 151)
    #expect(report.notRun == 0 && report.claim.isMet == true)
    // Without exception: what is undecided has a reason, and no harness failed.
    #expect(!report.hasHarnessErrors)
    #expect(report.undecided.allSatisfy { $0.undecided?.isEmpty == false })
  }
}
