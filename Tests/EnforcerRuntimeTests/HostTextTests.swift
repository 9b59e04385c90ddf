// Files of the system and lists of the kernel, read by a process with a capability: total, and right.
import Enforcement
import Glibc
import PanguardTestKit
import Primitives
import Testing

@testable import EnforcerRuntime

func withBytes<Result>(_ text: String, _ body: (Bytes) -> Result) -> Result { Array(text.utf8).withUnsafeBytes(body) }

@Suite("What the host says")
struct HostTextTests {
  static let resolvers: [(String, [String])] = [
    ("nameserver 192.0.2.53\nsearch x\nnameserver\t2001:db8::53\n", ["192.0.2.53", "2001:db8::53"]), ("", []),
    ("# nameserver 1.2.3.4\n;nameserver 1.2.3.4\n nameserver 9.9.9.9 # x\n", ["9.9.9.9"]), ("nameserver fe80::1%eth0\r\n", ["fe80::1"]),
    ("nameserver 010.1.1.1\nnameserver example\nnameserver\n", []),
  ]
  @Test("resolv.conf", arguments: resolvers)
  func resolvConf(_ text: String, _ expected: [String]) {
    #expect(withBytes(text) { WatchedText.resolvers($0) } == expected.map(address))
  }

  static let ports: [(String, [UInt16])] = [
    ("Port 2222\n#Port 22\nPort=2223\n", [2222, 2223]), ("listenaddress 192.0.2.1:2022\nListenAddress [2001:db8::1]:2023\n", [2022, 2023]),
    ("ListenAddress 2001:db8::1\nListenAddress 192.0.2.1\nListenAddress [::]\n", []), ("Port 70000\nPort x\n", []),
    ("  Port \"2222\"\nport = 2223 # Port 1\nPort '2224'\nListenAddress \"192.0.2.1:2225\"\nPort\nPort\t2226\n", [2222, 2223, 2224, 2225, 2226]),
  ]
  @Test("sshd_config", arguments: ports)
  func sshdConfig(_ text: String, _ expected: [UInt16]) { #expect(withBytes(text) { SSHDText.configuration($0).ports } == expected) }

  @Test("what a port is called is not understood, and said")
  func unclearPorts() {
    for text in ["Port ssh", "Port 0", "Port 70000", "Port \"\""] {
      #expect(withBytes(text) { SSHDText.configuration($0).unclear } != nil, "\(text)")
    }
    #expect(withBytes("Port 22\nX11Forwarding yes\nMatch User x\n") { SSHDText.configuration($0).unclear } == nil)
    #expect(
      withBytes("Include /etc/ssh/a.conf \"b c.conf\" # d\ninclude=e*\n") { SSHDText.configuration($0).includes }
        == ["/etc/ssh/a.conf", "b c.conf", "e*"])
  }

  static let times: [(String, UInt32?)] = [
    ("120", 120), ("2m", 120), ("1h30m", 5400), ("1H", 3600), ("0", 0), ("1w1d1s", 691_201), ("", nil), ("m", nil), ("5x", nil),
    ("99999999999999999999", .max),
  ]
  @Test("LoginGraceTime", arguments: times)
  func graces(_ text: String, _ expected: UInt32?) { #expect(SSHDText.seconds(text) == expected) }

  @Test("the longest LoginGraceTime holds, and none is the longest")
  func longestGrace() {
    var facts = SSHDFacts()
    for grace: UInt32 in [60, 300, 120] { facts.add(grace: grace) }
    #expect(facts.loginGrace == 300)
    for grace: UInt32 in [0, 600] { facts.add(grace: grace) }
    #expect(facts.loginGrace == 0)
  }

  static let sockets: [(String, [UInt16])] = [
    ("[Socket]\nListenStream=\nListenStream=2222\nListenStream = 0.0.0.0:2223\nListenStream=[::]:2224\n", [2222, 2223, 2224]),
    ("ListenStream=/run/x.sock\nListenStream=vsock::22\nListenStream=99999\n#ListenStream=22\nListenDatagram=53\n", []),
  ]
  @Test("ssh.socket", arguments: sockets)
  func socketUnit(_ text: String, _ expected: [UInt16]) { #expect(withBytes(text) { SSHDText.socketUnit($0).ports } == expected) }

  static let options: [(String, [UInt16])] = [
    ("SSHD_OPTS=\"-4 -p 2222 -p2223 -o Port=2224\"\n", [2222, 2223, 2224]), ("# SSHD_OPTS=-p 2222\nSSHD_OPTS=\n", []), ("SSHD_OPTS='-p'\n", []),
    ("OPTIONS=-p 70000 -permit", []), ("ExecStart=/usr/sbin/sshd -D -oPort=2225 -o ListenAddress=192.0.2.1:2226 $SSHD_OPTS", [2225, 2226]),
  ]
  @Test("options of sshd's command line", arguments: options)
  func sshdOptions(_ text: String, _ expected: [UInt16]) { #expect(withBytes(text) { SSHDText.commandLine($0).ports } == expected) }

  @Test("other files and times on sshd's command line")
  func sshdFiles() {
    let said = withBytes("ExecStartPre=/bin/test -f /etc/x\nExecStart=/usr/sbin/sshd -f /etc/ssh/other -g 0 -o LoginGraceTime=5m\n") {
      SSHDText.commandLine($0)
    }
    #expect(said.includes == ["/etc/ssh/other"] && said.graces == [0, 300])
  }

  @Test("logind's sessions")
  func logind() {
    #expect(withBytes("UID=0\nREMOTE=1\nREMOTE_HOST=192.0.2.9\nSTATE=active\n") { WatchedText.login($0) } == address("192.0.2.9"))
    #expect(withBytes("REMOTE_HOST=192.0.2.9\nSTATE=closing\n") { WatchedText.login($0) } == nil)
    #expect(withBytes("REMOTE_HOST=host.example\n") { WatchedText.login($0) } == nil)
  }

  private func connection(_ peer: String, _ port: UInt16 = 5000, service: UInt8 = 0) -> AdminSessions.Connection {
    AdminSessions.Connection(peer: address(peer), peerPort: port, localPort: 22, typeOfService: service)
  }
  private let second: UInt64 = 1_000_000_000

  @Test("an open connection alone is no session; a log-in, a marked connection or a long one is")
  func sessions() {
    var sessions = AdminSessions(rule: .authenticated, grace: .seconds(150))
    let open: (IPAddress) -> Bool = { _ in false }
    #expect(sessions.update([], logins: [], now: second, isBlocked: open).isEmpty)
    let attacker = connection("192.0.2.1")
    let admin = connection("192.0.2.2", service: 0x10)
    let tunnel = connection("192.0.2.3")
    let logged = connection("192.0.2.4")
    let all = [attacker, admin, tunnel, logged]
    #expect(
      sessions.update(all, logins: [address("192.0.2.4"), address("192.0.2.99")], now: 2 * second, isBlocked: open)
        == [admin.peer, logged.peer, address("192.0.2.99")])
    // The attacker's connections are new ones each time; the tunnel stays.
    #expect(sessions.update([connection("192.0.2.1", 5001), tunnel], logins: [], now: 151 * second, isBlocked: open).isEmpty)
    #expect(sessions.update([connection("192.0.2.1", 5002), tunnel], logins: [], now: 152 * second, isBlocked: open) == [tunnel.peer])
  }
  @Test("a connection of a blocked address does not grow old: its end would not arrive either")
  func blockedConnections() {
    var sessions = AdminSessions(rule: .authenticated, grace: .seconds(150))
    _ = sessions.update([], logins: [], now: 1, isBlocked: { _ in false })
    for time in 1...1000 {
      #expect(sessions.update([connection("192.0.2.1")], logins: [], now: UInt64(time) * second, isBlocked: { _ in true }).isEmpty)
    }
    #expect(sessions.update([connection("192.0.2.1")], logins: [], now: 1001 * second, isBlocked: { _ in false }).isEmpty)
  }
  @Test("a mark counts also where the peer is blocked: the log-in was under way")
  func markedAndBlocked() {
    var sessions = AdminSessions(rule: .authenticated, grace: .seconds(150))
    _ = sessions.update([], logins: [], now: 1, isBlocked: { _ in false })
    #expect(sessions.update([connection("192.0.2.1", service: 0x48)], logins: [], now: 2, isBlocked: { _ in true }) == [address("192.0.2.1")])
  }
  @Test("where ports are unclear, a mark counts on every port and nothing else does; where age says nothing, none is a session by age")
  func unclearPortsAndAges() {
    var sessions = AdminSessions(rule: .authenticated, grace: .seconds(1))
    sessions.begin()
    sessions.add(connection("192.0.2.1"), isAdministration: false)
    sessions.add(connection("192.0.2.2", service: 0x10), isAdministration: false)
    #expect(sessions.finish(logins: [], now: 1000 * second, isBlocked: { _ in false }) == [address("192.0.2.2")])
    sessions.grace = { _ in nil }
    #expect(sessions.update([connection("192.0.2.1")], logins: [], now: 2000 * second, isBlocked: { _ in false }).isEmpty)
    #expect(sessions.update([connection("192.0.2.1")], logins: [], now: 3000 * second, isBlocked: { _ in false }).isEmpty)
  }
  @Test("however many connections strangers hold, memory is bounded, who is authenticated is found, and the list does not overflow")
  func manyConnections() {
    var sessions = AdminSessions(rule: .authenticated, grace: .seconds(150))
    _ = sessions.update([connection("192.0.2.7")], logins: [], now: 1, isBlocked: { _ in false })
    func all(_ i: Int) -> [AdminSessions.Connection] {
      // One address with 60,000 connections, one with many addresses of one /64, 20,000 addresses of their own.
      (0..<60_000).map { connection("192.0.2.1", UInt16($0)) }
        + (0..<5000).map {
          AdminSessions.Connection(peer: IPAddress(v6High: 0x2001_0db8 << 32, low: UInt64($0)), peerPort: 1, localPort: 22, typeOfService: 0)
        }
        + (0..<20_000).map { AdminSessions.Connection(peer: IPAddress(v4: 0x0b00_0000 + UInt32($0)), peerPort: 1, localPort: 22, typeOfService: 0) }
        + [connection("192.0.2.7"), connection("192.0.2.1", 60_001, service: 0x10)]
    }
    for i in 1...3 {
      let found = sessions.update(all(i), logins: [], now: UInt64(i) * 200 * second, isBlocked: { _ in false })
      #expect(found.contains(address("192.0.2.7")) && found.contains(address("192.0.2.1")))
      #expect(found.count <= Limits.protectedAddresses)
    }
  }
  @Test("connections that were there before the enforcer count as sessions; so does every one where it is configured")
  func beginning() {
    var sessions = AdminSessions(rule: .authenticated, grace: .seconds(150))
    #expect(sessions.update([connection("192.0.2.1")], logins: [], now: 1000 * second, isBlocked: { _ in false }) == [address("192.0.2.1")])
    var every = AdminSessions(rule: .established, grace: .seconds(150))
    _ = every.update([], logins: [], now: 1, isBlocked: { _ in false })
    #expect(every.update([connection("192.0.2.1")], logins: [], now: 2, isBlocked: { _ in false }) == [address("192.0.2.1")])
  }

  @Test("netlink: any bytes are messages or none", arguments: [UInt64(1), 2, 3])
  func netlink(_ seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var batch = NFTables.Batch(sequence: 1)
    NFTables.install(BlockSet.all, into: &batch)
    NFTables.add([.init(network: network("192.0.2.1/32"), milliseconds: 5, isRefresh: false)], to: BlockSet.all[0], into: &batch)
    let seedBytes = batch.finished().bytes
    for _ in 0..<3000 {
      let from = random.below(seedBytes.count)
      var bytes = Array(seedBytes[from..<min(seedBytes.count, from + 1 + random.below(400))])
      for _ in 0..<random.below(6) { bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) }
      bytes.withUnsafeBytes {
        for message in NetlinkMessages($0) {
          _ = message.errorCode
          _ = NFTables.set(message)
          _ = NFTables.counter(message)
          _ = NFTables.generation(message)
          var blocks: [ActiveBlock] = []
          NFTables.elements(message, of: BlockSet.all[0], into: &blocks)
          var shape = NFTables.Shape()
          shape.add(message)
          var hops = NextHops()
          hops.add(message)
          for attribute in message.attributes(after: random.below(80)) { for inner in NetlinkAttributes(attribute.value) { _ = inner.value.address } }
        }
      }
    }
  }

  @Test("every set has its own name, mask and key")
  func sets() {
    #expect(Set(BlockSet.all.map(\.name)).count == 9 + 17)
    #expect(BlockSet(isV4: true, prefixLength: 27).mask == [255, 255, 255, 0xe0])
    #expect(BlockSet(isV4: false, prefixLength: 50).mask == [255, 255, 255, 255, 255, 255, 0xc0] + [UInt8](repeating: 0, count: 9))
    #expect(BlockSet(isV4: true, prefixLength: 32).mask == [255, 255, 255, 255])
    #expect(BlockSet(of: network("2001:db8::/64")).key(address("2001:db8::")) == [0x20, 1, 0xd, 0xb8] + [UInt8](repeating: 0, count: 12))
  }

  @Test("audit lines are bounded by the minute, and what is left out is said")
  func audit() {
    final class Lines { var all: [String] = [] }
    let lines = Lines()
    var log = AuditLog { lines.all.append($0) }
    for _ in 0..<1000 { log.add(.peerRefused(uid: 7, pid: 8), now: 60_000_000_000) }
    #expect(lines.all.count == Limits.auditLinesPerMinute && log.dropped == 400)
    log.add(.tooManyConnections, now: 120_000_000_000)
    #expect(lines.all.suffix(2).first == "400 lines were left out in an earlier minute")
  }
}

@Suite("The enforcer's configuration")
struct EnforcerConfigurationTests {
  private func load(_ text: String) -> (EnforcerConfiguration?, [String]) {
    let (configuration, diagnostics) = withBytes(text) { EnforcerConfiguration.load($0, file: "e.yaml") }
    return (configuration, diagnostics.map(\.description))
  }

  @Test("the reference loads, and means the same as an empty file")
  func reference() throws {
    let (loaded, problems) = load(EnforcerConfiguration.reference)
    #expect(problems.isEmpty)
    let value = try #require(loaded)
    let empty = EnforcerConfiguration()
    #expect(value.policy == empty.policy && value.allowlist == empty.allowlist && value.socketPath == empty.socketPath)
    #expect(value.sessionGrace == empty.sessionGrace && value.engineUser == empty.engineUser && value.sessionRule == empty.sessionRule)
  }

  @Test("every key is read")
  func keys() throws {
    let value = try #require(
      load(
        """
        allowlist: [192.0.2.0/24, "2001:db8::1"]
        admin_ports: [443, 8443]
        admin_sessions: established
        admin_session_age: 5m
        shortest_block: 1s
        longest_block: 30d
        blocks_per_minute: 5
        max_blocks: 9
        heartbeat_timeout: 10s
        socket: /run/x.sock
        engine_user: nobody
        """
      ).0)
    #expect(value.allowlist == [network("192.0.2.0/24"), network("2001:db8::1/128")] && value.administrationPorts == [443, 8443])
    #expect(value.sessionRule == .established && value.sessionGrace == .minutes(5) && value.engineUser == "nobody")
    #expect(value.policy.shortest == 1 && value.policy.longest == 30 * 86_400 && value.policy.blocksPerMinute == 5 && value.policy.capacity == 9)
    #expect(value.policy.heartbeatTimeout == .seconds(10) && value.socketPath == "/run/x.sock")
  }

  static let wrong: [(String, String)] = [
    ("alowlist: []\n", "e.yaml:1:1: error: unknown key 'alowlist'; did you mean 'allowlist'?"),
    ("allowlist: [10.0.0.0/33]\n", "e.yaml:1:13: error: 'allowlist' must hold addresses or networks, not '10.0.0.0/33'; for example 192.0.2.0/24"),
    ("admin_ports: [0]\n", "e.yaml:1:15: error: 'admin_ports' must hold port numbers from 1 to 65535, not '0'"),
    ("longest_block: 1s\n", "e.yaml: error: 'shortest_block' is longer than 'longest_block'"),
    ("longest_block: 500d\n", "e.yaml:1:16: error: 'longest_block' must be between 1s and 366d"),
    ("max_blocks: 70000\n", "e.yaml:1:13: error: 'max_blocks' is 70000, but must be between 1 and 65536"),
    ("socket: relative\n", "e.yaml:1:9: error: 'socket' must be an absolute path of at most 107 bytes"),
  ]
  @Test("what is wrong is refused with its place", arguments: wrong)
  func refused(_ text: String, _ problem: String) {
    let (value, problems) = load(text)
    #expect(value == nil)
    #expect(problems.first.map { $0 == problem || problem.hasPrefix("e.yaml: ") && $0.hasSuffix(problem.dropFirst(8)) } == true, "\(problems)")
  }

  @Test("a file that others may write is refused")
  func writable() throws {
    var template = Array("/tmp/panguard-enforcer-XXXXXX".utf8CString)
    let descriptor = mkstemp(&template)
    defer { close(descriptor) }
    let path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    defer { unlink(path) }
    #expect(EnforcerConfiguration.load(path: path).configuration != nil)
    for mode in [mode_t(0o620), 0o602] {
      fchmod(descriptor, mode)
      #expect(EnforcerConfiguration.load(path: path).diagnostics.first?.message == "others may write this file")
    }
    #expect(EnforcerConfiguration.load(path: "/nonexistent/enforcer.yaml").configuration == nil)
  }
}
