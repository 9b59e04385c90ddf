// Which peers on the administration ports are administrators. Pure: connections, log-ins and time are handed in.
// What must stay true: a peer that is logged in is protected at once where the system shows it, and after `grace` in any case; a peer that
// merely holds a connection open is not, or an attacker would be safe from every block as long as he keeps one idle connection.
//
// A connection counts as a session when one of these holds:
//   the system's list of log-ins (logind, utmp) names its address;
//   the service has marked the connection with a type of service: OpenSSH does so when a session begins, after authentication (IPQoS);
//   it has lasted longer than a server lets anyone stay without authentication (sshd: LoginGraceTime, 120 s by default).
import Primitives

struct AdminSessions: Sendable {
  /// One established TCP connection to an administration port, as sock_diag(7) shows it.
  struct Connection: Hashable, Sendable {
    var peer: IPAddress
    var peerPort: UInt16
    var localPort: UInt16
    /// IP_TOS or IPV6_TCLASS of our side without the two congestion bits; 0 by default.
    var typeOfService: UInt8
    fileprivate struct Key: Hashable {
      var peer: IPAddress
      var peerPort: UInt16
      var localPort: UInt16
    }
    fileprivate var key: Key { Key(peer: peer, peerPort: peerPort, localPort: localPort) }
  }
  enum Rule: String, Sendable, CaseIterable { case authenticated, established }

  let rule: Rule
  let grace: Nanoseconds
  /// When each connection was first seen unblocked; 0: it was there when we began, which counts as long ago.
  private var since: [Connection.Key: UInt64] = [:]
  private var isFirst = true

  init(rule: Rule, grace: Nanoseconds) {
    self.rule = rule
    self.grace = grace
  }

  /// The peers to protect, sorted. `isBlocked`: whether an address is blocked now; a connection does not age meanwhile, since its packets do
  /// not arrive and its end would not either.
  mutating func update(_ connections: [Connection], logins: Set<IPAddress>, now: UInt64, isBlocked: (IPAddress) -> Bool) -> [IPAddress] {
    var next: [Connection.Key: UInt64] = [:]
    var peers: Set<IPAddress> = []
    for connection in connections {
      let blocked = isBlocked(connection.peer)
      let first = isFirst ? 0 : blocked ? now : since[connection.key] ?? now
      next[connection.key] = first
      let isOld = now - min(now, first) >= UInt64(clamping: grace.count)
      if rule == .established ? !blocked : connection.typeOfService != 0 && !blocked || isOld && !blocked || logins.contains(connection.peer) {
        peers.insert(connection.peer)
      }
    }
    since = next
    isFirst = false
    return peers.sorted()
  }
}

/// Reading what other programs wrote: resolvers, ports of sshd, log-ins. Total; what is not understood is left out.
enum WatchedText {
  /// `nameserver` lines of resolv.conf(5); a zone (%eth0) is cut off.
  static func resolvers(_ text: Bytes) -> [IPAddress] {
    values(of: ["nameserver"], in: text).compactMap { IPAddress(String($0.value.prefix { $0 != "%" })) }
  }
  /// `Port` and the ports of `ListenAddress` in sshd_config(5).
  static func sshdPorts(_ text: Bytes) -> [UInt16] {
    values(of: ["port", "listenaddress"], in: text).compactMap { $0.key == "port" ? UInt16($0.value) : port(ofAddress: $0.value) }
  }
  /// The ports of `ListenStream=` in systemd.socket(5).
  static func socketPorts(_ text: Bytes) -> [UInt16] {
    values(of: ["listenstream"], in: text).compactMap { UInt16($0.value) ?? port(ofAddress: $0.value) }
  }
  /// `-p PORT` and `-o Port=PORT` of sshd(8) in a file that sets variables of the shell.
  static func optionPorts(_ text: Bytes) -> [UInt16] {
    text.string.split(whereSeparator: \.isNewline).filter { $0.first { $0 != " " && $0 != "\t" } != "#" }.flatMap { line in
      let words = line.split(whereSeparator: { " \t\"'=".contains($0) })
      return words.indices.compactMap { i -> UInt16? in
        if words[i] == "-p" || words[i].lowercased() == "port" { return i + 1 < words.count ? UInt16(words[i + 1]) : nil }
        return words[i].hasPrefix("-p") ? UInt16(words[i].dropFirst(2)) : nil
      }
    }
  }
  /// host:port or [address]:port; a bare IPv6 address has no port.
  private static func port(ofAddress text: String) -> UInt16? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2 || text.hasPrefix("["), let last = parts.last, !last.hasSuffix("]") else { return nil }
    return UInt16(last)
  }
  /// `REMOTE_HOST=` of a logind session, where it is an address and the session is not closing.
  static func login(_ text: Bytes) -> IPAddress? {
    var address: IPAddress?
    for line in text.string.split(separator: "\n") {
      if line == "STATE=closing" { return nil }
      if line.hasPrefix("REMOTE_HOST=") { address = IPAddress(String(line.dropFirst(12))) }
    }
    return address
  }

  /// Lines "key value", the key in lower case; comments and other keys are left out.
  private static func values(of keys: [String], in text: Bytes) -> [(key: String, value: String)] {
    text.string.split(whereSeparator: \.isNewline).compactMap { line in
      let words = line.split(maxSplits: 2, whereSeparator: { $0 == " " || $0 == "\t" || $0 == "=" })
      guard words.count >= 2, case let key = words[0].lowercased(), keys.contains(key) else { return nil }
      return (key, String(words[1]))
    }
  }
}
