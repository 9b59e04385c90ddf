// One thing that happened: a flat record of typed fields with where it came from and how far it can be trusted.
// An Event is a reusable buffer, not a heap object for each line: `begin` copies the raw line into the event's own memory, and
// text fields point into that memory, so nothing is allocated in the steady state and no field outlives its line.
// Texts of agents (prompts, documents) may be larger than any log line: an event that was told so takes more memory for them, and gives
// it back when it is reset.
// Invariant: the memory never moves while the event lives, so `Bytes` of it stay valid until the next `begin` or `reset`.
import Glibc
import Primitives

/// Who vouches for the writer of an event.
public enum Trust: UInt8, Sendable, Comparable, CaseIterable {
  /// Any local user could have forged the line (a text file, syslog: anybody may call logger).
  case claimed = 0
  /// The kernel or journald vouches for the writing process.
  case attested = 1
  public static func < (a: Trust, b: Trust) -> Bool { a.rawValue < b.rawValue }
  public var name: StaticString { self == .claimed ? "claimed" : "attested" }
}

/// How an event's time was obtained.
public enum TimeBasis: UInt8, Sendable {
  /// The stamp was complete: date, year and zone (or a format that is defined as UTC).
  case stamped
  /// RFC 3164: the year (and the zone) were inferred from the input's modification time.
  case yearInferred
  /// No stamp: the time of the line before it, or of the input.
  case inherited
  public var name: StaticString {
    switch self {
    case .stamped: "stamped"
    case .yearInferred: "year-inferred"
    case .inherited: "inherited"
    }
  }
}

/// Where the raw bytes lie. Total order of events: (time, source, offset).
public struct EventOrigin: Hashable, Sendable {
  /// Index into the run's source table.
  public var source: UInt32
  /// Byte offset of the line in its source, or the entry's ordinal where there are no bytes.
  public var offset: UInt64
  /// Bytes of the line without its newline.
  public var length: UInt32
  public init(source: UInt32, offset: UInt64, length: UInt32) {
    self.source = source
    self.offset = offset
    self.length = length
  }
}

/// A pointer to one raw line, enough to fetch it again and to see that it is the same.
public struct EvidenceReference: Hashable, Sendable {
  public var origin: EventOrigin
  public var time: EventTime
  /// Fingerprint of the raw bytes.
  public var fingerprint: Fingerprint
  public init(origin: EventOrigin, time: EventTime, fingerprint: Fingerprint) {
    self.origin = origin
    self.time = time
    self.fingerprint = fingerprint
  }
}

public struct Event: ~Copyable {
  public var time: EventTime = .zero
  public var timeBasis: TimeBasis = .stamped
  public var trust: Trust = .claimed
  public var origin = EventOrigin(source: 0, offset: 0, length: 0)
  /// syslog's "message repeated N times": this event stands for N. At least 1.
  public var repeatCount: Int64 = 1
  /// Lines of the same session that are part of what this event says (an attempt's other lines), oldest first.
  public private(set) var evidence: [EvidenceReference] = []
  /// A value did not fit into `Limits.derivedBytes`, or there were more than `Limits.extraFields`.
  public private(set) var isTruncated = false
  mutating func markTruncated() { isTruncated = true }

  @usableFromInline var present = FieldSet()
  private var extras: [(name: Bytes, value: Bytes)] = []
  /// A bit for each name that became an extra field, by its hash: without it a name is none. Once there are `markedExtras` of them: an event
  /// with a million small fields asks for each.
  private var extraMarks: [UInt64] = []
  private static let markedExtras = 32
  private static let markBits: UInt64 = 65_536
  private static let markSeed = UInt64.random(in: 0 ... .max)
  @usableFromInline let slots: UnsafeMutablePointer<Slot>
  @usableFromInline let memory: UnsafeMutableRawPointer
  /// The raw line's fingerprint, once somebody wanted it: several do. In memory of its own, as who asks may only read.
  private let lineMark: UnsafeMutablePointer<Fingerprint?>
  private var used = 0
  @usableFromInline var rawCount = 0
  @usableFromInline static var capacity: Int { Limits.lineBytes + Limits.derivedBytes }
  /// Memory for what did not fit, in few blocks, and how much of it there may be.
  @usableFromInline var overflow: [UnsafeMutableRawBufferPointer] = []
  private var overflowUsed = 0
  /// Bytes at the end of the last block that nothing lies in yet.
  private var overflowFree = 0
  private var overflowLimit = 0
  var overflowBlocks: Int { overflow.count }

  @usableFromInline @frozen
  struct Slot {
    @usableFromInline var kind: Field.Kind
    @usableFromInline var a: UInt64
    @usableFromInline var b: UInt64
    @inlinable
    init(kind: Field.Kind, a: UInt64, b: UInt64) {
      self.kind = kind
      self.a = a
      self.b = b
    }
  }

  public init() {
    precondition(Field.allCases.count <= FieldSet.capacity)
    slots = .allocate(capacity: Field.allCases.count)
    slots.initialize(repeating: Slot(kind: .integer, a: 0, b: 0), count: Field.allCases.count)
    memory = .allocate(byteCount: Event.capacity, alignment: 16)
    lineMark = .allocate(capacity: 1)
    lineMark.initialize(to: nil)
  }
  deinit {
    lineMark.deallocate()
    slots.deallocate()
    memory.deallocate()
    for block in overflow { block.deallocate() }
  }

  // MARK: Life of one line

  /// Forgets everything and takes `raw` (cut at `Limits.lineBytes`) as the new raw line. Returns the event's own copy.
  @discardableResult
  public mutating func begin(raw: Bytes, origin: EventOrigin) -> Bytes {
    reset()
    self.origin = origin
    rawCount = min(raw.count, Limits.lineBytes)
    if rawCount > 0 { memcpy(memory, raw.baseAddress!, rawCount) }
    used = rawCount
    return self.raw
  }
  /// Forgets everything.
  public mutating func reset() {
    present = FieldSet()
    lineMark.pointee = nil
    if !extras.isEmpty { extras.removeAll(keepingCapacity: true) }
    if !extraMarks.isEmpty { extraMarks = [] }
    if !evidence.isEmpty { evidence.removeAll(keepingCapacity: true) }
    if !overflow.isEmpty { freeOverflow() }
    overflowLimit = 0
    used = 0
    rawCount = 0
    repeatCount = 1
    isTruncated = false
    trust = .claimed
    timeBasis = .stamped
  }

  private mutating func freeOverflow() {
    for block in overflow { block.deallocate() }
    overflow = []
    overflowUsed = 0
    overflowFree = 0
  }
  /// Until the next `begin` or `reset`, texts of together up to `Limits.agentEventBytes` are held uncut, and more fields outside the
  /// table: an agent's event, not a log line.
  public mutating func allowLargeTexts() { overflowLimit = Limits.agentEventBytes }

  /// The raw line as it was read.
  @inlinable public var raw: Bytes { Bytes(start: memory, count: rawCount) }
  /// A reference to this event's own line.
  public var reference: EvidenceReference { EvidenceReference(origin: origin, time: time, fingerprint: lineFingerprint) }
  private var lineFingerprint: Fingerprint {
    if let known = lineMark.pointee { return known }
    let mark = Fingerprint(of: raw)
    lineMark.pointee = mark
    return mark
  }
  public mutating func addEvidence(_ reference: EvidenceReference) {
    if evidence.count < Limits.evidencePerDecision { evidence.append(reference) }
  }

  // MARK: Reading

  @inlinable @inline(__always)
  public func has(_ field: Field) -> Bool { present.contains(field) }
  /// All fields that the event has.
  @inline(__always)
  public var presence: FieldSet { present }
  /// A text field's bytes; nil if it is absent or not text. Valid until the next `begin` or `reset`.
  @inlinable @inline(__always)
  public func text(_ field: Field) -> Bytes? {
    guard has(field) else { return nil }
    let slot = slots[Int(field.rawValue)]
    guard slot.kind == .text else { return nil }
    return Bytes(start: UnsafeRawPointer(bitPattern: UInt(slot.a)), count: Int(slot.b))
  }
  /// Whether a present text field was set to a literal: its address then stands for its bytes, in every event.
  @inlinable @inline(__always)
  public func isLiteral(_ text: Bytes) -> Bool {
    let distance = UInt(bitPattern: text.baseAddress) &- UInt(bitPattern: memory)
    return distance >= UInt(Event.capacity) && overflow.isEmpty
  }
  @inlinable @inline(__always)
  public func integer(_ field: Field) -> Int64? {
    guard has(field) else { return nil }
    let slot = slots[Int(field.rawValue)]
    guard slot.kind == .integer else { return nil }
    return Int64(bitPattern: slot.a)
  }
  @inlinable @inline(__always)
  public func address(_ field: Field) -> IPAddress? {
    guard has(field) else { return nil }
    let slot = slots[Int(field.rawValue)]
    guard slot.kind == .address else { return nil }
    return slot.a == 0 && slot.b >> 32 == 0xffff
      ? IPAddress(v4: UInt32(truncatingIfNeeded: slot.b)) : IPAddress(v6High: slot.a, low: slot.b)
  }
  /// The value as text, whatever its type: appended to `out`. False if the field is absent.
  public func appendText(of field: Field, to out: inout [UInt8]) -> Bool {
    guard has(field) else { return false }
    switch slots[Int(field.rawValue)].kind {
    case .text: out.append(text(field)!)
    case .integer: out.append(decimal: integer(field)!)
    case .address: address(field)!.append(to: &out)
    }
    return true
  }
  /// A field outside the table, by its exact name.
  public func extra(_ name: Bytes) -> Bytes? {
    guard mayBeExtra(name) else { return nil }
    for entry in extras where entry.name.equals(name) { return entry.value }
    return nil
  }
  private func mayBeExtra(_ name: Bytes) -> Bool {
    if extraMarks.isEmpty { return true }
    let bit = Event.markBit(name)
    return extraMarks[Int(bit >> 6)] & 1 << (bit & 63) != 0
  }
  private static func markBit(_ name: Bytes) -> UInt64 {
    var hash = markSeed
    for byte in name { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return (hash ^ hash >> 32) % markBits
  }
  private mutating func markExtra(_ name: Bytes) {
    if extraMarks.isEmpty {
      guard extras.count >= Event.markedExtras else { return }
      extraMarks = [UInt64](repeating: 0, count: Int(Event.markBits / 64))
      for entry in extras { setMark(entry.name) }
    }
    setMark(name)
  }
  private mutating func setMark(_ name: Bytes) {
    let bit = Event.markBit(name)
    extraMarks[Int(bit >> 6)] |= 1 << (bit & 63)
  }
  public var extraCount: Int { extras.count }
  public func forEachExtra(_ body: (_ name: Bytes, _ value: Bytes) -> Void) { for entry in extras { body(entry.name, entry.value) } }

  // MARK: Writing

  /// Sets a text field. Bytes of this event's own memory are referred to; others are copied into it (and cut, with
  /// `isTruncated`, where there is no room).
  @inlinable @inline(__always)
  public mutating func set(_ field: Field, _ bytes: Bytes) {
    let kept = keep(bytes)
    slots[Int(field.rawValue)] = Slot(kind: .text, a: UInt64(UInt(bitPattern: kept.baseAddress)), b: UInt64(kept.count))
    mark(field)
  }
  @inlinable @inline(__always)
  public mutating func set(_ field: Field, _ literal: StaticString) {
    slots[Int(field.rawValue)] = Slot(
      kind: .text, a: UInt64(UInt(bitPattern: literal.utf8Start)), b: UInt64(literal.utf8CodeUnitCount))
    mark(field)
  }
  @inlinable @inline(__always)
  public mutating func set(_ field: Field, _ value: Int64) {
    slots[Int(field.rawValue)] = Slot(kind: .integer, a: UInt64(bitPattern: value), b: 0)
    mark(field)
  }
  @inlinable @inline(__always)
  public mutating func set(_ field: Field, _ value: IPAddress) {
    slots[Int(field.rawValue)] = Slot(kind: .address, a: value.high, b: value.isV4 ? value.low | 0xffff << 32 : value.low)
    mark(field)
  }
  /// Sets `field` from text as its kind wants it: integers and addresses are parsed. False (and no change) if it does not fit.
  @discardableResult
  public mutating func set(_ field: Field, parsing bytes: Bytes) -> Bool {
    switch field.kind {
    case .text: set(field, bytes)
    case .integer:
      let negative = bytes.starts(with: "-")
      guard let value = (negative ? bytes.from(1) : bytes).decimal else { return false }
      set(field, negative ? -value : value)
    case .address:
      guard let value = IPAddress(bytes) else { return false }
      set(field, value)
    }
    return true
  }
  /// Sets a field outside the table; the first of a name wins.
  public mutating func setExtra(_ name: Bytes, _ value: Bytes) {
    let isFull = extras.count >= (overflowLimit > 0 ? Limits.agentExtraFields : Limits.extraFields)
    // Whether it is a new name or not: nothing changes.
    if isFull && isTruncated { return }
    guard extra(name) == nil else { return }
    guard !isFull else {
      isTruncated = true
      return
    }
    markExtra(name)
    extras.append((keep(name), keep(value)))
  }
  public mutating func removeExtra(_ name: Bytes) { if mayBeExtra(name) { extras.removeAll { $0.name.equals(name) } } }
  @inlinable
  public mutating func remove(_ field: Field) { present.remove(field) }

  @inlinable @inline(__always)
  mutating func mark(_ field: Field) { present.insert(field) }
  /// `bytes` in this event's memory: themselves if they lie there already, else a copy.
  @inlinable @inline(__always)
  public mutating func keep(_ bytes: Bytes) -> Bytes {
    guard let base = bytes.baseAddress, bytes.count > 0 else { return .none }
    let start = UnsafeRawPointer(memory)
    if base >= start, base < start + Event.capacity { return bytes }
    for block in overflow where base >= UnsafeRawPointer(block.baseAddress!) && base < UnsafeRawPointer(block.baseAddress!) + block.count {
      return bytes
    }
    return copy(bytes)
  }
  @usableFromInline
  mutating func copy(_ bytes: Bytes) -> Bytes {
    if bytes.count > Event.capacity - used, overflowLimit > 0 { return copyAside(bytes) }
    let count = min(bytes.count, Event.capacity - used)
    if count < bytes.count { isTruncated = true }
    guard count > 0 else { return .none }
    let target = memory + used
    memcpy(target, bytes.baseAddress!, count)
    used += count
    return Bytes(start: target, count: count)
  }

  private mutating func copyAside(_ bytes: Bytes) -> Bytes {
    let count = min(bytes.count, overflowLimit - overflowUsed)
    if count < bytes.count { isTruncated = true }
    guard count > 0, let base = bytes.baseAddress else { return .none }
    if count > overflowFree {
      // Blocks grow with what they hold: `keep` asks each of them, and an event may have a million small values.
      let size = max(count, min(max(Event.capacity, overflowUsed), 16 * 1024 * 1024))
      overflow.append(.allocate(byteCount: size, alignment: 16))
      overflowFree = size
    }
    let block = overflow[overflow.count - 1]
    let target = block.baseAddress! + (block.count - overflowFree)
    memcpy(target, base, count)
    overflowFree -= count
    overflowUsed += count
    return Bytes(start: target, count: count)
  }

  /// Makes this event a copy of `other`, with all bytes in its own memory.
  public mutating func assign(_ other: borrowing Event) {
    begin(raw: other.raw, origin: other.origin)
    overflowLimit = other.overflowLimit
    time = other.time
    timeBasis = other.timeBasis
    trust = other.trust
    repeatCount = other.repeatCount
    isTruncated = other.isTruncated
    evidence = other.evidence
    let base = UnsafeRawPointer(other.memory)
    func moved(_ bytes: Bytes, _ mine: UnsafeMutableRawPointer) -> Bytes? {
      guard let start = bytes.baseAddress, start >= base, start < base + other.rawCount else { return nil }
      return Bytes(start: mine + (start - base), count: bytes.count)
    }
    for field in Field.allCases where other.has(field) {
      if let text = other.text(field) {
        set(field, moved(text, memory) ?? text)
      } else {
        slots[Int(field.rawValue)] = other.slots[Int(field.rawValue)]
        mark(field)
      }
    }
    extraMarks = other.extraMarks
    for entry in other.extras { extras.append((moved(entry.name, memory) ?? keep(entry.name), moved(entry.value, memory) ?? keep(entry.value))) }
  }
}
