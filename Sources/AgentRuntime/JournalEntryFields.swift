// From what the journal's reader delivers to what the parsers want to know.
import LogParsers
import LogSources
import Primitives

extension JournalEntry {
  /// What the parsers want to know of what the journal says. Borrows the record's bytes.
  init(_ record: JournalRecord) {
    self.init()
    message = record.message
    syslogIdentifier = JournalEntry.present(record.syslogIdentifier)
    comm = JournalEntry.present(record.comm)
    exe = JournalEntry.present(record.exe)
    pid = JournalEntry.present(record.pid) ?? JournalEntry.present(record.syslogPID)
    uid = JournalEntry.present(record.uid)
    unit = JournalEntry.present(record.systemdUnit)
    hostname = JournalEntry.present(record.hostname)
    priority = JournalEntry.present(record.priority)
    facility = JournalEntry.present(record.syslogFacility)
    cmdline = JournalEntry.present(record.commandLine)
    transport = JournalEntry.present(record.transport)
    realtimeMicroseconds = record.time.nanoseconds / 1000
  }
  private static func present(_ bytes: Bytes) -> Bytes? { bytes.isEmpty ? nil : bytes }
}
