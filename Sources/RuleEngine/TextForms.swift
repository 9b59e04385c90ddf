// The forms in which a text is tested: as it is, and normalised (NFC, then without zero-width and bidirectional control characters, as
// ATR's reference implementations do it). ScanForm is the one in which literals are looked for.
// What must stay true: each form is made in one pass; ill-formed UTF-8 becomes U+FFFD, one for each maximal part (Unicode 3.9), so that
// what comes after is well-formed. Text that is all ASCII has only one form, and costs nothing here.
import CUtf8proc
import Primitives

enum TextForms {
  @inline(__always)
  static func isASCII(_ text: Bytes) -> Bool {
    guard let base = text.baseAddress else { return true }
    var all: UInt64 = 0
    var at = 0
    while at + 32 <= text.count {
      all |= base.loadUnaligned(fromByteOffset: at, as: UInt64.self) | base.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self)
      all |= base.loadUnaligned(fromByteOffset: at + 16, as: UInt64.self) | base.loadUnaligned(fromByteOffset: at + 24, as: UInt64.self)
      if all & 0x8080_8080_8080_8080 != 0 { return false }
      at += 32
    }
    while at + 8 <= text.count {
      all |= base.loadUnaligned(fromByteOffset: at, as: UInt64.self)
      at += 8
    }
    var rest: UInt8 = 0
    while at < text.count {
      rest |= text[at]
      at += 1
    }
    return all & 0x8080_8080_8080_8080 == 0 && rest < 0x80
  }

  /// The text with U+FFFD for what is ill-formed; nil: it is well-formed.
  static func repaired(_ text: Bytes) -> [UInt8]? {
    var at = 0
    while at < text.count {
      let length = text[at] < 0x80 ? 1 : utf8SequenceLength(text, at: at)
      if length <= 0 { break }
      at += length
    }
    if at == text.count { return nil }
    var out: [UInt8] = []
    out.reserveCapacity(text.count + 16)
    out.append(contentsOf: text.upTo(at))
    while at < text.count {
      let length = text[at] < 0x80 ? 1 : utf8SequenceLength(text, at: at)
      if length > 0 {
        for i in at..<at + length { out.append(text[i]) }
        at += length
      } else {
        out.append("\u{fffd}" as StaticString)
        at += max(1, -length)
      }
    }
    return out
  }

  /// NFC without the characters that hide; nil: that is the text itself. `text` is well-formed.
  static func normalised(_ text: Bytes) -> [UInt8]? {
    var out: [UInt8] = []
    var isChanged = false
    var at = 0
    // Where the character before this one begins, here and in `out`.
    var previous = (from: 0, out: 0)
    while at < text.count {
      let byte = text[at]
      if byte < 0x80 {
        if isChanged {
          previous = (at, out.count)
          out.append(byte)
        } else {
          previous = (at, at)
        }
        at += 1
        continue
      }
      let (point, length) = decode(text, at)
      if isHidden(point) {
        if !isChanged { begin(&out, text, at, &isChanged) }
        previous = (at, out.count)
      } else if isStable(point) {
        let start = isChanged ? out.count : at
        if isChanged { for i in at..<at + length { out.append(text[i]) } }
        previous = (at, start)
      } else {
        // With the character before it and all unstable ones behind it: nothing beyond them takes part.
        var end = at + length
        while end < text.count, text[end] >= 0x80 {
          let (next, size) = decode(text, end)
          if isHidden(next) || isStable(next) { break }
          // Long runs of such scripts are cut where a new character begins; a run that has no such place is cut anyway: only hostile
          // text stacks hundreds of marks, and ordering them would cost more than linear time.
          if end - at >= 512, beginsCharacter(next) || end - at >= Limits.normalisedRunBytes { break }
          end += size
        }
        let part = text.slice(previous.from, end)
        let composed = compose(part)
        if isChanged || !composed.elementsEqual(part) {
          if !isChanged { begin(&out, text, previous.from, &isChanged) } else { out.removeLast(out.count - previous.out) }
          appendVisible(composed, to: &out)
          // What follows takes no part in this.
          previous = (end, out.count)
        } else {
          previous = (end, end)
        }
        at = end
        continue
      }
      at += length
    }
    return isChanged ? out : nil
  }
  private static func begin(_ out: inout [UInt8], _ text: Bytes, _ end: Int, _ isChanged: inout Bool) {
    out.reserveCapacity(text.count + 16)
    out.append(contentsOf: text.upTo(end))
    isChanged = true
  }
  private static func appendVisible(_ bytes: [UInt8], to out: inout [UInt8]) {
    bytes.withUnsafeBytes { bytes in
      var at = 0
      while at < bytes.count {
        let (point, length) = decode(bytes, at)
        if !isHidden(point) { for i in at..<at + length { out.append(bytes[i]) } }
        at += length
      }
    }
  }

  /// NFC of a short part by utf8proc; the part itself if it fails.
  private static func compose(_ part: Bytes) -> [UInt8] {
    let options = utf8proc_option_t(UTF8PROC_STABLE.rawValue | UTF8PROC_COMPOSE.rawValue)
    // A character decomposes into at most four; twelve for compatibility, which is not asked for.
    var buffer = [Int32](repeating: 0, count: part.count * 4 + 8)
    let base = part.baseAddress!.assumingMemoryBound(to: UInt8.self)
    let count = utf8proc_decompose(base, part.count, &buffer, buffer.count, options)
    guard count >= 0, count <= buffer.count else { return Array(part) }
    let length = utf8proc_reencode(&buffer, count, options)
    guard length >= 0, length <= buffer.count * 4 else { return Array(part) }
    return buffer.withUnsafeBytes { Array($0.prefix(length)) }
  }

  /// The character at `at` of well-formed text.
  @inline(__always)
  static func decode(_ text: Bytes, _ at: Int) -> (point: UInt32, length: Int) {
    let first = UInt32(text[at])
    if first < 0x80 { return (first, 1) }
    if first < 0xe0 { return ((first & 0x1f) << 6 | UInt32(text[at + 1] & 0x3f), 2) }
    if first < 0xf0 { return ((first & 0x0f) << 12 | UInt32(text[at + 1] & 0x3f) << 6 | UInt32(text[at + 2] & 0x3f), 3) }
    let high = (first & 0x07) << 18 | UInt32(text[at + 1] & 0x3f) << 12
    return (high | UInt32(text[at + 2] & 0x3f) << 6 | UInt32(text[at + 3] & 0x3f), 4)
  }

  /// Neither combines nor is composed with what stands before it.
  private static func beginsCharacter(_ point: UInt32) -> Bool {
    switch point {
    case 0x1160...0x11ff, 0x9be, 0x9d7, 0xb3e, 0xb56, 0xb57, 0xbbe, 0xbd7, 0xcc2, 0xcd5, 0xcd6, 0xd3e, 0xd57, 0xdcf, 0xddf, 0x102e, 0x1b35: false
    case 0x11000...0x11fff: false
    default: utf8proc_get_property(Int32(bitPattern: point)).pointee.combining_class == 0
    }
  }

  /// Taken away after NFC: zero-width, byte-order mark, bidirectional controls, Mongolian vowel separator.
  static func isHidden(_ point: UInt32) -> Bool {
    switch point {
    case 0x200b...0x200f, 0x202a...0x202e, 0x2060, 0x2066...0x2069, 0x180e, 0xfeff: true
    default: false
    }
  }
  /// Its own NFC, and never composed with what stands before it (Unicode: NFC_QC=Yes and combining class 0). Ranges without exceptions;
  /// what is not listed takes the slower way.
  private static func isStable(_ point: UInt32) -> Bool {
    switch point {
    case 0..<0x300, 0x400...0x482, 0x48a...0x52f, 0x531...0x556, 0x561...0x587, 0x5d0...0x5ea, 0x620...0x64a, 0x2010...0x2027, 0x2030...0x205e,
      0x20a0...0x20bf, 0x2190...0x21ff, 0x2500...0x27bf, 0x3041...0x3096, 0x30a1...0x30fa, 0x3400...0x4dbf, 0x4e00...0x9fff, 0xac00...0xd7a3,
      0xe000...0xf8ff, 0xff01...0xff5e, 0xfffd, 0x1f300...0x1faff, 0x20000...0x2a6df, 0xe0001, 0xe0020...0xe007f:
      true
    default: false
    }
  }

  /// Lower case, character by character (Unicode's simple mapping; U+0130 becomes "i" and U+0307).
  static func lowered(_ text: Bytes) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(text.count + 8)
    var at = 0
    while at < text.count {
      if text[at] < 0x80 {
        out.append(asciiLower(text[at]))
        at += 1
        continue
      }
      let (point, length) = decode(text, at)
      at += length
      if point == 0x130 {
        out.append("i\u{307}" as StaticString)
        continue
      }
      let lower = UInt32(bitPattern: utf8proc_tolower(Int32(bitPattern: point)))
      guard let scalar = Unicode.Scalar(lower) else { continue }
      out.append(contentsOf: UTF8.encode(scalar)!)
    }
    return out
  }
}
