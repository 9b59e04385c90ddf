// The agent's configuration: typed values, each with a default, so that an empty file works. What a key is called, which type it
// has, what it does by default and why stands once, in ConfigurationKeys.swift; reading, the reference text and the hash follow it.
import Detection
import Events
import Glibc
import LogParsers
import NetworkDetection
import Primitives
import RuleLanguage
import Scoring
import TypedYAML

public struct Configuration: Sendable {
  /// One place that log lines come from.
  public struct Source: Sendable, Equatable {
    public enum Input: Sendable, Equatable {
      /// A file or a shell pattern (`*`, `?`, `[...]`), absolute.
      case files(String)
      case journal
    }
    public enum Format: String, Sendable, CaseIterable {
      case auto, syslog, access
      case webError = "web-error"
      case json, plain, rsyslog
    }
    public enum Trust: String, Sendable, CaseIterable { case claimed, attested }
    public var input: Input
    public var format: Format
    /// Read a never-seen file from its first line instead of from its end.
    public var readsFromStart: Bool
    public var trust: Trust
    public init(input: Input, format: Format = .auto, readsFromStart: Bool = false, trust: Trust = .claimed) {
      self.input = input
      self.format = format
      self.readsFromStart = readsFromStart
      self.trust = trust
    }
    var logFormat: LogFormat { LogFormat(rawValue: format.rawValue) ?? .auto }
    var eventTrust: Events.Trust { trust == .attested ? .attested : .claimed }
    /// As glob(3) does it: a wildcard stands neither for a slash nor for a leading dot.
    func covers(_ path: String) -> Bool {
      guard case .files(let pattern) = input else { return false }
      return pattern == path || fnmatch(pattern, path, FNM_PATHNAME | FNM_PERIOD) == 0
    }
  }
  /// The first configured source that `path` belongs to.
  public func source(of path: String) -> Source? {
    guard !path.isEmpty, path != "-" else { return nil }
    let resolved = realpath(path, nil)
    defer { free(resolved) }
    let absolute = resolved.map { String(cString: $0) } ?? path
    return sources?.first { $0.covers(path) || $0.covers(absolute) }
  }
  public enum TextOutput: String, Sendable, CaseIterable { case auto, always, never }

  /// nil: the agent looks for the logs that this host has.
  public var sources: [Source]?
  /// Empty: the shipped rules (see RuleStore).
  public var ruleDirectories: [String] = []
  /// Rules that are loaded but not run, by id.
  public var disabledRules: [String] = []
  /// How mature a rule must be to be evaluated.
  public var lane = RuleLane.hunt
  /// Profiles whose rules run, by id, id@version or file. Empty: every rule.
  public var profiles: [String] = []
  /// Never proposed for blocking, whatever the evidence.
  public var allowlist: [CIDR] = []
  /// nil: where the user's state belongs (see AgentPaths).
  public var stateDirectory: String?
  /// Seconds east of UTC, for log lines whose time stamp has no zone.
  public var logUTCOffsetSeconds: Int64 = 0
  /// Whether evidence that any local user could have written may lead to a block.
  public var claimedEvidenceMayBlock = false
  /// Empty: the host's own, else the shipped ones (see PlaybookStore).
  public var playbookDirectories: [String] = []
  /// The enforcer's socket. nil: the enforcer that `panguard run` starts, as a service the usual path.
  public var enforcerPath: String?
  /// Whether the events of `panguard-capture` are a source.
  public var readsNetwork = false
  /// The capture's socket. nil: the capture that `panguard run` starts, as a service the usual path.
  public var capturePath: String?
  /// What the owner says of his network (see NetworkDetectionConfiguration).
  public var network = NetworkDetectionConfiguration()
  /// When an incident that proposes a block is told again (see DetectorConfiguration).
  public var reconsiderAfter = DetectorConfiguration().reconsiderAfter
  /// In thousandths.
  public var actThreshold = 900
  public var notifyThreshold = 700
  /// Weights, caps and table of confidences (docs/confidence.md). nil: what is built in.
  public var confidencePath: String?
  /// What that file says, once it is read.
  public var confidence = ConfidenceModel.shipped
  /// Repeats of one subject and rule inside this span are one incident.
  public var incidentWindow = Nanoseconds.hours(24)
  /// Whether the agent learns what is usual on this host.
  public var usesBaseline = true
  /// Whether the agent records its input from its start on, how many bytes it may keep, and for how long.
  public var isRecording = false
  public var recordBytes: Int64 = 1 << 30
  static let recordBytesRange: ClosedRange<Int64> = 16 << 20...1 << 40
  public var recordKeep = Nanoseconds.days(14)
  public var textOutput = TextOutput.auto
  /// A file that every decision is appended to, one JSON object a line.
  public var jsonlPath: String?
  /// A file that every decision is appended to as an ATR event, with the key that signs it.
  public struct ATREvents: Sendable, Equatable {
    public var path: String
    /// nil: not signed.
    public var keyPath: String?
    public var redacts = true
  }
  public var atrEvents: ATREvents?
  /// The socket that every decision is sent to as RFC 5424.
  public var syslogPath: String?
  /// Bytes of old lines that are read at start to know open sessions and windows; they cause no decisions.
  public var warmUpBytes: Int64 = 4 << 20

  public init() {}

  /// What a detector is told.
  public var detector: DetectorConfiguration {
    var settings = DetectorConfiguration()
    settings.actThreshold = Confidence(thousandths: actThreshold)
    settings.notifyThreshold = Confidence(thousandths: notifyThreshold)
    settings.allowlist = allowlist
    settings.incidentWindow = incidentWindow
    settings.reconsiderAfter = reconsiderAfter
    settings.claimedMayBlock = claimedEvidenceMayBlock
    settings.usesBaseline = usesBaseline
    settings.network = network
    settings.confidence = confidence
    settings.confidence.hash = SHA256Hash.hex(of: Array(ConfidenceFile.text(confidence).utf8))
    settings.hash = hash
    return settings
  }

  public static let defaultEnforcerPath = "/run/panguard/enforcer.sock"
  public static let defaultCapturePath = "/run/panguard/capture.sock"
  public static let defaultPath = "/etc/panguard/panguard.yaml"

  /// The configuration in the file at `path`, and what is wrong with it. nil if there is an error; warnings come with a value.
  public static func load(path: String) -> (configuration: Configuration?, diagnostics: [Diagnostic]) {
    switch readDocumentFile(path) {
    case .failure(let failure): return (nil, [failure.diagnostic])
    case .success(let bytes):
      var status = stat()
      if stat(path, &status) == 0, status.st_mode & S_IWOTH != 0 {
        return (nil, [Diagnostic(.error, SourceLocation(file: path), "anybody may write this file", hint: "chmod o-w it")])
      }
      var (configuration, diagnostics) = bytes.withUnsafeBytes { load($0, file: path) }
      if let file = configuration?.confidencePath {
        let (model, problems) = readConfidence(path: file)
        diagnostics += problems
        if let model { configuration?.confidence = model } else { configuration = nil }
      }
      return (configuration, diagnostics)
    }
  }

  /// The confidence file at `path`, and what is wrong with it. nil if there is an error.
  public static func readConfidence(path: String) -> (model: ConfidenceModel?, diagnostics: [Diagnostic]) {
    switch readDocumentFile(path) {
    case .failure(let failure): return (nil, [failure.diagnostic])
    case .success(let bytes): return bytes.withUnsafeBytes { ConfidenceFile.read($0, file: path) }
    }
  }

  /// The same for text in memory; `file` names it in locations.
  public static func load(_ bytes: Bytes, file: String) -> (configuration: Configuration?, diagnostics: [Diagnostic]) {
    let (documents, failures) = YAMLParser.parse(bytes, file: file)
    guard failures.isEmpty else { return (nil, failures) }
    guard let document = documents.first else { return (Configuration(), []) }
    let problems = Problems()
    if documents.count > 1 { problems.error(documents[1].root.location, "a configuration is one document, but here a second one begins") }
    var configuration = Configuration()
    if let root = Section(document.root, problems: problems) {
      ConfigurationKey.read(root, into: &configuration)
      configuration.check(root)
    }
    return (problems.errorCount == 0 ? configuration : nil, problems.finished(file: file))
  }

  public static func load(_ text: String, file: String) -> (configuration: Configuration?, diagnostics: [Diagnostic]) {
    var copy = text
    return copy.withUTF8 { load(Bytes($0), file: file) }
  }

  /// What no single key can see.
  private func check(_ root: Section) {
    if notifyThreshold > actThreshold {
      let thresholds = root.section("thresholds")
      func shown(_ value: Int) -> String { fixedPointText(Int64(value), digits: 3) }
      root.problems.error(
        thresholds?.location(of: "notify") ?? root.location,
        "'thresholds.notify' (\(shown(notifyThreshold))) is above 'thresholds.act' (\(shown(actThreshold)))")
    }
  }

  /// Every effective value, one `key=value` a line in the table's order: the same for two files that mean the same.
  public var canonicalText: String { ConfigurationKey.all.map { "\($0.path)=\($0.canonical(self))\n" }.joined() }

  /// SHA-256 of `canonicalText`, 64 hexadecimal digits. It stands in every decision.
  public var hash: String { SHA256Hash.hex(of: Array(canonicalText.utf8)) }

  /// A configuration file with every key, its default and its reason. It loads, and means the same as an empty file.
  public static var reference: String { ConfigurationKey.reference }
}
