// Logarithms of whole numbers in whole numbers, the same on every machine (DESIGN 8): thousandths of log2, cut, not rounded.
import Primitives

enum IntegerLogarithm {
  /// 1000 x log2(n) for n below 256; 0 for 0. The digits come from squaring: x^2 >= 2 says that the next binary digit of log2(x) is 1.
  private static let small: [Int32] = (0..<256).map { n in
    guard n > 1 else { return 0 }
    let whole = Int.bitWidth - 1 - n.leadingZeroBitCount
    var x = UInt64(n) << UInt64(31 - whole)  // 1 <= x < 2 in units of 2^-31
    var fraction: UInt64 = 0
    for _ in 0..<20 {
      x = (x * x) >> 31
      fraction <<= 1
      if x >> 32 != 0 {
        x >>= 1
        fraction |= 1
      }
    }
    return Int32(whole * 1000) + Int32((fraction * 1000) >> 20)
  }

  /// 1000 x log2(n), too small by at most 12 beyond 255; 0 for what is not positive.
  static func milliLog2(_ n: Int64) -> Int64 {
    guard n > 1 else { return 0 }
    let shift = max(0, 64 - 8 - n.leadingZeroBitCount)
    return Int64(shift) * 1000 + Int64(small[Int(n >> Int64(shift))])
  }

  /// What the letters of `text` carry together, in thousandths of a bit: its length times their entropy (Shannon). Dots count for nothing;
  /// bytes beyond 255 neither.
  static func milliBits(_ text: Bytes) -> Int64 {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 256) { counts in
      counts.initialize(repeating: 0)
      var length = 0
      for byte in text where byte != 0x2e && length < 255 {
        counts[Int(byte)] += 1
        length += 1
      }
      guard length > 0 else { return 0 }
      let whole = Int64(small[length])
      var sum: Int64 = 0
      var taken = 0
      for byte in text where byte != 0x2e && taken < 255 {
        sum += whole - Int64(small[Int(counts[Int(byte)])])
        taken += 1
      }
      return sum
    }
  }
}
