// Which events a Sigma log source means, and what Sigma's field names are called in them (docs/events.md). Names by Sigma's taxonomy
// appendix; a field that is in no table is refused rather than guessed, except where the log's own names are kept.
import Events
import Primitives

struct SigmaLogSource {
  /// `agent_source.type` of the host profile.
  var agentSource: String
  var isHost: Bool { agentSource.hasPrefix("host_") }
  /// What every event of it has.
  var discriminator: (field: String, values: [String])?
  /// Sigma's names -> ours.
  var fields: [String: String]
  /// Fields outside the table keep their names: the log is key=value or JSON, and the event has them as they are.
  var keepsNames: Bool
  /// `tags.category` where no tactic is tagged.
  var category: String

  /// ATR's name for a field; nil where there is none.
  func name(_ field: String) -> String? {
    if let known = fields[field] { return known }
    if Field(name: field) != nil || field.utf8.contains(0x2e) { return field }
    return keepsNames ? field : nil
  }

  /// A field whose events have it decoded -> the part of `url.original` that it was, as patterns of what stands before it, of one character
  /// of it and of what ends it: texts that are encoded are found only there.
  struct Undecoded {
    var before: String
    var character: String
    var end: String
  }
  static let undecoded = [
    "url.path": Undecoded(before: "^", character: "[^?]", end: "(?:\\?|\(Wildcards.end))"),
    "url.query": Undecoded(before: "^[^?]*\\?", character: "[\\s\\S]", end: Wildcards.end),
  ]

  /// nil where this log source has no counterpart here.
  static func find(product: String, category: String, service: String) -> SigmaLogSource? {
    // Rules for agents, as `--to sigma` writes them.
    if product == "ai-agent", !category.isEmpty {
      return SigmaLogSource(
        agentSource: category.replacing("-", with: "_"), discriminator: nil, fields: [:], keepsNames: true, category: "uncategorized")
    }
    guard product.isEmpty || products.contains(product) || categories[category] != nil && product == "unix" else {
      return nil
    }
    if !category.isEmpty { return categories[category] }
    if !service.isEmpty { return services[service] }
    return product == "linux" ? services["syslog"] : ["nginx", "apache"].contains(product) ? categories["webserver"] : product == "ecs" ? ecs : nil
  }

  /// What of a log source that is not found could be another word: the nearest one, or all that there are.
  static func hint(product: String, category: String, service: String) -> String {
    func known(_ kind: String, _ word: String, _ table: [String: SigmaLogSource]) -> String {
      let names = table.keys.sorted()
      return nearest(word, in: names).map { "did you mean \(kind) '\($0)'?" } ?? "\(kind) may be \(names.joined(separator: ", "))"
    }
    let isKnownProduct = product.isEmpty || products.contains(product)
    if isKnownProduct, !category.isEmpty { return known("category", category, categories) }
    if isKnownProduct, !service.isEmpty { return known("service", service, services) }
    return "product may be \(products.joined(separator: ", ")); without one, category may be \(categories.keys.sorted().joined(separator: ", "))"
  }
  private static let products = ["linux", "nginx", "apache", "zeek", "ecs"]

  /// Rules that name ECS fields and no log source of Sigma's own: what `--to sigma` writes.
  private static let ecs = SigmaLogSource(agentSource: "host_log", discriminator: nil, fields: [:], keepsNames: true, category: "execution")

  private static let network = [
    "src_ip": "source.ip", "dst_ip": "destination.ip", "src_port": "source.port", "dst_port": "destination.port", "protocol": "network.transport",
    "SourceIp": "source.ip", "DestinationIp": "destination.ip", "SourcePort": "source.port", "DestinationPort": "destination.port",
    "DestinationHostname": "destination.domain", "Protocol": "network.transport",
  ]
  private static let process = [
    "Image": "process.executable", "CommandLine": "process.command_line", "CurrentDirectory": "process.working_directory", "User": "user.name",
    "ParentImage": "process.parent.executable", "ParentCommandLine": "process.parent.command_line", "ProcessId": "process.pid",
    "ParentProcessId": "process.parent.pid", "ParentUser": "process.parent.user.name",
  ]
  private static let web = [
    "c-ip": "source.ip", "src_ip": "source.ip", "cs-method": "http.request.method", "cs-uri": "url.original", "c-uri": "url.original",
    "cs-uri-query": "url.query", "c-uri-query": "url.query", "cs-uri-stem": "url.path", "c-uri-stem": "url.path",
    "sc-status": "http.response.status_code", "sc-bytes": "http.response.body.bytes", "cs-bytes": "http.request.body.bytes",
    "cs-user-agent": "user_agent.original", "c-useragent": "user_agent.original", "cs-referer": "http.request.referrer",
    "cs-referrer": "http.request.referrer", "cs-host": "url.domain", "r-dns": "url.domain", "cs-username": "user.name", "cs-version": "http.version",
    "c-uri-extension": "url.extension", "cs-cookie": "http.request.cookie", "dst_ip": "destination.ip",
  ]
  private static let auth = [
    "user": "user.name", "User": "user.name", "USER": "user.name", "src_ip": "source.ip", "rhost": "source.address", "hostname": "host.name",
    "pam_message": "message", "pam_user": "user.name", "pam_rhost": "source.address", "message": "message", "CommandLine": "process.command_line",
  ]
  private static let sshd = [
    "user": "user.name", "User": "user.name", "src_ip": "source.ip", "src_port": "source.port", "rhost": "source.address", "hostname": "host.name",
    "message": "message",
  ]
  /// The words in capitals are those of sudo's own line, where USER is the account that was asked for; the caller stands before them.
  private static let sudo = [
    "user": "user.name", "User": "user.name", "USER": "user.effective.name", "GROUP": "group.name", "COMMAND": "process.command_line",
    "CommandLine": "process.command_line", "Image": "process.executable", "PWD": "process.working_directory",
    "CurrentDirectory": "process.working_directory", "TTY": "process.tty", "hostname": "host.name", "message": "message",
  ]
  private static let cron = [
    "user": "user.name", "User": "user.name", "CommandLine": "process.command_line", "COMMAND": "process.command_line", "hostname": "host.name",
    "message": "message",
  ]

  private static let categories: [String: SigmaLogSource] = [
    "process_creation": SigmaLogSource(
      agentSource: "host_process", discriminator: nil, fields: process, keepsNames: false, category: "execution"),
    "file_event": SigmaLogSource(
      agentSource: "host_process", discriminator: nil, fields: process.merging(["TargetFilename": "file.path"]) { a, _ in a }, keepsNames: false,
      category: "persistence"),
    "network_connection": SigmaLogSource(
      agentSource: "host_network", discriminator: nil, fields: process.merging(network) { a, _ in a }, keepsNames: false,
      category: "command-and-control"),
    "firewall": SigmaLogSource(
      agentSource: "host_network", discriminator: ("event.category", ["network"]), fields: network, keepsNames: false, category: "discovery"),
    "dns": SigmaLogSource(
      agentSource: "host_network", discriminator: nil,
      fields: network.merging([
        "query": "dns.question.name", "record_type": "dns.question.type", "answer": "dns.answers",
        "parent_domain": "dns.question.registered_domain",
      ]) { a, _ in a }, keepsNames: false, category: "command-and-control"),
    "proxy": SigmaLogSource(agentSource: "host_network", discriminator: nil, fields: web, keepsNames: false, category: "command-and-control"),
    "webserver": SigmaLogSource(
      agentSource: "host_log", discriminator: ("event.category", ["web"]), fields: web, keepsNames: false, category: "initial-access"),
  ]
  /// Lines of any program: those that no parser knows keep the names of their key=value pairs.
  private static func log(_ category: String) -> SigmaLogSource {
    SigmaLogSource(agentSource: "host_log", discriminator: nil, fields: auth, keepsNames: true, category: category)
  }
  /// Lines of one program, which its parser takes apart: no field has a name but those of `fields` and of the host profile.
  private static func service(_ provider: String, _ fields: [String: String], _ category: String) -> SigmaLogSource {
    SigmaLogSource(
      agentSource: "host_log", discriminator: ("event.provider", [provider]), fields: fields, keepsNames: false, category: category)
  }
  private static let services: [String: SigmaLogSource] = [
    "auth": log("credential-access"), "syslog": log("execution"), "sshd": service("sshd", sshd, "credential-access"),
    "sudo": service("sudo", sudo, "privilege-escalation"), "cron": service("cron", cron, "persistence"),
    // The records of auditd are key=value; their names are kept.
    "auditd": SigmaLogSource(agentSource: "host_log", discriminator: nil, fields: [:], keepsNames: true, category: "execution"),
  ]
}
