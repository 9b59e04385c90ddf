// How large something usually is: a histogram with eight buckets for each power of two, as in HdrHistogram and DDSketch (Masson, Rim, Lee 2019,
// "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees"), from which any quantile can be read.
// Error: a quantile is never below the true one of what was taken, and above it by an eighth at most; exact up to 15. Values end at 2^40.
// The 99th percentile, by which values are judged, is read anew on each day and whenever there are a 64th more values.
// Robust: once there are enough, a value above twice the 99th percentile is taken as twice that (winsorised), so one upload moves nothing, and
// many move it slowly. When there are 65,536 values all buckets are halved: what counts is the recent past. Memory: 305 buckets, 1.2 KiB.
// What must stay true: integers only; the order of the values between two halvings does not matter.
import Primitives

struct SizeQuantiles: Equatable {
  static let largest: Int64 = 1 << 40
  private static let bucketCount = bucket(of: largest) + 1
  private static let halvedAt: Int64 = 65_536
  private var buckets = [Int32](repeating: 0, count: SizeQuantiles.bucketCount)
  private(set) var count: Int64 = 0
  /// Days on which values came, and the last of them.
  private(set) var days: Int64 = 0
  private var lastDay = Int64.min
  /// The 99th percentile when there were `usualCount` values.
  private(set) var usual: Int64 = 0
  private var usualCount: Int64 = 0

  /// Up to 15 each value has its own; from there on three bits behind the first one count.
  static func bucket(of value: Int64) -> Int {
    let value = max(0, min(value, largest))
    guard value >= 16 else { return Int(value) }
    let exponent = 63 - value.leadingZeroBitCount
    return 16 + (exponent - 4) * 8 + Int(value >> Int64(exponent - 3) & 7)
  }
  /// The largest value in it.
  static func upperEdge(of bucket: Int) -> Int64 {
    guard bucket >= 16 else { return Int64(bucket) }
    let (exponent, part) = (Int64((bucket - 16) / 8 + 4), Int64((bucket - 16) % 8))
    return (9 + part) << (exponent - 3) - 1
  }

  mutating func add(_ value: Int64, day: Int64) {
    let isNewDay = day > lastDay
    if isNewDay { (days, lastDay) = (min(days + 1, 1 << 20), day) }
    let bound = count >= Limits.baselineValues ? usual * 2 + 16 : SizeQuantiles.largest
    buckets[SizeQuantiles.bucket(of: min(value, bound))] += 1
    count += 1
    if count >= SizeQuantiles.halvedAt { halve() }
    guard isNewDay || count < usualCount || count - usualCount > usualCount / 64 else { return }
    (usual, usualCount) = (quantile(thousandths: 990) ?? 0, count)
  }
  /// Days behind `day` never were.
  mutating func goBack(to day: Int64) { lastDay = min(lastDay, day) }
  private mutating func halve() {
    count = 0
    for i in buckets.indices {
      buckets[i] /= 2
      count += Int64(buckets[i])
    }
  }

  /// The value that so many thousandths do not exceed; nil while there is none.
  func quantile(thousandths: Int64) -> Int64? {
    guard count > 0 else { return nil }
    let rank = max(1, (count * thousandths + 999) / 1000)
    var seen = count
    // From above: quantiles that are asked for lie there.
    for bucket in buckets.indices.reversed() {
      seen -= Int64(buckets[bucket])
      if seen < rank { return SizeQuantiles.upperEdge(of: bucket) }
    }
    return 0
  }

  /// Thousandths of the 99th percentile; nil while too little is known.
  func excess(of value: Int64) -> Int64? {
    guard count >= Limits.baselineValues, days >= Limits.baselineDays else { return nil }
    return max(0, min(value, SizeQuantiles.largest)) * 1000 / max(1, usual)
  }

  /// For people.
  var known: Int64? { count >= Limits.baselineValues && days >= Limits.baselineDays ? usual : nil }

  // MARK: Snapshot

  func write(to out: inout SnapshotWriter) {
    out.put(days)
    out.put(lastDay)
    out.put(usual)
    out.put(usualCount)
    out.put(UInt64(buckets.count { $0 > 0 }))
    var before = -1
    for (i, n) in buckets.enumerated() where n > 0 {
      out.put(UInt64(i - before))
      out.put(UInt64(n))
      before = i
    }
  }
  init() {}
  init(from reader: inout SnapshotReader) throws(BaselineSnapshotError) {
    days = try reader.signed(in: 0...(1 << 20))
    lastDay = try reader.signed()
    usual = try reader.signed(in: 0...(2 * SizeQuantiles.largest))
    usualCount = try reader.signed(in: 0...SizeQuantiles.halvedAt)
    var at = -1
    for _ in 0..<(try reader.count(atMost: SizeQuantiles.bucketCount)) {
      at += try reader.count(atMost: SizeQuantiles.bucketCount)
      let n = try reader.count(atMost: Int(SizeQuantiles.halvedAt))
      guard at >= 0, at < SizeQuantiles.bucketCount, n > 0, buckets[at] == 0 else { throw reader.fail("a histogram is none") }
      buckets[at] = Int32(n)
      count += Int64(n)
    }
    guard count < SizeQuantiles.halvedAt else { throw reader.fail("a histogram has too many values") }
  }
}
