// What a playbook promises, beside it: facts of decisions in, expected actions out. `panguard playbooks test` runs them through the real
// planner, with every playbook of the set, so that one that is never asked shows.
import Detection
import Events
import Primitives
import RuleLanguage
import Scoring
import TypedYAML

public struct PlaybookTest: Hashable, Sendable {
  public struct Moment: Hashable, Sendable {
    public var facts: DecisionFacts
    /// What the planner answers, in the form of `PlannedAction.line`; nil: this playbook does not answer.
    public var expected: [String]?
    public var location: SourceLocation
  }
  public var name: String
  public var mode: ResponseMode
  public var claimedMayAct: Bool
  /// In the order of their times.
  public var moments: [Moment]
  public var location: SourceLocation
}

/// The part of a decision that playbooks can see, as an author writes it.
public struct DecisionFacts: Hashable, Sendable {
  public var rule = "ATR-2026-99999"
  public var category = "uncategorized"
  public var techniques: [String] = []
  public var severity = Severity.medium
  public var confidence = Confidence(thousandths: 950)
  public var trust = Trust.attested
  public var subject = Subject()
  /// nil: what the detector's standard thresholds propose.
  public var action: ProposedAction?
  public var targets = ResponseTargets()
  /// Since the first moment of the test.
  public var after = Nanoseconds(0)
  /// Names the incident; one for the whole test unless it says otherwise.
  public var incident = "1"
  public init() {}

  /// A decision with these facts. `revision`: 1-based.
  public func decision(revision: Int) -> Decision {
    let thresholds = DetectorConfiguration()
    let proposed: ProposedAction =
      confidence < thresholds.notifyThreshold || severity == .informational
      ? .logOnly : confidence < thresholds.actThreshold || subject.network == nil ? .notify : .blockIP
    let signal = Signal(
      name: rule, family: rule, weight: thresholds.confidence.weight(of: confidence), isAttested: trust == .attested, detail: "of a test")
    let time = EventTime(seconds: 1_767_225_600) + after  // 2026-01-01T00:00:00Z
    return Decision(
      id: "d" + Fingerprint(ofText: incident + "\0" + rule + "\0" + subject.label).description.prefix(16), revision: revision, time: time,
      subject: subject, ruleID: rule, ruleTitle: "of a test", severity: severity, category: category, techniques: techniques,
      confidence: confidence, terms: thresholds.confidence.score([signal]).terms, trust: trust, action: action ?? proposed,
      actionReason: "the test says so", matchCount: UInt64(revision), observed: Measure(1), threshold: Measure(1), firstTime: time, lastTime: time,
      summary: "of a test", evidence: [], evidenceTotal: 0,
      provenance: Provenance(engineVersion: "test", ruleSetHash: "", configurationHash: "", baselineHash: "none"))
  }
}

extension Fingerprint {
  init(ofText text: String) {
    var copy = text
    self = copy.withUTF8 { Fingerprint(of: Bytes($0)) }
  }
}

struct PlaybookTestReader {
  let problems: Problems

  func read(_ section: Section) -> [PlaybookTest] {
    guard let nodes = section.list("tests") else { return [] }
    guard nodes.count <= Limits.playbookTests else {
      problems.error(section.location(of: "tests"), "'tests' has \(nodes.count) entries, but may have \(Limits.playbookTests)")
      return []
    }
    return nodes.enumerated().compactMap { number, node in
      Section(node, path: "tests[\(number + 1)]", problems: problems).flatMap(test)
    }
  }

  private func test(_ section: Section) -> PlaybookTest? {
    section.refuseUnknownKeys(["name", "mode", "claimed_may_act", "decision", "expect", "decisions"])
    let name = section.text("name", isRequired: true) ?? ""
    let mode = section.choice("mode", ResponseMode.self) ?? .armed
    var moments: [PlaybookTest.Moment] = []
    if section.has("decisions") {
      for key in ["decision", "expect"] where section.has(key) {
        problems.error(section.location(of: key), "'\(section.qualified(key))' stands inside each of 'decisions' here")
      }
      for (i, node) in (section.list("decisions", isRequired: true) ?? []).prefix(Limits.playbookTests).enumerated() {
        guard let inner = Section(node, path: "\(section.qualified("decisions"))[\(i + 1)]", problems: problems) else { continue }
        moments.append(
          PlaybookTest.Moment(facts: facts(inner, extra: ["expect"]), expected: expected(inner), location: inner.location))
      }
    } else if let inner = section.section("decision", isRequired: true) {
      moments.append(PlaybookTest.Moment(facts: facts(inner, extra: []), expected: expected(section), location: inner.location))
    }
    if moments.isEmpty { problems.error(section.location, "'\(section.path)' has no decision") }
    return PlaybookTest(
      name: name, mode: mode, claimedMayAct: section.flag("claimed_may_act") ?? false, moments: moments, location: section.location)
  }

  /// A list of lines, or the word `nothing`: another playbook answers, or none.
  private func expected(_ section: Section) -> [String]? {
    if section.node("expect")?.text == "nothing" { return nil }
    if section.has("expect"), section.node("expect")?.list == nil {
      problems.error(section.location(of: "expect"), "'\(section.qualified("expect"))' must be a list of actions, or the word nothing")
      return []
    }
    return section.textNodes("expect", isRequired: true).compactMap(\.text)
  }

  private func facts(_ section: Section, extra: [String]) -> DecisionFacts {
    section.refuseUnknownKeys(
      [
        "rule", "category", "technique", "severity", "confidence", "trust", "source", "user", "session", "host", "action", "after", "incident",
        "pid", "file",
      ] + extra)
    var facts = DecisionFacts()
    if let rule = section.text("rule") { facts.rule = rule }
    if let category = section.text("category") { facts.category = category }
    facts.techniques = section.texts("technique")
    if let severity = section.choice("severity", Severity.self) { facts.severity = severity }
    if let confidence = section.decimal("confidence", digits: 3, in: 1...999) { facts.confidence = Confidence(thousandths: Int(confidence)) }
    if let word = section.word("trust", of: Trust.allCases.map { "\($0.name)" }), let trust = Trust.allCases.first(where: { "\($0.name)" == word }) {
      facts.trust = trust
    }
    facts.subject = Subject(
      source: section.text("source"), user: section.text("user"), session: section.text("session"), host: section.text("host"))
    if let source = facts.subject.source, CIDR(source) == nil {
      problems.error(section.location(of: "source"), "'\(section.qualified("source"))' is '\(shown(source))', which is no address or network")
    }
    if facts.subject == Subject() {
      problems.error(section.location, "'\(section.path)' has no subject", hint: "name a source, user, session or host")
    }
    if let action = section.choice("action", ProposedAction.self) { facts.action = action }
    if let after = section.duration("after") { facts.after = after }
    if let incident = section.text("incident") { facts.incident = incident }
    if let pid = section.integer("pid", in: 2...Int64(Int32.max)) { facts.targets.process = ProcessReference(pid: Int32(pid), startTicks: 1) }
    facts.targets.file = section.text("file")
    return facts
  }
}
