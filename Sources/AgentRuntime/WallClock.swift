// This host's clock, for facts beside decisions: when a block ends, who asked for what. Never part of a decision.
import Glibc
import Primitives

enum WallClock {
  static func now() -> EventTime {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return EventTime(nanoseconds: Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec))
  }
}
