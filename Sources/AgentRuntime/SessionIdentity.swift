// Which login session a process belongs to, so that an arming can be confirmed from another one: whoever can open a new session has not
// locked himself out. It must be newer than the arming. The operator's own command finds it and says it: he could only deceive himself.
//   audit:N        the kernel's audit session (pam_loginuid): survives sudo and screen
//   terminal:P:T   where there is none: the outermost process above us that has a terminal, by number and start (sudo makes inner ones)
//   session:P:T    where there is no terminal either: the leader of our session, or, where a container hides that one, the outermost process
//                  above us that can be seen (the one that somebody outside started in the container)
import Glibc
import Primitives

public enum SessionIdentity {
  static func isValid(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count) && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x3a }
  }

  /// Of this process: which session, and when it began, in milliseconds since this host was started.
  public static var current: (name: String, began: Int64) {
    let audit = auditSession("self")
    var pid = getpid()
    var outermost: (name: String, began: Int64)?
    var visible: (pid: pid_t, began: Int64) = (pid, 0)
    for _ in 0..<64 {
      guard pid > 1 || visible.began == 0, let facts = facts(pid) else { break }
      visible = (pid, facts.began)
      if let audit {
        // The process that the session's log-in began with; above it is who lets people in.
        guard auditSession("\(pid)") == audit else { break }
        outermost = ("audit:\(audit)", facts.began)
      } else if facts.hasTerminal {
        outermost = ("terminal:\(pid):\(facts.began)", facts.began)
      }
      pid = facts.parent
    }
    if let outermost { return outermost }
    // 0 where it lives in another process namespace.
    let leader = getsid(0)
    if leader > 0, let facts = facts(leader) { visible = (leader, facts.began) }
    return ("session:\(visible.pid):\(visible.began)", visible.began)
  }

  static var millisecondsSinceBoot: Int64 {
    var now = timespec()
    clock_gettime(CLOCK_BOOTTIME, &now)
    return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
  }

  private static func auditSession(_ process: String) -> String? {
    let number = ProcessFile.contents("/proc/\(process)/sessionid").filter { $0 != "\n" }
    return number.isEmpty || number == "4294967295" ? nil : number
  }

  /// Of /proc/PID/stat. The name, in parentheses, may hold anything: what follows the last one counts.
  private static func facts(_ pid: pid_t) -> (parent: pid_t, hasTerminal: Bool, began: Int64)? {
    let text = ProcessFile.contents("/proc/\(pid)/stat")
    guard let end = text.lastIndex(of: ")") else { return nil }
    let words = text[text.index(after: end)...].split(separator: " ")
    guard words.count > 19, let parent = pid_t(words[1]), let ticks = Int64(words[19]) else { return nil }
    // proc_pid_stat(5): in clock ticks, rounded down.
    return (parent, words[4] != "0", ticks * 1000 / Int64(sysconf(Int32(_SC_CLK_TCK))))
  }
}
