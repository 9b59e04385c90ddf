// What rules cost, by their patterns: what can be seen in the pattern (nothing that every match must contain, common or short texts, a
// scan from the start), and what is measured on a set of texts: how often the pattern is run at all, and how long that takes.
// What must stay true: order and reasons depend on rules and texts; only the nanoseconds depend on the machine. The clock is the
// caller's. Each text stands for each field: the figures compare rules, they do not predict a host's load.
import Primitives
import RegularExpressions
import RuleLanguage

public struct RuleCost: Sendable {
  public enum Reason: String, Sendable, CaseIterable {
    case noRequiredText = "no-required-text"
    case shortRequiredText = "short-required-text"
    case commonRequiredText = "common-required-text"
    case unboundedBefore = "unbounded-before-text"
    case largeAlternation = "large-alternation"
    case manyPatterns = "many-patterns"

    public var explanation: String { "\(texts.explanation)" }
    public var suggestion: String { "\(texts.suggestion)" }
    private var texts: (explanation: StaticString, suggestion: StaticString) {
      switch self {
      case .noRequiredText:
        (
          "matches need contain no particular text, so the pattern runs on every text",
          "make one word obligatory, or put the alternatives with a word into a pattern of their own"
        )
      case .shortRequiredText:
        ("the text that matches must contain has three bytes or fewer", "let the pattern ask for a longer word")
      case .commonRequiredText:
        ("the text that matches must contain is common", "let the pattern ask for a rarer word beside it")
      case .unboundedBefore:
        ("any number of characters may stand before the text that matches must contain", "bound the repetition before it: {0,80} instead of *")
      case .largeAlternation: ("it has very many alternatives", "split the pattern, or factor out what the alternatives share")
      case .manyPatterns: ("it has many patterns that run on many texts", "merge patterns that share their beginning")
      }
    }
  }

  public var ruleID: String
  public var location: SourceLocation
  public var patterns = 0
  /// Texts on which a pattern had to be run, summed over the patterns; how often it matched; what it took.
  public var confirmations = 0
  public var matches = 0
  public var limitHits = 0
  /// Of the quickest of several rounds over all texts.
  public var nanoseconds: Int64 = 0
  /// Of the pattern that took longest, or, where none ran, of the first with a reason.
  public var worstPattern: SourceLocation
  public var worstText = ""
  public var reasons: [Reason] = []
}

public struct RuleCostReport: Sendable {
  public var texts = 0
  public var textBytes = 0
  /// Dearest first; equal ones by id.
  public var costs: [RuleCost] = []
  public var nanoseconds: Int64 { costs.reduce(0) { $0 + $1.nanoseconds } }
  public var confirmations: Int { costs.reduce(0) { $0 + $1.confirmations } }

  /// Share of all nanoseconds, in thousandths.
  public func share(_ cost: RuleCost) -> Int { nanoseconds == 0 ? 0 : Int(cost.nanoseconds * 1000 / nanoseconds) }
}

public enum RuleCosting {
  /// `clock`: monotonic nanoseconds. `readFile` as for lint.
  public static func report(
    _ set: RuleSet, texts: [String], clock: () -> Int64, readFile: @escaping (String) -> [UInt8]? = { _ in nil }
  ) -> RuleCostReport {
    let texts = texts.prefix(Limits.costTexts).map(Text.init)
    var report = RuleCostReport(texts: texts.count, textBytes: texts.reduce(0) { $0 + $1.bytes.count })
    var places = PatternPlaces(read: readFile)
    for rule in set.rules {
      guard let cost = measure(rule, texts, clock, &places) else { continue }
      report.costs.append(cost)
    }
    report.costs.sort { $0.nanoseconds != $1.nanoseconds ? $0.nanoseconds > $1.nanoseconds : $0.ruleID < $1.ruleID }
    return report
  }

  private struct Text {
    var bytes: [UInt8]
    /// With ASCII letters in lower case, as required texts are compared.
    var folded: [UInt8]
    var isASCII: Bool
    init(_ text: String) {
      bytes = Array(text.utf8)
      folded = bytes.map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 }
      isASCII = bytes.allSatisfy { $0 < 0x80 }
    }
  }

  private static func measure(_ rule: Rule, _ texts: [Text], _ clock: () -> Int64, _ places: inout PatternPlaces) -> RuleCost? {
    guard let tested = rule.tested else { return nil }
    var cost = RuleCost(ruleID: rule.id, location: rule.location, worstPattern: rule.location)
    var reasons = Set<RuleCost.Reason>()
    var worst: Int64 = -1
    for condition in tested.conditions {
      guard case .regex(let patterns, let sensitive) = condition.test else { continue }
      for (i, pattern) in patterns.enumerated() {
        guard let expression = try? RegularExpression(pattern, isCaseSensitive: sensitive),
          let tried = TriedPattern(expression, usesJIT: true)
        else { continue }
        // Nothing in ASCII matches a pattern that asks for more.
        let plain = TriedPattern(expression, for: .ascii, usesJIT: true)
        cost.patterns += 1
        let required = expression.matchFacts().requirement?.literals
        let candidates = texts.filter { contains($0.folded, required) }
        var own = reason(expression, required)
        if let required, !required.isEmpty, candidates.count * 4 > texts.count { own.insert(.commonRequiredText) }
        func round() -> (nanoseconds: Int64, matches: Int, limitHits: Int) {
          var (matches, limitHits) = (0, 0)
          let before = clock()
          for text in candidates {
            switch text.isASCII ? plain.map({ $0.matches(text.bytes) }) ?? false : tried.matches(text.bytes) {
            case true?: matches += 1
            case false?: break
            case nil: limitHits += 1
            }
          }
          return (max(0, clock() - before), matches, limitHits)
        }
        var took: Int64 = 0
        if !candidates.isEmpty {
          let first = round()
          cost.matches += first.matches
          cost.limitHits += first.limitHits
          took = quickest(first.nanoseconds) { round().nanoseconds }
        }
        cost.confirmations += candidates.count
        cost.nanoseconds += took
        reasons.formUnion(own)
        guard took > worst || worst <= 0 && !own.isEmpty && cost.worstText.isEmpty else { continue }
        worst = max(worst, took)
        cost.worstPattern = places.location(condition, text: i)
        cost.worstText = pattern
      }
    }
    guard cost.patterns > 0 else { return nil }
    if cost.patterns >= 16, cost.confirmations > 2 * texts.count { reasons.insert(.manyPatterns) }
    cost.reasons = RuleCost.Reason.allCases.filter(reasons.contains)
    return cost
  }

  /// Of several rounds the quickest: the first one also pays for memory that is touched for the first time, and any of them for what else
  /// the machine does. A long round is its own average.
  private static func quickest(_ first: Int64, again: () -> Int64) -> Int64 {
    var (best, spent) = (first, first)
    for _ in 1..<rounds where spent < enough {
      let took = again()
      best = min(best, took)
      spent += took
    }
    return best
  }
  private static let rounds = 7
  private static let enough: Int64 = 50_000_000

  private static func reason(_ expression: RegularExpression, _ required: [Requirement.Literal]?) -> Set<RuleCost.Reason> {
    var reasons: Set<RuleCost.Reason> = []
    if let required, !required.isEmpty {
      if required.contains(where: { $0.bytes.count <= 3 }) { reasons.insert(.shortRequiredText) }
      if required.contains(where: { $0.longestBefore == nil }) { reasons.insert(.unboundedBefore) }
    } else {
      reasons.insert(.noRequiredText)
    }
    if alternatives(expression.root, depth: 0) > 100 { reasons.insert(.largeAlternation) }
    return reasons
  }

  private static func alternatives(_ node: Node, depth: Int) -> Int {
    guard depth < 100 else { return 0 }
    switch node {
    case .alternation(let branches): return branches.count + branches.reduce(0) { $0 + alternatives($1, depth: depth + 1) }
    case .sequence(let parts): return parts.reduce(0) { $0 + alternatives($1, depth: depth + 1) }
    case .capture(let inner, _), .atomic(let inner), .lookAround(let inner, _, _), .repeat(let inner, _, _, _):
      return alternatives(inner, depth: depth + 1)
    default: return 0
    }
  }

  /// No requirement: every text is a candidate.
  private static func contains(_ text: [UInt8], _ literals: [Requirement.Literal]?) -> Bool {
    guard let literals, !literals.isEmpty else { return true }
    return text.withUnsafeBytes { haystack in
      literals.contains { literal in literal.bytes.withUnsafeBytes { haystack.index(of: $0) != nil } }
    }
  }
}
