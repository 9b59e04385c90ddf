// Asking the store. Answers are bounded (`Limits.queryRows`), ordered by the record alone, and name what they could not read.
import Detection
import Export
import Foundation
import GRDB
import Primitives
import RuleLanguage

public struct Checkpoint: Hashable, Sendable {
  public var source: String
  public var value: String
  /// Lines acknowledged since the first one.
  public var lines: Int64

  static let select = "SELECT source, value, lines FROM checkpoints ORDER BY source"
  init(source: String, value: String, lines: Int64) {
    self.source = source
    self.value = value
    self.lines = lines
  }
  init(_ row: Row) { self.init(source: row.text(0) ?? "", value: row.text(1) ?? "", lines: row[2] ?? 0) }
}

/// An answer of the store.
public struct StoredDecisions: Sendable {
  public var decisions: [Decision] = []
  /// Ids of records that are there but cannot be decoded.
  public var unreadable: [String] = []
  /// The highest sequence number in this answer; what `follow(after:)` wants next.
  public var lastSequence: Int64 = 0
  /// There are more than were asked for.
  public var isCut = false
}

/// What goes on after a restart.
public struct OpenIncident: Hashable, Sendable {
  public var id: String
  public var ruleID: String
  public var subject: Subject
  public var revision: Int
  public var matchCount: UInt64
  public var firstTime: EventTime
  public var lastTime: EventTime
  /// What the latest record proposes.
  public var action: ProposedAction
}

public struct RetentionResult: Hashable, Sendable {
  public var deleted: Int
  /// False: there is more to delete; call again when there is time.
  public var isComplete: Bool
}

public struct StoreStatistics: Hashable, Sendable {
  public var decisions: Int
  public var incidents: Int
  /// Bytes of the database and of its write-ahead log.
  public var databaseBytes: Int64
  public var journalBytes: Int64
  public var lastSequence: Int64
  /// Lines acknowledged over all sources.
  public var lines: Int64
}

extension DecisionStore {
  /// All checkpoints, by source.
  public func checkpoints() throws(StorageError) -> [Checkpoint] {
    try run { db in try Row.fetchAll(db, sql: Checkpoint.select).map { Checkpoint($0) } }
  }
  func checkpointsByName() throws(StorageError) -> [String: Checkpoint] {
    var out: [String: Checkpoint] = [:]
    for checkpoint in try checkpoints() { out[checkpoint.source] = checkpoint }
    return out
  }

  /// Newest event time first; of equal times the later record first. `limit`: 1 to `Limits.queryRows`.
  public func decisions(matching query: DecisionQuery = DecisionQuery(), limit: Int = 100) throws(StorageError) -> StoredDecisions {
    let clause = query.clause
    return try fetch("WHERE \(clause.sql) ORDER BY time DESC, sequence DESC", clause.arguments, limit: limit)
  }

  /// What was written after `sequence` (0: everything), oldest first. For polling: pass on `lastSequence` of the answer before.
  /// Every revision, whatever the query says of them. A record that was replaced keeps its number, so nothing is shown twice.
  public func follow(after sequence: Int64, matching query: DecisionQuery = DecisionQuery(), limit: Int = 1000) throws(StorageError)
    -> StoredDecisions
  {
    var query = query
    query.allRevisions = true
    let clause = query.clause
    var answer = try fetch(
      "WHERE \(clause.sql) AND sequence > ? ORDER BY sequence", clause.arguments + [sequence.databaseValue], limit: limit)
    answer.lastSequence = max(answer.lastSequence, sequence)
    return answer
  }
  /// The highest sequence number: where a follower starts who wants only what is new.
  public func lastSequence() throws(StorageError) -> Int64 {
    try run { db in try Int64.fetchOne(db, sql: "SELECT max(sequence) FROM decisions") ?? 0 }
  }

  /// The decision whose id is or begins with `prefix`: its latest revision, or the one asked for. nil if there is none.
  /// Throws `.ambiguousID` where several ids begin so; the cause lists the first of them.
  public func decision(idPrefix prefix: String, revision: Int? = nil) throws(StorageError) -> Decision? {
    // Ids are "d" and hexadecimal digits: in this order of bytes "~" comes after all of them.
    guard !prefix.isEmpty, prefix.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7e }) else { return nil }
    let ids = try run { db in
      try String.fetchAll(
        db, sql: "SELECT DISTINCT id FROM decisions WHERE id >= ?1 AND id < ?1 || '~' ORDER BY id LIMIT 4", arguments: [prefix])
    }
    guard let id = ids.count == 1 || ids.first == prefix ? ids.first : nil else {
      if ids.isEmpty { return nil }
      throw StorageError(
        .ambiguousID, path: path, cause: "several decisions begin with \(prefix): \(ids.joined(separator: ", "))",
        remedy: "give more digits")
    }
    let filter = revision == nil ? "is_latest = 1" : "revision = \(revision ?? 0)"
    let answer = try fetch("WHERE id = ? AND \(filter)", [id.databaseValue], limit: 1)
    guard answer.unreadable.isEmpty else {
      throw StorageError(.corrupt, path: path, cause: "the record of \(id) cannot be decoded", remedy: "check the disk")
    }
    return answer.decisions.first
  }
  /// Every record of one incident, oldest first.
  public func revisions(id: String) throws(StorageError) -> StoredDecisions {
    try fetch("WHERE id = ? ORDER BY revision", [databaseText(id)], limit: Limits.queryRows)
  }

  /// Incidents whose last event is not before `time`, the one that was silent longest first; of more than `limit` those that were
  /// active last.
  public func openIncidents(after time: EventTime, limit: Int = Limits.openIncidents) throws(StorageError) -> [OpenIncident] {
    let sql = """
      SELECT id, rule, source, user, session, host, revision, matches, first_time, last_time, action FROM decisions
      WHERE is_latest = 1 AND last_time >= ? ORDER BY last_time DESC, sequence DESC LIMIT \(max(0, limit))
      """
    let rows = try run { db in try Row.fetchAll(db, sql: sql, arguments: [time.nanoseconds]).map { DecisionStore.incident($0) } }
    return rows.reversed()
  }
  private static func incident(_ row: Row) -> OpenIncident {
    OpenIncident(
      id: row.text(0) ?? "", ruleID: row.text(1) ?? "",
      subject: Subject(source: row.text(2), user: row.text(3), session: row.text(4), host: row.text(5)),
      revision: row[6] ?? 0, matchCount: UInt64(clamping: (row[7] ?? 0) as Int64),
      firstTime: EventTime(nanoseconds: row[8] ?? 0), lastTime: EventTime(nanoseconds: row[9] ?? 0),
      action: row.text(10).flatMap { ProposedAction(rawValue: $0) } ?? .logOnly)
  }

  public func statistics() throws(StorageError) -> StoreStatistics {
    let sql = """
      SELECT (SELECT count(*) FROM decisions), (SELECT count(*) FROM decisions WHERE is_latest = 1),
        (SELECT max(sequence) FROM decisions), (SELECT sum(lines) FROM checkpoints)
      """
    let directory = directory
    return try run { db in
      let row = try Row.fetchOne(db, sql: sql)
      return StoreStatistics(
        decisions: row?[0] ?? 0, incidents: row?[1] ?? 0, databaseBytes: directory.size(), journalBytes: directory.size("-wal"),
        lastSequence: row?[2] ?? 0, lines: row?[3] ?? 0)
    }
  }

  /// Deletes records of incidents whose last event is before `time`, then the oldest records beyond `maximumRows`; at most
  /// `Limits.retentionStepRows` in a call, in one transaction.
  public func retain(maximumRows: Int? = nil, notBefore time: EventTime? = nil) throws(StorageError) -> RetentionResult {
    let step = Limits.retentionStepRows
    return try run { db in
      var deleted = 0
      try db.inTransaction(.immediate) {
        if let time {
          // All records of an incident go together: an old revision of a living one is kept.
          try db.execute(
            sql: """
              DELETE FROM decisions WHERE sequence IN (
                SELECT old.sequence FROM decisions AS latest JOIN decisions AS old ON old.id = latest.id
                WHERE latest.is_latest = 1 AND latest.last_time < ? ORDER BY latest.last_time, old.revision LIMIT \(step))
              """, arguments: [time.nanoseconds])
          deleted += db.changesCount
        }
        if let maximumRows, deleted < step {
          let excess = try Int.fetchOne(db, sql: "SELECT count(*) FROM decisions") ?? 0
          let count = min(step - deleted, max(0, excess - max(0, maximumRows)))
          if count > 0 {
            try db.execute(
              sql: "DELETE FROM decisions WHERE sequence IN (SELECT sequence FROM decisions ORDER BY sequence LIMIT ?)", arguments: [count])
            deleted += db.changesCount
          }
        }
        return .commit
      }
      // Pages go back to the file system in small portions, so that nothing waits long for this.
      if deleted > 0 { _ = try Row.fetchAll(db, sql: "PRAGMA incremental_vacuum(2000)") }
      return RetentionResult(deleted: deleted, isComplete: deleted < step)
    }
  }

  private func fetch(_ condition: String, _ arguments: [DatabaseValue], limit: Int) throws(StorageError) -> StoredDecisions {
    let limit = max(1, min(limit, Limits.queryRows))
    return try run { db in
      var out = StoredDecisions()
      let rows = try Row.fetchCursor(
        db, sql: "SELECT sequence, id, record FROM decisions \(condition) LIMIT \(limit + 1)", arguments: StatementArguments(arguments))
      var count = 0
      while let row = try rows.next() {
        if count == limit {
          out.isCut = true
          break
        }
        count += 1
        out.lastSequence = max(out.lastSequence, row[0] ?? 0)
        let record = row.text(2).map { Array($0.utf8) } ?? []
        if let decision = try? DecisionJSON.decode(record) { out.decisions.append(decision) } else { out.unreadable.append(row.text(1) ?? "?") }
      }
      return out
    }
  }
}
