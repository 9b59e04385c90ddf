// What is remembered about subjects says the same as working it out anew.
import Primitives
import Testing

@testable import Detection

@Suite struct SubjectKeyTests {
  @Test func sourcesHaveTheKeysOfTheirSubjects() {
    var keys = SourceKeys()
    // More than are remembered, each asked for again.
    for round in 0..<3 {
      for n in 0..<700 as Range<UInt64> {
        let address = n % 3 == 0 ? IPAddress(v6High: n << 32, low: n) : IPAddress(v4: UInt32(n &* 65_537))
        #expect(keys.key(of: address) == Detector.key(of: Subject(source: address.description)), "\(address), round \(round)")
      }
    }
  }

  /// Against all entries, over times that go on, come back and lie far apart.
  @Test func theNewestAccusationIsThatOfTheEntries() {
    var signals = SubjectSignals()
    var random: UInt64 = 7
    var time: Int64 = 1_000_000
    for _ in 0..<5000 {
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let rule = Int32(random >> 33 % 50)
      switch random >> 55 % 20 {
      case 0: time -= 7200
      case 1: time += 50_000
      default: time += Int64(random >> 40 % 60)
      }
      _ = signals.note(
        rule: rule, isAccusing: rule % 3 != 0, isAttested: random >> 50 & 1 == 1, at: EventTime(seconds: time), isUnconfirmed: rule % 7 == 0)
      #expect(signals.accusedAt == signals.entries.filter { $0.rule % 3 != 0 }.map(\.lastTime).max())
    }
  }
}
