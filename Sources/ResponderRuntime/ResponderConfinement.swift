// What the responder gives up before it serves its first peer: every capability, file and call that the enabled kinds of actions do not take.
import CLinux
import Confinement
import Glibc
import HostActions
import TypedYAML

enum ResponderConfinement {
  static let userName = "panguard-responder"

  /// What each kind takes: capabilities(7), and calls that a process of ours may not make otherwise.
  static func capabilities(_ enabled: Set<HostAction.Kind>) -> [Capability] {
    var kept: [Capability] = []
    // An executable runs as another user, and is ended when it takes too long.
    if enabled.contains(.run) { kept += [.setUser, .setGroups, .kill] }
    if enabled.contains(.kill) { kept.append(.kill) }
    // Files of others in directories of others; a copy to another file system gets its owner, mode and times.
    if enabled.contains(.quarantine) { kept += [.overrideAccess, .actAsOwner, .changeOwner] }
    // usermod runs as root, and gives the new /etc/shadow to its group.
    if enabled.contains(.disable) { kept += [.setUser, .setGroups, .changeOwner] }
    return Capability.allCases.filter(kept.contains)
  }

  static func declare(_ configuration: ResponderConfiguration, account: Account?) -> Confinement {
    let enabled = configuration.enabled
    var confinement = Confinement(name: "the responder")
    confinement.account = account ?? (geteuid() == 0 ? Account(name: "root", user: 0, group: 0, groups: []) : nil)
    confinement.keptCapabilities = capabilities(enabled)
    confinement.sockets = .unix
    confinement.openFiles = 256
    confinement.readPaths = ["/proc", "/run/systemd/sessions", "/run/utmp", "/etc", "/dev/urandom"]
    confinement.writePaths = ["/dev/null"]
    confinement.managedPaths = [configuration.stateDirectory]
    confinement.signalsOthers = enabled.contains(.kill) || enabled.contains(.run)
    confinement.furtherCalls = ["pidfd_open", "pidfd_send_signal", "openat2", "mkdir", "mkdirat", "rmdir"]
    if enabled.contains(.quarantine) {
      confinement.managedPaths += movablePlaces()
      confinement.furtherCalls += ["fchown", "fchmod", "utimensat", "flistxattr", "fgetxattr", "fsetxattr"]
    }
    if enabled.contains(.run) || enabled.contains(.disable) {
      // A program's calls are not known beforehand; the kernel hands our filter and our files down to it.
      confinement.runsPrograms = true
      confinement.executePaths = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32"].filter { access($0, F_OK) == 0 }
      confinement.readPaths += ["/sys/devices/system/cpu", "/dev/zero"]
    }
    if enabled.contains(.cut) {
      // Our own program, which gives up the rest by itself.
      confinement.runsPrograms = true
      confinement.readPaths.append(configuration.recordingDirectory)
      confinement.executePaths += EvidenceCuts.executablePaths()
    }
    if enabled.contains(.run) {
      confinement.executePaths.append(configuration.executablesDirectory)
      confinement.managedPaths.append("/tmp")
    }
    if enabled.contains(.disable) { confinement.managedPaths.append("/etc") }
    return confinement
  }

  /// Everything below the root but the system's own directories. What only then is made there is out of reach until a restart.
  private static func movablePlaces() -> [String] {
    let names = directoryNames("/") ?? []
    let places = names.map { "/\($0)" }.filter { path in
      var facts = stat()
      return lstat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR && !FileQuarantine.protected.contains(path)
    }
    return places + FileQuarantine.exceptions.filter { access($0, F_OK) == 0 }
  }
}
