// What a detector concludes: incidents instead of floods, whom they are about, and when nothing may be done.
import Detection
import Events
import Primitives
import RuleLanguage
import Scoring
import Testing

private let rules = """
  title: Five failures
  id: ATR-2026-99001
  status: experimental
  description: test
  author: test
  date: 2026/01/01
  schema_version: "1.0"
  severity: high
  maturity: test
  confidence: 95
  tags: {category: credential-access}
  agent_source: {type: host_log}
  panguard: {family: brute-force}
  detection:
    method: behavioral
    conditions: []
    condition: all
    behavioral: {metric: panguard.attempt.count, aggregation: sum, window: 10m, operator: gte, threshold: 5, group_by: [source.ip], cooldown: 1s}
  response: {actions: [alert]}
  ---
  title: A probe
  id: ATR-2026-99002
  status: experimental
  description: test
  author: test
  date: 2026/01/01
  schema_version: "1.0"
  severity: informational
  maturity: test
  confidence: 30
  tags: {category: reconnaissance}
  agent_source: {type: host_log}
  panguard: {family: probe}
  detection:
    conditions:
      - {field: event.action, operator: exact, value: probe}
    condition: any
  response: {actions: [alert]}
  ---
  title: A good login
  id: ATR-2026-99003
  status: experimental
  description: test
  author: test
  date: 2026/01/01
  schema_version: "1.0"
  severity: informational
  maturity: test
  confidence: 75
  tags: {category: credential-access}
  agent_source: {type: host_log}
  panguard: {family: login, exculpatory: true}
  detection:
    conditions:
      - {field: event.action, operator: exact, value: login}
    condition: any
  response: {actions: [alert]}
  ---
  title: One account from many addresses
  id: ATR-2026-99004
  status: experimental
  description: test
  author: test
  date: 2026/01/01
  schema_version: "1.0"
  severity: high
  maturity: test
  confidence: 95
  tags: {category: credential-access}
  agent_source: {type: host_log}
  panguard: {family: distributed}
  detection:
    method: behavioral
    conditions: []
    condition: all
    behavioral: {metric: source.ip, aggregation: distinct_count, window: 1h, operator: gte, threshold: 3, group_by: [user.name]}
  response: {actions: [alert]}
  """

/// Feeds events one second apart and keeps what is decided.
private final class Bench {
  var detector: Detector
  var event = Event()
  var decisions: [Decision] = []
  private(set) var now = EventTime(rfc3339: "2026-01-05T00:00:00Z")!
  private var offset: UInt64 = 0

  init(_ change: (inout DetectorConfiguration) -> Void = { _ in }) {
    let set = RuleLoader.load(document: rules, file: "rules.yaml")
    #expect(set.diagnostics.filter { $0.severity == .error } == [])
    var configuration = DetectorConfiguration()
    change(&configuration)
    detector = Detector(ruleSet: set, ruleSetHash: "r", configuration: configuration, engineVersion: "test")
    _ = detector.addSource("log")
    _ = detector.addSource("other")
  }

  func feed(
    _ action: String, from address: String? = nil, user: String? = nil, attempts: Int64? = nil, trust: Trust = .claimed,
    after: Nanoseconds = .seconds(1),
    source: UInt32 = 0, at stamp: EventTime? = nil
  ) {
    if stamp == nil { now = now + after }
    offset += 100
    var line = "line \(offset)"
    line.withUTF8 { _ = event.begin(raw: Bytes($0), origin: EventOrigin(source: source, offset: offset, length: UInt32($0.count))) }
    event.time = stamp ?? now
    event.trust = trust
    var name = action
    name.withUTF8 { event.set(.eventAction, Bytes($0)) }
    if let address { event.set(.sourceIP, IPAddress(address)!) }
    if var user { user.withUTF8 { event.set(.userName, Bytes($0)) } }
    if let attempts { event.set(.attemptCount, attempts) }
    decisions += detector.process(event)
  }
  func last(_ rule: String) -> Decision? { decisions.last { $0.ruleID == rule } }
}

@Suite struct DetectorTests {
  /// What severity and trust add is a term of its own, a corrected rule weighs as it is corrected, and the decision names the file.
  @Test func theConfidenceFileDecidesWhatCounts() throws {
    let bench = Bench {
      $0.confidence.severity[3] = MilliNats(100)
      $0.confidence.claimed = MilliNats(-50)
      $0.confidence.rules = [.init("ATR-2026-99001", Confidence(thousandths: 800))]
      $0.confidence.hash = "of this file"
    }
    for _ in 0..<5 { bench.feed("ssh_login", from: "192.0.2.7", attempts: 1) }
    let decision = try #require(bench.last("ATR-2026-99001"))
    #expect(decision.terms.map(\.signal.family) == ["prior", "brute-force", "severity", "trust"])
    #expect(decision.terms.map(\.contribution.value) == [-2197, 3583, 100, -50])  // logit(0.8) - logit(0.1) = 1386 + 2197
    #expect(decision.terms.map(\.signal.detail).suffix(2) == ["high", "claimed"])
    #expect(decision.provenance.confidenceHash == "of this file")
    #expect(decision.confidence == ConfidenceModel().confidence(atLogOdds: MilliNats(1436)))
  }

  @Test func anExcludedRuleSaysNothingAboutThatSubject() throws {
    let bench = Bench {
      $0.confidence.exclusions = [ConfidenceExclusion(rule: "ATR-2026-99001", subject: "192.0.2.0/24", reason: "our scanner")]
    }
    for _ in 0..<5 { bench.feed("ssh_login", from: "192.0.2.7", attempts: 1) }
    for _ in 0..<5 { bench.feed("ssh_login", from: "198.51.100.7", attempts: 1) }
    let excluded = try #require(bench.decisions.first { $0.subject.source == "192.0.2.7" })
    #expect(excluded.action == .logOnly && excluded.confidence == ConfidenceModel().prior)
    #expect(excluded.actionReason == "the confidence file excludes 192.0.2.0/24 from the rule: our scanner")
    #expect(excluded.terms.last?.signal.detail == "Five failures; excluded: our scanner")
    #expect(bench.decisions.first { $0.subject.source == "198.51.100.7" }?.action == .blockIP)
  }

  @Test func fiveFailuresProposeABlockWithEvidence() throws {
    let bench = Bench()
    for _ in 0..<5 { bench.feed("ssh-login", from: "192.0.2.7", user: "root", attempts: 1) }
    let decision = try #require(bench.last("ATR-2026-99001"))
    #expect(decision.action == .blockIP)
    #expect(decision.confidence.description == "0.950")
    #expect(decision.subject.source == "192.0.2.7")
    #expect(decision.evidence.map(\.offset) == [100, 200, 300, 400, 500])
    #expect(decision.evidence.allSatisfy { $0.source == "log" })
    #expect(decision.terms.map(\.contribution.value).reduce(0, +) == ConfidenceModel.logit(decision.confidence).value)
    #expect(bench.detector.counters.attempts == 5)
  }

  /// A million repeats are a handful of records about one incident.
  @Test func repeatsUpdateOneIncident() {
    let bench = Bench()
    for _ in 0..<5000 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1) }
    let records = bench.decisions.filter { $0.ruleID == "ATR-2026-99001" }
    #expect(Set(records.map(\.id)).count == 1)
    #expect(records.map(\.revision) == Array(1...records.count))
    #expect(records.count <= 10)
    #expect(bench.detector.counters.suppressedRepeats > 4000)
  }

  @Test func silenceBeyondTheWindowOpensANewIncident() {
    let bench = Bench { $0.incidentWindow = .hours(1) }
    for _ in 0..<5 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1) }
    for i in 0..<5 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1, after: i == 0 ? .hours(3) : .seconds(1)) }
    #expect(Set(bench.decisions.map(\.id)).count == 2)
  }

  @Test(arguments: [("198.51.100.0/24", "198.51.100.9"), ("2001:db8::/32", "2001:db8:1::7"), ("192.0.2.7", "192.0.2.7")])
  func theAllowlistIsAVeto(_ allowed: String, _ address: String) throws {
    let bench = Bench { $0.allowlist = [CIDR(allowed)!] }
    for _ in 0..<50 { bench.feed("ssh-login", from: address, attempts: 1) }
    #expect(!bench.decisions.isEmpty)
    for decision in bench.decisions {
      #expect(decision.action == .logOnly)
      #expect(decision.actionReason.contains("allowlist"))
    }
  }

  @Test(arguments: ["127.0.0.1", "::1", "0.0.0.0", "169.254.1.2", "fe80::1"])
  func ownAndLinkAddressesAreNeverProposed(_ address: String) {
    let bench = Bench()
    for _ in 0..<50 { bench.feed("ssh-login", from: address, attempts: 1) }
    #expect(!bench.decisions.isEmpty)
    #expect(bench.decisions.allSatisfy { $0.action != .blockIP })
  }

  @Test func claimedEvidenceMayBeKeptFromBlocking() {
    let bench = Bench { $0.claimedMayBlock = false }
    for _ in 0..<5 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1) }
    #expect(bench.decisions.last?.action == .notify)
    for _ in 0..<5 { bench.feed("ssh-login", from: "192.0.2.8", attempts: 1, trust: .attested) }
    #expect(bench.decisions.last?.action == .blockIP)
  }

  /// What needs one forged line is claimed as a whole; once it has left the window, the rest is attested again.
  @Test(arguments: [[0], [2], [4], [0, 1, 2, 3]]) func aWindowIsAsTrustworthyAsItsLeast(_ claimed: [Int]) throws {
    let bench = Bench { $0.claimedMayBlock = false }
    for i in 0..<5 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1, trust: claimed.contains(i) ? .claimed : .attested) }
    let decision = try #require(bench.decisions.last)
    #expect(decision.trust == .claimed && decision.action == .notify)
    #expect(decision.terms.last?.signal.isAttested == false)
    for i in 0..<5 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1, trust: .attested, after: i == 0 ? .minutes(20) : .seconds(1)) }
    let later = try #require(bench.decisions.last)
    #expect(later.trust == .attested && later.action == .blockIP && later.id == decision.id)
  }

  /// An accomplice on this host who forges lines about the attacker's address shields nobody.
  @Test(arguments: ["acacacaca", "aaaacca", "ccccccccaaaaa", "aaaaa", "aaacaac"]) func forgedLinesShieldNobody(_ lines: String) throws {
    let bench = Bench { $0.claimedMayBlock = false }
    for line in lines { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1, trust: line == "a" ? .attested : .claimed) }
    let first = try #require(bench.decisions.first { $0.action == .blockIP })
    #expect(first.trust == .attested && first.evidence.count == 5)
    #expect(Set(bench.decisions.map(\.id)).count == 1)
  }

  /// Nor over hours: he is blocked at the same moment, and again whenever that block has ended.
  @Test(arguments: [1, 7, 60, 300]) func forgedLinesDelayNoBlock(_ forged: Int) throws {
    func blocks(forged: Int) -> [EventTime] {
      let bench = Bench {
        $0.claimedMayBlock = false
        $0.reconsiderAfter = [.minutes(10)]
      }
      let start = bench.now
      for second in 0..<3600 {
        let time = start + .seconds(Int64(second))
        if forged > 0, second % forged == 0 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1, trust: .claimed, at: time) }
        if second % 30 == 7 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1, trust: .attested, at: time) }
      }
      return bench.decisions.filter { $0.action == .blockIP }.map(\.time)
    }
    let plain = blocks(forged: 0)
    let times = blocks(forged: forged)
    #expect(times.first == plain.first && plain.count >= 6)
    #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 <= .seconds(630) })
    #expect(times.count >= 6)
  }

  /// A claimed repeat of an attested signal takes nothing away from it.
  @Test func aSignalStaysAttested() {
    let bench = Bench {
      $0.claimedMayBlock = false
      $0.actThreshold = Confidence(thousandths: 960)
    }
    bench.feed("probe", from: "192.0.2.7", trust: .attested)
    bench.feed("probe", from: "192.0.2.7", trust: .claimed)
    for _ in 0..<5 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1, trust: .attested) }
    #expect(bench.last("ATR-2026-99001")?.action == .blockIP)
  }

  /// Nor where the trust itself has a weight: whoever forges lines about his own address does not look more innocent for it.
  @Test func claimedRepeatsNeverLowerAConfidence() throws {
    let bench = Bench {
      $0.confidence.attested = MilliNats(1500)
      $0.confidence.claimed = MilliNats(-500)
    }
    for _ in 0..<5 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1, trust: .attested) }
    let before = try #require(bench.last("ATR-2026-99001"))
    for _ in 0..<2000 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1, trust: .claimed) }
    let after = try #require(bench.last("ATR-2026-99001"))
    #expect(after.revision > before.revision && after.trust == .claimed)
    #expect(after.confidence >= before.confidence, "\(before.confidence) became \(after.confidence)")
  }

  /// Where claimed evidence may not block, it may not tip the scales either.
  @Test func attestedSignalsAloneMustJustifyABlock() throws {
    let bench = Bench {
      $0.claimedMayBlock = false
      $0.actThreshold = Confidence(thousandths: 960)
    }
    bench.feed("probe", from: "192.0.2.7", trust: .claimed)
    for _ in 0..<5 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1, trust: .attested) }
    let decision = try #require(bench.last("ATR-2026-99001"))
    #expect(decision.trust == .attested && decision.confidence >= Confidence(thousandths: 960))
    #expect(decision.action == .notify && decision.actionReason.contains("attested evidence alone reaches confidence 0.950"))
    bench.feed("probe", from: "192.0.2.7", trust: .attested)
    // The incident is judged again when it is next told.
    for _ in 0..<50 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1, trust: .attested) }
    #expect(bench.last("ATR-2026-99001")?.action == .blockIP)
  }

  /// Claimed and attested evidence in turn: the incident is not told again with each line.
  @Test func trustThatChangesIsNoFlood() {
    let bench = Bench { $0.claimedMayBlock = false }
    for i in 0..<2000 { bench.feed("probe", from: "192.0.2.7", trust: i % 2 == 0 ? .claimed : .attested) }
    for i in 0..<2000 { bench.feed("ssh-login", from: "192.0.2.8", attempts: 1, trust: i % 900 == 0 ? .claimed : .attested) }
    #expect(bench.decisions.count <= 40)
  }

  /// Each source has its own clock, but what they say about one address belongs together.
  @Test(arguments: [false, true]) func sourcesThatAreReadInTurnAddUp(_ firstIsAhead: Bool) {
    let bench = Bench()
    let start = bench.now
    for source in [0, 1] as [UInt32] {
      for i in 0..<3 {
        let second = Int64(2 * i) + ((source == 0) == firstIsAhead ? 1 : 0)
        bench.feed("ssh-login", from: "192.0.2.7", attempts: 1, source: source, at: start + .seconds(second))
      }
    }
    #expect(bench.last("ATR-2026-99001")?.observed == 5)
  }

  /// One line with a wrong year does not blind its source, whoever it is about.
  @Test(arguments: ["192.0.2.7", "192.0.2.8"], [["2026-06-01"], ["2027-01-05"], ["2099-01-01"], ["2099-01-01", "2099-01-01"]])
  func wrongYearsHideNothing(_ address: String, _ days: [String]) throws {
    let bench = Bench()
    for _ in 0..<4 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1) }
    for day in days { bench.feed("ssh-login", from: address, attempts: 1, at: EventTime(rfc3339: day + "T00:00:00Z")!) }
    for _ in 0..<4 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1) }
    let decision = try #require(bench.decisions.first { $0.ruleID == "ATR-2026-99001" })
    #expect(decision.observed == 5 && decision.subject.source == "192.0.2.7")
    #expect(decision.time < EventTime(rfc3339: "2026-01-06T00:00:00Z")!)
  }

  /// Lines hours apart, then an attack: its first line is not lost although it was the one that jumped.
  @Test func aQuietHostLosesNothing() {
    let bench = Bench()
    for _ in 0..<6 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1, after: .hours(30)) }
    #expect(bench.decisions.isEmpty)
    for _ in 0..<4 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1) }
    #expect(bench.last("ATR-2026-99001")?.observed == 5)
  }

  /// What only adds evidence never acts by itself, however sure the rest is.
  @Test func informationalRulesOnlyAddEvidence() throws {
    let bench = Bench()
    for _ in 0..<5 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1) }
    bench.feed("probe", from: "192.0.2.7")
    let probe = try #require(bench.last("ATR-2026-99002"))
    #expect(probe.confidence > Confidence(thousandths: 950))
    #expect(probe.action == .logOnly)
  }

  /// A user who mistypes and is known to log in from there is asked about, not locked out.
  @Test func aGoodLoginSpeaksForItsAddress() throws {
    let bench = Bench()
    bench.feed("login", from: "192.0.2.7", user: "alice")
    for _ in 0..<5 { bench.feed("ssh-login", from: "192.0.2.7", user: "alice", attempts: 1) }
    let decision = try #require(bench.last("ATR-2026-99001"))
    #expect(decision.action == .notify)
    #expect(decision.terms.contains { $0.signal.name == "ATR-2026-99003" && $0.contribution.value < 0 })
    #expect(bench.last("ATR-2026-99003") == nil)
  }

  /// Attempts on one account from many addresses are about the account: the last address must not take the blame.
  @Test func aGroupWithoutAddressBlamesNone() throws {
    let bench = Bench()
    for i in 1...3 { bench.feed("ssh-login", from: "192.0.2.\(i)", user: "root", attempts: 1) }
    let decision = try #require(bench.last("ATR-2026-99004"))
    #expect(decision.subject.source == nil)
    #expect(decision.subject.user == "root")
    #expect(decision.action == .notify)
  }

  @Test func longNamesAreCut() throws {
    let bench = Bench()
    for i in 1...3 { bench.feed("ssh-login", from: "192.0.2.\(i)", user: String(repeating: "ü", count: 5000), attempts: 1) }
    let user = try #require(bench.last("ATR-2026-99004")?.subject.user)
    #expect(user.utf8.count <= Limits.subjectBytes + 4)
    #expect(user.hasSuffix("…"))
  }

  @Test func aResumedIncidentIsUpdatedNotReopened() throws {
    let first = Bench()
    for _ in 0..<5 { first.feed("ssh-login", from: "192.0.2.7", attempts: 1) }
    let opened = try #require(first.decisions.last)
    let second = Bench()
    second.detector.resume(
      Incident(id: opened.id, revision: 1, matchCount: 1, firstTime: opened.firstTime, lastTime: opened.lastTime, action: opened.action),
      ruleID: opened.ruleID, subject: opened.subject)
    for _ in 0..<9 { second.feed("ssh-login", from: "192.0.2.7", attempts: 1) }
    #expect(second.decisions.allSatisfy { $0.id == opened.id && $0.revision > 1 })
    #expect(!second.decisions.isEmpty)
  }

  /// Who is back when a block would have ended is told of again, later each time; in between only growth is told.
  @Test func whoIsBackAfterABlockIsToldOfAgain() throws {
    let bench = Bench()
    func guesses(after pause: Nanoseconds) -> Int {
      let before = bench.decisions.filter { $0.ruleID == "ATR-2026-99001" }.count
      for i in 0..<5 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1, after: i == 0 ? pause : .seconds(1)) }
      return bench.decisions.filter { $0.ruleID == "ATR-2026-99001" }.count - before
    }
    #expect(guesses(after: .seconds(1)) == 1)
    let first = try #require(bench.last("ATR-2026-99001"))
    #expect(first.action == .blockIP)
    // Ten minutes, then half an hour, then an hour.
    #expect(guesses(after: .minutes(11)) == 1)
    let second = try #require(bench.last("ATR-2026-99001"))
    #expect(second.id == first.id && second.revision == 2 && second.matchCount == 2 && second.time - first.time > .minutes(10))
    #expect(guesses(after: .minutes(25)) == 0)
    #expect(guesses(after: .minutes(6)) == 1)
    #expect(guesses(after: .minutes(50)) == 0)
    #expect(bench.last("ATR-2026-99001")?.id == first.id)
  }

  /// Nothing is told again by the clock where nothing was to be blocked.
  @Test func whoIsOnlyReportedIsNotToldOfByTheClock() {
    let bench = Bench { $0.claimedMayBlock = false }
    for round in 0..<3 {
      for i in 0..<5 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1, after: i == 0 && round > 0 ? .minutes(15) : .seconds(1)) }
    }
    #expect(bench.decisions.filter { $0.ruleID == "ATR-2026-99001" }.count == 1)
  }

  @Test func warmUpRemembersButDecidesNothing() {
    let bench = Bench()
    for _ in 0..<4 { bench.feed("ssh-login", from: "192.0.2.7", attempts: 1) }
    #expect(bench.decisions.isEmpty)
    #expect(bench.detector.process(bench.event, isWarmUp: true).isEmpty)
    #expect(bench.detector.counters.events == 4)
  }

  @Test func theSameEventsMakeTheSameDecisions() {
    func run() -> [Decision] {
      let bench = Bench()
      for i in 0..<400 { bench.feed(i % 7 == 0 ? "probe" : "ssh-login", from: "192.0.2.\(i % 13)", user: "u\(i % 5)", attempts: 1) }
      return bench.decisions
    }
    #expect(run() == run())
  }

  /// A pattern that explodes is stopped, and said so by its rule's id; it is never a silent miss.
  @Test func aRuleThatGivesUpIsReported() throws {
    let document = rules.split(separator: "---\n")[1].replacing(
      "event.action, operator: exact, value: probe", with: "message, operator: regex, value: '(?=(a+)+$)aaa'")
    let set = RuleLoader.load(document: String(document), file: "rules.yaml")
    var detector = Detector(ruleSet: set, ruleSetHash: "r", configuration: DetectorConfiguration(), engineVersion: "test")
    _ = detector.addSource("log")
    var event = Event()
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 77, length: 0))
    var text = String(repeating: "a", count: 5000) + "!"
    text.withUTF8 { event.set(.message, Bytes($0)) }
    #expect(detector.process(event).isEmpty)
    let undecided = detector.takeUndecided()
    #expect(undecided.map(\.ruleID) == ["ATR-2026-99002"])
    #expect(undecided.first?.event.offset == 77)
    #expect(detector.takeUndecided().isEmpty)
  }
}
