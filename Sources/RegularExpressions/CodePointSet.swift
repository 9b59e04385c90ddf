// Sets of code points as sorted, disjoint ranges, and the sets behind \d \w \s in Python.
import Primitives

struct CodePointSet: Equatable {
  static let last: UInt32 = 0x10ffff
  private(set) var ranges: [ClosedRange<UInt32>]

  init(_ unordered: [ClosedRange<UInt32>]) {
    var merged: [ClosedRange<UInt32>] = []
    for range in unordered.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let end = merged.last?.upperBound, range.lowerBound <= end &+ 1 {
        merged[merged.count - 1] = merged[merged.count - 1].lowerBound...max(end, range.upperBound)
      } else {
        merged.append(range)
      }
    }
    ranges = merged
  }

  var isEmpty: Bool { ranges.isEmpty }
  var isEverything: Bool { ranges == [0...CodePointSet.last] }
  /// Surrogates are no characters of a text, so it does not matter whether they are members.
  var inverted: CodePointSet {
    var result: [ClosedRange<UInt32>] = []
    var next: UInt32 = 0
    for range in ranges {
      if range.lowerBound > next { result.append(next...range.lowerBound - 1) }
      next = range.upperBound + 1
    }
    if next <= CodePointSet.last { result.append(next...CodePointSet.last) }
    return CodePointSet(result)
  }
  func union(_ other: CodePointSet) -> CodePointSet { CodePointSet(ranges + other.ranges) }
  func limited(to high: UInt32) -> CodePointSet {
    CodePointSet(ranges.compactMap { $0.lowerBound > high ? nil : $0.lowerBound...min(high, $0.upperBound) })
  }
  func contains(_ point: UInt32) -> Bool {
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < point { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].contains(point)
  }
  /// Members, if they are at most `limit`.
  func members(limit: Int) -> [UInt32]? {
    var total = 0
    for range in ranges {
      total += Int(range.upperBound - range.lowerBound) + 1
      if total > limit { return nil }
    }
    return ranges.flatMap { Array($0) }
  }

  static let asciiDigits = CodePointSet([0x30...0x39])
  static let asciiWord = CodePointSet([0x30...0x39, 0x41...0x5a, 0x5f...0x5f, 0x61...0x7a])
  /// Python's `str.isspace`; its flag `a` and ECMAScript differ (docs/atr-conformance.md).
  static let space = CodePointSet([
    0x09...0x0d, 0x1c...0x20, 0x85...0x85, 0xa0...0xa0, 0x1680...0x1680, 0x2000...0x200a, 0x2028...0x2029, 0x202f...0x202f, 0x205f...0x205f,
    0x3000...0x3000,
  ])
  static let asciiSpace = CodePointSet([0x09...0x0d, 0x20...0x20])
}
