// A dictionary with a hard limit: beyond it, the entry that was touched longest ago is evicted and counted.
// Which entry goes depends only on the order of the calls, never on hash values, so results are the same in every process.
// What must stay true: entries lie in one block of memory, chained from buckets that a secret of the table chooses, so nobody outside can
// aim keys at one chain; an entry keeps its place until it is removed.

/// What a table can file entries under.
public protocol TableKey: Hashable, Sendable {
  /// Equal keys have equal words; others the same ones only by chance that nobody can bring about.
  var tableWords: (UInt64, UInt64) { get }
}
extension TableKey {
  /// The standard library's hash, which has a secret of the process.
  @inline(__always)
  public var tableWords: (UInt64, UInt64) { (UInt64(bitPattern: Int64(hashValue)), 0) }
}
extension Fingerprint: TableKey {
  @inline(__always)
  public var tableWords: (UInt64, UInt64) { (high, low) }
}
extension IPAddress: TableKey {
  @inline(__always)
  public var tableWords: (UInt64, UInt64) { (high, isV4 ? low | 0xffff << 32 : low) }
}
extension CIDR: TableKey {}
extension Int: TableKey {}
extension UInt32: TableKey {}
extension UInt64: TableKey {}
extension String: TableKey {}

/// Least-recently-used table. All operations are O(1). Not a value to copy: it can be large.
public struct BoundedTable<Key: TableKey, Value>: ~Copyable {
  private struct Slot {
    var key: Key
    var value: Value
    var older: Int32
    var newer: Int32
    /// The next one of its bucket, or, of a slot that holds nothing, the next such.
    var chained: Int32
  }
  private var slots: [Slot] = []
  private var free: Int32 = -1
  /// As many as a power of two, and no fewer than slots.
  private var buckets: [Int32] = [-1]
  private let secret: (UInt64, UInt64) = (.random(in: .min ... .max), .random(in: .min ... .max))
  private var oldest: Int32 = -1
  private var newest: Int32 = -1

  public let capacity: Int
  /// Entries pushed out because the table was full.
  public private(set) var evictions: UInt64 = 0
  public private(set) var count = 0

  public init(capacity: Int) {
    precondition(capacity > 0 && capacity < Int(Int32.max))
    self.capacity = capacity
  }

  /// Makes room for so many entries at once.
  public mutating func reserve(_ count: Int) {
    let wanted = min(count, capacity)
    slots.reserveCapacity(wanted)
    guard wanted > buckets.count else { return }
    var size = buckets.count
    while size < wanted { size *= 2 }
    buckets = [Int32](repeating: -1, count: size)
    for at in slots.indices where slots[at].older != BoundedTable.removed { file(Int32(at)) }
  }

  // MARK: Places

  @inline(__always)
  private func bucket(of key: Key) -> Int {
    let words = key.tableWords
    let product = (words.0 ^ secret.0).multipliedFullWidth(by: words.1 ^ secret.1)
    return Int(truncatingIfNeeded: ((product.high ^ product.low ^ words.0) &* 0xbf58_476d_1ce4_e5b9) >> 32) & (buckets.count &- 1)
  }
  @inline(__always)
  private func find(_ key: Key) -> Int32 {
    var at = buckets[bucket(of: key)]
    while at >= 0, slots[Int(at)].key != key { at = slots[Int(at)].chained }
    return at
  }
  /// Puts the slot at the head of its bucket's chain.
  private mutating func file(_ slot: Int32) {
    let bucket = bucket(of: slots[Int(slot)].key)
    slots[Int(slot)].chained = buckets[bucket]
    buckets[bucket] = slot
  }
  private mutating func unfile(_ slot: Int32) {
    let bucket = bucket(of: slots[Int(slot)].key)
    if buckets[bucket] == slot {
      buckets[bucket] = slots[Int(slot)].chained
      return
    }
    var at = buckets[bucket]
    while slots[Int(at)].chained != slot { at = slots[Int(at)].chained }
    slots[Int(at)].chained = slots[Int(slot)].chained
  }

  // MARK: Entries

  public func contains(_ key: Key) -> Bool { find(key) >= 0 }

  /// The value without touching it.
  public func peek(_ key: Key) -> Value? {
    let slot = find(key)
    return slot >= 0 ? slots[Int(slot)].value : nil
  }

  /// Runs `body` on the value of `key`, which becomes the most recently used; makes it with `make` where there is none.
  /// `onEvict` sees the entry that had to go to make room.
  public mutating func update<Result>(
    _ key: Key, make: () -> Value, onEvict: (Key, inout Value) -> Void = { _, _ in }, _ body: (inout Value) -> Result
  ) -> Result {
    let known = find(key)
    if known >= 0 {
      touch(known)
      return body(&slots[Int(known)].value)
    }
    if count >= capacity, oldest >= 0 {
      let victim = oldest
      onEvict(slots[Int(victim)].key, &slots[Int(victim)].value)
      evictions += 1
      remove(slot: victim)
    }
    let slot = insert(key, make())
    return body(&slots[Int(slot)].value)
  }
  private mutating func insert(_ key: Key, _ value: Value) -> Int32 {
    let entry = Slot(key: key, value: value, older: newest, newer: -1, chained: -1)
    let slot: Int32
    if free >= 0 {
      slot = free
      free = slots[Int(slot)].chained
      slots[Int(slot)] = entry
    } else {
      if slots.count == buckets.count { reserve(slots.count * 2) }
      slot = Int32(slots.count)
      slots.append(entry)
    }
    file(slot)
    if newest >= 0 { slots[Int(newest)].newer = slot } else { oldest = slot }
    newest = slot
    count += 1
    return slot
  }

  /// Runs `body` on an existing value, which becomes the most recently used; nil if there is none.
  public mutating func updateExisting<Result>(_ key: Key, _ body: (inout Value) -> Result) -> Result? {
    let slot = find(key)
    guard slot >= 0 else { return nil }
    touch(slot)
    return body(&slots[Int(slot)].value)
  }

  /// Where an entry lies, for `updateExisting(_:at:_:)`: for keys that are asked for again and again.
  public func place(of key: Key) -> Int32? {
    let slot = find(key)
    return slot >= 0 ? slot : nil
  }
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
    place >= 0 && Int(place) < slots.count && slots[Int(place)].older != BoundedTable.removed && slots[Int(place)].key == key
  }
  /// In `older` of a slot that holds nothing.
  private static var removed: Int32 { -2 }

  /// Runs `body` on an existing value, without touching its age; nil if there is none.
  public mutating func modify<Result>(_ key: Key, _ body: (inout Value) -> Result) -> Result? {
    let slot = find(key)
    return slot >= 0 ? body(&slots[Int(slot)].value) : nil
  }

  public mutating func removeValue(for key: Key) -> Value? {
    let slot = find(key)
    guard slot >= 0 else { return nil }
    let value = slots[Int(slot)].value
    remove(slot: slot)
    return value
  }

  /// Forgets everything, and keeps the memory.
  public mutating func removeAll() {
    slots.removeAll(keepingCapacity: true)
    for bucket in buckets.indices { buckets[bucket] = -1 }
    count = 0
    (free, oldest, newest) = (-1, -1, -1)
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
    unfile(slot)
    slots[Int(slot)].older = BoundedTable.removed
    slots[Int(slot)].chained = free
    free = slot
    count -= 1
  }
}
