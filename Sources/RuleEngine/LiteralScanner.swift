// Which of many literals does a text contain, and where? One pass over the text as it is: at each byte the next eight, four, three and two
// are hashed into bitmaps; the few places that hit look at the literals filed under these bytes, and are compared.
// Each literal is filed once: under its rarest eight bytes, or four (GramRarity), so that ordinary text seldom hits, or as a whole if it is
// shorter.
// What must stay true: every occurrence is found, whatever the alignment, with ASCII letters of both cases alike; nothing outside the
// text is read; the work for each byte is bounded by the longest list of literals under one gram.
import CLinux
import Primitives
import RegularExpressions

/// Where a literal's first and last occurrence in one text begin. Plain data.
struct LiteralMark {
  var first: UInt32 = 0
  var last: UInt32 = 0
}

/// One occurrence, kept where texts are long: a list from the last to the first.
struct LiteralPlace {
  var at: UInt32
  var before: Int32
}

/// What a scan fills. One for each text of an event, reused. Places are those of the text's scan form.
struct LiteralHits {
  /// By literal, where it was found.
  private let marks: UnsafeMutablePointer<LiteralMark>
  /// By literal, where it was found: the newest of its places, if they are kept.
  private let newest: UnsafeMutablePointer<Int32>
  /// Literals that were found, in the order of their first place, of those that are listed.
  let found: UnsafeMutablePointer<Int32>
  /// Which bytes the text has: a bit for each of the 256. Then a word of ones, and then, by literal, whether it was found.
  let bits: UnsafeMutablePointer<UInt32>
  private(set) var foundCount = 0
  private(set) var places: [LiteralPlace] = []
  /// Places were kept, and all of them.
  private(set) var hasPlaces = false
  /// Where the scan form parts from the text, ascending; empty: it is the text.
  var shifts: [ScanShift] = []
  private let literalCount: Int
  /// Literals below this number keep their places.
  private let placedCount: Int32

  init(literalCount: Int, placedCount: Int? = nil) {
    self.literalCount = literalCount
    self.placedCount = Int32(placedCount ?? literalCount)
    marks = .allocate(capacity: max(1, placedCount ?? literalCount))
    marks.initialize(repeating: LiteralMark(), count: max(1, placedCount ?? literalCount))
    newest = .allocate(capacity: max(1, placedCount ?? literalCount))
    newest.initialize(repeating: -1, count: max(1, placedCount ?? literalCount))
    found = .allocate(capacity: max(1, literalCount))
    found.initialize(repeating: 0, count: max(1, literalCount))
    bits = .allocate(capacity: LiteralHits.words(literalCount))
    bits.initialize(repeating: 0, count: LiteralHits.words(literalCount))
  }
  func deallocate() {
    marks.deallocate()
    newest.deallocate()
    found.deallocate()
    bits.deallocate()
  }
  private static func words(_ count: Int) -> Int { (count + 31) / 32 + Int(firstWord) }
  static let constantWord: Int32 = 8
  /// Where literals' bits begin.
  static let firstWord: Int32 = 9

  /// `bytes`: those of the text as it is.
  mutating func begin(keepsPlaces: Bool, bytes: ByteMask = ByteMask()) {
    foundCount = 0
    func put(_ word: UInt64, at place: Int) {
      bits[place] = UInt32(truncatingIfNeeded: word)
      bits[place + 1] = UInt32(truncatingIfNeeded: word >> 32)
    }
    put(bytes.a, at: 0)
    put(bytes.b, at: 2)
    put(bytes.c, at: 4)
    put(bytes.d, at: 6)
    bits[Int(LiteralHits.constantWord)] = .max
    (bits + Int(LiteralHits.firstWord)).update(repeating: 0, count: LiteralHits.words(literalCount) - Int(LiteralHits.firstWord))
    hasPlaces = keepsPlaces
    LiteralHits.empty(&places)
    LiteralHits.empty(&shifts)
  }
  private static func empty<T>(_ list: inout [T]) {
    if list.isEmpty { return }
    if list.capacity > 65_536 { list = [] } else { list.removeAll(keepingCapacity: true) }
  }
  /// The first place of the text that one of the scan form stands for.
  @inline(__always)
  func first(_ place: UInt32) -> Int { shifts.isEmpty ? Int(place) : origin(place) }
  /// The last one: the end of a run of white space.
  @inline(__always)
  func last(_ place: UInt32) -> Int { shifts.isEmpty ? Int(place) : max(origin(place), origin(place &+ 1) - 1) }
  private func origin(_ place: UInt32) -> Int {
    var low = 0
    var high = shifts.count
    while low < high {
      let middle = (low + high) / 2
      if shifts[middle].place <= place { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? Int(place) : Int(shifts[low - 1].origin) + Int(place - shifts[low - 1].place)
  }
  @inline(__always)
  func mark(_ literal: Int32) -> LiteralMark? {
    bits[Int(literal &>> 5 &+ LiteralHits.firstWord)] &>> UInt32(literal & 31) & 1 == 0 ? nil : marks[Int(literal)]
  }
  /// The index of the last of the places of a literal that was found, which are kept.
  @inline(__always)
  func newestPlace(_ literal: Int32) -> Int32 { newest[Int(literal)] }
  @inline(__always)
  fileprivate mutating func add(_ literal: Int32, at place: Int, isListed: Bool) {
    let word = bits + Int(literal &>> 5 &+ LiteralHits.firstWord)
    let bit: UInt32 = 1 &<< UInt32(literal & 31)
    let isNew = word.pointee & bit == 0
    if isNew {
      word.pointee |= bit
      if isListed {
        found[foundCount] = literal
        foundCount &+= 1
      }
    }
    if literal >= placedCount { return }
    let at = UInt32(truncatingIfNeeded: place)
    if isNew {
      marks[Int(literal)] = LiteralMark(first: at, last: at)
    } else {
      // Literals are met in the order of their grams, so a place may lie before one that was met already only for another literal.
      marks[Int(literal)].last = at
    }
    if hasPlaces { keep(literal, at, isNew: isNew) }
  }
  private mutating func keep(_ literal: Int32, _ at: UInt32, isNew: Bool) {
    guard places.count < Limits.literalPlaces else {
      hasPlaces = false
      return
    }
    places.append(LiteralPlace(at: at, before: isNew ? -1 : newest[Int(literal)]))
    newest[Int(literal)] = Int32(places.count - 1)
  }
}

final class LiteralScanner {
  static let shortest = 2
  static let longest = 255

  /// One literal under its gram. Plain data.
  private struct Entry {
    /// The literal's last eight bytes; of a shorter one its first four and its last four; of two or three bytes these.
    var word: UInt64
    /// Its first eight, if it is longer than eight: all of it where it is no longer than both.
    var first: UInt64
    var literal: Int32
    /// Where the literal's bytes begin in `bytes`.
    var bytesAt: Int32
    /// Where the others of the same bucket begin, or -1; they stand one after the other.
    var more: Int32
    /// Where in the literal the gram is.
    var gramAt: UInt8
    var length: UInt8
    private var flags: UInt8
    var isLast: Bool { flags & 1 != 0 }
    var isListed: Bool { flags & 2 != 0 }
    init(word: UInt64, first: UInt64, literal: Int32, bytesAt: Int32, more: Int32, gramAt: UInt8, length: UInt8, isLast: Bool, isListed: Bool) {
      self.word = word
      self.first = first
      self.literal = literal
      self.bytesAt = bytesAt
      self.more = more
      self.gramAt = gramAt
      self.length = length
      flags = (isLast ? 1 : 0) | (isListed ? 2 : 0)
    }
  }
  /// Which grams of one width there are: a bit for each hash. The n-th bit that is set stands for the n-th of the index's entries.
  private struct GramIndex {
    let bits: UnsafeMutablePointer<UInt64>
    /// By word of `bits`: the entry of its first bit.
    let ranks: UnsafeMutablePointer<Int32>
    let shift: UInt32

    /// At most one bit in sixteen is set, and the bits stay inside the first or second level cache.
    init(grams: Int) {
      var log: UInt32 = 12
      while log < 22, grams * 16 > 1 << Int(log) { log += 1 }
      shift = 32 - log
      bits = .allocate(capacity: 1 << Int(log - 6))
      bits.initialize(repeating: 0, count: 1 << Int(log - 6))
      ranks = .allocate(capacity: 1 << Int(log - 6))
      ranks.initialize(repeating: 0, count: 1 << Int(log - 6))
    }
    func write(to writer: inout TableWriter) {
      writer.put(bits, 1 << Int(26 - shift))
      writer.put(ranks, 1 << Int(26 - shift))
    }
    init?(from reader: inout TableReader) {
      guard let bits = reader.take(UInt64.self) else { return nil }
      guard bits.count.nonzeroBitCount == 1, bits.count >= 64, let ranks = reader.take(Int32.self) else {
        bits.first.deallocate()
        return nil
      }
      self.bits = bits.first
      self.ranks = ranks.first
      shift = 26 - UInt32(bits.count.trailingZeroBitCount)
    }
    func deallocate() {
      bits.deallocate()
      ranks.deallocate()
    }
    @inline(__always) func bucket(_ gram: UInt32) -> UInt32 { (gram &* 0x9e37_79b1) &>> shift }
    /// Of eight bytes.
    @inline(__always) func bucket(_ gram: UInt64) -> UInt32 {
      UInt32(truncatingIfNeeded: (gram &* 0x9e37_79b9_7f4a_7c15) &>> 32) &>> shift
    }
    /// `bucketed`: the buckets that are used, ascending; the first of them has the entry `first`.
    func fill(_ bucketed: [UInt32], first: Int) {
      var words: [Int: Int32] = [:]
      for (n, bucket) in bucketed.enumerated() {
        bits[Int(bucket >> 6)] |= 1 << UInt64(bucket & 63)
        if words[Int(bucket >> 6)] == nil {
          words[Int(bucket >> 6)] = 1
          ranks[Int(bucket >> 6)] = Int32(first + n)
        }
      }
    }
    /// 1 or 0.
    @inline(__always) func hit(_ bucket: UInt32) -> UInt64 { bits[Int(bucket &>> 6)] &>> UInt64(bucket & 63) & 1 }
    @inline(__always) func entry(_ bucket: UInt32) -> Int {
      let word = Int(bucket &>> 6)
      return Int(ranks[word]) &+ (bits[word] & (1 &<< UInt64(bucket & 63) &- 1)).nonzeroBitCount
    }
  }

  let literalCount: Int
  /// The first so many are sought for their places, the others only for whether they are there.
  let placedCount: Int
  /// Literals under the hash that has most: the bound of the work for one byte.
  private(set) var longestList = 0
  private let entries: UnsafeMutablePointer<Entry>
  private let bytes: UnsafeMutablePointer<UInt8>
  private let eight: GramIndex
  private let four: GramIndex
  private let three: GramIndex
  private let two: GramIndex

  /// `literals`: distinct, ASCII letters in lower case, `shortest` to `longest` bytes each.
  /// `listed`: by literal, whether `LiteralHits.found` has it; empty: all are.
  init(_ literals: [[UInt8]], placed: Int = .max, listed: [Bool] = []) {
    precondition(literals.allSatisfy { $0.count >= LiteralScanner.shortest && $0.count <= LiteralScanner.longest })
    literalCount = literals.count
    placedCount = min(placed, literals.count)
    let total = literals.reduce(0) { $0 + $1.count }
    bytesTotal = total + 8
    bytes = .allocate(capacity: bytesTotal)
    bytes.initialize(repeating: 0, count: bytesTotal)
    var offsets: [Int32] = []
    offsets.reserveCapacity(literals.count)
    var at = 0
    for literal in literals {
      offsets.append(Int32(at))
      for byte in literal {
        bytes[at] = byte
        at += 1
      }
    }
    let filed = LiteralScanner.file(literals)
    eight = GramIndex(grams: Set(filed.lazy.filter { $0.width == 8 }.map(\.key)).count)
    four = GramIndex(grams: Set(filed.lazy.filter { $0.width == 4 }.map(\.key)).count)
    three = GramIndex(grams: filed.count { $0.width == 3 })
    two = GramIndex(grams: filed.count { $0.width == 2 })
    entries = .allocate(capacity: max(1, literals.count))
    // First of each bucket one, in the order of the buckets; behind these what else the buckets have.
    let buckets = filed.map { place -> UInt64 in
      switch place.width {
      case 8: UInt64(eight.bucket(place.key))
      case 4: 1 << 32 | UInt64(four.bucket(UInt32(place.key)))
      case 3: 2 << 32 | UInt64(three.bucket(UInt32(place.key)))
      default: 3 << 32 | UInt64(two.bucket(UInt32(place.key)))
      }
    }
    let order = filed.indices.sorted { (buckets[$0], $0) < (buckets[$1], $1) }
    var used: [[UInt32]] = [[], [], [], []]
    var starts: [Int] = []
    for (n, index) in order.enumerated() where n == 0 || buckets[order[n - 1]] != buckets[index] {
      starts.append(n)
      used[Int(buckets[index] >> 32)].append(UInt32(truncatingIfNeeded: buckets[index]))
    }
    var first = 0
    for (index, used) in zip([eight, four, three, two], used) {
      index.fill(used, first: first)
      first += used.count
    }
    var next = starts.count
    for (bucket, start) in starts.enumerated() {
      let end = bucket + 1 < starts.count ? starts[bucket + 1] : order.count
      longestList = max(longestList, end - start)
      for n in start..<end {
        let index = order[n]
        let literal = literals[index]
        var word: UInt64 = 0
        if literal.count >= 8 {
          word = LiteralScanner.word(bytes + (Int(offsets[index]) + literal.count - 8))
        } else if literal.count >= 4 {
          word = LiteralScanner.ends(bytes + Int(offsets[index]), literal.count)
        } else {
          for (at, byte) in literal.enumerated() { word |= UInt64(byte) << UInt64(at * 8) }
        }
        (entries + (n == start ? bucket : next)).initialize(
          to: Entry(
            word: word, first: literal.count > 8 ? LiteralScanner.word(bytes + Int(offsets[index])) : 0, literal: Int32(index),
            bytesAt: offsets[index], more: n == start && end - start > 1 ? Int32(next) : -1,
            gramAt: UInt8(filed[index].at), length: UInt8(literal.count), isLast: n + 1 == end,
            isListed: listed.isEmpty || listed[index]))
        if n > start { next += 1 }
      }
    }
  }

  // MARK: On disk

  private let bytesTotal: Int
  func write(to writer: inout TableWriter) {
    writer.put([Int64(literalCount), Int64(placedCount), Int64(longestList)])
    writer.put(entries, literalCount)
    writer.put(bytes, bytesTotal)
    for index in [eight, four, three, two] { index.write(to: &writer) }
  }
  init?(from reader: inout TableReader) {
    guard let numbers = reader.list(Int64.self), numbers.count == 3, let entries = reader.take(Entry.self) else { return nil }
    guard entries.count == numbers[0], let bytes = reader.take(UInt8.self) else {
      entries.first.deallocate()
      return nil
    }
    guard let eight = GramIndex(from: &reader), let four = GramIndex(from: &reader), let three = GramIndex(from: &reader),
      let two = GramIndex(from: &reader)
    else {
      entries.first.deallocate()
      bytes.first.deallocate()
      return nil
    }
    literalCount = Int(numbers[0])
    placedCount = Int(numbers[1])
    longestList = Int(numbers[2])
    self.entries = entries.first
    self.bytes = bytes.first
    bytesTotal = bytes.count
    (self.eight, self.four, self.three, self.two) = (eight, four, three, two)
  }
  deinit {
    entries.deallocate()
    bytes.deallocate()
    eight.deallocate()
    four.deallocate()
    three.deallocate()
    two.deallocate()
  }

  // MARK: Filing

  private struct Filed {
    var key: UInt64
    var at: Int
    /// Of the gram: 8, 4, 3 or 2.
    var width: Int
  }

  /// Where each literal is filed: the rarest gram, of equal ones the one with fewest literals under it. Literals with little choice
  /// go first.
  private static func file(_ literals: [[UInt8]]) -> [Filed] {
    let rarity = GramRarity()
    var filed = Array(repeating: Filed(key: 0, at: 0, width: 2), count: literals.count)
    var counts: [UInt64: UInt64] = [:]
    counts.reserveCapacity(literals.count)
    for index in literals.indices.sorted(by: { (literals[$0].count, $0) < (literals[$1].count, $1) }) {
      let literal = literals[index]
      guard literal.count >= 4 else {
        var key: UInt64 = 0
        for (at, byte) in literal.enumerated() { key |= UInt64(byte | 0x20) << UInt64(at * 8) }
        filed[index] = Filed(key: key, at: 0, width: literal.count)
        continue
      }
      let width = literal.count >= 8 ? 8 : 4
      func frequency(_ at: Int) -> UInt64 { rarity.frequency(literal[at], literal[at + 1], literal[at + 2], literal[at + 3]) }
      var best: (cost: UInt64, at: Int, key: UInt64)?
      for at in 0...literal.count - width {
        let key = gram(literal, at, width)
        let cost = (width == 8 ? min(frequency(at), frequency(at + 4)) : frequency(at)) * (1 + (counts[key] ?? 0))
        if best == nil || cost < best!.cost { best = (cost, at, key) }
      }
      counts[best!.key, default: 0] += 1
      filed[index] = Filed(key: best!.key, at: best!.at, width: width)
    }
    return filed
  }
  private static func gram(_ literal: [UInt8], _ at: Int, _ width: Int) -> UInt64 {
    (0..<width).reduce(0) { $0 | UInt64(literal[at + $1] | 0x20) << UInt64($1 * 8) }
  }

  // MARK: Words

  /// Eight bytes with ASCII capitals made small, all others as they are.
  @inline(__always)
  static func folded(_ word: UInt64) -> UInt64 {
    let low: UInt64 = 0x0101_0101_0101_0101
    let seven = word & (low &* 0x7f)
    let fromA = seven &+ (low &* (0x80 - 0x41))
    let beyondZ = seven &+ (low &* (0x7f - 0x5a))
    let isCapital = (fromA ^ beyondZ) & ~word & (low &* 0x80)
    return word | isCapital >> 2
  }
  @inline(__always)
  private static func word(_ at: UnsafePointer<UInt8>) -> UInt64 { UnsafeRawPointer(at).loadUnaligned(as: UInt64.self).littleEndian }
  @inline(__always)
  private static func half(_ at: UnsafePointer<UInt8>) -> UInt32 { UnsafeRawPointer(at).loadUnaligned(as: UInt32.self).littleEndian }
  @inline(__always)
  private static func word(_ at: UnsafeMutablePointer<UInt8>) -> UInt64 { word(UnsafePointer(at)) }
  /// The first and the last four bytes of 4 to 7.
  @inline(__always)
  private static func ends(_ at: UnsafePointer<UInt8>, _ count: Int) -> UInt64 { UInt64(half(at)) | UInt64(half(at + (count - 4))) << 32 }
  @inline(__always)
  private static func ends(_ at: UnsafeMutablePointer<UInt8>, _ count: Int) -> UInt64 { ends(UnsafePointer(at), count) }

  // MARK: Scanning

  /// Places that are hashed before the first of their hits is looked at: what a hit leads to lies far apart in memory, and so is on its
  /// way before it is needed.
  private static let block = 256

  /// Finds all literals in `text` (shorter than 4 GiB).
  func scan(_ text: Bytes, _ hits: UnsafeMutablePointer<LiteralHits>) {
    guard let base = text.baseAddress?.assumingMemoryBound(to: UInt8.self), text.count >= LiteralScanner.shortest else { return }
    // Room for a hit of each width at each place of a block, and for the four places that a word may go beyond it.
    withUnsafeTemporaryAllocation(of: Hit.self, capacity: 4 * (LiteralScanner.block + 8)) { memory in
      guard let long = memory.baseAddress else { return }
      let short = long + 2 * (LiteralScanner.block + 8)
      var i = 0
      while i <= text.count - LiteralScanner.shortest { i = scanBlock(i, base, text.count, hits, long, short) }
    }
  }

  /// A bucket that was hit, and then its entry; and where.
  private struct Hit {
    var entry: UInt32
    var at: UInt32
  }

  /// The hits that begin in a block from `start` on; where it ends.
  private func scanBlock(
    _ start: Int, _ base: UnsafePointer<UInt8>, _ count: Int, _ hits: UnsafeMutablePointer<LiteralHits>, _ long: UnsafeMutablePointer<Hit>,
    _ short: UnsafeMutablePointer<Hit>
  ) -> Int {
    let (eight, four, three, two) = (eight, four, three, two)
    var longCount = 0
    var shortCount = 0
    // Each is written, and counted if it is one.
    @inline(__always) func visit(_ gram: UInt32, _ i: Int) {
      let at = UInt32(truncatingIfNeeded: i)
      let bucket = four.bucket(gram)
      long[longCount] = Hit(entry: bucket, at: at)
      longCount &+= Int(truncatingIfNeeded: four.hit(bucket))
      visitShort(gram & 0xff_ffff, gram & 0xffff, at)
    }
    @inline(__always) func visitWide(_ gram: UInt64, _ i: Int) {
      let bucket = eight.bucket(gram)
      long[longCount] = Hit(entry: bucket | LiteralScanner.isOfEight, at: UInt32(truncatingIfNeeded: i))
      longCount &+= Int(truncatingIfNeeded: eight.hit(bucket))
      visit(UInt32(truncatingIfNeeded: gram), i)
    }
    @inline(__always) func visitShort(_ triple: UInt32, _ pair: UInt32, _ at: UInt32) {
      let bucket = three.bucket(triple)
      short[shortCount] = Hit(entry: bucket | LiteralScanner.isTriple, at: at)
      shortCount &+= Int(truncatingIfNeeded: three.hit(bucket))
      visitPair(pair, at)
    }
    @inline(__always) func visitPair(_ pair: UInt32, _ at: UInt32) {
      let bucket = two.bucket(pair)
      short[shortCount] = Hit(entry: bucket, at: at)
      shortCount &+= Int(truncatingIfNeeded: two.hit(bucket))
    }
    var i = start
    let end = min(count, start + LiteralScanner.block)
    let lastWord = min(end, count - 7)
    while i < lastWord {
      visitWide(LiteralScanner.word(base + i) | 0x2020_2020_2020_2020, i)
      i &+= 1
    }
    while i < end {
      let at = UInt32(truncatingIfNeeded: i)
      if i <= count - 4 {
        visit(LiteralScanner.half(base + i) | 0x2020_2020, i)
      } else if i <= count - 3 {
        let triple = LiteralScanner.rest(base + i, 3) | 0x20_2020
        visitShort(triple, triple & 0xffff, at)
      } else if i <= count - 2 {
        visitPair(LiteralScanner.rest(base + i, 2) | 0x2020, at)
      }
      i &+= 1
    }
    for n in 0..<longCount {
      let bucket = long[n].entry & ~LiteralScanner.isOfEight
      let entry = long[n].entry == bucket ? four.entry(bucket) : eight.entry(bucket)
      long[n].entry = UInt32(truncatingIfNeeded: entry)
      pg_prefetch(entries + entry)
    }
    for n in 0..<shortCount {
      let bucket = short[n].entry & ~LiteralScanner.isTriple
      let entry = short[n].entry == bucket ? two.entry(bucket) : three.entry(bucket)
      short[n].entry = UInt32(truncatingIfNeeded: entry)
      pg_prefetch(entries + entry)
    }
    for n in 0..<longCount { look(Int(long[n].entry), Int(long[n].at), base, count, hits) }
    for n in 0..<shortCount {
      let at = Int(short[n].at)
      // The last bytes have no fourth behind them to be read with.
      let bytes = at <= count - 4 ? LiteralScanner.half(base + at) : LiteralScanner.rest(base + at, count - at)
      lookShort(Int(short[n].entry), bytes, at, hits)
    }
    return i
  }
  private static let isTriple: UInt32 = 1 << 31
  private static let isOfEight: UInt32 = 1 << 31
  /// The text's last bytes, at most three.
  @inline(__always)
  private static func rest(_ at: UnsafePointer<UInt8>, _ count: Int) -> UInt32 {
    UInt32(at[0]) | UInt32(at[1]) &<< 8 | (count > 2 ? UInt32(at[2]) &<< 16 : 0)
  }

  @inline(__always)
  private func look(_ first: Int, _ i: Int, _ base: UnsafePointer<UInt8>, _ count: Int, _ hits: UnsafeMutablePointer<LiteralHits>) {
    var entry = UnsafePointer(entries + first)
    let more = Int(entry.pointee.more)
    while true {
      let start = i &- Int(entry.pointee.gramAt)
      let length = Int(entry.pointee.length)
      if start >= 0, start &+ length <= count {
        if length >= 8 {
          if LiteralScanner.folded(LiteralScanner.word(base + (start &+ length &- 8))) == entry.pointee.word,
            length == 8 || LiteralScanner.folded(LiteralScanner.word(base + start)) == entry.pointee.first,
            length <= 16 || isEqual(base + start, bytes + Int(entry.pointee.bytesAt), length)
          {
            hits.pointee.add(entry.pointee.literal, at: start, isListed: entry.pointee.isListed)
          }
        } else if LiteralScanner.folded(LiteralScanner.ends(base + start, length)) == entry.pointee.word {
          hits.pointee.add(entry.pointee.literal, at: start, isListed: entry.pointee.isListed)
        }
      }
      if entry.pointee.isLast { return }
      entry = entry == UnsafePointer(entries + first) ? UnsafePointer(entries + more) : entry + 1
    }
  }
  /// At least eight bytes.
  @inline(__always)
  private func isEqual(_ text: UnsafePointer<UInt8>, _ literal: UnsafeMutablePointer<UInt8>, _ length: Int) -> Bool {
    var at = 0
    while at + 8 <= length {
      if LiteralScanner.folded(LiteralScanner.word(text + at)) != LiteralScanner.word(literal + at) { return false }
      at += 8
    }
    return at == length || LiteralScanner.folded(LiteralScanner.word(text + (length - 8))) == LiteralScanner.word(literal + (length - 8))
  }

  /// Literals of two and three bytes are compared whole: `bytes` are the text's next four.
  @inline(__always)
  private func lookShort(_ first: Int, _ bytes: UInt32, _ i: Int, _ hits: UnsafeMutablePointer<LiteralHits>) {
    let folded = LiteralScanner.folded(UInt64(bytes))
    var entry = UnsafePointer(entries + first)
    let more = Int(entry.pointee.more)
    while true {
      if folded & (entry.pointee.length > 2 ? 0xff_ffff : 0xffff) == entry.pointee.word {
        hits.pointee.add(entry.pointee.literal, at: i, isListed: entry.pointee.isListed)
      }
      if entry.pointee.isLast { return }
      entry = entry == UnsafePointer(entries + first) ? UnsafePointer(entries + more) : entry + 1
    }
  }
}
