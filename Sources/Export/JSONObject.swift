// A JSON object as a tree, with typed, total access: for reading back records, where speed does not matter but every key does.
// Memory is bounded by the document, depth by `Limits.jsonDepth`; a key that occurs twice is refused, because two readers could
// take different ones.
import Events
import Primitives

indirect enum JSONValue {
  case object(JSONObject)
  case array([JSONValue])
  case string(String)
  /// As it stands in the text.
  case number(String)
  case bool(Bool)
  case null

  func text(of key: String) throws -> String {
    guard case .string(let text) = self else { throw DecisionJSONError(key: key, message: "is not a text") }
    return text
  }
}

struct JSONObject {
  private var members: [String: JSONValue] = [:]  // only looked up, never iterated

  init(document: Bytes) throws {
    var reader = JSONReader(document)
    guard case .object(let root)? = try JSONValue.read(&reader) else {
      throw DecisionJSONError(key: "", message: "the document is not an object")
    }
    while try JSONValue.token(&reader) != nil {}  // throws on text after the object
    self = root
  }
  fileprivate init() {}
  fileprivate mutating func add(_ key: String, _ value: JSONValue) throws {
    guard members.updateValue(value, forKey: key) == nil else { throw DecisionJSONError(key: key, message: "occurs twice") }
  }

  private func value(_ key: String) throws -> JSONValue {
    guard let value = members[key] else { throw DecisionJSONError(key: key, message: "is missing") }
    return value
  }
  func text(_ key: String) throws -> String { try value(key).text(of: key) }
  /// nil if the key is absent.
  func has(_ key: String) -> Bool { members[key] != nil }
  func optionalText(_ key: String) throws -> String? { try members[key]?.text(of: key) }
  func integer<Number: FixedWidthInteger>(_ key: String) throws -> Number {
    guard case .number(let digits) = try value(key), let number = Number(digits) else {
      throw DecisionJSONError(key: key, message: "is not an integer in range")
    }
    return number
  }
  func measure(_ key: String) throws -> Measure {
    guard case .number(let text) = try value(key), let measure = Measure(text: text) else {
      throw DecisionJSONError(key: key, message: "is not a number in range")
    }
    return measure
  }
  func flag(_ key: String) throws -> Bool {
    guard case .bool(let flag) = try value(key) else { throw DecisionJSONError(key: key, message: "is not true or false") }
    return flag
  }
  func array(_ key: String) throws -> [JSONValue] {
    guard case .array(let items) = try value(key) else { throw DecisionJSONError(key: key, message: "is not an array") }
    return items
  }
  /// Empty if the key is absent.
  func texts(_ key: String) throws -> [String] { members[key] == nil ? [] : try array(key).map { try $0.text(of: key) } }
  func object(_ key: String) throws -> JSONObject {
    guard case .object(let object) = try value(key) else { throw DecisionJSONError(key: key, message: "is not an object") }
    return object
  }
  func objects(_ key: String) throws -> [JSONObject] {
    try array(key).map {
      guard case .object(let object) = $0 else { throw DecisionJSONError(key: key, message: "holds something that is not an object") }
      return object
    }
  }
  func named<Name: RawRepresentable>(_ key: String) throws -> Name where Name.RawValue == String {
    guard let name = Name(rawValue: try text(key)) else { throw DecisionJSONError(key: key, message: "unknown value") }
    return name
  }
  /// RFC 3339, or integer nanoseconds since 1970.
  func time(_ key: String) throws -> EventTime {
    if case .number = try value(key) { return EventTime(nanoseconds: try integer(key)) }
    guard let time = EventTime(rfc3339: try text(key)) else { throw DecisionJSONError(key: key, message: "is not a time") }
    return time
  }
  /// "0." and three digits, 0.001 to 0.999.
  func confidence(_ key: String) throws -> Confidence {
    guard case .number(let text) = try value(key), text.utf8.count == 5, text.hasPrefix("0."), let thousandths = Int(text.dropFirst(2)),
      (1...999).contains(thousandths)
    else { throw DecisionJSONError(key: key, message: "is not a number from 0.001 to 0.999 with three digits") }
    return Confidence(thousandths: thousandths)
  }
}

extension JSONValue {
  fileprivate enum Token {
    case key(String)
    case value(JSONValue)
    case beginObject, endObject, beginArray, endArray
  }

  fileprivate static func token(_ reader: inout JSONReader) throws -> Token? {
    try reader.next { token in
      switch token {
      case .key(let bytes): .key(bytes.string)
      case .string(let bytes): .value(.string(bytes.string))
      case .number(let bytes): .value(.number(bytes.string))
      case .bool(let flag): .value(.bool(flag))
      case .null: .value(.null)
      case .beginObject: .beginObject
      case .endObject: .endObject
      case .beginArray: .beginArray
      case .endArray: .endArray
      }
    }
  }

  /// The next value; nil where the container ends instead.
  fileprivate static func read(_ reader: inout JSONReader) throws -> JSONValue? {
    switch try token(&reader) {
    case .value(let value): return value
    case .beginObject:
      var object = JSONObject()
      while case .key(let key)? = try token(&reader) {
        guard let value = try read(&reader) else { break }
        try object.add(key, value)
      }
      return .object(object)
    case .beginArray:
      var items: [JSONValue] = []
      while let item = try read(&reader) { items.append(item) }
      return .array(items)
    case .key, .endObject, .endArray, nil: return nil
    }
  }
}
