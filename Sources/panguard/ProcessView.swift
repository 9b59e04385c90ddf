// `panguard doctor`: the processes of the running agent and what confines each: what the kernel says of it (/proc/PID/status) beside what it
// says itself. A process that is not confined as it should be is a problem.
import AgentRuntime
import Export
import Glibc
import Primitives

struct ProcessFacts {
  var user = ""
  var groups = ""
  /// Hexadecimal masks.
  var effectiveCapabilities: UInt64 = 0
  var boundingCapabilities: UInt64 = 0
  var hasNoNewPrivileges = false
  /// 0: no filter; 1: strict; 2: filter.
  var seccomp = 0

  /// nil: there is no such process, or it cannot be looked at.
  init?(pid: Int64) {
    let text = ProcessFile.contents("/proc/\(pid)/status")
    guard !text.isEmpty else { return nil }
    for line in text.split(separator: "\n") {
      let words = line.split(whereSeparator: { $0 == "\t" || $0 == " " }).map(String.init)
      guard let key = words.first else { continue }
      let value = words.count > 1 ? words[1] : ""
      switch key {
      case "Uid:": user = words.count > 2 ? words[2] : ""
      case "Groups:": groups = words.dropFirst().joined(separator: " ")
      case "CapEff:": effectiveCapabilities = UInt64(value, radix: 16) ?? .max
      case "CapBnd:": boundingCapabilities = UInt64(value, radix: 16) ?? .max
      case "NoNewPrivs:": hasNoNewPrivileges = value == "1"
      case "Seccomp:": seccomp = Int(value) ?? 0
      default: break
      }
    }
    if let id = uid_t(user), let entry = getpwuid(id) { user = String(cString: entry.pointee.pw_name) }
  }
}

enum ProcessView {
  /// Rows of words: name, process, user, capabilities, no_new_privs, system calls, restarts.
  static func table(_ processes: [ProcessStatus]) -> [String] {
    var rows = [["process", "pid", "user", "capabilities", "no_new_privs", "system calls", "restarts"]]
    for process in processes {
      guard process.pid > 0, let facts = ProcessFacts(pid: process.pid) else {
        rows.append([process.name, "-", "-", "-", "-", "-", "\(process.restarts)"])
        continue
      }
      let capabilities =
        facts.effectiveCapabilities == 0
        ? "none" : facts.effectiveCapabilities == networkAdministration ? "CAP_NET_ADMIN" : String(facts.effectiveCapabilities, radix: 16)
      rows.append([
        process.name, "\(process.pid)", facts.user, capabilities, facts.hasNoNewPrivileges ? "yes" : "no",
        facts.seccomp == 2 ? "filtered" : "all", "\(process.restarts)",
      ])
    }
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      var line = ""
      for (column, word) in row.enumerated() { line += word + String(repeating: " ", count: widths[column] - word.count + 2) }
      while line.last == " " { line.removeLast() }
      return line
    }
  }

  /// Below the table: what each says itself.
  static func details(_ processes: [ProcessStatus]) -> [String] {
    processes.flatMap { process in
      process.confined.map { "\(process.name): \($0)" } + process.notConfined.map { "\(process.name): NOT: \($0)" }
        + (process.lastEnd.isEmpty ? [] : ["\(process.name): ended last by \(process.lastEnd)"])
    }
  }

  /// capabilities(7), as a mask.
  private static let networkAdministration: UInt64 = 1 << 12

  /// What the kernel says of the processes that it should not.
  static func problems(_ processes: [ProcessStatus]) -> [String] {
    guard let engine = processes.first(where: { $0.name == "engine" }), let facts = ProcessFacts(pid: engine.pid) else { return [] }
    var problems: [String] = []
    if facts.effectiveCapabilities != 0 { problems.append("the engine has capabilities") }
    if !facts.hasNoNewPrivileges { problems.append("the engine could gain privileges (no_new_privs is not set)") }
    if facts.seccomp != 2 { problems.append("the engine may make every system call") }
    if let enforcer = processes.first(where: { $0.name == "enforcer" }), let facts = ProcessFacts(pid: enforcer.pid) {
      if facts.effectiveCapabilities & ~networkAdministration != 0 { problems.append("the enforcer has more capabilities than CAP_NET_ADMIN") }
      if facts.seccomp != 2 { problems.append("the enforcer may make every system call") }
    }
    if let uplink = processes.first(where: { $0.name == "uplink" }), let facts = ProcessFacts(pid: uplink.pid) {
      if facts.effectiveCapabilities != 0 { problems.append("the uplink has capabilities") }
      if facts.seccomp != 2 { problems.append("the uplink may make every system call") }
    }
    if let capture = processes.first(where: { $0.name == "capture" }), let facts = ProcessFacts(pid: capture.pid) {
      if facts.effectiveCapabilities != 0 { problems.append("the capture has capabilities") }
      if facts.seccomp != 2 { problems.append("the capture may make every system call") }
    }
    return problems
  }
}
