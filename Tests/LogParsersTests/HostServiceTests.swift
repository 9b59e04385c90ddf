import Events
import Primitives
import Testing

@testable import LogParsers

@Suite struct SystemdTests {
  private static func unit(_ action: String, _ more: [String: String]) -> [String: String] {
    ["event.provider": "systemd", "event.category": "host", "event.action": action].merging(more) { $1 }
  }
  static let cases: [Case] = [
    Case(
      "Started nginx.service - A high performance web server.",
      unit("service-started", ["event.outcome": "success", "systemd.unit": "nginx.service"])),
    Case(
      "Started Daily apt upgrade and clean activities.",
      unit("service-started", ["event.outcome": "success", "event.reason": "Daily apt upgrade and clean activities"])),
    Case("Starting nginx.service - A high performance web server...", unit("service-starting", ["systemd.unit": "nginx.service"])),
    Case("Stopping OpenBSD Secure Shell server...", unit("service-stopping", ["event.reason": "OpenBSD Secure Shell server"])),
    Case(
      "Stopped auditd.service - Security Auditing Service.", unit("service-stopped", ["event.outcome": "success", "systemd.unit": "auditd.service"])),
    Case(
      "Failed to start nginx.service - A high performance web server.",
      unit(
        "service-failed",
        [
          "event.outcome": "failure", "systemd.unit": "nginx.service", "event.reason": "failed-to-start",
        ])),
    Case(
      "nginx.service: Failed with result 'exit-code'.",
      unit("service-failed", ["event.outcome": "failure", "systemd.unit": "nginx.service", "event.reason": "exit-code"])),
    Case(
      "nginx.service: Main process exited, code=exited, status=1/FAILURE",
      unit(
        "service-exited",
        [
          "event.outcome": "failure", "systemd.unit": "nginx.service", "event.reason": "code=exited, status=1/FAILURE",
        ])),
    Case(
      "nginx.service: Main process exited, code=killed, status=9/KILL",
      unit(
        "service-exited",
        [
          "event.outcome": "failure", "systemd.unit": "nginx.service", "event.reason": "code=killed, status=9/KILL",
        ])),
    Case(
      "nginx.service: Scheduled restart job, restart counter is at 5.",
      unit(
        "service-restarted",
        [
          "event.outcome": "success", "systemd.unit": "nginx.service", "event.reason": "automatic-restart",
        ])),
    Case(
      "nginx.service: Start request repeated too quickly.",
      unit("service-failed", ["event.outcome": "failure", "systemd.unit": "nginx.service", "event.reason": "start-limit-hit"])),
    Case(
      "user@1000.service: Deactivated successfully.",
      unit("service-stopped", ["event.outcome": "success", "systemd.unit": "user@1000.service", "event.reason": "deactivated"])),
    Case("Started session-4.scope - Session 4 of User bob.", nil), Case("Started Session 4 of User bob.", nil),
    Case("Reached target Multi-User System.", nil),
    Case("apt-daily.timer: Adding 3h 2min random time.", nil), Case("nginx.service: Consumed 1.2s CPU time.", nil), Case("Reloading.", nil),
    // A description that poses as another unit's name is not one.
    Case(
      "Started evil.service - auditd.service: Failed with result 'x'.",
      unit("service-started", ["event.outcome": "success", "systemd.unit": "evil.service"])),
    Case("Started auditd.service by hand.", unit("service-started", ["event.outcome": "success", "event.reason": "auditd.service by hand"])),
  ]
  @Test(arguments: cases) func reads(_ row: Case) { #expect(fields(row.line, .systemd) == row.fields) }

  private static func logind(_ category: String, _ action: String, _ more: [String: String] = [:]) -> [String: String] {
    ["event.provider": "logind", "event.category": category, "event.action": action].merging(more) { $1 }
  }
  static let logindCases: [Case] = [
    Case("New session 4 of user bob.", logind("session", "session-created", ["systemd.session.id": "4", "user.name": "bob"])),
    Case(
      "New session '12' of user 'bob' with class 'user' and type 'tty'.",
      logind("session", "session-created", ["systemd.session.id": "12", "user.name": "bob"])),
    Case("New session c1 of user a.b.", logind("session", "session-created", ["systemd.session.id": "c1", "user.name": "a.b"])),
    Case("Removed session 4.", logind("session", "session-removed", ["systemd.session.id": "4"])),
    Case("Session 4 logged out. Waiting for processes to exit.", logind("session", "session-logged-out", ["systemd.session.id": "4"])),
    Case("System is powering down.", logind("host", "system-shutdown", ["event.reason": "power-off"])),
    Case("System is rebooting (kernel upgrade).", logind("host", "system-shutdown", ["event.reason": "reboot"])),
    Case("The system will suspend now!", logind("host", "system-suspend")),
    Case("Watching system buttons on /dev/input/event0 (Power Button)", nil),
  ]
  @Test(arguments: logindCases) func readsLogind(_ row: Case) { #expect(fields(row.line, .logind) == row.fields) }
}

@Suite struct ShadowTests {
  private static func iam(_ action: String, _ more: [String: String], outcome: String = "success") -> [String: String] {
    ["event.provider": "shadow", "event.category": "iam", "event.action": action, "event.outcome": outcome].merging(more) { $1 }
  }
  static let cases: [Case] = [
    Case(
      "new user: name=eve, UID=1001, GID=1001, home=/home/eve, shell=/bin/bash, from=/dev/pts/0",
      iam(
        "user-added",
        [
          "user.target.name": "eve", "user.target.id": "1001", "group.id": "1001", "user.target.home": "/home/eve", "user.target.shell": "/bin/bash",
          "process.tty": "/dev/pts/0",
        ])),
    Case(
      "new user: name=eve, UID=0, GID=0, home=/root, shell=/bin/sh",
      iam(
        "user-added",
        [
          "user.target.name": "eve", "user.target.id": "0", "group.id": "0", "user.target.home": "/root", "user.target.shell": "/bin/sh",
        ])),
    Case("failed adding user 'eve', exit code: 9", iam("user-added", ["user.target.name": "eve"], outcome: "failure")),
    Case("new group: name=eve, GID=1001", iam("group-added", ["group.name": "eve", "group.id": "1001"])),
    Case(
      "group added to /etc/group: name=eve, GID=1001", iam("group-added", ["group.name": "eve", "group.id": "1001", "event.reason": "group-file"])),
    Case("group added to /etc/gshadow: name=eve", iam("group-added", ["group.name": "eve", "event.reason": "shadow"])),
    Case("add 'eve' to group 'sudo'", iam("user-added-to-group", ["user.target.name": "eve", "group.name": "sudo"])),
    Case(
      "add 'eve' to shadow group 'sudo'", iam("user-added-to-group", ["user.target.name": "eve", "group.name": "sudo", "event.reason": "shadow"])),
    Case("delete 'eve' from group 'sudo'", iam("user-removed-from-group", ["user.target.name": "eve", "group.name": "sudo"])),
    Case(
      "delete 'eve' from shadow group 'sudo'",
      iam("user-removed-from-group", ["user.target.name": "eve", "group.name": "sudo", "event.reason": "shadow"])),
    Case("delete user 'eve'", iam("user-deleted", ["user.target.name": "eve"])),
    Case("removed group 'eve' owned by 'eve'", iam("group-deleted", ["user.target.name": "eve", "group.name": "eve"])),
    Case(
      "removed shadow group 'eve' owned by 'eve'", iam("group-deleted", ["user.target.name": "eve", "group.name": "eve", "event.reason": "shadow"])),
    Case("group 'eve' removed from /etc/group", iam("group-deleted", ["group.name": "eve", "event.reason": "group-file"])),
    Case("group 'eve' removed", iam("group-deleted", ["group.name": "eve"])),
    Case("group changed in /etc/group (group staff/50, new name: staff2)", iam("group-changed", ["group.name": "staff", "group.id": "50"])),
    Case("change user 'eve' password", iam("password-changed", ["user.target.name": "eve"])),
    Case(
      "change user 'eve' shell from '/bin/sh' to '/bin/bash'",
      iam("user-changed", ["user.target.name": "eve", "user.target.shell": "/bin/bash", "event.reason": "shell"])),
    Case("change user 'eve' UID from '1001' to '0'", iam("user-changed", ["user.target.name": "eve", "user.target.id": "0", "event.reason": "uid"])),
    Case("change user 'eve' expiration from 'never' to '1970-01-02'", iam("password-expiry-changed", ["user.target.name": "eve"])),
    Case("change user name 'eve' to 'adam'", iam("user-changed", ["user.target.name": "eve", "event.reason": "name"])),
    Case("lock user 'eve' password", iam("user-locked", ["user.target.name": "eve"])),
    Case("unlock user 'eve' password", iam("user-unlocked", ["user.target.name": "eve"])),
    Case("user eve added by root to group sudo", iam("user-added-to-group", ["user.target.name": "eve", "user.name": "root", "group.name": "sudo"])),
    Case(
      "user eve removed by root from group sudo",
      iam("user-removed-from-group", ["user.target.name": "eve", "user.name": "root", "group.name": "sudo"])),
    Case(
      "user eve added by root to group sudo in /etc/group",
      iam(
        "user-added-to-group",
        [
          "user.target.name": "eve", "user.name": "root", "group.name": "sudo", "event.reason": "group-file",
        ])),
    Case(
      "user eve added by root to group sudo in /etc/gshadow",
      iam(
        "user-added-to-group",
        [
          "user.target.name": "eve", "user.name": "root", "group.name": "sudo", "event.reason": "shadow",
        ])),
    Case(
      "members of group sudo set by root to a,b",
      iam(
        "user-added-to-group",
        [
          "user.target.name": "a,b", "user.name": "root", "group.name": "sudo", "event.reason": "members-set",
        ])),
    Case("password for 'bob' changed by 'root'", iam("password-changed", ["user.target.name": "bob", "user.name": "root"])),
    Case("password for bob changed by root", iam("password-changed", ["user.target.name": "bob", "user.name": "root"])),
    Case("changed password expiry for bob", iam("password-expiry-changed", ["user.target.name": "bob"])),
    Case(
      "changed user 'bob' shell to '/bin/sh'",
      iam("user-changed", ["user.target.name": "bob", "user.target.shell": "/bin/sh", "event.reason": "shell"])),
    Case("changed user 'bob' information", iam("user-changed", ["user.target.name": "bob", "event.reason": "information"])),
    // Names with the words around them: what has two readings is left out.
    Case("add 'x' to group 'users' to group 'sudo'", iam("user-added-to-group", ["panguard.ambiguous": "1"])),
    Case("delete user 'o'brien'", iam("user-deleted", ["user.target.name": "o'brien"])),
    Case(
      "new user: name=x, UID=0, GID=0, home=/, UID=1001, GID=1001, home=/home/x, shell=/bin/sh, from=none",
      iam(
        "user-added",
        [
          "user.target.shell": "/bin/sh", "process.tty": "none", "panguard.ambiguous": "1",
        ])),
    Case("user a added by root to group x added by bob to group y", iam("user-added-to-group", ["panguard.ambiguous": "1"])),
    Case("pam_unix(passwd:chauthtok): password changed for bob", nil), Case("add 'eve' to group 'sudo", nil), Case("add '", nil), Case("", nil),
  ]
  @Test(arguments: cases) func reads(_ row: Case) { #expect(fields(row.line, .shadow) == row.fields) }
}

@Suite struct KernelTests {
  private static func packet(_ outcome: String, _ more: [String: String]) -> [String: String] {
    [
      "event.provider": "kernel", "event.dataset": "kernel.firewall", "event.category": "network", "event.action": "firewall-packet",
      "event.outcome": outcome,
    ].merging(more) { $1 }
  }
  static let cases: [Case] = [
    Case(
      "[UFW BLOCK] IN=eth0 OUT= MAC=00:16:3e:aa:bb:cc:00:16:3e:11:22:33:08:00 SRC=203.0.113.7 DST=192.0.2.10 LEN=40 TOS=0x00 PREC=0x00 TTL=245 ID=37308 PROTO=TCP SPT=40022 DPT=23 WINDOW=1024 RES=0x00 SYN URGP=0 ",
      packet(
        "failure",
        [
          "rule.name": "[UFW BLOCK]", "source.ip": "203.0.113.7", "source.port": "40022", "destination.ip": "192.0.2.10", "destination.port": "23",
          "network.transport": "tcp", "network.bytes": "40", "observer.ingress.interface.name": "eth0", "destination.mac": "00:16:3e:aa:bb:cc",
          "source.mac": "00:16:3e:11:22:33", "tcp.flags": "SYN",
        ])),
    Case(
      "[  203.842973] FINAL_REJECT: IN=lo OUT= SRC=127.0.0.1 DST=127.0.0.53 LEN=76 TOS=0x00 PREC=0x00 TTL=64 ID=25029 DF PROTO=UDP SPT=49007 DPT=53 LEN=56",
      packet(
        "failure",
        [
          "rule.name": "FINAL_REJECT", "source.ip": "127.0.0.1", "source.port": "49007", "destination.ip": "127.0.0.53", "destination.port": "53",
          "network.transport": "udp", "network.bytes": "76", "observer.ingress.interface.name": "lo",
        ])),
    Case(
      "nft-acceptIN=br0 OUT=eth1 PHYSIN=tap0 PHYSOUT=eth1 MAC= SRC=2001:db8::1 DST=2001:db8::2 LEN=80 TC=0 HOPLIMIT=64 FLOWLBL=0 PROTO=TCP SPT=1 DPT=65535 WINDOW=1 RES=0x00 ACK PSH URGP=0 MARK=0x2",
      packet(
        "success",
        [
          "rule.name": "nft-accept", "source.ip": "2001:db8::1", "source.port": "1", "destination.ip": "2001:db8::2", "destination.port": "65535",
          "network.transport": "tcp", "network.bytes": "80", "observer.ingress.interface.name": "br0", "observer.egress.interface.name": "eth1",
          "tcp.flags": "ACK PSH",
        ])),
    // The quoted packet is the sender's to invent.
    Case(
      "DROP IN=eth0 OUT= SRC=203.0.113.7 DST=192.0.2.10 LEN=56 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=ICMP TYPE=3 CODE=1 [SRC=192.0.2.10 DST=198.51.100.1 LEN=60 PROTO=TCP SPT=22 DPT=1 ] MARK=0x1",
      packet(
        "failure",
        [
          "rule.name": "DROP", "source.ip": "203.0.113.7", "destination.ip": "192.0.2.10", "network.transport": "icmp", "network.bytes": "56",
          "observer.ingress.interface.name": "eth0", "icmp.type": "3", "icmp.code": "1",
        ])),
    Case(
      "IN=enp1s0 OUT= MAC=00:08:a2:0c:1f:12:00:c8:8b:e2:d6:87:08:00 SRC=203.0.113.7 DST=192.0.2.10 LEN=40 PROTO=2",
      packet(
        "unknown",
        [
          "source.ip": "203.0.113.7", "destination.ip": "192.0.2.10", "network.transport": "igmp", "network.bytes": "40",
          "observer.ingress.interface.name": "enp1s0", "destination.mac": "00:08:a2:0c:1f:12", "source.mac": "00:c8:8b:e2:d6:87",
        ])),
    Case("IN=eth0 OUT= SRC=203.0.113.7 LEN=40", nil), Case("IN=eth0 OUT= SRC=x DST=y", nil),
    Case("x IN=a b OUT=c SRC=203.0.113.7 DST=192.0.2.1", nil),
    Case("plugin IN=1", nil),
    Case(
      "TCP: request_sock_TCP: Possible SYN flooding on port 443. Sending cookies.  Check SNMP counters.",
      [
        "event.provider": "kernel", "event.category": "network", "event.action": "syn-flood", "event.outcome": "unknown", "destination.port": "443",
      ]),
    Case(
      "TCP: request_sock_TCP: Possible SYN flooding on port [::]:8443. Sending cookies.",
      [
        "event.provider": "kernel", "event.category": "network", "event.action": "syn-flood", "event.outcome": "unknown", "destination.port": "8443",
      ]),
    Case(
      "Out of memory: Killed process 4242 (a) b (c) total-vm:1000kB, anon-rss:1kB",
      [
        "event.provider": "kernel", "event.category": "host", "event.action": "oom-kill", "event.outcome": "unknown", "process.pid": "4242",
        "process.name": "a) b (c",
      ]),
    Case(
      "su[1433535]: segfault at 7f1f9b891000 ip 00007f1f9b870d7d sp 00007ffd5dab97f0 error 6 in ld-linux-x86-64.so.2[7f1f9b85e000+25000]",
      [
        "event.provider": "kernel", "event.category": "process", "event.action": "segfault", "process.name": "su", "process.pid": "1433535",
      ]),
    Case(
      "traps: a[b]c[77] general protection fault ip:1 sp:2 error:0 in a[400000+1000]",
      [
        "event.provider": "kernel", "event.category": "process", "event.action": "segfault", "process.name": "a[b]c", "process.pid": "77",
      ]),
    Case(
      "usb 1-1: New USB device found, idVendor=1d6b, idProduct=0002, bcdDevice= 6.01",
      [
        "event.provider": "kernel", "event.category": "host", "event.action": "usb-connected",
      ]),
    // A device may give itself any name.
    Case("usb 1-1: Product: IN=a OUT= SRC=192.0.2.1 DST=198.51.100.1 LEN=60 PROTO=TCP SPT=1 DPT=22", nil),
    Case("eth0: link up", nil), Case("", nil), Case("[", nil), Case("[1.2]", nil),
  ]
  @Test(arguments: cases) func reads(_ row: Case) { #expect(fields(row.line, .kernel) == row.fields) }
}
