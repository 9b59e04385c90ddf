// What a program of ours that serves requests has to do with its service manager: the socket that it was given, or makes itself, and the
// news of how it is. Without systemd's library: a program with privileges, or with a network, carries as little as it can.
import CLinux
import Glibc
import Primitives

public struct ServiceSocketError: Error, Sendable, CustomStringConvertible {
  public var description: String
}

/// A listening AF_UNIX stream socket: systemd's (sd_listen_fds(3)), or one at a path.
public enum ServiceSocket {
  /// Made with mode 0660, and the group of the user `group` where we are root. A path at which somebody answers is refused: another `program`
  /// is running.
  public static func open(_ path: String, group: String?, of program: String) throws(ServiceSocketError) -> Int32 {
    if let inherited = inherited() { return inherited }
    func failure(_ code: Int32) -> ServiceSocketError { ServiceSocketError(description: "\(path): \(String(cString: strerror(code)))") }
    if let live = connected(path) {
      close(live)
      throw ServiceSocketError(description: "another \(program) is running: \(path) answers; stop it first")
    }
    var status = stat()
    if lstat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFSOCK else { throw ServiceSocketError(description: "\(path): is there, and is not a socket") }
      unlink(path)
    }
    let descriptor = socket(AF_UNIX, type, 0)
    guard descriptor >= 0 else { throw failure(errno) }
    let mask = umask(0o117)
    let bound = withSocketAddress(path) { bind(descriptor, $0, $1) }
    let code = errno
    umask(mask)
    guard bound == 0, listen(descriptor, 8) == 0 else {
      let reason = failure(bound == 0 ? errno : code)
      close(descriptor)
      throw reason
    }
    if geteuid() == 0, let group, let entry = getpwnam(group) { chown(path, uid_t.max, entry.pointee.pw_gid) }
    return descriptor
  }

  private static let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)

  private static func connected(_ path: String) -> Int32? {
    guard case let descriptor = socket(AF_UNIX, type, 0), descriptor >= 0 else { return nil }
    if withSocketAddress(path, { connect(descriptor, $0, $1) }) == 0 { return descriptor }
    close(descriptor)
    return nil
  }

  /// The first passed descriptor is number 3.
  private static func inherited() -> Int32? {
    guard let owner = getenv("LISTEN_PID"), let count = getenv("LISTEN_FDS"), Int32(String(cString: owner)) == getpid(),
      let number = Int32(String(cString: count)), number >= 1
    else { return nil }
    _ = fcntl(3, F_SETFD, FD_CLOEXEC)
    _ = fcntl(3, F_SETFL, fcntl(3, F_GETFL) | O_NONBLOCK)
    return 3
  }
}

/// sd_notify(3): one datagram to the socket that the service manager names.
public enum ServiceNotification {
  public static func send(_ text: String) {
    guard let name = getenv("NOTIFY_SOCKET"), case let path = String(cString: name), path.hasPrefix("/") || path.hasPrefix("@"),
      path.utf8.count < 108
    else { return }
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(path.utf8)
    if bytes[0] == 0x40 { bytes[0] = 0 }  // an abstract name
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let length = socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + bytes.count)
    let message = Array(text.utf8)
    _ = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { sendto(descriptor, message, message.count, Int32(MSG_NOSIGNAL), $0, length) }
    }
  }
}

/// SIGTERM and SIGINT, held back, as a descriptor to wait for; nil, with errno, where there is none.
public enum TerminationSignals {
  public static func descriptor() -> Int32? {
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, SIGTERM)
    sigaddset(&set, SIGINT)
    sigprocmask(SIG_BLOCK, &set, nil)
    let descriptor = signalfd(-1, &set, Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK))
    return descriptor >= 0 ? descriptor : nil
  }
}
