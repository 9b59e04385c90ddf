// Rules that say the same: shadowed by implication, and patterns that stand in several rules. Sound and cheap: tests are compared as they are
// written (the same test, or one whose texts are a subset), never by what their patterns could mean.
// What must stay true: a rule is only called shadowed where each of its matches is a match of the other.
import Primitives
import RuleLanguage

enum OverlapChecks {
  static func findings(_ set: RuleSet, _ places: inout PatternPlaces) -> [LintFinding] {
    shadowed(set) + duplicatePatterns(set, &places)
  }

  // MARK: Shadowed rules

  /// A rule as alternatives: each an index of a condition, or all conditions at once.
  private struct Shape {
    var rule: Int
    /// The rule fires where one of these conditions holds (`any`); else only where all hold.
    var isAny: Bool
    var conditions: [Condition]
  }

  private static func shape(_ index: Int, _ rule: Rule) -> Shape? {
    guard case .pattern(let conditions, let expression) = rule.detection else { return nil }
    func plain(_ parts: [Expression]) -> [Condition]? {
      var out: [Condition] = []
      for part in parts {
        guard case .condition(let i) = part, conditions.indices.contains(i), !conditions[i].isNegated else { return nil }
        out.append(conditions[i])
      }
      return out
    }
    switch expression {
    case .condition: return plain([expression]).map { Shape(rule: index, isAny: true, conditions: $0) }
    case .any(let parts): return plain(parts).map { Shape(rule: index, isAny: true, conditions: $0) }
    case .all(let parts): return plain(parts).map { Shape(rule: index, isAny: false, conditions: $0) }
    case .not: return nil
    }
  }

  private static func shadowed(_ set: RuleSet) -> [LintFinding] {
    let shapes = set.rules.enumerated().compactMap { shape($0.offset, $0.element) }
    // By each test that a rule needs or offers: who has it too. Only those are compared.
    var owners: [TestKey: [Int]] = [:]  // only looked up
    for (i, shape) in shapes.enumerated() {
      for key in Set(shape.conditions.flatMap(TestKey.keys)) { owners[key, default: []].append(i) }
    }
    var findings: [LintFinding] = []
    for (i, shape) in shapes.enumerated() {
      guard let first = shape.conditions.first else { continue }
      // A rule that implies this one shares a test: of every alternative, so of the first; of all conditions, any of them.
      let keys = shape.isAny ? TestKey.keys(first) : shape.conditions.flatMap(TestKey.keys)
      var candidates: [Int] = []
      for key in keys { for other in owners[key] ?? [] where other != i && !candidates.contains(other) { candidates.append(other) } }
      let rule = set.rules[shape.rule]
      for j in candidates.sorted().prefix(Limits.lintPairs) where implies(shape, shapes[j]) {
        let other = set.rules[shapes[j].rule]
        guard isAskedWherever(rule, other) else { continue }
        let isMutual = implies(shapes[j], shape)
        if isMutual, j > i, isAskedWherever(other, rule) { continue }  // said once, at the later rule
        let words = isMutual ? "fires on exactly the same events as" : "fires only where this fires too:"
        findings.append(
          LintFinding(
            .shadowedRule, rule.id, rule.location, "\(words) \(other.id)", related: [.init(other.location, "\(other.id) \(other.title)")]))
        break
      }
    }
    return findings
  }

  /// Rules about logs are not asked about packets: what only they say of a packet nobody else says.
  private static func isAskedWherever(_ rule: Rule, _ other: Rule) -> Bool { other.agentSource != "host_log" || rule.agentSource == "host_log" }

  /// Each match of `a` is one of `b`.
  private static func implies(_ a: Shape, _ b: Shape) -> Bool {
    if a.isAny {
      // Each alternative of a alone must make b fire.
      return a.conditions.allSatisfy { alone in
        b.isAny ? b.conditions.contains { implies(alone, $0) } : b.conditions.allSatisfy { implies(alone, $0) }
      }
    }
    if b.isAny { return b.conditions.contains { wanted in a.conditions.contains { implies($0, wanted) } } }
    return b.conditions.allSatisfy { wanted in a.conditions.contains { implies($0, wanted) } }
  }

  private static func implies(_ a: Condition, _ b: Condition) -> Bool {
    guard a.field == b.field else { return false }
    switch (a.test, b.test) {
    case (.regex(let x, let s), .regex(let y, let t)): return s == t && isSubset(x, y)
    case (.contains(let x, let s), .contains(let y, let t)), (.startsWith(let x, let s), .startsWith(let y, let t)),
      (.exact(let x, let s), .exact(let y, let t)):
      return (s || !t) && (t ? isSubset(x, y) : isSubset(x.map(ascii), y.map(ascii)))
    case (_, .exists(true)): if case .exists(false) = a.test { return false } else { return true }
    default: return ConditionChecks.isSame(a.test, b.test)
    }
  }
  private static func isSubset(_ a: [String], _ b: [String]) -> Bool {
    let all = Set(b)
    return a.allSatisfy(all.contains)
  }
  private static func ascii(_ text: String) -> String { String(decoding: Folded(text, false).bytes, as: UTF8.self) }

  /// One text of one test, for finding rules that share it.
  private struct TestKey: Hashable {
    var field: FieldReference
    var text: String
    static func keys(_ condition: Condition) -> [TestKey] {
      switch condition.test {
      case .regex(let texts, _), .contains(let texts, _), .exact(let texts, _), .startsWith(let texts, _):
        // A subset shares each text, so the first will do; both sides must have it, so all are filed.
        texts.map { TestKey(field: condition.field, text: OverlapChecks.ascii($0)) }
      case .compare(let comparison, let bound): [TestKey(field: condition.field, text: "\(comparison.rawValue) \(bound)")]
      case .exists(let wanted): [TestKey(field: condition.field, text: "exists \(wanted)")]
      }
    }
  }

  // MARK: The same pattern in several rules

  private static func duplicatePatterns(_ set: RuleSet, _ places: inout PatternPlaces) -> [LintFinding] {
    struct Key: Hashable {
      var field: FieldReference
      var pattern: String
      var isCaseSensitive: Bool
    }
    var first: [Key: (rule: Int, location: SourceLocation)] = [:]  // only looked up
    var findings: [LintFinding] = []
    for (index, rule) in set.rules.enumerated() {
      guard case .pattern(let conditions, _) = rule.detection else { continue }
      for condition in conditions {
        guard case .regex(let patterns, let sensitive) = condition.test else { continue }
        for (i, pattern) in patterns.enumerated() where pattern.utf8.count >= 8 {
          let key = Key(field: condition.field, pattern: pattern, isCaseSensitive: sensitive)
          guard let earlier = first[key] else {
            first[key] = (index, condition.location)
            continue
          }
          let other = set.rules[earlier.rule]
          let words = earlier.rule == index ? "stands in this rule twice" : "stands in \(other.id) too"
          findings.append(
            LintFinding(
              .duplicatePattern, rule.id, places.location(condition, text: i), "the pattern \(words)",
              related: [.init(earlier.location, "the first of the two")]))
        }
      }
    }
    return findings
  }
}
