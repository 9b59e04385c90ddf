import Events
import Primitives
import Testing

@testable import LogParsers

@Suite("PAM modules")
struct PamUnixTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var program: String
    var message: String
    var action: String
    var expected: [String: String?]
    init(_ program: String, _ message: String, _ action: String, _ expected: [String: String?] = [:]) {
      self.program = program
      self.message = message
      self.action = action
      self.expected = expected
    }
    var testDescription: String { message }
  }

  @Test(
    "forms",
    arguments: [
      Case(
        "sshd", "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root", "pam-auth-failure",
        [
          "source.ip": "192.0.2.1", "user.name": "root", "panguard.pam.service": "sshd", "process.tty": "ssh", "event.outcome": "failure",
          "event.category": "authentication",
        ]),
      Case(
        "sshd", "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1 ", "pam-auth-failure",
        ["source.ip": "192.0.2.1", "user.name": nil]),
      Case(
        "sshd", "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=h.example  user=root", "pam-auth-failure",
        ["source.ip": nil, "source.address": "h.example"]),
      Case(
        "sshd", "pam_sss(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=2001:db8::7 user=root", "pam-auth-failure",
        ["source.ip": "2001:db8::7", "user.name": "root"]),
      Case(
        "sudo", "pam_unix(sudo:auth): authentication failure; logname=zoe uid=1001 euid=0 tty=/dev/pts/12 ruser=zoe rhost=  user=zoe",
        "pam-auth-failure", ["source.ip": nil, "user.name": "zoe", "process.tty": "/dev/pts/12"]),
      Case(
        "su", "pam_unix(su:auth): authentication failure; logname=zoe uid=1001 euid=0 tty=pts/1 ruser=zoe rhost=  user=root", "pam-auth-failure",
        ["user.name": "root"]),
      Case(
        "vsftpd", "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=bob rhost=192.0.2.1  user=bob",
        "pam-auth-failure", ["source.ip": "192.0.2.1", "user.name": "bob"]),
      Case(
        "vsftpd", "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=bob rhost=192.0.2.1", "pam-auth-failure",
        ["source.ip": "192.0.2.1", "user.name": "bob"]),
      // the login name is the client's: two readings
      Case(
        "vsftpd", "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=9.9.9.9 rhost=192.0.2.1 ",
        "pam-auth-failure", ["source.ip": nil, "panguard.ambiguous": "1"]),
      Case(
        "vsftpd", "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser= rhost=9.9.9.9 rhost=192.0.2.1 ",
        "pam-auth-failure", ["source.ip": nil, "panguard.ambiguous": "1"]),
      Case(
        "sshd(pam_unix)", "authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost=192.0.2.1  user=root", "pam-auth-failure",
        ["source.ip": "192.0.2.1", "panguard.pam.service": "sshd"]),
      Case("sshd", "pam_unix(sshd:auth): check pass; user unknown", "pam-check-failed", ["event.reason": "user-unknown"]),
      Case("sshd", "pam_unix(sshd:auth): bad username [a b]", "pam-check-failed", ["user.name": "a b"]),
      Case("sudo", "pam_unix(sudo:auth): auth could not identify password for [zoe]", "pam-check-failed", ["user.name": "zoe"]),
      Case("sudo", "pam_unix(sudo:auth): conversation failed", "pam-check-failed"),
      Case("unix_chkpwd", "password check failed for user (root)", "pam-check-failed", ["user.name": "root"]),
      Case(
        "sshd", "pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)", "pam-session-opened",
        ["user.name": "alice", "user.id": "1000", "event.category": "session", "panguard.pam.opened_by": nil]),
      Case(
        "sudo", "pam_unix(sudo:session): session opened for user root(uid=0) by alice(uid=1000)", "pam-session-opened",
        ["user.name": "root", "panguard.pam.opened_by": "alice"]),
      Case("sshd", "pam_unix(sshd:session): session opened for user root by (uid=0)", "pam-session-opened", ["user.name": "root", "user.id": nil]),
      Case(
        "login", "pam_unix(login:session): session opened for user root by LOGIN(uid=0)", "pam-session-opened",
        ["user.name": "root", "panguard.pam.opened_by": "LOGIN"]),
      Case("CRON", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)", "pam-session-opened", ["panguard.pam.service": "cron"]),
      Case(
        "sshd", "pam_unix(sshd:session): session closed for user alice", "pam-session-closed", ["user.name": "alice", "event.outcome": "success"]),
      Case(
        "sshd", "pam_unix(sshd:account): account alice has expired (account expired)", "pam-account-failure",
        ["user.name": "alice", "event.reason": "account-expired"]),
      Case("sshd", "pam_unix(sshd:account): expired password for user alice (password aged)", "pam-account-failure", ["user.name": "alice"]),
      Case(
        "passwd", "pam_unix(passwd:chauthtok): password changed for alice", "pam-password-changed",
        ["user.name": "alice", "event.outcome": "success"]),
      Case(
        "sshd", "PAM 5 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root", "pam-more-failures",
        ["source.ip": "192.0.2.1", "user.name": "root", "panguard.pam.service": "sshd"]),
      Case(
        "sshd", "PAM 1 more authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1 ", "pam-more-failures",
        ["source.ip": "192.0.2.1"]),
      Case("sshd", "PAM service(sshd) ignoring max retries; 6 > 3", "pam-more-failures", ["event.reason": "ignoring-max-retries"]),
      Case("sudo", "pam_tally2(sudo:auth): user zoe (4001) tally 6, deny 5", "pam-account-failure", ["user.name": "zoe", "user.id": "4001"]),
      Case(
        "sshd", "pam_faillock(sshd:auth): Consecutive login failures for user zoe account temporarily locked", "pam-account-failure",
        ["user.name": "zoe", "event.reason": "account-locked"]),
      Case("sshd", "pam_succeed_if(sshd:auth): requirement \"uid >= 1000\" not met by user \"root\"", "pam-check-failed", ["user.name": "root"]),
      Case(
        "sshd", "pam_access(sshd:account): access denied for user `root' from `192.0.2.1'", "pam-account-failure",
        ["user.name": "root", "source.ip": "192.0.2.1"]),
      Case("vsftpd", "pam_listfile(vsftpd:auth): Refused user root for service vsftpd", "pam-account-failure", ["user.name": "root"]),
    ])
  func forms(_ c: Case) {
    let got = parse(message: c.message, of: c.program)
    #expect(got["#outcome"] == "parsed")
    #expect(got["event.action"] == c.action)
    #expect(got["event.provider"] == "pam")
    for (name, value) in c.expected { #expect(got[name] == value, "\(name)") }
  }

  @Test(
    "what no module writes stays a message",
    arguments: [
      "pam_unix", "pam_unix(", "pam_unix(sshd", "pam_unix(sshd:auth)", "pam_unix(sshd:auth): ", "pam_unix(sshd:auth): authentication failure; ",
      "PAM ", "PAM x", "pam_frob(x:y): something",
    ])
  func unknown(_ message: String) { #expect(parse(message: message, of: "prog")["#outcome"] == "headerOnly") }
}
