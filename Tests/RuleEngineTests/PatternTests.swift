import Events
import Primitives
import RuleLanguage
import Testing

@testable import RuleEngine

@Suite struct ConditionTests {
  struct Case: CustomTestStringConvertible {
    var field: String
    var test: Condition.Test
    var value: String?
    var holds: Bool
    var testDescription: String { "\(field) \(test) on \(value ?? "nothing")" }
  }
  static let cases: [Case] = [
    Case(field: "message", test: .exact(["abc"], caseSensitive: true), value: "abc", holds: true),
    Case(field: "message", test: .exact(["abc"], caseSensitive: true), value: "ABC", holds: false),
    Case(field: "message", test: .exact(["aBc"], caseSensitive: false), value: "AbC", holds: true),
    Case(field: "message", test: .exact(["abc"], caseSensitive: false), value: "abcd", holds: false),
    Case(field: "message", test: .exact(["x", "abc"], caseSensitive: true), value: "abc", holds: true),
    Case(field: "message", test: .exact([""], caseSensitive: true), value: "", holds: true),
    Case(field: "message", test: .exact([], caseSensitive: true), value: "", holds: false),
    Case(field: "message", test: .contains(["b"], caseSensitive: true), value: "abc", holds: true),
    Case(field: "message", test: .contains(["BC"], caseSensitive: false), value: "xabcx", holds: true),
    Case(field: "message", test: .contains(["BCD"], caseSensitive: false), value: "xabcdx", holds: true),
    Case(field: "message", test: .contains(["BCD"], caseSensitive: true), value: "xabcdx", holds: false),
    Case(field: "message", test: .contains([""], caseSensitive: true), value: "", holds: true),
    Case(field: "message", test: .contains([""], caseSensitive: true), value: nil, holds: false),
    Case(field: "message", test: .contains(["été"], caseSensitive: false), value: "un été", holds: true),
    Case(field: "message", test: .startsWith(["ab"], caseSensitive: true), value: "abc", holds: true),
    Case(field: "message", test: .startsWith(["ABC"], caseSensitive: false), value: "abcd", holds: true),
    Case(field: "message", test: .startsWith(["bcd"], caseSensitive: false), value: "abcd", holds: false),
    Case(field: "message", test: .exists(true), value: "", holds: true),
    Case(field: "message", test: .exists(true), value: nil, holds: false),
    Case(field: "message", test: .exists(false), value: nil, holds: true),
    Case(field: "x.own", test: .exists(true), value: "1", holds: true),
    Case(field: "x.own", test: .exists(false), value: nil, holds: true),
    Case(field: "x.own", test: .regex(["^s[0-9]+$"], caseSensitive: true), value: "s12", holds: true),
    Case(field: "x.own", test: .compare(.gt, 5), value: "6", holds: true),
    Case(field: "x.own", test: .compare(.lt, -5), value: "-6", holds: true),
    Case(field: "x.own", test: .compare(.gt, 5), value: "6x", holds: false),
    Case(field: "tokens", test: .compare(.gt, 100), value: "100.5", holds: true),
    Case(field: "tokens", test: .compare(.gt, 100), value: "1e3", holds: true),
    Case(field: "tokens", test: .compare(.gt, 100), value: "+200", holds: true),
    Case(field: "tokens", test: .compare(.gt, 100), value: " 101 ", holds: true),
    Case(field: "tokens", test: .compare(.gt, 100), value: "1000000000000000000000", holds: true),
    Case(field: "cost", test: .compare(.gt, 1), value: "1.5", holds: true),
    Case(field: "cost", test: .compare(.lte, 1), value: "1.5", holds: false),
    Case(field: "cost", test: .compare(.eq, 1), value: "1.0", holds: true),
    Case(field: "cost", test: .compare(.gt, 1), value: "1.5 USD", holds: false),
    Case(field: "content", test: .compare(.lt, 0), value: "-0.5", holds: true),
    Case(field: "source.port", test: .compare(.eq, 22), value: "22", holds: true),
    Case(field: "source.port", test: .compare(.gt, 22), value: "22", holds: false),
    Case(field: "source.port", test: .compare(.gte, 22), value: "22", holds: true),
    Case(field: "source.port", test: .compare(.lt, 22), value: nil, holds: false),
    Case(field: "source.port", test: .exact(["22"], caseSensitive: true), value: "22", holds: true),
    Case(field: "source.port", test: .regex(["^22"], caseSensitive: true), value: "2222", holds: true),
    Case(field: "source.ip", test: .startsWith(["192.0.2."], caseSensitive: true), value: "192.0.2.7", holds: true),
    Case(field: "source.ip", test: .regex(["^2001:db8:"], caseSensitive: true), value: "2001:0db8::1", holds: true),
    Case(field: "source.ip", test: .compare(.gt, 0), value: "192.0.2.7", holds: false),
    Case(field: "event.action", test: .exact(["ssh-login"], caseSensitive: false), value: "SSH-Login", holds: true),
    Case(field: "event.action", test: .exact(["ssh-login"], caseSensitive: true), value: "SSH-Login", holds: false),
    Case(field: "event.action", test: .exact(["ssh-login", "x"], caseSensitive: true), value: "ssh-login", holds: true),
  ]

  @Test(arguments: cases) func table(_ c: Case) {
    for negated in [false, true] {
      var engine = RuleEngine(ruleSet(pattern("R", all: condition(c.field, c.test, not: negated))))
      #expect(engine.diagnostics.isEmpty)
      var event = Event()
      fill(&event, c.value.map { [(c.field, $0)] } ?? [])
      for _ in 0..<2 { #expect(engine.ids(event) == (c.holds != negated ? ["R"] : [])) }
      #expect(engine.explain(rule: 0, event: event).map(\.isHeld) == [c.holds != negated])
    }
  }

  @Test func aMatchNamesItsConditionsAndLines() {
    var engine = RuleEngine(
      ruleSet(
        pattern(
          "R", any: condition("message", .contains(["alpha"], caseSensitive: false)), condition("message", .contains(["beta"], caseSensitive: false)),
          condition("message", .regex(["gam+a"], caseSensitive: false)))))
    var event = Event()
    fill(&event, [("message", "Gamma then alpha")], at: 7, offset: 42)
    let earlier = EvidenceReference(
      origin: EventOrigin(source: 0, offset: 5, length: 1), time: EventTime(seconds: 6), fingerprint: Fingerprint(high: 1, low: 2))
    event.addEvidence(earlier)
    let matches = engine.matches(event)
    #expect(matches.count == 1)
    #expect(matches.first?.conditions == [0, 2])
    #expect(matches.first?.evidence == [earlier, event.reference])
    #expect(matches.first?.evidenceTotal == 2)
    #expect(matches.first?.firstTime == EventTime(seconds: 7))
    let report = engine.explain(rule: 0, event: event)
    #expect(report[2].span == 0..<5 && report[2].matched == "gam+a" && report[0].span == 11..<16)
  }

  /// Random expressions over random conditions, against the plain meaning of both.
  @Test func expressionsMeanWhatTheySay() {
    var random = Random(7)
    let words = ["alpha", "beta", "gamma", "ab", "x"]
    func expression(_ depth: Int, _ count: Int) -> Expression {
      switch random.below(depth == 0 ? 1 : 4) {
      case 0: return .condition(random.below(count))
      case 1: return .not(expression(depth - 1, count))
      case 2: return .all((0..<random.below(4)).map { _ in expression(depth - 1, count) })
      default: return .any((0..<random.below(4)).map { _ in expression(depth - 1, count) })
      }
    }
    func truth(_ e: Expression, _ values: [Bool]) -> Bool {
      switch e {
      case .condition(let i): values[i]
      case .not(let inner): !truth(inner, values)
      case .all(let parts): parts.allSatisfy { truth($0, values) }
      case .any(let parts): parts.contains { truth($0, values) }
      }
    }
    var rules: [Rule] = []
    var meaning: [(expression: Expression, conditions: [(field: Int, word: String, kind: Int, not: Bool)])] = []
    let fields = ["event.action", "message", "event.outcome", "user.name"]
    for n in 0..<150 {
      let count = 1 + random.below(5)
      let made = (0..<count).map { _ in (field: random.below(4), word: random.pick(words), kind: random.below(4), not: random.below(4) == 0) }
      let e = expression(4, count)
      rules.append(
        rule(
          "R\(n)",
          .pattern(
            conditions: made.map { c in
              condition(
                fields[c.field],
                [
                  .exact([c.word], caseSensitive: true), .contains([c.word], caseSensitive: false), .regex([c.word], caseSensitive: true),
                  .exists(true),
                ][c.kind], not: c.not)
            }, expression: e)))
      meaning.append((e, made))
    }
    var engine = RuleEngine(ruleSet(rules))
    #expect(engine.diagnostics.isEmpty)
    var event = Event()
    for _ in 0..<400 {
      let values: [String?] = (0..<4).map { _ in
        random.below(4) == 0 ? nil : (0..<1 + random.below(2)).map { _ in random.pick(words) }.joined(separator: " ")
      }
      fill(&event, (0..<4).compactMap { i in values[i].map { (fields[i], $0) } })
      let expected = meaning.enumerated().filter { _, m in
        truth(
          m.expression,
          m.conditions.map { c in
            let value = values[c.field]
            let plain = c.kind == 0 ? value == c.word : c.kind == 3 ? value != nil : value?.contains(c.word) ?? false
            return plain != c.not
          })
      }.map { "R\($0.offset)" }
      #expect(engine.ids(event) == expected)
    }
  }

  @Test func aBadRuleDoesNotStopTheOthers() {
    let deep = (0..<100).reduce(Expression.condition(0)) { inner, _ in .not(inner) }
    var engine = RuleEngine(
      ruleSet(
        regexRule("A", "(unclosed"), regexRule("B", "good"), rule("C", .pattern(conditions: [], expression: .condition(3))),
        rule("D", .pattern(conditions: [condition("message", .exists(true))], expression: deep)),
        rule("E", .skipped(method: "semantic", reason: "needs a model")), behavior("F", .sum, .gte, 3, window: .seconds(10)),
        pattern("G", any: condition("message", .regex(["fine", "[z-a]"], caseSensitive: true))), regexRule("H", "good")))
    #expect(engine.diagnostics.count == 5)
    #expect(engine.diagnostics.allSatisfy { $0.severity == .error })
    #expect(engine.diagnostics.first?.message.contains(" at byte ") == true)
    var isEnabled: [Bool] = []
    for i in 0..<8 { isEnabled.append(engine.isEnabled(rule: i)) }
    #expect(isEnabled == [false, true, false, false, false, false, false, true])
    var event = Event()
    fill(&event, [("message", "a good fine day")])
    #expect(engine.ids(event) == ["B", "H"])
  }

  @Test func hundredsOfValuesAndKindsStayCorrect() {
    // More spellings of one value than the tables hold: slower, never wrong.
    var engine = RuleEngine(ruleSet(pattern("R", all: condition("event.action", .exact(["abcdefghijk"], caseSensitive: false)))))
    var event = Event()
    for n in 0..<2048 {
      let text = String(decoding: "abcdefghijk".utf8.enumerated().map { i, c in n >> i & 1 == 1 ? c - 32 : c }, as: UTF8.self)
      fill(&event, [("event.action", text)])
      #expect(engine.ids(event) == ["R"])
      fill(&event, [("event.action", text + "x")])
      #expect(engine.ids(event) == [])
    }
    #expect(engine.counters.unindexedEvents > 0)
  }
}
