// The rules and the sample that are shipped: every embedded case passes, nothing is left to lint, and the sample shows what its
// README promises.
import AgentRuntime
import Detection
import Glibc
import LogParsers
import Primitives
import RuleEngine
import RuleLanguage
import RuleLinting
import Testing
import TypedYAML

private let root: String = {
  // <root>/Tests/ShippedRulesTests/ShippedRulesTests.swift
  let parts = #filePath.split(separator: "/").dropLast(3)
  return "/" + parts.joined(separator: "/")
}()
private let loaded = RuleStore.load(yaml: ["\(root)/rules/host", "\(root)/rules/network"])

@Suite struct ShippedRulesTests {
  @Test func loadWithoutAWord() {
    #expect(loaded.set.diagnostics.map(\.description) == [])
    #expect(loaded.set.refusedCount == 0)
    #expect(loaded.set.rules.count >= 90)
    #expect(RuleLint.metadata(loaded.set).map(\.description) == [])
  }

  @Test func nothingIsLeftToLint() throws {
    let bytes = try readDocumentFile("\(root)/rules/benign/documents.jsonl", limit: Limits.benignBytes).get()
    #expect(bytes.count < 600_000)
    let (documents, problems) = bytes.withUnsafeBytes { BenignDocument.read($0, file: "documents.jsonl") }
    #expect(problems.map(\.description) == [])
    #expect(documents.count >= 400)
    #expect(Set(documents.map(\.id)).count == documents.count)
    #expect(Set(documents.map(\.text)).count == documents.count)
    #expect(Set(documents.map(\.eventType)).count == 8)
    let report = RuleLint.report(loaded.set, LintOptions(benign: documents, readFile: { try? readDocumentFile($0).get() }))
    #expect(report.findings.map(\.description) == [])
    #expect(report.benignDocuments == documents.count && report.benignFlagged == 0)
  }

  @Test func theEngineRunsAllOfThem() {
    let engine = RuleEngine(loaded.set)
    #expect(engine.diagnostics.map(\.description) == [])
    for rule in loaded.set.rules {
      if case .skipped = rule.detection { Issue.record("\(rule.id) is skipped") }
    }
  }

  @Test func embeddedCasesPass() {
    var tester = RuleTester(loaded.set)
    let report = tester.run()
    #expect(report.failures.map { "\($0.location): \($0.description): \($0.reason)" } == [])
    #expect(report.untestedRules == [])
    #expect(report.casesRun >= 500)
  }

  /// Only confident rules may ask for a block; what speaks for innocence never does.
  @Test func statedActionsFitTheConfidence() {
    for rule in loaded.set.rules {
      #expect(!rule.techniques.isEmpty, "\(rule.id)")
      #expect(!rule.falsePositives.isEmpty, "\(rule.id)")
      if rule.responseActions.contains("block_request") { #expect(rule.confidence.thousandths >= 900, "\(rule.id)") }
      if rule.isExculpatory { #expect(rule.responseActions == ["log_alert"], "\(rule.id)") }
    }
  }
}

@Suite struct SampleTests {
  /// The highest confidence about each subject, and the rules that spoke of it.
  private static let findings: [String: (confidence: Confidence, rules: Set<String>)] = {
    let detector = Detector(ruleSet: loaded.set, ruleSetHash: loaded.hash, configuration: DetectorConfiguration(), engineVersion: "test")
    let replay = Replay(pipeline: Pipeline(detector: detector))
    let time = EventTime(year: 2026, month: 2, day: 1, hour: 0, minute: 0, second: 0) ?? .zero
    for name in ["auth.log", "access.log"] {
      do {
        try replay.add(path: "\(root)/examples/\(name)", format: .auto, inputTime: time, standardInputTime: time, utcOffsetSeconds: 0)
      } catch {
        Issue.record("\(error)")
      }
    }
    var found: [String: (confidence: Confidence, rules: Set<String>)] = [:]
    let titles = Dictionary(uniqueKeysWithValues: loaded.set.rules.map { ($0.id, fileName($0)) })
    _ = replay.run { decision in
      var entry = found[decision.subject.label] ?? (Confidence(thousandths: 1), [])
      entry.confidence = max(entry.confidence, decision.confidence)
      entry.rules.insert(titles[decision.ruleID] ?? decision.ruleID)
      found[decision.subject.label] = entry
    }
    return found
  }()
  private static func fileName(_ rule: Rule) -> String {
    let file = rule.location.file.split(separator: "/").last.map(String.init) ?? ""
    return String(file.prefix { $0 != "." })
  }

  @Test(arguments: [
    ("192.0.2.23", 900, ["ssh-brute-force-fast"]),
    ("203.0.113.45", 900, ["ssh-spraying-slow"]),
    ("192.0.2.88", 900, ["ssh-password-spraying"]),
    ("2001:db8:bad:1::/64", 900, ["ssh-brute-force-fast"]),
    ("203.0.113.7", 900, ["ssh-brute-force-fast"]),
    ("192.0.2.130", 700, ["ssh-probe-repeated"]),
    ("192.0.2.61", 900, ["firewall-port-scan"]),
    ("bob", 700, ["sudo-password-guessing"]),
    ("www-data", 700, ["privilege-attempts-both-ways"]),
    ("203.0.113.99", 900, ["ssh-login-after-brute-force"]),
    ("web01", 900, ["account-created-after-intrusion", "security-service-stopped"]),
    ("root", 700, ["cron-suspicious-command"]),
    ("192.0.2.150", 900, ["ssh-brute-force-fast"]),
    ("192.0.2.44", 900, ["web-probe-breadth", "web-probe-series"]),
    ("203.0.113.51", 900, ["web-probe-breadth", "web-probe-series"]),
    ("192.0.2.52", 900, ["web-sql-injection", "web-cross-site-scripting", "web-path-traversal", "web-command-injection", "web-attack-series"]),
    ("192.0.2.53", 900, ["web-log4shell"]),
    ("192.0.2.58", 700, ["web-foreign-protocol"]),
    ("203.0.113.54", 900, ["web-cms-login-guessing"]),
    ("192.0.2.55", 900, ["web-login-guessing", "web-login-stuffing"]),
    ("192.0.2.56", 900, ["web-scanner-agent"]),
    ("2001:db8:bad:2::/64", 700, ["web-path-enumeration"]),
    ("192.0.2.60", 700, ["web-secret-served"]),
  ])
  func storyIsFound(_ subject: String, _ thousandths: Int, _ rules: [String]) {
    let found = Self.findings[subject]
    #expect(found.map { $0.confidence.thousandths >= thousandths } == true, "\(subject): \(String(describing: found))")
    #expect(Set(rules).subtracting(found?.rules ?? []) == [])
  }

  /// People, crawlers and health checks: nothing about them may notify anybody.
  @Test func innocentsAreLeftAlone() {
    for (subject, found) in Self.findings
    where subject.hasPrefix("198.51.100.") || subject.hasPrefix("2001:db8:10:") || subject.hasPrefix("2001:db8:20:") {
      #expect(found.confidence < Confidence(thousandths: 700), "\(subject): \(found)")
    }
    for subject in ["alice", "carol"] { #expect((Self.findings[subject]?.confidence.thousandths ?? 0) < 700, "\(subject)") }
  }
}
