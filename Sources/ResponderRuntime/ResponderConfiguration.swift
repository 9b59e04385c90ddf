// The responder's own configuration: which kinds of actions this host lets it do at all, and to whom it never does them. A file that only root
// can write; without it nothing is done. Read once, at start. What a key is called, its default and why stand once, in `ResponderKey.all`.
import Glibc
import HostActions
import Primitives
import TypedYAML

public struct ResponderConfiguration: Sendable, Equatable {
  public static let defaultPath = "/etc/panguard/responder.yaml"

  public var enabled: Set<HostAction.Kind> = []  // only looked up
  public var executablesDirectory = "/etc/panguard/actions.d"
  public var executablesUser = "panguard-notify"
  public var executablesTimeout = Nanoseconds.seconds(30)
  /// systemd units ("postgresql.service") and users.
  public var neverKill: [String] = []
  /// Absolute paths; what lies below is meant too.
  public var neverQuarantine: [String] = []
  public var neverDisable: [String] = []
  public var sparesLoggedIn = true
  public var actionsPerMinute = 10
  public var stateDirectory = "/var/lib/panguard-responder"
  /// Where the capture keeps what it saw (`recording_directory` of its own configuration).
  public var recordingDirectory = "/var/lib/panguard-capture"
  public var evidenceBytes: Int64 = 1 << 30
  public var evidenceFiles = 256
  public var evidenceKept = Nanoseconds.seconds(30 * 86_400)
  public var socketPath = "/run/panguard/responder.sock"
  public var engineUser = "panguard"
  public init() {}

  public var quarantineDirectory: String { stateDirectory + "/quarantine" }
  public var evidenceDirectory: String { stateDirectory + "/evidence" }

  /// The configuration at `path`, or what is wrong with it. A file that others than root (or who runs this) may write is refused.
  public static func load(path: String) -> (configuration: ResponderConfiguration?, diagnostics: [Diagnostic]) {
    switch readOwnedDocumentFile(path) {
    case .failure(let failure): return (nil, [failure.diagnostic])
    case .success(let bytes): return bytes.withUnsafeBytes { load($0, file: path) }
    }
  }

  public static func load(_ bytes: Bytes, file: String) -> (configuration: ResponderConfiguration?, diagnostics: [Diagnostic]) {
    let (documents, failures) = YAMLParser.parse(bytes, file: file)
    guard failures.isEmpty else { return (nil, failures) }
    guard let document = documents.first else { return (ResponderConfiguration(), []) }
    let problems = Problems()
    if documents.count > 1 { problems.error(documents[1].root.location, "a configuration is one document, but here a second one begins") }
    var configuration = ResponderConfiguration()
    if let root = Section(document.root, problems: problems) {
      root.refuseUnknownKeys(ResponderKey.all.map(\.name))
      for key in ResponderKey.all where root.has(key.name) { key.read(root, key.name, &configuration) }
    }
    return (problems.errorCount == 0 ? configuration : nil, problems.finished(file: file))
  }

  /// A file with every key, its default and its reason. It loads, and means the same as an empty file.
  public static var reference: String {
    """
    # The responder's configuration. Only root may write it; the engine cannot. Read at start.
    # As it stands it lets nothing be done: each kind of action is switched on by itself.

    """
      + ResponderKey.all.map { key in
        "\n" + key.description.map { "# \($0)\n" }.joined() + "\(key.name): \(key.defaultText)\n"
      }.joined()
  }
}

struct ResponderKey: Sendable {
  let name: String
  let defaultText: String
  let description: [String]
  let read: @Sendable (_ section: Section, _ key: String, _ configuration: inout ResponderConfiguration) -> Void

  private static func enabling(_ kind: HostAction.Kind, _ description: String...) -> ResponderKey {
    ResponderKey(name: kind.configurationKey, defaultText: "false", description: description) { section, key, configuration in
      guard let isEnabled = section.flag(key) else { return }
      if isEnabled { configuration.enabled.insert(kind) } else { configuration.enabled.remove(kind) }
    }
  }
  private static func path(
    _ name: String, _ field: WritableKeyPath<ResponderConfiguration, String> & Sendable, _ description: String...
  ) -> ResponderKey {
    ResponderKey(name: name, defaultText: ResponderConfiguration()[keyPath: field], description: description) { section, key, configuration in
      guard let path = section.text(key) else { return }
      if isPlain(path), path.utf8.count <= 100 {
        configuration[keyPath: field] = path
      } else {
        section.problems.error(section.location(of: key), "'\(key)' must be an absolute path of at most 100 bytes without '.', '..' and '//'")
      }
    }
  }
  private static func user(
    _ name: String, _ field: WritableKeyPath<ResponderConfiguration, String> & Sendable, _ description: String...
  ) -> ResponderKey {
    ResponderKey(name: name, defaultText: ResponderConfiguration()[keyPath: field], description: description) { section, key, configuration in
      if let text = section.text(key) { configuration[keyPath: field] = text }
    }
  }
  private static func list(
    _ name: String, _ field: WritableKeyPath<ResponderConfiguration, [String]> & Sendable, ofPaths: Bool = false, _ description: String...
  ) -> ResponderKey {
    ResponderKey(name: name, defaultText: "[]", description: description) { section, key, configuration in
      let texts = section.texts(key)
      if texts.count > Limits.sparedEntries {
        section.problems.error(section.location(of: key), "'\(key)' has \(texts.count) entries, but may have \(Limits.sparedEntries)")
      }
      if ofPaths, let wrong = texts.first(where: { !isPlain($0) }) {
        section.problems.error(section.location(of: key), "'\(key)': '\(shown(wrong))' is not an absolute path without '.', '..' and '//'")
      }
      configuration[keyPath: field] = texts
    }
  }
  static func isPlain(_ path: String) -> Bool {
    path.hasPrefix("/") && path.utf8.count > 1 && !path.utf8.contains(0)
      && path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
  }

  static let all: [ResponderKey] = [
    enabling(.run, "Start executables for `notify: {executable: NAME}`."),
    enabling(.kill, "Kill processes for `kill_process`."),
    enabling(.quarantine, "Move files away for `quarantine_file`."),
    enabling(.disable, "Lock accounts for `disable_account`."),
    enabling(
      .cut, "Cut packets out of the capture's recording for `capture_evidence: {packets: ...}`. Takes `recording: true` and",
      "`recording_group: panguard-responder` in /etc/panguard/capture.yaml."),
    path(
      "executables_directory", \.executablesDirectory,
      "Where executables lie. The directory and each file must belong to root, and nobody else may write them;",
      "they must be executable for others, because they do not run as root."),
    user("executables_user", \.executablesUser, "Whom they run as: a user of their own, never root."),
    ResponderKey(
      name: "executables_timeout", defaultText: "30s", description: ["What runs longer is killed, with everything that it started (1s to 10m)."]
    ) { section, key, configuration in
      guard let span = section.duration(key) else { return }
      if (1...600).contains(span.wholeSeconds) {
        configuration.executablesTimeout = span
      } else {
        section.problems.error(section.location(of: key), "'\(key)' must be between 1s and 10m")
      }
    },
    list(
      "never_kill", \.neverKill, "Whose processes are never killed: systemd units and users. For example [postgresql.service, backup].",
      "Process 1, kernel threads, sshd, systemd, dbus, login programs, leaders of login sessions and Panguard itself never are."),
    list(
      "never_quarantine", \.neverQuarantine, ofPaths: true, "What is never moved away, with all below it. For example [/srv/data].",
      "The system's own directories never are (docs/responder.md)."),
    list("never_disable", \.neverDisable, "Users who are never locked. Root, system accounts and the last administrator never are."),
    ResponderKey(
      name: "spare_logged_in", defaultText: "true",
      description: ["Do not lock a user who is logged in: a lock does not end his session, and may be meant for somebody else."]
    ) { section, key, configuration in
      if let isSpared = section.flag(key) { configuration.sparesLoggedIn = isSpared }
    },
    ResponderKey(
      name: "actions_per_minute", defaultText: "10",
      description: ["More actions are refused, executables and packets not counted. As many may come at once."]
    ) { section, key, configuration in
      if let count = section.integer(key, in: 1...1000) { configuration.actionsPerMinute = Int(count) }
    },
    path("state_directory", \.stateDirectory, "What was done, files in quarantine, and packets of decisions."),
    path("recording_directory", \.recordingDirectory, "Where the capture records: the same key of /etc/panguard/capture.yaml."),
    ResponderKey(
      name: "evidence_size", defaultText: "1GiB",
      description: ["Bytes of all files with packets of decisions together (1MiB to 1TiB). The oldest are removed for newer ones."]
    ) { section, key, configuration in
      if let count = section.byteCount(key, in: 1 << 20...1 << 40) { configuration.evidenceBytes = count }
    },
    ResponderKey(name: "evidence_files", defaultText: "256", description: ["How many there are at most (1 to 1000)."]) {
      section, key, configuration in
      if let count = section.integer(key, in: 1...1000) { configuration.evidenceFiles = Int(count) }
    },
    ResponderKey(name: "evidence_keep", defaultText: "30d", description: ["After that they are removed (1m to 365d)."]) {
      section, key, configuration in
      guard let span = section.duration(key) else { return }
      if (60...365 * 86_400).contains(span.wholeSeconds) {
        configuration.evidenceKept = span
      } else {
        section.problems.error(section.location(of: key), "'\(key)' must be between 1m and 365d")
      }
    },
    path("socket", \.socketPath, "Where the engine connects. Made with mode 0660."),
    user("engine_user", \.engineUser, "The user whose requests are answered, besides root and the responder's own."),
  ]
}
