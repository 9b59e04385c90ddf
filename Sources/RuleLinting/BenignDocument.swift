// Harmless documents, one JSON object for each line: {"id":"..","event_type":"..","text":".."}. What a rule says about them is a false
// positive. `event_type` is one of the standard's kinds of agent event, or `log_line` for one raw line of a log.
import Events
import LogParsers
import Primitives
import RuleLanguage

public struct BenignDocument: Sendable, Equatable {
  public var id: String
  public var eventType: String
  public var text: String
  public var line: Int
  public init(id: String, eventType: String, text: String, line: Int = 0) {
    self.id = id
    self.eventType = eventType
    self.text = text
    self.line = line
  }

  /// Field that a kind of event carries its text in, besides `content`.
  static let textFields: [(eventType: String, field: String)] = [
    ("llm_input", "user_input"), ("llm_output", "agent_output"), ("tool_call", "tool_args"), ("tool_response", "tool_response"),
    ("mcp_exchange", "tool_response"), ("skill", "content"), ("document", "content"), ("multi_agent_message", "agent_message"), ("log_line", ""),
  ]

  /// Lines that are not of that form are diagnostics; empty lines are skipped.
  public static func read(_ bytes: Bytes, file: String) -> (documents: [BenignDocument], problems: [Diagnostic]) {
    var documents: [BenignDocument] = []
    var problems: [Diagnostic] = []
    var number = 0
    var rest = bytes
    while rest.count > 0 {
      number += 1
      let end = rest.index(of: 0x0a) ?? rest.count
      let line = rest.upTo(end).trimmed
      rest = rest.from(end + 1)
      if line.isEmpty { continue }
      let place = SourceLocation(file: file, line: number)
      do {
        guard let document = try document(line, number) else {
          problems.append(Diagnostic(.error, place, "a document needs the texts event_type and text", hint: "event_type: \(known)"))
          continue
        }
        documents.append(document)
      } catch { problems.append(Diagnostic(.error, place, "not a JSON object: \(error)")) }
    }
    return (documents, problems)
  }
  private static var known: String { textFields.map(\.eventType).joined(separator: ", ") }

  private static func document(_ line: Bytes, _ number: Int) throws -> BenignDocument? {
    var reader = JSONReader(line)
    var key = ""
    var values: [String: String] = [:]  // only looked up
    while let isDone = try reader.next({ token -> Bool in
      switch token {
      case .key(let bytes): key = bytes.string
      case .string(let bytes): values[key] = bytes.string
      default: break
      }
      return false
    }) { if isDone { break } }
    guard let type = values["event_type"], let text = values["text"], textFields.contains(where: { $0.eventType == type }) else { return nil }
    return BenignDocument(id: values["id"] ?? "\(number)", eventType: type, text: text, line: number)
  }

  /// Makes `event` what an agent or a log would have sent.
  func fill(_ event: inout Event, number: Int) {
    let origin = EventOrigin(source: 0, offset: UInt64(number), length: 0)
    if eventType == "log_line" {
      let time = EventTime(year: 2026, month: 12, day: 31, hour: 23, minute: 59, second: 59) ?? .zero
      var parser = LogParser(format: .auto, inputTime: time)
      var copy = text
      copy.withUTF8 { _ = parser.parse(Bytes($0), origin: origin, into: &event) }
      return
    }
    var json = JSONWriter()
    json.beginObject()
    json.key("event_type")
    json.value(eventType)
    json.key("content")
    json.value(text)
    let field = BenignDocument.textFields.first { $0.eventType == eventType }?.field ?? ""
    if !field.isEmpty, field != "content" {
      json.key(text: field)
      json.value(text)
    }
    json.endObject()
    event.begin(raw: .none, origin: origin)
    event.time = .zero
    json.out.withUnsafeBytes { try? event.setFields(fromJSON: $0) }
  }
}
