// What was done about decisions, in the same file and the same transactions as the decisions: actions with their outcome, blocks with their
// end, evidence that was kept, and small pieces of state (the planner's memory, the mode). Texts mean nothing here.
// Invariant: an action is on the disk before it is carried out; whoever starts after a crash finds it, and how far it came.
import Foundation
import GRDB
import Primitives

/// One action that was given out.
public struct ResponseRecord: Hashable, Sendable {
  public enum State: String, Sendable, CaseIterable { case planned, done, refused, failed }
  /// The planner's idempotency key; carried out at most once each.
  public var key: String
  public var decisionID: String
  public var revision: Int
  public var playbook: String
  public var step: Int
  /// "block_ip 192.0.2.7/32 for 10m".
  public var action: String
  /// Event time of its decision.
  public var time: EventTime
  public var state: State
  /// Why it was refused or failed; empty where it was not.
  public var detail: String
  public init(
    key: String, decisionID: String, revision: Int, playbook: String, step: Int, action: String, time: EventTime, state: State = .planned,
    detail: String = ""
  ) {
    (self.key, self.decisionID, self.revision, self.playbook, self.step) = (key, decisionID, revision, playbook, step)
    (self.action, self.time, self.state, self.detail) = (action, time, state, detail)
  }
}

/// A network that is blocked, or is about to be.
public struct StoredBlock: Hashable, Sendable {
  /// "192.0.2.7/32"
  public var network: String
  /// By this host's clock.
  public var since: EventTime
  public var until: EventTime
  /// The action that asked for it; empty: the operator.
  public var key: String
  /// "d..." or "uid 0".
  public var origin: String
  /// The enforcer has taken it.
  public var isConfirmed: Bool
  public init(network: String, since: EventTime, until: EventTime, key: String, origin: String, isConfirmed: Bool = false) {
    (self.network, self.since, self.until) = (network, since, until)
    (self.key, self.origin, self.isConfirmed) = (key, origin, isConfirmed)
  }
}

/// A line that a decision rests on, kept because a playbook says so.
public struct KeptLine: Hashable, Sendable {
  public var decisionID: String
  public var revision: Int
  public var source: String
  public var offset: UInt64
  public var line: String
  public init(decisionID: String, revision: Int, source: String, offset: UInt64, line: String) {
    (self.decisionID, self.revision, self.source, self.offset, self.line) = (decisionID, revision, source, offset, line)
  }
}

/// What of the response changes in one transaction.
public struct ResponseBatch: Sendable {
  /// New ones, and known ones (by their key) with another state.
  public var records: [ResponseRecord] = []
  public var removesAllBlocks = false
  /// After that: networks that are no longer blocked, then those that are.
  public var removedBlocks: [String] = []
  public var blocks: [StoredBlock] = []
  public var lines: [KeptLine] = []
  public var state: [(key: String, value: [UInt8])] = []
  public init() {}
  public var isEmpty: Bool {
    records.isEmpty && !removesAllBlocks && removedBlocks.isEmpty && blocks.isEmpty && lines.isEmpty && state.isEmpty
  }

  func write(_ db: Database) throws {
    for record in records {
      try db.cachedStatement(sql: ResponseBatch.putRecord).execute(
        arguments: [
          databaseText(record.key), databaseText(record.decisionID), record.revision, databaseText(record.playbook), record.step,
          databaseText(record.action), record.time.nanoseconds, record.state.rawValue, databaseText(record.detail),
        ])
    }
    if removesAllBlocks { try db.execute(sql: "DELETE FROM blocks") }
    for network in removedBlocks { try db.cachedStatement(sql: "DELETE FROM blocks WHERE network = ?").execute(arguments: [databaseText(network)]) }
    for block in blocks {
      try db.cachedStatement(sql: ResponseBatch.putBlock).execute(
        arguments: [
          databaseText(block.network), block.since.nanoseconds, block.until.nanoseconds, databaseText(block.key), databaseText(block.origin),
          block.isConfirmed,
        ])
    }
    for line in lines {
      try db.cachedStatement(sql: "INSERT OR REPLACE INTO evidence (decision, revision, source, offset, line) VALUES (?, ?, ?, ?, ?)").execute(
        arguments: [databaseText(line.decisionID), line.revision, databaseText(line.source), Int64(clamping: line.offset), databaseText(line.line)])
    }
    for (key, value) in state {
      try db.cachedStatement(sql: "INSERT OR REPLACE INTO response_state (key, value) VALUES (?, ?)").execute(
        arguments: [key, databaseBlob(value)])
    }
    for (table, count) in [("responses", records.count), ("evidence", lines.count)] where count > 0 {
      try db.execute(
        sql: "DELETE FROM \(table) WHERE sequence <= (SELECT max(sequence) FROM \(table)) - \(Limits.responseRows)")
    }
  }
  private static let putRecord = """
    INSERT INTO responses (key, decision, revision, playbook, step, action, time, state, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET state = excluded.state, detail = excluded.detail, action = excluded.action
    """
  private static let putBlock = """
    INSERT OR REPLACE INTO blocks (network, since, until, key, origin, is_confirmed) VALUES (?, ?, ?, ?, ?, ?)
    """
}

private func databaseBlob(_ bytes: [UInt8]) -> DatabaseValue { Data(bytes).databaseValue }

extension DecisionStore {
  /// What `ResponseBatch.state` wrote under `key`; nil: nothing yet.
  public func responseState(_ key: String) throws(StorageError) -> [UInt8]? {
    try run { db in try Data.fetchOne(db, sql: "SELECT value FROM response_state WHERE key = ?", arguments: [key]).map { Array($0) } }
  }
  /// All blocks, by network.
  public func blocks() throws(StorageError) -> [StoredBlock] {
    try run { db in
      let rows = try Row.fetchAll(
        db, sql: "SELECT network, since, until, key, origin, is_confirmed FROM blocks ORDER BY network LIMIT \(Limits.enforcedBlocks)")
      return rows.map {
        StoredBlock(
          network: $0.text(0) ?? "", since: EventTime(nanoseconds: $0[1] ?? 0), until: EventTime(nanoseconds: $0[2] ?? 0), key: $0.text(3) ?? "",
          origin: $0.text(4) ?? "", isConfirmed: $0[5] ?? false)
      }
    }
  }
  /// Actions, the newest first; `decisionID`: of one incident only.
  public func responses(decisionID: String? = nil, limit: Int = 1000) throws(StorageError) -> [ResponseRecord] {
    let filter = decisionID == nil ? "" : "WHERE decision = ?"
    let arguments: StatementArguments = decisionID.map { [databaseText($0)] } ?? []
    return try run { db in
      try Row.fetchAll(
        db,
        sql: """
          SELECT key, decision, revision, playbook, step, action, time, state, detail FROM responses \(filter)
          ORDER BY sequence DESC LIMIT \(max(1, limit))
          """,
        arguments: arguments
      ).map {
        ResponseRecord(
          key: $0.text(0) ?? "", decisionID: $0.text(1) ?? "", revision: $0[2] ?? 0, playbook: $0.text(3) ?? "", step: $0[4] ?? 0,
          action: $0.text(5) ?? "", time: EventTime(nanoseconds: $0[6] ?? 0), state: ResponseRecord.State(rawValue: $0.text(7) ?? "") ?? .failed,
          detail: $0.text(8) ?? "")
      }
    }
  }
  /// Lines that were kept for one incident, oldest first.
  public func keptLines(decisionID: String) throws(StorageError) -> [KeptLine] {
    try run { db in
      try Row.fetchAll(
        db, sql: "SELECT decision, revision, source, offset, line FROM evidence WHERE decision = ? ORDER BY sequence",
        arguments: [databaseText(decisionID)]
      ).map {
        KeptLine(
          decisionID: $0.text(0) ?? "", revision: $0[1] ?? 0, source: $0.text(2) ?? "", offset: UInt64(clamping: ($0[3] ?? 0) as Int64),
          line: $0.text(4) ?? "")
      }
    }
  }
}
