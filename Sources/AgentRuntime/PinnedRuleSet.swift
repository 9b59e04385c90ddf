// Sets of rules that `panguard rules import` has written: a directory with `provenance.json`, which names each file and its SHA-256.
// What must stay true: a file of such a set that has changed, is gone, or was added is an error that names it, and its rules are not used.
import Glibc
import Primitives
import RuleLanguage
import TypedYAML

public enum PinnedRuleSet {
  public static let provenanceName = "provenance.json"
  /// `format` of a provenance file that this version reads.
  public static let format = "panguard-rule-set/1"

  public struct Findings {
    public var diagnostics: [Diagnostic] = []
    /// Files whose rules must not be used, as the loader names them.
    public var refusedFiles: Set<String> = []
  }

  /// Checks every pinned set at or below the directories among `paths`.
  public static func verify(below paths: [String]) -> Findings {
    var findings = Findings()
    for path in paths where isDirectory(path) {
      var pending = [(path: path.hasSuffix("/") && path.utf8.count > 1 ? String(path.dropLast()) : path, depth: 0)]
      while let (directory, depth) = pending.popLast() {
        var info = stat()
        if lstat("\(directory)/\(provenanceName)", &info) == 0 { check(directory, &findings) }
        guard depth < Limits.ruleDirectoryDepth else { continue }
        for name in directoryNames(directory) ?? [] where !name.hasPrefix(".") && !name.hasSuffix(".yaml") && !name.hasSuffix(".yml") {
          let child = "\(directory)/\(name)"
          if lstat(child, &info) == 0, info.st_mode & S_IFMT == S_IFDIR { pending.append((child, depth + 1)) }
        }
      }
    }
    findings.diagnostics.sort { $0.location != $1.location ? $0.location < $1.location : $0.message < $1.message }
    return findings
  }

  private static func check(_ directory: String, _ findings: inout Findings) {
    func refuse(_ name: String, _ message: String) {
      findings.diagnostics.append(
        Diagnostic(
          .error, SourceLocation(file: "\(directory)/\(name)"), message,
          hint: "import the set again with --replace, or keep rules of your own in another directory"))
      findings.refusedFiles.insert("\(directory)/\(name)")
    }
    let yaml = RuleLoader.ruleFiles(below: [directory]).files.map { String($0.dropFirst(directory.count + 1)) }
    guard let pinned = read("\(directory)/\(provenanceName)") else {
      findings.diagnostics.append(
        Diagnostic(.error, SourceLocation(file: "\(directory)/\(provenanceName)"), "not a provenance file of a rule set that this version reads"))
      for name in yaml { findings.refusedFiles.insert("\(directory)/\(name)") }
      return
    }
    for (name, hash) in pinned {
      switch readDocumentFile("\(directory)/\(name)") {
      case .success(let bytes):
        if SHA256Hash.hex(of: bytes) != hash { refuse(name, "the file has changed since it was imported; its rules are not used") }
      case .failure: refuse(name, "the file of an imported set is missing or cannot be read")
      }
    }
    let known = Set(pinned.map(\.name))
    for name in yaml where !known.contains(name) { refuse(name, "the file does not belong to the imported set; its rules are not used") }
  }

  /// What the source of the set in `directory` called its version; nil where it is no imported set, or its source did not say.
  public static func version(of directory: String) -> String? {
    let path = "\(directory)/\(provenanceName)"
    guard case .success(let bytes) = readDocumentFile(path, limit: 8 * Limits.documentBytes),
      case .success(let root) = bytes.withUnsafeBytes({ JSONTree.parse($0, file: path, limit: 8 * Limits.ruleFiles) }),
      root["format"]?.text == format, let version = root["source"]?["version"]?.text, !version.isEmpty
    else { return nil }
    return version
  }

  /// The files that a provenance file names, in its order.
  public static func read(_ path: String) -> [(name: String, hash: String)]? {
    guard case .success(let bytes) = readDocumentFile(path, limit: 8 * Limits.documentBytes),
      case .success(let root) = bytes.withUnsafeBytes({ JSONTree.parse($0, file: path, limit: 8 * Limits.ruleFiles) }),
      root["format"]?.text == format, let files = root["files"]?.list
    else { return nil }
    var result: [(name: String, hash: String)] = []
    for file in files {
      guard let name = file["file"]?.text, let hash = file["sha256"]?.text, !name.isEmpty, !name.utf8.contains(0x2f), !name.utf8.contains(0)
      else { return nil }
      result.append((name, hash))
    }
    return result
  }
}
