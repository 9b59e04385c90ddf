// What kept a rule from being decided on a fixture, in the suite's words (`error_kind_allowed`, `error_kind_must_include` of expect.json).
// The suite has no closed list of kinds: these are the words that its fixtures use.

/// A graceful error (SUITE.md): the engine could not evaluate a rule, and said so.
public struct ConformanceError: Sendable, Hashable {
  /// What the engine said; no text of the input.
  public var message: String
  public var kinds: [String]

  init(_ message: String) {
    self.message = message
    kinds = ConformanceError.table.first { entry in entry.words.contains { message.contains($0) } }?.kinds ?? ["schema_validation"]
  }
  private init(message: String, kinds: [String]) {
    self.message = message
    self.kinds = kinds
  }
  /// The input was longer than an event holds.
  static let cut = ConformanceError(message: "the input is longer than an event holds", kinds: ["parse_error", "size_limit"])

  /// By words of the message, the first that fits. Everything else that an engine can have against an input is its shape.
  private static let table: [(words: [String], kinds: [String])] = [
    (["nested", "deep"], ["depth_limit", "parse_error", "json_error"]), (["not JSON", "is empty"], ["parse_error", "json_error"]),
    (["more than the"], ["parse_error", "size_limit"]), (["a limit was hit"], ["regex_timeout", "timeout"]),
  ]
}
