// A decision as one RFC 5424 syslog message, for the local syslog socket and for what forwards it.
// Invariants: at most 8 KiB; one line; header fields hold only what the RFC allows there; in a parameter's value `"`, `\` and `]` are
// escaped (RFC 5424 6.3.3) and control characters are written as `\xNN`, so that no value can end its element or forge a message.
import Detection
import Events
import Primitives
import RuleLanguage

public enum RFC5424 {
  /// Octets of one message. rsyslog's default limit ($maxMessageSize) is 8 KiB, and it cuts what is longer.
  public static let messageBytes = 8 * 1024
  /// 32473 is the enterprise number that RFC 5612 sets aside for documentation: it stands until Panguard has one of its own.
  public static let elementID: StaticString = "panguard@32473"

  /// `hostname`, `procid`: cut and cleaned to what RFC 5424 6.2.4 and 6.2.6 allow; "-" if nothing is left.
  /// No BOM: MSG is UTF-8 all the same, and rsyslog would show it.
  /// `severity`: RFC 5424 table 2, where it is not the decision's; `kind`: the MSGID.
  public static func message(
    _ d: Decision, hostname: String, procid: String, severity: Int? = nil, kind: StaticString = "decision"
  ) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(1024)
    out.append(0x3c)
    out.append(decimal: Int64(10 * 8 + (severity ?? d.severity.syslogSeverity)))  // facility 10: authpriv
    out.append(">1 " as StaticString)
    appendTimestamp(d.time, to: &out)
    out.append(0x20)
    appendHeader(hostname, limit: 255, to: &out)
    out.append(" panguard " as StaticString)
    appendHeader(procid, limit: 128, to: &out)
    out.append(0x20)
    out.append(kind)
    out.append(" [" as StaticString)
    out.append(Bytes(elementID))
    var wasCut = false
    for parameter in parameters {
      guard let value = parameter.value(d) else { continue }
      out.append(0x20)
      out.append(Bytes(parameter.name))
      out.append("=\"" as StaticString)
      if appendValue(value, limit: parameter.limit, to: &out) { wasCut = true }
      out.append(0x22)
    }
    if wasCut { out.append(" cut=\"true\"" as StaticString) }
    out.append("] " as StaticString)
    appendMessage(d.ruleTitle + ": " + d.summary, to: &out)
    return out
  }

  /// The limits are octets after escaping; together with the header (below 512) they leave more than 1 KiB for MSG.
  private static let parameters: [(name: StaticString, limit: Int, value: @Sendable (Decision) -> String?)] = [
    ("id", 64, { $0.id }),
    ("revision", 32, { "\($0.revision)" }),
    ("rule", 256, { $0.ruleID }),
    ("severity", 16, { $0.severity.rawValue }),
    ("confidence", 8, { $0.confidence.description }),
    ("action", 16, { $0.action.rawValue }),
    ("trust", 16, { "\($0.trust.name)" }),
    ("technique", 512, { $0.techniques.isEmpty ? nil : $0.techniques.joined(separator: ",") }),
    ("subject", 1024, { $0.subject.label }),
    ("source", 128, { $0.subject.source }),
    ("user", 1024, { $0.subject.user }),
    ("session", 512, { $0.subject.session }),
    ("host", 512, { $0.subject.host }),
    ("matches", 32, { "\($0.matchCount)" }),
  ]

  /// RFC 5424 6.2.3: at most microseconds.
  private static func appendTimestamp(_ time: EventTime, to out: inout [UInt8]) {
    let remainder = ((time.nanoseconds % 1000) + 1000) % 1000
    (time - Nanoseconds(remainder)).append(to: &out)
  }

  /// PRINTUSASCII only.
  private static func appendHeader(_ text: String, limit: Int, to out: inout [UInt8]) {
    let start = out.count
    for byte in text.utf8 where byte > 0x20 && byte < 0x7f && out.count - start < limit { out.append(byte) }
    if out.count == start { out.append(0x2d) }
  }

  /// True if the value was cut (at a scalar's border, marked with "…").
  private static func appendValue(_ value: String, limit: Int, to out: inout [UInt8]) -> Bool {
    let end = out.count + limit
    for scalar in TerminalText.escaped(value).unicodeScalars {
      let isSpecial = scalar == "\"" || scalar == "\\" || scalar == "]"
      guard out.count + (isSpecial ? 2 : UTF8.width(scalar)) <= end - 3 else {
        out.append("…" as StaticString)
        return true
      }
      if isSpecial { out.append(0x5c) }
      for byte in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter { out.append(byte) }
    }
    return false
  }

  private static func appendMessage(_ text: String, to out: inout [UInt8]) {
    for scalar in TerminalText.escaped(text).unicodeScalars {
      guard out.count + UTF8.width(scalar) <= messageBytes - 3 else {
        out.append("…" as StaticString)
        return
      }
      for byte in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter { out.append(byte) }
    }
  }
}

extension Severity {
  /// RFC 5424 table 2.
  var syslogSeverity: Int {
    switch self {
    case .critical: 2
    case .high: 3
    case .medium: 4
    case .low: 5
    case .informational: 6
    }
  }
}
