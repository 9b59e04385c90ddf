// Which peers on the administration ports are administrators. Pure: connections, log-ins and time are handed in.
// What must stay true: a peer that is logged in is protected at once where the system shows it, and after `grace` in any case; a peer that
// merely holds a connection open is not, or an attacker would be safe from every block as long as he keeps one idle connection; however many
// connections strangers hold, who is authenticated is found, and memory is bounded.
//
// A connection counts as a session when one of these holds:
//   the service has marked the connection with a type of service: OpenSSH does so when a session begins, after authentication (IPQoS);
//   it has lasted longer than a server lets anyone stay without authentication (sshd: LoginGraceTime, 120 s by default).
// An address that the system's list of log-ins (logind, utmp) names is protected whatever connections it has: on another port, over UDP.
import Enforcement
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
  /// From which age on a connection to this port is a session; nil: none is by its age.
  var grace: @Sendable (_ localPort: UInt16) -> Nanoseconds?
  /// When each unmarked connection was first seen unblocked; 0: it was there when we began, which counts as long ago. At most
  /// `Limits.protectedAddresses`, and `Limits.connectionsPerPeer` of one network that can be blocked; who is in it stays in it.
  private var since: [Connection.Key: UInt64] = [:]
  private var known: [CIDR: Int] = [:]
  private var isFirst = true

  // What the listing that is being read has shown so far.
  private var marked: [CIDR: IPAddress] = [:]
  private var open: Set<Connection.Key> = []
  private var newcomers: [CIDR: Int] = [:]
  private var newcomerCount = 0

  init(rule: Rule, grace: Nanoseconds) {
    self.rule = rule
    self.grace = { _ in grace }
  }

  /// Begins a listing; one that failed is forgotten.
  mutating func begin() {
    marked = [:]
    open = []
    newcomers = [:]
    newcomerCount = 0
  }

  /// `isAdministration`: its port is known to be one; else only a mark makes it a session.
  mutating func add(_ connection: Connection, isAdministration: Bool = true) {
    let network = Block.network(of: connection.peer)
    // Who is blocked cannot authenticate: a mark is from before, or from a log-in that was under way.
    if connection.typeOfService != 0 {
      if marked[network] == nil { marked[network] = connection.peer }
      return
    }
    guard isAdministration else { return }
    if since[connection.key] != nil {
      open.insert(connection.key)
      return
    }
    // Strangers who hold more than that do not grow old; they take nothing from those who are known.
    guard known[network, default: 0] + newcomers[network, default: 0] < Limits.connectionsPerPeer,
      since.count + newcomerCount < Limits.protectedAddresses, open.insert(connection.key).inserted
    else { return }
    newcomers[network, default: 0] += 1
    newcomerCount += 1
  }

  /// Ends the listing: the peers to protect, sorted; one address stands for its IPv6 network. `isBlocked`: whether an address is blocked now;
  /// an unmarked connection does not age meanwhile, since its packets do not arrive and its end would not either.
  mutating func finish(logins: Set<IPAddress>, now: UInt64, isBlocked: (IPAddress) -> Bool) -> [IPAddress] {
    var peers = marked
    for address in logins.sorted() where peers[Block.network(of: address)] == nil { peers[Block.network(of: address)] = address }
    var next: [Connection.Key: UInt64] = [:]
    var blocked: [CIDR: Bool] = [:]
    var old: [(first: UInt64, peer: IPAddress)] = []
    known = [:]
    for key in open {
      let network = Block.network(of: key.peer)
      let isBlocked = blocked[network] ?? isBlocked(key.peer)
      blocked[network] = isBlocked
      known[network, default: 0] += 1
      let first = isFirst ? 0 : isBlocked ? now : since[key] ?? now
      next[key] = first
      if isBlocked { continue }
      if rule == .established || grace(key.localPort).map({ now - min(now, first) >= UInt64(clamping: $0.count) }) == true {
        old.append((first, key.peer))
      }
    }
    since = next
    isFirst = false
    // Those who only hold connections may not fill the list so that nothing can be blocked; the oldest come first.
    for entry in old.sorted(by: { ($0.first, $0.peer) < ($1.first, $1.peer) }) where peers.count < Limits.protectedAddresses {
      if peers[Block.network(of: entry.peer)] == nil { peers[Block.network(of: entry.peer)] = entry.peer }
    }
    begin()
    return peers.values.sorted()
  }

  /// One whole listing.
  mutating func update(_ connections: [Connection], logins: Set<IPAddress>, now: UInt64, isBlocked: (IPAddress) -> Bool) -> [IPAddress] {
    begin()
    for connection in connections { add(connection) }
    return finish(logins: logins, now: now, isBlocked: isBlocked)
  }
}

/// Reading what other programs wrote: resolvers, ports of sshd, log-ins. Total; what is not understood is left out.
enum WatchedText {
  /// `nameserver` lines of resolv.conf(5); a zone (%eth0) is cut off.
  static func resolvers(_ text: Bytes) -> [IPAddress] {
    values(of: ["nameserver"], in: text).compactMap { IPAddress(String($0.value.prefix { $0 != "%" })) }
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
