// What playbooks would have done over recorded decisions, and how two sets of them differ. Every action is taken as done, so that cool-downs
// and escalation go on as they would have.
import Detection
import Primitives

public struct PlaybookSimulation: ~Copyable {
  private var planner: Planner

  /// Nothing is handed out, whatever mode `configuration` names.
  public init(_ set: PlaybookSet, configuration: PlannerConfiguration = PlannerConfiguration()) {
    var configuration = configuration
    configuration.mode = .observe
    planner = Planner(set, configuration: configuration)
  }
  public mutating func plan(_ decision: Decision) -> Plan { planner.plan(decision) }
  public func explain(_ decision: Decision) -> [Consideration] { planner.explain(decision) }
  public var counters: PlannerCounters { planner.counters }
}

/// Where two plans for one decision differ: lines that only the first has, and that only the second has.
public struct PlanDifference: Hashable, Sendable {
  public var removed: [String]
  public var added: [String]

  /// nil where they do the same. The playbook's name is no difference: what is done is.
  public init?(from old: Plan, to new: Plan) {
    var rest = new.actions.map(\.line)
    removed = []
    for line in old.actions.map(\.line) {
      if let index = rest.firstIndex(of: line) { rest.remove(at: index) } else { removed.append(line) }
    }
    added = rest
    if removed.isEmpty, added.isEmpty { return nil }
  }
}
