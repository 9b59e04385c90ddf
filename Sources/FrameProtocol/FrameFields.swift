// The fields of a frame, read and written. A reader throws where the bytes end or are not in the one form that a value has.
import Primitives

package struct FrameReader {
  private let bytes: Bytes
  package private(set) var at: Int
  package init(_ bytes: Bytes, at: Int) {
    self.bytes = bytes
    self.at = at
  }
  package var isAtEnd: Bool { at == bytes.count }
  package var failure: FrameError { .body(offset: at) }

  package mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(FrameError) -> Value {
    let size = MemoryLayout<Value>.size
    guard bytes.count - at >= size else { throw failure }
    defer { at += size }
    return Value(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: Value.self))
  }
  package mutating func u64() throws(FrameError) -> UInt64 { try integer(UInt64.self) }

  /// The entries must fill the frame: a count cannot ask for more memory than the sender paid for.
  package mutating func list<Element>(
    atMost limit: Int, _ read: (inout FrameReader) throws(FrameError) -> Element
  ) throws(FrameError) -> [Element] {
    let count = Int(try integer(UInt32.self))
    guard count <= limit, count <= bytes.count - at else { throw failure }
    var out: [Element] = []
    out.reserveCapacity(count)
    for _ in 0..<count { out.append(try read(&self)) }
    return out
  }

  package mutating func text(atMost limit: Int = Limits.frameTextBytes) throws(FrameError) -> String {
    let count = Int(try integer(UInt16.self))
    guard count <= limit, count <= bytes.count - at,
      let text = String(validating: bytes.slice(at, at + count), as: UTF8.self)
    else { throw failure }
    at += count
    return text
  }
  /// A u32 and as many bytes.
  package mutating func data(atMost limit: Int) throws(FrameError) -> [UInt8] {
    let count = Int(try integer(UInt32.self))
    guard count <= limit, count <= bytes.count - at else { throw failure }
    defer { at += count }
    return Array(bytes.slice(at, at + count))
  }
}

package struct FrameWriter {
  package private(set) var bytes: [UInt8]
  package init(kind: UInt8, id: UInt32) {
    bytes = [0, 0, 0, 0, Frame.version, kind, 0, 0]
    integer(id)
  }
  package func finished() -> [UInt8] {
    var out = bytes
    withUnsafeBytes(of: UInt32(truncatingIfNeeded: out.count).bigEndian) { length in for i in 0..<4 { out[i] = length[i] } }
    return out
  }

  package mutating func integer<Value: FixedWidthInteger>(_ value: Value) { withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) } }
  package mutating func byte(_ value: UInt8) { bytes.append(value) }
  package mutating func zeros(_ count: Int) { bytes.append(contentsOf: repeatElement(0, count: count)) }
  package mutating func list<List: Collection>(_ entries: List, _ write: (inout FrameWriter, List.Element) -> Void) {
    integer(UInt32(truncatingIfNeeded: entries.count))
    for entry in entries { write(&self, entry) }
  }
  /// What is longer is cut.
  package mutating func text(_ text: String, atMost limit: Int = Limits.frameTextBytes) {
    var cut = text
    while cut.utf8.count > limit { cut.unicodeScalars.removeLast() }
    integer(UInt16(truncatingIfNeeded: cut.utf8.count))
    bytes.append(contentsOf: cut.utf8)
  }
  package mutating func data(_ value: [UInt8]) {
    integer(UInt32(truncatingIfNeeded: value.count))
    bytes.append(contentsOf: value)
  }
}
