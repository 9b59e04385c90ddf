// What is to be done, to whom exactly: what the planner hands out and others carry out. Texts here may hold names from hostile logs:
// who shows them on a terminal escapes them.
import Detection
import Primitives

/// A process, by what names it for good: a number alone may have passed on to another one.
public struct ProcessReference: Hashable, Sendable, Codable {
  public var pid: Int32
  /// Field 22 of /proc/PID/stat, clock ticks since boot; 0: not known.
  public var startTicks: UInt64
  /// When the number was this process's: what was started later is another one. `distantPast`: not known. One of the two is known.
  public var seenAt: EventTime
  public init(pid: Int32, startTicks: UInt64 = 0, seenAt: EventTime = .distantPast) {
    self.pid = pid
    self.startTicks = startTicks
    self.seenAt = seenAt
  }
}

/// What a decision's subject does not name and a step may need; the runtime knows it or not.
public struct ResponseTargets: Hashable, Sendable {
  public var process: ProcessReference?
  /// An absolute path.
  public var file: String?
  public init(process: ProcessReference? = nil, file: String? = nil) {
    self.process = process
    self.file = file
  }
}

public enum ResponseAction: Hashable, Sendable, Codable {
  /// IPv6 is always a network of /64 or wider: one host has a whole one. `ttl` is above zero.
  case blockIP(CIDR, ttl: Nanoseconds)
  case unblockIP(CIDR)
  /// Placeholders of arguments are filled in.
  case notify(Notification)
  case captureLines(limit: Int)
  /// Out of what the capture recorded: from `seconds` before the first evidence of the decision until as long after the last.
  case capturePackets(CIDR, seconds: Int, bytes: Int)
  case discardPackets(CIDR)
  case killProcess(ProcessReference, KillSignal)
  case quarantineFile(String)
  case restoreFile(String)
  case disableAccount(String)
  case enableAccount(String)
  case logOnly

  /// "block_ip 192.0.2.7/32 for 10m": the form of tests, simulations and audit lines.
  public var text: String {
    switch self {
    case .blockIP(let network, let ttl): "block_ip \(network) for \(ttl)"
    case .unblockIP(let network): "unblock_ip \(network)"
    case .notify(.syslog(let level)): "notify syslog \(level.rawValue)"
    case .notify(.webhook(let name)): "notify webhook \(name)"
    case .notify(.executable(let name, let arguments)): (["notify executable", name] + arguments).joined(separator: " ")
    case .captureLines(let limit): "capture_evidence \(limit) lines"
    case .capturePackets(let network, let seconds, let bytes):
      "capture_evidence packets of \(network), \(seconds)s before and after, up to \(bytes) bytes"
    case .discardPackets(let network): "discard_packets of \(network)"
    case .killProcess(let process, let signal): "kill_process \(process.pid) with \(signal.rawValue)"
    case .quarantineFile(let path): "quarantine_file \(path)"
    case .restoreFile(let path): "restore_file \(path)"
    case .disableAccount(let name): "disable_account \(name)"
    case .enableAccount(let name): "enable_account \(name)"
    case .logOnly: "log_only"
    }
  }

  /// What takes it back; nil where nothing can, or nothing need.
  public var rollback: ResponseAction? {
    switch self {
    case .blockIP(let network, _): .unblockIP(network)
    case .quarantineFile(let path): .restoreFile(path)
    case .disableAccount(let name): .enableAccount(name)
    case .capturePackets(let network, _, _): .discardPackets(network)
    case .unblockIP, .notify, .captureLines, .discardPackets, .killProcess, .restoreFile, .enableAccount, .logOnly: nil
    }
  }
}

extension Subject {
  /// What would be blocked: an IPv4 address or network as it is, IPv6 as /64 at least.
  public var network: CIDR? { source.flatMap { CIDR($0) }?.ofWholeHosts }
}

/// What arguments of an executable may name. Only values that no attacker can word: everything else goes to its standard input, as JSON.
enum NotificationPlaceholder: String, CaseIterable {
  case decision = "{decision}"
  case rule = "{rule}"
  case severity = "{severity}"
  case confidence = "{confidence}"
  case address = "{address}"
  case playbook = "{playbook}"

  func value(_ decision: Decision, playbook: String) -> String {
    switch self {
    case .decision: decision.id
    case .rule: decision.ruleID
    case .severity: decision.severity.rawValue
    case .confidence: decision.confidence.description
    case .address: decision.subject.network?.description ?? "none"
    case .playbook: playbook
    }
  }
  /// `argument` with every placeholder filled in; what is filled in is not looked at again, because no value holds a brace.
  static func fill(_ argument: String, _ decision: Decision, playbook: String) -> String {
    guard argument.utf8.contains(0x7b) else { return argument }
    var out = ""
    var rest = Substring(argument)
    while let brace = rest.firstIndex(of: "{") {
      out += rest[..<brace]
      rest = rest[brace...]
      if let placeholder = allCases.first(where: { rest.hasPrefix($0.rawValue) }) {
        out += placeholder.value(decision, playbook: playbook)
        rest = rest.dropFirst(placeholder.rawValue.count)
      } else {
        out += "{"
        rest = rest.dropFirst()
      }
    }
    return out + rest
  }
}
