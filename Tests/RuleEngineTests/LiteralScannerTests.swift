import Primitives
import Testing

@testable import RuleEngine

@Suite struct LiteralScannerTests {
  /// Every literal's first and last place, found one by one.
  static func places(_ literals: [[UInt8]], in text: [UInt8]) -> [[Int]] {
    let folded = text.map(asciiLower)
    return literals.map { literal in
      folded.count < literal.count ? [] : (0...folded.count - literal.count).filter { folded[$0..<$0 + literal.count].elementsEqual(literal) }
    }
  }
  static func scanned(_ scanner: LiteralScanner, _ hits: UnsafeMutablePointer<LiteralHits>, _ text: Bytes) -> [[Int]] {
    hits.pointee.begin(keepsPlaces: true)
    scanner.scan(text, hits)
    return (0..<scanner.literalCount).map { literal in
      guard let mark = hits.pointee.mark(Int32(literal)) else { return [] }
      var found: [Int] = []
      var place = hits.pointee.newestPlace(Int32(literal))
      while place >= 0 {
        found.append(Int(hits.pointee.places[Int(place)].at))
        place = hits.pointee.places[Int(place)].before
      }
      #expect(found.last == Int(mark.first) && found.first == Int(mark.last))
      return found.reversed()
    }
  }

  /// Few letters, so that literals overlap, contain each other and share grams; texts of all short lengths, at all alignments, in
  /// memory that ends where the text ends.
  @Test func findsWhatAPlainSearchFinds() {
    var random = Random(21)
    let letters: [UInt8] = Array("abcAB-@`".utf8) + [0xc3, 0xe9, 0x00, 0x5b, 0x7b]
    for round in 0..<60 {
      var literals: [[UInt8]] = []
      for _ in 0..<1 + random.below(round % 3 == 0 ? 200 : 20) {
        let longest = [4, 9, 20, 40][random.below(4)]
        let literal = (0..<2 + random.below(longest)).map { _ in asciiLower(random.pick(letters)) }
        if !literals.contains(literal) { literals.append(literal) }
      }
      let scanner = LiteralScanner(literals)
      let hits = UnsafeMutablePointer<LiteralHits>.allocate(capacity: 1)
      hits.initialize(to: LiteralHits(literalCount: literals.count))
      for n in 0..<80 {
        var text = (0..<(n < 40 ? n : random.below(300))).map { _ in random.pick(letters) }
        // Literals in other case, at the very start, inside, at the very end.
        if n % 2 == 1 {
          let literal = random.pick(literals).map { byte in byte >= 0x61 && byte <= 0x7a && random.below(2) == 0 ? byte - 32 : byte }
          text.insert(contentsOf: literal, at: [0, random.below(text.count + 1), text.count][random.below(3)])
        }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: text.count, alignment: 1)
        memory.copyBytes(from: text)
        #expect(Self.scanned(scanner, hits, Bytes(memory)) == Self.places(literals, in: text), "\(literals) in \(text)")
        memory.deallocate()
      }
      hits.pointee.deallocate()
      hits.deallocate()
    }
  }

  /// Literals of two, three and more bytes at all places of texts that are as long as a block of the scan, or a little longer or shorter;
  /// listed ones are listed once, in a scanner that was kept as in the one that was made.
  @Test func blocksHaveNoSeams() throws {
    var random = Random(23)
    let literals = ["ab", "b-", "abc", "c-a", "abcd", "b-ca", "abcdefgh", "h--------g", "zz"].map { Array($0.utf8) }
    let listed = literals.indices.map { $0 % 3 != 1 }
    let made = LiteralScanner(literals, placed: 4, listed: listed)
    var writer = TableWriter()
    made.write(to: &writer)
    let key = Fingerprint(high: 1, low: 2)
    var reader = try #require(TableCache.open(TableCache.seal(writer, key: key), key: key))
    let kept = try #require(LiteralScanner(from: &reader))
    #expect(reader.isAtEnd && kept.placedCount == 4 && kept.literalCount == literals.count && kept.longestList == made.longestList)
    let hits = UnsafeMutablePointer<LiteralHits>.allocate(capacity: 1)
    hits.initialize(to: LiteralHits(literalCount: literals.count, placedCount: 4))
    for length in [2, 3, 4, 7, 8, 9, 250, 255, 256, 257, 258, 259, 260, 261, 263, 264, 511, 512, 513, 515, 768, 1030] {
      for n in 0..<24 {
        var text = (0..<length).map { _ in n < 2 ? UInt8(0x78) : random.pick(Array("abcdefghABH-xyz".utf8)) }
        let literal = random.pick(literals)
        // Across the border between two blocks, and at the very end.
        for at in [256 - random.below(literal.count + 1), 512 - random.below(literal.count + 1), length - literal.count]
        where at >= 0 && at + literal.count <= length { text.replaceSubrange(at..<at + literal.count, with: literal) }
        let expected = Self.places(literals, in: text)
        for scanner in [made, kept] {
          text.withUnsafeBytes { bytes in
            hits.pointee.begin(keepsPlaces: true)
            scanner.scan(bytes, hits)
          }
          for (number, places) in expected.enumerated() {
            let bit = hits.pointee.bits[number >> 6 + Int(LiteralHits.firstWord)] >> UInt64(number & 63) & 1
            #expect((bit == 1) == !places.isEmpty)
            if number < 4 {
              let mark = hits.pointee.mark(Int32(number))
              #expect(mark.map { Int($0.first) } == places.first && mark.map { Int($0.last) } == places.last)
            }
          }
          let found = (0..<hits.pointee.foundCount).map { Int(hits.pointee.found[$0]) }
          #expect(found.sorted() == expected.indices.filter { listed[$0] && !expected[$0].isEmpty })
        }
      }
    }
    hits.pointee.deallocate()
    hits.deallocate()
  }

  /// The same where the part of the text that is made small ends and the next one begins, with literals as long as they can be.
  @Test func windowsHaveNoSeams() {
    var random = Random(24)
    let literals = [2, 3, 4, 7, 8, 9, 16, 17, 25, 100, 254, 255].map { length in (0..<length).map { _ in random.pick(Array("abc-".utf8)) } }
    let scanner = LiteralScanner(literals)
    let hits = UnsafeMutablePointer<LiteralHits>.allocate(capacity: 1)
    hits.initialize(to: LiteralHits(literalCount: literals.count))
    for length in [4090, 4096, 4097, 4100, 4352, 8192, 8200, 12_300] {
      for literal in literals {
        var text = (0..<length).map { _ in random.pick(Array("xyzab-C".utf8)) }
        for border in [4096, 8192, length] {
          let at = border - (border == length ? literal.count : random.below(literal.count + 1))
          if at + literal.count <= length { text.replaceSubrange(at..<at + literal.count, with: literal.map { $0 == 0x61 ? 0x41 : $0 }) }
        }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: text.count, alignment: 1)
        memory.copyBytes(from: text)
        #expect(Self.scanned(scanner, hits, Bytes(memory)) == Self.places(literals, in: text))
        memory.deallocate()
      }
    }
    hits.pointee.deallocate()
    hits.deallocate()
  }

  /// More literals under the grams of one block than are compared at a time.
  @Test func manyLiteralsUnderOneGram() {
    var random = Random(25)
    var literals: Set<[UInt8]> = []
    while literals.count < 3000 { literals.insert((0..<9 + random.below(5)).map { _ in random.pick(Array("ab".utf8)) }) }
    let list = literals.sorted { $0.lexicographicallyPrecedes($1) }
    let scanner = LiteralScanner(list)
    #expect(scanner.longestList > 8)
    let hits = UnsafeMutablePointer<LiteralHits>.allocate(capacity: 1)
    hits.initialize(to: LiteralHits(literalCount: list.count))
    let text = (0..<600).map { _ in random.pick(Array("aB".utf8)) }
    let found = text.withUnsafeBytes { Self.scanned(scanner, hits, $0) }
    #expect(found == Self.places(list, in: text))
    hits.pointee.deallocate()
    hits.deallocate()
  }

  @Test func theRarestGramIsChosen() {
    let rarity = GramRarity()
    func frequency(_ text: String) -> UInt64 {
      let b = Array(text.utf8)
      return rarity.frequency(b[0], b[1], b[2], b[3])
    }
    #expect(frequency("zqxj") < frequency("ther"))
    #expect(frequency("evio") < frequency("tion"))
    #expect(frequency("THER") == frequency("ther"))
  }

  /// Many literals with one ending are filed apart, so that a text of this ending is not compared with all of them at each byte.
  @Test func oneGramIsNotEverybodysGram() {
    let literals = (0..<2000).map { Array("\($0) instructions".utf8) + Array("abcdefgh".utf8.prefix($0 % 8)) }
    #expect(LiteralScanner(literals).longestList < 700)
    #expect(LiteralScanner((0..<2000).map { Array("x\($0 * 7919 % 99_991)y\($0)".utf8) }).longestList < 40)
  }

  @Test func aWrappedGenerationForgets() {
    let scanner = LiteralScanner([Array("needle".utf8)])
    let hits = UnsafeMutablePointer<LiteralHits>.allocate(capacity: 1)
    hits.initialize(to: LiteralHits(literalCount: 1))
    hits.pointee.begin(keepsPlaces: false)
    scanner.scan(Bytes("a needle"), hits)
    #expect(hits.pointee.mark(0) != nil)
    hits.pointee.begin(keepsPlaces: false)
    #expect(hits.pointee.mark(0) == nil && hits.pointee.foundCount == 0)
    hits.pointee.deallocate()
    hits.deallocate()
  }
}
