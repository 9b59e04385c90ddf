// `panguard run`: how it begins, what it shows, how it ends.
import AgentRuntime
import CLinux
import Detection
import Glibc
import Primitives
import Storage
import Testing

@Suite struct RunningAgentTests {
  private let attack = Workload.attacks(0..<1)[0].joined()

  @Test(arguments: [SIGINT, SIGTERM]) func aSignalEndsItInOrder(signal: Int32) throws {
    let d = TemporaryDirectory()
    d.append(attack, to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.isUp(), "\(agent.errors)")
    #expect(agent.acknowledges(44))
    // What comes right before the end is stored too.
    d.append(Workload.harmless(0..<500), to: "auth.log")
    #expect(eventually { agent.status()?.sources.first?.lines == 544 })
    #expect(agent.stop(signal) == 0)
    #expect(agent.acknowledgedLines() == 544)
    #expect(!d.exists("state/control.sock"))
    #expect(try agent.decisions().contains { $0.subject.source == Workload.address(0) && $0.confidence >= Confidence(thousandths: 900) })
    #expect(agent.errors.contains("544 events"), "\(agent.errors)")
    #expect(!agent.errors.contains("warning"), "\(agent.errors)")
  }

  @Test func decisionsAreShownWhereTheyAreAskedFor() throws {
    for (arguments, more, isText, isJSON) in [
      ([], "", true, false), ([], "output:\n  text: always\n", true, false), (["--format", "text"], "", true, false),
      (["--format", "jsonl"], "", false, true), ([], "output:\n  text: never\n", false, false),
    ] as [([String], String, Bool, Bool)] {
      let d = TemporaryDirectory()
      d.append(attack, to: "auth.log")
      let agent = RunningAgent(d, more: more, arguments: arguments)
      #expect(agent.acknowledges(44), "\(agent.errors)")
      #expect(agent.stop() == 0)
      let output = agent.output
      #expect(output.isEmpty == !(isText || isJSON), "\(arguments) \(more): \(output)")
      #expect(output.allSatisfy { $0.hasPrefix("{") == isJSON })
      #expect(agent.errors.contains("\u{1b}") == false)
      #expect(!output.joined().contains("\u{1b}"), "colour without a terminal")
    }
  }

  @Test func aSecondOneIsRefused() {
    let d = TemporaryDirectory()
    d.append("", to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.isUp())
    let second = panguard("run", "--config", d["config.yaml"], "--state", agent.state, "--rules", Product.rules)
    #expect(second.status == 3)
    #expect(second.errors.contains("another panguard (process \(agent.engine))"), "\(second.errors)")
    // The first one is not disturbed.
    #expect(agent.status() != nil)
    #expect(agent.stop() == 0)
  }

  @Test func aKilledOneLeavesNothingInTheWay() {
    let d = TemporaryDirectory()
    d.append("", to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.isUp())
    agent.killAtOnce()
    #expect(d.exists("state/control.sock"))
    agent.start()
    #expect(agent.isUp(), "\(agent.errors)")
    #expect(agent.stop() == 0)
  }

  @Test func withoutSourcesItNamesTheReplay() {
    let d = TemporaryDirectory()
    let agent = RunningAgent(d, sources: [])
    #expect(agent.child.wait(seconds: 120) == 3)
    #expect(agent.errors.contains("replay"), "\(agent.errors)")
    #expect(!d.exists("state/control.sock"))
  }

  @Test func aHostWithoutLogsIsToldWhatToDo() {
    let d = TemporaryDirectory()
    guard Product.isRoot, bash("unshare -m true", d).status == 0 else { return skip("needs root and mount namespaces") }
    let result = bash(
      "unshare -m sh -c 'mount -t tmpfs none /var/log && mount -t tmpfs none /run && cd $ROOT && exec $P run --user root --state $D/state --rules $R'",
      d)
    #expect(result.status == 3, "\(result)")
    #expect(result.errors.contains("replay examples/auth.log"), "\(result.errors)")
    #expect(result.output.isEmpty)
  }

  /// Without a configuration: the logs that are there, and those of a web server that comes later.
  @Test func aWebServerThatIsInstalledLaterIsWatched() throws {
    let d = TemporaryDirectory()
    guard Product.isRoot, bash("unshare -m true", d).status == 0 else { return skip("needs root and mount namespaces") }
    d.write(Workload.harmless(0..<10), to: "lines")
    let script = """
      mount -t tmpfs none /var/log && mount -t tmpfs none /run || exit 9
      touch /var/log/auth.log
      (while ! grep -q watching $D/err; do sleep 0.1; done
       sleep 0.5; cat $D/lines >> /var/log/auth.log; mkdir /var/log/nginx; cp $ROOT/examples/access.log /var/log/nginx/access.log) &
      exec $P run --user root --state $D/state --rules $R
      """
    d.write(script, to: "script")
    let agent = Child(
      ["/usr/bin/unshare", "-m", "/bin/bash", d["script"]], output: d["out"], errors: d["err"],
      environment: Product.environment.merging(["P": Product.panguard, "D": d.path, "R": Product.rules, "ROOT": Product.root]) { $1 })
    func errors() -> String { String(decoding: d.contents("err"), as: UTF8.self) }
    let expected = Int64(10 + fileContents(Product.root + "/examples/access.log").count { $0 == 0x0a })
    func lines() -> Int64 { (try? DecisionStore(directory: d["state"], readOnly: true).checkpoints().reduce(0) { $0 + $1.lines }) ?? 0 }
    #expect(eventually { lines() == expected }, "\(lines()) of \(expected); \(errors())")
    agent.signal(SIGTERM)
    #expect(agent.wait(seconds: 120) == 0)
    #expect(errors().contains("reading /var/log/auth.log") && errors().contains("not reading journal: "), "\(errors())")
  }

  /// Incidents go on after a restart, also those of an old log: each has one record that counts on.
  @Test func incidentsOutliveARestart() throws {
    let d = TemporaryDirectory()
    func request(_ n: Int) -> String { "198.18.0.9 - - [05/Jan/2026:00:00:\(10 + n) +0000] \"GET /.env HTTP/1.1\" 404 10 \"-\" \"-\"\n" }
    let agent = RunningAgent(d, sources: ["access.log"])
    #expect(agent.isUp())
    for n in 0..<20 {
      if n == 3 { #expect(agent.stop() == 0) }
      if n == 5 { agent.start() }
      d.append(request(n), to: "access.log")
    }
    #expect(agent.acknowledges(20), "\(agent.errors)")
    #expect(agent.stop() == 0)
    let decisions = try agent.decisions()
    #expect(Set(decisions.map { "\($0.ruleID) \($0.subject.label)" }).count == decisions.count, "\(decisions.map { "\($0.id) \($0.ruleID)" })")
    let probe = try #require(decisions.first { $0.summary.contains("/.env") })
    #expect(probe.revision > 1 && probe.matchCount >= 4)
  }

  /// A login attempt whose outcome is never logged is decided when its time is over, also if no other line comes.
  @Test func anAttemptWithoutOutcomeIsDecidedInSilence() {
    let d = TemporaryDirectory()
    let agent = RunningAgent(d)
    #expect(agent.isUp())
    d.append(Workload.line(Workload.start, "sshd[7]: Invalid user admin from 198.18.0.7 port 4000"), to: "auth.log")
    #expect(eventually(seconds: 120) { agent.status()?.counters.first { $0.name == "attempts" }?.value == 1 })
    #expect(agent.stop() == 0)
    // It is not decided again after a restart.
    agent.start()
    #expect(agent.isUp())
    usleep(7_000_000)
    #expect(agent.status()?.counters.first { $0.name == "attempts" }?.value == 0)
    d.append(Workload.harmless(3000..<3001), to: "auth.log")
    #expect(agent.acknowledges(2))
    #expect(agent.status()?.counters.first { $0.name == "attempts" }?.value == 0)
    #expect(agent.stop() == 0)
  }

  @Test func statusSaysWhatIsReadAndWhatIsNot() throws {
    let d = TemporaryDirectory()
    d.append(attack, to: "auth.log")
    d.append("garbage\n", to: "auth.log")
    let agent = RunningAgent(d, sources: ["auth.log", "missing.log", "."])
    #expect(agent.acknowledges(45))
    let table = panguard("status", "--state", agent.state)
    #expect(table.status == 0)
    #expect(table.text.contains("auth.log: 45 lines (44 recognised, 0 header only, 1 unparsed), lag 0 bytes"), "\(table.text)")
    #expect(table.text.contains("missing.log: waiting: ") && table.text.contains("does not exist"), "\(table.text)")
    #expect(table.text.contains("is a directory"))
    #expect(table.text.contains("attempts: 8"))
    #expect(!table.text.contains("\u{1b}"))
    #expect(table.errors.isEmpty)
    let json = panguard("status", "--state", agent.state, "--format", "json")
    let status = try json.output.withUnsafeBytes { try AgentStatus(json: $0.trimmed) }
    #expect(status.processes.contains { $0.name == "supervisor" && $0.pid == Int64(agent.child.pid) })
    #expect(status.pid == Int64(agent.engine) && status.pid != Int64(agent.child.pid) && status.sources.count == 3 && status.rulesLoaded > 30)
    #expect(status.counters.first { $0.name == "events" }?.value == 45)
    #expect(!status.drops.isEmpty)
    #expect(agent.stop() == 0)
    let nobody = panguard("status", "--state", agent.state)
    #expect(nobody.status == 3 && nobody.output.isEmpty && nobody.errors.contains("panguard run"), "\(nobody)")
  }

  /// One processor is not kept busy by waiting.
  @Test func anIdleAgentRests() throws {
    let d = TemporaryDirectory()
    d.append(attack, to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.acknowledges(44))
    let before = try #require(agent.status())
    usleep(3_000_000)
    let after = try #require(agent.status())
    // A loop that does not wait would use all of it.
    #expect(after.cpuMilliseconds - before.cpuMilliseconds < 600, "\(after.cpuMilliseconds - before.cpuMilliseconds) ms in 3 s")
    #expect(agent.stop() == 0)
  }

  @Test func theJSONLogGetsEveryDecisionAndIsReopened() throws {
    let d = TemporaryDirectory()
    d.append(attack, to: "auth.log")
    let agent = RunningAgent(d, more: "output:\n  jsonl: \(d["decisions.jsonl"])\n")
    #expect(agent.acknowledges(44))
    #expect(eventually { !d.contents("decisions.jsonl").isEmpty })
    d.rename("decisions.jsonl", "decisions.jsonl.1")
    agent.child.signal(SIGHUP)
    #expect(eventually { d.exists("decisions.jsonl") })
    d.append(Workload.attacks(1..<2)[0].joined(), to: "auth.log")
    #expect(agent.acknowledges(88))
    #expect(agent.stop() == 0)
    let stored = try agent.store().follow(after: 0, limit: 10_000).decisions
    let logged = Finished(status: 0, output: d.contents("decisions.jsonl.1") + d.contents("decisions.jsonl"), errors: "")
    #expect(try logged.decisions == stored)
  }

  /// Whoever reads the output may stop reading: nothing waits for it for long, and what was not shown is counted and stored.
  @Test func aStalledReaderHoldsNothingUp() throws {
    let d = TemporaryDirectory()
    #expect(mkfifo(d["agent.out"], 0o600) == 0)
    let reader = open(d["agent.out"], O_RDWR | O_CLOEXEC | O_NONBLOCK)
    defer { close(reader) }
    let agent = RunningAgent(d, arguments: ["--format", "jsonl"])
    #expect(agent.isUp(), "\(agent.errors)")
    d.append(Workload.attacks(0..<40).flatMap { $0 }.joined(), to: "auth.log")
    #expect(agent.acknowledges(40 * 44), "\(agent.errors)")
    let cause = "decisions not shown: the reader of the output is too slow"
    #expect(eventually(seconds: 120) { agent.drop(cause) > 0 })
    let start = MonotonicTime.now()
    #expect(agent.stop() == 0)
    #expect(MonotonicTime.now() - start < 10_000_000_000)
    // What was shown is whole lines, but for the last.
    var shown = [UInt8](repeating: 0, count: 1 << 20)
    let n = read(reader, &shown, shown.count)
    #expect(n > 0)
    let lines = shown[..<max(0, n)].split(separator: 0x0a).dropLast()
    #expect(!lines.isEmpty && lines.allSatisfy { $0.first == 0x7b && $0.last == 0x7d })
  }

  @Test func aReaderThatWentAwayEndsOnlyTheOutput() throws {
    let d = TemporaryDirectory()
    #expect(mkfifo(d["agent.out"], 0o600) == 0)
    let reader = open(d["agent.out"], O_RDWR | O_CLOEXEC | O_NONBLOCK)
    let agent = RunningAgent(d, more: "output:\n  jsonl: \(d["decisions.jsonl"])\n", arguments: ["--format", "text"])
    #expect(agent.isUp(), "\(agent.errors)")
    close(reader)
    d.append(attack, to: "auth.log")
    #expect(agent.acknowledges(44), "\(agent.errors)")
    #expect(eventually { !d.contents("decisions.jsonl").isEmpty })
    d.append(Workload.harmless(0..<10), to: "auth.log")
    #expect(agent.acknowledges(54), "\(agent.errors)")
    #expect(agent.stop() == 0)
    #expect(agent.errors.contains("nobody reads standard output"), "\(agent.errors)")
    #expect(try !agent.decisions().isEmpty)
  }

  @Test func aStuckAgentIsCalledSo() {
    let d = TemporaryDirectory()
    d.append("", to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.isUp())
    agent.signalEngine(SIGSTOP)
    let status = panguard("status", "--state", agent.state)
    agent.resumeEngine()
    #expect(status.status == 3 && status.errors.contains("did not answer in 5 s"), "\(status)")
    #expect(agent.stop() == 0)
  }

  @Test func aPatternThatMatchesNothingYetIsWaitedFor() {
    let d = TemporaryDirectory()
    let agent = RunningAgent(d, sources: ["*.log"])
    #expect(agent.isUp(), "\(agent.errors)")
    d.append(attack, to: "auth.log")
    #expect(agent.acknowledges(44), "\(agent.errors)")
    #expect(agent.stop() == 0)
  }

  /// Without a configured source the usual places are watched, also those where no log is yet.
  @Test func aUsualLogThatAppearsLaterIsRead() {
    let d = TemporaryDirectory()
    guard Product.isRoot, bash("unshare -m true", d).status == 0 else { return skip("needs root and mount namespaces") }
    d.append(attack, to: "lines")
    d.write(
      """
      mount -t tmpfs none /var/log && mount -t tmpfs none /run && touch /var/log/auth.log /var/log/syslog /var/log/messages || exit 9
      $P run --user root --state $D/state --rules $R >$D/out 2>$D/err & agent=$!
      for i in $(seq 200); do $P status --state $D/state >/dev/null 2>&1 && break; sleep 0.1; done
      mkdir /var/log/nginx && cp $ROOT/examples/access.log /var/log/nginx/access.log
      cat $D/lines >>/var/log/messages; cat $D/lines >>/var/log/syslog
      for i in $(seq 200); do
        $P status --state $D/state >$D/status
        grep -q 'nginx/access.log: [1-9]' $D/status && grep -q 'syslog: 44 lines' $D/status && break; sleep 0.1
      done
      cat $D/status; kill $agent; wait $agent
      """, to: "script")
    let result = bash("unshare -m bash $D/script", d)
    #expect(result.status == 0, "\(result)")
    #expect(result.text.contains("/var/log/nginx/access.log: ") && result.text.contains("/var/log/syslog: 44 lines"), "\(result)")
    #expect(result.text.contains("/var/log/messages: not read: /var/log/syslog has the same messages"), "\(result)")
    #expect(!result.text.contains("/var/log/secure"))
  }
}
