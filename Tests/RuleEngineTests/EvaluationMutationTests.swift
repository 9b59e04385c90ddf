// A bounded run of what `scripts/fuzz evaluator` and `scripts/fuzz pattern-evaluation` do without end, the same in each run.
import Primitives
import Testing

@testable import RuleEngine

@Suite struct EvaluationMutationTests {
  /// The seeds do reach the rules: a mutation of an event that nothing looks at would prove nothing.
  @Test func seedsReachEveryMethod() {
    let trial = EvaluationTrial()
    #expect(trial.ruleCount == 17)
    let expected = ["90001", "90001", "90002", "90012", "90004", "90005", "90003"]
    for (seed, number) in zip(EvaluationTrial.seeds, expected) {
      #expect(trial.ids(seed).contains("ATR-2026-\(number)"), "\(trial.ids(seed)): \(seed)")
    }
  }

  @Test(arguments: [UInt64(1), 2, 3, 4]) func anyEventIsEvaluated(_ seed: UInt64) {
    let trial = EvaluationTrial()
    var random = Random(seed)
    for _ in 0..<400 {
      let line = mutated(Array(random.pick(EvaluationTrial.seeds).utf8), &random)
      let problem = line.withUnsafeBytes { trial.problem(lines: $0) }
      #expect(problem == nil, "\(String(decoding: line, as: UTF8.self))")
    }
  }

  static let patterns = [
    #"(?i)needle\s+\d{2,}"#, #"(?<=ab)c+(?!d)"#, #"(a+)+$"#, #"(\w+)\s\1"#, #"[\u0400-\u04ff]+x?"#, #"^foo.*bar$"#, #"(?:a|ab)(?:c|bcd)(?:d*)"#,
    #"\bsecret\b[\s\S]{0,40}key"#, #"(?i)straße|ſ|K"#, #"x{2,5}?y|[^"]*""#, #"(?=.*needle)(?=.*12).{3,}"#,
  ]
  static let pieces = [
    "needle", " 12", "ab", "c", "d", "aaaa", "foo", "bar", "\n", "secret", " key", "é", "ſ", "K", "\u{301}", "\u{200b}", "ж", "x", "y", "\"",
  ]

  @Test(arguments: [UInt64(1), 2, 3]) func anyPatternOnAnyText(_ seed: UInt64) {
    var random = Random(seed)
    for _ in 0..<150 {
      var input = Array(random.pick(Self.patterns).utf8)
      if random.below(2) == 0 { input = mutated(input, &random).filter { $0 != 0x0a } }
      input.append(0x0a)
      for _ in 0..<random.below(30) {
        input += Array(random.pick(Self.pieces).utf8)
        if random.below(8) == 0 { input += Array(repeating: 0x7a, count: random.below(400)) }
        if random.below(12) == 0 { input.append(UInt8(random.below(256))) }
      }
      let problem = input.withUnsafeBytes { EvaluationTrial.problem(patternAndText: $0) }
      #expect(problem == nil, "\(String(decoding: input, as: UTF8.self))")
    }
  }

  private func mutated(_ seed: [UInt8], _ random: inout Random) -> [UInt8] {
    var bytes = seed
    for _ in 0...random.below(6) {
      let at = random.below(bytes.count + 1)
      switch random.below(5) {
      case 0: bytes.insert(contentsOf: Array(random.pick(EvaluationTrial.words).utf8), at: at)
      case 1: if at < bytes.count { bytes[at] = UInt8(random.below(256)) }
      case 2: bytes.removeSubrange(at..<min(bytes.count, at + random.below(8)))
      case 3: bytes.insert(contentsOf: Array(random.pick(EvaluationTrial.seeds).utf8.prefix(random.below(200))), at: at)
      default: bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + random.below(40))], at: at)
      }
    }
    return bytes
  }
}
