// The baseline inside the detector: what rules see of it, what is kept from it, what it may and may not lead to.
import Baseline
import Events
import Primitives
import RuleLanguage
import Scoring
import Testing

@testable import Detection

private let rules = """
  title: A login from a new network
  id: ATR-2026-99101
  status: experimental
  description: test
  author: test
  date: 2026/01/01
  schema_version: "1.0"
  severity: medium
  maturity: test
  confidence: 95
  tags: {category: initial-access}
  agent_source: {type: host_log}
  panguard: {family: anomaly}
  detection:
    conditions:
      - {field: baseline.login_network, operator: exact, value: [new, new-subject]}
    condition: any
  response: {actions: [alert]}
  ---
  title: Many logins
  id: ATR-2026-99102
  status: experimental
  description: test
  author: test
  date: 2026/01/01
  schema_version: "1.0"
  severity: low
  maturity: test
  confidence: 40
  tags: {category: initial-access}
  agent_source: {type: host_log}
  panguard: {family: anomaly}
  detection:
    method: behavioral
    conditions: []
    condition: all
    behavioral:
      metric: baseline.logins
      aggregation: max
      window: 1h
      operator: deviation_from_baseline
      threshold: 4
      baseline: {source: hour_of_week, deviation_unit: stddev}
      group_by: [user.name]
  response: {actions: [alert]}
  ---
  title: A service fell silent
  id: ATR-2026-99103
  status: experimental
  description: test
  author: test
  date: 2026/01/01
  schema_version: "1.0"
  severity: medium
  maturity: test
  confidence: 60
  tags: {category: defense-evasion}
  agent_source: {type: host_log}
  panguard: {family: anomaly}
  detection:
    method: behavioral
    conditions: []
    condition: all
    behavioral:
      metric: baseline.events
      aggregation: max
      window: 1h
      operator: deviation_from_baseline
      threshold: -2
      baseline: {source: hour_of_week, deviation_unit: stddev}
      group_by: [host.name, event.dataset]
      filter: {event.action: baseline-silence}
  response: {actions: [alert]}
  ---
  title: A known bad client
  id: ATR-2026-99104
  status: experimental
  description: test
  author: test
  date: 2026/01/01
  schema_version: "1.0"
  severity: medium
  maturity: test
  confidence: 60
  tags: {category: credential-access}
  agent_source: {type: host_log}
  panguard: {family: client}
  detection:
    conditions:
      - {field: event.action, operator: exact, value: bad-client}
    condition: any
  response: {actions: [alert]}
  ---
  title: A new domain again and again
  id: ATR-2026-99105
  status: experimental
  description: test
  author: test
  date: 2026/01/01
  schema_version: "1.0"
  severity: medium
  maturity: test
  confidence: 45
  tags: {category: command-and-control}
  agent_source: {type: host_log}
  panguard: {family: anomaly}
  detection:
    method: behavioral
    conditions: []
    condition: any
    behavioral:
      metric: questions
      aggregation: count
      window: 24h
      operator: gte
      threshold: 12
      group_by: [dns.question.registered_domain]
      filter: {event.action: dns-query, baseline.dns_domain: [new, new-subject, recent, waiting]}
  response: {actions: [alert]}
  ---
  title: What is usual has changed
  id: ATR-2026-99106
  status: experimental
  description: test
  author: test
  date: 2026/01/01
  schema_version: "1.0"
  severity: low
  maturity: test
  confidence: 35
  tags: {category: defense-evasion}
  agent_source: {type: host_log}
  panguard: {family: anomaly}
  detection:
    conditions:
      - {field: event.action, operator: exact, value: baseline-drift}
    condition: any
  response: {actions: [alert]}
  """

private final class Host {
  var detector: Detector
  var event = Event()
  var decisions: [Decision] = []
  private var offset: UInt64 = 0
  static let start = EventTime(rfc3339: "2026-01-05T00:00:00Z")!

  init(usesBaseline: Bool = true) {
    let set = RuleLoader.load(document: rules, file: "rules.yaml")
    #expect(set.diagnostics.filter { $0.severity == .error } == [])
    var configuration = DetectorConfiguration()
    configuration.usesBaseline = usesBaseline
    detector = Detector(ruleSet: set, ruleSetHash: "r", configuration: configuration, engineVersion: "test")
    _ = detector.addSource("log")
  }
  static func at(_ day: Int64, _ hour: Int64, _ minute: Int64 = 0) -> EventTime { start + .days(day) + .hours(hour) + .minutes(minute) }

  func feed(
    _ action: StaticString, _ user: String? = nil, from address: String? = nil, provider: StaticString = "sshd", at time: EventTime,
    isWarmUp: Bool = false, more: (inout Event) -> Void = { _ in }
  ) {
    offset += 100
    var line = "line \(offset)"
    line.withUTF8 { _ = event.begin(raw: Bytes($0), origin: EventOrigin(source: 0, offset: offset, length: UInt32($0.count))) }
    event.time = time
    event.trust = .attested
    event.set(.eventAction, action)
    event.set(.eventProvider, provider)
    event.set(.eventOutcome, "success")
    event.set(.hostName, "web01")
    if var user { user.withUTF8 { event.set(.userName, Bytes($0)) } }
    if let address { event.set(.sourceIP, IPAddress(address)!) }
    more(&event)
    decisions += detector.process(judging: &event, isWarmUp: isWarmUp)
  }
  /// Each hour a web server's line, and on its own minute a login.
  func live(_ days: Range<Int64>) {
    for day in days {
      for hour in 0..<24 as Range<Int64> {
        for minute in stride(from: Int64(0), to: 60, by: 5) { feed("http-request", provider: "nginx", at: Host.at(day, hour, minute)) }
        if hour % 6 == 3 { feed("ssh-login", "alice", from: "192.0.2.10", at: Host.at(day, hour, 57)) }
        feed("cron-command", provider: "cron", at: Host.at(day, hour, 58))
      }
    }
  }
  func count(_ rule: String) -> Int { decisions.count { $0.ruleID == rule } }
}

@Suite struct BaselineDetectionTests {
  @Test func aNewNetworkIsSilentWhileLearningAndToldAfterwards() throws {
    let host = Host()
    host.live(0..<3)
    host.feed("ssh-login", "alice", from: "203.0.113.9", at: Host.at(3, 0))
    #expect(host.decisions == [])
    host.live(3..<14)
    host.feed("ssh-login", "alice", from: "198.51.100.9", at: Host.at(14, 3))
    let decision = try #require(host.decisions.first)
    #expect(decision.ruleID == "ATR-2026-99101" && decision.subject.source == "198.51.100.9")
    #expect(decision.provenance.baselineHash.utf8.count == 32)
    // 0.95 by attested evidence, and no block: it is only unusual.
    #expect(decision.confidence >= Confidence(thousandths: 900) && decision.action == .notify)
    #expect(decision.actionReason.hasPrefix("everything that speaks against the subject is unusual behaviour"))
  }

  @Test func unusualBehaviourBesideAnotherSignMayBlock() throws {
    let host = Host()
    host.live(0..<14)
    host.feed("bad-client", from: "198.51.100.9", at: Host.at(14, 2))
    host.feed("ssh-login", "alice", from: "198.51.100.9", at: Host.at(14, 3))
    #expect(host.decisions.last.map { $0.ruleID == "ATR-2026-99101" && $0.action == .blockIP } == true)
  }

  /// Also in the time in which repeats make no records.
  @Test func whatARuleSpokeOfIsNeverLearned() {
    let host = Host()
    host.live(0..<14)
    for minute in 0..<50 as Range<Int64> {
      host.feed("ssh-login", "alice", from: "198.51.100.9", at: Host.at(14, 3, minute))
      #expect(host.event.text(.baselineLoginNetwork)?.string == (minute == 0 ? "new" : "waiting"))
    }
    #expect(host.count("ATR-2026-99101") == 1)
    host.live(15..<17)
    host.feed("ssh-login", "alice", from: "198.51.100.9", at: Host.at(17, 3))
    #expect(host.event.text(.baselineLoginNetwork)?.string == "waiting")
  }

  /// The rule's own event is not all: while it is open, everything from there is held back.
  @Test func theSubjectOfAnOpenIncidentTeachesNothing() {
    let host = Host()
    host.live(0..<3)
    host.feed("bad-client", from: "198.51.100.9", at: Host.at(3, 0))
    for day in 3..<14 as Range<Int64> {
      host.feed("bad-client", from: "198.51.100.9", at: Host.at(day, 0))
      host.feed("ssh-login", "alice", from: "198.51.100.9", at: Host.at(day, 0, 10))
      host.live(day..<day + 1)
    }
    #expect(host.count("ATR-2026-99101") == 1)
    host.feed("ssh-login", "alice", from: "198.51.100.9", at: Host.at(14, 0, 10))
    #expect(host.event.text(.baselineLoginNetwork)?.string == "waiting")
  }

  /// Nor does a restart open the door: what is taken up as an open incident holds its subject back as before.
  @Test func theSubjectOfAnIncidentThatWasTakenUpTeachesNothing() throws {
    let (first, second) = (Host(), Host())
    first.live(0..<14)
    first.feed("bad-client", from: "198.51.100.9", at: Host.at(14, 0))
    let decision = try #require(first.decisions.last)
    second.detector.resume(try Baseline(snapshot: first.detector.baseline.snapshot()))
    second.detector.resume(
      Incident(
        id: decision.id, revision: 1, matchCount: 1, firstTime: decision.time, lastTime: decision.time, action: decision.action),
      ruleID: decision.ruleID, subject: decision.subject)
    second.feed("ssh-login", "alice", from: "192.0.2.10", at: Host.at(14, 0, 1))
    func resolve(_ domain: StaticString, at time: EventTime) {
      second.feed("dns-query", from: "198.51.100.9", provider: "panguard-capture", at: time) { $0.set(.dnsQuestionRegisteredDomain, domain) }
    }
    resolve("evil.example", at: Host.at(14, 1))
    #expect(second.detector.baseline.state(of: .dnsDomain).pending.map(\.cause) == [.flagged])
    // Until its window is over.
    for minute in 0..<4 as Range<Int64> { second.feed("cron-command", provider: "cron", at: Host.at(15, 1, minute)) }
    resolve("other.example", at: Host.at(15, 2))
    #expect(second.detector.baseline.state(of: .dnsDomain).pending.count == 1)
  }

  @Test func deviationFromBaselineReadsTheHostsOwn() throws {
    let host = Host()
    host.live(0..<28)
    #expect(host.count("ATR-2026-99102") == 0)
    for minute in 0..<9 as Range<Int64> { host.feed("ssh-login", "alice", from: "192.0.2.10", at: Host.at(28, 3, minute)) }
    let decision = try #require(host.decisions.first { $0.ruleID == "ATR-2026-99102" })
    #expect(decision.threshold.description == "4" && decision.subject.user == "alice")
    #expect(decision.summary.hasPrefix("max of baseline.logins is "))
  }

  @Test func aServiceThatFallsSilentIsAnIncidentOfItsHost() throws {
    let host = Host()
    host.live(0..<14)
    #expect(host.count("ATR-2026-99103") == 0)
    for hour in 0..<6 as Range<Int64> { host.feed("cron-command", provider: "cron", at: Host.at(14, hour, 58)) }
    let decision = try #require(host.decisions.first { $0.ruleID == "ATR-2026-99103" })
    #expect(decision.subject.host == "web01" && host.count("ATR-2026-99103") == 1)
  }

  @Test func aStampFarAheadEndsNoHour() {
    let host = Host()
    host.live(0..<14)
    let newest = host.detector.baseline.newest
    host.feed("http-request", provider: "nginx", at: Host.at(200, 0))
    #expect(host.detector.baseline.newest == newest)
    host.feed("ssh-login", "alice", from: "198.51.100.9", at: Host.at(14, 0, 1))
    #expect(host.event.text(.baselineLoginNetwork)?.string == "new")
  }

  /// Three lines with a wrong year are believed, and sixteen with the right one end it: the year between is not lost.
  @Test func aClockThatWasWrongIsNoYearWithoutLearning() {
    let host = Host()
    host.live(0..<10)
    for minute in 0..<5 as Range<Int64> { host.feed("http-request", provider: "nginx", at: Host.at(300, 0, minute)) }
    #expect(host.detector.baseline.newest > Host.at(299, 0))
    host.live(10..<28)
    #expect(host.detector.baseline.newest < Host.at(28, 0))
    let learning = host.detector.baseline.state(of: .loginNetwork).learning
    #expect(learning.isLearned && learning.days >= 27)
    host.feed("ssh-login", "alice", from: "198.51.100.9", at: Host.at(28, 3))
    #expect(host.event.text(.baselineLoginNetwork)?.string == "new")
    host.live(28..<29)
    for minute in 0..<9 as Range<Int64> { host.feed("ssh-login", "alice", from: "192.0.2.10", at: Host.at(29, 9, minute)) }
    #expect(host.event.integer(.baselineLogins).map { $0 > 4000 } == true)
  }

  @Test func aSnapshotGoesOnWhereItWasAndAWarmUpTeachesNothingTwice() throws {
    let (whole, first, second) = (Host(), Host(), Host())
    whole.live(0..<16)
    first.live(0..<12)
    second.detector.resume(try Baseline(snapshot: first.detector.baseline.snapshot()))
    for hour in 20..<24 as Range<Int64> { second.feed("cron-command", provider: "cron", at: Host.at(11, hour, 58), isWarmUp: true) }
    #expect(second.detector.baseline.snapshot() == first.detector.baseline.snapshot())
    second.live(12..<16)
    #expect(second.detector.baseline.hash == whole.detector.baseline.hash)
    #expect(second.detector.baseline.snapshot() == whole.detector.baseline.snapshot())
  }

  @Test func switchedOffItDoesNothing() throws {
    let host = Host(usesBaseline: false)
    host.live(0..<14)
    host.feed("ssh-login", "alice", from: "198.51.100.9", at: Host.at(14, 3))
    #expect(host.decisions == [] && !host.event.has(.baselineLoginNetwork))
    host.feed("bad-client", from: "198.51.100.9", at: Host.at(14, 4))
    #expect(try #require(host.decisions.first).provenance.baselineHash == "none")
  }
}

/// Attacks on learning, played against the whole detector: rules, incidents, baseline.
@Suite struct PlayedAttackTests {
  private func resolve(_ host: Host, _ domain: String, at time: EventTime) -> String? {
    host.feed("dns-query", provider: "panguard-capture", at: time) { event in
      var copy = domain
      copy.withUTF8 { event.set(.dnsQuestionRegisteredDomain, Bytes($0)) }
    }
    return host.event.text(.baselineDNSDomain)?.string
  }
  private func browsing(_ host: Host, _ days: Range<Int64>) {
    for day in days {
      for hour in 0..<24 as Range<Int64> { for name in ["example.org", "example.net"] { _ = resolve(host, name, at: Host.at(day, hour, 30)) } }
    }
  }

  /// A C2 contact every half hour for three weeks: told on the first day, quarantined while its incident is open, most of it without a
  /// record, and as little normal on the last day as on the second.
  @Test func aContactThatRepeatsUntilItShouldLookNormal() throws {
    let host = Host()
    browsing(host, 0..<14)
    #expect(host.decisions == [])
    var said: Set<String> = []
    for day in 14..<35 as Range<Int64> {
      browsing(host, day..<day + 1)
      for hour in 0..<24 as Range<Int64> {
        for minute in [5, 35] as [Int64] {
          let word = resolve(host, "evil.example", at: Host.at(day, hour, minute))
          if day > 14 { said.insert(try #require(word)) }
        }
      }
    }
    #expect(said == ["waiting"])
    #expect(host.count("ATR-2026-99105") >= 1 && host.decisions.count < 50)
    #expect(host.decisions.allSatisfy { $0.ruleID == "ATR-2026-99105" && $0.action != .blockIP })
    let pending = host.detector.baseline.state(of: .dnsDomain).pending
    #expect(pending.map { String(decoding: $0.label, as: UTF8.self) } == ["web01 evil.example"] && pending.map(\.cause) == [.told])
    #expect(resolve(host, "example.org", at: Host.at(35, 1)) == "known")
  }

  /// Failed logins that grow from 10 to 60 an hour within 30 days, a little more each day.
  @Test func aBoilingFrogBecomesADecision() throws {
    let host = Host()
    func day(_ day: Int64, _ perHour: Int64) {
      for hour in 0..<24 as Range<Int64> {
        host.feed("ssh-login", at: Host.at(day, hour)) { event in
          event.set(.eventOutcome, "failure")
          event.set(.attemptCount, perHour)
        }
      }
    }
    for n in 0..<60 as Range<Int64> { day(n, 10 + n % 3) }
    #expect(host.decisions == [])
    for n in 60..<90 as Range<Int64> { day(n, 10 + n % 3 + (n - 59) * 5 / 3) }
    let decision = try #require(host.decisions.first { $0.ruleID == "ATR-2026-99106" })
    #expect(decision.subject.host == "web01" && decision.time < Host.at(90, 0))
  }

  /// A thousand first logins from a thousand networks, and one that matters among them.
  @Test func aFloodOfNoveltiesHidesNothing() {
    let host = Host()
    host.live(0..<14)
    for n in 0..<1000 as Range<Int64> {
      if n == 700 { host.feed("ssh-login", "alice", from: "198.51.100.9", at: Host.at(14, 3, n / 20)) }
      host.feed("ssh-login", "user\(n)", from: "10.\(n / 250).\(n % 250).1", at: Host.at(14, 3, n / 20))
    }
    #expect(host.decisions.contains { $0.ruleID == "ATR-2026-99101" && $0.subject.source == "198.51.100.9" })
    // None of it was learned, neither then nor when it comes again: pushed out of the list of those that wait, it is told once more.
    for hour in 4..<8 as Range<Int64> {
      host.feed("ssh-login", "alice", from: "198.51.100.9", at: Host.at(14, hour))
      #expect(host.event.text(.baselineLoginNetwork)?.string == (hour == 4 ? "new" : "waiting"))
    }
    host.feed("ssh-login", "alice", from: "192.0.2.10", at: Host.at(14, 9))
    #expect(host.event.text(.baselineLoginNetwork)?.string == "known")
  }

  /// An attacker that is there from the first day on, and is told by another rule each day.
  @Test func anAttackDuringLearningNeverBecomesNormal() {
    let host = Host()
    for day in 0..<14 as Range<Int64> {
      host.feed("ssh-login", "alice", from: "198.51.100.9", at: Host.at(day, 0))
      host.feed("bad-client", from: "198.51.100.9", at: Host.at(day, 0, 1))
      for hour in 1..<24 as Range<Int64> { host.feed("ssh-login", "alice", from: "198.51.100.9", at: Host.at(day, hour, 1)) }
      host.live(day..<day + 1)
    }
    host.feed("ssh-login", "alice", from: "192.0.2.10", at: Host.at(14, 1))
    #expect(host.event.text(.baselineLoginNetwork)?.string == "known")
    #expect(host.count("ATR-2026-99101") == 1)
    host.feed("ssh-login", "alice", from: "198.51.100.9", at: Host.at(14, 1))
    #expect(host.event.text(.baselineLoginNetwork)?.string == "waiting")
  }

  /// Restarted each day: the days add up.
  @Test func learningGoesOnAcrossRestarts() throws {
    let whole = Host()
    var parts = Host()
    for day in 0..<14 as Range<Int64> {
      whole.live(day..<day + 1)
      parts.live(day..<day + 1)
      let next = Host()
      next.detector.resume(try Baseline(snapshot: parts.detector.baseline.snapshot()))
      parts = next
    }
    let (one, other) = (whole.detector.baseline.state(of: .loginNetwork).learning, parts.detector.baseline.state(of: .loginNetwork).learning)
    #expect(one == other && one.isLearned && one.days == 14)
    #expect(parts.detector.baseline.hash == whole.detector.baseline.hash)
  }
}
