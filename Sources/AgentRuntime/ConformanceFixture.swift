// One fixture of the ATR conformance suite (conformance/v1.0/SUITE.md): a directory with input.yaml and expect.json, and how its input
// becomes events. A fixture that cannot be read is the harness's fault, never the engine's.
import Events
import Glibc
import Primitives
import RuleLanguage
import TypedYAML

public struct ConformanceFixture: Sendable {
  public enum Category: String, Sendable, CaseIterable {
    case truePositive = "tp"
    case trueNegative = "tn"
    case edge
  }
  public enum Input: Sendable {
    /// There is no `input` key.
    case none
    case text(String)
    case fields([(name: String, text: String)])
  }
  public var category: Category
  /// The directory's name.
  public var name: String
  /// skill, mcp, runtime or both.
  public var scanTarget: String
  public var input: Input
  /// match, no_match, graceful_error, or outcomes joined by `_or_`.
  public var expected: String
  /// Empty where any rule is meant.
  public var ruleID: String
  public var minimumMatches: Int
  public var requiredSelectors: [String]
  public var maximumMilliseconds: Int?
  /// Kinds of error: one of these must be there (empty: any), and each of those.
  public var allowedErrors: [String] = []
  public var requiredErrors: [String] = []
  /// SHA-256 of input.yaml, in hexadecimal.
  public var inputHash: String

  public struct Unreadable: Error, CustomStringConvertible {
    public var description: String
  }

  /// Bytes of one input.yaml: the suite's oversized input is 1 MB, so one rule document's limit would be too close.
  static let inputBytes = 64 * Limits.documentBytes

  // MARK: Reading

  /// `path`/input.yaml and `path`/expect.json.
  public static func read(_ path: String, name: String, category: Category) throws -> ConformanceFixture {
    let inputFile = "\(path)/input.yaml"
    let bytes = try file(inputFile)
    let (documents, failures) = bytes.withUnsafeBytes { YAMLParser.parse($0, file: inputFile) }
    if let failure = failures.first { throw Unreadable(description: "\(failure)") }
    guard let root = documents.first?.root, root.entries != nil else { throw Unreadable(description: "\(inputFile): not a mapping") }
    let expectation = try Expectation(file("\(path)/expect.json"), name: "\(path)/expect.json")
    var fixture = ConformanceFixture(
      category: category, name: name, scanTarget: root["scan_target"]?.text ?? "", input: input(root["input"]), expected: expectation.outcome,
      ruleID: expectation.ruleID, minimumMatches: expectation.minimumMatches, requiredSelectors: expectation.selectors,
      maximumMilliseconds: expectation.milliseconds, inputHash: SHA256Hash.hex(of: bytes))
    fixture.allowedErrors = expectation.allowedErrors
    fixture.requiredErrors = expectation.requiredErrors
    return fixture
  }
  private static func file(_ path: String) throws -> [UInt8] {
    switch readDocumentFile(path, limit: inputBytes) {
    case .success(let bytes): return bytes
    case .failure(let failure): throw Unreadable(description: "\(failure.diagnostic)")
    }
  }
  private static func input(_ node: Node?) -> Input {
    guard let node else { return .none }
    switch node.content {
    case .scalar(let scalar): return scalar.isNull ? .text("") : .text(scalar.text)
    case .mapping(let entries): return .fields(fields(entries))
    case .list(let items): return .text(items.map(text).joined(separator: "\n"))
    }
  }
  /// A member's name is its field; `response` is `tool_response` too, as in the suite's runner.
  private static func fields(_ entries: [Node.Entry]) -> [(name: String, text: String)] {
    var fields = entries.map { (name: $0.key, text: text($0.value)) }
    if !fields.contains(where: { $0.name == "tool_response" }), let response = fields.first(where: { $0.name == "response" }) {
      fields.append(("tool_response", response.text))
    }
    return fields
  }
  /// A value as the suite's runner writes it into a field: a text as it is, everything else as compact JSON.
  private static func text(_ node: Node) -> String {
    if let text = node.text, node.isText { return text }
    var json = JSONWriter()
    node.write(to: &json)
    return String(decoding: json.out, as: UTF8.self)
  }

  /// Why errors are not those that the fixture asks for; nil where they are.
  func refusal(of errors: [ConformanceError]) -> String? {
    let kinds = errors.flatMap(\.kinds)
    let seen = kinds.isEmpty ? "none" : kinds.reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }.joined(separator: ", ")
    if !allowedErrors.isEmpty, !allowedErrors.contains(where: kinds.contains) {
      return "the kind of error is none of \(allowedErrors.joined(separator: ", ")): it was \(seen)"
    }
    let missing = requiredErrors.filter { !kinds.contains($0) }
    return missing.isEmpty ? nil : "the kinds of error do not include \(missing.joined(separator: ", ")): it was \(seen)"
  }

  private struct Expectation {
    var outcome = ""
    var ruleID = ""
    var minimumMatches = 1
    var selectors: [String] = []
    var milliseconds: Int?
    var allowedErrors: [String] = []
    var requiredErrors: [String] = []

    init(_ json: [UInt8], name: String) throws {
      do {
        try json.withUnsafeBytes { bytes in
          try JSONMembers.forEach(of: bytes) { key, value in
            if key.equals("outcome") { outcome = try string(value) }
            if key.equals("rule_id") { ruleID = try string(value) }
            if key.equals("min_match_count") { minimumMatches = Int(clamping: value.decimal ?? 1) }
            if key.equals("max_runtime_ms") { milliseconds = value.decimal.map { Int(clamping: $0) } }
            if key.equals("error_kind_allowed") { allowedErrors = try JSONMembers.elements(of: value).map(string) }
            if key.equals("error_kind_must_include") { requiredErrors = try JSONMembers.elements(of: value).map(string) }
            if key.equals("matched_selectors_must_include") { selectors = try JSONMembers.elements(of: value).map(string) }
          }
        }
      } catch {
        throw Unreadable(description: "\(name): \(error)")
      }
      let known = ["match", "no_match", "graceful_error", "graceful_error_or_no_match"]
      guard known.contains(outcome) else {
        throw Unreadable(description: "\(name): outcome '\(outcome)' is none of \(known.joined(separator: ", "))")
      }
    }
    private func string(_ json: Bytes) throws -> String {
      var reader = JSONReader(json)
      return try reader.next { token in if case .string(let value) = token { String(decoding: value, as: UTF8.self) } else { "" } } ?? ""
    }
  }

  // MARK: Materialisation

  /// What one channel of the suite's event file carries its payload in. The suite names the channels; which field is a channel's own stands in
  /// the reference engines: a call's text stands for its name and its arguments, a response is also what the model reads.
  private static let channels: [(event: String, fields: [String])] = [
    ("llm_input", ["user_input"]), ("llm_output", ["agent_output"]), ("tool_call", ["tool_name", "tool_args"]),
    ("tool_response", ["tool_response"]), ("multi_agent_message", ["agent_message"]),
  ]
  /// A skill is one document: whatever field of it a rule names is the document.
  private static let documentFields = [
    "user_input", "agent_output", "tool_name", "tool_args", "tool_response", "tool_description", "agent_message", "skill.content",
  ]
  /// Every event has this time, so that runs are alike.
  private static let time = EventTime(year: 2026, month: 1, day: 1, hour: 0, minute: 0, second: 0) ?? .zero

  public static let scanTargets = ["skill", "mcp", "runtime", "both"]

  /// One event after the other, each with the path that it is scanned on. `event` is reused.
  func forEachEvent(_ event: inout Event, _ body: (borrowing Event, ScanPath) -> Void) {
    let content: String
    var given: [(name: String, text: String)] = []
    switch input {
    case .none: content = ""
    // The mark at the head of a document says how it is encoded; it is no part of its text. Inside an event's JSON it is.
    case .text(let text): content = scanTarget == "skill" && text.unicodeScalars.first == "\u{feff}" ? String(text.unicodeScalars.dropFirst()) : text
    case .fields(let fields):
      given = fields
      content = fields.map { "\($0.name): \($0.text)" }.joined(separator: "\n")
    }
    func fill(_ event: inout Event, _ fields: [String], at ordinal: UInt64) {
      event.begin(raw: .none, origin: EventOrigin(source: 0, offset: ordinal, length: 0))
      event.time = ConformanceFixture.time
      for (name, text) in given { ConformanceFixture.set(&event, name, text) }
      for name in fields where !given.contains(where: { $0.name == name }) { ConformanceFixture.set(&event, name, content) }
      if !content.isEmpty, !given.contains(where: { $0.name == "content" }) { ConformanceFixture.set(&event, "content", content) }
    }
    if scanTarget == "skill" || scanTarget == "both" {
      fill(&event, ConformanceFixture.documentFields, at: 0)
      body(event, .skill)
    }
    guard scanTarget != "skill" else { return }
    for (i, channel) in ConformanceFixture.channels.enumerated() {
      fill(&event, channel.fields, at: UInt64(i + 1))
      body(event, scanTarget == "runtime" ? .runtime : .mcp)
    }
  }

  private static func set(_ event: inout Event, _ name: String, _ text: String) {
    var name = name
    var text = text
    name.withUTF8 { name in
      text.withUTF8 { text in
        if let field = Field(name: Bytes(name)), event.set(field, parsing: Bytes(text)) { return }
        event.setExtra(Bytes(name), Bytes(text))
      }
    }
  }
}
