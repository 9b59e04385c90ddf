// The middle of Panguard: an event goes in, decisions come out. The daemon, `panguard replay`, `panguard rules test` and the tests
// all call exactly this. No clock, file, socket, randomness, global or thread in it (DESIGN 4 and 8).
import Events
import Primitives
import RuleEngine
import RuleLanguage
import Scoring

public struct DetectorCounters: Sendable {
  public var events: UInt64 = 0
  public var matches: UInt64 = 0
  /// Records produced: openings and updates of incidents.
  public var decisions: UInt64 = 0
  /// Matches that went into an open incident without a record of their own.
  public var suppressedRepeats: UInt64 = 0
  public var forgottenSignals: UInt64 = 0
  /// Failed authentication attempts, each counted once.
  public var attempts: UInt64 = 0
  public var ambiguousEvents: UInt64 = 0
}

/// What judging needs of a rule: small, because it is read for each match.
private struct RuleProfile {
  var id: String
  var title: String
  var family: String
  var weight: MilliNats
  var severity: Severity
  var isExculpatory: Bool
}

public struct Detector: ~Copyable {
  public let ruleSet: RuleSet
  public var engine: RuleEngine
  private let configuration: DetectorConfiguration
  private let provenance: Provenance
  private let profiles: [RuleProfile]
  private var clock = EventClock()
  private var incidents = BoundedTable<IncidentKey, Incident>(capacity: Limits.openIncidents)
  private var subjects = BoundedTable<Fingerprint, SubjectSignals>(capacity: Limits.subjects)
  private var matches: [RuleMatch] = []
  private var anomalyEvent = Event()
  private var sourceNames: [String] = []
  private var ruleIndex: [String: Int32] = [:]
  public private(set) var counters = DetectorCounters()

  /// `engineVersion` and the two hashes go into every decision. `cachedDatabase`: what `engine.serializedDatabase()` gave earlier.
  public init(ruleSet: RuleSet, ruleSetHash: String, configuration: DetectorConfiguration, engineVersion: String, cachedDatabase: [UInt8]? = nil) {
    self.ruleSet = ruleSet
    self.configuration = configuration
    engine = RuleEngine(ruleSet, cachedDatabase: cachedDatabase)
    profiles = ruleSet.rules.map { rule in
      let weight = rule.isExculpatory ? ConfidenceModel.exculpatoryWeight(of: rule.confidence) : ConfidenceModel.weight(of: rule.confidence)
      return RuleProfile(id: rule.id, title: rule.title, family: rule.family, weight: weight, severity: rule.severity, isExculpatory: rule.isExculpatory)
    }
    for (i, rule) in ruleSet.rules.enumerated() { ruleIndex[rule.id] = Int32(i) }
    provenance = Provenance(
      engineVersion: engineVersion, ruleSetHash: ruleSetHash, configurationHash: configuration.hash, baselineHash: "none")
  }

  /// Names the next source; its number goes into `EventOrigin.source`. Names appear in evidence and are part of the decisions.
  public mutating func addSource(_ name: String) -> UInt32 {
    sourceNames.append(name)
    return UInt32(sourceNames.count - 1)
  }
  public var lateEvents: UInt64 { clock.lateEvents }
  public var unplacedEvents: UInt64 { clock.unplacedEvents }
  public var evictions: UInt64 { incidents.evictions + subjects.evictions }

  /// Takes up an incident that an earlier run had open, so that its repeats update it.
  public mutating func resume(_ incident: Incident, ruleID: String, subject: Subject) {
    guard let rule = ruleIndex[ruleID] else { return }
    incidents.update(IncidentKey(rule: rule, subject: Detector.key(of: subject)), make: { incident }) { $0 = incident }
  }

  /// Feeds one event. With `isWarmUp` it only rebuilds what the detector remembers (windows, signals, clocks) and decides nothing:
  /// for lines that were decided before a restart.
  public mutating func process(_ event: borrowing Event, isWarmUp: Bool = false) -> [Decision] {
    let reading = clock.observe(event.time, source: event.origin.source)
    if !isWarmUp {
      counters.events &+= 1
      if let count = event.integer(.attemptCount) { counters.attempts &+= UInt64(clamping: count) }
      if event.has(.isAmbiguous) { counters.ambiguousEvents &+= 1 }
    }
    engine.evaluate(event, at: reading.time, feedsWindows: reading.feedsWindows, into: &matches)
    if matches.isEmpty, reading.anomaly == nil { return [] }
    var decisions: [Decision] = []
    concludeMatches(of: event, at: reading.time, isWarmUp: isWarmUp, into: &decisions)
    if let anomaly = reading.anomaly { processAnomaly(anomaly, event, at: reading.time, isWarmUp: isWarmUp, into: &decisions) }
    return decisions
  }

  /// A clock anomaly is an event of its own, so that rules can speak of it.
  private mutating func processAnomaly(
    _ anomaly: EventClock.Anomaly, _ event: borrowing Event, at time: EventTime, isWarmUp: Bool, into decisions: inout [Decision]
  ) {
    var derived = Event()
    swap(&derived, &anomalyEvent)
    derived.begin(raw: event.raw, origin: event.origin)
    derived.time = time
    derived.trust = event.trust
    derived.set(.eventCategory, "host")
    derived.set(.eventProvider, "panguard")
    if let host = event.text(.hostName) { derived.set(.hostName, host) }
    let span: Nanoseconds
    switch anomaly {
    case .gap(let length):
      derived.set(.eventAction, "log-gap")
      span = length
    case .jumpedBack(let length):
      derived.set(.eventAction, "log-time-jump")
      derived.set(.eventReason, "backwards")
      span = length
    case .jumpedForward(let length):
      derived.set(.eventAction, "log-time-jump")
      derived.set(.eventReason, "forwards")
      span = length
    }
    derived.set(.eventDuration, span.count)
    engine.evaluate(derived, at: time, feedsWindows: true, into: &matches)
    concludeMatches(of: derived, at: time, isWarmUp: isWarmUp, into: &decisions)
    swap(&derived, &anomalyEvent)
  }

  private mutating func concludeMatches(of event: borrowing Event, at time: EventTime, isWarmUp: Bool, into decisions: inout [Decision]) {
    guard !matches.isEmpty else { return }
    // Exculpatory rules first: what speaks for a subject must be known before it is judged.
    for exculpatory in [true, false] {
      for index in matches.indices {
        let rule = matches[index].rule
        guard profiles[rule].isExculpatory == exculpatory else { continue }
        conclude(matchIndex: index, rule: rule, event, at: time, isWarmUp: isWarmUp, into: &decisions)
      }
    }
  }

  private mutating func conclude(
    matchIndex: Int, rule: Int, _ event: borrowing Event, at time: EventTime, isWarmUp: Bool, into decisions: inout [Decision]
  ) {
    let subjectKey = self.subjectKey(of: matches[matchIndex], event)
    let isAttested = event.trust == .attested
    let (signalCount, isNewSignal, dropped) = subjects.update(subjectKey, make: { SubjectSignals() }) { signals in
      let noted = signals.note(rule: Int32(rule), isAttested: isAttested, at: time)
      return (signals.entries.count, noted.isNew, noted.dropped)
    }
    if dropped { counters.forgottenSignals &+= 1 }
    guard !isWarmUp, !profiles[rule].isExculpatory else { return }
    counters.matches &+= 1

    let key = IncidentKey(rule: Int32(rule), subject: subjectKey)
    let window = configuration.incidentWindow
    let firstTime = matches[matchIndex].firstTime
    // An incident that is still open takes the match; otherwise a new one begins under the same key.
    var incident: Incident? = incidents.peek(key)
    if let open = incident, time - open.lastTime > window { incident = nil }
    var current =
      incident
      ?? Incident(
        id: incidentID(rule: rule, subjectKey: subjectKey, event), revision: 0, matchCount: 0, firstTime: firstTime, lastTime: time, action: .logOnly)
    current.matchCount += 1
    current.lastTime = max(current.lastTime, time)

    let isDue = current.matchCount >= current.nextReport
    if isDue || isNewSignal || signalCount != current.scoredSignals {
      let (confidence, terms) = score(subjectKey, at: time, matchIndex)
      let subject = self.subject(of: matches[matchIndex], event)
      let (action, reason) = propose(confidence, subject, event.trust, profiles[rule].severity)
      current.scoredSignals = signalCount
      if isDue || action != current.action {
        current.action = action
        current.revision += 1
        while current.nextReport <= current.matchCount, current.nextReport < 1 << 60 { current.nextReport *= Incident.reportGrowth }
        decisions.append(
          decision(current, subject, rule, confidence, terms, action, reason, event, matches[matchIndex], at: time))
        counters.decisions &+= 1
      } else {
        counters.suppressedRepeats &+= 1
      }
    } else {
      counters.suppressedRepeats &+= 1
    }
    incidents.update(key, make: { current }) { $0 = current }
  }

  // MARK: Subject

  /// The fields that say whom an event is about, the most telling first.
  private static let subjectFields: [Field] = [.sourceIP, .userName, .userTargetName, .sessionID, .hostName]

  private func subjectKey(of match: RuleMatch, _ event: borrowing Event) -> Fingerprint {
    if !match.group.isEmpty { return Detector.key(of: subject(of: match, event)) }
    if let address = event.address(.sourceIP) {
      return Detector.key(label: "source") { address.append(to: &$0) }
    }
    return Detector.key(of: subject(of: match, event))
  }
  static func key(of subject: Subject) -> Fingerprint {
    let (kind, label): (StaticString, String) =
      subject.source.map { ("source", $0) } ?? subject.user.map { ("user", $0) } ?? subject.session.map { ("session", $0) }
      ?? ("host", subject.host ?? "")
    return key(label: kind) { $0.append(label) }
  }
  private static func key(label: StaticString, _ write: (inout [UInt8]) -> Void) -> Fingerprint {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(64)
    bytes.append(label)
    bytes.append(0)
    write(&bytes)
    return bytes.withUnsafeBytes { Fingerprint(of: $0) }
  }

  /// Behavioural and correlation matches are about their group; pattern matches about the event's own subject. Where a group has
  /// no address (attempts on one account from many sources), the last event's address is not the subject: it would take the
  /// blame for all of them.
  private func subject(of match: RuleMatch, _ event: borrowing Event) -> Subject {
    var subject = Subject()
    for (field, value) in match.group {
      switch field {
      case .known(.sourceIP): subject.source = value
      case .known(.userName), .known(.userTargetName): subject.user = clipped(value)
      case .known(.sessionID): subject.session = clipped(value)
      case .known(.hostName): subject.host = clipped(value)
      default: break
      }
    }
    func text(_ field: Field) -> String? { event.text(field).map { clipped($0.slice(0, Limits.subjectBytes + 4).string) } }
    if match.group.isEmpty {
      subject.source = event.address(.sourceIP)?.description
      subject.user = text(.userName) ?? text(.userTargetName)
      subject.session = text(.sessionID)
    }
    if subject.source != nil, subject.user == nil, !match.group.isEmpty { subject.user = text(.userName) }
    if subject.host == nil { subject.host = text(.hostName) }
    return subject
  }
  private func clipped(_ text: String) -> String {
    guard text.utf8.count > Limits.subjectBytes else { return text }
    var end = text.startIndex
    var bytes = 0
    for index in text.unicodeScalars.indices {
      bytes += UTF8.width(text.unicodeScalars[index])
      if bytes > Limits.subjectBytes { break }
      end = text.unicodeScalars.index(after: index)
    }
    return text[..<end] + "…"
  }

  private func incidentID(rule: Int, subjectKey: Fingerprint, _ event: borrowing Event) -> String {
    var bytes: [UInt8] = []
    bytes.append(profiles[rule].id)
    bytes.append(0)
    subjectKey.append(to: &bytes)
    bytes.append(decimal: event.time.nanoseconds)
    bytes.append(0)
    bytes.append(sourceName(event.origin.source))
    bytes.append(0)
    bytes.append(decimal: event.origin.offset, minimumDigits: 1)
    let hash = bytes.withUnsafeBytes { Fingerprint(of: $0) }
    return "d" + String(hash.description.prefix(16))
  }
  private func sourceName(_ source: UInt32) -> String { Int(source) < sourceNames.count ? sourceNames[Int(source)] : "\(source)" }

  // MARK: Judgement

  private func score(_ subject: Fingerprint, at time: EventTime, _ matchIndex: Int) -> (Confidence, [ConfidenceTerm]) {
    let entries = subjects.peek(subject)?.live(at: time) ?? []
    return ConfidenceModel.score(
      entries.map { entry in
        let rule = profiles[Int(entry.rule)]
        return Signal(name: rule.id, family: rule.family, weight: rule.weight, isAttested: entry.isAttested, detail: rule.title)
      })
  }

  private func propose(_ confidence: Confidence, _ subject: Subject, _ trust: Trust, _ severity: Severity) -> (ProposedAction, String) {
    guard severity > .informational else {
      return (.logOnly, "the rule is informational: it adds evidence, and a rule that says more decides what is done")
    }
    let (act, notify) = (configuration.actThreshold, configuration.notifyThreshold)
    guard confidence >= notify else { return (.logOnly, "confidence \(confidence) is below \(notify), the threshold to notify") }
    guard confidence >= act else { return (.notify, "confidence \(confidence) is at least \(notify) but below \(act), the threshold to act") }
    guard let source = subject.source, let network = CIDR(source) else {
      return (.notify, "confidence \(confidence) would justify acting, but the subject has no address to block")
    }
    if let allowed = configuration.allowlist.first(where: { $0.contains(network.base) || network.contains($0.base) }) {
      return (.logOnly, "\(source) is covered by the allowlist entry \(allowed)")
    }
    if network.base.isLoopback || network.base.isUnspecified || network.base.isLinkLocal {
      return (.notify, "\(source) is an address of this host or its link and is never blocked")
    }
    if trust == .claimed, !configuration.claimedMayBlock {
      return (.notify, "the evidence is claimed, not attested, and the policy lets only attested evidence block")
    }
    return (.blockIP, "confidence \(confidence) is at least \(act) and the rule is deterministic")
  }

  // MARK: Record

  private func decision(
    _ incident: Incident, _ subject: Subject, _ rule: Int, _ confidence: Confidence, _ terms: [ConfidenceTerm], _ action: ProposedAction,
    _ reason: String, _ event: borrowing Event, _ match: RuleMatch, at time: EventTime
  ) -> Decision {
    let definition = ruleSet.rules[rule]
    return Decision(
      id: incident.id, revision: incident.revision, time: time, subject: subject, ruleID: definition.id, ruleTitle: definition.title,
      severity: definition.severity, category: definition.category, techniques: definition.techniques, confidence: confidence, terms: terms,
      trust: event.trust, action: action, actionReason: reason, matchCount: incident.matchCount, observed: match.observed,
      threshold: match.threshold, firstTime: incident.firstTime, lastTime: incident.lastTime, summary: summary(definition, match, event),
      evidence: match.evidence.map {
        EvidenceRecord(
          source: sourceName($0.origin.source), offset: $0.origin.offset, length: $0.origin.length, time: $0.time, fingerprint: $0.fingerprint)
      }, evidenceTotal: match.evidenceTotal, provenance: provenance)
  }

  /// What matched, in one line. Text from the event is quoted and cut; views escape it again.
  private func summary(_ rule: Rule, _ match: RuleMatch, _ event: borrowing Event) -> String {
    switch rule.detection {
    case .behavioral(let detection):
      let over = match.group.map(\.value).joined(separator: ", ")
      return
        "\(detection.aggregation.rawValue) of \(detection.metric) is \(match.observed) in \(detection.window) (\(detection.comparison.symbol) \(match.threshold))"
        + (over.isEmpty ? "" : " for \(clipped(over))")
    case .correlation(let detection):
      let names = detection.sourceRules.map(\.alias).joined(separator: ", ")
      return "\(match.observed) matches of \(names) belong together within \(detection.window)"
    case .pattern(let conditions, _):
      // What was looked for in texts is telling; what was compared only guards it. One value is shown once.
      var shown: [FieldReference] = []
      var parts: [String] = []
      for index in match.conditions {
        let condition = conditions[index]
        if case .compare = condition.test { continue }
        guard !shown.contains(condition.field), parts.count < 3 else { continue }
        shown.append(condition.field)
        parts.append(describe(condition, event))
      }
      return parts.isEmpty ? rule.title : parts.joined(separator: "; ")
    case .skipped: return rule.title
    }
  }

  /// "url.path "/.env": what the rule's author says of the condition".
  private func describe(_ condition: Condition, _ event: borrowing Event) -> String {
    let what = condition.description.isEmpty ? "condition \(condition.name)" : condition.description
    guard case .known(let field) = condition.field else { return "\(condition.field): \(what)" }
    var value: [UInt8] = []
    guard event.appendText(of: field, to: &value) else { return what }
    let shown = value.count > 120 ? String(decoding: value.prefix(120), as: UTF8.self) + "…" : String(decoding: value, as: UTF8.self)
    return "\(field.name) \"\(shown)\": \(what)"
  }
}
