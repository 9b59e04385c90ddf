// The playbooks that are shipped: read without a word, fed by the shipped rules, their tests pass; and the tester fails what it should.
import AgentRuntime
import Detection
import Playbooks
import Primitives
import RuleLanguage
import Testing

private let root: String = {
  let parts = #filePath.split(separator: "/").dropLast(3)
  return "/" + parts.joined(separator: "/")
}()

@Suite struct ShippedPlaybooksTests {
  private static let shipped = PlaybookStore.load(paths: ["\(root)/rules/playbooks"])

  @Test func readWithoutAWord() {
    #expect(Self.shipped.diagnostics.map(\.description) == [])
    #expect(Self.shipped.playbooks.count >= 7)
    let rules = RuleStore.load(yaml: ["\(root)/rules/host", "\(root)/rules/network"]).set.rules
    #expect(PlaybookStore.unfedTriggers(Self.shipped, rules: rules).map(\.description) == [])
  }
  @Test func testsPass() {
    let report = PlaybookTester.run(Self.shipped)
    #expect(report.failures.map(\.description) == [])
    #expect(report.untested == [])
    #expect(report.testsRun >= 30)
  }
  /// Whatever the shipped rules propose to block is answered by a playbook that blocks, or asks.
  @Test func everyProposalHasAnAnswer() {
    let rules = RuleStore.load(yaml: ["\(root)/rules/host", "\(root)/rules/network"]).set.rules
    var unanswered: [String] = []
    for rule in rules where rule.severity >= .medium {
      var facts = DecisionFacts()
      facts.rule = rule.id
      facts.category = rule.category
      facts.techniques = rule.techniques
      facts.severity = rule.severity
      facts.subject = Subject(source: "192.0.2.7")
      let planner = Harness(Self.shipped, PlannerConfiguration(mode: .armed))
      let plan = planner.plan(facts.decision(revision: 1))
      if !plan.actions.contains(where: { $0.kind == .blockIP }) { unanswered.append("\(rule.id) \(plan.playbook ?? "none")") }
    }
    print("rules whose address no shipped playbook blocks: \(unanswered)")
    // What crosses the wire between an agent and its tools is told: a block would cut off the owner's own machine.
    #expect(unanswered.allSatisfy { $0.hasSuffix("anything-else") || $0.hasSuffix("agent-threat") })
  }
  @Test func rulesAndPlaybooksMayLieTogether() {
    let rules = RuleStore.load(yaml: ["\(root)/rules/playbooks"])
    #expect(rules.set.refusedCount == 0 && rules.set.rules.isEmpty)
  }
  @Test func theTesterFails() {
    let read = set(
      """
      playbook: p
      title: T
      priority: 1
      when: {severity: low}
      steps: [block_ip]
      tests:
        - {name: right, decision: {source: 192.0.2.7}, expect: [execute block_ip 192.0.2.7/32 for 10m]}
        - {name: wrong, decision: {source: 192.0.2.7}, expect: [execute block_ip 192.0.2.7/32 for 1h]}
        - {name: silent, decision: {source: 192.0.2.7}, expect: nothing}
        - {name: other, decision: {source: 192.0.2.7, category: x}, expect: []}
        - {name: none, decision: {source: 192.0.2.7, severity: informational}, expect: []}
      ---
      {playbook: q, title: T, priority: 2, when: {category: x}, steps: [log_only]}
      """)
    #expect(read.diagnostics.map(\.description) == [])
    let report = PlaybookTester.run(read)
    #expect(report.testsRun == 5 && report.untested == ["q"])
    #expect(
      report.failures.map { "\($0.test): \($0.reason)" } == [
        "wrong: expected 'execute block_ip 192.0.2.7/32 for 1h', came 'execute block_ip 192.0.2.7/32 for 10m'",
        "silent: nothing was expected of it, but it answers", "other: q answers instead", "none: no playbook answers",
      ])
    #expect(report.failures[0].location.description == "p.yaml:8:29")
  }
  @Test func aTriggerThatNoRuleCanPull() {
    let rules = RuleStore.load(yaml: ["\(root)/rules/host", "\(root)/rules/network"]).set.rules
    let read = set("playbook: p\ntitle: T\nwhen: {rule: X-1*, category: reconaissance, technique: [T1110, T9999]}\nsteps: [log_only]")
    #expect(
      PlaybookStore.unfedTriggers(read, rules: rules).map(\.description) == [
        "p.yaml:1:1: warning: playbook p: no loaded rule has the id 'X-1*'",
        "p.yaml:1:1: warning: playbook p: no loaded rule has the category 'reconaissance'; did you mean 'reconnaissance'?",
        "p.yaml:1:1: warning: playbook p: no loaded rule has the technique 'T9999'",
      ])
  }
  @Test func twoSetsDiffer() throws {
    var old = PlaybookSimulation(set(blocking))
    var new = PlaybookSimulation(set(blocking + "\nescalation: [1h]"))
    let difference = try #require(PlanDifference(from: old.plan(decision()), to: new.plan(decision())))
    #expect(difference.removed == ["would block_ip 192.0.2.7/32 for 10m"] && difference.added == ["would block_ip 192.0.2.7/32 for 1h"])
    #expect(PlanDifference(from: old.plan(decision(after: .minutes(1))), to: new.plan(decision(after: .minutes(1)))) == nil)
    #expect(old.counters.executed == 0 && new.counters.wouldHaveExecuted == 1)
  }
  @Test func plansAsJSON() {
    let planner = armed(blocking)
    let plan = planner.plan(decision())
    let key = plan.actions[0].idempotencyKey
    #expect(
      String(decoding: PlanJSON.line(plan), as: UTF8.self)
        == #"{"@timestamp":"2026-01-01T00:00:00Z","panguard.decision.id":"\#(plan.decisionID)","panguard.decision.revision":1,"mode":"armed","playbook":"b","actions":[{"step":1,"kind":"block_ip","disposition":"execute","action":"block_ip 192.0.2.7/32 for 10m","rollback":"unblock_ip 192.0.2.7/32","idempotency_key":"\#(key)"}]}"#
    )
  }
}
