import RegularExpressions
import Testing

@Suite struct RegularExpressionTests {
  @Test func keepsItsSource() throws {
    #expect(try RegularExpression("a+", isCaseSensitive: false).source == "a+")
  }
}
