// How much of something is usual at an hour of the week: 168 buckets, and 24 for the hours of the day, which answer while a bucket of the
// week is too young. A bucket holds an exponentially weighted level and mean absolute deviation (EWMA, as in Jacobson 1988, "Congestion
// avoidance and control", appendix A); weights are 1/n for the first samples, then 1/8.
// Robust: a sample is winsorised to three spreads around the level before it is learned (Huber 1964, "Robust estimation of a location
// parameter"), so one wild hour moves a level by 3/8 of its spread at most. Of one user or machine, an hour
// in which anything was flagged is not learned at all; of what a whole host or service does, all but the flagged part is (`isShared`): on a host
// that is attacked every hour nothing would ever be learned else.
// Low and slow: a two-sided CUSUM on standardised residuals (Page 1954, "Continuous inspection schemes"), cut at 2.5, reference value 0.5,
// decision interval 16: mean absolute deviations are smaller than standard ones. Less than one false shift in a year for a subject whose hours
// are Poisson, compound, geometric, log-normal or have bursts in every tenth. Drift: EWMAs of daily totals over 14 and 90 days that lie half of
// the slow one apart.
// What must stay true: integers only; levels are in 1/256. Spread is never below the square root of the level (counts vary by as much even
// where nothing changes: Poisson) nor below 1/4. Memory: 3.2 KiB. Error: rounding below 1/256 for each sample.
import Primitives

/// What an hour was expected to bring. In 1/256.
struct Expectation: Hashable {
  var level: Int64
  var spread: Int64
  /// Thousandths of spreads, signed.
  func deviation(of observed: Int64) -> Int64 {
    (min(observed, HourProfile.largest) * 256 - level) * 1000 / spread
  }
}

/// How much something usually is: level and mean absolute deviation in 1/256, of at most eight samples' weight.
struct Level: Equatable {
  private(set) var level: Int64 = 0
  /// `deviation` above four bits of `count`: there are many of these.
  private var rest: Int64 = 0
  private(set) var deviation: Int64 {
    get { rest >> 4 }
    set { rest = newValue << 4 | rest & 15 }
  }
  /// Samples, at most 8.
  private(set) var count: Int64 {
    get { rest & 15 }
    set { rest = rest & ~15 | newValue }
  }

  var expectation: Expectation {
    Expectation(level: level, spread: max(deviation, integerSquareRoot(level * 256), 64))
  }
  /// Eight or more, as a rule.
  var isMuch: Bool { level >= 8 * 256 }
  /// Nothing is three spreads away.
  var isSteady: Bool { level >= 3 * expectation.spread }
  mutating func learn(_ sample: Int64) {
    var value = min(sample, HourProfile.largest) * 256
    if count >= 3 {
      let spread = 3 * expectation.spread
      value = max(level - spread, min(level + spread, value))
    }
    count = min(count + 1, 8)
    let residual = value - level
    level += residual / count
    // The first residual is from nothing: it says nothing about spread.
    if count > 1 { deviation += (abs(residual) - deviation) / (count == 2 ? 1 : count) }
  }

  func write(to out: inout SnapshotWriter) {
    out.put(level)
    out.put(deviation)
    out.put(count)
  }
  init() {}
  init(from reader: inout SnapshotReader) throws(BaselineSnapshotError) {
    let amount: ClosedRange<Int64> = 0...(HourProfile.largest * 256)
    level = try reader.signed(in: amount)
    deviation = try reader.signed(in: amount)
    count = try reader.signed(in: 0...8)
  }
}

struct HourProfile {
  static let largest: Int64 = 1 << 40
  /// Thousandths: more of a single hour does not add up. A few bursts are not small deviations that last.
  private static let largestResidual: Int64 = 2500
  private var week = [Level](repeating: Level(), count: 168)
  private var day = [Level](repeating: Level(), count: 24)

  /// Of the hour that runs.
  private(set) var observed: Int64 = 0
  private(set) var clean: Int64 = 0
  /// Thousandths of spreads.
  private(set) var high: Int64 = 0
  private(set) var low: Int64 = 0
  private var isSilent = false
  /// Daily totals: of the day that runs, and whether all of it was clean; their EWMAs in 1/256, and days in them.
  private var total: Int64 = 0
  private var isDayClean = true
  private(set) var fast: Int64 = 0
  private(set) var slow: Int64 = 0
  private(set) var days: Int64 = 0
  private var hasDrifted = false

  /// What the hour brings usually; nil while too few such hours were seen.
  func expectation(hour: Int64) -> Expectation? {
    if isWeekKnown(hour) { return week[HourProfile.hourOfWeek(hour)].expectation }
    let ofDay = day[HourProfile.hourOfDay(hour)]
    return ofDay.count >= Limits.baselineDailySamples && days >= Limits.baselineDays ? ofDay.expectation : nil
  }
  /// Else the hour of the day answers, which knows no Sundays: it does for what is far from usual, and small deviations do not add up yet.
  private func isWeekKnown(_ hour: Int64) -> Bool { week[HourProfile.hourOfWeek(hour)].count >= Limits.baselineWeeks }
  /// Whether nothing in this hour is no accident: by the samples of its hour of the week, however few (a working day is no measure of a Sunday),
  /// and by the more ones of its hour of the day.
  private func isNeverEmpty(_ hour: Int64) -> Bool {
    let (ofWeek, ofDay) = (week[HourProfile.hourOfWeek(hour)], day[HourProfile.hourOfDay(hour)])
    return ofWeek.isMuch && ofDay.isMuch && (!isWeekKnown(hour) || ofWeek.isSteady) && ofDay.isSteady
  }
  /// Monday is 0; 1970-01-01 was a Thursday.
  static func hourOfWeek(_ hour: Int64) -> Int { Int((hour % 168 + 168 + 72) % 168) }
  static func hourOfDay(_ hour: Int64) -> Int { Int((hour % 24 + 24) % 24) }

  mutating func add(_ amount: Int64, isClean: Bool) {
    observed = min(observed + amount, HourProfile.largest)
    if isClean { clean = min(clean + amount, HourProfile.largest) }
  }

  /// The hour that runs never was.
  mutating func leaveHour() { (observed, clean) = (0, 0) }

  enum Change: Hashable {
    case silence(Expectation)
    /// Thousandths of spreads that have added up, negative downwards.
    case shift(Int64, Expectation)
    /// Fast and slow daily level, in 1/256.
    case drift(fast: Int64, slow: Int64)
  }

  /// Ends the hour: says what was unusual about it, then learns it. `isShared`: by what nothing spoke against, whatever else there was.
  /// `isWhole`: the host was there all the hour, as far as its neighbours say; only then is nothing a silence.
  mutating func close(hour: Int64, learns: Bool, isShared: Bool = false, isWhole: Bool = true) -> [Change] {
    var changes: [Change] = []
    let sample = isShared ? clean : observed
    if let expected = expectation(hour: hour) {
      if isWeekKnown(hour) {
        let residual = max(-HourProfile.largestResidual, min(HourProfile.largestResidual, expected.deviation(of: sample)))
        high = max(0, high + residual - Limits.baselineShiftReference)
        low = max(0, low - residual - Limits.baselineShiftReference)
      }
      if max(high, low) >= Limits.baselineShiftInterval {
        changes.append(.shift(high >= low ? high : -low, expected))
        (high, low) = (0, 0)
      }
      let isMissed = isWhole && observed == 0 && isNeverEmpty(hour)
      if isMissed, !isSilent { changes.append(.silence(expected)) }
      isSilent = isMissed || isSilent && observed == 0
    }
    let isClean = clean == sample
    if isClean, learns {
      week[HourProfile.hourOfWeek(hour)].learn(sample)
      day[HourProfile.hourOfDay(hour)].learn(sample)
    }
    total = min(total + sample, HourProfile.largest)
    isDayClean = isDayClean && isClean
    (observed, clean) = (0, 0)
    return changes
  }

  /// Ends the day.
  mutating func closeDay(learns: Bool) -> Change? {
    defer { (total, isDayClean) = (0, true) }
    guard isDayClean, learns else { return nil }
    days = min(days + 1, 1 << 20)
    var value = total * 256
    if days > Limits.baselineFastDays { value = max(slow / 4, min(4 * slow + 1024, value)) }
    fast += (value - fast) / min(days, Limits.baselineFastDays)
    slow += (value - slow) / min(days, Limits.baselineSlowDays)
    let distance = abs(fast - slow)
    if hasDrifted { hasDrifted = distance * 4 >= slow }
    guard !hasDrifted, days >= 2 * Limits.baselineFastDays, slow >= 8 * 256, distance * 2 >= slow else { return nil }
    hasDrifted = true
    return .drift(fast: fast, slow: slow)
  }

  // MARK: Snapshot

  func write(to out: inout SnapshotWriter) {
    for bucket in week + day { bucket.write(to: &out) }
    for value in [observed, clean, high, low, total, fast, slow, days] { out.put(value) }
    for flag in [isSilent, isDayClean, hasDrifted] { out.put(flag) }
  }
  init() {}
  init(from reader: inout SnapshotReader) throws(BaselineSnapshotError) {
    let amount: ClosedRange<Int64> = 0...(HourProfile.largest * 256)
    for i in 0..<192 {
      let bucket = try Level(from: &reader)
      if i < 168 { week[i] = bucket } else { day[i - 168] = bucket }
    }
    observed = try reader.signed(in: 0...HourProfile.largest)
    clean = try reader.signed(in: 0...observed)
    high = try reader.signed(in: 0...1_000_000)
    low = try reader.signed(in: 0...1_000_000)
    total = try reader.signed(in: 0...HourProfile.largest)
    fast = try reader.signed(in: amount)
    slow = try reader.signed(in: amount)
    days = try reader.signed(in: 0...(1 << 20))
    isSilent = try reader.flag()
    isDayClean = try reader.flag()
    hasDrifted = try reader.flag()
  }
}

/// The greatest integer whose square is at most `value`; 0 for negative ones.
func integerSquareRoot(_ value: Int64) -> Int64 {
  guard value > 1 else { return max(0, value) }
  var guess: Int64 = 1 << Int64((64 - value.leadingZeroBitCount + 1) / 2)
  while true {
    let next = (guess + value / guess) / 2
    if next >= guess { return guess }
    guess = next
  }
}
