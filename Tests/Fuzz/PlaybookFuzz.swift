// A playbook file: it is read, planned with, and its state taken up from the same bytes.
// What must hold: what is refused has an error, what is read has steps and lengths in their range, and no block is without an end.
import Playbooks
import Primitives

func fuzzPlaybook(_ input: Bytes) -> CInt {
  let set = PlaybookSet(reading: [("fuzz.yaml", Array(input))])
  precondition(set.hasErrors || !set.playbooks.isEmpty || set.diagnostics.isEmpty)
  _ = PlaybookTester.run(set)
  var planner = Planner(set, configuration: PlannerConfiguration(mode: .armed, claimedMayAct: true))
  try? planner.restore(input)
  var facts = DecisionFacts()
  facts.subject.source = "2001:db8::1"
  for action in planner.plan(facts.decision(revision: 1)).actions {
    guard case .blockIP(let network, let ttl)? = action.action else { continue }
    precondition(Limits.playbookBlockSeconds.contains(ttl.wholeSeconds) && network.prefixLength <= 64)
  }
  precondition((try? planner.restore(planner.snapshot())) != nil)
  return 0
}
