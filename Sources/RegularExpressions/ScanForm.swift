// The form of a text in which literals are looked for: each run of white space is one space, and a character whose other case is an ASCII
// letter (U+017F, U+212A, U+0130, U+0131) is that letter. Rules are full of `\s+` between words; so the words are one literal.
// What must stay true: a pattern's literals and its texts are put into this form alike, so that whatever a match contains is found here
// too. White space is what `\s` means (Python's `str.isspace`); what a dialect leaves out of it only makes a literal less telling.
import Primitives

/// From `place` of the scan form on, its bytes are those of the text from `origin` on. Plain data.
public struct ScanShift: Sendable, Equatable {
  public var place: UInt32
  public var origin: UInt32
}

public enum ScanForm {
  public static let blank: UInt8 = 0x20

  static func isBlank(_ point: UInt32) -> Bool { CodePointSet.space.contains(point) }
  @inline(__always)
  static func isASCIIBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte &- 0x09 < 5 || byte &- 0x1c < 4 }

  /// Eight bytes of ASCII in which nothing is below U+0020, nor two spaces side by side: by byte, its high bit where it is a space; nil: others.
  @inline(__always)
  private static func plainBlanks(_ word: UInt64) -> UInt64? {
    let low: UInt64 = 0x0101_0101_0101_0101
    let high = low << 7
    let controls = ~(word &+ low &* 0x60) & high
    let blanks = ~(word &+ low &* 0x5f) & high
    return word & high | controls | (blanks & blanks >> 8) == 0 ? blanks : nil
  }
  @inline(__always)
  private static func word(_ base: UnsafeRawPointer, _ at: Int) -> UInt64 {
    UInt64(littleEndian: base.loadUnaligned(fromByteOffset: at, as: UInt64.self))
  }

  /// Whether a text of ASCII may differ from its scan form: false is certain.
  @inline(__always)
  public static func mayDiffer(_ text: Bytes) -> Bool {
    guard let base = text.baseAddress else { return false }
    var at = 0
    // Seven pairs, so that each step's last byte is the next one's first.
    while at + 8 <= text.count {
      if plainBlanks(word(base, at)) == nil { return true }
      at += 7
    }
    var last: UInt8 = 0x7f
    while at < text.count {
      if text[at] < 0x20 || text[at] == 0x20 && last == 0x20 { return true }
      last = text[at]
      at += 1
    }
    return false
  }

  /// Writes the form of UTF-8 `text` to `out`, which has room for `text.count` bytes, and where they part to `shifts`. `hasLetters`: a
  /// letter beyond ASCII became one of ASCII.
  public static func write(_ text: Bytes, to out: UnsafeMutablePointer<UInt8>, _ shifts: inout [ScanShift]) -> (count: Int, hasLetters: Bool) {
    var count = 0
    var shift = 0
    var isBehindBlank = false
    var hasLetters = false
    var at = 0
    func part() {
      guard at - count != shift else { return }
      shift = at - count
      shifts.append(ScanShift(place: UInt32(truncatingIfNeeded: count), origin: UInt32(truncatingIfNeeded: at)))
    }
    while at < text.count {
      if at + 8 <= text.count, let base = text.baseAddress {
        let eight = word(base, at)
        if let blanks = plainBlanks(eight), !isBehindBlank || blanks & 0x80 == 0 {
          part()
          UnsafeMutableRawPointer(out + count).storeBytes(of: eight.littleEndian, as: UInt64.self)
          isBehindBlank = blanks >> 63 != 0
          at += 8
          count += 8
          continue
        }
      }
      var byte = text[at]
      var length = 1
      if byte >= 0xc2, let other = other(text, at) {
        (byte, length) = other
        if byte != blank { hasLetters = true }
      } else if isASCIIBlank(byte) {
        byte = blank
      }
      // A space that was written as such is one too.
      if byte == blank {
        if isBehindBlank {
          at += length
          continue
        }
        isBehindBlank = true
      } else {
        isBehindBlank = false
      }
      part()
      out[count] = byte
      count += 1
      at += length
    }
    // Where a last run of white space ends.
    part()
    return (count, hasLetters)
  }

  /// The form of a few bytes.
  public static func of(_ text: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: text.count) { out, count in
      var shifts: [ScanShift] = []
      count = text.withUnsafeBytes { text in out.baseAddress.map { write(text, to: $0, &shifts).count } ?? 0 }
    }
  }

  /// What a character beyond ASCII stands for, and its bytes; nil: for itself.
  private static func other(_ text: Bytes, _ at: Int) -> (UInt8, Int)? {
    guard at + 1 < text.count else { return nil }
    let second = text[at + 1]
    switch text[at] {
    case 0xc2: return second == 0x85 || second == 0xa0 ? (blank, 2) : nil
    case 0xc4: return second == 0xb0 || second == 0xb1 ? (0x69, 2) : nil
    case 0xc5: return second == 0xbf ? (0x73, 2) : nil
    case 0xe1...0xe3:
      guard at + 2 < text.count else { return nil }
      switch (text[at], second, text[at + 2]) {
      case (0xe1, 0x9a, 0x80), (0xe2, 0x80, 0x80...0x8a), (0xe2, 0x80, 0xa8...0xa9), (0xe2, 0x80, 0xaf), (0xe2, 0x81, 0x9f), (0xe3, 0x80, 0x80):
        return (blank, 3)
      case (0xe2, 0x84, 0xaa): return (0x6b, 3)
      default: return nil
      }
    default: return nil
    }
  }
}
