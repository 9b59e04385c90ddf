// Which characters are equal but for case. PCRE2's folding and Python's IGNORECASE (both of Unicode 14) were compared for every
// code point: they differ in the ten below, and nowhere is PCRE2's wider. Tests/Differential/regular_expressions.py repeats it.
import Primitives

enum CaseTable {
  struct Difference {
    var point: UInt32
    /// What Python's IGNORECASE takes for it and PCRE2 does not.
    var pythonOnly: [UInt32]
  }
  static let differences: [Difference] = [
    Difference(point: 0x49, pythonOnly: [0x130, 0x131]),
    Difference(point: 0x69, pythonOnly: [0x130, 0x131]),
    Difference(point: 0x130, pythonOnly: [0x49, 0x69, 0x131]),
    Difference(point: 0x131, pythonOnly: [0x49, 0x69, 0x130]),
    Difference(point: 0x390, pythonOnly: [0x1fd3]),
    Difference(point: 0x3b0, pythonOnly: [0x1fe3]),
    Difference(point: 0x1fd3, pythonOnly: [0x390]),
    Difference(point: 0x1fe3, pythonOnly: [0x3b0]),
    Difference(point: 0xfb05, pythonOnly: [0xfb06]),
    Difference(point: 0xfb06, pythonOnly: [0xfb05]),
  ]
  static func pythonOnly(_ point: UInt32) -> [UInt32] { differences.first { $0.point == point }?.pythonOnly ?? [] }

  /// Whether it has another case at all. May be true for one that has none, in a newer Unicode than PCRE2's.
  static func hasOthers(_ point: UInt32) -> Bool {
    if point < 0x80 { return isASCIILetter(point) }
    if point == 0x131 { return true }
    guard let properties = Unicode.Scalar(point)?.properties else { return false }
    return properties.changesWhenCaseMapped || properties.changesWhenCaseFolded
  }

  /// Whether a character of a range may have another case: false is certain.
  static func mayHaveOthers(_ range: ClosedRange<UInt32>) -> Bool {
    if caseless.contains(where: { $0.contains(range.lowerBound) && $0.contains(range.upperBound) }) { return false }
    return range.count > 512 || range.contains(where: hasOthers)
  }
  /// Large ranges of scripts and symbols without cases.
  private static let caseless: [ClosedRange<UInt32>] = [
    0x2e80...0xa63f, 0xac00...0xfaff, 0x1_f000...0x1_f0ff, 0x1_f200...0x1_faff, 0x2_0000...0x10_ffff,
  ]

  /// Characters equal to `point` but for case: all of them for an ASCII letter; for others only those in ASCII.
  static func others(of point: UInt32) -> [UInt32] {
    switch point {
    case 0x49, 0x69: [point ^ 0x20, 0x130, 0x131]
    case 0x4b, 0x6b: [point ^ 0x20, 0x212a]
    case 0x53, 0x73: [point ^ 0x20, 0x17f]
    case 0x130, 0x131: [0x69, 0x49]
    case 0x212a: [0x6b, 0x4b]
    case 0x17f: [0x73, 0x53]
    default: isASCIILetter(point) ? [point ^ 0x20] : []
    }
  }
  /// All characters equal to `point` but for case, itself among them, ascending: by Unicode's simple mappings, and what Python adds. In a
  /// newer Unicode than PCRE2's there may be more.
  static func equals(of point: UInt32) -> [UInt32] { classes[point] ?? [point] }
  /// By member, of those with several.
  private static let classes: [UInt32: [UInt32]] = {
    var links: [UInt32: [UInt32]] = [:]
    func link(_ a: UInt32, _ b: UInt32) {
      guard a != b else { return }
      links[a, default: []].append(b)
      links[b, default: []].append(a)
    }
    for point in UInt32(0x41)...0x1_ffff where hasOthers(point) {
      guard let properties = Unicode.Scalar(point)?.properties else { continue }
      for mapped in [properties.lowercaseMapping, properties.uppercaseMapping, properties.titlecaseMapping] {
        let scalars = mapped.unicodeScalars
        if scalars.count == 1, let other = scalars.first { link(point, other.value) }
      }
    }
    for difference in differences { for other in difference.pythonOnly { link(difference.point, other) } }
    for letter in beyondASCII { for other in others(of: letter) { link(letter, other) } }
    var result: [UInt32: [UInt32]] = [:]
    for point in links.keys where result[point] == nil {
      var members: Set<UInt32> = [point]
      var open = [point]
      while let next = open.popLast() { for other in links[next] ?? [] where members.insert(other).inserted { open.append(other) } }
      let all = members.sorted()
      for member in all { result[member] = all }
    }
    return result
  }()

  /// Those that equal an ASCII letter but for case.
  static let beyondASCII: [UInt32] = [0x130, 0x131, 0x17f, 0x212a]
  static func isASCIILetter(_ point: UInt32) -> Bool { (point | 0x20) &- 0x61 < 26 && point < 0x80 }

  /// As texts are folded before literals are looked for: ASCII lower-cased, and the characters whose other case is an ASCII letter.
  static func folded(_ point: UInt32) -> UInt32 {
    switch point {
    case 0x41...0x5a: point | 0x20
    case 0x130, 0x131: 0x69
    case 0x17f: 0x73
    case 0x212a: 0x6b
    default: point
    }
  }
}
