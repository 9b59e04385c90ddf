// Sets of code points as sorted, disjoint ranges, and the sets behind \d \w \s in Python.
import Primitives

struct CodePointSet: Equatable {
  static let last: UInt32 = 0x10ffff
  private(set) var ranges: [ClosedRange<UInt32>]

  init(_ unordered: [ClosedRange<UInt32>]) {
    var merged: [ClosedRange<UInt32>] = []
    for whole in unordered.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      // Lone surrogates stand in no text, and PCRE2 refuses them as ends of a range.
      let low = (0xd800...0xdfff).contains(whole.lowerBound) ? 0xe000 : whole.lowerBound
      let high = (0xd800...0xdfff).contains(whole.upperBound) ? 0xd7ff : whole.upperBound
      guard low <= high else { continue }
      let range = low...high
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
  static let notDigit = asciiDigits.inverted
  static let notWord = asciiWord.inverted
  static let notSpace = space.inverted
  static let notASCIISpace = asciiSpace.inverted
}

/// The 128 characters of ASCII.
struct ASCIISet: Equatable {
  private var low: UInt64 = 0
  private var high: UInt64 = 0
  init() {}
  /// What of `ranges` is ASCII.
  init(_ ranges: [ClosedRange<UInt32>]) { for range in ranges { insert(range) } }

  private static func mask(_ first: UInt32, _ last: UInt32) -> UInt64 { UInt64.max << UInt64(first) & UInt64.max >> UInt64(63 - last) }
  mutating func insert(_ range: ClosedRange<UInt32>) {
    guard range.lowerBound < 0x80 else { return }
    let last = min(range.upperBound, 0x7f)
    if range.lowerBound < 64 { low |= ASCIISet.mask(range.lowerBound, min(last, 63)) }
    if last >= 64 { high |= ASCIISet.mask(max(range.lowerBound, 64) - 64, last - 64) }
  }
  mutating func insert(_ point: UInt32) { insert(point...point) }
  func contains(_ point: UInt32) -> Bool {
    point < 64 ? low >> UInt64(point) & 1 == 1 : point < 128 && high >> UInt64(point - 64) & 1 == 1
  }
  var isEmpty: Bool { low | high == 0 }
  var words: (UInt64, UInt64) { (low, high) }
  var inverted: ASCIISet {
    var result = self
    result.low = ~low
    result.high = ~high
    return result
  }
  func union(_ other: ASCIISet) -> ASCIISet {
    var result = self
    result.low |= other.low
    result.high |= other.high
    return result
  }
  /// With the other case of each letter.
  var closedUnderCase: ASCIISet {
    let upper = high & ASCIISet.mask(1, 26)
    let lower = high & ASCIISet.mask(33, 58)
    var result = self
    result.high |= upper << 32 | lower >> 32
    return result
  }
  var ranges: [ClosedRange<UInt32>] {
    var result: [ClosedRange<UInt32>] = []
    var next: UInt32 = 0
    while next < 128 {
      guard contains(next) else {
        next += 1
        continue
      }
      let first = next
      while contains(next) { next += 1 }
      result.append(first...next - 1)
    }
    return result
  }

  static let digits = ASCIISet(CodePointSet.asciiDigits.ranges)
  static let word = ASCIISet(CodePointSet.asciiWord.ranges)
  static let space = ASCIISet(CodePointSet.space.ranges)
  static let asciiSpace = ASCIISet(CodePointSet.asciiSpace.ranges)
}
