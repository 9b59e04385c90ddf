// A client that suddenly asks another resolver in the Internet: what changes /etc/resolv.conf, or brings its own list of servers, escapes the
// names that the owner filters and records.
// A client that asks many servers is a resolver itself and says nothing by asking one more.
// Memory: `Limits.dnsClients` clients with up to 8 servers each, about 250 bytes; the one that was silent longest goes, and is counted.
import Events
import Primitives

struct NewResolver: ~Copyable {
  private struct Client {
    var servers = InlineArray<8, IPAddress>(repeating: IPAddress(v4: 0))
    var count = 0
    var isResolver = false
  }
  private var clients = BoundedTable<IPAddress, Client>(capacity: Limits.dnsClients)
  var evictions: UInt64 { clients.evictions }

  mutating func observe(
    _ message: DNSFacts, at time: EventTime, isLearning: Bool, _ configuration: NetworkDetectionConfiguration,
    into findings: inout [NetworkFinding]
  ) {
    guard !message.isAnswer, configuration.isOwn(message.client) else { return }
    clients.update(
      message.client, make: { Client() },
      { client in
        if client.isResolver { return }
        for i in 0..<client.count where client.servers[i] == message.server { return }
        guard client.count < 8 else {
          client.isResolver = true
          return
        }
        client.servers[client.count] = message.server
        client.count += 1
        guard !isLearning, client.count > 1, !configuration.isOwn(message.server), !message.server.isMulticast else { return }
        var finding = NetworkFinding("dns-new-resolver", trust: message.trust, firstTime: time, lastTime: time)
        finding.source = message.client
        finding.destination = message.server
        finding.destinationPort = Int64(message.serverPort)
        finding.numbers = [("servers", Int64(client.count))]
        findings.append(finding)
      })
  }
}
