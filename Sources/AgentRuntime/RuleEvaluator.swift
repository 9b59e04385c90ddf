// `panguard rules eval`: events as JSON lines in, the rules that match each of them out. State (windows, correlations) runs on from
// line to line, as it would in the daemon.
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

  public init(_ ruleSet: RuleSet, cachedDatabase: [UInt8]? = nil) {
    self.ruleSet = ruleSet
    engine = RuleEngine(ruleSet, cachedDatabase: cachedDatabase)
  }

  /// With what is known about the patterns from the cache in `cacheDirectory`; what is not there is put there.
  public init(_ rules: LoadedRules, cacheDirectory: String?) {
    self.init(rules.set, cachedDatabase: RuleStore.cachedDatabase(for: rules, in: cacheDirectory))
    if !engine.usedCachedDatabase, let database = engine.serializedDatabase() { RuleStore.cache(database, for: rules, in: cacheDirectory) }
  }

  /// One line `{"id":..,"event":{..}}` in, one line `{"id":..,"matches":[..]}` out. The id is passed through as it is written; a line
  /// without one gets its number. Throws JSONError where the line is not of that form.
  public mutating func evaluate(line: Bytes) throws -> [UInt8] {
    lineNumber += 1
    var id: Bytes?
    var body: Bytes?
    try JSONMembers.forEach(of: line) { key, value in
      if key.equals("id") { id = value } else if key.equals("event") { body = value }
    }
    guard let body else { throw JSONError(offset: 0, message: "no \"event\" member") }
    let previous = event.time
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: lineNumber, length: 0))
    event.time = previous
    try event.setFields(fromAgentJSON: body)
    engine.evaluate(event, at: event.time, into: &matches)
    var json = JSONWriter()
    json.beginObject()
    json.key("id")
    if let id { json.raw(Array(id)) } else { json.value(lineNumber) }
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
      if case .pattern(let conditions, _) = rule.detection { for index in match.conditions { json.value(conditions[index].name) } }
      json.endArray()
      RuleEvaluator.write(match.details, of: rule, to: &json)
      if match.threshold > 1 || match.observed > 1 {
        json.key("observed")
        json.value(match.observed)
        json.key("threshold")
        json.value(match.threshold)
      }
      json.endObject()
    }
    json.endArray()
    writeErrors(to: &json)
    json.endObject()
    return json.out
  }

  mutating func takeGracefulErrors() -> [(ruleID: String, message: String)] {
    engine.takeGracefulErrors().map { (ruleSet.rules[$0.rule].id, $0.message) }
  }
}
