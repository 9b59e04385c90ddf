// Splitting against the plain definition, in all chunk sizes: same lines, same offsets.
import LogSources
import Primitives
import Testing

@Suite struct LineReaderTests {
  struct Line: Equatable {
    var text: [UInt8]
    var offset: UInt64
  }

  /// The definition: split at newlines, drop one CR, cut at the limit.
  static func reference(_ bytes: [UInt8], limit: Int) -> [Line] {
    var out: [Line] = []
    var start = 0
    func take(_ end: Int) {
      var line = Array(bytes[start..<end])
      if line.last == 0x0d, line.count <= limit + 1 { line.removeLast() }
      out.append(Line(text: Array(line.prefix(limit)), offset: UInt64(start)))
    }
    for (i, byte) in bytes.enumerated() where byte == 0x0a {
      take(i)
      start = i + 1
    }
    if start < bytes.count { take(bytes.count) }
    return out
  }

  static func split(
    _ bytes: [UInt8], limit: Int, capacity: Int, chunk: (Int) -> Int, maxLines: Int = .max
  ) -> ([Line], cut: UInt64, cutBytes: UInt64) {
    var reader = LineReader(capacity: capacity, lineLimit: limit)
    var out: [Line] = []
    var at = 0
    var step = 0
    func take(_ line: Bytes, _ offset: UInt64) -> Bool {
      out.append(Line(text: Array(line), offset: offset))
      return true
    }
    while at < bytes.count {
      let count = reader.fill { target in
        let n = min(target.count, max(1, chunk(step)), bytes.count - at)
        for i in 0..<n { target[i] = bytes[at + i] }
        return n
      }
      step += 1
      at += count
      #expect(reader.filledOffset == UInt64(at))
      while reader.forEachLine(maxLines: maxLines, take) > 0 {}
      #expect(reader.consumedOffset + reader.pendingBytes == UInt64(at))
    }
    reader.flushPartial(take)
    #expect(reader.consumedOffset == UInt64(bytes.count))
    return (out, reader.cutLines, reader.cutBytes)
  }

  @Test(arguments: [
    "", "\n", "\n\n", "a", "a\n", "a\nb", "a\r\nb\r\n", "\r\n", "\r\r\n", "a\0b\n\0\n", "no end", "exactly8\n", "exactly8\r\n",
    "longer than eight\nx\n",
    "longer than eight\r\nx", "longer than eight", "12345678\r", "123456789\r\n",
  ])
  func agreesWithTheDefinition(text: String) {
    let bytes = Array(text.utf8)
    for chunk in [1, 2, 3, 7, 1000] {
      let (lines, _, _) = LineReaderTests.split(bytes, limit: 8, capacity: 18, chunk: { _ in chunk }, maxLines: chunk)
      #expect(lines == LineReaderTests.reference(bytes, limit: 8), "in chunks of \(chunk)")
    }
  }

  @Test func agreesWithTheDefinitionOnRandomBytes() {
    var random = Random(state: 7)
    for _ in 0..<400 {
      var bytes: [UInt8] = []
      for _ in 0..<random.next(600) {
        let byte = ([0x0a, 0x0d, 0x00, 0x61, 0xff, 0x62] as [UInt8])[random.next(6 - random.next(4))]
        bytes += [UInt8](repeating: byte, count: byte == 0x62 ? 40 : 1)
      }
      let (lines, cut, cutBytes) = LineReaderTests.split(bytes, limit: 32, capacity: 66, chunk: { ($0 * 37 + 11) % 50 })
      let wanted = LineReaderTests.reference(bytes, limit: 32)
      #expect(lines == wanted)
      let lengths = bytes.split(separator: 0x0a).filter { $0.count > 33 || $0.count == 33 && $0.last != 0x0d }.map(\.count)
      #expect(cut == UInt64(lengths.count))
      #expect(cutBytes == UInt64(lengths.reduce(0) { $0 + $1 - 32 }))
    }
  }

  @Test func stopsWhenAsked() {
    var reader = LineReader(capacity: 64, lineLimit: 8)
    _ = reader.fill { target in
      target.copyBytes(from: Array("a\nb\nc\n".utf8))
      return 6
    }
    var seen: [String] = []
    #expect(
      reader.forEachLine { line, _ in
        seen.append(line.string); return false
      } == 1)
    #expect(reader.consumedOffset == 2)
    #expect(
      reader.forEachLine(maxLines: 1) { line, _ in
        seen.append(line.string); return true
      } == 1)
    #expect(seen == ["a", "b"] && reader.lines == 2)
  }
}
