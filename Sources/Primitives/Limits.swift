// Every table, queue, line, file and time of Panguard has its limit here: unit, reason, and what happens beyond it.
// A limit without a counter that `panguard status` shows is a bug.

public enum Limits {
  /// Bytes of one log line that are kept. Longer lines are cut here, counted, and skipped to their newline.
  /// syslog's own limit is 8 KiB by default (rsyslog $maxMessageSize); 64 KiB leaves room for JSON access logs.
  @inlinable public static var lineBytes: Int { 64 * 1024 }
  /// Bytes of decoded or derived text (unescaped JSON, decoded URLs) that one event may add to its raw line.
  /// Beyond it the value is cut and the event is marked truncated.
  @inlinable public static var derivedBytes: Int { 64 * 1024 }
  /// Fields outside the field table (key=value, JSON) in one event. More are dropped and counted in the event.
  public static let extraFields = 64
  /// Nesting of a JSON document. Deeper is an error: nothing that a log writes needs more.
  public static let jsonDepth = 32

  /// Pairs read from one key=value message. Beyond it the message does not count as nothing but pairs, so that no address is taken
  /// from it, and the rest is left alone.
  public static let keyValuePairs = 256
  /// Bytes of one key in key=value text. A longer word is not a key.
  public static let keyBytes = 64
  /// Rounds of percent-decoding of one URL. Encoding twice has uses, encoding more often only hides; what is left stays encoded.
  public static let percentDecodingRounds = 3

  /// sshd processes whose lines are being joined into attempts. Beyond it the longest-silent one is closed and counted.
  public static let openSessions = 4096
  /// Silence after which a session's lines are one attempt even if its outcome was never logged.
  /// sshd answers a password within 3 s (pam_faildelay), so 5 s cannot split an attempt in two.
  public static let sessionSilence = Nanoseconds.seconds(5)
  /// Silence after which a session is forgotten. LoginGraceTime is 120 s by default.
  public static let sessionLifetime = Nanoseconds.seconds(300)

  /// Groups (for instance source addresses) that one behavioural or correlation rule follows at a time.
  /// Beyond it the group that was silent longest is evicted and counted.
  public static let groupsPerRule = 16_384
  /// Entries that one group keeps in its window. Thresholds above it are refused when the rule is loaded.
  public static let entriesPerGroup = 1024
  /// Entries of all groups of all rules together: the memory bound of the engine (32 bytes each).
  public static let windowEntries = 512 * 1024
  /// Evidence references in one decision. The first and the last ones are kept; the rest are counted.
  public static let evidencePerDecision = 32
  /// Subjects whose signals are being added up. Beyond it the longest-silent one is forgotten and counted.
  public static let subjects = 65_536
  /// Open incidents. Beyond it the longest-silent one is closed and counted.
  public static let openIncidents = 65_536

  /// PCRE2 match limit (backtracking steps) and heap, for each confirmation. Hitting it is an event with the rule's id.
  public static let regexMatchSteps: UInt32 = 100_000
  public static let regexHeapKiB: UInt32 = 1024

  /// A rule file, a configuration file. Larger ones are refused.
  public static let documentBytes = 1024 * 1024
  /// YAML nesting and aliases. Beyond it the document is refused (alias bombs).
  public static let documentDepth = 64
  public static let documentNodes = 100_000
}
