import Events
import Primitives
import Testing

@testable import LogParsers

private let ok: [String: String] = [
  "event.provider": "sudo", "event.category": "process", "event.action": "sudo-command", "event.outcome": "success",
]
private let no: [String: String] = [
  "event.provider": "sudo", "event.category": "authentication", "event.action": "sudo-failure", "event.outcome": "failure",
]
private let warn: [String: String] = [
  "event.provider": "sudo", "event.category": "process", "event.action": "sudo-warning", "event.outcome": "unknown",
]
private func with(_ base: [String: String], _ more: [String: String]) -> [String: String] { base.merging(more) { $1 } }

private let ls = [
  "user.name": "alice", "process.tty": "pts/0", "process.working_directory": "/home/alice", "user.effective.name": "root",
  "process.command_line": "/bin/ls -l /root", "process.executable": "/bin/ls",
]
private let cat = [
  "user.name": "bob", "process.tty": "pts/1", "process.working_directory": "/home/bob", "user.effective.name": "root",
  "process.command_line": "/bin/cat /etc/shadow", "process.executable": "/bin/cat",
]
private let bobTried = "TTY=pts/1 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/cat /etc/shadow"

@Suite struct SudoTests {
  static let cases: [Case] = [
    Case("alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/bin/ls -l /root", with(ok, ls)),
    Case("   alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/bin/ls -l /root", with(ok, ls)),
    Case("alice : HOST=web1 ; TTY=pts/0 ; PWD=/home/alice ; USER=root ; TSID=000001 ; COMMAND=/bin/ls -l /root", with(ok, ls)),
    Case(
      "alice : TTY=pts/0 ; CHROOT=/srv/jail ; PWD=/home/alice ; USER=root ; GROUP=adm ; ENV=A=1 B=2 ; COMMAND=/bin/ls -l /root",
      with(with(ok, ls), ["group.name": "adm"])),
    Case(
      "alice : PWD=/home/alice ; USER=root ; COMMAND=list",
      with(
        ok,
        [
          "user.name": "alice", "process.working_directory": "/home/alice", "user.effective.name": "root", "process.command_line": "list",
        ])),
    Case(
      "CORP\\carol smith : TTY=unknown ; PWD=/ ; USER=postgres ; COMMAND=/usr/bin/psql -c select 1 ; select 2",
      with(
        ok,
        [
          "user.name": "CORP\\carol smith", "process.tty": "unknown", "process.working_directory": "/", "user.effective.name": "postgres",
          "process.command_line": "/usr/bin/psql -c select 1 ; select 2", "process.executable": "/usr/bin/psql",
        ])),
    Case(
      "bob : 3 incorrect password attempts ; \(bobTried)", with(with(no, cat), ["event.reason": "incorrect-password", "panguard.sudo.attempts": "3"])),
    Case(
      "bob : 1 incorrect password attempt ; \(bobTried)", with(with(no, cat), ["event.reason": "incorrect-password", "panguard.sudo.attempts": "1"])),
    Case("bob : user NOT in sudoers ; \(bobTried)", with(with(no, cat), ["event.reason": "not-in-sudoers"])),
    Case("bob : command not allowed ; \(bobTried)", with(with(no, cat), ["event.reason": "command-not-allowed"])),
    Case("bob : a password is required ; \(bobTried)", with(with(no, cat), ["event.reason": "password-required"])),
    Case("bob : user NOT authorized on host ; \(bobTried)", with(with(no, cat), ["event.reason": "not-authorized-on-host"])),
    Case("bob : no tty present and no askpass program specified ; \(bobTried)", with(with(no, cat), ["event.reason": "no-terminal"])),
    Case(
      "bob : a terminal is required to read the password; either use the -S option or configure an askpass helper ; \(bobTried)",
      with(with(no, cat), ["event.reason": "no-terminal"])),
    Case("bob : user NOT allowed to change root directory to /tmp/x ; \(bobTried)", with(with(no, cat), ["event.reason": "chroot-not-allowed"])),
    Case("bob : unable to resolve host web1: Name or service not known", with(warn, ["user.name": "bob", "event.reason": "unable-to-resolve-host"])),
    Case("bob : something new happened ; \(bobTried)", with(with(warn, cat), ["event.reason": "something new happened"])),
    Case(
      "alice : (command continued) /tmp/long argument",
      [
        "event.provider": "sudo", "event.category": "process", "event.action": "sudo-command-continued", "user.name": "alice",
        "process.command_line": "/tmp/long argument",
      ]),
    // Other programs' words through sudo, and no words at all.
    Case("pam_unix(sudo:auth): authentication failure; logname=bob uid=1000 euid=0 tty=/dev/pts/0 ruser=bob rhost=  user=bob", nil),
    Case("pam_unix(sudo:session): session opened for user root by alice(uid=0)", nil),
    Case("alice : hello", nil), Case(" : TTY=pts/0 ; COMMAND=x", nil), Case("", nil), Case(" : ", nil), Case("alice : ", nil),
    // The caller made a directory whose name looks like the rest of the line.
    Case(
      "bob : TTY=pts/1 ; PWD=/tmp/x ; USER=root ; COMMAND=/bin/true ; USER=bob ; COMMAND=/usr/bin/id",
      with(
        ok,
        [
          "user.name": "bob", "process.tty": "pts/1", "process.command_line": "/bin/true ; USER=bob ; COMMAND=/usr/bin/id", "panguard.ambiguous": "1",
        ])),
    // Or passed it as an argument: the same bytes in the other order, so the same answer.
    Case(
      "bob : TTY=pts/1 ; PWD=/tmp ; USER=root ; COMMAND=/bin/echo x ; USER=alice ; COMMAND=/bin/sh",
      with(
        ok,
        [
          "user.name": "bob", "process.tty": "pts/1", "process.command_line": "/bin/echo x ; USER=alice ; COMMAND=/bin/sh", "panguard.ambiguous": "1",
        ])),
    // A directory with only a command in its name; an environment that forges one.
    Case(
      "bob : TTY=pts/1 ; PWD=/tmp/a ; COMMAND=/bin/true ; USER=root ; COMMAND=/bin/sh",
      with(
        ok,
        [
          "user.name": "bob", "process.tty": "pts/1", "process.command_line": "/bin/true ; USER=root ; COMMAND=/bin/sh", "panguard.ambiguous": "1",
        ])),
    Case(
      "bob : TTY=pts/1 ; PWD=/tmp ; USER=root ; ENV=A=x ; COMMAND=/bin/true ; COMMAND=/bin/sh",
      with(
        ok,
        [
          "user.name": "bob", "process.tty": "pts/1", "process.command_line": "/bin/true ; COMMAND=/bin/sh", "panguard.ambiguous": "1",
        ])),
    // A second " : " belongs to what follows.
    Case(
      "bob : TTY=pts/1 ; PWD=/tmp/root : TTY=x ; USER=root ; COMMAND=/bin/sh",
      with(
        ok,
        [
          "user.name": "bob", "process.tty": "pts/1", "process.working_directory": "/tmp/root : TTY=x", "user.effective.name": "root",
          "process.command_line": "/bin/sh", "process.executable": "/bin/sh",
        ])),
  ]
  @Test(arguments: cases) func reads(_ row: Case) { #expect(fields(row.line, .sudo) == row.fields) }
}

@Suite struct SuTests {
  private static func su(_ outcome: String, _ more: [String: String]) -> [String: String] {
    ["event.provider": "su", "event.category": "authentication", "event.action": "su-session", "event.outcome": outcome].merging(more) { $1 }
  }
  static let cases: [Case] = [
    Case("(to root) alice on pts/1", su("success", ["user.name": "alice", "user.effective.name": "root", "process.tty": "pts/1"])),
    Case("FAILED SU (to root) bob on pts/0", su("failure", ["user.name": "bob", "user.effective.name": "root", "process.tty": "pts/0"])),
    Case("FAILED RUNUSER (to root) bob on none", su("failure", ["user.name": "bob", "user.effective.name": "root", "process.tty": "none"])),
    Case("(to postgres)  on none", su("success", ["user.effective.name": "postgres", "process.tty": "none"])),
    Case("Successful su for root by alice", su("success", ["user.name": "alice", "user.effective.name": "root"])),
    Case("FAILED su for root by bob", su("failure", ["user.name": "bob", "user.effective.name": "root"])),
    Case(
      "+ /dev/pts/0 alice:root",
      su("success", ["user.name": "alice", "user.effective.name": "root", "process.tty": "/dev/pts/0", "event.reason": "summary"])),
    Case(
      "- /dev/pts/0 bob:root",
      su("failure", ["user.name": "bob", "user.effective.name": "root", "process.tty": "/dev/pts/0", "event.reason": "summary"])),
    // The wanted account is what the caller typed.
    Case("FAILED SU (to x) alice on pts/9) bob on pts/0", su("failure", ["user.name": "bob", "process.tty": "pts/0", "panguard.ambiguous": "1"])),
    Case("FAILED su for x by alice by bob", su("failure", ["panguard.ambiguous": "1"])),
    Case("pam_unix(su:auth): authentication failure; logname= uid=1000 euid=0 tty=pts/0 ruser=bob rhost=  user=root", nil),
    Case("+ a sentence that begins with a plus: yes", nil), Case("(to root", nil), Case("", nil),
  ]
  @Test(arguments: cases) func reads(_ row: Case) { #expect(fields(row.line, .su) == row.fields) }
}

@Suite struct LoginTests {
  private static func login(_ outcome: String, _ more: [String: String]) -> [String: String] {
    ["event.provider": "login", "event.category": "authentication", "event.action": "console-login", "event.outcome": outcome].merging(more) { $1 }
  }
  static let cases: [Case] = [
    Case("LOGIN ON tty1 BY alice", login("success", ["user.name": "alice", "process.tty": "tty1"])),
    Case(
      "LOGIN ON pts/3 BY alice FROM 192.0.2.9",
      login(
        "success",
        [
          "user.name": "alice", "process.tty": "pts/3", "source.ip": "192.0.2.9", "source.address": "192.0.2.9",
        ])),
    Case("ROOT LOGIN ON tty1", login("success", ["user.name": "root", "process.tty": "tty1"])),
    Case("ROOT LOGIN ON pts/1 FROM gate.example", login("success", ["user.name": "root", "process.tty": "pts/1", "source.address": "gate.example"])),
    Case("ROOT LOGIN  on '/dev/tty1'", login("success", ["user.name": "root", "process.tty": "/dev/tty1"])),
    Case(
      "'alice' logged in on '/dev/tty2' from '192.0.2.9'",
      login(
        "success",
        [
          "user.name": "alice", "process.tty": "/dev/tty2", "source.ip": "192.0.2.9", "source.address": "192.0.2.9",
        ])),
    Case(
      "FAILED LOGIN (1) on '/dev/tty1' FOR 'UNKNOWN', Authentication failure",
      login(
        "failure",
        [
          "process.tty": "/dev/tty1", "event.reason": "Authentication failure",
        ])),
    Case(
      "FAILED LOGIN (2) on '/dev/tty1' from 'host.example' FOR 'bob', Authentication failure",
      login(
        "failure",
        [
          "user.name": "bob", "process.tty": "/dev/tty1", "source.address": "host.example", "event.reason": "Authentication failure",
        ])),
    Case(
      "FAILED LOGIN 1 FROM tty1 FOR bob, Authentication failure",
      login(
        "failure",
        [
          "user.name": "bob", "process.tty": "tty1", "event.reason": "Authentication failure",
        ])),
    Case(
      "FAILED LOGIN SESSION FROM 192.0.2.9 FOR bob, Have exhausted maximum number of retries for service",
      login(
        "failure",
        [
          "user.name": "bob", "source.ip": "192.0.2.9", "source.address": "192.0.2.9",
          "event.reason": "Have exhausted maximum number of retries for service",
        ])),
    Case(
      "TOO MANY LOGIN TRIES (5) FROM tty1 FOR bob, Authentication failure",
      login(
        "failure",
        [
          "user.name": "bob", "process.tty": "tty1", "event.reason": "too-many-tries",
        ])),
    // The name is what was typed at the prompt.
    Case(
      "FAILED LOGIN (1) on '/dev/tty1' FOR 'x', Authentication failure FROM 192.0.2.1 FOR 'y', Authentication failure",
      login(
        "failure",
        [
          "user.name": "x', Authentication failure FROM 192.0.2.1 FOR 'y", "process.tty": "/dev/tty1", "event.reason": "Authentication failure",
        ])),
    Case(
      "FAILED LOGIN 1 FROM tty1 FOR x FROM 192.0.2.1 FOR root, hm, Authentication failure",
      login(
        "failure",
        [
          "user.name": "x FROM 192.0.2.1 FOR root, hm", "process.tty": "tty1", "event.reason": "Authentication failure",
        ])),
    Case("pam_unix(login:session): session opened for user root by LOGIN(uid=0)", nil), Case("FAILED LOGIN", nil), Case("'x' said something", nil),
    Case("LOGIN ON the whole BY nobody", nil),
  ]
  @Test(arguments: cases) func reads(_ row: Case) { #expect(fields(row.line, .login) == row.fields) }
}

@Suite struct CronTests {
  private static func cron(_ category: String, _ action: String, _ outcome: String, _ more: [String: String]) -> [String: String] {
    ["event.provider": "cron", "event.category": category, "event.action": action, "event.outcome": outcome].merging(more) { $1 }
  }
  static let cases: [Case] = [
    Case(
      "(root) CMD (   cd / && run-parts --report /etc/cron.hourly)",
      cron(
        "process", "cron-command", "success",
        [
          "user.name": "root", "process.command_line": "cd / && run-parts --report /etc/cron.hourly",
        ])),
    Case(
      "(bob) CMD (echo ') CMD (x' > /tmp/(a))",
      cron(
        "process", "cron-command", "success",
        [
          "user.name": "bob", "process.command_line": "echo ') CMD (x' > /tmp/(a)",
        ])),
    Case(
      "(bob) BEGIN EDIT (bob)",
      cron("configuration", "cron-edit", "unknown", ["user.name": "bob", "user.target.name": "bob", "event.reason": "begin-edit"])),
    Case(
      "(root) END EDIT (bob)",
      cron("configuration", "cron-edit", "unknown", ["user.name": "root", "user.target.name": "bob", "event.reason": "end-edit"])),
    Case(
      "(root) REPLACE (bob)",
      cron("configuration", "cron-edit", "success", ["user.name": "root", "user.target.name": "bob", "event.reason": "replace"])),
    Case(
      "(bob) DELETE (bob)", cron("configuration", "cron-edit", "success", ["user.name": "bob", "user.target.name": "bob", "event.reason": "delete"])),
    Case("(bob) LIST (bob)", cron("configuration", "cron-list", "success", ["user.name": "bob", "user.target.name": "bob"])),
    Case(
      "(bob) AUTH (crontab command not allowed)",
      cron("configuration", "cron-denied", "failure", ["user.name": "bob", "event.reason": "crontab command not allowed"])),
    Case("(*system*) RELOAD (/etc/cron.d/job)", cron("configuration", "cron-reload", "success", ["event.reason": "/etc/cron.d/job"])),
    Case("(bob) RELOAD (crontabs/bob)", cron("configuration", "cron-reload", "success", ["user.name": "bob", "event.reason": "crontabs/bob"])),
    Case(
      "(root) ERROR (failed to change user)",
      cron("process", "cron-error", "failure", ["user.name": "root", "event.reason": "failed to change user"])),
    Case("(eve) ORPHAN (no passwd entry)", cron("configuration", "cron-error", "failure", ["user.name": "eve", "event.reason": "orphan"])),
    Case("(CRON) INFO (Running @reboot jobs)", nil), Case("(root) CMDOUT (hello)", nil), Case("(root) MAIL (mailed 43 bytes)", nil),
    Case("pam_unix(cron:session): session opened for user root by (uid=0)", nil), Case("(", nil), Case("() CMD (x)", nil),
  ]
  @Test(arguments: cases) func reads(_ row: Case) { #expect(fields(row.line, .cron) == row.fields) }
}
