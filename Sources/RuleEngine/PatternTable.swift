// The distinct patterns of a rule set: each is analysed once, compiled at most once in each form, and run at most once on a text,
// however many rules and fields ask for it.
// What must stay true: a pattern that cannot be compiled is never silently "no match": its answer is unknown, and counted.
import Primitives
import RegularExpressions

/// One distinct pattern. Plain data; the table owns what it points to.
struct PatternCode {
  var kind: PatternSource.Kind
  var isCaseSensitive: Bool
  /// Matches begin where the text does, with one of `firstBytes`.
  var isAnchored: Bool
  var firstBytes: ByteMask
  /// A literal must be found before it is run: in texts of ASCII alone, and in others.
  var isFilteredInASCII: Bool
  var isFilteredBeyondASCII: Bool
  var shortest: Int
  /// -1: unbounded.
  var longest: Int
  var longestInASCII: Int
  /// Ranges of the table's lists.
  var firstLiteral: Int32
  var literalCount: Int32
  /// Of a pattern without literals: its ways to match, as ranges of checks; none: any.
  var firstWay: Int32
  var wayCount: Int32
  var firstTest: Int32
  var testCount: Int32
  var firstSet: Int32
  var setCount: Int32
  var firstRun: Int32
  var runCount: Int32
  /// How far a step of a match may look: so many characters (-1: any number), or a run of one of `scanSets`.
  var longestScan: Int
  var firstScanSet: Int32
  var scanSetCount: Int32
  /// contains, startsWith: a range of the table's needles.
  var needleAt: Int32
  var needleCount: Int32
}

/// A literal of a pattern.
struct PatternLiteral {
  var literal: Int32
  /// How far before it a match can begin.
  var before: LiteralReach
  var beforeInASCII: LiteralReach
}

/// A way to match a pattern, filed under each literal of one of its sets. Plain data. Most are given up by their heads, which lie together.
struct PatternClause {
  /// One of these bits must be there: a check of two words at most, which is not among those from `first` on.
  struct Check {
    var wordA = UInt16(LiteralHits.constantWord)
    var wordB = UInt16(LiteralHits.constantWord)
    var maskA = UInt32.max
    var maskB: UInt32 = 0

    /// 1 or 0: both hold; without a branch between them.
    @inline(__always) static func both(_ checks: (Check, Check), _ bits: UnsafePointer<UInt32>) -> Int {
      (isZero(checks.0.met(bits)) | isZero(checks.1.met(bits))) ^ 1
    }
    /// Not 0: it holds.
    @inline(__always) func met(_ bits: UnsafePointer<UInt32>) -> UInt64 { UInt64(bits[Int(wordA)] & maskA | bits[Int(wordB)] & maskB) }
  }
  var pattern: Int32
  /// Which of `PatternTable.checks` must hold too.
  var first: Int32
  var end: Int32
  /// Those that fewest others ask for but for the head's.
  var checks = (Check(), Check())
  /// 1 or 0.
  @inline(__always) func isHeld(_ bits: UnsafePointer<UInt32>) -> Int { Check.both(checks, bits) }
  /// What is looked at first: the two checks that fewest others ask for. Each literal has the heads of its clauses in a row.
  struct Head {
    var clause: Int32 = 0
    var checks = (Check(), Check())
    /// 1 or 0.
    @inline(__always) func isHeld(_ bits: UnsafePointer<UInt32>) -> Int { Check.both(checks, bits) }
  }
}

/// Literals by their bits in `LiteralHits.bits`, or bytes by theirs, which stand before them. One set's checks stand one after the
/// other; one of them must hold. Plain data.
struct LiteralCheck {
  var mask: UInt32
  var word: Int32
  var isLast: Bool
}

/// A clause before its checks have their places.
private struct ClauseDraft {
  let pattern: Int32
  let isOpen: Bool
  let sets: [[Int32]]
  let masks: [ByteMask]
  /// What a set of bytes counts for among literals that so many clauses share.
  private static let sharesOfBytes = 64

  /// The clause, and the literals that it is filed under (none of an open pattern). `shares`: by literal, how many clauses ask for it.
  func clause(_ shares: [Int], _ checks: inout [LiteralCheck]) -> (PatternClause.Head, PatternClause, filed: [Int32]) {
    var rest = sets.map { (set: $0, cost: $0.reduce(0) { $0 + shares[Int($1)] }) }
    var filed: [Int32] = []
    if !isOpen, let at = rest.indices.min(by: { (rest[$0].cost, $0) < (rest[$1].cost, $1) }) { filed = rest.remove(at: at).set }
    var groups = rest.map { (checks: ClauseDraft.checks($0.set), cost: $0.cost) }
    groups += masks.map { (checks: ClauseDraft.checks($0), cost: ClauseDraft.sharesOfBytes) }
    // The least shared first; a stable order, so that every start makes the same tables.
    groups = groups.enumerated().sorted { ($0.element.cost, $0.offset) < ($1.element.cost, $1.offset) }.map(\.element)
    var head = PatternClause.Head()
    var clause = PatternClause(pattern: pattern, first: Int32(checks.count), end: 0)
    /// The first check of two words at most, which is then not among the others.
    func takeShort() -> [LiteralCheck]? {
      guard let at = groups.firstIndex(where: { $0.checks.count <= 2 && $0.checks.allSatisfy { $0.word <= Int32(UInt16.max) } }) else { return nil }
      return groups.remove(at: at).checks
    }
    func take(_ check: inout PatternClause.Check) {
      guard let own = takeShort() else { return }
      (check.wordA, check.maskA) = (UInt16(own[0].word), own[0].mask)
      if own.count == 2 { (check.wordB, check.maskB) = (UInt16(own[1].word), own[1].mask) }
    }
    take(&head.checks.0)
    take(&head.checks.1)
    take(&clause.checks.0)
    take(&clause.checks.1)
    for group in groups { checks += group.checks }
    clause.end = Int32(checks.count)
    return (head, clause, filed)
  }
  /// That one of the literals is found.
  private static func checks(_ literals: [Int32]) -> [LiteralCheck] {
    var checks: [LiteralCheck] = []
    for literal in literals.sorted() {
      let bit: UInt32 = 1 << UInt32(literal & 31)
      let word = literal >> 5 + LiteralHits.firstWord
      if checks.last?.word == word {
        checks[checks.count - 1].mask |= bit
      } else {
        checks.append(LiteralCheck(mask: bit, word: word, isLast: false))
      }
    }
    checks[checks.count - 1].isLast = true
    return checks
  }
  /// That one of the bytes is there.
  private static func checks(_ bytes: ByteMask) -> [LiteralCheck] {
    var checks: [LiteralCheck] = []
    for (word, mask) in bytes.words.enumerated() where mask != 0 {
      checks.append(LiteralCheck(mask: mask, word: Int32(word), isLast: false))
    }
    checks[checks.count - 1].isLast = true
    return checks
  }
}

final class PatternTable {
  private(set) var sources: [PatternSource] = []
  private var numbers: [PatternSource: Int32] = [:]
  private var analyses: [PatternAnalysis] = []
  private(set) var key = Fingerprint(high: 0, low: 0)
  private(set) var wasCached = false

  private(set) var codes: UnsafeMutablePointer<PatternCode>
  private(set) var count = 0
  private(set) var literals: UnsafeMutablePointer<PatternLiteral>
  /// By literal: the heads of the clauses that are filed under it.
  private(set) var headFirst: UnsafeMutablePointer<Int32>
  private(set) var heads: UnsafeMutablePointer<PatternClause.Head>
  private(set) var clauses: UnsafeMutablePointer<PatternClause>
  private(set) var checks: UnsafeMutablePointer<LiteralCheck>
  /// The ways of patterns without literals, and by their numbers the clauses.
  private(set) var ways: UnsafeMutablePointer<PatternClause.Head>
  /// Patterns that are candidates without a literal, wherever the text has their bytes: in texts of ASCII alone, and in others.
  private(set) var openInASCII: [Int32] = []
  private(set) var openBeyondASCII: [Int32] = []
  /// By pattern: the numbers of the tests that want it.
  private(set) var tests: UnsafeMutablePointer<Int32>
  /// Of all patterns, one after the other; lower-case where case is ignored.
  private var needles: UnsafeMutablePointer<UInt8>
  private var needleBytes = 0
  private(set) var sets: [ByteMask] = []
  private(set) var runs: [(set: Int32, count: Int)] = []
  /// By pattern, the numbers of the sets whose runs a step may walk over.
  private(set) var scanSets: [Int32] = []
  /// The number of the set of white space.
  private(set) var blankSet: Int32 = 0
  /// The distinct sets of runs.
  private(set) var runSets: [ByteMask] = []
  private(set) var scanner = LiteralScanner([])
  /// By pattern and form.
  private var compiled: [CompiledPattern] = []
  private let useJIT: Bool
  /// Forms that PCRE2 refused, and that the JIT refused.
  private(set) var refusedForms = 0
  private(set) var interpretedForms = 0
  private(set) var compiledForms = 0

  init(useJIT: Bool) {
    self.useJIT = useJIT
    codes = .allocate(capacity: 1)
    literals = .allocate(capacity: 1)
    headFirst = .allocate(capacity: 1)
    heads = .allocate(capacity: 1)
    clauses = .allocate(capacity: 1)
    checks = .allocate(capacity: 1)
    ways = .allocate(capacity: 1)
    tests = .allocate(capacity: 1)
    needles = .allocate(capacity: 1)
  }
  deinit {
    for i in compiled.indices { compiled[i].free() }
    codes.deallocate()
    literals.deallocate()
    headFirst.deallocate()
    heads.deallocate()
    clauses.deallocate()
    checks.deallocate()
    ways.deallocate()
    tests.deallocate()
    needles.deallocate()
  }

  /// What `contains` and `startsWith` look for.
  @inline(__always)
  func needle(_ code: UnsafePointer<PatternCode>) -> Bytes {
    Bytes(start: needles + Int(code.pointee.needleAt), count: Int(code.pointee.needleCount))
  }
  func needle(_ pattern: Int32) -> Bytes { needle(codes + Int(pattern)) }

  /// Room for about so many patterns.
  func reserve(_ count: Int) {
    sources.reserveCapacity(count)
    numbers.reserveCapacity(count)
  }
  /// The pattern's number, whether or not it was there before.
  func number(_ source: PatternSource) -> Int32 {
    if let known = numbers[source] { return known }
    let number = Int32(sources.count)
    numbers[source] = number
    sources.append(source)
    return number
  }

  /// Analyses all patterns, or takes what `cached` has. By pattern, what is wrong with it.
  func analyse(cached: [UInt8]?) -> [Int32: RegexError] {
    key = TableCache.key(of: sources)
    if let cached, let reader = TableCache.open(cached, key: key), restore(reader) { return [:] }
    return analyseAll()
  }
  private func analyseAll() -> [Int32: RegexError] {
    var failures: [Int32: RegexError] = [:]
    analyses.reserveCapacity(sources.count)
    for (number, source) in sources.enumerated() {
      do throws(RegexError) {
        analyses.append(try PatternAnalysis(of: source))
      } catch {
        analyses.append(PatternAnalysis())
        failures[Int32(number)] = error
      }
    }
    hasFailures = !failures.isEmpty
    return failures
  }
  private var hasFailures = false

  func isFiltered(_ pattern: Int32) -> Bool {
    wasCached ? codes[Int(pattern)].isFilteredInASCII : !analyses[Int(pattern)].literals.isEmpty
  }

  // MARK: On disk

  /// By test, its pattern (or -1): what the tables were linked for.
  private var wanted: [Int32] = []
  private var literalTotal = 0
  private(set) var headTotal = 0
  private var clauseTotal = 0
  private var checkTotal = 0
  private var wayTotal = 0
  private(set) var testTotal = 0
  private var patternLiteralTotal = 0

  /// The tables; nil: a pattern was refused, and must be again the next time.
  func serialized() -> [UInt8]? {
    if hasFailures { return nil }
    var writer = TableWriter()
    writer.put(wanted)
    writer.put(codes, count)
    writer.put(literals, patternLiteralTotal)
    writer.put(headFirst, literalTotal + 1)
    writer.put(heads, headTotal)
    writer.put(clauses, clauseTotal)
    writer.put(checks, checkTotal)
    writer.put(ways, wayTotal)
    writer.put(tests, testTotal)
    writer.put(needles, needleBytes)
    writer.put(openInASCII)
    writer.put(openBeyondASCII)
    writer.put(sets)
    writer.put(runs.map { Int64($0.set) << 32 | Int64($0.count) })
    writer.put(scanSets)
    writer.put(runSets)
    writer.put(Int(blankSet))
    scanner.write(to: &writer)
    return TableCache.seal(writer, key: key)
  }

  private func restore(_ from: TableReader) -> Bool {
    var reader = from
    guard let wanted = reader.list(Int32.self), let codes = reader.take(PatternCode.self) else { return false }
    PatternTable.adopt(&self.codes, codes.first)
    guard codes.count == sources.count, let literals = reader.take(PatternLiteral.self) else { return false }
    PatternTable.adopt(&self.literals, literals.first)
    guard let headFirst = reader.take(Int32.self) else { return false }
    PatternTable.adopt(&self.headFirst, headFirst.first)
    guard let heads = reader.take(PatternClause.Head.self) else { return false }
    PatternTable.adopt(&self.heads, heads.first)
    headTotal = heads.count
    guard let clauses = reader.take(PatternClause.self) else { return false }
    PatternTable.adopt(&self.clauses, clauses.first)
    guard let checks = reader.take(LiteralCheck.self) else { return false }
    PatternTable.adopt(&self.checks, checks.first)
    guard let ways = reader.take(PatternClause.Head.self) else { return false }
    PatternTable.adopt(&self.ways, ways.first)
    guard let tests = reader.take(Int32.self) else { return false }
    PatternTable.adopt(&self.tests, tests.first)
    testTotal = tests.count
    guard let needles = reader.take(UInt8.self) else { return false }
    PatternTable.adopt(&self.needles, needles.first)
    guard let openInASCII = reader.list(Int32.self), let openBeyondASCII = reader.list(Int32.self), let sets = reader.list(ByteMask.self),
      let runs = reader.list(Int64.self), let scanSets = reader.list(Int32.self), let runSets = reader.list(ByteMask.self),
      let blankSet = reader.number(), let scanner = LiteralScanner(from: &reader), reader.isAtEnd
    else { return false }
    count = codes.count
    self.wanted = wanted
    self.openInASCII = openInASCII
    self.openBeyondASCII = openBeyondASCII
    self.sets = sets
    self.runs = runs.map { (Int32($0 >> 32), Int($0 & 0xffff_ffff)) }
    self.scanSets = scanSets
    self.runSets = runSets
    self.blankSet = Int32(blankSet)
    self.scanner = scanner
    wasCached = true
    return true
  }
  private static func adopt<T>(_ place: inout UnsafeMutablePointer<T>, _ new: UnsafeMutablePointer<T>) {
    place.deallocate()
    place = new
  }

  /// Makes the tables, where they were not restored. `wanted`: by test, its pattern (or -1).
  func link(_ wanted: [Int32]) {
    defer {
      compiled = Array(repeating: CompiledPattern(), count: count)
      numbers = [:]
    }
    if wasCached {
      if wanted == self.wanted { return }
      // Of the same patterns, but other rules run.
      wasCached = false
      _ = analyseAll()
    }
    self.wanted = wanted
    makeTables(wanted)
  }
  private func makeTables(_ wanted: [Int32]) {
    count = sources.count
    (openInASCII, openBeyondASCII, sets, runs, scanSets, runSets) = ([], [], [], [], [], [])
    var literalNumbers: [[UInt8]: Int32] = [:]
    var literalTexts: [[UInt8]] = []
    func literalNumber(_ bytes: [UInt8]) -> Int32 {
      if let known = literalNumbers[bytes] { return known }
      literalNumbers[bytes] = Int32(literalTexts.count)
      literalTexts.append(bytes)
      return Int32(literalTexts.count - 1)
    }
    var patternLiterals: [PatternLiteral] = []
    var made: [PatternCode] = []
    var setNumbers: [ByteMask: Int32] = [:]
    func setNumber(_ set: ByteMask) -> Int32 {
      if let known = setNumbers[set] { return known }
      let number = Int32(runSets.count)
      setNumbers[set] = number
      runSets.append(set)
      return number
    }
    var testsOf: [[Int32]] = Array(repeating: [], count: count)
    for (test, pattern) in wanted.enumerated() where pattern >= 0 { testsOf[Int(pattern)].append(Int32(test)) }
    var allTests: [Int32] = []
    var allNeedles: [UInt8] = []
    for (number, source) in sources.enumerated() {
      let analysis = analyses[number]
      let first = patternLiterals.count
      if !testsOf[number].isEmpty {
        for literal in analysis.literals {
          patternLiterals.append(
            PatternLiteral(literal: literalNumber(literal.bytes), before: literal.before, beforeInASCII: literal.beforeInASCII))
        }
      }
      let isFiltered = !analysis.literals.isEmpty
      if !testsOf[number].isEmpty {
        if !isFiltered, !analysis.isBeyondASCII { openInASCII.append(Int32(number)) }
        if !isFiltered || analysis.needsLiteralsInASCIIOnly { openBeyondASCII.append(Int32(number)) }
      }
      let firstRun = runs.count
      for run in analysis.runs { runs.append((setNumber(run.set), run.count)) }
      let firstScanSet = scanSets.count
      scanSets += analysis.scanSets.map(setNumber)
      let text = source.kind == .regex ? [] : PatternTable.needle(source)
      let needleAt = allNeedles.count
      allNeedles += text
      made.append(
        PatternCode(
          kind: source.kind, isCaseSensitive: source.isCaseSensitive, isAnchored: analysis.isAnchored,
          firstBytes: analysis.firstBytes ?? ByteMask(a: .max, b: .max, c: .max, d: .max), isFilteredInASCII: isFiltered,
          isFilteredBeyondASCII: isFiltered && !analysis.needsLiteralsInASCIIOnly, shortest: analysis.shortest, longest: analysis.longest,
          longestInASCII: analysis.longestInASCII, firstLiteral: Int32(first), literalCount: Int32(patternLiterals.count - first),
          firstWay: 0, wayCount: 0, firstTest: Int32(allTests.count), testCount: Int32(testsOf[number].count), firstSet: Int32(sets.count),
          setCount: Int32(analysis.byteSets.count), firstRun: Int32(firstRun), runCount: Int32(analysis.runs.count),
          longestScan: analysis.longestScan, firstScanSet: Int32(firstScanSet), scanSetCount: Int32(analysis.scanSets.count),
          needleAt: Int32(needleAt), needleCount: Int32(text.count)))
      allTests += testsOf[number]
      sets += analysis.byteSets
    }
    blankSet = setNumber(ByteMask(Reach.blankBytes))
    let placed = literalTexts.count
    // Behind those that are sought for their places.
    var allClauses: [PatternClause] = []
    var allChecks: [LiteralCheck] = []
    var allHeads: [PatternClause.Head] = []
    var begins: [[Int32]] = []
    var openWays: [PatternClause.Head] = []
    var drafts: [ClauseDraft] = []
    var openCount: Int32 = 0
    for number in made.indices where made[number].testCount > 0 {
      let analysis = analyses[number]
      made[number].firstWay = openCount
      let isOpen = made[number].literalCount == 0
      let own = made[number].firstLiteral..<made[number].firstLiteral + made[number].literalCount
      let numbers = own.map { patternLiterals[Int($0)].literal } + analysis.others.map(literalNumber)
      analysis.clauses.forEach { sets, masks in
        drafts.append(
          ClauseDraft(
            pattern: Int32(number), isOpen: isOpen, sets: sets.map { set in set.map { numbers[Int($0)] } },
            masks: masks.map { analysis.masks[Int($0)] }))
        if isOpen { openCount += 1 }
      }
      made[number].wayCount = openCount - made[number].firstWay
    }
    // Words that many clauses ask for are words that attacks have: a clause is filed under what fewest others ask for.
    var shares = [Int](repeating: 0, count: literalTexts.count)
    for draft in drafts { for set in draft.sets { for literal in set { shares[Int(literal)] += 1 } } }
    for draft in drafts {
      var (head, clause, filed) = draft.clause(shares, &allChecks)
      head.clause = Int32(allClauses.count)
      allClauses.append(clause)
      if draft.isOpen {
        openWays.append(head)
      } else {
        allHeads.append(head)
        begins.append(filed)
      }
    }
    checks = PatternTable.replace(checks, allChecks)
    ways = PatternTable.replace(ways, openWays)
    codes = PatternTable.replace(codes, made)
    literals = PatternTable.replace(literals, patternLiterals)
    tests = PatternTable.replace(tests, allTests)
    needles = PatternTable.replace(needles, allNeedles)
    let (firsts, numbers) = PatternTable.inverted(begins, count: literalTexts.count)
    headFirst = PatternTable.replace(headFirst, firsts)
    heads = PatternTable.replace(heads, numbers.map { allHeads[Int($0)] })
    clauses = PatternTable.replace(clauses, allClauses)
    scanner = LiteralScanner(literalTexts, placed: placed, listed: literalTexts.indices.map { firsts[$0] < firsts[$0 + 1] })
    literalTotal = literalTexts.count
    headTotal = numbers.count
    clauseTotal = allClauses.count
    checkTotal = allChecks.count
    wayTotal = openWays.count
    testTotal = allTests.count
    patternLiteralTotal = patternLiterals.count
    needleBytes = allNeedles.count
  }
  /// By literal, in which of `lists` it is: where its range begins, and the ranges one after the other.
  private static func inverted(_ lists: [[Int32]], count: Int) -> (first: [Int32], members: [Int32]) {
    var first = [Int32](repeating: 0, count: count + 1)
    for list in lists { for literal in list { first[Int(literal) + 1] += 1 } }
    for i in 0..<count { first[i + 1] += first[i] }
    var next = first
    var members = [Int32](repeating: 0, count: lists.reduce(0) { $0 + $1.count })
    for (number, list) in lists.enumerated() {
      for literal in list {
        members[Int(next[Int(literal)])] = Int32(number)
        next[Int(literal)] += 1
      }
    }
    return (first, members)
  }
  private static func replace<T>(_ old: UnsafeMutablePointer<T>, _ list: [T]) -> UnsafeMutablePointer<T> {
    old.deallocate()
    let new = UnsafeMutablePointer<T>.allocateInLines(list.count)
    new.initialize(from: list, count: list.count)
    return new
  }
  private static func needle(_ source: PatternSource) -> [UInt8] {
    if source.isCaseSensitive { return source.text }
    return source.text.allSatisfy { $0 < 0x80 } ? source.text.map(asciiLower) : source.text.withUnsafeBytes { TextForms.lowered($0) }
  }

  // MARK: Compiled forms

  private struct CompiledPattern {
    enum State: UInt8 { case open, ready, impossible, refused }
    var states: (State, State, State, State) = (.open, .open, .open, .open)
    var forms: (Regex?, Regex?, Regex?, Regex?) = (nil, nil, nil, nil)
    func free() {
      forms.0?.free()
      forms.1?.free()
      forms.2?.free()
      forms.3?.free()
    }
  }
  enum Availability {
    case ready(Regex)
    /// No text of this kind can match.
    case impossible
    case refused
  }

  /// The pattern in this form, compiled now if this is the first time.
  @inline(__always)
  func regex(_ pattern: Int32, _ kind: RegularExpression.TextKind, _ form: Regex.Form) -> Availability {
    compiled.withUnsafeMutableBufferPointer { table in
      let entry = table.baseAddress! + Int(pattern)
      switch (kind, form) {
      case (.ascii, .fast): return get(&entry.pointee.states.0, &entry.pointee.forms.0, pattern, kind, form)
      case (.unicode, .fast): return get(&entry.pointee.states.1, &entry.pointee.forms.1, pattern, kind, form)
      case (.ascii, .guarded): return get(&entry.pointee.states.2, &entry.pointee.forms.2, pattern, kind, form)
      case (.unicode, .guarded): return get(&entry.pointee.states.3, &entry.pointee.forms.3, pattern, kind, form)
      }
    }
  }
  @inline(__always)
  private func get(
    _ state: inout CompiledPattern.State, _ regex: inout Regex?, _ pattern: Int32, _ kind: RegularExpression.TextKind, _ form: Regex.Form
  ) -> Availability {
    switch state {
    case .ready: return .ready(regex.unsafelyUnwrapped)
    case .impossible: return .impossible
    case .refused: return .refused
    case .open:
      let made = compile(pattern, kind, form)
      switch made {
      case .ready(let code):
        regex = code
        state = .ready
      case .impossible: state = .impossible
      case .refused: state = .refused
      }
      return made
    }
  }
  @inline(never)
  private func compile(_ pattern: Int32, _ kind: RegularExpression.TextKind, _ form: Regex.Form) -> Availability {
    let source = sources[Int(pattern)]
    guard let expression = try? RegularExpression(String(decoding: source.text, as: UTF8.self), isCaseSensitive: source.isCaseSensitive) else {
      refusedForms += 1
      return .refused
    }
    guard let text = form == .fast ? expression.pcre2(for: kind) : expression.chargedPCRE2(for: kind) else { return .impossible }
    let scan = form == .fast ? ScanFacts() : expression.matchFacts().scan
    guard let regex = try? Regex(Array(text.utf8), kind: kind, form: form, scan: scan, useJIT: useJIT) else {
      refusedForms += 1
      return .refused
    }
    compiledForms += 1
    if !regex.hasJIT { interpretedForms += 1 }
    return .ready(regex)
  }
}
