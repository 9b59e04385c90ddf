// The engine's side of correlations: which values join a match, under which names it is referred to, and where it goes.
// What must stay true: a match goes only into correlations that run under a profile which it was found under; a recorded match feeds
// correlations as if its rule had just matched, and nothing else.
import Events
import Primitives
import RuleLanguage

extension RuleEngine {
  /// Feeds a match that was recorded elsewhere (an ATR event with `atr.rule_id`): `ruleID` matched on `event`, which is not searched again.
  /// `matches` gets the correlations that it completes. The rule need not be loaded.
  public mutating func evaluate(matchOf ruleID: String, _ event: borrowing Event, at time: EventTime, into matches: inout [RuleMatch]) {
    matches.removeAll(keepingCapacity: true)
    base.events &+= 1
    if time.nanoseconds < newestTime { base.lateEvents &+= 1 } else { newestTime = time.nanoseconds }
    if !eventLines.isEmpty { forgetLines() }
    let rule = compiled.ruleSet.rules.firstIndex { $0.id == ruleID } ?? -1
    matches.append(
      RuleMatch(
        rule: rule, conditions: [], group: [], observed: 1, threshold: 1, firstTime: time, lastTime: time, evidence: [],
        evidenceTotal: UInt64(event.evidence.count + 1), trust: event.trust,
        profiles: rule >= 0 ? compiled.profiles[rule] : compiled.ruleSet.profiles.isEmpty ? .max : 0))
    correlate(event, time, &matches, recorded: ruleID)
    matches.removeFirst()
    base.matches &+= UInt64(matches.count)
  }

  /// `correlation_state_evicted`, since the last call, oldest first; at most `Limits.limitRecords`, the rest is counted.
  public mutating func takeEvictionRecords() -> [EvictionRecord] { compiled.evictionLog.take() }
  public var hasEvictionRecords: Bool { !compiled.evictionLog.isEmpty }

  /// Each match goes to the correlations that wait for its rule; what completes is a match itself and goes the same way.
  /// `recorded`: the rule of the first match, which was found elsewhere.
  mutating func correlate(_ event: borrowing Event, _ time: EventTime, _ matches: inout [RuleMatch], recorded: String? = nil) {
    var at = 0
    while at < matches.count {
      let isRecorded = at == 0 && recorded != nil
      let ruleID = isRecorded ? recorded ?? "" : compiled.ruleSet.rules[matches[at].rule].id
      for (number, places) in isRecorded ? subscriptions(ofRecorded: ruleID) : compiled.subscriptions[matches[at].rule] {
        let correlator = compiled.correlators[number]
        guard matches[at].profiles & correlator.profiles != 0 else { continue }
        var session: Fingerprint?
        if correlator.followsSessions {
          guard let value = joinValue(JoinKey.session.field, matches[at], event) else { continue }
          session = Array(value.utf8).withUnsafeBytes { Fingerprint(of: $0) }
        }
        if correlator.joinsByPath {
          for values in combinations(correlator, matches[at], event) {
            let contribution = contribution(of: matches[at], ruleID, correlator, event, isRecorded: isRecorded)
            guard let chain = correlator.add(contribution, places: places, key: key(of: values), session: session) else { continue }
            conclude(chain, correlator, values, after: at, time, &matches)
          }
        } else if let key = joinKey(correlator, matches[at], event) {
          let contribution = contribution(of: matches[at], ruleID, correlator, event, isRecorded: isRecorded)
          guard let chain = correlator.add(contribution, places: places, key: key, session: session) else { continue }
          var values: [String] = []
          for field in correlator.joinFields { values.append(joinValue(field.field, matches[at], event) ?? "") }
          conclude(chain, correlator, values, after: at, time, &matches)
        }
      }
      at += 1
    }
  }

  private mutating func subscriptions(ofRecorded id: String) -> [(correlator: Int, places: [Int])] {
    if let known = recordedSubscriptions[id] { return known }
    let found = compiled.correlators.indices.compactMap { number -> (correlator: Int, places: [Int])? in
      let correlator = compiled.correlators[number]
      guard rules[correlator.rule].kind == .correlation, compiled.ruleSet.rules[correlator.rule].id != id else { return nil }
      return correlator.subscription(forRule: id).map { (number, $0) }
    }
    if recordedSubscriptions.count < Limits.recordedRules { recordedSubscriptions[id] = found }
    return found
  }

  /// A completed chain is a match of its correlation. The same matches, found under another profile or by another value that they
  /// share, are the same match.
  private mutating func conclude(
    _ chain: CompletedChain, _ correlator: Correlator, _ values: [String], after at: Int, _ time: EventTime, _ matches: inout [RuleMatch]
  ) {
    let parts = chain.parts.map {
      ChainPart(
        alias: $0.alias, ruleID: $0.contribution.ruleID, eventID: $0.contribution.eventID, time: EventTime(nanoseconds: $0.contribution.firstTime))
    }
    if let same = matches.indices.last(where: { $0 > at && matches[$0].rule == correlator.rule && matches[$0].chain == parts }) {
      matches[same].profiles |= correlator.profiles
      return
    }
    let contributions = chain.contributions
    var match = RuleMatch(
      rule: correlator.rule, conditions: [], group: Array(zip(correlator.joinFields.map(\.field), values)),
      observed: Int64(contributions.count), threshold: chain.needed,
      firstTime: EventTime(nanoseconds: contributions.map(\.firstTime).min() ?? time.nanoseconds), lastTime: time,
      evidence: EvidenceList.ordered(contributions.flatMap(\.evidence)), evidenceTotal: contributions.reduce(0) { $0 &+ $1.evidenceTotal },
      trust: contributions.map(\.trust).min() ?? .claimed, profiles: correlator.profiles)
    match.chain = parts
    matches.append(match)
  }

  private mutating func contribution(
    of match: RuleMatch, _ ruleID: String, _ correlator: Correlator, _ event: borrowing Event, isRecorded: Bool
  ) -> Contribution {
    var evidence = match.evidence
    if isRecorded || rules[match.rule].kind == .pattern {
      readLines(event)
      evidence = orderedLines
    }
    var contribution = Correlator.contribution(of: match, ruleID: ruleID, evidence: evidence)
    // What a correlation found is a match of its own: the event's names are those of its last part.
    let isOwnEvent = isRecorded || rules[match.rule].kind != .correlation
    let given = isOwnEvent ? event.extra(Bytes("atr.event_id")) : nil
    let other = isOwnEvent ? event.extra(Bytes("event.id")) : nil
    if let name = given ?? other, name.count <= Limits.subjectBytes { contribution.givenID = name.string }
    guard correlator.isLinked else { return contribution }
    if let given { contribution.names.append(Fingerprint(of: given)) }
    if let other { contribution.names.append(Fingerprint(of: other)) }
    if isOwnEvent {
      let upstream = event.extra(Bytes("evidence.upstream_chain")).map { JoinValues.collect($0, [.every], limit: Limits.upstreamReferences).values }
      contribution.upstream = (upstream ?? []).map { $0.withUnsafeBytes { Fingerprint(of: $0) } }
    } else {
      contribution.upstream = match.chain.prefix(Limits.upstreamReferences).map { part in
        Array(part.eventID.utf8).withUnsafeBytes { Fingerprint(of: $0) }
      }
    }
    if contribution.givenID == nil { contribution.names.append(Array(contribution.eventID.utf8).withUnsafeBytes { Fingerprint(of: $0) }) }
    return contribution
  }

  // MARK: Join values

  /// nil: the event and the match lack a value that the correlation joins by.
  private mutating func joinKey(_ correlator: Correlator, _ match: RuleMatch, _ event: borrowing Event) -> GroupKey? {
    joined.removeAll(keepingCapacity: true)
    for field in correlator.joinFields {
      let start = joined.count
      joined.append(littleEndian: 0)  // the length, when it is known
      if case .known(let known) = field.field, event.appendText(of: known, to: &joined), joined[(start + 8)...].allSatisfy({ $0 < 0x80 }) {
        // As it is. Other text goes the way that values of a group have gone: through a string, which repairs what is ill-formed.
      } else if let value = joinValue(field.field, match, event) {
        joined.removeSubrange((start + 8)...)
        joined.append(value)
      } else {
        return nil
      }
      endValue(from: start)
    }
    return joinedKey
  }
  private mutating func key(of values: [String]) -> GroupKey {
    joined.removeAll(keepingCapacity: true)
    for value in values {
      let start = joined.count
      joined.append(littleEndian: 0)
      joined.append(value)
      endValue(from: start)
    }
    return joinedKey
  }
  private mutating func endValue(from start: Int) {
    let length = UInt64(joined.count - start - 8)
    joined.withUnsafeMutableBytes { $0.storeBytes(of: length.littleEndian, toByteOffset: start, as: UInt64.self) }
  }
  private var joinedKey: GroupKey {
    let mark = joined.withUnsafeBytes { Fingerprint(of: $0) }
    return GroupKey(high: mark.high, low: mark.low)
  }

  private func joinValue(_ field: FieldReference, _ match: RuleMatch, _ event: borrowing Event) -> String? {
    switch field {
    case .known(let known):
      var text: [UInt8] = []
      if event.appendText(of: known, to: &text) { return String(decoding: text, as: UTF8.self) }
    case .extra(let name):
      let value = Array(name.utf8).withUnsafeBytes { event.extra($0)?.string }
      if let value { return value }
    }
    return match.group.first { $0.field == field }?.value
  }

  /// Every combination of one value for each key; none if a key has no value. What refers upstream is joined with what it refers to: an
  /// event's own identifier is among the values of `evidence.upstream_chain[*]`.
  private mutating func combinations(_ correlator: Correlator, _ match: RuleMatch, _ event: borrowing Event) -> [[String]] {
    var result: [[String]] = [[]]
    for field in correlator.joinFields {
      var values: [String] = []
      if field.steps.isEmpty {
        if let value = joinValue(field.field, match, event) { values.append(value) }
      } else {
        if field == .upstream, let own = event.extra(Bytes("atr.event_id")) ?? event.extra(Bytes("event.id")) { values.append(own.string) }
        if let text = joinValue(field.field, match, event) {
          let (found, isComplete) = Array(text.utf8).withUnsafeBytes { JoinValues.collect($0, field.steps, limit: Limits.joinCombinations) }
          if !isComplete { base.droppedJoinValues &+= 1 }
          for value in found.map({ String(decoding: $0, as: UTF8.self) }) where !values.contains(where: value.hasSameBytes) {
            values.append(value)
          }
        }
      }
      let all = result.flatMap { start in values.map { start + [$0] } }
      if all.count > Limits.joinCombinations { base.droppedJoinValues &+= UInt64(all.count - Limits.joinCombinations) }
      result = Array(all.prefix(Limits.joinCombinations))
    }
    return result
  }
}
