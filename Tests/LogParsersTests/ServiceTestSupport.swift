// What the tables of the service tests share: a line in, the event's fields out as text.
import Events
import Primitives

@testable import LogParsers

/// Every field of `event` by name, extra fields included; "" for none. A name that occurs twice would be a bug: the last wins.
func fieldTexts(_ event: borrowing Event) -> [String: String] {
  var result: [String: String] = [:]
  for field in Field.allCases where event.has(field) {
    var text: [UInt8] = []
    _ = event.appendText(of: field, to: &text)
    result["\(field.name)"] = String(decoding: text, as: UTF8.self)
  }
  event.forEachExtra { result[$0.string] = $1.string }
  return result
}

/// The fields that `parse` makes of `line`, or nil where it recognises nothing.
func parsed(_ line: [UInt8], _ parse: (Bytes, inout Event) -> Bool) -> (fields: [String: String], time: EventTime, basis: TimeBasis)? {
  var event = Event()
  line.withUnsafeBytes { _ = event.begin(raw: $0, origin: EventOrigin(source: 0, offset: 0, length: UInt32($0.count))) }
  event.time = EventTime(nanoseconds: -1)
  guard parse(event.raw, &event) else {
    precondition(fieldTexts(event).isEmpty, "a parser that recognises nothing sets nothing")
    return nil
  }
  return (fieldTexts(event), event.time, event.timeBasis)
}
func parsed(_ line: String, _ parse: (Bytes, inout Event) -> Bool) -> (fields: [String: String], time: EventTime, basis: TimeBasis)? {
  parsed(Array(line.utf8), parse)
}
func fields(_ line: String, _ service: ServiceParser) -> [String: String]? { parsed(line, service.parse)?.fields }

/// A row of a table: a message and every field that must come of it (nil: nothing is recognised).
struct Case: Sendable, CustomStringConvertible {
  var line: String
  var fields: [String: String]?
  init(_ line: String, _ fields: [String: String]?) {
    self.line = line
    self.fields = fields
  }
  var description: String { line }
}
