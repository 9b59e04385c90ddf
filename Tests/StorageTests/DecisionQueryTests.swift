import Detection
import Primitives
import RuleLanguage
import Storage
import Testing

@Suite struct DecisionQueryTests {
  let directory: TemporaryDirectory
  let store: DecisionStore

  /// Numbered as in the expectations below.
  static let decisions = [
    Sample.decision(0, source: "192.0.2.7", user: "root", rule: "ATR-2026-90001", severity: .low, confidence: 300, action: .logOnly),
    Sample.decision(1, source: "192.0.2.200", user: "alice", rule: "ATR-2026-90002", severity: .medium, confidence: 700),
    Sample.decision(2, source: "198.51.100.1", user: nil, rule: "ATR-2026-91000", severity: .high, confidence: 899),
    Sample.decision(
      3, source: "2001:db8:1:2::/64", user: "a'; --", rule: "ATR-COR-2026-90001", severity: .critical, confidence: 990, action: .blockIP),
    Sample.decision(4, source: "2001:db8:1:2::5", user: "rooty", rule: "ATR-2026-90001", severity: .informational, confidence: 1),
    Sample.decision(5, source: nil, user: "root", rule: "ATR[1]*", severity: .high, confidence: 900),
    Sample.decision(6, source: "not an address", user: "ro\u{0}ot", rule: "ATR-2026-90003", severity: .high, confidence: 900),
    Sample.decision(7, source: "10.0.0.0/8", user: "ro", rule: "ATR-2026-90003", severity: .high, confidence: 900),
    Sample.decision(8, source: "::ffff:192.0.2.7", user: "b", rule: "ATR-2026-90003", severity: .high, confidence: 900),
    Sample.decision(9, source: "0.0.0.0", user: "c", rule: "ATR-2026-90003", severity: .high, confidence: 900),
    Sample.decision(10, source: "::", user: "c", rule: "ATR-2026-90003", severity: .high, confidence: 900),
  ]
  init() throws {
    directory = try TemporaryDirectory()
    store = try DecisionStore(directory: directory.path)
    try store.commit(CommitBatch(decisions: Self.decisions))
  }

  private func found(_ query: DecisionQuery) throws -> [Int] {
    try store.decisions(matching: query).decisions.map { found in Self.decisions.firstIndex { $0.id == found.id } ?? -1 }.reversed()
  }

  @Test(arguments: [
    ("192.0.2.7", [0, 8]), ("192.0.2.0/24", [0, 1, 8]), ("192.0.2.128/25", [1]), ("0.0.0.0/0", [0, 1, 2, 7, 8, 9]), ("10.1.2.3", [7]),
    ("10.1.0.0/16", [7]), ("10.0.0.0/7", [7]), ("11.0.0.0/8", []), ("2001:db8:1:2::5", [3, 4]), ("2001:db8:1:2::6", [3]),
    ("2001:db8:1:2::/65", [3, 4]), ("2001:db8::/32", [3, 4]), ("::/0", [3, 4, 10]), ("2001:db8:1:3::/64", []), ("::ffff:192.0.2.7", [0, 8]),
    ("0.0.0.0", [9]), ("::", [10]),
  ])
  func byAddress(_ address: String, _ expected: [Int]) throws {
    let network: CIDR = try #require(CIDR(address))
    #expect(try found(DecisionQuery(address: network)) == expected)
  }

  /// Against the definition: a subject is found if its range and the query's overlap (networks either contain each other or do not).
  @Test func byAddressAsDefined() throws {
    for length in 0...128 {
      let query: CIDR = try #require(CIDR("2001:db8:1:2::5/\(length)"))
      let expected = [3, 4, 10].filter { number in
        guard let subject = Self.decisions[number].subject.source.flatMap({ CIDR($0) }) else { return false }
        return query.contains(subject.base) || subject.contains(query.base)
      }
      #expect(try found(DecisionQuery(address: query)) == expected, "/\(length)")
    }
  }

  @Test(arguments: [("root", [0, 5]), ("ro", [7]), ("a'; --", [3]), ("ro\u{0}ot", [6]), ("nobody", []), ("%", [])])
  func byUser(_ user: String, _ expected: [Int]) throws {
    #expect(try found(DecisionQuery(user: user)) == expected)
  }

  @Test(arguments: [
    ("ATR-2026-90001", [0, 4]), ("ATR-2026-9000?", [0, 1, 4, 6, 7, 8, 9, 10]), ("ATR-COR-*", [3]), ("*90001", [0, 3, 4]), ("atr-2026-90001", []),
    ("ATR[1]*", [5]), ("ATR[1]?", [5]), ("[A]*", []), ("*", Array(0...10)), ("ATR-2026-90001'", []),
  ])
  func byRule(_ rule: String, _ expected: [Int]) throws {
    #expect(try found(DecisionQuery(rule: rule)) == expected)
  }

  @Test func byTheRest() throws {
    #expect(try found(DecisionQuery(minimumSeverity: .critical)) == [3])
    #expect(try found(DecisionQuery(minimumSeverity: .informational)).count == 11)
    #expect(try found(DecisionQuery(minimumConfidence: Confidence(thousandths: 900))) == [3, 5, 6, 7, 8, 9, 10])
    #expect(try found(DecisionQuery(action: .blockIP)) == [3])
    #expect(try found(DecisionQuery(since: Self.decisions[2].time, until: Self.decisions[4].time)) == [2, 3])
    #expect(try found(DecisionQuery(since: Self.decisions[5].time, user: "root", minimumSeverity: .high, action: .notify)) == [5])
    #expect(try found(DecisionQuery(since: Self.decisions[10].time, until: Self.decisions[0].time)) == [])
  }

  @Test func followTakesFiltersToo() throws {
    #expect(try store.follow(after: 0, matching: DecisionQuery(minimumSeverity: .critical)).decisions == [Self.decisions[3]])
  }
}
