// The socket that the engine connects to: systemd's, or one that is made here; and the one to the service manager, connected beforehand.
import CLinux
import CPcap  // has the C library's socket constants, once it is there
import Glibc
import Primitives

enum CaptureListener {
  static func open(_ path: String, group: String) throws(CaptureFailure) -> Int32 {
    if let inherited = inherited() { return inherited }
    func failure(_ code: Int32) -> CaptureFailure { CaptureFailure("\(path): \(String(cString: strerror(code)))") }
    var status = stat()
    if lstat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFSOCK else { throw CaptureFailure("\(path): is there, and is not a socket") }
      guard !answers(path) else { throw CaptureFailure("another capture is running: \(path) answers; stop it first") }
      unlink(path)
    }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { throw failure(errno) }
    let mask = umask(0o117)
    let bound = withSocketAddress(path) { bind(descriptor, $0, $1) }
    let code = errno
    umask(mask)
    guard bound == 0, listen(descriptor, 4) == 0 else {
      close(descriptor)
      throw failure(bound == 0 ? errno : code)
    }
    // The engine's group may connect; who gets events is decided by SO_PEERCRED.
    if geteuid() == 0, let entry = getpwnam(group) { chown(path, uid_t.max, entry.pointee.pw_gid) }
    return descriptor
  }

  private static func answers(_ path: String) -> Bool {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return withSocketAddress(path) { connect(descriptor, $0, $1) } == 0
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

  /// sd_notify(3) without its library: afterwards no socket can be made, so that it is connected now. nil: nobody wants to know.
  static func notificationSocket() -> Int32? {
    guard let name = getenv("NOTIFY_SOCKET"), case let path = String(cString: name), path.hasPrefix("/") || path.hasPrefix("@"),
      path.utf8.count < 108
    else { return nil }
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(path.utf8)
    if bytes[0] == 0x40 { bytes[0] = 0 }  // an abstract name
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let length = socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + bytes.count)
    let connected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, length) }
    }
    guard connected == 0 else {
      close(descriptor)
      return nil
    }
    return descriptor
  }
}
