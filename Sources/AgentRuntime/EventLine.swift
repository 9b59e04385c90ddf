// One line of JSON that is an event: `{"id":..,"event":{..}}`, or the event alone. `rules eval`, `rules explain` and everything else
// that takes events from people reads them here, so that all of them mean the same by a line.
import Events
import Primitives

public struct EventLine {
  /// As it is written; nil where there is none.
  public var id: Bytes?
  /// The event's object; nil where the line has no member `event`.
  public var event: Bytes?

  /// Throws JSONError where the line is not one JSON object.
  public init(_ line: Bytes) throws {
    try JSONMembers.forEach(of: line) { key, value in
      if key.equals("id") { id = value } else if key.equals("event") { event = value }
    }
  }

  /// The id of a line that may be broken behind it; nil where it cannot be read.
  public static func id(of line: Bytes) -> Bytes? {
    var id: Bytes?
    try? JSONMembers.forEach(of: line) { key, value in if key.equals("id") { id = value } }
    return id
  }
}

extension Event {
  /// Begins an event and sets its fields from a line. Time stays what it was where the line says nothing: it runs on from line to line.
  /// A member `event` is the event, else the line itself. Throws JSONError where that is no object.
  mutating func begin(line: Bytes, number: UInt64) throws {
    let wrapped = try EventLine(line).event
    let previous = time
    begin(raw: .none, origin: EventOrigin(source: 0, offset: number, length: 0))
    time = previous
    try setFields(fromAgentJSON: wrapped ?? line)
  }
}
