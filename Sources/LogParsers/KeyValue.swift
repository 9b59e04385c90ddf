// key=value text (logfmt): `level=warn msg="login failed" user=bob src=192.0.2.1`.
// Invariants: total, linear, at most `Limits.keyValuePairs` pairs; quoted values may hold anything, bare ones end at a space.
import Primitives

public enum KeyValue {
  /// Calls `body` with each pair in order, escapes in quoted values undone; the bytes are valid until it returns.
  /// `isWhole`: the text is nothing but well-formed pairs. In other text a value that a client wrote may look like a pair.
  @discardableResult
  public static func forEachPair(_ text: Bytes, _ body: (_ key: Bytes, _ value: Bytes) -> Void) -> (count: Int, isWhole: Bool) {
    var at = 0
    var count = 0
    var isWhole = true
    while at < text.count {
      let byte = text[at]
      if byte == 0x20 || byte == 0x09 || byte == 0x2c || byte == 0x3b || byte == 0x0d || byte == 0x0a {
        at += 1
        continue
      }
      guard count < Limits.keyValuePairs else { return (count, false) }
      let keyEnd = endOfKey(text, at)
      guard keyEnd > at, keyEnd < text.count, text[keyEnd] == 0x3d else {
        isWhole = false
        at = endOfWord(text, at)
        continue
      }
      let key = text.slice(at, keyEnd)
      at = keyEnd + 1
      count += 1
      if at < text.count, text[at] == 0x22 || text[at] == 0x27 {
        let quote = text[at]
        let (end, hasEscapes) = endOfQuoted(text, at + 1, quote)
        let value = text.slice(at + 1, end)
        if hasEscapes { unescaped(value) { body(key, $0) } } else { body(key, value) }
        at = end + 1
        if end >= text.count || (at < text.count && !isSeparator(text[at])) { isWhole = false }
      } else {
        let end = endOfWord(text, at)
        var value = text.slice(at, end)
        if value.ends(with: ",") || value.ends(with: ";") { value = value.upTo(value.count - 1) }
        body(key, value)
        at = end
      }
    }
    return (count, isWhole && count > 0)
  }

  private static func isSeparator(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x2c || byte == 0x3b || byte == 0x0d || byte == 0x0a
  }
  private static func endOfWord(_ text: Bytes, _ start: Int) -> Int {
    var at = start
    while at < text.count, text[at] != 0x20, text[at] != 0x09, text[at] != 0x0a { at += 1 }
    return at
  }
  /// Keys are letters, digits, "_", ".", "-" and "@", and do not begin with a digit or "-".
  private static func endOfKey(_ text: Bytes, _ start: Int) -> Int {
    var at = start
    while at < text.count, at - start < Limits.keyBytes {
      let byte = text[at]
      let letter = byte | 0x20
      let isLetter = letter >= 0x61 && letter <= 0x7a
      let isOther = byte &- 0x30 <= 9 || byte == 0x2d || byte == 0x2e
      guard isLetter || byte == 0x5f || byte == 0x40 || (isOther && at > start) else { break }
      at += 1
    }
    return at
  }
  private static func endOfQuoted(_ text: Bytes, _ start: Int, _ quote: UInt8) -> (Int, Bool) {
    var at = start
    var hasEscapes = false
    while at < text.count {
      if text[at] == 0x5c, quote == 0x22 {
        hasEscapes = true
        at += 2
        continue
      }
      if text[at] == quote { return (at, hasEscapes) }
      at += 1
    }
    return (text.count, hasEscapes)
  }
  private static func unescaped(_ value: Bytes, _ body: (Bytes) -> Void) {
    withUnsafeTemporaryAllocation(byteCount: max(1, value.count), alignment: 1) { buffer in
      var read = 0
      var write = 0
      while read < value.count {
        var byte = value[read]
        read += 1
        if byte == 0x5c, read < value.count {
          switch value[read] {
          case 0x6e: byte = 0x0a
          case 0x74: byte = 0x09
          case 0x72: byte = 0x0d
          default: byte = value[read]
          }
          read += 1
        }
        buffer[write] = byte
        write += 1
      }
      body(Bytes(rebasing: UnsafeRawBufferPointer(buffer)[0..<write]))
    }
  }
}
