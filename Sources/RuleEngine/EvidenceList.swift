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
  static let maximum = Limits.evidencePerDecision

  var count: Int { Int(used) }
  var bytes: Int { base == nil ? 0 : Int(capacity) * MemoryLayout<StoredReference>.stride + 16 }

  mutating func free() {
    base?.deallocate()
    self = EvidenceList()
  }

  mutating func expire(cutoff: Int64, now: Int64) {
    guard let base, used > 0 else { return }
    var kept = 0
    for i in 0..<count where base[i].windowTime > cutoff && base[i].windowTime <= now {
      if kept != i { base[kept] = base[i] }
      kept += 1
    }
    used = UInt8(kept)
  }

  mutating func add(_ reference: StoredReference, cutoff: Int64) {
    if count == EvidenceList.maximum, let base {
      expire(cutoff: cutoff, now: reference.windowTime)
      if count == EvidenceList.maximum {  // the oldest of the newer half makes room
        let middle = EvidenceList.maximum / 2
        (base + middle).update(from: base + middle + 1, count: count - middle - 1)
        used -= 1
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
  func references() -> [EvidenceReference] {
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
