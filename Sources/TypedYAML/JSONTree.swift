// JSON -> the tree that YAML is read into, so that one reader of rules serves both. Texts are texts, numbers and true/false are
// plain scalars as they stand, null is no value. Linear time; nesting is bounded by `Limits.jsonDepth`, values by the caller.
import Primitives

public enum JSONTree {
  /// The document, or where it is not one, why. `file` and `firstLine` name its places; more than `limit` values are refused.
  public static func parse(
    _ bytes: Bytes, file: String, firstLine: Int = 1, limit: Int = Limits.documentNodes
  ) -> Result<Node, DocumentFileError> {
    var builder = Builder(bytes: bytes, file: file, line: firstLine, limit: limit)
    do {
      var reader = JSONReader(bytes)
      while try step(&reader, &builder) {}
      guard let root = builder.root else { throw JSONError(offset: bytes.count, message: "the document is empty") }
      return .success(root)
    } catch {
      let problem = error as? JSONError ?? JSONError(offset: 0, message: "\(error)")
      let (line, column) = YAMLParser.position(of: min(problem.offset, bytes.count), in: bytes)
      return .failure(
        DocumentFileError(
          diagnostic: Diagnostic(.error, SourceLocation(file: file, line: firstLine + line - 1, column: column), problem.message)))
    }
  }

  private static func step(_ reader: inout JSONReader, _ builder: inout Builder) throws -> Bool {
    let offset = reader.position
    let taken: Void? = try reader.next { try builder.take($0, at: offset) }
    return taken != nil
  }

  private struct Builder {
    let bytes: Bytes
    let file: String
    var line: Int
    let limit: Int
    var counted = 0
    var lineStart = 0
    var scanned = 0
    var root: Node?
    var open: [Open] = []
    struct Open {
      var location: SourceLocation
      var isMapping: Bool
      var items: [Node] = []
      var entries: [Node.Entry] = []
      var keys: Set<String> = []
      var key: (text: String, location: SourceLocation)?
    }

    init(bytes: Bytes, file: String, line: Int, limit: Int) {
      self.bytes = bytes
      self.file = file
      self.line = line
      self.limit = limit
    }

    /// The token begins after the space, commas and colons behind `offset`. Offsets only grow, so the walk is linear.
    private mutating func location(after offset: Int) -> SourceLocation {
      var at = max(offset, scanned)
      while at < bytes.count, [0x20, 0x09, 0x0a, 0x0d, 0x2c, 0x3a].contains(bytes[at]) { at += 1 }
      while scanned < at {
        if bytes[scanned] == 0x0a {
          line += 1
          lineStart = scanned + 1
        }
        scanned += 1
      }
      return SourceLocation(file: file, line: line, column: at - lineStart + 1)
    }

    mutating func take(_ token: JSONToken, at offset: Int) throws {
      counted += 1
      guard counted <= limit else { throw JSONError(offset: offset, message: "more than \(limit) values") }
      let place = location(after: offset)
      switch token {
      case .beginObject, .beginArray:
        if case .beginObject = token {
          open.append(Open(location: place, isMapping: true))
        } else {
          open.append(Open(location: place, isMapping: false))
        }
      case .endObject, .endArray:
        guard let last = open.popLast() else { return }
        close(Node(last.isMapping ? .mapping(last.entries) : .list(last.items), last.location))
      case .key(let name):
        let text = name.string
        guard !open.isEmpty, open[open.count - 1].keys.insert(text).inserted else {
          throw JSONError(offset: offset, message: "duplicate key '\(shown(text))'")
        }
        open[open.count - 1].key = (text, place)
      case .string(let value): close(Node(.scalar(Node.Scalar(text: value.string, isPlain: false, isVerbatim: false)), place))
      case .number(let value): close(Node(.scalar(Node.Scalar(text: value.string, isPlain: true, isVerbatim: false)), place))
      case .bool(let flag): close(Node(.scalar(Node.Scalar(text: flag ? "true" : "false", isPlain: true, isVerbatim: false)), place))
      case .null: close(Node(.scalar(Node.Scalar(text: "null", isPlain: true, isVerbatim: false)), place))
      }
    }
    private mutating func close(_ node: Node) {
      guard !open.isEmpty else {
        root = node
        return
      }
      if let key = open[open.count - 1].key {
        open[open.count - 1].entries.append(Node.Entry(key: key.text, keyLocation: key.location, value: node))
        open[open.count - 1].key = nil
      } else {
        open[open.count - 1].items.append(node)
      }
    }
  }
}
