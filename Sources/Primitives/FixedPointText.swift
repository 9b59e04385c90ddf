// Decimal numbers as events and people write them, to and from integers times a power of ten: no binary fractions anywhere between.

public enum FixedPoint {
  /// `text` times 10^digits, cut towards zero; nil if it is no number in the grammar of `DecimalText`. What does not fit saturates, and so
  /// does infinity.
  public static func read(_ text: Bytes, digits: Int) -> Int64? {
    guard let number = DecimalText.Parts(text) else { return nil }
    if number.isInfinite { return number.isNegative ? -.max : .max }
    // Digits up to this place count; behind the last one zeros follow.
    var wanted = number.wholeDigits + digits
    var value: Int64 = 0
    for byte in number.digits where byte != 0x2e && wanted > 0 {
      wanted -= 1
      value = appended(value, Int64(byte - 0x30))
    }
    while wanted > 0, value != 0, value != .max {
      value = appended(value, 0)
      wanted -= 1
    }
    return number.isNegative ? -value : value
  }
  private static func appended(_ value: Int64, _ digit: Int64) -> Int64 {
    let (product, o1) = value.multipliedReportingOverflow(by: 10)
    let (sum, o2) = product.addingReportingOverflow(digit)
    return o1 || o2 ? .max : sum
  }
}

extension [UInt8] {
  /// value / 10^digits, as short as it is exact. At most 18 digits.
  public mutating func append(fixedPoint value: Int64, digits: Int) {
    var scale: UInt64 = 1
    for _ in 0..<Swift.max(0, Swift.min(digits, 18)) { scale *= 10 }
    if value < 0 { append(0x2d) }
    append(decimal: value.magnitude / scale, minimumDigits: 1)
    var rest = value.magnitude % scale
    guard rest > 0 else { return }
    append(0x2e)
    while rest > 0 {
      scale /= 10
      append(0x30 + UInt8(rest / scale))
      rest %= scale
    }
  }
}
