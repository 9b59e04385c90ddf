// The tables, as a chain of migrations. A migration that has been released is never edited: a store of any age must come out the same.
// Times are nanoseconds since 1970, UTC; severity is 0 (informational) to 4 (critical); confidence is in thousandths.
import GRDB

enum Schema {
  static let migrator: DatabaseMigrator = {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1: decisions, checkpoints, meta", foreignKeyChecks: .immediate) { try $0.execute(sql: first) }
    migrator.registerMigration("2: latest record of each incident", foreignKeyChecks: .immediate) { try $0.execute(sql: second) }
    migrator.registerMigration("3: responses, blocks, kept lines", foreignKeyChecks: .immediate) { try $0.execute(sql: third) }
    migrator.registerMigration("4: marks", foreignKeyChecks: .immediate) { try $0.execute(sql: marks) }
    return migrator
  }()

  /// `sequence` is never used twice, so that a follower who remembers one misses nothing when old rows are deleted.
  /// `source_low`, `source_high`: the addresses that `source` covers, see AddressRange. `record`: the canonical JSON.
  /// The time index carries what lists filter by, so that they walk it from the newest and touch only rows that they return.
  private static let first = """
    CREATE TABLE decisions (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL,
      revision INTEGER NOT NULL,
      time INTEGER NOT NULL,
      first_time INTEGER NOT NULL,
      last_time INTEGER NOT NULL,
      source TEXT,
      source_low BLOB,
      source_high BLOB,
      user TEXT,
      session TEXT,
      host TEXT,
      rule TEXT NOT NULL,
      severity INTEGER NOT NULL,
      confidence INTEGER NOT NULL,
      action TEXT NOT NULL,
      matches INTEGER NOT NULL,
      record TEXT NOT NULL,
      UNIQUE (id, revision)
    );
    CREATE INDEX decisions_time ON decisions (time, sequence, severity, confidence, action);
    CREATE INDEX decisions_source ON decisions (source_low) WHERE source_low IS NOT NULL;
    CREATE INDEX decisions_user ON decisions (user, time) WHERE user IS NOT NULL;
    CREATE INDEX decisions_rule ON decisions (rule, time);
    CREATE TABLE checkpoints (
      source TEXT PRIMARY KEY NOT NULL,
      value TEXT NOT NULL,
      lines INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE meta (
      key TEXT PRIMARY KEY NOT NULL,
      value TEXT NOT NULL
    ) WITHOUT ROWID;
    """

  /// `is_latest`: 1 for the highest revision of each incident that is there.
  private static let second = """
    ALTER TABLE decisions ADD COLUMN is_latest INTEGER NOT NULL DEFAULT 0;
    UPDATE decisions SET is_latest = 1
      WHERE revision = (SELECT max(revision) FROM decisions AS other WHERE other.id = decisions.id);
    CREATE INDEX decisions_open ON decisions (last_time, sequence) WHERE is_latest = 1;
    DROP INDEX decisions_time;
    CREATE INDEX decisions_time ON decisions (time, sequence, is_latest, severity, confidence, action);
    """

  /// `since`, `until`: by the host's clock, unlike the event time of `responses`. `key` of a block: the response that asked for it.
  private static let third = """
    CREATE TABLE responses (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      key TEXT NOT NULL UNIQUE,
      decision TEXT NOT NULL,
      revision INTEGER NOT NULL,
      playbook TEXT NOT NULL,
      step INTEGER NOT NULL,
      action TEXT NOT NULL,
      time INTEGER NOT NULL,
      state TEXT NOT NULL,
      detail TEXT NOT NULL
    );
    CREATE INDEX responses_decision ON responses (decision);
    CREATE TABLE blocks (
      network TEXT PRIMARY KEY NOT NULL,
      since INTEGER NOT NULL,
      until INTEGER NOT NULL,
      key TEXT NOT NULL,
      origin TEXT NOT NULL,
      is_confirmed INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE evidence (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      decision TEXT NOT NULL,
      revision INTEGER NOT NULL,
      source TEXT NOT NULL,
      offset INTEGER NOT NULL,
      line TEXT NOT NULL,
      UNIQUE (decision, source, offset)
    );
    CREATE TABLE response_state (
      key TEXT PRIMARY KEY NOT NULL,
      value BLOB NOT NULL
    ) WITHOUT ROWID;
    """
}
