// disable_account: who is never locked, as a table; and usermod(8) for real, in a mount namespace whose /etc is a copy. The machine's own
// accounts are never touched.
import Glibc
import HostActions
import Primitives
import Testing

@testable import ResponderRuntime

@Suite struct AccountFilesTests {
  static let passwd = """
    root:x:0:0:root:/root:/bin/bash
    toor:x:0:0:other root:/root:/bin/bash
    daemon:x:1:1::/usr/sbin:/usr/sbin/nologin
    panguard:x:990:990::/:/usr/sbin/nologin
    alice:x:1000:1000:Alice:/home/alice:/bin/bash
    bob:x:1001:1001:Bob:/home/bob:/bin/bash
    carol:x:1002:27::/home/carol:/bin/bash
    deploy:x:1003:1003::/home/deploy:/usr/sbin/nologin
    twin:x:1005:1005::/:/bin/sh
    twin2:x:1005:1005::/:/bin/sh
    remote:x:1006:1006::/:/bin/sh
    nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin

    """
  static let shadow = """
    root:$6$r:19000:0:99999:7:::
    toor:!:19000:0:99999:7:::
    alice:$6$a:19000:0:99999:7:::
    bob:$6$b:19000:0:99999:7::19500:
    carol:!$6$c:19000:0:99999:7:::
    deploy::19000:0:99999:7:::
    twin:x:1::::::
    twin2:x:1::::::

    """
  private func files(sudo: String = "alice,deploy", shadow: String = AccountFilesTests.shadow) -> AccountFiles {
    AccountFiles(
      passwd: Self.passwd, shadow: shadow, group: "sudo:x:27:\(sudo)\nusers:x:100:bob\n", definitions: "# x\nUID_MIN  1000\nUID_MAX\t60000\n")
  }
  private func refusal(_ files: AccountFiles, _ name: String, today: Int = 19_400, spared: [String] = [], loggedIn: String = "") -> String? {
    files.refusal(name, spared: spared, loggedIn: { $0.name == loggedIn }, today: today)?.code
  }

  @Test(arguments: [
    ("root", "protected"), ("toor", "protected"), ("daemon", "protected"), ("panguard", "protected"), ("nobody", "protected"), ("twin", "protected"),
    ("nosuch", "no_such_user"), ("", "no_such_user"), ("alice\n", "no_such_user"), ("remote", "no_such_user"), ("bob", nil), ("alice", nil),
  ])
  func whoIsNeverLocked(_ entry: (String, String?)) { #expect(refusal(files(), entry.0) == entry.1) }

  /// carol's first group is sudo's number.
  @Test func theLastAdministratorIsNeverLocked() {
    let alone = files(sudo: "alice,deploy", shadow: Self.shadow.replacing("carol:!$6$c:19000:0:99999:7:::", with: "carol:!$6$c:19000:0:99999:7::1:"))
    #expect(refusal(alone, "alice") == "last_administrator" && refusal(alone, "carol") == nil && refusal(alone, "deploy") == nil)
    #expect(refusal(files(), "carol") == nil && refusal(files(sudo: ""), "carol") == "last_administrator")
  }
  @Test func whoIsSparedOrLoggedIn() {
    #expect(refusal(files(), "bob", spared: ["bob"]) == "spared" && refusal(files(), "bob", loggedIn: "bob") == "logged_in")
  }

  @Test func onlyWhatWasChangedIsTakenBack() throws {
    let before = files()
    #expect(try #require(before.locking("alice", today: 19_400)).arguments == ["--lock", "--expiredate", "1"])
    #expect(try #require(before.locking("carol", today: 19_400)).arguments == ["--expiredate", "1"])
    #expect(try #require(before.locking("bob", today: 19_500)).arguments == ["--lock"])
    #expect(try #require(before.locking("deploy", today: 19_400)).arguments == ["--expiredate", "1"])
    let undo = try #require(before.locking("bob", today: 19_400)).undo
    func after(_ line: String) -> [String] { files(shadow: Self.shadow.replacing("bob:$6$b:19000:0:99999:7::19500:", with: line)).unlocking(undo) }
    #expect(after("bob:!$6$b:19000:0:99999:7::1:") == ["--unlock", "--expiredate", "19500"])
    #expect(after("bob:$6$new:19000:0:99999:7::1:") == ["--expiredate", "19500"])
    #expect(after("bob:!$6$b:19000:0:99999:7::20000:") == ["--unlock"])
    #expect(after("bob:$6$b:19000:0:99999:7:::") == [] && after("") == [])
  }
}

@Suite(.serialized) struct AccountTests {
  /// Entries of shadow(5) in the copy.
  private func shadow(_ d: Directory, _ name: String) -> String? {
    d.text("etc/shadow")?.split(separator: "\n").first { $0.hasPrefix("\(name):") }.map(String.init)
  }
  private func make(_ d: Directory) -> Workshop? {
    guard geteuid() == 0, access("/usr/sbin/usermod", X_OK) == 0, access("/usr/bin/unshare", X_OK) == 0 else {
      skip("locking accounts needs root, usermod and unshare")
      return nil
    }
    #expect(Program.run(["/bin/cp", "-a", "/etc", d["etc"]]).code == 0)
    let namespace = ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", "mount --bind \"$0\" /etc && exec \"$@\"", d["etc"]]
    guard Program.run(namespace + ["/bin/true"]).code == 0 else {
      skip("mount namespaces are not allowed here")
      return nil
    }
    d.write(AccountFilesTests.passwd.replacing("panguard:x", with: "pgtest:x"), "etc/passwd")
    d.write(AccountFilesTests.shadow.replacing(":19500:", with: ":99999:"), "etc/shadow", mode: 0o640)
    d.write("root:x:0:\nshadow:x:42:\nsudo:x:27:alice,deploy\nnogroup:x:65534:\n", "etc/group")
    chown(d["etc/shadow"], 0, 42)
    return Workshop.make("disable_accounts: true\nactions_per_minute: 1000\n", prefix: namespace, in: d)
  }

  @Test func anAccountIsLockedAndUnlocked() throws {
    let d = Directory()
    let own = contents("/etc/shadow")
    guard let w = make(d) else { return }
    let before = shadow(d, "bob")
    let outcome = w.perform("a1", .disable(account: "bob"))
    #expect(outcome.state == .done, "\(outcome) \(w.audit)")
    #expect(shadow(d, "bob") == "bob:!$6$b:19000:0:99999:7::1:", "\(shadow(d, "bob") ?? "")")
    var facts = stat()
    stat(d["etc/shadow"], &facts)
    #expect(facts.st_uid == 0 && facts.st_gid == 42 && facts.st_mode & 0o777 == 0o640)
    w.restart()
    #expect(w.perform("a1", .disable(account: "bob")) == outcome)
    let undone = w.undo("a1")
    #expect(undone.state == .undone && shadow(d, "bob") == before, "\(undone) \(shadow(d, "bob") ?? "") \(w.audit)")
    let refused = [("root", "protected"), ("daemon", "protected"), ("--root", "no_such_user"), ("alice; id", "no_such_user")]
    for (i, (name, code)) in refused.enumerated() {
      #expect(w.perform("n\(i)", .disable(account: name)).code == code, "\(name)")
    }
    // Two administrators at once: one of them stays. (deploy has no shell; carol is the other one.)
    let first = try w.client.perform("b1", .disable(account: "alice"))
    let second = try w.client.perform("b2", .disable(account: "carol"))
    #expect(first.state == .pending && second.state == .pending)
    #expect(w.perform("b1", .disable(account: "alice")).state == .done)
    #expect(w.perform("b2", .disable(account: "carol")).code == "last_administrator", "\(w.audit)")
    #expect(w.undo("b1").state == .undone && shadow(d, "alice") == "alice:$6$a:19000:0:99999:7:::")
    // A crash between usermod and its note: the account says that it was done, and can be taken back.
    #expect(w.perform("c1", .disable(account: "bob")).state == .done)
    kill(w.responder.pid, SIGKILL)
    w.responder.wait()
    let lines = (d.text("state/actions.jsonl") ?? "").split(separator: "\n").filter { $0.contains("\"c1\"") && $0.contains("\"pending\"") }
    d.write(lines.joined(separator: "\n") + "\n", "state/actions.jsonl", mode: 0o600)
    w.start()
    #expect(try w.client.outcomes(["c1"])[0].state == .done && w.undo("c1").state == .undone && shadow(d, "bob") == before)
    #expect(contents("/etc/shadow") == own)
  }
}
