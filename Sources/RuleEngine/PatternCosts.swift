// What each pattern cost, for `rules cost` and `rules bench`. The only place in the engine that reads a clock; nothing that decides
// reads what is written here.
import Glibc

public struct PatternCost: Sendable {
  /// Runs on a text, the bytes of these texts, the matches among them, and nanoseconds.
  public var runs: UInt64 = 0
  public var bytes: UInt64 = 0
  public var matches: UInt64 = 0
  public var nanoseconds: UInt64 = 0
}

struct PatternCosts {
  var byPattern: [PatternCost]
  init(count: Int) { byPattern = Array(repeating: PatternCost(), count: count) }
  mutating func add(_ pattern: Int32, _ nanoseconds: UInt64, bytes: Int, isMatch: Bool) {
    byPattern[Int(pattern)].runs += 1
    byPattern[Int(pattern)].bytes += UInt64(bytes)
    byPattern[Int(pattern)].matches += isMatch ? 1 : 0
    byPattern[Int(pattern)].nanoseconds += nanoseconds
  }
  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
