// Decisions and playbooks that the tests share.
import Detection
import Events
import Playbooks
import Primitives
import RuleLanguage

func set(_ text: String) -> PlaybookSet { PlaybookSet(reading: text, file: "p.yaml") }

func decision(
  _ source: String? = "192.0.2.7", confidence: Int = 950, trust: Trust = .attested, after: Nanoseconds = Nanoseconds(0), revision: Int = 1,
  _ change: (inout DecisionFacts) -> Void = { _ in }
) -> Decision {
  var facts = DecisionFacts()
  facts.subject = Subject(source: source)
  facts.confidence = Confidence(thousandths: confidence)
  facts.trust = trust
  facts.after = after
  change(&facts)
  return facts.decision(revision: revision)
}

func armed(_ text: String, mode: ResponseMode = .armed, claimedMayAct: Bool = false) -> Harness {
  Harness(set(text), PlannerConfiguration(mode: mode, claimedMayAct: claimedMayAct))
}

/// A planner that can stand inside an expectation, which wants what it can copy.
final class Harness {
  private var planner: Planner
  init(_ set: PlaybookSet, _ configuration: PlannerConfiguration = PlannerConfiguration()) {
    planner = Planner(set, configuration: configuration)
  }
  func plan(_ decision: Decision, targets: ResponseTargets = ResponseTargets()) -> Plan { planner.plan(decision, targets: targets) }
  /// The lines of the plan.
  func lines(_ decision: Decision) -> [String] { plan(decision).actions.map(\.line) }
  func explain(_ decision: Decision) -> [Consideration] { planner.explain(decision) }
  func note(_ outcome: ActionOutcome, of key: String) -> Bool { planner.note(outcome, of: key) }
  func noteUnblocked(_ network: CIDR) { planner.noteUnblocked(network) }
  func noteAllUnblocked() { planner.noteAllUnblocked() }
  func approve(_ id: String, at time: EventTime) -> ApprovalAnswer { planner.approve(id, at: time) }
  func deny(_ id: String, at time: EventTime) -> ApprovalAnswer { planner.deny(id, at: time) }
  func expireApprovals(at time: EventTime) -> [PendingApproval] { planner.expireApprovals(at: time) }
  func set(mode: ResponseMode) -> [PendingApproval] { planner.set(mode: mode) }
  func replace(playbooks: PlaybookSet) { planner.replace(playbooks: playbooks) }
  func openBreakers(at time: EventTime) -> [String] { planner.openBreakers(at: time) }
  func closeBreaker(of playbook: String) { planner.closeBreaker(of: playbook) }
  func snapshot() -> [UInt8] { planner.snapshot() }
  func restore(_ bytes: [UInt8]) throws { try planner.restore(bytes) }
  var pendingApprovals: [PendingApproval] { planner.pendingApprovals }
  var unanswered: [UnansweredAction] { planner.unanswered }
  var counters: PlannerCounters { planner.counters }
  var mode: ResponseMode { planner.configuration.mode }
}

let blocking = """
  playbook: b
  title: B
  when: {severity: low}
  steps: [block_ip]
  """
