import Primitives
import Testing

@Suite struct EventTimeTests {
  @Test(
    arguments: [
      ("2026-01-05T00:00:19Z", 1_767_571_219_000_000_000), ("2026-01-05T02:00:19+02:00", 1_767_571_219_000_000_000),
      ("2026-01-05 00:00:19.123456", 1_767_571_219_123_456_000), ("1970-01-01T00:00:00Z", 0), ("2016-12-31T23:59:60Z", 1_483_228_800_000_000_000),
      ("2000-02-29T12:00:00-0130", 951_831_000_000_000_000), ("2099-12-31T23:59:59Z", 4_102_444_799_000_000_000),
    ] as [(String, Int64)])
  func readsRFC3339(_ text: String, _ expected: Int64) throws {
    let time = try #require(EventTime(rfc3339: text))
    #expect(time.nanoseconds == expected)
    #expect(EventTime(rfc3339: time.description) == time)
  }

  @Test(arguments: [
    "", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-01-05T24:00:00Z", "2026-01-05T00:00:00.Z", "1969-12-31T23:59:59Z", "2026-01-05T00:00",
  ])
  func refuses(_ text: String) { #expect(EventTime(rfc3339: text) == nil) }

  @Test func civilRoundTripsOverTwoCenturies() {
    for day in stride(from: Int64(0), to: 84_000, by: 1) {
      let time = EventTime(seconds: day * 86_400 + 3661)
      let c = time.civil
      #expect(EventTime(year: c.year, month: c.month, day: c.day, hour: c.hour, minute: c.minute, second: c.second) == time)
    }
  }

  @Test(arguments: [
    ("PT5M", "5m"), ("P7D", "7d"), ("P1DT12H", "1d12h"), ("P2W", "14d"), ("30s", "30s"), ("5m", "5m"), ("90m", "1h30m"), ("24h", "1d"),
    ("500ms", "500ms"),
  ])
  func readsDurations(_ text: String, _ canonical: String) { #expect(Nanoseconds(duration: text)?.description == canonical) }

  @Test(arguments: ["", "P", "5", "m", "PT", "P1M", "P1Y", "PT5", "0s", "-5m", "5 m", "99999999999999999999s"])
  func refusesDurations(_ text: String) { #expect(Nanoseconds(duration: text) == nil) }
}
