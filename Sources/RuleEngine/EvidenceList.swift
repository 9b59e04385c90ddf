// The lines behind a group's window: the first sixteen and the last sixteen that are still inside it.
// A plain value without owner: whoever holds it calls `free`.
import Events
import Primitives

struct StoredReference {
  /// Time of the event that brought the line: the reference leaves the window with it.
  var windowTime: Int64
  var time: Int64
  var offset: UInt64
  var source: UInt32
  var length: UInt32
  var fingerprint: Fingerprint

  init(_ reference: EvidenceReference, windowTime: Int64) {
    self.windowTime = windowTime
    time = reference.time.nanoseconds
    offset = reference.origin.offset
    source = reference.origin.source
    length = reference.origin.length
    fingerprint = reference.fingerprint
  }
  var reference: EvidenceReference {
    EvidenceReference(
      origin: EventOrigin(source: source, offset: offset, length: length), time: EventTime(nanoseconds: time), fingerprint: fingerprint)
  }
}

struct EvidenceList {
  private var base: UnsafeMutablePointer<StoredReference>?
  private var used: UInt8 = 0
  private var capacity: UInt8 = 0
  /// When the list is full, its newer half is a ring: this one is the oldest there.
  private var turn: UInt8 = 0
  static let maximum = Limits.evidencePerDecision
  private static let half = maximum / 2

  var count: Int { Int(used) }
  var bytes: Int { base == nil ? 0 : Int(capacity) * MemoryLayout<StoredReference>.stride + 16 }

  mutating func free() {
    base?.deallocate()
    self = EvidenceList()
  }

  /// Drops what left the window, and what lies in the future (the clock went back).
  mutating func expire(cutoff: Int64, now: Int64) {
    straighten()
    guard let base, used > 0 else { return }
    var kept = 0
    for i in 0..<count where base[i].windowTime > cutoff && base[i].windowTime <= now {
      if kept != i { base[kept] = base[i] }
      kept += 1
    }
    used = UInt8(kept)
  }
  private mutating func straighten() {
    guard let base, turn > 0 else { return }
    let newer = (0..<EvidenceList.half).map { base[EvidenceList.half + (Int(turn) + $0) % EvidenceList.half] }
    (base + EvidenceList.half).update(from: newer, count: newer.count)
    turn = 0
  }

  mutating func add(_ reference: StoredReference, cutoff: Int64) {
    if count == EvidenceList.maximum, let base {
      if base[0].windowTime <= cutoff || base[0].windowTime > reference.windowTime { expire(cutoff: cutoff, now: reference.windowTime) }
      if count == EvidenceList.maximum {  // the oldest of the newer half makes room
        base[EvidenceList.half + Int(turn)] = reference
        turn = (turn + 1) % UInt8(EvidenceList.half)
        return
      }
    }
    if used == capacity {
      let wanted = min(EvidenceList.maximum, capacity == 0 ? 1 : Int(capacity) * 4)
      let block = UnsafeMutablePointer<StoredReference>.allocate(capacity: wanted)
      if let base {
        block.initialize(from: base, count: count)
        base.deallocate()
      }
      base = block
      capacity = UInt8(wanted)
    }
    base![count] = reference  // there is a block: capacity > used
    used += 1
  }

  /// Oldest first (by time, then by arrival), each line once.
  mutating func references() -> [EvidenceReference] {
    straighten()
    guard let base else { return [] }
    return EvidenceList.ordered((0..<count).map { base[$0].reference })
  }

  /// Stable by time, without duplicates, at most `maximum` with the middle left out.
  static func ordered(_ references: [EvidenceReference]) -> [EvidenceReference] {
    var result: [EvidenceReference] = []
    for reference in references where !result.contains(where: { $0.origin == reference.origin }) {
      var at = result.count
      while at > 0, result[at - 1].time > reference.time { at -= 1 }
      result.insert(reference, at: at)
    }
    if result.count > maximum { result.removeSubrange(maximum / 2..<result.count - maximum / 2) }
    return result
  }
}
