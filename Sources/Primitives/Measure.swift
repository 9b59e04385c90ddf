// A number with decimals, exactly: what a rule has observed, and its bound. Rules work in whole units (a rate in thousandths, a sum of
// fractions in millionths); whoever reads the number must not have to know that.

/// value / 10^digits, in lowest terms: equal numbers are equal values, and the text of one gives it back.
public struct Measure: Hashable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  public let value: Int64
  /// 0 to 18.
  public let digits: Int

  public init(_ value: Int64, digits: Int = 0) {
    var (value, digits) = (value, Swift.max(0, Swift.min(digits, 18)))
    while digits > 0, value % 10 == 0 {
      value /= 10
      digits -= 1
    }
    self.value = value
    self.digits = digits
  }
  public static let min = Measure(.min)
  public static let max = Measure(.max)
  public init(integerLiteral value: Int64) { self.init(value) }

  /// "-12", "0.5": as `description` writes it; nil for anything else.
  public init?(text: String) {
    var value: Int64 = 0
    var digits = -1
    var count = 0
    let isNegative = text.utf8.first == 0x2d
    for byte in text.utf8.dropFirst(isNegative ? 1 : 0) {
      if byte == 0x2e, digits < 0, count > 0 {
        digits = 0
        continue
      }
      guard (0x30...0x39).contains(byte), digits < 18 else { return nil }
      let (product, o1) = value.multipliedReportingOverflow(by: 10)
      let digit = Int64(byte - 0x30)
      let (sum, o2) = isNegative ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
      guard !o1, !o2 else { return nil }
      value = sum
      count += 1
      if digits >= 0 { digits += 1 }
    }
    guard count > 0, digits != 0 else { return nil }
    self.init(value, digits: Swift.max(0, digits))
  }

  public var description: String {
    var out: [UInt8] = []
    out.append(fixedPoint: value, digits: digits)
    return String(decoding: out, as: UTF8.self)
  }
}

extension JSONWriter {
  public mutating func value(_ measure: Measure) {
    var out: [UInt8] = []
    out.append(fixedPoint: measure.value, digits: measure.digits)
    raw(out)
  }
}
