// `tags.scan_target` (SPEC.md 5.3): which of the two ways of scanning a rule belongs to. A rule for skill documents must not be evaluated
// on agent events, and the reverse. The corpus also names the part of an event that a rule looks at (user_input, tool_response, ...): such
// a rule belongs to events. What nobody knows, and `both`, belong to every way, so that a new word never switches a rule off.

/// What an input says it is.
public enum ScanPath: String, Sendable, CaseIterable {
  /// A skill document.
  case skill
  /// An agent event: what goes over MCP, and what an agent does at run time. The standard tells the two apart by name only: its own fixtures
  /// present both in the same way.
  case mcp, runtime
}

extension Rule {
  /// Whether the rule is meant for inputs of this kind.
  public func isMeant(for path: ScanPath) -> Bool {
    guard let target = ScanTargets.paths[scanTarget] else { return true }
    return (path == .skill) == (target == .skill)
  }
}

enum ScanTargets {
  /// Words that name one way; `both` and words that are not here name all.
  static let paths: [String: ScanPath] = [
    "skill": .skill, "skill_md": .skill, "mcp": .mcp, "runtime": .runtime, "llm": .runtime, "llm_io": .runtime, "user_input": .runtime,
    "agent_output": .runtime, "tool_args": .mcp, "tool_call": .mcp, "tool_response": .mcp, "tool_output": .mcp, "tool_description": .mcp,
  ]
  static let words = paths.keys.sorted() + ["both"]
}
