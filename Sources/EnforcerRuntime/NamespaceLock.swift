// One enforcer for each network namespace: two would each remove what the other has blocked. The lock is an abstract AF_UNIX name, which
// belongs to the network namespace, is given up by the kernel when its holder ends, however that ends, and needs no file.
// What must stay true: any user may take such a name, so one that is held by somebody who cannot be an enforcer stops nobody.
import CNetlink
import Enforcement
import Glibc
import Primitives

final class NamespaceLock {
  enum Outcome: Equatable {
    case held
    /// By another enforcer; nil: the kernel does not say whose it is.
    case busy(uid_t?)
    /// By a user who may not change the firewall: passed over.
    case occupied(by: uid_t)
    case failed(Int32)
  }

  static let name = "panguard-enforcer"
  /// Whom an enforcer may run as, besides root and our own user.
  static let user = "panguard-enforcer"
  private var descriptor: Int32 = -1
  private let enforcers: Set<uid_t>

  /// Looks up the service's user: before the process is confined.
  init() {
    var users: Set<uid_t> = [0, geteuid()]
    if let entry = getpwnam(NamespaceLock.user) { users.insert(entry.pointee.pw_uid) }
    enforcers = users
  }
  deinit { release() }
  var isHeld: Bool { descriptor >= 0 }
  func release() {
    if descriptor >= 0 { close(descriptor) }
    descriptor = -1
  }

  func take() -> Outcome {
    if isHeld { return .held }
    let candidate = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard candidate >= 0 else { return .failed(errno) }
    if withAbstractSocketAddress(NamespaceLock.name, { bind(candidate, $0, $1) }) == 0 {
      descriptor = candidate
      return .held
    }
    let code = errno
    close(candidate)
    guard code == EADDRINUSE else { return .failed(code) }
    guard let holder = NamespaceLock.holder() else { return .busy(nil) }
    return enforcers.contains(holder) ? .busy(holder) : .occupied(by: holder)
  }

  /// Whose socket has the name. sock_diag(7): struct unix_diag_req, struct unix_diag_msg; the name's first byte is zero.
  private static func holder() -> uid_t? {
    guard let sockets = try? NetlinkSocket(protocol: NETLINK_SOCK_DIAG) else { return nil }
    var owner: uid_t?
    let wanted = [0] + Array(name.utf8)
    let question: (UInt32) -> [UInt8] = { sequence in
      var out = NetlinkWriter()
      out.begin(type: UInt16(SOCK_DIAG_BY_FAMILY), flags: UInt16(NLM_F_REQUEST | NLM_F_DUMP), sequence: sequence)
      out.raw([UInt8(AF_UNIX), 0, 0, 0])
      out.host(UInt32.max)  // states
      out.host(UInt32(0))
      out.host(UInt32(UDIAG_SHOW_NAME | UDIAG_SHOW_UID))
      out.host(UInt64(0))
      out.finish()
      return out.bytes
    }
    try? sockets.ask("listing local sockets", question) { message in
      let size = MemoryLayout<unix_diag_msg>.size
      guard message.body.count >= size, Int32(message.body[1]) == Int32(SOCK_STREAM.rawValue) else { return }
      let attributes = message.attributes(after: size)
      guard let found = attributes.first(UInt32(UNIX_DIAG_NAME)), found.elementsEqual(wanted),
        let uid = attributes.first(UInt32(UNIX_DIAG_UID)), uid.count == 4
      else { return }
      owner = uid.loadUnaligned(as: UInt32.self)
    }
    return owner
  }
}

/// As `withSocketAddress`, for a name without a file: its length is the name's.
func withAbstractSocketAddress<Result>(_ name: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  let bytes = Array(name.utf8.prefix(MemoryLayout.size(ofValue: address.sun_path) - 1))
  withUnsafeMutableBytes(of: &address.sun_path) { for (i, byte) in bytes.enumerated() { $0[i + 1] = byte } }
  let length = socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + 1 + bytes.count)
  return withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) } }
}
