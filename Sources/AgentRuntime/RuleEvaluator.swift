// `panguard rules eval`: events as JSON lines in, the rules that match each of them out. State (windows, correlations) runs on from
// line to line, as it would in the daemon.
import Detection
import Events
import Primitives
import RuleEngine
import RuleLanguage

public struct RuleEvaluator: ~Copyable {
  let ruleSet: RuleSet
  private var engine: RuleEngine
  var event = Event()
  var matches: [RuleMatch] = []
  private(set) var lineNumber: UInt64 = 0
  private var droppedBefore: UInt64 = 0
  private var encoded: EncodedRules
  /// Ids of the rules that the last line left undecided.
  public internal(set) var undecidedRules: [String] = []
  /// Rules that would run if this engine had their method; named in each line of output.
  public let skipped: [SkippedRule]
  private let encodedSkipped: [UInt8]

  public init(_ ruleSet: RuleSet, cachedDatabase: [UInt8]? = nil) {
    self.ruleSet = ruleSet
    encoded = EncodedRules(count: ruleSet.rules.count)
    skipped = SkippedRule.all(in: ruleSet)
    encodedSkipped = SkippedRule.encode(skipped)
    engine = RuleEngine(ruleSet, cachedDatabase: cachedDatabase)
  }

  /// With what is known about the patterns from the cache in `cacheDirectory`; what is not there is put there.
  public init(_ rules: LoadedRules, cacheDirectory: String?) {
    self.init(rules.set, cachedDatabase: RuleStore.cachedDatabase(for: rules, in: cacheDirectory))
    if !engine.usedCachedDatabase, let database = engine.serializedDatabase() { RuleStore.cache(database, for: rules, in: cacheDirectory) }
  }

  /// One line `{"id":..,"event":{..}}` in, one line `{"id":..,"matches":[..]}` out. The id is passed through as it is written; a line
  /// without one gets its number: `number`, else one more than the line before had. A line with `atr.rule_id`, alone or as the event, is a
  /// recorded match: it feeds correlations, and what it completes is what matches. Throws JSONError where the line is not of that form.
  public mutating func evaluate(line: Bytes, number: UInt64? = nil) throws -> [UInt8] {
    let id = try evaluateEvent(line, number)
    var json = JSONWriter()
    json.beginObject()
    json.key("id")
    if let id { RuleEvaluator.write(id: id, to: &json) } else { json.value(lineNumber) }
    json.key("matches")
    json.beginArray()
    for match in matches {
      json.beginObject()
      appendConstants(match, to: &json)
      appendDetails(match, to: &json)
      json.endObject()
    }
    json.endArray()
    writeErrors(to: &json)
    if !skipped.isEmpty { json.raw(encodedSkipped) }
    appendEvictions(to: &json)
    appendTruncation(to: &json)
    json.endObject()
    return json.out
  }
  func appendTruncation(to json: inout JSONWriter) {
    guard event.isTruncated else { return }
    json.key("truncated")
    json.value(true)
  }

  /// Makes `event` and `matches` those of the line; returns its id as it is written.
  mutating func evaluateEvent(_ line: Bytes, _ number: UInt64?) throws -> Bytes? {
    lineNumber = number ?? lineNumber + 1
    let read = try EventLine(line)
    var body = read.event
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
    return read.id
  }

  /// What each match has: the rule and the names of the conditions that held.
  private mutating func appendConstants(_ match: RuleMatch, to json: inout JSONWriter) {
    let rule = encoded.rule(match.rule, in: ruleSet)
    encoded.bytes.withUnsafeBytes { json.value(json: Bytes(rebasing: $0[rule.members])) }
    json.key("matched")
    json.beginArray()
    if rule.hasSelectors {
      for name in ruleSet.rules[match.rule].selectorNames(of: match.conditions) { json.value(name) }
    } else if rule.hasConditions {
      for index in match.conditions {
        let name = encoded.conditions[rule.firstCondition + index]
        encoded.bytes.withUnsafeBytes { json.value(json: Bytes(rebasing: $0[name])) }
      }
    }
    json.endArray()
  }
  /// As it is written; bytes that are not UTF-8 become U+FFFD.
  static func write(id: Bytes, to json: inout JSONWriter) {
    if id.allSatisfy({ $0 < 0x80 }) { json.raw(Array(id)) } else { json.raw(Array(String(decoding: id, as: UTF8.self).utf8)) }
  }

  /// The answer to a line that is no event: with its id where that can be read.
  public static func refusal(of line: Bytes, number: UInt64) -> [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    json.key("id")
    if let id = EventLine.id(of: line) { write(id: id, to: &json) } else { json.null() }
    json.key("error")
    json.value("not an event")
    json.key("line")
    json.value(number)
    json.key("matches")
    json.beginArray()
    json.endArray()
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
  func appendDetails(_ match: RuleMatch, to json: inout JSONWriter) {
    // Most matches have none of it, and a rule is much to copy.
    if !match.details.isNone || ruleSet.rules[match.rule].fallbackOf != nil {
      RuleEvaluator.write(match.details, of: ruleSet.rules[match.rule], to: &json)
    }
    if match.threshold > 1 || match.observed > 1 || ruleSet.rules[match.rule].isMeasured {
      json.key("observed")
      json.value(ruleSet.rules[match.rule].observed(match.observed))
      json.key("threshold")
      json.value(ruleSet.rules[match.rule].threshold(match.threshold))
    }
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

  mutating func appendEvictions(to json: inout JSONWriter) {
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

/// The parts of a match's JSON that only depend on the rule, made when it first matches. All in one piece: what has no array of its own costs no
/// reference count each time.
private struct EncodedRules {
  struct EncodedRule {
    /// `"rule_id":..,"severity":..` in `bytes`.
    var members: Range<Int>
    /// Names of a pattern rule's conditions, quoted, from this one of `conditions` on; other rules have none.
    var firstCondition: Int
    var hasConditions = false
    /// What is named is not single conditions.
    var hasSelectors: Bool
  }
  private(set) var bytes: [UInt8] = []
  private(set) var conditions: [Range<Int>] = []
  private var rules: [EncodedRule?]

  init(count: Int) { rules = Array(repeating: nil, count: count) }

  mutating func rule(_ index: Int, in set: RuleSet) -> EncodedRule {
    if let known = rules[index] { return known }
    let rule = set.rules[index]
    var json = JSONWriter(reserving: 128)
    json.key("rule_id")
    json.value(rule.id)
    json.key("severity")
    json.value(rule.severity.rawValue)
    var made = EncodedRule(members: append(json.out), firstCondition: conditions.count, hasSelectors: !rule.selectors.isEmpty)
    if case .pattern(let list, _) = rule.detection {
      made.hasConditions = true
      for condition in list {
        var name = JSONWriter(reserving: 64)
        name.value(condition.name)
        conditions.append(append(name.out))
      }
    }
    rules[index] = made
    return made
  }
  private mutating func append(_ text: [UInt8]) -> Range<Int> {
    bytes += text
    return bytes.count - text.count..<bytes.count
  }
}
