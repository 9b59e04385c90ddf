// The whole way from a line to the host itself: event, decision, playbook, responder, and a process that is gone, a file that is moved, a
// program that ran. Real processes and files of the test's own; nothing else of the machine is touched.
import AgentRuntime
import Glibc
import Primitives
import Storage
import Testing

@Suite(.serialized) struct HostActionTests {
  private static let rule = """
    schema_version: '1.0'
    id: ATR-2026-99901
    title: 'Malware was found'
    rule_version: 1
    status: experimental
    description: 'A scanner says so.'
    author: Panguard
    date: '2026/11/21'
    severity: critical
    maturity: experimental
    confidence: 99
    panguard: {family: malware}
    references: {mitre_attack: [T1204.002]}
    tags: {category: malware, subcategory: found, confidence: high}
    agent_source: {type: host_log}
    detection:
      method: pattern
      conditions:
        found: {field: event.action, operator: exact, value: 'malware-found', description: 'event.action is malware-found'}
      condition: 'found'
      false_positives: ['None: the tests write it.']
    response: {actions: [log_alert]}
    test_cases:
      true_positives: [{input: '{"event.action": "malware-found"}', expected: triggered, description: 'found'}]
      true_negatives: [{input: 'nothing', expected: not_triggered, description: 'nothing'}]

    """
  private static let playbook = """
    playbook: malware
    title: Act on malware
    priority: 900
    when: {rule: ATR-2026-99901}
    approval: automatic
    cooldown: 1s
    steps:
      - notify: {executable: page, args: ['--rule', '{rule}', '$(id)']}
      - kill_process: {signal: KILL}
      - quarantine_file
      - disable_account

    """

  private struct Scene {
    let d: TemporaryDirectory
    let agent: RunningAgent
    func ask(_ arguments: String...) -> Finished { panguard(arguments + ["--state", agent.state]) }
    func refusals(_ reason: String) -> UInt64 { agent.status()?.response.refusals.first { $0.reason == reason }?.count ?? 0 }

    /// A scanner's word about a process and a file, now.
    func report(user: String, pid: pid_t, file: String) {
      var now = timespec()
      clock_gettime(CLOCK_REALTIME, &now)
      let time = EventTime(nanoseconds: Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec))
      d.append(
        "{\"@timestamp\": \"\(time)\", \"host.name\": \"h\", \"user.name\": \"\(user)\", \"event.action\": \"malware-found\", "
          + "\"process.pid\": \(pid), \"file.path\": \"\(file)\"}\n", to: "scanner.json")
    }
    func sleeper() -> Child { Child(["/bin/sleep", "1000"]) }
    func file(_ name: String) -> String {
      d.write("evil\n", to: name)
      return d[name]
    }
  }

  private func scene(enabled: String = "run_executables: true\nkill_processes: true\nquarantine_files: true\n", trust: String = "attested") -> Scene?
  {
    guard Product.isRoot else {
      skip("acting on processes and files of others needs root")
      return nil
    }
    let d = TemporaryDirectory()
    chmod(d.path, 0o755)
    for name in ["rules", "actions.d", "out"] { mkdir(d[name], 0o755) }
    chmod(d["out"], 0o777)
    mkdir(d["responder"], 0o700)
    d.write(Self.rule, to: "rules/malware.yaml")
    d.write(Self.playbook, to: "malware.yaml")
    d.write("#!/bin/sh\n{ echo \"$*\"; cat; } >> \(d["out/paged"])\n", to: "actions.d/page")
    chmod(d["actions.d/page"], 0o755)
    d.write(
      enabled + "executables_user: nobody\nexecutables_directory: \(d["actions.d"])\nstate_directory: \(d["responder"])\nactions_per_minute: 100\n",
      to: "responder.yaml")
    d.append("", to: "scanner.json")
    let agent = RunningAgent(
      d, sources: ["scanner.json"], more: "policy: {claimed_may_block: false}\nresponse: {playbooks: [\(d["malware.yaml"])]}\n",
      arguments: ["--rules", d["rules"], "--responder-config", d["responder.yaml"]], trust: trust)
    let scene = Scene(d: d, agent: agent)
    #expect(agent.isUp() && eventually { agent.status()?.response.responder.hasPrefix("ready") == true }, "\(agent.errors)")
    return scene
  }

  @Test func whatIsFoundIsStoppedMovedAndTold() throws {
    guard let s = scene() else { return }
    #expect(eventually { s.agent.status()?.response.responder == "ready; run, kill_process, quarantine_file" })
    // It observes: nothing happens to anybody.
    let spared = s.sleeper()
    let left = s.file("spared")
    s.report(user: "observed", pid: spared.pid, file: left)
    #expect(eventually { (try? s.agent.decisions().contains { $0.subject.user == "observed" }) == true }, "\(s.agent.errors)")
    usleep(1_500_000)
    #expect(spared.isRunning && access(left, F_OK) == 0 && access(s.d["out/paged"], F_OK) != 0)

    #expect(s.ask("arm").status == 0)
    let malware = s.sleeper()
    let other = s.sleeper()
    let file = s.file("dropper")
    s.report(user: "mallory", pid: malware.pid, file: file)
    #expect(malware.wait(seconds: 120) == 128 + SIGKILL, "\(s.agent.errors)")
    #expect(eventually { access(file, F_OK) != 0 } && other.isRunning && spared.isRunning, "\(s.agent.errors)")
    #expect(eventually { s.d.contents("out/paged").last == 0x0a }, "\(s.agent.errors)")
    let paged = String(decoding: s.d.contents("out/paged"), as: UTF8.self).split(separator: "\n")
    #expect(paged.count == 2 && paged[0] == "--rule ATR-2026-99901 $(id)", "\(paged)")
    let told = try Finished(status: 0, output: Array(paged[1].utf8), errors: "").decisions
    #expect(told.count == 1 && told[0].subject.user == "mallory" && told[0].ruleID == "ATR-2026-99901")
    // What is not enabled is refused, and says what would enable it.
    #expect(eventually { s.refusals("not_enabled") == 1 })
    #expect(eventually { (try? s.agent.store().responses(decisionID: told[0].id).count { $0.state == .done }) == 3 }, "\(s.agent.errors)")
    let done = try s.agent.store().responses(decisionID: told[0].id)
    #expect(done.count == 4, "\(done)")
    #expect(done.contains { $0.state == .refused && $0.detail.contains("disable_accounts: true") }, "\(done)")

    let actions = s.ask("actions")
    #expect(actions.status == 0 && actions.text.contains("quarantine_file \(file)  (undo "), "\(actions)")
    #expect(actions.text.contains("kill_process \(malware.pid)"), "\(actions)")
    let key = try #require(done.first { $0.action.hasPrefix("quarantine_file") }?.key)
    let undone = s.ask("undo", String(key.prefix(12)))
    #expect(undone.status == 0 && s.d.contents("dropper") == Array("evil\n".utf8), "\(undone)")
    let killed = try #require(done.first { $0.action.hasPrefix("kill_process") }?.key)
    #expect(s.ask("undo", killed).status == 1 && s.ask("undo", "zzzz").status == 1 && s.ask("undo", "../x").status == 2)
    let status = s.ask("status")
    #expect(status.text.contains("responder: ready; run, kill_process, quarantine_file"), "\(status)")
    let doctor = s.ask("doctor", "--config", s.d["config.yaml"], "--rules", s.d["rules"])
    #expect(doctor.text.contains("responder: ready"), "\(doctor)")
    let audit = String(decoding: s.d.contents("state/audit.jsonl"), as: UTF8.self)
    #expect(audit.contains("quarantine_file") && audit.contains("\"undo\""))
    #expect(s.agent.stop() == 0)
  }

  /// Text that any user could have written does nothing to anybody.
  @Test func claimedTextDoesNothing() throws {
    guard let s = scene(trust: "claimed") else { return }
    #expect(s.ask("arm").status == 0)
    let process = s.sleeper()
    let file = s.file("file")
    s.report(user: "mallory", pid: process.pid, file: file)
    #expect(eventually { s.refusals("claimed") >= 3 }, "\(s.agent.errors)")
    // Telling is not acting.
    #expect(eventually { access(s.d["out/paged"], F_OK) == 0 })
    #expect(process.isRunning && access(file, F_OK) == 0)
    #expect(s.agent.stop() == 0)
  }

  /// Either side is killed: what was given out is done once.
  @Test func killedProcessesDoubleNothing() throws {
    guard let s = scene() else { return }
    #expect(s.ask("arm").status == 0)
    for i in 0..<3 {
      let malware = s.sleeper()
      if i == 1 {
        // Never a number below 1: that would be a group of processes, and our own among them.
        kill(try #require(s.agent.process("responder")), SIGKILL)
      }
      s.report(user: "user\(i)", pid: malware.pid, file: s.file("file\(i)"))
      #expect(malware.wait(seconds: 120) == 128 + SIGKILL, "\(i) \(s.agent.errors)")
      if i == 0 { s.agent.signalEngine(SIGKILL) }
      #expect(eventually { access(s.d["file\(i)"], F_OK) != 0 }, "\(i) \(s.agent.errors)")
      #expect(eventually { s.agent.status()?.response.responder.hasPrefix("ready") == true }, "\(s.agent.errors)")
    }
    func paged() -> Int { String(decoding: s.d.contents("out/paged"), as: UTF8.self).split(separator: "\n").count { $0.hasPrefix("--rule") } }
    #expect(eventually { paged() == 3 }, "\(s.agent.errors)")
    usleep(2_000_000)
    #expect(paged() == 3)
    #expect(s.agent.stop() == 0)
  }

  /// On trial nothing is done that would not end with it; without a responder nothing is done at all, and that is said.
  @Test func onTrialAndWithoutAResponderNothingIsDone() throws {
    guard let s = scene() else { return }
    #expect(s.ask("arm", "--confirm-within", "1h").status == 0)
    let process = s.sleeper()
    s.report(user: "mallory", pid: process.pid, file: s.file("file"))
    #expect(eventually { s.refusals("trial") == 3 }, "\(s.agent.errors)")
    #expect(process.isRunning && access(s.d["file"], F_OK) == 0)
    #expect(s.agent.stop() == 0)

    let d = TemporaryDirectory()
    d.append("", to: "auth.log")
    guard access("/etc/panguard/responder.yaml", F_OK) != 0 else { return skip("this host has a responder's configuration") }
    let agent = RunningAgent(d)
    #expect(agent.isUp() && agent.errors.contains("no responder: there is no /etc/panguard/responder.yaml"), "\(agent.errors)")
    #expect(eventually { agent.status()?.response.responder.hasPrefix("none is set up") == true })
    #expect(panguard("actions", "--state", agent.state).status == 3)
    #expect(agent.stop() == 0)
  }
}
