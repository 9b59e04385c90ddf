// How the store's file is opened. Must stay true: no dispatch queue of GRDB's ever ends. One that does is put away by a worker thread of
// libdispatch, whose monitor then reads /proc/THREAD/stat, and ends the process where Landlock refuses it that (swift-corelibs-libdispatch,
// src/event/workqueue.c: "registered worker exited prematurely"). So the queue of every connection is kept, closed, as long as the
// process runs: a few kilobytes for each store that was opened, of which an engine opens one, and one more for each that was damaged.
import GRDB
import GRDBSQLite

enum KeptQueue {
  static func open(_ path: String, _ configuration: Configuration = Configuration()) throws -> DatabaseQueue {
    try probe(path)
    let queue = try DatabaseQueue(path: path, configuration: configuration)
    _ = Unmanaged.passRetained(queue)
    return queue
  }

  /// What GRDB asks a file first, asked without a queue: a damaged file would end the queue that finds it so.
  private static func probe(_ path: String) throws {
    var connection: OpaquePointer?
    defer { sqlite3_close_v2(connection) }
    // One that cannot write does not move its journal into the file when it closes.
    var result = sqlite3_open_v2(path, &connection, SQLITE_OPEN_READONLY, nil)
    if result == SQLITE_OK {
      sqlite3_extended_result_codes(connection, 1)
      sqlite3_busy_timeout(connection, 5000)
      result = sqlite3_exec(connection, "SELECT * FROM sqlite_schema LIMIT 1", nil, nil, nil)
    }
    guard result != SQLITE_OK else { return }
    throw DatabaseError(resultCode: ResultCode(rawValue: result), message: sqlite3_errmsg(connection).map { String(cString: $0) })
  }
}
