// What has been said about each subject lately: one entry for each rule, so that two rules about the same source add up.
// Bounded: subjects by `Limits.subjects`, signals of one subject by `Limits.signalsPerSubject`, age by `Limits.signalMemory`.
import Events
import Primitives

struct SubjectSignals: Sendable {
  struct Entry: Sendable {
    var rule: Int32
    var isAccusing: Bool
    /// What it rested on last.
    var isAttested: Bool
    var lastTime: EventTime
    /// When it last rested on attested events alone. Claimed ones that come later take nothing away from that.
    var attestedTime: EventTime?
    func isAttested(at time: EventTime) -> Bool { attestedTime.map { time - $0 <= Limits.signalMemory } ?? false }
  }
  /// In the order in which the rules first spoke.
  private(set) var entries: [Entry] = []
  /// When a rule that accuses somebody spoke last; nil: none that still counts did.
  private(set) var accusedAt: EventTime?

  /// Notes that `rule` speaks now. Returns whether it is new among those that
  /// still count (or attested now), and whether one had to be dropped. `isUnconfirmed`: the time may be wrong, so nothing is too old.
  mutating func note(rule: Int32, isAccusing: Bool, isAttested: Bool, at time: EventTime, isUnconfirmed: Bool) -> (isNew: Bool, dropped: Bool) {
    if let i = entries.firstIndex(where: { $0.rule == rule }) {
      let wasForgotten = time - entries[i].lastTime > Limits.signalMemory
      let changed = isAttested && !entries[i].isAttested
      entries[i].lastTime = time
      entries[i].isAttested = isAttested
      if isAttested { entries[i].attestedTime = time }
      if isAccusing { noteAccusation(at: time) }
      return (wasForgotten || changed, false)
    }
    if !isUnconfirmed { entries.removeAll { time - $0.lastTime > Limits.signalMemory } }
    var dropped = false
    if entries.count >= Limits.signalsPerSubject {
      var oldest = 0
      for i in entries.indices where entries[i].lastTime < entries[oldest].lastTime { oldest = i }
      entries.remove(at: oldest)
      dropped = true
    }
    entries.append(Entry(rule: rule, isAccusing: isAccusing, isAttested: isAttested, lastTime: time, attestedTime: isAttested ? time : nil))
    noteAccusation(at: nil)
    return (true, dropped)
  }
  /// Time nearly always goes on; where it does not, or entries came and went (nil), the newest one is looked for.
  private mutating func noteAccusation(at time: EventTime?) {
    if let time, let accusedAt, time >= accusedAt {
      self.accusedAt = time
    } else {
      accusedAt = entries.lazy.filter(\.isAccusing).map(\.lastTime).max()
    }
  }
}
