// The canonical encoding of an event: one flat JSON object with dotted keys, fields in table order, then extra fields in the
// order they were met. The reader takes the same form, nested objects included ({"source":{"ip":..}} is source.ip).
import Primitives

extension Event {
  /// Appends the fields as members of an object that the caller has begun. `@timestamp` comes first.
  public func writeFields(to json: inout JSONWriter) {
    json.key("@timestamp")
    json.value(time)
    for field in Field.allCases where has(field) {
      json.key(field.name)
      if let text = text(field) {
        // A list from elsewhere need not be one.
        if field.isList, (try? JSONMembers.elements(of: text)) != nil { json.value(json: text) } else { json.value(text) }
      } else if let integer = integer(field) {
        json.value(integer)
      } else if let address = address(field) {
        json.value(address)
      }
    }
    forEachExtra { name, value in
      json.key(text: name)
      json.value(value)
    }
  }

  /// Sets fields from a JSON object of the form above. Names outside the table become extra fields; values that do not fit
  /// their field's type become extra fields too, so nothing is lost. Arrays, objects inside arrays, and objects that nest deeper than
  /// `Limits.jsonDepth` are kept as their JSON text.
  /// `@timestamp` (RFC 3339) sets the time. An object in which a trace may stand keeps its JSON text as well, whatever is in it: one that is
  /// malformed must not look like one that is not there. Throws JSONError where the text is not one JSON object.
  public mutating func setFields(fromJSON bytes: Bytes) throws {
    var reader = JSONReader(bytes)
    reader.skipsDeepValues = true
    var path: [UInt8] = []
    var marks: [Int] = []  // length of `path` before each open object's key
    var pendingMark = 0
    var isFirst = true
    var traceStart = -1  // of the object of the event's own that is open, if a trace may stand in it
    while true {
      let before = reader.position
      // What the token means is decided inside; arrays are skipped outside, where the reader can be moved.
      enum Step { case go, null, array, traceBegins, traceEnds }
      let step: Step? = try reader.next { token -> Step in
        if isFirst {
          guard case .beginObject = token else { throw JSONError(offset: before, message: "expected a JSON object") }
          isFirst = false
          marks.append(0)
          return .go
        }
        switch token {
        case .beginObject:
          marks.append(pendingMark)
          if marks.count == 2, Event.isTraceName(path) { return .traceBegins }
        case .endObject:
          if marks.count == 2, traceStart >= 0 { return .traceEnds }
          path.removeLast(path.count - marks.removeLast())
        case .key(let key):
          pendingMark = path.count
          if !path.isEmpty { path.append(0x2e) }
          path.append(key)
        case .string(let value): setNamed(&path, value, mark: pendingMark)
        case .number(let value): setNamed(&path, value, mark: pendingMark)
        case .bool(let value): setNamed(&path, Bytes(value ? "true" : "false"), mark: pendingMark)
        case .null: return .null
        case .beginArray: return .array
        case .endArray: break
        }
        return .go
      }
      guard let step else { return }
      if step == .traceBegins {
        allowLargeTexts()  // it is here twice
        traceStart = reader.position - 1
      }
      if step == .traceEnds {
        setNamed(&path, bytes.slice(traceStart, reader.position), mark: marks.removeLast())
        traceStart = -1
      }
      if step == .null {
        if let deep = reader.skipped { setNamed(&path, deep, mark: pendingMark) } else { path.removeLast(path.count - pendingMark) }
      }
      if step == .array { setNamed(&path, try reader.arrayText(), mark: pendingMark) }
    }
  }

  private static func isTraceName(_ path: [UInt8]) -> Bool {
    path.withUnsafeBytes { name in name.equals("trace") || name.equals("spans") || name.equals("resourceSpans") }
  }

  private mutating func setNamed(_ path: inout [UInt8], _ value: Bytes, mark: Int) {
    defer { path.removeLast(path.count - mark) }
    // Each member of an object pays for the object's own name again.
    guard mark <= Limits.fieldNameBytes else { return markTruncated() }
    path.withUnsafeBytes { name in
      if name.equals("@timestamp"), let stamp = EventTime(rfc3339: value) {
        time = stamp
      } else if let field = Field(name: name), set(field, parsing: value) {
      } else {
        setExtra(name, value)
      }
    }
  }
}
