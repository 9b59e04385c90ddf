// Finds a journal entry again that a decision rests on: by its time, and by the fingerprint of its message.
import Detection
import LogSources
import Primitives

public enum JournalLineFetcher {
  /// The message, if the journal still holds it.
  public static func fetch(_ record: EvidenceRecord) -> String? {
    guard let journal = try? JournalSource(start: .end) else { return nil }
    let time = EventTime(nanoseconds: Int64(clamping: record.offset).multipliedReportingOverflow(by: 1000).partialValue)
    var found: String?
    _ = try? journal.fetch(at: time) { entry in
      guard found == nil, Fingerprint(of: entry.message) == record.fingerprint else { return }
      found = entry.message.string
    }
    return found
  }
}
