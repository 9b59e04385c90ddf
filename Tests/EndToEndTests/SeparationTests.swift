// Separated privileges, on the programs as they run (P1): what the engine gave up according to the kernel, what it is refused when it tries,
// that it still does its work, and that its end, however it comes, is survived.
import AgentRuntime
import CLinux
import Detection
import Glibc
import Primitives
import Testing

@Suite struct SeparationTests {
  /// `/proc/PID/status` by its keys.
  private func facts(_ pid: pid_t) -> [String: String] {
    var facts: [String: String] = [:]
    for line in String(decoding: fileContents("/proc/\(pid)/status"), as: UTF8.self).split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      facts[String(line[..<colon])] = line[line.index(after: colon)...].split { $0 == "\t" || $0 == " " }.joined(separator: " ")
    }
    return facts
  }

  /// Inodes of the sockets that a process has open; nil where they cannot be seen.
  private func sockets(_ pid: pid_t) -> Set<String>? {
    guard let directory = opendir("/proc/\(pid)/fd") else { return nil }
    defer { closedir(directory) }
    var found: Set<String> = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
      var target = [CChar](repeating: 0, count: 256)
      guard readlink("/proc/\(pid)/fd/\(name)", &target, 255) > 0 else { continue }
      let text = String(decoding: target.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if text.hasPrefix("socket:[") { found.insert(String(text.dropFirst(8).dropLast())) }
    }
    return found
  }
  private func networkSockets(
    _ pid: pid_t, tables: [String] = ["tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "netlink"]
  ) -> Set<String> {
    var inodes: Set<String> = []
    for table in tables {
      for line in String(decoding: fileContents("/proc/\(pid)/net/\(table)"), as: UTF8.self).split(separator: "\n").dropFirst() {
        inodes.formUnion(line.split(separator: " ").map(String.init))
      }
    }
    return inodes
  }

  /// Also every thread: Landlock and capabilities belong to threads.
  @Test func theEngineHasNoCapabilityAndNoNetworkSocket() throws {
    let d = TemporaryDirectory()
    d.append(Workload.attacks(0..<2).flatMap { $0 }.joined(), to: "auth.log")
    // One that is left open for whoever is started.
    let left = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #expect(left >= 0 && listen(left, 1) == 0)
    let agent = RunningAgent(d)
    close(left)
    #expect(agent.acknowledges(88), "\(agent.errors)")
    let engine = agent.engine
    #expect(engine > 0 && engine != agent.child.pid)
    var threads: [pid_t] = []
    if let directory = opendir("/proc/\(engine)/task") {
      while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
        if let number = pid_t(name) { threads.append(number) }
      }
      closedir(directory)
    }
    #expect(!threads.isEmpty)
    for thread in threads {
      let facts = facts(thread)
      for key in ["CapEff", "CapPrm", "CapInh", "CapAmb"] { #expect(facts[key] == "0000000000000000", "\(key) \(facts[key] ?? "")") }
      if Product.isRoot { #expect(facts["CapBnd"] == "0000000000000000") }
      #expect(facts["NoNewPrivs"] == "1" && facts["Seccomp"] == "2", "\(facts)")
    }
    if let sockets = sockets(engine) {
      #expect(!sockets.isEmpty)
      #expect(sockets.isDisjoint(with: networkSockets(engine)))
    } else {
      skip("the engine's descriptors can be seen by root only")
    }
    // The enforcer has netlink, and nothing else that a parent may have had.
    if let enforcer = agent.status()?.processes.first(where: { $0.name == "enforcer" }), let sockets = sockets(pid_t(enforcer.pid)) {
      #expect(!sockets.isEmpty && sockets.isDisjoint(with: networkSockets(pid_t(enforcer.pid), tables: ["tcp", "tcp6", "udp", "udp6"])))
    }
    #expect(String(decoding: fileContents("/proc/\(engine)/limits"), as: UTF8.self).contains("Max core file size        0 "))
    #expect(!agent.errors.contains("warning"), "\(agent.errors)")
    let row = try #require(agent.status()?.processes.first { $0.name == "engine" })
    #expect(row.confined.contains { $0.hasPrefix("capabilities: none") } && row.confined.contains { $0.hasPrefix("files: Landlock") })

    let doctor = panguard("doctor", "--config", d["config.yaml"], "--state", agent.state, "--rules", Product.rules)
    #expect(doctor.status == 0, "\(doctor)")
    #expect(doctor.text.contains("process     pid") && doctor.text.contains("filtered") && doctor.text.contains("engine: no_new_privs"), "\(doctor)")
    #expect(agent.stop() == 0)
  }

  @Test(arguments: [false, true]) func whatTheEngineMustNotDoIsRefused(asOrdinaryUser: Bool) {
    let d = TemporaryDirectory()
    d.write("sources:\n  - path: \(d["auth.log"])\n", to: "config.yaml")
    mkdir(d["state"], 0o700)
    var command = [Product.panguardd, "--check-confinement", "--config", d["config.yaml"], "--state", d["state"], "--rules", Product.rules]
    if asOrdinaryUser {
      guard Product.isRoot else { return skip("needs root, to become another user") }
      for name in ["", "state"] { chown(d[name], 65534, 65534) }
      command = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] + command
    } else if Product.isRoot {
      command += ["--user", "root"]
    }
    let result = run(command)
    #expect(result.status == 0 && !result.text.contains("ALLOWED"), "\(result)")
    for what in [
      "AF_INET stream socket: Operation not permitted", "AF_INET6 datagram socket: Operation not permitted", "AF_PACKET raw socket",
      "AF_NETLINK raw socket", "AF_UNIX stream socket", "reading /etc/passwd: Permission denied", "a signal to process 1", "a new process",
      "writing a file in /tmp", "CAP_NET_ADMIN",
    ] { #expect(result.text.contains("refused: \(what)"), "\(what): \(result)") }
  }

  /// Started by root, it becomes the user that is named, takes its directories along, and does the same work.
  @Test func startedByRootItBecomesAnotherUser() throws {
    let d = TemporaryDirectory()
    guard Product.isRoot else { return skip("needs root, to become another user") }
    chmod(d.path, 0o755)
    d.append(Workload.attacks(0..<2).flatMap { $0 }.joined(), to: "auth.log")
    // As root it leaves a state directory behind that is root's.
    let agent = RunningAgent(d)
    #expect(agent.acknowledges(88), "\(agent.errors)")
    #expect(agent.stop() == 0)
    d.append(Workload.attacks(2..<3)[0].joined(), to: "auth.log")
    let other = RunningAgent(d, arguments: ["--user", "nobody"])
    #expect(other.acknowledges(132), "\(other.errors)")
    let facts = facts(other.engine)
    #expect(facts["Uid"] == "65534 65534 65534 65534" && facts["CapEff"] == "0000000000000000", "\(facts)")
    d.rename("auth.log", "auth.log.1")
    d.append(Workload.harmless(0..<10), to: "auth.log")
    #expect(other.acknowledges(142), "\(other.errors)")
    #expect(panguard("status", "--state", other.state).status == 0)
    #expect(other.stop() == 0)
    #expect(try Set(other.decisions().map(\.subject.label)).count >= 3)
  }

  /// The engine is killed while an attack is written: it is started again, nothing is forgotten and nothing doubled, and it is recorded.
  @Test func aKilledEngineIsStartedAgain() throws {
    let d = TemporaryDirectory()
    d.append("", to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.isUp(), "\(agent.errors)")
    let attacks = Workload.attacks(0..<4)
    var written = 0
    var killed: Set<pid_t> = []
    for (n, lines) in attacks.enumerated() {
      let cut = 7 + n * 9
      d.append(lines[..<cut].joined(), to: "auth.log")
      written += cut
      if n % 2 == 0 { #expect(agent.acknowledges(written), "\(agent.errors)") }
      let engine = agent.engine
      kill(engine, SIGKILL)
      killed.insert(engine)
      d.append(lines[cut...].joined(), to: "auth.log")
      written += lines.count - cut
      #expect(eventually { agent.status().map { !killed.contains(pid_t($0.pid)) } ?? false }, "\(agent.errors)")
    }
    #expect(agent.acknowledges(written), "\(agent.acknowledgedLines()) of \(written); \(agent.errors)")
    #expect(agent.child.isRunning)
    // It hears of its end from the supervisor, a moment after it began to read.
    func row() -> ProcessStatus? { agent.status()?.processes.first { $0.name == "engine" } }
    #expect(eventually { row().map { $0.restarts >= 1 && $0.lastEnd == "signal 9, killed" } ?? false }, "\(String(describing: row()))")
    #expect(agent.stop() == 0)
    #expect(agent.errors.contains("(process ended: signal 9, killed) is started again in 100 ms"), "\(agent.errors)")
    let audit = String(decoding: d.contents("state/audit.jsonl"), as: UTF8.self).split(separator: "\n")
    #expect(audit.count { $0.contains("\"process_ended\"") && $0.contains("signal 9") } == attacks.count, "\(audit)")

    let quiet = TemporaryDirectory()
    quiet.append(attacks.flatMap { $0 }.joined(), to: "auth.log")
    let replay = panguard("replay", "--rules", Product.rules, "--format", "jsonl", quiet["auth.log"])
    #expect(try findings(agent.decisions()) == findings(replay.decisions))
  }

  @Test func theEngineDoesNotOutliveItsSupervisor() {
    let d = TemporaryDirectory()
    d.append("", to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.isUp(), "\(agent.errors)")
    let engine = agent.engine
    agent.killAtOnce()
    #expect(eventually(seconds: 120) { kill(engine, 0) != 0 || facts(engine)["State"]?.hasPrefix("Z") ?? true })
  }

  /// An engine that hangs does not keep the supervisor from ending: the second request kills it.
  @Test func aHangingEngineIsKilledInTheEnd() {
    let d = TemporaryDirectory()
    d.append("", to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.isUp(), "\(agent.errors)")
    agent.signalEngine(SIGSTOP)
    agent.child.signal(SIGINT)
    usleep(300_000)
    #expect(agent.child.isRunning)
    agent.child.signal(SIGINT)
    #expect(agent.child.wait(seconds: 120) == 3)
    #expect(agent.errors.contains("engine does not end; it is killed"), "\(agent.errors)")
  }

  @Test func withoutTheEnginesProgramItSaysWhatIsMissing() {
    let d = TemporaryDirectory()
    #expect(run(["/bin/cp", Product.panguard, d["panguard"]]).status == 0)
    let result = run([d["panguard"], "run", "--state", d["state"]], environment: Product.environment)
    #expect(result.status == 3 && result.errors.contains("panguardd is not in \(d.path), nor in /usr/lib/panguard"), "\(result)")
  }
}
