// The enforcer's own configuration: what only the operator may decide, in a file that the engine cannot write. Read once, at start.
// What a key is called, its default and why stand once, in `EnforcerKey.all`; reading and the reference text follow it.
import Enforcement
import Glibc
import Primitives
import TypedYAML

public struct EnforcerConfiguration: Sendable {
  public static let defaultPath = "/etc/panguard/enforcer.yaml"

  public var socketPath = EnforcerClient.defaultPath
  /// Whose requests are answered, besides root's and the enforcer's own user's.
  public var engineUser = "panguard"
  public var allowlist: [CIDR] = []
  /// Besides those that sshd's configuration names.
  public var administrationPorts: [UInt16] = []
  var sessionRule = AdminSessions.Rule.authenticated
  public var sessionGrace = Nanoseconds.seconds(150)
  public var policy = EnforcerPolicy()
  public init() {}

  /// The configuration at `path`, or what is wrong with it. A file that others than root and the enforcer's user may write is refused. The
  /// default file may be absent.
  public static func load(path: String) -> (configuration: EnforcerConfiguration?, diagnostics: [Diagnostic]) {
    var status = stat()
    if stat(path, &status) != 0, errno == ENOENT, path == defaultPath { return (EnforcerConfiguration(), []) }
    switch readOwnedDocumentFile(path) {
    case .failure(let failure): return (nil, [failure.diagnostic])
    case .success(let bytes): return bytes.withUnsafeBytes { load($0, file: path) }
    }
  }

  public static func load(_ bytes: Bytes, file: String) -> (configuration: EnforcerConfiguration?, diagnostics: [Diagnostic]) {
    let (documents, failures) = YAMLParser.parse(bytes, file: file)
    guard failures.isEmpty else { return (nil, failures) }
    guard let document = documents.first else { return (EnforcerConfiguration(), []) }
    let problems = Problems()
    if documents.count > 1 { problems.error(documents[1].root.location, "a configuration is one document, but here a second one begins") }
    var configuration = EnforcerConfiguration()
    if let root = Section(document.root, problems: problems) {
      root.refuseUnknownKeys(EnforcerKey.all.map(\.name))
      for key in EnforcerKey.all where root.has(key.name) { key.read(root, key.name, &configuration) }
      if configuration.policy.shortest > configuration.policy.longest {
        problems.error(root.location(of: "shortest_block"), "'shortest_block' is longer than 'longest_block'")
      }
    }
    return (problems.errorCount == 0 ? configuration : nil, problems.finished(file: file))
  }

  /// A file with every key, its default and its reason. It loads, and means the same as an empty file.
  public static var reference: String {
    "# The enforcer's configuration. Only root may write it; the engine cannot. Read at start.\n"
      + EnforcerKey.all.map { key in
        "\n" + key.description.map { "# \($0)\n" }.joined() + "\(key.name): \(key.defaultText)\n"
      }.joined()
  }
}

struct EnforcerKey: Sendable {
  let name: String
  let defaultText: String
  let description: [String]
  let read: @Sendable (_ section: Section, _ key: String, _ configuration: inout EnforcerConfiguration) -> Void

  static let all: [EnforcerKey] = [
    EnforcerKey(
      name: "allowlist", defaultText: "[]",
      description: [
        "Networks that are never blocked, whoever asks: your own addresses, offices, monitoring.", "For example [198.51.100.7, 2001:db8:1::/48].",
      ]
    ) { section, key, configuration in
      let nodes = section.textNodes(key)
      if nodes.count > Limits.allowlistEntries {
        section.problems.error(section.location(of: key), "'\(key)' has \(nodes.count) entries, more than \(Limits.allowlistEntries)")
      }
      configuration.allowlist = nodes.prefix(Limits.allowlistEntries).compactMap { node in
        if let network = node.text.flatMap({ CIDR($0) }) { return network }
        section.problems.error(node.location, "'\(key)' must hold addresses or networks, not '\(node.text ?? "")'", hint: "for example 192.0.2.0/24")
        return nil
      }
    },
    EnforcerKey(
      name: "admin_ports", defaultText: "[]",
      description: [
        "TCP ports over which this host is administered, besides 22 and those that sshd's configuration names.",
        "Who has a live session there is never blocked.",
      ]
    ) { section, key, configuration in
      let nodes = section.textNodes(key)
      if nodes.count > Limits.administrationPorts {
        section.problems.error(section.location(of: key), "'\(key)' has \(nodes.count) entries, more than \(Limits.administrationPorts)")
      }
      configuration.administrationPorts = nodes.compactMap { node in
        if let port = node.text.flatMap({ UInt16($0) }), port > 0 { return port }
        section.problems.error(node.location, "'\(key)' must hold port numbers from 1 to 65535, not '\(node.text ?? "")'")
        return nil
      }
    },
    EnforcerKey(
      name: "admin_sessions", defaultText: "authenticated",
      description: [
        "Which connections to these ports count as a session:",
        "  authenticated: somebody is logged in from there (logind, utmp), or the server marked the connection as a session's (sshd does),",
        "                 or it is older than admin_session_age. An attacker cannot hide behind a connection that he just holds open.",
        "  established:   every TCP connection. Nobody who is connected is blocked, attackers included.",
      ]
    ) { section, key, configuration in
      if let rule = section.choice(key, AdminSessions.Rule.self) { configuration.sessionRule = rule }
    },
    EnforcerKey(
      name: "admin_session_age", defaultText: "150s",
      description: [
        "A connection this old is a session. On sshd's ports it is never less than its LoginGraceTime and 30s; where that is 0, age says nothing."
      ]
    ) { section, key, configuration in
      if let span = section.duration(key) { configuration.sessionGrace = span }
    },
    EnforcerKey(
      name: "shortest_block", defaultText: "10s", description: ["Shorter blocks are refused."]
    ) { section, key, configuration in
      if let seconds = wholeSeconds(section, key) { configuration.policy.shortest = seconds }
    },
    EnforcerKey(
      name: "longest_block", defaultText: "7d",
      description: ["Longer blocks are refused: whatever happens to the agent, the kernel lets everybody in again after this time."]
    ) { section, key, configuration in
      if let seconds = wholeSeconds(section, key) { configuration.policy.longest = seconds }
    },
    EnforcerKey(
      name: "blocks_per_minute", defaultText: "1000",
      description: [
        "More blocks are refused. As many may come at once. What the engine restores after a reboot, before anything else is blocked,",
        "does not count.",
      ]
    ) { section, key, configuration in
      if let count = section.integer(key, in: 1...100_000) { configuration.policy.blocksPerMinute = Int(count) }
    },
    EnforcerKey(
      name: "max_blocks", defaultText: "\(Limits.enforcedBlocks)", description: ["Blocks at a time. More are refused."]
    ) { section, key, configuration in
      if let count = section.integer(key, in: 1...Int64(Limits.enforcedBlocks)) { configuration.policy.capacity = Int(count) }
    },
    EnforcerKey(
      name: "heartbeat_timeout", defaultText: "60s", description: ["An engine that is silent for so long is reported. Its blocks end by themselves."]
    ) { section, key, configuration in
      if let span = section.duration(key) { configuration.policy.heartbeatTimeout = span }
    },
    EnforcerKey(
      name: "socket", defaultText: "/run/panguard/enforcer.sock",
      description: ["Where the engine and the operator's command connect. Made with mode 0660."]
    ) { section, key, configuration in
      guard let path = section.text(key) else { return }
      if path.hasPrefix("/"), path.utf8.count < 108 {
        configuration.socketPath = path
      } else {
        section.problems.error(section.location(of: key), "'\(key)' must be an absolute path of at most 107 bytes")
      }
    },
    EnforcerKey(
      name: "engine_user", defaultText: "panguard", description: ["The user whose requests are answered, besides root and the enforcer's own."]
    ) { section, key, configuration in
      if let name = section.text(key) { configuration.engineUser = name }
    },
  ]

  private static func wholeSeconds(_ section: Section, _ key: String) -> UInt32? {
    guard let span = section.duration(key) else { return nil }
    guard let seconds = UInt32(exactly: span.wholeSeconds), seconds >= 1, seconds <= 366 * 86_400 else {
      section.problems.error(section.location(of: key), "'\(key)' must be between 1s and 366d")
      return nil
    }
    return seconds
  }
}
