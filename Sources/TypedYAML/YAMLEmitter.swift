// A tree of one document -> YAML, by libyaml's emitter: quoting is its business, the choice of style is ours.
// Invariant: what is written reads back as the same tree (texts, lists, keys and their order; "no value" stays no value), or nothing
// is written. The bytes depend on the tree alone.
import CLibYAML
import Primitives

extension Node {
  /// A text that stays a text for every reader: `true`, `12` and `2026-01-05` are written in quotes.
  public static func text(_ text: String) -> Node { Node(.scalar(Scalar(text: text, isPlain: false, isVerbatim: false)), .none) }
  /// A number, true, false or null, as it stands.
  public static func plain(_ text: String) -> Node { Node(.scalar(Scalar(text: text, isPlain: true, isVerbatim: false)), .none) }
  public static func list(_ items: [Node]) -> Node { Node(.list(items), .none) }
  public static func texts(_ items: [String]) -> Node { .list(items.map(Node.text)) }
  public static func mapping(_ entries: [(String, Node)]) -> Node {
    Node(.mapping(entries.map { Entry(key: $0.0, keyLocation: .none, value: $0.1) }), .none)
  }

  /// Equal in what it says: texts, lists, keys in their order, and which values are none. Places and quotes do not count.
  public func saysTheSame(as other: Node) -> Bool {
    switch (content, other.content) {
    case (.scalar(let a), .scalar(let b)): a.isNull ? b.isNull : !b.isNull && a.text == b.text && a.text.utf8.elementsEqual(b.text.utf8)
    case (.list(let a), .list(let b)): a.count == b.count && zip(a, b).allSatisfy { $0.saysTheSame(as: $1) }
    case (.mapping(let a), .mapping(let b)):
      a.count == b.count && zip(a, b).allSatisfy { $0.key.utf8.elementsEqual($1.key.utf8) && $0.value.saysTheSame(as: $1.value) }
    default: false
    }
  }
}

extension SourceLocation {
  /// Of a value that was made, not read.
  public static var none: SourceLocation { SourceLocation(file: "") }
}

public enum YAMLEmitter {
  /// The tree as one block-style document that ends with a newline. nil where YAML cannot say it (a character that YAML excludes, or
  /// more than the limits of reading allow).
  public static func emit(_ root: Node) -> [UInt8]? {
    for isCautious in [false, true] {
      guard let bytes = write(root, isCautious: isCautious) else { continue }
      let back = bytes.withUnsafeBytes { YAMLParser.parse($0, file: "") }
      if back.problems.isEmpty, back.documents.count == 1, back.documents[0].root.saysTheSame(as: root) { return bytes }
    }
    return nil
  }

  private final class Sink {
    var bytes: [UInt8] = []
  }

  /// `isCautious`: every text in double quotes, which can say every character.
  private static func write(_ root: Node, isCautious: Bool) -> [UInt8]? {
    var emitter = yaml_emitter_t()
    guard yaml_emitter_initialize(&emitter) == 1 else { return nil }
    defer { yaml_emitter_delete(&emitter) }
    let sink = Sink()
    return withExtendedLifetime(sink) {
      yaml_emitter_set_output(
        &emitter,
        { context, buffer, count in
          guard let context, let buffer else { return 0 }
          Unmanaged<Sink>.fromOpaque(context).takeUnretainedValue().bytes.append(contentsOf: UnsafeBufferPointer(start: buffer, count: count))
          return 1
        }, Unmanaged.passUnretained(sink).toOpaque())
      yaml_emitter_set_unicode(&emitter, 1)
      yaml_emitter_set_width(&emitter, -1)
      var event = yaml_event_t()
      guard yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) == 1, yaml_emitter_emit(&emitter, &event) == 1,
        yaml_document_start_event_initialize(&event, nil, nil, nil, 1) == 1, yaml_emitter_emit(&emitter, &event) == 1,
        put(root, &emitter, isCautious),
        yaml_document_end_event_initialize(&event, 1) == 1, yaml_emitter_emit(&emitter, &event) == 1,
        yaml_stream_end_event_initialize(&event) == 1, yaml_emitter_emit(&emitter, &event) == 1, yaml_emitter_flush(&emitter) == 1
      else { return nil }
      return sink.bytes
    }
  }

  /// Depth is bounded by that of the tree, which readers bound (`Limits.documentDepth`).
  private static func put(_ node: Node, _ emitter: inout yaml_emitter_t, _ isCautious: Bool) -> Bool {
    var event = yaml_event_t()
    switch node.content {
    case .scalar(let scalar):
      if scalar.isNull { return put("null", YAML_PLAIN_SCALAR_STYLE, &emitter) }
      return put(scalar.text, style(scalar, isCautious), &emitter)
    case .list(let items):
      let isShort = items.count <= 8 && items.allSatisfy { ($0.text?.utf8.count ?? .max) <= 24 }
      let style = items.isEmpty || isShort ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE
      guard yaml_sequence_start_event_initialize(&event, nil, nil, 1, style) == 1, yaml_emitter_emit(&emitter, &event) == 1 else { return false }
      for item in items { guard put(item, &emitter, isCautious) else { return false } }
      return yaml_sequence_end_event_initialize(&event) == 1 && yaml_emitter_emit(&emitter, &event) == 1
    case .mapping(let entries):
      let style = entries.isEmpty ? YAML_FLOW_MAPPING_STYLE : YAML_BLOCK_MAPPING_STYLE
      guard yaml_mapping_start_event_initialize(&event, nil, nil, 1, style) == 1, yaml_emitter_emit(&emitter, &event) == 1 else { return false }
      for entry in entries {
        let key = Node.Scalar(text: entry.key, isPlain: false, isVerbatim: false)
        guard put(entry.key, self.style(key, isCautious), &emitter), put(entry.value, &emitter, isCautious) else { return false }
      }
      return yaml_mapping_end_event_initialize(&event) == 1 && yaml_emitter_emit(&emitter, &event) == 1
    }
  }
  private static func put(_ text: String, _ style: yaml_scalar_style_t, _ emitter: inout yaml_emitter_t) -> Bool {
    var copy = text
    return copy.withUTF8 { bytes in
      var event = yaml_event_t()
      // libyaml wants an address also for no bytes.
      var none: UInt8 = 0
      return withUnsafePointer(to: &none) { empty in
        yaml_scalar_event_initialize(&event, nil, nil, bytes.baseAddress ?? empty, Int32(clamping: bytes.count), 1, 1, style) == 1
          && yaml_emitter_emit(&emitter, &event) == 1
      }
    }
  }

  private static func style(_ scalar: Node.Scalar, _ isCautious: Bool) -> yaml_scalar_style_t {
    if isCautious { return YAML_DOUBLE_QUOTED_SCALAR_STYLE }
    var hasBreak = false
    for unit in scalar.text.unicodeScalars {
      switch unit.value {
      case 0x0a: hasBreak = true
      case 0x20..<0x7f, 0xa0...0x2027, 0x202a...0xfefe, 0xff00...: break
      default: return YAML_DOUBLE_QUOTED_SCALAR_STYLE
      }
    }
    if hasBreak { return YAML_LITERAL_SCALAR_STYLE }
    return scalar.isPlain || isWord(scalar.text) ? YAML_PLAIN_SCALAR_STYLE : YAML_SINGLE_QUOTED_SCALAR_STYLE
  }

  /// A text that no reader of YAML 1.1 or 1.2 takes for a number, a date, a truth value or nothing.
  private static func isWord(_ text: String) -> Bool {
    guard let first = text.utf8.first, first | 0x20 >= 0x61, first | 0x20 <= 0x7a else { return false }
    return !["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(text.lowercased())
  }
}
