// What attested events reach alone is attested, whatever forged lines come between: nobody is shielded by them.
import Events
import Primitives
import RuleLanguage
import Testing

@testable import RuleEngine

/// One event of a stream that is played to several engines.
private struct Played {
  var fields: [(String, String)]
  var second: Int64
  var trust: Trust
  var weight: Int64 = 1
  var isUnconfirmed = false
}

/// What a match says, as text. `engine` sees the event at its place in the whole stream.
private func tell(_ m: RuleMatch) -> String {
  let lines = m.evidence.map { "\($0.origin.offset)" }.joined(separator: ",")
  return
    "\(m.rule) \(m.group.map(\.value)) \(m.observed) \(m.firstTime.nanoseconds) \(m.lastTime.nanoseconds) \(lines) of \(m.evidenceTotal)"
}

/// By event: the matches. Events that `isPlayed` refuses are left out, and have none.
private func play(
  _ rules: [Rule], _ stream: [Played], where isPlayed: (Played) -> Bool = { _ in true }
) -> [[RuleMatch]] {
  var engine = RuleEngine(ruleSet(rules))
  var event = Event()
  var matches: [RuleMatch] = []
  return stream.enumerated().map { n, played in
    guard isPlayed(played) else { return [] }
    fill(&event, played.fields, at: played.second, offset: UInt64(n))
    event.trust = played.trust
    event.repeatCount = played.weight
    engine.evaluate(event, at: event.time, isUnconfirmed: played.isUnconfirmed, into: &matches)
    return matches
  }
}

/// "a" is an attested event, "c" a claimed one, a second apart; each has its own user, and 3 bytes.
private func stream(_ text: String, action: String? = nil) -> [Played] {
  text.filter { $0 != " " }.enumerated().map { n, letter in
    Played(
      fields: [
        ("source.ip", "192.0.2.1"), ("user.name", "u\(n)"), ("network.bytes", "3"),
        ("event.action", action ?? "x"),
      ], second: Int64(n),
      trust: letter == "a" ? .attested : .claimed)
  }
}
/// By event: "A" for an attested match, "C" for a claimed one, "." for none.
private func outline(_ matches: [[RuleMatch]]) -> String {
  matches.map {
    $0.isEmpty ? "." : $0.map { $0.trust == .attested ? "A" : "C" }.joined(separator: "+")
  }.joined()
}

@Suite struct TrustTests {
  static let fives: [(String, Rule)] = [
    ("count", behavior("R", .count, .gte, 5, window: .hours(1))),
    ("sum", behavior("R", .sum, of: "network.bytes", .gte, 15, window: .hours(1))),
    ("distinct", behavior("R", .distinct_count, of: "user.name", .gte, 5, window: .hours(1))),
    ("max", behavior("R", .max, of: "network.bytes", .gte, 3, window: .hours(1), minEvents: 5)),
    ("rate", behavior("R", .rate, .gte, 50, window: .seconds(100))),
    ("avg", behavior("R", .avg, of: "network.bytes", .gte, 3, window: .hours(1), minEvents: 5)),
  ]

  /// Five are needed. Forged lines never take from the attested ones what they reach alone; what needs them is claimed.
  @Test(arguments: fives.indices)
  func whatAttestedEventsReachAloneIsAttested(_ n: Int) {
    let (name, rule) = Self.fives[n]
    for (events, expected) in [
      ("aaaaa", "....A"), ("ccccc", "....C"), ("aaaac", "....C"), ("caaaa", "....C"),
      // Three and two are enough, but claimed; two more attested ones make five of their own, once.
      ("aaacc aa aaa", "....C.A..."), ("acacacaca", "....C...A"), ("ccccaaaaaa", "....C...A."),
      ("cccccaaaaac", "....C....A."),
      // A claimed line right after an attested match says nothing new.
      ("aaaaac", "....A."),
    ] {
      #expect(outline(play([rule], stream(events))) == expected, "\(name): \(events)")
    }
  }

  @Test func anAttestedMatchIsToldByItsOwnLinesAndValue() throws {
    let matches = play(
      [behavior("R", .count, .gte, 5, window: .hours(1), cooldown: .seconds(1))],
      stream("a c a a c a a"))
    let last = try #require(matches.last?.first)
    #expect(
      last.trust == .attested && last.observed == 5
        && last.evidence.map(\.origin.offset) == [0, 2, 3, 5, 6] && last.evidenceTotal == 5)
    #expect(
      matches[5].first.map(tell) == "0 [\"192.0.2.1\"] 6 0 5000000000 0,1,2,3,4,5 of 6"
        && matches[5][0].trust == .claimed)
  }

  /// With a cooldown each event is one match at most, and an attested one keeps claimed ones quiet for as long.
  @Test func aCooldownHoldsForBoth() {
    let rule = behavior("R", .count, .gte, 2, window: .seconds(10), cooldown: .seconds(4))
    #expect(outline(play([rule], stream("aa cccc aaa"))) == ".A...CA..")
    #expect(outline(play([rule], stream("ac aaaaaaaa"))) == ".CA...A...")
  }

  /// The network of an address that was only claimed to have matched is not silenced by it.
  @Test func aClaimedAddressDoesNotSilenceItsNetwork() {
    let rule = behavior("R", .count, .gte, 4, window: .hours(1), networks: true)
    let hosts: [(String, Trust)] = [
      ("2001:db8::1", .attested), ("2001:db8::1", .attested), ("2001:db8::2", .claimed),
      ("2001:db8::2", .claimed), ("2001:db8::2", .attested),
      ("2001:db8::2", .attested),
    ]
    let matches = play(
      [rule],
      hosts.enumerated().map {
        Played(fields: [("source.ip", $1.0)], second: Int64($0), trust: $1.1)
      })
    #expect(
      matches.map { $0.map { "\($0.group[0].value) \($0.trust.name)" } }.suffix(1) == [
        ["2001:db8::2 claimed", "2001:db8::/64 attested"]
      ])
  }

  /// The whole of it: what is attested is, to the last line, what it would be had nobody claimed anything.
  @Test(arguments: WindowTests.shapes, [false, true])
  func claimedEventsChangeNothingAboutAttestedOnes(_ shape: WindowTests.Shape, _ isUnsure: Bool) {
    let metric =
      shape.aggregation == .count || shape.aggregation == .rate
      ? nil : shape.aggregation == .distinct_count ? "user.name" : "network.bytes"
    let rule = behavior(
      "R", shape.aggregation, of: metric, shape.comparison, shape.threshold, window: .seconds(20),
      networks: true, minEvents: shape.minEvents,
      cooldown: shape.cooldown.map(Nanoseconds.seconds))
    var random = Random(UInt64(bitPattern: shape.threshold) &* 77 &+ 5)
    var now: Int64 = 1000
    var events: [Played] = []
    for n in 0..<500 {
      now += Int64(random.pick([0, 0, 0, 1, 1, 2, 5, n % 50 == 0 ? 60 : 3]))
      let address = random.pick(["192.0.2.1", "2001:db8::1", "2001:db8::2"])
      events.append(
        Played(
          fields: [
            ("source.ip", address), ("user.name", "u\(random.below(30))"),
            ("network.bytes", "\(random.below(100))"),
          ], second: now,
          trust: random.below(3) == 0 ? .claimed : .attested, weight: Int64(1 + random.below(2)),
          isUnconfirmed: isUnsure && random.below(12) == 0))
    }
    let all = play([rule], events)
    #expect(all.allSatisfy { Set($0.map { $0.group[0].value }).count == $0.count })
    #expect(events.indices.allSatisfy { n in events[n].trust == .attested || all[n].allSatisfy { $0.trust == .claimed } })
    if isUnsure { return }  // how long an unsure time keeps old entries depends on when others made room
    let alone = play([rule], events) { $0.trust == .attested }
    for n in events.indices {
      #expect(all[n].filter { $0.trust == .attested }.map(tell) == alone[n].map(tell), "event \(n)")
    }
  }

  /// A second group is there as long as it says something else than the first.
  @Test func onlyMixedKeysCostTwice() {
    var engine = RuleEngine(ruleSet(behavior("R", .count, .gte, 5, window: .seconds(10))))
    var event = Event()
    func groups(_ trust: Trust, _ address: String, at second: Int64) -> Int {
      fill(&event, [("source.ip", address)], at: second)
      event.trust = trust
      _ = engine.ids(event)
      return engine.counters.groups
    }
    #expect(
      groups(.attested, "192.0.2.1", at: 0) == 1 && groups(.attested, "192.0.2.1", at: 1) == 1)
    #expect(groups(.claimed, "192.0.2.2", at: 2) == 2 && groups(.claimed, "192.0.2.2", at: 3) == 2)
    #expect(groups(.claimed, "192.0.2.1", at: 4) == 3 && groups(.attested, "192.0.2.2", at: 4) == 4)
    #expect(
      groups(.attested, "192.0.2.1", at: 13) == 4 && groups(.attested, "192.0.2.1", at: 14) == 3)
    #expect(groups(.attested, "192.0.2.2", at: 14) == 2)
  }

  @Test func manyMixedKeysStayInsideTheBudget() {
    let rules = ["R", "S", "T"].map {
      behavior(
        $0, $0 == "S" ? .distinct_count : .count, of: $0 == "S" ? "user.name" : nil, .gte, 5,
        window: .hours(1))
    }
    var engine = RuleEngine(ruleSet(rules))
    var event = Event()
    var matches: [RuleMatch] = []
    var attacker = 0
    for n in 0..<100_000 {
      event.begin(raw: Bytes("raw"), origin: EventOrigin(source: 0, offset: UInt64(n), length: 3))
      event.set(.userName, n % 7 == 0 ? "a" : "b")
      event.set(.sourceIP, IPAddress(v4: n % 100 < 2 ? 1 : 0x0a00_0000 + UInt32(n / 2)))
      event.time = EventTime(seconds: Int64(n / 1000))
      event.trust = n % 2 == 0 ? .claimed : .attested
      engine.evaluate(event, at: event.time, into: &matches)
      attacker += matches.count { $0.trust == .attested }
      if n % 1000 == 0 { #expect(engine.counters.windowBytes <= GroupTable.byteBudget) }
    }
    #expect(attacker > 3)
    #expect(
      engine.counters.windowBytes <= GroupTable.byteBudget
        && engine.counters.groups <= 3 * Limits.groupsPerRule)
    #expect(engine.counters.evictions.allSatisfy { $0 > 0 })
  }

  /// One history of all events, each in it once. A deviation upwards is attested when attested events reach it alone; in a mean and
  /// downwards one claimed event makes it claimed.
  @Test(arguments: [
    (BehavioralDetection.Aggregation.count, Int64(1000), Trust.attested), (.count, -900, .claimed), (.avg, 1000, .claimed),
  ])
  func baselinesAreOfAllEvents(_ aggregation: BehavioralDetection.Aggregation, _ threshold: Int64, _ expected: Trust) throws {
    let window: Nanoseconds = .minutes(1)
    var rule = behavior("B", aggregation, of: aggregation == .avg ? "network.bytes" : nil, .gte, threshold, window: window, cooldown: .seconds(1))
    guard case .behavioral(var detection) = rule.detection else { return }
    detection.baseline = .init(source: .rolling_mean, lookback: .hours(1), unit: .fraction)
    rule.detection = .behavioral(detection)
    var events: [Played] = []
    func add(_ second: Int64, _ trust: Trust, bytes: Int = 10) {
      events.append(Played(fields: [("source.ip", "192.0.2.1"), ("network.bytes", "\(bytes)")], second: second, trust: trust))
    }
    let usual = threshold < 0 ? 40 : 4
    for minute in 0..<40 { for n in 0..<usual { add(Int64(minute * 60 + n), n % 2 == 0 ? .attested : .claimed) } }
    let burst = threshold < 0 ? 2 : 20
    for n in 0..<burst { add(Int64(45 * 60 + n), n == 1 ? .claimed : .attested, bytes: 100) }
    let mixed = play([rule], events)
    for n in events.indices { events[n].trust = .claimed }
    let claimed = play([rule], events)
    let last = try #require(mixed.suffix(burst).joined().last)
    #expect(last.trust == expected)
    guard case .baseline(let reading) = last.details, case .baseline(let other)? = claimed.suffix(burst).joined().last?.details else {
      Issue.record("no reading")
      return
    }
    #expect(reading.samples == other.samples && reading.baseline == other.baseline && reading.samples > 0)
  }

  // MARK: Correlations

  private static let atoms = ["A", "B", "C"].map {
    pattern($0, all: isExactly("event.action", $0.lowercased()))
  }
  private static let logics: [CorrelationDetection.Logic] = [
    .temporalSequence(["a", "b", "c"]), .temporalSequence(["a", "a", "b"]),
    .temporalUnordered(["a", "b", "c"]), .countThreshold(alias: "a", count: 3),
    .valueOverlap(["a", "b"], field: .known(.userName)),
  ]
  private static func rules(_ logic: CorrelationDetection.Logic) -> [Rule] {
    atoms + [
      rule(
        "COR",
        .correlation(
          CorrelationDetection(
            sourceRules: [("a", "A"), ("b", "B"), ("c", "C")].map {
              CorrelationDetection.SourceRule(alias: $0.0, ruleIDPattern: $0.1)
            }, logic: logic,
            joinKeys: [FieldReference(name: "source.ip")], window: .seconds(30))))
    ]
  }
  /// Capitals are attested.
  private static func steps(_ text: String) -> [Played] {
    text.enumerated().map { n, letter in
      Played(
        fields: [("source.ip", "192.0.2.1"), ("event.action", letter.lowercased())],
        second: Int64(n), trust: letter.isUppercase ? .attested : .claimed)
    }
  }

  @Test(arguments: [
    (0, "AaBbC", "....A"), (0, "AbC", "..C"), (0, "AbCBC", "..C.A"), (0, "abc", "..C"),
    (2, "CcBbA", "....A"), (2, "aBC", "..C"), (3, "AAaA", "..CA"),
    (3, "AaAaA", "..C.A"), (3, "AAaaaa", "..C..C"), (3, "AAaAaa", "..CA.."),
    (3, "aaaAAA", "..C..A"),
  ]) func aClaimedMatchTakesNoAttestedOnesPlace(_ logic: Int, _ events: String, _ expected: String) {
    let found = play(Self.rules(Self.logics[logic]), Self.steps(events)).map {
      $0.filter { $0.rule == 3 }
    }
    #expect(outline(found) == expected, "\(events)")
  }

  @Test(arguments: logics.indices) func claimedMatchesChangeNothingAboutAttestedOnes(_ logic: Int) {
    var random = Random(UInt64(logic + 1))
    var now: Int64 = 0
    var events: [Played] = []
    for _ in 0..<1500 {
      now += Int64(random.pick([0, 1, 2, 3, 12]))
      events.append(
        Played(
          fields: [
            ("source.ip", "192.0.2.\(random.below(2))"),
            ("event.action", random.pick(["a", "b", "c"])), ("user.name", random.pick(["x", "y"])),
          ],
          second: now, trust: random.below(2) == 0 ? .claimed : .attested))
    }
    func chains(_ matches: [[RuleMatch]], _ trust: Trust) -> [[String]] {
      matches.map {
        $0.filter { $0.rule == 3 && $0.trust == trust }.map {
          "\(tell($0)) \($0.chain.map(\.eventID))"
        }
      }
    }
    let all = play(Self.rules(Self.logics[logic]), events)
    #expect(
      chains(all, .attested)
        == chains(play(Self.rules(Self.logics[logic]), events) { $0.trust == .attested }, .attested)
    )
    #expect(all.allSatisfy { $0.count <= 2 })
    #expect(
      chains(all, .attested).contains { !$0.isEmpty }
        && chains(all, .claimed).contains { !$0.isEmpty })
  }
}
