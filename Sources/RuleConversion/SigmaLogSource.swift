// Which events a Sigma log source means, and what Sigma's field names are called in them (docs/events.md). Names by Sigma's taxonomy
// appendix; a field that is in no table is refused rather than guessed, except where the log's own names are kept.
import Events

struct SigmaLogSource {
  /// `agent_source.type` of the host profile.
  var agentSource: String
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

  /// nil where this log source has no counterpart here.
  static func find(product: String, category: String, service: String) -> SigmaLogSource? {
    // Rules for agents, as `--to sigma` writes them.
    if product == "ai-agent", !category.isEmpty {
      return SigmaLogSource(
        agentSource: category.replacing("-", with: "_"), discriminator: nil, fields: [:], keepsNames: true, category: "uncategorized")
    }
    guard product.isEmpty || ["linux", "nginx", "apache", "zeek", "ecs"].contains(product) || categories[category] != nil && product == "unix" else {
      return nil
    }
    if !category.isEmpty { return categories[category] }
    if !service.isEmpty { return services[service] }
    return product == "linux" ? services["syslog"] : ["nginx", "apache"].contains(product) ? categories["webserver"] : product == "ecs" ? ecs : nil
  }

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
        "query": "dns.question.name", "record_type": "dns.question.type", "answer": "dns.answers.data",
        "parent_domain": "dns.question.registered_domain",
      ]) { a, _ in a }, keepsNames: false, category: "command-and-control"),
    "proxy": SigmaLogSource(agentSource: "host_network", discriminator: nil, fields: web, keepsNames: false, category: "command-and-control"),
    "webserver": SigmaLogSource(
      agentSource: "host_log", discriminator: ("event.category", ["web"]), fields: web, keepsNames: false, category: "initial-access"),
  ]
  private static func log(_ providers: [String], _ category: String) -> SigmaLogSource {
    SigmaLogSource(
      agentSource: "host_log", discriminator: providers.isEmpty ? nil : ("event.provider", providers), fields: auth, keepsNames: true,
      category: category)
  }
  private static let services: [String: SigmaLogSource] = [
    "auth": log([], "credential-access"), "sshd": log(["sshd"], "credential-access"), "sudo": log(["sudo"], "privilege-escalation"),
    "syslog": log([], "execution"), "cron": log(["cron"], "persistence"),
    // The records of auditd are key=value; their names are kept.
    "auditd": SigmaLogSource(agentSource: "host_log", discriminator: nil, fields: [:], keepsNames: true, category: "execution"),
  ]
}
