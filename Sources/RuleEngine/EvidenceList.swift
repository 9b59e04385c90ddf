// The lines behind a group's window: the first few and the last few that are still inside it.
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

/// Every line that some window refers to, once: several rules usually keep the same lines.
final class EvidencePool {
  private struct Entry {
    var reference: StoredReference
    var holders: UInt32
    var nextFree: Int32
  }
  static let entryBytes = MemoryLayout<Entry>.stride
  private let entries: UnsafeMutablePointer<Entry>
  private let capacity: Int
  private var fresh: Int32 = 0
  private var freeList: Int32 = -1
  private(set) var count = 0

  init(capacity: Int) {
    self.capacity = capacity
    entries = .allocate(capacity: max(1, capacity))  // touched only as lines arrive
  }
  deinit { entries.deallocate() }

  var usedBytes: Int { count * EvidencePool.entryBytes }
  @inline(__always) subscript(_ index: UInt32) -> StoredReference { entries[Int(index)].reference }

  /// A new entry with one holder; nil if there is no room.
  func hold(_ reference: StoredReference) -> UInt32? {
    let index: Int32
    if freeList >= 0 {
      index = freeList
      freeList = entries[Int(index)].nextFree
    } else {
      guard Int(fresh) < capacity else { return nil }
      index = fresh
      fresh += 1
    }
    (entries + Int(index)).initialize(to: Entry(reference: reference, holders: 1, nextFree: -1))
    count += 1
    return UInt32(index)
  }
  @inline(__always) func retain(_ index: UInt32) { entries[Int(index)].holders += 1 }
  @inline(__always) func release(_ index: UInt32) {
    entries[Int(index)].holders -= 1
    if entries[Int(index)].holders == 0 {
      entries[Int(index)].nextFree = freeList
      freeList = Int32(index)
      count -= 1
    }
  }
}

struct EvidenceList {
  private var base: UnsafeMutablePointer<UInt32>?
  private var used: UInt8 = 0
  private var capacity: UInt8 = 0
  /// When the list is full, its newer half is a ring: this one is the oldest there.
  private var turn: UInt8 = 0
  static let maximum = Limits.evidencePerGroup
  private static let half = maximum / 2

  var count: Int { Int(used) }
  var bytes: Int { base == nil ? 0 : max(32, (Int(capacity) * 4 + 8 + 15) & ~15) }

  mutating func free(_ pool: EvidencePool) {
    if let base { for i in 0..<count { pool.release(base[i]) } }
    base?.deallocate()
    self = EvidenceList()
  }

  /// With a block of its own.
  func copy(_ pool: EvidencePool) -> EvidenceList {
    guard let base, used > 0 else { return EvidenceList() }
    var copy = self
    copy.base = .allocate(capacity: Int(capacity))
    copy.base?.initialize(from: base, count: count)
    for i in 0..<count { pool.retain(base[i]) }
    return copy
  }

  /// Drops what left the window, and what lies in the future (the clock went back).
  mutating func expire(cutoff: Int64, now: Int64, _ pool: EvidencePool) {
    straighten()
    guard let base, used > 0 else { return }
    var kept = 0
    for i in 0..<count {
      let time = pool[base[i]].windowTime
      if time > cutoff, time <= now {
        base[kept] = base[i]
        kept += 1
      } else {
        pool.release(base[i])
      }
    }
    used = UInt8(kept)
  }
  private mutating func straighten() {
    guard let base, turn > 0 else { return }
    let newer = (0..<EvidenceList.half).map { base[EvidenceList.half + (Int(turn) + $0) % EvidenceList.half] }
    (base + EvidenceList.half).update(from: newer, count: newer.count)
    turn = 0
  }

  mutating func add(_ index: UInt32, cutoff: Int64, now: Int64, _ pool: EvidencePool) {
    pool.retain(index)
    if count == EvidenceList.maximum, let base {
      let oldest = pool[base[0]].windowTime
      if oldest <= cutoff || oldest > now { expire(cutoff: cutoff, now: now, pool) }
      if count == EvidenceList.maximum {  // the oldest of the newer half makes room
        let place = EvidenceList.half + Int(turn)
        pool.release(base[place])
        base[place] = index
        turn = (turn + 1) % UInt8(EvidenceList.half)
        return
      }
    }
    if used == capacity {
      let wanted = min(EvidenceList.maximum, capacity == 0 ? 4 : capacity < 12 ? 12 : EvidenceList.maximum)
      let block = UnsafeMutablePointer<UInt32>.allocate(capacity: wanted)
      if let base {
        block.initialize(from: base, count: count)
        base.deallocate()
      }
      base = block
      capacity = UInt8(wanted)
    }
    base![count] = index  // there is a block: capacity > used
    used += 1
  }

  /// Oldest first (by time, then by arrival), each line once.
  mutating func references(_ pool: EvidencePool) -> [EvidenceReference] {
    straighten()
    guard let base else { return [] }
    return EvidenceList.ordered((0..<count).map { pool[base[$0]].reference })
  }

  /// Stable by time, without duplicates, at most `Limits.evidencePerDecision` with the middle left out.
  static func ordered(_ references: [EvidenceReference]) -> [EvidenceReference] {
    // Nearly always they are: lines of one source, as they came.
    let isOrdered = references.indices.dropFirst().allSatisfy { i in
      let (a, b) = (references[i - 1], references[i])
      return a.time <= b.time && a.origin.source == b.origin.source && a.origin.offset < b.origin.offset
    }
    if isOrdered, references.count <= Limits.evidencePerDecision { return references }
    var result: [EvidenceReference] = []
    for reference in references where !result.contains(where: { $0.origin == reference.origin }) {
      var at = result.count
      while at > 0, result[at - 1].time > reference.time { at -= 1 }
      result.insert(reference, at: at)
    }
    let most = Limits.evidencePerDecision
    if result.count > most { result.removeSubrange(most / 2..<result.count - most / 2) }
    return result
  }
}
