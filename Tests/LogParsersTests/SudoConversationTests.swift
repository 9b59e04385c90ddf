// sudo without a process id: all conversations of one user share a session, and each of them counts.
import Events
import LogParsers
import Primitives
import Testing

@Suite struct SudoConversationTests {
  private static let refused = "sudo:      bob : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/sh"
  private static let pam = "sudo: pam_unix(sudo:auth): authentication failure; logname=bob uid=1000 euid=0 tty=/dev/pts/0 ruser=bob rhost=  user=bob"
  private static let more = "sudo: PAM 2 more authentication failures; logname=bob uid=1000 euid=0 tty=/dev/pts/0 ruser=bob rhost=  user=bob"

  @Test(arguments: [
    ([refused], [3]),
    ([refused, refused], [3, 3]),
    ([pam, refused, pam, refused], [0, 3, 0, 3]),
    // PAM's own count comes after sudo's and is the same attempts.
    ([pam, refused, more], [0, 3, 0]),
    ([pam, refused, more, pam, refused, more], [0, 3, 0, 0, 3, 0]),
  ])
  func attempts(_ messages: [String], _ expected: [Int64]) {
    var parser = LogParser(format: .syslog, inputTime: EventTime(year: 2026, month: 2, day: 1, hour: 0, minute: 0, second: 0) ?? .zero)
    var tracker = SessionTracker()
    var event = Event()
    var counts: [Int64] = []
    for (i, message) in messages.enumerated() {
      let line = Array("2026-01-05T10:00:0\(i).000000+00:00 web01 \(message)".utf8)
      _ = line.withUnsafeBytes { parser.parse($0, origin: EventOrigin(source: 0, offset: UInt64(i), length: UInt32($0.count)), into: &event) }
      tracker.observe(&event)
      counts.append(event.integer(.attemptCount) ?? 0)
    }
    #expect(counts == expected)
  }
}
