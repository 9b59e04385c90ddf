// Executables: what they get, whom they run as, what they may, and that they end.
import CLinux
import Glibc
import HostActions
import Primitives
import Testing

@testable import ResponderRuntime

@Suite(.serialized) struct RunningTests {
  private func make(_ more: String = "") -> Workshop? { Workshop.make("run_executables: true\n" + more) }
  private func run(_ w: Workshop, _ key: String, _ name: String, _ arguments: [String] = [], input: String = "") -> HostActionOutcome {
    w.perform(key, .run(ExecutableRun(name: name, arguments: arguments, input: Array(input.utf8))))
  }

  @Test func itGetsItsArgumentsAndItsInputAndNothingElse() throws {
    guard let w = make() else { return }
    let out = Directory()
    chmod(out.path, 0o777)
    w.directory.write(
      """
      #!/bin/sh
      umask 022
      { for a in "$@"; do printf '<%s>' "$a"; done; echo; cat; } > \(out["got"])
      env | sort > \(out["env"])
      cat /proc/self/status > \(out["status"])
      ls -l /proc/self/fd | wc -l > \(out["fds"])
      echo told

      """, "actions.d/page", mode: 0o755)
    let outcome = run(w, "r1", "page", ["--to", "a b", "$(id)", "; rm -rf /", ""], input: "{\"id\":\"d1\"}\nlast")
    #expect(outcome == HostActionOutcome(.done, "", "exit 0: told"), "\(outcome) \(w.audit)")
    #expect(out.text("got") == "<--to><a b><$(id)><; rm -rf /><>\n{\"id\":\"d1\"}\nlast", "\(out.text("got") ?? "")")
    let environment = Set((out.text("env") ?? "").split(separator: "\n").map { $0.prefix { $0 != "=" } })
    #expect(environment.isSubset(of: ["PATH", "LANG", "HOME", "PWD", "OLDPWD", "SHLVL", "_"]), "\(environment)")
    let nobody = try #require(getpwnam("nobody")).pointee
    let status = out.text("status") ?? ""
    for line in [
      "Uid:\t\(nobody.pw_uid)\t\(nobody.pw_uid)\t\(nobody.pw_uid)\t\(nobody.pw_uid)", "Groups:\t\n", "CapPrm:\t0000000000000000",
      "CapEff:\t0000000000000000",
      "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2",
    ] { #expect(status.contains(line) || line == "Groups:\t\n" && status.contains("Groups:\t \n"), "\(line): \(status)") }
    // Once.
    unlink(out["got"])
    #expect(run(w, "r1", "page") == outcome && out.text("got") == nil)
    #expect(w.audit.contains("done: run page --to") && w.audit.contains("exit 0: told"), "\(w.audit)")
  }

  @Test func aProgramThatIsNoScriptRunsToo() {
    guard let w = make() else { return }
    #expect(Program.run(["/bin/cp", "/bin/cat", w.directory["actions.d/echo"]]).code == 0)
    #expect(run(w, "b", "echo", [], input: "as it came").detail == "exit 0: as it came")
  }

  @Test func howItEndsIsTold() {
    guard let w = make("executables_timeout: 1s\n") else { return }
    w.directory.write("#!/bin/sh\necho disk full >&2\nexit 3\n", "actions.d/fails", mode: 0o755)
    w.directory.write("#!/bin/sh\nkill -SEGV $$\n", "actions.d/crashes", mode: 0o755)
    w.directory.write("#!/bin/sh\necho begun\nsleep 4747 & sleep 4747\n", "actions.d/hangs", mode: 0o755)
    w.directory.write("#!/bin/sh\n(setsid sleep 4848 >/dev/null 2>&1 &)\nexit 0\n", "actions.d/daemon", mode: 0o755)
    w.directory.write("#!/bin/sh\nyes\n", "actions.d/shouts", mode: 0o755)
    w.directory.write("no program\n", "actions.d/text", mode: 0o755)
    #expect(run(w, "1", "fails") == HostActionOutcome(.failed, "exit", "exit 3: disk full"))
    #expect(run(w, "2", "crashes").detail == "ended by signal 11")
    let hangs = run(w, "3", "hangs")
    #expect(hangs.code == "timed_out" && hangs.detail.hasSuffix("begun"), "\(hangs)")
    #expect(run(w, "4", "daemon").state == .done)
    let shouts = run(w, "5", "shouts")
    #expect(shouts.code == "timed_out" && shouts.detail.utf8.count < Limits.hostActionDetailBytes, "\(shouts)")
    #expect(run(w, "6", "text").detail == "exit 127")
    // Nothing that they started is left, in their session or out of it.
    #expect(eventually { !["sleep 4747", "sleep 4848"].contains { Program.run(["/usr/bin/pgrep", "-f", $0]).code == 0 } })
  }

  @Test func onlyWhatRootPutThereRuns() throws {
    guard let w = make() else { return }
    let nobody = try #require(getpwnam("nobody")).pointee
    let script = "#!/bin/sh\ntouch \(w.directory["ran"])\n"
    for (name, mode) in [("good", 0o755), ("writable", 0o757), ("groupwritable", 0o775), ("private", 0o700), ("theirs", 0o755)] as [(String, mode_t)]
    {
      w.directory.write(script, "actions.d/\(name)", mode: mode)
    }
    chown(w.directory["actions.d/theirs"], nobody.pw_uid, nobody.pw_gid)
    symlink("/bin/true", w.directory["actions.d/link"])
    symlink("good", w.directory["actions.d/inner"])
    mkdir(w.directory["actions.d/folder"], 0o755)
    mkfifo(w.directory["actions.d/pipe"], 0o755)
    w.directory.write(script, "outside", mode: 0o755)
    let refused: [(String, String)] = [
      ("writable", "unsafe"), ("groupwritable", "unsafe"), ("private", "unsafe"), ("theirs", "unsafe"), ("link", "unsafe"), ("inner", "unsafe"),
      ("folder", "unsafe"), ("pipe", "unsafe"), ("none", "no_such_executable"), ("../outside", "name"), ("..", "name"), ("", "name"), ("-c", "name"),
      (".hidden", "name"), ("a/b", "name"), ("sh -c id", "name"),
    ]
    for (i, (name, code)) in refused.enumerated() {
      let outcome = run(w, "x\(i)", name)
      #expect(outcome.state == .refused && outcome.code == code, "\(name): \(outcome)")
    }
    chmod(w.directory["actions.d"], 0o777)
    #expect(run(w, "d1", "good").code == "unsafe")
    chmod(w.directory["actions.d"], 0o755)
    rename(w.directory["actions.d"], w.directory["real"])
    symlink("real", w.directory["actions.d"])
    #expect(run(w, "d2", "good").code == "no_such_executable")
    #expect(access(w.directory["ran"], F_OK) != 0)
  }

  @Test func manyWaitForTheirTurn() throws {
    guard let w = make() else { return }
    w.directory.write("#!/bin/sh\nwhile [ ! -e \(w.directory["go"]) ]; do sleep 0.05; done\n", "actions.d/slow", mode: 0o755)
    let action = HostAction.run(ExecutableRun(name: "slow", arguments: [], input: []))
    var states: [String: Int] = [:]
    for i in 0..<80 { states[try w.client.perform("q\(i)", action).code, default: 0] += 1 }
    #expect(states["busy"] == 80 - Limits.runningExecutables - Limits.waitingExecutables)
    #expect(try w.client.status().running == UInt64(Limits.runningExecutables))
    w.directory.write("", "go")
    #expect(eventually { (try? w.client.status()).map { $0.running == 0 && $0.waiting == 0 } ?? false })
    let status = try w.client.status()
    #expect(status.done + status.refused == 80 && status.failed == 0, "\(status)")
  }

  /// What an executable may not: the network, other files, another's memory, more privilege.
  @Test func itIsConfined() {
    guard let w = make() else { return }
    guard access("/usr/bin/python3", X_OK) == 0 else { return skip("needs python3") }
    w.directory.write("secret", "secret", mode: 0o644)
    w.directory.write(
      """
      #!/usr/bin/python3
      import ctypes, os, socket
      def tried(name, f):
        try: f(); print("ALLOWED", name)
        except OSError: pass
      tried("inet", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
      tried("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
      tried("root", lambda: os.setuid(0))
      tried("state", lambda: os.listdir("\(w.directory["state"])"))
      tried("etc", lambda: open("/etc/panguard-test", "w"))
      tried("var", lambda: open("/var/tmp/panguard-test", "w"))
      tried("root home", lambda: os.listdir("/root"))
      libc = ctypes.CDLL(None, use_errno=True)
      if libc.ptrace(16, os.getppid(), 0, 0) == 0: print("ALLOWED ptrace")
      if libc.unshare(0x10000000) == 0: print("ALLOWED unshare")
      print("tried")

      """, "actions.d/tries", mode: 0o755)
    let outcome = run(w, "c", "tries")
    #expect(outcome.detail == "exit 0: tried", "\(outcome)")
  }

  @Test func theRespondersEndIsTheirs() {
    guard let w = make() else { return }
    w.directory.write("#!/bin/sh\nexec sleep 4949\n", "actions.d/stays", mode: 0o755)
    _ = try? w.client.perform("s", .run(ExecutableRun(name: "stays", arguments: [], input: [])))
    #expect(eventually { Program.run(["/usr/bin/pgrep", "-f", "sleep 4949"]).code == 0 })
    w.restart()
    #expect(eventually { Program.run(["/usr/bin/pgrep", "-f", "sleep 4949"]).code != 0 })
    // Begun once; nobody knows how far it came; not again.
    let outcome = w.perform("s", .run(ExecutableRun(name: "stays", arguments: [], input: [])))
    #expect(outcome.state == .failed && outcome.code == "interrupted", "\(outcome)")
  }
}
