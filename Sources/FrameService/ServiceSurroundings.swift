// What every small service of ours does around its work: the socket that it listens on, the signals that end it, and its word to the service
// manager.
import CLinux
import Enforcement
import Glibc
import Primitives

public struct ListeningSocketError: Error, CustomStringConvertible { public var description: String }

/// The socket that the engine connects to: systemd's, or one that is made here.
public enum ListeningSocket {
  /// `program`: "enforcer", for messages; `group`: the user whose group may connect.
  public static func open(_ path: String, program: String, group: String?) -> Result<Int32, ListeningSocketError> {
    if let inherited = inherited() { return .success(inherited) }
    func failure(_ code: Int32) -> Result<Int32, ListeningSocketError> {
      .failure(ListeningSocketError(description: "\(path): \(String(cString: strerror(code)))"))
    }
    if let live = try? UnixSocket.connect(path) {
      close(live)
      return .failure(ListeningSocketError(description: "another \(program) is running: \(path) answers; stop it first"))
    }
    var status = stat()
    if lstat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFSOCK else { return .failure(ListeningSocketError(description: "\(path): is there, and is not a socket")) }
      unlink(path)
    }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { return failure(errno) }
    let mask = umask(0o117)
    let bound = withSocketAddress(path) { bind(descriptor, $0, $1) }
    let code = errno
    umask(mask)
    guard bound == 0, listen(descriptor, 8) == 0 else {
      close(descriptor)
      return failure(bound == 0 ? errno : code)
    }
    // The engine's group may connect; who is answered is decided by SO_PEERCRED.
    if geteuid() == 0, let group, let entry = getpwnam(group) { chown(path, uid_t.max, entry.pointee.pw_gid) }
    return .success(descriptor)
  }

  /// sd_listen_fds(3): the first passed descriptor is number 3.
  private static func inherited() -> Int32? {
    guard let owner = getenv("LISTEN_PID"), let count = getenv("LISTEN_FDS"), Int32(String(cString: owner)) == getpid(),
      let number = Int32(String(cString: count)), number >= 1
    else { return nil }
    _ = fcntl(3, F_SETFD, FD_CLOEXEC)
    _ = fcntl(3, F_SETFL, fcntl(3, F_GETFL) | O_NONBLOCK)
    return 3
  }
}

/// SIGTERM and SIGINT as a descriptor.
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

/// sd_notify(3) without its library: one datagram to the socket that systemd names.
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
