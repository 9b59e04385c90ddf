// What a reference engine makes of the same cases (Tests/Differential/pyatr_cases.py writes it), to print beside ours.
import Primitives
import TypedYAML

public struct RuleTestReference: Sendable {
  public struct Unreadable: Error, CustomStringConvertible {
    public var description: String
  }
  /// By rule and case: whether the reference fired; nil where it did not run the case.
  private var answers: [String: Bool?] = [:]

  /// JSON lines `{"rule_id":.., "case":.., "fired":true|false|null}` from a file of at most 64 MiB.
  public static func load(_ path: String) throws -> RuleTestReference {
    switch readDocumentFile(path, limit: 64 * Limits.documentBytes) {
    case .success(let bytes): return try bytes.withUnsafeBytes { try RuleTestReference($0, name: path) }
    case .failure(let failure): throw Unreadable(description: "\(failure.diagnostic)")
    }
  }

  public init(_ text: Bytes, name: String) throws {
    var at = 0
    var number = 0
    while at < text.count {
      number += 1
      let end = text.index(of: 0x0a, from: at) ?? text.count
      let line = text.slice(at, end)
      at = end + 1
      guard !line.isEmpty else { continue }
      var rule = ""
      var path = ""
      var fired: Bool?
      do {
        try JSONMembers.forEach(of: line) { key, value in
          if key.equals("rule_id") { rule = try RuleTestReference.string(value) }
          if key.equals("case") { path = try RuleTestReference.string(value) }
          if key.equals("fired") { fired = value.equals("true") ? true : value.equals("false") ? false : nil }
        }
      } catch {
        throw Unreadable(description: "\(name):\(number): \(error)")
      }
      guard !rule.isEmpty, !path.isEmpty else { throw Unreadable(description: "\(name):\(number): no rule_id or no case") }
      answers["\(rule) \(path)"] = .some(fired)
    }
  }
  private static func string(_ json: Bytes) throws -> String {
    var reader = JSONReader(json)
    let text: String? = try reader.next { token in if case .string(let value) = token { String(decoding: value, as: UTF8.self) } else { "" } }
    return text ?? ""
  }

  /// nil: the reference has no answer for this case.
  public func fired(_ result: RuleTestReport.Result) -> Bool? { answers["\(result.ruleID) \(result.path)"] ?? nil }
  /// Whether the reference gives what the case expects. A case that it did not run is not passed.
  public func passes(_ result: RuleTestReport.Result) -> Bool { fired(result) == result.expectsMatch }
}
