// Flows and protocol messages as lines for people: what `panguard inspect` shows of a file, and `panguard capture` of an interface.
// What must stay true: whatever the other side wrote is escaped, and on a screen a row is one line.
import ArgumentParser
import Events
import Export
import Glibc
import Primitives

enum MessageFormat: String, ExpressibleByArgument, CaseIterable { case table, jsonl }

struct MessageTable {
  /// Whether each row names its interface.
  var showsInterface = false
  private let width = isatty(STDOUT_FILENO) == 1 ? Terminal.width : 0
  private var hasHeading = false
  private var scratch: [UInt8] = []

  init(showsInterface: Bool = false) { self.showsInterface = showsInterface }

  mutating func write(_ event: borrowing Event, to output: inout Output) {
    if !hasHeading { output.line(TerminalText.cut(MessageTable.heading, to: width)) }
    hasHeading = true
    output.line(TerminalText.cut(row(event), to: width))
  }

  private static let heading =
    "FRAME".padding(to: 9) + "TIME (UTC)".padding(to: 31) + "WHAT".padding(to: 11) + "SOURCE > DESTINATION".padding(to: 46) + "DETAILS"

  private mutating func row(_ event: borrowing Event) -> String {
    let what = event.has(.flowState) || event.has(.eventDuration) ? "flow" : text(.networkProtocol, event) ?? text(.eventAction, event) ?? "?"
    let ends = end(.sourceIP, .sourcePort, event) + " > " + end(.destinationIP, .destinationPort, event)
    var details: [String] = []
    for detail in MessageTable.details { if let text = text(detail.field, event) { details.append(detail.label + text) } }
    // A message of which nothing else is known, as a server's list of algorithms.
    if details.isEmpty, let action = text(.eventAction, event), action != what { details.append(action) }
    if showsInterface, let name = text(.networkInboundInterface, event) { details.append("on " + name) }
    return (text(.frameNumber, event) ?? "").padding(to: 9) + "\(event.time)".padding(to: 31) + what.padding(to: 11) + ends.padding(to: 46)
      + details.joined(separator: " ")
  }
  private mutating func text(_ field: Field, _ event: borrowing Event) -> String? {
    scratch.removeAll(keepingCapacity: true)
    return event.appendText(of: field, to: &scratch) ? TerminalText.escaped(String(decoding: scratch, as: UTF8.self)) : nil
  }
  private mutating func end(_ address: Field, _ port: Field, _ event: borrowing Event) -> String {
    guard let host = text(address, event) else { return "?" }
    guard let port = text(port, event) else { return host }
    return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }

  /// In the order in which they are shown, as far as an event has them.
  private static let details: [(field: Field, label: String)] = [
    (.flowState, ""), (.sourcePackets, "packets "), (.destinationPackets, "/ "), (.sourceBytes, "bytes "), (.destinationBytes, "/ "),
    (.icmpType, "type "), (.dnsType, ""), (.dnsQuestionType, ""), (.dnsQuestionName, ""), (.dnsResponseCode, ""), (.dnsResolvedIP, ""),
    (.tlsVersion, "version "), (.tlsClientServerName, "name "), (.tlsClientJA4, "ja4 "), (.tlsServerSubject, "subject "),
    (.httpRequestMethod, ""), (.urlDomain, ""), (.urlOriginal, ""), (.httpResponseStatusCode, ""), (.userAgentOriginal, "agent "),
    (.rpcMethod, ""), (.toolName, "tool "), (.sshClientBanner, ""), (.sshServerBanner, ""), (.sshClientHASSH, "hassh "), (.userName, "user "),
  ]
}
