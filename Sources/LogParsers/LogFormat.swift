// What kind of line an input holds, as configuration and `panguard parse --format` name it.

/// The form of an input's lines.
public enum LogFormat: String, Sendable, CaseIterable {
  /// Decided for each line: a syslog header if there is one, else the forms below.
  case auto
  /// RFC 3164, rsyslog's ISO form or RFC 5424.
  case syslog
  /// Web access log: common, combined, with virtual host.
  case access
  /// Web server error log.
  case error = "web-error"
  /// One JSON object for each line.
  case json
  /// No header and no known form: the whole line is the message.
  case plain
  /// rsyslogd's lines with the kernel's word on each sender (see RsyslogEntry). Never guessed: only the owner knows who writes a file.
  case rsyslog
}

/// How much of a line was understood.
public enum ParseOutcome: Sendable {
  /// Header (where the form has one) and message.
  case parsed
  /// The header's fields and the message text; no parser knew the message.
  case headerOnly
  /// Not even a header. The event holds `message` and nothing else.
  case unparsed
}

/// What a parser has seen, for `panguard status`. All counts are of lines.
public struct LogParserCounters: Sendable, Equatable {
  public var lines: UInt64 = 0
  public var parsed: UInt64 = 0
  public var headerOnly: UInt64 = 0
  public var unparsed: UInt64 = 0
  /// Lines that stand for several ("message repeated N times").
  public var repeated: UInt64 = 0
  /// Lines with two readings, for which nobody is blamed.
  public var ambiguous: UInt64 = 0
  /// Lines or values that were cut at a limit.
  public var truncated: UInt64 = 0
  /// Stamps whose date cannot be (31 February, second 61, years outside 1970...2199); the time of the line before is used.
  public var badTime: UInt64 = 0
  /// Processes that were vouched for and forgotten early, because others with a similar number came.
  public var vouchersEvicted: UInt64 = 0
  public init() {}
}
