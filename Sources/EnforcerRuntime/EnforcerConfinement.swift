// What the enforcer gives up before it serves its first peer: everything but CAP_NET_ADMIN, which the kernel asks for at each change, and the
// files that name what must be protected. Started by root it stays root by name, without root's other capabilities: sshd's configuration is
// root's alone on some systems. A service manager starts it as a user of its own.
import Confinement
import Glibc

enum EnforcerConfinement {
  /// Directories, because the files in them are replaced by renaming; and where a link of the resolver's file leads now.
  private static var readPaths: [String] {
    var paths = ["/etc", "/run/systemd/resolve", "/run/systemd/sessions", "/run/utmp"]
    if let resolved = realpath("/etc/resolv.conf", nil) {
      let target = String(cString: resolved)
      free(resolved)
      if let slash = target.lastIndex(of: "/"), slash != target.startIndex, !target.hasPrefix("/etc/") { paths.append(String(target[..<slash])) }
    }
    return paths
  }

  static func declare() -> Confinement {
    var confinement = Confinement(name: "the enforcer")
    if geteuid() == 0 { confinement.account = Account(name: "root", user: 0, group: 0) }
    confinement.keptCapabilities = [.networkAdministration]
    confinement.sockets = .unixAndNetlink
    confinement.readPaths = readPaths
    confinement.openFiles = 256
    return confinement
  }

  /// Gives it up; what this host did not let go is said. Throws where what every kernel can do fails.
  static func apply() throws(ConfinementError) {
    let report = try declare().apply()
    for line in report.missing where !line.hasPrefix("user:") && !line.hasPrefix("files: all below") {
      EnforcerProgram.say("panguard-enforcer: could not give up \(line)\n")
    }
  }
}
