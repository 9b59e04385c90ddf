// One Hyperscan/Vectorscan database for each field: which patterns could match this text at all?
// What must stay true: no false negatives. A hit only names a candidate, which PCRE2 or a plain comparison then confirms, so the
// result never depends on the scanner; what the scanner cannot take is always a candidate, and counted.
import CHyperscan
import Glibc
import Primitives

/// What the scanner looks for on behalf of one pattern.
struct PrefilterExpression {
  /// In the scanner's own regular-expression syntax.
  var text: [UInt8]
  var flags: UInt32
  /// Global number of the pattern; several expressions may carry the same.
  var id: UInt32

  static func literal(_ literal: [UInt8], id: UInt32) -> PrefilterExpression {
    var text: [UInt8] = []
    for byte in literal {
      text.append("\\x" as StaticString)
      for half in [byte >> 4, byte & 15] { text.append(half < 10 ? 0x30 + half : 0x57 + half) }
    }
    return PrefilterExpression(text: text, flags: UInt32(HS_FLAG_CASELESS | HS_FLAG_SINGLEMATCH), id: id)
  }

  /// The regular expression itself, approximated where the scanner cannot do all of it; nil if it cannot take it at all.
  static func regex(_ pattern: [UInt8], caseSensitive: Bool, id: UInt32) -> PrefilterExpression? {
    guard !pattern.contains(0), pattern.allSatisfy({ $0 < 0x80 }), largestBound(pattern) <= maximumBound else { return nil }
    let flags = UInt32(HS_FLAG_SINGLEMATCH) | (caseSensitive ? 0 : UInt32(HS_FLAG_CASELESS))
    for extra in [0, UInt32(HS_FLAG_PREFILTER)] {
      let candidate = PrefilterExpression(text: pattern, flags: flags | extra, id: id)
      if candidate.isTaken { return candidate }
    }
    return nil
  }

  /// Repetition counts above this cost the scanner's compiler seconds; such a pattern is confirmed directly.
  private static let maximumBound = 1000
  /// The largest number behind an opening brace, whatever the brace means.
  private static func largestBound(_ pattern: [UInt8]) -> Int {
    var largest = 0
    var current: Int?
    for byte in pattern {
      switch byte {
      case 0x7b, 0x2c: current = byte == 0x7b || current != nil ? 0 : nil
      case 0x30...0x39:
        if let value = current { current = min(1_000_000, value * 10 + Int(byte - 0x30)) }
      default: current = nil
      }
      largest = max(largest, current ?? 0)
    }
    return largest
  }

  private var isTaken: Bool {
    var info: UnsafeMutablePointer<hs_expr_info_t>?
    var error: UnsafeMutablePointer<hs_compile_error_t>?
    let result = (text + [0]).withUnsafeBytes {
      hs_expression_info($0.bindMemory(to: CChar.self).baseAddress!, flags, &info, &error)
    }
    if let info {
      let needsNothing = info.pointee.min_width == 0
      free(info)
      if needsNothing { return false }
    }
    if let error { hs_free_compile_error(error) }
    return result == HS_SUCCESS
  }
}

/// Which patterns the last scans hit: a bit for each, and the list of them, so that clearing costs only what was set.
struct PrefilterHits {
  let bits: UnsafeMutablePointer<UInt64>
  let list: UnsafeMutablePointer<UInt32>
  var count: Int32 = 0
  let capacity: Int

  init(capacity: Int) {
    self.capacity = max(1, capacity)
    bits = .allocate(capacity: (self.capacity + 63) / 64)
    bits.initialize(repeating: 0, count: (self.capacity + 63) / 64)
    list = .allocate(capacity: self.capacity)
    list.initialize(repeating: 0, count: self.capacity)
  }
  func deallocate() {
    bits.deallocate()
    list.deallocate()
  }
  @inline(__always) func contains(_ id: UInt32) -> Bool { bits[Int(id >> 6)] >> UInt64(id & 63) & 1 == 1 }
  @inline(__always) mutating func insert(_ id: UInt32) {
    guard Int(id) < capacity, !contains(id) else { return }
    bits[Int(id >> 6)] |= 1 << UInt64(id & 63)
    list[Int(count)] = id
    count += 1
  }
  @inline(__always) mutating func clear() {
    for i in 0..<Int(count) {
      bits[Int(list[i] >> 6)] &= ~(1 << UInt64(list[i] & 63))
    }
    count = 0
  }
}

private let onHit: match_event_handler = { id, _, _, _, context in
  context?.assumingMemoryBound(to: PrefilterHits.self).pointee.insert(id)
  return 0
}

/// All databases of one rule set. Owned by one engine; the scratch memory makes it single-threaded.
final class Prefilter {
  /// By field slot.
  private let databases: [OpaquePointer?]
  private let scratch: OpaquePointer?
  /// Patterns that the scanner refused only when all were compiled together: they are always candidates.
  let refused: Set<UInt32>
  let key: Fingerprint
  let wasCached: Bool

  /// `expressions` by field slot. Where the scanner is not available on this processor, everything is refused.
  init(_ expressions: [[PrefilterExpression]], cached: [UInt8]?) {
    key = Prefilter.key(of: expressions)
    var databases: [OpaquePointer?] = []
    var refused: Set<UInt32> = []
    if let cached, let restored = Prefilter.restore(cached, key: key, count: expressions.count) {
      databases = restored.databases
      refused = restored.refused
      wasCached = true
    } else {
      wasCached = false
      for group in expressions {
        databases.append(Prefilter.compile(group, refused: &refused))
      }
    }
    var scratch: OpaquePointer?
    for (slot, database) in databases.enumerated() {
      guard let database else { continue }
      if hs_alloc_scratch(database, &scratch) != HS_SUCCESS {
        hs_free_database(database)
        databases[slot] = nil
        for expression in expressions[slot] { refused.insert(expression.id) }
      }
    }
    self.databases = databases
    self.scratch = scratch
    self.refused = refused
  }
  deinit {
    for database in databases { if let database { hs_free_database(database) } }
    if let scratch { hs_free_scratch(scratch) }
  }

  @inline(__always) func hasDatabase(_ slot: Int) -> Bool { databases[slot] != nil }
  var databaseCount: Int { databases.count { $0 != nil } }

  /// Adds the patterns of `slot` that may match `text` to `hits`. False: the scan failed, and everything must be a candidate.
  @inline(__always)
  func scan(_ slot: Int, _ text: Bytes, _ hits: UnsafeMutablePointer<PrefilterHits>) -> Bool {
    guard let database = databases[slot], let base = text.baseAddress, text.count > 0, text.count < Int(UInt32.max) else { return true }
    let result = hs_scan(database, base.assumingMemoryBound(to: CChar.self), UInt32(text.count), 0, scratch, onHit, hits)
    return result == HS_SUCCESS
  }

  // MARK: Compiling

  private static func compile(_ group: [PrefilterExpression], refused: inout Set<UInt32>) -> OpaquePointer? {
    var rest = group
    while !rest.isEmpty {
      var database: OpaquePointer?
      var error: UnsafeMutablePointer<hs_compile_error_t>?
      let texts = rest.map { expression -> UnsafeMutablePointer<CChar> in
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: expression.text.count + 1)
        for (i, byte) in expression.text.enumerated() { copy[i] = CChar(bitPattern: byte) }
        copy[expression.text.count] = 0
        return copy
      }
      defer { for text in texts { text.deallocate() } }
      var pointers: [UnsafePointer<CChar>?] = texts.map { UnsafePointer($0) }
      let result = hs_compile_multi(
        &pointers, rest.map(\.flags), rest.map(\.id), UInt32(rest.count), UInt32(HS_MODE_BLOCK), nil, &database, &error)
      if result == HS_SUCCESS, let database { return database }
      let culprit = error.map { Int($0.pointee.expression) } ?? -1
      if let error { hs_free_compile_error(error) }
      if rest.indices.contains(culprit) {
        let id = rest[culprit].id
        refused.insert(id)
        rest.removeAll { $0.id == id }
      } else {
        for expression in rest { refused.insert(expression.id) }
        return nil
      }
    }
    return nil
  }

  // MARK: Cache

  private static let magic: StaticString = "PGHSDB01"

  private static func key(of expressions: [[PrefilterExpression]]) -> Fingerprint {
    var bytes: [UInt8] = []
    if let version = hs_version() { bytes.append(String(cString: version)) }
    var platform = hs_platform_info_t()
    if hs_populate_platform(&platform) == HS_SUCCESS {
      bytes.append(decimal: Int64(platform.tune))
      bytes.append(0x2f)
      bytes.append(decimal: platform.cpu_features, minimumDigits: 1)
    }
    for group in expressions {
      bytes.append(0xff)
      for expression in group {
        bytes.append(littleEndian: UInt64(expression.text.count))
        bytes.append(contentsOf: expression.text)
        bytes.append(littleEndian: UInt64(expression.flags) << 32 | UInt64(expression.id))
      }
    }
    return bytes.withUnsafeBytes { Fingerprint(of: $0) }
  }

  /// Key, fingerprint of the rest, refused patterns, then each database with its length. nil if the scanner cannot write one.
  func serialized() -> [UInt8]? {
    var body: [UInt8] = []
    body.append(littleEndian: UInt64(refused.count))
    for id in refused.sorted() { body.append(littleEndian: UInt64(id)) }
    for database in databases {
      guard let database else {
        body.append(littleEndian: 0)
        continue
      }
      var bytes: UnsafeMutablePointer<CChar>?
      var length = 0
      guard hs_serialize_database(database, &bytes, &length) == HS_SUCCESS, let bytes else { return nil }
      body.append(littleEndian: UInt64(length))
      body.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: length))
      free(bytes)
    }
    var out: [UInt8] = []
    out.append(Prefilter.magic)
    let mark = body.withUnsafeBytes { Fingerprint(of: $0) }
    for half in [key.high, key.low, mark.high, mark.low] { out.append(littleEndian: half) }
    return out + body
  }

  private static func restore(_ cached: [UInt8], key: Fingerprint, count: Int) -> (databases: [OpaquePointer?], refused: Set<UInt32>)? {
    cached.withUnsafeBytes { all -> (databases: [OpaquePointer?], refused: Set<UInt32>)? in
      guard all.count >= 40, all.starts(with: magic) else { return nil }
      var at = 8
      func word() -> UInt64? {
        guard all.count - at >= 8 else { return nil }
        defer { at += 8 }
        return UInt64(littleEndian: all.loadUnaligned(fromByteOffset: at, as: UInt64.self))
      }
      guard word() == key.high, word() == key.low, let high = word(), let low = word(),
        Fingerprint(of: all.from(40)) == Fingerprint(high: high, low: low)
      else { return nil }
      var refused: Set<UInt32> = []
      guard let refusedCount = word(), refusedCount <= UInt64(all.count / 8) else { return nil }
      for _ in 0..<refusedCount {
        guard let id = word(), let small = UInt32(exactly: id) else { return nil }
        refused.insert(small)
      }
      var databases: [OpaquePointer?] = []
      for _ in 0..<count {
        guard let length = word(), length <= UInt64(all.count - at) else { break }
        if length == 0 {
          databases.append(nil)
          continue
        }
        var database: OpaquePointer?
        let part = all.slice(at, at + Int(length))
        guard let base = part.baseAddress,
          hs_deserialize_database(base.assumingMemoryBound(to: CChar.self), part.count, &database) == HS_SUCCESS, let database
        else { break }
        databases.append(database)
        at += Int(length)
      }
      guard databases.count == count, at == all.count else {
        for database in databases { if let database { hs_free_database(database) } }
        return nil
      }
      return (databases, refused)
    }
  }
}

extension Array where Element == UInt8 {
  mutating func append(littleEndian value: UInt64) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}
