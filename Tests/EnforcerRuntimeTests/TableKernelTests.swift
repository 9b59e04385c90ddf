// The enforcer's table in a real kernel when others are at it: a second enforcer, an administrator who flushes or changes it, an engine that
// ends its enforcer again and again, peers who take all places.
import Enforcement
import Glibc
import Primitives
import Testing

@testable import EnforcerRuntime

@Suite("The table and those who are at it", .serialized)
struct TableKernelTests {
  private func block(_ client: EnforcerClient, _ text: String, seconds: UInt32 = 60) throws -> BlockOutcome? {
    try client.block([Block(network(text), seconds: seconds)]).value?.first
  }
  private func elements(_ lab: Laboratory, _ text: String) throws -> Bool {
    try lab.nft("list ruleset").contains(text)
  }

  @Test("two enforcers in one network namespace: the second serves nobody until the first is gone, then takes over its blocks")
  func twoEnforcers() throws {
    guard let lab = try Laboratory.make() else { return }
    let first = try lab.enforcer()
    let client = try lab.client()
    #expect(try block(client, "10.77.0.2/32") == .blocked)
    let path = lab.directory + "/second.sock"
    let second = try lab.enforcer(at: path)
    let late = try EnforcerClient(path: path)
    guard case .unavailable(let reason) = try late.reconcile([]) else { return #expect(Bool(false), "the second serves") }
    #expect(reason.contains("another enforcer (of user 0) serves this network namespace"))
    #expect(try late.status().unavailable == reason)
    usleep(2_500_000)
    #expect(try client.list().value?.count == 1)
    first.signal(SIGKILL)
    first.wait()
    #expect(second.waitFor("ready; 1 blocks taken over"))
    // Who was told that nothing can be blocked has to connect again.
    usleep(200_000)
    #expect((try? late.heartbeat()) == nil)
    let again = try EnforcerClient(path: path)
    #expect(try again.status().unavailable.isEmpty)
    #expect(try block(again, "10.77.0.3/32") == .blocked)
    #expect(try again.list().value?.count == 2)
  }

  @Test("the lock's name in the hands of a user who is no enforcer stops nobody")
  func squatter() throws {
    guard let lab = try Laboratory.make() else { return }
    let script = "import socket,time; s=socket.socket(socket.AF_UNIX); s.bind('\\0panguard-enforcer'); print('bound',flush=True); time.sleep(60)"
    let squatter = try Command([
      "ip", "netns", "exec", lab.host, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "python3", "-c", script,
    ])
    guard squatter.waitFor("bound") else { return skip("python3 is not there for other users: \(squatter.output)") }
    let enforcer = try lab.enforcer()
    #expect(enforcer.output.contains("user 65534, who is no enforcer, holds the name of the lock"))
    #expect(try block(lab.client(), "10.77.0.2/32") == .blocked)
  }

  @Test("a block right after `nft flush ruleset` is made, and what was blocked before is blocked again")
  func flushed() throws {
    guard let lab = try Laboratory.make() else { return }
    let enforcer = try lab.enforcer()
    let client = try lab.client()
    #expect(try block(client, "10.77.0.2/32") == .blocked)
    for i in 3...9 {
      _ = try lab.nft("flush ruleset")
      #expect(try block(client, "10.77.0.\(i == 5 ? 55 : i)/32") == .blocked)
      #expect(try elements(lab, "10.77.0.2"))
    }
    _ = try lab.nft("flush ruleset")
    #expect(try client.unblock([network("10.77.0.2/32")]).value == [.unblocked])
    #expect(try !elements(lab, "10.77.0.2 ") && elements(lab, "10.77.0.3"))
    _ = enforcer
  }

  @Test("--remove-table while an enforcer runs: it lets go, and does not put the table back")
  func removeTable() throws {
    guard let lab = try Laboratory.make() else { return }
    let enforcer = try lab.enforcer()
    let client = try lab.client()
    #expect(try block(client, "10.77.0.2/32") == .blocked)
    func remove(_ path: String) throws -> Command {
      let command = try Command(["ip", "netns", "exec", lab.host, Laboratory.program, "--remove-table", "--socket", path])
      command.wait()
      return command
    }
    // One that cannot be asked would put it back.
    let refused = try remove(lab.directory + "/nobody.sock")
    #expect(refused.wait() == 3 && refused.output.contains("stop it first"))
    #expect(try elements(lab, "10.77.0.2"))
    let done = try remove(lab.socket)
    #expect(done.wait() == 0 && done.output.contains("has let 1 blocks go"))
    usleep(2_500_000)
    #expect(try !lab.nft("list tables").contains("panguard"))
    #expect(try client.list().value == [])
    #expect(try block(client, "10.77.0.3/32") == .blocked)
    #expect(try elements(lab, "10.77.0.3"))
    _ = enforcer
  }

  static let damages: [(String, String)] = [
    (
      "a chain at another hook",
      "delete table inet panguard; add table inet panguard; add chain inet panguard early { type filter hook input priority 0; }"
    ),
    ("a chain without a hook", "delete table inet panguard; add table inet panguard; add chain inet panguard early"),
    (
      "a set of another kind",
      "delete table inet panguard; add table inet panguard; add set inet panguard blocked4_32 { type ipv4_addr; flags interval; }"
    ),
    (
      "a set of another key",
      "delete table inet panguard; add table inet panguard; add set inet panguard blocked4_32 { type ipv6_addr; flags timeout; }"
    ),
    ("a foreign chain", "add chain inet panguard evil { type filter hook input priority 0; policy drop; }"),
    ("a foreign set", "add set inet panguard evil { type ipv4_addr; }"),
    ("a foreign rule", "insert rule inet panguard early accept comment \"evil\""),
  ]
  @Test("whatever others make of the table, it blocks again within seconds, and nothing of theirs stays in it", arguments: damages)
  func damaged(_ what: String, _ change: String) throws {
    guard let lab = try Laboratory.make() else { return }
    let enforcer = try lab.enforcer()
    let server = try lab.server()
    let client = try lab.client()
    #expect(try block(client, "10.77.0.2/32") == .blocked)
    _ = try lab.nft(change)
    #expect(try block(client, "10.77.0.3/32") == .blocked, "\(what)")
    usleep(2_500_000)
    #expect(try !lab.passes("10.77.0.2") && !lab.passes("10.77.0.3") && lab.passes("10.77.0.4"), "\(what)")
    #expect(try !elements(lab, "evil"), "\(what)")
    #expect(try client.status().unavailable.isEmpty)
    _ = (enforcer, server)
  }

  @Test("what becomes protected while the table is gone is let go all the same")
  func releasedLater() throws {
    guard let lab = try Laboratory.make() else { return }
    let enforcer = try lab.enforcer()
    let client = try lab.client()
    #expect(try block(client, "10.77.0.9/32") == .blocked)
    for _ in 0..<3 {
      _ = try lab.nft("delete table inet panguard", mayFail: true)
      try lab.ip("address replace 10.77.0.9/24 dev cable")
    }
    #expect(enforcer.waitFor("unblocked 10.77.0.9/32: it is now an address of this host"))
    usleep(1_500_000)
    #expect(try !elements(lab, "10.77.0.9"))
    #expect(try client.list().value == [])
  }

  @Test("a new enforcer is no new reboot: restored without the rate is once in a boot, and the minute goes on")
  func rate() throws {
    guard let lab = try Laboratory.make() else { return }
    lab.write(lab.directory + "/enforcer.yaml", "blocks_per_minute: 60\nshortest_block: 1s\n")
    func wave(_ i: UInt32) -> [Block] { (0..<500).map { Block(CIDR(IPAddress(v4: 0x0b00_0000 + i << 16 + $0), prefixLength: 32), seconds: 600) } }
    var enforcer = try lab.enforcer()
    #expect(try lab.client().reconcile(wave(0)).value?.outcomes.allSatisfy { $0 == .blocked } == true)
    for i in UInt32(1)...2 {
      enforcer.signal(SIGKILL)
      enforcer.wait()
      enforcer = try lab.enforcer()
      let outcomes = try lab.client().reconcile(wave(i)).value?.outcomes ?? []
      #expect(outcomes.count == 500 && outcomes.filter { $0 == .blocked }.count < 60)
    }
    // What it knew is still taken over, and a reboot's empty kernel is filled.
    enforcer.signal(SIGKILL)
    enforcer.wait()
    _ = try lab.nft("flush ruleset")
    enforcer = try lab.enforcer()
    #expect(try lab.client().reconcile(wave(3)).value?.outcomes.allSatisfy { $0 == .blocked } == true)
  }

  @Test("idle connections of the engine's user shut neither root out nor, for long, the engine")
  func places() throws {
    guard let lab = try Laboratory.make("engine_user: nobody\n") else { return }
    let enforcer = try lab.enforcer()
    chmod(lab.directory, 0o755)
    chmod(lab.socket, 0o666)
    func engine(_ count: Int) throws -> Command {
      let script = """
        import socket, sys, time
        held = []
        for i in range(\(count)):
            s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1])
            try:
                s.sendall(b"\\0\\0\\0\\x0c\\1\\6\\0\\0\\0\\0\\0\\1")
                if s.recv(99): held.append(s)
            except OSError: pass
        print("served", len(held), flush=True); time.sleep(60)
        """
      return try Command(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "python3", "-c", script, lab.socket])
    }
    let hostile = try engine(12)
    guard hostile.waitFor("served", seconds: 30) else { return skip("python3 is not there for other users: \(hostile.output)") }
    #expect(hostile.output.contains("served \(Limits.frameConnections - Limits.enforcerConnectionsOfRoot)"))
    #expect(try lab.client().status().connectionsRefused >= 1)
    usleep(6_000_000)
    let real = try engine(1)
    #expect(real.waitFor("served 1"))
    #expect(enforcer.output.contains("closed: silent while others wait"))
  }

  @Test("a file that moves to where this process cannot look: it is said, and a new process is asked for")
  func movedFile() throws {
    guard let lab = try Laboratory.make() else { return }
    let (etc, elsewhere) = (lab.directory + "/etc", lab.directory + "/elsewhere")
    mkdir(etc, 0o755)
    mkdir(elsewhere, 0o755)
    lab.write(etc + "/passwd", "root:x:0:0::/:/bin/sh\n")
    lab.write(etc + "/resolv.conf", "nameserver 192.0.2.1\n")
    lab.write(elsewhere + "/resolv.conf", "nameserver 192.0.2.2\n")
    let setting = "umount /etc/resolv.conf 2>/dev/null || true\nmount --bind \(etc) /etc"
    var enforcer = try lab.enforcer(setting: setting)
    if enforcer.output.contains("no Landlock") { return skip("this kernel has no Landlock") }
    let client = try lab.client()
    func resolver(_ text: String) -> BlockOutcome { .refused(.protected(.resolver, by: network(text))) }
    #expect(try block(client, "192.0.2.1/32") == resolver("192.0.2.1/32"))
    #expect(try block(client, "10.77.0.2/32") == .blocked)
    symlink(elsewhere + "/resolv.conf", etc + "/new")
    rename(etc + "/new", etc + "/resolv.conf")
    #expect(enforcer.wait() == 75 && enforcer.output.contains("starting again: a new process can read what this one cannot (/etc/resolv.conf: "))
    enforcer = try lab.enforcer(setting: setting)
    #expect(try block(lab.client(), "192.0.2.2/32") == resolver("192.0.2.2/32"))
    #expect(try lab.client().list().value?.count == 1)
    // One that is there and that no process of ours may read: nothing is blocked, and the status says why.
    chown(elsewhere + "/resolv.conf", 65534, 65534)
    rename(elsewhere + "/resolv.conf", elsewhere + "/other")
    rename(elsewhere + "/other", elsewhere + "/resolv.conf")
    usleep(100_000)
    lab.write(elsewhere + "/resolv.conf", "nameserver 192.0.2.34\n")
    #expect(try block(lab.client(), "10.77.0.3/32") == .refused(.protectionUnknown))
    #expect(try lab.client().status().remarks.contains("nothing is blocked while it is not known what to protect: /etc/resolv.conf"))
  }
}
