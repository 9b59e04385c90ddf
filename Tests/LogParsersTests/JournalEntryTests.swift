import Events
import Primitives
import Testing

@testable import LogParsers

@Suite("Journal entries")
struct JournalEntryTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var identifier: String?
    var comm: String?
    var exe: String?
    var uid: String?
    var transport: String?
    var isAttested: Bool
    init(_ identifier: String?, comm: String?, exe: String?, uid: String?, transport: String? = nil, _ isAttested: Bool) {
      self.identifier = identifier
      self.comm = comm
      self.exe = exe
      self.uid = uid
      self.transport = transport
      self.isAttested = isAttested
    }
    var testDescription: String { "\(identifier ?? "-") comm=\(comm ?? "-") exe=\(exe ?? "-") uid=\(uid ?? "-")" }
  }

  static func entry(_ message: String, _ c: Case) -> (Fields) {
    func bytes(_ text: String?) -> Bytes? {
      guard let text else { return nil }
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, text.utf8.count), alignment: 1)
      copy.copyBytes(from: text.utf8)
      return Bytes(start: copy.baseAddress, count: text.utf8.count)  // leaked: this is a test
    }
    var entry = JournalEntry()
    entry.message = bytes(message)
    entry.syslogIdentifier = bytes(c.identifier)
    entry.comm = bytes(c.comm)
    entry.exe = bytes(c.exe)
    entry.uid = bytes(c.uid)
    entry.transport = bytes(c.transport)
    entry.pid = bytes("77")
    entry.hostname = bytes("web01")
    entry.priority = bytes("6")
    entry.facility = bytes("10")
    entry.unit = bytes("ssh.service")
    entry.realtimeMicroseconds = 1_780_000_000_123_456
    var parser = LogParser(format: .auto, inputTime: testInputTime)
    var event = Event()
    let outcome = parser.parse(journal: entry, origin: EventOrigin(source: 3, offset: 9, length: 0), into: &event)
    return fields(of: event, outcome: outcome)
  }

  @Test(
    "who may speak for a program",
    arguments: [
      Case("sshd", comm: "sshd", exe: "/usr/sbin/sshd", uid: "0", true),
      Case("sshd", comm: "sshd-session", exe: "/usr/lib/openssh/sshd-session", uid: "0", true),
      Case("sshd-session", comm: "sshd-session", exe: "/usr/lib/openssh/sshd-session", uid: "0", true),
      Case("sshd", comm: "sshd", exe: nil, uid: "0", true),
      // logger -t sshd "...", by a user and by root
      Case("sshd", comm: "logger", exe: "/usr/bin/logger", uid: "1000", false),
      Case("sshd", comm: "logger", exe: "/usr/bin/logger", uid: "0", false),
      // a copy of logger with another name, a process that renamed itself, a user's own sshd
      Case("sshd", comm: "sshd", exe: "/home/u/sshd", uid: "1000", false),
      Case("sshd", comm: "sshd", exe: "/usr/bin/python3.11", uid: "1000", false),
      Case("sshd", comm: "sshd", exe: "/usr/sbin/sshd", uid: "1000", false),
      Case("sshd", comm: "sshd", exe: nil, uid: "1000", false),
      Case("SSHD", comm: "logger", exe: "/usr/bin/logger", uid: "0", false),
      Case("sshd", comm: nil, exe: nil, uid: nil, false),
      Case("sshd", comm: "sshd", exe: "/usr/sbin/sshd", uid: nil, false),
      Case("sudo", comm: "sudo", exe: "/usr/bin/sudo", uid: "1000", true),
      Case("sudo", comm: "sudo", exe: "/home/u/usr/bin/sudo", uid: "1000", false),
      Case("sudo", comm: "logger", exe: "/usr/bin/logger", uid: "1000", false),
      Case("kernel", comm: nil, exe: nil, uid: nil, transport: "kernel", true),
      Case("kernel", comm: nil, exe: nil, uid: nil, transport: "syslog", false),
      Case("kernel", comm: "logger", exe: "/usr/bin/logger", uid: "0", transport: "syslog", false),
      Case("nginx", comm: "nginx", exe: "/usr/sbin/nginx", uid: "33", true),
      Case("nginx", comm: "nginx", exe: "/home/u/nginx", uid: "1000", false),
      Case("nginx", comm: "logger", exe: "/usr/bin/logger", uid: "33", false),
      Case(nil, comm: "dbus-daemon", exe: "/usr/bin/dbus-daemon", uid: "100", true),
      Case("", comm: "", exe: "", uid: "", false),
    ])
  func trust(_ c: Case) {
    let got = JournalEntryTests.entry("Failed password for root from 192.0.2.1 port 22 ssh2", c)
    #expect(got["#trust"] == (c.isAttested ? "attested" : "claimed"))
  }

  @Test("fields")
  func fieldsOfEntry() {
    let got = JournalEntryTests.entry(
      "Failed password for invalid user x from 192.0.2.1 port 22 ssh2", Case("sshd", comm: "sshd", exe: "/usr/sbin/sshd", uid: "0", true))
    #expect(got["#outcome"] == "parsed")
    #expect(got["#time"] == "2026-05-28T20:26:40.123456Z")
    #expect(got["source.ip"] == "192.0.2.1")
    #expect(got["user.name"] == "x")
    #expect(got["process.name"] == "sshd")
    #expect(got["process.pid"] == "77")
    #expect(got["host.name"] == "web01")
    #expect(got["systemd.unit"] == "ssh.service")
    #expect(got["log.syslog.severity.code"] == "6")
    #expect(got["log.syslog.facility.code"] == "10")
    #expect(got["journald.uid"] == "0")
    let unknown = JournalEntryTests.entry("hello", Case("frobnicate", comm: "frobnicate", exe: "/usr/bin/frobnicate", uid: "0", true))
    #expect(unknown["#outcome"] == "headerOnly")
  }

  @Test("an entry without anything")
  func empty() {
    var parser = LogParser(format: .auto, inputTime: testInputTime)
    var event = Event()
    let outcome = parser.parse(journal: JournalEntry(), origin: EventOrigin(source: 0, offset: 0, length: 0), into: &event)
    #expect(outcome == .unparsed)
    let (trust, time) = (event.trust, event.time)
    #expect(trust == .claimed)
    #expect(time == testInputTime)
  }
}
