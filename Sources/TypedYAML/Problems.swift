// Where the readers of one file put what is wrong with it: all of it, in the order in which it is met, up to a limit.
import Primitives

/// Diagnostics of one file. A class, because one reading hands it to many readers.
public final class Problems {
  public private(set) var diagnostics: [Diagnostic] = []
  /// Beyond `Limits.diagnosticsPerFile` errors and as many others, so that warnings cannot hide an error; `finished` says so.
  public private(set) var unreported = 0
  public private(set) var errorCount = 0
  private var otherCount = 0
  public init() {}

  /// Enough has been said: costly texts (nearest names) need not be made.
  public var isFull: Bool { diagnostics.count >= Limits.diagnosticsPerFile }

  public func add(_ diagnostic: Diagnostic) {
    if diagnostic.severity == .error { errorCount += 1 } else { otherCount += 1 }
    guard (diagnostic.severity == .error ? errorCount : otherCount) <= Limits.diagnosticsPerFile else {
      unreported += 1
      return
    }
    diagnostics.append(diagnostic)
  }
  public func error(_ location: SourceLocation, _ message: String, hint: String = "") { add(Diagnostic(.error, location, message, hint: hint)) }
  public func warning(_ location: SourceLocation, _ message: String, hint: String = "") { add(Diagnostic(.warning, location, message, hint: hint)) }
  public func note(_ location: SourceLocation, _ message: String, hint: String = "") { add(Diagnostic(.note, location, message, hint: hint)) }

  /// What was found, and a last line for what was not kept.
  public func finished(file: String) -> [Diagnostic] {
    guard unreported > 0 else { return diagnostics }
    return diagnostics + [Diagnostic(errorCount > 0 ? .error : .warning, SourceLocation(file: file), "\(unreported) more problems are not shown")]
  }

  /// "did you mean 'x'", or the whole list where it is short.
  public func suggestion(for word: String, in known: [String]) -> String {
    if isFull { return "" }
    if let near = nearest(word, in: known) { return "did you mean '\(near)'?" }
    return known.count <= 16 ? "known: \(known.joined(separator: ", "))" : ""
  }
}
