// SIGHUP, and what the service manager is told. A good reload is taken over whole, a broken one is refused with its errors, and either way
// every line is read once.
import AgentRuntime
import CLinux
import Glibc
import Primitives
import Testing

@Suite struct ReloadTests {
  private let attack = Workload.attacks(0..<1)[0].joined()

  /// Rules of the test's own: the shipped ones about logins, in a directory that can be changed.
  private func rules(_ d: TemporaryDirectory) -> String {
    run(["/bin/cp", "-r", Product.rules, d["rules"]])
    return d["rules"]
  }

  @Test func theCheckBeforeAReloadFindsWhatTheReloadWouldRefuse() {
    let d = TemporaryDirectory()
    d.write("playbook: own\ntitle: T\nwhen: {severity: low}\nsteps: [log_only]\n", to: "playbooks.yaml")
    d.write("response: {playbooks: [\(d["playbooks.yaml"])]}\n", to: "config.yaml")
    let check = [Product.panguardd, "--check", "--config", d["config.yaml"], "--rules", Product.rules]
    let good = run(check, environment: Product.environment)
    #expect(good.status == 0 && good.text.contains(", 1 playbooks, no errors; configuration "), "\(good)")
    d.write("playbook: own\ntitle: T\nwhen: {severity: low}\nsteps: [log_onli]\n", to: "playbooks.yaml")
    let bad = run(check, environment: Product.environment)
    #expect(bad.status == 1 && bad.errors.contains("playbooks.yaml:4:9: error: 'steps[1]': unknown action 'log_onli'"), "\(bad)")
  }

  @Test func brokenRulesAreRefusedAndGoodOnesAreTaken() throws {
    let d = TemporaryDirectory()
    d.append("", to: "auth.log")
    let agent = RunningAgent(d, arguments: ["--rules", rules(d)])
    #expect(agent.isUp(), "\(agent.errors)")
    let before = try #require(agent.status())
    d.append(attack, to: "auth.log")
    #expect(agent.acknowledges(44))

    d.write("id: ATR-2026-99999\ndetection: [\n", to: "rules/zz-broken.yaml")
    agent.child.signal(SIGHUP)
    d.append(Workload.attacks(1..<2)[0].joined(), to: "auth.log")
    #expect(eventually { agent.errors.contains("not reloaded; the rules and the configuration stay as they were") }, "\(agent.errors)")
    #expect(agent.errors.contains("zz-broken.yaml:"), "\(agent.errors)")
    #expect(agent.acknowledges(88), "\(agent.acknowledgedLines())")
    #expect(agent.status()?.ruleSetHash == before.ruleSetHash)

    // Whoever asks is told, by the exit code too: also of what only the running engine can know.
    let refused = panguard("reload", "--state", agent.state)
    #expect(refused.status == 1 && refused.errors.contains("zz-broken.yaml:") && refused.errors.contains("not reloaded"), "\(refused)")
    unlink(d["rules/zz-broken.yaml"])
    agent.child.signal(SIGHUP)
    #expect(eventually { agent.errors.contains("reloaded: nothing has changed") }, "\(agent.errors)")
    let unchanged = panguard("reload", "--state", agent.state)
    #expect(unchanged.status == 0 && unchanged.text.contains("nothing has changed"), "\(unchanged)")
    let configuration = String(decoding: d.contents("config.yaml"), as: UTF8.self)
    d.write("sources: [{path: /var/lib/elsewhere.log}]\n", to: "config.yaml")
    let beyond = panguard("reload", "--state", agent.state)
    #expect(beyond.status == 1 && beyond.errors.contains("has given up access to"), "\(beyond)")
    d.write(configuration, to: "config.yaml")

    // Lines come before, while and after the good set is taken: none is read twice or not at all.
    d.write("allowlist: [192.0.2.1]\nsources:\n  - path: \(d["auth.log"])\n    from_start: true\n", to: "config.yaml")
    for n in 2..<12 {
      if n == 6 { agent.child.signal(SIGHUP) }
      d.append(Workload.attacks(n..<(n + 1))[0].joined(), to: "auth.log")
      usleep(100_000)
    }
    #expect(
      eventually { agent.errors.contains("reloaded: ") && agent.status().map { $0.configurationHash != before.configurationHash } ?? false },
      "\(agent.errors)")
    #expect(agent.acknowledges(12 * 44), "\(agent.acknowledgedLines()); \(agent.errors)")
    #expect(agent.status()?.pid == before.pid)
    #expect(agent.stop() == 0)
    // What one quiet run finds.
    let quiet = TemporaryDirectory()
    quiet.append((0..<12).flatMap { Workload.attacks($0..<($0 + 1))[0] }.joined(), to: "auth.log")
    let replay = panguard("replay", "--rules", Product.rules, "--format", "jsonl", quiet["auth.log"])
    #expect(try findings(agent.decisions()) == findings(replay.decisions))
  }

  @Test func aBrokenConfigurationIsRefused() throws {
    let d = TemporaryDirectory()
    d.append("", to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.isUp(), "\(agent.errors)")
    let before = try #require(agent.status())
    let refusals = { agent.errors.ranges(of: "not reloaded;").count }
    d.write("incident_windo: 5m\n", to: "config.yaml")
    agent.child.signal(SIGHUP)
    #expect(eventually { refusals() == 1 }, "\(agent.errors)")
    #expect(agent.errors.contains("config.yaml:1:1: error:"), "\(agent.errors)")
    // Beyond what the engine can still reach.
    d.write("sources:\n  - path: /srv/other/x.log\n", to: "config.yaml")
    agent.child.signal(SIGHUP)
    #expect(eventually { refusals() == 2 }, "\(agent.errors)")
    #expect(agent.errors.contains("given up access to /srv/other; restart it"), "\(agent.errors)")
    d.append(attack, to: "auth.log")
    #expect(agent.acknowledges(44))
    #expect(agent.status()?.configurationHash == before.configurationHash)
    #expect(agent.stop() == 0)
  }

  /// A datagram socket that stands for the service manager's.
  private func notifySocket(_ path: String) -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8).prefix(100)) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
    #expect(bound == 0)
    return descriptor
  }
  private func words(_ descriptor: Int32) -> [String] {
    var words: [String] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while case let n = recv(descriptor, &buffer, buffer.count, 0), n > 0 {
      words += String(decoding: buffer[..<n], as: UTF8.self).split(separator: "\n").map(String.init)
    }
    return words
  }

  @Test func theServiceManagerIsTold() {
    let d = TemporaryDirectory()
    d.append("", to: "auth.log")
    d.write("sources:\n  - path: \(d["auth.log"])\n    from_start: true\n", to: "config.yaml")
    let manager = notifySocket(d["notify"])
    defer { close(manager) }
    let user = Product.isRoot ? ["--user", "root"] : []
    let child = Child(
      [Product.panguardd, "--config", d["config.yaml"], "--state", d["state"], "--rules", Product.rules] + user, errors: d["err"],
      environment: Product.environment.merging(["NOTIFY_SOCKET": d["notify"], "WATCHDOG_USEC": "2000000"]) { $1 })
    var told: [String] = []
    func hears(_ wanted: [String]) -> Bool {
      eventually {
        told += words(manager)
        var rest = wanted[...]
        for word in told where rest.first.map({ word.hasPrefix($0) }) ?? false { rest = rest.dropFirst() }
        return rest.isEmpty
      }
    }
    #expect(hears(["READY=1", "WATCHDOG=1", "WATCHDOG=1"]), "\(told) \(String(decoding: d.contents("err"), as: UTF8.self))")
    child.signal(SIGHUP)
    #expect(hears(["READY=1", "RELOADING=1", "MONOTONIC_USEC=", "READY=1"]), "\(told)")
    child.signal(SIGTERM)
    #expect(child.wait(seconds: 120) == 0)
    #expect(hears(["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]), "\(told)")
  }

  /// The control socket comes from the manager: it is answered, and stays when the engine ends.
  @Test func aSocketOfTheServiceManagerIsUsed() {
    let d = TemporaryDirectory()
    let activate = "/usr/bin/systemd-socket-activate"
    guard access(activate, X_OK) == 0 else { return skip("no \(activate)") }
    d.append(attack, to: "auth.log")
    d.write("sources:\n  - path: \(d["auth.log"])\n    from_start: true\n", to: "config.yaml")
    mkdir(d["state"], 0o700)
    let user = Product.isRoot ? ["--user", "root"] : []
    let child = Child(
      [activate, "-E", "CACHE_DIRECTORY=\(Product.environment["CACHE_DIRECTORY"] ?? "")", "-l", d["state/control.sock"], Product.panguardd]
        + ["--config", d["config.yaml"], "--state", d["state"], "--rules", Product.rules] + user, errors: d["err"])
    func errors() -> String { String(decoding: d.contents("err"), as: UTF8.self) }
    #expect(eventually { d.exists("state/control.sock") }, "\(errors())")
    // The first request starts the engine, and may be over before it answers.
    #expect(eventually(seconds: 120) { panguard("status", "--state", d["state"]).text.contains("auth.log: 44 lines") }, "\(errors())")
    child.signal(SIGTERM)
    #expect(child.wait(seconds: 120) == 0, "\(errors())")
    #expect(d.exists("state/control.sock"))
  }
}
