// Where the texts of a condition stand in the rule's file: the loader keeps the place of a condition, lint points at the pattern in it.
// Files are read again only for rules that have something to say; a file that cannot be read any more leaves the condition's own place.
import Primitives
import RuleLanguage
import TypedYAML

struct PatternPlaces {
  /// The bytes of a file, as the loader saw them; nil: the place of the condition has to do.
  private let read: (String) -> [UInt8]?
  /// Of the file read last: lint goes through the rules file by file.
  private var file: String?
  private var texts: [SourceLocation: [Text]] = [:]  // only looked up

  struct Text {
    var source: String
    var location: SourceLocation
    /// Column of byte 0 of the text, where byte n of the text is byte n of the line.
    var verbatimColumn: Int?
  }

  init(read: @escaping (String) -> [UInt8]?) { self.read = read }

  /// The texts of the condition (its patterns, needles or values) as they stand in the file; empty where they cannot be found.
  mutating func texts(of condition: Condition) -> [Text] {
    if file != condition.location.file {
      file = condition.location.file
      texts.removeAll()
      if let bytes = read(condition.location.file) {
        for document in bytes.withUnsafeBytes({ YAMLParser.parse($0, file: condition.location.file) }).documents { collect(document.root, depth: 0) }
      }
    }
    return texts[condition.location] ?? []
  }

  /// The place of byte `offset` of text `index`, as near as it is known.
  mutating func location(_ condition: Condition, text index: Int, offset: Int = 0) -> SourceLocation {
    let all = texts(of: condition)
    guard all.indices.contains(index) else { return condition.location }
    var location = all[index].location
    if let column = all[index].verbatimColumn { location.column = column + offset }
    return location
  }

  private static let keys = ["patterns", "value", "regex", "contains", "starts_with"]

  private mutating func collect(_ node: Node, depth: Int) {
    switch node.content {
    case .scalar: break
    case .list(let items): for item in items { collect(item, depth: depth + 1) }
    case .mapping(let entries):
      for entry in entries {
        if PatternPlaces.keys.contains(entry.key) {
          let nodes = entry.value.list ?? [entry.value]
          let found = nodes.compactMap(PatternPlaces.text)
          if found.count == nodes.count {
            texts[node.location] = found
            texts[entry.keyLocation] = found  // a predicate of a filter is placed at its key
          }
        }
        collect(entry.value, depth: depth + 1)
      }
    }
  }

  private static func text(_ node: Node) -> Text? {
    guard case .scalar(let scalar) = node.content, let text = node.text else { return nil }
    return Text(source: text, location: node.location, verbatimColumn: scalar.isVerbatim ? node.location.column + scalar.quoteWidth : nil)
  }
}
