// What people said of decisions, beside the decisions: never part of one, and nothing is decided by it. Kept as it was said, the last one
// counting, so that whoever looks later sees who changed their mind.
import Foundation
import GRDB
import Primitives

/// One judgement of one person about one incident.
public struct DecisionMark: Hashable, Sendable {
  public enum Verdict: String, Sendable, CaseIterable {
    case falsePositive = "false-positive"
    case confirmed
  }
  public var decisionID: String
  public var verdict: Verdict
  /// One line of text; not empty.
  public var reason: String
  /// "uid 0".
  public var actor: String
  /// By this host's clock.
  public var time: EventTime
  public init(decisionID: String, verdict: Verdict, reason: String, actor: String, time: EventTime) {
    (self.decisionID, self.verdict, self.reason) = (decisionID, verdict, reason)
    (self.actor, self.time) = (actor, time)
  }
}

extension Schema {
  static let marks = """
    CREATE TABLE marks (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      decision TEXT NOT NULL,
      verdict TEXT NOT NULL,
      reason TEXT NOT NULL,
      actor TEXT NOT NULL,
      time INTEGER NOT NULL
    );
    CREATE INDEX marks_decision ON marks (decision);
    """
}

extension DecisionStore {
  /// Writes it down. Of more than `Limits.decisionMarks` the oldest go.
  public func mark(_ mark: DecisionMark) throws(StorageError) {
    try run { db in
      try db.inTransaction(.immediate) {
        try db.execute(
          sql: "INSERT INTO marks (decision, verdict, reason, actor, time) VALUES (?, ?, ?, ?, ?)",
          arguments: [
            databaseText(mark.decisionID), mark.verdict.rawValue, databaseText(mark.reason), databaseText(mark.actor), mark.time.nanoseconds,
          ])
        try db.execute(sql: "DELETE FROM marks WHERE sequence <= (SELECT max(sequence) FROM marks) - \(Limits.decisionMarks)")
        return .commit
      }
    }
  }
  /// The oldest first; of one incident, or of all.
  public func marks(decisionID: String? = nil) throws(StorageError) -> [DecisionMark] {
    let filter = decisionID == nil ? "" : "WHERE decision = ?"
    let arguments: StatementArguments = decisionID.map { [databaseText($0)] } ?? []
    return try run { db in
      try Row.fetchAll(db, sql: "SELECT decision, verdict, reason, actor, time FROM marks \(filter) ORDER BY sequence", arguments: arguments)
        .compactMap { row in
          guard let verdict = row.text(1).flatMap(DecisionMark.Verdict.init) else { return nil }
          return DecisionMark(
            decisionID: row.text(0) ?? "", verdict: verdict, reason: row.text(2) ?? "", actor: row.text(3) ?? "",
            time: EventTime(nanoseconds: row[4] ?? 0))
        }
    }
  }
  /// What counts: of each incident the last mark.
  public func latestMarks() throws(StorageError) -> [String: DecisionMark] {
    var latest: [String: DecisionMark] = [:]
    for mark in try marks() { latest[mark.decisionID] = mark }
    return latest
  }
}
