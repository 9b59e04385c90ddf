// What is wrong, where, and what to do: the one form in which rules, configuration and playbooks report problems.

public struct SourceLocation: Codable, Hashable, Sendable, Comparable, CustomStringConvertible {
  /// As the operator or the file system names it, byte for byte: what opens it again. "-" is standard input.
  public var file: String
  /// 1-based; 0: the file as a whole.
  public var line: Int
  /// 1-based, in bytes; 0: the line as a whole.
  public var column: Int
  public init(file: String, line: Int = 0, column: Int = 0) {
    self.file = file
    self.line = line
    self.column = column
  }
  /// On one line whatever the file is called: control characters, also those that turn the line's direction, are escaped.
  public var description: String {
    let name = SourceLocation.escaped(file)
    return line == 0 ? name : column == 0 ? "\(name):\(line)" : "\(name):\(line):\(column)"
  }
  private static func escaped(_ text: String) -> String {
    if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) { return text }
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0..<0x20, 0x7f..<0xa0: out += (scalar.value < 0x10 ? "\\x0" : "\\x") + String(scalar.value, radix: 16)
      case 0x2028, 0x2029, 0x200e, 0x200f, 0x202a...0x202e, 0x2066...0x2069: out += "\\u{\(String(scalar.value, radix: 16))}"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
  public static func < (a: SourceLocation, b: SourceLocation) -> Bool {
    (a.file, a.line, a.column) < (b.file, b.line, b.column)
  }
}

public struct Diagnostic: Codable, Hashable, Sendable, CustomStringConvertible {
  public enum Severity: String, Codable, Sendable, Comparable {
    case note, warning, error
    public static func < (a: Severity, b: Severity) -> Bool { a.rank < b.rank }
    private var rank: Int { self == .note ? 0 : self == .warning ? 1 : 2 }
  }
  public var severity: Severity
  public var location: SourceLocation
  /// What is wrong, in one sentence without a full stop.
  public var message: String
  /// What to do about it; empty if the message says it.
  public var hint: String

  public init(_ severity: Severity, _ location: SourceLocation, _ message: String, hint: String = "") {
    self.severity = severity
    self.location = location
    self.message = message
    self.hint = hint
  }
  /// The form of compilers, so that editors can jump to it: "file:line:column: error: message; hint".
  public var description: String { "\(location): \(severity.rawValue): \(message)" + (hint.isEmpty ? "" : "; \(hint)") }
}

/// The known word nearest to `word` (Damerau-Levenshtein, at most a third of its length away), for "did you mean".
public func nearest(_ word: String, in known: some Sequence<String>) -> String? {
  let a = Array(word.utf8.prefix(64))
  var best: (distance: Int, word: String)?
  for candidate in known {
    let b = Array(candidate.utf8.prefix(64))
    var previous2: [Int] = []
    var previous = Array(0...b.count)
    for i in 0..<a.count {
      var row = [i + 1]
      for j in 0..<b.count {
        var cost = min(row[j] + 1, previous[j + 1] + 1, previous[j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, previous2[j - 1] + 1) }
        row.append(cost)
      }
      previous2 = previous
      previous = row
    }
    let distance = previous[b.count]
    if distance <= max(1, max(a.count, b.count) / 3), distance < best?.distance ?? .max { best = (distance, candidate) }
  }
  return best?.word
}
