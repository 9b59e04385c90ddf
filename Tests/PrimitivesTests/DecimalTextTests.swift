import Testing

@testable import Primitives

@Suite struct DecimalTextTests {
  @Test(arguments: [
    ("100.5", 100, 1), ("1e3", 100, 1), ("+200", 100, 1), (" 101 ", 100, 1), ("\t101\n", 100, 1), ("1000000000000000000000", 100, 1),
    ("-1000000000000000000000", 100, -1), ("100", 100, 0), ("100.000", 100, 0), ("1e2", 100, 0), ("1E+2", 100, 0), ("10000e-2", 100, 0),
    ("0.1e3", 100, 0), (".5", 0, 1), ("5.", 5, 0), ("-.5", 0, -1), ("-0", 0, 0), ("-0.0", 0, 0), ("-5.5", -5, -1), ("-5.5", -6, 1), ("-5", -5, 0),
    ("99.99999999999999999999", 100, -1), ("100.00000000000000000001", 100, 1), ("1e-999999999999", 0, 1), ("0e999999999999", 0, 0),
    ("1e999999999999", 100, 1), ("inf", 100, 1), ("-Infinity", 100, -1), ("9223372036854775807", Int64.max, 0),
    ("9223372036854775808", Int64.max, 1), ("-9223372036854775808", Int64.min, 0), ("-9223372036854775808.5", Int64.min, -1),
    ("18446744073709551616", Int64.max, 1),
  ])
  func numbers(_ text: String, _ bound: Int64, _ order: Int64) {
    #expect(Array(text.utf8).withUnsafeBytes { DecimalText.order(of: $0, to: bound) } == order)
  }

  @Test(arguments: ["", " ", ".", "-", "+-1", "1e", "1e+", "e3", "1 2", "1,5", "0x10", "6x", "nan", "in", "1..2", "1.2.3", "--1", "1e2.5", "\u{0}1"])
  func others(_ text: String) { #expect(Array(text.utf8).withUnsafeBytes { DecimalText.order(of: $0, to: 1) } == nil) }

  /// Against the plain meaning, by scaling both to whole numbers.
  @Test func everySmallNumber() {
    for value in -1200...1200 {
      let text = (value < 0 ? "-" : "") + "\(abs(value) / 100).\(abs(value) % 100 / 10)\(abs(value) % 10)"
      for bound in -12...12 {
        let order = Array(text.utf8).withUnsafeBytes { DecimalText.order(of: $0, to: Int64(bound)) }
        #expect(order == Int64((value - bound * 100).signum()), "\(text) to \(bound)")
      }
    }
  }
}
