// How a service's messages become fields. Adding a service is one file: a `ServiceParser` with its programs and its table of
// messages, its line in `ServiceParser.all`, and its tests.
// Invariant: parsers are pure, total and linear; what they cannot read they leave to the next one, and the event keeps its message.
import Events
import Primitives

/// Reads the messages of one service. `parse` gets the message without its header, in the event's own memory; the header's fields
/// are set already. It returns true if it recognised the message and set `event.action`; it must not set anything otherwise.
public struct ServiceParser: Sendable {
  /// ECS `event.provider` of what it recognises.
  public let name: StaticString
  /// Program names (syslog APP-NAME, journald _COMM or SYSLOG_IDENTIFIER) whose messages it is asked about, in lower case.
  public let programs: [StaticString]
  public let parse: @Sendable (_ message: Bytes, _ event: inout Event) -> Bool
  public init(name: StaticString, programs: [StaticString], parse: @escaping @Sendable (Bytes, inout Event) -> Bool) {
    self.name = name
    self.programs = programs
    self.parse = parse
  }
}
