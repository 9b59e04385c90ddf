// Which logs this host has. One table of places; each entry ends up read, or listed with the reason why not.
// A text log that repeats what the journal or another text log already says is not read twice: the same login would count twice.
import Glibc
import LogParsers
import LogSources

public struct DiscoveredSource: Sendable {
  public enum Kind: Sendable, Equatable {
    case journal
    case file(format: LogFormat)
  }
  public var name: String
  public var kind: Kind
  /// nil: it is read.
  public var reasonNotRead: String?
}

public enum SourceDiscovery {
  /// Path or glob, its format, and the text log that already carries the same lines where it is read.
  static let places: [(pattern: String, format: LogFormat, repeats: String?)] = [
    ("/var/log/auth.log", .syslog, nil),
    ("/var/log/secure", .syslog, nil),
    ("/var/log/syslog", .syslog, nil),
    ("/var/log/messages", .syslog, "/var/log/syslog"),
    ("/var/log/kern.log", .syslog, "/var/log/syslog"),
    ("/var/log/ufw.log", .syslog, "/var/log/syslog"),
    ("/var/log/nginx/*access*.log", .access, nil),
    ("/var/log/nginx/*error*.log", .error, nil),
    ("/var/log/apache2/*access*.log", .access, nil),
    ("/var/log/apache2/*error*.log", .error, nil),
    ("/var/log/httpd/*access_log", .access, nil),
    ("/var/log/httpd/*error_log", .error, nil),
  ]

  /// The places whose logs are followed, also those that have none yet. What the journal has is not read from text logs.
  static func placesToFollow(readsJournal: Bool) -> [(pattern: String, format: LogFormat, repeats: String?)] {
    places.filter { !readsJournal || $0.format != .syslog }
  }

  /// `journalProblem`: why the journal cannot be read, or nil if it can. `root` is put before each place, for tests.
  public static func discover(journalProblem: String?, root: String = "") -> [DiscoveredSource] {
    var found = [DiscoveredSource(name: "journal", kind: .journal, reasonNotRead: journalProblem)]
    var read: Set<String> = []
    for place in places {
      for path in expand(root + place.pattern) {
        var reason = problem(reading: path)
        if reason == nil {
          if journalProblem == nil, place.format == .syslog {
            reason = "the journal has the same messages, and vouches for who wrote them"
          } else if let other = place.repeats, read.contains(root + other) {
            reason = "\(other) has the same messages"
          }
        }
        if reason == nil { read.insert(path) }
        found.append(DiscoveredSource(name: path, kind: .file(format: place.format), reasonNotRead: reason))
      }
    }
    return found
  }

  /// Why the journal cannot be read, or nil if it can.
  public static func journalProblem() -> String? {
    do throws(SourceError) {
      _ = try JournalSource(start: .end)
      return nil
    } catch {
      return error.reason + (error.hint.isEmpty ? "" : "; \(error.hint)")
    }
  }

  /// Paths that match a glob (glob(7)), sorted. Rotated and compressed files are not logs of their own.
  public static func expand(_ pattern: String) -> [String] {
    var result = glob_t()
    defer { globfree(&result) }
    guard glob(pattern, 0, nil, &result) == 0, let paths = result.gl_pathv else { return [] }
    var out: [String] = []
    for i in 0..<Int(result.gl_pathc) {
      if let path = paths[i] { out.append(String(cString: path)) }
    }
    return out.sorted()
  }

  /// Why this path cannot be read as a log, or nil.
  public static func problem(reading path: String) -> String? {
    var info = stat()
    guard stat(path, &info) == 0 else { return String(cString: strerror(errno)) }
    switch info.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: return "it is a directory"
    case S_IFIFO: return "it is a FIFO"
    case S_IFCHR, S_IFBLK: return "it is a device"
    default: return "it is not a regular file"
    }
    guard access(path, R_OK) == 0 else {
      return "\(String(cString: strerror(errno))); add this user to the group that owns it (on Debian: adm)"
    }
    return nil
  }
}
