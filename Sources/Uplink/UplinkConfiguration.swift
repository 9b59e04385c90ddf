// The uplink's own configuration: which webhooks there are, in a file that the engine cannot write. Read once, at start, with the secrets.
// What a key is called, its default and why stand once, in `UplinkKey.all` and `WebhookKey.all`; reading and the reference text follow them.
// What must stay true: without the file there is no webhook, and so no connection; a secret is in no message.
import Confinement
import Glibc
import Primitives
import TypedYAML
import UplinkProtocol

public struct Webhook: Sendable {
  public var name: String
  public var url = WebhookURL()
  /// 16 to 1,024 bytes.
  var secret: [UInt8] = []
  /// "sha256//" and base64, each of one public key; empty: what the certificate authorities vouch for is enough.
  public var pins: [String] = []
  public var timeout = Nanoseconds.seconds(10)
  public var authorities = Webhook.systemAuthorities
  static let systemAuthorities = "/etc/ssl/certs/ca-certificates.crt"
}

public struct UplinkConfiguration: Sendable {
  public static let defaultPath = "/etc/panguard/uplink.yaml"

  public var socketPath = "/run/panguard/uplink.sock"
  /// Whose requests are answered, besides root's and the uplink's own user's.
  public var engineUser = "panguard"
  /// By name.
  public var webhooks: [Webhook] = []
  public init() {}

  /// The configuration at `path`, or what is wrong with it. A file that others than root and the uplink's user may write is refused.
  public static func load(path: String) -> (configuration: UplinkConfiguration?, diagnostics: [Diagnostic]) {
    switch readOwnedDocumentFile(path) {
    case .failure(let failure): return (nil, [failure.diagnostic])
    case .success(let bytes): return bytes.withUnsafeBytes { load($0, file: path) }
    }
  }

  public static func load(_ bytes: Bytes, file: String) -> (configuration: UplinkConfiguration?, diagnostics: [Diagnostic]) {
    let (documents, failures) = YAMLParser.parse(bytes, file: file)
    guard failures.isEmpty else { return (nil, failures) }
    guard let document = documents.first else { return (UplinkConfiguration(), []) }
    let problems = Problems()
    if documents.count > 1 { problems.error(documents[1].root.location, "a configuration is one document, but here a second one begins") }
    var configuration = UplinkConfiguration()
    if let root = Section(document.root, problems: problems) {
      root.refuseUnknownKeys(UplinkKey.all.map(\.name))
      for key in UplinkKey.all where root.has(key.name) { key.read(root, key.name, &configuration) }
    }
    return (problems.errorCount == 0 ? configuration : nil, problems.finished(file: file))
  }

  /// A file with every key, its default and its reason. It loads, and names no webhook: they are comments.
  public static var reference: String {
    func comment(_ lines: [String]) -> String { lines.map { "# \($0)\n" }.joined() }
    let webhook = WebhookKey.all.map { key in
      key.description.map { "#     # \($0)\n" }.joined() + "#     \(key.name): \(key.example)\n"
    }.joined()
    return comment([
      "The uplink's configuration. Only root may write it; the engine cannot. Read at start.",
      "Panguard makes a connection to another host for what is named here, and for nothing else. docs/uplink.md",
    ])
      + UplinkKey.all.map { key in
        "\n" + comment(key.description) + "\(key.name): \(key.defaultText)\n" + (key.name == "webhooks" ? "#   ops:\n" + webhook : "")
      }.joined()
  }
}

struct UplinkKey: Sendable {
  let name: String
  let defaultText: String
  let description: [String]
  let read: @Sendable (_ section: Section, _ key: String, _ configuration: inout UplinkConfiguration) -> Void

  static let all: [UplinkKey] = [
    UplinkKey(
      name: "webhooks", defaultText: "{}",
      description: ["Where playbooks may send decisions to: `notify: {webhook: ops}` means the webhook that is called ops here."]
    ) { section, key, configuration in
      guard let list = section.section(key) else { return }
      if list.entries.count > Limits.webhooks {
        section.problems.error(section.location(of: key), "'\(key)' has \(list.entries.count) entries, more than \(Limits.webhooks)")
      }
      for entry in list.entries.prefix(Limits.webhooks) {
        guard UplinkName.isValid(entry.key.utf8) else {
          section.problems.error(entry.keyLocation, "a webhook's name has 1 to 64 letters, digits, '-', '_' or '.', not '\(shown(entry.key))'")
          continue
        }
        guard let own = Section(entry.value, path: "\(key).\(entry.key)", problems: section.problems) else { continue }
        var webhook = Webhook(name: entry.key)
        own.refuseUnknownKeys(WebhookKey.all.map(\.name))
        for row in WebhookKey.all where row.isRequired || own.has(row.name) { row.read(own, row.name, &webhook) }
        configuration.webhooks.append(webhook)
      }
      configuration.webhooks.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    },
    UplinkKey(
      name: "socket", defaultText: "/run/panguard/uplink.sock", description: ["Where the engine connects. Made with mode 0660."]
    ) { section, key, configuration in
      guard let path = section.text(key) else { return }
      if path.hasPrefix("/"), path.utf8.count < 108 {
        configuration.socketPath = path
      } else {
        section.problems.error(section.location(of: key), "'\(key)' must be an absolute path of at most 107 bytes")
      }
    },
    UplinkKey(
      name: "engine_user", defaultText: "panguard", description: ["The user whose requests are answered, besides root and the uplink's own."]
    ) { section, key, configuration in
      if let name = section.text(key) { configuration.engineUser = name }
    },
  ]
}

/// The keys of one webhook.
struct WebhookKey: Sendable {
  let name: String
  let example: String
  let description: [String]
  var isRequired = false
  let read: @Sendable (_ section: Section, _ key: String, _ webhook: inout Webhook) -> Void

  static let all: [WebhookKey] = [
    // Before the address, which it is about.
    WebhookKey(
      name: "allow_http_to_loopback", example: "false",
      description: ["For tests: an http:// address is let through if it is one of this host's own (127.0.0.0/8, [::1])."]
    ) { section, key, webhook in
      webhook.url.mayBePlain = section.flag(key) ?? false
    },
    WebhookKey(
      name: "url", example: "https://hooks.example.org/panguard",
      description: ["Where to: https:// only, TLS 1.3 only, no user name or password in it. Redirects are not followed."], isRequired: true
    ) { section, key, webhook in
      guard let text = section.text(key, isRequired: true) else { return }
      if let problem = webhook.url.take(text) { section.problems.error(section.location(of: key), "'\(section.qualified(key))' \(problem)") }
    },
    WebhookKey(
      name: "secret_file", example: "/etc/panguard/ops.secret",
      description: [
        "What requests are signed with (HMAC-SHA256): 16 to 1024 bytes, without the newline at the end. Mode 0600; it belongs to root or to",
        "the uplink's user. For example: openssl rand -hex 32",
      ], isRequired: true
    ) { section, key, webhook in
      guard let path = section.text(key, isRequired: true) else { return }
      switch Secret.read(path) {
      case .success(let secret): webhook.secret = secret
      case .failure(let problem): section.problems.error(section.location(of: key), "'\(section.qualified(key))': \(path): \(problem.text)")
      }
    },
    WebhookKey(
      name: "pin", example: "[]",
      description: [
        "Only servers with one of these keys are spoken to, whoever vouches for others: \"sha256//\" and the base64 of the SHA-256 of the",
        "public key (SubjectPublicKeyInfo). Two of them let you change keys.",
      ]
    ) { section, key, webhook in
      let nodes = section.textNodes(key)
      if nodes.count > 8 { section.problems.error(section.location(of: key), "'\(section.qualified(key))' has \(nodes.count) entries, more than 8") }
      webhook.pins = nodes.compactMap { node in
        guard let text = node.text, isPin(text) else {
          section.problems.error(node.location, "'\(section.qualified(key))' must hold 'sha256//' and 44 characters of base64")
          return nil
        }
        return text
      }
    },
    WebhookKey(
      name: "timeout", example: "10s", description: ["The longest that one request may take, from 1s to 60s."]
    ) { section, key, webhook in
      guard let span = section.duration(key) else { return }
      guard (Nanoseconds.seconds(1)...Nanoseconds.seconds(60)).contains(span) else {
        section.problems.error(section.location(of: key), "'\(section.qualified(key))' must be between 1s and 60s")
        return
      }
      webhook.timeout = span
    },
    WebhookKey(
      name: "authorities", example: Webhook.systemAuthorities,
      description: ["The certificate authorities that may vouch for the server (PEM), for a server with a certificate of your own."]
    ) { section, key, webhook in
      guard let path = section.text(key) else { return }
      guard path.hasPrefix("/"), access(path, R_OK) == 0 else {
        section.problems.error(section.location(of: key), "'\(section.qualified(key))' must be the absolute path of a file that can be read")
        return
      }
      webhook.authorities = path
    },
  ]

  private static func isPin(_ text: String) -> Bool {
    let base64 = text.utf8.dropFirst(8)
    return text.hasPrefix("sha256//") && base64.count == 44 && base64.last == 0x3d
      && base64.dropLast().allSatisfy {
        (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2b || $0 == 0x2f
      }
  }
}

private enum Secret {
  struct Problem: Error { var text: String }

  static func read(_ path: String) -> Result<[UInt8], Problem> {
    func failure(_ text: String) -> Result<[UInt8], Problem> { .failure(Problem(text: text)) }
    guard path.hasPrefix("/") else { return failure("must be an absolute path") }
    guard case let file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY), file >= 0 else { return failure(errorText(errno)) }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return failure("is not a regular file") }
    guard status.st_mode & 0o077 == 0 else { return failure("others may read it; chmod 0600 it") }
    // The program's user is who it becomes; root asks it to check.
    guard status.st_uid == 0 || status.st_uid == geteuid() || status.st_uid == Account.named(UplinkConfinement.userName)?.user else {
      return failure("belongs to user \(status.st_uid), not to root or to this program's user")
    }
    var bytes = [UInt8](repeating: 0, count: 1026)
    let count = Glibc.read(file, &bytes, bytes.count)
    guard count >= 0 else { return failure(errorText(errno)) }
    bytes.removeLast(bytes.count - count)
    while let last = bytes.last, last == 0x0a || last == 0x0d { bytes.removeLast() }
    guard (16...1024).contains(bytes.count) else { return failure("has \(bytes.count) bytes, but must have 16 to 1024") }
    return .success(bytes)
  }
}
