// Tunnels, computed names, rebinding and resolvers: what is found, and what looks like it and is not.
import Events
import PanguardTestKit
import Primitives
import Testing

@testable import NetworkDetection

private let base32 = "abcdefghijklmnopqrstuvwxyz234567"
private let hexadecimal = "0123456789abcdef"

@Suite struct DNSTunnelTests {
  /// Letters and length of the subdomain, type, seconds between, names; whether it is told, and with which least score.
  static let tunnels: [(String, Int, StaticString, Int64, Int, Int64?)] = [
    (base32, 160, "NULL", 1, 120, 600), (hexadecimal, 78, "TXT", 2, 150, 600),
    // One name each ten minutes, for a day.
    (base32, 30, "A", 600, 140, 600),
    // A delivery network's names: many, but they carry little.
    (hexadecimal, 14, "A", 5, 2000, nil),
    // Fewer than a hundred.
    (base32, 160, "NULL", 1, 90, nil),
  ]
  @Test(arguments: tunnels.indices) func tunnel(_ i: Int) {
    let (letters, length, type, pause, count, score) = DNSTunnelTests.tunnels[i]
    var trial = NetworkTrial()
    trial.dns(at: 0, "www.example.com", domain: "example.com")
    var dice = SplitMix64(seed: 7)
    for n in 0..<count {
      let text = dice.text(length, of: letters)
      let label = stride(from: 0, to: length, by: 60).map { String(Array(text)[$0..<min(length, $0 + 60)]) }.joined(separator: ".")
      trial.dns(at: 1000 + Int64(n) * pause, "\(label).t.thief.example", domain: "thief.example", type: type, answer: "198.51.100.9")
    }
    let found = trial.of("dns-tunnel")
    #expect(found.isEmpty == (score == nil))
    guard let score, let first = found.first else { return }
    #expect(first.number("score") ?? 0 >= score)
    #expect(String(decoding: first.domain, as: UTF8.self) == "thief.example")
    #expect(first.source == IPAddress("10.0.0.5") && first.trust == .claimed)
    #expect(found.count <= 2, "not each name is told")
  }
  /// Hash lookups answer in 127.0.0.0/8: told, but not as surely.
  @Test func lookupsOfHashes() {
    var trial = NetworkTrial()
    trial.dns(at: 0, "www.example.com", domain: "example.com")
    var dice = SplitMix64(seed: 7)
    for n in 0..<300 {
      trial.dns(at: 1000 + Int64(n), "\(dice.text(52, of: base32)).files.list.example", domain: "list.example", answer: "127.0.0.4")
    }
    #expect(trial.of("dns-tunnel").allSatisfy { ($0.number("score") ?? 0) < 600 })
  }
  @Test func reverseZonesAndBlocklists() {
    var trial = NetworkTrial()
    trial.dns(at: 0, "www.example.com", domain: "example.com")
    for n in 0..<3000 {
      trial.dns(at: 1000 + Int64(n), "\(n % 250).\(n / 250).18.198.in-addr.arpa", domain: "198.in-addr.arpa", type: "PTR")
      trial.dns(at: 1000 + Int64(n), "\(n % 250).\(n / 250).0.10.zen.spam.example", domain: "spam.example", answer: "NXDOMAIN")
    }
    #expect(trial.findings.isEmpty)
  }
  /// The same names again and again carry nothing.
  @Test func repetition() {
    var trial = NetworkTrial()
    var dice = SplitMix64(seed: 1)
    let names = (0..<60).map { _ in dice.text(40, of: base32) + ".a.example" }
    for n in 0..<5000 { trial.dns(at: 700 + Int64(n), names[n % 60], domain: "a.example") }
    #expect(trial.of("dns-tunnel").isEmpty)
  }
  @Test func information() {
    func bits(_ text: String) -> Int64 {
      var copy = text
      return copy.withUTF8 { IntegerLogarithm.milliBits(Bytes($0)) } / 1000
    }
    #expect(bits("aaaaaaaa") == 0)
    #expect(bits("abcdefgh") == 24)
    #expect(bits("abcd.efgh") == 24)
    #expect(bits("") == 0)
    #expect(bits(String(repeating: "ab", count: 5000)) <= 256)
  }
  @Test func logarithms() {
    #expect([1, 2, 4, 256, 1 << 40].map(IntegerLogarithm.milliLog2) == [0, 1000, 2000, 8000, 40_000])
    #expect(IntegerLogarithm.milliLog2(3) == 1584)
    #expect(IntegerLogarithm.milliLog2(.max) >= 62_980 && IntegerLogarithm.milliLog2(0) == 0)
    for n in Int64(1)..<5000 { #expect(IntegerLogarithm.milliLog2(n) <= IntegerLogarithm.milliLog2(n + 1)) }
  }
  @Test func distinct() {
    var counter = DistinctCounter()
    var dice = SplitMix64(seed: 3)
    for _ in 0..<1500 {
      let hash = UInt64(dice.roll(.max))
      _ = counter.insert(hash)
      let again = counter.insert(hash)
      #expect(!again)
    }
    #expect(abs(counter.count - 1500) < 120, "\(counter.count)")
    for _ in 0..<1_000_000 { _ = counter.insert(UInt64(dice.roll(.max))) }
    #expect(counter.measured == 1024)
  }
}

@Suite struct NameErrorBurstTests {
  @Test func namesThrownByDice() {
    var trial = NetworkTrial()
    var dice = SplitMix64(seed: 5)
    for n in 0..<40 {
      trial.dns(at: Int64(n) * 3, dice.text(14, of: "abcdefghijklmnopqrstuvwxyz") + ".com", domain: nil, answer: nil)
      let name = dice.text(14, of: "abcdefghijklmnopqrstuvwxyz") + ".com"
      trial.dns(at: Int64(n) * 3, name, domain: name, answer: "NXDOMAIN")
    }
    let found = trial.of("dns-nxdomain-burst")
    #expect(found.count == 1, "once an hour")
    #expect(found.first.flatMap { $0.reason.map { "\($0)" } } == "random-names")
    #expect(found.first?.number("distinct_domains") ?? 0 <= 17)
  }
  private static let words = [
    "blue", "green", "fast", "home", "city", "data", "soft", "bright", "north", "open", "pixel", "river", "stone", "cloud", "maple", "urban",
  ]
  @Test(arguments: [(40, true), (25, false)]) func namesMadeOfWords(_ count: Int, _ isFound: Bool) {
    var trial = NetworkTrial()
    let words = NameErrorBurstTests.words
    for n in 0..<count {
      let name = words[n % 16] + words[n / 16 + 3] + words[(n * 7) % 16] + ".net"
      trial.dns(at: Int64(n) * 5, name, domain: name, answer: "NXDOMAIN")
    }
    #expect(trial.of("dns-nxdomain-burst").map { $0.reason.map { "\($0)" } } == (isFound ? ["many-names"] : []))
  }
  /// Hosts that are gone under domains that exist, one domain mistyped often, other types, and failures that come slowly.
  @Test func whatIsNone() {
    var trial = NetworkTrial()
    var dice = SplitMix64(seed: 9)
    for n in 0..<200 {
      let domain = dice.text(12, of: "abcdefghijklmnopqrstuvwxyz") + ".com"
      trial.dns(at: Int64(n), "old.\(domain)", domain: domain, answer: "NXDOMAIN")
      trial.dns(at: Int64(n), "qzjxkvwpfhgt.com", domain: "qzjxkvwpfhgt.com", answer: "NXDOMAIN")
      trial.dns(at: Int64(n), domain, domain: domain, type: "MX", answer: "NXDOMAIN")
      trial.dns(at: Int64(n), domain, domain: domain, answer: "198.51.100.3")
      trial.dns(at: Int64(n) * 120, domain, domain: domain, answer: "NXDOMAIN", from: "10.0.0.6")
    }
    #expect(trial.of("dns-nxdomain-burst").isEmpty)
  }
  @Test func letterPairs() {
    func looksRandom(_ text: String) -> Bool? {
      var copy = text
      return copy.withUTF8 { LetterPairs.likelihood(Bytes($0)) }.map { $0 < LetterPairs.leastOfWords }
    }
    for word in ["wikipedia", "stackoverflow", "cloudflare", "newspaper", "mapleforum", "weather-station"] { #expect(looksRandom(word) == false) }
    for dice in ["qzxkvjwpfbgt", "xkcdqhzrvvmw", "ituadmdlpzlzraxmk"] { #expect(looksRandom(dice) == true) }
    for short in ["bbc", "a1b2c3d4", "", "123456789"] { #expect(looksRandom(short) == nil) }
  }
}

@Suite struct DNSAnswerTests {
  /// Answers one after another, whether the last one is told, and how.
  static let answers: [([String], String?)] = [
    (["198.51.100.7", "192.168.1.1"], "changed"), (["198.51.100.7 10.0.0.1"], "both-at-once"), (["2001:db8::7", "fd00::1"], "changed"),
    (["198.51.100.7", "127.0.0.1"], "changed"), (["192.168.1.1", "192.168.1.1"], nil), (["198.51.100.7", "0.0.0.0"], nil),
    (["192.168.1.1", "198.51.100.7"], nil), (["198.51.100.7", "NXDOMAIN"], nil), (["127.0.0.2"], nil), (["198.51.100.7 garbage \\"], nil),
  ]
  @Test(arguments: answers.indices) func rebinding(_ i: Int) {
    let (answers, reason) = DNSAnswerTests.answers[i]
    var trial = NetworkTrial()
    for (n, answer) in answers.enumerated() { trial.dns(at: Int64(n) * 30, "a.rebind.example", domain: "rebind.example", answer: answer) }
    #expect(trial.of("dns-rebinding").map { $0.reason.map { "\($0)" } } == (reason.map { [$0] } ?? []))
  }
  @Test func splitHorizon() {
    var configuration = NetworkDetectionConfiguration()
    configuration.ownDomains = ["corp.example"]
    var trial = NetworkTrial(configuration)
    for n in 0..<4 {
      trial.dns(at: Int64(n) * 30, "wiki.corp.example", domain: "corp.example", answer: n % 2 == 0 ? "198.51.100.7" : "10.0.0.8")
    }
    #expect(trial.findings.isEmpty)
    for n in 0..<4 { trial.dns(at: 200 + Int64(n), "a.uncorp.example", domain: "uncorp.example", answer: n % 2 == 0 ? "198.51.100.7" : "10.0.0.8") }
    #expect(trial.of("dns-rebinding").count == 1, "only its own, and only once")
  }
  @Test func anotherResolver() {
    var trial = NetworkTrial()
    trial.dns(at: 0, "a.example", domain: "a.example")
    trial.dns(at: 10, "a.example", domain: "a.example", server: "198.51.100.53")
    trial.dns(at: 5000, "a.example", domain: "a.example", server: "198.51.100.53")
    #expect(trial.of("dns-new-resolver").isEmpty, "it was there before")
    trial.dns(at: 5001, "a.example", domain: "a.example", server: "203.0.113.53")
    trial.dns(at: 5002, "a.example", domain: "a.example", server: "203.0.113.53")
    trial.dns(at: 5003, "a.example", domain: "a.example", server: "10.0.0.3")
    #expect(trial.of("dns-new-resolver").map(\.destination) == [IPAddress("203.0.113.53")])
  }
  /// A resolver of its own asks everybody: after a few it is one, and none of the others is told.
  @Test func aResolverItself() {
    var trial = NetworkTrial()
    for n in 0..<500 { trial.dns(at: 5000 + Int64(n), "a.example", domain: "a.example", server: "203.0.\(n / 250).\(n % 250)") }
    #expect(trial.of("dns-new-resolver").count <= 7)
  }
}
