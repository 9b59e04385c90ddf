// The file system that a process still sees (Landlock, kernel 5.13 and later), by the kernel's version of it: what an older one cannot
// refuse is said. A rule belongs to the directory that is there now: one that is removed and made anew is out of reach until a restart.
import CLinux
import Glibc

/// Rights of uapi/linux/landlock.h.
enum LandlockRight {
  static let execute: UInt64 = 1 << 0
  static let writeFile: UInt64 = 1 << 1
  static let readFile: UInt64 = 1 << 2
  static let readDirectory: UInt64 = 1 << 3
  static let removeFile: UInt64 = 1 << 5
  static let makeRegular: UInt64 = 1 << 8
  static let makeSocket: UInt64 = 1 << 9
  static let truncate: UInt64 = 1 << 14
  /// All rights that a version of Landlock can refuse: 13 in the first, then linking elsewhere, truncating, ioctl on devices.
  static func all(version: Int32) -> UInt64 {
    var rights: UInt64 = (1 << 13) - 1
    if version >= 2 { rights |= 1 << 13 }
    if version >= 3 { rights |= truncate }
    if version >= 5 { rights |= 1 << 15 }
    return rights
  }
  static let reading = readFile | readDirectory
  static let execution = reading | execute
  /// And making and removing directories and links, and moving between directories.
  static let managing = writing | 1 << 4 | 1 << 7 | 1 << 12 | 1 << 13
  static let writing = reading | writeFile | removeFile | makeRegular | makeSocket | truncate
  /// Those that a rule for a file, not a directory, may name.
  static let ofFiles = execute | writeFile | readFile | truncate
}

/// The rules of one process, as open descriptors.
struct LandlockRules {
  private var rules: [(descriptor: Int32, rights: UInt64)] = []
  private var notes: [String] = []
  private let name: String
  private let sockets: Confinement.Sockets
  private let paths: String
  private let signalsOthers: Bool
  private let connectPorts: [UInt16]

  init(_ confinement: Confinement) {
    name = confinement.name
    sockets = confinement.sockets
    let written = confinement.writePaths + confinement.managedPaths
    connectPorts = confinement.sockets == .inet ? confinement.connectPorts : []
    signalsOthers = confinement.signalsOthers
    paths = "reads \(confinement.readPaths.count) paths, writes \(written.isEmpty ? "none" : written.joined(separator: " "))"
    for path in confinement.readPaths { add(path, LandlockRight.reading) }
    for path in confinement.writePaths { add(path, LandlockRight.writing) }
    for path in confinement.managedPaths { add(path, LandlockRight.managing) }
    for path in confinement.executePaths { add(path, LandlockRight.execution) }
  }

  private mutating func add(_ path: String, _ rights: UInt64) {
    var place = path
    while true {
      let descriptor = pg_open_path(place)
      if descriptor >= 0 {
        // What is not there yet can only be let in with the directory that it will appear in. The root is never let in that way.
        if place == "/", path != "/" {
          close(descriptor)
          notes.append("\(path) does not exist, nor any directory above it: it stays out of reach until a restart")
          return
        }
        if place != path { notes.append("all below \(place) can be reached, because \(path) does not exist yet") }
        rules.append((descriptor, rights))
        return
      }
      guard errno == ENOENT || errno == ENOTDIR, let slash = place.lastIndex(of: "/") else { return }
      place = slash == place.startIndex ? "/" : String(place[..<slash])
    }
  }

  /// Restricts the calling thread, for good. Closes the descriptors.
  func apply(_ report: inout ConfinementReport) throws(ConfinementError) {
    defer { for rule in rules { close(rule.descriptor) } }
    let version = pg_landlock_version()
    guard version > 0 else {
      report.missing.append("files: this kernel has no Landlock (or it is switched off), so only ownership and modes protect them")
      return
    }
    let handled = LandlockRight.all(version: version)
    // TCP bind and connect from the fourth version on, all of it but named ports; abstract sockets and signals to others from the sixth.
    let refusesNetwork = version >= 4
    let scopes: UInt64 = version >= 6 ? (Confinement.usesAbstractNotifySocket ? 0 : 1) | (signalsOthers ? 0 : 2) : 0
    let ruleset = pg_landlock_create(handled, refusesNetwork ? 3 : 0, scopes, version)
    guard ruleset >= 0 else { throw ConfinementError(name, "Landlock", errno) }
    defer { close(ruleset) }
    for rule in rules {
      var facts = stat()
      guard fstat(rule.descriptor, &facts) == 0 else { throw ConfinementError(name, "Landlock", errno) }
      let isDirectory = facts.st_mode & S_IFMT == S_IFDIR
      let rights = rule.rights & handled & (isDirectory ? ~0 : LandlockRight.ofFiles)
      guard pg_landlock_allow(ruleset, rights, rule.descriptor) == 0 else { throw ConfinementError(name, "Landlock rule", errno) }
    }
    if refusesNetwork {
      for port in connectPorts {
        guard pg_landlock_allow_port(ruleset, 2, port) == 0 else { throw ConfinementError(name, "Landlock rule", errno) }
      }
    }
    guard pg_landlock_restrict(ruleset) == 0 else { throw ConfinementError(name, "Landlock", errno) }
    report.achieved.append("files: Landlock \(version), \(paths)")
    if sockets == .inet {
      let ports = connectPorts.map(String.init).joined(separator: " ")
      if refusesNetwork {
        report.achieved.append("network: TCP to port \(ports) only")
      } else {
        report.missing.append("network: Landlock \(version) of this kernel cannot refuse other TCP ports than \(ports)")
      }
    }
    report.missing += notes.map { "files: \($0)" }
    for (needed, what) in LandlockRules.laterVersions where version < needed {
      report.missing.append("files: Landlock \(version) of this kernel cannot refuse \(what)")
    }
  }
  /// What each version brought.
  private static let laterVersions: [(version: Int32, what: String)] = [
    (3, "truncating files that may not be written"), (5, "ioctl on devices"), (6, "abstract sockets and signals to other processes"),
  ]
}

extension Confinement {
  /// In some containers the service manager listens on an abstract socket.
  static var usesAbstractNotifySocket: Bool {
    guard let value = getenv("NOTIFY_SOCKET") else { return false }
    return value.pointee == 0x40
  }
}
