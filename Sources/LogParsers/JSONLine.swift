// A whole line that is one JSON object: access logs of nginx, Caddy and Traefik, and events under ECS names, nested or flat.
// The keys are the program's, the values may be a client's; JSON keeps them apart, so that here, unlike in text, no value can pose as
// another key. nginx without `escape=json` writes \xHH, which is not JSON: such a line is read as what it means.
// What is `panguard.` is ours to say and is never taken from a line.
import Events
import Primitives

public enum JSONLine {
  /// Reads one line, headers and all. Actions http-request and http-malformed-request where the keys are an access log's; otherwise
  /// the action is what the object says under `event.action`, if anything. Where no known key holds a time, `timeBasis` is `inherited`
  /// and `event.time` is left for the caller. False, with nothing set, if it is not one JSON object with at least one value.
  public static func parse(_ line: Bytes, into event: inout Event) -> Bool {
    guard line.trimmed.first == 0x7b else { return false }
    var known = KnownValues()
    guard JSONFields.read(line, policy: .everything, known: &known, into: &event) else { return false }
    finish(known, into: &event)
    return true
  }

  private static func finish(_ known: KnownValues, into event: inout Event) {
    if let time = known.eventTime {
      event.time = time
      event.timeBasis = .stamped
    } else {
      event.timeBasis = .inherited
    }
    known.setCommon(into: &event)
    if known.isWeb, !event.has(.eventAction) {
      known.setWeb(logEscapes: false, into: &event)
    } else {
      if known.has(.host), !event.has(.hostName) { event.set(.hostName, known[.host]) }
      if known.has(.message), !event.has(.message) { event.set(.message, known[.message]) }
      if let pid = known[.pid].decimal, !event.has(.processPid) { event.set(.processPid, pid) }
    }
    known.setRest(into: &event, except: known.isWeb ? [.time] : [.time, .host, .message, .pid])
    if !event.has(.eventProvider) { event.set(.eventProvider, "generic") }
    if !event.has(.eventDataset) { event.set(.eventDataset, known.isWeb ? "web.access" as StaticString : "json") }
  }
}

/// The members of a JSON object, into known keys, fields and extra fields.
enum JSONFields {
  /// Which ECS names a text may set itself.
  enum Policy: Sendable {
    /// All but ours: the line's format is the administrator's choice.
    case everything
    /// Those that describe the peer and the account: the text is a message, and what it says about itself (action, host, process)
    /// is not its to say.
    case observations
    func allows(_ name: Bytes) -> Bool {
      if name.starts(with: "panguard.") { return false }
      guard self == .observations else { return true }
      for prefix in Policy.observed where name.starts(with: prefix) { return true }
      return false
    }
    private static let observed: [StaticString] = ["source.", "destination.", "user.", "http.", "url.", "user_agent.", "network.", "group."]
  }

  /// False, with nothing set, if `bytes` is not one JSON object with at least one value.
  static func read(_ bytes: Bytes, policy: Policy, known: inout KnownValues, into event: inout Event) -> Bool {
    if isObject(bytes) { return set(bytes, policy: policy, known: &known, into: &event) }
    guard bytes.contains("\\x") else { return false }
    // nginx's default escaping in a hand-made JSON format: \xHH for \u00HH.
    var repaired: [UInt8] = []
    repaired.reserveCapacity(bytes.count + bytes.count / 2)
    var at = 0
    while at < bytes.count {
      if bytes[at] == 0x5c, at + 1 < bytes.count {
        if bytes[at + 1] == 0x78 { repaired.append("\\u00" as StaticString) } else { repaired.append(bytes.slice(at, at + 2)) }
        at += 2
      } else {
        repaired.append(bytes[at])
        at += 1
      }
    }
    return repaired.withUnsafeBytes { isObject($0) && set($0, policy: policy, known: &known, into: &event) }
  }

  /// Whether the whole of `bytes` is one object: asked first, so that a broken line sets nothing.
  private static func isObject(_ bytes: Bytes) -> Bool {
    guard bytes.trimmed.first == 0x7b else { return false }
    var reader = JSONReader(bytes)
    do {
      while try reader.next({ _ in true }) != nil {}
      return true
    } catch {
      return false
    }
  }

  private static func set(_ bytes: Bytes, policy: Policy, known: inout KnownValues, into event: inout Event) -> Bool {
    var reader = JSONReader(bytes)
    var path: [UInt8] = []
    var marks: [Int] = []  // length of `path` before the key of each open object
    var pending = 0
    var count = 0
    enum Step { case go, array }
    do {
      while true {
        let step: Step? = try reader.next { token -> Step in
          switch token {
          case .beginObject: marks.append(pending)
          case .endObject:
            let mark = marks.popLast() ?? 0
            path.removeLast(path.count - mark)
          case .key(let key):
            pending = path.count
            if !path.isEmpty { path.append(0x2e) }
            path.append(key)
          case .string(let value), .number(let value):
            member(path, value, policy, &known, &event)
            count += 1
            path.removeLast(path.count - pending)
          case .bool(let value):
            member(path, Bytes(value ? "true" : "false"), policy, &known, &event)
            count += 1
            path.removeLast(path.count - pending)
          case .null: path.removeLast(path.count - pending)
          case .beginArray: return .array
          case .endArray: break
          }
          return .go
        }
        guard let step else { return count > 0 }
        guard step == .array else { continue }
        // A list: its first text stands for it where the key is known (Caddy's headers); otherwise its JSON text is kept.
        let start = reader.position - 1
        var depth = 1
        var first: Bytes = .none
        while depth > 0 {
          _ = try reader.next { token in
            switch token {
            case .beginArray, .beginObject: depth += 1
            case .endArray, .endObject: depth -= 1
            case .string(let value): if depth == 1, first.count == 0 { first = event.keep(value) }
            default: break
            }
          }
        }
        let isKnown = path.withUnsafeBytes { KnownKey.row(of: $0) != nil }
        member(path, isKnown ? first : bytes.slice(start, reader.position), policy, &known, &event)
        count += 1
        path.removeLast(path.count - pending)
      }
    } catch {
      return count > 0  // cannot happen: `isObject` has read it
    }
  }

  private static func member(_ path: [UInt8], _ value: Bytes, _ policy: Policy, _ known: inout KnownValues, _ event: inout Event) {
    path.withUnsafeBytes { name in
      if let field = Field(name: name), field != .message, field != .sourceIP {
        if policy.allows(name), event.set(field, parsing: value) { return }
        if !policy.allows(name) { return }
      }
      if let row = KnownKey.row(of: name) {
        known.note(row: row, event.keep(value), strict: false)
      } else if Field(name: name) == nil, !name.starts(with: "panguard.") {
        event.setExtra(name, value)
      } else if policy.allows(name), let field = Field(name: name), field.kind == .text {
        event.set(field, value)
      }
    }
  }
}
