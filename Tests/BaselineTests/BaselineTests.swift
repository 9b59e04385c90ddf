// A baseline as its users see it: events in, judgements in their fields. Simulated days; the numbers are the limits' own.
import Events
import PanguardTestKit
import Primitives
import Testing

@testable import Baseline

/// A host whose days are told in events.
final class Host {
  var baseline = Baseline()
  var event = Event()
  private(set) var findings: [BaselineFinding] = []
  /// A Monday.
  static let start = EventTime(rfc3339: "2026-01-05T00:00:00Z")!

  static func at(day: Int64, hour: Int64, minute: Int64 = 0) -> EventTime { start + .days(day) + .hours(hour) + .minutes(minute) }

  func begin(_ action: StaticString, _ provider: StaticString, at time: EventTime) {
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    event.time = time
    event.set(.eventAction, action)
    event.set(.eventProvider, provider)
    event.set(.eventOutcome, "success")
    event.set(.hostName, "web01")
  }
  func text(_ field: Field, _ value: String) {
    var copy = value
    copy.withUTF8 { event.set(field, Bytes($0)) }
  }
  /// Judges and learns the event; what was said of `row`.
  @discardableResult
  func take(_ row: PairClass? = nil, isClean: Bool = true) -> String? {
    findings += baseline.advance(to: event.time)
    baseline.judge(&event)
    let said = row.flatMap { event.text($0.field)?.string }
    baseline.learn(event, ClassSet(of: event), at: event.time, isClean: isClean)
    return said
  }
  @discardableResult
  func login(_ user: String, from address: String, at time: EventTime, isClean: Bool = true, asked row: PairClass = .loginNetwork) -> String? {
    begin("ssh-login", "sshd", at: time)
    text(.userName, user)
    text(.authenticationMethod, "publickey")
    event.set(.sourceIP, IPAddress(address)!)
    return take(row, isClean: isClean)
  }
  @discardableResult
  func resolve(_ domain: String, at time: EventTime, isClean: Bool = true) -> String? {
    begin("dns-query", "panguard-capture", at: time)
    text(.dnsQuestionRegisteredDomain, domain)
    return take(.dnsDomain, isClean: isClean)
  }
  /// Working days of two people.
  func live(days: Range<Int64>) {
    for day in days {
      for hour in [8, 9, 12, 17] as [Int64] {
        login("alice", from: "192.0.2.10", at: Host.at(day: day, hour: hour))
        login("bob", from: "198.51.100.7", at: Host.at(day: day, hour: hour, minute: 30))
      }
    }
  }
}

@Suite struct NoveltyTests {
  @Test func nothingIsNewBeforeTheClassIsLearned() {
    let host = Host()
    host.live(days: 0..<3)
    #expect(host.login("alice", from: "203.0.113.9", at: Host.at(day: 3, hour: 8)) == "learning")
  }

  @Test func aLearnedClassTellsPairsAndSubjectsApart() {
    let host = Host()
    host.live(days: 0..<14)
    #expect(host.login("alice", from: "192.0.2.99", at: Host.at(day: 14, hour: 8)) == "known")
    #expect(host.login("alice", from: "203.0.113.9", at: Host.at(day: 14, hour: 8)) == "new")
    #expect(host.login("mallory", from: "203.0.113.9", at: Host.at(day: 14, hour: 8)) == "new-subject")
    // What was clean is known from then on, and on the third day no news.
    #expect(host.login("alice", from: "203.0.113.9", at: Host.at(day: 14, hour: 9)) == "recent")
    #expect(host.login("alice", from: "203.0.113.9", at: Host.at(day: 15, hour: 9)) == "recent")
    #expect(host.login("alice", from: "203.0.113.9", at: Host.at(day: 16, hour: 9)) == "known")
    #expect(host.login("alice", from: "192.0.2.10", at: Host.at(day: 14, hour: 3), asked: .loginHour) == "new")
    #expect(host.login("alice", from: "192.0.2.10", at: Host.at(day: 15, hour: 9), asked: .loginHour) == "known")
  }

  /// Each of the four conditions alone keeps a class learning.
  @Test func learningNeedsDaysAndHoursAndObservationsAndCoverage() {
    let oneDay = Host()
    for minute in 0..<1000 { oneDay.login("alice", from: "192.0.2.10", at: Host.at(day: 0, hour: Int64(minute) / 60, minute: Int64(minute) % 60)) }
    #expect(!oneDay.baseline.state(of: .loginNetwork).learning.isLearned)
    let fewHours = Host()
    for day in 0..<19 as Range<Int64> {
      for minute in 0..<10 as Range<Int64> { fewHours.login("alice", from: "192.0.2.10", at: Host.at(day: day, hour: 9, minute: minute)) }
    }
    #expect(!fewHours.baseline.state(of: .loginNetwork).learning.isLearned)
    let few = Host()
    for day in 0..<39 { few.login("alice", from: "192.0.2.10", at: Host.at(day: Int64(day), hour: Int64(day) % 24)) }
    #expect(!few.baseline.state(of: .loginNetwork).learning.isLearned)
    few.login("alice", from: "192.0.2.10", at: Host.at(day: 40, hour: 9))
    #expect(few.baseline.state(of: .loginNetwork).learning.isLearned)
    // A traveller: each network is another one, so the next one says nothing.
    let traveller = Host()
    for day in 0..<60 { traveller.login("alice", from: "10.0.\(day).1", at: Host.at(day: Int64(day), hour: 9)) }
    #expect(!traveller.baseline.state(of: .loginNetwork).learning.isLearned)
    #expect(traveller.login("alice", from: "203.0.113.9", at: Host.at(day: 61, hour: 9)) == "learning")
  }

  @Test func whatWasNotSeenForNinetyDaysIsNewAgain() {
    let host = Host()
    host.live(days: 0..<14)
    for day in 14..<120 as Range<Int64> { host.login("bob", from: "198.51.100.7", at: Host.at(day: day, hour: 9)) }
    #expect(host.login("bob", from: "198.51.100.7", at: Host.at(day: 120, hour: 9)) == "known")
    #expect(host.login("alice", from: "192.0.2.10", at: Host.at(day: 120, hour: 9)) == "new-subject")
  }

  @Test func whoIsForgottenIsNewWithAllThatBelongedToThem() {
    let host = Host()
    host.live(days: 0..<14)
    #expect(host.baseline.forget(subject: Array("alice".utf8)) > 3)
    #expect(host.baseline.forget(subject: Array("alice".utf8)) == 0)
    #expect(host.login("alice", from: "192.0.2.10", at: Host.at(day: 14, hour: 8)) == "new-subject")
    #expect(host.login("alice", from: "192.0.2.10", at: Host.at(day: 14, hour: 9)) == "recent")
    #expect(host.login("bob", from: "198.51.100.7", at: Host.at(day: 14, hour: 9)) == "known")
  }

  @Test func nobodyElseWritesTheFields() {
    let host = Host()
    host.begin("http-request", "nginx", at: Host.start)
    host.text(.baselineLoginNetwork, "known")
    host.event.set(.baselineLogins, -9000)
    host.take()
    #expect(!host.event.has(.baselineLoginNetwork) && !host.event.has(.baselineLogins))
  }
}

/// The attacks on learning.
@Suite struct PoisoningTests {
  private func learned() -> Host {
    let host = Host()
    for day in 0..<14 as Range<Int64> {
      for hour in 0..<24 as Range<Int64> { for name in ["example.org", "example.net"] { host.resolve(name, at: Host.at(day: day, hour: hour)) } }
    }
    return host
  }

  @Test func aFlaggedContactNeverBecomesNormalHoweverOftenItComes() {
    let host = learned()
    #expect(host.resolve("evil.example", at: Host.at(day: 14, hour: 0), isClean: false) == "new")
    for minute in 1..<2000 as Range<Int64> {
      let said = host.resolve("evil.example", at: Host.at(day: 14, hour: 0) + .minutes(minute), isClean: false)
      guard said == "waiting" else { Issue.record("\(minute): \(said ?? "")"); return }
    }
    let pending = host.baseline.state(of: .dnsDomain).pending
    #expect(pending.map { String(decoding: $0.label, as: UTF8.self) } == ["web01 evil.example"])
    #expect(pending.map(\.count) == [2000] && pending.map(\.cause) == [.told])
    // Nor when it comes once without being flagged.
    host.resolve("evil.example", at: Host.at(day: 30, hour: 1))
    #expect(host.resolve("evil.example", at: Host.at(day: 30, hour: 2)) == "waiting")
    // An operator can say that it is normal.
    host.baseline.promote(.dnsDomain, subject: Array("web01".utf8), object: Array("evil.example".utf8))
    #expect(host.resolve("evil.example", at: Host.at(day: 30, hour: 3)) == "recent")
    #expect(host.baseline.state(of: .dnsDomain).pending == [])
  }

  /// It was clean until a rule had seen enough of it.
  @Test func aContactThatIsFlaggedLaterIsTakenBack() {
    let host = learned()
    #expect(host.resolve("evil.example", at: Host.at(day: 14, hour: 0)) == "new")
    #expect(host.resolve("evil.example", at: Host.at(day: 14, hour: 1)) == "recent")
    #expect(host.resolve("evil.example", at: Host.at(day: 15, hour: 1), isClean: false) == "recent")
    for day in 15..<40 as Range<Int64> { #expect(host.resolve("evil.example", at: Host.at(day: day, hour: 2)) == "waiting") }
    #expect(host.baseline.state(of: .dnsDomain).pending.map(\.cause) == [.told])
    // What was known for long is not taken from its owner by one match.
    host.resolve("example.org", at: Host.at(day: 40, hour: 3), isClean: false)
    #expect(host.resolve("example.org", at: Host.at(day: 40, hour: 4)) == "known")
  }

  @Test func aFloodOfNoveltiesNeitherFillsTheSetNorHidesOne() {
    let host = learned()
    let before = host.baseline.state(of: .dnsDomain).entries
    for n in 0..<5000 { #expect(host.resolve("n\(n).example", at: Host.at(day: 14, hour: 5)) == "new") }
    #expect(host.resolve("evil.example", at: Host.at(day: 14, hour: 5)) == "new")
    let state = host.baseline.state(of: .dnsDomain)
    #expect(state.entries - before == Int(Limits.baselineNewPerDay))
    #expect(state.pending.count == Limits.baselinePending)
    #expect(Int(state.droppedPending) == 5001 - Int(Limits.baselineNewPerDay) - Limits.baselinePending)
    #expect(state.learning.isLearned)
    #expect(host.resolve("evil.example", at: Host.at(day: 14, hour: 6)) == "new")
  }

  @Test func anAttackDuringLearningIsNotLearned() {
    let host = Host()
    for day in 0..<14 as Range<Int64> {
      for hour in 0..<24 as Range<Int64> {
        host.resolve("example.org", at: Host.at(day: day, hour: hour))
        host.resolve("evil.example", at: Host.at(day: day, hour: hour, minute: 1), isClean: false)
      }
    }
    #expect(host.resolve("example.org", at: Host.at(day: 14, hour: 0)) == "known")
    #expect(host.resolve("evil.example", at: Host.at(day: 14, hour: 0)) == "waiting")
  }

  /// From 10 to 60 attempts an hour within 30 days, a little more each day.
  @Test func aBoilingFrogIsTold() {
    let host = Host()
    func day(_ day: Int64, _ perHour: Int64) {
      for hour in 0..<24 as Range<Int64> {
        host.begin("ssh-login", "sshd", at: Host.at(day: day, hour: hour))
        host.event.set(.eventOutcome, "failure")
        host.event.set(.attemptCount, perHour)
        host.take()
      }
    }
    for n in 0..<60 as Range<Int64> { day(n, 10 + n % 3) }
    #expect(host.findings == [])
    for n in 60..<90 as Range<Int64> { day(n, 10 + n % 3 + (n - 59) * 5 / 3) }
    #expect(host.findings.contains { $0.kind == .drift && $0.rate == .attempts && $0.deviation > 0 })
  }

  /// Four more attempts each hour than the usual ten: below any threshold, and never far from what is usual.
  @Test func lowAndSlowAddsUp() {
    let host = Host()
    var random = SplitMix64(seed: 7)
    func hour(_ n: Int64, _ more: Int64) {
      host.begin("ssh-login", "sshd", at: Host.at(day: 0, hour: n))
      host.event.set(.eventOutcome, "failure")
      host.event.set(.attemptCount, 8 + Int64.random(in: 0...4, using: &random) + more)
      host.take()
    }
    for n in 0..<(24 * 42) as Range<Int64> { hour(n, 0) }
    #expect(host.findings == [])
    for n in (24 * 42)..<(24 * 44) as Range<Int64> { hour(n, 4) }
    let shift = host.findings.first { $0.kind == .shift && $0.rate == .attempts }
    #expect(shift.map { $0.deviation > 0 && String(decoding: $0.subject, as: UTF8.self) == "web01" } == true)
  }
}

@Suite struct RateTests {
  @Test func aServiceThatFallsSilentIsToldOnce() {
    let host = Host()
    func minute(_ n: Int64, nginx: Bool) {
      host.begin("cron-command", "cron", at: Host.start + .minutes(n))
      host.take()
      guard nginx else { return }
      host.begin("http-request", "nginx", at: Host.start + .minutes(n))
      host.take()
    }
    for n in 0..<(10 * 24 * 12) as Range<Int64> { minute(5 * n, nginx: true) }
    #expect(host.findings == [])
    for n in (10 * 24 * 12)..<(11 * 24 * 12) as Range<Int64> { minute(5 * n, nginx: false) }
    let silences = host.findings.filter { $0.kind == .silence }
    #expect(silences.map { String(decoding: $0.subject, as: UTF8.self) } == ["nginx web01"])
    #expect(silences.map(\.expected) == [12] && silences.allSatisfy { $0.deviation < -2000 })
  }

  /// Of a program that no parser knows there is only the name in its lines; the name of the fall-back is nobody's.
  @Test(arguments: [nil, "generic"] as [String?]) func aServiceWithoutAParserFallsSilentToo(provider: String?) {
    let host = Host()
    func minute(_ n: Int64, works: Bool) {
      host.begin("cron-command", "cron", at: Host.start + .minutes(n))
      host.take()
      guard works else { return }
      host.event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
      host.event.time = Host.start + .minutes(n)
      host.event.set(.hostName, "web01")
      host.text(.processName, "my backup")
      if let provider { host.text(.eventProvider, provider) }
      host.take()
    }
    for n in 0..<(10 * 24 * 12) as Range<Int64> { minute(5 * n, works: true) }
    for n in (10 * 24 * 12)..<(10 * 24 * 12 + 30) as Range<Int64> { minute(5 * n, works: false) }
    let silences = host.findings.filter { $0.kind == .silence }
    #expect(silences.map { String(decoding: $0.subject, as: UTF8.self) } == ["my backup web01"] && host.findings.count == 1)
    guard let finding = silences.first else { return }
    host.event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    finding.write(to: &host.event)
    #expect(host.event.text(.eventDataset)?.string == "my backup" && host.event.text(.hostName)?.string == "web01")
  }

  /// Whoever may log can say any name: only half of what may come in a day.
  @Test func madeUpServicesLeaveRoomForOthers() {
    let host = Host()
    for n in 0..<1000 {
      host.event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
      host.event.time = Host.start
      host.text(.processName, "made-up-\(n)")
      host.take()
    }
    #expect(host.baseline.profileCount == Limits.baselineLineServicesPerDay)
    host.login("alice", from: "192.0.2.10", at: Host.at(day: 0, hour: 1))
    var names: [String] = []
    host.baseline.forEachRate { rate, subject, _ in names.append("\(rate.name) \(String(decoding: subject, as: UTF8.self))") }
    #expect(names.suffix(2) == ["logins alice", "events sshd web01"])
  }

  /// When everything stops at once, some of it is told and the rest is counted.
  @Test func manySilencesAreCut() {
    let host = Host()
    let services = Limits.baselineFindings + 10
    func hour(_ n: Int64, isAlive: Bool) {
      host.begin("cron-command", "cron", at: Host.start + .hours(n))
      host.take()
      guard isAlive else { return }
      for number in 0..<services {
        for minute in 0..<12 as Range<Int64> {
          host.begin("http-request", "nginx", at: Host.start + .hours(n) + .minutes(5 * minute))
          host.text(.eventProvider, "service\(number)")
          host.take()
        }
      }
    }
    for n in 0..<240 as Range<Int64> { hour(n, isAlive: true) }
    #expect(host.findings == [] && host.baseline.untoldFindings == 0)
    for n in 240..<264 as Range<Int64> { hour(n, isAlive: false) }
    #expect(host.findings.filter { $0.kind == .silence }.count == Limits.baselineFindings)
    #expect(host.baseline.untoldFindings >= 10)
  }

  @Test func moreLoginsThanUsualAtThisHour() {
    let host = Host()
    host.live(days: 0..<28)
    func deviation(_ hour: Int64) -> Int64? {
      host.login("alice", from: "192.0.2.10", at: Host.at(day: 28, hour: hour))
      return host.event.integer(.baselineLogins)
    }
    #expect(deviation(9).map { abs($0) < 1000 } == true)
    for _ in 0..<9 { _ = deviation(9) }
    #expect(deviation(9).map { $0 > 5000 } == true)
  }

  /// A host that was off for a month has not become silent.
  @Test func hoursWithoutAnyEventAreLeftOut() {
    let host = Host()
    host.live(days: 0..<28)
    host.live(days: 58..<60)
    #expect(host.findings.filter { $0.kind == .silence } == [])
    #expect(host.login("alice", from: "192.0.2.10", at: Host.at(day: 60, hour: 9)) == "known")
  }

  @Test func aLevelFollowsAndOneWildHourDoesNotMoveItFar() {
    var hours = HourProfile()
    for week in 0..<20 as Range<Int64> {
      hours.add(100, isClean: true)
      _ = hours.close(hour: week * 168, learns: true)
    }
    #expect(hours.expectation(hour: 0)?.level == Int64(25_600))
    hours.add(1_000_000, isClean: true)
    _ = hours.close(hour: 20 * 168, learns: true)
    #expect(hours.expectation(hour: 0).map { $0.level > 100 * 256 && $0.level < 105 * 256 } == true)
    // Nor does one in which anything was flagged.
    let before = hours.expectation(hour: 0)
    hours.add(50, isClean: true)
    hours.add(1, isClean: false)
    _ = hours.close(hour: 21 * 168, learns: true)
    #expect(hours.expectation(hour: 0) == before)
  }

  @Test func roots() {
    for n in 0..<5000 as Range<Int64> {
      let root = integerSquareRoot(n)
      #expect(root * root <= n && (root + 1) * (root + 1) > n)
    }
    #expect(integerSquareRoot(1 << 56) == 1 << 28)
  }
}

@Suite struct SnapshotTests {
  private func sample() -> Host {
    let host = Host()
    host.live(days: 0..<20)
    for n in 0..<100 { host.resolve("n\(n).example", at: Host.at(day: 20, hour: 5), isClean: n % 2 == 0) }
    host.browse(days: 20..<21)
    for n in 0..<60 { host.fail("user\(n)", from: "203.0.113.9", at: Host.at(day: 20, hour: 18)) }
    return host
  }

  @Test func comesBackTheSame() throws {
    let host = sample()
    let bytes = host.baseline.snapshot()
    let copy = Host()
    copy.baseline = try Baseline(snapshot: bytes)
    #expect(copy.baseline.snapshot() == bytes && copy.baseline.hash == host.baseline.hash)
    // And goes on the same.
    for one in [host, copy] {
      one.live(days: 21..<30)
      one.login("mallory", from: "203.0.113.9", at: Host.at(day: 30, hour: 1))
    }
    #expect(copy.baseline.snapshot() == host.baseline.snapshot() && copy.baseline.hash == host.baseline.hash)
    #expect(copy.event.text(.baselineLoginNetwork)?.string == "new-subject")
  }

  @Test func theHashNamesWhatWasLearned() {
    let (a, b) = (sample(), sample())
    #expect(a.baseline.hash == b.baseline.hash)
    a.login("carol", from: "192.0.2.1", at: Host.at(day: 21, hour: 1))
    b.login("carol", from: "198.51.100.1", at: Host.at(day: 21, hour: 1))
    #expect(a.baseline.hash != b.baseline.hash)
    // Also amounts alone, once their hour is over.
    let (c, d) = (sample(), sample())
    for (host, more) in [(c, 3), (d, 4)] as [(Host, Int64)] {
      host.begin("ssh-login", "sshd", at: Host.at(day: 21, hour: 1))
      host.event.set(.attemptCount, more)
      host.take()
      host.live(days: 22..<23)
    }
    #expect(c.baseline.learnedEvents == d.baseline.learnedEvents && c.baseline.hash != d.baseline.hash)
  }

  @Test func aFrozenOneCountsNothingAsLearned() {
    let host = sample()
    host.baseline.isFrozen = true
    let (learned, hash) = (host.baseline.learnedEvents, host.baseline.hash)
    for minute in 0..<3 { host.login("carol", from: "192.0.2.1", at: Host.at(day: 20, hour: 23, minute: 50 + Int64(minute))) }
    #expect(host.baseline.learnedEvents == learned)
    host.baseline.isFrozen = false
    host.login("carol", from: "192.0.2.1", at: Host.at(day: 20, hour: 23, minute: 55))
    #expect(host.baseline.learnedEvents == learned + 1 && host.baseline.hash != hash)
  }

  @Test func damagedOnesAreRefused() {
    let bytes = sample().baseline.snapshot()
    for cut in [0, 5, 20, 21, bytes.count / 2, bytes.count - 1] {
      #expect(throws: BaselineSnapshotError.self) { _ = try Baseline(snapshot: Array(bytes.prefix(cut))) }
    }
    var random = SplitMix64(seed: 1)
    for _ in 0..<200 {
      var damaged = bytes
      damaged[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
      #expect(throws: BaselineSnapshotError.self) { _ = try Baseline(snapshot: damaged) }
    }
  }

  /// With a check that fits, so that the reader itself is tried: whatever it takes, it writes again the same.
  @Test func hostileOnesEndInAValueOrAnError() {
    let bytes = sample().baseline.snapshot()
    var random = SplitMix64(seed: 2)
    for _ in 0..<300 {
      var body = Array(bytes.dropLast(16))
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        body[Int.random(in: 20..<min(body.count, 2000), using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      if Bool.random(using: &random) { body.removeLast(Int.random(in: 0..<body.count - 20, using: &random)) }
      var tail = SnapshotWriter()
      tail.put(body.withUnsafeBytes { Fingerprint(of: $0) })
      guard let taken = try? Baseline(snapshot: body + tail.bytes) else { continue }
      #expect(taken.snapshot() == body + tail.bytes)
    }
  }
}

@Suite struct BoundTests {
  /// As many distinct keys as a test may take here; what holds for them holds for any number: nothing grows with them.
  @Test func tablesStayInTheirBounds() {
    let host = Host()
    for n in 0..<40_000 as Range<Int64> {
      host.resolve("n\(n).example", at: Host.start + .minutes(n))
      if n % 4 == 0 { host.login("u\(n)", from: "192.0.2.1", at: Host.start + .minutes(n)) }
    }
    let domains = host.baseline.state(of: .dnsDomain)
    #expect(domains.entries <= Limits.baselineWidePairs && domains.evictions > 0 && domains.pending.count <= Limits.baselinePending)
    #expect(host.baseline.state(of: .loginHost).entries <= Limits.baselinePairs)
    #expect(host.baseline.profileCount <= Limits.baselineProfiles && host.baseline.refusedProfiles > 0)
    #expect(host.baseline.snapshot().count < 4 * 1024 * 1024)
  }
}
