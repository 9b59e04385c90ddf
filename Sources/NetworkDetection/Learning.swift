// What was there when watching began counts as known: a detector that starts beside a clock, a scrape and a vendor's heartbeat shall not
// take them for news. What it costs: whoever was there before us is taken for known as well; the findings say so (`known`), and rules give
// them less weight, not none. The host's baseline, which remembers for weeks, is another part's.
import Primitives

struct Learning {
  private(set) var since: EventTime?

  mutating func note(_ time: EventTime) { if since == nil { since = time } }

  /// Whether `time` lies in the first `span` of what was seen.
  func isWithin(_ span: Nanoseconds, at time: EventTime) -> Bool {
    guard let since else { return true }
    return time - since < span
  }
}
