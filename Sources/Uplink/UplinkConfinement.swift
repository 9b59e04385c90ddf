// What the uplink gives up before it serves its first peer: every capability, every file but those that name lookups and certificates need,
// listening, and TCP ports that no webhook has. Its configuration and its secrets have been read by then, and are out of reach as well.
import CLinux
import Confinement
import Glibc
import Primitives

enum UplinkConfinement {
  static let userName = "panguard-uplink"

  /// What the C library's name lookups and OpenSSL read.
  private static let files = [
    "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services", "/etc/ssl/openssl.cnf",
  ]
  private static let directories = [
    "/usr/lib", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/run/systemd/resolve", "/dev/urandom",
    "/etc/ssl/certs",
    "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/sys/devices/system/cpu", "/proc/sys/vm/overcommit_memory",
  ]

  static func declare(_ webhooks: [Webhook]) -> Confinement {
    var confinement = Confinement(name: "the uplink")
    if geteuid() == 0 { confinement.account = Account.named(userName) ?? Account(name: "root", user: 0, group: 0) }
    confinement.sockets = .inet
    // Name servers answer over TCP what is too long for UDP.
    confinement.connectPorts = Array(Set(webhooks.map(\.url.port) + [53])).sorted()
    let wanted = directories + files + webhooks.map(\.authorities) + linked("/etc/resolv.conf")
    confinement.readPaths = wanted.filter { access($0, F_OK) == 0 }
    confinement.openFiles = 256
    return confinement
  }

  /// The directory that the file really lies in, where that is another one.
  private static func linked(_ path: String) -> [String] {
    guard let resolved = realpath(path, nil) else { return [] }
    defer { free(resolved) }
    let target = String(cString: resolved)
    guard target != path, !target.hasPrefix("/etc/"), let slash = target.lastIndex(of: "/"), slash != target.startIndex else { return [] }
    return [String(target[..<slash])]
  }

  /// Files that are let through one by one: one that is replaced by renaming is out of reach.
  static func singleFiles(_ webhooks: [Webhook]) -> [String] {
    files + webhooks.map(\.authorities).filter { !$0.hasPrefix("/etc/ssl/certs/") }
  }
}

/// Files that were let through by themselves, and whether the path leads to another one by now. Asking needs no right to read them.
struct Surroundings {
  private let identities: [(path: String, device: dev_t, inode: ino_t)]

  init(_ paths: [String]) {
    identities = paths.map { path in
      var facts = stat()
      return stat(path, &facts) == 0 ? (path, facts.st_dev, facts.st_ino) : (path, 0, 0)
    }
  }
  /// The first path that leads to another file than at the start, or to one at last; nil: none. One that is gone may be about to come back.
  func replaced() -> String? {
    identities.first { identity in
      var facts = stat()
      return stat(identity.path, &facts) == 0 && (facts.st_dev != identity.device || facts.st_ino != identity.inode)
    }?.path
  }
}

/// `--check-confinement`: what the uplink must not be able to do, tried after it gave everything up.
enum UplinkConfinementCheck {
  /// Prints one line for each try; 1 where something was let through. `forbidden`: a file that the caller says must be out of reach.
  static func run(_ webhooks: [Webhook], forbidden: [String]) throws(ConfinementError) -> Int32 {
    let report = try UplinkConfinement.declare(webhooks).apply()
    var text = report.achieved.map { "achieved: \($0)\n" }.joined() + report.missing.map { "missing: \($0)\n" }.joined()
    var isLetThrough = false
    func attempt(_ what: String, _ result: Int32) {
      let code = errno
      text += result < 0 ? "refused: \(what): \(String(cString: strerror(code)))\n" : "ALLOWED: \(what)\n"
      if result >= 0 { isLetThrough = true }
    }
    for path in ["/etc/passwd", "/etc/panguard", "/var/lib/panguard", "/var/log", "/root", "/home"] + forbidden
    where access(path, F_OK) == 0 || forbidden.contains(path) {
      attempt("reading \(path)", pg_open(path, O_RDONLY, 0))
    }
    attempt("writing a file in /tmp", pg_open("/tmp/panguard-uplink-check-\(getpid())", O_WRONLY | O_CREAT | O_EXCL, 0o600))
    for (name, family, type) in [
      ("AF_NETLINK raw", AF_NETLINK, SOCK_RAW), ("AF_PACKET raw", AF_PACKET, SOCK_RAW), ("AF_INET raw", AF_INET, SOCK_RAW),
    ] { attempt("\(name) socket", pg_try_socket(family, Int32(type.rawValue))) }
    let stream = pg_try_socket(AF_INET, Int32(SOCK_STREAM.rawValue))
    attempt("listening", listen(stream, 1))
    if !webhooks.contains(where: { $0.url.port == 9 }) { attempt("connecting to port 9 of this host", connectToLoopback(stream, port: 9)) }
    attempt("a new process", pg_try_fork())
    attempt("a signal to process 1", kill(1, 0))
    attempt("becoming root", pg_setresuid(0, 0, 0))
    attempt("CAP_NET_RAW", pg_capset(1 << 13))
    _ = UplinkProgram.show(text)
    return isLetThrough ? 1 : 0
  }

  private static func connectToLoopback(_ descriptor: Int32, port: UInt16) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    // That nobody listens there is no refusal.
    return result < 0 && errno == ECONNREFUSED ? 0 : result
  }
}
