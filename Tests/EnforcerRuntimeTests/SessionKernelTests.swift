// Who is protected on a real host when the host is not as expected: sshd's configuration unreadable or changed, log-ins at the wrong moment,
// attackers who hold connections, routes that name their gateway elsewhere. Promise P3: whoever administers is not shut out.
import Enforcement
import Glibc
import Primitives
import Testing

@testable import EnforcerRuntime

@Suite("Administrators whom the configuration hides", .serialized)
struct SessionKernelTests {
  private let session = BlockOutcome.refused(.protected(.adminSession, by: network("10.77.0.2/32")))

  /// An enforcer that sees this as /etc/ssh/sshd_config.
  private func enforcer(_ lab: Laboratory, sshd text: String, isReadable: Bool = true) throws -> Command? {
    guard access("/etc/ssh", X_OK) == 0 else {
      skip("there is no /etc/ssh to lay another one over")
      return nil
    }
    mkdir(lab.directory + "/ssh", 0o755)
    lab.write(lab.directory + "/ssh/sshd_config", text)
    // Root without its capabilities, as the enforcer is, reads no other user's file.
    if !isReadable { chown(lab.directory + "/ssh/sshd_config", 65534, 65534) }
    return try lab.enforcer(setting: "mount --bind \(lab.directory)/ssh /etc/ssh")
  }
  private func marked(_ lab: Laboratory, port: Int) throws -> Command {
    let admin = try lab.connection("10.77.0.2", port: port)
    admin.say("mark")
    #expect(admin.waitFor("answered 2"))
    return admin
  }
  private func block(_ client: EnforcerClient, _ text: String = "10.77.0.2/32", seconds: UInt32 = 60) throws -> BlockOutcome? {
    try client.block([Block(network(text), seconds: seconds)]).value?.first
  }

  @Test("sshd's configuration cannot be read: marked connections count on every port, others do not; it is said at start and in the status")
  func unreadable() throws {
    guard let lab = try Laboratory.make(), let enforcer = try enforcer(lab, sshd: "Port 2222\n", isReadable: false) else { return }
    let server = try lab.server(port: 2222)
    let client = try lab.client()
    let admin = try marked(lab, port: 2222)
    let attacker = try lab.connection("10.77.0.3", port: 2222)
    #expect(try block(client) == session)
    #expect(try block(client, "10.77.0.3/32") == .blocked)
    let remark = "sshd's ports are not known for certain (/etc/ssh/sshd_config: "
    #expect(enforcer.output.contains(remark))
    #expect(try client.status().remarks.contains(remark) && client.status().unavailable.isEmpty)
    _ = (server, admin, attacker)
  }

  @Test("a session on port 22 is one whatever the configuration says now")
  func port22() throws {
    guard let lab = try Laboratory.make(), let enforcer = try enforcer(lab, sshd: "Port 2222\n") else { return }
    let server = try lab.server(port: 22)
    let admin = try marked(lab, port: 22)
    let client = try lab.client()
    #expect(try block(client) == session)
    #expect(try client.status().remarks.isEmpty)
    _ = (enforcer, server, admin)
  }

  @Test("a session outlives the port's name in the configuration")
  func portChanged() throws {
    guard let lab = try Laboratory.make(), let enforcer = try enforcer(lab, sshd: "Port \"2201\"\n") else { return }
    let server = try lab.server(port: 2201)
    let admin = try marked(lab, port: 2201)
    let client = try lab.client()
    #expect(try block(client) == session)
    lab.write(lab.directory + "/ssh/sshd_config", "Port 2202\n")
    usleep(6_500_000)
    #expect(try block(client) == session)
    // And no longer when it is over.
    admin.signal(SIGKILL)
    admin.wait()
    usleep(300_000)
    #expect(try block(client) == .blocked)
    _ = (enforcer, server)
  }

  @Test("LoginGraceTime 0: an idle connection is no session by its age, and that is said")
  func endlessGrace() throws {
    guard let lab = try Laboratory.make("admin_session_age: 1s\n"), let enforcer = try enforcer(lab, sshd: "Port 7000\nLoginGraceTime 0\n") else {
      return
    }
    let server = try lab.server()
    let attacker = try lab.connection("10.77.0.2")
    let client = try lab.client()
    usleep(3_000_000)
    #expect(try block(client) == .blocked)
    #expect(try client.status().remarks.contains("LoginGraceTime is 0") && enforcer.output.contains("LoginGraceTime is 0"))
    _ = (server, attacker)
  }

  @Test("a log-in a moment before the block, and one a moment after")
  func race() throws {
    guard let lab = try Laboratory.make("admin_ports: [7000]\n") else { return }
    // Marks its connections when it is told, as sshd does when a log-in that is under way succeeds.
    let server = try Command([
      "ip", "netns", "exec", lab.host, "python3", "-c",
      """
      import socket, sys
      s = socket.create_server(("10.77.0.1", 7000)); print("listening", flush=True); held = {}
      while len(held) < 2:
          c, peer = s.accept(); held[peer[0]] = c; c.recv(5); c.sendall(b"first")
      for line in sys.stdin:
          held[line.strip()].setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x48); print("marked", line.strip(), flush=True)
      """,
    ])
    #expect(server.waitFor("listening"))
    let enforcer = try lab.enforcer()
    let client = try lab.client()
    let admin = try lab.connection("10.77.0.2")
    let other = try lab.connection("10.77.0.3")
    #expect(try block(client, "203.0.113.1/32") == .blocked)
    server.say("10.77.0.2")
    #expect(server.waitFor("marked 10.77.0.2"))
    #expect(try block(client) == session)
    #expect(try block(client, "10.77.0.3/32") == .blocked)
    server.say("10.77.0.3")
    #expect(enforcer.waitFor("unblocked 10.77.0.3/32: it is now the peer of a live administration session"))
    _ = (admin, other)
  }

  @Test("an idle connection does not lift a block that is wider than its address")
  func wideBlock() throws {
    guard let lab = try Laboratory.make("admin_ports: [7000]\nadmin_session_age: 3s\n") else { return }
    let server = try lab.server()
    let enforcer = try lab.enforcer()
    let client = try lab.client()
    let attackers = try ["10.77.0.2", "10.77.0.3", "2001:db8:aaaa:1::5"].map { try lab.connection($0) }
    #expect(try client.block(["10.77.0.2/31", "2001:db8:aaaa::/56"].map { Block(network($0), seconds: 60) }).value == [.blocked, .blocked])
    usleep(6_000_000)
    #expect(!enforcer.output.contains("unblocked"))
    #expect(try client.list().value?.count == 2)
    _ = (server, attackers)
  }

  @Test("16,500 unauthenticated connections to an administration port do not turn blocking off")
  func manyConnections() throws {
    guard let lab = try Laboratory.make("admin_ports: [7000]\n") else { return }
    let count = 16_500
    let open = "import resource, socket, sys, time; resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))\n"
    let server = try Command([
      "ip", "netns", "exec", lab.host, "python3", "-c",
      open
        + """
        s = socket.create_server(("10.77.0.1", 7000), backlog=4096); print("listening", flush=True); held = []
        while len(held) < \(count): held.append(s.accept()[0])
        print("all", flush=True); time.sleep(90)
        """,
    ])
    guard server.waitFor("listening", seconds: 30) else { return skip("so many open files are not allowed here: \(server.output)") }
    let enforcer = try lab.enforcer()
    let attacker = try Command([
      "ip", "netns", "exec", lab.outside, "python3", "-c",
      open
        + """
        held = [socket.create_connection(("10.77.0.1", 7000), source_address=("10.77.0.2", 10000 + i)) for i in range(\(count))]
        print("holds", flush=True); time.sleep(90)
        """,
    ])
    guard server.waitFor("all", seconds: 90) else { return skip("so many connections are not possible here: \(attacker.output)") }
    let client = try lab.client()
    #expect(try block(client, "10.77.0.3/32") == .blocked)
    #expect(try block(client) == .blocked)
    #expect(try client.status().refusedProtectionUnknown == 0)
    _ = (enforcer, attacker)
  }

  @Test("the gateway of a route that names its next hop by number, alone and in a group; also after it changed")
  func nextHops() throws {
    guard let lab = try Laboratory.make() else { return }
    guard (try? lab.ip("nexthop add id 7 via 10.77.0.3 dev cable")) != nil else { return skip("no next hop objects here") }
    try Command.run(["ip", "netns", "exec", lab.host, "sh", "-c", "echo 0 > /proc/sys/net/ipv4/nexthop_compat_mode"], mayFail: true)
    try lab.ip("route replace default nhid 7")
    let enforcer = try lab.enforcer()
    let client = try lab.client()
    func gateway(_ text: String) -> BlockOutcome { .refused(.protected(.gateway, by: network(text))) }
    #expect(try block(client, "10.77.0.3/32") == gateway("10.77.0.3/32"))
    #expect(try block(client, "10.77.0.2/32") == .blocked)
    try lab.ip("nexthop replace id 7 via 10.77.0.2 dev cable")
    #expect(enforcer.waitFor("unblocked 10.77.0.2/32: it is now a default gateway"))
    try lab.ip("nexthop add id 8 via 10.77.0.4 dev cable")
    try lab.ip("nexthop add id 9 group 7/8")
    try lab.ip("route replace default nhid 9")
    #expect(try block(client, "10.77.0.4/32") == gateway("10.77.0.4/32"))
    #expect(try block(client, "10.77.0.2/32") == gateway("10.77.0.2/32"))
    #expect(try block(client, "10.77.0.3/32") == .blocked)
  }
}
