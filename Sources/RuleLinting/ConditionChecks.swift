// Conditions that contradict each other or the values that their field can have. Every check is sound: what is reported can never hold.
import Events
import Primitives
import RuleLanguage

enum ConditionChecks {
  static func findings(_ rule: Rule, _ places: inout PatternPlaces) -> [LintFinding] {
    guard let (conditions, expression) = rule.tested else { return [] }
    var findings: [LintFinding] = []
    for condition in conditions where condition.operands == nil {
      if let reason = impossible(condition) { findings.append(LintFinding(.neverMatches, rule.id, condition.location, reason)) }
      findings += unknownValues(rule, condition, &places)
      findings += redundant(rule, condition, &places)
    }
    findings += contradictions(rule, conditions, obligations(expression))
    return findings
  }

  // MARK: What must hold for the rule to fire

  struct Obligation {
    var condition: Int
    var isHeld: Bool
  }
  /// Conditions that each match of the expression fulfils (or, `isHeld` false, does not fulfil).
  static func obligations(_ expression: Expression) -> [Obligation] {
    switch expression {
    case .condition(let i): [Obligation(condition: i, isHeld: true)]
    case .not(let inner):
      switch inner {
      case .condition(let i): [Obligation(condition: i, isHeld: false)]
      case .not(let twice): obligations(twice)
      case .any(let parts): parts.flatMap { obligations(.not($0)) }
      case .all(let parts): parts.count == 1 ? obligations(.not(parts[0])) : []
      }
    case .all(let parts): parts.flatMap(obligations)
    case .any(let parts): parts.count == 1 ? obligations(parts[0]) : []
    }
  }

  private static func contradictions(_ rule: Rule, _ conditions: [Condition], _ obligations: [Obligation]) -> [LintFinding] {
    var findings: [LintFinding] = []
    // What a placeholder stands for is not known here.
    let valid = obligations.filter { conditions.indices.contains($0.condition) && conditions[$0.condition].operands == nil }
    for (i, a) in valid.enumerated() {
      for b in valid[(i + 1)...].prefix(Limits.lintPairs) {
        let first = conditions[a.condition]
        let second = conditions[b.condition]
        guard first.field == second.field, let reason = contradiction(first, a.isHeld, second, b.isHeld) else { continue }
        findings.append(
          LintFinding(
            .neverMatches, rule.id, second.location,
            "conditions '\(first.name)' and '\(second.name)' on \(first.field) cannot both hold: \(reason)",
            related: [.init(first.location, "condition '\(first.name)'")]))
      }
    }
    return findings
  }

  /// Why both cannot be so; nil: they can, or nothing is known.
  private static func contradiction(_ a: Condition, _ aHolds: Bool, _ b: Condition, _ bHolds: Bool) -> String? {
    let aPositive = aHolds != a.isNegated
    let bPositive = bHolds != b.isNegated
    let presence = "one needs the field absent, the other present"
    if case .exists(let wanted) = a.test, bPositive, needsPresence(b.test), wanted != aPositive { return presence }
    if case .exists(let wanted) = b.test, aPositive, needsPresence(a.test), wanted != bPositive { return presence }
    if aPositive, !bPositive, excludes(b.test, all: a.test) { return "one excludes all that the other allows" }
    if bPositive, !aPositive, excludes(a.test, all: b.test) { return "one excludes all that the other allows" }
    guard aPositive, bPositive else { return nil }
    if case .known(let field) = a.field, field.kind == .integer, case .compare(let x, let m) = a.test, case .compare(let y, let n) = b.test {
      let (left, right) = (interval(x, m), interval(y, n))  // between two whole numbers there is none
      return max(left.low, right.low) > min(left.high, right.high) ? "no number is \(x.symbol) \(m) and \(y.symbol) \(n)" : nil
    }
    return contradiction(a.test, b.test) ?? contradiction(b.test, a.test)
  }

  private static func needsPresence(_ test: Condition.Test) -> Bool { if case .exists(let wanted) = test { wanted } else { true } }

  /// Every value that `test` allows is one that `negated` forbids.
  private static func excludes(_ negated: Condition.Test, all test: Condition.Test) -> Bool {
    switch (test, negated) {
    case (.exact(let values, let sensitive), .exact(let forbidden, let alsoSensitive)):
      // A value compared without its case stands for several: only a comparison without case excludes them all.
      guard sensitive || !alsoSensitive else { return false }
      return values.allSatisfy { value in forbidden.contains { equal($0, value, caseSensitive: alsoSensitive) } }
    case (.exact(let values, true), _): return values.allSatisfy { holds(negated, for: $0) == true }
    default: return isSame(test, negated)
    }
  }

  private static func contradiction(_ a: Condition.Test, _ b: Condition.Test) -> String? {
    switch (a, b) {
    case (.exact(let values, let sensitive), .exact(let others, let alsoSensitive)):
      let both = sensitive && alsoSensitive
      let meets = values.contains { value in others.contains { equal($0, value, caseSensitive: both) } }
      return meets ? nil : "the lists of values have nothing in common"
    case (.exact(let values, let sensitive), _):
      // Folded values stand for several spellings; a test that looks at case may still find one.
      guard sensitive || !isCaseSensitive(b) else { return nil }
      return values.allSatisfy { holds(b, for: $0) == false } ? "none of the values fulfils the other condition" : nil
    case (.compare(let x, let m), .compare(let y, let n)):
      let left = halves(x, m)
      let right = halves(y, n)
      return max(left.low, right.low) > min(left.high, right.high) ? "no number is \(x.symbol) \(m) and \(y.symbol) \(n)" : nil
    case (.startsWith(let texts, let sensitive), .startsWith(let others, let alsoSensitive)):
      let both = sensitive && alsoSensitive
      let meets = texts.contains { text in others.contains { begins(text, $0, both) || begins($0, text, both) } }
      return meets ? nil : "no text begins in both ways"
    default: return nil
    }
  }

  private static func interval(_ comparison: Comparison, _ bound: Int64) -> (low: Int64, high: Int64) {
    switch comparison {
    case .gt: bound == .max ? (.max, .min) : (bound + 1, .max)
    case .gte: (bound, .max)
    case .lt: bound == .min ? (.max, .min) : (.min, bound - 1)
    case .lte: (.min, bound)
    case .eq: (bound, bound)
    }
  }

  /// In halves, for numbers with decimals: between `> 5` and `< 6` there are some.
  private static func halves(_ comparison: Comparison, _ bound: Int64) -> (low: Int128, high: Int128) {
    let twice = 2 * Int128(bound)
    switch comparison {
    case .gt: return (twice + 1, .max)
    case .gte: return (twice, .max)
    case .lt: return (.min, twice - 1)
    case .lte: return (.min, twice)
    case .eq: return (twice, twice)
    }
  }

  private static func isCaseSensitive(_ test: Condition.Test) -> Bool {
    switch test {
    case .regex(_, let sensitive), .contains(_, let sensitive), .exact(_, let sensitive), .startsWith(_, let sensitive): sensitive
    case .compare, .exists: false
    }
  }

  /// Whether the test holds for this value; nil: not known.
  static func holds(_ test: Condition.Test, for value: String) -> Bool? {
    switch test {
    case .exists(let wanted): return wanted
    case .exact(let values, let sensitive): return values.contains { equal($0, value, caseSensitive: sensitive) }
    case .startsWith(let texts, let sensitive): return texts.contains { begins(value, $0, sensitive) }
    case .contains(let texts, let sensitive):
      if value.utf8.count > Limits.lintNeedleBytes { return nil }
      return texts.contains { Folded(value, sensitive).contains(Folded($0, sensitive)) }
    case .compare(let comparison, let bound):
      return Array(value.utf8).withUnsafeBytes { DecimalText.order(of: $0, to: bound) }.map { comparison.holds($0, 0) } ?? false
    case .regex(let patterns, let sensitive):
      var isKnown = true
      for pattern in patterns {
        guard let tried = TriedPattern(pattern, caseSensitive: sensitive), let answer = tried.matches(Array(value.utf8)) else {
          isKnown = false
          continue
        }
        if answer { return true }
      }
      return isKnown ? false : nil
    }
  }

  static func isSame(_ a: Condition.Test, _ b: Condition.Test) -> Bool {
    switch (a, b) {
    case (.regex(let x, let s), .regex(let y, let t)), (.contains(let x, let s), .contains(let y, let t)),
      (.exact(let x, let s), .exact(let y, let t)), (.startsWith(let x, let s), .startsWith(let y, let t)):
      s == t && x == y
    case (.compare(let x, let m), .compare(let y, let n)): x == y && m == n
    case (.exists(let x), .exists(let y)): x == y
    default: false
    }
  }

  private static func equal(_ a: String, _ b: String, caseSensitive: Bool) -> Bool { Folded(a, caseSensitive) == Folded(b, caseSensitive) }
  private static func begins(_ text: String, _ beginning: String, _ caseSensitive: Bool) -> Bool {
    Folded(text, caseSensitive).bytes.starts(with: Folded(beginning, caseSensitive).bytes)
  }

  // MARK: One condition and its field

  private static func impossible(_ condition: Condition) -> String? {
    guard !condition.isNegated, case .known(let field) = condition.field else { return nil }
    if field.kind == .address, case .compare = condition.test { return "\(condition.field) is an address, which is not compared with a number" }
    guard let range = FieldValues.range(of: field), case .compare(let comparison, let bound) = condition.test else { return nil }
    let wanted = interval(comparison, bound)
    guard max(wanted.low, range.lowerBound) > min(wanted.high, range.upperBound) else { return nil }
    return "\(condition.field) is never \(comparison.symbol) \(bound): it lies between \(range.lowerBound) and \(range.upperBound)"
  }

  private static func unknownValues(_ rule: Rule, _ condition: Condition, _ places: inout PatternPlaces) -> [LintFinding] {
    guard case .known(let field) = condition.field, case .exact(let values, let sensitive) = condition.test,
      let known = FieldValues.words(of: field)
    else { return [] }
    var findings: [LintFinding] = []
    for (i, value) in values.enumerated() where !known.contains(where: { equal($0, value, caseSensitive: sensitive) }) {
      let near = nearest(value, in: known).map { "did you mean '\($0)'?" } ?? "known: \(known.joined(separator: ", "))"
      findings.append(
        LintFinding(.unknownValue, rule.id, places.location(condition, text: i), "no event has '\(value)' in \(condition.field)", hint: near))
    }
    return findings
  }

  /// A needle that contains another needle of its list, and values or beginnings that occur twice.
  private static func redundant(_ rule: Rule, _ condition: Condition, _ places: inout PatternPlaces) -> [LintFinding] {
    let (texts, sensitive, implies): ([String], Bool, (Folded, Folded) -> Bool)
    switch condition.test {
    case .contains(let list, let s): (texts, sensitive, implies) = (list, s, { $0.contains($1) })
    case .startsWith(let list, let s): (texts, sensitive, implies) = (list, s, { $0.bytes.starts(with: $1.bytes) })
    case .exact(let list, let s), .regex(let list, let s):
      var isRegex = false
      if case .regex = condition.test { isRegex = true }
      (texts, sensitive, implies) = (list, s || isRegex, { $0 == $1 })
    default: return []
    }
    let folded = texts.prefix(Limits.lintPairs).map { Folded($0, sensitive) }
    var findings: [LintFinding] = []
    for i in folded.indices {
      let other = folded.indices.first { $0 != i && implies(folded[i], folded[$0]) && (folded[i] != folded[$0] || $0 < i) }
      guard let j = other else { continue }
      let words = folded[i] == folded[j] ? "stands in the list twice" : "is never needed: '\(texts[j])' finds it too"
      findings.append(LintFinding(.redundantLiteral, rule.id, places.location(condition, text: i), "'\(texts[i])' \(words)"))
    }
    return findings
  }
}

/// A text as the engine compares it: without regard to the case of ASCII letters, unless case counts.
struct Folded: Equatable {
  var bytes: [UInt8]
  init(_ text: String, _ caseSensitive: Bool) {
    bytes = Array(text.utf8)
    if !caseSensitive { for i in bytes.indices where bytes[i] &- 0x41 < 26 { bytes[i] |= 0x20 } }
  }
  /// False where the answer would be dear: needles beyond `Limits.lintNeedleBytes` are not compared.
  func contains(_ other: Folded) -> Bool {
    guard !other.bytes.isEmpty else { return true }
    guard bytes.count >= other.bytes.count, bytes.count <= Limits.lintNeedleBytes else { return false }
    return (0...bytes.count - other.bytes.count).contains { bytes[$0...].starts(with: other.bytes) }
  }
}

/// What parsers write, where that is a closed list (docs/events.md).
enum FieldValues {
  static func words(of field: Field) -> [String]? {
    switch field {
    case .eventCategory: ["authentication", "session", "iam", "process", "network", "web", "host", "configuration"]
    case .eventOutcome: ["success", "failure", "unknown"]
    default: nil
    }
  }
  static func range(of field: Field) -> ClosedRange<Int64>? {
    switch field {
    case .sourcePort, .destinationPort: 0...65535
    case .httpResponseStatusCode: 0...999
    case .logSyslogSeverity: 0...7
    case .logSyslogFacility: 0...23
    case .logSyslogPriority: 0...191
    case .attemptCount, .eventDuration, .networkBytes, .httpResponseBodyBytes, .processPid: 0...Int64.max
    default: nil
    }
  }
}
