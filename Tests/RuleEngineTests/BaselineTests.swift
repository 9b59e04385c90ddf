// Means, fractions and deviations from a baseline: against plain arrays, at their edges, and under hostile streams.
import Events
import Primitives
import RuleLanguage
import Testing

@testable import RuleEngine

private func deviating(
  _ threshold: Int64, _ baseline: BehavioralDetection.Baseline, minEvents: Int64 = 0, cooldown: Nanoseconds? = nil
) -> Rule {
  var rule = behavior("B", .count, .gte, threshold, window: .minutes(1), by: ["user.name"], minEvents: minEvents, cooldown: cooldown)
  guard case .behavioral(var detection) = rule.detection else { return rule }
  detection.baseline = baseline
  rule.detection = .behavioral(detection)
  return rule
}
private func with(digits: Int, _ rule: Rule) -> Rule {
  var rule = rule
  guard case .behavioral(var detection) = rule.detection else { return rule }
  detection.digits = digits
  rule.detection = .behavioral(detection)
  return rule
}
private func hourly(_ unit: BehavioralDetection.Baseline.Unit) -> BehavioralDetection.Baseline {
  .init(source: .rolling_mean, lookback: .hours(1), unit: unit)
}

@Suite struct BaselineTests {
  // MARK: Means and decimals

  @Test func meansAreExact() {
    var engine = RuleEngine(ruleSet(with(digits: 6, behavior("M", .avg, of: "cost", .gt, 1_500_000, window: .minutes(10), by: []))))
    var event = Event()
    // 1, 2 (mean 1.5 is not above 1.5), 1.500001 (above), 0, then nothing that is a number.
    let table: [(value: String, fires: Bool)] = [
      ("1", false), ("2", false), ("1.500001", true), ("0", false), ("many", false), ("", false), ("1e1", true), ("-9.5", false),
    ]
    for (i, row) in table.enumerated() {
      fill(&event, [("cost", row.value)], at: Int64(i))
      #expect(engine.ids(event) == (row.fires ? ["M"] : []), "\(row)")
    }
  }
  @Test func noValueIsNoMatch() {
    for comparison in Comparison.allCases {
      var engine = RuleEngine(ruleSet(with(digits: 6, behavior("M", .avg, of: "cost", comparison, 0, window: .minutes(1), by: []))))
      var event = Event()
      fill(&event, [("other", "1")])
      #expect(engine.ids(event) == [])
    }
  }
  @Test func repeatedLinesWeighInMeans() {
    var engine = RuleEngine(ruleSet(with(digits: 6, behavior("M", .avg, of: "cost", .gte, 4_000_000, window: .minutes(1), by: [], minEvents: 5))))
    var event = Event()
    fill(&event, [("cost", "0")])
    #expect(engine.ids(event) == [])
    fill(&event, [("cost", "5")])
    event.repeatCount = 4
    #expect(engine.ids(event) == ["M"], "20 over 5 events")
  }
  @Test func sumsOfDecimals() {
    var engine = RuleEngine(ruleSet(with(digits: 6, behavior("S", .sum, of: "spend", .gte, 300_000, window: .minutes(1), by: []))))
    var event = Event()
    for (i, fires) in [false, false, true].enumerated() {
      fill(&event, [("spend", "0.1")], at: Int64(i))
      let match = engine.matches(event).first
      #expect((match != nil) == fires)
      if fires { #expect(match?.observed == 300_000) }
    }
  }
  @Test(arguments: [
    ("0", 0), ("1", 1_000_000), ("-0.5", -500_000), ("0.0000019", 1), ("1e-6", 1), ("12.5E1", 125_000_000), (" 3 ", 3_000_000), ("00.10", 100_000),
    ("+6", 6_000_000), (".5", 500_000), ("5.", 5_000_000), ("-.5", -500_000), ("\n7", 7_000_000), ("inf", .max), ("-Infinity", -.max),
    ("1e400", Int64.max), ("-1e400", -Int64.max), ("0e999999999999", 0), ("99999999999999999999", .max), ("1e-999999999999", 0),
  ])
  func decimals(_ text: String, _ value: Int64) { #expect(text.withBytes { FixedPoint.read($0, digits: 6) } == value) }
  @Test(arguments: ["", "-", ".", "+-1", "1e", "1e+", "x", "1 2", "0x1", "NaN", "--1", "1.2.3"])
  func noDecimals(_ text: String) { #expect(text.withBytes { FixedPoint.read($0, digits: 6) } == nil) }
  @Test(arguments: [(0, 6, "0"), (1_500_000, 6, "1.5"), (-1, 6, "-0.000001"), (7, 0, "7"), (Int64.min, 3, "-9223372036854775.808")])
  func decimalTexts(_ value: Int64, _ digits: Int, _ text: String) {
    var out: [UInt8] = []
    out.append(fixedPoint: value, digits: digits)
    #expect(String(decoding: out, as: UTF8.self) == text)
  }

  // MARK: Deviations

  /// Minute m has `counts[m]` events of one user; the minutes in which the rule matches.
  private func matchingMinutes(_ rule: Rule, _ counts: [Int]) -> [Int] {
    var engine = RuleEngine(ruleSet(rule))
    var event = Event()
    var minutes: [Int] = []
    for (minute, count) in counts.enumerated() {
      for i in 0..<count {
        fill(&event, [("user.name", "u")], at: Int64(minute * 60 + i * 59 / max(1, count)))
        if !engine.ids(event).isEmpty, minutes.last != minute { minutes.append(minute) }
      }
    }
    return minutes
  }

  @Test func standardDeviations() {
    // 8 and 12 in turn: mean 10, deviation 2. The window slides, so a count is never exactly its minute's; 30 is far above all of it.
    let usual = (0..<20).map { $0 % 2 == 0 ? 8 : 12 }
    #expect(matchingMinutes(deviating(5_000, hourly(.stddev)), usual + [9, 30, 10]) == [21])
    #expect(matchingMinutes(deviating(1_000_000, hourly(.stddev)), usual + [9, 30, 10]) == [])
  }
  @Test func nothingDeviatesBeforeThereIsABaseline() {
    #expect(matchingMinutes(deviating(1_000, hourly(.stddev)), [1, 1, 1, 50]) == [], "minute 3 knows of the minutes 0 and 1 only")
    #expect(matchingMinutes(deviating(1_000, hourly(.stddev)), [1, 1, 1, 1, 50]) == [4])
  }
  @Test func noSpreadMakesAnyRiseInfinite() throws {
    var engine = RuleEngine(ruleSet(deviating(9_000_000, hourly(.stddev))))
    var event = Event()
    for minute in 0..<6 {
      fill(&event, [("user.name", "u")], at: Int64(minute * 60))
      #expect(engine.ids(event) == [], "as always is no deviation")
    }
    fill(&event, [("user.name", "u")], at: 301)
    let match = try #require(engine.matches(event).first)
    guard case .baseline(let reading) = match.details else { return #expect(Bool(false)) }
    #expect(reading == BaselineReading(baseline: 1, deviationThousandths: .max, samples: 4))
    #expect(match.observed == 2)
    #expect(match.threshold == 9_000_000)
  }
  @Test func fractionsOfAFixedBaseline() {
    // d = (v - b) / b: with b = 4 a threshold of 2 begins at 12.
    let rule = deviating(2_000, .init(source: .fixed, value: 4, unit: .fraction))
    #expect(matchingMinutes(rule, [11]) == [])
    #expect(matchingMinutes(rule, [12]) == [0])
    #expect(matchingMinutes(deviating(1, .init(source: .fixed, value: 0, unit: .fraction)), [1]) == [0], "of nothing, anything is infinite")
    #expect(matchingMinutes(deviating(-500, .init(source: .fixed, value: 4, unit: .fraction)), [1]) == [0], "below")
  }
  @Test func silenceIsACountOfZero() {
    // One event in ten minutes: the mean is about a tenth, so two in one minute are far above it.
    let counts = (0..<50).map { $0 % 10 == 0 ? 1 : 0 } + [0, 3]
    #expect(matchingMinutes(deviating(8_000, hourly(.fraction)), counts).last == 51)
    #expect(matchingMinutes(deviating(40_000, hourly(.fraction)), counts) == [])
  }
  @Test func percentiles() {
    let baseline = BehavioralDetection.Baseline(source: .historical_percentile, lookback: .hours(1), percentile: 50_000, unit: .fraction)
    let usual = (0..<30).map { $0 % 3 == 0 ? 40 : 4 }
    #expect(matchingMinutes(deviating(4_000, baseline), usual + [4, 4, 100]).last == 32, "the median of the minutes is small")
  }
  @Test func minimumEventsAndCooldown() {
    let fixed = BehavioralDetection.Baseline(source: .fixed, value: 1, unit: .fraction)
    #expect(matchingMinutes(deviating(1_000, fixed, minEvents: 6), [5, 0, 7]) == [2])
    #expect(matchingMinutes(deviating(1_000, fixed, cooldown: .minutes(5)), [3, 0, 3, 0, 0, 3]) == [0, 5])
  }

  /// The table against arrays: lookbacks that fit into single-slot blocks are exact.
  @Test(arguments: [BaselineRule.Source.rollingMean, .percentile])
  func againstPlainArrays(_ source: BaselineRule.Source) {
    var random = Random(11)
    for round in 0..<20 {
      let slots = Int64(5 + random.below(100))
      let countsSilence = round % 2 == 0
      let rule = BaselineRule(
        source: source, unit: .standardDeviations, threshold: 2_000, window: 10, slots: slots, percentile: 90_000, value: 0,
        countsSilence: countsSilence)
      let table = BaselineTable([rule])
      let key = GroupKey(high: 1, low: 2)
      var samples: [Int64: Int64] = [:]
      var now: Int64 = 5
      for _ in 0..<400 {
        now += Int64(random.below(4) == 0 ? random.below(60) : random.below(8))
        let slot = now / 10
        table.advance(0, key, now: now)
        let value = Int64(random.below(100)) - 20
        var history: [Int64] = []
        if let first = samples.keys.min() {
          for s in max(first, slot - slots)...max(first, slot - slots, slot - 2) where s <= slot - 2 {
            if let sample = samples[s] { history.append(sample) } else if countsSilence { history.append(0) }
          }
        }
        #expect(table.holds(0, key, value: value) == Self.holds(history, value, source), "\(history) \(value)")
        table.note(0, key, now: now, value: value)
        samples[slot] = value
      }
    }
  }
  private static func holds(_ history: [Int64], _ value: Int64, _ source: BaselineRule.Source) -> Bool {
    guard history.count >= 3 else { return false }
    let n = Int64(history.count)
    let sum = history.reduce(0, +)
    let spread = n * history.reduce(0) { $0 + $1 * $1 } - sum * sum
    let sorted = history.sorted()
    let rank = (90 * history.count + 99) / 100
    let difference = source == .percentile ? n * (value - sorted[rank - 1]) : n * value - sum
    return difference > 0 && difference * difference >= 4 * spread
  }

  // MARK: Bounds

  @Test func bins() {
    var random = Random(3)
    for _ in 0..<20_000 {
      let value = Int64(random.next() >> UInt64(18 + random.below(46))) * (random.below(2) == 0 ? 1 : -1)
      let upper = Bins.upper(Bins.bin(value))
      #expect(upper >= value && upper - value <= max(0, Int64(value.magnitude) / 64))
      #expect(Bins.bin(value) <= Bins.bin(value + 1))
    }
  }
  @Test func roots() {
    for value: UInt128 in [0, 1, 2, 3, 4, 15, 16, 17, 1 << 64, (1 << 126) - 1, .max] {
      let root = BaselineTable.root(value)
      #expect(root * root <= value)
      #expect(root == UInt128(UInt64.max) || (root + 1) * (root + 1) > value)
    }
  }
  @Test func memoryIsBounded() {
    let rule = BaselineRule(
      source: .percentile, unit: .fraction, threshold: 1, window: 1_000_000, slots: 10_000, percentile: 99_000, value: 0, countsSilence: true)
    let table = BaselineTable([rule])
    var now: Int64 = 0
    for i in 0..<60_000 {
      now += 1_500_000
      let key = GroupKey(high: UInt64(i % 20_000), low: 0)
      table.advance(0, key, now: now)
      table.note(0, key, now: now, value: Int64(i) << 20)
      if i % 1000 == 0 { #expect(table.usedBytes <= Limits.baselineBytes + 64 * 1024) }
    }
    #expect(table.evictions[0] > 0)
    #expect(table.count < 60_000)
  }
  @Test func timesOfAllKinds() {
    let rule = BaselineRule(
      source: .rollingMean, unit: .standardDeviations, threshold: 1, window: 1_000_000, slots: 65_536, percentile: 0, value: 0, countsSilence: true)
    let table = BaselineTable([rule])
    let key = GroupKey(high: 0, low: 0)
    for now in [0, 1, .max, .min, 0, 1_000_000_000, -1_000_000_000, .max - 1, .max, 3_000_000, 9_000_000, 12_000_000] as [Int64] {
      table.advance(0, key, now: now)
      _ = table.holds(0, key, value: .max)
      _ = table.reading(0, key, value: .min)
      table.note(0, key, now: now, value: now)
    }
  }
}
