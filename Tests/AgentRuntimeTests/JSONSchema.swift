// As much of JSON Schema (draft 2020-12) as the suite's report schema uses: type, required, properties, items, enum, const, minimum.
import Foundation

enum JSONSchema {
  /// What is wrong with `value`, each with its path; empty where it is valid.
  static func problems(_ value: Any, _ schema: [String: Any], at path: String = "$") -> [String] {
    var out: [String] = []
    if let type = schema["type"] as? String, !has(value, type) { return ["\(path): not of type \(type)"] }
    if let allowed = schema["enum"] as? [String], !allowed.contains(value as? String ?? "") { out.append("\(path): \(value) is not allowed") }
    if let wanted = schema["const"] as? String, value as? String != wanted { out.append("\(path): not \(wanted)") }
    if let minimum = schema["minimum"] as? Int, let number = value as? Int, number < minimum { out.append("\(path): below \(minimum)") }
    if let object = value as? [String: Any] {
      for key in schema["required"] as? [String] ?? [] where object[key] == nil { out.append("\(path).\(key): missing") }
      for (key, inner) in schema["properties"] as? [String: [String: Any]] ?? [:] {
        if let member = object[key] { out += problems(member, inner, at: "\(path).\(key)") }
      }
    }
    if let list = value as? [Any], let inner = schema["items"] as? [String: Any] {
      for (i, item) in list.enumerated() { out += problems(item, inner, at: "\(path)[\(i)]") }
    }
    return out
  }
  private static func has(_ value: Any, _ type: String) -> Bool {
    switch type {
    case "object": value is [String: Any]
    case "array": value is [Any]
    case "string": value is String
    case "boolean": value is Bool
    case "integer": value is Int
    default: true
    }
  }
}
