// What time it is, by the events alone: one clock for each source, so that a source that catches up after an outage is not
// late because another one is live. Windows slide on it. It notices stamps that cannot be: a clock that jumps back, a year
// that is wrong, a busy source that falls silent.
// An event far ahead is taken at its own time, but the clock follows only when later events agree: one wrong stamp must not make
// everything behind it late, and a quiet host whose lines lie hours apart must not lose any.
// Invariant: pure; the reading depends only on the events observed so far.
import Primitives

public struct EventClock: Sendable {
  public enum Anomaly: Hashable, Sendable {
    /// The source's clock went back by this much, and stayed there.
    case jumpedBack(Nanoseconds)
    /// A stamp lay ahead by this much and the source went on without it, or it lies absurdly far ahead; it is not believed.
    case jumpedForward(Nanoseconds)
    /// A busy source was silent for this long.
    case gap(Nanoseconds)
  }
  public struct Reading: Hashable, Sendable {
    /// The event's place on the time line: never before the source's earlier confirmed readings, but after a believed jump back.
    public var time: EventTime
    /// False: the stamp cannot be placed; the event may match patterns but must not move or fill windows.
    public var feedsWindows: Bool
    public var anomaly: Anomaly?
    /// The stamp lies far ahead and no other one agrees yet: it may be wrong, so nothing may be forgotten because of it.
    public var isUnconfirmed: Bool
    public init(time: EventTime, feedsWindows: Bool, anomaly: Anomaly?, isUnconfirmed: Bool = false) {
      self.time = time
      self.feedsWindows = feedsWindows
      self.anomaly = anomaly
      self.isUnconfirmed = isUnconfirmed
    }
  }
  private struct SourceClock: Sendable {
    var newest = EventTime.distantPast
    var jumpedBackCount = 0
    /// The first stamp of a jump ahead that is not believed yet, and the events since then that agree with it.
    var pendingForward: EventTime?
    var agreements = 0
    var events: UInt64 = 0
    var longestGap = Nanoseconds(0)
  }
  private var clocks: [SourceClock] = []

  /// Events that came after a newer one of their source (counted as now), and those that were too late to count.
  public private(set) var lateEvents: UInt64 = 0
  public private(set) var unplacedEvents: UInt64 = 0

  public init() {}

  /// How far the source's clock is believed to be: an event far ahead has not moved it until another one agrees.
  public func newest(source: UInt32) -> EventTime { Int(source) < clocks.count ? clocks[Int(source)].newest : .distantPast }

  /// `isReport`: the event tells when it is over of what began earlier (a flow that fell silent an hour ago). It is no sign of a clock that
  /// went back, and counts as now, however old it is.
  public mutating func observe(_ time: EventTime, source: UInt32, isReport: Bool = false) -> Reading {
    let index = Int(source)
    while clocks.count <= index { clocks.append(SourceClock()) }
    var clock = clocks[index]
    if isReport, time < clock.newest { return Reading(time: clock.newest, feedsWindows: true, anomaly: nil) }
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
    if let pending = clock.pendingForward { return resolve(pending, time, &clock) }
    if ahead.count >= 0, ahead < Limits.logGap {  // nearly every event
      clock.newest = time
      clock.jumpedBackCount = 0
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
      return Reading(time: time, feedsWindows: true, anomaly: .jumpedBack(newest - time))
    }
    return jumpAhead(to: time, by: ahead, &clock)
  }

  private mutating func jumpAhead(to time: EventTime, by ahead: Nanoseconds, _ clock: inout SourceClock) -> Reading {
    clock.jumpedBackCount = 0
    clock.pendingForward = time
    clock.agreements = 0
    guard ahead > Limits.forwardJump else { return Reading(time: time, feedsWindows: true, anomaly: nil, isUnconfirmed: true) }
    unplacedEvents &+= 1
    return Reading(time: clock.newest, feedsWindows: false, anomaly: .jumpedForward(ahead), isUnconfirmed: true)
  }

  /// The event after one that jumped ahead to `pending`: the clock follows, or the jump was a stray, or it stays open.
  private mutating func resolve(_ pending: EventTime, _ time: EventTime, _ clock: inout SourceClock) -> Reading {
    let jump = pending - clock.newest
    let ahead = time - clock.newest
    if time >= pending - Limits.lateness {
      clock.agreements += 1
      guard clock.agreements >= (jump > Limits.easilyBelievedJump ? Limits.longJumpAgreements : 1) else {
        let isPlaced = ahead <= Limits.forwardJump
        if !isPlaced { unplacedEvents &+= 1 }
        return Reading(time: isPlaced ? time : clock.newest, feedsWindows: isPlaced, anomaly: nil, isUnconfirmed: true)
      }
      // Believed. From there on this event is like any other: next to it, a little late, or far ahead again.
      clock.newest = pending
      clock.pendingForward = nil
      clock.events &-= 1
      let usual = clock.longestGap
      clock.longestGap = max(usual, jump)
      var reading = observe(time, &clock)
      let isGap = clock.events > Limits.logGapMinimumEvents && jump.count / 8 >= usual.count && jump <= Limits.forwardJump
      if isGap, reading.anomaly == nil { reading.anomaly = .gap(jump) }
      return reading
    }
    // The source goes on without it. What lay absurdly far ahead was said already.
    clock.pendingForward = nil
    clock.events &-= 1
    var reading = observe(time, &clock)
    if reading.anomaly == nil, jump <= Limits.forwardJump { reading.anomaly = .jumpedForward(jump) }
    return reading
  }
}
