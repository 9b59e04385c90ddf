// What systemd is told, where it is the parent: ready, reloading, alive, stopping (sd_notify(3)); and the control socket that it may have
// opened for us (sd_listen_fds(3)). Without systemd each of these does nothing.
import CLinux
import CSystemd
import Glibc
import Primitives

public enum ServiceManager {
  static func ready() { notify("READY=1") }
  static func stopping() { notify("STOPPING=1") }
  static func alive() { notify("WATCHDOG=1") }
  /// The manager wants the time, to know the readiness that follows from the one before.
  static func reloading() {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    notify("RELOADING=1\nMONOTONIC_USEC=\(Int64(now.tv_sec) * 1_000_000 + Int64(now.tv_nsec) / 1000)")
  }
  private static func notify(_ state: String) { _ = sd_notify(0, state) }

  /// Half of the time within which the manager wants to hear from us, in nanoseconds; nil: it has no watchdog.
  static var watchdogInterval: Int64? {
    var microseconds: UInt64 = 0
    return sd_watchdog_enabled(0, &microseconds) > 0 ? Int64(clamping: microseconds / 2) * 1000 : nil
  }

  /// A listening stream socket that the manager opened for us; nil: there is none. Others that it passed are closed.
  static func controlSocket() -> Int32? {
    let first: Int32 = 3  // SD_LISTEN_FDS_START
    let count = sd_listen_fds(1)
    var found: Int32?
    for descriptor in first..<(first + max(0, count)) {
      if found == nil, sd_is_socket_unix(descriptor, Int32(SOCK_STREAM.rawValue), 1, nil, 0) > 0 {
        found = descriptor
      } else {
        close(descriptor)
      }
    }
    return found
  }
}
