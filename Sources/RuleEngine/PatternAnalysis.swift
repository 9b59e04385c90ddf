// What is known about a pattern without running it: literals, lengths, bytes that each match needs. The dearest part of a start, so it
// is kept on disk (`serialized`) under the patterns' own fingerprint.
// What must stay true: analysis only ever saves a run of PCRE2; a cache that is damaged, foreign or old is not used.
import Primitives
import RegularExpressions

/// 256 bits, one for each byte value.
struct ByteMask: Hashable, Sendable {
  var a: UInt64 = 0
  var b: UInt64 = 0
  var c: UInt64 = 0
  var d: UInt64 = 0
  init() {}
  init(a: UInt64, b: UInt64, c: UInt64, d: UInt64) {
    self.a = a
    self.b = b
    self.c = c
    self.d = d
  }
  init(_ set: ByteSet) { (a, b, c, d) = set.words }
  @inline(__always) mutating func insert(_ byte: UInt8) {
    let bit: UInt64 = 1 << UInt64(byte & 63)
    switch byte >> 6 {
    case 0: a |= bit
    case 1: b |= bit
    case 2: c |= bit
    default: d |= bit
    }
  }
  @inline(__always) func contains(_ byte: UInt8) -> Bool {
    let word = byte >> 6 == 0 ? a : byte >> 6 == 1 ? b : byte >> 6 == 2 ? c : d
    return word >> UInt64(byte & 63) & 1 == 1
  }
  @inline(__always) func meets(_ other: ByteMask) -> Bool { a & other.a | b & other.b | c & other.c | d & other.d != 0 }
}

/// What PCRE2 runs for, or a plain comparison.
struct PatternSource: Hashable, Sendable {
  enum Kind: UInt8, Sendable { case regex, contains, startsWith }
  var kind: Kind
  var isCaseSensitive: Bool
  var text: [UInt8]
}

/// One literal of a requirement.
struct NeededLiteral: Equatable, Sendable {
  var bytes: [UInt8]
  /// How far before it a match can begin.
  var before: LiteralReach
  /// The same in a text of ASCII alone.
  var beforeInASCII: LiteralReach
}

/// So many bytes (-1: any number), and so many runs of white space.
struct LiteralReach: Equatable {
  var bytes: Int32
  var blanks: Int16 = 0
  init(bytes: Int32, blanks: Int16 = 0) {
    self.bytes = bytes
    self.blanks = blanks
  }
  init(_ reach: Reach?) { self.init(bytes: Int32(clamping: reach?.bytes ?? -1), blanks: Int16(clamping: reach?.blanks ?? 0)) }
}

/// Lists of sets of literals, in one piece because a start reads thousands: for each clause how many sets it has and (from bit 8) how many
/// masks; for each set how many literals, and these, as indices into the pattern's literals and, behind them, its others; then the
/// masks, as indices into the pattern's masks.
struct Clauses: Equatable, Sendable {
  private(set) var words: [UInt16] = []
  init() {}
  /// nil: that is no such list. `literals`: indices below this may be in first sets; `all`: in others.
  init?(_ words: [UInt16], literals: Int, all: Int, masks: Int) {
    self.words = words
    var at = 0
    while at < words.count {
      let sets = Int(words[at] & 0xff)
      let ownMasks = Int(words[at] >> 8)
      guard sets > 0 || literals == 0 else { return nil }
      at += 1
      for set in 0..<sets {
        guard at < words.count, words[at] > 0, at + Int(words[at]) < words.count else { return nil }
        guard words[at + 1...at + Int(words[at])].allSatisfy({ $0 < (set == 0 && literals > 0 ? literals : all) }) else { return nil }
        at += 1 + Int(words[at])
      }
      guard at + ownMasks <= words.count, words[at..<at + ownMasks].allSatisfy({ $0 < masks }) else { return nil }
      at += ownMasks
    }
  }
  mutating func add(_ sets: [[UInt16]], masks: [UInt16] = []) {
    words.append(UInt16(sets.count) | UInt16(masks.count) << 8)
    for set in sets {
      words.append(UInt16(set.count))
      words += set
    }
    words += masks
  }
  /// Clause by clause, its sets and masks.
  func forEach(_ body: ([ArraySlice<UInt16>], ArraySlice<UInt16>) -> Void) {
    var at = 0
    while at < words.count {
      var sets: [ArraySlice<UInt16>] = []
      let count = Int(words[at] & 0xff)
      let masks = Int(words[at] >> 8)
      at += 1
      for _ in 0..<count {
        sets.append(words[at + 1...at + Int(words[at])])
        at += 1 + Int(words[at])
      }
      body(sets, words[at..<at + masks])
      at += masks
    }
  }
}

struct PatternAnalysis: Equatable, Sendable {
  /// A match contains one of them; empty: not known, the pattern is a candidate wherever its bytes are.
  var literals: [NeededLiteral] = []
  /// What else matches contain: literals that are not among the above.
  var others: [[UInt8]] = []
  /// The ways to match, of which each match goes one: it contains one of each of the way's sets, the first of which is of `literals`.
  /// Without `literals` their sets are all of `others`, and they may have none; no clause: it is not known.
  var clauses = Clauses()
  /// Matches begin where the text does, with one of these bytes.
  var isAnchored = false
  var firstBytes: ByteMask?
  /// Bytes that clauses ask for.
  var masks: [ByteMask] = []
  /// Literals are needed by matches in texts of ASCII alone; in others the pattern is a candidate wherever its bytes are.
  var needsLiteralsInASCIIOnly = false
  /// No text of ASCII alone matches.
  var isBeyondASCII = false
  var shortest = 0
  /// -1: unbounded, or look-around may see farther.
  var longest = -1
  var longestInASCII = -1
  /// Each match has a byte of each set (fit for both kinds of text).
  var byteSets: [ByteMask] = []
  /// Each match has so many bytes of the set in a row.
  var runs: [(set: ByteMask, count: Int)] = []
  /// How far a step of a match may look: so many characters, or a run of one of these sets; -1: any number of bytes.
  var longestScan = 1
  var scanSets: [ByteMask] = []

  static func == (a: PatternAnalysis, b: PatternAnalysis) -> Bool {
    a.literals == b.literals && a.others == b.others && a.clauses == b.clauses && a.masks == b.masks && a.isAnchored == b.isAnchored
      && a.firstBytes == b.firstBytes && a.needsLiteralsInASCIIOnly == b.needsLiteralsInASCIIOnly
      && a.isBeyondASCII == b.isBeyondASCII && a.shortest == b.shortest && a.longest == b.longest && a.longestInASCII == b.longestInASCII
      && a.byteSets == b.byteSets
      && a.longestScan == b.longestScan && a.scanSets == b.scanSets && a.runs.count == b.runs.count
      && zip(a.runs, b.runs).allSatisfy { $0.set == $1.set && $0.count == $1.count }
  }

  init() {}

  /// nil with the reason: not a regular expression.
  init(of source: PatternSource) throws(RegexError) {
    switch source.kind {
    case .contains, .startsWith:
      literals = PatternAnalysis.literals(ofNeedle: source)
      if !literals.isEmpty { clauses.add([[0]]) }
    case .regex:
      let expression: RegularExpression
      do throws(RegularExpressionError) {
        expression = try RegularExpression(String(decoding: source.text, as: UTF8.self), isCaseSensitive: source.isCaseSensitive)
      } catch {
        throw RegexError(message: error.message, offset: error.offset)
      }
      take(expression, source)
    }
  }

  /// A literal may stand for a needle if each text that contains the one contains the other: ASCII, or compared byte by byte.
  private static func literals(ofNeedle source: PatternSource) -> [NeededLiteral] {
    guard source.isCaseSensitive || source.text.allSatisfy({ $0 < 0x80 }) else { return [] }
    let bytes = source.text.prefix(LiteralScanner.longest).map(asciiLower)
    guard bytes.count >= LiteralScanner.shortest else { return [] }
    return [NeededLiteral(bytes: bytes, before: LiteralReach(bytes: 0), beforeInASCII: LiteralReach(bytes: 0))]
  }

  private mutating func take(_ expression: RegularExpression, _ source: PatternSource) {
    let facts = expression.matchFacts()
    shortest = facts.shortest
    let text = source.text
    let seesFarther = text.indices.dropLast(2).contains { text[$0] == 0x28 && text[$0 + 1] == 0x3f && isLook(text[$0 + 2]) }
    longest = seesFarther ? -1 : facts.longest ?? -1
    longestInASCII = seesFarther ? -1 : facts.inASCII?.longest ?? -1
    isBeyondASCII = facts.inASCII == nil
    isAnchored = facts.start != nil
    firstBytes = facts.start?.bytes.map(ByteMask.init)
    let inASCII = facts.inASCII?.requirement
    if let requirement = facts.requirement ?? inASCII {
      needsLiteralsInASCIIOnly = facts.requirement == nil
      literals = requirement.literals.map { literal in
        let narrower = inASCII?.literals.first { $0.bytes == literal.bytes } ?? literal
        return NeededLiteral(
          bytes: literal.bytes, before: LiteralReach(literal.longestBefore), beforeInASCII: LiteralReach(narrower.longestBefore))
      }
      // What reaches are worth depends on which literals stand together.
      if inASCII.map({ Set($0.literals.map(\.bytes)) }) != Set(requirement.literals.map(\.bytes)) {
        for at in literals.indices { literals[at].beforeInASCII = literals[at].before }
      }
      take(requirement.clauses)
    } else {
      take(facts.ways)
    }
    byteSets = facts.byteSets.map(ByteMask.init)
    runs = facts.runs.map { (ByteMask($0.set), $0.count) }
    longestScan = facts.scan.hasBackReferences ? -1 : facts.scan.longest
    scanSets = facts.scan.sets.map(ByteMask.init)
    let usable = LiteralScanner.shortest...LiteralScanner.longest
    if !(literals.map(\.bytes) + others).allSatisfy({ usable.contains($0.count) }) {
      literals = []
      others = []
      clauses = Clauses()
      masks = []
    }
    if literals.isEmpty { needsLiteralsInASCIIOnly = false }
  }
  private mutating func take(_ list: [Requirement.Clause]) {
    var numbers: [[UInt8]: UInt16] = [:]
    for (number, literal) in literals.enumerated() { numbers[literal.bytes] = UInt16(number) }
    func number(_ literal: [UInt8]) -> UInt16 {
      if let known = numbers[literal] { return known }
      let number = UInt16(literals.count + others.count)
      numbers[literal] = number
      others.append(literal)
      return number
    }
    func mask(_ set: ByteSet) -> UInt16 {
      let mask = ByteMask(set)
      if let known = masks.firstIndex(of: mask) { return UInt16(known) }
      masks.append(mask)
      return UInt16(masks.count - 1)
    }
    for clause in list {
      clauses.add(((clause.literals.isEmpty ? [] : [clause.literals]) + clause.others).map { $0.map(number) }, masks: clause.bytes.map(mask))
    }
  }
  private func isLook(_ byte: UInt8) -> Bool { byte == 0x3d || byte == 0x21 || byte == 0x3c }
}

// MARK: On disk

/// All analyses of one rule set in a form that needs no parser: counts and bytes, a fingerprint over the patterns, one over the rest.
enum AnalysisCache {
  private static let magic: StaticString = "PGANA007"

  static func key(of sources: [PatternSource]) -> Fingerprint {
    var bytes = Array(Bytes(magic))
    for source in sources {
      bytes.append(littleEndian: UInt64(source.text.count) << 16 | UInt64(source.kind.rawValue) << 8 | (source.isCaseSensitive ? 1 : 0))
      bytes.append(contentsOf: source.text)
    }
    return bytes.withUnsafeBytes { Fingerprint(of: $0) }
  }

  static func serialize(_ analyses: [PatternAnalysis], key: Fingerprint) -> [UInt8] {
    var body: [UInt8] = []
    func put(_ mask: ByteMask) { for word in [mask.a, mask.b, mask.c, mask.d] { body.append(littleEndian: word) } }
    func put(_ reach: LiteralReach, _ length: UInt16) {
      body.append(littleEndian: UInt64(UInt32(bitPattern: reach.bytes)) | UInt64(length) << 32 | UInt64(UInt16(bitPattern: reach.blanks)) << 48)
    }
    body.append(littleEndian: UInt64(analyses.count))
    for analysis in analyses {
      body.append(littleEndian: UInt64(analysis.shortest))
      body.append(littleEndian: UInt64(bitPattern: Int64(analysis.longest)))
      body.append(littleEndian: UInt64(bitPattern: Int64(analysis.longestInASCII)))
      body.append(littleEndian: UInt64(bitPattern: Int64(analysis.longestScan)))
      let counts = [analysis.literals.count, analysis.byteSets.count, analysis.runs.count, analysis.others.count]
      body.append(littleEndian: counts.enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64(16 * $1.offset) })
      let flags =
        (analysis.needsLiteralsInASCIIOnly ? 1 << 16 : 0) | (analysis.isBeyondASCII ? 1 << 17 : 0)
        | (analysis.isAnchored ? 1 << 18 : 0) | (analysis.firstBytes != nil ? 1 << 19 : 0)
      body.append(littleEndian: UInt64(analysis.scanSets.count | flags))
      if let mask = analysis.firstBytes { put(mask) }
      for literal in analysis.literals {
        put(literal.before, UInt16(literal.bytes.count))
        put(literal.beforeInASCII, 0)
        body.append(contentsOf: literal.bytes)
      }
      for literal in analysis.others {
        body.append(UInt8(literal.count))
        body.append(contentsOf: literal)
      }
      body.append(littleEndian: UInt64(analysis.clauses.words.count | analysis.masks.count << 32))
      for mask in analysis.masks { put(mask) }
      for word in analysis.clauses.words { Swift.withUnsafeBytes(of: word.littleEndian) { body.append(contentsOf: $0) } }
      for set in analysis.byteSets + analysis.scanSets { put(set) }
      for run in analysis.runs {
        put(run.set)
        body.append(littleEndian: UInt64(run.count))
      }
    }
    let check = body.withUnsafeBytes { Fingerprint(of: $0) }
    var out = Array(Bytes(magic))
    for word in [key.high, key.low, check.high, check.low] { out.append(littleEndian: word) }
    return out + body
  }

  /// nil: damaged, of other patterns, or of another version.
  static func restore(_ bytes: [UInt8], key: Fingerprint, count: Int) -> [PatternAnalysis]? {
    bytes.withUnsafeBytes { all -> [PatternAnalysis]? in
      guard all.starts(with: magic), all.count >= 48 else { return nil }
      var reader = WordReader(bytes: all, at: 8)
      guard reader.word() == key.high, reader.word() == key.low, let high = reader.word(), let low = reader.word(),
        Fingerprint(of: all.from(40)) == Fingerprint(high: high, low: low), reader.word() == UInt64(count)
      else { return nil }
      var result: [PatternAnalysis] = []
      result.reserveCapacity(count)
      for _ in 0..<count {
        guard let analysis = reader.analysis() else { return nil }
        result.append(analysis)
      }
      return reader.at == all.count ? result : nil
    }
  }

  private struct WordReader {
    let bytes: Bytes
    var at: Int
    mutating func word() -> UInt64? {
      guard bytes.count - at >= 8 else { return nil }
      defer { at += 8 }
      return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    }
    /// A length, or -1.
    mutating func length() -> Int? {
      guard let word = word(), word < 1 << 32 || word == .max else { return nil }
      return word == .max ? -1 : Int(word)
    }
    mutating func mask() -> ByteMask? {
      guard let a = word(), let b = word(), let c = word(), let d = word() else { return nil }
      return ByteMask(a: a, b: b, c: c, d: d)
    }
    mutating func reach() -> (LiteralReach, length: Int)? {
      guard let word = word() else { return nil }
      let reach = LiteralReach(bytes: Int32(bitPattern: UInt32(truncatingIfNeeded: word)), blanks: Int16(bitPattern: UInt16(word >> 48)))
      return reach.bytes >= -1 && reach.blanks >= 0 ? (reach, Int(word >> 32 & 0xffff)) : nil
    }
    mutating func other() -> [UInt8]? {
      guard at < bytes.count else { return nil }
      let length = Int(bytes[at])
      guard length >= LiteralScanner.shortest, bytes.count - at > length else { return nil }
      defer { at += 1 + length }
      return Array(bytes.slice(at + 1, at + 1 + length))
    }
    mutating func clauses(literals: Int, others: Int) -> (Clauses, masks: [ByteMask])? {
      guard let counts = word() else { return nil }
      var masks: [ByteMask] = []
      for _ in 0..<counts >> 32 {
        guard let mask = mask() else { return nil }
        masks.append(mask)
      }
      let count = counts & 0xffff_ffff
      guard count <= UInt64((bytes.count - at) / 2) else { return nil }
      let words = (0..<Int(count)).map { UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: at + 2 * $0, as: UInt16.self)) }
      at += 2 * Int(count)
      return Clauses(words, literals: literals, all: literals + others, masks: masks.count).map { ($0, masks) }
    }
    mutating func analysis() -> PatternAnalysis? {
      var result = PatternAnalysis()
      guard let shortest = word(), let longest = length(), let longestInASCII = length(), let scan = length(), let counts = word(),
        let flags = word(), shortest < 1 << 32, flags < 1 << 20
      else { return nil }
      let scanSets = flags & 0xffff
      result.needsLiteralsInASCIIOnly = flags >> 16 & 1 == 1
      result.isBeyondASCII = flags >> 17 & 1 == 1
      result.isAnchored = flags >> 18 & 1 == 1
      if flags >> 19 & 1 == 1 {
        guard let mask = mask() else { return nil }
        result.firstBytes = mask
      }
      result.shortest = Int(shortest)
      result.longest = longest
      result.longestInASCII = longestInASCII
      result.longestScan = scan
      for _ in 0..<counts & 0xffff {
        guard let (before, length) = reach(), let (beforeInASCII, _) = reach(),
          (LiteralScanner.shortest...LiteralScanner.longest).contains(length), bytes.count - at >= length
        else { return nil }
        result.literals.append(NeededLiteral(bytes: Array(bytes.slice(at, at + length)), before: before, beforeInASCII: beforeInASCII))
        at += length
      }
      for _ in 0..<counts >> 48 {
        guard let literal = other() else { return nil }
        result.others.append(literal)
      }
      guard let (clauses, masks) = clauses(literals: result.literals.count, others: result.others.count) else { return nil }
      result.clauses = clauses
      result.masks = masks
      for _ in 0..<counts >> 16 & 0xffff {
        guard let mask = mask() else { return nil }
        result.byteSets.append(mask)
      }
      for _ in 0..<scanSets {
        guard let mask = mask() else { return nil }
        result.scanSets.append(mask)
      }
      for _ in 0..<counts >> 32 & 0xffff {
        guard let mask = mask(), let count = word(), count < 1 << 32 else { return nil }
        result.runs.append((mask, Int(count)))
      }
      return result
    }
  }
}

extension Array where Element == UInt8 {
  mutating func append(littleEndian value: UInt64) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}
