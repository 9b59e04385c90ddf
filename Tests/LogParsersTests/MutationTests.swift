// Hostile input by mutation: lines of every known form, changed at random from a fixed seed. What must hold for any bytes:
// no trap, the message is kept, an address comes only from the line's own bytes, and an ambiguous event names none.
import Events
import PanguardTestKit
import Primitives
import Testing

@testable import LogParsers

@Suite("Mutated lines")
struct MutationTests {
  static let seeds: [String] = [
    "Jan  5 00:00:01 web01 sshd[704]: Failed password for invalid user support from 192.0.2.1 port 57875 ssh2",
    "<38>Jan  5 00:00:01 web01 sshd[704]: message repeated 5 times: [ Failed password for root from 192.0.2.1 port 57875 ssh2]",
    "2026-01-05T00:00:01.123456+00:00 web01 sshd-session[704]: Connection closed by invalid user x 2001:db8::7 port 57875 [preauth]",
    "<38>1 2026-01-05T00:00:01Z fw sshd 44255 - [meta sequenceId=\"1\" a=\"b\\]c\"] Invalid user x from 192.0.2.1 port 33166",
    "Jan  5 00:00:01 web01 sshd[704]: Disconnecting invalid user a 192.0.2.1 port 50000: Change of username or service not allowed: (a,b) -> (c,d) [preauth]",
    "Jan  5 00:00:01 web01 sshd[704]: Failed publickey for invalid user x from 192.0.2.1 port 1 ssh2: RSA-CERT SHA256:aaaa ID y (serial 0) CA RSA SHA256:bbbb",
    "Jan  5 00:00:01 web01 sshd[704]: Received disconnect from 192.0.2.1 port 1:11: Bye [preauth]",
    "Jan  5 00:00:01 web01 sshd[704]: Unable to negotiate with 192.0.2.1 port 1: no matching MAC found. Their offer: hmac-sha1 [preauth]",
    "Jan  5 00:00:01 web01 sshd[704]: drop connection #11 from [192.0.2.1]:50000 on [198.51.100.1]:22 past MaxStartups",
    "Jan  5 00:00:01 web01 sshd[704]: reverse mapping checking getaddrinfo for h.example [192.0.2.1] failed - POSSIBLE BREAK-IN ATTEMPT!",
    "Jan  5 00:00:01 web01 sshd[704]: User root from 192.0.2.1 not allowed because not listed in AllowUsers",
    "Jan  5 00:00:01 web01 sshd[704]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root",
    "Jan  5 00:00:01 web01 vsftpd[704]: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=192.0.2.1  user=x",
    "Jan  5 00:00:01 web01 sshd[704]: PAM 5 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root",
    "Jan  5 00:00:01 web01 sshd[704]: Bad protocol version identification 'GET / HTTP/1.1' from 192.0.2.1 port 1",
    "Jan  5 00:00:01 web01 sshd[704]: /home/u/.ssh/authorized_keys:3: Authentication tried for u with correct key but not from a permitted host (host=h, ip=192.0.2.1, required=x).",
    "Jan  5 00:00:01 web01 last message repeated 2 times", "Jan  5 00:00:01 web01 kernel: [ 1234.567890] text",
    "Jan  5 00:00:01 web01 sudo: pam_tally2(sudo:auth): user zoe (4001) tally 6, deny 5",
    "Jan  5 00:00:01 web01 sshd[704]: srclimit_penalise: ipv4: new 192.0.2.1/32 active penalty of 10.000 seconds for penalty: x",
    "Jan  5 00:00:01 web01 sshd[704]: Starting session: shell on pts/0 for alice from 192.0.2.1 port 50000 id 0",
  ]
  static let words: [String] = [
    " from ", " port ", "192.0.2.9", " ssh2", " [preauth]", ": ", " for ", "invalid user ", " rhost=", " ruser=", "user ", "] ", "[", "\"", "\\",
    "\u{0}", "\r", "99999999999999999999",
    "-1", " ssh2: RSA SHA256:x", " not allowed because ", "(uid=", ") tally ", "1 ", "Feb 29 ", "T", "+99:99", "\u{feff}", "%",
  ]

  static func mutate(_ line: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
    var bytes = line
    for _ in 0...random.below(4) {
      let at = random.below(bytes.count + 1)
      switch random.below(7) {
      case 0: if at < bytes.count { bytes[at] = UInt8(truncatingIfNeeded: random.next()) }
      case 1: bytes.insert(contentsOf: Array(words[random.below(words.count)].utf8), at: at)
      case 2: bytes.removeLast(bytes.count - at)
      case 3: if at < bytes.count { bytes.removeSubrange(at..<min(bytes.count, at + 1 + random.below(12))) }
      case 4: bytes.removeFirst(min(bytes.count, random.below(24)))
      case 5:
        let other = Array(seeds[random.below(seeds.count)].utf8)
        bytes.insert(contentsOf: other[random.below(other.count)...], at: at)
      default:
        let end = min(bytes.count, at + random.below(40))
        bytes.insert(contentsOf: bytes[at..<end], at: at)
      }
    }
    return bytes
  }

  @Test("any bytes give an event", arguments: [UInt64(1), 2, 3, 4])
  func totality(_ seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var parser = LogParser(format: .auto, inputTime: testInputTime)
    var forced = LogParser(format: .plain, inputTime: testInputTime, program: "sshd")
    var tracker = SessionTracker(capacity: 16)
    var event = Event()
    var derived = Event()
    for i in 0..<4000 {
      let line = MutationTests.mutate(Array(MutationTests.seeds[random.below(MutationTests.seeds.count)].utf8), &random)
      line.withUnsafeBytes { bytes in
        let origin = EventOrigin(source: UInt32(random.below(2)), offset: UInt64(i), length: UInt32(bytes.count))
        let outcome = i % 5 == 0 ? forced.parse(bytes, origin: origin, into: &event) : parser.parse(bytes, origin: origin, into: &event)
        let (hasMessage, hasAction, isAmbiguous) = (event.has(.message), event.has(.eventAction), event.has(.isAmbiguous))
        let (repeatCount, time) = (event.repeatCount, event.time)
        #expect(hasMessage)
        #expect(repeatCount >= 1)
        #expect(time >= .zero)
        if outcome == .unparsed { #expect(!hasAction) }
        if let ip = event.address(.sourceIP) {
          #expect(!isAmbiguous)
          // The address stands in the line (or the one before it, for "last message repeated"), in some spelling.
          var text: [UInt8] = []
          ip.append(to: &text)
          let isSpelled = text.withUnsafeBytes { event.text(.message)!.index(of: $0) != nil } || event.text(.message)!.index(of: "::") != nil
          #expect(isSpelled, "\(String(decoding: line, as: UTF8.self))")
        }
        while tracker.nextExpired(asOf: event.time, into: &derived) {
          let count = derived.integer(.attemptCount) ?? 0
          #expect(count > 0)
        }
        tracker.observe(&event)
        if let count = event.integer(.attemptCount) { #expect(count > 0) }
      }
    }
    let lines = parser.counters.lines + forced.counters.lines
    #expect(lines == 4000)
  }

  @Test("the same bytes give the same event")
  func repeatable() {
    func run() -> [Fields] {
      var random = SplitMix64(seed: 99)
      let lines = (0..<300).map { _ in
        String(decoding: MutationTests.mutate(Array(MutationTests.seeds[random.below(MutationTests.seeds.count)].utf8), &random), as: UTF8.self)
      }
      return parse(lines: lines)
    }
    #expect(run() == run())
  }

  @Test(
    "long lines of what parsers look for cost linear time",
    arguments: [" from ", " port 1", " ssh2: ", " rhost=", "[", " not allowed because ", " port 1: Packet corrupt"])
  func linear(_ word: String) {
    let long = String(repeating: word, count: Limits.lineBytes / word.utf8.count)
    for prefix in [
      "Failed publickey for ", "Disconnecting invalid user ", "User ", "pam_unix(sshd:auth): authentication failure; logname= ruser= rhost=",
      "Connection closed by invalid user ", "reverse mapping checking ", "Unable to negotiate with user ",
    ] {
      _ = parse(message: prefix + long)
    }
  }
}
