// A signal to one process, the one that is meant. Its number may have been given out again since it was seen; so it is held by a descriptor
// (pidfd) first, looked at through /proc then, and signalled through the descriptor: what was looked at is what is signalled, or nobody,
// because while the descriptor's process lives its number is its own, and once it is gone the signal reaches nobody.
import CLinux
import Glibc
import HostActions
import Primitives

struct ProcessKilling {
  var policy: KillPolicy

  /// `describe` is given what is about to be signalled, for the audit.
  func kill(_ target: ProcessTarget, describe: (String) -> Void) -> HostActionOutcome {
    guard target.startTicks != 0 || target.seenAt != 0 else {
      return HostActionOutcome(.refused, "unidentified", "neither when process \(target.pid) was started nor when it was seen is known")
    }
    let held = pg_pidfd_open(target.pid)
    guard held >= 0 else {
      return errno == ESRCH || errno == EINVAL
        ? HostActionOutcome(.failed, "gone", "there is no process \(target.pid)")
        : HostActionOutcome(.failed, "kernel", "process \(target.pid): \(String(cString: strerror(errno)))")
    }
    defer { close(held) }
    guard let facts = ProcessFacts.read(target.pid) else { return HostActionOutcome(.failed, "gone", "process \(target.pid) has ended") }
    if let refusal = recycled(target, facts) ?? policy.refusal(facts) { return HostActionOutcome(.refused, refusal.code, refusal.detail) }
    let who =
      "process \(facts.pid) (\(facts.name)), user \(facts.uid), command line '\(facts.commandLine.prefix(300))', "
      + "executable \(facts.executable.isEmpty ? "not known" : facts.executable), group \(facts.controlGroup)"
    describe("\(target.signal.name) to \(who)")
    guard pg_pidfd_send_signal(held, Int32(target.signal.rawValue)) == 0 else {
      return errno == ESRCH
        ? HostActionOutcome(.failed, "gone", "process \(target.pid) has ended")
        : HostActionOutcome(.failed, "kernel", "process \(target.pid): \(String(cString: strerror(errno)))")
    }
    return HostActionOutcome(.done, "", "\(target.signal.name) sent to \(who)")
  }

  /// Whether the number means another process now than the one that was asked about.
  private func recycled(_ target: ProcessTarget, _ facts: ProcessFacts) -> KillRefusal? {
    if target.startTicks != 0, target.startTicks != facts.startTicks {
      return KillRefusal("recycled", "process \(target.pid) was started at another time: the number belongs to another one now")
    }
    guard target.seenAt != 0 else { return nil }
    guard target.seenAt <= ProcessKilling.now(CLOCK_REALTIME) else {
      return KillRefusal("unidentified", "process \(target.pid) was seen at a time that has not come yet")
    }
    guard ProcessKilling.startTime(ticks: facts.startTicks) <= target.seenAt else {
      return KillRefusal("recycled", "process \(target.pid) was started after it was seen: the number may belong to another one now")
    }
    return nil
  }

  /// ns since 1970, rounded down to the tick. Of a clock that was set since, as it goes now.
  static func startTime(ticks: UInt64) -> Int64 {
    let perSecond = Int64(max(1, sysconf(Int32(_SC_CLK_TCK))))
    let sinceBoot = Int64(clamping: ticks) &* (1_000_000_000 / perSecond)
    return now(CLOCK_REALTIME) - now(CLOCK_BOOTTIME) + sinceBoot
  }
  static func now(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}
