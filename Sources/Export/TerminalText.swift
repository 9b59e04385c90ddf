// Text that attackers wrote, made safe to show: on a terminal, in a syslog file that somebody will `cat`, in a page.
// Invariants: what `escaped` returns holds no control character, no bidirectional or invisible formatting, no private or unassigned
// scalar and no pile of combining marks, so it can move no cursor, hide no text and start no line; it is the identity on plain text.
// A backslash stays as it is: the exact value is in the JSON form.

public enum TerminalText {
  /// `text` with every scalar that a terminal could act on, or a person could not see, written as `\xNN` (below U+0100) or `\u{N}`.
  public static func escaped(_ text: String) -> String {
    if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) { return text }
    var out = ""
    var marks = 0
    for scalar in text.unicodeScalars {
      marks = isMark(scalar) ? marks + 1 : 0
      if isPlain(scalar), marks <= marksShown { out.unicodeScalars.append(scalar) } else { out += escape(scalar) }
    }
    return out
  }

  /// Combining marks that one base character may carry: enough for any written language, too few to paint over other lines.
  static let marksShown = 3

  private static func isMark(_ scalar: Unicode.Scalar) -> Bool {
    guard scalar.value >= 0x300 else { return false }
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .enclosingMark: return true
    default: return false
    }
  }
  private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.value >= 0x20, scalar.value < 0x7f { return true }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: return false
    case .spaceSeparator: return scalar.value == 0x20  // others look like a space and are not
    // Fillers and variation selectors have a letter's or mark's category but show nothing.
    default: return !scalar.properties.isDefaultIgnorableCodePoint
    }
  }
  private static func escape(_ scalar: Unicode.Scalar) -> String {
    let digits = String(scalar.value, radix: 16)
    return scalar.value < 0x100 ? "\\x" + (digits.utf8.count < 2 ? "0" : "") + digits : "\\u{\(digits)}"
  }

  // MARK: Columns

  /// Columns of a terminal that `text` (already escaped) takes: 2 for East Asian wide scalars, 0 for combining marks.
  public static func columns(_ text: String) -> Int {
    text.unicodeScalars.reduce(0) { $0 + columns($1) }
  }
  private static func columns(_ scalar: Unicode.Scalar) -> Int {
    if scalar.value < 0x300 { return 1 }
    if isMark(scalar) { return 0 }
    for range in wide where range.contains(scalar.value) { return 2 }
    return 1
  }
  /// Blocks that terminals draw two columns wide (Unicode 15, EastAsianWidth W and F, to block precision).
  private static let wide: [ClosedRange<UInt32>] = [
    0x1100...0x115f, 0x2e80...0x303e, 0x3041...0x33ff, 0x3400...0x4dbf, 0x4e00...0x9fff, 0xa000...0xa4cf, 0xa960...0xa97f, 0xac00...0xd7a3,
    0xf900...0xfaff, 0xfe30...0xfe6f, 0xff00...0xff60, 0xffe0...0xffe6, 0x1f300...0x1f64f, 0x1f680...0x1f6ff, 0x1f900...0x1faff, 0x20000...0x3fffd,
  ]

  /// `text` (already escaped) in at most `width` columns; what is cut off is shown by "…". 0 or less: not cut.
  public static func cut(_ text: String, to width: Int) -> String {
    guard width > 0, text.utf8.count > width, columns(text) > width else { return text }
    var out = ""
    var used = 0
    for scalar in text.unicodeScalars {
      let n = columns(scalar)
      if used + n > width - 1 { break }
      out.unicodeScalars.append(scalar)
      used += n
    }
    return out + "…"
  }

  /// `text` (already escaped) filled with spaces to `width` columns.
  static func padded(_ text: String, to width: Int, onTheLeft: Bool = false) -> String {
    let fill = String(repeating: " ", count: max(0, width - columns(text)))
    return onTheLeft ? fill + text : text + fill
  }

  /// `text` (already escaped) broken at spaces into lines of at most `width` columns, where a word fits into one.
  public static func wrapped(_ text: String, to width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    var used = 0
    for word in text.split(separator: " ") {
      let n = columns(String(word))
      if !line.isEmpty, used + 1 + n > width {
        lines.append(line)
        line = ""
        used = 0
      }
      if !line.isEmpty {
        line += " "
        used += 1
      }
      line += word
      used += n
    }
    if !line.isEmpty { lines.append(line) }
    return lines
  }
}
