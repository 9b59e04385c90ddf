// What lint can say: one table of kinds, each with a stable id, a level, what it means and what to do. The command line, SARIF and
// docs/rules.md all come from this table.
// What must stay true: ids never change their meaning, because rule files and pipelines name them.
import Primitives

public enum FindingKind: String, Sendable, CaseIterable {
  case invalidRule = "invalid-rule"
  case questionableRule = "questionable-rule"
  case refusedByEngine = "refused-by-engine"
  case skippedRule = "skipped-rule"
  case idConflict = "id-conflict"
  case neverMatches = "never-matches"
  case unknownValue = "unknown-value"
  case shadowedRule = "shadowed-rule"
  case duplicatePattern = "duplicate-pattern"
  case redundantLiteral = "redundant-literal"
  case coFiring = "co-firing"
  case catastrophicPattern = "catastrophic-pattern"
  case ambiguousRepetition = "ambiguous-repetition"
  case overBroadPattern = "over-broad-pattern"
  case matchesEmptyText = "matches-empty-text"
  case shortLiteral = "short-literal"
  case missingTests = "missing-tests"
  case standardTestCount = "standard-test-count"
  case duplicateTest = "duplicate-test"
  case evasion
  case unusedCondition = "unused-condition"
  case dialectDifference = "dialect-difference"
  case missingReference = "missing-reference"
  case missingFalsePositives = "missing-false-positives"
  case missingConfidence = "missing-confidence"
  case unmatchedSource = "unmatched-source"
  case unknownFinding = "unknown-finding"

  public var id: String { rawValue }
  public var severity: Diagnostic.Severity { entry.severity }
  /// One sentence: what is found.
  public var summary: String { "\(entry.summary)" }
  /// What to do about it.
  public var help: String { "\(entry.help)" }

  private var entry: (severity: Diagnostic.Severity, summary: StaticString, help: StaticString) {
    switch self {
    case .invalidRule:
      (.error, "The document is not a rule that can be loaded.", "Correct what the message names; the rule does not run until then.")
    case .questionableRule:
      (
        .warning, "The document loads, but something in it is not what the standard says or does nothing.",
        "Follow the message; the rule runs without it."
      )
    case .refusedByEngine:
      (.error, "The rule loads, but the engine cannot run it.", "Rewrite the condition that the message names; the rule does not run until then.")
    case .skippedRule:
      (
        .warning, "The rule loads, but this engine does not run it: its method, or a part of it, is none of the engine's.",
        "Give a semantic rule fallback_method: pattern and conditions; write other methods as one that this engine has."
      )
    case .idConflict:
      (
        .warning, "Two ids differ only in spelling, so that people and other engines take one rule for the other.",
        "Give one of the rules a new number."
      )
    case .neverMatches:
      (
        .warning, "A pattern, condition or rule contradicts itself: no event can fulfil it.",
        "Remove the contradiction; a rule that never fires protects nobody."
      )
    case .unknownValue:
      (.warning, "A value is compared that no parser writes into this field.", "Use one of the values that docs/events.md lists for the field.")
    case .shadowedRule:
      (
        .note, "Whenever this rule fires, another fires too, because its tests are a subset or are implied.",
        "Merge the rules, or make one of them narrower, so that each match says something new."
      )
    case .duplicatePattern:
      (.note, "The same pattern on the same field stands in several rules.", "Keep it in one rule, or give the rules different contexts.")
    case .redundantLiteral:
      (.warning, "A text of a list is implied by another text of the same list.", "Remove the longer text: the shorter one finds it already.")
    case .coFiring:
      (
        .note, "On all texts that were tried, another rule fired whenever this one did.",
        "Look whether both rules are needed; a test that only this one fires on shows the difference."
      )
    case .catastrophicPattern:
      (
        .warning, "A short text makes the matcher backtrack until its limit: an attacker can blind the rule and buy time with it.",
        "Make the repeated parts exclude each other, bound them, or use an atomic group."
      )
    case .ambiguousRepetition:
      (
        .note, "Neighbouring or nested repetitions can share the same text in many ways; cost grows faster than the text.",
        "Bound the repetitions, or separate them by something that neither can match."
      )
    case .overBroadPattern:
      (
        .warning, "The rule fires on harmless documents.",
        "Ask for more context, or add a condition that harmless text does not fulfil; put the document into true_negatives."
      )
    case .matchesEmptyText:
      (.warning, "The pattern matches the empty text, so it matches everything.", "Make at least one part of the pattern obligatory.")
    case .shortLiteral:
      (.warning, "A text of one to three characters is enough to fire the rule.", "Use a longer text, or combine it with another condition.")
    case .missingTests:
      (.warning, "The rule carries too few test cases.", "Add inputs that must fire, near misses that must not, and an evasion.")
    case .standardTestCount:
      (
        .note, "The standard asks for five true positives and five true negatives before a rule counts as stable.",
        "Add cases until both groups have five."
      )
    case .duplicateTest:
      (.warning, "A test case repeats another one of the rule, or expects the opposite of it.", "Replace it by a case that tests something else.")
    case .evasion:
      (
        .note, "True positives that a cheap disguise carries past the rule.",
        "Allow for the disguise in the pattern, or write it down in evasion_tests with expected: not_triggered."
      )
    case .unusedCondition:
      (.warning, "A condition has a name that detection.condition does not use.", "Use it or remove it.")
    case .dialectDifference:
      (
        .note, "The pattern means something else, or nothing, in another engine of the standard.",
        "Write it in the part of the syntax that ECMAScript, Python and PCRE2 share."
      )
    case .missingReference:
      (.warning, "The rule names no ATT&CK or ATLAS technique.", "Add references.mitre_attack or references.mitre_atlas.")
    case .missingFalsePositives:
      (.warning, "The rule names no known false positives.", "Add detection.false_positives.")
    case .missingConfidence:
      (.warning, "The rule does not say how sure a match makes us.", "Add confidence: 0 to 100.")
    case .unmatchedSource:
      (.warning, "A source of the correlation matches no rule that is loaded and runs.", "Correct the id, or load the rules that it means.")
    case .unknownFinding:
      (.warning, "The rule ignores a finding that does not exist.", "Correct the id; `panguard rules lint --list` shows them all.")
    }
  }
}

public struct LintFinding: Sendable, Hashable {
  public struct Related: Sendable, Hashable {
    public var location: SourceLocation
    public var message: String
    public init(_ location: SourceLocation, _ message: String) {
      self.location = location
      self.message = message
    }
  }
  public var kind: FindingKind
  public var severity: Diagnostic.Severity
  /// Empty where the finding is about a file.
  public var ruleID: String
  public var location: SourceLocation
  /// One sentence without a full stop, without the rule's id.
  public var message: String
  /// What to do, where there is more to say than the kind's help; may be empty.
  public var hint: String
  public var related: [Related]

  public init(
    _ kind: FindingKind, _ ruleID: String, _ location: SourceLocation, _ message: String, hint: String = "",
    severity: Diagnostic.Severity? = nil, related: [Related] = []
  ) {
    self.kind = kind
    self.severity = severity ?? kind.severity
    self.ruleID = ruleID
    self.location = location
    self.message = message
    self.hint = hint
    self.related = related
  }

  /// The form of compilers: "file:line:column: warning: ATR-...: message; hint [id]".
  public var description: String {
    let subject = ruleID.isEmpty ? "" : "\(ruleID): "
    return "\(location): \(severity.rawValue): \(subject)\(message)" + (hint.isEmpty ? "" : "; \(hint)") + " [\(kind.id)]"
  }

  /// The order of a report: by place, then by kind and words, so that it never depends on the order of the checks.
  static func order(_ a: LintFinding, _ b: LintFinding) -> Bool {
    if a.location != b.location { return a.location < b.location }
    if a.kind != b.kind { return a.kind.id < b.kind.id }
    return a.ruleID != b.ruleID ? a.ruleID < b.ruleID : a.message < b.message
  }
}
