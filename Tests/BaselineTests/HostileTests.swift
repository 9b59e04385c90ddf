// What hostile and merely unusual input does to a baseline: numbers at the ends of their range, strangers, clocks that lie, files of others.
import Events
import PanguardTestKit
import Primitives
import Testing

@testable import Baseline

extension Host {
  /// A connection that the capture reports.
  func flow(_ source: String, _ target: String, bytes: Int64, direction: StaticString? = "outbound", at time: EventTime) {
    begin("network_flow", "panguard-capture", at: time)
    event.set(.sourceIP, IPAddress(source)!)
    event.set(.destinationIP, IPAddress(target)!)
    event.set(.destinationPort, 443)
    event.set(.networkTransport, "tcp")
    event.set(.sourceBytes, bytes)
    event.set(.eventDuration, bytes)
    if let direction { event.set(.networkDirection, direction) }
    take()
  }
  /// Rates that are kept, as "logins alice".
  var rates: [String] {
    var out: [String] = []
    baseline.forEachRate { rate, subject, _ in out.append("\(rate.name) \(String(decoding: subject, as: UTF8.self))") }
    return out
  }
}

@Suite struct HostileNumberTests {
  /// Amounts of an event come from its input; whatever they are, sums end at their limit.
  @Test(arguments: [Int64.max, Int64.max - 1, 1 << 62, 1 << 40, 0, -1, Int64.min])
  func amountsAtTheEndsOfTheirRange(amount: Int64) throws {
    let host = Host()
    for hour in 0..<(24 * 9) as Range<Int64> {
      for minute in 0..<4 as Range<Int64> {
        let time = Host.at(day: 0, hour: hour, minute: minute)
        host.flow("192.0.2.10", "203.0.113.9", bytes: amount, at: time)
        host.begin("ssh-login", "sshd", at: time)
        host.event.set(.eventOutcome, "failure")
        host.event.set(.attemptCount, amount)
        host.event.set(.httpResponseBodyBytes, amount)
        host.event.repeatCount = amount
        host.take()
        host.begin("ssh-login", "sshd", at: time)
        host.text(.userName, "alice")
        host.event.repeatCount = amount
        host.take()
      }
    }
    #expect(try Baseline(snapshot: host.baseline.snapshot()).snapshot() == host.baseline.snapshot())
  }

  /// A count that no input makes, but a file can hold.
  @Test func registersThatAreAllFull() throws {
    var out = SnapshotWriter()
    out.put(true)
    out.put([UInt8](repeating: 55, count: 1024))
    var reader = SnapshotReader(out.bytes, from: 0)
    var count = try DistinctCount(from: &reader)
    #expect(count.count() > 1 << 50)
  }
}

/// Learning under attack, beyond what `PoisoningTests` play.
@Suite struct QuarantineTests {
  private func learned() -> Host {
    let host = Host()
    for day in 0..<14 as Range<Int64> {
      for hour in 0..<24 as Range<Int64> { for name in ["example.org", "example.net"] { host.resolve(name, at: Host.at(day: day, hour: hour)) } }
    }
    return host
  }
  private func waits(_ host: Host, _ label: String) -> Bool {
    host.baseline.state(of: .dnsDomain).pending.contains { String(decoding: $0.label, as: UTF8.self) == label }
  }

  /// What waits for room is no hiding place: it gives way to what was flagged.
  @Test func aFullListStillHoldsWhatWasFlagged() throws {
    let host = learned()
    for n in 0..<1000 { host.resolve("n\(n).example", at: Host.at(day: 14, hour: 5)) }
    #expect(host.baseline.state(of: .dnsDomain).pending.count == Limits.baselinePending)
    #expect(host.resolve("evil.example", at: Host.at(day: 14, hour: 6), isClean: false) == "new")
    #expect(waits(host, "web01 evil.example") && host.baseline.state(of: .dnsDomain).pending.count == Limits.baselinePending)
    // Days later nobody speaks against it, and there is room.
    for day in 16..<20 as Range<Int64> { #expect(host.resolve("evil.example", at: Host.at(day: day, hour: 1)) == "waiting") }
    let copy = Host()
    copy.baseline = try Baseline(snapshot: host.baseline.snapshot())
    #expect(copy.resolve("evil.example", at: Host.at(day: 20, hour: 1)) == "waiting")
  }

  /// Nor do more flagged ones than the list holds push out one that keeps coming.
  @Test func aFloodOfFlaggedOnesDoesNotHideTheOneThatComesAgain() {
    let host = learned()
    for n in 0..<(4 * Limits.baselinePending) {
      if n % 100 == 0 { host.resolve("evil.example", at: Host.at(day: 14, hour: 5), isClean: false) }
      host.resolve("n\(n).example", at: Host.at(day: 14, hour: 5), isClean: false)
    }
    #expect(waits(host, "web01 evil.example") && host.baseline.state(of: .dnsDomain).droppedPending > 0)
    #expect(host.resolve("evil.example", at: Host.at(day: 17, hour: 1)) == "waiting")
  }

  /// A rule that reports novelty is no reason to report the same novelty for ever.
  @Test func whatWasToldIsNotNewAgain() {
    let host = learned()
    #expect(host.resolve("site.example", at: Host.at(day: 14, hour: 5), isClean: false) == "new")
    for day in 15..<60 as Range<Int64> {
      #expect(host.resolve("site.example", at: Host.at(day: day, hour: 5), isClean: false) == "waiting")
      host.resolve("example.org", at: Host.at(day: day, hour: 6))
    }
    // After a fortnight without it, it is news.
    for day in 60..<74 as Range<Int64> { host.resolve("example.org", at: Host.at(day: day, hour: 6)) }
    #expect(host.resolve("site.example", at: Host.at(day: 74, hour: 5)) == "new")
    #expect(host.resolve("site.example", at: Host.at(day: 74, hour: 6)) == "waiting")
  }

  /// What was quarantined while the class was learning was never shown to rules as new: it is, once.
  @Test func whatWasFlaggedWhileLearningIsToldOnce() {
    let host = Host()
    host.resolve("evil.example", at: Host.at(day: 0, hour: 0), isClean: false)
    for day in 0..<14 as Range<Int64> { for hour in 0..<24 as Range<Int64> { host.resolve("example.org", at: Host.at(day: day, hour: hour)) } }
    #expect(host.resolve("evil.example", at: Host.at(day: 14, hour: 0)) == "new")
    #expect(host.resolve("evil.example", at: Host.at(day: 14, hour: 1)) == "waiting")
  }

  /// A day on which everything was quarantined is another state than one on which nothing was.
  @Test func theHashTellsWhatWasQuarantined() {
    let hosts = [learned(), learned(), learned()]
    hosts[0].resolve("other.example", at: Host.at(day: 14, hour: 5))
    hosts[1].resolve("other.example", at: Host.at(day: 14, hour: 5), isClean: false)
    hosts[2].resolve("other.example", at: Host.at(day: 14, hour: 5))
    hosts[2].resolve("other.example", at: Host.at(day: 14, hour: 5), isClean: false)
    #expect(Set(hosts.map { $0.baseline.hash }).count == 3)
  }

  /// On a host on the Internet no hour passes without an attack; its own habits are learned all the same.
  @Test func aHostThatIsAttackedEveryHourLearns() {
    let host = Host()
    func hour(_ n: Int64, more: Int64) {
      for minute in 0..<20 as Range<Int64> {
        host.begin("ssh-login", "sshd", at: Host.at(day: 0, hour: n, minute: minute * 3))
        host.event.set(.eventOutcome, "failure")
        host.event.set(.attemptCount, minute < 10 ? 1 : 50 * (n % 7))
        host.take(isClean: minute < 10)
        guard minute < more else { continue }
        host.event.set(.attemptCount, 1)
        host.take()
      }
    }
    for n in 0..<(24 * 28) as Range<Int64> { hour(n, more: 0) }
    var expected: Int64?
    host.baseline.forEachRate { rate, _, hours in if rate == .attempts { expected = hours.expected } }
    #expect(expected == 10 && host.findings == [])
    for n in (24 * 28)..<(24 * 30) as Range<Int64> { hour(n, more: 5) }
    #expect(host.findings.contains { $0.kind == .shift && $0.rate == .attempts && $0.deviation > 0 })
  }
}

@Suite struct StrangerTests {
  /// Whoever connects to the host is none of its machines, by whichever address it is known.
  @Test(arguments: [("192.0.2.10", "inbound"), ("8.8.4.4", "external")])
  func strangersTakeNoPlaceOfMachines(own: String, direction: String) {
    let host = Host()
    let isPublic = direction == "external"
    host.flow(own, "203.0.113.9", bytes: 1000, direction: isPublic ? "external" : "outbound", at: Host.start)
    for n in 0..<300 as Range<Int64> {
      host.flow("100.64.\(n / 250).\(n % 250)", own, bytes: 100, direction: isPublic ? "external" : "inbound", at: Host.start + .minutes(n))
    }
    host.login("alice", from: "198.51.100.1", at: Host.start + .minutes(301))
    #expect(host.rates.filter { $0.hasPrefix("sent_bytes") } == ["sent_bytes \(own)"])
    #expect(host.rates.contains("logins alice") && host.baseline.refusedProfiles == 0)
    var machines: [String] = []
    host.baseline.forEachMeasure { if $0.kind == .uploads { machines.append(String(decoding: $0.name, as: UTF8.self)) } }
    #expect(machines == [own])
  }

  /// An IPv6 host has a new address each day (RFC 8981): its network is what is known of it.
  @Test func addressesThatChangeDailyAreOneMachine() {
    let host = Host()
    for day in 0..<14 as Range<Int64> {
      for hour in 0..<24 as Range<Int64> {
        let address = "2001:db8:1:2:\(day + 1):\(day * 7 + 1):3:4"
        host.flow(address, "203.0.113.9", bytes: 1000, at: Host.at(day: day, hour: hour))
        host.begin("dns-query", "panguard-capture", at: Host.at(day: day, hour: hour))
        host.event.remove(.hostName)
        host.event.set(.sourceIP, IPAddress(address)!)
        host.text(.dnsQuestionRegisteredDomain, "example.org")
        let said = host.take(.dnsDomain)
        #expect(said == "learning" || said == "known")
      }
    }
    #expect(host.rates.filter { $0.hasPrefix("sent_bytes") } == ["sent_bytes 2001:db8:1:2::"])
    #expect(host.baseline.state(of: .dnsDomain).learning.isLearned && host.baseline.state(of: .dnsDomain).entries == 2)
    #expect(host.baseline.forget(subject: Array("2001:db8:1:2::77".utf8)) >= 3 && host.rates.filter { $0.hasPrefix("sent_bytes") } == [])
  }

  /// What visitors of a server bring along says nothing about the host's own clients.
  @Test func visitorsDoNotTeachWhatTheHostsOwnClientsAre() {
    let host = Host()
    for n in 0..<500 as Range<Int64> {
      host.begin("tls-client-hello", "panguard-capture", at: Host.start + .minutes(n * 30))
      host.event.remove(.hostName)
      host.event.set(.sourceIP, IPAddress("203.0.113.\(n % 250)")!)
      host.event.set(.destinationIP, IPAddress("192.0.2.10")!)
      host.event.set(.networkDirection, "inbound")
      host.text(.tlsClientJA4, "t13d\(n)")
      host.take()
    }
    #expect(host.baseline.state(of: .tlsClient).entries == 0)
  }
}

@Suite struct HabitTests {
  /// The same working day, when the clocks are changed.
  @Test func anHourEarlierOrLaterIsTheSameHabit() {
    let host = Host()
    func day(_ day: Int64, shift: Int64) -> [String?] {
      ([8, 9, 12, 17] as [Int64]).map { host.login("alice", from: "192.0.2.10", at: Host.at(day: day, hour: $0 + shift), asked: .loginHour) }
    }
    for n in 0..<28 as Range<Int64> where n % 7 < 5 { _ = day(n, shift: 0) }
    #expect(day(28, shift: 1) == ["known", "known", "known", "known"])
    #expect(day(28, shift: -1) == ["known", "known", "known", "known"])
    #expect(host.login("alice", from: "192.0.2.10", at: Host.at(day: 29, hour: 3), asked: .loginHour) == "new")
  }

  /// A service that nobody uses on Sundays, from its first one on.
  @Test func aQuietSundayIsNoSilence() {
    let host = Host()
    for n in 0..<(24 * 42) as Range<Int64> {
      host.begin("cron-command", "cron", at: Host.start + .hours(n))
      host.take()
      guard n / 24 % 7 < 5 else { continue }
      host.begin("http-request", "nginx", at: Host.start + .hours(n) + .minutes(1))
      host.event.repeatCount = 40
      host.take()
    }
    #expect(host.findings.filter { $0.kind == .silence || $0.deviation > 0 } == [])
  }

  /// A host that is switched off each night, once earlier and once later than usual.
  @Test func switchingOnAndOffIsNoSilence() {
    let host = Host()
    func day(_ n: Int64, _ hours: ClosedRange<Int64>, service: ClosedRange<Int64>) {
      for hour in hours {
        host.begin("cron-command", "cron", at: Host.at(day: n, hour: hour, minute: 1))
        host.take()
        guard service.contains(hour) else { continue }
        host.begin("http-request", "nginx", at: Host.at(day: n, hour: hour, minute: 30))
        host.event.repeatCount = 40
        host.take()
      }
    }
    for n in 0..<28 as Range<Int64> { day(n, 8...18, service: 8...18) }
    // Off at 16:02, the next day on at 9:58.
    day(28, 8...16, service: 8...15)
    day(29, 9...18, service: 10...18)
    #expect(host.findings.filter { $0.kind == .silence } == [])
    // But a service that ends while the host goes on.
    day(30, 8...18, service: 8...12)
    #expect(host.findings.filter { $0.kind == .silence }.count == 1)
  }

  /// Services whose hours vary widely, with nothing wrong: none falls silent, none shifts.
  @Test func whatVariesIsNotSilent() {
    let host = Host()
    var random = SplitMix64(seed: 11)
    for n in 0..<(24 * 120) as Range<Int64> {
      host.begin("cron-command", "cron", at: Host.start + .hours(n))
      host.take()
      // Visits, each of several lines: many hours have few.
      var lines: Int64 = 0
      for _ in 0..<12 where Int.random(in: 0..<4, using: &random) == 0 { lines += Int64.random(in: 1...6, using: &random) }
      guard lines > 0 else { continue }
      host.begin("http-request", "nginx", at: Host.start + .hours(n) + .minutes(1))
      host.event.repeatCount = lines
      host.take()
    }
    // One hour in thirty is empty.
    #expect(host.findings.count <= 1)
  }
}

@Suite struct WrongClockTests {
  /// The clock goes ten months ahead for an hour, and back.
  @Test func whatWasNotedOfAFutureIsTakenBack() throws {
    let host = Host()
    host.live(days: 0..<10)
    host.live(days: 300..<301)
    let former = host.baseline.newest
    let present = Host.at(day: 10, hour: 0)
    // Only by the clock that led.
    host.baseline.goBack(from: Host.at(day: 250, hour: 0), to: present)
    #expect(host.baseline.newest == former)
    host.baseline.goBack(from: former, to: present)
    #expect(host.baseline.newest == present)
    let copy = Host()
    copy.baseline = try Baseline(snapshot: host.baseline.snapshot())
    for one in [host, copy] {
      one.live(days: 10..<28)
      #expect(one.baseline.state(of: .loginNetwork).learning.days >= 28)
      #expect(one.login("alice", from: "203.0.113.9", at: Host.at(day: 28, hour: 8)) == "new")
      #expect(one.login("alice", from: "192.0.2.10", at: Host.at(day: 28, hour: 8)) == "known")
      #expect(one.event.integer(.baselineLogins) != nil)
    }
    #expect(host.baseline.snapshot() == copy.baseline.snapshot())
  }

  /// Times at the ends of what can be written, in any order: no trap, and bounded work.
  @Test func timesAtTheEndsOfTheirRange() throws {
    let host = Host()
    var random = SplitMix64(seed: 5)
    let ends = [Int64.min, Int64.min + 1, -1, 0, Int64.max - 1, Int64.max].map { EventTime(nanoseconds: $0) }
    for n in 0..<400 {
      let time = n % 3 == 0 ? Host.at(day: Int64(n), hour: 3) : ends.randomElement(using: &random)!
      host.login("alice", from: "192.0.2.\(n % 200)", at: time, isClean: n % 5 != 0)
      host.flow("192.0.2.10", "203.0.113.9", bytes: 1, at: time)
      if n % 7 == 0 { host.baseline.goBack(from: host.baseline.newest, to: ends.randomElement(using: &random)!) }
    }
    let bytes = host.baseline.snapshot()
    #expect(try Baseline(snapshot: bytes).snapshot() == bytes)
  }
}

@Suite struct WrittenByPeopleTests {
  @Test(
    arguments: [
      (PairClass.loginNetwork, "192.0.2.0/24", "192.0.2.0/24"), (.loginNetwork, "192.0.2.77", "192.0.2.0/24"),
      (.loginNetwork, "192.0.2.64/26", "192.0.2.0/24"),
      (.loginNetwork, "2001:db8:1:2::3", "2001:db8:1::/48"), (.loginNetwork, "192.0.0.0/16", nil), (.loginNetwork, "office", nil),
      (.loginNetwork, "", nil),
      (.loginHour, "weekday 03", "weekday 03"), (.loginHour, "weekday 3", nil), (.loginHour, "weekend 24", nil), (.listener, "443", "443/tcp"),
      (.listener, "53/udp", "53/udp"), (.listener, "99999", nil), (.listener, "443/", nil), (.listener, "a", nil),
      (.sudoCommand, "/usr/bin/apt", "/usr/bin/apt"),
      (.sudoCommand, "", nil),
    ] as [(PairClass, String, String?)])
  func aSecondHalfIsKeptAsEventsHaveIt(row: PairClass, text: String, kept: String?) {
    #expect(row.object(writtenAs: text).map { String(decoding: $0, as: UTF8.self) } == kept)
  }

  /// What is promoted is what events are then judged by.
  @Test func anAddressStandsForItsNetwork() {
    let host = Host()
    host.live(days: 0..<14)
    host.baseline.promote(.loginNetwork, subject: Array("alice".utf8), object: PairClass.loginNetwork.object(writtenAs: "203.0.113.9")!)
    #expect(host.login("alice", from: "203.0.113.77", at: Host.at(day: 14, hour: 8)) == "recent")
  }
}
