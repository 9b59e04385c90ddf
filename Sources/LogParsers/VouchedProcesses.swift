// Root's processes that were vouched for a moment ago. What the kernel says of a sender is looked up when its message is read, and a process
// that has ended by then has neither a name nor an executable any more: an attacker who hangs up at once would be an attacker whom nobody
// may block. The number and the user come with the message itself. So such a message is believed where the same process was seen alive
// under the same name within `Limits.vouchedProcessLifetime`.
// Invariant: this only remembers; nobody is vouched for whose first message was not.
import Events
import Primitives

final class VouchedProcesses {
  private struct Entry {
    var pid: Int64 = -1
    var name = Fingerprint(of: .none)
    var time = EventTime.distantPast
  }
  /// By the last bits of the process id: processes that live at the same time have numbers near each other.
  private var entries: [Entry] = []
  private(set) var evictions: UInt64 = 0

  private static func slot(_ pid: Int64) -> Int { Int(truncatingIfNeeded: pid) & (Limits.vouchedProcesses - 1) }

  func note(_ entry: JournalEntry, at time: EventTime) {
    guard let pid = entry.pid?.decimal, entry.uid?.decimal == 0, let identifier = entry.syslogIdentifier else { return }
    if entries.isEmpty { entries = [Entry](repeating: Entry(), count: Limits.vouchedProcesses) }
    let old = entries[Self.slot(pid)]
    if old.pid >= 0, old.pid != pid, time - old.time < Limits.vouchedProcessLifetime { evictions &+= 1 }
    entries[Self.slot(pid)] = Entry(pid: pid, name: Fingerprint(of: identifier), time: time)
  }

  /// Whether a message whose sender could not be looked up comes from a process that was seen alive.
  func remembers(_ entry: JournalEntry, at time: EventTime) -> Bool {
    guard !entries.isEmpty, entry.comm == nil, entry.exe == nil, entry.uid?.decimal == 0, let pid = entry.pid?.decimal,
      let identifier = entry.syslogIdentifier, case let known = entries[Self.slot(pid)], known.pid == pid
    else { return false }
    return known.name == Fingerprint(of: identifier) && time >= known.time && time - known.time <= Limits.vouchedProcessLifetime
  }
}
