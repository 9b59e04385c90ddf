// Which of many literals does a text contain, and where? One pass over the text as it is: four bytes at a time are hashed into a
// bitmap; the few places that hit look into a table of the literals filed under these four bytes, and are compared.
// Each literal is filed once, under its rarest four bytes (GramRarity), so that ordinary text seldom hits; literals of two and three
// bytes are filed under a pair.
// What must stay true: every occurrence is found, whatever the alignment, with ASCII letters of both cases alike; nothing outside the
// text is read; the work for each byte is bounded by the longest list of literals under one gram.
import Primitives

/// A literal's occurrences in one text. Plain data.
struct LiteralMark {
  /// The scan that this is of.
  var generation: UInt32 = 0
  var first: UInt32 = 0
  /// Where the last one begins.
  var last: UInt32 = 0
  /// The newest of its kept places, or -1.
  var newest: Int32 = -1
}

/// One occurrence, kept where texts are long: a list from the last to the first.
struct LiteralPlace {
  var at: UInt32
  var before: Int32
}

/// What a scan fills. One for each text of an event, reused.
struct LiteralHits {
  let marks: UnsafeMutablePointer<LiteralMark>
  /// Literals that were found, in the order of their first place, of those that are listed.
  let found: UnsafeMutablePointer<Int32>
  /// Which bytes the text has: a bit for each of the 256. Then a word of ones, and then, by literal, whether it was found.
  let bits: UnsafeMutablePointer<UInt64>
  private(set) var foundCount = 0
  private(set) var generation: UInt32 = 0
  private(set) var places: [LiteralPlace] = []
  /// Places were kept, and all of them.
  private(set) var hasPlaces = false
  private let literalCount: Int
  /// Literals below this number keep their places.
  private let placedCount: Int32

  init(literalCount: Int, placedCount: Int? = nil) {
    self.literalCount = literalCount
    self.placedCount = Int32(placedCount ?? literalCount)
    marks = .allocate(capacity: max(1, literalCount))
    marks.initialize(repeating: LiteralMark(), count: max(1, literalCount))
    found = .allocate(capacity: max(1, literalCount))
    found.initialize(repeating: 0, count: max(1, literalCount))
    bits = .allocate(capacity: LiteralHits.words(literalCount))
    bits.initialize(repeating: 0, count: LiteralHits.words(literalCount))
  }
  func deallocate() {
    marks.deallocate()
    found.deallocate()
    bits.deallocate()
  }
  private static func words(_ count: Int) -> Int { (count + 63) / 64 + Int(firstWord) }
  static let constantWord: Int32 = 4
  /// Where literals' bits begin.
  static let firstWord: Int32 = 5

  /// `bytes`: those of the text as it is.
  mutating func begin(keepsPlaces: Bool, bytes: ByteMask = ByteMask()) {
    foundCount = 0
    if generation == .max {
      marks.update(repeating: LiteralMark(), count: max(1, literalCount))
      generation = 0
    }
    generation += 1
    bits[0] = bytes.a
    bits[1] = bytes.b
    bits[2] = bytes.c
    bits[3] = bytes.d
    bits[Int(LiteralHits.constantWord)] = .max
    (bits + Int(LiteralHits.firstWord)).update(repeating: 0, count: LiteralHits.words(literalCount) - Int(LiteralHits.firstWord))
    hasPlaces = keepsPlaces
    if places.capacity > 65_536 { places = [] } else { places.removeAll(keepingCapacity: true) }
  }
  @inline(__always)
  func mark(_ literal: Int32) -> LiteralMark? {
    let mark = marks[Int(literal)]
    return mark.generation == generation ? mark : nil
  }
  @inline(__always)
  fileprivate mutating func add(_ literal: Int32, at place: Int, isListed: Bool) {
    let word = bits + Int(literal &>> 6 &+ LiteralHits.firstWord)
    let bit: UInt64 = 1 &<< UInt64(literal & 63)
    let isNew = word.pointee & bit == 0
    if isNew {
      word.pointee |= bit
      if isListed {
        found[foundCount] = literal
        foundCount &+= 1
      }
    }
    if literal >= placedCount { return }
    let mark = marks + Int(literal)
    let at = UInt32(truncatingIfNeeded: place)
    if isNew {
      mark.pointee = LiteralMark(generation: generation, first: at, last: at, newest: -1)
    } else {
      // Literals are met in the order of their grams, so a place may lie before one that was met already only for another literal.
      mark.pointee.last = at
    }
    if hasPlaces { keep(mark, at) }
  }
  private mutating func keep(_ mark: UnsafeMutablePointer<LiteralMark>, _ at: UInt32) {
    guard places.count < Limits.literalPlaces else {
      hasPlaces = false
      return
    }
    places.append(LiteralPlace(at: at, before: mark.pointee.newest))
    mark.pointee.newest = Int32(places.count - 1)
  }
}

final class LiteralScanner {
  static let shortest = 2
  static let longest = 255

  /// One literal under its gram. Plain data.
  private struct Entry {
    /// Eight bytes of the literal; of a shorter one its first four and its last four; of two or three bytes these.
    var word: UInt64
    var literal: Int32
    /// Where the literal's bytes begin in `bytes`.
    var bytesAt: Int32
    /// Where in the literal the gram and the word are.
    var gramAt: UInt8
    var wordAt: UInt8
    var length: UInt8
    var isLast: Bool
    var isListed: Bool
  }
  private struct Place {
    var gram: UInt32
    /// Index of the first entry, or -1.
    var first: Int32
  }

  let literalCount: Int
  /// The first so many are sought for their places, the others only for whether they are there.
  let placedCount: Int
  /// Literals under the gram that has most: the bound of the work for one byte.
  private(set) var longestList = 0
  private var entries: UnsafeMutablePointer<Entry>
  private var bytes: UnsafeMutablePointer<UInt8>
  private let bitmap: UnsafeMutablePointer<UInt64>
  private let shift: UInt32
  private let places: UnsafeMutablePointer<Place>
  private let placeMask: Int
  private let pairBits: UnsafeMutablePointer<UInt64>
  private let pairFirst: UnsafeMutablePointer<Int32>?
  private let hasGrams: Bool
  private let hasPairs: Bool

  /// `literals`: distinct, ASCII letters in lower case, `shortest` to `longest` bytes each.
  /// `listed`: by literal, whether `LiteralHits.found` has it; empty: all are.
  init(_ literals: [[UInt8]], placed: Int = .max, listed: [Bool] = []) {
    precondition(literals.allSatisfy { $0.count >= LiteralScanner.shortest && $0.count <= LiteralScanner.longest })
    literalCount = literals.count
    placedCount = min(placed, literals.count)
    let total = literals.reduce(0) { $0 + $1.count }
    bytes = .allocate(capacity: total + 8)
    bytes.initialize(repeating: 0, count: total + 8)
    let filed = LiteralScanner.file(literals)
    var offsets: [Int32] = []
    var at = 0
    for literal in literals {
      offsets.append(Int32(at))
      for byte in literal {
        bytes[at] = byte
        at += 1
      }
    }
    entries = .allocate(capacity: max(1, literals.count))
    // Grams first (by gram), then pairs (by pair).
    let order = filed.indices.sorted { a, b in
      (filed[a].isPair ? 1 : 0, filed[a].key, a) < (filed[b].isPair ? 1 : 0, filed[b].key, b)
    }
    let grams = Set(filed.lazy.filter { !$0.isPair }.map(\.key)).count
    hasGrams = grams > 0
    hasPairs = filed.contains { $0.isPair }
    // At most one bit in sixteen is set, and the bitmap stays inside the first or second level cache.
    var bits: UInt32 = 15
    while bits < 22, grams * 16 > 1 << Int(bits) { bits += 1 }
    shift = 32 - bits
    bitmap = .allocate(capacity: 1 << Int(bits - 6))
    bitmap.initialize(repeating: 0, count: 1 << Int(bits - 6))
    var slots = 16
    while slots < grams * 2 { slots *= 2 }
    places = .allocate(capacity: slots)
    places.initialize(repeating: Place(gram: 0, first: -1), count: slots)
    placeMask = slots - 1
    pairBits = .allocate(capacity: 1024)
    pairBits.initialize(repeating: 0, count: 1024)
    if hasPairs {
      let table = UnsafeMutablePointer<Int32>.allocate(capacity: 65_536)
      table.initialize(repeating: -1, count: 65_536)
      pairFirst = table
    } else {
      pairFirst = nil
    }
    var run = 0
    for (n, index) in order.enumerated() {
      let literal = literals[index]
      let place = filed[index]
      let isLast = n + 1 == order.count || filed[order[n + 1]].key != place.key || filed[order[n + 1]].isPair != place.isPair
      let wordAt = literal.count < 8 ? 0 : min(place.at, literal.count - 8)
      var word: UInt64 = 0
      if literal.count >= 8 {
        word = LiteralScanner.word(bytes + Int(offsets[index]) + wordAt)
      } else if literal.count >= 4 {
        word = LiteralScanner.ends(bytes + Int(offsets[index]), literal.count)
      } else {
        for (at, byte) in literal.enumerated() { word |= UInt64(byte) << UInt64(at * 8) }
      }
      (entries + n).initialize(
        to: Entry(
          word: word, literal: Int32(index), bytesAt: offsets[index], gramAt: UInt8(place.at), wordAt: UInt8(wordAt),
          length: UInt8(literal.count), isLast: isLast, isListed: listed.isEmpty || listed[index]))
      run += 1
      longestList = max(longestList, run)
      if isLast {
        let first = Int32(n + 1 - run)
        if place.isPair {
          pairBits[Int(place.key >> 6)] |= 1 << UInt64(place.key & 63)
          pairFirst?[Int(place.key)] = first
        } else {
          insert(place.key, first)
        }
        run = 0
      }
    }
  }
  deinit {
    entries.deallocate()
    bytes.deallocate()
    bitmap.deallocate()
    places.deallocate()
    pairBits.deallocate()
    pairFirst?.deallocate()
  }

  // MARK: Filing

  private struct Filed {
    var key: UInt32
    var at: Int
    var isPair: Bool
  }

  /// Where each literal is filed: the rarest gram, of equal ones the one with fewest literals under it. Literals with little choice
  /// go first.
  private static func file(_ literals: [[UInt8]]) -> [Filed] {
    let rarity = GramRarity()
    var filed = Array(repeating: Filed(key: 0, at: 0, isPair: true), count: literals.count)
    var counts: [UInt32: UInt64] = [:]
    counts.reserveCapacity(literals.count)
    for index in literals.indices.sorted(by: { (literals[$0].count, $0) < (literals[$1].count, $1) }) {
      let literal = literals[index]
      var best: (cost: UInt64, at: Int, key: UInt32)?
      if literal.count < 4 {
        for at in 0..<literal.count - 1 {
          let key = UInt32(literal[at] | 0x20) | UInt32(literal[at + 1] | 0x20) << 8
          let cost = rarity.frequency(literal[at], literal[at + 1])
          if best == nil || cost < best!.cost { best = (cost, at, key) }
        }
      } else {
        for at in 0...literal.count - 4 {
          let key = gram(literal, at)
          let cost = rarity.frequency(literal[at], literal[at + 1], literal[at + 2], literal[at + 3]) * (1 + (counts[key] ?? 0))
          if best == nil || cost < best!.cost { best = (cost, at, key) }
        }
        counts[best!.key, default: 0] += 1
      }
      filed[index] = Filed(key: best!.key, at: best!.at, isPair: literal.count < 4)
    }
    return filed
  }
  private static func gram(_ literal: [UInt8], _ at: Int) -> UInt32 {
    (UInt32(literal[at]) | UInt32(literal[at + 1]) << 8 | UInt32(literal[at + 2]) << 16 | UInt32(literal[at + 3]) << 24) | 0x2020_2020
  }
  @inline(__always) private static func hash(_ gram: UInt32) -> UInt32 { gram &* 0x9e37_79b1 }
  private func insert(_ gram: UInt32, _ first: Int32) {
    let hash = LiteralScanner.hash(gram)
    let bit = hash >> shift
    bitmap[Int(bit >> 6)] |= 1 << UInt64(bit & 63)
    var at = Int(hash >> 7) & placeMask
    while places[at].first >= 0 { at = (at + 1) & placeMask }
    places[at] = Place(gram: gram, first: first)
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

  /// Finds all literals in `text` (shorter than 4 GiB).
  func scan(_ text: Bytes, _ hits: UnsafeMutablePointer<LiteralHits>) {
    guard let base = text.baseAddress?.assumingMemoryBound(to: UInt8.self), text.count >= LiteralScanner.shortest else { return }
    if hasPairs {
      scanPairs(base, text.count, hits)
    }
    if hasGrams, text.count >= 4 { scanGrams(base, text.count, hits) }
  }

  private func scanGrams(_ base: UnsafePointer<UInt8>, _ count: Int, _ hits: UnsafeMutablePointer<LiteralHits>) {
    let bitmap = UnsafePointer(bitmap)
    let shift = shift
    @inline(__always) func isHit(_ gram: UInt32) -> Bool {
      let bit = LiteralScanner.hash(gram) &>> shift
      return bitmap[Int(bit &>> 6)] &>> UInt64(bit & 63) & 1 != 0
    }
    var i = 0
    // Eight bytes hold five grams.
    let lastWord = count - 8
    while i <= lastWord {
      let word = LiteralScanner.word(base + i) | 0x2020_2020_2020_2020
      let a = UInt32(truncatingIfNeeded: word)
      let b = UInt32(truncatingIfNeeded: word &>> 8)
      let c = UInt32(truncatingIfNeeded: word &>> 16)
      let d = UInt32(truncatingIfNeeded: word &>> 24)
      let e = UInt32(truncatingIfNeeded: word &>> 32)
      if isHit(a) { look(a, i, base, count, hits) }
      if isHit(b) { look(b, i &+ 1, base, count, hits) }
      if isHit(c) { look(c, i &+ 2, base, count, hits) }
      if isHit(d) { look(d, i &+ 3, base, count, hits) }
      if isHit(e) { look(e, i &+ 4, base, count, hits) }
      i &+= 5
    }
    while i <= count - 4 {
      let gram = LiteralScanner.half(base + i) | 0x2020_2020
      if isHit(gram) { look(gram, i, base, count, hits) }
      i &+= 1
    }
  }

  @inline(never)
  private func look(_ gram: UInt32, _ i: Int, _ base: UnsafePointer<UInt8>, _ count: Int, _ hits: UnsafeMutablePointer<LiteralHits>) {
    var at = Int(LiteralScanner.hash(gram) >> 7) & placeMask
    while places[at].gram != gram || places[at].first < 0 {
      if places[at].first < 0 { return }
      at = (at + 1) & placeMask
    }
    var entry = entries + Int(places[at].first)
    while true {
      let e = entry.pointee
      let start = i - Int(e.gramAt)
      let length = Int(e.length)
      if start >= 0, start + length <= count {
        if length >= 8 {
          if LiteralScanner.folded(LiteralScanner.word(base + start + Int(e.wordAt))) == e.word,
            length == 8 || isEqual(base + start, bytes + Int(e.bytesAt), length)
          {
            hits.pointee.add(e.literal, at: start, isListed: e.isListed)
          }
        } else if LiteralScanner.folded(LiteralScanner.ends(base + start, length)) == e.word {
          hits.pointee.add(e.literal, at: start, isListed: e.isListed)
        }
      }
      if e.isLast { return }
      entry += 1
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

  private func scanPairs(_ base: UnsafePointer<UInt8>, _ count: Int, _ hits: UnsafeMutablePointer<LiteralHits>) {
    let bits = UnsafePointer(pairBits)
    var previous = UInt32(base[0] | 0x20)
    var i = 1
    while i < count {
      let next = UInt32(base[i] | 0x20)
      let pair = previous | next &<< 8
      if bits[Int(pair &>> 6)] &>> UInt64(pair & 63) & 1 != 0 { lookPair(pair, i &- 1, base, count, hits) }
      previous = next
      i &+= 1
    }
  }
  @inline(never)
  private func lookPair(_ pair: UInt32, _ i: Int, _ base: UnsafePointer<UInt8>, _ count: Int, _ hits: UnsafeMutablePointer<LiteralHits>) {
    guard let first = pairFirst?[Int(pair)], first >= 0 else { return }
    var entry = entries + Int(first)
    while true {
      let e = entry.pointee
      let start = i - Int(e.gramAt)
      let length = Int(e.length)
      if start >= 0, start + length <= count {
        // The text's last three bytes have no fourth behind them to be read with.
        let four =
          start + 4 <= count
          ? LiteralScanner.half(base + start)
          : UInt32(base[start]) | UInt32(base[start + 1]) &<< 8 | (length > 2 ? UInt32(base[start + 2]) &<< 16 : 0)
        let mask: UInt64 = length > 2 ? 0xff_ffff : 0xffff
        if LiteralScanner.folded(UInt64(four)) & mask == e.word { hits.pointee.add(e.literal, at: start, isListed: e.isListed) }
      }
      if e.isLast { return }
      entry += 1
    }
  }
}
