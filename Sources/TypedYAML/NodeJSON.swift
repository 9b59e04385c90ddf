// A YAML value as JSON. What must stay true: a number in JSON's spelling, true, false and null stay what they are, every other scalar is a
// text; depth is that of the document, which is bounded.
import Primitives

extension Node {
  /// A scalar that JSON can only say as a text: quoted, or no number, true, false or null in JSON's spelling.
  public var isText: Bool {
    guard case .scalar(let scalar) = content else { return false }
    return !scalar.isPlain || !(scalar.isNull || Node.isJSON(scalar.text))
  }

  public func write(to json: inout JSONWriter) {
    switch content {
    case .scalar(let scalar):
      if scalar.isNull { json.null() } else if isText { json.value(scalar.text) } else { json.raw(Array(scalar.text.utf8)) }
    case .list(let items):
      json.beginArray()
      for item in items { item.write(to: &json) }
      json.endArray()
    case .mapping(let entries):
      json.beginObject()
      for entry in entries {
        json.key(text: entry.key)
        entry.value.write(to: &json)
      }
      json.endObject()
    }
  }

  private static func isJSON(_ text: String) -> Bool {
    if text == "true" || text == "false" { return true }
    guard let first = text.utf8.first, first == 0x2d || (0x30...0x39).contains(first) else { return false }
    return Array(text.utf8).withUnsafeBytes { bytes in
      var reader = JSONReader(bytes)
      let isNumber = try? reader.next { token in if case .number(let digits) = token { digits.count == bytes.count } else { false } }
      return isNumber == true
    }
  }
}
