// The one table of field names: ECS 8.x where ECS has a name, ATR's own names for agent events, `panguard.` for ours.
// A field outside the table is kept in the event as an extra field under the name it came with.
import Primitives

/// A known field of an event. The raw value is its place in the table; never store it, store the name.
@frozen public enum Field: UInt8, CaseIterable, Codable, Sendable {
  // event
  case eventCategory, eventAction, eventOutcome, eventReason, eventProvider, eventDataset, eventDuration
  case message
  // log header
  case hostName, logSyslogPriority, logSyslogFacility, logSyslogSeverity, logSyslogMsgid, logLevel
  // process
  case processName, processPid, processExecutable, processCommandLine, processWorkingDirectory, processTty, processParentName
  case processParentPid, processParentExecutable, processParentCommandLine, processParentUserName
  // people
  case userName, userID, userEffectiveName, userEffectiveID, userTargetName, userTargetID, userTargetHome, userTargetShell
  case groupName, groupID
  // network
  case sourceIP, sourcePort, sourceAddress, sourceNetwork, sourceMac
  case destinationIP, destinationPort, destinationMac, destinationDomain
  case networkTransport, networkProtocol, networkBytes, networkInboundInterface, networkOutboundInterface
  // web
  case httpRequestMethod, httpRequestReferrer, httpRequestBodyBytes, httpVersion, httpResponseStatusCode, httpResponseBodyBytes
  case urlOriginal, urlPath, urlQuery, urlDomain, userAgentOriginal
  // files
  case filePath
  // systemd, journald
  case systemdUnit, systemdSessionID
  case ruleName
  // agents (ATR)
  case agentID, sessionID, userInput, agentOutput, toolName, toolArgs, toolResponse, content
  case agentMessage, toolDescription, toolInput, eventType, scanTarget
  // ours
  case authenticationMethod, keyFingerprint, keyType, attemptCount, sshClientOffer, pamService, isAmbiguous
  // network: flows and frames
  case networkType, networkCommunityID, networkDirection, networkPackets, networkVLAN, sourceBytes, sourcePackets, destinationBytes
  case destinationPackets, frameNumber, flowState, icmpType, icmpCode, icmpPayloadBytes
  // DNS
  case dnsType, dnsID, dnsOpCode, dnsHeaderFlags, dnsQuestionName, dnsQuestionType, dnsQuestionClass, dnsQuestionRegisteredDomain
  case dnsQuestionSubdomain, dnsResponseCode, dnsAnswers, dnsAnswersCount, dnsResolvedIP, dnsEDNSPayloadBytes
  // TLS, QUIC
  case tlsVersion, tlsCipher, tlsNextProtocol, tlsClientServerName, tlsClientJA3, tlsClientJA4, tlsClientSupportedProtocols
  case tlsClientVersion, tlsClientHelloEncrypted, tlsServerJA3S, tlsServerSubject, tlsServerIssuer, tlsServerNotBefore, tlsServerNotAfter
  case tlsServerSelfSigned
  // HTTP bodies
  case httpRequestMimeType, httpRequestBodyContent, httpResponseMimeType, httpResponseBodyContent
  // SSH
  case sshClientBanner, sshServerBanner, sshClientHASSH, sshServerHASSH
  // JSON-RPC (OpenTelemetry's names), credentials
  case rpcMethod, rpcRequestID, rpcErrorCode, isCleartextCredential
  case flowEnd, flowTunnel, tlsServerExpired, httpResponseProgram
  // the baseline's judgement
  case baselineLoginNetwork, baselineLoginMethod, baselineLoginHost, baselineLoginHour, baselineSudoCommand, baselineSwitchedUser
  case baselineCronCommand, baselineService, baselineProcessParent, baselineServicePort, baselineDNSDomain, baselineTLSClient
  case baselineLogins, baselineAttempts, baselineCommands, baselineEvents, baselineSentBytes
  case baselineProcessPort, baselineListener, baselineProcessTLS, baselineTriedUsers, baselineDestinations, baselineSentShare
  case baselineUploadSize, baselineFlowDuration, baselineResponseSize, baselineSSHClient

  @frozen public enum Kind: Sendable { case text, integer, address }

  /// The name in rules, in JSON and on screen.
  public var name: StaticString { Field.table[Int(rawValue)].name }
  public var kind: Kind { Field.table[Int(rawValue)].kind }

  public init?(name: String) {
    guard let field = Field.byName[name] else { return nil }
    self = field
  }
  /// The same for borrowed bytes, without making a String of names that are not known.
  public init?(name: Bytes) {
    guard let field = Field.byFingerprint[Fingerprint(of: name)] else { return nil }
    self = field
  }
  /// A text that is a JSON array: in JSON it stands as the array that it is.
  public var isList: Bool {
    switch self {
    case .dnsHeaderFlags, .dnsAnswers, .dnsResolvedIP, .tlsClientSupportedProtocols: true
    default: false
    }
  }
  /// ATR's own names: no log of a host has them.
  public var isOfAgents: Bool { (Field.agentID.rawValue...Field.scanTarget.rawValue).contains(rawValue) }
  public static var allNames: [String] { allCases.map { "\($0.name)" } }

  private static let byName: [String: Field] = Dictionary(uniqueKeysWithValues: allCases.map { ("\($0.name)", $0) })
  private static let byFingerprint: [Fingerprint: Field] = Dictionary(
    uniqueKeysWithValues: allCases.map { (Fingerprint(of: Bytes($0.name)), $0) })

  private static let table: [(name: StaticString, kind: Kind)] = allCases.map { $0.definition }
  private var definition: (name: StaticString, kind: Kind) {
    switch self {
    case .eventCategory: ("event.category", .text)
    case .eventAction: ("event.action", .text)
    case .eventOutcome: ("event.outcome", .text)
    case .eventReason: ("event.reason", .text)
    case .eventProvider: ("event.provider", .text)
    case .eventDataset: ("event.dataset", .text)
    case .eventDuration: ("event.duration", .integer)
    case .message: ("message", .text)
    case .hostName: ("host.name", .text)
    case .logSyslogPriority: ("log.syslog.priority", .integer)
    case .logSyslogFacility: ("log.syslog.facility.code", .integer)
    case .logSyslogSeverity: ("log.syslog.severity.code", .integer)
    case .logSyslogMsgid: ("log.syslog.msgid", .text)
    case .logLevel: ("log.level", .text)
    case .processName: ("process.name", .text)
    case .processPid: ("process.pid", .integer)
    case .processExecutable: ("process.executable", .text)
    case .processCommandLine: ("process.command_line", .text)
    case .processWorkingDirectory: ("process.working_directory", .text)
    case .processTty: ("process.tty", .text)
    case .processParentName: ("process.parent.name", .text)
    case .processParentPid: ("process.parent.pid", .integer)
    case .processParentExecutable: ("process.parent.executable", .text)
    case .processParentCommandLine: ("process.parent.command_line", .text)
    case .processParentUserName: ("process.parent.user.name", .text)
    case .userName: ("user.name", .text)
    case .userID: ("user.id", .text)
    case .userEffectiveName: ("user.effective.name", .text)
    case .userEffectiveID: ("user.effective.id", .text)
    case .userTargetName: ("user.target.name", .text)
    case .userTargetID: ("user.target.id", .text)
    case .userTargetHome: ("user.target.home", .text)
    case .userTargetShell: ("user.target.shell", .text)
    case .groupName: ("group.name", .text)
    case .groupID: ("group.id", .text)
    case .sourceIP: ("source.ip", .address)
    case .sourcePort: ("source.port", .integer)
    case .sourceAddress: ("source.address", .text)
    case .sourceNetwork: ("source.network", .text)
    case .sourceMac: ("source.mac", .text)
    case .destinationIP: ("destination.ip", .address)
    case .destinationPort: ("destination.port", .integer)
    case .destinationMac: ("destination.mac", .text)
    case .destinationDomain: ("destination.domain", .text)
    case .networkTransport: ("network.transport", .text)
    case .networkProtocol: ("network.protocol", .text)
    case .networkBytes: ("network.bytes", .integer)
    case .networkInboundInterface: ("observer.ingress.interface.name", .text)
    case .networkOutboundInterface: ("observer.egress.interface.name", .text)
    case .httpRequestMethod: ("http.request.method", .text)
    case .httpRequestReferrer: ("http.request.referrer", .text)
    case .httpRequestBodyBytes: ("http.request.body.bytes", .integer)
    case .httpVersion: ("http.version", .text)
    case .httpResponseStatusCode: ("http.response.status_code", .integer)
    case .httpResponseBodyBytes: ("http.response.body.bytes", .integer)
    case .urlOriginal: ("url.original", .text)
    case .urlPath: ("url.path", .text)
    case .urlQuery: ("url.query", .text)
    case .urlDomain: ("url.domain", .text)
    case .userAgentOriginal: ("user_agent.original", .text)
    case .filePath: ("file.path", .text)
    case .systemdUnit: ("systemd.unit", .text)
    case .systemdSessionID: ("systemd.session.id", .text)
    case .ruleName: ("rule.name", .text)
    case .agentID: ("agent.id", .text)
    case .sessionID: ("session.id", .text)
    case .userInput: ("user_input", .text)
    case .agentOutput: ("agent_output", .text)
    case .toolName: ("tool_name", .text)
    case .toolArgs: ("tool_args", .text)
    case .toolResponse: ("tool_response", .text)
    case .content: ("content", .text)
    case .agentMessage: ("agent_message", .text)
    case .toolDescription: ("tool_description", .text)
    case .toolInput: ("tool_input", .text)
    case .eventType: ("event_type", .text)
    case .scanTarget: ("scan_target", .text)
    case .authenticationMethod: ("panguard.auth.method", .text)
    case .keyFingerprint: ("panguard.key.fingerprint", .text)
    case .keyType: ("panguard.key.type", .text)
    case .attemptCount: ("panguard.attempt.count", .integer)
    case .sshClientOffer: ("panguard.ssh.client_offer", .text)
    case .pamService: ("panguard.pam.service", .text)
    case .isAmbiguous: ("panguard.ambiguous", .integer)
    case .networkType: ("network.type", .text)
    case .networkCommunityID: ("network.community_id", .text)
    case .networkDirection: ("network.direction", .text)
    case .networkPackets: ("network.packets", .integer)
    case .networkVLAN: ("network.vlan.id", .integer)
    case .sourceBytes: ("source.bytes", .integer)
    case .sourcePackets: ("source.packets", .integer)
    case .destinationBytes: ("destination.bytes", .integer)
    case .destinationPackets: ("destination.packets", .integer)
    case .frameNumber: ("frame.number", .integer)
    case .flowState: ("panguard.flow.state", .text)
    case .icmpType: ("panguard.icmp.type", .integer)
    case .icmpCode: ("panguard.icmp.code", .integer)
    case .icmpPayloadBytes: ("panguard.icmp.payload_bytes", .integer)
    case .dnsType: ("dns.type", .text)
    case .dnsID: ("dns.id", .integer)
    case .dnsOpCode: ("dns.op_code", .text)
    case .dnsHeaderFlags: ("dns.header_flags", .text)
    case .dnsQuestionName: ("dns.question.name", .text)
    case .dnsQuestionType: ("dns.question.type", .text)
    case .dnsQuestionClass: ("dns.question.class", .text)
    case .dnsQuestionRegisteredDomain: ("dns.question.registered_domain", .text)
    case .dnsQuestionSubdomain: ("dns.question.subdomain", .text)
    case .dnsResponseCode: ("dns.response_code", .text)
    case .dnsAnswers: ("dns.answers", .text)
    case .dnsAnswersCount: ("dns.answers_count", .integer)
    case .dnsResolvedIP: ("dns.resolved_ip", .text)
    case .dnsEDNSPayloadBytes: ("dns.opt.udp_size", .integer)
    case .tlsVersion: ("tls.version", .text)
    case .tlsCipher: ("tls.cipher", .text)
    case .tlsNextProtocol: ("tls.next_protocol", .text)
    case .tlsClientServerName: ("tls.client.server_name", .text)
    case .tlsClientJA3: ("tls.client.ja3", .text)
    case .tlsClientJA4: ("tls.client.ja4", .text)
    case .tlsClientSupportedProtocols: ("panguard.tls.client_protocols", .text)
    case .tlsClientVersion: ("panguard.tls.client_version", .text)
    case .tlsClientHelloEncrypted: ("panguard.tls.ech", .integer)
    case .tlsServerJA3S: ("tls.server.ja3s", .text)
    case .tlsServerSubject: ("tls.server.subject", .text)
    case .tlsServerIssuer: ("tls.server.issuer", .text)
    case .tlsServerNotBefore: ("tls.server.not_before", .text)
    case .tlsServerNotAfter: ("tls.server.not_after", .text)
    case .tlsServerSelfSigned: ("panguard.tls.self_signed", .integer)
    case .httpRequestMimeType: ("http.request.mime_type", .text)
    case .httpRequestBodyContent: ("http.request.body.content", .text)
    case .httpResponseMimeType: ("http.response.mime_type", .text)
    case .httpResponseBodyContent: ("http.response.body.content", .text)
    case .sshClientBanner: ("ssh.client.banner", .text)
    case .sshServerBanner: ("ssh.server.banner", .text)
    case .sshClientHASSH: ("ssh.client.hassh", .text)
    case .sshServerHASSH: ("ssh.server.hassh", .text)
    case .rpcMethod: ("rpc.method", .text)
    case .rpcRequestID: ("rpc.jsonrpc.request_id", .text)
    case .rpcErrorCode: ("rpc.jsonrpc.error_code", .integer)
    case .isCleartextCredential: ("panguard.auth.cleartext", .integer)
    case .flowEnd: ("panguard.flow.end", .text)
    case .flowTunnel: ("panguard.flow.tunnel", .text)
    case .tlsServerExpired: ("panguard.tls.expired", .integer)
    case .httpResponseProgram: ("panguard.http.program", .text)
    case .baselineLoginNetwork: ("baseline.login_network", .text)
    case .baselineLoginMethod: ("baseline.login_method", .text)
    case .baselineLoginHost: ("baseline.login_host", .text)
    case .baselineLoginHour: ("baseline.login_hour", .text)
    case .baselineSudoCommand: ("baseline.sudo_command", .text)
    case .baselineSwitchedUser: ("baseline.switched_user", .text)
    case .baselineCronCommand: ("baseline.cron_command", .text)
    case .baselineService: ("baseline.service", .text)
    case .baselineProcessParent: ("baseline.process_parent", .text)
    case .baselineServicePort: ("baseline.service_port", .text)
    case .baselineDNSDomain: ("baseline.dns_domain", .text)
    case .baselineTLSClient: ("baseline.tls_client", .text)
    case .baselineLogins: ("baseline.logins", .integer)
    case .baselineAttempts: ("baseline.attempts", .integer)
    case .baselineCommands: ("baseline.commands", .integer)
    case .baselineEvents: ("baseline.events", .integer)
    case .baselineSentBytes: ("baseline.sent_bytes", .integer)
    case .baselineProcessPort: ("baseline.process_port", .text)
    case .baselineListener: ("baseline.listener", .text)
    case .baselineProcessTLS: ("baseline.process_tls", .text)
    case .baselineTriedUsers: ("baseline.tried_users", .integer)
    case .baselineDestinations: ("baseline.destinations", .integer)
    case .baselineSentShare: ("baseline.sent_share", .integer)
    case .baselineUploadSize: ("baseline.upload_size", .integer)
    case .baselineFlowDuration: ("baseline.flow_duration", .integer)
    case .baselineResponseSize: ("baseline.response_size", .integer)
    case .baselineSSHClient: ("baseline.ssh_client", .text)
    }
  }
}
