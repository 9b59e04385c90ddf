// What the planner remembers of one mode: whom it blocked, what it did a short while ago, how much it did in this minute. Event time only.
// What must stay true: a time stamp, however far off, may make the planner forget, but neither do more than the cap of a minute nor stay
// silent for longer than the span it would have anyway: every comparison holds in both directions.
import Primitives

/// A subject that was blocked.
struct Offender: Hashable, Codable, Sendable {
  var blocks: Int32
  /// When the last block began and ends.
  var since: EventTime
  var until: EventTime

  func isBlocked(at time: EventTime) -> Bool { time < until && since - time <= Limits.lateness }
  func blocks(within window: Nanoseconds, of time: EventTime) -> Int {
    time - since <= window && since - time <= window ? Int(blocks) : 0
  }
}

/// A step that was done, asked or denied for a subject.
struct CoolDown: Hashable, Codable, Sendable {
  enum Cause: String, Codable { case done, asked, denied }
  var cause: Cause
  var since: EventTime
  var until: EventTime
  func isActive(at time: EventTime) -> Bool { time < until && since - time <= Limits.lateness }
}

/// Actions of one playbook in one minute, and its circuit breaker.
struct Meter: Hashable, Codable, Sendable {
  private var minute: Int64 = 0
  private var count = 0
  private var isOver = false
  /// Minutes in a row that went over.
  private var overs = 0
  private var opened = EventTime.zero
  private var openUntil = EventTime.zero

  /// nil: there is room, and it is taken.
  mutating func refusal(at time: EventTime, _ cap: RateCap) -> Refusal? {
    if isOpen(at: time) { return .circuitOpen(until: openUntil) }
    enter(time.nanoseconds / 60_000_000_000)
    guard count >= cap.perMinute else {
      count += 1
      return nil
    }
    if !isOver {
      isOver = true
      overs += 1
    }
    guard overs >= cap.trips else { return .rateCap(perMinute: cap.perMinute) }
    overs = 0
    opened = time
    openUntil = time + cap.openFor
    return .circuitOpen(until: openUntil)
  }
  func isOpen(at time: EventTime) -> Bool { time < openUntil && opened - time <= Limits.lateness }
  mutating func close() { openUntil = .zero }

  /// Late events count with the newest minute; a clock that jumped far back begins anew.
  private mutating func enter(_ now: Int64) {
    guard now > minute || minute - now > Limits.lateness.count / 60_000_000_000 else { return }
    if now != minute + 1 || !isOver { overs = 0 }
    minute = now
    count = 0
    isOver = false
  }
}

/// What changes something, and what only tells, are counted apart: neither may use up the other's room.
struct Meters: Hashable, Codable, Sendable {
  var playbook: String
  var acting = Meter()
  var telling = Meter()
}

struct PlannerMemory: ~Copyable {
  var offenders = BoundedTable<Fingerprint, Offender>(capacity: Limits.repeatOffenders)
  var coolDowns = BoundedTable<Fingerprint, CoolDown>(capacity: Limits.coolDowns)
  /// By playbook; at most `Limits.playbooks`. Only looked up; written in the order of the names.
  private var meters: [String: Meters] = [:]

  init() {}

  mutating func refusal(of playbook: Playbook, isDisruptive: Bool, at time: EventTime) -> Refusal? {
    isDisruptive
      ? meters[playbook.id, default: Meters(playbook: playbook.id)].acting.refusal(at: time, playbook.rate)
      : meters[playbook.id, default: Meters(playbook: playbook.id)].telling.refusal(at: time, playbook.rate)
  }
  mutating func keepMeters(of playbooks: [Playbook]) {
    let known = Set(playbooks.map(\.id))  // only asked for members
    meters = meters.filter { known.contains($0.key) }
  }
  func isOpen(_ playbook: String, at time: EventTime) -> Bool {
    meters[playbook].map { $0.acting.isOpen(at: time) || $0.telling.isOpen(at: time) } ?? false
  }
  mutating func closeBreaker(of playbook: String) {
    meters[playbook]?.acting.close()
    meters[playbook]?.telling.close()
  }

  mutating func noteBlock(_ offender: Fingerprint, at time: EventTime, for ttl: Nanoseconds, window: Nanoseconds) {
    offenders.update(offender, make: { Offender(blocks: 0, since: time, until: time) }) {
      let before = $0.blocks(within: window, of: time)
      $0 = Offender(blocks: Int32(clamping: before + 1), since: time, until: time + ttl)
    }
  }
  mutating func noteUnblock(_ offender: Fingerprint) { _ = offenders.modify(offender) { $0.until = $0.since } }
  mutating func note(_ cause: CoolDown.Cause, _ repetition: Fingerprint, at time: EventTime, for span: Nanoseconds) {
    coolDowns.update(repetition, make: { CoolDown(cause: cause, since: time, until: time) }) {
      $0 = CoolDown(cause: cause, since: time, until: time + span)
    }
  }

  // MARK: Kept form

  struct Kept: Codable {
    struct Entry<Value: Codable>: Codable {
      var key: Fingerprint
      var value: Value
    }
    var offenders: [Entry<Offender>]
    var coolDowns: [Entry<CoolDown>]
    var meters: [Meters]
  }
  var kept: Kept {
    var kept = Kept(offenders: [], coolDowns: [], meters: meters.values.sorted { $0.playbook.utf8.lexicographicallyPrecedes($1.playbook.utf8) })
    offenders.forEachOldestFirst { kept.offenders.append(Kept.Entry(key: $0, value: $1)) }
    coolDowns.forEachOldestFirst { kept.coolDowns.append(Kept.Entry(key: $0, value: $1)) }
    return kept
  }
  /// nil where there is more than any memory holds.
  init?(_ kept: Kept) {
    guard kept.offenders.count <= Limits.repeatOffenders, kept.coolDowns.count <= Limits.coolDowns, kept.meters.count <= Limits.playbooks else {
      return nil
    }
    for entry in kept.offenders { offenders.update(entry.key, make: { entry.value }) { $0 = entry.value } }
    for entry in kept.coolDowns { coolDowns.update(entry.key, make: { entry.value }) { $0 = entry.value } }
    for meter in kept.meters { meters[meter.playbook] = meter }
  }
}
