// What is behind the sources of a correlation: the index gives what looking at every rule gives.
import RuleLanguage
import Testing

@Suite struct SourceRuleIndexTests {
  private static let ids = ["A", "ATR", "ATR-1", "ATR-10", "ATR-100", "ATR-11", "ATR-2", "ATRX", "B-1", "\u{e9}-1"]
  private static let patterns = ids + ["*", "A*", "ATR-1*", "ATR-1?", "ATR-?0*", "?*", "*1", "ATR-3*", "ATR-100?", "", "Z*", "\u{e9}*"]

  private static func rules(silent: Int) -> RuleSet {
    let text = ids.filter { $0.utf8.allSatisfy { $0 < 0x80 } }.enumerated().map { i, id in
      """
      title: T
      id: \(id)
      severity: low
      status: \(silent >> i & 1 == 1 ? "draft" : "stable")
      detection: {conditions: [{field: content, operator: contains, value: x}], condition: any}
      """
    }.joined(separator: "\n---\n")
    var set = RuleLoader.load(document: text, file: "r.yaml")
    set.activate(lane: .hunt, includesInactive: false)
    return set
  }
  /// Every rule is looked at.
  private static func plain(_ rule: Rule, _ sources: [CorrelationDetection.SourceRule], _ set: RuleSet) -> [String] {
    sources.compactMap { source in
      let behind = set.rules.filter { $0.id != rule.id && source.matches($0.id) }
      let reasons = behind.compactMap(RuleSet.silence)
      guard let first = reasons.first, reasons.count == behind.count else { return nil }
      return source.ruleIDPattern + ": " + first + (behind.count > 1 ? " (\(behind[0].id)), and so are \(behind.count - 1) more" : "")
    }
  }

  @Test func theIndexSaysWhatEveryRuleSays() throws {
    let sources = Self.patterns.map { CorrelationDetection.SourceRule(alias: "a", ruleIDPattern: $0) }
    let document = """
      correlation: {id: ATR-1, title: T, severity: high}
      source_rules: [{alias: a, rule_id_pattern: "*"}]
      correlation_logic: {type: count_threshold, count: 3, window: 5m}
      """
    let loaded = RuleLoader.load(document: document, file: "c.yaml", takesRecordedMatches: true)
    var rule = try #require(loaded.rules.first, "\(loaded.diagnostics)")
    guard case .correlation(var correlation) = rule.detection else { return }
    correlation.sourceRules = sources
    rule.detection = .correlation(correlation)
    var found = 0
    for silent in 0..<512 {
      let set = Self.rules(silent: silent)
      let index = SourceRuleIndex(set)
      let unfed = index.unfedSources(of: rule).map { "\($0.pattern): \($0.reason)" }
      #expect(unfed == Self.plain(rule, sources, set))
      found += unfed.count
      for source in sources { #expect(index.isMatched(source, besides: "ATR-1") == set.rules.contains { $0.id != "ATR-1" && source.matches($0.id) }) }
    }
    #expect(found > 1000)
  }
}
