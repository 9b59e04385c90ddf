// Bytes -> documents, by libyaml's events. Hostile input is the normal case: size, depth, nodes and alias expansion are bounded
// while reading, nothing recurses, and one malformed document costs one diagnostic, not the documents beside it.
// A line that begins with "---" always ends a document in YAML, so the stream is cut there first.
import CLibYAML
import Primitives

public enum YAMLParser {
  /// All documents of `bytes`, in order, without empty ones; and at most one problem for each malformed one.
  /// `file` is the name for locations. Lines are counted by "\n" from `firstLine`, columns in bytes.
  public static func parse(_ bytes: Bytes, file: String, firstLine: Int = 1) -> (documents: [Document], problems: [Diagnostic]) {
    guard bytes.count <= Limits.documentBytes else {
      let message = "the file has \(bytes.count) bytes, more than the \(Limits.documentBytes) that are read"
      return ([], [Diagnostic(.error, SourceLocation(file: file), message)])
    }
    if let bad = firstMalformedUTF8(bytes) {
      let (line, column) = position(of: bad, in: bytes)
      let hint = bytes[0] >= 0xfe ? "the file looks like UTF-16; save it as UTF-8" : "save the file as UTF-8"
      return ([], [Diagnostic(.error, SourceLocation(file: file, line: firstLine + line - 1, column: column), "byte is not valid UTF-8", hint: hint)])
    }
    var documents: [Document] = []
    var problems: [Diagnostic] = []
    var budget = Limits.documentNodes
    var line = firstLine
    // libyaml counts a byte-order mark as a column, and then takes the second key for another indentation.
    let mark = bytes.starts(with: "\u{feff}") ? 3 : 0
    var start = mark
    for end in boundaries(bytes.from(mark)).map({ $0 + mark }) {
      var composer = Composer(chunk: bytes.slice(start, end), offset: start, firstLine: line, file: file, budget: budget)
      composer.run(into: &documents, problems: &problems)
      budget = composer.budget
      line += newlines(bytes.slice(start, end))
      start = end
      if problems.count >= Limits.diagnosticsPerFile { break }
    }
    return (documents, problems)
  }

  public static func parse(_ text: String, file: String) -> (documents: [Document], problems: [Diagnostic]) {
    var copy = text
    return copy.withUTF8 { parse(Bytes($0), file: file) }
  }

  /// Ends of the parts of a stream: before each line that begins with "---" (together with the directives before it), and the end.
  static func boundaries(_ bytes: Bytes) -> [Int] {
    var result: [Int] = []
    var at = 0
    var pendingDirective: Int? = nil  // start of a run of directives and comments that belongs to the next document
    var isRunStart = true
    while at < bytes.count {
      let end = bytes.index(of: 0x0a, from: at).map { $0 + 1 } ?? bytes.count
      let line = bytes.slice(at, end)
      let isMarker = line.starts(with: "---") && (line.count == 3 || [0x20, 0x09, 0x0a, 0x0d].contains(line[3]))
      if isMarker {
        let cut = pendingDirective ?? at
        if cut > 0 { result.append(cut) }
        pendingDirective = nil
        isRunStart = false
      } else if line.starts(with: "%"), isRunStart || pendingDirective != nil {
        if pendingDirective == nil { pendingDirective = at }
      } else if line.starts(with: "...") {
        isRunStart = true
        pendingDirective = nil
      } else if !(line.starts(with: "#") || line.trimmed.count == 0 || line.equals("\n")) {
        isRunStart = false
        pendingDirective = nil
      }
      at = end
    }
    result.append(bytes.count)
    return result
  }

  static func firstMalformedUTF8(_ bytes: Bytes) -> Int? {
    var at = 0
    while at < bytes.count {
      if bytes[at] < 0x80 {
        at += 1
        continue
      }
      let length = utf8SequenceLength(bytes, at: at)
      guard length > 0 else { return at }
      at += length
    }
    return nil
  }
  static func newlines(_ bytes: Bytes) -> Int {
    var count = 0
    var at = 0
    while let hit = bytes.index(of: 0x0a, from: at) {
      count += 1
      at = hit + 1
    }
    return count
  }
  /// 1-based line and byte column of an offset.
  static func position(of offset: Int, in bytes: Bytes) -> (line: Int, column: Int) {
    let before = bytes.upTo(offset)
    return (newlines(before) + 1, offset - (before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0) + 1)
  }
}

/// libyaml's marks (lines by any of YAML's five line breaks, columns in characters) -> lines by "\n", columns in bytes.
/// Marks come nearly in document order, so the walk is linear in the document.
private struct MarkReader {
  let bytes: Bytes
  private var offset = 0
  private var markLine = 0
  private var markColumn = 0
  private var line: Int
  private var lineStart = 0
  private let firstLine: Int

  init(_ bytes: Bytes, firstLine: Int) {
    self.bytes = bytes
    self.firstLine = firstLine
    line = firstLine
    restart()
  }
  private mutating func restart() {
    offset = bytes.starts(with: "\u{feff}") ? 3 : 0
    markLine = 0
    markColumn = 0
    line = firstLine
    lineStart = 0
  }
  mutating func read(_ mark: yaml_mark_t) -> (line: Int, column: Int) {
    let wantedLine = Int(clamping: mark.line)
    let wantedColumn = Int(clamping: mark.column)
    if wantedLine < markLine || wantedLine == markLine && wantedColumn < markColumn { restart() }
    while offset < bytes.count, markLine < wantedLine || markLine == wantedLine && markColumn < wantedColumn {
      let byte = bytes[offset]
      if byte >= 0x20, byte < 0x80 {
        markColumn += 1
        offset += 1
        continue
      }
      let length = max(1, utf8SequenceLength(bytes, at: offset))
      let isCRLF = byte == 0x0d && offset + 1 < bytes.count && bytes[offset + 1] == 0x0a
      let isBreak =
        byte == 0x0a || byte == 0x0d && !isCRLF || byte == 0xc2 && bytes.from(offset).starts(with: "\u{85}")
        || byte == 0xe2 && (bytes.from(offset).starts(with: "\u{2028}") || bytes.from(offset).starts(with: "\u{2029}"))
      if isBreak {
        if markLine == wantedLine { break }
        markLine += 1
        markColumn = 0
      } else {
        markColumn += 1
      }
      offset += length
      if byte == 0x0a {
        line += 1
        lineStart = offset
      }
    }
    return (line, offset - lineStart + 1)
  }
}

/// Reads the events of one part of a stream.
private struct Composer {
  let chunk: Bytes
  let offset: Int
  let file: String
  /// Nodes that the file may still have.
  var budget: Int
  private var marks: MarkReader

  init(chunk: Bytes, offset: Int, firstLine: Int, file: String, budget: Int) {
    self.chunk = chunk
    self.offset = offset
    self.file = file
    self.budget = budget
    marks = MarkReader(chunk, firstLine: firstLine)
  }

  private mutating func location(_ mark: yaml_mark_t) -> SourceLocation {
    let (line, column) = marks.read(mark)
    return SourceLocation(file: file, line: line, column: column)
  }

  /// A list or mapping whose end has not been read.
  private struct Open {
    var location: SourceLocation
    var isMapping: Bool
    var anchor: String?
    var items: [Node] = []
    var entries: [Node.Entry] = []
    var keys: Set<String> = []
    var key: (text: String, location: SourceLocation)?
    var nodeCount = 1
    var height = 1
  }
  private struct Anchored {
    var node: Node
    var nodeCount: Int
    var height: Int
  }

  mutating func run(into documents: inout [Document], problems: inout [Diagnostic]) {
    // libyaml asserts that there is an address.
    guard let input = chunk.baseAddress else { return }
    var parser = yaml_parser_t()
    guard yaml_parser_initialize(&parser) == 1 else {
      problems.append(Diagnostic(.error, SourceLocation(file: file), "no memory to read the document"))
      return
    }
    defer { yaml_parser_delete(&parser) }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING)
    yaml_parser_set_input_string(&parser, input.assumingMemoryBound(to: UInt8.self), chunk.count)

    var stack: [Open] = []
    var anchors: [String: Anchored] = [:]
    var root: Node?
    var isTaken = false
    while true {
      var event = yaml_event_t()
      guard yaml_parser_parse(&parser, &event) == 1 else {
        problems.append(syntaxError(parser))
        return
      }
      defer { yaml_event_delete(&event) }
      var finished: (node: Node, nodeCount: Int, height: Int)?
      switch event.type {
      case YAML_STREAM_END_EVENT: return
      case YAML_DOCUMENT_START_EVENT:
        stack = []
        anchors = [:]
        root = nil
      case YAML_DOCUMENT_END_EVENT:
        // An empty document (only comments) is no document.
        if let root, !root.isNull {
          documents.append(Document(root: root, range: isTaken ? offset..<offset : offset..<offset + chunk.count))
          isTaken = true
        }
      case YAML_ALIAS_EVENT:
        let place = location(event.start_mark)
        let name = string(event.data.alias.anchor)
        guard let target = anchors[name] else {
          problems.append(Diagnostic(.error, place, "alias '*\(shown(name))' has no anchor before it"))
          return
        }
        if !spend(target.nodeCount, place, &problems) { return }
        if !fits(stack.count + target.height, place, &problems) { return }
        finished = (target.node, target.nodeCount, target.height)
      case YAML_SCALAR_EVENT:
        let place = location(event.start_mark)
        if !spend(1, place, &problems) { return }
        if !fits(stack.count, place, &problems) { return }
        let node = scalar(event, place)
        if let anchor = event.data.scalar.anchor { anchors[string(anchor)] = Anchored(node: node, nodeCount: 1, height: 0) }
        finished = (node, 1, 0)
      case YAML_SEQUENCE_START_EVENT, YAML_MAPPING_START_EVENT:
        let place = location(event.start_mark)
        let isMapping = event.type == YAML_MAPPING_START_EVENT
        if let top = stack.last, top.isMapping, top.key == nil {
          problems.append(Diagnostic(.error, place, "a key must be a text, not \(isMapping ? "a mapping" : "a list")"))
          return
        }
        if !spend(1, place, &problems) { return }
        if !fits(stack.count + 1, place, &problems) { return }
        let anchor = isMapping ? event.data.mapping_start.anchor : event.data.sequence_start.anchor
        stack.append(Open(location: place, isMapping: isMapping, anchor: anchor.map(string)))
      case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT:
        guard let open = stack.popLast() else { return }
        let node = Node(open.isMapping ? .mapping(open.entries) : .list(open.items), open.location)
        if let anchor = open.anchor { anchors[anchor] = Anchored(node: node, nodeCount: open.nodeCount, height: open.height) }
        finished = (node, open.nodeCount, open.height)
      default: break
      }

      guard let finished else { continue }
      guard var top = stack.popLast() else {
        root = finished.node
        continue
      }
      top.nodeCount += finished.nodeCount
      top.height = max(top.height, finished.height + 1)
      if !top.isMapping {
        top.items.append(finished.node)
      } else if let key = top.key {
        top.entries.append(Node.Entry(key: key.text, keyLocation: key.location, value: finished.node))
        top.key = nil
      } else {
        let place = location(event.start_mark)
        guard case .scalar(let scalar) = finished.node.content else {
          problems.append(Diagnostic(.error, place, "a key must be a text"))
          return
        }
        if scalar.isPlain, scalar.text == "<<" {
          problems.append(Diagnostic(.error, place, "merge keys ('<<') are not supported", hint: "repeat the keys"))
          return
        }
        guard top.keys.insert(scalar.text).inserted else {
          let first = top.entries.first { $0.key == scalar.text }
          let message = "duplicate key '\(shown(scalar.text))'" + (first.map { ", first at line \($0.keyLocation.line)" } ?? "")
          problems.append(Diagnostic(.error, place, message))
          return
        }
        top.key = (scalar.text, place)
      }
      stack.append(top)
    }
  }

  private mutating func spend(_ count: Int, _ place: SourceLocation, _ problems: inout [Diagnostic]) -> Bool {
    guard count <= budget else {
      problems.append(Diagnostic(.error, place, "more than \(Limits.documentNodes) values in one file, aliases expanded"))
      budget = 0
      return false
    }
    budget -= count
    return true
  }
  private func fits(_ depth: Int, _ place: SourceLocation, _ problems: inout [Diagnostic]) -> Bool {
    guard depth > Limits.documentDepth else { return true }
    problems.append(Diagnostic(.error, place, "nested deeper than \(Limits.documentDepth) levels"))
    return false
  }

  private func scalar(_ event: yaml_event_t, _ place: SourceLocation) -> Node {
    let data = event.data.scalar
    let bytes = Bytes(start: data.value, count: Int(clamping: data.length))
    let isPlain = data.style == YAML_PLAIN_SCALAR_STYLE
    let isQuoted = data.style == YAML_SINGLE_QUOTED_SCALAR_STYLE || data.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE
    let isOneLine = event.start_mark.line == event.end_mark.line
    // A quoted text without escapes is as wide as its characters and two quotes.
    let width = Int(clamping: event.end_mark.column) - Int(clamping: event.start_mark.column)
    let text = bytes.string
    let isVerbatim = isOneLine && (isPlain || isQuoted && width == text.unicodeScalars.count + 2)
    return Node(.scalar(Node.Scalar(text: text, isPlain: isPlain, isVerbatim: isVerbatim)), place)
  }
  private func string(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String {
    pointer.map { String(cString: $0) } ?? ""
  }

  private mutating func syntaxError(_ parser: yaml_parser_t) -> Diagnostic {
    let problem = parser.problem.map { String(cString: $0) } ?? "malformed YAML"
    var place: SourceLocation
    if parser.error == YAML_READER_ERROR {
      let (line, column) = YAMLParser.position(of: Int(clamping: parser.problem_offset), in: chunk)
      place = location(yaml_mark_t())
      place = SourceLocation(file: file, line: place.line + line - 1, column: column)
      return Diagnostic(.error, place, "\(problem) (U+\(hexadecimal(Int(parser.problem_value))))")
    }
    place = location(parser.problem_mark)
    var message = problem
    if let context = parser.context {
      let start = location(parser.context_mark)
      message = "\(String(cString: context)) at line \(start.line): \(problem)"
    }
    let isTab = column(place, isTabIn: parser.problem_mark)
    return Diagnostic(.error, place, message, hint: isTab ? "indent with spaces: YAML does not take tabs" : "")
  }
  private mutating func column(_ place: SourceLocation, isTabIn mark: yaml_mark_t) -> Bool {
    // The line again, to look at the character itself.
    var line = location(yaml_mark_t()).line
    var at = 0
    while line < place.line, let next = chunk.index(of: 0x0a, from: at) {
      at = next + 1
      line += 1
    }
    let index = at + place.column - 1
    return index < chunk.count && chunk[index] == 0x09
  }
  private func hexadecimal(_ value: Int) -> String {
    let text = String(max(0, value), radix: 16, uppercase: true)
    return String(repeating: "0", count: max(0, 4 - text.count)) + text
  }
}

/// A text from a file, cut and without control characters, for a message.
public func shown(_ text: String) -> String {
  var out = ""
  for (i, scalar) in text.unicodeScalars.enumerated() {
    if i >= 60 { return out + "…" }
    out.unicodeScalars.append(scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) ? "\u{fffd}" : scalar)
  }
  return out
}
