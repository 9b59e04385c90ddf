// A disk that fills up and a store that is damaged: reported, survived, nothing lost.
import AgentRuntime
import CLinux
import Glibc
import Primitives
import Testing

/// An agent that a script starts in a mount namespace of its own, beside a reader of words that does there what it is asked: the script has the
/// folder as $D, the program as $P, rules as $R, and writes each answer to $D/answer in one piece.
private final class SmallDisk {
  let agent: Child
  private let folder: TemporaryDirectory
  private let words: Int32

  init(_ script: String, _ folder: TemporaryDirectory) {
    self.folder = folder
    folder.write(script, to: "script")
    mkfifo(folder["words"], 0o600)
    agent = Child(
      ["/usr/bin/unshare", "-m", "/bin/bash", folder["script"]], output: folder["out"], errors: folder["err"],
      environment: Product.environment.merging(["P": Product.panguard, "D": folder.path, "R": Product.rules]) { $1 })
    // Opened for both directions, so that opening waits for nobody.
    words = pg_open(folder["words"], O_RDWR, 0)
  }
  deinit { close(words) }

  func ask(_ word: String) -> String {
    unlink(folder["answer"])
    let bytes = Array("\(word)\n".utf8)
    _ = write(words, bytes, bytes.count)
    _ = eventually { folder.exists("answer") }
    return String(decoding: folder.contents("answer"), as: UTF8.self)
  }
  var errors: String { String(decoding: folder.contents("err"), as: UTF8.self) }
}

@Suite struct StoreFailureTests {
  /// The agent runs in a mount namespace of its own, where its state lies on a file system of 16 MiB. What fills and empties that is a
  /// second process in the same namespace.
  @Test func aFullDiskPausesTheReadingAndLosesNothing() throws {
    let d = TemporaryDirectory()
    guard Product.isRoot, bash("unshare -m true", d).status == 0 else { return skip("needs root and mount namespaces") }
    d.append("", to: "auth.log")
    d.write("sources:\n  - path: \(d["auth.log"])\n    from_start: true\n", to: "config.yaml")
    mkdir(d["state"], 0o700)
    let script = """
      mount -t tmpfs -o size=16m,mode=0700 none $D/state || exit 9
      # All at once: half an answer would be taken for one.
      answer() { cat > $D/answer.new; mv $D/answer.new $D/answer; }
      while read word; do
        case $word in
          fill)
            # An emptied journal: else what comes next may find room in it.
            sqlite3 $D/state/panguard.db 'pragma wal_checkpoint(truncate)' > /dev/null
            cat /dev/zero > $D/state/filler 2> /dev/null
            echo filled | answer ;;
          free) rm $D/state/filler; echo freed | answer ;;
          lines) sqlite3 -readonly $D/state/panguard.db 'select sum(lines) from checkpoints' | answer ;;
        esac
      done < $D/words &
      exec $P run --user root --config $D/config.yaml --state $D/state --rules $R
      """
    let disk = SmallDisk(script, d)
    func ask(_ word: String) -> String { disk.ask(word).filter { $0 != "\n" } }

    d.append(Workload.attacks(0..<2).flatMap { $0 }.joined(), to: "auth.log")
    guard eventually(seconds: 120, { ask("lines") == "88" }) else {
      Issue.record("it does not come up: \(disk.errors)")
      return
    }
    #expect(ask("fill") == "filled")
    d.append(Workload.attacks(2..<40).flatMap { $0 }.joined(), to: "auth.log")
    #expect(eventually { disk.errors.contains("no room left") }, "\(disk.errors)")
    #expect(disk.errors.contains("reading waits until it works"))
    #expect(disk.agent.isRunning)
    // It stays usable while it waits, and has acknowledged nothing that it could not store.
    #expect(ask("lines") == "88")
    #expect(ask("free") == "freed")
    #expect(eventually { disk.errors.contains("the store works again") }, "\(disk.errors)")
    #expect(eventually { ask("lines") == "\(40 * 44)" }, "\(ask("lines"))")
    disk.agent.signal(SIGTERM)
    #expect(disk.agent.wait(seconds: 120) == 0)
    #expect(disk.errors.contains("\(grouped(40 * 44)) events"), "\(disk.errors)")
  }

  private func grouped(_ n: Int) -> String { n >= 1000 ? "\(n / 1000),\(String(n % 1000 + 1000).dropFirst())" : "\(n)" }

  /// A recording that cannot begin, or go on, begins as soon as there is room again, and is told once. No room for a file (inodes) is what keeps one
  /// from beginning while the store, which makes none, works; no room for bytes ends one.
  @Test(arguments: [true, false]) func aRecordingWaitsForRoom(atItsBeginning: Bool) throws {
    let d = TemporaryDirectory()
    guard Product.isRoot, bash("unshare -m true", d).status == 0 else { return skip("needs root and mount namespaces") }
    d.append("", to: "auth.log")
    let settings = "sources:\n  - path: \(d["auth.log"])\n    from_start: true\n"
    d.write(settings + (atItsBeginning ? "" : "record: {enabled: true, max_bytes: 16MiB}\n"), to: "config.yaml")
    mkdir(d["state"], 0o700)
    let script = """
      mount -t tmpfs -o size=16m,nr_inodes=60,mode=0700 none $D/state || exit 9
      answer() { cat > $D/answer.new; mv $D/answer.new $D/answer; }
      tool() { $P "$@" --state $D/state 2>&1 | tr '\\n' ' ' | answer; }
      while read word; do
        case $word in
          files) i=0; while (: > $D/state/filler$i) 2> /dev/null; do i=$((i+1)); done; echo done | answer ;;
          bytes) cat /dev/zero > $D/state/filler 2> /dev/null; echo done | answer ;;
          free) rm $D/state/filler*; echo done | answer ;;
          record) tool record status ;;
          on) tool record on ;;
          verify) tool replay --journal .. --verify --config $D/config.yaml --rules $R ;;
        esac
      done < $D/words &
      exec $P run --user root --config $D/config.yaml --state $D/state --rules $R
      """
    let disk = SmallDisk(script, d)
    func count(_ text: String) -> Int { disk.errors.split(separator: "\n").filter { $0.contains(text) }.count }

    guard eventually(seconds: 120, { disk.errors.contains("watching") }) else {
      Issue.record("it does not come up: \(disk.errors)")
      return
    }
    if atItsBeginning {
      #expect(disk.ask("files") == "done\n")
      let refused = disk.ask("on")
      #expect(refused.contains("not begun: ") && refused.contains("No space left on device"), "\(refused)")
      d.write(settings + "record: {enabled: true, max_bytes: 16MiB}\n", to: "config.yaml")
      disk.agent.signal(SIGHUP)
      #expect(eventually { disk.errors.contains("the input is not recorded: ") }, "\(disk.errors)")
    } else {
      #expect(disk.ask("record").hasPrefix("recording since"))
      #expect(disk.ask("bytes") == "done\n")
      d.append(Workload.attacks(0..<40).flatMap { $0 }.joined(), to: "auth.log")
      #expect(eventually { disk.errors.contains("the recording of the input ended: ") }, "\(disk.errors)")
    }
    let status = disk.ask("record")
    #expect(status.hasPrefix("the recording ended: ") && status.contains("No space left on device"), "\(status)")
    #expect(disk.ask("free") == "done\n")
    #expect(eventually(seconds: 200) { disk.ask("record").hasPrefix("recording since") }, "\(disk.errors)")
    #expect(count("the input is not recorded: ") + count("the recording of the input ended: ") == 1, "\(disk.errors)")
    d.append(Workload.attacks(40..<42).flatMap { $0 }.joined(), to: "auth.log")
    #expect(eventually { disk.ask("verify").hasPrefix("verified: ") }, "\(disk.ask("verify")) \(disk.errors)")
    disk.agent.signal(SIGTERM)
    #expect(disk.agent.wait(seconds: 120) == 0)
  }

  @Test func aDamagedStoreIsMovedAsideAndReported() throws {
    let d = TemporaryDirectory()
    d.append(Workload.attacks(0..<4).flatMap { $0 }.joined(), to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.acknowledges(176))
    agent.killAtOnce()
    d.append(Workload.attacks(4..<5)[0].joined(), to: "auth.log")
    // Nonsense over the middle of the file and of its journal.
    for name in ["state/panguard.db", "state/panguard.db-wal"] {
      let bytes = d.contents(name)
      let file = pg_open(d[name], O_WRONLY, 0)
      let nonsense = [UInt8](repeating: 0x5a, count: max(0, bytes.count - 200))
      pwrite(file, nonsense, nonsense.count, 100)
      close(file)
    }
    agent.start()
    #expect(agent.isUp(), "\(agent.errors)")
    #expect(agent.errors.contains("warning: the decision store was damaged"), "\(agent.errors)")
    #expect(agent.errors.contains("was moved to \(agent.state)/panguard.db.corrupt-1"))
    #expect(d.exists("state/panguard.db.corrupt-1"))
    // What cannot be known is said: how far the logs had been read.
    #expect(agent.errors.contains("read positions"), "\(agent.errors)")
    #expect(eventually { agent.acknowledgedLines() >= 44 })
    #expect(agent.stop() == 0)
    // No worker thread of libdispatch was started: it is refused a priority, and its monitor would end the engine.
    #expect(!agent.errors.contains("thread priority"), "\(agent.errors)")
    let listed = panguard("decisions", "list", "--state", agent.state)
    #expect(listed.status == 0 && listed.text.contains(Workload.address(4)), "\(listed)")
  }

  @Test func aStoreThatOthersCouldReadIsRefused() {
    let d = TemporaryDirectory()
    d.append("", to: "auth.log")
    mkdir(d["state"], 0o755)
    chmod(d["state"], 0o755)
    let agent = RunningAgent(d)
    #expect(agent.child.wait(seconds: 120) == 3)
    #expect(agent.errors.contains("chmod 700"), "\(agent.errors)")
  }
}
