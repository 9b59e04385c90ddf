import Events
import Glibc
import Primitives
import RuleLanguage
import Testing

@testable import RuleEngine

/// What a behavioural rule means, with plain arrays. Time does not go back here.
private struct Reference {
  var aggregation: BehavioralDetection.Aggregation
  var comparison: Comparison
  var threshold: Int64
  var window: Int64
  var minEvents: Int64
  var cooldown: Int64?
  /// More distinct values than this are not told apart.
  var most: Int64 = .max
  var seen: [(time: Int64, value: Int64, text: String, weight: Int64)] = []
  var matchedAt: Int64?
  var isHolding = false
  var matchedValue: Int64 = 0

  private func state(_ now: Int64) -> (value: Int64, holds: Bool) {
    let current = seen.filter { $0.time > now - window && $0.time <= now }
    let events = current.reduce(0) { $0 + $1.weight }
    let value: Int64
    switch aggregation {
    case .count: value = events
    case .rate: value = events * 1_000_000_000_000 / window
    case .sum: value = current.reduce(0) { $0 + $1.value }
    case .avg: value = events == 0 ? 0 : current.reduce(0) { $0 + $1.value * $1.weight } / events
    case .max: value = current.map(\.value).max() ?? 0
    case .distinct_count: value = min(most, Int64(Set(current.map(\.text)).count))
    }
    // A mean is compared as a fraction.
    let total = current.reduce(0) { $0 + $1.value * $1.weight }
    let isHeld = aggregation == .avg ? comparison.holds(total, threshold * events) : comparison.holds(value, threshold)
    return (value, !current.isEmpty && events >= minEvents && isHeld)
  }

  /// Seconds are nanoseconds here already. nil: no match.
  mutating func add(_ now: Int64, value: Int64, text: String, weight: Int64) -> Int64? {
    seen.removeAll { $0.time <= now - window }
    if aggregation == .sum, value <= 0 { return nil }
    if isHolding, !state(now).holds { isHolding = false }
    seen.append((now, value, text, weight))
    let (observed, holds) = state(now)
    var isMatch = false
    if holds {
      if let cooldown {
        isMatch = matchedAt.map { now - $0 >= cooldown || $0 > now } ?? true
      } else {
        isMatch = !isHolding || comparison == .gte || comparison == .gt ? !isHolding || matchedValue > 0 && observed / 2 >= matchedValue : false
      }
    }
    isHolding = holds
    if isMatch {
      matchedAt = now
      matchedValue = observed
    }
    return isMatch ? observed : nil
  }
}

@Suite struct WindowTests {
  struct Shape: CustomTestStringConvertible {
    var aggregation: BehavioralDetection.Aggregation
    var comparison: Comparison
    var threshold: Int64
    var minEvents: Int64 = 0
    var cooldown: Int64?
    var testDescription: String { "\(aggregation) \(comparison) \(threshold) min \(minEvents) cooldown \(cooldown ?? -1)" }
  }
  static let shapes: [Shape] = BehavioralDetection.Aggregation.allCases.flatMap { aggregation in
    Comparison.allCases.flatMap { comparison -> [Shape] in
      let thresholds: [Int64] = aggregation == .rate ? [40, 500, 1700] : aggregation == .max ? [0, 5, 90] : [1, 3, 20]
      return thresholds.flatMap { n in
        [
          Shape(aggregation: aggregation, comparison: comparison, threshold: n),
          Shape(aggregation: aggregation, comparison: comparison, threshold: n, minEvents: 4),
          Shape(aggregation: aggregation, comparison: comparison, threshold: n, cooldown: 9),
        ]
      }
    }
  }

  /// Random streams over a few groups. While the values stay below what is kept exactly, engine and arrays agree on every match and value.
  @Test(arguments: shapes, Trust.allCases) func agreesWithPlainArrays(_ shape: Shape, _ trust: Trust) {
    var random = Random(UInt64(bitPattern: shape.threshold) &* 31 &+ 1)
    let windowSeconds: Int64 = 20
    let metric =
      shape.aggregation == .count || shape.aggregation == .rate ? nil : shape.aggregation == .distinct_count ? "user.name" : "network.bytes"
    var engine = RuleEngine(
      ruleSet(
        behavior(
          "R", shape.aggregation, of: metric, shape.comparison, shape.threshold, window: .seconds(windowSeconds), minEvents: shape.minEvents,
          cooldown: shape.cooldown.map(Nanoseconds.seconds))))
    let addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
    var references = Array(
      repeating: Reference(
        aggregation: shape.aggregation, comparison: shape.comparison, threshold: shape.threshold, window: windowSeconds * 1_000_000_000,
        minEvents: max(1, shape.minEvents), cooldown: shape.cooldown.map { $0 * 1_000_000_000 },
        most: Int64(WindowShape.distinctValues(needed: Int(shape.threshold) + (shape.comparison == .gte || shape.comparison == .lt ? 0 : 1)))),
      count: addresses.count)
    var event = Event()
    var now: Int64 = 1000
    for n in 0..<700 {
      now += Int64(random.pick([0, 0, 0, 1, 1, 2, 5, 20, 21, 60]))
      if n % 7 == 0 { now += 13 }
      let who = random.below(addresses.count)
      let value = shape.aggregation == .sum ? Int64(1 + random.below(3)) : Int64(random.below(100) - 3)
      let user = "u\(random.below(30))"
      fill(&event, [("source.ip", addresses[who]), ("network.bytes", "\(value)"), ("user.name", user)], at: now, offset: UInt64(n))
      event.repeatCount = shape.aggregation == .count || shape.aggregation == .rate ? Int64(1 + random.below(2)) : 1
      event.trust = trust
      let expected = references[who].add(now * 1_000_000_000, value: value, text: user, weight: event.repeatCount)
      let actual = engine.matches(event)
      #expect(actual.count <= 1)
      #expect(actual.first?.observed == expected, "event \(n)")
    }
  }

  @Test func theWindowIsOpenBehindAndClosedAhead() {
    var engine = RuleEngine(ruleSet(behavior("R", .count, .gte, 2, window: .seconds(10))))
    var event = Event()
    for (time, expected) in [(0, 0), (10, 0), (19, 1), (29, 0), (39, 0), (48, 1)] as [(Int64, Int)] {
      fill(&event, [("source.ip", "192.0.2.1")], at: time)
      #expect(engine.ids(event).count == expected, "at \(time)")
    }
  }

  @Test func aMatchCarriesItsGroupAndLines() {
    var engine = RuleEngine(
      ruleSet(behavior("R", .sum, of: "panguard.attempt.count", .gte, 5, window: .seconds(60), by: ["user.name", "source.ip"])))
    var event = Event()
    var matches: [RuleMatch] = []
    for n in 0..<5 {
      fill(&event, [("source.ip", "192.0.2.1"), ("user.name", "root"), ("panguard.attempt.count", "1")], at: Int64(100 + n), offset: UInt64(10 * n))
      event.addEvidence(
        EvidenceReference(
          origin: EventOrigin(source: 0, offset: UInt64(10 * n - (n > 0 ? 1 : 0)), length: 3), time: EventTime(seconds: Int64(99 + n)),
          fingerprint: Fingerprint(high: 0, low: 0)))
      matches = engine.matches(event)
    }
    #expect(matches.count == 1)
    #expect(matches.first?.group.map { "\($0.field)=\($0.value)" } == ["user.name=root", "source.ip=192.0.2.1"])
    #expect(matches.first?.observed == 5 && matches.first?.threshold == 5)
    #expect(matches.first?.firstTime == EventTime(seconds: 100) && matches.first?.lastTime == EventTime(seconds: 104))
    #expect(matches.first?.evidence.map(\.origin.offset) == [0, 9, 10, 19, 20, 29, 30, 39, 40])
    #expect(matches.first?.evidenceTotal == 10)
  }

  @Test func longEvidenceKeepsItsEnds() {
    var engine = RuleEngine(ruleSet(behavior("R", .count, .gte, 100, window: .seconds(1000))))
    var event = Event()
    var matches: [RuleMatch] = []
    for n in 0..<100 {
      fill(&event, [("source.ip", "192.0.2.1")], at: Int64(n), offset: UInt64(n))
      matches = engine.matches(event)
    }
    #expect(matches.first?.evidence.map(\.origin.offset) == (0..<8).map { $0 } + (92..<100).map { $0 })
    #expect(matches.first?.evidenceTotal == 100)
  }

  @Test func sumsAndCountsAreExactUpToTheThresholdAndCloseBeyond() {
    // 50,000 events in the window, threshold 20,000: more than is kept singly.
    var engine = RuleEngine(ruleSet(behavior("R", .count, .gte, 20_000, window: .seconds(6400), cooldown: .seconds(1))))
    var event = Event()
    for n in 0..<60_000 {
      fill(&event, [("source.ip", "192.0.2.1")], at: Int64(n / 5), offset: UInt64(n))
      let time = Int64(n / 5)
      let exact = Int64(n) - 5 * max(0, time - 6400 + 1) + 1
      let observed = engine.matches(event).first?.observed
      if let observed {
        #expect(observed >= exact && observed <= exact + 5 * 101 + 5)
      } else if n % 5 == 0 {
        #expect(exact < 20_000)
      }
    }
  }

  @Test func anIPv6NetworkCountsAsOneToo() {
    var engine = RuleEngine(ruleSet(behavior("R", .count, .gte, 5, window: .seconds(100), networks: true)))
    var event = Event()
    var groups: [String] = []
    for n in 0..<5 {
      fill(&event, [("source.ip", "2001:db8:0:1::\(n + 1)")], at: Int64(n))
      groups += engine.matches(event).flatMap { $0.group.map(\.value) }
    }
    #expect(groups == ["2001:db8:0:1::/64"])
    groups = []
    // One address alone: said once, with the address.
    for n in 0..<8 {
      fill(&event, [("source.ip", "2001:db8:0:2::1")], at: Int64(n))
      groups += engine.matches(event).flatMap { $0.group.map(\.value) }
    }
    #expect(groups == ["2001:db8:0:2::1"])
    groups = []
    // The address that ends in zeros is not its network.
    for address in ["2001:db8:0:3::", "2001:db8:0:3::1", "2001:db8:0:3::", "2001:db8:0:3::2", "192.0.2.1", "192.0.2.1", "192.0.2.2"] {
      fill(&event, [("source.ip", address)], at: 9)
      groups += engine.matches(event).flatMap { $0.group.map(\.value) }
    }
    #expect(groups == [])
  }

  @Test func eventsWithoutTheGroupOrTheMetricDoNotCount() {
    var engine = RuleEngine(
      ruleSet(
        behavior("A", .count, .gte, 1, window: .seconds(10)), behavior("B", .sum, of: "network.bytes", .gte, 1, window: .seconds(10), by: []),
        behavior("C", .distinct_count, of: "x.y", .gte, 1, window: .seconds(10), by: ["z.w"])))
    var event = Event()
    for (fields, expected) in [
      ([], []), ([("source.ip", "192.0.2.1")], ["A"]), ([("network.bytes", "0")], []), ([("network.bytes", "1")], ["B"]), ([("x.y", "1")], []),
      ([("x.y", "1"), ("z.w", "2")], ["C"]),
    ] as [([(String, String)], [String])] {
      fill(&event, fields)
      #expect(engine.ids(event) == expected)
    }
  }

  @Test func filtersDecideWhatCounts() {
    var engine = RuleEngine(
      ruleSet(
        behavior(
          "R", .count, .gte, 3, window: .seconds(100),
          filter: [
            isExactly("event.action", "ssh-login"), condition("event.outcome", .exact(["success"], caseSensitive: true), not: true),
            condition("user.name", .regex(["^a"], caseSensitive: false)),
          ])))
    var event = Event()
    var count = 0
    for (action, outcome, user) in [
      ("ssh-login", "failure", "alice"), ("ssh-login", "success", "alice"), ("su-session", "failure", "alice"), ("ssh-login", "failure", "bob"),
      ("ssh-login", nil, "Anna"), ("ssh-login", "unknown", "a"),
    ] as [(String, String?, String)] {
      fill(&event, [("event.action", action), ("source.ip", "192.0.2.1"), ("user.name", user)] + (outcome.map { [("event.outcome", $0)] } ?? []))
      count += engine.ids(event).count
    }
    #expect(count == 1)
  }

  /// Sources that are read one after the other share their windows, as long as they are not farther apart than these are long.
  @Test(arguments: [[1, 3, 5, 0, 2, 4], [0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [500, 1, 2, 3, 4, 5]] as [[Int64]])
  func anEventThatLiesBehindCountsAsNow(_ times: [Int64]) {
    for window in [Nanoseconds.seconds(30), .hours(1)] {
      var engine = RuleEngine(
        ruleSet(
          behavior("R", .count, .gte, 6, window: window), behavior("D", .distinct_count, of: "user.name", .gte, 6, window: window),
          behavior("E", .distinct_count, of: "user.name", .gte, 2, window: window, minEvents: 6),
          behavior("M", .max, of: "network.bytes", .gte, 9, window: window, minEvents: 6)))
      var event = Event()
      var last: [RuleMatch] = []
      for (n, time) in times.enumerated() {
        fill(&event, [("source.ip", "192.0.2.1"), ("user.name", "u\(n)"), ("network.bytes", "\(9 + n % 2)")], at: time, offset: UInt64(n))
        last = engine.matches(event)
        #expect(last.count == (n == 5 ? 4 : 0))
      }
      #expect(last.allSatisfy { $0.lastTime == EventTime(seconds: times.max()!) })
      #expect(last.first?.evidence.count == 6)
    }
  }

  /// A jump back beyond that forgets what is newer, and nothing else.
  @Test(arguments: [(Int64(100), true), (600, true), (601, false), (1_000_000, false)])
  func onlyAJumpBackForgets(_ ahead: Int64, _ counts: Bool) {
    var engine = RuleEngine(ruleSet(behavior("R", .count, .gte, 3, window: .seconds(10))))
    var event = Event()
    for time in [1000 + ahead, 1000 + ahead, 1000] {
      fill(&event, [("source.ip", "192.0.2.1")], at: time)
      #expect(engine.ids(event) == (time == 1000 && counts ? ["R"] : []))
    }
  }

  @Test func aClockThatGoesBackForgetsTheFuture() {
    var engine = RuleEngine(
      ruleSet(
        behavior("R", .count, .gte, 3, window: .seconds(10)),
        behavior("M", .max, of: "network.bytes", .gte, 9, window: .seconds(10), cooldown: .seconds(5))))
    var event = Event()
    for time in [Int64.max / 1_000_000_000, 100, 101, Int64.min / 1_000_000_000, 0, -5, 102, 102, 99, 99, 99] {
      fill(&event, [("source.ip", "192.0.2.1"), ("network.bytes", "3")], at: time)
      _ = engine.ids(event)
    }
    #expect(engine.counters.lateEvents == 10)
    fill(&event, [("source.ip", "192.0.2.9")], at: 50)
    #expect(engine.ids(event) == [])
    fill(&event, [("source.ip", "192.0.2.9")], at: 4_000_000_000)
    #expect(engine.ids(event) == [])
    for time in [51, 52] as [Int64] {
      fill(&event, [("source.ip", "192.0.2.9")], at: time)
      #expect(engine.ids(event) == [])
    }
    fill(&event, [("source.ip", "192.0.2.9")], at: 53)
    #expect(engine.ids(event) == ["R"])
  }

  @Test func lateEventsLeaveTheWindowsAlone() {
    var engine = RuleEngine(ruleSet(behavior("R", .count, .gte, 2, window: .seconds(10)), pattern("P", any: condition("source.ip", .exists(true)))))
    var event = Event()
    fill(&event, [("source.ip", "192.0.2.1")], at: 5)
    for _ in 0..<5 { #expect(engine.ids(event, feedsWindows: false) == ["P"]) }
    #expect(engine.counters.groups == 0)
    #expect(engine.ids(event) == ["P"])
    #expect(engine.ids(event) == ["R", "P"])
  }

  @Test func silenceIsNotLoss() {
    // Groups whose window ran empty make room for others without being counted as evicted.
    var engine = RuleEngine(ruleSet(behavior("R", .count, .gte, 5, window: .seconds(1))))
    var event = Event()
    for n in 0..<3 * Limits.groupsPerRule {
      event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
      event.set(.sourceIP, IPAddress(v4: UInt32(n)))
      event.time = EventTime(seconds: Int64(n / 100))
      _ = engine.ids(event)
    }
    #expect(engine.counters.evictions == [0])
    #expect(engine.counters.groups < 1000)
  }

  @Test func manyGroupsStayInsideTheBudgetAndTheLatestSurvive() {
    // 45 rules, all by source address, more groups than fit: memory is bounded, evictions are counted, an attacker that keeps going is found.
    var rules: [Rule] = []
    for n in 0..<45 {
      rules.append(behavior("R\(n)", n % 3 == 0 ? .distinct_count : .count, of: n % 3 == 0 ? "user.name" : nil, .gte, 5, window: .hours(1)))
    }
    var engine = RuleEngine(ruleSet(rules))
    var event = Event()
    var matches: [RuleMatch] = []
    let before = residentKiB()
    var found = 0
    for n in 0..<12_000 {
      event.begin(raw: Bytes("raw"), origin: EventOrigin(source: 0, offset: UInt64(n), length: 3))
      event.set(.userName, n % 2 == 0 ? "a" : "b")
      event.set(.sourceIP, n % 500 == 0 ? IPAddress(v4: 1) : IPAddress(v4: 0x0a00_0000 + UInt32(n)))
      event.time = EventTime(seconds: Int64(n / 1000))
      engine.evaluate(event, at: event.time, into: &matches)
      found += matches.count
      if n % 1000 == 0 { #expect(engine.counters.windowBytes <= GroupTable.byteBudget) }
    }
    #expect(found == 90)  // at 5, 10 and 20 for each of the counting rules
    #expect(engine.counters.evictions.allSatisfy { $0 > 0 })
    print(
      "45 rules, 12,000 addresses: \(engine.counters.groups) groups, \(engine.counters.windowBytes / 1024) KiB counted, resident +\(residentKiB() - before) KiB"
    )
  }
}

/// VmRSS of this process.
func residentKiB() -> Int {
  guard let file = fopen("/proc/self/statm", "r") else { return 0 }
  defer { fclose(file) }
  var buffer = [CChar](repeating: 0, count: 256)
  guard fgets(&buffer, 256, file) != nil else { return 0 }
  let fields = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(separator: " ")
  return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4 : 0
}
