// Kernel messages: packets logged by iptables, nftables, ufw and firewalld, and the few others that matter to security.
// A packet line is "PREFIX IN=eth0 OUT= MAC=.. SRC=.. DST=.. LEN=.. .. PROTO=TCP SPT=.. DPT=.. SYN" (Linux nf_log). The prefix is the rule's;
// everything behind it is written by the kernel in this order. ICMP errors quote the inner packet in "[...]", which is skipped: its
// addresses are whatever the sender of the error put there. Of a key that occurs twice (LEN) the first counts: the IP header's.
import Events
import Primitives

extension ServiceParser {
  /// Actions firewall-packet (rule.name is the prefix; outcome failure, success or unknown by its words), syn-flood, oom-kill,
  /// segfault, usb-connected.
  public static let kernel = ServiceParser(name: "kernel", programs: ["kernel", "ulogd"], parse: KernelFirewall.parse)
}

enum KernelFirewall {
  @Sendable
  static func parse(_ message: Bytes, _ event: inout Event) -> Bool {
    var text = message
    // "[ 1234.567890] ", where the header parser has not taken it.
    if text.starts(with: "["), let close = text.index(of: 0x5d), close < 24, isUptime(text.slice(1, close)) {
      text = text.from(close + 1)
      while text.count > 0, text[0] == 0x20 { text = text.from(1) }
    }
    return packet(text, &event) || other(text, &event)
  }
  private static func isUptime(_ text: Bytes) -> Bool {
    let digits = text.trimmed
    guard let dot = digits.index(of: 0x2e) else { return false }
    return digits.upTo(dot).decimal != nil && digits.from(dot + 1).decimal != nil
  }

  // MARK: Packets

  /// The longest prefix: NF_LOG_PREFIXLEN is 128 in the kernel.
  private static let maxPrefixBytes = 128

  private static func packet(_ text: Bytes, _ event: inout Event) -> Bool {
    // "IN=name OUT=name ", either name may be empty; the prefix need not end in a space.
    var start: Int?
    var from = 0
    while let hit = text.index(of: "IN=", from: from), hit <= maxPrefixBytes {
      let end = text.index(of: 0x20, from: hit) ?? text.count
      if text.from(end).starts(with: " OUT="), end - hit <= 3 + 15 {
        start = hit
        break
      }
      from = hit + 3
    }
    // A USB device writes its own name, which may look like anything.
    guard let start, !text.starts(with: "usb ") else { return false }

    var source: Bytes = .none
    var destination: Bytes = .none
    var inbound: Bytes = .none
    var outbound: Bytes = .none
    var hardware: Bytes = .none
    var hardwareSource: Bytes = .none
    var hardwareDestination: Bytes = .none
    var length: Bytes = .none
    var proto: Bytes = .none
    var sourcePort: Bytes = .none
    var destinationPort: Bytes = .none
    var type: Bytes = .none
    var code: Bytes = .none
    var flagsStart = -1
    var flagsEnd = -1
    var at = start
    while at < text.count {
      if text[at] == 0x20 {
        at += 1
        continue
      }
      if text[at] == 0x5b {  // the inner packet
        guard let close = text.index(of: 0x5d, from: at) else { break }
        at = close + 1
        continue
      }
      let end = text.index(of: 0x20, from: at) ?? text.count
      let token = text.slice(at, end)
      if let equals = token.index(of: 0x3d) {
        let value = token.from(equals + 1)
        switch equals {
        case 2 where token.starts(with: "IN"): if inbound.count == 0 { inbound = value }
        case 3:
          if token.starts(with: "SRC") {
            if source.count == 0 { source = value }
          } else if token.starts(with: "DST") {
            if destination.count == 0 { destination = value }
          } else if token.starts(with: "SPT") {
            if sourcePort.count == 0 { sourcePort = value }
          } else if token.starts(with: "DPT") {
            if destinationPort.count == 0 { destinationPort = value }
          } else if token.starts(with: "LEN") {
            if length.count == 0 { length = value }
          } else if token.starts(with: "OUT") {
            if outbound.count == 0 { outbound = value }
          } else if token.starts(with: "MAC") {
            if hardware.count == 0 { hardware = value }
          }
        case 4: if token.starts(with: "TYPE"), type.count == 0 { type = value } else if token.starts(with: "CODE"), code.count == 0 { code = value }
        case 5: if token.starts(with: "PROTO"), proto.count == 0 { proto = value }
        case 6:
          if token.starts(with: "MACSRC") { hardwareSource = value } else if token.starts(with: "MACDST") { hardwareDestination = value }
        default: break
        }
      } else if proto.equals("TCP"), isFlag(token) {
        if flagsStart < 0 { flagsStart = at }
        flagsEnd = end
      }
      at = end
    }
    guard let sourceIP = IPAddress(source), let destinationIP = IPAddress(destination) else { return false }

    event.set(.eventProvider, "kernel")
    event.set(.eventDataset, "kernel.firewall")
    event.set(.eventCategory, "network")
    event.set(.eventAction, "firewall-packet")
    event.set(.sourceIP, sourceIP)
    event.set(.destinationIP, destinationIP)
    if let port = sourcePort.decimal, port <= 65_535 { event.set(.sourcePort, port) }
    if let port = destinationPort.decimal, port <= 65_535 { event.set(.destinationPort, port) }
    if let bytes = length.decimal { event.set(.networkBytes, bytes) }
    if inbound.count > 0 { event.set(.networkInboundInterface, inbound) }
    if outbound.count > 0 { event.set(.networkOutboundInterface, outbound) }
    setTransport(proto, into: &event)
    if hardware.count == 41 {  // Ethernet: destination, source, type
      hardwareDestination = hardware.upTo(17)
      hardwareSource = hardware.slice(18, 35)
    }
    if hardwareSource.count == 17 { event.set(.sourceMac, hardwareSource) }
    if hardwareDestination.count == 17 { event.set(.destinationMac, hardwareDestination) }
    if type.count > 0 { event.setExtra(Bytes("icmp.type"), type) }
    if code.count > 0 { event.setExtra(Bytes("icmp.code"), code) }
    if flagsStart >= 0 { event.setExtra(Bytes("tcp.flags"), text.slice(flagsStart, flagsEnd)) }

    var prefix = text.upTo(start).trimmed
    while prefix.count > 0, prefix[prefix.count - 1] == 0x3a || prefix[prefix.count - 1] == 0x20 { prefix = prefix.upTo(prefix.count - 1) }
    if prefix.count > 0 { event.set(.ruleName, prefix) }
    event.set(.eventOutcome, verdict(prefix))
    return true
  }

  private static let transports: [(logged: StaticString, name: StaticString)] = [
    ("TCP", "tcp"), ("UDP", "udp"), ("ICMP", "icmp"), ("ICMPv6", "ipv6-icmp"), ("SCTP", "sctp"), ("UDPLITE", "udplite"), ("DCCP", "dccp"),
    ("AH", "ah"), ("ESP", "esp"), ("1", "icmp"), ("2", "igmp"), ("6", "tcp"), ("17", "udp"), ("47", "gre"), ("58", "ipv6-icmp"), ("132", "sctp"),
  ]
  /// IANA's keyword in lower case, as ECS wants it; a number without one of these names stays a number.
  private static func setTransport(_ proto: Bytes, into event: inout Event) {
    for row in transports where proto.equals(row.logged) {
      event.set(.networkTransport, row.name)
      return
    }
    if proto.decimal != nil { event.set(.networkTransport, proto) }
  }
  private static func isFlag(_ token: Bytes) -> Bool {
    token.count == 3
      && (token.equals("SYN") || token.equals("ACK") || token.equals("FIN") || token.equals("RST") || token.equals("PSH") || token.equals("URG")
        || token.equals("CWR") || token.equals("ECE"))
  }

  private static let refusing: [StaticString] = ["block", "drop", "deny", "denied", "reject", "invalid"]
  private static let admitting: [StaticString] = ["accept", "allow", "pass"]
  /// What the rule's own prefix says about the packet's fate. Refusal wins: a prefix that names both is more likely about a refusal.
  private static func verdict(_ prefix: Bytes) -> StaticString {
    for word in refusing where contains(prefix, word) { return "failure" }
    for word in admitting where contains(prefix, word) { return "success" }
    return "unknown"
  }
  /// Whether `text` has `word` (lower case) in any case. Prefixes are at most 128 bytes long.
  private static func contains(_ text: Bytes, _ word: StaticString) -> Bool {
    let n = word.utf8CodeUnitCount
    guard text.count >= n else { return false }
    for start in 0...(text.count - n) {
      var i = 0
      while i < n, text[start + i] | 0x20 == word.utf8Start[i] { i += 1 }
      if i == n { return true }
    }
    return false
  }

  // MARK: Others

  private static let templates: [MessageTemplate] = [
    // Process names are chosen by their users and are at most 15 bytes long.
    MessageTemplate(
      ["Out of memory: Killed process ", .hole(.processPid), " (", .hole(.processName), ") total-vm:", .ignored], "host", "oom-kill", "unknown"),
    MessageTemplate(
      ["Memory cgroup out of memory: Killed process ", .hole(.processPid), " (", .hole(.processName), ") total-vm:", .ignored], "host", "oom-kill",
      "unknown", reason: "cgroup"),
    MessageTemplate(
      ["Out of memory: Kill process ", .hole(.processPid), " (", .hole(.processName), ") score ", .ignored], "host", "oom-kill", "unknown"),
    MessageTemplate(["usb ", .ignored, ": New USB device found, idVendor=", .ignored, ", idProduct=", .ignored], "host", "usb-connected"),
  ]

  private static func other(_ text: Bytes, _ event: inout Event) -> Bool {
    synFlood(text, &event) || segfault(text, &event) || templates.parse(text, provider: "kernel", into: &event)
  }

  /// "[TCP: ][request_sock_TCP: ]Possible SYN flooding on port 443. ..." and, since Linux 6.5, "on port 0.0.0.0:443." or "[::]:443."
  private static func synFlood(_ text: Bytes, _ event: inout Event) -> Bool {
    guard let hit = text.index(of: "ossible SYN flooding on port "), hit <= 40 else { return false }
    let rest = text.from(hit + 29)
    var word = rest.upTo(rest.index(of: 0x20) ?? rest.count)
    if word.ends(with: ".") { word = word.upTo(word.count - 1) }
    let port = word.from((word.lastIndex(of: 0x3a) ?? -1) + 1)
    guard let number = port.decimal, number <= 65_535 else { return false }
    event.set(.eventProvider, "kernel")
    event.set(.eventCategory, "network")
    event.set(.eventAction, "syn-flood")
    event.set(.eventOutcome, "unknown")
    event.set(.destinationPort, number)
    return true
  }

  /// "NAME[PID]: segfault at ADDRESS ip ..."; "traps: NAME[PID] general protection fault ip:..."
  private static func segfault(_ text: Bytes, _ event: inout Event) -> Bool {
    var name: Bytes
    var pid: Bytes
    if let hit = text.lastIndex(of: "]: segfault at "), let open = text.lastIndex(of: 0x5b, before: hit) {
      name = text.upTo(open)
      pid = text.slice(open + 1, hit)
    } else if text.starts(with: "traps: "), let hit = text.lastIndex(of: "] general protection"), let open = text.lastIndex(of: 0x5b, before: hit) {
      name = text.slice(7, open)
      pid = text.slice(open + 1, hit)
    } else {
      return false
    }
    guard let number = pid.decimal, name.count > 0, name.count <= 16 else { return false }
    event.set(.eventProvider, "kernel")
    event.set(.eventCategory, "process")
    event.set(.eventAction, "segfault")
    event.set(.processName, name)
    event.set(.processPid, number)
    return true
  }
}
