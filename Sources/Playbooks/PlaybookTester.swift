// Runs the tests that playbooks carry, through the real planner with the whole set: another playbook that answers first fails them.
import Detection
import Primitives

public struct PlaybookTestFailure: Hashable, Sendable, CustomStringConvertible {
  public var location: SourceLocation
  public var playbook: String
  public var test: String
  /// What was expected and what came, or which other playbook answered.
  public var reason: String
  public var description: String { "\(location): \(playbook): \(test): \(reason)" }
}

public struct PlaybookTestReport: Hashable, Sendable {
  public var testsRun = 0
  public var decisionsPlanned = 0
  public var failures: [PlaybookTestFailure] = []
  /// Playbooks that carry no test, by id.
  public var untested: [String] = []
  public init() {}
}

public enum PlaybookTester {
  public static func run(_ set: PlaybookSet) -> PlaybookTestReport {
    var report = PlaybookTestReport()
    for playbook in set.playbooks {
      if playbook.tests.isEmpty { report.untested.append(playbook.id) }
      for test in playbook.tests { run(test, of: playbook, in: set, &report) }
    }
    return report
  }

  private static func run(_ test: PlaybookTest, of playbook: Playbook, in set: PlaybookSet, _ report: inout PlaybookTestReport) {
    report.testsRun += 1
    var planner = Planner(set, configuration: PlannerConfiguration(mode: test.mode, claimedMayAct: test.claimedMayAct))
    for (i, moment) in test.moments.enumerated() {
      let plan = planner.plan(moment.facts.decision(revision: i + 1), targets: moment.facts.targets)
      report.decisionsPlanned += 1
      // Each action was done as it was asked.
      for action in plan.actions { _ = planner.note(.done, of: action.idempotencyKey) }
      guard let reason = mismatch(plan, moment.expected, playbook) else { continue }
      report.failures.append(
        PlaybookTestFailure(location: moment.location, playbook: playbook.id, test: test.name, reason: reason))
    }
  }

  private static func mismatch(_ plan: Plan, _ expected: [String]?, _ playbook: Playbook) -> String? {
    let isOurs = plan.playbook == playbook.id
    guard let expected else { return isOurs ? "nothing was expected of it, but it answers" : nil }
    guard isOurs else { return plan.playbook.map { "\($0) answers instead" } ?? "no playbook answers" }
    let lines = plan.actions.map(\.line)
    guard lines != expected else { return nil }
    return "expected \(listed(expected)), came \(listed(lines))"
  }
  private static func listed(_ lines: [String]) -> String { lines.isEmpty ? "no action" : lines.map { "'\($0)'" }.joined(separator: ", ") }
}
