// Texts in which a scan found nothing, by field: user agents, referrers and common paths come again and again.
// What must stay true: only an equal text is taken for known, so a result never depends on what is kept here; the size is fixed,
// and a text that hashes to a taken place replaces what is there.
import Glibc
import Primitives

struct QuietTexts {
  /// Longer texts are scanned each time.
  private static let longest = 254
  private static let places = 64
  private static let stride = 256

  /// By slot: a row of `places`, each a length (two bytes, zero: empty) and the text.
  private let rows: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private let slotCount: Int

  /// `hasRow`: the slots that are scanned at all.
  init(slotCount: Int, hasRow: (Int) -> Bool) {
    self.slotCount = slotCount
    rows = .allocate(capacity: max(1, slotCount))
    rows.initialize(repeating: nil, count: max(1, slotCount))
    for slot in 0..<slotCount where hasRow(slot) {
      let row = UnsafeMutableRawPointer.allocate(byteCount: QuietTexts.places * QuietTexts.stride, alignment: 64)
      row.initializeMemory(as: UInt8.self, repeating: 0, count: QuietTexts.places * QuietTexts.stride)
      rows[slot] = row
    }
  }
  func deallocate() {
    for slot in 0..<slotCount { rows[slot]?.deallocate() }
    rows.deallocate()
  }

  /// Where `text` is or would be kept; nil if it is too long, empty, or of a field that is not scanned.
  @inline(__always)
  func place(_ slot: Int, _ text: Bytes) -> UnsafeMutableRawPointer? {
    guard let row = rows[slot], text.count > 0, text.count <= QuietTexts.longest else { return nil }
    return row + QuietTexts.place(of: text) * QuietTexts.stride
  }
  @inline(__always)
  func holds(_ text: Bytes, at place: UnsafeMutableRawPointer) -> Bool {
    guard let base = text.baseAddress, Int(place.load(as: UInt16.self)) == text.count else { return false }
    return memcmp(place + 2, base, text.count) == 0
  }
  @inline(__always)
  func keep(_ text: Bytes, at place: UnsafeMutableRawPointer) {
    guard let base = text.baseAddress else { return }
    place.storeBytes(of: UInt16(text.count), as: UInt16.self)
    (place + 2).copyMemory(from: base, byteCount: text.count)
  }

  /// A few words of the text tell usual texts apart; who makes them collide only has his own texts scanned.
  @inline(__always)
  private static func place(of text: Bytes) -> Int {
    var h = UInt64(truncatingIfNeeded: text.count) &* 0x9e37_79b9_7f4a_7c15
    if text.count >= 8 {
      let last = text.count - 8
      func mix(_ at: Int) {
        h = (h ^ text.loadUnaligned(fromByteOffset: at, as: UInt64.self)) &* 0xbf58_476d_1ce4_e5b9
        h ^= h >> 29
      }
      mix(0)
      mix(last / 3)
      mix(last / 3 * 2)
      mix(last)
    } else {
      for byte in text { h = (h ^ UInt64(byte)) &* 0xbf58_476d_1ce4_e5b9 }
    }
    return Int(truncatingIfNeeded: h >> 40) & (places - 1)
  }
}
