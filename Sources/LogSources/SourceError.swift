// Why an input cannot be read, and what its owner can do about it. One type for files, streams and the journal, so that `status`,
// `doctor` and the start of a replay say it in the same words.
import CLinux
import Glibc

/// A failure of one input. It never ends the others: the source stays listed with it, and is tried again when something changes.
public struct SourceError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of failure. More may be added; compare with the ones you handle.
  public struct Code: Hashable, Sendable {
    private enum Value: Hashable {
      case missing, permission, notRegularFile, inputOutput, unsupportedFormat, truncated, corrupt, tooLarge, unavailable
    }
    private var value: Value
    private init(_ value: Value) { self.value = value }
    /// Nothing is there (yet).
    public static let missing = Code(.missing)
    public static let permission = Code(.permission)
    /// A directory, a FIFO, a socket or a device: none of them is opened by its path.
    public static let notRegularFile = Code(.notRegularFile)
    public static let inputOutput = Code(.inputOutput)
    /// A compression that is not read here.
    public static let unsupportedFormat = Code(.unsupportedFormat)
    /// A compressed file that stops before its end. What came before was delivered.
    public static let truncated = Code(.truncated)
    /// A compressed file that is damaged. What came before was delivered.
    public static let corrupt = Code(.corrupt)
    /// Reading it would need more memory than its limit.
    public static let tooLarge = Code(.tooLarge)
    /// The service behind it does not run here.
    public static let unavailable = Code(.unavailable)
  }
  public let code: Code
  /// As the operator named it; "-" is standard input.
  public let path: String
  /// What is wrong, in one clause.
  public let reason: String
  /// What to do about it; empty if the reason says it.
  public let hint: String
  /// errno behind it, or 0.
  public let errorNumber: Int32

  public init(_ code: Code, path: String, reason: String, hint: String = "", errorNumber: Int32 = 0) {
    self.code = code
    self.path = path
    self.reason = reason
    self.hint = hint
    self.errorNumber = errorNumber
  }

  /// "path: reason; hint"
  public var description: String { "\(path): \(reason)" + (hint.isEmpty ? "" : "; \(hint)") }

  /// A failed system call on `path`. `doing`: "open", "read".
  static func system(_ number: Int32, path: String, doing: String) -> SourceError {
    let text = String(cString: strerror(number))
    switch number {
    case ENOENT, ENOTDIR:
      return SourceError(.missing, path: path, reason: "does not exist", hint: "it is read as soon as it appears", errorNumber: number)
    case EACCES, EPERM:
      return SourceError(
        .permission, path: path, reason: "cannot \(doing): \(text)",
        hint: "let this user read it (logs under /var/log: add the user to group adm)", errorNumber: number)
    case ELOOP:
      return SourceError(.notRegularFile, path: path, reason: "symbolic links that lead in a circle", errorNumber: number)
    default:
      return SourceError(.inputOutput, path: path, reason: "cannot \(doing): \(text)", errorNumber: number)
    }
  }

  /// What a path that is no regular file is; nil for a regular file.
  static func refusal(ofMode mode: mode_t, path: String, allowingStreams: Bool = false) -> SourceError? {
    let kind: (name: String, hint: String)
    switch mode & S_IFMT {
    case S_IFREG: return nil
    case S_IFDIR: kind = ("is a directory", "name the files in it, or a pattern such as \(path == "/" ? "" : path)/*.log")
    case S_IFIFO:
      if allowingStreams { return nil }
      kind = ("is a FIFO", "give it as standard input: - < \(path)")
    case S_IFCHR:
      if allowingStreams { return nil }
      kind = ("is a character device", "name a log file")
    case S_IFBLK: kind = ("is a block device", "name a log file")
    case S_IFSOCK:
      if allowingStreams { return nil }
      kind = ("is a socket", "name a log file")
    default: kind = ("is no regular file", "name a log file")
    }
    return SourceError(.notRegularFile, path: path, reason: kind.name, hint: kind.hint)
  }
}
