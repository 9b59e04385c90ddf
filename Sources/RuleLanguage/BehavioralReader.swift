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

    let aggregations = BehavioralDetection.Aggregation.allCases.map(\.rawValue) + ["avg"]
    let aggregationWord = section.word("aggregation", of: aggregations, isRequired: true)
    let comparisonWord = section.word("operator", of: Comparison.allCases.map(\.rawValue) + ["deviation_from_baseline"], isRequired: true)
    let isSkipped = aggregationWord == "avg" || comparisonWord == "deviation_from_baseline"
    let aggregation = aggregationWord.flatMap(BehavioralDetection.Aggregation.init(rawValue:))
    let comparison = comparisonWord.flatMap(Comparison.init(rawValue:))

    let metric = section.text("metric", isRequired: true)
    var metricField: FieldReference?
    if let metric, let aggregation, [.sum, .max, .distinct_count].contains(aggregation) {
      metricField = conditions.field(metric, at: section.location(of: "metric"))
      if case .known(let field)? = metricField, field.kind != .integer, aggregation != .distinct_count {
        problems.error(section.location(of: "metric"), "'\(metric)' is not an integer field, so it has no \(aggregation.rawValue)")
      }
    }
    let window = section.duration("window", isRequired: true)
    var threshold: Int64?
    if isSkipped {
      if !section.has("threshold") { problems.error(section.location, "'\(section.qualified("threshold"))' is missing") }
    } else if aggregation == .rate {
      threshold = section.decimal("threshold", digits: 3, in: 0...1_000_000_000_000, isRequired: true)
    } else {
      threshold = section.integer("threshold", in: 0...1_000_000_000_000, isRequired: true)
    }
    if let threshold, let comparison, aggregation == .distinct_count {
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
    if comparisonWord != "deviation_from_baseline", section.has("baseline") {
      problems.warning(section.location(of: "baseline"), "'baseline' means nothing without operator: deviation_from_baseline")
    }

    guard problems.errorCount == errorsBefore else { return nil }
    if let reason = conditions.foreignReason { return .skipped(method: "behavioral", reason: reason) }
    if aggregationWord == "avg" {
      return .skipped(method: "behavioral", reason: "aggregation avg is not supported: it needs fractions; use sum, max or rate")
    }
    if comparisonWord == "deviation_from_baseline" {
      return .skipped(method: "behavioral", reason: "operator deviation_from_baseline needs a behavioural baseline, which this version has not")
    }
    guard let metric, let aggregation, let comparison, let window, let threshold else { return nil }
    let hasAddress = groupBy.contains(.known(.sourceIP))
    return .behavioral(
      BehavioralDetection(
        metric: metric, metricField: metricField, aggregation: aggregation, window: window, comparison: comparison, threshold: threshold,
        groupBy: groupBy, groupsIPv6ByNetwork: hasAddress && groupsIPv6ByNetwork ?? true, filter: filter,
        filterExpression: .all(filter.indices.map { .condition($0) }), minEvents: minEvents, cooldown: cooldown))
  }
}
