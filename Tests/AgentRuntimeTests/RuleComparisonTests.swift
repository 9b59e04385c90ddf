// What a comparison of rules knows of those who are meant to be let in.
import AgentRuntime
import Events
import Playbooks
import Primitives
import Testing

@Suite struct RuleComparisonTests {
  /// Those that there was no room for are counted: of them a hit by a block is not known.
  @Test func forgottenSourcesAreCounted() {
    let sources = LegitimateSources(capacity: 2)
    var event = Event()
    for (second, address) in ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1"].enumerated() {
      _ = event.begin(raw: .none, origin: EventOrigin(source: 0, offset: UInt64(second), length: 0))
      event.time = EventTime(seconds: Int64(second))
      event.set(.sourceIP, IPAddress(address)!)
      event.set(.eventCategory, "authentication" as StaticString)
      event.set(.eventOutcome, "success" as StaticString)
      sources.see(event)
    }
    let old = RuleOutcome(PlaybookSet(), configuration: PlannerConfiguration())
    let new = RuleOutcome(PlaybookSet(), configuration: PlannerConfiguration())
    let comparison = RuleComparison(old: old, new: new, legitimate: sources, allowlist: [], threshold: Confidence(thousandths: 900))
    #expect(comparison.forgottenSources == 2 && sources.latest(in: CIDR("192.0.2.3/32")!) != nil)
  }
}
