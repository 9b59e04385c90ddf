// New listeners: a host of the owner's answers on a TCP port on which it did not answer before. What a host offers is learned for a day from
// when it was first seen; afterwards each new port is told once. Ports from 32768 on are left out: programs are given those for a moment.
// Memory: `Limits.listenerHosts` hosts and `Limits.listeners` ports, the one that was silent longest goes.
import Events
import Primitives

struct ListenerDetector: ~Copyable {
  static let learning = Nanoseconds.hours(24)

  struct Listener: TableKey {
    var host: IPAddress
    var port: UInt16
  }
  private var hosts = BoundedTable<IPAddress, EventTime>(capacity: Limits.listenerHosts)
  private var listeners = BoundedTable<Listener, EventTime>(capacity: Limits.listeners)

  var drops: [(cause: String, count: UInt64)] {
    [("hosts evicted from the listener detector", hosts.evictions), ("listeners evicted", listeners.evictions)]
  }

  func forEachMemory(_ body: (NetworkMemoryEntry) -> Void) {
    hosts.forEachOldestFirst { body(.host($0, since: $1)) }
    listeners.forEachOldestFirst { body(.listener($0, since: $1)) }
  }
  mutating func take(_ entry: NetworkMemoryEntry) {
    switch entry {
    case .host(let host, let since): hosts.update(host, make: { since }) { $0 = since }
    case .listener(let listener, let since): listeners.update(listener, make: { since }) { $0 = since }
    case .used: break
    }
  }

  mutating func observe(
    _ flow: FlowFacts, at time: EventTime, _ configuration: NetworkDetectionConfiguration, into findings: inout [NetworkFinding]
  ) {
    guard flow.transport == .tcp, flow.outcome == .answered, flow.destinationPort > 0, flow.destinationPort < 32768,
      configuration.isOwn(flow.destination)
    else { return }
    let since = hosts.update(flow.destination, make: { time }) { $0 }
    let listener = Listener(host: flow.destination, port: flow.destinationPort)
    if listeners.updateExisting(listener, { _ in }) != nil { return }
    listeners.update(listener, make: { time }) { _ in }
    guard time - since >= ListenerDetector.learning else { return }
    var finding = NetworkFinding("new-listener", trust: flow.trust, firstTime: flow.firstTime, lastTime: time)
    finding.destination = flow.destination
    finding.destinationPort = Int64(flow.destinationPort)
    finding.transport = "tcp"
    finding.numbers = [("known_hours", (time - since).count / Nanoseconds.hours(1).count)]
    // Whoever asked first is no suspect: he is named beside, not as the source.
    var client: [UInt8] = []
    flow.source.append(to: &client)
    finding.texts = [("first_client", client)]
    findings.append(finding)
  }
}
