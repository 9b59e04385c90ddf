// Names of an agent's event beside those of the standard's form: what its tools write instead, and members of objects.
// `type` is `event_type`, `scanContext` is `scan_target`, and `timestamp` is `@timestamp` where the event does not have the latter. The time
// counts wherever it stands: in the event, in `fields`, in `metadata`.
// {"fields":{"skill":{"content":..}}} gives `skill.content`, as {"skill":{"content":..}} does; `skill` itself keeps its JSON text.
// What must stay true: one pass over each object, and no name longer than a rule can ask for, so that a deep object costs no more than its
// bytes; members of objects come after all others, so that they never take their room.
import Primitives

struct AgentEventAliases {
  /// The texts of JSON strings.
  private(set) var type: Bytes?
  private(set) var scanContext: Bytes?
  private(set) var hasTime = false

  mutating func note(_ key: Bytes, _ value: Bytes) {
    guard value.starts(with: "\"") else { return }
    if key.equals("type") {
      type = value
    } else if key.equals("scanContext") {
      scanContext = value
    } else if key.equals("@timestamp") {
      hasTime = EventTime(rfc3339: value.slice(1, value.count - 1)) != nil
    }
  }
  /// A flat event may have a field of this name as well: only the standard's words make it an agent's event.
  var namesAgentEvent: Bool {
    guard let type else { return false }
    return AgentEventType(type.slice(1, type.count - 1)) != nil
  }
}

/// A member of `fields` or of `metadata` that is an object.
struct NestedObject {
  var name: [UInt8]
  var json: Bytes
  /// Of `fields`, not of `metadata`.
  var isExplicit: Bool
}

extension Event {
  mutating func set(_ aliases: AgentEventAliases) throws {
    if let word = aliases.scanContext, !has(.scanTarget), let text = try text(ofJSON: word) { set(.scanTarget, text) }
    guard !aliases.hasTime else { return }
    for name in ["@timestamp", "timestamp"] as [StaticString] {
      guard let value = extra(Bytes(name)), let stamp = EventTime(rfc3339: value) else { continue }
      time = stamp
      return
    }
  }

  /// `nulls`: names that the event says are absent. Objects of `fields` come before those of `metadata`.
  mutating func setNested(_ object: NestedObject, _ nulls: inout [[UInt8]]) throws {
    var reader = JSONReader(object.json)
    reader.skipsDeepValues = true
    var path = object.name
    var marks: [Int] = []  // length of `path` before each open object's key
    var mark = path.count
    while true {
      // Arrays and values that were passed over are taken outside, where the reader can be asked.
      enum Step { case go, null, array }
      let step: Step? = try reader.next { token -> Step in
        switch token {
        case .beginObject: marks.append(mark)
        case .endObject: path.removeLast(path.count - marks.removeLast())
        case .key(let key):
          mark = path.count
          path.append(0x2e)
          path.append(key)
        case .string(let text): setMember(&path, text, mark, object.isExplicit, &nulls)
        case .number(let text): setMember(&path, text, mark, object.isExplicit, &nulls)
        case .bool(let flag): setMember(&path, Bytes(flag ? "True" : "False"), mark, object.isExplicit, &nulls)
        case .null: return .null
        case .beginArray: return .array
        case .endArray: break
        }
        return .go
      }
      guard let step else { return }
      if step == .null { setMember(&path, reader.skipped, mark, object.isExplicit, &nulls) }
      if step == .array { setMember(&path, try reader.arrayText(), mark, object.isExplicit, &nulls) }
    }
  }

  private mutating func setMember(_ path: inout [UInt8], _ value: Bytes?, _ mark: Int, _ isExplicit: Bool, _ nulls: inout [[UInt8]]) {
    if path.count <= Limits.fieldNameBytes {
      path.withUnsafeBytes { name in
        if isExplicit { setExplicitMember(name, value, &nulls) } else if let value { setMetadataMember(name, value, nulls) }
      }
    }
    path.removeLast(path.count - mark)
  }
  private mutating func setExplicitMember(_ name: Bytes, _ value: Bytes?, _ nulls: inout [[UInt8]]) {
    if let field = Field(name: name) {
      if let value, set(field, parsing: value) { return }
      remove(field)
    }
    if extra(name) != nil { removeExtra(name) }
    if let value { setExtra(name, value) } else { note(name, &nulls) }
  }
  private mutating func setMetadataMember(_ name: Bytes, _ value: Bytes, _ nulls: [[UInt8]]) {
    guard !nulls.contains(where: { name.elementsEqual($0) }), extra(name) == nil else { return }
    if let field = Field(name: name), Event.isContentName(field) || has(field) || set(field, parsing: value) { return }
    setExtra(name, value)
  }
}
