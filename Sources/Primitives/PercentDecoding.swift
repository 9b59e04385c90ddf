// What a server would see behind a logged URL: the log's own escapes undone, then percent-decoding (RFC 3986 2.1), repeated while it
// changes something, at most `Limits.percentDecodingRounds` times. Attackers encode twice so that one decoder sees nothing; rules
// look at the end result, and `url.original` keeps what was logged.
// Invariants: escapes that are not escapes (%zz, a cut %4) stay as they are; bytes above 0x7f are decoded only where they make
// well-formed UTF-8, so overlong forms (%c0%ae) and Latin-1 stay visible as text; the result is never longer than the input; linear.

public enum PercentDecoding {
  /// Whether `decode` could change `bytes`.
  @inline(__always)
  public static func isNeeded(_ bytes: Bytes, plusIsSpace: Bool = false, logEscapes: Bool = false) -> Bool {
    bytes.index(of: 0x25) != nil || (logEscapes && bytes.index(of: 0x5c) != nil) || (plusIsSpace && bytes.index(of: 0x2b) != nil)
  }

  /// Calls `body` with the decoded bytes, which are valid until it returns.
  /// - Parameters:
  ///   - plusIsSpace: `+` is a space (application/x-www-form-urlencoded); in the first round only, since a decoded %2B is a plus.
  ///   - logEscapes: `\xHH`, `\"`, `\\`, `\n`, `\t`, `\r`, `\b`, `\v` are nginx's and Apache's escapes of what the client sent; first round only.
  public static func decode<Result>(
    _ bytes: Bytes, plusIsSpace: Bool = false, logEscapes: Bool = false, maxRounds: Int = Limits.percentDecodingRounds, _ body: (Bytes) -> Result
  ) -> Result {
    guard bytes.count > 0, isNeeded(bytes, plusIsSpace: plusIsSpace, logEscapes: logEscapes) else { return body(bytes) }
    return withUnsafeTemporaryAllocation(byteCount: bytes.count, alignment: 1) { buffer in
      var count = bytes.count
      buffer.copyMemory(from: bytes)
      if logEscapes, bytes.index(of: 0x5c) != nil { count = unescape(buffer, count) }
      var round = 0
      while round < maxRounds {
        let (next, changed) = percentRound(buffer, count, plusIsSpace: plusIsSpace && round == 0)
        count = next
        round += 1
        if !changed { break }
      }
      return body(Bytes(rebasing: UnsafeRawBufferPointer(buffer)[0..<count]))
    }
  }

  /// Only the log's escapes undone (for a referrer or a user agent, which are not URL-encoded).
  public static func unescapeLog<Result>(_ bytes: Bytes, _ body: (Bytes) -> Result) -> Result {
    guard bytes.index(of: 0x5c) != nil else { return body(bytes) }
    return decode(bytes, logEscapes: true, maxRounds: 0, body)
  }

  // MARK: In place; what is written never overtakes what is read.

  private static func percentRound(_ buffer: UnsafeMutableRawBufferPointer, _ count: Int, plusIsSpace: Bool) -> (Int, Bool) {
    var read = 0
    var write = 0
    var changed = false
    while read < count {
      let byte = buffer[read]
      if byte == 0x25, let first = escaped(buffer, read, count, lead: 0x25) {
        let consumed = sequence(buffer, read, count, unit: 3, lead: 0x25, first: first, write: &write)
        if consumed > 0 {
          read += consumed
          changed = true
          continue
        }
      }
      buffer[write] = plusIsSpace && byte == 0x2b ? 0x20 : byte
      if plusIsSpace, byte == 0x2b { changed = true }
      write += 1
      read += 1
    }
    return (write, changed)
  }

  private static func unescape(_ buffer: UnsafeMutableRawBufferPointer, _ count: Int) -> Int {
    var read = 0
    var write = 0
    while read < count {
      let byte = buffer[read]
      if byte == 0x5c, read + 1 < count {
        if buffer[read + 1] == 0x78, let first = escaped(buffer, read, count, lead: 0x5c) {
          let consumed = sequence(buffer, read, count, unit: 4, lead: 0x5c, first: first, write: &write)
          if consumed > 0 {
            read += consumed
            continue
          }
        } else if let plain = plainEscape(buffer[read + 1]) {
          buffer[write] = plain
          write += 1
          read += 2
          continue
        }
      }
      buffer[write] = byte
      write += 1
      read += 1
    }
    return write
  }
  private static func plainEscape(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x22, 0x5c: byte
    case 0x6e: 0x0a
    case 0x72: 0x0d
    case 0x74: 0x09
    case 0x62: 0x08
    case 0x76: 0x0b
    default: nil
    }
  }
  /// The byte that `%HH` or `\xHH` at `at` stands for.
  @inline(__always)
  private static func escaped(_ buffer: UnsafeMutableRawBufferPointer, _ at: Int, _ count: Int, lead: UInt8) -> UInt8? {
    let digits = lead == 0x25 ? at + 1 : at + 2
    guard digits + 1 < count, buffer[at] == lead, lead == 0x25 || buffer[at + 1] == 0x78,
      let high = hexDigit(buffer[digits]), let low = hexDigit(buffer[digits + 1])
    else { return nil }
    return high << 4 | low
  }
  /// Decodes the character whose first escaped byte is `first`; bytes that it needs may be escaped or not. Returns how many bytes were
  /// read, 0 if they are not well-formed UTF-8.
  private static func sequence(
    _ buffer: UnsafeMutableRawBufferPointer, _ at: Int, _ count: Int, unit: Int, lead: UInt8, first: UInt8, write: inout Int
  ) -> Int {
    if first < 0x80 {
      buffer[write] = first
      write += 1
      return unit
    }
    let needed = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
    var bytes: (UInt8, UInt8, UInt8, UInt8) = (first, 0, 0, 0)
    return withUnsafeMutableBytes(of: &bytes) { character in
      var read = at + unit
      for i in 1..<needed {
        if let next = escaped(buffer, read, count, lead: lead) {
          character[i] = next
          read += unit
        } else if read < count {
          character[i] = buffer[read]
          read += 1
        } else {
          return 0
        }
      }
      guard utf8SequenceLength(Bytes(rebasing: UnsafeRawBufferPointer(character)[0..<needed]), at: 0) == needed else { return 0 }
      for i in 0..<needed {
        buffer[write] = character[i]
        write += 1
      }
      return read - at
    }
  }
}
