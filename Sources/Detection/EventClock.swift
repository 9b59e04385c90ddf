// What time it is, by the events alone: one clock for each source, so that a source that catches up after an outage is not
// late because another one is live. Windows slide on it. It notices stamps that cannot be: a clock that jumps back, a year
// that is wrong, a busy source that falls silent.
// Invariant: pure; the reading depends only on the events observed so far.
import Primitives

public struct EventClock: Sendable {
  public enum Anomaly: Hashable, Sendable {
    /// The source's clock went back by this much, and stayed there.
    case jumpedBack(Nanoseconds)
    /// A stamp lies absurdly far ahead; it is not believed.
    case jumpedForward(Nanoseconds)
    /// A busy source was silent for this long.
    case gap(Nanoseconds)
  }
  public struct Reading: Hashable, Sendable {
    /// The event's place on the time line: never before the source's earlier readings, but after a believed jump back.
    public var time: EventTime
    /// False: the stamp cannot be placed; the event may match patterns but must not move or fill windows.
    public var feedsWindows: Bool
    public var anomaly: Anomaly?
    public init(time: EventTime, feedsWindows: Bool, anomaly: Anomaly?) {
      self.time = time
      self.feedsWindows = feedsWindows
      self.anomaly = anomaly
    }
  }
  private struct SourceClock: Sendable {
    var newest = EventTime.distantPast
    var jumpedBackCount = 0
    var pendingForward: EventTime?
    var events: UInt64 = 0
    var longestGap = Nanoseconds(0)
  }
  private var clocks: [SourceClock] = []

  /// Events that came after a newer one of their source (counted as now), and those that were too late to count.
  public private(set) var lateEvents: UInt64 = 0
  public private(set) var unplacedEvents: UInt64 = 0

  public init() {}

  public mutating func observe(_ time: EventTime, source: UInt32) -> Reading {
    let index = Int(source)
    while clocks.count <= index { clocks.append(SourceClock()) }
    var clock = clocks[index]
    defer { clocks[index] = clock }
    return observe(time, &clock)
  }

  @inline(__always)
  private mutating func observe(_ time: EventTime, _ clock: inout SourceClock) -> Reading {
    clock.events &+= 1
    let newest = clock.newest
    if clock.events == 1 {
      clock.newest = time
      return Reading(time: time, feedsWindows: true, anomaly: nil)
    }
    let ahead = time - newest
    if ahead.count >= 0, ahead < Limits.logGap {  // nearly every event
      clock.newest = time
      clock.jumpedBackCount = 0
      clock.pendingForward = nil
      if ahead > clock.longestGap { clock.longestGap = ahead }
      return Reading(time: time, feedsWindows: true, anomaly: nil)
    }
    if ahead.count < 0 {
      if Nanoseconds(0 - max(ahead.count, -Int64.max)) <= Limits.lateness {
        lateEvents &+= 1
        return Reading(time: newest, feedsWindows: true, anomaly: nil)
      }
      clock.jumpedBackCount += 1
      guard clock.jumpedBackCount >= Limits.clockJumpConfirmations else {
        unplacedEvents &+= 1
        return Reading(time: newest, feedsWindows: false, anomaly: nil)
      }
      clock.newest = time
      clock.jumpedBackCount = 0
      clock.pendingForward = nil
      return Reading(time: time, feedsWindows: true, anomaly: .jumpedBack(newest - time))
    }
    clock.jumpedBackCount = 0
    if ahead > Limits.forwardJump {
      if let pending = clock.pendingForward, time >= pending - Limits.lateness {
        clock.pendingForward = nil
        clock.newest = time
        return Reading(time: time, feedsWindows: true, anomaly: nil)
      }
      clock.pendingForward = time
      unplacedEvents &+= 1
      return Reading(time: newest, feedsWindows: false, anomaly: .jumpedForward(ahead))
    }
    clock.newest = time
    clock.pendingForward = nil
    let usual = clock.longestGap
    clock.longestGap = max(usual, ahead)
    let isGap = clock.events > Limits.logGapMinimumEvents && ahead.count / 8 >= usual.count
    return Reading(time: time, feedsWindows: true, anomaly: isGap ? .gap(ahead) : nil)
  }
}
