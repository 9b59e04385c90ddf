// A decimal number in a text against a whole number, exactly: "100.5" is above 100, and no binary fraction decides it.
// What counts as a number is what Python's float() takes (the reference engine reads fields so), but for NaN, which is in no order, and "_"
// between digits: white space around it, a sign, digits with a point anywhere, an exponent, or "inf".
// What must stay true: linear in the text, whatever its digits and exponents are.

public enum DecimalText {
  /// -1, 0 or 1: the number in `text` is below, equal to or above `bound`; nil: `text` is no number.
  public static func order(of text: Bytes, to bound: Int64) -> Int64? {
    guard let number = Parts(text) else { return nil }
    // What is left of the point, cut, and whether anything is right of it.
    var whole: UInt64 = 0
    var isBeyond = number.isInfinite
    var hasRest = false
    var wanted = number.wholeDigits
    for byte in number.digits where byte != 0x2e {
      let digit = UInt64(byte - 0x30)
      guard wanted > 0 else {
        hasRest = hasRest || digit > 0
        continue
      }
      wanted -= 1
      append(digit, to: &whole, &isBeyond)
    }
    while wanted > 0, whole > 0, !isBeyond {
      append(0, to: &whole, &isBeyond)
      wanted -= 1
    }
    if whole == 0, !hasRest, !isBeyond { return sign(of: -Int128(bound)) }
    let isBelowZero = number.isNegative
    if isBeyond { return isBelowZero ? -1 : 1 }
    let difference = (isBelowZero ? -Int128(whole) : Int128(whole)) - Int128(bound)
    if difference == 0, hasRest { return isBelowZero ? -1 : 1 }
    return sign(of: difference)
  }

  private static func sign(of value: Int128) -> Int64 { value == 0 ? 0 : value < 0 ? -1 : 1 }
  private static func append(_ digit: UInt64, to whole: inout UInt64, _ isBeyond: inout Bool) {
    let (product, o1) = whole.multipliedReportingOverflow(by: 10)
    let (sum, o2) = product.addingReportingOverflow(digit)
    if o1 || o2 { isBeyond = true } else { whole = sum }
  }

  /// A number as people and events write it: see above.
  struct Parts {
    var isNegative = false
    var isInfinite = false
    /// Digits with at most one point among them.
    var digits = Bytes.none
    /// How many of the digits stand left of the point once the exponent has moved it; further ones are zeros.
    var wholeDigits = 0

    init?(_ text: Bytes) {
      let text = text.trimmedOfSpace
      var at = 0
      if at < text.count, text[at] == 0x2d || text[at] == 0x2b {
        isNegative = text[at] == 0x2d
        at += 1
      }
      let rest = text.from(at)
      if rest.isWord("inf") || rest.isWord("infinity") {
        isInfinite = true
        return
      }
      var point: Int?
      let start = at
      while at < text.count, (0x30...0x39).contains(text[at]) || text[at] == 0x2e && point == nil {
        if text[at] == 0x2e { point = at }
        at += 1
      }
      digits = text.slice(start, at)
      guard digits.count > (point == nil ? 0 : 1) else { return nil }
      wholeDigits = (point ?? at) - start
      guard at < text.count else { return }
      guard text[at] | 0x20 == 0x65 else { return nil }
      at += 1
      let isBelow = at < text.count && text[at] == 0x2d
      if at < text.count, text[at] == 0x2d || text[at] == 0x2b { at += 1 }
      guard at < text.count else { return nil }
      var exponent = 0
      while at < text.count {
        guard (0x30...0x39).contains(text[at]) else { return nil }
        exponent = min(1_000_000_000, exponent * 10 + Int(text[at] - 0x30))
        at += 1
      }
      wholeDigits += isBelow ? -exponent : exponent
    }
  }
}

extension Bytes {
  /// `word` is in lower case, and letters only.
  fileprivate func isWord(_ word: StaticString) -> Bool {
    let word = Bytes(word)
    return count == word.count && indices.allSatisfy { self[$0] | 0x20 == word[$0] }
  }
  /// Without the white space of ASCII at both ends.
  fileprivate var trimmedOfSpace: Bytes {
    func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) || (0x1c...0x1f).contains(byte) }
    var start = 0
    var end = count
    while start < end, isSpace(self[start]) { start += 1 }
    while end > start, isSpace(self[end - 1]) { end -= 1 }
    return slice(start, end)
  }
}
