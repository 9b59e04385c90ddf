// The responder as a process: what the kernel says it has given up, and what hostile peers and a lost ledger come to.
import CLinux
import Enforcement
import Glibc
import HostActions
import Primitives
import Testing

@testable import ResponderRuntime

@Suite struct ResponderServiceTests {
  private func facts(_ pid: pid_t) -> [String: String] {
    var facts: [String: String] = [:]
    for line in (contents("/proc/\(pid)/status") ?? "").split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      facts[String(line[..<colon])] = line[line.index(after: colon)...].split { $0 == "\t" || $0 == " " }.joined(separator: " ")
    }
    return facts
  }

  /// What each kind takes, and no more: bit n is capability n.
  static let kinds: [(configuration: String, capabilities: UInt64)] = [
    ("", 0), ("kill_processes: true\n", 1 << 5), ("quarantine_files: true\n", 1 << 0 | 1 << 1 | 1 << 3),
    ("run_executables: true\n", 1 << 5 | 1 << 6 | 1 << 7), ("disable_accounts: true\n", 1 << 0 | 1 << 6 | 1 << 7),
    ("run_executables: true\nkill_processes: true\nquarantine_files: true\ndisable_accounts: true\n", 0b1110_1011),
  ]
  @Test(arguments: kinds.indices) func itKeepsWhatTheEnabledActionsTake(_ i: Int) throws {
    let (configuration, capabilities) = Self.kinds[i]
    guard let w = Workshop.make(configuration) else { return }
    #expect(try w.client.status().done == 0)
    let facts = facts(w.responder.pid)
    for key in ["CapEff", "CapPrm", "CapBnd"] { #expect(facts[key].flatMap { UInt64($0, radix: 16) } == capabilities, "\(key) \(facts[key] ?? "")") }
    #expect(facts["CapAmb"] == "0000000000000000" && facts["CapInh"] == "0000000000000000")
    #expect(facts["NoNewPrivs"] == "1" && facts["Seccomp"] == "2" && facts["Threads"] == "1")
  }

  /// As the service manager starts it: a user of its own that has the capabilities of the unit, and no root anywhere.
  @Test func asAUserOfItsOwnItDoesTheSame() throws {
    guard geteuid() == 0, access("/usr/bin/setpriv", X_OK) == 0, access(Workshop.program, X_OK) == 0 else { return skip("needs root and setpriv") }
    let d = Directory()
    mkdir(d["state"], 0o700)
    chown(d["state"], 54321, 54321)
    let capabilities = "-all,+kill,+setuid,+setgid,+dac_override,+fowner,+chown"
    let user = [
      "/usr/bin/setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--inh-caps=\(capabilities)", "--ambient-caps=\(capabilities)",
      "--bounding-set=\(capabilities)",
    ]
    guard Program.run(user + [Workshop.program, "--help"]).code == 0 else {
      return skip("setpriv cannot give capabilities here, or another user cannot run the program")
    }
    guard let w = Workshop.make("run_executables: true\nkill_processes: true\nquarantine_files: true\n", prefix: user, in: d) else { return }
    let victim = Program(["/bin/sleep", "2001"])
    let killed = w.perform("k", .kill(ProcessTarget(pid: victim.pid, seenAt: now(), signal: .kill)))
    #expect(killed.state == .done && victim.wait() == 128 + SIGKILL, "\(killed) \(w.audit)")
    #expect(facts(w.responder.pid)["Uid"]?.hasPrefix("54321 ") == true)
    d.write("#!/bin/sh\nid -u; id -G\n", "actions.d/who", mode: 0o755)
    let nobody = try #require(getpwnam("nobody")).pointee
    let who = w.perform("w", .run(ExecutableRun(name: "who", arguments: [], input: [])))
    #expect(who.detail == "exit 0: \(nobody.pw_uid); \(nobody.pw_gid)", "\(who)")
    let home = Directory()
    chmod(home.path, 0o700)
    home.write("evil", "file", mode: 0o600)
    let moved = w.perform("m", .quarantine(FileTarget(path: home["file"])))
    #expect(moved.state == .done && access(home["file"], F_OK) != 0, "\(moved)")
    #expect(w.undo("m").state == .undone && home.text("file") == "evil")
    var back = stat()
    stat(home["file"], &back)
    #expect(back.st_uid == 0 && back.st_mode & 0o777 == 0o600)
  }

  @Test func whatIsNoFrameClosesTheConnection() throws {
    let d = Directory()
    guard geteuid() == 0 else { return skip("needs root") }
    mkdir(d["state"], 0o700)
    chmod(d.path, 0o755)
    d.write("state_directory: \(d["state"])\nsocket: \(d["r.sock"])\n", "responder.yaml")
    let responder = Program([Workshop.program, "--config", d["responder.yaml"]], output: d["audit"])
    #expect(eventually { access(d["r.sock"], F_OK) == 0 && (try? ResponderClient(path: d["r.sock"]).status()) != nil }, "\(d.text("audit") ?? "")")
    let frames: [[UInt8]] = [
      Array("GET / HTTP/1.1\r\n\r\n".utf8), [0, 0, 0, 12, 1, 9, 0, 0, 0, 0, 0, 1], [0xff, 0xff, 0xff, 0xff, 1, 1, 0, 0, 0, 0, 0, 1],
      [0, 0, 0, 12, 2, 5, 0, 0, 0, 0, 0, 1],
    ]
    for frame in frames {
      let peer = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
      defer { close(peer) }
      #expect(withSocketAddress(d["r.sock"]) { connect(peer, $0, $1) } == 0)
      #expect(send(peer, frame, frame.count, Int32(MSG_NOSIGNAL)) == frame.count)
      var byte: UInt8 = 0
      #expect(recv(peer, &byte, 1, 0) <= 0)
    }
    #expect(try ResponderClient(path: d["r.sock"]).status().malformedFrames == 4)
    // Another user is not heard.
    if access("/usr/bin/setpriv", X_OK) == 0, access("/usr/bin/python3", X_OK) == 0 {
      chmod(d["r.sock"], 0o666)
      let script =
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('\(d["r.sock"])'); "
        + "s.send(b'\\0\\0\\0\\x0c\\1\\5\\0\\0\\0\\0\\0\\1'); print(len(s.recv(9)))"
      let other = Program.run(["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", script])
      #expect(other.text.hasPrefix("0") || other.code != 0, "\(other)")
      #expect(try ResponderClient(path: d["r.sock"]).status().peersRefused == 1)
    }
    #expect(d.text("audit")?.contains("closed: unknown kind 9") == true, "\(d.text("audit") ?? "")")
    kill(responder.pid, SIGTERM)
    #expect(responder.wait() == 0)
  }

  @Test func withoutAConfigurationItDoesNotRun() {
    let d = Directory()
    #expect(Program.run([Workshop.program, "--config", d["none.yaml"], "--fd", "11"]).code == 3)
    #expect(Program.run([Workshop.program, "--nonsense"]).code == 2 && Program.run([Workshop.program, "--help"]).text.contains("--print-config"))
    d.write("kill_processes: perhaps\n", "bad.yaml")
    #expect(Program.run([Workshop.program, "--check-config", "--config", d["bad.yaml"]]).code == 1)
    let reference = Program.run([Workshop.program, "--print-config"])
    d.write(reference.text, "good.yaml")
    #expect(Program.run([Workshop.program, "--check-config", "--config", d["good.yaml"]]).code == 0)
  }
}

@Suite struct LedgerTests {
  private func entry(_ n: Int, _ state: HostActionOutcome.State = .done, undo: [String] = []) -> LedgerEntry {
    LedgerEntry(key: "k\(n)", time: Int64(n), text: "kill_process \(n)\n\u{1b}[31m", outcome: HostActionOutcome(state, "c", "d"), undo: undo)
  }

  @Test func whatIsPutIsThereAfterwards() throws {
    let d = Directory()
    let entries = [entry(1), entry(2, .refused, undo: ["account", "bob", "", "expired", ""]), entry(3, .undone)]
    do {
      let ledger = try ActionLedger(directory: d.path)
      for entry in entries { try ledger.put(entry) }
      try ledger.put(entry(1, .undone))
    }
    let ledger = try ActionLedger(directory: d.path)
    #expect(ledger["k1"] == entry(1, .undone) && ledger["k2"] == entries[1] && ledger.newest(2).map(\.key) == ["k3", "k2"] && ledger.unreadable == 0)
    // Begun and not ended: never begun again.
    try ledger.put(entry(4, .pending))
    #expect(try ActionLedger(directory: d.path)["k4"]?.outcome.code == "interrupted")
  }
  @Test func damageIsCountedAndNotTaken() throws {
    let d = Directory()
    let good = String(decoding: entry(1).json, as: UTF8.self)
    d.write("\(good)\n{\"key\":\"../x\",\"time\":1,\"state\":\"done\"}\n\0\0\0\n[]\n{\"key\":\"half", "actions.jsonl", mode: 0o600)
    let ledger = try ActionLedger(directory: d.path)
    #expect(ledger.count == 1 && ledger.unreadable == 3)
  }
  @Test func theOldestThatCannotBeTakenBackIsForgotten() throws {
    let d = Directory()
    var lines = String(decoding: entry(0, undo: ["file"]).json, as: UTF8.self) + "\n"
    for i in 1..<Limits.rememberedHostActions { lines += String(decoding: entry(i).json, as: UTF8.self) + "\n" }
    d.write(lines, "actions.jsonl", mode: 0o600)
    let ledger = try ActionLedger(directory: d.path)
    try ledger.put(entry(9999))
    #expect(ledger["k0"] != nil && ledger["k1"] == nil && ledger["k9999"] != nil && ledger.forgotten == 1)
  }
}
