// An explanation as a page for people. Text from rules and logs is escaped; a place in a value is shown by its line, cut around the place,
// with the matched part underlined (in colour) or marked by `~` below it. Every line fits the width but where a single word does not.
import Events
import Export
import Primitives
import RuleEngine
import RuleLanguage
import TypedYAML

public struct RuleExplanationText {
  private let width: Int
  private let color: Bool
  private var out: [String] = []

  /// `width`: columns, at least 40 are used.
  public static func page(_ explanation: RuleExplanation, width: Int, color: Bool) -> String {
    var text = RuleExplanationText(width: max(40, width), color: color)
    text.write(explanation)
    return text.out.joined(separator: "\n")
  }
  private init(width: Int, color: Bool) {
    self.width = width
    self.color = color
  }

  private enum Tone: String { case bold = "1", good = "32", bad = "31", unsure = "33", dim = "2", place = "1;4" }
  private func paint(_ text: String, _ tone: Tone) -> String { color ? "\u{1b}[\(tone.rawValue)m\(text)\u{1b}[0m" : text }
  private mutating func line(_ text: String = "") { out.append(text) }
  private mutating func wrapped(_ text: String, indent: Int) {
    let space = String(repeating: " ", count: indent)
    for part in RuleExplanationText.wrap(text, to: width - indent) { out.append(space + part) }
  }

  // MARK: The page

  private mutating func write(_ e: RuleExplanation) {
    line(paint(TerminalText.cut("\(e.rule.id)  \(TerminalText.escaped(e.rule.title))", to: width), .bold))
    verdict(e)
    if case .pattern(let conditions, let expression) = e.rule.detection, conditions.count > 1 {
      wrapped("condition: " + RuleExplanationText.formula(expression, conditions), indent: 2)
    }
    if case .behavioral = e.rule.detection {
      behavioral(e)
    } else if case .correlation = e.rule.detection {
      correlation(e)
    } else if e.refusal == nil {
      pages(e, e.events)
    }
    if e.unread > 0 { line("\(e.unread) more lines were not read: at most \(Limits.explainedEvents) are") }
  }
  private mutating func verdict(_ e: RuleExplanation) {
    if let refusal = e.refusal {
      line(paint("is not run", .unsure))
      wrapped(TerminalText.escaped(refusal), indent: 2)
      return
    }
    let matching = e.events.filter(\.isMatch).map(\.line)
    let lines = matching.prefix(10).map { "\($0)" }.joined(separator: ", ") + (matching.count > 10 ? ", …" : "")
    let place = e.events.count > 1 && !matching.isEmpty ? " on line \(lines)" : ""
    line(e.isMatch ? paint("matches", .good) + place : paint("does not match", .bad))
  }

  /// Events in full: those that matched first, then those that came nearest, in the order of the input.
  private mutating func pages(_ e: RuleExplanation, _ events: [ExplainedEvent]) {
    func rank(_ event: ExplainedEvent) -> Int {
      event.isMatch
        ? Int.max : event.conditions.filter { $0.report.isHeld == true }.count * 1000 + event.conditions.filter { $0.nearMiss != nil }.count
    }
    let order = events.indices.sorted { (rank(events[$1]), $0) < (rank(events[$0]), $1) }
    let shown = order.prefix(Limits.explainedPages).sorted()
    for i in shown {
      line()
      header(events[i], of: events.count)
      for condition in events[i].conditions { write(condition) }
      for method in events[i].methods { write(method) }
    }
    if shown.count < events.count { line("\n\(events.count - shown.count) more lines came less far") }
  }
  private mutating func header(_ event: ExplainedEvent, of count: Int) {
    guard count > 1 else { return }
    let number = "line \(event.line)"
    line(paint(number, .bold) + "  " + TerminalText.cut(TerminalText.escaped(event.text), to: width - 2 - number.utf8.count))
  }

  private func verdict(_ isHeld: Bool?) -> String {
    switch isHeld {
    case true?: paint("holds    ", .good)
    case false?: paint("fails    ", .bad)
    case nil: paint("undecided", .unsure)
    }
  }
  private mutating func write(_ method: MethodReport) {
    line("  \(verdict(method.isHeld))  \(TerminalText.escaped(method.name))")
    wrapped(TerminalText.escaped(method.text), indent: 13)
  }
  private mutating func write(_ c: ExplainedCondition) {
    let verdict = self.verdict(c.report.isHeld)
    let name = TerminalText.escaped(c.report.name)
    line("  \(verdict)  \(name.hasPrefix("\(c.report.field)") ? name : "\(name): \(TerminalText.escaped("\(c.report.field)"))")")
    if !c.condition.description.isEmpty { wrapped(paint(TerminalText.escaped(c.condition.description), .dim), indent: 13) }
    guard let value = c.report.value else {
      wrapped("the event does not have this field", indent: 13)
      return
    }
    if c.report.isOtherLanguage, let found = c.report.textLanguage {
      let wanted = TerminalText.escaped(c.condition.language ?? "")
      wrapped("it is for \(wanted); " + (found == "und" ? "the language of this text is not known" : "this text is \(found)"), indent: 13)
      label("value", value)
      return
    }
    if c.report.isHeld == nil { wrapped("a match limit was hit before the answer was known", indent: 13) }
    if let matched = c.report.matched {
      label("matched", matched)
      if c.report.form != .given { label("form", "\(c.report.form.rawValue): the text as it is given does not match") }
      if let span = c.report.span { place(span, in: c.report.formText ?? value) }
    } else if let miss = c.nearMiss {
      label("wanted", miss.alternative)
      label("got to", miss.prefix)
      if !miss.rest.isEmpty {
        label("then not", miss.rest)
      } else if value.utf8.count > miss.span.upperBound {
        label("then not", "the end of the value")
      }
      place(miss.span, in: value)
    } else {
      if c.report.isHeld != true { label("wanted", RuleExplanationText.wanted(c.condition)) }
      label("value", value)
    }
  }
  private mutating func label(_ name: String, _ text: String) {
    let head = name + String(repeating: " ", count: max(1, 9 - name.utf8.count))
    let shown = TerminalText.escaped(text)
    guard shown.utf8.count > 3 * width else {
      let parts = RuleExplanationText.wrap(shown, to: width - 22)
      for (i, part) in parts.enumerated() { line("             " + (i == 0 ? head : "         ") + part) }
      if parts.isEmpty { line("             " + head + "(empty)") }
      return
    }
    line("             " + head + TerminalText.cut(shown, to: width - 22))
  }

  /// The line of `value` in which the span begins, cut around it.
  private mutating func place(_ span: Range<Int>, in value: String) {
    let bytes = Array(value.utf8)
    let start = min(span.lowerBound, bytes.count)
    let lineStart = bytes[..<start].lastIndex(of: 0x0a).map { $0 + 1 } ?? 0
    let lineEnd = bytes[start...].firstIndex(of: 0x0a) ?? bytes.count
    let number = bytes[..<lineStart].filter { $0 == 0x0a }.count + 1
    let before = RuleExplanationText.text(bytes[lineStart..<start])
    let hit = TerminalText.escaped(RuleExplanationText.text(bytes[start..<max(start, min(span.upperBound, lineEnd))]))
    let after = TerminalText.escaped(RuleExplanationText.text(bytes[max(start, min(span.upperBound, lineEnd))..<lineEnd]))
    let at = "line \(number), column \(before.unicodeScalars.count + 1)"
    let room = width - 13
    let shownHit = TerminalText.cut(hit.isEmpty ? "(nothing)" : hit, to: max(10, room * 2 / 3))
    let left = RuleExplanationText.tail(TerminalText.escaped(before), columns: max(8, (room - TerminalText.columns(shownHit)) / 2))
    let used = TerminalText.columns(left) + TerminalText.columns(shownHit)
    let right = room > used ? TerminalText.cut(after, to: room - used) : ""
    let more = span.upperBound > lineEnd ? " (to line \(number + bytes[start..<min(span.upperBound, bytes.count)].filter { $0 == 0x0a }.count))" : ""
    label("at", "\(at)\(more)")
    line("             " + left + paint(shownHit, .place) + right)
    if !color {
      line(
        "             " + String(repeating: " ", count: TerminalText.columns(left)) + String(repeating: "~", count: TerminalText.columns(shownHit)))
    }
  }

  // MARK: Windows and correlations

  private mutating func behavioral(_ e: RuleExplanation) {
    guard case .behavioral(let b) = e.rule.detection else { return }
    for statement in RuleText.detection(e.rule.detection) { wrapped(statement, indent: 2) }
    line()
    if e.groups.isEmpty { line("no line counts") }
    for group in e.groups.prefix(20) {
      let who = group.values.isEmpty ? "all" : TerminalText.escaped(group.values.joined(separator: ", "))
      line(
        TerminalText.cut(
          "  \(who): \(group.counted) counted, at most \(group.highest) at line \(group.line); wanted \(wanted(b))", to: width))
    }
    if e.groups.count > 20 { line("  \(e.groups.count - 20) more groups") }
    line()
    for event in e.events.prefix(Limits.explainedPages * 4) {
      let verdict: String
      switch event.counted {
      case .yes(let group, let value):
        verdict =
          paint("counts", .good) + " \(TerminalText.escaped(value))"
          + (group.isEmpty ? "" : " for \(TerminalText.escaped(group.joined(separator: ", ")))")
      case .no(let reason): verdict = paint("does not count", .dim) + ": \(TerminalText.escaped(reason))"
      case nil: verdict = ""
      }
      line("line \(event.line)  \(verdict)\(event.isMatch ? "  " + paint("<- matches", .bold) : "")")
      line("  " + TerminalText.cut(TerminalText.escaped(event.text), to: width - 2))
    }
    if e.events.count > Limits.explainedPages * 4 { line("\(e.events.count - Limits.explainedPages * 4) more lines") }
    // One event alone is worth the detail of its filters.
    if e.events.count == 1 { for condition in e.events[0].conditions { write(condition) } }
  }

  private func wanted(_ b: BehavioralDetection) -> String {
    guard let baseline = b.baseline else { return "\(b.comparison.symbol) \(b.bound)" }
    return "a deviation of \(b.bound) \(baseline.unit == .stddev ? "standard deviations" : "of its baseline")"
  }

  private mutating func correlation(_ e: RuleExplanation) {
    guard case .correlation(let c) = e.rule.detection else { return }
    for statement in RuleText.detection(e.rule.detection) { wrapped(statement, indent: 2) }
    line()
    for source in e.sources {
      let alias = TerminalText.escaped("\(source.alias) (\(source.pattern))")
      let count = source.matches.count
      line("  \(alias): " + (count == 0 ? paint("no match", .bad) : paint(count == 1 ? "1 match" : "\(count) matches", .good)))
      for match in source.matches.prefix(20) {
        let keys = zip(c.joinKeys, match.keys).map { "\($0)=\($1)" }.joined(separator: " ")
        line(TerminalText.cut("    line \(match.line)  \(match.rule)  \(TerminalText.escaped(keys))", to: width))
      }
      if source.matches.count > 20 { line("    \(source.matches.count - 20) more") }
    }
    if !e.isMatch, e.sources.allSatisfy({ !$0.matches.isEmpty }) {
      wrapped("every rule matched, but not in the order, within the time, or with the same values that are wanted", indent: 2)
    }
  }

  // MARK: Words

  static func wanted(_ condition: Condition) -> String {
    func list(_ texts: [String]) -> String { texts.prefix(4).joined(separator: "  |  ") + (texts.count > 4 ? "  | \(texts.count - 4) more" : "") }
    let text =
      switch condition.test {
      case .regex(let patterns, _): list(patterns)
      case .contains(let texts, _), .exact(let texts, _), .startsWith(let texts, _): list(texts)
      case .compare(let comparison, let bound): "\(comparison.symbol) \(bound)"
      case .exists(let isThere): isThere ? "the field to be there" : "the field to be absent"
      }
    return condition.isNegated ? "not: \(text)" : text
  }
  static func formula(_ expression: Expression, _ conditions: [Condition]) -> String {
    func text(_ e: Expression) -> String {
      switch e {
      case .condition(let i): conditions.indices.contains(i) ? TerminalText.escaped(conditions[i].name) : "?"
      case .not(let inner): "not \(text(inner))"
      case .all(let parts): parts.count == 1 ? text(parts[0]) : "(" + parts.map(text).joined(separator: " and ") + ")"
      case .any(let parts): parts.count == 1 ? text(parts[0]) : "(" + parts.map(text).joined(separator: " or ") + ")"
      }
    }
    return text(expression)
  }
  private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
  /// The end of `text` (escaped) in at most `columns`.
  private static func tail(_ text: String, columns: Int) -> String {
    var kept: [Unicode.Scalar] = []
    var used = 0
    for scalar in text.unicodeScalars.reversed() {
      let n = TerminalText.columns(String(scalar))
      if used + n > columns - 1 { return "…" + String(String.UnicodeScalarView(kept.reversed())) }
      kept.append(scalar)
      used += n
    }
    return text
  }
  /// Broken at spaces, and inside words that are longer than a line.
  static func wrap(_ text: String, to width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    var used = 0
    for word in text.split(separator: " ", omittingEmptySubsequences: false) {
      var rest = Substring(word).unicodeScalars
      var size = TerminalText.columns(String(word))
      if used > 0 {
        if used + 1 + size <= width {
          line += " "
          used += 1
        } else {
          lines.append(line)
          line = ""
          used = 0
        }
      }
      while size > width {
        var (part, n) = ("", 0)
        while let next = rest.first, n + TerminalText.columns(String(next)) <= width {
          part.unicodeScalars.append(next)
          n += TerminalText.columns(String(next))
          rest.removeFirst()
        }
        guard n > 0 else { break }
        lines.append(part)
        size -= n
      }
      line += String(String.UnicodeScalarView(rest))
      used += size
    }
    if !line.isEmpty { lines.append(line) }
    return lines
  }
}
