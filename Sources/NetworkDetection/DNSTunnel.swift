// Tunnels through DNS: many names under one registered domain that each carry much and come once.
// Sources: unique names for a domain at 100/500/800/1,000 (RITA 5, default_config.hjson); first label beyond 48 bytes (nDPI, dns.c); the
// letters' information is Shannon's, length times entropy, because either alone also describes delivery networks (14 hexadecimal digits carry
// 45 bits; a name of iodine carries 700, one of a patient thief 120). Points of 1,000 add up as the table below says; rules decide at 600
// and at 450.
// Beside the point by design: names under suffixes where each customer is a domain of its own, reverse zones, blocklists of addresses (their
// names carry 30 bits). Lookups of hashes (virus scanners, blocklists of files) look like theft, and are told less surely where the answers
// lie in 127.0.0.0/8, which is how such lists answer (RFC 5782), or where the domain was known.
// Memory: `Limits.dnsTunnelDomains` pairs of client and domain, about 250 bytes each; the one that was silent longest goes, and is counted.
import Events
import Primitives

struct DNSTunnel: ~Copyable {
  private struct Domain {
    var firstTime: EventTime
    var names = DistinctCounter()
    var queries: Int64 = 0
    /// Queries for other types than hosts and browsers ask for.
    var unusualTypes: Int64 = 0
    var answers: Int64 = 0
    var loopbackAnswers: Int64 = 0
    /// Of the names that were new.
    var milliBits: Int64 = 0
    var longestLabel = 0
    var isKnown: Bool
    var trust = Trust.attested
    var reported: Int64 = 0
    var nextLook = DNSTunnel.firstLook
  }
  private var domains = BoundedTable<ClientKey, Domain>(capacity: Limits.dnsTunnelDomains)
  var evictions: UInt64 { domains.evictions }

  /// Names of one domain are counted for a day, then anew.
  static let window = Nanoseconds.hours(24)
  private static let firstLook = 100
  private static let lookEvery = 50
  /// The least score that is told, and how much worse it must be to be told again.
  static let leastScore: Int64 = 450
  private static let step: Int64 = 150

  private static let namePoints: [(least: Int64, points: Int64)] = [(1000, 400), (800, 350), (500, 300), (100, 200)]
  private static let bitPoints: [(least: Int64, points: Int64)] = [(200, 400), (80, 300)]

  mutating func observe(_ message: DNSFacts, at time: EventTime, isLearning: Bool, into findings: inout [NetworkFinding]) {
    guard let domain = message.domain, message.subdomain.count > 0 else { return }
    let key = ClientKey(message.client, domain)
    domains.update(key, make: { Domain(firstTime: time, isKnown: isLearning) }) { entry in
      if time - entry.firstTime > DNSTunnel.window { entry = Domain(firstTime: time, isKnown: entry.isKnown) }
      DNSTunnel.count(message, &entry)
      guard entry.names.count >= entry.nextLook else { return }
      entry.nextLook = entry.names.count + DNSTunnel.lookEvery
      let score = DNSTunnel.score(entry)
      guard score >= DNSTunnel.leastScore, score >= entry.reported + DNSTunnel.step else { return }
      entry.reported = score
      findings.append(DNSTunnel.finding(entry, score, message, domain, at: time))
    }
  }

  private static func count(_ message: DNSFacts, _ entry: inout Domain) {
    entry.trust = min(entry.trust, message.trust)
    if message.isAnswer {
      guard message.addresses.count > 0 else { return }
      entry.answers &+= 1
      var isLoopback = true
      message.forEachAddress { if !$0.isLoopback { isLoopback = false } }
      if isLoopback { entry.loopbackAnswers &+= 1 }
      return
    }
    entry.queries &+= 1
    if !isUsual(message.type) { entry.unusualTypes &+= 1 }
    guard entry.names.insert(Fingerprint(of: message.subdomain).low) else { return }
    entry.milliBits &+= IntegerLogarithm.milliBits(message.subdomain)
    entry.longestLabel = max(entry.longestLabel, longestLabel(message.subdomain))
  }

  private static func isUsual(_ type: Bytes) -> Bool {
    type.equals("A") || type.equals("AAAA") || type.equals("HTTPS") || type.equals("SVCB") || type.equals("PTR") || type.equals("NS")
      || type.equals("SOA") || type.equals("SRV") || type.equals("DS") || type.equals("DNSKEY")
  }
  private static func longestLabel(_ text: Bytes) -> Int {
    var longest = 0
    var start = 0
    while start <= text.count {
      let end = text.index(of: 0x2e, from: start) ?? text.count
      longest = max(longest, end - start)
      start = end + 1
    }
    return longest
  }

  /// Bits that a name carries on average, of those that were measured.
  private static func bitsPerName(_ entry: Domain) -> Int64 { entry.milliBits / 1000 / Int64(max(1, entry.names.measured)) }

  private static func score(_ entry: Domain) -> Int64 {
    let names = Int64(entry.names.count)
    let bits = bitsPerName(entry)
    let isUnusual = entry.unusualTypes * 4 >= entry.queries
    // Many names alone are a blocklist's, or a delivery network's.
    guard let bitPoint = bitPoints.first(where: { bits >= $0.least })?.points ?? (isUnusual ? 0 : nil) else { return 0 }
    var score = bitPoint + (namePoints.first { names >= $0.least }?.points ?? 0)
    if entry.longestLabel > 48 { score += 50 }
    if isUnusual { score += 150 }
    if names * 10 >= entry.queries * 8 { score += 100 }
    if entry.loopbackAnswers * 2 > entry.answers { score -= 300 }
    if entry.isKnown { score -= 200 }
    return max(0, min(1000, score))
  }

  private static func finding(_ entry: Domain, _ score: Int64, _ message: DNSFacts, _ domain: Bytes, at time: EventTime) -> NetworkFinding {
    var finding = NetworkFinding("dns-tunnel", trust: entry.trust, firstTime: entry.firstTime, lastTime: time)
    finding.source = message.client
    finding.destination = message.server
    finding.domain = Array(domain)
    finding.numbers = [
      ("score", score), ("distinct_names", Int64(entry.names.count)), ("queries", entry.queries), ("bits_per_name", bitsPerName(entry)),
      ("longest_label", Int64(entry.longestLabel)), ("unusual_types", entry.unusualTypes),
      ("bytes", bitsPerName(entry) * Int64(entry.names.count) / 8), ("known", entry.isKnown ? 1 : 0),
    ]
    finding.texts = [("example", Array(message.name.upTo(min(message.name.count, Limits.detectionTextBytes))))]
    return finding
  }
}
