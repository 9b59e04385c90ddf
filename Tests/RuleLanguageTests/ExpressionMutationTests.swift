// Hostile conditions by mutation, from a fixed seed: the bounded run of Tests/Fuzz/ExpressionFuzz.swift.
import Primitives
import Testing

@testable import RuleLanguage

@Suite struct ExpressionMutationTests {
  private static let seeds = [
    "any", "a1 and not (a2 or b)", "2 of a* or b", "all of them and not 1 of a*", "((a1))", "NOT NOT a1 AND b", "3 of *", "1 of them",
  ]
  private static let words = [
    " and ", " or ", "not ", "(", ")", " of ", "*", "them", "1", "99999999999999999999", "a1", "\u{0}", "é", "\n", "-", "((((((((((", "all ",
  ]

  private func nesting(_ expression: Expression) -> Int {
    switch expression {
    case .condition: 1
    case .not(let inner): 1 + nesting(inner)
    case .all(let parts), .any(let parts): 1 + (parts.map(nesting).max() ?? 0)
    }
  }

  @Test(arguments: [UInt64(1), 2, 3]) func anyTextIsReadOrRefused(_ seed: UInt64) {
    var state = seed &* 0x9e37_79b9_7f4a_7c15
    func below(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(truncatingIfNeeded: state >> 33) % max(1, bound)
    }
    for _ in 0..<4000 {
      var bytes = Array(Self.seeds[below(Self.seeds.count)].utf8)
      for _ in 0...below(5) {
        let at = below(bytes.count + 1)
        switch below(4) {
        case 0: bytes.insert(contentsOf: Array(Self.words[below(Self.words.count)].utf8), at: at)
        case 1: if at < bytes.count { bytes[at] = UInt8(truncatingIfNeeded: below(256)) }
        case 2: bytes.removeSubrange(at..<min(bytes.count, at + below(6)))
        default: bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + below(12))], at: at)
        }
      }
      let text = String(decoding: bytes, as: UTF8.self)
      do {
        let expression = try ExpressionParser.parse(text, names: ["a1", "a2", "b"])
        #expect(expression.conditionIndices.isSubset(of: [0, 1, 2]))
        #expect(nesting(expression) <= 4 * ExpressionParser.depthLimit + 2)
      } catch {
        #expect((0...text.utf8.count).contains(error.offset), "\(text)")
        #expect(!error.message.isEmpty && error.message.utf8.count < 1000)
      }
    }
  }
}
