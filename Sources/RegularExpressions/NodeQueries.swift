// What translation and analysis ask of a tree.
import Primitives

extension Node {
  func contains(_ test: (Node) -> Bool) -> Bool {
    PatternWork.step()
    if test(self) { return true }
    switch self {
    case .empty, .literal, .characterClass, .anchor, .backReference: return false
    case .sequence(let items), .alternation(let items): return items.contains { $0.contains(test) }
    case .capture(let inner, _), .atomic(let inner), .lookAround(let inner, _, _), .repeat(let inner, _, _, _): return inner.contains(test)
    case .conditional(_, let yes, let no): return yes.contains(test) || no.contains(test)
    }
  }
  func hasCapture(in numbers: [Int: Int]) -> Bool {
    !numbers.isEmpty && contains { if case .capture(_, let number) = $0 { numbers[number] != nil } else { false } }
  }
  var isSingleCharacter: Bool {
    switch self {
    case .literal, .characterClass: true
    default: false
    }
  }
  /// Without the brackets that only hold a sequence together.
  var parts: [Node] {
    switch self {
    case .sequence(let items): items.flatMap(\.parts)
    case .capture(let inner, _): inner.parts
    case .empty: []
    default: [self]
    }
  }
  /// Looks ahead for what may stand any number of any characters farther on, and for nothing that depends on what was matched before.
  var looksAheadOverAnything: Bool {
    guard case .lookAround(let inner, true, false) = self, case .repeat(.characterClass(let set), 0, nil, _)? = inner.parts.first else {
      return false
    }
    return set.isAnything
      && !inner.contains {
        switch $0 {
        case .backReference, .conditional: true
        default: false
        }
      }
  }
  /// Characters of each match, where PCRE2 too sees that it is always the same number.
  var fixedWidth: Int? {
    PatternWork.step()
    switch self {
    case .empty, .anchor, .lookAround: return 0
    case .literal, .characterClass: return 1
    case .sequence(let items):
      var total = 0
      for item in items {
        guard let width = item.fixedWidth else { return nil }
        total += width
      }
      return total <= Limits.patternRepeats ? total : nil
    case .alternation(let branches):
      guard let first = branches[0].fixedWidth, branches.dropFirst().allSatisfy({ $0.fixedWidth == first }) else { return nil }
      return first
    case .capture(let inner, _), .atomic(let inner): return inner.fixedWidth
    case .repeat(let inner, let low, let high, _):
      guard low == high, let width = inner.fixedWidth, width * low <= Limits.patternRepeats else { return nil }
      return width * low
    case .backReference, .conditional: return nil
    }
  }
  /// Whether texts that it matches can be longer than any number, or it holds what look-behinds cannot take apart.
  private var isUnbounded: Bool {
    contains {
      switch $0 {
      case .repeat(_, _, let high, let greed): high == nil || greed == .possessive
      default: false
      }
    }
  }
  /// A pattern that begins with a look-behind without a longest length: its inside, and what stands behind it.
  var unboundedLookBehind: (Node, [Node])? {
    let items: [Node]
    if case .sequence(let list) = self { items = list } else { items = [self] }
    guard let first = items.first, case .lookAround(let inner, false, false) = first, inner.isUnbounded else { return nil }
    // One that only begins with what has no longest length is no longer than its least.
    if case .repeat(let one, _, _, let greed)? = inner.parts.first, greed != .possessive, !one.isUnbounded,
      inner.parts.dropFirst().allSatisfy({ !$0.isUnbounded })
    {
      return nil
    }
    return (inner, Array(items.dropFirst()))
  }
  /// About what PCRE2 makes of it, in bytes.
  var compiledSize: Int {
    PatternWork.step()
    switch self {
    case .empty: return 0
    case .literal: return 4
    case .characterClass: return 40
    case .anchor, .backReference: return 8
    case .sequence(let items): return items.reduce(0) { saturated($0 + $1.compiledSize) }
    case .alternation(let items): return items.reduce(6) { saturated($0 + $1.compiledSize + 3) }
    case .capture(let inner, _), .atomic(let inner), .lookAround(let inner, _, _): return saturated(inner.compiledSize + 8)
    case .conditional(_, let yes, let no): return saturated(yes.compiledSize + no.compiledSize + 12)
    case .repeat(let inner, let low, let high, _):
      let size = inner.compiledSize
      return inner.isSingleCharacter ? size + 6 : saturated((size + 8) * max(1, low, high ?? 0))
    }
  }
  private func saturated(_ size: Int) -> Int { min(size, 1 << 24) }

  /// Characters of its shortest match, look-around not counted. What refers to a group takes as many as that took; `groups`: by group that
  /// closes before, at least how many. One that has not matched is no match, but for forward references.
  func leastCharacters(_ groups: inout [Int: Int]) -> Int {
    PatternWork.step()
    switch self {
    case .empty, .anchor: return 0
    case .literal, .characterClass: return 1
    case .sequence(let items): return items.reduce(0) { saturated($0 + $1.leastCharacters(&groups)) }
    case .alternation(let branches): return branches.map { $0.leastCharacters(&groups) }.min() ?? 0
    case .capture(let inner, let number):
      let count = inner.leastCharacters(&groups)
      groups[number] = count
      return count
    case .atomic(let inner): return inner.leastCharacters(&groups)
    case .lookAround(let inner, _, _):
      _ = inner.leastCharacters(&groups)
      return 0
    case .repeat(let inner, let low, _, _): return saturated(inner.leastCharacters(&groups) * min(low, 1 << 24))
    case .backReference(let group, _, let isForward): return isForward ? 0 : groups[group] ?? 0
    case .conditional(_, let yes, let no): return min(yes.leastCharacters(&groups), no.leastCharacters(&groups))
    }
  }

  /// Literals that each match begins with, behind nothing but assertions.
  var literalPrefix: [Node] {
    var result: [Node] = []
    for part in parts {
      if case .literal = part {
        result.append(part)
      } else if !result.isEmpty || !part.isWithoutWidth {
        break
      }
    }
    return result
  }
  var isWithoutWidth: Bool {
    switch self {
    case .empty, .anchor, .lookAround: true
    case .sequence(let items), .alternation(let items): items.allSatisfy(\.isWithoutWidth)
    case .atomic(let inner), .capture(let inner, _): inner.isWithoutWidth
    default: false
    }
  }
}

extension CharacterClass {
  /// `\w`, `\d` and properties are larger than what is listed here.
  var needsUnicodeTables: Bool {
    shorthands.contains { shorthand in
      switch shorthand {
      case .space, .notSpace: false
      case .property: true
      case .digit, .notDigit, .word, .notWord: !isASCII
      }
    }
  }
  /// Members before negation, right for ASCII; for all of Unicode only where `needsUnicodeTables` is false. nil: a property.
  var resolved: CodePointSet? {
    var all = ranges
    for shorthand in shorthands {
      switch shorthand {
      case .digit: all += CodePointSet.asciiDigits.ranges
      case .notDigit: all += CodePointSet.notDigit.ranges
      case .word: all += CodePointSet.asciiWord.ranges
      case .notWord: all += CodePointSet.notWord.ranges
      case .space: all += (isASCII ? CodePointSet.asciiSpace : .space).ranges
      case .notSpace: all += (isASCII ? CodePointSet.notASCIISpace : .notSpace).ranges
      case .property: return nil
      }
    }
    return CodePointSet(all)
  }
  /// The members in ASCII, before negation, those equal but for case among them. Shorthands have no case: \W holds no letter though
  /// it holds U+0130, a case of one, as far as ASCII tables go. nil: a property.
  var asciiMembers: ASCIISet? { hasProperties ? nil : asciiMembersBesideProperties }
  var hasProperties: Bool { shorthands.contains(where: \.isProperty) }
  /// The same without what properties add.
  var asciiMembersBesideProperties: ASCIISet {
    var result = ASCIISet(ranges)
    if ignoresCase {
      result = result.closedUnderCase
      for range in ranges where range.upperBound >= 0x80 {
        for point in CaseTable.beyondASCII where range.contains(point) {
          for other in CaseTable.others(of: point) { result.insert(other) }
        }
      }
    }
    for shorthand in shorthands {
      switch shorthand {
      case .digit: result = result.union(.digits)
      case .notDigit: result = result.union(ASCIISet.digits.inverted)
      case .word: result = result.union(.word)
      case .notWord: result = result.union(ASCIISet.word.inverted)
      case .space: result = result.union(isASCII ? .asciiSpace : .space)
      case .notSpace: result = result.union((isASCII ? ASCIISet.asciiSpace : .space).inverted)
      case .property: break
      }
    }
    return result
  }
  /// Whether members lie beyond ASCII, before negation and apart from case.
  var reachesBeyondASCII: Bool {
    ranges.contains { $0.upperBound >= 0x80 }
      || shorthands.contains { shorthand in
        switch shorthand {
        case .digit, .word, .space: !isASCII
        case .notDigit, .notWord, .notSpace, .property: true
        }
      }
  }
}

/// What a translation must know of a tree before it begins, found in one walk.
struct TreeSurvey {
  /// Whether case is ignored anywhere where it matters.
  private(set) var ignoresCase = false
  /// In the order in which they open.
  private(set) var captures: [Int] = []
  /// Groups that something refers to. Looked up, never iterated.
  private(set) var referred: Set<Int> = []

  init(_ root: Node) { visit(root) }
  private mutating func visit(_ node: Node) {
    PatternWork.step()
    switch node {
    case .empty, .anchor: break
    case .literal(let point, let ignores): if ignores, !ignoresCase { ignoresCase = CaseTable.hasOthers(point) }
    case .characterClass(let set): if set.ignoresCase { ignoresCase = true }
    case .backReference(let group, let ignores, _):
      referred.insert(group)
      if ignores { ignoresCase = true }
    case .sequence(let items), .alternation(let items): for item in items { visit(item) }
    case .capture(let inner, let number):
      captures.append(number)
      visit(inner)
    // What is repeated no times is not written, and its groups never match.
    case .repeat(_, _, let high, _) where high == 0: break
    case .atomic(let inner), .lookAround(let inner, _, _), .repeat(let inner, _, _, _): visit(inner)
    case .conditional(let group, let yes, let no):
      referred.insert(group)
      visit(yes)
      visit(no)
    }
  }
}

/// The tree for texts of ASCII alone.
enum ASCIITree {
  /// nil: nothing in ASCII matches.
  static func restrict(_ node: Node) -> Node? {
    PatternWork.step()
    switch node {
    case .empty, .anchor, .backReference: return node
    case .literal(let point, let ignores):
      if point < 0x80 { return node }
      guard ignores else { return nil }
      let others = CaseTable.others(of: point).filter { $0 < 0x80 }
      return others.first.map { .literal($0, ignoresCase: true) }
    case .characterClass(let set):
      var members = set.asciiMembersBesideProperties
      if set.hasProperties {
        return .characterClass(
          CharacterClass(
            ranges: members.ranges, shorthands: set.shorthands.filter(\.isProperty), isNegated: set.isNegated, ignoresCase: set.ignoresCase))
      }
      if set.isNegated { members = members.inverted }
      // Both cases are members already.
      return members.isEmpty ? nil : .characterClass(CharacterClass(ranges: members.ranges))
    case .sequence(let items):
      var kept: [Node] = []
      for item in items {
        guard let one = restrict(item) else { return nil }
        kept.append(one)
      }
      return .sequence(kept)
    case .alternation(let branches):
      let kept = branches.compactMap(restrict)
      return kept.isEmpty ? nil : kept.count == 1 ? kept[0] : .alternation(kept)
    case .capture(let inner, let number): return restrict(inner).map { .capture($0, number: number) }
    case .atomic(let inner): return restrict(inner).map { .atomic($0) }
    case .lookAround(let inner, let isAhead, let isNegative):
      guard let one = restrict(inner) else { return isNegative ? .empty : nil }
      return .lookAround(one, isAhead: isAhead, isNegative: isNegative)
    case .repeat(let inner, let low, let high, let greed):
      guard let one = restrict(inner) else { return low == 0 ? .empty : nil }
      return .repeat(one, low: low, high: high, greed)
    case .conditional(let group, let yes, let no):
      let dead = Node.characterClass(CharacterClass())
      return .conditional(group, restrict(yes) ?? dead, restrict(no) ?? dead)
    }
  }
}
