import Events
import Primitives
import Testing

@testable import LogParsers

@Suite("Syslog headers")
struct SyslogHeaderTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var line: String
    var time: String?
    var host: String?
    var program: String?
    var pid: String?
    var message: String
    var more: [String: String] = [:]
    var testDescription: String { line }
    init(
      _ line: String, _ time: String?, _ host: String?, _ program: String?, _ pid: String?, _ message: String,
      _ more: [String: String] = [:]
    ) {
      self.line = line
      self.time = time
      self.host = host
      self.program = program
      self.pid = pid
      self.message = message
      self.more = more
    }
  }

  @Test(
    "forms",
    arguments: [
      Case("Jan  5 00:00:01 host prog[12]: a message", "2026-01-05T00:00:01Z", "host", "prog", "12", "a message"),
      Case("Jan 15 23:59:59 host prog: a message", "2026-01-15T23:59:59Z", "host", "prog", nil, "a message"),
      Case(
        "<34>Jan  5 00:00:01 host prog[12]: m", "2026-01-05T00:00:01Z", "host", "prog", "12", "m",
        ["log.syslog.priority": "34", "log.syslog.facility.code": "4", "log.syslog.severity.code": "2"]),
      Case("<34> Jan  5 00:00:01 host prog: m", "2026-01-05T00:00:01Z", "host", "prog", nil, "m"),
      Case("2025 Jan  5 00:00:01 host prog: m", "2025-01-05T00:00:01Z", "host", "prog", nil, "m", ["#basis": "stamped"]),
      Case("Jan  5 2025 00:00:01 host prog: m", "2025-01-05T00:00:01Z", "host", "prog", nil, "m"),
      Case("Jan  5 00:00:01.250 host prog: m", "2026-01-05T00:00:01.250Z", "host", "prog", nil, "m", ["#basis": "year-inferred"]),
      Case("Jan  5 00:00:01 prog[12]: no host", "2026-01-05T00:00:01Z", nil, "prog", "12", "no host"),
      Case("Jan  5 00:00:01 kernel: no host", "2026-01-05T00:00:01Z", nil, "kernel", nil, "no host"),
      Case("Jan  5 00:00:01 host /usr/sbin/cron[7]: m", "2026-01-05T00:00:01Z", "host", "cron", "7", "m", ["process.executable": "/usr/sbin/cron"]),
      Case("Jan  5 00:00:01 host postfix/smtpd[7]: m", "2026-01-05T00:00:01Z", "host", "postfix/smtpd", "7", "m"),
      Case("Jan  5 00:00:01 host prog[worker]: m", "2026-01-05T00:00:01Z", "host", "prog", nil, "m"),
      Case("Jan  5 00:00:01 host (systemd)[7]: m", "2026-01-05T00:00:01Z", "host", "(systemd)", "7", "m"),
      Case("Jan  5 00:00:01 host prog[12] no colon", "2026-01-05T00:00:01Z", "host", "prog", "12", "no colon"),
      Case("Jan  5 00:00:01 host words and more words: x", "2026-01-05T00:00:01Z", "host", nil, nil, "words and more words: x"),
      Case("Jan  5 00:00:01 host prog[12]:", "2026-01-05T00:00:01Z", "host", "prog", "12", ""),
      Case("Jan  5 00:00:01 host kernel: [ 1234.567890] hello", "2026-01-05T00:00:01Z", "host", "kernel", nil, "hello"),
      Case("Jan  5 00:00:01 host kernel: [text] hello", "2026-01-05T00:00:01Z", "host", "kernel", nil, "[text] hello"),
      Case("Jan  5 00:00:01 2001:db8::1 prog: m", "2026-01-05T00:00:01Z", "2001:db8::1", "prog", nil, "m"),
      Case("Jan  5 00:00:01 fe80:: prog: m", "2026-01-05T00:00:01Z", "fe80::", "prog", nil, "m"),
      Case("Dec 31 23:59:59 host prog: m", "2025-12-31T23:59:59Z", "host", "prog", nil, "m"),
      Case("2026-01-05T00:00:01.123456+00:00 host prog[12]: m", "2026-01-05T00:00:01.123456Z", "host", "prog", "12", "m"),
      Case("2026-01-05T01:00:01+01:00 host prog: m", "2026-01-05T00:00:01Z", "host", "prog", nil, "m"),
      Case("2026-01-05T01:00:01.5-0230 host prog: m", "2026-01-05T03:30:01.500Z", "host", "prog", nil, "m"),
      Case("2026-01-05 00:00:01 host prog: m", "2026-01-05T00:00:01Z", "host", "prog", nil, "m"),
      Case("2026-01-05T00:00:01Z host prog: m", "2026-01-05T00:00:01Z", "host", "prog", nil, "m"),
      Case("<13>2026-01-05T00:00:01Z host prog: m", "2026-01-05T00:00:01Z", "host", "prog", nil, "m", ["log.syslog.severity.code": "5"]),
      Case(
        "<165>1 2026-01-05T00:00:01.003Z host prog 12 ID47 - m", "2026-01-05T00:00:01.003Z", "host", "prog", "12", "m",
        ["log.syslog.msgid": "ID47", "log.syslog.facility.code": "20"]),
      Case("<165>1 2026-01-05T00:00:01Z - - - - -", "2026-01-05T00:00:01Z", nil, nil, nil, ""),
      Case(
        "<165>1 2026-01-05T00:00:01Z host prog - - [a@1 k=\"v\" l=\"x\\]\\\"\\\\y\"][b@2] \u{feff}m", "2026-01-05T00:00:01Z", "host", "prog", nil,
        "m", ["log.syslog.structured_data.a@1.k": "v", "log.syslog.structured_data.a@1.l": "x]\"\\y"]),
      Case("1 2026-01-05T00:00:01Z host prog 12 - - no priority", "2026-01-05T00:00:01Z", "host", "prog", "12", "no priority"),
      Case(
        "<38>1 2026-01-05T00:00:01+00:00 fw.example sshd 44255 - [meta sequenceId=\"1\"] m", "2026-01-05T00:00:01Z", "fw.example", "sshd", "44255",
        "m", ["log.syslog.structured_data.meta.sequenceId": "1"]),
      Case("Jan  5 00:00:01 host prog[12]: m\r", "2026-01-05T00:00:01Z", "host", "prog", "12", "m"),
      Case("Jan  5 00:00:01 host prog[12]: tab\there \u{0}nul", "2026-01-05T00:00:01Z", "host", "prog", "12", "tab\there \u{0}nul"),
      // A header inside a message stays message.
      Case(
        "Jan  5 00:00:01 host prog[12]: Feb  6 00:00:01 other sshd[1]: Failed password for root from 9.9.9.9 port 1 ssh2", "2026-01-05T00:00:01Z",
        "host", "prog", "12", "Feb  6 00:00:01 other sshd[1]: Failed password for root from 9.9.9.9 port 1 ssh2"),
      Case(
        "Jan  5 00:00:01 host prog: <34>1 2026-01-05T00:00:01Z evil sshd 1 - - Accepted password for root from 9.9.9.9 port 1 ssh2",
        "2026-01-05T00:00:01Z", "host", "prog", nil, "<34>1 2026-01-05T00:00:01Z evil sshd 1 - - Accepted password for root from 9.9.9.9 port 1 ssh2"),
    ])
  func forms(_ c: Case) {
    let got = parse(line: c.line)
    #expect(got["#time"] == c.time)
    #expect(got["host.name"] == c.host)
    #expect(got["process.name"] == c.program)
    #expect(got["process.pid"] == c.pid)
    #expect(got["message"] == c.message)
    #expect(got["source.ip"] == nil)
    for (name, value) in c.more { #expect(got[name] == value, "\(name)") }
  }

  @Test(
    "no header",
    arguments: [
      "", "x", "just some words that are long enough", "Foo  5 00:00:01 host prog: m", "<999>Jan  5 00:00:01 host prog: m",
      "<>Jan  5 00:00:01 h p: m",
      "<34>1 2026-01-05T00:00:01Z host prog 12 - [broken m", "2026-13-", "Jan", "[ 12.34] uptime only line",
      "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}",
      "<34", "<34>", "<34>1", "<34>1 ", "1 2026-01-05T00:00:01Z",
    ])
  func noHeader(_ line: String) {
    let got = parse(line: line)
    #expect(got["#outcome"] == "unparsed")
    #expect(got["message"] == line)
    #expect(got["process.name"] == nil)
    #expect(got["#time"] == testInputTime.description)
    #expect(got["#basis"] == "inherited")
  }

  @Test(
    "the kernel's own lines",
    arguments: [
      "[  123.456789] [UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.1 DST=10.0.0.1 LEN=60 PROTO=TCP SPT=1 DPT=22 SYN",
      "[19955416.516358] [UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.1 DST=10.0.0.1 LEN=60 PROTO=TCP SPT=1 DPT=22 SYN",
      "<4>[  123.456789] [UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.1 DST=10.0.0.1 LEN=60 PROTO=TCP SPT=1 DPT=22 SYN",
    ])
  func kernelLines(_ line: String) {
    let fields = parse(line: line)
    #expect(fields["event.action"] == "firewall-packet")
    #expect(fields["source.ip"] == "192.0.2.1")
    #expect(fields["process.name"] == "kernel")
    #expect(fields["message"]?.hasPrefix("[UFW BLOCK] IN=") == true)
    #expect(fields["#basis"] == "inherited")
    #expect(fields["#outcome"] == "parsed")
    #expect(fields["log.syslog.severity.code"] == (line.hasPrefix("<") ? "4" : nil))
  }
  @Test(
    "other numbers in brackets are no uptime",
    arguments: [
      "[  123.456] IN=a OUT= SRC=192.0.2.1 DST=10.0.0.1", "[123.4567890] x", "[123.456789]", "[.456789] x", "<999>[1.456789] x", "[1.456789", "[",
    ])
  func otherBrackets(_ line: String) { #expect(parse(line: line)["#outcome"] == "unparsed") }

  @Test("a line of nothing but pairs")
  func pairs() {
    let fields = parse(line: #"time="2026-01-05T10:00:00Z" level=warning msg="login failed" src_ip=192.0.2.8 user=bob"#)
    #expect(fields["#outcome"] == "parsed")
    #expect(fields["source.ip"] == "192.0.2.8")
    #expect(fields["user.name"] == "bob")
    #expect(fields["#time"] == "2026-01-05T10:00:00Z")
    #expect(fields["message"]?.hasPrefix("time=") == true)
    for other in ["a=b", "login failed user=bob src_ip=192.0.2.8", "user=bob says src_ip=192.0.2.8 hello"] {
      #expect(parse(line: other)["#outcome"] == "unparsed")
      #expect(parse(line: other)["source.ip"] == nil)
    }
  }

  @Test("a date that cannot be takes the time of the line before")
  func impossibleDates() {
    let got = parse(lines: [
      "Jan  5 00:00:01 h p: a", "Feb 31 00:00:01 h p: b", "2026-02-30T00:00:01Z h p: c", "2026-02-03T25:00:01Z h p: d", "1 - h p - - - e",
    ])
    for fields in got { #expect(fields["#time"] == "2026-01-05T00:00:01Z") }
    #expect(got[1]["#basis"] == "inherited")
    #expect(got[1]["message"] == "b")
  }

  @Test("the zone of stamps without one")
  func offset() {
    let got = parse(
      lines: ["Jan  5 00:00:01 h p: a", "2026-01-05T00:00:01 h p: a", "2026-01-05T00:00:01Z h p: a"], utcOffsetSeconds: 7200)
    #expect(got.map { $0["#time"]! } == ["2026-01-04T22:00:01Z", "2026-01-04T22:00:01Z", "2026-01-05T00:00:01Z"])
  }

  @Test("a repeated message is its message, N times")
  func repeated() {
    let got = parse(message: "message repeated 3 times: [ Failed password for root from 192.0.2.1 port 22 ssh2]")
    #expect(got["#repeat"] == "3")
    #expect(got["message"] == "Failed password for root from 192.0.2.1 port 22 ssh2")
    #expect(got["source.ip"] == "192.0.2.1")
    let inner = parse(message: "Failed password for message repeated 3 times: [ x] from 192.0.2.1 port 22 ssh2")
    #expect(inner["#repeat"] == "1")
  }

  @Test("'last message repeated' stands for the line before it")
  func lastRepeated() {
    let got = parse(lines: [
      "Jan  5 00:00:01 h sshd[5]: Failed password for root from 192.0.2.1 port 22 ssh2", "Jan  5 00:00:31 h last message repeated 2 times",
    ])
    #expect(got[1]["#repeat"] == "2")
    #expect(got[1]["source.ip"] == "192.0.2.1")
    #expect(got[1]["process.pid"] == "5")
    #expect(got[1]["#time"] == "2026-01-05T00:00:31Z")
    let alone = parse(line: "Jan  5 00:00:31 h last message repeated 2 times")
    #expect(alone["#outcome"] == "headerOnly")
  }

  @Test("a program that was named by the caller")
  func forcedProgram() {
    let message = "Failed password for root from 192.0.2.1 port 22 ssh2"
    #expect(parse(line: message, program: "sshd")["source.ip"] == "192.0.2.1")
    #expect(parse(line: message)["source.ip"] == nil)
    #expect(parse(line: "Jan  5 00:00:01 h mysshd[5]: " + message, program: "sshd")["source.ip"] == "192.0.2.1")
    #expect(parse(line: "Jan  5 00:00:01 h mysshd[5]: " + message)["source.ip"] == nil)
    #expect(parse(line: message + "\r", program: "sshd")["source.port"] == "22")
  }

  @Test("a line beyond the limit is cut, not lost")
  func longLine() {
    let got = parse(line: "Jan  5 00:00:01 h p: " + String(repeating: "x", count: 3 * Limits.lineBytes))
    #expect(got["process.name"] == "p")
    #expect(got["message"]!.utf8.count == Limits.lineBytes - 21)
  }
}

@Suite("The year of stamps that have none")
struct YearInferenceTests {
  func years(_ inputTime: String, _ stamps: [String]) -> [String] {
    parse(lines: stamps.map { $0 + " 12:00:00 h p: m" }, inputTime: EventTime(rfc3339: inputTime)!).map { String($0["#time"]!.prefix(10)) }
  }

  @Test("the latest year in which the stamp is not more than a day ahead of the input")
  func first() {
    #expect(years("2026-06-15T12:00:00Z", ["Jun 15"]) == ["2026-06-15"])
    #expect(years("2026-06-15T12:00:00Z", ["Jun 16"]) == ["2026-06-16"])
    #expect(years("2026-06-15T12:00:00Z", ["Jun 17"]) == ["2025-06-17"])
    #expect(years("2026-01-01T00:00:30Z", ["Dec 31"]) == ["2025-12-31"])
    #expect(years("2025-12-31T23:59:30Z", ["Jan  1"]) == ["2026-01-01"])
    #expect(years("1970-01-01T00:00:00Z", ["Jan  2"]).count == 1)
  }
  @Test("a file that spans New Year")
  func newYear() {
    #expect(
      years("2026-01-03T00:00:00Z", ["Dec 30", "Dec 31", "Jan  1", "Dec 31", "Jan  2"]) == [
        "2025-12-30", "2025-12-31", "2026-01-01", "2025-12-31", "2026-01-02",
      ])
  }
  @Test("a file of almost a year grows from line to line")
  func almostAYear() {
    let got = years("2026-05-01T00:00:00Z", ["May  5", "Jul 10", "Oct  1", "Dec 24", "Jan 10", "Mar  1", "Apr 30"])
    #expect(got == ["2025-05-05", "2025-07-10", "2025-10-01", "2025-12-24", "2026-01-10", "2026-03-01", "2026-04-30"])
  }
  @Test("a silence of more than half a year")
  func silence() {
    #expect(years("2026-09-01T00:00:00Z", ["Jan  5", "Aug 30"]) == ["2026-01-05", "2026-08-30"])
  }
  @Test("a followed log outlives the time at which it was opened")
  func followed() {
    #expect(
      years("2026-03-01T00:00:00Z", ["Mar  1", "Jun  1", "Sep  1", "Dec  1", "Feb  1"]) == [
        "2026-03-01", "2026-06-01", "2026-09-01", "2026-12-01", "2027-02-01",
      ])
  }
  @Test("29 February")
  func leapDay() {
    #expect(years("2026-06-15T12:00:00Z", ["Feb 29"]) == ["2024-02-29"])
    #expect(years("2028-03-01T00:00:00Z", ["Feb 28", "Feb 29", "Mar  1"]) == ["2028-02-28", "2028-02-29", "2028-03-01"])
  }
  @Test("one wrong stamp does not move the following lines")
  func outlier() {
    #expect(years("2026-06-15T12:00:00Z", ["Jun 10", "Dec 25", "Jun 11"]) == ["2026-06-10", "2025-12-25", "2026-06-11"])
  }
}
