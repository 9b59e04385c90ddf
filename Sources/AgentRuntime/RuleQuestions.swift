// The questions of `panguard rules new` on a terminal: only what the flags left open, each with its default and the words it may be.
// Pure but for `ask`, so that a conversation is a test.
import Events
import Primitives
import RuleLanguage

public struct RuleQuestions {
  /// Shows a prompt and reads a line; nil: there is no more input.
  public typealias Ask = (_ prompt: String) -> String?
  public struct Ended: Error {}

  /// What a person may not have said with flags.
  public struct Open: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }
    public static let method = Open(rawValue: 1)
    public static let source = Open(rawValue: 2)
    public static let title = Open(rawValue: 4)
    public static let category = Open(rawValue: 8)
    public static let severity = Open(rawValue: 16)
    public static let field = Open(rawValue: 32)
    public static let operation = Open(rawValue: 64)
    public static let pattern = Open(rawValue: 128)
    public static let sourceRules = Open(rawValue: 256)
    public static let techniques = Open(rawValue: 512)
    public static let window = Open(rawValue: 1024)
    public static let threshold = Open(rawValue: 2048)
  }
  private let ask: Ask
  public init(ask: @escaping Ask) { self.ask = ask }

  /// Fills in what is open; throws `Ended` where the input ends first.
  public func complete(_ template: RuleTemplate, open: Open, ruleIDs: [String]) throws -> RuleTemplate {
    var t = template
    func wants(_ part: Open) -> Bool { open.contains(part) }
    if wants(.method) {
      t.method = try choice("Method", RuleTemplate.Method.allCases.map(\.rawValue), t.method.rawValue, RuleTemplate.Method.init(rawValue:))
    }
    if wants(.source) { t.source = try choice("Source (what the rule watches)", RuleWords.sources, t.source) { $0 } }
    if wants(.title) { t.title = try text("Title (what is detected, in one line)", default: nil, for: \.title, of: t) }
    if wants(.category) {
      let known = RuleWords.categories(of: t.source)
      t.category = try choice("Category", known, t.category.isEmpty ? known[0] : t.category) { $0 }
    }
    if wants(.severity) { t.severity = try choice("Severity", Severity.allCases.map(\.rawValue), t.severity.rawValue, Severity.init(rawValue:)) }
    if t.method == .correlation {
      if wants(.sourceRules) { t.sourceRules = try list("Rules that must match, in order (ids, at least two)", known: ruleIDs, least: 2) }
    } else {
      let isCount = t.method == .behavioral
      if wants(.field) { t.field = try text("Field", default: t.isHostRule ? "event.action" : "content", for: \.field, of: t) }
      if wants(.operation) {
        let (given, known) = (isCount ? "exact" : "regex", RuleWords.operators)
        t.operation = try choice("Operator", known, given, objection: { objection(to: $0, for: \.operation, of: t) }) { $0 }
      }
      if wants(.pattern) {
        t.pattern = try text(t.operation == "regex" ? "Pattern (a regular expression)" : "Value", default: nil, for: \.pattern, of: t)
      }
    }
    if t.method != .pattern, wants(.window) {
      t.window = try text("Window (10s, 5m, 24h)", default: t.window, for: \.window, of: t)
    }
    if t.method == .behavioral, wants(.threshold) {
      t.threshold = try answer("From how many events on", default: "\(t.threshold)") { Int64($0).flatMap { $0 > 0 ? $0 : nil } }
    }
    if wants(.techniques) {
      t.techniques = try list("ATT&CK or ATLAS techniques (T1110.001, AML.T0051; empty: none yet)", known: nil, least: 0)
    }
    return t
  }

  private func text(
    _ question: String, default given: String?, for part: WritableKeyPath<RuleTemplate, String>, of t: RuleTemplate
  ) throws -> String {
    try answer(question, default: given, objection: { objection(to: $0, for: part, of: t) }) { $0.isEmpty ? nil : $0 }
  }
  private func choice<T>(
    _ question: String, _ known: [String], _ given: String, objection: (String) -> String? = { _ in nil }, _ make: (String) -> T?
  ) throws -> T {
    let hint = { (word: String) in nearest(word, in: known).map { "Did you mean \($0)?" } }
    return try answer("\(question): \(known.joined(separator: ", "))\n", default: given, hint: hint, objection: objection) {
      known.contains($0) ? make($0) : nil
    }
  }
  /// What would be refused at the end because of this answer, and not for what flags have said before.
  private func objection(to word: String, for part: WritableKeyPath<RuleTemplate, String>, of t: RuleTemplate) -> String? {
    let before = t.objections()
    var answered = t
    answered[keyPath: part] = word
    return answered.objections().first { !before.contains($0) }
  }
  private func list(_ question: String, known: [String]?, least: Int) throws -> [String] {
    try answer(question, default: least == 0 ? "" : nil) { line in
      let items = line.split { $0 == "," || $0 == " " }.map(String.init)
      return items.count >= least && items.allSatisfy { known?.contains($0) ?? true } ? items : nil
    }
  }
  /// Asks until the answer can be used.
  private func answer<T>(
    _ question: String, default given: String?, hint: (String) -> String? = { _ in nil }, objection: (String) -> String? = { _ in nil },
    _ use: (String) -> T?
  ) throws -> T {
    let prompt = question + (given.map { $0.isEmpty ? "" : " [\($0)]" } ?? "") + ": "
    var again = ""
    while true {
      guard let line = ask(again + prompt) else { throw Ended() }
      let trimmed = line.trimmingSpaces
      let word = trimmed.isEmpty ? given ?? "" : trimmed
      let value = use(word)
      let against = value == nil ? hint(trimmed) ?? "That cannot be used here." : objection(word)
      if let value, against == nil { return value }
      again = (against ?? "") + "\n"
    }
  }
}

extension String {
  /// Without blanks around it.
  fileprivate var trimmingSpaces: String {
    var bytes = Array(utf8)[...]
    while let first = bytes.first, first == 0x20 || first == 0x09 || first == 0x0d { bytes.removeFirst() }
    while let last = bytes.last, last == 0x20 || last == 0x09 || last == 0x0d { bytes.removeLast() }
    return String(decoding: bytes, as: UTF8.self)
  }
}
