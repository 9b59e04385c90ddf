// su, sudo and login: PAM's line and the program's own are one attempt.
import Events
import Primitives
import Testing

@testable import LogParsers

@Suite("One attempt is one count: su, sudo, login")
struct LoginServiceSessionTests {
  static let pam = "authentication failure; logname=zoe uid=1001 euid=0 tty=/dev/pts/1 ruser=zoe rhost=  user="

  @Test("su")
  func su() {
    let run = track([
      "0 su[5]: pam_unix(su:auth): \(LoginServiceSessionTests.pam)root", "2 su[5]: FAILED SU (to root) zoe on pts/1",
      "60 sshd[9]: Connection from 192.0.2.9 port 1",
    ])
    #expect(run.counted.map(\.line) == [1])
    #expect(run.counted.first?.evidence == 1)
  }
  @Test("su that succeeds after PAM's first module failed")
  func suSucceeds() {
    let run = track([
      "0 su[5]: pam_unix(su:auth): \(LoginServiceSessionTests.pam)root", "1 su[5]: (to root) zoe on pts/1",
      "60 sshd[9]: Connection from 192.0.2.9 port 1",
    ])
    #expect(run.total == 0)
  }
  @Test("sudo's three attempts, with and without process id", arguments: ["sudo:", "sudo[77]:"])
  func sudo(_ tag: String) {
    let run = track([
      "0 \(tag) pam_unix(sudo:auth): \(LoginServiceSessionTests.pam)zoe",
      "9 \(tag)      zoe : 3 incorrect password attempts ; TTY=pts/1 ; PWD=/home/zoe ; USER=root ; COMMAND=/bin/sh",
      "9 \(tag) PAM 2 more authentication failures; logname=zoe uid=1001 euid=0 tty=/dev/pts/1 ruser=zoe rhost=  user=zoe",
      "60 sshd[9]: Connection from 192.0.2.9 port 1",
    ])
    #expect(run.total == 3)
  }
  @Test("a command that is not allowed is no failed login")
  func notAllowed() {
    let run = track([
      "0 sudo:      zoe : user NOT in sudoers ; TTY=pts/1 ; PWD=/home/zoe ; USER=root ; COMMAND=/bin/sh",
      "60 sshd[9]: Connection from 192.0.2.9 port 1",
    ])
    #expect(run.total == 0)
  }
  @Test("login")
  func login() {
    let run = track([
      "0 login[5]: pam_unix(login:auth): authentication failure; logname=LOGIN uid=0 euid=0 tty=/dev/tty1 ruser= rhost=  user=root",
      "2 login[5]: FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure",
      "6 login[5]: FAILED LOGIN (2) on '/dev/tty1' FOR 'root', Authentication failure",
    ])
    #expect(run.counted.map(\.line) == [1, 2])
  }
}
