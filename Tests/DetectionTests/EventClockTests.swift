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

  @Test func aYearOfSilenceIsBelievedAtTheSecondEvent() {
    var clock = EventClock()
    _ = clock.observe(start, source: 0)
    #expect(!clock.observe(start + .days(500), source: 0).feedsWindows)
    #expect(clock.observe(start + .days(500) + .seconds(1), source: 0).feedsWindows)
  }

  @Test func aBusySourceThatFallsSilentIsAGap() {
    var clock = EventClock()
    for i in 0..<2000 { _ = clock.observe(start + .seconds(Int64(i)), source: 0) }
    #expect(clock.observe(start + .seconds(1999) + .hours(2), source: 0).anomaly == .gap(.hours(2)))
  }

  @Test func aQuietSourceHasNoGaps() {
    var clock = EventClock()
    for i in 0..<100 { #expect(clock.observe(start + .hours(Int64(i) * 7), source: 0).anomaly == nil) }
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
