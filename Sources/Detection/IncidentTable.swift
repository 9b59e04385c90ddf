// Repeats of one rule about one subject update one incident instead of flooding. What is said when: the opening; each time the
// number of matches has grown fourfold; each time the proposed action changes; and, where it proposes a block, with the first match after
// such a block would have ended: whoever is back then is to be blocked again.
import Primitives

public struct Incident: Sendable {
  public var id: String
  /// Records written so far.
  public var revision: Int
  public var matchCount: UInt64
  public var firstTime: EventTime
  public var lastTime: EventTime
  /// The next match count that is worth a record.
  public var nextReport: UInt64
  public var action: ProposedAction
  /// Matches must have grown by this factor before an incident is worth another record: an attack of a million lines is ten records.
  static let reportGrowth: UInt64 = 4
  /// The same for informational rules, which only add evidence: their repeats are hardly news.
  static let informationalGrowth: UInt64 = 64
  /// Number of signals its subject had when it was last scored.
  var scoredSignals = 0
  /// A match from here on is worth a record, because the block that was proposed has ended by then. Event time.
  var reconsiderAt = EventTime.distantFuture
  /// How often that has been so. nil: taken up from an earlier run, which does not say.
  var reconsidered: Int? = 0

  public init(id: String, revision: Int, matchCount: UInt64, firstTime: EventTime, lastTime: EventTime, action: ProposedAction) {
    self.id = id
    self.revision = revision
    self.matchCount = matchCount
    self.firstTime = firstTime
    self.lastTime = lastTime
    self.action = action
    nextReport = 1
    while nextReport <= matchCount, nextReport < 1 << 60 { nextReport *= Incident.reportGrowth }
  }

  /// Called with each record. `spans`: how long the first, second, ... block is thought to last; the last one stays.
  mutating func noteReport(at time: EventTime, isFirstProposal: Bool, spans: [Nanoseconds]) {
    guard action == .blockIP, let shortest = spans.first else { return reconsiderAt = .distantFuture }
    if isFirstProposal {
      reconsidered = 0
      reconsiderAt = time + shortest
    } else if time >= reconsiderAt {
      reconsidered = reconsidered.map { $0 + 1 }
      reconsiderAt = time + spans[min(reconsidered ?? 0, spans.count - 1)]
    }
  }
}

/// Names one (rule, subject) pair.
struct IncidentKey: TableKey {
  var rule: Int32
  var subject: Fingerprint
  @inline(__always)
  var tableWords: (UInt64, UInt64) { (subject.high ^ UInt64(bitPattern: Int64(rule)) &* 0x9e37_79b9_7f4a_7c15, subject.low) }
}
