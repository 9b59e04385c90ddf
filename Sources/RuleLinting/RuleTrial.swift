// The part of lint that runs rules: one engine for the whole set, over the harmless documents and over the cases that the rules carry.
// Windows stay empty: what a single text does is all that is looked at.
import Events
import Primitives
import RuleEngine
import RuleLanguage

/// What rules did on the harmless documents.
struct BenignOutcome {
  struct Hit {
    var rule: Int
    /// Documents it fired on, in their order.
    var documents: [BenignDocument]
    /// The condition that held on the first of them, and what it found.
    var condition: Int?
    var pattern: String?
    var found: String?
  }
  /// By rule, ascending.
  var hits: [Hit] = []
  /// Documents on which at least one rule fired.
  var flagged = 0

  func findings(_ set: RuleSet, _ places: inout PatternPlaces) -> [LintFinding] {
    var findings: [LintFinding] = []
    for hit in hits {
      let rule = set.rules[hit.rule]
      var location = rule.location
      var found = ""
      if let tested = rule.tested, let index = hit.condition, tested.conditions.indices.contains(index) {
        let condition = tested.conditions[index]
        location = condition.location
        if let text = hit.found { found = ": finds '\(BenignOutcome.excerpt(text))'" }
        if let pattern = hit.pattern, let at = BenignOutcome.texts(condition).firstIndex(of: pattern) {
          location = places.location(condition, text: at)
        }
      }
      let names = hit.documents.prefix(3).map(\.id).joined(separator: ", ") + (hit.documents.count > 3 ? ", …" : "")
      let count = hit.documents.count == 1 ? "1 harmless document" : "\(hit.documents.count) harmless documents"
      findings.append(LintFinding(.overBroadPattern, rule.id, location, "fires on \(count) (\(names))\(found)"))
    }
    return findings
  }

  private static func texts(_ condition: Condition) -> [String] {
    switch condition.test {
    case .regex(let texts, _), .contains(let texts, _), .exact(let texts, _), .startsWith(let texts, _): texts
    case .compare, .exists: []
    }
  }
  /// One line of at most 60 characters.
  private static func excerpt(_ text: String) -> String {
    let line = String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 ? " " : $0 }))
    return line.count > 60 ? line.prefix(59) + "…" : line
  }
}

struct RuleTrial: ~Copyable {
  private let set: RuleSet
  private var engine: RuleEngine
  private var event = Event()
  private var matches: [RuleMatch] = []
  /// By rule: on how many texts it fired, and which other rules fired on all of them.
  private var fired: [Int]
  private var together: [[Int]]

  init(_ set: RuleSet) {
    self.set = set
    engine = RuleEngine(set)
    fired = Array(repeating: 0, count: set.rules.count)
    together = Array(repeating: [], count: set.rules.count)
  }

  var engineDiagnostics: [Diagnostic] { engine.diagnostics }

  private mutating func evaluate() {
    engine.evaluate(event, at: event.time, feedsWindows: false, withDetails: false, into: &matches)
  }

  /// Adds the current matches to what is known about rules that fire together.
  private mutating func noteTogether() {
    let rules = matches.map(\.rule)
    for rule in rules {
      together[rule] = fired[rule] == 0 ? rules.filter { $0 != rule } : together[rule].filter(rules.contains)
      fired[rule] += 1
    }
  }

  // MARK: Harmless documents

  /// Rules whose match is no alarm do not count: evidence of innocence, and what a host records for later.
  private func isAlarm(_ rule: Rule) -> Bool {
    !rule.isExculpatory && rule.severity >= (rule.isHostRule ? .medium : .low)
  }

  mutating func benign(_ documents: [BenignDocument]) -> BenignOutcome {
    var outcome = BenignOutcome()
    var place: [Int: Int] = [:]  // rule to its place in `hits`; only looked up
    for (number, document) in documents.enumerated() {
      document.fill(&event, number: number)
      evaluate()
      noteTogether()
      var isFlagged = false
      for rule in matches.map(\.rule) where isAlarm(set.rules[rule]) {
        isFlagged = true
        if let at = place[rule] {
          outcome.hits[at].documents.append(document)
          continue
        }
        place[rule] = outcome.hits.count
        let held = engine.explain(rule: rule, event: event).first { $0.isHeld == true && $0.matched != nil }
        var found: String?
        if let span = held?.span, let value = held?.value {
          found = String(decoding: Array(value.utf8).dropFirst(span.lowerBound).prefix(span.count), as: UTF8.self)
        }
        outcome.hits.append(.init(rule: rule, documents: [document], condition: held?.index, pattern: held?.matched, found: found))
      }
      if isFlagged { outcome.flagged += 1 }
    }
    outcome.hits.sort { $0.rule < $1.rule }
    return outcome
  }

  // MARK: The rules' own cases

  mutating func ownCases(looksForEvasions: Bool) -> [LintFinding] {
    var findings: [LintFinding] = []
    for (index, rule) in set.rules.enumerated() {
      var disguised = 0
      var missed = Array(repeating: 0, count: Disguise.allCases.count)
      for test in rule.tests {
        guard case .event(let json) = test.input, fill(json) else { continue }
        evaluate()
        noteTogether()
        guard looksForEvasions, test.group == .truePositive, test.expectsMatch, !rule.isHostRule, disguised < Limits.lintDisguisedCases,
          matches.contains(where: { $0.rule == index })
        else { continue }
        disguised += 1
        for (d, disguise) in Disguise.allCases.enumerated() {
          guard let changed = RuleTrial.disguised(json, disguise), fill(changed) else { continue }
          evaluate()
          if !matches.contains(where: { $0.rule == index }) { missed[d] += 1 }
        }
      }
      findings += evasions(rule, disguised, missed)
    }
    return findings + coFiring()
  }

  private mutating func fill(_ json: String) -> Bool {
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    event.time = .zero
    var text = json
    return (try? text.withUTF8 { try event.setFields(fromJSON: Bytes($0)) }) != nil
  }

  private func evasions(_ rule: Rule, _ disguised: Int, _ missed: [Int]) -> [LintFinding] {
    func list(_ wanted: (Disguise) -> Bool) -> String {
      zip(Disguise.allCases, missed).filter { $0.1 > 0 && wanted($0.0) }.map { "\($0.0.rawValue) (\($0.1))" }.joined(separator: ", ")
    }
    let others = list { !$0.isNormalised }
    let normalised = list(\.isNormalised)
    var findings: [LintFinding] = []
    if !others.isEmpty {
      findings.append(LintFinding(.evasion, rule.id, rule.location, "of \(disguised) true positives these disguises hide some: \(others)"))
    }
    if !normalised.isEmpty {
      findings.append(
        LintFinding(
          .evasion, rule.id, rule.location, "of \(disguised) true positives these disguises hide some: \(normalised)",
          hint: "the standard's normalisation takes them away before matching; the pattern sees the text without them or not at all"))
    }
    return findings
  }

  /// The case with its texts disguised; nil where nothing changes. Names (of tools, kinds, agents) stay: a disguise would break the call.
  static func disguised(_ json: String, _ disguise: Disguise) -> String? {
    var copy = json
    return copy.withUTF8 { bytes -> String? in
      var reader = JSONReader(Bytes(bytes))
      var writer = JSONWriter()
      var key = ""
      var isChanged = false
      func isText(_ value: String) -> Bool { textKeys.contains(key) || value.utf8.count >= 16 && !nameKeys.contains(key) }
      do {
        while try reader.next({ (token: JSONToken) -> Void in
          switch token {
          case .beginObject: writer.beginObject()
          case .endObject: writer.endObject()
          case .beginArray: writer.beginArray()
          case .endArray: writer.endArray()
          case .key(let name):
            key = name.string
            writer.key(text: name)
          case .string(let value):
            let text = value.string
            let other = isText(text) ? disguise.applied(to: text) : text
            if !other.utf8.elementsEqual(text.utf8) { isChanged = true }
            writer.value(other)
          case .number(let value): writer.raw(Array(value))
          case .bool(let value): writer.value(value)
          case .null: writer.null()
          }
        }) != nil {}
      } catch { return nil }
      return isChanged ? String(decoding: writer.out, as: UTF8.self) : nil
    }
  }
  private static let textKeys = ["content", "user_input", "agent_output", "tool_args", "tool_response", "agent_message", "tool_description"]
  private static let nameKeys = ["event_type", "tool_name", "agent.id", "session.id", "@timestamp", "scan_target"]

  /// Texts on which a rule must have fired before "always together" means something.
  private static let textsForTogether = 5

  private func coFiring() -> [LintFinding] {
    set.rules.indices.compactMap { rule in
      guard fired[rule] >= RuleTrial.textsForTogether, let other = together[rule].first else { return nil }
      let more = together[rule].count > 1 ? " and \(together[rule].count - 1) more" : ""
      return LintFinding(
        .coFiring, set.rules[rule].id, set.rules[rule].location,
        "on each of the \(fired[rule]) texts that it fired on, \(set.rules[other].id)\(more) fired too",
        related: [.init(set.rules[other].location, "\(set.rules[other].id) \(set.rules[other].title)")])
    }
  }
}
