// One line of a file that rsyslogd writes with the template in packaging/rsyslog/panguard.conf: a JSON object whose members carry what
// the kernel says about the process that sent the message (imuxsock with SysSock.Annotate and SysSock.ParseTrusted).
// The members are called as the journal calls its fields, and mean the same. Only a source whose configuration says `format: rsyslog` is
// read in this way: in any other file the same text is what somebody wrote.
// Invariants: a member that stands twice, or an object within the object, is none of that template's work, and the line is not read; the
// kernel's word counts only for messages of rsyslog's own socket (`input`), because other inputs and plug-ins may fill the same members.
import Primitives

final class RsyslogEntry {
  private enum Member: Int, CaseIterable {
    case time, input, hostname, pid, uid, comm, exe, cmdline, facility, priority, identifier, claimedPid, message
    var name: StaticString {
      switch self {
      case .time: "@timestamp"
      case .input: "input"
      case .hostname: "_HOSTNAME"
      case .pid: "_PID"
      case .uid: "_UID"
      case .comm: "_COMM"
      case .exe: "_EXE"
      case .cmdline: "_CMDLINE"
      case .facility: "SYSLOG_FACILITY"
      case .priority: "PRIORITY"
      case .identifier: "SYSLOG_IDENTIFIER"
      case .claimedPid: "SYSLOG_PID"
      case .message: "MESSAGE"
      }
    }
  }

  /// The members' values, unescaped, one behind the other.
  private var values: [UInt8] = []
  private var ranges = [Range<Int>?](repeating: nil, count: Member.allCases.count)

  /// Reads one line. False where it is not of that template.
  func read(_ line: Bytes) -> Bool {
    values.removeAll(keepingCapacity: true)
    for i in ranges.indices { ranges[i] = nil }
    guard line.first == 0x7b else { return false }
    var reader = JSONReader(line)
    var member: Member?
    var depth = 0
    do {
      while true {
        let isOurs: Bool? = try reader.next { token in
          switch token {
          case .beginObject:
            depth += 1
            return depth == 1
          case .endObject: return true
          case .key(let key):
            member = Member.allCases.first { key.equals($0.name) }
            return member.map { ranges[$0.rawValue] == nil } ?? true
          case .string(let value):
            guard let member else { return true }
            let start = values.count
            values.append(value)
            ranges[member.rawValue] = start..<values.count
            return true
          default: return false
          }
        }
        guard let isOurs else { break }
        guard isOurs else { return false }
      }
    } catch {
      return false
    }
    return ranges[Member.message.rawValue] != nil && ranges[Member.input.rawValue] != nil
  }

  /// Calls `body` with the entry and its time; what is empty is absent. `claimedPid`: what the sender says its process is.
  func withEntry<Result>(_ body: (_ entry: JournalEntry, _ time: EventTime?, _ claimedPid: Bytes?) -> Result) -> Result {
    values.withUnsafeBytes { all in
      func value(_ member: Member) -> Bytes? {
        guard let range = ranges[member.rawValue], !range.isEmpty else { return nil }
        return Bytes(rebasing: all[range])
      }
      var entry = JournalEntry()
      let message = value(.message)
      // rsyslog keeps the blank behind the tag.
      entry.message = message?.first == 0x20 ? message?.from(1) : message
      entry.syslogIdentifier = value(.identifier)
      entry.hostname = value(.hostname)
      entry.priority = value(.priority)
      entry.facility = value(.facility)
      if value(.input)?.equals("imuxsock") == true {
        entry.pid = value(.pid)
        entry.uid = value(.uid)
        entry.comm = value(.comm)
        entry.exe = value(.exe)
        entry.cmdline = value(.cmdline)
      } else if value(.input)?.equals("imklog") == true {
        entry.transport = Bytes("kernel")
      }
      return body(entry, value(.time).flatMap { EventTime(rfc3339: $0) }, value(.claimedPid))
    }
  }
}
