// Beacons, uploads, echo tunnels and new services: what is found, and what looks like it and is not.
import Events
import PanguardTestKit
import Primitives
import Testing

@testable import NetworkDetection

private let hour: Int64 = 3600

@Suite struct BeaconTests {
  /// Period, jitter in per cent, first and last hour; the kind in which it is found first.
  static let beacons: [(Int64, Int64, Int64, Int64, String)] = [
    (60, 20, 1, 24, "short"), (300, 10, 1, 24, "daily"), (30, 50, 12, 17, "short"), (3600, 5, 1, 24, "daily"), (1200, 15, 1, 24, "daily"),
  ]
  @Test(arguments: beacons.indices) func beacon(_ i: Int) {
    let (period, jitter, from, to, kind) = BeaconTests.beacons[i]
    var dice = SplitMix64(seed: UInt64(i) + 1)
    var trial = NetworkTrial()
    trial.flow(at: 0, to: "198.51.100.1")
    var at = from * hour
    while at < to * hour {
      trial.flow(at: at, to: "203.0.113.9", name: "calls.home.example")
      at += period * (1000 - jitter * 10 + dice.roll(jitter * 20 + 1)) / 1000
    }
    let found = trial.of("beacon")
    #expect(found.first.flatMap { $0.reason.map { "\($0)" } } == kind)
    #expect(found.count <= 4)
    #expect(found.allSatisfy { $0.isAboutDestination && $0.trust == .attested && $0.number("known") == 0 })
    #expect(found.first.map { String(decoding: $0.name, as: UTF8.self) } == "calls.home.example")
    #expect(found.first?.destination == IPAddress("203.0.113.9"))
  }
  /// A name behind many addresses is one peer.
  @Test func changingAddresses() {
    var trial = NetworkTrial()
    trial.flow(at: 0, to: "198.51.100.1")
    for n in 0..<40 { trial.flow(at: 2 * hour + Int64(n) * 60, to: "203.0.113.\(n)", name: "front.example") }
    #expect(trial.of("beacon").count == 1)
  }
  /// What was there from the start is told with a score that says so; never as surely.
  @Test func knownFromTheStart() {
    var trial = NetworkTrial()
    for n in 0..<1440 { trial.flow(at: Int64(n) * 60, to: "203.0.113.9", name: "heartbeat.example") }
    #expect(trial.of("beacon").allSatisfy { $0.number("known") == 1 && ($0.number("score") ?? 0) < 900 })
  }
  /// People come by chance: gaps as Poisson's, sizes as they fall, for a day; 40 sites.
  @Test(arguments: 0..<8) func people(_ seed: Int) {
    var dice = SplitMix64(seed: UInt64(seed) + 100)
    var trial = NetworkTrial()
    trial.flow(at: 0, to: "198.51.100.1")
    // With one chance in `rarity` each 20 seconds; the table stands for the sizes that one site's pages have.
    for second in stride(from: hour, to: 24 * hour, by: 20) {
      for site in 0..<12 where dice.roll(30 + Int64(site) * Int64(site) * 12) == 0 {
        trial.flow(at: second + dice.roll(20), to: "203.0.113.\(site)", out: 800 + dice.roll(600) + dice.roll(3000) * dice.roll(2))
      }
    }
    #expect(trial.of("beacon").isEmpty)
  }
  /// Inside, unanswered, or flows that go on: none of them counts.
  @Test func whatIsNone() {
    var trial = NetworkTrial()
    for n in 0..<2000 {
      trial.flow(at: hour + Int64(n) * 30, to: "10.0.0.9", port: 9100)
      trial.flow(at: hour + Int64(n) * 30, to: "203.0.113.4", state: "S0")
      trial.flow(at: hour + Int64(n) * 30, from: "203.0.113.5", to: "10.0.0.5")
    }
    #expect(trial.of("beacon").isEmpty)
  }
  /// Who meets thousands of peers does not push out the one that he meets by the clock.
  @Test func amongThousandsOfPeers() {
    var trial = NetworkTrial()
    trial.flow(at: 0, to: "198.51.100.1")
    for n in 0..<60 {
      trial.flow(at: hour + Int64(n) * 60, to: "203.0.113.9")
      for other in 0..<400 { trial.flow(at: hour + Int64(n) * 60 + 1, to: "198.18.\(n).\(other % 250)", port: 400 + Int64(other / 250)) }
    }
    #expect(trial.of("beacon").map(\.destination) == [IPAddress("203.0.113.9")])
    #expect(trial.detectors.drops.contains { $0.cause == "peers evicted from the beacon detector" && $0.count > 0 })
  }
  @Test func strobe() {
    var trial = NetworkTrial()
    for n in 0..<90_000 { trial.flow(at: hour + Int64(n) * 9 / 10, to: "203.0.113.9") }
    #expect(trial.of("strobe").count == 1)
  }
  /// One claimed contact makes the series claimed.
  @Test func trust() {
    var trial = NetworkTrial()
    trial.flow(at: 0, to: "198.51.100.1")
    for n in 0..<40 { trial.flow(at: hour + Int64(n) * 60, to: "203.0.113.9", trust: n == 20 ? .claimed : .attested) }
    #expect(trial.of("beacon").first?.trust == .claimed || trial.of("beacon").first?.number("contacts") == 30)
  }
  /// A host that has only a public address finds out which one it is.
  @Test func ownAddressIsElected() {
    var trial = NetworkTrial()
    for n in 0..<400 {
      trial.flow(at: Int64(n) * 5, from: "198.18.\(n / 250).\(n % 250)", to: "203.0.113.1")
      if n % 12 == 0 { trial.flow(at: 700 + Int64(n) * 5, from: "203.0.113.1", to: "192.0.2.9") }
    }
    for n in 0..<40 { trial.flow(at: 3 * hour + Int64(n) * 60, from: "203.0.113.1", to: "192.0.2.77") }
    #expect(trial.of("beacon").contains { $0.destination == IPAddress("192.0.2.77") })
    #expect(trial.of("beacon").allSatisfy { $0.source == IPAddress("203.0.113.1") })
  }
  /// Where half of the clients talk to a peer it is the house's custom.
  @Test func prevalence() {
    var trial = NetworkTrial()
    trial.flow(at: 0, to: "198.51.100.1")
    for n in 0..<1300 {
      for client in 0..<24 {
        trial.flow(at: hour + Int64(n) * 60 + Int64(client), from: "10.0.1.\(client)", to: "203.0.113.9", name: "custom.example")
      }
    }
    #expect(trial.of("beacon").allSatisfy { ($0.number("score") ?? 0) <= 860 })
  }
}

@Suite struct PeriodicityScoreTests {
  @Test(
    arguments: [
      ([60, 60, 60, 60, 60], 1000, 1000), ([1, 1, 1, 1, 1], 1000, 1000), ([10, 20, 30, 40, 50, 60, 70], 750, 500), ([5, 5], 0, 0), ([], 0, 0),
      ([0, 0, 0, 0], 500, 0),
    ] as [([Int64], Int64, Int64)]) func regularity(_ values: [Int64], _ score: Int64, _ steadiness: Int64)
  {
    var values = values
    let result = PeriodicityScore.regularity(&values, ifZero: 0)
    #expect(result.score == score)
    #expect(result.steadiness == steadiness)
  }
  @Test func hours() {
    let flat = [Int64](repeating: 60, count: 24)
    #expect(PeriodicityScore.histogram(flat) == 1000)
    #expect(PeriodicityScore.duration(flat, span: 86_400) == 1000)
    let half = [Int64](repeating: 60, count: 12) + [Int64](repeating: 0, count: 12)
    #expect(PeriodicityScore.histogram(half) == 1000, "two heights are one too many by RITA's outlier")
    #expect(PeriodicityScore.duration(half, span: 43_200) == 1000)
    let five = [Int64](repeating: 60, count: 5) + [Int64](repeating: 0, count: 19)
    #expect(PeriodicityScore.histogram(five) == 0)
    #expect(PeriodicityScore.duration(five, span: 18_000) == 0)
    #expect(PeriodicityScore.histogram([Int64](repeating: 0, count: 24)) == 0)
  }
  @Test func roots() {
    for n in Int64(0)..<3000 {
      let root = PeriodicityScore.squareRoot(n)
      #expect(root * root <= n && (root + 1) * (root + 1) > n)
    }
    #expect(PeriodicityScore.squareRoot(1_000_000_000_000) == 1_000_000)
  }
}

@Suite struct OutboundVolumeTests {
  /// A day of pages: small questions, larger answers. From 2 hours on a backup each day; what is given then.
  private func day(_ during: (inout NetworkTrial) -> Void) -> [NetworkFinding] {
    var dice = SplitMix64(seed: 4)
    var trial = NetworkTrial()
    for n in 0..<400 { trial.flow(at: Int64(n) * 60, to: "198.18.0.\(n % 60)", out: 900 + dice.roll(3000), back: 4000 + dice.roll(60_000)) }
    during(&trial)
    return trial.of("exfiltration")
  }
  @Test func oneLargeUpload() {
    let found = day { $0.flow(at: 8 * hour, to: "203.0.113.200", out: 20_000_000, back: 400_000, lasting: 20, name: "drop.example") }
    #expect(found.map { $0.reason.map { "\($0)" } } == ["large-upload"])
    #expect(found.first?.number("bytes_out") == 20_000_000)
  }
  @Test func patience() {
    let found = day { trial in for n in 0..<40 { trial.flow(at: 7 * hour + Int64(n) * 1000, to: "203.0.113.201", out: 60_000, back: 900) } }
    #expect(found.contains { $0.reason.map { "\($0)" } == "steady-upload" })
  }
  @Test func whatIsUsual() {
    let found = day { trial in
      // The backup that came in the first hours, again; a download; an upload that is answered as much; one inside; a small one.
      trial.flow(at: 2 * hour, to: "203.0.113.7", out: 40_000_000, back: 9000, name: "backup.example")
      trial.flow(at: 26 * hour, to: "203.0.113.7", out: 80_000_000, back: 9000, name: "backup.example")
      trial.flow(at: 27 * hour, to: "203.0.113.8", out: 900_000, back: 60_000_000)
      trial.flow(at: 27 * hour, to: "203.0.113.10", out: 9_000_000, back: 8_000_000)
      trial.flow(at: 27 * hour, to: "10.0.0.77", out: 90_000_000, back: 9000)
      trial.flow(at: 27 * hour, to: "203.0.113.11", out: 300_000, back: 900)
    }
    #expect(found.isEmpty)
  }
  @Test func budget() {
    var configuration = NetworkDetectionConfiguration()
    configuration.dailyOutboundBytes = 1_000_000
    var trial = NetworkTrial(configuration)
    for n in 0..<20 { trial.flow(at: Int64(n) * 60, to: "203.0.113.1", out: 100_000) }
    #expect(trial.of("outbound-budget").count == 1)
    #expect(trial.of("outbound-budget").first?.number("bytes_out") == 1_100_000)
  }
  /// Counters at their limits add up to no trap.
  @Test func enormousFlows() {
    var configuration = NetworkDetectionConfiguration()
    configuration.dailyOutboundBytes = 1
    var trial = NetworkTrial(configuration)
    for n in 0..<300 { trial.flow(at: Int64(n) * 100, to: "203.0.113.1", out: .max, back: .max, packets: .max) }
    for n in 0..<300 { trial.flow(at: 9 * hour + Int64(n) * 100, to: "203.0.113.2", out: .max, back: 0, packets: .max) }
    #expect(!trial.of("exfiltration").isEmpty)
  }
}

@Suite struct EchoAndServiceTests {
  /// Bytes out and back of 200 echoes, the largest payload; the kind.
  static let echoes: [(Int64, Int64, Int64, Int64, String?)] = [
    (200 * 978, 200 * 970, 200, 1298, "varied"), (200 * 84, 200 * 84, 200, 56, nil), (200 * 1500, 200 * 1500, 200, 1472, "uniform"),
    (5 * 1500, 5 * 1500, 5, 1472, nil), (200 * 528, 200 * 128, 200, 500, "varied"),
  ]
  @Test(arguments: echoes.indices) func echo(_ i: Int) {
    let (out, back, packets, payload, kind) = EchoAndServiceTests.echoes[i]
    var trial = NetworkTrial()
    for _ in 0..<3 {
      trial.flow(at: 100, to: "203.0.113.210", port: 0, out: out, back: back, transport: "icmp", packets: packets, payload: payload)
    }
    #expect(trial.of("icmp-tunnel").map { $0.reason.map { "\($0)" } } == (kind.map { [$0] } ?? []), "told once")
  }
  @Test func newService() {
    var trial = NetworkTrial()
    trial.flow(at: 0, to: "203.0.113.1", port: 443)
    trial.flow(at: hour, to: "203.0.113.2", port: 443)
    trial.flow(at: hour, to: "203.0.113.2", port: 3333)
    trial.flow(at: hour, to: "203.0.113.3", port: 3333)
    trial.flow(at: hour, to: "203.0.113.3", port: 45_000)
    trial.flow(at: hour, to: "203.0.113.3", port: 4444, state: "REJ")
    #expect(trial.of("new-destination").map(\.destinationPort) == [3333])
    for port in 1..<200 { trial.flow(at: hour, to: "203.0.113.3", port: Int64(port)) }
    #expect(trial.of("new-destination").count == NewService.mostPerDay)
  }
}

/// Ten times as many clients, domains and peers as tables hold: everything is bounded and counted, nothing traps.
@Test func hostileCardinality() {
  var trial = NetworkTrial()
  for n in 0..<30_000 {
    let client = "10.\(n >> 16 & 255).\(n >> 8 & 255).\(n & 255)"
    trial.dns(at: Int64(n), "x\(n).d\(n).example", domain: "d\(n).example", answer: "203.0.113.9", from: client)
    trial.flow(at: Int64(n), from: client, to: "198.\(n >> 16 & 255).\(n >> 8 & 255).\(n & 255)", name: "n\(n).example")
  }
  for cause in [
    "domains evicted from the DNS tunnel detector", "DNS clients forgotten", "public names evicted from the rebinding detector",
    "peers evicted from the beacon detector", "peers evicted from the upload detector",
  ] {
    #expect(trial.detectors.drops.contains { $0.cause == cause && $0.count > 0 }, "\(cause)")
  }
}
