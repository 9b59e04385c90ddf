// A correlation document's `source_rules` and `correlation_logic` (spec/atr-correlation-v1.0.md) -> CorrelationDetection.
// The spec leaves the keys of four types and two windows open; those that are accepted here stand in docs/atr-host-profile.md.
import Events
import Primitives
import TypedYAML

struct CorrelationReader {
  let problems: Problems
  let isHostRule: Bool
  static let sourceLimit = 16
  static let sequenceLimit = 16

  enum LogicType: String, CaseIterable {
    case temporal_sequence, temporal_unordered, count_threshold, value_overlap, chain_propagation
  }
  enum WindowType: String, CaseIterable {
    case wall_time, session_chain, chain_depth, unbounded
  }

  /// nil where there were errors. The exact ids that are named, with their places, are for the loader to resolve.
  func read(_ document: Section) -> (detection: Detection?, sources: [(id: String, location: SourceLocation)]) {
    let errorsBefore = problems.errorCount
    var sources: [(id: String, location: SourceLocation)] = []
    let sourceRules = readSources(document, &sources)
    guard let logic = document.section("correlation_logic", isRequired: true) else { return (nil, sources) }
    logic.refuseUnknownKeys([
      "type", "sequence", "aliases", "alias", "source", "count", "threshold", "field", "overlap_field", "join_keys", "window",
    ])
    let type = logic.choice("type", LogicType.self, isRequired: true)
    let window = readWindow(logic, type)
    var joinKeys = logic.textNodes("join_keys").compactMap { node in node.text.flatMap { joinKey($0, at: node.location) } }
    if case .sessionChain = window, !joinKeys.contains(where: { $0 != .session }) {
      problems.warning(
        logic.location(of: "join_keys"), "a session_chain needs a key that stays the same over sessions and is joined by agent.id",
        hint: "add agent.id or memory.store_id to join_keys")
      joinKeys.append(.known(.agentID))
    }
    let parsed = type.flatMap { readLogic($0, logic, sourceRules) }
    let response = document.section("response")
    let template = response?.text("message_template") ?? ""
    guard problems.errorCount == errorsBefore, let parsed, let window else { return (nil, sources) }
    var detection = CorrelationDetection(sourceRules: sourceRules, logic: parsed, joinKeys: joinKeys, window: window)
    detection.messageTemplate = template
    if let response { checkTemplate(detection, response.location(of: "message_template")) }
    return (.correlation(detection), sources)
  }

  /// A placeholder of a source that takes no part in a match stays in the message as it is written.
  private func checkTemplate(_ detection: CorrelationDetection, _ location: SourceLocation) {
    let taking: [String]
    var isEachTaking = true
    switch detection.logic {
    case .temporalSequence(let aliases), .temporalUnordered(let aliases): taking = aliases
    case .countThreshold(let alias, _): taking = [alias]
    case .valueOverlap(let aliases, _):
      taking = aliases
      isEachTaking = aliases.count <= 2
    case .chainPropagation(let aliases, _, _): taking = aliases
    }
    for placeholder in detection.messageTemplate.split(separator: "{", omittingEmptySubsequences: false).dropFirst().compactMap({
      $0.split(separator: "}").first
    }).prefix(64) {
      guard let dot = placeholder.lastIndex(of: ".") else { continue }
      let alias = String(placeholder[..<dot])
      let property = placeholder[placeholder.index(after: dot)...]
      let isKnown = detection.sourceRules.contains { $0.alias == alias }
      let isProperty = ["event_id", "rule_id", "timestamp"].contains(property)
      guard isKnown || isProperty, !detection.joinKeys.contains(where: { $0.description == placeholder }) else { continue }
      let problem: String
      if !isKnown {
        problem = "no source has the alias '\(shown(alias))'"
      } else if !isProperty {
        problem = "a source has event_id, rule_id and timestamp"
      } else if !taking.contains(alias) {
        problem = "'\(shown(alias))' takes no part in a match"
      } else if !isEachTaking {
        problem = "'\(shown(alias))' need not take part in a match"
      } else {
        continue
      }
      problems.warning(location, "'{\(shown(String(placeholder)))}' stays as it is in the message: \(problem)")
    }
  }

  /// A path into arrays is free; a plain name is checked like that of a condition.
  private func joinKey(_ path: String, at location: SourceLocation) -> JoinKey? {
    guard path.utf8.count <= 256, let key = JoinKey(path: path) else {
      problems.error(location, "'\(shown(path))' is not a join key", hint: "write a field name or a path such as agent.delegation_chain[*].agent_id")
      return nil
    }
    if key.steps.isEmpty, ConditionReader(problems: problems, isHostRule: isHostRule).field("\(key.field)", at: location) == nil { return nil }
    return key
  }

  private func readSources(
    _ document: Section, _ ids: inout [(id: String, location: SourceLocation)]
  ) -> [CorrelationDetection.SourceRule] {
    guard let items = document.list("source_rules", isRequired: true) else { return [] }
    if items.isEmpty || items.count > Self.sourceLimit {
      problems.error(document.location(of: "source_rules"), "'source_rules' must have 1 to \(Self.sourceLimit) rules, not \(items.count)")
      return []
    }
    var sources: [CorrelationDetection.SourceRule] = []
    for (i, item) in items.enumerated() {
      guard let section = Section(item, path: "source_rules[\(i + 1)]", problems: problems) else { continue }
      section.refuseUnknownKeys(["alias", "rule_id", "rule_id_pattern", "description"])
      let alias = section.text("alias", isRequired: true)
      let exact = section.text("rule_id")
      let pattern = section.text("rule_id_pattern")
      if (exact == nil) == (pattern == nil) {
        problems.error(section.location, "'\(section.path)' needs either rule_id or rule_id_pattern")
        continue
      }
      guard let alias else { continue }
      if sources.contains(where: { $0.alias == alias }) {
        problems.error(section.location(of: "alias"), "alias '\(shown(alias))' is used twice")
        continue
      }
      if let exact {
        if exact.contains("*") || exact.contains("?") {
          problems.error(section.location(of: "rule_id"), "'\(shown(exact))' is a pattern", hint: "write it as rule_id_pattern")
        } else {
          ids.append((exact, section.location(of: "rule_id")))
        }
      }
      sources.append(CorrelationDetection.SourceRule(alias: alias, ruleIDPattern: exact ?? pattern ?? ""))
    }
    return sources
  }

  private func readLogic(
    _ type: LogicType, _ logic: Section, _ sources: [CorrelationDetection.SourceRule]
  ) -> CorrelationDetection.Logic? {
    let known = sources.map(\.alias)
    switch type {
    case .temporal_sequence:
      let aliases = readAliases("sequence", logic, known, isRequired: true)
      if aliases.count == 1 || aliases.count > Self.sequenceLimit {
        problems.error(logic.location(of: "sequence"), "'sequence' must have 2 to \(Self.sequenceLimit) steps, not \(aliases.count)")
      }
      return .temporalSequence(aliases)
    case .temporal_unordered: return .temporalUnordered(readSet(logic, known, "temporal_unordered"))
    case .value_overlap:
      let aliases = readSet(logic, known, "value_overlap")
      let key = logic.has("overlap_field") && !logic.has("field") ? "overlap_field" : "field"
      guard let name = logic.text(key, isRequired: true), let field = joinKey(name, at: logic.location(of: key)) else { return nil }
      return .valueOverlap(aliases, field: field)
    case .count_threshold:
      let key = logic.has("alias") ? "alias" : "source"
      var alias = logic.text(key)
      if let named = alias {
        check(named, known, logic.location(of: key))
      } else if known.count == 1 {
        alias = known[0]
      } else if !known.isEmpty {
        problems.error(logic.location, "count_threshold counts one rule, but 'source_rules' has \(known.count)", hint: "name it with 'alias'")
      }
      let countKey = logic.has("threshold") && !logic.has("count") ? "threshold" : "count"
      guard let count = logic.integer(countKey, in: 1...Int64(Limits.entriesPerGroup), isRequired: true), let alias else { return nil }
      return .countThreshold(alias: alias, count: Int(count))
    case .chain_propagation:
      let isOrdered = logic.has("sequence")
      let key = isOrdered ? "sequence" : "aliases"
      let aliases = logic.has(key) ? readAliases(key, logic, known, isRequired: false) : known
      if aliases.count > Self.sequenceLimit {
        problems.error(logic.location(of: key), "chain_propagation takes up to \(Self.sequenceLimit) rules, not \(aliases.count)")
      }
      let count = logic.integer("count", in: 2...Int64(Limits.correlationGraphMatches)) ?? 2
      return .chainPropagation(aliases, isOrdered: isOrdered, count: aliases.count > 1 ? aliases.count : Int(count))
    }
  }
  /// The aliases that take part: those listed, or all.
  private func readSet(_ logic: Section, _ known: [String], _ type: String) -> [String] {
    let key = logic.has("aliases") ? "aliases" : "sequence"
    let aliases = logic.has(key) ? readAliases(key, logic, known, isRequired: false) : known
    let distinct = aliases.reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
    if distinct.count < 2, !known.isEmpty { problems.error(logic.location(of: key), "\(type) needs at least 2 different rules") }
    return distinct
  }
  private func readAliases(_ key: String, _ logic: Section, _ known: [String], isRequired: Bool) -> [String] {
    guard let items = logic.list(key, isRequired: isRequired) else { return [] }
    if items.isEmpty { problems.error(logic.location(of: key), "'\(logic.qualified(key))' is empty") }
    var aliases: [String] = []
    for (i, item) in items.enumerated() {
      var alias = item.text
      var place = item.location
      if alias == nil, let step = Section(item, path: "\(logic.qualified(key))[\(i + 1)]", problems: problems) {
        step.refuseUnknownKeys(["alias", "description"])
        alias = step.text("alias", isRequired: true)
        place = step.location(of: "alias")
      }
      guard let alias else { continue }
      check(alias, known, place)
      aliases.append(alias)
    }
    return aliases
  }
  private func check(_ alias: String, _ known: [String], _ location: SourceLocation) {
    guard !known.contains(alias) else { return }
    problems.error(location, "no source rule has the alias '\(shown(alias))'", hint: problems.suggestion(for: alias, in: known))
  }

  /// A duration alone is a wall time. chain_propagation may do without: then its references alone bound it.
  private func readWindow(_ logic: Section, _ logicType: LogicType?) -> CorrelationDetection.Window? {
    if logic.node("window")?.text != nil { return logic.duration("window").map { .wallTime($0) } }
    if logicType == .chain_propagation, !logic.has("window") { return .unbounded }
    guard let window = logic.section("window", isRequired: true) else { return nil }
    window.refuseUnknownKeys(["type", "duration", "max_wall_time", "value", "max_session_count", "max_depth", "max_hops"])
    let errorsBefore = problems.errorCount
    let type = window.choice("type", WindowType.self) ?? .wall_time
    let timeKey = ["duration", "max_wall_time", "value"].first(where: window.has)
    func time() -> Nanoseconds? { timeKey.flatMap { window.duration($0) } }
    func count(_ keys: [String], _ limit: Int) -> Int? {
      window.integer(keys.first(where: window.has) ?? keys[0], in: 1...Int64(limit), isRequired: true).map { Int($0) }
    }
    let read: CorrelationDetection.Window?
    switch type {
    case .wall_time: read = window.duration(timeKey ?? "duration", isRequired: true).map { .wallTime($0) }
    case .session_chain: read = count(["max_session_count"], Limits.correlationSessions).map { .sessionChain(sessions: $0, wallTime: time()) }
    case .chain_depth: read = count(["max_depth", "max_hops"], Limits.correlationGraphMatches).map { .chainDepth(hops: $0, wallTime: time()) }
    case .unbounded:
      if let timeKey { problems.error(window.location(of: timeKey), "a window that is unbounded has no '\(timeKey)'") }
      read = .unbounded
    }
    return problems.errorCount == errorsBefore ? read : nil
  }
}

extension CorrelationDetection.Logic {
  /// Those whose matches take part.
  var aliases: [String] {
    switch self {
    case .temporalSequence(let aliases), .temporalUnordered(let aliases), .valueOverlap(let aliases, _), .chainPropagation(let aliases, _, _): aliases
    case .countThreshold(let alias, _): [alias]
    }
  }
}
