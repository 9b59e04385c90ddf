// What is known about a pattern without running it: literals, lengths, bytes that each match needs. The dearest part of a start, so the
// tables that are made of it are kept on disk (TableCache).
// What must stay true: analysis only ever saves a run of PCRE2.
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
  /// From the lowest byte on.
  var words: [UInt32] { [a, b, c, d].flatMap { [UInt32(truncatingIfNeeded: $0), UInt32(truncatingIfNeeded: $0 >> 32)] } }
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
  /// In one piece: an array alone is hashed byte by byte, and each start hashes all patterns.
  func hash(into hasher: inout Hasher) {
    hasher.combine(kind)
    hasher.combine(isCaseSensitive)
    text.withUnsafeBytes { hasher.combine(bytes: $0) }
  }
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

/// Lists of sets of literals, in one piece because there are thousands: for each clause how many sets it has and (from bit 8) how many
/// masks; for each set how many literals, and these, as indices into the pattern's literals and, behind them, its others; then the
/// masks, as indices into the pattern's masks.
struct Clauses: Equatable, Sendable {
  private(set) var words: [UInt16] = []
  init() {}
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
    let bytes = ScanForm.of(source.text).prefix(LiteralScanner.longest).map(asciiLower)
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
