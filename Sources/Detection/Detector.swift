// The middle of Panguard: an event goes in, decisions come out. The daemon, `panguard replay`, `panguard rules test` and the tests
// all call exactly this. No clock, file, socket, randomness, global or thread in it (DESIGN 4 and 8).
import Baseline
import Events
import NetworkDetection
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

/// A rule that gave up on an event.
public struct UndecidedRule: Sendable, CustomStringConvertible {
  public var ruleID: String
  public var event: EvidenceRecord
  /// What to tell people; no text of the event.
  public var reason: String
  public var description: String { "\(ruleID) could not be decided on \(event.source) at byte \(event.offset): \(reason)" }
}

/// `correlation_state_evicted` (spec/atr-correlation-v1.0.md): a correlation had to forget matches that could still have become part of
/// a detection.
public struct CorrelationEviction: Hashable, Sendable, CustomStringConvertible {
  public var ruleID: String
  /// Event time of the match that needed the room.
  public var time: EventTime
  public var matchCount: Int
  public init(ruleID: String, time: EventTime, matchCount: Int) {
    self.ruleID = ruleID
    self.time = time
    self.matchCount = matchCount
  }
  public var description: String {
    "\(ruleID) forgot \(matchCount) matches that it waited to correlate: its state is full (correlation_state_evicted)"
  }
}

/// What judging needs of a rule: small, because it is read for each match.
private struct RuleProfile {
  var isExculpatory: Bool
  /// What a match says about its subject, on claimed and on attested events.
  var claimed: Signal
  var attested: Signal
  var severity: Severity
  var category: String
  var techniques: [String]
  var summary: MatchSummary
  var message: ChainMessage
  var isAboutAgents: Bool

  init(_ rule: Rule, _ model: ConfidenceModel) {
    let weight = model.weight(ofRule: rule.id, stating: rule.confidence, isExculpatory: rule.isExculpatory)
    isExculpatory = rule.isExculpatory
    claimed = Signal(name: rule.id, family: rule.family, weight: weight, isAttested: false, detail: rule.title)
    attested = claimed
    attested.isAttested = true
    severity = rule.severity
    category = rule.category
    techniques = rule.techniques
    summary = MatchSummary(rule)
    message = ChainMessage(rule)
    isAboutAgents = !rule.agentSource.isEmpty && !rule.agentSource.hasPrefix("host_")
  }
  var id: String { claimed.name }
  var title: String { claimed.detail }
}

public struct Detector: ~Copyable {
  public let ruleSet: RuleSet
  public var engine: RuleEngine
  /// What is usual on this host; untouched where the configuration switches it off.
  public var baseline = Baseline()
  /// Of the baseline that was taken up. Lines up to here are in it: a warm-up must not teach them again.
  private var baselineStart = EventTime.distantPast
  private let configuration: DetectorConfiguration
  private let provenance: Provenance
  private let profiles: [RuleProfile]
  /// By rule: the active profiles that it runs under, as bits. A rule is judged by what rules of its own profiles say.
  private let activeProfiles: [UInt64]
  private var clock = EventClock()
  private var incidents = BoundedTable<IncidentKey, Incident>(capacity: Limits.openIncidents)
  private var subjects = BoundedTable<Fingerprint, SubjectSignals>(capacity: Limits.subjects)
  private var matches: [RuleMatch] = []
  /// Subjects of incidents that were taken up, and when a rule spoke of them last: their signals may not have been.
  private var takenUp = BoundedTable<Fingerprint, EventTime>(capacity: Limits.openIncidents)
  /// Whether a signal was ever about a user.
  private var accusesUsers = false
  /// By rule: what such a rule speaks of is no ordinary event. It is never learned, whether or not its match became a record.
  private let isAccusing: [Bool]
  /// By rule: the baseline's fields that it reads.
  private let baselineFields: [FieldSet]
  /// What the hour that ended brought, while an event is made of it.
  private var hourFinding: BaselineFinding?
  private var sourceKeys = SourceKeys()
  private var keyText: [UInt8] = []
  /// By thousandths: the reason that depends on nothing but the confidence.
  private var confidenceReasons = [String](repeating: "", count: 1001)
  private var network: NetworkDetectors
  /// The event that is made of another one: of a clock's anomaly, of what was found in the network.
  private var derivedEvent = Event()
  private var sourceNames: [String] = []
  private var ruleIndex: [String: Int32] = [:]
  public private(set) var counters = DetectorCounters()

  /// `engineVersion` and the two hashes go into every decision. `cachedDatabase`: what `engine.serializedDatabase()` gave earlier.
  public init(ruleSet: RuleSet, ruleSetHash: String, configuration: DetectorConfiguration, engineVersion: String, cachedDatabase: [UInt8]? = nil) {
    self.ruleSet = ruleSet
    self.configuration = configuration
    engine = RuleEngine(ruleSet, cachedDatabase: cachedDatabase)
    network = NetworkDetectors(configuration.network)
    profiles = ruleSet.rules.map { RuleProfile($0, configuration.confidence) }
    isAccusing = ruleSet.rules.map { !$0.isExculpatory && $0.severity > .informational }
    baselineFields = ruleSet.rules.map(Detector.baselineFields)
    activeProfiles = ruleSet.profileBits
    for (i, rule) in ruleSet.rules.enumerated() { ruleIndex[rule.id] = Int32(i) }
    provenance = Provenance(
      engineVersion: engineVersion, ruleSetHash: ruleSetHash, configurationHash: configuration.hash, baselineHash: "none",
      confidenceHash: configuration.confidence.hash)
  }

  /// Names the next source; its number goes into `EventOrigin.source`. Names appear in evidence and are part of the decisions.
  public mutating func addSource(_ name: String) -> UInt32 {
    sourceNames.append(name)
    return UInt32(sourceNames.count - 1)
  }
  public var lateEvents: UInt64 { clock.lateEvents }
  public var unplacedEvents: UInt64 { clock.unplacedEvents }
  public var evictions: UInt64 { incidents.evictions + subjects.evictions }
  public var networkCounters: NetworkDetectionCounters { network.counters }
  public var networkDrops: [(cause: String, count: UInt64)] { network.drops }

  /// Rules that could not be decided on an event because a regular expression hit its limit, or because the event's trace cannot be
  /// read, since the last call; each kind oldest first, at most `Limits.limitRecords` and `Limits.gracefulErrors` (the rest is counted by
  /// the engine). Never a silent miss: whoever runs the detector reports them.
  public mutating func takeUndecided() -> [UndecidedRule] {
    let limits = engine.takeLimitRecords().map { record in
      let id = profiles[record.rule].id
      return undecided(
        id, record.event, record.time, "a regular expression hit its limit; simplify the rule (`panguard rules show \(id)`)")
    }
    return limits + engine.takeGracefulErrors().map { undecided(profiles[$0.rule].id, $0.event, $0.time, $0.message) }
  }
  private func undecided(_ id: String, _ event: EvidenceReference, _ time: EventTime, _ reason: String) -> UndecidedRule {
    let origin = event.origin
    return UndecidedRule(
      ruleID: id,
      event: EvidenceRecord(
        source: sourceName(origin.source), offset: origin.offset, length: origin.length, time: time, fingerprint: event.fingerprint),
      reason: reason)
  }

  /// What correlations had to forget since the last call, oldest first; at most `Limits.limitRecords`, the rest is counted by the engine.
  public mutating func takeEvictions() -> [CorrelationEviction] {
    engine.takeEvictionRecords().map { CorrelationEviction(ruleID: profiles[$0.rule].id, time: $0.time, matchCount: $0.matchCount) }
  }

  /// Takes up an incident that an earlier run had open, so that its repeats update it.
  public mutating func resume(_ incident: Incident, ruleID: String, subject: Subject) {
    guard let rule = ruleIndex[ruleID] else { return }
    var incident = incident
    if incident.action == .blockIP, let shortest = configuration.reconsiderAfter.first {
      incident.reconsidered = nil
      incident.reconsiderAt = incident.lastTime + shortest
    }
    let key = Detector.key(of: subject)
    incidents.update(IncidentKey(rule: rule, subject: key), make: { incident }) { $0 = incident }
    guard isAccusing[Int(rule)] else { return }
    takenUp.update(key, make: { incident.lastTime }) { $0 = max($0, incident.lastTime) }
    if subject.source == nil, subject.user != nil { accusesUsers = true }
  }

  /// Takes up what an earlier run had learned.
  public mutating func resume(_ baseline: consuming Baseline) {
    baselineStart = baseline.newest
    self.baseline = baseline
  }

  /// What the network detectors must know after a restart (NetworkMemory.swift).
  public var networkMemory: [UInt8] { network.memory() }
  public mutating func resume(networkMemory: [UInt8]) throws(NetworkMemoryError) { try network.resume(memory: networkMemory) }

  /// Lets the baseline write into the event what it thinks of it, for the rules to read, and feeds it.
  @inline(__always)
  public mutating func process(judging event: inout Event, isWarmUp: Bool = false) -> [Decision] {
    let classes = configuration.usesBaseline ? baseline.judge(&event) : nil
    return process(event, classes, isWarmUp: isWarmUp)
  }

  /// Feeds one event. With `isWarmUp` it only rebuilds what the detector remembers (windows, signals, clocks) and decides nothing:
  /// for lines that were decided before a restart.
  public mutating func process(_ event: borrowing Event, isWarmUp: Bool = false) -> [Decision] {
    process(event, configuration.usesBaseline ? ClassSet(of: event) : nil, isWarmUp: isWarmUp)
  }
  /// `classes`: what the baseline learns of the event; nil: nothing.
  private mutating func process(_ event: borrowing Event, _ classes: ClassSet?, isWarmUp: Bool) -> [Decision] {
    let isReport = event.has(.networkCommunityID) && event.text(.eventAction)?.equals("network_flow") == true
    let reading = clock.observe(event.time, source: event.origin.source, isReport: isReport)
    if !isWarmUp {
      counters.events &+= 1
      if let count = event.integer(.attemptCount) { counters.attempts &+= UInt64(clamping: count) }
      if event.has(.isAmbiguous) { counters.ambiguousEvents &+= 1 }
    }
    var decisions: [Decision] = []
    let isLearning = classes != nil && reading.feedsWindows && !(isWarmUp && reading.time <= baselineStart)
    // A stamp that lies far ahead, and may be wrong, must not end hours: it is learned where its source's clock is.
    let settled = isLearning ? clock.newest(source: event.origin.source) : reading.time
    if isLearning, case .jumpedBack(let length) = reading.anomaly { baseline.goBack(from: reading.time + length, to: reading.time) }
    if isLearning, baseline.endsHour(at: settled) { endHours(event, at: settled, isWarmUp: isWarmUp, into: &decisions) }
    engine.evaluate(
      event, at: reading.time, feedsWindows: reading.feedsWindows, isUnconfirmed: reading.isUnconfirmed, withDetails: false, into: &matches)
    var isFlagged = isLearning && isAccused
    let isFound = reading.feedsWindows && NetworkDetectors.concerns(event) && finds(event, at: reading.time)
    if !matches.isEmpty || isFound || reading.anomaly != nil {
      concludeMatches(of: event, at: reading.time, isUnconfirmed: reading.isUnconfirmed, isWarmUp: isWarmUp, into: &decisions)
      if let anomaly = reading.anomaly { processAnomaly(anomaly, event, at: reading.time, isWarmUp: isWarmUp, into: &decisions) }
      if isFound, processFindings(event, at: reading.time, isUnconfirmed: reading.isUnconfirmed, isWarmUp: isWarmUp, into: &decisions) {
        isFlagged = true
      }
    }
    if isLearning, let classes { learn(event, classes, at: settled, isFlagged: isFlagged) }
    return decisions
  }

  // MARK: The network

  private mutating func finds(_ event: borrowing Event, at time: EventTime) -> Bool {
    network.observe(event, at: time)
    return !network.findings.isEmpty
  }

  /// What the network's events tell together is an event of its own, behind the one that completed it. True: a rule accuses somebody of it.
  private mutating func processFindings(
    _ event: borrowing Event, at time: EventTime, isUnconfirmed: Bool, isWarmUp: Bool, into decisions: inout [Decision]
  ) -> Bool {
    var isFlagged = false
    for index in network.findings.indices {
      let finding = network.findings[index]
      let isAccusing = processDerived(from: event, at: time, isUnconfirmed: isUnconfirmed, isWarmUp: isWarmUp, into: &decisions) { derived in
        finding.appendFields(to: &derived)
        if let host = event.text(.hostName), !derived.has(.hostName) { derived.set(.hostName, host) }
        if let interface = event.text(.networkInboundInterface) { derived.set(.networkInboundInterface, interface) }
      }
      isFlagged = isFlagged || isAccusing
    }
    return isFlagged
  }

  // MARK: Baseline

  /// One of the matches is of a rule that accuses somebody.
  private var isAccused: Bool {
    @inline(__always) get {
      for i in matches.indices where isAccusing[matches[i].rule] { return true }
      return false
    }
  }

  private mutating func learn(_ event: borrowing Event, _ classes: ClassSet, at time: EventTime, isFlagged: Bool) {
    // For the mere number of a service's lines the subject is not worth looking up.
    let isClean = !isFlagged && !(classes.isMoreThanCounted && isUnderSuspicion(event, at: time))
    baseline.learn(event, classes, at: time, isClean: isClean)
  }
  /// Whether a rule has accused the event's source or user lately.
  private mutating func isUnderSuspicion(_ event: borrowing Event, at time: EventTime) -> Bool {
    if let address = event.address(.sourceIP), isSuspect(sourceKeys.key(of: address), at: time) { return true }
    guard accusesUsers, let user = event.text(.userName) else { return false }
    return isSuspect(userKey(user), at: time)
  }
  private mutating func isSuspect(_ subject: Fingerprint, at time: EventTime) -> Bool {
    if takenUp.count > 0, let last = takenUp.peek(subject), time - last <= configuration.incidentWindow { return true }
    guard let accusedAt = subjects.modify(subject, { $0.accusedAt }), let accusedAt else { return false }
    return time - accusedAt <= configuration.incidentWindow
  }
  /// The same as of a subject that is the user.
  private mutating func userKey(_ user: Bytes) -> Fingerprint {
    keyText.removeAll(keepingCapacity: true)
    Detector.begin(&keyText, label: "user")
    // What is plain and short stands in a subject as it is.
    if user.count <= Limits.subjectBytes, user.allSatisfy({ $0 < 0x80 }) {
      keyText.append(user)
    } else {
      keyText.append(clipped(user.slice(0, Limits.subjectBytes + 4).string))
    }
    return keyText.withUnsafeBytes { Fingerprint(of: $0) }
  }

  /// What shows when an hour is over is an event of its own, so that rules can speak of it.
  private mutating func endHours(_ event: borrowing Event, at time: EventTime, isWarmUp: Bool, into decisions: inout [Decision]) {
    for finding in baseline.advance(to: time) {
      hourFinding = finding
      processDerived(from: event, at: time, isWarmUp: isWarmUp, into: &decisions) { finding.write(to: &$0) }
    }
    hourFinding = nil
  }
  private static func baselineFields(of rule: Rule) -> FieldSet {
    var read: [FieldReference] = []
    switch rule.detection {
    case .pattern(let conditions, _): read = conditions.map(\.field)
    case .behavioral(let detection): read = detection.filter.map(\.field) + [detection.metricField].compactMap { $0 }
    case .signature, .trace, .correlation, .skipped: break
    }
    var set = FieldSet()
    for case .known(let field) in read where Baseline.fields.contains(field) { set.insert(field) }
    return set
  }

  /// A clock anomaly is an event of its own, so that rules can speak of it.
  private mutating func processAnomaly(
    _ anomaly: EventClock.Anomaly, _ event: borrowing Event, at time: EventTime, isWarmUp: Bool, into decisions: inout [Decision]
  ) {
    let (action, reason, span): (StaticString, StaticString?, Nanoseconds) =
      switch anomaly {
      case .gap(let length): ("log-gap", nil, length)
      case .jumpedBack(let length): ("log-time-jump", "backwards", length)
      case .jumpedForward(let length): ("log-time-jump", "forwards", length)
      }
    processDerived(from: event, at: time, isWarmUp: isWarmUp, into: &decisions) { derived in
      derived.set(.eventCategory, "host")
      derived.set(.eventProvider, "panguard")
      if let host = event.text(.hostName) { derived.set(.hostName, host) }
      derived.set(.eventAction, action)
      if let reason { derived.set(.eventReason, reason) }
      derived.set(.eventDuration, span.count)
    }
  }

  /// An event that `fill` makes of `event`: seen by the rules and decided like any other. True: a rule accuses somebody of it.
  @discardableResult
  private mutating func processDerived(
    from event: borrowing Event, at time: EventTime, isUnconfirmed: Bool = false, isWarmUp: Bool, into decisions: inout [Decision],
    _ fill: (inout Event) -> Void
  ) -> Bool {
    var derived = Event()
    swap(&derived, &derivedEvent)
    derived.begin(raw: event.raw, origin: event.origin)
    derived.time = time
    derived.trust = event.trust
    fill(&derived)
    engine.evaluate(derived, at: time, feedsWindows: true, isUnconfirmed: isUnconfirmed, withDetails: false, into: &matches)
    let isFlagged = isAccused
    concludeMatches(of: derived, at: time, isUnconfirmed: isUnconfirmed, isWarmUp: isWarmUp, into: &decisions)
    swap(&derived, &derivedEvent)
    return isFlagged
  }

  private mutating func concludeMatches(
    of event: borrowing Event, at time: EventTime, isUnconfirmed: Bool, isWarmUp: Bool, into decisions: inout [Decision]
  ) {
    guard !matches.isEmpty else { return }
    // Exculpatory rules first: what speaks for a subject must be known before it is judged.
    for exculpatory in [true, false] {
      for index in matches.indices {
        let rule = matches[index].rule
        guard profiles[rule].isExculpatory == exculpatory else { continue }
        conclude(matchIndex: index, rule: rule, event, at: time, isUnconfirmed: isUnconfirmed, isWarmUp: isWarmUp, into: &decisions)
      }
    }
  }

  private mutating func conclude(
    matchIndex: Int, rule: Int, _ event: borrowing Event, at time: EventTime, isUnconfirmed: Bool, isWarmUp: Bool,
    into decisions: inout [Decision]
  ) {
    let (subjectKey, groupSubject) = subjectKey(matchIndex: matchIndex, event)
    let trust = matches[matchIndex].trust
    if groupSubject?.source == nil, groupSubject?.user != nil { accusesUsers = true }
    let (signalCount, isNewSignal, dropped) = subjects.update(subjectKey, make: { SubjectSignals() }) { signals in
      let noted = signals.note(
        rule: Int32(rule), isAccusing: isAccusing[rule], isAttested: trust == .attested, at: time, isUnconfirmed: isUnconfirmed)
      return (signals.entries.count, noted.isNew, noted.dropped)
    }
    if dropped { counters.forgottenSignals &+= 1 }
    guard !isWarmUp, !profiles[rule].isExculpatory else { return }
    counters.matches &+= 1

    let key = Detector.incidentKey(rule, subjectKey, event)
    let window = configuration.incidentWindow
    // Nearly every match goes into an open incident and changes nothing that would be said.
    let isQuiet = incidents.updateExisting(key) { incident in
      guard time - incident.lastTime <= window, incident.matchCount + 1 < incident.nextReport, !isNewSignal,
        time < incident.reconsiderAt, signalCount == incident.scoredSignals
      else { return false }
      incident.matchCount += 1
      incident.lastTime = max(incident.lastTime, time)
      return true
    }
    if isQuiet == true {
      counters.suppressedRepeats &+= 1
      return
    }

    // An incident that is still open takes the match; otherwise a new one begins under the same key.
    var incident: Incident? = incidents.peek(key)
    if let open = incident, time - open.lastTime > window { incident = nil }
    var current =
      incident
      ?? Incident(
        id: incidentID(rule: rule, subjectKey: subjectKey, event), revision: 0, matchCount: 0, firstTime: matches[matchIndex].firstTime,
        lastTime: time, action: .logOnly)
    current.matchCount += 1
    current.lastTime = max(current.lastTime, time)
    current.scoredSignals = signalCount
    let isDue = current.matchCount >= current.nextReport || time >= current.reconsiderAt
    let subject = groupSubject ?? self.subject(of: matches[matchIndex], event)
    let signals = liveSignals(subjectKey, of: rule, at: time, about: subject)
    // Like the signal itself: claimed events that come later take nothing away.
    let isAttested = trust == .attested || signals.contains { $0.isAttested && $0.name == profiles[rule].claimed.name }
    let context = configuration.confidence.context(severityRank: profiles[rule].severity.rank, isAttested: isAttested)
    let (confidence, terms) = configuration.confidence.score(signals + context)
    let (action, reason) = propose(confidence, signals, context, subject, trust, rule)
    // What attested evidence proposed is not taken back because claimed evidence came after it, nor put off.
    let isTakenBack = trust == .claimed && current.action == .blockIP && action == .notify && confidence >= configuration.actThreshold
    if !isTakenBack, isDue || action != current.action {
      let isFirstProposal = current.revision == 0 || action != current.action
      current.action = action
      current.noteReport(at: time, isFirstProposal: isFirstProposal, spans: configuration.reconsiderAfter)
      current.revision += 1
      let growth = profiles[rule].severity == .informational ? Incident.informationalGrowth : Incident.reportGrowth
      while current.nextReport <= current.matchCount, current.nextReport < 1 << 60 { current.nextReport *= growth }
      engine.addDetails(to: &matches[matchIndex], event)
      decisions.append(
        decision(current, subject, rule, confidence, terms, action, reason, event, matches[matchIndex], at: time))
      counters.decisions &+= 1
    } else {
      counters.suppressedRepeats &+= 1
    }
    incidents.update(key, make: { current }) { $0 = current }
  }

  // MARK: Subject

  /// The fields that say whom an event is about, the most telling first.
  private static let subjectFields: [Field] = [.sourceIP, .userName, .userTargetName, .sessionID, .hostName]

  /// The key, and the subject where it had to be made for that.
  private mutating func subjectKey(matchIndex: Int, _ event: borrowing Event) -> (key: Fingerprint, subject: Subject?) {
    if matches[matchIndex].group.isEmpty, let address = Detector.subjectAddress(of: event) { return (sourceKeys.key(of: address), nil) }
    let subject = subject(of: matches[matchIndex], event)
    return (Detector.key(of: subject), subject)
  }
  static func key(of subject: Subject) -> Fingerprint {
    let (kind, label): (StaticString, String) =
      subject.source.map { ("source", $0) } ?? subject.user.map { ("user", $0) } ?? subject.session.map { ("session", $0) }
      ?? ("host", subject.host ?? "")
    var bytes: [UInt8] = []
    bytes.reserveCapacity(64)
    begin(&bytes, label: kind)
    bytes.append(label)
    return bytes.withUnsafeBytes { Fingerprint(of: $0) }
  }
  /// Of the text whose fingerprint is the key.
  static func begin(_ bytes: inout [UInt8], label: StaticString) {
    bytes.append(label)
    bytes.append(0)
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
      subject.source = Detector.subjectAddress(of: event)?.description
      subject.user = text(.userName) ?? text(.userTargetName)
      subject.session = text(.sessionID)
    }
    if subject.source != nil, subject.user == nil, !match.group.isEmpty { subject.user = text(.userName) }
    if subject.host == nil { subject.host = text(.hostName) }
    return subject
  }
  /// The address that an event is about: who sent it; but what was found about whom a machine inside talks to is about the other end, so that
  /// what speaks against one peer does not speak against all, and a block would cut off the peer and not the machine.
  private static func subjectAddress(of event: borrowing Event) -> IPAddress? {
    guard event.text(.eventDataset)?.equals("network.detection") ?? false, let peer = event.address(.destinationIP),
      event.extra(Bytes("panguard.detection.subject"))?.equals("destination") ?? false
    else { return event.address(.sourceIP) }
    return peer
  }
  /// An incident is one rule about one subject; of what was found about a domain, about that domain as well.
  private static func incidentKey(_ rule: Int, _ subject: Fingerprint, _ event: borrowing Event) -> IncidentKey {
    guard let domain = event.text(.dnsQuestionRegisteredDomain), event.text(.eventDataset)?.equals("network.detection") ?? false else {
      return IncidentKey(rule: Int32(rule), subject: subject)
    }
    return IncidentKey(rule: Int32(rule), subject: Fingerprint(of: domain, key: (subject.high, subject.low)))
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
    var name: [UInt8] = [0x64]  // d
    hash.append(to: &name)
    return String(decoding: name.prefix(17), as: UTF8.self)
  }
  private func sourceName(_ source: UInt32) -> String { Int(source) < sourceNames.count ? sourceNames[Int(source)] : "\(source)" }

  // MARK: Judgement

  private func liveSignals(_ key: Fingerprint, of rule: Int, at time: EventTime, about subject: Subject) -> [Signal] {
    var signals: [Signal] = []
    if let entries = subjects.peek(key)?.entries {
      signals.reserveCapacity(entries.count)
      for entry in entries where time - entry.lastTime <= Limits.signalMemory && activeProfiles[Int(entry.rule)] & activeProfiles[rule] != 0 {
        signals.append(entry.isAttested(at: time) ? profiles[Int(entry.rule)].attested : profiles[Int(entry.rule)].claimed)
      }
    }
    guard !configuration.confidence.exclusions.isEmpty else { return signals }
    for i in signals.indices {
      guard let exclusion = configuration.confidence.exclusion(rule: signals[i].name, subject: subject.label) else { continue }
      signals[i].weight = .zero
      signals[i].detail += "; excluded: \(exclusion.reason)"
    }
    return signals
  }

  private mutating func reason(_ confidence: Confidence, _ make: () -> String) -> String {
    if confidenceReasons[confidence.thousandths].isEmpty { confidenceReasons[confidence.thousandths] = make() }
    return confidenceReasons[confidence.thousandths]
  }
  private mutating func propose(
    _ confidence: Confidence, _ signals: [Signal], _ context: [Signal], _ subject: Subject, _ trust: Trust, _ rule: Int
  ) -> (ProposedAction, String) {
    if let exclusion = configuration.confidence.exclusion(rule: profiles[rule].id, subject: subject.label) {
      return (.logOnly, "the confidence file excludes \(exclusion.subject) from the rule: \(exclusion.reason)")
    }
    guard profiles[rule].severity > .informational else {
      return (.logOnly, "the rule is informational: it adds evidence, and a rule that says more decides what is done")
    }
    let (act, notify) = (configuration.actThreshold, configuration.notifyThreshold)
    guard confidence >= notify else {
      return (.logOnly, reason(confidence) { "confidence \(confidence) is below \(notify), the threshold to notify" })
    }
    guard confidence >= act else {
      return (.notify, reason(confidence) { "confidence \(confidence) is at least \(notify) but below \(act), the threshold to act" })
    }
    guard let source = subject.source, let network = CIDR(source) else {
      return (.notify, "confidence \(confidence) would justify acting, but the subject has no address to block")
    }
    if let allowed = configuration.allowlist.first(where: { $0.contains(network.base) || network.contains($0.base) }) {
      return (.logOnly, "\(source) is covered by the allowlist entry \(allowed)")
    }
    if network.base.isLoopback || network.base.isUnspecified || network.base.isLinkLocal {
      return (.notify, "\(source) is an address of this host or its link and is never blocked")
    }
    guard signals.contains(where: { $0.weight.value > 0 && $0.family != ConfidenceModel.anomalyFamily }) else {
      return (.notify, "everything that speaks against the subject is unusual behaviour, and that alone never blocks")
    }
    let model = configuration.confidence
    if !configuration.claimedMayBlock,
      let objection = TrustPolicy.objection(trust: trust, signals: signals + context, threshold: act, model: model)
    {
      return (.notify, objection)
    }
    return (.blockIP, reason(confidence) { "confidence \(confidence) is at least \(act) and the rule is deterministic" })
  }

  // MARK: Record

  /// What only decisions about agents say.
  private func noteAgent(_ decision: inout Decision, _ rule: Int, _ event: borrowing Event, _ match: RuleMatch) {
    guard profiles[rule].isAboutAgents else { return }
    func text(_ name: StaticString) -> String {
      event.extra(Bytes(name)).map { clipped($0.slice(0, Limits.subjectBytes + 4).string) } ?? ""
    }
    decision.platform = text("agent.platform")
    decision.platformVersion = text("agent.platform_version")
    if case .indicators(let indicators) = match.details, let first = indicators.first,
      case .signature(let signature) = ruleSet.rules[rule].detection
    {
      let target = signature.indicators[first].target
      decision.matchedField = target.description
      var bytes: [UInt8] = []
      switch target {
      case .known(let field): decision.matchedBytes = event.appendText(of: field, to: &bytes) ? bytes.count : 0
      case .extra(let name): decision.matchedBytes = Array(name.utf8).withUnsafeBytes { event.extra($0)?.count ?? 0 }
      }
      return
    }
    guard let place = engine.place(of: match, event) else { return }
    decision.matchedField = place.field.description
    decision.matchedBytes = place.count
  }

  private mutating func decision(
    _ incident: Incident, _ subject: Subject, _ rule: Int, _ confidence: Confidence, _ terms: [ConfidenceTerm], _ action: ProposedAction,
    _ reason: String, _ event: borrowing Event, _ match: RuleMatch, at time: EventTime
  ) -> Decision {
    let source = ruleSet.rules[match.rule]
    var decision = Decision(
      id: incident.id, revision: incident.revision, time: time, subject: subject, ruleID: profiles[rule].id, ruleTitle: profiles[rule].title,
      severity: profiles[rule].severity, category: profiles[rule].category, techniques: profiles[rule].techniques, confidence: confidence,
      terms: terms, trust: match.trust, action: action, actionReason: reason, matchCount: incident.matchCount,
      observed: source.observed(match.observed), threshold: source.threshold(match.threshold),
      firstTime: incident.firstTime, lastTime: incident.lastTime,
      summary: profiles[rule].summary.text(match, event) { clipped($0) },
      evidence: match.evidence.map {
        EvidenceRecord(
          source: sourceName($0.origin.source), offset: $0.origin.offset, length: $0.origin.length, time: $0.time, fingerprint: $0.fingerprint)
      }, evidenceTotal: match.evidenceTotal, provenance: provenance)
    if configuration.usesBaseline {
      decision.provenance.baselineHash = baseline.hash
      if let hourFinding {
        decision.baseline = [hourFinding.knowledge]
        // What the event is about stands in no condition.
        decision.summary += "; " + clipped("\(hourFinding.knowledge)")
      } else if baselineFields[match.rule] != FieldSet() {
        decision.baseline = baseline.knowledge(of: event, baselineFields[match.rule])
      }
    }
    decision.profiles = ruleSet.profileNames(match.profiles)
    decision.upstream = match.chain.map(\.eventID)
    if !match.chain.isEmpty { decision.message = profiles[rule].message.text(match) }
    let agent = match.group.first { $0.field == .known(.agentID) }?.value ?? event.text(.agentID)?.slice(0, Limits.subjectBytes + 4).string
    decision.agent = agent.map { clipped($0) } ?? ""
    decision.selectors = match.selectors(of: source)
    noteAgent(&decision, rule, event, match)
    return decision
  }
}
