// What the enforcer gives up before it serves its first peer: everything but CAP_NET_ADMIN, which the kernel asks for at each change, and the
// files that name what must be protected. Started by root it stays root by name, without root's other capabilities: sshd's configuration is
// root's alone on some systems. A service manager starts it as a user of its own.
import Confinement
import Glibc

enum EnforcerConfinement {
  /// Where the lists of log-ins are, where the programs that write resolv.conf keep it, and where sshd's units in /etc lead when they are links.
  private static let places = [
    "/etc", "/run/systemd/resolve", "/run/systemd/sessions", "/run/utmp", "/run/NetworkManager", "/run/resolvconf", "/run/connman",
    "/run/systemd/netif", "/usr/lib/systemd/system", "/lib/systemd/system",
  ]
  /// Directories, because the files in them are replaced by renaming; and where a link of the resolver's file leads now. Only what is there:
  /// for what is not, a directory above it would be let in, and with it whatever else is there.
  static func readPaths() -> [String] {
    var paths = places
    if let resolved = realpath("/etc/resolv.conf", nil) {
      let target = String(cString: resolved)
      free(resolved)
      if let slash = target.lastIndex(of: "/"), slash != target.startIndex, !target.hasPrefix("/etc/") { paths.append(String(target[..<slash])) }
    }
    return paths.filter { if case .there = FileState.of($0) { true } else { false } }
  }

  static func declare(reading readPaths: [String]) -> Confinement {
    var confinement = Confinement(name: "the enforcer")
    if geteuid() == 0 { confinement.account = Account(name: "root", user: 0, group: 0) }
    confinement.keptCapabilities = [.networkAdministration]
    confinement.sockets = .unixAndNetlink
    confinement.readPaths = readPaths
    confinement.openFiles = 256
    return confinement
  }

  /// Gives it up; what this host did not let go is said. Throws where what every kernel can do fails.
  static func apply(reading readPaths: [String]) throws(ConfinementError) {
    let report = try declare(reading: readPaths).apply()
    for line in report.missing where !line.hasPrefix("user:") {
      EnforcerProgram.say("panguard-enforcer: could not give up \(line)\n")
    }
  }
}
