// What the process itself costs, read from /proc and getrusage. Shown to people; never part of a decision.
import Glibc
import Primitives

public enum SelfMetrics {
  /// Resident memory now, in bytes; 0 if /proc does not say.
  public static func residentBytes() -> UInt64 { statusValue("VmRSS:") }
  /// The highest resident memory so far, in bytes.
  public static func peakResidentBytes() -> UInt64 { statusValue("VmHWM:") }
  /// Processor time used so far, user and system, in microseconds.
  public static func cpuMicroseconds() -> UInt64 {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func micro(_ t: timeval) -> UInt64 { UInt64(t.tv_sec) * 1_000_000 + UInt64(t.tv_usec) }
    return micro(usage.ru_utime) + micro(usage.ru_stime)
  }

  private static func statusValue(_ key: String) -> UInt64 {
    for line in ProcessFile.contents("/proc/self/status").split(separator: "\n") where line.hasPrefix(key) {
      let digits = line.filter { $0 >= "0" && $0 <= "9" }
      return (UInt64(digits) ?? 0) * 1024
    }
    return 0
  }
}

/// A clock for figures and time-outs; never for decisions.
public enum MonotonicTime {
  /// Nanoseconds since some fixed point.
  public static func now() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
  }
}
