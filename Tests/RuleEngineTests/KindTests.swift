// What the engine decides once for each kind of event, keeps of earlier scans, or leaves out until somebody asks, changes no result.
import Events
import Primitives
import RuleLanguage
import Testing

@testable import RuleEngine

@Suite struct KindTests {
  /// Random rules over numbers, methods and text, against their plain meaning: numbers as numbers and as text, absent, negated, and more
  /// distinct conditions than a kind has bits for.
  @Test func sharedConditionsMeanWhatTheySay() {
    var random = Random(23)
    typealias Part = (name: String, test: Condition.Test, not: Bool, holds: ([String: String]) -> Bool)
    func number(_ text: String?) -> Int64? { text.flatMap { Int64($0) } }
    func part() -> Part {
      let not = random.below(4) == 0
      switch random.below(4) {
      case 0:
        let bound = Int64(random.pick([200, 400, 404, 500, 1023, 1024, 5000, -3]))
        let comparison = random.pick([Comparison.gte, .lt, .gt, .lte])
        return (
          "http.response.status_code", .compare(comparison, bound), not,
          { number($0["http.response.status_code"]).map { comparison.holds($0, bound) } ?? false }
        )
      case 1:
        let values = (0..<1 + random.below(3)).map { _ in random.pick(["200", "404", "0404", "5000", "-3", "x"]) }
        return (
          "http.response.status_code", .exact(values, caseSensitive: true), not,
          { fields in fields["http.response.status_code"].map { values.contains($0) } ?? false }
        )
      case 2:
        let value = random.pick(["GET", "post", "CONNECT"])
        return (
          "http.request.method", .exact([value], caseSensitive: false), not,
          { $0["http.request.method"]?.lowercased() == value.lowercased() }
        )
      default:
        let word = random.pick(["alpha", "beta", "gamma"])
        return ("url.path", .contains([word], caseSensitive: true), not, { $0["url.path"]?.contains(word) ?? false })
      }
    }
    var rules: [Rule] = []
    var meaning: [([String: String]) -> Bool] = []
    for n in 0..<120 {
      let parts = (0..<1 + random.below(4)).map { _ in part() }
      let isAll = random.below(2) == 0
      let conditions = parts.map { condition($0.name, $0.test, not: $0.not) }
      let all = conditions.indices.map(Expression.condition)
      rules.append(rule("R\(n)", .pattern(conditions: conditions, expression: isAll ? .all(all) : .any(all))))
      meaning.append { fields in
        let truths = parts.map { $0.holds(fields) != $0.not }
        return isAll ? truths.allSatisfy { $0 } : truths.contains(true)
      }
    }
    var engine = RuleEngine(ruleSet(rules))
    #expect(engine.diagnostics.isEmpty)
    #expect(engine.compiled.kindBits.reduce(0) { $0 + $1.conditions.count } == KindBits.maximum)
    var event = Event()
    for _ in 0..<600 {
      var fields: [String: String] = [:]
      if random.below(5) > 0 { fields["http.response.status_code"] = random.pick(["200", "301", "404", "500", "1023", "1024", "5000", "-3"]) }
      if random.below(5) > 0 { fields["http.request.method"] = random.pick(["GET", "get", "POST", "Post", "CONNECT", "PUT"]) }
      if random.below(5) > 0 { fields["url.path"] = random.pick(["/alpha", "/beta/gamma", "/nothing", ""]) }
      fill(&event, fields.sorted { $0.key < $1.key })
      let expected = meaning.indices.filter { meaning[$0](fields) }.map { "R\($0)" }
      #expect(engine.ids(event) == expected)
    }
  }

  /// Texts that share a place with each other, of all lengths, one of which the scan hits.
  @Test func textsThatWereQuietDoNotHideOthers() {
    var engine = RuleEngine(ruleSet(pattern("R", any: condition("message", .contains(["needle"], caseSensitive: true)))))
    var event = Event()
    for round in 0..<2 {
      for length in [0, 1, 6, 7, 8, 9, 60, 253, 254, 255, 256, 400] {
        let quiet = [UInt8](repeating: 0x61, count: length)
        for at in stride(from: 0, through: max(0, length - 6), by: 3) {
          var loud = quiet
          if length >= 6 { loud.replaceSubrange(at..<at + 6, with: Array("needle".utf8)) }
          fill(&event, message: quiet)
          #expect(engine.ids(event) == [], "round \(round), length \(length)")
          fill(&event, message: loud)
          #expect(engine.ids(event) == (length >= 6 ? ["R"] : []), "round \(round), length \(length), at \(at)")
        }
      }
    }
    #expect(engine.counters.prefilterScans > 0)
  }

  /// A literal and the same bytes from a log are the same value, also when it is empty.
  @Test func literalsAreTheirBytes() {
    var engine = RuleEngine(ruleSet(pattern("R", all: isExactly("event.action", "ssh-login")), pattern("E", all: isExactly("event.action", ""))))
    var event = Event()
    for _ in 0..<3 {
      for (text, expected) in [("ssh-login", ["R"]), ("ssh-logout", []), ("", ["E"])] as [(StaticString, [String])] {
        fill(&event, [])
        event.set(.eventAction, text)
        #expect(engine.ids(event) == expected)
        fill(&event, [("event.action", "\(text)")])
        #expect(engine.ids(event) == expected)
      }
      fill(&event, [])
      #expect(engine.ids(event) == [])
    }
  }

  @Test func detailsCanBeAskedForLater() {
    func made() -> RuleEngine {
      RuleEngine(
        ruleSet(
          pattern("A", any: condition("message", .regex(["al.ha"], caseSensitive: false)), isExactly("user.name", "root")),
          behavior("B", .count, .gte, 1, window: .seconds(10))))
    }
    var whole = made()
    var later = made()
    var event = Event()
    fill(&event, [("message", "alpha"), ("user.name", "root"), ("source.ip", "192.0.2.1")], at: 3, offset: 9)
    var matches: [RuleMatch] = []
    var bare: [RuleMatch] = []
    whole.evaluate(event, at: event.time, into: &matches)
    later.evaluate(event, at: event.time, withDetails: false, into: &bare)
    #expect(bare.map(\.rule) == [0, 1])
    #expect(bare.first?.evidence.isEmpty == true)
    for i in bare.indices { later.addDetails(to: &bare[i], event) }
    #expect(bare.map(\.conditions) == matches.map(\.conditions))
    #expect(bare.map(\.evidence) == matches.map(\.evidence))
    #expect(bare.map(\.evidenceTotal) == matches.map(\.evidenceTotal))
    #expect(matches.first?.conditions == [0, 1])
  }
}
