// How many different things there were, in a few words of memory: a bitmap of hashes (linear counting, Whang et al. 1990), where each new bit
// counts for as many things as it took on average to find one that was free (Cohen 2015, "historic inverse probability").
// What must stay true: the same things in the same order give the same number; integers only.

/// 1,024 bits: exact to a few per cent up to about 3,000; beyond that it tells too little, never too much.
struct DistinctCounter {
  private var bits = InlineArray<16, UInt64>(repeating: 0)
  private var used: Int32 = 0
  private var thousandths: Int64 = 0

  var count: Int { Int(thousandths / 1000) }
  /// Times that `insert` said that it was a new one: fewer than `count` once the bitmap fills up.
  var measured: Int { Int(used) }

  /// Whether it is a new one, as far as the bitmap can tell. `hash`: well mixed.
  mutating func insert(_ hash: UInt64) -> Bool {
    let place = Int(truncatingIfNeeded: hash & 1023)
    let mask: UInt64 = 1 << UInt64(place & 63)
    if bits[place >> 6] & mask != 0 { return false }
    bits[place >> 6] |= mask
    thousandths += 1_024_000 / Int64(1024 - used)
    used += 1
    return true
  }
}
