// The entries of one group's window: a queue of (time, value) in time order, as small as the rule allows.
// The newest `exact` entries stay as they came; older ones are merged where they fall into the same part of the window, with the newest
// time of the merged ones. So a decision "at least n" with n <= exact is exact, and what is observed beyond n can contain entries that
// left the window up to window/16 ago. Where n itself is larger than what is kept singly, the parts are window/64 each, and that is
// the error of the decision. A plain value without owner: whoever holds it calls `free`.
// A group's now never goes back within `WindowShape.tolerance`: sources are read in turn, so an event may lie behind the newest entry
// and then counts as if it came with it. Only entries that are newer than an event by more than that are dropped: the clock went back.
import Primitives

struct WindowCell {
  var time: Int64
  /// Weight (count, sum), value (max), fingerprint of the value (distinct_count).
  var value: Int64
  /// Events and lines that this entry stands for; they saturate.
  var events: UInt32
  var lines: UInt32
}

/// How a rule's windows are kept.
struct WindowShape {
  enum Merge: UInt8 { case sum, max, distinct }
  var merge: Merge
  /// Nanoseconds, positive.
  var window: Int64
  /// Newest entries that are never merged; for distinct the number of values that are kept at all.
  var exact: Int
  /// Twice what decides, so that a doubling can be seen; beyond that, more values are not told apart.
  static func distinctValues(needed: Int) -> Int { min(Limits.entriesPerGroup, max(16, needed * 2)) }
  /// Into how many parts entries beyond the exact ones are merged.
  var parts: Int64
  var granule: Int64 { window / parts + 1 }
  /// How far an event may lie behind the newest entry and still count as now: a window's length, and what a source may be late anyway.
  var tolerance: Int64 { max(window, Limits.lateness.count) }
  /// Two parts more than there are can touch one window; the rest is slack, so that merging is rare.
  var maximumCapacity: Int { merge == .distinct ? exact + 16 : exact + Int(parts) + 2 + max(16, exact / 4) }
}

struct WindowCells {
  private var base: UnsafeMutablePointer<WindowCell>?
  private var head: UInt16 = 0
  private var used: UInt16 = 0
  private var capacity: UInt16 = 0
  /// Sum of the values (count, sum); saturates.
  private(set) var total: Int64 = 0

  var count: Int { Int(used) }
  /// Of the block and of what malloc adds to it.
  var bytes: Int { base == nil ? 0 : WindowCells.bytes(Int(capacity)) }
  private static func bytes(_ capacity: Int) -> Int { max(32, (capacity * MemoryLayout<WindowCell>.stride + 8 + 15) & ~15) }

  @inline(__always) private var first: UnsafeMutablePointer<WindowCell>? { base.map { $0 + Int(head) } }
  subscript(_ i: Int) -> WindowCell { base![Int(head) + i] }  // i < count, so there is a block
  var oldestTime: Int64? { used == 0 ? nil : self[0].time }
  var newestTime: Int64? { used == 0 ? nil : self[count - 1].time }
  /// The largest value of a max queue.
  var maximum: Int64? { used == 0 ? nil : self[0].value }

  /// With a block of its own, no larger than needed.
  func copy() -> WindowCells {
    guard let first, used > 0 else { return WindowCells() }
    var copy = self
    copy.head = 0
    copy.capacity = used
    copy.base = .allocate(capacity: count)
    copy.base?.initialize(from: first, count: count)
    return copy
  }
  mutating func free() {
    base?.deallocate()
    self = WindowCells()
  }

  /// Drops what is after `latest`: the clock went back.
  mutating func dropNewer(than latest: Int64) {
    while used > 0, self[count - 1].time > latest {
      total = subtract(total, self[count - 1].value)
      used -= 1
    }
    if used == 0 { reset() }
  }
  /// Drops what is at or before `cutoff`.
  @inline(__always)
  mutating func expire(cutoff: Int64) {
    if used > 0, self[0].time <= cutoff { dropExpired(cutoff) }
  }
  private mutating func dropExpired(_ cutoff: Int64) {
    while used > 0, self[0].time <= cutoff {
      total = subtract(total, self[0].value)
      head += 1
      used -= 1
    }
    if used == 0 { reset() }
  }
  private mutating func reset() {
    head = 0
    total = 0
    if capacity > 8 { free() }
  }

  /// `cell.time` is at least the newest time. Call `expire` first.
  mutating func add(_ cell: WindowCell, _ shape: WindowShape) {
    var cell = cell
    switch shape.merge {
    case .sum:
      total = saturatingAdd(total, cell.value)
    case .max:
      while used > 0, self[count - 1].value <= cell.value {  // it can never be the largest again
        absorb(&cell, self[count - 1])
        used -= 1
      }
      if used == 0 { head = 0 }
    case .distinct:
      if let at = lastIndex(of: cell.value) {
        absorb(&cell, self[at])
        let start = first!  // there is an entry
        (start + at).update(from: start + at + 1, count: count - at - 1)
        used -= 1
      } else if count >= shape.exact {
        head += 1
        used -= 1
      }
    }
    if Int(head) + count == Int(capacity) { makeRoom(shape) }
    base![Int(head) + count] = cell  // makeRoom allocated it
    used += 1
  }

  private func absorb(_ cell: inout WindowCell, _ other: WindowCell) {
    cell.events = saturating(cell.events, other.events)
    cell.lines = saturating(cell.lines, other.lines)
  }
  private func lastIndex(of value: Int64) -> Int? {
    var i = count - 1
    while i >= 0 {
      if self[i].value == value { return i }
      i -= 1
    }
    return nil
  }

  private mutating func makeRoom(_ shape: WindowShape) {
    if head > 0, Int(head) * 4 >= Int(capacity) || Int(capacity) >= shape.maximumCapacity && shape.merge == .distinct {
      return moveDown()
    }
    guard Int(capacity) >= shape.maximumCapacity else {
      let wanted = min(shape.maximumCapacity, max(1, Int(capacity) * 2))
      let block = UnsafeMutablePointer<WindowCell>.allocate(capacity: wanted)
      if let first {
        block.initialize(from: first, count: count)
        base?.deallocate()
      }
      base = block
      head = 0
      capacity = UInt16(wanted)
      return
    }
    moveDown()
    if count == Int(capacity) { mergeOlder(shape) }
  }
  private mutating func moveDown() {
    if let base, let first, head > 0 { base.update(from: first, count: count) }
    head = 0
  }
  private mutating func mergeOlder(_ shape: WindowShape) {
    guard let base, count > shape.exact else { return }
    let older = count - shape.exact
    var to = 0
    for from in 1..<older {
      let cell = base[from]
      let isSame = floorDivide(base[to].time, shape.granule) == floorDivide(cell.time, shape.granule)
      if isSame {
        base[to].time = cell.time
        base[to].value = shape.merge == .sum ? saturatingAdd(base[to].value, cell.value) : max(base[to].value, cell.value)
        base[to].events = saturating(base[to].events, cell.events)
        base[to].lines = saturating(base[to].lines, cell.lines)
      } else {
        to += 1
        base[to] = cell
      }
    }
    let kept = to + 1
    (base + kept).update(from: base + older, count: shape.exact)
    used = UInt16(kept + shape.exact)
  }

  private func floorDivide(_ a: Int64, _ b: Int64) -> Int64 { a >= 0 ? a / b : -((-(a + 1)) / b) - 1 }
  private func saturating(_ a: UInt32, _ b: UInt32) -> UInt32 {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : sum
  }
  private func subtract(_ a: Int64, _ b: Int64) -> Int64 { a.subtractingReportingOverflow(b).overflow ? 0 : a - b }

  /// Events and lines of all entries.
  var totals: (events: UInt64, lines: UInt64) {
    var sums: (UInt64, UInt64) = (0, 0)
    for i in 0..<count {
      sums.0 += UInt64(self[i].events)
      sums.1 += UInt64(self[i].lines)
    }
    return sums
  }
}

@inline(__always)
func saturatingAdd(_ a: Int64, _ b: Int64) -> Int64 {
  let (sum, overflow) = a.addingReportingOverflow(b)
  return overflow ? (b > 0 ? .max : .min) : sum
}
@inline(__always)
func saturatingSubtract(_ a: Int64, _ b: Int64) -> Int64 {
  let (difference, overflow) = a.subtractingReportingOverflow(b)
  return overflow ? (b > 0 ? .min : .max) : difference
}
