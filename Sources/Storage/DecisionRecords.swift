// The records of the decision log as bytes: for whoever compares them with what is decided again.
import Detection
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
  /// As `DecisionRow.columnNames`, and then whether it is the latest record of its incident, as the row has it and as it is.
  private var columns: [DatabaseValue]

  init(_ row: Row) {
    sequence = row[0] ?? 0
    id = row.text(1) ?? ""
    revision = row[2] ?? 0
    time = EventTime(nanoseconds: row[3] ?? 0)
    bytes = row.text(4).map { Array($0.utf8) } ?? []
    columns = (5..<row.count).map { row[$0] }
  }
  static let select = """
    SELECT sequence, id, revision, time, record, \(DecisionRow.columnNames.joined(separator: ", ")), is_latest,
      NOT EXISTS (SELECT 1 FROM decisions AS other WHERE other.id = decisions.id AND other.revision > decisions.revision) FROM decisions
    """

  /// The first column by which the record is searched and which is not what `decision` says: somebody changed it.
  public func firstColumn(unlike decision: Decision) -> (name: String, stored: String, right: String)? {
    let names = DecisionRow.columnNames + ["is_latest"]
    let right = DecisionRow.columns(decision) + columns.suffix(1)
    for (index, name) in names.enumerated() where columns[index] != right[index] {
      return (name, DecisionRecord.text(columns[index]), DecisionRecord.text(right[index]))
    }
    return nil
  }
  private static func text(_ value: DatabaseValue) -> String {
    switch value.storage {
    case .null: "nothing"
    case .int64(let number): "\(number)"
    case .double(let number): "\(number)"
    case .string(let text): text
    case .blob(let data): data.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
  }
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
