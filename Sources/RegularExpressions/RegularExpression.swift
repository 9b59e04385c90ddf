// A pattern as rules write it: read into a tree, said again in PCRE2's words, and known by what each of its matches must contain.
// The dialect is that of ATR's reference implementation (Python's `re` over str with IGNORECASE where a condition ignores case, and
// the constructs that only ECMAScript has, as docs/atr-conformance.md lists them). PCRE2 matches; this module never does.
// What must stay true: reading is total and linear; a translation means exactly what the pattern means, or is refused with a reason;
// a requirement never excludes a text that the pattern matches.
import Primitives

public struct RegularExpressionError: Error, Sendable, Equatable {
  public var message: String
  /// Byte of the pattern as it was written.
  public var offset: Int
  /// The pattern is right, but cannot be said to PCRE2 exactly.
  public var isUnsupported: Bool
  public init(message: String, offset: Int, isUnsupported: Bool = false) {
    self.message = message
    self.offset = offset
    self.isUnsupported = isUnsupported
  }
}

public struct RegularExpression: Sendable {
  /// Texts come in two kinds, so that the many that are plain pay nothing for the few that are not.
  public enum TextKind: Sendable {
    /// Only bytes below 0x80. Compiled without UTF: each byte is a character.
    case ascii
    /// UTF-8, possibly ill-formed (PCRE2_UTF | PCRE2_MATCH_INVALID_UTF). The translation spells out \d \w \s \b and case.
    case unicode
  }
  /// At least `count` bytes one after the other, all in `set`.
  public struct RequiredRun: Sendable, Equatable {
    public var set: ByteSet
    public var count: Int
  }

  public let source: String
  public let isCaseSensitive: Bool
  /// The pattern as a tree.
  public let root: Node
  /// What is taken as ECMAScript has it, but is most likely a mistake: a reference to a group that does not exist. At most eight.
  public let remarks: [RegularExpressionError]
  private let ascii: String?
  private let unicode: String?

  /// Throws what is wrong with the pattern, or (`isUnsupported`) why PCRE2 cannot be told exactly what it means.
  public init(_ source: String, isCaseSensitive: Bool) throws(RegularExpressionError) {
    self.source = source
    self.isCaseSensitive = isCaseSensitive
    let tree = try PatternParser.read(source, ignoresCase: !isCaseSensitive)
    root = tree.root
    remarks = tree.remarks
    ascii = try Translation.of(root, .ascii)
    unicode = try Translation.of(root, .unicode)
  }

  /// The pattern in PCRE2's spelling, complete with inline options (case included) and, for `unicode`, with `(*UCP)` at its very start,
  /// so nothing may be put before it; nil: no text of this kind can match. Options to compile it with: `ascii` PCRE2_NEVER_BACKSLASH_C;
  /// `unicode` also PCRE2_UTF | PCRE2_MATCH_INVALID_UTF; newline LF; parentheses nest up to PCRE2's default (250).
  public func pcre2(for kind: TextKind) -> String? { kind == .ascii ? ascii : unicode }

  /// The same with callouts `(?C)` after each part that may have gone another way or taken many characters, and before long repeats of a
  /// fixed number: whoever adds up what lies between them knows what a match has cost. Worked out on each call.
  public func chargedPCRE2(for kind: TextKind) -> String? { (try? Translation.of(root, kind, isCharged: true)) ?? pcre2(for: kind) }

  /// What is true of every match. Worked out on each call, in time linear in the pattern.
  public func matchFacts() -> MatchFacts {
    let facts = RequirementAnalysis.facts(root)
    let bytes = ByteAnalysis.facts(root)
    let inASCII = ASCIITree.restrict(root).map(RequirementAnalysis.facts)
    let scan = ScanAnalysis.facts(root)
    var groups: [Int: Int] = [:]
    // A character is at least a byte.
    let shortest = scan.hasBackReferences ? max(facts.bounds.low, root.leastCharacters(&groups)) : facts.bounds.low
    return MatchFacts(
      requirement: requirement(facts), shortest: shortest, longest: RegularExpression.longest(facts), byteSets: bytes.sets.map(\.set),
      runs: bytes.runs.map(\.run), start: start, ways: facts.required == nil ? ways(facts) : [], scan: scan,
      inASCII: inASCII.map { ASCIIFacts(requirement: requirement($0, hasClauses: facts.required == nil), longest: RegularExpression.longest($0)) })
  }
  private static func longest(_ facts: RequirementAnalysis.Facts) -> Int? { facts.bounds.high.flatMap { $0.blanks == 0 ? $0.bytes : nil } }
  /// What each match begins with, if it begins where the text does.
  private var start: TextStart? {
    var parts = root.parts
    // What looks ahead over any number of any characters, and does nothing else, sees from the text's start what it sees from anywhere.
    if !parts.isEmpty, parts.allSatisfy(\.looksAheadOverAnything) { return TextStart() }
    guard case .anchor(.textStart)? = parts.first else { return nil }
    parts.removeFirst()
    guard var next = parts.first else { return TextStart() }
    if case .repeat(let inner, let low, _, _) = next, low > 0 { next = inner }
    return TextStart(bytes: next.isSingleCharacter ? ByteAnalysis.facts(next).sets.first?.set : nil)
  }
  private func ways(_ facts: RequirementAnalysis.Facts) -> [Requirement.Clause] {
    guard facts.clauses.isEmpty, let exact = facts.exact, !exact.contains([]) else { return facts.clauses.map { clause([], $0) } }
    // Some of few texts are too short for a literal: one byte, which the text as it is has too.
    let short = exact.filter { $0.count < 2 }.map { $0[0] }
    guard short.allSatisfy({ $0 < 0x80 && !CaseTable.isASCIILetter(UInt32($0)) && $0 != ScanForm.blank }) else { return [] }
    var bytes = ByteSet()
    for byte in short { bytes.insert(byte) }
    return [Requirement.Clause(literals: [], bytes: [bytes]), Requirement.Clause(literals: [], others: [exact.filter { $0.count > 1 }])]
      .filter { !($0.others == [[]]) }
  }
  /// `hasClauses` false: only the literals are asked for.
  private func requirement(_ facts: RequirementAnalysis.Facts, hasClauses: Bool = true) -> Requirement? {
    guard let found = facts.required else { return nil }
    let clauses = facts.requiredClauses
    var primary = clauses.map { RequirementAnalysis.withoutCovered($0.sets.first?.literals ?? []) }
    var others = clauses.map { RequirementAnalysis.Clause(sets: Array($0.sets.dropFirst()), bytes: $0.bytes) }
    var places = primary.contains(where: \.isEmpty) ? nil : RequirementAnalysis.union(primary)
    if clauses.count == 1 || places == nil {
      primary = [RequirementAnalysis.withoutCovered(found.literals)]
      others = [RequirementAnalysis.Clause(sets: facts.requiredSets, bytes: facts.bytes)]
      places = primary[0]
    }
    guard var literals = places else { return nil }
    // Such a look-behind is matched from its own start.
    if root.unboundedLookBehind != nil { for index in literals.indices { literals[index].longestBefore = nil } }
    guard hasClauses else { return Requirement(literals: literals, clauses: [Requirement.Clause(literals: literals.map(\.bytes))]) }
    return Requirement(literals: literals, clauses: zip(primary, others).map { clause($0.map(\.bytes), $1) })
  }
  private func clause(_ primary: [[UInt8]], _ others: RequirementAnalysis.Clause) -> Requirement.Clause {
    let mine = Set(primary)
    let sets = others.sets.lazy.filter { $0.literals.count <= RequirementAnalysis.mostLiterals * 2 }
      .map { RequirementAnalysis.withoutCovered($0.literals).map(\.bytes) }
      .filter { set in set.count <= RequirementAnalysis.mostLiterals && set.allSatisfy { $0.count >= 3 } && Set(set) != mine }
    // What the literals have anyway need not be asked for.
    let all = (primary.isEmpty ? [] : [primary]) + sets
    let bytes = others.bytes.map(\.set).filter { one in !all.contains { $0.allSatisfy { $0.contains(where: one.contains) } } }
    return Requirement.Clause(literals: primary, others: Array(sets), bytes: bytes)
  }
}

/// What is true of every match of a pattern.
public struct MatchFacts: Sendable, Equatable {
  /// nil: no literal is known that every match contains.
  public var requirement: Requirement?
  /// Bytes of UTF-8 of the shortest match, look-around not counted.
  public var shortest: Int
  /// nil: unbounded.
  public var longest: Int?
  /// Of each of these sets every match contains at least one byte of the text as it is (not folded), or its look-ahead does: the
  /// rarest first, at most eight.
  public var byteSets: [ByteSet]
  /// Runs that every match contains, the most telling first, at most four.
  public var runs: [RegularExpression.RequiredRun]
  /// Matches begin where the text does; nil: it is not known.
  public var start: TextStart?
  /// Without a literal that every match contains: the ways to match, of which each goes one; none: it is not known. Their `literals` are empty.
  public var ways: [Requirement.Clause]
  public var scan: ScanFacts
  /// What is known beyond that of matches in texts of ASCII alone; nil: there are none.
  public var inASCII: ASCIIFacts?
}

/// The beginning of a match that begins where its text does.
public struct TextStart: Sendable, Equatable {
  /// What its first byte is one of; nil: it is not known, or there may be none.
  public var bytes: ByteSet?
}

/// What only texts of ASCII promise: each character is one byte, and what needs others is no way to match.
public struct ASCIIFacts: Sendable, Equatable {
  /// nil: no literal is known that every match contains.
  public var requirement: Requirement?
  /// Bytes of the longest match; nil: unbounded.
  public var longest: Int?
}

/// Each match contains at least one of `literals`.
public struct Requirement: Sendable, Equatable {
  public struct Literal: Hashable, Sendable {
    /// UTF-8 in the scan form (ScanForm), ASCII letters in lower case: compared with a text in that form whose ASCII letters are
    /// lower-cased too. Where the pattern ignores case, each case of a character beyond ASCII is a literal of its own; of a class of such
    /// characters it may be only what several begin with, two bytes or more.
    public var bytes: [UInt8]
    /// How far before the literal a match can begin, at most; nil: any number.
    public var longestBefore: Reach?
    public init(bytes: [UInt8], longestBefore: Reach?) {
      self.bytes = bytes
      self.longestBefore = longestBefore
    }
  }
  /// One way to match.
  public struct Clause: Hashable, Sendable {
    /// At least one of them, all of which are in the requirement's `literals`.
    public var literals: [[UInt8]]
    /// And at least one of each of these sets, the rarest first.
    public var others: [[[UInt8]]]
    /// And at least one byte of each of these sets, as the text has them (not folded), the rarest first.
    public var bytes: [ByteSet]
    public init(literals: [[UInt8]], others: [[[UInt8]]] = [], bytes: [ByteSet] = []) {
      self.literals = literals
      self.others = others
      self.bytes = bytes
    }
  }
  public var literals: [Literal]
  /// Each match contains what one of them asks for.
  public var clauses: [Clause]
  public init(literals: [Literal], clauses: [Clause]) {
    self.literals = literals
    self.clauses = clauses
  }
}
