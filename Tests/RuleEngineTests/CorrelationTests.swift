import Events
import Primitives
import RuleLanguage
import Testing

@testable import RuleEngine

private func correlation(
  _ id: String, _ logic: CorrelationDetection.Logic, sources: [(String, String)], by keys: [String] = ["source.ip"],
  window: Nanoseconds = .seconds(100)
) -> Rule {
  rule(
    id,
    .correlation(
      CorrelationDetection(
        sourceRules: sources.map { CorrelationDetection.SourceRule(alias: $0.0, ruleIDPattern: $0.1) }, logic: logic,
        joinKeys: keys.map { FieldReference(name: $0) }, window: window)))
}
private let atoms = ["A", "B", "C"].map { pattern($0, all: isExactly("event.action", $0.lowercased())) }
private let abc = [("a", "A"), ("b", "B"), ("c", "C")]

@Suite struct CorrelationTests {
  struct Case: CustomTestStringConvertible {
    var name: String
    var logic: CorrelationDetection.Logic
    /// "action@second" or "action@second/address/user".
    var events: String
    /// Seconds (as written) of the events on which the correlation matched.
    var matches: [Int]
    var testDescription: String { name }
  }
  static let sequence = CorrelationDetection.Logic.temporalSequence(["a", "b", "c"])
  static let unordered = CorrelationDetection.Logic.temporalUnordered(["a", "b"])
  static let cases: [Case] = [
    Case(name: "in order", logic: sequence, events: "a@0 b@1 c@2", matches: [2]),
    Case(name: "others between", logic: sequence, events: "a@0 x@1 a@2 b@3 b@4 c@5", matches: [5]),
    Case(name: "wrong order", logic: sequence, events: "c@0 b@1 a@2", matches: []),
    Case(name: "same second, in order of arrival", logic: sequence, events: "a@5 b@5 c@5", matches: [5]),
    Case(name: "same second, wrong order of arrival", logic: sequence, events: "c@5 b@5 a@5", matches: []),
    Case(name: "window open behind", logic: sequence, events: "a@0 b@1 c@100", matches: []),
    Case(name: "window closed ahead", logic: sequence, events: "a@0 b@1 c@99", matches: [99]),
    Case(name: "a later beginning saves the chain", logic: sequence, events: "a@0 a@50 b@51 c@120", matches: [120]),
    Case(name: "the middle belongs to the earlier beginning only", logic: sequence, events: "a@0 b@10 a@50 c@120", matches: []),
    Case(name: "cleared after a match", logic: sequence, events: "a@0 b@1 c@2 c@3 b@4 c@5 a@6 b@7 c@8", matches: [2, 8]),
    Case(name: "other address", logic: sequence, events: "a@0 b@1/192.0.2.2 c@2", matches: []),
    Case(name: "two addresses interleaved", logic: sequence, events: "a@0 a@0/192.0.2.2 b@1 b@2/192.0.2.2 c@3/192.0.2.2 c@4", matches: [3, 4]),
    Case(name: "no address", logic: sequence, events: "a@0/- b@1/- c@2/-", matches: []),
    Case(name: "repeated alias", logic: .temporalSequence(["a", "a", "b"]), events: "a@0 b@1 a@2 b@3", matches: [3]),
    Case(name: "one event is not two places", logic: .temporalSequence(["a", "a"]), events: "a@0 a@1 a@2 a@3", matches: [1, 3]),
    Case(name: "one place", logic: .temporalSequence(["a"]), events: "a@0 a@1", matches: [0, 1]),
    Case(name: "clock goes back", logic: .temporalSequence(["a", "b"]), events: "a@2050 b@40 a@41 b@42", matches: [42]),
    Case(name: "another source is behind", logic: .temporalSequence(["a", "b"]), events: "a@50 b@40 a@41 b@42", matches: [40, 42]),
    Case(name: "unordered", logic: unordered, events: "b@0 a@1", matches: [1]),
    Case(name: "unordered, too far apart", logic: unordered, events: "b@0 a@100", matches: []),
    Case(name: "unordered, renewed", logic: unordered, events: "b@0 b@60 a@100", matches: [100]),
    Case(name: "unordered, cleared", logic: unordered, events: "b@0 a@1 a@2 b@3", matches: [1, 3]),
    Case(name: "count", logic: .countThreshold(alias: "a", count: 3), events: "a@0 a@1 a@2 a@3 a@4 a@5", matches: [2, 5]),
    Case(name: "count slides", logic: .countThreshold(alias: "a", count: 3), events: "a@0 a@90 a@100 a@101", matches: [101]),
    Case(
      name: "overlap", logic: .valueOverlap(["a", "b", "c"], field: .known(.userName)),
      events: "a@0/192.0.2.1/root b@1/192.0.2.1/bob a@2/192.0.2.1/bob", matches: [2]),
    Case(
      name: "overlap needs two rules", logic: .valueOverlap(["a", "b"], field: .known(.userName)), events: "a@0/192.0.2.1/root a@1/192.0.2.1/root",
      matches: []),
    Case(name: "overlap needs the value", logic: .valueOverlap(["a", "b"], field: .known(.userName)), events: "a@0 b@1", matches: []),
  ]

  @Test(arguments: cases, Trust.allCases) func table(_ c: Case, _ trust: Trust) {
    var engine = RuleEngine(ruleSet(atoms + [correlation("COR", c.logic, sources: abc)]))
    #expect(engine.diagnostics.isEmpty)
    var event = Event()
    var matched: [Int] = []
    for (n, text) in c.events.split(separator: " ").enumerated() {
      let parts = text.split(separator: "/").map(String.init)
      let action = parts[0].split(separator: "@").map(String.init)
      let address = parts.count > 1 ? parts[1] : "192.0.2.1"
      var fields = [("event.action", action[0])]
      if address != "-" { fields.append(("source.ip", address)) }
      if parts.count > 2 { fields.append(("user.name", parts[2])) }
      fill(&event, fields, at: Int64(action[1]) ?? 0, offset: UInt64(n))
      event.trust = trust
      if engine.ids(event).contains("COR") { matched.append(Int(action[1]) ?? -1) }
    }
    #expect(matched == c.matches)
  }

  @Test func aChainCarriesTheLinesOfItsParts() {
    var engine = RuleEngine(
      ruleSet([
        behavior("BRUTE", .count, .gte, 3, window: .seconds(60), filter: [isExactly("event.outcome", "failure")]),
        correlation("COR", .temporalSequence(["brute", "in"]), sources: [("brute", "BRU*"), ("in", "LOGIN")]),
        pattern("LOGIN", all: isExactly("event.outcome", "success")),
      ]))
    var event = Event()
    var last: [RuleMatch] = []
    for n in 0..<4 {
      fill(&event, [("source.ip", "192.0.2.1"), ("event.outcome", n < 3 ? "failure" : "success")], at: Int64(10 + n), offset: UInt64(n))
      last = engine.matches(event)
    }
    #expect(last.map(\.rule) == [2, 1])
    #expect(last.last?.evidence.map(\.origin.offset) == [0, 1, 2, 3])
    #expect(last.last?.observed == 2 && last.last?.threshold == 2 && last.last?.evidenceTotal == 4)
    #expect(last.last?.firstTime == EventTime(seconds: 10) && last.last?.lastTime == EventTime(seconds: 13))
    #expect(last.last?.group.map(\.value) == ["192.0.2.1"])
  }

  @Test func correlationsFeedCorrelationsButNotInCircles() {
    var engine = RuleEngine(
      ruleSet(
        atoms + [
          correlation("X1", .temporalSequence(["a", "b"]), sources: abc),
          correlation("X0", .temporalSequence(["x", "c"]), sources: [("x", "X1"), ("c", "C")]),
          correlation("Y1", .countThreshold(alias: "y", count: 1), sources: [("y", "Y2")]),
          correlation("Y2", .countThreshold(alias: "y", count: 1), sources: [("y", "Y1"), ("y", "A")]),
          correlation("ALL", .countThreshold(alias: "any", count: 100), sources: [("any", "*")]),
          correlation("BAD", .temporalSequence(["a", "nobody"]), sources: abc),
        ]))
    #expect(engine.diagnostics.map { String($0.message.prefix(2)) } == ["BA", "Y1", "Y2"])
    var event = Event()
    var all: [[String]] = []
    for (n, action) in ["a", "b", "c"].enumerated() {
      fill(&event, [("event.action", action), ("source.ip", "192.0.2.1")], at: Int64(n))
      all.append(engine.ids(event))
    }
    #expect(all == [["A"], ["B", "X1"], ["C", "X0"]])
  }

  @Test func stateIsBounded() {
    var engine = RuleEngine(ruleSet(atoms + [correlation("COR", .temporalSequence(["a", "b"]), sources: abc, window: .days(1))]))
    var event = Event()
    func play(_ action: String, _ n: Int) -> [String] {
      fill(&event, [("event.action", action)], at: 10, offset: UInt64(n))
      event.set(.sourceIP, IPAddress(v4: UInt32(n)))
      return engine.ids(event)
    }
    for n in 0..<Limits.correlationChains + 500 { _ = play("a", n) }
    #expect(engine.counters.chains == Limits.correlationChains)
    #expect(engine.counters.evictions == [0, 0, 0, 500])
    #expect(play("b", 499) == ["B"])
    #expect(play("b", 5000 - 1000) == ["B", "COR"])
  }

  @Test(arguments: [
    ("A", "A", true), ("A*", "ABC", true), ("*C", "ABC", true), ("A?C", "ABC", true), ("A?C", "AC", false), ("*", "", true), ("", "A", false),
    ("a", "A", false),
    ("*A*B*", "xxAyyBzz", true), ("*A*B*", "xxByyAzz", false),
  ])
  func globs(_ pattern: String, _ text: String, _ expected: Bool) { #expect(glob(pattern, matches: text) == expected) }
}

@Suite struct HostileEngineTests {
  /// Random bytes in random fields under rules of every kind: no trap, and the same matches in two engines.
  @Test func randomEventsNeverTrapAndRepeat() {
    var rules = atoms
    rules.append(regexRule("P1", "\\bselect\\b.*from"))
    rules.append(regexRule("P2", "[\\x80-\\xff]{2}", field: "user.name"))
    rules.append(pattern("P3", any: condition("x.y", .compare(.lt, 0)), condition("source.ip", .contains(["1"], caseSensitive: false), not: true)))
    for (n, aggregation) in BehavioralDetection.Aggregation.allCases.enumerated() {
      for (m, comparison) in Comparison.allCases.enumerated() {
        rules.append(
          behavior(
            "W\(n)\(m)", aggregation, of: n % 2 == 0 ? "network.bytes" : "user.name", comparison, [0, 1, -5, 3, .max][m],
            window: Nanoseconds([1, 1_000_000_000, .max, 63, 3_600_000_000_000, 7][n]), by: [["source.ip"], [], ["user.name", "x.y"]][m % 3],
            networks: true,
            minEvents: [0, 2, .max][n % 3], cooldown: m == 4 ? Nanoseconds(.max) : nil))
        // The same against each kind of baseline, with fractions told apart.
        if case .behavioral(var detection) = rules[rules.count - 1].detection {
          detection.digits = 6
          detection.baseline = BehavioralDetection.Baseline(
            source: BehavioralDetection.Baseline.Source.allCases[m % 3], lookback: Nanoseconds([1, 1_000_000_000, .max][n % 3]), percentile: 50_000,
            value: [0, .max, .min][n % 3], unit: m % 2 == 0 ? .stddev : .fraction)
          rules.append(rule("D\(n)\(m)", .behavioral(detection)))
        }
      }
    }
    rules.append(correlation("COR", .temporalUnordered(["a", "w"]), sources: [("a", "A"), ("w", "W*")], window: Nanoseconds(.max)))
    rules.append(correlation("CNT", .countThreshold(alias: "w", count: 4), sources: [("w", "*")], by: [], window: .seconds(1)))
    func run() -> [String] {
      var engine = RuleEngine(ruleSet(rules))
      var random = Random(99)
      var event = Event()
      var out: [String] = []
      for n in 0..<4000 {
        event.begin(raw: Bytes("line"), origin: EventOrigin(source: 0, offset: UInt64(n), length: 4))
        for field in [Field.message, .userName, .eventAction, .eventOutcome] where random.below(3) > 0 {
          let bytes = (0..<random.below(6)).map { _ in random.pick(Array("abc\0\u{ff}é select from".utf8)) }
          bytes.withUnsafeBytes { event.set(field, $0) }
        }
        if random.below(2) == 0 {
          event.set(.sourceIP, random.below(2) == 0 ? IPAddress(v4: UInt32(random.below(5))) : IPAddress(v6High: 7, low: UInt64(random.below(5))))
        }
        event.set(.networkBytes, random.pick([0, 1, -1, .max, .min, 3] as [Int64]))
        event.setExtra(Bytes("x.y"), Bytes(random.below(2) == 0 ? "-9" : "-"))
        event.repeatCount = random.pick([1, 1, 1, 0, -4, .max])
        let time = EventTime(nanoseconds: random.below(50) == 0 ? random.pick([.min, .max, 0]) : Int64(n) * 300_000_000)
        event.time = time
        for match in engine.matches(event, at: time) {
          out.append("\(n) \(match.rule) \(match.group.map(\.value)) \(match.observed) \(match.evidence.map(\.origin.offset)) \(match.evidenceTotal)")
        }
      }
      return out
    }
    let first = run()
    #expect(first.count > 1000)
    #expect(run() == first)
  }
}
