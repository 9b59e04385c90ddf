// Which login session a process belongs to, so that an arming can be confirmed from another one: whoever can open a new session has not
// locked himself out. The operator's own command finds it and says it: he could only deceive himself.
//   audit:N        the kernel's audit session (pam_loginuid): survives sudo and screen
//   terminal:P:T   where there is none: the outermost process above us that has a terminal, by number and start (sudo makes inner ones)
//   session:P:T    where there is no terminal either: the leader of our session
import Glibc
import Primitives

public enum SessionIdentity {
  static func isValid(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count) && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x3a }
  }

  /// Of this process.
  public static var current: String {
    let unset = "4294967295"
    let audit = ProcessFile.contents("/proc/self/sessionid").filter { $0 != "\n" }
    if !audit.isEmpty, audit != unset { return "audit:\(audit)" }
    var pid = getpid()
    var outermost: String?
    for _ in 0..<64 {
      guard pid > 1, let facts = facts(pid) else { break }
      if facts.hasTerminal { outermost = "terminal:\(pid):\(facts.start)" }
      pid = facts.parent
    }
    if let outermost { return outermost }
    let leader = getsid(0)
    return "session:\(leader):\(facts(leader)?.start ?? "0")"
  }

  /// Of /proc/PID/stat. The name, in parentheses, may hold anything: what follows the last one counts.
  private static func facts(_ pid: pid_t) -> (parent: pid_t, hasTerminal: Bool, start: String)? {
    let text = ProcessFile.contents("/proc/\(pid)/stat")
    guard let end = text.lastIndex(of: ")") else { return nil }
    let words = text[text.index(after: end)...].split(separator: " ")
    guard words.count > 19, let parent = pid_t(words[1]) else { return nil }
    return (parent, words[4] != "0", String(words[19]))
  }
}
