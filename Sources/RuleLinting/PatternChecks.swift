// What is wrong with single patterns: they can never match, match everything, match by three letters, cost too much, or mean something else
// in another engine of the standard.
import Events
import Primitives
import RegularExpressions
import RuleLanguage

enum PatternChecks {
  static func findings(_ rule: Rule, confirmsAttacks: Bool, _ places: inout PatternPlaces) -> [LintFinding] {
    guard let (conditions, expression) = rule.tested else { return [] }
    var findings: [LintFinding] = []
    for (index, condition) in conditions.enumerated() {
      let isEnough = isSufficient(index, expression)
      switch condition.test {
      case .regex(let patterns, let sensitive):
        for (i, pattern) in patterns.enumerated() {
          findings += self.findings(rule, condition, i, pattern, sensitive, isEnough, confirmsAttacks, &places)
        }
      case .contains(let texts, _):
        for (i, text) in texts.enumerated() where isEnough && isShort(text.unicodeScalars.map(\.value)) && isProse(condition) {
          findings.append(shortLiteral(rule, places.location(condition, text: i), text))
        }
      default: break
      }
    }
    return findings
  }

  private static func findings(
    _ rule: Rule, _ condition: Condition, _ index: Int, _ pattern: String, _ sensitive: Bool, _ isEnough: Bool, _ confirmsAttacks: Bool,
    _ places: inout PatternPlaces
  ) -> [LintFinding] {
    let written = places.texts(of: condition)
    let source = written.indices.contains(index) ? written[index].source : pattern
    var findings: [LintFinding] = []
    for difference in Dialect.differences(source) {
      let place = places.location(condition, text: index, offset: difference.offset)
      findings.append(LintFinding(.dialectDifference, rule.id, place, difference.message, hint: difference.hint))
    }
    guard pattern.utf8.count <= Limits.lintPatternBytes, let expression = try? RegularExpression(pattern, isCaseSensitive: sensitive) else {
      return findings
    }
    let node = expression.root
    let place = places.location(condition, text: index)
    if Reachability.neverMatches(node) {
      findings.append(LintFinding(.neverMatches, rule.id, place, "the pattern can never match"))
    } else if case .alternation(let branches) = node {
      for (number, branch) in branches.enumerated() where Reachability.neverMatches(branch) {
        findings.append(LintFinding(.neverMatches, rule.id, place, "alternative \(number + 1) of the pattern can never match"))
      }
    }
    if node.matchesEverywhere, !condition.isNegated {
      findings.append(LintFinding(.matchesEmptyText, rule.id, place, "the pattern matches the empty text, so every text"))
    } else if isEnough, isProse(condition), findings.allSatisfy({ $0.kind != .neverMatches }) {
      let example = node.example(limit: 8)
      if isShort(example) { findings.append(shortLiteral(rule, place, text(example))) }
    }
    if confirmsAttacks, let finding = attack(rule, expression, place) { findings.append(finding) }
    return findings
  }

  // MARK: Short texts

  /// The condition alone makes the rule fire.
  private static func isSufficient(_ index: Int, _ expression: Expression) -> Bool {
    switch expression {
    case .condition(let i): i == index
    case .any(let parts): parts.contains { isSufficient(index, $0) }
    case .all(let parts): parts.count == 1 && isSufficient(index, parts[0])
    case .not: false
    }
  }
  /// One to three letters, digits or blanks: what any text contains sooner or later.
  private static func isShort(_ points: [UInt32]) -> Bool {
    (1...3).contains(points.count)
      && points.allSatisfy { $0 == 0x20 || (0x30...0x39).contains($0) || ($0 | 0x20) &- 0x61 < 26 && $0 < 128 || $0 == 0x5f }
  }
  private static let proseFields: [FieldReference] = [
    "content", "user_input", "agent_output", "tool_args", "tool_response", "agent_message", "tool_description", "message",
  ].map { FieldReference(name: $0) }
  private static func isProse(_ condition: Condition) -> Bool { !condition.isNegated && proseFields.contains(condition.field) }

  private static func shortLiteral(_ rule: Rule, _ place: SourceLocation, _ text: String) -> LintFinding {
    LintFinding(.shortLiteral, rule.id, place, "'\(text)' anywhere in the text is enough to fire the rule")
  }
  private static func text(_ points: [UInt32]) -> String {
    var view = String.UnicodeScalarView()
    for point in points { if let scalar = Unicode.Scalar(point) { view.append(scalar) } }
    return String(view)
  }

  // MARK: Attacks

  private static func attack(_ rule: Rule, _ expression: RegularExpression, _ place: SourceLocation) -> LintFinding? {
    let attacks = AttackSearch.attacks(on: expression.root)
    guard !attacks.isEmpty, let tried = TriedPattern(expression) else { return nil }
    var worst: (attack: AttackText, measured: AttackText.Measurement)?
    for attack in attacks {
      guard let measured = attack.measure(tried), measured.bytes < worst?.measured.bytes ?? .max else { continue }
      worst = (attack, measured)
    }
    guard let worst else { return nil }
    let pump = shown(text(worst.attack.pump))
    let cost = "\(worst.measured.bytes) bytes ('\(pump)' \(worst.measured.pumps) times) take more than \(Limits.lintAttackSteps) steps"
    return LintFinding(worst.measured.isCatastrophic ? .catastrophicPattern : .ambiguousRepetition, rule.id, place, cost)
  }
  /// One line of printable characters.
  private static func shown(_ text: String) -> String {
    text.unicodeScalars.prefix(24).map { $0.value < 0x20 || $0.value == 0x7f ? "\\x{\(String($0.value, radix: 16))}" : String($0) }.joined()
  }
}

/// Constructs that the engines of the standard (ECMAScript, Python, PCRE2) read differently, found in the text of a pattern: a scan that
/// knows escapes and classes, nothing else.
enum Dialect {
  struct Difference: Equatable {
    /// Byte of the pattern.
    var offset: Int
    var message: String
    var hint: String
  }

  private struct Mark {
    var text: StaticString
    var message: StaticString
    var hint: StaticString
  }
  private static let escapes: [Mark] = [
    Mark(text: "\\A", message: "\\A is a letter in ECMAScript, an anchor elsewhere", hint: "write ^"),
    Mark(text: "\\Z", message: "\\Z is a letter in ECMAScript, and allows a last line break in PCRE2 but not in Python", hint: "write $"),
    Mark(text: "\\z", message: "\\z is a letter in ECMAScript and an error in Python", hint: "write $"),
    Mark(text: "\\h", message: "\\h is blank space in PCRE2, a letter in ECMAScript and an error in Python", hint: "write [ \\t]"),
    Mark(text: "\\R", message: "\\R is a line break in PCRE2 only", hint: "write \\r?\\n"),
    Mark(text: "\\K", message: "\\K is known to PCRE2 only", hint: "use a look-behind"),
    Mark(text: "\\Q", message: "\\Q...\\E is known to PCRE2 only", hint: "escape the characters one by one"),
    Mark(text: "\\p", message: "\\p{..} is an error in Python's re, and a letter in ECMAScript without the flag u", hint: "write the ranges out"),
    Mark(text: "\\P", message: "\\P{..} is an error in Python's re, and a letter in ECMAScript without the flag u", hint: "write the ranges out"),
    Mark(text: "\\u{", message: "\\u{..} is an error in Python's re, and a repeated letter in ECMAScript without the flag u", hint: "write \\uXXXX"),
    Mark(text: "\\U", message: "\\UXXXXXXXX is a code point in Python, letters in ECMAScript, an error in PCRE2", hint: "write the character itself"),
    Mark(text: "\\x{", message: "\\x{..} is known to PCRE2 only", hint: "write \\xHH or \\uXXXX"),
  ]
  private static let groups: [Mark] = [
    Mark(text: "(?P<", message: "(?P<name>..) is an error in ECMAScript", hint: "use a plain group"),
    Mark(text: "(?P=", message: "(?P=name) is an error in ECMAScript", hint: "use \\1"),
    Mark(text: "(?>", message: "an atomic group is an error in ECMAScript and in Python before 3.11", hint: "make the parts exclude each other"),
    Mark(text: "(?#", message: "a comment group is an error in ECMAScript", hint: "use the condition's description"),
    Mark(text: "(?|", message: "a branch reset is known to PCRE2 only", hint: "use plain groups"),
    Mark(text: "(?R)", message: "recursion is known to PCRE2 only", hint: "write out the depth you need"),
    Mark(text: "(*", message: "a verb is known to PCRE2 only", hint: "remove it"),
  ]

  static func differences(_ pattern: String) -> [Difference] {
    var copy = pattern
    return copy.withUTF8 { scan(Bytes($0)) }
  }

  private static func scan(_ bytes: Bytes) -> [Difference] {
    var found: [Difference] = []
    var at = 0
    var inClass = false
    var wasQuantified = false
    func add(_ message: String, _ hint: String) { if found.count < 8 { found.append(Difference(offset: at, message: message, hint: hint)) } }
    while at < bytes.count {
      let rest = bytes.from(at)
      let byte = bytes[at]
      var width = 1
      var isQuantifier = false
      switch byte {
      case 0x5c:
        width = min(2, bytes.count - at)
        if let mark = escapes.first(where: { starts(rest, $0.text) }) { add("\(mark.message)", "\(mark.hint)") }
      case 0x5b where inClass:
        if rest.starts(with: "[:") { add("a POSIX class is characters and colons in ECMAScript and Python", "write the ranges out") }
      case 0x5b:
        inClass = true
        if rest.starts(with: "[^]") { add("[^] is any character in ECMAScript and an unfinished class elsewhere", "write [\\s\\S]") }
        if rest.starts(with: "[]") { add("[] is an empty class in ECMAScript and begins with ']' elsewhere", "escape the bracket") }
        width = rest.starts(with: "[^]") ? 3 : rest.starts(with: "[^") || rest.starts(with: "[]") ? 2 : 1
      case 0x5d: inClass = false
      case 0x28 where !inClass:
        if let mark = groups.first(where: { starts(rest, $0.text) }) { add("\(mark.message)", "\(mark.hint)") }
        group(rest, isFirst: at == 0, add)
      case 0x2b where !inClass && wasQuantified:
        add("a possessive repetition is an error in ECMAScript and in Python before 3.11", "make the parts exclude each other")
      case 0x2a, 0x2b, 0x3f, 0x7d: isQuantifier = !inClass && !(byte == 0x3f && wasQuantified)
      default: break
      }
      wasQuantified = isQuantifier && (byte != 0x7d || isBound(bytes, endingAt: at))
      at += width
    }
    return found
  }

  private static func starts(_ bytes: Bytes, _ mark: StaticString) -> Bool { bytes.starts(with: mark) }

  /// `{n}`, `{n,}` or `{n,m}` ends here.
  private static func isBound(_ bytes: Bytes, endingAt end: Int) -> Bool {
    var at = end - 1
    while at >= 0, end - at < 16, (0x30...0x39).contains(bytes[at]) || bytes[at] == 0x2c { at -= 1 }
    return at >= 0 && bytes[at] == 0x7b && at < end - 1
  }

  /// Inline flags and names of groups.
  private static func group(_ rest: Bytes, isFirst: Bool, _ add: (String, String) -> Void) {
    guard rest.count > 2, rest.starts(with: "(?") else { return }
    if rest.starts(with: "(?<"), rest.count > 3, rest[3] != 0x3d, rest[3] != 0x21 {
      return add("(?<name>..) is an error in Python's re", "use a plain group")
    }
    var end = 2
    while end < rest.count, (rest[end] | 0x20) &- 0x61 < 26 || rest[end] == 0x2d { end += 1 }
    guard end > 2, end < rest.count, rest[2] != 0x50 else { return }
    if rest[end] == 0x3a { return add("flags for a part of a pattern are an error in ECMAScript before 2025", "use case_sensitive of the condition") }
    guard rest[end] == 0x29 else { return }
    if !isFirst {
      return add("flags in the middle of a pattern are an error in Python 3.11 and in ECMAScript", "put them first, or use case_sensitive")
    }
    let others = rest.slice(2, end).filter { $0 != 0x69 }
    if !others.isEmpty {
      add(
        "engines of the standard drop the flags '\(String(decoding: others, as: UTF8.self))' at the start of a pattern",
        "write [\\s\\S] for s, and (?:^|\\n) for m")
    }
  }
}
