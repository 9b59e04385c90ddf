// The systemd journal, entry by entry, through libsystemd. Its fields with a leading underscore are set by journald from what the
// kernel says about the writer, so events made from them are attested.
// Invariants: pull only, one entry at a time; a cursor names the last entry that was handed out; fields are copied into one fixed
// buffer, because libsystemd's own memory is valid only until the next call.
import CLinux
import CSystemd
import Glibc
import Primitives

/// One journal entry. All bytes are valid inside the call that hands it out; absent fields are empty. Of a field that occurs several
/// times the first is kept.
public struct JournalRecord {
  public var message = Bytes.none
  public var syslogIdentifier = Bytes.none
  /// _COMM, _EXE, _PID, _UID, _CMDLINE, _SYSTEMD_UNIT, _HOSTNAME, _TRANSPORT: vouched for by journald.
  public var comm = Bytes.none
  public var exe = Bytes.none
  public var pid = Bytes.none
  public var uid = Bytes.none
  public var commandLine = Bytes.none
  public var systemdUnit = Bytes.none
  public var hostname = Bytes.none
  public var transport = Bytes.none
  /// What the writer says its process id is.
  public var syslogPID = Bytes.none
  public var priority = Bytes.none
  public var syslogFacility = Bytes.none
  /// When journald received it (__REALTIME_TIMESTAMP).
  public var time = EventTime.zero
  /// A field did not fit and was cut.
  public var isCut = false

  /// The journal's names of the fields, in the order of the subscript.
  static let names: [StaticString] = [
    "MESSAGE=", "SYSLOG_IDENTIFIER=", "_COMM=", "_EXE=", "_PID=", "_UID=", "_CMDLINE=", "_SYSTEMD_UNIT=", "_HOSTNAME=", "_TRANSPORT=",
    "SYSLOG_PID=", "PRIORITY=", "SYSLOG_FACILITY=",
  ]
  subscript(slot: Int) -> Bytes {
    get {
      switch slot {
      case 0: message
      case 1: syslogIdentifier
      case 2: comm
      case 3: exe
      case 4: pid
      case 5: uid
      case 6: commandLine
      case 7: systemdUnit
      case 8: hostname
      case 9: transport
      case 10: syslogPID
      case 11: priority
      default: syslogFacility
      }
    }
    set {
      switch slot {
      case 0: message = newValue
      case 1: syslogIdentifier = newValue
      case 2: comm = newValue
      case 3: exe = newValue
      case 4: pid = newValue
      case 5: uid = newValue
      case 6: commandLine = newValue
      case 7: systemdUnit = newValue
      case 8: hostname = newValue
      case 9: transport = newValue
      case 10: syslogPID = newValue
      case 11: priority = newValue
      default: syslogFacility = newValue
      }
    }
  }
}

public struct JournalCounters: Sendable, Equatable {
  public var entries: UInt64 = 0
  /// Entries with a field that was cut.
  public var cutEntries: UInt64 = 0
  /// Entries that could not be read (a damaged file) and were passed over.
  public var unreadable: UInt64 = 0
  /// Times that the entry of a cursor had been deleted before what follows it could be read.
  public var cursorsLost: UInt64 = 0
}

public final class JournalSource {
  public enum Start: Sendable {
    /// Behind the newest entry.
    case end
    case beginning
    /// Behind the entry of this cursor.
    case after(cursor: String)
  }

  /// Where it is read from, for messages.
  public let path: String
  public private(set) var counters = JournalCounters()
  /// Names the last entry handed out, or the one behind which reading begins; keep it once that entry has done its work.
  /// nil if nothing was handed out and reading begins at the first entry.
  public private(set) var cursor: String?
  private var cursorIsStale = false
  private let journal: OpaquePointer
  private let memory: UnsafeMutableRawBufferPointer
  private var used = 0
  private let messageLimit: Int

  /// Opens this host's journal, or the journal files of one directory.
  public init(directory: String? = nil, start: Start = .end, messageLimit: Int = Limits.lineBytes) throws(SourceError) {
    path = directory ?? "journal"
    try JournalSource.checkAccess(directory)
    var opened: OpaquePointer?
    let status = directory.map { sd_journal_open_directory(&opened, $0, 0) } ?? sd_journal_open(&opened, Int32(SD_JOURNAL_LOCAL_ONLY))
    guard status >= 0, let opened else { throw JournalSource.failure(status, directory ?? "journal", "open") }
    journal = opened
    self.messageLimit = max(1, messageLimit)
    memory = .allocate(byteCount: self.messageLimit + Limits.journalFieldBytes, alignment: 16)
    sd_journal_set_data_threshold(journal, self.messageLimit + 64)
    // From here on libsystemd watches the directories; a file that comes before the first wait is noticed too.
    _ = sd_journal_get_fd(journal)
    try seek(to: start)
  }
  deinit {
    sd_journal_close(journal)
    memory.deallocate()
  }

  private static func failure(_ status: Int32, _ path: String, _ doing: String) -> SourceError {
    let number = -status
    if number == EACCES || number == EPERM { return noAccess(path) }
    return SourceError(.inputOutput, path: path, reason: "cannot \(doing): \(String(cString: strerror(number)))", errorNumber: number)
  }
  private static func noAccess(_ path: String) -> SourceError {
    SourceError(
      .permission, path: path, reason: "no journal file may be read by this user",
      hint: "add the user to group systemd-journal, or run as root", errorNumber: EACCES)
  }

  /// libsystemd opens a journal that is not there, and one that may not be read, without a word.
  private static func checkAccess(_ directory: String?) throws(SourceError) {
    var roots = directory.map { [$0] } ?? ["/var/log/journal", "/run/log/journal"]
    roots.removeAll { access($0, F_OK) != 0 }
    guard !roots.isEmpty else {
      if let directory {
        throw SourceError(.missing, path: directory, reason: "does not exist", hint: "name a directory with journal files")
      }
      throw SourceError(
        .unavailable, path: "journal", reason: "there is none: neither /var/log/journal nor /run/log/journal exists",
        hint: "start systemd-journald, or leave the journal out of the configuration")
    }
    var refused = false
    var places = roots
    for root in roots {
      if access(root, R_OK | X_OK) != 0 { refused = true }
      RotatedFiles.forEachEntry(of: root) { name, _ in if !name.hasPrefix(".") { places.append("\(root)/\(name)") } }
    }
    for place in places {
      // Files lie in the directory itself, or in one for each machine.
      if place.hasSuffix(".journal"), access(place, R_OK) == 0 { return }
      if place.hasSuffix(".journal") { refused = true }
      var found = false
      RotatedFiles.forEachEntry(of: place) { name, _ in
        guard name.hasSuffix(".journal") else { return }
        if access("\(place)/\(name)", R_OK) == 0 { found = true } else { refused = true }
      }
      if found { return }
      if access(place, R_OK | X_OK) != 0 { refused = true }
    }
    if refused { throw noAccess(directory ?? "journal") }
    // An empty journal is one: its files come when something is written.
  }

  // MARK: Where to read

  private func seek(to start: Start) throws(SourceError) {
    var status: Int32 = 0
    switch start {
    case .beginning: status = sd_journal_seek_head(journal)
    case .end:
      status = sd_journal_seek_tail(journal)
      // Stand on the newest entry: "next" from the tail itself is not defined while there is none behind it.
      if status >= 0 { status = sd_journal_previous(journal) }
      if status > 0 { cursorIsStale = true }
      if status == 0 { status = sd_journal_seek_head(journal) }
    case .after(let text):
      cursor = text
      status = sd_journal_seek_cursor(journal, text)
      guard status >= 0 else {
        throw SourceError(.corrupt, path: path, reason: "the kept cursor is not one", hint: "remove the checkpoint of the journal")
      }
      status = sd_journal_next(journal)
      if status > 0, sd_journal_test_cursor(journal, text) <= 0 {
        // The entry is gone; we stand on the one behind it, which was not handed out.
        counters.cursorsLost += 1
        status = sd_journal_previous(journal)
        if status == 0 { status = sd_journal_seek_head(journal) }
      } else if status == 0, sd_journal_previous(journal) > 0, sd_journal_test_cursor(journal, text) <= 0 {
        counters.cursorsLost += 1
      }
    }
    if status < 0 { throw JournalSource.failure(status, path, "seek in") }
    refreshCursor()
  }

  private func refreshCursor() {
    guard cursorIsStale else { return }
    cursorIsStale = false
    var text: UnsafeMutablePointer<CChar>?
    guard sd_journal_get_cursor(journal, &text) >= 0, let text else { return }
    cursor = String(cString: text)
    free(text)
  }

  // MARK: Waiting

  /// For epoll, with `pollEvents`; -1 if there is none. When it is readable or `timeoutMicroseconds` has come, call `process`.
  public var descriptor: Int32 { max(-1, sd_journal_get_fd(journal)) }
  /// poll(2) flags to wait for.
  public var pollEvents: Int32 { max(0, sd_journal_get_events(journal)) }
  /// CLOCK_MONOTONIC microseconds at which `process` must be called though nothing is readable; nil: never.
  public var timeoutMicroseconds: UInt64? {
    var timeout: UInt64 = 0
    guard sd_journal_get_timeout(journal, &timeout) >= 0, timeout != .max else { return nil }
    return timeout
  }
  /// Takes note of changed files. True if there may be new entries.
  @discardableResult
  public func process() -> Bool { sd_journal_process(journal) != Int32(SD_JOURNAL_NOP) }

  // MARK: Reading

  /// Hands out entries in the journal's order, at most `maxEntries`. `reachedEnd`: there is nothing more for now.
  public func read(maxEntries: Int, _ body: (borrowing JournalRecord) -> Void) throws(SourceError) -> ReadProgress {
    var progress = ReadProgress()
    defer {
      if progress.lines > 0 { cursorIsStale = true }
      refreshCursor()
    }
    while progress.lines < maxEntries {
      let status = sd_journal_next(journal)
      if status < 0 {
        if -status == EBADMSG || -status == EADDRNOTAVAIL { counters.unreadable += 1 }
        throw JournalSource.failure(status, path, "read")
      }
      guard status > 0 else {
        progress.reachedEnd = true
        break
      }
      progress.lines += 1
      let record = load()
      progress.bytes += used
      counters.entries += 1
      if record.isCut { counters.cutEntries += 1 }
      body(record)
    }
    return progress
  }

  /// Reads the entries from `time` up to the last one handed out again, oldest first, at most the newest `maxEntries` of them, without
  /// moving: to rebuild windows after a restart. Returns how many.
  @discardableResult
  public func readBefore(from time: EventTime, maxEntries: Int, _ body: (borrowing JournalRecord) -> Void) throws(SourceError) -> Int {
    guard let cursor, maxEntries > 0 else { return 0 }
    guard sd_journal_seek_cursor(journal, cursor) >= 0 else { return 0 }
    var status = sd_journal_next(journal)
    guard status > 0, sd_journal_test_cursor(journal, cursor) > 0 else {
      try seek(to: .after(cursor: cursor))
      return 0
    }
    var back = 0
    while back < maxEntries - 1, entryTime() >= time {
      status = sd_journal_previous(journal)
      guard status > 0 else { break }
      back += 1
    }
    // From the oldest on, up to and with the entry of the cursor.
    var count = 0
    while true {
      if entryTime() >= time {
        body(load())
        count += 1
      }
      if sd_journal_test_cursor(journal, cursor) > 0 { break }
      guard sd_journal_next(journal) > 0 else { break }
    }
    // We stand on the entry of the cursor again: the next one is the first new one.
    return count
  }

  /// When the entry of `cursor` was received, without moving; nil if it is gone.
  public func cursorTime() throws(SourceError) -> EventTime? {
    guard let cursor else { return nil }
    var time: EventTime?
    _ = try fetch(cursor: cursor) { time = $0.time }
    return time
  }

  /// The entry of a cursor, once more, without moving. False if it is gone.
  public func fetch(cursor wanted: String, _ body: (borrowing JournalRecord) -> Void) throws(SourceError) -> Bool {
    var isThere = false
    if sd_journal_seek_cursor(journal, wanted) >= 0, sd_journal_next(journal) > 0, sd_journal_test_cursor(journal, wanted) > 0 {
      isThere = true
      body(load())
    }
    if let cursor { try seek(to: .after(cursor: cursor)) } else { try seek(to: .beginning) }
    return isThere
  }

  /// Entries received at exactly this time (microseconds count), without moving: to find again what a decision rests on.
  public func fetch(at time: EventTime, _ body: (borrowing JournalRecord) -> Void) throws(SourceError) {
    let wanted = UInt64(clamping: time.nanoseconds / 1000)
    if sd_journal_seek_realtime_usec(journal, wanted) >= 0 {
      while sd_journal_next(journal) > 0, entryTime().nanoseconds / 1000 <= Int64(clamping: wanted) {
        if entryTime().nanoseconds / 1000 == Int64(clamping: wanted) { body(load()) }
      }
    }
    if let cursor { try seek(to: .after(cursor: cursor)) } else { try seek(to: .beginning) }
  }

  private func entryTime() -> EventTime {
    var microseconds: UInt64 = 0
    guard sd_journal_get_realtime_usec(journal, &microseconds) >= 0 else { return .zero }
    let (nanoseconds, overflow) = Int64(clamping: microseconds).multipliedReportingOverflow(by: 1000)
    return EventTime(nanoseconds: overflow ? .max : nanoseconds)
  }

  /// The entry we stand on, copied into our memory.
  private func load() -> JournalRecord {
    var record = JournalRecord()
    record.time = entryTime()
    used = 0
    sd_journal_restart_data(journal)
    var data: UnsafeRawPointer?
    var length = 0
    while sd_journal_enumerate_available_data(journal, &data, &length) > 0 {
      guard let data else { continue }
      let item = Bytes(start: data, count: length)
      for (slot, name) in JournalRecord.names.enumerated() where item.starts(with: name) {
        guard record[slot].baseAddress == nil else { break }
        let value = item.from(name.utf8CodeUnitCount)
        // The message has its own part of the memory, so that no other field can take its room.
        let isMessage = slot == 0
        let room = isMessage ? messageLimit : min(Limits.journalFieldBytes / 4, memory.count - messageLimit - used)
        let kept = value.upTo(room)
        if kept.count < value.count { record.isCut = true }
        guard let base = memory.baseAddress else { break }
        let place = isMessage ? base : base + messageLimit + used
        if let source = kept.baseAddress { memcpy(place, source, kept.count) }
        if !isMessage { used += kept.count }
        record[slot] = Bytes(start: place, count: kept.count)
        break
      }
    }
    return record
  }
}
