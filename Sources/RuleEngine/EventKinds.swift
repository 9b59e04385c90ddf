// Which rules can match an event of this kind? A kind is the combination of the few fields with few values (action, category,
// outcome, dataset, provider) and of what a few conditions say that many rules share (the status is 400 or more). The answer is
// worked out once for each kind that occurs and then looked up.
// What must stay true: a kind's answer depends only on what its rules' conditions on these fields can see, so two events of one
// kind get the same answer; values nobody asks for are one value; both tables are bounded, and beyond them everything is checked,
// and counted.
import Events
import Glibc
import Primitives

/// The values of one guard field that rules ask for.
struct GuardValues {
  /// No value, and a value that no rule asks for.
  static let absent: UInt8 = 0
  static let other: UInt8 = 1
  static let unindexed: UInt8 = 255

  let field: Field
  private var asked: [[UInt8]] = []  // lower-case
  private var filter: [UInt64] = Array(repeating: 0, count: 64)  // 4096 bits over hashes without case
  private var spellings: [[UInt8]] = []
  private var table: [UInt8] = Array(repeating: 0, count: 512)  // 1 + index into spellings
  /// Numbers of literals by address: parsers set these fields to few of them.
  private var literals: [(text: Bytes, number: UInt8)] = Array(repeating: (.none, 0), count: 32)

  init(field: Field) { self.field = field }

  var isAsked: Bool { !asked.isEmpty }

  mutating func ask(_ value: Bytes) {
    let folded = value.map(asciiLower)
    guard !asked.contains(folded) else { return }
    asked.append(folded)
    let hash = GuardValues.hash(value)
    filter[hash >> 6 & 63] |= 1 << UInt64(hash & 63)
  }

  /// The number of a value; the same for equal bytes, and `other` for all that no comparison can tell apart.
  @inline(__always)
  mutating func number(_ value: Bytes) -> UInt8 {
    let hash = GuardValues.hash(value)
    guard filter[hash >> 6 & 63] >> UInt64(hash & 63) & 1 == 1 else { return GuardValues.other }
    var at = hash & 511
    while table[at] != 0 {
      let index = Int(table[at]) - 1
      let isSame = spellings[index].withUnsafeBytes { $0.equals(value) }
      if isSame { return UInt8(index + 2) }
      at = (at + 1) & 511
    }
    return learn(value, at: at)
  }
  /// The same for a literal, whose address says what it is.
  @inline(__always)
  mutating func number(literal: Bytes) -> UInt8 {
    guard literal.count > 0 else { return number(literal) }
    let address = UInt(bitPattern: literal.baseAddress)
    let at = Int((address ^ address >> 5) & 31)
    let known = literals[at]
    if known.text.baseAddress == literal.baseAddress, known.text.count == literal.count { return known.number }
    let number = number(literal)
    literals[at] = (literal, number)
    return number
  }
  private mutating func learn(_ value: Bytes, at free: Int) -> UInt8 {
    let folded = value.map(asciiLower)
    guard asked.contains(folded) else { return GuardValues.other }
    guard spellings.count < 250 else { return GuardValues.unindexed }
    spellings.append(Array(value))
    table[free] = UInt8(spellings.count)
    return UInt8(spellings.count + 1)
  }

  /// Over the bytes with bit 5 set, which makes letters of both cases alike.
  @inline(__always)
  static func hash(_ value: Bytes) -> Int {
    let fold: UInt64 = 0x2020_2020_2020_2020
    var h = UInt64(truncatingIfNeeded: value.count) &* 0x9e37_79b9_7f4a_7c15
    guard let base = value.baseAddress else { return Int(h >> 40 & 4095) }
    var rest = value.count
    var at = base
    while rest >= 8 {
      h = (h ^ (at.loadUnaligned(as: UInt64.self) | fold)) &* 0xbf58_476d_1ce4_e5b9
      h ^= h >> 29
      at += 8
      rest -= 8
    }
    if rest >= 4 {
      let word = UInt64(at.loadUnaligned(as: UInt32.self)) | UInt64((at + (rest - 4)).loadUnaligned(as: UInt32.self)) << 32
      h = (h ^ (word | fold)) &* 0xbf58_476d_1ce4_e5b9
    } else if rest > 0 {
      let word =
        UInt64(at.load(as: UInt8.self)) | UInt64((at + rest / 2).load(as: UInt8.self)) << 8 | UInt64((at + (rest - 1)).load(as: UInt8.self)) << 16
      h = (h ^ (word | 0x20_2020)) &* 0xbf58_476d_1ce4_e5b9
    }
    h ^= h >> 32
    h = h &* 0x94d0_49bb_1331_11eb
    return Int(h >> 40 & 4095)
  }
}

/// The conditions of one field that are bits of an event's kind: numeric comparisons, and exact ones where values are few.
/// Plain data; the table owns the memory.
struct KindBits {
  /// Conditions that are one bit each, in all. With them, the numbers of five guard fields fill 56 of the 64 bits of a kind, and
  /// combinations stay few.
  static let maximum = 16
  static let tabledValues: Int64 = 1024

  var field: Field
  /// The bits of this field's conditions.
  var first: Int
  var count: Int
  /// What they are for the integers from 0, which most values are.
  var table: UnsafeMutablePointer<UInt16>
}

/// The rules of one kind of event. Plain data; the table owns the memory.
struct EventKind {
  /// Bits of rules that are evaluated in any case, and of those that a hit of the prefilter wakes.
  var direct: UnsafeMutablePointer<UInt64>
  var woken: UnsafeMutablePointer<UInt64>
  /// Sets of fields that events of the kind had lately, each where its bits say, and the direct rules that ask for no other field.
  var seen: UnsafeMutablePointer<FieldSet>
  var fitting: UnsafeMutablePointer<UInt64>
  static let ways = 8
  /// Fields to scan, with the fields that each rule which wants that scan needs.
  var scans: UnsafeMutablePointer<KindScan>
  var scanCount: Int

  func deallocate() {
    direct.deallocate()
    woken.deallocate()
    seen.deallocate()
    fitting.deallocate()
    scans.deallocate()
  }
}

struct KindScan {
  var slot: Int32
  var presence: FieldSet
}

struct KindTable {
  static let maximum = 1024
  private var keys: UnsafeMutablePointer<UInt64>
  private var values: UnsafeMutablePointer<Int32>
  private var kinds: UnsafeMutablePointer<EventKind>
  private(set) var count = 0
  private static let slots = maximum * 4

  init() {
    keys = .allocate(capacity: KindTable.slots)
    keys.initialize(repeating: 0, count: KindTable.slots)
    values = .allocate(capacity: KindTable.slots)
    values.initialize(repeating: -1, count: KindTable.slots)
    kinds = .allocate(capacity: KindTable.maximum)
  }
  func deallocate() {
    for i in 0..<count { kinds[i].deallocate() }
    keys.deallocate()
    values.deallocate()
    kinds.deallocate()
  }

  @inline(__always)
  private func place(_ key: UInt64) -> Int {
    var at = Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) >> 40) & (KindTable.slots - 1)
    while values[at] >= 0, keys[at] != key { at = (at + 1) & (KindTable.slots - 1) }
    return at
  }
  @inline(__always)
  func find(_ key: UInt64) -> EventKind? {
    let index = values[place(key)]
    return index >= 0 ? kinds[Int(index)] : nil
  }
  /// False if the table is full.
  mutating func insert(_ key: UInt64, _ kind: EventKind) -> Bool {
    guard count < KindTable.maximum else { return false }
    let at = place(key)
    keys[at] = key
    values[at] = Int32(count)
    (kinds + count).initialize(to: kind)
    count += 1
    return true
  }
}
