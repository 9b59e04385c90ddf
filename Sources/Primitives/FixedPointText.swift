// Decimal numbers as events and people write them, to and from integers times a power of ten: no binary fractions anywhere between.

public enum FixedPoint {
  /// `text` times 10^digits, cut towards zero. A JSON number, or the same with white space around it; nil if it is none. What does
  /// not fit saturates.
  public static func read(_ text: Bytes, digits: Int) -> Int64? {
    var at = 0
    var end = text.count
    while at < end, text[at] == 0x20 || text[at] == 0x09 { at += 1 }
    while end > at, text[end - 1] == 0x20 || text[end - 1] == 0x09 { end -= 1 }
    let isNegative = at < end && text[at] == 0x2d
    if isNegative { at += 1 }
    let start = at
    var point: Int?
    while at < end, (0x30...0x39).contains(text[at]) || text[at] == 0x2e && point == nil && at > start {
      if text[at] == 0x2e { point = at }
      at += 1
    }
    let mantissaEnd = at
    guard mantissaEnd > start, text[mantissaEnd - 1] != 0x2e else { return nil }
    var exponent = 0
    if at < end {
      guard text[at] | 0x20 == 0x65 else { return nil }
      at += 1
      let isBelow = at < end && text[at] == 0x2d
      if at < end, text[at] == 0x2d || text[at] == 0x2b { at += 1 }
      guard at < end else { return nil }
      while at < end {
        guard (0x30...0x39).contains(text[at]) else { return nil }
        exponent = min(1_000_000, exponent * 10 + Int(text[at] - 0x30))
        at += 1
      }
      if isBelow { exponent = -exponent }
    }
    // Digits up to this place count; behind the last one zeros follow.
    let whole = (point ?? mantissaEnd) - start
    var wanted = whole + exponent + digits
    var value: Int64 = 0
    var isZero = true
    for i in start..<mantissaEnd where text[i] != 0x2e {
      if text[i] != 0x30 { isZero = false }
      guard wanted > 0 else { continue }
      wanted -= 1
      value = appended(value, Int64(text[i] - 0x30))
    }
    if isZero { return 0 }
    while wanted > 0, value != 0, value != .max {
      value = appended(value, 0)
      wanted -= 1
    }
    return isNegative ? -value : value
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
