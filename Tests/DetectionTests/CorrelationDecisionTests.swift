// Decisions of correlations: what they name, what their message says, under which profiles they stand, and what is said when state is full.
import Detection
import Events
import Primitives
import RuleLanguage
import Testing

private let rules = """
  title: First
  id: ATR-2026-99001
  severity: high
  confidence: 80
  tags: {category: impact}
  agent_source: {type: host_log}
  panguard: {family: first}
  detection: {conditions: [{field: event.action, operator: exact, value: first}], condition: any}
  ---
  title: Second
  id: ATR-2026-99002
  severity: high
  confidence: 80
  tags: {category: impact}
  agent_source: {type: host_log}
  panguard: {family: second}
  detection: {conditions: [{field: event.action, operator: exact, value: second}], condition: any}
  ---
  correlation: {id: ATR-COR-2026-99001, title: Both, severity: high}
  source_rules: [{alias: first, rule_id: ATR-2026-99001}, {alias: second, rule_id: ATR-2026-99002}]
  correlation_logic: {type: temporal_sequence, sequence: [first, second], join_keys: [agent.id], window: 10m}
  response:
    message_template: >
      {rule_id}: {agent.id} did {first.event_id} ({first.rule_id})
      then {second.event_id} at {second.timestamp} {third.event_id} {open
  """

private func detector(_ profiles: [ResolvedProfile] = []) -> Detector {
  var set = RuleLoader.load(document: rules, file: "r.yaml")
  #expect(set.refusedCount == 0)
  if !profiles.isEmpty { set = set.restricted(to: profiles) }
  var detector = Detector(ruleSet: set, ruleSetHash: "r", configuration: DetectorConfiguration(), engineVersion: "test")
  _ = detector.addSource("log")
  return detector
}

private func play(_ detector: inout Detector, _ action: String, agent: String = "x", at seconds: Int64, id: String? = nil) -> [Decision] {
  var event = Event()
  event.begin(raw: Bytes("line"), origin: EventOrigin(source: 0, offset: UInt64(seconds), length: 4))
  event.time = EventTime(seconds: seconds)
  Array(action.utf8).withUnsafeBytes { event.set(.eventAction, $0) }
  Array(agent.utf8).withUnsafeBytes { event.set(.agentID, $0) }
  event.set(.sourceIP, IPAddress(v4: 0xc000_0207))
  if let id { Array(id.utf8).withUnsafeBytes { event.setExtra(Bytes("event.id"), $0) } }
  return detector.process(event)
}

@Suite struct CorrelationDecisionTests {
  @Test func aDecisionNamesWhatItJoins() throws {
    var detector = detector()
    _ = play(&detector, "first", at: 1000, id: "one")
    let all = play(&detector, "second", at: 1001)
    let decision = try #require(all.first { $0.ruleID == "ATR-COR-2026-99001" })
    let second = try #require(all.first { $0.ruleID == "ATR-2026-99002" }?.evidence.last)
    let derived = MatchIdentifier.text(
      ruleID: "ATR-2026-99002", time: second.time, offset: second.offset, length: second.length, fingerprint: second.fingerprint)
    #expect(decision.upstream == ["one", derived])
    #expect(decision.agent == "x" && decision.profiles.isEmpty)
    #expect(
      decision.message
        == "ATR-COR-2026-99001: x did one (ATR-2026-99001) then \(derived) at 1970-01-01T00:16:41Z {third.event_id} {open")
  }

  @Test func decisionsSayTheirProfiles() {
    let all = ["ATR-2026-99001", "ATR-2026-99002", "ATR-COR-2026-99001"]
    var one = detector([ResolvedProfile(name: "a@1", ruleIDs: all), ResolvedProfile(name: "b@1", ruleIDs: ["ATR-2026-99002", "ATR-COR-2026-99001"])])
    _ = play(&one, "first", at: 1000)
    let found = play(&one, "second", at: 1001)
    #expect(found.map { "\($0.ruleID) \($0.profiles)" } == [#"ATR-2026-99002 ["a@1", "b@1"]"#, #"ATR-COR-2026-99001 ["a@1"]"#])
  }

  /// What a rule of another profile says about the same address is no evidence here.
  @Test func signalsOfAnotherProfileDoNotCount() {
    func confidence(_ profiles: [ResolvedProfile]) -> Confidence? {
      var detector = detector(profiles)
      _ = play(&detector, "first", at: 1000)
      return play(&detector, "second", at: 1001).first { $0.ruleID == "ATR-2026-99002" }?.confidence
    }
    let together = confidence([ResolvedProfile(name: "a", ruleIDs: ["ATR-2026-99001", "ATR-2026-99002"])])
    let apart = confidence([ResolvedProfile(name: "a", ruleIDs: ["ATR-2026-99001"]), ResolvedProfile(name: "b", ruleIDs: ["ATR-2026-99002"])])
    let alone = confidence([ResolvedProfile(name: "b", ruleIDs: ["ATR-2026-99002"])])
    #expect(apart == alone && apart != together)
  }

  @Test func evictionsNameTheirRule() {
    var detector = detector()
    for n in 0...Limits.correlationChains { _ = play(&detector, "first", agent: "\(n)", at: 1000) }
    #expect(
      detector.takeEvictions() == [CorrelationEviction(ruleID: "ATR-COR-2026-99001", time: EventTime(seconds: 1000), matchCount: 1)])
    #expect(detector.takeEvictions().isEmpty)
  }
}
