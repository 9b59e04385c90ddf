// What names tell: hands each DNS message to the detectors of tunnels, computed names, rebinding and new resolvers.
import Primitives

struct DNSDetectors: ~Copyable {
  private var learning = Learning()
  private var tunnel = DNSTunnel()
  private var burst = NameErrorBurst()
  private var rebinding = DNSRebinding()
  private var resolver = NewResolver()

  mutating func observe(
    _ message: DNSFacts, at time: EventTime, _ configuration: NetworkDetectionConfiguration, into findings: inout [NetworkFinding]
  ) {
    learning.note(time)
    let isLearning = learning.isWithin(OutboundDetectors.learningTime, at: time)
    tunnel.observe(message, at: time, isLearning: isLearning, into: &findings)
    burst.observe(message, at: time, into: &findings)
    rebinding.observe(message, at: time, configuration, into: &findings)
    resolver.observe(message, at: time, isLearning: isLearning, configuration, into: &findings)
  }

  var drops: [(cause: String, count: UInt64)] {
    [
      ("domains evicted from the DNS tunnel detector", tunnel.evictions),
      ("DNS clients forgotten", burst.evictions &+ resolver.evictions), ("public names evicted from the rebinding detector", rebinding.evictions),
    ]
  }
}
