// Linked tables in a form that a start only has to copy: arrays of plain data, one after the other, each behind its length and the size of
// its elements; before them a fingerprint of what they were made from and one of themselves.
// What must stay true: what is damaged, or of other patterns, is not used. What a table says is not looked at again: whoever reads a file
// must know that it is his own (see RuleStore.readCache), and the magic number changes with what the tables mean.
import Primitives

enum TableCache {
  private static let magic: StaticString = "PGTABL06"
  private static let headBytes = 40

  /// Of the patterns that tables are made from.
  static func key(of sources: [PatternSource]) -> Fingerprint {
    var bytes = Array(Bytes(magic))
    bytes.reserveCapacity(sources.reduce(64) { $0 + $1.text.count + 8 })
    for source in sources {
      bytes.append(littleEndian: UInt64(source.text.count) << 16 | UInt64(source.kind.rawValue) << 8 | (source.isCaseSensitive ? 1 : 0))
      bytes.append(contentsOf: source.text)
    }
    return bytes.withUnsafeBytes { Fingerprint(of: $0) }
  }

  static func seal(_ writer: TableWriter, key: Fingerprint) -> [UInt8] {
    let check = writer.body.withUnsafeBytes { Fingerprint(of: $0) }
    var out = Array(Bytes(magic))
    for word in [key.high, key.low, check.high, check.low] { out.append(littleEndian: word) }
    return out + writer.body
  }

  /// nil: damaged, of other patterns, or of another version.
  static func open(_ bytes: [UInt8], key: Fingerprint) -> TableReader? {
    bytes.withUnsafeBytes { all -> TableReader? in
      guard all.count >= headBytes, all.starts(with: magic) else { return nil }
      func word(_ at: Int) -> UInt64 { UInt64(littleEndian: all.loadUnaligned(fromByteOffset: at, as: UInt64.self)) }
      guard Fingerprint(high: word(8), low: word(16)) == key, Fingerprint(of: all.from(headBytes)) == Fingerprint(high: word(24), low: word(32))
      else { return nil }
      return TableReader(bytes: bytes, at: headBytes)
    }
  }
}

/// `T` is plain data everywhere below: no references in it.
struct TableWriter {
  fileprivate(set) var body: [UInt8] = []
  mutating func put<T>(_ first: UnsafePointer<T>, _ count: Int) {
    assert(_isPOD(T.self))
    body.append(littleEndian: UInt64(count) << 16 | UInt64(MemoryLayout<T>.stride))
    body.append(contentsOf: UnsafeRawBufferPointer(start: first, count: count * MemoryLayout<T>.stride))
  }
  mutating func put<T>(_ list: [T]) {
    list.withUnsafeBufferPointer { buffer in
      guard let first = buffer.baseAddress else { return body.append(littleEndian: UInt64(MemoryLayout<T>.stride)) }
      put(first, buffer.count)
    }
  }
  mutating func put(_ number: Int) { put([Int64(number)]) }
}

struct TableReader {
  fileprivate let bytes: [UInt8]
  fileprivate var at: Int

  /// Whether all of it was taken.
  var isAtEnd: Bool { at == bytes.count }

  /// The next array: its elements begin at an offset of `bytes`.
  private mutating func next<T>(_ type: T.Type) -> (at: Int, count: Int)? {
    guard bytes.count - at >= 8 else { return nil }
    let head = bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: UInt64.self)) }
    let stride = MemoryLayout<T>.stride
    guard head & 0xffff == UInt64(stride), head >> 16 <= UInt64((bytes.count - at - 8) / stride) else { return nil }
    let count = Int(head >> 16)
    defer { at += 8 + count * stride }
    return (at + 8, count)
  }
  /// A copy of the next array, with room for one element at least; nil: it is another one.
  mutating func take<T>(_ type: T.Type) -> (first: UnsafeMutablePointer<T>, count: Int)? {
    guard let (offset, count) = next(type) else { return nil }
    let copy = UnsafeMutablePointer<T>.allocateInLines(count)
    bytes.withUnsafeBytes { all in
      if count > 0 { UnsafeMutableRawPointer(copy).copyMemory(from: all.baseAddress! + offset, byteCount: count * MemoryLayout<T>.stride) }
    }
    return (copy, count)
  }
  mutating func list<T>(_ type: T.Type) -> [T]? {
    guard let (offset, count) = next(type) else { return nil }
    return bytes.withUnsafeBytes { all in
      [T](unsafeUninitializedCapacity: count) { buffer, made in
        if count > 0 {
          UnsafeMutableRawPointer(buffer.baseAddress!).copyMemory(from: all.baseAddress! + offset, byteCount: count * MemoryLayout<T>.stride)
        }
        made = count
      }
    }
  }
  mutating func number() -> Int? {
    guard let list = list(Int64.self), list.count == 1 else { return nil }
    return Int(list[0])
  }
}

extension UnsafeMutablePointer {
  /// Room for so many elements, one at least, that begins with a cache line: elements of 32 or 64 bytes then never lie in one more than they need.
  static func allocateInLines(_ count: Int) -> UnsafeMutablePointer<Pointee> {
    let bytes = max(1, count) * MemoryLayout<Pointee>.stride
    return UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64).bindMemory(to: Pointee.self, capacity: max(1, count))
  }
}

extension Array where Element == UInt8 {
  mutating func append(littleEndian value: UInt64) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}
