// Log lines with known content, from a seed: the same on every run.
import Detection
import Primitives

enum Workload {
  static let start = EventTime(rfc3339: "2026-01-05T00:00:00Z" as String)!

  static func line(_ time: EventTime, _ message: String) -> String { "\(time) web01 \(message)\n" }

  /// Three lines, one failed attempt.
  static func failedLogin(_ time: EventTime, pid: Int, user: String = "root", from address: String) -> [String] {
    [
      line(time, "sshd[\(pid)]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=\(address)  user=\(user)"),
      line(time + .seconds(2), "sshd[\(pid)]: Failed password for \(user) from \(address) port \(20000 + pid % 40000) ssh2"),
      line(time + .seconds(3), "sshd[\(pid)]: Connection closed by authenticating user \(user) \(address) port \(20000 + pid % 40000) [preauth]"),
    ]
  }
  static func harmless(_ time: EventTime, _ n: Int) -> String {
    line(time, "CRON[\(n)]: (root) CMD (/usr/lib/job number \(n))")
  }
  static func address(_ n: Int) -> String { "198.18.\(n / 250).\(n % 250 + 1)" }

  /// `count` attacks, one after the other, each of eight attempts from its own address, with harmless lines between them.
  /// 50 minutes lie between two attacks, so that each stands for itself. 44 lines each.
  static func attacks(_ numbers: Range<Int>) -> [[String]] {
    numbers.map { n in
      let time = start + .minutes(Int64(n) * 50)
      var lines: [String] = []
      for attempt in 0..<8 {
        let at = time + .seconds(Int64(attempt) * 9)
        let pid = 1000 + n * 8 + attempt
        lines += failedLogin(at, pid: pid, from: address(n))
        lines.append(harmless(at + .seconds(4), pid))
        if attempt % 2 == 0 { lines.append(harmless(at + .seconds(5), pid)) }
        lines.append(harmless(at + .seconds(6), pid))
      }
      return lines
    }
  }
  /// Harmless lines, one a second.
  static func harmless(_ numbers: Range<Int>) -> String {
    numbers.map { harmless(start + .seconds(Int64($0)), $0) }.joined()
  }
}

/// Who was found to do what, without how often and when.
func findings(_ decisions: [Decision]) -> Set<String> { Set(decisions.map { "\($0.ruleID) \($0.subject.label)" }) }
