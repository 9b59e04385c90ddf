// How regular a series of contacts is, in thousandths: the scores of RITA 5 (analysis/beacons.go and default_config.hjson), in
// integers.
//   timing      mean of (1 - |Bowley skewness|) and (median - MAD) / median over the gaps in whole seconds, those of 0 left out
//   size        the same over the bytes sent
//   duration    if 6 of 24 hours have contacts: the greater of the share of the day between first and last, and the longest run of hours / 12
//   histogram   the greater of 1 - (standard deviation / mean) over the 24 hours, and, from 11 hours on, the share of the two commonest heights
// The total is their mean.
import Primitives

enum PeriodicityScore {
  /// Of at least 3 values, which are sorted here. `ifZero`: the second half where the median is 0. `steadiness` is that second half.
  static func regularity(_ values: inout [Int64], ifZero: Int64) -> (score: Int64, steadiness: Int64) {
    guard values.count >= 3 else { return (0, 0) }
    values.sort()
    // Twice the quartiles, so that the mean of two values is whole.
    let half = values.count / 2
    let q2 = median2(values[...])
    let q1 = median2(values[..<half])
    let q3 = median2(values[(values.count - half)...])
    var skew: Int64 = 0
    if q3 - q1 >= 20, q2 != q1, q2 != q3 { skew = ((q1 + q3 - 2 * q2) * 1000 / (q3 - q1)).magnitudeClamped }
    var deviations: [Int64] = []
    deviations.reserveCapacity(values.count)
    for value in values { deviations.append((2 * value - q2).magnitudeClamped) }
    deviations.sort()
    let mad2 = median2(deviations[...]) / 2
    let spread = q2 >= 2 ? max(0, (q2 - mad2) * 1000 / q2) : ifZero
    return ((1000 - min(1000, skew) + spread) / 2, spread)
  }

  /// Twice the median of sorted values.
  private static func median2(_ sorted: ArraySlice<Int64>) -> Int64 {
    guard !sorted.isEmpty else { return 0 }
    let middle = sorted.startIndex + sorted.count / 2
    return sorted.count % 2 == 1 ? 2 * sorted[middle] : sorted[middle - 1] + sorted[middle]
  }

  /// - Parameter hours: contacts in each of the last 24 hours, the oldest first.
  /// - Parameter span: seconds between the first and the last contact in them.
  static func duration(_ hours: [Int64], span: Int64) -> Int64 {
    guard hours.filter({ $0 > 0 }).count >= 6 else { return 0 }
    var longest: Int64 = 0
    var run: Int64 = 0
    for i in 0..<(2 * hours.count) {
      run = hours[i % hours.count] > 0 ? run + 1 : 0
      longest = max(longest, run)
    }
    return min(1000, max(span * 1000 / 86_400, min(longest, Int64(hours.count)) * 1000 / 12))
  }

  static func histogram(_ hours: [Int64]) -> Int64 {
    let total = hours.reduce(0, +)
    let highest = hours.max() ?? 0
    guard total > 0, total < 1 << 24 else { return 0 }
    // (standard deviation / mean)^2 = count x sum of squares / total^2 - 1
    let squares = hours.reduce(0) { $0 + $1 * $1 }
    let variation = max(0, squares * Int64(hours.count) * 1_000_000 / (total * total) - 1_000_000)
    let flat = variation >= 1_000_000 ? 0 : 1000 - squareRoot(variation)
    let bars = hours.filter { $0 > 0 }.count
    guard bars >= 11 else { return flat }
    let width = max(1, (highest + 19) / 20)
    var heights = [Int64](repeating: 0, count: 22)
    for hour in hours where hour > 0 { heights[Int(min(21, hour / width))] += 1 }
    heights.sort(by: >)
    return max(flat, min(1000, (heights[0] + heights[1]) * 1000 / Int64(max(1, bars - 1))))
  }

  static func squareRoot(_ n: Int64) -> Int64 {
    guard n > 0 else { return 0 }
    var x = Int64(1) << Int64((65 - n.leadingZeroBitCount) / 2)
    while true {
      let next = (x + n / x) / 2
      if next >= x { return x }
      x = next
    }
  }
}

extension Int64 {
  fileprivate var magnitudeClamped: Int64 { Int64(clamping: magnitude) }
}
