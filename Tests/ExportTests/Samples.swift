// Decisions for the golden files: an ordinary one, one about an IPv6 network with evidence on both sides, one in which every text
// was written by an attacker.
import Detection
import Events
import Primitives
import RuleLanguage
import Scoring

enum Sample {
  static let provenance = Provenance(
    engineVersion: "0.1.0", ruleSetHash: "6c1f0c6f9a2a4e0db37f4d0f3c2b1a99", configurationHash: "0a4f5e6d7c8b9a00112233445566778f",
    baselineHash: "none")

  static func time(_ text: String) -> EventTime { EventTime(rfc3339: text) ?? .zero }

  static func evidence(_ source: String, _ line: String, offset: UInt64, _ stamp: String) -> EvidenceRecord {
    EvidenceRecord(
      source: source, offset: offset, length: UInt32(line.utf8.count), time: time(stamp),
      fingerprint: Array(line.utf8).withUnsafeBytes { Fingerprint(of: $0) })
  }

  static let lines = [
    "Jan  5 00:00:01 web1 sshd[812]: Failed password for root from 192.0.2.7 port 40022 ssh2",
    "Jan  5 00:00:19 web1 sshd[815]: Failed password for invalid user admin from 192.0.2.7 port 40031 ssh2",
  ]

  static let bruteForce: Decision = {
    let signals = [
      Signal(
        name: "ATR-2026-90001", family: "ssh-authentication", weight: ConfidenceModel().weight(of: Confidence(thousandths: 920)),
        isAttested: false, detail: "12 failed attempts in 10m (threshold 5)"),
      Signal(
        name: "ATR-2026-90004", family: "ssh-authentication", weight: ConfidenceModel().weight(of: Confidence(thousandths: 600)),
        isAttested: false, detail: "6 different accounts tried"),
    ]
    let (confidence, terms) = ConfidenceModel().score(signals)
    return Decision(
      id: "d3f9a1c2b4e5d607f", revision: 3, time: time("2026-01-05T00:00:19Z"), subject: Subject(source: "192.0.2.7", host: "web1"),
      ruleID: "ATR-2026-90001", ruleTitle: "SSH brute force from one address", severity: .high, category: "credential-access",
      techniques: ["T1110.001", "T1021.004"], confidence: confidence, terms: terms, trust: .claimed, action: .notify,
      actionReason: "confidence is at least 0.900, but a line that any local user could have written cannot cause a block", matchCount: 12,
      observed: 12, threshold: 5, firstTime: time("2026-01-04T23:58:00.250Z"), lastTime: time("2026-01-05T00:00:19Z"),
      summary: "12 failed attempts in 10m (threshold 5)",
      evidence: [
        evidence("/var/log/auth.log", lines[0], offset: 18_230, "2026-01-05T00:00:01Z"),
        evidence("/var/log/auth.log", lines[1], offset: 18_318, "2026-01-05T00:00:19Z"),
      ],
      evidenceTotal: 12, provenance: provenance)
  }()

  static let network: Decision = {
    let signals = [
      Signal(
        name: "ATR-2026-90020", family: "web-injection", weight: ConfidenceModel().weight(of: Confidence(thousandths: 950)), isAttested: true,
        detail: "url.query matches /union\\s+select/"),
      Signal(
        name: "ATR-2026-90050", family: "known-client",
        weight: ConfidenceModel().weight(ofRule: "", stating: Confidence(thousandths: 800), isExculpatory: true),
        isAttested: true, detail: "the address logged in before"),
    ]
    let (confidence, terms) = ConfidenceModel().score(signals)
    return Decision(
      id: "d00c0ffee00c0ffee", revision: 1, time: time("2026-01-05T07:30:00.123456789Z"),
      subject: Subject(source: "2001:db8:1:2::/64", user: "alice", session: "42"), ruleID: "ATR-2026-90020", ruleTitle: "SQL injection",
      severity: .critical, category: "web-attack", techniques: ["T1190", "T9999"], confidence: confidence, terms: terms, trust: .attested,
      action: .blockIP, actionReason: "confidence 0.900 or more from a deterministic rule", matchCount: 1, observed: 1, threshold: 1,
      firstTime: time("2026-01-05T07:30:00.123456789Z"), lastTime: time("2026-01-05T07:30:00.123456789Z"),
      summary: "url.query matches /union\\s+select/",
      evidence: [evidence("journal", "GET /?q=1 union select", offset: 77, "2026-01-05T07:30:00.123456789Z")], evidenceTotal: 1,
      provenance: provenance)
  }()

  /// Colours, cursor movement, a title change, a forged second line, bidi overrides, a pile of marks, C1 controls, NUL, quotes.
  static let nasty =
    "a\u{1b}[2J\u{1b}]0;owned\u{7}\r\n2026-01-05T00:00:00Z INFO all is well\u{202e}txt.exe\u{2066}\u{9b}31m\u{0}\u{7f}\u{85}\u{2028}"
    + "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{200b}\u{feff}\u{e0041}\u{3164}\u{a0}\u{e000}\"]\\ =é漢字"

  static let hostile: Decision = {
    let term = ConfidenceTerm(
      signal: Signal(name: nasty, family: nasty, weight: MilliNats(-400), isAttested: false, detail: nasty), contribution: MilliNats(-100))
    return Decision(
      id: nasty, revision: 1, time: time("2026-01-05T00:00:19.5Z"),
      subject: Subject(source: nasty, user: nasty, session: nasty, host: nasty), ruleID: nasty, ruleTitle: nasty, severity: .low,
      category: nasty, techniques: [nasty], confidence: Confidence(thousandths: 1), terms: [term], trust: .claimed, action: .logOnly,
      actionReason: nasty, matchCount: .max, observed: .min, threshold: .max, firstTime: .distantPast, lastTime: .distantFuture,
      summary: nasty,
      evidence: [
        EvidenceRecord(source: nasty, offset: .max, length: .max, time: .zero, fingerprint: Fingerprint(high: 1, low: 2)),
        EvidenceRecord(source: "/var/log/it's here; rm -rf", offset: 0, length: 0, time: .zero, fingerprint: Fingerprint(high: 1, low: 2)),
      ],
      evidenceTotal: .max, provenance: Provenance(engineVersion: nasty, ruleSetHash: nasty, configurationHash: nasty, baselineHash: nasty))
  }()

  static let all = [bruteForce, network, hostile]

  static let location = SourceLocation(file: "rules/host/ssh.yaml", line: 1)
  static func filter(_ name: String, _ field: Field, _ value: String) -> Condition {
    Condition(name: name, field: .known(field), test: .exact([value], caseSensitive: true), location: location)
  }
  static func rule(_ detection: Detection, falsePositives: [String] = []) -> Rule {
    Rule(
      id: "ATR-2026-90001", title: "SSH brute force from one address",
      summary: "Many failed SSH logins from one address in a short time. Attackers guess passwords of accounts that exist everywhere; "
        + "a person who forgot a password tries a few times and stops.",
      author: "Panguard", date: "2026-01-01", status: "stable", maturity: "stable", severity: .high,
      confidence: Confidence(thousandths: 920), agentSource: "host_log", category: "credential-access", subcategory: "",
      techniques: ["T1110.001", "T1021.004"], references: [], falsePositives: falsePositives, responseActions: ["block_ip"],
      family: "ssh-authentication", isExculpatory: false, detection: detection, tests: [], location: location,
      fingerprint: Fingerprint(high: 0, low: 0))
  }
  static let bruteForceRule = rule(
    .behavioral(
      BehavioralDetection(
        metric: "panguard.attempt.count", metricField: .known(.attemptCount), aggregation: .sum, window: .minutes(10), comparison: .gte,
        threshold: 5, groupBy: [.known(.sourceIP)], groupsIPv6ByNetwork: true,
        filter: [filter("provider", .eventProvider, "sshd"), filter("outcome", .eventOutcome, "failure")],
        filterExpression: .all([.condition(0), .condition(1)]), minEvents: 1, cooldown: nil)),
    falsePositives: ["A script or backup job with an old password or key.", "Many users behind one address (NAT)."])
}
