// One journal entry as LogSources hands it over, and the question whether the kernel vouches for the writer it claims.
// Fields that begin with an underscore in the journal are set by journald from the kernel's credentials of the writer; the
// others (MESSAGE, SYSLOG_IDENTIFIER, PRIORITY) are whatever the writer sent. `logger -t sshd "Failed password ..."` has the
// identifier sshd and the executable logger: such an entry must never be more than claimed.
import Primitives

/// Borrowed fields of one entry; nil where the entry has none. They must outlive the call they are passed to.
public struct JournalEntry {
  /// MESSAGE.
  public var message: Bytes?
  /// SYSLOG_IDENTIFIER: the program the writer says it is.
  public var syslogIdentifier: Bytes?
  /// _COMM: the kernel's name of the process. The process may change it.
  public var comm: Bytes?
  /// _EXE: path of the executable. Only exec changes it.
  public var exe: Bytes?
  /// _PID.
  public var pid: Bytes?
  /// _UID.
  public var uid: Bytes?
  /// _SYSTEMD_UNIT.
  public var unit: Bytes?
  /// _HOSTNAME.
  public var hostname: Bytes?
  /// PRIORITY: syslog severity, 0...7.
  public var priority: Bytes?
  /// SYSLOG_FACILITY.
  public var facility: Bytes?
  /// _CMDLINE.
  public var cmdline: Bytes?
  /// _TRANSPORT: "kernel" is set by journald alone.
  public var transport: Bytes?
  /// __REALTIME_TIMESTAMP: microseconds since 1970, UTC.
  public var realtimeMicroseconds: Int64?
  public init() {}
}

/// Which processes may speak as a program that decisions rest on. A program that is not in this table is vouched for if it runs as
/// root or as a system account from a system directory under the name that it claims.
enum Voucher {
  struct Entry {
    var identifier: StaticString
    /// Executable names (last path component) that may write under the identifier.
    var executables: [StaticString]
    /// setuid programs log with the caller's uid; all others must be root.
    var isSetuid: Bool
  }
  static let table: [Entry] = [
    Entry(identifier: "sshd", executables: ["sshd", "sshd-session", "sshd-auth"], isSetuid: false),
    Entry(identifier: "sshd-session", executables: ["sshd", "sshd-session", "sshd-auth"], isSetuid: false),
    Entry(identifier: "sshd-auth", executables: ["sshd", "sshd-session", "sshd-auth"], isSetuid: false),
    Entry(identifier: "sudo", executables: ["sudo", "sudo-rs"], isSetuid: true),
    Entry(identifier: "su", executables: ["su", "su-rs"], isSetuid: true),
    Entry(identifier: "login", executables: ["login"], isSetuid: false),
    Entry(identifier: "passwd", executables: ["passwd"], isSetuid: true),
    Entry(identifier: "chage", executables: ["chage"], isSetuid: true),
    Entry(identifier: "gpasswd", executables: ["gpasswd"], isSetuid: true),
    Entry(identifier: "pkexec", executables: ["pkexec"], isSetuid: true),
    Entry(identifier: "useradd", executables: ["useradd"], isSetuid: false),
    Entry(identifier: "userdel", executables: ["userdel"], isSetuid: false),
    Entry(identifier: "usermod", executables: ["usermod"], isSetuid: false),
    Entry(identifier: "groupadd", executables: ["groupadd"], isSetuid: false),
    Entry(identifier: "groupdel", executables: ["groupdel"], isSetuid: false),
    Entry(identifier: "groupmod", executables: ["groupmod"], isSetuid: false),
    Entry(identifier: "cron", executables: ["cron", "crond"], isSetuid: false),
    Entry(identifier: "crond", executables: ["cron", "crond"], isSetuid: false),
    Entry(identifier: "crontab", executables: ["crontab"], isSetuid: true),
    Entry(identifier: "systemd", executables: ["systemd"], isSetuid: false),
    Entry(identifier: "systemd-logind", executables: ["systemd-logind"], isSetuid: false),
  ]

  private static let systemDirectories: [StaticString] = [
    "/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/", "/usr/lib/", "/usr/libexec/", "/lib/", "/usr/lib64/",
  ]

  /// Whether the kernel's facts about the writer agree with the program that it says it is.
  /// What remains: a user who traces (ptrace) a setuid program makes it run without privilege and can then speak for it.
  static func vouches(_ entry: JournalEntry) -> Bool {
    guard let identifier = entry.syslogIdentifier ?? entry.comm, identifier.count > 0 else { return false }
    if identifier.equals("kernel") { return entry.transport?.equals("kernel") == true && entry.uid == nil }
    guard let uid = entry.uid?.decimal else { return false }
    for known in table where equalsIgnoringCase(identifier, known.identifier) {
      return runs(entry, uid: uid, as: known.executables, isSetuid: known.isSetuid)
    }
    // systemd runs service processes under its own name before it executes them: "(sshd)".
    guard uid < 1000 else { return false }
    if let exe = entry.exe { return isInSystemDirectory(exe) && (name(of: exe).equals(identifier) || entry.comm?.equals(identifier) == true) }
    return uid == 0 && entry.comm?.equals(identifier) == true
  }

  private static func runs(_ entry: JournalEntry, uid: Int64, as executables: [StaticString], isSetuid: Bool) -> Bool {
    guard uid == 0 || isSetuid else { return false }
    if let exe = entry.exe {
      guard isInSystemDirectory(exe) || (uid == 0 && exe.starts(with: "/usr/local/")) else { return false }
      let last = name(of: exe)
      return executables.contains { last.equals($0) }
    }
    // The path is gone where the process has ended before journald looked: then root's own name for it must do.
    guard uid == 0, let comm = entry.comm else { return false }
    return executables.contains { comm.equals($0) }
  }
  private static func isInSystemDirectory(_ path: Bytes) -> Bool { systemDirectories.contains { path.starts(with: $0) } }
  private static func name(of path: Bytes) -> Bytes { path.lastIndex(of: 0x2f).map { path.from($0 + 1) } ?? path }
}

/// ASCII only.
func equalsIgnoringCase(_ bytes: Bytes, _ literal: StaticString) -> Bool {
  guard bytes.count == literal.utf8CodeUnitCount else { return false }
  for i in 0..<bytes.count {
    let byte = bytes[i]
    let lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
    if lower != literal.utf8Start[i] { return false }
  }
  return true
}
