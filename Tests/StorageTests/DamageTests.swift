// What the world does to a file: wrong modes, a second writer, another version, no room, damage, sudden death.
import Detection
import Glibc
import GRDB
import PanguardTestKit
import Primitives
import RuleLanguage
import Testing

@testable import Storage

private func error(_ body: () throws -> Void) -> StorageError? {
  do {
    try body()
    return nil
  } catch {
    return error as? StorageError
  }
}
private func code(_ body: () throws -> Void) -> StorageError.Code? { error(body)?.code }

private func batch(_ number: Int, size: Int = 10) -> CommitBatch {
  CommitBatch(
    decisions: (0..<size).map { Sample.decision(number * size + $0) },
    checkpoints: [CheckpointUpdate(source: "log", value: "\(number)", lines: Int64(size))])
}

@Suite struct OwnershipTests {
  let directory: TemporaryDirectory
  init() throws { directory = try TemporaryDirectory() }

  @Test func makesWhatIsMissingForItselfAlone() throws {
    let path = directory / "a/b/state"
    let store = try DecisionStore(directory: path + "//")
    try store.commit(batch(0))
    #expect(mode(directory / "a") == "700" && mode(path) == "700")
    for name in names(in: path) { #expect(mode(path + "/" + name) == "600", "\(name)") }
    #expect(names(in: path).contains("panguard.db-wal"))
  }

  @Test(arguments: [0o750, 0o705, 0o770, 0o701] as [mode_t])
  func refusesAWiderDirectory(_ mode: mode_t) throws {
    chmod(directory.path, mode)
    let failure = error { _ = try DecisionStore(directory: directory.path) }
    #expect(failure?.code == .permission)
    #expect(failure?.description.contains("chmod 700") == true)
    #expect(names(in: directory.path) == [])
  }

  @Test(arguments: [0o640, 0o604, 0o666] as [mode_t], [true, false])
  func refusesAWiderFile(_ mode: mode_t, _ readOnly: Bool) throws {
    try DecisionStore(directory: directory.path).close()
    chmod(directory / "panguard.db", mode)
    let failure = error { _ = try DecisionStore(directory: directory.path, readOnly: readOnly) }
    #expect(failure?.code == .permission)
    #expect(failure?.description.contains("chmod 600") == true)
  }

  @Test func refusesWhatIsNotAFile() throws {
    write([], to: directory / "other")
    symlink("other", directory / "panguard.db")
    #expect(code { _ = try DecisionStore(directory: directory.path) } == .permission)
    unlink(directory / "panguard.db")
    mkdir(directory / "panguard.db", 0o700)
    #expect(code { _ = try DecisionStore(directory: directory.path) } == .permission)
    #expect(code { _ = try DecisionStore(directory: directory / "other") } == .permission)
    #expect(code { _ = try DecisionStore(directory: "") } == .permission)
  }

  @Test(.enabled(if: geteuid() == 0, "only root can give files away")) func refusesAnothersFile() throws {
    try DecisionStore(directory: directory.path).close()
    chown(directory.path, 65534, 65534)
    let failure = error { _ = try DecisionStore(directory: directory.path) }
    #expect(failure?.code == .permission)
    #expect(failure?.description.contains("belongs to user 65534") == true)
    // Root may look.
    #expect(code { _ = try DecisionStore(directory: directory.path, readOnly: true) } == nil)
  }

  @Test func readingNeedsAStore() throws {
    #expect(code { _ = try DecisionStore(directory: directory / "none", readOnly: true) } == .permission)
    let failure = error { _ = try DecisionStore(directory: directory.path, readOnly: true) }
    #expect(failure?.description.contains("start panguard once") == true)
    #expect(names(in: directory.path) == [])
  }

  @Test func oneWriterManyReaders() throws {
    let store = try DecisionStore(directory: directory.path)
    let failure = error { _ = try DecisionStore(directory: directory.path) }
    #expect(failure?.code == .locked)
    #expect(failure?.description.contains("(process \(getpid()))") == true)
    let readers = try (0..<3).map { _ in try DecisionStore(directory: directory.path, readOnly: true) }
    for n in 0..<5 {
      try store.commit(batch(n))
      for reader in readers { #expect(try reader.statistics().decisions == (n + 1) * 10) }
    }
    #expect(code { try readers[0].commit(batch(9)) } == .permission)
    store.close()
    // What was committed last is there for those who open after a clean end.
    #expect(try DecisionStore(directory: directory.path, readOnly: true).statistics().decisions == 50)
    try DecisionStore(directory: directory.path).commit(batch(5))
    #expect(try readers[0].statistics().decisions == 60)
  }
}

@Suite struct SchemaTests {
  let directory: TemporaryDirectory
  init() throws { directory = try TemporaryDirectory() }

  private func load(_ fixture: String) throws {
    let folder = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/Fixtures/"
    let sql = try #require(read(folder + fixture))
    let queue = try DatabaseQueue(path: directory / "panguard.db")
    try queue.write { try $0.execute(sql: String(decoding: sql, as: UTF8.self)) }
    try queue.close()
    chmod(directory / "panguard.db", 0o600)
  }

  @Test func bringsAnOldStoreUpToDate() throws {
    try load("schema-1.sql")
    #expect(code { _ = try DecisionStore(directory: directory.path, readOnly: true) } == .olderSchema)
    let store = try DecisionStore(directory: directory.path)
    let latest = try store.decisions()
    #expect(latest.unreadable.isEmpty)
    #expect(latest.decisions.map(\.id) == ["d00c0ffee00c0ffee", "d3f9a1c2b4e5d607f"])
    #expect(latest.decisions.map(\.revision) == [1, 3])
    #expect(latest.lastSequence == 5)
    #expect(try store.decisions(matching: DecisionQuery(address: CIDR("2001:db8:1:2::9"))).decisions.map(\.id) == ["d00c0ffee00c0ffee"])
    #expect(try store.openIncidents(after: .zero).map(\.revision) == [3, 1])
    #expect(try store.checkpoints() == [Checkpoint(source: "/var/log/auth.log", value: "v1:2049:131:4096", lines: 812)])
    try store.commit(batch(0))
    store.close()
    #expect(try DecisionStore(directory: directory.path, readOnly: true).statistics().incidents == 12)
  }

  /// A migrated store and a new one have the same tables and indexes.
  @Test func anOldStoreEndsLikeANewOne() throws {
    func schema(_ store: DecisionStore) throws -> [String] {
      try store.run { db in
        try String.fetchAll(db, sql: "SELECT name || ': ' || sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'grdb%' ORDER BY name")
      }
    }
    try load("schema-1.sql")
    let new = try TemporaryDirectory()
    #expect(try schema(DecisionStore(directory: directory.path)) == schema(DecisionStore(directory: new.path)))
  }

  @Test(arguments: [true, false])
  func leavesANewerStoreAlone(_ readOnly: Bool) throws {
    let store = try DecisionStore(directory: directory.path)
    try store.run { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('99: of tomorrow')") }
    store.close()
    let before = read(directory / "panguard.db")
    let failure = error { _ = try DecisionStore(directory: directory.path, readOnly: readOnly) }
    #expect(failure?.code == .newerSchema)
    let isUnchanged = read(directory / "panguard.db") == before  // not in the macro: it would print both files
    #expect(isUnchanged)
  }

  /// Lists must walk an index, not sort the table.
  @Test(arguments: [
    (DecisionQuery(), "decisions_time"), (DecisionQuery(since: .zero, minimumSeverity: .high), "decisions_time"),
    (DecisionQuery(user: "root"), "decisions_user"), (DecisionQuery(rule: "ATR-2026-90001"), "decisions_rule"),
    (DecisionQuery(address: CIDR("192.0.2.0/24")), "decisions_source"),
  ])
  func queriesUseTheirIndex(_ query: DecisionQuery, _ index: String) throws {
    let store = try DecisionStore(directory: directory.path)
    let clause = query.clause
    let plan = try store.run { db in
      try Row.fetchAll(
        db, sql: "EXPLAIN QUERY PLAN SELECT sequence, id, record FROM decisions WHERE \(clause.sql) ORDER BY time DESC, sequence DESC LIMIT 9",
        arguments: StatementArguments(clause.arguments)
      ).map { $0["detail"] as String? ?? "" }.joined(separator: "; ")
    }
    #expect(plan.contains("INDEX \(index)"), "\(plan)")
    if index != "decisions_source" { #expect(!plan.contains("TEMP B-TREE"), "\(plan)") }
  }
}

@Suite struct FullDiskTests {
  @Test func aFullDatabaseIsSaidAndSurvived() throws {
    let directory = try TemporaryDirectory()
    let store = try DecisionStore(directory: directory.path)
    try store.commit(batch(0))
    try store.run { db in
      let pages = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
      try db.execute(sql: "PRAGMA max_page_count = \(pages + 4)")
    }
    var failure: StorageError?
    var done = 0
    for n in 1...20 {
      failure = error { try store.commit(batch(n)) }
      if failure != nil { break }
      done = n
    }
    #expect(failure?.code == .diskFull)
    #expect(failure?.sqliteCode == 13)
    #expect(failure?.statement?.contains("INSERT") == true)
    #expect(failure?.description.contains("free space") == true)
    // All or nothing, and the next try works once there is room.
    #expect(try store.statistics().decisions == (done + 1) * 10)
    #expect(try store.checkpoints() == [Checkpoint(source: "log", value: "\(done)", lines: Int64(done + 1) * 10)])
    try store.run { try $0.execute(sql: "PRAGMA max_page_count = 1000000") }
    try store.commit(batch(done + 1))
    #expect(try store.statistics().decisions == (done + 2) * 10)
    #expect(try store.checkpoints().first?.lines == Int64(done + 2) * 10)
  }

  /// A real file system without room: a tmpfs of 1 MiB in a mount namespace of a child process.
  @Test(.enabled(if: geteuid() == 0, "only root can make a mount namespace here")) func aFullFileSystemIsSaidAndSurvived() async {
    await #expect(processExitsWith: .success) {
      typealias Unshare = @convention(c) (Int32) -> Int32
      typealias Mount = @convention(c) (UnsafePointer<CChar>?, UnsafePointer<CChar>, UnsafePointer<CChar>?, UInt, UnsafePointer<CChar>?) -> Int32
      guard let unshareSymbol = dlsym(nil, "unshare"), let mountSymbol = dlsym(nil, "mount") else { fatalError("no unshare or mount") }
      let unshare = unsafeBitCast(unshareSymbol, to: Unshare.self)
      let mount = unsafeBitCast(mountSymbol, to: Mount.self)
      let directory = try TemporaryDirectory()
      let (newMounts, recursivePrivate): (Int32, UInt) = (0x20000, 0x4000 | 0x40000)
      guard unshare(newMounts) == 0, mount(nil, "/", nil, recursivePrivate, nil) == 0,
        mount("tmpfs", directory.path, "tmpfs", 0, "size=1m,mode=700") == 0
      else {
        print("skipped: mount namespaces are not allowed here")
        return
      }
      for room in [0, 8, 40, 200, 600] {
        // What is left after the filler: too little even for a journal, up to enough for some commits.
        let state = directory / "state\(room)"
        write([UInt8](repeating: 1, count: 1_048_576 - room * 1024), to: directory / "filler")
        var store = try? DecisionStore(directory: state)
        var done = 0
        if let store {
          var failure: StorageError?
          for n in 0..<200 {
            failure = error { try store.commit(batch(n)) }
            if failure != nil { break }
            done = n + 1
          }
          if failure?.code != .diskFull { fatalError("room \(room): \(failure?.description ?? "no failure")") }
        } else if code({ _ = try DecisionStore(directory: state) }) != .diskFull {
          fatalError("room \(room): \(error { _ = try DecisionStore(directory: state) }?.description ?? "opened")")
        }
        unlink(directory / "filler")
        if store == nil { store = try DecisionStore(directory: state) }
        guard let store else { fatalError("room \(room): not opened") }
        if try store.statistics().decisions != done * 10 { fatalError("room \(room): not all or nothing") }
        for n in done..<done + 3 { try store.commit(batch(n)) }
        if try store.statistics().decisions != (done + 3) * 10 { fatalError("room \(room): lost something") }
        if store.recovery != nil { fatalError("room \(room): \(store.recovery?.description ?? "")") }
        store.close()
        removeTree(state)
      }
    }
  }
}

@Suite struct CorruptionTests {
  let directory: TemporaryDirectory
  init() throws { directory = try TemporaryDirectory() }

  @Test(arguments: ["this is not a database, it only looks like a file of some length", "SQLite format 3\u{0}and then nothing of the kind"])
  func aFileThatIsNoDatabaseIsMovedAside(_ content: String) throws {
    let bytes = Array(content.utf8) + [UInt8](repeating: 0x55, count: 8192)
    write(bytes, to: directory / "panguard.db")
    #expect(code { _ = try DecisionStore(directory: directory.path, readOnly: true) } == .corrupt)
    let store = try DecisionStore(directory: directory.path)
    let recovery = try #require(store.recovery)
    #expect(recovery.movedTo == directory / "panguard.db.corrupt-1")
    #expect(!recovery.keptAllCheckpoints)
    #expect(recovery.description.contains("a new one was begun"))
    let isKept = read(recovery.movedTo) == bytes
    #expect(isKept)
    try store.commit(batch(0))
    #expect(try store.statistics().decisions == 10)
  }

  @Test func damageWhileRunningIsSurvivedWithAllReadPositions() throws {
    let store = try DecisionStore(directory: directory.path)
    for n in 0..<200 { try store.commit(batch(n)) }
    try store.commit(CommitBatch(checkpoints: [CheckpointUpdate(source: "other", value: "x", lines: 1)]))
    try store.run { db in
      _ = try Row.fetchAll(db, sql: "PRAGMA wal_checkpoint(TRUNCATE)")
      try db.execute(sql: "PRAGMA shrink_memory")
    }
    // All pages but the first few: whatever is touched next is damaged.
    let size = Int(store.directory.size())
    write([UInt8](repeating: 0xa5, count: size - 4096), to: directory / "panguard.db", at: 4096)
    let result = try store.commit(batch(200))
    let recovery = try #require(result.recovery)
    #expect(recovery.keptAllCheckpoints && recovery.checkpointsKept == 2)
    #expect(try store.checkpoints().map(\.value) == ["200", "x"])
    #expect(try store.checkpoints().map(\.lines) == [2010, 1])
    #expect(try store.statistics().decisions == 10)
    store.close()
    let reopened = try DecisionStore(directory: directory.path)
    #expect(reopened.recovery == nil && !reopened.wasUnclean)
  }

  @Test func damageMetWhileReadingIsCheckedAtTheNextStart() throws {
    let store = try DecisionStore(directory: directory.path)
    for n in 0..<200 { try store.commit(batch(n)) }
    try store.run { db in
      _ = try Row.fetchAll(db, sql: "PRAGMA wal_checkpoint(TRUNCATE)")
      try db.execute(sql: "PRAGMA shrink_memory")
    }
    let size = Int(store.directory.size())
    write([UInt8](repeating: 0xa5, count: size / 2), to: directory / "panguard.db", at: size / 2 / 4096 * 4096)
    #expect(code { _ = try store.decisions(matching: DecisionQuery(allRevisions: true), limit: 10_000) } == .corrupt)
    store.close()
    let reopened = try DecisionStore(directory: directory.path)
    #expect(reopened.recovery?.movedTo == directory / "panguard.db.corrupt-1")
    #expect(try reopened.checkpoints().map(\.value) == (reopened.recovery?.keptAllCheckpoints == true ? ["199"] : []))
  }

  @Test func damagedFilesArePiledUpOnlySoHigh() throws {
    for n in 1...Limits.damagedStores {
      write(Array("no database at all".utf8) + [UInt8](repeating: 1, count: 4096), to: directory / "panguard.db")
      #expect(try DecisionStore(directory: directory.path).recovery?.movedTo == directory / "panguard.db.corrupt-\(n)")
    }
    write(Array("no database at all".utf8) + [UInt8](repeating: 1, count: 4096), to: directory / "panguard.db")
    let failure = error { _ = try DecisionStore(directory: directory.path) }
    #expect(failure?.code == .corrupt)
    #expect(failure?.description.contains("remove the files") == true)
  }

  /// Any damage: no trap, and afterwards there is a store that takes a batch, or an error that says what is wrong.
  @Test func survivesRandomDamage() throws {
    let store = try DecisionStore(directory: directory.path)
    for n in 0..<40 { try store.commit(batch(n)) }
    try store.run { _ = try Row.fetchAll($0, sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
    for n in 40..<50 { try store.commit(batch(n)) }
    let files = ["panguard.db", "panguard.db-wal"].map { ($0, read(directory / $0) ?? []) }
    var random = SplitMix64(seed: 5)
    var recovered = 0
    for _ in 0..<120 {
      let copy = try TemporaryDirectory()
      for (name, bytes) in files {
        var damaged = bytes
        for _ in 0..<Int.random(in: 0...3, using: &random) {
          let at = Int.random(in: 0..<damaged.count, using: &random)
          for i in at..<min(damaged.count, at + Int.random(in: 1...3000, using: &random)) { damaged[i] = UInt8.random(in: 0...255, using: &random) }
        }
        if Int.random(in: 0..<4, using: &random) == 0 { damaged.removeLast(Int.random(in: 0..<damaged.count, using: &random)) }
        write(damaged, to: copy / name)
      }
      let survivor = try DecisionStore(directory: copy.path)
      let result = try survivor.commit(batch(77))
      if let recovery = survivor.recovery ?? result.recovery {
        recovered += 1
        #expect(names(in: copy.path).contains { recovery.movedTo.hasSuffix("/" + $0) })
      }
      #expect(try survivor.checkpoints().contains { $0.value == "77" })
      _ = try? survivor.decisions(matching: DecisionQuery(allRevisions: true), limit: 1000)
    }
    #expect(recovered > 20 && recovered < 120)
  }
}

@Suite struct SuddenDeathTests {
  /// The write-ahead log cut at any byte: what is left is a whole number of batches, with the checkpoint that belongs to them.
  @Test func aCutJournalLeavesWholeBatches() throws {
    let directory = try TemporaryDirectory()
    let store = try DecisionStore(directory: directory.path)
    for n in 0..<30 { try store.commit(batch(n, size: 5)) }
    let database = read(directory / "panguard.db") ?? []
    let journal = read(directory / "panguard.db-wal") ?? []
    var random = SplitMix64(seed: 6)
    var seen: Set<Int> = []
    for round in 0..<80 {
      let copy = try TemporaryDirectory()
      write(database, to: copy / "panguard.db")
      write(Array(journal.prefix(round == 0 ? journal.count : Int.random(in: 0...journal.count, using: &random))), to: copy / "panguard.db-wal")
      let survivor = try DecisionStore(directory: copy.path)
      #expect(survivor.recovery == nil)
      let checkpoint = try survivor.checkpoints().first
      let batches = checkpoint.flatMap { Int($0.value) }.map { $0 + 1 } ?? 0
      #expect(try survivor.statistics().decisions == batches * 5)
      #expect(checkpoint?.lines ?? 0 == Int64(batches) * 5)
      seen.insert(batches)
      try survivor.commit(batch(batches, size: 5))
    }
    #expect(seen.contains(30) && seen.count > 10)
  }

  /// A process that is killed at any moment: what it acknowledged is there, whole, and nothing is there twice.
  @Test func killedProcessesLoseNothing() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
    var total = 0
    for round in 0..<25 {
      await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, round = round as Int] in
        let store = try DecisionStore(directory: path + "/state")
        let next = try store.checkpoints().first.flatMap { Int($0.value) }.map { $0 + 1 } ?? 0
        let acknowledged = open(path + "/acknowledged", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var killer = pthread_t()
        let delay = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
        delay.pointee = UInt32(500 + round * 1700 % 40_000)
        pthread_create(
          &killer, nil,
          {
            usleep($0?.load(as: UInt32.self) ?? 0)
            kill(getpid(), SIGKILL)
            return nil
          }, delay)
        for n in next... {
          try store.commit(batch(n))
          if n % 50 == 49 { _ = try store.retain(maximumRows: 1000) }
          let text = Array("\(n)\n".utf8)
          pwrite(acknowledged, text, text.count, 0)
        }
      }
      let acknowledged = read(directory / "acknowledged").flatMap { Int(String(decoding: $0.dropLast(), as: UTF8.self)) }
      let store = try DecisionStore(directory: directory / "state")
      #expect(store.recovery == nil)
      if acknowledged != nil { #expect(store.wasUnclean) }
      let last = try store.checkpoints().first.flatMap { Int($0.value) } ?? -1
      #expect(last >= (acknowledged ?? -1))
      #expect(try store.lastSequence() == Int64(last + 1) * 10)
      #expect(try store.statistics().lines == Int64(last + 1) * 10)
      #expect(try store.decisions(limit: 10).decisions == (0..<10).reversed().map { Sample.decision(last * 10 + $0) }.filter { _ in last >= 0 })
      total = last
      // Not closed: the next child must find it as a dead process leaves it, but for the lock.
      store.close()
    }
    #expect(total > 25)
  }
}
