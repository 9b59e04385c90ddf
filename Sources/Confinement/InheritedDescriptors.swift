// What a parent left open is no business of a confined process: a socket of the network among it would be one that no filter ever saw it open.
// What must stay true: this runs first, before anything of ours is open; only what a parent passes on purpose is left.
import CLinux
import Glibc

public enum InheritedDescriptors {
  /// Closes all but standard input and outputs, the service manager's sockets (sd_listen_fds(3)), and `kept`.
  public static func closeOthers(keeping kept: [Int32] = []) {
    var next: UInt32 = 3
    // One that is beyond what a process can have open is no number of descriptors.
    if let pid = number("LISTEN_PID"), pid == getpid(), let count = number("LISTEN_FDS"), (1...1024).contains(count) { next += UInt32(count) }
    for descriptor in kept.sorted() where descriptor >= Int32(next) {
      if UInt32(descriptor) > next { _ = pg_close_range(next, UInt32(descriptor) - 1) }
      next = UInt32(descriptor) + 1
    }
    _ = pg_close_range(next, .max)
  }
  private static func number(_ name: String) -> Int32? { getenv(name).flatMap { Int32(String(cString: $0)) } }
}
