// Lines that rsyslogd 8.2302 wrote with packaging/rsyslog/panguard.conf, and lines that only look so.
import Events
import Primitives
import Testing

@testable import LogParsers

@Suite("rsyslog's own entries")
struct RsyslogEntryTests {
  /// One line with what the kernel says of its sender; nil: the member is empty, as rsyslog writes what it could not find out.
  static func line(
    _ identifier: String, uid: String?, comm: String? = nil, exe: String? = nil, input: String = "imuxsock",
    message: String = " Failed password for root from 192.0.2.7 port 4022 ssh2"
  ) -> String {
    """
    {"@timestamp":"2026-11-21T14:49:05.815124+00:00","input":"\(input)","_HOSTNAME":"web01","_PID":"30366","_UID":"\(uid ?? "")",\
    "_COMM":"\(comm ?? "")","_EXE":"\(exe ?? "")","_CMDLINE":"","SYSLOG_FACILITY":"10","PRIORITY":"6","SYSLOG_IDENTIFIER":"\(identifier)",\
    "SYSLOG_PID":"77","MESSAGE":"\(message)"}
    """
  }
  private struct Reading: ~Copyable {
    var outcome: ParseOutcome
    var event: Event
  }
  private func read(_ text: String, format: LogFormat = .rsyslog) -> Reading {
    var parser = LogParser(format: format, inputTime: testInputTime)
    var event = Event()
    let bytes = Array(text.utf8)
    let outcome = bytes.withUnsafeBytes {
      parser.parse($0, origin: EventOrigin(source: 0, offset: 0, length: UInt32($0.count)), into: &event)
    }
    return Reading(outcome: outcome, event: event)
  }

  @Test func sshdIsVouchedFor() {
    let reading = read(Self.line("sshd", uid: "0", comm: "sshd", exe: "\\/usr\\/sbin\\/sshd"))
    #expect(reading.outcome == .parsed && reading.event.trust == .attested)
    #expect("\(reading.event.time)" == "2026-11-21T14:49:05.815124Z" && reading.event.timeBasis == .stamped)
    #expect(reading.event.text(.eventAction)?.string == "ssh-login" && reading.event.text(.hostName)?.string == "web01")
    #expect(reading.event.integer(.processPid) == 30366 && reading.event.text(.processExecutable)?.string == "/usr/sbin/sshd")
    #expect(reading.event.text(.message)?.string == "Failed password for root from 192.0.2.7 port 4022 ssh2")
  }

  @Test(
    "who is not vouched for",
    arguments: [
      // logger -t sshd, by root and by a user; a user's process that was gone, and one that runs sshd under its own name.
      line("sshd", uid: "0", comm: "logger", exe: "\\/usr\\/bin\\/logger"), line("sshd", uid: "1000", comm: "logger", exe: "\\/usr\\/bin\\/logger"),
      line("sshd", uid: "1000"), line("sshd", uid: "1000", comm: "sshd", exe: "\\/usr\\/sbin\\/sshd"), line("sshd", uid: nil),
      // The network, and a plug-in that fills the same members.
      line("sshd", uid: "0", comm: "sshd", exe: "\\/usr\\/sbin\\/sshd", input: "imudp"),
      line("kernel", uid: nil, message: " [ 1.000000] sshd was here"),
    ])
  func claimed(line: String) {
    let reading = read(line)
    #expect(reading.outcome != .unparsed && reading.event.trust == .claimed)
  }

  @Test func theKernelSpeaksThroughItsOwnInput() {
    let reading = read(
      Self.line("kernel", uid: nil, input: "imklog", message: " [ 1.000000] DROP IN=eth0 SRC=192.0.2.7 DST=192.0.2.1 PROTO=TCP DPT=22"))
    #expect(reading.event.trust == .attested && reading.event.text(.message)?.string.hasPrefix("DROP") == true)
  }

  @Test func whatASenderWritesStaysInItsMessage() {
    let reading = read(
      Self.line("sshd", uid: "1000", comm: "logger", message: " x\\\",\\\"_UID\\\":\\\"0\\\",\\\"_EXE\\\":\\\"\\/usr\\/sbin\\/sshd\\\""))
    #expect(reading.outcome != .unparsed && reading.event.trust == .claimed)
    #expect(reading.event.text(.message)?.string == "x\",\"_UID\":\"0\",\"_EXE\":\"/usr/sbin/sshd\"")
  }

  @Test(
    "not of that template: a message that nobody vouches for",
    arguments: [
      "", "{", "{}", "[]", "Jan  5 10:00:00 web01 sshd[1]: Failed password for root from 192.0.2.7 port 1 ssh2",
      line("sshd", uid: "0", comm: "sshd").replacing("}", with: ",\"_UID\":\"0\"}"),
      line("sshd", uid: "0", comm: "sshd").replacing("}", with: ",\"x\":{\"MESSAGE\":\"y\"}}"),
      line("sshd", uid: "0", comm: "sshd").replacing("\"_UID\":\"0\"", with: "\"_UID\":0"),
      String(line("sshd", uid: "0", comm: "sshd").dropLast()), "{\"MESSAGE\":\"x\",\"_UID\":\"0\",\"_COMM\":\"sshd\"}",
    ])
  func refused(line: String) {
    let reading = read(line)
    #expect(reading.outcome == .unparsed && reading.event.trust == .claimed && !reading.event.has(.sourceIP))
  }

  /// A user may write a file that looks like rsyslog's: what counts is the source's format.
  @Test(arguments: LogFormat.allCases.filter { $0 != .rsyslog })
  func otherFormatsDoNotBelieveIt(format: LogFormat) {
    #expect(read(Self.line("sshd", uid: "0", comm: "sshd", exe: "\\/usr\\/sbin\\/sshd"), format: format).event.trust == .claimed)
  }

  /// Bytes that are no UTF-8 do not hide a line.
  @Test func anyBytesInAMessage() {
    var bytes = Array(Self.line("sshd", uid: "0", comm: "sshd", message: " Failed password for invalid user X from 192.0.2.7 port 1 ssh2").utf8)
    bytes[bytes.lastIndex(of: 0x58)!] = 0xff
    var parser = LogParser(format: .rsyslog, inputTime: testInputTime)
    var event = Event()
    let outcome = bytes.withUnsafeBytes { parser.parse($0, origin: EventOrigin(source: 0, offset: 0, length: 0), into: &event) }
    #expect(outcome == .parsed && event.trust == .attested && event.has(.sourceIP))
  }

  @Test func rsyslogsRepetitionsCount() {
    let reading = read(
      Self.line(
        "sshd", uid: "0", comm: "sshd", exe: "\\/usr\\/sbin\\/sshd",
        message: " message repeated 4 times: [ Failed password for root from 192.0.2.7 port 4022 ssh2]"))
    #expect(reading.event.repeatCount == 4 && reading.event.text(.eventAction)?.string == "ssh-login")
  }

  /// sshd's process may have ended when rsyslogd looks for it: it is believed where it was seen alive just before.
  @Test func aProcessThatEndedIsRemembered() {
    var parser = LogParser(format: .rsyslog, inputTime: testInputTime)
    var event = Event()
    func trust(_ line: String, pid: String = "30366", time: String = "14:49:05") -> Trust {
      let bytes = Array(line.replacing("30366", with: pid).replacing("14:49:05", with: time).utf8)
      _ = bytes.withUnsafeBytes { parser.parse($0, origin: EventOrigin(source: 0, offset: 0, length: 0), into: &event) }
      return event.trust
    }
    let gone = Self.line("sshd", uid: "0")
    #expect(trust(gone) == .claimed)
    #expect(trust(Self.line("sshd", uid: "0", comm: "sshd", exe: "\\/usr\\/sbin\\/sshd")) == .attested)
    #expect(trust(gone) == .attested && trust(gone, time: "14:51:00") == .attested)
    // Another process, another name, another user, somebody else's executable, too late, too early.
    #expect(trust(gone, pid: "30367") == .claimed && trust(gone, pid: "34462") == .claimed)
    #expect(trust(Self.line("sudo", uid: "0")) == .claimed && trust(Self.line("sshd", uid: "1000")) == .claimed)
    #expect(trust(Self.line("sshd", uid: "0", comm: "logger")) == .claimed)
    #expect(trust(gone, time: "14:52:00") == .claimed && trust(gone, time: "14:49:00") == .claimed)
  }
}
