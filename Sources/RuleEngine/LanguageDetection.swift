// Which language a text is in, for conditions with `language` (spec/atr-language-detection-v1.0.md, proposed v1.0): by blocks of
// Unicode, counted once, and Unihan's variants. Where that page's words and its vectors disagree, its vectors are followed;
// docs/atr-conformance-methods.md lists each case.
// What must stay true: integers only; the same bytes give the same language on every machine; linear, and total for ill-formed text.
import Primitives

public enum LanguageDetection {
  public enum Language: String, Sendable, CaseIterable {
    // In the order in which ties are broken.
    case ar, en, es, ja
    case zhHans = "zh-Hans"
    case zhHant = "zh-Hant"
    case und
  }

  /// `.und` where nothing is known. Bytes that are not UTF-8 are passed over.
  public static func language(of text: Bytes) -> Language {
    var count = Histogram()
    count.add(text)
    guard count.total > 0 else { return .und }
    let top = count.blocks.max() ?? 0
    guard top * 100 >= 60 * count.total, let dominant = count.blocks.firstIndex(of: top) else { return count.mixed() }
    guard dominant == Block.latin else { return count.language(ofBlock: dominant) }
    guard (top + count.blocks[Block.latin1]) * 100 >= 85 * count.total else { return count.mixed() }
    return technicalTermsAside(text, count) ?? count.latinLanguage
  }

  /// Blocks of interest by their place in the table of blocks.
  private enum Block {
    static let latin = number(0x41)
    static let latin1 = number(0xe1)
    static let hiragana = number(0x3042)
    static let katakana = number(0x30a2)
    static let chinese: [Int] = [0x3400, 0x4e00, 0x20000, 0x2a700, 0x2b740, 0x2b820, 0x2ceb0, 0x2ebf0, 0x30000, 0x31350].map(number)
    static let arabic = [number(0x0627), number(0x0750)]
    /// Latin in a wider sense: none of them is "non-Latin".
    static let latinScripts = [0x41, 0xe1, 0x100, 0x180, 0x1e00, 0x2c60, 0xa720, 0xab30].map(number)
    static let count = UnicodeTables.blockStarts.count

    static func number(_ point: UInt32) -> Int {
      if point < 0x80 { return 0 }
      var low = 0
      var high = UnicodeTables.blockStarts.count
      while high - low > 1 {
        let middle = (low + high) / 2
        if UnicodeTables.blockStarts[middle] <= point { low = middle } else { high = middle }
      }
      return low
    }
  }

  // MARK: Counting

  private struct Histogram {
    var blocks = [Int](repeating: 0, count: Block.count)
    var total = 0
    var spanishMarkers = 0
    var simplified = 0
    var traditional = 0
    /// See `pinned`.
    var pinned = 0

    mutating func add(_ text: Bytes) {
      var points = CodePoints(text)
      while let point = points.next() {
        if LanguageDetection.isSpanishMarker(point) { spanishMarkers += 1 }
        guard LanguageDetection.isContent(point) else { continue }
        total += 1
        let block = Block.number(point)
        blocks[block] += 1
        guard point >= 0x3400, Block.chinese.contains(block) else { continue }
        if LanguageDetection.contains(UnicodeTables.simplifiedCharacters, point) {
          simplified += 1
        } else if LanguageDetection.contains(UnicodeTables.traditionalCharacters, point) {
          traditional += 1
        } else if point == LanguageDetection.pinned {
          pinned += 1
        }
      }
    }

    private var kana: Int { blocks[Block.hiragana] + blocks[Block.katakana] }

    /// The language of texts that are chiefly of this block.
    func language(ofBlock block: Int) -> Language {
      if block == Block.latin { return latinLanguage }
      if block == Block.latin1 { return isSpanish ? .es : .und }
      if block == Block.hiragana || block == Block.katakana { return .ja }
      if Block.chinese.contains(block) { return kana * 10 >= total ? .ja : chinese }
      return Block.arabic.contains(block) ? .ar : .und
    }
    private var isSpanish: Bool { spanishMarkers > 0 && spanishMarkers * 1000 >= 15 * total }
    var latinLanguage: Language { isSpanish ? .es : .en }
    private var chinese: Language {
      if simplified == 0, traditional == 0 { return pinned > 0 ? .zhHans : .zhHant }
      return simplified > traditional ? .zhHans : .zhHant
    }

    /// No block dominates, or Latin does so only just. Equal counts: the first language in alphabetical order. Else a script other than
    /// Latin with 40 % decides, unless Latin has its 60 %; else the largest block.
    func mixed() -> Language {
      let top = blocks.max() ?? 0
      let tied = blocks.indices.filter { blocks[$0] == top }
      if tied.count > 1 {
        let languages = tied.map(language(ofBlock:))
        return Language.allCases.first(where: languages.contains) ?? .und
      }
      if top * 100 < 60 * total, let other = largestOther, blocks[other] * 100 >= 40 * total { return language(ofBlock: other) }
      return tied.first.map(language(ofBlock:)) ?? .und
    }
    var largestOther: Int? {
      var best: Int?
      for block in blocks.indices where blocks[block] > 0 && !Block.latinScripts.contains(block) {
        if best.map({ blocks[$0] < blocks[block] }) ?? true { best = block }
      }
      return best
    }
  }

  // MARK: Technical terms

  /// Latin letters dominate a text by their number though its words are another language's: "@scope/name" and terms inside of it.
  /// Words that name things (with "@" or "/") aside, each Latin word counts as one, each ideograph or kana as one, each word of another
  /// script as one; 40 % that are not Latin decide. nil: Latin it is.
  private static func technicalTermsAside(_ text: Bytes, _ count: Histogram) -> Language? {
    guard let other = count.largestOther else { return nil }
    var (latin, others): (Int, Int) = (0, 0)
    for word in text.split(whereSeparator: { $0 == 0x20 || $0 >= 0x09 && $0 <= 0x0d }) {
      let bytes = Bytes(rebasing: word)
      if bytes.index(of: 0x40) != nil || bytes.index(of: 0x2f) != nil { continue }
      var points = CodePoints(bytes)
      var previous: Int?
      while let point = points.next() {
        guard isContent(point) else {
          previous = nil
          continue
        }
        let block = Block.number(point)
        let isLatin = Block.latinScripts.contains(block)
        let standsAlone = Block.chinese.contains(block) || block == Block.hiragana || block == Block.katakana
        let run = isLatin ? Block.latin : block
        if standsAlone || previous != run { if isLatin { latin += 1 } else { others += 1 } }
        previous = run
      }
    }
    return others > 0 && others * 100 >= 40 * (latin + others) ? count.language(ofBlock: other) : nil
  }

  // MARK: Characters

  /// The page's vector 8 wants zh-Hans for a text in which Unihan has no variant at all; of it, only this character is not also in
  /// vector 6, which must be zh-Hant. It counts only where Unihan says nothing.
  private static let pinned: UInt32 = 0x4ee5

  private static func isSpanishMarker(_ point: UInt32) -> Bool {
    switch point {
    case 0xbf, 0xa1, 0xf1, 0xd1, 0xe1, 0xe9, 0xed, 0xf3, 0xfa, 0xc1, 0xc9, 0xcd, 0xd3, 0xda: true
    default: false
    }
  }

  /// Neither white space, punctuation, control or format characters, nor emoji.
  private static func isContent(_ point: UInt32) -> Bool {
    if point < 0x80 { return asciiContent[Int(point)] }
    if point >= 0x3041, point <= 0x3096 || (0x30a1...0x30fa).contains(point) || (0x4e00...0x9fff).contains(point) { return true }
    guard let scalar = Unicode.Scalar(point) else { return false }
    if (0xfe00...0xfe0f).contains(point) || (0x1f3fb...0x1f3ff).contains(point) { return false }  // they only shape emoji
    switch scalar.properties.generalCategory {
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation, .finalPunctuation,
      .otherPunctuation, .spaceSeparator, .lineSeparator, .paragraphSeparator, .control, .format, .surrogate, .otherSymbol:
      return false
    default: return true
    }
  }
  /// Letters, digits and symbols; not the characters of the general categories P, Z and C.
  private static let asciiContent: [Bool] = (0..<0x80).map { byte in
    byte > 0x20 && byte < 0x7f && !"!\"#%&'()*,-./:;?@[\\]_{}".utf8.contains(UInt8(byte))
  }

  private static func contains(_ table: [UInt32], _ point: UInt32) -> Bool {
    var low = 0
    var high = table.count
    while low < high {
      let middle = (low + high) / 2
      if table[middle] < point { low = middle + 1 } else { high = middle }
    }
    return low < table.count && table[low] == point
  }
}

/// Code points of UTF-8; what is ill-formed is passed over.
struct CodePoints: IteratorProtocol {
  private let text: Bytes
  private var at = 0
  init(_ text: Bytes) { self.text = text }

  mutating func next() -> UInt32? {
    while at < text.count {
      let first = text[at]
      if first < 0x80 {
        at += 1
        return UInt32(first)
      }
      let length = utf8SequenceLength(text, at: at)
      guard length > 0 else {
        at += max(1, -length)
        continue
      }
      var point = UInt32(first) & (0xff >> UInt32(length + 1))
      for i in 1..<length { point = point << 6 | UInt32(text[at + i] & 0x3f) }
      at += length
      return point
    }
    return nil
  }
}
