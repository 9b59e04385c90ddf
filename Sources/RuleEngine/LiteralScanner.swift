// Which of many literals does a text contain, and where? One pass over the text with ASCII capitals made small: at each byte the next
// eight, four, three and two are hashed into bitmaps; the few places that hit look at the literals filed under these bytes, and are compared.
// Each literal is filed once: under its rarest eight bytes, or four (GramRarity), so that ordinary text seldom hits, or as a whole if it is
// shorter.
// How it is fast: whether a place hits, or a literal is there, is not foreseeable, and a processor that guesses wrongly loses more time than
// the look takes. So each step writes what it has and counts it if it is one, without a branch; the next step walks over what was counted.
// What must stay true: every occurrence is found, whatever the alignment, with ASCII letters of both cases alike; nothing outside the
// text counts; the work for each byte is bounded by the longest list of literals under one gram, of which each byte begins four.
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
  /// By literal, where it was found; and then one for all that do not keep their places.
  private let marks: UnsafeMutablePointer<LiteralMark>
  /// By literal, where it was found: the newest of its places, if they are kept.
  private let newest: UnsafeMutablePointer<Int32>
  /// Literals that were found, in the order of their first gram, of those that are listed.
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
    marks = .allocate(capacity: (placedCount ?? literalCount) + 1)
    marks.initialize(repeating: LiteralMark(), count: (placedCount ?? literalCount) + 1)
    newest = .allocate(capacity: max(1, placedCount ?? literalCount))
    newest.initialize(repeating: -1, count: max(1, placedCount ?? literalCount))
    found = .allocate(capacity: literalCount + 1)
    found.initialize(repeating: 0, count: literalCount + 1)
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
  /// Literals are met in the order of their grams: a place may lie before one that was met already only for another literal.
  @inline(__always)
  fileprivate mutating func add(_ literal: Int32, at place: UInt32, isListed: Int) {
    let word = bits + Int(literal &>> 5 &+ LiteralHits.firstWord)
    let bit = UInt32(literal & 31)
    let known = word.pointee &>> bit & 1
    word.pointee |= 1 &<< bit
    found[foundCount] = literal
    foundCount &+= Int(truncatingIfNeeded: known ^ 1) & isListed
    let mark = marks + Int(min(literal, placedCount))
    mark.pointee = LiteralMark(first: place ^ (place ^ mark.pointee.first) & (0 &- known), last: place)
    if hasPlaces, literal < placedCount { keep(literal, place, isNew: known == 0) }
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

  /// One literal under its gram. Plain data, two to a cache line.
  private struct Entry {
    /// The literal's last eight bytes; a shorter one behind zeros.
    var tail: UInt64
    /// Its first eight, if it is longer than eight: all of it where it is no longer than both.
    var head: UInt64
    var literal: Int32
    /// Where the literal's bytes begin in `bytes`.
    var bytesAt: Int32
    /// Where in the literal the gram is.
    var gramAt: UInt8
    var length: UInt8
    /// 1 or 0.
    var isListed: UInt8
  }

  /// Which grams there are: a bit for each hash, in a range for each width. The n-th bit that is set stands for the n-th bucket.
  private struct GramBits {
    let bits: UnsafeMutablePointer<UInt64>
    /// By word of `bits`: the bucket of its first bit.
    let ranks: UnsafeMutablePointer<Int32>
    let wordCount: Int
    private let fourMask: UInt32
    private let eightMask: UInt32
    private let eightFirst: UInt32
    /// Two bytes are their own hash.
    private static let threeFirst: UInt32 = 1 << 16
    private static let fourFirst: UInt32 = 2 << 16

    /// At most one bit in sixteen of four and eight bytes is set, and the bits stay inside the first or second level cache.
    init(fours: Int, eights: Int) {
      func size(_ grams: Int) -> UInt32 {
        var log: UInt32 = 12
        while log < 22, grams * 16 > 1 << Int(log) { log += 1 }
        return 1 << log
      }
      fourMask = size(fours) - 1
      eightMask = size(eights) - 1
      eightFirst = GramBits.fourFirst + fourMask + 1
      wordCount = Int(eightFirst + eightMask + 1) / 64
      bits = .allocateInLines(wordCount)
      bits.initialize(repeating: 0, count: wordCount)
      ranks = .allocateInLines(wordCount)
      ranks.initialize(repeating: 0, count: wordCount)
    }
    func write(to writer: inout TableWriter) {
      writer.put([Int64(fourMask), Int64(eightMask)])
      writer.put(bits, wordCount)
      writer.put(ranks, wordCount)
    }
    init?(from reader: inout TableReader) {
      guard let masks = reader.list(Int64.self), masks.count == 2, let bits = reader.take(UInt64.self) else { return nil }
      guard let ranks = reader.take(Int32.self) else {
        bits.first.deallocate()
        return nil
      }
      self.bits = bits.first
      self.ranks = ranks.first
      fourMask = UInt32(truncatingIfNeeded: masks[0])
      eightMask = UInt32(truncatingIfNeeded: masks[1])
      eightFirst = GramBits.fourFirst &+ fourMask &+ 1
      wordCount = bits.count
      guard Int(eightFirst) + Int(eightMask) + 1 == wordCount * 64, ranks.count == wordCount else {
        deallocate()
        return nil
      }
    }
    func deallocate() {
      bits.deallocate()
      ranks.deallocate()
    }

    // Of the first so many bytes of a word.
    @inline(__always) func two(_ word: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: word & 0xffff) }
    @inline(__always) func three(_ word: UInt64) -> UInt32 {
      GramBits.threeFirst &+ (UInt32(truncatingIfNeeded: word & 0xff_ffff) &* 0x9e37_79b1) &>> 16
    }
    @inline(__always) func four(_ word: UInt64) -> UInt32 {
      GramBits.fourFirst &+ UInt32(truncatingIfNeeded: ((word & 0xffff_ffff) &* 0x9e37_79b9_7f4a_7c15) &>> 40) & fourMask
    }
    @inline(__always) func eight(_ word: UInt64) -> UInt32 {
      eightFirst &+ UInt32(truncatingIfNeeded: (word &* 0x9e37_79b9_7f4a_7c15) &>> 40) & eightMask
    }
    func bit(_ gram: UInt64, width: Int) -> UInt32 { width == 8 ? eight(gram) : width == 4 ? four(gram) : width == 3 ? three(gram) : two(gram) }

    /// `used`: the bits of all buckets, ascending.
    func fill(_ used: [UInt32]) {
      for bit in used { bits[Int(bit >> 6)] |= 1 << UInt64(bit & 63) }
      var rank: Int32 = 0
      for word in 0..<wordCount {
        ranks[word] = rank
        rank += Int32(bits[word].nonzeroBitCount)
      }
    }
    /// 1 or 0.
    @inline(__always) func isSet(_ bit: UInt32) -> Int { Int(truncatingIfNeeded: bits[Int(bit &>> 6)] &>> UInt64(bit & 63) & 1) }
    /// Of a bit that is set.
    @inline(__always) func bucket(_ bit: UInt32) -> Int {
      let word = Int(bit &>> 6)
      return Int(ranks[word]) &+ (bits[word] & (1 &<< UInt64(bit & 63) &- 1)).nonzeroBitCount
    }
  }

  let literalCount: Int
  /// The first so many are sought for their places, the others only for whether they are there.
  let placedCount: Int
  /// Literals under the hash that has most: the bound of the work for one byte.
  private(set) var longestList = 0
  /// In the order of their buckets.
  private let entries: UnsafeMutablePointer<Entry>
  /// By bucket, where its entries begin; and where the last one's end.
  private let starts: UnsafeMutablePointer<Int32>
  private let bucketCount: Int
  private let bytes: UnsafeMutablePointer<UInt8>
  private let grams: GramBits
  private let memory: ScanMemory

  /// `literals`: distinct, ASCII letters in lower case, `shortest` to `longest` bytes each.
  /// `listed`: by literal, whether `LiteralHits.found` has it; empty: all are.
  init(_ literals: [[UInt8]], placed: Int = .max, listed: [Bool] = []) {
    precondition(literals.allSatisfy { $0.count >= LiteralScanner.shortest && $0.count <= LiteralScanner.longest })
    literalCount = literals.count
    placedCount = min(placed, literals.count)
    bytesTotal = literals.reduce(0) { $0 + $1.count } + 8
    bytes = .allocateInLines(bytesTotal)
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
    grams = GramBits(
      fours: Set(filed.lazy.filter { $0.width == 4 }.map(\.key)).count, eights: Set(filed.lazy.filter { $0.width == 8 }.map(\.key)).count)
    let bits = filed.map { [grams] in grams.bit($0.key, width: $0.width) }
    let order = filed.indices.sorted { (bits[$0], $0) < (bits[$1], $1) }
    var used: [UInt32] = []
    var starts: [Int32] = []
    entries = .allocateInLines(literals.count)
    for (n, index) in order.enumerated() {
      if n == 0 || bits[order[n - 1]] != bits[index] {
        used.append(bits[index])
        starts.append(Int32(n))
      }
      longestList = max(longestList, n + 1 - Int(starts[starts.count - 1]))
      let literal = literals[index]
      (entries + n).initialize(
        to: Entry(
          tail: LiteralScanner.word(literal.suffix(8)) << UInt64(max(0, 8 - literal.count) * 8),
          head: literal.count > 8 ? LiteralScanner.word(literal.prefix(8)) : 0, literal: Int32(index), bytesAt: offsets[index],
          gramAt: UInt8(filed[index].at), length: UInt8(literal.count), isListed: listed.isEmpty || listed[index] ? 1 : 0))
    }
    grams.fill(used)
    bucketCount = starts.count
    starts.append(Int32(literals.count))
    self.starts = .allocateInLines(starts.count)
    self.starts.initialize(from: starts, count: starts.count)
    memory = ScanMemory()
  }

  // MARK: On disk

  private let bytesTotal: Int
  func write(to writer: inout TableWriter) {
    writer.put([Int64(literalCount), Int64(placedCount), Int64(longestList)])
    writer.put(entries, literalCount)
    writer.put(starts, bucketCount + 1)
    writer.put(bytes, bytesTotal)
    grams.write(to: &writer)
  }
  init?(from reader: inout TableReader) {
    guard let numbers = reader.list(Int64.self), numbers.count == 3, let entries = reader.take(Entry.self) else { return nil }
    guard entries.count == numbers[0], let starts = reader.take(Int32.self) else {
      entries.first.deallocate()
      return nil
    }
    guard starts.count > 0, let bytes = reader.take(UInt8.self) else {
      entries.first.deallocate()
      starts.first.deallocate()
      return nil
    }
    guard let grams = GramBits(from: &reader) else {
      entries.first.deallocate()
      starts.first.deallocate()
      bytes.first.deallocate()
      return nil
    }
    literalCount = Int(numbers[0])
    placedCount = Int(numbers[1])
    longestList = Int(numbers[2])
    self.entries = entries.first
    self.starts = starts.first
    bucketCount = starts.count - 1
    self.bytes = bytes.first
    bytesTotal = bytes.count
    self.grams = grams
    memory = ScanMemory()
  }
  deinit {
    entries.deallocate()
    starts.deallocate()
    bytes.deallocate()
    grams.deallocate()
    memory.deallocate()
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
        filed[index] = Filed(key: word(literal[...]), at: 0, width: literal.count)
        continue
      }
      let width = literal.count >= 8 ? 8 : 4
      func frequency(_ at: Int) -> UInt64 { rarity.frequency(literal[at], literal[at + 1], literal[at + 2], literal[at + 3]) }
      var best: (cost: UInt64, at: Int, key: UInt64)?
      for at in 0...literal.count - width {
        let key = word(literal[at..<at + width])
        let cost = (width == 8 ? min(frequency(at), frequency(at + 4)) : frequency(at)) * (1 + (counts[key] ?? 0))
        if best == nil || cost < best!.cost { best = (cost, at, key) }
      }
      counts[best!.key, default: 0] += 1
      filed[index] = Filed(key: best!.key, at: best!.at, width: width)
    }
    return filed
  }
  /// Of eight bytes at most.
  private static func word(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } }

  // MARK: Scanning

  /// Finds all literals in `text` (shorter than 4 GiB).
  func scan(_ text: Bytes, _ hits: UnsafeMutablePointer<LiteralHits>) {
    guard let base = text.baseAddress?.assumingMemoryBound(to: UInt8.self), text.count >= LiteralScanner.shortest else { return }
    var start = 0
    while start < text.count {
      let folded = memory.fold(base, text.count, from: start)
      let end = min(text.count, start + ScanMemory.window)
      while start < end {
        let next = min(end, start + ScanMemory.block)
        look(places(start, next, folded), folded, text.count, hits)
        start = next
      }
    }
  }

  /// Where in a block a gram hits: so many of `memory.places`, whose words are bits.
  @inline(__always)
  private func places(_ start: Int, _ end: Int, _ folded: UnsafePointer<UInt8>) -> Int {
    let grams = grams
    let places = memory.places
    var count = 0
    @inline(__always) func visit(_ bit: UInt32, _ at: Int) {
      places[count] = ScanMemory.Place(word: bit, at: UInt32(truncatingIfNeeded: at))
      count &+= grams.isSet(bit)
    }
    for at in start..<end {
      let word = ScanMemory.word(folded + at)
      visit(grams.eight(word), at)
      visit(grams.four(word), at)
      visit(grams.three(word), at)
      visit(grams.two(word), at)
    }
    return count
  }

  /// What the literals filed under the grams at the first `count` of `memory.places` say. What these lead to lies far apart in memory, and so
  /// is asked for before it is needed.
  private func look(_ count: Int, _ folded: UnsafePointer<UInt8>, _ textCount: Int, _ hits: UnsafeMutablePointer<LiteralHits>) {
    let grams = grams
    let (places, tries) = (memory.places, memory.tries)
    for n in 0..<count {
      let bucket = grams.bucket(places[n].word)
      pg_prefetch(starts + bucket)
      places[n].word = UInt32(truncatingIfNeeded: bucket)
    }
    var tried = 0
    for n in 0..<count {
      let bucket = Int(places[n].word)
      let at = places[n].at
      var entry = UInt32(truncatingIfNeeded: starts[bucket])
      let end = UInt32(truncatingIfNeeded: starts[bucket &+ 1])
      pg_prefetch(entries + Int(entry))
      // Most have one or two.
      while true {
        tries[tried] = ScanMemory.Place(word: entry, at: at)
        tries[tried &+ 1] = ScanMemory.Place(word: entry &+ 1, at: at)
        tried &+= Int(min(2, end &- entry))
        if end &- entry <= 2 { break }
        entry &+= 2
        pg_prefetch(entries + Int(entry))
        if tried >= ScanMemory.mostTries {
          compare(tried, folded, textCount, hits)
          tried = 0
        }
      }
      if tried >= ScanMemory.mostTries {
        compare(tried, folded, textCount, hits)
        tried = 0
      }
    }
    compare(tried, folded, textCount, hits)
  }

  /// Tells `hits` of those of the first `count` of `memory.tries`, whose words are entries, that are there.
  private func compare(_ count: Int, _ folded: UnsafePointer<UInt8>, _ textCount: Int, _ hits: UnsafeMutablePointer<LiteralHits>) {
    let tries = memory.tries
    var kept = 0
    for n in 0..<count {
      let entry = entries + Int(tries[n].word)
      let length = Int(entry.pointee.length)
      let start = Int(tries[n].at) &- Int(entry.pointee.gramAt)
      let end = start &+ length
      let tail = (ScanMemory.word(folded + (end &- 8)) ^ entry.pointee.tail)
      let head = ScanMemory.word(folded + start) ^ entry.pointee.head
      let tailMask = UInt64.max &<< UInt64(truncatingIfNeeded: max(0, 8 &- length) &* 8)
      let headMask: UInt64 = length > 8 ? .max : 0
      // Negative: a part of it would lie outside the text.
      let room = start | (textCount &- end)
      tries[kept] = ScanMemory.Place(word: tries[n].word, at: UInt32(truncatingIfNeeded: start))
      kept &+= isZero(tail & tailMask | head & headMask | UInt64(bitPattern: Int64(room &>> 63)))
    }
    for n in 0..<kept {
      let entry = entries + Int(tries[n].word)
      let start = tries[n].at
      if entry.pointee.length > 16, !isEqual(folded + Int(start), bytes + Int(entry.pointee.bytesAt), Int(entry.pointee.length)) { continue }
      hits.pointee.add(entry.pointee.literal, at: start, isListed: Int(entry.pointee.isListed))
    }
  }
  /// All but the first and the last eight bytes, which are known.
  @inline(__always)
  private func isEqual(_ text: UnsafePointer<UInt8>, _ literal: UnsafeMutablePointer<UInt8>, _ length: Int) -> Bool {
    var at = 8
    while at + 8 < length {
      if ScanMemory.word(text + at) != ScanMemory.word(literal + at) { return false }
      at += 8
    }
    return true
  }
}

/// 1 or 0. The compiler makes branches of comparisons that are added up.
@inline(__always)
func isZero(_ word: UInt64) -> Int { Int(truncatingIfNeeded: (word | (0 &- word)) &>> 63 ^ 1) }

/// Working memory of a scan: a part of the text with small letters, and what is found in a block of it.
private struct ScanMemory {
  /// Bytes that are made small at a time; and of these, bytes that are hashed before the first of their hits is looked at.
  static let window = 4096
  static let block = 256
  /// Bytes around a window that a literal of which a gram is in it may have.
  private static let margin = LiteralScanner.longest + 1
  /// Entries that are compared at a time, about.
  static let mostTries = 1024

  /// Somewhere in the text, and what is there.
  struct Place {
    var word: UInt32
    var at: UInt32
  }
  private let text: UnsafeMutablePointer<UInt8>
  /// Room for a hit of each width at each place of a block, and one that is written and not counted.
  let places: UnsafeMutablePointer<Place>
  let tries: UnsafeMutablePointer<Place>

  init() {
    let room = ScanMemory.margin * 2 + ScanMemory.window + 16
    text = .allocateInLines(room)
    text.initialize(repeating: 0, count: room)
    places = .allocateInLines(ScanMemory.block * 4 + 1)
    places.initialize(repeating: Place(word: 0, at: 0), count: ScanMemory.block * 4 + 1)
    tries = .allocateInLines(ScanMemory.mostTries + 4)
    tries.initialize(repeating: Place(word: 0, at: 0), count: ScanMemory.mostTries + 4)
  }
  func deallocate() {
    text.deallocate()
    places.deallocate()
    tries.deallocate()
  }

  /// Takes the text's next `window` bytes from `start` on, and what a literal may have around them, with ASCII capitals made small. Byte `i` of
  /// the text is then `i` behind the result. What lies beyond the text may be read, and says nothing.
  @inline(__always)
  func fold(_ base: UnsafePointer<UInt8>, _ count: Int, from start: Int) -> UnsafePointer<UInt8> {
    let first = max(0, start - ScanMemory.margin)
    let end = min(count, start + ScanMemory.window + ScanMemory.margin)
    let out = text + (ScanMemory.margin + 8 + first - start)
    let from = base + first
    for i in 0..<end - first { out[i] = asciiLower(from[i]) }
    // What the last bytes are hashed with.
    UnsafeMutableRawPointer(out + (end - first)).storeBytes(of: 0, as: UInt64.self)
    return UnsafePointer(out) - first
  }
  @inline(__always)
  static func word(_ at: UnsafePointer<UInt8>) -> UInt64 { UnsafeRawPointer(at).loadUnaligned(as: UInt64.self).littleEndian }
  @inline(__always)
  static func word(_ at: UnsafeMutablePointer<UInt8>) -> UInt64 { word(UnsafePointer(at)) }
}
