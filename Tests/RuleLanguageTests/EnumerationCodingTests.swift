import Events
import Primitives
import Testing

@testable import RuleLanguage

@Suite struct EnumerationCodingTests {
  private func again<T: Codable>(_ value: T) throws -> T {
    try CompactCoding.encode(value).withUnsafeBytes { try CompactCoding.decode(T.self, from: $0) }
  }
  private static let conditions: [Condition.Test] = [
    .regex(["a+", "", "é"], caseSensitive: true), .regex([], caseSensitive: false), .contains(["x"], caseSensitive: false),
    .exact(["x", "y"], caseSensitive: true), .startsWith(["/"], caseSensitive: false), .compare(.lte, .min), .compare(.eq, .max), .exists(true),
    .exists(false),
  ]
  private static let expressions: [RuleLanguage.Expression] = [
    .condition(0), .condition(70_000), .not(.condition(3)), .all([]), .any([.condition(1), .not(.all([.condition(2), .any([])]))]),
  ]

  @Test func whatIsReadIsWhatWasWritten() throws {
    for field in Field.allCases { #expect(try again(FieldReference.known(field)) == .known(field)) }
    for name in ["", "x.y", "é"] { #expect(try again(FieldReference.extra(name)) == .extra(name)) }
    for test in Self.conditions { #expect(try "\(again(test))" == "\(test)") }
    for expression in Self.expressions { #expect(try again(expression) == expression) }
    for input in [TestCase.Input.lines("a\nb"), .event("{}"), .stream("")] { #expect(try "\(again(input))" == "\(input)") }
    #expect(try again(Self.expressions) == Self.expressions)
    #expect(try "\(again(Self.conditions))" == "\(Self.conditions)")
  }

  /// Whatever the bytes are, they are a value or an error.
  @Test func brokenBytesAreAnError() throws {
    func read<T: Codable>(_ type: T.Type, _ bytes: [UInt8]) { _ = bytes.withUnsafeBytes { try? CompactCoding.decode(type, from: $0) } }
    func spoil<T: Codable>(_ values: [T]) throws {
      let bytes = try CompactCoding.encode(values)
      for at in bytes.indices {
        read([T].self, Array(bytes.prefix(at)))
        for bit in 0..<8 {
          var broken = bytes
          broken[at] ^= 1 << UInt8(bit)
          read([T].self, broken)
        }
      }
    }
    try spoil(Self.conditions)
    try spoil(Self.expressions)
    try spoil([FieldReference.known(.content), .extra("abc")])
    try spoil([TestCase.Input.lines("a"), .event("{}"), .stream("f")])
    // No case and no field has these numbers; a number is written as twice itself.
    for bytes: [UInt8] in [[1, 0, 0, 0, 14], [2, 0, 0, 0, 0, 254, 3], [2, 0, 0, 0, 0, 1]] {
      #expect(throws: CompactCodingError.self) { try bytes.withUnsafeBytes { try CompactCoding.decode(FieldReference.self, from: $0) } }
    }
    // Nested deeper than any rule.
    let deep = Array([[UInt8]](repeating: [2, 0, 0, 0, 2], count: 100_000).joined()) + [2, 0, 0, 0, 0, 0]
    #expect(throws: CompactCodingError.self) { try deep.withUnsafeBytes { try CompactCoding.decode(RuleLanguage.Expression.self, from: $0) } }
  }
}
