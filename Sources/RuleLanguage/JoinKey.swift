// What ties events of a correlation together: a field, or a path into the arrays of the event's JSON (spec/atr-correlation-v1.0.md).
// `agent.delegation_chain[*].agent_id` has as many values as the array has members; events are joined by any equal one.
// What must stay true: reading a path is total and linear; two spellings of one path are equal (`$.a['b']`, `/a/b`, `a.b`).
import Events
import Primitives

public struct JoinKey: Codable, Hashable, Sendable, CustomStringConvertible {
  public enum Step: Codable, Hashable, Sendable {
    /// `[*]`
    case every
    /// `[0]`
    case at(Int)
    /// Names below an array, joined by dots: nested objects and dotted keys are the same.
    case member(String)
  }
  /// The field that holds the value, or the array as JSON text.
  public var field: FieldReference
  /// From the array on; empty for a plain field.
  public var steps: [Step]

  public init(_ field: FieldReference, steps: [Step] = []) {
    self.field = field
    self.steps = steps
  }
  public static func known(_ field: Field) -> JoinKey { JoinKey(.known(field)) }
  public static func named(_ name: String) -> JoinKey { JoinKey(FieldReference(name: name)) }

  public static let session = JoinKey.known(.sessionID)
  /// The standard's arrays; written without `[*]` they mean their members all the same.
  public static let upstream = JoinKey(.extra("evidence.upstream_chain"), steps: [.every])

  public var description: String {
    steps.reduce(field.description) { text, step in
      switch step {
      case .every: text + "[*]"
      case .at(let index): text + "[\(index)]"
      case .member(let name): text + "." + name
      }
    }
  }

  private static let nameLimit = 128
  private static let stepLimit = 8

  /// nil: not a path. Takes dots, brackets (`[*]`, `[0]`, `['name']`), a leading `$.`, and slashes (`/a/b[*]`).
  public init?(path: String) {
    var reader = PathReader(path)
    var base: [String] = []
    var steps: [Step] = []
    var names: [String] = []
    func flushed(_ steps: [Step], _ names: [String]) -> [Step] { names.isEmpty ? steps : steps + [.member(names.joined(separator: "."))] }
    while let part = reader.next() {
      switch part {
      case .bad: return nil
      case .name(let name): if steps.isEmpty { base.append(name) } else { names.append(name) }
      case .step(let step):
        steps = flushed(steps, names) + [step]
        names = []
      }
      guard steps.count <= JoinKey.stepLimit else { return nil }
    }
    steps = flushed(steps, names)
    let name = base.joined(separator: ".")
    guard !name.isEmpty, name.utf8.count <= JoinKey.nameLimit else { return nil }
    field = FieldReference(name: name)
    self.steps = steps.isEmpty && name == "evidence.upstream_chain" ? [.every] : steps
  }
}

/// Cuts a path into its parts.
private struct PathReader {
  enum Part {
    case name(String)
    case step(JoinKey.Step)
    case bad
  }
  private let bytes: [UInt8]
  private var at = 0
  private let separator: UInt8

  init(_ path: String) {
    bytes = Array(path.utf8)
    separator = bytes.first == 0x2f ? 0x2f : 0x2e
    if bytes.starts(with: "$.".utf8) { at = 2 } else if bytes.first == 0x2f { at = 1 }
  }

  mutating func next() -> Part? {
    guard at < bytes.count else { return nil }
    if bytes[at] == 0x5b { return bracket() }
    if at > 0, bytes[at] == separator, bytes[at - 1] == 0x5d {  // "].name"
      at += 1
      guard at < bytes.count else { return .bad }
    }
    let start = at
    while at < bytes.count, bytes[at] != separator, bytes[at] != 0x5b {
      guard bytes[at] > 0x20, bytes[at] != 0x7f, bytes[at] != 0x5d else { return .bad }
      at += 1
    }
    guard at > start else { return .bad }
    let name = String(decoding: bytes[start..<at], as: UTF8.self)
    if at < bytes.count, bytes[at] == separator {
      at += 1
      guard at < bytes.count, bytes[at] != separator, bytes[at] != 0x5b else { return .bad }
    }
    return .name(name)
  }

  private mutating func bracket() -> Part {
    guard let close = bytes[at...].firstIndex(of: 0x5d) else { return .bad }
    let inside = bytes[(at + 1)..<close]
    at = close + 1
    if at < bytes.count, bytes[at] != separator, bytes[at] != 0x5b { return .bad }
    if inside.elementsEqual([0x2a]) { return .step(.every) }
    if let first = inside.first, first == 0x27 || first == 0x22, inside.count > 2, inside.last == first {
      return .name(String(decoding: inside.dropFirst().dropLast(), as: UTF8.self))
    }
    guard inside.count <= 6, let index = Int(String(decoding: inside, as: UTF8.self)), index >= 0 else { return .bad }
    return .step(.at(index))
  }
}
