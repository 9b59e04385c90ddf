// The tree of one YAML document: only text, lists and mappings, each with its place in the file. Nothing is typed here:
// `yes`, `1:30` and `2026-01-05` stay what the author wrote, and the reader of a key says what it wants (see Section.swift).
// Invariants: nesting is at most `Limits.documentDepth`, nodes (aliases expanded) at most `Limits.documentNodes`, keys of one
// mapping are distinct texts.
import Primitives

/// One value of a document.
public struct Node: Sendable {
  public indirect enum Content: Sendable {
    case scalar(Scalar)
    case list([Node])
    case mapping([Entry])
  }
  public struct Scalar: Sendable {
    public var text: String
    /// Unquoted: only then may `null`, `~` or nothing stand for "no value".
    public var isPlain: Bool
    /// On one line and without escapes, so that byte n of `text` is byte n of the line, `quoteWidth` behind the node's column.
    public var isVerbatim: Bool
    public var quoteWidth: Int { isPlain ? 0 : 1 }
    public var isNull: Bool { isPlain && (text.isEmpty || text == "~" || text == "null" || text == "Null" || text == "NULL") }
    public init(text: String, isPlain: Bool, isVerbatim: Bool) {
      self.text = text
      self.isPlain = isPlain
      self.isVerbatim = isVerbatim
    }
  }
  public struct Entry: Sendable {
    public var key: String
    public var keyLocation: SourceLocation
    public var value: Node
    public init(key: String, keyLocation: SourceLocation, value: Node) {
      self.key = key
      self.keyLocation = keyLocation
      self.value = value
    }
  }
  public var content: Content
  /// The first byte of the value; for an alias, of the anchored value.
  public var location: SourceLocation
  public init(_ content: Content, _ location: SourceLocation) {
    self.content = content
    self.location = location
  }

  /// "a text", "a list", "a mapping", "no value": for messages.
  public var kindName: String {
    switch content {
    case .scalar(let scalar): scalar.isNull ? "no value" : "a text"
    case .list: "a list"
    case .mapping: "a mapping"
    }
  }
  public var isNull: Bool { if case .scalar(let scalar) = content { scalar.isNull } else { false } }
  /// The text of a scalar that is not null.
  public var text: String? { if case .scalar(let scalar) = content, !scalar.isNull { scalar.text } else { nil } }
  public var list: [Node]? { if case .list(let items) = content { items } else { nil } }
  public var entries: [Entry]? { if case .mapping(let entries) = content { entries } else { nil } }
  public subscript(key: String) -> Node? {
    guard case .mapping(let entries) = content else { return nil }
    for entry in entries where entry.key == key { return entry.value }
    return nil
  }
}

/// One document of a stream.
public struct Document: Sendable {
  public var root: Node
  /// Where its bytes lie in the file, markers and comments included.
  public var range: Range<Int>
  public init(root: Node, range: Range<Int>) {
    self.root = root
    self.range = range
  }
}
