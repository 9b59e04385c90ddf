// The agent's programs as services of systemd. Its engine did not start the others there and knows no process of theirs; the kernel does:
// /proc/PID/cgroup ends in the unit's name.
import AgentRuntime
import Glibc
import Primitives

enum ServiceProcesses {
  private static let units = [
    ("engine", "panguardd.service"), ("enforcer", "panguard-enforcer.service"), ("uplink", "panguard-uplink.service"),
    ("responder", "panguard-responder.service"), ("capture", "panguard-capture.service"),
  ]

  /// Those that run, in the order of their table; of several of one unit the one that began first.
  static func running() -> [ProcessStatus] {
    guard let directory = opendir("/proc") else { return [] }
    defer { closedir(directory) }
    var first: [String: Int64] = [:]
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      guard let pid = Int64(name) else { continue }
      let groups = ProcessFile.contents("/proc/\(name)/cgroup").split(separator: "\n")
      guard let unit = units.first(where: { unit in groups.contains { isSystemUnit($0, unit.1) } })?.0 else { continue }
      first[unit] = min(pid, first[unit] ?? .max)
    }
    return units.compactMap { unit in first[unit.0].map { ProcessStatus(name: unit.0, pid: $0) } }
  }

  /// "0::/system.slice/panguardd.service": not a unit of that name of somebody's own manager, which lies below user.slice.
  static func isSystemUnit(_ group: Substring, _ unit: String) -> Bool {
    group.hasSuffix("/system.slice/\(unit)") && !group.contains("/user.slice/")
  }

  /// What `status` says, and the services beside it where its engine is one.
  static func all(with status: AgentStatus) -> [ProcessStatus] {
    let services = running()
    guard services.contains(where: { $0.name == "engine" && $0.pid == status.pid }) else { return status.processes }
    return status.processes + services.filter { service in !status.processes.contains { $0.name == service.name } }
  }
}
