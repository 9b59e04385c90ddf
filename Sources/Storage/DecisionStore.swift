// The decision store: one SQLite file, one writer. What a log said and how far it was read are written in one transaction, so a crash
// at any point leaves either both or neither, and reading again from the checkpoint gives the same records, which replace themselves.
// Invariants: when `commit` returns, the batch is on the disk (WAL, synchronous=FULL); when it throws, nothing of it is, and the store
// stays usable; a damaged file is never deleted and never passed over in silence.
import Detection
import Export
import Foundation
import GRDB
import GRDBSQLite
import Glibc
import Primitives
import RuleLanguage

/// How far one source has been read.
public struct CheckpointUpdate: Hashable, Sendable {
  /// The source's key, as the log source names it.
  public var source: String
  /// What the source needs to go on; opaque here.
  public var value: String
  /// Lines acknowledged since the last update.
  public var lines: Int64
  public init(source: String, value: String, lines: Int64) {
    self.source = source
    self.value = value
    self.lines = lines
  }
}

/// What is written together or not at all.
public struct CommitBatch: Sendable {
  public var decisions: [Decision]
  public var checkpoints: [CheckpointUpdate]
  /// Sources whose checkpoints are forgotten, after the updates.
  public var forgottenSources: [String]
  /// What is done about them.
  public var response = ResponseBatch()
  public init(decisions: [Decision] = [], checkpoints: [CheckpointUpdate] = [], forgottenSources: [String] = []) {
    self.decisions = decisions
    self.checkpoints = checkpoints
    self.forgottenSources = forgottenSources
  }
  public var isEmpty: Bool { decisions.isEmpty && checkpoints.isEmpty && forgottenSources.isEmpty && response.isEmpty }
}

/// A damaged store that was moved aside: to be told to the operator.
public struct StoreRecovery: Hashable, Sendable, CustomStringConvertible {
  /// Where the damaged file is now.
  public var movedTo: String
  public var cause: String
  /// Checkpoints that the new store has from the old one.
  public var checkpointsKept: Int
  /// Whether these are all: if not, sources without a checkpoint start anew, and lines may be read twice or skipped.
  public var keptAllCheckpoints: Bool
  public var description: String {
    let positions = keptAllCheckpoints ? "all \(checkpointsKept) read positions were kept" : "only \(checkpointsKept) read positions could be kept"
    return "the decision store was damaged (\(cause)); it was moved to \(movedTo) and a new one was begun; \(positions)"
  }
}

public struct CommitResult: Sendable {
  /// Records that were not there before.
  public var inserted: Int
  /// Records that were there already: the lines were read again after a crash.
  public var repeated: Int
  /// Not nil: the store was damaged, and a new one holds this batch.
  public var recovery: StoreRecovery?
}

/// For one thread at a time. Other processes may read the same file through their own `DecisionStore(directory:readOnly: true)`.
public final class DecisionStore {
  let directory: StateDirectory
  public let isReadOnly: Bool
  var queue: DatabaseQueue?
  private var lockDescriptor: Int32 = -1
  /// All checkpoints as they stand on the disk: a new store that replaces a damaged one needs them. Sources are few.
  private var known: [String: Checkpoint] = [:]
  /// Damage was met while reading: the next start must check the file even if this one ends well.
  private var hasSeenDamage = false
  /// The file says that a writer has it open: its end without `close` will be seen.
  private var isMarkedOpen = false

  /// Found and repaired while opening.
  public private(set) var recovery: StoreRecovery?
  /// The process before this one did not close the store (crash, kill, power).
  public private(set) var wasUnclean = false
  /// Whether the file was read through for damage while opening (after an unclean end, up to `Limits.storeCheckedBytes`).
  public private(set) var wasChecked = false
  public var path: String { directory.databasePath }

  /// Opens `panguard.db` in `directory`; unless `readOnly`, makes both where they are missing, migrates the schema and takes the
  /// writer's lock. A damaged file is moved aside (see `recovery`).
  public init(directory path: String, readOnly: Bool = false) throws(StorageError) {
    directory = try StateDirectory(path: path, readOnly: readOnly)
    isReadOnly = readOnly
    if !readOnly { lockDescriptor = try directory.lock() }
    do {
      try directory.prepareDatabase(readOnly: readOnly)
      do {
        try open()
        if !readOnly { known = try checkpointsByName() }
      } catch  where error.code == .corrupt && !readOnly {
        recovery = try beginAnew(cause: error.cause)
      }
    } catch {
      close()
      throw error
    }
  }
  deinit { close() }

  // MARK: Writing

  /// Writes the batch in one transaction. Records that are there already (same id and revision) are replaced, without a new sequence
  /// number. Throws `.diskFull` (try again later; the store is unchanged), `.locked`, `.permission`, `.inputOutput`.
  /// A store that turns out damaged is moved aside, and the batch goes into a new one together with all known checkpoints.
  @discardableResult
  public func commit(_ batch: CommitBatch) throws(StorageError) -> CommitResult {
    var result: CommitResult
    do {
      result = try write(batch)
    } catch  where error.code == .corrupt && !isReadOnly {
      let recovery = try beginAnew(cause: error.cause)
      self.recovery = recovery
      result = try write(batch)
      result.recovery = recovery
    }
    for update in batch.checkpoints {
      let lines = (known[update.source]?.lines ?? 0).addingReportingOverflow(update.lines).partialValue
      known[update.source] = Checkpoint(source: update.source, value: update.value, lines: lines)
    }
    for source in batch.forgottenSources { known[source] = nil }
    return result
  }

  private func write(_ batch: CommitBatch) throws(StorageError) -> CommitResult {
    try run { db in
      var result = CommitResult(inserted: 0, repeated: 0, recovery: nil)
      try db.inTransaction(.immediate) {
        for decision in batch.decisions {
          if try DecisionRow.write(decision, db) { result.inserted += 1 } else { result.repeated += 1 }
        }
        let put = try db.cachedStatement(sql: DecisionStore.putCheckpoint)
        for update in batch.checkpoints {
          try put.execute(arguments: [databaseText(update.source), databaseText(update.value), update.lines])
        }
        for source in batch.forgottenSources {
          try db.execute(sql: "DELETE FROM checkpoints WHERE source = ?", arguments: [databaseText(source)])
        }
        try batch.response.write(db)
        return .commit
      }
      return result
    }
  }
  private static let putCheckpoint = """
    INSERT INTO checkpoints (source, value, lines) VALUES (?, ?, ?)
    ON CONFLICT (source) DO UPDATE SET value = excluded.value, lines = lines + excluded.lines
    """

  /// Closes the store, for good. Further calls throw `.closed`; a second `close` does nothing.
  public func close() {
    if isMarkedOpen, !hasSeenDamage {
      // If this fails, the next start checks the file: no harm.
      _ = try? run { db in try db.execute(sql: "DELETE FROM meta WHERE key = 'open'") }
    }
    isMarkedOpen = false
    try? queue?.close()
    queue = nil
    if lockDescriptor >= 0 { _ = Glibc.close(lockDescriptor) }
    lockDescriptor = -1
  }

  // MARK: Opening

  private func open() throws(StorageError) {
    var configuration = Configuration()
    configuration.readonly = isReadOnly
    configuration.busyMode = .timeout(5)  // readers of a WAL do not block us; this is for a sqlite3 shell that does
    configuration.qos = .default  // a thread with another one asks the kernel for a priority that a confined process is refused
    configuration.maximumReaderCount = 1
    configuration.prepareDatabase { db in
      // cell_size_check finds damage where it is read, before it spreads. The cache is bounded (4 MiB).
      try db.execute(sql: "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -4096; PRAGMA mmap_size = 0")
    }
    do {
      queue = try KeptQueue.open(directory.databasePath, configuration)
    } catch {
      throw failure(error)
    }
    if isReadOnly {
      try run { db in
        if try Schema.migrator.hasBeenSuperseded(db) { throw self.newerSchema }
        if try !Schema.migrator.hasCompletedMigrations(db) { throw self.olderSchema }
      }
      return
    }
    let directory = directory
    let (unclean, checked) = try run { db in
      if try Schema.migrator.hasBeenSuperseded(db) { throw self.newerSchema }
      // Before the first table, so that retention can give pages back to the file system.
      if try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0 == 0 { try db.execute(sql: "PRAGMA auto_vacuum = INCREMENTAL") }
      let mode = try String.fetchOne(db, sql: "PRAGMA journal_mode = WAL")
      guard mode == "wal" else {
        throw StorageError(
          .permission, path: self.path, cause: "the file system cannot share memory between processes", remedy: "use a local file system")
      }
      try db.execute(sql: "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = \(Limits.storeJournalBytes)")
      let hasMeta = try db.tableExists("meta")
      let unclean = try hasMeta && Bool.fetchOne(db, sql: "SELECT 1 FROM meta WHERE key = 'open'") ?? false
      var checked = false
      if unclean, directory.size() <= Limits.storeCheckedBytes {
        let answer = try String.fetchOne(db, sql: "PRAGMA quick_check(1)") ?? ""
        guard answer == "ok" else {
          throw StorageError(.corrupt, path: self.path, cause: "the check after an unclean end found: \(answer)", remedy: "check the disk")
        }
        checked = true
      }
      return (unclean, checked)
    }
    guard let queue else { return }
    do {
      try Schema.migrator.migrate(queue)
    } catch {
      throw failure(error)
    }
    try run { db in try db.execute(sql: "INSERT OR REPLACE INTO meta (key, value) VALUES ('open', ?)", arguments: ["\(getpid())"]) }
    isMarkedOpen = true
    (wasUnclean, wasChecked) = (unclean, checked)
  }

  private var newerSchema: StorageError {
    StorageError(.newerSchema, path: path, cause: "was written by a newer Panguard", remedy: "upgrade Panguard, or name another state directory")
  }
  private var olderSchema: StorageError {
    StorageError(.olderSchema, path: path, cause: "was written by an older Panguard", remedy: "start the service once: it brings the file up to date")
  }

  /// Moves the damaged file aside and opens a new one with the checkpoints we know, or can still read.
  private func beginAnew(cause: String) throws(StorageError) -> StoreRecovery {
    try? queue?.close()
    queue = nil
    let target = try directory.moveDatabaseAside()
    var isComplete = true
    var kept = known
    if kept.isEmpty {
      let (read, all) = DecisionStore.salvageCheckpoints(target)
      for checkpoint in read { kept[checkpoint.source] = checkpoint }
      isComplete = all
    }
    try directory.prepareDatabase(readOnly: false)
    try open()
    let updates = kept.values.sorted { $0.source < $1.source }.map { CheckpointUpdate(source: $0.source, value: $0.value, lines: $0.lines) }
    _ = try write(CommitBatch(checkpoints: updates))
    known = kept
    hasSeenDamage = false
    return StoreRecovery(movedTo: target, cause: cause, checkpointsKept: kept.count, keptAllCheckpoints: isComplete)
  }

  /// What can still be read of the checkpoints in a damaged file, and whether that is all of them.
  private static func salvageCheckpoints(_ path: String) -> ([Checkpoint], isComplete: Bool) {
    var found: [Checkpoint] = []
    do {
      let queue = try KeptQueue.open(path)
      defer { try? queue.close() }
      try queue.inDatabase { db in
        let rows = try Row.fetchCursor(db, sql: Checkpoint.select)
        while let row = try rows.next() { found.append(Checkpoint(row)) }
      }
      return (found, true)
    } catch {
      return (found, false)
    }
  }

  // MARK: Errors

  /// Runs `body` on the connection, whatever it throws as a StorageError.
  func run<Result>(_ body: (Database) throws -> Result) throws(StorageError) -> Result {
    guard let queue else {
      throw StorageError(.closed, path: path, cause: "the decision store is closed", remedy: "open it again")
    }
    do {
      return try queue.inDatabase { db in
        do {
          return try body(db)
        } catch let error as DatabaseError {
          throw ConnectionFailure(error: error, systemError: sqlite3_system_errno(db.sqliteConnection))
        }
      }
    } catch {
      let error = failure(error)
      if error.code == .corrupt { hasSeenDamage = true }
      throw error
    }
  }

  private func failure(_ error: any Error) -> StorageError {
    switch error {
    case let error as StorageError: return error
    case let error as ConnectionFailure: return StorageError(error.error, path: path, systemError: error.systemError)
    // While opening there is no connection to ask for errno.
    case let error as DatabaseError: return StorageError(error, path: path, systemError: 0)
    default: return StorageError(.other, path: path, cause: "\(error)", remedy: "please report this")
    }
  }
}
