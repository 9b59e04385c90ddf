// The texts of one event, each scanned once whatever fields show it, and what patterns said about them.
// What must stay true: a pattern runs at most once on a text; the answer is that of the whole pattern on the whole text, raw or
// normalised, however the search was narrowed down; what an event leaves here is gone with the next one.
import CLinux
import Primitives
import RegularExpressions

/// One text. Plain data; `EventTexts` owns what it points to.
private struct EventText {
  /// As the event has it: how equal texts are known.
  var given: Bytes = .none
  /// What is tested: the text, repaired where it was ill-formed.
  var base: UnsafePointer<UInt8>
  var count = 0
  var isASCII = true
  /// How far a match can begin before a literal is known.
  var hasPlaces = true
  /// The normalised form, if it is another; and, for it, the text that it is of.
  var other: Int32 = -1
  var owner: Int32
  var owned: UnsafeMutablePointer<UInt8>?
  /// Bytes that occur; made when first asked for.
  var mask: ByteMask?
  let hits: UnsafeMutablePointer<LiteralHits>
  /// By pattern: `EventTexts.State`.
  let states: UnsafeMutablePointer<UInt8>
  /// Patterns whose state is not the one that they begin with.
  let touched: UnsafeMutablePointer<Int32>
  var touchedCount = 0
  /// By set of runs: the longest run, or -1.
  let runs: UnsafeMutablePointer<Int32>
  var hasRuns = false

  var bytes: Bytes { Bytes(start: base, count: count) }
}

struct TextCounters {
  var scans: UInt64 = 0
  var scannedBytes: UInt64 = 0
  /// Patterns of which a literal was found.
  var candidates: UInt64 = 0
  /// Patterns run by PCRE2, and those of them in the guarded form.
  var confirmations: UInt64 = 0
  var guarded: UInt64 = 0
  /// What limits allowed all confirmations together, in the unit of `Limits.regexFastWork`: the bound of their cost.
  var allowedWork: UInt64 = 0
}

final class EventTexts {
  fileprivate enum State {
    static let no: UInt8 = 0
    static let candidate: UInt8 = 1
    static let yes: UInt8 = 2
    static let unknown: UInt8 = 3
  }
  let table: PatternTable
  private let memory = RegexMemory()
  private var texts: UnsafeMutablePointer<EventText>
  private var capacity: Int
  private var made = 0
  private(set) var count: Int32 = 0
  private var costly = 0
  private let codes: UnsafeMutablePointer<PatternCode>
  private let nothing: UnsafeMutablePointer<UInt8>
  /// Working memory: heads of clauses that a literal was found of, then those that hold, and then the clauses.
  private let heldClauses: UnsafeMutablePointer<Int32>
  /// The table's lists, where reading them takes no reference count.
  private let sets: UnsafeMutablePointer<ByteMask>
  private let runs: UnsafeMutablePointer<(set: Int32, count: Int)>
  private let runSets: UnsafeMutablePointer<ByteMask>
  private let openInASCII: UnsafeMutableBufferPointer<Int32>
  private let openBeyondASCII: UnsafeMutableBufferPointer<Int32>
  private var scratch: [UInt8] = []
  var counters = TextCounters()
  /// By pattern, where costs are asked for; see PatternCosts.
  var costs: PatternCosts?

  init(_ table: PatternTable) {
    self.table = table
    codes = table.codes
    capacity = 4
    texts = .allocate(capacity: capacity)
    nothing = .allocate(capacity: 1)
    nothing.initialize(to: 0)
    heldClauses = .allocateInLines(table.headTotal + EventTexts.headsAtATime)
    heldClauses.initialize(repeating: 0, count: table.headTotal + EventTexts.headsAtATime)
    func flat<T>(_ list: [T]) -> UnsafeMutablePointer<T> {
      let copy = UnsafeMutablePointer<T>.allocate(capacity: max(1, list.count))
      copy.initialize(from: list, count: list.count)
      return copy
    }
    sets = flat(table.sets)
    runs = flat(table.runs)
    runSets = flat(table.runSets)
    openInASCII = UnsafeMutableBufferPointer(start: flat(table.openInASCII), count: table.openInASCII.count)
    openBeyondASCII = UnsafeMutableBufferPointer(start: flat(table.openBeyondASCII), count: table.openBeyondASCII.count)
  }
  deinit {
    clear()
    for i in 0..<made {
      let text = texts[i]
      text.hits.pointee.deallocate()
      text.hits.deinitialize(count: 1)
      text.hits.deallocate()
      text.states.deallocate()
      text.touched.deallocate()
      text.runs.deallocate()
    }
    texts.deallocate()
    nothing.deallocate()
    heldClauses.deallocate()
    sets.deallocate()
    runs.deallocate()
    runSets.deallocate()
    openInASCII.deallocate()
    openBeyondASCII.deallocate()
  }

  /// Forgets all texts.
  func clear() {
    for i in 0..<Int(count) {
      let text = texts + i
      for n in 0..<text.pointee.touchedCount { text.pointee.states[Int(text.pointee.touched[n])] = State.no }
      text.pointee.touchedCount = 0
      text.pointee.owned?.deallocate()
      text.pointee.owned = nil
    }
    count = 0
    costly = 0
  }

  // MARK: Texts

  /// The number of a text, which is scanned if it is new. The bytes must stay where they are until `clear`.
  @inline(__always)
  func number(_ given: Bytes) -> Int32 {
    for i in 0..<Int(count) where texts[i].given.count == given.count && texts[i].owner == Int32(i) {
      // An agent's event shows one text in several fields; comparing it costs far less than scanning it again.
      if texts[i].given.baseAddress == given.baseAddress || i < EventTexts.comparedTexts && texts[i].given.equals(given) { return Int32(i) }
    }
    return add(given)
  }
  /// Texts that a new one is compared with, byte by byte: the first ones of an event.
  private static let comparedTexts = 8
  /// The same for bytes that do not stay; they are copied.
  func number(copying given: Bytes) -> Int32 {
    let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, given.count))
    if let base = given.baseAddress { copy.update(from: base.assumingMemoryBound(to: UInt8.self), count: given.count) }
    let number = add(Bytes(start: copy, count: given.count))
    if texts[Int(number)].owned == nil { texts[Int(number)].owned = copy } else { copy.deallocate() }
    return number
  }

  /// Patterns of which a literal was found in the text (or in its normalised form: ask for both).
  @inline(__always) func candidateCount(_ text: Int32) -> Int { texts[Int(text)].touchedCount }
  @inline(__always) func candidate(_ text: Int32, _ n: Int) -> Int32 { texts[Int(text)].touched[n] }
  @inline(__always) func owner(_ text: Int32) -> Int32 { texts[Int(text)].owner }
  func bytes(_ text: Int32) -> Bytes { texts[Int(text)].bytes }
  func isASCII(_ text: Int32) -> Bool { texts[Int(text)].isASCII }
  /// The text as it is tested, and its normalised form where that is another.
  func forms(_ text: Int32) -> (raw: Bytes, normalised: Bytes?) {
    let other = texts[Int(text)].other
    return (texts[Int(text)].bytes, other < 0 ? nil : texts[Int(other)].bytes)
  }

  private func add(_ given: Bytes) -> Int32 {
    let number = next()
    let text = texts + Int(number)
    text.pointee.given = given
    text.pointee.base = given.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? UnsafePointer(nothing)
    text.pointee.count = given.count
    text.pointee.isASCII = TextForms.isASCII(given)
    if text.pointee.isASCII {
      scan(number)
      return number
    }
    if let repaired = TextForms.repaired(given) { own(number, repaired) }
    let normalised = TextForms.normalised(texts[Int(number)].bytes)
    scan(number)
    if let normalised {
      let other = next()
      own(other, normalised)
      texts[Int(other)].owner = number
      texts[Int(other)].isASCII = TextForms.isASCII(texts[Int(other)].bytes)
      texts[Int(number)].other = other
      scan(other)
    }
    return number
  }
  private func own(_ number: Int32, _ bytes: [UInt8]) {
    let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, bytes.count))
    copy.initialize(from: bytes, count: bytes.count)
    texts[Int(number)].owned = copy
    texts[Int(number)].base = UnsafePointer(copy)
    texts[Int(number)].count = bytes.count
  }

  private func next() -> Int32 {
    if Int(count) == made { make() }
    let text = texts + Int(count)
    text.pointee.other = -1
    text.pointee.owner = count
    text.pointee.hasPlaces = true
    text.pointee.mask = nil
    text.pointee.given = .none
    if text.pointee.hasRuns {
      text.pointee.runs.update(repeating: -1, count: max(1, table.runSets.count))
      text.pointee.hasRuns = false
    }
    count += 1
    return count - 1
  }
  private func make() {
    if made == capacity {
      let larger = UnsafeMutablePointer<EventText>.allocate(capacity: capacity * 2)
      larger.moveInitialize(from: texts, count: made)
      texts.deallocate()
      texts = larger
      capacity *= 2
    }
    let hits = UnsafeMutablePointer<LiteralHits>.allocate(capacity: 1)
    hits.initialize(to: LiteralHits(literalCount: table.scanner.literalCount, placedCount: table.scanner.placedCount))
    let states = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, table.count))
    states.initialize(repeating: State.no, count: max(1, table.count))
    let touched = UnsafeMutablePointer<Int32>.allocate(capacity: max(1, table.count))
    touched.initialize(repeating: 0, count: max(1, table.count))
    let runs = UnsafeMutablePointer<Int32>.allocate(capacity: max(1, table.runSets.count))
    runs.initialize(repeating: -1, count: max(1, table.runSets.count))
    (texts + made).initialize(
      to: EventText(base: UnsafePointer(nothing), owner: Int32(made), hits: hits, states: states, touched: touched, runs: runs))
    made += 1
  }

  /// Texts above this keep the places of literals, so that confirmation need not walk over what lies between.
  private static let longText = 512

  private func scan(_ number: Int32) {
    let text = texts + Int(number)
    let hits = text.pointee.hits
    let bytes = text.pointee.bytes
    counters.scans &+= 1
    counters.scannedBytes &+= UInt64(bytes.count)
    hits.pointee.begin(keepsPlaces: bytes.count > EventTexts.longText, bytes: mask(text))
    if text.pointee.isASCII, !ScanForm.mayDiffer(bytes) {
      table.scanner.scan(bytes, hits)
    } else {
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: max(1, bytes.count)) { form in
        let made = ScanForm.write(bytes, to: form.baseAddress.unsafelyUnwrapped, &hits.pointee.shifts)
        // How long such letters are is not known of literals.
        if made.hasLetters { text.pointee.hasPlaces = false }
        table.scanner.scan(Bytes(start: form.baseAddress, count: made.count), hits)
      }
    }
    list(text)
  }
  private static let headsAtATime = 4
  /// Makes candidates of the patterns of which enough was found.
  private func list(_ text: UnsafeMutablePointer<EventText>) {
    let hits = text.pointee.hits
    open(text)
    let first = table.headFirst
    let states = text.pointee.states
    let bits = UnsafePointer(hits.pointee.bits)
    let heads = UnsafePointer(table.heads)
    // Where lists begin, they themselves and what they lead to lie far apart: each is asked for before it is needed. And whether a head holds
    // cannot be foreseen: each is written, and counted if it does.
    let found = UnsafePointer(hits.pointee.found)
    let foundCount = hits.pointee.foundCount
    for n in 0..<foundCount { pg_prefetch(first + Int(found[n])) }
    for n in 0..<foundCount { pg_prefetch(heads + Int(first[Int(found[n])])) }
    var listed = 0
    for n in 0..<foundCount {
      var head = first[Int(found[n])]
      let end = first[Int(found[n]) &+ 1]
      // Most have three at most.
      while true {
        for i in 0..<EventTexts.headsAtATime { heldClauses[listed &+ i] = head &+ Int32(i) }
        listed &+= Int(min(Int32(EventTexts.headsAtATime), end &- head))
        head &+= Int32(EventTexts.headsAtATime)
        if head >= end { break }
      }
    }
    var held = 0
    for n in 0..<listed {
      let head = heldClauses[n]
      heldClauses[held] = head
      held &+= heads[Int(head)].isHeld(bits)
    }
    let clauses = UnsafePointer(table.clauses)
    let checks = UnsafePointer(table.checks)
    for n in 0..<held { pg_prefetch(clauses + Int(heads[Int(heldClauses[n])].clause)) }
    var kept = 0
    for n in 0..<held {
      let number = heads[Int(heldClauses[n])].clause
      let clause = clauses + Int(number)
      pg_prefetch(checks + Int(clause.pointee.first))
      heldClauses[kept] = number
      kept &+= clause.pointee.isHeld(bits)
    }
    for n in 0..<kept {
      let clause = clauses + Int(heldClauses[n])
      let pattern = clause.pointee.pattern
      if states[Int(pattern)] != State.candidate, othersHold(clause, bits) { touch(text, pattern, State.candidate) }
    }
    counters.candidates &+= UInt64(text.pointee.touchedCount)
  }
  /// Makes candidates of the patterns that need no literal, where the text has the bytes that they need.
  private func open(_ text: UnsafeMutablePointer<EventText>) {
    let list = text.pointee.isASCII ? openInASCII : openBeyondASCII
    guard list.count > 0 else { return }
    let mask = mask(text)
    for pattern in list {
      let code = codes + Int(pattern)
      if text.pointee.count >= code.pointee.shortest, hasSets(code, mask), begins(code, text), goesAWay(code, text) {
        touch(text, pattern, State.candidate)
      }
    }
  }
  /// What the text begins with may be what a match begins with, where each begins there.
  @inline(__always)
  private func begins(_ code: UnsafeMutablePointer<PatternCode>, _ text: UnsafeMutablePointer<EventText>) -> Bool {
    !code.pointee.isAnchored || text.pointee.count == 0 || code.pointee.firstBytes.contains(text.pointee.base[0])
  }
  private func goesAWay(_ code: UnsafeMutablePointer<PatternCode>, _ text: UnsafeMutablePointer<EventText>) -> Bool {
    if code.pointee.wayCount == 0 { return true }
    let bits = UnsafePointer(text.pointee.hits.pointee.bits)
    let ways = table.ways + Int(code.pointee.firstWay)
    let clauses = UnsafePointer(table.clauses)
    for i in 0..<Int(code.pointee.wayCount) where ways[i].isHeld(bits) != 0 && holds(clauses + Int(ways[i].clause), bits) { return true }
    return false
  }
  /// Whether a literal of each of the clause's other sets was found too; if not, no match goes this way.
  @inline(__always)
  private func holds(_ clause: UnsafePointer<PatternClause>, _ bits: UnsafePointer<UInt32>) -> Bool {
    clause.pointee.isHeld(bits) != 0 && othersHold(clause, bits)
  }
  /// The same for those that it does not say itself.
  @inline(__always)
  private func othersHold(_ clause: UnsafePointer<PatternClause>, _ bits: UnsafePointer<UInt32>) -> Bool {
    let end = UnsafePointer(table.checks) + Int(clause.pointee.end)
    var check = UnsafePointer(table.checks) + Int(clause.pointee.first)
    var met: UInt32 = 0
    while check < end {
      met |= bits[Int(check.pointee.word)] & check.pointee.mask
      if check.pointee.isLast {
        if met == 0 { return false }
        met = 0
      }
      check += 1
    }
    return true
  }
  @inline(__always)
  private func touch(_ text: UnsafeMutablePointer<EventText>, _ pattern: Int32, _ state: UInt8) {
    pg_prefetch(codes + Int(pattern))
    text.pointee.states[Int(pattern)] = state
    text.pointee.touched[text.pointee.touchedCount] = pattern
    text.pointee.touchedCount += 1
  }

  // MARK: Patterns

  /// Does the pattern match the text, or its normalised form?
  @inline(__always)
  func test(_ pattern: Int32, _ number: Int32) -> Truth {
    let truth = testOne(pattern, number)
    let other = texts[Int(number)].other
    return truth == .yes || other < 0 ? truth : truth.or(testOne(pattern, other))
  }

  @inline(__always)
  private func testOne(_ pattern: Int32, _ number: Int32) -> Truth {
    let text = texts + Int(number)
    switch text.pointee.states[Int(pattern)] {
    case State.no: return .no
    case State.yes: return .yes
    case State.unknown: return .unknown
    default: break
    }
    let truth = costs == nil ? confirm(pattern, number) : timed(pattern, number)
    text.pointee.states[Int(pattern)] = truth == .yes ? State.yes : truth == .no ? State.no : State.unknown
    return truth
  }
  private func timed(_ pattern: Int32, _ number: Int32) -> Truth {
    let began = PatternCosts.now()
    let truth = confirm(pattern, number)
    costs?.add(pattern, PatternCosts.now() - began, bytes: texts[Int(number)].count, isMatch: truth == .yes)
    return truth
  }

  /// Where in the text, as it was given, a pattern matched that `test` says yes to; nil: only in its normalised form, or only a longer
  /// walk would tell.
  func span(_ pattern: Int32, _ number: Int32) -> Range<Int>? {
    texts[Int(number)].owned == nil ? place(pattern, number) : nil
  }
  /// How many bytes a pattern matched that `test` says yes to: of the text as it was tested, else of its normalised form.
  func matchLength(_ pattern: Int32, _ number: Int32) -> Int? {
    let other = texts[Int(number)].other
    return place(pattern, number)?.count ?? (other < 0 ? nil : place(pattern, other)?.count)
  }
  /// As dear as finding out that it matches, and no dearer.
  private func place(_ pattern: Int32, _ number: Int32) -> Range<Int>? {
    let text = texts + Int(number)
    let kind: RegularExpression.TextKind = text.pointee.isASCII ? .ascii : .unicode
    guard text.pointee.states[Int(pattern)] == State.yes, case .ready(let regex) = table.regex(pattern, kind, .fast) else { return nil }
    let code = codes + Int(pattern)
    guard search(pattern, code, text, regex, kind) == .yes else { return nil }
    // The last window is searched first: a match before it counts where it can be found at no more cost than that.
    let found = memory.span
    var allowance = self.allowance(text)
    let whole = Search(pattern: pattern, code: code, text: text, regex: regex, kind: kind)
    return searchRange(whole, 0, found.lowerBound, &allowance) == .yes ? memory.span : found
  }

  private func confirm(_ pattern: Int32, _ number: Int32) -> Truth {
    let text = texts + Int(number)
    let code = codes + Int(pattern)
    switch code.pointee.kind {
    case .contains: return contains(code, text) ? .yes : .no
    case .startsWith: return startsWith(code, text) ? .yes : .no
    case .regex: break
    }
    guard text.pointee.count >= code.pointee.shortest, begins(code, text), hasBytes(code, text) else { return .no }
    let kind: RegularExpression.TextKind = text.pointee.isASCII ? .ascii : .unicode
    switch table.regex(pattern, kind, .fast) {
    case .impossible: return .no
    case .refused: return .unknown
    case .ready(let regex):
      counters.confirmations &+= 1
      return search(pattern, code, text, regex, kind)
    }
  }

  private func contains(_ code: UnsafeMutablePointer<PatternCode>, _ text: UnsafeMutablePointer<EventText>) -> Bool {
    let needle = table.needle(code)
    if code.pointee.isCaseSensitive { return needle.count == 0 || text.pointee.bytes.index(of: needle) != nil }
    if text.pointee.isASCII {
      // A found literal that is the whole needle has said it, but for how much white space.
      if code.pointee.isFilteredInASCII, needle.count <= LiteralScanner.longest, !needle.contains(where: { $0 <= 0x20 }) { return true }
      return position(of: needle, in: text.pointee.bytes, caseSensitive: false, &scratch) != nil
    }
    return needle.count == 0 || TextForms.lowered(text.pointee.bytes).withUnsafeBytes { $0.index(of: needle) != nil }
  }
  private func startsWith(_ code: UnsafeMutablePointer<PatternCode>, _ text: UnsafeMutablePointer<EventText>) -> Bool {
    let needle = table.needle(code)
    if code.pointee.isCaseSensitive { return text.pointee.bytes.upTo(needle.count).equals(needle) }
    if text.pointee.isASCII {
      let part = text.pointee.bytes.upTo(needle.count)
      return part.count == needle.count && equalsFolded(part, needle)
    }
    return TextForms.lowered(text.pointee.bytes).withUnsafeBytes { $0.upTo(needle.count).equals(needle) }
  }

  // MARK: What each match needs

  @inline(__always)
  private func hasBytes(_ code: UnsafeMutablePointer<PatternCode>, _ text: UnsafeMutablePointer<EventText>) -> Bool {
    if code.pointee.setCount > 0, !hasSets(code, mask(text)) { return false }
    for i in code.pointee.firstRun..<code.pointee.firstRun + code.pointee.runCount {
      let run = runs[Int(i)]
      if text.pointee.count <= EventTexts.longText {
        if !EventTexts.hasRun(of: runSets[Int(run.set)], run.count, text.pointee.bytes) { return false }
      } else if longestRun(of: run.set, text) < run.count {
        return false
      }
    }
    return true
  }
  @inline(__always)
  private func hasSets(_ code: UnsafeMutablePointer<PatternCode>, _ mask: ByteMask) -> Bool {
    for i in code.pointee.firstSet..<code.pointee.firstSet + code.pointee.setCount where !sets[Int(i)].meets(mask) { return false }
    return true
  }
  /// Whether `count` bytes in a row are in the set. Looks at the last place where such a run could end, and skips what that excludes.
  private static func hasRun(of set: ByteMask, _ count: Int, _ text: Bytes) -> Bool {
    if count < 1 { return true }
    var start = 0
    // Bytes from `start` on that are known to be in the set.
    var known = 0
    while start + count <= text.count {
      var at = start + count - 1
      while at >= start + known, set.contains(text[at]) { at -= 1 }
      if at < start + known { return true }
      known = start + count - 1 - at
      start = at + 1
    }
    return false
  }
  private func mask(_ text: UnsafeMutablePointer<EventText>) -> ByteMask {
    if let known = text.pointee.mask { return known }
    let mask = EventTexts.mask(of: text.pointee.bytes)
    text.pointee.mask = mask
    return mask
  }
  /// One flag for each value, set without looking, and then the flags as bits: no byte waits for the one before it.
  private static func mask(of text: Bytes) -> ByteMask {
    withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) { flags -> ByteMask in
      flags.initializeMemory(as: UInt8.self, repeating: 0)
      for byte in text { flags[Int(byte)] = 1 }
      func word(_ first: Int) -> UInt64 {
        var bits: UInt64 = 0
        for i in 0..<8 {
          let eight = UInt64(littleEndian: flags.load(fromByteOffset: first + i * 8, as: UInt64.self))
          bits |= ((eight &* 0x0102_0408_1020_4080) &>> 56) &<< UInt64(i * 8)
        }
        return bits
      }
      return ByteMask(a: word(0), b: word(64), c: word(128), d: word(192))
    }
  }
  private func longestRun(of set: Int32, _ text: UnsafeMutablePointer<EventText>) -> Int {
    let known = text.pointee.runs[Int(set)]
    if known >= 0 { return Int(known) }
    let longest =
      // Where the scan form is as long as the text, no two white characters stand side by side.
      set == table.blankSet && text.pointee.isASCII && text.pointee.hits.pointee.shifts.isEmpty
      ? runSets[Int(set)].meets(mask(text)) ? 1 : 0 : EventTexts.longestRun(of: runSets[Int(set)], text.pointee.bytes)
    text.pointee.runs[Int(set)] = Int32(clamping: longest)
    text.pointee.hasRuns = true
    return longest
  }
  /// As `hasRun`, for one byte more than the longest so far.
  private static func longestRun(of set: ByteMask, _ text: Bytes) -> Int {
    var longest = 0
    var start = 0
    var known = 0
    while start + longest < text.count {
      var at = start + longest
      while at >= start + known, set.contains(text[at]) { at -= 1 }
      if at >= start + known {
        known = start + longest - at
        start = at + 1
        continue
      }
      var end = start + longest + 1
      while end < text.count, set.contains(text[end]) { end += 1 }
      longest = end - start
      start = end + 1
      known = 0
    }
    return longest
  }

  // MARK: Searching

  /// What one confirmation may still cost, in the unit of `Limits.regexFastWork`.
  private struct Allowance {
    var fast: Int
    var guarded: Int
  }

  /// Runs the pattern where a match can begin: a match contains one of the literals, so it begins at most `longestBefore` bytes before
  /// one, and never behind the last.
  private func search(
    _ pattern: Int32, _ code: UnsafeMutablePointer<PatternCode>, _ text: UnsafeMutablePointer<EventText>, _ regex: Regex,
    _ kind: RegularExpression.TextKind
  ) -> Truth {
    let count = text.pointee.count
    var low = 0
    var high = count
    var isNear = false
    let literals = table.literals + Int(code.pointee.firstLiteral)
    if text.pointee.isASCII ? code.pointee.isFilteredInASCII : code.pointee.isFilteredBeyondASCII && text.pointee.hasPlaces {
      low = .max
      high = 0
      isNear = true
      for i in 0..<Int(code.pointee.literalCount) {
        guard let mark = text.pointee.hits.pointee.mark(literals[i].literal) else { continue }
        high = max(high, text.pointee.hits.pointee.last(mark.last))
        if let before = longestBefore(literals[i], text) {
          low = min(low, max(0, text.pointee.hits.pointee.first(mark.first) - before))
        } else {
          low = 0
          isNear = false
        }
      }
      if low > high || low > 0 && code.pointee.isAnchored { return .no }
    }
    if code.pointee.isAnchored { high = 0 }
    var allowance = self.allowance(text)
    counters.allowedWork &+= UInt64(allowance.fast + allowance.guarded)
    let search = Search(pattern: pattern, code: code, text: text, regex: regex, kind: kind)
    isNear = isNear && !code.pointee.isAnchored && text.pointee.hits.pointee.hasPlaces
    let truth = isNear ? searchPlaces(search, low, high, &allowance) : searchRange(search, low, high, &allowance)
    if truth == .unknown { costly += 1 }
    return truth
  }
  /// How many bytes before it a match can begin; nil: any number.
  private func longestBefore(_ literal: PatternLiteral, _ text: UnsafeMutablePointer<EventText>) -> Int? {
    let reach = text.pointee.isASCII ? literal.beforeInASCII : literal.before
    guard reach.bytes >= 0 else { return nil }
    return reach.blanks == 0 ? Int(reach.bytes) : Int(reach.bytes) + Int(reach.blanks) * longestRun(of: table.blankSet, text)
  }
  private func allowance(_ text: UnsafeMutablePointer<EventText>) -> Allowance {
    Allowance(
      fast: (Limits.regexFastWork + Limits.regexFastWorkPerByte * text.pointee.count) >> effort,
      guarded: (Limits.regexGuardedWork + Limits.regexGuardedWorkPerByte * text.pointee.count) >> effort)
  }
  /// After many limits of one event, limits are a sixteenth (as a shift).
  private var effort: Int { costly >= Limits.regexCostlyConfirmations ? 4 : 0 }

  private struct Search {
    let pattern: Int32
    let code: UnsafeMutablePointer<PatternCode>
    let text: UnsafeMutablePointer<EventText>
    let regex: Regex
    let kind: RegularExpression.TextKind
  }

  /// Window by window around the places of the literals, the last one first; matches begin in `low...high`.
  private func searchPlaces(_ search: Search, _ low: Int, _ high: Int, _ allowance: inout Allowance) -> Truth {
    let hits = search.text.pointee.hits
    var walk = WholeWalk(low: low, high: high, dear: allowance.guarded - allowance.guarded / 4)
    for i in 0..<Int(search.code.pointee.literalCount) {
      let literal = table.literals[Int(search.code.pointee.firstLiteral) + i]
      guard hits.pointee.mark(literal.literal) != nil else { continue }
      let before = longestBefore(literal, search.text) ?? search.text.pointee.count
      var place = hits.pointee.newestPlace(literal.literal)
      var window: (low: Int, high: Int)?
      while true {
        let at = place >= 0 ? hits.pointee.places[Int(place)].at : 0
        let last = place >= 0 ? hits.pointee.last(at) : Int.min
        if let open = window {
          if place >= 0, last + EventTexts.gap >= open.low {
            window = (max(0, hits.pointee.first(at) - before), open.high)
          } else {
            let truth = searchWindow(search, open, &walk, &allowance)
            if truth != .no || walk.isDecided { return truth }
            window = nil
          }
        }
        if place < 0 { break }
        if window == nil { window = (max(0, hits.pointee.first(at) - before), last) }
        place = hits.pointee.places[Int(place)].before
      }
    }
    return .no
  }
  /// From the first place to the last, once windows have turned out dear: when less than `dear` is left.
  private struct WholeWalk {
    let low: Int
    let high: Int
    let dear: Int
    var isDone = false
    var isDecided = false
  }
  /// One window. Literals that lead nowhere make windows dear, and so many of them hide a match that stands before them; so when a quarter is
  /// used up, half of the rest is for one walk from the first place on.
  private func searchWindow(_ search: Search, _ window: (low: Int, high: Int), _ walk: inout WholeWalk, _ allowance: inout Allowance) -> Truth {
    if walk.isDone || window.low <= walk.low && window.high >= walk.high { return searchRange(search, window.low, window.high, &allowance) }
    func spend(_ guarded: Int, _ low: Int, _ high: Int) -> Truth {
      var part = Allowance(fast: allowance.fast, guarded: guarded)
      let truth = searchRange(search, low, high, &part)
      allowance = Allowance(fast: part.fast, guarded: allowance.guarded - guarded + max(0, part.guarded))
      return truth
    }
    let truth = spend(allowance.guarded - walk.dear, window.low, window.high)
    if truth == .yes || truth == .no && allowance.guarded > walk.dear { return truth }
    walk.isDone = true
    let whole = spend(allowance.guarded / 2, walk.low, walk.high)
    walk.isDecided = whole != .unknown
    if walk.isDecided { return whole }
    return truth == .no ? .no : searchRange(search, window.low, window.high, &allowance)
  }
  /// Windows that lie closer than this are one: starting PCRE2 costs about so many bytes.
  private static let gap = 64

  /// Matches that begin in `low...high`: by the fast form if that is sure to be cheap, else by the guarded one.
  private func searchRange(_ search: Search, _ low: Int, _ high: Int, _ allowance: inout Allowance) -> Truth {
    let bytes = search.text.pointee.bytes
    let start = search.kind == .ascii ? low : EventTexts.characterStart(bytes, low)
    let places = max(1, high - start + 1)
    var each = places * max(EventTexts.step, extent(search, from: start))
    // What a step really walks over is only asked where the whole text is too much.
    if allowance.fast / each < Limits.regexWindowSteps / 4 { each = places * walk(search, from: start) }
    let steps = min(Limits.regexWindowSteps, allowance.fast / each)
    if steps >= Limits.regexLeastSteps {
      allowance.fast -= steps * each
      let truth = search.regex.matches(bytes, from: start, to: high, steps: UInt32(steps), memory)
      if truth != .unknown { return truth }
    }
    guard case .ready(let regex) = table.regex(search.pattern, search.kind, .guarded), allowance.guarded > 0 else { return .unknown }
    counters.guarded &+= 1
    return regex.matches(bytes, from: start, to: high, charge: &allowance.guarded, memory)
  }

  /// Bytes that a match beginning at `start` may look at.
  private func extent(_ search: Search, from start: Int) -> Int {
    let rest = search.text.pointee.count - start
    let longest = search.kind == .ascii ? search.code.pointee.longestInASCII : search.code.pointee.longest
    return longest < 0 ? rest : min(longest, rest)
  }
  /// Bytes that one step of it may look at, and no less than what entering it costs.
  private func walk(_ search: Search, from start: Int) -> Int {
    let code = search.code
    let extent = extent(search, from: start)
    guard code.pointee.longestScan >= 0 else { return max(EventTexts.step, extent) }
    var longest = max(EventTexts.step, code.pointee.longestScan * (search.kind == .ascii ? 1 : 4))
    for i in code.pointee.firstScanSet..<code.pointee.firstScanSet + code.pointee.scanSetCount where longest < extent {
      longest = max(longest, longestRun(of: table.scanSets[Int(i)], search.text))
    }
    return max(EventTexts.step, min(longest, extent))
  }
  /// What a step costs beside its walk, in bytes.
  private static let step = 16

  /// The first byte of the character that `at` is in.
  private static func characterStart(_ bytes: Bytes, _ at: Int) -> Int {
    var at = min(at, bytes.count)
    while at > 0, at < bytes.count, bytes[at] & 0xc0 == 0x80 { at -= 1 }
    return at
  }
}
