import Primitives
import RuleLanguage
import Testing

@testable import AgentRuntime

@Suite struct RuleCacheTests {
  static let document = """
    title: A rule
    id: ATR-2026-90001
    status: stable
    description: Something that happens and should be seen by somebody.
    author: tests
    date: 2026/01/01
    severity: high
    tags:
      category: credential-access
      confidence: high
    agent_source:
      type: host_log
    detection:
      conditions:
        one: {field: message, patterns: ["needle\\\\s+[0-9]{2}", "thread"], match_type: regex}
        two: {field: source.port, operator: gt, value: 5}
      condition: one
    response: {actions: [alert]}
    test_cases:
      true_positives: [{input: "needle 12"}]
      true_negatives: [{input: "nothing"}]
    """

  static func sets() -> [RuleSet] {
    var sets = [RuleLoader.load(document: document, file: "rule.yaml"), RuleSet(rules: [], diagnostics: [], refusedCount: 0)]
    let shipped = RuleStore.defaultDirectories()
    if !shipped.isEmpty { sets.append(RuleLoader.load(paths: shipped)) }
    return sets
  }

  /// Everything that a rule holds comes back: compared member by member through reflection, so that no later member is forgotten.
  @Test func whatIsKeptIsWhatWasRead() throws {
    for set in Self.sets() {
      let bytes = try #require(RuleCache.encode(set, key: String(repeating: "0", count: 64)))
      let back = try #require(RuleCache.decode(RuleSet.self, bytes, key: String(repeating: "0", count: 64)))
      #expect(back.rules.count == set.rules.count && back.refusedCount == set.refusedCount && back.diagnostics == set.diagnostics)
      for (a, b) in zip(set.rules, back.rules) {
        var left = ""
        var right = ""
        dump(a, to: &left)
        dump(b, to: &right)
        #expect(left == right, "\(a.id)")
      }
    }
  }

  @Test func damageIsNoticed() throws {
    let set = try #require(Self.sets().last)
    let key = String(repeating: "a", count: 64)
    let bytes = try #require(RuleCache.encode(set, key: key))
    #expect(RuleCache.decode(RuleSet.self, bytes, key: String(repeating: "b", count: 64)) == nil)
    for n in 0..<200 {
      var broken = bytes
      let at = (n &* 7919) % bytes.count
      if n % 2 == 0 { broken[at] ^= 1 << UInt8(n % 8) } else { broken.removeLast(bytes.count - at) }
      #expect(RuleCache.decode(RuleSet.self, broken, key: key) == nil)
    }
  }

  /// Bytes that pass the check because somebody made it fit them: an error or some set of rules, never a trap.
  @Test func forgedBytesDoNotTrap() throws {
    let body = try CompactCoding.encode(RuleLoader.load(document: Self.document, file: "rule.yaml"))
    var state: UInt64 = 77
    func random() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state >> 33
    }
    for n in 0..<3000 {
      var forged = body
      for _ in 0..<1 + Int(random() % 4) { forged[Int(random() % UInt64(forged.count))] = UInt8(truncatingIfNeeded: random()) }
      if n % 5 == 0 { forged.removeLast(Int(random() % UInt64(forged.count))) }
      _ = forged.withUnsafeBytes { try? CompactCoding.decode(RuleSet.self, from: $0) }
    }
    let deep = [UInt8](repeating: 0x12, count: 100_000)
    _ = deep.withUnsafeBytes { try? CompactCoding.decode(RuleLanguage.Expression.self, from: $0) }
  }
}
