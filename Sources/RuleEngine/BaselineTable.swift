// What a behavioural metric usually is: the history behind `operator: deviation_from_baseline` (spec/atr-method-v1.1.md, 7.4).
// A sample is the value of the group's sliding window at its last event in one slot of time (slots are as long as the window, cut at
// multiples of it). A slot without events is a sample of 0 for count, sum, rate and distinct_count, and none for avg and max. The
// slot of now and the one before it are not history yet: they share events with the window that is judged.
// A baseline needs `Limits.baselineSamples` samples; before, nothing deviates. Where the spread (or the baseline, for fractions) is
// zero, any difference is an infinite deviation, and no difference is none.
// A history is of all events of its group, claimed ones among them, and takes each once (see `WindowRule.isApart`).
// What must stay true: integers only, and sums exact; memory is bounded whatever arrives, and what was evicted is counted. Errors:
// old samples leave in blocks of 1/128 of the lookback; a percentile is at most 1/64 above the true one; samples saturate at 2^46.
import Primitives

struct BaselineRule {
  enum Source: UInt8 { case rollingMean, percentile, fixed }
  enum Unit: UInt8 { case standardDeviations, fraction }
  var source: Source
  var unit: Unit
  /// Thousandths of a deviation. Negative: below the baseline.
  var threshold: Int64
  /// Nanoseconds, positive; the length of a slot.
  var window: Int64
  /// Slots of the lookback.
  var slots: Int64
  /// Thousandths of a percent.
  var percentile: Int64
  /// fixed: the baseline, in units of the metric.
  var value: Int64
  /// A slot without events is a sample of 0.
  var countsSilence: Bool
  static let blocks: Int64 = 128
  var slotsPerBlock: Int64 { max(1, (slots + BaselineRule.blocks - 1) / BaselineRule.blocks) }
}

/// What a baseline was when a value was judged by it.
public struct BaselineReading: Sendable, Equatable {
  /// In the units of `observed`.
  public var baseline: Int64
  /// Thousandths of standard deviations, or of the baseline; .max and .min: infinite.
  public var deviationThousandths: Int64
  /// How many samples were behind it; 0 for a fixed one.
  public var samples: Int64
}

final class BaselineTable {
  private struct Block {
    /// Slot number divided by the slots of a block.
    var number: Int64
    var count: Int64 = 0
    var sum: Int128 = 0
    var squares: UInt128 = 0
    var bins = Bins()
  }
  private struct History {
    var rule: Int
    var key: GroupKey
    var older = -1
    var newer = -1
    /// Oldest first.
    var blocks: [Block] = []
    var total = Block(number: 0)
    /// Slots that are not history yet, ascending; at most two.
    var pending: [(slot: Int64, value: Int64)] = []
    /// The newest slot that is history; nil: none is.
    var newest: Int64?
    var bytes = 0
  }
  private struct Place: Hashable {
    var rule: Int
    var key: GroupKey
  }
  private let rules: [BaselineRule]
  private var histories: [History] = []
  private var free: [Int] = []
  private var places: [Place: Int] = [:]
  private var oldest = -1
  private var newestTouched = -1
  private(set) var usedBytes = 0
  /// By rule: histories that were pushed out.
  private(set) var evictions: [UInt64]
  var count: Int { places.count }
  private static let maximumSample: Int64 = 1 << 46

  init(_ rules: [BaselineRule]) {
    self.rules = rules
    evictions = Array(repeating: 0, count: rules.count)
  }

  // MARK: Time

  /// Moves a group's history on to `now`. Call before `judge` and `note`.
  func advance(_ rule: Int, _ key: GroupKey, now: Int64) {
    guard rules[rule].source != .fixed else { return }
    let at = find(rule, key) ?? insert(rule, key)
    touch(at)
    let slot = BaselineTable.floorDivide(now, rules[rule].window)
    let before = (histories[at].newest, histories[at].blocks.first?.number)
    if let newest = histories[at].newest, slot < newest { forget(at) }  // the clock went back
    while let first = histories[at].pending.first, first.slot <= slot - 2 {
      histories[at].pending.removeFirst()
      if histories[at].newest != nil { silence(at, upTo: first.slot - 1) }
      add(at, first.slot, first.value, count: 1)
      histories[at].newest = first.slot
    }
    if histories[at].newest != nil { silence(at, upTo: min(slot - 2, (histories[at].pending.first?.slot ?? slot) - 1)) }
    expire(at, slot)
    if histories[at].bytes > 0, before == (histories[at].newest, histories[at].blocks.first?.number) { return }
    account(at)
    enforceBudget(keeping: at)
  }

  /// The group's value after an event at `now`.
  func note(_ rule: Int, _ key: GroupKey, now: Int64, value: Int64) {
    guard rules[rule].source != .fixed, let at = find(rule, key) else { return }
    let slot = BaselineTable.floorDivide(now, rules[rule].window)
    let sample = max(-BaselineTable.maximumSample, min(BaselineTable.maximumSample, value))
    if let last = histories[at].pending.last, last.slot >= slot {
      histories[at].pending[histories[at].pending.count - 1].value = sample
    } else {
      histories[at].pending.append((slot, sample))
    }
  }

  /// Samples of 0 for the slots behind the newest one, up to and with `last`.
  private func silence(_ at: Int, upTo last: Int64) {
    let rule = rules[histories[at].rule]
    guard let newest = histories[at].newest, last > newest else { return }
    histories[at].newest = last
    guard rule.countsSilence else { return }
    var slot = max(newest + 1, saturatingSubtract(last, rule.slots))
    while slot <= last {
      let blockEnd = (BaselineTable.floorDivide(slot, rule.slotsPerBlock) + 1) * rule.slotsPerBlock
      let end = min(last + 1, blockEnd)
      add(at, slot, 0, count: end - slot)
      slot = end
    }
  }

  private func add(_ at: Int, _ slot: Int64, _ value: Int64, count: Int64) {
    let number = BaselineTable.floorDivide(slot, rules[histories[at].rule].slotsPerBlock)
    if histories[at].blocks.last?.number != number { histories[at].blocks.append(Block(number: number)) }
    let isBinned = rules[histories[at].rule].source == .percentile
    let last = histories[at].blocks.count - 1
    BaselineTable.add(&histories[at].blocks[last], value, count, isBinned)
    BaselineTable.add(&histories[at].total, value, count, isBinned)
  }
  private static func add(_ block: inout Block, _ value: Int64, _ count: Int64, _ isBinned: Bool) {
    block.count += count
    block.sum += Int128(value) * Int128(count)
    block.squares += UInt128(value.magnitude) * UInt128(value.magnitude) * UInt128(count)
    if isBinned { block.bins.add(value, count) }
  }

  private func expire(_ at: Int, _ slot: Int64) {
    let rule = rules[histories[at].rule]
    let first = BaselineTable.floorDivide(saturatingSubtract(slot, rule.slots), rule.slotsPerBlock)
    guard let block = histories[at].blocks.first, block.number < first else { return }
    let gone = histories[at].blocks.prefix { $0.number < first }
    for block in gone {
      histories[at].total.count -= block.count
      histories[at].total.sum -= block.sum
      histories[at].total.squares -= block.squares
      histories[at].total.bins.remove(block.bins)
    }
    histories[at].blocks.removeFirst(gone.count)
  }

  // MARK: Judging

  /// Whether `value` deviates as the rule wants it. False while there is no baseline.
  func holds(_ rule: Int, _ key: GroupKey, value: Int64) -> Bool {
    guard let terms = terms(rule, key, value) else { return false }
    let threshold = rules[rule].threshold
    if terms.difference == 0 { return threshold == 0 }
    guard (terms.difference > 0) == (threshold >= 0) else { return false }
    let difference = terms.difference.magnitude * 1000
    if rules[rule].unit == .fraction { return difference >= UInt128(threshold.magnitude) * terms.divisor }
    // d >= t  <=>  difference^2 >= t^2 * n^2 * variance, all integers.
    let left = difference.multipliedFullWidth(by: difference)
    let right = terms.divisor.multipliedFullWidth(by: UInt128(threshold.magnitude) * UInt128(threshold.magnitude))
    return left.high != right.high ? left.high > right.high : left.low >= right.low
  }

  /// For a match: what it was measured by.
  func reading(_ rule: Int, _ key: GroupKey, value: Int64) -> BaselineReading? {
    guard let terms = terms(rule, key, value) else { return nil }
    let divisor = rules[rule].unit == .fraction ? terms.divisor : BaselineTable.root(terms.divisor)
    let deviation: Int64
    if terms.difference == 0 {
      deviation = 0
    } else if divisor == 0 {
      deviation = terms.difference > 0 ? .max : .min
    } else {
      deviation = Int64(clamping: terms.difference * 1000 / Int128(divisor))
    }
    return BaselineReading(baseline: terms.baseline, deviationThousandths: deviation, samples: rules[rule].source == .fixed ? 0 : terms.samples)
  }

  /// With n samples and baseline b: difference n (v - b); divisor n |b| for fractions, and n^2 times the variance for deviations.
  private func terms(_ rule: Int, _ key: GroupKey, _ value: Int64) -> (difference: Int128, divisor: UInt128, baseline: Int64, samples: Int64)? {
    let rule_ = rules[rule]
    let clamped = Int128(max(-BaselineTable.maximumSample, min(BaselineTable.maximumSample, value)))
    if rule_.source == .fixed { return (clamped - Int128(rule_.value), UInt128(rule_.value.magnitude), rule_.value, 1) }
    guard let at = find(rule, key) else { return nil }
    let total = histories[at].total
    guard total.count >= Limits.baselineSamples else { return nil }
    let n = Int128(total.count)
    // n times the baseline.
    let scaled = rule_.source == .percentile ? n * Int128(total.bins.value(percentile: rule_.percentile)) : total.sum
    let divisor = rule_.unit == .fraction ? scaled.magnitude : UInt128(total.count) * total.squares - (total.sum * total.sum).magnitude
    return (n * clamped - scaled, divisor, Int64(clamping: scaled / n), total.count)
  }

  /// The integer below the square root.
  static func root(_ value: UInt128) -> UInt128 {
    guard value > 1 else { return value }
    var guess: UInt128 = 1 << UInt128((128 - value.leadingZeroBitCount + 1) / 2)
    while true {
      let next = (guess + value / guess) / 2
      if next >= guess { return guess }
      guess = next
    }
  }
  private static func floorDivide(_ a: Int64, _ b: Int64) -> Int64 { a >= 0 ? a / b : -((-(a + 1)) / b) - 1 }

  // MARK: Table

  private func find(_ rule: Int, _ key: GroupKey) -> Int? { places[Place(rule: rule, key: key)] }
  private func insert(_ rule: Int, _ key: GroupKey) -> Int {
    let history = History(rule: rule, key: key)
    let at: Int
    if let index = free.popLast() {
      at = index
      histories[at] = history
    } else {
      at = histories.count
      histories.append(history)
    }
    places[Place(rule: rule, key: key)] = at
    link(at)
    return at
  }
  private func forget(_ at: Int) {
    histories[at].blocks = []
    histories[at].total = Block(number: 0)
    histories[at].pending = []
    histories[at].newest = nil
  }
  private func link(_ at: Int) {
    histories[at].older = newestTouched
    histories[at].newer = -1
    if newestTouched >= 0 { histories[newestTouched].newer = at } else { oldest = at }
    newestTouched = at
  }
  private func unlink(_ at: Int) {
    let (older, newer) = (histories[at].older, histories[at].newer)
    if older >= 0 { histories[older].newer = newer } else { oldest = newer }
    if newer >= 0 { histories[newer].older = older } else { newestTouched = older }
  }
  private func touch(_ at: Int) {
    guard newestTouched != at else { return }
    unlink(at)
    link(at)
  }
  private func account(_ at: Int) {
    let history = histories[at]
    let blocks = history.blocks.reduce(0) { $0 + MemoryLayout<Block>.stride + $1.bins.bytes }
    let bytes = MemoryLayout<History>.stride + MemoryLayout<Place>.stride * 2 + blocks + history.total.bins.bytes
    usedBytes += bytes - history.bytes
    histories[at].bytes = bytes
  }
  private func enforceBudget(keeping at: Int) {
    while usedBytes > Limits.baselineBytes, oldest >= 0, oldest != at {
      let victim = oldest
      if histories[victim].newest != nil { evictions[histories[victim].rule] += 1 }
      usedBytes -= histories[victim].bytes
      unlink(victim)
      places[Place(rule: histories[victim].rule, key: histories[victim].key)] = nil
      histories[victim] = History(rule: 0, key: GroupKey(high: 0, low: 0))
      free.append(victim)
    }
  }
}

/// How many samples of about which size: exact below 128, then 64 bins for each doubling.
struct Bins {
  private var cells: [(bin: Int32, count: Int64)] = []
  private var total: Int64 = 0
  var bytes: Int { cells.capacity * MemoryLayout<(bin: Int32, count: Int64)>.stride }

  mutating func add(_ value: Int64, _ count: Int64) { add(bin: Bins.bin(value), count) }
  mutating func remove(_ other: Bins) { for cell in other.cells { add(bin: cell.bin, -cell.count) } }
  private mutating func add(bin: Int32, _ count: Int64) {
    total += count
    var low = 0
    var high = cells.count
    while low < high {
      let middle = (low + high) / 2
      if cells[middle].bin < bin { low = middle + 1 } else { high = middle }
    }
    if low < cells.count, cells[low].bin == bin {
      cells[low].count += count
      if cells[low].count == 0 { cells.remove(at: low) }
    } else {
      cells.insert((bin, count), at: low)
    }
  }

  /// By nearest rank; the upper end of its bin. `percentile` in thousandths of a percent, above 0.
  func value(percentile: Int64) -> Int64 {
    let rank = max(1, Int64((Int128(percentile) * Int128(total) + 99_999) / 100_000))
    var seen: Int64 = 0
    for cell in cells {
      seen += cell.count
      if seen >= rank { return Bins.upper(cell.bin) }
    }
    return 0
  }

  static func bin(_ value: Int64) -> Int32 {
    value < 0 ? -1 - magnitudeBin(value.magnitude) : magnitudeBin(value.magnitude)
  }
  private static func magnitudeBin(_ value: UInt64) -> Int32 {
    guard value >= 128 else { return Int32(value) }
    let exponent = 63 - value.leadingZeroBitCount
    return 128 + Int32(exponent - 7) * 64 + Int32(value >> UInt64(exponent - 6)) - 64
  }
  /// The largest value of a bin.
  static func upper(_ bin: Int32) -> Int64 {
    if bin >= 0 { return magnitudes(bin).last }
    return -magnitudes(-1 - bin).first
  }
  private static func magnitudes(_ bin: Int32) -> (first: Int64, last: Int64) {
    guard bin >= 128 else { return (Int64(bin), Int64(bin)) }
    let shift = Int64((bin - 128) / 64 + 1)
    let mantissa = Int64((bin - 128) % 64 + 64)
    return (mantissa << shift, (mantissa + 1) << shift - 1)
  }
}
