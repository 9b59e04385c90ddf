// What a checked rule looks for, in words: for `explain` and `rules show`. Text from a rule file is escaped like any other.
import Events
import Primitives
import RuleLanguage

public enum RuleText {
  /// When the rule fires, one statement for each line, none of them ending in a newline.
  public static func detection(_ detection: Detection) -> [String] {
    switch detection {
    case .pattern(let conditions, let expression):
      return ["an event where " + text(expression, conditions)]
    case .behavioral(let behavior):
      return lines(behavior)
    case .correlation(let correlation):
      return lines(correlation)
    case .signature(let signature):
      return MethodText.lines(signature)
    case .trace(let trace):
      return MethodText.lines(trace)
    case .skipped(let method, let reason):
      return [TerminalText.escaped("never: method \(method) is not run here (\(reason))")]
    }
  }

  private static func lines(_ b: BehavioralDetection) -> [String] {
    let what =
      switch b.aggregation {
      case .count: "the number of events"
      case .sum: "the sum of \(metric(b))"
      case .avg: "the mean of \(metric(b))"
      case .max: "the largest \(metric(b))"
      case .distinct_count: "the number of different values of \(metric(b))"
      case .rate: "events per second"
      }
    var out = ["\(what) within \(b.window) is \(measure(b))"]
    if !b.groupBy.isEmpty {
      out.append("for each " + b.groupBy.map { TerminalText.escaped($0.description) }.joined(separator: " and "))
      if b.groupsIPv6ByNetwork { out[out.count - 1] += " (IPv6 also by /64)" }
    }
    if !b.filter.isEmpty { out.append("counting events where " + text(b.filterExpression, b.filter)) }
    if b.minEvents > 1 { out.append("and at least \(b.minEvents) events were seen") }
    return out
  }
  private static func metric(_ b: BehavioralDetection) -> String { TerminalText.escaped(b.metricField?.description ?? b.metric) }
  private static func measure(_ b: BehavioralDetection) -> String {
    guard let baseline = b.baseline else { return "\(b.comparison.symbol) \(decimal(b.threshold, b.digits))" }
    let unit = baseline.unit == .stddev ? "standard deviations" : "times the baseline"
    let from =
      switch baseline.source {
      case .rolling_mean: "its mean over \(baseline.lookback ?? b.window)"
      case .historical_percentile: "percentile \(decimal(baseline.percentile, 3)) of \(baseline.lookback ?? b.window)"
      case .fixed: decimal(baseline.value, b.digits)
      case .hour_of_week: "what is usual on this host at this hour of the week"
      }
    return "at least \(decimal(Int64(b.threshold.magnitude), 3)) \(unit) \(b.threshold < 0 ? "below" : "above") \(from)"
  }
  private static func decimal(_ value: Int64, _ digits: Int) -> String {
    var text: [UInt8] = []
    text.append(fixedPoint: value, digits: digits)
    return String(decoding: text, as: UTF8.self)
  }

  private static func lines(_ c: CorrelationDetection) -> [String] {
    let what =
      switch c.logic {
      case .temporalSequence(let aliases): aliases.joined(separator: ", then ")
      case .temporalUnordered(let aliases): aliases.joined(separator: " and ") + ", in any order"
      case .countThreshold(let alias, let count): "\(alias) at least \(count) times"
      case .chainPropagation(let aliases, let isOrdered, let count):
        aliases.count == 1
          ? "\(count) of \(aliases[0]), each naming one before it upstream"
          : aliases.joined(separator: isOrdered ? ", then " : " and ") + ", linked by what they name upstream"
      case .valueOverlap(let aliases, let field): "two of \(aliases.joined(separator: ", ")) with the same \(field)"
      }
    var out = [TerminalText.escaped("within \(c.window): \(what)")]
    if !c.joinKeys.isEmpty { out.append(TerminalText.escaped("with the same " + c.joinKeys.map(\.description).joined(separator: " and "))) }
    for source in c.sourceRules { out.append(TerminalText.escaped("where \(source.alias) is a match of \(source.ruleIDPattern)")) }
    return out
  }

  private static func text(_ expression: Expression, _ conditions: [Condition]) -> String {
    switch expression {
    case .condition(let i): conditions.indices.contains(i) ? text(conditions[i]) : "?"
    case .not(let inner): "not (\(text(inner, conditions)))"
    case .all(let parts): join(parts, " and ", conditions)
    case .any(let parts): join(parts, " or ", conditions)
    }
  }
  private static func join(_ parts: [Expression], _ word: String, _ conditions: [Condition]) -> String {
    parts.count == 1 ? text(parts[0], conditions) : "(" + parts.map { text($0, conditions) }.joined(separator: word) + ")"
  }

  /// Patterns of one condition that are written out; the others are counted.
  private static let patternsShown = 4

  private static func text(_ condition: Condition) -> String {
    func list(_ values: [String], _ open: String, _ close: String, _ caseSensitive: Bool) -> String {
      let shown = values.prefix(patternsShown).map { open + $0 + close }.joined(separator: " or ")
      let rest = values.count > patternsShown ? " or \(values.count - patternsShown) more" : ""
      return shown + rest + (caseSensitive ? "" : " (any case)")
    }
    let test =
      switch condition.test {
      case .regex(let patterns, let caseSensitive): "matches " + list(patterns, "/", "/", caseSensitive)
      case .contains(let texts, let caseSensitive): "contains " + list(texts, "\"", "\"", caseSensitive)
      case .exact(let texts, let caseSensitive): "is " + list(texts, "\"", "\"", caseSensitive)
      case .startsWith(let texts, let caseSensitive): "starts with " + list(texts, "\"", "\"", caseSensitive)
      case .compare(let comparison, let value): "\(comparison.symbol) \(value)"
      case .exists(let isPresent): isPresent ? "is present" : "is absent"
      }
    let statement = TerminalText.escaped("\(condition.field) \(test)")
    return condition.isNegated ? "not (\(statement))" : statement
  }
}
