// `panguard rules eval`: events as JSON lines in, the rules that match each of them out. State (windows, correlations) runs on from
// line to line, as it would in the daemon.
import Detection
import Events
import Primitives
import RuleEngine
import RuleLanguage

public struct RuleEvaluator: ~Copyable {
  private let ruleSet: RuleSet
  private var engine: RuleEngine
  private var event = Event()
  private var matches: [RuleMatch] = []
  private var lineNumber: UInt64 = 0
  private var droppedBefore: UInt64 = 0
  /// Ids of the rules that the last line left undecided.
  public internal(set) var undecidedRules: [String] = []
  /// Rules that would run if this engine had their method; named in each line of output.
  public let skipped: [SkippedRule]

  public init(_ ruleSet: RuleSet, cachedDatabase: [UInt8]? = nil) {
    self.ruleSet = ruleSet
    skipped = SkippedRule.all(in: ruleSet)
    engine = RuleEngine(ruleSet, cachedDatabase: cachedDatabase)
  }

  /// With what is known about the patterns from the cache in `cacheDirectory`; what is not there is put there.
  public init(_ rules: LoadedRules, cacheDirectory: String?) {
    self.init(rules.set, cachedDatabase: RuleStore.cachedDatabase(for: rules, in: cacheDirectory))
    if !engine.usedCachedDatabase, let database = engine.serializedDatabase() { RuleStore.cache(database, for: rules, in: cacheDirectory) }
  }

  /// One line `{"id":..,"event":{..}}` in, one line `{"id":..,"matches":[..]}` out. The id is passed through as it is written; a line
  /// without one gets its number. A line with `atr.rule_id`, alone or as the event, is a recorded match: it feeds correlations, and what it
  /// completes is what matches. Throws JSONError where the line is not of that form.
  public mutating func evaluate(line: Bytes) throws -> [UInt8] {
    lineNumber += 1
    var id: Bytes?
    var body: Bytes?
    try JSONMembers.forEach(of: line) { key, value in
      if key.equals("id") { id = value } else if key.equals("event") { body = value }
    }
    if body == nil, MatchStream.ruleID(of: line) != nil { body = line }
    guard let body else { throw JSONError(offset: 0, message: "no \"event\" member") }
    let previous = event.time
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: lineNumber, length: 0))
    event.time = previous
    try event.setFields(fromAgentJSON: body)
    if let recorded = MatchStream.ruleID(of: event) {
      engine.evaluate(matchOf: recorded, event, at: event.time, into: &matches)
    } else {
      engine.evaluate(event, at: event.time, into: &matches)
    }
    var json = JSONWriter()
    json.beginObject()
    json.key("id")
    if let id { json.raw(Array(String(decoding: id, as: UTF8.self).utf8)) } else { json.value(lineNumber) }
    json.key("matches")
    json.beginArray()
    for match in matches {
      let rule = ruleSet.rules[match.rule]
      json.beginObject()
      json.key("rule_id")
      json.value(rule.id)
      json.key("severity")
      json.value(rule.severity.rawValue)
      json.key("matched")
      json.beginArray()
      for name in rule.selectorNames(of: match.conditions) { json.value(name) }
      json.endArray()
      RuleEvaluator.write(match.details, of: rule, to: &json)
      if match.threshold > 1 || match.observed > 1 {
        json.key("observed")
        json.value(match.observed)
        json.key("threshold")
        json.value(match.threshold)
      }
      appendRest(match, to: &json)
      json.endObject()
    }
    json.endArray()
    writeErrors(to: &json)
    if !skipped.isEmpty { SkippedRule.write(skipped, to: &json) }
    appendEvictions(to: &json)
    if event.isTruncated {
      json.key("truncated")
      json.value(true)
    }
    json.endObject()
    return json.out
  }

  /// Rules that could not be decided since the last call: a limit was hit, or the event is not what they need. At most
  /// `Limits.limitRecords` and `Limits.gracefulErrors`; `droppedErrors` counts the rest.
  mutating func takeGracefulErrors() -> [(ruleID: String, message: String)] {
    engine.takeLimitRecords().map { (ruleSet.rules[$0.rule].id, RuleEvaluator.limitMessage) }
      + engine.takeGracefulErrors().map { (ruleSet.rules[$0.rule].id, $0.message) }
  }
  static let limitMessage = "a limit was hit while a pattern was matched"
  /// Since the last call.
  mutating func takeDroppedErrors() -> UInt64 {
    let counters = engine.errorsDropped
    defer { droppedBefore = counters }
    return counters - droppedBefore
  }

  /// What only some matches have.
  private func appendRest(_ match: RuleMatch, to json: inout JSONWriter) {
    if !match.chain.isEmpty {
      json.key("evidence.upstream_chain")
      json.beginArray()
      for part in match.chain { json.value(part.eventID) }
      json.endArray()
      let message = ChainMessage(ruleSet.rules[match.rule]).text(match)
      if !message.isEmpty {
        json.key("message")
        json.value(message)
      }
    }
    if !ruleSet.profiles.isEmpty {
      json.key("profiles")
      json.beginArray()
      for name in ruleSet.profileNames(match.profiles) { json.value(name) }
      json.endArray()
    }
  }

  private mutating func appendEvictions(to json: inout JSONWriter) {
    guard engine.hasEvictionRecords else { return }
    json.key("events")
    json.beginArray()
    for record in engine.takeEvictionRecords() {
      json.beginObject()
      json.key("event")
      json.value("correlation_state_evicted")
      json.key("rule_id")
      json.value(ruleSet.rules[record.rule].id)
      json.key("matches")
      json.value(record.matchCount)
      json.endObject()
    }
    json.endArray()
  }
}
