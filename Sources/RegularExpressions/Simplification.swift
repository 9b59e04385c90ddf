// Sequences whose repeats can share one run of characters in many ways, said so that there is one way: `\s*,?\s*` on n blanks takes
// n * n steps to fail, `\s*(?:,\s*)?` takes n.
// What must stay true: the same matches, and of several the same first. A greedy X* reaches every end that a second X* behind it could
// reach, and reaches the farther ones first; so the second adds nothing where what stands between them matched nothing.
import Primitives

extension Node {
  /// The items of a sequence with X* Y? X* as X* (?:Y X*)?, and so on with what follows. X is one character, Y anything that nothing
  /// refers to (`numbers` are the groups that something refers to).
  static func withoutSharedRuns(_ items: [Node], _ numbers: [Int: Int]) -> [Node] {
    var result: [Node] = []
    /// What the last item of `result`, or each way through the last few, ends with: an unbounded greedy repeat of this.
    var ending: Node?
    var index = 0
    while index < items.count {
      PatternWork.step()
      if let one = ending, index + 1 < items.count, case .repeat(let between, 0, 1, .greedy) = items[index], items[index + 1].isStar(of: one),
        !between.hasCapture(in: numbers)
      {
        result.append(.repeat(.sequence([between, items[index + 1]]), low: 0, high: 1, .greedy))
        index += 2
        continue
      }
      if case .repeat(let one, _, nil, .greedy) = items[index], one.isSingleCharacter { ending = one } else { ending = nil }
      result.append(items[index])
      index += 1
    }
    return result
  }

  private func isStar(of one: Node) -> Bool {
    if case .repeat(let inner, 0, nil, .greedy) = self { inner == one } else { false }
  }
}
