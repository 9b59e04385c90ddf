// How many different things were met lately, in a few words: linear counting (Whang, Vander-Zanden, Taylor 1990) without its estimate. Each thing
// sets one bit; bits that are set are at most the number of things, and hardly fewer while they are few: a threshold is met late, never early.
// Two bitmaps of half a window each: together they hold between half of it and all of it.
import Primitives

struct PairedBitmap {
  private var current: [UInt64]
  private var previous: [UInt64]
  private var began = EventTime.distantPast

  init(words: Int) {
    current = [UInt64](repeating: 0, count: words)
    previous = current
  }

  /// Bits set in either half.
  var count: Int {
    var total = 0
    for index in current.indices { total += (current[index] | previous[index]).nonzeroBitCount }
    return total
  }

  /// Nothing of what it holds is recent.
  func isStale(at time: EventTime, _ half: Int64) -> Bool { began == .distantPast || (time - began).count >= 2 * half }

  /// `hash`: of which the highest bits choose. `half`: nanoseconds.
  mutating func insert(_ hash: UInt64, at time: EventTime, _ half: Int64) {
    let age = began == .distantPast ? Int64.max : (time - began).count
    if age >= half {
      let isNext = age < 2 * half
      for index in current.indices {
        previous[index] = isNext ? current[index] : 0
        current[index] = 0
      }
      began = time
    }
    let bit = Int(hash >> 32) % (current.count * 64)
    current[bit >> 6] |= 1 << UInt64(bit & 63)
  }

  /// The finalizer of MurmurHash3 (Appleby): the same in every process, because what is found must be.
  static func hash(_ value: UInt64) -> UInt64 {
    var x = value
    x = (x ^ x >> 33) &* 0xff51_afd7_ed55_8ccd
    x = (x ^ x >> 33) &* 0xc4ce_b9fe_1a85_ec53
    return x ^ x >> 33
  }
  static func hash(_ address: IPAddress) -> UInt64 { hash(address.high &+ hash(address.low)) }
}
