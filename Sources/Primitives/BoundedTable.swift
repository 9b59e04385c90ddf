// A dictionary with a hard limit: beyond it, the entry that was touched longest ago is evicted and counted.
// Which entry goes depends only on the order of the calls, never on hash values, so results are the same in every process.

/// Least-recently-used table. All operations are O(1). Not a value to copy: it can be large.
public struct BoundedTable<Key: Hashable & Sendable, Value>: ~Copyable {
  private struct Slot {
    var key: Key
    var value: Value
    var older: Int32
    var newer: Int32
  }
  private var index: [Key: Int32] = [:]
  private var slots: [Slot] = []
  private var free: [Int32] = []
  private var oldest: Int32 = -1
  private var newest: Int32 = -1

  public let capacity: Int
  /// Entries pushed out because the table was full.
  public private(set) var evictions: UInt64 = 0
  public var count: Int { index.count }

  public init(capacity: Int) {
    precondition(capacity > 0 && capacity < Int(Int32.max))
    self.capacity = capacity
  }

  /// Makes room for so many entries at once.
  public mutating func reserve(_ count: Int) {
    index.reserveCapacity(min(count, capacity))
    slots.reserveCapacity(min(count, capacity))
  }
  public func contains(_ key: Key) -> Bool { index[key] != nil }

  /// The value without touching it.
  public func peek(_ key: Key) -> Value? {
    guard let slot = index[key] else { return nil }
    return slots[Int(slot)].value
  }

  /// Runs `body` on the value of `key`, which becomes the most recently used; makes it with `make` where there is none.
  /// `onEvict` sees the entry that had to go to make room.
  public mutating func update<Result>(
    _ key: Key, make: () -> Value, onEvict: (Key, inout Value) -> Void = { _, _ in }, _ body: (inout Value) -> Result
  ) -> Result {
    if let slot = index[key] {
      touch(slot)
      return body(&slots[Int(slot)].value)
    }
    if index.count >= capacity, oldest >= 0 {
      let victim = oldest
      onEvict(slots[Int(victim)].key, &slots[Int(victim)].value)
      evictions += 1
      remove(slot: victim)
    }
    let slot: Int32
    if let reused = free.popLast() {
      slot = reused
      slots[Int(slot)] = Slot(key: key, value: make(), older: newest, newer: -1)
    } else {
      slot = Int32(slots.count)
      slots.append(Slot(key: key, value: make(), older: newest, newer: -1))
    }
    if newest >= 0 { slots[Int(newest)].newer = slot } else { oldest = slot }
    newest = slot
    index[key] = slot
    return body(&slots[Int(slot)].value)
  }

  /// Runs `body` on an existing value, which becomes the most recently used; nil if there is none.
  public mutating func updateExisting<Result>(_ key: Key, _ body: (inout Value) -> Result) -> Result? {
    guard let slot = index[key] else { return nil }
    touch(slot)
    return body(&slots[Int(slot)].value)
  }

  /// Where an entry lies, for `updateExisting(_:at:_:)`: for keys that are asked for again and again.
  public func place(of key: Key) -> Int32? { index[key] }
  /// Runs `body` on the value of `key` if it still lies at `place`; it becomes the most recently used. nil: it does not.
  @inline(__always)
  public mutating func updateExisting<Result>(_ key: Key, at place: Int32, _ body: (inout Value) -> Result) -> Result? {
    guard holds(key, at: place) else { return nil }
    touch(place)
    return body(&slots[Int(place)].value)
  }
  /// The same without touching its age.
  @inline(__always)
  public mutating func modify<Result>(_ key: Key, at place: Int32, _ body: (inout Value) -> Result) -> Result? {
    guard holds(key, at: place) else { return nil }
    return body(&slots[Int(place)].value)
  }
  /// Whether the value of `key` still lies at `place`.
  @inline(__always)
  public func holds(_ key: Key, at place: Int32) -> Bool {
    slots.indices.contains(Int(place)) && slots[Int(place)].older != BoundedTable.removed && slots[Int(place)].key == key
  }
  /// In `older` of a slot that holds nothing.
  private static var removed: Int32 { -2 }

  /// Runs `body` on an existing value, without touching its age; nil if there is none.
  public mutating func modify<Result>(_ key: Key, _ body: (inout Value) -> Result) -> Result? {
    guard let slot = index[key] else { return nil }
    return body(&slots[Int(slot)].value)
  }

  public mutating func removeValue(for key: Key) -> Value? {
    guard let slot = index[key] else { return nil }
    let value = slots[Int(slot)].value
    remove(slot: slot)
    return value
  }

  /// Forgets everything, and keeps the memory.
  public mutating func removeAll() {
    index.removeAll(keepingCapacity: true)
    slots.removeAll(keepingCapacity: true)
    free.removeAll(keepingCapacity: true)
    (oldest, newest) = (-1, -1)
  }

  /// The entry that was touched longest ago.
  public var oldestEntry: (key: Key, value: Value)? {
    guard oldest >= 0 else { return nil }
    return (slots[Int(oldest)].key, slots[Int(oldest)].value)
  }

  /// Entries from the longest-silent to the newest: an order that is the same in every process.
  public func forEachOldestFirst(_ body: (Key, Value) -> Void) {
    var at = oldest
    while at >= 0 {
      body(slots[Int(at)].key, slots[Int(at)].value)
      at = slots[Int(at)].newer
    }
  }

  /// The same, on values that may be changed. Nothing is touched.
  public mutating func modifyOldestFirst(_ body: (Key, inout Value) -> Void) {
    var at = oldest
    while at >= 0 {
      body(slots[Int(at)].key, &slots[Int(at)].value)
      at = slots[Int(at)].newer
    }
  }

  private mutating func touch(_ slot: Int32) {
    guard slot != newest else { return }
    unlink(slot)
    slots[Int(slot)].older = newest
    slots[Int(slot)].newer = -1
    if newest >= 0 { slots[Int(newest)].newer = slot } else { oldest = slot }
    newest = slot
  }
  private mutating func unlink(_ slot: Int32) {
    let older = slots[Int(slot)].older
    let newer = slots[Int(slot)].newer
    if older >= 0 { slots[Int(older)].newer = newer } else { oldest = newer }
    if newer >= 0 { slots[Int(newer)].older = older } else { newest = older }
  }
  private mutating func remove(slot: Int32) {
    unlink(slot)
    index[slots[Int(slot)].key] = nil
    slots[Int(slot)].older = BoundedTable.removed
    free.append(slot)
  }
}
