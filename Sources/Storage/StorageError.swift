// What can go wrong with the store, kept with SQLite's own code, the statement and the cause, and with what to do about it.
// A struct over a private code: new kinds can be added without breaking a caller's switch.
import GRDB
import GRDBSQLite
import Glibc

public struct StorageError: Error, Sendable, CustomStringConvertible {
  private enum Kind: String, Sendable {
    case diskFull, corrupt, locked, permission, newerSchema, olderSchema, ambiguousID, inputOutput, closed, other
  }

  public struct Code: Hashable, Sendable, CustomStringConvertible {
    private let kind: Kind
    private init(_ kind: Kind) { self.kind = kind }
    /// No room for the file or its journal. The transaction did not happen; the store stays usable once there is room.
    public static let diskFull = Code(.diskFull)
    /// The file is not a database or contradicts itself.
    public static let corrupt = Code(.corrupt)
    /// Another process writes.
    public static let locked = Code(.locked)
    /// Owner or mode are wrong, or the file system refuses.
    public static let permission = Code(.permission)
    /// The file was written by a newer Panguard.
    public static let newerSchema = Code(.newerSchema)
    /// Opened for reading only, the file would need a migration first.
    public static let olderSchema = Code(.olderSchema)
    /// More than one decision has an id that begins so.
    public static let ambiguousID = Code(.ambiguousID)
    /// The disk failed in another way.
    public static let inputOutput = Code(.inputOutput)
    /// The store was closed before.
    public static let closed = Code(.closed)
    /// An error that this code has no name for: a defect, or a damaged installation.
    public static let other = Code(.other)
    public var description: String { kind.rawValue }
  }

  public let code: Code
  /// The file or directory at fault.
  public let path: String
  /// SQLite's extended result code; 0 if SQLite had no part in it.
  public let sqliteCode: Int32
  /// errno beneath it; 0 if there is none.
  public let systemError: Int32
  /// The SQL statement that failed, if one did. Values are never in it.
  public let statement: String?
  /// What is wrong, without a full stop.
  public let cause: String
  /// What the operator can do, without a full stop.
  public let remedy: String

  init(_ code: Code, path: String, cause: String, remedy: String, sqliteCode: Int32 = 0, systemError: Int32 = 0, statement: String? = nil) {
    self.code = code
    self.path = path
    self.cause = cause
    self.remedy = remedy
    self.sqliteCode = sqliteCode
    self.systemError = systemError
    self.statement = statement
  }

  public var description: String {
    var out = "\(path): \(cause)"
    if sqliteCode != 0 { out += " (SQLite code \(sqliteCode))" }
    if systemError != 0 { out += " (\(String(cString: strerror(systemError))))" }
    if let statement { out += " in \"\(statement)\"" }
    return out + "; \(remedy)"
  }

  /// What failed in GRDB, with errno as SQLite last saw it on that connection.
  init(_ error: DatabaseError, path: String, systemError: Int32) {
    // SQLite reports ENOSPC as SQLITE_FULL when it writes, but as an I/O error when it maps or creates its journal.
    let hasNoRoom = systemError == ENOSPC || systemError == EDQUOT
    let entry = StorageError.causes.first { $0.sqlite == error.resultCode }
    var code = entry?.code ?? .other
    if hasNoRoom, code == .inputOutput || code == .permission { code = .diskFull }
    let text = code == .diskFull ? StorageError.noRoom : (entry?.cause ?? error.message ?? "SQLite failed", entry?.remedy ?? "please report this")
    self.init(
      code, path: path, cause: text.0, remedy: text.1, sqliteCode: error.extendedResultCode.rawValue, systemError: systemError, statement: error.sql)
  }

  private static let noRoom = ("no room left", "free space on that file system; nothing that was acknowledged is lost, reading goes on afterwards")
  private static let causes: [(sqlite: ResultCode, code: Code, cause: String, remedy: String)] = [
    (.SQLITE_FULL, .diskFull, noRoom.0, noRoom.1),
    (.SQLITE_CORRUPT, .corrupt, "the decision store is damaged", "it is moved aside and a new one is begun; check the disk"),
    (.SQLITE_NOTADB, .corrupt, "the decision store is not a database", "it is moved aside and a new one is begun; see what wrote there"),
    (.SQLITE_BUSY, .locked, "another process is writing to the decision store", "wait for it, or stop it"),
    (.SQLITE_LOCKED, .locked, "the decision store is in use", "try again"),
    (.SQLITE_PERM, .permission, "not allowed", "run as the owner of the state directory"),
    (.SQLITE_READONLY, .permission, "the file or its file system is read-only", "run as the owner of the state directory, and remount it writable"),
    (.SQLITE_CANTOPEN, .permission, "cannot be opened", "see that it exists and run as the owner of the state directory"),
    (.SQLITE_AUTH, .permission, "not allowed", "run as the owner of the state directory"),
    (.SQLITE_IOERR, .inputOutput, "the disk failed", "check the disk and the kernel log"),
    (.SQLITE_NOMEM, .other, "out of memory", "give the process more memory"),
  ]
}

/// A GRDB error with the errno that SQLite kept for its connection.
struct ConnectionFailure: Error {
  var error: DatabaseError
  var systemError: Int32
}
