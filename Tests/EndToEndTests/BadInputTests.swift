// Logs that are none, lines that are none, clocks that are wrong: the agent goes on, and its counters show it.
import AgentRuntime
import CLinux
import Detection
import Glibc
import PanguardTestKit
import Primitives
import Testing

@Suite struct BadInputTests {
  @Test func whatIsNoLogIsSaidAndTheRestIsRead() throws {
    let d = TemporaryDirectory()
    mkdir(d["directory"], 0o755)
    mkfifo(d["fifo"], 0o600)
    symlink("/dev/zero", d["device"])
    symlink(d["nothing"], d["dangling"])
    symlink(d["circle"], d["circle"])
    d.append(Workload.attacks(0..<1)[0].joined(), to: "auth.log")
    let agent = RunningAgent(d, sources: ["directory", "fifo", "device", "dangling", "circle", "auth.log"])
    #expect(agent.acknowledges(44), "\(agent.errors)")
    let status = try #require(agent.status())
    for (name, reason) in [
      ("directory", "is a directory"), ("fifo", "is a FIFO"), ("device", "is a character device"), ("dangling", "does not exist"),
      ("circle", "symbolic links that lead in a circle"),
    ] {
      let source = status.sources.first { $0.name == d[name] }
      #expect(source?.state == "waiting" && source?.reason.contains(reason) == true, "\(name): \(String(describing: source))")
      #expect(agent.errors.contains("\(d[name]): \(reason)"), "\(agent.errors)")
    }
    // The link gets a target: it is read from there on.
    d.append(Workload.harmless(0..<10), to: "nothing")
    #expect(agent.acknowledges(54), "\(agent.acknowledgedLines())")
    #expect(agent.stop() == 0)
  }

  @Test func aLogThatMayNotBeReadIsSaidAndReadLater() throws {
    let d = TemporaryDirectory()
    guard Product.isRoot else { return skip("needs root, to become another user") }
    d.append(Workload.harmless(0..<10), to: "auth.log")
    chmod(d["auth.log"], 0o600)
    d.write("sources:\n  - path: \(d["auth.log"])\n    from_start: true\n", to: "config.yaml")
    mkdir(d["state"], 0o700)
    for name in ["", "state"] { chown(d[name], 65534, 65534) }
    let agent = Child(
      [
        "/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", Product.panguard, "run", "--config", d["config.yaml"],
        "--state", d["state"], "--rules", Product.rules,
      ],
      output: d["out"], errors: d["err"], environment: ["CACHE_DIRECTORY": d["cache"]])
    func errors() -> String { String(decoding: d.contents("err"), as: UTF8.self) }
    #expect(eventually { errors().contains("cannot open: Permission denied; let this user read it") }, "\(errors())")
    chmod(d["auth.log"], 0o644)
    #expect(eventually { errors().contains("can be read again") }, "\(errors())")
    agent.signal(SIGTERM)
    #expect(agent.wait(seconds: 120) == 0)
    #expect(errors().contains("10 events"), "\(errors())")
  }

  @Test func garbageIsCountedAndWhatLiesBetweenIsFound() throws {
    let d = TemporaryDirectory()
    var random = SplitMix64(seed: 7)
    var garbage: [UInt8] = []
    for _ in 0..<20_000 { garbage.append(UInt8.random(in: 0...255, using: &random)) }
    garbage.append(0x0a)
    d.append(garbage, to: "auth.log")
    let garbageLines = garbage.count { $0 == 0x0a }
    d.append([UInt8](repeating: 0, count: 70_000) + [0x0a], to: "auth.log")
    d.append([UInt8](repeating: 0x41, count: 10 << 20) + [0x0a], to: "auth.log")
    d.append([0xff, 0xfe, 0xc0, 0x80, 0xed, 0xa0, 0x80, 0x0a, 0x0d, 0x0a, 0x0a], to: "auth.log")
    d.append(Workload.line(Workload.start, "sshd[1]: Failed password for \u{1}\u{1b}[31m from 198.18.9.9 port 22 ssh2"), to: "auth.log")
    d.append(Workload.attacks(0..<1)[0].joined(), to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.acknowledges(garbageLines + 2 + 3 + 1 + 44), "\(agent.acknowledgedLines()) \(agent.errors)")
    #expect(agent.drop("lines cut at \(Limits.lineBytes) bytes") == 2)
    let status = try #require(agent.status())
    #expect(status.sources[0].unparsed > 0)
    #expect(status.peakResidentBytes < 128 << 20)
    #expect(agent.stop() == 0)
    #expect(try agent.decisions().contains { $0.subject.source == Workload.address(0) && $0.action == .blockIP })
    // Nothing that a line holds reaches a terminal as it is.
    let listed = panguard("decisions", "list", "--state", agent.state)
    #expect(!listed.output.contains { $0 < 0x20 && $0 != 0x0a })
  }

  /// Names that name somebody else: the innocent is not blamed, the real one is.
  @Test func forgedAddressesInNamesBlameNobodyElse() throws {
    let d = TemporaryDirectory()
    let innocent = "203.0.113.200"
    let users = [
      "x from \(innocent) port 22", "\(innocent)", "root from \(innocent) port 22 ssh2",
      "x]: Failed password for root from \(innocent) port 22 ssh2", "user=root rhost=\(innocent)", "a b c from \(innocent)",
      "x\\nJan  5 00:00:00 web01 sshd[2]: Failed password for root from \(innocent) port 2 ssh2",
      "from \(innocent) port 22 ssh2: x",
    ]
    for (n, user) in users.enumerated() {
      for attempt in 0..<8 {
        let time = Workload.start + .seconds(Int64(n * 600 + attempt * 9))
        let pid = 100 + n * 10 + attempt
        d.append(
          Workload.line(time, "sshd[\(pid)]: Invalid user \(user) from 198.18.1.\(n + 1) port 4000")
            + Workload.line(time + .seconds(2), "sshd[\(pid)]: Failed password for invalid user \(user) from 198.18.1.\(n + 1) port 4000 ssh2"),
          to: "auth.log")
      }
    }
    d.write("policy: {claimed_may_block: true}\n", to: "config.yaml")
    let result = panguard("replay", "--config", d["config.yaml"], "--rules", Product.rules, "--format", "jsonl", d["auth.log"])
    let decisions = try result.decisions
    #expect(!decisions.contains { $0.subject.source == innocent })
    for n in 0..<users.count {
      #expect(decisions.contains { $0.subject.source == "198.18.1.\(n + 1)" && $0.action == .blockIP }, "\(users[n])")
    }
  }

  @Test func clocksThatCannotBeAreCountedAndDoNotStopDetection() throws {
    let d = TemporaryDirectory()
    let attack = Workload.attacks(0..<1)[0]
    func line(_ stamp: String, _ n: Int) -> String { "\(stamp) web01 CRON[\(n)]: (root) CMD (x)\n" }
    var text = Workload.harmless(0..<100)
    text += line("1970-01-01T00:00:01Z", 1) + line("2099-12-31T23:59:59Z", 2) + line("2026-06-30T23:59:60Z", 3) + line("2026-02-31T00:00:00Z", 4)
    text += line("1901-01-01T00:00:00Z", 5) + line("9999-12-31T23:59:59Z", 6) + line("2026-01-05T00:00:00+99:99", 7)
    text += line("Feb 29 00:00:00", 8) + line("Jun 31 25:61:61", 9) + line("Jan  5 00:02:00", 10)
    text += attack.map { $0.replacingTime(by: .minutes(5)) }.joined()
    // The clock goes back two days, and stays there.
    text += (0..<60).map { line("2026-01-03T00:00:\(10 + $0 % 50)Z", 100 + $0) }.joined()
    d.write(text, to: "auth.log")
    d.write("policy: {claimed_may_block: true}\n", to: "config.yaml")
    let result = panguard(
      "replay", "--config", d["config.yaml"], "--rules", Product.rules, "--format", "jsonl", "--stats", "--input-time",
      "2026-06-30T00:00:00Z", d["auth.log"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.contains("events with a stamp that cannot be placed"), "\(result.errors)")
    let decisions = try result.decisions
    #expect(decisions.contains { $0.subject.source == Workload.address(0) && $0.action == .blockIP }, "\(result.text)")
    #expect(decisions.contains { $0.ruleTitle.lowercased().contains("clock") || $0.ruleID == "ATR-2026-90506" }, "\(decisions.map(\.ruleTitle))")
  }

  @Test func aBrokenRuleAmongGoodOnesIsSaidAndTheRestWorks() throws {
    let d = TemporaryDirectory()
    d.append(Workload.attacks(0..<1)[0].joined(), to: "auth.log")
    mkdir(d["rules"], 0o755)
    let good = fileContents(Product.rules + "/ssh-brute-force-fast.yaml")
    d.append(good, to: "rules/a.yaml")
    d.write("id: ATR-2026-99999\ntitle: [\n", to: "rules/b.yaml")
    d.append([0, 1, 2, 0xff], to: "rules/c.yaml")
    let result = panguard("replay", "--rules", d["rules"], "--format", "jsonl", d["auth.log"])
    #expect(result.status == 0)
    #expect(result.errors.contains("b.yaml:") && result.errors.contains("c.yaml:"), "\(result.errors)")
    #expect(try !result.decisions.isEmpty)
    let linted = panguard("rules", "lint", d["rules"])
    #expect(linted.status == 1 && linted.text.contains("b.yaml:3:1: error: "), "\(linted)")
  }

  @Test func aRuleThatBacktracksWithoutEndIsStoppedAndCounted() throws {
    let d = TemporaryDirectory()
    mkdir(d["rules"], 0o755)
    let rule = String(decoding: fileContents(Product.rules + "/web-dotfile-probe.yaml"), as: UTF8.self)
    let head = rule.components(before: "\ndetection:")
    d.write(
      head + """

        detection:
          conditions:
            - field: message
              operator: regex
              value: '(a+)+(?<=b)c$'
          condition: any
        """ + "\n", to: "rules/a.yaml")
    let line = Workload.line(Workload.start, "app[1]: " + String(repeating: "a", count: 3000) + "c")
    d.write(String(repeating: line, count: 20), to: "app.log")
    let result = panguard("replay", "--rules", d["rules"], "--format", "none", "--stats", d["app.log"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.contains("regular expressions stopped at their limit"), "\(result.errors)")
  }
}

extension String {
  fileprivate func components(before text: String) -> String {
    guard let range = self.firstRange(of: text) else { return self }
    return String(self[..<range.lowerBound])
  }
  /// A line of `Workload` with its stamp moved.
  fileprivate func replacingTime(by span: Nanoseconds) -> String {
    guard let space = firstIndex(of: " "), let time = EventTime(rfc3339: String(self[..<space])) else { return self }
    return "\(time + span)\(self[space...])"
  }
}
