// A decision as a row: columns to search by, and the canonical JSON, which is what counts.
import Detection
import Export
import Foundation
import GRDB
import Primitives
import RuleLanguage

/// Text for SQLite, which ends a text at a NUL: one that holds a NUL is kept as a blob of the same bytes.
func databaseText(_ text: String) -> DatabaseValue {
  text.utf8.contains(0) ? Data(text.utf8).databaseValue : text.databaseValue
}
func databaseText(_ text: String?) -> DatabaseValue { text.map { databaseText($0) } ?? .null }

extension Row {
  /// What `databaseText` made of it.
  func text(_ column: Int) -> String? {
    let value: DatabaseValue = self[column]
    switch value.storage {
    case .string(let text): return text
    case .blob(let data): return String(decoding: data, as: UTF8.self)
    default: return nil
    }
  }
}

enum DecisionRow {
  /// True if the record was not there.
  static func write(_ d: Decision, _ db: Database) throws -> Bool {
    let isNew = try db.cachedStatement(sql: insert)
    let values =
      [databaseText(d.id), d.revision.databaseValue] + columns(d) + [String(decoding: DecisionJSON.line(d), as: UTF8.self).databaseValue]
    isNew.setUncheckedArguments(StatementArguments(values))
    try isNew.execute()
    let wasInserted = db.changesCount > 0
    if !wasInserted {
      let replace = try db.cachedStatement(sql: update)
      replace.setUncheckedArguments(StatementArguments(values))
      try replace.execute()
    } else if d.revision > 1 {
      try db.cachedStatement(sql: demote).execute(arguments: [databaseText(d.id)])
    }
    return wasInserted
  }

  /// What is searched by, named by `columnNames`.
  static func columns(_ d: Decision) -> [DatabaseValue] {
    let range = d.subject.source.flatMap { CIDR($0) }.map { AddressRange($0) }
    return [
      d.time.nanoseconds.databaseValue, d.firstTime.nanoseconds.databaseValue, d.lastTime.nanoseconds.databaseValue, databaseText(d.subject.source),
      blob(range?.low), blob(range?.high), databaseText(d.subject.user), databaseText(d.subject.session), databaseText(d.subject.host),
      databaseText(d.ruleID), d.severity.rank.databaseValue, d.confidence.thousandths.databaseValue, d.action.rawValue.databaseValue,
      Int64(clamping: d.matchCount).databaseValue,
    ]
  }
  static let columnNames = [
    "time", "first_time", "last_time", "source", "source_low", "source_high", "user", "session", "host", "rule", "severity", "confidence", "action",
    "matches",
  ]

  private static func blob(_ bytes: [UInt8]?) -> DatabaseValue { bytes.map { Data($0).databaseValue } ?? .null }

  // Parameters are numbered, so that both statements take the same list.
  private static let insert = """
    INSERT INTO decisions (id, revision, time, first_time, last_time, source, source_low, source_high, user, session, host, rule,
      severity, confidence, action, matches, record, is_latest)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
      NOT EXISTS (SELECT 1 FROM decisions WHERE id = ?1 AND revision > ?2))
    ON CONFLICT (id, revision) DO NOTHING
    """
  private static let update = """
    UPDATE decisions SET time = ?3, first_time = ?4, last_time = ?5, source = ?6, source_low = ?7, source_high = ?8, user = ?9,
      session = ?10, host = ?11, rule = ?12, severity = ?13, confidence = ?14, action = ?15, matches = ?16, record = ?17
    WHERE id = ?1 AND revision = ?2 AND record <> ?17
    """
  private static let demote = """
    UPDATE decisions SET is_latest = 0
    WHERE id = ?1 AND is_latest = 1 AND revision < (SELECT max(revision) FROM decisions WHERE id = ?1)
    """
}
