// The values of a join key in one event: those of a plain field, or of the members of an array that the event keeps as JSON text.
// What must stay true: total and linear on any text; what is not there has no value, and an event without a value joins nothing.
import Events
import Primitives
import RuleLanguage

enum JoinValues {
  private enum Segment {
    case index(Int)
    case name([UInt8])
  }
  private struct Container {
    var isArray: Bool
    var next = 0
  }

  /// The scalars of `json` that lie at `steps`, as text, without repetitions, in their order; at most `limit`, further ones are left out.
  /// A text that is no array is its own only member.
  static func collect(_ json: Bytes, _ steps: [JoinKey.Step], limit: Int) -> (values: [[UInt8]], isComplete: Bool) {
    guard json.starts(with: "[") else { return steps == [.every] && json.count > 0 ? ([Array(json)], true) : ([], true) }
    var values: [[UInt8]] = []
    var seen: Set<[UInt8]> = []  // only asked for members
    var isComplete = true
    var containers: [Container] = []
    var path: [Segment] = []
    var reader = JSONReader(json)

    /// A value begins: in an array it has the next index, in an object the key that was read.
    func begin() {
      guard let top = containers.indices.last, containers[top].isArray else { return }
      path.append(.index(containers[top].next))
      containers[top].next += 1
    }
    func end() { if !containers.isEmpty { path.removeLast() } }
    func scalar(_ text: Bytes) {
      begin()
      if lies(path, at: steps), seen.insert(Array(text)).inserted {
        if values.count < limit { values.append(Array(text)) } else { isComplete = false }
      }
      end()
    }
    while true {
      let step: Bool? = try? reader.next { token in
        switch token {
        case .beginObject, .beginArray:
          begin()
          if case .beginArray = token { containers.append(Container(isArray: true)) } else { containers.append(Container(isArray: false)) }
        case .endObject, .endArray:
          containers.removeLast()
          end()
        case .key(let key): path.append(.name(Array(key)))
        case .string(let text), .number(let text): scalar(text)
        case .bool(let flag): scalar(Bytes(flag ? "true" : "false"))
        case .null:
          begin()
          end()
        }
        return true
      }
      guard step == true else { return (values, isComplete) }  // the end, or text that was cut
    }
  }

  /// Names that follow each other count as one with dots.
  private static func lies(_ path: [Segment], at steps: [JoinKey.Step]) -> Bool {
    var at = 0
    for step in steps {
      guard at < path.count else { return false }
      switch (step, path[at]) {
      case (.every, .index): at += 1
      case (.at(let wanted), .index(let index)):
        guard wanted == index else { return false }
        at += 1
      case (.member(let wanted), .name):
        var name: [UInt8] = []
        while at < path.count, case .name(let part) = path[at] {
          if !name.isEmpty { name.append(0x2e) }
          name += part
          at += 1
        }
        guard name.elementsEqual(wanted.utf8) else { return false }
      default: return false
      }
    }
    return at == path.count
  }
}
