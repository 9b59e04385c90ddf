import Events
import Primitives
import Testing

@testable import LogParsers

/// What came out of a run of lines: every event that carries attempts, in order.
struct CountedAttempt: Equatable, CustomStringConvertible {
  /// Index of the line; -1: a derived event.
  var line: Int
  var count: Int64
  var ip: String?
  var user: String?
  var action: String
  var evidence: Int
  var time: EventTime
  var description: String { "line \(line): \(count) x \(action) \(user ?? "-") \(ip ?? "-") evidence \(evidence)" }
}

struct TrackedRun {
  var counted: [CountedAttempt] = []
  var events: [Fields] = []
  var attempts: UInt64 = 0
  var evictions: UInt64 = 0
  var lost: UInt64 = 0
  var total: Int64 { counted.reduce(0) { $0 + $1.count } }
}

/// Runs lines of several inputs; each line is "time|source|line", or only a line with a header (source 0).
func track(_ lines: [(source: UInt32, line: String)], capacity: Int = Limits.openSessions, drain: Bool = true) -> TrackedRun {
  var run = TrackedRun()
  var parser = LogParser(format: .auto, inputTime: testInputTime)
  var tracker = SessionTracker(capacity: capacity)
  var event = Event()
  var derived = Event()
  func note(_ event: borrowing Event, _ line: Int) -> CountedAttempt? {
    guard let count = event.integer(.attemptCount) else { return nil }
    return CountedAttempt(
      line: line, count: count, ip: event.address(.sourceIP)?.description, user: event.text(.userName)?.string,
      action: event.text(.eventAction)!.string, evidence: event.evidence.count, time: event.time)
  }
  for (i, entry) in lines.enumerated() {
    let bytes = Array(entry.line.utf8)
    bytes.withUnsafeBytes {
      _ = parser.parse($0, origin: EventOrigin(source: entry.source, offset: UInt64(i), length: UInt32($0.count)), into: &event)
    }
    while drain, tracker.nextExpired(asOf: event.time, source: entry.source, into: &derived) {
      if let counted = note(derived, -1) { run.counted.append(counted) }
      run.events.append(fields(of: derived))
    }
    tracker.observe(&event)
    if let counted = note(event, i) { run.counted.append(counted) }
    run.events.append(fields(of: event))
  }
  run.attempts = tracker.attempts
  run.evictions = tracker.evictions
  run.lost = tracker.lostAttempts
  return run
}
/// Lines of one input: "<seconds> <pid> <message>" of sshd, or with "prog[pid]: " of another program.
func track(_ lines: [String]) -> TrackedRun {
  track(lines.map { (0, header($0)) })
}
func header(_ text: String, host: String = "web01") -> String {
  let parts = text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
  let second = Int(parts[0])!
  func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }
  let tag = Int(parts[1]) == nil ? String(parts[1]) : "sshd[\(parts[1])]:"
  return "Jun 10 \(two(10 + second / 3600)):\(two(second / 60 % 60)):\(two(second % 60)) \(host) \(tag) \(parts[2])"
}

@Suite("One attempt is one count")
struct SessionTrackerTests {
  static let pam = "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1"

  @Test("an unknown user's five lines are one attempt, with the lines before it as evidence")
  func invalidUser() {
    let run = track([
      "0 7 Invalid user x from 192.0.2.1 port 22", "0 7 pam_unix(sshd:auth): check pass; user unknown", "0 7 \(SessionTrackerTests.pam) ",
      "2 7 Failed password for invalid user x from 192.0.2.1 port 22 ssh2", "3 7 Received disconnect from 192.0.2.1 port 22:11: Bye [preauth]",
      "3 7 Disconnected from invalid user x 192.0.2.1 port 22 [preauth]", "60 9 Connection from 192.0.2.9 port 1",
    ])
    #expect(run.counted.count == 1)
    #expect(run.counted.first?.line == 3)
    #expect(run.counted.first?.evidence == 3)
    #expect(run.total == 1)
  }
  @Test("a user whom the configuration excludes is tried once, with or without a 'Failed' line")
  func notAllowed() {
    let refused = "0 7 User root from 192.0.2.1 not allowed because not listed in AllowUsers"
    let closed = "3 7 Connection closed by invalid user root 192.0.2.1 port 22 [preauth]"
    let silent = track([refused, closed, "60 9 Connection from 192.0.2.9 port 1"])
    #expect(silent.counted.map(\.line) == [1])
    #expect(silent.counted.first?.ip == "192.0.2.1")
    let failed = "2 7 Failed password for invalid user root from 192.0.2.1 port 22 ssh2"
    #expect(track([refused, failed, closed, "60 9 Connection from 192.0.2.9 port 1"]).counted.map(\.line) == [1])
  }
  @Test("six failures in one session are six, and PAM's summary adds none")
  func maxRetries() {
    var lines = ["0 7 \(SessionTrackerTests.pam)  user=root"]
    for i in 1...6 { lines.append("\(2 * i) 7 Failed password for root from 192.0.2.1 port 22 ssh2") }
    lines += [
      "13 7 error: maximum authentication attempts exceeded for root from 192.0.2.1 port 22 ssh2 [preauth]",
      "13 7 Disconnecting authenticating user root 192.0.2.1 port 22: Too many authentication failures [preauth]",
      "13 7 PAM 5 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root",
      "13 7 PAM service(sshd) ignoring max retries; 6 > 3", "90 8 Connection from 192.0.2.9 port 1",
    ]
    #expect(track(lines).counted.map(\.line) == [1, 2, 3, 4, 5, 6])
  }
  @Test("PAM's summary counts what no line has counted")
  func moreFailures() {
    let run = track([
      "0 7 \(SessionTrackerTests.pam)  user=root", "2 7 Failed password for root from 192.0.2.1 port 22 ssh2",
      "4 7 message repeated 2 times: [ Failed password for root from 192.0.2.1 port 22 ssh2]",
      "5 7 Connection closed by authenticating user root 192.0.2.1 port 22 [preauth]",
      "5 7 PAM 4 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root",
    ])
    #expect(run.counted.map(\.count) == [1, 2, 2])
  }
  @Test("without a 'Failed' line the end of the session decides")
  func endDecides() {
    let run = track(["0 7 Invalid user x from 192.0.2.1 port 22", "1 7 Connection closed by invalid user x 192.0.2.1 port 22 [preauth]"])
    #expect(run.counted.map(\.line) == [1])
    #expect(run.counted.first?.evidence == 1)
    let received = track([
      "0 7 Invalid user x from 192.0.2.1 port 22", "1 7 Received disconnect from 192.0.2.1 port 22:11: x [preauth]",
      "1 7 Disconnected from invalid user x 192.0.2.1 port 22 [preauth]",
    ])
    #expect(received.counted.map(\.line) == [1])
    #expect(received.counted.first?.user == "x")
    let tooMany = track([
      "0 7 error: maximum authentication attempts exceeded for root from 192.0.2.1 port 22 ssh2 [preauth]",
      "0 7 Disconnecting authenticating user root 192.0.2.1 port 22: Too many authentication failures [preauth]",
    ])
    #expect(tooMany.counted.map(\.line) == [0])
  }
  @Test("without an end silence decides, once")
  func silenceDecides() {
    let run = track([
      "0 7 Invalid user x from 192.0.2.1 port 22", "0 7 \(SessionTrackerTests.pam) ", "4 9 Connection from 192.0.2.9 port 1",
      "20 9 Connection from 192.0.2.9 port 1", "60 9 Connection from 192.0.2.9 port 1",
    ])
    #expect(run.counted.count == 1)
    let attempt = run.counted[0]
    #expect(attempt.line == -1)
    #expect(attempt.action == "ssh-attempt")
    #expect(attempt.ip == "192.0.2.1")
    #expect(attempt.user == "x")
    #expect(attempt.evidence == 2)
    #expect(attempt.time == EventTime(rfc3339: "2026-06-10T10:00:05Z" as String))
    let derived = run.events.first { $0["event.action"] == "ssh-attempt" }!
    #expect(derived["host.name"] == "web01")
    #expect(derived["process.pid"] == "7")
    #expect(derived["source.port"] == "22")
    // Younger than the silence: not decided at the end of the input.
    #expect(track(["0 7 Invalid user x from 192.0.2.1 port 22", "4 9 Connection from 192.0.2.9 port 1"]).total == 0)
  }
  @Test("slips before a success count, what PAM alone said does not")
  func success() {
    let slips = track([
      "0 7 \(SessionTrackerTests.pam)  user=alice", "1 7 Failed password for alice from 192.0.2.1 port 22 ssh2",
      "4 7 Accepted password for alice from 192.0.2.1 port 22 ssh2", "60 9 Connection from 192.0.2.9 port 1",
    ])
    #expect(slips.counted.map(\.line) == [1])
    let directory = track([
      "0 7 \(SessionTrackerTests.pam)  user=alice", "1 7 Accepted password for alice from 192.0.2.1 port 22 ssh2",
      "60 9 Connection from 192.0.2.9 port 1",
    ])
    #expect(directory.total == 0)
  }
  @Test("asking what is possible is no attempt")
  func none() {
    let run = track(["0 7 Failed none for invalid user x from 192.0.2.1 port 22 ssh2", "60 9 Connection from 192.0.2.9 port 1"])
    #expect(run.total == 0)
  }
  @Test("probes without a name are no attempts")
  func probes() {
    let run = track([
      "0 7 error: kex_exchange_identification: Connection closed by remote host", "0 7 Connection closed by 192.0.2.1 port 22",
      "1 8 Connection reset by 192.0.2.1 port 22 [preauth]", "2 9 Connection closed by authenticating user root 192.0.2.1 port 22 [preauth]",
      "60 10 Connection from 192.0.2.9 port 1",
    ])
    #expect(run.total == 0)
    #expect(run.events[1]["event.action"] == "ssh-preauth-close")
  }
  @Test("an old version's end without a name, after a name, ends an authentication")
  func oldVersion() {
    let run = track(["0 7 Failed password for root from 192.0.2.1 port 22 ssh2", "1 7 Connection closed by 192.0.2.1 [preauth]"])
    #expect(run.events[1]["event.action"] == "ssh-disconnect")
  }
  @Test("another input's clock does not cut an attempt in two")
  func skewedInputs() {
    var lines: [(source: UInt32, line: String)] = []
    for n in 0..<3 {
      let pid = 500 + n
      let at = n * 20
      lines.append(
        (0, header("\(at) \(pid) pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7  user=alice")))
      // Five hours ahead, and a login line of its own, which opens a session.
      lines.append((1, header("\(at + 18_000) \(900 + n) Connection closed by 198.51.100.9 port 4000 [preauth]")))
      lines.append((1, header("\(at + 18_001) \(950 + n) Invalid user x from 198.51.100.9 port 4001")))
      lines.append((0, header("\(at + 2) \(pid) Failed password for alice from 192.0.2.7 port 4711 ssh2")))
      lines.append((0, header("\(at + 3) \(pid) Connection closed by authenticating user alice 192.0.2.7 port 4711 [preauth]")))
    }
    let counted = track(lines).counted.filter { $0.ip == "192.0.2.7" }
    #expect(counted.map(\.count) == [1, 1, 1] && counted.allSatisfy { $0.evidence == 1 }, "\(counted)")
  }

  @Test("the same session from the journal and from a file counts once")
  func twoSources() {
    let lines = [
      "0 7 Invalid user x from 192.0.2.1 port 22", "0 7 \(SessionTrackerTests.pam) ",
      "2 7 Failed password for invalid user x from 192.0.2.1 port 22 ssh2",
      "4 7 Failed password for invalid user x from 192.0.2.1 port 22 ssh2", "5 7 Connection closed by invalid user x 192.0.2.1 port 22 [preauth]",
    ].map { header($0) }
    let interleaved = lines.flatMap { [(UInt32(1), $0), (UInt32(2), $0)] }
    #expect(track(interleaved.map { (source: $0.0, line: $0.1) }).total == 2)
    let after = lines.map { (source: UInt32(1), line: $0) } + lines.map { (source: UInt32(2), line: $0) }
    #expect(track(after).total == 2)
  }
  @Test("another host's process with the same number is another session")
  func twoHosts() {
    let a = header("0 7 Invalid user x from 192.0.2.1 port 22", host: "a")
    let b = header("0 7 Invalid user y from 192.0.2.2 port 22", host: "b")
    let run = track([(0, a), (0, b), (0, header("1 7 Connection closed by invalid user x 192.0.2.1 port 22 [preauth]", host: "a"))])
    #expect(run.counted.count == 1)
    #expect(run.counted[0].ip == "192.0.2.1")
  }
  @Test("a process number that is used again is another session")
  func reusedNumber() {
    let run = track([
      "0 7 Invalid user x from 192.0.2.1 port 22", "1 7 Connection closed by invalid user x 192.0.2.1 port 22 [preauth]",
      "2 7 Invalid user y from 192.0.2.2 port 23", "3 7 Connection closed by invalid user y 192.0.2.2 port 23 [preauth]",
    ])
    #expect(run.counted.map(\.ip) == ["192.0.2.1", "192.0.2.2"])
    let silent = track(["0 7 Connection from 192.0.2.1 port 22", "400 7 error: kex_exchange_identification: Connection closed by remote host"])
    #expect(silent.events[1]["source.ip"] == nil)
  }
  @Test("what a line does not say comes from what its process said before")
  func addressFromBefore() {
    let run = track([
      "0 7 Connection from 192.0.2.1 port 50000 on 198.51.100.1 port 22", "1 7 error: kex_exchange_identification: read: Connection reset by peer",
    ])
    #expect(run.events[1]["source.ip"] == "192.0.2.1")
    #expect(run.events[1]["source.port"] == "50000")
    let contradiction = track([
      "0 7 Connection from 192.0.2.1 port 50000", "0 7 Connection from 192.0.2.2 port 50000",
      "1 7 error: kex_exchange_identification: read: Connection reset by peer",
    ])
    #expect(contradiction.events[2]["source.ip"] == nil)
  }
  @Test("an ambiguous line is decided by what its process said before")
  func ambiguousResolved() {
    let name = "x 9.9.9.9 port 22: Change of username or service not allowed: ("
    let ambiguous = "1 7 Disconnecting invalid user \(name) 192.0.2.1 port 50000: Change of username or service not allowed: (a,b) -> (c,d) [preauth]"
    let alone = track([ambiguous])
    #expect(alone.events[0]["panguard.ambiguous"] == "1")
    #expect(alone.events[0]["source.ip"] == nil)
    let known = track(["0 7 Connection from 192.0.2.1 port 50000", ambiguous])
    #expect(known.events[1]["source.ip"] == "192.0.2.1")
    #expect(known.events[1]["panguard.ambiguous"] == nil)
  }
  @Test("keyboard-interactive: PAM speaks from a child process and its own line counts")
  func keyboardInteractive() {
    let run = track([
      "0 8 \(SessionTrackerTests.pam)  user=root", "2 7 error: PAM: Authentication failure for root from 192.0.2.1",
      "4 7 error: PAM: Authentication failure for root from 192.0.2.1", "6 7 error: PAM: Authentication failure for root from 192.0.2.1",
      "6 7 Failed keyboard-interactive/pam for root from 192.0.2.1 port 22 ssh2",
      "6 7 Connection closed by authenticating user root 192.0.2.1 port 22 [preauth]", "60 9 Connection from 192.0.2.9 port 1",
    ])
    #expect(run.total == 3)
    #expect(run.counted.map(\.line) == [1, 2, 3])
    #expect(run.counted[0].evidence == 1)
  }
  @Test("other services: each failure that PAM reports is an attempt")
  func otherService() {
    let failure = "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=bob rhost=192.0.2.1  user=bob"
    let run = track(["0 vsftpd[5]: \(failure)", "3 vsftpd[5]: \(failure)"])
    #expect(run.counted.map(\.ip) == ["192.0.2.1", "192.0.2.1"])
  }
  @Test("su and sudo without their own line: silence decides")
  func suAndSudo() {
    let failure = "authentication failure; logname=zoe uid=1001 euid=0 tty=/dev/pts/1 ruser=zoe rhost=  user=root"
    let run = track(["0 su[5]: pam_unix(su:auth): \(failure)", "0 sudo: pam_unix(sudo:auth): \(failure)", "60 9 Connection from 192.0.2.9 port 1"])
    #expect(run.counted.map(\.action) == ["login-attempt", "login-attempt"])
    #expect(run.counted.map(\.user) == ["root", "root"])
  }
  @Test("lines without a process id: only the deciding line counts")
  func withoutProcess() {
    let run = track(["0 sshd: Invalid user x from 192.0.2.1 port 22", "2 sshd: Failed password for invalid user x from 192.0.2.1 port 22 ssh2"])
    #expect(run.counted.map(\.line) == [1])
  }
  @Test("a full table decides what it must forget")
  func eviction() {
    var lines: [(source: UInt32, line: String)] = []
    for i in 0..<100 { lines.append((0, header("0 \(100 + i) Invalid user x from 192.0.2.\(i) port 22"))) }
    let run = track(lines, capacity: 10)
    #expect(run.evictions == 90)
    #expect(run.total == 90 - 1)  // the last one is reported with the next line
    #expect(run.lost == 0)
    let undrained = track(lines, capacity: 10, drain: false)
    #expect(undrained.evictions == 90)
    #expect(undrained.lost == 89)
  }
  @Test("what is over makes room first")
  func roomFromEnded() {
    var lines: [(source: UInt32, line: String)] = []
    for i in 0..<100 {
      lines.append((0, header("\(i * 20) \(100 + i) Invalid user x from 192.0.2.\(i) port 22")))
      lines.append((0, header("\(i * 20) \(100 + i) Connection closed by invalid user x 192.0.2.\(i) port 22 [preauth]")))
    }
    let run = track(lines, capacity: 10)
    #expect(run.evictions == 0)
    #expect(run.total == 100)
  }
  @Test("derived events never step back")
  func order() {
    var lines: [(source: UInt32, line: String)] = []
    for i in 0..<200 { lines.append((0, header("\(i / 3) \(100 + i) Invalid user x from 192.0.2.1 port 22"))) }
    let run = track(lines)
    var last = EventTime.zero
    for attempt in run.counted {
      #expect(attempt.time >= last)
      last = attempt.time
    }
    #expect(run.counted.count > 150)
  }
  @Test("a stamp from the future does not hold up the others")
  func future() {
    let run = track([
      (0, header("0 7 Invalid user x from 192.0.2.1 port 22")), (0, "2099-01-01T00:00:00Z web01 sshd[8]: Invalid user y from 192.0.2.2 port 22"),
      (0, header("30 9 Connection from 192.0.2.9 port 1")), (0, header("40 9 Connection from 192.0.2.9 port 1")),
    ])
    #expect(run.counted.compactMap(\.ip).sorted() == ["192.0.2.1", "192.0.2.2"])
  }
}
