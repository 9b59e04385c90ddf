// The JSON text of a trace -> spans in order. OpenInference and OTel GenAI exports differ in where names, times and attributes stand;
// here they become one form. Read from: {"spans":[..]}, {"trace":{"spans":[..]}}, a list of spans, OTLP/JSON {"resourceSpans":[..]}.
// What must stay true: reading is total, linear and bounded (Limits.trace...); a document that is no trace is an error that says why.
// Order: by start time where every span of a trace has one (equal times: as written), else as written.
import Primitives
import RuleLanguage

/// A JSON value. Numbers keep their text and their canonical form; members keep their order, and the last of equal names counts.
enum TraceValue: Sendable {
  case scalar(TraceDetection.Literal, text: String)
  case list([TraceValue])
  case object([(key: String, value: TraceValue)])

  subscript(_ key: String) -> TraceValue? {
    switch self {
    case .object(let members): return members.last { $0.key.hasSameBytes(as: key) }?.value
    case .list(let items):
      guard let index = Int(key), items.indices.contains(index), "\(index)" == key else { return nil }
      return items[index]
    case .scalar: return nil
    }
  }
  /// The text of a string or a number.
  var text: String? {
    guard case .scalar(let literal, let text) = self else { return nil }
    switch literal {
    case .text, .number: return text
    case .null, .bool: return nil
    }
  }

  /// `path` with dots: a member of that very name, else the longest leading part that is a member's name, and on from there.
  func attribute(_ path: String) -> TraceValue? {
    if let exact = self[path] { return exact }
    let parts = path.utf8.split(separator: 0x2e).map { String(decoding: $0, as: UTF8.self) }
    return attribute(parts[...])
  }
  private func attribute(_ parts: ArraySlice<String>) -> TraceValue? {
    if parts.isEmpty { return self }
    var count = parts.count
    while count > 0 {
      if let head = self[parts.prefix(count).joined(separator: ".")] { return head.attribute(parts.dropFirst(count)) }
      count -= 1
    }
    return nil
  }

  /// As text, for regular expressions: scalars as JavaScript writes them, the rest as JSON.
  var stringified: String {
    if case .scalar(_, let text) = self { return text }
    var out = ""
    write(to: &out)
    return out
  }
  private func write(to out: inout String) {
    switch self {
    case .scalar(.text(let text), _):
      var json: [UInt8] = []
      Array(text.utf8).withUnsafeBytes { JSONWriter.appendQuoted($0, to: &json) }
      out += String(decoding: json, as: UTF8.self)
    case .scalar(_, let text): out += text
    case .list(let items):
      out += "["
      for (i, item) in items.enumerated() {
        if i > 0 { out += "," }
        item.write(to: &out)
      }
      out += "]"
    case .object(let members):
      out += "{"
      for (i, member) in members.enumerated() {
        if i > 0 { out += "," }
        TraceValue.scalar(.text(member.key), text: member.key).write(to: &out)
        out += ":"
        member.value.write(to: &out)
      }
      out += "}"
    }
  }

  /// The same bytes for equal values, and only for them; members of objects in the order in which they are written.
  var identity: [UInt8] {
    var out: [UInt8] = []
    append(identityTo: &out)
    return out
  }
  private func append(identityTo out: inout [UInt8]) {
    // What it is, how long, and that.
    func begin(_ kind: UInt8, _ count: Int) {
      out.append(kind)
      out.append(decimal: UInt64(count), minimumDigits: 1)
      out.append(0x3a)
    }
    func put(_ kind: UInt8, _ text: String) {
      begin(kind, text.utf8.count)
      out += text.utf8
    }
    switch self {
    case .scalar(.null, _): begin(0x30, 0)
    case .scalar(.bool(let flag), _): begin(0x3f, flag ? 1 : 0)
    case .scalar(.number(let text), _): put(0x23, text)
    case .scalar(.text(let text), _): put(0x22, text)
    case .list(let items):
      begin(0x5b, items.count)
      for item in items { item.append(identityTo: &out) }
    case .object(let members):
      begin(0x7b, members.count)
      for member in members {
        put(0x22, member.key)
        member.value.append(identityTo: &out)
      }
    }
  }
  func equals(_ other: TraceValue) -> Bool { identity == other.identity }
}

extension String {
  /// The same code points: `==` also takes canonically equivalent texts as equal.
  func hasSameBytes(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}

struct TraceSpan {
  /// As written, or "#n" by its place; for people, so cut.
  var id: String
  /// OpenInference's word (TOOL, AGENT, LLM, ...).
  var kind: String?
  /// Nanoseconds.
  var start: Int64?
  var traceID: String?
  /// An object.
  var attributes: TraceValue
}

struct TraceError: Error {
  var message: String
}

enum TraceDocument {
  /// Traces in the order of their first span, each with its spans in order.
  static func read(_ bytes: Bytes) throws(TraceError) -> [[TraceSpan]] {
    guard bytes.count <= Limits.traceBytes else {
      throw TraceError(message: "the trace has \(bytes.count) bytes, more than the \(Limits.traceBytes) that are read")
    }
    let document = try value(bytes)
    let written = try spans(document)
    guard written.count <= Limits.traceSpans else {
      throw TraceError(message: "the trace has \(written.count) spans, more than the \(Limits.traceSpans) that are read")
    }
    return try grouped(written)
  }

  /// Spans as they are written, wherever the document has some: none hide others.
  private static func spans(_ document: TraceValue) throws(TraceError) -> [TraceValue] {
    if case .list(let items) = document { return items }
    guard case .object = document else { throw TraceError(message: "the trace is not a JSON object") }
    var found: [TraceValue] = []
    var isTrace = false
    for key in ["resourceSpans", "resource_spans"] {
      guard let resources = document[key] else { continue }
      found += try resourceSpans(resources, key)
      isTrace = true
    }
    for spans in [document["spans"], document["trace"]?["spans"]] {
      guard let spans else { continue }
      guard case .list(let items) = spans else { throw TraceError(message: "\"spans\" is not a list") }
      found += items
      isTrace = true
    }
    guard isTrace else { throw TraceError(message: "the trace has no \"spans\"") }
    return found
  }
  /// OTLP: resources hold scopes hold spans.
  private static func resourceSpans(_ resources: TraceValue, _ key: String) throws(TraceError) -> [TraceValue] {
    var found: [TraceValue] = []
    guard case .list(let items) = resources else { throw TraceError(message: "\"\(key)\" is not a list") }
    for resource in items {
      guard let scopes = resource["scopeSpans"] ?? resource["scope_spans"] ?? resource["instrumentationLibrarySpans"] else { continue }
      guard case .list(let list) = scopes else { throw TraceError(message: "\"scopeSpans\" is not a list") }
      for scope in list {
        guard case .list(let spans)? = scope["spans"] else { throw TraceError(message: "\"spans\" is not a list") }
        found += spans
      }
    }
    return found
  }

  private static func grouped(_ written: [TraceValue]) throws(TraceError) -> [[TraceSpan]] {
    var groups: [[TraceSpan]] = []
    var places: [[UInt8]: Int] = [:]
    for (i, value) in written.enumerated() {
      let span = try span(value, place: i)
      let key = Array((span.traceID ?? "").utf8)
      if let at = places[key] {
        groups[at].append(span)
      } else {
        places[key] = groups.count
        groups.append([span])
      }
    }
    return groups.map { spans in
      guard spans.allSatisfy({ $0.start != nil }) else { return spans }
      return spans.enumerated().sorted { ($0.element.start ?? 0, $0.offset) < ($1.element.start ?? 0, $1.offset) }.map(\.element)
    }
  }

  // MARK: One span

  private static func span(_ value: TraceValue, place: Int) throws(TraceError) -> TraceSpan {
    guard case .object = value else { throw TraceError(message: "span \(place + 1) is not an object") }
    let attributes = try attributes(value["attributes"], place)
    let id = text(value, ["id", "span_id", "spanId"]) ?? value["context"].flatMap { text($0, ["span_id", "spanId"]) }
    let traceID = text(value, ["trace_id", "traceId"]) ?? value["context"].flatMap { text($0, ["trace_id", "traceId"]) }
    let start = ["start_time_unix_nano", "startTimeUnixNano", "start_time", "startTime"].lazy.compactMap { value[$0].flatMap(time) }.first
    return TraceSpan(id: shortID(id ?? "#\(place + 1)"), kind: kind(value, attributes), start: start, traceID: traceID, attributes: attributes)
  }
  private static func text(_ value: TraceValue, _ keys: [String]) -> String? {
    for key in keys { if let text = value[key]?.text { return text } }
    return nil
  }
  /// Ids reach logs: short, and without anything but plain characters.
  private static func shortID(_ id: String) -> String {
    let plain = id.utf8.prefix(Limits.spanIDBytes).map { byte -> UInt8 in
      let isLetter = (0x61...0x7a).contains(byte | 0x20) && byte < 0x80
      return isLetter || (0x30...0x39).contains(byte) || "-._:#".utf8.contains(byte) ? byte : 0x3f
    }
    return String(decoding: plain, as: UTF8.self)
  }
  private static func time(_ value: TraceValue) -> Int64? {
    guard let text = value.text else { return nil }
    if let number = Int64(text) { return number }
    return Array(text.utf8).withUnsafeBytes { EventTime(rfc3339: $0) }?.nanoseconds
  }

  /// A mapping, or OTLP's list of {key, value: {stringValue: ..}}.
  private static func attributes(_ value: TraceValue?, _ place: Int) throws(TraceError) -> TraceValue {
    switch value {
    case nil, .scalar(.null, _)?: return .object([])
    case .object?: return value ?? .object([])
    case .list(let items)?: return try .object(keyValues(items, place))
    case .scalar?: throw TraceError(message: "the attributes of span \(place + 1) are not an object")
    }
  }
  private static func keyValues(_ items: [TraceValue], _ place: Int) throws(TraceError) -> [(key: String, value: TraceValue)] {
    var members: [(key: String, value: TraceValue)] = []
    for item in items {
      guard let key = item["key"]?.text else { throw TraceError(message: "an attribute of span \(place + 1) has no key") }
      members.append((key, try item["value"].map { value throws(TraceError) in try anyValue(value, place) } ?? null))
    }
    return members
  }
  private static let null = TraceValue.scalar(.null, text: "null")
  private static func anyValue(_ value: TraceValue, _ place: Int) throws(TraceError) -> TraceValue {
    guard case .object(let members) = value, let first = members.first else { return value }
    switch first.key {
    case "stringValue", "boolValue", "doubleValue", "bytesValue": return first.value
    case "intValue":  // OTLP/JSON writes 64-bit integers as strings
      guard let text = first.value.text, let number = canonicalNumber(text.utf8) else { return first.value }
      return .scalar(.number(number), text: text)
    case "arrayValue":
      guard case .list(let items)? = first.value["values"] else { return .list([]) }
      var list: [TraceValue] = []
      for item in items { list.append(try anyValue(item, place)) }
      return .list(list)
    case "kvlistValue":
      guard case .list(let items)? = first.value["values"] else { return .object([]) }
      return .object(try keyValues(items, place))
    default: return value
    }
  }

  /// GenAI's operations as OpenInference's kinds.
  private static let operations: [(operation: String, kind: String)] = [
    ("execute_tool", "TOOL"), ("invoke_agent", "AGENT"), ("create_agent", "AGENT"), ("chat", "LLM"), ("text_completion", "LLM"),
    ("generate_content", "LLM"), ("embeddings", "EMBEDDING"), ("retrieval", "RETRIEVER"),
  ]
  /// A span's own word, unless it is OpenTelemetry's SpanKind, which says who called whom; then what its attributes say.
  private static func kind(_ span: TraceValue, _ attributes: TraceValue) -> String? {
    let transport = ["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER", "UNSPECIFIED"]
    for candidate in [span["span.kind"], span["span_kind"], span["kind"], attributes["openinference.span.kind"], attributes["span.kind"]] {
      guard case .scalar(.text(let word), _)? = candidate, !word.hasPrefix("SPAN_KIND_"), !transport.contains(word) else { continue }
      return word
    }
    guard let operation = attributes.attribute("gen_ai.operation.name")?.text else { return nil }
    return operations.first { $0.operation == operation }?.kind
  }

  // MARK: JSON

  private static func value(_ bytes: Bytes) throws(TraceError) -> TraceValue {
    var reader = JSONReader(bytes)
    var builder = Builder()
    do {
      while try reader.next({ builder.take($0) }) != nil {
        guard builder.count <= Limits.traceValues else {
          throw TraceError(message: "the trace has more than the \(Limits.traceValues) values that are read")
        }
      }
    } catch let error as JSONError {
      throw TraceError(message: "the trace is not JSON: \(error)")
    } catch let error as TraceError {
      throw error
    } catch {
      throw TraceError(message: "the trace is not JSON")
    }
    guard let root = builder.root else { throw TraceError(message: "the trace is empty") }
    return root
  }

  /// Values from tokens, without recursion; what is open is extended in place.
  private struct Builder {
    private var isObject: [Bool] = []
    private var lists: [[TraceValue]] = []
    private var objects: [[(key: String, value: TraceValue)]] = []
    private var keys: [String] = []
    var root: TraceValue?
    var count = 0

    mutating func take(_ token: JSONToken) {
      switch token {
      case .beginObject:
        isObject.append(true)
        objects.append([])
      case .beginArray:
        isObject.append(false)
        lists.append([])
      case .key(let name): keys.append(name.string)
      case .string(let text): add(.scalar(.text(text.string), text: text.string))
      case .number(let text): add(.scalar(.number(canonicalNumber(text) ?? text.string), text: text.string))
      case .bool(let flag): add(.scalar(.bool(flag), text: flag ? "true" : "false"))
      case .null: add(.scalar(.null, text: "null"))
      case .endObject, .endArray:
        guard let wasObject = isObject.popLast() else { return }
        add(wasObject ? .object(objects.removeLast()) : .list(lists.removeLast()))
      }
    }
    private mutating func add(_ value: TraceValue) {
      count += 1
      switch isObject.last {
      case nil: root = value
      case true?: objects[objects.count - 1].append((keys.removeLast(), value))
      case false?: lists[lists.count - 1].append(value)
      }
    }
  }
}
