// The records of the decision log as bytes: for whoever compares them with what is decided again.
import Foundation
import GRDB
import Primitives

/// A record without being read.
public struct DecisionRecord: Hashable, Sendable {
  public var sequence: Int64
  public var id: String
  public var revision: Int
  /// Event time of the record.
  public var time: EventTime
  /// Canonical JSON.
  public var bytes: [UInt8]

  init(_ row: Row) {
    sequence = row[0] ?? 0
    id = row.text(1) ?? ""
    revision = row[2] ?? 0
    time = EventTime(nanoseconds: row[3] ?? 0)
    bytes = row.text(4).map { Array($0.utf8) } ?? []
  }
  static let select = "SELECT sequence, id, revision, time, record FROM decisions"
}

extension DecisionStore {
  /// nil: the log has no such record.
  public func record(id: String, revision: Int) throws(StorageError) -> DecisionRecord? {
    try run { db in
      try Row.fetchOne(db, sql: DecisionRecord.select + " WHERE id = ? AND revision = ?", arguments: [databaseText(id), revision])
        .map { DecisionRecord($0) }
    }
  }
  /// At most `limit` records behind `sequence`, in the order of the log.
  public func records(after sequence: Int64, limit: Int = 1000) throws(StorageError) -> [DecisionRecord] {
    try run { db in
      try Row.fetchAll(
        db, sql: DecisionRecord.select + " WHERE sequence > ? ORDER BY sequence LIMIT \(max(1, min(limit, Limits.queryRows)))",
        arguments: [sequence]
      ).map { DecisionRecord($0) }
    }
  }
}
