// Which files patterns name, and that changes are noticed.
import CLinux
import Glibc
import LogSources
import Primitives
import Testing

@Suite struct FileWatcherTests {
  let directory = TemporaryDirectory()

  @Test func rotatedVersionsAreNoLogs() {
    for name in [
      "access.log", "access.log.1", "access.log.2.gz", "other_access.log", "other_access.log-20260105", "access-20260105.log", "access.1.log",
      "app-20260105.access.log", "gone_access.log.1", "error.log", "access.log.gz",
    ] { directory.append("x\n", to: name) }
    mkdir(directory["access.d"], 0o755)
    let watcher = FileWatcher(patterns: [directory["*access*"], directory["later.log"]])
    #expect(
      watcher.expand() == ["access.log", "app-20260105.access.log", "later.log", "other_access.log"].map { directory[$0] })
    #expect(watcher.expand() == [])
    directory.append("x\n", to: "new_access.log")
    #expect(watcher.expand() == [directory["new_access.log"]])
    // A followed log under another name is not a new log.
    directory.rename("new_access.log", "moved_access.log")
    #expect(watcher.expand() == [])
    directory.append("y\n", to: "new_access.log")
    #expect(watcher.expand() == [])
    directory.remove("moved_access.log")
    #expect(watcher.expand() == [])
    #expect(watcher.followed.count == 5)
  }

  @Test func noticesChanges() throws {
    directory.append("x\n", to: "log")
    let watcher = FileWatcher(patterns: [directory["log"], directory["sub/*.log"]])
    try #require(watcher.descriptor >= 0)
    _ = watcher.expand()
    #expect(watcher.drain().isEmpty)
    directory.append("y\n", to: "log")
    #expect(watcher.drain().paths == [directory["log"]])
    #expect(watcher.drain().isEmpty)
    // Renamed: the old file is still watched, the new one too.
    directory.rename("log", "log.1")
    directory.append("z\n", to: "log")
    let changes = watcher.drain()
    #expect(changes.paths == [directory["log"]] && changes.structure)
    _ = watcher.expand()
    directory.append("late\n", to: "log.1")
    #expect(watcher.drain().paths == [directory["log"]])
    directory.append("z\n", to: "log")
    #expect(watcher.drain().paths == [directory["log"]])
    // A directory that comes later, and a file in it.
    mkdir(directory["sub"], 0o755)
    #expect(watcher.drain().structure)
    #expect(watcher.expand() == [])
    directory.append("x\n", to: "sub/a.log")
    #expect(watcher.drain().structure)
    #expect(watcher.expand() == [directory["sub/a.log"]])
    directory.append("x\n", to: "sub/a.log")
    #expect(watcher.drain().paths == [directory["sub/a.log"]])
  }

  @Test func manyRotationsLeaveFewWatches() {
    let watcher = FileWatcher(patterns: [directory["log"]])
    let follower = Follower(directory["log"])
    for i in 0..<50 {
      directory.appendLines(i..<i + 1, to: "log")
      _ = watcher.expand()
      #expect(!watcher.drain().isEmpty || i == 0)
      follower.readAll()
      directory.rename("log", "log.\(i)")
    }
    #expect(watcher.unwatched == 0)
  }

  @Test func anOverflowAsksForALookAtEverything() throws {
    let watcher = FileWatcher(patterns: (0..<20).map { directory["log\($0)"] })
    try #require(watcher.descriptor >= 0)
    for i in 0..<20 { directory.append("x", to: "log\(i)") }
    _ = watcher.expand()
    _ = watcher.drain()
    // More events than the kernel queues (fs.inotify.max_queued_events, 16384 by default); equal neighbours are merged.
    for i in 0..<40_000 { chmod(directory["log\(i % 20)"], 0o644) }
    let changes = watcher.drain()
    #expect(watcher.overflows > 0 ? changes.all && changes.structure : changes.paths.count == 20)
  }
}
