// `detection.behavioral` (spec/atr-method-v1.1.md, section 7; spec/atr-schema.yaml) -> BehavioralDetection.
import Events
import Primitives
import TypedYAML

struct BehavioralReader {
  let problems: Problems
  let isHostRule: Bool
  /// `panguard.ipv6_network`: nil where the author did not say.
  let groupsIPv6ByNetwork: Bool?

  /// nil where there were errors.
  func read(_ section: Section) -> Detection? {
    section.refuseUnknownKeys(Vocabulary.behavioralKeys)
    let errorsBefore = problems.errorCount
    let conditions = ConditionReader(problems: problems, isHostRule: isHostRule)

    let aggregation = section.choice("aggregation", BehavioralDetection.Aggregation.self, isRequired: true)
    let comparisonWord = section.word("operator", of: Comparison.allCases.map(\.rawValue) + [Self.deviation], isRequired: true)
    let isDeviation = comparisonWord == Self.deviation
    var comparison = isDeviation ? Comparison.gte : comparisonWord.flatMap(Comparison.init(rawValue:))

    let metric = section.text("metric", isRequired: true)
    var metricField: FieldReference?
    if let metric, let aggregation, [.sum, .avg, .max, .distinct_count].contains(aggregation) {
      metricField = conditions.field(metric, at: section.location(of: "metric"))
      if case .known(let field)? = metricField, field.kind != .integer, aggregation != .distinct_count {
        problems.error(section.location(of: "metric"), "'\(metric)' is not an integer field, so it has no \(aggregation.rawValue)")
      }
    }
    let digits = digits(aggregation, metricField)
    let window = section.duration("window", isRequired: true)
    let baseline = isDeviation ? self.baseline(section, digits: digits, window: window) : nil
    let readsHost = baseline?.source == .hour_of_week
    if readsHost { checkHostMetric(section, aggregation, metricField) }
    let threshold: Int64?
    if isDeviation {
      threshold = section.decimal("threshold", digits: 3, in: -1_000_000_000...1_000_000_000, isRequired: true)
    } else {
      threshold = self.threshold(section, aggregation, digits: digits, &comparison)
    }
    if let threshold, let comparison, !isDeviation, aggregation == .distinct_count {
      let needed = comparison == .gt || comparison == .lte ? threshold + 1 : threshold
      if needed > Int64(Limits.entriesPerGroup) {
        problems.error(
          section.location(of: "threshold"), "a group keeps at most \(Limits.entriesPerGroup) distinct values, too few to tell \(threshold)",
          hint: "lower the threshold")
      }
    }
    var groupBy: [FieldReference] = []
    for node in section.textNodes("group_by") {
      guard let name = node.text, let field = conditions.field(name, at: node.location) else { continue }
      if groupBy.contains(field) {
        problems.warning(node.location, "'\(name)' is in group_by twice")
      } else {
        groupBy.append(field)
      }
    }
    let filter = section.section("filter").map(conditions.filter) ?? []
    let minEvents = section.integer("min_events", in: 1...1_000_000_000) ?? 1
    let cooldown = section.duration("cooldown")
    if !isDeviation, section.has("baseline") {
      problems.warning(section.location(of: "baseline"), "'baseline' means nothing without operator: deviation_from_baseline")
    }

    guard problems.errorCount == errorsBefore else { return nil }
    if let reason = conditions.foreignReason { return .skipped(method: "behavioral", reason: reason) }
    guard let metric, let aggregation, let comparison, let window, let threshold else { return nil }
    let hasAddress = groupBy.contains(.known(.sourceIP))
    var detection = BehavioralDetection(
      metric: metric, metricField: metricField, aggregation: aggregation, window: window, comparison: comparison, threshold: threshold,
      groupBy: groupBy, groupsIPv6ByNetwork: hasAddress && groupsIPv6ByNetwork ?? true, filter: filter,
      filterExpression: .all(filter.indices.map { .condition($0) }), minEvents: minEvents, cooldown: cooldown)
    detection.digits = readsHost ? 3 : digits
    detection.baseline = baseline
    if readsHost, threshold < 0 { detection.comparison = .lte }
    return .behavioral(detection)
  }
  /// What the host's baseline knows is a field of the event, and a number that means the same in all of the window: only its maximum does.
  private func checkHostMetric(_ section: Section, _ aggregation: BehavioralDetection.Aggregation?, _ metric: FieldReference?) {
    let names = Field.allCases.filter { $0.kind == .integer && "\($0.name)".hasPrefix("baseline.") }
    if aggregation != .max { problems.error(section.location(of: "aggregation"), "the host's baseline is read with aggregation: max") }
    if case .known(let field)? = metric, names.contains(field) { return }
    problems.error(
      section.location(of: "metric"), "the host's baseline has no such metric",
      hint: "write one of \(names.map { "\($0.name)" }.joined(separator: ", "))")
  }

  private static let deviation = "deviation_from_baseline"

  /// Decimals that are told apart: fields of the table are integers, others may hold fractions, and so may every mean.
  private func digits(_ aggregation: BehavioralDetection.Aggregation?, _ metricField: FieldReference?) -> Int {
    switch aggregation {
    case .rate: return 3
    case .avg: return 6
    case .sum, .max: if case .extra? = metricField { return 6 } else { return 0 }
    case .count, .distinct_count, nil: return 0
    }
  }

  /// In units of 10^-digits. A fraction that whole numbers are compared with moves to the next whole number that decides alike.
  private func threshold(
    _ section: Section, _ aggregation: BehavioralDetection.Aggregation?, digits: Int, _ comparison: inout Comparison?
  ) -> Int64? {
    let most: Int64 = 1_000_000_000_000
    let isSigned = aggregation == .sum || aggregation == .avg || aggregation == .max
    if digits > 0 {
      let scale: Int64 = digits == 3 ? 1 : 1_000_000
      return section.decimal("threshold", digits: digits, in: (isSigned ? -most * scale : 0)...most * scale, isRequired: true)
    }
    guard let text = section.node("threshold")?.text, fixedPoint(text, digits: 0) == nil, let value = fixedPoint(text, digits: 6) else {
      return section.integer("threshold", in: (isSigned ? -most : 0)...most, isRequired: true)
    }
    guard value >= 0, value <= most * 1_000_000, let word = comparison else {
      return section.integer("threshold", in: 0...most, isRequired: true)  // reports it
    }
    switch word {
    case .gt, .gte: comparison = .gt
    case .lt, .lte: comparison = .lte
    case .eq: problems.error(section.location(of: "threshold"), "'\(text)' is no whole number, so nothing could equal it")
    }
    return value / 1_000_000
  }

  // MARK: Baseline

  private func baseline(_ section: Section, digits: Int, window: Nanoseconds?) -> BehavioralDetection.Baseline? {
    guard let inner = section.section("baseline", isRequired: true) else { return nil }
    inner.refuseUnknownKeys(["source", "lookback", "percentile", "value", "deviation_unit"])
    let source = inner.choice("source", BehavioralDetection.Baseline.Source.self, isRequired: true)
    let unit = inner.choice("deviation_unit", BehavioralDetection.Baseline.Unit.self, isRequired: true)
    guard let source, let unit else { return nil }
    var baseline = BehavioralDetection.Baseline(source: source, unit: unit)
    if source == .fixed {
      if unit == .stddev {
        problems.error(inner.location(of: "deviation_unit"), "a fixed baseline has no standard deviation", hint: "write deviation_unit: fraction")
      }
      baseline.value = inner.decimal("value", digits: digits, in: -1_000_000_000_000...1_000_000_000_000, isRequired: true) ?? 0
      return baseline
    }
    if source == .hour_of_week {
      if !isHostRule { problems.error(inner.location(of: "source"), "only rules about a host can ask for the host's own baseline") }
      if unit == .fraction {
        problems.error(inner.location(of: "deviation_unit"), "the host's baseline tells standard deviations", hint: "write deviation_unit: stddev")
      }
      return baseline
    }
    baseline.lookback = inner.duration("lookback", isRequired: true)
    if let lookback = baseline.lookback, let window, window.count > 0 { check(lookback, window, inner) }
    if source == .historical_percentile {
      baseline.percentile = inner.decimal("percentile", digits: 3, in: 1...99_999, isRequired: true) ?? 0
    }
    return baseline
  }
  private func check(_ lookback: Nanoseconds, _ window: Nanoseconds, _ section: Section) {
    let slots = lookback.count / window.count
    // Two windows are never history yet, and fewer samples than the least say nothing.
    if slots < Limits.baselineSamples + 2 {
      problems.error(
        section.location(of: "lookback"), "a lookback of \(lookback) holds \(slots) windows of \(window), too few for a baseline",
        hint: "it needs at least \(Limits.baselineSamples + 2)")
    } else if slots > Limits.baselineSlots {
      problems.error(
        section.location(of: "lookback"), "a lookback of \(lookback) holds \(slots) windows of \(window), more than \(Limits.baselineSlots)",
        hint: "widen the window or shorten the lookback")
    }
  }
}
