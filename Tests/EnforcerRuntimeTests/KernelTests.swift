// The enforcer as a process, a real kernel and real packets: promises P2, P3 and P4 where they count.
import CLinux
import Enforcement
import Glibc
import PanguardTestKit
import Primitives
import Testing

@testable import EnforcerRuntime

@Suite("Blocks in the kernel", .serialized)
struct KernelTests {
  @Test("a blocked address stops, in new and in open connections; others pass; unblocked it passes again")
  func packets() throws {
    guard let lab = try Laboratory.make() else { return }
    let enforcer = try lab.enforcer()
    let server = try lab.server()
    let client = try lab.client()
    let (bad, other, third) = ("10.77.0.2", "10.77.0.3", "10.77.0.4")
    let open = try lab.connection(bad)
    let openOther = try lab.connection(other)
    #expect(try client.block([Block(address: address(bad), seconds: 60)]).value == [.blocked])
    open.say("more")
    openOther.say("more")
    #expect(open.waitFor("silence 2"))
    #expect(openOther.waitFor("answered 2"))
    #expect(try !lab.passes(bad))
    #expect(try lab.passes(other))
    // IPv6: the whole /64, and only it.
    #expect(try lab.passes("2001:db8:aaaa:1::5"))
    #expect(try client.block([Block(address: address("2001:db8:aaaa:1::5"), seconds: 60)]).value == [.blocked])
    #expect(try !lab.passes("2001:db8:aaaa:1::5"))
    #expect(try !lab.passes("2001:db8:aaaa:1::6"))
    #expect(try lab.passes("2001:db8:aaaa:2::5"))
    // A network, beside the single address that lies in it.
    #expect(try client.block([Block(network("10.77.0.4/31"), seconds: 60)]).value == [.blocked])
    #expect(try !lab.passes(third))
    #expect(try client.unblock([network("10.77.0.2/32")]).value == [.unblocked])
    #expect(try lab.passes(bad))
    let status = try client.status()
    #expect(status.droppedPackets > 3 && status.droppedBytes > 100 && status.active == 2)
    #expect(try client.unblockAll().value == 2)
    #expect(try lab.passes(third))
    #expect(try lab.nft("list table inet panguard").contains("elements") == false)
    _ = (enforcer, server)
  }

  @Test("the kernel lets go by itself when the enforcer is dead; a new time replaces the old one")
  func expiry() throws {
    guard let lab = try Laboratory.make() else { return }
    let enforcer = try lab.enforcer()
    let server = try lab.server()
    let client = try lab.client()
    #expect(
      try client.block([Block(network("10.77.0.2/32"), seconds: 4), Block(network("10.77.0.3/32"), seconds: 4)]).value == [.blocked, .blocked])
    #expect(try client.block([Block(network("10.77.0.3/32"), seconds: 60)]).value == [.refreshed])
    #expect(try client.block([Block(network("10.77.0.4/32"), seconds: 60)]).value == [.blocked])
    #expect(try client.block([Block(network("10.77.0.4/32"), seconds: 3)]).value == [.refreshed])
    enforcer.signal(SIGKILL)
    enforcer.wait()
    #expect(try !lab.passes("10.77.0.2"))
    usleep(4_000_000)
    #expect(try lab.passes("10.77.0.2"))
    #expect(try lab.passes("10.77.0.4"))
    #expect(try !lab.passes("10.77.0.3"))
    _ = server
  }

  @Test("a refreshed block has no moment without protection")
  func refreshing() throws {
    guard let lab = try Laboratory.make() else { return }
    let enforcer = try lab.enforcer()
    let server = try lab.server()
    let client = try lab.client()
    _ = try client.block([Block(network("10.77.0.2/32"), seconds: 60)])
    // A stream of packets from the blocked address, while its time is set anew again and again.
    let flood = try Command([
      "ip", "netns", "exec", lab.outside, "python3", "-c",
      """
      import socket, time
      s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.77.0.2", 0))
      end = time.time() + 3; n = 0
      while time.time() < end:
          s.sendto(b"x", ("10.77.0.1", 9)); n += 1
      print("sent", n, flush=True)
      """,
    ])
    for i in 0..<400 { _ = try client.block([Block(network("10.77.0.2/32"), seconds: 60 + UInt32(i % 7))]) }
    #expect(flood.waitFor("sent"))
    // Whatever arrived at the host's UDP layer was not dropped.
    let udp = try Command.run(["ip", "netns", "exec", lab.host, "cat", "/proc/net/snmp"]).split(separator: "\n").filter { $0.hasPrefix("Udp:") }
    let values = udp.last?.split(separator: " ").compactMap { UInt64($0) } ?? []
    #expect(values.count > 1 && values[0] == 0 && values[1] == 0, "\(udp)")
    let sent = UInt64(flood.output.split(separator: " ").last.map { $0.filter(\.isNumber) } ?? "0") ?? 0
    #expect(sent > 1000)
    // Not all of them: a busy machine's cable loses some before the firewall sees them.
    #expect(try client.status().droppedPackets > 1000)
    _ = (enforcer, server)
  }

  @Test("kill -9, restart: blocks and their remaining times are kept, the store is reconciled, strangers are removed and named")
  func restart() throws {
    guard let lab = try Laboratory.make() else { return }
    var enforcer = try lab.enforcer()
    let server = try lab.server()
    var client = try lab.client()
    let blocks = [
      Block(network("10.77.0.2/32"), seconds: 30), Block(network("2001:db8:aaaa:1::/64"), seconds: 40),
      Block(network("198.51.100.0/26"), seconds: 50),
    ]
    #expect(try client.block(blocks).value == [.blocked, .blocked, .blocked])
    enforcer.signal(SIGKILL)
    enforcer.wait()
    // Meanwhile somebody adds elements by hand: one without an end, one with.
    _ = try lab.nft("add element inet panguard blocked4_32 { 192.0.2.66 timeout 1h, 192.0.2.67 }", mayFail: true)
    #expect(try !lab.passes("10.77.0.2"))
    usleep(1_200_000)
    enforcer = try lab.enforcer()
    #expect(try !lab.passes("10.77.0.2"))
    client = try lab.client()
    let listed = try #require(try client.list().value)
    #expect(
      Set(listed.map(\.network))
        == [network("10.77.0.2/32"), network("2001:db8:aaaa:1::/64"), network("198.51.100.0/26"), network("192.0.2.66/32")])
    for block in blocks {
      let left = listed.first { $0.network == block.network }?.remainingMilliseconds ?? 0
      #expect(left < UInt64(block.seconds) * 1000 - 1000 && left > UInt64(block.seconds) * 1000 - 15_000, "\(block): \(left)")
    }
    // The store does not know the /26 and the stranger, and knows another one.
    let store = [
      Block(network("10.77.0.2/32"), seconds: 28), Block(network("2001:db8:aaaa:1::/64"), seconds: 38), Block(network("10.77.0.4/32"), seconds: 20),
    ]
    let report = try #require(try client.reconcile(store).value)
    #expect(report.outcomes.last == .blocked)
    #expect(report.strangers == [network("192.0.2.66/32"), network("198.51.100.0/26")])
    #expect(enforcer.output.contains("removed 192.0.2.67/32: nobody asked for this block"))
    #expect(try !lab.passes("10.77.0.4"))
    #expect(try lab.nft("list set inet panguard blocked4_32").contains("192.0.2.66") == false)
    _ = server
  }

  @Test("others may flush or change the table: it is whole again within seconds, and other tables are left alone")
  func tampering() throws {
    guard let lab = try Laboratory.make() else { return }
    _ = try lab.nft("add table inet theirs; add chain inet theirs c { type filter hook input priority 0; }; add rule inet theirs c tcp dport 1 drop")
    let theirs = try lab.nft("list table inet theirs")
    let enforcer = try lab.enforcer()
    let server = try lab.server()
    let client = try lab.client()
    _ = try client.block([Block(network("10.77.0.2/32"), seconds: 60), Block(network("10.77.0.4/31"), seconds: 60)])
    #expect(try lab.nft("list table inet theirs") == theirs)
    _ = try lab.nft("delete table inet panguard")
    // A request of ours right after it must not hide it.
    _ = try client.block([Block(network("203.0.113.9/32"), seconds: 60)])
    #expect(enforcer.waitFor("was made anew") && enforcer.waitFor("blocked 10.77.0.2/32 again"))
    usleep(300_000)
    #expect(try !lab.passes("10.77.0.2"))
    #expect(try !lab.passes("10.77.0.4"))
    _ = try lab.nft(
      "flush chain inet panguard early; add element inet panguard blocked4_32 { 192.0.2.9 }; delete element inet panguard blocked4_32 { 10.77.0.2 }")
    #expect(enforcer.waitFor("removed 192.0.2.9/32"))
    usleep(300_000)
    #expect(try !lab.passes("10.77.0.2"))
    #expect(try lab.passes("10.77.0.3"))
    let notices = try client.heartbeat().value ?? []
    #expect(Set(notices.map(\.kind)) == [.tableRestored, .reasserted, .strangerRemoved])
    // Uninstalling: the table is gone, the others are not.
    enforcer.signal(SIGTERM)
    #expect(enforcer.wait() == 0)
    try Command.run(["ip", "netns", "exec", lab.host, Laboratory.program, "--remove-table"])
    #expect(try lab.nft("list ruleset") == theirs)
    try Command.run(["ip", "netns", "exec", lab.host, Laboratory.program, "--remove-table"])
    #expect(try lab.passes("10.77.0.2"))
    _ = server
  }

  @Test("50,000 blocks in one request and one transaction; listed, taken over after kill -9")
  func many() throws {
    guard let lab = try Laboratory.make() else { return }
    var enforcer = try lab.enforcer()
    let blocks = (0..<50_000).map { Block(CIDR(IPAddress(v4: 0x0b00_0000 + UInt32($0)), prefixLength: 32), seconds: 600) }
    var client = try lab.client()
    #expect(try client.block(blocks).value?.allSatisfy { $0 == .blocked } == true)
    #expect(try client.list().value?.count == 50_000)
    #expect(try client.block(blocks).value?.allSatisfy { $0 == .refreshed } == true)
    enforcer.signal(SIGKILL)
    enforcer.wait()
    enforcer = try lab.enforcer()
    #expect(enforcer.output.contains("ready; 50000 blocks taken over"))
    client = try lab.client()
    #expect(try client.reconcile(blocks).value?.outcomes.allSatisfy { $0 == .refreshed } == true)
    #expect(try client.unblockAll().value == 50_000)
  }
}

@Suite("What is protected on a real host", .serialized)
struct HostProtectionTests {
  @Test("own addresses, gateway, allowlist: refused, also when they become so later; then who is blocked is let go")
  func facts() throws {
    guard let lab = try Laboratory.make("allowlist: [10.77.0.3, 203.0.113.0/24]\nheartbeat_timeout: 1s\n") else { return }
    let enforcer = try lab.enforcer()
    let client = try lab.client()
    func kind(_ text: String) throws -> ProtectedKind? {
      guard case .refused(.protected(let kind, _)) = try client.block([Block(network(text), seconds: 60)]).value?.first else { return nil }
      return kind
    }
    let cases: [(String, ProtectedKind)] = [
      ("10.77.0.1/32", .ownAddress), ("10.77.0.0/24", .ownAddress), ("2001:db8:77:1::/64", .ownAddress), ("10.77.0.254/32", .gateway),
      ("10.77.0.252/30", .gateway), ("10.77.0.3/32", .allowlist), ("203.0.113.200/32", .allowlist), ("127.0.0.1/32", .loopback),
      ("224.0.0.1/32", .multicast), ("fe80::/64", .linkLocal),
    ]
    for (text, expected) in cases { #expect(try kind(text) == expected, "\(text)") }
    #expect(try client.status().refusedProtected == UInt64(cases.count))
    #expect(enforcer.output.contains("block of 10.77.0.254/32 refused for uid 0"))
    // A heartbeat, and no more of them.
    _ = try client.heartbeat()
    // Blocked first, own address and gateway after.
    #expect(
      try client.block([Block(network("10.77.0.9/32"), seconds: 60), Block(network("10.77.0.2/32"), seconds: 60)]).value == [.blocked, .blocked])
    try lab.ip("address add 10.77.0.9/24 dev cable")
    #expect(enforcer.waitFor("unblocked 10.77.0.9/32: it is now an address of this host"))
    try lab.ip("route replace default via 10.77.0.2")
    #expect(enforcer.waitFor("unblocked 10.77.0.2/32: it is now a default gateway"))
    #expect(try kind("10.77.0.2/32") == .gateway)
    // And the old gateway is nobody special any more; without waiting.
    #expect(try client.block([Block(network("10.77.0.254/32"), seconds: 60)]).value == [.blocked])
    #expect(enforcer.waitFor("no sign of life from the engine for 1s"))
    let notices = try client.heartbeat().value ?? []
    #expect(
      Set(notices) == [
        EnforcerNotice(.unblockedAsProtected, network("10.77.0.9/32"), protected: .ownAddress),
        EnforcerNotice(.unblockedAsProtected, network("10.77.0.2/32"), protected: .gateway), EnforcerNotice(.heartbeatLost),
      ])
  }

  @Test("a live administration session protects its peer; a connection that is merely open does not")
  func sessions() throws {
    guard let lab = try Laboratory.make("admin_ports: [7000]\n") else { return }
    let server = try lab.server(port: 7000)
    let before = try lab.connection("10.77.0.4")
    let enforcer = try lab.enforcer()
    let client = try lab.client()
    let admin = try lab.connection("10.77.0.2")
    let attacker = try lab.connection("10.77.0.3")
    // What a server does when a session begins, after authentication.
    admin.say("mark")
    #expect(admin.waitFor("answered 2"))
    usleep(150_000)
    let outcomes = try client.block(["10.77.0.2/32", "10.77.0.3/32", "10.77.0.4/32", "10.77.0.2/31"].map { Block(network($0), seconds: 60) }).value
    #expect(
      outcomes == [
        .refused(.protected(.adminSession, by: network("10.77.0.2/32"))), .blocked, .refused(.protected(.adminSession, by: network("10.77.0.4/32"))),
        .refused(.protected(.adminSession, by: network("10.77.0.2/32"))),
      ])
    #expect(try lab.passes("10.77.0.2"))
    // The session ends; then its address is one like any other.
    admin.signal(SIGKILL)
    admin.wait()
    usleep(300_000)
    #expect(try client.block([Block(network("10.77.0.2/32"), seconds: 60)]).value == [.blocked])
    _ = (server, enforcer, before, attacker)
  }

  @Test("a real OpenSSH server: a logged-in session protects its address, an unauthenticated connection does not")
  func openSSH() throws {
    guard let lab = try Laboratory.make("admin_ports: [2299]\n") else { return }
    guard access("/usr/sbin/sshd", X_OK) == 0, (try? Command.run(["ssh", "-V"])) != nil else {
      return skip("no sshd and ssh (scripts/setup --tests)")
    }
    mkdir("/run/sshd", 0o755)
    let folder = lab.directory
    for key in ["host", "user"] { try Command.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "\(folder)/\(key)"]) }
    lab.write(
      folder + "/sshd_config",
      "Port 2299\nHostKey \(folder)/host\nAuthorizedKeysFile \(folder)/user.pub\nPidFile none\nStrictModes no\nPermitRootLogin yes\nUsePAM no\n")
    let sshd = try Command(["ip", "netns", "exec", lab.host, "/usr/sbin/sshd", "-D", "-e", "-f", folder + "/sshd_config"])
    guard sshd.waitFor("Server listening on :: port 2299") else { return skip("sshd does not start here: \(sshd.output)") }
    let enforcer = try lab.enforcer()
    let client = try lab.client()
    let login =
      "exec ip netns exec \(lab.outside) ssh -p 2299 -i \(folder)/user -b 10.77.0.2 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
      + " -o BatchMode=yes root@\(lab.own) 'echo logged in; read line; echo still there'"
    let admin = try Command(["sh", "-c", login])
    guard admin.waitFor("logged in", seconds: 40) else { return skip("no login here: \(admin.output) \(sshd.output)") }
    // The banner comes, and then this one just waits, as every attacker does between two guesses.
    let attacker = try lab.connection("10.77.0.3", port: 2299)
    usleep(150_000)
    #expect(
      try client.block([Block(network("10.77.0.2/32"), seconds: 60), Block(network("10.77.0.3/32"), seconds: 60)]).value
        == [.refused(.protected(.adminSession, by: network("10.77.0.2/32"))), .blocked])
    admin.say("go on")
    #expect(admin.waitFor("still there"))
    _ = (enforcer, attacker)
  }

  @Test("who wants every connection to count says so")
  func everyConnection() throws {
    guard let lab = try Laboratory.make("admin_ports: [7000]\nadmin_sessions: established\n") else { return }
    let server = try lab.server(port: 7000)
    let enforcer = try lab.enforcer()
    let connection = try lab.connection("10.77.0.3")
    usleep(150_000)
    #expect(
      try lab.client().block([Block(network("10.77.0.3/32"), seconds: 60)]).value
        == [.refused(.protected(.adminSession, by: network("10.77.0.3/32")))])
    _ = (server, enforcer, connection)
  }

  @Test("resolvers and ports as files say, also when the files are replaced")
  func files() throws {
    var template = Array("/tmp/panguard-files-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { return #expect(Bool(false)) }
    let folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    defer { _ = try? Command.run(["rm", "-rf", folder]) }
    func write(_ name: String, _ text: String) {
      let file = open("\(folder)/\(name).new", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
      let bytes = Array(text.utf8)
      _ = Glibc.write(file, bytes, bytes.count)
      close(file)
      rename("\(folder)/\(name).new", "\(folder)/\(name)")
    }
    mkdir("\(folder)/sshd_config.d", 0o755)
    mkdir("\(folder)/sessions", 0o755)
    let files = WatchedFiles(
      resolvers: ["\(folder)/resolv.conf", "\(folder)/absent"], sshd: "\(folder)/sshd_config", sshSockets: ["\(folder)/ssh.socket"],
      sshServices: ["\(folder)/ssh.service"], sshOptions: ["\(folder)/default"], sessions: "\(folder)/sessions", utmp: "\(folder)/utmp")
    #expect(files.resolvers().isEmpty && files.failure == nil && files.sshd(now: 1) == SSHDFacts() && files.logins().isEmpty)
    write("resolv.conf", "nameserver 192.0.2.1\n")
    #expect(files.resolvers() == [address("192.0.2.1")])
    write("resolv.conf", "nameserver 192.0.2.2\n")
    #expect(files.resolvers() == [address("192.0.2.2")])
    write("sshd_config", "Port 2201\n")
    write("sshd_config.d/a.conf", "Port 2202\n")
    mkdir("\(folder)/ssh.socket.d", 0o755)
    write("ssh.socket.d/port.conf", "[Socket]\nListenStream=2203\n")
    write("default", "SSHD_OPTS=-p 2204\n")
    mkdir("\(folder)/ssh.service.d", 0o755)
    write("ssh.service.d/port.conf", "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D -p 2205 -f \(folder)/other_config\n")
    write("other_config", "Port \"2206\"\nLoginGraceTime 3m\nInclude more/*.conf nothing/*.conf absent.conf\n")
    mkdir("\(folder)/more", 0o755)
    write("more/x.conf", "Port 2207 # here\nInclude \"\(folder)/other_config\"\n")
    #expect(files.sshd(now: 2).ports == [22])
    let sshd = files.sshd(now: 40_000_000_000)
    #expect(sshd == SSHDFacts(ports: [22, 2201, 2202, 2203, 2204, 2205, 2206, 2207], loginGrace: 180, unclear: nil))
    // What is there and cannot be read is not taken for nothing; a unit that is masked is nothing.
    symlink("/dev/null", "\(folder)/sshd_config.d/masked.conf")
    #expect(files.sshd(now: 50_000_000_000).unclear == nil)
    mkdir("\(folder)/sshd_config.d/b.conf", 0o755)
    #expect(files.sshd(now: 60_000_000_000).unclear?.contains("b.conf") == true)
    rmdir("\(folder)/sshd_config.d/b.conf")
    write("sshd_config.d/a.conf", "Port ssh\n")
    #expect(files.sshd(now: 70_000_000_000).unclear?.contains("port 'ssh'") == true)
    write("sessions/7", "REMOTE_HOST=192.0.2.9\nSTATE=active\n")
    #expect(files.logins() == [address("192.0.2.9")] && files.failure == nil)
    mkdir("\(folder)/sessions/8", 0o755)
    #expect(files.logins() == [address("192.0.2.9")] && files.failure?.contains("sessions/8") == true)
    rmdir("\(folder)/sessions/8")
    rmdir("\(folder)/absent")
    mkdir("\(folder)/absent", 0o755)
    _ = files.resolvers()
    #expect(files.failure != nil)
  }
}

@Suite("The enforcer's socket", .serialized)
struct SocketTests {
  @Test("a compromised engine that speaks the protocol itself: hostile frames close the connection and are written down; blocks stay")
  func hostileFrames() throws {
    guard let lab = try Laboratory.make() else { return }
    let enforcer = try lab.enforcer()
    let client = try lab.client()
    #expect(try client.block([Block(network("203.0.113.1/32"), seconds: 60)]).value == [.blocked])
    let good = EnforcerRequest.block([
      Block(network("0.0.0.0/0"), seconds: 60), Block(network("::/0"), seconds: 60), Block(network("10.77.0.1/32"), seconds: 60),
    ])
    .encoded(id: 1)
    // Well formed: each is refused in its answer.
    let answer = try lab.raw(good)
    guard case .value(.outcomes(let outcomes), _, _) = answer.withUnsafeBytes({ EnforcerAnswer.decode($0) }) else { return #expect(Bool(false)) }
    #expect(
      outcomes == [.refused(.prefixTooWide), .refused(.prefixTooWide), .refused(.protected(.ownAddress, by: network("10.77.0.1/32")))])
    let hostile: [[UInt8]] = [
      Array("GET / HTTP/1.1\r\n\r\n".utf8), [0xff, 0xff, 0xff, 0xff, 1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 12, 1, 99, 0, 0, 0, 0, 0, 0],
      [0, 0, 0, 12, 2, 6, 0, 0, 0, 0, 0, 0], Array(good[..<30]) + [9] + good[31...], EnforcerAnswer.alive([]).encoded(id: 1),
    ]
    for bytes in hostile { #expect(try lab.raw(bytes).isEmpty) }
    #expect(try client.status().malformedFrames == 6)
    #expect(enforcer.output.contains("closed: protocol version 47 is not 1") && enforcer.output.contains("unknown kind 99"))
    var random = SplitMix64(seed: 7)
    for _ in 0..<300 {
      var bytes = good
      for _ in 0...random.below(4) { bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) }
      _ = try lab.raw(bytes, patience: 0)
    }
    #expect(try client.list().value?.contains { $0.network == network("203.0.113.1/32") } == true)
    let table = try lab.nft("list table inet panguard")
    #expect(!table.contains("10.77.0.1,") && !table.contains("10.77.0.1 "))
    // Many connections at once: the first ones are served, the rest are turned away.
    var held: [EnforcerClient] = []
    for _ in 0..<20 { if let more = try? lab.client() { held.append(more) } }
    #expect(held.filter { (try? $0.heartbeat()) != nil }.count == Limits.frameConnections - 1)
    #expect(try client.status().connectionsRefused >= 1)
  }

  @Test("a peer that stops in the middle of a frame is closed after its time; others are served meanwhile")
  func slowPeer() throws {
    guard let lab = try Laboratory.make() else { return }
    let enforcer = try lab.enforcer()
    let client = try lab.client()
    let slow = try lab.dial()
    defer { close(slow) }
    _ = [UInt8]([0, 0, 0, 12, 1]).withUnsafeBytes { write(slow, $0.baseAddress!, $0.count) }
    #expect(try client.heartbeat().value == [])
    #expect(enforcer.waitFor("closed: too slow"))
    #expect(try client.status().peersTooSlow == 1)
  }

  @Test("another user is turned away, whatever the socket's mode")
  func otherUser() throws {
    guard let lab = try Laboratory.make() else { return }
    let enforcer = try lab.enforcer()
    chmod(lab.directory, 0o755)
    chmod(lab.socket, 0o666)
    let script =
      "import socket,sys;s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1]);s.sendall(b'\\0\\0\\0\\x0c\\1\\6\\0\\0\\0\\0\\0\\1');print('got',len(s.recv(99)))"
    let other = try Command(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/env", "python3", "-c", script, lab.socket])
    other.wait()
    if other.output.contains("such file") || other.output.contains("ermission") { return skip("python3 is not there for other users") }
    #expect(!other.output.contains("got 16"))
    #expect(enforcer.waitFor("connection of uid 65534"))
    #expect(try lab.client().status().peersRefused == 1)
  }

  @Test("over an inherited socket it serves one engine and ends with it; the blocks stay")
  func inherited() throws {
    guard let lab = try Laboratory.make() else { return }
    var ends: [Int32] = [-1, -1]
    socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends)
    let enforcer = try lab.enforcer(passing: ends[1])
    close(ends[1])
    let client = EnforcerClient(descriptor: ends[0])
    #expect(try client.block([Block(network("203.0.113.1/32"), seconds: 60)]).value == [.blocked])
    client.close()
    #expect(enforcer.wait() == 0)
    #expect(try lab.nft("list set inet panguard blocked4_32").contains("203.0.113.1"))
  }

  @Test("without the capability it says so once, and answers that nothing can be blocked")
  func withoutCapability() throws {
    guard let lab = try Laboratory.make() else { return }
    let enforcer = try Command([
      "ip", "netns", "exec", lab.host, "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", Laboratory.program, "--config",
      lab.directory + "/enforcer.yaml", "--socket", lab.socket,
    ])
    #expect(enforcer.waitFor("nothing will be blocked: nftables may not be changed: the enforcer needs CAP_NET_ADMIN"))
    let client = try lab.client()
    for _ in 0..<3 {
      guard case .unavailable(let reason) = try client.block([Block(network("203.0.113.1/32"), seconds: 60)]) else { return #expect(Bool(false)) }
      #expect(reason.contains("CAP_NET_ADMIN"))
    }
    #expect(try client.status().unavailable.contains("CAP_NET_ADMIN"))
    #expect(try client.heartbeat().value == [])
    usleep(2_500_000)
    #expect(enforcer.output.split(separator: "\n").filter { $0.contains("nothing will be blocked") }.count == 1)
    // Nor does it keep another from it: at the worst until that one's next try.
    let path = lab.directory + "/able.sock"
    let able = try lab.enforcer(at: path)
    #expect(able.waitFor("ready;"))
    usleep(300_000)
    #expect(try EnforcerClient(path: path).block([Block(network("203.0.113.1/32"), seconds: 60)]).value == [.blocked])
  }

  @Test("two enforcers cannot serve one socket, and a file that is no socket is left alone")
  func twice() throws {
    guard let lab = try Laboratory.make() else { return }
    let enforcer = try lab.enforcer()
    let second = try Command([
      "ip", "netns", "exec", lab.host, Laboratory.program, "--config", lab.directory + "/enforcer.yaml", "--socket", lab.socket,
    ])
    #expect(second.wait() == 3 && second.output.contains("another enforcer is running"))
    lab.write(lab.directory + "/file", "x")
    let third = try Command([
      "ip", "netns", "exec", lab.host, Laboratory.program, "--config", lab.directory + "/enforcer.yaml", "--socket", lab.directory + "/file",
    ])
    #expect(third.wait() == 3 && third.output.contains("is not a socket"))
    _ = enforcer
  }
}

extension Laboratory {
  func dial() throws -> Int32 {
    let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard withSocketAddress(socket, { connect(descriptor, $0, $1) }) == 0 else { throw LaboratoryError(description: "connect: \(errno)") }
    return descriptor
  }
  /// What comes back for these bytes: nothing where the connection is closed. `patience`: seconds to wait, 0 for not at all.
  func raw(_ bytes: [UInt8], patience: Int = 3) throws -> [UInt8] {
    let descriptor = try dial()
    defer { close(descriptor) }
    var timeout = timeval(tv_sec: max(patience, 0), tv_usec: patience == 0 ? 2000 : 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    _ = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL)) }
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    return Array(buffer.prefix(max(0, count)))
  }
}
