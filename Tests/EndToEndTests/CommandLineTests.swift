// DESIGN 13: exit codes, what goes to standard output and what to standard error, and that a pipe may be closed at any time.
import Detection
import Export
import Glibc
import Primitives
import Testing

@Suite struct CommandLineTests {
  private static let auth = Product.root + "/examples/auth.log"
  private static let access = Product.root + "/examples/access.log"

  /// A store with the decisions of some attacks, made once.
  private static let stored: (directory: TemporaryDirectory, state: String) = {
    let d = TemporaryDirectory.untilExit()
    d.append(Workload.attacks(0..<5).flatMap { $0 }.joined(), to: "auth.log")
    let agent = RunningAgent(d)
    _ = agent.acknowledges(220)
    agent.stop()
    return (d, agent.state)
  }()

  struct Case: CustomTestStringConvertible, Sendable {
    var arguments: [String]
    var status: Int32
    /// Must be in the output; nil: the output must be empty.
    var output: String?
    /// The same of standard error.
    var errors: String?
    init(_ arguments: String, _ status: Int32, output: String? = nil, errors: String? = nil) {
      self.arguments = arguments.split(separator: " ").map(String.init)
      self.status = status
      self.output = output
      self.errors = errors
    }
    var testDescription: String { arguments.joined(separator: " ") }
  }

  @Test(arguments: [
    Case("--help", 0, output: "SUBCOMMANDS"), Case("--version", 0, output: "0."), Case("help replay", 0, output: "USAGE: panguard replay"),
    Case("", 0, output: "SUBCOMMANDS"),
    Case("nonsense", 2, errors: "nonsense"), Case("replay", 2, errors: "--pcap"), Case("replay --nonsense x", 2, errors: "--nonsense"),
    Case("replay --format nonsense x", 2, errors: "nonsense"), Case("replay --input-time yesterday x", 2, errors: "RFC 3339"),
    Case("replay --rules @rules --pcap @auth", 3, errors: "name logs before --pcap"),
    Case("replay /nonexistent/auth.log", 3, errors: "does not exist"), Case("replay /", 3, errors: "is a directory"),
    Case("replay --rules /nonexistent /etc/hostname", 3, errors: "no rule could be loaded"),
    Case("replay --config /nonexistent /etc/hostname", 2, errors: "/nonexistent"),
    Case("replay --output /nonexistent/x --rules @rules @auth", 3, errors: "No such file"),
    Case("replay --rules @rules --format jsonl @auth", 0, output: "{\"@timestamp\":\"2026-01-05T01:10:38.001871Z\","),
    Case("replay --rules @rules --format none --stats @auth", 0, errors: "lines/s"),
    Case("replay --rules @rules @auth @access", 0, output: "192.0.2.23"),
    Case("rules list --rules @rules", 0, output: "ATR-2026-90001", errors: "rules"),
    Case("rules list --format jsonl --rules @rules", 0, output: "{\"id\":\"ATR-"),
    Case("rules list /nonexistent", 3, errors: "/nonexistent"),
    Case("rules show ATR-2026-90001 --rules @rules", 0, output: "Password guessing"),
    Case("rules show ATR-2026-9000x --rules @rules", 2, errors: "did you mean"),
    Case("rules lint @rules", 0, errors: "0 errors"), Case("rules lint /nonexistent", 1, output: "/nonexistent", errors: "1 refused"),
    Case("rules test @rules/ssh-brute-force-fast.yaml", 0, output: "1 rules, "),
    Case("rules test @rules --filter nonsense", 1, output: "0 cases run", errors: "no case was run"),
    Case("rules test @rules/ssh-brute-force-fast.yaml --reference /nonexistent", 3, errors: "/nonexistent"),
    Case("rules list --rules @rules --lane enforce", 0, output: "inactive", errors: "inactive"),
    Case("rules list --rules @rules --lane fast", 2, errors: "enforce"),
    Case("rules conformance /nonexistent --rules @rules", 2, errors: "no fixture"), Case("rules conformance /nonexistent", 2, errors: "--rules"),
    Case("rules conformance /nonexistent --rules @rules --level L9", 2, errors: "L1"),
    Case("rules explain ATR-2026-90001 --event @auth --rules @rules", 0, output: "ATR-2026-90001"),
    Case("rules explain ATR-2026-90001 --event /nonexistent --rules @rules", 3, errors: "does not exist"),
    Case("rules eval --rules @rules", 0), Case("rules eval --rules @rules /dev/null", 3, errors: "is a character device"),
    Case("parse @auth", 0, output: "{\"line\":315,"), Case("parse /nonexistent", 3, errors: "does not exist"),
    Case("parse --log-format nonsense @auth", 2, errors: "nonsense"),
    Case("config reference", 0, output: "incident_window"), Case("config check /nonexistent", 1, errors: "/nonexistent"),
    Case("status --state /nonexistent", 3, errors: "panguard run"),
    Case("decisions list --state /nonexistent", 3, errors: "panguard run"), Case("explain d0 --state /nonexistent", 3, errors: "panguard run"),
    Case("decisions list --state @state", 0, output: "198.18.0.1"),
    Case("decisions list --state @state --format jsonl --limit 1", 0, output: "{\"@timestamp\":", errors: "--limit shows more"),
    Case("decisions list --state @state --format json", 0, output: "[{\"@timestamp\":"),
    Case("decisions list --state @state --address 198.18.0.3", 0, output: "198.18.0.3"),
    Case("decisions list --state @state --address 203.0.113.0/24", 0, errors: "no decision matches"),
    Case("decisions list --state @state --address nonsense", 2, errors: "--address wants"),
    Case("decisions list --state @state --severity loud", 2, errors: "critical"),
    Case("decisions list --state @state --confidence 1.5", 2, errors: "--confidence wants"),
    Case("decisions list --state @state --since tomorrow", 2, errors: "--since wants"),
    Case("decisions list --state @state --action nonsense", 2, errors: "block_ip"),
    Case("decisions list --state @state --since 1h", 0, errors: "no decision matches"),
    Case("decisions list --state @state --until 2026-01-05T00:10:00Z", 0, output: "198.18.0.1"),
    Case(
      "decisions list --state @state --rule ATR-2026-9000? --severity high --confidence 0.9 --action block_ip --user root", 0,
      output: "198.18.0.1"),
    Case("decisions list --state @state --limit 0", 2, errors: "--limit"),
    Case("decisions show nonsense --state @state", 2, errors: "there is no decision"),
    Case("explain nonsense --state @state", 2, errors: "there is no decision"),
    Case("explain d --state @state", 2, errors: "several decisions"),
    Case("run --config /nonexistent", 2, errors: "/nonexistent"), Case("run --format nonsense", 2, errors: "nonsense"),
    Case("run --state @state --config @config --rules /nonexistent", 3, errors: "no rule could be loaded"),
  ])
  func codesAndStreams(_ test: Case) {
    let agent = Self.stored
    let names = [
      "@auth": Self.auth, "@access": Self.access, "@rules": Product.rules, "@state": agent.state,
      "@config": agent.directory["config.yaml"],
    ]
    let arguments = test.arguments.map { argument in
      names.first { argument.hasPrefix($0.key) }.map { $0.value + argument.dropFirst($0.key.count) } ?? argument
    }
    let result = panguard(arguments)
    #expect(result.status == test.status, "\(result)")
    if let output = test.output { #expect(result.text.contains(output), "\(result)") } else { #expect(result.output.isEmpty, "\(result)") }
    if let errors = test.errors { #expect(result.errors.contains(errors), "\(result)") } else { #expect(result.errors.isEmpty, "\(result)") }
    #expect(!result.text.contains("\u{1b}") && !result.errors.contains("\u{1b}"))
  }

  /// A broken configuration is refused everywhere, with its place and the nearest key.
  @Test func configurationProblemsNameTheirPlace() {
    let d = TemporaryDirectory()
    d.write("allowlist: [192.0.2.1]\nincident_windo: 5m\nthresholds:\n  act: 7\n", to: "bad.yaml")
    let check = panguard("config", "check", d["bad.yaml"])
    #expect(check.status == 1 && check.output.isEmpty)
    #expect(check.errors.contains("bad.yaml:2:1: error:") && check.errors.contains("incident_window"), "\(check)")
    #expect(check.errors.contains("bad.yaml:4:"), "\(check)")
    for arguments in [["run", "--state", d["s"]], ["status"], ["decisions", "list"], ["replay", Self.auth]] {
      let result = panguard(arguments + ["--config", d["bad.yaml"]])
      #expect(result.status == 2 && result.output.isEmpty && result.errors.contains("bad.yaml:2:1: error:"), "\(arguments) \(result)")
    }
    d.write("", to: "empty.yaml")
    let good = panguard("config", "check", d["empty.yaml"])
    #expect(good.status == 0 && good.text.contains("no errors") && good.errors.isEmpty)
    d.write(panguard("config", "reference").text, to: "reference.yaml")
    #expect(panguard("config", "check", d["reference.yaml"]).lines.last == good.lines.last)
  }

  @Test(arguments: [
    "$P replay --rules $R --format jsonl $ROOT/examples/auth.log", "$P replay --rules $R --format text --stats $ROOT/examples/auth.log",
    "$P parse $ROOT/examples/auth.log", "$P rules list --rules $R", "$P config reference", "$P decisions list --state $STATE",
    "$P decisions follow --from-start --state $STATE", "$P --help",
  ]) func aClosedPipeEndsItQuietly(command: String) {
    let result = bash("set -o pipefail; \(command) | head -n 1", TemporaryDirectory(), environment: ["STATE": Self.stored.state])
    #expect(result.status == 0 && result.lines.count == 1, "\(command): \(result)")
    #expect(!result.errors.contains("panguard:"), "\(result)")
  }

  @Test func outputThatCannotBeWrittenIsAnError() {
    let d = TemporaryDirectory()
    for command in ["$P parse $ROOT/examples/auth.log > /dev/full", "$P replay --rules $R --format none --output /dev/full $ROOT/examples/auth.log"] {
      let result = bash(command, d)
      #expect(result.status == 3 && result.errors.contains("No space left"), "\(command): \(result)")
    }
  }

  /// On a terminal there is colour, unless NO_COLOR or TERM says otherwise.
  @Test func colourFollowsTheTerminalAndNOCOLOR() {
    let d = TemporaryDirectory()
    guard Glibc.access("/usr/bin/script", X_OK) == 0 else { return skip("script(1) is not installed") }
    let command = "script -qec \"$P replay --rules $R $ROOT/examples/auth.log\" /dev/null"
    #expect(bash(command, d, environment: ["TERM": "xterm"]).text.contains("\u{1b}["))
    #expect(!bash(command, d, environment: ["TERM": "xterm", "NO_COLOR": "1"]).text.contains("\u{1b}["))
    #expect(bash(command, d, environment: ["TERM": "xterm", "NO_COLOR": ""]).text.contains("\u{1b}["))
    #expect(!bash(command, d, environment: ["TERM": "dumb"]).text.contains("\u{1b}["))
  }

  @Test func followShowsWhatComesAndEndsWithASignal() throws {
    let d = TemporaryDirectory()
    d.append(Workload.attacks(0..<1)[0].joined(), to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.acknowledges(44))
    func follow(_ name: String, _ more: String...) -> Child {
      Child(
        [Product.panguard, "decisions", "follow", "--state", agent.state, "--format", "jsonl"] + more, output: d[name],
        errors: d[name + ".err"], environment: Product.environment)
    }
    let all = follow("all", "--from-start")
    let new = follow("new")
    let filtered = follow("filtered", "--from-start", "--address", Workload.address(1), "--rule", "ATR-2026-90001")
    #expect(eventually { !d.contents("all").isEmpty })
    usleep(500_000)
    d.append(Workload.attacks(1..<2)[0].joined(), to: "auth.log")
    #expect(agent.acknowledges(88))
    let stored = try agent.store().follow(after: 0, limit: 1000).decisions
    func shown(_ name: String) throws -> [Decision] { try Finished(status: 0, output: d.contents(name), errors: "").decisions }
    #expect(try eventually { try shown("all") == stored })
    #expect(try eventually { try shown("new") == stored.filter { $0.subject.source == Workload.address(1) } })
    #expect(try eventually { try shown("filtered") == stored.filter { $0.subject.source == Workload.address(1) && $0.ruleID == "ATR-2026-90001" } })
    for child in [all, new, filtered] {
      child.signal(SIGINT)
      #expect(child.wait(seconds: 120) == 0)
    }
    #expect(agent.stop() == 0)
  }

  /// The evidence is fetched again from where the log is now, and a line that is gone is said to be gone.
  @Test func explainShowsTheEvidenceAlsoAfterRotation() throws {
    let d = TemporaryDirectory()
    let lines = Workload.attacks(0..<1)[0]
    d.append(lines.joined(), to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.acknowledges(44))
    #expect(agent.stop() == 0)
    let decision = try #require(try agent.decisions().first { $0.ruleID == "ATR-2026-90001" })
    let evidence = lines[1].dropLast()
    func page() -> Finished { panguard("explain", String(decision.id.prefix(9)), "--state", agent.state, "--rules", Product.rules) }
    let first = page()
    #expect(first.status == 0 && first.errors.isEmpty)
    for text in [decision.id, "Password guessing", "0.9", "198.18.0.1", "block", String(evidence)] {
      #expect(first.text.contains(text), "\(text): \(first)")
    }
    d.rename("auth.log", "auth.log.1")
    run(["/bin/gzip", d["auth.log.1"]])
    d.append(Workload.harmless(0..<3), to: "auth.log")
    #expect(page().text.contains(String(evidence)), "\(page())")
    unlink(d["auth.log.1.gz"])
    let gone = page()
    #expect(gone.status == 0 && !gone.text.contains(String(evidence)), "\(gone)")
    let json = panguard("explain", decision.id, "--state", agent.state, "--format", "json")
    #expect(try json.decisions == [decision])
    let shown = panguard("decisions", "show", decision.id, "--state", agent.state)
    #expect(try shown.decisions.last == decision)
    // The same page from a decision log.
    d.append(lines.joined(), to: "again.log")
    #expect(panguard("replay", "--rules", Product.rules, "--output", d["log.jsonl"], d["again.log"]).status == 0)
    let logged = try #require(try Finished(status: 0, output: d.contents("log.jsonl"), errors: "").decisions.first)
    let fromLog = panguard("explain", logged.id, "--log", d["log.jsonl"], "--rules", Product.rules)
    #expect(fromLog.status == 0 && fromLog.text.contains(logged.id), "\(fromLog)")
  }

  @Test func doctorSaysWhatIsWrong() {
    let d = TemporaryDirectory()
    let agent = Self.stored
    let well = panguard("doctor", "--config", agent.directory["config.yaml"], "--state", agent.state, "--rules", Product.rules)
    #expect(well.status == 0, "\(well)")
    for text in [
      "ok      configuration: ", "ok      rules: ", "ok      \(agent.directory["auth.log"]): readable", "ok      state: ",
      "warning agent: not running",
    ] {
      #expect(well.text.contains(text), "\(text): \(well)")
    }
    #expect(well.errors.isEmpty)
    let sources = ["/nonexistent/auth.log", d.path, d["*.nothing"]].map { "  - path: \($0)\n" }.joined()
    d.write("sources:\n\(sources)output:\n  syslog: /nonexistent/log\n", to: "config.yaml")
    let ill = panguard("doctor", "--config", d["config.yaml"], "--state", d["state"], "--rules", "/nonexistent")
    #expect(ill.status == 1, "\(ill)")
    for text in [
      "problem rules: ", "warning /nonexistent/auth.log: not read: no file matches", "warning \(d.path): not read: it is a directory",
      "problem sources: ", "problem syslog: ",
    ] { #expect(ill.text.contains(text), "\(text): \(ill)") }
    d.write("nonsense: 1\n", to: "bad.yaml")
    let bad = panguard("doctor", "--config", d["bad.yaml"], "--state", agent.state, "--rules", Product.rules)
    #expect(bad.status == 1 && bad.text.contains("problem configuration: "), "\(bad)")
  }

  /// One object for each line, in order; what no parser knows is marked.
  @Test func parsePrintsOneObjectForEachLine() throws {
    let d = TemporaryDirectory()
    d.append(Array("Failed password for root from 192.0.2.9 port 22 ssh2\n\nnonsense\u{0}\n".utf8) + [0xff, 0x0a], to: "in")
    let result = panguard("parse", "--program", "sshd", "--format", "jsonl", input: d["in"])
    #expect(result.status == 0 && result.errors.isEmpty)
    #expect(result.lines.count == 4)
    for (n, line) in result.lines.enumerated() { #expect(line.hasPrefix("{\"line\":\(n + 1),\"event\":{"), "\(line)") }
    #expect(result.lines[0].contains("\"source.ip\":\"192.0.2.9\"") && result.lines[0].contains("\"event.action\":\"ssh-login\""))
    let plain = panguard("parse", input: d["in"])
    #expect(plain.lines.count == 4 && plain.lines[1...2].allSatisfy { $0.hasSuffix("\"unparsed\":true}") }, "\(plain)")
  }

  @Test func evalAnswersEachEventAndExplainSaysWhy() {
    let d = TemporaryDirectory()
    d.write(
      """
      {"id":1,"event":{"event.category":"web","event.action":"http-request","url.path":"/.env","http.response.status_code":404,"source.ip":"192.0.2.1"}}
      {"id":"b","event":{"message":"nothing"}}

      """, to: "in")
    let good = panguard("rules", "eval", "--rules", Product.rules, "--format", "jsonl", input: d["in"])
    #expect(good.status == 0 && good.errors.isEmpty && good.lines.count == 2)
    #expect(good.lines[0].hasPrefix("{\"id\":1,\"matches\":[{\"rule_id\":\"ATR-2026-"), "\(good)")
    #expect(good.lines[1] == "{\"id\":\"b\",\"matches\":[]}")
    d.append("not json\n", to: "in")
    let bad = panguard("rules", "eval", "--rules", Product.rules, input: d["in"])
    #expect(bad.status == 1 && bad.lines.count == 3 && bad.errors.contains(":3: error:"), "\(bad)")
  }
}
