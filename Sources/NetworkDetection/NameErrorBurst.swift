// A client that asks for many domains that do not exist: a program that computes names until one answers (DGA).
// Sources: bursts of NXDOMAIN for different registered domains (Antonakakis et al., USENIX Security 2012); 10 of them within 10 minutes
// (measured on generated traffic), here of names that look like dice (`LetterPairs`), or 30 whatever they look like, because names can be put
// together from words.
// Counted are answers to A and AAAA for the domain itself or its `www`: a mistyped or removed host under a domain that exists, a search list,
// a blocklist and a mail server that looks up MX ask for others.
// Memory: `Limits.dnsClients` clients, about 250 bytes each; the one that was silent longest goes, and is counted.
import Events
import Primitives

struct NameErrorBurst: ~Copyable {
  private struct Client {
    var firstTime: EventTime
    var domains = DistinctCounter()
    /// Of the different domains: those that look like dice, and those long enough to say.
    var random: Int64 = 0
    var judged: Int64 = 0
    var trust = Trust.attested
    /// Until when the same kind is not told again: it goes on, or comes back at once.
    var quietUntil: (random: EventTime, any: EventTime)
  }
  private var clients = BoundedTable<IPAddress, Client>(capacity: Limits.dnsClients)
  var evictions: UInt64 { clients.evictions }

  static let window = Nanoseconds.minutes(10)
  static let coolDown = Nanoseconds.hours(1)
  static let leastRandom: Int64 = 10
  static let leastAny: Int64 = 30

  mutating func observe(_ message: DNSFacts, at time: EventTime, into findings: inout [NetworkFinding]) {
    guard message.isNameError, let domain = message.domain, message.subdomain.count == 0 || message.subdomain.equals("www"),
      message.type.equals("A") || message.type.equals("AAAA")
    else { return }
    clients.update(
      message.client, make: { Client(firstTime: time, quietUntil: (.distantPast, .distantPast)) },
      { client in
        if time - client.firstTime > NameErrorBurst.window { client = Client(firstTime: time, quietUntil: client.quietUntil) }
        guard client.domains.insert(Fingerprint(of: domain).low) else { return }
        client.trust = min(client.trust, message.trust)
        if let likelihood = LetterPairs.likelihood(domain.upTo(domain.index(of: 0x2e) ?? domain.count)) {
          client.judged += 1
          if likelihood < LetterPairs.leastOfWords { client.random += 1 }
        }
        NameErrorBurst.conclude(&client, message, at: time, into: &findings)
      })
  }

  private static func conclude(_ client: inout Client, _ message: DNSFacts, at time: EventTime, into findings: inout [NetworkFinding]) {
    let distinct = Int64(client.domains.count)
    let isRandom = client.random >= leastRandom && client.random * 10 >= distinct * 6
    if isRandom, time >= client.quietUntil.random {
      client.quietUntil = (time + coolDown, client.quietUntil.any)
      findings.append(finding("random-names", client, distinct, message, at: time))
    } else if !isRandom, distinct >= leastAny, time >= client.quietUntil.any {
      client.quietUntil.any = time + coolDown
      findings.append(finding("many-names", client, distinct, message, at: time))
    }
  }

  private static func finding(_ reason: StaticString, _ client: Client, _ distinct: Int64, _ message: DNSFacts, at time: EventTime) -> NetworkFinding
  {
    var finding = NetworkFinding("dns-nxdomain-burst", reason: reason, trust: client.trust, firstTime: client.firstTime, lastTime: time)
    finding.source = message.client
    finding.destination = message.server
    finding.numbers = [("distinct_domains", distinct), ("random_domains", client.random), ("judged_domains", client.judged)]
    finding.texts = [("example", Array(message.name.upTo(min(message.name.count, Limits.detectionTextBytes))))]
    return finding
  }
}
