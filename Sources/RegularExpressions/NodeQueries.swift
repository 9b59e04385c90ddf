// What translation and analysis ask of a tree.
import Primitives

extension Node {
  var children: [Node] {
    switch self {
    case .sequence(let items), .alternation(let items): items
    case .capture(let inner, _), .atomic(let inner), .lookAround(let inner, _, _), .repeat(let inner, _, _, _): [inner]
    case .conditional(_, let yes, let no): [yes, no]
    case .empty, .literal, .characterClass, .anchor, .backReference: []
    }
  }
  func contains(_ test: (Node) -> Bool) -> Bool { test(self) || children.contains { $0.contains(test) } }
  /// In the order in which they open.
  func forEachCapture(_ body: (Int) -> Void) {
    if case .capture(_, let number) = self { body(number) }
    for child in children { child.forEachCapture(body) }
  }
  var referredGroups: Set<Int> {
    var result: Set<Int> = []
    func visit(_ node: Node) {
      switch node {
      case .backReference(let group, _, _): result.insert(group)
      case .conditional(let group, _, _): result.insert(group)
      default: break
      }
      for child in node.children { visit(child) }
    }
    visit(self)
    return result
  }
  func hasCapture(in numbers: [Int: Int]) -> Bool {
    contains { if case .capture(_, let number) = $0 { numbers[number] != nil } else { false } }
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
  /// Characters of each match, where PCRE2 too sees that it is always the same number.
  var fixedWidth: Int? {
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
  /// About what PCRE2 makes of it, in bytes.
  var compiledSize: Int {
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
  private var isWithoutWidth: Bool {
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
      case .notDigit: all += CodePointSet.asciiDigits.inverted.ranges
      case .word: all += CodePointSet.asciiWord.ranges
      case .notWord: all += CodePointSet.asciiWord.inverted.ranges
      case .space: all += (isASCII ? CodePointSet.asciiSpace : .space).ranges
      case .notSpace: all += (isASCII ? CodePointSet.asciiSpace : .space).inverted.ranges
      case .property: return nil
      }
    }
    return CodePointSet(all)
  }
}

/// The tree for texts of ASCII alone.
enum ASCIITree {
  /// nil: nothing in ASCII matches.
  static func restrict(_ node: Node) -> Node? {
    switch node {
    case .empty, .anchor, .backReference: return node
    case .literal(let point, let ignores):
      if point < 0x80 { return node }
      guard ignores else { return nil }
      let others = CaseTable.others(of: point).filter { $0 < 0x80 }
      return others.first.map { .literal($0, ignoresCase: true) }
    case .characterClass(let set):
      guard let resolved = set.resolved else { return node }
      var members = resolved
      if set.ignoresCase { members = closedInASCII(members) }
      if set.isNegated { members = members.inverted }
      members = members.limited(to: 0x7f)
      return members.isEmpty ? nil : .characterClass(CharacterClass(ranges: members.ranges, ignoresCase: set.ignoresCase))
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
  /// With each ASCII letter that equals a member but for case.
  static func closedInASCII(_ set: CodePointSet) -> CodePointSet {
    var extra: [ClosedRange<UInt32>] = []
    for letter in UInt32(0x41)...0x7a where !set.contains(letter) && CaseTable.others(of: letter).contains(where: set.contains) {
      extra.append(letter...letter)
    }
    return extra.isEmpty ? set : CodePointSet(set.ranges + extra)
  }
}
