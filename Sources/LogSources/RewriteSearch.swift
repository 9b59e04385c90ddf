// Finds the last lines that were read in a file that was rewritten (lines removed or redacted before them), so that its old lines are
// not taken for new ones. Only ends of lines can be the place: reading stops nowhere else.
import Glibc
import Primitives

enum RewriteSearch {
  /// Offset behind the `anchorLength` bytes whose fingerprint is `anchor`, if they end with a newline somewhere in `log`; the last
  /// such place. One pass, linear: a fingerprint of at most 256 bytes for each line.
  static func offset(behind anchor: Fingerprint, anchorLength: Int, in log: OpenLog) -> UInt64? {
    let chunk = 64 * 1024
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk + FilePosition.anchorBytes, alignment: 8)
    defer { scratch.deallocate() }
    guard anchorLength > 0, anchorLength <= FilePosition.anchorBytes else { return nil }
    var found: UInt64?
    var base: UInt64 = 0  // offset of scratch[0]
    var have = 0
    while base < Limits.rewriteSearchBytes {
      let kept = have
      let got = log.readBytes(UnsafeMutableRawBufferPointer(rebasing: scratch[have..<scratch.count]), at: base + UInt64(have))
      guard got > 0 else { break }
      have += got
      let bytes = Bytes(rebasing: scratch[0..<have])
      var at = kept
      while let newline = bytes.index(of: 0x0a, from: at) {
        at = newline + 1
        if at >= anchorLength, Fingerprint(of: bytes.slice(at - anchorLength, at)) == anchor { found = base + UInt64(at) }
      }
      let drop = max(0, have - FilePosition.anchorBytes)
      if drop > 0, let start = scratch.baseAddress { memmove(start, start + drop, have - drop) }
      base += UInt64(drop)
      have -= drop
    }
    return found
  }
}
