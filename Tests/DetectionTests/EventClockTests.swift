import Primitives
import Testing

@testable import Detection

@Suite struct EventClockTests {
  private let start = EventTime(rfc3339: "2026-01-05T00:00:00Z")!

  @Test func slightlyLateEventsCountAsNow() {
    var clock = EventClock()
    _ = clock.observe(start, source: 0)
    let reading = clock.observe(start - .minutes(9), source: 0)
    #expect(reading == .init(time: start, feedsWindows: true, anomaly: nil))
    #expect(clock.lateEvents == 1)
  }

  /// Flows are told when they have been silent for long: their last packet is old, and no clock went back.
  @Test func reportsOfWhatIsOverCountAsNow() {
    var clock = EventClock()
    _ = clock.observe(start, source: 0)
    for i in 0..<100 {
      let reading = clock.observe(start - .hours(1) - .seconds(Int64(i)), source: 0, isReport: true)
      #expect(reading == .init(time: start, feedsWindows: true, anomaly: nil))
    }
    #expect(clock.lateEvents == 0 && clock.unplacedEvents == 0)
    // A report that is news moves the clock like any event.
    #expect(clock.observe(start + .seconds(5), source: 0, isReport: true).time == start + .seconds(5))
    #expect(clock.observe(start + .seconds(1), source: 0, isReport: true).time == start + .seconds(5))
  }

  @Test func aClockThatJumpsBackIsBelievedAfterSixteenEvents() {
    var clock = EventClock()
    _ = clock.observe(start, source: 0)
    for i in 1..<Limits.clockJumpConfirmations {
      let reading = clock.observe(start - .hours(1) + .seconds(Int64(i)), source: 0)
      #expect(!reading.feedsWindows && reading.anomaly == nil)
    }
    let reading = clock.observe(start - .hours(1) + .seconds(16), source: 0)
    #expect(reading.feedsWindows)
    #expect(reading.anomaly == .jumpedBack(.seconds(3584)))
    #expect(clock.observe(start - .minutes(59), source: 0).feedsWindows)
  }

  @Test func aSingleStampFrom2099MovesNothing() {
    var clock = EventClock()
    _ = clock.observe(start, source: 0)
    let far = clock.observe(EventTime(rfc3339: "2099-01-01T00:00:00Z")!, source: 0)
    #expect(!far.feedsWindows && far.time == start)
    #expect(clock.observe(start + .seconds(1), source: 0) == .init(time: start + .seconds(1), feedsWindows: true, anomaly: nil))
  }

  @Test func aYearOfSilenceIsBelievedAtTheThirdEvent() {
    var clock = EventClock()
    _ = clock.observe(start, source: 0)
    #expect(!clock.observe(start + .days(500), source: 0).feedsWindows)
    #expect(!clock.observe(start + .days(500) + .seconds(1), source: 0).feedsWindows)
    let third = start + .days(500) + .seconds(2)
    #expect(clock.observe(third, source: 0) == .init(time: third, feedsWindows: true, anomaly: nil))
  }

  /// Strays, as many as do not agree, are taken at their own time where that is possible, and the source goes on as before.
  @Test(
    arguments: [
      ([Nanoseconds.hours(2)], true), ([.days(300)], true), ([.days(300), .days(301)], true), ([.hours(3), .hours(2)], true),
      ([.days(5000), .days(5000)], false),
    ] as [([Nanoseconds], Bool)])
  func straysMoveNothing(_ ahead: [Nanoseconds], _ arePlaced: Bool) {
    var clock = EventClock()
    for i in 0..<10 { _ = clock.observe(start + .seconds(Int64(i)), source: 0) }
    for jump in ahead {
      let reading = clock.observe(start + jump, source: 0)
      #expect(reading.isUnconfirmed && reading.feedsWindows == arePlaced)
      #expect(reading.time == (arePlaced ? start + jump : start + .seconds(9)))
    }
    let back = clock.observe(start + .seconds(8), source: 0)
    #expect(back.time == start + .seconds(9) && back.feedsWindows && !back.isUnconfirmed)
    if arePlaced, let nearest = ahead.min() { #expect(back.anomaly == .jumpedForward(Nanoseconds(nearest.count - 9_000_000_000))) }
    #expect(clock.observe(start + .seconds(10), source: 0) == .init(time: start + .seconds(10), feedsWindows: true, anomaly: nil))
  }

  @Test(arguments: [(Nanoseconds.hours(2), 1), (.hours(24), 1), (.hours(25), 2), (.days(400), 2), (.days(401), 2)])
  func aJumpAheadIsBelievedWhenOthersAgree(_ jump: Nanoseconds, _ needed: Int) {
    var clock = EventClock()
    _ = clock.observe(start, source: 0)
    for i in 0..<needed { #expect(clock.observe(start + jump + .seconds(Int64(i)), source: 0).isUnconfirmed) }
    let last = start + jump + .seconds(Int64(needed))
    #expect(clock.observe(last, source: 0) == .init(time: last, feedsWindows: true, anomaly: nil))
    #expect(!clock.observe(start + .seconds(1), source: 0).feedsWindows)
  }

  @Test func aBusySourceThatFallsSilentIsAGap() {
    var clock = EventClock()
    for i in 0..<2000 { _ = clock.observe(start + .seconds(Int64(i)), source: 0) }
    #expect(clock.observe(start + .seconds(1999) + .hours(2), source: 0).anomaly == nil)  // it may be a stray
    #expect(clock.observe(start + .seconds(2000) + .hours(2), source: 0).anomaly == .gap(.hours(2)))
  }

  @Test func aQuietSourceHasNoGaps() {
    var clock = EventClock()
    for hours in [7, 31, 200] as [Int64] {
      for i in 0..<100 {
        let time = start + .hours(Int64(i) * hours)
        let reading = clock.observe(time, source: UInt32(hours))
        #expect(reading.time == time && reading.feedsWindows && reading.anomaly == nil)
      }
    }
  }

  @Test func sourcesDoNotDisturbEachOther() {
    var clock = EventClock()
    _ = clock.observe(start, source: 1)
    #expect(clock.observe(start - .days(3), source: 0).feedsWindows)
    #expect(clock.observe(start - .days(3) + .seconds(1), source: 0).feedsWindows)
  }

  @Test func extremesDoNotTrap() {
    var clock = EventClock()
    for time in [EventTime.distantPast, .distantFuture, .zero, .distantPast, .distantFuture] { _ = clock.observe(time, source: 0) }
  }
}
