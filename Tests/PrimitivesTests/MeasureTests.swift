import Testing

@testable import Primitives

@Suite struct MeasureTests {
  @Test(arguments: [
    (0, 0, "0"), (0, 6, "0"), (1_500_000, 6, "1.5"), (-1_500_000, 6, "-1.5"), (400, 3, "0.4"), (7, 0, "7"), (Int64.min, 18, "-9.223372036854775808"),
    (Int64.max, 0, "9223372036854775807"), (Int64.min, 0, "-9223372036854775808"), (100, 0, "100"),
  ])
  func texts(_ value: Int64, _ digits: Int, _ text: String) {
    let measure = Measure(value, digits: digits)
    #expect(measure.description == text)
    #expect(Measure(text: text) == measure)
  }
  @Test func equalNumbersAreEqual() { #expect(Measure(15, digits: 1) == Measure(1_500_000, digits: 6) && Measure(20, digits: 1) == 2) }
  @Test(arguments: ["", "-", ".", "1.", ".5", "1e3", "+1", "1.2.3", "9223372036854775808", " 1", "0x1", "1.0000000000000000001"])
  func others(_ text: String) { #expect(Measure(text: text) == nil) }
}
