// Files that are moved away, and back as they were; every refusal; links, races, another file system.
import CLinux
import Glibc
import HostActions
import Primitives
import Testing

@testable import ResponderRuntime

@Suite(.serialized) struct QuarantineTests {
  private func make(_ more: String = "") -> Workshop? { Workshop.make("quarantine_files: true\nactions_per_minute: 1000\n" + more) }
  private func facts(_ path: String) -> stat {
    var facts = stat()
    lstat(path, &facts)
    return facts
  }
  private func isSame(_ a: stat, _ b: stat) -> Bool {
    a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid && a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec
      && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec && a.st_atim.tv_sec == b.st_atim.tv_sec && a.st_atim.tv_nsec == b.st_atim.tv_nsec
  }
  private func malware(_ path: String) {
    let made = "printf 'evil\\n' > \"$0\" && chown 65534:65534 \"$0\" && chmod 4751 \"$0\" && touch -d '2020-01-02 03:04:05.678' \"$0\""
    _ = Program.run(["/bin/sh", "-c", made, path])
  }

  /// `elsewhere`: on another file system than the quarantine.
  @Test(arguments: [false, true]) func aFileGoesAndComesBackAsItWas(elsewhere: Bool) throws {
    guard let w = make() else { return }
    let place = elsewhere ? Directory(below: "/dev/shm") : Directory()
    if elsewhere, facts(place.path).st_dev == facts(w.directory.path).st_dev { return skip("/dev/shm is no file system of its own") }
    let path = place["x; y\n"]
    malware(path)
    let hasAttributes = Program.run(["/usr/bin/python3", "-c", "import os,sys; os.setxattr(sys.argv[1], 'user.note', b'kept')", path]).code == 0
    let before = facts(path)
    let outcome = w.perform("q1", .quarantine(FileTarget(path: path, device: UInt64(before.st_dev), inode: UInt64(before.st_ino))))
    #expect(outcome.state == .done && outcome.detail.contains("SHA-256 "), "\(outcome) \(w.audit)")
    #expect(access(path, F_OK) != 0)
    let kept = w.directory["state/quarantine/q1"]
    #expect(contents("\(kept)/file") == "evil\n" && facts(kept).st_mode & 0o777 == 0o700 && facts(kept).st_uid == 0)
    let manifest = contents("\(kept)/manifest.json") ?? ""
    for part in ["\"uid\":65534", "\"mode\":\(0o4751)", "\"size\":5", "\"modified_nanoseconds\":678000000", "\"sha256\":\""] {
      #expect(manifest.contains(part), "\(manifest)")
    }
    let records = try w.client.list()
    #expect(records.count == 1 && records[0].canUndo)
    // Twice under one key is once, also after a restart; and what is back is not there to be taken back.
    w.restart()
    malware(path)
    #expect(w.perform("q1", .quarantine(FileTarget(path: path))) == outcome && access(path, F_OK) == 0)
    #expect(w.undo("q1").state == .failed && contents("\(kept)/file") == "evil\n")  // something is there: never overwritten
    unlink(path)
    let undone = w.undo("q1")
    #expect(undone.state == .undone, "\(undone)")
    #expect(isSame(facts(path), before) && contents(path) == "evil\n", "\(facts(path)) \(before)")
    if hasAttributes {
      #expect(Program.run(["/usr/bin/python3", "-c", "import os,sys; sys.exit(os.getxattr(sys.argv[1], 'user.note') != b'kept')", path]).code == 0)
    }
    #expect(access(kept, F_OK) != 0 && w.undo("q1").state == .undone)
  }

  @Test func whatIsNeverTouched() throws {
    guard let w = make("never_quarantine: [/tmp/panguard-spared]\n") else { return }
    let d = Directory()
    d.write("x", "file")
    symlink("file", d["link"])
    mkdir(d["folder"], 0o755)
    d.write("x", "folder/file")
    symlink("folder", d["way"])
    mkfifo(d["pipe"], 0o644)
    mkdir(d[".ssh"], 0o700)
    d.write("key", ".ssh/authorized_keys")
    mkdir("/tmp/panguard-spared", 0o755)
    defer { _ = Program.run(["/bin/rm", "-rf", "/tmp/panguard-spared"]) }
    _ = Program.run(["/bin/sh", "-c", "echo x > /tmp/panguard-spared/file"])
    let inode = UInt64(facts(d["file"]).st_ino)
    let device = UInt64(facts(d["file"]).st_dev)
    let cases: [(FileTarget, String)] = [
      (FileTarget(path: "/etc/passwd"), "protected"), (FileTarget(path: "/usr/bin/true"), "protected"), (FileTarget(path: "/bin/true"), "protected"),
      (FileTarget(path: "/lib/x"), "protected"), (FileTarget(path: "/boot/vmlinuz"), "protected"), (FileTarget(path: "/proc/1/mem"), "protected"),
      (FileTarget(path: "/sys/x"), "protected"), (FileTarget(path: "/dev/null"), "protected"), (FileTarget(path: "/run/x"), "protected"),
      (FileTarget(path: "/var/lib/dpkg/status"), "protected"), (FileTarget(path: "/var/log/auth.log"), "protected"),
      (FileTarget(path: "/etc"), "protected"),
      (FileTarget(path: w.directory["state/actions.jsonl"]), "spared"), (FileTarget(path: w.directory["state/quarantine/a"]), "protected"),
      (FileTarget(path: "/tmp/../etc/passwd"), "path"), (FileTarget(path: "/tmp//x"), "path"), (FileTarget(path: "/tmp/./x"), "path"),
      (FileTarget(path: "/"), "path"), (FileTarget(path: "/tmp/"), "path"), (FileTarget(path: "/tmp/panguard-spared/file"), "spared"),
      (FileTarget(path: d[".ssh/authorized_keys"]), "protected"), (FileTarget(path: d["link"]), "symlink"),
      (FileTarget(path: d["way/file"]), "symlink"),
      (FileTarget(path: d["folder"]), "not_a_file"), (FileTarget(path: d["pipe"]), "not_a_file"), (FileTarget(path: d["none"]), "kernel"),
      (FileTarget(path: d["file"], device: device, inode: inode + 1), "changed"),
      (FileTarget(path: d["file"], sha256: [UInt8](repeating: 1, count: 32)), "changed"),
    ]
    for (i, (target, code)) in cases.enumerated() {
      let outcome = w.perform("n\(i)", .quarantine(target))
      #expect((outcome.state == .refused || outcome.state == .failed) && outcome.code == code, "\(target.path): \(outcome)")
    }
    for name in ["file", "folder/file", "pipe", ".ssh/authorized_keys", "link"] { #expect(facts(d[name]).st_ino != 0, "\(name)") }
    #expect(access("/etc/passwd", F_OK) == 0)
    #expect(Program.run(["/bin/ls", w.directory["state/quarantine"]]).text.isEmpty)
    // Too large is seen before it is read.
    truncate(d["file"], off_t(Limits.quarantinedFileBytes) + 1)
    #expect(w.perform("big", .quarantine(FileTarget(path: d["file"]))).code == "too_large")
  }

  @Test func otherNamesOfItAreSaid() {
    guard let w = make() else { return }
    let d = Directory()
    d.write("x", "file")
    link(d["file"], d["second"])
    let outcome = w.perform("h", .quarantine(FileTarget(path: d["file"])))
    #expect(outcome.state == .done && outcome.detail.contains("1 other names, which remain"), "\(outcome)")
    #expect(access(d["file"], F_OK) != 0 && access(d["second"], F_OK) == 0)
  }

  /// Somebody exchanges the file for a link to /etc/passwd, a directory for a link, as fast as can be: what is moved is the file, or nothing.
  @Test func racesMoveNothingElse() throws {
    guard let w = make() else { return }
    guard access("/usr/bin/python3", X_OK) == 0 else { return skip("needs python3") }
    let d = Directory()
    mkdir(d["a"], 0o755)
    mkdir(d["b"], 0o755)
    d.write("prize", "b/file")
    let prize = facts(d["b/file"]).st_ino
    let racer = Program([
      "/usr/bin/python3", "-c",
      """
      import os, sys, time
      os.chdir(sys.argv[1])
      while True:
        try:
          open('a/new', 'w').write('bait'); os.rename('a/new', 'a/file'); time.sleep(0.0003)
          os.symlink('/etc/passwd', 'a/new'); os.rename('a/new', 'a/file')
          os.rename('a', 'c'); os.symlink('b', 'a'); os.unlink('a'); os.rename('c', 'a')
        except FileNotFoundError: pass
      """, d.path,
    ])
    var done = 0
    var codes: [String: Int] = [:]
    for i in 0..<300 {
      let outcome = w.perform("race\(i)", .quarantine(FileTarget(path: d["a/file"])))
      codes[outcome.code, default: 0] += 1
      if outcome.state == .done {
        done += 1
        let kept = facts(w.directory["state/quarantine/race\(i)/file"])
        #expect(kept.st_mode & S_IFMT == S_IFREG && kept.st_ino != prize, "\(outcome)")
      }
    }
    kill(racer.pid, SIGKILL)
    racer.wait()
    #expect(facts(d["b/file"]).st_ino == prize && contents("/etc/passwd")?.isEmpty == false)
    print("races: \(done) of 300 moved; \(codes.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" })")
  }

  /// The end came between the move and its note: the file says that it was made, and it can be taken back.
  @Test func aCrashInBetweenIsUnderstood() throws {
    guard let w = make() else { return }
    let d = Directory()
    d.write("x", "file")
    #expect(w.perform("c1", .quarantine(FileTarget(path: d["file"]))).state == .done)
    // The ledger as it was before the end was written.
    let lines = (w.directory.text("state/actions.jsonl") ?? "").split(separator: "\n").filter { $0.contains("\"pending\"") }
    #expect(lines.count == 1)
    kill(w.responder.pid, SIGKILL)
    w.responder.wait()
    w.directory.write(lines.joined(separator: "\n") + "\n{\"key\":\"half", "state/actions.jsonl", mode: 0o600)
    w.start()
    let outcome = try w.client.outcomes(["c1", "half"])
    #expect(outcome[0].state == .done && outcome[1].state == .unknown, "\(outcome)")
    #expect(w.undo("c1").state == .undone && contents(d["file"]) == "x")
  }
}
