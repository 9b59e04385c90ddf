// A tree in PCRE2's spelling. Whatever PCRE2 might understand differently is spelled out: `(?s)` stands at the start and `.` is
// written for any character only; groups that nothing refers to do not capture; classes are lists of code points.
// What must stay true: the text compiles without other options than RegularExpression.TextKind names, and means what the tree means.
import Primitives

struct Translation {
  private let kind: RegularExpression.TextKind
  private let ignoresCase: Bool
  /// Callouts say where a match is after each part that may have gone another way, or may have been long; and where a look-behind begins
  /// that is wide or taken apart, inside of which there are no others.
  private let isGuarded: Bool
  private var isCharged: Bool
  private var numbers: [Int: Int] = [:]  // of groups that something refers to; looked up only
  private var out: [UInt8] = []
  private var definitions: [String] = []
  private var steps = 0
  private var definedBytes = 0

  /// nil: no text of this kind can match.
  static func of(_ root: Node, _ kind: RegularExpression.TextKind, isCharged: Bool = false) throws(RegularExpressionError) -> String? {
    var root = root
    if kind == .ascii {
      guard let restricted = ASCIITree.restrict(root) else { return nil }
      root = restricted
    }
    var translation = Translation(kind: kind, root: root, isCharged: isCharged)
    return try translation.whole(root)
  }

  private init(kind: RegularExpression.TextKind, root: Node, isCharged: Bool) {
    self.kind = kind
    isGuarded = isCharged
    self.isCharged = isCharged
    let survey = TreeSurvey(root)
    ignoresCase = survey.ignoresCase
    for capture in survey.captures where survey.referred.contains(capture) { numbers[capture] = numbers.count + 1 }
  }

  private mutating func whole(_ root: Node) throws(RegularExpressionError) -> String {
    var first = root.literalPrefix
    if let (before, rest) = root.unboundedLookBehind, !before.hasCapture(in: numbers) {
      first = []  // it stands behind `before`
      // A text matches (?<=a)b if and only if it matches ab. Only of several places the first may be another one.
      put("(?:")
      try write(before, in: .top)
      put(")\\K")
      for item in rest { try write(item, in: .sequence) }
    } else {
      try write(root, in: .top)
    }
    var body = String(decoding: out, as: UTF8.self)
    if !definitions.isEmpty {
      if !first.isEmpty {
        // A rewritten look-behind is dear: ask first for the letter that follows it.
        out = []
        for node in first { try write(node, in: .sequence) }
        body = "(?=\(String(decoding: out, as: UTF8.self)))(?:\(body))"
      } else {
        body = "(?:\(body))"
      }
      body += "(?(DEFINE)"
      for (index, definition) in definitions.enumerated() { body += "(?<q\(index)>\(definition))" }
      body += ")"
    }
    let text = (kind == .unicode ? "(*UCP)" : "") + (ignoresCase ? "(?is)" : "(?s)") + body
    guard text.utf8.count <= Limits.translationBytes else { throw unsupported("the pattern is too large for PCRE2") }
    return text
  }

  private func unsupported(_ message: String) -> RegularExpressionError {
    RegularExpressionError(message: message, offset: 0, isUnsupported: true)
  }

  private enum Place {
    case top, sequence, atom
  }

  private mutating func put(_ text: StaticString) {
    text.withUTF8Buffer { out.append(contentsOf: $0) }
  }
  private mutating func put(_ text: String) { out.append(contentsOf: text.utf8) }

  // MARK: Nodes

  private mutating func write(_ node: Node, in place: Place) throws(RegularExpressionError) {
    PatternWork.step()
    if out.count > Limits.translationBytes { throw unsupported("the pattern is too large for PCRE2") }
    switch node {
    case .empty: if place == .atom { put("(?:)") }
    case .literal(let point, let ignores): literal(point, ignores)
    case .characterClass(let set): characterClass(set)
    case .sequence(let items):
      if place == .atom { put("(?:") }
      for item in Node.withoutSharedRuns(items, numbers) { try write(item, in: .sequence) }
      if place == .atom { put(")") }
    case .alternation(let branches):
      if place != .top { put("(?:") }
      for (index, branch) in branches.enumerated() {
        if index > 0 { put("|") }
        try write(branch, in: .sequence)
        callOut()
      }
      if place != .top { put(")") }
    case .capture(let inner, let number):
      put(numbers[number] == nil ? "(?:" : "(")
      try write(inner, in: .top)
      put(")")
    case .atomic(let inner):
      put("(?>")
      try write(inner, in: .top)
      put(")")
    case .lookAround(let inner, true, let isNegative):
      put(isNegative ? "(?!" : "(?=")
      try write(inner, in: .top)
      put(")")
    case .lookAround(let inner, false, let isNegative): try lookBehind(inner, isNegative)
    case .repeat(let inner, let low, let high, let greed): try repetition(inner, low, high, greed)
    case .anchor(let anchor): write(anchor)
    case .backReference(let group, let ignores, let isForward): reference(group, ignores, isForward)
    case .conditional(let group, let yes, let no):
      guard let number = numbers[group] else { return try write(no, in: .atom) }
      put("(?(\(number))")
      try write(yes, in: .atom)
      put("|")
      try write(no, in: .atom)
      put(")")
    }
  }

  private mutating func repetition(_ inner: Node, _ low: Int, _ high: Int?, _ greed: Node.Greed) throws(RegularExpressionError) {
    if high == 0 { return }
    if inner.isSingleCharacter, low > Translation.longFixed { callOut() }
    let copies = max(low, high ?? 0)
    if copies > 1, !inner.isSingleCharacter, inner.compiledSize > 4096 / copies, !inner.hasCapture(in: numbers) {
      // PCRE2 copies a repeated group; a subroutine is copied as a call, and is no atomic group.
      let saved = out
      out = []
      try write(inner, in: .top)
      definitions.append(String(decoding: out, as: UTF8.self))
      out = saved
      put("(?:(?&q\(definitions.count - 1))")
      callOut()
      put(")")
    } else if inner.isSingleCharacter {
      try write(inner, in: .atom)
    } else {
      put("(?:")
      try write(inner, in: .top)
      callOut()
      put(")")
    }
    defer { if low != high { callOut() } }
    switch (low, high) {
    case (0, nil): put("*")
    case (1, nil): put("+")
    case (0, 1): put("?")
    case (_, nil): put("{\(low),}")
    case (_, let high?): put(low == high ? "{\(low)}" : "{\(low),\(high)}")
    }
    switch greed {
    case .greedy: break
    case .lazy: put("?")
    case .possessive: put("+")
    }
  }

  private mutating func callOut() { if isCharged { put("(?C)") } }
  /// Repeats of a fixed number above this are charged before they begin.
  private static let longFixed = 32

  private mutating func write(_ anchor: Node.Anchor) {
    let word: StaticString = "(?-i:[0-9A-Z_a-z])"
    switch anchor {
    case .textStart: put("\\A")
    case .textEnd: put("\\z")
    case .textEndOrFinalLineFeed: put("\\Z")
    case .lineStart: put("(?:\\A|(?<=\\n))")
    case .lineEnd: put("(?m:$)")
    case .wordBoundary(let isASCII):
      put(isASCII && kind == .unicode ? "(?:(?<=\(word))(?!\(word))|(?<!\(word))(?=\(word)))" : "\\b")
    case .notWordBoundary(let isASCII):
      // In Python the empty text has neither kind of place.
      put(isASCII && kind == .unicode ? "(?:(?<=\(word))(?=\(word))|(?<!\(word))(?!\(word))(?!\\A\\z))" : "(?:\\B(?!\\A\\z))")
    }
  }

  private mutating func reference(_ group: Int, _ ignores: Bool, _ isForward: Bool) {
    guard let number = numbers[group] else {
      if !isForward { put("(?!)") }
      return
    }
    let text = "\\g{\(number)}"
    let cased = ignores == ignoresCase ? text : ignores ? "(?i:\(text))" : "(?-i:\(text))"
    put(isForward ? "(?(\(number))\(cased)|)" : cased)
  }

  // MARK: Characters

  private mutating func literal(_ point: UInt32, _ ignores: Bool) {
    let isPlain = point < 0x80 && (!CaseTable.isASCIILetter(point) || ignores == ignoresCase && point | 0x20 != 0x69)
    guard !isPlain, CaseTable.hasOthers(point) else { return put(character: point) }
    if !ignores {
      put(ignoresCase ? "(?-i:\(spelled(point)))" : spelled(point))
    } else if kind == .unicode, case let extra = CaseTable.pythonOnly(point), !extra.isEmpty {
      put("[\(spelled(point))\(extra.map(spelled).joined())]")
    } else {
      put(spelled(point))
    }
  }

  private mutating func put(character point: UInt32) {
    PatternWork.step()
    switch point {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x20, 0x22, 0x25, 0x27, 0x2c, 0x2f, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x40, 0x5f, 0x60:
      out.append(UInt8(point))
    case 0x0a: put("\\n")
    case 0x21...0x7e:
      out.append(0x5c)
      out.append(UInt8(point))
    default: put("\\x{\(String(point, radix: 16))}")
    }
  }
  private func spelled(_ point: UInt32) -> String {
    var other = self
    other.out = []
    other.put(character: point)
    return String(decoding: other.out, as: UTF8.self)
  }
  private mutating func put(members set: CodePointSet) {
    for range in set.ranges {
      put(character: range.lowerBound)
      if range.upperBound > range.lowerBound + 1 { put("-") }
      if range.upperBound > range.lowerBound { put(character: range.upperBound) }
    }
  }

  private mutating func characterClass(_ set: CharacterClass) {
    if let points = set.resolved, !set.needsUnicodeTables || kind == .ascii {
      return write(closed(points, set.ignoresCase), set.isNegated, set.ignoresCase)
    }
    if set.ranges.isEmpty, set.shorthands.count == 1, !set.isNegated, !set.isASCII {
      switch set.shorthands[0] {
      case .digit: return put("\\d")
      case .notDigit: return put("\\D")
      case .word: return put("\\w")
      case .notWord: return put("\\W")
      default: break
      }
    }
    let isCased = set.ignoresCase != ignoresCase
    if isCased { put(set.ignoresCase ? "(?i:" : "(?-i:") }
    put(set.isNegated ? "[^" : "[")
    put(members: closed(CodePointSet(set.ranges), set.ignoresCase))
    for shorthand in set.shorthands {
      switch shorthand {
      case .digit: put(set.isASCII ? "0-9" : "\\d")
      case .notDigit: if set.isASCII { put(members: .notDigit) } else { put("\\D") }
      case .word: put(set.isASCII ? "0-9A-Z_a-z" : "\\w")
      case .notWord: if set.isASCII { put(members: .notWord) } else { put("\\W") }
      case .space: put(members: set.isASCII ? .asciiSpace : .space)
      case .notSpace: put(members: set.isASCII ? .notASCIISpace : .notSpace)
      case .property(let name, let isNegated): put("\\\(isNegated ? "P" : "p"){\(name)}")
      }
    }
    put(isCased ? "])" : "]")
  }

  private func closed(_ set: CodePointSet, _ ignores: Bool) -> CodePointSet {
    guard ignores, kind == .unicode else { return set }
    var extra: [ClosedRange<UInt32>] = []
    for entry in CaseTable.differences where set.contains(entry.point) { for other in entry.pythonOnly { extra.append(other...other) } }
    return extra.isEmpty ? set : CodePointSet(set.ranges + extra)
  }

  private mutating func write(_ set: CodePointSet, _ isNegated: Bool, _ ignores: Bool) {
    var set = set
    var isNegated = isNegated
    if kind == .ascii {
      if isNegated {
        set = set.inverted.limited(to: 0x7f)
        isNegated = false
      } else {
        set = set.limited(to: 0x7f)
      }
      if set == CodePointSet([0...0x7f]) { return put(".") }
      let other = set.inverted.limited(to: 0x7f)
      if other.ranges.count < set.ranges.count || other.members(limit: 1) != nil, !other.isEmpty {
        set = other
        isNegated = true
      }
    }
    if kind == .unicode, !isNegated, set.ranges.last?.upperBound == 0x10ffff {
      // All but a few: PCRE2 looks at each member of a caseless range when it compiles it. What is left out may have no other case.
      let other = set.inverted
      if let few = other.members(limit: 64), few.allSatisfy({ !CaseTable.hasOthers($0) }) {
        set = other
        isNegated = true
      }
    }
    if set.isEverything { return put(isNegated ? "(?!)" : ".") }
    if set.isEmpty { return put(isNegated ? "." : "(?!)") }
    // In ASCII texts sets are closed under case already.
    let isCased =
      kind == .unicode && ignores != ignoresCase && set.ranges.contains { $0.upperBound >= 0x41 }
      || kind == .ascii && ignoresCase && !ignores && ASCIISet(set.ranges).closedUnderCase != ASCIISet(set.ranges)
    if isCased { put(ignores ? "(?i:" : "(?-i:") }
    put(isNegated ? "[^" : "[")
    put(members: set)
    put(isCased ? "])" : "]")
  }

  // MARK: Look-behind

  private mutating func lookBehind(_ inner: Node, _ isNegative: Bool) throws(RegularExpressionError) {
    // Where it begins says how far back it goes; it is no longer than that.
    let wasCharged = isCharged
    isCharged = false
    defer { isCharged = wasCharged }
    let branches: [Node]
    if case .alternation(let list) = inner { branches = list } else { branches = [inner] }
    if branches.allSatisfy({ $0.fixedWidth != nil }) {
      let isWide = branches.contains { $0.fixedWidth.map { $0 > Translation.longFixed } ?? true }
      put(isNegative ? "(?<!" : "(?<=")
      for (index, branch) in branches.enumerated() {
        if index > 0 { put("|") }
        if isWide { put(calledOut) }
        try write(branch, in: .sequence)
      }
      put(")")
      return
    }
    guard !inner.hasCapture(in: numbers) else { throw unsupported("a look-behind of variable length holds a group that is referred to") }
    let text = try behind([inner], prefix: "")
    put(isNegative ? "(?!\(text))" : text)
  }

  /// Stands where a look-behind begins: what lies between there and the last callout is charged.
  private var calledOut: String { isGuarded ? "(?C)" : "" }

  private mutating func text(_ node: Node) throws(RegularExpressionError) -> String {
    let saved = out
    out = []
    try write(node, in: .sequence)
    defer { out = saved }
    return String(decoding: out, as: UTF8.self)
  }

  private mutating func step() throws(RegularExpressionError) {
    steps += 1
    guard steps <= Limits.lookBehindSteps, definedBytes <= Limits.translationBytes else {
      throw unsupported("a look-behind of variable length is too large")
    }
  }

  /// An assertion without width as something that may be written several times.
  private mutating func shared(_ assertion: String) -> String {
    guard assertion.utf8.count > 24 else { return assertion }
    definedBytes += assertion.utf8.count
    definitions.append(assertion)
    return "(?&q\(definitions.count - 1))"
  }

  /// An assertion: here ends a text of `items`, at whose start `prefix`, itself an assertion, holds. PCRE2 wants each branch of a
  /// look-behind to be of one length: so the text is taken apart from its end, each part looking behind to the part before it.
  private mutating func behind(_ items: [Node], prefix: String) throws(RegularExpressionError) -> String {
    var assertion = prefix
    var fixed = ""
    var width = 0
    func joined() -> String { width == 0 ? assertion + fixed : "(?<=\(calledOut)\(assertion)\(fixed))" }
    for item in items.flatMap(\.parts) {
      try step()
      var item = item
      if assertion.isEmpty, fixed.isEmpty, case .repeat(let inner, let low, _, let greed) = item, greed != .possessive {
        item = .repeat(inner, low: low, high: low, .greedy)  // nothing must stand before the first copy, so the least will do
      }
      if let known = item.fixedWidth {
        fixed += try text(item)
        width += known
        continue
      }
      assertion = joined()
      fixed = ""
      width = 0
      switch item {
      case .alternation(let branches):
        let start = shared(assertion)
        var simple: [String] = []
        var others: [String] = []
        for branch in branches {
          if branch.fixedWidth != nil { simple.append(start + (try text(branch))) } else { others.append(try behind([branch], prefix: start)) }
        }
        if !simple.isEmpty { others.insert(anyBehind(simple), at: 0) }
        assertion = "(?:\(others.joined(separator: "|")))"
      case .repeat(let inner, let low, let high?, let greed) where greed != .possessive:
        if let width = inner.fixedWidth, width > 0 {
          assertion = try stepping(inner, low, high, shared(assertion))
        } else {
          for _ in 0..<low {
            try step()
            assertion = try behind([inner], prefix: shared(assertion))
          }
          let start = shared(assertion)
          var reached = start
          for _ in low..<high {
            try step()
            reached = "(?:\(start)|\(try behind([inner], prefix: shared(reached))))"
          }
          assertion = reached
        }
      default: throw unsupported("a look-behind without a longest length cannot be said to PCRE2")
      }
    }
    return joined()
  }

  /// `inner` between `low` and `high` times. Many counts are taken in two strides, so that none is walked for each count anew.
  private mutating func stepping(_ inner: Node, _ low: Int, _ high: Int, _ start: String) throws(RegularExpressionError) -> String {
    guard high - low < Limits.lookBehindSteps else { throw unsupported("a look-behind of variable length is too large") }
    let one = try text(.repeat(inner, low: 2, high: 2, .greedy)).dropLast(3)
    func times(_ count: Int) -> String { count == 0 ? "" : "\(one){\(count)}" }
    let count = high - low + 1
    var stride = 1
    while count > 16, stride * stride < count { stride += 1 }
    guard stride > 1 else { return anyBehind((low...high).map { start + times($0) }) }
    let near = shared(anyBehind((low..<low + stride).map { start + times($0) }))
    let full = count / stride
    var branches = (0..<full).map { near + times($0 * stride) }
    for rest in full * stride..<count { branches.append(start + times(low + rest)) }
    return anyBehind(branches)
  }
  /// One look-behind for each: PCRE2 10.42 measures a look-behind that stands in a subroutine twice, and after the first time no longer
  /// finds the branches of one that has several.
  private func anyBehind(_ texts: [String]) -> String {
    let each = texts.map { "(?<=\(calledOut)\($0))" }
    return each.count == 1 ? each[0] : "(?:\(each.joined(separator: "|")))"
  }
}
