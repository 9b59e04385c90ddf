// What one process gives up before it reads the first byte from outside: one value that declares it, and `apply`, which does it.
// Invariants: `apply` is called while the process has one thread, because Landlock and capabilities belong to a thread and threads
// inherit them; the order is the one in which no step takes away what a later one needs; nothing is weaker than declared without a line
// in `missing`; what every kernel can do (identity, capabilities, no_new_privs) is done or `apply` throws.
import CLinux
import Glibc

public struct Confinement: Sendable {
  /// Which sockets the process may make. What it was given as an open descriptor it may use in any case.
  public enum Sockets: Sendable, Equatable {
    case none
    /// AF_UNIX datagrams: the local syslog and the service manager, but no stream to a service that might act on our word.
    case unixDatagram
    /// AF_UNIX of any type to connect with, none to listen on.
    case unixClient
    case unix
    case unixAndNetlink
    /// AF_UNIX and the Internet, to connect with, none to listen on.
    case inet
  }

  /// What the process is called in messages.
  public var name: String
  /// Whom it becomes; nil: it stays who it is. The user may be the present one, for its groups.
  public var account: Account?
  public var keptCapabilities: [Capability] = []
  /// Files and directories (with all below them) that may be read. One that does not exist stands for the nearest directory above it.
  public var readPaths: [String] = []
  /// The same, to be written: files in them may be made, renamed and removed. Reading is included.
  public var writePaths: [String] = []
  /// Directories in which directories may be made too, and between which files may be moved.
  public var managedPaths: [String] = []
  /// Directories whose files may be executed, by children. Reading is included.
  public var executePaths: [String] = []
  /// Children run programs of others, which inherit the filter: it then holds what nobody may do, instead of what this process needs.
  public var runsPrograms = false
  /// Calls of the table of refused ones, or of no table, that this process needs. Without meaning where it runs programs.
  public var furtherCalls: [String] = []
  /// Processes that are not its own may get signals, as far as user and capabilities let it.
  public var signalsOthers = false
  public var sockets: Sockets = .none
  /// With `.inet`: the TCP ports that it may connect to, wherever they are.
  public var connectPorts: [UInt16] = []
  /// Descriptors from this number on may only be read: whoever holds a packet socket could else send frames with it. With it go all calls that
  /// copy descriptors, take them from others, change sockets or send by address. nil: no bound.
  public var readOnlyDescriptorsFrom: Int32?
  /// ioctl(2) requests besides the usual ones.
  public var inputOutputControls: [UInt64] = []
  /// Descriptors that may be open at a time. The hard limit of the system bounds it.
  public var openFiles: UInt64 = 4096

  public init(name: String) { self.name = name }
}

/// What was achieved, and what was not and why.
public struct ConfinementReport: Sendable, Equatable {
  /// "capabilities: none", in the order in which it was done.
  public var achieved: [String] = []
  /// Each line is something that this host does not let the process give up.
  public var missing: [String] = []
  public init(achieved: [String] = [], missing: [String] = []) {
    self.achieved = achieved
    self.missing = missing
  }
}

public struct ConfinementError: Error, CustomStringConvertible, Sendable {
  public var description: String
  init(_ name: String, _ step: String, _ code: Int32) {
    description = "\(name) cannot be confined: \(step): \(String(cString: strerror(code))); it does not run unconfined"
  }
  init(_ name: String, _ reason: String) { description = "\(name) cannot be confined: \(reason)" }
}

extension Confinement {
  /// Gives everything up that is not declared. There is no way back. Throws where a step fails that every supported kernel can do.
  public func apply() throws(ConfinementError) -> ConfinementReport {
    guard Confinement.threadCount() == 1 else { throw ConfinementError(name, "it has more than one thread already (a bug)") }
    var report = ConfinementReport()
    try limitResources(&report)
    // Where a path leads is looked up while everything can still be seen; the rules hold descriptors, not names.
    let files = LandlockRules(self)
    try dropIdentity(&report)
    try dropCapabilities(&report)
    guard pg_prctl(PR.setNoNewPrivileges, 1, 0) == 0 else { throw ConfinementError(name, "no_new_privs", errno) }
    report.achieved.append("no_new_privs")
    // After the identity: changing that makes a process dumpable as the system's default says.
    guard pg_prctl(PR.setDumpable, 0, 0) == 0 else { throw ConfinementError(name, "PR_SET_DUMPABLE", errno) }
    report.achieved.append("no core dumps, not traceable")
    try files.apply(&report)
    try applySystemCallFilter(&report)
    return report
  }

  /// prctl(2)'s options.
  enum PR {
    static let setDumpable: Int32 = 4
    static let setKeepCapabilities: Int32 = 8
    static let dropBoundingCapability: Int32 = 24
    static let readBoundingCapability: Int32 = 23
    static let setNoNewPrivileges: Int32 = 38
    static let ambientCapabilities: Int32 = 47
    static let clearAllAmbient: UInt = 4
  }

  /// Of this process, as the kernel says; 0 if it does not say.
  static func threadCount() -> Int {
    guard let directory = opendir("/proc/self/task") else { return 1 }
    defer { closedir(directory) }
    var count = 0
    while let entry = readdir(directory) { if entry.pointee.d_name.0 != 0x2e { count += 1 } }
    return count
  }

  private func limitResources(_ report: inout ConfinementReport) throws(ConfinementError) {
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    guard setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none) == 0 else { throw ConfinementError(name, "RLIMIT_CORE", errno) }
    var files = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files) == 0 else { throw ConfinementError(name, "RLIMIT_NOFILE", errno) }
    let bound = min(rlim_t(openFiles), files.rlim_max)
    files = rlimit(rlim_cur: bound, rlim_max: bound)
    guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files) == 0 else { throw ConfinementError(name, "RLIMIT_NOFILE", errno) }
    report.achieved.append("at most \(bound) open files")
  }

  private func dropIdentity(_ report: inout ConfinementReport) throws(ConfinementError) {
    guard let account else {
      report.achieved.append("user \(geteuid()) (unchanged)")
      return
    }
    guard geteuid() == 0 else {
      guard account.user == geteuid() else { throw ConfinementError(name, "only root can become the user \(account.name)") }
      report.achieved.append("user \(account.name)")
      return
    }
    guard pg_prctl(PR.setKeepCapabilities, 1, 0) == 0 else { throw ConfinementError(name, "PR_SET_KEEPCAPS", errno) }
    if pg_setgroups(account.groups.count, account.groups) != 0 {
      // A user namespace may forbid it, and then there are none but its own.
      guard errno == EPERM else { throw ConfinementError(name, "setgroups", errno) }
      report.missing.append("groups: this namespace does not let them be changed")
    }
    guard pg_setresgid(account.group, account.group, account.group) == 0 else { throw ConfinementError(name, "setresgid", errno) }
    guard pg_setresuid(account.user, account.user, account.user) == 0 else { throw ConfinementError(name, "setresuid", errno) }
    report.achieved.append(
      "user \(account.name)" + (account.groups.isEmpty ? "" : ", groups \(account.groups.map(String.init).joined(separator: " "))"))
    if account.user == 0 { report.missing.append("user: it stays root by name, without root's capabilities") }
  }

  private func dropCapabilities(_ report: inout ConfinementReport) throws(ConfinementError) {
    _ = pg_prctl(PR.ambientCapabilities, PR.clearAllAmbient, 0)
    var isBounded = true
    var number = 0
    // The kernel says by an error which number is the first that it does not know.
    while number < 64, case let state = pg_prctl(PR.readBoundingCapability, UInt(number), 0), state >= 0 {
      let isKept = keptCapabilities.contains { $0.rawValue == number }
      if state == 1, !isKept, pg_prctl(PR.dropBoundingCapability, UInt(number), 0) != 0 { isBounded = false }
      number += 1
    }
    var mask: UInt64 = 0
    for capability in keptCapabilities { mask |= 1 << UInt64(capability.rawValue) }
    var effective: UInt64 = 0
    guard pg_capget(&effective) == 0 else { throw ConfinementError(name, "capget", errno) }
    // What the process never had it cannot keep.
    for capability in keptCapabilities where effective & (1 << UInt64(capability.rawValue)) == 0 {
      report.missing.append("\(capability.name): the process was started without it")
    }
    guard pg_capset(mask & effective) == 0 else { throw ConfinementError(name, "capset", errno) }
    guard pg_capget(&effective) == 0, effective & ~mask == 0 else { throw ConfinementError(name, "capabilities remain") }
    let kept = keptCapabilities.filter { effective & (1 << UInt64($0.rawValue)) != 0 }.map(\.name).joined(separator: ", ")
    // Who may not empty the bounding set has no_new_privs, under which it gives nothing.
    report.achieved.append("capabilities: \(kept.isEmpty ? "none" : kept)" + (isBounded ? ", none can be gained" : ""))
  }
}
