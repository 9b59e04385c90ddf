// UUID version 7 (RFC 9562, 5.7) without clock and randomness: its time is event time, and what the RFC wants random is a hash of what
// the identifier names. The same thing gets the same identifier in every process and every replay; two things differ in 74 bits.

public enum UUIDv7 {
  /// 36 lower-case characters. Times before 1970 count as 1970; of `hash` 12 bits of `high` and 62 of `low` are used.
  public static func text(time: EventTime, hash: Fingerprint) -> String {
    let milliseconds = UInt64(clamping: time.nanoseconds / 1_000_000) & 0xffff_ffff_ffff
    let high = milliseconds << 16 | 0x7000 | hash.high & 0xfff
    let low = 0x8000_0000_0000_0000 | hash.low & 0x3fff_ffff_ffff_ffff
    var out: [UInt8] = []
    out.reserveCapacity(36)
    for (word, nibbles) in [(high, 16), (low, 16)] {
      for i in 0..<nibbles {
        out.append(lowercaseHexDigit(UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * i) & 15)))
        if [8, 13, 18, 23].contains(out.count) { out.append(0x2d) }
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
