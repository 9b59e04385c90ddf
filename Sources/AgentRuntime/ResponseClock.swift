// The time by which blocks and trials end. The kernel counts their seconds on CLOCK_MONOTONIC; a host's clock is set, and jumps while the host
// sleeps. What must stay true: between two calls of `step` this clock goes as the kernel's does, so that neither side ends a block before the
// other; what is kept in this clock is moved by what `step` returns, and stays as far from its end as it was.
import Glibc
import Primitives

struct ResponseClock {
  /// The host's clock. Facts that come with events (how old they are, when a question expires) go by it.
  let hostTime: () -> EventTime
  private let monotonic: () -> Int64
  private var base: (host: EventTime, monotonic: Int64)
  /// A clock that is disciplined little by little is followed in steps of this.
  static let tolerance = Nanoseconds.seconds(2)

  init(hostTime: @escaping () -> EventTime = WallClock.now, monotonic: @escaping () -> Int64 = MonotonicTime.now) {
    self.hostTime = hostTime
    self.monotonic = monotonic
    base = (hostTime(), monotonic())
  }

  var now: EventTime { base.host + Nanoseconds(monotonic() - base.monotonic) }

  /// How far the host's clock has been moved since the last call, where that is more than the tolerance; this clock is then set to it.
  mutating func step() -> Nanoseconds? {
    let distance = hostTime() - now
    guard distance.count.magnitude > ResponseClock.tolerance.count.magnitude else { return nil }
    base = (hostTime(), monotonic())
    return distance
  }
}
